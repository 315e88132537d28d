"""LEAN's crypto bars: zipped minute (or second) bid/ask bars without a header, and its funding files.

A quote bar is `ms since midnight UTC, bid O,H,L,C, bid size, ask O,H,L,C, ask size`; the date is in the name of the file or of the
zip's member (`20260101_btcusd_minute_quote_perp.csv`), as are symbol and resolution. A bar that lacks one side is left out and
counted. Sizes in these files went through floats (`6.1153319800000006`): give the lot and `floor` to round them down.
Funding is `yyyymmdd hh:mm:ss,rate` in UTC, the symbol in its name (`funding_btcusd.csv`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from grinder.data import text as t
from grinder.data.bars import STEPS, bar_quotes, first_overlap, unlike_bar
from grinder.data.blocks import Block, Progress, blocks_of, member_name
from grinder.data.series import Part, Rules, Series
from grinder.data.table import Column, Layout, Times, read_table
from grinder.errors import ConfigError, InputFault

__all__ = ["read_lean"]

_BAR: Final = ("open", "high", "low", "close")
_COLUMNS: Final = (
    Column("ms since midnight", t.TIME, "ts"),
    *(Column(f"bid {name}", t.PRICE, f"bid_{name}", 1, optional=True) for name in _BAR),
    Column("bid size", t.QTY, "bid_qty", optional=True),
    *(Column(f"ask {name}", t.PRICE, f"ask_{name}", 1, optional=True) for name in _BAR),
    Column("ask size", t.QTY, "ask_qty", optional=True),
)
_SIDES: Final = [column.field for column in _COLUMNS if column.optional]
_FUNDING: Final = (Column("time", t.TIME, "ts"), Column("rate", t.RATE, "rate"))
_DATE: Final = re.compile(r"(?<!\d)(\d{8})(?!\d)")
_SYMBOLS: Final = (  # as in `funding_btcusd.csv`, `coinbase_minute_btcusd_20170903_quote.zip`, `20170903_btcusd_minute_quote.csv`
    re.compile(r"^funding_([a-z0-9]+)\."),
    re.compile(r"_(?:minute|second)_([a-z0-9]+)_\d{8}"),
    re.compile(r"^\d{8}_([a-z0-9]+)_(?:minute|second)_"),
)
_RESOLUTION: Final = {"minute": 60 * 10**9, "second": 10**9}
_STAMP: Final = re.compile(rb"(\d{4})(\d\d)(\d\d) (\d\d):(\d\d):(\d\d),")
_OF_DAY: Final = Times("ms", 0, 86_400_000, 10**6)


def read_lean(path: Path, rules: Rules, *, symbol: str | None, date: str | None, progress: Progress | None) -> Part:
    """One LEAN file: quote bars, or funding if its name begins with `funding`.

    Args:
        symbol: None tells it by the file's name. date: `yyyymmdd`; None tells it by the file's name.

    Raises:
        InputFault, ConfigError.
    """
    name = member_name(path)
    symbol = symbol or _symbol_in(name) or _symbol_in(path.name)
    if not symbol:
        raise ConfigError(f"{path}: its name does not tell the symbol, as in 20260101_btcusd_minute_quote.csv: give --symbol")
    if name.startswith("funding"):
        return _funding(path, rules, symbol, progress)
    if "trade" in name:
        raise InputFault("trade bars have no bid and ask", file=path, value=name, cure="import LEAN's quote bars")
    midnight, interval = _midnight(path, name, date), _resolution(path, name)

    def choose(cells: list[str], _: list[str] | None) -> Layout:
        if not cells[0].isdigit():
            cure = "LEAN's bars have no header; a row begins with ms since midnight"
            raise InputFault("not a quote bar", file=path, row=0, value=",".join(cells)[:80], cure=cure)
        tick, lot = rules.unit("tick_size", symbol), rules.unit("lot_size", symbol)
        return Layout(_COLUMNS, header=False, drops={"bar_without_side": _SIDES}, tick=tick, lot=lot)

    table = read_table(path, blocks_of(path), choose, floor=rules.floor, times=_OF_DAY, progress=progress)
    table.columns["ts"] += midnight
    table.unit, table.clock = "ms since midnight", lambda ns: str((ns - midnight) // 10**6)
    note = "LEAN bars: 4 quotes a bar, in the order of the mid (open, nearer extreme, other extreme, close)"
    return Part(symbol, "quotes", "quote bars", table, lambda series: _derive(series, interval), notes=(note,))


def _symbol_in(name: str) -> str | None:
    return next((found[1].upper() for pattern in _SYMBOLS if (found := pattern.search(name))), None)


def _midnight(path: Path, name: str, date: str | None) -> int:
    """The start of the file's day in ns."""
    found = _DATE.search(name) or _DATE.search(path.name)
    text = date or (found[1] if found else "")
    if not text:
        raise ConfigError(f"{path}: its name does not tell the date, as in 20260101_quote.zip: give --date")
    try:
        day = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(f"{path}: {text} is no date: give --date yyyymmdd") from None
    if not 2009 <= day.year < 2100:
        raise ConfigError(f"{path}: {text} is out of 2009..2100: give --date yyyymmdd")
    return int(day.timestamp()) * 10**9


def _resolution(path: Path, name: str) -> int:
    """The length of the file's bars in ns."""
    for word, length in _RESOLUTION.items():
        if word in name or word in path.name:
            return length
    if any(word in name or word in path.name for word in ("tick", "hour", "daily")):
        raise InputFault("neither minute nor second bars", file=path, value=name, cure="import LEAN's minute or second quote bars")
    return _RESOLUTION["minute"]


def _derive(series: Series, interval: int) -> None:
    """Bid and ask bars become quotes; what is no bar is a fault."""
    given = series.columns
    sides = {side: {name: given[f"{side}_{name}"] for name in _BAR} for side in ("bid", "ask")}
    for side, bar in sides.items():
        if (bad := unlike_bar(bar)) is not None:
            column = f"{side}_{bad[1]}"
            reason, cure = f"{bad[1]} outside low and high", "the file was altered: fetch it again"
            raise series.fault(reason, bad[0], column, int(given[column][bad[0]]), cure)
    if (row := first_overlap(given["ts"], interval)) is not None:
        raise series.fault("bars overlap", row, "ts", int(given["ts"][row]), f"bars are {interval // 10**9} s apart, each once")
    series.columns = bar_quotes(given["ts"], interval, sides["bid"], sides["ask"], given["bid_qty"], given["ask_qty"])
    series.origin = np.repeat(np.arange(len(given["ts"])), STEPS)


def _funding(path: Path, rules: Rules, symbol: str, progress: Progress | None) -> Part:
    """Funding rates; their mark is the last mid of the same import's quotes."""

    def choose(_: list[str], __: list[str] | None) -> Layout:
        return Layout(_FUNDING, header=False)

    blocks = _stamped(path)
    table = read_table(path, blocks, choose, floor=rules.floor, times=Times.of("s"), progress=progress)
    table.clock = lambda ns: f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y%m%d %H:%M:%S}"
    return Part(symbol, "funding", "funding", table)


def _stamped(path: Path) -> Iterator[Block]:
    """The blocks of a funding file with its dates as seconds since 1970, so that one parser does for all."""
    row = 0
    for block in blocks_of(path):
        lines = block.text[block.start : block.stop].tobytes().split(b"\n")[:-1]
        made = bytearray()
        for line in lines:
            found = _STAMP.match(line)
            try:
                when = datetime(*map(int, found.groups()), tzinfo=UTC) if found else None  # type: ignore[arg-type,misc]
            except ValueError:
                when = None
            if found is None or when is None:
                shown = line[:80].decode("utf-8", "backslashreplace")
                raise InputFault("not a time and a rate", file=path, row=row, value=shown, cure="write yyyymmdd hh:mm:ss,rate")
            made += b"%d,%s\n" % (int(when.timestamp()), line[found.end() :])
            row += 1
        yield Block(np.frombuffer(made, np.uint8), 0, len(made), block.done, block.total)
