"""Settings: defaults of SPEC 15, one hash for one meaning, and errors that name field and value (SPEC 1.2, 14)."""

from __future__ import annotations

import decimal
import hashlib
import itertools
import pickle
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from grinder import units
from grinder.config import PARAMS, Config, canonical_json, checked
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, NumberError, RangeError
from grinder.records import INSTRUMENT

quick = settings(max_examples=150, derandomize=True, deadline=None)
BTC = Instrument(symbol="BTC", kind="perpetual", tick_size="0.1", lot_size="0.001")  # 10,000 atoms a tick and lot
ETH = Instrument(symbol="ETH", kind="spot", tick_size="0.01", lot_size="0.01")  # 10,000 too

SETTINGS = {  # name: (default, another legal value)
    # SPEC 15, "Further" included; 9 (fill model), 11 (dd_warn); the static grid's own have no default there
    "equity": (10000, "10000.01"),
    "maker_fee": ("0.0002", "-1bp"),
    "min_edge": ("0.0004", 0),
    "bar_interval_ms": (60000, 1),
    "max_gap_ms": (600000, 1),
    "atr_bars": (14, 10_000),
    "atr_method": ("wilder", "sma"),
    "return_bars": (60, 1),
    "range_eps": ("0.0001", "1.5bp"),
    "range_cap": (1000, "0.5"),
    "ema_fast": (12, 13),
    "ema_slow": (48, 2),
    "top_n": (10, 1),
    "impact_quote": (10000, "0.5"),
    "wall_ratio": (5, "1.25"),
    "l2_stale_ms": (2000, 0),
    "l1_stale_ms": (15_000, 14_999),
    "l1_pause_ms": (60_000, 60_001),
    "thin_quote": (1000, 0),
    "thin_quote_depth": (10_000, "0.01"),
    "thin_ms": (3000, 1000),
    "thin_clear_ms": (30_000, 2),
    "shock_ratio": (4, 3),
    "shock_tr": (6, 5),
    "baseline_bars": (96, 97),
    "baseline_bars_min": (24, 23),
    "spread_bars": (60, 61),
    "spread_bars_min": (20, 19),
    "spread_floor": ("0.0001", 0),
    "spread_limits": ([3, 6, 20], ["2.5", 5, 0]),
    "impact_limits": (["0.001", "0.0025", "0.01"], ["1bp", "2bp", "3bp"]),
    "jump_limits": ([1, 2, 5], [0, 0, 0]),
    "jump_window_ms": (1000, 0),
    "quarantined_limits": ([1, 5, 50], [0, 7, 8]),
    "quarantine_window_ms": (60_000, 1),
    "clear_ms": (60_000, 1),
    "trend_enter": (2, "1.5"),
    "trend_exit": ("0.5", "0.75"),
    "er_enter": ("0.35", "0.3"),
    "max_jump": ("0.2", "30%"),
    "order_latency_ms": (0, 1),
    "cancel_latency_ms": (0, 7),
    "fill_model": ("mid_touch", "cross"),
    "penetration": (0, None),
    "policy": ("static", None),
    "max_inventory_notional": ("100%", "10000"),
    "max_effective_leverage": (2, "0.5"),
    "max_open_orders": (100, 200),
    "max_open_orders_portfolio": (400, 1),
    "min_notional": (5, 0),
    "order_rate": (20, 1),
    "order_burst": (100, 1),
    "dd_budget_pct": ("0.02", 0),
    "dd_window": ("daily", "session"),
    "dd_warn": ("0.8", 1),
    "dd_budget": (None, "200"),
    "dd_window_ms": (86_400_000, 24_000),
    "step": ("0.001", "0.00100001"),
    "levels": (10, 50),
    "quantity": (None, "0.001"),
    # SPEC 7 and 15: the plan of `smart`
    "taker_fee": ("0.0005", "6bp"),
    "slippage": ("0.0002", 0),
    "horizon_ms": (
        {"range": 3_600_000, "trend": 7_200_000, "vol_shock": 1_800_000, "thin_book": 3_600_000},
        {"range": 4, "trend": 9, "vol_shock": 16, "thin_book": 25},
    ),
    "k_tail": (
        {"range": 2, "trend": "2.5", "vol_shock": 3, "thin_book": "2.5"},
        {"range": 1, "trend": "1.5", "vol_shock": 4, "thin_book": 0},
    ),
    "shock_multiplier": (
        {"range": 1, "trend": "1.25", "vol_shock": 2, "thin_book": "2.5"},
        {"range": 5, "trend": 6, "vol_shock": 7, "thin_book": 8},
    ),
    "trend_penalty": ("1.25", 1),
    "x_min": ("0.005", "0.01"),
    "x_cap": ("0.1", "20%"),
    "impact_ref": ("0.001", "5bp"),
    "side_mult_against": ("1.5", 2),
    "side_mult_with": ("0.75", 1),
    "alpha": ("0.8", 1),
    "step_min": ("0.0005", "1bp"),
    "min_step_ticks": (1, 2),
    "levels_min": (2, 1),
    "levels_max": (20, 50),
    "skew_factor": ("0.0005", 0),
    "sizing": ("equal", "tapered"),
    "max_weight_ratio": (3, "1.5"),
    "replan_levels": (4, 0),
    "replan_center": (2, "0.5"),
    # SPEC 12: Top-K
    "top_k": (3, 1),
    "select_every_ms": (900_000, 60_000),
    "switch_margin": ("0.05", 0),
    "liq_ref": (50_000, 1),
    "select_spread": ("0.002", "1bp"),
    "select_funding": (0, "1bp"),
    "w_range": (1, 2),
    "w_liq": (1, 0),
    "w_tox": (2, "0.5"),
    "w_trend": (1, 3),
    # SPEC 11: protection
    "dd_clear": ("0.6", "0.5"),
    "allocator": ("equal", "weighted"),
    "dd_budget_symbol": (None, {"ETH": "20"}),
    "throttle_ms": (10_000, 0),
    "dc_tp_mult": ("0.5", 1),
    "flatten_on_drawdown": (True, False),
    "flatten_on_emergency": (False, True),
    "latch_on_extreme": (False, True),
    "max_consecutive_losses": (0, 3),
    "cooldown_ms": (0, 5),
    "risk_monitor": (False, True),
    "alert_after_ms": (300_000, 1),
}
DEFAULTS = {name: default for name, (default, _) in SETTINGS.items()}
OTHER = {name: other for name, (_, other) in SETTINGS.items() if other is not None}  # the rest goes with others only
INTEGERS = [
    *["bar_interval_ms", "max_gap_ms", "order_latency_ms", "cancel_latency_ms", "penetration", "max_open_orders"],
    *["max_open_orders_portfolio", "order_rate", "order_burst", "levels", "atr_bars", "return_bars"],
    *["ema_fast", "ema_slow", "top_n", "l2_stale_ms", "l1_stale_ms", "l1_pause_ms", "thin_ms", "thin_clear_ms", "baseline_bars"],
    *["baseline_bars_min", "spread_bars", "spread_bars_min", "jump_window_ms", "quarantine_window_ms", "clear_ms"],
    *["min_step_ticks", "levels_min", "levels_max", "replan_levels", "top_k", "select_every_ms", "throttle_ms", "cooldown_ms"],
    *["max_consecutive_losses", "dd_window_ms", "alert_after_ms"],
]
DECIMALS = [
    *["equity", "maker_fee", "min_edge", "max_jump", "max_effective_leverage", "min_notional", "dd_budget_pct", "dd_warn", "step"],
    *["range_eps", "range_cap", "impact_quote", "wall_ratio", "thin_quote", "thin_quote_depth", "shock_ratio", "shock_tr"],
    *["spread_floor", "trend_enter", "trend_exit", "er_enter", "taker_fee", "slippage", "trend_penalty", "x_min", "x_cap"],
    *["impact_ref", "side_mult_against", "side_mult_with", "alpha", "step_min", "skew_factor", "max_weight_ratio", "replan_center"],
    *["switch_margin", "liq_ref", "select_spread", "select_funding", "w_range", "w_liq", "w_tox", "w_trend", "dd_clear"],
    *["dc_tp_mult"],
    *["quantity", "max_inventory_notional"],
]
LIMITS = ("spread_limits", "impact_limits", "jump_limits", "quarantined_limits")
FEATURE_FIELDS = ("atr_bars", "return_bars", "ema_fast", "ema_slow", "range_eps", "range_cap", "top_n", "impact_quote")
BAD = [
    *itertools.product(INTEGERS, (-1, 10**12, 1.5, "3", True, None)),
    *itertools.product(DECIMALS, ("x", "", "nan", float("inf"), True, [1], "0.1 %%")),
    *[
        (name, 0)
        for name in (
            "equity",
            "step",
            "levels",
            "bar_interval_ms",
            "max_gap_ms",
            "max_jump",
            "max_open_orders",
            "order_rate",
            *FEATURE_FIELDS,
        )
    ],
    *[(name, "-0.02") for name in DECIMALS if name != "quantity"],
    *[
        ("dd_warn", 0),
        ("max_jump", "500.1"),
        ("maker_fee", "0.11"),
        ("step", 1),
        ("min_edge", "100%"),
        ("max_effective_leverage", 1001),
        ("dd_warn", "1.01"),
    ],
    *[
        ("dd_budget_pct", "101%"),
        ("levels", 51),
        ("max_open_orders", 201),
        ("max_inventory_notional", "100001%"),
        ("min_edge", "1e-9"),
    ],
    *[(name, value) for name in LIMITS for value in (3, "3, 6, 20", [1, 2], [1, 2, 3, 4], [1, 2, "x"], [1, 2, -1])],
    *[("quarantined_limits", [1, 5, 100_001]), ("spread_limits", [1, 2, 501])],
    *[
        ("fill_model", "queue"),
        ("dd_window", "weekly"),
        ("dd_window_ms", 86_400_001),
        ("risk_monitor", 1),
        ("dd_budget", "-1"),
        ("dd_budget", "x"),
        ("atr_method", "ema"),
        ("policy", "clever"),
        ("policy", None),
    ],
    *[("sizing", "A"), ("allocator", 1), ("flatten_on_drawdown", 1), ("top_k", 6), ("levels_max", 51), ("x_cap", "91%")],
    *[
        ("k_tail", 2),
        ("k_tail", {"quiet": 1}),
        ("k_tail", {"range": -1}),
        ("horizon_ms", {"trend": 0}),
        ("horizon_ms", {"trend": 1.5}),
    ],
    *[("shock_multiplier", {"range": "x"}), ("dd_budget_symbol", {"ETH": "x"}), ("trend_penalty", "0.9"), ("max_weight_ratio", 0)],
]


def test_defaults_are_those_of_the_specification():
    made = Config()
    plain = {name: getattr(made, name) for name in type(made).model_fields}
    limits = {name: [Decimal(limit) for limit in DEFAULTS[name]] for name in LIMITS}
    decimals = {name: Decimal(DEFAULTS[name]) for name in DECIMALS[:-2]}
    tables = {name: {row: Decimal(value) for row, value in DEFAULTS[name].items()} for name in ("k_tail", "shock_multiplier")}
    assert {
        name: list(value) if name in LIMITS else value for name, value in plain.items()
    } == DEFAULTS | limits | decimals | tables


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_field_set_to_its_default_leaves_the_hash_alone(name):
    assert Config(**{name: DEFAULTS[name]}).hash() == Config().hash() == hashlib.sha256(b"{}").hexdigest()


def test_any_changed_field_changes_the_hash():
    assert set(OTHER) | {"penetration", "policy"} == set(DEFAULTS), "a new field needs a value here"
    changed = [Config(**{name: value}) for name, value in OTHER.items()]
    changed += [Config(fill_model="cross", penetration=1), Config(**OTHER), Config(quantity={"BTC": "0.001"}), Config()]
    assert len({config.hash() for config in changed}) == len(changed)


def test_the_hash_is_of_the_values_unlike_their_defaults():
    config = Config(step="5bp", equity="20000.50", levels=10, max_inventory_notional="250%")
    body = b'{"equity":"20000.5","max_inventory_notional":"250%","step":"0.0005"}'
    assert config.hash() == hashlib.sha256(body).hexdigest()
    assert canonical_json({"b": ["é", True], "a": {"d": 1, "c": -2}}) == '{"a":{"c":-2,"d":1},"b":["é",true]}'.encode()


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("step", ["0.0005", "5bp", "5bps", "0.05%", 0.0005, "5e-4", " 5 bp ", Decimal("0.00050"), np.float64(0.0005)]),
        ("maker_fee", ["-0.10%", "-10bp", -0.001]),
        ("equity", ["20000", 20_000, "20_000.00", 2e4, "2E+4", np.int64(20_000), np.float64(20_000)]),
        ("max_inventory_notional", ["0.10%", "0.1%", "00.100 %"]),
        ("max_inventory_notional", ["100", 100, 100.0, "1e2", "100.00"]),
        ("quantity", ["0.010", 0.01, Decimal("1E-2")]),
        ("quantity", [{"A": "0.10", "B": 2}, {"B": "2.0", "A": 0.1}]),
        ("levels", [7, np.int64(7)]),
    ],
)
def test_equal_spellings_are_one_setting(name, spellings):
    made = [Config(**{name: spelling}) for spelling in spellings]
    assert len({config.hash() for config in made}) == 1
    assert all(config == made[0] for config in made)


@quick
@given(st.permutations(sorted(OTHER)))
def test_key_order_is_irrelevant(names):
    assert Config(**{name: OTHER[name] for name in names}).hash() == Config(**OTHER).hash()


def test_no_digit_is_lost_and_the_decimal_context_is_no_input():
    long = "10000.0000000000000000000000000000000001"
    assert Config(equity=long).hash() != Config(equity=f"{long}1").hash() != Config().hash()
    assert Config(max_inventory_notional=long).max_inventory_notional == long
    settings = {"equity": "12345678.9", "maker_fee": "0.00012345", "max_inventory_notional": "123.4567%", "quantity": "1.23456"}
    before = Config(**settings).hash()
    with decimal.localcontext() as context:
        context.prec = 3
        assert Config(**settings).hash() == before


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_values_are_named(name, value):
    with pytest.raises(ConfigError) as error:
        Config(**{name: value})
    assert re.search(rf"{name}(\.\w+)?: ", str(error.value))
    assert f"(got {value!r})" in str(error.value)


@pytest.mark.parametrize(
    ("low", "high", "over", "limit"),
    [
        *[("l1_stale_ms", "l1_pause_ms", 60_001, 60_000), ("trend_exit", "trend_enter", 3, 2)],
        *[("spread_bars_min", "spread_bars", 61, 60), ("baseline_bars_min", "baseline_bars", 97, 96)],
    ],
)
def test_settings_that_go_in_order(low, high, over, limit):
    Config(**{low: limit}).params([BTC], [(9, 9)])
    with pytest.raises(ConfigError, match=f"{low} {over} is over {high} {limit}"):
        Config(**{low: over}).params([BTC], [(9, 9)])
    Config(**{low: over}).over(Config(**{high: over})).params([BTC], [(9, 9)])


def test_refusals_between_fields_and_of_unknown_names():
    with pytest.raises(ConfigError, match="penetration 3 needs fill_model = 'cross'"):
        Config(penetration=3)
    with pytest.raises(ConfigError, match="maker_fees: there is no such setting"):
        Config(maker_fees="2bp")
    with pytest.raises(ConfigError, match=r"step: .*; levels: "):
        Config(step=0, levels=0)
    with pytest.raises(ConfigError, match="quantity: "):
        Config(quantity={"A": "x", 1: "2"})
    for value in (-1, "-0.001"):
        with pytest.raises(ConfigError, match=f"quantity of BTC: {value}"):
            Config(quantity=value).params([BTC], [(1, 2)])


def test_a_setting_named_self_is_an_unknown_one():
    with pytest.raises(ConfigError, match="self: there is no such setting"):
        Config(self=1)


def test_frozen_hashable_by_meaning_and_whole_across_pickle():
    config = Config(**OTHER)
    with pytest.raises(ValueError, match="frozen"):
        config.step = "1bp"
    assert pickle.loads(pickle.dumps(config)) == config == Config(**config.model_dump(mode="json"))


def test_over_merges_only_fields_that_were_set():
    base = Config(step="5bp", levels=3, equity=100)
    top = Config(levels=10, quantity="0.5")  # 10 is the default, but it was set
    merged = checked(top, base)
    assert merged == Config(step="5bp", levels=10, equity=100, quantity="0.5")
    assert merged.model_fields_set == {"step", "levels", "equity", "quantity"}
    assert checked(None, base) is base
    assert Config(penetration=0).over(Config(fill_model="cross", penetration=4)).penetration == 0


# Integers for kernels


def test_params_are_the_settings_in_kernel_units():
    typed = OTHER | {"penetration": 3, "dd_warn": "0.7", "dd_budget_pct": "2%", "min_notional": "7.5", "quantity": "0.02"}
    params, rows = Config(**typed).params([BTC, ETH], [(600_000, 650_000), (200_000, 300_000)])
    # fmt: off
    expected = {
        "symbols": 2, "equity": 1_000_001_000_000, "bar_ns": 1_000_000, "max_gap_ns": 1_000_000, "maker_fee": -10_000,
        "min_edge": 0, "order_latency": 1_000_000, "cancel_latency": 7_000_000, "crosses": 1, "penetration": 3,
        "max_inventory_ratio": 0, "max_inventory_atoms": 1_000_000_000_000, "max_leverage": 50_000_000,
        "max_open_orders": 200, "max_open_orders_portfolio": 1, "min_notional": 750_000_000, "order_rate": 1,
        "order_burst": 1, "dd_budget_pct": 2_000_000, "dd_warn": 70_000_000, "roll_ns": 0, "parts": 0, "dd_budget": 20_000_000_000,
        "policy": 1,
        "on_fill": 0, "step": 100_001, "levels": 50, "atr_bars": 10_000, "atr_sma": 1, "return_bars": 1, "range_eps": 15_000,
        "range_cap": 50_000_000, "ema_fast": 13, "ema_slow": 2,
        "top_n": 1, "impact_quote": 50_000_000, "wall_ratio": 125_000_000, "l2_stale_ns": 0,
        "bars_kept": 10_000, "natrs_kept": 100, "strays_kept": 8, "gated": 1, "risk_monitor": 1, "alert_after_ns": 1_000_000,
        "l1_stale_ns": 14_999_000_000,
        "l1_pause_ns": 60_001_000_000, "thin_quote": 0, "thin_quote_depth": 1_000_000, "thin_ns": 10**9, "thin_clear_ns": 2_000_000,
        "shock_ratio": 300_000_000, "shock_tr": 500_000_000, "baseline_bars": 97, "baseline_bars_min": 23, "spread_bars": 61,
        "spread_bars_min": 19, "spread_floor": 0, "spread_mid": 250_000_000, "spread_high": 500_000_000, "spread_extreme": 0,
        "impact_mid": 10_000, "impact_high": 20_000, "impact_extreme": 30_000, "jump_mid": 0, "jump_high": 0, "jump_extreme": 0,
        "jump_window_ns": 0, "quarantined_mid": 0, "quarantined_high": 7, "quarantined_extreme": 8,
        "quarantine_window_ns": 1_000_000, "clear_ns": 1_000_000, "trend_enter": 150_000_000, "trend_exit": 75_000_000,
        "er_enter": 30_000_000,
        "root_range": 200_000_000, "root_trend": 300_000_000, "root_vol_shock": 400_000_000, "root_thin_book": 500_000_000,
        "k_tail_range": 100_000_000, "k_tail_trend": 150_000_000, "k_tail_vol_shock": 400_000_000, "k_tail_thin_book": 0,
        "shock_multiplier_range": 500_000_000, "shock_multiplier_trend": 600_000_000,
        "shock_multiplier_vol_shock": 700_000_000, "shock_multiplier_thin_book": 800_000_000, "trend_penalty": 100_000_000,
        "x_min": 1_000_000, "x_cap": 20_000_000, "side_mult_against": 200_000_000, "side_mult_with": 100_000_000,
        "impact_ref": 50_000, "alpha": 100_000_000, "step_min": 10_000, "min_step_ticks": 2, "levels_min": 1, "levels_max": 50,
        "tapered": 1, "max_weight_ratio": 150_000_000, "skew_factor": 0, "replan_levels": 0, "replan_center": 50_000_000,
        "weighted": 1, "throttle_ns": 0, "taker_fee": 60_000, "slippage": 0, "dd_clear": 50_000_000, "dc_tp_mult": 100_000_000,
        "flatten_on_drawdown": 0, "flatten_on_emergency": 1, "latch_on_extreme": 1, "max_consecutive_losses": 3,
        "cooldown_ns": 5_000_000, "top_k": 2, "select_every_ns": 60_000_000_000, "switch_margin": 0, "liq_ref": 100_000_000,
        "select_spread": 10_000, "select_funding": 10_000, "w_range": 200_000_000, "w_liq": 0, "w_tox": 50_000_000,
        "w_trend": 300_000_000,
    }
    # fmt: on
    assert params.dtype == PARAMS
    assert dict(zip(PARAMS.names, params[0].tolist(), strict=True)) == expected
    caps = [units.hard_cap_lots(high, 10_000, expected["equity"], 2) for high in (650_000, 300_000)]
    assert rows.dtype == INSTRUMENT
    thin = -(-int(params[0]["thin_quote"]) // 10_000)  # and a fifth of it
    assert rows.tolist() == [
        (10_000, 5_000, 1, caps[0], 20, -1, thin, -(-thin // 5)),
        (10_000, 5_000, 0, caps[1], 2, 2_000_000_000, thin, -(-thin // 5)),
    ]


def test_what_smart_changes_of_params():
    params, _ = Config(policy="smart", top_k=1).params([BTC, ETH], [(9, 9)] * 2)
    assert (params[0]["policy"], params[0]["gated"], params[0]["top_k"]) == (2, 1, 1)
    assert Config(policy="smart").params([BTC, ETH], [(9, 9)] * 2)[0][0]["top_k"] == 2, "not more than there are"


def test_tables_by_regime_are_filled_up():
    assert Config(k_tail={"trend": 3}).k_tail == {"range": 2, "trend": 3, "vol_shock": 3, "thin_book": Decimal("2.5")}
    assert Config(k_tail={"trend": "2.50"}).hash() == Config().hash()
    assert Config(horizon_ms={"range": 1}).hash() != Config().hash()
    with pytest.raises(ConfigError, match="dd_budget_symbol of XRP: there is no such symbol; there are BTC, ETH"):
        Config(dd_budget_symbol={"XRP": 1}).params([BTC, ETH], [(9, 9)] * 2)
    with pytest.raises(ConfigError, match="dd_budget_symbol of BTC is -1: at least 0 is allowed"):
        Config(dd_budget_symbol=-1).params([BTC, ETH], [(9, 9)] * 2)
    assert Config(dd_warn="0.3").params([BTC], [(9, 9)])[0][0]["dd_clear"] == 30_000_000, "it ends where it began at the latest"


def test_quantities_go_by_symbol_and_are_never_rounded():
    lots = lambda given: Config(quantity=given).params([BTC, ETH], [(9, 9)] * 2)[1]["quantity"].tolist()  # noqa: E731
    assert lots(None) == [0, 0]
    assert lots("0.03") == [30, 3]
    assert lots({"ETH": "0.5", "BTC": "0.002"}) == [2, 50]
    assert lots({"BTC": "0.002"}) == [2, 0]
    with pytest.raises(NumberError, match=r"quantity of ETH 0\.035 .*nearest legal values are 0.03 or 0.04"):
        lots("0.035")
    with pytest.raises(ConfigError, match=r"quantity of BTC: 3000000 is 3000000000 lots"):
        lots("3000000")


def test_inventory_as_a_share_and_as_an_amount():
    of = lambda value: Config(max_inventory_notional=value).params([BTC], [(9, 9)])[0][0]  # noqa: E731
    assert (of("150%")["max_inventory_ratio"], of("150%")["max_inventory_atoms"]) == (150_000_000, -1)
    assert (of("150")["max_inventory_ratio"], of("150")["max_inventory_atoms"]) == (0, 15_000_000_000)
    assert of("0")["max_inventory_atoms"] == 0
    with pytest.raises(NumberError, match=r"max_inventory_notional 0\.000000001 is no multiple"):
        of("0.000000001")


@quick
@given(st.integers(1, 46_000_000_000), st.integers(0, 50_000), st.integers(1, 2**35), st.integers(1, 3))
@example(46_000_000_000, 0, 1, 1)
@example(1, 100, 2**35, 2)
def test_the_overflow_proof(equity, percent, price, symbols):
    """What passes at load keeps all money of the run under 2**62; what does not is told with its numbers."""
    config = Config(equity=equity, max_inventory_notional=f"{percent}%")
    instruments = [BTC, ETH, BTC][:symbols]
    lots = max(1, Fraction(equity * units.ONE * percent, 100) // (price * 10_000))
    fits = 2 * price * lots * 10_000 * symbols + equity * units.ONE + 2**60 < 2**62 and lots <= 2**31
    if fits:
        config.params(instruments, [(price, price)] * symbols)
        return
    with pytest.raises(RangeError, match=r"lower the inventory cap or quote_decimals") as error:
        config.params(instruments, [(price, price)] * symbols)
    for number in (
        f"BTC: max_inventory_notional {percent}%",
        f"{lots} lots",
        f"{price} ticks",
        "10000 atoms",
        f"equity {equity * units.ONE}",
    ):
        assert number in str(error.value)


@pytest.mark.parametrize("wrong", [[1], {"a": 1}, {1}, 0.5, True, None])
def test_an_amount_that_nothing_checked_is_named(wrong):
    """Also one that cannot be looked up among those that are known."""
    config = Config(quantity="1", thin_quote="1").model_copy(update={"thin_quote": wrong})
    for _ in range(2):
        with pytest.raises(NumberError, match=r"write the number as text|is no decimal number"):
            config.params((BTC,), ((1000, 2000),))


def test_a_default_that_was_written_into_is_changed():
    """The hash is of what a replay uses, however it came to be."""
    config = Config()
    assert config.changed() == {}
    config.k_tail["range"] *= 3
    assert list(config.changed()) == ["k_tail"]
    assert Config().changed() == {}
    assert Config.model_construct(_fields_set=set(), levels=3).changed() == {"levels": 3}
    assert Config().model_copy(update={"levels": 4}).hash() == Config(levels=4).hash()
    assert Config(levels=Config().levels).changed() == {}
