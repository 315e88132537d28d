"""Returns, risk and drawdown of an account from its equity over time (SPEC 13): the usual ratios, each a few roundings deep.

Sums are exact before they are rounded, divisions and roots are rounded once, and the one power is decimal arithmetic, so that equal
curves have equal ratios on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Final, NamedTuple

import numpy as np

__all__ = ["Performance", "performance"]

DAYS_A_YEAR: Final = 365
ANNUAL_FROM: Final = 20
"""Days from which ratios are annualised."""
NS: Final = 1_000_000_000


class Performance(NamedTuple):
    """The usual ratios of an account; a return of 5 % is 0.05, as is a drawdown of 5 %. What is undefined is None."""

    days: int
    """UTC days from the first point to the last, parts of days included: as many daily returns"""
    annualised: bool
    """whether volatility, Sharpe and Sortino are annual (365 days a year, 20 days or more), else they are of a day"""
    total_return: float
    """equity at the end over initial equity, less 1"""
    cagr: float | None
    """from 20 days on, while equity at the end is not negative"""
    volatility: float | None
    """sample deviation of daily returns; needs two, none of them from an equity of 0 or less"""
    sharpe: float | None
    """mean over deviation of daily returns, risk-free rate 0; None when they are all equal"""
    sortino: float | None
    """mean over the root of the mean squared loss; None without a loss"""
    calmar: float | None
    """CAGR over max_drawdown"""
    max_drawdown: float
    """largest fall of any point under the highest point before it, as a share of that, positive; budget windows aside"""
    max_drawdown_seconds: float
    """its length: from that highest point to the first point that regains it, else to the end"""


def performance(ts: np.ndarray, equity: np.ndarray, day: np.ndarray, ran: bool = True) -> Performance:
    """The usual ratios of an equity curve, in exact sums and divisions rounded once.

    Args:
        ts, equity: points in order of time, ns and atoms; the first is the start, with an equity over 0, the last the end.
        day: the UTC day that each point belongs to, ascending.
        ran: whether there was any event; without one there is no day.
    """
    closes = equity[np.searchsorted(day, np.arange(day[0], day[-1] + 1), side="right") - 1].tolist() if ran else []
    initial, final = int(equity[0]), int(equity[-1])
    days, total_return = len(closes), (final - initial) / initial
    annualised = days >= ANNUAL_FROM
    bases = [initial, *closes[:-1]]
    sound = days > 0 and min(bases) > 0
    returns = [(after - before) / before for before, after in zip(bases, closes, strict=True)] if sound else []
    volatility, sharpe, sortino = _ratios(returns, math.sqrt(DAYS_A_YEAR) if annualised else 1.0)
    cagr = _cagr(initial, final, days) if annualised else None
    drawdown, length = _drawdown(ts, equity)
    calmar = cagr / drawdown if cagr is not None and drawdown > 0 else None
    return Performance(days, annualised, total_return, cagr, volatility, sharpe, sortino, calmar, drawdown, length)


def _ratios(returns: Sequence[float], scale: float) -> tuple[float | None, float | None, float | None]:
    """Volatility, Sharpe and Sortino; `scale` is the root of the periods in a year."""
    n = len(returns)
    if n < 2:
        return None, None, None
    mean = math.fsum(returns) / n
    deviation = math.sqrt(math.fsum((value - mean) * (value - mean) for value in returns) / (n - 1))
    varies = min(returns) < max(returns)  # equal returns may differ from their rounded mean
    downside = math.sqrt(math.fsum(min(0.0, value) * min(0.0, value) for value in returns) / n)
    sharpe = mean / deviation * scale if varies else None
    return deviation * scale if varies else 0.0, sharpe, mean / downside * scale if downside > 0 else None


def _cagr(initial: int, final: int, days: int) -> float | None:
    """Decimal arithmetic, which is the same on every machine, as a C library's power is not."""
    if final <= 0:
        return -1.0 if final == 0 else None
    exact = Context(prec=50)
    growth = exact.power(exact.divide(Decimal(final), Decimal(initial)), exact.divide(Decimal(DAYS_A_YEAR), Decimal(days)))
    result = float(exact.subtract(growth, Decimal(1)))
    return result if math.isfinite(result) else None


def _drawdown(ts: np.ndarray, equity: np.ndarray) -> tuple[float, float]:
    """The largest relative fall from the highest point before, and how long it lasted in seconds."""
    peak = np.maximum.accumulate(equity)
    trough = int(np.argmax((peak - equity) / peak))
    if equity[trough] == peak[trough]:
        return 0.0, 0.0
    begin = int(np.flatnonzero(equity[:trough] == peak[trough])[-1])
    regained = np.flatnonzero(equity[trough:] >= peak[trough])
    end = trough + int(regained[0]) if len(regained) else len(ts) - 1
    return int(peak[trough] - equity[trough]) / int(peak[trough]), int(ts[end] - ts[begin]) / NS
