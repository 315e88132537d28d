"""The longer lane's interpreters: how each is started, what is installed for it, what is said where the machine lacks something."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests import interpreters
from tests.interpreters import CPU, KINDS, LOCK, ROOT, Interpreter, Missing, about, lowest, requirements, workshop

HERE = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def commands(monkeypatch):
    """Every command that would be run, by its words; `mmdebstrap` leaves an interpreter, and others nothing."""
    run = []

    def tell(words, cure=""):
        run.append([str(word) for word in words])
        if words[0] == "mmdebstrap":
            python = Path(words[-1]) / "usr" / "bin" / "python3.11"
            python.parent.mkdir(parents=True)
            python.touch()
            (python.parent / "python3.11-config").touch()
            (python.parent / "python3").touch()
        if words[-1] == "--version":
            return "qemu-x version 7.2.22 (Debian)"
        return {"/old": "3 11", "/new": "3 13"}.get(str(words[0]), "3 12")

    monkeypatch.setattr(interpreters, "_tell", tell)
    monkeypatch.setattr(interpreters.shutil, "which", lambda name: f"/usr/bin/{name}")
    return run


def installs(commands):
    return [words for words in commands if "pip" in words]


def test_the_oldest_packages_are_the_lower_bounds_in_the_oldest_python(commands, tmp_path):
    for _ in range(2):
        made = KINDS["oldest"](tmp_path, ["/middle", "/old", "/new"])
    assert made.words == (str(tmp_path / "oldest" / "bin" / "python"),)
    assert ["/old", "-m", "venv", str(tmp_path / "oldest")] in commands
    (words,) = installs(commands)
    assert words[-len(requirements()) :] == lowest(requirements())
    assert {"--only-binary=:all:"} <= set(words)


def test_the_newest_packages_are_asked_for_anew_each_time_in_the_newest_python(commands, tmp_path):
    for _ in range(2):
        made = KINDS["newest"](tmp_path, ["/middle", "/old", "/new"])
    assert made.words == (str(tmp_path / "newest" / "bin" / "python"),)
    assert [words[0] for words in commands if "venv" in words] == ["/new"]
    first, *upgrades = installs(commands)
    assert "--upgrade" not in first and len(upgrades) == 2
    for words in upgrades:
        assert "--upgrade" in words and words[-len(requirements()) :] == requirements()


def test_lower_bounds(tmp_path):
    assert lowest(["numba>=0.61", "a-b>=2"]) == ["numba==0.61", "a-b==2"]
    for odd in ("numba", "numba>=0.61,<1", "numba~=0.61"):
        with pytest.raises(ValueError, match=re.escape(f"{odd}: no plain lower bound")):
            lowest([odd])
    names = {line.split("==")[0] for line in lowest(requirements())}
    assert {"numba", "numpy", "polars", "pydantic"} <= names


def test_an_old_x86_runs_this_python_without_avx(commands, tmp_path):
    made = KINDS["old_x86"](tmp_path, [])
    assert made.words == ("/usr/bin/qemu-x86_64-static", "-cpu", CPU, str(Path(sys.executable).resolve()))
    assert (made.machine, made.packages) == (("x86_64", CPU.lower()), (tmp_path / "old_x86",))
    lock, compat = installs(commands)
    for words in (lock, compat):
        assert {"--no-deps", f"--python-version={HERE}", "--platform=manylinux_2_28_x86_64"} <= set(words)
    assert lock[-3:] == ["--require-hashes", "-r", str(LOCK)]
    assert compat[-1] == f"polars-runtime-compat=={interpreters.pin('polars-runtime-32')}"


def test_an_aarch64_runs_debian_s_python(commands, tmp_path):
    for _ in range(2):
        made = KINDS["aarch64"](tmp_path, [])
    root = tmp_path / "debian_arm64" / "root"
    assert made.words == ("/usr/bin/qemu-aarch64-static", "-L", str(root), str(root / "usr" / "bin" / "python3.11"))
    assert (made.machine, made.environment) == (("aarch64", "generic"), {"PYTHONHOME": str(root / "usr")})
    (debian,) = (words for words in commands if words[0] == "mmdebstrap")
    assert {"--architectures=arm64", "--variant=extract"} <= set(debian)
    (lock,) = installs(commands)
    assert {"--python-version=3.11", "--platform=manylinux2014_aarch64", "--require-hashes"} <= set(lock)
    assert made.variables(Path("/src"))["PYTHONPATH"] == f"/src:{tmp_path / 'aarch64'}"


def test_what_is_missing_is_said_with_its_cure(monkeypatch, tmp_path):
    there: set[str] = set()
    monkeypatch.setattr(interpreters.shutil, "which", lambda name: f"/nowhere/{name}" if name in there else None)
    for kind, machine in (("old_x86", "x86_64"), ("aarch64", "aarch64")):
        with pytest.raises(Missing, match=f"^no qemu-{machine}-static: apt-get install qemu-user-static$"):
            KINDS[kind](tmp_path, [])
    monkeypatch.setattr(interpreters, "emulator", lambda _: ("/nowhere/qemu", "7"))
    with pytest.raises(Missing, match=r"^no mmdebstrap: apt-get install mmdebstrap$"):
        KINDS["aarch64"](tmp_path, [])
    there.add("mmdebstrap")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"^mmdebstrap: No such file or directory \(it takes Debian's packages"):
        KINDS["aarch64"](tmp_path, [])


def test_a_command_that_fails_is_told_by_its_error_and_what_it_made_is_made_anew(monkeypatch, tmp_path):
    work = tmp_path / "bin" / "mmdebstrap"
    work.parent.mkdir()
    work.write_text('#!/bin/sh\nfor root; do :; done\nmkdir "$root"\necho E: no mirror >&2\necho I: bye >&2\nexit 25\n')
    work.chmod(0o755)
    monkeypatch.setenv("PATH", f"{work.parent}:/usr/bin:/bin")
    monkeypatch.setattr(interpreters, "emulator", lambda _: ("/nowhere/qemu", "7"))
    for _ in range(2):  # the folder that the first left is no hindrance, and not taken for a whole one
        with pytest.raises(Missing, match=r"^mmdebstrap: E: no mirror \(it takes"):
            KINDS["aarch64"](tmp_path / "made", [])
    assert (tmp_path / "made" / "debian_arm64" / "root").is_dir()


def test_a_row_is_named_by_what_the_process_finds_and_refused_on_another_machine(tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(['3.11.2', '1', '2', '3', 'aarch64', 'generic'])}'\n")
    python.chmod(0o755)
    words = (str(python),)
    assert about(Interpreter(words)) == "python 3.11.2, numba 1, numpy 2, polars 3"
    emulated = Interpreter(words, "under qemu 7:", machine=("aarch64", "generic"))
    assert about(emulated) == "aarch64 generic under qemu 7: python 3.11.2, numba 1, numpy 2, polars 3"
    with pytest.raises(Missing, match=r"^it is to be x86_64 nehalem and is aarch64 generic$"):
        about(Interpreter(words, machine=("x86_64", "nehalem")))


def test_nothing_is_made_in_the_repository_or_among_files_of_one_s_own(tmp_path):
    with pytest.raises(ValueError, match="made: a folder outside the repository"):
        workshop(ROOT / "made")
    own = tmp_path / "own" / "oldest"
    own.mkdir(parents=True)
    for folder in (own.parent, Path(__file__)):
        with pytest.raises(ValueError, match=r"outside the repository$|: a new or empty folder, or one that this lane made"):
            workshop(folder)
    made = workshop(tmp_path / "new" / "one")
    (made / "oldest").mkdir()
    assert workshop(made) == made.resolve()
    assert own.is_dir()


def test_an_interpreter_that_is_not_there(tmp_path):
    with pytest.raises(Missing, match=r"nowhere: No such file or directory$"):
        about(Interpreter((str(tmp_path / "nowhere"),)))
