"""Fixed point: the only place where text becomes a number, where a number rounds, and where a float becomes an integer.

Everything is an int64 in the unit that its name or docstring tells (SPEC 1.1). The jitted leaves below assume what the load
proved (SPEC 1.2): no product of theirs passes 2**63.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from grinder._jit import kernel
from grinder.errors import NumberError, RangeError

__all__ = [
    "BP",
    "HIGHEST",
    "LOSS_LIMIT",
    "MAX_PRICE_TICKS",
    "MAX_QTY_LOTS",
    "MICRO",
    "MONEY_LIMIT",
    "NS_PER_DAY",
    "NS_PER_MS",
    "ONE",
    "RESERVE",
    "capped_ceil",
    "capped_product",
    "exact_units",
    "fee_atoms",
    "format_units",
    "hard_cap_lots",
    "mul_div",
    "mul_div_ceil",
    "mul_div_floor",
    "parse_decimal",
    "parse_ratio",
    "quantise",
    "share_of",
    "split_cost",
]

ONE: Final = 100_000_000
"""A ratio of 1.0; ratios are integers in 1e-8 (SPEC 1.1)."""
BP: Final = 10_000
"""One basis point as a ratio."""
MICRO: Final = 1_000_000
"""One tick in the 1e-6 ticks that ladders are carried in (SPEC 7.5)."""
NS_PER_MS: Final = 1_000_000
NS_PER_DAY: Final = 86_400_000_000_000
MAX_PRICE_TICKS: Final = 2**35
MAX_QTY_LOTS: Final = 2**31
MONEY_LIMIT: Final = 2**62
HIGHEST: Final = 2**63 - 1
"""The largest int64: as a limit, one that nothing reaches, since no move of a mid in 1e-8 half ticks comes to it."""
assert 2 * MAX_PRICE_TICKS * ONE < HIGHEST
LOSS_LIMIT: Final = 2**60
"""What a worst case is clamped to: more than any budget, small enough that two can be added."""
RESERVE: Final = 2**60
"""Atoms kept free for fees and realised PnL in the overflow proof (SPEC 1.2, ADR-0004)."""

_DECIMAL = re.compile(r"[+-]?(\d+(_\d+)*(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MAX_DIGITS: Final = 200


def parse_decimal(text: str | int | Decimal) -> Fraction:
    """The exact value of decimal text, without a float in between (SPEC 1.6).

    Args:
        text: such as "65000.10", 3 or Decimal("1e-3"). A float is refused: what it shows is not what it is.

    Raises:
        NumberError: not decimal text.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | Decimal):
        raise NumberError(f"{text!r} is a {type(text).__name__}: write the number as text, such as '0.1'")
    if (text.bit_length() if isinstance(text, int) else len(str(text))) > _MAX_DIGITS:
        raise NumberError(f"a number of more than {_MAX_DIGITS} digits or bits is no setting")
    value = _fraction(str(text).strip())
    if value is None:
        raise NumberError(f"{text!r} is no decimal number: write it like 0.1 or 65000.10")
    return value


@lru_cache(maxsize=4096)
def _fraction(text: str) -> Fraction | None:
    """The value of decimal text, None of any other; kept, since configs of a sweep differ in few of theirs."""
    return Fraction(text.replace("_", "")) if _DECIMAL.fullmatch(text) else None


def exact_units(text: str | int | Decimal, unit: Fraction | str, name: str = "value") -> int:
    """Decimal text as a whole number of units; off the unit is an error, never rounded away (SPEC 1.6).

    >>> exact_units("65000.10", "0.01")
    6500010

    Raises:
        NumberError: not decimal text, or no multiple of `unit`; the message shows the two legal neighbours.
    """
    unit = parse_decimal(unit) if isinstance(unit, str) else unit
    value = parse_decimal(text)
    low, rest = divmod(value.numerator * unit.denominator, value.denominator * unit.numerator)
    if rest:
        near = f"{format_units(low, unit)} or {format_units(low + 1, unit)}"
        raise NumberError(f"{name} {text} is no multiple of {format_units(1, unit)}: the nearest legal values are {near}")
    if abs(low) > MONEY_LIMIT:
        raise RangeError(f"{name} {text} is {low} units of {format_units(1, unit)}, more than 2**62")
    return low


def format_units(count: int, unit: Fraction | str) -> str:
    """A number of units as decimal text, the inverse of `exact_units`.

    >>> format_units(6500010, "0.01")
    '65000.10'
    """
    unit = parse_decimal(unit) if isinstance(unit, str) else unit
    places = _decimal_places(unit)
    value = count * unit * 10**places
    if value.denominator != 1:
        raise NumberError(f"{unit} has no finite decimal form")
    digits = f"{abs(int(value)):0{places + 1}d}"
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def _decimal_places(unit: Fraction) -> int:
    twos = fives = 0
    rest = unit.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives)


def parse_ratio(text: str | int | Decimal, name: str = "ratio") -> int:
    """A ratio in 1e-8 from "2%", "5bp" or a plain decimal such as "0.0005".

    >>> parse_ratio("5bp"), parse_ratio("2%"), parse_ratio("1.5")
    (50000, 2000000, 150000000)
    """
    if isinstance(text, str):
        stripped = text.strip()
        for suffix, scale in (("bps", 10_000), ("bp", 10_000), ("%", 100)):
            if stripped.endswith(suffix):
                value = parse_decimal(stripped[: -len(suffix)]) / scale
                break
        else:
            value = parse_decimal(stripped)
    else:
        value = parse_decimal(text)
    scaled = value * ONE
    if scaled.denominator != 1:
        raise NumberError(f"{name} {text} is finer than 1e-8 (a ten-thousandth of a basis point)")
    if abs(scaled) > 2**53:
        raise NumberError(f"{name} {text} is too large")
    return int(scaled)


@kernel
def quantise(value: float, low: int, high: int) -> int:
    """The one door from float to integer: `floor(value * 1e8 + 0.5)`, clamped to [low, high] (SPEC 1.4).

    Raises:
        ValueError: `value` is not finite.
    """
    if not np.isfinite(value):
        raise ValueError("a feature that is not finite cannot be quantised")
    scaled = np.floor(value * 1e8 + 0.5)
    if scaled <= low:
        return low
    if scaled >= high:
        return high
    return int(scaled)


def hard_cap_lots(max_price_ticks: int, tick_value_atoms: int, equity_atoms: int, symbols: int) -> int:
    """The position in lots up to which all money of a run fits into 2**62 atoms (SPEC 1.2, ADR-0004)."""
    room = (MONEY_LIMIT - 1 - RESERVE - equity_atoms) // symbols
    return max(0, min(MAX_QTY_LOTS, room // (2 * max_price_ticks * tick_value_atoms)))


@kernel
def mul_div_floor(x: int, ratio: int, unit: int) -> int:
    """`floor(x * ratio / unit)` without the product: quotient and remainder of `x` apart (SPEC 1.3).

    Needs `(abs(x) // unit + 1) * abs(ratio) < 2**63` and `unit * abs(ratio) < 2**63`; `unit` > 0; any signs of `x`, `ratio`.
    """
    return x // unit * ratio + x % unit * ratio // unit


@kernel
def mul_div_ceil(x: int, ratio: int, unit: int) -> int:
    """`ceil(x * ratio / unit)`, under the same conditions as `mul_div_floor`."""
    return -mul_div_floor(-x, ratio, unit)


@kernel
def capped_ceil(x: int, ratio: int, unit: int) -> int:
    """`ceil(x * ratio / unit)`, at most HIGHEST: for limits, where more than anything is as good as HIGHEST.

    Needs 0 <= x, 0 <= ratio, 0 < unit and `unit * ratio < 2**63`.
    """
    whole, part = x // unit, -(-(x % unit * ratio) // unit)
    if ratio > 0 and whole > (HIGHEST - part) // ratio:
        return HIGHEST
    return whole * ratio + part


@kernel
def mul_div(x: int, k: int, unit: int) -> int:
    """`floor(x * k / unit)`, bit by bit where even the remainder times `k` is over 63 bits; 0 <= x, 0 <= k < 2**62, 0 < unit.

    The quotient has to fit. Sums are compared before they are made: twice the remainder may be over 63 bits too.
    """
    out, rest, part, bit = 0, 0, x % unit, 1
    if part <= HIGHEST // max(1, k):  # the daily case: no need of 62 steps
        return x // unit * k + part * k // unit
    while bit <= k:
        bit <<= 1
    while bit > 1:
        bit >>= 1
        out <<= 1
        if rest >= unit - rest:
            rest, out = rest - (unit - rest), out + 1
        else:
            rest += rest
        if k & bit:
            if rest >= unit - part:
                rest, out = rest - (unit - part), out + 1
            else:
                rest += part
    return x // unit * k + out


@kernel
def capped_product(a: int, b: int) -> int:
    """`a * b` of two numbers that are not negative, at most LOSS_LIMIT."""
    if (a | b) < 2**30:  # the daily case: no need of a division
        return a * b
    if a > 0 and b > 2**60 // a:
        return 2**60
    return a * b


@kernel
def share_of(money: int, ratio: int) -> int:
    """`floor(money * ratio / 1e8)` of an amount that is not negative, at most 2**62: for limits, where more means no limit."""
    if ratio > 0 and money // 100_000_000 >= 2**62 // ratio:
        return 2**62
    return mul_div_floor(money, ratio, 100_000_000)


@kernel
def fee_atoms(notional: int, rate: int) -> int:
    """Fee of a fill in atoms: ceil, against the account; a negative rate is a rebate, ceiled to a smaller credit."""
    return mul_div_ceil(notional, rate, 100_000_000)


@kernel
def split_cost(cost: int, part: int, whole: int) -> int:
    """The share `part / whole` of a cost, floored: `cost // Q * q + cost % Q * q // Q` (SPEC 10)."""
    return mul_div_floor(cost, part, whole)
