"""Binance's archive files: values by hand, both header forms, all units of time, every fault."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.importing import import_archive
from grinder.errors import ConfigError, InputFault
from grinder.records import Stream
from tests.files import BOOK_TICKER, NS, QUOTE_ROWS, T, csv, gzipped, only, where, zipped

AGG = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
TRADES = "id,price,qty,quote_qty,time,is_buyer_maker"
KLINES = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
FUNDING = "calc_time,funding_interval_hours,last_funding_rate"
QUOTES = {
    "ts": [T * NS, (T + 5) * NS],
    "symbol": [0, 0],
    "bid_px": [420001, 420000],
    "bid_qty": [150, 25],
    "ask_px": [420002, 420002],
    "ask_qty": [200, 0],
    "update_id": [7, 8],
}


def stored(folder: Path, stream: str = "quotes") -> dict[str, list[int]]:
    return pl.read_parquet(folder / f"{stream}.parquet").to_dict(as_series=False)


def ticker(folder: Path, rows: list[str] = QUOTE_ROWS, day: str = "2024-01-01", **options) -> Path:
    return csv(folder / f"BTCUSDT-bookTicker-{day}.csv", rows, **options)


@pytest.mark.parametrize("header", ["", BOOK_TICKER])
@pytest.mark.parametrize("pack", [lambda path: path, zipped, gzipped])
@pytest.mark.parametrize("form", [{}, {"end": "\r\n"}, {"bom": True}])
def test_book_ticker_by_hand(tmp_path, header, pack, form):
    path = pack(ticker(tmp_path, header=header, **form))
    made, report = import_archive(path, tmp_path / "btc", kind="perpetual")
    assert stored(tmp_path / "btc") == QUOTES
    assert report.units == {"BTCUSDT": {"tick_size": "0.1", "lot_size": "0.01"}}
    assert report.inferred == ("BTCUSDT.tick_size", "BTCUSDT.lot_size")
    (told,) = report.files
    assert told == {
        "file": path.name,
        "symbol": "BTCUSDT",
        "what": "bookTicker",
        "rows": 2,
        "header": bool(header),
        "time_unit": "ms",
    }
    assert made.manifest["source"]["file"] == path.name
    assert json.loads(made.manifest["source"]["report"]) == report.to_dict()


def test_columns_in_another_order(tmp_path):
    names = BOOK_TICKER.split(",")
    rows = [",".join(row.split(",")[::-1]) for row in QUOTE_ROWS]
    import_archive(ticker(tmp_path, rows, header=",".join(names[::-1])), tmp_path / "btc", kind="perpetual")
    assert stored(tmp_path / "btc") == QUOTES


def test_days_with_their_columns_in_different_orders(tmp_path):
    """Columns are joined by name."""
    other = ",".join(BOOK_TICKER.split(",")[::-1])
    days = [
        ticker(tmp_path, QUOTE_ROWS[:1]),
        ticker(tmp_path, [",".join(QUOTE_ROWS[1].split(",")[::-1])], day="2024-01-02", header=other),
    ]
    import_archive(days, tmp_path / "btc", kind="perpetual")
    assert stored(tmp_path / "btc") == QUOTES


@pytest.mark.parametrize(("unit", "zeros"), [("s", -3), ("ms", 0), ("us", 3), ("ns", 6)])
def test_every_unit_of_time(tmp_path, unit, zeros):
    def time(ms: int) -> str:
        return f"{ms}{'0' * zeros}" if zeros >= 0 else str(ms)[:zeros]

    rows = [f"7,42000.1,1,42000.2,2,{time(T)},{time(T)}", f"8,42000,1,42000.2,2,{time(T + 1000)},{time(T + 1000)}"]
    for name, given in (("a", None), ("b", unit)):
        _, report = import_archive(ticker(tmp_path, rows), tmp_path / name, kind="spot", time_unit=given)
        assert stored(tmp_path / name)["ts"] == [T * NS, (T + 1000) * NS]
        assert report.files[0]["time_unit"] == unit


def test_spot_files_of_both_units_are_joined(tmp_path):
    """Spot archives changed from ms to us with 2025: each file has its own unit, and days may be given in any order."""
    new_year = 1_735_689_600_000
    before = csv(tmp_path / "BTCUSDT-trades-2024-12-31.csv", [f"1,100.5,2,201,{new_year - 1},True,True"])
    after = csv(tmp_path / "BTCUSDT-trades-2025-01-01.csv", [f"2,100.25,1,100.25,{new_year}000,False,True"])
    quotes = ticker(tmp_path, [f"1,100,1,101,1,{new_year - 5},{new_year - 5}"])
    _, report = import_archive([after, quotes, before], tmp_path / "btc", kind="spot")
    assert stored(tmp_path / "btc", "trades") == {
        "ts": [(new_year - 1) * NS, new_year * NS],
        "symbol": [0, 0],
        "id": [1, 2],
        "px": [10050, 10025],
        "qty": [2, 1],
        "aggressor": [-1, 1],
    }
    assert [one["time_unit"] for one in report.files] == ["us", "ms", "ms"]
    assert report.units["BTCUSDT"] == {"tick_size": "0.01", "lot_size": "1"}
    assert stored(tmp_path / "btc")["bid_px"] == [10000], "quotes are in the finest tick of any file"


@pytest.mark.parametrize(
    ("header", "row"),
    [("", f"9,42000.1,0.5,1,3,{T},true"), (AGG, f"9,42000.1,0.5,1,3,{T},true"), ("", f"9,42000.1,0.5,1,3,{T},True,True")],
)
def test_agg_trades_of_futures_and_spot(tmp_path, header, row):
    trades = csv(tmp_path / "BTCUSDT-aggTrades-2024-01-01.csv", [row], header=header)
    import_archive([trades, ticker(tmp_path)], tmp_path / "btc", kind="perpetual")
    made = stored(tmp_path / "btc", "trades")
    assert made == {"ts": [T * NS], "symbol": [0], "id": [9], "px": [420001], "qty": [50], "aggressor": [-1]}


def test_quotes_trades_and_funding_in_one_fixture(tmp_path, capsys):
    """The mark of funding is the last accepted mid at or before it, floored to a tick."""
    folder = tmp_path / "in"
    zipped(ticker(folder, header=BOOK_TICKER))
    csv(folder / "BTCUSDT-trades-2024-01-01.csv", [f"1,42000.1,0.5,21000.05,{T + 2},false"], header=TRADES)
    csv(folder / "BTCUSDT-fundingRate-2024-01.csv", [f"{T + 1},8,0.0001", f"{T + 5},8,-0.00025"], header=FUNDING)
    words = [str(path) for path in sorted(folder.iterdir())]
    out = tmp_path / "made" / "btc"
    assert main(["import", "archive", *words, "--out", str(out), "--kind", "perpetual", "--json", "--set", "step=5bp"]) == 0
    shown, err = capsys.readouterr()
    assert err == ""
    report = json.loads(shown)
    assert report["rows"] == {"funding": 2, "quotes": 2, "trades": 1}
    assert stored(out, "funding") == {
        "ts": [(T + 1) * NS, (T + 5) * NS],
        "symbol": [0, 0],
        "rate": [10_000, -25_000],
        "mark_px": [420001, 420001],
    }
    made = Fixture.open(out)
    kinds = [Stream(kind).name for kind in made.events.kind]
    assert kinds == ["QUOTES", "FUNDING", "TRADES", "FUNDING", "QUOTES"], "funding comes before the quote of its instant"
    assert made.config == Config(step="5bp")


def test_funding_outside_the_quotes(tmp_path):
    funding = csv(tmp_path / "BTCUSDT-fundingRate-2024-01.csv", [f"{T - 1},8,0.1", f"{T},8,0.2", f"{T + 6},8,0.3"], header=FUNDING)
    with pytest.raises(InputFault, match="funding before the first quote") as error:
        import_archive([funding, ticker(tmp_path)], tmp_path / "btc", kind="perpetual")
    assert where(error) == (funding.name, 1, "calc_time", str(T - 1))
    assert "--clip" in str(error.value)
    _, report = import_archive([funding, ticker(tmp_path)], tmp_path / "btc", kind="perpetual", clip=True)
    assert stored(tmp_path / "btc", "funding")["rate"] == [20_000_000]
    assert report.dropped == {"funding_clipped": 2}
    with pytest.raises(InputFault, match="funding without a mark price"):
        import_archive(funding, tmp_path / "x", kind="perpetual")


def test_marks_are_of_accepted_quotes(tmp_path):
    """A quarantined quote (no quantity on either side) marks nothing."""
    quotes = ticker(tmp_path, [QUOTE_ROWS[0], f"8,50000,0,50001,0,{T + 5},{T + 6}", f"9,42000.3,1,42000.5,1,{T + 9},{T + 9}"])
    funding = csv(tmp_path / "BTCUSDT-fundingRate-2024-01.csv", [f"{T + 7},8,0.1", f"{T + 9},8,0.2"])
    with pytest.raises(InputFault, match="neither its name nor a header"):
        import_archive([quotes, csv(tmp_path / "x.csv", ["1"])], tmp_path / "x", kind="perpetual", symbol="BTCUSDT")
    import_archive([quotes, funding], tmp_path / "x", kind="perpetual")
    assert stored(tmp_path / "x", "funding")["mark_px"] == [420001, 420004]


def test_klines_become_quotes(tmp_path):
    """Two bars by hand: the low is nearer to the first open, the high to the second; the odd spread of 3 becomes 4."""
    rows = [
        f"{T},100.0,103.0,99.0,101.5,12.5,{T + 59_999},1250,7,6,600,0",
        f"{T + 60_000},101.5,102.0,95.0,96.0,3,{T + 119_999},300,2,1,100,0",
    ]
    for name, header in (("a", ""), ("b", KLINES)):
        path = csv(tmp_path / "BTCUSDT-1m-2024-01.csv", rows, header=header)
        _, report = import_archive(path, tmp_path / name, kind="spot", spread_ticks=3, size="0.25")
        quarter = 15_000 * NS
        mids = [1000, 990, 1030, 1015, 1015, 1020, 950, 960]
        assert stored(tmp_path / name) == {
            "ts": [T * NS + k * quarter for k in range(8)],
            "symbol": [0] * 8,
            "bid_px": [mid - 2 for mid in mids],
            "bid_qty": [25] * 8,
            "ask_px": [mid + 2 for mid in mids],
            "ask_qty": [25] * 8,
        }
        assert report.units["BTCUSDT"] == {"tick_size": "0.1", "lot_size": "0.01"}
        assert "spread 4 ticks (asked for 3, rounded passively), 0.25 a side" in report.notes[0]
    with pytest.raises(ConfigError, match="--spread-ticks and --size"):
        import_archive(path, tmp_path / "c", kind="spot")
    with pytest.raises(InputFault, match="the spread leaves no bid over 0") as error:
        import_archive(path, tmp_path / "c", kind="spot", spread_ticks=1900, size="1")
    assert where(error) == (path.name, 2, "low", "95.0")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (f"{T + 60_000},101.5,101.0,95.0,96.0,3,{T + 119_999},300,2,1,100,0", ("open", "101.5")),
        (f"{T + 60_000},101.5,102.0,95.0,94.0,3,{T + 119_999},300,2,1,100,0", ("close", "94.0")),
        (f"{T + 60_000},101.5,102.0,95.0,96.0,3,{T + 50_000},300,2,1,100,0", ("close_time", str(T + 50_000))),
        (f"{T + 59_999},101.5,102.0,95.0,96.0,3,{T + 119_999},300,2,1,100,0", ("open_time", str(T + 59_999))),
        (f"{T},100.0,103.0,99.0,101.5,12.5,{T + 59_999},1250,7,6,600,0", ("open_time", str(T))),
    ],
)
def test_klines_that_are_no_bars(tmp_path, row, fault):
    good = f"{T},100.0,103.0,99.0,101.5,12.5,{T + 59_999},1250,7,6,600,0"
    path = csv(tmp_path / "BTCUSDT-1m-2024-01.csv", [good, row])
    with pytest.raises(InputFault) as error:
        import_archive(path, tmp_path / "x", kind="spot", spread_ticks=2, size="1")
    assert where(error) == (path.name, 1, *fault)


# Faults: (bad second row, its column and value); the file has a header, so it is line 2

ROW = f"8,42000.00,0.25,42000.20,2,{T + 5},{T + 6}"


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (ROW.replace("42000.00", "nan"), "best_bid_price", "nan", "not a plain price"),
        (ROW.replace("42000.00", "inf"), "best_bid_price", "inf", "not a plain price"),
        (ROW.replace("42000.00", ""), "best_bid_price", "", "a value is missing"),
        (ROW.replace("42000.00", "-42000.00"), "best_bid_price", "-42000.00", "negative"),
        (ROW.replace("42000.00", "0"), "best_bid_price", "0", "a price must be over 0"),
        (ROW.replace("0.25", "-0.25"), "best_bid_qty", "-0.25", "negative"),
        (ROW.replace("42000.20", "42000,20"), "8th", "1704067200006", "extra column"),
        (ROW.rpartition(",")[0], "event_time", None, "missing column"),
        (ROW + ",", "8th", "", "extra column"),
        ("", "update_id", None, "an empty line"),
        (
            ROW.replace(str(T + 5), str(T + 5) + "000"),
            "transaction_time",
            f"{T + 5}000",
            "in ms, the unit of time of the rows before",
        ),
        (ROW.replace(str(T + 6), "17"), "event_time", "17", "out of 2009..2100"),
        (ROW.replace("8,", "8.5,", 1), "update_id", "8.5", "not a plain number"),
        (ROW.replace("42000.20", "4200020000000000000000"), "best_ask_price", "4200020000000000000000", "more digits"),
        (ROW.replace("42000.20", "4\u00d72"), "best_ask_price", "4\u00d72", "not a plain price"),
        (ROW.replace(str(T + 5), str(T - 1)), "transaction_time", str(T - 1), "timestamps out of order"),
    ],
)
def test_faults_name_file_line_column_and_value(tmp_path, capsys, row, column, value, reason):
    path = ticker(tmp_path / "in", [QUOTE_ROWS[0], row, QUOTE_ROWS[1]], header=BOOK_TICKER)
    with pytest.raises(InputFault, match=reason) as error:
        import_archive(path, tmp_path / "btc", kind="perpetual")
    assert where(error) == (path.name, 2, column, value)
    assert main(["import", "archive", str(path), "--out", str(tmp_path / "btc"), "--kind", "perpetual"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{path.name}, row 2, column {column}" in err
    only(tmp_path, "in")


def test_off_tick_and_off_lot(tmp_path):
    path = ticker(tmp_path)
    for sizes, column, value, near in (
        ({"tick_size": "1"}, "best_bid_price", "42000.10", "42000 or 42001"),
        ({"tick_size": "0.25"}, "best_bid_price", "42000.10", "42000.00 or 42000.25"),
        ({"lot_size": "0.1"}, "best_bid_qty", "0.25", "0.2 or 0.3"),
        ({"lot_size": "0.02"}, "best_bid_qty", "0.25", "0.24 or 0.26"),
    ):
        with pytest.raises(InputFault, match="no multiple of") as error:
            import_archive(path, tmp_path / "x", kind="perpetual", **sizes)
        assert where(error)[2:] == (column, value)
        assert near in error.value.cure
    _, report = import_archive(
        ticker(tmp_path, [*QUOTE_ROWS, f"9,42000,0.81,42000.1,0.8,{T + 9},{T + 9}"]),
        tmp_path / "x",
        kind="perpetual",
        lot_size={"BTCUSDT": "0.4"},
        floor=True,
    )
    made = stored(tmp_path / "x")
    assert (made["bid_qty"], made["ask_qty"]) == ([3, 0, 2], [5, 0, 2])
    assert report.floored == {"quantities": 3}, "1.5, 0.25 and 0.81"
    assert "0.4 (given)" in str(report)
    with pytest.raises(ConfigError, match="give its lot size"):
        import_archive(path, tmp_path / "y", kind="perpetual", floor=True)


def test_disorder_is_refused_or_sorted_stably(tmp_path):
    rows = [f"{i},42000.1,{i},42000.2,1,{T + at},{T + at}" for i, at in enumerate((5, 1, 5, 1, 9), 1)]
    path = ticker(tmp_path, rows)
    with pytest.raises(InputFault, match="timestamps out of order") as error:
        import_archive(path, tmp_path / "x", kind="perpetual")
    assert where(error)[:3] == (path.name, 1, "transaction_time")
    _, report = import_archive(path, tmp_path / "x", kind="perpetual", sort=True)
    assert stored(tmp_path / "x")["update_id"] == [2, 4, 1, 3, 5]
    assert report.reordered == {"quotes": 4}
    bad = ticker(tmp_path, rows + [f"6,42000.1,1,3,1,{T},{T}"] * 2)
    with pytest.raises(InputFault) as error:
        import_archive(bad, tmp_path / "y", kind="perpetual", sort=True)
    assert where(error) == (path.name, 5, "best_bid_price", "42000.1"), (
        "a crossed row is found after sorting, and told as of its line"
    )


def test_overlapping_days_and_quarantine(tmp_path):
    one, two = ticker(tmp_path), ticker(tmp_path, [f"9,42000,1,42000.1,1,{T + 4},{T + 4}"], day="2024-01-02")
    with pytest.raises(InputFault, match="out of order") as error:
        import_archive([one, two], tmp_path / "x", kind="perpetual")
    assert where(error)[:2] == (two.name, 0)
    two = ticker(tmp_path, [QUOTE_ROWS[1], QUOTE_ROWS[1].replace("0.25", "0")], day="2024-01-02")
    made, report = import_archive([two, one], tmp_path / "x", kind="perpetual")
    assert report.quarantined == {"quotes.duplicate": 1, "quotes.no_size": 1}
    assert made.events.fault.tolist() == [0, 0, 1, 3]


def test_price_jumps_are_counted_and_two_in_a_row_told_as_of_their_line(tmp_path):
    rows = [*QUOTE_ROWS, f"9,60000,1,60001,1,{T + 6},{T + 6}", f"10,42000,1,42000.2,1,{T + 7},{T + 7}"]
    _, report = import_archive(ticker(tmp_path, rows, header=BOOK_TICKER), tmp_path / "x", kind="perpetual")
    assert report.quarantined == {"quotes.jump": 1}
    _, report = import_archive(ticker(tmp_path, rows), tmp_path / "y", kind="perpetual", config={"max_jump": "0.5"})
    assert report.quarantined == {}
    rows[3] = rows[3].replace("42000,", "60000,").replace("42000.2", "60002")
    path = ticker(tmp_path, rows, header=BOOK_TICKER)
    with pytest.raises(InputFault, match="second price jump in a row") as error:
        import_archive(path, tmp_path / "z", kind="perpetual")
    assert where(error) == (path.name, 4, "best_bid_price", "60000.0")
    assert "in units of 0.1: further than max_jump" in error.value.cure, "the last mid is told in ticks"


def test_two_symbols_side_by_side(tmp_path):
    eth = csv(tmp_path / "ETHUSDT-bookTicker-2024-01-01.csv", [f"1,2000.01,1.5,2000.03,2.5,{T + 5},{T + 5}"])
    made, report = import_archive([eth, ticker(tmp_path)], tmp_path / "two", kind="perpetual", tick_size={"ETHUSDT": "0.001"})
    assert made.symbols == ("BTCUSDT", "ETHUSDT")
    assert made.events.symbol.tolist() == [0, 0, 1]
    assert stored(tmp_path / "two")["bid_px"] == [420001, 420000, 2000010]
    assert report.inferred == ("BTCUSDT.tick_size", "BTCUSDT.lot_size", "ETHUSDT.lot_size")


def test_what_a_file_is(tmp_path):
    odd = csv(tmp_path / "quotes.csv", QUOTE_ROWS)
    with pytest.raises(ConfigError, match="its name does not tell the symbol"):
        import_archive(odd, tmp_path / "x", kind="perpetual")
    with pytest.raises(InputFault, match="neither its name nor a header") as error:
        import_archive(odd, tmp_path / "x", kind="perpetual", symbol="BTCUSDT")
    assert error.value.file == odd
    with pytest.raises(ConfigError, match="data 'candles'"):
        import_archive(odd, tmp_path / "x", kind="perpetual", symbol="BTCUSDT", data="candles")
    import_archive(odd, tmp_path / "x", kind="perpetual", symbol="BTCUSDT", data="bookTicker")
    assert stored(tmp_path / "x") == QUOTES
    headed = csv(tmp_path / "quotes2.csv", QUOTE_ROWS, header=BOOK_TICKER)
    import_archive(headed, tmp_path / "y", kind="perpetual", symbol="BTCUSDT")
    assert stored(tmp_path / "y") == QUOTES
    with pytest.raises(InputFault, match="wrong symbol"):
        import_archive(ticker(tmp_path), tmp_path / "z", kind="perpetual", symbol="ETHUSDT")
    with pytest.raises(InputFault, match="wrong kind of file"):
        import_archive(ticker(tmp_path), tmp_path / "z", kind="perpetual", data="trades")


@pytest.mark.parametrize(
    ("header", "reason", "column"),
    [
        (BOOK_TICKER.replace(",event_time", ""), "missing column", "event_time"),
        (BOOK_TICKER + ",extra", "extra column", "extra"),
        (BOOK_TICKER + ",event_time", "extra column", "event_time"),
    ],
)
def test_headers(tmp_path, header, reason, column):
    path = ticker(tmp_path, header=header)
    with pytest.raises(InputFault, match=reason) as error:
        import_archive(path, tmp_path / "x", kind="perpetual")
    assert where(error)[:3] == (path.name, 0, column)
    path = csv(tmp_path / "odd.csv", QUOTE_ROWS, header="a,b,c")
    with pytest.raises(InputFault, match="an unknown header"):
        import_archive(path, tmp_path / "x", kind="perpetual", symbol="BTCUSDT")


def test_no_ticks(tmp_path):
    for path in (ticker(tmp_path, [], end=""), ticker(tmp_path, [], header=BOOK_TICKER, day="2024-01-02")):
        with pytest.raises(InputFault, match="no_ticks") as error:
            import_archive(path, tmp_path / "x", kind="perpetual")
        assert where(error)[0] == path.name


def test_bytes_that_are_not_utf8(tmp_path):
    header = BOOK_TICKER.encode()
    path = tmp_path / "BTCUSDT-bookTicker-2024-01-01.csv"
    path.write_bytes(header.replace(b"event_time", b"event_t\xffme") + b"\n" + QUOTE_ROWS[0].encode() + b"\n")
    with pytest.raises(InputFault, match="not UTF-8") as error:
        import_archive(path, tmp_path / "x", kind="perpetual")
    assert where(error)[:2] == (path.name, 0)
    bars = tmp_path / "BTCUSDT-1m-2024-01.csv"
    row = f"{T},100.0,103.0,99.0,101.5,12.5,{T + 59_999},1250,7,6,600,".encode()
    bars.write_bytes(row + b"0\n" + row.replace(str(T).encode(), str(T + 60_000).encode()) + b"\xff\n")
    with pytest.raises(InputFault, match="not UTF-8") as error:
        import_archive(bars, tmp_path / "x", kind="spot", spread_ticks=2, size="1")
    assert where(error)[:2] == (bars.name, 1)


def test_bars_that_overlap(tmp_path):
    """A bar that is there twice, or bars of two lengths: no path of quotes is both."""
    minute = f"{T},100,103,99,101,1,{T + 59_999},1,1,1,1,0"
    hour = f"{T},100,103,99,101,1,{T + 3_599_999},1,1,1,1,0"
    one = csv(tmp_path / "BTCUSDT-1m-2024-01.csv", [minute])
    for path in (csv(tmp_path / "BTCUSDT-1h-2024-01.csv", [hour]), csv(tmp_path / "BTCUSDT-1m-2024-01-01.csv", [minute])):
        with pytest.raises(InputFault, match="bars overlap") as error:
            import_archive([one, path], tmp_path / "x", kind="spot", spread_ticks=2, size="1", sort=True)
        assert where(error) == (path.name, 0, "open_time", str(T))
        assert "keep one of them" in error.value.cure


def test_a_number_nobody_keeps_may_be_long(tmp_path):
    trades = csv(tmp_path / "BTCUSDT-trades-2024-01-01.csv", [f"1,42000.1,0.5,1234567890123456789.5,{T},false"])
    first = csv(tmp_path / "BTCUSDT-aggTrades-2024-01-01.csv", [f"9,42000.1,0.5,{'7' * 30},3,{T},true"])
    for name, path in (("a", trades), ("b", first)):
        import_archive([path, ticker(tmp_path)], tmp_path / name, kind="spot")
        assert stored(tmp_path / name, "trades")["qty"] == [50]


@pytest.mark.parametrize(
    ("row", "column", "cure"),
    [
        (ROW.replace("8,", "12345678901234567890,", 1), "update_id", "number the rows anew"),
        (ROW.replace("42000.20", "4200020000000000000000"), "best_ask_price", "give the --tick (tick_size)"),
        (ROW.replace("0.25", "4200020000000000000000"), "best_bid_qty", "give the --lot (lot_size); --floor"),
    ],
)
def test_the_cure_for_too_many_digits_fits_the_column(tmp_path, row, column, cure):
    path = ticker(tmp_path, [QUOTE_ROWS[0], row])
    with pytest.raises(InputFault, match="more digits than 64 bits hold") as error:
        import_archive(path, tmp_path / "x", kind="spot")
    assert where(error)[:3] == (path.name, 1, column)
    assert cure in error.value.cure


def test_a_rate_of_too_many_digits(tmp_path):
    path = csv(tmp_path / "BTCUSDT-fundingRate-2024-01.csv", [f"{T},8,12345678901.5"], header=FUNDING)
    with pytest.raises(InputFault, match="more digits") as error:
        import_archive([path, ticker(tmp_path)], tmp_path / "x", kind="perpetual")
    assert error.value.cure == "rates are -1 to 1, such as 0.0001"


def test_a_first_time_of_too_many_digits(tmp_path):
    path = ticker(tmp_path, [f"7,42000.10,1,42000.20,2,{T}0000000,{T}"])
    with pytest.raises(InputFault, match=r"unit of time unclear, or out of 2009\.\.2100") as error:
        import_archive(path, tmp_path / "x", kind="spot")
    assert where(error) == (path.name, 0, "transaction_time", f"{T}0000000")
    with pytest.raises(InputFault, match=r"out of 2009\.\.2100 in ms \(times are ms since 1970"):
        import_archive(path, tmp_path / "x", kind="spot", time_unit="ms")


def test_an_empty_truth(tmp_path):
    path = csv(tmp_path / "BTCUSDT-trades-2024-01-01.csv", [f"1,42000.1,0.5,1,{T},"])
    with pytest.raises(InputFault, match="neither true nor false") as error:
        import_archive([path, ticker(tmp_path)], tmp_path / "x", kind="spot")
    assert where(error) == (path.name, 0, "is_buyer_maker", "")


@pytest.mark.parametrize("rate", ["1.5", "-1.00000001"])
def test_rates_over_the_whole_are_told_as_the_file_has_them(tmp_path, rate):
    path = csv(tmp_path / "BTCUSDT-fundingRate-2024-01.csv", [f"{T},8,1", f"{T + 1},8,{rate}"], header=FUNDING)
    with pytest.raises(InputFault, match="value out of range") as error:
        import_archive([path, ticker(tmp_path)], tmp_path / "x", kind="perpetual")
    assert where(error) == (path.name, 2, "last_funding_rate", f"{rate:0<10}")
    assert "-1 to 1 are allowed" in error.value.cure


def test_klines_of_both_units_with_finer_trades(tmp_path):
    """The quantity of klines is in the lot that all files of the symbol agree on; each file's bars end in its own unit."""
    new_year = 1_735_689_600_000
    old = csv(tmp_path / "BTCUSDT-1m-2024-12.csv", [f"{new_year - 60_000},100,103,99,101,1,{new_year - 1},1,1,1,1,0"])
    new = csv(tmp_path / "BTCUSDT-1m-2025-01.csv", [f"{new_year}000,100,103,99,101,1,{new_year + 59_999}999,1,1,1,1,0"])
    trades = csv(tmp_path / "BTCUSDT-trades-2025-01.csv", [f"1,100.5,0.001,0.1,{new_year}000,true,true"])
    import_archive([old, new, trades], tmp_path / "x", kind="spot", spread_ticks=2, size="2.5e-1")
    made = stored(tmp_path / "x")
    assert made["ts"] == [(new_year + at) * NS for at in range(-60_000, 60_000, 15_000)]
    assert made["bid_qty"] == [250] * 8
    assert made["bid_px"] == [999, 989, 1029, 1009] * 2
    for size, reason in (("0.0001", "no multiple of 0.001"), ("0", "over 0"), ("-1", "over 0"), ("x", "no decimal number")):
        with pytest.raises(ConfigError, match=reason):
            import_archive([old, trades], tmp_path / "y", kind="spot", spread_ticks=2, size=size, lot_size="0.001")


def test_inverse_contracts_are_refused(tmp_path):
    path = csv(tmp_path / "BTCUSD_PERP-bookTicker-2024-01-01.csv", QUOTE_ROWS)
    with pytest.raises(ConfigError, match="BTCUSD_PERP is an inverse contract"):
        import_archive(path, tmp_path / "x", kind="perpetual")


def test_two_kinds_for_one_stream(tmp_path):
    one = csv(tmp_path / "BTCUSDT-trades-2024-01-01.csv", [f"1,42000.1,0.5,21000.05,{T + 2},false"])
    two = csv(tmp_path / "BTCUSDT-aggTrades-2024-01-01.csv", [f"9,42000.1,0.5,1,3,{T},true"])
    with pytest.raises(ConfigError, match="would both make its trades"):
        import_archive([one, two, ticker(tmp_path)], tmp_path / "x", kind="perpetual")


def test_too_large_for_exact_numbers(tmp_path):
    path = ticker(tmp_path, [f"1,0.00000001,1,0.00000002,1,{T},{T}", f"2,400,1,401,1,{T},{T}"])
    with pytest.raises(InputFault, match=r"over 34,359,738,368 times 0\.00000001") as error:
        import_archive(path, tmp_path / "x", kind="perpetual")
    assert where(error)[1:] == (1, "best_bid_price", "400.00000000")


def test_funding_of_spot_is_told_as_of_its_file(tmp_path):
    quotes = ticker(tmp_path)
    rates = csv(tmp_path / "BTCUSDT-fundingRate-2024-01.csv", [f"{T},8,0.0001"])
    with pytest.raises(InputFault, match="funding of a spot instrument") as error:
        import_archive([quotes, rates], tmp_path / "x", kind="spot")
    assert where(error) == (rates.name, 0, None, "BTCUSDT")
    with pytest.raises(InputFault, match="funding of a spot instrument"):
        import_archive([quotes, rates], tmp_path / "x", kind={"BTCUSDT": "spot"})
    only(tmp_path, quotes.name, rates.name)


def test_cures_name_the_unit_of_a_value_and_only_what_helps(tmp_path):
    crossed = ticker(tmp_path, [QUOTE_ROWS[0].replace("42000.10", "42000.30")])
    with pytest.raises(InputFault, match="crossed") as error:
        import_archive(crossed, tmp_path / "x", kind="perpetual")
    assert error.value.value == "42000.3"
    rates = csv(tmp_path / "BTCUSDT-fundingRate-2024-01.csv", [f"{T},8,1.1"])
    with pytest.raises(InputFault, match="value out of range") as error:
        import_archive([ticker(tmp_path), rates], tmp_path / "x", kind="perpetual")
    assert error.value.value == "1.10000000"
    for old, new, floor in (("42000.20", "99999999999.9", False), ("1.500", "9999999999.5", True)):
        with pytest.raises(InputFault, match=r"over .* times") as error:
            import_archive(ticker(tmp_path, [QUOTE_ROWS[0].replace(old, new)]), tmp_path / "x", kind="perpetual")
        assert ("--floor" in error.value.cure) is floor, "floor rounds no price"
    with pytest.raises(ConfigError, match=r"BTCUSDT-1m-2024-01.csv: klines have no bid"):
        import_archive(
            csv(tmp_path / "BTCUSDT-1m-2024-01.csv", [f"{T},1,1,1,1,5,{T + 59_999},5,1,2,2,0"]), tmp_path / "x", kind="perpetual"
        )
