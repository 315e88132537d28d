"""From an importer's integer columns to a fixture folder: one shape for every source."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from grinder.config import Config
from grinder.data.binance import ImportReport, judge, read_recording, stream_columns
from grinder.data.fixture import Fixture, write_fixture
from grinder.data.instrument import Instrument
from grinder.data.validation import quarantined
from grinder.errors import ConfigError
from grinder.units import parse_ratio

__all__ = ["import_binance"]


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
