"""What a stretch of quotes and books looks like, in floats: bars, features, shocks, and the statistics that days are compared by.

Written from SPEC alone, with plain loops; nothing here is shared with the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

MINUTE = 60 * 10**9
Quotes = Mapping[str, np.ndarray]


class Day(NamedTuple):
    """Features at the closes of 60 s bars, NaN before their window is full; TR in half ticks, NATR in bp."""

    close: np.ndarray
    tr: np.ndarray
    natr: np.ndarray
    efficiency: np.ndarray
    strength: np.ndarray
    shock: np.ndarray


def bars(quotes: Quotes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """High, low and close of `bid + ask` in each minute that has a quote."""
    mid2, minute = quotes["bid_px"] + quotes["ask_px"], quotes["ts"] // MINUTE
    first = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
    last = np.append(first[1:], len(minute)) - 1
    return np.maximum.reduceat(mid2, first), np.minimum.reduceat(mid2, first), mid2[last]


def average(values: np.ndarray, n: int) -> np.ndarray:
    """Exponential average over n bars, from the first value on."""
    out = [float(values[0])]
    for value in values[1:]:
        out.append(out[-1] + 2 / (n + 1) * (value - out[-1]))
    return np.array(out)


def day(quotes: Quotes) -> Day:
    high, low, close = bars(quotes)
    n = len(close)
    tr = (high - low).astype(float)
    for i in range(1, n):
        tr[i] = max(tr[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1]))
    atr = np.full(n, np.nan)
    atr[13] = tr[:14].mean()
    for i in range(14, n):
        atr[i] = (13 * atr[i - 1] + tr[i]) / 14
    efficiency = np.full(n, np.nan)
    path = np.abs(np.diff(close))
    for i in range(60, n):
        efficiency[i] = abs(close[i] - close[i - 60]) / max(1, path[i - 60 : i].sum())
    strength = (average(close, 12) - average(close, 48)) / atr
    natr = 1e4 * atr / close
    shock = np.zeros(n, bool)
    for i in range(3, n):
        before = np.sort(natr[max(13, i - 98) : i - 2])
        usual = before[(len(before) - 1) // 2] if len(before) >= 24 else np.inf
        shock[i] = 1e4 * tr[i - 2 : i + 1].mean() / close[i] >= 4 * usual or tr[i] >= 6 * atr[i - 1]
    return Day(close, tr, natr, efficiency, strength, shock)


def trending(one: Day) -> tuple[float, float, float]:
    """Shares of the bars past the 60th: in a trend either way, up, down (SPEC 6's entry conditions, bar by bar)."""
    strength, efficient = one.strength[60:], one.efficiency[60:] > 0.35
    up, down = (strength > 2) & efficient, (strength < -2) & efficient
    return float((up | down).mean()), float(up.mean()), float(down.mean())


def episodes(one: Day, apart: int = 45) -> list[int]:
    """First bars of shocks, those within `apart` bars of the last shock's bar belonging to it."""
    out, last = [], -apart - 1
    for i in np.flatnonzero(one.shock).tolist():
        if i - last > apart:
            out.append(i)
        last = i
    return out


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def returns(quotes: Quotes, seconds: float) -> np.ndarray:
    """Returns in bp over whole steps of `seconds`, of the mid then in force."""
    ts, mid2 = quotes["ts"], quotes["bid_px"] + quotes["ask_px"]
    grid = np.arange(ts[0], ts[-1] + 1, int(seconds * 10**9))
    at = mid2[np.searchsorted(ts, grid, side="right") - 1]
    return 1e4 * np.diff(at) / at[:-1]


def kurtosis(values: np.ndarray) -> float:
    centred = values - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def statistics(quotes: Quotes) -> dict[str, str]:
    """The statistics that do not depend on how many quotes a second there are, as text."""
    ts, bid, ask = quotes["ts"], quotes["bid_px"], quotes["ask_px"]
    spread, moves, gaps = ask - bid, np.diff(bid + ask), np.diff(ts)
    signs = np.sign(moves[moves != 0])
    second, ten = returns(quotes, 1), returns(quotes, 10)
    sizes = np.percentile(quotes["bid_qty"], [5, 50, 95])
    digits = np.bincount(bid % 10, minlength=10) / len(bid)
    return {
        "quotes with a spread of one tick": f"{(spread == 1).mean():.0%}",
        "spread, 99th percentile (ticks)": f"{np.percentile(spread, 99):.0f}",
        "quotes at the time of the one before": f"{(gaps == 0).mean():.0%}",
        "deviation of gaps over their mean": f"{gaps.std() / gaps.mean():.1f}",
        "600 ms steps that change the mid": f"{(returns(quotes, 0.6) != 0).mean():.0%}",
        "correlation of successive moves' signs": f"{correlation(signs[1:], signs[:-1]):.2f}",
        "deviation of 1 s returns (bp)": f"{second.std():.1f}",
        "deviation of 10 s returns (bp)": f"{ten.std():.1f}",
        "kurtosis of 1 s returns": f"{kurtosis(second):.0f}",
        "kurtosis of 10 s returns": f"{kurtosis(ten):.0f}",
        "bid sizes, 5th percentile (lots)": f"{sizes[0]:.0f}",
        "bid sizes, median (lots)": f"{sizes[1]:.0f}",
        "bid sizes, 95th percentile (lots)": f"{sizes[2]:.0f}",
        "bids at a multiple of ten ticks": f"{digits[0]:.0%}",
        "asks at a multiple of ten ticks": f"{np.mean(ask % 10 == 0):.0%}",
    }


def table(named: Mapping[str, Quotes]) -> str:
    """One line a statistic, one column a stretch."""
    return told({name: statistics(quotes) for name, quotes in named.items()})


def told(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Statistics as a table."""
    lines = [f"{'':<46}" + "".join(f"{name:>13}" for name in columns)]
    for row in next(iter(columns.values())):
        lines.append(f"{row:<46}" + "".join(f"{column[row]:>13}" for column in columns.values()))
    return "\n".join(line.rstrip() for line in lines)


# Books


class Depths(NamedTuple):
    """Of each book: ns that it is the last one, depth in quote and impact in bp of both sides (NaN where depth is short)."""

    lasts: np.ndarray
    depth: np.ndarray
    impact: np.ndarray


def side_of(books: Quotes, row: int, side: str) -> list[tuple[int, int]]:
    """(price, quantity) of the levels that a side has, best first."""
    levels = []
    while f"{side}_px_{len(levels)}" in books and books[f"{side}_px_{len(levels)}"][row] > 0:
        k = len(levels)
        levels.append((int(books[f"{side}_px_{k}"][row]), int(books[f"{side}_qty_{k}"][row])))
    return levels


def walk(levels: list[tuple[int, int]], value: float, money: float) -> float:
    """The mean price, in ticks, at which `money` quote is bought or sold level by level; NaN when they hold less."""
    left, bought = money, 0.0
    for px, qty in levels:
        spent = min(left, px * qty * value)
        left -= spent
        bought += spent / (px * value)
        if left <= 0:
            return money / value / bought
    return float("nan")


def depths(books: Quotes, value: float, money: float = 10_000) -> Depths:
    """Every book walked in plain Python; `value` is what a lot is worth a tick, in quote."""
    rows = len(books["ts"])
    lasts = np.diff(books["ts"], append=books["ts"][-1])
    depth, impact = np.zeros((2, rows)), np.zeros((2, rows))
    for row in range(rows):
        bids, asks = side_of(books, row, "bid"), side_of(books, row, "ask")
        mid = (bids[0][0] + asks[0][0]) / 2
        for i, levels in enumerate((bids, asks)):
            depth[i, row] = sum(px * qty for px, qty in levels) * value
            impact[i, row] = 1e4 * abs(walk(levels, value, money) - levels[0][0]) / mid
    return Depths(lasts, depth, impact)


def runs(holds: np.ndarray, lasts: np.ndarray, apart_s: float = 0) -> list[tuple[float, float]]:
    """(start, length) in seconds of the stretches in which something holds, those at most `apart_s` apart being one."""
    ends = np.cumsum(lasts) / 1e9
    out: list[tuple[float, float]] = []
    for i in np.flatnonzero(holds).tolist():
        start, end = ends[i] - lasts[i] / 1e9, ends[i]
        if out and start - sum(out[-1]) <= apart_s + 1e-6:
            out[-1] = (out[-1][0], end - out[-1][0])
        else:
            out.append((start, end - start))
    return out


def book_statistics(books: Quotes, value: float) -> dict[str, str]:
    """What books look like, as text: the statistics that do not depend on the price."""
    rows = range(0, len(books["ts"]), 5)
    ladders = [side_of(books, row, side) for row in rows for side in ("bid", "ask")]
    steps = [abs(b[0] - a[0]) for ladder in ladders for a, b in pairwise(ladder)]
    behind = [px for ladder in ladders for px, _ in ladder[1:]]
    walls = [sum(qty >= 5 * sorted(q for _, q in ladder)[(len(ladder) - 1) // 2] for _, qty in ladder) for ladder in ladders]
    spans = [1e4 * abs(ladder[-1][0] / ladder[0][0] - 1) for ladder in ladders]
    depth = np.percentile([sum(px * qty for px, qty in ladder) * value / 1000 for ladder in ladders], [5, 50, 95])
    growth = [np.median([ladder[k][1] for ladder in ladders if len(ladder) > k]) for k in (1, 9)]
    gaps = np.diff(books["ts"]) / 1e9
    return {
        "time with a book under 2 s old": f"{np.minimum(gaps, 2).sum() / gaps.sum():.0%}",
        "levels one tick behind the one before": f"{np.mean(np.array(steps) == 1):.0%}",
        "levels at a multiple of ten ticks": f"{np.mean(np.array(behind) % 10 == 0):.0%}",
        "span of ten levels, median (bp)": f"{np.median(spans):.1f}",
        "depth of a side, 5th percentile (1000 quote)": f"{depth[0]:.0f}",
        "depth of a side, median (1000 quote)": f"{depth[1]:.0f}",
        "depth of a side, 95th percentile (1000 quote)": f"{depth[2]:.0f}",
        "tenth level's median size over the second's": f"{growth[1] / growth[0]:.1f}",
        "walls of a side": f"{np.mean(walls):.1f}",
    }


# Symbols of one fixture


class Symbol(NamedTuple):
    """Its day, and at each bar's close the spread in bp and the smaller side of L1 in quote (SPEC 4's `spread_bps`, `thin_l1`)."""

    day: Day
    spread: np.ndarray
    least: np.ndarray


def symbol(quotes: Quotes, value: float) -> Symbol:
    """`value` is what a lot is worth a tick, in quote."""
    last = np.append(np.flatnonzero(np.diff(quotes["ts"] // MINUTE)), len(quotes["ts"]) - 1)
    bid, ask = quotes["bid_px"][last], quotes["ask_px"][last]
    least = value * np.minimum(bid * quotes["bid_qty"][last], ask * quotes["ask_qty"][last])
    return Symbol(day(quotes), 2e4 * (ask - bid) / (bid + ask), least)


def score(one: Symbol) -> np.ndarray:
    """SPEC 12's score at each bar's close, of a symbol that is not toxic, with the defaults of SPEC 15; NaN in the warm-up."""
    trend = np.minimum(1, np.abs(one.day.strength) / 4)
    return (1 - one.day.efficiency) + one.least / (one.least + 50_000) - trend


def profile(quotes: Quotes, value: float) -> str:
    """What sets a symbol apart from others, in medians, as text."""
    one, gaps = symbol(quotes, value), np.diff(quotes["ts"]) / 1e9
    natr, efficiency, strength = one.day.natr[13:], one.day.efficiency[60:], np.abs(one.day.strength[60:])
    return (
        f"{len(gaps) + 1:8,}{np.maximum(gaps - 15, 0).sum() / gaps.sum():8.1%}{np.median(one.spread):9.2f}"
        f"{np.median(one.least):11,.0f}{np.median(natr):7.1f}{np.median(efficiency):12.2f}{np.median(strength):8.1f}"
        f"{1e4 * (one.day.close[-1] / one.day.close[0] - 1):+8.0f}"
    )
