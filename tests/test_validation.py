"""Every rule of SPEC 2.2 that `check_stream` knows: which rows it refuses, with their place, and which it quarantines."""

from __future__ import annotations

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.data.validation import check_stream
from grinder.errors import InputFault
from grinder.records import Fault, InputKind, Stream
from grinder.session import replay
from grinder.units import MAX_PRICE_TICKS, MAX_QTY_LOTS

T0 = 1_700_000_000_000_000_000
SECOND = 10**9
N = 6


def good(stream: str, rows: int = N) -> dict[str, np.ndarray]:
    """A stream without a fault, two symbols in turn."""
    i = np.arange(rows, dtype=np.int64)
    out = {"ts": T0 + i * SECOND, "symbol": i % 2}
    if stream == "quotes":
        out |= {"bid_px": 100 + i, "bid_qty": 1 + i, "ask_px": 102 + i, "ask_qty": 2 + i}
    elif stream == "books":
        for level in range(3):
            out |= {f"bid_px_{level}": 100 + i - 3 * level, f"bid_qty_{level}": 1 + i}
            out |= {f"ask_px_{level}": 102 + i + 3 * level, f"ask_qty_{level}": 1 + i}
    elif stream == "trades":
        out |= {"id": 10 + i, "px": 100 + i, "qty": 1 + i, "aggressor": 1 - 2 * (i % 2)}
    else:
        out |= {"rate": 1000 - 500 * i, "mark_px": 100 + i}
    return {name: np.asarray(values, np.int64) for name, values in out.items()}


def check(stream: str, columns: dict[str, np.ndarray], **others: dict[str, np.ndarray]) -> list[int]:
    return check_stream(stream, {stream: columns, **others}, 2, "a.parquet").tolist()


def with_value(stream: str, column: str, row: int, value: int) -> dict[str, np.ndarray]:
    columns = good(stream)
    columns[column][row] = value
    return columns


@pytest.mark.parametrize("stream", ["quotes", "books", "trades", "funding"])
def test_good_rows_are_accepted(stream):
    assert check(stream, good(stream)) == [0] * N
    assert check(stream, good(stream, 0)) == []
    assert check(stream, good(stream) | {"ts": np.full(N, T0)}) == [0] * N, "equal times are in file order"


REFUSED = [
    ("quotes", "ts", T0 // 1000, "time out of range, or not in ns"),
    ("quotes", "ts", 4_102_444_800_000_000_000, "time out of range, or not in ns"),
    ("trades", "ts", T0, "timestamps out of order"),
    ("funding", "symbol", 2, "value out of range"),
    ("books", "symbol", -1, "value out of range"),
    ("quotes", "bid_px", 0, "value out of range"),
    ("quotes", "ask_px", MAX_PRICE_TICKS + 1, "value out of range"),
    ("quotes", "bid_qty", -1, "value out of range"),
    ("quotes", "ask_qty", MAX_QTY_LOTS + 1, "value out of range"),
    ("books", "bid_px_0", 0, "value out of range"),
    ("books", "ask_qty_0", -5, "value out of range"),
    ("books", "ask_px_2", -1, "value out of range"),
    ("books", "bid_qty_1", -1, "value out of range"),
    ("books", "bid_px_1", 104, "book levels unsorted or twice"),
    ("books", "ask_px_2", 108, "book levels unsorted or twice"),
    ("trades", "px", 0, "value out of range"),
    ("trades", "qty", 0, "value out of range"),
    ("trades", "aggressor", 2, "value out of range"),
    ("funding", "mark_px", 0, "value out of range"),
    ("funding", "rate", 100_000_001, "value out of range"),
    ("funding", "rate", -100_000_001, "value out of range"),
]


@pytest.mark.parametrize(("stream", "column", "value", "reason"), REFUSED)
def test_refused(stream, column, value, reason):
    with pytest.raises(InputFault) as caught:
        check(stream, with_value(stream, column, 4, value))
    fault = caught.value
    assert (fault.file, fault.row, fault.column, fault.value, fault.reason) == ("a.parquet", 4, column, value, reason)
    assert fault.cure
    assert fault.exit_code == 3


def test_the_last_legal_values():
    """What lies exactly on a bound is accepted."""
    first, last = 1_230_768_000_000_000_000, 4_102_444_800_000_000_000 - 1
    quotes = good("quotes") | {"ts": np.array([first] * 3 + [last] * 3)}
    quotes["ask_px"][1], quotes["ask_qty"][2], quotes["bid_px"][3] = MAX_PRICE_TICKS, MAX_QTY_LOTS, 1
    quotes["bid_qty"][4] = 0  # one side without size is thin, not wrong
    quotes["bid_px"][5] = quotes["ask_px"][5]  # locked
    assert check("quotes", quotes) == [0] * N
    assert check("funding", with_value("funding", "rate", 0, 100_000_000)) == [0] * N


def test_an_empty_level_ends_its_side():
    books = good("books")
    books["bid_px_1"][2] = books["bid_px_2"][2] = 0
    assert check("books", books) == [0] * N
    books["bid_px_2"][2] = 90
    with pytest.raises(InputFault, match="row 2, column bid_px_2, value 90: book levels unsorted"):
        check("books", books)


def test_columns_of_unequal_length():
    with pytest.raises(InputFault, match=r"columns of unequal length.*a\.parquet|a\.parquet.*columns of unequal length"):
        check("quotes", good("quotes") | {"bid_px": np.ones(N - 1, np.int64)})


def doubled(stream: str) -> dict[str, np.ndarray]:
    """Row 2 repeats row 0, its symbol's previous one."""
    columns = good(stream) | {"ts": np.full(N, T0)}
    for values in columns.values():
        values[2] = values[0]
    return columns


@pytest.mark.parametrize("stream", ["quotes", "books", "trades", "funding"])
def test_exact_repeats_are_quarantined(stream):
    assert check(stream, doubled(stream)) == [0, 0, Fault.DUPLICATE + 1, 0, 0, 0]


@pytest.mark.parametrize("stream", ["quotes", "books", "funding"])
def test_a_row_that_differs_anywhere_is_no_repeat(stream):
    for column in good(stream):
        columns = doubled(stream)
        columns[column][2] += 1
        columns["ts"][2:] = columns["ts"][2]
        assert Fault.DUPLICATE + 1 not in check(stream, columns), column


def test_a_trade_repeats_by_its_id_anywhere_in_the_file():
    trades = good("trades")
    trades["id"][5] = trades["id"][1]  # the same symbol's
    trades["id"][4] = trades["id"][3]  # the other symbol's
    assert check("trades", trades) == [0, 0, 0, 0, 0, Fault.DUPLICATE + 1]


@pytest.mark.parametrize(("stream", "suffix"), [("quotes", ""), ("books", "_0")])
def test_crossed_rows_up_to_one_in_a_thousand(stream, suffix):
    columns = good(stream, 2000)
    for row in (7, 1999):
        columns[f"ask_px{suffix}"][row] = columns[f"bid_px{suffix}"][row] - 1
    if stream == "books":
        assert np.flatnonzero(check(stream, columns)).tolist() == [7, 1999]
    assert [check(stream, columns)[row] for row in (6, 7, 1999)] == [0, Fault.CROSSED + 1, Fault.CROSSED + 1]
    fewer = {name: values[:-1] for name, values in columns.items()}
    fewer[f"ask_px{suffix}"][100] = 1
    with pytest.raises(InputFault, match=r"2 of 1999 rows are crossed, more than 0\.1 %") as caught:
        check(stream, fewer)
    assert (caught.value.row, caught.value.column, caught.value.value) == (7, f"bid_px{suffix}", 107)


@pytest.mark.parametrize(("stream", "suffix"), [("quotes", ""), ("books", "_0")])
def test_rows_without_size_on_both_sides(stream, suffix):
    columns = good(stream)
    columns[f"bid_qty{suffix}"][1] = columns[f"bid_qty{suffix}"][3] = columns[f"ask_qty{suffix}"][3] = 0
    assert check(stream, columns) == [0, 0, 0, Fault.NO_SIZE + 1, 0, 0]


def test_the_first_reason_counts():
    columns = good("quotes", 2000) | {"symbol": np.zeros(2000, np.int64)}
    columns["ask_px"][7], columns["bid_qty"][7], columns["ask_qty"][7] = 1, 0, 0
    for name in columns:
        columns[name][8] = columns[name][7]
    columns["ts"][8:] = columns["ts"][7]
    assert check("quotes", columns)[6:10] == [0, Fault.CROSSED + 1, Fault.DUPLICATE + 1, 0]


def test_a_book_unlike_every_quote_of_its_time_and_symbol():
    books, quotes = good("books"), good("quotes")
    for name in ("bid_px", "ask_px"):
        quotes[name][0] += 1  # differs: quarantined
        quotes[name][1] += 1  # differs, but is of another symbol
    quotes["symbol"][1] = 0
    quotes["bid_qty"][2] += 50  # quantities may differ
    quotes["ts"][3:] += 1  # no quote at that time
    quotes["ask_px"][3:] += 1
    assert check("books", books, quotes=quotes) == [Fault.BOOK_UNLIKE_QUOTES + 1, 0, 0, 0, 0, 0]
    assert check("books", books) == [0] * N
    empty = good("books") | {"bid_qty_0": np.arange(N), "ask_qty_0": np.arange(N)}
    assert check("books", empty, quotes=quotes)[0] == Fault.NO_SIZE + 1, "the first reason counts"
    again = {name: np.concatenate([values[:1], values]) for name, values in quotes.items()}
    again["bid_px"][0], again["ask_px"][0] = 100, 102  # one of the quotes at that time agrees
    assert check("books", books, quotes=again)[0] == 0


# What quarantine means for a replay


def recording() -> dict[str, dict[str, np.ndarray]]:
    """Two hours of two symbols whose quotes wander over several grid steps; books and funding between them."""
    i = np.arange(2400, dtype=np.int64)
    mid = 10_000 + 40 * (i // 2 % 60) - 40 * np.maximum(0, i // 2 % 60 - 30) * 2
    quotes = {
        "ts": T0 + i * 3 * SECOND,
        "symbol": i % 2,
        "bid_px": mid - 1,
        "bid_qty": 5 + i % 3,
        "ask_px": mid + 1,
        "ask_qty": 5 + i % 7,
    }
    few = slice(50, None, 100)
    book = {f"{side}_0": quotes[side][few].copy() for side in ("bid_px", "bid_qty", "ask_px", "ask_qty")}
    books = {"ts": quotes["ts"][few] + 1, "symbol": quotes["symbol"][few].copy(), **book}
    funding = {
        name: np.array(values) for name, values in {"ts": [T0 + 10**12], "symbol": [0], "rate": [9000], "mark_px": [9999]}.items()
    }
    return {"quotes": quotes, "books": books, "funding": funding}


def bad_rows(stream: str, columns: dict[str, np.ndarray]) -> list[tuple[int, Fault, dict[str, int]]]:
    """(after which row, why, what it differs in) of rows to plant."""
    if stream == "funding":
        return [(0, Fault.DUPLICATE, {})]
    suffix = "_0" if stream == "books" else ""
    empty = {f"bid_qty{suffix}": 0, f"ask_qty{suffix}": 0, f"bid_px{suffix}": 1, f"ask_px{suffix}": 99_999}
    plants = [(3, Fault.DUPLICATE, {}), (11, Fault.NO_SIZE, empty)]
    if stream == "quotes":
        return [*plants, (500, Fault.CROSSED, {"bid_px": 10_500, "ask_px": 9_500})]
    return [*plants, (17, Fault.BOOK_UNLIKE_QUOTES, {"ts": int(columns["ts"][17]) - 1, "bid_px_0": 1, "ask_px_0": 99_999})]


@pytest.mark.parametrize("stream", ["quotes", "books", "funding"])
def test_a_quarantined_row_is_an_event_and_nothing_else(stream):
    instruments = [Instrument(symbol=name, kind="perpetual", tick_size="0.1", lot_size="0.01") for name in "AB"]
    config = Config(step="20bp", levels=4, quantity="0.5", min_edge="1bp")
    streams = recording()
    plain = replay(Fixture.from_arrays(instruments, **streams), config)
    assert min(len(plain.fills), plain.summary()["cycles"], len(plain.bars)) > 5
    columns, expected = streams[stream], []
    for after, why, changes in sorted(bad_rows(stream, columns), reverse=True):
        at = after if "ts" in changes else after + 1  # an earlier time goes before
        row = {name: int(values[after]) for name, values in columns.items()} | changes
        expected.insert(0, (row["ts"], row["symbol"], InputKind.QUARANTINED, why, Stream[stream.upper()]))
        columns = {name: np.insert(values, at, row[name]) for name, values in columns.items()}
    fixture = Fixture.from_arrays(instruments, **(streams | {stream: columns}))
    run = replay(fixture, config)
    assert len(fixture) == len(plain.market.ts) + len(expected)
    rows = run.input.records[run.input["kind"] == InputKind.QUARANTINED]
    assert [tuple(row)[1:] for row in rows.tolist()] == expected
    assert (fixture.events.ts[rows["event"]] == rows["ts"]).all()
    assert (fixture.events.fault[rows["event"]] == rows["code"] + 1).all()
    for stage in ("bars", "plans", "levels", "orders", "fills", "ledger"):
        left, right = plain.tables[stage].records, run.tables[stage].records
        names = [name for name in left.dtype.names if name != "event"]  # they do take an index
        assert (left[names] == right[names]).all(), stage
    assert run.digest.roots["input"] != plain.digest.roots["input"]
    assert run.summary() == plain.summary() | {"events": len(fixture)}
