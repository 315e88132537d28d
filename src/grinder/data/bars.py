"""Bars become quotes by one fixed path, so that a grid can be replayed on candles (ADR on bars).

A bar `[t, t + I)` gives four quotes: the open at `t`, its first extreme at `t + I/4`, the other at `t + I/2`, the close at
`t + 3I/4` (floored to ns), so none stands at the bar's end, which belongs to the next bar. The first extreme is the nearer to
the open, the low where both are as near. Bid and ask bars may have had their extremes at different moments, so the order is chosen
once, by the mid (`open`, `low` and `high` of bid plus ask), and both sides go through it together. A low bid stands with the low
ask and a high bid with the high ask: as every bid of an honest bar was at or under the ask of its moment, the lows and the highs
are ordered alike, and no quote is crossed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from grinder.data.validation import Columns

__all__ = ["STEPS", "around", "bar_quotes", "first_overlap", "unlike_bar"]

STEPS: Final = 4
"""Quotes of a bar."""

Ints = NDArray[np.int64]
Sides = dict[str, Ints]


def bar_quotes(
    ts: Ints, interval: Ints | int, bid: Columns, ask: Columns, bid_qty: Ints | int, ask_qty: Ints | int
) -> dict[str, Ints]:
    """The quotes of bars, four each.

    Args:
        ts: starts in ns, (n,). interval: length of the bars in ns.
        bid, ask: `open, high, low, close` in ticks, (n,) each. bid_qty, ask_qty: in lots.

    Returns:
        ts, bid_px, bid_qty, ask_px, ask_qty, (4n,) each.

    >>> one = {name: np.array([px]) for name, px in zip(("open", "high", "low", "close"), (10, 14, 9, 12), strict=True)}
    >>> made = bar_quotes(np.array([0]), 60, one, {name: px + 2 for name, px in one.items()}, 5, 5)
    >>> made["ts"].tolist(), made["bid_px"].tolist(), made["ask_px"].tolist()
    ([0, 15, 30, 45], [10, 9, 14, 12], [12, 11, 16, 14])
    """
    middle = {name: bid[name] + ask[name] for name in ("open", "high", "low")}
    low_first = middle["open"] - middle["low"] <= middle["high"] - middle["open"]
    out = {"ts": np.empty(STEPS * len(ts), np.int64)}
    for step in range(STEPS):
        out["ts"][step::STEPS] = ts + interval * step // STEPS
    for side, bar in (("bid", bid), ("ask", ask)):
        path = np.empty(STEPS * len(ts), np.int64)
        path[0::STEPS], path[3::STEPS] = bar["open"], bar["close"]
        path[1::STEPS] = np.where(low_first, bar["low"], bar["high"])
        path[2::STEPS] = np.where(low_first, bar["high"], bar["low"])
        out[f"{side}_px"] = path
        size = bid_qty if side == "bid" else ask_qty
        out[f"{side}_qty"] = np.repeat(np.broadcast_to(np.asarray(size, np.int64), len(ts)), STEPS)
    return out


def around(prices: Columns, spread_ticks: int) -> tuple[Sides, Sides]:
    """Bid and ask bars around a trade bar, half the spread to each side, rounded passively: bids floor, asks ceil.

    An odd spread is therefore one tick wider than asked for.
    """
    half = (spread_ticks + 1) // 2
    return {k: v - half for k, v in prices.items()}, {k: v + half for k, v in prices.items()}


def unlike_bar(bar: Columns) -> tuple[int, str] | None:
    """The first bar whose open, high or close is outside its own extremes: (row, which of them); None if all are bars."""
    for name in ("open", "close", "high"):
        bad = (bar[name] < bar["low"]) | (bar[name] > bar["high"])
        if bad.any():
            return int(np.argmax(bad)), name
    return None


def first_overlap(ts: Ints, interval: Ints | int) -> int | None:
    """The first bar that begins before the one above it ends, such as one that is there twice; None if there is none."""
    meet = ts[1:] < (ts + interval)[:-1]
    return int(np.argmax(meet)) + 1 if meet.any() else None
