"""The lane of killed sweeps: kill -9 at random moments, go on, and the table is that of a sweep that nobody disturbed.

`python -m tests.sweeps 500 --kills 10` sweeps so many cells on threads, then on a local cluster of two processes, and kills each
ten times; it prints what was finished at each kill and what was wrong. On the cluster every third kill is of one worker alone,
which the sweep has to survive; the others are of all processes at once. A cell that was finished is never computed again: its
file in the store stays the very same.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

import grinder as gr
from grinder.sweeping import Sweep
from tests.swings import CONFIG, INSTRUMENT, quotes

ROOT = Path(__file__).resolve().parents[1]
MODES = ("threads", "cluster")
WORKERS = 2


def axes(cells: int) -> dict[str, list]:
    """A grid of so many cells: steps by levels."""
    levels = [level for level in (1, 2, 3, 4, 5) if cells % 5 == 0] or [3]
    return {"step": [f"{20 + i / 10:.1f}bp" for i in range(cells // len(levels))], "levels": levels}


def market(rounds: int = 10) -> dict[str, np.ndarray]:
    """The swings one after the other: enough events that a kill meets the work."""
    once = quotes()
    whole = {name: np.tile(column, rounds) for name, column in once.items()}
    return whole | {"ts": once["ts"][0] + np.arange(len(whole["ts"])) * 10**8}


def swept(cells: int, store: Path | None, mode: str) -> Sweep:
    """The sweep of the lane."""
    data = gr.Fixture.from_arrays([INSTRUMENT], quotes=market(), config=gr.Config(**CONFIG))
    if mode == "threads":
        return gr.sweep(data, axes(cells), store=store, workers=WORKERS)
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        (store.parent / "workers").write_text(" ".join(str(pid) for pid in client.run(os.getpid).values()))
        return gr.sweep(data, axes(cells), store=store, executor=client)


def child(cells: int, store: Path, mode: str) -> None:
    """What is killed."""
    swept(cells, store, mode).write(store.parent / "table.arrow")


@dataclass
class Told:
    """What became of a sweep that was killed."""

    mode: str
    cells: int
    kills: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


def finished(store: Path) -> dict[str, tuple[int, int]]:
    """Files of finished cells, and which file each is."""
    out = {}
    for path in store.glob("*/*.json"):
        state = path.stat()
        out[path.name] = (state.st_ino, state.st_mtime_ns)
    return out


def start(cells: int, store: Path, mode: str) -> subprocess.Popen:
    words = [sys.executable, "-m", "tests.sweeps", str(cells), "--child", mode, "--store", str(store)]
    return subprocess.Popen(words, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for(running: subprocess.Popen, store: Path, count: int, patience: float = 300.0) -> int:
    """Wait until so many cells are finished, or the sweep has ended: how many there are."""
    limit = time.monotonic() + patience
    while running.poll() is None and time.monotonic() < limit:
        if (there := len(finished(store))) >= count:
            return there
        time.sleep(0.002)
    return len(finished(store))


def lane(cells: int, kills: int, seed: int, mode: str) -> Told:
    """Sweep, killed so often; then undisturbed to the end, and compared."""
    told, rng = Told(mode, cells), random.Random(f"{seed}/{mode}")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sweeps-") as scratch:
        store = Path(scratch) / "store"
        store.mkdir()
        moments = sorted(rng.sample(range(1, cells), kills))
        running = start(cells, store, mode)
        for number, moment in enumerate(moments):
            there = wait_for(running, store, moment)
            if running.poll() is not None:
                told.violations.append(f"ended before kill {number + 1}: {running.stderr.read().decode()[-500:]}")
                break
            if mode == "cluster" and number % 3 == 2:
                os.kill(int((Path(scratch) / "workers").read_text().split()[number % WORKERS]), signal.SIGKILL)
                told.kills.append(f"{there} finished, a worker")
                if number + 1 < len(moments):
                    continue
            else:
                os.killpg(running.pid, signal.SIGKILL)
                running.communicate()
                told.kills.append(f"{there} finished")
            before = finished(store)
            if running.poll() is not None:
                running = start(cells, store, mode)
            wait_for(running, store, len(before) + 1)
            after = finished(store)
            if changed := [name for name, which in before.items() if after.get(name) != which]:
                told.violations.append(f"kill {number + 1}: {len(changed)} finished cells were written again")
        _, said = running.communicate(timeout=600)
        if running.returncode:
            told.violations.append(f"the sweep failed: {said.decode()[-1500:]}")
        else:
            told.violations += compare(cells, store)
    told.seconds = time.monotonic() - begin
    return told


def compare(cells: int, store: Path) -> list[str]:
    """What is wrong with the table in the end."""
    undisturbed = swept(cells, None, "threads")
    again = swept(cells, store, "threads")
    table = pl.read_ipc((store.parent / "table.arrow").read_bytes())
    out = []
    if not table.equals(undisturbed.table):
        out.append("the table is another than that of an undisturbed sweep")
    if not again.table.equals(undisturbed.table) or (again.computed, again.hits) != (0, cells):
        out.append(f"of the finished store {again.computed} cells were computed again")
    if table["digest"].n_unique() != cells or len(finished(store)) != cells:
        out.append(f"{table['digest'].n_unique()} digests, {len(finished(store))} files for {cells} cells")
    if left := [path.name for path in store.glob("*/.*")]:
        out.append(f"{len(left)} scratch files are left")
    return out


def table(told: list[Told]) -> str:
    """Mode by outcome, as Markdown."""
    lines = ["| sweep on | cells | kills | at each kill | table in the end | seconds |", "|---|---|---|---|---|---|"]
    for one in told:
        verdict = "equal" if not one.violations else "**" + "; ".join(one.violations) + "**"
        lines.append(f"| {one.mode} | {one.cells} | {len(one.kills)} | {'; '.join(one.kills)} | {verdict} | {one.seconds:.0f} |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Run the lane; 1 if a rule was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=int, nargs="?", default=500)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--on", choices=MODES, action="append", help="default: both")
    parser.add_argument("--child", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/RELIABILITY.md")
    args = parser.parse_args(words)
    if args.child:
        child(args.cells, args.store, args.child)
        return 0
    told = [lane(args.cells, args.kills, args.seed, mode) for mode in args.on or MODES]
    wrong = sum(len(one.violations) for one in told)
    text = f"seed {args.seed}, {sum(one.seconds for one in told) / 60:.1f} minutes, {wrong} violations:\n\n{table(told)}"
    print(text)
    if args.write:
        from tests.reliability import put

        put("sweeps", text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
