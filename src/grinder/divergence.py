"""`gr.diff`: where two runs part first, what led there, and what else changed (SPEC 14).

*First* is the earliest event at which a stage differs; at that event the first stage in causal order; in it the first record that
differs, by its place among the event's records of that stage; in it the first field, in column order. SPEC 14 says "first diverging
stage in causal order, first diverging record": taken over the whole run, that names a stage whose own first difference may come
hours after another's, as a consequence of it. Inside one event it is the order of cause, so that is where it decides.

Every stage's own first difference is found by its chain of digests: windows of 4096 events whose links are equal are skipped.
Runs of other versions of grinder are compared in the columns that both have.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder.circumstances import sections_of, time_of
from grinder.config import Config
from grinder.data.fixture import Fixture, fixture as named_fixture
from grinder.digest import LINK_BYTES, Digest
from grinder.errors import ConfigError
from grinder.golden import read_golden
from grinder.recorded import Divergence, Recorded, Section, record_of
from grinder.records import STAGES, WINDOW
from grinder.run import Run
from grinder.session import replay
from grinder.wording import Words, clock, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diff", "compare", "diff"]

BLOCK: Final = 1 << 16
"""Records compared at a time, at most."""
FOLLOWING: Final = 3
"""Stages named that part at the same event as the first."""
_DIGITS: Final = 2 * LINK_BYTES


@dataclass(frozen=True, eq=False)
class Diff:
    """How two runs differ. Prints as text, shows as a table in a notebook.

    Args:
        a, b: the two sides.
        equal: whether their digests are equal.
        first: where they part first; None if no record differs as far as both go.
        by_stage: each stage's own first difference, in causal order.
        sections: settings, what led to the first difference, and what else changed.
        note: where no record tells it all, what there is to say.
        story: the first difference in a sentence, and what was given otherwise.
    """

    a: Recorded
    b: Recorded
    equal: bool
    first: Divergence | None
    by_stage: tuple[Divergence, ...]
    sections: tuple[Section, ...]
    note: str
    story: str

    def __getitem__(self, name: str) -> Section:
        for section in self.sections:
            if section.name == name:
                return section
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(section.name == name for section in self.sections)

    def __str__(self) -> str:
        from grinder.difference_page import as_text

        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from grinder.difference_page import as_html

        return as_html(self)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a page that needs nothing else, whole or not at all; the same difference gives the same bytes."""
        from grinder.difference_page import write_page

        return write_page(self, path)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Both runs around the first event at which they differ; see `grinder.plots.parting.parting`."""
        from grinder.plot import parting

        return parting(self, ax)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: integers, strings and truth values, None for what there is not."""
        names = "label name events digest config input".split()
        sections = {
            one.name: {"title": one.title, "note": one.note, "pairs": [pair._asdict() for pair in one.pairs]}
            for one in self.sections
        }
        return {
            "equal": self.equal,
            "note": self.note,
            "story": self.story,
            "a": {name: getattr(self.a, name) for name in names},
            "b": {name: getattr(self.b, name) for name in names},
            "first": self.first.to_dict() if self.first else None,
            "by_stage": [one.to_dict() for one in self.by_stage],
            "sections": sections,
        }


def diff(
    a: Run | Fixture | str | os.PathLike[str],
    b: Run | Digest | Config | str | os.PathLike[str] | None = None,
    other: Config | None = None,
    *,
    fixture: Fixture | str | os.PathLike[str] | None = None,
    labels: tuple[str, str] | None = None,
) -> Diff:
    """Where two runs part first: stage, event, record and field, both values, and what led there.

    Args:
        a: a run, or the file of a saved one.
        b: likewise; or a golden's `Digest`, or None: the golden of the run's fixture. A golden keeps no records, so that a
            difference from it is located to a window of 4096 events.
        other: `gr.diff(fixture, config, other)` replays a fixture with two configs and compares these runs.

    Other Args:
        fixture: of runs that were loaded, what they replayed: shows the market around the difference.
        labels: what the two sides are called; default "a" and "b", or what they are.

    Raises:
        ConfigError: the two are of other instruments, so that ticks, lots and symbols do not mean the same.

    >>> import grinder as gr
    >>> found = gr.diff("binance_btcusdt_6m", gr.Config(), gr.Config(step="3bp"))
    >>> found.first.stage, found.first.field, found.first.a_text, found.first.b_text
    ('plans', 'step', '2 bp', '3 bp')
    """
    if isinstance(b, Config) or other is not None:
        return _of_configs(a, b, other, labels or ("a", "b"))
    data = named_fixture(fixture) if isinstance(fixture, str | os.PathLike) else fixture
    golden = b is None or isinstance(b, Digest)
    names = labels or ("a", "golden" if golden else "b")
    here = _side(a, names[0], data)
    if not golden:
        return compare(here, _side(b, names[1], data))
    known = b if isinstance(b, Digest) else read_golden(data or _fixture_of(here))
    return compare(here, Recorded.of_golden(known, here, names[1]))


def _of_configs(given: object, config: object, other: object, labels: tuple[str, str]) -> Diff:
    """The runs of one fixture with two configs."""
    data = named_fixture(given) if isinstance(given, str | os.PathLike) else given
    if not isinstance(data, Fixture) or not isinstance(config, Config | None) or not isinstance(other, Config | None):
        raise ConfigError("two configs are compared on one fixture: gr.diff(fixture, config, other)")
    a, b = (Recorded.of(replay(data, one), label) for one, label in zip((config, other), labels, strict=True))
    return compare(a, b)


def _side(given: object, label: str, data: Fixture | None) -> Recorded:
    if isinstance(given, Run):
        return Recorded.of(given, label, data)
    if isinstance(given, str | os.PathLike):
        return Recorded.read(given, label, data)
    what = type(given).__name__
    raise ConfigError(f"a {what} cannot be compared: give a Run, the file of a saved one, or a fixture and two configs")


def _fixture_of(side: Recorded) -> Fixture:
    """The fixture that a run replayed, or the one of its name."""
    return side.run.source[0] if side.run is not None and side.run.source else named_fixture(side.name)


def compare(a: Recorded, b: Recorded) -> Diff:
    """Compare two sides; see `diff`.

    Raises:
        ConfigError: the two are of other instruments.
    """
    _check_instruments(a, b)
    if a.tables is None or b.tables is None:
        found = _windows(a, b)
    else:
        stages = dict.fromkeys((*STAGES, *a.tables, *b.tables))  # in causal order, then what this version does not know
        found = tuple(one for stage in stages if (one := _first_in(stage, a, b)) is not None)
    first = min(found, key=lambda one: one.event, default=None)  # the first of equals, which stand in causal order
    equal = a.digest == b.digest
    sections = tuple(sections_of(a, b, first, found))
    return Diff(a, b, equal, first, found, sections, _note(a, b, first, equal), _story(a, b, first, found, sections))


def _check_instruments(a: Recorded, b: Recorded) -> None:
    mine, theirs = ({one.symbol: one for one in side.instruments} for side in (a, b))
    if mine.keys() != theirs.keys():
        raise ConfigError(
            f"{a.label} is of {a.name} with {', '.join(mine)}, {b.label} of {b.name} with {', '.join(theirs)}: "
            "runs of other symbols have no record in common; compare runs of one fixture"
        )
    for symbol, one in mine.items():
        if one != theirs[symbol]:
            unlike = [name for name in type(one).model_fields if getattr(one, name) != getattr(theirs[symbol], name)]
            values = "; ".join(f"{name} {getattr(one, name)} and {getattr(theirs[symbol], name)}" for name in unlike)
            where = f"{a.label} and {b.label}"
            raise ConfigError(f"{symbol} is another instrument in {where} ({values}): their ticks and lots are not the same")


def _note(a: Recorded, b: Recorded, first: Divergence | None, equal: bool) -> str:
    """What there is to say where no record tells it."""
    short, long = (a, b) if a.events <= b.events else (b, a)
    ends = f"{short.label} ends after {short.events:,} events, {long.label} goes on to {long.events:,}"
    if equal:
        return "no record, setting or input differs" + (f"; {ends}" if a.events != b.events else "")
    if first is None:
        parts = [ends] if a.events != b.events else []
        parts += [what for what, x, y in _hashes(a, b) if x != y]
        return f"no record differs; what does: {', '.join(parts)}" if parts else "no record differs, only how stages are laid out"
    parts = [f"equal as far as both go: {ends}" if first.event >= short.events else ends] if a.events != b.events else []
    if first.kind == "window":
        parts += [f"the hashes of their {what} differ" for what, x, y in _hashes(a, b) if x != y]
    return "; ".join(parts)


def _story(a: Recorded, b: Recorded, first: Divergence | None, found: tuple[Divergence, ...], sections: tuple[Section, ...]) -> str:
    """What became of what, and what the two were given otherwise."""
    if first is None or first.kind == "window":
        return ""
    if first.kind == "value":
        what = f"{first.stage}.{first.field} is {first.a_text} in {a.label}, {first.b_text} in {b.label}"
    else:
        what = f"{a.label if first.kind == 'only_a' else b.label} alone has a record of {first.stage}"
    with_it = [
        f"{one.stage}.{one.field} {one.a_text} and {one.b_text}"
        for one in found
        if one.event == first.event and one is not first and one.kind == "value"
    ]
    more = f"; with it {', '.join(with_it[:FOLLOWING])}" if with_it else ""
    given = {section.name: section for section in sections}
    why = [f"the settings differ ({', '.join(pair.name for pair in given['settings'].pairs)})"] if "settings" in given else []
    why += [given["input"].title] if "input" in given else []
    why += ["the code differs"] if a.provenance.get("source_sha256") != b.provenance.get("source_sha256") else []
    because = " and ".join(why) or "settings, market and code are the same"
    return f"at {clock(first.ts)} UTC, {first.symbol}: {what}{more}; {because}"


def _hashes(a: Recorded, b: Recorded) -> tuple[tuple[str, str, str], ...]:
    return ("settings", a.config, b.config), ("input", a.input, b.input)


# The first difference


def _first_in(stage: str, a: Recorded, b: Recorded) -> Divergence | None:
    """A stage's first difference."""
    assert a.tables is not None
    assert b.tables is not None
    x, y = a.tables.get(stage), b.tables.get(stage)
    if x is None or y is None:
        return None  # one of the two has no such stage: the sections say so
    names = _common(x, y)
    row = _first_row(x, y, names, _equal_windows(a, b, stage) * WINDOW)
    return None if row is None else _divergence(stage, a, b, x, y, names, row)


def _common(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Columns that both sides have, in the first one's order."""
    return [name for name in x.dtype.names or () if name in (y.dtype.names or ())]


def _equal_windows(a: Recorded, b: Recorded, stage: str) -> int:
    """How many windows from the start on are proven equal by the links of both chains."""
    x, y = a.links.get(stage, ""), b.links.get(stage, "")
    both = min(len(x), len(y))
    if x[:both] == y[:both]:
        return both // _DIGITS
    links = (np.frombuffer(text[:both].encode(), f"S{_DIGITS}") for text in (x, y))
    return int(np.argmax(np.not_equal(*links)))


def _first_row(x: np.ndarray, y: np.ndarray, names: list[str], event: int) -> int | None:
    """The first row that differs among those of events from `event` on; those before are equal."""
    start, stop = int(np.searchsorted(x["event"], event)), min(len(x), len(y))
    size = 64
    while start < stop:
        end = min(start + size, stop)
        unlike = np.zeros(end - start, bool)
        for name in names:
            unlike |= x[name][start:end] != y[name][start:end]
        if unlike.any():
            return start + int(np.argmax(unlike))
        start, size = end, min(2 * size, BLOCK)
    return None if len(x) == len(y) else stop


def _divergence(stage: str, a: Recorded, b: Recorded, x: np.ndarray, y: np.ndarray, names: list[str], row: int) -> Divergence:
    """What differs at a row, all before it being equal."""
    events = [int(rows["event"][row]) if row < len(rows) else None for rows in (x, y)]
    event = min(one for one in events if one is not None)
    sides = [_rest(rows, names, row, event) for rows in (x, y)]
    kind = _kind(*sides)
    has_a, has_b = kind != "only_b", kind != "only_a"
    record_a = record_of(x, row) if has_a else None
    record_b = record_of(y, row) if has_b else None
    known = record_a or record_b
    assert known is not None
    owner = x if has_a else y
    place = row - int(np.searchsorted(owner["event"], event))
    words_a, words_b = Words(a.instruments), Words(b.instruments)
    base = Divergence(
        stage, event, known["ts"], words_a.symbol(known["symbol"]), place, kind,
        record_a=record_a, record_b=record_b, events=(event, event),
    )  # fmt: skip
    if record_a is None or record_b is None:
        texts = [words.record(stage, one) if one else "" for words, one in ((words_a, record_a), (words_b, record_b))]
        return replace(base, a_text=texts[0], b_text=texts[1])
    name = next(name for name in names if record_a[name] != record_b[name])
    return replace(
        base,
        field=name,
        unit=unit_of(stage, name, record_a),
        a=record_a[name],
        b=record_b[name],
        a_text=words_a.value(stage, name, record_a),
        b_text=words_b.value(stage, name, record_b),
    )


def _rest(rows: np.ndarray, names: list[str], row: int, event: int) -> list[tuple[int, ...]]:
    """Records of an event from a row on, in the columns that both sides have."""
    stop = int(np.searchsorted(rows["event"], event, side="right"))
    return [tuple(int(one[name]) for name in names) for one in rows[row:stop]]


def _kind(mine: list[tuple[int, ...]], theirs: list[tuple[int, ...]]) -> str:
    """Whether a record was put in or left out, or one has other values.

    A record is one side's alone where the other has no more of this event; or where the other side's record comes later on this
    side too, but not the other way round: then something was put before it.
    """
    if not mine or not theirs:
        return "only_a" if mine else "only_b"
    later_in_a, later_in_b = theirs[0] in mine[1:], mine[0] in theirs[1:]
    if later_in_a == later_in_b:
        return "value"
    return "only_a" if later_in_a else "only_b"


def _windows(a: Recorded, b: Recorded) -> tuple[Divergence, ...]:
    """Each stage's first window that differs, where one side is a golden."""
    out = []
    for stage in STAGES:
        equal = _equal_windows(a, b, stage)
        windows = [len(side.links[stage]) // _DIGITS for side in (a, b)]
        if a.counts[stage] == b.counts[stage] and windows == [equal, equal]:
            continue
        start, stop = equal * WINDOW, min((equal + 1) * WINDOW, max(a.events, b.events)) - 1
        known = a if a.tables is not None else b
        out.append(Divergence(stage, start, time_of(known, start), "", 0, "window", events=(start, stop)))
    return tuple(out)
