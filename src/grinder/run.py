"""A finished replay: its tables, its digest and where it came from; and how it is kept on disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder.config import Config
from grinder.cycle import slots
from grinder.data.instrument import Instrument
from grinder.digest import Digest
from grinder.errors import ConfigError, DataError, IntegrityError, cause
from grinder.gathering import extremes, mids_after
from grinder.intake import bomb, is_one_name, only, strict_json
from grinder.metrics import (
    HORIZONS,
    Metrics,
    accounts,
    completed_cycles,
    equity_after,
    fill_mids,
    largest_drawdown,
    measure,
    total_of,
)
from grinder.outfile import write_whole
from grinder.records import LADDER_SLOTS, NEVER, STAGES, WORLD_DTYPES, Events, Regime, World, stage_dtype, world_shapes

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from grinder.cautions import Caution
    from grinder.data.fixture import Fixture
    from grinder.explain import Explanation, Moment
    from grinder.plot import Plots
    from grinder.policies.own import Policy

__all__ = ["Run", "Table", "load"]

FORMAT: Final = 3
PRICE_STRETCHES: Final = 4096
"""Stretches of events of which a plot shows the mid's extremes."""
META: Final = frozenset(("format", "name", "instruments", "config", "total", "first_ts", "last_ts", "digest", "seal", "provenance"))
BESIDE: Final = frozenset(("prices", "fill_mids", "meta"))
"""Keys of a saved run's text, and its arrays besides tables and state."""
OF_ALL: Final = frozenset(("input", "ledger", "alerts"))
"""Stages of which some records are of the portfolio, or of every symbol."""
MAX_BYTES: Final = 1 << 34
"""A saved run when unpacked; more is refused before it is read."""


class Table:
    """Records of one stage: a structured array that polars, pandas and anything that speaks Arrow can read.

    Columns are int64 in the units of SPEC 1 (ns, ticks, lots, atoms, 1e-8 ratios); `symbol` is the ASCII rank, -1 the portfolio.
    """

    def __init__(self, name: str, records: np.ndarray) -> None:
        self.name = name
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, column: str) -> np.ndarray:
        """One column."""
        result: np.ndarray = self.records[column]
        return result

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.records.dtype.names or ())

    def __repr__(self) -> str:
        return f"Table({self.name!r}: {len(self):,} rows; {', '.join(self.columns)})"

    def _repr_html_(self) -> str:
        html: str = self.to_polars()._repr_html_()
        return html

    def to_polars(self) -> pl.DataFrame:
        """As a polars frame of Int64 columns."""
        import polars as pl

        return pl.DataFrame({name: np.ascontiguousarray(self.records[name]) for name in self.columns})

    def to_pandas(self) -> pd.DataFrame:
        """As a pandas frame of int64 columns."""
        import pandas as pd

        return pd.DataFrame({name: np.ascontiguousarray(self.records[name]) for name in self.columns})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule protocol: `polars.DataFrame(table)`, `pyarrow.table(table)`."""
        return self.to_polars().__arrow_c_stream__(requested_schema)


@dataclass(eq=False)
class Run:
    """What a replay did. Also where it can go on: `replay(fixture, config, resume=run)`.

    Args:
        name: of the fixture.
        instruments: in ASCII order of symbol.
        config: what it ran with.
        events: how many market events it has seen.
        total: how many there are.
        first_ts: time of the fixture's first event, ns.
        last_ts: time of the last event seen, ns.
        tables: records of every stage.
        digest: of the events seen.
        world: the state after the last event.
        provenance: versions, source hash, commit; never part of the digest.
    """

    name: str
    instruments: tuple[Instrument, ...]
    config: Config
    events: int
    total: int
    first_ts: int
    last_ts: int
    tables: dict[str, Table]
    digest: Digest
    world: World
    provenance: dict[str, Any] = field(default_factory=dict)
    market: Events | None = None
    """The events seen, as views of the fixture's; None for a run that was loaded, or of more than memory is to hold."""
    source: tuple[Fixture, Policy | None] | None = None
    """What it replayed, to replay a head of it again; never saved, so None for a run that was loaded."""
    saved_prices: np.ndarray | None = None
    saved_fill_mids: np.ndarray | None = None

    def __getattr__(self, stage: str) -> Table:
        if stage in STAGES:
            return self.tables[stage]
        raise AttributeError(f"a Run has no {stage!r}; its tables are {', '.join(STAGES)} and cycles")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *STAGES]

    @property
    def complete(self) -> bool:
        """Whether every event of the fixture was seen."""
        return self.events == self.total

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in ASCII order."""
        return tuple(instrument.symbol for instrument in self.instruments)

    @cached_property
    def prices(self) -> np.ndarray:
        """Extremes of the mid by stretch of events, so that a plot hides none: int64 (n, 4): symbol, ts, low and high mid2."""
        if self.saved_prices is not None:
            return self.saved_prices
        if self.market is None:
            return extremes(self.source[0], self.events, PRICE_STRETCHES) if self.source else np.zeros((0, 4), np.int64)
        return _price_extremes(self.market, len(self.instruments))

    @cached_property
    def fill_mids(self) -> np.ndarray:
        """What fills are compared with: int64 (fills, 5), mid2 at the fill and 1, 5, 30 and 300 s later; 0 where there is none."""
        if self.saved_fill_mids is not None:
            return self.saved_fill_mids
        if self.market is None:
            assert self.source is not None, "a run has what it replayed or was loaded"
            return mids_after(self.source[0], self.events, self.tables["fills"].records)
        return fill_mids(self.market, self.tables["fills"].records, len(self.instruments))

    def slots(self, symbol: str | None = None) -> Table:
        """The ladder of a symbol (default: the first) after the last event: side, index, price in ticks, SlotState (SPEC 8)."""
        s = 0 if symbol is None else self.symbols.index(symbol)
        return Table("slots", slots(self.world, s))

    @property
    def cycles(self) -> Table:
        """Completed cycles: entry, exit, profit in atoms, exact. `fees` are those of all its fills."""
        return Table("cycles", completed_cycles(self.tables["fills"].records, self.instruments)[0])

    def metrics(self) -> Metrics:
        """The metrics of SPEC 13, by symbol and of the portfolio; see `grinder.metrics`. Beside the digest, never in it."""
        return measure(self)

    def summary(self) -> dict[str, int]:
        """Headline numbers of the portfolio; money in atoms, after the last event."""
        fills, account = self.tables["fills"].records, total_of(accounts(self.world, self.instruments))
        return {
            "events": self.events,
            "orders": int(self.world.run[0]["next_order"]),
            "fills": len(fills),
            "buys": int((fills["side"] > 0).sum()),
            "sells": int((fills["side"] < 0).sum()),
            "cycles": account.cycles,
            "open_cycles": account.open_cycles,
            "realised": account.realised,
            "unrealised": account.unrealised,
            "fees": account.fees,
            "funding": account.funding,
            "equity": equity_after(self.world, account.value),
            "turnover": account.turnover,
            "max_drawdown": largest_drawdown(self.tables["ledger"].records),
            "dd_budget": int(self.world.run[0]["budget"]),
        }

    def money(self, atoms: int, places: int = 4) -> str:
        """Atoms as text in the quote currency, for reading."""
        return f"{self.instruments[0].money(atoms, places)} {self.instruments[0].quote}"

    def __repr__(self) -> str:
        s = self.summary()
        seen = f"{s['events']:,} events" + ("" if self.complete else f" of {self.total:,}")
        lines = [
            f"Run of {self.name} ({', '.join(self.symbols)}), {seen}",
            f"  digest      {self.digest.value}",
            f"  fills       {s['fills']} ({s['buys']} buys, {s['sells']} sells) of {s['orders']} orders",
            f"  cycles      {s['cycles']} completed, {s['open_cycles']} open",
            f"  PnL         {self.money(total_of(accounts(self.world, self.instruments)).profit)}",
            f"    realised    {self.money(s['realised'])}",
            f"    unrealised  {self.money(s['unrealised'])}",
            f"    fees       {self.money(-s['fees'])}",
            f"    funding     {self.money(s['funding'])}",
            f"  equity      {self.money(s['equity'])}; "
            f"max drawdown {self.money(s['max_drawdown'])} of {self.money(s['dd_budget'])}",
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from grinder.cards.run import as_html

        return as_html(self)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the card as a page that needs nothing else, whole or not at all; the same run gives the same bytes."""
        from grinder.cards.page import write_page

        return write_page(path, f"{self.name} {self.digest.value[:12]}", self._repr_html_())

    def report(self, path: str | os.PathLike[str], *, fixture: Fixture | str | os.PathLike[str] | None = None) -> Path:
        """Write everything as one page that needs nothing else, whole or not at all; the same run gives the same bytes.

        An interactive chart from the whole run to a single quote, with ladder, fills, regimes, inventory, equity, and what decided
        each number of the plan in force; tables, settings, provenance and the digest's chain.

        Args:
            fixture: for a run that was loaded, the fixture that it replayed: without it there are no quotes to show.

        Raises:
            ConfigError: it cannot be written there, or another fixture than the one that it replayed.
        """
        from grinder.reports.page import write_report

        return write_report(self, path, fixture)

    def cautions(self) -> tuple[Caution, ...]:
        """What a careful colleague would say about it: why nothing filled, warm-up, a short sample, the fill model, and so on."""
        from grinder.cautions import cautions

        return cautions(self)

    def to_dict(self) -> dict[str, Any]:
        """Digest, headline numbers and provenance for `--json`: integers and strings only."""
        return {
            "fixture": self.name,
            "symbols": list(self.symbols),
            "digest": self.digest.value,
            "complete": self.complete,
            "stages": {s: {"count": self.digest.counts[s], "root": self.digest.roots[s]} for s in STAGES},
            "summary": self.summary(),
            "config": self.config.changed(),
            "provenance": self.provenance,
        }

    def explain(
        self, time: Moment, symbol: str | None = None, *, fixture: Fixture | str | os.PathLike[str] | None = None
    ) -> Explanation:
        """What was so at `time` and why: regime, gates, features, the plan, and what decided each of its numbers.

        Args:
            time: UTC text such as "2024-01-03 14:02", ns, a datetime or numpy.datetime64; the last event at or before it counts.
            symbol: default: the first.
            fixture: for a run that was loaded, the fixture that it replayed.

        >>> import grinder as gr
        >>> run = gr.replay("range_day_l1", gr.Config(policy="smart"))
        >>> run.explain("2024-01-03 14:02")["regime.regime"].text
        'RANGE'
        """
        from grinder.explain import explain_run

        return explain_run(self, time, symbol, fixture)

    @property
    def plot(self) -> Plots:
        """Pictures: `run.plot()` is price, ladder, fills, regimes, position and account over time; `run.plot.price()`, `equity`,
        `regimes`, `inventory`, `features`, `cycles` and `depth` are single ones. Each takes `ax=`.
        """
        from grinder.plot import Plots

        return Plots(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one file that `gr.load` reads; whole or not at all."""
        target = Path(path)
        meta = {
            "format": FORMAT,
            "name": self.name,
            "instruments": [instrument.model_dump() for instrument in self.instruments],
            "config": self.config.model_dump(mode="json", exclude_unset=True),
            "total": self.total,
            "first_ts": self.first_ts,
            "last_ts": self.last_ts,
            "digest": self.digest.to_dict(),
            "seal": _seal(self.world, self.digest, self.fill_mids),
            "provenance": self.provenance,
        }
        arrays = {f"table.{stage}": table.records for stage, table in self.tables.items()}
        arrays |= {f"world.{name}": getattr(self.world, name) for name in World._fields}
        arrays |= {"prices": self.prices, "fill_mids": self.fill_mids, "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
        if not target.parent.is_dir() or "\0" in target.name:
            raise ConfigError(f"{target} cannot be written: there is no folder {target.parent}, or this is no name of a file")
        return write_whole(target, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def _price_extremes(events: Events, symbols: int) -> np.ndarray:
    rows = [np.zeros((0, 4), np.int64)]
    for s in range(symbols):
        ts, mid2 = mids_of(events, s, symbols)
        if len(ts):
            starts = np.unique(np.linspace(0, len(ts) - 1, PRICE_STRETCHES).astype(np.int64))
            low, high = np.minimum.reduceat(mid2, starts), np.maximum.reduceat(mid2, starts)
            rows.append(np.stack([np.full(len(starts), s), ts[starts], low, high], axis=1))
    return np.concatenate(rows)


def mids_of(events: Events, s: int, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and mid2 of a symbol's events from its first price on, ns and half ticks; prices are 0 before it and never after."""
    if symbols == 1:
        first = int(np.argmax(events.ask_px > 0)) if len(events.ts) else 0
        mine: slice | np.ndarray = slice(first, len(events.ts) if first or (len(events.ts) and events.ask_px[0] > 0) else 0)
    else:
        mine = np.flatnonzero((events.symbol == s) & (events.ask_px > 0))
    return events.ts[mine], events.bid_px[mine] + events.ask_px[mine]


def load(path: str | os.PathLike[str]) -> Run:
    """The run that `Run.save` wrote.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is no saved run, damaged, or of another format.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: there is no such file; `run.save(...)` writes one")
    try:
        return _rebuild(read_arrays(file))
    except Exception as error:  # whatever zipfile, zlib, numpy or pydantic trips over, the file is what is wrong
        raise IntegrityError(f"{file}: no readable saved run: {cause(error)}") from None


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """What a saved run of any version holds, by name: numbers only, each name once, within the limits of what it may unpack to.

    Raises:
        ValueError: it breaks one of these; and whatever zipfile, zlib and numpy raise of a damaged file.
    """
    body = file.read_bytes()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        names = [entry.filename for entry in archive.infolist()]
        unpacked = sum(entry.file_size for entry in archive.infolist())
    for name in names:
        if names.count(name) > 1 or not re.fullmatch(r"[a-z_]+(\.[a-z_]+)?\.npy", name):
            raise ValueError(f"{name!r} is in it twice, or is no array of a run")
    if unpacked > MAX_BYTES:
        raise ValueError(f"it unpacks to {unpacked} bytes, more than {MAX_BYTES}")
    if wrong := bomb(len(body), unpacked):
        raise ValueError(wrong)
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_meta(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The part of a saved run that is text; its name is no path, so that it names a fixture and nothing else.

    Raises:
        ValueError: no such JSON, a key twice, or such a name.
    """
    meta: dict[str, Any] = strict_json(arrays["meta"].tobytes())
    if not is_one_name(meta["name"]):
        raise ValueError(f"name {meta['name']!r:.80} could be a path")
    return meta


def _rebuild(arrays: Mapping[str, np.ndarray]) -> Run:
    meta = read_meta(arrays)
    if meta["format"] != FORMAT:
        raise ValueError(f"it is of format {meta['format']}, this version reads {FORMAT}")
    only(meta, META)
    only(arrays, {*(f"table.{stage}" for stage in STAGES), *(f"world.{name}" for name in World._fields), *BESIDE})
    digest = Digest.from_dict(meta["digest"])
    instruments = tuple(Instrument(**item) for item in meta["instruments"])
    world = World(*(np.ascontiguousarray(arrays[f"world.{name}"]) for name in World._fields))
    config = Config(**meta["config"])
    _check_world(world, len(instruments), config)
    mids = np.ascontiguousarray(arrays["fill_mids"])
    if meta["seal"] != _seal(world, digest, mids):
        raise ValueError("its state is not the one that was saved")
    if mids.dtype != np.int64 or mids.shape != (len(arrays["table.fills"]), 1 + len(HORIZONS)):
        raise ValueError("its mids are not those of its fills")
    return Run(
        name=meta["name"],
        instruments=instruments,
        config=config,
        events=digest.events,
        total=meta["total"],
        first_ts=meta["first_ts"],
        last_ts=meta["last_ts"],
        tables=_proven({stage: arrays[f"table.{stage}"] for stage in STAGES}, digest, len(instruments)),
        digest=digest,
        world=world,
        provenance=meta["provenance"],
        saved_prices=arrays["prices"],
        saved_fill_mids=mids,
    )


def _check_world(world: World, symbols: int, config: Config) -> None:
    """Whether kernels, which check no bounds, can work on a state that was read from a file."""
    shapes = world_shapes(symbols, config.sizes)
    if {name: (getattr(world, name).dtype, getattr(world, name).shape) for name in WORLD_DTYPES} != {
        name: (WORLD_DTYPES[name], shapes[name]) for name in WORLD_DTYPES
    }:
        raise ValueError("its state is laid out as another version of grinder does")
    room = world.orders.shape[1]
    bounds = [(world.symbols[name], 0, room) for name in ("n_orders", "n_cycles", "n_targets")]
    bounds += [
        (world.symbols["regime"], 0, len(Regime) - 1),
        (world.market["last_row"], -1, -1),
        (world.filters["bars"], 0, NEVER),
        (world.run["in_step"], 0, 0),
        (world.run["fault"], 0, 0),
    ]
    reach = ("levels_down", "levels_up", "ladder_down", "ladder_up", "wanted_down", "wanted_up")
    bounds += [(world.plans[name], 0, LADDER_SLOTS - 1) for name in (*reach, "last_index")]
    bounds += [(world.symbols[name], 0, world.once.shape[2]) for name in ("once_down", "once_up")]
    if any(((values < low) | (values > high)).any() for values, low, high in bounds):
        raise ValueError("a count in its state is out of bounds")


def _seal(world: World, digest: Digest, mids: np.ndarray) -> str:
    """SHA-256 of the state, the position and digest that it belongs to, and the mids at and after fills with their shape."""
    h = hashlib.sha256(f"{digest.value} {digest.events}".encode())
    for array in world:
        h.update(array.tobytes())
    h.update(f"{mids.dtype.str} {mids.shape}".encode())
    h.update(mids.tobytes())
    return h.hexdigest()


def _proven(tables: Mapping[str, np.ndarray], digest: Digest, symbols: int) -> dict[str, Table]:
    """The tables of a saved run, proven to be the digest's, and kernels, which check no bounds, able to work on them."""
    for stage, records in tables.items():
        if records.dtype != stage_dtype(stage) or records.ndim != 1:
            raise ValueError(f"table {stage} has other columns")
    made = Digest.of(digest.config, digest.input, digest.events, tables)
    for stage in STAGES:
        if (made.roots[stage], made.counts[stage]) != (digest.roots[stage], digest.counts[stage]):
            raise ValueError(f"table {stage} is not what the digest says")
    orders, fills, regimes = tables["orders"], tables["fills"], tables["regimes"]
    bounds = [("symbol", records, -1 if stage in OF_ALL else 0, symbols) for stage, records in tables.items()]
    bounds += [("order", orders, 0, len(orders)), ("order", fills, 0, len(orders)), ("cycle", fills, -1, len(fills))]
    bounds += [("from", regimes, 0, len(Regime)), ("to", regimes, 0, len(Regime))]
    for column, records, low, end in bounds:
        if ((records[column] < low) | (records[column] >= end)).any():
            raise ValueError(f"a {column} in its tables is out of bounds")
    return {stage: Table(stage, records) for stage, records in tables.items()}
