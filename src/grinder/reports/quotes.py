"""The price of a symbol in a page: lowest and highest mid of short stretches of the whole run, and quotes where something happened.

Of millions of quotes a page of a few megabytes cannot hold each. It holds the extremes of every stretch, so that none is hidden at
any zoom, and every change of bid or ask around fills, regimes and plans: as far around them as the room allows, which is the whole
run where there are few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from grinder.gathering import extremes
from grinder.records import Events
from grinder.reports.encoding import column

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = ["BUCKETS", "ROWS", "Buckets", "buckets_of", "changes", "prices", "spans_around", "start_of"]

BUCKETS: Final = 1 << 18
"""Stretches of time of which lowest and highest mid are kept, of all symbols together."""
LEAST: Final = 256
"""Stretches of a symbol, however few its quotes."""
QUOTES_A_BUCKET: Final = 4
"""Changes of price from which a stretch is worth its room."""
ROWS: Final = 400_000
"""Changes of bid or ask kept one by one, of all symbols together."""
US: Final = 1000


class Buckets(NamedTuple):
    """Lowest and highest mid of stretches of equal length, one behind another, half ticks; what was so at its start counts."""

    first: int
    """the stretch in which the first price is: none before it has one"""
    width: int
    """ns, whole microseconds"""
    low: np.ndarray
    high: np.ndarray


def prices(run: Run) -> list[dict[str, Any]]:
    """Of each symbol what a page draws of its price; times in microseconds from `start_of(run)`, cut."""
    if run.market is None:
        known = extremes(run.source[0], run.events, BUCKETS // len(run.symbols)) if run.source else run.prices
        return [_of_extremes(run, s, known) for s in range(len(run.symbols))]
    quotes = [changes(run.market, s) for s in range(len(run.symbols))]
    whole = max(1, sum(len(ts) for ts, _, _ in quotes))
    return [_of_quotes(run, s, mine, whole) for s, mine in enumerate(quotes)]


def start_of(run: Run) -> int:
    """The time from which a page counts, ns: that of the first event, cut to a microsecond."""
    return run.first_ts // US * US


def changes(market: Events, s: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, bids and asks of a symbol's events that changed one of the two, from its first price on; ns and ticks."""
    mine = np.flatnonzero((market.symbol == s) & (market.ask_px > 0))
    bid, ask = market.bid_px[mine], market.ask_px[mine]
    new = np.ones(len(mine), bool)
    new[1:] = (np.diff(bid) != 0) | (np.diff(ask) != 0)
    return market.ts[mine[new]], bid[new], ask[new]


def _of_quotes(run: Run, s: int, quotes: tuple[np.ndarray, np.ndarray, np.ndarray], whole: int) -> dict[str, Any]:
    """Of one symbol: of the room that all symbols share it has its part of their `whole` changes."""
    ts, bid, ask = quotes
    start = start_of(run)
    count = max(LEAST, min(len(ts) // QUOTES_A_BUCKET, BUCKETS * len(ts) // whole))
    made = _written(buckets_of(ts, bid + ask, bid + ask, start, run.last_ts, count))
    spans = spans_around(ts, _moments(run, s), ROWS * len(ts) // whole, run.first_ts, run.last_ts)
    rows = _rows_in(ts, spans)
    us = (ts[rows] - start) // US
    made["spans"] = column((spans.reshape(-1) - start) // US)
    made["quotes"] = {"t": column(us), "bid": column(bid[rows]), "spread": column(ask[rows] - bid[rows], 0)}
    return made | {"changes": len(ts), "kept": len(rows), "source": "quotes"}


def _of_extremes(run: Run, s: int, rows: np.ndarray) -> dict[str, Any]:
    """Of a run that holds no quotes: extremes of stretches of events, those that it keeps or those of what it replayed."""
    rows = rows[rows[:, 0] == s]
    start = start_of(run)
    made = _written(buckets_of(rows[:, 1], rows[:, 2], rows[:, 3], start, run.last_ts, max(LEAST, len(rows))))
    empty = np.zeros(0, np.int64)
    made["spans"] = column(empty)
    made["quotes"] = {"t": column(empty), "bid": column(empty), "spread": column(empty, 0)}
    return made | {"changes": 0, "kept": 0, "source": "extremes"}


def _written(made: Buckets) -> dict[str, Any]:
    return {
        "first": made.first,
        "width": made.width // US,
        "low": column(made.low),
        "height": column(made.high - made.low, 0),
    }


def buckets_of(ts: np.ndarray, low: np.ndarray, high: np.ndarray, start: int, end: int, count: int) -> Buckets:
    """Lowest and highest value in stretches of equal length from `start` to beyond `end`.

    A value holds until the next, so that the one before a stretch counts in it.

    Args:
        ts, low, high: int64, (n,), `ts` ascending, none before `start`. count: stretches, about.
    """
    width = max(US, -(-(end - start + 1) // count // US) * US)
    total = (end - start) // width + 1
    if not len(ts):
        return Buckets(total, width, np.zeros(0, np.int64), np.zeros(0, np.int64))
    edges = np.searchsorted(ts, start + width * np.arange(total + 1, dtype=np.int64), side="left")
    first = int((ts[0] - start) // width)
    begin, stop = np.maximum(edges[first:-1] - 1, 0), edges[first + 1 :]
    pairs = np.stack([begin, stop], 1).reshape(-1)
    lowest = np.minimum.reduceat(np.append(low, low[-1]), pairs)[::2]
    highest = np.maximum.reduceat(np.append(high, high[-1]), pairs)[::2]
    return Buckets(first, width, lowest.astype(np.int64), highest.astype(np.int64))


def _moments(run: Run, s: int) -> np.ndarray:
    """Times at which something happened to a symbol that a reader looks at closely, ns, ascending."""
    parts = [table["ts"][table["symbol"] == s] for table in (run.fills, run.plans, run.regimes)]
    return np.unique(np.concatenate(parts))


def spans_around(ts: np.ndarray, moments: np.ndarray, room: int, start: int, end: int) -> np.ndarray:
    """Stretches of time around moments, as long as rows in them fit into the room: int64 (k, 2), from and to, both included, ns.

    The whole run is one stretch where all rows fit; where not even the moments' own do there is none.
    """
    if len(ts) <= room:
        return np.array([[start, end]], np.int64)
    least, most = 0, end - start
    if not len(moments) or _count(ts, _around(moments, 0, start, end)) > room:
        return np.zeros((0, 2), np.int64)
    while least < most:
        reach = (least + most + 1) // 2
        if _count(ts, _around(moments, reach, start, end)) <= room:
            least = reach
        else:
            most = reach - 1
    return _around(moments, least, start, end)


def _around(moments: np.ndarray, reach: int, start: int, end: int) -> np.ndarray:
    """From `reach` before to `reach` after each moment, those that touch joined."""
    apart = np.flatnonzero(np.diff(moments) > 2 * reach)
    first = np.concatenate([moments[:1], moments[apart + 1]])
    last = np.concatenate([moments[apart], moments[-1:]])
    return np.stack([np.maximum(first - reach, start), np.minimum(last + reach, end)], 1)


def _places(ts: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """First row and the row after the last of each span: with the one before it, which holds at its beginning."""
    begin = np.maximum(np.searchsorted(ts, spans[:, 0], side="right") - 1, 0)
    return np.stack([begin, np.searchsorted(ts, spans[:, 1], side="right")], 1)


def _count(ts: np.ndarray, spans: np.ndarray) -> int:
    return int(np.diff(_places(ts, spans), axis=1).sum())


def _rows_in(ts: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Rows of all spans, each once, ascending."""
    inside = np.zeros(len(ts) + 1, np.int64)
    places = _places(ts, spans)
    np.add.at(inside, places[:, 0], 1)
    np.add.at(inside, places[:, 1], -1)
    return np.flatnonzero(np.cumsum(inside[:-1]) > 0)
