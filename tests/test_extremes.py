"""Where arithmetic or a loop could run away: limits that saturate, ladders that cannot move, marks beyond every quote."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, PolicyError, RangeError
from grinder.policies.own import GridPlan, TargetState, WantedOrder
from grinder.records import Reason, Role
from grinder.session import replay
from grinder.units import share_of

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


def test_a_step_that_cannot_move_a_level_is_refused():
    """A ladder closer than a tick would be walked for ever; it is refused where the policy returns it."""
    grid = GridPlan(0, 50_000_000, 1, 1, 1, (1,), (1,), 10_000_000)
    with pytest.raises(PolicyError, match="step is 1: 2000000 is one tick"):
        replay(tape([50, 50]), Config(min_notional=0), lambda view, params: grid)


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
    funding = {"ts": [START + SECOND], "rate": [10_000], "mark_px": [2**35]}
    config = Config(equity=5 * 10**9, quantity=900_000, max_effective_leverage=10)
    with pytest.raises(RangeError, match=str(2**35)):
        replay(tape([1000, 1000], funding=funding), config)
    assert tape([1000, 1000], funding=funding).price_range == ((999, 2**35),)


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


def test_reduce_only_orders_do_not_count_as_exposure():
    """They never raise a position, so they neither use up leverage nor wrap its sum."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="1", lot_size="1", quote_decimals=2)

    def policy(view, params):
        closing = [WantedOrder(-1, k, 2**29 + 50 + k, 2**20, int(Role.REDUCE_ONLY)) for k in range(8)]
        return TargetState([*closing, WantedOrder(1, 1, 900, 10)])

    config = Config(equity=2**40, max_inventory_notional=2**44, max_effective_leverage=1, min_notional=0)
    done = replay(tape([2**29] * 4, instrument), config, policy)
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
