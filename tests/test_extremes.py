"""Where arithmetic or a loop could run away: limits that saturate, ladders that cannot move, marks beyond every quote."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, LedgerError, RangeError
from grinder.policies.own import GridPlan, TargetState, WantedOrder, policy
from grinder.policies.smart import plan_grid, replaces, stress_width
from grinder.records import FEATURES, INPUTS, LADDER_SLOTS, LEVEL, PLAN, SYMBOL, Feature, Reason, Role
from grinder.selection import score_of
from grinder.session import replay
from grinder.sizing import add_loss
from grinder.units import LOSS_LIMIT, mul_div, share_of
from tests.extreme_tapes import outcome

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
COIN = Instrument(symbol="COIN", kind="perpetual", tick_size="1", lot_size="1")


def tape(mids, instrument=COIN, **streams):
    """One quote a second, one tick to either side of the mid."""
    rows = {"ts": [START + SECOND * i for i in range(len(mids))], "bid_px": [m - 1 for m in mids], "ask_px": [m + 1 for m in mids]}
    rows |= {"bid_qty": [1 + i % 2 for i in range(len(mids))], "ask_qty": [1] * len(mids)}
    return Fixture.from_arrays([instrument], quotes=rows, **streams)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.integers(0, 2**62), st.integers(0, 500 * 10**8))
def test_share_of_is_exact_or_no_limit(money, ratio):
    exact = money * ratio // 10**8
    assert share_of(money, ratio) == exact or (share_of(money, ratio) == 2**62 and exact >= 2**61)


def test_a_step_that_cannot_move_a_level_is_raised():
    """A ladder closer than a tick would be walked for ever; SPEC 7 raises the step and says so."""
    grid = GridPlan(0, 50_000_000, 1, 1, 1, (1,), (1,), 10_000_000)
    done = replay(tape([50, 50]), Config(min_notional=0), lambda view, params: grid)
    assert done.plans[["step", "reasons"]].tolist() == [(2_000_000, Reason.STEP_TICK_FLOOR)]


@pytest.mark.parametrize("leverage", ["0.5", "1", "499", "500"])
def test_leverage_limit_is_exact(leverage):
    """Just under one 1e8 of atoms: the remainder of the quotient split is as large as it gets."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.01", lot_size="0.01")
    config = Config(
        equity="0.95", max_effective_leverage=leverage, max_inventory_notional="1000", min_notional=0, quantity="0.1", levels=2
    )
    done = replay(tape([1000] * 5, instrument), config)
    allowed = Fraction("0.95") * Fraction(leverage)
    first = done.intents.records[:4]  # nearest first: one unit of 0.1 * 10.0 quote a side, two sides of two levels
    exposure = {1: Fraction(0), -1: Fraction(0)}
    for row in first:
        side = int(row["side"])
        wanted = Fraction(1) + exposure[side]
        worst = max(wanted, exposure[-side])
        assert (row["reason"] == Reason.MAX_LEVERAGE) == (worst > allowed), row
        if row["reason"] == 0:
            exposure[side] = wanted


def test_limits_of_settings():
    with pytest.raises(ConfigError, match="max_effective_leverage"):
        Config(max_effective_leverage=501)
    with pytest.raises(ConfigError, match="max_inventory_notional"):
        Config(max_inventory_notional="50001%")


def test_a_funding_mark_counts_as_a_price():
    """The load proof knows the highest mark, so funding on the largest position cannot wrap."""
    funding = {"ts": [START], "rate": [10_000], "mark_px": [2**35]}  # before the first quote: no mid to jump from
    config = Config(equity=5 * 10**9, quantity=900_000, max_effective_leverage=10)
    with pytest.raises(RangeError, match=str(2**35)):
        replay(tape([1000, 1000], funding=funding), config)
    assert tape([1000, 1000], funding=funding).price_range == ((999, 2**35),)
    late = funding | {"ts": [START + SECOND]}
    assert tape([1000, 1000], funding=late).price_range == ((999, 1001),), "a jump is quarantined and never paid on"


def test_reduce_only_orders_know_the_order_limit():
    """They are refused by name where there are too many; the order table never overflows."""
    calls = []

    def flood(view, params):
        calls.append(view.event)
        n = len(calls)
        return TargetState([WantedOrder(-1, 110 * n + k, 2000 + k, 1, int(Role.REDUCE_ONLY)) for k in range(110)])

    done = replay(tape([1000] * 10), Config(bar_interval_ms=2000, cancel_latency_ms=60_000), flood)
    assert Reason.MAX_OPEN_ORDERS in done.intents["reason"]
    assert int(done.world.symbols[0]["n_orders"]) == 100


def test_reduce_only_orders_count_up_to_what_they_can_close():
    """A buy that closes a short leaves room for less: were both filled, the position would pass the limit."""
    targets = [
        TargetState([WantedOrder(-1, 1, 1010, 10)]),
        TargetState([WantedOrder(1, 2, 995, 10, int(Role.REDUCE_ONLY)), WantedOrder(1, 3, 990, 11)]),
        TargetState([WantedOrder(1, 2, 995, 10, int(Role.REDUCE_ONLY)), WantedOrder(1, 3, 990, 10)]),
    ]
    config = Config(bar_interval_ms=3000, min_notional=0, max_inventory_notional=10_200, equity=10**6)
    path = [1000, 1012, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 980, 980, 980]
    done = replay(tape(path), config, lambda view, params: targets.pop(0) if targets else None)
    entries = done.intents.records[done.intents["key"] == 3]
    assert [(int(row["qty"]), int(row["reason"])) for row in entries] == [(11, Reason.MAX_INVENTORY), (10, 0)]
    assert done.fills["qty"].tolist() == [10, 10, 10]
    assert int(done.world.symbols[0]["position"]) == 10


@pytest.mark.parametrize("exits", [11, 5])
def test_entries_never_stand_in_the_way_of_an_exit(exits):
    """As many entries are open as there may be, and the reduce-only orders are still sent, up to as many."""
    entries = [WantedOrder(1, k, 900 - k, 1) for k in range(10)]
    closing = [WantedOrder(-1, k, 1100 + k, 1, int(Role.REDUCE_ONLY)) for k in range(exits)]
    targets = [TargetState(entries), TargetState([*entries, *closing])]
    config = Config(max_open_orders=10, min_notional=0, bar_interval_ms=2000)
    done = replay(tape([1000] * 4), config, lambda view, params: targets.pop(0) if targets else None)
    refused = done.intents.records[done.intents["reason"] == Reason.MAX_OPEN_ORDERS]
    assert set(refused["role"].tolist()) <= {int(Role.REDUCE_ONLY)}
    assert len(set(refused["key"].tolist())) == max(0, exits - 10)
    assert int(done.world.symbols[0]["n_orders"]) == 10 + min(exits, 10)


def test_money_past_its_share_of_the_range_is_a_fault():
    """Two symbols, turnover of each near half of 2**62: their sum would wrap, so the run stops at the fill that gets there."""
    coins = [Instrument(symbol=name, kind="perpetual", tick_size="1", lot_size="1", quote_decimals=1) for name in "AB"]
    rows = {"ts": [START + SECOND * i for i in range(40)], "symbol": [i % 2 for i in range(40)]}
    mids = [2**34 + (-1000 if (i // 2) % 2 else 1000) for i in range(40)]
    rows |= {"bid_px": [m - 1 for m in mids], "ask_px": [m + 1 for m in mids]}
    rows |= {"bid_qty": [1 + i for i in range(40)], "ask_qty": [1] * 40}
    fixture = Fixture.from_arrays(coins, quotes=rows)
    config = Config(
        equity=2**55, quantity=2**20, max_effective_leverage=500, max_inventory_notional=2**56, min_notional=0, maker_fee=0
    )

    def churn(view, params):
        side = 1 if view.position <= 0 else -1
        return TargetState([WantedOrder(side, view.event, 2**34, 2**20)])

    with pytest.raises(LedgerError, match="share of 2"):
        replay(fixture, config, policy(churn, on_fill=True))


def test_a_clipped_to_nothing_reduce_only_order_is_no_fill():
    """It is cancelled, nothing traded, so a policy that decides on fills is not called."""
    events = []

    def closing(view, params):
        events.append(view.event)
        return TargetState([WantedOrder(1, len(events), 995, 5, int(Role.REDUCE_ONLY))])

    done = replay(tape([1000, 1000, 990, 1000, 990]), Config(min_notional=0, bar_interval_ms=60_000), policy(closing, on_fill=True))
    assert events == [0]
    assert len(done.fills) == 0
    assert Counter(done.orders["to"].tolist())[4] == 1


def test_reduce_only_exposure_cannot_wrap():
    """Without a position they neither use up leverage nor wrap its sum."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="1", lot_size="1", quote_decimals=2)

    def crowd(view, params):
        closing = [WantedOrder(-1, k, 2**29 + 50 + k, 2**20, int(Role.REDUCE_ONLY)) for k in range(8)]
        return TargetState([*closing, WantedOrder(1, 1, 900, 10)])

    config = Config(equity=2**40, max_inventory_notional=2**44, max_effective_leverage=1, min_notional=0)
    done = replay(tape([2**29] * 4, instrument), config, crowd)
    assert set(done.intents["reason"].tolist()) == {0}


def test_a_late_fill_of_a_dropped_order_leaves_the_new_target():
    """Its cancel was in flight, its key is used anew at another price: the new order is still wanted."""
    decisions = [
        TargetState([WantedOrder(1, 1, 990, 1), WantedOrder(1, 2, 980, 1)]),
        TargetState([WantedOrder(1, 1, 980, 1), WantedOrder(1, 2, 970, 1)]),
    ]
    path = [1000, 1000, 1000, 990, 989, 1000, 1000, 1000, 979, 975, 969]
    config = Config(bar_interval_ms=2000, min_notional=0, cancel_latency_ms=1500)
    done = replay(tape(path), config, lambda view, params: decisions.pop(0) if decisions else None)
    assert done.fills["price"].tolist() == [990, 980, 970]


def test_no_events_no_run():
    fixture = tape([1000, 1000])
    with pytest.raises(ConfigError, match="until"):
        replay(fixture, Config(quantity=1), until=3)
    assert replay(fixture, Config(quantity=1), until=0).events == 0


# Policy `smart` where products pass 63 bits

ONE = 10**8


def params(**given_):
    return Config(policy="smart", **given_).params([COIN], [(1, 100_000)])[0][0]


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.integers(0, 2**62), st.integers(0, 2**31), st.integers(1, 2**63 - 1))
@example(2**62 - 1, ONE, 2**62 + 2**60)
@example(3 * 10**18, 2**31, 50 * 2**56)
def test_mul_div_of_any_unit(x, k, unit):
    """Of a room and a need that are both near 2**62; twice the remainder is over 63 bits."""
    if x * k // unit < 2**63:
        assert mul_div(x, k, unit) == x * k // unit


def test_a_horizon_of_a_year_and_a_natr_of_a_fifth_is_as_wide_as_there_is():
    """root 562321 of 1e8 times a NATR of 0.2 is over 63 bits as it is written; it came out negative, and X_min."""
    p = params(bar_interval_ms=1000, horizon_ms={"range": 366 * 86_400_000}, x_cap="0.9")
    assert p["root_range"] > 2**63 // ONE
    for natr in (10, 20_000_000, 99_999_999, 100 * ONE):
        exact = natr * int(p["root_range"]) // ONE * 2
        assert stress_width(p, 0, natr, ONE) == min(90_000_000, max(500_000, exact))


def test_a_center_may_move_by_five_hundred_steps_of_the_highest_price():
    old, new = np.zeros(1, PLAN), np.zeros(1, PLAN)
    for plan in (old, new):
        plan["kind"], plan["step"], plan["center"] = 1, ONE, 2**35 * 10**6
    assert not replaces(new[0], old[0], params(replan_center=500))
    new["center"] = 10**6
    assert not replaces(new[0], old[0], params(replan_center=1))
    assert replaces(new[0], old[0], params(replan_center="0.9"))


@pytest.mark.parametrize(("grown", "replaced"), [(2**61 + 2**59, False), (2**61 + 2**59 + 1, True), (2**62 - 1, True)])
def test_a_budget_may_grow_by_a_quarter_of_anything(grown, replaced):
    """Four times a difference of over 2**61 wraps: the plan with next to no budget stayed."""
    old, new = np.zeros(1, PLAN), np.zeros(1, PLAN)
    for plan in (old, new):
        plan["kind"], plan["step"], plan["center"], plan["room_up"] = 1, ONE, 10**8, 5
    old["room_down"], new["room_down"] = 2**61, grown
    assert bool(replaces(new[0], old[0], params())) is replaced
    old["room_down"] = 7
    assert replaces(new[0], old[0], params())


def test_losses_of_any_quantity_saturate():
    """A grid of one's own may ask for 2**31 lots of 2**33 atoms a tick."""
    assert add_loss(1, 2**31, 100, 50, 2**33, 0) == LOSS_LIMIT
    assert add_loss(1, 2**31, 50, 50, 2**33, 10_000_000) == 1 + -(-(2**60) // 10)
    assert add_loss(1, 2**20, 100, 50, 2**33, 0) == 1 + 50 * 2**53
    assert add_loss(1, 2**20, 100, 50, 2**33, 3) == 1 + 50 * 2**53 + -(-100 * 2**53 * 3 // 10**8)


def test_liquidity_of_any_reference():
    r = random.Random(2)
    row, symbol = np.zeros(1, FEATURES), np.zeros(1, SYMBOL)
    row["absent"], row["efficiency_ratio"] = int(Feature.DEPTH_BID), ONE
    for reference in (10**10, 3 * 10**10, 4 * 10**10):
        p = params(liq_ref=reference)
        for _ in range(20):
            row["thin_l1"] = r.randint(1, 2**60)
            depth = int(row[0]["thin_l1"])
            assert score_of(symbol[0], row[0], p) == depth * ONE // (depth + reference * ONE)


@pytest.mark.parametrize("seed", range(12))
def test_fifty_levels_fill_the_room_of_a_short_as_large_as_can_be(seed):
    """Room of over 2**61 for what need is 50 times 2**56: scaled down it fits, and fills nearly all."""
    r = random.Random(seed)
    mid, tick_value = r.randint(10**3, 10**6), 2 * r.randint(1, 1_000)
    most = int(0.37 * 2**62)
    position = -min(2**31, most // (mid * tick_value))
    p = params(
        levels_min=1,
        levels_max=50,
        x_min="5%",
        step_min="0.1%",
        min_edge=0,
        maker_fee=0,
        min_notional=0,
        max_effective_leverage=500,
    )
    inputs, plan, ladder = np.zeros(1, INPUTS), np.zeros(1, PLAN), np.zeros((2, LADDER_SLOTS), LEVEL)
    given_ = {"mid2": 2 * mid, "tick_value": tick_value, "budget": 2**61, "natr": 10, "position": position, "max_inventory": most}
    for name, value in (given_ | {"equity": 2**60, "impact": -1, "places": 100}).items():
        inputs[name] = value
    plan_grid(inputs[0], p, plan[0], ladder)
    levels = ladder[0][1 : 1 + int(plan[0]["levels_down"])].tolist()
    room = most - position * mid * tick_value
    worth = sum(price * qty * tick_value for price, qty in levels)
    assert worth <= room
    assert worth > room * 9 // 10 or max(qty for _, qty in levels) == 2**31


def test_extreme_runs_wrap_nowhere():
    """Without the JIT an int64 that wraps is a warning, here an error; and the digests are those of compiled code."""
    script = Path(__file__).with_name("extreme_tapes.py")
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", str(script), "0", "4"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2_000:]
    seen = json.loads(done.stdout)
    assert seen == [outcome(seed) for seed in range(4)]
    assert sum(plans for _, plans, _ in seen) > 20
