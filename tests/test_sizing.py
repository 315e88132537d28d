"""Losses, weights and rooms of a side against plain integers and Fraction (SPEC 7.6, 7.7, 16.14, 16.15).

Whole plans are held against the reference engine and every price path in test_smart.py and test_smart_invariants.py.
"""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.instrument import Instrument
from grinder.records import INPUTS, LEVEL, PLAN, Reason
from grinder.sizing import (
    add_loss,
    farther,
    held_loss,
    is_too_small,
    levels_loss,
    notional_of,
    rooms,
    scale_to,
    set_losses,
    set_room,
    spread_budget,
    stress_price,
    unit_loss,
)
from tests.test_smart_invariants import plan_of

ONE = 100_000_000


def levels_of(rows):
    """A LEVEL array of (price, quantity), index 1 first."""
    out = np.zeros(len(rows) + 2, LEVEL)
    for i, (px, qty) in enumerate(rows, 1):
        out[i]["px"], out[i]["qty"] = px, qty
    return out


def settings_of(**given):
    """The settings as kernels read them, with some of them as given."""
    instrument = Instrument(symbol="A", kind="perpetual", tick_size="0.01", lot_size="0.001")
    row = Config(policy="smart", maker_fee=0).params([instrument], [(1, 100_000)])[0][0]
    for name, value in given.items():
        row[name] = value
    return row


def test_what_a_position_loses_is_what_its_money_says():
    for position, mid2, stress in itertools.product(range(-3, 4), range(1, 14), range(8)):
        exact = Fraction(position) * (Fraction(mid2, 2) - stress) * 10
        assert held_loss(position, mid2, stress, 10) == max(0, exact), (position, mid2, stress)


def test_the_farther_price_is_lower_for_buys():
    assert (farther(1, 3, 5), farther(1, 5, 3), farther(-1, 3, 5), farther(-1, 5, 3)) == (3, 3, 5, 5)


@pytest.mark.parametrize("fee", [-30_000, 0, 1, 20_000])
def test_what_entries_lose(fee):
    """Each loses its move and its fee, rounded up; a rebate is not counted on."""
    rows = [(100, 3), (97, 2), (93, 7)]
    for n, stress in itertools.product(range(4), (80, 95, 97, 120)):
        exact = 0
        for px, qty in rows[:n]:
            one = qty * abs(px - stress) * 50 + math.ceil(Fraction(qty * px * 50 * max(0, fee), ONE))
            assert add_loss(exact, qty, px, stress, 50, fee) == exact + one
            exact += one
        assert levels_loss(levels_of(rows), n, stress, 50, fee) == exact


def test_the_stress_price_is_rounded_away_from_the_center():
    """`center * (1 -+ width)` in whole ticks, or the last level where that is farther."""
    for center, width in itertools.product((1_000_000, 99_999_999, 100_000_000, 100_000_001), (0, 1, 1_000_000, 12_345_678)):
        low = math.floor(Fraction(center, 10**6) * Fraction(ONE - width, ONE))
        high = math.ceil(Fraction(center, 10**6) * Fraction(ONE + width, ONE))
        for levels, side, end in ((levels_of([(60, 1), (50, 1)]), 1, low), (levels_of([(130, 1), (140, 1)]), -1, high)):
            assert stress_price(center, width, side, levels, 0) == end
            for n in (1, 2):
                last = int(levels[n]["px"])
                assert stress_price(center, width, side, levels, n) == (min(end, last) if side > 0 else max(end, last))


def weight(i, n, ratio, tapered):
    """16.14"""
    least = ONE * ONE // ratio
    return ONE - (ONE - least) * (i - 1) // (n - 1) if tapered and n > 1 else ONE


@pytest.mark.parametrize("tapered", [0, 1])
@pytest.mark.parametrize("fee", [-5, 0, 20_000])
def test_a_budget_is_spread_as_f_says(tapered, fee):
    """7.6: `a = floor((budget - n) * 1e8 / F)`, F's terms ceiled; quantities floored to lots."""
    r = random.Random(tapered)
    for _ in range(60):
        n, ratio, budget = r.randint(1, 6), r.choice((ONE, 2 * ONE, 3 * ONE + 7)), r.choice((0, 1, 5, 10**6, 10**11, 10**13))
        prices = sorted(r.sample(range(500, 9_000), n), reverse=True)
        stress, p = r.randint(1, prices[-1]), settings_of(maker_fee=fee, tapered=tapered, max_weight_ratio=ratio)
        levels = levels_of([(px, 0) for px in prices])
        loss = 0
        for i, px in enumerate(prices, 1):
            term = math.ceil(Fraction((px - stress) * ONE, px)) + max(0, fee)
            loss += math.ceil(Fraction(term * weight(i, n, ratio, tapered), ONE))
        assert unit_loss(p, levels, n, stress) == max(1, loss)
        notional = min(max(0, budget - n) * ONE // max(1, loss), 2**56)
        if max(0, budget - n) // max(1, loss) < 2**56 // ONE:
            assert notional_of(budget, n, max(1, loss)) == notional
        else:
            assert notional_of(budget, n, max(1, loss)) == 2**56
        spread_budget(budget, p, levels, n, stress, 10)
        for i, px in enumerate(prices, 1):
            exact = notional_of(budget, n, max(1, loss)) * weight(i, n, ratio, tapered) // ONE // (10 * px)
            assert levels[i]["qty"] == min(2**31, exact)
    assert unit_loss(settings_of(), levels_of([(100, 0)]), 1, 100) == 1, "never nothing"


def test_too_small_is_under_a_lot_or_under_the_least_notional():
    assert not is_too_small(levels_of([(10, 1), (9, 2)]), 2, 10 * 7, 7)
    assert is_too_small(levels_of([(10, 1), (9, 2)]), 2, 10 * 7 + 1, 7)
    assert is_too_small(levels_of([(10, 1), (9, 0)]), 2, 0, 7)
    assert not is_too_small(levels_of([(10, 1), (9, 0)]), 1, 0, 7)
    assert is_too_small(levels_of([(10, 0), (9, 1)]), 2, 0, 7)
    assert not is_too_small(levels_of([]), 0, 10**9, 7)


def test_rooms_are_what_caps_leave():
    """The cap less the position towards the side and open take-profits; leverage times equity less gross and take-profits."""
    inputs = np.zeros(1, INPUTS)
    given = {"tp_buy": 30, "tp_sell": 50, "position": 3, "mid2": 21, "tick_value": 4, "equity": 1_000, "max_inventory": 900}
    for name, value in (given | {"gross": 70}).items():
        inputs[name] = value
    p = settings_of(max_leverage=2 * ONE)
    assert tuple(rooms(inputs[0], p, 1)) == (900 - 126 - 30, 2_000 - 70 - 30)
    assert tuple(rooms(inputs[0], p, -1)) == (900 + 126 - 50, 2_000 - 70 - 50)
    inputs["equity"] = -1_000
    assert tuple(rooms(inputs[0], p, 1)) == (900 - 126 - 30, -70 - 30)


@pytest.mark.parametrize("room", [-5, 0, 1, 5_999, 29_999, 30_000, 30_001, 10**9])
def test_quantities_are_scaled_to_a_room(room):
    rows = [(100, 20), (50, 10), (25, 20)]
    levels = levels_of(rows)
    assert scale_to(levels, 3, room, 10) == 30_000
    for i, (_, qty) in enumerate(rows, 1):
        assert levels[i]["qty"] == (qty if room >= 30_000 else max(0, room) * qty // 30_000)


def test_scaling_holds_where_products_pass_the_range():
    """`room * qty` passes int64, the quotient does not."""
    room, qty = 2**60, 2**20 + 3
    levels = levels_of([(2**20, qty), (2**20, qty)])
    needed = 2 * 2**20 * qty * 2**20
    assert scale_to(levels, 2, room, 2**20) == needed
    assert levels[1]["qty"] == levels[2]["qty"] == room * qty // needed


def test_a_level_has_a_most_that_it_is_worth():
    """2**56 atoms, from where the exact amount could pass it."""
    assert notional_of(10**18, 1, 1) == 2**56
    share = 2**56 // ONE
    assert notional_of(share + 1, 1, 1) == 2**56
    assert notional_of(share, 1, 1) == (share - 1) * ONE
    assert notional_of(5, 6, 1) == 0


@pytest.mark.parametrize(("budget", "room"), [(100_000, 90_000), (10_001, 1), (10_000, 0), (9_000, 0), (-5, 0)])
def test_what_is_noted_of_a_side(budget, room):
    """`p_stress`, what entries lose there, the budget left after what is held loses, and the worst case: both together."""
    plan, levels = np.zeros(1, PLAN), levels_of([(99, 2), (98, 4)])
    plan["center"], plan["levels_down"], plan["width_down"], plan["levels_up"], plan["width_up"] = (
        100_000_000,
        2,
        10 * 10**6,
        1,
        2 * ONE,
    )
    ladder = np.array([levels, levels_of([(101, 3), (0, 0)])])
    set_room(plan[0], ladder[0], 1, 10, 200, budget, 100)
    set_room(plan[0], ladder[1], -1, 10, 200, budget, 100)
    set_losses(plan[0], ladder, 10, 200, 100, 0)
    noted = [plan[0][f"{name}_down"] for name in ("stress", "loss", "room", "worst")]
    loss = (2 * 9 + 4 * 8) * 100
    assert noted == [90, loss, room, loss + 10_000]
    noted = [plan[0][f"{name}_up"] for name in ("stress", "loss", "room", "worst")]
    assert noted == [200, 3 * 99 * 100, max(0, budget), 3 * 99 * 100], "what is held gains there"
    set_room(plan[0], ladder[1], -1, -10, 200, budget, 100)
    set_losses(plan[0], ladder, -10, 200, 100, 0)
    assert plan[0]["worst_up"] == 3 * 99 * 100 + 10 * 100 * 100
    assert plan[0]["worst_down"] == loss


@pytest.mark.parametrize(("places", "levels"), [(-3, 0), (0, 0), (1, 1), (2, 2), (100, 5)])
def test_places_bound_the_levels_of_a_side(places, levels):
    config = Config(policy="smart", levels_min=1, levels_max=5, maker_fee=0, min_edge=0, min_notional=0)
    plan, buys, _ = plan_of(config, mid2=200_000, tick_value=2, budget=2**40, natr=300_000, places=places)
    assert int(plan["levels_down"]) == len(buys) == levels
    assert bool(plan["reasons"] & Reason.MAX_OPEN_ORDERS) == (places < 5)
