"""Goldens: the digest a fixture is known to give, what it must show, and how either may change (SPEC 14, 2.3)."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from grinder.config import Config
from grinder.data.expectations import NAMES, wrong_expectation
from grinder.data.fixture import Fixture, find_fixture, fixture as named_fixture
from grinder.digest import DIGEST_KEYS, Difference, Digest, first_difference
from grinder.errors import (
    ConfigError,
    DataError,
    DigestMismatch,
    FixtureNotFound,
    GrinderError,
    IntegrityError,
    Nondeterminism,
    cause,
)
from grinder.intake import leads_out, only, strict_json, text_of
from grinder.outfile import write_whole
from grinder.records import WINDOW, Events, InputKind
from grinder.run import Run
from grinder.session import replay

__all__ = [
    "Standing",
    "Verdict",
    "accept",
    "check_change",
    "read_digest",
    "read_golden",
    "shortfalls",
    "span",
    "standing",
    "verify",
    "word_for",
    "write_digest",
]

GOLDEN: Final = "digest.json"
BESIDE: Final = frozenset(("reason", "headline"))
"""What a golden's file says besides the digest: why it changed, and headline numbers for its readers."""


@dataclass(frozen=True)
class Verdict:
    """What verifying one fixture found. `difference` is None where the digest is the golden's."""

    fixture: str
    digest: str
    golden: str
    difference: Difference | None
    span: str
    """First and last time of the window that differs."""
    shortfalls: tuple[str, ...]
    """What `[expect]` asks for and the run does not show."""
    word: str = ""
    """What the command line is told to find this fixture; default: its name."""

    @property
    def next(self) -> str:
        """What to type to see the difference; empty where there is none.

        A golden keeps no records: that way shows the window and what is around it. The record itself is found by replaying a
        commit that was equal, too.
        """
        return to_see(self.word or self.fixture) if self.difference else ""

    @property
    def passed(self) -> bool:
        """Digest equal and everything expected shown."""
        return self.difference is None and not self.shortfalls

    def __str__(self) -> str:
        if self.passed:
            return f"{self.fixture}: equal, {self.digest}"
        lines = [f"{self.fixture}: NOT equal: {self.digest}"]
        if self.difference is not None:
            lines += [f"  golden is {self.golden}", f"  {self.difference}{self.span}", f"  to see it: {self.next}"]
        lines += [f"  expected but not shown: {shortfall}" for shortfall in self.shortfalls]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        first = self.difference
        return {
            "fixture": self.fixture,
            "passed": self.passed,
            "digest": self.digest,
            "golden": self.golden,
            "first_stage": first.stage if first else None,
            "first_window": first.window if first else None,
            "shortfalls": list(self.shortfalls),
            "next": self.next or None,
        }


def verify(
    name: Fixture | str | os.PathLike[str], *, twice: bool = False, progress: Callable[[int, int], None] | None = None
) -> Verdict:
    """Replay a fixture with its own settings and compare the run with its golden and its `[expect]`.

    Args:
        name: a fixture, its name or its folder.
        twice: replay a second time, with another chunk size, and compare the two runs first.

    Raises:
        DataError: there is no golden yet, or it is damaged.
        Nondeterminism: the two runs differ.
    """
    data = name if isinstance(name, Fixture) else named_fixture(name)
    golden = read_golden(data)
    run = replay(data, progress=progress)
    if twice:
        # An odd chunk never ends where the first run's did, so that nothing that was kept of that one is read again.
        again = replay(data, chunk=len(data) // 3 | 1, progress=progress)
        between = first_difference(run.digest, again.digest)
        if between is not None:
            raise Nondeterminism(f"{data.name}: two runs of the same fixture differ: {between}{span(data, between)}")
    difference = first_difference(golden, run.digest)
    when = span(data, difference) if difference else ""
    return Verdict(data.name, run.digest.value, golden.value, difference, when, shortfalls(data, run), word_for(data))


def to_see(word: str, *, settings: Sequence[str] = (), golden: bool = True) -> str:
    """What to type to see where a replay of a fixture differs from a golden.

    Args:
        word: what finds the fixture. settings: `name=value` that the replay had on top of the fixture's own.
        golden: whether it is the fixture's own golden, which the fixture alone is then compared with.
    """
    options = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    by_record = f"grinder diff COMMIT --fixture {word}{options}"
    if not golden or settings:
        return f"{by_record}, by a COMMIT that was equal"
    return f"grinder diff {word} (and its first record, by a COMMIT that was equal: {by_record})"


def word_for(data: Fixture) -> str:
    """What the command line is told to find a fixture: its name where that finds it, else its folder."""
    if data.path is None:
        return data.name
    try:
        if find_fixture(data.path.name).resolve() == data.path.resolve():
            return data.path.name
    except FixtureNotFound:
        pass
    text = str(data.path)
    return shlex.quote(text if os.sep in text else os.path.join(".", text))


class Standing(NamedTuple):
    """How a run stands to its fixture's golden."""

    kind: str
    """equal; differs; unlike: the golden is of other data, settings or policy; none: there is none"""
    headline: str
    text: str
    """where it differs, or why the two cannot be compared"""


def standing(run: Run) -> Standing:
    """How a run stands to the golden of the fixture that it replayed, or of the one of its name; nothing is replayed."""
    known = _golden_of(run)
    if not isinstance(known, Digest):
        return Standing("none", "no golden", known)
    if known.value == run.digest.value:
        return Standing("equal", "equal to its golden", "")
    why = [] if known.input == run.digest.input else ["other market data"]
    why += [] if known.config == run.digest.config else [f"other settings{_unlike(run)}"]
    why += [f"policy {run.provenance['policy']} of one's own"] if "policy" in run.provenance else []
    why += [] if run.complete else [f"{run.events:,} of {run.total:,} events"]
    if why:
        return Standing("unlike", "not what its golden is of", f"This run is of {', '.join(why)}.")
    first = first_difference(known, run.digest)
    when = span(run.market, first) if first and run.market is not None else ""
    return Standing("differs", "NOT equal to its golden", f"Golden is {known.value}. {first}{when}")


def _golden_of(run: Run) -> Digest | str:
    """The golden, or why there is none."""
    try:
        folder = run.source[0].path if run.source else find_fixture(run.name)
        if folder is None:
            return "" if run.source is None else "The fixture was made in memory."
        file = folder / GOLDEN
        return read_digest(file) if file.is_file() else ""
    except GrinderError as error:
        return str(error) if isinstance(error, IntegrityError) else ""


def _unlike(run: Run) -> str:
    """Names of settings that are not the fixture's own, where these are known."""
    if run.source is None:
        return ""
    own, mine = Config(**run.source[0].manifest.get("config", {})).changed(), run.config.changed()
    names = sorted(name for name in own.keys() | mine.keys() if own.get(name) != mine.get(name))
    return f" ({', '.join(names)})" if names else ""


def span(market: Events | Fixture, difference: Difference) -> str:
    """First and last time of the window that differs, to be said after the difference; empty where no event lies in it."""
    total = len(market) if isinstance(market, Fixture) else len(market.ts)
    start, stop = difference.window * WINDOW, min((difference.window + 1) * WINDOW, total)
    if not 0 <= start < total:
        return ""
    ts = market.chunk(start, stop).ts if isinstance(market, Fixture) else market.ts[start:stop]
    first, last = (np.datetime64(int(ts[row]), "ns") for row in (0, -1))
    return f"; {first} to {last} UTC"


def shortfalls(data: Fixture, run: Run) -> tuple[str, ...]:
    """What the manifest's `[expect]` asks for and the run does not show. A golden that exercises nothing proves nothing.

    `fills, buys, sells, cycles, commands` are least counts, `realised = true` asks for realised PnL other than 0; `regimes`,
    `gates` (at a level over 0) and `alerts` list names that must occur.
    """
    expect = data.manifest.get("expect", {})
    wrong = wrong_expectation(expect)
    if wrong:
        raise IntegrityError(f"{data.path}: {wrong}")
    missing = []
    summary = run.summary()
    counts = summary | {"commands": int((run.input["kind"] == InputKind.COMMAND).sum())}
    for key, least in expect.items():
        if key == "realised":
            if least and summary["realised"] == 0:
                missing.append("realised PnL other than 0")
        elif key in NAMES:
            missing += [f"{key[:-1]} {name}" for name in least if NAMES[key][name] not in _seen(run, key)]
        elif counts[key] < least:
            missing.append(f"{key}: at least {least}, there are {counts[key]}")
    return tuple(missing)


def _seen(run: Run, stage: str) -> set[int]:
    """Codes that occur in a stage: regimes entered, gates opened, alerts raised."""
    records = run.tables[stage].records
    if stage == "gates":
        records = records[records["to"] > 0]
    return set(records[{"regimes": "to", "gates": "gate", "alerts": "code"}[stage]].tolist())


def read_golden(data: Fixture) -> Digest:
    """The golden of a fixture.

    Raises:
        DataError: there is none. IntegrityError: it is damaged.
    """
    if data.path is None:
        raise DataError(f"{data.name} was made in memory and has no golden; write it with `gr.write_fixture`")
    file = data.path / GOLDEN
    if not file.is_file():
        raise DataError(f"{file}: there is no golden yet: `grinder accept {data.name} --reason ...` makes one")
    if leads_out(data.path, file):
        raise IntegrityError(f"{file}: is a link that leads out of the fixture's folder; put the file itself there")
    return read_digest(file)


def read_digest(file: Path) -> Digest:
    """The digest in a golden's file.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        body = strict_json(text_of(file))
        beside = body.keys() & BESIDE if isinstance(body, dict) else set()
        only(body, {*DIGEST_KEYS, *beside})
        return Digest.from_dict({key: body[key] for key in DIGEST_KEYS})
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise IntegrityError(f"{file}: no readable golden: {cause(error)}") from None


def check_change(reason: str, option: str) -> None:
    """Whether goldens may change here, for this reason.

    Args:
        reason: why the digest changed. option: where the user gives it, for the message.

    Raises:
        ConfigError: no reason, or under CI, where goldens never change.
    """
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise ConfigError("CI is set: goldens are accepted by a person, with a reason, never in CI")
    if len(reason.split()) < 2:
        raise ConfigError(f"{option} with at least two words: why did the digest change?")


def write_digest(file: Path, run: Run, reason: str) -> None:
    """Write a run's digest as a golden, with its reason and headline numbers; whole or not at all. `check_change` comes before."""
    _write(file, {**run.digest.to_dict(), "reason": reason, "headline": run.summary()})


def accept(name: Fixture | str | os.PathLike[str], reason: str) -> tuple[Digest | None, Digest]:
    """Make the digest of the present code the golden of a fixture, with the reason. Returns the old one and the new.

    Raises:
        ConfigError: no reason, or under CI, where goldens never change. DigestMismatch: `[expect]` is not met.
    """
    check_change(reason, "accept needs --reason")
    data = name if isinstance(name, Fixture) else named_fixture(name)
    if data.path is None:
        raise ConfigError(f"{data.name} was made in memory; write it with `gr.write_fixture` first")
    run = replay(data)
    missing = shortfalls(data, run)
    if missing:
        raise DigestMismatch(f"{data.name} does not show what [expect] asks for: {'; '.join(missing)}")
    file = data.path / GOLDEN
    try:
        before = read_golden(data)
    except DataError:
        before = None  # none yet, or one that this version cannot read, which is a reason to accept a new one
    write_digest(file, run, reason)
    return before, run.digest


def _write(file: Path, body: Mapping[str, Any]) -> None:
    write_whole(file, (json.dumps(body, indent=1, sort_keys=True) + "\n").encode())
