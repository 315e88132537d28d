"""Tardis CSV files: values by hand, clocks, several symbols, empty fields, funding from tickers, faults."""

from __future__ import annotations

import polars as pl
import pytest

from grinder.cli import main
from grinder.data.fixture import Fixture
from grinder.data.importing import import_tardis
from grinder.errors import ConfigError, InputFault
from grinder.session import replay
from tests.files import csv, gzipped, only, where

US = 1_704_067_200_000_000
HEAD = "exchange,symbol,timestamp,local_timestamp"
QUOTES = f"{HEAD},ask_amount,ask_price,bid_price,bid_amount"
TRADES = f"{HEAD},id,side,price,amount"
TICKER = f"{HEAD},funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price"


def book_header(levels: int) -> str:
    cells = [f"{side}[{i}].{what}" for i in range(levels) for side in ("asks", "bids") for what in ("price", "amount")]
    return ",".join([HEAD, *cells])


def row(at: int, rest: str, symbol: str = "BTC-PERP", lag: int = 300) -> str:
    return f"venue,{symbol},{US + at},{US + at + lag},{rest}"


def quotes(folder, *rows: str, name: str = "quotes.csv"):
    return csv(folder / name, list(rows or (row(0, "2,100.5,100.25,1e-3"), row(9, "2,100.5,100.25,0.5"))), header=QUOTES)


def stored(folder, stream="quotes"):
    return pl.read_parquet(folder / f"{stream}.parquet").to_dict(as_series=False)


@pytest.mark.parametrize("pack", [lambda path: path, gzipped])
@pytest.mark.parametrize("clock", ["local", "exchange"])
def test_quotes_by_hand(tmp_path, pack, clock):
    path = pack(quotes(tmp_path))
    made, report = import_tardis(path, tmp_path / "btc", kind="perpetual", clock=clock)
    local, exchange = [(US + at + 300) * 1000 for at in (0, 9)], [(US + at) * 1000 for at in (0, 9)]
    assert stored(tmp_path / "btc") == {
        "ts": local if clock == "local" else exchange,
        "symbol": [0, 0],
        "bid_px": [10025, 10025],
        "bid_qty": [1, 500],
        "ask_px": [10050, 10050],
        "ask_qty": [2000, 2000],
        **({"ts_exchange": exchange} if clock == "local" else {"ts_local": local}),
    }
    assert made.symbols == ("BTC-PERP",)
    assert report.files[0]["time_unit"] == "us"


def test_the_exchange_clock_may_run_back(tmp_path):
    path = quotes(tmp_path, row(9, "2,101,100,1"), row(5, "2,102,100,1", lag=310))
    import_tardis(path, tmp_path / "a", kind="perpetual")
    with pytest.raises(InputFault, match="out of order") as error:
        import_tardis(path, tmp_path / "b", kind="perpetual", clock="exchange")
    assert where(error) == ("quotes.csv", 2, "timestamp", str(US + 5))
    assert f"the row before, of quotes.csv, has {US + 9};" in error.value.cure
    import_tardis(path, tmp_path / "b", kind="perpetual", clock="exchange", sort=True)
    assert stored(tmp_path / "b")["ask_px"] == [102, 101]


def test_trades(tmp_path):
    trades = csv(
        tmp_path / "trades.csv", [row(1, "7,buy,100.5,2"), row(2, "8,sell,100.25,0.1"), row(3, "9,unknown,1,1")], header=TRADES
    )
    import_tardis([trades, quotes(tmp_path)], tmp_path / "btc", kind="perpetual", clock="exchange")
    made = stored(tmp_path / "btc", "trades")
    assert (made["id"], made["aggressor"]) == ([7, 8, 9], [1, -1, 0])
    assert (made["px"], made["qty"]) == ([10050, 10025, 100], [2000, 100, 1000])


def test_ids_that_are_text_give_way_to_row_numbers(tmp_path):
    days = [
        csv(tmp_path / f"{day}.csv", [row(day, "d202-ae,buy,100.5,2"), row(day, "d202-ae,sell,100.25,1")], header=TRADES)
        for day in (1, 5)
    ]
    _made, report = import_tardis([*days, quotes(tmp_path)], tmp_path / "btc", kind="perpetual")
    assert stored(tmp_path / "btc", "trades")["id"] == [0, 1, 2, 3]
    assert report.quarantined == {}
    assert "trades are numbered by row" in report.notes[0]
    mixed = csv(tmp_path / "mixed.csv", [row(1, "7,buy,1,2"), row(1, "x,sell,1,1")], header=TRADES)
    with pytest.raises(InputFault, match="not a plain number") as error:
        import_tardis([mixed, quotes(tmp_path)], tmp_path / "x", kind="perpetual")
    assert where(error) == ("mixed.csv", 2, "id", "x")


def test_ids_that_are_text_in_one_file_only(tmp_path):
    one = csv(tmp_path / "one.csv", [row(1, "7,buy,100.5,2")], header=TRADES)
    two = csv(tmp_path / "two.csv", [row(5, "d202-ae,sell,100.25,1")], header=TRADES)
    for files in ([one, two], [two, one]):
        with pytest.raises(ConfigError, match=r"two\.csv: it has no id to import, unlike .*one\.csv: .* fixtures of their own"):
            import_tardis([*files, quotes(tmp_path)], tmp_path / "x", kind="perpetual")


def test_funding_before_the_first_quote_is_told_as_of_its_time(tmp_path):
    """A payment stands at `funding_timestamp`, which is the column that is told, with the value that it has."""
    ticker = csv(tmp_path / "t.csv", [row(-20, f"{US - 9},0.1,,,,,"), row(-5, f"{US - 1},0.1,,,,,")], header=TICKER)
    with pytest.raises(InputFault, match="funding before the first quote") as error:
        import_tardis([ticker, quotes(tmp_path)], tmp_path / "x", kind="perpetual", clock="exchange")
    assert where(error) == ("t.csv", 1, "funding_timestamp", str(US - 9))
    later = csv(tmp_path / "t.csv", [row(-5, f"{US - 1},0.1,,,,,"), row(0, f"{US},1.5,,,,,9")], header=TICKER)
    with pytest.raises(InputFault, match="value out of range") as error:
        import_tardis([later, quotes(tmp_path)], tmp_path / "x", kind="perpetual", clock="exchange", clip=True)
    assert where(error) == ("t.csv", 2, "funding_rate", "1.50000000")


def test_an_empty_symbol(tmp_path):
    for symbol in (None, "BTC"):
        with pytest.raises(InputFault, match="a value is missing") as error:
            import_tardis(quotes(tmp_path, row(0, "2,101,100,1", "")), tmp_path / "x", kind="perpetual", symbol=symbol)
        assert where(error) == ("quotes.csv", 1, "symbol", "")


def test_books(tmp_path):
    rows = [
        row(1, "100.5,2,100.25,3,100.75,1,100,4"),
        row(2, "100.5,2,100.25,3,,,100,4"),
        row(3, "100.5,2,,,,,,"),
        row(4, "101,2,100.5,3,102,1,,"),
    ]
    books = csv(tmp_path / "books.csv", rows, header=book_header(2))
    _made, report = import_tardis(books, tmp_path / "btc", kind="perpetual", clock="exchange", top_n=5)
    assert stored(tmp_path / "btc", "books") == {
        "ts": [(US + at) * 1000 for at in (1, 2, 4)],
        "symbol": [0] * 3,
        "bid_px_0": [10025, 10025, 10050],
        "bid_qty_0": [3, 3, 3],
        "ask_px_0": [10050, 10050, 10100],
        "ask_qty_0": [2, 2, 2],
        "bid_px_1": [10000, 10000, 0],
        "bid_qty_1": [4, 4, 0],
        "ask_px_1": [10075, 0, 10200],
        "ask_qty_1": [1, 0, 1],
        "ts_local": [(US + at + 300) * 1000 for at in (1, 2, 4)],
    }
    assert report.dropped == {"book_without_side": 1}
    assert report.files[0]["what"] == "book_snapshot_2"
    import_tardis(books, tmp_path / "one", kind="perpetual", top_n=1)
    assert set(stored(tmp_path / "one", "books")) == {
        "ts", "symbol", "bid_px_0", "bid_qty_0", "ask_px_0", "ask_qty_0", "ts_exchange"
    }  # fmt: skip
    bad = csv(tmp_path / "bad.csv", [rows[0], row(9, "100.5,2,100.25,3,100.5,1,100,4")], header=book_header(2))
    with pytest.raises(InputFault, match="book levels unsorted or twice") as error:
        import_tardis(bad, tmp_path / "x", kind="perpetual")
    assert where(error) == ("bad.csv", 2, "asks[1].price", "100.50")


def test_a_book_with_half_a_level_is_left_out(tmp_path):
    """A price without its amount is no level of size 0, and the levels below it are not known to be whole."""
    rows = [
        row(1, "101,2,100,3,102,1,99,4"),
        row(2, "101,2,100,3,102,,99,4"),
        row(3, "101,2,100,3,102,1,,4"),
        row(4, "101,2,100,3,,,,"),
        row(5, "101,,100,3,102,1,99,4"),
    ]
    books = csv(tmp_path / "books.csv", rows, header=book_header(2))
    _, report = import_tardis(books, tmp_path / "two", kind="perpetual")
    assert stored(tmp_path / "two", "books")["ts"] == [(US + at + 300) * 1000 for at in (1, 4)]
    assert report.dropped == {"book_with_half_level": 2, "book_without_side": 1}
    assert report.rows == {"books": 2}
    _, report = import_tardis(books, tmp_path / "one", kind="perpetual", top_n=1)
    assert report.dropped == {"book_without_side": 1}, "a level that is not kept has no say"
    bad = csv(tmp_path / "bad.csv", [*rows, row(6, "101,2,100,3,101,1,99,4")], header=book_header(2))
    with pytest.raises(InputFault, match="book levels unsorted or twice") as error:
        import_tardis(bad, tmp_path / "x", kind="perpetual")
    assert where(error) == ("bad.csv", 6, "asks[1].price", "101"), "rows left out count for the line"
    with pytest.raises(InputFault, match="no_ticks: every row was left out") as error:
        import_tardis(csv(tmp_path / "half.csv", rows[1:3], header=book_header(2)), tmp_path / "x", kind="perpetual")
    assert where(error)[0] == "half.csv"
    assert error.value.cure == "book_with_half_level 2"


def test_levels_that_are_not_kept_do_not_count(tmp_path):
    """They set no tick, and are not held to one; but they must be numbers."""
    rows = [row(1, "101,2,100,3,102.123456789,0.5,99,1"), row(2, "101,2,100,3,,,0,0")]
    books = csv(tmp_path / "books.csv", rows, header=book_header(2))
    _, report = import_tardis(books, tmp_path / "a", kind="perpetual", top_n=1)
    assert report.units["BTC-PERP"] == {"tick_size": "1", "lot_size": "1"}
    import_tardis(books, tmp_path / "b", kind="perpetual", top_n=1, tick_size="1", lot_size="1")
    assert stored(tmp_path / "a", "books") == stored(tmp_path / "b", "books")
    odd = csv(tmp_path / "odd.csv", [row(1, "101,2,100,3,nan,2,99,1")], header=book_header(2))
    with pytest.raises(InputFault, match="not a plain number") as error:
        import_tardis(odd, tmp_path / "x", kind="perpetual", top_n=1)
    assert where(error) == ("odd.csv", 1, "asks[1].price", "nan")


@pytest.mark.parametrize("tick", [None, "0.25"])
def test_levels_that_are_not_there_stay_so_whatever_the_tick(tmp_path, tick):
    """Decimals that come later, in the file or in another, and a tick of several units leave an absent level absent."""
    one = csv(tmp_path / "a.csv", [row(1, "101,2,100,3,,,,"), row(2, "101.5,2,100.5,3,,,99.25,1")], header=book_header(2))
    two = csv(tmp_path / "b.csv", [row(3, "101,2,100.125,3,,,," if tick is None else "101,2,100.25,3,,,,")], header=book_header(2))
    import_tardis([one, two], tmp_path / "x", kind="perpetual", tick_size=tick)
    made = stored(tmp_path / "x", "books")
    assert made["ask_px_1"] == made["ask_qty_1"] == [0, 0, 0]
    unit = 1000 if tick is None else 4
    assert made["bid_px_1"] == [0, 99.25 * unit, 0]
    assert made["bid_px_0"] == [100 * unit, 100.5 * unit, (100.125 if tick is None else 100.25) * unit]


def test_a_book_of_25_levels_is_kept_to_10(tmp_path):
    cells = ",".join(f"{200 + i},1,{100 - i},2" for i in range(25))
    path = csv(tmp_path / "books.csv", [row(0, cells)], header=book_header(25))
    made, report = import_tardis(path, tmp_path / "btc", kind="perpetual")
    assert report.files[0]["what"] == "book_snapshot_25"
    assert sum(name.startswith("bid_px") for name in stored(tmp_path / "btc", "books")) == 10
    assert made.price_range == ((100, 200),)


def test_funding_from_tickers(tmp_path):
    """Paid at its time, with the last rate and mark at or before it; what is not due by the last row is not paid."""
    due, later = US + 100, US + 5000
    rows = [
        row(10, f"{due},0.0001,,5,100,100,100.37123456"),
        row(20, ",,,5,100,100,100.4"),
        row(90, f"{due},0.00025,,5,100,100,100.39999999"),
        row(120, f"{due},0.9,,5,100,100,100.9"),
        row(130, f"{later},0.5,,5,100,100,"),
        row(200, f"{US + 150},-0.0003,,5,100,100,"),
        row(200, f"{US + 200},-0.0003,,5,100,100,"),
    ]
    ticker = csv(tmp_path / "ticker.csv", rows, header=TICKER)
    _made, report = import_tardis(
        [ticker, quotes(tmp_path)], tmp_path / "btc", kind="perpetual", clock="exchange", tick_size="0.25"
    )
    assert stored(tmp_path / "btc", "funding") == {
        "ts": [due * 1000, (US + 200) * 1000],
        "symbol": [0, 0],
        "rate": [25_000, -30_000],
        "mark_px": [401, (401 + 402) // 2],
    }
    assert report.dropped == {"funding_not_due": 1, "funding_rates_superseded": 3, "funding_without_time": 1}
    assert report.units["BTC-PERP"]["tick_size"] == "0.25", "mark prices do not make the tick finer"


def test_rates_finer_than_their_unit(tmp_path):
    ticker = csv(tmp_path / "t.csv", [row(10, f"{US + 10},0.000012349,,,,,5")] * 2, header=TICKER)
    files = [ticker, quotes(tmp_path)]
    with pytest.raises(InputFault, match=r"finer than 0\.00000001") as error:
        import_tardis(files, tmp_path / "x", kind="perpetual", clock="exchange")
    assert where(error) == ("t.csv", 1, "funding_rate", "0.000012349")
    _, report = import_tardis(files, tmp_path / "x", kind="perpetual", clock="exchange", floor=True, lot_size="0.001")
    assert stored(tmp_path / "x", "funding")["rate"] == [1234]
    assert report.floored == {"rates": 2}


def test_several_symbols_in_a_file(tmp_path):
    rows = [row(0, "2,101,100,1"), row(1, "2,11,10,1", "ETH"), row(2, "2,12,10,1", "ETH"), row(3, "2,nan,100,1")]
    path = quotes(tmp_path, *rows[:3])
    with pytest.raises(InputFault, match="several symbols in one file") as error:
        import_tardis(path, tmp_path / "x", kind="perpetual")
    assert error.value.row == 2
    made, report = import_tardis(path, tmp_path / "x", kind="perpetual", symbol="ETH")
    assert (made.symbols, report.dropped) == (("ETH",), {"other_symbol": 1})
    with pytest.raises(InputFault) as error:
        import_tardis(quotes(tmp_path, *rows, name="nan.csv"), tmp_path / "y", kind="perpetual", symbol="ETH")
    assert where(error) == ("nan.csv", 4, "ask_price", "nan")
    with pytest.raises(InputFault, match="wrong symbol") as error:
        import_tardis(path, tmp_path / "y", kind="perpetual", symbol="SOL")
    assert where(error) == ("quotes.csv", None, None, "SOL")


def test_a_symbol_that_is_not_utf8(tmp_path):
    path = quotes(tmp_path, row(0, "2,101,100,1"), row(1, "2,101,100,1", "\u00e9"), row(2, "2,101,100,1", "bad"))
    _, report = import_tardis(path, tmp_path / "x", kind="perpetual", symbol="BTC-PERP")
    assert report.dropped == {"other_symbol": 2}
    path.write_bytes(path.read_bytes().replace(b"bad", b"\xffad"))
    with pytest.raises(InputFault, match="not UTF-8") as error:
        import_tardis(path, tmp_path / "y", kind="perpetual", symbol="BTC-PERP")
    assert where(error)[:2] == ("quotes.csv", 3)


def test_lines_are_told_right_after_dropped_rows(tmp_path):
    rows = [row(i, "2,101,100,1", "ETH" if i % 3 else "BTC") for i in range(40_000)]
    rows[33_333] = row(5, "2,101,100,1", "BTC")
    with pytest.raises(InputFault, match="out of order") as error:
        import_tardis(quotes(tmp_path, *rows), tmp_path / "x", kind="perpetual", symbol="BTC")
    assert where(error)[:2] == ("quotes.csv", 33_334)


@pytest.mark.parametrize(
    ("header", "reason", "column"),
    [
        (QUOTES.replace(",bid_amount", ",bid_size"), "missing column|unknown header", None),
        (QUOTES + ",more", "extra column", "more"),
        (TRADES.replace("id,", ""), "missing column", "id"),
        (TICKER.replace(",index_price", ""), "missing column", "index_price"),
        (QUOTES.replace("exchange,", ""), "missing column", "exchange"),
        ("a,symbol,b", "unknown header", None),
        (book_header(2).replace("asks[1].amount,", ""), "missing column", "asks[1].amount"),
    ],
)
def test_headers(tmp_path, header, reason, column):
    path = csv(tmp_path / "x.csv", [row(0, "1,2,3,4")], header=header)
    with pytest.raises(InputFault, match=reason) as error:
        import_tardis(path, tmp_path / "x", kind="perpetual")
    assert error.value.row == 0
    assert column is None or error.value.column == column


def test_times_are_us(tmp_path):
    path = quotes(tmp_path, f"venue,BTC,{US // 1000},{US // 1000},2,101,100,1")
    with pytest.raises(InputFault, match=r"out of 2009\.\.2100 in us"):
        import_tardis(path, tmp_path / "x", kind="perpetual")


def test_by_command(tmp_path, capsys):
    rows = [row(i * 1_000_000, f"2,{1000 + i % 7 * 5}.5,{1000 + i % 7 * 5},1.5") for i in range(200)]
    path = gzipped(quotes(tmp_path / "in", *rows))
    words = [
        "import",
        "tardis",
        str(path),
        "--out",
        str(tmp_path / "btc"),
        "--kind",
        "perpetual",
        "--set",
        "step=10bp",
        "--set",
        "quantity=1",
    ]
    assert main([*words, "--clock", "exchange"]) == 0
    assert "BTC-PERP quotes, 200 rows, with header, times in us" in capsys.readouterr().out
    assert len(replay(Fixture.open(tmp_path / "btc")).fills) > 0
    assert main([*words[:4], str(tmp_path / "new"), *words[5:], "--clock", "lunar"]) == 2
    assert main([*words[:4], str(tmp_path / "new"), *words[5:], "--top", "0"]) == 2
    only(tmp_path, "btc", "in")
    with pytest.raises(ConfigError, match="kind is missing"):
        import_tardis(path, tmp_path / "x")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_empty_line_is_told_as_one(tmp_path, end):
    path = csv(tmp_path / "q.csv", [row(0, "2,100.5,100.25,1"), "", row(9, "2,100.5,100.25,1")], header=QUOTES, end=end)
    with pytest.raises(InputFault, match="an empty line") as error:
        import_tardis(path, tmp_path / "x", kind="perpetual")
    assert where(error) == ("q.csv", 2, "exchange", None)
    only(tmp_path, "q.csv")
