"""CycleEngine: entries open cycles, cycles want take-profits, and both tell which entries a ladder wants (SPEC 8; ADR-0002)."""

from __future__ import annotations

from typing import Final

import numpy as np

from grinder._jit import kernel
from grinder.plan import grow_ladder, ladder_price, ladder_reach
from grinder.records import BUY, NONE, SELL, SLOT, Adds, PlanKind, Role, SlotState, World
from grinder.units import ONE, mul_div_ceil, mul_div_floor

__all__ = ["close_cycle", "list_wanted", "open_cycle", "slots", "take_profit_price"]

_ENTRY: Final = int(Role.ENTRY)
_TAKE_PROFIT: Final = int(Role.TAKE_PROFIT)
_GRID: Final = int(PlanKind.GRID)
_TARGET: Final = int(PlanKind.TARGET)
_FULL: Final = int(Adds.FULL)
FAULT_TOO_MANY_CYCLES: Final = 3


@kernel
def take_profit_price(side: int, entry: int, tp_step: int) -> int:
    """Where a cycle entered at `entry` takes profit: a BUY at `p * (1 + tp_step)` ceiled, at least p + 1; a SELL mirrored."""
    if side > 0:
        return max(entry + 1, mul_div_ceil(entry, ONE + tp_step, ONE))
    return max(1, min(entry - 1, mul_div_floor(entry, ONE - tp_step, ONE)))


@kernel
def open_cycle(world, s, side, price, qty):
    """A fill of an entry opens a cycle with the plan's `tp_step`; returns its id, or -1 where the plan wants no take-profits."""
    plan, symbol, run = world.plans[s], world.symbols[s], world.run[0]
    if plan["kind"] == _TARGET and plan["tp_step"] == 0:
        return NONE
    n = symbol["n_cycles"]
    if n == world.cycles.shape[1]:
        run["fault"] = FAULT_TOO_MANY_CYCLES
        return NONE
    cycle = world.cycles[s, n]
    cycle["id"], cycle["side"], cycle["px"], cycle["qty"] = run["next_cycle"], side, price, qty
    cycle["left"], cycle["tp_step"] = qty, plan["tp_step"]
    cycle["tp_px"] = take_profit_price(side, price, plan["tp_step"])
    symbol["n_cycles"] += 1
    run["next_cycle"] += 1
    return cycle["id"]


@kernel
def close_cycle(world, s, cycle_id, qty):
    """A take-profit's fill reduces its cycle; a cycle with nothing left is complete and goes."""
    symbol = world.symbols[s]
    for c in range(symbol["n_cycles"]):
        if world.cycles[s, c]["id"] == cycle_id:
            world.cycles[s, c]["left"] -= qty
            if world.cycles[s, c]["left"] == 0:
                for later in range(c + 1, symbol["n_cycles"]):
                    world.cycles[s, later - 1] = world.cycles[s, later]
                symbol["n_cycles"] -= 1
                symbol["cycles_done"] += 1
            return


@kernel
def list_wanted(world, s):
    """Fill `world.wanted` with the symbol's wanted orders: entries in (BUY first, key) order, then take-profits by cycle.

    Returns how many there are.
    """
    n = 0
    plan, targets, cycles, wants = world.plans[s], world.targets[s], world.cycles[s], world.wanted
    if plan["kind"] == _GRID:
        _find_held(world, s)
        n = _want_entries(world, s, BUY, plan["levels_down"], plan["adds_down"], n)
        n = _want_entries(world, s, SELL, plan["levels_up"], plan["adds_up"], n)
    elif plan["kind"] == _TARGET:
        for t in range(world.symbols[s]["n_targets"]):
            target = targets[t]
            if target["done"] == 0:
                n = _want(wants, n, target["side"], target["role"], target["key"], target["px"], target["qty"])
    for c in range(world.symbols[s]["n_cycles"]):
        cycle = cycles[c]
        n = _want(wants, n, -cycle["side"], _TAKE_PROFIT, cycle["id"], cycle["tp_px"], cycle["left"])
    return n


@kernel
def _want(wants, n, side, role, key, px, qty):
    row = wants[n]
    row["side"], row["role"], row["key"], row["px"], row["qty"], row["order"] = side, role, key, px, qty, NONE
    return n + 1


@kernel
def _want_entries(world, s, side, levels, adds, n):
    """The `levels` nearest ladder indices that no cycle holds."""
    if adds != _FULL or world.plans[s]["reduce_only"] != 0:
        return n
    ladder, cycles, wants = world.ladder[s, 0 if side > 0 else 1], world.cycles[s], world.wanted
    n_cycles = world.symbols[s]["n_cycles"]
    found, index, known = 0, 0, ladder_reach(world.plans[s], side)
    while found < levels:
        index += 1
        if index > known:
            if not grow_ladder(world, s, side):
                break
            known = index
        if not _is_held(cycles, n_cycles, side, index):
            n = _want(wants, n, side, _ENTRY, index, ladder[index]["px"], ladder[index]["qty"])
            found += 1
    return n


@kernel
def _is_held(cycles, n_cycles, side, index):
    for c in range(n_cycles):
        if cycles[c]["side"] == side and cycles[c]["index"] == index:
            return True
    return False


@kernel
def _find_held(world, s):
    """Give each open cycle the one index it holds under the plan in force: the nearest `i` with `2|e - p_i| < |p_i - p_(i-1)|`."""
    cycles = world.cycles[s]
    for c in range(world.symbols[s]["n_cycles"]):
        cycles[c]["index"] = _nearest_index(world, s, cycles[c]["side"], cycles[c]["px"])


@kernel
def _nearest_index(world, s, side, entry):
    ladder = world.ladder[s, 0 if side > 0 else 1]
    index, known = 0, ladder_reach(world.plans[s], side)
    while True:
        index += 1
        if index > known:
            if not grow_ladder(world, s, side):
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
                rows.append((side, index, int(ladder_price(world, s, side, index)), int(state)))
    return np.array(rows, SLOT)
