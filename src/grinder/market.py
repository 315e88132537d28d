"""Observe: what depends on the market alone. One pass over the events gives bars, gaps and the edges at which `act` has work.

It never sees an order, so it can be done once and shared (SPEC 3, 4; ADR-0001).
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.records import NEVER, NONE, EdgeKind, Events, Fault, InputKind, Stream, World
from grinder.tape import Tape
from grinder.units import NS_PER_DAY

__all__ = ["observe", "open_market"]

_BOOKS: Final = int(Stream.BOOKS)
_QUOTES: Final = int(Stream.QUOTES)
_FUNDING_STREAM: Final = int(Stream.FUNDING)
_QUARANTINED: Final = int(InputKind.QUARANTINED)
_GAP: Final = int(InputKind.GAP)
_FUNDING: Final = int(InputKind.FUNDING)
_EDGE_ROLL: Final = int(EdgeKind.ROLL)
_EDGE_FUNDING: Final = int(EdgeKind.FUNDING)
_EDGE_BAR: Final = int(EdgeKind.BAR)
_EDGE_GAP_BAR: Final = int(EdgeKind.GAP_BAR)
_EDGE_FIRST: Final = int(EdgeKind.FIRST)
assert min(Fault) == 0  # a fault column holds the code plus 1


@kernel
def open_market(world, params, first_ts):
    """Set the clocks that `observe` needs before the first event: no bar open, the first roll at the next midnight."""
    run = world.run[0]
    run["next_bar_end"] = NEVER
    run["next_roll"] = NEVER
    if params[0]["daily"]:
        run["next_roll"] = (first_ts // NS_PER_DAY + 1) * NS_PER_DAY


@kernel
def observe(world: World, events: Events, base: int, at: int, stop: int, params, edges, tape: Tape):
    """Observe events [at, stop) until done or until a buffer may not hold the next one.

    Args:
        world: `market` and the two clocks of `run` are read and moved on; nothing else is touched.
        events, base: a stretch of events and the run's index of its first row.
        at, stop: rows of `events`.
        edges: EDGE buffer, filled from 0.

    Returns:
        (next row, number of edges). Writes `bars` and `input` records.
    """
    run, p = world.run[0], params[0]
    symbols = p["symbols"]
    n_edges = 0
    quiet_rows = 2 * symbols + 4  # the most that one event can add to a buffer
    for i in range(at, stop):
        ts = events.ts[i]
        fault, kind = events.fault[i], events.kind[i]
        s = events.symbol[i]
        market = world.market[s]
        is_l1 = fault == 0 and (kind == _QUOTES or kind == _BOOKS)
        gap = is_l1 and market["seen"] == 1 and ts - market["last_ts"] > p["max_gap_ns"]
        first = is_l1 and market["seen"] == 0
        due = ts >= run["next_bar_end"] or ts >= run["next_roll"]
        if gap or first or due or fault != 0 or kind == _FUNDING_STREAM:
            room = len(edges) - n_edges
            room = min(room, len(tape.bars) - tape.used[0]["bars"], len(tape.input) - tape.used[0]["input"])
            if room < quiet_rows:
                return i, n_edges
            n_edges = _edges_of(world, events, base, i, edges, n_edges, tape, gap, first)
        if is_l1:
            _tick(run, market, ts, events.bid_px[i] + events.ask_px[i], p["bar_ns"])
    return stop, n_edges


@kernel
def _tick(run, market, ts, mid2, bar_ns):
    """One accepted L1 update enters its bar `[kI, (k+1)I)`."""
    market["last_ts"] = ts
    if market["bar_end"] == 0:
        start = ts // bar_ns * bar_ns
        market["bar_start"], market["bar_end"] = start, start + bar_ns
        market["open"], market["high"], market["low"], market["ticks"] = mid2, mid2, mid2, 0
        run["next_bar_end"] = min(run["next_bar_end"], start + bar_ns)
    market["high"] = max(market["high"], mid2)
    market["low"] = min(market["low"], mid2)
    market["close"] = mid2
    market["ticks"] += 1


@kernel
def _edges_of(world, events, base, i, edges, n, tape, gap, first):
    """Everything exogenous at row `i` in the order of SPEC 3.1: gap, bar ends, roll, then what the event itself is."""
    event, ts, s = base + i, events.ts[i], events.symbol[i]
    market = world.market[s]
    run = world.run[0]
    if events.fault[i] != 0:
        _put_input(tape, event, ts, s, _QUARANTINED, events.fault[i] - 1, events.kind[i])
    if gap:
        _put_input(tape, event, ts, s, _GAP, 0, ts - market["last_ts"])
        if market["bar_end"] != 0:
            _close_bar(world, tape, event, ts, s)
            n = _put_edge(edges, n, event, s, _EDGE_GAP_BAR, 0, 0)
    while ts >= run["next_bar_end"]:
        closing = _earliest_bar(world)
        _close_bar(world, tape, event, ts, closing)
        n = _put_edge(edges, n, event, closing, _EDGE_BAR, 0, 0)
    if ts >= run["next_roll"]:
        run["next_roll"] = (ts // NS_PER_DAY + 1) * NS_PER_DAY
        n = _put_edge(edges, n, event, NONE, _EDGE_ROLL, 0, 0)
    if first:
        market["seen"] = 1
        n = _put_edge(edges, n, event, s, _EDGE_FIRST, 0, 0)
    if events.kind[i] == _FUNDING_STREAM and events.fault[i] == 0:
        row = _funding_row(events.funding, i)
        _put_input(tape, event, ts, s, _FUNDING, 0, row["rate"])
        n = _put_edge(edges, n, event, s, _EDGE_FUNDING, row["rate"], row["mark_px"])
    return n


@kernel
def _earliest_bar(world):
    """The symbol whose open bar ends first; ties by symbol."""
    best, end = -1, NEVER
    for s in range(len(world.market)):
        market = world.market[s]
        if market["bar_end"] != 0 and market["bar_end"] < end:
            best, end = s, market["bar_end"]
    return best


@kernel
def _close_bar(world, tape, event, ts, s):
    market = world.market[s]
    row = tape.bars[tape.used[0]["bars"]]
    tape.used[0]["bars"] += 1
    row["event"], row["ts"], row["symbol"] = event, ts, s
    row["start"], row["ticks"] = market["bar_start"], market["ticks"]
    row["open"], row["high"] = market["open"], market["high"]
    row["low"], row["close"] = market["low"], market["close"]
    market["bar_end"] = 0
    earliest = _earliest_bar(world)
    world.run[0]["next_bar_end"] = world.market[earliest]["bar_end"] if earliest >= 0 else NEVER


@kernel
def _funding_row(funding, i):
    """The funding numbers of row `i`, which has some."""
    low, high = 0, len(funding) - 1
    while low < high:
        middle = (low + high) // 2
        if funding[middle]["row"] < i:
            low = middle + 1
        else:
            high = middle
    return funding[low]


@kernel
def _put_input(tape, event, ts, s, kind, code, value):
    row = tape.input[tape.used[0]["input"]]
    tape.used[0]["input"] += 1
    row["event"], row["ts"], row["symbol"] = event, ts, s
    row["kind"], row["code"], row["value"] = kind, code, value


@kernel
def _put_edge(edges, n, event, s, kind, a, b):
    row = edges[n]
    row["event"], row["symbol"], row["kind"], row["a"], row["b"] = event, s, kind, a, b
    return n + 1
