"""Quotes in several files: the same as in one, however they are cut; every fault with its file and row; memory that stays."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
import threading
import tomllib
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import grinder.data.daily as module
from grinder.cli import main
from grinder.config import Config
from grinder.data.characters import CHARACTERS
from grinder.data.daily import Daily, join_days, write_daily
from grinder.data.fixture import Fixture, fixture, to_toml, write_fixture
from grinder.data.generator import complete, generate_day
from grinder.data.inspection import inspect
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, DataError, InputFault, IntegrityError
from grinder.golden import verify, write_digest
from grinder.records import Fault, InputKind
from grinder.run import load
from grinder.session import replay

DAY = 86_400_000_000_000
T0 = 1_712_016_000_000_000_000
NAMES = ("ts", "symbol", "bid_px", "bid_qty", "ask_px", "ask_qty")
INSTRUMENTS = [Instrument(symbol=name, kind="perpetual", tick_size="0.1", lot_size="0.001") for name in ("ALFA", "BETA", "GAMA")]
ALFA = INSTRUMENTS[:1]
POLICIES = (
    {"policy": "static", "step": "3bp", "levels": 4, "quantity": "0.002"},
    {"policy": "smart", "thin_quote": "1", "bar_interval_ms": 2000, "max_gap_ms": 60_000},
    {"policy": "static", "risk_monitor": True, "step": "3bp", "quantity": "0.002", "bar_interval_ms": 500},
)


def tape(seed: int, symbols: int, rows: int = 240) -> dict[str, np.ndarray]:
    """Random quotes with equal times, repeated, empty, far-off rows and gaps; each symbol is there from the first rows on."""
    rng = np.random.default_rng(seed)
    steps = rng.choice((0, 0, 1, 400_000_000, 2_000_000_000), rows)
    steps[rng.integers(1, rows, 2)] = 700_000_000_000
    symbol = np.concatenate([np.arange(symbols), rng.integers(0, symbols, rows - symbols)])
    mid = 600_000 + 1000 * symbol + np.cumsum(rng.integers(-300, 301, rows))
    mid[rng.integers(symbols, rows, 1)] *= 2
    out = {"ts": T0 + np.cumsum(steps), "symbol": symbol, "bid_px": mid - rng.integers(0, 3, rows)}
    out |= {"bid_qty": rng.integers(0, 9, rows), "ask_px": mid + rng.integers(0, 3, rows), "ask_qty": rng.integers(0, 9, rows)}
    for i in rng.integers(symbols, rows, 6):
        for name in NAMES:
            out[name][i] = out[name][i - 1]
    return {name: np.asarray(out[name], np.int64) for name in NAMES}


def cut_at(columns: dict[str, np.ndarray], places: list[int]) -> list[dict[str, np.ndarray]]:
    edges = [0, *places, len(columns["ts"])]
    return [{name: values[a:b] for name, values in columns.items()} for a, b in pairwise(edges)]


def quiet(rows: int, start: int = T0, price: int = 600_000) -> dict[str, np.ndarray]:
    """A row a second of one symbol, none of which is remarkable."""
    i = np.arange(rows)
    whole = {"ts": start + i * 10**9, "symbol": 0 * i, "bid_px": price + i % 7, "bid_qty": 5 + i % 3, "ask_px": price + 1 + i % 7}
    return whole | {"ask_qty": 6 + i % 2}


def write(folder: Path, days: list[dict[str, np.ndarray]], instruments: list[Instrument] = ALFA, **config: object) -> Daily:
    return write_daily(folder, instruments, days, shows="", config=config or POLICIES[0], compression_level=1)


def edit(folder: Path, change) -> None:
    """Change the manifest."""
    file = folder / "fixture.toml"
    manifest = tomllib.loads(file.read_text("utf-8"))
    change(manifest)
    file.write_text(to_toml(manifest), "utf-8")


def put(folder: Path, name: str, frame: pl.DataFrame) -> None:
    """Write another file in place of one, and have the manifest vouch for it."""
    file = folder / name
    frame.write_parquet(file)

    def vouch(manifest):
        for entry in manifest["streams"]["quotes"]:
            if entry["file"] == name:
                entry |= {"rows": frame.height, "bytes_sha256": sha256(file.read_bytes()).hexdigest()}

    edit(folder, vouch)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("grinder-read")]


# The same, however it is cut


@pytest.mark.parametrize("seed", range(9))
def test_files_and_chunks_change_nothing(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed + 1000)
    symbols, config = seed % 3 + 1, POLICIES[seed // 3]
    columns, instruments = tape(seed, symbols), INSTRUMENTS[:symbols]
    one = Fixture.from_arrays(instruments, quotes=columns, config=Config(**config))
    whole = replay(one)
    assert len(whole.input) > 3, "there is something to carry"
    places = sorted({int(place) for place in rng.integers(1, len(columns["ts"]), 9)})
    for number, slab in enumerate((1, 3, 50, 1 << 18)):
        monkeypatch.setattr(module, "SLAB", slab)
        made = write(tmp_path / f"cut_{number}", cut_at(columns, places[: 3 * number]), instruments, **config)
        assert isinstance(made, Daily) and len(made.parts) == len(places[: 3 * number]) + 1
        assert (made.content, made.price_range, len(made)) == (one.content, one.price_range, len(one))
        for chunk in (1, 17, 1 << 20):
            run = replay(made, chunk=chunk)
            assert run.digest.value == whole.digest.value
            assert (run.first_ts, run.last_ts, run.total) == (whole.first_ts, whole.last_ts, whole.total)
        assert all((a == b).all() and a.dtype == b.dtype for a, b in zip(made.load().events, one.events, strict=True))


@pytest.mark.parametrize("config", POLICIES)
def test_stopped_and_resumed_at_any_event(tmp_path, monkeypatch, config):
    monkeypatch.setattr(module, "SLAB", 40)
    columns = tape(5, 2)
    made = write(tmp_path / "days", cut_at(columns, [100, 180]), INSTRUMENTS[:2], **config)
    whole = replay(made)
    for until in (0, 1, 39, 40, 41, 100, 137, 239, 240):
        head = replay(made, until=until)
        in_memory = replay(made.load(), until=until)
        assert head.digest.value == in_memory.digest.value and head.last_ts == in_memory.last_ts
        head.save(tmp_path / "head")
        assert replay(made, resume=load(tmp_path / "head"), chunk=23).digest.value == whole.digest.value
    assert readers() == []


def test_three_days_are_what_the_generator_makes_and_give_their_golden(tmp_path):
    days = []
    for i in range(3):
        given = complete({**CHARACTERS["range_day"].parameters, "quotes_per_day": 15_000, "start_day": 19_814 + i})
        day = generate_day(given, 41 + i)["quotes"]
        days.append({**day, "symbol": np.zeros(len(day["ts"]), np.int64)})
    data = fixture("three_days_l1")
    assert isinstance(data, Daily) and len(data.parts) == 3
    columns = {name: np.concatenate([day[name] for day in days]) for name in days[0]}
    one = Fixture.from_arrays(data.instruments, quotes=columns, config=data.config)
    assert one.content == data.content
    golden = json.loads((data.path / "digest.json").read_text("utf-8"))["digest"]
    assert replay(one).digest.value == golden
    for chunk in (5_000, 34_291, 1 << 20):
        assert replay(data, chunk=chunk).digest.value == golden
    halves = write(tmp_path / "halves", cut_at(columns, [12, 50_000, 99_999]), list(data.instruments), **data.config.changed())
    assert replay(halves).digest.input == data.content


def test_a_day_that_is_missing_is_a_gap(tmp_path):
    first, third = quiet(100), quiet(100, T0 + 2 * DAY)
    run = replay(write(tmp_path / "days", [first, third]))
    assert run.input["kind"].tolist() == [InputKind.GAP]
    assert run.input["event"].tolist() == [100]


def test_rows_are_judged_by_those_of_the_file_before(tmp_path):
    columns = quiet(30)
    for name in NAMES:
        columns[name][10] = columns[name][9]  # the same row twice, in two files
    columns["bid_px"][20], columns["ask_px"][20] = 1_600_000, 1_600_001
    run = replay(write(tmp_path / "days", cut_at(columns, [10, 20])))
    assert list(zip(run.input["event"].tolist(), run.input["code"].tolist(), strict=True)) == [
        (10, Fault.DUPLICATE),
        (20, Fault.JUMP),
    ]


# Faults


def test_files_out_of_order(tmp_path):
    folder = write(tmp_path / "days", [quiet(50), quiet(50, T0 + DAY), quiet(50, T0 + 2 * DAY)]).path
    edit(folder, lambda manifest: manifest["streams"]["quotes"].reverse())
    with pytest.raises(InputFault, match="a file out of order") as caught:
        fixture(folder)
    fault = caught.value
    assert (Path(fault.file).name, fault.row, fault.column, fault.value) == ("quotes_0001.parquet", 0, "ts", T0 + DAY)
    assert fault.cure == "fixture.toml lists files in time order: list quotes_0001.parquet before quotes_0002.parquet"


def test_files_that_overlap(tmp_path):
    with pytest.raises(InputFault, match="files overlap in time") as caught:
        write(tmp_path / "days", [quiet(50), quiet(50, T0 + 20 * 10**9)])
    assert Path(caught.value.file).name == "quotes_0001.parquet" and caught.value.row == 0
    assert f"quotes_0000.parquet ends at {T0 + 49 * 10**9}" in caught.value.cure
    assert list(tmp_path.iterdir()) == [], "nothing is half written"


@pytest.mark.parametrize("at", [0, 39, 40, 55])
def test_rows_out_of_order_within_a_file(tmp_path, monkeypatch, at):
    monkeypatch.setattr(module, "SLAB", 40)
    later = quiet(60, T0 + DAY)
    later["ts"][at:] -= 5_000_000_000 if at else 0
    if not at:
        later["ts"][40:] -= 10**9 * 2
    with pytest.raises(InputFault, match="timestamps out of order") as caught:
        write(tmp_path / "days", [quiet(60), later])
    assert (Path(caught.value.file).name, caught.value.row) == ("quotes_0001.parquet", at or 40)
    assert "sort" in caught.value.cure


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("bid_px", 0, "value out of range"),
        ("ask_qty", -1, "value out of range"),
        ("symbol", 1, "value out of range"),
        ("ts", 5, "time out of range"),
    ],
)
@pytest.mark.parametrize("symbols", [1, 2])
def test_a_row_that_is_rejected_is_told_with_its_file(tmp_path, monkeypatch, column, value, reason, symbols):
    monkeypatch.setattr(module, "SLAB", 16)
    days = [quiet(50), quiet(50, T0 + DAY)]
    days[0]["symbol"][1] = symbols - 1
    days[1][column][37] = value if column != "symbol" else symbols
    with pytest.raises(InputFault, match=reason) as caught:
        write(tmp_path / "days", days, INSTRUMENTS[:symbols])
    fault = caught.value
    assert (Path(fault.file).name, fault.row, fault.column) == ("quotes_0001.parquet", 37, column)


@pytest.mark.parametrize("symbols", [1, 2])
def test_two_jumps_in_a_row_across_files(tmp_path, monkeypatch, symbols):
    monkeypatch.setattr(module, "SLAB", 16)
    first, second = quiet(50), quiet(50, T0 + DAY)
    first["symbol"][1] = second["symbol"][1] = symbols - 1
    for day, row in ((first, 49), (second, 0)):
        day["bid_px"][row], day["ask_px"][row] = 1_600_000, 1_600_001
    with pytest.raises(InputFault, match="second price jump in a row") as caught:
        write(tmp_path / "days", [first, second], INSTRUMENTS[:symbols])
    fault = caught.value
    assert (Path(fault.file).name, fault.row, fault.column, fault.value) == ("quotes_0001.parquet", 0, "bid_px", 1_600_000)


@pytest.mark.parametrize("crossed", [2, 3])
def test_the_share_of_crossed_rows_is_of_all_files(tmp_path, monkeypatch, crossed):
    monkeypatch.setattr(module, "SLAB", 100)
    days = [quiet(1000), quiet(1000, T0 + DAY)]
    for i in range(crossed):
        days[i % 2]["bid_px"][500 + i] += 5
    if crossed == 2:  # 0.1 %, which is not more
        found = replay(write(tmp_path / "days", days)).input
        assert found["code"][found["kind"] == InputKind.QUARANTINED].tolist() == [Fault.CROSSED] * 2
        return
    with pytest.raises(InputFault, match="3 of 2000 rows are crossed"):
        write(tmp_path / "days", days)


def test_files_that_are_not_what_the_manifest_says(tmp_path):
    folder = write(tmp_path / "days", [quiet(50), quiet(50, T0 + DAY)]).path
    file = folder / "quotes_0001.parquet"
    body = file.read_bytes()
    frame = pl.read_parquet(file)
    file.unlink()
    with pytest.raises(IntegrityError, match=r"quotes_0001\.parquet: is missing, the manifest lists it; restore it"):
        fixture(folder)
    file.write_bytes(body[:200])
    with pytest.raises(IntegrityError, match=r"quotes_0001\.parquet: no readable Parquet"):
        fixture(folder)
    flipped = bytearray(body)
    flipped[40] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(IntegrityError, match=r"quotes_0001\.parquet: (sha256 is|no readable Parquet)"):
        replay(fixture(folder))
    file.write_bytes(body)
    edit(folder, lambda manifest: manifest["streams"]["quotes"][1].update(rows=49))
    with pytest.raises(IntegrityError, match="holds 50 rows, the manifest says 49"):
        fixture(folder)
    edit(folder, lambda manifest: manifest["streams"]["quotes"][1].update(rows=0))
    with pytest.raises(InputFault, match=r"quotes_0001\.parquet: no_ticks"):
        fixture(folder)
    put(folder, "quotes_0001.parquet", frame.drop("ask_qty"))
    with pytest.raises(InputFault, match=r"quotes_0001\.parquet, column ask_qty: missing column"):
        fixture(folder)
    put(folder, "quotes_0001.parquet", frame.with_columns(price=pl.col("bid_px")))
    with pytest.raises(InputFault, match=r"quotes_0001\.parquet, column price: extra column"):
        fixture(folder)
    put(folder, "quotes_0001.parquet", frame.with_columns(pl.col("bid_px") * 1.5))
    with pytest.raises(InputFault, match=r"quotes_0001\.parquet, column bid_px, .*not an integer column"):
        fixture(folder)
    put(
        folder,
        "quotes_0001.parquet",
        frame.with_columns(pl.when(pl.col("ts") > T0 + DAY + 41 * 10**9).then("bid_px").alias("bid_px")),
    )
    with pytest.raises(InputFault, match=r"quotes_0001\.parquet, row 0, column bid_px: a value is missing"):
        replay(fixture(folder))
    put(folder, "quotes_0001.parquet", frame)
    assert replay(fixture(folder)).complete
    assert readers() == []


def test_a_missing_value_beyond_the_first_slab(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SLAB", 16)
    folder = write(tmp_path / "days", [quiet(50), quiet(50, T0 + DAY)]).path
    frame = pl.read_parquet(folder / "quotes_0001.parquet")
    for column, row in (("bid_px", 37), ("ts", 49), ("ts", 0)):
        one = frame.with_row_index("n").with_columns(pl.when(pl.col("n") != row).then(column).alias(column)).drop("n")
        put(folder, "quotes_0001.parquet", one)
        with pytest.raises(InputFault, match=rf"quotes_0001\.parquet, row {row}, column {column}: a value is missing"):
            replay(fixture(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m["streams"].update(trades=m["streams"]["quotes"][0]),
            r"streams\.trades beside .* only quotes alone can be cut",
        ),
        (lambda m: m.update(streams={"trades": m["streams"]["quotes"]}), r"streams\.trades beside .* only quotes alone can be cut"),
        (lambda m: m["streams"]["quotes"].append(m["streams"]["quotes"][0]), r"lists quotes_0000\.parquet twice"),
        (lambda m: m["streams"].update(quotes=[]), "no_ticks: streams.quotes lists not one file"),
        (lambda m: m["streams"].update(quotes=["quotes_0000.parquet"]), "a file is a table of file, rows and bytes_sha256"),
        (lambda m: m["streams"]["quotes"][1].update(sum=1), r"unknown key streams\.quotes\.sum"),
        (lambda m: m["streams"]["quotes"][1].update(file="../x.parquet"), "no plain name ending in .parquet"),
        (lambda m: m.update(price_range=[[1, 2], [1, 2]]), "smallest and largest price in ticks by instrument"),
        (lambda m: m.update(price_range=[[1]]), "smallest and largest price in ticks by instrument"),
        (lambda m: m["config"].update(levels=0), "levels"),
    ],
)
def test_manifests_that_are_refused(tmp_path, change, message):
    folder = write(tmp_path / "days", [quiet(50), quiet(50, T0 + DAY)]).path
    edit(folder, change)
    with pytest.raises((DataError, ConfigError), match=message):
        fixture(folder)


def test_a_price_range_is_for_several_files(tmp_path):
    write_fixture(tmp_path / "one", ALFA, {"quotes": quiet(5)}, shows="")
    edit(tmp_path / "one", lambda manifest: manifest.update(price_range=[[1, 2]]))
    with pytest.raises(IntegrityError, match="price_range stands beside quotes of several files"):
        fixture(tmp_path / "one")


@pytest.mark.parametrize("told", [[600_001, 600_007], [600_000, 600_006], [599_999, 600_007], [600_000, 600_008]])
def test_the_price_range_is_held_against_the_data(tmp_path, told):
    made = write(tmp_path / "days", [quiet(50), quiet(50, T0 + DAY)])
    assert made.price_range == ((600_000, 600_007),)
    edit(made.path, lambda manifest: manifest.update(price_range=[told]))
    with pytest.raises(IntegrityError, match="price_range"):
        replay(fixture(made.path))


def test_the_price_range_is_measured_where_it_is_not_told(tmp_path):
    columns = quiet(50)
    columns["bid_px"][20], columns["ask_px"][20] = 660_000, 660_001  # 10 %: a jump under a smaller max_jump
    made = write(tmp_path / "days", cut_at(columns, [20]))
    assert fixture(made.path, Config(max_jump="5%")).price_range == ((600_000, 600_007),)
    whole = Fixture.from_arrays(ALFA, quotes=columns, config=Config(max_jump="5%", **POLICIES[0]))
    assert replay(fixture(made.path, Config(max_jump="5%"))).digest.value == replay(whole).digest.value
    digest = replay(made).digest.value
    edit(made.path, lambda manifest: manifest.pop("price_range"))
    assert fixture(made.path).price_range == made.price_range == ((600_000, 660_001),)
    assert replay(fixture(made.path)).digest.value == digest


def test_every_symbol_needs_a_quote(tmp_path):
    with pytest.raises(DataError, match="BETA has no accepted quote"):
        write(tmp_path / "days", [quiet(50), quiet(50, T0 + DAY)], INSTRUMENTS[:2])


def test_content_that_is_not_the_manifests(tmp_path):
    made = write(tmp_path / "days", [quiet(50), quiet(50, T0 + DAY)])
    assert inspect(made.path).content == made.content
    edit(made.path, lambda manifest: manifest.update(content_sha256="0" * 64))
    for action in (lambda: inspect(made.path), lambda: fixture(made.path).load()):
        with pytest.raises(IntegrityError, match=f"content_sha256 is {'0' * 64}, the data hash to {made.content}"):
            action()


# What is held, and what is not


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A fixture of more events than are held unasked."""
    monkeypatch.setattr(module, "HELD", 100)
    monkeypatch.setattr(module, "SLAB", 60)
    return write(tmp_path / "large", cut_at(tape(7, 2), [90, 150]), INSTRUMENTS[:2], **POLICIES[0])


def test_what_is_too_large_is_never_loaded_unasked(large):
    for action in (lambda: large.events, lambda: large.chunk(0, 101), lambda: replay(large).explain(T0 + 10**12)):
        with pytest.raises(
            ConfigError,
            match=r"large has 240 events in 3 files, more than the 100 .*load\(\) gives a fixture that holds them, in 1 MB",
        ):
            action()
    held = large.load()
    assert type(held) is Fixture and held.content == large.content and len(held) == 240
    for start, stop in ((0, 100), (55, 65), (140, 240)):
        assert all((a == b).all() for a, b in zip(large.chunk(start, stop), held.chunk(start, stop), strict=True))
    assert replay(held).explain(T0 + 10**12)["market.bid"].text
    assert "240 events in 3 files" in large._repr_html_() and "240 events" in repr(large)


def test_metrics_plots_and_saved_runs_need_a_pass_and_no_memory(large, tmp_path):
    run, held = replay(large), replay(large.load())
    assert run.market is None and held.market is not None
    assert len(run.fills) > 5
    assert (run.fill_mids == held.fill_mids).all() and (held.fill_mids[:, 1:] != 0).any()
    assert run.metrics().to_dict() == held.metrics().to_dict()
    for s in range(2):
        mine, theirs = (one.prices[one.prices[:, 0] == s] for one in (run, held))
        assert (mine[:, 2].min(), mine[:, 3].max()) == (theirs[:, 2].min(), theirs[:, 3].max())
        assert (np.diff(mine[:, 1]) >= 0).all() and mine[0, 1] == theirs[0, 1]
    run.save(tmp_path / "saved")
    saved = load(tmp_path / "saved")
    assert saved.digest.value == held.digest.value and (saved.fill_mids == held.fill_mids).all()
    assert (saved.prices == run.prices).all()
    for until in (*range(50, 70), *(run.fills["event"][2:6] + 1)):
        head, cut = replay(large, until=until), replay(large.load(), until=until)
        assert (head.fill_mids == cut.fill_mids).all()
    assert (cut.fill_mids[:, 1:] == 0).any(), "some are asked of a time after the last event"


def test_extremes_of_few_wide_stretches(large, monkeypatch):
    monkeypatch.setattr("grinder.run.PRICE_STRETCHES", 4)
    events = large.load().events
    found = replay(large).prices
    expected = []
    for s in range(2):
        for place in range(4):
            rows = np.arange(60 * place, 60 * place + 60)
            rows = rows[(events.symbol[rows] == s) & (events.ask_px[rows] > 0)]
            mid2 = events.bid_px[rows] + events.ask_px[rows]
            expected.append([s, events.ts[rows[0]], mid2.min(), mid2.max()])
    assert found.tolist() == np.array(expected).tolist()


def test_a_golden_that_differs_is_told_with_its_window(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HELD", 5000)
    made = write(tmp_path / "days", [quiet(5000), quiet(4000, T0 + DAY)])
    other = replay(made, Config(equity=900))
    write_digest(made.path / "digest.json", other, "another")
    verdict = verify(made, twice=True)
    assert not verdict.passed and verdict.difference.window == 0
    start, end = (np.datetime64(ts, "ns") for ts in (T0, T0 + 4095 * 10**9))
    assert verdict.span == f"; {start} to {end} UTC"


def test_another_process_opens_the_files_itself(large):
    assert len(pickle.dumps(large)) < 5_000
    there = pickle.loads(pickle.dumps(large))
    assert replay(there).digest.value == replay(large).digest.value


def test_a_replay_that_ends_early_leaves_no_thread(large):
    calls = []

    def broken(view, params):
        calls.append(view.event)
        raise RuntimeError("mine")

    config = Config(bar_interval_ms=500)
    with pytest.raises(RuntimeError, match="mine"):
        replay(large, config, broken)
    assert calls and readers() == []


# Joined


def test_days_joined_by_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    days = [tape(3, 1), tape(4, 1)]
    days[1]["ts"] += DAY
    for name, day in zip(("one", "two"), days, strict=True):
        write_fixture(tmp_path / name, ALFA, {"quotes": day}, shows="", config=POLICIES[0])
    assert main(["fixture", "join", "./one", "./two", "--out", "./both", "--set", "levels=3", "--expect", "fills=1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    whole = {name: np.concatenate([day[name] for day in days]) for name in NAMES}
    one = Fixture.from_arrays(ALFA, quotes=whole, config=Config(**POLICIES[0] | {"levels": 3}))
    assert told == {"fixture": "both", "content": one.content, "events": 480, "files": 2}
    assert replay("./both").digest.value == replay(one).digest.value
    assert main(["fixture", "validate", "./both"]) == 0
    valid = capsys.readouterr().out
    assert "rows         quotes 480" in valid and one.content in valid
    assert main(["replay", "./both", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == replay(one).digest.value
    assert main(["fixture", "join", "./both", "./two", "--out", "./thrice"]) == 3
    assert not (tmp_path / "thrice").exists()
    third = tape(6, 1)
    third["ts"] += 2 * DAY
    write_fixture(tmp_path / "three", ALFA, {"quotes": third}, shows="", config=POLICIES[0])
    assert len(join_days(["./both", "./three"], tmp_path / "all").parts) == 3


def test_what_cannot_be_joined(tmp_path):
    write_fixture(tmp_path / "one", ALFA, {"quotes": quiet(5)}, shows="")
    write_fixture(tmp_path / "beta", INSTRUMENTS[1:2], {"quotes": quiet(5, T0 + DAY)}, shows="")
    finer = [Instrument(symbol="ALFA", kind="perpetual", tick_size="0.01", lot_size="0.001")]
    write_fixture(tmp_path / "finer", finer, {"quotes": quiet(5, T0 + DAY)}, shows="")
    trades = {"ts": [T0], "symbol": [0], "id": [1], "px": [600_000], "qty": [1], "aggressor": [1]}
    streams = {"quotes": quiet(5), "trades": {name: np.array(values) for name, values in trades.items()}}
    write_fixture(tmp_path / "trades", ALFA, streams, shows="")
    for other, message in (
        ("beta", "ALFA, which only one of them has"),
        ("finer", r"ALFA\.tick_size, 0\.01 and 0\.1; import all days with the same"),
        ("trades", "it has quotes, trades: only fixtures of quotes alone can be joined"),
    ):
        with pytest.raises(ConfigError, match=message):
            join_days([tmp_path / "one", tmp_path / other], tmp_path / "both")
    with pytest.raises(ConfigError, match="there is no fixture to join"):
        join_days([], tmp_path / "both")
    with pytest.raises(DataError, match="there is not one file"):
        write_daily(tmp_path / "both", ALFA, [], shows="")
    with pytest.raises(InputFault, match="quotes_0000, column ask_qty: missing column"):
        write_daily(tmp_path / "both", ALFA, [{name: values for name, values in quiet(5).items() if name != "ask_qty"}], shows="")
    assert not (tmp_path / "both").exists()


# Memory


LIMIT = 600 << 20
CHILD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]),) * 2)
import grinder as gr
data = gr.fixture(sys.argv[1])
if sys.argv[3] == "load":
    data = data.load()
print(gr.replay(data, chunk=int(sys.argv[4])).digest.value)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds what is private and writable on Linux alone")
def test_memory_stays_under_a_limit_that_the_data_are_over(tmp_path):
    rows, days = 4_000_000, 5
    i = np.arange(rows)
    mid = 600_000 + np.abs(i // 200 % 6000 - 3000)
    day = {"ts": T0 + i * (DAY // rows), "symbol": np.zeros(rows, np.int64), "bid_px": mid, "bid_qty": i % 9 + 1}
    day |= {"ask_px": mid + 1, "ask_qty": i % 7 + 1}
    made = write(tmp_path / "days", (day | {"ts": day["ts"] + number * DAY} for number in range(days)))
    assert len(made) * module.EVENT_BYTES > LIMIT, "in memory it would not fit"
    replay(made, until=1000)  # so that the child need not compile, which needs memory of its own

    def child(how: str, chunk: int) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", textwrap.dedent(CHILD), str(made.path), str(LIMIT), how, str(chunk)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    first, second = (child("replay", chunk) for chunk in (1 << 20, 70_000))
    assert first.returncode == 0 and second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout and len(first.stdout.strip()) == 64
    assert child("load", 1 << 20).returncode != 0, "the limit would not have told"
