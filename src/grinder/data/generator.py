"""Market days made of integers alone: a pure function of parameters and a seed, equal to the bit on every machine (SPEC 2.3).

A day is made in steps, each a prefix of itself when fewer seconds are asked for:

1. *Draws*: splitmix64 of (seed, stream, counter), as numpy arrays. There is no state, so a draw never depends on how many were
   taken before it.
2. *Walk*: each second moves the log2 volatility (a slow part, bursts that excite further bursts, shocks, the time of day), the
   level and the pace; each beat of 100 ms moves the fair price, which reverts to the level, and says how many quotes come.
3. *Quotes*: those of a beat form a burst within some milliseconds. A burst that moves the price lets one side lead and the other
   follow, as when levels are swept; the others change one size. Spread widens and sizes thin out with volatility, and at hours
   that may be set. Where quotes are few, a best level that is about to go would stand for seconds; `size_least_pct` keeps it up.
4. *Books*, where they are asked for, at a steady pace with holes. The best levels are the quote in force. Behind them each
   stretch of some ticks holds a level or none, its price and size being draws looked up by place and time: levels stay while the
   price comes and goes, and change one by one. Sizes grow with the distance from the best; a few are walls. In a *spell* the sizes
   of one side or of both fall, or its levels come to lie far apart, or both; then all of it passes.

Units: price in 1e-6 ticks, log2 and multipliers in 1/65536, times in ns, beats or seconds as named.

The parameters follow the real recording `binance_btcusdt_6m`. It holds 190 quotes a second and a day here one or two, so that the
mid is seen to change less often; the other statistics do not depend on the pace. tests/test_generator.py measures these tables:

                                                      recording    range_day    trend_day    vol_shock    thin_book impact_spike
    quotes with a spread of one tick                        94%          93%          92%          49%          93%          93%
    spread, 99th percentile (ticks)                          29           44           32          253            5            6
    quotes at the time of the one before                    48%          48%          48%          48%          48%          48%
    deviation of gaps over their mean                       2.9          2.5          2.4          2.5          2.1          2.1
    600 ms steps that change the mid                        39%          21%          20%          24%          12%          12%
    correlation of successive moves' signs                 0.56         0.45         0.44         0.43         0.37         0.38
    deviation of 1 s returns (bp)                           1.2          1.2          0.8          2.3          1.2          1.3
    deviation of 10 s returns (bp)                          3.8          3.7          2.6          7.2          3.8          4.0
    kurtosis of 1 s returns                                  22           25           45           57           57           52
    kurtosis of 10 s returns                                  5            5            9           22           14            7
    bid sizes, 5th percentile (lots)                         19          109          105           47            4            4
    bid sizes, median (lots)                               2677         2425         2438         1621           97           98
    bid sizes, 95th percentile (lots)                     11288        10460        10419         8377          414          412
    bids at a multiple of ten ticks                         20%          19%          19%          18%          15%          15%
    asks at a multiple of ten ticks                         22%          19%          19%          18%          16%          15%

Of `vol_shock` the spreads, sizes and returns are those of the shocks.

                                                      recording    thin_book impact_spike
    time with a book under 2 s old                         100%          99%          99%
    levels one tick behind the one before                   31%          25%          24%
    levels at a multiple of ten ticks                       28%          17%          19%
    span of ten levels, median (bp)                         0.7          5.8          5.8
    depth of a side, 5th percentile (1000 quote)             61           30           34
    depth of a side, median (1000 quote)                    338           64           65
    depth of a side, 95th percentile (1000 quote)          1248          129          131
    tenth level's median size over the second's             2.5          3.1          3.0
    walls of a side                                         2.7          0.8          0.8

Books of `thin_book` and `impact_spike` are those of a smaller market, whose tick is 18 times the recording's in basis points. Half
of the recording's sizes behind the best level are small and its walls are huge; the sizes here are in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from grinder._jit import kernel
from grinder.data.fixture import canonical_columns
from grinder.errors import ConfigError
from grinder.records import _record
from grinder.units import MAX_QTY_LOTS

__all__ = [
    "BOOK_PARAMETERS",
    "GROUPS",
    "LATER_PARAMETERS",
    "PARAMETERS",
    "VERSION",
    "Columns",
    "Parameter",
    "complete",
    "generate_day",
    "generate_quotes",
    "wanted",
]

Ints = NDArray[np.int64]
Columns = dict[str, Ints]

VERSION: Final = 1
"""Of the algorithm: it rises when the same parameters and seed give other columns."""

DAY_S: Final = 86_400
DAY_MS: Final = DAY_S * 1000
BEATS: Final = 10
"""Beats a second; one is 100 ms."""
LEVELS: Final = 10
"""Of a side of a book."""
TABLE: Final = 1 << 16
"""Draws that levels look up by their place and time."""
REACH: Final = 2048
"""Stretches that are looked through for a side's levels; what lies further away is not seen."""
LAST_BEAT: Final = DAY_S * BEATS - 1
MICRO: Final = 1_000_000
"""Of a tick, as the fair price is carried."""
ONE: Final = 1 << 16
"""1.0 of a log2, a multiplier, a normal deviate."""
MAX_BURST: Final = 12
"""Most quotes of a beat; at 2 ms apiece they end before the next beat but one."""
LOG2_MIN: Final = -3 * ONE
LOG2_MAX: Final = 6 * ONE
"""What 2**x is clamped to: an eighth to sixty-four."""
FAST_MAX: Final = 3 * ONE
"""However bursts pile up, volatility is at most eight times what it was."""
SNAP_TICKS: Final = 10
"""Prices at which orders gather."""
SIZE_SPAN: Final = 64
"""No size is over this many times the mean."""

_HOURS: Final = (-24, -10, -14, -30, -40, -34, -18, 10, 22, 12, 0, -4, 16, 50, 66, 56, 36, 18, 4, -4, -6, -18, -26, -32)
"""Pace and volatility at each hour of the day in UTC, 0.01 doublings: quiet nights, the opens of London and New York."""


@dataclass(frozen=True)
class Parameter:
    """One integer of the generator: its default, the range it may have, and what it says. Its unit ends its name."""

    default: int
    low: int
    high: int
    says: str


PARAMETERS: Final[dict[str, Parameter]] = {
    "start_day": Parameter(19_725, 14_245, 47_481, "days since 1970-01-01; the day in UTC"),
    "price_ticks": Parameter(618_000, 10_000, 100_000_000, "first fair price"),
    "quotes_per_day": Parameter(130_000, 5_000, 400_000, "quotes of a day without bursts of volatility"),
    "volatility_minute_bp100": Parameter(690, 1, 5_000, "standard deviation of a calm minute's return, 0.01 bp"),
    "slow_log2_pct": Parameter(30, 0, 150, "standard deviation of slow changes of volatility, 0.01 doublings"),
    "slow_minutes": Parameter(150, 1, 1_440, "how long slow changes of volatility last"),
    "bursts_per_day": Parameter(60, 0, 2_000, "bursts of volatility that no other excited"),
    "burst_log2_pct": Parameter(60, 0, 300, "mean height of a burst, 0.01 doublings"),
    "burst_decay_seconds": Parameter(240, 1, 7_200, "how long a burst lasts"),
    "burst_cluster_pct": Parameter(300, 0, 2_000, "how much likelier bursts are while volatility is doubled"),
    "intraday_pct": Parameter(100, 0, 300, "strength of the time of day"),
    "revert_minutes": Parameter(40, 1, 10_000, "how long the price takes back to its level"),
    "level_minute_bp100": Parameter(120, 0, 2_000, "standard deviation of a minute's change of the level, 0.01 bp"),
    "level_revert_minutes": Parameter(180, 1, 10_000, "how long the level takes back to the first price"),
    "leg_pairs": Parameter(0, 0, 6, "pairs of trend legs, one up and one down in either order"),
    "leg_minutes": Parameter(120, 1, 360, "mean length of a leg, a quarter more or less; it fits its share of the day"),
    "leg_minute_bp100": Parameter(250, 0, 3_000, "drift of a leg, 0.01 bp a minute"),
    "shocks": Parameter(0, 0, 12, "volatility shocks"),
    "shock_quiet_minutes": Parameter(150, 0, 1_000, "no shock before"),
    "shock_log2_pct": Parameter(400, 0, 600, "height of a shock's volatility, 0.01 doublings"),
    "shock_decay_minutes": Parameter(50, 1, 600, "how long a shock's volatility lasts"),
    "shock_move_bp": Parameter(120, 0, 1_000, "how far a shock drives the price; half of it stays"),
    "shock_attack_seconds": Parameter(150, 1, 3_600, "how long it drives"),
    "shock_book_log2_pct": Parameter(300, 0, 600, "stress of the book at a shock, 0.01 doublings"),
    "shock_book_minutes": Parameter(10, 1, 600, "how long the book takes to recover"),
    "spread_wide_pct": Parameter(2, 0, 100, "share of calm bursts that leave a spread over one tick"),
    "spread_wide_ticks": Parameter(8, 0, 10_000, "mean extra spread of those"),
    "spread_stress_ticks": Parameter(12, 0, 10_000, "mean extra spread for each doubling of stress, itself doubling"),
    "size_lots": Parameter(3_700, 1, 10_000_000, "mean calm size of a side"),
    "size_thin_pct": Parameter(100, 0, 300, "halvings of sizes for a doubling of stress"),
    "pace_swing_log2_pct": Parameter(110, 0, 300, "standard deviation of the pace, 0.01 doublings"),
    "pace_swing_seconds": Parameter(12, 1, 3_600, "how long the pace stays"),
    "pace_volatility_pct": Parameter(60, 0, 150, "doublings of the pace for a doubling of volatility"),
    "burst_quotes_pct": Parameter(260, 100, 600, "mean quotes of a burst, in percent"),
    "burst_spread_pct": Parameter(22, 0, 100, "share of a burst's quotes that come 1 or 2 ms after the one before"),
    "move_pct": Parameter(60, 1, 100, "share of calm bursts that move the price"),
    "round_pct": Parameter(26, 0, 100, "share of moves that stop at a price that is a multiple of 10 ticks"),
    "gap_max_ms": Parameter(9_000, 100, 600_000, "longest silence"),
}
"""What a day is made of. Every value is an integer; `[generator]` of a manifest holds all of them."""

LATER_PARAMETERS: Final[dict[str, Parameter]] = {
    "trend_at_minutes": Parameter(0, 0, 1_439, "when a trend begins, in minutes of the day"),
    "trend_minutes": Parameter(480, 1, 1_440, "how long it lasts; no longer than the day"),
    "trend_minute_bp100": Parameter(0, 0, 1_000, "its drift, all of it one way, 0.01 bp a minute"),
    "shock_within_minutes": Parameter(1_440, 1, 1_440, "shocks share so long a time after the quiet; no longer than the day"),
    "lean_at_minutes": Parameter(0, 0, 1_439, "when makers begin to leave, in minutes of the day"),
    "lean_minutes": Parameter(180, 1, 1_440, "how long they stay away; no longer than the day"),
    "lean_ramp_minutes": Parameter(10, 1, 240, "how long they take to leave, and to return"),
    "lean_size_log2_pct": Parameter(0, 0, 600, "halvings of sizes while they are away, 0.01"),
    "lean_spread_ticks": Parameter(0, 0, 10_000, "extra spread while they are away, a quarter more or less"),
    "size_least_pct": Parameter(0, 0, 90, "least size that a side is given, in percent of the mean"),
}
"""What came later: hours that are set, and sizes that last. A manifest holds all of them where one is given, else none."""

BOOK_PARAMETERS: Final[dict[str, Parameter]] = {
    "book_interval_ms": Parameter(1_600, 500, 60_000, "usual time from book to book, a quarter more or less"),
    "book_holes_per_day": Parameter(200, 0, 5_000, "times that books fail to come"),
    "book_hole_seconds": Parameter(6, 1, 600, "mean length of those holes, half more or less"),
    "level_gap_ticks": Parameter(5, 1, 10_000, "a level rests in each stretch of so many ticks"),
    "level_fill_pct": Parameter(85, 10, 100, "share of the stretches that hold one"),
    "level_life_seconds": Parameter(12, 1, 3_600, "how long a level stays what it is, unless the price passes it"),
    "level_size_pct": Parameter(60, 1, 1_000, "mean size of the level behind the best, of the best's own"),
    "level_growth_pct": Parameter(15, 0, 1_000, "what each further level has more, of the best's own"),
    "wall_levels_pct": Parameter(2, 0, 100, "share of levels that are walls; three times that at multiples of 10 ticks"),
    "wall_times": Parameter(8, 1, 100, "how much more than its mean a wall holds, a quarter more or less"),
    "spells": Parameter(0, 0, 48, "spells in which the book is not what it was: of bids, of asks or of both"),
    "spell_quiet_minutes": Parameter(60, 0, 1_000, "no spell before"),
    "spell_seconds": Parameter(180, 1, 7_200, "mean length of a spell, a quarter more or less"),
    "spell_attack_seconds": Parameter(10, 1, 3_600, "how long it comes"),
    "spell_recover_seconds": Parameter(60, 1, 7_200, "how long it goes"),
    "spell_thin_log2_pct": Parameter(0, 0, 600, "halvings of sizes in the mildest spell, 0.01"),
    "spell_thinnest_log2_pct": Parameter(0, 0, 600, "halvings of sizes in the worst spell, 0.01; the others lie between"),
    "spell_best_pct": Parameter(50, 0, 100, "how much of the halvings the best level takes part in"),
    "spell_levels_pct": Parameter(0, 0, 200, "levels that a side is short of for each halving"),
    "spell_gap_log2_pct": Parameter(0, 0, 600, "doublings of the gaps between levels in the mildest spell, 0.01"),
    "spell_widest_log2_pct": Parameter(0, 0, 600, "doublings of the gaps between levels in the worst spell, 0.01"),
}
"""What its books are made of. A day has books where one of these is given; its manifest holds all or none of them."""

GROUPS: Final = (LATER_PARAMETERS, BOOK_PARAMETERS)
"""Parameters that a day has all or none of."""

NAMES: Final = tuple(PARAMETERS)


def complete(parameters: Mapping[str, int]) -> dict[str, int]:
    """All parameters in their order, a group's if one of it is given: what is given, checked, over the defaults.

    Raises:
        ConfigError: naming the parameter, its value and its range.
    """
    every = PARAMETERS | LATER_PARAMETERS | BOOK_PARAMETERS
    for name, value in parameters.items():
        if name not in every:
            raise ConfigError(f"generator: there is no parameter {name!r}; there are {', '.join(every)}")
        known = every[name]
        if type(value) is not int or not known.low <= value <= known.high:
            raise ConfigError(
                f"generator: {name} = {value!r}: allowed are whole numbers from {known.low} to {known.high}: {known.says}"
            )
    return {name: parameters.get(name, every[name].default) for name in wanted(parameters)}


def wanted(parameters: Iterable[str]) -> list[str]:
    """The names of all parameters of a day of which these are given, in their order."""
    given = set(parameters)
    return [*PARAMETERS, *(name for group in GROUPS if not given.isdisjoint(group) for name in group)]


def generate_quotes(parameters: Mapping[str, int], seed: int, *, seconds: int = DAY_S) -> Columns:
    """The quotes of `generate_day`."""
    return generate_day(parameters, seed, seconds=seconds)["quotes"]


def generate_day(parameters: Mapping[str, int], seed: int, *, seconds: int = DAY_S) -> dict[str, Columns]:
    """Quotes of one UTC day, and books where one of their parameters is given.

    Args:
        parameters: those that differ from the defaults of `PARAMETERS`, `LATER_PARAMETERS` and `BOOK_PARAMETERS`.
        seed: 0 to 2**63 - 1. Equal parameters and seeds give equal columns, wherever and however they are computed.
        seconds: how much of the day; fewer give its first rows.

    Returns:
        By stream, int64 columns of equal length. `quotes`: ts (ns), bid_px, ask_px (ticks), bid_qty, ask_qty (lots). `ts` never
        falls and stays within the day, bid < ask, sizes are at least 1, and no row equals the one before it. `books`: ts, which
        rises, and ten levels a side as in `canonical_columns`, the first being the quote in force; levels that are missing are 0.

    Raises:
        ConfigError: a parameter, the seed or the length is out of its range.
    """
    given = complete(parameters)
    for name, value, low, high in (("seed", seed, 0, 2**63 - 1), ("seconds", seconds, 1, DAY_S)):
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"generator: {name} = {value!r}: allowed are whole numbers from {low} to {high}")
    beats = seconds * BEATS
    day = np.array([(*(given[name] for name in NAMES), *_derived(given))], _DAY)
    thin, gaps = _spells(given, seed)
    fewer, wide = _lean(given)
    plan = [column[:seconds] for column in (_clock(given), *_schedule(given, seed))]
    plan += [_draws(seed, stream, seconds) for stream in ("slow", "burst", "level", "pace")]
    plan += [_draws(seed, stream, beats) for stream in ("price", "arrival")]
    moved = [np.zeros(beats, np.int64) for _ in ("fair", "stress", "burst")]
    _walk(day, *plan, *moved)
    stress, burst = moved[1:]
    rows = int(burst.sum())
    quotes = {name: np.zeros(rows, np.int64) for name in ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")}
    draws = [_draws(seed, stream, beats) for stream in ("move", "spread")]
    draws += [_draws(seed, stream, rows) for stream in ("size", "order")]
    draws += [thin * given.get("spell_best_pct", 0) // 100 + fewer, wide]
    _quote(day, *moved, *draws, *quotes.values())
    streams = {"quotes": quotes}
    if "book_interval_ms" in given:
        streams["books"] = _books(given, seed, seconds, day, stress, thin + fewer, gaps, quotes)
    for columns in streams.values():
        columns["ts"] += given["start_day"] * DAY_S * 1_000_000_000
    return streams


def _books(
    given: Mapping[str, int], seed: int, seconds: int, day: Ints, stress: Ints, thin: Ints, gaps: Ints, quotes: Columns
) -> Columns:
    """Books of the first `seconds`, each with the quote in force as its best; `ts` in ns from the start of the day."""
    now = _pace(given, seed, seconds)
    at = np.searchsorted(quotes["ts"], now * 1_000_000, side="right") - 1
    levels = np.zeros((4 * LEVELS, len(now)), np.int64)
    for k, name in enumerate(("bid_px", "bid_qty", "ask_px", "ask_qty")):
        levels[k] = quotes[name][at]
    book = np.array([tuple(given[name] for name in BOOK_PARAMETERS)], _BOOK)
    _stack(day, book, now, stress, thin, gaps, _draws(seed, "rest", TABLE), levels)
    return {"ts": now * 1_000_000} | dict(zip(canonical_columns("books", LEVELS)[2:], levels, strict=True))


# Draws and schedules: numpy, integers


_OF_QUOTES: Final = ("slow", "burst", "level", "pace", "price", "arrival", "move", "spread", "size", "order", "schedule")
_STREAMS: Final = (*_OF_QUOTES, "spell", "book", "rest", "trend")


def _draws(seed: int, stream: str, count: int) -> NDArray[np.int64]:
    """`count` draws of 63 bits: splitmix64 of the counter, from a start that is splitmix64 of seed and stream."""
    start = _splitmix(np.array([seed], np.uint64) ^ _splitmix(np.array([_STREAMS.index(stream) + 1], np.uint64)))
    return (_splitmix(np.arange(count, dtype=np.uint64) + start) >> np.uint64(1)).astype(np.int64)


def _splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64; arrays of unsigned integers wrap, and say nothing of it."""
    x = x * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _clock(given: Mapping[str, int]) -> NDArray[np.int64]:
    """The time of day's share of log2 volatility and pace at each second, linear between hours."""
    hour, second = np.divmod(np.arange(DAY_S, dtype=np.int64), 3600)
    table = np.array([*_HOURS, _HOURS[0]], np.int64)
    between: NDArray[np.int64] = table[hour] * (3600 - second) + table[hour + 1] * second
    return between * given["intraday_pct"] * ONE // (3600 * 100 * 100)


def _schedule(given: Mapping[str, int], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What is to happen, at each second: drift of legs and push of shocks (1e-6 ticks a second), 1 where a shock begins."""
    drift, push, kick = (np.zeros(DAY_S, np.int64) for _ in range(3))
    draws = iter(_draws(seed, "schedule", 4096).tolist())  # a leg takes at most 3 + 2 * 75
    slots = max(1, 2 * given["leg_pairs"])
    side = 1
    for i in range(2 * given["leg_pairs"]):
        coin, stretch, place = (next(draws) for _ in range(3))
        side = -side if i % 2 else 2 * (coin & 1) - 1  # the second of a pair undoes the first
        length = min(DAY_S // slots, given["leg_minutes"] * 60 * (75 + stretch % 51) // 100)
        begin = DAY_S * i // slots + place % (DAY_S // slots - length + 1)
        _drive(drift, begin, begin + length, side * given["price_ticks"] * given["leg_minute_bp100"] // 60, draws)
    quiet = given["shock_quiet_minutes"] * 60
    for i in range(given["shocks"]):
        coin, place = (next(draws) for _ in range(2))
        room = min(DAY_S - quiet, given.get("shock_within_minutes", DAY_S) * 60) // given["shocks"]
        begin = quiet + i * room + place % (room // 3)
        kick[begin] = 1
        rate = given["price_ticks"] * given["shock_move_bp"] * 100 // given["shock_attack_seconds"]
        push[begin : begin + given["shock_attack_seconds"]] += (2 * (coin & 1) - 1) * rate
    if given.get("trend_minute_bp100"):
        coin, *rest = _draws(seed, "trend", 1024).tolist()
        begin = given["trend_at_minutes"] * 60
        rate = (2 * (coin & 1) - 1) * given["price_ticks"] * given["trend_minute_bp100"] // 60
        _drive(drift, begin, min(begin + given["trend_minutes"] * 60, DAY_S), rate, iter(rest))
    return drift, push, kick


def _drive(drift: Ints, begin: int, end: int, rate: int, draws: Iterator[int]) -> None:
    """Add a drift of `rate` on the mean to these seconds: impulses of 6 to 20 minutes, and pauses and pullbacks between them."""
    while begin < end:
        until = min(begin + 360 + next(draws) % 840, end)
        drift[begin:until] += rate * (next(draws) % 281 - 40) // 100
        begin = until


def _lean(given: Mapping[str, int]) -> tuple[Ints, Ints]:
    """At each second, halvings of sizes (log2) and extra spread (ticks), both in 1/65536, while makers are away."""
    ramp, begin = given.get("lean_ramp_minutes", 1) * 60, given.get("lean_at_minutes", 0) * 60
    second = np.arange(DAY_S, dtype=np.int64)
    inside = np.minimum(second - begin, begin + given.get("lean_minutes", 0) * 60 - second)
    away: Ints = np.clip(inside, 0, ramp) * ONE // ramp
    return away * given.get("lean_size_log2_pct", 0) // 100, away * given.get("lean_spread_ticks", 0)


def _spells(given: Mapping[str, int], seed: int) -> tuple[Ints, Ints]:
    """Halvings of sizes and doublings of gaps, log2 in 1/65536, at each second: (2, DAY_S), bids and asks.

    How bad a spell is goes by its rank among the draws, so that every day has many mild ones and a few bad ones.
    """
    thin, gaps = (np.zeros((2, DAY_S), np.int64) for _ in range(2))
    spells = given.get("spells", 0)
    first, *draws = _draws(seed, "spell", 1 + 3 * BOOK_PARAMETERS["spells"].high).tolist()
    ranks = draws[2 : 3 * spells : 3]
    for i in range(spells):
        place, stretch = draws[3 * i : 3 * i + 2]
        quiet = given["spell_quiet_minutes"] * 60
        room = (DAY_S - quiet) // spells
        begin = quiet + i * room + place % (room * 2 // 3)
        hold = given["spell_seconds"] * (75 + stretch % 51) // 100
        attack, recover = given["spell_attack_seconds"], given["spell_recover_seconds"]
        rise, fall = np.arange(1, attack + 1) * ONE // attack, np.arange(recover, 0, -1) * ONE // recover
        shape = np.concatenate([rise, np.full(hold, ONE), fall])[: DAY_S - begin]
        rank = sorted(ranks).index(ranks[i])
        for column, mild, worst in ((thin, "thin", "thinnest"), (gaps, "gap", "widest")):
            low, high = given[f"spell_{mild}_log2_pct"], given[f"spell_{worst}_log2_pct"]
            top = low + (high - low) * rank**4 // max(1, spells - 1) ** 4
            for side in ((0,), (1,), (0, 1))[(first + i) % 3]:  # bids, asks and both take turns
                part = column[side, begin : begin + len(shape)]
                np.maximum(part, shape * top // 100, out=part)
    return thin, gaps


def _pace(given: Mapping[str, int], seed: int, seconds: int) -> Ints:
    """When books come, in ms from the start of the day: at a steady pace, with a hole now and then."""
    usual = given["book_interval_ms"]
    draws = _draws(seed, "book", seconds * 1000 // (usual * 3 // 4) + 1)
    step = usual * (768 + (draws & 511)) // 1024
    hole = given["book_hole_seconds"] * 1000 * (512 + (draws >> 9 & 1023)) // 1024
    chance = (given["book_holes_per_day"] << 20) * usual // DAY_MS
    now = np.cumsum(step + hole * ((draws >> 20 & 0xFFFFF) < chance))
    return now[now < seconds * 1000]


def _derived(given: Mapping[str, int]) -> list[int]:
    """Constants of the kernels: chances in 2**-31, and the steps that give the deviations asked for, `deviation * sqrt(2 / length)`
    where a part decays."""
    slow, pace = given["slow_minutes"] * 60, given["pace_swing_seconds"]
    ticks = given["price_ticks"]
    swing = given["pace_swing_log2_pct"] ** 2
    usual = 10_000 + swing * 24 // 100 + swing * swing * 3 // 1_000_000  # 1e4 times the mean of 2**x: e**(0.24 x**2), nearly
    return [
        given["slow_log2_pct"] * math.isqrt((1 << 33) // slow) // 100,
        given["pace_swing_log2_pct"] * math.isqrt((1 << 33) // pace) // 100,
        ticks * given["volatility_minute_bp100"] * 1000 // 24_495,  # sqrt(600 beats) = 24.495
        ticks * given["level_minute_bp100"] * 1000 // 7_746,  # sqrt(60 s) = 7.746
        (given["bursts_per_day"] << 31) // DAY_S,
        given.get("size_least_pct", 0),
        (given["quotes_per_day"] * 1_000_000 << 31) // (given["burst_quotes_pct"] * usual * DAY_S * BEATS),
    ]


_DAY: Final = _record(
    (*NAMES, "slow_step", "pace_step", "beat_step", "level_step", "burst_chance", "size_least_pct", "quote_chance")
)
"""One row: all parameters and what `_derived` makes of them."""
_BOOK: Final = _record(tuple(BOOK_PARAMETERS))


# Kernels: int64, nothing else


@kernel
def gauss(u):
    """A draw as a normal deviate in 1/65536, from four of its 15 bit parts; at most 3.5 deviations."""
    parts = (u & 32767) + (u >> 15 & 32767) + (u >> 30 & 32767) + (u >> 45 & 32767)
    return (parts - 65_534) * 3_548 >> 10


@kernel
def expo(u):
    """31 bits as an exponential deviate of mean 1 in 1/1024, at most 21: -ln, linear between powers of two."""
    u = max(1, u & 0x7FFFFFFF)
    e = 1
    while u < 1 << 30:
        u <<= 1
        e += 1
    return ((e << 10) - ((u - (1 << 30)) >> 20)) * 683 >> 10


@kernel
def exp2(x):
    """2**x for x and result in 1/65536, x within LOG2_MIN..LOG2_MAX; linear between powers of two."""
    x = min(max(x, LOG2_MIN), LOG2_MAX)
    whole = (x >> 16) + 3
    return ((ONE + (x & 65_535)) << whole) >> 3


@kernel
def _walk(day, clock, drift, push, kick, slow_u, burst_u, level_u, pace_u, price_u, arrival_u, fair, stress, burst):
    """Fill, for each beat, the fair price (1e-6 ticks), the stress of the book (log2 in 1/65536) and how many quotes come."""
    p = day[0]
    start = p["price_ticks"] * MICRO
    price = level = quoted = start
    slow = fast = shock = book = pace = 0
    gap = 0
    gap_most = p["gap_max_ms"] // 100
    for second in range(len(slow_u)):
        slow += (p["slow_step"] * gauss(slow_u[second]) >> 16) - slow // (p["slow_minutes"] * 60)
        chance = p["burst_chance"] * (100 + (p["burst_cluster_pct"] * fast >> 16)) // 100
        fast -= fast // p["burst_decay_seconds"]
        if burst_u[second] >> 32 < chance:
            fast = min(fast + (p["burst_log2_pct"] * ONE // 100 * expo(burst_u[second]) >> 10), FAST_MAX)
        shock -= shock // (p["shock_decay_minutes"] * 60)
        book -= book // (p["shock_book_minutes"] * 60)
        if kick[second] == 1:
            shock = max(shock, p["shock_log2_pct"] * ONE // 100)
            book = max(book, p["shock_book_log2_pct"] * ONE // 100)
        pace += (p["pace_step"] * gauss(pace_u[second]) >> 16) - pace // p["pace_swing_seconds"]
        own = slow + fast + shock
        sigma = min(p["beat_step"] * exp2(own + clock[second]) >> 16, start >> 6)
        strain = max(0, (own - ONE) >> 1) + book
        rate = p["quote_chance"] * exp2(pace + clock[second] + p["pace_volatility_pct"] * own // 100) >> 16
        level += (p["level_step"] * gauss(level_u[second]) >> 16) - (level - start) // (p["level_revert_minutes"] * 60)
        level += drift[second] + push[second] // 2
        level = min(max(level, start >> 1), start << 1)
        forced = (drift[second] + push[second]) // BEATS
        for beat in range(second * BEATS, (second + 1) * BEATS):
            price += (sigma * gauss(price_u[beat]) >> 16) + forced + (level - price) // (p["revert_minutes"] * 600)
            price = min(max(price, start >> 1), start << 1)
            fair[beat], stress[beat] = price, strain
            gap += 1
            far = abs(price - quoted) > start >> 6
            last = beat == LAST_BEAT
            if arrival_u[beat] >> 32 < rate or gap >= gap_most or far or beat == 0 or last:
                more = (p["burst_quotes_pct"] - 100) * expo(arrival_u[beat]) // 100
                burst[beat] = min(1 + (more + 512 >> 10), MAX_BURST)
                quoted, gap = price, 0


@kernel
def _quote(day, fair, stress, burst, move_u, spread_u, size_u, order_u, thin, wide, ts, bid_px, bid_qty, ask_px, ask_qty):
    """Fill the rows of all bursts; `ts` in ns from the start of the day.

    By second: `thin`, halvings of the sizes of either side, and `wide`, extra spread; both in 1/65536.
    """
    p = day[0]
    bid, ask, bid_size, ask_size = p["price_ticks"], p["price_ticks"] + 1, p["size_lots"], p["size_lots"]
    now = row = 0
    for beat in range(len(burst)):
        n = burst[beat]
        if n == 0:
            continue
        u = move_u[beat]
        strain = stress[beat] * p["size_thin_pct"] // 100
        bid_mean = max(1, (p["size_lots"] << 16) // exp2(strain + thin[0, beat // BEATS]))
        ask_mean = max(1, (p["size_lots"] << 16) // exp2(strain + thin[1, beat // BEATS]))
        bid_least, ask_least = bid_mean * p["size_least_pct"] // 100, ask_mean * p["size_least_pct"] // 100
        to = fair[beat] // MICRO
        spread = width(p, stress[beat], spread_u[beat]) + (wide[beat // BEATS] * (768 + (spread_u[beat] >> 48 & 511)) >> 26)
        spread = min(spread, max(1, to >> 6))
        new_bid, new_ask, steps = aim(p, bid, ask, to, spread, stress[beat], u)
        steps = min(n, steps)
        up = new_bid + new_ask > bid + ask
        old_bid, old_ask = bid, ask
        now = max(now, beat * 100 + (u >> 40 & 1023) * 100 // 1024)
        if beat == 0:
            now = 0
        for i in range(n):
            w = order_u[row]
            before_bid, before_ask, before_bid_size, before_ask_size = bid, ask, bid_size, ask_size
            if i > 0 and (w >> 17 & 65_535) * 100 < p["burst_spread_pct"] << 16:
                now += 1 + (w >> 16 & 1)
            now = min(now, DAY_MS - 1)
            if i < steps:
                # The leading side is a step ahead of the one that follows, until the last step brings both home.
                lead = i + 1
                follow = i if i < steps - 1 and w >> 61 & 3 == 0 else lead
                bid = old_bid + (new_bid - old_bid) * (follow if up else lead) // steps
                ask = old_ask + (new_ask - old_ask) * (lead if up else follow) // steps
                if bid >= ask:
                    bid, ask = new_bid, new_ask
                if bid != before_bid:
                    bid_size = bid_least + fresh(bid_mean - bid_least, size_u[row], w >> 52)
                if ask != before_ask:
                    ask_size = ask_least + fresh(ask_mean - ask_least, size_u[row] >> 32, w >> 56)
            elif w & 1:
                bid_size = bid_least + resize(max(0, bid_size - bid_least), bid_mean - bid_least, w, size_u[row])
            else:
                ask_size = ask_least + resize(max(0, ask_size - ask_least), ask_mean - ask_least, w, size_u[row])
            if bid == before_bid and ask == before_ask and bid_size == before_bid_size and ask_size == before_ask_size:
                bid_size += 1
            ts[row] = now * 1_000_000
            bid_px[row], bid_qty[row], ask_px[row], ask_qty[row] = bid, bid_size, ask, ask_size
            row += 1


@kernel
def width(p, stress, u):
    """The spread, in ticks, that a burst would leave: mostly one tick, in calm; growing with each doubling of stress."""
    spread = 1
    if (u >> 32 & 65_535) * 100 < p["spread_wide_pct"] << 16:
        spread += 1 + (p["spread_wide_ticks"] * expo(u) >> 10)
    return spread + (p["spread_stress_ticks"] * ((exp2(stress) - ONE) >> 6) * expo(u) >> 20)


@kernel
def aim(p, bid, ask, to, spread, stress, u):
    """Where a burst leaves bid and ask, and in how many steps; 0 steps: where they are.

    It moves them to the fair price `to` (ticks) by chance, surely in stress or when they are far off; else it may narrow a spread.
    """
    far = abs(2 * to - bid - ask) > p["price_ticks"] >> 6
    if far or (u & 65_535) * 100 < p["move_pct"] * exp2(stress):
        low = to - ((spread - 1) >> 1)
        if (u >> 16 & 65_535) * 100 < p["round_pct"] << 16:
            nearest = (to + SNAP_TICKS // 2) // SNAP_TICKS * SNAP_TICKS
            low = nearest if to >= nearest else nearest - spread
        return low, low + spread, 1 + (u >> 32 & 3)
    if spread < ask - bid:
        if u >> 34 & 1:
            return ask - spread, ask, 1
        return bid, bid + spread, 1
    return bid, ask, 0


@kernel
def fresh(mean, u, w):
    """The size of a level that has just become the best; one in sixteen is about to be gone."""
    size = mean * expo(u) >> 10
    return max(1, size >> 6 if w & 15 == 0 else size)


@kernel
def resize(size, mean, w, u):
    """A side's size after an order came, left or traded: mostly by a part of the mean, now and then anew; up as it is small."""
    if w >> 33 & 7 == 0:
        return fresh(mean, u, w >> 52)
    amount = 1 + (mean * expo(u) >> 13)
    if (w >> 36 & 65_535) * (size + mean) < mean << 16:
        return min(size + amount, mean * SIZE_SPAN)
    return max(1, size - amount)


@kernel
def _stack(day, book, now, stress, thin, gaps, rest_u, levels):
    """Fill the levels of each book behind the best ones, which are there; rows of `levels` are canonical columns.

    What rests where is looked up by place and time alone, so that levels stay while the price comes and goes.
    """
    p, b = day[0], book[0]
    for row in range(len(now)):
        second = now[row] // 1000
        strain = stress[now[row] // 100] * p["size_thin_pct"] // 100
        for side in range(2):
            best = levels[2 * side, row]
            out = -1 if side == 0 else 1
            thinned = exp2(strain + thin[side, second])
            filled = (b["level_fill_pct"] << 32) // (100 * exp2(gaps[side, second]))
            most = LEVELS - (thin[side, second] * b["spell_levels_pct"] // 100 >> 16)
            gap = b["level_gap_ticks"]
            k = 1
            for i in range(REACH):
                cell = best // gap + out * i
                if k >= most or cell < 1:
                    break
                place = rest_u[cell & TABLE - 1]  # where in its stretch, and when it is replaced
                age = (second + (place >> 36 & 4095)) // b["level_life_seconds"]
                u = rest_u[(place >> 16) + age + side * 12_345 & TABLE - 1]
                px = cell * gap + place % gap
                near = (cell * gap + gap - 1) // SNAP_TICKS * SNAP_TICKS
                if near >= cell * gap and place >> 20 & 3:
                    px = near
                if (px - best) * out <= 0 or u >> 31 & 65_535 >= filled:
                    continue
                mean = p["size_lots"] * (b["level_size_pct"] + b["level_growth_pct"] * (k - 1)) // 100
                wall = b["wall_levels_pct"] * (3 if px % SNAP_TICKS == 0 else 1)
                times = b["wall_times"] * (768 + (u & 511)) if (u >> 47) * 100 < wall << 16 else expo(u)
                levels[4 * k + 2 * side, row] = px
                levels[4 * k + 2 * side + 1, row] = min(max(1, (mean * times >> 10 << 16) // thinned), MAX_QTY_LOTS)
                k += 1
