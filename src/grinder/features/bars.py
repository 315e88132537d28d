"""A bar closes: it enters the symbol's history, and its features are computed and quantised (SPEC 4, 16.1, 16.2, 16.8)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.features.book import imbalance_l1, spread_bps, thin_l1
from grinder.features.trend import efficiency_ratio, ema, net_return, path_return, range_score, trend_strength
from grinder.features.volatility import mean_range, true_range, wilder
from grinder.records import Feature
from grinder.units import MONEY_LIMIT, ONE, quantise

__all__ = ["ALL_ABSENT", "clear_features", "close_features"]

ALL_ABSENT: Final = sum(Feature)
_TR: Final = int(Feature.TR)
_ATR: Final = int(Feature.ATR | Feature.NATR)
_RETURNS: Final = int(Feature.SUM_ABS_RETURNS | Feature.NET_RETURN | Feature.RANGE_SCORE | Feature.EFFICIENCY_RATIO)
_TREND: Final = int(Feature.TREND_STRENGTH)
_L1: Final = int(Feature.SPREAD_BPS | Feature.IMBALANCE_L1 | Feature.THIN_L1)


@kernel
def clear_features(out):
    """No feature is known."""
    out["absent"] = ALL_ABSENT
    out["tr"] = out["atr"] = out["natr"] = out["sum_abs_returns"] = 0
    out["net_return"] = out["range_score"] = out["efficiency_ratio"] = out["trend_strength"] = 0
    out["spread_bps"] = out["imbalance_l1"] = out["thin_l1"] = out["depth_bid"] = 0
    out["depth_ask"] = out["depth_imbalance"] = out["impact"] = out["spread_at_depth"] = 0
    out["slope_bid"] = out["slope_ask"] = out["walls_bid"] = out["walls_ask"] = 0
    out["wall_dist_bid"] = out["wall_dist_ask"] = 0


@kernel
def close_features(market, past, history, p, tick_value, out):
    """Take the bar that just closed into the averages and write its features.

    Args:
        market: the bar and the last accepted L1 state. past, history: FILTER and BAR (R,), which move on.
        out: FEATURES, the row to fill: 1e-8 units, `thin_l1` in atoms; 0 where absent.
    """
    bars, close = past["bars"] + 1, market["close"]
    first = bars == 1
    tr = market["high"] - market["low"] if first else true_range(market["high"], market["low"], past["close"])
    entry = history[(bars - 1) % len(history)]
    entry["close"], entry["tr"] = close, tr
    past["atr"] = wilder(0.0 if first else past["atr"], tr, bars, p["atr_bars"])
    past["fast"] = ema(float(close) if first else past["fast"], close, p["ema_fast"])
    past["slow"] = ema(float(close) if first else past["slow"], close, p["ema_slow"])
    past["bars"], past["close"] = bars, close
    clear_features(out)
    out["tr"] = min(tr, MONEY_LIMIT // ONE) * ONE
    out["absent"] -= _TR
    if bars >= p["atr_bars"]:
        atr = past["atr"] if p["atr_sma"] == 0 else mean_range(history, bars, p["atr_bars"])
        _put_volatility(out, atr, close)
        if bars >= p["ema_slow"] and bars >= p["ema_fast"]:
            out["trend_strength"] = quantise(trend_strength(past["fast"], past["slow"], atr), -MONEY_LIMIT, MONEY_LIMIT)
            out["absent"] -= _TREND
    if bars > p["return_bars"]:
        _put_returns(out, history, bars, p)
    _put_l1(out, market, tick_value)


@kernel
def _put_volatility(out, atr, close):
    out["atr"] = quantise(atr, 0, MONEY_LIMIT)
    out["natr"] = quantise(atr / close, 0, MONEY_LIMIT)
    out["absent"] -= _ATR


@kernel
def _put_returns(out, history, bars, p):
    n = p["return_bars"]
    path, net = path_return(history, bars, n), net_return(history, bars, n)
    out["sum_abs_returns"] = quantise(path, 0, MONEY_LIMIT)
    out["net_return"] = quantise(net, 0, MONEY_LIMIT)
    out["range_score"] = quantise(range_score(path, net, p["range_eps"] / 1e8, p["range_cap"] / 1e8), 0, MONEY_LIMIT)
    out["efficiency_ratio"] = quantise(efficiency_ratio(history, bars, n), 0, ONE)
    out["absent"] -= _RETURNS


@kernel
def _put_l1(out, market, tick_value):
    bid, ask = market["bid_px"], market["ask_px"]
    out["spread_bps"] = quantise(spread_bps(bid, ask), 0, MONEY_LIMIT)
    out["imbalance_l1"] = quantise(imbalance_l1(market["bid_qty"], market["ask_qty"]), -ONE, ONE)
    out["thin_l1"] = thin_l1(bid, market["bid_qty"], ask, market["ask_qty"], tick_value)
    out["absent"] -= _L1
