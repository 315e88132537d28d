"""What every peer script shares: reading the tape, timing several runs, telling the fills. Needs numpy and nothing of grinder.

A peer is a module with `load(tape)`, what is read before any run; `fresh(loaded)`, what a run needs anew; `replay(ready)`, the only
part that is timed; and `fills(done, tape)`, rows of (ts, side, price in ticks, quantity in lots). Its command line is

    python NAME.py TAPE OUT --quotes N --runs R --warm W [--set KEY=VALUE]

and OUT becomes JSON: seconds of each run, of the import and of the run that compiles, versions, fills, peak memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Fills = list[tuple[int, int, int, int]]


class Tape(NamedTuple):
    """The first quotes of a file that benchmarks/tapes.py wrote; int64 columns, ticks and lots."""

    ts: np.ndarray
    bid_px: np.ndarray
    bid_qty: np.ndarray
    ask_px: np.ndarray
    ask_qty: np.ndarray
    entry: np.ndarray
    exit: np.ndarray
    levels: int
    quantity: int
    tick: float
    lot: float

    def __len__(self) -> int:
        return len(self.ts)


COLUMNS = ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")


def read(path: Path, quotes: int) -> Tape:
    """The first quotes of a tape and its grid."""
    with np.load(path) as file:
        columns = {name: file[name][:quotes] for name in COLUMNS}
        grid = {"entry": file["entry"], "exit": file["exit"]}
        units = {"levels": int(file["levels"]), "quantity": int(file["quantity"])}
        return Tape(**columns, **grid, **units, tick=float(file["tick"]), lot=float(file["lot"]))


def cost(action: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Seconds that an action takes by the clock and of the processor, and what it returns."""
    clock, processor = time.perf_counter(), time.process_time()
    result = action()
    return (time.perf_counter() - clock, time.process_time() - processor), result


def peak() -> int:
    """Peak resident memory of this process, bytes; on Linux from the kernel, since getrusage counts what its parent held."""
    status = Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(status.read_text("utf-8").partition("VmHWM:")[2].split()[0])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def main(
    load: Callable[..., Any],
    fresh: Callable[[Any], Any],
    replay: Callable[[Any], Any],
    fills: Callable[[Any, Tape], Fills],
    *,
    packages: tuple[str, ...],
    imported: float = 0.0,
) -> None:
    """Read the command line, run, write what came out.

    Args:
        packages: whose versions are told, the peer's own first. imported: seconds that its import took.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("tape", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quotes", type=int, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm", type=int, default=2_000, help="quotes of the run that compiles, which is not counted")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    words = parser.parse_args()
    settings = dict(item.split("=", 1) for item in words.set)
    warm = load(read(words.tape, words.warm), **settings)
    (compiled, _), _ = cost(lambda: replay(fresh(warm)))
    tape = read(words.tape, words.quotes)
    loaded = load(tape, **settings)
    times, told = [], None
    for _ in range(words.runs):
        ready = fresh(loaded)
        took, done = cost(lambda ready=ready: replay(ready))
        times.append(took)
        rows = [list(map(int, row)) for row in fills(done, tape)]
        if told is not None and rows != told:
            sys.exit("two runs of the same tape had other fills")
        told = rows
    result = {
        "quotes": len(tape),
        "seconds": [clock for clock, _ in times],
        "processor_seconds": [processor for _, processor in times],
        "import_seconds": imported,
        "compile_seconds": compiled,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "peak_bytes": peak(),
        "fills": told,
    }
    words.out.write_text(json.dumps(result), "utf-8")
