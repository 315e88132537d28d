"""Settings of a replay: what a user writes (`Config`), checked once, and the integers that kernels read (`PARAMS`).

Values stay in human units as exact decimals until `Config.params` turns them into integers; equal spellings of a number are
equal settings. Defaults are SPEC 15's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from grinder import units
from grinder.errors import ConfigError, NumberError, RangeError
from grinder.records import INSTRUMENT, LADDER_SLOTS, MAX_LEVELS, NONE, PARTS, PolicyKind, _record

if TYPE_CHECKING:
    from grinder.data.instrument import Instrument

__all__ = ["PARAMS", "Config", "canonical_json", "check_kind", "check_setting", "checked", "plain_value"]

PARAMS: Final = _record(
    "symbols equity bar_ns max_gap_ns maker_fee min_edge order_latency cancel_latency crosses penetration "
    "max_inventory_ratio max_inventory_atoms max_leverage max_open_orders max_open_orders_portfolio min_notional "
    "order_rate order_burst dd_budget_pct dd_budget dd_warn roll_ns parts policy on_fill step levels "
    "atr_bars atr_sma return_bars range_eps range_cap ema_fast ema_slow top_n impact_quote wall_ratio l2_stale_ns "
    "bars_kept natrs_kept strays_kept gated l1_stale_ns l1_pause_ns thin_quote thin_quote_depth thin_ns thin_clear_ns "
    "shock_ratio shock_tr baseline_bars baseline_bars_min spread_bars spread_bars_min spread_floor spread_mid spread_high "
    "spread_extreme impact_mid impact_high impact_extreme jump_mid jump_high jump_extreme jump_window_ns quarantined_mid "
    "quarantined_high quarantined_extreme quarantine_window_ns clear_ns trend_enter trend_exit er_enter "
    "root_range root_trend root_vol_shock root_thin_book k_tail_range k_tail_trend k_tail_vol_shock k_tail_thin_book "
    "shock_multiplier_range shock_multiplier_trend shock_multiplier_vol_shock shock_multiplier_thin_book trend_penalty x_min x_cap "
    "side_mult_against side_mult_with impact_ref alpha step_min min_step_ticks levels_min levels_max tapered max_weight_ratio "
    "skew_factor replan_levels replan_center weighted throttle_ns taker_fee slippage dd_clear dc_tp_mult flatten_on_drawdown "
    "flatten_on_emergency latch_on_extreme risk_monitor max_consecutive_losses cooldown_ns alert_after_ns top_k select_every_ns "
    "switch_margin liq_ref select_spread select_funding w_range w_liq w_tox w_trend"
)
"""One row of settings as integers: ns, atoms, 1e-8 ratios; `crosses` 1: cross; `max_inventory_atoms` and `dd_budget` -1: use
the ratio; `roll_ns`: by what a drawdown window rolls, 0: never; `parts`: how many of those it looks back."""

MAX_BARS: Final = 10_000
"""The longest window of bars."""
MAX_BOOK_LEVELS: Final = 100
MAX_OPEN_ORDERS: Final = 200
assert MAX_LEVELS + MAX_OPEN_ORDERS < LADDER_SLOTS  # every index a static ladder can reach has a slot


COUNTS: Final = (
    *("atr_bars", "return_bars", "ema_fast", "ema_slow", "levels", "order_rate", "order_burst", "max_open_orders_portfolio"),
    *("baseline_bars", "baseline_bars_min", "spread_bars_min", "min_step_ticks", "levels_min", "levels_max", "replan_levels"),
    *("max_consecutive_losses", "penetration", "flatten_on_drawdown", "flatten_on_emergency", "latch_on_extreme", "risk_monitor"),
)
"""Settings that kernels read as they are."""
_SPANS: Final = (
    *("max_gap", "l2_stale", "select_every", "l1_stale", "l1_pause", "thin", "thin_clear", "jump_window", "quarantine_window"),
    *("clear", "throttle", "cooldown", "alert_after"),
)
SPANS: Final = {f"{name}_ms": f"{name}_ns" for name in _SPANS} | {
    "bar_interval_ms": "bar_ns",
    "order_latency_ms": "order_latency",
    "cancel_latency_ms": "cancel_latency",
}
"""Settings in ms, and what kernels call them, in ns."""
AMOUNTS: Final = ("liq_ref", "thin_quote", "thin_quote_depth", "impact_quote", "min_notional")
"""Settings of money."""
RATIOS: Final = tuple(
    (
        "maker_fee min_edge step dd_budget_pct dd_warn range_eps range_cap wall_ratio shock_ratio shock_tr spread_floor "
        "trend_enter trend_exit er_enter trend_penalty x_min x_cap side_mult_against side_mult_with impact_ref alpha step_min "
        "max_weight_ratio skew_factor replan_center taker_fee slippage dd_clear dc_tp_mult switch_margin select_spread "
        "select_funding w_range w_liq w_tox w_trend"
    ).split()
)
"""Settings that are ratios."""
ORDERED: Final = (
    *(("l1_stale_ms", "l1_pause_ms"), ("trend_exit", "trend_enter")),
    *(("spread_bars_min", "spread_bars"), ("baseline_bars_min", "baseline_bars")),
    *(("levels_min", "levels_max"), ("x_min", "x_cap")),
)
"""Settings of which the first is at most the second."""
SEVERITIES: Final = ("mid", "high", "extreme")
ROWS: Final = ("range", "trend", "vol_shock", "thin_book")
"""Regimes that have a row of their own in SPEC 7.2 and 7.4; the others use RANGE's (16.12)."""
SHOCK_BARS: Final = 3
"""Bars whose mean true range is held against the baseline (SPEC 5)."""


def _decimal(value: object) -> Decimal:
    """Decimal of what a user typed; of a float, its shortest text, which is what stood in the source."""
    text = repr(float(value)) if isinstance(value, float) else value
    try:
        return _exact(units.parse_decimal(text))  # type: ignore[arg-type]
    except NumberError as error:
        raise ValueError(str(error)) from None


def _ratio(value: object) -> Decimal:
    text = repr(float(value)) if isinstance(value, float) else value
    try:
        return _exact(Fraction(units.parse_ratio(text), units.ONE))  # type: ignore[arg-type]
    except NumberError as error:
        raise ValueError(str(error)) from None


def _exact(value: Fraction) -> Decimal:
    """The one spelling of a value, without spare zeros, exact whatever the thread's decimal context is."""
    return Decimal(units.format_units(value.numerator, Fraction(1, value.denominator)))


@cache
def _defaults() -> dict[str, Any]:
    """Of every setting, by name."""
    return {name: field.default for name, field in sorted(Config.model_fields.items())}


def _money_or_percent(value: object) -> str:
    percent = isinstance(value, str) and value.strip().endswith("%")
    number = _exact(100 * Fraction(_ratio(value))) if percent else _decimal(value)
    if number < 0 or (percent and number > 50_000):
        raise ValueError("allowed are 0% to 50000%, or an amount of at least 0")
    return f"{number:f}%" if percent else f"{number:f}"


def _quantity(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return dict(sorted((str(symbol), _decimal(quantity)) for symbol, quantity in value.items()))
    return _decimal(value)


def _three(values: object) -> object:
    """Limits of MID, HIGH and EXTREME, in a list as TOML has it or a tuple."""
    if not isinstance(values, list | tuple) or len(values) != len(SEVERITIES):
        raise ValueError("three limits are needed: for MID, HIGH and EXTREME")
    return tuple(values)


def _by_regime(**defaults: Any) -> BeforeValidator:
    """A number for each of `ROWS`, in a mapping that need not name all of them."""

    def complete(values: object) -> object:
        if not isinstance(values, Mapping) or not set(values) <= set(ROWS):
            raise ValueError(f"a mapping is needed, with some of {', '.join(ROWS)}")
        return defaults | dict(values)

    return BeforeValidator(complete)


def _amount(value: object) -> object:
    return None if value is None else _decimal(value)


def _budgets(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(sorted((str(symbol), _decimal(budget)) for symbol, budget in value.items()))
    return _amount(value)


Ratio = Annotated[Decimal, BeforeValidator(_ratio)]
Money = Annotated[Decimal, BeforeValidator(_decimal)]
MAX_MS: Final = 366 * 86_400_000
MAX_BASELINE: Final = 1_000
"""The longest window of which a median is taken at each bar close."""
Limit = Annotated[Ratio, Field(ge=0, le=500)]
Limits = Annotated[tuple[Limit, Limit, Limit], BeforeValidator(_three)]
Count = Annotated[int, Field(strict=True, ge=0, le=100_000)]
Counts = Annotated[tuple[Count, Count, Count], BeforeValidator(_three)]
Milliseconds = Annotated[int, Field(strict=True, ge=0, le=MAX_MS)]
Weight = Annotated[Ratio, Field(ge=0, le=500)]
Horizon = Annotated[int, Field(strict=True, ge=1, le=MAX_MS)]
HORIZONS: Final = {"range": 3_600_000, "trend": 7_200_000, "vol_shock": 1_800_000, "thin_book": 3_600_000}
TAILS: Final = {"range": "2", "trend": "2.5", "vol_shock": "3", "thin_book": "2.5"}
MULTIPLIERS: Final = {"range": "1", "trend": "1.25", "vol_shock": "2", "thin_book": "2.5"}


class Config(BaseModel):
    """Settings of one replay.

    Ratios take "5bp", "0.05%", "0.0005" or 0.0005; money and quantities take decimal text or numbers in units of the quote
    or base currency. Unknown names are refused.

    >>> Config(step="5bp") == Config(step="0.05%")
    True

    Raises:
        ConfigError: naming each wrong field, its value and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    # Account and fees
    equity: Money = Field(Decimal(10_000), gt=0, description="quote; initial equity (SPEC 15)")
    maker_fee: Ratio = Field(
        Decimal("0.0002"),
        ge=Decimal("-0.01"),
        le=Decimal("0.1"),
        description="of a resting order; negative: a rebate (SPEC 9)",
    )
    taker_fee: Ratio = Field(
        Decimal("0.0005"), ge=Decimal("-0.01"), le=Decimal("0.1"), description="what an order that takes pays (SPEC 9)"
    )
    slippage: Ratio = Field(Decimal("0.0002"), ge=0, lt=1, description="over the best price, of a taker without books (SPEC 9)")
    policy: Literal["static", "smart"] = Field("static", description="built-in policy, unless one is passed to `replay`")
    # Policy `static` (SPEC 12)
    step: Ratio = Field(Decimal("0.001"), gt=0, lt=1, description="spacing of the static grid")
    levels: int = Field(10, strict=True, ge=1, le=MAX_LEVELS, description="static grid levels a side")
    quantity: Annotated[Decimal | dict[str, Decimal] | None, BeforeValidator(_quantity)] = Field(
        None, description="base; quantity of each level of the static grid, or a mapping by symbol"
    )
    min_edge: Ratio = Field(Decimal("0.0004"), ge=0, lt=1, description="least profit of a cycle over two maker fees (SPEC 7.8)")
    # Market and venue
    bar_interval_ms: int = Field(60_000, strict=True, ge=1, le=86_400_000, description="ms; length of a bar (SPEC 4)")
    atr_bars: int = Field(14, strict=True, ge=1, le=MAX_BARS, description="bars of the ATR (SPEC 4)")
    atr_method: Literal["wilder", "sma"] = Field("wilder", description="how true ranges are averaged")
    return_bars: int = Field(60, strict=True, ge=1, le=MAX_BARS, description="bars of returns, range score and efficiency ratio")
    range_eps: Ratio = Field(Decimal("0.0001"), gt=0, le=1, description="added to the net return in the range score")
    range_cap: Ratio = Field(Decimal(1000), gt=0, le=1_000_000, description="largest range score")
    ema_fast: int = Field(12, strict=True, ge=1, le=MAX_BARS, description="bars of the fast average")
    ema_slow: int = Field(48, strict=True, ge=1, le=MAX_BARS, description="bars of the slow average")
    top_n: int = Field(10, strict=True, ge=1, le=MAX_BOOK_LEVELS, description="levels a side that book features look at (SPEC 4)")
    impact_quote: Money = Field(Decimal(10_000), gt=0, description="quote; what `impact` and `spread_at_depth` walk the book for")
    wall_ratio: Ratio = Field(Decimal(5), ge=1, le=500, description="quantity of a wall over the median of its side")
    l2_stale_ms: Milliseconds = Field(2_000, description="ms; an older book says nothing (SPEC 5)")
    # Gates (SPEC 5); a limit of 0 never triggers
    l1_stale_ms: int = Field(15_000, strict=True, ge=1, le=MAX_MS, description="ms; an older quote is stale")
    l1_pause_ms: int = Field(
        60_000, strict=True, ge=1, le=MAX_MS, description="ms; an older quote pauses, 10 times that is EXTREME"
    )
    thin_quote: Money = Field(Decimal(1_000), ge=0, description="quote; a side whose best level is worth less is thin")
    thin_quote_depth: Money = Field(Decimal(10_000), ge=0, description="quote; the same for the depth of a fresh book")
    thin_ms: Milliseconds = Field(3_000, description="ms for which a side is under its limit before it counts as thin")
    thin_clear_ms: int = Field(
        30_000, strict=True, ge=1, le=MAX_MS, description="ms after the last thin event until the gate clears"
    )
    shock_ratio: Ratio = Field(Decimal(4), ge=0, le=500, description="mean true range of 3 bars over the median NATR before them")
    shock_tr: Ratio = Field(Decimal(6), ge=0, le=500, description="true range of a bar over the ATR before it")
    baseline_bars: int = Field(96, strict=True, ge=1, le=MAX_BASELINE, description="bars of the median NATR")
    baseline_bars_min: int = Field(24, strict=True, ge=1, le=MAX_BASELINE, description="bars from which that counts")
    spread_bars: int = Field(60, strict=True, ge=1, le=MAX_BASELINE, description="bar closes of the median spread")
    spread_bars_min: int = Field(20, strict=True, ge=1, le=MAX_BASELINE, description="bar closes from which that counts")
    spread_floor: Ratio = Field(Decimal("0.0001"), ge=0, le=1, description="least median spread that limits are made of")
    spread_limits: Limits = Field((Decimal(3), Decimal(6), Decimal(20)), description="median spreads: MID, HIGH, EXTREME")
    impact_limits: Limits = Field(
        (Decimal("0.001"), Decimal("0.0025"), Decimal("0.01")), description="impact of Q: MID, HIGH, EXTREME"
    )
    jump_limits: Limits = Field((Decimal(1), Decimal(2), Decimal(5)), description="ATRs in `jump_window_ms`: MID, HIGH, EXTREME")
    jump_window_ms: Milliseconds = Field(1_000, description="ms over which a jump is measured")
    quarantined_limits: Counts = Field((1, 5, 50), description="quarantined rows in the window: MID, HIGH, EXTREME")
    quarantine_window_ms: Milliseconds = Field(60_000, description="ms in which quarantined rows count")
    clear_ms: int = Field(60_000, strict=True, ge=1, le=MAX_MS, description="ms for which an input of toxicity is held")
    # Trend state (SPEC 6)
    trend_enter: Ratio = Field(Decimal(2), ge=0, le=1000, description="trend strength at which a trend begins")
    trend_exit: Ratio = Field(Decimal("0.5"), ge=0, le=1000, description="trend strength under which a trend ends")
    er_enter: Ratio = Field(Decimal("0.35"), ge=0, le=1, description="efficiency ratio that a trend needs to begin")
    # Policy `smart`: stress, widths, step, levels (SPEC 7.2-7.5); tables by regime: range, trend, vol_shock, thin_book
    horizon_ms: Annotated[dict[str, Horizon], _by_regime(**HORIZONS)] = Field(HORIZONS, description="ms ahead that stress looks")
    k_tail: Annotated[dict[str, Weight], _by_regime(**TAILS)] = Field(
        {row: Decimal(value) for row, value in TAILS.items()}, description="tail of stress"
    )
    trend_penalty: Ratio = Field(Decimal("1.25"), ge=1, le=100, description="stress in a trend over that outside one")
    x_min: Ratio = Field(Decimal("0.005"), gt=0, le=Decimal("0.9"), description="least width of a side")
    x_cap: Ratio = Field(Decimal("0.1"), gt=0, le=Decimal("0.9"), description="largest width of a side")
    impact_ref: Ratio = Field(Decimal("0.001"), gt=0, le=1, description="impact of Q that doubles stress; at most 3 times")
    side_mult_against: Weight = Field(Decimal("1.5"), description="width in a trend of the side that trades against it")
    side_mult_with: Weight = Field(Decimal("0.75"), description="width in a trend of the side that trades with it")
    alpha: Weight = Field(Decimal("0.8"), description="step in NATRs")
    step_min: Ratio = Field(Decimal("0.0005"), gt=0, lt=1, description="least step")
    shock_multiplier: Annotated[dict[str, Weight], _by_regime(**MULTIPLIERS)] = Field(
        {row: Decimal(value) for row, value in MULTIPLIERS.items()}, description="step over that of RANGE"
    )
    min_step_ticks: int = Field(1, strict=True, ge=1, le=1_000, description="ticks; least step")
    levels_min: int = Field(2, strict=True, ge=1, le=MAX_LEVELS, description="least levels of a side")
    levels_max: int = Field(20, strict=True, ge=1, le=MAX_LEVELS, description="most levels of a side")
    skew_factor: Weight = Field(Decimal("0.0005"), description="what a full inventory shifts the center by")
    # Sizes and churn (SPEC 7.6, 7.9)
    sizing: Literal["equal", "tapered"] = Field("equal", description="equal notional (A), or less the farther out (B)")
    max_weight_ratio: Ratio = Field(Decimal(3), ge=1, le=500, description="nearest level over farthest, `tapered` only")
    replan_levels: int = Field(4, strict=True, ge=0, le=MAX_LEVELS, description="levels by which a new plan has to differ")
    replan_center: Weight = Field(Decimal(2), description="steps by which a new plan's center has to differ")
    # Top-K (SPEC 12)
    top_k: int = Field(3, strict=True, ge=1, le=5, description="symbols that are traded at once")
    select_every_ms: int = Field(900_000, strict=True, ge=1, le=MAX_MS, description="ms; how often symbols are chosen anew")
    switch_margin: Weight = Field(Decimal("0.05"), description="score by which a challenger has to be better")
    liq_ref: Money = Field(Decimal(50_000), gt=0, description="quote; depth at which the liquidity score is a half")
    select_spread: Weight = Field(Decimal("0.002"), description="spread over mid above which a symbol is dropped")
    select_funding: Weight = Field(Decimal(0), description="funding rate above which a symbol is dropped; 0: off")
    w_range: Weight = Field(Decimal(1), description="weight of ranging in the score")
    w_liq: Weight = Field(Decimal(1), description="weight of liquidity")
    w_tox: Weight = Field(Decimal(2), description="weight of toxicity")
    w_trend: Weight = Field(Decimal(1), description="weight of the trend")
    max_gap_ms: int = Field(600_000, strict=True, ge=1, le=MAX_MS, description="ms; a longer silence is a gap (SPEC 3.4)")
    max_jump: Ratio = Field(
        Decimal("0.2"),
        gt=0,
        le=500,
        description="distance from the last mid past which a price is quarantined; two in a row are refused (SPEC 2.2)",
    )
    fill_model: Literal["mid_touch", "cross"] = Field("mid_touch", description="when a resting order fills (SPEC 9)")
    penetration: int = Field(0, strict=True, ge=0, le=1_000_000, description="ticks beyond the limit, `cross` only")
    order_latency_ms: Milliseconds = Field(0, description="ms until a place or amend is live (SPEC 3.3)")
    cancel_latency_ms: Milliseconds = Field(0, description="ms until a cancel takes effect (SPEC 3.3)")
    # Limits (SPEC 7.7, 8)
    max_inventory_notional: Annotated[str, BeforeValidator(_money_or_percent)] = Field(
        "100%", description="largest inventory of a symbol; % is of window-start equity"
    )
    max_effective_leverage: Ratio = Field(Decimal(2), gt=0, le=500, description="largest gross notional over equity")
    max_open_orders: int = Field(100, strict=True, ge=1, le=MAX_OPEN_ORDERS, description="open orders of a symbol")
    max_open_orders_portfolio: int = Field(400, strict=True, ge=1, le=1_000_000, description="open orders of all symbols")
    min_notional: Money = Field(Decimal(5), ge=0, description="quote; least notional of an entry")
    order_rate: int = Field(20, strict=True, ge=1, le=1_000_000, description="orders of entries a second")
    order_burst: int = Field(100, strict=True, ge=1, le=1_000_000, description="orders of entries at once")
    # Drawdown (SPEC 7.1, 10)
    dd_budget_pct: Ratio = Field(Decimal("0.02"), ge=0, le=1, description="what the portfolio may lose of window-start equity")
    dd_budget: Annotated[Decimal | None, BeforeValidator(_amount)] = Field(
        None, ge=0, description="quote; the portfolio's budget, in place of `dd_budget_pct`"
    )
    dd_window: Literal["daily", "session", "rolling"] = Field("daily", description="when the drawdown window rolls")
    dd_window_ms: int = Field(
        86_400_000, strict=True, ge=PARTS, le=MAX_MS, multiple_of=PARTS, description="ms; how far a `rolling` window looks back"
    )
    dd_warn: Ratio = Field(Decimal("0.8"), gt=0, le=1, description="share of the budget over which DAMAGE_CONTROL begins")
    dd_clear: Ratio = Field(Decimal("0.6"), ge=0, le=1, description="share under which DAMAGE_CONTROL ends, at most `dd_warn`")
    allocator: Literal["equal", "weighted"] = Field("equal", description="how the budget is split over the chosen symbols")
    dd_budget_symbol: Annotated[Decimal | dict[str, Decimal] | None, BeforeValidator(_budgets)] = Field(
        None,
        description="quote; of each symbol, or a mapping by symbol; in place of the allocator's, bounded by what is left",
    )
    # Protection (SPEC 11)
    throttle_ms: Milliseconds = Field(10_000, description="ms between two placements of entries in THROTTLE")
    dc_tp_mult: Ratio = Field(Decimal("0.5"), ge=0, le=1, description="distance of take-profits in DAMAGE_CONTROL")
    flatten_on_drawdown: bool = Field(True, strict=True, description="close positions as taker when drawdown latches")
    flatten_on_emergency: bool = Field(False, strict=True, description="close positions as taker in every EMERGENCY")
    latch_on_extreme: bool = Field(False, strict=True, description="latch the kill switch at toxicity EXTREME")
    max_consecutive_losses: int = Field(0, strict=True, ge=0, le=1_000_000, description="lost cycles that halt entries; 0: off")
    cooldown_ms: Milliseconds = Field(0, description="ms after which a halt ends; 0: at a reset")
    risk_monitor: bool = Field(
        False, strict=True, description="no entries of any policy while the shock gate is up or toxicity is HIGH; turns gates on"
    )
    alert_after_ms: int = Field(
        300_000, strict=True, ge=1, le=MAX_MS, description="ms for which toxicity is HIGH, or books are missing, until an alert"
    )

    def __init__(self, /, **values: Any) -> None:
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
        try:
            super().__init__(**plain)
        except ValidationError as error:
            raise ConfigError(explain(error, "config", values)) from None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.penetration and self.fill_model != "cross":
            raise ValueError(f"penetration {self.penetration} needs fill_model = 'cross'")
        return self

    def _check_order(self) -> None:
        """Settings of which one bounds the other: looked at once all are known, since a config may be laid over another."""
        for low, high in ORDERED:
            if getattr(self, low) > getattr(self, high):
                raise ConfigError(f"config is wrong: {low} {getattr(self, low)} is over {high} {getattr(self, high)}")

    def over(self, base: Config) -> Config:
        """`base` with the fields that were set here on top."""
        values = {name: getattr(base, name) for name in base.model_fields_set}
        values |= {name: getattr(self, name) for name in self.model_fields_set}
        return Config(**values)

    def changed(self) -> dict[str, Any]:
        """Fields that differ from their defaults, in integers and strings; its hash is the config's (SPEC 14)."""
        return {name: plain_value(value) for name, value in self._changes().items()}

    def _changes(self) -> dict[str, Any]:
        own, defaults = vars(self), _defaults()
        return {name: own[name] for name, value in defaults.items() if own[name] is not value and own[name] != value}

    @property
    def sizes(self) -> dict[str, int]:
        """What the shape of the world depends on, by the names in `SIZES`."""
        return {
            "max_open_orders": self.max_open_orders,
            "bars_kept": max(self.return_bars + 1, self.atr_bars, SHOCK_BARS),
            "top_n": self.top_n,
            "spread_bars": self.spread_bars,
            "natrs_kept": self.baseline_bars + SHOCK_BARS,
            "strays_kept": max(1, *self.quarantined_limits),
        }

    def hash(self) -> str:
        """SHA-256 over the canonical JSON of `changed`: a new option, or another spelling, changes no hash."""
        return hashlib.sha256(canonical_json(self.changed())).hexdigest()

    def params(self, instruments: Sequence[Instrument], price_range: Sequence[tuple[int, int]]) -> tuple[Any, Any]:
        """The settings as kernels read them, proven not to overflow (SPEC 1.2).

        Args:
            instruments: in ASCII order of symbol.
            price_range: smallest and largest price of each, in ticks.

        Returns:
            PARAMS (1,) and INSTRUMENT (S,).

        Raises:
            ConfigError: a quantity is missing or off its lot.
            RangeError: numbers too large.
        """
        atom = instruments[0].atom
        self._check_order()
        known = {instrument.symbol for instrument in instruments}
        for field in ("quantity", "dd_budget_symbol"):
            given = getattr(self, field)
            unknown = sorted(set(given) - known) if isinstance(given, dict) else []
            if unknown:
                raise ConfigError(f"{field} of {unknown[0]}: there is no such symbol; there are {', '.join(sorted(known))}")
        equity = units.exact_units(self.equity, atom, "equity")
        row = _fields_of_defaults().copy()
        for name, value in self._changes().items():
            row |= _fields_of(name, value)
        row["symbols"], row["equity"] = len(instruments), equity
        row["atr_sma"], row["crosses"] = self.atr_method == "sma", self.fill_model == "cross"
        row["tapered"], row["weighted"] = self.sizing == "tapered", self.allocator == "weighted"
        row["max_inventory_atoms"] = NONE
        if self.max_inventory_notional.endswith("%"):
            row["max_inventory_ratio"] = units.parse_ratio(self.max_inventory_notional)
            inventory = equity * int(row["max_inventory_ratio"]) // units.ONE  # Python's integers: not proven yet
        else:
            inventory = units.exact_units(self.max_inventory_notional, atom, "max_inventory_notional")
            row["max_inventory_atoms"] = inventory
        row["dd_clear"] = min(row["dd_clear"], row["dd_warn"])
        for name in ROWS:
            row[f"root_{name}"] = self._root(name)
        row |= self.sizes
        for field in AMOUNTS:
            row[field] = units.exact_units(getattr(self, field), atom, field)
        row["dd_budget"] = NONE if self.dd_budget is None else units.exact_units(self.dd_budget, atom, "dd_budget")
        if self.dd_window != "session":
            rolling = self.dd_window == "rolling"
            row["parts"] = PARTS if rolling else 0
            row["roll_ns"] = self.dd_window_ms * units.NS_PER_MS // PARTS if rolling else units.NS_PER_DAY
        smart = self.policy == "smart"
        row["policy"], row["gated"] = PolicyKind.SMART if smart else PolicyKind.STATIC, smart or self.risk_monitor
        row["top_k"] = min(self.top_k, len(instruments)) if smart else len(instruments)
        return np.array([tuple(row.values())], PARAMS), self._instrument_rows(instruments, price_range, equity, inventory)

    def _instrument_rows(
        self, instruments: Sequence[Instrument], price_range: Sequence[tuple[int, int]], equity: int, inventory: int
    ) -> Any:
        out = np.zeros(len(instruments), INSTRUMENT)
        thin = units.exact_units(self.thin_quote, instruments[0].atom, "thin_quote")
        for row, instrument, (lowest, highest) in zip(out, instruments, price_range, strict=True):
            tick_value = instrument.tick_value
            cap = units.hard_cap_lots(highest, tick_value, equity, len(instruments))
            wanted = max(1, inventory // (lowest * tick_value))
            if wanted > cap:
                raise RangeError(
                    f"{instrument.symbol}: max_inventory_notional {self.max_inventory_notional} asks for {wanted} lots (or one) "
                    f"at {lowest} ticks, but 2 * {highest} ticks * lots * {tick_value} atoms + equity {equity} + 2**60 has to stay "
                    f"under 2**62 / {len(instruments)}, which allows {cap} lots: lower the inventory cap or quote_decimals"
                )
            row["tick_value"], row["half_tick_value"] = tick_value, tick_value // 2
            row["perpetual"], row["hard_cap"] = instrument.kind == "perpetual", cap
            row["quantity"], row["budget"] = self._quantity_lots(instrument), self._budget_atoms(instrument)
            row["thin"], row["severe"] = -(-thin // tick_value), -(thin // -5 // tick_value)
        return out

    def _root(self, row: str) -> int:
        """`sqrt` of the horizon in bars (SPEC 7): the only float of a plan, worked out once."""
        return math.floor(math.sqrt(self.horizon_ms[row] / self.bar_interval_ms) * 1e8 + 0.5)

    def _budget_atoms(self, instrument: Instrument) -> int:
        given = self.dd_budget_symbol
        given = given.get(instrument.symbol) if isinstance(given, dict) else given
        if given is None:
            return NONE
        atoms = units.exact_units(given, instrument.atom, f"dd_budget_symbol of {instrument.symbol}")
        if atoms < 0:
            raise ConfigError(f"dd_budget_symbol of {instrument.symbol} is {given}: at least 0 is allowed")
        return atoms

    def _quantity_lots(self, instrument: Instrument) -> int:
        given = self.quantity.get(instrument.symbol) if isinstance(self.quantity, dict) else self.quantity
        if given is None:
            return 0
        lots = units.exact_units(given, units.parse_decimal(instrument.lot_size), f"quantity of {instrument.symbol}")
        if not 0 < lots <= units.MAX_QTY_LOTS:
            raise ConfigError(f"quantity of {instrument.symbol}: {given} is {lots} lots; allowed are 1 to 2**31")
        return lots


def _fields_of(name: str, value: Any) -> dict[str, int]:
    """The fields of PARAMS that one setting makes, whatever the others, the instruments and the money are."""
    if name in COUNTS:
        return {name: value}
    if name in RATIOS:
        return {name: units.parse_ratio(value)}
    if name == "max_effective_leverage":
        return {"max_leverage": units.parse_ratio(value)}
    if name in SPANS:
        return {SPANS[name]: value * units.NS_PER_MS}
    part = name.removesuffix("_limits")
    if part in ("spread", "impact", "jump"):
        return {f"{part}_{severity}": units.parse_ratio(limit) for severity, limit in zip(SEVERITIES, value, strict=True)}
    if part == "quarantined":
        return {f"{part}_{severity}": limit for severity, limit in zip(SEVERITIES, value, strict=True)}
    if name in ("k_tail", "shock_multiplier"):
        return {f"{name}_{row}": units.parse_ratio(value[row]) for row in ROWS}
    return {}


@cache
def _fields_of_defaults() -> dict[str, int]:
    """A row of PARAMS with those of all defaults: configs differ from them in few settings, and a sweep makes thousands."""
    row: dict[str, int] = dict.fromkeys(PARAMS.names or (), 0)
    for name, value in _defaults().items():
        row |= _fields_of(name, value)
    return row


def check_setting(name: str, value: Any) -> None:
    """Whether a setting takes a value, whatever the others are; rules between settings are left to the config that has all.

    Raises:
        ConfigError: naming the setting, the value and what is allowed.
    """
    try:
        Config(**{name: value})
    except ConfigError as error:
        found = error.__context__
        if not isinstance(found, ValidationError) or any(item["loc"] for item in found.errors()):
            raise


def plain_value(value: Any) -> Any:
    """The value of a setting in integers and strings, in lists and mappings where it has parts."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, dict):
        return {key: plain_value(item) for key, item in value.items()}
    return value


def canonical_json(value: Any) -> bytes:
    """UTF-8, sorted keys, no spaces: one spelling for one value (SPEC 14)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def explain(error: ValidationError, what: str, given: Mapping[str, Any]) -> str:
    """A pydantic error as one line a field: name, value as given, what is wrong."""
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        where = f"{where}: " if where else ""  # a rule between fields has no place
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}there is no such setting")
        elif item["type"] == "missing":
            lines.append(f"{where}is missing")
        else:
            shown = f" (got {given[str(item['loc'][0])]!r})" if item["loc"] else ""
            lines.append(f"{where}{item['msg'].removeprefix('Value error, ')}{shown}")
    return f"{what} is wrong: " + "; ".join(lines)


def check_kind(config: object) -> None:
    """Refuse what a caller passed as `config` if it is none."""
    if config is not None and not isinstance(config, Config):
        raise ConfigError(f"config is a {type(config).__name__}: write gr.Config(...)")


def checked(config: Config | None, base: Config) -> Config:
    """The config to run with: what a caller passed as `config`, over the fixture's own.

    Raises:
        ConfigError: it is no config, or one with a wrong setting, which pydantic's `model_copy` lets pass.
    """
    check_kind(config)
    return base if config is None else config.over(base)
