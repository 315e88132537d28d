"""The one decorator for kernels, and the one place where compiled code is kept.

A stale kernel makes a digest a lie. numba's disk cache looks only at the file of the function it caches, so an
edit of a helper elsewhere would go unnoticed (numba issue 1833). We therefore give every state of the package its own
cache directory, named by a hash of all its source, of the versions of numba, llvmlite, numpy and Python, of the CPU and
of the compile flags: where the package stands, and when it was put there, is none of it. A cache file that is damaged is deleted
and compiled anew.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from types import FunctionType
from typing import Any, Final, TypeVar

import llvmlite.binding as llvm
import numba
from numba import types
from numba.core import config as numba_config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator
from numba.core.registry import CPUDispatcher

from grinder._compiler import BranchCompiler, KernelCompiler

__all__ = ["JIT", "branching_kernel", "cache_directory", "cache_root", "is_sealed", "kernel", "source_hash"]

F = TypeVar("F", bound=Callable[..., Any])

JIT: bool = not numba_config.DISABLE_JIT
"""False under NUMBA_DISABLE_JIT=1: the same source then runs as plain Python."""

_SETTINGS: Final = (
    *("OPT", "CPU_NAME", "CPU_FEATURES", "BOUNDSCHECK", "DEBUGINFO_DEFAULT"),
    *("ENABLE_AVX", "LOOP_VECTORIZE", "SLP_VECTORIZE"),
)
"""What decides which machine code is made, by its names in numba's config."""


def _hash_of(root: Path) -> str:
    h = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda p: p.relative_to(root).as_posix()):
        body = path.read_bytes()
        h.update(f"{path.relative_to(root).as_posix()}\0{len(body)}\0".encode())
        h.update(body)
    return h.hexdigest()


@cache
def source_hash(root: Path | None = None) -> str:
    """SHA-256 over every .py file below `root`, names included, in name order; default: this package, as it was when imported."""
    return _hash_of(root or _PACKAGE)


_PACKAGE: Final = Path(__file__).parent
source_hash()  # before anybody edits what is imported from here on


def _environment_key() -> str:
    parts = [source_hash(), version("numba"), version("llvmlite"), version("numpy"), sys.version, platform.machine()]
    parts += [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    for name in _SETTINGS:  # numba reads variables again when it compiles; its config has what a file of its own says, too
        variable = f"NUMBA_{name.removesuffix('_DEFAULT')}"
        parts.append(f"{name}={os.environ.get(variable, '')} {getattr(numba_config, name, '')}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _private(directory: Path) -> Path:
    """`directory`, made for this user alone: whoever can write compiled code can run it as us."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = directory.stat()
    if hasattr(os, "getuid") and (state.st_uid != os.getuid() or state.st_mode & 0o022):
        raise PermissionError(f"{directory} can be written by others")
    tempfile.TemporaryFile(dir=directory).close()  # numba would turn from one it cannot write to one that no key guards
    return directory


def cache_root() -> Path:
    """Where the directories of all states of the package stand: GRINDER_CACHE_DIR, or below the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return Path(os.environ.get("GRINDER_CACHE_DIR") or os.path.join(base, "grinder")).expanduser()


@cache
def cache_directory() -> Path:
    """The directory of this package state's compiled kernels.

    Below GRINDER_CACHE_DIR if that is set, else below the user's cache directory. Without one that is private and can be
    written, kernels are compiled for this process only.
    """
    try:
        return _private(_private(cache_root()) / f"kernels-{_environment_key()}")
    except (OSError, RuntimeError):
        directory = Path(tempfile.mkdtemp(prefix="grinder-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        return directory


def is_sealed(file: bytes) -> bool:
    """Whether a cache file is what was written: its first 32 bytes are the SHA-256 of the others."""
    return hashlib.sha256(file[32:]).digest() == file[:32]


class _SealedCacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """numba's cache files with a SHA-256 before what they hold: a damaged file is a miss, never a crash or wrong code."""

    def _load_index(self) -> Any:
        try:
            stamp, overloads = self._unseal(self._index_path)
        except OSError:
            return {}
        return overloads if stamp == self._source_stamp else {}

    def _save_index(self, overloads: Any) -> None:
        self._seal(self._index_path, (self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        return self._unseal(self._data_path(name))

    def _save_data(self, name: str, data: Any) -> None:
        self._seal(self._data_path(name), data)

    def _seal(self, path: str, value: Any) -> None:
        body = self._dump(value)
        with self._open_for_write(path) as file:
            file.write(hashlib.sha256(body).digest() + body)

    def _unseal(self, path: str) -> Any:
        sealed = Path(path).read_bytes()
        if not is_sealed(sealed):
            Path(path).unlink(missing_ok=True)
            raise OSError(f"{path} is damaged")  # which numba counts as a miss
        return pickle.loads(sealed[32:])


class _Place(_CacheLocator):  # type: ignore[misc]
    """A folder a module below the directory whose name tells the source: whichever copy of the package it is, of whatever date."""

    def __init__(self, function: FunctionType) -> None:
        self._module, self._py_file = function.__module__, function.__code__.co_filename
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(cache_directory() / self._module)

    def get_source_stamp(self) -> str:
        return source_hash()

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Kept(CompileResultCacheImpl):  # type: ignore[misc]
    """What is kept of a kernel; no setting of numba's has a say in where."""

    def __init__(self, function: FunctionType) -> None:
        self._locator, self._lineno = _Place(function), function.__code__.co_firstlineno
        self._filename_base = self.get_filename_base(function.__qualname__, getattr(sys, "abiflags", ""))


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache, there and sealed."""

    _impl_class = _Kept

    def __init__(self, function: FunctionType) -> None:
        super().__init__(function)
        self._cache_file.__class__ = _SealedCacheFile

    def load_overload(self, signature: Any, context: Any) -> Any:
        """What is kept, as it is: machine code, of which nothing is to be worked out.

        numba would first import, and enter into its registries, all that it can compile, which takes as long as its own import.
        Where something is compiled after all, it does that then.
        """
        with self._guard_against_spurious_io_errors():
            return self._load_overload(signature, context)

    def save_overload(self, signature: Any, made: Any) -> None:
        """Keep it, unless the source was edited since it was imported: then who knows of which this was made."""
        with suppress(OSError):  # what cannot be kept is compiled again; a package may be replaced while it runs
            if _hash_of(_PACKAGE) == source_hash():
                super().save_overload(signature, made)


def _widened(kind: types.Type) -> types.Type:
    """int64 for every integer: literals and small integers would otherwise each compile a kernel anew."""
    plain = types.unliteral(kind)
    return types.int64 if isinstance(plain, types.Integer | types.Boolean) else plain


_MAKING: Final = RLock()
"""Held where a twin is made."""


class _Kernel(CPUDispatcher):  # type: ignore[misc]
    """A dispatcher that other kernels call with int64 alone, so that each is compiled once, and Python through a twin.

    What unpacks Python's arguments takes a third of the time of a compilation, and most kernels are called by kernels only.
    """

    def add_overload(self, cres: Any) -> None:
        self.overloads[tuple(cres.signature.args)] = cres  # and nothing that Python could call

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return super().get_call_template([_widened(a) for a in args], {k: _widened(a) for k, a in kws.items()})

    _twin: Any = None

    def __call__(self, *args: Any, **kws: Any) -> Any:
        return (self._twin or self.from_python)(*args, **kws)

    @property
    def from_python(self) -> Any:
        """The same function, compiled to be called from Python; made once, whichever thread asks first."""
        with _MAKING:
            if self._twin is None:
                self._twin = self._made_twin()
            return self._twin

    def _made_twin(self) -> Any:
        plain = self.py_func
        twin = FunctionType(plain.__code__, plain.__globals__, plain.__name__, plain.__defaults__, plain.__closure__)
        twin.__qualname__ = f"{plain.__qualname__}.from_python"  # its own file in the cache
        return _compiled(twin, self._compiler_of_twin, for_python=True)


def _compiled(function: Callable[..., Any], compiler: type[KernelCompiler] = KernelCompiler, *, for_python: bool) -> Any:
    options = {"no_cfunc_wrapper": True, "no_cpython_wrapper": not for_python, "_nrt": False, "pipeline_class": compiler}
    compiled = numba.njit(nogil=True, error_model="python", **options)(function)
    if for_python and function.__module__.partition(".")[0] == __name__.partition(".")[0]:  # of others no key tells the source
        compiled._cache = _Cache(compiled.py_func)
    return compiled


def kernel(function: F) -> F:
    """Compile `function` at its first call with the one set of options that is bit-identical everywhere.

    No fastmath, no parallel, no explicit signatures (they would compile at import). The GIL is free while it runs.
    Kernels allocate nothing, so they are compiled without numba's runtime: counting references to the arrays that they pass
    on costs more than what they do with them. One that allocates fails to compile.
    """
    return _kernel(function, KernelCompiler)


def branching_kernel(function: F) -> F:
    """A kernel that decides more than it goes through, which Python calls: optimised less, it is compiled sooner (ADR-0050).

    It has the same results, and those that were measured are as fast. One that goes through arrays is not.
    """
    return _kernel(function, BranchCompiler)


def _kernel(function: F, compiler: type[KernelCompiler]) -> F:
    if not JIT:
        return function
    compiled = _compiled(function, for_python=False)
    compiled.__class__ = _Kernel
    compiled._compiler_of_twin = compiler
    result: F = compiled
    return result
