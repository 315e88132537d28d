"""Fixtures: what is written is what is read, in one order, whatever the layout; and names, folders and writing keep their word."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import polars as pl
import pytest

import grinder.data.fixture as module
from grinder.config import Config
from grinder.data.fixture import Fixture, canonical_columns, fixture, fixtures_below, write_fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, DataError, FixtureNotFound, InputFault
from grinder.index import BLOCK
from grinder.records import Stream
from grinder.session import replay

T0 = 1_700_000_000_000_000_000
BETA = Instrument(symbol="BETA", kind="perpetual", tick_size="0.1", lot_size="0.001")
ALFA = Instrument(symbol="ALFA", kind="spot", tick_size="0.01", lot_size="1")
L1 = ("bid_px", "bid_qty", "ask_px", "ask_qty")
TICK = {"ts": [T0], "bid_px": [99], "bid_qty": [1], "ask_px": [101], "ask_qty": [1]}


def four_streams(rows: int = 40, seed: int = 1) -> dict[str, dict[str, np.ndarray]]:
    """All streams of ALFA (0) and BETA (1) with many equal times and some quarantined rows; funding of BETA only."""
    rng = np.random.default_rng(seed)
    out = {}
    for stream in ("funding", "books", "quotes", "trades"):
        columns = {"ts": T0 + np.sort(rng.integers(0, rows // 4, rows)), "symbol": rng.integers(0, 2, rows)}
        if stream == "funding":
            columns |= {
                "symbol": np.ones(rows, np.int64),
                "rate": rng.integers(-9, 9, rows),
                "mark_px": rng.integers(90, 110, rows),
            }
        elif stream == "trades":
            columns |= {"id": rng.integers(0, 30, rows), "px": rng.integers(90, 110, rows), "qty": rng.integers(1, 9, rows)}
            columns["aggressor"] = rng.choice([-1, 1], rows)
        else:
            for suffix in ("_0", "_1") if stream == "books" else ("",):
                deeper = 10 * (suffix == "_1")
                columns |= {f"bid_px{suffix}": rng.integers(90, 100, rows) - deeper, f"bid_qty{suffix}": rng.integers(0, 3, rows)}
                columns |= {f"ask_px{suffix}": rng.integers(100, 110, rows) + deeper, f"ask_qty{suffix}": rng.integers(0, 3, rows)}
        out[stream] = {name: np.asarray(values, np.int64) for name, values in columns.items()}
    return out


def same_events(a: Fixture, b: Fixture) -> bool:
    return all((left == right).all() and left.dtype == right.dtype for left, right in zip(a.events, b.events, strict=True))


# Round trip and content


def test_round_trip(tmp_path):
    streams = four_streams()
    for stream in ("quotes", "trades", "books"):
        streams[stream] |= {"ts_exchange": streams[stream]["ts"] - 5, "ts_local": streams[stream]["ts"] + 7}
    streams["quotes"]["update_id"] = np.arange(40)
    made = write_fixture(
        tmp_path / "deep" / "four",
        [BETA, ALFA],
        streams,
        shows="four streams",
        config={"quantity": {"ALFA": "1", "BETA": "0.002"}, "step": "5bp", "levels": np.int64(4)},
        expect={"fills": 1, "regimes": ["RANGE"]},
        source={"origin": 'a "quoted" \\ name'},
    )
    memory = Fixture.from_arrays([ALFA, BETA], **{name: dict(columns) for name, columns in streams.items()})
    for found in (made, Fixture.open(tmp_path / "deep" / "four"), fixture(f"{tmp_path}/deep/four")):
        assert same_events(found, memory)
        assert (found.content, found.instruments, found.price_range) == (memory.content, (ALFA, BETA), memory.price_range)
        assert found.config == Config(quantity={"ALFA": 1, "BETA": "0.002"}, step="0.05%", levels=4)
        assert found.manifest["expect"] == {"fills": 1, "regimes": ["RANGE"]}
        assert found.manifest["source"] == {"origin": 'a "quoted" \\ name'}
        assert (found.name, found.path, len(found)) == ("four", tmp_path / "deep" / "four", 160)
    stored = pl.read_parquet(tmp_path / "deep" / "four" / "quotes.parquet")
    assert stored.columns == [*canonical_columns("quotes"), "ts_exchange", "ts_local", "update_id"]
    assert (stored["ts_local"].to_numpy() == streams["quotes"]["ts_local"]).all()
    assert "ALFA, BETA" in repr(made)


@pytest.mark.parametrize("layout", ["snappy", "uncompressed", "groups", "order", "small_types", "dropped_extras", "glob"])
def test_content_does_not_depend_on_the_files_layout(tmp_path, layout):
    folder = tmp_path / ("a[b]*" if layout == "glob" else "a") / "four"
    streams = four_streams()
    streams["books"]["update_id"] = np.arange(40)
    made = write_fixture(folder, [ALFA, BETA], streams, shows="")
    for file in folder.glob("*.parquet"):
        frame = pl.read_parquet(file.read_bytes())
        options = {"compression": layout} if layout in ("snappy", "uncompressed") else {}
        if layout == "groups":
            options = {"row_group_size": 7}
        elif layout == "order":
            frame = frame.select(reversed(frame.columns))
        elif layout == "small_types":
            frame = frame.with_columns(pl.col("symbol").cast(pl.UInt8), pl.exclude("ts", "symbol").cast(pl.Int16))
        elif layout == "dropped_extras":
            frame = frame.drop("update_id", strict=False)
        before = file.read_bytes()
        frame.write_parquet(file, **options)
        text = (folder / "fixture.toml").read_text()
        (folder / "fixture.toml").write_text(
            text.replace(module.hashlib.sha256(before).hexdigest(), module.hashlib.sha256(file.read_bytes()).hexdigest())
        )
    again = Fixture.open(folder)
    assert again.content == made.content
    assert same_events(again, made)


def test_content_changes_with_any_value():
    """Every stream, row and column counts; so do the instruments."""
    streams = four_streams(12)
    contents = {Fixture.from_arrays([ALFA, BETA], **streams).content}
    for stream, columns in streams.items():
        for name in columns:
            changed = {other: {key: values.copy() for key, values in given.items()} for other, given in streams.items()}
            row = 11 if name == "ts" or stream == "funding" else 5
            if name == "symbol" and stream == "funding":
                continue
            changed[stream][name][row] += 1 if name not in ("symbol", "aggressor") else 1 - 2 * (columns[name][row] == 1)
            contents.add(Fixture.from_arrays([ALFA, BETA], **changed).content)
    other = ALFA.model_copy(update={"lot_size": "2"})
    contents.add(Fixture.from_arrays([other, BETA], **streams).content)
    assert len(contents) == 1 + sum(map(len, streams.values())) - 1 + 1


@pytest.mark.parametrize("seed", range(6))
def test_merged_order_and_carried_quotes_against_naive_ones(seed):
    streams = four_streams(60, seed)
    found = Fixture.from_arrays([ALFA, BETA], **streams)
    faults = {name: module.check_stream(name, streams, 2, name) for name in streams}
    assert any(values.any() for values in faults.values())
    rows = [
        (int(ts), Stream[stream.upper()], int(columns["symbol"][row]), row, stream)
        for stream, columns in streams.items()
        for row, ts in enumerate(columns["ts"])
    ]
    last = {0: (0, 0, 0, 0), 1: (0, 0, 0, 0)}
    expected, funding = [], []
    for ts, rank, symbol, row, stream in sorted(rows):
        fault = int(faults[stream][row])
        if fault == 0 and stream in ("books", "quotes"):
            last[symbol] = tuple(int(streams[stream][name + "_0" * (stream == "books")][row]) for name in L1)
        if stream == "funding":
            funding.append((len(expected), int(streams[stream]["rate"][row]), int(streams[stream]["mark_px"][row])))
        expected.append((ts, symbol, rank, fault, *last[symbol]))
    assert list(zip(*(column.tolist() for column in found.events[:8]), strict=True)) == expected
    assert found.events.funding.tolist() == funding
    assert [tuple(row) for base in range(3, 99, 10) for row in found.chunk(base, min(base + 10, 99)).funding.tolist()] == [
        (row - (3 + (row - 3) // 10 * 10), *rest) for row, *rest in funding if 3 <= row < 99
    ]


def test_symbols_as_names_indices_lists_and_frames():
    """Indices count the instruments as given, names are names; both mean the same."""
    columns = {"ts": [T0, T0, T0 + 1], "bid_px": [9, 99, 98], "bid_qty": [1, 1, 1], "ask_px": [10, 101, 102], "ask_qty": [1, 1, 1]}
    names = ["ALFA", "BETA", "BETA"]
    spellings = [names, np.array(names), np.array(names, object), pl.Series(names), pd.Series(names)]
    spellings += [[1, 0, 0], np.array([1, 0, 0], np.uint8)]
    made = [Fixture.from_arrays([BETA, ALFA], quotes=columns | {"symbol": symbol}) for symbol in spellings]
    made.append(Fixture.from_arrays([ALFA, BETA], quotes=pl.DataFrame(columns | {"symbol": [0, 1, 1]}).to_dict()))
    assert {one.content for one in made} == {made[0].content}
    assert made[0].symbols == ("ALFA", "BETA")
    assert made[0].events.symbol.tolist() == [0, 1, 1]
    assert made[0].price_range == ((9, 10), (98, 102))
    digits = [Instrument(symbol=name, kind="spot", tick_size="1", lot_size="1") for name in ("1", "0")]
    one = {name: values[:1] for name, values in columns.items()}
    two = Fixture.from_arrays(digits, quotes={name: values * 2 for name, values in one.items()} | {"symbol": ["1", "0"]})
    assert two.events.symbol.tolist() == [0, 1]
    assert two.events.bid_px.tolist() == [9, 9]


@pytest.mark.parametrize(
    ("changes", "reason", "place"),
    [
        ({"symbol": ["BETA", "GAMMA"]}, "wrong symbol", (1, "symbol", "GAMMA")),
        ({"symbol": 0}, "not a column of symbols", (None, "symbol", "0-dimensional")),
        ({"symbol": [["BETA"], ["BETA"]]}, "not a column of symbols", (None, "symbol", "2-dimensional")),
        ({"symbol": [0, 2]}, "wrong symbol", (1, "symbol", "2")),
        ({"symbol": [-1, 0]}, "wrong symbol", (0, "symbol", "-1")),
        ({"symbol": [0.0, 1.0]}, "wrong symbol", (0, "symbol", "0.0")),
        ({"symbol": None}, "missing column", (None, "symbol", None)),
        ({"ask_qty": None}, "missing column", (None, "ask_qty", None)),
        ({"mid": [1, 2]}, "extra column", (None, "mid", None)),
        ({"bid_px": [99.0, 98.0]}, "not a column of integers", (None, "bid_px", "1-dimensional float64")),
        ({"bid_px": [[99], [98]]}, "not a column of integers", (None, "bid_px", "2-dimensional int64")),
        ({"bid_px": ["99", "98"]}, "not a column of integers", (None, "bid_px", "1-dimensional <U2")),
        ({"bid_qty": np.array([1, 2**63], np.uint64)}, "over 63 bits", (1, "bid_qty", 2**63)),
        ({"ask_px": [101]}, "columns of unequal length", (None, None, dict.fromkeys(("ts", *L1, "symbol"), 2) | {"ask_px": 1})),
    ],
)
def test_wrong_arrays(changes, reason, place):
    quotes = {name: values * 2 for name, values in TICK.items()} | {"symbol": [0, 1]} | changes
    with pytest.raises(InputFault) as caught:
        Fixture.from_arrays([BETA, ALFA], quotes={name: values for name, values in quotes.items() if values is not None})
    fault = caught.value
    assert (fault.reason, fault.file, fault.row, fault.column, fault.value) == (reason, "quotes", *place)


def test_data_that_make_no_fixture():
    empty = {name: [] for name in TICK}
    trades = {"ts": [T0], "id": [1], "px": [100], "qty": [1], "aggressor": [1]}
    for given_ in ({}, {"quotes": empty}, {"quotes": empty, "trades": {name: [] for name in trades}}):
        with pytest.raises(DataError, match="no_ticks"):
            Fixture.from_arrays([BETA], **given_)
    funding = {"ts": [T0, T0], "symbol": ["BETA", "ALFA"], "rate": [1, 1], "mark_px": [100, 100]}
    both = {name: values * 2 for name, values in TICK.items()} | {"symbol": [0, 1]}
    with pytest.raises(InputFault, match="funding, row 1, column symbol, value 'ALFA': funding of a spot instrument"):
        Fixture.from_arrays([ALFA, BETA], quotes=both, funding=funding)
    for given_ in ({"trades": trades}, {"quotes": TICK | {"bid_qty": [0], "ask_qty": [0]}}):
        with pytest.raises(DataError, match="BETA has no accepted quote or book"):
            Fixture.from_arrays([BETA], **given_)
    with pytest.raises(DataError, match="ALFA has no accepted quote or book"):
        Fixture.from_arrays([BETA, ALFA], quotes=TICK | {"symbol": [0]})
    for instruments, message in (
        ([], "needs an instrument"),
        ([BETA, BETA], "same symbol"),
        ([BETA] * 32_768, "32768 instruments are more than"),
        ([ALFA, BETA.model_copy(update={"quote": "EUR"})], "one quote currency"),
    ):
        with pytest.raises(ConfigError, match=message):
            Fixture.from_arrays(instruments, quotes=TICK | {"symbol": [0] * min(1, len(instruments))})


# Writing is all or nothing


@pytest.mark.parametrize("fault", ["disk", "manifest", "last_step", "read_back", "interrupt"])
def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch, fault):
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt if fault == "interrupt" else OSError("no space left")

    targets = {"disk": (pl.DataFrame, "write_parquet"), "manifest": (module, "to_toml"), "last_step": (os, "replace")}
    owner, name = targets.get(fault, (module, "_read_stream"))
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises((OSError, KeyboardInterrupt)):
            write_fixture(tmp_path / "four", [ALFA, BETA], four_streams(), shows="")
    assert list(tmp_path.iterdir()) == []
    write_fixture(tmp_path / "four", [ALFA, BETA], four_streams(), shows="")
    assert [path.name for path in tmp_path.iterdir()] == ["four"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"config": {"stepp": 1}}, ConfigError, "stepp: there is no such setting"),
        ({"config": {"quantity": "0.0015"}}, ConfigError, "quantity of ALFA"),
        ({"streams": {"ticks": {}}}, ConfigError, "no stream 'ticks'"),
        ({"streams": {"quotes": {"ts": [T0]}}}, InputFault, "quotes, column ask_px: missing column"),
        ({"source": {"when": None}}, ConfigError, "None has no place in a manifest"),
        ({"instruments": [BETA]}, InputFault, "column symbol, value 1: value out of range"),
    ],
)
def test_wrong_data_write_nothing(tmp_path, changes, error, message):
    given_ = {"instruments": [ALFA, BETA], "streams": four_streams(), "shows": ""} | changes
    with pytest.raises(error, match=message):
        write_fixture(tmp_path / "four", **given_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "Four", "a-b", "a b", "a.b", "a\n", "é", "x" * 65, "a/.."])
def test_wrong_names(tmp_path, name):
    with pytest.raises(ConfigError, match=r"1 to 64 of a-z, 0-9 and _|exists already"):
        write_fixture(tmp_path / "sub" / name if name else "", [BETA], {"quotes": TICK}, shows="")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_touched(tmp_path):
    (tmp_path / "four").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        write_fixture(tmp_path / "four", [ALFA, BETA], four_streams(), shows="")
    assert list((tmp_path / "four").iterdir()) == []


# Names


def test_lookup_by_name_from_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = fixture("binance_btcusdt_6m")
    assert shipped.symbols == ("BTCUSDT",)
    tick = {name: np.array(values) for name, values in (TICK | {"symbol": [0]}).items()}
    write_fixture("fixtures/mine", [BETA], {"quotes": tick}, shows="")
    write_fixture("fixtures/binance_btcusdt_6m", [BETA], {"quotes": tick}, shows="")
    assert fixture("binance_btcusdt_6m").symbols == ("BETA",), "the working folder is looked at first"
    assert fixture("mine").content == fixture("./fixtures/mine").content
    assert [path.name for path in fixtures_below(tmp_path / "fixtures")] == ["binance_btcusdt_6m", "mine"]
    for name in ("mine2", "MINE", "", "mine\n"):
        with pytest.raises(FixtureNotFound, match=r"there are: binance_btcusdt_6m, .*mine"):
            fixture(name)
    for name in ("../mine", "./mine", "a/b", ".."):
        with pytest.raises(FixtureNotFound, match=r"there is no fixture\.toml"):
            fixture(name)


def test_the_index_of_a_long_stretch_is_kept_and_of_its_own_data():
    """A head is another fixture, whatever was kept of the whole."""
    n = module.KEPT_INDEX
    quotes = {"ts": T0 + np.arange(n + 1), "bid_px": 1000 + np.arange(n + 1) % 7, "ask_px": 1010 + np.arange(n + 1) % 5}
    quotes |= {"bid_qty": np.ones(n + 1, np.int64), "ask_qty": np.ones(n + 1, np.int64)}
    made = Fixture.from_arrays([ALFA], quotes=quotes)
    assert made.index(0, n) is made.index(0, n)
    assert made.index(0, n - 1) is not made.index(0, n - 1), "short ones are cheap"
    assert made.index(1, n + 1)[0]["last"][0] == made.index(0, n)[0]["last"][0] == BLOCK - 1
    moved = made.head(n)
    assert moved.index(0, n) is not made.index(0, n)
    assert moved.index(0, n).tolist() == made.index(0, n).tolist()
    first = replay(made, Config(quantity=1))
    assert replay(made, Config(quantity=1)).digest == first.digest == replay(made, Config(quantity=1), chunk=977).digest


def test_what_a_run_keeps_of_the_market_is_its_own(monkeypatch):
    monkeypatch.setattr(module, "KEPT_INDEX", 1)
    at = np.arange(2_000)
    quotes = {"ts": 1_700_000_000_000_000_000 + at * 10**9, "bid_px": 10_000 + at * 7919 % 41, "bid_qty": at * 0 + 9}
    quotes |= {"ask_px": quotes["bid_px"] + 1, "ask_qty": quotes["bid_qty"]}
    paid = {"ts": quotes["ts"][7::50], "rate": [100_000] * 40, "mark_px": [10_010] * 40}
    coin = Instrument(symbol="COIN", kind="perpetual", tick_size="0.1", lot_size="0.001")

    def made():
        return Fixture.from_arrays([coin], quotes=quotes, funding=paid, config=Config(step="1bp", quantity="1"))

    data, slow = made(), Config(bar_interval_ms=30_000)
    run = replay(data)
    assert run.ledger["funding"].any()
    run.market.funding["rate"][:] = 10**7
    run.market.funding["row"][:] = 0
    assert replay(data, slow).digest == replay(made(), slow).digest
    assert replay(data).digest == run.digest


@pytest.mark.parametrize("name", ["impact_spike_l2", "binance_btcusdt_6m", "kill_switch_l2"])
def test_nothing_that_a_run_keeps_of_the_market_can_be_written_to_in_the_fixture(name):
    """Not even where numpy is told that it may: what it then lets be written is the run's."""
    data = fixture(name)
    run = replay(data)
    assert [(column == kept).all() for column, kept in zip(run.market, data.events, strict=True)] == [True] * len(data.events)
    for field in ("funding", "commands", "book_rows", "one_sided"):
        assert not np.shares_memory(getattr(run.market, field), getattr(data.events, field)), field
        assert getattr(run.market, field).base is None, field
    flags = {field: getattr(run.market, field).flags.writeable for field in run.market._fields}
    assert flags == dict.fromkeys(run.market._fields, False) | {"funding": True, "commands": True}
    head = data.market(len(data) - 1)
    assert {field: getattr(head, field).flags.writeable for field in head._fields} == flags, "kernels are compiled for one kind"


def test_views_of_the_last_stretches_are_kept_and_no_more(monkeypatch):
    monkeypatch.setattr(module, "KEPT_INDEX", 100)
    data = fixture("thin_book_l2").head(5_000)
    assert data.chunk(0, 1_000) is data.chunk(0, 1_000)
    assert data.chunk(0, 99) is not data.chunk(0, 99)
    first = data.chunk(0, 1_000)
    for stop in range(1_001, 1_001 + module.KEPT_CHUNKS):
        data.chunk(0, stop)
    assert data.chunk(0, 1_000) is not first
    assert len(data._chunks) == module.KEPT_CHUNKS
