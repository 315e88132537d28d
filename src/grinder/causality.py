"""Whether a policy uses what it cannot know yet, or what is no input at all: `lookahead` (SPEC 3.5, 14).

A replay of the whole data and one of the data cut off after some event must agree in every record up to the cut. For a policy of
one's own the cut has to reach what the policy holds too: the events that it loaded or closed over, a signal made of the whole day.
So a policy given as `FILE.py:FUNCTION` is executed anew for each cut, and gets the fixture cut wherever it opens it; and whatever
any policy holds that has a row an event, a row a bar, or a column `ts` or `event` is cut to the same length.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace as changed
from functools import partial
from types import CodeType
from typing import Any, Final, NamedTuple

import numpy as np

from grinder.config import Config
from grinder.data.fixture import Fixture, fixture as named_fixture
from grinder.errors import ConfigError, PolicyError
from grinder.policies.own import Policy
from grinder.records import STAGES, Events
from grinder.reruns import USUAL, Outcome, Source, attempt, controlled, in_processes
from grinder.run import Run, Table

__all__ = ["Causality", "Finding", "lookahead"]

LARGE: Final = 32
"""Values in an array that a cut should shorten or tell of; fewer are taken for settings."""
MANY: Final = 64
"""Items of a container that are looked into one by one."""

_CURES: Final = {
    "look-ahead": "it used what came at or after the cut: take what it needs from the view, or keep what was seen so far",
    "randomness": "it draws numbers: give it a generator of its own, made anew for each run from a fixed seed",
    "time": "it reads a clock: view.ts is the time of the event in hand",
    "time zone": "it works in local time: view.ts is UTC",
    "hash order": "it goes over a set, or asks hash(): sort first",
    "global state": "something is left from the run before: begin anew where view.plan is -1, as it is before the first plan",
    "process": "in a process of its own it does otherwise: is a file, an argument or a module missing there?",
}


@dataclass(frozen=True)
class Finding:
    """The first difference of one kind between two replays that must be equal."""

    kind: str
    """look-ahead, randomness, time, time zone, hash order, global state or process"""
    event: int
    ts: int
    stage: str
    """a stage of SPEC 14, or `policy` where it failed in one of the two"""
    field: str
    values: tuple[Any, Any]
    """usual, other; None where a record is missing"""
    cut: int | None = None
    """events that the shorter replay had; None but for look-ahead"""

    def __str__(self) -> str:
        when = np.datetime64(self.ts, "ns")
        other = f"with the data cut off after event {self.cut - 1}" if self.cut is not None else "in the other run"
        what, shown = f"{self.stage}.{self.field}", [str(value) for value in self.values]
        if None in self.values:
            one = "it raises" if self.field == "raises" else "one at event"
            what, shown = self.stage, ["nothing" if value is None else f"{one} {value}" for value in self.values]
        return f"{self.kind}: event {self.event}, {when} UTC: {what}: {shown[0]}, {other} {shown[1]}\n    {_CURES[self.kind]}"

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "event": self.event,
            "ts": self.ts,
            "stage": self.stage,
            "field": self.field,
            "usual": self.values[0],
            "other": self.values[1],
            "cut": self.cut,
        }


@dataclass(frozen=True)
class Causality:
    """What `lookahead` found."""

    fixture: str
    policy: str
    events: int
    records: int
    cuts: tuple[int, ...]
    """Lengths, in events, that the data were cut to; empty where look-ahead could not be judged."""
    reruns: tuple[str, ...]
    """What was changed in replays of the whole."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What could not be checked."""

    @property
    def passed(self) -> bool:
        """Nothing was found."""
        return not self.findings

    @property
    def exit_code(self) -> int:
        """As the command line ends: 0 clean, 1 look-ahead alone, 4 as soon as two replays of the same differ."""
        if self.passed:
            return 0
        return 1 if all(finding.kind == "look-ahead" for finding in self.findings) else 4

    def __str__(self) -> str:
        what = "clean" if self.passed else ", ".join(finding.kind for finding in self.findings)
        lines = [f"{self.fixture}, policy {self.policy}: {what}"]
        lines.append(f"  {self.events:,} events, {self.records:,} records; {len(self.cuts)} cuts; reruns: {', '.join(self.reruns)}")
        return "\n".join(lines + [f"  {finding}" for finding in self.findings] + [f"  note: {note}" for note in self.notes])

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "fixture": self.fixture,
            "policy": self.policy,
            "passed": self.passed,
            "events": self.events,
            "records": self.records,
            "cuts": list(self.cuts),
            "reruns": list(self.reruns),
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
        }


def lookahead(
    fixture: Fixture | str | os.PathLike[str],
    config: Config | None = None,
    policy: Policy | Callable[..., Any] | str | None = None,
    *,
    cuts: int = 24,
    progress: Callable[[int, int], None] | None = None,
) -> Causality:
    """Look for look-ahead and for dependence on anything but the data: cut the data off, and replay again under other conditions.

    Cuts come right before the first fill, right after decisions (first those that changed orders) and evenly over the events; they
    are a function of the run alone. Reruns change what must not matter, one at a time, so that what does has a name.

    Args:
        fixture: a `Fixture`, the name of one, or its folder.
        config: settings on top of the fixture's own.
        policy: `"FILE.py:FUNCTION"`, a function or `gr.policy`, or None for the one that the settings name. A function cannot be
            made anew: it is checked in this process alone, where what it leaves behind stays.

    Other Args:
        cuts: at how many points the data are cut off.
        progress: called with (replays done, replays in all).

    Raises:
        ConfigError: no such file or function, or `cuts` is no whole number over 0.
        PolicyError: the policy fails on the whole data.

    >>> import grinder as gr
    >>> report = gr.lookahead("dydx_btcusd_1d", policy=gr.static, cuts=4)
    >>> report.passed, len(report.cuts)
    (True, 4)
    """
    if isinstance(cuts, bool) or not isinstance(cuts, int) or not 1 <= cuts <= 100_000:
        raise ConfigError(f"cuts is {cuts!r}: a whole number of points, 1 to 100000, at which the data are cut off")
    data = fixture if isinstance(fixture, Fixture) else named_fixture(fixture, config)
    source = Source(policy)
    if policy is not None and not isinstance(policy, str) and not callable(policy):
        raise ConfigError(f"policy is a {type(policy).__name__}: pass a function (view, params) or 'FILE.py:FUNCTION'")
    count = _Count(progress, cuts + (len(_hash_seeds(source)) + 8 if source.fresh else 7))
    with controlled(USUAL):
        kept = source.load()
        usual = count(attempt(data, config, lambda: kept))
    if usual.failure:
        raise PolicyError(f"policy {source.name} fails on the whole of {data.name}, event {usual.event}: {usual.failure}")
    findings, reruns, repeatable = _rerun(data, config, source, kept, usual, count)
    notes: list[str] = []
    if _outside(data, source):
        notes.append(_outside(data, source))
    else:
        found, name, alike = _other_processes(data, config, source, count)
        findings, reruns, repeatable = findings + found, [*reruns, name], repeatable and alike
    points: tuple[int, ...] = ()
    if not repeatable:
        notes.append("look-ahead was not judged: replays of the whole differ with nothing changed")
    else:
        points = cut_points(data, usual, cuts)
        found, uncut = _cut_off(data, config, source, usual, points, count)
        findings += found
        notes += [
            f"the policy holds {what}, which no cut shortens: what they tell of later events goes unnoticed" for what in uncut
        ]
    order = {kind: place for place, kind in enumerate(_CURES)}
    findings = sorted(_firsts(findings), key=lambda finding: order[finding.kind])
    records = sum(len(table) for table in usual.tables.values())
    return Causality(data.name, source.name, len(data), records, points, tuple(reruns), tuple(findings), tuple(notes))


class _Count:
    """Tells how many replays are done."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, outcome: Outcome) -> Outcome:
        self.done += 1
        if self.progress:
            self.progress(min(self.done, self.total), self.total)
        return outcome


# Reruns of the whole

_CHANGES: Final = {
    "time": USUAL._replace(clock=1_722_850_723),  # another year, month, day, weekday, hour, minute, second, odd for even
    "time zone": USUAL._replace(zone="Asia/Tokyo"),
    "randomness": USUAL._replace(seed=2),
}


def _rerun(
    data: Fixture, config: Config | None, source: Source, kept: Policy | None, usual: Outcome, count: _Count
) -> tuple[list[Finding], list[str], bool]:
    """Replays in this process: the same again, the policy kept, one condition changed at a time; and whether they can be repeated.

    What is kept is replayed once more after a third of the data: what counts modulo something may find itself as it began.
    """
    findings: list[Finding] = []
    reruns: list[str] = []
    if source.fresh:
        with controlled(USUAL):
            again = count(attempt(data, config, source.load))
        entropy = _difference(data, "randomness", usual, again)
        if entropy:  # it differs with nothing changed, so that no other cause can be told from it
            return [entropy], ["the same again"], False
        reruns.append("the same again")
    part = data.head(-(-len(data) // 3))
    for replayed in (data, part, data):
        with controlled(USUAL):
            again = count(attempt(replayed, config, lambda: kept))
        state = _difference(data, "global state", usual, again) if replayed is data else None
        findings += [state] if state else []
    reruns.append("without a new start")
    if findings and not source.fresh:
        return findings, reruns, False
    for kind, conditions in _CHANGES.items():
        with controlled(conditions):
            found = _difference(data, kind, usual, count(attempt(data, config, source.load)))
        findings += [found] if found else []
        reruns.append({"time": "another time", "time zone": "another time zone", "randomness": "another seed"}[kind])
    return findings, reruns, True


def _outside(data: Fixture, source: Source) -> str:
    """Why a policy cannot be replayed in another process, or nothing."""
    if not source.fresh:
        return "a function cannot be started in another process: hash order was not checked; give it as FILE.py:FUNCTION"
    if data.path is None or data.manifest.get("content_sha256") != data.content:
        return f"{data.name} is not what a folder holds, so that no other process could open it: hash order was not checked"
    return ""


def _hash_seeds(source: Source) -> range:
    """Two orders of a set are often alike where a policy looks: of a policy of one's own many are tried."""
    return range(8 if source.given else 3)


def _other_processes(data: Fixture, config: Config | None, source: Source, count: _Count) -> tuple[list[Finding], str, bool]:
    """Replays in processes of their own, of which each has a hash seed; and whether they can be repeated."""
    seeds = _hash_seeds(source)
    name = f"hash seeds 0 to {seeds[-1]}"
    first, *others = map(count, in_processes(data, config, source, seeds))
    if first.failure and all(other.failure == first.failure for other in others):
        fails = Finding("process", first.event, int(data.events.ts[first.event]), "policy", "raises", (None, first.failure))
        return [fails], name, True
    found = [difference for other in others if (difference := _difference(data, "hash order", first, other))]
    if found:
        alike = in_processes(data, config, source, (0, 0, 0))  # an address may come out as before by chance
        entropy = [difference for like in alike if (difference := _difference(data, "randomness", first, like))]
        if entropy:
            return entropy[:1], name, False
    return found, name, True


# Cuts


def cut_points(data: Fixture, usual: Outcome, count: int) -> tuple[int, ...]:
    """At how many events the data are cut off: a function of the run, at most `count` of them."""
    n = len(data)
    written = np.unique(np.concatenate([usual.tables[stage]["event"] for stage in ("plans", "intents")]))
    decided = np.unique([*usual.called, *usual.tables["bars"]["event"].tolist()]).astype(np.int64)
    fills = usual.tables["fills"]["event"]
    points = {int(fills[0])} if len(fills) and fills[0] > 0 else set()
    for events, share in ((written, 2), (decided, 4)):
        points |= {int(event) + 1 for event in _spread(events, (count - 1) // share)}
    points |= set(_spread(np.arange(1, n), count - len(points)))
    return tuple(sorted(point for point in points if 0 < point < n))


def _spread(values: np.ndarray, count: int) -> list[int]:
    """At most `count` of the values, evenly."""
    places = np.unique(np.arange(1, count + 1) * len(values) // (count + 1))
    return [int(values[place]) for place in places if place < len(values)]


def _cut_off(
    data: Fixture, config: Config | None, source: Source, usual: Outcome, points: tuple[int, ...], count: _Count
) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    lengths: dict[str, set[int]] = {}
    for point in points:
        cut = _Cut(data, point, int(data.events.ts[point - 1]), usual.tables["bars"]["event"])
        with controlled(USUAL), _opened_cut(cut), ExitStack() as stack:
            around = partial(_shortened, cut, stack, lengths)
            done = count(attempt(cut.data, config, source.load, around))
        kept = Outcome({stage: usual.tables[stage][usual.tables[stage]["event"] < point] for stage in STAGES})
        found = _difference(data, "look-ahead", kept, done)
        findings += [changed(found, cut=point)] if found else []
    # What is made anew of fewer data has another length each time.
    return findings, [f"{name}, {min(seen):,} values" for name, seen in lengths.items() if len(seen) == 1]


def _headed(data: Fixture, events: int) -> Fixture:
    """The head of a fixture as copies, so that nothing that reads past its end finds what comes there."""
    head = data.head(events)
    return changed(head, events=Events(*(column.copy() for column in head.events)))


class _Cut(NamedTuple):
    """Data cut off after some events, and what a row of other tables must be before to stay."""

    whole: Fixture
    events: int
    ts: int
    bars: np.ndarray
    """Events at which bars of the whole closed."""

    @property
    def data(self) -> Fixture:
        return _headed(self.whole, self.events)


@contextmanager
def _opened_cut(cut: _Cut) -> Iterator[None]:
    """Whoever opens the fixture meanwhile gets what is left of it."""
    real = Fixture.__dict__["open"]

    def opened(cls: type[Fixture], folder: Any, config: Config | None = None) -> Fixture:
        found: Fixture = real.__func__(cls, folder, config)
        return _headed(found, cut.events) if found.content == cut.whole.content else found

    setattr(Fixture, "open", classmethod(opened))  # noqa: B010 for a type checker it is no plain attribute
    try:
        yield
    finally:
        setattr(Fixture, "open", real)  # noqa: B010


class _Place(NamedTuple):
    """Where a function holds a value."""

    name: str
    value: Any
    put: Callable[[Any], None]


def _shortened(cut: _Cut, stack: ExitStack, lengths: dict[str, set[int]], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with what it holds cut off, until the stack unwinds. Compiled ones are compiled anew, with bounds checked."""
    for place in list(_places(function, set())):
        value = _cut_value(place.value, cut)
        if value is not place.value:
            stack.callback(place.put, place.value)
            place.put(value)
        elif _is_large(value) and len(value) != cut.events:
            lengths.setdefault(place.name, set()).add(len(value))
    return _checked(_compiled_anew(function))


def _places(called: Any, seen: set[int]) -> Iterator[_Place]:
    """Closure, globals, defaults and attributes that a function reaches by name, and those of functions that it calls."""
    plain = called.function if isinstance(called, Policy) else called
    plain = getattr(plain, "py_func", plain)
    if id(plain) in seen or str(getattr(plain, "__module__", "")).partition(".")[0] in ("grinder", "numpy", "numba"):
        return
    seen.add(id(plain))
    found: list[_Place] = []
    owner = getattr(plain, "__self__", None) if inspect.ismethod(plain) else None
    if not inspect.isroutine(plain):
        owner, plain = plain, type(plain).__call__
    if owner is not None and hasattr(owner, "__dict__"):
        found += [_Place(f"self.{name}", value, partial(vars(owner).__setitem__, name)) for name, value in vars(owner).items()]
    plain = getattr(plain, "__func__", plain)
    code = getattr(plain, "__code__", None)
    if code is not None:
        for name, cell in zip(code.co_freevars, plain.__closure__ or (), strict=True):
            try:
                found.append(_Place(name, cell.cell_contents, partial(setattr, cell, "cell_contents")))
            except ValueError:  # not set yet
                continue
        held = plain.__globals__
        found += [_Place(name, held[name], partial(held.__setitem__, name)) for name in sorted(_names(code)) if name in held]
        for name in ("__defaults__", "__kwdefaults__"):
            if getattr(plain, name):
                found.append(_Place(name.strip("_"), getattr(plain, name), partial(setattr, plain, name)))
    for place in found:
        yield place
        if isinstance(place.value, Policy) or inspect.isroutine(place.value) or hasattr(place.value, "py_func"):
            yield from _places(place.value, seen)


def _names(code: CodeType) -> set[str]:
    """The names that code and the functions within it look up."""
    return set(code.co_names).union(*(_names(inner) for inner in code.co_consts if inspect.iscode(inner)))


def _cut_value(value: Any, cut: _Cut) -> Any:
    """What is left of a value at the cut; the same object where nothing of it is cut off."""
    if hasattr(value, "py_func"):
        return _compiled_anew(value)
    if isinstance(value, Fixture):
        return cut.data if value.content == cut.whole.content else value
    if isinstance(value, Table):
        return Table(value.name, value.records[_rows_left(value.records, cut)].copy())
    if isinstance(value, Run):
        return changed(value, tables={stage: _cut_value(table, cut) for stage, table in value.tables.items()})
    if isinstance(value, Mapping) and type(value) is dict:
        return _cut_dict(value, cut)
    if isinstance(value, list | tuple) and len(value) <= MANY:
        items = [_cut_value(item, cut) for item in value]
        if all(a is b for a, b in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    left = _rows_left(value, cut)
    if left is None:
        return value
    if hasattr(value, "head"):
        return value.head(left.stop)  # polars and pandas
    part = value[left]
    return part.copy() if isinstance(part, np.ndarray) else part


def _cut_dict(value: dict[Any, Any], cut: _Cut) -> dict[Any, Any]:
    if len(value) <= MANY:
        items = {key: _cut_value(item, cut) for key, item in value.items()}
        return value if all(items[key] is item for key, item in value.items()) else items
    if not all(isinstance(key, int | np.integer) for key in value):
        return value
    if min(value) >= 0 and max(value) < len(cut.whole):
        return {key: item for key, item in value.items() if key < cut.events}
    first, last = cut.whole.events.ts[0], cut.whole.events.ts[-1]
    inside = min(value) <= last and max(value) >= first
    return {key: item for key, item in value.items() if key <= cut.ts} if inside else value


def _rows_left(value: Any, cut: _Cut) -> Any:
    """A slice of the rows of an array or frame that are known at the cut; None for what has no rows to cut."""
    if not hasattr(value, "__len__") or isinstance(value, str | bytes) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return None
    columns = getattr(getattr(value, "dtype", None), "names", None) or list(getattr(value, "columns", ()))
    if "event" in columns:
        return slice(0, int((np.asarray(value["event"]) < cut.events).sum()))
    if "ts" in columns:
        return slice(0, int((np.asarray(value["ts"]).astype(np.int64) <= cut.ts).sum()))
    if isinstance(value, list | tuple | np.ndarray) or hasattr(value, "head"):
        if len(value) == len(cut.whole):
            return slice(0, cut.events)
        if len(value) == len(cut.bars) > LARGE:
            return slice(0, int((cut.bars < cut.events).sum()))
    return None


def _is_large(value: Any) -> bool:
    if isinstance(value, Fixture):
        return False
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and len(value) >= LARGE
    return (type(value) in (list, tuple, dict) or hasattr(value, "head")) and hasattr(value, "__len__") and len(value) >= LARGE


def _compiled_anew(function: Any) -> Any:
    """A function that numba compiled has its globals within: compile it again with what they are now."""
    plain = getattr(function, "py_func", None)
    if plain is None or str(plain.__module__).partition(".")[0] == "grinder":
        return function
    import numba

    return numba.njit(plain)


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Called so that what numba compiles meanwhile checks bounds: past the end of a shorter array is no data, and no garbage."""
    from numba.core import config

    def checked(view: Any, params: Any) -> Any:
        before, config.BOUNDSCHECK = config.BOUNDSCHECK, 1
        try:
            return function(view, params)
        finally:
            config.BOUNDSCHECK = before

    return checked


# Differences


def _firsts(findings: list[Finding]) -> list[Finding]:
    """The first of each kind."""
    first: dict[str, Finding] = {}
    for finding in findings:
        known = first.get(finding.kind)
        if known is None or finding.event < known.event:
            first[finding.kind] = finding
    return list(first.values())


def _difference(data: Fixture, kind: str, usual: Outcome, other: Outcome) -> Finding | None:
    """The first event at which two outcomes differ, and there the first stage in causal order."""
    if usual.failure != other.failure or usual.event != other.event:
        failed = other if other.failure else usual
        values = tuple(outcome.failure or None for outcome in (usual, other))
        return Finding(kind, failed.event, int(data.events.ts[failed.event]), "policy", "raises", (values[0], values[1]))
    if usual.failure:
        return None
    rows = [_first_unlike(usual.tables[stage], other.tables[stage]) for stage in STAGES]
    known = [(row[0], place) for place, row in enumerate(rows) if row is not None]
    if not known:
        return None
    event, place = min(known)
    row = rows[place]
    assert row is not None
    return Finding(kind, event, int(data.events.ts[event]), list(STAGES)[place], row[1], row[2])


def _first_unlike(a: np.ndarray, b: np.ndarray) -> tuple[int, str, tuple[Any, Any]] | None:
    """(event, column, both values) of the first record in which two tables differ; a record that one lacks has no values there."""
    both = min(len(a), len(b))
    unlike = np.flatnonzero(a[:both] != b[:both])
    if not len(unlike) and len(a) == len(b):
        return None
    row = int(unlike[0]) if len(unlike) else both
    pair: list[Any] = [table[row] if row < len(table) else None for table in (a, b)]
    events = [int(record["event"]) for record in pair if record is not None]
    if len(events) == 2 and events[0] != events[1]:  # the earlier one has no fellow
        pair = [record if int(record["event"]) == min(events) else None for record in pair]
    left, right = pair
    if left is None or right is None:
        present = [None if record is None else int(record["event"]) for record in (left, right)]
        return min(events), "event", (present[0], present[1])
    column = next(name for name in left.dtype.names if left[name] != right[name])
    return events[0], column, (int(left[column]), int(right[column]))
