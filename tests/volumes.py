"""How many generated cases the tests run, by kind, and where: what INVARIANTS ask of every change, summed up.

`python -m tests.volumes` has pytest collect every test and adds up: of hypothesis the examples of each test, of other tests what
`volume` declares. A declaration is held to: an item of a test that declares several cases fails unless it tells, by `each` or
`ran`, of as many. `@volume("property cases")` on a test with a seed among its parameters is one case an item.
"""

from __future__ import annotations

import argparse
import functools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ASKED = {
    "property cases": 20_000,
    "whole runs against a reference engine": 2_000,
    "planted one-unit faults": 200,
    "mutated input files": 20_000,
    "kills and resumptions": 40,
    "fixtures in environments": 100,
}
"""Kind -> how many there must be; ten environments of ten fixtures."""
PROPERTY, REFERENCE, PLANTED, MUTATED, KILLED, ENVIRONMENTS = ASKED
_ran: Counter[str] = Counter()
_now: list[int] = []
"""The seed that `each` is at."""
_LINE = re.compile(r"^volume (\S+) (\d+) (.+)$")


def volume(kind: str, cases: int = 1) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declares how many cases of a kind an item of a test runs; with several of them it has to tell of as many."""
    assert kind in ASKED

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*words: Any, **given: Any) -> None:
            before = _ran[kind]
            _now.clear()
            try:
                test(*words, **given)
            except BaseException as error:
                if _now:
                    error.add_note(f"at seed {_now[-1]}")
                raise
            found = _ran[kind] - before
            assert cases == 1 or found >= cases, f"{cases} {kind} are declared, {found} ran"

        vars(counted)["volume"] = (kind, cases)
        return counted

    return decorate


def ran(kind: str, cases: int = 1) -> None:
    """Tell that so many cases ran."""
    _ran[kind] += cases


def each(kind: str, seeds: Iterable[int]) -> Iterator[int]:
    """The seeds, each counted as a case once it is done; a failure of a test with a `volume` is told with its seed."""
    for seed in seeds:
        _now[:] = [seed]
        yield seed
        ran(kind)
    _now.clear()


class Collector:
    """A plugin for pytest that prints what each collected item declares."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            test = getattr(item, "obj", None)
            if getattr(test, "is_hypothesis_test", False):
                kind, cases = PROPERTY, test._hypothesis_internal_use_settings.max_examples
            elif hasattr(test, "volume"):
                kind, cases = test.volume
            else:
                continue
            print(f"\nvolume {item.nodeid.partition('[')[0]} {cases} {kind}")


def collected() -> dict[str, Counter[str]]:
    """Cases by kind and test, of the whole suite."""
    code = "import sys, pytest; from tests.volumes import Collector; sys.exit(pytest.main(sys.argv[1:], plugins=[Collector()]))"
    words = [sys.executable, "-c", code, "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    out: dict[str, Counter[str]] = {kind: Counter() for kind in ASKED}
    for line in done.stdout.splitlines():
        if found := _LINE.match(line):
            test, cases, kind = found.groups()
            out[kind][test.removeprefix("tests/")] += int(cases)
    return out


def table(found: dict[str, Counter[str]]) -> str:
    """Kinds by what is asked for, what there is, and the modules that hold most of it, as Markdown."""
    lines = ["| what | asked for | run | where |", "|---|---|---|---|"]
    for kind, least in ASKED.items():
        modules: Counter[str] = Counter()
        for test, cases in found[kind].items():
            modules[test.partition("::")[0].removesuffix(".py")] += cases
        where = ", ".join(f"{module} {cases:,}" for module, cases in sorted(modules.items(), key=lambda one: (-one[1], one[0])))
        lines.append(f"| {kind} | {least:,} | {found[kind].total():,} | {where} |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Print the table; 1 if anything falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="a line a test beneath the table")
    parser.add_argument("--write", action="store_true", help="put the table into docs/RELIABILITY.md")
    args = parser.parse_args(words)
    found = collected()
    print(table(found))
    if args.tests:
        for kind, tests in found.items():
            print(f"\n{kind}")
            for test, cases in sorted(tests.items()):
                print(f"{cases:8,} {test}")
    if args.write:
        from tests.reliability import put

        put("volumes", table(found))
    return 1 if any(found[kind].total() < least for kind, least in ASKED.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
