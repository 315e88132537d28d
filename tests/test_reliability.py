"""docs/RELIABILITY.md: its commands exist, its figures are there and have no violation; a lane replaces its own alone."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from grinder.cli import _parser
from tests import lookaheads
from tests.reliability import DOCUMENT, figures, marks, put

ROOT = Path(__file__).resolve().parents[1]
TEXT = DOCUMENT.read_text("utf-8")
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
LANES = re.findall(r"^<!-- (\w+): begin -->$", TEXT, re.MULTILINE)
SAID = {"kills": ", 0 violations", "mutate": ", 0 violations", "lookaheads": ", 0 with findings", "matrix": " equal, "}
SAID |= {"volumes": "| property cases | 20,000 |", "sweeps": ", 0 violations", "mutants": ", 0 not argued"}


@cache
def usage(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_there_is_a_command_for_every_lane():
    assert set(SAID) <= set(LANES)
    assert {word for line in COMMANDS for word in line.split() if word.startswith("tests.")} == {f"tests.{lane}" for lane in LANES}
    assert any(line.startswith("grinder lint lookahead ") for line in COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist(line):
    words = shlex.split(line)
    if words[0] == "grinder":
        assert _parser().parse_args(words[1:]).run
        return
    assert words[:2] == ["python", "-m"]
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", usage(words[2])), f"{words[2]} has no {option}"


@pytest.mark.parametrize("lane", LANES)
def test_every_lane_writes_its_figures(lane):
    assert "--write" in usage(f"tests.{lane}")
    told = figures(lane)
    assert told and "NOT equal" not in told and "VIOLATION" not in told
    assert SAID.get(lane, "") in told


def test_the_volume_is_what_invariants_ask_for():
    (kills,) = re.findall(r"seed \d+: (\d+) kills", figures("kills"))
    assert int(kills) >= 40
    ((exact, planted),) = re.findall(r"^(\d+) of (\d+) named exactly$", figures("planted"), re.MULTILINE)
    assert int(exact) == int(planted) >= 200
    ((environments, replays, equal),) = re.findall(r"(\d+) environments, (\d+) replays, (\d+) equal", figures("matrix"))
    shown = next(line for line in figures("matrix").splitlines() if line.startswith("| environment |"))
    fixtures = [cell.strip() for cell in shown.split("|")[2:-3]]
    assert int(environments) >= 10 and int(replays) == int(equal) == int(environments) * len(fixtures)
    assert len(fixtures) >= 9
    for name in fixtures:
        assert (ROOT / "fixtures" / name / "digest.json").is_file()
    for golden in (ROOT / "fixtures").glob("*/digest.json"):
        assert f"| {golden.parent.name} | built-in |" in figures("lookaheads")


def section(title: str) -> list[list[str]]:
    """Rows of the table under a heading."""
    lines = TEXT.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


PROOFS, INVARIANTS = section("What changes nothing, and what must change something"), section("Invariants")
SAFETY = section("Files and names from elsewhere")
ASKED = (
    "chunk size",
    "saved and resumed, at any event",
    "number of processes",
    "number of threads",
    "JIT on and off",
    "optimisation level",
    "CPU target",
    "cold, warm, stale or damaged cache",
    "PYTHONHASHSEED",
    "TZ",
    "locale",
    "working folder",
    "order of keys in settings, spelling of numbers",
    "order of symbols",
    "file name, time of change, gzip level, CRLF, byte order mark, zip",
    "a value of the input that matters, by one unit, in every column of every stream",
    "a setting that matters, each of them",
    "any field of any record, by one unit",
    "the same verdict twice",
)
"""What SPEC 14 lists, in the words of the table."""


def named(cell: str) -> list[str]:
    """Node ids of the tests in a cell."""
    return [f"tests/{module}.py::{rest}" for module, rest in re.findall(r"`(test_\w+)::([\w\[\]]+)`", cell)]


def test_every_invariance_and_sensitivity_has_a_test():
    rows = {what: tests for what, _, tests in PROOFS}
    assert set(ASKED) <= set(rows)
    assert [what for what, tests in rows.items() if not named(tests)] == []
    assert [what for what, _, tests in SAFETY if not named(tests)] == []


def test_every_invariant_has_a_test():
    assert [number for number, _, _ in INVARIANTS] == [str(number) for number in range(1, 44)]
    without = {number for number, _, tests in INVARIANTS if not named(tests)}
    elsewhere = {number for number, _, tests in INVARIANTS if tests == "the table above"}
    assert elsewhere == {"37", "39"}
    assert without == elsewhere


def test_every_test_that_is_named_is_collected():
    """By pytest itself, in one process: a test that was renamed, or a case that is gone, is an error of its own."""
    asked = sorted({node for row in (*PROOFS, *INVARIANTS, *SAFETY) for node in named(row[2])})
    assert len(asked) > 80
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *asked]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    collected = set(done.stdout.splitlines())
    found = collected | {line.partition("[")[0] for line in collected}
    assert [node for node in asked if node not in found] == []


def test_the_tests_that_it_names_exist():
    for name in re.findall(r"tests/test_\w+\.py", TEXT):
        assert (ROOT / name).is_file()


def test_a_lane_replaces_its_own_figures_alone(tmp_path):
    document = tmp_path / "a.md"
    document.write_text(f"a\n{marks('x')[0]}\nold\n{marks('x')[1]}\nb\n{marks('y')[0]}\nkept\n{marks('y')[1]}\nc\n")
    for text in ("| new |", "| newer |\n"):
        put("x", text, document)
    assert document.read_text() == (
        f"a\n{marks('x')[0]}\n\n| newer |\n\n{marks('x')[1]}\nb\n{marks('y')[0]}\nkept\n{marks('y')[1]}\nc\n"
    )
    assert (figures("x", document), figures("y", document)) == ("| newer |", "kept")


def test_the_look_ahead_lane(monkeypatch, capsys):
    folders = [ROOT / "fixtures" / "dydx_btcusd_1d"]
    monkeypatch.setattr(lookaheads, "fixtures_below", lambda _: folders)
    monkeypatch.setattr(lookaheads, "OF_ONE_S_OWN", ())
    assert lookaheads.main(["--cuts", "2"]) == 0
    assert capsys.readouterr().out.startswith("1 checks, 2 cuts, 0 with findings\n\n| fixture | policy |")
