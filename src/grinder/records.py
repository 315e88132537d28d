"""Every record: what a run declares (its stages), what the engine keeps (its state), and the codes both use.

Declared records are rows of little-endian int64 that start with `event, ts, symbol` (SPEC 14); only they are hashed. State
records are the engine's own. Neither has padding, which is asserted at import: equal rows have equal bytes.

Money is in quote atoms, price in ticks, quantity in lots, time in ns, `mid2` in half ticks, ratios in 1e-8.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import Any, Final, NamedTuple

import numpy as np

__all__ = [
    "BAR",
    "BUY",
    "COMMAND",
    "CYCLE",
    "EDGE",
    "EXPOSURE",
    "FAR",
    "FEATURES",
    "FILTER",
    "FORMAT_VERSION",
    "FUNDING",
    "GATE",
    "INDEX",
    "INPUTS",
    "INSTRUMENT",
    "INTENT",
    "LADDER_SLOTS",
    "LEVEL",
    "MARKET",
    "MAX_LEVELS",
    "NEVER",
    "NONE",
    "ONCE",
    "ORDER",
    "PART",
    "PARTS",
    "PLAN",
    "QUIET",
    "RUN",
    "SELL",
    "SIZES",
    "SLOT",
    "STAGES",
    "STAGE_VERSIONS",
    "SYMBOL",
    "TARGET",
    "WANTED",
    "WINDOW",
    "WORLD_DTYPES",
    "Adds",
    "Alert",
    "AlertLevel",
    "Cause",
    "Command",
    "EdgeKind",
    "Events",
    "Fault",
    "Feature",
    "GateKind",
    "InputKind",
    "IntentKind",
    "Latch",
    "Mode",
    "OrderState",
    "PlanKind",
    "PolicyKind",
    "Reason",
    "Regime",
    "Role",
    "Severity",
    "SlotState",
    "Stream",
    "Toxicity",
    "Trend",
    "World",
    "stage_dtype",
    "world_shapes",
]

FORMAT_VERSION: Final = 1
WINDOW: Final = 4096
"""Market events in a window of the digest chain (SPEC 14)."""
BUY: Final = 1
SELL: Final = -1
NONE: Final = -1
"""No order, no cycle, no plan; as a symbol: the portfolio."""
NEVER: Final = 2**62
"""A time after every event."""
FAR: Final = 2**40
"""A price above every price (2**35 ticks), small enough to be doubled."""
LADDER_SLOTS: Final = 257
"""Ladder indices kept per side: p_0, the rounded center, and 256 levels (ADR-0002)."""


PARTS: Final = 24
"""Parts of a rolling drawdown window (ADR-0028)."""
MAX_LEVELS: Final = 50
"""Levels a side of a grid; with 200 open cycles every ladder index has a slot."""


class Stream(IntEnum):
    """The streams; the number is the rank in the merged order (SPEC 2.1).

    Commands come last: what is done at a time can only affect what comes after all that the market did then (ADR-0020).
    """

    FUNDING = 0
    BOOKS = 1
    QUOTES = 2
    TRADES = 3
    COMMANDS = 4


class Command(IntEnum):
    """What someone at the desk can do (SPEC 11). KILL and RESET are always of the whole portfolio."""

    PAUSE = 0
    RESUME = 1
    KILL = 2
    RESET = 3
    RECOVER = 4


class InputKind(IntEnum):
    """What a record of the `input` stage tells (SPEC 14)."""

    FAULT = 0
    QUARANTINED = 1
    GAP = 2
    FUNDING = 3
    COMMAND = 4


class Fault(IntEnum):
    """Why a row is quarantined, in the order of SPEC 2.2; columns of faults hold the code plus 1, 0 is accepted."""

    DUPLICATE = 0
    CROSSED = 1
    NO_SIZE = 2
    JUMP = 3
    BOOK_UNLIKE_QUOTES = 4


class Regime(IntEnum):
    """Market regimes (SPEC 6)."""

    RANGE = 0
    TREND_UP = 1
    TREND_DOWN = 2
    VOL_SHOCK = 3
    THIN_BOOK = 4
    TOXIC = 5
    PAUSED = 6
    EMERGENCY = 7


class GateKind(IntEnum):
    """Gates (SPEC 16.17)."""

    STALE = 0
    THIN = 1
    SEVERELY_THIN = 2
    SHOCK = 3
    TOXICITY = 4


class Severity(IntEnum):
    """How bad an input of toxicity is, and the level of staleness: fresh, stale, paused, ten times paused (SPEC 5)."""

    LOW = 0
    MID = 1
    HIGH = 2
    EXTREME = 3


class Toxicity(IntEnum):
    """Inputs of toxicity; the number is the bit in a gate's reasons (SPEC 5, 16.17)."""

    SPREAD = 0
    IMPACT = 1
    JUMP = 2
    QUARANTINED = 3
    STALENESS = 4
    SHOCK = 5


class Trend(IntEnum):
    """The trend state (SPEC 6)."""

    NONE = 0
    UP = 1
    DOWN = 2


class Mode(IntEnum):
    """Protection modes, worst first (SPEC 11)."""

    EMERGENCY = 0
    PAUSE = 1
    DAMAGE_CONTROL = 2
    THROTTLE = 3
    NORMAL = 4


class Latch(IntEnum):
    """Why the kill switch is latched (SPEC 6)."""

    NONE = 0
    MANUAL = 1
    DRAWDOWN = 2
    EXTREME = 3


class Alert(IntEnum):
    """What an alert is about, in the order of SPEC 13, then the plan and the circuit breaker."""

    DRAWDOWN_WARNING = 0
    DRAWDOWN = 1
    TOXICITY = 2
    L2_STALE = 3
    LEVERAGE = 4
    STUCK = 5
    MISMATCH = 6
    BUDGET_TOO_SMALL = 7
    BREAKER = 8


class AlertLevel(IntEnum):
    """How bad an alert is (SPEC 13)."""

    WARNING = 0
    EMERGENCY = 1


class PolicyKind(IntEnum):
    """Who decides: a function outside the kernel, or a built-in policy inside."""

    OWN = 0
    STATIC = 1
    SMART = 2


class Adds(IntEnum):
    """How entries of a side are governed (SPEC 6)."""

    FULL = 0
    ONCE = 1
    OFF = 2


class Role(IntEnum):
    """What an order is for (SPEC 16.17); all but ENTRY and TAKE_PROFIT are reduce-only."""

    ENTRY = 0
    TAKE_PROFIT = 1
    REDUCE_ONLY = 2
    STOP = 3
    RECOVERY = 4
    FLATTEN = 5


class OrderState(IntEnum):
    """The life of an order (SPEC 8)."""

    PENDING = 0
    OPEN = 1
    PARTIAL = 2
    FILLED = 3
    CANCELLED = 4
    REJECTED = 5
    EXPIRED = 6


class IntentKind(IntEnum):
    """What the reconciler asks for, in the order in which it is sent (SPEC 16.17)."""

    CANCEL = 0
    AMEND = 1
    PLACE = 2


class Reason(IntFlag):
    """Why a number is what it is, or why something was not sent (ADR-0005)."""

    WARMUP = 1 << 0
    DEPTH_SHORT = 1 << 1
    STEP_FEE_FLOOR = 1 << 2
    STEP_TICK_FLOOR = 1 << 3
    LEVELS_CLAMPED = 1 << 4
    BUDGET = 1 << 5
    BUDGET_TOO_SMALL = 1 << 6
    MAX_INVENTORY = 1 << 7
    MAX_LEVERAGE = 1 << 8
    MIN_NOTIONAL = 1 << 9
    MAX_OPEN_ORDERS = 1 << 10
    STEP_WIDENED = 1 << 11
    CAP_PAUSE = 1 << 12
    HARD_CAP = 1 << 13
    RATE_LIMIT = 1 << 14
    POST_ONLY = 1 << 15
    NO_VOLATILITY = 1 << 16


class Cause(IntFlag):
    """What made a mark (SPEC 10, ADR-0004)."""

    FILL = 1 << 0
    FUNDING = 1 << 1
    BAR = 1 << 2
    GATE = 1 << 3
    COMMAND = 1 << 4
    ROLL = 1 << 5
    TRIP = 1 << 6


class Feature(IntFlag):
    """Bits of the mask of absent features, in the order of their columns (SPEC 4, 16.2)."""

    TR = 1 << 0
    ATR = 1 << 1
    NATR = 1 << 2
    SUM_ABS_RETURNS = 1 << 3
    NET_RETURN = 1 << 4
    RANGE_SCORE = 1 << 5
    EFFICIENCY_RATIO = 1 << 6
    TREND_STRENGTH = 1 << 7
    SPREAD_BPS = 1 << 8
    IMBALANCE_L1 = 1 << 9
    THIN_L1 = 1 << 10
    DEPTH_BID = 1 << 11
    DEPTH_ASK = 1 << 12
    DEPTH_IMBALANCE = 1 << 13
    IMPACT = 1 << 14
    SPREAD_AT_DEPTH = 1 << 15
    SLOPE_BID = 1 << 16
    SLOPE_ASK = 1 << 17
    WALLS_BID = 1 << 18
    WALLS_ASK = 1 << 19
    WALL_DIST_BID = 1 << 20
    WALL_DIST_ASK = 1 << 21


class SlotState(IntEnum):
    """A ladder level's life as the ladder sees it (SPEC 8)."""

    FREE = 0
    PENDING = 1
    LOCKED = 2
    FILLED = 3


class PlanKind(IntEnum):
    """What the plan in force is: none yet, a grid, or a policy's own target orders."""

    NONE = 0
    GRID = 1
    TARGET = 2


class EdgeKind(IntEnum):
    """Exogenous events at which the engine has work, found by `observe`; at one event they are handled in this order."""

    ROLL = 0
    FUNDING = 1
    BAR = 2
    GAP = 3
    GAP_BAR = 4
    FIRST = 5
    GATE = 6
    COMMAND = 7


_FEATURES: Final = ("absent", *(str(feature.name).lower() for feature in Feature))
STAGES: Final[dict[str, tuple[str, ...]]] = {
    "input": ("kind", "code", "value"),
    "bars": ("start", "open", "high", "low", "close", "ticks"),
    "features": _FEATURES,
    "gates": ("gate", "from", "to", "reasons"),
    "regimes": ("from", "to", "reasons"),
    "plans": tuple(
        (
            "plan regime mode center step width_down width_up levels_down levels_up adds_down adds_up tp_step "
            "budget worst_down worst_up reasons"
        ).split()
    ),
    "levels": ("plan", "side", "i", "price", "qty"),
    "intents": ("kind", "order", "side", "role", "key", "price", "qty", "reason"),
    "orders": ("order", "from", "to", "price", "remaining", "live_ts"),
    "fills": ("order", "cycle", "side", "role", "price", "qty", "fee", "taker"),
    "ledger": tuple(("cause position cost cash realised unrealised fees funding equity peak drawdown budget").split()),
    "alerts": ("code", "level", "value", "limit"),
}
"""Stage -> its columns after `event, ts, symbol`, stages in causal order (SPEC 14)."""

STAGE_VERSIONS: Final[dict[str, int]] = dict.fromkeys(STAGES, 1)
"""A stage that grows a column or a code raises its version."""


def _record(names: str | tuple[str, ...]) -> np.dtype:
    fields = names.split() if isinstance(names, str) else list(names)
    dtype = np.dtype([(name, "<i8") for name in fields])
    assert dtype.itemsize == 8 * len(fields), f"padding in {dtype}"
    return dtype


def stage_dtype(stage: str) -> np.dtype:
    """The record type of a stage: `event, ts, symbol`, then its columns, all little-endian int64."""
    return _record(("event", "ts", "symbol", *STAGES[stage]))


MARKET: Final = _record("seen last_ts bar_start bar_end open high low close ticks bid_px bid_qty ask_px ask_qty last_row book_ts")
"""What `observe` carries per symbol: the open bar (`bar_end` 0: none), the last accepted L1 update, and the time of the book kept.

While a stretch of events is observed that update's row stands in `last_row`, which is -1 between two stretches.
"""

BAR: Final = _record("close tr")
"""A closed bar in the history of a symbol, half ticks."""

FILTER: Final = np.dtype([("bars", "<i8"), ("close", "<i8"), ("atr", "<f8"), ("fast", "<f8"), ("slow", "<f8")])
"""Bars closed since the last gap, the last close, and the averages after them; `atr` is a sum until its window is full."""
assert FILTER.itemsize == 8 * len(FILTER.fields or ())

GATE: Final = _record(
    "stale thin severe shock toxicity reasons trend thin_bid thin_ask severe_bid severe_ask last_thin last_severe "
    "spread_mid spread_high spread_extreme jump_mid jump_high jump_extreme n_spreads n_natrs n_strays since mid_then "
    "atr impact impact_ts depth_bid depth_ask raised"
)
"""The gates of one symbol: levels; since when sides are thin (NEVER: not) and when they last were for long enough; limits in ticks
and 1e-8 half ticks; counts of its rings; the event of the last gap and, between two stretches of events, the mid with which the
jump window begins (0: none); the last ATR; what the last book said (impact -1: its depth is short); whether it just got stale."""

FEATURES: Final = stage_dtype("features")
"""Features at a symbol's last bar close: the mask of absent ones, then 1e-8 units, money in atoms; 0 where absent."""

INDEX: Final = _record("low high ticks odd last")
"""Of one symbol's rows in a block: extremes of mid2, accepted L1 updates, rows that are quarantined, funding or commands, and
its last row in this block or before."""

QUIET: Final = _record("widest least_bid least_ask reach_bid reach_ask spell ended")
"""Of one symbol's rows in a block: the widest spread in ticks, the least quantities at the best bid and ask in lots (0: not known),
and what each quarter of the block has a row of at least among its first few (0: not known); the most time in ns from the beginning
of such few to the end of the next ones or of the block, and when the last few begin."""

EDGE: Final = _record("event symbol kind a b")
"""One piece of exogenous work: event index in the run, symbol (-1: all), EdgeKind, two values (funding: rate, mark; bar: row
of its features; command: a Command)."""

INSTRUMENT: Final = _record("tick_value half_tick_value perpetual hard_cap quantity budget thin severe")
"""Per symbol constants: atoms per tick and lot, half of it, 1 for a perpetual, largest position, static quantity in lots,
drawdown budget given absolutely (-1: none); the limit under which a side of the best bid and ask is thin, and a fifth of it, in
ticks times lots."""

FUNDING: Final = _record("row rate mark_px")

COMMAND: Final = _record("row symbol command")
"""A command's row, whom it concerns (-1: every symbol) and what it is, a Command."""

RUN: Final = _record(
    "cash equity peak drawdown budget window_equity max_inventory "
    "next_order next_cycle next_plan tokens tokens_ts next_due next_bar_end next_roll next_gate next_wake next_select "
    "in_step fault latch armed damage over_leverage part"
)
"""The portfolio and the run's counters. `tokens` in 1e-9; `next_due`: first order change due; `next_wake`: first end of a
cooldown or selection; `in_step`: a decision is awaited; `latch`: the kill switch; `armed`: a drawdown may latch it; `damage`:
DAMAGE_CONTROL; `part`: the number of the present part of a rolling window."""

PART: Final = _record("opened peak")
"""A part of a rolling drawdown window: the equity with which it began, and the highest marked in it."""

SYMBOL: Final = _record(
    "bid_px bid_qty ask_px ask_qty mid2 anchor2 position cost cash realised unrealised fees funding turnover "
    "fills cycles_done equity peak drawdown budget touch_buy touch_sell trip_low trip_high "
    "n_orders n_cycles n_targets decide reflex cause settled "
    "stale thin severe shock toxicity reasons trend regime judge "
    "paused halted halt_due losses damage over_budget selected throttled entries_ts once_down once_up taken_buy taken_sell "
    "walked walked_ask walked_ask_qty walked_bid walked_bid_qty rate limit "
    "toxic_ts toxic_told books_seen bookless_ts bookless_told "
    "passes score weight was_selected old_budget entries_loss_down entries_loss_up entries_stress_down entries_stress_up"
)
"""One symbol: L1, position and money, touch and trip prices, counts, what the event in hand asks of it, whether its open
orders are the wanted ones (`settled`), its gates and regime, what protects it, and counts of entries filled under ONCE;
`taken_*`: what our taker orders took of the quantity displayed; `walked*`: the event of the book that they walked, plus 1, how
far, and what they took of the last level there; `rate`: the last funding rate; `limit`: what the drawdown guard holds it to; since
when toxicity is HIGH and books are missing at bar closes (NEVER: they are not), and whether an alert said so; the rest is scratch
of selection."""

ORDER: Final = _record("id side role key px qty live live_ts change change_px change_qty change_ts wanted partial")
"""An open or in-flight order; `qty` is what remains, `change` an IntentKind in flight or -1, `wanted` scratch of the matching."""

CYCLE: Final = _record("id side px qty tp_step tp_px left index gain")
"""An open cycle: entry side, price, quantity; its take-profit's price and unfilled quantity; the ladder index it holds; what it
has gained so far, after fees."""

ONCE: Final = _record("px index")
"""An entry filled under ONCE since the trend state changed: its price, and the ladder index it holds."""

PLAN: Final = _record(
    "id kind regime mode center step width_down width_up levels_down levels_up adds_down adds_up reduce_only tp_step budget "
    "worst_down worst_up reasons ladder_down ladder_up micro_down micro_up wanted_down wanted_up rung_down rung_up last_index "
    "budgeted stress_down stress_up room_down room_up loss_down loss_up"
)
"""The plan in force: `kind` is a PlanKind; `ladder_*`: highest index whose price is known, `micro_*`: the rung
of SPEC 7.5 that the ladder has reached, in 1e-6 ticks; `rung_*`: step from rung to rung; `last_index`: highest that there may be;
`wanted_*`: levels asked for, before those that round together are dropped. A `budgeted` plan has for each side its `p_stress`,
its budget (`room_*`), and what its entries lose at `p_stress`."""

INPUTS: Final = _record(
    "regime mode natr impact depth_short mid2 tick_value position budget drawdown max_inventory gross equity tp_buy tp_sell "
    "places adds_off reduce_only"
)
"""What a `smart` plan is made of (SPEC 7): `impact` -1 is absent; `tp_*`: notional of open take-profits of a side; `places`:
orders that the limits leave for entries."""

EXPOSURE: Final = _record("buys sells closing_buys closing_sells others lowest_sell highest_buy profits rest most_lots most_gross")
"""A symbol's open and in-flight orders, summed up while it is reconciled: lots of entries and take-profits a side, and of
reduce-only orders; what other symbols may come to hold, atoms; prices that own orders may not cross; how many take profit and how
many do not; and the most that a side may come to in lots, and all symbols in atoms."""

LEVEL: Final = _record("px qty")
SLOT: Final = _record("side index price state")
TARGET: Final = _record("side role key px qty done")
WANTED: Final = _record("side role key px qty order refused")
INTENT: Final = _record("kind slot side role key px qty group distance refused")


class Events(NamedTuple):
    """A stretch of the merged market events, one row each (SPEC 2.1), in columns of equal length.

    The L1 columns hold the symbol's state *after* the event, so that trades, funding, commands and quarantined rows repeat it; all
    are 0 before the symbol's first accepted L1 update. What funding and commands say stands apart, by row of this stretch.

    A replay with gates or books is given the rows before a stretch that the jump window and the last book of its first row reach,
    along with it.
    """

    ts: np.ndarray
    """int64, ns"""
    symbol: np.ndarray
    """int16, ASCII rank; 0 for a command that concerns every symbol, so that it is always an index"""
    kind: np.ndarray
    """int8, Stream"""
    fault: np.ndarray
    """int8, 0 accepted, else Fault + 1"""
    bid_px: np.ndarray
    """int64, ticks"""
    bid_qty: np.ndarray
    """int64, lots"""
    ask_px: np.ndarray
    """int64, ticks"""
    ask_qty: np.ndarray
    """int64, lots"""
    funding: np.ndarray
    """FUNDING, (F,): rows of funding events"""
    commands: np.ndarray
    """COMMAND, (C,): rows of command events"""
    one_sided: np.ndarray
    """int64, (E,): rows at which the best bid or ask has no quantity, those before a symbol's first L1 update included"""
    book_rows: np.ndarray
    """int64, (B,): the row of each book"""
    books: np.ndarray
    """int64, (B, 4, N): bid prices, bid quantities, ask prices, ask quantities of N levels, best first; 0 where there is none"""


class World(NamedTuple):
    """All state between two events: what comes out at the end of a replay can go in at the start of the next.

    Shapes: S symbols, N orders, cycles and targets per symbol, R bars of history. All from `market` to `strays` belongs to
    `observe`, which runs ahead of `act`; the rest belongs to `act`.
    """

    run: np.ndarray
    """RUN, (1,)"""
    market: np.ndarray
    """MARKET, (S,)"""
    filters: np.ndarray
    """FILTER, (S,)"""
    history: np.ndarray
    """BAR, (S, R), a ring: bar number k since the last gap is at k % R"""
    books: np.ndarray
    """int64, (S, 4, N): the last accepted book of each symbol between two stretches of events, as in `Events`"""
    gates: np.ndarray
    """GATE, (S,)"""
    holds: np.ndarray
    """int64, (S, 5, 3): when each held input of toxicity was last MID, HIGH, EXTREME or more"""
    spreads: np.ndarray
    """int64, (S, P), a ring: spreads at the last bar closes, ticks"""
    natrs: np.ndarray
    """int64, (S, Q), a ring: NATR at the last bar closes"""
    strays: np.ndarray
    """int64, (S, K), a ring: times of the last quarantined rows"""
    features: np.ndarray
    """FEATURES, (S,), as of the event in hand"""
    symbols: np.ndarray
    """SYMBOL, (S,)"""
    orders: np.ndarray
    """ORDER, (S, N), ascending id"""
    cycles: np.ndarray
    """CYCLE, (S, N), ascending id"""
    plans: np.ndarray
    """PLAN, (S + 1,); the last is scratch, the plan that a decision works out"""
    ladder: np.ndarray
    """LEVEL, (S + 1, 2, LADDER_SLOTS), side 0 down, 1 up; index 0 is p_0; the last is scratch"""
    targets: np.ndarray
    """TARGET, (S, N)"""
    once: np.ndarray
    """ONCE, (S, 2, MAX_LEVELS), side 0 down, 1 up"""
    parts: np.ndarray
    """PART, (S + 1, PARTS + 1), a ring: part number k is at k % (PARTS + 1); the last row is the portfolio's"""
    inputs: np.ndarray
    """INPUTS, (S,), of the last `smart` plan that was worked out"""
    wanted: np.ndarray
    """WANTED, (2N,), scratch"""
    intents: np.ndarray
    """INTENT, (3N,), scratch"""
    exposure: np.ndarray
    """EXPOSURE, (1,), scratch"""


WORLD_DTYPES: Final[dict[str, Any]] = dict(
    zip(
        World._fields,
        (
            *(RUN, MARKET, FILTER, BAR, "<i8", GATE, "<i8", "<i8", "<i8", "<i8"),
            *(FEATURES, SYMBOL, ORDER, CYCLE, PLAN, LEVEL, TARGET, ONCE, PART, INPUTS, WANTED, INTENT, EXPOSURE),
        ),
        strict=True,
    )
)
"""The record type of each part of the world."""

SIZES: Final = ("max_open_orders", "bars_kept", "top_n", "spread_bars", "natrs_kept", "strays_kept")
"""Settings that the shape of the world depends on."""


def world_shapes(symbols: int, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shape of each part of the world, of settings named in `SIZES`.

    A symbol has room for `max_open_orders` entries and take-profits, as many reduce-only orders, and two to spare.
    """
    room = 2 * sizes["max_open_orders"] + 2
    ladders = 2 * MAX_LEVELS
    per_symbol = dict.fromkeys(("market", "filters", "gates", "features", "symbols", "inputs"), (symbols,))
    tables = dict.fromkeys(("orders", "cycles", "targets"), (symbols, room))
    scratch = {"wanted": (ladders + 2 * room,), "intents": (ladders + 3 * room + 1,), "exposure": (1,)}
    once = {"once": (symbols, 2, MAX_LEVELS)}
    rings: dict[str, tuple[int, ...]] = {"history": (symbols, sizes["bars_kept"]), "spreads": (symbols, sizes["spread_bars"])}
    rings |= {"natrs": (symbols, sizes["natrs_kept"]), "strays": (symbols, sizes["strays_kept"])}
    market = {"books": (symbols, 4, sizes["top_n"]), "holds": (symbols, len(Toxicity) - 1, 3)}
    plans = {"plans": (symbols + 1,), "ladder": (symbols + 1, 2, LADDER_SLOTS), "parts": (symbols + 1, PARTS + 1)}
    return {"run": (1,), **plans, **once, **per_symbol, **tables, **scratch, **rings, **market}
