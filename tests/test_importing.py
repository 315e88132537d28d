"""From an exchange's file to a fixture, by the command line: a recording of a dozen lines, read by hand."""

from __future__ import annotations

import gzip
import json
from typing import Any

import polars as pl
import pytest

from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.importing import import_archive, import_binance, import_lean, import_table, import_tardis
from grinder.errors import ConfigError, DataError
from grinder.golden import accept, verify
from grinder.records import Stream

MS = 1_723_161_255_000
LINES = """\
1723161253000500000 {"stream":"abc@depth@100ms","data":{"e":"depthUpdate","E":1723161255001,"T":1723161255000,"s":"ABC","U":80,"u":90,"pu":79,"b":[["100.0","7.0"]],"a":[]}}
1723161253001500000 {"stream":"abc@bookTicker","data":{"e":"bookTicker","u":95,"s":"ABC","b":"100.1","B":"1.5","a":"100.3","A":"2.0","T":1723161255001,"E":1723161255002}}
1723161253002500000 {"lastUpdateId":100,"bids":[["100.1","1.5"],["99.9","3.0"]],"asks":[["100.3","2.0"]]}
1723161253003500000 {"stream":"abc@depth@100ms","data":{"e":"depthUpdate","E":1723161255006,"T":1723161255005,"s":"ABC","U":95,"u":105,"pu":90,"b":[["100.0","4.0"]],"a":[["100.4","1.0"]]}}
1723161253004500000 {"stream":"abc@trade","data":{"e":"trade","E":1723161255007,"T":1723161255006,"s":"ABC","t":7,"p":"100.3","q":"0.5","X":"MARKET","m":false}}
1723161253005500000 {"stream":"abc@trade","data":{"e":"trade","E":1723161255007,"T":1723161255006,"s":"ABC","t":7,"p":"100.3","q":"0.5","X":"MARKET","m":false}}
1723161253006500000 {"stream":"abc@trade","data":{"e":"trade","E":1723161255008,"T":1723161255006,"s":"ABC","t":8,"p":"100.1","q":"1.0","X":"INSURANCE_FUND","m":true}}
1723161253007500000 {"stream":"abc@bookTicker","data":{"e":"bookTicker","u":106,"s":"ABC","b":"100.1","B":"1.6","a":"100.3","A":"2.0","T":1723161255006,"E":1723161255008}}
1723161253008500000 {"stream":"abc@depth@100ms","data":{"e":"depthUpdate","E":1723161255011,"T":1723161255010,"s":"ABC","U":106,"u":110,"pu":105,"b":[["100.1","0.0"]],"a":[]}}
1723161253009500000 {"stream":"abc@trade","data":{"e":"trade","E":1723161255012,"T":1723161255011,"s":"ABC","t":9,"p":"100.0","q":"0.1","X":"MARKET","m":true}}
"""  # noqa: E501
QUOTES = {
    "ts": [(MS + 1) * 10**6, (MS + 6) * 10**6],
    "symbol": [0, 0],
    "bid_px": [1001, 1001],
    "bid_qty": [15, 16],
    "ask_px": [1003, 1003],
    "ask_qty": [20, 20],
    "ts_exchange": [(MS + 1) * 10**6, (MS + 6) * 10**6],
    "ts_local": [1723161253001500000, 1723161253007500000],
    "update_id": [95, 106],
}
TRADES = {
    "ts": [(MS + 6) * 10**6, (MS + 6) * 10**6, (MS + 11) * 10**6],
    "symbol": [0, 0, 0],
    "id": [7, 7, 9],
    "px": [1003, 1003, 1000],
    "qty": [5, 5, 1],
    "aggressor": [1, 1, -1],
    "ts_exchange": [(MS + 6) * 10**6, (MS + 6) * 10**6, (MS + 11) * 10**6],
    "ts_local": [1723161253004500000, 1723161253005500000, 1723161253009500000],
}
BOOKS = {
    "ts": [(MS + 5) * 10**6, (MS + 10) * 10**6],
    "symbol": [0, 0],
    "bid_px_0": [1001, 1000],
    "bid_qty_0": [15, 40],
    "ask_px_0": [1003, 1003],
    "ask_qty_0": [20, 20],
    "bid_px_1": [1000, 999],
    "bid_qty_1": [40, 30],
    "ask_px_1": [1004, 1004],
    "ask_qty_1": [10, 10],
    "ts_exchange": [(MS + 5) * 10**6, (MS + 10) * 10**6],
    "ts_local": [1723161253003500000, 1723161253008500000],
    "update_id": [105, 110],
}
REPORT = {
    "file": "raw.gz",
    "lines": 10,
    "rows": {"quotes": 2, "trades": 3, "books": 2},
    "snapshots": 1,
    "dropped": {"depth_before_snapshot": 1, "trade_outside_book": 1},
    "quarantined": {"trades.duplicate": 1},
    "gaps": [],
    "crossed": 0,
    "disagreeing": [],
    "ts_range": [(MS + 1) * 10**6, (MS + 11) * 10**6],
    "tick_size": "0.1",
    "lot_size": "0.1",
    "clock": "exchange",
}


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    return path


def command(raw, *words: str) -> list[str]:
    return ["import", "binance", str(raw), "--out", str(raw.parent / "made" / "abc"), "--kind", "perpetual", "--top", "2", *words]


def test_import_by_command(raw, capsys, monkeypatch):
    words = (
        "--json",
        "--set",
        "step=5bp",
        "--set",
        "quantity=0.5",
        "--shows",
        "ten lines",
        "--origin",
        "by hand",
    )
    assert main(command(raw, *words)) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert out == json.dumps(report, sort_keys=True) + "\n"
    assert err == ""
    assert {name: report[name] for name in REPORT} == REPORT
    folder = raw.parent / "made" / "abc"
    for stream, columns in (("quotes", QUOTES), ("trades", TRADES), ("books", BOOKS)):
        stored = pl.read_parquet(folder / f"{stream}.parquet")
        assert stored.to_dict(as_series=False) == columns
    made = Fixture.open(folder)
    kinds, faults = [Stream(kind).name for kind in made.events.kind], made.events.fault.tolist()
    assert kinds == ["QUOTES", "BOOKS", "QUOTES", "TRADES", "TRADES", "BOOKS", "TRADES"]
    assert faults == [0, 0, 0, 0, 1, 0, 0]
    assert made.events.bid_px.tolist() == [1001, 1001, 1001, 1001, 1001, 1000, 1000]
    assert made.config == Config(step="5bp", quantity="0.5")
    assert (made.manifest["shows"], made.manifest["expect"]) == ("ten lines", {})
    source = made.manifest["source"]
    assert (source["file"], source["origin"], source["clock"]) == ("raw.gz", "by hand", "exchange")
    assert json.loads(source["report"]) == report
    (only,) = made.instruments
    assert (only.symbol, only.kind, only.tick_size, only.lot_size) == ("ABC", "perpetual", "0.1", "0.1")
    monkeypatch.delenv("CI", raising=False)
    accept(made, "just imported")
    assert verify(folder).passed
    assert sorted(path.name for path in raw.parent.iterdir()) == ["made", "raw.gz"]


def test_report_as_text_and_chosen_streams(raw, capsys):
    words = ("--streams", "quotes,trades", "--clock", "local", "--tick", "0.01", "--lot", "0.05", "--symbol", "ABC")
    assert main(command(raw, *words, "--expect", "fills=1")) == 0
    out = capsys.readouterr().out
    for text in (
        "raw.gz: 10 lines",
        "tick_size 0.01 (given), lot_size 0.05 (given)",
        "clock        local",
        "Fixture('abc': ABC; 5 events",
    ):
        assert text in out
    made = Fixture.open(raw.parent / "made" / "abc")
    assert set(made.manifest["streams"]) == {"quotes", "trades"}
    assert made.events.ts.tolist() == sorted(QUOTES["ts_local"] + TRADES["ts_local"])
    assert made.events.bid_px.tolist() == [10010] * 5
    assert made.events.bid_qty.tolist() == [30, 30, 30, 32, 32]
    assert made.config == Config()
    assert made.manifest["expect"] == {"fills": 1}


def test_quantities_are_stored_in_lots(raw):
    made, report = import_binance(raw, raw.parent / "abc", kind="spot", top_n=1, streams=("books",))
    assert set(made.manifest["streams"]) == {"books"}
    assert (made.events.bid_px.tolist(), made.events.bid_qty.tolist()) == ([1001, 1000], [15, 40])
    assert report.rows["quotes"] == 2
    assert made.manifest["shows"] == "ABC as recorded from Binance"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--set", "stepp=1"), 2, "stepp: there is no such setting"),
        (("--set", "quantity=0.05"), 2, "quantity of ABC 0.05 is no multiple of 0.1"),
        (("--expect", "fills=many"), 2, "fills=many: what a replay must show is a count"),
        (("--expect", "fills"), 2, "write settings as NAME=VALUE"),
        (("--streams", "quotes,candles"), 2, "a recording has no stream 'candles'"),
        (("--streams", "trades"), 3, "ABC has no accepted quote or book"),
        (("--symbol", "XYZ"), 3, "wrong symbol"),
        (("--tick", "0.2"), 3, "row 1, column b, value '100.1': no multiple of 0.2"),
        (("--top", "0"), 2, "top_n 0 is no number of levels"),
        (("--out", "Bad-Name"), 2, "fixture name 'Bad-Name'"),
    ],
)
def test_refusals_write_nothing(raw, capsys, words, code, message):
    assert main(command(raw, *words)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert [path.name for path in raw.parent.iterdir()] == ["raw.gz"]


def test_a_damaged_recording_and_an_existing_folder(raw, capsys):
    assert main(command(raw)) == 0
    before = {path.name: path.read_bytes() for path in (raw.parent / "made" / "abc").iterdir()}
    assert main(command(raw)) == 2
    assert "exists already" in capsys.readouterr().err
    raw.write_bytes(raw.read_bytes()[:-20])
    assert main(command(raw, "--out", str(raw.parent / "cut"))) == 3
    assert "truncated or corrupt gzip" in capsys.readouterr().err
    assert main(["import", "binance", str(raw.parent / "nothing"), "--out", "x", "--kind", "spot"]) == 3
    assert {path.name: path.read_bytes() for path in (raw.parent / "made" / "abc").iterdir()} == before
    assert sorted(path.name for path in raw.parent.iterdir()) == ["made", "raw.gz"]


def test_an_option_that_no_importer_has(tmp_path):
    """It is refused before anything is read, with the nearest one that there is."""
    own: dict[str, Any] = {"symbol": "BTC", "quotes": "none.csv"}
    for importer, words, name, near in (
        (import_archive, {"paths": "none.csv"}, "spread_tick", "spread_ticks"),
        (import_lean, {"paths": "none.csv"}, "flor", "floor"),
        (import_tardis, {"paths": "none.csv"}, "topn", "top_n"),
        (import_table, own, "clipp", "clip"),
        (import_table, own, "xyz", ""),
    ):
        with pytest.raises(ConfigError, match=f"there is no option '{name}'; the nearest is {near}"):
            importer(**words, out=tmp_path / "x", kind="spot", **{name: 1})
    assert not any(tmp_path.iterdir())


def test_wrong_arguments_of_the_library(raw):
    with pytest.raises(ConfigError, match="inverse contracts are not supported"):
        import_binance(raw, raw.parent / "abc", kind="inverse")
    with pytest.raises(DataError, match="no_ticks"):
        import_binance(raw, raw.parent / "abc", kind="spot", streams=())
    assert [path.name for path in raw.parent.iterdir()] == ["raw.gz"]
