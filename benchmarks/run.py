"""The benchmark suite: one command, one table.

    python benchmarks/run.py [--quick] [--write] [--peers NAME,...] [--environments FOLDER]

It replays five million generated quotes with grinder and with its peers, compares the fills, and measures what replays, sweeps,
processes and memory cost. `--write` puts the table, the machine and the command into docs/PERFORMANCE.md. Peers' environments are
made at the first run (with pip) and kept. `--quick` takes fewer quotes and runs, to see that all of it works: its figures say
little.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import contest
import measures
import starts
import tapes
from measures import SCAN, Effort
from table import Row, by_processor, markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "PERFORMANCE.md"
BEGIN, END = "<!-- benchmarks/run.py writes from here -->", "<!-- to here -->"
QUICK = Effort(quotes=100_000, rounds=2, further=3)
FULL = Effort()


def main() -> None:
    """Read the command line, measure, print, perhaps write."""
    words = _parser().parse_args()
    names = tuple(words.peers.split(",")) if words.peers else ()
    unknown = set(names) - set(contest.NAMES)
    if unknown:
        sys.exit(f"there is no peer {', '.join(sorted(unknown))}; there are {', '.join(contest.NAMES)}")
    effort = QUICK if words.quick else FULL
    if words.quotes:
        effort = effort._replace(quotes=words.quotes)
    if words.write and (effort != FULL or names != contest.NAMES):
        sys.exit("--write is for the whole suite: leave out --quick, --quotes and --peers")
    start = time.monotonic()
    rows, versions, scans = measure(effort, names, words.environments, cold=not words.quick)
    text = page_part(rows, versions, scans, time.monotonic() - start)
    print(text)
    if words.write:
        write(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer quotes and runs, no compilation of everything")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--quotes", type=int, metavar="N", help="quotes of the tape")
    parser.add_argument("--peers", default=",".join(contest.NAMES), help="those to run; default: %(default)s")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grinder-benchmarks"
    parser.add_argument("--environments", type=Path, default=cache, metavar="FOLDER", help="where peers' environments are kept")
    return parser


def measure(
    effort: Effort, names: tuple[str, ...], environments: Path, *, cold: bool
) -> tuple[list[Row], dict[str, str], list[float]]:
    """All rows, the versions of the peers, and the seconds of scans before and after."""
    versions: dict[str, str] = {}
    measures.warm()
    columns = tapes.day(effort.quotes)
    scans = [statistics.median(measures.scan_seconds(columns))]
    with tempfile.TemporaryDirectory() as scratch:
        tape = tapes.write(Path(scratch) / "tape.npz", columns)
        rows = list(_told(measures.replays(columns, effort)))
        rows += _told(contest.contest(columns, tape, effort, names, environments, versions))
        rows += _told(measures.costs(columns, effort))
        rows += _told(starts.starts(1 if effort.quotes < FULL.quotes else 5, cold=cold))
        rows += _told(starts.memory(tape))
    scans.append(statistics.median(measures.scan_seconds(columns)))
    return rows, versions, scans


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, each named as it is done."""
    for row in rows:
        print(f"  {row.what}", file=sys.stderr, flush=True)
        yield row


def labels() -> list[str]:
    """What stands in the table's first column, without its headings."""
    return [*measures.REPLAYS, *contest.labels(), *measures.COSTS, *starts.labels()]


def page_part(rows: list[Row], versions: dict[str, str], scans: list[float], took: float) -> str:
    """Machine, command and table."""
    scanned = next(row for row in rows if row.what == SCAN)
    assert scanned.events is not None
    assert scanned.further is not None
    drift = max(scans) / min(scans)
    return "\n".join(
        [
            f"Machine: {machine()}.",
            f"Versions: {', '.join(f'{name} {number}' for name, number in (_own_versions() | versions).items())}.",
            f"Command: `python benchmarks/run.py`; it took {took / 60:.1f} minutes. The scan took {drift:.2f} times as long at its "
            "slowest as at its fastest, before and after all else; load of the machine at the end "
            f"{os.getloadavg()[0]:.1f}.",
            "",
            markdown(rows, scanned.events / scanned.further),
            "",
            by_processor(rows),
        ]
    )


def machine() -> str:
    """Processor, cores and memory; no name and no place."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = re.search(r"^model name\s*: (.+)$", info.read_text("utf-8"), re.MULTILINE)
        model = named.group(1).strip() if named else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def _own_versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in ("numpy", "numba", "llvmlite", "polars")}


def write(text: str) -> None:
    """Put the text between the page's marks."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"{PAGE.name} has no lines {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
