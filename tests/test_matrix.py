"""The matrix in small; and that it would notice a digest that differs, and a process that fails."""

from __future__ import annotations

import json

import pytest

from grinder.data.fixture import Fixture
from grinder.golden import accept
from tests import matrix
from tests.environments import LANES
from tests.matrix import ALL, FOLDERS, Column, main, run, table
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


def test_a_process_that_fails_is_noticed(folder, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho it cannot start >&2\nexit 9\n")
    python.chmod(0o755)
    column = run("tokyo", [folder], python=str(python))
    assert (column.passed, column.error, column.equal) == (False, "it cannot start", {"swings": False})
    with pytest.raises(SystemExit, match="no interpreter with numba, numpy and polars: it cannot start"):
        matrix.of_python(str(python))


def test_the_command(monkeypatch, capsys):
    def made(name, *_):
        return Column(name, {"a": True, "b": name != "tokyo"}, 1.0, 2.0)

    monkeypatch.setattr(matrix, "run", made)
    assert main(["--only", "opt_0,turkish"]) == 0
    assert capsys.readouterr().out.startswith("2 environments, 4 replays, 4 equal, 4 s in all\n\n| environment | a | b |")
    assert main(["--only", "opt_0,tokyo"]) == 1
    assert "| tokyo | equal | NOT equal | 1.0 | 2 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "moon"], "no environment moon; there are one_thread, jit_off"),
        (["--lane"], "go together"),
        (["--python", "x"], "go together"),
    ],
)
def test_words_that_are_wrong(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
