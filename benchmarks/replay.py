"""Ticks per second of a replay with digest, as a ratio to a bare scan of the same five columns in the same run.

`python benchmarks/replay.py [MILLIONS]`: one core, quotes in memory, `static`, best of five of each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numba
import numpy as np

import grinder as gr


@numba.njit
def scan(a, b, c, d, e):  # noqa: ANN001, ANN201
    """The least that reading the ticks can cost."""
    total = 0
    for i in range(len(a)):
        total += a[i] ^ b[i] ^ c[i] ^ d[i] ^ e[i]
    return total


def best(action: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest of several runs, the first (which compiles) aside."""
    action()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main(quotes: int) -> None:
    """Make the tape, run both, print one table."""
    i = np.arange(quotes)
    noise = (i * 2_654_435_761 ^ i >> 7) % 1_000_003 >> 3
    mid = 600_000 + np.cumsum(noise % 5 - 2)
    columns = {"ts": 1_700_000_000_000_000_000 + i * 17_000_000, "bid_px": mid - 1, "bid_qty": noise % 9 + 1}
    columns |= {"ask_px": mid + 1, "ask_qty": noise % 7 + 1}
    instrument = gr.Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001")
    fixture = gr.Fixture.from_arrays([instrument], quotes=columns, config=gr.Config(step="10bp", quantity="0.01"))
    e = fixture.events
    bare = best(lambda: scan(e.ts, e.bid_px, e.bid_qty, e.ask_px, e.ask_qty))
    replayed = best(lambda: gr.replay(fixture))
    run = gr.replay(fixture)
    print(f"{quotes:,} quotes, {len(run.fills):,} fills")
    print(f"scan    {quotes / bare / 1e6:8.0f} million ticks/s  {quotes * 40 / bare / 1e9:6.1f} GB/s")
    print(f"replay  {quotes / replayed / 1e6:8.0f} million ticks/s  ratio {bare / replayed:.3f}")


if __name__ == "__main__":
    main(int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 5_000_000)
