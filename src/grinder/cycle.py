"""CycleEngine: entries open cycles, cycles want take-profits, and both tell which entries a ladder wants (SPEC 8; ADR-0002)."""

from __future__ import annotations

from typing import Final

import numpy as np

from grinder._jit import kernel
from grinder.plan import grow_ladder, ladder_price, ladder_reach
from grinder.protection import count_result, has_adds_off, is_flattening, is_in_emergency
from grinder.records import BUY, NONE, SELL, SLOT, Adds, PlanKind, Reason, Role, SlotState, Trend, World
from grinder.sizing import add_loss, farther, held_loss
from grinder.units import ONE, mul_div_ceil, mul_div_floor

__all__ = ["close_cycle", "end_cycles", "entries_fit", "list_wanted", "open_cycle", "slots", "take_profit_price"]

_ENTRY: Final = int(Role.ENTRY)
_TAKE_PROFIT: Final = int(Role.TAKE_PROFIT)
_FLATTEN: Final = int(Role.FLATTEN)
_GRID: Final = int(PlanKind.GRID)
_TARGET: Final = int(PlanKind.TARGET)
_ONCE: Final = int(Adds.ONCE)
_OFF: Final = int(Adds.OFF)
_BUDGET: Final = int(Reason.BUDGET)
_UP: Final = int(Trend.UP)
_DOWN: Final = int(Trend.DOWN)
FAULT_TOO_MANY_CYCLES: Final = 3


@kernel
def take_profit_price(side: int, entry: int, tp_step: int) -> int:
    """Where a cycle entered at `entry` takes profit: a BUY at `p * (1 + tp_step)` ceiled, at least p + 1; a SELL mirrored."""
    if side > 0:
        return max(entry + 1, mul_div_ceil(entry, ONE + tp_step, ONE))
    return max(1, min(entry - 1, mul_div_floor(entry, ONE - tp_step, ONE)))


@kernel
def open_cycle(world, s, side, price, qty, fee):
    """A fill of an entry opens a cycle with the plan's `tp_step`; returns its id, or -1 where the plan wants no take-profits."""
    plan, symbol, run = world.plans[s], world.symbols[s], world.run[0]
    _note_once(world, s, plan, side, price)
    if plan["kind"] == _TARGET and plan["tp_step"] == 0:
        return NONE
    n = symbol["n_cycles"]
    if n == world.cycles.shape[1]:
        run["fault"] = FAULT_TOO_MANY_CYCLES
        return NONE
    cycle = world.cycles[s, n]
    cycle["id"], cycle["side"], cycle["px"], cycle["qty"] = run["next_cycle"], side, price, qty
    cycle["left"], cycle["tp_step"], cycle["gain"] = qty, plan["tp_step"], -fee
    cycle["tp_px"] = take_profit_price(side, price, plan["tp_step"])
    symbol["n_cycles"] += 1
    run["next_cycle"] += 1
    return cycle["id"]


@kernel
def _note_once(world, s, plan, side, price):
    """Remember an entry filled under ONCE, or on the side that the trend governs so, until the trend state changes (SPEC 6).

    As many as a plan has levels at most leave ONCE nothing to want: what is filled beyond them need not be remembered.
    """
    symbol = world.symbols[s]
    against = symbol["trend"] == (_DOWN if side > 0 else _UP)
    if not against and (plan["adds_down"] if side > 0 else plan["adds_up"]) != _ONCE:
        return
    n = symbol["once_down"] if side > 0 else symbol["once_up"]
    if n == world.once.shape[2]:
        return
    world.once[s, 0 if side > 0 else 1, n]["px"] = price
    if side > 0:
        symbol["once_down"] += 1
    else:
        symbol["once_up"] += 1


@kernel
def close_cycle(world, params, tape, event, ts, s, cycle_id, price, qty, tick_value, fee):
    """A take-profit's fill reduces its cycle; a cycle with nothing left is complete and goes."""
    symbol = world.symbols[s]
    for c in range(symbol["n_cycles"]):
        cycle = world.cycles[s, c]
        if cycle["id"] == cycle_id:
            cycle["left"] -= qty
            cycle["gain"] += cycle["side"] * (price - cycle["px"]) * qty * tick_value - fee
            if cycle["left"] == 0:
                symbol["cycles_done"] += 1
                count_result(world.run[0], symbol, params[0], tape, event, ts, s, cycle["gain"])
                for later in range(c + 1, symbol["n_cycles"]):
                    world.cycles[s, later - 1] = world.cycles[s, later]
                symbol["n_cycles"] -= 1
            return


@kernel
def end_cycles(world, s, side, qty):
    """Lots that a taker closed come off the cycles of that side, oldest first, so that take-profits never close more than there is.

    A cycle without lots goes, and so do all when the position is flat: none of them is completed.
    """
    symbol, cycles, kept = world.symbols[s], world.cycles[s], 0
    for c in range(symbol["n_cycles"]):
        cycle = cycles[c]
        if cycle["side"] == side:
            off = min(qty, cycle["left"])
            cycle["left"] -= off
            qty -= off
        if cycle["left"] > 0:
            cycles[kept] = cycles[c]
            kept += 1
    symbol["n_cycles"] = kept if symbol["position"] != 0 else 0


@kernel
def list_wanted(world, params, instruments, s):
    """Fill `world.wanted` with the symbol's wanted orders: entries in (BUY first, key) order, then take-profits by cycle.

    Returns how many there are.
    """
    n = 0
    world.symbols[s]["entries_loss_down"] = world.symbols[s]["entries_loss_up"] = 0
    run, symbol, plan, cycles, wants = world.run[0], world.symbols[s], world.plans[s], world.cycles[s], world.wanted
    if is_in_emergency(run, symbol, params[0]):
        return _want_flat(run, symbol, params[0], wants)
    off = has_adds_off(run, symbol, params[0]) != 0
    if plan["kind"] == _GRID and not off:
        _find_held(world, s)
        n = _want_entries(world, params[0], instruments, s, BUY, plan["levels_down"], plan["adds_down"], n)
        n = _want_entries(world, params[0], instruments, s, SELL, plan["levels_up"], plan["adds_up"], n)
    elif plan["kind"] == _TARGET:
        for t in range(symbol["n_targets"]):
            target = world.targets[s, t]
            if target["done"] == 0 and not (off and target["role"] == _ENTRY):
                n = _want(wants, n, target["side"], target["role"], target["key"], target["px"], target["qty"])
    damage = run["damage"] != 0 or symbol["damage"] != 0
    for c in range(symbol["n_cycles"]):
        cycle = cycles[c]
        price = _nearer_price(cycle, params[0]) if damage else cycle["tp_px"]
        n = _want(wants, n, -cycle["side"], _TAKE_PROFIT, cycle["id"], price, cycle["left"])
    return n


@kernel
def _want_flat(run, symbol, p, wants):
    """In an emergency nothing rests; at most a market order that closes the position."""
    position = symbol["position"]
    if position == 0 or not is_flattening(run, p):
        return 0
    return _want(wants, 0, -1 if position > 0 else 1, _FLATTEN, 0, 0, abs(position))


@kernel
def _nearer_price(cycle, p):
    """A take-profit in DAMAGE_CONTROL (SPEC 11): it earns its fees at least."""
    return take_profit_price(
        cycle["side"], cycle["px"], max(mul_div_floor(cycle["tp_step"], p["dc_tp_mult"], ONE), 2 * p["maker_fee"])
    )


@kernel
def _want(wants, n, side, role, key, px, qty):
    row = wants[n]
    row["side"], row["role"], row["key"], row["px"], row["qty"] = side, role, key, px, qty
    row["order"], row["refused"] = NONE, 0
    return n + 1


@kernel
def _want_entries(world, p, instruments, s, side, levels, adds, n):
    """The `levels` nearest ladder indices that nothing holds; under ONCE as many fewer as were filled."""
    if adds == _OFF or world.plans[s]["reduce_only"] != 0:
        return n
    column, plan, symbol = 0 if side > 0 else 1, world.plans[s], world.symbols[s]
    ladder, cycles, wants = world.ladder[s, column], world.cycles[s], world.wanted
    once, n_once = world.once[s, column], 0
    if adds == _ONCE:
        n_once = symbol["once_down"] if side > 0 else symbol["once_up"]
        _find_remembered(plan, ladder, side, once, n_once)
    first, end, index, known = n, n + max(0, levels - n_once), 0, ladder_reach(plan, side)
    while n < end:
        index += 1
        if index > known:
            if not grow_ladder(plan, ladder, side):
                break
            known = index
        if not _is_held(cycles, symbol["n_cycles"], once, n_once, side, index):
            n = _want(wants, n, side, _ENTRY, index, ladder[index]["px"], ladder[index]["qty"])
    if plan["budgeted"] != 0:
        _refuse_over_budget(plan, symbol, wants, first, n, side, instruments[s]["tick_value"], p["maker_fee"])
    return n


@kernel
def _is_held(cycles, n_cycles, once, n_once, side, index):
    for c in range(n_cycles):
        if cycles[c]["side"] == side and cycles[c]["index"] == index:
            return True
    for k in range(n_once):
        if once[k]["index"] == index:
            return True
    return False


@kernel
def _refuse_over_budget(plan, symbol, wants, first, end, side, tick_value, maker_fee):
    """Refuse the farthest entries [first, end) of a side until what is left fits the symbol's budget (SPEC 7.6, 16.14)."""
    while end > first:
        stress = farther(side, plan["stress_down"] if side > 0 else plan["stress_up"], wants[end - 1]["px"])
        held = held_loss(symbol["position"], symbol["mid2"], stress, tick_value)
        loss = 0
        for w in range(first, end):
            loss = add_loss(loss, wants[w]["qty"], wants[w]["px"], stress, tick_value, maker_fee)
        if loss <= max(0, symbol["budget"] - symbol["drawdown"] - held):
            if side > 0:
                symbol["entries_loss_down"], symbol["entries_stress_down"] = loss, stress
            else:
                symbol["entries_loss_up"], symbol["entries_stress_up"] = loss, stress
            return
        end -= 1
        wants[end]["refused"] = _BUDGET


@kernel
def entries_fit(symbol, instrument):
    """Whether no entry of a symbol is to be refused for its budget at the present mid and drawdown; all that is wanted is open."""
    left, position, mid2, tick_value = (
        symbol["budget"] - symbol["drawdown"],
        symbol["position"],
        symbol["mid2"],
        instrument["tick_value"],
    )
    down = left - held_loss(position, mid2, symbol["entries_stress_down"], tick_value)
    up = left - held_loss(position, mid2, symbol["entries_stress_up"], tick_value)
    return symbol["entries_loss_down"] <= max(0, down) and symbol["entries_loss_up"] <= max(0, up)


@kernel
def _find_held(world, s):
    """Give each cycle the one index it holds under the plan in force: the nearest `i` with `2|e - p_i| < |p_i - p_(i-1)|`."""
    plan, cycles, symbol = world.plans[s], world.cycles[s], world.symbols[s]
    for c in range(symbol["n_cycles"]):
        side = cycles[c]["side"]
        cycles[c]["index"] = _nearest_index(plan, world.ladder[s, 0 if side > 0 else 1], side, cycles[c]["px"])


@kernel
def _find_remembered(plan, ladder, side, once, n_once):
    """Give what was filled under ONCE the index it holds, as `_find_held` does for a cycle."""
    for k in range(n_once):
        once[k]["index"] = _nearest_index(plan, ladder, side, once[k]["px"])


@kernel
def _nearest_index(plan, ladder, side, entry):
    index, known = 0, ladder_reach(plan, side)
    while True:
        index += 1
        if index > known:
            if not grow_ladder(plan, ladder, side):
                return 0
            known = index
        price = ladder[index]["px"]
        if 2 * abs(entry - price) < abs(price - ladder[index - 1]["px"]):
            return index
        if side * (entry - price) > 0:  # the ladder has passed the entry: every later index is farther from it
            return 0


def slots(world: World, s: int) -> np.ndarray:
    """The ladder's view of its levels: FREE -> PENDING -> LOCKED -> FILLED -> FREE (SPEC 8, slot life).

    Returns:
        SLOT records of the plan's levels and of as many farther ones as cycles hold, BUY side first, nearest first. A level
        is FILLED while a cycle holds it, PENDING while its entry or a change of it is in flight, LOCKED while its entry rests.
    """
    plan, n_orders, n_cycles = world.plans[s], world.symbols[s]["n_orders"], world.symbols[s]["n_cycles"]
    rows = []
    if plan["kind"] == PlanKind.GRID:
        _find_held(world, s)
        for side, levels in ((BUY, plan["levels_down"]), (SELL, plan["levels_up"])):
            held = {int(c["index"]) for c in world.cycles[s, :n_cycles] if c["side"] == side}
            entries = {int(o["key"]): o for o in world.orders[s, :n_orders] if o["side"] == side and o["role"] == Role.ENTRY}
            for index in range(1, max(int(levels) + len(held), *held, *entries, 0) + 1):
                state = SlotState.FREE
                if index in held:
                    state = SlotState.FILLED
                elif index in entries:
                    order = entries[index]
                    state = SlotState.LOCKED if order["live"] and order["change"] == NONE else SlotState.PENDING
                rows.append(
                    (side, index, int(ladder_price(plan, world.ladder[s, 0 if side == BUY else 1], side, index)), int(state))
                )
    return np.array(rows, SLOT)
