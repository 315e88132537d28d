"""`static`: a fixed symmetric grid around the first mid, the baseline to beat (SPEC 12, 16.18; ADR-0002)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.plan import put_plan, start_ladder, take_profit_step, tick_floor
from grinder.records import LADDER_SLOTS, Mode, PlanKind, Reason, Regime
from grinder.units import MICRO

__all__ = ["decide_static"]

_GRID: Final = int(PlanKind.GRID)
_RANGE: Final = int(Regime.RANGE)
_NORMAL: Final = int(Mode.NORMAL)
_STEP_TICK_FLOOR: Final = int(Reason.STEP_TICK_FLOOR)


@kernel
def decide_static(world, params, instruments, tape, event, ts, s):
    """Make the one plan of a symbol, around its first mid; every later decision would be the same."""
    plan, p = world.plans[s], params[0]
    mid2 = world.symbols[s]["anchor2"]
    floor = tick_floor(mid2, 1)
    world.symbols[s]["settled"] = 0
    plan["id"], plan["kind"] = world.run[0]["next_plan"], _GRID
    world.run[0]["next_plan"] += 1
    plan["regime"], plan["mode"] = _RANGE, _NORMAL
    plan["center"] = mid2 * (MICRO // 2)
    plan["step"] = max(p["step"], floor)
    plan["reasons"] = _STEP_TICK_FLOOR if floor > p["step"] else 0
    plan["width_down"] = plan["width_up"] = p["levels"] * plan["step"]
    plan["tp_step"] = take_profit_step(plan["step"], p["maker_fee"], p["min_edge"])
    plan["wanted_down"] = plan["wanted_up"] = p["levels"]
    plan["rung_down"] = plan["rung_up"] = plan["step"]
    plan["last_index"] = LADDER_SLOTS - 1
    plan["levels_down"] = start_ladder(plan, world.ladder[s, 0], 1, p["levels"])
    plan["levels_up"] = start_ladder(plan, world.ladder[s, 1], -1, p["levels"])
    for column in range(2):
        for i in range(world.ladder.shape[2]):
            world.ladder[s, column][i]["qty"] = instruments[s]["quantity"]
    put_plan(world, tape, event, ts, s)
