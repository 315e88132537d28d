"""`static`: a fixed symmetric grid around the first mid, the baseline to beat (SPEC 12, 16.18; ADR-0002)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.plan import adopt, start_ladder, take_profit_step, tick_floor
from grinder.records import LADDER_SLOTS, Mode, PlanKind, Reason, Regime
from grinder.units import MICRO

__all__ = ["decide_static", "plan_static"]

_GRID: Final = int(PlanKind.GRID)
_RANGE: Final = int(Regime.RANGE)
_NORMAL: Final = int(Mode.NORMAL)
_STEP_TICK_FLOOR: Final = int(Reason.STEP_TICK_FLOOR)


@kernel
def plan_static(p, anchor2, quantity, plan, ladder):
    """Work out the plan around a first mid (SPEC 12, 16.18).

    Args:
        p: PARAMS. anchor2: half ticks. quantity: lots a level. plan: PLAN, written. ladder: LEVEL (2, LADDER_SLOTS), written.
    """
    floor = tick_floor(anchor2, 1)
    plan["kind"], plan["regime"], plan["mode"], plan["last_index"] = _GRID, _RANGE, _NORMAL, LADDER_SLOTS - 1
    plan["center"] = anchor2 * (MICRO // 2)
    plan["step"] = plan["rung_down"] = plan["rung_up"] = max(p["step"], floor)
    plan["reasons"] = _STEP_TICK_FLOOR if floor > p["step"] else 0
    plan["width_down"] = plan["width_up"] = p["levels"] * plan["step"]
    plan["tp_step"] = take_profit_step(plan["step"], p["maker_fee"], p["min_edge"])
    plan["wanted_down"] = plan["wanted_up"] = p["levels"]
    plan["levels_down"] = start_ladder(plan, ladder[0], 1, p["levels"])
    plan["levels_up"] = start_ladder(plan, ladder[1], -1, p["levels"])
    for side in range(2):
        for i in range(1, LADDER_SLOTS):
            ladder[side, i]["qty"] = quantity


@kernel
def decide_static(world, params, instruments, tape, event, ts, s):
    """Make the one plan of a symbol; every later decision would be the same."""
    last = len(world.plans) - 1
    plan_static(params[0], world.symbols[s]["anchor2"], instruments[s]["quantity"], world.plans[last], world.ladder[last])
    adopt(world, tape, event, ts, s)
