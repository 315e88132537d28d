"""Kinds of day that `grinder generate` knows, and fixtures made of them: one symbol, or several, each with a day of its own.

Symbols of one fixture know nothing of each other: each is the day that its parameters and its seed make alone, and their rows stand
in one stream by time, then in ASCII order of symbols.

Of `multisymbol_topk_l1`, at the closes of 60 s bars (tests/test_generator.py measures it): quotes, time with a quote over 15 s old,
medians of the spread (bp), of the smaller side of L1 (quote), of NATR (bp), efficiency ratio and trend strength, and how far the
price goes in the day (bp).

                              quotes   stale   spread    least L1   natr  efficiency   trend     way
    AVAXUSDT makers_leave     23,669    0.0%     0.29     57,916    8.5        0.04     0.5     -13
    BTCUSDT  quiet_range      27,574    0.0%     0.02  1,246,588    3.7        0.04     0.5      +2
    DOGEUSDT slow_trend       22,107    0.0%     0.58    174,518    3.4        0.40     4.4   +1259
    ETHUSDT  midday_shock     27,838    0.0%     0.03    743,648    6.1        0.05     0.5      -2
    KSMUSDT  small_illiquid   14,076    8.9%     2.93      3,262    9.6        0.05     0.6      +4
    LINKUSDT morning_trend    22,910    0.0%     0.78    180,481    7.5        0.10     1.1    -984
    SOLUSDT  lively_range     28,493    0.0%     0.67     29,434   28.1        0.04     0.5      -6
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from grinder.data.fixture import Fixture, write_fixture
from grinder.data.generator import VERSION, Columns, complete, generate_day, wanted
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, DataError, IntegrityError

__all__ = ["CHARACTERS", "MARKETS", "Character", "Market", "Member", "generate_fixture", "own_seed", "regenerate"]

_BTC: Final = Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001")
_AVAX: Final = Instrument(symbol="AVAXUSDT", kind="perpetual", tick_size="0.001", lot_size="1")


@dataclass(frozen=True)
class Character:
    """A kind of day: what it is for, the parameters that differ from the defaults, and how to replay it."""

    shows: str
    parameters: Mapping[str, int]
    config: Mapping[str, Any]
    expect: Mapping[str, Any]
    instrument: Instrument = _BTC


@dataclass(frozen=True)
class Member:
    """One symbol of a market: a word for its day, what is traded, and the parameters that differ from the market's."""

    character: str
    instrument: Instrument
    parameters: Mapping[str, int]


@dataclass(frozen=True)
class Market:
    """A kind of day of several symbols: what it is for, the parameters of all, the symbols, and how to replay it."""

    shows: str
    parameters: Mapping[str, int]
    members: tuple[Member, ...]
    config: Mapping[str, Any]
    expect: Mapping[str, Any]


_GRID: Final = {"min_edge": "4bp", "quantity": "0.01"}
_SMALL: Final = {
    "price_ticks": 34_800,
    "quotes_per_day": 72_000,
    "volatility_minute_bp100": 800,
    "size_lots": 150,
    "spread_wide_pct": 4,
    "spread_wide_ticks": 2,
    "spread_stress_ticks": 2,
    "round_pct": 16,
    "level_gap_ticks": 2,
}
"""A market of a tenth of the size, where a tick is 0.3 bp."""
_EXPECT: Final = {"fills": 300, "buys": 100, "sells": 100, "cycles": 100, "realised": True}
CHARACTERS: Final[dict[str, Character]] = {
    "range_day": Character(
        "A ranging day: the price returns to its level again and again, and a grid earns",
        {},
        _GRID | {"step": "12bp", "levels": 12},
        _EXPECT,
    ),
    "trend_day": Character(
        "A trending day: long legs up and down with pauses and pullbacks, which leave a grid with inventory",
        {
            "start_day": 19_726,
            "volatility_minute_bp100": 500,
            "revert_minutes": 90,
            "level_minute_bp100": 180,
            "level_revert_minutes": 10_000,
            "leg_pairs": 2,
            "leg_minutes": 215,
            "leg_minute_bp100": 185,
        },
        _GRID | {"step": "12bp", "levels": 45, "quantity": "0.003", "max_open_orders": 200},
        _EXPECT,
    ),
    "vol_shock": Character(
        "A quiet day with volatility shocks: each drives the price, widens the spread, thins the book out and fades",
        {
            "start_day": 19_727,
            "quotes_per_day": 80_000,
            "volatility_minute_bp100": 420,
            "revert_minutes": 200,
            "level_revert_minutes": 600,
            "shocks": 6,
            "shock_log2_pct": 340,
            "shock_decay_minutes": 70,
        },
        _GRID | {"step": "20bp", "levels": 15},
        _EXPECT,
    ),
    "thin_book": Character(
        "A day on which the book of a smaller market collapses for minutes, mostly one side of it, while best prices look as ever",
        _SMALL
        | {
            "start_day": 19_728,
            "spells": 12,
            "spell_seconds": 240,
            "spell_thin_log2_pct": 430,
            "spell_thinnest_log2_pct": 600,
            "spell_best_pct": 40,
            "spell_levels_pct": 60,
        },
        _GRID | {"step": "15bp", "levels": 12, "quantity": "20"},
        _EXPECT | {"fills": 100, "buys": 30, "sells": 30, "cycles": 30},
        _AVAX,
    ),
    "impact_spike": Character(
        "A day on which levels of a smaller market's book come to lie far apart for seconds or minutes, so that size costs much",
        _SMALL
        | {
            "start_day": 19_729,
            "spells": 16,
            "spell_seconds": 60,
            "spell_attack_seconds": 4,
            "spell_recover_seconds": 20,
            "spell_thin_log2_pct": 120,
            "spell_thinnest_log2_pct": 280,
            "spell_best_pct": 100,
            "spell_gap_log2_pct": 250,
            "spell_widest_log2_pct": 560,
        },
        _GRID | {"step": "15bp", "levels": 12, "quantity": "20"},
        _EXPECT | {"fills": 100, "buys": 30, "sells": 30, "cycles": 30},
        _AVAX,
    ),
}
"""The kinds of day that `grinder generate` knows."""


def _perpetual(symbol: str, tick_size: str, lot_size: str) -> Instrument:
    return Instrument(symbol=symbol, kind="perpetual", tick_size=tick_size, lot_size=lot_size)


_STAYS: Final = {"level_revert_minutes": 10_000}
"""Where the price has gone, it stays."""
MARKETS: Final[dict[str, Market]] = {
    "multisymbol_topk": Market(
        "Seven perpetuals, each of its own character, of which the best three change during the day: LINK trends in the morning, "
        "makers leave AVAX from five to nine, a shock hits ETH at noon; DOGE trends slowly all day, KSM is small",
        {
            "start_day": 19_730,
            "quotes_per_day": 17_000,
            "slow_log2_pct": 20,
            "bursts_per_day": 20,
            "burst_log2_pct": 50,
            "intraday_pct": 50,
            "revert_minutes": 10,
            "level_minute_bp100": 30,
            "pace_swing_log2_pct": 60,
            "burst_quotes_pct": 120,
            "move_pct": 90,
            "round_pct": 3,
            "gap_max_ms": 7_000,
            "spread_wide_pct": 1,
            "size_least_pct": 25,
        },
        (
            Member(
                "quiet_range",
                _BTC,
                {
                    "price_ticks": 618_000,
                    "quotes_per_day": 24_000,
                    "volatility_minute_bp100": 300,
                    "size_lots": 40_000,
                    "round_pct": 26,
                },
            ),
            Member(
                "midday_shock",
                _perpetual("ETHUSDT", "0.01", "0.001"),
                {
                    "price_ticks": 324_500,
                    "quotes_per_day": 20_000,
                    "volatility_minute_bp100": 450,
                    "size_lots": 500_000,
                    "shocks": 1,
                    "shock_quiet_minutes": 705,
                    "shock_within_minutes": 60,
                    "shock_log2_pct": 380,
                    "shock_decay_minutes": 90,
                    "shock_move_bp": 250,
                    "shock_book_minutes": 40,
                },
            ),
            Member(
                "lively_range",
                _perpetual("SOLUSDT", "0.01", "1"),
                {
                    "price_ticks": 14_830,
                    "quotes_per_day": 24_000,
                    "volatility_minute_bp100": 2_000,
                    "size_lots": 400,
                    "spread_wide_ticks": 1,
                    "spread_stress_ticks": 1,
                },
            ),
            Member(
                "makers_leave",
                _perpetual("AVAXUSDT", "0.001", "1"),
                {
                    "price_ticks": 34_800,
                    "volatility_minute_bp100": 600,
                    "size_lots": 4_000,
                    "spread_wide_ticks": 2,
                    "spread_stress_ticks": 2,
                    "lean_at_minutes": 300,
                    "lean_minutes": 240,
                    "lean_size_log2_pct": 600,
                    "lean_spread_ticks": 110,
                },
            ),
            Member(
                "morning_trend",
                _perpetual("LINKUSDT", "0.001", "0.01"),
                _STAYS
                | {
                    "price_ticks": 14_215,
                    "volatility_minute_bp100": 550,
                    "size_lots": 2_800_000,
                    "spread_wide_ticks": 1,
                    "spread_stress_ticks": 2,
                    "trend_at_minutes": 180,
                    "trend_minutes": 510,
                    "trend_minute_bp100": 200,
                },
            ),
            Member(
                "slow_trend",
                _perpetual("DOGEUSDT", "0.00001", "1"),
                _STAYS
                | {
                    "price_ticks": 16_240,
                    "volatility_minute_bp100": 300,
                    "size_lots": 2_000_000,
                    "spread_wide_ticks": 1,
                    "spread_stress_ticks": 2,
                    "trend_minutes": 1_440,
                    "trend_minute_bp100": 90,
                },
            ),
            Member(
                "small_illiquid",
                _perpetual("KSMUSDT", "0.001", "0.1"),
                {
                    "price_ticks": 27_350,
                    "quotes_per_day": 14_000,
                    "volatility_minute_bp100": 800,
                    "size_lots": 2_400,
                    "spread_stress_ticks": 4,
                    "gap_max_ms": 22_000,
                    "lean_minutes": 1_440,
                    "lean_ramp_minutes": 1,
                    "lean_spread_ticks": 8,
                },
            ),
        ),
        {
            "min_edge": "4bp",
            "step": "15bp",
            "levels": 12,
            "quantity": {
                "AVAXUSDT": "6",
                "BTCUSDT": "0.003",
                "DOGEUSDT": "1200",
                "ETHUSDT": "0.06",
                "KSMUSDT": "7",
                "LINKUSDT": "14",
                "SOLUSDT": "1",
            },
        },
        _EXPECT | {"fills": 1_000, "buys": 500, "sells": 500, "cycles": 500},
    )
}
"""The kinds of day of several symbols."""


def generate_fixture(kind: str, seed: int, out: str | os.PathLike[str], *, parameters: Mapping[str, int] | None = None) -> Fixture:
    """Write a fixture folder with one day of quotes, and of books where their parameters are given.

    Args:
        kind: a key of `CHARACTERS` or `MARKETS`. seed: see `generate_day`; symbols of a market get their own from it.
        out: the folder, which must not exist.
        parameters: on top of the kind's; of a market, `NAME` is every symbol's and `SYMBOL.NAME` is one symbol's.

    Returns:
        The fixture as read back from disk; its manifest's `[generator]` holds all that `regenerate` needs.

    Raises:
        ConfigError: a name or value that is not allowed; nothing is written.
    """
    if kind in MARKETS:
        return _generate_market(kind, seed, out, parameters or {})
    if kind not in CHARACTERS:
        raise ConfigError(f"there is no character {kind!r}; there are {', '.join((*CHARACTERS, *MARKETS))}")
    one = CHARACTERS[kind]
    given = complete({**one.parameters, **(parameters or {})})
    return write_fixture(
        out,
        [one.instrument],
        merge_days([generate_day(given, seed)]),
        shows=one.shows,
        config=one.config,
        expect=one.expect,
        generator={"character": kind, "version": VERSION, "seed": seed, **given},
    )


def _generate_market(kind: str, seed: int, out: str | os.PathLike[str], parameters: Mapping[str, int]) -> Fixture:
    market = MARKETS[kind]
    members = {member.instrument.symbol: member for member in market.members}
    every, own = _split(parameters, members)
    shared = complete({**market.parameters, **every})
    days: list[Mapping[str, Columns]] = []
    tables: dict[str, dict[str, Any]] = {}
    for symbol, member in sorted(members.items()):
        given = complete({**market.parameters, **member.parameters, **every, **own[symbol]})
        days.append(generate_day(given, own_seed(seed, symbol)))
        differs = {name: value for name, value in given.items() if shared.get(name) != value}
        tables[symbol] = {"character": member.character, "seed": own_seed(seed, symbol), **differs}
    return write_fixture(
        out,
        [member.instrument for member in market.members],
        merge_days(days),
        shows=market.shows,
        config=market.config,
        expect=market.expect,
        generator={"character": kind, "version": VERSION, **shared, "symbols": tables},
    )


def _split(parameters: Mapping[str, int], symbols: Mapping[str, object]) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """What is given for every symbol, and what for each."""
    every: dict[str, int] = {}
    own: dict[str, dict[str, int]] = {symbol: {} for symbol in symbols}
    for name, value in parameters.items():
        symbol, dot, rest = name.rpartition(".")
        if dot and symbol not in symbols:
            raise ConfigError(f"generator: {name}: there is no symbol {symbol!r}; there are {', '.join(sorted(symbols))}")
        (own[symbol] if dot else every)[rest] = value
    return every, own


def own_seed(seed: int, symbol: str) -> int:
    """The seed of one symbol of a market: 63 bits of SHA-256, so that it does not depend on which others there are.

    >>> own_seed(7, "BTCUSDT") == own_seed(8, "BTCUSDT")
    False

    Raises:
        ConfigError: as for a day's own seed.
    """
    if type(seed) is not int or not 0 <= seed < 1 << 63:
        raise ConfigError(f"generator: seed = {seed!r}: allowed are whole numbers from 0 to {2**63 - 1}")
    return int.from_bytes(hashlib.sha256(f"{seed} {symbol}".encode()).digest()[:8]) >> 1


def merge_days(days: Sequence[Mapping[str, Columns]]) -> dict[str, Columns]:
    """The streams of each symbol, in ASCII order of symbols, as streams of all; rows by time, of equal times by symbol."""
    out = {}
    for stream in sorted({stream for day in days for stream in day}):
        parts = [{**day[stream], "symbol": np.full(len(day[stream]["ts"]), s)} for s, day in enumerate(days) if stream in day]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.argsort(whole["ts"], kind="stable")
        out[stream] = {name: values[order] for name, values in whole.items()}
    return out


def regenerate(data: Fixture) -> Fixture:
    """Make a generated fixture again from its manifest alone and compare the content.

    Raises:
        DataError: it was not generated. IntegrityError: another version of the generator made it, or the content differs.
    """
    where = f"{data.path / 'fixture.toml' if data.path else data.name}: [generator]"
    given = dict(data.manifest.get("generator", {}))
    if not given:
        raise DataError(f"{where} is missing: this fixture was not generated")
    version = given.pop("version", None)
    if type(version) is not int or version != VERSION:
        raise IntegrityError(f"{where} version = {version!r}; this grinder generates version {VERSION}")
    several = "symbols" in given
    tables = given.pop("symbols", {symbol: {} for symbol in data.symbols})
    _check_tables(tables, data, where)
    days = [
        _regenerate_day({**given, **tables[symbol]}, f"{where[:-1]}.symbols.{symbol}]" if several else where)
        for symbol in data.symbols
    ]
    made = Fixture.from_arrays(data.instruments, **merge_days(days), config=data.config, name=data.name)
    if made.content != data.content:
        raise IntegrityError(f"{where} gives content {made.content}, the fixture holds {data.content}: one of the two was changed")
    return made


def _check_tables(tables: object, data: Fixture, where: str) -> None:
    """Refuse what is not one table for each symbol of the fixture."""
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise IntegrityError(f"{where} symbols holds no tables: write one for each, such as [generator.symbols.{data.symbols[0]}]")
    if sorted(tables) != list(data.symbols):
        raise IntegrityError(f"{where} has tables of {', '.join(sorted(tables))}; the symbols here are {', '.join(data.symbols)}")


def _regenerate_day(table: Mapping[str, Any], where: str) -> dict[str, Columns]:
    """One symbol's day."""
    given = {name: value for name, value in table.items() if name not in ("character", "seed")}
    seed: Any = table.get("seed")
    missing = [name for name in wanted(given) if name not in given]
    if missing:
        raise IntegrityError(f"{where} lacks {', '.join(missing)}")
    try:
        return generate_day(given, seed)
    except ConfigError as error:
        raise IntegrityError(f"{where} cannot be generated: {error}") from None
