"""Observe: what depends on the market alone. A pass over the events gives bars, features and the edges at which `act` has work.

It never sees an order, so it can be done once and shared (SPEC 3, 4; ADR-0001).
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.features.bars import clear_features, close_features
from grinder.features.book import book_features
from grinder.gates import (
    clear_windows,
    close_gates,
    judge_inputs,
    mid_then,
    note_book,
    note_stray,
    open_gates,
    set_stale,
    settle_gates,
    stale_due,
)
from grinder.index import BLOCK, first_due, is_tick, last_book, next_odd, next_tick
from grinder.quiet import quiet_until
from grinder.records import NEVER, NONE, EdgeKind, Events, Fault, InputKind, Stream, World
from grinder.tape import Tape

__all__ = ["observe", "open_market"]

_FUNDING_STREAM: Final = int(Stream.FUNDING)
_BOOKS: Final = int(Stream.BOOKS)
_COMMAND_STREAM: Final = int(Stream.COMMANDS)
_QUARANTINED: Final = int(InputKind.QUARANTINED)
_GAP: Final = int(InputKind.GAP)
_FUNDING: Final = int(InputKind.FUNDING)
_COMMAND: Final = int(InputKind.COMMAND)
_EDGE_ROLL: Final = int(EdgeKind.ROLL)
_EDGE_FUNDING: Final = int(EdgeKind.FUNDING)
_EDGE_BAR: Final = int(EdgeKind.BAR)
_EDGE_GAP: Final = int(EdgeKind.GAP)
_EDGE_GAP_BAR: Final = int(EdgeKind.GAP_BAR)
_EDGE_FIRST: Final = int(EdgeKind.FIRST)
_EDGE_GATE: Final = int(EdgeKind.GATE)
_EDGE_COMMAND: Final = int(EdgeKind.COMMAND)
assert min(Fault) == 0  # a fault column holds the code plus 1


@kernel
def open_market(world, params, first_ts):
    """Set what `observe` needs before the first event: no bar open, no L1 state, the first roll of the drawdown window."""
    run = world.run[0]
    for s in range(len(world.market)):
        world.market[s]["last_row"] = -1
    open_gates(world)
    run["next_bar_end"] = NEVER
    run["next_roll"] = NEVER
    if params[0]["roll_ns"] > 0:
        run["next_roll"] = (first_ts // params[0]["roll_ns"] + 1) * params[0]["roll_ns"]


@kernel
def observe(
    world: World, events: Events, index, quiet, base: int, at: int, stop: int, params, instruments, edges, closes, tape: Tape
):  # fmt: skip
    """Observe events [at, stop) until done or until a buffer may not hold the next one.

    Rows at which something can happen are looked at one by one; the calm ones between them are folded into their bars.

    Args:
        world: `market`, `filters`, `history` and the two clocks of `run` are read and moved on; nothing else is touched.
        events, index, base: a stretch of events, its index, and the run's index of its first row.
        quiet: extremes of spreads and sizes by the blocks of `index`; looked at with gates only.
        at, stop: rows of `events`.
        edges, closes: EDGE and FEATURES buffers of one length, filled from 0.

    Returns:
        (next row, number of edges). Writes `bars`, `features` and `input` records.
    """
    n_edges, i = 0, at
    most = 9 * len(world.market) + 5  # rows that one event can add to a buffer
    while i < stop:
        if not _has_room(tape, len(edges) - n_edges, most):
            break
        n_edges = _observe_row(world, events, index, base, i, params, instruments, edges, n_edges, closes, tape)
        i += 1
        if params[0]["gated"]:
            calm = quiet_until(world, events, index, quiet, base, i, stop, params, instruments)
        else:
            calm = _calm_until(world, events, index, i, stop, params[0])
        if calm > i:
            _fold(world, events, index, i, calm)
            i = calm
    for s in range(len(world.market)):
        _keep_l1(world.market[s], events)
        if i > at:
            _keep_book(world, events, s, i, events.ts[i - 1] - params[0]["l2_stale_ns"])
        if i > at and params[0]["gated"]:
            then = events.ts[i - 1] - params[0]["jump_window_ns"]
            world.gates[s]["mid_then"] = mid_then(world.gates[s], events, index, base, s, i, then)
    return i, n_edges


@kernel
def _has_room(tape, free_edges, most):
    n = tape.used[0]
    used = max(n["bars"], n["features"], n["input"], n["gates"])
    return min(free_edges, len(tape.bars) - used) >= most


@kernel
def _observe_row(world, events, index, base, i, params, instruments, edges, n, closes, tape):
    """Everything exogenous at row `i` in the order of SPEC 3.1: gap, bar ends, roll, then what the event itself is."""
    event, ts, s, kind, fault = base + i, events.ts[i], events.symbol[i], events.kind[i], events.fault[i]
    run, market, used = world.run[0], world.market[s], tape.used[0]
    tick = is_tick(kind, fault)
    if fault != 0:
        _put_input(tape.input, used, event, ts, s, _QUARANTINED, fault - 1, kind)
    if tick and market["seen"] == 1 and ts - market["last_ts"] > params[0]["max_gap_ns"]:
        _put_input(tape.input, used, event, ts, s, _GAP, 0, ts - market["last_ts"])
        clear_features(closes[n])
        closes[n]["event"], closes[n]["ts"], closes[n]["symbol"] = event, ts, s
        n = _put_edge(edges, n, event, s, _EDGE_GAP, n, 0)
        if market["bar_end"] != 0:
            _close_bar(run, world.market, tape.bars, used, event, ts, s)
            n = _put_edge(edges, n, event, s, _EDGE_GAP_BAR, 0, 0)
        world.filters[s]["bars"] = 0  # every window starts anew (SPEC 3.4)
        clear_windows(world, s, event)
    while ts >= run["next_bar_end"]:
        closing = _earliest_bar(world.market)
        _keep_l1(world.market[closing], events)
        _close_bar(run, world.market, tape.bars, used, event, ts, closing)
        closes[n] = _put_features(world, events, i, params, instruments, tape.features, used, event, closing)
        if params[0]["gated"]:
            close_gates(world, params, closing, closes[n], ts)
        n = _put_edge(edges, n, event, closing, _EDGE_BAR, n, world.gates[closing]["trend"])
    if params[0]["gated"]:
        _raise_stale(world, params[0], tape, event, ts)
    if ts >= run["next_roll"]:
        run["next_roll"] = (ts // params[0]["roll_ns"] + 1) * params[0]["roll_ns"]
        n = _put_edge(edges, n, event, NONE, _EDGE_ROLL, 0, 0)
    if tick and market["seen"] == 0:
        market["seen"] = 1
        n = _put_edge(edges, n, event, s, _EDGE_FIRST, 0, 0)
    if kind == _FUNDING_STREAM and fault == 0:
        row = events.funding[_place_of(events.funding["row"], i)]
        _put_input(tape.input, used, event, ts, s, _FUNDING, 0, row["rate"])
        n = _put_edge(edges, n, event, s, _EDGE_FUNDING, row["rate"], row["mark_px"])
    if kind == _COMMAND_STREAM:
        said = events.commands[_place_of(events.commands["row"], i)]
        _put_input(tape.input, used, event, ts, said["symbol"], _COMMAND, said["command"], 0)
        n = _put_edge(edges, n, event, said["symbol"], _EDGE_COMMAND, said["command"], 0)
    if tick:
        _tick(run, market, ts, events.bid_px[i] + events.ask_px[i], i, params[0]["bar_ns"])
    if params[0]["gated"]:
        n = _observe_gates(world, events, index, base, i, params, instruments, edges, n, tape, event)
    return n


@kernel
def _raise_stale(world, p, tape, event, ts):
    """Staleness deadlines that have passed, in the order (due, symbol)."""
    gates, markets = world.gates, world.market
    while True:
        first, due = NONE, ts + 1
        for s in range(len(gates)):
            own = stale_due(gates[s], markets[s], p)
            if own < due:
                first, due = s, own
        if first == NONE:
            return
        set_stale(world, tape, event, ts, first, gates[first]["stale"] + 1)
        world.run[0]["next_gate"] = ts  # to be looked at even where the event is another symbol's


@kernel
def _observe_gates(world, events, index, base, i, params, instruments, edges, n, tape, event):
    """Step 5 of SPEC 3.2: what row `i` says of its symbol's gates, then every gate that moves or whose hold ends."""
    ts, own = events.ts[i], events.symbol[i]
    if events.kind[i] == _COMMAND_STREAM:  # no market data: nothing is judged, but time passes
        return _settle(world, params, edges, n, tape, event, ts, NONE, False, False)
    refreshed = is_tick(events.kind[i], events.fault[i])
    bid, ask = events.bid_px[i], events.ask_px[i]
    if refreshed and events.kind[i] == _BOOKS:
        _keep_book(world, events, own, i + 1, ts)
        note_book(world, params, own, ts, bid + ask, world.books[own], instruments[own]["tick_value"])
    if events.fault[i] != 0:
        note_stray(world, own, ts)
    gate = world.gates[own]
    then = mid_then(gate, events, index, base, own, i + 1, ts - params[0]["jump_window_ns"])
    held = judge_inputs(world, params, instruments[own], own, ts, refreshed, bid, events.bid_qty[i], ask, events.ask_qty[i], then)
    rises = held or gate["raised"] != 0 or (refreshed and gate["stale"] > 0)
    return _settle(world, params, edges, n, tape, event, ts, own, rises, refreshed)


@kernel
def _settle(world, params, edges, n, tape, event, ts, own, rises, refreshed):
    """Every gate that moves at an event of symbol `own` (-1: none), or whose hold ends; `rises`: its own may."""
    run = world.run[0]
    everyone = ts >= run["next_gate"]
    if not (everyone or rises):
        return n  # nothing rises, nothing ends
    run["next_gate"] = NEVER if everyone else run["next_gate"]
    for s in range(len(world.gates)):
        gate = world.gates[s]
        if s == own and refreshed and gate["stale"] > 0:
            set_stale(world, tape, event, ts, s, 0)
        if s == own or everyone:
            moved = settle_gates(world, params, tape, event, ts, s)
            if moved:
                levels = gate["stale"] | gate["thin"] << 4 | gate["severe"] << 8 | gate["shock"] << 12 | gate["toxicity"] << 16
                n = _put_edge(edges, n, event, s, _EDGE_GATE, levels | (moved > 1) << 20, gate["reasons"])
    return n


@kernel
def _tick(run, market, ts, mid2, i, bar_ns):
    """One accepted L1 update enters its bar `[kI, (k+1)I)`."""
    market["last_ts"], market["last_row"] = ts, i
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
def _calm_until(world, events, index, at, stop, p):
    """The first row from `at` that can do more than move an open bar, else `stop`.

    Such are: the first one due for a timer, quarantined, funding and command rows, and L1 updates that open a bar or may end a gap.
    """
    run, markets = world.run[0], world.market
    due = min(run["next_bar_end"], run["next_roll"])
    for s in range(len(markets)):
        market = markets[s]
        if market["seen"] == 1 and market["bar_end"] != 0:
            due = min(due, market["last_ts"] + p["max_gap_ns"] + 1)
    stop = first_due(events.ts, at, stop, due)
    for s in range(len(markets)):
        if markets[s]["bar_end"] == 0:
            stop = next_tick(events, index, s, at, stop)
    return next_odd(events, index, at, stop)


@kernel
def _fold(world, events, index, at, stop):
    """Calm rows [at, stop) enter the open bars: whole blocks by their extremes, the rows around them one by one.

    Every column of a row is a look at memory that nothing has read lately, so that as few as can be are read.
    """
    markets = world.market
    head = min(stop, (at + BLOCK - 1) // BLOCK * BLOCK)
    tail = max(head, stop // BLOCK * BLOCK)
    _fold_rows(markets, events, index, at, head)
    for s in range(len(markets)):
        _fold_blocks(markets[s], events, index, s, head // BLOCK, tail // BLOCK)
    _fold_rows(markets, events, index, tail, stop)
    for s in range(len(markets)):
        last = markets[s]["last_row"]
        if last >= at:
            markets[s]["last_ts"], markets[s]["close"] = events.ts[last], events.bid_px[last] + events.ask_px[last]


@kernel
def _fold_rows(markets, events, index, at, stop):
    """Rows of one block."""
    bid, ask = events.bid_px, events.ask_px
    if at < stop and len(markets) == 1 and index[0, at // BLOCK]["ticks"] == BLOCK:
        _fold_ticks(markets[0], bid, ask, at, stop)
        return
    symbol, kind, fault = events.symbol, events.kind, events.fault
    for i in range(at, stop):
        if is_tick(kind[i], fault[i]):
            _fold_ticks(markets[symbol[i]], bid, ask, i, i + 1)


@kernel
def _fold_ticks(market, bid, ask, at, stop):
    """Rows that are all accepted L1 updates of one symbol."""
    bids, asks, low, high = bid[at:stop], ask[at:stop], market["low"], market["high"]
    for k in range(len(bids)):
        mid2 = bids[k] + asks[k]
        low, high = min(low, mid2), max(high, mid2)
    market["low"], market["high"] = low, high
    market["ticks"] += stop - at
    market["last_row"] = stop - 1


@kernel
def _fold_blocks(market, events, index, s, first, end):
    """Blocks [first, end) of a symbol, all of whose rows repeat an L1 state of the open bar."""
    last = -1
    for b in range(first, end):
        entry = index[s, b]
        if entry["ticks"] > 0:
            market["high"] = max(market["high"], entry["high"])
            market["low"] = min(market["low"], entry["low"])
            market["ticks"] += entry["ticks"]
            last = b
    if last >= 0:
        i = min(len(events.ts), (last + 1) * BLOCK) - 1
        if index.shape[0] > 1 or index[s, last]["ticks"] < BLOCK:
            while events.symbol[i] != s or not is_tick(events.kind[i], events.fault[i]):
                i -= 1
        market["last_row"] = i


@kernel
def _keep_l1(market, events):
    """Note the last accepted L1 update, whose row is in this stretch."""
    i = market["last_row"]
    if i >= 0:
        market["bid_px"], market["bid_qty"] = events.bid_px[i], events.bid_qty[i]
        market["ask_px"], market["ask_qty"] = events.ask_px[i], events.ask_qty[i]
        market["last_row"] = -1


@kernel
def _earliest_bar(markets):
    """The symbol whose open bar ends first; ties by symbol."""
    best, end = -1, NEVER
    for s in range(len(markets)):
        market = markets[s]
        if market["bar_end"] != 0 and market["bar_end"] < end:
            best, end = s, market["bar_end"]
    return best


@kernel
def _close_bar(run, markets, bars, used, event, ts, s):
    market = markets[s]
    row = bars[used["bars"]]
    used["bars"] += 1
    row["event"], row["ts"], row["symbol"] = event, ts, s
    row["start"], row["ticks"] = market["bar_start"], market["ticks"]
    row["open"], row["high"] = market["open"], market["high"]
    row["low"], row["close"] = market["low"], market["close"]
    market["bar_end"] = 0
    earliest = _earliest_bar(markets)
    run["next_bar_end"] = markets[earliest]["bar_end"] if earliest >= 0 else NEVER


@kernel
def _put_features(world, events, i, params, instruments, features, used, event, s):
    """Record the features of the bar that row `i` closed."""
    row, ts, p, tick_value = features[used["features"]], events.ts[i], params[0], instruments[s]["tick_value"]
    used["features"] += 1
    row["event"], row["ts"], row["symbol"] = event, ts, s
    close_features(world.market[s], world.filters[s], world.history[s], p, tick_value, row)
    oldest = ts - p["l2_stale_ns"]
    _keep_book(world, events, s, i, oldest)
    if world.market[s]["book_ts"] >= oldest:
        book_features(world.books[s], world.market[s], p, tick_value, row)
    return row


@kernel
def _keep_book(world, events, s, stop, oldest):
    """Keep the last book before row `stop` for the next stretch of events, unless it is stale by now."""
    market, kept = world.market[s], world.books[s]
    k = last_book(events, s, stop, oldest)
    if k < 0 and market["book_ts"] >= oldest:
        return
    market["book_ts"] = events.ts[events.book_rows[k]] if k >= 0 else 0
    for column in range(4):
        for level in range(kept.shape[1]):
            known = k >= 0 and level < events.books.shape[2]
            kept[column, level] = events.books[k, column, level] if known else 0


@kernel
def _place_of(rows, i):
    """The place of row `i`, which is there, in ascending rows."""
    low, high = 0, len(rows) - 1
    while low < high:
        middle = (low + high) // 2
        if rows[middle] < i:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _put_input(records, used, event, ts, s, kind, code, value):
    row = records[used["input"]]
    used["input"] += 1
    row["event"], row["ts"], row["symbol"] = event, ts, s
    row["kind"], row["code"], row["value"] = kind, code, value


@kernel
def _put_edge(edges, n, event, s, kind, a, b):
    row = edges[n]
    row["event"], row["symbol"], row["kind"], row["a"], row["b"] = event, s, kind, a, b
    return n + 1
