"""What must hold on every run of policy `smart`, checked from its records alone for any settings: INVARIANTS 21-30.

The worst case of a schedule is also held against brute force over price paths, in plain integers of its own.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings as options, strategies as st

import grinder as gr
from grinder.config import Config
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, RangeError
from grinder.policies.smart import plan_grid, step_of, stress_width, width_of
from grinder.records import INPUTS, LADDER_SLOTS, LEVEL, PLAN, STAGES, Alert, IntentKind, Reason, Regime, Role
from grinder.session import replay
from grinder.units import parse_ratio
from tests.oracles.selfcheck import Reader
from tests.smart_tapes import oracle_events, oracle_settings, smart_case
from tests.tapes import Case
from tests.volumes import PROPERTY, ran, volume

ONE = 100_000_000
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
WILD = {
    "min_edge": ["0", "4bp", "80bp", "5%"],
    "maker_fee": ["-1%", "-5bp", "0", "2bp", "1%", "5%"],
    "taker_fee": ["-1%", "0", "10%"],
    "slippage": ["0", "1%", "0.9"],
    "sizing": ["equal", "tapered"],
    "max_weight_ratio": ["1", "1.00000001", "3", "500"],
    "dd_budget_pct": ["0", "1bp", "1%", "20%", "100%"],
    "dd_warn": ["0.00000001", "0.5", "1"],
    "dd_clear": ["0", "0.3", "1"],
    "dd_window": ["daily", "session"],
    "top_k": [1, 2, 3, 5],
    "allocator": ["equal", "weighted"],
    "switch_margin": ["0", "0.05", "5"],
    "select_every_ms": [1, 10_000, 60_000],
    "order_latency_ms": [0, 1, 1_500, 9_000],
    "cancel_latency_ms": [0, 1, 1_500, 9_000],
    "fill_model": ["mid_touch", "cross"],
    "alpha": ["0", "0.02", "0.8", "20"],
    "step_min": ["0.00000001", "1bp", "1%", "0.9"],
    "min_step_ticks": [1, 7],
    "skew_factor": ["0", "5bp", "50%", "500"],
    "side_mult_against": ["0", "1.5", "500"],
    "side_mult_with": ["0", "0.75", "500"],
    "trend_penalty": ["1", "100"],
    "impact_ref": ["0.00000001", "0.001", "1"],
    "replan_levels": [0, 4, 50],
    "replan_center": ["0", "2", "500"],
    "throttle_ms": [0, 10_000, 100_000],
    "dc_tp_mult": ["0", "0.5", "1"],
    "flatten_on_drawdown": [True, False],
    "flatten_on_emergency": [True, False],
    "latch_on_extreme": [True, False],
    "max_consecutive_losses": [0, 1, 3],
    "cooldown_ms": [0, 1, 60_000],
    "max_inventory_notional": ["0", "1", "2000", "100000"],
    "max_effective_leverage": ["0.01", "1", "500"],
    "max_open_orders": [1, 3, 100],
    "max_open_orders_portfolio": [1, 5, 400],
    "min_notional": [0, 5, 500],
    "order_rate": [1, 20, 1_000_000],
    "order_burst": [1, 10, 1_000_000],
    "thin_quote": [0, 1_000],
}
"""Ends of what is allowed, and what lies between; each is drawn, or left as the case has it."""


def wild(draw) -> dict[str, object]:
    """Some of the settings, by `draw(list)`; pairs that bound each other are drawn together."""
    rare = [True] + [False] * draw([2, 8, 30])
    out: dict[str, object] = {name: draw(values) for name, values in WILD.items() if draw(rare)}
    if draw(rare):
        out["levels_min"] = out["levels_max"] = draw([1, 2, 6, 50])
    if draw(rare):
        out["x_min"] = out["x_cap"] = draw(["0.00000001", "1%", "0.9"])
    if draw(rare):
        out["dd_budget_symbol"] = draw([0, "0.00000001", 20, 1_000_000])
    return out


def with_settings(seed: int, given_: dict[str, object]) -> Case | None:
    """The case of a seed with other settings, or None where they do not go together."""
    c = smart_case(seed)
    try:
        config = Config(**({"policy": "smart"} | given_)).over(c.config)
        config.params(c.fixture.instruments, c.fixture.price_range)
    except (ConfigError, RangeError):
        return None
    return Case(seed, c.fixture, config, config.order_latency_ms * 1_000_000)


class Strict(Reader):
    """The reference engine's own reader of records, with what its small draws of settings did not need."""

    def check_sizes(self, s, levels):
        """28: never martingale. Quantities are floored to lots three times, by size and by two caps."""
        for (p, q), (next_p, next_q) in itertools.pairwise(levels):
            assert next_p * next_q < p * (q + 3), levels
        for p, q in levels:
            assert q >= 1
            assert p * q * self.tv[s] >= self.cfg["min_notional"]

    def check_count(self, width, step, n, levels, reasons, center):
        """28: no more than `ceil_div(width, step)`, clamped."""
        assert n <= min(max(-(-width // step), self.cfg["levels_min"]), self.cfg["levels_max"])
        if -(-width // step) > self.cfg["levels_max"]:
            assert reasons & Reason.LEVELS_CLAMPED


def check(c: Case, counter: Counter) -> gr.Run:
    """Replay and read every record; then what the reader does not look at."""
    run = replay(c.fixture, c.config)
    records = {stage: run.tables[stage].records.tolist() for stage in STAGES}
    Strict(oracle_settings(c), c.reference_instruments(), oracle_events(c), records, counter).read()
    check_latch(run)
    check_gross(run, c)
    return run


def check_latch(run) -> None:
    """23: nothing but cancels and flattens from a drawdown latch to the next RESET, whatever the settings."""
    for alert in run.alerts.records:
        if alert["code"] != Alert.DRAWDOWN or alert["symbol"] != -1:
            continue
        resets = [r["event"] for r in run.input.records if r["kind"] == 4 and r["code"] == 3 and r["event"] > alert["event"]]
        sent = run.intents.records
        sent = sent[(sent["event"] >= alert["event"]) & (sent["event"] < min(resets, default=run.events))]
        assert ((sent["kind"] == IntentKind.CANCEL) | (sent["role"] == Role.FLATTEN)).all()


def check_gross(run, c: Case) -> None:
    """21: while a regime has adds OFF, gross exposure grows by nothing but fills of entries whose cancel is in flight."""
    if c.config.order_latency_ms or c.config.cancel_latency_ms:
        return
    for s in range(len(run.symbols)):
        changes = [(int(r["event"]), int(r["to"])) for r in run.regimes.records if r["symbol"] == s]
        ends = [event for event, _ in changes[1:]] + [run.events] * bool(changes)  # `static` without a risk monitor has no regimes
        for (begin, to), end in zip(changes, ends, strict=True):
            if to in (Regime.VOL_SHOCK, Regime.THIN_BOOK, Regime.TOXIC, Regime.PAUSED, Regime.EMERGENCY):
                fills = run.fills.records
                inside = (fills["symbol"] == s) & (fills["event"] > begin) & (fills["event"] < end)
                assert not (fills["role"][inside] == Role.ENTRY).any(), (s, begin, end)


@volume(PROPERTY, 120)
def test_any_settings_by_hypothesis():
    counter: Counter = Counter()

    @options(max_examples=120, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def holds(data):
        seed = data.draw(st.integers(0, 400))
        c = with_settings(seed, wild(lambda values: data.draw(st.sampled_from(values))))
        assume(c is not None)
        check(c, counter)
        ran(PROPERTY)

    holds()
    assert counter["worst cases of open entries"] > 100


@pytest.mark.parametrize("block", range(16))
@volume(PROPERTY, 40)
def test_any_settings_by_seed(block):
    counter: Counter = Counter()
    drawn = (
        (seed, with_settings(seed, wild(random.Random(seed).choice))) for seed in range(1000 * (1 + block), 1000 * (2 + block))
    )
    for seed, c in itertools.islice(((seed, c) for seed, c in drawn if c is not None), 40):
        try:
            check(c, counter)
        except Exception as error:
            error.add_note(f"seed {seed}: {c.config.changed()}")
            raise
        ran(PROPERTY)
    assert counter["sides with levels"] > 20
    assert counter["fills of role 0"] > 50


@pytest.mark.parametrize(
    "name", ["range_day_l1", "trend_day_l1", "vol_shock_l1", "thin_book_l2", "impact_spike_l2", "multisymbol_topk_l1"]
)
def test_defaults_on_heads_of_fixtures(name):
    """An inventory cap of what a day starts with, in quote, is what the reader knows of."""
    fixture = gr.fixture(FIXTURES / name).head(24_000)
    config = Config(policy="smart", max_inventory_notional="10000").over(fixture.config)
    run = check(Case(0, fixture, config, 0), Counter())
    assert len(run.plans) > 0
    assert len(run.fills) > 0


# The worst case of a schedule, and brute force over price paths


def plan_of(config: Config, **inputs):
    """A plan from INPUTS: (plan, buys, sells), levels as (price, qty)."""
    instrument = Instrument(symbol="A", kind="perpetual", tick_size="0.01", lot_size="0.001")
    p = config.params([instrument], [(1, 100_000)])[0][0]
    row, plan, ladder = np.zeros(1, INPUTS), np.zeros(1, PLAN), np.zeros((2, LADDER_SLOTS), LEVEL)
    row["impact"], row["places"] = -1, 100
    row["max_inventory"] = row["equity"] = 2**55
    for name, value in inputs.items():
        row[name] = value
    plan_grid(row[0], p, plan[0], ladder)
    sides = []
    for column, n in ((0, int(plan[0]["levels_down"])), (1, int(plan[0]["levels_up"]))):
        sides.append([(int(level["px"]), int(level["qty"])) for level in ladder[column][1 : n + 1]])
    return plan[0], *sides


def ends(plan, buys, sells) -> tuple[int, int]:
    """The farthest prices that 7.6 looks at, from the declared fields of a plan."""
    center = Fraction(int(plan["center"]), 10**6)
    low = math.floor(center * (1 - Fraction(int(plan["width_down"]), ONE)))
    high = math.ceil(center * (1 + Fraction(int(plan["width_up"]), ONE)))
    return min([low] + [p for p, _ in buys]), max([high] + [p for p, _ in sells])


def loss_on(path, mid2, position, buys, sells, tick_value, fee) -> Fraction:
    """The largest loss along a path of prices when each entry fills once, at its limit, where the path reaches it.

    Fees are as the ledger has them, each rounded up.
    """
    half, cash, held, left, worst = Fraction(tick_value, 2), Fraction(0), position, {1: list(buys), -1: list(sells)}, Fraction(0)
    start = position * mid2 * half
    for price in path:
        for side in (1, -1):
            for level in [x for x in left[side] if side * (x[0] - price) >= 0]:
                left[side].remove(level)
                held += side * level[1]
                notional = level[0] * level[1] * tick_value
                cash -= side * notional + math.ceil(Fraction(max(0, fee) * notional, ONE))
        worst = max(worst, start - cash - held * 2 * price * half)
    return worst


@pytest.mark.parametrize("seed", range(60))
@volume(PROPERTY)
def test_the_worst_case_is_that_of_every_price_path(seed):
    """27: up to six levels a side, both sizings, any position: no path between both ends loses more, the straight one as much."""
    r = random.Random(seed)
    fee = r.choice(["0", "2bp", "1%", "-5bp"])
    settings = {"levels_min": r.choice([1, 2]), "levels_max": r.choice([3, 6]), "maker_fee": fee, "min_notional": 0}
    settings |= {"sizing": r.choice(["equal", "tapered"]), "step_min": r.choice(["10bp", "2%"]), "min_edge": r.choice(["0", "4bp"])}
    config = Config(policy="smart", x_min=r.choice(["1%", "5%"]), max_effective_leverage=500, **settings)
    mid2, tick_value, budget = r.choice([201, 5_001, 20_000]), 2 * r.randint(1, 10**5), r.choice([10**9, 10**11])
    scale = budget // (mid2 * tick_value)
    inputs = {"mid2": mid2, "tick_value": tick_value, "budget": budget, "drawdown": r.choice([0, budget // 3]), "natr": 10**5}
    inputs |= {"position": r.choice([0, 0, 1, -1]) * r.randint(0, 4 * scale + 3), "regime": r.choice([0, 1, 2, 3])}
    plan, buys, sells = plan_of(config, **inputs)
    low, high = ends(plan, buys, sells)
    rate = parse_ratio(fee)
    common = (mid2, inputs["position"], buys, sells, tick_value, rate)
    grid = sorted({low, high, mid2 // 2, *(p for p, _ in buys + sells)})
    worst = max(int(plan["worst_down"]), int(plan["worst_up"]))
    for path in itertools.product(grid, repeat=3):
        assert loss_on(path, *common) <= worst, path
    for end, name, side, levels in ((low, "worst_down", 1, buys), (high, "worst_up", -1, sells)):
        if side * inputs["position"] >= 0:
            entries = (buys, []) if side > 0 else ([], sells)
            straight = loss_on([end], mid2, inputs["position"], *entries, tick_value, rate)
            assert straight == int(plan[name]), "the straight path loses exactly so much"
        held = max(0, inputs["position"] * (mid2 - 2 * end) * (tick_value // 2))
        if levels:
            assert int(plan[name]) <= budget - inputs["drawdown"]
        else:
            assert int(plan[name]) == held


# 28, 29 for any settings and any NATR


@options(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.data())
def test_levels_are_the_clamped_quotient_of_width_and_step(data):
    """28: with room for everything the count is `ceil_div(width, step)` in 1e-8, clamped, and notionals do not grow outward."""
    low = data.draw(st.integers(1, 50))
    config = Config(
        policy="smart",
        levels_min=low,
        levels_max=data.draw(st.integers(low, 50)),
        alpha=data.draw(st.sampled_from(["0", "0.02", "0.8", "3"])),
        step_min=data.draw(st.sampled_from(["1bp", "7bp", "0.5%"])),
        maker_fee=0,
        min_edge=0,
        x_min="0.1%",
        x_cap=data.draw(st.sampled_from(["5%", "0.4"])),
        sizing=data.draw(st.sampled_from(["equal", "tapered"])),
        min_notional=0,
        max_effective_leverage=500,
    )
    natr = data.draw(st.integers(1, 3_000_000))
    mid2 = 2 * data.draw(st.integers(50_000_000, 400_000_000))
    regime = data.draw(st.integers(0, 7))
    plan, buys, sells = plan_of(config, mid2=mid2, tick_value=2, budget=2**40, natr=natr, regime=regime)
    for width, levels in ((int(plan["width_down"]), buys), (int(plan["width_up"]), sells)):
        exact = -(-width // int(plan["step"]))
        assert len(levels) == min(max(exact, config.levels_min), config.levels_max)
        for (p, q), (next_p, next_q) in itertools.pairwise(levels):
            assert next_p * next_q < p * (q + 1)
    assert bool(plan["reasons"] & Reason.LEVELS_CLAMPED) == any(
        -(-int(plan[f"width_{side}"]) // int(plan["step"])) > config.levels_max for side in ("down", "up")
    )


@options(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.data())
def test_a_higher_natr_never_narrows_anything(data):
    """29: stress, widths and step, within their bounds, for any settings of their formulas."""
    draw = data.draw
    x_min = draw(st.sampled_from(["0.00000001", "0.5%", "0.9"]))
    names = (
        "alpha",
        "skew_factor",
        "side_mult_against",
        "side_mult_with",
        "trend_penalty",
        "impact_ref",
        "step_min",
        "min_step_ticks",
    )
    given_ = {name: draw(st.sampled_from(WILD[name])) for name in (*names, "maker_fee", "min_edge")}
    given_["k_tail"] = {row: draw(st.sampled_from(["0", "2", "500"])) for row in ("range", "trend", "vol_shock", "thin_book")}
    given_["shock_multiplier"] = {
        row: draw(st.sampled_from(["0", "1", "500"])) for row in ("range", "trend", "vol_shock", "thin_book")
    }
    config = Config(policy="smart", x_min=x_min, x_cap=draw(st.sampled_from(["0.9", x_min])), **given_)
    instrument = Instrument(symbol="A", kind="perpetual", tick_size="0.01", lot_size="0.001")
    p = config.params([instrument], [(1, 100_000)])[0][0]
    regime, penalty, mid2 = draw(st.integers(0, 7)), draw(st.integers(ONE, 3 * ONE)), draw(st.integers(2, 2**36))
    natrs = sorted(draw(st.lists(st.integers(0, 100 * ONE), min_size=2, max_size=6)))
    stresses = [stress_width(p, regime, natr, penalty) for natr in natrs]
    steps = [step_of(p, regime, natr, mid2)[0] for natr in natrs]
    assert stresses == sorted(stresses)
    assert steps == sorted(steps)
    assert all(p["x_min"] <= x <= p["x_cap"] for x in stresses)
    assert all(step >= min(ONE, p["step_min"]) for step in steps)
    for side in (1, -1):
        widths = [width_of(p, regime, side, x) for x in stresses]
        assert widths == sorted(widths)
        assert all(p["x_min"] <= width <= p["x_cap"] for width in widths)
