"""Tables of one's own: CSV or Parquet with any column names, and a mapping from the fixture's columns to them.

A Parquet file is read batch by batch as the CSV text it would be, so that one parser and one set of faults serve both. A float in
it is taken as the shortest decimal text that reads back as that float, as its writer meant it; NaN and infinity are refused, and so
is text with a comma, a quote or a line end. A datetime has its own unit of time, whichever is given for numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from grinder.data import text as t
from grinder.data.blocks import Block, Progress, blocks_of
from grinder.data.series import Part, Rules, Series
from grinder.data.table import Column, Layout, Table, Times, Unit, read_table
from grinder.errors import ConfigError, InputFault
from grinder.intake import UNPACKED_COLUMNS, bomb
from grinder.records import NONE

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FIELDS", "read_tabular"]

FIELDS: Final[dict[str, dict[str, tuple[int, int, bool]]]] = {
    "quotes": {
        "ts": (t.TIME, 0, True),
        "bid_px": (t.PRICE, 1, True),
        "bid_qty": (t.QTY, 0, True),
        "ask_px": (t.PRICE, 1, True),
        "ask_qty": (t.QTY, 0, True),
        "update_id": (t.COUNT, 0, False),
        "symbol": (t.NAME, 0, False),
    },
    "trades": {
        "ts": (t.TIME, 0, True),
        "id": (t.COUNT, 0, False),
        "px": (t.PRICE, 1, True),
        "qty": (t.QTY, 1, True),
        "aggressor": (t.SIDE, 0, False),
        "buyer_maker": (t.TRUTH, 0, False),
        "symbol": (t.NAME, 0, False),
    },
    "funding": {
        "ts": (t.TIME, 0, True),
        "rate": (t.RATE, 0, True),
        "mark_px": (t.MARK, 1, False),
        "symbol": (t.NAME, 0, False),
    },
    "commands": {
        "ts": (t.TIME, 0, True),
        "command": (t.COMMAND, 0, True),
        "symbol": (t.WHOM, 0, False),
    },
}
"""Stream -> its fields: what each holds, its least value, whether a file must have it."""
_BATCH: Final = 1 << 16
_UNFIT: Final = r'[,"\r\n]'
"""What a cell of text cannot hold, since it ends a cell or a row, or has no meaning."""


def read_tabular(
    path: Path,
    stream: str,
    rules: Rules,
    *,
    symbol: str,
    columns: Mapping[str, str],
    unit: str | None,
    in_ticks: bool,
    in_lots: bool,
    progress: Progress | None,
) -> Part:
    """One CSV or Parquet file of one stream.

    Args:
        stream: quotes, trades, funding or commands. symbol: what it is of; rows of others are dropped where a symbol column is
            mapped. Commands are names, their symbol * concerns every symbol, and so does a file without that column.
        columns: field -> name in the file; a field left out has its own name there. A number is a place, from 0, in a CSV without
            header. Columns of the file that no field takes are skipped.
        unit: of its times; None tells it by their magnitude. in_ticks, in_lots: prices (quantities) are whole ticks (lots).

    Raises:
        InputFault, ConfigError.
    """
    if stream not in FIELDS:
        raise ConfigError(f"there is no stream {stream!r} to import; there are {', '.join(FIELDS)}")
    fields = FIELDS[stream]
    for name in columns:
        if name not in fields:
            raise ConfigError(f"{stream} have no column {name!r}; they have {', '.join(fields)}")
    given = {"tick_size": in_ticks, "lot_size": in_lots}
    for name in (name for name, whole in given.items() if whole):
        if rules.unit(name, symbol) is None:
            raise ConfigError(f"{symbol}: columns in whole units of {name} do not tell it: give it")
    one = Unit.of("1", "unit")

    def layout(cells: list[str], header: bool) -> Layout:
        kept = _mapped(path, stream, cells, columns, header)
        tick = one if in_ticks else rules.unit("tick_size", symbol)
        lot = one if in_lots else rules.unit("lot_size", symbol)
        drops = {"other_symbol": ["symbol"]} if any(c.field == "symbol" for c in kept) else {}
        return Layout(kept, header, wanted=symbol, drops=drops, tick=tick, lot=lot)

    def choose(cells: list[str], _: list[str] | None) -> Layout:
        places = columns and all(place.isdigit() for place in columns.values())
        return layout(cells, not (places and cells[0][:1].isdigit()))

    if _is_parquet(path):
        table = _read_parquet(path, lambda names: layout(names, True), Times.of(unit), rules.floor, progress)
    else:
        table = read_table(path, blocks_of(path), choose, floor=rules.floor, times=Times.of(unit), progress=progress)
    _declared(table, {t.PRICE: in_ticks, t.QTY: in_lots})
    return Part(symbol, stream, f"table of {stream}", table, {"trades": _sides, "commands": _concerned}.get(stream))


def _mapped(path: Path, stream: str, cells: list[str], columns: Mapping[str, str], header: bool) -> list[Column]:
    """Each column of the file as a field, or skipped."""
    fields = FIELDS[stream]
    where: dict[int, str] = {}
    for name, (_, _, needed) in fields.items():
        wanted = columns.get(name, name if header else "")
        if header and cells.count(wanted) > 1:
            raise InputFault("a column twice", file=path, row=0, column=wanted, cure="rename one of them")
        place = (cells.index(wanted) if wanted in cells else -1) if header else (int(wanted) if wanted else -1)
        if place in where:
            both = f"{name} and {where[place]} are both mapped to column {wanted}"
            raise ConfigError(f"{path}: {both}: map each to one of its own")
        if 0 <= place < len(cells):
            where[place] = name
        elif needed or name in columns:
            cure = f"map it, such as --column {name}=NAME; the file has {', '.join(cells)[:200]}"
            raise InputFault("missing column", file=path, row=0, column=wanted or name, cure=cure)
    if stream == "trades" and len({"aggressor", "buyer_maker"} & set(where.values())) != 1:
        cure = "map aggressor (buy, sell, 1, -1) or buyer_maker (true, false)"
        raise InputFault("missing column", file=path, row=0, column="aggressor", cure=cure)
    kept = []
    for i, cell in enumerate(cells):
        field = where.get(i, "")
        kind, least, _ = fields[field] if field else (t.SKIP, 0, False)
        kept.append(Column(cell if header else str(i), kind, field, least))
    return kept


def _declared(table: Table, whole: Mapping[int, bool]) -> None:
    """Columns that hold whole ticks or lots already are not scaled again."""
    table.kinds = {name: t.COUNT if whole.get(kind, False) else kind for name, kind in table.kinds.items()}
    for group in (group for group, is_whole in whole.items() if is_whole):
        table.places[group] = 0


def _sides(series: Series) -> None:
    """Trades are numbered where they have no id, and `buyer_maker` has become the aggressor."""
    columns = series.columns
    if "buyer_maker" in columns:
        columns["aggressor"] = columns.pop("buyer_maker")
    if "id" not in columns:
        columns["id"] = np.arange(len(columns["ts"]), dtype=np.int64)


def _concerned(series: Series) -> None:
    """Whom commands concern: 0 the symbol, -1 every symbol."""
    columns = series.columns
    columns["symbol"] = columns["symbol"] - 1 if "symbol" in columns else np.full(len(columns["ts"]), NONE)


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except (OSError, ValueError) as error:  # a name with a NUL is no OSError
        said = getattr(error, "strerror", None) or error
        raise InputFault(f"cannot be read: {said}", file=path, cure="give a readable file") from None


def _read_parquet(path: Path, layout: Callable[[list[str]], Layout], times: Times, floor: bool, progress: Progress | None) -> Table:
    """The columns of a Parquet file that a field takes, read as CSV text; a datetime has its own unit of time."""
    import polars as pl

    with _no_parquet(path):
        whole = pl.scan_parquet(path, glob=False)
        schema = whole.collect_schema()
        rows = whole.select(pl.len()).collect().item()
    made = layout(list(schema))
    made = made._replace(columns=[column for column in made.columns if column.field], header=False)
    if wrong := bomb(path.stat().st_size, 8 * rows * len(made.columns), UNPACKED_COLUMNS):
        raise InputFault(wrong, file=path, cure="no market data do: write it again")
    shown, texts = [], []
    for name, kind, _, _, _ in made.columns:
        dtype, column = schema[name], pl.col(name)
        if isinstance(dtype, pl.Datetime) and kind == t.TIME:
            column, times = column.to_physical(), Times.of(dtype.time_unit)
        elif dtype == pl.String:
            texts.append(name)
        elif not (dtype.is_numeric() or dtype == pl.Boolean):
            raise InputFault("neither numbers nor text", file=path, column=name, value=str(dtype), cure="cast it")
        shown.append(column.cast(pl.String).fill_null(""))
    blocks = _parquet_blocks(path, whole.select(shown), texts, rows)
    table = read_table(path, blocks, lambda *_: made, floor=floor, times=times, progress=progress)
    if (read := table.rows + len(table.gone)) != rows:
        raise InputFault(f"{read} rows were read of {rows}", file=path, cure="write it again, with numbers rather than text")
    return table


def _parquet_blocks(path: Path, whole: pl.LazyFrame, texts: Sequence[str], rows: int) -> Iterator[Block]:
    """Columns of text as CSV without a header; text that would not stay in its cell is refused."""
    done = 0
    with _no_parquet(path):
        for frame in whole.collect_batches(chunk_size=_BATCH, maintain_order=True):
            for name in texts:
                bad = frame[name].str.contains(_UNFIT).arg_true()
                if len(bad):
                    row, cure = int(bad[0]), "write the value alone, without quotes, commas and line ends"
                    raise InputFault(
                        "more than one value", file=path, row=done + row, column=name, value=frame[name][row], cure=cure
                    )
            body = bytearray(frame.write_csv(include_header=False, quote_style="never").encode())
            done += frame.height
            yield Block(np.frombuffer(body, np.uint8), 0, len(body), done, rows)


@contextmanager
def _no_parquet(path: Path) -> Iterator[None]:
    """Turns what goes wrong inside a damaged Parquet file into an InputFault."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise InputFault(f"no readable Parquet: {error}", file=path, cure="write it again") from None
