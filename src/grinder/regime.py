"""Regimes: what kind of market a symbol is in, the first of a ladder of conditions that holds (SPEC 6, 16.7)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.records import Feature, Reason, Regime, Severity, Trend

__all__ = ["IS_WARM", "regime_of", "step_regime"]

IS_WARM: Final = int(
    Feature.ATR | Feature.NATR | Feature.NET_RETURN | Feature.RANGE_SCORE | Feature.EFFICIENCY_RATIO | Feature.TREND_STRENGTH
)
"""Features without which nothing is quoted."""
_RANGE: Final = int(Regime.RANGE)
_TREND_UP: Final = int(Regime.TREND_UP)
_TREND_DOWN: Final = int(Regime.TREND_DOWN)
_VOL_SHOCK: Final = int(Regime.VOL_SHOCK)
_THIN_BOOK: Final = int(Regime.THIN_BOOK)
_TOXIC: Final = int(Regime.TOXIC)
_PAUSED: Final = int(Regime.PAUSED)
_EMERGENCY: Final = int(Regime.EMERGENCY)
_WARMUP: Final = int(Reason.WARMUP)
_UP: Final = int(Trend.UP)
_DOWN: Final = int(Trend.DOWN)
_HIGH: Final = int(Severity.HIGH)
_EXTREME: Final = int(Severity.EXTREME)


@kernel
def regime_of(latch, symbol, absent):
    """The first condition of the ladder that holds."""
    if latch != 0 or symbol["toxicity"] >= _EXTREME:
        return _EMERGENCY
    if symbol["paused"] != 0 or absent & IS_WARM != 0 or symbol["stale"] >= _HIGH:
        return _PAUSED
    if symbol["toxicity"] >= _HIGH:
        return _TOXIC
    if symbol["thin"] != 0:
        return _THIN_BOOK
    if symbol["shock"] != 0:
        return _VOL_SHOCK
    if symbol["trend"] == _UP:
        return _TREND_UP
    return _TREND_DOWN if symbol["trend"] == _DOWN else _RANGE


@kernel
def step_regime(world, tape, event, ts, s, gated):
    """Step 6: move a symbol to the regime that latch, gates and features ask for. Returns whether it changed."""
    symbol, absent = world.symbols[s], world.features[s]["absent"] if gated != 0 else 0
    to = regime_of(world.run[0]["latch"], symbol, absent)
    if to == symbol["regime"]:
        return False
    row = tape.regimes[tape.used[0]["regimes"]]
    tape.used[0]["regimes"] += 1
    row["event"], row["ts"], row["symbol"], row["from"], row["to"] = event, ts, s, symbol["regime"], to
    row["reasons"] = _WARMUP if to == _PAUSED and absent & IS_WARM != 0 else 0
    symbol["regime"] = to
    return True
