"""What a comparison of two runs is made of: the two sides, a record that differs, and pairs of things to show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.digest import Digest, chain
from grinder.errors import ConfigError, IntegrityError
from grinder.records import WINDOW, Events
from grinder.run import Run, load, read_arrays, read_meta
from grinder.wording import clock

__all__ = ["Divergence", "Pair", "Recorded", "Section", "record_of"]


class Pair(NamedTuple):
    """One thing on both sides."""

    name: str
    a: int | None
    b: int | None
    """the raw integers; None where a side has none, or it is no number"""
    unit: str
    a_text: str
    b_text: str
    """for reading; empty where a side has none"""

    @property
    def differs(self) -> bool:
        """Whether the two sides are unlike."""
        return (self.a, self.a_text) != (self.b, self.b_text)


class Section(NamedTuple):
    """Pairs under a heading."""

    name: str
    title: str
    pairs: tuple[Pair, ...]
    note: str = ""


@dataclass(frozen=True)
class Divergence:
    """The first record that differs in a stage.

    Args:
        stage, event, ts, symbol: where; `ts` in ns as in the record; symbol "portfolio" where it is of all.
        record: its place among the event's records of this stage, from 0.
        kind: "value": both sides have a record there and a field differs; "only_a", "only_b": one side alone has it; "window": the
            other side is a golden, which keeps no records: only the window of events is known.
        field, unit: the first field that differs and the unit of its integers; empty but for "value".
        a, b: the field's integers; a_text, b_text: for reading, of "only_" the whole record.
        record_a, record_b: the records, by column; None where there is none.
        window: of 4096 events, from 0; events: first and last event that it may be.
    """

    stage: str
    event: int
    ts: int
    symbol: str
    record: int
    kind: str
    field: str = ""
    unit: str = ""
    a: int | None = None
    b: int | None = None
    a_text: str = ""
    b_text: str = ""
    record_a: Mapping[str, int] | None = None
    record_b: Mapping[str, int] | None = None
    events: tuple[int, int] = (0, 0)

    @property
    def window(self) -> int:
        """The window of the digest's chain that it is in."""
        return self.event // WINDOW

    def __str__(self) -> str:
        if self.kind == "window":
            return f"stage {self.stage}, in events {self.events[0]:,} to {self.events[1]:,}, from {clock(self.ts)} UTC on"
        where = f"event {self.event:,}, {clock(self.ts)} UTC, {self.symbol}: {self.stage}"
        if self.kind == "value":
            return f"{where}.{self.field} is {self.a_text} in a, {self.b_text} in b"
        return f"{where} has a record only in {self.kind[-1]}: {self.a_text or self.b_text}"

    def to_dict(self) -> dict[str, Any]:
        """Integers and strings; None for what there is not."""
        names = "stage event ts symbol record kind field unit a b a_text b_text window".split()
        records = {name: None if (row := getattr(self, name)) is None else dict(row) for name in ("record_a", "record_b")}
        return {name: getattr(self, name) for name in names} | records | {"events": list(self.events)}


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a comparison knows of one side.

    Args:
        label: what it is called in texts. name: of the fixture.
        settings: those that differ from their defaults, in integers and strings.
        events: how many it has seen; first_ts, last_ts: times of the first and the last of them.
        digest, config, input: hashes.
        counts, links: by stage, of the digest; links are empty where they cannot be compared.
        tables: records by stage; None for a golden.
        run: the run itself, where this version of grinder can read it. market: the events that it saw, where known.
        data: the fixture that it replayed, where known.
    """

    label: str
    name: str
    instruments: tuple[Instrument, ...]
    settings: Mapping[str, Any]
    events: int
    first_ts: int
    last_ts: int
    digest: str
    config: str
    input: str
    counts: Mapping[str, int]
    links: Mapping[str, str]
    tables: Mapping[str, np.ndarray] | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None
    market: Events | None = None
    data: Fixture | None = None

    @classmethod
    def of(cls, run: Run, label: str, data: Fixture | None = None) -> Recorded:
        """A run, under a label; with the fixture that it replayed where it does not have it any more."""
        digest = run.digest
        settings = run.config.changed()
        data = run.source[0] if run.source else _replayed(data, digest.input, settings)
        market = data.market(run.events) if run.market is None and data is not None else run.market
        return cls(
            label=label,
            name=run.name,
            instruments=run.instruments,
            settings=settings,
            events=run.events,
            first_ts=run.first_ts,
            last_ts=run.last_ts,
            digest=digest.value,
            config=digest.config,
            input=digest.input,
            counts=digest.counts,
            links=digest.links,
            tables={stage: table.records for stage, table in run.tables.items()},
            provenance=run.provenance,
            run=run,
            market=market,
            data=data,
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str], label: str, data: Fixture | None = None) -> Recorded:
        """A saved run, of this version of grinder or of another one, whose stages may have other columns.

        Raises:
            DataError: there is no such file. IntegrityError: it is damaged: no version could read it.
        """
        try:
            return cls.of(load(path), label, data)
        except IntegrityError as error:
            try:
                return _read_other(Path(path), label, data)
            except Exception:  # whatever zipfile, zlib, numpy or pydantic trips over, the file is what is wrong
                raise error from None

    @classmethod
    def of_golden(cls, golden: Digest, like: Recorded, label: str) -> Recorded:
        """A golden, which has no records; what it is of is told by the run that it is compared with."""
        return cls(
            label=label,
            name=like.name,
            instruments=like.instruments,
            settings={},
            events=golden.events,
            first_ts=like.first_ts,
            last_ts=like.last_ts,
            digest=golden.value,
            config=golden.config,
            input=golden.input,
            counts=golden.counts,
            links=golden.links,
            tables=None,
        )

    def rows(self, stage: str, event: int, s: int | None = None) -> np.ndarray:
        """Records of a stage up to an event, of one symbol or of all."""
        assert self.tables is not None
        records = self.tables.get(stage)
        if records is None:
            return np.zeros(0, [("event", "<i8"), ("symbol", "<i8")])
        records = records[: np.searchsorted(records["event"], event, side="right")]
        return records if s is None else records[records["symbol"] == s]


def _read_other(file: Path, label: str, data: Fixture | None) -> Recorded:
    """A saved run as it stands, proven by its own digest; its state, which is laid out otherwise, is left aside."""
    arrays = read_arrays(file)
    meta = read_meta(arrays)
    tables = {name.removeprefix("table."): array for name, array in arrays.items() if name.startswith("table.")}
    digest, events = meta["digest"], int(meta["digest"]["events"])
    counts, links = {}, {}
    for stage, entry in digest["stages"].items():
        records = tables[stage]
        names = records.dtype.names or ()
        is_record = names[:3] == ("event", "ts", "symbol") and records.dtype == np.dtype([(name, "<i8") for name in names])
        is_record = is_record and records.ndim == 1
        if not is_record or (len(records), (chain(records, events) or bytes(32))[-32:].hex()) != (entry["count"], entry["root"]):
            raise IntegrityError(f"{file}: table {stage} is not what its digest says")
        counts[stage], links[stage] = len(records), entry["links"]
    settings = _settings(meta["config"])
    known = _replayed(data, digest["input"], settings)
    times = [int(records["ts"][place]) for records in tables.values() if len(records) for place in (0, -1)]
    return Recorded(
        label=label,
        name=meta["name"],
        instruments=tuple(Instrument(**item) for item in meta["instruments"]),
        settings=settings,
        events=events,
        first_ts=meta.get("first_ts", min(times, default=0)),
        last_ts=meta.get("last_ts", max(times, default=0)),
        digest=digest["digest"],
        config=digest["config"],
        input=digest["input"],
        counts=counts,
        links=links,
        tables=tables,
        provenance=meta["provenance"],
        market=known.market(events) if known is not None else None,
    )


def _replayed(data: Fixture | None, content: str, settings: Mapping[str, Any]) -> Fixture | None:
    """The fixture, if it is what a run replayed: of the same content, and with the same rows quarantined as jumps."""
    if data is None or data.content != content or data.config.changed().get("max_jump") != settings.get("max_jump"):
        return None
    return data


def _settings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings that differ from their defaults; as they stand where this version does not know one of them."""
    try:
        return Config(**given).changed()
    except ConfigError:
        return given


def record_of(rows: np.ndarray, row: int) -> dict[str, int]:
    """One record by column."""
    return dict(zip(rows.dtype.names or (), rows[row].tolist(), strict=True))
