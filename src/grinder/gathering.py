"""What plots and metrics ask of the market, gathered in one pass over data that are not held in memory.

The same as `Run.prices` and `Run.fill_mids` take from events in memory, except that extremes are by stretches of all events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from grinder.metrics import HORIZONS, NS
from grinder.records import FAR, Events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grinder.data.fixture import Fixture

__all__ = ["extremes", "mids_after"]

SIZE: Final = 1 << 20
"""Events looked at a time."""


def _pieces(data: Fixture, stop: int) -> Iterator[tuple[int, Events]]:
    """Events [0, stop) piece by piece: the index of the first, the piece."""
    for stretch in data.stretches(0, stop, SIZE, 0, False):
        first = stretch.at
        yield (
            stretch.base + first,
            stretch.events._replace(
                **{name: getattr(stretch.events, name)[first:] for name in ("ts", "symbol", "bid_px", "ask_px")}
            ),
        )


def extremes(data: Fixture, stop: int, stretches: int) -> np.ndarray:
    """Extremes of each symbol's mid in at most so many stretches of the first `stop` events, as in `Run.prices`.

    Returns:
        int64 (n, 4): symbol, ts of its first event in the stretch, lowest and highest mid2; by symbol, then time.
    """
    symbols, width = len(data.instruments), max(1, -(-stop // stretches))
    found = np.zeros((symbols, stretches, 3), np.int64)
    found[:, :, 1], found[:, :, 2] = 2 * FAR, -2 * FAR
    for base, events in _pieces(data, stop):
        mid2 = events.bid_px + events.ask_px
        for s in range(symbols):
            mine = np.flatnonzero((events.symbol == s) & (events.ask_px > 0))
            if not len(mine):
                continue
            places = (base + mine) // width
            starts = np.flatnonzero(np.diff(places, prepend=-1))
            at = found[s, places[starts]]
            at[:, 0] = np.where(at[:, 0] == 0, events.ts[mine[starts]], at[:, 0])
            at[:, 1] = np.minimum(at[:, 1], np.minimum.reduceat(mid2[mine], starts))
            at[:, 2] = np.maximum(at[:, 2], np.maximum.reduceat(mid2[mine], starts))
            found[s, places[starts]] = at
    symbol, place = np.nonzero(found[:, :, 0])
    return np.concatenate([symbol[:, np.newaxis], found[symbol, place]], axis=1)


def mids_after(data: Fixture, stop: int, fills: np.ndarray) -> np.ndarray:
    """mid2 at each fill and at each of `HORIZONS` after it, as `metrics.fill_mids` has them of the first `stop` events."""
    out = np.zeros((len(fills), 1 + len(HORIZONS)), np.int64)
    if len(fills) == 0:
        return out
    then = fills["ts"][:, np.newaxis] + np.array(HORIZONS) * NS
    asked = [np.flatnonzero(fills["symbol"] == s) for s in range(len(data.instruments))]
    order = [[mine[np.argsort(then[mine, k], kind="stable")] for k in range(len(HORIZONS))] for mine in asked]
    done = np.zeros((len(asked), len(HORIZONS)), np.int64)
    last = np.zeros(len(asked), np.int64)
    for base, events in _pieces(data, stop):
        rows = np.flatnonzero((fills["event"] >= base) & (fills["event"] < base + len(events.ts)))
        at = fills["event"][rows] - base
        mid2, final = events.bid_px + events.ask_px, base + len(events.ts) >= stop
        out[rows, 0] = mid2[at]
        for s in range(len(asked)):
            mine = np.flatnonzero(events.symbol == s)
            times, known = events.ts[mine], np.concatenate([last[s : s + 1], mid2[mine]])
            for k in range(len(HORIZONS)):
                due = order[s][k][done[s, k] :]
                # rows of its last time may go on in the next piece, but for the last one
                due = due[: np.searchsorted(then[due, k], events.ts[-1], side="right" if final else "left")]
                out[due, 1 + k] = known[np.searchsorted(times, then[due, k], side="right")]
                done[s, k] += len(due)
            last[s] = known[-1]
    return out
