"""Where a stretch of events can matter: extremes of each symbol's mid by blocks of BLOCK rows (DESIGN 1).

`observe` folds whole blocks into bars, `act` skips the blocks in which no order or trip can be touched. A replay with gates asks
for extremes of spreads and sizes too. The index only says where to look; what happens at a row is decided at the row.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from grinder._jit import kernel
from grinder.records import FAR, INDEX, NEVER, QUIET, Events, Stream

__all__ = [
    "BLOCK",
    "FEW",
    "QUARTER",
    "empty_index",
    "empty_quiet",
    "first_due",
    "is_odd",
    "is_tick",
    "last_book",
    "last_row",
    "make_both",
    "make_index",
    "next_odd",
    "next_tick",
    "rows_until",
]

BLOCK: Final = 128
QUARTER: Final = BLOCK // 4
FEW: Final = 4
"""Rows of a quarter whose sizes are looked at, mostly in one line of memory."""
_FUNDING: Final = int(Stream.FUNDING)
_COMMANDS: Final = int(Stream.COMMANDS)
_BOOKS: Final = int(Stream.BOOKS)
_QUOTES: Final = int(Stream.QUOTES)


def empty_index(symbols: int, rows: int) -> np.ndarray:
    """INDEX (S, B) with room for `rows` rows of events."""
    return np.zeros((symbols, -(-rows // BLOCK)), INDEX)


def empty_quiet(symbols: int, rows: int) -> np.ndarray:
    """QUIET (S, B) with room for `rows` rows of events."""
    return np.zeros((symbols, -(-rows // BLOCK)), QUIET)


@kernel
def is_tick(kind, fault):
    """Whether a row is an accepted L1 update."""
    return fault == 0 and (kind == _QUOTES or kind == _BOOKS)


@kernel
def is_odd(kind, fault):
    """Whether a row is quarantined, funding or a command, which `observe` looks at one by one."""
    return fault != 0 or kind == _FUNDING or kind == _COMMANDS


@kernel
def make_index(events: Events, index):
    """Fill the index of a stretch of events."""
    rows, whole = len(events.ts), 0
    if index.shape[0] == 1:
        whole = rows // BLOCK
        _index_blocks(events.kind, events.fault, events.bid_px, events.ask_px, index, whole)
    for b in range(whole, (rows + BLOCK - 1) // BLOCK):
        _index_rows(events, index, b, min(rows, (b + 1) * BLOCK))


@kernel
def _index_blocks(kind, fault, bid, ask, index, blocks):
    """Whole blocks of one symbol: loops of fixed length without branches, which become vector instructions."""
    for b in range(blocks):
        i = b * BLOCK
        low = high = bid[i] + ask[i]
        for k in range(BLOCK):
            mid2 = bid[i + k] + ask[i + k]
            low = mid2 if mid2 < low else low
            high = mid2 if mid2 > high else high
        unlike = 0
        for k in range(BLOCK):
            unlike |= fault[i + k] | (kind[i + k] ^ _QUOTES)
        ticks, odd = BLOCK, 0
        if unlike != 0:  # not all of them are accepted quotes
            ticks, odd = _count_ticks(kind, fault, i), _count_odd(kind, fault, i)
        entry = index[0, b]
        entry["low"], entry["high"], entry["ticks"], entry["odd"] = low, high, ticks, odd
        entry["last"] = i + BLOCK - 1


@kernel
def _count_ticks(kind, fault, i):
    ticks = 0
    for k in range(BLOCK):
        ticks += (fault[i + k] == 0) & ((kind[i + k] == _QUOTES) | (kind[i + k] == _BOOKS))
    return ticks


@kernel
def _count_odd(kind, fault, i):
    odd = 0
    for k in range(BLOCK):
        odd += (fault[i + k] != 0) | (kind[i + k] == _FUNDING) | (kind[i + k] == _COMMANDS)
    return odd


@kernel
def _index_rows(events, index, b, stop):
    for s in range(index.shape[0]):
        entry = index[s, b]
        entry["low"], entry["high"], entry["ticks"], entry["odd"] = 2 * FAR, -2 * FAR, 0, 0
        entry["last"] = index[s, b - 1]["last"] if b > 0 else -1
    for i in range(b * BLOCK, stop):
        entry = index[events.symbol[i], b]
        mid2 = events.bid_px[i] + events.ask_px[i]
        entry["low"], entry["high"] = min(entry["low"], mid2), max(entry["high"], mid2)
        entry["last"] = i
        if is_odd(events.kind[i], events.fault[i]):
            entry["odd"] += 1
        elif is_tick(events.kind[i], events.fault[i]):
            entry["ticks"] += 1


@kernel
def make_both(events: Events, index, quiet):
    """Fill the index of a stretch of events, and extremes of its spreads and sizes: prices are read once, most sizes not at all."""
    rows, whole = len(events.ts), 0
    if quiet.shape[0] == 1:
        whole = rows // BLOCK
        bid, bid_qty, ask, ask_qty = events.bid_px, events.bid_qty, events.ask_px, events.ask_qty
        _both_blocks(events.ts, events.kind, events.fault, bid, bid_qty, ask, ask_qty, index, quiet, whole)
    for b in range(whole, (rows + BLOCK - 1) // BLOCK):
        _index_rows(events, index, b, min(rows, (b + 1) * BLOCK))
        _quiet_rows(events, quiet, b, min(rows, (b + 1) * BLOCK))


@kernel
def _both_blocks(ts, kind, fault, bid, bid_qty, ask, ask_qty, index, quiet, blocks):
    """Whole blocks of one symbol, as in `_index_blocks`; prices first, then a few sizes: memory likes few columns at once."""
    for b in range(blocks):
        i = b * BLOCK
        low = high = bid[i] + ask[i]
        widest = ask[i] - bid[i]
        for k in range(BLOCK):
            mid2, spread = bid[i + k] + ask[i + k], ask[i + k] - bid[i + k]
            low = mid2 if mid2 < low else low
            high = mid2 if mid2 > high else high
            widest = spread if spread > widest else widest
        unlike = 0
        for k in range(BLOCK):
            unlike |= fault[i + k] | (kind[i + k] ^ _QUOTES)
        ticks, odd = BLOCK, 0
        if unlike != 0:  # not all of them are accepted quotes
            ticks, odd = _count_ticks(kind, fault, i), _count_odd(kind, fault, i)
        entry = index[0, b]
        entry["low"], entry["high"], entry["ticks"], entry["odd"] = low, high, ticks, odd
        entry["last"] = i + BLOCK - 1
        quiet[0, b]["widest"] = widest
    for b in range(blocks):
        i, reach_bid, reach_ask, spell = b * BLOCK, NEVER, NEVER, 0
        for q in range(i, i + BLOCK, QUARTER):
            most_bid, most_ask = 0, 0
            for k in range(FEW):
                bids, asks = bid_qty[q + k], ask_qty[q + k]
                most_bid = bids if bids > most_bid else most_bid
                most_ask = asks if asks > most_ask else most_ask
            reach_bid, reach_ask = min(reach_bid, most_bid), min(reach_ask, most_ask)
            spell = max(spell, ts[min(q + QUARTER + FEW, i + BLOCK) - 1] - ts[q])
        entry = quiet[0, b]
        entry["least_bid"], entry["least_ask"] = 0, 0
        entry["reach_bid"], entry["reach_ask"] = reach_bid, reach_ask
        entry["spell"], entry["ended"] = spell, ts[i + BLOCK - QUARTER]


@kernel
def _quiet_rows(events, quiet, b, stop):
    for s in range(quiet.shape[0]):
        entry = quiet[s, b]
        entry["widest"], entry["least_bid"], entry["least_ask"] = 0, NEVER, NEVER
        entry["reach_bid"], entry["reach_ask"], entry["spell"], entry["ended"] = 0, 0, 0, 0
    for i in range(b * BLOCK, stop):
        entry = quiet[events.symbol[i], b]
        entry["widest"] = max(entry["widest"], events.ask_px[i] - events.bid_px[i])
        entry["least_bid"] = min(entry["least_bid"], events.bid_qty[i])
        entry["least_ask"] = min(entry["least_ask"], events.ask_qty[i])


@kernel
def last_row(events, index, s, stop):
    """The symbol's last row before `stop`, whose L1 columns are its state then; -1 if it has none in this stretch."""
    if index.shape[0] == 1 or stop == 0:
        return stop - 1
    symbol = events.symbol
    for i in range(stop - 1, (stop - 1) // BLOCK * BLOCK - 1, -1):
        if symbol[i] == s:
            return i
    b = (stop - 1) // BLOCK
    return index[s, b - 1]["last"] if b > 0 else -1


@kernel
def next_tick(events, index, s, at, stop):
    """The symbol's first accepted L1 update in rows [at, stop), else `stop`."""
    symbol, kind, fault = events.symbol, events.kind, events.fault
    i = at
    while i < stop:
        b = i // BLOCK
        end = min(stop, (b + 1) * BLOCK)
        if index[s, b]["ticks"] > 0:
            while i < end:
                if symbol[i] == s and is_tick(kind[i], fault[i]):
                    return i
                i += 1
        i = end
    return stop


@kernel
def next_odd(events, index, at, stop):
    """The first row in [at, stop) that is quarantined, funding or a command, else `stop`."""
    kind, fault = events.kind, events.fault
    i = at
    while i < stop:
        b = i // BLOCK
        end = min(stop, (b + 1) * BLOCK)
        odd = 0
        for s in range(index.shape[0]):
            odd += index[s, b]["odd"]
        while i < end and odd > 0:
            if is_odd(kind[i], fault[i]):
                return i
            i += 1
        i = end
    return stop


@kernel
def first_due(ts, at, stop, due):
    """First row in [at, stop) at or after `due`, else `stop`.

    Times never fall, and mostly come evenly: gallop, guess by the pace between both ends, gallop from there, bisect. Each
    look is at memory that nothing has read lately, so that what counts is their number.
    """
    if at == stop or due == NEVER or ts[stop - 1] < due:
        return stop
    if ts[at] >= due:
        return at
    low, high = _gallop(ts, at, stop - 1, due)
    guess = low + (due - ts[low]) // ((ts[high] - ts[low]) // (high - low) + 1)
    if ts[guess] < due:
        low, high = _gallop(ts, guess, high, due)
    else:
        low, high = _gallop_back(ts, low, guess, due)
    return _bisect(ts, low, high, due)


@kernel
def rows_until(ts, stop, then):
    """How many of the rows before `stop` are at or before `then`, which is not long before them."""
    if stop == 0 or ts[stop - 1] <= then:
        return stop
    if ts[0] > then:
        return 0
    low, high = _gallop_back(ts, 0, stop - 1, then + 1)
    return _bisect(ts, low, high, then + 1)


@kernel
def _bisect(ts, low, high, due):
    """The first row at or after `due`, given `ts[low] < due <= ts[high]`."""
    while high - low > 1:
        middle = (low + high) // 2
        if ts[middle] < due:
            low = middle
        else:
            high = middle
    return high


@kernel
def _gallop(ts, low, high, due):
    """Narrow `ts[low] < due <= ts[high]` in growing strides from below."""
    width = 8
    while low + width < high and ts[low + width] < due:
        low += width
        width *= 2
    return low, min(high, low + width)


@kernel
def _gallop_back(ts, low, high, due):
    """Narrow `ts[low] < due <= ts[high]` in growing strides from above."""
    width = 8
    while high - width > low and ts[high - width] >= due:
        high -= width
        width *= 2
    return max(low, high - width), high


@kernel
def last_book(events, s, i, oldest):
    """The symbol's last accepted book before row `i` that is not from before `oldest`, as a place in `events.books`, else -1."""
    rows, ts, symbol, fault = events.book_rows, events.ts, events.symbol, events.fault
    k = first_due(rows, 0, len(rows), i) - 1
    while k >= 0 and ts[rows[k]] >= oldest:
        if symbol[rows[k]] == s and fault[rows[k]] == 0:
            return k
        k -= 1
    return -1
