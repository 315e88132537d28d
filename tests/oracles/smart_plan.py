"""The grid plan of policy `smart`: SPEC 7 with 16.11-16.15. Pure functions from inputs to a candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .reference import BUY, MICRO, SELL, UNIT, ceil_of, fee_of, floor_of, ladder, ratio_floor

RANGE, TREND_UP, TREND_DOWN, VOL_SHOCK, THIN_BOOK, TOXIC, PAUSED, EMERGENCY = range(8)
FULL, ONCE, OFF = range(3)

# Reason bits, ADR-5.
WARMUP = 1 << 0
DEPTH_SHORT = 1 << 1
STEP_FEE_FLOOR = 1 << 2
STEP_TICK_FLOOR = 1 << 3
LEVELS_CLAMPED = 1 << 4
BUDGET = 1 << 5
BUDGET_TOO_SMALL = 1 << 6
MAX_INVENTORY = 1 << 7
MAX_LEVERAGE = 1 << 8
MIN_NOTIONAL = 1 << 9
MAX_OPEN_ORDERS = 1 << 10
STEP_WIDENED = 1 << 11
CAP_PAUSE = 1 << 12
NO_VOLATILITY = 1 << 16

ADDS = {  # SPEC 6: buys, sells
    RANGE: (FULL, FULL),
    TREND_UP: (FULL, ONCE),
    TREND_DOWN: (ONCE, FULL),
    VOL_SHOCK: (OFF, OFF),
    THIN_BOOK: (OFF, OFF),
    TOXIC: (OFF, OFF),
    PAUSED: (OFF, OFF),
    EMERGENCY: (OFF, OFF),
}
ROWS = {  # 16.12: the others use RANGE's row
    TREND_UP: "trend",
    TREND_DOWN: "trend",
    VOL_SHOCK: "vol_shock",
    THIN_BOOK: "thin_book",
}


@dataclass
class Inputs:
    """What a decision sees of its symbol."""

    regime: int
    mode: int
    natr: int
    impact: int | None  # at the last bar close
    depth_short: bool
    mid2: int
    tick_value: int
    position: int
    budget: int  # dd_budget_symbol
    drawdown: int
    max_inventory: int
    gross: int  # the symbol's own notional, and the others' with their open orders (ADR-0028.5)
    equity: int  # last marked
    tp_notional: dict[int, int]  # open take-profits of a side
    places: int  # orders that max_open_orders leaves for entries
    adds_off: bool  # a protection, or not selected
    reduce_only: bool


@dataclass
class Side:
    """One side of a plan. OPEN 60: `worst` is recorded, the entries' and the open position's loss."""

    width: int
    prices: list[int]  # p_0, p_1, ... past the levels too
    qtys: list[int]  # of levels 1..n
    adds: int
    p_stress: int
    budget: int  # of the side, 7.6
    entries_worst: int  # what the levels lose at p_stress, fees included
    worst: int  # with the open position
    reasons: int

    @property
    def count(self) -> int:
        return len(self.qtys)

    def qty(self, i: int) -> int:
        """SPEC 8: an index past the schedule takes the last scheduled quantity."""
        return self.qtys[min(i, len(self.qtys)) - 1]


@dataclass
class SmartPlan:
    id: int
    regime: int
    mode: int
    center: int
    step: int
    tp_step: int
    sides: dict[int, Side]
    reduce_only: bool
    budget: int
    reasons: int

    @property
    def key(self) -> tuple:
        """What of a plan 7.9 compares for equality."""
        return (self.regime, self.sides[BUY].adds, self.sides[SELL].adds, self.reduce_only)


# ---- 7.2 - 7.5 ---------------------------------------------------------------------------------------


def row(cfg: dict, name: str, regime: int) -> int:
    return cfg[name][ROWS.get(regime, "range")]


def root_of(h_ns: int, bar_ns: int) -> int:
    """The one float of SPEC 7, a parameter."""
    return math.floor(math.sqrt(h_ns / bar_ns) * 1e8 + 0.5)


def l2_penalty(cfg: dict, impact: int | None, depth_short: bool) -> int:
    if depth_short:
        return 3 * UNIT
    if impact is None:
        return UNIT
    return UNIT + min(2 * UNIT, math.floor(Fraction(impact * UNIT, cfg["impact_ref"])))


def stress(cfg: dict, regime: int, natr: int, penalty: int) -> int:
    natr, penalty = int(natr), int(penalty)  # numpy's, of kernels without the JIT, would wrap here
    sigma = ratio_floor(natr, root_of(row(cfg, "horizon_ns", regime), cfg["bar_ns"]))
    x = ratio_floor(row(cfg, "k_tail", regime), sigma)
    x = ratio_floor(x, penalty)
    x = ratio_floor(x, row(cfg, "trend_penalty", regime))
    return min(max(x, cfg["x_min"]), cfg["x_cap"])


def width_of(cfg: dict, regime: int, side: int, x: int) -> int:
    x, mult = int(x), UNIT
    if regime in (TREND_UP, TREND_DOWN):
        against = SELL if regime == TREND_UP else BUY
        mult = cfg["side_mult_against"] if side == against else cfg["side_mult_with"]
    return min(max(ratio_floor(x, mult), cfg["x_min"]), cfg["x_cap"])


def step_of(cfg: dict, regime: int, natr: int, mid2: int) -> tuple[int, int]:
    natr, mid2 = int(natr), int(mid2)
    step = max(cfg["step_min"], ratio_floor(ratio_floor(cfg["alpha"], natr), row(cfg, "shock_multiplier", regime)))
    reasons = 0
    fee_floor = 2 * max(0, cfg["maker_fee"]) + cfg["min_edge"]
    if step < fee_floor:
        step, reasons = fee_floor, reasons | STEP_FEE_FLOOR
    tick_floor = math.ceil(Fraction(UNIT * cfg["min_step_ticks"], max(1, mid2 // 2)))  # 16.13
    if step < tick_floor:
        step, reasons = tick_floor, reasons | STEP_TICK_FLOOR
    return step, reasons


def center_of(cfg: dict, inp: Inputs, step: int) -> int:
    """In 1e-6 ticks. OPEN 15: magnitudes are floored and the sign put on last, so a mirrored position mirrors the shift;
    the shifted center is floored; every regime skews."""
    center = inp.mid2 * (MICRO // 2)
    if inp.max_inventory <= 0 or inp.position == 0:
        return center
    notional = abs(inp.position) * inp.mid2 * (inp.tick_value // 2)
    inventory = min(UNIT, math.floor(Fraction(notional * UNIT, inp.max_inventory)))
    shift = min(ratio_floor(cfg["skew_factor"], inventory), step // 2)
    sign = 1 if inp.position > 0 else -1
    return math.floor(Fraction(center * (UNIT - sign * shift), UNIT))


def level_count(cfg: dict, width: int, step: int) -> tuple[int, int]:
    wanted = math.ceil(Fraction(width, step))
    clamped = min(max(wanted, cfg["levels_min"]), cfg["levels_max"])
    return clamped, LEVELS_CLAMPED if wanted > cfg["levels_max"] else 0


# ---- 7.6 ---------------------------------------------------------------------------------------------


def stress_price(center: int, width: int, side: int, levels: list[int]) -> int:
    """The farther of the width's end, rounded away from the center, and the last level. OPEN 58: one exact rounding."""
    end = Fraction(center * (UNIT - side * width), UNIT * MICRO)
    away = math.floor(end) if side == BUY else math.ceil(end)
    return farther(side, [away] + levels)


def farther(side: int, prices: list[int]) -> int:
    return min(prices) if side == BUY else max(prices)


def held_loss(position: int, mid2: int, p_stress: int, tick_value: int) -> int:
    return max(0, position * (mid2 - 2 * p_stress) * (tick_value // 2))


def entries_loss(levels: list[tuple[int, int]], p_stress: int, tick_value: int, maker_fee: int) -> int:
    """What (price, qty) entries lose when all fill and the price goes to p_stress.
    ADR-0028.4: each fee is ceiled on its own, as the ledger does; a rebate is none (16.14)."""
    fee = max(0, maker_fee)
    return sum(q * abs(p - p_stress) * tick_value + fee_of(p, q, tick_value, fee) for p, q in levels)


def weights(n: int, sizing: str, max_weight_ratio: int) -> list[int]:
    if sizing == "A" or n == 1:
        return [UNIT] * n
    wmin = UNIT * UNIT // max_weight_ratio
    return [UNIT - (UNIT - wmin) * (i - 1) // (n - 1) for i in range(1, n + 1)]


def quantities(cfg: dict, budget: int, levels: list[int], p_stress: int, tick_value: int) -> list[int]:
    """OPEN 17: with nothing to lose (F = 0) F counts as 1. ADR-0028.4: fees are rounded up, so an atom a level is kept."""
    ws = weights(len(levels), cfg["sizing"], cfg["max_weight_ratio"])
    fee = max(0, cfg["maker_fee"])
    f = 0
    for w, p in zip(ws, levels, strict=True):
        term = ceil_of(abs(p - p_stress) * UNIT, p) + fee
        f += ceil_of(w * term, UNIT)
    a = max(0, budget - len(levels)) * UNIT // max(1, f)
    return [ratio_floor(a, w) // (p * tick_value) for w, p in zip(ws, levels, strict=True)]


def too_small(cfg: dict, levels: list[int], qtys: list[int], tick_value: int) -> bool:
    return any(q < 1 or p * q * tick_value < cfg["min_notional"] for p, q in zip(levels, qtys, strict=True))


@dataclass
class Sized:
    qtys: list[int]
    p_stress: int
    budget: int
    reasons: int


def size(cfg: dict, inp: Inputs, center: int, width: int, side: int, prices: list[int], n: int) -> Sized:
    """7.6's loop; 16.14: p_stress, held loss and budget anew at each turn."""
    while True:
        levels = prices[1 : n + 1]
        p_stress = stress_price(center, width, side, levels)
        budget = max(0, inp.budget - inp.drawdown - held_loss(inp.position, inp.mid2, p_stress, inp.tick_value))
        qtys = quantities(cfg, budget, levels, p_stress, inp.tick_value)
        if not too_small(cfg, levels, qtys, inp.tick_value):
            return Sized(qtys, p_stress, budget, 0)
        if n <= cfg["levels_min"]:
            p_stress = stress_price(center, width, side, [])
            return Sized([], p_stress, budget, BUDGET_TOO_SMALL)
        n -= 1


# ---- 7.7 ---------------------------------------------------------------------------------------------


def scale(inp: Inputs, cfg: dict, side: int, levels: list[int], qtys: list[int]) -> tuple[list[int], int]:
    """(1): inventory, then leverage.

    OPEN 18: a position away from the side gives room (signed), as the guard of ADR-3.5 has it; take-profits count at
    their prices, as orders.
    """
    reasons = 0
    towards = side * inp.position * inp.mid2 * (inp.tick_value // 2)
    leverage = ratio_floor(max(0, inp.equity), cfg["max_effective_leverage"])
    for room, reason in (
        (inp.max_inventory - towards - inp.tp_notional[side], MAX_INVENTORY),
        (leverage - inp.gross - inp.tp_notional[side], MAX_LEVERAGE),
    ):
        needed = sum(q * p * inp.tick_value for p, q in zip(levels, qtys, strict=True))
        if needed > max(0, room):
            qtys = [floor_of(q * max(0, room), needed) for q in qtys]
            reasons |= reason
    return qtys, reasons


def fit_side(cfg: dict, inp: Inputs, center: int, width: int, step: int, side: int, places: int) -> tuple[Side, bool]:
    """7.5, 7.6 and (1)-(3) of 7.7 at one ladder step, and whether (1)-(3) left too few levels."""
    levels, reasons = level_count(cfg, width, step)
    prices, n = ladder(center, step, side, levels)
    prices = prices[: 2 * cfg["levels_max"] + 1]
    cut = False
    while True:
        sized = size(cfg, inp, center, width, side, prices, n)
        reasons |= sized.reasons
        n = len(sized.qtys)
        qtys, capped = scale(inp, cfg, side, prices[1 : n + 1], sized.qtys)
        reasons |= capped
        if not too_small(cfg, prices[1 : n + 1], qtys, inp.tick_value):
            break
        reasons |= MIN_NOTIONAL
        cut = True
        n -= 1  # (2): back to 7.6
    if n > places:
        qtys, cut, reasons = qtys[: max(0, places)], True, reasons | MAX_OPEN_ORDERS
    kept = prices[1 : len(qtys) + 1]
    p_stress = stress_price(center, width, side, kept)
    held = held_loss(inp.position, inp.mid2, p_stress, inp.tick_value)
    loss = entries_loss(list(zip(kept, qtys, strict=True)), p_stress, inp.tick_value, cfg["maker_fee"])
    budget = max(0, inp.budget - inp.drawdown - held)
    out = Side(width, prices, qtys, OFF, p_stress, budget, loss, loss + held, reasons)
    return out, cut and len(qtys) < cfg["levels_min"]


def plan_side(cfg: dict, inp: Inputs, center: int, width: int, step: int, side: int, places: int, adds: int) -> Side:
    """(4): twice the ladder step, once; (5): still too few, adds OFF. OPEN 19: reasons of the first try stay; OPEN 20: the
    levels that are left stay in the plan."""
    out, short = fit_side(cfg, inp, center, width, step, side, places)
    if short:
        before = out.reasons
        out, short = fit_side(cfg, inp, center, width, 2 * step, side, places)
        out.reasons |= before | STEP_WIDENED
        if short:
            out.reasons |= CAP_PAUSE
            adds = OFF
    out.adds = adds
    return out


def candidate(cfg: dict, inp: Inputs) -> SmartPlan:
    """7.8. OPEN 21: buys take their places under max_open_orders before sells do, whatever their adds."""
    penalty = l2_penalty(cfg, inp.impact, inp.depth_short)
    x = stress(cfg, inp.regime, inp.natr, penalty)
    step, reasons = step_of(cfg, inp.regime, inp.natr, inp.mid2)
    if inp.depth_short:
        reasons |= DEPTH_SHORT
    if inp.natr == 0:
        reasons |= NO_VOLATILITY  # 16.3
    center = center_of(cfg, inp, step)
    places = inp.places
    sides = {}
    for side, regime_adds in zip((BUY, SELL), ADDS[inp.regime], strict=True):
        adds = OFF if inp.adds_off or inp.natr == 0 else regime_adds
        sides[side] = plan_side(cfg, inp, center, width_of(cfg, inp.regime, side, x), step, side, places, adds)
        places -= sides[side].count
        reasons |= sides[side].reasons
    tp_step = max(step, 2 * cfg["maker_fee"] + cfg["min_edge"])
    return SmartPlan(-1, inp.regime, inp.mode, center, step, tp_step, sides, inp.reduce_only, inp.budget, reasons)


# ---- 7.9 ---------------------------------------------------------------------------------------------


def replaces(cfg: dict, new: SmartPlan, old: SmartPlan | None) -> bool:
    """OPEN 22: a side's budgets compare with the entries' worst case, without the open position, and budget against budget.
    OPEN 59: two steps of the plan in force are `2 * step * center` exactly, around the old center."""
    if old is None or new.key != old.key:
        return True
    if 4 * abs(new.step - old.step) > old.step:
        return True
    if abs(new.center - old.center) > Fraction(cfg["replan_center"] * old.step * old.center, UNIT * UNIT):
        return True
    for side in (BUY, SELL):
        a, b = new.sides[side], old.sides[side]
        if abs(a.count - b.count) > cfg["replan_levels"] or (a.count == 0) != (b.count == 0):
            return True
        if a.budget < b.entries_worst or 4 * (a.budget - b.budget) > b.budget:
            return True
    return False
