"""Quotes in several files, a day each or otherwise: more of them than memory holds, replayed as one (SPEC 2.3).

The files are read one slab after the other, on a second thread that is one stretch of events ahead. Rows are checked as those of a
single file are, what one row says of the next crossing from slab to slab and from file to file; so where files are cut changes
no digest and no verdict. Two things are needed before the first event: the content hash, which stands in the manifest as for any
fixture, while the bytes of each file are hashed when its turn comes; and the range of prices (SPEC 1.2), which stands there too and
is held against every slab.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from grinder.config import Config
from grinder.data.fixture import (
    ROW_GROUP,
    SCHEMA,
    Fixture,
    Stretch,
    _check_names,
    _content,
    _cut,
    _int64,
    _read_stream,
    _widen,
    beside,
    canonical_columns,
    check_bytes,
    check_rows,
    fill_rows,
    find_fixture,
    new_folder,
    parts_of,
    ranked,
    read_manifest,
    readable,
    scanned,
    settings_of,
    to_toml,
    write_stream,
)
from grinder.data.instrument import Instrument
from grinder.data.merging import Carried, merge
from grinder.data.validation import Earlier, check_stream
from grinder.errors import ConfigError, DataError, InputFault, IntegrityError
from grinder.index import empty_index, empty_quiet, make_both, make_index
from grinder.records import FAR, Events
from grinder.units import parse_ratio

__all__ = ["Daily", "join_days", "write_daily"]

SLAB: Final = ROW_GROUP
"""Rows read at a time; a Parquet file is read by whole row groups, so that those of its writer should be no larger."""
HELD: Final = 1 << 20
"""Events up to which such a fixture may be held in memory without being asked to: 44 MiB."""
EVENT_BYTES: Final = 44
"""Of an event in memory: five int64, an int16 and two int8."""
_NAMES: Final = canonical_columns("quotes")
_ROWS: Final = ("ts", "symbol", "kind", "fault", "bid_px", "bid_qty", "ask_px", "ask_qty")

Ints = NDArray[np.int64]


class Part(NamedTuple):
    """One file: where, and what the manifest says of it."""

    file: Path
    rows: int
    sha256: str


class Daily(Fixture):
    """A fixture whose quotes are in several files, of which only a few stretches are in memory at a time.

    It replays like any other. What needs all events at once (`events`, `head`, `with_commands`, explanations, plots of a stretch)
    is there up to HELD events; beyond, `load()` gives the fixture in memory for who has room for it.
    """

    _ends: tuple[int, int]
    """First and last time, ns."""

    def __init__(
        self, path: Path, manifest: Mapping[str, Any], instruments: Sequence[Instrument], config: Config, ends: tuple[int, int]
    ) -> None:
        own = {"name": manifest["name"], "instruments": ranked(instruments), "content": manifest["content_sha256"]}
        own |= {"config": config, "manifest": manifest, "path": path, "_ends": ends}
        for name, value in (own | beside() | {"observations": None}).items():
            object.__setattr__(self, name, value)

    def __post_init__(self) -> None:
        """Nothing is in memory that could be changed."""

    @classmethod
    def of(cls, path: Path, manifest: Mapping[str, Any], config: Config | None) -> Daily:
        """The fixture of a folder whose manifest lists several files. Their order is checked here, their rows as they are read."""
        parts = _parts(path, manifest)
        ends = [_ends(part) for part in parts]
        for i in range(1, len(parts)):
            if ends[i][0] < ends[i - 1][1]:
                _refuse_order(parts[i], ends[i], parts[i - 1], ends[i - 1])
        settings = settings_of(path, manifest, config)
        try:
            instruments = [Instrument(**item) for item in manifest["instruments"]]
            made = cls(path, manifest, instruments, settings, (ends[0][0], ends[-1][1]))
        except ConfigError as error:
            error.add_note(f"in {path / 'fixture.toml'}")
            raise
        return made

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to open the files again."""
        return {name: value for name, value in super().__getstate__().items() if name not in ("events", "streams")}

    def __len__(self) -> int:
        return sum(part.rows for part in self.parts)

    def __repr__(self) -> str:
        symbols = ", ".join(self.symbols)
        start, end = (str(np.datetime64(ts, "ns"))[:19] for ts in self._ends)
        return f"Daily({self.name!r}: {symbols}; {len(self):,} events in {len(self.parts)} files, {start} to {end} UTC)"

    def _repr_html_(self) -> str:
        from grinder.cards.page import element, escaped

        return super()._repr_html_() if len(self) <= HELD else element("pre", escaped(repr(self)))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its files in time order."""
        assert self.path is not None, "it is of a folder"
        return _parts(self.path, self.manifest)

    @property
    def first_ts(self) -> int:
        """Time of the first event, ns."""
        return self._ends[0]

    @property
    def last_ts(self) -> int:
        """Time of the last event, ns."""
        return self._ends[1]

    @property
    def nbytes(self) -> int:
        """Bytes that another process has to be sent for it: it opens the files itself."""
        return 0

    @property
    def book_levels(self) -> int:
        """Levels a side of its books, of which there are none."""
        return 1

    @cached_property
    def price_range(self) -> tuple[tuple[int, int], ...]:
        """Smallest and largest price of each instrument, in ticks.

        As in the manifest, held against all that is read; measured in a pass of its own where the manifest has none, or was made
        with another `max_jump`, on which depends what is quarantined.
        """
        told = self._told_range()
        if told is not None:
            return told
        reading = _Reading(self, None)
        for _ in reading.slabs():
            pass
        return reading.price_range()

    def _told_range(self) -> tuple[tuple[int, int], ...] | None:
        same = Config(**self.manifest.get("config", {})).max_jump == self.config.max_jump
        told = self.manifest.get("price_range") if same else None
        if told is None:
            return None
        order = sorted(range(len(told)), key=lambda i: self.manifest["instruments"][i]["symbol"])
        return tuple((told[i][0], told[i][1]) for i in order)

    # What is held

    @cached_property
    def events(self) -> Events:
        """All events at once, of a fixture of at most HELD."""
        if len(self) > HELD:
            room = f"{len(self) * EVENT_BYTES // 10**6 + 1:,} MB"
            raise ConfigError(
                f"{self.name} has {len(self):,} events in {len(self.parts)} files, more than the {HELD:,} that are held in memory "
                f"unasked: this needs all of them; gr.fixture(...).load() gives a fixture that holds them, in {room}"
            )
        return self._collected(0, len(self))

    @cached_property
    def streams(self) -> Mapping[str, Mapping[str, Any]]:
        """Rows and SHA-256 of the quotes, computed from all files."""
        return {"quotes": {"rows": len(self), "sha256": _summed(self.parts)}}

    def load(self) -> Fixture:
        """The same fixture in memory, whatever its size.

        Raises:
            IntegrityError: the content hash is not the manifest's.
        """
        events = self._collected(0, len(self))
        self.check_content()
        prices, streams = self.price_range, self.streams
        return Fixture(self.name, self.instruments, events, self.content, self.config, prices, self.manifest, self.path, streams)

    def check_content(self) -> None:
        """Compute the content hash from all files and hold it against the manifest."""
        found = _content(self.instruments, self.streams)
        if found != self.content:
            raise IntegrityError(
                f"{self.path}/fixture.toml: content_sha256 is {self.content}, the data hash to {found}; "
                "restore the folder from where it came"
            )

    def chunk(self, start: int, stop: int) -> Events:
        """Events [start, stop): as many as may be held, read from the files where not all of them are."""
        if len(self) <= HELD:
            return super().chunk(start, stop)
        if stop - start > HELD:
            return _cut(self.events, start, stop)  # which says why not
        return self._collected(start, stop)

    def market(self, stop: int) -> Events | None:
        """The first `stop` events, of a fixture that may be held."""
        return self.chunk(0, stop) if len(self) <= HELD else None

    def _collected(self, start: int, stop: int) -> Events:
        pieces = [_cut(one.events, one.at, len(one.events.ts)) for one in self._made(start, stop, SLAB, None, False)]
        made = _joined(pieces)
        for column in made:
            column.setflags(write=False)
        return made

    def _replace(self, **changes: Any) -> Fixture:
        return self.load()._replace(**changes)

    # What passes by

    def stretches(self, start: int, stop: int, size: int, reach: int, gated: bool, stops: Sequence[int] = ()) -> Iterator[Stretch]:
        """As `Fixture.stretches`, a second thread reading, checking and indexing the next one while one is worked on."""
        made = self._made(start, stop, size, reach if gated else None, gated, stops)
        with ThreadPoolExecutor(1, "grinder-read") as reader:
            coming = reader.submit(next, made, None)
            while (stretch := coming.result()) is not None:
                coming = reader.submit(next, made, None)
                yield stretch

    def _made(
        self, start: int, stop: int, size: int, reach: int | None, gated: bool, stops: Sequence[int] = ()
    ) -> Iterator[Stretch]:
        """Stretches as they are read; with a `reach` in ns each is given what it reaches of those before."""
        symbols = len(self.instruments)
        held, base, seen = None, 0, 0
        for events in _Reading(self, self._told_range()).slabs() if start < stop else ():
            held, base = (events, seen) if held is None or reach is None else _behind(held, base, events, reach)
            ts, end = held.ts, min(seen + len(events.ts), stop)
            for first, last in parts_of(max(seen, start), end, size, stops):
                at = first - base
                low = at if reach is None or at == 0 else int(np.searchsorted(ts[:at], ts[at - 1] - reach))
                cut = _cut(held, low, last - base)
                index, quiet = empty_index(symbols, len(cut.ts)), empty_quiet(symbols, len(cut.ts) if gated else 0)
                if gated:
                    make_both(cut, index, quiet)
                else:
                    make_index(cut, index)
                yield Stretch(base + low, at - low, cut, index, quiet)
            seen += len(events.ts)
            if seen >= stop and stop < len(self):
                return


def _behind(held: Events, base: int, events: Events, reach: int) -> tuple[Events, int]:
    """The next slab with what it reaches of the one before, and the index of the first row."""
    low = int(np.searchsorted(held.ts, held.ts[-1] - reach))
    joined = _joined([_cut(held, low, len(held.ts)), events])
    for column in joined:
        column.setflags(write=False)
    return joined, base + low


def _joined(pieces: Sequence[Events]) -> Events:
    """Stretches of quotes, one after the other; of quotes alone, so that there are neither funding nor commands nor books."""
    whole = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in _ROWS}
    starts = np.cumsum([0, *(len(piece.ts) for piece in pieces)])[:-1]
    bare = np.concatenate([piece.one_sided + start for piece, start in zip(pieces, starts, strict=True)])
    return pieces[0]._replace(**whole, one_sided=bare)


# One way through the files


class _Reading:
    """One way through all files: slabs of rows, checked and merged as those of one file are (SPEC 2.1, 2.2).

    Args:
        data: whose files. told: the range of prices that the manifest says, if it says any.
    """

    def __init__(self, data: Daily, told: Sequence[tuple[int, int]] | None) -> None:
        self.symbols, self.parts = [one.symbol for one in data.instruments], data.parts
        self.max_jump, self.told, self.place = parse_ratio(data.config.max_jump), told, data.path
        self.earlier, self.carried = Earlier(len(data)), Carried.start(len(self.symbols))
        self.low, self.high = np.full(len(self.symbols), FAR), np.zeros(len(self.symbols), np.int64)
        self.last: tuple[Part, int, int] | None = None  # the file before this slab, and the first and last time of it
        self.waiting: dict[str, Ints] = {}
        self.faults = np.zeros(0, np.int8)
        self.origins: list[tuple[int, Part, int]] = []

    def slabs(self) -> Iterator[Events]:
        """Events, all rows of one time in one slab where there are several symbols: their order is by symbol."""
        for part in self.parts:
            check_bytes(part.file, part.sha256)
            row = 0
            for columns in _rows_of(part, _NAMES):
                yield from self._taken(part, row, columns)
                row += len(columns["ts"])
        yield from self._merged(self.waiting, self.faults)
        if self.told is not None and self.price_range() != tuple(self.told):
            found, told = ([list(pair) for pair in pairs] for pairs in (self.price_range(), self.told))
            raise IntegrityError(f"{self.place}/fixture.toml: price_range is {told}, that of the data {found}; restore the folder")

    def price_range(self) -> tuple[tuple[int, int], ...]:
        """Smallest and largest price of each symbol so far, in ticks."""
        for s, symbol in enumerate(self.symbols):
            if self.high[s] == 0:
                raise DataError(
                    f"{self.place}: {symbol} has no accepted quote, but every symbol of a replay needs an L1 state: "
                    "give it quotes, or leave the instrument out"
                )
        return tuple(zip(self.low.tolist(), self.high.tolist(), strict=True))

    def _taken(self, part: Part, row: int, columns: dict[str, Ints]) -> Iterator[Events]:
        """Check rows of a file from `row` on, and merge those whose time is over."""
        ts = columns["ts"]
        if self.last is not None and ts[0] < self.last[2]:
            before, first, last = self.last
            if before is not part:
                _refuse_order(part, (int(ts[0]), int(ts[-1])), before, (first, last))
            raise InputFault(
                "timestamps out of order", file=part.file, row=row, column="ts", value=int(ts[0]), cure="sort the rows stably by ts"
            )
        try:
            faults = check_stream("quotes", {"quotes": columns}, len(self.symbols), part.file, self.earlier)
        except InputFault as fault:
            raise _moved(fault, part, (fault.row or 0) + row) from None
        same = self.last is not None and self.last[0] is part
        self.last = (part, self.last[1] if same and self.last else int(ts[0]), int(ts[-1]))
        self.origins.append((len(self.faults), part, row))
        if len(self.faults):
            columns = {name: np.concatenate([self.waiting[name], values]) for name, values in columns.items()}
            faults = np.concatenate([self.faults, faults])
        over = len(faults) if len(self.symbols) == 1 else int(np.searchsorted(columns["ts"], ts[-1]))
        yield from self._merged({name: values[:over] for name, values in columns.items()}, faults[:over])
        self.waiting, self.faults = {name: values[over:] for name, values in columns.items()}, faults[over:]
        ends = [*(start for start, _, _ in self.origins[1:]), len(faults)]
        left = [one for one, end in zip(self.origins, ends, strict=True) if end > over]
        self.origins = [(max(start, over) - over, part, row + max(over - start, 0)) for start, part, row in left]

    def _merged(self, columns: Mapping[str, Ints], faults: NDArray[np.int8]) -> Iterator[Events]:
        """Rows with their verdicts as events, if there are any, their prices held against the range that was told."""
        if len(faults) == 0:
            return
        try:
            streams, verdicts = {"quotes": columns}, {"quotes": faults}
            events = merge(streams, verdicts, len(self.symbols), {"quotes": self.place}, self.max_jump, self.carried)
        except InputFault as fault:
            at = fault.row or 0
            start, part, row = next(one for one in reversed(self.origins) if one[0] <= at)
            raise _moved(fault, part, row + at - start) from None
        _widen(events.symbol, events.bid_px, events.ask_px, self.low, self.high)
        for s, (low, high) in enumerate(self.told or ()):
            if self.high[s] > 0 and (self.low[s] < low or self.high[s] > high):
                found = f"the data go from {self.low[s]} to {self.high[s]}"
                raise IntegrityError(
                    f"{self.place}/fixture.toml: price_range of {self.symbols[s]} is {low} to {high}, {found}; restore the folder"
                )
        for column in events:
            column.setflags(write=False)
        yield events


def _moved(fault: InputFault, part: Part, row: int) -> InputFault:
    """A fault of rows in hand, told as of the file that they are from."""
    at = None if fault.row is None else row
    return InputFault(fault.reason, file=part.file, row=at, column=fault.column, value=fault.value, cure=fault.cure)


def _refuse_order(part: Part, ends: tuple[int, int], before: Part, earlier: tuple[int, int]) -> NoReturn:
    """Say of a file that begins before the one before it ended whether it stands in the wrong place or holds rows twice."""
    name, other = part.file.name, before.file.name
    if ends[1] <= earlier[0]:
        reason, cure = "a file out of order", f"fixture.toml lists files in time order: list {name} before {other}"
    else:
        reason = "files overlap in time"
        cure = f"{other} ends at {earlier[1]}, later than {name} begins: leave out of one of them what both have"
    raise InputFault(reason, file=part.file, row=0, column="ts", value=ends[0], cure=cure)


# Files


def _parts(path: Path, manifest: Mapping[str, Any]) -> tuple[Part, ...]:
    return tuple(Part(path / entry["file"], entry["rows"], entry["bytes_sha256"]) for entry in manifest["streams"]["quotes"])


def _ends(part: Part) -> tuple[int, int]:
    """First and last time in a file, which is not read for it."""
    if not part.file.is_file():
        raise IntegrityError(f"{part.file}: is missing, the manifest lists it; restore it")
    if part.rows == 0:
        raise InputFault("no_ticks: it holds not one row", file=part.file, cure="leave the file out, or fetch it again")
    with readable(part.file):
        whole, _ = scanned(part.file, "quotes", part.rows)
        check_rows(part.file, whole, part.rows)
        first, last = (whole.select("ts").slice(row, 1).collect().item() for row in (0, part.rows - 1))
    if first is None or last is None:
        cure = "every row has every value; fetch the data again or leave the row out"
        row = 0 if first is None else part.rows - 1
        raise InputFault("a value is missing", file=part.file, row=row, column="ts", cure=cure)
    return int(first), int(last)


def _rows_of(part: Part, names: Sequence[str]) -> Iterator[dict[str, Ints]]:
    """Columns of a file, SLAB rows at a time, in arrays of their own."""
    with readable(part.file):
        whole, _ = scanned(part.file, "quotes", part.rows)
        check_rows(part.file, whole, part.rows)
        whole = whole.select(names)
        for row in range(0, part.rows, SLAB):
            frame = whole.slice(row, SLAB).collect()
            rows = min(SLAB, part.rows - row)
            if frame.height != rows:
                raise IntegrityError(f"{part.file}: gave {frame.height} rows from row {row} on, not {rows}; restore the file")
            out = {name: np.empty(rows, np.int64) for name in names}
            fill_rows(out, frame, 0, part.file, row)
            del frame  # which the next one need not stand beside
            yield out


def _summed(parts: Sequence[Part]) -> str:
    """`content_hash` of the quotes in all files, column by column as that is: each file is read once a column, one column of it."""
    h = hashlib.sha256()
    for name in _NAMES:
        h.update(f"{name}\0{sum(part.rows for part in parts)}\0".encode())
        for part in parts:
            for columns in _rows_of(part, (name,)):
                h.update(columns[name].astype("<i8", copy=False).data)
    return h.hexdigest()


def write_daily(
    folder: str | os.PathLike[str],
    instruments: Sequence[Instrument],
    days: Iterable[Mapping[str, NDArray[np.int64]]],
    *,
    shows: str,
    source: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    expect: Mapping[str, Any] | None = None,
    compression_level: int = 9,
) -> Daily:
    """Write a fixture of quotes in several files, of which one is in memory at a time. All or nothing.

    Args:
        folder: its last part is the fixture's name, `[a-z0-9_]{1,64}`; must not exist.
        days: the columns of each file (`canonical_columns("quotes")`, `symbol` as ASCII rank), in time order; taken one by one.
        shows, source, config, expect: as for `write_fixture`. compression_level: of zstd.

    Raises:
        ConfigError, InputFault, DataError: the data break a rule; nothing is written. A fault names the file that would have been.
    """
    target, settings = new_folder(folder, config or {}, expect or {})
    ordered = ranked(instruments)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        staged = Path(scratch) / target.name
        staged.mkdir()
        entries: list[dict[str, Any]] = []
        for day in days:
            name = f"quotes_{len(entries):04d}"
            _check_names("quotes", day, name)
            columns = {key: _int64(values, name, key) for key, values in day.items()}
            entries.append(write_stream(staged, "quotes", columns, compression_level, name))
        if not entries:
            raise DataError(f"{target}: no_ticks: there is not one file; an empty fixture is never a success")
        manifest: dict[str, Any] = {"schema": SCHEMA, "name": target.name, "shows": shows, "content_sha256": ""}
        manifest["instruments"] = [instrument.model_dump() for instrument in ordered]
        manifest |= {"config": dict(config or {}), "expect": dict(expect or {}), "source": dict(source or {})}
        manifest |= {"streams": {"quotes": entries}}
        made = Daily.of(staged, manifest, settings)
        manifest["price_range"] = [list(pair) for pair in made.price_range]  # for which all rows are checked
        settings.params(ordered, made.price_range)
        manifest["content_sha256"] = _content(ordered, made.streams)
        (staged / "fixture.toml").write_text(to_toml(manifest), "utf-8")
        Daily.of(staged, read_manifest(staged), None)
        os.replace(staged, target)
    return Daily.of(target, read_manifest(target), None)


def join_days(
    names: Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    *,
    shows: str = "",
    config: Mapping[str, Any] | None = None,
    expect: Mapping[str, Any] | None = None,
) -> Daily:
    """Make one fixture of several files out of fixtures of quotes, a day each or otherwise, of which one is in memory at a time.

    Args:
        names: fixtures of the same instruments, in time order. folder: as for `write_daily`.
        shows: default: which fixtures it joins. config: settings on top of those of the first. expect: as for `write_daily`.

    Raises:
        ConfigError: another instrument, a stream that is not quotes; and what `write_daily` raises.
    """
    folders = [find_fixture(name) for name in names]
    manifests = [read_manifest(path) for path in folders]
    if not manifests:
        raise ConfigError("there is no fixture to join: name some, in time order")
    first = manifests[0]
    for path, manifest in zip(folders, manifests, strict=True):
        if set(manifest["streams"]) != {"quotes"}:
            there = ", ".join(sorted(manifest["streams"]))
            raise ConfigError(f"{path}: it has {there}: only fixtures of quotes alone can be joined")
        if _known(manifest) != _known(first):
            other = f"not those of {folders[0]}: {_unlike(manifest, first)}"
            raise ConfigError(
                f"{path}: its instruments are {other}; import all days with the same tick and lot size (--tick, --lot)"
            )
    days = (columns for path, manifest in zip(folders, manifests, strict=True) for columns in _days_of(path, manifest))
    told = shows or f"{len(names)} fixtures from {first['name']} to {manifests[-1]['name']}, replayed as one"
    source = {"joined": [manifest["name"] for manifest in manifests], "contents": [one["content_sha256"] for one in manifests]}
    settings = {**first.get("config", {}), **(config or {})}
    instruments = [Instrument(**item) for item in first["instruments"]]
    return write_daily(folder, instruments, days, shows=told, source=source, config=settings, expect=expect)


def _days_of(path: Path, manifest: Mapping[str, Any]) -> Iterator[dict[str, Ints]]:
    """The columns of each file of a fixture of quotes."""
    entries = manifest["streams"]["quotes"]
    for entry in entries if isinstance(entries, list) else [entries]:
        yield _read_stream(path, "quotes", entry)


def _known(manifest: Mapping[str, Any]) -> dict[str, Instrument]:
    return {item["symbol"]: Instrument(**item) for item in manifest["instruments"]}


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first difference between the instruments of two manifests, as text."""
    mine, theirs = _known(one), _known(other)
    symbol = min(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    if symbol not in mine or symbol not in theirs:
        return f"{symbol}, which only one of them has"
    a, b = (known[symbol].model_dump() for known in (mine, theirs))
    key = next(key for key in a if a[key] != b[key])
    return f"{symbol}.{key}, {a[key]} and {b[key]}"
