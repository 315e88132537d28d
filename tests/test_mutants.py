"""The lane of source mutants: which there are, that they are planted and killed, and what its page says."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher

from grinder.data.fixture import fixture
from tests import mutants as lane
from tests.mutations import MODULES, candidates, functions_of, kernels, module_of, sample
from tests.reliability import figures

ROOT = Path(__file__).resolve().parents[1]
SLIPS = [
    "ledger.book_fill: symbol['fees'] += fee -> symbol['fees'] -= fee",
    "ledger.mark: _put_rows(run, symbols, tape.ledger, tape.used[0], event, ts, causes) -> pass",
    "ledger._put_rows: range(len(symbols)) -> range(len(symbols) - 1)",
    "digest.Digest.value: 'root' -> '~root'",
]


def test_every_jitted_function_has_mutants():
    for module in MODULES:
        names = Counter(mutant.function for mutant in candidates(module))
        assert set(names) == set(functions_of(module))
        compiled = {name for name, value in vars(module_of(module)).items() if isinstance(value, CPUDispatcher)}
        own = {name for name in compiled if getattr(module_of(module), name).__module__ == f"grinder.{module}"}
        assert own == set(kernels(module))
        assert len({mutant.name for mutant in candidates(module)}) == len(candidates(module)) > 150


@pytest.mark.parametrize("module", MODULES)
def test_a_sample_is_its_seeds_and_has_every_function(module):
    chosen = sample(module, 150, 1)
    assert chosen == sample(module, 150, 1) != sample(module, 150, 2)
    assert len(chosen) == len(set(chosen)) == 150
    assert {mutant.function for mutant in chosen} == set(functions_of(module))
    assert {mutant.function for mutant in sample(module, 1, 1)} == set(functions_of(module))
    assert set(sample(module, 60, 3)) < set(sample(module, 150, 3)), "more of the same"


CHILDREN = """
import json, sys, time
from grinder.data.fixture import fixture
from tests import mutants as lane
from tests.mutations import candidates, function_of, planted
lane.warm()
def endless():
    while True: pass
checks = [one for one in lane.checks_of(("ledger", "digest"), 12, 0) if one.kind in ("reference", "unit")]
known = lane.learn(checks, ("ledger", "digest"))
every = {mutant.name: mutant for module in ("ledger", "digest") for mutant in candidates(module)}
found = {}
def lives(mutant, known):
    child = lane.Child(mutant, known)
    while (verdict := child.verdict()) is None: time.sleep(0.01)
    return [verdict.how, verdict.by, verdict.checks]
found["none"] = lives(None, known)
lane.AT_LEAST = 0.2
found["endless"] = lives(None, [lane.Known(lane.Check("unit", "endless", endless), 0.1, {})])
lane.AT_LEAST = 2
for begin in json.loads(sys.argv[1]):
    mutant = next(one for name, one in every.items() if name.startswith(begin))
    found[begin] = lives(mutant, lane.reaching(mutant, known))
    before = function_of(mutant).__code__
    with planted(mutant): assert function_of(mutant).__code__ is not before
    assert function_of(mutant).__code__ is before
found["checks"] = len(known)
print(json.dumps(found))
"""


def test_a_slip_is_killed_and_none_survives():
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN, json.dumps(SLIPS)],
        cwd=ROOT,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    count = found.pop("checks")
    assert count > 30
    assert found.pop("none") == ["survived", "", count]
    assert found.pop("endless") == ["time", "endless", 1]
    assert list(found) == SLIPS
    # the quickest check comes first, and some trip over what is missing before they can compare it
    assert {how for how, _, _ in found.values()} <= {"assertion", "error"}
    assert all(by.startswith(("reference ", "head ", "tests.test_")) for _, by, _ in found.values())


def survived(checks: int = 3) -> lane.Verdict:
    return lane.Verdict("survived", "", checks, 0.1)


def test_a_log_keeps_what_still_holds(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    dead, alive, later = sample("ledger", 20, 1)[:3]
    log = lane.Log(path)
    log.add(dead, lane.Verdict("assertion", "reference 1", 1, 0.2), {"a"})
    log.add(alive, survived(), {"a", "b"})
    with path.open("a") as file:
        file.write('{"name": "torn')
    again = lane.Log(path)
    assert again.known == log.known
    again.add(later, survived(), {"c"})
    assert set(lane.Log(path).known) == {dead.name, alive.name, later.name}
    monkeypatch.setattr(lane, "tests_hash", lambda: "others")
    changed = lane.Log(path)
    assert set(changed.known) == {dead.name}, "a survivor is tried again where tests have changed"
    assert changed.tried[alive.name] == {"a", "b"}
    changed.add(alive, survived(1), {"d"})
    assert lane.Log(path).known[alive.name].checks == 3, "what it lived through before counts"
    assert lane.Log(path).known[alive.name].seconds == changed.known[alive.name].seconds == 0.2, "and what it took"
    monkeypatch.setattr("grinder._jit.source_hash", lambda: "f" * 64)
    assert lane.Log(path).known == {}


def test_a_survivor_has_to_be_argued(tmp_path, monkeypatch, capsys):
    args = argparse.Namespace(seed=1, write=False)
    chosen = sample("ledger", 20, 1)
    dead = lane.Verdict("error", "reference 1", 1, 0.2)
    found = dict.fromkeys(chosen, dead) | {chosen[3]: survived()}
    reasons = tmp_path / "survivors.txt"
    monkeypatch.setattr(lane, "SURVIVORS", reasons)
    monkeypatch.setattr(lane.argued, "__defaults__", (reasons,))
    reasons.write_text("# nothing yet\n")
    assert lane.report(args, found, 1.0) == 1
    assert f"not argued: {chosen[3].name}" in capsys.readouterr().out
    reasons.write_text(f"{chosen[3].name}\n    It is the same, since\n    both are.\n{chosen[4].name}\n    Who knows.\n")
    assert lane.argued()[chosen[3].name] == "It is the same, since both are."
    assert lane.report(args, found, 1.0) == 0
    told = capsys.readouterr().out
    assert "20 mutants, 19 killed (95.0 %), 1 survived, 0 not argued" in told
    assert f"argued, but killed: {chosen[4].name}" in told
    reasons.write_text("".join(f"{mutant.name}\n    Both are.\n" for mutant in chosen))
    assert lane.report(args, found | {mutant: survived() for mutant in chosen[:3]}, 1.0) == 1
    assert "ledger: under 90 %" in capsys.readouterr().out


def test_a_check_that_reads_files_is_told_of():
    """In a forked process it would wait for threads that are not there."""
    reads = lane.Check("unit", "tests.test_one.test_that_reads", lambda: fixture("range_day_l1"))
    with pytest.raises(SystemExit, match="test_that_reads reads files"):
        lane.learn([reads], ["fills"])
    assert len(fixture("range_day_l1")) > 0, "and nothing stays refused"


def test_arguments_are_of_mutants_that_there_are():
    names = {mutant.name for module in MODULES for mutant in candidates(module)}
    for name, reason in lane.argued().items():
        assert name in names, "the code has changed: is there still such a mutant?"
        assert len(reason.split()) > 3


def test_the_page_shows_every_module_and_every_function():
    told = figures("mutants")
    rows = {cells[1]: cells for line in told.splitlines() if len(cells := [cell.strip() for cell in line.split("|")]) > 10}
    assert set(rows) >= set(MODULES)
    for module in MODULES:
        assert int(rows[module][5]) >= 150
        assert float(rows[module][-2]) >= lane.LEAST
        (line,) = (line for line in told.splitlines() if line.startswith(f"{module}: "))
        counts = re.findall(r"([\w.]+) (\d+)/(\d+) of (\d+)", line)
        assert [name for name, *_ in counts] == list(functions_of(module))
        assert all(int(sampled) > 0 for _, _, sampled, _ in counts)
