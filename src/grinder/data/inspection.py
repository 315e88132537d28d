"""What a fixture holds and whether all of it can be trusted: `grinder fixture validate` (SPEC 2.2, 2.3)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from grinder.data.expectations import wrong_expectation
from grinder.data.fixture import Fixture, fixture
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


def inspect(name: str | os.PathLike[str]) -> Inspection:
    """Load a fixture by its name or folder with every check there is, and say what it holds.

    Beyond what a replay checks, the names in `[expect]` and the proof against overflow (SPEC 1.2) with the fixture's own settings.

    Raises:
        GrinderError: what is wrong, as for `gr.fixture`; IntegrityError for an expectation that does not exist.
    """
    data = fixture(name)
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


def _gaps(data: Fixture, symbol: int) -> int:
    """How many gaps a replay will note (SPEC 3.4)."""
    events = data.events
    updates = (events.symbol == symbol) & (events.fault == 0) & ((events.kind == Stream.QUOTES) | (events.kind == Stream.BOOKS))
    return int(np.count_nonzero(np.diff(events.ts[updates]) > data.config.max_gap_ms * NS_PER_MS))
