"""Every rounding rule against `fractions.Fraction`, and text to integers without a float in between (SPEC 1; ADR-0004)."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from grinder import units
from grinder.cycle import take_profit_price
from grinder.errors import NumberError, RangeError

many = settings(max_examples=400, derandomize=True, deadline=None)
some = settings(max_examples=150, derandomize=True, deadline=None)
INT64 = 2**63


@st.composite
def products(draw):
    """(x, ratio, unit) over the whole range that `mul_div_floor` declares, small and extreme values alike."""
    unit = draw(st.one_of(st.just(units.ONE), st.integers(1, 2**40), st.integers(1, 9)))
    largest = (INT64 - 1) // unit
    ratio = draw(st.one_of(st.integers(-largest, largest), st.integers(-9, 9), st.sampled_from((largest, -largest))))
    reach = min(INT64 - 1, ((INT64 - 1) // max(1, abs(ratio)) - 1) * unit + unit - 1)
    near = min(reach, 9)
    return draw(st.one_of(st.integers(-reach, reach), st.integers(-near, near), st.sampled_from((reach, -reach)))), ratio, unit


@many
@given(products())
@example((2**62, 100_000_000, 100_000_000))
def test_mul_div(case):
    x, ratio, unit = case
    assert (abs(x) // unit + 1) * abs(ratio) < INT64
    exact = Fraction(x) * ratio / unit
    assert units.mul_div_floor(x, ratio, unit) == math.floor(exact)
    assert units.mul_div_ceil(x, ratio, unit) == math.ceil(exact)


@many
@given(st.integers(0, INT64 - 1), st.integers(0, INT64 - 1), st.one_of(st.just(units.ONE), st.integers(1, 2**40)))
@example(2**62, 6 * units.ONE, units.ONE)  # an ATR of 2**62 in 1e-8 half ticks, six times
@example(INT64 - 1, units.ONE, units.ONE)
@example(INT64 - 1, units.ONE - 1, units.ONE)
@example(INT64 - 1, units.ONE + 1, units.ONE)
@example(2**35, 20 * units.ONE, 1)
@example(INT64 - 1, 0, 1)
def test_capped_ceil(x, ratio, unit):
    """Exact up to the largest int64, and that where it would be more."""
    ratio = min(ratio, (INT64 - 1) // unit)
    assert units.capped_ceil(x, ratio, unit) == min(INT64 - 1, math.ceil(Fraction(x) * ratio / unit))


@many
@given(st.integers(0, 2**62), st.integers(-units.ONE // 100, units.ONE // 10))
@example(1, 1)
@example(1, -1)
@example(units.ONE, 20_000)
def test_fee_is_ceiled_against_the_account(notional, rate):
    exact, fee = Fraction(notional) * rate / units.ONE, units.fee_atoms(notional, rate)
    assert fee == math.ceil(exact)
    assert exact <= fee < exact + 1
    if rate < 0:
        assert -fee <= -exact, "a rebate is never more than exact"


@many
@given(st.integers(0, 2**62 - 1), st.lists(st.integers(1, 2**27), min_size=1, max_size=12))
def test_split_cost_shares_sum_to_the_cost(cost, parts):
    whole = sum(parts)
    first = units.split_cost(cost, parts[0], whole)
    assert first == math.floor(Fraction(cost) * parts[0] / whole)
    left, given_away = cost, 0
    for part in parts:  # as a position is closed piece by piece
        share = units.split_cost(left, part, whole)
        assert 0 <= share <= left
        left, whole, given_away = left - share, whole - part, given_away + share
    assert (left, given_away) == (0, cost)


def test_kernels_are_the_same_python_and_machine_code():
    """Interpreted in another process, every rounding kernel gives what the compiled one gives here."""
    assert _kernel_answers() == eval(
        subprocess.run(
            [sys.executable, "-W", "error", "-c", "from tests.test_units import _kernel_answers; print(_kernel_answers())"],
            env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


def _kernel_answers():
    xs = (0, 1, 99_999_999, 100_000_000, 6_500_010, 2**35, 2**53 + 1, 2**62 - 1)
    ratios = (0, 1, 9_999, 20_000, 37_777_777, 99_999_999, 100_000_000)
    out = []
    for x in (*xs, *(-x for x in xs)):
        for r in (*ratios, *(-r for r in ratios)):
            out += [int(units.mul_div_floor(x, r, units.ONE)), int(units.mul_div_ceil(x, r, units.ONE)), int(units.fee_atoms(x, r))]
            out += [int(units.split_cost(abs(x), abs(r), 100_000_000))]
            out += [int(units.capped_ceil(abs(x), abs(r), units.ONE)), int(units.capped_ceil(abs(x), abs(r), 1))]
            out += [int(take_profit_price(side, 1 + abs(x) % 2**35, abs(r))) for side in (1, -1)]
    return out


@many
@given(st.integers(-(2**62), 2**62), st.integers(0, 10), st.integers(1, 10**6))
def test_units_and_text_round_trip(count, places, ticks):
    unit = Fraction(ticks, 10**places)
    text = units.format_units(count, unit)
    assert Fraction(text) == count * unit
    assert units.exact_units(text, unit) == count
    assert units.exact_units(Decimal(text), unit) == count


@some
@given(st.integers(0, 2**40), st.integers(1, 999), st.sampled_from(["0.01", "0.5", "0.001", "25"]))
def test_off_the_tick_is_an_error_that_shows_both_neighbours(ticks, thousandths, tick):
    unit = Fraction(tick)
    low = ticks * unit
    text = units.format_units(1000 * ticks + thousandths, unit / 1000)
    with pytest.raises(NumberError) as error:
        units.exact_units(text, unit, "price")
    below, above = str(error.value).split("nearest legal values are ")[1].split(" or ")
    assert (Fraction(below), Fraction(above)) == (low, low + unit)
    assert f"price {text}" in str(error.value)


def test_units_known_values():
    assert units.exact_units("65000.10", "0.01") == 6_500_010
    assert units.exact_units("-0.5", "0.25") == -2
    assert units.format_units(6_500_010, "0.01") == "65000.10"
    assert units.format_units(-1, "0.01") == "-0.01"
    with pytest.raises(NumberError, match="no finite decimal form"):
        units.format_units(1, Fraction(1, 3))
    assert units.exact_units(2**62, "1") == 2**62
    with pytest.raises(RangeError, match=r"equity 4611686018427387905 .* 2\*\*62"):
        units.exact_units(2**62 + 1, "1", "equity")


@pytest.mark.parametrize(
    "text", ["0.10", "0.1", ".1", "+0.1", "1e-1", "10%", "10.0 %", "1000bp", "1000bps", " 1000 bp ", Decimal("0.100")]
)
def test_ratio_spellings(text):
    assert units.parse_ratio(text) == 10_000_000


@some
@given(st.integers(-(2**53), 2**53))
def test_ratio_round_trip(ratio):
    for suffix, scale in (("", 1), ("%", 100), ("bp", 10_000)):
        assert units.parse_ratio(units.format_units(ratio, Fraction(scale, units.ONE)) + suffix) == ratio


def test_ratio_refusals():
    with pytest.raises(NumberError, match=r"maker_fee 0.000000001 is finer than 1e-8"):
        units.parse_ratio("0.000000001", "maker_fee")
    with pytest.raises(NumberError, match="step 90071993 is too large"):
        units.parse_ratio("90071993", "step")
    with pytest.raises(NumberError):
        units.parse_ratio(0.1)


@pytest.mark.parametrize("value", [0.1, float("nan"), np.float64(1), True, None, b"1", [1], Fraction(1, 2)])
def test_only_text_and_whole_numbers_are_exact(value):
    with pytest.raises(NumberError, match="write the number as text"):
        units.parse_decimal(value)


BAD_TEXT = [
    "",
    " ",
    ".",
    "1.2.3",
    "1,5",
    "0x10",
    "inf",
    "nan",
    "1e",
    "1e1234",
    "--1",
    "1 2",
    "_1",
    "1__0",
    "1_",
    "\u0661",
    "1/3",
    "9" * 201,
]


@pytest.mark.parametrize("text", [*BAD_TEXT, -(2**300), Decimal("NaN"), Decimal("Infinity")])
def test_no_decimal_text(text):
    with pytest.raises(NumberError):
        units.parse_decimal(text)


def test_integers_that_python_cannot_print_are_no_numbers():
    with pytest.raises(NumberError, match="more than 200 digits"):
        units.parse_decimal(10**5000)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1_000.5", Fraction(2001, 2)), (" 3 ", 3), ("5.", 5), ("-1E+2", -100), (Decimal("1E-7"), Fraction(1, 10**7))],
)
def test_decimal_text(text, value):
    assert units.parse_decimal(text) == value


@many
@given(st.floats(-1e6, 1e6), st.integers(-(10**15), 0), st.integers(0, 10**15))
@example(0.5e-8, -10, 10)
@example(-0.5e-8, -10, 10)
@example(1.5e-8, -10, 10)
def test_quantise(value, low, high):
    scaled = Fraction(value * 1e8 + 0.5)  # the float that SPEC 1.4 writes down, then exactly
    assert units.quantise(value, low, high) == min(high, max(low, math.floor(scaled)))
    if abs(Fraction(value)) < 10**6 and low < math.floor(scaled) < high:
        assert (
            abs(units.quantise(value, low, high) - Fraction(value) * units.ONE) <= Fraction(51, 100) + abs(Fraction(value)) / 10**7
        )


@pytest.mark.parametrize(
    ("value", "expected"), [(1e300, 9), (-1e300, -9), (1.7976931348623157e308, 9), (0.0, 0), (-0.0, 0), (3e-8, 3)]
)
def test_quantise_clamps(value, expected):
    assert units.quantise(value, -9, 9) == expected
    assert isinstance(units.quantise(value, -9, 9), int)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), np.float64("nan")])
def test_quantise_refuses_what_is_not_finite(value):
    with pytest.raises(ValueError, match="not finite"):
        units.quantise(value, -9, 9)


@many
@given(st.integers(1, 2**35), st.integers(1, 2**30), st.integers(0, 3 * 2**60), st.integers(1, 20))
@example(2**35, 10_000, 10**12, 1)
@example(2**20, 2**10, 0, 1)  # would be 2**62 to the atom
def test_hard_cap_is_the_largest_that_fits(price, tick_value, equity, symbols):
    def fits(lots):
        money = (2 * price * lots * tick_value) * symbols + equity + 2**60
        return money < 2**62

    cap = units.hard_cap_lots(price, tick_value, equity, symbols)
    assert fits(cap) or cap == 0
    assert cap == 2**31 or not fits(cap + 1)


def test_constants():
    assert (units.ONE, units.BP, units.MICRO) == (10**8, 10**4, 10**6)
    assert (units.MAX_PRICE_TICKS, units.MAX_QTY_LOTS, units.MONEY_LIMIT, units.RESERVE) == (2**35, 2**31, 2**62, 2**60)
    assert units.HIGHEST == INT64 - 1
    assert (units.NS_PER_MS, units.NS_PER_DAY) == (10**6, 86_400 * 10**9)
