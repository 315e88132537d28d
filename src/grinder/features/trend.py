"""Where prices go, and how straight: returns, range score, efficiency ratio, trend strength (SPEC 4, 16.1)."""

from __future__ import annotations

from grinder._jit import kernel

__all__ = ["efficiency_ratio", "ema", "net_return", "path_return", "range_score", "trend_strength"]


@kernel
def path_return(history, bars, n):
    """Sum of the sizes of the last `n` returns, from the oldest to the newest.

    Args:
        history: BAR (R,), a ring in which bar number k is at `k % R`; R > n. bars: how many bars there have been, > n.
    """
    total, size = 0.0, len(history)
    place = (bars - 1 - n) % size
    before = history[place]["close"]
    for _ in range(n):
        place = place + 1 if place + 1 < size else 0
        close = history[place]["close"]
        total += abs(close / before - 1.0)
        before = close
    return total


@kernel
def net_return(history, bars, n):
    """Size of the return over the last `n` bars."""
    return abs(history[(bars - 1) % len(history)]["close"] / history[(bars - 1 - n) % len(history)]["close"] - 1.0)


@kernel
def range_score(path, net, eps, cap):
    """How much of the path led nowhere: higher is more chop."""
    return min(path / (net + eps), cap)


@kernel
def efficiency_ratio(history, bars, n):
    """Net move over the path of the last `n` bars, in [0, 1]; 0 where nothing moved (Kaufman, Trading Systems and Methods)."""
    path, size = 0, len(history)
    place = (bars - 1 - n) % size
    first = before = history[place]["close"]
    for _ in range(n):
        place = place + 1 if place + 1 < size else 0
        close = history[place]["close"]
        path += abs(close - before)
        before = close
    if path == 0:
        return 0.0
    return abs(before - first) / path


@kernel
def ema(average, close, n):
    """One step of the exponential average over `n` bars, `a = 2 / (n + 1)`; it is seeded with the first close."""
    return average + 2.0 / (n + 1) * (close - average)


@kernel
def trend_strength(fast, slow, atr):
    """Distance of the fast average from the slow one in ATRs, signed; 0 where prices do not move."""
    return (fast - slow) / atr if atr > 0.0 else 0.0
