"""Tables of one's own: CSV and Parquet through one parser, with mapped columns; and the same numbers from both."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from grinder.cli import main
from grinder.data import tabular
from grinder.data.fixture import Fixture
from grinder.data.importing import import_table
from grinder.data.series import Rules, join
from grinder.data.tabular import read_tabular
from grinder.data.validation import quarantined
from grinder.errors import ConfigError, InputFault
from grinder.records import Command
from tests.files import NS, T, csv, gzipped, only, where

ROWS = [f"{T},100.1,1.5,100.2,2", f"{T + 5},100,0.25,100.2,0"]
HEADER = "ts,bid_px,bid_qty,ask_px,ask_qty"
QUOTES = {
    "ts": [T * NS, (T + 5) * NS],
    "symbol": [0, 0],
    "bid_px": [1001, 1000],
    "bid_qty": [150, 25],
    "ask_px": [1002, 1002],
    "ask_qty": [200, 0],
}
TABLE = {"ts": [T, T + 5], "bid_px": [100.1, 100.0], "bid_qty": [1.5, 0.25], "ask_px": [100.2, 100.2], "ask_qty": [2.0, 0.0]}


def stored(folder, stream="quotes"):
    return pl.read_parquet(folder / f"{stream}.parquet").to_dict(as_series=False)


def take(folder, name="made", **options):
    return import_table(folder / name, symbol="BTC", kind="spot", **options)


def test_csv_by_its_own_names(tmp_path):
    made, report = take(tmp_path, quotes=gzipped(csv(tmp_path / "q.csv", ROWS, header=HEADER)))
    assert stored(tmp_path / "made") == QUOTES
    assert report.units == {"BTC": {"tick_size": "0.1", "lot_size": "0.01"}}
    assert made.symbols == ("BTC",)


def test_mapped_columns_and_skipped_ones(tmp_path):
    rows = [f"é,{row},x" for row in ROWS]
    path = csv(tmp_path / "q.csv", rows, header="note,time,best_bid,bs,best_ask,as,more", bom=True, end="\r\n")
    columns = {"ts": "time", "bid_px": "best_bid", "quotes.bid_qty": "bs", "ask_px": "best_ask", "ask_qty": "as"}
    take(tmp_path, quotes=path, columns=columns)
    assert stored(tmp_path / "made") == QUOTES


def test_columns_by_place_in_a_file_without_header(tmp_path):
    path = csv(tmp_path / "q.csv", [f"{row},7" for row in ROWS])
    columns = {"ts": "0", "bid_px": "1", "bid_qty": "2", "ask_px": "3", "ask_qty": "4"}
    take(tmp_path, quotes=path, columns=columns)
    assert stored(tmp_path / "made") == QUOTES
    with pytest.raises(InputFault, match="missing column") as error:
        take(tmp_path, "x", quotes=path, columns=columns | {"ask_qty": "9"})
    assert where(error)[:3] == ("q.csv", 0, "9")
    with pytest.raises(ConfigError, match=r"q\.csv: .* both mapped to column 3: map each"):
        take(tmp_path, "x", quotes=path, columns=columns | {"ask_qty": "3"})


FRAMES = {
    "floats": pl.DataFrame(TABLE),
    "text": pl.DataFrame(TABLE).with_columns(pl.all().exclude("ts").cast(pl.String)),
    "decimals": pl.DataFrame(TABLE).with_columns(pl.all().exclude("ts").cast(pl.Decimal(18, 4))),
    "dates": pl.DataFrame(TABLE).with_columns(pl.col("ts").cast(pl.Datetime("ms"))),
    "dates in a zone": pl.DataFrame(TABLE).with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC"))),
    "us": pl.DataFrame(TABLE).with_columns(pl.col("ts") * 1000),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_parquet_of_any_type_gives_the_same_numbers(tmp_path, kind):
    FRAMES[kind].with_columns(extra=pl.lit("x,y")).write_parquet(tmp_path / "q.parquet")
    take(tmp_path, quotes=tmp_path / "q.parquet")
    assert stored(tmp_path / "made") == QUOTES


def test_whole_ticks_and_lots(tmp_path):
    frame = pl.DataFrame({name: QUOTES[name] for name in HEADER.split(",")})
    frame.write_parquet(tmp_path / "q.parquet")
    _, report = take(
        tmp_path, quotes=tmp_path / "q.parquet", in_ticks=True, in_lots=True, tick_size="0.1", lot_size="0.01", time_unit="ns"
    )
    assert stored(tmp_path / "made") == QUOTES
    assert report.inferred == ()
    with pytest.raises(ConfigError, match="whole units of tick_size do not tell it"):
        take(tmp_path, "x", quotes=tmp_path / "q.parquet", in_ticks=True)
    path = csv(tmp_path / "q.csv", [ROWS[0]], header=HEADER)
    with pytest.raises(InputFault, match="no multiple of 1") as error:
        take(tmp_path, "x", quotes=path, in_ticks=True, tick_size="0.1")
    assert where(error) == ("q.csv", 1, "bid_px", "100.1")


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    px=st.lists(st.tuples(st.integers(2**22, 2**30), st.integers(0, 2**30)), min_size=1, max_size=20),
    tick=st.sampled_from(["0.00000001", "0.001", "0.25", "1", "5"]),
)
def test_what_is_written_is_read_back(tmp_path_factory, px, tick):
    """Round trip: integers to text, to floats in Parquet and to Decimal, and back to the same integers."""
    folder = tmp_path_factory.mktemp("trip")
    text = [
        str(Decimal(ticks) * Decimal(tick)) if tick != "0.00000001" else f"{Decimal(ticks) * Decimal(tick):f}" for ticks, _ in px
    ]
    sizes = [f"{Decimal(lots) / 1000:f}" for _, lots in px]
    columns = {"ts": [T + i for i in range(len(px))], "bid_px": text, "bid_qty": sizes, "ask_px": text, "ask_qty": ["1"] * len(px)}
    frame = pl.DataFrame(columns)
    frame.write_csv(folder / "t.csv")
    frame.with_columns(pl.col("bid_px", "bid_qty", "ask_px").cast(pl.Float64)).write_parquet(folder / "f.parquet")
    rules = Rules(tick, "0.001", max_jump=50_000_000_000)
    for name in ("t.csv", "f.parquet"):
        part = read_tabular(
            folder / name, "quotes", rules, symbol="A", columns={}, unit=None, in_ticks=False, in_lots=False, progress=None
        )
        made = join([part], rules).streams["quotes"]
        assert made["bid_px"].tolist() == made["ask_px"].tolist() == [ticks for ticks, _ in px]
        assert made["bid_qty"].tolist() == [lots for _, lots in px]


COMMANDS = [f"{T},*,KILL", f"{T},BTC,pause", f"{T + 9},ETH,pause", f"{T + 9},BTC,Resume", f"{T + 9},*,recover"]
ASKED = {"ts": [T * 10**6] * 2 + [(T + 9) * 10**6] * 2, "symbol": [-1, 0, 0, -1], "command": [2, 0, 1, 4]}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_commands(tmp_path, kind):
    """Names in any case; * and no column of symbols are every symbol; rows of other symbols are left out and counted."""
    quotes = csv(tmp_path / "q.csv", ROWS, header=HEADER)
    path = csv(tmp_path / "c.csv", COMMANDS, header="ts,symbol,command")
    if kind == "parquet":
        pl.read_csv(path).write_parquet(path)
    made, report = take(tmp_path, quotes=quotes, commands=path, tick_size="0.1", lot_size="0.01")
    assert stored(tmp_path / "made", "commands") == ASKED
    assert (report.rows, report.dropped) == ({"commands": 4, "quotes": 2}, {"other_symbol": 1})
    assert made.commands == made.with_commands(made.commands).commands
    assert made.content == made.with_commands(made.commands).content
    csv(path, [f"resume,{T + 9}", f"pause,{T}"], header="what,when")
    made, report = take(
        tmp_path, "all", quotes=quotes, commands=path, columns={"command": "what", "commands.ts": "when"}, sort=True
    )
    assert made.commands == [(T * 10**6, Command.PAUSE, None), ((T + 9) * 10**6, Command.RESUME, None)]
    assert report.reordered == {"commands": 2}


@pytest.mark.parametrize(
    ("row", "reason", "place"),
    [
        (f"{T},BTC,kill", "kill or reset of one symbol", ("symbol", "BTC")),
        (f"{T},BTC,reset", "kill or reset of one symbol", ("symbol", "BTC")),
        (f"{T},*,halt", "no such command", ("command", "halt")),
        (f"{T},*,", "no such command", ("command", "")),
        (f"{T},-1,pause", "no symbol", ("symbol", "-1")),
        (f"{T},,pause", "no symbol", ("symbol", "")),
        ("-5,*,pause", "not a plain number", ("ts", "-5")),
        (f"{T - 1},*,pause", "timestamps out of order", ("ts", str(T - 1))),
    ],
)
def test_wrong_commands(tmp_path, row, reason, place):
    quotes = csv(tmp_path / "q.csv", ROWS, header=HEADER)
    path = csv(tmp_path / "c.csv", [f"{T},ETH,pause", f"{T},*,pause", row], header="ts,symbol,command")
    with pytest.raises(InputFault, match=reason) as error:
        take(tmp_path, quotes=quotes, commands=path)
    assert where(error) == ("c.csv", 3, *place)
    only(tmp_path, "c.csv", "q.csv")


def test_all_streams(tmp_path):
    trades = csv(tmp_path / "t.csv", [f"{T + 1},100.1,1,buy", f"{T + 2},100.2,0.5,-1"], header="ts,px,qty,aggressor")
    funding = csv(tmp_path / "f.csv", [f"{T + 3},0.0001,100.19"], header="ts,rate,mark_px")
    quotes = csv(tmp_path / "q.csv", ROWS, header=HEADER)
    import_table(tmp_path / "made", symbol="BTC", kind="perpetual", quotes=[quotes], trades=trades, funding=funding)
    made = stored(tmp_path / "made", "trades")
    assert (made["id"], made["px"], made["aggressor"]) == ([0, 1], [1001, 1002], [1, -1])
    assert stored(tmp_path / "made", "funding")["mark_px"] == [1001], "a mark is floored to the tick"
    csv(tmp_path / "f.csv", [f"{T + 3},0.0001,0.04"], header="ts,rate,mark_px")
    import_table(tmp_path / "low", symbol="BTC", kind="perpetual", quotes=quotes, funding=funding)
    assert stored(tmp_path / "low", "funding")["mark_px"] == [1], "and is at least one tick"
    csv(tmp_path / "t.csv", [f"7,{T + 1},100.1,1,true"], header="n,ts,px,qty,m")
    columns = {"trades.id": "n", "buyer_maker": "m"}
    import_table(tmp_path / "two", symbol="BTC", kind="spot", quotes=quotes, trades=trades, columns=columns)
    assert stored(tmp_path / "two", "trades")["aggressor"] == [-1]
    with pytest.raises(InputFault, match="missing column") as error:
        import_table(tmp_path / "x", symbol="BTC", kind="spot", quotes=quotes, trades=trades)
    assert where(error)[2] == "aggressor"


def test_a_mark_that_jumps_is_counted_as_a_replay_counts_it(tmp_path):
    quotes = csv(tmp_path / "q.csv", ROWS, header=HEADER)
    for marks, jumps in (((100, 150, 100), 1), ((150, 100, 150), 2), ((100, 101, 100), 0)):
        rows = [f"{T + at},0.0001,{mark}" for at, mark in enumerate(marks, 1)]
        funding = csv(tmp_path / "f.csv", [*rows, rows[-1]], header="ts,rate,mark_px")
        out = tmp_path / "_".join(map(str, marks))
        made, report = import_table(out, symbol="BTC", kind="perpetual", quotes=quotes, funding=funding)
        assert report.quarantined == {"funding.duplicate": 1} | ({"funding.jump": jumps} if jumps else {})
        assert report.quarantined == quarantined(made.events)
    twice = csv(tmp_path / "f.csv", [f"{T + 1},0.0001,150", f"{T + 2},0.0001,150.1"], header="ts,rate,mark_px")
    with pytest.raises(InputFault, match="second price jump in a row") as error:
        import_table(tmp_path / "twice", symbol="BTC", kind="perpetual", quotes=quotes, funding=twice)
    assert where(error) == ("f.csv", 2, "mark_px", "150.1")
    assert not (tmp_path / "twice").exists()


def test_rows_of_other_symbols_are_dropped(tmp_path):
    path = csv(
        tmp_path / "q.csv",
        [f"{row},{name}" for row, name in zip(ROWS * 2, ("BTC", "BTC", "ETH", "B"), strict=True)],
        header=HEADER + ",symbol",
    )
    _, report = take(tmp_path, quotes=path)
    assert report.dropped == {"other_symbol": 2}
    assert stored(tmp_path / "made") == QUOTES


@pytest.mark.parametrize(
    ("value", "shown"), [(float("nan"), "NaN"), (float("inf"), "inf"), (None, ""), (-1.0, "-1.0"), (0.0, "0.0")]
)
def test_faults_in_parquet(tmp_path, value, shown):
    frame = pl.DataFrame(TABLE | {"bid_px": [100.1, value]})
    frame.write_parquet(tmp_path / "q.parquet")
    with pytest.raises(InputFault) as error:
        take(tmp_path, quotes=tmp_path / "q.parquet")
    assert where(error) == ("q.parquet", 1, "bid_px", shown)
    assert ("a value is missing" in str(error.value)) == (value is None)
    only(tmp_path, "q.parquet")


@pytest.mark.parametrize("cell", [f"1\n{T + 1},100.1,1,100.2,7", "1,0", "1\r", '"1"'])
def test_text_that_would_not_stay_in_its_cell(tmp_path, monkeypatch, cell):
    """As CSV it would be a row or a column that the file does not have."""
    frame = FRAMES["text"].with_columns(ask_qty=pl.Series(["1", cell]), extra=pl.lit("x,y"))
    frame.write_parquet(tmp_path / "q.parquet")
    monkeypatch.setattr(tabular, "_BATCH", 1)
    with pytest.raises(InputFault, match="more than one value") as error:
        take(tmp_path, quotes=tmp_path / "q.parquet")
    assert where(error) == ("q.parquet", 1, "ask_qty", cell)


def test_as_many_rows_are_read_as_the_file_has(tmp_path, monkeypatch):
    FRAMES["text"].with_columns(ask_qty=pl.lit(f"1\n{T + 5},100.1,1,100.2,7")).write_parquet(tmp_path / "q.parquet")
    monkeypatch.setattr(tabular, "_UNFIT", "never in it")
    with pytest.raises(InputFault, match="4 rows were read of 2") as error:
        take(tmp_path, quotes=tmp_path / "q.parquet")
    assert where(error)[0] == "q.parquet"


def test_parquet_columns_of_any_name(tmp_path):
    FRAMES["floats"].rename({"bid_px": 'b,"p\n', "ts": "0"}).write_parquet(tmp_path / "q.parquet")
    take(tmp_path, quotes=tmp_path / "q.parquet", columns={"bid_px": 'b,"p\n', "ts": "0"})
    assert stored(tmp_path / "made") == QUOTES


def test_dates_have_a_unit_of_their_own(tmp_path):
    """It goes before a given one, which is for times that are numbers."""
    for unit, option in (("ms", None), ("us", "s"), ("ns", "ms")):
        FRAMES["dates"].with_columns(pl.col("ts").cast(pl.Datetime(unit))).write_parquet(tmp_path / "q.parquet")
        _, report = take(tmp_path, f"made_{unit}", quotes=tmp_path / "q.parquet", time_unit=option)
        assert stored(tmp_path / f"made_{unit}") == QUOTES
        assert report.files[0]["time_unit"] == unit
    late = pl.DataFrame(TABLE).with_columns(ts=pl.Series([T * 1000, 20_150_811_273_709_551]).cast(pl.Datetime("us")))
    late.write_parquet(tmp_path / "q.parquet")
    with pytest.raises(InputFault, match=r"out of 2009\.\.2100 in us") as error:
        take(tmp_path, "x", quotes=tmp_path / "q.parquet")
    assert where(error) == ("q.parquet", 1, "ts", "20150811273709551")
    pl.DataFrame(TABLE).with_columns(bid_px=pl.col("ts").cast(pl.Datetime("ms"))).write_parquet(tmp_path / "q.parquet")
    with pytest.raises(InputFault, match="neither numbers nor text") as error:
        take(tmp_path, "x", quotes=tmp_path / "q.parquet")
    assert where(error)[2] == "bid_px"


def test_faults_tell_what_the_file_has(tmp_path):
    """Whole ticks stay whole ticks; prices are prices."""
    rows = [f"{T},100,1,101,1", f"{T + 1},200,1,201,1", f"{T + 2},300,1,301,1"]
    path = csv(tmp_path / "q.csv", rows, header=HEADER)
    for options, shown in (({"in_ticks": True, "tick_size": "0.1"}, "300"), ({"tick_size": "0.5"}, "300.0")):
        with pytest.raises(InputFault, match="second price jump") as error:
            take(tmp_path, "x", quotes=path, **options)
        assert where(error) == ("q.csv", 3, "bid_px", shown)
        assert ("in units of 0.5: " in error.value.cure) == (shown == "300.0")


def test_damaged_and_odd_parquet(tmp_path):
    path = tmp_path / "q.parquet"
    FRAMES["floats"].write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputFault, match="no readable Parquet"):
        take(tmp_path, quotes=path)
    pl.DataFrame(TABLE | {"bid_px": [[1], [2]]}).write_parquet(path)
    with pytest.raises(InputFault, match="neither numbers nor text") as error:
        take(tmp_path, quotes=path)
    assert where(error)[2] == "bid_px"
    pl.DataFrame(TABLE).clear().write_parquet(path)
    with pytest.raises(InputFault, match="no_ticks"):
        take(tmp_path, quotes=path)
    pl.DataFrame(TABLE).drop("ask_qty").write_parquet(path)
    with pytest.raises(InputFault, match="missing column") as error:
        take(tmp_path, quotes=path)
    assert where(error)[2] == "ask_qty"
    with pytest.raises(InputFault, match="cannot be read"):
        take(tmp_path, quotes=tmp_path / "nothing")


def test_wrong_mappings(tmp_path):
    path = csv(tmp_path / "q.csv", ROWS, header=HEADER)
    for columns in ({"price": "x"}, {"books.bid_px": "x"}, {"quotes.px": "x"}, {"rate": "x"}):
        with pytest.raises(ConfigError, match="there is no column"):
            take(tmp_path, quotes=path, columns=columns)
    with pytest.raises(ConfigError, match="there is no file to import"):
        take(tmp_path)
    with pytest.raises(ConfigError, match="a file is given twice"):
        take(tmp_path, quotes=[path, path])
    with pytest.raises(ConfigError, match="time unit 'h'"):
        take(tmp_path, quotes=path, time_unit="h")
    with pytest.raises(InputFault, match="a column twice"):
        take(tmp_path, quotes=csv(tmp_path / "d.csv", ROWS, header=HEADER.replace("ask_px", "bid_px")))


def test_by_command(tmp_path, capsys):
    path = csv(tmp_path / "in" / "q.csv", ROWS, header=HEADER.replace("bid_px", "best").replace("ts", "time"))
    words = ["import", "table", "--symbol", "BTC", "--quotes", str(path), "--out", str(tmp_path / "btc"), "--kind", "spot"]
    assert (
        main([*words, "--column", "bid_px=best", "--column", "ts=time", "--time-unit", "ms", "--tick", "0.05", "--lot", "BTC=0.01"])
        == 0
    )
    assert "tick_size 0.05 (given), lot_size 0.01 (given)" in capsys.readouterr().out
    assert Fixture.open(tmp_path / "btc").events.bid_px.tolist() == [2002, 2000]
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*words[:-3], str(tmp_path / "x"), *words[-2:]]) == 3
    assert "map it, such as --column ts=NAME" in capsys.readouterr().err
    only(tmp_path, "btc", "in")
