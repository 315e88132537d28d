"""`grinder doctor`: nothing is wrong with a sound installation; each planted fault is found, with a cure and an exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import grinder
from grinder import Config, _jit, doctor, replay
from grinder._jit import JIT
from grinder.cli import main
from grinder.doctor import CHECKS, NOTE, OK, WRONG, Diagnosis, Finding, examine
from grinder.golden import accept
from tests.swings import swing

ROOT = Path(__file__).resolve().parents[1]


def levels(only: str) -> dict[str, str]:
    """What a check of this process says, by level; the worst last."""
    return {found.level: found.text for found in examine([only]).findings}


def elsewhere(only: str, **environment: str) -> tuple[int, list[dict[str, str]]]:
    """What a check says in a process of its own: the exit code and the findings."""
    code = (
        f"import json; from grinder.doctor import examine; d = examine([{only!r}]); print(json.dumps([d.exit_code, d.to_dict()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True, timeout=600
    )
    exit_code, body = json.loads(done.stdout)
    return exit_code, body["findings"]


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """A small fixture with its golden, as if it had come with grinder."""
    for name in ("CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "swings"
    accept(swing(folder), "first golden")
    monkeypatch.setattr(doctor, "_shipped", lambda: [folder])
    return folder


def test_nothing_is_wrong_here(capsys):
    """The whole of it, as one types it."""
    assert main(["doctor", "--json"]) == 0, "grinder doctor"
    body = json.loads(capsys.readouterr().out)
    assert body["well"] is True
    assert body["version"] == grinder.__version__
    assert {found["check"] for found in body["findings"]} == set(CHECKS)
    assert WRONG not in {found["level"] for found in body["findings"]}
    (replay,) = (found for found in body["findings"] if found["check"] == "replay")
    assert "has its golden digest" in replay["text"]


def test_what_it_says_and_ends_with():
    found = (
        Finding("a", OK, "fine"),
        Finding("b", NOTE, "look"),
        Finding("c", WRONG, "broken", "mend it", 3),
        Finding("d", WRONG, "x", "", 2),
    )
    text = str(Diagnosis(found))
    assert "broken\n                  cure: mend it" in text
    assert text.endswith("2 wrong, 1 to note")
    assert Diagnosis(found).exit_code == 3, "of the first that is wrong"
    assert Diagnosis(found[:2]).exit_code == 0
    assert str(Diagnosis(found[:1])).endswith("all is well")


def test_a_check_that_fails_is_a_finding_and_stops_no_other(monkeypatch):
    def broken():
        yield OK, "so far"
        raise ImportError("numba needs another numpy")

    monkeypatch.setattr(doctor, "CHECKS", {"broken": broken, "python": CHECKS["python"]})
    first, second = examine().findings
    assert (first.check, first.level, first.exit_code) == ("broken", WRONG, 2)
    assert "numba needs another numpy" in first.text
    assert second.check == "python"


# The installation


def test_a_python_that_is_newer_than_any_tested(monkeypatch):
    assert OK in levels("python")
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert "newer" in levels("python")[NOTE]


def test_packages(monkeypatch):
    assert WRONG not in levels("packages")
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1" if name == "numba" else real(name))
    (found,) = (one for one in examine(["packages"]).findings if one.level == WRONG)
    assert "numba is 0.1" in found.text
    assert found.cure.startswith("pip install 'numba>=")
    assert found.exit_code == 2

    def without(name: str) -> str:
        if name == "tqdm":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", without)
    assert levels("packages")[WRONG] == "tqdm is not installed"


@pytest.mark.parametrize(("one", "other"), [("0.9", "0.10"), ("1.2", "1.2.1"), ("1.9.9", "2.0rc1"), ("", "0")])
def test_versions_are_compared_by_their_numbers(one, other):
    assert doctor._numbers(one) < doctor._numbers(other)


def test_versions_unlike_the_lock_are_told(monkeypatch):
    monkeypatch.setattr(doctor, "_locked", lambda: {"numpy": "1.0"})
    assert f"numpy {metadata.version('numpy')} (1.0)" in levels("packages")[NOTE]
    monkeypatch.setattr(doctor, "_locked", lambda: {"numpy": metadata.version("numpy"), "not-installed": "1"})
    assert NOTE not in levels("packages")


def test_the_lock_of_this_checkout_is_read():
    if (ROOT / "requirements.lock").is_file():
        assert "numba" in doctor._locked()


def test_code_without_an_installation(monkeypatch):
    monkeypatch.setattr(doctor, "_requirements", dict)
    assert "not installed as a package" in levels("packages")[NOTE]


def test_two_grinders(tmp_path, monkeypatch):
    other = tmp_path / "grinder"
    other.mkdir()
    (other / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert str(other) in levels("grinder")[NOTE]


def test_code_and_installation_of_two_versions(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "9.9")
    (found,) = (one for one in examine(["grinder"]).findings if one.level == WRONG)
    assert "9.9" in found.text
    assert found.exit_code == 2


def test_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("NUMBA_") or name in doctor.VARIABLES]:
        monkeypatch.delenv(name)
    assert set(levels("environment")) == {OK}
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("NUMBA_SOMETHING", "x")
    first, second = examine(["environment"]).findings
    assert "plain Python" in first.text
    assert first.cure == "unset NUMBA_DISABLE_JIT"
    assert second.level == NOTE
    assert "NUMBA_SOMETHING=x" in second.text


def test_little_memory(monkeypatch):
    monkeypatch.setattr(doctor, "_memory_available", lambda: 300 << 20)
    assert "300 MB" in levels("machine")[NOTE]


# The cache


def test_a_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for place, why in (("file", "is no folder"), ("file/below", "cannot be made")):
        code, (found,) = elsewhere("cache", GRINDER_CACHE_DIR=str(tmp_path / place))
        assert (code, found["level"]) == (2, WRONG)
        assert why in found["text"]
        assert "GRINDER_CACHE_DIR" in found["cure"]


def test_a_cache_that_others_can_write(tmp_path):
    tmp_path.chmod(0o777)
    code, (found,) = elsewhere("cache", GRINDER_CACHE_DIR=str(tmp_path))
    assert (code, found["level"]) == (2, WRONG)
    assert "mode 777" in found["text"]
    assert "chmod 700" in found["cure"]


def test_a_cache_that_cannot_be_written_or_is_another_s(tmp_path, monkeypatch):
    """Whoever runs this may write everywhere, so what refuses is put in place."""
    monkeypatch.setattr(_jit, "cache_root", lambda: tmp_path)
    monkeypatch.setattr(_jit, "cache_directory", lambda: tmp_path.parent / "of this process alone")
    tmp_path.chmod(0o700)
    assert "cannot be written" in levels("cache")[WRONG]
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    assert "belongs to another user" in levels("cache")[WRONG]


@pytest.mark.skipif(not JIT, reason="without the JIT nothing is kept")
def test_what_is_in_a_cache(tmp_path):
    """Of other states, damaged, or empty: told, and nothing wrong."""
    home = tmp_path / "home"
    code, (first,) = elsewhere("cache", GRINDER_CACHE_DIR=str(home))
    assert (code, first["level"]) == (0, OK)
    assert "0 kernels" in first["text"]
    assert "grinder warmup" in first["text"]
    (own,) = home.iterdir()
    (own / "x").mkdir()
    (own / "x" / "k.nbi").write_bytes(b"damaged, certainly, and longer than a hash")
    stale = home / "kernels-0123"
    stale.mkdir()
    (stale / "old.nbi").write_bytes(bytes(2_000_000))
    code, found = elsewhere("cache", GRINDER_CACHE_DIR=str(home))
    assert code == 0
    told = {one["text"]: one for one in found if one["level"] == NOTE}
    assert any("1 damaged files" in text and "k.nbi" in text for text in told)
    assert any("1 more of other versions" in text and "2.0 MB" in text for text in told)
    assert all(one["cure"] for one in told.values())


# Fixtures and a replay


def test_fixtures_are_whole(shipped):
    assert set(levels("fixtures")) == {OK}
    assert "has its golden digest" in levels("replay")[OK]


def damage(folder: Path, how: str) -> None:
    file = folder / "quotes.parquet"
    if how == "flipped":
        body = bytearray(file.read_bytes())
        body[len(body) // 2] ^= 1
        file.write_bytes(body)
    elif how == "missing":
        file.unlink()
    elif how == "manifest":
        (folder / "fixture.toml").write_text("no = toml = at all")
    elif how == "no golden":
        (folder / "digest.json").unlink()
    elif how == "golden":
        (folder / "digest.json").write_text("{}")


@pytest.mark.parametrize("how", ["flipped", "missing", "manifest", "no golden", "golden"])
def test_a_damaged_fixture(shipped, how):
    damage(shipped, how)
    found = examine(["fixtures", "replay"])
    assert [one.level for one in found.findings] == [WRONG, WRONG]
    assert shipped.name in found.findings[0].text
    assert "restore" in found.findings[0].cure
    assert found.exit_code == 3


def test_no_fixture_came_with_it(monkeypatch):
    monkeypatch.setattr(doctor, "_shipped", list)
    found = examine(["fixtures", "replay"])
    assert [one.level for one in found.findings] == [WRONG, NOTE]
    assert found.exit_code == 3


def test_a_replay_that_is_not_what_the_golden_says(shipped):
    golden = json.loads((shipped / "digest.json").read_text())
    changed = replay(str(shipped), Config(levels=2)).digest
    (shipped / "digest.json").write_text(json.dumps(golden | changed.to_dict()))
    found = examine(["replay"])
    assert found.exit_code == 1
    assert found.findings[0].level == WRONG
    assert f"grinder diff {shipped.name}" in found.findings[0].cure


def test_how_long_a_replay_took_and_what_it_compiled_is_told(shipped):
    text = levels("replay")[OK]
    assert text.startswith("swings has its golden digest")
    assert re.search(r"in \d+\.\d s, (kernels from the cache|\d+ kernels compiled|without the JIT)$", text)
