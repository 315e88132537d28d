"""Decimal text becomes int64 columns: a compiled parser over the bytes of whole CSV lines, no float in between (SPEC 1.6).

The loop stops at the first field that it cannot use and says which; what to make of that is the caller's business (`table`).
Prices share one number of decimals (so do quantities and rates), which the caller raises when a finer value comes along.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from grinder._jit import kernel
from grinder.records import Command

__all__ = [
    "ABSENT",
    "COMMAND",
    "COUNT",
    "DONE",
    "EMPTY_LINE",
    "EXTRA",
    "FINER",
    "MARK",
    "MISSING",
    "NAME",
    "NEGATIVE",
    "NOT_A_COMMAND",
    "NOT_A_NUMBER",
    "NOT_A_SIDE",
    "NOT_A_SYMBOL",
    "NOT_A_TRUTH",
    "NUMBER",
    "OFF_TIME",
    "PRICE",
    "QTY",
    "RATE",
    "SIDE",
    "SKIP",
    "TIME",
    "TOO_LONG",
    "TOO_SMALL",
    "TRUTH",
    "WHOM",
    "parse_rows",
]

ABSENT: Final = -(2**63)
"""What an empty field becomes where one is allowed."""

# What a column holds. The first four are groups too: each has its own number of decimals.
PRICE: Final = 0
QTY: Final = 1
RATE: Final = 2  # may be negative
MARK: Final = 3  # a price that need not stand on a tick
COUNT: Final = 4  # a whole number, such as an id; of any length where no field takes it
TIME: Final = 5  # a whole number inside the range of its unit
TRUTH: Final = 6  # true or false: is the buyer the maker? gives the aggressor, -1 or +1
SIDE: Final = 7  # buy, sell, unknown or +1, -1, 0: gives the aggressor
NAME: Final = 8  # 1 if it is the wanted name, else ABSENT
NUMBER: Final = 9  # any number of any length, checked and forgotten
COMMAND: Final = 10  # the name of one: gives its code
WHOM: Final = 11  # 0 for *, every symbol; 1 if it is the wanted name, else ABSENT
SKIP: Final = 12  # anything

# Why the loop stopped.
DONE: Final = 0
MISSING: Final = 1
EXTRA: Final = 2
NOT_A_NUMBER: Final = 3
NEGATIVE: Final = 4
TOO_SMALL: Final = 5
TOO_LONG: Final = 6
FINER: Final = 7
OFF_TIME: Final = 8
NOT_A_TRUTH: Final = 9
NOT_A_SIDE: Final = 10
EMPTY_LINE: Final = 11
NOT_A_COMMAND: Final = 12
NOT_A_SYMBOL: Final = 13

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
_COMMA: Final = 44
_LF: Final = 10
_CR: Final = 13
_MAX_EXPONENT: Final = 400
_LARGEST: Final = 2**63 - 1
_STAR: Final = 42
_PAUSE: Final = int(Command.PAUSE)
_RESUME: Final = int(Command.RESUME)
_KILL: Final = int(Command.KILL)
_RESET: Final = int(Command.RESET)
_RECOVER: Final = int(Command.RECOVER)
assert len(Command) == 5


@kernel
def whole_number(text: Bytes, i: int) -> tuple[int, int, int]:
    """Digits from `i` on: (value, first byte after them, status); over 2**63 - 10 it is TOO_LONG and 2**63 - 1."""
    first = i
    value: Any = 0
    digit = np.int64(text[i]) - 48
    while 0 <= digit <= 9:
        if i - first >= 18 and (i - first > 18 or value >= 922_337_203_685_477_580):
            while 48 <= text[i] <= 57:
                i += 1
            return _LARGEST, i, TOO_LONG
        value = value * 10 + digit
        i += 1
        digit = np.int64(text[i]) - 48
    return value, i, DONE if i > first else NOT_A_NUMBER


@kernel
def decimal_number(text: Bytes, i: int, places: int, floor: bool) -> tuple[int, int, int, int, int]:
    """A number such as 61800.10, -3 or 1.5e-7 from `i` on, in units of 10**-places.

    Returns:
        (value, first byte after it, status, decimals it needs, 1 if digits were cut off). With `floor` a number finer than
        `places` is rounded down, else it is FINER.
    """
    negative = text[i] == 45
    first = i + 1 if negative else i
    i = first
    value: Any = 0
    lost, decimals = 0, 0
    digit = np.int64(text[i]) - 48
    while 0 <= digit <= 9 and i - first < 18:
        value = value * 10 + digit
        i += 1
        digit = np.int64(text[i]) - 48
    whole = i - first
    if whole == 0:
        return value, i, NOT_A_NUMBER, 0, 0
    long = whole + places > 18 or 0 <= digit <= 9
    need = 0
    if digit == -2 and not long:
        i += 1
        point = i
        digit = np.int64(text[i]) - 48
        while 0 <= digit <= 9 and decimals < places:
            value = value * 10 + digit
            decimals += 1
            i += 1
            digit = np.int64(text[i]) - 48
        while 0 <= digit <= 9:
            if digit > 0:
                need = i + 1 - point
            i += 1
            digit = np.int64(text[i]) - 48
        if i == point:
            return value, i, NOT_A_NUMBER, 0, 0
    if long or digit == 53 or digit == 21:
        value, i, status, need = long_number(text, first, places)
        if status != DONE:
            return value, i, status, need, 0
    else:
        while decimals < places:
            value *= 10
            decimals += 1
    if need > places:
        if not floor:
            return value, i, FINER, need, 0
        lost = 1
        value += 1 if negative else 0  # towards minus infinity once the sign is on
    return -value if negative else value, i, DONE, 0, lost


@kernel
def number_end(text: Bytes, i: int) -> tuple[int, int]:
    """Where the number from `i` on ends, its sign aside: (first byte after it, status); it may be of any length."""
    first = i
    while 48 <= text[i] <= 57:
        i += 1
    if i == first:
        return i, NOT_A_NUMBER
    if text[i] == 46:
        first = i = i + 1
        while 48 <= text[i] <= 57:
            i += 1
        if i == first:
            return i, NOT_A_NUMBER
    if text[i] == 101 or text[i] == 69:
        i += 1
        if text[i] == 43 or text[i] == 45:
            i += 1
        first = i
        while 48 <= text[i] <= 57:
            i += 1
        if i == first:
            return i, NOT_A_NUMBER
    return i, DONE


@kernel
def long_number(text: Bytes, i: int, places: int) -> tuple[int, int, int, int]:
    """A number of many digits or with an exponent, its sign aside; zeros that end or begin it do not count as digits.

    Returns:
        (value in 10**-places rounded down, first byte after, status, decimals needed).
    """
    value: Any = 0
    digits, zeros, shift, after = 0, 0, 0, 0
    end, status = number_end(text, i)
    if status != DONE:
        return value, end, status, 0
    c = np.int64(text[i])
    while 48 <= c <= 57 or c == 46:
        if c == 46:
            after = 1
        else:
            shift += after
            if c == 48:
                zeros += 1 if digits > 0 else 0  # written once a digit follows
            else:
                digits += zeros + 1
                if digits > 18:
                    return value, end, TOO_LONG, 0
                for _ in range(zeros + 1):
                    value *= 10
                value += c - 48
                zeros = 0
        i += 1
        c = np.int64(text[i])
    need = shift - zeros
    if i < end:
        down = text[i + 1] == 45
        exponent, _, status = whole_number(text, i + 2 if down or text[i + 1] == 43 else i + 1)
        if status != DONE or exponent > _MAX_EXPONENT:
            return value, end, NOT_A_NUMBER, 0
        need += exponent if down else -exponent
    if value == 0:
        return value, end, DONE, 0
    for _ in range(places - need):
        if value >= 10**17:
            return value, end, TOO_LONG, 0
        value *= 10
    for _ in range(need - places):
        value //= 10
    return value, end, DONE, need


@kernel
def word_length(text: Bytes, i: int) -> int:
    """The length of the field from `i` on."""
    first = i
    while text[i] != _COMMA and text[i] != _LF and text[i] != _CR:
        i += 1
    return i - first


@kernel
def same_word(text: Bytes, i: int, word: bytes) -> bool:
    """Whether `word` (lower case) stands at `i` in any case."""
    for k in range(len(word)):
        if (np.int64(text[i + k]) | 32) != np.int64(word[k]):
            return False
    return True


@kernel
def same_name(text: Bytes, i: int, name: Bytes) -> tuple[int, int]:
    """Whether the field from `i` on is exactly `name`: (1 or 0, first byte after the field)."""
    first, same = i, 1
    while text[i] != _COMMA and text[i] != _LF and text[i] != _CR:
        if i - first >= len(name) or text[i] != name[i - first]:
            same = 0
        i += 1
    return same if i - first == len(name) else 0, i


@kernel
def command_code(text: Bytes, i: int, length: int) -> int:
    """The code of the command whose name, in any case, is the field of this length at `i`; -1 where it is none."""
    if length == 5 and same_word(text, i, b"pause"):
        return _PAUSE
    if length == 6 and same_word(text, i, b"resume"):
        return _RESUME
    if length == 4 and same_word(text, i, b"kill"):
        return _KILL
    if length == 5 and same_word(text, i, b"reset"):
        return _RESET
    return _RECOVER if length == 7 and same_word(text, i, b"recover") else -1


@kernel
def parse_rows(
    text: Bytes, start: int, stop: int, plan: Ints, scale: Ints, times: Ints, name: Bytes, out: Ints, state: Ints
) -> tuple[int, int]:
    """Parse whole lines of `text[start:stop]` into `out` until they end, `out` is full, or a field cannot be used.

    Args:
        text: uint8, (n,); `text[stop - 1]` is a line feed.
        plan: int64, (columns, 4): what the column holds, the row of `out` that takes it (-1: none), the least legal value,
            1 if it may be empty.
        scale: int64, (4, 4): for prices, quantities, rates and marks: decimals, 1 if values off the unit are to be rounded down,
            how many (quantities and rates) are, and the unit in `10**-decimals`.
        times: int64, (3,): least time, first time too late, ns in one. All 0 stops at the first time, so that it can be judged.
        name: uint8, the wanted symbol.
        out: int64, (fields, rows).
        state: int64, (5,), written: status, column, first byte of the field, decimals needed, 1 if a byte over 127 was skipped.

    Returns:
        (first byte of the next line, or of the one that cannot be used; rows written).
    """
    columns, room = len(plan), out.shape[1]
    low, high, factor = times[0], times[1], times[2]
    row, i = 0, start
    while i < stop and row < room:
        line, cut_qty, cut_rate = i, 0, 0
        for column in range(columns):
            kind, field, least = plan[column, 0], plan[column, 1], plan[column, 2]
            begin, value, status, need = i, 0, DONE, 0
            c = text[i]
            if (c == _COMMA or c == _LF or c == _CR) and kind < SKIP:
                value = ABSENT
                if plan[column, 3] == 0:
                    status = NOT_A_NUMBER
                    if c != _COMMA and column == 0 and columns > 1:
                        status = EMPTY_LINE
            elif kind <= MARK:
                value, i, status, need, lost = decimal_number(text, i, scale[kind, 0], scale[kind, 1] == 1)
                c = text[i]
                if (status == DONE or status == FINER) and c != _COMMA and c != _LF and c != _CR:
                    status = NOT_A_NUMBER
                if status == DONE:
                    if scale[kind, 1] == 1 and (lost == 1 or value % scale[kind, 3] != 0):
                        cut_qty += 1 if kind == QTY else 0
                        cut_rate += 1 if kind == RATE else 0
                    if kind != RATE:
                        if text[begin] == 45:
                            status = NEGATIVE
                        elif value < least:
                            status = TOO_SMALL
                elif status != NOT_A_NUMBER and text[begin] == 45 and kind != RATE:
                    status = NEGATIVE
            elif kind == TIME:
                value, i, status = whole_number(text, i)
                c = text[i]
                if c != _COMMA and c != _LF and c != _CR:
                    status = NOT_A_NUMBER
                elif value < low or value >= high:
                    status, need = OFF_TIME, value
                else:
                    value *= factor
            elif kind == COUNT:
                value, i, status = whole_number(text, i)
                if status == NOT_A_NUMBER and text[begin] == 45:
                    status = NEGATIVE
                elif status == TOO_LONG and field < 0:
                    status = DONE
            elif kind == SKIP:
                while c != _COMMA and c != _LF:
                    if c > 127:
                        state[4] = 1
                    i += 1
                    c = text[i]
                if i > begin and c == _LF and text[i - 1] == _CR:
                    i -= 1
            elif kind == TRUTH:
                length = word_length(text, begin)
                i = begin + length
                if length == 4 and same_word(text, begin, b"true"):
                    value = -1
                elif length == 5 and same_word(text, begin, b"false"):
                    value = 1
                elif length == 1 and 48 <= text[begin] <= 49:
                    value = -1 if text[begin] == 49 else 1
                else:
                    status = NOT_A_TRUTH
            elif kind == SIDE:
                length = word_length(text, begin)
                i = begin + length
                if length == 3 and same_word(text, begin, b"buy"):
                    value = 1
                elif length == 4 and same_word(text, begin, b"sell"):
                    value = -1
                elif length == 7 and same_word(text, begin, b"unknown"):
                    value = 0
                elif length == 1 and 48 <= text[begin] <= 49:
                    value = 1 if text[begin] == 49 else 0
                elif length == 2 and text[begin] == 45 and text[begin + 1] == 49:
                    value = -1
                else:
                    status = NOT_A_SIDE
            elif kind == NAME or kind == WHOM:
                value, i = same_name(text, i, name)
                value = 1 if value == 1 else ABSENT
                if kind == WHOM and value != 1:
                    if i - begin == 1 and c == _STAR:
                        value = 0
                    elif i - begin == 2 and c == 45 and text[begin + 1] == 49:  # -1, which is for arrays
                        status = NOT_A_SYMBOL
                for k in range(begin, i):
                    if text[k] > 127:
                        state[4] = 1
            elif kind == COMMAND:
                length = word_length(text, begin)
                i = begin + length
                value = command_code(text, begin, length)
                if value < 0:
                    status = NOT_A_COMMAND
            else:
                i, status = number_end(text, i + 1 if c == 45 else i)
            if status == DONE:
                c = text[i]
                if column < columns - 1:
                    if c == _COMMA:
                        i += 1
                    elif c == _LF or (c == _CR and text[i + 1] == _LF):
                        status, begin = MISSING, i
                    else:
                        status = NOT_A_NUMBER
                elif c == _LF:
                    i += 1
                elif c == _CR and text[i + 1] == _LF:
                    i += 2
                elif c == _COMMA:
                    status, begin = EXTRA, i + 1
                else:
                    status = NOT_A_NUMBER
            if status != DONE:
                if status == MISSING:
                    column += 1  # noqa: PLW2901 - the column that is not there
                state[0], state[1], state[2], state[3] = status, column, begin, need
                return line, row
            if field >= 0:
                out[field, row] = value
        row += 1
        scale[QTY, 2] += cut_qty  # of whole rows only: one that is stopped at is parsed again
        scale[RATE, 2] += cut_rate
    state[0] = DONE
    return i, row
