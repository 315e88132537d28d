"""Rows against the rules of SPEC 2.2: reject a file with path, row, column, value and cure; or quarantine a row by reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from grinder.errors import InputFault
from grinder.records import Fault
from grinder.units import MAX_PRICE_TICKS, MAX_QTY_LOTS

__all__ = ["Columns", "check_stream"]

Columns = Mapping[str, NDArray[np.int64]]

FIRST_TS: Final = 1_230_768_000_000_000_000
"""2009-01-01 in ns; earlier times are in another unit."""
LAST_TS: Final = 4_102_444_800_000_000_000
"""2100-01-01 in ns."""
CROSSED_SHARE: Final = 1000
"""One crossed row in so many is too much (0.1 %)."""


def check_stream(stream: str, streams: Mapping[str, Columns], symbols: int, file: object) -> NDArray[np.int8]:
    """Check all rows of a stream.

    Returns:
        int8, a row each: 0 accepted, else its Fault + 1.

    Raises:
        InputFault: the first row that makes the file unusable.
    """
    columns = streams[stream]
    _check_common(columns, symbols, file)
    faults = np.zeros(len(columns["ts"]), np.int8)
    if stream == "quotes":
        _check_l1(columns, "", file)
        _quarantine_l1(columns, "", faults, file)
    elif stream == "books":
        _check_books(columns, faults, file)
        if "quotes" in streams:
            _quarantine_unlike(columns, streams["quotes"], faults)
    elif stream == "trades":
        _check_range(columns["px"], "px", 1, MAX_PRICE_TICKS, file)
        _check_range(columns["qty"], "qty", 1, MAX_QTY_LOTS, file)
        _check_range(columns["aggressor"], "aggressor", -1, 1, file)
        _, first = np.unique(np.stack([columns["symbol"], columns["id"]]), axis=1, return_index=True)
        repeated = np.ones(len(faults), bool)
        repeated[first] = False
        faults[repeated] = Fault.DUPLICATE + 1
    else:
        _check_range(columns["mark_px"], "mark_px", 1, MAX_PRICE_TICKS, file)
        _check_range(columns["rate"], "rate", -100_000_000, 100_000_000, file)
        _quarantine_repeats(columns, ("ts", "rate", "mark_px"), faults)
    return faults


def _reject(reason: str, bad: NDArray[Any], column: str, values: NDArray[Any], file: object, cure: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InputFault(reason, file=file, row=row, column=column, value=int(values[row]), cure=cure)


def _check_range(values: NDArray[np.int64], column: str, low: int, high: int, file: object) -> None:
    cure = f"allowed are {low} to {high}"
    _reject("value out of range", (values < low) | (values > high), column, values, file, cure)


def _check_common(columns: Columns, symbols: int, file: object) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputFault("columns of unequal length", file=file, value=lengths, cure="give every column one value a row")
    ts = columns["ts"]
    unit = "times are int64 nanoseconds since 1970 in UTC, from 2009 to 2100"
    _reject("time out of range, or not in ns", (ts < FIRST_TS) | (ts >= LAST_TS), "ts", ts, file, unit)
    if len(ts):
        falls = np.concatenate([[False], ts[1:] < ts[:-1]])
        _reject("timestamps out of order", falls, "ts", ts, file, "sort the rows stably by ts")
    _check_range(columns["symbol"], "symbol", 0, symbols - 1, file)


def _check_l1(columns: Columns, suffix: str, file: object) -> None:
    for side in ("bid", "ask"):
        _check_range(columns[f"{side}_px{suffix}"], f"{side}_px{suffix}", 1, MAX_PRICE_TICKS, file)
        _check_range(columns[f"{side}_qty{suffix}"], f"{side}_qty{suffix}", 0, MAX_QTY_LOTS, file)


def _quarantine_l1(columns: Columns, suffix: str, faults: NDArray[np.int8], file: object) -> None:
    """Exact repeats, crossed rows, rows without size on either side; the first reason in SPEC's order counts."""
    _quarantine_repeats(columns, ["ts", *(name for name in columns if name.startswith(("bid_", "ask_")))], faults)
    _quarantine_crossed(columns, suffix, faults, file)
    empty = (columns[f"bid_qty{suffix}"] == 0) & (columns[f"ask_qty{suffix}"] == 0)
    faults[empty & (faults == 0)] = Fault.NO_SIZE + 1


def _quarantine_repeats(columns: Columns, names: Sequence[str], faults: NDArray[np.int8]) -> None:
    """Rows equal to the symbol's previous row."""
    for s in np.unique(columns["symbol"]):
        rows = np.flatnonzero(columns["symbol"] == s)
        same = np.ones(max(0, len(rows) - 1), bool)
        for name in names:
            values = columns[name][rows]
            same &= values[1:] == values[:-1]
        faults[rows[1:][same]] = Fault.DUPLICATE + 1


def _quarantine_crossed(columns: Columns, suffix: str, faults: NDArray[np.int8], file: object) -> None:
    bid = columns[f"bid_px{suffix}"]
    crossed = bid > columns[f"ask_px{suffix}"]
    if crossed.sum() * CROSSED_SHARE > len(crossed):
        cure = f"{int(crossed.sum())} of {len(crossed)} rows are crossed, more than 0.1 %: bid and ask may be swapped"
        _reject("crossed book", crossed, f"bid_px{suffix}", bid, file, cure)
    faults[crossed & (faults == 0)] = Fault.CROSSED + 1


def _check_books(columns: Columns, faults: NDArray[np.int8], file: object) -> None:
    """Best first, no level twice, no level after an empty one; the best level of both sides must be there."""
    top_n = sum(1 for name in columns if name.startswith("bid_px_"))
    _check_l1(columns, "_0", file)
    for side, sign in (("bid", -1), ("ask", 1)):
        for i in range(1, top_n):
            name = f"{side}_px_{i}"
            before, here = columns[f"{side}_px_{i - 1}"], columns[name]
            _check_range(here, name, 0, MAX_PRICE_TICKS, file)
            _check_range(columns[f"{side}_qty_{i}"], f"{side}_qty_{i}", 0, MAX_QTY_LOTS, file)
            wrong = (here != 0) & ((before == 0) | (sign * (here - before) <= 0))
            _reject("book levels unsorted or twice", wrong, name, here, file, "levels go from the best outward, each once")
    _quarantine_l1(columns, "_0", faults, file)


def _quarantine_unlike(books: Columns, quotes: Columns, faults: NDArray[np.int8]) -> None:
    """Quarantine a book whose best prices are those of no quote of its symbol at its time, where there are quotes then."""
    times = np.unique(np.stack([quotes["symbol"], quotes["ts"]]), axis=1)
    known = {tuple(pair) for pair in times.T.tolist()}
    tops = set(zip(*(quotes[c].tolist() for c in ("symbol", "ts", "bid_px", "ask_px")), strict=True))
    rows = zip(*(books[c].tolist() for c in ("symbol", "ts", "bid_px_0", "ask_px_0")), strict=True)
    for i, row in enumerate(rows):
        if faults[i] == 0 and row[:2] in known and row not in tops:
            faults[i] = Fault.BOOK_UNLIKE_QUOTES + 1
