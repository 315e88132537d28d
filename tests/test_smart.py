"""Policy `smart` against the reference engine, which was written from SPEC alone: every stage, with gates, protection, Top-K."""

from __future__ import annotations

import numpy as np
import pytest

import grinder as gr
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.plan import tick_floor
from grinder.policies.smart import center_of, l2_penalty, regime_adds, replaces, step_of, stress_width, width_of
from grinder.records import INPUTS, MAX_LEVELS, PLAN, STAGES, Adds, Cause, IntentKind, Mode, Reason, Regime, Role, stage_dtype
from grinder.session import replay
from tests.oracles import reference, smart_plan
from tests.smart_tapes import oracle_events, oracle_settings, smart_case
from tests.tapes import Case
from tests.volumes import REFERENCE, each, volume

ONE = 100_000_000
BLOCK = 20
BOOK_SHAPES = 0b111111 << 16
"""Slopes and walls: ADR-0015 defines them otherwise than the reference engine reads SPEC; tests/test_book.py has them."""


def rows_of(stage: str, rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    if stage != "features":
        return rows
    return [(*row[:3], row[3] & ~BOOK_SHAPES, *row[4:20]) for row in rows]


def assert_same(c: Case) -> tuple[gr.Run, dict[str, list[tuple[int, ...]]]]:
    """Replay and reference engine write the same rows."""
    run = replay(c.fixture, c.config)
    expected = reference.run(c.reference_instruments(), oracle_settings(c), oracle_events(c))
    for stage in STAGES:
        mine, theirs = rows_of(stage, run.tables[stage].records.tolist()), rows_of(stage, expected[stage])
        if mine != theirs:
            at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
            pytest.fail(f"seed {c.seed}, {stage} row {at}\n{stage_dtype(stage).names}\n{mine[at:][:1]}\n{theirs[at:][:1]}")
    return run, expected


@pytest.mark.parametrize("block", range(12))
@volume(REFERENCE, BLOCK)
def test_random_cases(block):
    totals = np.zeros(len(STAGES), int)
    for seed in each(REFERENCE, range(block * BLOCK, (block + 1) * BLOCK)):
        totals += [len(rows) for rows in assert_same(smart_case(seed))[1].values()]
    assert (totals > 10).all(), "a block of cases has to exercise every stage"


def test_cases_reach_every_reason_role_regime_and_alert():
    plans, intents, regimes, roles, alerts, adds, modes, walked = 0, 0, set(), set(), set(), set(), set(), 0
    for seed in range(240):
        c = smart_case(seed)
        run = replay(c.fixture, c.config)
        plans |= int(np.bitwise_or.reduce(run.plans["reasons"], initial=0))
        intents |= int(np.bitwise_or.reduce(run.intents["reason"], initial=0))
        regimes |= set(run.regimes["to"].tolist())
        roles |= set(run.fills["role"].tolist())
        taken = run.fills.records[run.fills["taker"] == 1][["event", "order"]].tolist()
        walked += len(taken) - len(set(taken))
        alerts |= set(run.alerts["code"].tolist())
        adds |= set(run.plans["adds_down"].tolist()) | set(run.plans["adds_up"].tolist())
        modes |= set(run.plans["mode"].tolist())
    planned = Reason.DEPTH_SHORT | Reason.STEP_FEE_FLOOR | Reason.LEVELS_CLAMPED | Reason.BUDGET_TOO_SMALL | Reason.MAX_INVENTORY
    planned |= Reason.MAX_LEVERAGE | Reason.MIN_NOTIONAL | Reason.MAX_OPEN_ORDERS | Reason.STEP_WIDENED | Reason.CAP_PAUSE
    assert planned & plans == planned
    refused = Reason.BUDGET | Reason.RATE_LIMIT | Reason.POST_ONLY | Reason.MAX_INVENTORY | Reason.MAX_LEVERAGE
    assert refused & intents == refused
    assert regimes == set(Regime)
    assert roles == {Role.ENTRY, Role.TAKE_PROFIT, Role.FLATTEN}
    assert {0, 1, 2, 3, 4, 7, 8} <= alerts
    assert walked > 20, "takers that went beyond the best price"
    assert adds == set(Adds)
    assert modes == set(Mode)


@pytest.mark.parametrize("seed", [2, 7, 19, 46, 101])
def test_stretches_and_resumes_change_nothing(seed):
    c = smart_case(seed)
    whole = replay(c.fixture, c.config)
    assert len(whole.plans) > 0
    for chunk in (1, 7, 64):
        assert replay(c.fixture, c.config, chunk=chunk).digest == whole.digest
    for cut in (1, len(c.fixture) // 2, len(c.fixture) - 1):
        half = replay(c.fixture, c.config, until=cut)
        assert replay(c.fixture, c.config, resume=half).digest == whole.digest


@pytest.mark.parametrize(("seed", "side"), [(1420, 1), (1427, -1)])
def test_entries_that_fit_no_more_go_at_a_bar(seed, side):
    """SPEC 7.6: what was gained is lost again at `p_stress`, so that orders at rest may not fit, with no fill and no new plan."""
    run, _ = assert_same(smart_case(seed))
    sent = run.intents.records
    refused = sent[(sent["reason"] == Reason.BUDGET) & (sent["side"] == side)]
    moved = np.concatenate([run.tables[stage]["event"] for stage in ("fills", "plans", "orders")])
    gone = sent[(sent["kind"] == IntentKind.CANCEL) & (sent["role"] == Role.ENTRY) & (sent["side"] == side)]
    bars = run.ledger["event"][run.ledger["cause"] == Cause.BAR]
    alone = [event for event in refused["event"] if event in gone["event"] and event in bars and event not in moved]
    assert alone, "the case shows what it is for"


# By hand


def params(**settings: object) -> np.void:
    instrument = gr.Instrument(symbol="A", kind="perpetual", tick_size="0.01", lot_size="0.001")
    return Config(policy="smart", **settings).params([instrument], [(1, 100_000)])[0][0]


def test_stress_of_the_contracts_example():
    """SPEC 7.2: NATR 0.10 %, 60 min, k 2: root 774596669, sigma 774596, X 1549192."""
    p = params()
    assert p["root_range"] == 774_596_669
    assert stress_width(p, Regime.RANGE, 100_000, ONE) == 1_549_192
    assert stress_width(p, Regime.PAUSED, 100_000, ONE) == 1_549_192
    assert stress_width(p, Regime.RANGE, 100_000, 3 * ONE) == 3 * 1_549_192
    assert stress_width(p, Regime.RANGE, 100, ONE) == 500_000, "X_min"
    assert stress_width(p, Regime.RANGE, 50 * ONE, 3 * ONE) == 10_000_000, "X_cap"
    trend = 100_000 * 1_095_445_115 // ONE * 5 // 2 * 5 // 4
    assert stress_width(p, Regime.TREND_UP, 100_000, ONE) == stress_width(p, Regime.TREND_DOWN, 100_000, ONE) == trend


@pytest.mark.parametrize(
    ("impact", "short", "penalty"), [(-1, 0, 1), (0, 0, 1), (50_000, 0, 1.5), (199_999, 0, 2.99999), (200_000, 0, 3), (0, 1, 3)]
)
def test_penalty_of_impact(impact, short, penalty):
    assert l2_penalty(params(), impact, short) == round(penalty * ONE)


def test_widths_in_a_trend():
    p = params()
    assert [width_of(p, Regime.TREND_UP, side, 1_000_000) for side in (1, -1)] == [750_000, 1_500_000]
    assert [width_of(p, Regime.TREND_DOWN, side, 1_000_000) for side in (1, -1)] == [1_500_000, 750_000]
    assert [width_of(p, Regime.RANGE, side, 1_000_000) for side in (1, -1)] == [1_000_000, 1_000_000]
    assert width_of(p, Regime.TREND_UP, -1, 9_000_000) == 10_000_000


@pytest.mark.parametrize(
    ("regime", "natr", "mid2", "step", "reason"),
    [
        (Regime.RANGE, 100_000, 200_000, 80_000, 0),
        (Regime.RANGE, 99_999, 200_000, 80_000, Reason.STEP_FEE_FLOOR),  # 0.8 NATR is 79,999: under two fees of 2 bp and 4 bp
        (Regime.TREND_UP, 100_000, 200_000, 100_000, 0),
        (Regime.VOL_SHOCK, 100_000, 200_000, 160_000, 0),
        (Regime.THIN_BOOK, 100_000, 200_000, 200_000, 0),
        (Regime.TOXIC, 100_000, 200_000, 80_000, 0),
        (Regime.RANGE, 0, 200_000, 80_000, Reason.STEP_FEE_FLOOR),
        (Regime.RANGE, 100_000, 2_500, 80_000, 0),  # a tick of 1250 is 8 bp
        (Regime.RANGE, 100_000, 2_498, 80_065, Reason.STEP_TICK_FLOOR),
        (Regime.RANGE, 99_999, 2_498, 80_065, Reason.STEP_FEE_FLOOR | Reason.STEP_TICK_FLOOR),
        (Regime.RANGE, 500 * ONE, 2_498, ONE, 0),
    ],
)
def test_step_and_its_floors(regime, natr, mid2, step, reason):
    assert tuple(step_of(params(), regime, natr, mid2)) == (step, reason)


def test_the_tick_floor_of_several_ticks():
    assert tick_floor(2_500, 3) == 240_000
    assert step_of(params(min_step_ticks=3), Regime.RANGE, 0, 2_500)[0] == 240_000


@pytest.mark.parametrize(
    ("position", "shift"),
    [(0, 0), (5, 25_000), (-5, -25_000), (10, 50_000), (50, 50_000), (-50, -50_000)],
)
def test_skew(position, shift):
    """A full inventory is 10 lots of 100 ticks of 1,000 atoms; 5 bp of a center of 100 ticks are 50,000 millionths of a tick."""
    inputs = np.zeros(1, INPUTS)
    inputs["mid2"], inputs["position"], inputs["tick_value"], inputs["max_inventory"] = 200, position, 1_000, 1_000_000
    assert center_of(params(), inputs[0], 400_000) == 100_000_000 - shift
    assert abs(center_of(params(), inputs[0], 30_000) - 100_000_000) <= 15_000, "half a step"


def test_adds_of_regimes():
    full, once, off = Adds.FULL, Adds.ONCE, Adds.OFF
    table = {Regime.RANGE: (full, full), Regime.TREND_UP: (full, once), Regime.TREND_DOWN: (once, full)}
    for regime in Regime:
        assert (regime_adds(regime, 1), regime_adds(regime, -1)) == table.get(regime, (off, off))


@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({}, False),
        ({"mode": 3}, False),
        ({"regime": 1}, True),
        ({"adds_up": 2}, True),
        ({"reduce_only": 1}, True),
        ({"step": 125_000}, False),
        ({"step": 125_001}, True),
        ({"step": 75_000}, False),
        ({"step": 74_999}, True),
        ({"center": 100_200_000}, False),  # two steps of 10 bp
        ({"center": 100_200_001}, True),
        ({"center": 99_800_000}, False),
        ({"center": 99_799_999}, True),
        ({"levels_down": 14}, False),
        ({"levels_down": 15}, True),
        ({"levels_up": 6}, False),
        ({"levels_up": 5}, True),
        ({"levels_up": 0}, True),
        ({"room_down": 800}, False),
        ({"room_down": 799}, True),
        ({"room_up": 1_250}, False),
        ({"room_up": 1_251}, True),
    ],
)
def test_churn(change, replaced):
    old, new = np.zeros(1, PLAN), np.zeros(1, PLAN)
    plan = {"kind": 1, "step": 100_000, "center": 100_000_000, "levels_down": 10, "levels_up": 10, "mode": 4}
    plan |= {"room_down": 1_000, "room_up": 1_000, "loss_down": 800, "loss_up": 800}
    for name, value in plan.items():
        old[name] = new[name] = value
    for name, value in change.items():
        new[name] = value
    assert bool(replaces(new[0], old[0], params())) is replaced
    old["kind"] = 0
    assert replaces(new[0], old[0], params()), "there is none in force"


def test_the_reference_plan_agrees_on_formulas():
    """Beyond what tapes reach: any NATR, any regime."""
    c = smart_case(5)
    cfg = oracle_settings(c)
    p = c.config.params(c.fixture.instruments, c.fixture.price_range)[0][0]
    for regime in Regime:
        for natr in (0, 1, 777, 12_345, 100_000, 3_000_001, 10**8, 10**10):
            for impact in (-1, 0, 70_001, 10**7):
                penalty = l2_penalty(p, impact, 0)
                assert penalty == smart_plan.l2_penalty(cfg, None if impact < 0 else impact, False)
                assert stress_width(p, regime, natr, penalty) == smart_plan.stress(cfg, regime, natr, penalty)
            for mid2 in (2, 33, 2_498, 123_456_789):
                mine, theirs = step_of(p, regime, natr, mid2), smart_plan.step_of(cfg, regime, natr, mid2)
                assert (mine[0], mine[1]) == (min(theirs[0], ONE), theirs[1])


# As a policy of one's own


@gr.policy(damped=True)
def mine(view, params):
    return gr.smart(view, params)


def test_a_policy_of_ones_own_that_returns_smart_makes_the_same_plans():
    """Where no gate throttles it or takes its orders away, and nothing is chosen, it trades the same too."""
    no_limits = dict.fromkeys(("spread_limits", "impact_limits", "jump_limits", "quarantined_limits"), (0, 0, 0))
    calm = Config(**no_limits, impact_quote="0.01", shock_tr=0, shock_ratio=0, thin_quote=0, thin_quote_depth=0)
    compared = traded = 0
    for seed in range(240):
        c = smart_case(seed)
        if len(c.fixture.symbols) > 1 or c.config.policy == "static":
            continue
        config = calm.over(c.config)
        built_in = replay(c.fixture, config)
        if (
            set(built_in.plans["mode"].tolist()) & {Mode.EMERGENCY, Mode.THROTTLE}
            or (built_in.regimes["to"] >= Regime.PAUSED).any()
        ):
            continue
        if (built_in.plans["reasons"] & Reason.STEP_WIDENED).any():
            continue  # a GridPlan has one step for its ladders
        own = replay(c.fixture, config, mine)
        for stage in ("plans", "levels", "fills"):
            assert own.tables[stage].records.tolist() == built_in.tables[stage].records.tolist(), (seed, stage)
        compared, traded = compared + len(built_in.plans), traded + len(built_in.fills)
    assert compared > 200
    assert traded > 20


def test_a_static_grid_fills_against_the_trend_as_often_as_the_market_comes_back():
    """Every entry against the trend is remembered; a static grid, which never wants ONCE, may have more of them than a plan has
    levels."""
    mids = [20_000 - k // 5 - (0, 5, 10, 5)[k % 4] for k in range(400)]
    times = [1_700_000_000_000_000_000 + k * 10**9 for k in range(len(mids))]
    quotes = {"ts": times, "bid_px": mids, "bid_qty": [10**6] * len(mids), "ask_px": mids, "ask_qty": [10**6] * len(mids)}
    market = Fixture.from_arrays([Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")], quotes=quotes)
    settings = Config(step="2bp", levels=5, quantity="1", min_edge=0, maker_fee=0, bar_interval_ms=1000, equity="100000000")
    limits = Config(
        max_inventory_notional="100%",
        dd_budget_pct="50%",
        max_open_orders=20,
        risk_monitor=True,
        er_enter=0,
        trend_enter="0.2",
        trend_exit="0.1",
    )
    run, _ = assert_same(Case(0, market, settings.over(limits), 0))
    turned = run.regimes["event"][run.regimes["to"] == Regime.TREND_DOWN]
    bought = run.fills["event"][run.fills["side"] == 1]
    assert len(turned) == 1
    assert (bought > turned[0]).sum() > MAX_LEVELS + limits.max_open_orders
