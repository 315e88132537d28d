"""What a replay of more quotes than memory holds costs: time beside the scan, peak memory, the same digest whatever the chunks.

`python benchmarks/outofcore.py [MILLIONS] [FOLDER]`: days of ten million quotes of one symbol as daily files, in a temporary folder
or, to be used again, in FOLDER. Each replay is a process of its own under a hard limit of its data segment (`RLIMIT_DATA`: what is
private and writable, threads' stacks and all of the allocator's reserves included); its peak of anonymous memory is sampled from
`/proc/self/status`. The scan is a process of its own too: reading the same files, and nothing else. Linux only.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tapes import DAY_NS, START_NS, noise, reflected

import grinder as gr
from grinder.data.daily import write_daily

QUOTES_A_DAY = 10_000_000
LIMIT_MB = 600
PEAK_MB = 400
SETTINGS = {"static": {"step": "10bp", "quantity": "0.01"}, "smart": {"policy": "smart", "step": "10bp", "thin_quote": "10"}}


def days(count: int, quotes: int) -> Iterator[dict[str, np.ndarray]]:
    """Days of quotes as `tapes.walk` makes one, each going on where the one before it ended."""
    place = 0
    for number in range(count):
        walk = place + np.cumsum(noise(quotes, 3 * number + 1) % 21 - 10)
        place = int(walk[-1])
        mid = reflected(walk)
        ts = START_NS + number * DAY_NS + np.arange(quotes) * (DAY_NS // quotes)
        sizes = {"bid_qty": noise(quotes, 3 * number + 2) % 9 + 1, "ask_qty": noise(quotes, 3 * number + 3) % 7 + 1}
        yield {"ts": ts, "symbol": np.zeros(quotes, np.int64), "bid_px": mid - 1, "ask_px": mid + 1, **sizes}


def write(folder: Path, millions: int) -> None:
    """The fixture, with the settings of `static`."""
    instrument = gr.Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001")
    count = max(1, millions * 1_000_000 // QUOTES_A_DAY)
    quotes = millions * 1_000_000 // count
    write_daily(folder, [instrument], days(count, quotes), shows="a benchmark", config=SETTINGS["static"], compression_level=3)


class Peak:
    """The most anonymous memory of this process, sampled 200 times a second, MB."""

    def __init__(self) -> None:
        self.most, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.over.wait(0.005):
            self.most = max(self.most, status("RssAnon"))

    def stop(self) -> float:
        """The peak."""
        self.over.set()
        self.thread.join()
        return self.most / 1024


def status(name: str) -> int:
    """A line of this process's status, in kB."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def limit() -> None:
    """No more than LIMIT_MB of data, from now on."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_MB << 20, LIMIT_MB << 20))


def child(folder: str, kind: str, chunk: int) -> None:
    """One replay, or the scan, as a line of JSON."""
    limit()
    peak, start = Peak(), time.perf_counter()
    if kind == "scan":
        value, seconds = read(Path(folder)), time.perf_counter() - start
    else:
        data = gr.fixture(folder)
        run = gr.replay(data, gr.Config(**SETTINGS[kind]), chunk=chunk)
        value, seconds = run.digest.value, time.perf_counter() - start
    print(json.dumps({"value": value, "seconds": seconds, "peak": peak.stop(), "data": status("VmData") / 1024}))


def read(folder: Path) -> int:
    """The least that reading the files can cost: bytes hashed, columns decoded, each number looked at once."""
    import hashlib

    import polars as pl

    total = 0
    for file in sorted(folder.glob("*.parquet")):
        with file.open("rb") as opened:
            hashlib.file_digest(opened, "sha256")
        for frame in pl.scan_parquet(file).collect_batches(chunk_size=1 << 18, maintain_order=True):
            total += sum(int(column.sum()) for column in frame if column.name != "ts")
    return total


def in_child(folder: Path, kind: str, chunk: int = 1 << 20) -> dict[str, float]:
    """What a process of its own says."""
    words = [sys.executable, __file__, "--child", str(folder), kind, str(chunk)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind}, chunks of {chunk}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(millions: int, folder: Path) -> None:
    """The table."""
    if not folder.exists():
        start = time.perf_counter()
        write(folder, millions)
        print(f"written in {time.perf_counter() - start:.0f} s, checked and hashed")
    size = sum(file.stat().st_size for file in folder.iterdir())
    data = gr.fixture(str(folder))
    print(f"{data}, {size / 1e6:,.0f} MB; hard limit {LIMIT_MB} MB of data a process")
    bare = in_child(folder, "scan")
    print(f"{'hash and decode, nothing else':<34}{bare['seconds']:7.1f} s{len(data) / bare['seconds'] / 1e6:8.1f} M quotes/s")
    wrong = []
    for kind in SETTINGS:
        in_child(folder, kind)  # which compiles what is not in the cache yet
        found = [(chunk, in_child(folder, kind, chunk)) for chunk in (1 << 20, 100_000)]
        for chunk, one in found:
            rate, ratio = len(data) / one["seconds"] / 1e6, one["seconds"] / bare["seconds"]
            print(
                f"{f'{kind}, chunks of {chunk:,}':<34}{one['seconds']:7.1f} s{rate:8.1f} M quotes/s{ratio:7.2f} of its time, "
                f"peak {one['peak']:.0f} MB anonymous, {one['data']:.0f} MB data, digest {str(one['value'])[:16]}"
            )
            wrong += [f"{kind}: {one['peak']:.0f} MB"] if one["peak"] > PEAK_MB else []
        wrong += [f"{kind}: the digest depends on the chunks"] if len({one["value"] for _, one in found}) > 1 else []
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif len(sys.argv) > 2:
        main(int(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, Path(scratch) / "days")
