"""The first replay of all: its two large kernels are compiled at once, in two processes.

numba compiles one kernel at a time, whatever the threads of a process. Where the cache has nothing yet, this process reads the
fixture and compiles `act` with what shares its callees, another one meanwhile the rest, into the cache, from where it is read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock
from typing import Any, Final

import numpy as np

from grinder import _jit
from grinder.config import PARAMS
from grinder.digest import chain
from grinder.engine import _open, act
from grinder.index import empty_index, empty_quiet, make_both, make_index
from grinder.market import observe
from grinder.records import (
    COMMAND,
    EDGE,
    FEATURES,
    FUNDING,
    INSTRUMENT,
    SIZES,
    WORLD_DTYPES,
    Events,
    World,
    stage_dtype,
    world_shapes,
)
from grinder.tape import empty_tape

__all__ = ["compile_rest", "compiled_in_two"]

_REST: Final = "from grinder._ahead import compile_rest; compile_rest()"
_PATIENCE_S: Final = 300
_MARK: Final = "GRINDER_COMPILES_REST"
"""Set for the other process: where `sys.executable` is an application that starts itself, it would start yet another."""
_ONE: Final = Lock()
_settled: Final = Event()
"""Set once there is nothing to be compiled in two any more."""


@contextmanager
def compiled_in_two() -> Iterator[None]:
    """Compile `act` and `_open` here, the rest elsewhere, where nothing is compiled and there is a CPU for it. Once a process.

    The other process begins at once, this one when it is done with what stands under the `with`; if that fails, both end. What
    fails there is compiled here, where it is needed.
    """
    with _ONE:
        other = None if _settled.is_set() or not _is_cold() or not _has_room() else _compiling_rest()
        if other is not None:
            with other:
                try:
                    yield
                    _compile_act()
                    with suppress(subprocess.TimeoutExpired):
                        other.wait(_PATIENCE_S)
                finally:
                    other.kill()  # where it has not ended
        _settled.set()
    if other is None:
        yield


def _is_cold() -> bool:
    """Whether the cache has no `act`; one that is for this process alone is none that another could fill."""
    directory = _jit.cache_directory()
    kept = directory.glob(f"{act.__module__}/{act.__qualname__}.*.nbi")
    return _jit.JIT and directory.name.startswith("kernels-") and not any(kept)


def _has_room() -> bool:
    """Whether another process would run beside this one: workers have others beside them."""
    import multiprocessing  # which a warm start does without

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cpus > 1 and bool(sys.executable) and multiprocessing.parent_process() is None and _MARK not in os.environ


def _compiling_rest() -> subprocess.Popen[bytes] | None:
    """Another process, with the modules of this one; None where none can be started."""
    words, nowhere = [sys.executable, "-P", "-c", _REST], subprocess.DEVNULL
    try:  # a working folder that is gone has no name
        paths = [path or str(Path.cwd()) for path in sys.path if isinstance(path, str)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), _MARK: "1"}
        return subprocess.Popen(words, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere)
    except (OSError, ValueError):
        return None


def _compile_act() -> None:
    """Call `act` with no event to act on, and open the world that it would act in."""
    world, params, instruments, edges, closes = _nothing()
    act(world, _no_events(), empty_index(1, 0), 0, 0, 0, params, instruments, edges, closes, 0, 0, empty_tape(1), 0)
    _open(world, params, instruments, 0)


def compile_rest() -> None:
    """Call what else a first replay enters with no event: what the other process does, the longest first."""
    world, params, instruments, edges, closes = _nothing()
    events, index, quiet = _no_events(), empty_index(1, 0), empty_quiet(1, 0)
    observe(world, events, index, quiet, 0, 0, 0, params, instruments, edges, closes, empty_tape(1))
    chain(np.zeros(1, stage_dtype("bars")), 1)
    make_both(events, index, quiet)
    make_index(events, index)


def _nothing() -> tuple[World, Any, Any, Any, Any]:
    """World, settings, instruments, edges and closes of one symbol."""
    shapes = world_shapes(1, dict.fromkeys(SIZES, 1))
    world = World(*(np.zeros(shapes[name], WORLD_DTYPES[name]) for name in World._fields))
    params = np.zeros(1, PARAMS)
    params["top_k"] = 1  # opening a world divides by it
    return world, params, np.zeros(1, INSTRUMENT), np.zeros(1, EDGE), np.zeros(1, FEATURES)


def _no_events() -> Events:
    """As a stretch of a fixture: kernels are compiled for arrays that can be written or not."""
    rows = dict.fromkeys(Events._fields, np.zeros(0, np.int64))
    rows |= {"symbol": np.zeros(0, np.int16), "kind": np.zeros(0, np.int8), "fault": np.zeros(0, np.int8)}
    rows["books"] = np.zeros((0, 4, 1), np.int64)
    for column in rows.values():
        column.setflags(write=False)
    return Events(**rows | {"funding": np.zeros(0, FUNDING), "commands": np.zeros(0, COMMAND)})
