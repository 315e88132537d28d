"""What SPEC 2.2 says of rows, in plain Python, sharing no code with the loader: the oracle of the mutation lane.

`judge` takes columns as lists of Python integers and returns why they must be rejected, or the events a replay has to see.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import Any

RANKS = {"funding": 0, "books": 1, "quotes": 2, "trades": 3, "commands": 4}
PORTFOLIO_COMMANDS = (2, 3)  # kill, reset
DUPLICATE, CROSSED, NO_SIZE, JUMP, UNLIKE = range(1, 6)
REASONS = {DUPLICATE: "duplicate", CROSSED: "crossed", NO_SIZE: "no_size", JUMP: "jump", UNLIKE: "book_unlike_quotes"}
FROM, TO = 1_230_768_000 * 10**9, 4_102_444_800 * 10**9
Columns = dict[str, list[int]]


class Rejected(Exception):
    """The file has to be refused, and why."""


def judge(streams: dict[str, Columns], perpetual: list[bool], max_jump: Fraction) -> list[tuple[int, ...]]:
    """Events (ts, symbol, rank, fault, bid, bid quantity, ask, ask quantity) in merged order; fault 0: accepted.

    Args:
        perpetual: for each symbol, whether it has funding. max_jump: 1/5 is 20 %.

    Raises:
        Rejected: SPEC 2.2 refuses the data.
    """
    if not streams:
        raise Rejected("no stream")
    faults = {name: _faults(name, columns, streams, len(perpetual)) for name, columns in streams.items()}
    if "funding" in streams and not all(perpetual[s] for s in streams["funding"]["symbol"]):
        raise Rejected("funding of a spot")
    order = sorted(
        (columns["ts"][row], RANKS[name], columns["symbol"][row], row, name)
        for name, columns in streams.items()
        for row in range(len(columns["ts"]))
    )
    state: dict[int, list[int]] = {}
    jumped: set[int] = set()
    events = []
    for ts, rank, s, row, name in order:
        fault = faults[name][row]
        prices = _prices(name, streams[name], row)
        if name == "commands":
            fault = 0  # and no price, and nothing that comes between two jumps
        elif fault in (0, UNLIKE):
            mid2 = state[s][0] + state[s][2] if s in state else 0  # in integers: a Fraction a row took most of a case's time
            if s in state and any(abs(2 * px - mid2) * max_jump.denominator > max_jump.numerator * mid2 for px in prices):
                if s in jumped:
                    raise Rejected(f"second jump at {name} {row}")
                jumped.add(s)
                fault = JUMP
            elif fault == 0:
                jumped.discard(s)
        if fault == 0 and name in ("books", "quotes"):
            state[s] = _l1(name, streams[name], row, state.get(s))
        events.append((ts, max(s, 0), rank, fault, *state.get(max(s, 0), [0, 0, 0, 0])))
    if len(state) < len(perpetual):
        raise Rejected("a symbol without an accepted quote or book")
    return events


def counts(events: list[tuple[int, ...]]) -> dict[str, int]:
    """How many rows are quarantined, by `stream.reason`."""
    names = {rank: name for name, rank in RANKS.items()}
    out: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event[2:4]):
        if event[3]:
            key = f"{names[event[2]]}.{REASONS[event[3]]}"
            out[key] = out.get(key, 0) + 1
    return out


def content_hash(streams: dict[str, Columns], instruments: list[dict[str, Any]]) -> str:
    """The content hash of SPEC 2.3 over instruments in ASCII order of symbol and each stream's columns."""
    parts = {}
    for name in sorted(streams):
        h, order = hashlib.sha256(), list(range(len(streams[name]["ts"])))
        if name == "commands":  # in the order in which they act
            order.sort(key=lambda row: (streams["commands"]["ts"][row], streams["commands"]["symbol"][row]))
        for column in _canonical(name, streams[name]):
            values = [streams[name][column][row] for row in order]
            h.update(f"{column}\0{len(values)}\0".encode() + b"".join(value.to_bytes(8, "little", signed=True) for value in values))
        parts[name] = {"rows": len(streams[name]["ts"]), "sha256": h.hexdigest()}
    text = json.dumps({"instruments": instruments, "streams": parts}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(name: str, columns: Columns) -> list[str]:
    if name != "books":
        own = {"funding": "rate mark_px", "quotes": "bid_px bid_qty ask_px ask_qty", "trades": "id px qty aggressor"}
        own = (own | {"commands": "command"})[name]
        return ["ts", "symbol", *own.split()]
    depth = _depth(columns)
    return ["ts", "symbol", *[f"{side}_{what}_{i}" for i in range(depth) for side in ("bid", "ask") for what in ("px", "qty")]]


def _depth(columns: Columns) -> int:
    return len([name for name in columns if name.startswith("ask_qty_")])


def _faults(name: str, columns: Columns, streams: dict[str, Columns], symbols: int) -> list[int]:
    rows = len(columns["ts"])
    if rows == 0:
        raise Rejected(f"{name} is empty")
    for row in range(rows):
        if not FROM <= columns["ts"][row] < TO:
            raise Rejected(f"{name} {row}: time out of range")
        if row and columns["ts"][row] < columns["ts"][row - 1]:
            raise Rejected(f"{name} {row}: times fall")
        if not (-1 if name == "commands" else 0) <= columns["symbol"][row] < symbols:
            raise Rejected(f"{name} {row}: no such symbol")
        _check_numbers(name, columns, row)
    crossed = [_crossed(name, columns, row) for row in range(rows)]
    if 1000 * sum(crossed) > rows:
        raise Rejected(f"{name}: {sum(crossed)} of {rows} crossed")
    repeated = _repeated(name, columns)
    out = []
    for row in range(rows):
        fault = DUPLICATE if repeated[row] else CROSSED if crossed[row] else 0
        if not fault and name in ("books", "quotes") and _sizes(name, columns, row) == (0, 0):
            fault = NO_SIZE
        if not fault and name == "books" and "quotes" in streams and _is_unlike(columns, row, streams["quotes"]):
            fault = UNLIKE
        out.append(fault)
    return out


def _check_numbers(name: str, columns: Columns, row: int) -> None:
    def within(column: str, low: int, high: int) -> None:
        if not low <= columns[column][row] <= high:
            raise Rejected(f"{name} {row}: {column} = {columns[column][row]}")

    if name == "funding":
        within("rate", -(10**8), 10**8)
        within("mark_px", 1, 2**35)
    elif name == "commands":
        within("command", 0, 4)
        if columns["command"][row] in PORTFOLIO_COMMANDS and columns["symbol"][row] != -1:
            raise Rejected(f"commands {row}: {columns['command'][row]} to one symbol")
    elif name == "trades":
        within("px", 1, 2**35)
        within("qty", 1, 2**31)
        within("aggressor", -1, 1)
    elif name == "quotes":
        for side in ("bid", "ask"):
            within(f"{side}_px", 1, 2**35)
            within(f"{side}_qty", 0, 2**31)
    else:
        for side in ("bid", "ask"):
            prices = []
            for level in range(_depth(columns)):
                within(f"{side}_px_{level}", 0, 2**35)
                within(f"{side}_qty_{level}", 0, 2**31)
                px, qty = columns[f"{side}_px_{level}"][row], columns[f"{side}_qty_{level}"][row]
                if px == 0 and qty != 0:
                    raise Rejected(f"books {row}: quantity without price")
                prices.append(px)
            there = [px for px in prices if px]
            if prices != there + [0] * (len(prices) - len(there)) or there != sorted(set(there), reverse=side == "bid"):
                raise Rejected(f"books {row}: {side} levels {prices}")


def _top(name: str, columns: Columns, row: int) -> tuple[int, int, int, int]:
    suffix = "_0" if name == "books" else ""
    bid, bid_qty, ask, ask_qty = (columns[f"{column}{suffix}"][row] for column in ("bid_px", "bid_qty", "ask_px", "ask_qty"))
    return bid, bid_qty, ask, ask_qty


def _sizes(name: str, columns: Columns, row: int) -> tuple[int, int]:
    _, bid_qty, _, ask_qty = _top(name, columns, row)
    return bid_qty, ask_qty


def _prices(name: str, columns: Columns, row: int) -> list[int]:
    """The prices that can jump: those that are there."""
    if name == "funding":
        return [columns["mark_px"][row]]
    if name == "trades":
        return [columns["px"][row]]
    if name == "commands":
        return []
    bid, _, ask, _ = _top(name, columns, row)
    return [px for px in (bid, ask) if px]


def _crossed(name: str, columns: Columns, row: int) -> bool:
    if name not in ("books", "quotes"):
        return False
    bid, _, ask, _ = _top(name, columns, row)
    return ask != 0 and bid > ask


def _repeated(name: str, columns: Columns) -> list[bool]:
    seen: set[Any] = set()
    last: dict[int, Any] = {}
    out = []
    for row in range(len(columns["ts"])):
        s = columns["symbol"][row]
        if name == "commands":
            out.append(False)
        elif name == "trades":
            key = (s, columns["id"][row])
            out.append(key in seen)
            seen.add(key)
        else:
            whole = tuple(columns[column][row] for column in _canonical(name, columns))
            out.append(last.get(s) == whole)
            last[s] = whole
    return out


def _is_unlike(books: Columns, row: int, quotes: Columns) -> bool:
    bid, _, ask, _ = _top("books", books, row)
    now = [
        j for j in range(len(quotes["ts"])) if quotes["ts"][j] == books["ts"][row] and quotes["symbol"][j] == books["symbol"][row]
    ]
    like = [j for j in now if bid in (0, quotes["bid_px"][j]) and ask in (0, quotes["ask_px"][j])]
    return bool(now) and not like


def _l1(name: str, columns: Columns, row: int, before: list[int] | None) -> list[int]:
    """The symbol's L1 state after an update; a missing side keeps its price, but not past the other side."""
    bid, bid_qty, ask, ask_qty = _top(name, columns, row)
    if not bid:
        bid = ask if before is None or before[0] > ask else before[0]
    elif not ask:
        ask = bid if before is None or before[2] < bid else before[2]
    return [bid, bid_qty, ask, ask_qty]
