"""Tardis CSV files: quotes (and book_ticker), trades, book_snapshot_N, derivative_ticker. Times are us in UTC.

Files are ordered by `local_timestamp`, the arrival of a message, so that is the default clock; the exchange's own may run back. An
update without one side is left out and counted, and so is a book of which a kept level has a price without an amount, or an amount
without a price. Levels from `top_n` on need only be numbers. Ids of trades that are text (some exchanges) give way to the row's
number.

A derivative_ticker row tells the rate of the *next* payment and its time. Funding is paid at `funding_timestamp`, with the rate and
mark price of the last row at or before it; a payment that lies behind the last row is not made. A missing mark price is the last
mid of the same import's quotes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from grinder.data import text as t
from grinder.data.blocks import Progress, blocks_of
from grinder.data.series import Part, Rules, Series
from grinder.data.table import Column, Layout, Times, read_table
from grinder.errors import ConfigError, InputFault

__all__ = ["CLOCKS", "read_tardis"]

CLOCKS: Final = {"local": "local_timestamp", "exchange": "timestamp"}
_HEAD: Final = ("exchange", "symbol", "timestamp", "local_timestamp")
_QUOTES: Final = {"ask_amount": "ask_qty", "ask_price": "ask_px", "bid_price": "bid_px", "bid_amount": "bid_qty"}
_TRADES: Final = {"id": "id", "side": "aggressor", "price": "px", "amount": "qty"}
_TICKER: Final = (
    "funding_timestamp",
    "funding_rate",
    "predicted_funding_rate",
    "open_interest",
    "last_price",
    "index_price",
    "mark_price",
)
_LEVEL: Final = re.compile(r"(ask|bid)s\[(\d{1,3})\]\.(price|amount)")


def read_tardis(path: Path, rules: Rules, *, symbol: str | None, clock: str, top_n: int, progress: Progress | None) -> Part:
    """One Tardis file; its header tells what it is.

    Args:
        symbol: rows of others are dropped and counted; None takes the only one there is.
        clock: "local" or "exchange", which time orders events. top_n: levels a side to keep of a book snapshot.

    Raises:
        InputFault, ConfigError.
    """
    if clock not in CLOCKS:
        raise ConfigError(f"clock {clock!r}: there are {', '.join(CLOCKS)}")
    if not 1 <= top_n <= 1000:
        raise ConfigError(f"top_n {top_n}: keep 1 to 1000 levels a side")
    found: list[tuple[str, str, str]] = []

    def choose(cells: list[str], second: list[str] | None) -> Layout:
        what, columns, drops, note = _layout(path, cells, second, clock, top_n)
        place = cells.index("symbol")
        mine = symbol or (second[place] if second and len(second) > place else "")
        found.append((what, mine, note))
        tick, lot = rules.unit("tick_size", mine), rules.unit("lot_size", mine)
        drops = {"other_symbol": ["symbol"], **drops}
        return Layout(columns, header=True, wanted=mine, chosen=bool(symbol), drops=drops, tick=tick, lot=lot)

    table = read_table(path, blocks_of(path), choose, floor=rules.floor, times=Times.of("us"), progress=progress)
    ((what, mine, note),) = found
    derive = {"quotes": None, "trades": _numbered, "derivative_ticker": _payments}.get(what, _levels)
    stream = {"quotes": "quotes", "trades": "trades", "derivative_ticker": "funding"}.get(what, "books")
    return Part(mine, stream, what, table, derive, notes=(note,) if note else ())


def _layout(
    path: Path, cells: list[str], second: list[str] | None, clock: str, top_n: int
) -> tuple[str, list[Column], dict[str, list[str]], str]:
    """What the header says the file is: its kind, columns, what drops a row, and a note for the report."""
    other = "exchange" if clock == "local" else "local"
    columns = {"symbol": Column("symbol", t.NAME, "symbol"), "exchange": Column("exchange", t.SKIP)}
    columns[CLOCKS[clock]] = Column(CLOCKS[clock], t.TIME, "ts")
    columns[CLOCKS[other]] = Column(CLOCKS[other], t.TIME, f"ts_{other}")
    drops: dict[str, list[str]] = {}
    note = ""
    rest = set(cells) - set(_HEAD)
    if rest & set(_QUOTES) == set(_QUOTES):
        what, names = "quotes", [*_HEAD, *_QUOTES]
        for name, field in _QUOTES.items():
            price = field.endswith("px")
            columns[name] = Column(name, t.PRICE if price else t.QTY, field, int(price), optional=True)
        drops["quote_without_side"] = list(_QUOTES.values())
    elif "side" in rest and set(_TRADES) & rest:
        what, names = "trades", [*_HEAD, *_TRADES]
        columns |= {"side": Column("side", t.SIDE, "aggressor"), "price": Column("price", t.PRICE, "px", 1)}
        columns |= {"amount": Column("amount", t.QTY, "qty", 1), "id": Column("id", t.COUNT, "id")}
        place = cells.index("id") if "id" in cells else -1
        if second is not None and 0 <= place < len(second) and not (second[place].isdigit() and len(second[place]) < 19):
            columns["id"] = Column("id", t.SKIP)
            note = "trades are numbered by row: the exchange's ids are no whole numbers, so repeated trades cannot be told"
    elif "funding_timestamp" in rest:
        what, names = "derivative_ticker", [*_HEAD, *_TICKER]
        columns |= {name: Column(name, t.SKIP) for name in _TICKER}
        columns["funding_timestamp"] = Column("funding_timestamp", t.TIME, "due", optional=True)
        columns["funding_rate"] = Column("funding_rate", t.RATE, "rate", optional=True)
        columns["mark_price"] = Column("mark_price", t.MARK, "mark_px", 1, optional=True)
        drops = {"funding_without_time": ["due"], "funding_without_rate": ["rate"]}
    else:
        found = [match for cell in cells if (match := _LEVEL.fullmatch(cell))]
        depth = 1 + max((int(match[2]) for match in found), default=-1)
        if not depth:
            cure = "known are quotes, trades, book_snapshot_5, book_snapshot_25 and derivative_ticker"
            raise InputFault("an unknown header", file=path, row=0, value=",".join(cells)[:80], cure=cure)
        what, names = f"book_snapshot_{depth}", [*_HEAD, *_level_names(depth)]
        for match in found:
            field = f"{match[1]}_{'px' if match[3] == 'price' else 'qty'}_{int(match[2])}"
            price = match[3] == "price"
            kind = t.PRICE if price else t.QTY
            kept = Column(match[0], kind, field, int(price), optional=True)
            columns[match[0]] = kept if int(match[2]) < top_n else Column(match[0], t.NUMBER, optional=True)
        drops["book_without_side"] = [f"{side}_{what}_0" for side in ("bid", "ask") for what in ("px", "qty")]
    for name in names:
        if cells.count(name) != 1:
            reason = "extra column" if name in cells else "missing column"
            raise InputFault(reason, file=path, row=0, column=name, cure=f"{what} have {', '.join(names[:12])}")
    for name in cells:
        if name not in names:
            raise InputFault("extra column", file=path, row=0, column=name, cure=f"{what} have {', '.join(names[:12])}")
    return what, [columns[name] for name in cells], drops, note


def _level_names(depth: int) -> list[str]:
    return [f"{side}s[{i}].{what}" for i in range(depth) for side in ("ask", "bid") for what in ("price", "amount")]


def _numbered(series: Series) -> None:
    """Trades without a whole number as id take the number of their row."""
    if "id" not in series.columns:
        series.columns["id"] = np.arange(len(series.columns["ts"]), dtype=np.int64)


def _levels(series: Series) -> None:
    """A level that is not there is 0, as in every book of a fixture; a book with half a level is left out."""
    half = np.zeros(len(series.columns["ts"]), bool)
    for name in [name for name in series.columns if "_px_" in name]:
        price, quantity = (series.columns[name.replace("px", what)] for what in ("px", "qty"))
        no_price, no_quantity = price == t.ABSENT, quantity == t.ABSENT
        half |= no_price != no_quantity
        price[no_price] = 0
        quantity[no_quantity] = 0
    count = int(np.count_nonzero(half))
    if count == len(half):
        cure = f"book_with_half_level {count}"
        raise InputFault("no_ticks: every row was left out", file=series.parts[0].table.path, cure=cure)
    if count:
        series.dropped["book_with_half_level"] += count
        series.keep(np.flatnonzero(~half))


def _payments(series: Series) -> None:
    """From rates told to funding paid: one row for each funding time that has passed."""
    given = series.columns
    told = np.flatnonzero(given["ts"] <= given["due"])
    dues, last = np.unique(given["due"][told][::-1], return_index=True)
    rows = told[::-1][last]
    paid = dues <= (given["ts"][-1] if len(given["ts"]) else 0)
    series.dropped["funding_not_due"] += int(np.count_nonzero(~paid))
    series.dropped["funding_rates_superseded"] += len(given["ts"]) - len(dues)
    series.columns = {"ts": dues[paid], "rate": given["rate"][rows[paid]], "mark_px": given["mark_px"][rows[paid]]}
    series.origin, series.renamed = rows[paid], {"ts": "due"}
