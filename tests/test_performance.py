"""Ratios of an equity curve against an established library's, by hand, and where they are undefined."""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from grinder.performance import Performance, performance
from tests.oracles.make_returns_table import START, TABLE, curves

DAY = 86_400 * 10**9
SAID = json.loads(TABLE.read_text())["curves"]
RATIOS = ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown")


def of_closes(equity: list[int]) -> Performance:
    """Performance of an initial equity at time 0 and a close 1 ns before the end of each day, the last one the end too."""
    ends = np.arange(len(equity)) * DAY - 1
    ts = np.array([0, *ends[1:], ends[-1]])
    return performance(ts, np.array([*equity, equity[-1]], np.int64), ts // DAY)


def test_the_table_is_of_these_curves():
    assert {name: row["equity"] for name, row in SAID.items()} == curves()


@pytest.mark.parametrize("name", SAID)
def test_as_the_library_says(name):
    found = of_closes(SAID[name]["equity"])._asdict()
    days = len(SAID[name]["equity"]) - 1
    assert (found["days"], found["annualised"]) == (days, days >= 20)
    for ratio in RATIOS:
        said = float.fromhex(SAID[name][ratio])
        if ratio in ("cagr", "calmar") and days < 20:
            assert found[ratio] is None
        elif math.isfinite(said):
            assert found[ratio] == pytest.approx(said, rel=1e-9, abs=1e-12), ratio
        else:
            assert found[ratio] is None, ratio


def test_by_hand():
    """100, 110, 99, 108.9 at the ends of three days: returns of 10 %, -10 %, 10 %."""
    found = of_closes([100, 110, 99, 109])
    returns = [10 / 100, -11 / 110, 10 / 99]
    mean = sum(returns) / 3
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 2)
    assert found.total_return == 9 / 100
    assert found.volatility == pytest.approx(deviation, rel=1e-14)
    assert found.sharpe == pytest.approx(mean / deviation, rel=1e-14)
    assert found.sortino == pytest.approx(mean / math.sqrt(0.1**2 / 3), rel=1e-14)
    assert (found.cagr, found.calmar, found.max_drawdown) == (None, None, 11 / 110)
    assert found.max_drawdown_seconds == 2 * DAY / 1e9, "from the first close to the end: 109 is under 110"


def test_a_year_is_365_days():
    """121 % of the start after 730 days is 10 % a year; a deviation of a day grows by the root of 365."""
    found = of_closes([10**10] * 730 + [121 * 10**8])
    assert (found.days, found.annualised) == (730, True)
    assert found.cagr == 0.1
    assert found.volatility == pytest.approx(0.21 / math.sqrt(730) * math.sqrt(365), rel=1e-12)


def test_twenty_days_are_annual_and_nineteen_are_not():
    curve = [START + (-1) ** day * 10**9 * day for day in range(21)]
    nineteen, twenty = of_closes(curve[:-1]), of_closes(curve)
    assert (nineteen.days, nineteen.annualised, nineteen.cagr, nineteen.calmar) == (19, False, None, None)
    assert (twenty.days, twenty.annualised) == (20, True)
    assert twenty.calmar == twenty.cagr / twenty.max_drawdown
    assert twenty.volatility > 10 * nineteen.volatility


def test_cagr_is_the_nearest_float_but_one():
    """The neighbours of `c` lie on either side of the root: `(1 + c)**days` is `(final / initial)**365`, in whole fractions."""
    for days, final in ((20, 1_234_567), (21, 999_999), (77, 3), (366, 5_000_000), (730, 1_000_001)):
        found = of_closes([10**6] * days + [final]).cagr
        below, above = (Fraction(1) + Fraction(math.nextafter(found, side)) for side in (-math.inf, math.inf))
        assert below**days < Fraction(final, 10**6) ** 365 < above**days


# Undefined


def test_nothing_and_little():
    none = performance(np.array([5, 5]), np.array([100, 100]), np.array([0, 0]), ran=False)
    assert none == Performance(0, False, 0.0, None, None, None, None, None, 0.0, 0.0)
    assert of_closes([100, 90]) == Performance(1, False, -0.1, None, None, None, None, None, 0.1, (DAY - 1) / 1e9)
    assert of_closes([100] * 26) == Performance(25, True, 0.0, 0.0, 0.0, None, None, None, 0.0, 0.0)


def test_equal_returns_have_no_sharpe_however_they_round():
    """Every day doubles, or grows by a third: the mean of 25 thirds is not a third in floats, the deviation is 0 all the same."""
    assert math.fsum([1 / 3] * 25) / 25 != 1 / 3
    assert of_closes([3 * 2**day for day in range(31)])[4:6] == (0.0, None)
    assert of_closes([3**25 * 4**k // 3**k for k in range(26)])[4:6] == (0.0, None)


@pytest.mark.parametrize("last", [0, -1, -(10**9)])
def test_an_account_that_is_gone(last):
    """Equity of 0 or less: no return can be had from it, what was lost is known."""
    curve = [100 * 10**8] * 25 + [last]
    found = of_closes(curve)
    assert found.total_return == found.max_drawdown * -1 == (last - 10**10) / 10**10
    assert found.cagr == (-1.0 if last == 0 else None)
    assert found.volatility > 0, "the last day's return still has a base"
    after = of_closes([*curve, 10**9])
    assert (after.volatility, after.sharpe, after.sortino) == (None, None, None)
    assert after.cagr == pytest.approx(0.1 ** (365 / 26) - 1)


def test_growth_that_no_float_holds_is_absent():
    found = of_closes([1] * 20 + [2**61])
    assert found.cagr is None
    assert found.calmar is None


# Points inside days, drawdown and its length


def slow_drawdown(ts: list[int], equity: list[int]) -> tuple[float, float]:
    """Every pair of points: the largest fall, of the first lowest point, and from its last peak to where it is regained."""
    worst, low = 0.0, 0
    for i in range(len(equity)):
        top = max(equity[: i + 1])
        if (top - equity[i]) / top > worst:
            worst, low = (top - equity[i]) / top, i
    if worst == 0:
        return 0.0, 0.0
    top = max(equity[:low])
    begin = max(i for i in range(low) if equity[i] == top)
    end = next((i for i in range(low, len(equity)) if equity[i] >= top), len(equity) - 1)
    return worst, (ts[end] - ts[begin]) / 1e9


def test_points_inside_days_against_plain_loops():
    lengths = set()
    for seed in range(300):
        rng = random.Random(seed)
        ts, equity = [rng.randrange(DAY)], [rng.randrange(50, 200)]
        for _ in range(rng.randrange(1, 60)):
            ts.append(ts[-1] + rng.choice((0, 1, 3_600, 40_000, 200_000)) * 10**9)
            equity.append(max(1, equity[-1] + rng.randrange(-6, 7)))
        days = [t // DAY for t in ts]
        found = performance(np.array(ts), np.array(equity), np.array(days))
        closes, value = [], equity[0]
        for day in range(days[0], days[-1] + 1):
            mine = [e for d, e in zip(days, equity, strict=True) if d == day]
            value = mine[-1] if mine else value
            closes.append(value)
        daily = of_closes([equity[0], *closes])
        assert found[:7] == daily[:7]
        assert found[8:] == slow_drawdown(ts, equity)
        lengths.add(found.max_drawdown_seconds > 0)
    assert lengths == {True, False}
