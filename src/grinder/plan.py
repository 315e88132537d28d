"""Grid formulas: the step's floors and the ladder of prices (SPEC 7.4, 7.5, 7.8; ADR-0002). One definition for every policy."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.units import MAX_PRICE_TICKS, MICRO, ONE, mul_div_floor

__all__ = ["adopt", "grow_ladder", "ladder_price", "lay_levels", "next_rung", "start_ladder", "take_profit_step", "tick_floor"]

_NO_PRICE: Final = 0


@kernel
def tick_floor(mid2: int, ticks: int) -> int:
    """The least step ratio at which a level is so many ticks from the center: `ceil(1e8 * ticks / center_ticks)` (SPEC 7.4)."""
    center_ticks = max(1, mid2 // 2)
    return -(-ONE * ticks // center_ticks)


@kernel
def take_profit_step(step: int, maker_fee: int, min_edge: int) -> int:
    """`max(step, 2 * maker_fee + min_edge)` (SPEC 7.8)."""
    return max(step, 2 * maker_fee + min_edge)


@kernel
def next_rung(micro: int, step: int, side: int) -> int:
    """One level farther out, in 1e-6 ticks: `floor(x * (1e8 -+ step) / 1e8)` (SPEC 7.5)."""
    return mul_div_floor(micro, ONE - side * step, ONE)


@kernel
def _to_tick(micro: int, side: int) -> int:
    """Buys floor, sells ceil (SPEC 1.3)."""
    return micro // MICRO if side > 0 else -(-micro // MICRO)


@kernel
def start_ladder(plan, ladder, side, levels):
    """Begin the ladder of a side at the plan's center; returns how many of the first `levels` rungs are kept."""
    step = plan["rung_down"] if side > 0 else plan["rung_up"]
    micro = plan["center"]
    ladder[0]["px"] = _to_tick(micro, side)
    kept = 0
    for _ in range(levels):
        before = micro
        micro = next_rung(before, step, side)
        if micro == before:  # a step too small to move 1e-6 ticks
            break
        price = _to_tick(micro, side)
        if price < 1 or price > MAX_PRICE_TICKS:
            break
        if price != ladder[kept]["px"]:
            kept += 1
            ladder[kept]["px"] = price
    _set_reach(plan, side, kept, micro)
    return kept


@kernel
def _set_reach(plan, side, kept, micro):
    if side > 0:
        plan["ladder_down"], plan["micro_down"] = kept, micro
    else:
        plan["ladder_up"], plan["micro_up"] = kept, micro


@kernel
def ladder_reach(plan, side):
    """The highest ladder index whose price is known."""
    return plan["ladder_down"] if side > 0 else plan["ladder_up"]


@kernel
def grow_ladder(plan, ladder, side):
    """Add one rung past the last known; returns whether there was one to add."""
    step = plan["rung_down"] if side > 0 else plan["rung_up"]
    kept = ladder_reach(plan, side)
    micro = plan["micro_down"] if side > 0 else plan["micro_up"]
    while kept < plan["last_index"]:
        before = micro
        micro = next_rung(before, step, side)
        if micro == before:
            return False
        price = _to_tick(micro, side)
        if price < 1 or price > MAX_PRICE_TICKS:
            return False
        if price != ladder[kept]["px"]:
            ladder[kept + 1]["px"] = price
            _set_reach(plan, side, kept + 1, micro)
            return True
    return False


@kernel
def lay_levels(plan, ladder, side, levels):
    """Begin the ladder of a side and go on until it has `levels` prices of their own; returns how many there are."""
    kept = start_ladder(plan, ladder, side, levels)
    while kept < levels and grow_ladder(plan, ladder, side):
        kept += 1
    return kept


@kernel
def ladder_price(plan, ladder, side, index):
    """Price in ticks of a ladder index (0 is the rounded center), or 0 where the ladder ends."""
    while ladder_reach(plan, side) < index:
        if not grow_ladder(plan, ladder, side):
            return _NO_PRICE
    return ladder[index]["px"]


@kernel
def adopt(world, tape, event, ts, s):
    """Put the plan that was worked out in the last place in force for symbol `s`, numbered and recorded."""
    last = len(world.plans) - 1
    plan = world.plans[last]
    plan["id"] = world.run[0]["next_plan"]
    world.run[0]["next_plan"] += 1
    world.plans[s] = plan
    for side in range(2):
        for i in range(plan["last_index"] + 1):
            world.ladder[s, side, i] = world.ladder[last, side, i]
    world.symbols[s]["settled"] = 0
    _put_plan(world, tape, event, ts, s)


@kernel
def _put_plan(world, tape, event, ts, s):
    """Record the plan in force and its levels, BUY side first (SPEC 14)."""
    plan = world.plans[s]
    row = tape.plans[tape.used[0]["plans"]]
    tape.used[0]["plans"] += 1
    row["event"], row["ts"], row["symbol"], row["plan"] = event, ts, s, plan["id"]
    row["regime"], row["mode"], row["center"], row["step"] = plan["regime"], plan["mode"], plan["center"], plan["step"]
    row["width_down"], row["width_up"] = plan["width_down"], plan["width_up"]
    row["levels_down"], row["levels_up"] = plan["levels_down"], plan["levels_up"]
    row["adds_down"], row["adds_up"] = plan["adds_down"], plan["adds_up"]
    row["tp_step"], row["budget"] = plan["tp_step"], plan["budget"]
    row["worst_down"], row["worst_up"], row["reasons"] = plan["worst_down"], plan["worst_up"], plan["reasons"]
    for side in (1, -1):
        for i in range(1, (plan["levels_down"] if side > 0 else plan["levels_up"]) + 1):
            level = tape.levels[tape.used[0]["levels"]]
            tape.used[0]["levels"] += 1
            level["event"], level["ts"], level["symbol"], level["plan"] = event, ts, s, plan["id"]
            rung = world.ladder[s, 0 if side > 0 else 1][i]
            level["side"], level["i"], level["price"], level["qty"] = side, i, rung["px"], rung["qty"]
