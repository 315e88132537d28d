"""A small market that swings over several grid steps, as a fixture folder: three windows of events, fills on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from grinder.data.fixture import Fixture, write_fixture
from grinder.data.instrument import Instrument

T0 = 1_700_000_000_000_000_000
ROWS = 9000
INSTRUMENT = Instrument(symbol="SWING", kind="perpetual", tick_size="0.1", lot_size="0.01")
CONFIG = {"step": "30bp", "levels": 3, "quantity": "0.05", "min_edge": "1bp"}


def quotes() -> dict[str, np.ndarray]:
    """Quotes every 100 ms whose mid swings by 4 % every 1200 quotes."""
    i = np.arange(ROWS, dtype=np.int64)
    mid = 10_000 + abs(i % 1200 - 600) * 2 // 3
    return {
        "ts": T0 + i * 10**8,
        "symbol": 0 * i,
        "bid_px": mid - 1,
        "bid_qty": 5 + i % 3,
        "ask_px": mid + 1,
        "ask_qty": 5 + i % 7,
    }


def swing(folder: Path, **changes: Any) -> Fixture:
    """Those quotes as a fixture, written to `folder`."""
    given = {"shows": "a swing", "config": CONFIG, "expect": {"fills": 10, "cycles": 1, "realised": True}} | changes
    return write_fixture(folder, [INSTRUMENT], {"quotes": quotes()}, **given)
