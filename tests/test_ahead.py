"""Compiling in two processes: what the other one does not do is done here, and it never outlives the call."""

from __future__ import annotations

import multiprocessing
import subprocess
import time
from threading import Event, Thread

import pytest

from grinder import _ahead, _jit


@pytest.fixture
def others(monkeypatch):
    """The processes that were started, in an installation where nothing is compiled."""
    out = []

    def started(*words, **options):
        out.append(popen(*words, **options))
        return out[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(_ahead.subprocess, "Popen", started)
    monkeypatch.setattr(_ahead, "_is_cold", lambda: True)
    monkeypatch.setattr(_ahead, "_has_room", lambda: True)
    monkeypatch.setattr(_ahead, "_compile_act", lambda: None)
    monkeypatch.setattr(_ahead, "_settled", Event())
    return out


def compile_in_two():
    with _ahead.compiled_in_two():
        pass


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("raise SystemExit(3)", 3), ("import no_such_module", 1)])
def test_the_other_one_is_waited_for_and_may_fail(others, monkeypatch, code, status):
    monkeypatch.setattr(_ahead, "_REST", code)
    compile_in_two()
    assert [other.returncode for other in others] == [status]


def test_one_that_hangs_is_ended(others, monkeypatch):
    monkeypatch.setattr(_ahead, "_REST", "import time; time.sleep(600)")
    monkeypatch.setattr(_ahead, "_PATIENCE_S", 0.2)
    begin = time.monotonic()
    compile_in_two()
    assert [other.returncode for other in others] == [-9]
    assert time.monotonic() - begin < 60


def test_an_interrupted_one_leaves_nothing_behind(others, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(_ahead, "_REST", "import time; time.sleep(600)")
    monkeypatch.setattr(_ahead, "_compile_act", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compile_in_two()
    assert [other.returncode for other in others] == [-9]


@pytest.mark.parametrize("error", [ValueError, subprocess.TimeoutExpired, KeyboardInterrupt])
def test_the_other_one_begins_before_what_stands_under_it_and_ends_with_it_if_that_fails(others, monkeypatch, error):
    """Such as a fixture that cannot be read: it is told at once, and a later replay compiles in two all the same."""
    monkeypatch.setattr(_ahead, "_REST", "import time; time.sleep(600)")
    monkeypatch.setattr(_ahead, "_compile_act", lambda: pytest.fail("nobody waits for that"))
    with pytest.raises(error), _ahead.compiled_in_two():
        raise error("cannot be read", 1) if [other.poll() for other in others] == [None] else AssertionError("none has begun")
    assert [other.returncode for other in others] == [-9]
    monkeypatch.setattr(_ahead, "_REST", "pass")
    monkeypatch.setattr(_ahead, "_compile_act", lambda: None)
    for _ in range(2):  # once is enough
        compile_in_two()
        assert [other.returncode for other in others] == [-9, 0]


def test_a_second_thread_waits_for_the_first_and_starts_none(others, monkeypatch):
    inside, done = Event(), []

    def first():
        with _ahead.compiled_in_two():
            inside.set()
            time.sleep(0.2)

    def second():
        inside.wait()
        with _ahead.compiled_in_two():
            done.append("second")

    monkeypatch.setattr(_ahead, "_REST", "pass")
    monkeypatch.setattr(_ahead, "_compile_act", lambda: done.append("compiled"))
    threads = [Thread(target=first), Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(others) == 1
    assert done == ["compiled", "second"]


@pytest.mark.parametrize("why", ["_is_cold", "_has_room"])
def test_none_is_started_where_nothing_is_to_be_done_or_there_is_no_cpu(others, monkeypatch, why):
    monkeypatch.setattr(_ahead, why, lambda: False)
    compile_in_two()
    assert others == []


def test_the_other_one_has_the_modules_of_this_one(others, monkeypatch, tmp_path):
    """Those that are found only since somebody said where, too; and none of the working folder."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "only_here.py").write_text("there = 1")
    (tmp_path / "numpy.py").write_text("raise SystemExit(5)")
    monkeypatch.syspath_prepend(str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_ahead, "_REST", "import only_here, numpy")
    compile_in_two()
    assert [other.returncode for other in others] == [0]


def test_workers_and_single_cpus_start_none(monkeypatch):
    monkeypatch.setattr(_ahead.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert _ahead._has_room()
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    assert not _ahead._has_room()
    monkeypatch.undo()
    monkeypatch.setattr(_ahead.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert not _ahead._has_room()


@pytest.mark.skipif(not _jit.JIT, reason="without the JIT nothing is compiled")
def test_a_cache_that_has_it_is_not_cold(monkeypatch, tmp_path):
    monkeypatch.setattr(_ahead._jit, "cache_directory", lambda: tmp_path / "kernels-1")
    assert _ahead._is_cold()
    for module, kept in (("grinder.market", "observe"), ("grinder.engine", "act")):
        folder = tmp_path / "kernels-1" / module
        folder.mkdir(parents=True)
        (folder / f"{kept}.from_python-1.py311.nbi").touch()
        assert _ahead._is_cold() == (kept != "act")
    monkeypatch.setattr(_ahead._jit, "cache_directory", lambda: tmp_path / "for-this-process")
    assert not _ahead._is_cold()


def test_where_no_process_can_be_started_it_goes_on(others, monkeypatch):
    monkeypatch.setattr(_ahead.sys, "executable", "/nowhere/python")
    compile_in_two()
    assert others == []


def test_a_working_folder_that_is_gone_does_no_harm(others, monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr(_ahead.sys, "path", ["", *_ahead.sys.path])
    compile_in_two()
    assert others == []


def test_odd_entries_of_the_path_do_no_harm(others, monkeypatch, tmp_path):
    """Import ignores what is no string; the working folder is one of this process."""
    (tmp_path / "only_here.py").write_text("there = 1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_ahead.sys, "path", ["", tmp_path / "no", *_ahead.sys.path])
    monkeypatch.setattr(_ahead, "_REST", "import only_here")
    compile_in_two()
    assert [other.returncode for other in others] == [0]


def test_the_other_one_starts_none(others, monkeypatch):
    """Where `sys.executable` is an application, it is that which is started, and starts with this very call."""
    monkeypatch.setattr(_ahead, "_REST", f"import os; raise SystemExit(os.environ[{_ahead._MARK!r}] != '1')")
    compile_in_two()
    assert [other.returncode for other in others] == [0]
    monkeypatch.undo()
    monkeypatch.setattr(_ahead.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setenv(_ahead._MARK, "1")
    assert not _ahead._has_room()
