"""Replays under conditions that must not matter: another clock, time zone, seed of the random modules, hash order, process.

A policy of one's own is ordinary Python and may read any of them. Here each is set on purpose, one at a time, so that what made two
replays differ has a name. Nothing of this package reads a clock or draws a number: the modules below are only replaced for a while.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace as changed
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import RLock
from typing import Any, Final, NamedTuple

import numpy as np

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.errors import ConfigError, GrinderError, PolicyError, cause
from grinder.intake import strict_json
from grinder.policies.own import Policy, policy as as_policy
from grinder.records import STAGES
from grinder.session import replay

__all__ = ["USUAL", "Conditions", "Outcome", "Source", "attempt", "controlled", "in_processes"]


class Conditions(NamedTuple):
    """What a replay must not depend on. `hash_seed` needs a process of its own, all else is set within one."""

    clock: int = 1_700_000_000
    """seconds since 1970 that the clock starts at; it moves by a millisecond each time that it is read"""
    seed: int = 1
    """of the generators that Python and numpy share"""
    zone: str = "UTC"
    hash_seed: int = 0


USUAL: Final = Conditions()


@dataclass(frozen=True)
class Outcome:
    """What a replay came to: its records, or where and how the policy failed."""

    tables: Mapping[str, np.ndarray]
    called: tuple[int, ...] = ()
    """Events at which the policy was called."""
    failure: str = ""
    event: int = 0
    """of the failure"""


# Where a policy comes from


@dataclass(frozen=True)
class Source:
    """A policy as given: a function, `FILE.py:FUNCTION`, which can be executed anew for each replay, or None: the built-in one."""

    given: Policy | Callable[..., Any] | str | None

    @property
    def fresh(self) -> bool:
        """Whether it begins anew each time that it is loaded, with nothing left from before."""
        return self.given is None or isinstance(self.given, str)

    @property
    def name(self) -> str:
        """For reports."""
        if self.given is None:
            return "built-in"
        return self.given if isinstance(self.given, str) else as_named(self.given).name

    def load(self) -> Policy | None:
        """The policy; of a file the whole file is executed again.

        Raises:
            ConfigError: there is no such file or function. PolicyError: the file cannot be executed.
        """
        if self.given is None or not isinstance(self.given, str):
            return None if self.given is None else as_named(self.given)
        name, _, function = self.given.rpartition(":")
        file = Path(name)
        if not name.endswith(".py") or not function.isidentifier():
            raise ConfigError(f"policy {self.given!r}: write FILE.py:FUNCTION, such as grids.py:narrow")
        if not file.is_file():
            raise ConfigError(f"policy {self.given!r}: there is no file {file}")
        try:
            module = _executed(file.resolve())
        except Exception as error:
            raise PolicyError(f"policy {self.given!r}: {file} cannot be executed: {cause(error)}") from error
        found = getattr(module, function, None)
        if not callable(found):
            raise ConfigError(f"policy {self.given!r}: {file} has no function {function!r}")
        return as_named(found)


def as_named(given: Policy | Callable[..., Any]) -> Policy:
    """A function as a policy."""
    made: Policy = given if isinstance(given, Policy) else as_policy(given)
    return made


class _Uncompiled(SourceFileLoader):
    """Looks at the source alone: Python takes what it compiled for a file's that has the same size within the same second."""

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.get_data(self.get_filename(fullname)), self.path)


class _Beside(MetaPathFinder):
    """Finds the modules of a folder as Python does, and has them looked at likewise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path, target)
        if found is None or not isinstance(found.loader, SourceFileLoader):
            return None
        if not Path(found.loader.path).resolve().is_relative_to(self.folder):
            return None
        found.loader = _Uncompiled(found.loader.name, found.loader.path)
        return found


_EXECUTING: Final = RLock()
"""Held while a file is executed, since it comes and goes in the modules of the whole process."""


def _executed(file: Path) -> Any:
    """The module of a file, executed anew with the modules of its own folder that it imports."""
    with _EXECUTING:
        return _executed_alone(file)


def _executed_alone(file: Path) -> Any:
    known = set(sys.modules)
    name = f"_linted_{file.stem}"
    spec = spec_from_file_location(name, file, loader=_Uncompiled(name, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # which dataclasses and pickle ask for
    sys.path.insert(0, str(file.parent))
    beside = _Beside(file.parent)
    sys.meta_path.insert(0, beside)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # for what it imports, likewise
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
        sys.meta_path.remove(beside)
        sys.path.remove(str(file.parent))
        for name in set(sys.modules) - known:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).resolve().is_relative_to(file.parent):
                del sys.modules[name]  # so that the next execution finds no state of this one
    return module


# One replay


def attempt(
    data: Fixture,
    config: Config | None,
    load: Callable[[], Policy | None],
    around: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
) -> Outcome:
    """Replay, and note when the policy is called and where it fails; what grinder itself raises before the first call goes up.

    Args:
        load: gives the policy. around: makes of its function the one that is called.
    """
    called: list[int] = []
    loaded = False
    try:
        policy = load()
        loaded = True
        noted = policy and changed(policy, function=_noting(around(policy.function) if around else policy.function, called))
        run = replay(data, config, noted)
    except Exception as error:
        if isinstance(error, GrinderError) and loaded and not called:
            raise
        what = f"{type(error).__name__}: {error}" if isinstance(error, GrinderError) else cause(error)  # ours are short
        return Outcome({}, tuple(called), what, called[-1] if called else 0)
    return Outcome({stage: run.tables[stage].records for stage in STAGES}, tuple(called))


def _noting(function: Callable[..., Any], called: list[int]) -> Callable[..., Any]:
    def noting(view: Any, params: Any) -> Any:
        called.append(view.event)
        return function(view, params)

    return noting


# Conditions within a process


@contextmanager
def controlled(conditions: Conditions) -> Iterator[None]:
    """Clock, seed and time zone as told; afterwards everything is as it was."""
    with ExitStack() as stack:
        stack.enter_context(_zone(conditions.zone))
        stack.enter_context(_seeded(conditions.seed))
        stack.enter_context(_clock(conditions.clock))
        yield


@contextmanager
def _zone(name: str) -> Iterator[None]:
    read_again = getattr(import_module("time"), "tzset", lambda: None)  # which Windows does not have
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    read_again()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        read_again()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Only the generators that Python and numpy share can be seeded from outside; what is drawn elsewhere shows as entropy."""
    python, numpy = import_module("random"), import_module("numpy.random")
    states = python.getstate(), numpy.get_state()
    python.seed(seed)
    numpy.seed(seed)
    try:
        yield
    finally:
        python.setstate(states[0])
        numpy.set_state(states[1])


@contextmanager
def _clock(start: int) -> Iterator[None]:
    """Every clock of `time` and `datetime` starts at `start` and moves by a millisecond a reading."""
    module, dates = import_module("time"), import_module("datetime")
    reading = [start * 1_000_000_000]

    def ns() -> int:
        reading[0] += 1_000_000
        return reading[0]

    def seconds() -> float:
        return ns() / 1e9

    real = {name: getattr(module, name) for name in ("localtime", "gmtime", "ctime", "strftime")}
    put: dict[str, Callable[..., Any]] = {}
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        put |= {name: seconds, f"{name}_ns": ns}
    for name in ("localtime", "gmtime", "ctime"):
        put[name] = lambda given=None, _real=real[name]: _real(seconds() if given is None else given)
    put["strftime"] = lambda text, given=None: real["strftime"](text, put["localtime"]() if given is None else given)
    with ExitStack() as stack:
        for name, value in put.items():
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        for name, value in _calendar(dates, seconds).items():
            stack.callback(setattr, dates, name, getattr(dates, name))
            setattr(dates, name, value)
        yield


def _calendar(dates: Any, seconds: Callable[[], float]) -> dict[str, type]:
    """`datetime` and `date` that ask this clock."""

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, cls.__mro__[1])

    class Moment(dates.datetime, metaclass=Kind):  # type: ignore[misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return dates_real[0].fromtimestamp(seconds(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return dates_real[0].fromtimestamp(seconds(), dates.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    class Day(dates.date, metaclass=Kind):  # type: ignore[misc]
        @classmethod
        def today(cls) -> Any:
            return dates_real[1].fromtimestamp(seconds())

    dates_real = (dates.datetime, dates.date)
    return {"datetime": Moment, "date": Day}


# Conditions that need a process of their own


def in_processes(data: Fixture, config: Config | None, source: Source, hash_seeds: Sequence[int]) -> list[Outcome]:
    """The same replay in a process of its own for each hash seed, some side by side."""
    at_once = max(1, os.cpu_count() or 1)
    groups = [hash_seeds[i : i + at_once] for i in range(0, len(hash_seeds), at_once)]
    return [outcome for group in groups for outcome in _side_by_side(data, config, source, group)]


def _side_by_side(data: Fixture, config: Config | None, source: Source, hash_seeds: Sequence[int]) -> list[Outcome]:
    assert data.path is not None
    order = {
        "folder": str(data.path.resolve()),
        "config": None if config is None else config.model_dump(mode="json", exclude_unset=True),
        "policy": source.given,
    }
    with tempfile.TemporaryDirectory(prefix="grinder-") as scratch, ExitStack() as stack:
        started = []
        for number, seed in enumerate(hash_seeds):
            out = Path(scratch) / f"{number}.npz"
            command = [sys.executable, "-c", "from grinder.reruns import _child; _child()"]
            paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(paths)}
            child = stack.enter_context(
                subprocess.Popen(
                    command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            )
            stack.callback(child.kill)  # of use only where this process is interrupted
            started.append((child, out))
            assert child.stdin is not None
            child.stdin.write(json.dumps(order | {"out": str(out)}))
            child.stdin.close()
            child.stdin = None
        return [_read(child, out) for child, out in started]


def _read(child: subprocess.Popen[str], out: Path) -> Outcome:
    _, said = child.communicate()
    if child.returncode or not out.is_file():
        last = said.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        return Outcome({}, failure=f"the process ended: {last[0]}")
    with np.load(out, allow_pickle=False) as arrays:
        told = strict_json(arrays["told"].tobytes())
        tables = {} if told["failure"] else {stage: arrays[stage] for stage in STAGES}
    return Outcome(tables, tuple(told["called"]), told["failure"], told["event"])


def _child() -> None:
    """What a process started by `in_processes` does."""
    order = json.load(sys.stdin)
    config = None if order["config"] is None else Config(**order["config"])
    data = Fixture.open(order["folder"], config)
    with controlled(USUAL):
        done = attempt(data, config, Source(order["policy"]).load)
    told = {"called": done.called, "failure": done.failure, "event": done.event}
    np.savez(order["out"], allow_pickle=False, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **done.tables)
