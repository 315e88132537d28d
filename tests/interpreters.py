"""The interpreters that the longer lane of the matrix asks for: with the oldest and the newest packages, an old x86, an aarch64.

Each is made below a folder outside the repository and used again the next time; what a machine lacks for one is a `Missing` that
says what and the cure. The two machines are qemu's user emulation: all of the process, its compiler and what that compiles run on
the emulated CPU. Nothing here starts a replay.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
MARK = "made-by-the-matrix"
SUITE = "bookworm"
"""The Debian whose Python and C library the emulated aarch64 has."""
CPU = "Nehalem"
"""x86-64-v2 without AVX: the oldest that the locked numpy starts on."""
HOURS: Final = 6
"""After which an emulated process is ended."""
ABOUT = (
    "import sys, json, platform\nfrom importlib.metadata import version\nimport llvmlite.binding as llvm\n"
    "have = ['.'.join(map(str, sys.version_info[:3])), *map(version, ('numba', 'numpy', 'polars'))]\n"
    "print(json.dumps([*have, platform.machine(), llvm.get_host_cpu_name()]))"
)


class Missing(Exception):
    """What this machine lacks for an interpreter, and the cure."""


@dataclass(frozen=True)
class Interpreter:
    """How a Python is started, and what it needs."""

    words: tuple[str, ...]
    """the command up to the interpreter"""
    name: str = ""
    """what a row says before the versions"""
    packages: tuple[Path, ...] = ()
    """folders that hold what it imports, when it has no packages of its own"""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    seconds: int = 3600
    """after which a process of the matrix is ended"""
    machine: tuple[str, str] | None = None
    """the machine and CPU that an emulated one must find itself on"""

    def variables(self, *before: Path) -> dict[str, str]:
        """What it adds to the environment: it imports from `before`, then from its packages."""
        return {**self.environment, "PYTHONPATH": os.pathsep.join(map(str, (*before, *self.packages)))}


HERE = Interpreter((sys.executable,))


def _tell(words: Sequence[str | Path], cure: str = "") -> str:
    """What a command prints; `Missing` where it is not there or fails."""
    try:
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    except OSError as fault:
        raise Missing(f"{Path(words[0]).name}: {fault.strerror}{cure}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        errors = [line for line in said if re.match(r"(ERROR|E):", line)]
        raise Missing(f"{Path(words[0]).name}: {(errors or said[-1:])[0]}{cure}")
    return done.stdout


def _made(folder: Path, stamp: str, make: Callable[[Path], object]) -> Path:
    """`folder` with what `make` puts into it, made once for a stamp; one that was half made is made anew."""
    mark = folder / "made"
    if not mark.is_file() or mark.read_text() != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"making {folder.name}", file=sys.stderr, flush=True)
        make(folder)
        mark.write_text(stamp)
    return folder


def workshop(folder: Path) -> Path:
    """`folder` as the one to make things in. ValueError where it is in the repository, or holds what was not made here."""
    folder = folder.resolve()
    if folder.is_relative_to(ROOT):
        raise ValueError(f"{folder}: a folder outside the repository")
    if not (folder / MARK).is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder}: a new or empty folder, or one that this lane made; what is in it would be replaced")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    return folder


def _pip(python: str | Path, *words: str | Path) -> None:
    fixed = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:")
    _tell([python, *fixed, *words], " (packages are installed by pip from the index that it is set up for)")


# Oldest and newest packages


def version_of(python: str) -> tuple[int, int]:
    """An interpreter's 3.x."""
    major, minor = _tell([python, "-c", "import sys; print(*sys.version_info[:2])"]).split()
    return int(major), int(minor)


def requirements(project: Path = ROOT / "pyproject.toml") -> list[str]:
    """What pyproject.toml says grinder needs: each a name and a lower bound."""
    return list(tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"])


def lowest(wanted: Sequence[str]) -> list[str]:
    """The same at their lower bounds exactly. ValueError for anything but `name>=version`."""
    odd = [line for line in wanted if not re.fullmatch(r"[\w-]+>=[\d.]+", line)]
    if odd:
        raise ValueError(f"{odd[0]}: no plain lower bound, so what the oldest is cannot be told")
    return [line.replace(">=", "==") for line in wanted]


def _virtual(folder: Path, python: str, *words: str) -> Path:
    _tell([python, "-m", "venv", folder], " (a Python that can make virtual environments)")
    _pip(folder / "bin" / "python", *words)
    return folder


def oldest(made: Path, pythons: Sequence[str]) -> Interpreter:
    """The oldest of `pythons` with every package at its lower bound."""
    python = min(pythons, key=version_of)
    pins = lowest(requirements())
    folder = _made(made / "oldest", " ".join([python, *pins]), lambda empty: _virtual(empty, python, *pins))
    return Interpreter((str(folder / "bin" / "python"),), "oldest packages:")


def newest(made: Path, pythons: Sequence[str]) -> Interpreter:
    """The newest of `pythons` with the newest packages that the index has for it and that go together."""
    python = max(pythons, key=version_of)
    wanted = requirements()
    folder = _made(made / "newest", " ".join([python, *wanted]), lambda empty: _virtual(empty, python, *wanted))
    _pip(folder / "bin" / "python", "--upgrade", "--upgrade-strategy=eager", *wanted)
    return Interpreter((str(folder / "bin" / "python"),), "newest packages:")


# Other machines


def emulator(machine: str) -> tuple[str, str]:
    """Path and version of qemu's user emulation of a machine."""
    found = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
    if found is None:
        raise Missing(f"no qemu-{machine}-static: apt-get install qemu-user-static")
    version = re.search(r"version (\S+)", _tell([found, "--version"]))
    return found, version[1] if version else "of no known version"


def platforms(machine: str) -> list[str]:
    """pip's options for the wheels that a machine with glibc 2.28 or newer can use."""
    tags = ["manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 29))]
    return [f"--platform={tag}_{machine}" for tag in tags]


def locked(folder: Path, machine: str, version: str, *more: str) -> Path:
    """A folder with the locked packages for another machine, made once for a lock; `more` are further ones, at their pins."""

    def make(empty: Path) -> None:
        options = ["--target", str(empty), "--no-deps", "--implementation=cp", f"--python-version={version}", *platforms(machine)]
        _pip(sys.executable, *options, "--require-hashes", "-r", LOCK)
        if more:
            _pip(sys.executable, *options, *more)

    return _made(folder, " ".join([machine, version, sha256(LOCK.read_bytes()).hexdigest(), *more]), make)


def pin(name: str) -> str:
    """The version of a package in the lock."""
    (found,) = re.findall(rf"^{re.escape(name)}==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)
    return str(found)


def old_x86(made: Path, _: Sequence[str]) -> Interpreter:
    """This Python on an x86 without AVX, with the locked packages and polars' compatibility runtime."""
    qemu, version = emulator("x86_64")
    here = "{}.{}".format(*sys.version_info[:2])
    site = locked(made / "old_x86", "x86_64", here, f"polars-runtime-compat=={pin('polars')}")
    # The numpy wheel's OpenBLAS takes this CPU under qemu for a Haswell and dies of it; no replay calls it.
    environment = {"OPENBLAS_CORETYPE": CPU}
    words = (qemu, "-cpu", CPU, str(Path(sys.executable).resolve()))
    name = f"under qemu {version} with polars' compatibility runtime:"
    return Interpreter(words, name, (site,), environment, HOURS * 3600, ("x86_64", CPU.lower()))


def aarch64(made: Path, _: Sequence[str]) -> Interpreter:
    """Debian's Python on an aarch64, with the locked packages."""
    qemu, version = emulator("aarch64")
    if not shutil.which("mmdebstrap"):
        raise Missing("no mmdebstrap: apt-get install mmdebstrap")
    make = ["mmdebstrap", "--variant=extract", "--architectures=arm64", "--include=python3,libstdc++6,tzdata", SUITE]
    cure = " (it takes Debian's packages from the mirror that it is set up for; without root it needs user namespaces)"
    root = _made(made / "debian_arm64", SUITE, lambda empty: _tell([*make, empty / "root"], cure)) / "root"
    (python,) = root.glob("usr/bin/python3.[0-9]*[0-9]")
    site = locked(made / "aarch64", "aarch64", python.name.removeprefix("python"))
    environment = {"PYTHONHOME": str(root / "usr")}
    words = [qemu, "-L", str(root), str(python)]
    return Interpreter(tuple(words), f"under qemu {version}:", (site,), environment, HOURS * 3600, ("aarch64", "generic"))


KINDS: Mapping[str, Callable[[Path, Sequence[str]], Interpreter]] = MappingProxyType(
    {"oldest": oldest, "newest": newest, "old_x86": old_x86, "aarch64": aarch64}
)


def about(interpreter: Interpreter) -> str:
    """What its row is called: where it is another machine that machine, and the versions; found out by starting it."""
    command = [*interpreter.words, "-c", ABOUT]
    try:
        done = subprocess.run(command, env=os.environ | interpreter.variables(), capture_output=True, text=True, check=False)
    except OSError as fault:
        raise Missing(f"{command[0]}: {fault.strerror}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Missing(f"no interpreter with numba, numpy and polars: {said[-1]}")
    *have, machine, cpu = json.loads(done.stdout)
    if interpreter.machine not in (None, (machine, cpu)):
        raise Missing(f"it is to be {' '.join(interpreter.machine or ())} and is {machine} {cpu}")
    where = f"{machine} {cpu} " if interpreter.machine else ""
    return f"{where}{interpreter.name} " * bool(interpreter.name) + "python {}, numba {}, numpy {}, polars {}".format(*have)
