"""Scenario files: a market, line by line, and what the engine has to do about it, in text that needs no Python to be read.

A file holds several scenarios, each from a line `scenario NAME`; what stands before the first of them belongs to all. `# ` starts a
comment. Lines that are not indented say what there is and what happens; indented lines are the records that their cause, the last
line that is not indented, has to make. From a `check` line on, every record of the stages it names has to be expected. Prices,
quantities and money are in human units, ratios in % or bp.

    instrument COIN perpetual tick 0.1 lot 1     # several are named after the time: `5s COIN quote ...`
    set thin_ms 3000                             # a setting; several values make a list, NAME=VALUE a table
    policy static | smart | idle | own           # idle sees gates and does nothing; own wants what `want` and `grid` lines say
    around 0.1 x50                               # `tick 100` is a quote of 99.9 and 100.1 with 50 on either side
    start 23:59:50                               # time of day of 0s
    0s want B 99.5 x2, S 101 x1 reduce_only, tp 1%
    0s grid center=100 step=1% levels=3/3 size=2 tp=1% adds=FULL/ONCE budget=100
    check gates regimes
    0s quote 99.9 x5 100.1 x5
      gate THIN 0 -> 1
    1s..9s every 1s tick 100 100.2               # several mids take turns; records then tell their time:
      @4s gate THIN 1 -> 0
    10s book 99.9 x5, 99.8 x7 / 100.1 x5
    11s trade 100 x1
    12s funding 0.01% 100
    13s command pause

Words of a record that are not NAME=VALUE have to be its own; of its values any may be named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import grinder as gr
from grinder import records as r
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import GrinderError
from grinder.policies.own import GridPlan, TargetState, WantedOrder, policy
from grinder.session import replay
from grinder.units import exact_units, parse_ratio
from tests.scenario_records import WORDS, Printer, Record, decimal, plain

NOON = 1_700_006_400_000_000_000 + 12 * 3600 * 10**9
"""2023-11-15 12:00 UTC in ns: 0s, unless a file says when it starts."""
UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class Wrong(ValueError):
    """A line of a scenario that cannot be read."""


@dataclass
class Cause:
    """A line that makes events, and the records they have to make: (time or None, stage, record)."""

    line: int
    text: str
    stages: frozenset[str]
    events: list[tuple[int, int, int, int]] = field(default_factory=list)
    expected: list[tuple[int | None, str, Record]] = field(default_factory=list)


@dataclass
class Scenario:
    """One scenario as read from its lines."""

    name: str
    start: int = NOON
    instruments: list[Instrument] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    policy: str = "static"
    around: tuple[str, str] = ("0.1", "50")
    stages: set[str] = field(default_factory=set)
    causes: list[Cause] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    wants: list[tuple[int, str, str]] = field(default_factory=list)


# Numbers


def time_of(token: str, start: int = 0) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", token)
    if not match:
        raise Wrong(f"{token!r} is no time: write 5s, 1.5s, 200ms, 2m or 1h")
    return start + exact_units(Decimal(match[1]) * UNITS[match[2]], "1")


# Reading


def read(file: str) -> list[Scenario]:
    """The scenarios of a file, given as its text."""
    common: list[tuple[int, str]] = []
    parts: list[tuple[str, list[tuple[int, str]]]] = []
    for number, line in enumerate(file.splitlines(), 1):
        text = re.sub(r"(^|\s)#(\s.*|$)", "", line).rstrip()
        if text.startswith("scenario "):
            parts.append((text.split()[1], []))
        elif text:
            (parts[-1][1] if parts else common).append((number, text))
    return [parse(name, common + lines) for name, lines in parts]


def parse(name: str, lines: list[tuple[int, str]]) -> Scenario:
    scenario = Scenario(name)
    for number, text in lines:
        try:
            if text[0].isspace():
                _read_record(scenario, number, text.split())
            elif text[0].isdigit():
                _read_event(scenario, number, text)
            else:
                _read_header(scenario, text.split())
        except (ValueError, KeyError, IndexError, GrinderError) as error:
            raise Wrong(f"{name}, line {number}: {text.strip()}: {error}") from error
    return scenario


def _read_header(one: Scenario, words: list[str]) -> None:
    what, given = words[0], words[1:]
    if what == "instrument":
        name, kind, _, tick, _, lot = given
        one.instruments.append(Instrument(symbol=name, kind=kind, tick_size=tick, lot_size=lot))
    elif what == "set":
        one.settings[given[0]] = _setting(given[1:])
    elif what == "policy":
        one.policy = given[0]
    elif what == "around":
        one.around = (given[0], given[1].removeprefix("x"))
    elif what == "start":
        hours, minutes, seconds = (int(part) for part in given[0].split(":"))
        one.start = NOON + ((hours - 12) * 3600 + minutes * 60 + seconds) * 10**9
    elif what == "check":
        unknown = set(given) - set(r.STAGES)
        if unknown:
            raise Wrong(f"there is no stage {unknown}")
        one.stages |= set(given)
    else:
        raise Wrong("neither a header, an event nor a record")


def _setting(given: list[str]) -> Any:
    if "=" in given[0]:
        return {name: _setting([value]) for name, value in (item.split("=") for item in given)}
    values = [{"on": True, "off": False}.get(text, int(text) if re.fullmatch(r"\d+", text) else text) for text in given]
    return values[0] if len(values) == 1 else tuple(values)


def _read_record(one: Scenario, number: int, words: list[str]) -> None:
    at = time_of(words.pop(0)[1:], one.start) if words[0].startswith("@") else None
    stage, cause = WORDS[words[0]], one.causes[-1]
    if stage not in cause.stages:
        raise Wrong(f"nothing is checked in {stage} here: `check {stage}` before")
    if at is None and len(cause.events) > 1:
        raise Wrong("records of several events tell their time, such as @5s")
    values = dict(plain(word).split("=", 1) for word in words if "=" in word)
    cause.expected.append((at, stage, Record(" ".join(plain(word) for word in words if "=" not in word), values, number)))


def _read_event(one: Scenario, number: int, text: str) -> None:
    when, rest = text.split(maxsplit=1)
    first, _, last = when.partition("..")
    start, times = time_of(first, one.start), [time_of(first, one.start)]
    if last:
        _, every, rest = rest.split(maxsplit=2)
        times = list(range(start, time_of(last, one.start) + 1, time_of(every)))
    if rest.split()[0] in ("want", "grid"):
        one.wants.append((start, *rest.split(maxsplit=1)))
        return
    names = [instrument.symbol for instrument in one.instruments]
    s = 0
    if rest.split()[0] in names:
        s, rest = names.index(rest.split()[0]), rest.split(maxsplit=1)[1]
    verb, _, given = rest.partition(" ")
    cause = Cause(number, text, frozenset(one.stages))
    one.causes.append(cause)
    for k, ts in enumerate(times):
        _add_row(one, cause, verb, given.split(), ts, s, k)


def _add_row(one: Scenario, cause: Cause, verb: str, given: list[str], ts: int, s: int, k: int) -> None:
    instrument = one.instruments[s]
    px = lambda text: exact_units(text, instrument.tick_size, "price")  # noqa: E731
    qty = lambda text: exact_units(text.removeprefix("x"), instrument.lot_size, "quantity")  # noqa: E731
    row: dict[str, Any] = {"ts": ts, "symbol": instrument.symbol}
    stream = {"tick": "quotes", "quote": "quotes", "book": "books", "trade": "trades", "funding": "funding", "command": "commands"}[
        verb
    ]
    if verb == "tick":
        mid, (half, size) = Decimal(given[k % len(given)]), one.around
        given = [str(mid - Decimal(half)), size, str(mid + Decimal(half)), size]
    if stream == "quotes":
        row |= dict(
            zip(("bid_px", "bid_qty", "ask_px", "ask_qty"), (f(t) for f, t in zip((px, qty) * 2, given, strict=True)), strict=True)
        )
    elif verb == "book":
        row["levels"] = [[(px(t.split()[0]), qty(t.split()[1])) for t in side.split(",")] for side in " ".join(given).split("/")]
    elif verb == "trade":
        row |= {"id": len(one.rows.get("trades", [])), "px": px(given[0]), "qty": qty(given[1]), "aggressor": 1}
    elif verb == "funding":
        row |= {"rate": parse_ratio(given[0]), "mark_px": px(given[1])}
    else:
        row |= {"command": given[0], "symbol": given[1] if len(given) > 1 else "*"}
    rows = one.rows.setdefault(stream, [])
    rank = -1 if row["symbol"] == "*" else sorted(i.symbol for i in one.instruments).index(row["symbol"])
    cause.events.append((ts, int(r.Stream[stream.upper()]), rank, len(rows)))
    rows.append(row)


# Running


def play(one: Scenario) -> gr.Run:
    """Replay a scenario."""
    if one.policy in ("static", "smart"):
        one.settings["policy"] = one.policy
    config = Config(**one.settings)
    columns = {stream: _columns(stream, sorted(rows, key=lambda row: row["ts"])) for stream, rows in one.rows.items()}
    fixture = Fixture.from_arrays(one.instruments, config=config, name=one.name, **columns)
    own = {"static": None, "smart": None, "idle": policy(lambda view, params: None), "own": policy(_own(one))}[one.policy]
    return replay(fixture, config, own)


def _columns(stream: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    if stream != "books":
        return {name: [row[name] for row in rows] for name in rows[0]}
    out: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in ("ts", "symbol")}
    depth = max(len(side) for row in rows for side in row["levels"])
    for level in range(depth):
        for side, name in enumerate(("bid", "ask")):
            pairs = [row["levels"][side][level] if level < len(row["levels"][side]) else (0, 0) for row in rows]
            out[f"{name}_px_{level}"], out[f"{name}_qty_{level}"] = [p for p, _ in pairs], [q for _, q in pairs]
    return out


def _own(one: Scenario) -> Callable[..., Any]:
    """A policy that wants, of the first symbol, what the last `want` or `grid` line said."""
    names = sorted(instrument.symbol for instrument in one.instruments)
    instrument = one.instruments[0]
    told: dict[int, int] = {}

    def decide(view: Any, params: Any) -> Any:
        said = [k for k, (ts, _, _) in enumerate(one.wants) if ts <= view.ts]
        if names[view.symbol] != instrument.symbol or not said or told.get(0) == said[-1]:
            return None
        told[0] = said[-1]
        kind, text = one.wants[said[-1]][1:]
        return _target(text, instrument) if kind == "want" else _grid(text, instrument, view.symbol)

    return decide


def _target(text: str, instrument: Instrument) -> TargetState:
    orders, tp_step = [], 0
    for key, item in enumerate(text.split(",")):
        side, *rest = item.split()
        if side == "tp":
            tp_step = parse_ratio(rest[0])
        elif side in ("B", "S"):
            price, qty = exact_units(rest[0], instrument.tick_size), exact_units(rest[1][1:], instrument.lot_size)
            role = r.Role[rest[2].upper()] if len(rest) > 2 else r.Role.ENTRY
            orders.append(WantedOrder(1 if side == "B" else -1, key, price, qty, int(role)))
        elif side != "nothing":
            raise Wrong(f"{item!r}: want B or S, a price and a quantity")
    return TargetState(orders, tp_step)


def _grid(text: str, instrument: Instrument, s: int) -> GridPlan:
    given = dict(item.split("=") for item in text.split())
    down, up = (int(n) for n in given["levels"].split("/"))
    adds = [int(r.Adds[name]) for name in given.get("adds", "FULL/FULL").split("/")]
    size = exact_units(given["size"], instrument.lot_size)
    center = exact_units(given["center"], Fraction(instrument.tick_size) / 10**6)
    money = exact_units(given.get("budget", "0"), instrument.atom)
    step, tp_step = parse_ratio(given["step"]), parse_ratio(given["tp"])
    return GridPlan(s, center, step, down, up, (size,), (size,), tp_step, adds_down=adds[0], adds_up=adds[1], budget=money)


# Comparing


def differences(one: Scenario) -> Iterator[str]:
    """Every cause whose records are not those expected: line, cause, expected and got side by side."""
    run = play(one)
    show = Printer(run.instruments, one.start)
    order = sorted(event for cause in one.causes for event in cause.events)
    number = {event: k for k, event in enumerate(order)}
    got: dict[tuple[int, str], list[Record]] = {}
    for stage in set().union(*(cause.stages for cause in one.causes)):
        for row in run.tables[stage].records:
            got.setdefault((int(row["event"]), stage), []).append(show.record(stage, row))
    for cause in one.causes:
        times = {event[0] for event in cause.events}
        for at, _, record in cause.expected:
            if at is not None and at not in times:
                yield f"line {record.line}: there is no event at this time in line {cause.line}"
        for event in cause.events:
            for stage in sorted(cause.stages, key=list(r.STAGES).index):
                expected = [record for at, where, record in cause.expected if where == stage and at in (None, event[0])]
                records = got.get((number[event], stage), [])
                if len(expected) != len(records) or not all(e.fits(g) for e, g in zip(expected, records, strict=True)):
                    yield _side_by_side(one, cause, event[0], stage, expected, records)


def _side_by_side(one: Scenario, cause: Cause, ts: int, stage: str, expected: list[Record], got: list[Record]) -> str:
    lines = [f"line {cause.line}: {cause.text}    [{stage} at {decimal(ts - one.start, '0.000000001')}s]"]
    width = max([len(record.text()) for record in expected] + [8])
    lines.append(f"  {'line':>6}  {'expected':<{width}}  got")
    for k in range(max(len(expected), len(got))):
        wanted = expected[k] if k < len(expected) else None
        found = got[k] if k < len(got) else None
        sign = " " if wanted and found and wanted.fits(found) else "!"
        names = set(wanted.values) if wanted and found and wanted.words == found.words else None
        left = f"{wanted.line if wanted else '':>6}  {wanted.text() if wanted else '-':<{width}}"
        lines.append(f"{sign} {left}  {found.text(names) if found else '-'}")
    return "\n".join(lines)
