"""What a replay costs: ticks per second with digest against a bare scan of the same memory, a file's way to a digest, cold start.

`python benchmarks/replay.py [MILLIONS]`: one core, one day of quotes of one symbol, `static` with real fees. Figures are of one run
on one machine; only the ratio to the scan, taken in the same run, can be compared between machines. What gates cost is the
difference between a policy that does nothing with them and the same one without: its calls, one a bar, cost more than all else. By
the default `thin_quote` the day is thin from its first seconds to its last; with a limit of 10 it never is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

import grinder as gr

DAY_NS = 86_400_000_000_000
START_NS = 1_704_153_600_000_000_000
HALF_RANGE = 1_500
"""Ticks to either side of the middle between which the price is reflected: a day that a grid has work in."""


@numba.njit
def scan(a, b, c, d, e):  # noqa: ANN001, ANN201
    """The least that reading the ticks can cost."""
    total = 0
    for i in range(len(a)):
        total += a[i] ^ b[i] ^ c[i] ^ d[i] ^ e[i]
    return total


def noise(count: int, salt: int) -> np.ndarray:
    """Numbers without a pattern, the same in every run."""
    x = np.arange(count, dtype=np.uint64) + np.uint64(salt << 32)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x >> np.uint64(33)).astype(np.int64)


def day(quotes: int) -> dict[str, np.ndarray]:
    """A day of quotes: a walk of up to ten ticks a quote (about 2 % a day), reflected at both ends of its range."""
    walk = np.cumsum(noise(quotes, 1) % 21 - 10)
    mid = 600_000 + np.abs(walk % (4 * HALF_RANGE) - 2 * HALF_RANGE) - HALF_RANGE
    ts = START_NS + np.arange(quotes) * (DAY_NS // quotes)
    sizes = {"bid_qty": noise(quotes, 2) % 9 + 1, "ask_qty": noise(quotes, 3) % 7 + 1}
    return {"ts": ts, "bid_px": mid - 1, "ask_px": mid + 1, **sizes}


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes once."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def best(action: Callable[[], object], times: int = 60) -> float:
    """The fastest of several times."""
    return min(seconds(action) for _ in range(times))


def row(what: str, ticks: int, took: float, bare: float) -> None:
    """One line of the table."""
    print(f"{what:<34}{took * 1e3:10.1f} ms{ticks / took / 1e6:10.1f} M ticks/s{bare / took:10.3f} of the scan")


def throughput(quotes: int) -> None:
    """Replays in memory and from a file, beside the scan."""
    instrument = gr.Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001")
    settings = {"step": "10bp", "quantity": "0.01"}
    columns = day(quotes)
    warm = gr.Fixture.from_arrays([instrument], quotes=day(10_000), config=gr.Config(**settings))
    gr.replay(warm)
    fixture = gr.Fixture.from_arrays([instrument], quotes=columns, config=gr.Config(**settings))
    e = fixture.events
    five = (e.ts, e.bid_px, e.bid_qty, e.ask_px, e.ask_qty)
    scan(*five)
    bare = best(lambda: scan(*five))
    first = seconds(lambda: gr.replay(fixture))
    further = best(lambda: gr.replay(fixture))
    run = gr.replay(fixture)
    print(f"{quotes:,} quotes, {len(run.bars):,} bars, {len(run.fills):,} fills, {run.summary()['cycles']:,} cycles")
    print(f"scan of five int64 columns: {quotes / bare / 1e6:.0f} M ticks/s, {quotes * 40 / bare / 1e9:.1f} GB/s")
    row("replay and digest, first", quotes, first, bare)
    row("replay and digest, further", quotes, further, bare)
    row("metrics of the last run", quotes, seconds(run.metrics), bare)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "day"
        streams = {"quotes": columns | {"symbol": np.zeros(quotes, np.int64)}}
        gr.write_fixture(folder, [instrument], streams, shows="a benchmark", config=settings, compression_level=3)
        size = sum(file.stat().st_size for file in folder.iterdir())
        row(f"file ({size / 1e6:.0f} MB) to digest", quotes, best(lambda: gr.replay(folder), 3), bare)


def smart_beside_static(quotes: int) -> None:
    """What features, gates and plans cost: both policies on the same day, in turns so that both have the same noise."""
    instrument = gr.Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001")
    columns = day(quotes)
    for side in ("bid_qty", "ask_qty"):
        columns[side] = columns[side] * 50  # a best level of some thousands: under 1,000 a day is thin, and nothing trades
    e = gr.Fixture.from_arrays([instrument], quotes=columns).events
    five = (e.ts, e.bid_px, e.bid_qty, e.ask_px, e.ask_qty)
    bare = best(lambda: scan(*five))
    took: dict[tuple[str, str], float] = {}
    for _ in range(12):
        for policy in ("static", "smart"):
            config = gr.Config(policy=policy, step="10bp", quantity="0.01")
            fixture = gr.Fixture.from_arrays([instrument], quotes=columns, config=config)
            for which in ("first", "further", "further"):
                now = seconds(lambda fixture=fixture: gr.replay(fixture))
                took[policy, which] = min(now, took.get((policy, which), now))
    run = gr.replay(fixture)
    print(f"smart: {len(run.plans):,} plans, {len(run.intents):,} intents, {len(run.fills):,} fills")
    for which in ("first", "further"):
        for policy in ("static", "smart"):
            row(f"{policy}, {which}", quotes, took[policy, which], bare)
        print(f"  smart at {took['static', which] / took['smart', which]:.2f} of static's ticks per second, {which}")


@numba.njit
def scan_books(books):  # noqa: ANN001, ANN201
    """The least that reading the books can cost."""
    total = 0
    for value in books.ravel():
        total += value
    return total


def books() -> None:
    """A day of books: `smart` with all features, beside a scan of the books' columns."""
    fixture = gr.fixture("thin_book_l2")
    held = fixture.events.books
    scan_books(held)
    bare = best(lambda: scan_books(held))
    first = seconds(lambda: gr.replay(fixture))
    print(f"{len(held):,} books of {held.shape[2]} levels a side among {len(fixture):,} events")
    row("smart on books, first", len(held), first, bare)
    row("smart on books, further", len(held), best(lambda: gr.replay(fixture), 12), bare)


def in_new_process(*words: str, cache: str | None = None) -> float:
    """Seconds of a Python process."""
    environment = dict(os.environ) | ({"GRINDER_CACHE_DIR": cache} if cache else {})
    return seconds(lambda: subprocess.run([sys.executable, *words], env=environment, check=True, stdout=subprocess.DEVNULL))


def cold_start() -> None:
    """What a newcomer waits for: the interpreter alone, the import, a first command that compiles, the second that does not."""
    command = ("-m", "grinder", "replay", "binance_btcusdt_6m")
    with tempfile.TemporaryDirectory() as cache:
        print(f"python -c pass                    {in_new_process('-c', 'pass'):8.2f} s")
        print(f"import grinder                    {in_new_process('-c', 'import grinder'):8.2f} s")
        print(f"grinder replay, nothing compiled  {in_new_process(*command, cache=cache):8.2f} s")
        print(f"grinder replay, compiled          {in_new_process(*command, cache=cache):8.2f} s")


def main() -> None:
    """Print all tables."""
    quotes = int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 5_000_000
    throughput(quotes)
    smart_beside_static(quotes)
    books()
    cold_start()


if __name__ == "__main__":
    main()
