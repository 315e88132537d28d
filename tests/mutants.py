"""The lane of source mutants: one slip in one function, and some check has to see it.

`python -m tests.mutants --seed 1 --per-module 150` samples mutants of each module (tests/mutations.py) and runs, in a process of
its own for each, the checks whose run reaches the changed statement, the cheapest first, until one fails. Checks are what the
tests assert: runs against the reference engine, scenarios, tests of the module, first windows of fixtures against their goldens.
All is plain Python: a parent with NUMBA_DISABLE_JIT=1 imports everything, runs every check once and is forked for each mutant.

A survivor has to be argued in tests/mutants_survivors.txt. With `--resume FILE` finished mutants are kept there; a kill stands
while the package is what it was, and a survivor has only what is new of the checks to live through.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib
import inspect
import itertools
import json
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from tests.mutations import MODULES, Mutant, candidates, draw, functions_of, kernels, path_of, planted, sample
from tests.reliability import put

TESTS = Path(__file__).resolve().parent
SURVIVORS = TESTS / "mutants_survivors.txt"
OWN = {SURVIVORS, *(TESTS / f"{name}.py" for name in ("mutants", "mutations", "test_mutants", "test_reliability"))}
"""Of the tests what no verdict depends on."""
LEAST = 90
"""Percent of a module's mutants to be killed."""
REFERENCE_CASES, SMART_CASES = 80, 24
SHORT = 160
"""The most events of a tape, give or take some."""
HEAD = 4096
"""Events of a fixture's first window."""
HEADS = ("kill_switch_l2", "multisymbol_topk_l1", "vol_shock_l1")
LONG, FEW = ("tests.test_smart_invariants", "tests.test_session"), 8
"""Modules whose tests take long for one set of parameters, and the most of these."""
WHOLE = ("reference", "smart", "scenario", "unit", "head")
KINDS = {"digest": ("unit", "head")}
"""Runs against the reference engine compare records, which no digest goes into."""
EXAMPLES = 60
"""Of a property test."""
PATIENCE, AT_LEAST = 5, 2.0
"""A check may take so many times its processor time without a mutant, and so many seconds more."""
MEMORY = 2 << 30
STUCK = 3600
"""Seconds after which a process that uses no time is a fault of the lane's own."""
UNITS = {
    "tests.test_ledger": "",
    "tests.test_cycle": "",
    "tests.test_fills": "",
    "tests.test_digest": "",
    "tests.test_hashing": "chain_of_a_stage instructions",
    "tests.test_sizing": "",
    "tests.test_policy": "random_tapes ends_of_the_settings jitted views_are_copies source_hash refused_by_the_name unlike_the_one "
    "settings_of_any_kind",
    "tests.test_smart": "random_cases cases_reach stretches same_plans reference_plan",
    "tests.test_smart_invariants": "any_settings heads_of never_narrows",
    "tests.test_session": "",
    "tests.test_engine": "",
    "tests.test_reference": "random_cases cases_reach checks_itself hard_cap_refuses",
}
"""Modules of tests, and parts of names of those that compare what others do, read files, or take long without compiled code."""
UNITS_OF = {
    "engine": ("engine", "session", "policy", "smart"),
    "ledger": ("ledger", "reference"),
    "cycle": ("cycle", "policy"),
    "fills": ("fills", "engine", "policy", "reference"),
    "sizing": ("sizing", "smart", "smart_invariants"),
    "digest": ("digest", "hashing"),
}
"""Whose tests a module's mutants run."""
CUT = ("chunks_never_matter", "in_python_is_cut_likewise", "does_not_add_up", "at_random_events")
"""Of tests/test_session.py, which otherwise reads files: threads of what reads them do not live on in a forked process."""


class Check(NamedTuple):
    """Something that fails where the code is wrong."""

    kind: str
    name: str
    run: Callable[[], None]
    text: str = ""
    """its source, where it is a test"""


class Known(NamedTuple):
    """A check that passed without a mutant: its processor seconds, and the lines that it reached, by file."""

    check: Check
    seconds: float
    reached: dict[str, set[int]]

    @property
    def mark(self) -> str:
        """What tells it from another, and from itself before it was changed."""
        return hashlib.sha256(f"{self.check.name} {self.check.text or support_hash()}".encode()).hexdigest()[:10]


class Verdict(NamedTuple):
    """What became of a mutant."""

    how: str
    """assertion, error, time, or survived"""
    by: str
    """the check that killed it"""
    checks: int
    seconds: float
    """of a processor"""


WORDS = {"reference": "tapes of static", "smart": "tapes of smart", "scenario": "scenarios", "test": "tests", "head": "fixtures"}
KILLED = {"assertion": "a check's assertion", "error": "an exception", "time": "time"}


# The checks


def tape_checks(kinds: Iterable[str], reference_cases: int, smart_cases: int) -> Iterator[Check]:
    """Runs whose records the reference engine has to have too."""
    from tests.smart_tapes import oracle_events, oracle_settings, smart_case
    from tests.tapes import case

    if "reference" in kinds:
        short = (c for c in map(case, itertools.count()) if len(c.fixture) <= SHORT)
        for c in itertools.islice(short, reference_cases):
            yield Check("reference", f"reference {c.seed}", against_reference(c, c.reference_config(), c.reference_events()))
    if "smart" in kinds:
        for seed in range(smart_cases):
            c = smart_case(seed, SHORT)
            yield Check("smart", f"smart {seed}", against_reference(c, oracle_settings(c), oracle_events(c)))


def against_reference(c: Any, settings: dict[str, Any], events: list[dict[str, Any]]) -> Callable[[], None]:
    """What tests/test_reference.py and tests/test_smart.py assert of a case; the reference engine runs once."""
    from grinder.session import replay
    from tests.oracles import reference
    from tests.test_smart import rows_of

    expected = reference.run(c.reference_instruments(), settings, events)

    def same() -> None:
        run = replay(c.fixture, c.config)
        for stage, rows in expected.items():
            mine = run.tables[stage].records.tolist()
            assert rows_of(stage, mine) == rows_of(stage, rows), stage

    return same


def scenario_checks() -> Iterator[Check]:
    from tests.scenario import differences
    from tests.test_scenarios import NAMES

    def holds(scenario: Any) -> Callable[[], None]:
        def no_differences() -> None:
            assert not list(differences(scenario))

        return no_differences

    for name, scenario in NAMES.items():
        yield Check("scenario", f"scenario {name}", holds(scenario))


def head_checks() -> Iterator[Check]:
    """The first window of committed fixtures has the links of their goldens."""
    from grinder.data.fixture import fixture
    from grinder.session import replay

    def linked(data: Any, links: dict[str, str]) -> Callable[[], None]:
        def same() -> None:
            found = replay(data, until=HEAD).digest.links
            assert {stage: found[stage][:16] for stage in found} == links

        return same

    for name in HEADS:
        folder = TESTS.parent / "fixtures" / name
        golden = json.loads((folder / "digest.json").read_text())
        links = {stage: body["links"][:16] for stage, body in golden["stages"].items()}
        yield Check("head", f"head {name}", linked(fixture(folder), links))


def unit_checks(units: dict[str, str]) -> Iterator[Check]:
    """Test functions, each with each of its parameters, that need nothing from pytest."""
    for name, without in units.items():
        if not (TESTS / f"{name.split('.')[1]}.py").exists():
            continue
        for key, function in vars(importlib.import_module(name)).items():
            if not key.startswith("test_") or any(part in key for part in without.split()):
                continue
            if name == "tests.test_session" and not any(part in key for part in CUT):
                continue
            for shown, given in itertools.islice(parameters(function), FEW if name in LONG else None):
                quicken(function)
                text = inspect.getsource(getattr(getattr(function, "hypothesis", None), "inner_test", function))
                yield Check("unit", f"{name}.{key}{shown}", lambda function=function, given=given: function(**given), text)


def quicken(function: Callable[..., Any]) -> None:
    """A property test with fewer examples, the same ones at each call, and nothing shrunk."""
    from hypothesis import Phase, settings

    if hasattr(function, "hypothesis"):
        before = getattr(function, "_hypothesis_internal_use_settings", None) or settings.default
        fewer, phases = min(EXAMPLES, before.max_examples), (Phase.explicit, Phase.generate)
        quick = settings(before, max_examples=fewer, phases=phases, derandomize=True, database=None, deadline=None)
        function._hypothesis_internal_use_settings = quick  # type: ignore[attr-defined]


def parameters(function: Callable[..., Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each set of arguments that marks of parameters ask for; none where a fixture is asked for too, or that is skipped here."""
    sets = []
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            names = mark.args[0] if isinstance(mark.args[0], tuple | list) else [one.strip() for one in mark.args[0].split(",")]
            rows = [value if len(names) > 1 else (value,) for value in mark.args[1]]
            sets.append([dict(zip(names, row, strict=True)) for row in rows])
    if any(mark.name == "skipif" and mark.args[0] for mark in getattr(function, "pytestmark", [])):
        return
    for number, chosen in enumerate(itertools.product(*sets)):
        given = {key: value for one in chosen for key, value in one.items()}
        if set(given) != set(inspect.signature(function).parameters):
            return
        yield (f"[{number}]" if sets else "", given)


def checks_of(modules: Iterable[str], reference_cases: int = REFERENCE_CASES, smart_cases: int = SMART_CASES) -> Iterator[Check]:
    """Every check that mutants of these modules need."""
    kinds = {kind for module in modules for kind in KINDS.get(module, WHOLE)}
    yield from tape_checks(kinds, reference_cases, smart_cases)
    if "scenario" in kinds:
        yield from scenario_checks()
    names = {f"tests.test_{one}" for module in modules for one in UNITS_OF[module]}
    yield from unit_checks({name: without for name, without in UNITS.items() if name in names})
    yield from head_checks()


# The warm parent


def warm() -> None:
    """Plain Python only, and every warning an error as in the tests."""
    from grinder import _jit

    if _jit.JIT:
        raise SystemExit("run with NUMBA_DISABLE_JIT=1")
    warnings.simplefilter("error")


def learn(checks: Iterable[Check], modules: Iterable[str]) -> list[Known]:
    """Run every check once; which lines of the modules each reached. A check that fails now is no check."""
    paths, out = {str(path_of(module)) for module in modules}, []
    for check in checks:
        reached: dict[str, set[int]] = {path: set() for path in paths}
        begin = time.process_time()
        with reading_nothing(check.name):
            with_lines(check.run, reached)
        out.append(Known(check, time.process_time() - begin, reached))
    return out


@contextlib.contextmanager
def reading_nothing(name: str) -> Iterator[None]:
    """A check that reads a file of a fixture would wait forever in a forked process, where its reader's threads do not live on."""
    from grinder.data import fixture

    def refuse(*_: object) -> None:
        raise SystemExit(f"{name} reads files: leave it out, in UNITS")

    before, fixture._read_stream = fixture._read_stream, refuse
    try:
        yield
    finally:
        fixture._read_stream = before


def with_lines(run: Callable[[], None], reached: dict[str, set[int]]) -> None:
    """Call something and note the lines that it reaches in the files of `reached`."""
    missing: dict[CodeType, set[int]] = {}

    def line(frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            reached[frame.f_code.co_filename].add(frame.f_lineno)
            missing[frame.f_code].discard(frame.f_lineno)
        return line

    def call(frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if code.co_filename not in reached:
            return None
        if code not in missing:
            missing[code] = {number for _, _, number in code.co_lines() if number is not None and number != code.co_firstlineno}
        return line if missing[code] else None

    sys.settrace(call)
    try:
        run()
    finally:
        sys.settrace(None)


def order(known: Known) -> float:
    """The cheapest first, and of the cheap ones those that look at everything before those that look at one thing."""
    return known.seconds * {"reference": 1, "smart": 2, "scenario": 10, "unit": 0.5, "head": 5}[known.check.kind]


def reaching(mutant: Mutant, known: Iterable[Known]) -> list[Known]:
    """Checks that run a mutant's statement."""
    path, kinds = str(path_of(mutant.module)), KINDS.get(mutant.module, WHOLE)
    units = tuple(f"tests.test_{name}." for name in UNITS_OF[mutant.module])
    lines = set(range(mutant.first, mutant.last + 1))
    mine = (one for one in known if one.check.kind in kinds and (one.check.kind != "unit" or one.check.name.startswith(units)))
    return sorted((one for one in mine if lines & one.reached[path]), key=order)


# A mutant's own process


class Child:
    """A process that runs one mutant's checks; it tells each before it begins, and what it came to."""

    def __init__(self, mutant: Mutant | None, known: list[Known]) -> None:
        self.mutant, self.known, self.begin = mutant, known, time.monotonic()
        self.heard = b""
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            code = 1
            try:
                self._live(writer)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        os.set_blocking(reader, False)
        self.reader = reader

    def _live(self, writer: int) -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
        forget()
        with contextlib.nullcontext() if self.mutant is None else planted(self.mutant):
            os.write(writer, self._tried(writer))

    def _tried(self, writer: int) -> bytes:
        for number, one in enumerate(self.known):
            os.write(writer, f"{number}\n".encode())
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE * one.seconds + AT_LEAST)
            try:
                one.check.run()
            except BaseException as error:  # what pytest.fail raises is no Exception
                return b"assertion\n" if type(error).__name__ in ("AssertionError", "Failed") else b"error\n"
        return b"survived\n"

    def verdict(self) -> Verdict | None:
        """What it came to, or None while it runs."""
        done, _, used = os.wait4(self.pid, os.WNOHANG)
        while True:
            try:
                more = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                break
            if not more:
                break
            self.heard += more
        if not done:
            if time.monotonic() - self.begin > STUCK:
                os.kill(self.pid, signal.SIGKILL)
                raise SystemExit(
                    f"{self.mutant and self.mutant.name}: neither runs nor ends, in {self.known[self.last()].check.name}"
                )
            return None
        os.close(self.reader)
        how = self.heard.decode().split()[-1] if self.heard else "time"
        how = "time" if how.isdigit() else how
        by = "" if how == "survived" else self.known[self.last()].check.name
        return Verdict(how, by, self.last() + 1, round(used.ru_utime + used.ru_stime, 2))

    def last(self) -> int:
        """The check that it told last."""
        return max((int(word) for word in self.heard.decode().split() if word.isdigit()), default=-1)


def forget() -> None:
    """Empty what modules keep from call to call, which a mutant would otherwise never have to make."""
    from grinder import digest

    digest._EMPTY.clear()


def verdicts(mutants: Iterable[Mutant], known: list[Known], log: Log, jobs: int) -> Iterator[tuple[Mutant, Verdict]]:
    """What becomes of each mutant, as they end."""
    waiting, running = list(mutants), list[Child]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop(0)
            tried = log.tried.get(mutant.name, set())
            running.append(Child(mutant, [one for one in reaching(mutant, known) if one.mark not in tried]))
        time.sleep(0.01)
        for child in list(running):
            verdict = child.verdict()
            if verdict is not None:
                running.remove(child)
                assert child.mutant is not None
                log.add(child.mutant, verdict, {one.mark for one in child.known})
                yield child.mutant, verdict


# The log, and what is argued


@cache
def tests_hash() -> str:
    """What a survivor's verdict depends on beside the package."""
    return hash_of(path for path in TESTS.rglob("*") if path.suffix in (".py", ".txt", ".json") and path not in OWN)


@cache
def support_hash() -> str:
    """What a check that is no test of its own depends on: tapes, scenarios, the reference engine."""
    folders = (TESTS / "scenarios", TESTS / "oracles", TESTS)
    names = (path for folder in folders for path in folder.glob("*.*") if path.suffix in (".py", ".txt", ".json"))
    return hash_of(path for path in names if path not in OWN and not path.name.startswith("test_"))


def hash_of(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(paths))).hexdigest()[:16]


class Log:
    """Finished mutants in a file, a line each."""

    def __init__(self, path: Path | None) -> None:
        from grinder._jit import source_hash

        self.path, self.package, self.tests = path, source_hash()[:16], tests_hash()
        self.known: dict[str, Verdict] = {}
        self.tried: dict[str, set[str]] = {}
        self.spent: dict[str, float] = defaultdict(float)
        for line in whole_lines(path) if path and path.exists() else ():
            if line["package"] != self.package:
                continue
            if line["how"] != "survived" or line["tests"] == self.tests:
                self._keep(line["name"], Verdict(*(line[field] for field in Verdict._fields)))
            else:
                self.spent[line["name"]] += line["seconds"]
            self.tried.setdefault(line["name"], set()).update(line.get("tried", ()))

    def add(self, mutant: Mutant, verdict: Verdict, tried: set[str]) -> None:
        """Keep a verdict; of a survivor also which checks it lived through, now and before."""
        line: dict[str, Any] = {"name": mutant.name, "package": self.package, "tests": self.tests}
        if verdict.how == "survived":
            tried = self.tried.setdefault(mutant.name, set()) | tried
            verdict, line = verdict._replace(checks=len(tried)), line | {"tried": sorted(tried)}
        self._keep(mutant.name, verdict)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(line | verdict._asdict()) + "\n")

    def _keep(self, name: str, verdict: Verdict) -> None:
        """A verdict with the time of all tries."""
        self.spent[name] += verdict.seconds
        self.known[name] = verdict._replace(seconds=round(self.spent[name], 2))


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; its last one may be torn, and is taken away."""
    out = []
    for text in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            out.append(json.loads(text))
    path.write_text("".join(json.dumps(line) + "\n" for line in out))
    return out


def argued(path: Path = SURVIVORS) -> dict[str, str]:
    """Survivors and why each may live: a mutant's name, and below it, indented, the reason."""
    out: dict[str, str] = {}
    name = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            name = line
            out[name] = ""
        else:
            out[name] = f"{out[name]} {line.strip()}".strip()
    return out


# The figures


def percent(part: int, whole: int) -> str:
    """Floored to a tenth: 90.0 is at least 90."""
    return f"{part * 1000 // whole / 10:.1f}"


def tables(found: dict[Mutant, Verdict]) -> str:
    """By module, then by function, as Markdown."""
    lines = [
        "| module | functions | jitted | candidates | sampled | killed | by assertion | by exception | by time | survived | % |",
        "|" + "---|" * 11,
    ]
    text = []
    for module in dict.fromkeys(mutant.module for mutant in found):
        mine = {mutant: verdict for mutant, verdict in found.items() if mutant.module == module}
        how = Counter(verdict.how for verdict in mine.values())
        killed, every = sum(how[one] for one in KILLED), candidates(module)
        cells = [len(functions_of(module)), len(kernels(module)), len(every), len(mine), killed, *(how[one] for one in KILLED)]
        lines.append(f"| {module} | " + " | ".join(map(str, cells)) + f" | {how['survived']} | {percent(killed, len(mine))} |")
        by_function = []
        for name in functions_of(module):
            of_it = [verdict.how for mutant, verdict in mine.items() if mutant.function == name]
            dead = sum(one != "survived" for one in of_it)
            by_function.append(f"{name} {dead}/{len(of_it)} of {sum(one.function == name for one in every)}")
        text.append(f"{module}: " + ", ".join(by_function))
    return "\n".join(lines) + "\n\nKilled of sampled of candidates, by function:\n\n" + "\n\n".join(text)


def main(words: list[str] | None = None) -> int:
    """Run the lane; 1 where a survivor is not argued, or a module has too many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-module", type=int, default=150)
    parser.add_argument("--module", choices=MODULES, action="append", help="only this one; may be given again")
    parser.add_argument("--jobs", type=int, default=2, help="processes beside the parent")
    parser.add_argument("--resume", type=Path, help="keep finished mutants here, and do not run those that it has")
    parser.add_argument("--finished", action="store_true", help="run nothing: tell of those that the log has")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/RELIABILITY.md")
    args = parser.parse_args(words)
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        again = [sys.executable, "-m", "tests.mutants", *(sys.argv[1:] if words is None else words)]
        os.execve(sys.executable, again, os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONHASHSEED": "0"})
    begin, log = time.monotonic(), Log(args.resume)
    modules = args.module or list(MODULES)
    mutants = [mutant for module in modules for mutant in sample(module, args.per_module, args.seed)]
    if args.finished:
        mutants = [mutant for mutant in mutants if mutant.name in log.known]
    chosen = set(mutants)
    drawn = itertools.zip_longest(*(draw(module, args.per_module, args.seed) for module in modules))
    missing = [mutant for turn in drawn for mutant in turn if mutant in chosen and mutant.name not in log.known]
    if missing:
        warm()
        known = learn(checks_of(list(dict.fromkeys(mutant.module for mutant in missing))), modules)
        gc.freeze()  # or else every process copies what the parent holds
        print(f"{len(known)} checks pass, {sum(one.seconds for one in known):.0f} s of them", flush=True)
        for mutant, verdict in verdicts(missing, known, log, args.jobs):
            if verdict.how == "survived":
                print(f"{mutant.name}    [{verdict.checks} checks, {verdict.seconds:.0f} s]", flush=True)
    return report(args, {mutant: log.known[mutant.name] for mutant in mutants}, time.monotonic() - begin)


def report(args: argparse.Namespace, found: dict[Mutant, Verdict], seconds: float) -> int:
    """Print, and with `--write` put into the page, what became of the sample."""
    reasons = argued()
    alive = [mutant.name for mutant, verdict in found.items() if verdict.how == "survived"]
    open_ones = [name for name in alive if not reasons.get(name)]
    killed = len(found) - len(alive)
    head = f"seed {args.seed}: {len(found)} mutants, {killed} killed ({percent(killed, len(found))} %), "
    head += f"{len(alive)} survived, {len(open_ones)} not argued"
    spent = sum(verdict.seconds for verdict in found.values()) / 60
    by = Counter(verdict.by.split()[0].split("_")[0].split(".")[-1] for verdict in found.values() if verdict.by)
    told = ", ".join(f"{WORDS[kind]} {by[kind]}" for kind in WORDS)
    text = f"{head}; {spent:.0f} minutes of a processor. Killed by: {told}.\n\n{tables(found)}"
    print(f"{text}\n\n{seconds / 60:.1f} minutes")
    for name in open_ones:
        print(f"not argued: {name}")
    for name in sorted(set(reasons) & {mutant.name for mutant in found} - set(alive)):
        print(f"argued, but killed: {name}")
    if args.write:
        put("mutants", text)
    by_module = {mutant.module: [v.how != "survived" for m, v in found.items() if m.module == mutant.module] for mutant in found}
    few = [module for module, dead in by_module.items() if sum(dead) * 100 < LEAST * len(dead)]
    for module in few:
        print(f"{module}: under {LEAST} %")
    return 1 if open_ones or few else 0


if __name__ == "__main__":
    sys.exit(main())
