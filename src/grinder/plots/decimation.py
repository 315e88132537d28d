"""Millions of points as a few columns of a picture, of which each keeps its lowest and highest: no extreme is ever hidden."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Columns", "columns_of"]


class Columns(NamedTuple):
    """What stretches of time hold, one row each, in order of time; a stretch without a point has no row. All int64."""

    start: np.ndarray
    """Time of the stretch's first point"""
    first: np.ndarray
    low: np.ndarray
    high: np.ndarray
    last: np.ndarray


def columns_of(ts: np.ndarray, values: np.ndarray, begin: int, end: int, count: int) -> Columns:
    """The points in `count` equal stretches of time, each as its first, lowest, highest and last value.

    The last point before `begin` counts as one at `begin`, for what was so before still is: values hold until the next.

    Args:
        ts, values: int64, (n,), `ts` ascending. begin, end: times, both included.
        count: stretches, at least 1.
    """
    first = int(np.searchsorted(ts, begin, side="left"))
    stop = int(np.searchsorted(ts, end, side="right"))
    held = first > 0 and (first == len(ts) or ts[first] > begin)
    first -= held
    if first >= stop:
        return Columns(*(np.zeros(0, np.int64) for _ in Columns._fields))
    width = max(1, -(-(end - begin + 1) // count))
    edges = begin + width * np.arange(min(count, (end - begin) // width + 1), dtype=np.int64)
    inside = ts[first:stop]
    places = np.unique(np.concatenate([[0], np.searchsorted(inside, edges[1:], side="left")]))
    places = places[places < len(inside)]
    values = values[first:stop]
    ends = np.append(places[1:], len(values)) - 1
    return Columns(
        start=np.maximum(inside[places], begin),
        first=values[places].astype(np.int64),
        low=np.minimum.reduceat(values, places).astype(np.int64),
        high=np.maximum.reduceat(values, places).astype(np.int64),
        last=values[ends].astype(np.int64),
    )
