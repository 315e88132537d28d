"""Gates: what a market does that a grid should not trade through (SPEC 5, 16.3-16.9, 16.17; ADR-0017).

Staleness, thin sides, volatility shock and toxicity of each symbol, as integer comparisons with limits that are fixed at the
symbol's last bar close. Exogenous: no gate knows an order.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.features.book import depth, impact
from grinder.index import last_row, rows_until
from grinder.records import NEVER, Feature, GateKind, Severity, Toxicity, Trend
from grinder.units import HIGHEST, MONEY_LIMIT, ONE, capped_ceil, mul_div, quantise

__all__ = [
    "MANY_LOTS",
    "clear_windows",
    "close_gates",
    "is_fresh",
    "is_held",
    "judge_inputs",
    "mid_then",
    "note_book",
    "note_stray",
    "open_gates",
    "renew",
    "set_stale",
    "settle_gates",
    "severity_of_impact",
    "severity_of_move",
    "severity_of_spread",
    "severity_of_strays",
    "since",
    "stale_due",
    "strays_since",
    "thin_limits",
    "worth",
]

HELD: Final = len(Toxicity) - 1
"""Inputs that are held for `clear_ms`: all but staleness, which counts while the quote is old only."""
MANY_LOTS: Final = 2**27
"""With the largest price (2**35 ticks) worth at most 2**62."""
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
        gate["last_thin"] = gate["last_severe"] = gate["impact_ts"] = _LONG_AGO
        gate["thin_bid"] = gate["thin_ask"] = gate["severe_bid"] = gate["severe_ask"] = NEVER
        clear_windows(world, s, 0)


@kernel
def clear_windows(world, s, event):
    """A gap empties medians, limits, the trend state and the jump window, which has no mid from before `event`; what is held
    stays held (SPEC 3.4)."""
    gate = world.gates[s]
    gate["n_spreads"] = gate["n_natrs"] = gate["atr"] = gate["trend"] = 0
    gate["spread_mid"] = gate["spread_high"] = gate["spread_extreme"] = 0
    gate["jump_mid"] = gate["jump_high"] = gate["jump_extreme"] = 0
    gate["since"], gate["mid_then"] = event, 0


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
        renew(world.holds[s, HELD - 1], _MID, ts)
        world.run[0]["next_gate"] = ts  # to be looked at even where the event is another symbol's
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
    return max(capped_ceil(max(1, median), multiple, ONE), -(-capped_ceil(floor, multiple, ONE) // (2 * ONE)))


@kernel
def _jump_limit(atr, multiple, median, spreads):
    """1e-8 half ticks: `multiple` (1e-8) ATRs, at least `spreads` spread medians, of at least 1 tick (16.4)."""
    if multiple == 0:
        return 0
    return max(capped_ceil(atr, multiple, ONE), capped_ceil(max(1, median), 2 * spreads * ONE, 1))


@kernel
def _is_shocked(gate, p, history, bars, closing, natrs):
    """Mean true range of three bars over its baseline, or one bar's over the ATR before it."""
    n = gate["n_natrs"]
    if closing["absent"] & _ATR == 0:
        natrs[n % len(natrs)] = closing["natr"]
        n += 1
        gate["n_natrs"] = n
    limit = capped_ceil(gate["atr"], p["shock_tr"], ONE)
    if limit > 0 and closing["tr"] >= limit:
        return True
    if bars < 3 or n - 3 < p["baseline_bars_min"]:
        return False
    if p["shock_ratio"] == 0:
        return False
    total = 0
    for k in range(bars - 3, bars):
        total += history[k % len(history)]["tr"]
    mean = quantise(total / 3 / history[(bars - 1) % len(history)]["close"], 0, NEVER)
    # The median need not be known: it times `shock_ratio` is reached where it is at most `most`.
    most = mul_div(mean, ONE, p["shock_ratio"]) if mean // p["shock_ratio"] < NEVER // ONE else HIGHEST
    baseline = min(n - 3, p["baseline_bars"])
    first, middle = n - 3 - baseline, (baseline - 1) // 2
    return _at_most(natrs, first, baseline, most) > middle >= _at_most(natrs, first, baseline, 0)


@kernel
def lower_median(ring, first, n):
    """Element `(n - 1) // 2` of the sorted values `first` to `first + n` of a ring; they are at least 0.

    Bisects the value, so that nothing has to be sorted or kept.
    """
    low, high = 0, 0
    for i in range(len(ring)):
        high = max(high, ring[i])
    while low < high:
        middle = low + (high - low) // 2
        if _at_most(ring, first, n, middle) > (n - 1) // 2:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _at_most(ring, first, n, limit):
    """How many of the values `first` to `first + n` of a ring are at most `limit`."""
    start, size = first % len(ring), len(ring)
    count = 0
    for i in range(start, min(start + n, size)):
        count += ring[i] <= limit
    for i in range(start + n - size):
        count += ring[i] <= limit
    return count


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
def stale_due(gate, market, p):
    """When the staleness of a symbol goes up next, if no quote comes before."""
    if market["seen"] == 0 or gate["stale"] > 2:
        return NEVER
    if gate["stale"] == 0:
        return market["last_ts"] + p["l1_stale_ns"] + 1
    return market["last_ts"] + p["l1_pause_ns"] * (10 if gate["stale"] == 2 else 1) + 1


@kernel
def mid_then(gate, events, index, base, s, stop, then):
    """The mid of the symbol's last accepted L1 update before row `stop`, at or before `then`, since its last gap; 0: there is none.

    A stretch of events starts with all rows that a jump window may reach (`Events`); what was before them is kept as one mid.
    """
    row = last_row(events, index, s, rows_until(events.ts, stop, then))
    if row < 0:
        return gate["mid_then"]
    return events.bid_px[row] + events.ask_px[row] if base + row >= gate["since"] else 0


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
def judge_inputs(world, params, instrument, s, ts, refreshed, bid_px, bid_qty, ask_px, ask_qty, then):
    """What an event of the symbol says of each input, at the L1 state after it: severities are held from it on.

    `then` is the mid of a jump window ago, 0 if there is none. Returns whether anything is to be held: else no level can rise.
    """
    gate, p, holds, found = world.gates[s], params[0], world.holds[s], 0
    if bid_px > 0:
        found |= renew(holds[_SPREAD], severity_of_spread(gate, ask_px - bid_px), ts)
        if then > 0:
            found |= renew(holds[_JUMP], severity_of_move(gate, abs(bid_px + ask_px - then)), ts)
        found |= _judge_thin(gate, p, instrument, ts, bid_px, bid_qty, ask_px, ask_qty)
    if is_fresh(gate, p, ts):
        found |= renew(holds[_IMPACT], severity_of_impact(gate, p), ts)
    if gate["stale"] > 0 and not refreshed:
        gate["last_thin"] = ts  # a stale feed is thin
        found = 1
    return (found | renew(holds[_QUARANTINED], severity_of_strays(gate, world.strays[s], p, ts), ts)) != 0


@kernel
def severity_of_spread(gate, spread):
    """Of a spread in ticks."""
    return _reached(spread, gate["spread_mid"], gate["spread_high"], gate["spread_extreme"])


@kernel
def severity_of_move(gate, moved):
    """Of a move of the mid in half ticks, which is at most 2**36: in 1e-8 of them it is under 2**63."""
    return _reached(moved * ONE, gate["jump_mid"], gate["jump_high"], gate["jump_extreme"])


@kernel
def is_fresh(gate, p, ts):
    """Whether the symbol's last book still counts at `ts`."""
    return ts - gate["impact_ts"] <= p["l2_stale_ns"]


@kernel
def severity_of_impact(gate, p):
    """Of what the last book says, while it is fresh."""
    return _HIGH if gate["impact"] < 0 else _reached(gate["impact"], p["impact_mid"], p["impact_high"], p["impact_extreme"])


@kernel
def severity_of_strays(gate, strays, p, ts):
    """Of the quarantined rows in the window before `ts`."""
    recent = strays_since(gate, strays, ts - p["quarantine_window_ns"])
    return _reached(recent, p["quarantined_mid"], p["quarantined_high"], p["quarantined_extreme"])


@kernel
def _reached(value, mid, high, extreme):
    """The severity of a value: how many of the limits it reaches; a limit of 0 is none (16.3)."""
    if extreme > 0 and value >= extreme:
        return 3
    if high > 0 and value >= high:
        return 2
    return 1 if mid > 0 and value >= mid else 0


@kernel
def renew(held, severity, ts):
    """An input holds a severity, and all under it, from `ts` on."""
    for level in range(severity):
        held[level] = ts
    return severity


@kernel
def is_held(held, severity, p, ts):
    """Whether an input holds a severity at `ts` already, so that it says nothing new."""
    return severity == 0 or ts - held[severity - 1] < p["clear_ns"]


@kernel
def strays_since(gate, strays, then):
    """How many quarantined rows of the symbol are later than `then`, of those that are kept."""
    count, n = 0, gate["n_strays"]
    for k in range(n - 1, max(0, n - len(strays)) - 1, -1):
        if strays[k % len(strays)] <= then:
            break
        count += 1
    return count


@kernel
def _judge_thin(gate, p, instrument, ts, bid_px, bid_qty, ask_px, ask_qty):
    """Since when each side is under its limit, and under a fifth of it; a side without quantity is both at once."""
    fresh = is_fresh(gate, p, ts)
    limit, fifth = thin_limits(p, instrument, fresh)
    bid = gate["depth_bid"] if fresh else worth(bid_px, bid_qty)
    ask = gate["depth_ask"] if fresh else worth(ask_px, ask_qty)
    gate["thin_bid"], gate["thin_ask"] = since(gate["thin_bid"], bid, limit, ts), since(gate["thin_ask"], ask, limit, ts)
    gate["severe_bid"], gate["severe_ask"] = since(gate["severe_bid"], bid, fifth, ts), since(gate["severe_ask"], ask, fifth, ts)
    empty = limit > 0 and (bid_qty == 0 or ask_qty == 0)
    if empty or ts - min(gate["thin_bid"], gate["thin_ask"]) >= p["thin_ns"]:
        gate["last_thin"] = ts
        if empty or ts - min(gate["severe_bid"], gate["severe_ask"]) >= p["thin_ns"]:
            gate["last_severe"] = ts
        return 1
    return 0


@kernel
def thin_limits(p, instrument, fresh):
    """Under which a side is thin, and severely thin: of its depth in atoms with a fresh book, else of its `worth`."""
    if fresh:
        return p["thin_quote_depth"], -(-p["thin_quote_depth"] // 5)
    return instrument["thin"], instrument["severe"]


@kernel
def worth(px, qty):
    """A side of the best bid and ask in ticks times lots, at most 2**62."""
    return px * qty if qty < MANY_LOTS or qty <= MONEY_LIMIT // px else MONEY_LIMIT


@kernel
def since(before, side, limit, ts):
    """Since when a side is under a limit: NEVER if it is not. Without a branch, since sides come and go at random."""
    return max(min(before, ts), NEVER * (side >= limit))


# Levels


@kernel
def settle_gates(world, params, tape, event, ts, s):
    """Bring thin, shock and toxicity to what the inputs and holds make of them at `ts`, and note when the next hold ends.

    Where nothing new is held and no hold has ended this changes nothing.

    Returns 2 if a level moved, 1 if only the reasons did, else 0.
    """
    gate, p, holds = world.gates[s], params[0], world.holds[s]
    moved = 2 if gate["raised"] != 0 else 0
    if gate["stale"] > 0 and moved:
        gate["last_thin"] = ts
    gate["raised"] = 0
    run = world.run[0]
    thin = 1 if gate["stale"] > 0 else _still(run, ts, gate["last_thin"], p["thin_clear_ns"])
    severe = _still(run, ts, gate["last_severe"], p["thin_clear_ns"])
    shock = _still(run, ts, holds[HELD - 1, 0], p["clear_ns"])
    toxicity, reasons = gate["stale"], (1 << _STALENESS) if gate["stale"] > 0 else 0
    for k in range(HELD):
        for level in range(3):
            if _still(run, ts, holds[k, level], p["clear_ns"]):
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
    return moved


@kernel
def _still(run, ts, last, clear):
    """1 while `last` is under `clear` ago, whose end is then to be looked at; else 0."""
    if ts - last >= clear:
        return 0
    run["next_gate"] = min(run["next_gate"], last + clear)
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
