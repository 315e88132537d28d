"""What decided each number of the plans of a run, as `run.explain` tells it; in a page every word and every line stands once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder.data.fixture import Fixture, fixture as named_fixture
from grinder.errors import ConfigError, LedgerError
from grinder.explain import Line, _Case, _Heads, _Show
from grinder.records import World
from grinder.reports.encoding import column
from grinder.reports.series import held
from grinder.session import worlds_after

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = ["EXPLAINED", "Explained", "explained", "interned", "replayed"]

EXPLAINED: Final = 800
"""Plans that are explained: those in force longest."""
_ELSEWHERE: Final = frozenset("plan made regime mode levels_down levels_up adds_down adds_up candidate reasons".split())
"""Lines of the section `plan` that a page shows of the record itself."""

Explained = tuple[tuple[str, tuple[Line, ...]], ...]


class _Kept(_Heads):
    """The state after an event as it comes by, rather than by a replay of what was before."""

    at: int = -1
    now: World | None = None

    def world(self, event: int) -> World | None:
        """The world after an event."""
        return self.now if event == self.at else None


class _AtPlan(_Case):
    """A plan at the event at which it was made."""

    def __init__(self, run: Run, row: Any, heads: _Kept) -> None:
        self.run, self.ns, self.s, self.heads, self.plan = run, int(row["ts"]), int(row["symbol"]), heads, row
        self.event, self.ts, self.world = int(row["event"]), int(row["ts"]), None
        self.show, self.params = _Show(run.instruments[self.s]), heads.params()
        self.p = self.params[0]
        self.is_own = "policy" in run.provenance
        self.is_smart = run.config.policy == "smart" and not self.is_own
        self.is_gated = True

    def sections(self) -> Explained:
        """The lines of its numbers, and of what decided them; its levels are told by the record."""
        parts = [("plan", [line for line in self._plan() if line.name not in _ELSEWHERE])]
        parts += [(name, [line for line in lines if not line.name.startswith("level_")]) for name, lines in self._derivation()]
        return tuple((name, tuple(lines)) for name, lines in parts if lines and name != "levels")


def explained(run: Run, fixture: Fixture | str | os.PathLike[str] | None = None) -> Iterator[tuple[int, Explained]]:
    """Rows of plans with what decided their numbers, by row; at most `EXPLAINED`, those in force longest.

    Args:
        fixture: for a run that was loaded, the fixture that it replayed.

    Raises:
        ConfigError: another fixture than the one that it replayed.
    """
    heads, rows = _Kept(run, fixture), run.plans.records
    data = _derived_from(run, heads)
    chosen = _longest(run)
    events = np.unique(rows["event"][chosen])
    cases = iter(chosen.tolist())
    made = worlds_after(data, run.config, events.tolist()) if data is not None else iter(())
    row = next(cases, None)
    for event in events.tolist():
        heads.at, heads.now = event, next(made, None)
        while row is not None and rows["event"][row] == event:
            yield row, _sections(run, rows[row], heads)
            row = next(cases, None)


def _sections(run: Run, plan: Any, heads: _Kept) -> Explained:
    try:
        return _AtPlan(run, plan, heads).sections()
    except LedgerError:
        if run.source is not None:
            raise
        heads.now, heads.lacks = None, "a replay of the fixture comes to other plans: another version of grinder made this run"
        return _AtPlan(run, plan, heads).sections()


def replayed(run: Run, fixture: Fixture | str | os.PathLike[str]) -> Fixture:
    """The fixture that a run replayed.

    Raises:
        ConfigError: it is another one.
    """
    data = fixture if isinstance(fixture, Fixture) else named_fixture(fixture, run.config)
    if data.content != run.digest.input:
        raise ConfigError(f"{data.name} is not what this run of {run.name} replayed: its content is {data.content[:12]}, "
                          f"the run's {run.digest.input[:12]}")  # fmt: skip
    return data


def _derived_from(run: Run, heads: _Heads) -> Fixture | None:
    """What a replay gives the inputs of plans of, where there is one and plans are derived from inputs."""
    is_smart = run.config.policy == "smart" and "policy" not in run.provenance
    return heads.source[0] if heads.source is not None and is_smart else None


def _longest(run: Run) -> np.ndarray:
    """Rows of the plans in force longest, ascending."""
    return np.sort(np.argsort(-held(run), kind="stable")[:EXPLAINED])


def interned(parts: Iterator[tuple[int, Explained]]) -> dict[str, Any]:
    """Explanations as columns: `words`, each once; of each distinct line its words; of each plan its row and lines.

    A line is section, name, text and why, parted by a word that is a tab; words were parted by spaces.
    """
    words: dict[str, int] = {}
    lines: dict[tuple[str, ...], int] = {}
    rows, counts, places = [], [], []
    for row, sections in parts:
        mine = [tuple(map(_plain, (name, line.name, line.text, line.why))) for name, told in sections for line in told]
        rows.append(row)
        counts.append(len(mine))
        places += [lines.setdefault(line, len(lines)) for line in mine]
    tokens = [[words.setdefault(word, len(words)) for word in "\0\t\0".join(line).replace(" ", "\0").split("\0")] for line in lines]
    return {
        "words": list(words),
        "line_words": column(np.array([len(each) for each in tokens], np.int64), 0),
        "line_word": column(np.array([word for each in tokens for word in each], np.int64), 0),
        "row": column(np.array(rows, np.int64)),
        "lines": column(np.array(counts, np.int64), 0),
        "line": column(np.array(places, np.int64)),
    }


def _plain(text: str) -> str:
    """Text without what parts words and lines here."""
    return text.replace("\0", "\ufffd").replace("\t", " ")
