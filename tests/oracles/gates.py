"""Gates of SPEC 5 with 16.3-16.9 and 16.17: limits fixed at bar closes, inputs per event, holds by time.

Each function takes the state of one symbol and says what holds now; `smart.py` turns changes into records.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction

from .features import UNIT, Series, lower_median

STALE, THIN, SEVERELY_THIN, SHOCK, TOXICITY = range(5)  # SPEC 16.17
LOW, MID, HIGH, EXTREME = range(4)
SPREAD, IMPACT, JUMP, QUARANTINED, STALENESS, SHOCKED = range(6)  # toxicity inputs in table order


@dataclass
class Hold:
    """When an input was last at least this severe; it holds until the first event `clear` later (16.7)."""

    last: dict[int, int] = field(default_factory=dict)

    def seen(self, severity: int, now: int) -> None:
        for k in range(1, severity + 1):
            self.last[k] = now

    def held(self, now: int, clear: int) -> int:
        return max([k for k, ts in self.last.items() if now < ts + clear], default=0)


@dataclass
class ThinRun:
    """One side against one limit: since when every event of the symbol was under it."""

    since: int | None = None

    def thin(self, notional: int, qty: int, limit: Fraction, now: int, thin_ns: int) -> bool:
        if limit == 0 or notional >= limit:  # 16.3: a limit of 0 never triggers
            self.since = None
            return limit > 0 and qty == 0  # ADR-0017.3: whatever the book's depth
        if self.since is None:
            self.since = now
        return qty == 0 or now - self.since >= thin_ns


@dataclass
class Limits:
    """Fixed at the last bar close; None: no severity from it. MID, HIGH, EXTREME."""

    spread: list[int] | None = None  # ticks
    jump: list[int] | None = None  # half ticks


@dataclass
class GateState:
    level: list[int] = field(default_factory=lambda: [0] * 5)
    tox_reasons: int = 0
    limits: Limits = field(default_factory=Limits)
    holds: list[Hold] = field(default_factory=lambda: [Hold() for _ in range(6)])
    runs: dict[tuple[int, int], ThinRun] = field(default_factory=dict)  # (gate, side)
    last_thin: dict[int, int] = field(default_factory=dict)  # gate -> ts
    shocked_now: bool = False  # by the bar that closed in step 1 of this event
    quotes: list[tuple[int, int]] = field(default_factory=list)  # (ts, mid2) since the last gap
    quarantined: list[int] = field(default_factory=list)  # ts of each row


# ---- at a bar close ----------------------------------------------------------------------------------


def limits_at_close(series: Series, mid2: int, cfg: dict) -> Limits:
    return Limits(spread_limits(series, mid2, cfg), jump_limits(series, cfg))


def spread_median(series: Series, cfg: dict) -> int | None:
    window = series.spread[-cfg["spread_bars"] :]
    return lower_median(window) if len(window) >= cfg["spread_bars_min"] else None


def spread_limits(series: Series, mid2: int, cfg: dict) -> list[int] | None:
    """OPEN 7: median, 1 bp of the mid and 1 tick are compared exactly; only the limit is rounded up."""
    median = spread_median(series, cfg)
    if median is None:
        return None
    base = max(Fraction(median), Fraction(mid2 * cfg["spread_floor"], 2 * UNIT), Fraction(1))
    return [math.ceil(base * Fraction(k, UNIT)) for k in cfg["tox_spread"]]


def jump_limits(series: Series, cfg: dict) -> list[int] | None:
    """16.4. OPEN 8: without 20 samples the spread median is 1 tick; the median here has no 1 bp floor."""
    atr = series.atr_q[-1]
    if atr is None:
        return None
    median = max(1, spread_median(series, cfg) or 0)
    limits = []
    for k, spreads in zip(cfg["tox_jump"], (2, 4, 10), strict=True):
        of_atr = math.ceil(Fraction(atr * k, UNIT * UNIT))
        limits.append(max(of_atr, spreads * 2 * median) if k else 0)
    return limits


def is_shock(series: Series, cfg: dict) -> bool:
    """OPEN 9, decided by ADR-0017.4: the mean over the close is quantised like every ratio before it is compared (SPEC 1.4)."""
    trs, close = series.tr, series.close[-1]
    baseline = [x for x in series.natr_q[:-3][-cfg["baseline_bars"] :] if x is not None]
    if len(baseline) >= cfg["baseline_min"]:
        limit = Fraction(lower_median(baseline) * cfg["shock_ratio"], UNIT)
        if limit > 0 and math.floor(sum(trs[-3:]) / 3 / close * 1e8 + 0.5) >= limit:
            return True
    before = series.atr_q[-2] if len(series.atr_q) >= 2 else None
    if before is None:
        return False
    limit = Fraction(before * cfg["shock_tr"], UNIT * UNIT)
    return limit > 0 and trs[-1] >= limit


# ---- at an event, step 5 -----------------------------------------------------------------------------


def severity(value: int, limits: list[int] | None) -> int:
    """The highest of the limits reached by *at least*; 16.3: a limit of 0 never triggers."""
    if limits is None:
        return LOW
    return max([k + 1 for k, limit in enumerate(limits) if limit > 0 and value >= limit], default=LOW)


def jump(state: GateState, mid2: int, now: int, window: int) -> int:
    k = bisect_right(state.quotes, now - window, key=lambda quote: quote[0])
    return abs(mid2 - state.quotes[k - 1][1]) if k else 0


def quarantined_rows(state: GateState, now: int, window: int) -> int:
    """OPEN 10: the last minute is (now - 60 s, now]."""
    return sum(1 for ts in state.quarantined if ts > now - window)


def thin_levels(state: GateState, sides: list[tuple[int, int]], limit: int, stale: bool, now: int, cfg: dict) -> dict[int, int]:
    """Levels of the gates THIN and SEVERELY_THIN. `sides` is (notional, quantity) of bids and asks.

    OPEN 11: severely thin needs its own run of `thin_ns`; a stale feed is thin, not severely. 16.5: each ends at the
    first event `thin_clear_ns` after the last event at which it held (OPEN 12: not the last one merely under the limit).
    """
    levels = {}
    for gate, under in ((THIN, Fraction(limit)), (SEVERELY_THIN, Fraction(limit, 5))):
        holds = stale and gate == THIN
        for side, (notional, qty) in enumerate(sides):
            run = state.runs.setdefault((gate, side), ThinRun())
            holds = run.thin(notional, qty, under, now, cfg["thin_ns"]) or holds
        if holds:
            state.last_thin[gate] = now
            levels[gate] = 1
        else:
            renewed = state.last_thin.get(gate)
            levels[gate] = 1 if state.level[gate] and now < renewed + cfg["thin_clear_ns"] else 0
    return levels


def held_thin(state: GateState, stale: bool, raised: bool, now: int, cfg: dict) -> dict[int, int]:
    """The same at another symbol's event, which says nothing of the sides (OPEN 43, decided by ADR-0017.1 and 17.2)."""
    if raised and stale:
        state.last_thin[THIN] = now
    held = {g: int(g in state.last_thin and now < state.last_thin[g] + cfg["thin_clear_ns"]) for g in (THIN, SEVERELY_THIN)}
    return held | ({THIN: 1} if stale else {})


def toxicity(state: GateState, inputs: dict[int, int], now: int, clear: int) -> tuple[int, int]:
    """Level and reasons. Inputs but staleness are held (16.6).

    OPEN 13: an input holds each severity on its own clock, so a level can step down; nothing else slows it.
    OPEN 14: reasons are all inputs with a held severity, not only the worst.
    """
    held = {}
    for k, value in inputs.items():
        state.holds[k].seen(value, now)
        held[k] = value if k == STALENESS else state.holds[k].held(now, clear)
    reasons = sum(1 << k for k, value in held.items() if value)
    return max(held.values()), reasons
