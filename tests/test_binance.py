"""Raw Binance recordings: the figures of two real ones, the book procedure, and every fault."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grinder.data import binance
from grinder.data.binance import Recording, read_recording
from grinder.data.importing import import_binance
from grinder.data.validation import quarantined
from grinder.errors import ConfigError, DataError, InputFault, NumberError

DATA = Path(os.environ.get("GRINDER_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MS = 1_723_161_255_000
NS = 1_000_000


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        message = f"{name} is not in {DATA}: set GRINDER_DATA to the folder of recordings"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="module")
def usdm() -> Recording:
    return read_recording(real("binance_usdm_btcusdt_20240808.gz"))


@pytest.fixture(scope="module")
def spot() -> Recording:
    return read_recording(real("binance_spot_btcusdt_20240808.gz"))


# --- small recordings ---------------------------------------------------------------------------------------------


def line(stream: str, data: Any, ms: int) -> str:
    """One line; the local clock runs 1269.5 ms behind the exchange's."""
    event = {"stream": stream, "data": data} if stream else data
    return f"{(ms - 1270) * NS + 500_000} {json.dumps(event, separators=(',', ':'))}"


def quote(u: Any, ms: int = MS, b: Any = "100.1", B: Any = "1.5", a: Any = "100.2", A: Any = "2.0", **more: Any) -> str:
    data = {"e": "bookTicker", "u": u, "s": "BTCUSDT", "b": b, "B": B, "a": a, "A": A, "T": ms, "E": ms + 1}
    return line("btcusdt@bookTicker", data | more, ms)


def trade(t: Any, ms: int = MS, p: Any = "100.1", q: Any = "0.5", m: Any = True, **more: Any) -> str:
    data = {"e": "trade", "E": ms + 1, "T": ms, "s": "BTCUSDT", "t": t, "p": p, "q": q, "X": "MARKET", "m": m}
    return line("btcusdt@trade", data | more, ms)


def diff(first: int, last: int, previous: int | None, bids: Any = (), asks: Any = (), ms: int = MS, **more: Any) -> str:
    data = {"e": "depthUpdate", "E": ms + 1, "T": ms, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    if previous is None:
        del data["T"]
    else:
        data["pu"] = previous
    return line("btcusdt@depth@100ms", data | more, ms)


def snapshot(last: int, bids: Any = (("100.1", "1.5"), ("99.9", "3.0")), asks: Any = (("100.2", "2.0"),)) -> str:
    return line("", {"lastUpdateId": last, "bids": bids, "asks": asks}, MS)


SAMPLE = [
    diff(80, 90, 79, [["100.0", "7.0"]], ms=MS - 20),
    quote(95, MS - 10),
    diff(95, 105, 90, [["100.0", "4.0"]], [["100.3", "1.0"]], ms=MS + 5),
    snapshot(100),
    trade(7),
    quote(106, MS + 6, B="1.6"),
    diff(106, 110, 105, [["100.1", "0.0"]], [["100.2", "0.0"], ["100.4", "9.0"]], ms=MS + 10),
    trade(8, MS + 11, m=False),
    diff(111, 120, 110, [["99.9", "0"], ["100.1", "2.5"]], ms=MS + 12),
    quote(121, MS + 12, B="2.5", a="100.3", A="1.0"),
]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Recording]:
    def read_lines(lines: list[str] | bytes, **options: Any) -> Recording:
        path = tmp_path / "recording.txt"
        path.write_bytes(lines if isinstance(lines, bytes) else ("\n".join(lines) + "\n").encode())
        return read_recording(path, **options)

    return read_lines


def accounted(recording: Recording) -> None:
    """Every line is a row, a snapshot or dropped; columns are int64, of equal length, in order."""
    report = recording.report
    assert report.lines == sum(report.rows.values()) + report.snapshots + sum(report.dropped.values())
    for name, key in (("quotes", "update_id"), ("trades", "id"), ("books", "update_id")):
        columns = getattr(recording, name)
        assert {len(values) for values in columns.values()} == {report.rows[name]}
        assert {values.dtype for values in columns.values()} == {np.dtype(np.int64)}
        assert (np.lexsort((columns[key], columns["ts"])) == np.arange(report.rows[name])).all()
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.file in str(report)


# --- the real recordings ------------------------------------------------------------------------------------------


def test_usdm_figures(usdm: Recording) -> None:
    report = usdm.report
    accounted(usdm)
    assert report.lines == 93_954
    assert report.rows == {"quotes": 66_089, "trades": 21_313, "books": 6_547}
    assert (report.snapshots, report.dropped) == (1, {"depth_before_snapshot": 4})
    assert (report.gaps, report.crossed) == ((), 0)
    assert report.disagreeing == ((449, 5695), (452, 5738), (5471, 80149))
    assert report.quarantined == {"books.book_unlike_quotes": 3}
    assert report.reordered == {"quotes": 0, "trades": 0, "books": 0}
    assert (usdm.symbol, usdm.tick_size, usdm.lot_size) == ("BTCUSDT", "0.1", "0.001")
    assert report.inferred == ("tick_size", "lot_size")
    assert (usdm.clock, report.clock, report.lag_ms) == ("exchange", "exchange", -1269)
    assert report.ts_range == (1_723_161_256_313 * NS, 1_723_161_601_054 * NS)  # past midnight on the exchange's clock


def test_usdm_half_of_the_quotes_share_their_millisecond(usdm: Recording) -> None:
    ts, ids = usdm.quotes["ts"], usdm.quotes["update_id"]
    _, counts = np.unique(ts, return_counts=True)
    assert round(100 * (len(ts) - len(counts)) / len(ts)) == 48  # have the millisecond of the quote before
    assert round(100 * int(counts[counts > 1].sum()) / len(ts)) == 64  # share it with any other
    assert (np.diff(ids) > 0).all()


def test_usdm_first_rows_by_hand(usdm: Recording) -> None:
    first = {name: int(values[0]) for name, values in usdm.quotes.items()}
    assert first == {
        "ts": 1_723_161_256_313 * NS,
        "bid_px": 618_002,
        "bid_qty": 2_507,
        "ask_px": 618_003,
        "ask_qty": 2_510,
        "ts_exchange": 1_723_161_256_313 * NS,
        "ts_local": 1_723_161_255_088_169_167,
        "update_id": 5_123_107_839_020,
    }
    assert {name: int(values[0]) for name, values in usdm.trades.items()} == {
        "ts": 1_723_161_256_322 * NS,
        "id": 5_266_583_935,
        "px": 618_003,
        "qty": 6,
        "aggressor": 1,
        "ts_exchange": 1_723_161_256_322 * NS,
        "ts_local": 1_723_161_255_088_176_367,
    }


def test_books_equal_quotes_of_the_same_update(usdm: Recording) -> None:
    """A quote and a book of one update id are one state of the exchange, prices and quantities."""
    _, book, at = np.intersect1d(usdm.books["update_id"], usdm.quotes["update_id"], return_indices=True)
    assert len(book) == 629
    for name in ("bid_px", "bid_qty", "ask_px", "ask_qty"):
        assert (usdm.books[name][book, 0] == usdm.quotes[name][at]).all()


def slow_books(path: Path, spot: bool) -> Iterator[tuple[int, tuple[dict[Decimal, Decimal], ...]]]:
    """The live procedure with plain dicts: buffer, take the snapshot, drop what it covers, apply the rest."""
    sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    waiting: list[dict[str, Any]] = []
    covered: int | None = None

    def put(levels: tuple[Any, Any]) -> None:
        for side, changes in zip(sides, levels, strict=True):
            for px, qty in changes:
                side[Decimal(px)] = Decimal(qty)
                if not Decimal(qty):
                    del side[Decimal(px)]

    with gzip.open(path, "rt") as lines:
        for text in lines:
            event = json.loads(text.split(" ", 1)[1])
            if "lastUpdateId" in event:
                covered = event["lastUpdateId"] + spot
                put((event["bids"], event["asks"]))
            elif "@depth" in event["stream"]:
                waiting.append(event["data"])
            while waiting and covered is not None:
                data = waiting.pop(0)
                if data["u"] >= covered:
                    put((data["b"], data["a"]))
                    yield data["u"], sides


@pytest.mark.parametrize("name", ["usdm", "spot"])
def test_books_against_a_plain_rebuild(name: str, request: pytest.FixtureRequest) -> None:
    recording: Recording = request.getfixturevalue(name)
    units = [Decimal(recording.tick_size)] * 10 + [Decimal(recording.lot_size)] * 10
    books = recording.books
    ids = books["update_id"].tolist()
    for place, (u, sides) in enumerate(slow_books(real(f"binance_{name}_btcusdt_20240808.gz"), name == "spot")):
        assert ids[place] == u
        if place < 20 or place % 97 == 0 or place > len(ids) - 5:
            for side, levels in zip(("bid", "ask"), sides, strict=True):
                best = sorted(levels, reverse=side == "bid")[:10]
                seen = [*books[f"{side}_px"][place].tolist(), *books[f"{side}_qty"][place].tolist()]
                assert [count * unit for count, unit in zip(seen, units, strict=True)] == [
                    *best,
                    *(levels[px] for px in best),
                ]
    assert place == len(ids) - 1


def test_spot_figures(spot: Recording) -> None:
    report = spot.report
    accounted(spot)
    assert report.lines == 41_249
    assert report.rows == {"quotes": 28_040, "trades": 9_757, "books": 3_449}
    assert (report.snapshots, report.dropped) == (1, {"depth_before_snapshot": 2})
    assert (report.gaps, report.crossed, report.disagreeing, report.quarantined) == ((), 0, (), {})
    assert (spot.clock, report.lag_ms) == ("local", None)
    assert not spot.quotes["ts_exchange"].any()
    assert spot.books["ts_exchange"].all()
    assert (spot.quotes["ts"] == spot.quotes["ts_local"]).all()
    # Three quantities deep in the book have six decimals, although the lot of the market is 0.00001.
    assert (spot.tick_size, spot.lot_size) == ("0.01", "0.000001")


def test_spot_needs_the_finer_lot(spot: Recording) -> None:
    with pytest.raises(InputFault) as caught:
        read_recording(real("binance_spot_btcusdt_20240808.gz"), lot_size="0.00001")
    fault = caught.value
    assert (fault.row, fault.column, fault.value) == (1885, "a", "25.42618900")
    assert fault.cure == 'the nearest legal value is "25.42618" or "25.42619"'


def test_spot_has_no_exchange_clock(spot: Recording) -> None:
    with pytest.raises(InputFault, match=r"28,040 quotes carry no exchange time.*clock=\"local\"") as caught:
        read_recording(real("binance_spot_btcusdt_20240808.gz"), clock="exchange")
    assert (caught.value.row, caught.value.column) == (2, "T")


# --- streams, clocks and units ------------------------------------------------------------------------------------


def test_sample(read: Callable[..., Recording]) -> None:
    recording = read(SAMPLE, top_n=3)
    accounted(recording)
    report = recording.report
    assert (report.rows, report.dropped) == ({"quotes": 3, "trades": 2, "books": 3}, {"depth_before_snapshot": 1})
    assert (recording.tick_size, recording.lot_size, recording.clock, report.lag_ms) == (
        "0.1",
        "0.1",
        "exchange",
        -1270,
    )
    assert (report.gaps, report.disagreeing, report.quarantined) == ((), (), {})
    books = recording.books
    assert books["update_id"].tolist() == [105, 110, 120]
    assert books["bid_px"].tolist() == [[1001, 1000, 999], [1000, 999, 0], [1001, 1000, 0]]
    assert books["bid_qty"].tolist() == [[15, 40, 30], [40, 30, 0], [25, 40, 0]]
    assert books["ask_px"].tolist() == [[1002, 1003, 0], [1003, 1004, 0], [1003, 1004, 0]]
    assert books["ask_qty"].tolist() == [[20, 10, 0], [10, 90, 0], [10, 90, 0]]
    assert books["ts"].tolist() == [(MS + ms) * NS for ms in (5, 10, 12)]
    assert recording.trades["aggressor"].tolist() == [-1, 1]
    assert "row" not in books.keys() | recording.quotes.keys() | recording.trades.keys()
    assert "tick_size 0.1 (inferred)" in str(report)


def test_gzip_bom_crlf_and_a_missing_last_newline(tmp_path: Path, read: Callable[..., Recording]) -> None:
    plain = read(SAMPLE).report.to_dict()
    raw = "\n".join(SAMPLE).encode()
    halves = gzip.compress(raw[:700]) + gzip.compress(raw[700:])
    for data in (raw, gzip.compress(raw), halves, b"\xef\xbb\xbf" + raw, raw.replace(b"\n", b"\r\n") + b"\r\n"):
        assert read(data).report.to_dict() == plain


def test_lines_that_cross_chunks(read: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = read(SAMPLE).report.to_dict()
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(binance, "_CHUNK", size)
        assert read(SAMPLE).report.to_dict() == plain


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recording.gz"
    path.write_bytes(gzip.compress("\n".join(SAMPLE).encode()))
    seen: list[tuple[int, int]] = []
    read_recording(path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert seen == sorted(seen)


def test_local_clock_can_be_asked_for(read: Callable[..., Recording]) -> None:
    recording = read(SAMPLE, clock="local")
    assert (recording.clock, recording.report.lag_ms) == ("local", None)
    assert (recording.quotes["ts"] == recording.quotes["ts_local"]).all()
    assert recording.quotes["ts_exchange"].all()


def test_event_time_stands_in_for_transaction_time(read: Callable[..., Recording]) -> None:
    event = {"e": "bookTicker", "u": 1, "s": "BTCUSDT", "b": "1.1", "B": "1", "a": "1.2", "A": "1", "E": MS}
    recording = read([line("btcusdt@bookTicker", event, MS), quote(2, MS + 1)])
    assert recording.clock == "exchange"
    assert recording.quotes["ts"].tolist() == [MS * NS, (MS + 1) * NS]


def test_rows_are_ordered_by_time_then_id_and_moves_are_counted(read: Callable[..., Recording]) -> None:
    recording = read([quote(1, MS), quote(5, MS + 2), quote(3, MS + 1), quote(4, MS + 2), quote(6, MS + 3)])
    accounted(recording)
    assert recording.quotes["update_id"].tolist() == [1, 3, 4, 5, 6]
    assert recording.report.reordered == {"quotes": 3, "trades": 0, "books": 0}


@pytest.mark.parametrize(
    ("prices", "tick"),
    [(("100.10", "100.20"), "0.1"), (("100", "200"), "1"), (("1.00000001", "2"), "0.00000001"), (("7.50", "8"), "0.1")],
)
def test_inferred_tick(read: Callable[..., Recording], prices: tuple[str, str], tick: str) -> None:
    recording = read([quote(1, b=prices[0], a=prices[1], B="0", A="0.000")])
    assert (recording.tick_size, recording.lot_size) == (tick, "1")
    seen = [int(recording.quotes[name][0]) * Decimal(tick) for name in ("bid_px", "ask_px")]
    assert seen == [Decimal(price) for price in prices]


def test_a_given_unit_need_not_be_a_power_of_ten(read: Callable[..., Recording]) -> None:
    recording = read([quote(1, b="100.25", a="100.50", B="4", A="6.0")], tick_size="0.25", lot_size="2")
    assert [int(recording.quotes[name][0]) for name in ("bid_px", "ask_px", "bid_qty", "ask_qty")] == [401, 402, 2, 3]
    assert (recording.tick_size, recording.lot_size, recording.report.inferred) == ("0.25", "2", ())


def test_several_symbols_need_a_choice(read: Callable[..., Recording]) -> None:
    other = quote(9).replace("btcusdt", "ethusdt").replace("BTCUSDT", "ETHUSDT")
    with pytest.raises(InputFault, match=r"several symbols.*symbol='BTCUSDT' or symbol='ETHUSDT'"):
        read([quote(1), other])
    recording = read([quote(1), other, snapshot(3), diff(1, 5, 0), trade(1)], symbol="btcusdt")
    accounted(recording)
    assert recording.symbol == "BTCUSDT"
    dropped = {"depth_without_snapshot": 1, "other_symbol": 1, "snapshot_without_symbol": 1}
    assert recording.report.dropped == dropped
    with pytest.raises(InputFault, match=r"wrong symbol.*holds BTCUSDT, ETHUSDT"):
        read([quote(1), other], symbol="XRPUSDT")


def test_trades_outside_the_book_are_dropped(read: Callable[..., Recording]) -> None:
    recording = read([trade(1), trade(2, X="NA", p="0", q="0"), trade(3, X="INSURANCE_FUND")])
    accounted(recording)
    assert recording.report.dropped == {"trade_outside_book": 2}
    assert recording.trades["id"].tolist() == [1]


def test_what_the_replay_quarantines_is_counted_and_kept(read: Callable[..., Recording]) -> None:
    lines = [
        quote(1),
        quote(2),  # repeats all that a replay sees
        quote(3, MS + 1, b="100.3"),
        quote(4, MS + 2, B="0", A="0.0"),
        quote(5, MS + 3, B="0"),
        quote(6, MS + 4, b="79.9"),  # over 20 % from the mid before
        *(quote(10 + i, MS + 10 + i) for i in range(1000)),  # one crossed row in a thousand is not too much
        trade(1),
        trade(2),
        trade(1, MS + 9),
        trade(3, MS + 2000, p="121"),
    ]
    recording = read(lines)
    accounted(recording)
    report = recording.report
    assert report.quarantined == {
        "quotes.duplicate": 1,
        "quotes.crossed": 1,
        "quotes.no_size": 1,
        "quotes.jump": 1,
        "trades.duplicate": 1,
        "trades.jump": 1,
    }
    assert report.rows == {"quotes": 1006, "trades": 4, "books": 0}
    assert report.crossed == 1
    assert read(lines, max_jump="30%").report.quarantined == {
        name: count for name, count in report.quarantined.items() if "jump" not in name
    }


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (
            [quote(1), quote(2, MS + 1, b="100.3")],
            {},
            r"row 1, column b, value '100\.3': crossed book \(1 of 2 rows are crossed, more than 0\.1 %",
        ),
        (
            [trade(1), quote(2), quote(4, MS + 2, a="125.1"), quote(3, MS + 1, a="125")],
            {},
            r"row 2, column a, value '125\.1': second price jump in a row \(in units of 0\.1: further than max_jump 0\.2.* 1001\.5",
        ),
        (
            [quote(1), trade(2, MS + 1, p="70"), trade(3, MS + 2, p="70.1")],
            {},
            r"row 2, column p, value '70\.1': second price jump",
        ),
        ([quote(1, B="2147483648.001")], {"lot_size": "0.001"}, r"row 0, column B, value '2147483648\.001': value out of range"),
    ],
)
def test_what_the_rules_reject_names_its_line(
    read: Callable[..., Recording], lines: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputFault, match=message) as caught:
        read(lines, **options)
    assert str(caught.value.file).endswith("recording.txt")


@pytest.mark.parametrize("keep", [("quotes", "trades", "books"), ("quotes", "books"), ("books",), ("trades", "quotes")])
def test_the_report_counts_what_a_replay_of_the_kept_streams_quarantines(tmp_path: Path, keep: tuple[str, ...]) -> None:
    gone = [["100.1", "0"], ["100.0", "0"]]
    lines = [
        *SAMPLE,
        quote(122, MS + 13, B="0", A="0"),
        diff(121, 123, 120, gone, ms=MS + 14),  # a book without bids
        diff(124, 125, 123, [], [["100.3", "0"], ["100.4", "0"]], ms=MS + 15),  # and without anything
        diff(126, 127, 125, ms=MS + 16),
        diff(128, 129, 127, [["100.0", "1"]], [["100.2", "1"]], ms=MS + 17),
        quote(128, MS + 17, b="99.9", a="100.2"),
        diff(130, 131, 129, [["150.0", "1"]], [["100.2", "0"], ["150.1", "1"]], ms=MS + 18),
        trade(8, MS + 19),
    ]
    path = tmp_path / "raw.txt"
    path.write_text("\n".join(lines))
    made, report = import_binance(path, tmp_path / "made", kind="perpetual", streams=keep)
    assert report.quarantined == quarantined(made.events)
    assert json.loads(made.manifest["source"]["report"])["quarantined"] == report.quarantined
    wanted = {"quotes.no_size": 1, "trades.duplicate": 1, "books.no_size": 2, "books.jump": 1, "books.book_unlike_quotes": 1}
    wanted = {name: count for name, count in wanted.items() if name.split(".")[0] in keep}
    if "quotes" not in keep:
        del wanted["books.book_unlike_quotes"]
    assert report.quarantined == wanted


# --- the book procedure -------------------------------------------------------------------------------------------


def test_usdm_diffs_around_the_snapshot(read: Callable[..., Recording]) -> None:
    lines = [diff(90, 99, 89), diff(100, 100, 99), snapshot(100), diff(101, 110, 100)]
    recording = read(lines)
    assert recording.books["update_id"].tolist() == [100, 110]
    assert (recording.report.dropped, recording.report.gaps) == ({"depth_before_snapshot": 1}, ())
    assert read([snapshot(100), diff(102, 110, 101)]).report.gaps == ((0, 1),)


def test_spot_diffs_around_the_snapshot(read: Callable[..., Recording]) -> None:
    lines = [diff(90, 100, None), snapshot(100), diff(101, 110, None), diff(111, 111, None), diff(113, 114, None)]
    recording = read(lines)
    assert recording.books["update_id"].tolist() == [110, 111, 114]
    assert (recording.report.dropped, recording.report.gaps) == ({"depth_before_snapshot": 1}, ((2, 4),))
    assert read([snapshot(100), diff(95, 110, None)]).report.gaps == ()
    assert read([snapshot(100), diff(102, 110, None)]).report.gaps == ((0, 1),)


def test_a_usdm_gap_is_listed_and_the_book_goes_on(read: Callable[..., Recording]) -> None:
    bid = [["100.1", "9"]]
    lines = [
        snapshot(100),
        diff(99, 105, 98),
        diff(120, 130, 119, bid, ms=MS + 1),
        diff(131, 140, 130, ms=MS + 2),
    ]
    recording = read(lines)
    assert recording.report.gaps == ((1, 2),)
    assert recording.books["bid_qty"][:, 0].tolist() == [15, 90, 90]


def test_a_gap_keeps_its_row_after_sorting(read: Callable[..., Recording]) -> None:
    lines = [snapshot(100), diff(120, 130, 119, ms=MS + 5), diff(99, 105, 98), diff(131, 140, 130, ms=MS + 6)]
    report = read(lines).report
    assert (report.gaps, report.reordered["books"]) == (((1, 1),), 2)


def test_repeated_diffs_and_diffs_without_a_snapshot(read: Callable[..., Recording]) -> None:
    recording = read([snapshot(100), diff(99, 105, 98), diff(99, 105, 98), diff(106, 107, 105)])
    accounted(recording)
    assert (recording.report.dropped, recording.report.gaps) == ({"depth_repeated": 1}, ())
    lonely = read([quote(1), diff(99, 105, 98)])
    accounted(lonely)
    assert lonely.report.dropped == {"depth_without_snapshot": 1}


def test_a_later_snapshot_replaces_the_book_at_its_id(read: Callable[..., Recording]) -> None:
    fresh = snapshot(200, [["99.0", "1"]], [["101.0", "1"]])
    lines = [snapshot(100), diff(99, 105, 98), diff(106, 190, 105, ms=MS + 1), diff(191, 210, 190, ms=MS + 2), fresh]
    recording = read(lines)
    accounted(recording)
    assert recording.books["bid_px"][:, 0].tolist() == [1001, 1001, 990]
    assert (recording.report.gaps, recording.report.snapshots) == ((), 2)


def test_crossed_and_empty_books(read: Callable[..., Recording]) -> None:
    gone = [["100.1", "0"], ["99.9", "0"], ["100.5", "0"]]
    lines = [
        snapshot(100),
        diff(99, 105, 98, [["100.5", "1"]]),
        diff(106, 107, 105, gone, [["100.2", "0"]], ms=MS + 1),
    ]
    with pytest.raises(InputFault, match=r"row 1, column bid_px_0, value '100\.5': crossed book"):
        read(lines)
    calm = [diff(108, 109, 107, [["100.0", "1"]], [["100.1", "1"]], ms=MS + 2)]
    calm += [diff(110 + i, 110 + i, 109 + i, [["100.0", str(1 + i)]], ms=MS + 3 + i) for i in range(1000)]
    report = read([*lines, *calm]).report
    assert (report.quarantined, report.crossed) == ({"books.crossed": 1, "books.no_size": 1}, 1)


def test_a_book_without_one_side_is_accepted(read: Callable[..., Recording]) -> None:
    gone = [["100.1", "0"], ["99.9", "0"]]
    lines = [snapshot(100), diff(99, 105, 98), diff(106, 107, 105, gone, [["100.0", "2"]], ms=MS + 1)]
    recording = read(lines, top_n=2)
    assert recording.report.quarantined == {}
    assert recording.books["bid_px"].tolist() == [[1001, 999], [0, 0]]
    assert recording.books["bid_qty"].tolist() == [[15, 30], [0, 0]]
    assert recording.books["ask_px"].tolist() == [[1002, 0], [1000, 1002]]


def test_a_book_unlike_every_quote_of_its_time(read: Callable[..., Recording]) -> None:
    lines = [snapshot(100), diff(99, 105, 98), quote(104, a="100.3"), quote(106, b="100.0")]
    report = read(lines).report
    assert (report.disagreeing, report.quarantined) == (((0, 1),), {"books.book_unlike_quotes": 1})
    assert read([*lines, quote(107, B="77")]).report.disagreeing == ()
    assert read([snapshot(100), diff(99, 105, 98), quote(104, MS + 1, a="100.3")]).report.disagreeing == ()


# --- faults -------------------------------------------------------------------------------------------------------

GOOD = quote(1)
FAULTS: dict[str, tuple[str | bytes, str, str | None]] = {
    "json": (GOOD[:-9], "broken JSON", "json"),
    "utf8": (GOOD.encode().replace(b"bookTicker", b"book\xffTicker"), "not UTF-8", None),
    "utf16": (GOOD.encode("utf-16"), "not UTF-8", None),
    "no time": (GOOD.split(" ", 1)[1], "no local time", "local_ns"),
    "blank": ("", "no local time", "local_ns"),
    "signed time": ("-" + GOOD, "no local time", "local_ns"),
    "local ms": (f"{MS} " + GOOD.split(" ", 1)[1], "out of 2009..2100", "local_ns"),
    "long time": ("9" * 5000 + " " + GOOD.split(" ", 1)[1], "no local time", "local_ns"),
    "time us": (quote(1, T=MS * 1000), "out of 2009..2100", "T or E"),
    "time text": (quote(1, T=str(MS)), "not a whole number", "T"),
    "time null": (quote(1, T=None), "not a whole number", "T"),
    "unknown": (GOOD.replace("@bookTicker", "@aggTrade"), "unknown stream", "stream"),
    "partial depth": (GOOD.replace("@bookTicker", "@depth5@100ms"), "unknown stream", "stream"),
    "stream number": (GOOD.replace('"btcusdt@bookTicker"', "5"), "unknown stream", "stream"),
    "stream list": (GOOD.replace('"btcusdt@bookTicker"', "[]"), "unknown stream", "stream"),
    "reply": (line("", {"result": None, "id": 1}, MS), "unknown stream", "json"),
    "array": (GOOD.split(" ", 1)[0] + " [1]", "unknown stream", "json"),
    "data null": (line("btcusdt@trade", None, MS), "missing field", "data"),
    "no data": (line("", {"stream": "btcusdt@trade"}, MS), "missing field", "data"),
    "no field": (GOOD.replace('"B":"1.5",', ""), "missing field", "B"),
    "no id": (GOOD.replace('"u":1,', ""), "missing field", "u"),
    "no asks": (line("", {"lastUpdateId": 5, "bids": []}, MS), "missing field", "asks"),
    "symbol": (quote(1, s="ETHUSDT"), "wrong symbol", "s"),
    "id text": (quote("1"), "not a whole number", "u"),
    "id large": (quote(2**64), "not a whole number", "u"),
    "id negative": (quote(-1), "negative id", "u"),
    "id fraction": (quote(1.5), "not a whole number", "u"),
    "maker": (trade(1, m=1), "neither true nor false", "m"),
    "nan": (quote(1, b="NaN"), "plain decimal", "b"),
    "infinity": (quote(1, A="Infinity"), "plain decimal", "A"),
    "price number": (quote(1, b=100.1), "plain decimal", "b"),
    "price list": (quote(1, b=[]), "not text", "b"),
    "price null": (quote(1, a=None), "plain decimal", "a"),
    "price zero": (quote(1, b="0.00"), "a price must be over 0", "b"),
    "price negative": (quote(1, b="-100.1"), "not negative", "b"),
    "qty negative": (quote(1, B="-1"), "not negative", "B"),
    "exponent": (quote(1, b="1e2"), 'nearest legal value is "100"', "b"),
    "underscore": (quote(1, b="1_0.0"), 'nearest legal value is "10"', "b"),
    "other digits": (quote(1, b="\u0661.5"), "plain decimal", "b"),
    "price huge": (quote(1, b="99999999999.1"), "over 34,359,738,368 times 0.1", "price"),
    "level text": (diff(1, 2, 0, ["12"]), "not levels", "b"),
    "level length": (diff(1, 2, 0, [["1", "2", "3"]]), "not levels", "b"),
    "level price": (diff(1, 2, 0, [], [["100.1", "1"], ["x", "1"]]), "plain decimal", "a"),
    "level after a bad one": (diff(1, 2, 0, [["1", "2"]], [["1", "2"], 5]), "not levels", "a"),
    "two bad sides": (line("", {"asks": [5], "bids": [["x", "1"]], "lastUpdateId": 1}, MS), "plain decimal", "bids"),
    "levels object": (diff(1, 2, 0, {}), "not levels", "b"),
    "ids turned": (diff(9, 2, 0), "it is over u", "U"),
    "snapshot unsorted": (
        snapshot(1, [["99.0", "1"], ["99.1", "1"]]) + "\n" + diff(1, 2, 0),
        "unsorted or repeated",
        "bids",
    ),
    "snapshot repeats": (
        snapshot(1, [], [["99.0", "1"], ["99.0", "1"]]) + "\n" + diff(1, 2, 0),
        "unsorted or repeated",
        "asks",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(read: Callable[..., Recording], name: str) -> None:
    bad, message, column = FAULTS[name]
    raw = bad if isinstance(bad, bytes) else bad.encode()
    first = trade(1).encode() + b"\n"
    with pytest.raises(InputFault, match=re.escape(message)) as caught:
        read(first + raw + b"\n")
    fault = caught.value
    assert (fault.row, fault.column) == (1, column)
    assert str(fault.file).endswith("recording.txt")
    assert fault.cure


def test_mixed_markets(read: Callable[..., Recording]) -> None:
    with pytest.raises(InputFault, match="only some depth lines have it") as caught:
        read([snapshot(1), diff(1, 2, 0), diff(3, 4, None)])
    assert (caught.value.row, caught.value.column) == (2, "pu")


@pytest.mark.parametrize(
    ("fields", "column", "value", "cure"),
    [
        ({"b": "100.13"}, "b", "100.13", 'the nearest legal value is "100.1" or "100.2"'),
        ({"b": "0.03"}, "b", "0.03", 'the nearest legal value is "0.1"'),
        ({"A": "0.0003"}, "A", "0.0003", 'the nearest legal value is "0.000" or "0.001"'),
        ({"a": "-5"}, "a", "-5", 'the nearest legal value is "0.1"'),
        ({"B": "-5"}, "B", "-5", 'the nearest legal value is "0.000"'),
        ({"a": "1.0015e2"}, "a", "1.0015e2", 'the nearest legal value is "100.1" or "100.2"'),
        ({"a": "nan"}, "a", "nan", 'a price looks like "61800.10"'),
    ],
)
def test_off_unit(read: Callable[..., Recording], fields: dict[str, Any], column: str, value: str, cure: str) -> None:
    with pytest.raises(InputFault) as caught:
        read([quote(1), quote(2, **fields)], tick_size="0.1", lot_size="0.001")
    fault = caught.value
    assert (fault.row, fault.column, fault.value, fault.cure) == (1, column, value, cure)


def test_empty_files(read: Callable[..., Recording]) -> None:
    for data in (b"", gzip.compress(b""), b"\xef\xbb\xbf", snapshot(1).encode(), diff(1, 2, 0).encode()):
        with pytest.raises(InputFault, match="no_ticks"):
            read(data)


def test_damaged_gzip(read: Callable[..., Recording]) -> None:
    packed = gzip.compress("\n".join(SAMPLE * 50).encode())
    flipped = bytearray(packed)
    flipped[-6] ^= 1
    for data in (packed[:-1], packed[:-9], packed[: len(packed) // 2], packed[:5], bytes(flipped), packed + b"rest"):
        with pytest.raises(InputFault, match="truncated or corrupt gzip"):
            read(data)


def test_a_line_without_end_is_refused_early(read: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputFault, match="a line over 16,777,216 bytes") as caught:
        read(gzip.compress(GOOD.encode() + b"\n" + b" " * (40 * 2**20)))
    assert caught.value.row == 1
    monkeypatch.setattr(binance, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(binance, "_CHUNK", 64)
    with pytest.raises(InputFault, match="a line over 1,000 bytes"):
        read(GOOD.encode() + b"\n" + b"x" * 1001 + b"\n")


def test_unreadable_paths(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputFault, match="cannot be read"):
            read_recording(path)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"clock": "utc"}, ConfigError),
        ({"top_n": 0}, ConfigError),
        ({"top_n": True}, ConfigError),
        ({"tick_size": "0"}, ConfigError),
        ({"lot_size": "-1"}, ConfigError),
        ({"tick_size": "a"}, NumberError),
    ],
)
def test_wrong_arguments(read: Callable[..., Recording], options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        read(SAMPLE, **options)


# --- fuzzing ------------------------------------------------------------------------------------------------------

TOKENS = [
    b"null",
    b"true",
    b"1",
    b"-1",
    b"1e5",
    b"0.5",
    b'""',
    b'"x"',
    b"[]",
    b"{}",
    b'[["1","2"]]',
    b'"1.5"',
    b"9" * 30,
]


def numbers(case: int, count: int) -> list[int]:
    """`count` numbers from a counter hash, the same on every machine."""
    digest = hashlib.shake_128(case.to_bytes(8, "little")).digest(8 * count)
    return [int.from_bytes(digest[place : place + 8], "little") for place in range(0, 8 * count, 8)]


def mutate(raw: bytes, case: int) -> bytes:
    kind, at, other, value = numbers(case, 4)
    at, other = at % len(raw), other % len(raw)
    low, high = min(at, other), min(max(at, other), min(at, other) + 40)
    if kind % 6 == 0:
        return raw[:at] + bytes([value % 256]) + raw[at + 1 :]
    if kind % 6 == 1:
        return raw[:at] + bytes([raw[at] ^ (1 << value % 8)]) + raw[at + 1 :]
    if kind % 6 == 2:
        return raw[:low] + raw[high:]
    if kind % 6 == 3:
        return raw[:at] + raw[low:high] + raw[at:]
    if kind % 6 == 4:
        return raw[:at]
    values = list(re.finditer(rb'"[^"]*"(?!:)|\b\d+\b|\[\]|true|false', raw))
    chosen = values[at % len(values)]
    return raw[: chosen.start()] + TOKENS[value % len(TOKENS)] + raw[chosen.end() :]


@pytest.mark.parametrize("packed", [False, True])
def test_no_bytes_escape_as_another_error(read: Callable[..., Recording], packed: bool) -> None:
    raw = "\n".join(SAMPLE).encode()
    outcomes = {"read": 0, "fault": 0}
    for case in range(600):
        data = mutate(raw, case)
        if case % 3 == 0:
            data = mutate(data, case + 1_000_000)
        if packed:
            data = mutate(gzip.compress(raw), case) if case % 2 else gzip.compress(data)
        try:
            accounted(read(data))
            outcomes["read"] += 1
        except DataError as fault:
            outcomes["fault"] += bool(str(fault))
    assert min(outcomes.values()) > 10
