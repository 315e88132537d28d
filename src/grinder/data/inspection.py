"""What a fixture holds and whether all of it can be trusted: `grinder fixture validate` (SPEC 2.2, 2.3)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from grinder.data.expectations import wrong_expectation
from grinder.data.fixture import Fixture, find_fixture, read_manifest
from grinder.data.validation import quarantined
from grinder.errors import GrinderError, IntegrityError
from grinder.records import Stream
from grinder.units import NS_PER_MS

__all__ = ["Inspection", "inspect"]


@dataclass(frozen=True)
class Inspection:
    """A fixture that passed every check, in numbers.

    Args:
        rows, accepted: by stream. quarantined: by `stream.reason`; none is left out.
        gaps: by symbol, pairs of accepted L1 updates more than `max_gap_ms` apart.
        prices: by symbol, the smallest and largest price of its L1 state and funding marks, as decimal text.
        ts_range: first and last event, ns. content: the hash as computed from the data; equal to the manifest's.
        expect: what the manifest says a replay must show; the names are known, whether it shows them `verify` tells.
    """

    fixture: str
    folder: str
    rows: Mapping[str, int]
    accepted: Mapping[str, int]
    quarantined: Mapping[str, int]
    gaps: Mapping[str, int]
    prices: Mapping[str, tuple[str, str]]
    ts_range: tuple[int, int]
    content: str
    expect: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "valid": True}

    def __str__(self) -> str:
        def listed(items: Mapping[str, Any]) -> str:
            return (
                ", ".join(f"{name} {value:,}" if type(value) is int else f"{name} {value}" for name, value in items.items())
                or "none"
            )

        start, end = (np.datetime64(ts, "ns") for ts in self.ts_range)
        prices = {symbol: f"{low} to {high}" for symbol, (low, high) in self.prices.items()}
        return (
            f"{self.fixture}: valid\n"
            f"  span         {start} to {end} UTC\n"
            f"  rows         {listed(self.rows)}\n"
            f"  accepted     {listed(self.accepted)}\n"
            f"  quarantined  {listed(self.quarantined)}\n"
            f"  gaps         {listed(self.gaps)}\n"
            f"  prices       {listed(prices)}\n"
            f"  content      {self.content}, as the manifest says\n"
            f"  expect       {listed(self.expect)}"
        )


_READ: Final = """
import sys
import polars as pl
for file in sys.argv[1:]:
    print(file, flush=True)
    try:
        for frame in pl.scan_parquet(file, glob=False).collect_batches():
            pass
    except BaseException:
        pass  # what it can say, it says again to the caller
"""
READ_SECONDS: Final = 600


def inspect(name: str | os.PathLike[str]) -> Inspection:
    """Load a fixture by its name or folder with every check there is, and say what it holds.

    Beyond what a replay checks: that reading the files ends no process, the names in `[expect]`, and the proof against overflow
    (SPEC 1.2) with the fixture's own settings.

    Raises:
        GrinderError: what is wrong, as for `gr.fixture`; IntegrityError for an expectation that does not exist.
    """
    folder = find_fixture(name)
    _try_reader(folder)
    data = Fixture.open(folder)
    expect = data.manifest.get("expect", {})
    wrong = wrong_expectation(expect)
    if wrong:
        raise IntegrityError(f"{data.path}: {wrong}")
    try:
        data.config.params(data.instruments, data.price_range)
    except GrinderError as error:
        error.add_note(f"in {data.path}")
        raise
    events = data.events
    streams = [stream for stream in Stream if stream.name.lower() in data.manifest["streams"]]
    symbols = list(zip(data.instruments, data.price_range, strict=True))
    return Inspection(
        fixture=data.name,
        folder=str(data.path),
        rows={stream.name.lower(): int(np.count_nonzero(events.kind == stream)) for stream in streams},
        accepted={stream.name.lower(): int(np.count_nonzero((events.kind == stream) & (events.fault == 0))) for stream in streams},
        quarantined=quarantined(events),
        gaps={one.symbol: _gaps(data, s) for s, one in enumerate(data.instruments)},
        prices={one.symbol: (one.price(low), one.price(high)) for one, (low, high) in symbols},
        ts_range=(int(events.ts[0]), int(events.ts[-1])),
        content=data.content,
        expect=expect,
    )


def _try_reader(folder: Path) -> None:
    """Read each file in a process of its own first: damage that its hash vouches for can end the reader's process, not just fail.

    A replay does without: it trusts the byte hashes, and its files come from here.
    """
    files = [folder / entry["file"] for entry in read_manifest(folder)["streams"].values()]
    command = [sys.executable, "-c", _READ, *map(str, files)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=READ_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise IntegrityError(f"{folder}: reading it takes over {READ_SECONDS} s: no readable Parquet; restore the files") from None
    if done.returncode:
        file = done.stdout.splitlines()[-1] if done.stdout else folder
        raise IntegrityError(
            f"{file}: no readable Parquet: it ends the reader's process (code {done.returncode}); restore the file"
        )


def _gaps(data: Fixture, symbol: int) -> int:
    """How many gaps a replay will note (SPEC 3.4)."""
    events = data.events
    updates = (events.symbol == symbol) & (events.fault == 0) & ((events.kind == Stream.QUOTES) | (events.kind == Stream.BOOKS))
    return int(np.count_nonzero(np.diff(events.ts[updates]) > data.config.max_gap_ms * NS_PER_MS))
