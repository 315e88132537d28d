"""Rows against the rules of SPEC 2.2: reject a file with path, row, column, value and cure; or quarantine a row by reason.

Each rule stands here once, in the order of SPEC's table. `check_stream` applies what one stream can tell; `mark_jumps` the rule
that needs all streams in their merged order, because it looks at the symbol's last mid. What is accepted needs no code: equal
times, locked books, a side without quantity, a book without one side, a trade whose aggressor is unknown (0), gaps, one tick, a
command given twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from grinder._jit import kernel
from grinder.errors import InputFault
from grinder.records import FAR, NONE, Command, Events, Fault, Stream
from grinder.units import MAX_PRICE_TICKS, MAX_QTY_LOTS, ONE, format_units, mul_div_floor

__all__ = ["Columns", "Earlier", "both_prices", "check_stream", "mark_jumps", "no_jumps", "one_sided", "quarantined"]

Columns = Mapping[str, NDArray[np.int64]]
Flags = NDArray[np.bool_]
Ints = NDArray[Any]

FIRST_TS: Final = 1_230_768_000_000_000_000
"""2009-01-01 in ns; earlier times are in another unit."""
LAST_TS: Final = 4_102_444_800_000_000_000
"""2100-01-01 in ns."""
CROSSED_SHARE: Final = 1000
"""One crossed row in so many is too much (0.1 %)."""

_FUNDING: Final = int(Stream.FUNDING)
_TRADES: Final = int(Stream.TRADES)
_JUMP: Final = Fault.JUMP + 1
_UNLIKE: Final = Fault.BOOK_UNLIKE_QUOTES + 1


@dataclass
class Earlier:
    """What the earlier rows of a stream leave behind, where it is checked piece by piece.

    Args:
        rows: how many the whole stream has. crossed: how many were so far. last: by column, each symbol's last value.
    """

    rows: int
    crossed: int = 0
    last: dict[str, Ints] = field(default_factory=dict)


def check_stream(
    stream: str, streams: Mapping[str, Columns], symbols: int, file: object, earlier: Earlier | None = None
) -> NDArray[np.int8]:
    """Check all rows of a stream, or of quotes the next rows.

    Args:
        stream: its name. streams: canonical columns of all streams by name. symbols: how many there are.
        file: what an error names. earlier: of quotes that come piece by piece, brought up to these; rows are counted from these.

    Returns:
        int8, a row each: 0 accepted, else its Fault + 1. Of several reasons the first in SPEC's order counts.

    Raises:
        InputFault: the first row that makes the file unusable.
    """
    columns = streams[stream]
    _reject_ragged(columns, file)
    _reject_empty(columns, file)
    _reject_times(columns["ts"], file)
    _reject_outside(columns, "symbol", NONE if stream == "commands" else 0, symbols - 1, file)
    if stream == "commands":
        return _check_commands(columns, file)
    if stream == "quotes":
        return _check_quotes(columns, symbols, file, earlier or Earlier(len(columns["ts"])))
    if stream == "books":
        return _check_books(columns, streams.get("quotes"), symbols, file)
    if stream == "trades":
        return _check_trades(columns, symbols, file)
    return _check_funding(columns, symbols, file)


def _check_quotes(columns: Columns, symbols: int, file: object, earlier: Earlier) -> NDArray[np.int8]:
    for side in ("bid", "ask"):
        _reject_outside(columns, f"{side}_px", 1, MAX_PRICE_TICKS, file)
        _reject_outside(columns, f"{side}_qty", 0, MAX_QTY_LOTS, file)
    faults = _repeats(columns, ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty"), symbols, earlier)
    _quarantine_crossed(columns, "", faults, file, earlier)
    _quarantine_empty(columns, "", faults)
    return faults


def _check_books(columns: Columns, quotes: Columns | None, symbols: int, file: object) -> NDArray[np.int8]:
    levels = [name for name in columns if name.startswith(("bid_", "ask_"))]
    for name in levels:
        _reject_outside(columns, name, 0, MAX_PRICE_TICKS if "_px_" in name else MAX_QTY_LOTS, file)
    _reject_levels(columns, len(levels) // 4, file)
    faults = _repeats(columns, ("ts", *levels), symbols, Earlier(0))
    _quarantine_crossed(columns, "_0", faults, file, Earlier(len(faults)))
    _quarantine_empty(columns, "_0", faults)
    if quotes is not None:
        faults[(faults == 0) & _unlike(columns, quotes)] = _UNLIKE
    return faults


def _check_trades(columns: Columns, symbols: int, file: object) -> NDArray[np.int8]:
    _reject_outside(columns, "px", 1, MAX_PRICE_TICKS, file)
    _reject_outside(columns, "qty", 1, MAX_QTY_LOTS, file)
    _reject_outside(columns, "aggressor", -1, 1, file)
    faults = np.zeros(len(columns["ts"]), np.int8)
    if not _ids_rise(columns["symbol"], columns["id"], np.full(symbols, np.iinfo(np.int64).min)):
        faults[_seen_before((columns["symbol"], columns["id"]))] = Fault.DUPLICATE + 1
    return faults


def _check_funding(columns: Columns, symbols: int, file: object) -> NDArray[np.int8]:
    _reject_outside(columns, "mark_px", 1, MAX_PRICE_TICKS, file)
    _reject_outside(columns, "rate", -ONE, ONE, file)
    return _repeats(columns, ("ts", "rate", "mark_px"), symbols, Earlier(0))


def _check_commands(columns: Columns, file: object) -> NDArray[np.int8]:
    """All are accepted: what is pressed twice is told twice, and acts once."""
    codes = ", ".join(f"{command} {command.name.lower()}" for command in Command)
    command = columns["command"]
    _reject("no such command", (command < 0) | (command >= len(Command)), "command", columns, file, f"there are {codes}")
    whole = (command == Command.KILL) | (command == Command.RESET)
    cure = "kill and reset concern the whole portfolio: give symbol -1, which is * in text"
    _reject("kill or reset of one symbol", whole & (columns["symbol"] != NONE), "symbol", columns, file, cure)
    return np.zeros(len(command), np.int8)


def _reject(reason: str, bad: Flags, column: str, columns: Columns, file: object, cure: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InputFault(reason, file=file, row=row, column=column, value=int(columns[column][row]), cure=cure)


# Timestamps: order, unit, range


def _reject_times(ts: NDArray[np.int64], file: object) -> None:
    unit = "times are int64 nanoseconds since 1970 in UTC, from 2009 to 2100"
    if ts.min() < FIRST_TS or ts.max() >= LAST_TS:
        _reject("time out of range, or not in ns", (ts < FIRST_TS) | (ts >= LAST_TS), "ts", {"ts": ts}, file, unit)
    falls = np.zeros(len(ts), bool)
    np.less(ts[1:], ts[:-1], out=falls[1:])
    _reject("timestamps out of order", falls, "ts", {"ts": ts}, file, "sort the rows stably by ts")


# Exact duplicate of the previous row; a trade: its id repeats


def _repeats(columns: Columns, names: Sequence[str], symbols: int, earlier: Earlier) -> NDArray[np.int8]:
    """DUPLICATE + 1 where a row equals its symbol's previous one in `names`, of which `ts` is the first; else 0."""
    faults = np.full(len(columns["ts"]), Fault.DUPLICATE + 1, np.int8)
    for name in names:
        last = earlier.last.setdefault(name, np.zeros(symbols, np.int64))
        _clear_changes(columns["symbol"], columns[name], last, faults)
    return faults


@kernel
def _clear_changes(symbol: Ints, values: Ints, last: Ints, faults: Ints) -> None:
    """Rows whose value is not their symbol's last one are no repeats; no `ts` is 0, so a symbol's first row is none."""
    for i in range(len(symbol)):
        s = symbol[i]
        if values[i] != last[s]:
            faults[i] = 0
            last[s] = values[i]


@kernel
def _ids_rise(symbol: Ints, ids: Ints, last: Ints) -> bool:
    """Whether each symbol's ids rise from row to row, as an exchange numbers them: then none repeats."""
    for i in range(len(symbol)):
        s = symbol[i]
        if ids[i] <= last[s]:
            return False
        last[s] = ids[i]
    return True


def _seen_before(keys: Sequence[NDArray[np.int64]]) -> Flags:
    """Rows whose keys an earlier row has too."""
    order = np.lexsort(keys)  # stable: of equal rows the first in the file comes first
    same = np.ones(max(0, len(order) - 1), bool)
    for key in keys:
        ordered = key[order]
        same &= ordered[1:] == ordered[:-1]
    out = np.zeros(len(order), bool)
    out[order[1:]] = same
    return out


# Crossed book; a locked one is accepted


def _quarantine_crossed(columns: Columns, suffix: str, faults: NDArray[np.int8], file: object, earlier: Earlier) -> None:
    bid, ask = columns[f"bid_px{suffix}"], columns[f"ask_px{suffix}"]
    crossed = bid > ask
    if suffix:
        crossed &= ask > 0  # a book without asks is one-sided, not crossed
    earlier.crossed += (count := int(np.count_nonzero(crossed)))
    if count and earlier.crossed * CROSSED_SHARE > earlier.rows:
        cure = f"{earlier.crossed} of {earlier.rows} rows are crossed, more than 0.1 %: bid and ask may be swapped"
        _reject("crossed book", crossed, f"bid_px{suffix}", columns, file, cure)
    faults[crossed & (faults == 0)] = Fault.CROSSED + 1


# One side's quantity 0 is accepted, both 0 quarantined


def _quarantine_empty(columns: Columns, suffix: str, faults: NDArray[np.int8]) -> None:
    empty = (columns[f"bid_qty{suffix}"] == 0) & (columns[f"ask_qty{suffix}"] == 0)
    faults[empty & (faults == 0)] = Fault.NO_SIZE + 1


@kernel
def both_prices(bid_px: int, ask_px: int, last_bid: int, last_ask: int) -> tuple[int, int]:
    """The L1 prices after an update, which a book without one side is too.

    A missing side (price 0) keeps its last price, but never past the side that is there; before the first one
    (`last_bid` FAR, `last_ask` 0) it is at that side's price.
    """
    bid = bid_px if bid_px > 0 else min(last_bid, ask_px)
    ask = ask_px if ask_px > 0 else max(last_ask, bid)
    return bid, ask


# Negative quantity, price <= 0


def _reject_outside(columns: Columns, column: str, low: int, high: int, file: object) -> None:
    values = columns[column]
    if values.min() < low or values.max() > high:
        bad = (values < low) | (values > high)
        near = low if values[np.argmax(bad)] < low else high
        cure = f"the nearest legal value is {near}; allowed are {low} to {high}"
        if column == "symbol":
            cure = f"symbols count the instruments in ASCII order: allowed are {low} to {high}"
            cure += ", where -1 is every symbol" if low < 0 else ""
        _reject("value out of range", bad, column, columns, file, cure)


# Price further than `max_jump` from the last mid


def one_sided(bid_qty: NDArray[np.int64], ask_qty: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of merged events at which a side has no quantity."""
    return np.flatnonzero((bid_qty == 0) | (ask_qty == 0))


def no_jumps(symbols: int) -> Ints:
    """What `mark_jumps` knows before the first row: int64 (S, 5), last bid, last ask, mid2, limit from it, 1 after a jump."""
    state = np.zeros((symbols, 5), np.int64)
    state[:, 0] = FAR
    return state


def mark_jumps(events: Events, max_jump: int, place: Callable[[int, int], tuple[object, int, str, int]], state: Ints) -> None:
    """Quarantine rows with a price, mark or best level further than `max_jump` from their symbol's last mid.

    The last mid is that of the last accepted L1 update; before the first one nothing is a jump. Two jumps of a symbol without an
    accepted row of it between them reject the file: either the price has moved for good or the data are another market's. A row
    that has an earlier reason is not judged; JUMP stands before BOOK_UNLIKE_QUOTES.

    Args:
        events: in merged order, each row with its *own* prices (a trade's and a mark in both columns); `fault` is written.
        max_jump: a ratio in 1e-8.
        place: index of an event and side (0 bid, 1 ask) -> file, row, column and value, for the error.
        state: `no_jumps` before the first row; brought up to the last.

    Raises:
        InputFault: two jumps in a row.
    """
    row = _mark_jumps(events.symbol, events.kind, events.fault, events.bid_px, events.ask_px, max_jump, state)
    if row >= 0:
        mid2, limit = (int(number) for number in state[events.symbol[row], 2:4])
        side = 0 if _far(int(events.bid_px[row]), mid2, limit) else 1
        file, at, column, value = place(int(row), side)
        cure = (
            f"further than max_jump {format_units(max_jump, '0.00000001')} from the symbol's last mid, {format_units(mid2, '0.5')} "
            "ticks: raise max_jump if the price really moved, or cut the data before the jump"
        )
        raise InputFault("second price jump in a row", file=file, row=at, column=column, value=value, cure=cure)


@kernel
def _mark_jumps(symbol: Ints, kind: Ints, fault: Ints, bid_px: Ints, ask_px: Ints, max_jump: int, state: Ints) -> int:
    """The row of the second jump in a row, or -1. `state` as in `no_jumps`."""
    for i in range(len(symbol)):
        if fault[i] != 0 and fault[i] != _UNLIKE:
            continue
        s = symbol[i]
        mid2, limit = state[s, 2], state[s, 3]
        if mid2 > 0 and (_far(bid_px[i], mid2, limit) or _far(ask_px[i], mid2, limit)):
            if state[s, 4] == 1:
                return i
            state[s, 4] = 1
            fault[i] = _JUMP
        elif fault[i] == 0:
            state[s, 4] = 0
            if kind[i] != _FUNDING and kind[i] != _TRADES:
                bid, ask = both_prices(bid_px[i], ask_px[i], state[s, 0], state[s, 1])
                state[s, 0], state[s, 1] = bid, ask
                if bid + ask != mid2:
                    state[s, 2], state[s, 3] = bid + ask, mul_div_floor(bid + ask, max_jump, 100_000_000)
    return -1


@kernel
def _far(px: int, mid2: int, limit: int) -> bool:
    """`abs(2*px - mid2) > limit` half ticks, `limit` being `floor(mid2 * max_jump / 1e8)`: exact, since the left side is whole."""
    return px > 0 and abs(2 * px - mid2) > limit


# Files: wrong shape, nothing in them


def _reject_ragged(columns: Columns, file: object) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputFault("columns of unequal length", file=file, value=lengths, cure="give every column one value a row")


def _reject_empty(columns: Columns, file: object) -> None:
    if len(columns["ts"]) == 0:
        raise InputFault("no_ticks: it holds not one row", file=file, cure="leave the stream out, or fetch the file again")


# L2: unsorted, duplicate level, best level unlike every quote at the same ts


def _reject_levels(columns: Columns, top_n: int, file: object) -> None:
    """Levels go from the best outward, each once; after a missing one (price and quantity 0) there is none."""
    for side, sign in (("bid", -1), ("ask", 1)):
        for i in range(top_n):
            name = f"{side}_px_{i}"
            here = columns[name]
            nowhere = (here == 0) & (columns[f"{side}_qty_{i}"] != 0)
            cure = f"a level that is missing has price and quantity 0; the nearest legal price is 1, {side}_qty_{i} is not 0"
            _reject("a quantity without a price", nowhere, name, columns, file, cure)
            if i:
                before = columns[f"{side}_px_{i - 1}"]
                wrong = (here != 0) & ((before == 0) | (here <= before if sign > 0 else here >= before))
                _reject("book levels unsorted or twice", wrong, name, columns, file, "levels go from the best outward, each once")


def _unlike(books: Columns, quotes: Columns) -> Flags:
    """Books at whose time there are quotes of their symbol, but none with their best prices; of a one-sided book the one it has."""
    near = np.isin(quotes["ts"], books["ts"])
    seen = {name: quotes[name][near] for name in ("ts", "symbol", "bid_px", "ask_px")}
    mine = {"ts": books["ts"], "symbol": books["symbol"], "bid_px": books["bid_px_0"], "ask_px": books["ask_px_0"]}
    agree = _occurs(mine, seen, ("ts", "symbol", "bid_px", "ask_px"))
    for side, other in (("bid_px", "ask_px"), ("ask_px", "bid_px")):
        alone = mine[side] == 0
        if alone.any():
            agree |= alone & _occurs(mine, seen, ("ts", "symbol", other))
    return _occurs(mine, seen, ("ts", "symbol")) & ~agree


def _occurs(rows: Columns, among: Columns, names: Sequence[str]) -> Flags:
    """Which of `rows` are equal to one of `among` in these columns."""
    split = len(among[names[0]])
    keys = [np.concatenate([among[name], rows[name]]) for name in names]
    order = np.lexsort(keys[::-1])
    new = np.zeros(len(order), bool)
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new)
    known = np.zeros(len(order), bool)
    known[group[:split]] = True
    found: Flags = known[group[split:]]
    return found


# The count


def quarantined(events: Events) -> dict[str, int]:
    """How many rows are quarantined, by `stream.reason`, in the order of the streams and of SPEC's reasons; none is left out."""
    counts: dict[str, int] = {}
    for stream in Stream:
        faults = events.fault[events.kind == stream]
        counts |= {f"{stream.name}.{fault.name}".lower(): int(np.count_nonzero(faults == fault + 1)) for fault in Fault}
    return {name: count for name, count in counts.items() if count}
