"""The kill lane: kill -9 at random moments of replay, save, import and accept; files stay whole, and the work ends in the same.

`python -m tests.kills 40 --seed 1` prints operation by outcome, the moments, and every case that broke a rule. A case is a function
of (seed, number): which operation, how often it is killed, at what share of its time or before which change of a file. With
`--log FILE` cases that are in the file are not run again, so that a lane that was itself ended goes on.

Processes come from one that has everything loaded and forks, so that a kill meets the work and not the start of Python. A process
is killed from outside at a moment, or by itself with the same signal right before the n-th change that it makes to a file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from grinder.cli import main as command_line
from grinder.config import Config
from grinder.data.fixture import Fixture, fixtures_below
from grinder.data.importing import import_table
from grinder.golden import accept, read_golden
from grinder.run import load
from grinder.session import replay
from tests.swings import CONFIG, INSTRUMENT, ROWS, quotes, swing

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ROWS
STOPS: Final = (700, 4096, 5000, 8191, EVENTS)
BUSY_ROWS = 4000
CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.truncate")
"""Audit events of what changes files; `open` for reading is left out."""


class Violation(AssertionError):
    """A rule that does not hold after a kill."""


def expect(holds: Any, what: str) -> None:
    if not holds:
        raise Violation(what)


# What is worked on


def prepare(root: Path) -> None:
    """A folder as every case finds it: a fixture with an old golden, one without, a saved run, a table to import."""
    for name in ("swings", "bare"):
        made = swing(root / "fixtures" / name, compression_level=1)
    accept(root / "fixtures" / "swings", "an old golden")
    replay(made, until=STOPS[0]).save(root / "kept.grinder")
    rows = zip(*(quotes()[name].tolist()[:BUSY_ROWS] for name in ("ts", "bid_px", "ask_px")), strict=True)
    lines = [f"{ts // 10**6},{bid // 10}.{bid % 10},5.05,{ask // 10}.{ask % 10},5.05" for ts, bid, ask in rows]
    (root / "quotes.csv").write_text("\n".join(["ts,bid_px,bid_qty,ask_px,ask_qty", *lines, ""]))


# Operations: what the process does that is killed, and what must hold after a kill and at the end


def do_checkpoints(root: Path) -> None:
    """Replay in stretches, saving after each, from where the last save is."""
    file, data = root / "run.grinder", Fixture.open(root / "fixtures" / "swings")
    run = load(file) if file.exists() else None
    for stop in STOPS:
        if run is None or stop > run.events:
            run = replay(data, until=stop, resume=run)
            run.save(file)


def after_checkpoints(root: Path, known: Known) -> str:
    file = root / "run.grinder"
    if not file.exists():
        return "nothing yet"
    run = load(file)
    expect(run.digest.value == known.at.get(run.events), f"a checkpoint at event {run.events} with another digest")
    return f"checkpoint of {STOPS.index(run.events) + 1}/{len(STOPS)}"


def end_checkpoints(root: Path, known: Known) -> None:
    expect(load(root / "run.grinder").digest.value == known.at[EVENTS], "another digest at the end")


def do_command(root: Path) -> None:
    """`grinder replay --save` over an older file."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = command_line(["replay", str(root / "fixtures" / "swings"), "--save", str(root / "kept.grinder")])
    expect(code == 0, f"exit code {code}")


def after_command(root: Path, known: Known) -> str:
    run = load(root / "kept.grinder")
    expect(run.digest.value == known.at.get(run.events), "a saved run with another digest")
    return "new whole" if run.events == EVENTS else "old kept"


def end_command(root: Path, known: Known) -> None:
    expect(load(root / "kept.grinder").digest.value == known.at[EVENTS], "another digest at the end")


def do_save(root: Path) -> None:
    """Save again and again over one file, a long run and a short one."""
    data = Fixture.open(root / "fixtures" / "swings")
    runs = [replay(data, until=stop) for stop in STOPS]
    for run in 3 * runs:
        run.save(root / "kept.grinder")


def after_save(root: Path, known: Known) -> str:
    after_command(root, known)
    return "one of them whole"


def do_import(root: Path) -> None:
    """Import the table; a fixture that is there is whole, and refused."""
    if not (root / "fixtures" / "made").exists():
        import_table(root / "fixtures" / "made", symbol="BTC", quotes=root / "quotes.csv", kind="perpetual", config=CONFIG)


def after_import(root: Path, known: Known) -> str:
    there = {path.name for path in fixtures_below(root / "fixtures")}
    expect(there - {"made"} == {"swings", "bare"}, f"fixtures are {sorted(there)}")
    if "made" not in there:
        expect(not (root / "fixtures" / "made").exists(), "a folder without a manifest")
        return "nothing yet"
    expect(Fixture.open(root / "fixtures" / "made").content == known.content, "imported, with another content")
    return "new whole"


def end_import(root: Path, known: Known) -> None:
    expect(after_import(root, known) == "new whole", "not imported")
    expect(replay(Fixture.open(root / "fixtures" / "made")).digest.value == known.imported, "another digest of what was imported")


def do_accept(root: Path) -> None:
    """A golden over an old one, and a first one."""
    for name in ("swings", "bare"):
        accept(root / "fixtures" / name, "a new golden")


def after_accept(root: Path, known: Known) -> str:
    said = []
    for name in ("swings", "bare"):
        file = root / "fixtures" / name / "digest.json"
        if name == "bare" and not file.exists():
            said.append("none")
            continue
        expect(read_golden(Fixture.open(file.parent)).value == known.at[EVENTS], f"the golden of {name} is another")
        reason = json.loads(file.read_text())["reason"]
        expect(reason in ("an old golden", "a new golden"), f"reason {reason!r}")
        said.append(reason.split()[1])
    return f"golden {said[0]}, first one {'there' if said[1] == 'new' else 'not yet'}"


def end_accept(root: Path, known: Known) -> None:
    expect(after_accept(root, known) == "golden new, first one there", "a golden was not accepted")


@dataclass(frozen=True)
class Operation:
    """What is done, what must hold after a kill (and what it found), what must hold once it was done undisturbed."""

    do: Callable[[Path], None]
    after: Callable[[Path, Known], str]
    end: Callable[[Path, Known], None]


OPERATIONS = {
    "replay with checkpoints": Operation(do_checkpoints, after_checkpoints, end_checkpoints),
    "grinder replay --save": Operation(do_command, after_command, end_command),
    "save": Operation(do_save, after_save, end_command),
    "import": Operation(do_import, after_import, end_import),
    "accept": Operation(do_accept, after_accept, end_accept),
}


@dataclass(frozen=True)
class Known:
    """What undisturbed work comes to."""

    at: dict[int, str]
    """events -> digest of the replay up to there"""
    content: str
    imported: str
    seconds: dict[str, float]
    """operation -> how long it takes"""
    steps: dict[str, int]
    """operation -> how many changes to files it makes"""


# Processes that are killed


def serve() -> None:
    """Load everything, then fork a process for each line: [operation, folder, step]. It tells its id, and how it ended."""
    data = Fixture.from_arrays([INSTRUMENT], quotes=quotes(), config=Config(**CONFIG))
    with tempfile.TemporaryDirectory() as scratch:  # in memory and by numpy alone: threads of polars would not survive a fork
        load(replay(data, until=EVENTS // 2).save(Path(scratch) / "a.grinder"))
    print("ready", flush=True)
    for line in sys.stdin:
        name, folder, step = json.loads(line)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _work(name, Path(folder), step)
        print(json.dumps(child), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - started]), flush=True)


def _work(name: str, root: Path, step: int) -> None:
    """The operation; the process ends by itself before the change number `step` (0: never), and notes how many there were."""
    os.environ.pop("CI", None)
    made, ends = [0], False

    def audit(event: str, given: tuple[Any, ...]) -> None:
        if ends or event not in CHANGES or str(root) not in str(given[0]):
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        made[0] += 1
        if made[0] == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    try:
        OPERATIONS[name].do(root)
        ends = True
        (root / "steps").write_text(str(made[0]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class Workshop:
    """The process that forks, seen from here."""

    def __init__(self, code: str = "from tests.kills import serve; serve()") -> None:
        command = [sys.executable, "-c", code]
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._line() == "ready"

    def _line(self) -> Any:
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        if not line:
            assert self.server.stderr is not None
            raise RuntimeError(f"the server ended: {self.server.stderr.read()[-2000:]}")
        return line.strip() if line.startswith("ready") else json.loads(line)

    def run(self, name: str, root: Path, *, kill_after: float | None = None, step: int = 0) -> tuple[int, float]:
        """Do an operation in a process of its own and kill it after so many seconds: (exit code, seconds that it lived)."""
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps([name, str(root), step]) + "\n")
        self.server.stdin.flush()
        child = int(self._line())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it was done already
                os.kill(child, signal.SIGKILL)
        code, seconds = self._line()
        return int(code), float(seconds)

    def end(self) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait()
        for pipe in (self.server.stdout, self.server.stderr):
            assert pipe is not None
            pipe.close()


@contextlib.contextmanager
def workshop(*code: str) -> Iterator[Workshop]:
    """A workshop that ends with the block; `code` is for one whose grinder is to be broken first."""
    shop = Workshop(*code)
    try:
        yield shop
    finally:
        shop.end()


def survey(shop: Workshop, prepared: Path) -> Known:
    """Do everything once undisturbed."""
    data = Fixture.open(prepared / "fixtures" / "swings")
    at = {stop: replay(data, until=stop).digest.value for stop in STOPS}
    seconds, steps, content, imported = {}, {}, "", ""
    for name in OPERATIONS:
        with _folder(prepared) as root:
            code, seconds[name] = shop.run(name, root)
            assert code == 0, f"{name} fails undisturbed"
            steps[name] = int((root / "steps").read_text())
            if name == "import":
                made = Fixture.open(root / "fixtures" / "made")
                content, imported = made.content, replay(made).digest.value
    return Known(at, content, imported, seconds, steps)


@contextlib.contextmanager
def _folder(prepared: Path) -> Iterator[Path]:
    """A copy of the prepared folder."""
    root = Path(tempfile.mkdtemp(prefix="kills-")) / "work"
    shutil.copytree(prepared, root)
    try:
        yield root
    finally:
        shutil.rmtree(root.parent)


# Cases


def names(root: Path) -> set[str]:
    """What lies in the folder, without what was being written: scratch files, whose names begin with a dot."""
    paths = (path.relative_to(root) for path in root.rglob("*"))
    return {str(path) for path in paths if not any(part.startswith(".") for part in path.parts)} - {"steps"}


ALLOWED = {
    "run.grinder",
    "fixtures/made",
    "fixtures/made/fixture.toml",
    "fixtures/made/quotes.parquet",
    "fixtures/bare/digest.json",
}


def run_case(shop: Workshop, prepared: Path, known: Known, seed: int, number: int) -> dict[str, Any]:
    """One case: kill an operation one to three times, look at what is there, then let it end."""
    rng = random.Random(f"{seed}/{number}")
    name = list(OPERATIONS)[number % len(OPERATIONS)]
    operation = OPERATIONS[name]
    kills: list[dict[str, Any]] = []
    told: dict[str, Any] = {"seed": seed, "number": number, "operation": name, "kills": kills, "violation": ""}
    with _folder(prepared) as root:
        before = names(root)
        try:
            for _ in range(rng.choice((1, 1, 2, 3))):
                by_step = rng.random() < 0.5
                share, step = rng.random() * 1.02, rng.randint(1, known.steps[name])
                if by_step:
                    code, lived = shop.run(name, root, step=step)
                else:
                    code, lived = shop.run(name, root, kill_after=share * known.seconds[name])
                expect(code in (0, -signal.SIGKILL), f"exit code {code}")
                moment = f"change {step}" if by_step else f"{1000 * lived:.0f} ms"
                found = operation.after(root, known)
                kills.append(
                    {"at": moment, "ms": round(1000 * lived), "killed": code != 0, "found": found if code else "done before"}
                )
                expect(names(root) - before <= ALLOWED, f"left lying: {sorted(names(root) - before - ALLOWED)}")
                expect(before <= names(root), f"lost: {sorted(before - names(root))}")
            code, _ = shop.run(name, root)
            expect(code == 0, f"exit code {code} where it goes on")
            operation.after(root, known)
            operation.end(root, known)
        except Exception as error:
            told["violation"] = f"{type(error).__name__}: {str(error)[:300]}"
    return told


def lane(count: int, seed: int, log: Path | None = None, *code: str) -> list[dict[str, Any]]:
    """Cases until there were `count` kills, with those that the log holds; `code` as for `workshop`."""
    told = logged(log, seed)
    if killed(told) >= count:
        return told
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch, workshop(*code) as shop:
        prepared = Path(scratch) / "prepared"
        prepared.mkdir()
        prepare(prepared)
        known = survey(shop, prepared)
        while killed(told) < count:
            begin = time.monotonic()
            told.append(run_case(shop, prepared, known, seed, len(told)))
            told[-1]["seconds"] = time.monotonic() - begin
            if log is not None:
                with log.open("a") as file:
                    file.write(json.dumps(told[-1]) + "\n")
    return told


def logged(log: Path | None, seed: int) -> list[dict[str, Any]]:
    """The cases that a log holds; its last line may be torn, and is taken away."""
    if log is None or not log.exists():
        return []
    whole = []
    for line in log.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            whole.append(json.loads(line))
    log.write_text("".join(json.dumps(case) + "\n" for case in whole))
    return [case for case in whole if case["seed"] == seed]


def killed(told: list[dict[str, Any]]) -> int:
    return sum(kill["killed"] for case in told for kill in case["kills"])


def table(told: list[dict[str, Any]]) -> str:
    """Operation by outcome, as Markdown."""
    lines = [
        "| operation | kills | lived, ms: least, median, most | found after the kill | ends in the same |",
        "|---|---|---|---|---|",
    ]
    for name in OPERATIONS:
        mine = [case for case in told if case["operation"] == name]
        kills = [kill for case in mine for kill in case["kills"] if kill["killed"]]
        if not kills:
            continue
        found: dict[str, int] = {}
        for kill in kills:
            found[kill["found"]] = found.get(kill["found"], 0) + 1
        lived = sorted(kill["ms"] for kill in kills)
        shown = ", ".join(f"{what} {count}" for what, count in sorted(found.items()))
        equal = sum(not case["violation"] for case in mine)
        lines.append(f"| {name} | {len(kills)} | {lived[0]}, {median(lived):.0f}, {lived[-1]} | {shown} | {equal} of {len(mine)} |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Run the lane; 1 if any case broke a rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="keep cases here, and do not run those that it has")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/RELIABILITY.md")
    args = parser.parse_args(words)
    told = lane(args.kills, args.seed, args.log)
    bad = [case for case in told if case["violation"]]
    minutes = sum(case.get("seconds", 0) for case in told) / 60
    head = f"seed {args.seed}: {killed(told)} kills in {len(told)} cases, {len(bad)} violations, {minutes:.1f} minutes"
    print(f"{head}\n\n{table(told)}")
    for case in bad:
        print(f"case {case['number']}, {case['operation']}, {case['kills']}: {case['violation']}")
    if args.write:
        from tests.reliability import put

        put("kills", f"{head}.\n\n{table(told)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
