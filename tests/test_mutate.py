"""The mutation lane in small; and that it would notice: a rule left out, a wrong count, a crash, a hang, a process that dies."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import grinder.data.merging
from grinder.data import validation
from grinder.errors import IntegrityError
from tests import mutate
from tests.mutate import TARGETS, Target, run_case
from tests.volumes import MUTATED, ran, volume

ROOT = Path(__file__).resolve().parents[1]


SEED, BLOCKS, BLOCK = 2, 8, 2500


@pytest.mark.parametrize("block", range(BLOCKS))
@volume(MUTATED, BLOCK)
def test_twenty_thousand_files(block):
    """In a process of their own, with its limits, and with one thread of polars, which forty rows do not outrun."""
    found, bad = mutate.lane(SEED, BLOCK, BLOCK * block)
    assert bad == [], f"seed {SEED}"
    ran(MUTATED, found.total())
    for target in TARGETS:
        if "damage" in target.name:
            continue  # slow, or nearly always an error, so it is rare
        mine = {outcome for name, outcome in found if name == target.name}
        assert "accepted" in mine and len(mine) > 1, f"{target.name}: {mine}"
    assert found["fixture folder", "accepted, rows quarantined"] > 5


def test_a_case_is_a_function_of_seed_and_number():
    assert [run_case(4, number) for number in range(30)] == [run_case(4, number) for number in range(30)]
    for target in TARGETS:
        assert target.mutate(random.Random("4/1")) == target.mutate(random.Random("4/1"))


def test_bases_are_accepted():
    """Unchanged files pass every check, so that each error is the change's."""
    for large in (False, True):
        assert check(mutate.check_folder, mutate.folder_files(large)) == "accepted"
        assert large or check(mutate.check_validate, mutate.folder_files(large)) == "accepted"
        assert check(mutate.check_recording, {"raw": mutate.recording_text(large)}) == "accepted"
        for words, texts in (scene for listed in mutate.scenes(large).values() for scene in listed):
            files = {name: text.encode() for name, text in texts.items()}
            assert check(mutate.check_files, files | {"command": json.dumps([words, True]).encode()}) == "accepted", words
    assert check(mutate.check_run, {"a.grinder": mutate.saved_run()[0]}) == "accepted"


def check(function, files) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        return function(Path(scratch), files)


@pytest.mark.parametrize(
    "rule",
    ["_reject_outside", "_reject_times", "_reject_levels", "_quarantine_crossed", "_quarantine_empty", "_repeats", "_unlike"],
)
def test_a_rule_that_is_left_out_is_noticed(rule, monkeypatch):
    real = getattr(validation, rule)

    def left_out(*given):
        made = real(*given) if rule in ("_repeats", "_unlike") else None
        return made if made is None else made & 0

    monkeypatch.setattr(validation, rule, left_out)
    assert any("VIOLATION" in run_folder(number) for number in range(2000)), rule


def test_a_jump_that_is_left_out_is_noticed(monkeypatch):
    monkeypatch.setattr(grinder.data.merging, "mark_jumps", lambda *_: None)
    assert any("VIOLATION" in run_folder(number) for number in range(400))


def test_data_refused_without_a_rule_are_noticed(monkeypatch):
    monkeypatch.setattr(validation, "MAX_QTY_LOTS", 3)
    assert any("rejected, though no rule is broken" in run_folder(number) for number in range(100))


def run_folder(number: int) -> str:
    """A case of the first target alone."""
    rng = random.Random(f"folder/{number}")
    try:
        return check(mutate.check_folder, mutate.mutate_folder(rng))
    except mutate.Violation as error:
        return f"VIOLATION {error}"


def test_parquet_is_always_made():
    """Changes that do not go together (a column renamed, then cast) still give a file; some thousand cases hold such pairs."""
    made = [mutate.mutate_parquet(random.Random(f"parquet/{number}"))["q.csv"] for number in range(1500)]
    assert all(body[:4] == body[-4:] == b"PAR1" for body in made)
    assert len(set(made)) > len(made) // 3


def sleep_whatever_comes() -> str:
    """As a command does that takes every error of the operating system, a TimeoutError among them, for one of its files."""
    with contextlib.suppress(Exception):
        time.sleep(3)
    return "accepted"


@pytest.mark.parametrize(
    ("ill", "message"),
    [
        (lambda *_: 1 // 0, "VIOLATION ZeroDivisionError"),
        (lambda *_: time.sleep(3), "VIOLATION Hung: over 1 s"),
        (lambda *_: sleep_whatever_comes(), "VIOLATION Hung: over 1 s"),
        (lambda *_: (_ for _ in ()).throw(MemoryError("none left")), "VIOLATION MemoryError"),
        (lambda *_: mutate.located(IntegrityError("something is wrong"), "pair") or "", "VIOLATION Violation: no place in"),
    ],
)
def test_what_is_not_allowed_is_a_violation(ill, message, monkeypatch):
    monkeypatch.setattr(mutate, "SECONDS", 1)
    monkeypatch.setattr(mutate, "TARGETS", [Target("ill", lambda _: {}, ill, 1)])
    target, outcome = run_case(1, 1)
    assert target == "ill"
    assert outcome.startswith(message)


def test_the_lane_in_processes_of_its_own(tmp_path):
    command = [sys.executable, "-m", "tests.mutate", "60", "--seed", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed 3: 60 cases in ")
    assert ", 0 violations\n" in done.stdout
    assert sum(int(line.split()[-1].replace(",", "")) for line in done.stdout.splitlines()[1:] if line.strip()) == 60


def test_a_process_that_dies_is_a_violation_and_the_rest_is_run(monkeypatch, tmp_path):
    """The parent starts again after the case that killed its child."""
    script = "import sys, json, os, signal\nfirst, last = map(int, sys.argv[1:])\nfor n in range(first, last):\n"
    script += "    if n == 3: os.kill(os.getpid(), signal.SIGSEGV)\n    print(json.dumps([n, 'x', 'accepted']), flush=True)\n"
    real = subprocess.Popen

    def start(command, **options):
        assert command[1:4] == ["-m", "tests.mutate", "--work"]
        return real([sys.executable, "-c", script, *command[4:6]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    found, bad = mutate.lane(1, 6)
    assert found == {("x", "accepted"): 5, ("any", "VIOLATION"): 1}
    assert len(bad) == 1
    assert bad[0].startswith(f"case 3: the process ended: exit -{int(signal.SIGSEGV)}")
