"""Every rule of SPEC 2.2: which rows are refused, with their place, which are quarantined, and what that means for a replay."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.data.validation import check_stream
from grinder.errors import InputFault
from grinder.records import Command, Fault, InputKind, Stream
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
    elif stream == "commands":
        out |= {"symbol": i % 3 - 1, "command": np.array([2, 0, 1, 3, 4, 4])[:rows]}
    else:
        out |= {"rate": 1000 - 500 * i, "mark_px": 100 + i}
    return {name: np.asarray(values, np.int64) for name, values in out.items()}


def check(stream: str, columns: dict[str, np.ndarray], **others: dict[str, np.ndarray]) -> list[int]:
    return check_stream(stream, {stream: columns, **others}, 2, "a.parquet").tolist()


def with_value(stream: str, column: str, row: int, value: int) -> dict[str, np.ndarray]:
    columns = good(stream)
    columns[column][row] = value
    return columns


@pytest.mark.parametrize("stream", ["quotes", "books", "trades", "funding", "commands"])
def test_good_rows_are_accepted(stream):
    assert check(stream, good(stream)) == [0] * N
    with pytest.raises(InputFault, match=r"a\.parquet: no_ticks: it holds not one row \(leave the stream out"):
        check(stream, good(stream, 0))
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
    ("books", "bid_px_0", -1, "value out of range"),
    ("books", "bid_px_0", 0, "a quantity without a price"),
    ("books", "ask_px_2", 0, "a quantity without a price"),
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
    ("commands", "ts", T0, "timestamps out of order"),
    ("commands", "symbol", -2, "value out of range"),
    ("commands", "symbol", 2, "value out of range"),
    ("commands", "command", -1, "no such command"),
    ("commands", "command", 5, "no such command"),
]


@pytest.mark.parametrize(("stream", "column", "value", "reason"), REFUSED)
def test_refused(stream, column, value, reason):
    with pytest.raises(InputFault) as caught:
        check(stream, with_value(stream, column, 4, value))
    fault = caught.value
    assert (fault.file, fault.row, fault.column, fault.value, fault.reason) == ("a.parquet", 4, column, value, reason)
    assert fault.cure
    assert fault.exit_code == 3


@pytest.mark.parametrize("command", [Command.KILL, Command.RESET])
@pytest.mark.parametrize("symbol", [0, 1])
def test_kill_and_reset_are_of_the_portfolio(command, symbol):
    columns = with_value("commands", "command", 4, command)
    columns["symbol"][4] = -1
    assert check("commands", columns) == [0] * N
    columns["symbol"][4] = symbol
    with pytest.raises(InputFault, match=r"row 4, column symbol, value \d: kill or reset of one symbol \(.* give symbol -1"):
        check("commands", columns)


def test_a_command_given_twice_is_accepted():
    columns = with_value("commands", "symbol", 5, 0)
    columns["ts"][5], columns["symbol"][4] = columns["ts"][4], 0
    assert [values[4] for values in columns.values()] == [values[5] for values in columns.values()]
    assert check("commands", columns) == [0] * N


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
    for name in ("bid_px_1", "bid_px_2", "bid_qty_1", "bid_qty_2"):
        books[name][2] = 0
    assert check("books", books) == [0] * N
    books["bid_px_2"][2], books["bid_qty_2"][2] = 90, 1
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


def one_sided(side: str, rows: slice) -> dict[str, np.ndarray]:
    """Books that lack a side in some rows."""
    books = good("books")
    for name in books:
        if name.startswith(side):
            books[name][rows] = 0
    return books


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_book_may_lack_a_side_but_not_both(side):
    books = one_sided(side, slice(1, 5))
    assert check("books", books) == [0] * N
    for name in books:
        if name.startswith(("bid", "ask")):
            books[name][2] = 0
    assert check("books", books) == [0, 0, Fault.NO_SIZE + 1, 0, 0, 0]
    books[f"{side}_px_1"][2] = 5
    with pytest.raises(InputFault, match=f"row 2, column {side}_px_1, value 5: book levels unsorted or twice"):
        check("books", books)


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_one_sided_book_is_compared_by_the_side_it_has(side):
    books, quotes = one_sided(side, slice(0, N)), good("quotes")
    other = {"bid": "ask_px", "ask": "bid_px"}[side]
    quotes[f"{side}_px"][0] = 1 if side == "bid" else 10**6  # what the book does not say cannot differ
    quotes[other][1] += 0 if side == "bid" else -1
    quotes[other][1] += 1 if side == "bid" else 0
    assert check("books", books, quotes=quotes) == [0, Fault.BOOK_UNLIKE_QUOTES + 1, 0, 0, 0, 0]


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


@pytest.mark.parametrize("seed", range(20))
def test_unlike_books_against_a_plain_search(seed):
    rng = np.random.default_rng(seed)
    n = 60
    quotes = {"ts": T0 + np.sort(rng.integers(0, 12, n)), "symbol": rng.integers(0, 2, n)}
    quotes |= {"bid_px": rng.integers(98, 101, n), "ask_px": rng.integers(101, 104, n)}
    books = {"ts": T0 + np.sort(rng.integers(0, 12, n)), "symbol": rng.integers(0, 2, n)}
    books |= {"bid_px_0": rng.integers(98, 101, n), "ask_px_0": rng.integers(101, 104, n)}
    for name in ("bid", "ask"):
        quotes[f"{name}_qty"] = rng.integers(1, 9, n)
        books[f"{name}_qty_0"] = 10 + np.arange(n)  # no row repeats
    gone = rng.random(n) < 0.2
    books["bid_px_0"][gone] = books["bid_qty_0"][gone] = 0
    expected = []
    for i in range(n):
        now = [j for j in range(n) if quotes["ts"][j] == books["ts"][i] and quotes["symbol"][j] == books["symbol"][i]]
        like = [
            j
            for j in now
            if quotes["ask_px"][j] == books["ask_px_0"][i] and (gone[i] or quotes["bid_px"][j] == books["bid_px_0"][i])
        ]
        expected.append(Fault.BOOK_UNLIKE_QUOTES + 1 if now and not like else 0)
    assert check("books", books, quotes=quotes) == expected
    assert 0 < sum(map(bool, expected)) < n


# Price jumps: over all streams in merged order

COINS = [Instrument(symbol=name, kind="perpetual", tick_size="1", lot_size="1") for name in "AB"]


def market(*rows: tuple, **settings) -> Fixture:
    """One row a second: `q bid ask`, `b bid ask` (a book; 0: no such side), `t price`, `f mark`; upper case: the second symbol."""
    streams: dict[str, dict[str, list[int]]] = {}
    for i, (kind, *numbers) in enumerate(rows):
        stream = {"q": "quotes", "b": "books", "t": "trades", "f": "funding"}[kind.lower()]
        row = {"ts": T0 + i * SECOND, "symbol": int(kind.isupper())}
        if stream in ("quotes", "books"):
            suffix = "_0" if stream == "books" else ""
            for side, px in zip(("bid", "ask"), numbers, strict=True):
                row |= {f"{side}_px{suffix}": px, f"{side}_qty{suffix}": (i + 1) * (px > 0)}
        elif stream == "trades":
            row |= {"id": i, "px": numbers[0], "qty": 1, "aggressor": 0}
        else:
            row |= {"rate": 0, "mark_px": numbers[0]}
        for name, value in row.items():
            streams.setdefault(stream, {}).setdefault(name, []).append(value)
    symbols = 1 + any(kind.isupper() for kind, *_ in rows)
    return Fixture.from_arrays(COINS[:symbols], config=Config(**settings), **streams)


def faults(*rows: tuple, **settings) -> str:
    """`.` accepted, `J` jump, `u` unlike, `n` no size, `c` crossed, `d` duplicate."""
    return "".join(".dcnJu"[fault] for fault in market(*rows, **settings).events.fault)


JUMPS = [
    # exactly max_jump (20 % of the mid 100: 80 to 120) is near enough, one tick more is not
    ([("q", 99, 101), ("q", 80, 120)], ".."),
    ([("q", 99, 101), ("q", 79, 120)], ".J"),
    ([("q", 99, 101), ("q", 80, 121)], ".J"),
    ([("q", 99, 101), ("b", 79, 101)], ".J"),
    ([("q", 99, 101), ("t", 120)], ".."),
    ([("q", 99, 101), ("t", 121)], ".J"),
    ([("q", 99, 100), ("t", 80), ("t", 119)], "..."),  # mid 99.5: 79.6 to 119.4
    ([("q", 99, 100), ("t", 79)], ".J"),
    ([("q", 99, 100), ("t", 120)], ".J"),
    # the mid is the last accepted L1 update's: neither a trade's, nor a jump's, nor another symbol's
    ([("q", 99, 101), ("q", 109, 111), ("q", 129, 131)], "..."),
    ([("q", 99, 101), ("t", 119), ("t", 122)], "..J"),
    ([("q", 99, 101), ("q", 130, 131), ("q", 110, 111), ("q", 130, 131)], ".J.."),
    ([("q", 99, 101), ("Q", 999, 1001), ("q", 99, 101), ("T", 99)], "...J"),
    ([("q", 99, 101), ("b", 119, 119), ("t", 141)], "..."),
    # two in a row reject; an accepted row of the symbol between them, of any stream, ends the row
    ([("q", 99, 101), ("t", 300), ("q", 99, 102), ("t", 300)], ".J.J"),
    ([("q", 99, 101), ("t", 300), ("t", 100), ("t", 300)], ".J.J"),
    ([("q", 99, 101), ("t", 300), ("f", 120), ("t", 300)], ".J.J"),
    ([("q", 99, 101), ("f", 121), ("q", 99, 101), ("f", 79)], ".J.J"),
    ([("q", 99, 101), ("Q", 99, 101), ("t", 300), ("T", 300), ("q", 99, 102), ("Q", 99, 102)], "..JJ.."),
    # earlier reasons stand, and such rows are not judged
    ([("q", 99, 101), ("t", 300), ("b", 0, 0), ("q", 99, 102)], ".Jn."),
    # before the first L1 update nothing is a jump
    ([("t", 10**9), ("t", 1), ("q", 99, 101)], "..."),
    # a book without one side is judged by the other, and its mid counts
    ([("q", 99, 101), ("b", 0, 121), ("b", 80, 0)], ".J."),
    ([("q", 99, 101), ("b", 0, 81), ("q", 97, 97)], "..."),  # 81 | 81
    ([("q", 99, 101), ("b", 0, 81), ("q", 98, 98)], "..J"),
    ([("q", 99, 101), ("b", 119, 0), ("q", 142, 142)], "..."),  # 119 | 119
    ([("b", 0, 100), ("q", 80, 120), ("b", 0, 130)], "..J"),  # 100 | 100
]


@pytest.mark.parametrize(("rows", "expected"), JUMPS)
def test_jumps(rows, expected):
    assert faults(*rows) == expected


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([("q", 99, 101), ("q", 79, 101), ("q", 99, 121)], ("quotes", 2, "ask_px", 121)),
        ([("q", 99, 101), ("q", 79, 101), ("t", 121)], ("trades", 0, "px", 121)),
        ([("q", 99, 101), ("t", 50), ("b", 79, 121)], ("books", 0, "bid_px_0", 79)),
        ([("q", 99, 101), ("b", 99, 101), ("t", 50), ("b", 0, 121)], ("books", 1, "ask_px_0", 121)),
        ([("Q", 99, 101), ("q", 5, 6), ("T", 200), ("q", 5, 6), ("t", 6), ("B", 10, 11)], ("books", 0, "bid_px_0", 10)),
        ([("q", 99, 101), ("t", 300), ("f", 300)], ("funding", 0, "mark_px", 300)),
        ([("q", 99, 101), ("f", 300), ("q", 300, 300)], ("quotes", 1, "bid_px", 300)),
        ([("q", 99, 101), ("t", 50), ("b", 0, 0), ("t", 50)], ("trades", 1, "px", 50)),  # what is quarantined is not between
    ],
)
def test_two_jumps_in_a_row_reject_the_file(rows, place):
    with pytest.raises(
        InputFault, match=r"second price jump in a row \(further than max_jump 0\.20000000 from .*: raise max_jump"
    ) as caught:
        market(*rows)
    fault = caught.value
    assert (fault.file, fault.row, fault.column, fault.value) == place


def test_the_row_of_a_jump_among_rows_that_were_reordered():
    """At equal times symbols stand in ASCII order, in whatever order the file has them; the error names the file's row."""
    columns = {"ts": [T0, T0, T0 + 1, T0 + 1, T0 + 1, T0 + 1], "symbol": [1, 0, 1, 0, 0, 1], "bid_px": [9, 99, 9, 70, 71, 9]}
    columns |= {"bid_qty": [1, 1, 2, 1, 1, 3], "ask_px": [10, 101, 10, 101, 101, 10], "ask_qty": [1] * 6}
    with pytest.raises(InputFault, match="quotes, row 4, column bid_px, value 71: second price jump"):
        Fixture.from_arrays(COINS, quotes=columns)


def test_jumps_and_unlike_books():
    """JUMP stands before BOOK_UNLIKE_QUOTES; an unlike book is neither a jump nor between two."""
    quotes = {"ts": [T0, T0 + 1, T0 + 2], "bid_px": [99, 98, 99], "ask_px": [101, 101, 102], "bid_qty": [1] * 3, "ask_qty": [1] * 3}
    books = {
        "ts": [T0 + 1, T0 + 1, T0 + 2],
        "bid_px_0": [99, 50, 99],
        "ask_px_0": [101, 101, 102],
        "bid_qty_0": [1, 2, 3],
        "ask_qty_0": [1] * 3,
    }
    made = Fixture.from_arrays(COINS[:1], quotes=quotes, books=books)
    assert made.events.fault.tolist() == [0, Fault.BOOK_UNLIKE_QUOTES + 1, Fault.JUMP + 1, 0, 0, 0]
    trades = {"ts": [T0, T0 + 1], "id": [1, 2], "px": [50, 50], "qty": [1, 1], "aggressor": [0, 0]}
    first = {name: values[:1] for name, values in books.items()} | {"ts": [T0 + 1]}
    moved = quotes | {"bid_px": [99, 50, 99]}  # a trade, the unlike book, then this quote
    with pytest.raises(InputFault, match="quotes, row 1, column bid_px, value 50: second price jump"):
        Fixture.from_arrays(COINS[:1], quotes=moved, books=first, trades=trades)


@pytest.mark.parametrize("px", [1, 2, 3, 99, 12_345, 2**34, 2**35 - 1, 2**35])
@pytest.mark.parametrize("max_jump", ["0.00000001", "0.2", "1", "33.3333", "500"])
def test_the_comparison_is_exact_up_to_the_largest_price(px, max_jump):
    """`abs(2*px - mid2) * 1e8 > max_jump * mid2` in Python's integers, around the bound and at the ends."""
    ratio, mid2 = int(Fraction(max_jump) * 10**8), 2 * px
    reach = mid2 * ratio // 10**8 // 2
    for other in {1, 2**35, *(px + sign * (reach + off) for sign in (-1, 1) for off in (-1, 0, 1))}:
        if 1 <= other <= 2**35:
            jumps = abs(2 * other - mid2) * 10**8 > ratio * mid2
            assert faults(("q", px, px), ("t", other), max_jump=max_jump) == (".J" if jumps else ".."), other


def test_max_jump_of_the_config():
    rows = [("q", 99, 101), ("t", 129), ("t", 131), ("q", 99, 102)]
    assert faults(*rows, max_jump="30%") == "..J."
    assert faults(*rows, max_jump="500") == "...."
    assert faults(("q", 10, 10), ("t", 10), ("t", 11), ("q", 10, 10), max_jump="0.00000001") == "..J."


def test_the_state_after_a_book_without_one_side():
    """The missing side keeps its price, but never past the other, and has quantity 0; at first it is at the other's price."""
    rows = [("b", 0, 101), ("q", 99, 101), ("b", 0, 103), ("b", 0, 97), ("b", 0, 102), ("b", 96, 0), ("b", 104, 0), ("t", 100)]
    events = market(*rows).events
    states = list(zip(*(getattr(events, name).tolist() for name in ("bid_px", "bid_qty", "ask_px", "ask_qty")), strict=True))
    assert states == [
        (101, 0, 101, 1),
        (99, 2, 101, 2),
        (99, 0, 103, 3),
        (97, 0, 97, 4),
        (97, 0, 102, 5),
        (96, 6, 102, 0),
        (104, 7, 104, 0),
        (104, 7, 104, 0),
    ]
    assert not events.fault.any()
    assert replay(market(*rows), Config(quantity=1, step="1%", min_notional=0)).bars is not None


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
        jumps = [(700, Fault.JUMP, {"bid_px": 7_000}), (703, Fault.JUMP, {"bid_px": 13_000, "ask_px": 13_001})]
        return [*plants, (500, Fault.CROSSED, {"bid_px": 10_500, "ask_px": 9_500}), *jumps]
    return [
        *plants,
        (15, Fault.JUMP, {"ask_px_0": 12_500}),
        (17, Fault.BOOK_UNLIKE_QUOTES, {"ts": int(columns["ts"][17]) - 1, "bid_px_0": 9000, "ask_px_0": 11_000}),
        (19, Fault.JUMP, {"ts": int(columns["ts"][19]) - 1, "bid_px_0": 1}),  # unlike the quote too
    ]


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
