"""`smart`: a grid as wide, as dense and as large as volatility, regime and drawdown budget allow (SPEC 7, 16.11-16.15; ADR-0022).

`plan_grid` works a plan out from INPUTS alone; `decide_smart` gathers them and keeps the plan in force unless 7.9 replaces it.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.orders import count_orders, worst_lots
from grinder.plan import adopt, take_profit_step, tick_floor
from grinder.protection import has_adds_off, mode_of, put_alert
from grinder.records import Adds, Alert, AlertLevel, Feature, PlanKind, Reason, Regime, Role
from grinder.regime import IS_WARM
from grinder.sizing import fit_levels, set_losses, set_room
from grinder.units import MICRO, ONE, mul_div, mul_div_floor, share_of

__all__ = [
    "NATR_LIMIT",
    "center_of",
    "decide_smart",
    "fee_floor",
    "gather_inputs",
    "l2_penalty",
    "plan_grid",
    "replaces",
    "row_of",
    "side_mult",
    "skew_of",
    "step_of",
    "stress_terms",
    "stress_width",
    "wanted_step",
    "width_of",
]

_GRID: Final = int(PlanKind.GRID)
_FULL: Final = int(Adds.FULL)
_ONCE: Final = int(Adds.ONCE)
_OFF: Final = int(Adds.OFF)
_RANGE: Final = int(Regime.RANGE)
_TREND_UP: Final = int(Regime.TREND_UP)
_TREND_DOWN: Final = int(Regime.TREND_DOWN)
_VOL_SHOCK: Final = int(Regime.VOL_SHOCK)
_THIN_BOOK: Final = int(Regime.THIN_BOOK)
_TAKE_PROFIT: Final = int(Role.TAKE_PROFIT)
"""Roles past it are reduce-only."""
assert int(Role.ENTRY) < _TAKE_PROFIT
_IMPACT: Final = int(Feature.IMPACT)
_DEPTH_BID: Final = int(Feature.DEPTH_BID)
_DEPTH_SHORT: Final = int(Reason.DEPTH_SHORT)
_STEP_FEE_FLOOR: Final = int(Reason.STEP_FEE_FLOOR)
_STEP_TICK_FLOOR: Final = int(Reason.STEP_TICK_FLOOR)
_STEP_WIDENED: Final = int(Reason.STEP_WIDENED)
_CAP_PAUSE: Final = int(Reason.CAP_PAUSE)
_BUDGET_TOO_SMALL: Final = int(Reason.BUDGET_TOO_SMALL)
_NO_VOLATILITY: Final = int(Reason.NO_VOLATILITY)
_ALERT: Final = int(Alert.BUDGET_TOO_SMALL)
_WARNING: Final = int(AlertLevel.WARNING)
NATR_LIMIT: Final = 100 * ONE
"""A NATR past which nothing can grow any more: every width is at its cap."""


# The plan, from its inputs


@kernel
def plan_grid(inputs, p, plan, ladder):
    """Work out a plan (SPEC 7.2 to 7.8).

    Args:
        inputs: INPUTS. p: PARAMS. plan: PLAN, written. ladder: LEVEL (2, LADDER_SLOTS), side 0 down, 1 up, written.
    """
    _propose(inputs, p, plan, ladder)
    set_losses(plan, ladder, inputs["position"], inputs["mid2"], inputs["tick_value"], p["maker_fee"])


@kernel
def _propose(inputs, p, plan, ladder):
    """The plan without what its entries can lose, which nobody asks of one that does not replace the plan in force."""
    regime, natr = inputs["regime"], min(inputs["natr"], NATR_LIMIT)
    x = stress_width(p, regime, natr, l2_penalty(p, inputs["impact"], inputs["depth_short"]))
    step, reasons = step_of(p, regime, natr, inputs["mid2"])
    if inputs["depth_short"] != 0:
        reasons |= _DEPTH_SHORT
    if natr == 0:
        reasons |= _NO_VOLATILITY
    plan["kind"], plan["budgeted"], plan["regime"], plan["mode"] = _GRID, 1, regime, inputs["mode"]
    plan["center"], plan["step"], plan["last_index"] = center_of(p, inputs, step), step, 2 * p["levels_max"]
    plan["tp_step"] = take_profit_step(step, p["maker_fee"], p["min_edge"])
    plan["budget"], plan["reduce_only"] = inputs["budget"], inputs["reduce_only"]
    places = inputs["places"]
    for side in (1, -1):  # buys take their places first
        adds = _OFF if inputs["adds_off"] != 0 or natr == 0 else regime_adds(regime, side)
        n, why = _plan_side(inputs, p, plan, ladder[0 if side > 0 else 1], side, width_of(p, regime, side, x), step, places, adds)
        places -= n
        reasons |= why
    plan["reasons"] = reasons


@kernel
def l2_penalty(p, impact, depth_short):
    """`1 + min(2, impact / impact_ref)`; 3 where the depth is short, 1 where there is no fresh book (SPEC 7.2, 4)."""
    if depth_short != 0:
        return 3 * ONE
    if impact < 0:
        return ONE
    return 3 * ONE if impact >= 2 * p["impact_ref"] else ONE + impact * ONE // p["impact_ref"]


@kernel
def is_trend(regime):
    """Whether a regime is one of the two with a direction."""
    return _TREND_UP <= regime <= _TREND_DOWN


@kernel
def row_of(p, regime):
    """A regime's root, `k_tail` and multiplier of the step (SPEC 7.2, 7.4); one without a row of its own has RANGE's (16.12)."""
    if is_trend(regime):
        return p["root_trend"], p["k_tail_trend"], p["shock_multiplier_trend"]
    if regime == _VOL_SHOCK:
        return p["root_vol_shock"], p["k_tail_vol_shock"], p["shock_multiplier_vol_shock"]
    if regime == _THIN_BOOK:
        return p["root_thin_book"], p["k_tail_thin_book"], p["shock_multiplier_thin_book"]
    return p["root_range"], p["k_tail_range"], p["shock_multiplier_range"]


@kernel
def stress_terms(p, regime, natr, penalty):
    """`sigma_H`, `k_tail * sigma_H`, and what X is before it is clamped."""
    root, k_tail, _ = row_of(p, regime)
    sigma = mul_div_floor(root, natr, ONE)  # a root may be far over 1e8, and NATR is what is bounded
    tail = mul_div_floor(sigma, k_tail, ONE)
    x = mul_div_floor(min(p["x_cap"], tail), penalty, ONE)  # what is left to multiply by is at least 1
    if is_trend(regime):
        x = mul_div_floor(x, p["trend_penalty"], ONE)
    return sigma, tail, x


@kernel
def stress_width(p, regime, natr, penalty):
    """`X = clamp(k_tail * sigma_H * l2_penalty * trend_penalty, X_min, X_cap)` (SPEC 7.2)."""
    _, _, x = stress_terms(p, regime, natr, penalty)
    return min(max(x, p["x_min"]), p["x_cap"])


@kernel
def side_mult(p, regime, side):
    """How X is stretched on a side: in a trend wider against it, narrower with it (SPEC 7.3)."""
    if not is_trend(regime):
        return ONE
    return p["side_mult_against"] if side == (-1 if regime == _TREND_UP else 1) else p["side_mult_with"]


@kernel
def width_of(p, regime, side, x):
    """How far a side reaches (SPEC 7.3)."""
    return min(max(mul_div_floor(x, side_mult(p, regime, side), ONE), p["x_min"]), p["x_cap"])


@kernel
def wanted_step(p, regime, natr):
    """`alpha * NATR * shock_multiplier` (SPEC 7.4)."""
    _, _, multiplier = row_of(p, regime)
    return mul_div_floor(mul_div_floor(natr, p["alpha"], ONE), multiplier, ONE)


@kernel
def fee_floor(p):
    """The least step that pays its fees: `2 * max(0, maker_fee) + min_edge` (SPEC 7.4)."""
    return 2 * max(0, p["maker_fee"]) + p["min_edge"]


@kernel
def step_of(p, regime, natr, mid2):
    """The step and which floor decided it (SPEC 7.4, 16.13); at most 100 %."""
    step, reasons = max(p["step_min"], wanted_step(p, regime, natr)), 0
    floor = fee_floor(p)
    if step < floor:
        step, reasons = floor, _STEP_FEE_FLOOR
    floor = tick_floor(mid2, p["min_step_ticks"])
    if step < floor:
        step, reasons = floor, reasons | _STEP_TICK_FLOOR
    return min(step, ONE), reasons


@kernel
def skew_of(p, inputs, step):
    """The inventory ratio, and by how much of itself the center moves for it: at most half a step; sizes without a sign."""
    position, most = inputs["position"], inputs["max_inventory"]
    if most <= 0 or position == 0:
        return 0, 0
    notional = abs(position) * inputs["mid2"] * (inputs["tick_value"] // 2)
    held = ONE if notional >= most else mul_div(notional, ONE, most)
    return held, min(mul_div_floor(p["skew_factor"], held, ONE), step // 2)


@kernel
def center_of(p, inputs, step):
    """The mid, shifted against the inventory (SPEC 7.5), in 1e-6 ticks."""
    _, shift = skew_of(p, inputs, step)
    return mul_div_floor(inputs["mid2"] * (MICRO // 2), ONE - shift if inputs["position"] > 0 else ONE + shift, ONE)


@kernel
def regime_adds(regime, side):
    """How entries of a side are governed in a regime (SPEC 6)."""
    if regime == _RANGE:
        return _FULL
    if regime == _TREND_UP:
        return _FULL if side > 0 else _ONCE
    if regime == _TREND_DOWN:
        return _ONCE if side > 0 else _FULL
    return _OFF


@kernel
def _plan_side(inputs, p, plan, levels, side, width, step, places, adds):
    """One side: fitted once, with twice the ladder step where the caps left too few levels, then OFF (7.7 (4), (5))."""
    n, short, reasons = fit_levels(inputs, p, plan, levels, side, width, step, places)
    if short:
        n, short, again = fit_levels(inputs, p, plan, levels, side, width, 2 * step, places)
        reasons |= again | _STEP_WIDENED
        if short:
            reasons |= _CAP_PAUSE
            adds = _OFF
    last = levels[n]["qty"] if n > 0 else 0
    for i in range(n + 1, plan["last_index"] + 1):
        levels[i]["qty"] = last
    if side > 0:
        plan["width_down"], plan["levels_down"], plan["adds_down"], plan["wanted_down"] = width, n, adds, n
    else:
        plan["width_up"], plan["levels_up"], plan["adds_up"], plan["wanted_up"] = width, n, adds, n
    left = inputs["budget"] - inputs["drawdown"]
    set_room(plan, levels, side, inputs["position"], inputs["mid2"], left, inputs["tick_value"])
    return n, reasons


# Churn


@kernel
def replaces(new, old, p):
    """Whether a candidate replaces the plan in force (SPEC 7.9)."""
    if old["kind"] != _GRID or new["regime"] != old["regime"] or new["reduce_only"] != old["reduce_only"]:
        return True
    if new["adds_down"] != old["adds_down"] or new["adds_up"] != old["adds_up"]:
        return True
    if 4 * abs(new["step"] - old["step"]) > old["step"]:
        return True
    steps = mul_div_floor(old["step"], p["replan_center"], ONE)
    if abs(new["center"] - old["center"]) > share_of(old["center"], steps):
        return True
    if _differs(new["levels_down"], old["levels_down"], p) or _differs(new["levels_up"], old["levels_up"], p):
        return True
    if _outgrows(new["room_down"], old["room_down"], old["loss_down"]):
        return True
    return _outgrows(new["room_up"], old["room_up"], old["loss_up"])


@kernel
def _differs(new, old, p):
    return abs(new - old) > p["replan_levels"] or (new == 0) != (old == 0)


@kernel
def _outgrows(new, old, loss):
    """Whether a side's budget fell under what its entries may lose, or rose by over a quarter."""
    return new < loss or new - old > old // 4


# The decision


@kernel
def gather_inputs(world, params, instruments, s):
    """Fill `world.inputs` with what a plan of symbol `s` is made of, at the event in hand."""
    symbol, features, run, inputs = world.symbols[s], world.features[s], world.run[0], world.inputs[s]
    inputs["regime"], inputs["mode"], inputs["natr"] = symbol["regime"], mode_of(run, symbol), features["natr"]
    absent = features["absent"]
    inputs["impact"] = -1 if absent & _IMPACT else features["impact"]
    inputs["depth_short"] = 1 if absent & _IMPACT and absent & _DEPTH_BID == 0 else 0
    inputs["mid2"], inputs["tick_value"] = symbol["mid2"], instruments[s]["tick_value"]
    inputs["position"], inputs["budget"], inputs["drawdown"] = symbol["position"], symbol["budget"], symbol["drawdown"]
    inputs["max_inventory"], inputs["equity"] = run["max_inventory"], run["equity"]
    inputs["gross"], inputs["tp_buy"], inputs["tp_sell"] = 0, 0, 0
    for other in range(len(world.symbols)):  # open orders of others count as the guard of placements counts them (ADR-0028)
        lots = abs(symbol["position"]) if other == s else worst_lots(world, other)
        inputs["gross"] += lots * world.symbols[other]["mid2"] * instruments[other]["half_tick_value"]
    for j in range(symbol["n_orders"]):
        order = world.orders[s, j]
        if order["role"] == _TAKE_PROFIT:
            notional = order["px"] * order["qty"] * instruments[s]["tick_value"]
            if order["side"] > 0:
                inputs["tp_buy"] += notional
            else:
                inputs["tp_sell"] += notional
    inputs["places"] = _places(world, params[0], s)
    inputs["adds_off"] = has_adds_off(run, symbol, params[0])
    inputs["reduce_only"] = 1 if symbol["selected"] == 0 or run["latch"] != 0 else 0


@kernel
def _places(world, p, s):
    """Orders that both limits leave for entries of the symbol: an open cycle keeps the place of its take-profit."""
    symbol, own, others = world.symbols[s], 0, 0
    for other in range(len(world.symbols)):
        if other != s:
            others += count_orders(world.symbols[other], world.orders[other])
    for j in range(symbol["n_orders"]):
        role = world.orders[s, j]["role"]
        own += role > _TAKE_PROFIT
    own += symbol["n_cycles"]
    return min(p["max_open_orders"] - own, p["max_open_orders_portfolio"] - own - others)


@kernel
def decide_smart(world, params, instruments, tape, event, ts, s):
    """Work out a plan where there are features for one, and put it in force where 7.9 says so."""
    if world.features[s]["absent"] & IS_WARM != 0:
        return
    last = len(world.plans) - 1
    gather_inputs(world, params, instruments, s)
    candidate, inputs, ladder = world.plans[last], world.inputs[s], world.ladder[last]
    _propose(inputs, params[0], candidate, ladder)
    if not replaces(candidate, world.plans[s], params[0]):
        return
    set_losses(candidate, ladder, inputs["position"], inputs["mid2"], inputs["tick_value"], params[0]["maker_fee"])
    was_too_small = world.plans[s]["reasons"] & _BUDGET_TOO_SMALL
    adopt(world, tape, event, ts, s)
    symbol = world.symbols[s]
    if candidate["reasons"] & _BUDGET_TOO_SMALL and was_too_small == 0 and symbol["selected"] != 0:
        put_alert(tape, event, ts, s, _ALERT, _WARNING, symbol["drawdown"], candidate["budget"])
