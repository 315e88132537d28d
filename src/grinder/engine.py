"""The engine: the order of a step, told once (SPEC 3), and the two kernels that a replay alternates (DESIGN 1).

`observe` (market.py) finds what depends on the market alone; `act` jumps from one interesting event to the next: the next
edge, the next order change that is due, the next touch of an order or trip. All state between two events is `World`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import numpy as np

from grinder._jit import branching_kernel, kernel
from grinder._prefetch import fetch_row
from grinder.cycle import entries_fit
from grinder.execution import reconcile
from grinder.features.bars import ALL_ABSENT
from grinder.fills import match, next_touch, touches_symbol
from grinder.index import BLOCK, first_due, is_tick, last_row
from grinder.ledger import book_funding, mark, open_ledger, roll_window
from grinder.market import open_market
from grinder.orders import apply_due_changes, set_touches
from grinder.policies.smart import decide_smart
from grinder.policies.static import decide_static
from grinder.protection import end_cooldowns, guard, note_bar, note_toxicity, obey, set_latch
from grinder.records import (
    LADDER_SLOTS,
    NEVER,
    SIZES,
    WORLD_DTYPES,
    Cause,
    EdgeKind,
    Events,
    Latch,
    PlanKind,
    PolicyKind,
    Regime,
    Severity,
    Stream,
    World,
    world_shapes,
)
from grinder.regime import step_regime
from grinder.selection import select
from grinder.tape import Tape, has_room

__all__ = ["DECIDE", "DONE", "FAULT", "FAULTS", "FULL", "act", "initial_world", "rows_per_event"]

DONE: Final = 0
"""All events up to `stop` are acted on."""
DECIDE: Final = 1
"""The event in hand waits for a policy's decision on a symbol."""
FULL: Final = 2
"""The tape may not hold what the next event writes."""
FAULT: Final = 3
"""A proof failed; `world.run[0]["fault"]` says which."""

FAULTS: Final[dict[int, str]] = {
    1: "equity from profits and equity from cash differ",
    2: "a symbol's turnover or cash passed its share of 2**62 atoms: lower quote_decimals",
    3: "more open cycles than there is room for",
    4: "more open orders than there is room for",
}

_ROLL: Final = int(EdgeKind.ROLL)
_FUNDING: Final = int(EdgeKind.FUNDING)
_BAR: Final = int(EdgeKind.BAR)
_GAP: Final = int(EdgeKind.GAP)
_GAP_BAR: Final = int(EdgeKind.GAP_BAR)
_FIRST: Final = int(EdgeKind.FIRST)
_GATE: Final = int(EdgeKind.GATE)
_COMMAND: Final = int(EdgeKind.COMMAND)
_COMMANDS: Final = int(Stream.COMMANDS)
_NO_PLAN: Final = int(PlanKind.NONE)
_CAUSE_BAR: Final = int(Cause.BAR)
_CAUSE_GATE: Final = int(Cause.GATE)
_CAUSE_TRIP: Final = int(Cause.TRIP)
_PAUSED: Final = int(Regime.PAUSED)
_RANGE: Final = int(Regime.RANGE)
_OWN: Final = int(PolicyKind.OWN)
_SMART: Final = int(PolicyKind.SMART)
_EXTREME: Final = int(Severity.EXTREME)
_LATCHED_BY_EXTREME: Final = int(Latch.EXTREME)
_LONG_AGO: Final = -NEVER


def initial_world(params: Any, instruments: Any, first_ts: int) -> World:
    """The state before the first event."""
    p = params[0]
    parts, size = _layout(int(p["symbols"]), tuple(p[list(SIZES)].tolist()))
    memory = bytearray(size)
    world = World(*(np.ndarray(shape, dtype, memory, at) for shape, dtype, at in parts))
    _open(world, params, instruments, first_ts)
    return world


@lru_cache(16)
def _layout(symbols: int, sizes: tuple[int, ...]) -> tuple[list[tuple[tuple[int, ...], np.dtype[Any], int]], int]:
    """Shape, type and place of each part of a world in one piece of memory, and its bytes: a sweep makes thousands."""
    shapes = world_shapes(symbols, dict(zip(SIZES, sizes, strict=True)))
    parts, end = [], 0
    for name in World._fields:
        dtype = np.dtype(WORLD_DTYPES[name])
        parts.append((shapes[name], dtype, end))
        end += math.prod(shapes[name]) * dtype.itemsize
    return parts, end


@branching_kernel
def _open(world: World, params: Any, instruments: Any, first_ts: int) -> None:
    """All that kernels have to begin with, in one entry from Python: each is compiled, and loaded, by itself."""
    p, run, alone = params[0], world.run[0], len(world.symbols) == 1
    run["next_due"], run["next_wake"], run["next_select"] = NEVER, NEVER, NEVER
    if p["policy"] == _SMART and not alone:
        run["next_wake"], run["next_select"] = first_ts, first_ts
    run["tokens"] = p["order_burst"] * 1_000_000_000
    for s in range(len(world.symbols)):
        symbol = world.symbols[s]
        symbol["selected"] = 1 if p["policy"] != _SMART or alone else 0
        symbol["halt_due"], symbol["entries_ts"] = NEVER, _LONG_AGO
        symbol["toxic_ts"], symbol["bookless_ts"] = NEVER, NEVER
        symbol["regime"] = _PAUSED if p["gated"] != 0 else _RANGE
        symbol["trip_low"], symbol["trip_high"] = -NEVER, NEVER
        world.features[s]["absent"] = ALL_ABSENT
        set_touches(world, s)
    open_market(world, params, first_ts)
    open_ledger(world, params, instruments, first_ts)


def rows_per_event(world: World, depth: int) -> int:
    """The most rows that one event can add to a stage: every order of every symbol changed and replaced, every level recorded,
    every one of `depth` levels of a book taken."""
    symbols, room = world.orders.shape
    return int(symbols * (len(world.intents) + 4 * room + 2 * LADDER_SLOTS + depth) + 8)


@branching_kernel
def act(
    world: World, events: Events, index, base: int, at: int, stop: int, params, instruments, edges, closes, cursor, n_edges,
    tape: Tape, rows
):  # fmt: skip
    """Act on events [at, stop) until done, or until Python has something to do.

    Args:
        events, index, base, at, stop: as for `observe`, which has seen all of them.
        edges, closes, cursor, n_edges: what it found, and the first not yet handled.
        tape, rows: where records go, and the most rows that one event can add.

    Returns:
        (next row, next edge, reason). After DECIDE call again with the same row: the step goes on where it stopped.
    """
    run = world.run[0]
    while at < stop:
        if run["in_step"] == 0:
            limit = edges[cursor]["event"] - base if cursor < n_edges else stop
            fetch_row(events, limit)  # it comes near while blocks are looked at
            limit = first_due(events.ts, at, limit, min(run["next_due"], run["next_wake"]))
            at = next_touch(world, params, events, index, at, limit)
            if at == stop:
                break
            fetch_row(events, at)
            if not has_room(tape, rows):
                return at, cursor, FULL
            cursor = _begin_step(world, events, index, base, at, params, instruments, edges, closes, cursor, n_edges, tape)
            run["in_step"] = 1
        if not _finish_step(world, params, instruments, tape, base + at, events.ts[at]):
            return at, cursor, DECIDE
        run["in_step"] = 0
        if run["fault"] != 0:
            return at, cursor, FAULT
        at += 1
    _load_l1(world, events, index, stop)
    return at, cursor, DONE


@kernel
def _load_l1(world, events, index, stop):
    """Bring every symbol's L1 state up to row `stop`, exclusive."""
    for s in range(len(world.symbols)):
        i = last_row(events, index, s, stop)
        if i >= 0:
            _set_l1(world.symbols[s], events, i)


@kernel
def _set_l1(symbol, events, i):
    symbol["bid_px"], symbol["bid_qty"] = events.bid_px[i], events.bid_qty[i]
    symbol["ask_px"], symbol["ask_qty"] = events.ask_px[i], events.ask_qty[i]
    symbol["mid2"] = symbol["bid_px"] + symbol["ask_px"]


@kernel
def _begin_step(world, events, index, base, i, params, instruments, edges, closes, cursor, n_edges, tape):
    """Steps 1 to 4 of SPEC 3.2 for row `i`: clock, book, fills, ledger. Returns the next edge."""
    event, ts, alone = base + i, events.ts[i], len(world.symbols) == 1
    s = 0 if alone else events.symbol[i]  # what the index knows is not read: a row's columns are in memory far apart
    plain = index[0, i // BLOCK]["ticks"] == BLOCK  # then no row of the block is another symbol's
    # 1. Clock: what is due takes effect, at the state before the event.
    _load_l1(world, events, index, i)
    if ts >= world.run[0]["next_due"]:
        apply_due_changes(world, tape, event, ts)
    if ts >= world.run[0]["next_wake"]:
        end_cooldowns(world, ts)
    end = cursor
    while end < n_edges and edges[end]["event"] == event:
        kind, closing = edges[end]["kind"], edges[end]["symbol"]
        if kind == _BAR or kind == _GAP:
            world.features[closing] = closes[edges[end]["a"]]
            _set_trend(world.symbols[closing], edges[end]["b"])
        elif kind == _ROLL:  # after the bars, of which budgets may be a function
            roll_window(world, params, instruments, tape, event, ts)
            if params[0]["gated"] != 0:
                guard(world, params, instruments, tape, event, ts)
        end += 1
    # 2. Book.
    symbol = world.symbols[s]
    _set_l1(symbol, events, i)
    if symbol["taken_buy"] + symbol["taken_sell"] > 0 and (plain or is_tick(events.kind[i], events.fault[i])):
        symbol["taken_buy"], symbol["taken_sell"] = 0, 0
        set_touches(world, s)
    _take_edges(world, params, instruments, edges, cursor, end)
    # 3. Fills.
    if plain or (events.fault[i] == 0 and events.kind[i] != _COMMANDS):
        if touches_symbol(symbol, params[0], symbol["bid_px"], symbol["ask_px"]):
            match(world, params, instruments, events, tape, event, ts, i, s)
        if symbol["mid2"] <= symbol["trip_low"] or symbol["mid2"] >= symbol["trip_high"]:
            symbol["cause"] |= _CAUSE_TRIP
    # 4. Ledger.
    if _has_cause(world.symbols):
        mark(world, params, instruments, tape, event, ts)
        if params[0]["gated"] != 0:
            guard(world, params, instruments, tape, event, ts)
    # 5. Gates are exogenous: `observe` has moved them; what lasts is looked at when bars close. 6. Regimes.
    if params[0]["gated"] != 0:
        _note_bars(world, params, edges, cursor, end, tape, event, ts)
    for s in range(len(world.symbols)):
        if world.symbols[s]["judge"] != 0:
            world.symbols[s]["judge"] = 0
            if step_regime(world, tape, event, ts, s, params[0]["gated"]):
                world.symbols[s]["decide"], world.symbols[s]["settled"] = 1, 0
    # 7. Selection comes before any plan.
    if params[0]["policy"] == _SMART and len(world.symbols) > 1:
        select(world, params, instruments, ts)
    return end


@kernel
def _take_edges(world, params, instruments, edges, cursor, end):
    """What the edges of one event ask of steps 3 to 7: funding on the position held, marks, decisions."""
    for e in range(cursor, end):
        edge = edges[e]
        kind = edge["kind"]
        if kind == _FUNDING:
            book_funding(world, instruments, edge["symbol"], edge["a"], edge["b"])
            world.symbols[edge["symbol"]]["rate"] = edge["a"]
        elif kind == _BAR or kind == _GAP_BAR:
            world.symbols[edge["symbol"]]["cause"] |= _CAUSE_BAR
        elif kind == _COMMAND:
            obey(world, params, edge["a"], edge["symbol"])
        elif kind == _GATE:
            _take_gates(world.symbols[edge["symbol"]], edge["a"], edge["b"])
            extreme = world.symbols[edge["symbol"]]["toxicity"] >= _EXTREME
            if extreme and params[0]["latch_on_extreme"] != 0 and world.run[0]["latch"] == 0:
                set_latch(world, _LATCHED_BY_EXTREME)
        if kind == _BAR or kind == _GAP:
            world.symbols[edge["symbol"]]["judge"] = params[0]["gated"]
        if kind == _BAR or kind == _FIRST:
            world.symbols[edge["symbol"]]["decide"] = 1
        if kind == _FIRST:
            world.symbols[edge["symbol"]]["anchor2"] = world.symbols[edge["symbol"]]["mid2"]


@kernel
def _note_bars(world, params, edges, cursor, end, tape, event, ts):
    """Alerts of what lasts: toxicity as of before this event, and books of the bars that closed."""
    for s in range(len(world.symbols)):
        for e in range(cursor, end):
            if edges[e]["kind"] == _BAR and edges[e]["symbol"] == s:
                note_bar(world.symbols[s], world.features[s]["absent"], params[0], tape, event, ts, s)
    for e in range(cursor, end):
        if edges[e]["kind"] == _GATE:
            note_toxicity(world.symbols[edges[e]["symbol"]], ts)


@kernel
def _set_trend(symbol, trend):
    """A change of the trend state ends what ONCE remembers (SPEC 16.5)."""
    if trend != symbol["trend"]:
        symbol["trend"], symbol["once_down"], symbol["once_up"], symbol["settled"] = trend, 0, 0, 0


@kernel
def _take_gates(symbol, levels, reasons):
    """Gates of a symbol: one whose level moved is a mark and asks for a decision (SPEC 3.2, 10)."""
    if levels >> 20:
        symbol["decide"], symbol["settled"] = 1, 0
        symbol["cause"] |= _CAUSE_GATE
    symbol["stale"], symbol["thin"], symbol["severe"] = levels & 15, levels >> 4 & 15, levels >> 8 & 15
    symbol["shock"], symbol["toxicity"], symbol["reasons"] = levels >> 12 & 15, levels >> 16 & 15, reasons
    symbol["judge"] = 1


@kernel
def _has_cause(symbols):
    for s in range(len(symbols)):
        if symbols[s]["cause"] != 0:
            return True
    return False


@kernel
def _finish_step(world, params, instruments, tape, event, ts):
    """Steps 7 and 8 of SPEC 3.2, symbol by symbol: decide, then reconcile. False: a policy outside the kernel has to decide."""
    p = params[0]
    for s in range(len(world.symbols)):
        symbol = world.symbols[s]
        if symbol["mid2"] == 0:
            symbol["decide"] = 0  # commands, gates and regimes may come before the first quote, where nothing can be decided
        if symbol["decide"] != 0:
            if p["policy"] == _OWN:
                return False
            if p["policy"] == _SMART:
                decide_smart(world, params, instruments, tape, event, ts, s)
            elif world.plans[s]["kind"] == _NO_PLAN:  # `static` decides once
                decide_static(world, params, instruments, tape, event, ts, s)
            symbol["decide"], symbol["reflex"] = 0, 1
        if symbol["reflex"] != 0:
            symbol["reflex"] = 0
            if symbol["settled"] == 0 or not entries_fit(symbol, instruments[s]):
                reconcile(world, params, instruments, tape, event, ts, s)
    return True
