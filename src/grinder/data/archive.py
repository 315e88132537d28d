"""Binance's public archive: bookTicker, aggTrades, trades, klines and fundingRate as daily or monthly CSV files.

Files come with a header or without, plain, zipped or gzipped; their names tell symbol and kind (`BTCUSDT-trades-2024-01-01.zip`,
`BTCUSDT-1m-2024-01.zip` for klines). Times are ms, in spot files from 2025 on us; each file's unit is told by its first time and
must hold for all of it. Quotes take `transaction_time`, trades the time of the (first) trade. Funding carries no mark price: the
last accepted mid of the same import's quotes at or before it is taken, floored to a tick.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from grinder.data import text as t
from grinder.data.bars import STEPS, around, bar_quotes, first_overlap, unlike_bar
from grinder.data.blocks import Progress, blocks_of, member_name
from grinder.data.series import Part, Rules, Series
from grinder.data.table import TIME_UNITS, Column, Layout, Times, Unit, read_table
from grinder.errors import ConfigError, InputFault
from grinder.units import exact_units

__all__ = ["KINDS", "read_archive"]

KINDS: Final[dict[str, tuple[str, tuple[Column, ...]]]] = {
    "bookTicker": (
        "quotes",
        (
            Column("update_id", t.COUNT, "update_id"),
            Column("best_bid_price", t.PRICE, "bid_px", 1),
            Column("best_bid_qty", t.QTY, "bid_qty"),
            Column("best_ask_price", t.PRICE, "ask_px", 1),
            Column("best_ask_qty", t.QTY, "ask_qty"),
            Column("transaction_time", t.TIME, "ts"),
            Column("event_time", t.TIME),
        ),
    ),
    "aggTrades": (
        "trades",
        (
            Column("agg_trade_id", t.COUNT, "id"),
            Column("price", t.PRICE, "px", 1),
            Column("quantity", t.QTY, "qty", 1),
            Column("first_trade_id", t.COUNT),
            Column("last_trade_id", t.COUNT),
            Column("transact_time", t.TIME, "ts"),
            Column("is_buyer_maker", t.TRUTH, "aggressor"),
            Column("is_best_match", t.TRUTH),
        ),
    ),
    "trades": (
        "trades",
        (
            Column("id", t.COUNT, "id"),
            Column("price", t.PRICE, "px", 1),
            Column("qty", t.QTY, "qty", 1),
            Column("quote_qty", t.NUMBER),
            Column("time", t.TIME, "ts"),
            Column("is_buyer_maker", t.TRUTH, "aggressor"),
            Column("is_best_match", t.TRUTH),
        ),
    ),
    "klines": (
        "quotes",
        (
            Column("open_time", t.TIME, "ts"),
            Column("open", t.PRICE, "open", 1),
            Column("high", t.PRICE, "high", 1),
            Column("low", t.PRICE, "low", 1),
            Column("close", t.PRICE, "close", 1),
            Column("volume", t.NUMBER),
            Column("close_time", t.TIME, "end"),
            Column("quote_volume", t.NUMBER),
            Column("count", t.COUNT),
            Column("taker_buy_volume", t.NUMBER),
            Column("taker_buy_quote_volume", t.NUMBER),
            Column("ignore", t.SKIP),
        ),
    ),
    "fundingRate": (
        "funding",
        (
            Column("calc_time", t.TIME, "ts"),
            Column("funding_interval_hours", t.COUNT),
            Column("last_funding_rate", t.RATE, "rate"),
        ),
    ),
}
"""Kind of file -> (stream that it makes, its columns in order). Spot trades have `is_best_match` at the end, futures have not."""

_NAME: Final = re.compile(
    r"(?P<symbol>[A-Z0-9_]{1,32})-(?:(?P<kind>bookTicker|aggTrades|trades|fundingRate)|"
    r"(?P<interval>\d{1,2}(?:s|m|h|d|w|mo|M)))-\d{4}-\d{2}(?:-\d{2})?\.csv"
)


class Bars(NamedTuple):
    """What klines do not tell: the spread in ticks around their prices and the quantity at the best, as decimal text."""

    spread_ticks: int | None = None
    size: str | None = None


_INVERSE: Final = re.compile(r"USD_(PERP|\d{6})$")


def read_archive(
    path: Path, rules: Rules, *, data: str | None, symbol: str | None, bars: Bars, unit: str | None, progress: Progress | None
) -> Part:
    """One file of the archive.

    Args:
        data: its kind, one of KINDS; None tells it by its name or its header. symbol: None tells it by its name.
        bars: needed for klines. unit: of its times; None tells it by their magnitude.

    Raises:
        InputFault, ConfigError.
    """
    name = member_name(path)
    named = _NAME.fullmatch(name) or _NAME.fullmatch(path.name.rpartition(".")[0] + ".csv")
    found = named["symbol"] if named else None
    if symbol and found and symbol != found:
        raise InputFault("wrong symbol", file=path, value=found, cure=f"the file's name says {found}, the option {symbol}")
    symbol = symbol or found
    if not symbol:
        raise ConfigError(f"{path}: its name does not tell the symbol, as in BTCUSDT-trades-2024-01-01.zip: give --symbol")
    if _INVERSE.search(symbol):
        raise ConfigError(f"{path}: {symbol} is an inverse contract (COIN-M): its value is not linear in price; use the USD-M one")
    told = None if named is None else named["kind"] or "klines"
    if data and told and data != told:
        raise InputFault("wrong kind of file", file=path, value=told, cure=f"the file's name says {told}, the option {data}")
    chosen: list[str] = []

    def choose(cells: list[str], _: list[str] | None) -> Layout:
        kind, layout = _layout(path, cells, data or told)
        chosen.append(kind)
        return layout._replace(tick=rules.unit("tick_size", symbol), lot=rules.unit("lot_size", symbol))

    table = read_table(path, blocks_of(path), choose, floor=rules.floor, times=Times.of(unit), progress=progress)
    (kind,) = chosen
    if kind == "klines":
        return _klines(Part(symbol, "quotes", kind, table), bars, rules)
    return Part(symbol, KINDS[kind][0], kind, table)


def _layout(path: Path, cells: Sequence[str], kind: str | None) -> tuple[str, Layout]:
    """Kind and layout, by the header if there is one: its columns must be the kind's own, in any order."""
    if cells[0][:1].isdigit():
        if kind is None:
            cure = f"give --data, one of {', '.join(KINDS)}"
            raise InputFault("neither its name nor a header tells what this file is", file=path, row=0, cure=cure)
        columns = list(KINDS[kind][1])
        return kind, Layout(columns if len(cells) == len(columns) else _without_best_match(columns), header=False)
    names = [cell.lower() for cell in cells]
    kind = kind or next(
        (k for k, (_, columns) in KINDS.items() if {c.name for c in _without_best_match(columns)} <= set(names)), None
    )
    if kind is None:
        raise InputFault("an unknown header", file=path, row=0, value=",".join(cells)[:80], cure=f"known are {', '.join(KINDS)}")
    known = {column.name: column for column in KINDS[kind][1]}
    for name in [n for n in known if n not in names and n != "is_best_match"]:
        raise InputFault("missing column", file=path, row=0, column=name, cure=f"{kind} have {', '.join(known)}")
    for name in names:
        if name not in known or names.count(name) > 1:
            raise InputFault("extra column", file=path, row=0, column=name, cure=f"{kind} have {', '.join(known)}")
    return kind, Layout([known[name] for name in names], header=True)


def _without_best_match(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column.name != "is_best_match"]


def _klines(part: Part, bars: Bars, rules: Rules) -> Part:
    """Klines with what turns them into quotes once the tick is known."""
    spread, size = bars
    if spread is None or size is None:
        raise ConfigError(f"{part.table.path}: klines have no bid, ask or quantity: give --spread-ticks and --size")
    if spread < 0:
        raise ConfigError(f"--spread-ticks {spread}: it cannot be negative")
    part.sample = Unit.of(size, "--size").places
    lot = rules.unit("lot_size", part.symbol)
    if lot:
        exact_units(size, lot.size, "--size")
    part.table.columns["end"] += TIME_UNITS[part.table.unit]  # the last instant of a bar, in its unit; now the next bar's first
    wide = 2 * ((spread + 1) // 2)
    part.notes = (
        f"klines: 4 quotes a bar (open, nearer extreme, other extreme, close), spread {wide} ticks"
        + (f" (asked for {spread}, rounded passively)" if wide != spread else "")
        + f", {size} a side",
    )

    def derive(series: Series) -> None:
        """Bars of mid prices become quotes; what is no bar is a fault."""
        given = series.columns
        bar = {name: given[name] for name in ("open", "high", "low", "close")}
        if (bad := unlike_bar(bar)) is not None:
            value = int(bar[bad[1]][bad[0]])
            raise series.fault(f"{bad[1]} outside low and high", bad[0], bad[1], value, "the file was altered: fetch it again")
        interval = given["end"] - given["ts"]
        if (interval <= 0).any():
            row = int(np.argmax(interval <= 0))
            value = int(given["end"][row]) - TIME_UNITS[series.place(row)[0].table.unit]
            raise series.fault("a bar that ends before it begins", row, "end", value, "remove the row")
        if (again := first_overlap(given["ts"], interval)) is not None:
            cure = "a bar is there twice, or bars of two lengths are mixed: keep one of them"
            raise series.fault("bars overlap", again, "ts", int(given["ts"][again]), cure)
        under = bar["low"] <= wide // 2
        if under.any():
            row = int(np.argmax(under))
            raise series.fault("the spread leaves no bid over 0", row, "low", int(bar["low"][row]), "give a smaller --spread-ticks")
        bid, ask = around(bar, spread)
        lots = exact_units(size, lot.size if lot else Fraction(1, 10 ** part.table.places[t.QTY]), "--size")
        series.columns = bar_quotes(given["ts"], interval, bid, ask, lots, lots)
        series.origin = np.repeat(np.arange(len(given["ts"])), STEPS)

    part.derive = derive
    return part
