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

from grinder.data.daily import Daily
from grinder.data.expectations import wrong_expectation
from grinder.data.fixture import Fixture, find_fixture, read_manifest
from grinder.errors import GrinderError, IntegrityError
from grinder.records import Fault, Stream
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
_SIZE: Final = 1 << 20
"""Events looked at at a time."""


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
    if isinstance(data, Daily):
        data.check_content()
    counts, gaps = _counted(data)
    streams = [stream for stream in Stream if stream.name.lower() in data.manifest["streams"]]
    symbols = list(zip(data.instruments, data.price_range, strict=True))
    return Inspection(
        fixture=data.name,
        folder=str(data.path),
        rows={stream.name.lower(): int(counts[stream].sum()) for stream in streams},
        accepted={stream.name.lower(): int(counts[stream, 0]) for stream in streams},
        quarantined={
            f"{stream.name}.{fault.name}".lower(): int(counts[stream, fault + 1])
            for stream in Stream
            for fault in Fault
            if counts[stream, fault + 1]
        },
        gaps={one.symbol: gaps[s] for s, one in enumerate(data.instruments)},
        prices={one.symbol: (one.price(low), one.price(high)) for one, (low, high) in symbols},
        ts_range=(data.first_ts, data.last_ts),
        content=data.content,
        expect=expect,
    )


def _try_reader(folder: Path) -> None:
    """Read each file in a process of its own first: damage that its hash vouches for can end the reader's process, not just fail.

    A replay does without: it trusts the byte hashes, and its files come from here.
    """
    listed = [entry if isinstance(entry, list) else [entry] for entry in read_manifest(folder)["streams"].values()]
    files = [folder / one["file"] for entries in listed for one in entries]
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


def _counted(data: Fixture) -> tuple[np.ndarray, list[int]]:
    """Rows by stream and verdict (0 accepted, else Fault + 1), and how many gaps of each symbol a replay will note (SPEC 3.4)."""
    verdicts, symbols = len(Fault) + 1, len(data.instruments)
    counts = np.zeros((len(Stream), verdicts), np.int64)
    gaps, last = [0] * symbols, [np.zeros(0, np.int64)] * symbols
    for stretch in data.stretches(0, len(data), _SIZE, 0, False):
        ts, symbol, kind, fault = (getattr(stretch.events, name)[stretch.at :] for name in ("ts", "symbol", "kind", "fault"))
        counts += np.bincount(kind.astype(np.int64) * verdicts + fault, minlength=counts.size).reshape(counts.shape)
        updates = (fault == 0) & ((kind == Stream.QUOTES) | (kind == Stream.BOOKS))
        for s in range(symbols):
            times = np.concatenate([last[s], ts[updates & (symbol == s)]])
            gaps[s] += int(np.count_nonzero(np.diff(times) > data.config.max_gap_ms * NS_PER_MS))
            last[s] = times[-1:]
    return counts, gaps
