"""Observations that are kept: a replay that reads one equals the one that made it; every setting that is read is in the key."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import numpy as np
import pytest

import grinder as gr
from grinder import session
from grinder.config import PARAMS, Config
from grinder.data import fixture as fixtures
from grinder.digest import chains
from grinder.observation import READ_OF_INSTRUMENTS, READ_OF_SETTINGS, STAGES_OF_MARKET, Observation, Observations, read_of
from grinder.records import INSTRUMENT, SIZES, STAGES, World
from grinder.session import replay
from tests.test_quiet import idle, near_limits, state
from tests.volumes import PROPERTY, each, volume

SRC = Path(session.__file__).parent


def modules_of(name: str) -> set[str]:
    """A module of the package and all of the package that it imports."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            tree = ast.parse((SRC / (module.replace(".", "/") + ".py")).read_text("utf-8"))
            imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
            waiting += [module.removeprefix("grinder.") for module in imports if module.startswith("grinder.")]
    return found


def words_of(modules: set[str]) -> set[str]:
    """Every string in the code of modules: fields are named by strings and by nothing else."""
    trees = [ast.parse((SRC / (module.replace(".", "/") + ".py")).read_text("utf-8")) for module in modules]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return words | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_the_key_has_what_is_read():
    """Every setting and every constant of an instrument that a module under `observe` names, and what arrays are made with."""
    modules = modules_of("market")
    assert {"market", "gates", "quiet", "index", "features.bars", "features.book"} <= modules
    assert not {"engine", "config", "session"} & modules
    words = words_of(modules) | set(SIZES)
    assert set(READ_OF_SETTINGS) == words & set(PARAMS.names)
    assert set(READ_OF_INSTRUMENTS) == words & set(INSTRUMENT.names)


@pytest.fixture
def counted(monkeypatch):
    """Stretches of any length are kept; the calls of `observe`."""
    calls = []

    def observe(*args):
        calls.append(args[4:7])
        return real(*args)

    real = session.observe
    monkeypatch.setattr(session, "KEPT_INDEX", 1)
    monkeypatch.setattr(fixtures, "KEPT_INDEX", 1)
    monkeypatch.setattr(session, "observe", observe)
    return calls


def fresh(data, config, policy, **how):
    """The run of a fixture that nobody replayed before."""
    return replay(data._replace(), config, policy, **how)


@pytest.mark.parametrize("block", range(4))
@volume(PROPERTY, 20)
def test_a_further_replay_equals_a_first_one(block, counted):
    """Of one fixture, with settings that are observed and others by turns, stretches cut anywhere."""
    for seed in each(PROPERTY, range(20 * block, 20 * block + 20)):
        rng, (data, config) = random.Random(seed), near_limits(seed)
        others = [
            config,
            Config(clear_ms=50, **config_of(config, "clear_ms")),
            Config(atr_bars=3, **config_of(config, "atr_bars")),
            Config(policy="static", step="1%", **config_of(config, "policy", "step")),
            Config(policy="smart", dd_budget_pct="9%", **config_of(config, "policy", "dd_budget_pct")),
        ]
        expected = {}
        for _ in range(8):
            which = rng.randrange(len(others))
            policy = idle if which < 3 else None
            chunk, stop = rng.choice((len(data), 100, 257)), rng.choice((len(data), len(data) // 2))
            if (which, stop) not in expected:
                expected[which, stop] = state(fresh(data, others[which], policy, until=stop))
            found = state(replay(data, others[which], policy, chunk=chunk, until=stop))
            assert found == expected[which, stop], (seed, which, chunk)


def config_of(config: Config, *but: str) -> dict:
    return {name: value for name, value in config.model_dump(exclude_unset=True).items() if name not in but}


def test_what_is_kept_is_not_observed_again(counted):
    data = gr.fixture("range_day_l1").head(20_000)
    smart, wide = Config(policy="smart"), Config(policy="smart", alpha="1.2", dd_budget_pct="1%")
    first = replay(data, smart)
    made = len(counted)
    assert made > 0
    assert state(replay(data, smart)) == state(first)
    assert state(replay(data, wide)) != state(first)
    assert len(counted) == made, "settings of orders and plans are no matter of the market"
    replay(data, Config(policy="smart", clear_ms=1000))
    assert len(counted) == 2 * made
    replay(data, smart, chunk=7_000)
    assert len(counted) > 2 * made


def test_a_resumed_run_observes_for_itself(counted):
    data = gr.fixture("range_day_l1").head(9_000)
    whole, half = replay(data), replay(data, until=4_000)
    before = len(counted)
    assert state(replay(data, resume=half)) == state(whole)
    assert len(counted) > before


def test_runs_share_nothing_that_can_be_changed(counted):
    data = gr.fixture("range_day_l1").head(9_000)
    first = replay(data, Config(policy="smart"))
    for stage in STAGES:
        first.tables[stage].records.view("<i8")[:] = 7
    for name in World._fields:
        getattr(first.world, name).view("<i8")[...] = 7
    second, third = replay(data, Config(policy="smart")), fresh(data, Config(policy="smart"), None)
    assert state(second) == state(third)


def test_the_latest_are_kept_and_no_more_than_fit(monkeypatch):
    def one(size):
        records = {stage: np.zeros(0, np.int64) for stage in STAGES_OF_MARKET} | {"bars": np.zeros(size // 8, np.int64)}
        return Observation((), records, (), ())

    monkeypatch.setattr("grinder.observation._MOST_BYTES", 4000)
    kept = Observations()
    for stop in range(1, 5):
        kept.keep((b"", 0, stop), one(1000))
    assert kept.get((b"", 0, 1)) is not None
    kept.keep((b"", 0, 5), one(1000))
    assert [kept.get((b"", 0, stop)) is not None for stop in range(1, 6)] == [True, False, True, True, True]
    kept.keep((b"", 0, 6), one(4008))
    assert [kept.get((b"", 0, stop)) is not None for stop in range(1, 7)] == [True, False, True, True, True, False]


def test_links_are_kept_with_what_they_are_of(counted, monkeypatch):
    """Those of the market are made once for a run of stretches; one that is cut or observes otherwise has its own."""
    data, made = gr.fixture("range_day_l1").head(20_000), []
    monkeypatch.setattr(session, "chains", lambda *given: made.append(given[1]) or chains(*given))
    smart, wide, slow = Config(policy="smart"), Config(policy="smart", alpha="1.2"), Config(policy="smart", clear_ms=1000)
    first = replay(data, smart)
    assert replay(data, smart).digest == first.digest
    assert replay(data, wide).digest.roots["bars"] == first.digest.roots["bars"]
    assert made == [20_000]
    assert replay(data, smart, chunk=7_001).digest == first.digest
    assert replay(data, smart, until=9_000).digest == replay(data, smart, until=9_000).digest != first.digest
    assert replay(data, slow).digest.roots["gates"] == fresh(data, slow, None).digest.roots["gates"]
    assert made == [20_000, 20_000, 9_000, 20_000, 20_000]
    half = replay(data, smart, until=9_000)
    assert replay(data, smart, resume=half).digest == first.digest
    assert len(made) == 5, "a resumed run keeps nothing"
    kept = Observations()
    for n in range(12):
        kept.links(((b"", 0, n),), lambda n=n: {"bars": bytes([n])})
    assert kept.links(((b"", 0, 11),), dict) == {"bars": b"\x0b"}
    assert kept.links(((b"", 0, 3),), dict) == {}, "let go"


def test_every_field_of_the_key_counts():
    params, instruments = np.zeros(1, PARAMS), np.zeros(2, INSTRUMENT)
    keys = {read_of(params, instruments)}
    for name in READ_OF_SETTINGS:
        changed = params.copy()
        changed[name] = 1
        keys.add(read_of(changed, instruments))
    for name in READ_OF_INSTRUMENTS:
        changed = instruments.copy()
        changed[name][1] = 1
        keys.add(read_of(params, changed))
    assert len(keys) == 1 + len(READ_OF_SETTINGS) + len(READ_OF_INSTRUMENTS)
