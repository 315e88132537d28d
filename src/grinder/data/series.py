"""From files read to the streams of a fixture: units, order, days joined, bars derived, marks of funding, and a report.

Whatever the source, the way is the same. A *series* is one stream of one symbol, over all files of it. Faults found only when
files are joined still name the file and line that the row came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from grinder.data import text as t
from grinder.data.fixture import EXTRA_COLUMNS
from grinder.data.merging import merge
from grinder.data.table import MARK_PLACES, Table, Unit, nearest
from grinder.data.validation import check_stream, quarantined
from grinder.errors import ConfigError, InputFault
from grinder.records import NONE, Events, Fault, Stream
from grinder.units import MAX_PRICE_TICKS, MAX_QTY_LOTS, ONE, format_units

__all__ = ["Derive", "FilesReport", "Joined", "Part", "Rules", "join", "sizes_of"]

Ints = NDArray[np.int64]
Derive = Callable[["Series"], None]
_LIMITS: Final = {t.PRICE: (MAX_PRICE_TICKS, "tick_size"), t.QTY: (MAX_QTY_LOTS, "lot_size")}


@dataclass(frozen=True)
class Rules:
    """How files become streams.

    Args:
        tick_size, lot_size: decimal text for every symbol, or by symbol; None takes the finest decimals seen.
        sort: order each series stably by time, rather than refuse disorder.
        floor: round quantities down to the lot and rates to 1e-8, counted, rather than refuse them.
        clip: drop funding outside the time range of the symbol's quotes, counted.
        max_jump: the setting of that name as a ratio in 1e-8: which rows are quarantined depends on it.
    """

    tick_size: str | Mapping[str, str] | None = None
    lot_size: str | Mapping[str, str] | None = None
    sort: bool = False
    floor: bool = False
    clip: bool = False
    max_jump: int = 20_000_000

    def unit(self, what: str, symbol: str) -> Unit | None:
        """The given tick or lot size of a symbol, if any."""
        given = getattr(self, what)
        text = given.get(symbol) if isinstance(given, Mapping) else given
        if text is None:
            if what == "lot_size" and self.floor:
                raise ConfigError(f"{symbol}: floor rounds quantities down to the lot: give its lot size")
            return None
        return Unit.of(text, what)


@dataclass
class Part:
    """One file of a series.

    Args:
        symbol, stream: what it is of. what: the kind of file, such as "bookTicker". table: as read.
        derive: turns the joined columns into those of the stream; None where they are it already.
        sample: decimals that the lot must allow for besides those seen.
        notes: for the report.
    """

    symbol: str
    stream: str
    what: str
    table: Table
    derive: Derive | None = None
    sample: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilesReport:
    """What an import read, dropped and found. Lines count from 0, a header included; `ts_range` is ns.

    `quarantined` counts rows that stay in the data for the replay to quarantine, by stream and first reason. `floored` counts
    numbers rounded down, `reordered` rows that a sort moved. `units` has tick and lot size of each symbol, `inferred` those
    of them (`SYMBOL.tick_size`) that were not given.
    """

    files: tuple[dict[str, Any], ...]
    rows: dict[str, int]
    dropped: dict[str, int]
    quarantined: dict[str, int]
    floored: dict[str, int]
    reordered: dict[str, int]
    ts_range: tuple[int, int]
    units: dict[str, dict[str, str]]
    inferred: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        plain = asdict(self)
        return plain | {name: list(plain[name]) for name in ("files", "ts_range", "inferred", "notes")}

    def __str__(self) -> str:
        def counts(items: Mapping[str, int]) -> str:
            return ", ".join(f"{name} {count:,}" for name, count in items.items()) or "none"

        lines = [
            f"{one['file']}: {one['symbol']} {one['what']}, {one['rows']:,} rows, "
            f"{'with' if one['header'] else 'without'} header, times in {one['time_unit']}"
            for one in self.files
        ]
        start, end = (np.datetime64(ts, "ns") for ts in self.ts_range)
        lines += [f"  range        {start} to {end} UTC", f"  rows         {counts(self.rows)}"]
        for symbol, sizes in self.units.items():
            said = (f"{k} {v} ({'inferred' if f'{symbol}.{k}' in self.inferred else 'given'})" for k, v in sizes.items())
            lines.append(f"  units        {symbol}: {', '.join(said)}")
        for name in ("dropped", "quarantined", "floored", "reordered"):
            lines.append(f"  {name:<12} {counts(getattr(self, name))}")
        return "\n".join(lines + [f"  note         {note}" for note in self.notes])


@dataclass
class Series:
    """One stream of one symbol.

    Args:
        columns: int64 by field. lengths: rows of each part, in order. order: where each joined row stood, if sorted.
        origin: for each derived row the joined row it came from; None: the same. renamed: derived field -> the file's, if another.
    """

    symbol: str
    stream: str
    parts: list[Part]
    columns: dict[str, Ints]
    lengths: list[int]
    order: Ints | None = None
    origin: Ints | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)

    def place(self, row: int) -> tuple[Part, int]:
        """The file a row came from, and its line there."""
        row = row if self.origin is None else int(self.origin[row])
        row = row if self.order is None else int(self.order[row])
        for part, length in zip(self.parts, self.lengths, strict=True):
            if row < length:
                return part, part.table.line(row)
            row -= length
        raise IndexError(row)

    def keep(self, rows: Ints) -> None:
        """Leave out all rows but these, ascending."""
        self.columns = {name: values[rows] for name, values in self.columns.items()}
        self.origin = rows if self.origin is None else self.origin[rows]

    def fault(self, reason: str, row: int, column: str, value: int | None, cure: str) -> InputFault:
        """A fault of a row, told as of the file it came from, with the value as text of that file."""
        part, line = self.place(row)
        column = self.renamed.get(column, column)
        told = None if value is None else part.symbol if column == "symbol" else part.table.told(column, value)
        name = part.table.names.get(column, column)
        return InputFault(reason, file=part.table.path, row=line, column=name, value=told, cure=cure)


@dataclass(frozen=True)
class Joined:
    """Everything that a fixture needs: symbols in ASCII order, their sizes, the streams, the report."""

    sizes: dict[str, tuple[str, str]]
    streams: dict[str, dict[str, Ints]]
    report: FilesReport


def join(parts: Sequence[Part], rules: Rules) -> Joined:
    """Make the streams of a fixture of files read.

    Raises:
        InputFault: SPEC 2.2 rejects a row. ConfigError: two kinds of file for one stream of a symbol.
    """
    if not parts:
        raise ConfigError("there is no file to import")
    files = tuple(_told(part) for part in parts)
    by_symbol: dict[str, list[Part]] = {}
    for part in parts:
        by_symbol.setdefault(part.symbol, []).append(part)
    for option in ("tick_size", "lot_size"):
        given = getattr(rules, option)
        for symbol in given if isinstance(given, Mapping) else ():
            if symbol not in by_symbol:
                raise ConfigError(f"{option} of {symbol}: the files are of {', '.join(sorted(by_symbol))}")
    sizes, series, inferred = {}, [], []
    for rank, (symbol, mine) in enumerate(sorted(by_symbol.items())):
        sizes[symbol], guessed = sizes_of(symbol, mine, rules)
        inferred += [f"{symbol}.{name}" for name in guessed]
        mine_made = [_series(symbol, stream, [p for p in mine if p.stream == stream], rules) for stream in _streams_of(mine)]
        _finish(mine_made, rules)
        series += mine_made
        for one in mine_made:
            one.columns["symbol"] = _symbols(one, rank)
    tally, streams = _Tally(parts, series), _merged([one for one in series if len(one.columns["ts"])])
    return Joined(sizes, streams, tally.told(files, sizes, tuple(inferred), streams))


def _told(part: Part) -> dict[str, Any]:
    table = part.table
    return {
        "file": table.path.name,
        "symbol": part.symbol,
        "what": part.what,
        "rows": table.rows,
        "header": bool(table.header),
        "time_unit": table.unit,
    }


def _streams_of(parts: Sequence[Part]) -> list[str]:
    kinds: dict[str, str] = {}
    for part in parts:
        if kinds.setdefault(part.stream, part.what) != part.what:
            both = f"{kinds[part.stream]} and {part.what}"
            raise ConfigError(f"{part.symbol}: {both} would both make its {part.stream}; import one of them")
    return sorted(kinds)


def sizes_of(symbol: str, parts: Sequence[Part], rules: Rules) -> tuple[tuple[str, str], list[str]]:
    """Bring every price and quantity of a symbol to whole ticks and lots.

    Returns:
        ((tick size, lot size) as text, which of them were inferred): the finest decimals seen in any file of the symbol.
    """
    out, guessed = [], []
    for group, name in ((t.PRICE, "tick_size"), (t.QTY, "lot_size")):
        unit = rules.unit(name, symbol)
        places = unit.places if unit else max(p.table.places[group] for p in parts)
        if unit is None:
            places = max([places, *(part.sample for part in parts if group == t.QTY)])
            unit = Unit(Fraction(1, 10**places), places)
            guessed.append(name)
        for part in parts:
            _to_units(part, group, unit, rules)
        out.append(format_units(1, unit.size))
        for part in parts if group == t.PRICE else ():
            _marks_to_ticks(part, unit)
    return (out[0], out[1]), guessed


def _to_units(part: Part, group: int, unit: Unit, rules: Rules) -> None:
    table, step = part.table, unit.step
    factor = 10 ** (unit.places - table.places[group])
    limit, option = _LIMITS[group]
    for name in (name for name, kind in table.kinds.items() if kind == group):
        values = table.columns[name]
        gone = values == t.ABSENT
        over = values > limit * step // factor
        if over.any():
            row = int(np.argmax(over))
            shown = format_units(int(values[row]), Fraction(1, 10 ** table.places[group]))
            cure = f"give a larger {option}: at most {limit:,} times it are allowed"
            cure += "; --floor (floor=True) rounds quantities down to it" if group == t.QTY else ""
            raise _off(part, name, row, f"over {limit:,} times {format_units(1, unit.size)}", shown, cure)
        values *= factor
        if step > 1:
            rest = values % step
            rest[gone] = 0
            if rest.any() and not (rules.floor and group == t.QTY):
                row = int(np.argmax(rest != 0))
                shown = format_units(int(values[row]), Fraction(1, 10**unit.places))
                reason = f"no multiple of {format_units(1, unit.size)}"
                raise _off(part, name, row, reason, shown, nearest(shown, unit.size, int(group == t.PRICE)))
            values //= step
        values[gone] = t.ABSENT
    table.places[group], table.sizes[group] = unit.places, unit.size


def _marks_to_ticks(part: Part, tick: Unit) -> None:
    """Mark prices floored to ticks, at least 1: an exchange computes them finer than it trades."""
    ratio = 1 / (tick.size * 10**MARK_PLACES)
    most = ((MAX_PRICE_TICKS + 1) * ratio.denominator - 1) // ratio.numerator
    for name in (name for name, kind in part.table.kinds.items() if kind == t.MARK):
        values = part.table.columns[name]
        over = values > most
        if over.any():
            row = int(np.argmax(over))
            shown = format_units(int(values[row]), Fraction(1, 10**MARK_PLACES))
            reason = f"a mark price over {MAX_PRICE_TICKS:,} times {format_units(1, tick.size)}"
            raise _off(part, name, row, reason, shown, "give a larger tick_size")
        wide: Any = values.astype(object) if int(values.max(initial=0)) > 2**62 // ratio.numerator else values
        ticks = np.maximum(wide * ratio.numerator // ratio.denominator, 1)
        part.table.columns[name] = np.where(values == t.ABSENT, t.ABSENT, ticks).astype(np.int64)
    part.table.sizes[t.MARK] = tick.size


def _off(part: Part, name: str, row: int, reason: str, value: str, cure: str) -> InputFault:
    table = part.table
    column = table.names.get(name, name)
    return InputFault(reason, file=table.path, row=table.line(row), column=column, value=value, cure=cure)


def _series(symbol: str, stream: str, parts: list[Part], rules: Rules) -> Series:
    """The files of one stream, in the order of their first times, joined and in order."""
    parts = sorted(parts, key=lambda part: int(part.table.columns["ts"][0]) if part.table.rows else 0)
    lengths = [part.table.rows for part in parts]
    names = list(parts[0].table.columns)
    for part in parts:
        _like(part.table, parts[0].table)
    columns = {}
    for name in names:
        pieces = [part.table.columns.pop(name) for part in parts]
        columns[name] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    made = Series(symbol, stream, parts, columns, lengths)
    _order(made, rules)
    if parts[0].derive:
        parts[0].derive(made)
    if stream == "funding":
        _reject_rates(made)
    return made


def _like(table: Table, first: Table) -> None:
    """Files of one series have the same columns, in whatever order."""
    for one, other in ((table, first), (first, table)):
        if lacking := sorted(other.names[name] for name in other.columns.keys() - one.columns.keys()):
            told = f"{one.path}: it has no {', '.join(lacking)} to import, unlike {other.path}"
            ids = ", or give both whole numbers as ids" if "id" in lacking else ""
            raise ConfigError(f"{told}: import the two into fixtures of their own, or leave the column out of both{ids}")


def _reject_rates(series: Series) -> None:
    bad = np.abs(series.columns["rate"]) > ONE
    if bad.any():
        row = int(np.argmax(bad))
        cure = "a rate is a part of the position's value: -1 to 1 are allowed, such as 0.0001"
        raise series.fault("value out of range", row, "rate", int(series.columns["rate"][row]), cure)


def _order(series: Series, rules: Rules) -> None:
    ts = series.columns["ts"]
    falls = ts[1:] < ts[:-1]
    if not falls.any():
        return
    if not rules.sort:
        row = int(np.argmax(falls)) + 1
        before = series.place(row - 1)[0].table
        cure = f"the row before, of {before.path.name}, has {before.told('ts', int(ts[row - 1]))}; --sort (sort=True) sorts stably"
        raise series.fault("timestamps out of order", row, "ts", int(ts[row]), cure)
    order = np.argsort(ts, kind="stable")
    series.dropped["reordered"] = int(np.count_nonzero(order != np.arange(len(order))))
    series.columns = {name: values[order] for name, values in series.columns.items()}
    series.order = order


def _finish(made: list[Series], rules: Rules) -> None:
    """Rows to be quarantined are counted as a replay sees them, and funding gets its marks, for all series of one symbol."""
    by_stream = {one.stream: one for one in made}
    market = {name: one for name, one in by_stream.items() if name not in ("funding", "commands")}
    events = _judged(market, rules)
    if funding := by_stream.get("funding"):
        _mark(funding, _mids(events), rules)
        if len(funding.columns["ts"]):  # else all of it was clipped, or is not due
            events = _judged({"funding": funding, **market}, rules)  # a mark of the file's own may be a jump
    for name, count in quarantined(events).items() if events is not None else ():
        by_stream[name.partition(".")[0]].dropped[name] += count
    if commands := by_stream.get("commands"):
        _checked({"commands": commands})


def _judged(series: Mapping[str, Series], rules: Rules) -> Events | None:
    """The streams of one symbol merged, each row with the reason it is quarantined for; None without any."""
    if not series:
        return None
    faults = _checked(series)
    try:
        return merge(_alone(series), faults, 1, {name: name for name in series}, rules.max_jump)
    except InputFault as fault:
        raise _told_of(series, fault) from None


def _alone(series: Mapping[str, Series]) -> dict[str, dict[str, Ints]]:
    return {name: {**one.columns, "symbol": _symbols(one, 0)} for name, one in series.items()}


def _symbols(series: Series, rank: int) -> Ints:
    """The symbol of each row: the series' own, but -1 for commands to every symbol."""
    own = np.full(len(series.columns["ts"]), rank)
    return np.where(series.columns["symbol"] == NONE, NONE, own) if series.stream == "commands" else own


def _checked(series: Mapping[str, Series]) -> dict[str, NDArray[np.int8]]:
    """The streams' own rules, on one symbol alone; a fault is told as of its file."""
    streams = _alone(series)
    try:
        return {name: check_stream(name, streams, 1, name) for name in streams}
    except InputFault as fault:
        raise _told_of(series, fault) from None


def _told_of(series: Mapping[str, Series], fault: InputFault) -> InputFault:
    """A fault of a stream's row as one of the file and line it came from."""
    if fault.row is None or str(fault.file) not in series:
        return fault
    one, column = series[str(fault.file)], fault.column or "ts"
    size = one.place(fault.row)[0].table.size(column)
    cure = f"in units of {format_units(1, size)}: {fault.cure}" if size and "crossed" not in fault.reason else fault.cure
    return one.fault(fault.reason, fault.row, column, int(str(fault.value)), cure)


def _mids(events: Events | None) -> tuple[Ints, Ints] | None:
    """Times and mids of the accepted quotes, or of books where there are none; a side that a book lacks is as a replay has it."""
    if events is None:
        return None
    of = next((events.kind == stream for stream in (Stream.QUOTES, Stream.BOOKS) if (events.kind == stream).any()), None)
    if of is None:
        return None
    rows = np.flatnonzero(of & (events.fault == 0))
    return events.ts[rows], (events.bid_px[rows] + events.ask_px[rows]) // 2


def _mark(funding: Series, mids: tuple[Ints, Ints] | None, rules: Rules) -> None:
    """Give funding without a mark price the last accepted mid at or before it, floored to ticks."""
    ts, middle = mids or (np.zeros(0, np.int64),) * 2
    if rules.clip and len(ts):
        kept = (funding.columns["ts"] >= ts[0]) & (funding.columns["ts"] <= ts[-1])
        funding.dropped["funding_clipped"] += int(np.count_nonzero(~kept))
        funding.keep(np.flatnonzero(kept))
    columns = funding.columns
    mark = columns.pop("mark_px", np.full(len(columns["ts"]), t.ABSENT))
    at = np.searchsorted(ts, columns["ts"], side="right") - 1
    absent = mark == t.ABSENT
    if (early := absent & (at < 0)).any():
        row = int(np.argmax(early))
        if mids is None:
            cure = "import the quotes of the same time with it: the last mid at or before is the mark"
            raise funding.fault("funding without a mark price", row, "mark_px", None, cure)
        cure = "funding has no mark price, so a quote must stand at or before it; --clip (clip=True) drops such rows"
        raise funding.fault("funding before the first quote", row, "ts", int(columns["ts"][row]), cure)
    columns["mark_px"] = np.where(absent, middle[np.maximum(at, 0)], mark) if len(ts) else mark


def _merged(series: Sequence[Series]) -> dict[str, dict[str, Ints]]:
    """The series of all symbols by stream, ordered by (ts, symbol), file order kept; extra columns that all symbols have."""
    out: dict[str, dict[str, Ints]] = {}
    for stream in sorted({one.stream for one in series}):
        group = [one for one in series if one.stream == stream]
        names = [name for name in group[0].columns if all(name in one.columns for one in group)]
        for one in group:
            if other := one.columns.keys() - set(names) - set(EXTRA_COLUMNS):
                told = f"{one.symbol}: only some symbols' {stream} have {', '.join(sorted(other))}"
                raise ConfigError(f"{told}; import one kind of file, books of one depth (--top)")
        if len(group) == 1:
            out[stream] = group[0].columns
            continue
        ts = np.concatenate([one.columns["ts"] for one in group])
        order = np.argsort(ts, kind="stable")  # symbols stand in their order already
        out[stream] = {name: np.concatenate([one.columns.pop(name) for one in group])[order] for name in names}
    return out


class _Tally:
    """Counts for the report, taken before the series are merged."""

    def __init__(self, parts: Sequence[Part], series: Sequence[Series]) -> None:
        self.dropped: Counter[str] = Counter()
        self.quarantined: Counter[str] = Counter()
        self.reordered: Counter[str] = Counter()
        self.floored: Counter[str] = Counter()
        self.notes: dict[str, None] = {}
        for part in parts:
            self.dropped += part.table.dropped
            self.floored += Counter(quantities=part.table.floored[t.QTY], rates=part.table.floored[t.RATE])
            self.notes |= dict.fromkeys(part.notes)
        faults = {f"{one.stream}.{fault.name}".lower() for one in series for fault in Fault}
        for one in series:
            for name, count in one.dropped.items():
                if name == "reordered":
                    self.reordered[one.stream] += count
                else:
                    (self.quarantined if name in faults else self.dropped)[name] += count

    def told(
        self,
        files: tuple[dict[str, Any], ...],
        sizes: Mapping[str, tuple[str, str]],
        inferred: tuple[str, ...],
        streams: Mapping[str, Mapping[str, Ints]],
    ) -> FilesReport:
        """The report."""
        ends = [int(columns["ts"][place]) for columns in streams.values() for place in (0, -1)]
        return FilesReport(
            files=files,
            rows={name: len(columns["ts"]) for name, columns in streams.items()},
            dropped=dict(sorted((+self.dropped).items())),
            quarantined=dict(sorted((+self.quarantined).items())),
            floored=dict(sorted((+self.floored).items())),
            reordered=dict(sorted((+self.reordered).items())),
            ts_range=(min(ends), max(ends)) if ends else (0, 0),
            units={symbol: {"tick_size": tick, "lot_size": lot} for symbol, (tick, lot) in sizes.items()},
            inferred=inferred,
            notes=tuple(self.notes),
        )
