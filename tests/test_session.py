"""`replay` as one call, cut anywhere, and its refusals (SPEC 3, 14)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from grinder import session
from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture, fixture, write_fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, FixtureNotFound, LedgerError
from grinder.policies.own import policy, static
from grinder.records import STAGES, Fault, World
from grinder.run import load
from grinder.session import replay
from grinder.tape import empty_tape
from tests.tapes import case
from tests.volumes import PROPERTY, volume

FIXTURES = Path(__file__).parents[1] / "fixtures"

REAL = Path(__file__).resolve().parents[1] / "fixtures" / "binance_btcusdt_6m"


def snapshot(run):
    """Everything a run holds, as bytes."""
    tables = {stage: run.tables[stage].records.tobytes() for stage in STAGES}
    return run.digest, tables, [getattr(run.world, name).tobytes() for name in World._fields], run.summary()


# However it is cut


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("chunk", [1, 7, 4096])
@volume(PROPERTY)
def test_chunks_never_matter(seed, chunk):
    c = case(seed)
    assert snapshot(replay(c.fixture, c.config, chunk=chunk)) == snapshot(replay(c.fixture, c.config))


def test_chunks_of_the_real_recording():
    assert snapshot(replay(REAL, chunk=4096)) == snapshot(replay(REAL, chunk=10**9))


@pytest.mark.parametrize("seed", range(20))
@volume(PROPERTY)
def test_stops_at_random_events(seed):
    c = case(seed)
    rng = random.Random(seed)
    whole, run = replay(c.fixture, c.config), None
    for stop in sorted(rng.choices(range(len(c.fixture) + 1), k=4)):
        before = snapshot(run) if run else None
        done = replay(c.fixture, c.config, until=stop, resume=run, chunk=rng.choice((1, 5, 10**6)))
        assert run is None or snapshot(run) == before, "the run that was resumed is left as it was"
        assert snapshot(done) == snapshot(replay(c.fixture, c.config, until=stop))
        assert (done.events, done.total, done.complete) == (stop, len(c.fixture), stop == len(c.fixture))
        run = done
    assert snapshot(replay(c.fixture, c.config, resume=run)) == snapshot(whole)
    assert snapshot(replay(c.fixture, c.config, resume=whole)) == snapshot(whole)


def test_a_run_of_a_part_is_a_run_of_the_head():
    """What comes after an event changes no record before it (SPEC 3.5); only the input hash tells the two apart."""
    for seed in range(8):
        c = case(seed)
        stop = len(c.fixture) * 2 // 3
        part, head = replay(c.fixture, c.config, until=stop), replay(c.fixture.head(stop), c.config)
        assert part.digest.roots == head.digest.roots
        assert part.digest.input != head.digest.input


def test_a_policy_in_python_is_cut_likewise():
    @policy
    def mirror(view, params):
        return static(view, params)

    for seed in (3, 9):
        c = case(seed)
        whole = replay(c.fixture, c.config, mirror)
        assert len(whole.plans)
        assert snapshot(replay(c.fixture, c.config, mirror, chunk=3)) == snapshot(whole)
        half = replay(c.fixture, c.config, mirror, until=len(c.fixture) // 2)
        assert snapshot(replay(c.fixture, c.config, mirror, resume=half)) == snapshot(whole)
        assert whole.provenance["policy"].endswith("mirror")
        assert len(whole.provenance["policy_source_sha256"]) == 64


def test_one_fixture_is_replayed_by_name_folder_and_object(monkeypatch, tmp_path):
    by_name = replay("binance_btcusdt_6m", until=5000)
    monkeypatch.chdir(tmp_path)
    assert snapshot(replay(str(REAL), until=5000)) == snapshot(replay(REAL, until=5000)) == snapshot(by_name)
    with pytest.raises(FixtureNotFound):
        replay("no_such_fixture")


def test_progress():
    c = case(4)
    calls: list[tuple[int, int]] = []
    n = len(c.fixture)
    replay(c.fixture, c.config, chunk=7, progress=lambda *now: calls.append(now))
    assert calls == [(done, n) for done in [*range(0, n, 7), n]]
    calls.clear()
    half = replay(c.fixture, c.config, until=n // 2)
    replay(c.fixture, c.config, resume=half, until=n - 1, progress=lambda *now: calls.append(now))
    assert calls == [(n // 2, n), (n - 1, n)]


# What a run knows about itself


def test_settings_go_over_those_of_the_fixture():
    real = Fixture.open(REAL)
    run = replay(real, Config(levels=3), until=100)
    assert (run.config.levels, str(run.config.quantity)) == (3, "0.002")
    assert run.digest.config == Config(levels=3).over(real.config).hash() != replay(real, until=100).digest.config
    assert run.digest.input == real.content
    assert (run.plans["levels_down"], run.plans["levels_up"]) == ([3], [3])


def test_what_a_run_says_of_itself():
    run = replay(REAL, until=777)
    assert (run.name, run.symbols, run.events, run.total) == ("binance_btcusdt_6m", ("BTCUSDT",), 777, 93_949)
    assert run.last_ts == int(Fixture.open(REAL).events.ts[776])
    assert len(run.market.ts) == 777
    for name in ("grinder", "source_sha256", "python", "numpy", "numba", "llvmlite", "cpu", "os", "jit"):
        assert name in run.provenance
    start = replay(REAL, until=0)
    assert [len(table) for table in start.tables.values()] == [0] * len(STAGES)
    assert start.summary()["equity"] == 10_000 * 10**8
    assert set(start.digest.roots.values()) == {"00" * 32}


# Refusals


def test_until_and_chunk_out_of_range():
    c = case(4)
    n = len(c.fixture)
    half = replay(c.fixture, c.config, until=n // 2)
    for options, message in (
        ({"until": -1}, f"until is -1, chunk .*: allowed are 0 to {n}"),
        ({"until": n + 1}, f"until is {n + 1}, .*: allowed are 0 to {n}"),
        ({"until": n // 2 - 1, "resume": half}, f"allowed are {n // 2} to {n}"),
        ({"chunk": 0}, "chunk 0: .* at least 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            replay(c.fixture, c.config, **options)


def test_resume_with_other_settings_or_data_is_refused():
    c = case(4)
    half = replay(c.fixture, c.config, until=len(c.fixture) // 2)
    with pytest.raises(ConfigError, match=r"cannot be resumed here: its config is [0-9a-f]{12}, here it is"):
        replay(c.fixture, Config(min_edge="77bp").over(c.config), resume=half)
    with pytest.raises(ConfigError, match="cannot be resumed here: its fixture content is"):
        replay(c.fixture.head(len(c.fixture) - 1), c.config, resume=half)
    with pytest.raises(ConfigError, match=r"its policy source is built-in, here it is [0-9a-f]{12}"):
        replay(c.fixture, c.config, static, resume=half)
    own = replay(c.fixture, c.config, static, until=3)
    with pytest.raises(ConfigError, match=r"its policy source is [0-9a-f]{12}, here it is built-in"):
        replay(c.fixture, c.config, resume=own)


def test_a_missing_quantity_names_the_symbol():
    instruments = [Instrument(symbol=name, kind="spot", tick_size="1", lot_size="1") for name in ("AA", "BB", "CC")]
    quotes = {
        "ts": [1_700_000_000_000_000_000] * 3,
        "symbol": [0, 1, 2],
        "bid_px": [9] * 3,
        "bid_qty": [1] * 3,
        "ask_px": [10] * 3,
        "ask_qty": [1] * 3,
    }
    fixture = Fixture.from_arrays(instruments, quotes=quotes)
    with pytest.raises(ConfigError, match="quantity of AA is missing"):
        replay(fixture)
    with pytest.raises(ConfigError, match="quantity of BB is missing: the static grid needs it"):
        replay(fixture, Config(quantity={"AA": "1", "CC": "1"}))
    with pytest.raises(ConfigError, match=r"quantity of CC 1\.5 is no multiple of 1"):
        replay(fixture, Config(quantity={"AA": "1", "BB": "1", "CC": "1.5"}))


def test_an_error_in_a_policy_says_where():
    def broken(view, params):
        return {}["nothing"]

    with pytest.raises(KeyError) as caught:
        replay(REAL, None, broken, until=10)
    (note,) = caught.value.__notes__
    assert "symbol BTCUSDT, event 0, 2024-08-08T23:54:16.313000000 UTC" in note


def test_a_failed_proof_of_the_engine_stops_the_run(monkeypatch):
    import grinder.session as module

    def fail(world, *_):
        world.run[0]["fault"] = 1
        return 5, 0, module.FAULT

    monkeypatch.setattr(module, "act", fail)
    with pytest.raises(LedgerError, match="event 5: equity from profits and equity from cash differ") as caught:
        replay(REAL, until=10)
    assert caught.value.exit_code == 1


def test_money_that_does_not_add_up_stops_the_run_at_its_next_mark():
    """One atom planted in mid-run: the error names the event of the first mark after it."""
    stopped = 0
    for seed in range(12):
        c = case(seed)
        half = len(c.fixture) // 2
        marks = [event for event in replay(c.fixture, c.config).ledger["event"].tolist() if event >= half]
        if not marks:
            continue
        planted = replay(c.fixture, c.config, until=half)
        planted.world.run[0]["cash"] += 1
        with pytest.raises(LedgerError, match=f"event {marks[0]}: equity from profits and equity from cash differ"):
            replay(c.fixture, c.config, resume=planted)
        stopped += 1
    assert stopped > 4


def test_events_are_only_read():
    real = Fixture.open(REAL)
    before = [np.array(column) for column in real.events]
    replay(real, until=20_000)
    assert all((left == right).all() for left, right in zip(before, real.events, strict=True))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"config": {"step": "5bp"}}, r"config is a dict: write gr.Config"),
        ({"policy": "static"}, "policy is a str: pass a function"),
        ({"resume": "run.grinder"}, "resume is a str: pass a Run"),
        ({"until": 2.0}, "until is 2.0: a whole number"),
        ({"until": True}, "until is True: a whole number"),
        ({"chunk": "10"}, "chunk is '10': a whole number"),
    ],
)
def test_arguments_of_a_wrong_kind_are_named(wrong, message):
    with pytest.raises(ConfigError, match=message):
        replay(case(1).fixture, **wrong)


@pytest.mark.parametrize(
    ("given", "wrong"), [(REAL, {"config": {"step": "5bp"}}), (REAL, {"policy": "static"}), ("no_such_fixture", {})]
)
def test_what_is_wrong_at_first_sight_is_told_before_anything_is_compiled(monkeypatch, given, wrong):
    """The first replay of all takes a quarter of a minute to compile."""
    monkeypatch.setattr(session, "compiled_in_two", lambda: pytest.fail("something is compiled"))
    with pytest.raises((ConfigError, FixtureNotFound)):
        replay(given, **wrong)


def test_numbers_of_numpy_are_numbers():
    c = case(1)
    assert replay(c.fixture, c.config, until=np.int32(5), chunk=np.uint8(3)).digest == replay(c.fixture, c.config, until=5).digest


# Settings that decide what is quarantined


def test_max_jump_belongs_to_the_loaded_fixture(tmp_path, monkeypatch, capsys):
    """By name or folder a fixture is loaded with the config of the replay; one that is loaded has to have the same `max_jump`."""
    monkeypatch.chdir(tmp_path)
    mid = np.where(np.arange(40) == 20, 1300, 1000)  # 30 % for one quote
    quotes = {
        "ts": 1_700_000_000_000_000_000 + np.arange(40) * 10**9,
        "symbol": np.zeros(40, np.int64),
        "bid_px": mid - 1,
        "ask_px": mid + 1,
    }
    quotes |= {"bid_qty": np.arange(40), "ask_qty": np.ones(40, np.int64)}
    coin = Instrument(symbol="COIN", kind="spot", tick_size="0.1", lot_size="0.01")
    made = write_fixture("fixtures/spike", [coin], {"quotes": quotes}, shows="a spike", config={"quantity": "0.1"})
    plain = replay("spike")
    assert plain.input["code"].tolist() == [Fault.JUMP]
    wide = Config(max_jump="30.1%")
    runs = [
        replay("spike", wide),
        replay("./fixtures/spike", wide),
        replay(fixture("spike", wide)),
        replay(fixture("spike", wide), wide),
    ]
    assert {len(run.input) for run in runs} == {0}
    assert len({run.digest.value for run in runs} | {plain.digest.value}) == 2
    assert runs[0].digest.input == plain.digest.input == made.content, "the data are the same"
    assert runs[0].config.changed() == {"max_jump": "0.301", "quantity": "0.1"}
    assert replay(made, Config(max_jump="0.20")).digest.value == plain.digest.value, "another spelling is the same setting"
    for loaded, config in ((made, wide), (fixture("spike", wide), Config(max_jump="20%"))):
        with pytest.raises(ConfigError, match=r"max_jump is 0\.\d+, but spike was loaded with 0\.\d+.*gr\.fixture\(name, config\)"):
            replay(loaded, config)
    assert main(["replay", "spike", "--json", "--set", "max_jump=30.1%"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == runs[0].digest.value
    with pytest.raises(ConfigError, match="its config is"):
        replay("spike", wide, resume=plain)


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir() if (path / "fixture.toml").is_file()))
def test_nothing_of_an_empty_tape_is_read(name, monkeypatch):
    """Its rows are whatever memory held: a writer fills each column."""
    data = fixture(FIXTURES / name)
    data = data.head(min(len(data), 30_000))
    configs = [
        Config(policy=policy, quantity={one.symbol: one.lot_size for one in data.instruments}) for policy in ("static", "smart")
    ]
    expected = [replay(data, config).digest for config in configs]

    def soiled(rows):
        tape = empty_tape(rows)
        for stage in STAGES:
            getattr(tape, stage).view("<i8")[:] = 0x5A5A5A5A5A5A5A5A
        return tape

    monkeypatch.setattr(session, "empty_tape", soiled)
    monkeypatch.setattr(data.observations, "_kept", {})
    assert [replay(data, config).digest for config in configs] == expected


# Settings


def test_settings_that_nothing_has_checked_are_checked():
    """A copy of pydantic's checks nothing, and kernels would write anywhere."""
    c = case(4)
    for wrong in ({"levels": 5000}, {"levels": "3x"}, {"policy": "nonsense"}, {"bar_interval_ms": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            replay(c.fixture, c.config.model_copy(update=wrong))


@pytest.mark.parametrize("name", ["range_day_l1", "three_days_l1", "memory"])
def test_settings_of_a_fixture_that_nothing_has_checked_are_checked(name):
    """Wherever a fixture comes from: one file a stream, one a day, arrays. The manifest is not blamed."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    quotes = {"ts": [1_700_000_000_000_000_000], "bid_px": [99], "bid_qty": [1], "ask_px": [101], "ask_qty": [1]}
    for wrong, fault in (
        (Config().model_copy(update={"levels": 5000}), "levels: "),
        ({"levels": 3}, r"is a dict: write gr\.Config"),
    ):
        with pytest.raises(ConfigError, match=fault) as error:
            fixture(name, wrong) if name != "memory" else Fixture.from_arrays([instrument], quotes=quotes, config=wrong)
        assert not hasattr(error.value, "__notes__")


def test_settings_that_do_not_go_with_the_manifests_name_it(tmp_path):
    """The caller wrote one of the two that do not go together."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    quotes = {"ts": [1_700_000_000_000_000_000], "symbol": [0], "bid_px": [99], "bid_qty": [1], "ask_px": [101], "ask_qty": [1]}
    folder = tmp_path / "made"
    write_fixture(folder, [instrument], {"quotes": quotes}, shows="", config={"fill_model": "cross", "penetration": 2})
    with pytest.raises(ConfigError, match="penetration 2 needs") as error:
        fixture(folder, Config(fill_model="mid_touch"))
    assert error.value.__notes__ == [f"in {folder / 'fixture.toml'}"]


def test_a_run_has_settings_of_its_own(tmp_path):
    c = case(4)
    config = Config(k_tail={"range": "1.5"}).over(c.config)
    run = replay(c.fixture, config)
    config.k_tail["range"] *= 3
    assert run.config.hash() == run.digest.config != config.hash()
    assert load(run.save(tmp_path / "a.grinder")).config == run.config
