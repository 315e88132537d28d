"""What a sweep costs: set-ticks per second and core, what a second thread gains beside a bare scan, memory per extra worker.

`python benchmarks/sweep.py [MILLIONS] [CELLS]`: one day of generated quotes of one symbol (benchmarks/tapes.py),
`static`, as many distinct configs as cells, no store, metrics and table included. Each sweep has a fixture of its own, so that what
is observed of the market is paid for in each. Seconds are of the clock, and of the processor by all threads of the process: on a
machine that does other work too, the second is what the sweep costs. Medians; gains are of the clock, scan and sweep in turns.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
from tapes import day, instruments

import grinder as gr

ROUNDS = 11


@numba.njit(nogil=True)
def scan(a, b, c, d, e):  # noqa: ANN001, ANN201
    """The least that reading the ticks can cost."""
    total = 0
    for i in range(len(a)):
        total += a[i] ^ b[i] ^ c[i] ^ d[i] ^ e[i]
    return total


def took(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    clock, work = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - work


def steps(cells: int) -> dict[str, list[str]]:
    """Grids of 10 to 30 bp, each of its own."""
    return {"step": [f"{10 + 20 * i / cells:.4f}bp" for i in range(cells)]}


def fresh(columns: dict[str, np.ndarray]) -> gr.Fixture:
    """The day as a fixture of which nothing was observed yet."""
    return gr.Fixture.from_arrays(instruments(), quotes=columns, config=gr.Config(step="10bp", quantity="0.01"))


def speed(columns: dict[str, np.ndarray], cells: int) -> None:
    """The table of speeds: medians of some rounds in turns."""
    ticks, grid = len(columns["ts"]), steps(cells)
    data = fresh(columns)
    found = gr.sweep(data, grid, workers=1)
    digests = found.table["digest"].n_unique()
    print(f"{ticks:,} quotes, {cells} cells, {digests} distinct digests, {found.hits} found; fills {found.table['fills'].min()} to "
          f"{found.table['fills'].max()}")  # fmt: skip
    e = data.events
    five = (e.ts, e.bid_px, e.bid_qty, e.ask_px, e.ask_qty)
    scan(*five)
    times: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for threads in (1, 2):
            with ThreadPoolExecutor(threads) as pool:
                run = took(lambda pool=pool: list(pool.map(lambda _: scan(*five), range(cells))))
            times.setdefault(f"scan, {threads}", []).append(run)
        for threads in (1, 2):
            data = fresh(columns)
            gc.collect()
            times.setdefault(f"sweep, {threads}", []).append(took(lambda data=data, n=threads: gr.sweep(data, grid, workers=n)))
    work = ticks * cells
    print(f"{'threads':<12}{'clock':>10}{'processor':>12}{'set-ticks a second':>22}{'a processor second':>22}")
    middle = {name: tuple(statistics.median(column) for column in zip(*runs, strict=True)) for name, runs in times.items()}
    for name, (clock, cost) in middle.items():
        print(f"{name:<12}{clock:9.2f}s{cost:11.2f}s{work / clock / 1e6:18.0f} M/s{work / cost / 1e6:18.0f} M/s")
    gains = {what: middle[f"{what}, 1"][0] / middle[f"{what}, 2"][0] for what in ("scan", "sweep")}
    print(f"two threads gain {gains['sweep']:.2f}, of the scan {gains['scan']:.2f}: {gains['sweep'] / gains['scan']:.2f} of it; "
          f"load of the machine {os.getloadavg()[0]:.1f}")  # fmt: skip


def peak() -> int:
    """Highest resident memory since it was last reset, bytes; Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def memory(quotes: int, cells: int) -> None:
    """Highest resident memory of a sweep by number of threads, each in a process of its own and after a first cell."""
    most = {}
    for threads in (1, 2, 4, 8):
        words = [sys.executable, __file__, "--memory", str(quotes), str(cells), str(threads)]
        most[threads] = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        print(f"{threads} workers: {most[threads] / 1e6:.1f} MB at most")
    print(f"memory per extra worker: {(most[8] - most[1]) / 7 / 1e6:.1f} MB")


def main() -> None:
    """Print all tables."""
    if sys.argv[1:2] == ["--memory"]:
        quotes, cells, threads = map(int, sys.argv[2:])
        data = fresh(day(quotes))
        gr.sweep(data, steps(1), workers=1)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        gr.sweep(data, steps(cells), workers=threads)
        print(peak())
        return
    quotes = int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 5_000_000
    cells = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    speed(day(quotes), cells)
    memory(quotes, cells)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
