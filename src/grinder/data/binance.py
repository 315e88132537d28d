"""Raw Binance websocket recordings: lines `local_ns json` become integer columns (SPEC 1.6, 2.1, 2.2).

A recording holds the `bookTicker`, `trade` and `depth` streams and REST snapshots of the book, of USD-M futures or of
spot. One pass over the file checks every line and packs it into int64 tables, where each distinct decimal text stands
as a code until the units are known. A second pass, over the depth events only, rebuilds the book.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from array import array
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain
from math import gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from grinder.data.merging import merge
from grinder.data.validation import check_stream, quarantined
from grinder.errors import ConfigError, InputFault, NumberError
from grinder.intake import bomb
from grinder.records import Events, Fault, Stream
from grinder.units import MAX_PRICE_TICKS, NS_PER_MS, format_units, parse_decimal, parse_ratio

__all__ = ["MAX_LINE_BYTES", "ImportReport", "Recording", "judge", "read_recording", "stream_columns"]

Columns = dict[str, NDArray[np.int64]]
Progress = Callable[[int, int], None]
Handler = Callable[[int, int, dict[str, Any]], None]

MAX_LINE_BYTES: Final = 16 * 2**20
_CHUNK: Final = 2**20
_MAX_LOTS: Final = 2**53
_ABSENT: Final = -(2**63)
_TIMES_MS: Final = (1_230_768_000_000, 4_102_444_800_000)  # 2009-01-01 to 2100-01-01
_TIMES_NS: Final = (_TIMES_MS[0] * NS_PER_MS, _TIMES_MS[1] * NS_PER_MS)
_NUMBER: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_STREAM: Final = re.compile(r"([a-z0-9_]{1,40})@(bookTicker|trade|depth|depth@[0-9]{1,5}ms)", re.ASCII)
_AGAIN: Final = "the file was cut or altered: fetch it again, or remove the line"
_INTS: Final = ("T", "E", "U", "u", "pu", "t", "lastUpdateId")
_TEXTS: Final = ("b", "B", "a", "A", "p", "q", "bids", "asks")
_BEST: Final = ("bid_px", "bid_qty", "ask_px", "ask_qty")
# The columns of the packed tables; a snapshot is packed like a diff, its id standing for both U and u.
_QUOTE: Final = ("row", "ts_local", "ts_exchange", "update_id", *_BEST)
_TRADE: Final = ("row", "ts_local", "ts_exchange", "id", "px", "qty", "aggressor")
_DEPTH: Final = ("row", "ts_local", "ts_exchange", "first_id", "update_id", "previous_id", "start", "bids", "asks")
_FIELDS: Final = dict(zip(_DEPTH[1:6], ("local_ns", "T or E", "U", "u", "pu"), strict=True)) | {"id": "t"}
_JSON_NAMES: Final = {("quotes", name): field for name, field in zip(_BEST, "bBaA", strict=True)} | {
    ("trades", "px"): "p",
    ("trades", "qty"): "q",
}
_pack_quote, _pack_trade, _pack_depth = (struct.Struct(f"={len(names)}q").pack for names in (_QUOTE, _TRADE, _DEPTH))


@dataclass(frozen=True)
class ImportReport:
    """What an import read, dropped and found; every line is in a stream, a snapshot or dropped.

    `gaps` and `disagreeing` list pairs (row of the books, line of the file), both from 0. `quarantined` counts the rows that
    stay in the data for the replay to quarantine, by `stream.reason` as `validation.quarantined` does, from the same rules:
    `crossed` is the number of those that are crossed, `disagreeing` lists the books unlike the quotes. `reordered` counts the
    rows of each stream that stand elsewhere than in the file. `ts_range` is ns.
    `lag_ms` is the lower median of local minus exchange time over all rows, floored to ms; None on the local clock.
    """

    file: str
    lines: int
    rows: dict[str, int]
    snapshots: int
    dropped: dict[str, int]
    quarantined: dict[str, int]
    gaps: tuple[tuple[int, int], ...]
    crossed: int
    disagreeing: tuple[tuple[int, int], ...]
    ts_range: tuple[int, int]
    reordered: dict[str, int]
    tick_size: str
    lot_size: str
    inferred: tuple[str, ...]
    clock: str
    lag_ms: int | None

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types; tuples become lists."""
        plain: dict[str, Any] = orjson.loads(orjson.dumps(asdict(self)))
        return plain

    def __str__(self) -> str:
        def counts(items: dict[str, int]) -> str:
            return ", ".join(f"{name} {count:,}" for name, count in items.items()) or "none"

        def pairs(items: tuple[tuple[int, int], ...]) -> str:
            shown = [f"book {book} (line {line})" for book, line in items[:10]] + ["..."] * (len(items) > 10)
            return f"{len(items):,}" + (": " + ", ".join(shown) if items else "")

        units = ", ".join(
            f"{name} {getattr(self, name)} ({'inferred' if name in self.inferred else 'given'})"
            for name in ("tick_size", "lot_size")
        )
        start, end = (np.datetime64(ts, "ns") for ts in self.ts_range)
        lag = "" if self.lag_ms is None else f", local minus exchange time {self.lag_ms:,} ms (median)"
        return (
            f"{self.file}: {self.lines:,} lines, {start} to {end} UTC\n"
            f"  rows         {counts(self.rows)}; snapshots {self.snapshots:,}\n"
            f"  units        {units}\n"
            f"  clock        {self.clock}{lag}\n"
            f"  dropped      {counts(self.dropped)}\n"
            f"  quarantined  {counts(self.quarantined)}\n"
            f"  reordered    {counts(self.reordered)}\n"
            f"  crossed      {self.crossed:,}\n"
            f"  id gaps      {pairs(self.gaps)}\n"
            f"  disagreeing  {pairs(self.disagreeing)}"
        )


@dataclass(frozen=True)
class Recording:
    """The streams of one symbol as int64 columns: times in ns, prices in ticks, quantities in lots.

    quotes: ts, bid_px, bid_qty, ask_px, ask_qty, ts_exchange, ts_local, update_id; each (n,).
    trades: ts, id, px, qty, aggressor (+1 the buyer took, -1 the seller), ts_exchange, ts_local; each (n,).
    books: ts, update_id, ts_exchange, ts_local, each (n,); bid_px, bid_qty, ask_px, ask_qty, each (n, top_n), best
    first, 0 where a side has fewer levels.

    `clock` tells whether `ts` is `ts_exchange` or `ts_local` (`ts_exchange` is 0 where the exchange sent no time). Each
    stream is ordered by `ts`, then update or trade id, then line.
    """

    symbol: str
    clock: str
    tick_size: str
    lot_size: str
    quotes: Columns
    trades: Columns
    books: Columns
    report: ImportReport


def read_recording(
    path: str | os.PathLike[str],
    *,
    symbol: str | None = None,
    tick_size: str | None = None,
    lot_size: str | None = None,
    clock: str | None = None,
    top_n: int = 10,
    max_jump: str = "20%",
    progress: Progress | None = None,
) -> Recording:
    """Reads a raw recording of lines `local_ns json`, gzipped or plain (told by its first bytes).

    Args:
        path: the recording.
        symbol: such as "BTCUSDT"; needed when the file holds several. Lines of the others are dropped and counted, and
            so are the snapshots of such a file, because a snapshot does not name its symbol: it then gives no books.
        tick_size, lot_size: decimal text; None takes the largest power of ten, at most 1, that divides every price
            (quantity) of the recording.
        clock: "exchange" (field T, else E) or "local"; None takes "exchange" if every row has such a time.
        top_n: levels a side of a book row, 1 to 1000.
        max_jump: the ratio from which on a price is a jump (SPEC 2.2), as in `Config`.
        progress: called now and then with (bytes done, bytes in all) of the file as stored.

    Books follow Binance's procedure: a diff that the snapshot covers is dropped, the next one must overlap the
    snapshot, and each further one must continue the one before (USD-M by `pu`, spot by `U`). Where that fails the row
    is a gap: it is listed and the book goes on. Update ids decide, not places in the file: a diff that came before the
    snapshot and is newer counts (its local time stays its own), and a later snapshot replaces the book at its id.
    Trades that did not happen in the book (`X` other than MARKET: insurance fund, auto-deleveraging) are dropped and
    counted.

    A book may lack a side: its price and quantity are 0 there. A book disagrees when there are quotes at its exact `ts` and
    none has its best prices. Quantities are left out: a quote may be newer than a diff of the same millisecond and differ rightly.

    Raises:
        InputFault: the file cannot be read, is damaged, or has a row that SPEC 2.2 rejects.
        ConfigError: an argument is wrong.
    """
    if clock not in (None, "exchange", "local"):
        raise ConfigError(f"clock {clock!r} is unknown: use 'exchange', 'local' or None")
    if type(top_n) is not int or not 1 <= top_n <= 1000:
        raise ConfigError(f"top_n {top_n!r} is no number of levels: use 1 to 1000")
    parser = _Parser(Path(path), symbol, tick_size, lot_size)
    parser.read(progress)
    return _assemble(parser, clock, top_n, parse_ratio(max_jump, "max_jump"))


class _BadText(ValueError):
    """Text that is no legal price or quantity, and the cure."""

    def __init__(self, reason: str, value: object, cure: str) -> None:
        super().__init__(reason)
        self.value, self.cure = value, cure


class _Texts(dict[str, int]):
    """The distinct decimal texts of one kind: each is checked once and given a code (0, 1, ... as they appear)."""

    def __init__(self, kind: str, unit: str | None, cursor: list[int]) -> None:
        super().__init__()
        self.kind, self.cursor, self.rows = kind, cursor, array("q")
        self.least = 1 if kind == "price" else 0
        self.unit = None if unit is None else parse_decimal(unit)
        if self.unit is not None and self.unit <= 0:
            raise ConfigError(f"a {kind} unit of {unit} must be over 0")

    def __missing__(self, text: object) -> int:
        if not isinstance(text, str) or not _NUMBER.fullmatch(text):
            raise _BadText(f"a {self.kind} must be plain decimal text and not negative", text, self._cure(text))
        if self.least and not text.strip("0."):
            raise _BadText(f"a {self.kind} must be over 0", text, self._cure(text))
        if self.unit is not None and (parse_decimal(text) / self.unit).denominator != 1:
            raise _BadText(f"no multiple of {format_units(1, self.unit)}", text, self._cure(text))
        code = self[text] = len(self)
        self.rows.append(self.cursor[0])
        return code

    def _cure(self, text: Any) -> str:
        """The nearest legal values as JSON text, or an example where nothing is near."""
        try:
            value = parse_decimal(text)
        except NumberError:
            value = Fraction(10**18)
        if abs(value) >= 10**18 or (self.unit is None and value <= 0 < self.least):
            return f'a {self.kind} looks like "{"61800.10" if self.least else "0.250"}"'
        unit = self.unit or (value if value > 0 else Fraction(1))
        low = value // unit
        legal = sorted({max(self.least, count) for count in (low, low + (value % unit != 0))})
        return "the nearest legal value is " + " or ".join(f'"{format_units(count, unit)}"' for count in legal)

    def scaled(self) -> tuple[Fraction, list[int]]:
        """The unit, given or inferred, and how many of it each code is."""
        parts = [text.partition(".") for text in self]
        places = max((len(decimals) for _, _, decimals in parts), default=0)
        values = [int(whole + decimals.ljust(places, "0")) for whole, _, decimals in parts]
        common, power = gcd(*values), 0
        while power < places and common % 10 ** (power + 1) == 0:
            power += 1
        unit = self.unit or Fraction(10**power, 10**places)
        ratio = unit * 10**places
        return unit, [value * ratio.denominator // ratio.numerator for value in values]


class _Parser:
    """Packs the rows of one symbol into tables with the columns _QUOTE, _TRADE and _DEPTH."""

    def __init__(self, path: Path, symbol: str | None, tick_size: str | None, lot_size: str | None) -> None:
        self.path, self.symbol, self.chosen = path, (symbol or "").upper(), bool(symbol)
        self.cursor = [-1]
        self.price, self.quantity = _Texts("price", tick_size, self.cursor), _Texts("quantity", lot_size, self.cursor)
        self.quotes, self.trades, self.depth, self.snapshots = bytearray(), bytearray(), bytearray(), bytearray()
        self.level_px, self.level_qty = array("q"), array("q")
        self.dropped: Counter[str] = Counter()
        self.streams: dict[str, tuple[Handler, str]] = {}

    def read(self, progress: Progress | None) -> None:
        """Packs every line of the file; whatever is wrong with one is an InputFault."""
        row, loads, streams, cursor = -1, orjson.loads, self.streams, self.cursor
        for lines, done, total in _lines(self.path):
            for line in lines:
                row += 1
                cursor[0] = row
                try:
                    local, _, text = line.partition(b" ")
                    if not local.isdigit():
                        raise ValueError("no local time")
                    event = loads(text)
                    if "stream" not in event:
                        self._snapshot(row, int(local), event)
                        continue
                    name, data = event["stream"], event["data"]
                    handle, symbol = streams.get(name) or self._stream(name)
                    if data["s"] != symbol:
                        raise self.fault("wrong symbol", row, "s", data["s"], f"the stream is of {symbol}")
                    handle(row, int(local), data)
                except (ValueError, TypeError, KeyError, struct.error) as error:
                    raise self._explain(line, error) from None
            if progress:
                progress(done, total)
        found = {symbol for _, symbol in streams.values()}
        if found and self.symbol not in found:
            raise self.fault("wrong symbol", value=self.symbol, cure=f"the recording holds {', '.join(sorted(found))}")
        if self.dropped["other_symbol"] and self.snapshots:
            self.dropped["snapshot_without_symbol"] = len(self.snapshots) // (8 * len(_DEPTH))
            self.snapshots = bytearray()

    def fault(
        self, reason: str, row: int | None = None, column: str | None = None, value: object = None, cure: str = ""
    ) -> InputFault:
        shown = value
        if len(repr(value)) > 80:
            shown = value[:60] + b"..." if isinstance(value, bytes) else f"{value}"[:60] + "..."
        return InputFault(reason, file=self.path, row=row, column=column, value=shown, cure=cure)

    def _stream(self, name: str) -> tuple[Handler, str]:
        """What a stream that was not seen before is; kept for its next lines."""
        match = _STREAM.fullmatch(name)
        if not match:
            cure = "known are SYMBOL@bookTicker, SYMBOL@trade, SYMBOL@depth and SYMBOL@depth@100ms"
            raise self.fault("unknown stream", self.cursor[0], "stream", name, cure)
        symbol = match[1].upper()
        self.symbol = self.symbol or symbol
        if symbol != self.symbol and not self.chosen:
            cure = f"choose one: symbol={self.symbol!r} or symbol={symbol!r}"
            raise self.fault("several symbols in one recording", self.cursor[0], "stream", name, cure)
        handle = {"bookTicker": self._quote, "trade": self._trade}.get(match[2], self._depth)
        self.streams[name] = (handle if symbol == self.symbol else self._other, symbol)
        return self.streams[name]

    def _other(self, _row: int, _local: int, _data: dict[str, Any]) -> None:
        self.dropped["other_symbol"] += 1

    def _quote(self, row: int, local: int, data: dict[str, Any]) -> None:
        price, quantity = self.price, self.quantity
        time = data["T"] if "T" in data else data.get("E", _ABSENT)
        bid, bid_qty, ask, ask_qty = price[data["b"]], quantity[data["B"]], price[data["a"]], quantity[data["A"]]
        self.quotes += _pack_quote(row, local, time, data["u"], bid, bid_qty, ask, ask_qty)

    def _trade(self, row: int, local: int, data: dict[str, Any]) -> None:
        if data.get("X", "MARKET") != "MARKET":
            self.dropped["trade_outside_book"] += 1
            return
        time, maker = data["T"] if "T" in data else data.get("E", _ABSENT), data["m"]
        if maker is not True and maker is not False:
            raise TypeError("the buyer is neither maker nor taker")
        px, qty = self.price[data["p"]], self.quantity[data["q"]]
        self.trades += _pack_trade(row, local, time, data["t"], px, qty, -1 if maker else 1)

    def _depth(self, row: int, local: int, data: dict[str, Any]) -> None:
        time = data["T"] if "T" in data else data.get("E", _ABSENT)
        start, bids, asks = len(self.level_px), self._levels(data["b"]), self._levels(data["a"])
        first, last, previous = data["U"], data["u"], data.get("pu", _ABSENT)
        self.depth += _pack_depth(row, local, time, first, last, previous, start, bids, asks)

    def _snapshot(self, row: int, local: int, event: dict[str, Any]) -> None:
        last = event["lastUpdateId"]
        start, bids, asks = len(self.level_px), self._levels(event["bids"]), self._levels(event["asks"])
        self.snapshots += _pack_depth(row, local, _ABSENT, last, last, _ABSENT, start, bids, asks)

    def _levels(self, side: list[list[str]]) -> int:
        if type(side) is not list or not set(map(type, side)) <= {list}:
            raise TypeError("not levels")
        price, quantity, add_px, add_qty = self.price, self.quantity, self.level_px.append, self.level_qty.append
        for px, qty in side:
            add_px(price[px])
            add_qty(quantity[qty])
        return len(side)

    def _explain(self, line: bytes, error: Exception) -> InputFault:
        """The fault of a line that could not be packed, with its column, value and cure."""
        row = self.cursor[0]
        local, _, text = line.partition(b" ")
        try:
            line.decode()
        except UnicodeDecodeError as wrong:
            return self.fault("not UTF-8", row, None, line[wrong.start :][:8], _AGAIN)
        if not local.isdigit() or not _TIMES_NS[0] <= int(local[:30]) < _TIMES_NS[1]:
            return self.fault("no local time", row, "local_ns", local, "a line is ns since 1970, a space and JSON")
        try:
            event = orjson.loads(text)
        except orjson.JSONDecodeError as wrong:
            return self.fault(f"broken JSON: {wrong}", row, "json", text, _AGAIN)
        if not isinstance(event, dict) or not event.keys() & {"stream", "lastUpdateId"}:
            return self.fault("unknown stream: neither a stream nor a snapshot", row, "json", text, "remove the line")
        if not isinstance(event.get("stream", ""), str):
            return self.fault("unknown stream", row, "stream", event["stream"], "a stream looks like btcusdt@trade")
        data = event.get("data", event) if "stream" in event else event
        if isinstance(error, KeyError) or not isinstance(data, dict):
            column = str(error.args[0]) if isinstance(error, KeyError) else "data"
            return self.fault("missing field", row, column, None, _AGAIN)
        pairs = not data.keys().isdisjoint(("U", "lastUpdateId"))
        for column, value in data.items():
            if isinstance(error, _BadText):
                levels = [level for level in value if isinstance(level, list)] if isinstance(value, list) else [[value]]
                if column in _TEXTS and error.value in chain.from_iterable(levels):
                    return self.fault(str(error), row, column, error.value, error.cure)
            elif column in _INTS and not (type(value) is int and 0 <= value < 2**63):
                return self.fault("not a whole number in range", row, column, value, "write it as 0 to 2**63 - 1")
            elif column == "m" and type(value) is not bool:
                return self.fault("neither true nor false", row, column, value, "write true if the buyer is the maker")
            elif column in _TEXTS and not (_is_pairs(value) if pairs else isinstance(value, str)):
                cure = 'a list of levels looks like [["61800.10", "0.250"]]' if pairs else 'quote it, such as "0.250"'
                return self.fault("not levels" if pairs else "not text", row, column, value, cure)
        return self.fault(str(error), row, "json", text, _AGAIN)


def _is_pairs(value: object) -> bool:
    """Whether a JSON value is a list of pairs of text."""
    return isinstance(value, list) and all(
        isinstance(level, list) and len(level) == 2 and all(isinstance(text, str) for text in level) for level in value
    )


def _lines(path: Path) -> Iterator[tuple[list[bytes], int, int]]:
    """Yields some lines of a gzipped or plain file at a time, with the bytes done and in all; memory stays bounded.

    Raises:
        InputFault: the file cannot be read, its compression is damaged, or a line is over MAX_LINE_BYTES.
    """
    row, rest, unpacked = 0, b"", 0
    try:
        with Path(path).open("rb") as raw:
            total = os.fstat(raw.fileno()).st_size
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            source = gzip.GzipFile(fileobj=raw) if packed else raw
            while chunk := source.read(_CHUNK):
                unpacked += len(chunk)
                if wrong := bomb(raw.tell(), unpacked):
                    raise InputFault(wrong, file=path, row=row, cure="no recording does: fetch it again, or unpack it yourself")
                lines = (rest + chunk if rest or row else chunk.removeprefix(b"\xef\xbb\xbf")).split(b"\n")
                rest = lines.pop()
                if len(rest) > MAX_LINE_BYTES or (lines and len(lines[0]) > MAX_LINE_BYTES):
                    reason, cure = f"a line over {MAX_LINE_BYTES:,} bytes", "this is no recording: a line is one event"
                    raise InputFault(reason, file=path, row=row, cure=cure)
                row += len(lines)
                yield lines, raw.tell(), total
            if rest:
                yield [rest], total, total
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputFault(f"truncated or corrupt gzip: {error}", file=path, row=row, cure=_AGAIN) from None
    except (OSError, ValueError) as error:  # a name with a NUL is no OSError
        said = getattr(error, "strerror", None) or error
        raise InputFault(f"cannot be read: {said}", file=path, cure="give a readable file") from None


def _assemble(parser: _Parser, clock: str | None, top_n: int, max_jump: int) -> Recording:
    """Codes become units, the books are rebuilt, and each stream gets its clock and its order."""
    tick_size, prices = _decode(parser, parser.price, MAX_PRICE_TICKS)
    lot_size, lots = _decode(parser, parser.quantity, _MAX_LOTS)
    quotes, trades = _columns(parser, parser.quotes, _QUOTE), _columns(parser, parser.trades, _TRADE)
    for columns in (quotes, trades):
        columns.update({name: prices[columns[name]] for name in columns if name.endswith("px")})
        columns.update({name: lots[columns[name]] for name in columns if name.endswith("qty")})
    books = _Books(parser, prices, lots, top_n).columns
    streams = {"quotes": quotes, "trades": trades, "books": books}
    if not any(len(columns["row"]) for columns in streams.values()):
        raise parser.fault("no_ticks: no quote, trade or book", cure="record bookTicker, trade, or depth with a snapshot")
    clock = _stamp(parser, streams, clock)
    reordered = {name: _order(columns, "id" if name == "trades" else "update_id") for name, columns in streams.items()}
    events = _judge(parser, streams, max_jump, {"px": tick_size, "qty": lot_size})
    report = _report(parser, streams, events, clock, reordered, (tick_size, lot_size))
    for columns in streams.values():
        for name in columns.keys() & {"row", "gap"}:
            del columns[name]
    return Recording(parser.symbol, clock, tick_size, lot_size, quotes, trades, books, report)


def _decode(parser: _Parser, texts: _Texts, limit: int) -> tuple[str, NDArray[np.int64]]:
    """The unit as text, and the units of each code; over `limit` of them is a fault."""
    unit, counts = texts.scaled()
    size = format_units(1, unit)
    if max(counts, default=0) > limit:
        code = next(code for code, count in enumerate(counts) if count > limit)
        cure = f"the nearest legal value is {format_units(limit, unit)}; or give a larger tick_size or lot_size"
        raise parser.fault(f"over {limit:,} times {size}", texts.rows[code], texts.kind, list(texts)[code], cure)
    return size, np.array(counts, dtype=np.int64)


def _columns(parser: _Parser, table: bytearray, names: tuple[str, ...]) -> Columns:
    """A packed table as columns, exchange times in ns (0 = none); refuses times and ids out of their range."""
    rows = np.frombuffer(table, dtype=np.int64).reshape(-1, len(names))
    columns = {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(names)}
    for name, values in columns.items():
        low, high = {"ts_local": _TIMES_NS, "ts_exchange": _TIMES_MS}.get(name, (0, 2**63 - 1))
        bad = (values < low) | (values > high)
        if name in ("ts_exchange", "previous_id"):
            bad &= values != _ABSENT
        if name != "aggressor" and bad.any():
            place = int(np.argmax(bad))
            reason = "unit unclear or out of 2009..2100" if name.startswith("ts") else "a negative id"
            cure = "local times are ns, exchange times ms since 1970" if name.startswith("ts") else _AGAIN
            raise parser.fault(reason, int(columns["row"][place]), _FIELDS.get(name), int(values[place]), cure)
    exchange = columns["ts_exchange"]
    columns["ts_exchange"] = np.where(exchange == _ABSENT, 0, exchange) * NS_PER_MS
    return columns


class _Side:
    """One side of a book; `keys` ascend with the best last: a bid's price, an ask's price negated."""

    def __init__(self, top_n: int) -> None:
        self.keys: list[int] = []
        self.lots: dict[int, int] = {}
        self.top_n = top_n
        self.top: tuple[list[int], list[int]] = [0] * top_n, [0] * top_n

    def apply(self, keys: list[int], lots: list[int]) -> None:
        """Sets levels, removing those of 0 lots, and renews `top`: keys and lots, best first, padded to top_n."""
        held, order = self.lots, self.keys
        for key, lot in zip(keys, lots, strict=True):
            if lot:
                if key not in held:
                    insort(order, key)
                held[key] = lot
            elif held.pop(key, 0):
                del order[bisect_left(order, key)]
        best = order[: -self.top_n - 1 : -1]
        pad = [0] * (self.top_n - len(best))
        self.top = best + pad, [held[key] for key in best] + pad


class _Books:
    """Rebuilds the book from snapshots and diffs in the order of their update ids (the rules: `read_recording`)."""

    def __init__(self, parser: _Parser, prices: NDArray[np.int64], lots: NDArray[np.int64], top_n: int) -> None:
        self.parser, self.top_n = parser, top_n
        self.px, self.qty = prices[np.array(parser.level_px, np.int64)], lots[np.array(parser.level_qty, np.int64)]
        diffs, snapshots = (_columns(parser, table, _DEPTH) for table in (parser.depth, parser.snapshots))
        self.futures = self._market(diffs)
        self.bids, self.asks = _Side(top_n), _Side(top_n)
        kept, gaps, tops = array("q"), array("q"), [array("q") for _ in _BEST]
        for place, gap in self._replay(diffs, snapshots):
            kept.append(place)
            gaps.append(gap)
            for table, values in zip(tops, (*self.bids.top, *self.asks.top), strict=True):
                table.fromlist(values)
        chosen = np.array(kept, np.int64)
        self.columns: Columns = {name: diffs[name][chosen] for name in ("row", "ts_local", "ts_exchange", "update_id")}
        for name, table in zip(_BEST, tops, strict=True):
            self.columns[name] = np.array(table, np.int64).reshape(-1, top_n)
        self.columns["ask_px"] *= -1
        self.columns["gap"] = np.array(gaps, np.int64)

    def _market(self, diffs: Columns) -> bool:
        """True for USD-M futures, whose diffs carry `pu`: all of them must or none, and `U` must not pass `u`."""
        futures = diffs["previous_id"] != _ABSENT
        mixed, turned = futures != futures[:1], diffs["first_id"] > diffs["update_id"]
        for bad, column, reason in ((mixed, "pu", "only some depth lines have it"), (turned, "U", "it is over u")):
            if bad.any():
                raise self.parser.fault(reason, int(diffs["row"][np.argmax(bad)]), column, None, _AGAIN)
        return bool(futures[:1].any())

    def _replay(self, diffs: Columns, snapshots: Columns) -> Iterator[tuple[int, bool]]:
        """Yields (place in `diffs`, whether it is a gap) each time the book stands after a diff."""
        names = ("first_id", "update_id", "previous_id", "start", "bids", "asks")
        first, last, before, start, bids, asks = (diffs[name].tolist() for name in names)
        waiting = np.argsort(snapshots["update_id"], kind="stable")[::-1].tolist()
        spot, known, previous = int(not self.futures), None, None
        for place in np.argsort(diffs["update_id"], kind="stable").tolist():
            while waiting and last[place] >= int(snapshots["update_id"][waiting[-1]]) + spot:
                known = self._load(snapshots, waiting.pop())
            if known is None:
                self.parser.dropped["depth_before_snapshot" if waiting else "depth_without_snapshot"] += 1
            elif last[place] == previous:
                self.parser.dropped["depth_repeated"] += 1
            else:
                if previous is None:
                    gap = first[place] > known + spot
                else:
                    gap = first[place] != previous + 1 if spot else before[place] != previous
                previous = last[place]
                self._apply(start[place], bids[place], asks[place])
                yield place, gap

    def _load(self, snapshots: Columns, place: int) -> int:
        start, bids, asks = (int(snapshots[name][place]) for name in ("start", "bids", "asks"))
        middle = start + bids
        for column, keys in (("bids", -self.px[start:middle]), ("asks", self.px[middle : middle + asks])):
            if (np.diff(keys) <= 0).any():
                cure = "a snapshot lists each level once, best first"
                raise self.parser.fault("levels unsorted or repeated", int(snapshots["row"][place]), column, None, cure)
        self.bids, self.asks = _Side(self.top_n), _Side(self.top_n)
        self._apply(start, bids, asks)
        return int(snapshots["update_id"][place])

    def _apply(self, start: int, bids: int, asks: int) -> None:
        middle, end = start + bids, start + bids + asks
        if bids:
            self.bids.apply(self.px[start:middle].tolist(), self.qty[start:middle].tolist())
        if asks:
            self.asks.apply((-self.px[middle:end]).tolist(), self.qty[middle:end].tolist())


def _stamp(parser: _Parser, streams: dict[str, Columns], clock: str | None) -> str:
    """Gives each stream its `ts` and tells the clock; the exchange's needs a time in every row."""
    for name, columns in streams.items():
        without = np.flatnonzero(columns["ts_exchange"] == 0)
        if len(without) and clock == "exchange":
            row, cure = int(columns["row"][without[0]]), 'read it with clock="local"'
            raise parser.fault(f"{len(without):,} {name} carry no exchange time", row, "T", None, cure)
        if len(without):
            clock = "local"
    clock = clock or "exchange"
    for columns in streams.values():
        columns["ts"] = columns[f"ts_{clock}"].copy()
    return clock


def _order(columns: Columns, key: str) -> int:
    """Sorts a stream by (ts, key, line) in place and counts the rows that moved."""
    order = np.lexsort((columns["row"], columns[key], columns["ts"]))
    columns.update({name: values[order] for name, values in columns.items()})
    return int(np.count_nonzero(columns["row"] != np.sort(columns["row"])))


def stream_columns(columns: Columns) -> Columns:
    """One stream of a recording under a fixture's column names: symbol 0, the levels of a book as columns of their own."""
    out: Columns = {"ts": columns["ts"], "symbol": np.zeros(len(columns["ts"]), np.int64)}
    for name, values in columns.items():
        if values.ndim == 2:
            out |= {f"{name}_{level}": np.ascontiguousarray(values[:, level]) for level in range(values.shape[1])}
        else:
            out[name] = values
    return out


def judge(streams: Mapping[str, Columns], max_jump: int) -> Events:
    """Columns of one symbol, none of them empty, as a replay of just these streams sees them by the rules of SPEC 2.2."""
    faults = {name: check_stream(name, streams, 1, name) for name in streams}
    return merge(streams, faults, 1, {name: name for name in streams}, max_jump)


def _judge(parser: _Parser, streams: dict[str, Columns], max_jump: int, units: dict[str, str]) -> Events:
    """All streams of a recording judged; where they are rejected, the fault names the line, its field and the value's text."""
    try:
        return judge({name: stream_columns(columns) for name, columns in streams.items() if len(columns["ts"])}, max_jump)
    except InputFault as fault:
        line, column = int(streams[str(fault.file)]["row"][int(str(fault.row))]), str(fault.column)
        what = next((what for what in units if what in column), None)
        value, cure = fault.value, fault.cure
        if what and "crossed" not in fault.reason:
            cure = f"in units of {units[what]}: {cure}"
        if what:
            value = format_units(int(str(value)), units[what])
        column = _JSON_NAMES.get((str(fault.file), column), column)
        raise InputFault(fault.reason, file=parser.path, row=line, column=column, value=value, cure=cure) from None


def _report(
    parser: _Parser,
    streams: dict[str, Columns],
    events: Events,
    clock: str,
    reordered: dict[str, int],
    units: tuple[str, str],
) -> ImportReport:
    books = streams["books"]
    counts = quarantined(events)
    unlike = events.fault[events.kind == Stream.BOOKS] == Fault.BOOK_UNLIKE_QUOTES + 1
    lags = np.concatenate([columns["ts_local"] - columns["ts_exchange"] for columns in streams.values()])
    middle = (len(lags) - 1) // 2
    times = np.concatenate([columns["ts"] for columns in streams.values()])

    def pairs(mask: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
        return tuple((int(place), int(books["row"][place])) for place in np.flatnonzero(mask))

    return ImportReport(
        file=parser.path.name,
        lines=parser.cursor[0] + 1,
        rows={name: len(columns["ts"]) for name, columns in streams.items()},
        snapshots=len(parser.snapshots) // (8 * len(_DEPTH)),
        dropped=dict(sorted((+parser.dropped).items())),
        quarantined=counts,
        gaps=pairs(books["gap"] == 1),
        crossed=sum(count for name, count in counts.items() if name.endswith(".crossed")),
        disagreeing=pairs(unlike),
        ts_range=(int(times.min()), int(times.max())),
        reordered=reordered,
        tick_size=units[0],
        lot_size=units[1],
        inferred=tuple(name for name, texts in (("tick_size", parser.price), ("lot_size", parser.quantity)) if texts.unit is None),
        clock=clock,
        lag_ms=int(np.partition(lags, middle)[middle]) // NS_PER_MS if clock == "exchange" else None,
    )
