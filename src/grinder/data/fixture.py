"""Fixtures: market data with its manifest, from a folder or from arrays, as one merged sequence of events (SPEC 2).

A folder holds `fixture.toml` (the manifest), one Parquet file a stream and the golden `digest.json`. The manifest carries our own
row counts and hashes, because a reader of Parquet need not notice corruption: a byte hash a file, checked at each load, and a
content hash over the decoded integer columns, which is what a run's digest contains.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grinder._jit import kernel
from grinder.config import Config, canonical_json, checked
from grinder.data.commands import (
    EVERY,
    Instruction,
    codes_of,
    columns_of,
    in_order,
    insert_commands,
    listed_commands,
    split_commands,
)
from grinder.data.expectations import wrong_expectation
from grinder.data.instrument import Instrument
from grinder.data.merging import merge
from grinder.data.validation import Columns, check_stream
from grinder.errors import ConfigError, DataError, FixtureNotFound, InputFault, IntegrityError, cause
from grinder.index import empty_index, empty_quiet, make_both, make_index
from grinder.intake import UNPACKED_COLUMNS, bomb, is_one_name, is_plain_name, leads_out, text_of
from grinder.observation import Observations
from grinder.records import FAR, NONE, Events, Stream
from grinder.units import parse_ratio

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "EXTRA_COLUMNS",
    "Fixture",
    "Stretch",
    "beside",
    "canonical_columns",
    "find_fixture",
    "fixture",
    "fixture_roots",
    "fixtures_below",
    "parts_of",
    "write_fixture",
]

SCHEMA: Final = 1
_BESIDE: Final[dict[str, Callable[[], Any]]] = {
    "_indices": dict, "_quiets": dict, "_chunks": dict, "observations": Observations, "_lock": RLock,
}  # fmt: skip
"""What a fixture keeps of its events, by how it begins: each process makes its own."""
KEPT_INDEX: Final = 1 << 16
"""Events of a stretch whose index is kept; that is an entry a symbol and 128 events, under a byte an event and symbol."""
KEPT_CHUNKS: Final = 16
"""Stretches whose views are kept: those of books have an integer a book of their own."""
ROW_GROUP: Final = 1 << 18
"""Rows of a Parquet row group: files are read one at a time, so that memory holds the arrays and one group."""

_STREAMS: Final = tuple(stream.name.lower() for stream in Stream)
_CANONICAL: Final[dict[str, tuple[str, ...]]] = {
    "funding": ("ts", "symbol", "rate", "mark_px"),
    "quotes": ("ts", "symbol", "bid_px", "bid_qty", "ask_px", "ask_qty"),
    "trades": ("ts", "symbol", "id", "px", "qty", "aggressor"),
    "commands": ("ts", "symbol", "command"),
}
EXTRA_COLUMNS: Final = ("ts_exchange", "ts_local", "update_id")
"""Columns that a stream may carry beside its own: both clocks of a recording, and the exchange's row id. A replay ignores them."""


def beside() -> dict[str, Any]:
    """What a fixture keeps beside its events, of which it knows nothing yet."""
    return {name: make() for name, make in _BESIDE.items()}


def canonical_columns(stream: str, top_n: int = 10) -> tuple[str, ...]:
    """The columns of a stream, in the order in which they are hashed; a book has `top_n` levels a side, best first."""
    if stream == "books":
        levels = [f"{side}_{what}_{i}" for i in range(top_n) for side in ("bid", "ask") for what in ("px", "qty")]
        return ("ts", "symbol", *levels)
    return _CANONICAL[stream]


def content_hash(columns: Columns, names: Sequence[str]) -> str:
    """SHA-256 over decoded integers in canonical order: name, length, little-endian int64 values of each column."""
    h = hashlib.sha256()
    for name in names:
        values = np.ascontiguousarray(columns[name], "<i8")
        h.update(f"{name}\0{len(values)}\0".encode())
        h.update(values.data)
    return h.hexdigest()


def parts_of(start: int, stop: int, size: int, stops: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """[start, stop) cut into parts of at most `size`, and at each of `stops`, which ascend.

    >>> list(parts_of(0, 10, 4, [3, 9]))
    [(0, 3), (3, 7), (7, 9), (9, 10)]
    """
    while start < stop:
        place = bisect_right(stops, start)
        end = min(start + size, stop, *stops[place : place + 1])
        yield start, end
        start = end


class Stretch(NamedTuple):
    """Events that follow one another, with those before them that they reach.

    Args:
        base: the index of the first row. at: the first row that is new.
        blocks, quiet: INDEX and QUIET of all its rows; QUIET is of no rows unless it was asked for.
    """

    base: int
    at: int
    events: Events
    blocks: NDArray[Any]
    quiet: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Fixture:
    """Market data of one session and the settings to replay it with.

    Args:
        name: `[a-z0-9_]{1,64}`.
        instruments: one for each symbol, in ASCII order.
        events: all streams merged in the order (ts, stream rank, symbol, row); arrays of equal length.
        content: SHA-256 of instruments and decoded streams; the digest's input hash.
        config: the settings that a replay uses unless told otherwise; `max_jump` has been applied to the events.
        price_range: smallest and largest price of each instrument, in ticks.
        manifest: `fixture.toml` as read; empty for a fixture made in memory.
        path: its folder, or None.
        streams: rows and SHA-256 of each stream, of which `content` is made; of a head those of the whole.

    Make one with `gr.fixture(name)`, `Fixture.open(folder)` or `Fixture.from_arrays`.
    """

    name: str
    instruments: tuple[Instrument, ...]
    events: Events
    content: str
    config: Config
    price_range: tuple[tuple[int, int], ...]
    manifest: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    streams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    _indices: dict[tuple[int, int], NDArray[Any]] = field(default_factory=dict, init=False, repr=False)
    _quiets: dict[tuple[int, int], NDArray[Any]] = field(default_factory=dict, init=False, repr=False)
    _chunks: dict[tuple[int, int], Events] = field(default_factory=dict, init=False, repr=False)
    observations: Observations | None = field(default_factory=Observations, init=False, repr=False)
    """What replays observed of these events; None where they are not all in memory."""
    _lock: RLock = field(default_factory=RLock, init=False, repr=False)
    """Held where what is kept is made, so that threads which share a fixture make it once."""

    def __post_init__(self) -> None:
        """What is hashed and indexed cannot be changed any more."""
        for column in self.events:
            column.setflags(write=False)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; what is kept beside it is made there again."""
        return {name: value for name, value in vars(self).items() if name not in _BESIDE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in (state | beside()).items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __len__(self) -> int:
        return len(self.events.ts)

    def __repr__(self) -> str:
        symbols = ", ".join(instrument.symbol for instrument in self.instruments)
        start, end = (str(np.datetime64(int(ts), "ns"))[:19] for ts in (self.events.ts[0], self.events.ts[-1]))
        return f"Fixture({self.name!r}: {symbols}; {len(self):,} events, {start} to {end} UTC)"

    def _repr_html_(self) -> str:
        from grinder.cards.fixture import as_html

        return as_html(self)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in ASCII order; their position is the number that records carry."""
        return tuple(instrument.symbol for instrument in self.instruments)

    @property
    def first_ts(self) -> int:
        """Time of the first event, ns."""
        return int(self.events.ts[0])

    @property
    def last_ts(self) -> int:
        """Time of the last event, ns."""
        return int(self.events.ts[-1])

    @property
    def nbytes(self) -> int:
        """Bytes that another process has to be sent for it."""
        return sum(column.nbytes for column in self.events)

    @property
    def book_levels(self) -> int:
        """Levels a side of its books, at least 1."""
        return int(self.events.books.shape[2])

    def stretches(self, start: int, stop: int, size: int, reach: int, gated: bool, stops: Sequence[int] = ()) -> Iterator[Stretch]:
        """Events [start, stop) in stretches of at most `size` new ones.

        Args:
            reach: with gates or books a stretch holds the rows before it back to this many ns before its last earlier one.
            gated: whether gates are judged, which QUIET is for.
            stops: events before which a stretch ends too, ascending.
        """
        ts, none = self.events.ts, empty_quiet(len(self.instruments), 0)
        reaches = gated or len(self.events.book_rows) > 0
        for first, end in parts_of(start, stop, size, stops):
            base = int(np.searchsorted(ts[:first], ts[first - 1] - reach)) if reaches and first else first
            index, quiet = self.index_and_quiet(base, end) if gated else (self.index(base, end), none)
            yield Stretch(base, first - base, self.chunk(base, end), index, quiet)

    def market(self, stop: int) -> Events | None:
        """The first `stop` events, for a run to keep, which shares nothing that can be written; None where they are too many to be
        held at once."""
        return _cut(self.events, 0, stop)

    def chunk(self, start: int, stop: int) -> Events:
        """Events [start, stop), as views; those of the last few long stretches are kept."""
        with self._lock:
            made = self._chunks.get((start, stop))
            if made is None:
                made = _cut(self.events, start, stop)
                if stop - start >= KEPT_INDEX:
                    self._chunks[start, stop] = made
                    while len(self._chunks) > KEPT_CHUNKS:
                        del self._chunks[next(iter(self._chunks))]
            return made

    def index(self, start: int, stop: int) -> NDArray[Any]:
        """INDEX of events [start, stop). It depends on the data alone, so that of a long stretch is made once and kept."""
        with self._lock:
            known = self._indices.get((start, stop))
            if known is not None:
                return known
            made = empty_index(len(self.instruments), stop - start)
            make_index(self.chunk(start, stop), made)
            if stop - start >= KEPT_INDEX:
                self._indices[start, stop] = made
            return made

    def index_and_quiet(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """INDEX and QUIET of events [start, stop), made together and kept like the index; a replay without gates needs no QUIET."""
        span, symbols = (start, stop), len(self.instruments)
        with self._lock:
            if span not in self._quiets:
                index, quiet = empty_index(symbols, stop - start), empty_quiet(symbols, stop - start)
                make_both(self.chunk(start, stop), index, quiet)
                if stop - start < KEPT_INDEX:
                    return index, quiet
                self._indices[span], self._quiets[span] = self._indices.get(span, index), quiet
            return self._indices[span], self._quiets[span]

    def head(self, events: int) -> Fixture:
        """The first `events` events, as a fixture of its own; the proof of SPEC 1.2 keeps the whole data's price range."""
        if not 1 <= events <= len(self):
            raise ConfigError(f"head of {events} events: allowed are 1 to {len(self)}")
        return self._replace(events=_cut(self.events, 0, events), content=f"{self.content}:{events}")

    @property
    def commands(self) -> list[Instruction]:
        """The manual commands among the events, as `with_commands` takes them."""
        return listed_commands(self.events, self.symbols)

    def with_commands(self, commands: Iterable[Instruction]) -> Fixture:
        """The same market data under these manual commands, instead of any there are: what would have happened?

        The content hash is a function of the market data and the commands, and that of a fixture made with both at once.
        `fx.with_commands([*fx.commands, ...])` adds to those there are, `fx.with_commands([])` takes all away.

        Args:
            commands: (time, command, symbol), in any order. Time is ns or UTC text, such as "2024-01-03 14:02" or
                "2024-01-03T14:02:05.25"; the command pause, resume, kill, reset or recover, as text, `Command` or code; the
                symbol None for every one, as it must be for kill and reset. A command comes after all that the market did
                at its time.

        Raises:
            ConfigError: no such time, command or symbol.
            InputFault: a time out of 2009..2100, a kill or reset of one symbol.

        >>> btc = Instrument(symbol="BTC", kind="spot", tick_size="0.1", lot_size="0.001")
        >>> fx = Fixture.from_arrays([btc], quotes={"ts": [1700000000_000000000], "bid_px": [99], "bid_qty": [1], "ask_px": [101],
        ...     "ask_qty": [1]})
        >>> fx.with_commands([("2023-11-14 22:14", "kill", None)]).commands
        [(1700000040000000000, <Command.KILL: 2>, None)]
        """
        columns = columns_of(commands, self.symbols)
        cut = sum(entry["rows"] for entry in self.streams.values()) != len(self)
        market, _ = split_commands(self.events)
        streams = {stream: entry for stream, entry in self.streams.items() if stream != "commands"}
        content = _content(self.instruments, streams)
        whole = f"{content}:{len(market.ts)}" if cut else content
        if len(columns["ts"]):
            check_stream("commands", {"commands": columns}, len(self.instruments), "commands")
            market = insert_commands(market, columns)
            streams["commands"] = _summed("commands", columns)
            whole = _sha256({"events": whole, "commands": streams["commands"]}) if cut else _content(self.instruments, streams)
        return self._replace(events=market, content=whole, streams=streams, manifest={}, path=None)

    def _replace(self, **changes: Any) -> Fixture:
        import dataclasses

        return dataclasses.replace(self, **changes)

    @classmethod
    def from_arrays(
        cls,
        instruments: Sequence[Instrument],
        *,
        quotes: Mapping[str, Any] | None = None,
        books: Mapping[str, Any] | None = None,
        trades: Mapping[str, Any] | None = None,
        funding: Mapping[str, Any] | None = None,
        commands: Mapping[str, Any] | None = None,
        config: Config | None = None,
        name: str = "memory",
    ) -> Fixture:
        """A fixture from integer columns in memory.

        Args:
            instruments: one for each symbol, in any order.
            quotes: columns of equal length by name, ordered by `ts` (ns), as those of every stream. `symbol` is an array of
                indices into `instruments` as given, or of names; with one instrument it may be missing.
            books: a level that a book lacks has price and quantity 0.
            trades: `aggressor` is +1 (buyer), -1 (seller) or 0, unknown.
            funding: rates in 1e-8, mark prices in ticks.
            commands: a `command` is a `Command` or the name of one; its `symbol` -1 (among names "*") is every symbol, and so
                is a column left out.
            config: the settings of replays; its `max_jump` decides which rows are quarantined.

        Raises:
            InputFault: a row that SPEC 2.2 rejects.
            ConfigError: a setting is wrong.

        >>> btc = Instrument(symbol="BTC", kind="spot", tick_size="0.1", lot_size="0.001")
        >>> Fixture.from_arrays([btc], quotes={"ts": [1700000000_000000000], "bid_px": [99], "bid_qty": [1], "ask_px": [101],
        ...     "ask_qty": [1]})
        Fixture('memory': BTC; 1 events, 2023-11-14T22:13:20 to 2023-11-14T22:13:20 UTC)
        """
        if not is_one_name(name):
            raise ConfigError(f"fixture name {name!r}: a name of its own, without / and \\ and no dot before it")
        given = {"funding": funding, "books": books, "quotes": quotes, "trades": trades, "commands": commands}
        streams = {stream: _columns(columns, instruments, stream) for stream, columns in given.items() if columns is not None}
        return _assemble(name, instruments, streams, checked(config, Config()), {}, None)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], config: Config | None = None) -> Fixture:
        """Load a fixture's folder, checking row counts and byte hashes against its manifest.

        Args:
            config: settings on top of the manifest's; `max_jump` decides which rows are quarantined, so it has to be known here.

        Raises:
            FixtureNotFound: no such folder.
            IntegrityError: bytes or rows are not what the manifest says.
            InputFault: a row that SPEC 2.2 rejects.
            ConfigError: a setting is wrong or unknown.
        """
        path = Path(folder)
        manifest = read_manifest(path)
        if isinstance(manifest["streams"].get("quotes"), list):
            from grinder.data.daily import Daily

            return Daily.of(path, manifest, config)
        settings = settings_of(path, manifest, config)
        try:
            instruments = [Instrument(**item) for item in manifest["instruments"]]
            streams = {stream: _read_stream(path, stream, entry) for stream, entry in manifest["streams"].items()}
            made = _assemble(manifest["name"], instruments, streams, settings, manifest, path)
        except ConfigError as error:
            error.add_note(f"in {path / 'fixture.toml'}")
            raise
        if made.content != manifest["content_sha256"]:
            raise IntegrityError(
                f"{path / 'fixture.toml'}: content_sha256 is {manifest['content_sha256']}, the data hash to {made.content}; "
                "restore the folder from where it came"
            )
        return made


def settings_of(path: Path, manifest: Mapping[str, Any], config: Config | None) -> Config:
    """The settings of a manifest with a caller's on top.

    Raises:
        ConfigError: a setting is wrong, or goes not with another; a note names the manifest, unless the caller alone is wrong.
    """
    checked(config, Config())  # by itself, before the manifest has a part in it
    try:
        return checked(config, Config(**manifest.get("config", {})))
    except ConfigError as error:
        error.add_note(f"in {path / 'fixture.toml'}")
        raise


def _columns(columns: Mapping[str, Any], instruments: Sequence[Instrument], stream: str) -> dict[str, NDArray[np.int64]]:
    """Canonical int64 columns of user arrays, symbols renumbered to their ASCII rank."""
    rank = {name: i for i, name in enumerate(sorted(instrument.symbol for instrument in instruments))}
    every = stream == "commands"
    columns = {**columns, "command": codes_of(columns["command"], stream)} if every and "command" in columns else columns
    out = {name: _int64(values, stream, name) for name, values in columns.items() if name != "symbol"}
    if "symbol" in columns and np.ndim(columns["symbol"]) != 1:
        kind, cure = f"{np.ndim(columns['symbol'])}-dimensional", "give one name or index a row"
        raise InputFault("not a column of symbols", file=stream, column="symbol", value=kind, cure=cure)
    if "symbol" in columns and np.asarray(columns["symbol"]).dtype.kind in "iu":
        ranks = np.array([rank[one.symbol] for one in instruments], np.int64)
        out["symbol"] = _ranks(np.asarray(columns["symbol"]), ranks, stream, every)
    elif "symbol" in columns:
        given = np.asarray(columns["symbol"])
        known = rank if given.dtype.kind in "UOT" else {str(i): rank[one.symbol] for i, one in enumerate(instruments)}
        known = {**known, EVERY: NONE} if every else known
        names, places = np.unique(given.astype(str), return_inverse=True)
        for i, name in enumerate(names.tolist()):
            if name not in known:
                row, cure = int(np.argmax(places == i)), f"known are {', '.join(known)}"
                cure += ", which is every symbol" if every else ""
                raise InputFault("wrong symbol", file=stream, row=row, column="symbol", value=name, cure=cure)
        out["symbol"] = np.array([known[name] for name in names.tolist()], np.int64)[places]
    elif (every or len(instruments) == 1) and "ts" in out:
        out["symbol"] = np.full(len(out["ts"]), NONE if every else 0)
    _check_names(stream, out, stream)
    return out


def _ranks(given: NDArray[Any], rank: NDArray[np.int64], stream: str, every: bool) -> NDArray[np.int64]:
    """The ASCII rank of each index into the instruments as given; with `every` -1 stays -1."""
    bad = (given < (NONE if every else 0)) | (given >= len(rank))
    if bad.any():
        row, cure = int(np.argmax(bad)), f"known are 0 to {len(rank) - 1}" + (" and -1, which is every symbol" if every else "")
        raise InputFault("wrong symbol", file=stream, row=row, column="symbol", value=str(given[row]), cure=cure)
    ranked: NDArray[np.int64] = np.append(rank, NONE)[given]
    return ranked


def _int64(values: Any, stream: str, name: str) -> NDArray[np.int64]:
    """One column of integers, none of them cut to fit."""
    array = np.asarray(values)
    if (array.dtype.kind not in "iu" and array.size) or array.ndim != 1:
        kind, cure = f"{array.ndim}-dimensional {array.dtype}", "give ticks, lots and ns as integers"
        raise InputFault("not a column of integers", file=stream, column=name, value=kind, cure=cure)
    if array.dtype == np.uint64 and (array >> np.uint64(63)).any():
        row = int(np.argmax(array >> np.uint64(63)))
        raise InputFault("over 63 bits", file=stream, row=row, column=name, value=int(array[row]))
    return np.array(array, np.int64)


def _check_names(stream: str, names: Iterable[str], file: object) -> None:
    """Refuse missing and extra columns."""
    found = set(names) - set(EXTRA_COLUMNS)
    expected = set(_hashed(stream, found))
    for name in sorted(expected ^ found):
        problem = "missing column" if name in expected else "extra column"
        raise InputFault(problem, file=file, column=name, cure=f"{stream} have {', '.join(sorted(expected))}")


def _assemble(
    name: str,
    instruments: Sequence[Instrument],
    streams: Mapping[str, dict[str, NDArray[np.int64]]],
    config: Config,
    manifest: Mapping[str, Any],
    path: Path | None,
) -> Fixture:
    ordered = ranked(instruments)
    if not streams:
        raise DataError(f"{path or name}: no_ticks: there is not one stream; an empty fixture is never a success")
    if streams.keys() == {"commands"}:
        raise DataError(f"{path or name}: no_ticks: there are commands, but no market data to give them in; add a stream of quotes")
    where = {stream: (path / manifest["streams"][stream]["file"] if path else stream) for stream in streams}
    faults = {stream: check_stream(stream, streams, len(ordered), where[stream]) for stream in streams}
    for row, s in enumerate(streams["funding"]["symbol"].tolist() if "funding" in streams else ()):
        if ordered[s].kind != "perpetual":
            spot = ordered[s].symbol
            cure = 'only a perpetual has funding: set kind = "perpetual" or leave the row out'
            raise InputFault("funding of a spot instrument", file=where["funding"], row=row, column="symbol", value=spot, cure=cure)
    events = merge(streams, faults, len(ordered), where, parse_ratio(config.max_jump))
    hashes = {stream: _summed(stream, streams[stream]) for stream in sorted(streams)}
    prices = _price_range(events, ordered, path or name)
    return Fixture(name, ordered, events, _content(ordered, hashes), config, prices, manifest, path, hashes)


def ranked(instruments: Sequence[Instrument]) -> tuple[Instrument, ...]:
    """Instruments in ASCII order of symbol, in which events number them.

    Raises:
        ConfigError: they cannot be of one fixture.
    """
    ordered = tuple(sorted(instruments, key=lambda instrument: instrument.symbol))
    if not ordered:
        raise ConfigError("a fixture needs an instrument")
    if len(ordered) > np.iinfo(np.int16).max:
        raise ConfigError(f"{len(ordered)} instruments are more than the 32,767 that events can number: make several fixtures")
    if len({instrument.symbol for instrument in ordered}) != len(ordered):
        raise ConfigError("two instruments have the same symbol")
    if len({(instrument.quote, instrument.quote_decimals) for instrument in ordered}) != 1:
        raise ConfigError("the instruments of a fixture need one quote currency and one quote_decimals: the account is kept in it")
    return ordered


def _summed(stream: str, columns: Columns) -> dict[str, Any]:
    """What the content hash holds of a stream; of commands in the order in which they act, so that it is theirs alone."""
    columns = in_order(columns) if stream == "commands" else columns
    return {"rows": len(columns["ts"]), "sha256": content_hash(columns, _hashed(stream, columns))}


def _content(instruments: Sequence[Instrument], streams: Mapping[str, Any]) -> str:
    """The content hash: of the instruments in ASCII order and of what there is, by stream."""
    return _sha256({"instruments": [instrument.model_dump() for instrument in instruments], "streams": dict(streams)})


def _sha256(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(identity)).hexdigest()


def _hashed(stream: str, names: Iterable[str]) -> tuple[str, ...]:
    """The canonical columns of a stream that has these, a book's as deep as it goes, at least one level."""
    return canonical_columns(stream, max(1, sum(1 for name in names if name.startswith("bid_px_"))))


def _price_range(events: Events, instruments: Sequence[Instrument], where: object) -> tuple[tuple[int, int], ...]:
    """Smallest bid and largest ask or funding mark of each symbol, in ticks."""
    low, high = np.full(len(instruments), FAR), np.zeros(len(instruments), np.int64)
    _widen(events.symbol, events.bid_px, events.ask_px, low, high)
    for s, instrument in enumerate(instruments):
        if high[s] == 0:
            raise DataError(
                f"{where}: {instrument.symbol} has no accepted quote or book, but every symbol of a replay needs an L1 state: "
                "give it quotes, or leave the instrument out"
            )
    paid = events.funding[events.fault[events.funding["row"]] == 0]
    np.maximum.at(high, events.symbol[paid["row"]], paid["mark_px"])
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


@kernel
def _widen(symbol: NDArray[Any], bid_px: Any, ask_px: Any, low: Any, high: Any) -> None:
    """Widen each symbol's range by its prices; 0 is no L1 state yet."""
    for i in range(len(symbol)):
        if ask_px[i] > 0:
            s = symbol[i]
            low[s] = min(low[s], bid_px[i], ask_px[i])
            high[s] = max(high[s], bid_px[i], ask_px[i])


def _cut(events: Events, start: int, stop: int) -> Events:
    funding = events.funding[(events.funding["row"] >= start) & (events.funding["row"] < stop)].copy()
    funding["row"] -= start
    commands = events.commands[slice(*np.searchsorted(events.commands["row"], [start, stop]))].copy()
    commands["row"] -= start
    first, last = np.searchsorted(events.book_rows, [start, stop])
    cut = Events(*(column[start:stop] for column in events))
    rows = events.book_rows[first:last] - start
    bare = events.one_sided[slice(*np.searchsorted(events.one_sided, [start, stop]))] - start
    for column in (rows, bare):
        column.setflags(write=False)  # as all other rows are: kernels would be compiled for both kinds
    books = {"book_rows": rows, "books": events.books[first:last]}
    return cut._replace(funding=funding, commands=commands, one_sided=bare, **books)


# Folders


def read_manifest(path: Path) -> dict[str, Any]:
    """`fixture.toml` of a folder, its shape checked."""
    file = path / "fixture.toml"
    if not file.is_file():
        raise FixtureNotFound(f"{path}: there is no fixture.toml, so this is no fixture; give the folder that holds one")
    _check_own(path, file)
    try:
        manifest = tomllib.loads(text_of(file))
    except (ValueError, RecursionError) as error:  # of which TOML and UTF-8 errors are kinds
        raise IntegrityError(f"{file}: no valid TOML: {cause(error)}") from None
    allowed = {"schema", "name", "shows", "content_sha256", "instruments", "config", "streams", "source", "generator", "expect"}
    allowed |= {"price_range"}
    for key in sorted(set(manifest) - allowed):
        raise IntegrityError(f"{file}: unknown key {key!r}; allowed are {', '.join(sorted(allowed))}")
    for key, kind in (("schema", int), ("name", str), ("content_sha256", str), ("instruments", list), ("streams", dict)):
        if type(manifest.get(key)) is not kind:
            raise IntegrityError(f"{file}: {key} is missing or no {kind.__name__}")
    for key in ("config", "source", "generator", "expect"):
        if type(manifest.get(key, {})) is not dict:
            raise IntegrityError(f"{file}: {key} is no table")
    if manifest["schema"] != SCHEMA:
        raise IntegrityError(f"{file}: schema {manifest['schema']}; this version of grinder reads {SCHEMA}")
    if not is_plain_name(manifest["name"]):
        raise IntegrityError(f"{file}: name = {manifest['name']!r} is not 1 to 64 of a-z, 0-9 and _, or a device of Windows")
    if not all(isinstance(item, dict) for item in manifest["instruments"]):
        raise IntegrityError(f"{file}: instruments are tables, each under [[instruments]]")
    for stream, entry in manifest["streams"].items():
        if stream not in _STREAMS or not isinstance(entry, dict | list):
            raise IntegrityError(f"{file}: [streams.{stream}]: there is no such stream; there are {', '.join(_STREAMS)}")
        for one in entry if isinstance(entry, list) else [entry]:
            _check_entry(path, file, stream, one)
    _check_parts(file, manifest)
    return manifest


def _check_entry(path: Path, file: Path, stream: str, entry: Any) -> None:
    """Refuse what does not say of a Parquet file its name, rows and byte hash."""
    if not isinstance(entry, dict):
        raise IntegrityError(f"{file}: [[streams.{stream}]]: a file is a table of file, rows and bytes_sha256")
    for key in entry.keys() - {"file", "rows", "bytes_sha256"}:
        raise IntegrityError(f"{file}: unknown key streams.{stream}.{key}")
    for key, kind in (("file", str), ("rows", int), ("bytes_sha256", str)):
        if type(entry.get(key)) is not kind:
            raise IntegrityError(f"{file}: streams.{stream}.{key} is missing or no {kind.__name__}")
    if not entry["file"].endswith(".parquet") or not is_plain_name(entry["file"].removesuffix(".parquet")):
        raise IntegrityError(f"{file}: streams.{stream}.file = {entry['file']!r} is no plain name ending in .parquet")
    _check_own(path, path / entry["file"])


def _check_parts(file: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse several files of what only one file can be replayed of, and a price range that is none."""
    streams = manifest["streams"]
    several = sorted(stream for stream, entry in streams.items() if isinstance(entry, list))
    if several and set(streams) != {"quotes"}:
        other = next(stream for stream in [*several, *sorted(streams)] if stream != "quotes")
        raise IntegrityError(
            f"{file}: streams.{other} beside a stream of several files: only quotes alone can be cut into files; put each stream "
            "into one file, or leave the others out"
        )
    names = [entry["file"] for entry in streams["quotes"]] if several else []
    if several and not names:
        raise DataError(f"{file}: no_ticks: streams.quotes lists not one file; an empty fixture is never a success")
    for name in names:
        if names.count(name) > 1:
            raise IntegrityError(f"{file}: streams.quotes lists {name} twice; each file is listed once")
    prices = manifest.get("price_range", [])
    pairs = isinstance(prices, list) and all(isinstance(pair, list) and [*map(type, pair)] == [int, int] for pair in prices)
    if "price_range" in manifest and (not several or not pairs or len(prices) != len(manifest["instruments"])):
        what = "smallest and largest price in ticks by instrument"
        raise IntegrityError(f"{file}: price_range stands beside quotes of several files: {what}")


def _check_own(folder: Path, file: Path) -> None:
    if leads_out(folder, file):
        raise IntegrityError(f"{file}: is a link that leads out of the fixture's folder; put the file itself there")


def _read_stream(path: Path, stream: str, entry: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
    """One Parquet file, checked against the manifest, as int64 arrays."""
    file, rows = path / entry["file"], entry["rows"]
    check_bytes(file, entry["bytes_sha256"])
    with readable(file):
        whole, names = scanned(file, stream, rows)
        if not 0 <= rows <= ROW_GROUP:  # looked at before room is made for them; a query costs more than a short file
            check_rows(file, whole, rows)
        out = {name: np.empty(rows, np.int64) for name in names}
        done = 0
        for frame in whole.head(rows + 1).collect_batches(chunk_size=ROW_GROUP, maintain_order=True):
            if done + frame.height <= rows:
                fill_rows(out, frame, done, file, done)
            done += frame.height
        if done != rows:
            check_rows(file, whole, rows)
            raise IntegrityError(f"{file}: gave {done} of its {rows} rows; restore the file")
    return out


def check_bytes(file: Path, sha256: str) -> None:
    """Refuse a file that is missing, or whose bytes have another hash."""
    if not file.is_file():
        raise IntegrityError(f"{file}: is missing, the manifest lists it; restore it")
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != sha256:
        raise IntegrityError(f"{file}: sha256 is {found}, the manifest says {sha256}; restore the file")


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Tell what polars trips over as what it is: a file that is no readable Parquet."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise IntegrityError(f"{file}: no readable Parquet: {cause(error)}; restore the file") from None


def check_rows(file: Path, whole: pl.LazyFrame, rows: int) -> None:
    """Refuse a file that holds more or fewer rows than the manifest says."""
    import polars as pl

    found = whole.select(pl.len()).collect().item()
    if found != rows:
        raise IntegrityError(f"{file}: holds {found} rows, the manifest says {rows}; restore the file")


def scanned(file: Path, stream: str, rows: int) -> tuple[pl.LazyFrame, list[str]]:
    """A Parquet file of a stream, its columns as they must be: those to read, as Int64, and their names.

    How many rows it holds is left to be looked at, unless `rows` are more than a file of its size should hold.
    """
    import polars as pl

    whole = pl.scan_parquet(file, glob=False)
    schema = whole.collect_schema()
    _check_names(stream, schema, file)
    names = [name for name in schema if name not in EXTRA_COLUMNS]
    for name in names:
        if not schema[name].is_integer():
            cure = "write prices as ticks, quantities as lots and times as ns; what has no whole number has no place"
            raise InputFault("not an integer column", file=file, column=name, value=schema[name], cure=cure)
    if wrong := bomb(file.stat().st_size, 8 * rows * len(names), UNPACKED_COLUMNS):
        check_rows(file, whole, rows)
        raise IntegrityError(f"{file}: {wrong}: no market data do; restore the file")
    return whole.select(names).cast(pl.Int64), names


def fill_rows(out: Mapping[str, NDArray[np.int64]], frame: pl.DataFrame, at: int, file: Path, row: int) -> None:
    """Copy a frame of Int64 columns, whose first row is `row` of its file, into arrays from `at` on."""
    for name, values in out.items():
        if frame[name].null_count():
            missing = row + int(frame[name].is_null().arg_max() or 0)
            cure = "every row has every value; fetch the data again or leave the row out"
            raise InputFault("a value is missing", file=file, row=missing, column=name, cure=cure)
        values[at : at + frame.height] = frame[name].to_numpy()


def write_fixture(
    folder: str | os.PathLike[str],
    instruments: Sequence[Instrument],
    streams: Mapping[str, Mapping[str, NDArray[np.int64]]],
    *,
    shows: str,
    source: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    expect: Mapping[str, Any] | None = None,
    generator: Mapping[str, Any] | None = None,
    compression_level: int = 19,
) -> Fixture:
    """Write a fixture folder: Parquet, hashes, manifest. All or nothing: it appears whole under its name.

    Args:
        folder: its last part is the fixture's name, `[a-z0-9_]{1,64}`; must not exist.
        streams: canonical integer columns by stream (`canonical_columns`), `symbol` as ASCII rank, plus any of EXTRA_COLUMNS.
        shows: one sentence on what the fixture is for.
        source: provenance.
        config: settings as in `Config`.
        expect: what a replay must at least show, checked by `verify`.
        generator: what makes the streams again, if anything does.
        compression_level: of zstd; 9 is 20 times as fast as 19.

    Raises:
        ConfigError: a setting, a name or an expectation is wrong; nothing is written.
        DataError: the data break a rule; nothing is written.
    """
    import tempfile

    target, settings = new_folder(folder, config or {}, expect or {})
    for stream in streams:
        if stream not in _STREAMS:
            raise ConfigError(f"there is no stream {stream!r}; there are {', '.join(_STREAMS)}")
        _check_names(stream, streams[stream], stream)
    whole = {stream: {name: _int64(values, stream, name) for name, values in given.items()} for stream, given in streams.items()}
    made = _assemble(target.name, instruments, whole, settings, {}, None)
    settings.params(made.instruments, made.price_range)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        staged = Path(scratch) / target.name
        staged.mkdir()
        entries = {stream: write_stream(staged, stream, columns, compression_level) for stream, columns in sorted(whole.items())}
        manifest: dict[str, Any] = {"schema": SCHEMA, "name": target.name, "shows": shows, "content_sha256": made.content}
        manifest["instruments"] = [instrument.model_dump() for instrument in made.instruments]
        manifest |= {"config": dict(config or {}), "expect": dict(expect or {}), "source": dict(source or {})}
        manifest |= ({"generator": dict(generator)} if generator else {}) | {"streams": entries}
        (staged / "fixture.toml").write_text(to_toml(manifest), "utf-8")
        read_back = Fixture.open(staged)
        os.replace(staged, target)
    return read_back._replace(path=target)


def new_folder(folder: str | os.PathLike[str], config: Mapping[str, Any], expect: Mapping[str, Any]) -> tuple[Path, Config]:
    """Where a fixture can be written, and its settings.

    Raises:
        ConfigError: the name, a setting or an expectation is wrong, or there is something of that name.
    """
    target = Path(folder)
    if not is_plain_name(target.name):
        raise ConfigError(f"fixture name {target.name!r}: 1 to 64 of a-z, 0-9 and _, and no device of Windows, such as con or nul")
    if target.exists():
        raise ConfigError(f"{target} exists already; remove it or choose another name")
    settings = Config(**config)
    wrong = wrong_expectation(expect)
    if wrong:
        raise ConfigError(f"fixture {target.name}: {wrong}")
    return target, settings


def write_stream(folder: Path, stream: str, columns: Mapping[str, NDArray[np.int64]], level: int, name: str = "") -> dict[str, Any]:
    """Write a stream, or a part of it under a name of its own, and return its entry in the manifest."""
    import polars as pl

    names = [*_hashed(stream, columns), *(name for name in EXTRA_COLUMNS if name in columns)]
    file = folder / f"{name or stream}.parquet"
    frame = pl.DataFrame({name: columns[name] for name in names})
    try:
        frame.write_parquet(file, compression="zstd", compression_level=level, row_group_size=ROW_GROUP, statistics=False)
    except pl.exceptions.PolarsError as error:  # a full disk, which polars does not tell as an OSError
        raise OSError(f"{file.name} cannot be written: {error}") from None
    rows = frame.height
    with file.open("rb") as opened:
        return {"file": file.name, "rows": rows, "bytes_sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def to_toml(value: Mapping[str, Any], prefix: str = "") -> str:
    """A manifest as TOML: scalars first, then tables; what `tomllib` reads back is equal."""
    tables = {k: v for k, v in value.items() if isinstance(v, Mapping)}
    arrays = {k: v for k, v in value.items() if isinstance(v, list) and v and all(isinstance(item, Mapping) for item in v)}
    text = "".join(f"{_toml_key(k)} = {_toml_value(v)}\n" for k, v in value.items() if k not in tables and k not in arrays)
    for key, items in arrays.items():
        name = prefix + _toml_key(key)
        for item in items:
            text += f"\n[[{name}]]\n" + to_toml(item, f"{name}.")
    for key, table in tables.items():
        name = prefix + _toml_key(key)
        text += f"\n[{name}]\n" + to_toml(table, f"{name}.")
    return text


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml_value(name)


def _toml_value(item: Any) -> str:
    import json

    item = item.item() if isinstance(item, np.generic) else item
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return repr(item)  # inf, nan and 1e+22 are TOML's spellings too
    if isinstance(item, str | Decimal):
        return json.dumps(str(item), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(item, list | tuple):
        return "[" + ", ".join(_toml_value(part) for part in item) + "]"
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in item.items()) + "}"
    raise ConfigError(f"{item!r} has no place in a manifest, which holds text, numbers, true and false, lists and tables")


# Names


def fixture_roots() -> list[Path]:
    """Where fixtures are looked for by name: the working folder, a checkout of grinder, the installed package."""
    package = Path(str(files("grinder")))
    return [Path("fixtures"), package.parents[1] / "fixtures", package / "fixtures"]


def fixture(name: str | os.PathLike[str], config: Config | None = None) -> Fixture:
    """The fixture of this name, or in this folder, with `config` on top of its own settings.

    A name is looked for in `./fixtures`, then among the fixtures that come with grinder. Text with a path separator is a folder.

    Raises:
        FixtureNotFound: listing where it looked and what there is.
    """
    return Fixture.open(find_fixture(name), config)


def find_fixture(name: str | os.PathLike[str]) -> Path:
    """The folder of a fixture, as `fixture` looks for it."""
    text = os.fspath(name)
    if os.sep in text or text.startswith("."):
        return Path(text)
    if is_plain_name(text):
        for root in fixture_roots():
            if (root / text / "fixture.toml").is_file():
                return root / text
    known = sorted({path.name for root in fixture_roots() for path in fixtures_below(root)})
    raise FixtureNotFound(f"no fixture {text!r}; there are: {', '.join(known) or 'none'}; a folder is given as ./{text}")


def fixtures_below(root: Path) -> list[Path]:
    """Folders of all fixtures in `root`, in name order."""
    return sorted(path.parent for path in root.glob("*/fixture.toml"))
