"""How `smart` comes to the numbers of a plan: what lies between its inputs and it, for `run.explain` (SPEC 7.2 to 7.8).

Nothing here decides. Each formula is the one that `plan_grid` uses; only the order of the cuts is told again, and that what comes
out is the plan is checked at every derivation.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.plan import start_ladder, tick_floor
from grinder.policies.smart import (
    NATR_LIMIT,
    fee_floor,
    l2_penalty,
    plan_grid,
    row_of,
    side_mult,
    skew_of,
    step_of,
    stress_terms,
    stress_width,
    wanted_step,
)
from grinder.records import _record
from grinder.sizing import (
    fit_levels,
    held_loss,
    is_too_small,
    notional_of,
    rooms,
    scale_to,
    spread_budget,
    stress_price,
    unit_loss,
)
from grinder.units import ONE, mul_div_floor

__all__ = ["SIDE", "TERMS", "derive"]

TERMS: Final = _record(
    "natr root k_tail penalty sigma tail product x multiplier wanted fee_floor tick_floor step step_reasons held shift agrees"
)
"""What both sides share: `tail` is `k_tail * sigma_H`, `product` X before its clamp, `wanted` the step before its floors, `held`
the inventory ratio, `shift` of the center (both without a sign); `agrees`: the derivation ends at the plan."""

SIDE: Final = _record(
    "mult stretched width step first short asked kept tried sized scaled levels stress held budget unit_loss notional "
    "inventory_room inventory_needed leverage_room leverage_needed places"
)
"""One side: `stretched` its width before the clamp, `step` of its ladder, `first`: levels that the undoubled step left (-1: it is
not doubled), `short`: the caps left too few; levels `asked` for, `kept` by the ladder, last `tried` for size, left by the budget
(`sized`), by `min_notional` under the caps (`scaled`) and by the order limits; `p_stress` and what is lost there."""


@kernel
def derive(inputs, p, plan, ladder, work, before, terms, sides):
    """Work a plan out and note what it went through.

    Args:
        inputs: INPUTS. p: PARAMS. plan, ladder: PLAN and LEVEL (2, LADDER_SLOTS), written as by `plan_grid`.
        work: LEVEL (2, LADDER_SLOTS), scratch. before: the same, levels as sized, before the caps, written.
        terms, sides: TERMS and SIDE (2,), written.
    """
    plan_grid(inputs, p, plan, ladder)
    regime, natr = inputs["regime"], min(inputs["natr"], NATR_LIMIT)
    terms["natr"], terms["penalty"] = natr, l2_penalty(p, inputs["impact"], inputs["depth_short"])
    terms["root"], terms["k_tail"], terms["multiplier"] = row_of(p, regime)
    terms["sigma"], terms["tail"], terms["product"] = stress_terms(p, regime, natr, terms["penalty"])
    terms["x"] = stress_width(p, regime, natr, terms["penalty"])
    terms["wanted"], terms["fee_floor"] = wanted_step(p, regime, natr), fee_floor(p)
    terms["tick_floor"] = tick_floor(inputs["mid2"], p["min_step_ticks"])
    terms["step"], terms["step_reasons"] = step_of(p, regime, natr, inputs["mid2"])
    terms["held"], terms["shift"] = skew_of(p, inputs, plan["step"])
    terms["agrees"] = terms["step"] == plan["step"]
    places = inputs["places"]
    for side in (1, -1):
        i = 0 if side > 0 else 1
        out = sides[i]
        out["mult"] = side_mult(p, regime, side)
        out["stretched"] = mul_div_floor(terms["x"], out["mult"], ONE)
        out["width"] = plan["width_down"] if side > 0 else plan["width_up"]
        out["step"] = plan["rung_down"] if side > 0 else plan["rung_up"]
        out["first"], out["places"] = -1, places
        if out["step"] != plan["step"]:
            out["first"], _, _ = fit_levels(inputs, p, plan, work[i], side, out["width"], plan["step"], places)
        levels, short, _ = fit_levels(inputs, p, plan, work[i], side, out["width"], out["step"], places)
        out["short"] = short
        _derive_side(inputs, p, plan, work[i], before[i], side, out)
        if out["levels"] != levels or levels != (plan["levels_down"] if side > 0 else plan["levels_up"]):
            terms["agrees"] = 0
        for k in range(1, levels + 1):
            if work[i, k]["qty"] != ladder[i, k]["qty"] or work[i, k]["px"] != ladder[i, k]["px"]:
                terms["agrees"] = 0
        places -= levels


@kernel
def _derive_side(inputs, p, plan, work, before, side, out):
    """The cuts of `fit_levels` at the step that was taken, each noted."""
    least, tick_value = p["min_notional"], inputs["tick_value"]
    out["asked"] = -(-out["width"] // out["step"])
    n = start_ladder(plan, work, side, min(max(out["asked"], p["levels_min"]), p["levels_max"]))
    out["kept"] = n
    out["inventory_room"], out["leverage_room"] = rooms(inputs, p, side)
    out["sized"] = -1
    while True:
        n = _derive_sizes(inputs, p, plan["center"], work, side, n, out)
        if out["sized"] < 0:
            out["sized"] = n
        for k in range(out["tried"] + 1):
            before[k] = work[k]
        out["inventory_needed"] = scale_to(work, n, out["inventory_room"], tick_value)
        out["leverage_needed"] = scale_to(work, n, out["leverage_room"], tick_value)
        if not is_too_small(work, n, least, tick_value):
            break
        n -= 1
    out["scaled"] = n
    out["levels"] = min(n, max(0, out["places"]))


@kernel
def _derive_sizes(inputs, p, center, work, side, n, out):
    """7.6 once more, noted as of the last try."""
    tick_value = inputs["tick_value"]
    while True:
        out["tried"], out["stress"] = n, stress_price(center, out["width"], side, work, n)
        out["held"] = held_loss(inputs["position"], inputs["mid2"], out["stress"], tick_value)
        out["budget"] = max(0, inputs["budget"] - inputs["drawdown"] - out["held"])
        out["unit_loss"] = unit_loss(p, work, n, out["stress"])
        out["notional"] = notional_of(out["budget"], n, out["unit_loss"])
        spread_budget(out["budget"], p, work, n, out["stress"], tick_value)
        if is_too_small(work, n, p["min_notional"], tick_value):
            if n > p["levels_min"]:
                n -= 1
                continue
            return 0
        return n
