"""The matrix: every fixture in every environment of INVARIANTS, one process an environment, so that each compiles once.

`python -m tests.matrix` prints environments by fixtures, equal or not, and what each took; exit code 1 where one is not.
What is right is the golden, and of a head (`jit_off`) what this process comes to. `--only tokyo,opt_0` takes some environments;
`--lane --python /path/to/python` adds interpreters with the packages that they have, and may be repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grinder.data.fixture import Fixture, fixtures_below
from grinder.golden import read_golden
from grinder.session import replay
from tests.environments import HEAD, LANES, command

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = tuple(fixtures_below(ROOT / "fixtures"))
ALL = ("one_thread", *LANES)
VERSIONS = (
    "import sys, json\nfrom importlib.metadata import version\n"
    "print(json.dumps(['.'.join(map(str, sys.version_info[:3])), *map(version, ('numba', 'numpy', 'polars'))]))"
)


@dataclass(frozen=True)
class Column:
    """An environment, and what its process came to."""

    name: str
    equal: dict[str, bool]
    """by fixture"""
    replays: float
    """seconds of the replays alone"""
    seconds: float
    """from the start of the process to its end"""
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and all(self.equal.values())


def expected(folders: Sequence[Path], events: int) -> dict[str, str]:
    """Digest by fixture: the golden, or of a head what this process comes to."""
    opened = {folder.name: Fixture.open(folder) for folder in folders}
    if not events:
        return {name: read_golden(data).value for name, data in opened.items()}
    return {name: replay(data.head(min(events, len(data)))).digest.value for name, data in opened.items()}


def run(name: str, folders: Sequence[Path] = FOLDERS, python: str = sys.executable) -> Column:
    """Every fixture in one environment."""
    events = HEAD if name == "jit_off" else 0
    right = expected(folders, events)
    threads = "2" if name == "two_threads" else "1"
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        words, environment, cwd = command(
            name, Path(scratch), "fixtures", str(events), threads, *(str(folder.resolve()) for folder in folders), python=python
        )
        environment["PYTHONPATH"] = str(ROOT / "src")
        done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=cwd, check=False, timeout=3600)
    seconds = time.monotonic() - begin
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return Column(name, dict.fromkeys(right, False), 0.0, seconds, last[0])
    made = json.loads(done.stdout)
    equal = {folder.name: digest == right[folder.name] for folder, (digest, _) in zip(folders, made, strict=True)}
    return Column(name, equal, sum(took for _, took in made), seconds)


def of_python(python: str) -> Column:
    """Another interpreter with its own packages, in the usual environment; its column is named by their versions."""
    done = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python}: no interpreter with numba, numpy and polars: {done.stderr.strip().splitlines()[-1]}")
    have = json.loads(done.stdout)
    found = run("one_thread", python=python)
    name = "python {}, numba {}, numpy {}, polars {}".format(*have)
    return Column(name, found.equal, found.replays, found.seconds, found.error)


def table(columns: Sequence[Column]) -> str:
    """Environments by fixtures as Markdown: there are more environments than fit side by side."""
    names = list(columns[0].equal)
    lines = ["| environment | " + " | ".join(names) + " | replays, s | process, s |", "|---" * (len(names) + 3) + "|"]
    for column in columns:
        shown = ["equal" if column.equal[name] else "NOT equal" for name in names]
        label = f"{column.name} ({HEAD:,} events)" if column.name == "jit_off" else column.name
        lines.append(f"| {label} | " + " | ".join(shown) + f" | {column.replays:.1f} | {column.seconds:.0f} |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Run the matrix; 1 if a digest is not equal anywhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(ALL), help="environments, of %(default)s")
    parser.add_argument("--lane", action="store_true", help="the interpreters named by --python too")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="an interpreter that has what grinder needs")
    parser.add_argument("--write", action="store_true", help="put the table into docs/RELIABILITY.md")
    args = parser.parse_args(words)
    names = args.only.split(",") if args.only else []
    unknown = [name for name in names if name not in ALL]
    if unknown or args.lane != bool(args.python):
        parser.error(f"no environment {unknown[0]}; there are {', '.join(ALL)}" if unknown else "--lane and --python go together")
    columns = []
    for make, what in [*((run, name) for name in names), *((of_python, path) for path in args.python)]:
        columns.append(make(what))
        print(f"{columns[-1].name}: {columns[-1].seconds:.0f} s {columns[-1].error}", file=sys.stderr, flush=True)
    cells = [equal for column in columns for equal in column.equal.values()]
    head = f"{len(columns)} environments, {len(cells)} replays, {sum(cells)} equal, {sum(c.seconds for c in columns):.0f} s in all"
    print(f"{head}\n\n{table(columns)}")
    for column in columns:
        if column.error:
            print(f"{column.name}: {column.error}")
    if args.write:
        from tests.reliability import put

        put("matrix", f"{head}.\n\n{table(columns)}")
    return 0 if all(column.passed for column in columns) else 1


if __name__ == "__main__":
    sys.exit(main())
