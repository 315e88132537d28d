"""The parser of decimal text: against `Fraction`, at its limits, and where it stops."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.data import text as t

KINDS = {"price": t.PRICE, "qty": t.QTY, "rate": t.RATE, "mark": t.MARK, "count": t.COUNT, "time": t.TIME}
MS = (1_230_768_000_000, 4_102_444_800_000, 1_000_000)


def parse(
    text: str, *kinds: int, places: int = 3, cut: bool = False, rows: int = 10, name: str = "ABC", empty: bool = False, skip=False
):
    """(next byte, rows as lists, state) of one call; prices must be at least 1. skip: no field takes what is read."""
    body = bytearray(text.encode())
    plan = np.array([[kind, -1 if skip else i, int(kind == t.PRICE), int(empty)] for i, kind in enumerate(kinds)], np.int64)
    scale = np.array([[places, int(cut), 0, 1]] * 4, np.int64)
    out, state = np.zeros((len(kinds), rows), np.int64), np.zeros(5, np.int64)
    wanted = np.frombuffer(bytearray(name.encode()), np.uint8)
    raw = np.frombuffer(body, np.uint8)
    at, count = t.parse_rows(raw, 0, len(body), plan, scale, np.array(MS, np.int64), wanted, out, state)
    return at, out[:, :count].T.tolist(), state.tolist(), scale[:, 2].tolist()


@settings(max_examples=400, derandomize=True, deadline=None)
@given(whole=st.integers(0, 10**9), decimals=st.text("0123456789", max_size=12), places=st.integers(0, 8), negative=st.booleans())
def test_plain_numbers_are_exact_or_refused(whole, decimals, places, negative):
    text = f"{'-' * negative}{whole}" + (f".{decimals}" if decimals else "")
    exact = Fraction(text) * 10**places
    at, rows, state, _ = parse(f"{text}\n", t.RATE, places=places)
    if exact.denominator == 1:
        assert rows == [[int(exact)]]
        assert at == len(text) + 1
    else:
        assert (rows, state[0], at) == ([], t.FINER, 0)
        assert state[3] == len(decimals.rstrip("0")), "the decimals that it needs"
    _, rows, _, lost = parse(f"{text}\n", t.RATE, places=places, cut=True)
    assert rows == [[floor(exact)]]
    assert lost[t.RATE] == (exact.denominator != 1)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(
    digits=st.integers(0, 10**12),
    point=st.integers(0, 12),
    exponent=st.integers(-30, 12),
    places=st.integers(0, 6),
    negative=st.booleans(),
    sign=st.sampled_from(["", "+"]),
)
def test_exponents_are_exact_or_refused(digits, point, exponent, places, negative, sign):
    body = f"{digits:013d}"
    text = f"{'-' * negative}{body[: 13 - point]}" + (f".{body[13 - point :]}" if point else "")
    text += f"e{sign if exponent >= 0 else ''}{exponent}"
    exact = Fraction(text) * 10**places
    _, rows, state, _ = parse(f"{text}\n", t.RATE, places=places)
    if state[0] == t.TOO_LONG:
        assert abs(exact) >= 10**17 or places + 13 - point > 18
    elif exact.denominator == 1:
        assert rows == [[int(exact)]]
    else:
        assert (rows, state[0]) == ([], t.FINER)
        assert (Fraction(text) * 10 ** state[3]).denominator == 1
        assert (Fraction(text) * 10 ** (state[3] - 1)).denominator != 1
        assert parse(f"{text}\n", t.RATE, places=places, cut=True)[1] == [[floor(exact)]]


def test_rows_by_hand():
    rows = "5,61800.10,0.25,true,BUY,ABC,x y\r\n6,1,1e-3,False,sell,ABCD,\n7,2.5,0,1,unknown,AB,é\n"
    _, made, state, _ = parse(rows, t.COUNT, t.PRICE, t.QTY, t.TRUTH, t.SIDE, t.NAME, t.SKIP)
    assert made == [
        [5, 61_800_100, 250, -1, 1, 1, 0],
        [6, 1000, 1, 1, -1, t.ABSENT, 0],
        [7, 2500, 0, -1, 0, t.ABSENT, 0],
    ]
    assert state[4] == 1, "a byte over 127 was skipped"


def test_commands_and_whom_they_concern():
    rows = "pause,*\nResume,AB\nKILL,*\nreset,ABC\nrecover,**\r\n"
    made = parse(rows, t.COMMAND, t.WHOM)[1]
    assert made == [[0, 0], [1, t.ABSENT], [2, 0], [3, 1], [4, t.ABSENT]]
    for word in ("", "p", "pauses", "stop", "0", "resum", "kil", "recove r", "2"):
        assert parse(f"kill\n{word}\n", t.COMMAND)[2][0] in (t.NOT_A_COMMAND, t.NOT_A_NUMBER), word
        assert len(parse(f"kill\n{word}\n", t.COMMAND)[1]) == 1
    for word, status in (("-1", t.NOT_A_SYMBOL), ("", t.NOT_A_NUMBER)):
        assert parse(f"*\n{word}\n", t.WHOM)[2][:2] == [status, 0]
        assert parse(f"*\n{word}\n", t.WHOM)[1] == [[0]]
    assert parse("-1\n-10\n", t.NAME)[1] == [[t.ABSENT], [t.ABSENT]], "which may be a symbol's name elsewhere"
    assert parse("*\né\n", t.WHOM)[2][4] == 1


def test_times_become_ns_inside_their_range():
    low, high = MS[:2]
    assert parse(f"{low}\n{high - 1}\n", t.TIME)[1] == [[low * 10**6], [(high - 1) * 10**6]]
    for value in (low - 1, high, 0, 10**18, 2**63):
        _, rows, state, _ = parse(f"{value}\n", t.TIME)
        assert (rows, state[0]) == ([], t.OFF_TIME)


@pytest.mark.parametrize(
    ("text", "kind", "status"),
    [
        ("nan", "price", t.NOT_A_NUMBER),
        ("NaN", "qty", t.NOT_A_NUMBER),
        ("inf", "price", t.NOT_A_NUMBER),
        ("-inf", "price", t.NOT_A_NUMBER),
        ("", "price", t.NOT_A_NUMBER),
        ("-", "rate", t.NOT_A_NUMBER),
        (".5", "price", t.NOT_A_NUMBER),
        ("5.", "price", t.NOT_A_NUMBER),
        ("1.2.3", "price", t.NOT_A_NUMBER),
        ("1 ", "price", t.NOT_A_NUMBER),
        (" 1", "price", t.NOT_A_NUMBER),
        ("+1", "price", t.NOT_A_NUMBER),
        ('"1"', "price", t.NOT_A_NUMBER),
        ("1,5", "price", t.EXTRA),
        ("1e", "price", t.NOT_A_NUMBER),
        ("1e+", "price", t.NOT_A_NUMBER),
        ("1e5x", "price", t.NOT_A_NUMBER),
        ("0x10", "price", t.NOT_A_NUMBER),
        ("-1", "price", t.NEGATIVE),
        ("-0.5", "qty", t.NEGATIVE),
        ("-1.0001", "qty", t.NEGATIVE),
        ("-1", "mark", t.NEGATIVE),
        ("0.000", "price", t.TOO_SMALL),
        ("1.0001", "price", t.FINER),
        ("1234567890123456", "price", t.TOO_LONG),
        ("1234567890123456789", "price", t.TOO_LONG),
        ("1e16", "qty", t.TOO_LONG),
        ("9223372036854775808", "count", t.TOO_LONG),
        ("-7", "count", t.NEGATIVE),
        ("7.0", "count", t.NOT_A_NUMBER),
        ("1.5", "time", t.NOT_A_NUMBER),
    ],
)
def test_what_stops_it(text, kind, status):
    at, rows, state, _ = parse(f"1\n{text}\n" if kind != "time" else f"{MS[0]}\n{text}\n", KINDS[kind])
    assert (len(rows), state[0]) == (1, status)
    assert at == (2 if kind != "time" else 14), "the line that cannot be used is the next"


def test_the_shape_of_a_row():
    two = (t.PRICE, t.QTY)
    assert parse("1,2\n3\n", *two)[2][:2] == [t.MISSING, 1]
    assert parse("1,2\n3\r\n", *two)[2][:2] == [t.MISSING, 1]
    assert parse("1,2,3\n", *two)[2][:2] == [t.EXTRA, 1]
    assert parse("1,2\n\n", *two)[2][:2] == [t.EMPTY_LINE, 0]
    assert parse("1,2\n\r\n", *two)[2][:2] == [t.EMPTY_LINE, 0]
    assert parse("1,\n", *two)[2][:2] == [t.NOT_A_NUMBER, 1]
    assert parse("1,\n", *two, empty=True)[1] == [[1000, t.ABSENT]]
    assert parse("1,\r\n", t.PRICE, t.SKIP)[1] == [[1000, 0]]
    assert parse("yes\n", t.TRUTH)[2][0] == t.NOT_A_TRUTH
    assert parse("long\n", t.SIDE)[2][0] == t.NOT_A_SIDE


def test_a_full_buffer_is_gone_on_from():
    body = "".join(f"{i}\n" for i in range(25))
    at, seen = 0, []
    while at < len(body):
        done, rows, state, _ = parse(body[at:], t.COUNT, rows=10)
        assert state[0] == t.DONE
        at += done
        seen += [row[0] for row in rows]
    assert seen == list(range(25))


def test_numbers_that_are_only_checked():
    assert parse("1,-2.5e-30,3\n", t.COUNT, t.NUMBER, t.COUNT)[1] == [[1, 0, 3]]
    for word in ("two", "", "-", ".5", "5.", "1.2.3", "1e", "1e-", "--1", "1-", "1e5e5", "1x"):
        assert parse(f"1,{word},3\n", t.COUNT, t.NUMBER, t.COUNT)[2][:2] == [t.NOT_A_NUMBER, 1], word


def test_numbers_that_are_forgotten_may_be_of_any_length():
    for word in ("1234567890123456789.5", "1e300", "1E+999", "-0." + "123" * 50, "9" * 400):
        assert parse(f"1,{word},3\n", t.COUNT, t.NUMBER, t.COUNT)[1] == [[1, 0, 3]]
    assert parse("1\n", t.COUNT, skip=True)[1] == [[0]]
    assert parse("12345678901234567890123\n7\n", t.COUNT, skip=True)[1] == [[0], [0]]
    assert parse("12345678901234567890123x\n", t.COUNT, skip=True)[2][0] == t.NOT_A_NUMBER


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    zeros=st.integers(0, 30),
    whole=st.integers(0, 10**6),
    decimals=st.text("0123456789", min_size=1, max_size=4),
    more=st.integers(0, 30),
    exponent=st.sampled_from(["", "e0", "E-1", "e+1"]),
)
def test_zeros_at_either_end_are_no_digits(zeros, whole, decimals, more, exponent):
    text = f"{'0' * zeros}{whole}.{decimals}{'0' * more}{exponent}"
    assert parse(f"{text}\n", t.RATE, places=6)[1] == [[int(Fraction(text) * 10**6)]]


def test_a_time_of_too_many_digits_is_late_in_every_unit():
    """What it needs is over every limit: its first digits would be a time in ns."""
    for word in ("17040672000000000000", "1704067200000000000000"):
        _, rows, state, _ = parse(f"{word}\n", t.TIME)
        assert (rows, state[0], state[3]) == ([], t.OFF_TIME, 2**63 - 1)
