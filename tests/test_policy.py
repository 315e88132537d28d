"""Policies of one's own: what is refused, what becomes the plan in force; `static` is the built-in one (SPEC 7.8, 8, 12)."""

from __future__ import annotations

import numpy as np
import pytest

import grinder as gr
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import PolicyError
from grinder.policies.own import GridPlan, TargetState, View, WantedOrder, policy as as_policy, static
from grinder.records import STAGES, IntentKind, OrderState, Role
from grinder.session import replay
from tests.tapes import case

COIN = Instrument(symbol="COIN", kind="perpetual", tick_size="0.01", lot_size="1")
START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
SETTINGS = Config(equity=100_000, quantity=1, min_notional=0, bar_interval_ms=1000, min_edge=0, maker_fee=0)


def tape(mids: list[int]) -> Fixture:
    """One quote a second (so one bar and one decision each), one tick wide to both sides of the mid."""
    mids, ones = np.array(mids), np.ones(len(mids), np.int64)
    quotes = {"ts": START + SECOND * np.arange(len(mids)), "bid_px": mids - 1, "bid_qty": ones, "ask_px": mids + 1, "ask_qty": ones}
    return Fixture.from_arrays([COIN], quotes=quotes, config=Config(max_jump=500))


def run(policy, mids: list[int], **settings):
    return replay(tape(mids), Config(**settings).over(SETTINGS), policy)


def scripted(*decisions, **options):
    """A policy that returns one decision after the other, then None."""
    left = list(decisions)
    return as_policy(lambda view, params: left.pop(0) if left else None, **options)


def rows(table, *columns) -> list[tuple[int, ...]]:
    return [tuple(int(record[name]) for name in columns) for record in table.records]


BUY_99 = WantedOrder(side=1, key=7, price=9_900, qty=5)
SELL_101 = WantedOrder(side=-1, key=7, price=10_100, qty=5)
GRID = GridPlan(0, 10_000 * 10**6, 10**6, 2, 2, (3, 1), (2,), 10**6)


NUMBERS = (1.5, "1", None, True, 2**63, -(2**63))
SIZES = ((), (0,), (1, 1.5), (1, True), ("1",), (2**31 + 1,), 5, None)
GRID_FIELDS = [
    *[(name, v) for name in GridPlan._fields if "schedule" not in name for v in NUMBERS if (name, v) != ("reduce_only", True)],
    *[(f"size_schedule_{side}", sizes) for side in ("down", "up") for sizes in SIZES],
    *[("symbol", 1), ("center", 0), ("center", 2**35 * 10**6 + 1), ("step", 0), ("step", 10**8 + 1), ("tp_step", -1), ("mode", 5)],
    *[("levels_down", 51), ("levels_up", -1), ("regime", 8), ("regime", -1), ("reduce_only", 2), ("width_up", -1), ("budget", -1)],
    *[("adds_down", 3), ("adds_up", -1), ("reasons", -1), ("tp_step", 2 * 10**8 + 1)],
]
ORDER_FIELDS = [
    *[(name, value) for name in WantedOrder._fields for value in NUMBERS],
    *[("side", 0), ("side", 2), ("role", Role.TAKE_PROFIT), ("role", Role.STOP), ("price", 0), ("price", 2**35 + 1)],
    *[("qty", 0), ("qty", 2**31 + 1), ("key", 2**31 + 1)],
]
REFUSED = [
    *[(GRID._replace(**{name: value}), f"^{name} is ") for name, value in GRID_FIELDS],
    *[(TargetState([SELL_101, BUY_99._replace(**{name: value})]), rf"\b{name} (is )?['0-9N(T-]") for name, value in ORDER_FIELDS],
    ({"center": 1}, "GridPlan, TargetState or None, not dict"),
    (TargetState(5), "orders is 5"),
    (TargetState([(1, 7, 9_900, 5)]), r"orders holds \(1, 7, 9900, 5\)"),
    (TargetState([BUY_99, BUY_99._replace(price=9_800)]), "orders: two have the same side, role and key"),
    (TargetState([BUY_99._replace(key=k) for k in range(23)]), "orders: 23 are wanted, at most 22"),
    (TargetState([BUY_99._replace(price=2**35, qty=2**31)]), "price 34359738368, qty 2147483648"),
    (TargetState([BUY_99], tp_step=-1), "tp_step is -1"),
    (TargetState([BUY_99], tp_step=0.01), "tp_step is 0.01"),
]


@pytest.mark.parametrize(("decision", "message"), REFUSED)
def test_what_cannot_be_traded_is_refused_by_the_name_of_its_field(decision, message):
    with pytest.raises(PolicyError, match=message):
        run(scripted(decision), [10_000] * 3, max_open_orders=10)


def test_errors_tell_which_policy_when_and_where():
    def broken(view, params):
        return GRID if view.event < 2 else 1 // 0

    with pytest.raises(ZeroDivisionError) as error:
        run(broken, [10_000] * 5)
    assert error.value.__notes__ == ["policy broken, symbol COIN, event 2, 2023-11-14T22:13:22.000000000 UTC"]


def test_a_grid_is_recorded_as_given():
    plan = GRID._replace(regime=gr.Regime.TREND_UP, width_down=5, width_up=6, worst_down=8, worst_up=-9, reasons=32, mode=3)
    done = run(scripted(plan), [10_000] * 3)
    record = done.plans.records[0]
    for name in set(GridPlan._fields) & set(done.plans.columns):
        assert record[name] == getattr(plan, name), name
    levels = [(1, 1, 9_900, 3), (1, 2, 9_801, 1), (-1, 1, 10_100, 2), (-1, 2, 10_201, 2)]
    assert rows(done.levels, "side", "i", "price", "qty") == levels, "the last size of a schedule goes on"
    sent = {(side, price, qty) for side, price, qty in rows(done.intents, "side", "price", "qty")}
    assert sent == {(side, price, qty) for side, _, price, qty in levels}


CHANGES = [
    *[("center", 10_001 * 10**6), ("step", 2 * 10**6), ("levels_down", 1), ("levels_up", 3), ("tp_step", 5), ("regime", 1)],
    *[("width_down", 1), ("size_schedule_down", (3, 2)), ("size_schedule_up", (1,)), ("adds_up", 2), ("reduce_only", 1)],
    *[("budget", 1), ("reasons", 1), ("worst_up", 1)],
]


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_only_a_plan_unlike_the_one_in_force_is_recorded(field, value):
    equal = GRID._replace(size_schedule_down=np.array([3, 1, 1]), size_schedule_up=[2, 2])
    other = GRID._replace(**{field: value})
    done = run(scripted(GRID, GRID, equal, None, other, other), [10_000] * 8)
    assert rows(done.plans, "event", "plan") == [(0, 0), (4, 1)]
    assert set(done.levels["event"].tolist()) == {0, 4}


def test_sides_switched_off_and_reduce_only_want_no_entries():
    assert set(run(scripted(GRID._replace(adds_down=gr.Adds.OFF)), [10_000] * 3).intents["side"].tolist()) == {-1}
    off = run(scripted(GRID, GRID._replace(reduce_only=1)), [10_000] * 4)
    assert rows(off.intents, "event", "kind")[4:] == [(1, IntentKind.CANCEL)] * 4


@pytest.mark.parametrize("block", range(3))
def test_static_is_the_built_in_policy_on_random_tapes(block):
    fills = 0
    for seed in range(block * 40, block * 40 + 40):
        c = case(seed)
        built_in, mine = replay(c.fixture, c.config), replay(c.fixture, c.config, as_policy(static, gates=False), chunk=37)
        for stage in STAGES:
            assert np.array_equal(built_in.tables[stage].records, mine.tables[stage].records), f"seed {seed}, {stage}"
        assert built_in.digest.value == mine.digest.value
        fills += len(mine.fills)
    assert fills > 100


@pytest.mark.parametrize("settings", [{"min_edge": "0.99", "maker_fee": "0.1"}, {"step": "0.99999999"}])
def test_static_is_the_built_in_policy_at_the_ends_of_the_settings(settings):
    for mid in (2, 10_000):  # 2: one tick is a step of 1.0
        mids = [mid, mid + 1, mid, 2 * mid, 3 * mid, mid]
        a, b = (run(chosen, mids, **settings) for chosen in (None, as_policy(static, gates=False)))
        assert a.digest.value == b.digest.value
        assert len(a.plans) == 1


def test_orders_are_placed_filled_at_most_once_and_cancelled_when_dropped():
    """Wanted at event 0, live from 1; the buy fills at 3 and never again, though the mid stays; the sell is dropped at 5."""
    mids = [10_000, 10_000, 10_000, 9_890, 9_890, 9_890, 10_200, 9_890, 10_200]
    keep = TargetState([BUY_99, SELL_101])
    done = run(scripted(keep, None, None, None, None, TargetState([])), mids, max_gap_ms=10**6)
    assert rows(done.fills, "event", "side", "price", "qty", "cycle") == [(3, 1, 9_900, 5, -1)]
    states = [(0, 0, OrderState.PENDING), (0, 1, OrderState.PENDING), (3, 0, OrderState.FILLED), (6, 1, OrderState.CANCELLED)]
    assert rows(done.orders, "event", "order", "to") == states, "sent at 5, the cancel takes effect before the fills of 6"
    assert rows(done.intents, "event", "kind", "order") == [(0, 2, 0), (0, 2, 1), (5, 0, 1)]
    assert len(done.plans) == 1


def test_an_equal_target_keeps_its_orders_and_another_price_amends():
    moved = TargetState([BUY_99._replace(price=9_905), SELL_101])
    done = run(scripted(TargetState([SELL_101, BUY_99]), TargetState([BUY_99, SELL_101]), moved), [10_000] * 5)
    assert rows(done.intents, "event", "kind", "order", "price") == [(0, 2, 0, 9_900), (0, 2, 1, 10_100), (2, 1, 0, 9_905)]
    assert rows(done.orders, "event", "order", "price")[2:] == [(3, 0, 9_905)]


def test_cycles_take_profit_where_the_target_says():
    done = run(scripted(TargetState([BUY_99], tp_step=10**6)), [10_000, 10_000, 9_890, 9_890, 10_010, 10_010])
    assert rows(done.fills, "event", "side", "role", "price", "cycle") == [(2, 1, 0, 9_900, 0), (4, -1, 1, 9_999, 0)]
    assert done.summary()["cycles"] == 1


def test_reduce_only_orders_never_raise_or_flip_the_position():
    """5 lots bought; two reduce-only sells of 4 fill on one event: the second is clipped to 1, its rest cancelled."""
    out = [WantedOrder(-1, key, 10_100 + key, 4, Role.REDUCE_ONLY) for key in range(2)]
    mids = [10_000, 10_000, 9_890, 10_000, 10_300, 10_300, 10_300]
    done = run(scripted(TargetState([BUY_99]), None, None, TargetState(out)), mids)
    sells = [(4, -1, 2, 10_100, 4), (4, -1, 2, 10_101, 1)]
    assert rows(done.fills, "event", "side", "role", "price", "qty") == [(2, 1, 0, 9_900, 5), *sells]
    ends = [(4, 1, OrderState.FILLED, 0), (4, 2, OrderState.CANCELLED, 3)]
    assert rows(done.orders, "event", "order", "to", "remaining")[-2:] == ends
    position = done.ledger.records[done.ledger["symbol"] == 0]["position"]
    assert (position.min(), position.max(), position[-1]) == (0, 5, 0)


def test_a_pause_takes_entries_and_leaves_what_reduces():
    """At 2.5 s the wanted buy is cancelled; the reduce-only order rests on (SPEC 11)."""
    out = WantedOrder(-1, 1, 10_100, 5, int(Role.REDUCE_ONLY))
    paused = tape([10_000] * 6).with_commands([(START + 2 * SECOND + SECOND // 2, "pause", None)])
    done = replay(paused, SETTINGS, scripted(TargetState([BUY_99, out])))
    sent = [(0, IntentKind.PLACE, Role.REDUCE_ONLY), (0, IntentKind.PLACE, Role.ENTRY), (3, IntentKind.CANCEL, Role.ENTRY)]
    assert rows(done.intents, "event", "kind", "role") == sent


def test_a_policy_may_change_between_grid_and_target():
    done = run(scripted(GRID, TargetState([BUY_99]), TargetState([BUY_99], tp_step=5), GRID), [10_000] * 6)
    plans = [(0, 0, 2, 10**6, 10**6), (1, 1, 0, 0, 0), (2, 2, 0, 0, 5), (3, 3, 2, 10**6, 10**6)]
    assert rows(done.plans, "event", "plan", "levels_down", "step", "tp_step") == plans


def test_when_a_policy_is_called_and_what_it_sees():
    mids = [10_000, 10_000, 9_890, 9_890, 9_890]
    calls: dict[bool, list[View]] = {False: [], True: []}
    for on_fill, seen in calls.items():
        watch = lambda view, params, seen=seen: seen.append(view) or (TargetState([BUY_99]) if view.plan < 0 else None)  # noqa: E731
        run(as_policy(watch, on_fill=on_fill, gates=False), mids, bar_interval_ms=60_000)
    assert [view.event for view in calls[False]] == [0]
    assert [view.event for view in calls[True]] == [0, 2]
    first, filled = calls[True]
    assert (first.event, first.plan, first.position, first.anchor2, first.mid2, first.portfolio_equity) == (
        0,
        -1,
        0,
        20_000,
        20_000,
        10**13,
    )
    assert (filled.plan, filled.position, filled.anchor2, filled.mid2) == (0, 5, 20_000, 2 * 9_890)
    assert (filled.bid_px, filled.ask_px, filled.symbol, filled.ts) == (9_889, 9_891, 0, START + 2 * SECOND)
    assert (filled.tick_value, filled.cost, len(first.orders)) == (10**6, 5 * 9_900 * 10**6, 0)
    assert filled.portfolio_equity == 10**13 - 5 * 10 * 10**6, "marked with the fill"


def test_views_are_copies():
    def vandal(view, params):
        view.orders[:] = 0
        view.cycles[:] = 0
        return static(view, params)

    c = case(11)
    assert replay(c.fixture, c.config, as_policy(vandal, gates=False)).digest.value == replay(c.fixture, c.config).digest.value


def test_a_jitted_policy_does_what_the_plain_one_does():
    def decide(view, params):
        if view.mid2 % 4 == 0:
            return None
        sizes = (view.quantity, 2 * view.quantity)
        return GridPlan(view.symbol, view.mid2 * 500_000, params.step, 3, 3, sizes, sizes, params.step)

    mids = [10_000 + 37 * i * i % 211 for i in range(60)]
    plain, jitted = (run(as_policy(decide, jit=jit), mids) for jit in (False, True))
    assert plain.digest.value == jitted.digest.value
    assert min(len(plain.plans), len(plain.fills)) > 5
    assert plain.provenance["policy_source_sha256"] == jitted.provenance["policy_source_sha256"]


def test_the_source_hash_tells_policies_apart():
    def typed(text):
        scope: dict = {}
        exec(text, scope)
        return as_policy(scope["f"]).source

    texts = ["def f(v, p): return 5", "def f(v, p): return 6", "def f(v, p): return v.bid_px", "def f(v, p): return v.ask_px"]
    assert len({typed(text) for text in texts}) == len(texts)
    assert typed(texts[0]) == typed(texts[0])

    class Calm:
        def __call__(self, view, params):
            return None

    assert as_policy(Calm()).source not in (as_policy(static).source, as_policy(scripted).source)
    assert as_policy(Calm()).name == "Calm"
    assert gr.policy(on_fill=True)(static).on_fill


def test_clipped_reduce_only_is_done_until_the_policy_decides_again():
    """Flat, a touched reduce-only order is cancelled and not sent again; it does not churn (SPEC 8)."""
    order = WantedOrder(side=1, key=1, price=9_950, qty=3, role=int(Role.REDUCE_ONLY))
    done = run(scripted(TargetState([order])), [10_000, 10_000, 9_900, 9_910, 9_890, 9_900])
    assert len(done.fills) == 0
    assert done.orders["to"].tolist() == [OrderState.PENDING, OrderState.CANCELLED]


def test_a_filled_target_leaves_those_of_other_roles():
    """Side and key are those of both: the entry, sent after it, fills, and the reduce-only order rests on."""
    both = TargetState([BUY_99, BUY_99._replace(price=9_850, role=int(Role.REDUCE_ONLY))])
    done = run(scripted(both), [10_000, 10_000, 9_890, 9_900, 9_900])
    assert rows(done.fills, "event", "order", "price") == [(2, 1, 9_900)]
    assert rows(done.intents, "event", "kind", "order") == [(0, IntentKind.PLACE, 0), (0, IntentKind.PLACE, 1)]


def test_an_order_that_fills_while_it_leaves_was_not_the_new_target():
    """Dropped at 1, its cancel in flight until 11; wanted lower at 2, filled at 3 where it was: the lower one is sent then."""
    decide = scripted(TargetState([BUY_99]), TargetState([]), TargetState([BUY_99._replace(price=9_800)]))
    done = run(decide, [10_000, 10_000, 10_000, 9_890, 9_890], cancel_latency_ms=10_000)
    assert rows(done.fills, "event", "order", "price") == [(3, 0, 9_900)]
    sent = [(0, IntentKind.PLACE, 0, 9_900), (1, IntentKind.CANCEL, 0, 9_900), (3, IntentKind.PLACE, 1, 9_800)]
    assert rows(done.intents, "event", "kind", "order", "price") == sent


def test_an_order_that_fills_while_it_leaves_where_the_new_target_is_was_it():
    """Dropped at 1, wanted again at the same price at 2, filled at 3: it is not sent a second time."""
    decide = scripted(TargetState([BUY_99]), TargetState([]), TargetState([BUY_99]))
    done = run(decide, [10_000, 10_000, 10_000, 9_890, 9_910, 9_910], cancel_latency_ms=10_000)
    assert rows(done.fills, "event", "order", "price") == [(3, 0, 9_900)]
    assert rows(done.intents, "event", "kind", "order") == [(0, IntentKind.PLACE, 0), (1, IntentKind.CANCEL, 0)]


def test_a_fill_asks_for_a_decision_whatever_comes_after_it():
    """Two reduce-only sells on one event, of 5 lots held: the first takes all, the second is clipped to nothing."""
    out = [WantedOrder(-1, key, 10_100 + key, 5, Role.REDUCE_ONLY) for key in range(2)]
    seen = []

    def watch(view, params):
        seen.append(view.event)
        return TargetState([BUY_99, *out]) if view.plan < 0 else None

    done = run(as_policy(watch, on_fill=True, gates=False), [10_000, 10_000, 9_890, 10_000, 10_300, 10_300], bar_interval_ms=60_000)
    assert rows(done.fills, "event", "qty") == [(2, 5), (4, 5)]
    assert seen == [0, 2, 4]


def test_an_order_clipped_to_nothing_is_no_fill():
    """A policy that asks for fills is not called for it, and is for one that fills."""
    for role, events in ((Role.REDUCE_ONLY, [0]), (Role.ENTRY, [0, 2])):
        order, seen = WantedOrder(side=1, key=1, price=9_950, qty=3, role=int(role)), []

        def watch(view, params, seen=seen, order=order):
            seen.append(view.event)
            return TargetState([order]) if view.plan < 0 else None

        run(as_policy(watch, on_fill=True, gates=False), [10_000, 10_000, 9_900, 9_910, 9_890], bar_interval_ms=60_000)
        assert seen == events


def test_resume_asks_for_the_same_policy():
    @as_policy
    def first(view, params):
        return static(view, params)

    @as_policy
    def second(view, params):
        return static(view, params)._replace(levels_up=1)

    fixture = tape([10_000, 10_010, 9_990, 10_000])
    half = replay(fixture, SETTINGS, first, until=2)
    assert replay(fixture, SETTINGS, first, resume=half).digest == replay(fixture, SETTINGS, first).digest
    for other in (second, None):
        with pytest.raises(gr.errors.ConfigError, match="policy source"):
            replay(fixture, SETTINGS, other, resume=half)


def test_a_plan_says_reduce_only_in_either_way():
    for flag in (True, 1):
        done = run(scripted(GRID._replace(reduce_only=flag)), [10_000, 9_900, 10_100])
        assert len(done.intents) == 0
        assert len(done.plans) == 1


@pytest.mark.parametrize("latency", [0, 1500])
@pytest.mark.parametrize("sizes", [(2, 5), (1, 1)])
def test_targets_of_one_price_are_paired_anew_when_their_changes_have_taken_effect(sizes, latency):
    """By price, the oldest order first, so that the keys of two that came to one price by key change places (SPEC 8)."""
    start, second, n = 1_700_000_000_000_000_000, 1_000_000_000, 40
    at, up = np.arange(n), np.arange(n) % 2
    quotes = {"ts": start + at * second, "bid_px": 9_999 + up, "ask_px": 10_001 + up, "bid_qty": at * 0 + 5, "ask_qty": at * 0 + 5}
    coin = Instrument(symbol="COIN", kind="perpetual", tick_size="0.01", lot_size="0.001")
    asked = [((9_900, 1), (9_910, 1)), ((9_890, sizes[0]), (9_890, sizes[1])), ((9_880, sizes[0]), (9_870, sizes[1]))]

    @as_policy(gates=False)
    def two(view, params):
        step = (view.ts - start) // (10 * second)
        return TargetState([WantedOrder(1, key, *order) for key, order in enumerate(asked[step], 1)]) if step < 3 else None

    config = Config(bar_interval_ms=10_000, order_latency_ms=latency, cancel_latency_ms=latency, min_notional=0)
    run = replay(Fixture.from_arrays([coin], quotes=quotes), config, two)
    found = list(zip(*(run.intents[name].tolist() for name in ("event", "order", "key", "price", "qty")), strict=True))
    landed = 11 + (latency > 0)
    again = [(landed, 0, 1, 9_890, sizes[0]), (landed, 1, 2, 9_890, sizes[1])] if sizes == (2, 5) else []
    assert found == [
        (0, 0, 2, 9_910, 1), (0, 1, 1, 9_900, 1),
        (10, 1, 1, 9_890, sizes[0]), (10, 0, 2, 9_890, sizes[1]),
        *again,
        (20, 0, 1, 9_880, sizes[0]), (20, 1, 2, 9_870, sizes[1]),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [tuple, list, np.array])
def test_plans_take_settings_of_any_kind(kind):
    """As a policy may hand them on; and those of one run are never those of another."""
    data = gr.fixture("range_day_l1").head(2000)
    for step in ("5bp", "10bp"):
        config = gr.Config(step=step, levels=2, quantity="0.01")
        passed = gr.policy(lambda view, params: gr.static(view, kind(params)), gates=False)
        plain = gr.policy(gr.static, gates=False)
        assert gr.replay(data, config, passed).digest == gr.replay(data, config, plain).digest
        assert gr.replay(data, config, passed).plans["step"][0] == (50_000 if step == "5bp" else 100_000)
