"""Top-K: which symbols a portfolio trades, and how the drawdown budget is split over them (SPEC 7.1, 12, 16.11; ADR-0024)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.records import Feature, Severity
from grinder.regime import IS_WARM
from grinder.units import LOSS_LIMIT, ONE, mul_div, mul_div_floor

__all__ = ["allot", "is_barred", "score_of", "score_terms", "select"]

_HIGH: Final = int(Severity.HIGH)
_DEPTH: Final = int(Feature.DEPTH_BID)
_IMPACT: Final = int(Feature.IMPACT)
_NOBODY: Final = -1


# Who is chosen


@kernel
def select(world, params, instruments, ts):
    """Drop what a hard gate is open for; every `select_every` choose anew. What changes for a symbol is a decision."""
    run, symbols, p = world.run[0], world.symbols, params[0]
    for s in range(len(symbols)):
        symbol = symbols[s]
        if symbol["selected"] != 0 and is_barred(symbol, world.features[s], p):
            symbol["selected"], symbol["decide"], symbol["settled"] = 0, 1, 0
            symbol["budget"] = 0
    if ts < run["next_select"]:
        return
    run["next_select"] = (ts // p["select_every_ns"] + 1) * p["select_every_ns"]
    run["next_wake"] = min(run["next_wake"], run["next_select"])
    for s in range(len(symbols)):
        symbol, features = symbols[s], world.features[s]
        symbol["was_selected"], symbol["old_budget"] = symbol["selected"], symbol["budget"]
        symbol["passes"] = features["absent"] & IS_WARM == 0 and not is_barred(symbol, features, p)
        symbol["score"] = score_of(symbol, features, p)
        symbol["selected"] = symbol["selected"] and symbol["passes"]
    _choose(symbols, p)
    allot(world, params, instruments)
    for s in range(len(symbols)):
        symbol = symbols[s]
        if symbol["selected"] != symbol["was_selected"] or symbol["budget"] != symbol["old_budget"]:
            symbol["decide"], symbol["settled"] = 1, 0


@kernel
def is_barred(symbol, features, p):
    """Hard gates: no quote, stale, toxic, severely thin, spread at the last bar close or last funding rate over its limit."""
    if symbol["mid2"] == 0 or symbol["stale"] > 0 or symbol["toxicity"] >= _HIGH or symbol["severe"] > 0:
        return True
    return features["spread_bps"] > p["select_spread"] or 0 < p["select_funding"] < abs(symbol["rate"])


@kernel
def score_terms(symbol, features, p):
    """`w_range*range_n`, `w_liq*liq_n`, `w_tox*tox_n` and `w_trend*trend_n`, each floored to 1e-8."""
    strength, limit = abs(features["trend_strength"]), 2 * p["trend_enter"]
    trend = ONE if strength >= limit else mul_div(strength, ONE, limit)
    return (
        mul_div_floor(p["w_range"], ONE - features["efficiency_ratio"], ONE),
        mul_div_floor(p["w_liq"], _liquidity(features, p), ONE),
        mul_div_floor(p["w_tox"], symbol["toxicity"] * ONE // 3, ONE),
        mul_div_floor(p["w_trend"], trend, ONE),
    )


@kernel
def score_of(symbol, features, p):
    """A symbol's score (SPEC 12)."""
    ranging, liquid, toxic, trending = score_terms(symbol, features, p)
    return ranging + liquid - toxic - trending


@kernel
def _liquidity(features, p):
    """`d / (d + liq_ref)` of the smaller side's depth, without a fresh book of the L1 notional; 0 where the depth is short."""
    absent = features["absent"]
    if absent & _DEPTH:
        d = features["thin_l1"]
    else:
        d = 0 if absent & _IMPACT else min(features["depth_bid"], features["depth_ask"])
    d = min(d, LOSS_LIMIT)
    return mul_div(d, ONE, d + p["liq_ref"]) if d > 0 else 0


@kernel
def _choose(symbols, p):
    """Free places go to the best; then the best challenger replaces the worst incumbent while it is `switch_margin` better."""
    chosen = 0
    for s in range(len(symbols)):
        chosen += symbols[s]["selected"]
    while chosen < p["top_k"]:
        best = _best(symbols)
        if best == _NOBODY:
            return
        symbols[best]["selected"] = 1
        chosen += 1
    while True:
        best, worst = _best(symbols), _worst(symbols)
        if best == _NOBODY or symbols[best]["score"] <= symbols[worst]["score"] + p["switch_margin"]:
            return
        symbols[worst]["selected"], symbols[worst]["passes"] = 0, 0
        symbols[best]["selected"] = 1


@kernel
def _best(symbols):
    """The best symbol that passes and is not chosen; ties by symbol."""
    best = _NOBODY
    for s in range(len(symbols)):
        if symbols[s]["passes"] != 0 and symbols[s]["selected"] == 0:
            if best == _NOBODY or symbols[s]["score"] > symbols[best]["score"]:
                best = s
    return best


@kernel
def _worst(symbols):
    """The chosen symbol of the lowest score, of equal ones the last."""
    worst = _NOBODY
    for s in range(len(symbols)):
        if symbols[s]["selected"] != 0 and (worst == _NOBODY or symbols[s]["score"] <= symbols[worst]["score"]):
            worst = s
    return worst


# What they may lose


@kernel
def allot(world, params, instruments):
    """Split the portfolio's drawdown budget over the chosen symbols: K parts, whether or not K are chosen; the others have none."""
    run, symbols, p = world.run[0], world.symbols, params[0]
    k, total, chosen = p["top_k"], 0, 0
    for s in range(len(symbols)):
        weighs = p["weighted"] != 0 and symbols[s]["selected"] != 0 and world.features[s]["absent"] & IS_WARM == 0
        symbols[s]["weight"] = _weight(symbols[s], world.features[s], p) if weighs else 0
        total += symbols[s]["weight"]
        chosen += symbols[s]["selected"]
    if total > 0:
        _split_by_weight(symbols, mul_div_floor(run["budget"], chosen, k), total)
    else:
        _split_evenly(symbols, run["budget"], k)
    _override(symbols, instruments, run["budget"])
    for s in range(len(symbols)):
        if symbols[s]["budget"] > 0:
            symbols[s]["limit"] = symbols[s]["budget"]


@kernel
def _split_evenly(symbols, budget, k):
    i = 0
    for s in range(len(symbols)):
        symbol = symbols[s]
        symbol["budget"] = 0
        if symbol["selected"] != 0:
            symbol["budget"] = budget // k + (1 if i < budget % k else 0)
            i += 1


@kernel
def _weight(symbol, features, p):
    return mul_div_floor(_liquidity(features, p), ONE - symbol["toxicity"] * ONE // 3, ONE)


@kernel
def _split_by_weight(symbols, budget, total):
    """Largest remainder, ties by symbol."""
    left = budget
    for s in range(len(symbols)):
        symbols[s]["budget"] = mul_div_floor(budget, symbols[s]["weight"], total)
        left -= symbols[s]["budget"]
        symbols[s]["weight"] = budget % total * symbols[s]["weight"] % total  # the remainder from here on
    while left > 0:
        best = 0
        for s in range(len(symbols)):
            if symbols[s]["weight"] > symbols[best]["weight"]:
                best = s
        symbols[best]["budget"] += 1
        symbols[best]["weight"] = -1
        left -= 1


@kernel
def _override(symbols, instruments, budget):
    """A budget given absolutely replaces a chosen symbol's part, bounded by what the others' parts leave; earlier symbols first."""
    left = budget
    for s in range(len(symbols)):
        if instruments[s]["budget"] < 0:
            left -= symbols[s]["budget"]
    for s in range(len(symbols)):
        if instruments[s]["budget"] >= 0 and symbols[s]["selected"] != 0:
            symbols[s]["budget"] = min(instruments[s]["budget"], left)
            left -= symbols[s]["budget"]
