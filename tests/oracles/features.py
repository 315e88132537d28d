"""Features at bar closes (SPEC 4, 16.1-16.2, ADR-9), from scratch at every close.

Floats stand exactly as the contract writes them: one loop a sum, oldest to newest, from 0.0. Everything leaves
this module quantised to integers; `None` is absent.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from fractions import Fraction

UNIT = 100_000_000
SATURATED = 2**62  # ADR-9.1

NAMES = (
    "tr atr natr sum_abs_returns net_return range_score efficiency_ratio trend_strength spread_bps imbalance_l1 thin_l1 "
    "depth_bid depth_ask depth_imbalance impact spread_at_depth slope_bid slope_ask walls_bid walls_ask "
    "wall_dist_bid wall_dist_ask"
).split()

Levels = list[tuple[int, int]]  # (px, qty), best first


def quantised(x: float) -> int:
    """SPEC 1.4; OPEN 1: the clamp is +-2**62."""
    if not math.isfinite(x):
        raise ValueError(x)
    return max(-SATURATED, min(SATURATED, math.floor(x * 1e8 + 0.5)))


@dataclass
class Series:
    """Everything since the last gap, bar by bar; nothing is ever dropped, windows are cut when they are needed."""

    close: list[int] = field(default_factory=list)  # half ticks
    tr: list[int] = field(default_factory=list)  # half ticks
    atr: list[float | None] = field(default_factory=list)
    atr_q: list[int | None] = field(default_factory=list)
    natr_q: list[int | None] = field(default_factory=list)
    ema_fast: list[float] = field(default_factory=list)
    ema_slow: list[float] = field(default_factory=list)
    spread: list[int] = field(default_factory=list)  # ticks, SPEC 16.8


def add_bar(series: Series, high: int, low: int, close: int, cfg: dict) -> None:
    tr = high - low
    if series.close:
        before = series.close[-1]
        tr = max(tr, abs(high - before), abs(low - before))
    series.close.append(close)
    series.tr.append(tr)
    atr = next_atr(series, cfg["atr_bars"], cfg["atr_method"])
    series.atr.append(atr)
    series.atr_q.append(None if atr is None else quantised(atr))
    series.natr_q.append(None if atr is None else quantised(atr / close))
    for values, n in ((series.ema_fast, cfg["ema_fast"]), (series.ema_slow, cfg["ema_slow"])):
        values.append(next_ema(values, float(close), n))


def next_atr(series: Series, n: int, method: str) -> float | None:
    if len(series.tr) < n:
        return None
    if method == "sma" or len(series.tr) == n:
        total = 0.0
        for tr in series.tr[-n:]:
            total = total + tr
        return total / n
    atr = series.atr[-1]
    return (atr * (n - 1) + series.tr[-1]) / n


def next_ema(values: list[float], c: float, n: int) -> float:
    if not values:
        return c
    a = 2.0 / (n + 1)
    e = values[-1]
    return e + a * (c - e)


def bar_features(series: Series, cfg: dict) -> dict[str, int | None]:
    """The features of bars alone, at the newest close."""
    out: dict[str, int | None] = dict.fromkeys(NAMES)
    out["tr"] = quantised(float(series.tr[-1]))
    out["atr"] = series.atr_q[-1]
    out["natr"] = series.natr_q[-1]
    h = cfg["return_bars"]
    if len(series.close) >= h + 1:
        out |= return_features(series.close[-(h + 1) :], cfg)
    # OPEN 2: "48 bars seen" counts the first close, which only seeds the average.
    if series.atr[-1] is not None and len(series.close) >= max(cfg["ema_fast"], cfg["ema_slow"]):
        atr = series.atr[-1]
        out["trend_strength"] = 0 if atr == 0.0 else quantised((series.ema_fast[-1] - series.ema_slow[-1]) / atr)
    return out


def return_features(closes: list[int], cfg: dict) -> dict[str, int]:
    total = 0.0
    moved = 0.0
    for before, c in itertools.pairwise(closes):
        total = total + abs(c / before - 1.0)
        moved = moved + abs(c - before)
    net = abs(closes[-1] / closes[0] - 1.0)
    score = total / (net + cfg["range_eps"] / 1e8)
    score = min(score, cfg["range_cap"] / 1e8)
    efficiency = 0.0 if moved == 0.0 else abs(closes[-1] - closes[0]) / moved
    return {
        "sum_abs_returns": quantised(total),
        "net_return": quantised(net),
        "range_score": quantised(score),
        "efficiency_ratio": quantised(efficiency),
    }


def l1_features(bid: int, bid_qty: int, ask: int, ask_qty: int, tick_value: int) -> dict[str, int]:
    size = bid_qty + ask_qty
    return {
        "spread_bps": quantised(2.0 * (ask - bid) / (bid + ask)),
        "imbalance_l1": 0 if size == 0 else quantised((bid_qty - ask_qty) / size),
        "thin_l1": min(SATURATED, min(bid_qty * bid, ask_qty * ask) * tick_value),
    }


# --------------------------------------------------------------------------------------------------
# Books


@dataclass
class BookView:
    """L2 features of one fresh book, and whether its depth is short of Q (SPEC 4)."""

    values: dict[str, int | None]
    depth_short: bool


def depth(levels: Levels, n: int, tick_value: int) -> int:
    return min(SATURATED, sum(px * qty for px, qty in real(levels)[:n]) * tick_value)


def real(levels: Levels) -> Levels:
    """ADR-9.4, ADR-11: a level of price 0 is none."""
    return [(px, qty) for px, qty in levels if px > 0]


def vwap(levels: Levels, quote: int, tick_value: int) -> float | None:
    """OPEN 3: the exact fraction of lots that Q atoms buy, in floats; the whole visible book is walked. None when short."""
    left = quote / tick_value  # ticks * lots
    bought = 0.0
    for px, qty in real(levels):
        if left <= float(px * qty):
            bought = bought + left / px
            return (quote / tick_value) / bought
        left = left - px * qty
        bought = bought + qty
    return None


def slope(levels: Levels, n: int, mid: float) -> float:
    """Least squares of cumulative lots against distance in bp; OPEN 4: two passes, 0 when the distances do not differ."""
    xs, ys = [], []
    total = 0
    for px, qty in real(levels)[:n]:
        total += qty
        xs.append(abs(px - mid) / mid * 10_000.0)
        ys.append(float(total))
    if not xs:
        return 0.0
    sum_x = sum_y = 0.0
    for x, y in zip(xs, ys, strict=True):
        sum_x = sum_x + x
        sum_y = sum_y + y
    mean_x, mean_y = sum_x / len(xs), sum_y / len(ys)
    top = bottom = 0.0
    for x, y in zip(xs, ys, strict=True):
        top = top + (x - mean_x) * (y - mean_y)
        bottom = bottom + (x - mean_x) * (x - mean_x)
    return 0.0 if bottom == 0.0 else top / bottom


def walls(levels: Levels, n: int, ratio: int, mid: float) -> tuple[int, int]:
    """How many, and the nearest one's distance as a ratio (0 without one). OPEN 5: among the best N, compared exactly."""
    side = real(levels)[:n]
    if not side:
        return 0, 0
    median = lower_median([qty for _px, qty in side])
    found = [px for px, qty in side if median > 0 and Fraction(qty) >= Fraction(median * ratio, UNIT)]
    return len(found), quantised(abs(found[0] - mid) / mid) if found else 0


def lower_median(values: list[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


def book_features(bids: Levels, asks: Levels, mid2: int, tick_value: int, cfg: dict) -> BookView:
    """OPEN 6: the mid is the symbol's last one (a quote may be newer than the book)."""
    n, mid = cfg["top_n"], mid2 / 2.0
    out: dict[str, int | None] = {}
    out["depth_bid"], out["depth_ask"] = depth(bids, n, tick_value), depth(asks, n, tick_value)
    both = out["depth_bid"] + out["depth_ask"]
    out["depth_imbalance"] = 0 if both == 0 else quantised((out["depth_bid"] - out["depth_ask"]) / both)
    out["impact"] = out["spread_at_depth"] = None
    bid_vwap, ask_vwap = vwap(bids, cfg["impact_quote"], tick_value), vwap(asks, cfg["impact_quote"], tick_value)
    short = bid_vwap is None or ask_vwap is None
    if not short:
        worse = max(abs(bid_vwap - real(bids)[0][0]) / mid, abs(ask_vwap - real(asks)[0][0]) / mid)
        out["impact"] = quantised(worse)
        out["spread_at_depth"] = quantised((ask_vwap - bid_vwap) / mid)
    out["slope_bid"], out["slope_ask"] = quantised(slope(bids, n, mid)), quantised(slope(asks, n, mid))
    out["walls_bid"], out["wall_dist_bid"] = walls(bids, n, cfg["wall_ratio"], mid)
    out["walls_ask"], out["wall_dist_ask"] = walls(asks, n, cfg["wall_ratio"], mid)
    return BookView(out, short)


def row(values: dict[str, int | None]) -> list[int]:
    """The columns of stage `features`: the absent mask, then every feature, 0 where absent."""
    mask = sum(1 << k for k, name in enumerate(NAMES) if values[name] is None)
    return [mask] + [values[name] or 0 for name in NAMES]
