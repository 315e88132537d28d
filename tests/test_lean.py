"""LEAN's quote bars and funding: values by hand, what file names tell, faults, and real days replayed."""

from __future__ import annotations

import polars as pl
import pytest

from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.importing import import_lean
from grinder.errors import ConfigError, InputFault
from grinder.session import replay
from tests.files import NS, csv, only, real, where, zipped

DAY = 1_767_225_600_000  # 2026-01-01 in ms
NAME = "20260101_btcusd_minute_quote_perp.csv"
ROWS = [
    "0,87482,87495,87462,87484,0.0208,87490,87500,87464,87488,0.0335",
    "120000,87484.5,87533,87476,87529,0.1125,87488,87540,87486,87530,0.1489",
]


def stored(folder, stream="quotes"):
    return pl.read_parquet(folder / f"{stream}.parquet").to_dict(as_series=False)


@pytest.mark.parametrize("pack", [lambda path: path, zipped])
def test_bars_by_hand(tmp_path, pack):
    """First bar: mid opens at 87486, low 87463, high 87497.5, so the high is nearer; second: 87486.25, 87481, 87536.5, the low."""
    path = pack(csv(tmp_path / NAME, ROWS))
    made, report = import_lean(path, tmp_path / "btc", kind="perpetual")
    bid = [87482, 87495, 87462, 87484, 87484.5, 87476, 87533, 87529]
    ask = [87490, 87500, 87464, 87488, 87488, 87486, 87540, 87530]
    assert stored(tmp_path / "btc") == {
        "ts": [(DAY + at) * NS for at in (0, 15_000, 30_000, 45_000, 120_000, 135_000, 150_000, 165_000)],
        "symbol": [0] * 8,
        "bid_px": [int(px * 10) for px in bid],
        "bid_qty": [208] * 4 + [1125] * 4,
        "ask_px": [int(px * 10) for px in ask],
        "ask_qty": [335] * 4 + [1489] * 4,
    }
    assert made.symbols == ("BTCUSD",)
    assert report.units == {"BTCUSD": {"tick_size": "0.1", "lot_size": "0.0001"}}
    assert report.files[0]["what"] == "quote bars"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("20260101_btcusd_minute_quote.csv", {}),
        ("coinbase_minute_btcusd_20260101_quote.csv", {}),
        ("20260101_quote.csv", {"symbol": "BTCUSD"}),
        ("day.csv", {"symbol": "BTCUSD", "date": "20260101"}),
    ],
)
def test_names_and_options(tmp_path, name, options):
    made, _ = import_lean(csv(tmp_path / name, ROWS), tmp_path / "btc", kind="spot", **options)
    assert made.symbols == ("BTCUSD",)
    assert made.events.ts[0] == DAY * NS


def test_second_bars(tmp_path):
    rows = ["1000,10,11,9,10,1,12,13,11,12,1", "2000,10,11,9,10,1,12,13,11,12,1"]
    made, _ = import_lean(csv(tmp_path / "20260101_btcusd_second_quote.csv", rows), tmp_path / "btc", kind="spot")
    assert made.events.ts.tolist() == [(DAY + 1000 + k * 250) * NS for k in range(8)]
    minutes = csv(tmp_path / "20260101_btcusd_minute_quote.csv", rows)
    with pytest.raises(InputFault, match="bars overlap") as error:
        import_lean(minutes, tmp_path / "x", kind="spot")
    assert where(error)[:3] == (minutes.name, 1, "ms since midnight")


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("20260101_quote.csv", {}, "does not tell the symbol"),
        ("btcusd_minute_quote.csv", {"symbol": "BTCUSD"}, "does not tell the date"),
        ("20261301_btcusd_minute_quote.csv", {}, "20261301 is no date"),
        (NAME, {"date": "18990101"}, "out of 2009"),
        ("20260101_btcusd_minute_trade.csv", {}, "trade bars have no bid and ask"),
        ("20260101_btcusd_hour_quote.csv", {"symbol": "BTCUSD"}, "neither minute nor second bars"),
    ],
)
def test_names_that_do_not_tell(tmp_path, name, options, reason):
    with pytest.raises((ConfigError, InputFault), match=reason):
        import_lean(csv(tmp_path / name, ROWS), tmp_path / "x", kind="spot", **options)
    only(tmp_path, name)


def test_a_bar_without_a_side_is_left_out(tmp_path):
    """Lines of later faults count it."""
    rows = [ROWS[0], "60000,,,,,,87490,87500,87464,87488,0.0335", "61000,87490,87500,87464,87488,0.0335,,,,,", ROWS[1]]
    _, report = import_lean(csv(tmp_path / NAME, rows), tmp_path / "btc", kind="perpetual")
    assert report.dropped == {"bar_without_side": 2}
    assert len(stored(tmp_path / "btc")["ts"]) == 8
    with pytest.raises(InputFault) as error:
        import_lean(csv(tmp_path / NAME, [*rows, "180000,5,4,3,5,1,6,7,5,6,1"]), tmp_path / "x", kind="perpetual")
    assert where(error) == (NAME, 4, "bid open", "5.0")


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        ("60000,5,6,4,5,-1,7,8,6,7,1", "bid size", "-1", "negative"),
        ("60000,5,6,4,5,1,7,8,nan,7,1", "ask low", "nan", "not a plain price"),
        ("60000,5,6,4,5,1,7,8,6,7", "ask size", None, "missing column"),
        ("86400000,5,6,4,5,1,7,8,6,7,1", "ms since midnight", "86400000", "out of the day"),
        ("60000,5,6,4,9,1,7,8,6,7,1", "bid close", "9.0", "close outside low and high"),
        ("0,5,6,4,5,1,7,8,6,7,1", "ms since midnight", "0", "bars overlap"),
    ],
)
def test_faults(tmp_path, row, column, value, reason):
    path = zipped(csv(tmp_path / NAME, [ROWS[0], row, ROWS[1]]))
    with pytest.raises(InputFault, match=reason) as error:
        import_lean(path, tmp_path / "x", kind="perpetual")
    assert where(error) == (path.name, 1, column, value)
    only(tmp_path, path.name)


def test_sizes_that_went_through_floats(tmp_path):
    path = csv(tmp_path / NAME, [ROWS[0].replace("0.0208", "6.1153319800000006")])
    with pytest.raises(InputFault, match=r"no multiple of 0\.0001") as error:
        import_lean(path, tmp_path / "x", kind="perpetual", lot_size="0.0001")
    assert "--floor" in error.value.cure
    with pytest.raises(InputFault, match=r"times 0\.0000000000000001") as error:
        import_lean(path, tmp_path / "x", kind="perpetual")
    assert "--floor" in error.value.cure
    _, report = import_lean(path, tmp_path / "x", kind="perpetual", lot_size="0.0001", floor=True)
    assert stored(tmp_path / "x")["bid_qty"] == [61153] * 4
    assert report.floored == {"quantities": 1}


def test_funding(tmp_path):
    paid = csv(tmp_path / "funding_btcusd.csv", ["20260101 00:00:30,0.00020030", "20260101 00:02:20,-0.0001"])
    import_lean([paid, csv(tmp_path / NAME, ROWS)], tmp_path / "btc", kind="perpetual")
    assert stored(tmp_path / "btc", "funding") == {
        "ts": [(DAY + 30_000) * NS, (DAY + 140_000) * NS],
        "symbol": [0, 0],
        "rate": [20030, -10_000],
        "mark_px": [(874_620 + 874_640) // 2, (874_760 + 874_860) // 2],
    }
    for row, reason in (
        ("20260101 00:00,1", "not a time and a rate"),
        ("20260132 00:00:00,1", "not a time and a rate"),
        ("20260101 00:01:00,x", "not a plain rate"),
    ):
        bad = csv(tmp_path / "funding_btcusd.csv", ["20260101 00:00:30,0.0002", row])
        with pytest.raises(InputFault, match=reason) as error:
            import_lean([bad, tmp_path / NAME], tmp_path / "x", kind="perpetual")
        assert where(error)[:2] == ("funding_btcusd.csv", 1)
    early = csv(tmp_path / "funding_btcusd.csv", ["20251231 23:59:59,0.0002"])
    with pytest.raises(InputFault, match="funding before the first quote") as error:
        import_lean([early, tmp_path / NAME], tmp_path / "x", kind="perpetual")
    assert where(error) == ("funding_btcusd.csv", 0, "time", "20251231 23:59:59")


# Real days


def test_a_real_day_of_a_perpetual_is_replayed(tmp_path):
    files = real("dydx_minute_btcusd_20260101_quote.zip", "funding_btcusd.csv")
    made, report = import_lean(files, tmp_path / "dydx", kind="perpetual", clip=True, config={"quantity": "0.001"})
    assert report.rows == {"quotes": 5760}
    assert report.dropped == {"funding_clipped": 12}
    assert report.quarantined == {"quotes.crossed": 1}, "one bar of the source is crossed"
    assert report.units == {"BTCUSD": {"tick_size": "1", "lot_size": "0.0001"}}
    assert made.price_range[0][0] >= 87_000
    run = replay(tmp_path / "dydx")
    assert len(run.fills) > 50
    assert run.digest.value == replay(Fixture.open(tmp_path / "dydx")).digest.value


def test_two_real_days_of_two_symbols_are_replayed(tmp_path, capsys):
    files = real(*(f"coinbase_minute_{s}_2017090{d}_quote.zip" for d in (4, 3) for s in ("ethusd", "btcusd")))
    out = tmp_path / "made" / "coinbase"
    words = ["--kind", "spot", "--lot", "0.0001", "--floor", "--quote", "USD", "--set", "quantity=0.02"]
    assert main(["import", "lean", *map(str, files), "--out", str(out), *words]) == 0
    assert "quotes 23,000" in capsys.readouterr().out
    made = Fixture.open(out)
    assert made.symbols == ("BTCUSD", "ETHUSD")
    assert (made.events.bid_px <= made.events.ask_px).all()
    run = replay(made)
    assert set(run.fills["symbol"]) == {0, 1}
    assert len(run.fills) > 500
    assert made.config == Config(quantity="0.02")
    first = [int(made.events.ts[made.events.symbol == s][0]) for s in (0, 1)]
    assert first == [1_504_396_800_000 * NS] * 2


def test_every_real_file_has_only_uncrossed_quotes_inside_its_bars(tmp_path):
    (path,) = real("coinbase_minute_btcusd_20171217_quote.zip")
    made, report = import_lean(path, tmp_path / "one", kind="spot", lot_size="0.0001", quote="USD", floor=True)
    assert report.quarantined == {}
    assert (made.events.bid_px <= made.events.ask_px).all()
    assert report.units["BTCUSD"]["tick_size"] == "0.01"
