"""All streams as one sequence of events in the order (ts, stream rank, symbol, row), the L1 state carried forward (SPEC 2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grinder._jit import kernel
from grinder.data.commands import insert_commands
from grinder.data.validation import Columns, both_prices, mark_jumps, no_jumps, one_sided
from grinder.records import COMMAND, FAR, FUNDING, Events, Stream

__all__ = ["Carried", "merge"]

_FUNDING: Final = int(Stream.FUNDING)
_BOOKS: Final = int(Stream.BOOKS)
_TRADES: Final = int(Stream.TRADES)
_L1: Final = ("bid_px", "bid_qty", "ask_px", "ask_qty")
_OWN: Final[dict[str, tuple[str, ...]]] = {
    "quotes": _L1,
    "books": tuple(f"{name}_0" for name in _L1),
    "trades": ("px", "qty", "px", "qty"),
    "funding": ("mark_px", "rate", "mark_px", "rate"),
}
"""What a row of a stream says of prices, while jumps are looked for; trades and funding lose it again: they leave L1 alone."""


class Carried(NamedTuple):
    """What is carried from one piece of a stream of quotes to the next.

    Args:
        jumps: as in `no_jumps`. l1: int64 (S, 4), each symbol's L1 state; 0 before its first L1 update.
    """

    jumps: NDArray[Any]
    l1: NDArray[Any]

    @classmethod
    def start(cls, symbols: int) -> Carried:
        """Before the first row."""
        return cls(no_jumps(symbols), np.zeros((symbols, 4), np.int64))


def merge(
    streams: Mapping[str, Columns],
    faults: Mapping[str, NDArray[np.int8]],
    symbols: int,
    files: Mapping[str, object],
    max_jump: int,
    carried: Carried | None = None,
) -> Events:
    """Merge streams that `check_stream` has passed, quarantine price jumps and carry each symbol's L1 state forward.

    Args:
        streams: canonical columns by stream, market data among them. faults: of their rows, from `check_stream`.
        symbols: how many there are. files: what errors name, by stream. max_jump: ratio in 1e-8.
        carried: of the pieces before this one, brought up to its end; a piece holds all rows of its times and symbols.

    Raises:
        InputFault: two price jumps in a row.
    """
    names = sorted(streams.keys() - {"commands"}, key=lambda stream: Stream[stream.upper()])
    orders = [_order(streams[name]) for name in names]
    kind, places = _interleave_streams(names, streams)

    def gather(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """One column of all streams in merged order; of a single ordered stream the very array."""
        parts = [column if order is None else column[order] for column, order in zip(values, orders, strict=True)]
        if len(parts) == 1:
            return parts[0]
        out = np.empty(len(kind), parts[0].dtype)
        for part, place in zip(parts, places, strict=True):
            out[place] = part
        return out

    l1 = {column: gather([streams[name][_OWN[name][i]] for name in names]) for i, column in enumerate(_L1)}
    fault = gather([faults[name] for name in names]).copy()
    symbol = gather([streams[name]["symbol"].astype(np.int16) for name in names])
    ts = gather([streams[name]["ts"] for name in names])
    rows, books = _books(streams, kind, orders[names.index("books")] if "books" in streams else None)
    said = {"funding": _funding(streams, kind, orders[0]), "commands": np.zeros(0, COMMAND)}
    events = Events(ts, symbol, kind, fault, **l1, **said, one_sided=rows[:0], book_rows=rows, books=books)

    def place(i: int, side: int) -> tuple[object, int, str, int]:
        k = names.index(Stream(int(kind[i])).name.lower())
        nth = int(np.count_nonzero(kind[:i] == kind[i]))
        order = orders[k]
        row = nth if order is None else int(order[nth])
        column = _OWN[names[k]][2 * side]
        return files[names[k]], row, column, int(streams[names[k]][column][row])

    state = carried or Carried.start(symbols)
    mark_jumps(events, max_jump, place, state.jumps)
    if fault.any() or not {"quotes"}.issuperset(names):
        events = events._replace(**{name: values.copy() if len(names) == 1 else values for name, values in l1.items()})
        _carry(events, state.l1)  # on copies: one stream's columns are the caller's own
    elif carried is not None:
        _note_last(events, state.l1)
    events = events._replace(one_sided=one_sided(events.bid_qty, events.ask_qty))
    return insert_commands(events, streams["commands"]) if "commands" in streams else events


def _order(columns: Columns) -> NDArray[np.int64] | None:
    """Rows by (ts, symbol, row); None where they stand so already."""
    ts, symbol = columns["ts"], columns["symbol"]
    if not ((ts[1:] == ts[:-1]) & (symbol[1:] < symbol[:-1])).any():
        return None
    return np.lexsort((symbol, ts))


def _interleave_streams(names: Sequence[str], streams: Mapping[str, Columns]) -> tuple[NDArray[np.int8], list[NDArray[np.int64]]]:
    """The stream of each event, and the events of each stream."""
    ranks = np.array([int(Stream[name.upper()]) for name in names])
    lengths = np.array([len(streams[name]["ts"]) for name in names])
    kind = np.full(int(lengths.sum()), ranks[0], np.int8)
    if len(names) == 1:
        return kind, []
    ends = np.cumsum(lengths)  # an order by symbol at equal times leaves `ts` as it is
    _interleave(np.concatenate([streams[name]["ts"] for name in names]), ends - lengths, ends, ranks, kind)
    return kind, [np.flatnonzero(kind == rank) for rank in ranks]


@kernel
def _interleave(ts: NDArray[Any], heads: NDArray[Any], ends: NDArray[Any], ranks: NDArray[Any], kind: NDArray[Any]) -> None:
    """Merge streams that lie one after the other in `ts`, lowest rank first; at equal times the lower rank comes first."""
    for i in range(len(ts)):
        best = -1
        for k in range(len(heads)):
            if heads[k] < ends[k] and (best < 0 or ts[heads[k]] < ts[heads[best]]):
                best = k
        heads[best] += 1
        kind[i] = ranks[best]


def _funding(streams: Mapping[str, Columns], kind: NDArray[np.int8], order: NDArray[np.int64] | None) -> NDArray[Any]:
    """Funding's own numbers by row of the merged events; it is the first stream, so `order` is its order."""
    if "funding" not in streams:
        return np.zeros(0, FUNDING)
    rows = np.flatnonzero(kind == _FUNDING)
    out = np.zeros(len(rows), FUNDING)
    out["row"] = rows
    for name in ("rate", "mark_px"):
        values = streams["funding"][name]
        out[name] = values if order is None else values[order]
    return out


def _books(
    streams: Mapping[str, Columns], kind: NDArray[np.int8], order: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the merged events that are books, and their levels."""
    if "books" not in streams:
        return np.zeros(0, np.int64), np.zeros((0, 4, 1), np.int64)
    columns = streams["books"]
    depth = sum(1 for name in columns if name.startswith("bid_px_"))
    out = np.empty((len(columns["ts"]), 4, depth), np.int64)
    for i, name in enumerate(_L1):
        for level in range(depth):
            values = columns[f"{name}_{level}"]
            out[:, i, level] = values if order is None else values[order]
    return np.flatnonzero(kind == _BOOKS), out


@kernel
def _carry(events: Events, last: NDArray[Any]) -> None:
    """Give trades, funding and quarantined rows the L1 state that their symbol has then; 0 before its first L1 update."""
    for i in range(len(events.ts)):
        s = events.symbol[i]
        if events.fault[i] == 0 and events.kind[i] != _FUNDING and events.kind[i] != _TRADES:
            last_bid = last[s, 0] if last[s, 0] > 0 else FAR
            last[s, 0], last[s, 2] = both_prices(events.bid_px[i], events.ask_px[i], last_bid, last[s, 2])
            last[s, 1], last[s, 3] = events.bid_qty[i], events.ask_qty[i]
        events.bid_px[i], events.bid_qty[i] = last[s, 0], last[s, 1]
        events.ask_px[i], events.ask_qty[i] = last[s, 2], last[s, 3]


@kernel
def _note_last(events: Events, last: NDArray[Any]) -> None:
    """What `_carry` leaves in `last` where every row is an accepted quote."""
    for i in range(len(events.ts)):
        s = events.symbol[i]
        last[s, 0], last[s, 1], last[s, 2], last[s, 3] = events.bid_px[i], events.bid_qty[i], events.ask_px[i], events.ask_qty[i]
