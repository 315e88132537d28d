"""Sizes of a grid: quantities whose worst case fits a budget, then the hard caps (SPEC 7.6, 7.7, 16.14, 16.15; ADR-0022).

A side's levels stand in a LEVEL array, index 1 nearest to the center; quantities are worked out in place.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.plan import start_ladder
from grinder.records import Reason
from grinder.units import (
    HIGHEST,
    LOSS_LIMIT,
    MAX_QTY_LOTS,
    MICRO,
    ONE,
    capped_product,
    fee_atoms,
    mul_div,
    mul_div_ceil,
    mul_div_floor,
    share_of,
)

__all__ = [
    "add_loss",
    "farther",
    "fit_levels",
    "held_loss",
    "is_too_small",
    "notional_of",
    "rooms",
    "scale_to",
    "set_losses",
    "set_room",
    "spread_budget",
    "stress_price",
    "unit_loss",
]

_LEVELS_CLAMPED: Final = int(Reason.LEVELS_CLAMPED)
_BUDGET_TOO_SMALL: Final = int(Reason.BUDGET_TOO_SMALL)
_MAX_INVENTORY: Final = int(Reason.MAX_INVENTORY)
_MAX_LEVERAGE: Final = int(Reason.MAX_LEVERAGE)
_MIN_NOTIONAL: Final = int(Reason.MIN_NOTIONAL)
_MAX_OPEN_ORDERS: Final = int(Reason.MAX_OPEN_ORDERS)
_LEVEL_LIMIT: Final = 2**56
"""Atoms: the most that a level is worth before the caps, so that a side's sum fits."""
_TERM_LIMIT: Final = 2**55


# The worst case


@kernel
def farther(side, a, b):
    """The price that is farther out on a side."""
    return min(a, b) if side > 0 else max(a, b)


@kernel
def stress_price(center, width, side, levels, n):
    """`p_stress`: the farther of `center * (1 -+ width)`, rounded away from the center, and the last of `n` levels."""
    if side > 0:
        end = mul_div_floor(center, ONE - width, ONE) // MICRO
    else:
        end = -(-mul_div_ceil(center, ONE + width, ONE) // MICRO)
    return farther(side, end, levels[n]["px"]) if n > 0 else end


@kernel
def held_loss(position, mid2, stress, tick_value):
    """What the open position loses from the mid to `stress`, 0 if it gains."""
    move = mid2 - 2 * stress
    if (position > 0) != (move > 0):
        return 0
    return capped_product(abs(position) * (tick_value // 2), abs(move))


@kernel
def add_loss(loss, qty, price, stress, tick_value, maker_fee):
    """A sum of losses, and what an entry loses when it fills at its price and then goes to `stress`, its fee, ceiled, included."""
    value = capped_product(qty, tick_value)
    fee = fee_atoms(capped_product(value, price), max(0, maker_fee))
    return min(LOSS_LIMIT, loss + capped_product(value, abs(price - stress)) + fee)


@kernel
def levels_loss(levels, n, stress, tick_value, maker_fee):
    """What the first `n` levels lose when all fill and the price goes to `stress`."""
    loss = 0
    for i in range(1, n + 1):
        loss = add_loss(loss, levels[i]["qty"], levels[i]["px"], stress, tick_value, maker_fee)
    return loss


@kernel
def set_room(plan, levels, side, position, mid2, budget, tick_value):
    """Note a side's `p_stress`, and the budget left for its entries there.

    Args:
        budget: the symbol's, less its drawdown; what the open position can lose comes off here.
    """
    n = plan["levels_down"] if side > 0 else plan["levels_up"]
    width = min(ONE, plan["width_down"] if side > 0 else plan["width_up"])
    stress = stress_price(plan["center"], width, side, levels, n)
    room = max(0, budget - held_loss(position, mid2, stress, tick_value))
    if side > 0:
        plan["stress_down"], plan["room_down"] = stress, room
    else:
        plan["stress_up"], plan["room_up"] = stress, room


@kernel
def set_losses(plan, ladder, position, mid2, tick_value, maker_fee):
    """Note what entries of either side lose at its `p_stress`, and the worst case, which is that and the loss of what is held."""
    down, up = plan["stress_down"], plan["stress_up"]
    plan["loss_down"] = levels_loss(ladder[0], plan["levels_down"], down, tick_value, maker_fee)
    plan["loss_up"] = levels_loss(ladder[1], plan["levels_up"], up, tick_value, maker_fee)
    plan["worst_down"] = plan["loss_down"] + held_loss(position, mid2, down, tick_value)
    plan["worst_up"] = plan["loss_up"] + held_loss(position, mid2, up, tick_value)


# Sizes


@kernel
def fit_levels(inputs, p, plan, levels, side, width, step, places):
    """Levels and quantities of a side at one ladder step: 7.5, 7.6, then (1) to (3) of 7.7.

    Args:
        inputs: INPUTS. plan: PLAN, whose center is set. levels: LEVEL, of the side, filled here.
        width, step: ratios. places: orders that the limits leave.

    Returns:
        (levels, whether the caps left too few, reasons).
    """
    if side > 0:
        plan["rung_down"] = step
    else:
        plan["rung_up"] = step
    asked = -(-width // step)
    reasons = _LEVELS_CLAMPED if asked > p["levels_max"] else 0
    n = start_ladder(plan, levels, side, min(max(asked, p["levels_min"]), p["levels_max"]))
    cut = False
    while True:
        n, too_small = _size(inputs, p, plan["center"], levels, side, width, n)
        scaled = _scale(inputs, p, levels, side, n)
        reasons |= too_small | scaled
        if scaled == 0 or not is_too_small(levels, n, p["min_notional"], inputs["tick_value"]):
            break
        reasons |= _MIN_NOTIONAL
        cut = True
        n -= 1
    if n > places:
        n, cut, reasons = max(0, places), True, reasons | _MAX_OPEN_ORDERS
    return n, cut and n < p["levels_min"], reasons


@kernel
def _size(inputs, p, center, levels, side, width, n):
    """7.6: quantities that lose the side's budget at `p_stress`, fewer levels until each is worth placing."""
    while True:
        stress = stress_price(center, width, side, levels, n)
        loss = held_loss(inputs["position"], inputs["mid2"], stress, inputs["tick_value"])
        spread_budget(max(0, inputs["budget"] - inputs["drawdown"] - loss), p, levels, n, stress, inputs["tick_value"])
        if not is_too_small(levels, n, p["min_notional"], inputs["tick_value"]):
            return n, 0
        if n <= p["levels_min"]:
            return 0, _BUDGET_TOO_SMALL
        n -= 1


@kernel
def unit_loss(p, levels, n, stress):
    """`F`: what `n` levels of a notional of 1 lose at `stress`, weighed, with their fees; at least 1e-8."""
    loss = 0
    for i in range(1, n + 1):
        price = levels[i]["px"]
        term = min(_TERM_LIMIT, -(-abs(price - stress) * ONE // price) + max(0, p["maker_fee"]))
        loss += term if p["tapered"] == 0 else mul_div_ceil(term, _weight(p, i, n), ONE)
    return max(1, loss)


@kernel
def notional_of(budget, n, loss):
    """`a`: the notional of a level of weight 1, `floor((budget - n) * 1e8 / F)` atoms: each fill's fee is rounded up (ADR-0028)."""
    budget = max(0, budget - n)
    return mul_div(budget, ONE, loss) if budget // loss < _LEVEL_LIMIT // ONE else _LEVEL_LIMIT


@kernel
def spread_budget(budget, p, levels, n, stress, tick_value):
    """Spread a budget over `n` levels, by equal notional (A) or tapered (B)."""
    notional = notional_of(budget, n, unit_loss(p, levels, n, stress))
    for i in range(1, n + 1):
        own = notional if p["tapered"] == 0 else mul_div_floor(notional, _weight(p, i, n), ONE)
        levels[i]["qty"] = min(MAX_QTY_LOTS, own // (tick_value * levels[i]["px"]))


@kernel
def _weight(p, i, n):
    """The weight of level `i` of `n`, falling evenly from 1 to `1 / max_weight_ratio` (16.14)."""
    if n == 1:
        return ONE
    least = ONE * ONE // p["max_weight_ratio"]
    return ONE - (ONE - least) * (i - 1) // (n - 1)


@kernel
def is_too_small(levels, n, min_notional, tick_value):
    """Whether one of `n` levels is under a lot or the least notional."""
    for i in range(1, n + 1):
        qty = levels[i]["qty"]
        if qty < 1 or levels[i]["px"] * qty * tick_value < min_notional:
            return True
    return False


@kernel
def rooms(inputs, p, side):
    """What the inventory cap and leverage leave for entries of a side, atoms (16.15)."""
    profits = inputs["tp_buy"] if side > 0 else inputs["tp_sell"]
    towards = side * inputs["position"] * inputs["mid2"] * (inputs["tick_value"] // 2)
    leverage = share_of(max(0, inputs["equity"]), p["max_leverage"])
    return inputs["max_inventory"] - towards - profits, leverage - inputs["gross"] - profits


@kernel
def scale_to(levels, n, room, tick_value):
    """Quantities times `room / needed` where `n` levels need more than the room; returns what they needed, atoms."""
    needed, largest, room = 0, 1, max(0, room)
    for i in range(1, n + 1):
        needed += levels[i]["px"] * levels[i]["qty"] * tick_value
        largest = max(largest, levels[i]["qty"])
    if needed > room:
        fits = room <= HIGHEST // largest  # so that one division a level will do
        for i in range(1, n + 1):
            qty = levels[i]["qty"]
            levels[i]["qty"] = room * qty // needed if fits else mul_div(room, qty, needed)
    return needed


@kernel
def _scale(inputs, p, levels, side, n):
    """7.7 (1): quantities times `room / needed`, for the inventory cap, then for leverage."""
    reasons = 0
    inventory, leverage = rooms(inputs, p, side)
    for room, reason in ((inventory, _MAX_INVENTORY), (leverage, _MAX_LEVERAGE)):
        if scale_to(levels, n, room, inputs["tick_value"]) > max(0, room):
            reasons |= reason
    return reasons
