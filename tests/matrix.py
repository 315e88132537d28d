"""The matrix: every fixture in every environment of INVARIANTS, one process an environment, so that each compiles once.

`python -m tests.matrix` prints environments by fixtures, equal or not, and what each took; exit code 1 where one is not.
What is right is the golden, and of a head (`jit_off`) what this process comes to. `--only tokyo,opt_0` takes some environments;
`--python /path/to/python` adds an interpreter with the packages that it has, and may be repeated; `--lane --made FOLDER` adds those
of interpreters.py, which it makes there. One that cannot be made or started is told as not run, and is a failure too. With
`--log FILE` a lane that was ended goes on: what passed with the same source, goldens and packages is taken from the file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Timer

from grinder._jit import source_hash
from grinder.data.fixture import Fixture, fixtures_below
from grinder.golden import read_golden
from grinder.session import replay
from tests.environments import HEAD, LANES, command
from tests.interpreters import HERE, KINDS, Interpreter, Missing, about, workshop
from tests.reliability import put

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = tuple(fixtures_below(ROOT / "fixtures"))
ALL = ("one_thread", *LANES)
SHOWN = {True: "equal", False: "NOT equal", None: "not run"}


@dataclass(frozen=True)
class Column:
    """An environment, and what its process came to."""

    name: str
    equal: dict[str, bool | None]
    """by fixture; None: it did not run"""
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


def told(words: Sequence[str], environment: dict[str, str], cwd: Path | None, limit: float) -> Iterator[tuple[str, float]]:
    """Digest and seconds of each fixture as soon as a process prints them. RuntimeError with its last line where it fails."""
    late: list[bool] = []

    def end() -> None:
        late.append(True)
        process.kill()

    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=complaints, text=True, cwd=cwd)
        watch = Timer(limit, end)
        watch.start()
        try:
            for line in process.stdout or ():
                digest, seconds = json.loads(line)
                yield digest, seconds
            process.wait()
        finally:
            watch.cancel()
            process.kill()
            process.communicate()
        if process.returncode:
            complaints.seek(0)
            said = complaints.read().strip().splitlines() or [f"exit code {process.returncode}"]
            raise RuntimeError(f"ended after {limit:.0f} s" if late else said[-1])


def run(name: str, folders: Sequence[Path] = FOLDERS, interpreter: Interpreter = HERE) -> Column:
    """Every fixture in one environment, the smallest first."""
    events = HEAD if name == "jit_off" else 0
    right = expected(folders, events)
    ordered = sorted(folders, key=lambda folder: sum(file.stat().st_size for file in folder.glob("*.parquet")))
    threads = "2" if name == "two_threads" else "1"
    equal: dict[str, bool | None] = dict.fromkeys(right)
    replays, error, begin = 0.0, "", time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        paths = [str(folder.resolve()) for folder in ordered]
        words, environment, cwd = command(name, Path(scratch), "fixtures", str(events), threads, *paths)
        started = [*interpreter.words, *words[1:]]
        try:
            made = told(started, environment | interpreter.variables(ROOT / "src"), cwd, interpreter.seconds)
            for folder, (digest, seconds) in zip(ordered, made, strict=True):
                equal[folder.name] = digest == right[folder.name]
                replays += seconds
                if interpreter is not HERE:
                    print(f"  {folder.name}: {SHOWN[equal[folder.name]]}, {seconds:.1f} s", file=sys.stderr, flush=True)
        except (RuntimeError, OSError) as fault:
            error = str(fault)
    return Column(name, equal, replays, time.monotonic() - begin, error)


def of_interpreter(make: Callable[[], Interpreter]) -> Column:
    """Another interpreter in the usual environment; its column is named by what it finds itself to be."""
    interpreter = make()
    name = about(interpreter)
    print(f"{name}:", file=sys.stderr, flush=True)
    return replace(run("one_thread", interpreter=interpreter), name=name)


def table(columns: Sequence[Column]) -> str:
    """Environments by fixtures as Markdown: there are more environments than fit side by side."""
    names = list(columns[0].equal)
    lines = ["| environment | " + " | ".join(names) + " | replays, s | process, s |", "|---" * (len(names) + 3) + "|"]
    for column in columns:
        shown = [SHOWN[column.equal[name]] for name in names]
        label = f"{column.name} ({HEAD:,} events)" if column.name == "jit_off" else column.name
        lines.append(f"| {label} | " + " | ".join(shown) + f" | {column.replays:.1f} | {column.seconds:.0f} |")
    return "\n".join(lines)


def summary(columns: Sequence[Column]) -> str:
    """How many replays were made, and how many of them are equal."""
    cells = [equal for column in columns for equal in column.equal.values() if equal is not None]
    return f"{len(columns)} environments, {len(cells)} replays, {sum(cells)} equal, {sum(c.seconds for c in columns):.0f} s in all"


def attempt(name: str, make: Callable[[], Column]) -> Column:
    """A column; where the machine lacks what it needs, one that says what, and that nothing ran."""
    try:
        return make()
    except Missing as lack:
        return Column(name, dict.fromkeys(folder.name for folder in FOLDERS), 0.0, 0.0, str(lack))


def inputs(folders: Sequence[Path] = FOLDERS) -> str:
    """SHA-256 of what a column depends on: the source, this lane's own, the goldens, what is installed."""
    files = [Path(__file__), Path(__file__).with_name("environments.py"), ROOT / "pyproject.toml", ROOT / "requirements.lock"]
    bodies = [file.read_bytes() for file in (*files, *(folder / "digest.json" for folder in folders))]
    return sha256(b"\0".join([source_hash().encode(), *(sha256(body).digest() for body in bodies)])).hexdigest()


def logged(file: Path | None, key: str) -> dict[str, Column]:
    """The columns of these inputs in a log, by what was asked for. A line that was cut off counts as not there."""
    found = {}
    for line in file.read_text("utf-8").splitlines() if file and file.is_file() else ():
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if told["key"] == key:
                found[told["asked"]] = Column(**told["column"])
    return found


def log(file: Path, key: str, asked: str, column: Column) -> None:
    """Put a column that passed at the end of a log."""
    with file.open("a", encoding="utf-8") as out:
        out.write("\n" * bool(out.tell()) + json.dumps({"key": key, "asked": asked, "column": asdict(column)}))


def jobs(args: argparse.Namespace) -> list[tuple[str, Callable[[], Column]]]:
    """What is asked for: a name and what makes its column."""
    pythons = [sys.executable, *args.python]
    made = [(name, partial(run, name)) for name in args.only]
    made += [(path, partial(of_interpreter, partial(Interpreter, (path,)))) for path in args.python]
    made += [(kind, partial(of_interpreter, partial(KINDS[kind], args.made, pythons))) for kind in args.lane]
    return made


def _arguments(words: list[str] | None) -> argparse.Namespace:
    def of(known: Collection[str]) -> Callable[[str], list[str]]:
        def parse(text: str) -> list[str]:
            names = text.split(",") if text else []
            unknown = [name for name in names if name not in known]
            if unknown:
                raise argparse.ArgumentTypeError(f"no environment {unknown[0]}; there are {', '.join(known)}")
            return names

        return parse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=of(ALL), default=list(ALL), metavar="NAMES", help=f"environments, of {','.join(ALL)}")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="an interpreter that has what grinder needs")
    parser.add_argument(
        "--lane", type=of(KINDS), nargs="?", const=list(KINDS), default=[], metavar="NAMES", help=f"of {','.join(KINDS)}"
    )
    parser.add_argument("--made", type=Path, metavar="FOLDER", help="where --lane makes what it needs, and keeps it")
    parser.add_argument("--log", type=Path, metavar="FILE", help="what passed is put there, and not run again")
    parser.add_argument("--write", action="store_true", help="put the table into docs/RELIABILITY.md, if all of it ran")
    args = parser.parse_args(words)
    if bool(args.lane) != bool(args.made):
        parser.error("--lane and --made go together")
    if args.made:
        try:
            args.made = workshop(args.made)
        except (ValueError, OSError) as fault:
            parser.error(f"--made {fault}")
    return args


def main(words: list[str] | None = None) -> int:
    """Run the matrix; 1 if a digest is not equal anywhere, or did not run."""
    args = _arguments(words)
    columns, key = [], inputs() if args.log else ""
    before = logged(args.log, key)
    for name, make in jobs(args):
        asked = " of ".join([name, *args.python]) if name in KINDS else name  # which Python is oldest depends on those given
        columns.append(before.get(asked) or attempt(name, make))
        if args.log and columns[-1].passed and asked not in before:
            log(args.log, key, asked, columns[-1])
        print(f"{columns[-1].name}: {columns[-1].seconds:.0f} s {columns[-1].error}".strip(), file=sys.stderr, flush=True)
    head = summary(columns)
    print(f"{head}\n\n{table(columns)}")
    for column in columns:
        if column.error:
            print(f"{column.name}: {column.error}")
    if args.write:
        if any(equal is None for column in columns for equal in column.equal.values()):
            print("docs/RELIABILITY.md is left as it was: not all ran")
        else:
            put("matrix", f"{head}.\n\n{table(columns)}")
    return 0 if all(column.passed for column in columns) else 1


if __name__ == "__main__":
    sys.exit(main())
