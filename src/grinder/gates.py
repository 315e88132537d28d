"""Gates: what a market does that a grid should not trade through (SPEC 5, 16.3-16.9, 16.17; ADR-0017).

Staleness, thin sides, volatility shock and toxicity of each symbol, as integer comparisons with limits that are fixed at the
symbol's last bar close. Exogenous: no gate knows an order.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.features.book import depth, impact, notional
from grinder.records import MIDS_KEPT, NEVER, Feature, GateKind, Severity, Toxicity, Trend
from grinder.units import MONEY_LIMIT, ONE, mul_div_ceil, quantise

__all__ = [
    "FAULT_TOO_MANY_MIDS",
    "clear_windows",
    "close_gates",
    "is_quiet",
    "judge_inputs",
    "next_stale",
    "note_book",
    "note_stray",
    "note_tick",
    "open_gates",
    "set_stale",
    "settle_gates",
]

HELD: Final = len(Toxicity) - 1
"""Inputs that are held for `clear_ms`: all but staleness, which counts while the quote is old only."""
FAULT_TOO_MANY_MIDS: Final = 5
_SPREAD: Final = int(Toxicity.SPREAD)
_IMPACT: Final = int(Toxicity.IMPACT)
_JUMP: Final = int(Toxicity.JUMP)
_QUARANTINED: Final = int(Toxicity.QUARANTINED)
_STALENESS: Final = int(Toxicity.STALENESS)
_SHOCK: Final = int(Toxicity.SHOCK)
assert _SHOCK == HELD  # its row of holds is the last, one before its bit
_MID: Final = int(Severity.MID)
_HIGH: Final = int(Severity.HIGH)
_GATE_STALE: Final = int(GateKind.STALE)
_GATE_THIN: Final = int(GateKind.THIN)
_GATE_SEVERE: Final = int(GateKind.SEVERELY_THIN)
_GATE_SHOCK: Final = int(GateKind.SHOCK)
_GATE_TOXICITY: Final = int(GateKind.TOXICITY)
_ATR: Final = int(Feature.ATR)
_TREND: Final = int(Feature.TREND_STRENGTH | Feature.EFFICIENCY_RATIO)
_FLAT: Final = int(Trend.NONE)
_UP: Final = int(Trend.UP)
_DOWN: Final = int(Trend.DOWN)
_LONG_AGO: Final = -NEVER


@kernel
def open_gates(world):
    """Nothing is held, nothing is due."""
    world.run[0]["next_gate"] = NEVER
    world.holds[:] = _LONG_AGO
    for s in range(len(world.gates)):
        gate = world.gates[s]
        gate["stale_due"] = gate["clear_due"] = NEVER
        gate["last_thin"] = gate["last_severe"] = gate["impact_ts"] = _LONG_AGO
        gate["thin_bid"] = gate["thin_ask"] = gate["severe_bid"] = gate["severe_ask"] = NEVER
        clear_windows(world, s)


@kernel
def clear_windows(world, s):
    """A gap empties medians, limits, the trend state and the mids of the jump window; what is held stays held (SPEC 3.4)."""
    gate = world.gates[s]
    gate["n_spreads"] = gate["n_natrs"] = gate["atr"] = gate["trend"] = 0
    gate["spread_mid"] = gate["spread_high"] = gate["spread_extreme"] = 0
    gate["jump_mid"] = gate["jump_high"] = gate["jump_extreme"] = 0
    gate["first_mid"] = gate["n_mids"] = 0


# At a bar close: limits, shock, trend


@kernel
def close_gates(world, params, s, closing, ts):
    """Fix the limits of the quotes to come, note a volatility shock, step the trend state.

    Args:
        closing: FEATURES, of the bar that just closed at `ts`; the history ring and the L1 state are as of then.
    """
    gate, p, market = world.gates[s], params[0], world.market[s]
    bars, history = world.filters[s]["bars"], world.history[s]
    if _is_shocked(gate, p, history, bars, closing, world.natrs[s]):
        _hold(world.holds[s, HELD - 1], _MID, ts)
        gate["clear_due"] = world.run[0]["next_gate"] = ts  # to be looked at even where the event is another symbol's
    gate["atr"] = closing["atr"]
    spreads = world.spreads[s]
    spreads[gate["n_spreads"] % len(spreads)] = market["ask_px"] - market["bid_px"]
    gate["n_spreads"] += 1
    median = 0
    if gate["n_spreads"] >= p["spread_bars_min"]:
        median = lower_median(spreads, 0, min(gate["n_spreads"], len(spreads)))
        floor = (market["bid_px"] + market["ask_px"]) * p["spread_floor"]
        gate["spread_mid"] = _spread_limit(median, floor, p["spread_mid"])
        gate["spread_high"] = _spread_limit(median, floor, p["spread_high"])
        gate["spread_extreme"] = _spread_limit(median, floor, p["spread_extreme"])
    if closing["absent"] & _ATR == 0:
        gate["jump_mid"] = _jump_limit(closing["atr"], p["jump_mid"], median, 2)
        gate["jump_high"] = _jump_limit(closing["atr"], p["jump_high"], median, 4)
        gate["jump_extreme"] = _jump_limit(closing["atr"], p["jump_extreme"], median, 10)
    if closing["absent"] & _TREND == 0:
        gate["trend"] = next_trend(gate["trend"], closing["trend_strength"], closing["efficiency_ratio"], p)


@kernel
def _spread_limit(median, floor, multiple):
    """Ticks, rounded up: `multiple` (1e-8) times the larger of the median, one tick, and `floor` (2e-8 ticks)."""
    return max(mul_div_ceil(max(1, median), multiple, ONE), -(-mul_div_ceil(floor, multiple, ONE) // (2 * ONE)))


@kernel
def _jump_limit(atr, multiple, median, spreads):
    """1e-8 half ticks: `multiple` (1e-8) ATRs, at least `spreads` spread medians, of at least 1 tick (16.4)."""
    return max(mul_div_ceil(atr, multiple, ONE), 2 * spreads * max(1, median) * ONE) if multiple > 0 else 0


@kernel
def _is_shocked(gate, p, history, bars, closing, natrs):
    """Mean true range of three bars over its baseline, or one bar's over the ATR before it."""
    n = gate["n_natrs"]
    if closing["absent"] & _ATR == 0:
        natrs[n % len(natrs)] = closing["natr"]
        n += 1
        gate["n_natrs"] = n
    limit = mul_div_ceil(gate["atr"], p["shock_tr"], ONE)
    if limit > 0 and closing["tr"] >= limit:
        return True
    if bars < 3 or n - 3 < p["baseline_bars_min"]:
        return False
    baseline = min(n - 3, p["baseline_bars"])
    limit = mul_div_ceil(lower_median(natrs, n - 3 - baseline, baseline), p["shock_ratio"], ONE)
    total = 0
    for k in range(bars - 3, bars):
        total += history[k % len(history)]["tr"]
    return limit > 0 and quantise(total / 3 / history[(bars - 1) % len(history)]["close"], 0, NEVER) >= limit


@kernel
def lower_median(ring, first, n):
    """Element `(n - 1) // 2` of the sorted values `first` to `first + n` of a ring."""
    size = len(ring)
    for i in range(first, first + n):
        under, equal = 0, 0
        for j in range(first, first + n):
            under += ring[j % size] < ring[i % size]
            equal += ring[j % size] == ring[i % size]
        if under <= (n - 1) // 2 < under + equal:
            return ring[i % size]
    return 0


@kernel
def next_trend(trend, strength, ratio, p):
    """The trend state after a bar close (SPEC 6): it may leave one side and enter the other on the same close."""
    if (trend == _UP and strength < p["trend_exit"]) or (trend == _DOWN and strength > -p["trend_exit"]):
        trend = _FLAT
    if trend == _FLAT and ratio >= p["er_enter"]:
        if strength >= p["trend_enter"]:
            return _UP
        if strength <= -p["trend_enter"]:
            return _DOWN
    return trend


# At events of the symbol: inputs


@kernel
def note_tick(gate, mids, run, p, ts, mid2):
    """An accepted L1 update: the quote is fresh, and its mid enters the jump window. Returns False where that is full."""
    gate["stale_due"] = next_stale(0, ts, p)
    run["next_gate"] = min(run["next_gate"], gate["stale_due"])
    n = gate["n_mids"]
    if n > 0 and mids[(gate["first_mid"] + n - 1) % MIDS_KEPT, 0] == ts:
        n -= 1  # of several at one time only the last can be the one of then
    elif n == MIDS_KEPT:
        return False
    place = (gate["first_mid"] + n) % MIDS_KEPT
    mids[place, 0], mids[place, 1] = ts, mid2
    gate["n_mids"] = n + 1
    return True


@kernel
def next_stale(level, last_ts, p):
    """When a quote of `last_ts` has a staleness over `level`."""
    if level == 0:
        return last_ts + p["l1_stale_ns"] + 1
    if level == 1:
        return last_ts + p["l1_pause_ns"] + 1
    return last_ts + 10 * p["l1_pause_ns"] + 1 if level == 2 else NEVER


@kernel
def note_stray(world, s, ts):
    """A quarantined row of the symbol."""
    gate, strays = world.gates[s], world.strays[s]
    strays[gate["n_strays"] % len(strays)] = ts
    gate["n_strays"] += 1


@kernel
def note_book(world, params, s, ts, mid2, book, tick_value):
    """An accepted book: its depth and impact count until it is stale or another comes."""
    gate, p = world.gates[s], params[0]
    n, mid = min(book.shape[1], p["top_n"]), mid2 / 2.0
    gate["impact_ts"] = ts
    gate["depth_bid"] = depth(book[0], book[1], n, tick_value)
    gate["depth_ask"] = depth(book[2], book[3], n, tick_value)
    gate["impact"] = -1
    if min(gate["depth_bid"], gate["depth_ask"]) >= p["impact_quote"]:
        gate["impact"] = quantise(impact(book, n, mid, p["impact_quote"], tick_value), 0, MONEY_LIMIT)


@kernel
def judge_inputs(world, params, s, ts, refreshed, bid_px, bid_qty, ask_px, ask_qty, tick_value):
    """What an event of the symbol says of each input, at the L1 state after it: severities are held from it on.

    Returns whether anything is to be held: else no level can rise.
    """
    gate, p, holds, found = world.gates[s], params[0], world.holds[s], 0
    if bid_px > 0:
        spread = ask_px - bid_px
        found |= _hold(holds[_SPREAD], _reached(spread, gate["spread_mid"], gate["spread_high"], gate["spread_extreme"]), ts)
        moved = abs(bid_px + ask_px - _mid_then(gate, world.mids[s], ts - p["jump_window_ns"], bid_px + ask_px)) * ONE
        found |= _hold(holds[_JUMP], _reached(moved, gate["jump_mid"], gate["jump_high"], gate["jump_extreme"]), ts)
        found |= _judge_thin(gate, p, ts, bid_px, bid_qty, ask_px, ask_qty, tick_value)
    if ts - gate["impact_ts"] <= p["l2_stale_ns"]:
        severity = _HIGH if gate["impact"] < 0 else _reached(gate["impact"], p["impact_mid"], p["impact_high"], p["impact_extreme"])
        found |= _hold(holds[_IMPACT], severity, ts)
    if gate["stale"] > 0 and not refreshed:
        gate["last_thin"] = ts  # a stale feed is thin
        found = 1
    recent = _strays_since(gate, world.strays[s], ts - p["quarantine_window_ns"])
    severity = _reached(recent, p["quarantined_mid"], p["quarantined_high"], p["quarantined_extreme"])
    return (found | _hold(holds[_QUARANTINED], severity, ts)) != 0


@kernel
def is_quiet(gate, mids, strays, p, ts, bid_px, bid_qty, ask_px, ask_qty, tick_value):
    """Whether an accepted quote, which is in the jump window already, holds nothing and leaves no side thin.

    The same comparisons as in `judge_inputs`, made where no array has to be passed on: most quotes are of this kind.
    """
    n = gate["n_strays"]
    if gate["stale"] > 0 or (n > 0 and strays[(n - 1) % len(strays)] > ts - p["quarantine_window_ns"]):
        return False
    if _reached(ask_px - bid_px, gate["spread_mid"], gate["spread_high"], gate["spread_extreme"]) > 0:
        return False
    moved = abs(bid_px + ask_px - _mid_then(gate, mids, ts - p["jump_window_ns"], bid_px + ask_px)) * ONE
    if _reached(moved, gate["jump_mid"], gate["jump_high"], gate["jump_extreme"]) > 0:
        return False
    fresh = ts - gate["impact_ts"] <= p["l2_stale_ns"]
    if fresh and (gate["impact"] < 0 or _reached(gate["impact"], p["impact_mid"], p["impact_high"], p["impact_extreme"]) > 0):
        return False
    return _judge_thin(gate, p, ts, bid_px, bid_qty, ask_px, ask_qty, tick_value) == 0


@kernel
def _reached(value, mid, high, extreme):
    """The severity of a value: how many of the limits it reaches; a limit of 0 is none (16.3)."""
    if extreme > 0 and value >= extreme:
        return 3
    if high > 0 and value >= high:
        return 2
    return 1 if mid > 0 and value >= mid else 0


@kernel
def _hold(held, severity, ts):
    for level in range(severity):
        held[level] = ts
    return severity


@kernel
def _mid_then(gate, mids, then, mid2):
    """The mid of the last accepted L1 update at or before `then` since the last gap, else `mid2`; older ones are let go."""
    while gate["n_mids"] > 1 and mids[(gate["first_mid"] + 1) % MIDS_KEPT, 0] <= then:
        gate["first_mid"] = (gate["first_mid"] + 1) % MIDS_KEPT
        gate["n_mids"] -= 1
    first = mids[gate["first_mid"]]
    return first[1] if gate["n_mids"] > 0 and first[0] <= then else mid2


@kernel
def _strays_since(gate, strays, then):
    count, n = 0, gate["n_strays"]
    for k in range(n - 1, max(0, n - len(strays)) - 1, -1):
        if strays[k % len(strays)] <= then:
            break
        count += 1
    return count


@kernel
def _judge_thin(gate, p, ts, bid_px, bid_qty, ask_px, ask_qty, tick_value):
    """Since when each side is under its limit, and under a fifth of it; a side without quantity is both at once."""
    fresh = ts - gate["impact_ts"] <= p["l2_stale_ns"]
    bid = gate["depth_bid"] if fresh else notional(bid_px, bid_qty, tick_value)
    ask = gate["depth_ask"] if fresh else notional(ask_px, ask_qty, tick_value)
    limit = p["thin_quote_depth"] if fresh else p["thin_quote"]
    fifth = -(-limit // 5)
    gate["thin_bid"] = _since(gate["thin_bid"], bid < limit, ts)
    gate["thin_ask"] = _since(gate["thin_ask"], ask < limit, ts)
    gate["severe_bid"] = _since(gate["severe_bid"], bid < fifth, ts)
    gate["severe_ask"] = _since(gate["severe_ask"], ask < fifth, ts)
    empty = limit > 0 and (bid_qty == 0 or ask_qty == 0)
    if empty or ts - min(gate["thin_bid"], gate["thin_ask"]) >= p["thin_ns"]:
        gate["last_thin"] = ts
        if empty or ts - min(gate["severe_bid"], gate["severe_ask"]) >= p["thin_ns"]:
            gate["last_severe"] = ts
        return 1
    return 0


@kernel
def _since(since, under, ts):
    return min(since, ts) if under else NEVER


# Levels


@kernel
def settle_gates(world, params, tape, event, ts, s):
    """Bring thin, shock and toxicity to what the inputs and holds make of them at `ts`, and note when the next hold ends.

    Returns 2 if a level moved, 1 if only the reasons did, else 0.
    """
    gate, p, holds = world.gates[s], params[0], world.holds[s]
    moved = 2 if gate["raised"] != 0 else 0
    if gate["stale"] > 0 and moved:
        gate["last_thin"] = ts
    gate["raised"], gate["clear_due"] = 0, NEVER
    thin = 1 if gate["stale"] > 0 else _still(gate, ts, gate["last_thin"], p["thin_clear_ns"])
    severe = _still(gate, ts, gate["last_severe"], p["thin_clear_ns"])
    shock = _still(gate, ts, holds[HELD - 1, 0], p["clear_ns"])
    toxicity, reasons = gate["stale"], (1 << _STALENESS) if gate["stale"] > 0 else 0
    for k in range(HELD):
        for level in range(3):
            if _still(gate, ts, holds[k, level], p["clear_ns"]):
                toxicity = max(toxicity, level + 1)
                reasons |= 1 << (k if k < _STALENESS else k + 1)
    if thin != gate["thin"]:
        _put_gate(tape, event, ts, s, _GATE_THIN, gate["thin"], thin, 0)
        gate["thin"], moved = thin, 2
    if severe != gate["severe"]:
        _put_gate(tape, event, ts, s, _GATE_SEVERE, gate["severe"], severe, 0)
        gate["severe"], moved = severe, 2
    if shock != gate["shock"]:
        _put_gate(tape, event, ts, s, _GATE_SHOCK, gate["shock"], shock, 0)
        gate["shock"], moved = shock, 2
    if toxicity != gate["toxicity"] or reasons != gate["reasons"]:
        _put_gate(tape, event, ts, s, _GATE_TOXICITY, gate["toxicity"], toxicity, reasons)
        moved = max(moved, 1 if toxicity == gate["toxicity"] else 2)
        gate["toxicity"], gate["reasons"] = toxicity, reasons
    world.run[0]["next_gate"] = min(world.run[0]["next_gate"], gate["clear_due"])
    return moved


@kernel
def _still(gate, ts, last, clear):
    """1 while `last` is under `clear` ago, of whose end a note is made; else 0."""
    if ts - last >= clear:
        return 0
    gate["clear_due"] = min(gate["clear_due"], last + clear)
    return 1


@kernel
def set_stale(world, tape, event, ts, s, level):
    """A deadline that passed, or the quote that ends an outage."""
    gate = world.gates[s]
    _put_gate(tape, event, ts, s, _GATE_STALE, gate["stale"], level, 0)
    gate["stale"], gate["raised"] = level, 1


@kernel
def _put_gate(tape, event, ts, s, gate, before, after, reasons):
    row = tape.gates[tape.used[0]["gates"]]
    tape.used[0]["gates"] += 1
    row["event"], row["ts"], row["symbol"], row["gate"] = event, ts, s, gate
    row["from"], row["to"], row["reasons"] = before, after, reasons
