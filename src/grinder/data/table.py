"""One file of rows as int64 columns: its header, its unit of time, its decimals, and where it cannot be used (SPEC 2.2).

Prices and quantities stay in units of `10**-places` until all files of a symbol are read: only then is the tick known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grinder.data import text as t
from grinder.data.blocks import Block, Progress
from grinder.errors import ConfigError, InputFault, NumberError
from grinder.units import format_units, parse_decimal

__all__ = ["MARK_PLACES", "TIME_UNITS", "Column", "Layout", "Table", "Times", "Unit", "nearest", "read_table"]

_LEAST_S: Final = 1_230_768_000
_LATE_S: Final = 4_102_444_800
TIME_UNITS: Final[dict[str, int]] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in one of each unit of time."""
ROOM: Final = 1 << 14
"""Rows parsed before they are moved to their columns."""
EXPECTED_RATIO: Final = 32
"""Room is made at once for what a file of its size holds if it unpacks to so many times that; more finds room as it comes."""
_GROUPS: Final = ("price", "quantity", "rate", "mark price")
_RATE_PLACES: Final = 8
MARK_PLACES: Final = 8
"""Decimals that mark prices are read with; further ones are cut off."""
_UNNAMED: Final = {
    t.TRUTH: t.NOT_A_TRUTH,
    t.SIDE: t.NOT_A_SIDE,
    t.COMMAND: t.NOT_A_COMMAND,
    t.WHOM: t.NOT_A_SYMBOL,
}
"""What an empty field is that cannot be."""
_LIMIT: Final = 2**62
_LARGEST_SIZE: Final = 10**10
"""Of a tick or lot: times 1e8, the unit of marks, it is still an int64."""


class Times(NamedTuple):
    """A unit of time: legal values are [low, high), each of `factor` ns. All 0: not known yet."""

    name: str
    low: int
    high: int
    factor: int

    @classmethod
    def of(cls, unit: str | None) -> Times:
        """The unit of this name, dates from 2009 to 2100; None: to be told by the first value.

        Raises:
            ConfigError: no such unit.
        """
        if unit is None:
            return cls("", 0, 0, 0)
        if unit not in TIME_UNITS:
            raise ConfigError(f"time unit {unit!r}: there are {', '.join(TIME_UNITS)}")
        size = 10**9 // TIME_UNITS[unit]
        return cls(unit, _LEAST_S * size, _LATE_S * size, TIME_UNITS[unit])


class Unit(NamedTuple):
    """A given tick or lot size, and the decimals it has."""

    size: Fraction
    places: int

    @property
    def step(self) -> int:
        """The size in `10**-places`."""
        return int(self.size * 10**self.places)

    @classmethod
    def of(cls, text: str, what: str) -> Unit:
        """From decimal text.

        Raises:
            ConfigError: not over 0, over 1e10, finer than 1e-17, or of over 18 digits.
        """
        size = parse_decimal(text)
        places = next((places for places in range(18) if (size * 10**places).denominator == 1), None)
        if not 0 < size <= _LARGEST_SIZE or places is None or size * 10**places >= 10**18:
            cure = f"give a size over 0, at most {_LARGEST_SIZE:,}, with at most 17 decimals and 18 digits, such as 0.01"
            raise ConfigError(f"{what} {text}: {cure}")
        return cls(size, places)


class Column(NamedTuple):
    """One column of a file.

    Args:
        name: as the header has it. kind: of `text`, such as `PRICE`. field: under which to keep it, "" to forget it.
        least: smallest legal integer. optional: whether it may be empty, which gives `text.ABSENT`.
    """

    name: str
    kind: int
    field: str = ""
    least: int = 0
    optional: bool = False


class Layout(NamedTuple):
    """What the columns of a file are.

    Args:
        columns: in the order of the file. header: whether its first line names them.
        wanted: the symbol that a NAME column must hold; with `chosen` rows of others are dropped, else refused.
        drops: reason -> fields; a row in which one is absent is left out.
        tick, lot: the given units; None takes the finest decimals seen.
    """

    columns: Sequence[Column]
    header: bool
    wanted: str = ""
    chosen: bool = True
    drops: Mapping[str, Sequence[str]] = {}
    tick: Unit | None = None
    lot: Unit | None = None


Choose = Callable[[list[str], list[str] | None], Layout]
"""From the cells of a file's first line, and of its second if there is one, to its layout."""


@dataclass
class Table:
    """A file as read.

    Args:
        path: the file. columns: int64 by field: times in ns; prices, quantities and rates in `10**-places[kind]`.
        kinds: what each field holds. places: decimals of prices, quantities, rates. floored: how many of each were rounded down.
        header: lines counted before the first row. unit: of its times. names: field -> name in the file.
        clock: from ns to a time as the file has it. sizes: what 1 is worth, by kind, once it is a tick or lot.
        dropped: rows left out, by reason; `gone`: the rows' places, ascending.
    """

    path: Path
    columns: dict[str, NDArray[np.int64]]
    kinds: dict[str, int]
    places: list[int]
    floored: list[int]
    header: int
    unit: str
    names: dict[str, str]
    clock: Callable[[int], str] = str
    sizes: dict[int, Fraction] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    gone: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()), ()))

    def line(self, row: int) -> int:
        """The line of the file, from 0, that a row came from."""
        skipped = int(np.searchsorted(self.gone - np.arange(len(self.gone)), row, side="right"))
        return row + skipped + self.header

    def size(self, name: str) -> Fraction | None:
        """What 1 of a field, or of what was made of fields, is worth; None where it is a plain whole number."""
        kind = self.kinds.get(name, t.PRICE if "_px" in name else t.QTY if "_qty" in name else t.COUNT)
        return Fraction(1, 10**_RATE_PLACES) if kind == t.RATE else self.sizes.get(kind)

    def told(self, name: str, value: int) -> str:
        """A value of a field as the file has it: decimal text, or a time in its unit."""
        if self.kinds.get(name, t.TIME if name == "ts" else t.COUNT) == t.TIME:
            return self.clock(value)
        return format_units(value, self.size(name) or Fraction(1))


def read_table(
    path: Path,
    blocks: Iterable[Block],
    choose: Choose,
    *,
    floor: bool = False,
    times: Times | None = None,
    progress: Progress | None = None,
) -> Table:
    """Reads a file of rows block by block.

    Args:
        path: what faults name. blocks: its bytes. choose: tells its layout.
        floor: quantities and rates finer than their unit are rounded down and counted, rather than refused.
        times: the unit of its times; None tells it by the magnitude of the first.
        progress: called with (bytes done, bytes in all).

    Raises:
        InputFault: a row that SPEC 2.2 rejects, or no row at all.
    """
    reader = _Reader(path, choose, floor, times or Times.of(None))
    for block in blocks:
        reader.take(block)
        if progress:
            progress(block.done, block.total)
    return reader.finish()


class _Reader:
    """Parses blocks with one layout; keeps what was read, and what the rows so far told about units."""

    def __init__(self, path: Path, choose: Choose, floor: bool, times: Times) -> None:
        self.path, self.choose, self.floor, self.times = path, choose, floor, times
        self.given = bool(self.times.factor)
        self.state = np.zeros(5, np.int64)
        self.layout: Layout | None = None
        self.seen = 0
        self.dropped: Counter[str] = Counter()
        self.gone: list[NDArray[np.int64]] = []

    def take(self, block: Block) -> None:
        first = self.seen + self.base if self.layout else 0
        at = block.start if self.layout else self._open(block)
        while at < block.stop:
            times = np.array(self.times[1:], np.int64)
            at, rows = t.parse_rows(block.text, at, block.stop, self.plan, self.scale, times, self.wanted, self.out, self.state)
            self._keep(rows)
            status, column, begin, need = (int(value) for value in self.state[:4])
            if status == t.FINER and self._inferred(self.plan[column, 0]):
                self._refine(int(self.plan[column, 0]), need, column, block, begin)
            elif status == t.OFF_TIME and not self.times.factor:
                self.times = self._judge(need, column, block, begin)
            elif status != t.DONE:
                raise self._misshapen(block, at) or self._explain(status, column, block, begin)
        if self.state[4]:
            self._decode(block.text[block.start : block.stop].tobytes(), first)
            self.state[4] = 0

    def finish(self) -> Table:
        layout = self.layout
        if layout is None or not self.seen:
            raise InputFault("no_ticks: there is not one row", file=self.path, cure="an empty file is never a success")
        if not self.store.length and self.dropped["other_symbol"] == self.seen:
            raise InputFault(
                "wrong symbol",
                file=self.path,
                value=layout.wanted,
                cure="no row of the file is of it: choose a symbol that is there",
            )
        if not self.store.length:
            why = ", ".join(f"{reason} {count}" for reason, count in (+self.dropped).items())
            raise InputFault(
                "no_ticks: every row was left out", file=self.path, cure=f"{why}; fetch it again, or leave the file out"
            )
        self.store.trim()
        columns = {name: self.store.column(i) for i, name in enumerate(self.fields)}
        kept = {c.field: c for c in layout.columns if c.field}
        factor = self.times.factor
        return Table(
            path=self.path,
            columns={name: columns[name] for name in self.fields if kept[name].kind != t.NAME},
            kinds={name: c.kind for name, c in kept.items()},
            places=self.scale[:, 0].tolist(),
            floored=self.scale[:, 2].tolist(),
            header=self.base,
            unit=self.times.name,
            names={name: c.name for name, c in kept.items()},
            clock=lambda ns: str(ns // factor),
            dropped=self.dropped,
            gone=np.concatenate(self.gone) if self.gone else np.zeros(0, np.int64),
        )

    def _open(self, block: Block) -> int:
        """Sets the layout by the first lines; returns where the first row begins."""
        head = block.text[block.start : min(block.stop, block.start + (1 << 18))].tobytes()
        lines = head.split(b"\n", 2)
        first = self._cells(lines[0], 0)
        second = self._cells(lines[1], 1) if len(lines) > 2 else None
        layout = self.layout = self.choose(first, second)
        self.base = int(layout.header)
        self.fields = [column.field for column in layout.columns if column.field]
        rows = {name: i for i, name in enumerate(self.fields)}
        self.plan = np.array([[c.kind, rows.get(c.field, -1), c.least, c.optional] for c in layout.columns], np.int64)
        self.units = (layout.tick, layout.lot)
        places = [unit.places if unit else 0 for unit in self.units]
        cut = [0, int(self.floor and layout.lot is not None), int(self.floor), 1]
        steps = [unit.step if unit else 1 for unit in self.units]
        scale = ([*places, _RATE_PLACES, MARK_PLACES], cut, [0] * 4, [*steps, 1, 1])
        self.scale = np.array(scale, np.int64).T.copy()
        self.wanted = np.frombuffer(bytearray(layout.wanted.encode()), np.uint8) if layout.wanted else np.zeros(0, np.uint8)
        self.out = np.zeros((len(self.fields), ROOM), np.int64)
        there = int(np.count_nonzero(block.text[block.start : block.stop] == ord("\n")))
        width = (block.stop - block.start) // max(there, 1)
        expected = min(there * block.total // max(block.done, 1), EXPECTED_RATIO * block.total // width)
        self.store = _Store(len(self.fields), expected + expected // 16 + ROOM)
        return block.start + (len(lines[0]) + 1 if layout.header else 0)

    def _cells(self, line: bytes, row: int) -> list[str]:
        return [cell.strip() for cell in self._decode(line, row).rstrip("\r").split(",")]

    def _decode(self, body: bytes, row: int) -> str:
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as error:
            value, place = body[error.start : error.start + 8], row + body.count(b"\n", 0, error.start)
            raise InputFault("not UTF-8", file=self.path, row=place, value=value, cure="save it as UTF-8") from None

    def _keep(self, rows: int) -> None:
        """Moves parsed rows to their columns, without those that the layout drops."""
        chosen = self.out[:, :rows]
        keep = np.ones(rows, bool)
        for reason, fields in self.layout.drops.items() if self.layout else ():
            for name in fields:
                absent = keep & (chosen[self.fields.index(name)] == t.ABSENT)
                if reason == "other_symbol" and not self.layout.chosen and absent.any():  # type: ignore[union-attr]
                    row, first = self.seen + int(np.argmax(absent)) + self.base, self.layout.wanted  # type: ignore[union-attr]
                    cure = f"choose one, such as --symbol {first}"
                    raise InputFault("several symbols in one file", file=self.path, row=row, column="symbol", cure=cure)
                self.dropped[reason] += int(absent.sum())
                keep &= ~absent
        if not keep.all():
            self.gone.append(self.seen + np.flatnonzero(~keep))
            chosen = chosen[:, keep]
        self.seen += rows
        self.store.append(chosen)

    def _inferred(self, kind: int) -> bool:
        return kind <= t.QTY and self.units[kind] is None

    def _refine(self, group: int, need: int, column: int, block: Block, begin: int) -> None:
        """Finer decimals than any before: what was read is brought to them."""
        factor = 10 ** (need - int(self.scale[group, 0]))
        fields = [c.field for c in self.layout.columns if c.kind == group and c.field] if self.layout else []
        for name in fields:
            values = self.store.column(self.fields.index(name))
            absent = values == t.ABSENT
            if factor > _LIMIT or (len(values) and int(np.where(absent, 0, values).max()) > _LIMIT // factor):
                raise self._explain(t.TOO_LONG, column, block, begin)
            values *= factor
            values[absent] = t.ABSENT
        self.scale[group, 0] = need

    def _judge(self, value: int, column: int, block: Block, begin: int) -> Times:
        """The unit in which the first time is between 2009 and 2100."""
        for unit in TIME_UNITS:
            times = Times.of(unit)
            if times.low <= value < times.high:
                return times
        raise self._explain(t.OFF_TIME, column, block, begin)

    def _misshapen(self, block: Block, line: int) -> InputFault | None:
        """A row of another number of columns is that first of all, whatever its shifted fields look like."""
        names = [c.name for c in self.layout.columns] if self.layout else []
        begin, cells = line, 0
        for i in range(line, block.stop):
            if block.text[i] in b",\n":
                cells += 1
                if block.text[i] == ord("\n"):
                    break
                begin = i + 1 if cells == len(names) else begin
        if block.text[line:i].tobytes() in (b"", b"\r") and len(names) > 1:
            return self._explain(t.EMPTY_LINE, 0, block, line)
        if cells < len(names) and i > line:
            return self._explain(t.MISSING, cells, block, line)
        return self._explain(t.EXTRA, len(names), block, begin) if cells > len(names) else None

    def _explain(self, status: int, column: int, block: Block, begin: int) -> InputFault:
        """What is wrong with the field at `begin`, and the cure."""
        layout = self.layout
        assert layout is not None
        tail = block.text[begin : min(begin + 80, block.stop)].tobytes()
        value: str | None = tail.replace(b"\r", b",").replace(b"\n", b",").split(b",", 1)[0].decode("utf-8", "backslashreplace")
        names = [c.name for c in layout.columns]
        kind = layout.columns[column].kind if column < len(names) else t.SKIP
        if status == t.NOT_A_NUMBER:  # of an empty field
            status = _UNNAMED.get(kind, status)
        shape = f"a row has {len(names)} columns: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
        reason, cure = {
            t.MISSING: ("missing column", shape),
            t.EXTRA: ("extra column", shape),
            t.EMPTY_LINE: ("an empty line", "remove it"),
            t.NOT_A_TRUTH: ("neither true nor false", "write true or false"),
            t.NOT_A_SIDE: ("no side of a trade", "write buy, sell or unknown"),
            t.NOT_A_COMMAND: ("no such command", "write pause, resume, kill, reset or recover"),
            t.NOT_A_SYMBOL: ("no symbol", f"write {layout.wanted} for it alone, * for every symbol"),
            t.TOO_LONG: ("more digits than 64 bits hold", self._shorter(kind)),
            t.OFF_TIME: self._time_fault(),
        }.get(status) or self._number_fault(status, kind, value or "")
        if status in (t.MISSING, t.EMPTY_LINE):
            value = None
        name = f"{len(names) + 1}th" if status == t.EXTRA else names[min(column, len(names) - 1)]
        row = self.seen + self.base
        return InputFault(reason, file=self.path, row=row, column=name, value=value, cure=cure)

    def _time_fault(self) -> tuple[str, str]:
        if not self.times.factor:
            return "unit of time unclear, or out of 2009..2100", "times are s, ms, us or ns since 1970 in UTC"
        if self.times.low == 0:
            return "out of the day", f"times are {self.times.name} since midnight"
        reason = f"out of 2009..2100 in {self.times.name}"
        if self.given:
            return reason, f"times are {self.times.name} since 1970 in UTC"
        return f"{reason}, the unit of time of the rows before", "a file has one unit of time"

    def _shorter(self, kind: int) -> str:
        """The cure for a number of too many digits."""
        given = kind <= t.QTY and self.units[kind] is not None
        cures = {
            t.PRICE: f"give {'a larger' if given else 'the'} --tick (tick_size)",
            t.QTY: f"give {'a larger' if given else 'the'} --lot (lot_size); --floor (floor=True) rounds quantities down to it",
            t.RATE: "rates are -1 to 1, such as 0.0001",
            t.MARK: f"a mark price has at most {18 - MARK_PLACES} digits before its point",
        }
        return cures.get(kind, "whole numbers end at 9223372036854775799: number the rows anew")

    def _number_fault(self, status: int, kind: int, value: str) -> tuple[str, str]:
        unit = self.units[kind] if kind <= t.QTY else None
        what = _GROUPS[kind] if kind <= t.MARK else "number"
        if not value:
            return "a value is missing", "fetch the file again, or leave the row out"
        if status == t.FINER and kind == t.RATE:
            return "finer than 0.00000001, the unit of rates", "--floor (floor=True) rounds such rates down"
        if status in (t.FINER, t.NEGATIVE, t.TOO_SMALL) and kind in (t.PRICE, t.QTY, t.MARK):
            least = 0 if kind == t.QTY and status == t.NEGATIVE else 1
            reason = "negative" if status == t.NEGATIVE else f"a {what} must be over 0"
            reason = f"no multiple of {format_units(1, unit.size)}" if status == t.FINER and unit else reason
            more = "; --floor (floor=True) rounds quantities down" if status == t.FINER and kind == t.QTY else ""
            return reason, nearest(value, unit.size if unit else None, least) + more
        example = {t.PRICE: "61800.10", t.QTY: "0.250", t.RATE: "0.0001"}.get(kind, "17")
        reason = "unreadable" if kind in (t.NAME, t.SKIP) else f"not a plain {what}"
        return reason, f"write it like {example}, without quotes or spaces"


def nearest(value: str, unit: Fraction | None, least: int) -> str:
    """The nearest legal values as words, in units (default: the value's own decimals)."""
    try:
        number = parse_decimal(value)
    except NumberError:
        return "give a plain decimal number"
    unit = unit or Fraction(1, 10 ** len(value.partition(".")[2]))
    low = number // unit
    legal = sorted({max(least, count) for count in (low, low + (number % unit != 0))})
    return "the nearest legal value is " + " or ".join(format_units(count, unit) for count in legal)


class _Store:
    """Columns that grow in place, from room for what the file's first block lets expect (memory that is not touched costs none)."""

    def __init__(self, fields: int, room: int) -> None:
        self.arrays = [np.empty(room, np.int64) for _ in range(fields)]
        self.length = 0

    def append(self, rows: NDArray[np.int64]) -> None:
        """Adds (fields, n)."""
        end = self.length + rows.shape[1]
        for array, values in zip(self.arrays, rows, strict=True):
            if end > len(array):
                array.resize(max(end, len(array) + len(array) // 8, ROOM), refcheck=False)
            array[self.length : end] = values
        self.length = end

    def trim(self) -> None:
        """Gives back the room that is not used."""
        for array in self.arrays:
            array.resize(self.length, refcheck=False)

    def column(self, i: int) -> NDArray[np.int64]:
        """Column `i`, as long as what was appended; not to be kept over an append."""
        return self.arrays[i][: self.length]
