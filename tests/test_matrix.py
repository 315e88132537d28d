"""The matrix in small; that it would notice a digest that differs, and tells as not run what failed or could not be made."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from grinder.data.fixture import Fixture
from grinder.golden import accept, read_golden
from tests import matrix
from tests.environments import LANES
from tests.interpreters import KINDS, Interpreter, Missing
from tests.matrix import ALL, FOLDERS, ROOT, Column, main, of_interpreter, run, table
from tests.swings import swing


@pytest.fixture(autouse=True)
def _a_person(monkeypatch):
    """Goldens are accepted, wherever these tests run."""
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def folder(tmp_path):
    made = swing(tmp_path / "swings")
    accept(made, "the golden of a test")
    return made.path


def test_every_fixture_and_at_least_ten_environments():
    assert len(ALL) == len(LANES) + 1 >= 10
    assert len(FOLDERS) >= 9
    assert {"jit_off", "opt_0", "generic_cpu", "bounds_check", "one_thread", "two_threads", "cold_cache"} <= set(ALL)


def test_equal_in_another_zone_and_with_two_threads(folder):
    for name in ("turkish", "two_threads"):
        column = run(name, [folder])
        assert (column.equal, column.error, column.passed) == ({"swings": True}, "", True)
        assert 0 < column.replays <= column.seconds


def test_a_digest_that_differs_is_noticed(folder):
    file = folder / "digest.json"
    text = (folder / "fixture.toml").read_text()
    (folder / "fixture.toml").write_text(text.replace('step = "30bp"', 'step = "31bp"'))
    assert Fixture.open(folder).config.hash() != json.loads(file.read_text())["config"]
    column = run("hash_seed_1", [folder])
    assert (column.equal, column.passed) == ({"swings": False}, False)
    assert "| hash_seed_1 | NOT equal |" in table([column])


def script(path, *lines):
    """A command that writes these lines of sh."""
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return Interpreter((str(path),))


def told(digest):
    return f"echo '{json.dumps([digest, 0.5])}'"


def test_a_process_that_fails_is_noticed(folder, tmp_path):
    python = script(tmp_path / "python", "echo it cannot start >&2", "exit 9")
    column = run("tokyo", [folder], python)
    assert (column.passed, column.error, column.equal) == (False, "it cannot start", {"swings": None})
    assert "| tokyo | not run | 0.0 |" in table([column])
    assert (column.passed, matrix.summary([column])) == (
        False,
        f"1 environments, 0 replays, 0 equal, {column.seconds:.0f} s in all",
    )
    with pytest.raises(Missing, match="no interpreter with numba, numpy and polars: it cannot start"):
        of_interpreter(lambda: python)
    silent = run("tokyo", [folder], script(tmp_path / "silent", "exit 3"))
    assert (silent.error, silent.equal) == ("exit code 3", {"swings": None})
    nowhere = run("tokyo", [folder], Interpreter((str(tmp_path / "nowhere"),)))
    assert "No such file" in nowhere.error and nowhere.equal == {"swings": None}


def test_the_smallest_is_first_and_what_was_told_before_a_failure_counts(folder, tmp_path):
    larger = tmp_path / "larger"
    shutil.copytree(folder, larger)
    (larger / "more.parquet").write_bytes(bytes(1000))
    golden = read_golden(Fixture.open(folder)).value
    made = [larger, folder]
    for digest, equal in ((golden, True), ("0" * 64, False)):
        column = run("tokyo", made, script(tmp_path / "python", told(digest), "echo out of memory >&2", "exit 1"))
        assert (column.equal, column.error, column.replays) == ({"swings": equal, "larger": None}, "out of memory", 0.5)
        assert not column.passed


def test_a_process_that_takes_too_long_is_ended(folder, tmp_path):
    slow = script(tmp_path / "python", "exec sleep 60")
    column = run("tokyo", [folder], Interpreter(slow.words, seconds=1))
    assert (column.equal, column.error) == ({"swings": None}, "ended after 1 s")
    assert column.seconds < 30


def test_an_interpreter_is_named_by_what_it_finds_itself_to_be(folder, monkeypatch):
    monkeypatch.setattr(matrix, "run", lambda name, interpreter: Column(name, {"a": True}, 1.0, 2.0))
    column = of_interpreter(lambda: Interpreter((sys.executable,), "newest packages:"))
    version = ".".join(map(str, sys.version_info[:3]))
    assert column.name.startswith(f"newest packages: python {version}, numba ")
    assert column.passed


def test_the_command(monkeypatch, capsys):
    def made(name, *_):
        return Column(name, {"a": True, "b": name != "tokyo"}, 1.0, 2.0)

    monkeypatch.setattr(matrix, "run", made)
    assert main(["--only", "opt_0,turkish"]) == 0
    assert capsys.readouterr().out.startswith("2 environments, 4 replays, 4 equal, 4 s in all\n\n| environment | a | b |")
    assert main(["--only", "opt_0,tokyo"]) == 1
    assert "| tokyo | equal | NOT equal | 1.0 | 2 |" in capsys.readouterr().out


def lacking(made, pythons):
    raise Missing("no qemu-aarch64-static: apt-get install qemu-user-static")


def test_what_cannot_be_made_is_told_as_not_run(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(matrix, "KINDS", {**KINDS, "aarch64": lacking})
    monkeypatch.setattr(matrix, "put", lambda *_: pytest.fail("a table in which something did not run"))
    assert main(["--only", "", "--lane", "aarch64", "--made", str(tmp_path / "made"), "--write"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("1 environments, 0 replays, 0 equal, 0 s in all\n")
    assert f"| aarch64 |{' not run |' * len(FOLDERS)} 0.0 | 0 |" in said
    assert "aarch64: no qemu-aarch64-static: apt-get install qemu-user-static\n" in said
    assert "left as it was" in said


def test_all_that_was_asked_for_runs_and_is_written(monkeypatch, tmp_path):
    made, asked, written = [], [], []

    def kind(name):
        def make(folder, pythons):
            made.append((name, folder, pythons))
            return Interpreter((name,))

        return make

    def column(name, interpreter=None):
        asked.append(name)
        return Column(name, {"a": True}, 1.0, 2.0)

    monkeypatch.setattr(matrix, "KINDS", {name: kind(name) for name in KINDS})
    monkeypatch.setattr(matrix, "run", column)
    monkeypatch.setattr(matrix, "about", lambda interpreter: interpreter.words[0])
    monkeypatch.setattr(matrix, "put", lambda *words: written.append(words))
    assert main(["--only", "opt_0", "--python", "/a/python", "--lane", "--made", str(tmp_path), "--write"]) == 0
    assert asked == ["opt_0", *["one_thread"] * 5]
    assert made == [(name, tmp_path.resolve(), [sys.executable, "/a/python"]) for name in KINDS]
    ((lane, text),) = written
    assert lane == "matrix" and text.startswith("6 environments, 6 replays, 6 equal, 12 s in all.\n\n| environment | a |")
    for name in ("opt_0", "/a/python", *KINDS):
        assert f"\n| {name} | equal | 1.0 | 2 |" in text


def test_a_lane_that_was_ended_goes_on(monkeypatch, tmp_path, capsys):
    asked, bad = [], {"turkish"}

    def made(name, interpreter=None):
        asked.append(name)
        return Column(name, {"a": name not in bad}, 1.0, 2.0)

    monkeypatch.setattr(matrix, "run", made)
    file = tmp_path / "lane.jsonl"
    words = ["--only", "opt_0,turkish,tokyo", "--log", str(file)]
    assert main(words) == 1
    file.write_text(file.read_text()[:-1])  # ended in the midst of a line: tokyo is run again, turkish did not pass
    asked.clear()
    bad.clear()
    capsys.readouterr()
    assert main(words) == 0
    assert asked == ["turkish", "tokyo"]
    assert capsys.readouterr().out.startswith("3 environments, 3 replays, 3 equal, 6 s in all\n")
    asked.clear()
    assert main(words) == 0
    assert not asked
    monkeypatch.setattr(matrix, "source_hash", lambda: "another")
    assert main(words) == 0
    assert asked == ["opt_0", "turkish", "tokyo"]


def test_a_log_tells_the_oldest_of_some_interpreters_from_that_of_others(monkeypatch, tmp_path):
    asked = []

    def kind(_, pythons):
        asked.append(pythons[1:])
        return Interpreter(("x",))

    monkeypatch.setattr(matrix, "KINDS", {"oldest": kind})
    monkeypatch.setattr(matrix, "run", lambda name, interpreter: Column(name, {"a": True}, 1.0, 2.0))
    monkeypatch.setattr(matrix, "about", lambda interpreter: interpreter.words[0])
    words = ["--only", "", "--lane", "oldest", "--made", str(tmp_path / "made"), "--log", str(tmp_path / "log")]
    for more in ([], ["--python", "/a"], ["--python", "/a"], []):
        assert main([*words, *more]) == 0
    assert asked == [[], ["/a"]]


def test_a_log_is_of_one_golden(folder):
    key = matrix.inputs([folder])
    assert matrix.inputs([folder]) == key
    golden = folder / "digest.json"
    golden.write_text(golden.read_text() + " ")
    assert matrix.inputs([folder]) != key


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "moon"], "no environment moon; there are one_thread, jit_off"),
        (["--lane"], "--lane and --made go together"),
        (["--made", "x"], "--lane and --made go together"),
        (["--lane", "sparc", "--made", "x"], "no environment sparc; there are oldest, newest, old_x86, aarch64"),
        (["--lane", "--made", str(ROOT / "made")], "a folder outside the repository"),
    ],
)
def test_words_that_are_wrong(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
