"""`replay`: observe, act, decide, from the first event to the last (DESIGN 1), into a `Run`."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from grinder import _jit
from grinder._ahead import compiled_in_two
from grinder.config import Config, check_kind, checked
from grinder.data.fixture import KEPT_INDEX, Fixture, Stretch, find_fixture
from grinder.digest import Chained, Digest, chains
from grinder.engine import DECIDE, FAULT, FAULTS, act, initial_world, rows_per_event
from grinder.errors import ConfigError, LedgerError
from grinder.market import observe
from grinder.observation import STAGES_OF_MARKET, Key, Observation, Piece, copied, read_of
from grinder.policies.own import Policy, commit, params_of, policy as as_policy, view_of
from grinder.records import EDGE, FEATURES, STAGES, PolicyKind, World, stage_dtype
from grinder.run import Run, Table
from grinder.tape import empty_tape

__all__ = ["replay", "replay_whole", "worlds_after"]

CHUNK: Final = 1 << 23
"""Events of a stretch, of which each costs some Python; of data in files fewer are read at a time, whatever is asked for."""


def replay(
    fixture: Fixture | str | os.PathLike[str],
    config: Config | None = None,
    policy: Policy | Callable[..., Any] | None = None,
    *,
    until: int | None = None,
    resume: Run | None = None,
    chunk: int = CHUNK,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Replay a fixture and return what happened.

    Args:
        fixture: a `Fixture`, the name of one, or its folder.
        config: settings on top of the fixture's own.
        policy: a function `(view, params)` or `gr.policy`; default: the built-in one that the config names.

    Other Args:
        until: stop before this event index; the `Run` returned can be saved and resumed.
        resume: go on where this run (of the same fixture, config and policy) stopped. It is left as it is.
        chunk: events handled at a time. It bounds memory and never changes the result.
        progress: called with (events done, events in all).

    Raises:
        ConfigError: a setting is wrong or missing.
        PolicyError: a policy returned what cannot be traded.
        DataError: the data break a rule of SPEC 2.2.
        LedgerError: a proof of the engine failed.
    """
    check_kind(config)
    _check_types(policy, until, resume, chunk)
    place = fixture if isinstance(fixture, Fixture) else find_fixture(fixture)
    with compiled_in_two():
        data = place if isinstance(place, Fixture) else Fixture.open(place, config)
        settings = checked(config, data.config)
        session = _prepared(data, settings, policy, resume)
        stop, chunk = int(len(data) if until is None else until), int(chunk)
        if not session.position <= stop <= len(data) or chunk < 1:
            raise ConfigError(f"until is {stop}, chunk {chunk}: allowed are {session.position} to {len(data)}, and at least 1")
    return _played(session, stop, chunk, progress)


def replay_whole(data: Fixture, settings: Config, policy: Policy | Callable[..., Any] | None = None) -> Run:
    """Replay all of a fixture with all settings, its own and what was changed on top, checked when they were put together.

    `replay` lays its config over the fixture's, and checks it anew; a sweep did that when it named the cell.
    """
    with compiled_in_two():
        session = _prepared(data, settings, policy, None)
    return _played(session, len(data), CHUNK, None)


def _prepared(data: Fixture, settings: Config, policy: Policy | Callable[..., Any] | None, resume: Run | None) -> _Session:
    """A replay that is about to begin, or to go on."""
    if settings.max_jump != data.config.max_jump:
        raise ConfigError(
            f"max_jump is {settings.max_jump:f}, but {data.name} was loaded with {data.config.max_jump:f}, which decided what is "
            "quarantined: load it with that config, as in gr.fixture(name, config) or Fixture.from_arrays(..., config=config)"
        )
    chosen = policy if policy is None or isinstance(policy, Policy) else as_policy(policy)
    params, instruments = settings.params(data.instruments, data.price_range)
    if chosen is None and settings.policy == "static" and (instruments["quantity"] == 0).any():
        missing = data.symbols[int(np.argmax(instruments["quantity"] == 0))]
        raise ConfigError(f"quantity of {missing} is missing: the static grid needs it, such as Config(quantity='0.01')")
    if chosen is not None:
        params[0]["policy"], params[0]["on_fill"], params[0]["gated"] = PolicyKind.OWN, chosen.on_fill, chosen.gates
        params[0]["gated"] |= settings.risk_monitor
        params[0]["top_k"] = len(instruments)
    return _Session(data, settings, chosen, params, instruments, resume)


def _played(session: _Session, stop: int, chunk: int, progress: Callable[[int, int], None] | None) -> Run:
    """All up to `stop`."""
    whole = len(session.data)
    if progress:
        progress(session.position, whole)
    for stretch in session.stretches(stop, chunk):
        session.run_stretch(stretch)
        if progress:
            progress(session.position, whole)
    return session.result(stop)


def worlds_after(data: Fixture, config: Config, events: Sequence[int]) -> Iterator[World]:
    """The state after each of some events of a replay with the built-in policy that the config names.

    Args:
        config: settings, whole: those of a run. events: indices, ascending, each once.

    Yields:
        The state itself, which goes on to the next event when the next one is asked for.
    """
    params, instruments = config.params(data.instruments, data.price_range)
    session = _Session(data, config, None, params, instruments, None)
    stops = [event + 1 for event in events]
    left = iter(stops)
    wanted = next(left, None)
    for stretch in session.stretches(stops[-1] if stops else 0, CHUNK, stops):
        session.run_stretch(stretch)
        if session.position == wanted:
            session.catch_up()
            yield session.world
            wanted = next(left, None)


def _check_types(policy: object, until: object, resume: object, chunk: object) -> None:
    if policy is not None and not callable(policy):
        raise ConfigError(f"policy is a {type(policy).__name__}: pass a function (view, params); built-in ones are named in Config")
    if resume is not None and not isinstance(resume, Run):
        raise ConfigError(f"resume is a {type(resume).__name__}: pass a Run; gr.load reads a saved one")
    for name, number in (("until", until), ("chunk", chunk)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | np.integer)):
            raise ConfigError(f"{name} is {number!r}: a whole number of events is needed")


class _Session:
    """One replay under way: the world, the tape, and what was drained from it."""

    def __init__(
        self, data: Fixture, settings: Config, policy: Policy | None, params: Any, instruments: Any, resume: Run | None
    ) -> None:
        self.data, self.settings, self.policy = data, settings, policy
        self.params, self.instruments = params, instruments
        self.policy_params = None if policy is None else params_of(params)
        if resume is None:
            self.world = initial_world(params, instruments, data.first_ts)
            self.position, self.last_ts = 0, data.first_ts
            self.drained: dict[str, list[np.ndarray]] = {stage: [] for stage in STAGES}
        else:
            _check_resume(resume, data, settings, policy)
            self.world = World(*(array.copy() for array in resume.world))
            self.position, self.last_ts = resume.events, resume.last_ts
            self.drained = {stage: [copied(table.records)] for stage, table in resume.tables.items()}
        self.rows = rows_per_event(self.world, data.book_levels)
        self.tape = empty_tape(max(16_384, 2 * self.rows))
        self.read = read_of(params, instruments) if resume is None else None
        self.keys: list[Key] = []
        self.behind: Observation | None = None  # what was read last, and the world does not show yet
        self.edges = np.empty(max(4096, 8 * len(data.instruments)), EDGE)  # as a rule a day's: `act` is then called once for it
        self.closes = np.empty(len(self.edges), FEATURES)

    def stretches(self, stop: int, size: int, stops: Sequence[int] = ()) -> Iterator[Stretch]:
        """The events from here to `stop`, with those before that their jump windows and last books reach; cut at `stops` too."""
        p = self.params[0]
        reach, gated = int(max(p["jump_window_ns"], p["l2_stale_ns"])), bool(p["gated"])
        return self.data.stretches(self.position, stop, size, reach, gated, stops)

    def run_stretch(self, stretch: Stretch) -> None:
        """Act on a stretch of events as far as they are observed, handing decisions to the policy where they are due."""
        base, at, events, index, _ = stretch
        for seen, edges, closes in self._observed(stretch):
            cursor = 0
            while at < seen:
                at, cursor, reason = act(
                    self.world, events, index, base, at, seen, self.params, self.instruments, edges, closes, cursor, len(edges),
                    self.tape, self.rows,
                )  # fmt: skip
                if reason == DECIDE:
                    self._decide(base + at, int(events.ts[at]))
                    continue
                if reason == FAULT:
                    raise LedgerError(f"event {base + at}: {FAULTS[int(self.world.run[0]['fault'])]}")
                if 2 * max(self.tape.used[0].tolist()) > len(self.tape.fills):  # what remains is room for any event
                    self._drain()
        self.position, self.last_ts = base + len(events.ts), int(events.ts[-1])

    def _observed(self, stretch: Stretch) -> Iterator[Piece]:
        """What there is to act on: as it was observed in an earlier replay, or as it is observed now, and kept for later ones."""
        start, stop = stretch.base + stretch.at, stretch.base + len(stretch.events.ts)
        kept = self.data.observations
        if kept is None or self.read is None or stop - start < KEPT_INDEX:
            yield from self._observe(stretch)
            return
        key = (self.read, start, stop)
        self.keys.append(key)
        known = kept.get(key)
        self._drain(STAGES_OF_MARKET)
        if known is None:
            before = {stage: len(self.drained[stage]) for stage in STAGES_OF_MARKET}
            pieces = []
            for piece in self._observe(stretch):
                pieces.append(Piece(piece.stop, copied(piece.edges), copied(piece.closes)))
                yield piece
            self._drain(STAGES_OF_MARKET)
            found = {stage: copied(_joined(stage, self.drained[stage][n:])) for stage, n in before.items()}
            kept.keep(key, Observation.of(pieces, found, self.world))
            return
        yield from known.pieces
        self.behind = known
        for stage, records in known.records.items():
            if len(records):
                self.drained[stage].append(copied(records))

    def _observe(self, stretch: Stretch) -> Iterator[Piece]:
        """Observe a stretch, as much at a time as the buffers hold."""
        self.catch_up()
        base, seen, events, index, quiet = stretch
        while seen < len(events.ts):
            seen, n = observe(
                self.world, events, index, quiet, base, seen, len(events.ts), self.params, self.instruments, self.edges,
                self.closes, self.tape,
            )  # fmt: skip
            if self.world.run[0]["fault"]:
                raise LedgerError(f"event {base + seen}: {FAULTS[int(self.world.run[0]['fault'])]}")
            yield Piece(seen, self.edges[:n], self.closes[:n])

    def catch_up(self) -> None:
        """Bring what `observe` moves of the world to where the replay is; `act` reads none of it."""
        if self.behind is not None:
            self.behind.put(self.world)
            self.behind = None

    def _decide(self, event: int, ts: int) -> None:
        assert self.policy is not None
        s = int(np.argmax(self.world.symbols["decide"] != 0))
        view = view_of(self.world, self.params, self.instruments, event, ts, s)
        try:
            decision = self.policy(view, self.policy_params)
            commit(self.world, decision, self.tape, event, ts, s, self.params, self.instruments, self.policy.damped)
        except Exception as error:
            when = np.datetime64(ts, "ns")
            error.add_note(f"policy {self.policy.name}, symbol {self.data.symbols[s]}, event {event}, {when} UTC")
            raise
        symbol = self.world.symbols[s]
        symbol["decide"], symbol["reflex"], symbol["settled"] = 0, 1, 0

    def _drain(self, stages: Iterable[str] = STAGES) -> None:
        """Empty the tape, or some stages of it."""
        counts = dict(zip(STAGES, self.tape.used[0].tolist(), strict=True))
        for stage in stages:
            if counts[stage]:
                self.drained[stage].append(copied(getattr(self.tape, stage)[: counts[stage]]))
                self.tape.used[0][stage] = 0

    def _known_links(self, records: Mapping[str, np.ndarray], stop: int) -> Mapping[str, Chained]:
        """Links of what was observed, if every event was under a key; none, where a stretch was too short to be kept."""
        kept, seen = self.data.observations, sum(end - start for _, start, end in self.keys)
        if kept is None or seen < stop:
            return {}
        tables = {stage: records[stage] for stage in STAGES_OF_MARKET}
        return kept.links(tuple(self.keys), lambda: {stage: Chained.of(links) for stage, links in chains(tables, stop).items()})

    def result(self, stop: int) -> Run:
        """The run as of now."""
        self.catch_up()
        self._drain()
        records = {stage: _joined(stage, parts) for stage, parts in self.drained.items()}
        return Run(
            name=self.data.name,
            instruments=self.data.instruments,
            config=self.settings,
            events=stop,
            total=len(self.data),
            first_ts=self.data.first_ts,
            last_ts=self.last_ts,
            tables={stage: Table(stage, records[stage]) for stage in STAGES},
            digest=Digest.of(self.settings.hash(), self.data.content, stop, records, self._known_links(records, stop)),
            world=self.world,
            provenance=provenance(self.policy),
            market=self.data.market(stop),
            source=(self.data, self.policy),
        )


def _joined(stage: str, parts: list[np.ndarray]) -> np.ndarray:
    """One table of a stage; numpy copies records one by one."""
    if not parts:
        return np.empty(0, stage_dtype(stage))
    return parts[0] if len(parts) == 1 else np.concatenate([part.view("<i8") for part in parts]).view(parts[0].dtype)


def _check_resume(run: Run, data: Fixture, settings: Config, policy: Policy | None) -> None:
    for what, mine, theirs in (
        ("fixture content", data.content, run.digest.input),
        ("config", settings.hash(), run.digest.config),
        ("policy source", policy.source if policy else "built-in", run.provenance.get("policy_source_sha256", "built-in")),
    ):
        if mine != theirs:
            raise ConfigError(f"this run cannot be resumed here: its {what} is {theirs[:12]}, here it is {mine[:12]}")


def provenance(policy: Policy | None) -> dict[str, Any]:
    """What made a run, beside its digest: never part of it (SPEC 14)."""
    out: dict[str, Any] = dict(_environment())
    if policy is not None:
        out |= {"policy": policy.name, "policy_source_sha256": policy.source}
    return out


@cache
def _environment() -> dict[str, Any]:
    import llvmlite
    import llvmlite.binding as llvm
    import numba

    try:
        own = version("grinder")
    except PackageNotFoundError:
        own = "uninstalled"
    return {
        "grinder": own,
        "source_sha256": _jit.source_hash(),
        **_git(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "cpu": llvm.get_host_cpu_name(),
        "os": f"{platform.system()} {platform.machine()}",
        "jit": _jit.JIT,
    }


def _git() -> dict[str, Any]:
    """Commit and dirty flag of the checkout that grinder runs from; nothing where there is none."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        return {"commit": _ask_git(root, "rev-parse", "HEAD"), "dirty": bool(_ask_git(root, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def _ask_git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
