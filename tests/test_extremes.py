"""Where arithmetic or a loop could run away: limits that saturate, ladders that cannot move, marks beyond every quote."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, LedgerError, RangeError
from grinder.policies.own import GridPlan, TargetState, WantedOrder, policy
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
