"""From an importer's integer columns to a fixture folder: one shape for every source."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict, Unpack

from grinder.config import Config
from grinder.data.archive import KINDS, Bars, read_archive
from grinder.data.binance import ImportReport, judge, read_recording, stream_columns
from grinder.data.fixture import Fixture, write_fixture
from grinder.data.instrument import Instrument
from grinder.data.lean import read_lean
from grinder.data.series import FilesReport, Part, Rules, join
from grinder.data.tabular import FIELDS, read_tabular
from grinder.data.tardis import read_tardis
from grinder.data.validation import quarantined
from grinder.errors import ConfigError, InputFault
from grinder.units import parse_ratio

__all__ = ["FileOptions", "import_archive", "import_binance", "import_lean", "import_table", "import_tardis"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Progress = Callable[[int, int], None]
_LEVEL = 9
"""Files of users are large: level 19 takes 8 s for a million quotes and makes them 5 % smaller than 9 does in 0.4 s."""


class FileOptions(TypedDict, total=False):
    """What every importer of files takes.

    Args:
        kind: "spot" or "perpetual", for all symbols or by symbol; needed.
        tick_size, lot_size: decimal text, for all symbols or by symbol; without it the finest decimals seen in any file.
        sort: order rows stably by time rather than refuse disorder. floor: round quantities down to the lot and funding rates
            down to 1e-8, counted, rather than refuse them. clip: drop funding outside the time of the quotes.
        contract_size, quote, quote_decimals: of the instruments, as in `Instrument`.
        config, expect, shows, origin: go into the manifest; see `write_fixture`.
        progress: called with (bytes done, bytes in all) of the files as stored.
    """

    kind: str | Mapping[str, str]
    tick_size: str | Mapping[str, str] | None
    lot_size: str | Mapping[str, str] | None
    sort: bool
    floor: bool
    clip: bool
    contract_size: str
    quote: str
    quote_decimals: int
    config: Mapping[str, Any] | None
    expect: Mapping[str, Any] | None
    shows: str
    origin: str
    progress: Progress | None


def import_binance(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    kind: str,
    streams: tuple[str, ...] = ("quotes", "trades", "books"),
    config: Mapping[str, Any] | None = None,
    expect: Mapping[str, Any] | None = None,
    shows: str = "",
    origin: str = "",
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> tuple[Fixture, ImportReport]:
    """Make a fixture of a raw Binance websocket recording.

    Args:
        path: the recording, gzipped or not. out: the fixture's folder, which must not exist.
        kind: "spot" or "perpetual". streams: which of the recording's streams to keep; one without a row is left out.
        config, expect, shows, origin: go into the manifest; see `write_fixture`.
        options: `symbol`, `tick_size`, `lot_size`, `clock`, `top_n` as for `read_recording`.

    Returns:
        The fixture as read back from disk, and the report of rows, dropped and quarantined, which is in its manifest too.

    Raises:
        InputFault: a line that cannot be used; nothing is written.
    """
    for stream in streams:
        if stream not in ("quotes", "trades", "books"):
            raise ConfigError(f"a recording has no stream {stream!r}; it has quotes, trades and books")
    max_jump = f"{Config(**(config or {})).max_jump:f}"
    recording = read_recording(path, progress=progress, max_jump=max_jump, **options)
    instrument = Instrument(symbol=recording.symbol, kind=kind, tick_size=recording.tick_size, lot_size=recording.lot_size)
    columns = {stream: stream_columns(getattr(recording, stream)) for stream in streams if recording.report.rows[stream]}
    report = recording.report
    if columns and not columns.keys() >= {stream for stream, rows in report.rows.items() if rows}:
        report = replace(report, quarantined=quarantined(judge(columns, parse_ratio(max_jump))))  # streams judge each other
    source = {
        "file": Path(path).name,
        "origin": origin,
        "clock": recording.clock,
        "report": json.dumps(report.to_dict(), sort_keys=True),
    }
    made = write_fixture(
        out,
        [instrument],
        columns,
        shows=shows or f"{recording.symbol} as recorded from Binance",
        source=source,
        config=config,
        expect=expect,
    )
    return made, report


# Importers of files (SPEC 2.2, 2.3)


def import_archive(
    paths: Paths,
    out: str | os.PathLike[str],
    *,
    symbol: str | None = None,
    data: str | None = None,
    spread_ticks: int | None = None,
    size: str | None = None,
    time_unit: str | None = None,
    **options: Unpack[FileOptions],
) -> tuple[Fixture, FilesReport]:
    r"""Make a fixture of Binance's archive CSVs: bookTicker, aggTrades, trades, klines, fundingRate.

    Several days of one kind are joined; several kinds and symbols go into one fixture. See `grinder.data.archive`.

    Args:
        paths: the files, plain, .zip or .gz. out: the fixture's folder, which must not exist.
        symbol, data: symbol and kind of file where its name or header does not tell them.
        spread_ticks, size: for klines: the spread around their prices and the quantity at the best, as decimal text.
        time_unit: s, ms, us or ns; without it told by magnitude, for each file.
        options: see `FileOptions`.

    Raises:
        InputFault: a row that cannot be used; nothing is written.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> file = folder / "BTCUSDT-bookTicker-2024-01-01.csv"
    >>> _ = file.write_text("7,42000.10,1.5,42000.20,2,1704067200000,1704067200001\n")
    >>> made, report = import_archive(file, folder / "btc", kind="perpetual")
    >>> made
    Fixture('btc': BTCUSDT; 1 events, 2024-01-01T00:00:00 to 2024-01-01T00:00:00 UTC)
    >>> report.units
    {'BTCUSDT': {'tick_size': '0.1', 'lot_size': '0.1'}}

    On the command line::

        grinder import archive BTCUSDT-bookTicker-2024-01-*.zip BTCUSDT-trades-2024-01-*.zip BTCUSDT-fundingRate-2024-01.zip \
            --out fixtures/january --kind perpetual --clip
    """
    if data is not None and data not in KINDS:
        raise ConfigError(f"data {data!r}: there are {', '.join(KINDS)}")
    bars = Bars(spread_ticks, size)
    return _import(
        import_archive,
        paths,
        out,
        "Binance's archive",
        lambda path, rules, progress: read_archive(
            path, rules, data=data, symbol=symbol, bars=bars, unit=time_unit, progress=progress
        ),
        options,
    )


def import_lean(
    paths: Paths, out: str | os.PathLike[str], *, symbol: str | None = None, date: str | None = None, **options: Unpack[FileOptions]
) -> tuple[Fixture, FilesReport]:
    r"""Make a fixture of LEAN's minute or second quote bars and its funding files. See `grinder.data.lean` and `grinder.data.bars`.

    Args:
        paths: .zip or .csv files; days are joined, symbols go side by side. out: the fixture's folder, which must not exist.
        symbol, date: where a file's name does not tell them; `yyyymmdd`.
        options: see `FileOptions`; sizes of most files need `lot_size` and `floor=True`.

    Raises:
        InputFault: a row that cannot be used; nothing is written.

    On the command line, two days of two symbols in one fixture::

        grinder import lean *_2017090[34]_quote.zip --out fixtures/two --kind spot --quote USD --lot 0.0001 --floor

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> file = folder / "20260101_btcusd_minute_quote.csv"
    >>> _ = file.write_text("0,100,104,99,102,1.5,101,105,100,103,2\n")
    >>> made, report = import_lean(file, folder / "btc", kind="perpetual")
    >>> made.events.bid_px.tolist(), made.events.ask_px.tolist()
    ([100, 99, 104, 102], [101, 100, 105, 103])
    """
    return _import(
        import_lean,
        paths,
        out,
        "LEAN's bars",
        lambda path, rules, progress: read_lean(path, rules, symbol=symbol, date=date, progress=progress),
        options,
    )


def import_tardis(
    paths: Paths,
    out: str | os.PathLike[str],
    *,
    symbol: str | None = None,
    clock: str = "local",
    top_n: int = 10,
    **options: Unpack[FileOptions],
) -> tuple[Fixture, FilesReport]:
    r"""Make a fixture of Tardis CSV files: quotes, trades, book_snapshot_N, derivative_ticker. See `grinder.data.tardis`.

    Args:
        paths: .csv or .csv.gz files. out: the fixture's folder, which must not exist.
        symbol: needed when a file holds several; rows of the others are dropped and counted.
        clock: "local" (arrival; the order of the files) or "exchange". top_n: levels a side to keep of a book.
        options: see `FileOptions`.

    Raises:
        InputFault: a row that cannot be used; nothing is written.

    On the command line::

        grinder import tardis quotes.csv.gz trades.csv.gz derivative_ticker.csv.gz --out fixtures/btc --kind perpetual --clip

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> file = folder / "quotes.csv"
    >>> _ = file.write_text(
    ...     "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
    ...     "binance-futures,BTCUSDT,1704067200000000,1704067200000250,2,42000.2,42000.1,1.5\n"
    ... )
    >>> made, report = import_tardis(file, folder / "btc", kind="perpetual", tick_size="0.1", lot_size="0.001")
    >>> made
    Fixture('btc': BTCUSDT; 1 events, 2024-01-01T00:00:00 to 2024-01-01T00:00:00 UTC)
    """
    return _import(
        import_tardis,
        paths,
        out,
        "Tardis",
        lambda path, rules, progress: read_tardis(path, rules, symbol=symbol, clock=clock, top_n=top_n, progress=progress),
        options,
    )


def import_table(
    out: str | os.PathLike[str],
    *,
    symbol: str,
    quotes: Paths = (),
    trades: Paths = (),
    funding: Paths = (),
    commands: Paths = (),
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    in_ticks: bool = False,
    in_lots: bool = False,
    **options: Unpack[FileOptions],
) -> tuple[Fixture, FilesReport]:
    r"""Make a fixture of one's own CSV or Parquet files, with a mapping of columns. See `grinder.data.tabular`.

    Args:
        out: the fixture's folder, which must not exist. symbol: what the files are of.
        quotes, trades, funding, commands: the files of each stream. Commands have `ts`, `command` (pause, resume, kill, reset,
            recover) and, unless all are to every symbol, `symbol`, which is * where one is.
        columns: the fixture's column -> the file's, as `bid_px` for all streams or `quotes.bid_px` for one.
        time_unit: s, ms, us or ns; without it told by magnitude, for each file.
        in_ticks, in_lots: prices (quantities) are whole ticks (lots) already; give `tick_size` (`lot_size`).
        options: see `FileOptions`.

    Raises:
        InputFault: a row that cannot be used; nothing is written.

    On the command line::

        grinder import table --symbol BTCUSD --quotes day.parquet --trades trades.csv --column quotes.ts=time \
            --column bid_px=best_bid --column ask_px=best_ask --out fixtures/btc --kind spot

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> file = folder / "day.csv"
    >>> _ = file.write_text("time,best_bid,bid_qty,best_ask,ask_qty\n1704067200,99.5,1,100,2\n")
    >>> columns = {"ts": "time", "bid_px": "best_bid", "ask_px": "best_ask"}
    >>> made, report = import_table(folder / "btc", symbol="BTCUSD", kind="spot", quotes=file, columns=columns)
    >>> made.events.bid_px.tolist(), report.units["BTCUSD"]["tick_size"], report.files[0]["time_unit"]
    ([995], '0.1', 's')
    """
    named = {"quotes": quotes, "trades": trades, "funding": funding, "commands": commands}
    files = {stream: _listed(given) for stream, given in named.items()}
    of = {path: stream for stream, given in files.items() for path in given}
    mapped = {stream: _mapping(stream, columns or {}) for stream in files}
    _check_mapping(columns or {}, [stream for stream, given in files.items() if given])

    def read(path: Path, rules: Rules, progress: Progress | None) -> Part:
        stream = of[path]
        return read_tabular(
            path,
            stream,
            rules,
            symbol=symbol,
            columns=mapped[stream],
            unit=time_unit,
            in_ticks=in_ticks,
            in_lots=in_lots,
            progress=progress,
        )

    return _import(import_table, [path for given in files.values() for path in given], out, "tables", read, options)


def _mapping(stream: str, columns: Mapping[str, str]) -> dict[str, str]:
    """The mapping of one stream: its own names win over those for all."""
    shared = {name: value for name, value in columns.items() if name in FIELDS[stream]}
    own = {name.partition(".")[2]: value for name, value in columns.items() if name.startswith(f"{stream}.")}
    return shared | own


def _check_mapping(columns: Mapping[str, str], streams: Sequence[str]) -> None:
    for name in columns:
        stream, dot, field = name.rpartition(".")
        if not any(field in FIELDS[one] for one in ([stream] if dot else streams) if one in FIELDS):
            raise ConfigError(f"there is no column {name!r}; write quotes.bid_px, or bid_px for all streams that have it")


def _check_options(importer: Callable[..., object], options: FileOptions) -> None:
    """Python hands over any keyword: one that no importer reads would have no effect and no word."""
    legal = [*inspect.signature(importer).parameters, *FileOptions.__annotations__]
    legal.remove("options")
    for name in sorted(options.keys() - FileOptions.__annotations__):
        near = get_close_matches(name, legal, 1, 0)
        raise ConfigError(f"there is no option {name!r}; the nearest is {near[0]}, all are {', '.join(legal)}")


def _listed(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]


def _import(
    importer: Callable[..., object],
    paths: Paths,
    out: str | os.PathLike[str],
    what: str,
    read: Callable[[Path, Rules, Progress | None], Part],
    options: FileOptions,
) -> tuple[Fixture, FilesReport]:
    """Read files, join them, write the fixture: all or nothing."""
    _check_options(importer, options)
    kind = options.get("kind")
    if not kind:
        raise ConfigError('kind is missing: give "spot" or "perpetual"')
    if Path(out).exists():
        raise ConfigError(f"{out} exists already; remove it or choose another name")
    max_jump = parse_ratio(f"{Config(**(options.get('config') or {})).max_jump:f}")
    tick, lot = options.get("tick_size"), options.get("lot_size")
    rules = Rules(tick, lot, options.get("sort", False), options.get("floor", False), options.get("clip", False), max_jump)
    files = _listed(paths)
    if len(set(files)) != len(files):
        raise ConfigError("a file is given twice")
    parts = [read(path, rules, progress) for path, progress in _tracked(files, options.get("progress"))]
    for part in parts:
        if part.stream == "funding" and (kind if isinstance(kind, str) else kind.get(part.symbol)) == "spot":
            row, cure = part.table.line(0), "only a perpetual has funding: give kind perpetual, or leave the file out"
            raise InputFault("funding of a spot instrument", file=part.table.path, row=row, value=part.symbol, cure=cure)
    joined = join(parts, rules)
    extra = {name: options[name] for name in ("contract_size", "quote", "quote_decimals") if name in options}
    instruments = [
        Instrument(symbol=symbol, kind=kind if isinstance(kind, str) else kind.get(symbol), tick_size=a, lot_size=b, **extra)
        for symbol, (a, b) in joined.sizes.items()
    ]
    report = joined.report
    source = {
        "file": ", ".join(path.name for path in files),
        "origin": options.get("origin", ""),
        "report": json.dumps(report.to_dict(), sort_keys=True),
    }
    made = write_fixture(
        out,
        instruments,
        joined.streams,
        shows=options.get("shows") or f"{', '.join(joined.sizes)} from files of {what}",
        source=source,
        config=options.get("config"),
        expect=options.get("expect"),
        compression_level=_LEVEL,
    )
    return made, report


def _tracked(files: Sequence[Path], progress: Progress | None) -> list[tuple[Path, Progress | None]]:
    """Each file with a callback that counts bytes over all of them."""
    if progress is None:
        return [(path, None) for path in files]
    try:
        sizes = [path.stat().st_size for path in files]
    except OSError as error:
        raise InputFault(f"cannot be read: {error.strerror}", file=error.filename, cure="give a readable file") from None
    total = sum(sizes)

    def of(before: int, size: int) -> Progress:
        return lambda done, whole: progress(before + size * done // max(whole, 1), total)

    return [(path, of(sum(sizes[:i]), sizes[i])) for i, path in enumerate(files)]
