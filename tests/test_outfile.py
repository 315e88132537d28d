"""A file that is written whole or not at all: after an error, after a kill, among others that write it too."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from grinder import outfile
from grinder.outfile import write_whole

SOURCE = Path(__file__).parents[1] / "src" / "grinder"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("body", [b"", b"new\n\r\x00", bytes(range(256)) * 5000])
def test_bytes_and_what_writes_them(tmp_path, body):
    assert write_whole(tmp_path / "a", body) == tmp_path / "a"
    write_whole(tmp_path / "b", lambda file: file.write(body))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == body
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("kind", [ValueError, MemoryError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_what_was_there(tmp_path, before, kind):
    target = tmp_path / "a"
    if before:
        target.write_bytes(before)

    def half(file):
        file.write(b"half")
        file.flush()
        assert len(names(tmp_path)) == 1 + bool(before), "beside its place"
        raise kind

    with pytest.raises(kind):
        write_whole(target, half)
    assert names(tmp_path) == (["a"] if before else [])
    assert before is None or target.read_bytes() == before


def test_a_disk_that_is_full_and_a_place_that_cannot_be_taken(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"new")
    with pytest.raises(OSError, match="gone"):
        write_whole(tmp_path / "gone" / "a", b"new")
    with pytest.raises(OSError, match=r"."):
        write_whole(Path(), b"new")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a", "folder"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of this kind")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_permissions_are_those_of_every_new_file(tmp_path, mask):
    code = (
        "import os, sys; from pathlib import Path; from grinder.outfile import write_whole; os.umask(int(sys.argv[2]));"
        "write_whole(Path(sys.argv[1]), b''); print(os.umask(0))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a", str(mask)], capture_output=True, text=True, check=True
    ).stdout
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask
    assert int(told) == mask, "which another thread may need meanwhile"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_replaced_and_not_written_through(tmp_path, there):
    if there:
        (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / "a").symlink_to(tmp_path / "kept")
    write_whole(tmp_path / "a", b"new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a", "kept"][: 1 + there]
    assert not there or (tmp_path / "kept").read_bytes() == b"kept"


def test_what_was_open_stays_what_it_was(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with (tmp_path / "a").open("rb") as reader:
        write_whole(tmp_path / "a", b"new")
        assert reader.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_readers_and_writers_beside_each_other(tmp_path):
    """Who reads gets one of the whole files, whoever writes meanwhile."""
    bodies = [bytes([number]) * 200_000 for number in range(4)]
    write_whole(tmp_path / "a", bodies[0])
    stop, torn = threading.Event(), []

    def read():
        while not stop.is_set():
            found = (tmp_path / "a").read_bytes()
            if found not in bodies:
                torn.append(len(found))

    def write(body: bytes):
        for _ in range(50):
            write_whole(tmp_path / "a", body)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(body,)) for body in bodies]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert torn == []
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.parametrize("moment", ["begun", "written", "closed"])
def test_killed_between(tmp_path, moment):
    """The old file is there whole, and a later writer minds nothing that was left behind."""
    (tmp_path / "a").write_bytes(b"old")
    code = f"""
import os, signal, sys
from pathlib import Path
from grinder.outfile import write_whole

def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def body(file):
    if {moment!r} == "begun":
        end()
    file.write(b"new" * 10**6)
    if {moment!r} == "written":
        end()

os.replace = end
write_whole(Path(sys.argv[1]), body)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_ordinary_file_stays(tmp_path, what):
    """As a device would be, which root can replace."""
    there = tmp_path / "a"
    there.mkdir() if what == "folder" else os.mkfifo(there)
    before = there.stat().st_ino
    with pytest.raises(OSError, match="no ordinary file: give another name"):
        write_whole(there, b"new")
    assert there.stat().st_ino == before
    assert names(tmp_path) == ["a"]


def test_a_process_of_the_same_number_left_its_own_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(outfile, "_NUMBERS", count(7))
    left = tmp_path / f".a-{os.getpid()}-7"
    left.write_bytes(b"left")
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert left.read_bytes() == b"left", "which may be another machine's that is at work"


def test_nobody_else_in_the_package_does_it_by_hand():
    """Folders are put in their place at once by who makes them; files by this module alone."""
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.replace", "os.rename", "tempfile.mkstemp"}
    }
    assert users == {"outfile.py", "study.py", "data/fixture.py", "data/daily.py"}
