"""Where the cells of a sweep run: threads of this process, any executor of `concurrent.futures`, a cluster of Dask.

Threads share the fixture as it is. Other processes of this machine map its columns from files, written once, so that they share the
pages; a cluster's workers are sent it, each of them once. Each worker keeps what it was given, and takes one cell at a time.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from grinder import _jit
from grinder.cells import Result, result_of
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.errors import ConfigError, DataError, PolicyError, WorkerError, cause
from grinder.identity import files_of
from grinder.policies.own import Policy
from grinder.records import Events
from grinder.reruns import Source
from grinder.session import replay_whole

__all__ = ["TRIES", "Absent", "Crew", "Sent", "Shipped", "Task", "check_travels", "run_cell"]


class Task(NamedTuple):
    """What a worker has to know of a cell besides its fixture."""

    config: Config
    """all settings"""
    policy: Policy | Callable[..., Any] | str | None
    code: str
    """source hash of the package that asks"""
    files: tuple[tuple[str, str], ...] = ()
    """of a policy that is read from its file here: that file and those beside it, as they were when the sweep began"""


def run_cell(given: Fixture | Shipped | Sent, task: Task) -> Result:
    """Replay one cell. Errors of the cell are its result; running out of memory is the worker's own.

    Raises:
        ConfigError: the worker runs another version of grinder. DataError: it cannot see the fixture. Absent: it was not sent it.
    """
    if task.code != _jit.source_hash():
        raise ConfigError(
            f"a worker runs another source of grinder ({_jit.source_hash()[:12]}) than the sweep ({task.code[:12]}): its cells "
            "would not be what their keys say; install the same on every worker"
        )
    fixture = given if isinstance(given, Fixture) else given.open()
    try:
        return result_of(replay_whole(fixture, task.config, _policy_of(task)))
    except MemoryError:
        raise
    except Exception as error:
        said = "; ".join([cause(error, 2000), *getattr(error, "__notes__", ())])
        return Result(error=said)


def _policy_of(task: Task) -> Policy | Callable[..., Any] | None:
    """The policy; one that is read from a file is the one that the sweep began with, or the cell's key would be another's."""
    if task.policy is None or callable(task.policy):
        return task.policy
    policy = Source(task.policy).load()
    if task.files and files_of(Path(task.policy.rpartition(":")[0])) != task.files:
        raise PolicyError(
            f"policy {task.policy!r}: {task.policy.rpartition(':')[0]}, or what it imports, has changed since the sweep began, or "
            "is another on this worker: start the sweep again, with the same files on every worker; cells of two are not mixed"
        )
    return policy


# A fixture in files


class Shipped(NamedTuple):
    """A fixture as files that other processes map; in the process that wrote them it is the fixture itself."""

    folder: str
    token: str

    def open(self) -> Fixture:
        """The fixture, the same object for every cell of a process."""
        with _LOCK:
            if (os.getpid(), self.token) not in _OPEN:
                while len(_OPEN) >= KEPT:
                    del _OPEN[next(iter(_OPEN))]
                _OPEN[os.getpid(), self.token] = _mapped(Path(self.folder))
            return _OPEN[os.getpid(), self.token]


TRIES: Final = 4
"""Times that a cluster is given a fixture, or a cell, which it loses."""
PATIENCE: Final = 30
"""Seconds in which a cluster without workers has to find one."""
BYTES_A_SECOND: Final = 10_000_000
"""The slowest way to a cluster that is waited for."""
KEPT: Final = 8
"""Fixtures that a process keeps open: an executor may serve many sweeps."""
_OPEN: dict[tuple[int, str], Fixture] = {}
_LOCK = Lock()


def _ship(fixture: Fixture, folder: Path) -> Shipped:
    """Write a fixture to files."""
    folder.mkdir()
    state = fixture.__getstate__()
    for name, column in zip(Events._fields, state.pop("events"), strict=True):
        np.save(folder / f"{name}.npy", column, allow_pickle=False)
    (folder / "rest").write_bytes(pickle.dumps(state))
    return Shipped(str(folder), folder.parent.name + folder.name)


def _mapped(folder: Path) -> Fixture:
    """The fixture that was written to files."""
    try:
        state = pickle.loads((folder / "rest").read_bytes())
        state["events"] = Events(*(_column(folder / f"{name}.npy") for name in Events._fields))
    except FileNotFoundError:
        raise DataError(
            f"a worker finds no {folder}: executors other than threads and Dask need a folder for temporary files that all share; "
            "set TMPDIR to one"
        ) from None
    made = Fixture.__new__(Fixture)
    made.__setstate__(state)
    return made


def _column(file: Path) -> np.ndarray:
    whole = np.load(file, mmap_mode="r", allow_pickle=False) if file.stat().st_size > _HEAD else np.load(file, allow_pickle=False)
    return np.asarray(whole)  # plain, so that kernels are compiled for one kind of array


_HEAD: Final = 128
"""Bytes of a file that holds no row or little more than its head, which cannot be mapped."""


# A fixture on its way to a cluster


class Sent(NamedTuple):
    """A fixture that was sent to the workers of a cluster before."""

    token: str

    def open(self) -> Fixture:
        """The fixture, the same object for every cell of a process."""
        found = _SENT.get(self.token)
        if found is None:
            raise Absent(f"a worker has no fixture {self.token}")
        return found


class Absent(Exception):
    """A worker was not sent a fixture: it joined later, or ran out of memory and put it away."""


class _Parcel:
    """What is sent: where it arrives, the process knows the fixture for as long as the cluster keeps it there.

    Each worker is sent a parcel of its own. Of a value that several workers hold the cluster drops what it takes for one copy too
    many, whenever no cell waits for it, and sends it once more for the next cell.
    """

    def __init__(self, token: str, fixture: Fixture) -> None:
        self.token, self.fixture = token, fixture
        _SENT[token] = fixture

    def __reduce__(self) -> tuple[type[_Parcel], tuple[str, Fixture]]:
        return _Parcel, (self.token, self.fixture)


def _has(token: str) -> bool:
    """Whether this process has a fixture that was sent."""
    return token in _SENT


_SENT: WeakValueDictionary[str, Fixture] = WeakValueDictionary()
_CREWS = count()


# Executors


class Crew:
    """Workers, and the way that cells and fixtures take to them.

    Args:
        executor: None for threads of this process, any `Executor`, or a `distributed.Client`.
        workers: threads where there is no executor.
    """

    def __init__(self, executor: Any, workers: int | None) -> None:
        self.own = executor is None
        self.client: Any = getattr(executor, "_client", None) if type(executor).__name__ == "ClientExecutor" else None
        if callable(getattr(executor, "get_executor", None)) and callable(getattr(executor, "scatter", None)):
            self.client = executor
        if self.own:
            self.slots = workers or _processors()
            self.executor: Executor = ThreadPoolExecutor(self.slots, "sweep")
        elif self.client is not None:
            self.slots = sum(self.client.nthreads().values()) or 1
            self.executor = self.client.get_executor(pure=False)
        elif isinstance(executor, Executor):
            self.slots = workers or getattr(executor, "_max_workers", None) or _processors()
            self.executor = executor
        else:
            raise ConfigError(
                f"executor is a {type(executor).__name__}: pass a concurrent.futures.Executor or a distributed.Client, or leave it "
                "out for threads"
            )
        self.generation = 0
        """How often workers were lost, or joined."""
        self._folder: Path | None = None
        self._given: dict[int, Any] = {}
        self._number = next(_CREWS)
        self._parcels: list[Any] = []

    @property
    def shares(self) -> bool:
        """Whether workers have the memory of this process."""
        return isinstance(self.executor, ThreadPoolExecutor)

    def submit(self, number: int, fixture: Fixture, task: Task) -> Future[Result]:
        """Hand a cell out."""
        if number not in self._given:
            self._given[number] = self._give(number, fixture)
        return self.executor.submit(run_cell, self._given[number], task)

    def recovers(self, generation: int) -> bool:
        """Whether workers that were lost may be replaced, as a cluster's are; those that have not what the others have get it then.

        Args:
            generation: of the crew when the cell that was lost was handed out: one loss is looked into once.
        """
        if self.client is None:
            return False
        if generation == self.generation:
            self._given.clear()
            self.generation += 1
        return True

    def _give(self, number: int, fixture: Fixture) -> Any:
        if self.shares:
            return fixture
        if self.client is not None:
            return self._send(fixture, f"{self.client.id}-{self._number}-{number}")
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="grinder-sweep-"))
        shipped = _ship(fixture, self._folder / str(len(self._given)))
        with _LOCK:
            _OPEN[os.getpid(), shipped.token] = fixture
        return shipped

    def _send(self, fixture: Fixture, token: str) -> Sent:
        """Send a fixture to the workers of a cluster that have not got it; where one is lost meanwhile it is begun again."""

        async def send() -> None:
            told = await self.client.run(_has, token, on_error="ignore", asynchronous=True)
            failed: Exception | None = None if told else TimeoutError("no worker answers")
            for worker in [worker for worker, has in told.items() if not has]:
                try:
                    parcel = await self.client.scatter(_Parcel(token, fixture), workers=[worker], hash=False, asynchronous=True)
                except Exception as error:  # it is paused, or gone
                    failed = error
                else:
                    self._parcels.append(parcel)
                    told[worker] = True
            if failed and not any(told.values()):
                raise failed

        patience = PATIENCE + fixture.nbytes * self.slots // BYTES_A_SECOND
        for left in reversed(range(TRIES)):
            try:
                self.client.sync(send, callback_timeout=patience)  # a worker that dies at the wrong moment is waited for
                return Sent(token)
            except Exception as error:
                if not left:
                    raise WorkerError(f"a cluster cannot be sent {fixture.name}: {cause(error)}") from error
                self.client.wait_for_workers(1, timeout=PATIENCE)
        raise AssertionError

    def close(self) -> None:
        """Let go of what workers were given, and of workers that are this sweep's own."""
        if self.own:
            self.executor.shutdown(cancel_futures=True)
        for given in self._given.values():
            if isinstance(given, Shipped):
                with _LOCK:
                    _OPEN.pop((os.getpid(), given.token), None)
        self._given.clear()
        self._parcels.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_travels(policy: Any) -> None:
    """Whether a policy can be sent to another process.

    Raises:
        ConfigError: it cannot.
    """
    try:
        pickle.dumps(policy)
    except Exception as error:
        name = policy.name if isinstance(policy, Policy) else getattr(policy, "__name__", policy)
        raise ConfigError(
            f"policy {name} cannot be sent to another process ({cause(error)}): give it as text, 'FILE.py:FUNCTION', or use threads"
        ) from None
