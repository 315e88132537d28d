"""How far prices move: true range and its average (SPEC 4, 16.1; Wilder, New Concepts in Technical Trading Systems, 1978)."""

from __future__ import annotations

from grinder._jit import kernel

__all__ = ["mean_range", "true_range", "wilder"]


@kernel
def true_range(high, low, before):
    """The larger of a bar's range and its reach from the close `before` it, half ticks."""
    return max(high - low, abs(high - before), abs(low - before))


@kernel
def wilder(atr, tr, bars, n):
    """One step of Wilder's average of the true range, half ticks.

    Args:
        atr: what the step before returned; 0.0 at first.
        tr: the true range of this bar. bars: how many bars there have been with this one. n: bars of the average.

    Returns:
        The sum of all true ranges while they are fewer than `n`, then their average.
    """
    if bars < n:
        return atr + tr
    if bars == n:
        return (atr + tr) / n
    return (atr * (n - 1) + tr) / n


@kernel
def mean_range(history, bars, n):
    """Mean of the last `n` true ranges, from the oldest to the newest.

    Args:
        history: BAR (R,), a ring in which bar number k is at `k % R`; R >= n. bars: how many bars there have been, >= n.
    """
    total = 0.0
    for k in range(bars - n, bars):
        total += history[k % len(history)]["tr"]
    return total / n
