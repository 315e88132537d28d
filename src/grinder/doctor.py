"""What is wrong with an installation, its compile cache or its fixtures, and the cure: `grinder doctor`.

Each check looks at one thing and finds that it is well, worth a note, or wrong. A check that itself fails is a finding too: on a
broken installation the others still say what they can. Nothing is changed, but for kernels that the replay compiles into the cache.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import grinder
from grinder.errors import ConfigError, DataError, DigestMismatch, GrinderError, cause

__all__ = ["CHECKS", "Diagnosis", "Finding", "examine"]

OK, NOTE, WRONG = "ok", "note", "wrong"
NEWEST_PYTHON: Final = (3, 13)
"""The newest that the tests run under; the oldest is what the package asks for."""
LITTLE_MEMORY: Final = 1 << 30
LITTLE_DISK: Final = 1 << 29


class Finding(NamedTuple):
    """What one check found."""

    check: str
    """its name"""
    level: str
    """"ok", "note" or "wrong\""""
    text: str
    """what is so"""
    cure: str = ""
    """what to do; empty where nothing need be done"""
    exit_code: int = 0
    """of something wrong, what the command line ends with"""

    def to_dict(self) -> dict[str, str]:
        """For `--json`."""
        return {"check": self.check, "level": self.level, "text": self.text, "cure": self.cure}


class Diagnosis(NamedTuple):
    """Every finding, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong, else that of the first finding that is."""
        return next((found.exit_code for found in self.findings if found.level == WRONG), 0)

    def __str__(self) -> str:
        lines = []
        for found in self.findings:
            lines.append(f"{found.level:6}{found.check:12}{found.text}")
            lines += [f"{'':18}cure: {found.cure}"] if found.cure else []
        counts = {level: sum(found.level == level for found in self.findings) for level in (WRONG, NOTE)}
        told = [f"{count} {level if level == WRONG else 'to note'}" for level, count in counts.items() if count]
        return "\n".join([*lines, ", ".join(told) or "all is well"])

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "well": self.exit_code == 0,
            "version": grinder.__version__,
            "findings": [found.to_dict() for found in self.findings],
        }


def examine(only: Sequence[str] | None = None) -> Diagnosis:
    """Run the checks, all or those named, each by itself.

    >>> examine(["python"]).findings[0].check
    'python'
    """
    found: list[Finding] = []
    for name, check in CHECKS.items():
        if only is None or name in only:
            try:
                found += [Finding(name, *rest) for rest in check()]
            except Exception as error:  # whatever is broken is what was asked for
                code = error.exit_code if isinstance(error, GrinderError) else ConfigError.exit_code
                found.append(Finding(name, WRONG, cause(error), "mend this first: the check itself could not go on", code))
    return Diagnosis(tuple(found))


Found = Iterator[tuple[Any, ...]]


# The installation


def _python() -> Found:
    version = sys.version_info[:2]
    text = f"Python {platform.python_version()}, {platform.machine()}, {sys.executable}"
    if version > NEWEST_PYTHON:
        yield NOTE, f"{text}: newer than any that is tested", f"should something fail, use Python {_dotted(NEWEST_PYTHON)}"
    else:
        yield OK, text


def _packages() -> Found:
    wanted = _requirements()
    if not wanted:
        yield NOTE, "grinder is not installed as a package, so that what it needs is not known", "pip install . in the checkout"
        return
    lacking = False
    for name, least in wanted.items():
        have = _version(name)
        if have is None or _numbers(have) < _numbers(least):
            lacking = True
            text = f"{name} is not installed" if have is None else f"{name} is {have}, and {least} is the oldest that will do"
            yield WRONG, text, f"pip install '{name}>={least}'", ConfigError.exit_code
    if not lacking:
        yield OK, ", ".join(f"{name} {_version(name)}" for name in wanted)
    unlike = [f"{name} {_version(name)} ({locked})" for name, locked in _locked().items() if _version(name) not in (None, locked)]
    if unlike:
        yield (
            NOTE,
            f"unlike requirements.lock: {', '.join(unlike)}",
            "none needed: digests are the same; pip install -r for the same versions",
        )


def _requirements() -> dict[str, str]:
    """What the package needs without an extra: name -> lower bound."""
    with suppress(metadata.PackageNotFoundError):
        lines = [line for line in metadata.requires("grinder") or () if "extra" not in line]
        return dict(re.findall(r"^([\w.-]+)\s*>=\s*([\w.]+)", "\n".join(lines), re.MULTILINE))
    return {}


def _locked() -> dict[str, str]:
    """Versions in the checkout's lock; nothing where there is no checkout."""
    file = Path(grinder.__file__).parents[2] / "requirements.lock"
    text = file.read_text("utf-8") if file.is_file() and (file.parent / "pyproject.toml").is_file() else ""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", text, re.MULTILINE))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, to be compared; what follows, as `rc1`, does not count."""
    begins = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, begins[0].split("."))) if begins else ()


def _grinders() -> Found:
    """Which grinder runs, and whether there are others that could."""
    here = Path(grinder.__file__).resolve().parent
    others = {found for entry in sys.path if (found := _package_in(entry)) is not None} - {here}
    if others:
        text = f"{here} runs, and not {', '.join(map(str, sorted(others)))}"
        yield NOTE, text, "remove what you do not mean: see PYTHONPATH, the working folder and pip uninstall grinder"
    installed = _version("grinder")
    if installed not in (None, grinder.__version__):
        text = f"the code is version {grinder.__version__}, what is installed says {installed}"
        yield WRONG, text, "pip install it again from the checkout that runs", ConfigError.exit_code
    elif not others:
        yield OK, f"grinder {grinder.__version__} in {here}"


def _package_in(entry: str) -> Path | None:
    folder = (Path(entry or ".") / "grinder").resolve()
    return folder if (folder / "__init__.py").is_file() else None


VARIABLES: Final[Mapping[str, str]] = {
    "NUMBA_DISABLE_JIT": "kernels run as plain Python: the same digests, hundreds of times slower",
    "NUMBA_OPT": "another optimisation level: the same digests, its own compiled code",
    "NUMBA_CPU_NAME": "code for another CPU: the same digests, its own compiled code",
    "NUMBA_CPU_FEATURES": "code for other CPU features: the same digests, its own compiled code",
    "NUMBA_BOUNDSCHECK": "bounds are checked: the same digests, slower, its own compiled code",
    "NUMBA_DEBUGINFO": "code with debug information: slower, its own compiled code",
    "GRINDER_CACHE_DIR": "where compiled code is kept",
    "PYTHONOPTIMIZE": "assertions are off, those of grinder too",
}
"""Variables of the environment that change how grinder runs, and in what."""


def _environment() -> Found:
    ones = {name: value for name, value in sorted(os.environ.items()) if value and (name in VARIABLES or name.startswith("NUMBA_"))}
    for name, value in ones.items():
        if name == "NUMBA_DISABLE_JIT" and value == "0":
            continue
        cure = "" if name == "GRINDER_CACHE_DIR" else f"unset {name}"
        yield NOTE, f"{name}={value}: {VARIABLES.get(name, 'a setting of numba, which may slow kernels down')}", cure
    if not ones:
        yield OK, "nothing is set that changes how grinder runs"


# The machine


def _machine() -> Found:
    import llvmlite.binding as llvm

    from grinder.hashing import has_instructions

    sha = "SHA instructions are used" if has_instructions() else "no SHA instructions: hashing is slower, and the same"
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield OK, f"{llvm.get_host_cpu_name()}, {threads} threads; {sha}"
    memory = _memory_available()
    if memory is not None:
        text = f"{memory >> 20:,} MB of memory available"
        little = memory < LITTLE_MEMORY
        yield (NOTE, text, "use few workers in sweeps, and fixtures in daily files") if little else (OK, text)


def _memory_available() -> int | None:
    """Bytes that can be had, or None where the system does not say."""
    with suppress(OSError, ValueError, TypeError):
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("utf-8"), re.MULTILINE)
        return int(found[1]) << 10 if found else None
    return None


# The cache


def _cache() -> Found:
    """The folder of compiled kernels: whether it is used at all, whose it is, what is in it."""
    from grinder._jit import cache_directory, cache_root

    root, used = cache_root(), cache_directory()
    if not used.is_relative_to(root):
        cure = f"make {root} a folder that you alone can write (chmod 700), or set GRINDER_CACHE_DIR to one"
        yield WRONG, f"{_refusal(root)}: every process compiles anew, for half a minute", cure, ConfigError.exit_code
        return
    kernels = [path for path in used.rglob("*") if path.suffix in (".nbi", ".nbc")]
    begun = sum(path.suffix == ".nbi" for path in kernels)
    yield OK, f"{used}: {begun} kernels, {_size(kernels)}" + ("" if begun else "; `grinder warmup` compiles them ahead")
    yield from _damaged(kernels)
    others = sorted(path for path in root.glob("kernels-*") if path.is_dir() and path != used)
    if others:
        size = _size(path for folder in others for path in folder.rglob("*"))
        text = f"{len(others)} more of other versions, sources or CPUs, {size}"
        yield NOTE, text, f"delete what no checkout of yours uses: rm -r {root}/kernels-*; the next run compiles its own again"
    free = _free(root)
    if free is not None and free < LITTLE_DISK:
        yield NOTE, f"{free >> 20} MB free on the disk of the cache", "make room"


def _refusal(root: Path) -> str:
    """Why the cache's folder is not used."""
    if not root.exists():
        return f"{root} cannot be made"
    if not root.is_dir():
        return f"{root} is no folder"
    state = root.stat()
    if hasattr(os, "getuid") and state.st_uid != os.getuid():
        return f"{root} belongs to another user"
    if state.st_mode & 0o022:
        return f"{root} can be written by others (mode {state.st_mode & 0o777:o}), who could put code there"
    return f"{root} cannot be written, or what is in it"


def _damaged(kernels: Sequence[Path]) -> Found:
    from grinder._jit import is_sealed

    bad = [path.name for path in kernels if not is_sealed(path.read_bytes())]
    if bad:
        yield (
            NOTE,
            f"{len(bad)} damaged files in the cache, such as {bad[0]}",
            "none needed: they are deleted and compiled anew when used",
        )


def _size(files: Any) -> str:
    total = sum(path.stat().st_size for path in files if path.is_file())
    return f"{total / 1e6:.1f} MB"


def _free(root: Path) -> int | None:
    with suppress(OSError, AttributeError):
        state = os.statvfs(root)
        return state.f_bavail * state.f_frsize
    return None


# The fixtures, and a replay


def _fixtures() -> Found:
    """Those that come with grinder: every file is there with its rows and its hash, and there is a golden to hold replays to."""
    from grinder.data.fixture import Fixture
    from grinder.golden import read_golden

    folders, wrong = _shipped(), False
    for folder in folders:
        try:
            read_golden(Fixture.open(folder))
        except GrinderError as error:
            wrong = True
            yield WRONG, str(error), "restore the file: git checkout in a checkout, else install grinder again", error.exit_code
    if not folders:
        yield WRONG, "none came with grinder", "install grinder again, or run in a checkout", DataError.exit_code
    elif not wrong:
        yield OK, f"{len(folders)} came with grinder, every file is as its manifest says"


def _shipped() -> list[Path]:
    from grinder.data.fixture import fixture_roots, fixtures_below

    return next(filter(None, map(fixtures_below, fixture_roots()[1:])), [])


def _replay() -> Found:
    """The golden of the smallest fixture: an end to end proof that what is installed computes what it should."""
    from grinder._jit import JIT, cache_directory
    from grinder.golden import verify

    folders = sorted(_shipped(), key=lambda folder: sum(path.stat().st_size for path in folder.iterdir()))
    if not folders:
        yield NOTE, "no fixture to replay", ""
        return
    before, start = len(list(cache_directory().rglob("*.nbi"))), perf_counter()
    verdict = verify(str(folders[0]))
    seconds, compiled = perf_counter() - start, len(list(cache_directory().rglob("*.nbi"))) - before
    if not verdict.passed:
        cure = f"grinder verify {folders[0].name}; grinder diff {folders[0].name} says where; edited source is the usual cause"
        yield WRONG, str(verdict), cure, DigestMismatch.exit_code
        return
    how = "without the JIT" if not JIT else f"{compiled} kernels compiled" if compiled else "kernels from the cache"
    yield OK, f"{folders[0].name} has its golden digest, in {seconds:.1f} s, {how}"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


CHECKS: Final[Mapping[str, Callable[[], Found]]] = {
    "python": _python,
    "packages": _packages,
    "grinder": _grinders,
    "environment": _environment,
    "machine": _machine,
    "cache": _cache,
    "fixtures": _fixtures,
    "replay": _replay,
}
"""The checks in their order, by name."""
