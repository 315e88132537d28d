"""What a run declares, written out by hand from SPEC 14, 16.2, 16.17 and ADR-0001, 0004, 0005: a change here changes digests."""

from __future__ import annotations

import numpy as np
import pytest

from grinder import config, records, tape
from grinder.records import STAGES, stage_dtype

FEATURES = [
    *["absent", "tr", "atr", "natr", "sum_abs_returns", "net_return", "range_score", "efficiency_ratio", "trend_strength"],
    *["spread_bps", "imbalance_l1", "thin_l1", "depth_bid", "depth_ask", "depth_imbalance", "impact", "spread_at_depth"],
    *["slope_bid", "slope_ask", "walls_bid", "walls_ask", "wall_dist_bid", "wall_dist_ask"],
]
PLANS = [
    *["plan", "regime", "mode", "center", "step", "width_down", "width_up", "levels_down", "levels_up", "adds_down", "adds_up"],
    *["tp_step", "budget", "worst_down", "worst_up", "reasons"],
]
LEDGER = [
    *["cause", "position", "cost", "cash", "realised", "unrealised", "fees", "funding", "equity", "peak", "drawdown", "budget"],
]
SPEC_14 = [
    ("input", ["kind", "code", "value"]),
    ("bars", ["start", "open", "high", "low", "close", "ticks"]),
    ("features", FEATURES),
    ("gates", ["gate", "from", "to", "reasons"]),
    ("regimes", ["from", "to", "reasons"]),
    ("plans", PLANS),
    ("levels", ["plan", "side", "i", "price", "qty"]),
    ("intents", ["kind", "order", "side", "role", "key", "price", "qty", "reason"]),
    ("orders", ["order", "from", "to", "price", "remaining", "live_ts"]),
    ("fills", ["order", "cycle", "side", "role", "price", "qty", "fee", "taker"]),
    ("ledger", LEDGER),
    ("alerts", ["code", "level", "value", "limit"]),
]
CODES = {
    "Stream": ["FUNDING", "BOOKS", "QUOTES", "TRADES", "COMMANDS"],
    "Command": ["PAUSE", "RESUME", "KILL", "RESET", "RECOVER"],
    "EdgeKind": ["ROLL", "FUNDING", "BAR", "GAP", "GAP_BAR", "FIRST", "GATE", "COMMAND"],
    "InputKind": ["FAULT", "QUARANTINED", "GAP", "FUNDING", "COMMAND"],
    "Fault": ["DUPLICATE", "CROSSED", "NO_SIZE", "JUMP", "BOOK_UNLIKE_QUOTES"],
    "Regime": ["RANGE", "TREND_UP", "TREND_DOWN", "VOL_SHOCK", "THIN_BOOK", "TOXIC", "PAUSED", "EMERGENCY"],
    "Mode": ["EMERGENCY", "PAUSE", "DAMAGE_CONTROL", "THROTTLE", "NORMAL"],
    "Adds": ["FULL", "ONCE", "OFF"],
    "Role": ["ENTRY", "TAKE_PROFIT", "REDUCE_ONLY", "STOP", "RECOVERY", "FLATTEN"],
    "OrderState": ["PENDING", "OPEN", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED"],
    "IntentKind": ["CANCEL", "AMEND", "PLACE"],
    "GateKind": ["STALE", "THIN", "SEVERELY_THIN", "SHOCK", "TOXICITY"],
    "Severity": ["LOW", "MID", "HIGH", "EXTREME"],
    "Toxicity": ["SPREAD", "IMPACT", "JUMP", "QUARANTINED", "STALENESS", "SHOCK"],
    "Trend": ["NONE", "UP", "DOWN"],
    "Latch": ["NONE", "MANUAL", "DRAWDOWN", "EXTREME"],
    "PolicyKind": ["OWN", "STATIC", "SMART"],
    "AlertLevel": ["WARNING", "EMERGENCY"],
    "Alert": [
        *["DRAWDOWN_WARNING", "DRAWDOWN", "TOXICITY", "L2_STALE", "LEVERAGE", "STUCK", "MISMATCH"],
        *["BUDGET_TOO_SMALL", "BREAKER"],
    ],
}
REASONS = [
    *["WARMUP", "DEPTH_SHORT", "STEP_FEE_FLOOR", "STEP_TICK_FLOOR", "LEVELS_CLAMPED", "BUDGET", "BUDGET_TOO_SMALL"],
    *["MAX_INVENTORY", "MAX_LEVERAGE", "MIN_NOTIONAL", "MAX_OPEN_ORDERS", "STEP_WIDENED", "CAP_PAUSE", "HARD_CAP"],
    *["RATE_LIMIT", "POST_ONLY", "NO_VOLATILITY"],
]
STATE = [
    *["MARKET", "EDGE", "INSTRUMENT", "FUNDING", "RUN", "SYMBOL", "ORDER", "CYCLE", "PLAN", "LEVEL", "TARGET", "WANTED"],
    *["INTENT", "SLOT", "BAR", "INDEX", "QUIET", "FEATURES", "GATE", "COMMAND", "INPUTS", "ONCE", "PART", "EXPOSURE"],
]
WITH_FLOATS = ["FILTER"]  # averages, which features alone see (SPEC 1.4)


def test_stages_are_those_of_the_specification_in_causal_order():
    assert [(stage, list(columns)) for stage, columns in STAGES.items()] == SPEC_14


@pytest.mark.parametrize(("stage", "columns"), SPEC_14)
def test_a_record_starts_with_its_cause(stage, columns):
    assert list(stage_dtype(stage).names) == ["event", "ts", "symbol", *columns]


def every_dtype():
    own = {name: getattr(records, name) for name in STATE} | {"PARAMS": config.PARAMS, "counts": tape.empty_tape(1).used.dtype}
    return own | {stage: stage_dtype(stage) for stage in STAGES}


def test_no_record_type_is_left_out_here():
    declared = {name for name, value in vars(records).items() if isinstance(value, np.dtype)}
    assert declared == {*STATE, *WITH_FLOATS}


def test_only_the_averages_are_floats():
    kinds = {name: dtype.str for name, (dtype, _) in records.FILTER.fields.items()}
    assert kinds == {"bars": "<i8", "close": "<i8", "atr": "<f8", "fast": "<f8", "slow": "<f8"}
    assert records.FILTER.itemsize == 8 * len(kinds)


def test_the_mask_of_absent_features_has_a_bit_for_each_column():
    assert [feature.name.lower() for feature in records.Feature] == FEATURES[1:]
    assert [int(feature) for feature in records.Feature] == [1 << i for i in range(len(FEATURES) - 1)]


@pytest.mark.parametrize(("name", "dtype"), every_dtype().items())
def test_only_little_endian_int64_and_no_padding(name, dtype):
    assert {dtype.fields[field][0].str for field in dtype.names} == {"<i8"}
    assert [dtype.fields[field][1] for field in dtype.names] == list(range(0, 8 * len(dtype.names), 8))
    assert dtype.itemsize == 8 * len(dtype.names)
    numbers = np.arange(1, 1 + len(dtype.names), dtype="<i8")
    assert np.array([tuple(numbers)], dtype).tobytes() == numbers.tobytes()


@pytest.mark.parametrize(("name", "members"), CODES.items())
def test_codes_count_from_zero_in_the_order_of_the_text(name, members):
    assert [(code.name, code.value) for code in getattr(records, name)] == [(member, i) for i, member in enumerate(members)]


@pytest.mark.parametrize(
    ("flags", "names"), [(records.Reason, REASONS), (records.Cause, ["FILL", "FUNDING", "BAR", "GATE", "COMMAND", "ROLL", "TRIP"])]
)
def test_bits_are_single_and_in_order(flags, names):
    assert [(bit.name, bit.value) for bit in flags] == [(name, 2**i) for i, name in enumerate(names)]
    assert len(flags.__members__) == len(names), "no aliases"


def test_sides_and_constants():
    assert (records.BUY, records.SELL, records.NONE) == (1, -1, -1)
    assert (records.FORMAT_VERSION, records.WINDOW) == (1, 4096)
    assert {stage: 1 for stage, _ in SPEC_14} == records.STAGE_VERSIONS
    assert records.FAR == 2**40, "above every price, and can be doubled"
    assert records.NEVER == 2**62


def test_a_tape_has_one_buffer_for_each_stage():
    made = tape.empty_tape(3)
    assert made._fields == ("used", *STAGES)
    assert made.used.dtype.names == tuple(STAGES)
    assert all(getattr(made, stage).dtype == stage_dtype(stage) and len(getattr(made, stage)) == 3 for stage in STAGES)


@pytest.mark.parametrize("stage", ["plans", "levels", "intents", "orders", "fills", "ledger", "alerts"])
def test_room_is_that_of_the_fullest_buffer(stage):
    made = tape.empty_tape(10)
    made.used[stage] = 7
    assert tape.has_room(made, 3)
    assert not tape.has_room(made, 4)
