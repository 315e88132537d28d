"""Generated days: the same to the bit everywhere, within every rule of SPEC 2.2, and of the character that they are named after."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import grinder.data.generator as module
from grinder.cli import main
from grinder.data.fixture import Fixture, fixture, read_manifest
from grinder.data.generator import CHARACTERS, DAY_S, PARAMETERS, generate_fixture, generate_quotes, regenerate
from grinder.data.instrument import Instrument
from grinder.data.validation import check_stream
from grinder.errors import ConfigError, DataError, IntegrityError
from grinder.session import replay
from tests import measures

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = {f"{character}_l1": character for character in CHARACTERS}
OTHER_SEEDS = (1, 2, 3, 4, 6, 9, 12, 2**63 - 1)
EVERYTHING = {"leg_pairs": 2, "shocks": 3, "shock_quiet_minutes": 0}
"""A day on which every parameter has something to act on."""
BUSY = {"leg_pairs": 6, "leg_minutes": 360, "shocks": 12, "shock_quiet_minutes": 0, "bursts_per_day": 2000}
"""A day whose first minutes hold it all: a leg fills each two hours, and with seed 9 a shock comes early."""
HEADS = (
    (BUSY, 9, 600),
    *((character.parameters, 5, 120) for character in CHARACTERS.values()),
    *(({name: getattr(p, end) for name, p in PARAMETERS.items()}, 2**63 - 1, 30) for end in ("low", "high")),
    *((EVERYTHING | {name: p.high}, 7, 10) for name, p in PARAMETERS.items()),
)
"""Parameters, seed and seconds; short, for they are made without the JIT too, where an integer that wraps is an error."""


def sha256(columns: dict[str, np.ndarray]) -> str:
    return hashlib.sha256(b"".join(name.encode() + values.astype("<i8").tobytes() for name, values in columns.items())).hexdigest()


def quotes_of(data: Fixture) -> dict[str, np.ndarray]:
    """The accepted quotes of a fixture."""
    rows = (data.events.kind == 2) & (data.events.fault == 0)
    return {name: getattr(data.events, name)[rows] for name in ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")}


def folder(name: str) -> Path:
    return ROOT / "fixtures" / name


@pytest.fixture(scope="module")
def days() -> dict[str, dict[str, np.ndarray]]:
    return {name: quotes_of(Fixture.open(folder(name))) for name in COMMITTED}


# The committed days


@pytest.mark.parametrize("name", COMMITTED)
def test_the_manifest_alone_makes_the_committed_content(name):
    committed = Fixture.open(folder(name))
    manifest = read_manifest(folder(name))
    assert set(manifest["generator"]) == {"character", "version", "seed", *PARAMETERS}
    assert all(type(manifest["generator"][parameter]) is int for parameter in PARAMETERS)
    assert regenerate(committed).content == committed.content == manifest["content_sha256"]
    assert {k: manifest["generator"][k] for k in PARAMETERS} == module.complete(CHARACTERS[COMMITTED[name]].parameters)


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_day_is_small_whole_and_clean(name):
    data = Fixture.open(folder(name))
    assert 100_000 <= len(data) <= 200_000
    assert (folder(name) / "quotes.parquet").stat().st_size <= 3_000_000
    assert not data.events.fault.any()
    first, last = int(data.events.ts[0]), int(data.events.ts[-1])
    assert first % (DAY_S * 10**9) == 0
    assert DAY_S * 10**9 - 10**9 < last - first < DAY_S * 10**9


def test_committed_days_follow_each_other():
    days = [read_manifest(folder(name))["generator"]["start_day"] for name in COMMITTED]
    assert days == list(range(days[0], days[0] + len(days)))


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_day_keeps_a_grid_busy(name):
    """Hundreds of fills on both sides, completed cycles that earn after fees, and the range day earns on the whole."""
    run = replay(Fixture.open(folder(name)))
    summary = run.summary()
    assert min(summary["buys"], summary["sells"], summary["cycles"]) >= 150
    assert summary["realised"] != 0
    assert (run.cycles.to_pandas()["net"].dropna().astype(float) > 0).all()
    if name == "range_day_l1":
        assert summary["realised"] + summary["unrealised"] - summary["fees"] > 0


# Characters, measured on 60 s bars


def test_range_day(days):
    quotes = days["range_day_l1"]
    one = measures.day(quotes)
    natr = one.natr[14:]
    assert 8 <= np.median(natr) <= 15
    assert np.mean((natr >= 8) & (natr <= 15)) >= 0.6
    assert np.percentile(natr, 95) < 20
    assert measures.trending(one)[0] < 0.05
    assert np.median(one.efficiency[60:]) < 0.12
    start = one.close[0]
    crossings = np.count_nonzero(np.diff(np.sign(one.close - start)))
    assert crossings >= 20, "the price returns to its level"
    assert abs(one.close - start).max() < 0.02 * start
    assert measures.episodes(one) == []


def test_trend_day(days):
    one = measures.day(days["trend_day_l1"])
    share, up, down = measures.trending(one)
    assert 0.25 <= share <= 0.40
    assert up >= 0.10
    assert down >= 0.10
    assert 0.25 <= np.mean(one.efficiency[60:] > 0.35) <= 0.40
    hours = one.close[::180]
    assert np.diff(hours).max() > 0.015 * hours[0], "a leg up: over 1.5 % in three hours"
    assert np.diff(hours).min() < -0.015 * hours[0]


def test_vol_shock(days):
    quotes = days["vol_shock_l1"]
    one = measures.day(quotes)
    shocks = measures.episodes(one)
    assert len(shocks) == CHARACTERS["vol_shock"].parameters["shocks"]
    assert np.median(one.natr[14 : shocks[0]]) < 8, "quiet before the first"
    assert np.mean(one.natr[14:] > 25) >= 0.2
    spread, size = quotes["ask_px"] - quotes["bid_px"], np.minimum(quotes["bid_qty"], quotes["ask_qty"])
    minute = (quotes["ts"] - quotes["ts"][0]) // measures.MINUTE
    usual_spread, usual_size = spread[minute < shocks[0] - 1].mean(), np.median(size[minute < shocks[0] - 1])
    for i in shocks:
        struck, later = (minute >= i) & (minute < i + 5), (minute >= i + 60) & (minute < i + 75)
        assert spread[struck].mean() > 20 * usual_spread
        assert np.median(size[struck]) < usual_size / 4
        assert one.natr[i : i + 10].max() > 4 * np.median(one.natr[14 : shocks[0]])
        assert spread[later].mean() < spread[struck].mean() / 3, "and recovers"
        assert np.median(size[later]) > 2 * np.median(size[struck])
        assert one.natr[i + 75] < one.natr[i : i + 30].max() * 0.7


@pytest.mark.parametrize("seed", OTHER_SEEDS)
def test_any_seed_gives_a_day_of_the_character(seed):
    """The same targets, wider, for seeds differ as days do; all of the seeds 1 to 79 keep them."""
    range_day, trend_day, vol_shock = (
        measures.day(generate_quotes(CHARACTERS[name].parameters, seed)) for name in ("range_day", "trend_day", "vol_shock")
    )
    assert 7.5 <= np.median(range_day.natr[14:]) <= 15
    assert measures.trending(range_day)[0] < 0.05
    assert abs(range_day.close / range_day.close[0] - 1).max() < 0.05
    share, up, down = measures.trending(trend_day)
    assert 0.10 <= share <= 0.50
    assert min(up, down) >= 0.015
    assert np.mean(vol_shock.natr[14:] > 25) >= 0.12
    assert len(measures.episodes(vol_shock)) >= 4


def test_the_table_in_the_docstring_is_what_is_measured(days):
    named = {"recording": recorded()} | {name.removesuffix("_l1"): quotes for name, quotes in days.items()}
    lines = [f"    {line}".rstrip() for line in measures.table(named).splitlines()]
    assert "\n".join(lines) in module.__doc__


def recorded() -> dict[str, np.ndarray]:
    import polars as pl

    frame = pl.read_parquet(folder("binance_btcusdt_6m") / "quotes.parquet")
    return {name: frame[name].to_numpy().astype(np.int64) for name in ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")}


def test_a_range_day_is_like_the_recording(days):
    """The statistics that matter to a grid, against the real recording; the table has all of them."""
    real, made = (measures.statistics(quotes) for quotes in (recorded(), days["range_day_l1"]))
    for key in ("quotes with a spread of one tick", "quotes at the time of the one before", "asks at a multiple of ten ticks"):
        assert abs(int(real[key][:-1]) - int(made[key][:-1])) <= 4, key
    for key in ("deviation of gaps over their mean", "deviation of 1 s returns (bp)", "deviation of 10 s returns (bp)"):
        assert 0.8 <= float(made[key]) / float(real[key]) <= 1.25, key
    for key in ("kurtosis of 1 s returns", "bid sizes, median (lots)", "bid sizes, 95th percentile (lots)"):
        assert 0.7 <= float(made[key]) / float(real[key]) <= 1.4, key


# The same to the bit


PROBE = """
import json
from tests.test_generator import heads
print(json.dumps(heads()))
"""


def heads() -> list[str]:
    return [sha256(generate_quotes(parameters, seed, seconds=seconds)) for parameters, seed, seconds in HEADS]


@pytest.mark.parametrize("environment", ["PYTHONHASHSEED=1", "TZ=Asia/Tokyo", "NUMBA_CPU_NAME=generic", "NUMBA_DISABLE_JIT=1"])
def test_another_process_makes_the_same(environment):
    name, _, value = environment.partition("=")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))), name: value},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == heads()


def test_the_busy_head_is_busy():
    """Else equal heads would prove little: its leg and its shock have begun."""
    drift, push, kick = module._schedule(module.complete(BUSY), 9)
    assert all(column[:300].any() for column in (drift, push, kick))


def test_twice_the_same():
    assert sha256(generate_quotes(EVERYTHING, 8)) == sha256(generate_quotes(EVERYTHING, 8))


def test_a_head_is_the_day_cut_off():
    whole = generate_quotes(EVERYTHING, 3)
    for seconds in (1, 61, 40_000):
        head = generate_quotes(EVERYTHING, 3, seconds=seconds)
        rows = len(head["ts"])
        assert 0 < rows < len(whole["ts"])
        assert all((head[name] == whole[name][:rows]).all() for name in whole)


def test_draws_are_splitmix64():
    """The known first outputs of splitmix64 from state 0, and of ours by the same formula in Python's own integers."""

    def splitmix(x: int) -> int:
        x = (x + 1) * 0x9E3779B97F4A7C15 % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    assert splitmix(0) == 0xE220A8397B1DCDAF
    assert splitmix(1) == 0x6E789E6AA1B965F4
    for seed in (0, 9, 2**63 - 1):
        start = splitmix(seed ^ splitmix(1))
        assert module._draws(seed, "slow", 50).tolist() == [splitmix((start + i) % 2**64) >> 1 for i in range(50)]


def test_streams_and_seeds_are_apart():
    draws = [tuple(module._draws(seed, stream, 8).tolist()) for seed in range(20) for stream in module._STREAMS]
    assert len({value for row in draws for value in row}) == 8 * len(draws)


def test_deviates():
    u = module._draws(1, "price", 20_000).tolist()
    normal = np.array([module.gauss(x) for x in u]) / 65_536
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.02
    assert np.abs(normal).max() <= 3.5
    waiting = np.array([module.expo(x) for x in u]) / 1024
    assert abs(waiting.mean() - 1) < 0.02
    assert abs(np.mean(waiting > 2) - math.exp(-2)) < 0.02
    assert waiting.min() >= 0
    assert module.expo(0) / 1024 <= 21
    for x in (-3.0, -2.5, -1.0, -0.25, 0.0, 0.5, 1.0, 3.7, 6.0):
        assert abs(module.exp2(int(x * 65_536)) / 65_536 / 2**x - 1) < 0.07
    assert module.exp2(-(10**9)) == module.exp2(-3 * 65_536)
    assert module.exp2(10**9) == module.exp2(6 * 65_536)


# Rules, ranges, sensitivity


def assert_lawful(quotes: dict[str, np.ndarray], parameters: dict[str, int]) -> None:
    ts, bid, ask = quotes["ts"], quotes["bid_px"], quotes["ask_px"]
    start = parameters.get("start_day", PARAMETERS["start_day"].default) * DAY_S * 10**9
    assert ts[0] == start
    assert start + (DAY_S - 1) * 10**9 <= ts[-1] < start + DAY_S * 10**9
    assert (np.diff(ts) >= 0).all()
    assert (np.diff(ts) < (parameters.get("gap_max_ms", PARAMETERS["gap_max_ms"].default) + 300) * 10**6).all()
    assert bid.min() >= 1
    assert (bid < ask).all()
    assert min(quotes["bid_qty"].min(), quotes["ask_qty"].min()) >= 1
    assert (abs(np.diff(bid + ask)) * 5 < (bid + ask)[:-1]).all(), "no jump of SPEC 2.2"
    columns = {**quotes, "symbol": np.zeros(len(ts), np.int64)}
    assert not check_stream("quotes", {"quotes": columns}, 1, "memory").any()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries({}, optional={name: st.integers(p.low, p.high) for name, p in PARAMETERS.items()}),
    st.integers(0, 2**63 - 1),
)
def test_every_allowed_day_is_lawful(parameters, seed):
    assert_lawful(generate_quotes(parameters, seed), parameters)


@pytest.mark.parametrize("end", ["low", "high"])
def test_the_ends_of_all_ranges_at_once_are_lawful(end):
    parameters = {name: getattr(p, end) for name, p in PARAMETERS.items()}
    assert_lawful(generate_quotes(parameters, 1), parameters)


@pytest.mark.parametrize("end", ["low", "high"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_the_end_of_a_range_is_lawful(name, end):
    parameters = EVERYTHING | {name: getattr(PARAMETERS[name], end)}
    assert_lawful(generate_quotes(parameters, 2), parameters)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_matters(name):
    known, base = PARAMETERS[name], sha256(generate_quotes(EVERYTHING, 1))
    value = EVERYTHING.get(name, known.default)
    other = value + max(1, value // 10) if value + max(1, value // 10) <= known.high else value - 1
    assert sha256(generate_quotes(EVERYTHING | {name: other}, 1)) != base


def test_every_seed_matters():
    assert len({sha256(generate_quotes({}, seed, seconds=60)) for seed in (0, 1, 2, 3, 2**31, 2**32, 2**63 - 1)}) == 7


@pytest.mark.parametrize("name", PARAMETERS)
def test_wrong_parameters_are_named(name):
    known = PARAMETERS[name]
    for wrong in (known.low - 1, known.high + 1, 2**80, float(known.default), True, str(known.default), None):
        with pytest.raises(ConfigError) as caught:
            generate_quotes({name: wrong}, 1)
        for part in (name, repr(wrong), str(known.low), str(known.high)):
            assert part in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "word"),
    [({"seed": -1}, "seed = -1"), ({"seed": 2**63}, "seed"), ({"seed": 1.0}, "seed"), ({"seconds": 0}, "seconds = 0")],
)
def test_wrong_seeds_and_lengths_are_named(keywords, word):
    with pytest.raises(ConfigError, match=word):
        generate_quotes({}, **({"seed": 1} | keywords))


def test_unknown_parameters_are_named():
    with pytest.raises(ConfigError, match=r"no parameter 'tick'.*price_ticks"):
        generate_quotes({"tick": 1}, 1)


def test_names_end_in_their_units():
    units = ("_day", "_ticks", "_bp", "_bp100", "_pct", "_minutes", "_seconds", "_ms", "_lots", "_pairs", "shocks")
    assert [name for name in PARAMETERS if not name.endswith(units)] == []


def test_two_seeds_make_two_symbols_of_one_fixture():
    """What a fixture of several symbols will be made of."""
    days = [generate_quotes({"price_ticks": price}, seed, seconds=600) for price, seed in ((618_000, 1), (34_000, 2))]
    instruments = [Instrument(symbol=name, kind="perpetual", tick_size="0.1", lot_size="0.001") for name in ("BTCUSDT", "ETHUSDT")]
    symbol = np.repeat([0, 1], [len(day["ts"]) for day in days])
    both = {name: np.concatenate([day[name] for day in days]) for name in days[0]} | {"symbol": symbol}
    order = np.argsort(both["ts"], kind="stable")
    data = Fixture.from_arrays(instruments, quotes={name: values[order] for name, values in both.items()})
    assert len(data) == len(order)
    assert not data.events.fault.any()


# Folders


def test_generate_fixture_writes_what_it_says(tmp_path):
    made = generate_fixture("vol_shock", 21, tmp_path / "shaken", parameters={"shocks": 2})
    assert made.manifest["generator"]["shocks"] == 2
    assert made.manifest["generator"]["seed"] == 21
    assert regenerate(fixture(tmp_path / "shaken")).content == made.content
    assert replay(made).summary()["fills"] > 0


def test_a_folder_in_the_way_and_a_wrong_character_leave_nothing(tmp_path):
    (tmp_path / "day").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        generate_fixture("range_day", 1, tmp_path / "day")
    with pytest.raises(ConfigError, match=r"'storm'; there are range_day, trend_day, vol_shock"):
        generate_fixture("storm", 1, tmp_path / "storm")
    assert [path.name for path in tmp_path.rglob("*")] == ["day"]


def with_generator(**changes: object) -> Fixture:
    data = Fixture.open(folder("range_day_l1"))
    generator = {k: v for k, v in ({**data.manifest["generator"]} | changes).items() if v is not None}
    return data._replace(manifest={**data.manifest, "generator": generator})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 6}, "gives content"),
        ({"size_lots": 3_701}, "gives content"),
        ({"version": 99}, "version = 99; this grinder generates version 1"),
        ({"version": None}, "version = None"),
        ({"seed": None}, "seed = None"),
        ({"shocks": None}, "lacks shocks"),
        ({"shocks": 99}, "shocks = 99: allowed are whole numbers from 0 to 12"),
        ({"colour": 1}, "no parameter 'colour'"),
    ],
)
def test_a_manifest_that_does_not_make_the_content(changes, words):
    with pytest.raises(IntegrityError, match=words) as caught:
        regenerate(with_generator(**changes))
    assert "range_day_l1" in str(caught.value)


def test_a_recording_cannot_be_regenerated():
    with pytest.raises(DataError, match="was not generated"):
        regenerate(Fixture.open(folder("binance_btcusdt_6m")))


# The command


def command(capsys, *words: str, code: int = 0) -> tuple[str, str]:
    assert main(words) == code
    return capsys.readouterr()


def test_command_makes_a_day_and_checks_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("--seed", "77", "--out", "fixtures/mine", "--set", "price_ticks=500000", "--json")
    out, err = command(capsys, "generate", "range_day", *words)
    made = Fixture.open("fixtures/mine")
    body = json.loads(out)
    assert err == ""
    assert body == {"content": made.content, "events": len(made), "fixture": "mine"}
    assert made.manifest["generator"]["price_ticks"] == 500_000
    out, _ = command(capsys, "generate", "--check")
    assert out == f"mine: generated again, equal, {body['content']}\n"
    out, _ = command(capsys, "generate", "--check", "mine", "--json")
    assert json.loads(out) == {"content": body["content"], "equal": True, "fixture": "mine"}
    manifest = Path("fixtures/mine/fixture.toml")
    manifest.write_text(manifest.read_text().replace("seed = 77", "seed = 78"))
    _, err = command(capsys, "generate", "--check", "mine", code=3)
    assert "fixture.toml: [generator] gives content" in err


def test_command_checks_the_committed_days(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    out, _ = command(capsys, "generate", "--check")
    assert [line.partition(":")[0] for line in out.splitlines()] == list(COMMITTED)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "needs a character and --out"),
        (("range_day",), 2, "needs a character and --out"),
        (("storm", "--out", "x"), 2, "no character 'storm'"),
        (("range_day", "--out", "x", "--set", "shocks=13"), 2, "shocks = 13: allowed are whole numbers from 0 to 12"),
        (("range_day", "--out", "x", "--set", "shocks=-1"), 2, "shocks = '-1'"),
        (("range_day", "--out", "x", "--seed", "-1"), 2, "seed = -1"),
        (("range_day", "--out", "X"), 2, "fixture name 'X'"),
        (("range_day", "--check"), 2, "takes fixtures and nothing else"),
        (("--check", "binance_btcusdt_6m"), 3, "was not generated"),
        (("--check", "no_such_day"), 3, "no fixture 'no_such_day'"),
    ],
)
def test_command_errors(tmp_path, monkeypatch, capsys, words, code, told):
    monkeypatch.chdir(tmp_path)
    out, err = command(capsys, "generate", *words, code=code)
    assert out == ""
    assert told in err
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_characters(capsys):
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    out = capsys.readouterr().out
    assert all(character in out for character in CHARACTERS)
