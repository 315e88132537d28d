"""What the book says: spread, imbalance and thinness of the best bid and ask; depth, impact, slope and walls (SPEC 4)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.records import Feature
from grinder.units import MONEY_LIMIT, ONE, mul_div_ceil, quantise

__all__ = [
    "book_features",
    "book_slope",
    "depth",
    "imbalance_l1",
    "impact",
    "notional",
    "spread_at_depth",
    "spread_bps",
    "thin_l1",
    "vwap",
    "walls",
]

_DEPTH: Final = int(Feature.DEPTH_BID | Feature.DEPTH_ASK | Feature.DEPTH_IMBALANCE)
_IMPACT: Final = int(Feature.IMPACT | Feature.SPREAD_AT_DEPTH)
_SLOPE_BID: Final = int(Feature.SLOPE_BID)
_SLOPE_ASK: Final = int(Feature.SLOPE_ASK)
_WALLS_BID: Final = int(Feature.WALLS_BID | Feature.WALL_DIST_BID)
_WALLS_ASK: Final = int(Feature.WALLS_ASK | Feature.WALL_DIST_ASK)


# The best bid and ask


@kernel
def spread_bps(bid, ask):
    """Spread over mid, a ratio."""
    return 2 * (ask - bid) / (bid + ask)


@kernel
def imbalance_l1(bid_qty, ask_qty):
    """(bid - ask) / (bid + ask) of the best quantities, in [-1, 1]; 0 when both are 0."""
    return (bid_qty - ask_qty) / (bid_qty + ask_qty) if bid_qty + ask_qty > 0 else 0.0


@kernel
def thin_l1(bid_px, bid_qty, ask_px, ask_qty, tick_value):
    """The smaller side's notional in atoms, at most 2**62."""
    return min(notional(bid_px, bid_qty, tick_value), notional(ask_px, ask_qty, tick_value))


@kernel
def notional(px, qty, tick_value):
    """`px * qty * tick_value` atoms, at most 2**62; `px` is at least 1."""
    return px * qty * tick_value if qty <= MONEY_LIMIT // tick_value // px else MONEY_LIMIT


# The levels of a side: prices and quantities, best first, those of price 0 missing


@kernel
def book_features(book, market, p, tick_value, out):
    """Fill in what a fresh book says, at the mid of the symbol's L1 state.

    Args:
        book: int64 (4, N): bid prices, bid quantities, ask prices, ask quantities.
        market: the last accepted L1 state. out: FEATURES, the row to fill.
    """
    n, mid2 = min(book.shape[1], p["top_n"]), market["bid_px"] + market["ask_px"]
    out["depth_bid"] = bid = depth(book[0], book[1], n, tick_value)
    out["depth_ask"] = ask = depth(book[2], book[3], n, tick_value)
    out["depth_imbalance"] = quantise((bid - ask) / (bid + ask) if bid + ask > 0 else 0.0, -ONE, ONE)
    out["absent"] -= _DEPTH
    if min(bid, ask) >= p["impact_quote"]:
        mid, quote = mid2 / 2.0, p["impact_quote"]
        out["impact"] = quantise(impact(book, n, mid, quote, tick_value), 0, MONEY_LIMIT)
        out["spread_at_depth"] = quantise(spread_at_depth(book, n, mid, quote, tick_value), -MONEY_LIMIT, MONEY_LIMIT)
        out["absent"] -= _IMPACT
    known, slope = book_slope(book[0], book[1], n, mid2)
    if known:
        out["slope_bid"] = quantise(slope, -MONEY_LIMIT, MONEY_LIMIT)
        out["absent"] -= _SLOPE_BID
    known, slope = book_slope(book[2], book[3], n, mid2)
    if known:
        out["slope_ask"] = quantise(slope, -MONEY_LIMIT, MONEY_LIMIT)
        out["absent"] -= _SLOPE_ASK
    if book[0, 0] > 0:
        out["walls_bid"], nearest = walls(book[0], book[1], n, mid2, p["wall_ratio"])
        out["wall_dist_bid"] = quantise(nearest / mid2, 0, MONEY_LIMIT)
        out["absent"] -= _WALLS_BID
    if book[2, 0] > 0:
        out["walls_ask"], nearest = walls(book[2], book[3], n, mid2, p["wall_ratio"])
        out["wall_dist_ask"] = quantise(nearest / mid2, 0, MONEY_LIMIT)
        out["absent"] -= _WALLS_ASK


@kernel
def impact(book, n, mid, quote, tick_value):
    """How far the worse side's price for `quote` atoms is from its best level, over `mid` ticks."""
    bid = vwap(book[0], book[1], n, quote, tick_value)
    ask = vwap(book[2], book[3], n, quote, tick_value)
    return max(abs(bid - book[0, 0]) / mid, abs(ask - book[2, 0]) / mid)


@kernel
def spread_at_depth(book, n, mid, quote, tick_value):
    """The ask side's price for `quote` atoms minus the bid side's, over `mid` ticks."""
    return (vwap(book[2], book[3], n, quote, tick_value) - vwap(book[0], book[1], n, quote, tick_value)) / mid


@kernel
def depth(prices, quantities, n, tick_value):
    """What the best `n` levels are worth in atoms, under 2**62."""
    total = 0
    for i in range(n):
        if prices[i] > 0:
            total = min(MONEY_LIMIT - 1, total + notional(prices[i], quantities[i], tick_value))
    return total


@kernel
def vwap(prices, quantities, n, quote, tick_value):
    """The volume-weighted price, in ticks, at which `quote` atoms trade against levels that are worth at least so much."""
    left, lots = quote, 0.0
    for i in range(n):
        if prices[i] > 0 and left > 0:
            taken = min(left, notional(prices[i], quantities[i], tick_value))
            lots += taken / (float(prices[i]) * tick_value)
            left -= taken
    return quote / (lots * tick_value)


@kernel
def book_slope(prices, quantities, n, mid2):
    """Least-squares slope of the cumulative quantity against the distance from mid.

    Returns:
        (whether there are two distances, lots per bp).
    """
    levels, mean_x, mean_y, total = 0, 0.0, 0.0, 0
    for i in range(n):
        if prices[i] > 0:
            total += quantities[i]
            levels += 1
            mean_x += _distance_bp(prices[i], mid2)
            mean_y += total
    if levels < 2:
        return False, 0.0
    mean_x, mean_y = mean_x / levels, mean_y / levels
    above, below, total = 0.0, 0.0, 0
    for i in range(n):
        if prices[i] > 0:
            total += quantities[i]
            x = _distance_bp(prices[i], mid2) - mean_x
            above += x * (total - mean_y)
            below += x * x
    return below > 0.0, above / below if below > 0.0 else 0.0


@kernel
def _distance_bp(px, mid2):
    return abs(2 * px - mid2) / mid2 * 10_000.0


@kernel
def walls(prices, quantities, n, mid2, ratio):
    """Levels of at least `ratio` times the lower median quantity of their side, and how far the nearest is from mid.

    Returns:
        (count, distance in half ticks, 0 without a wall).
    """
    limit = mul_div_ceil(_lower_median(prices, quantities, n), ratio, ONE)
    count, nearest = 0, 0
    for i in range(n):
        if prices[i] > 0 and quantities[i] >= limit > 0:
            away = abs(2 * prices[i] - mid2)
            nearest = away if count == 0 else min(nearest, away)
            count += 1
    return count, nearest


@kernel
def _lower_median(prices, quantities, n):
    """Element (m - 1) // 2 of the m sorted quantities."""
    levels = 0
    for i in range(n):
        levels += prices[i] > 0
    for i in range(n):
        under, equal = 0, 0
        for j in range(n):
            under += prices[j] > 0 and quantities[j] < quantities[i]
            equal += prices[j] > 0 and quantities[j] == quantities[i]
        if prices[i] > 0 and under <= (levels - 1) // 2 < under + equal:
            return quantities[i]
    return 0
