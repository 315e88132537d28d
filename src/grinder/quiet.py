"""Quiet rows: those that move an open bar and no gate, found by pieces of a block rather than one by one (ADR-0021).

Extremes of the rows of a block prove most pieces quiet: no spread so wide, no move so far, no side thin for so long. Where they
do not, the piece is cut at the first row for which they may not, and a piece of no rows leaves its first row to be looked at. A
row that is not quiet is never taken for one; a quiet row that is looked at brings no record either.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.gates import (
    MANY_LOTS,
    is_fresh,
    is_held,
    renew,
    severity_of_impact,
    severity_of_move,
    severity_of_spread,
    severity_of_strays,
    since,
    stale_due,
    thin_limits,
    worth,
)
from grinder.index import BLOCK, FEW, first_due, is_tick, last_row, next_odd, next_tick, rows_until
from grinder.records import NEVER, Toxicity

__all__ = ["quiet_until"]

_IMPACT: Final = int(Toxicity.IMPACT)
_QUARANTINED: Final = int(Toxicity.QUARANTINED)


@kernel
def quiet_until(world, events, index, quiet, base, at, stop, params, instruments):
    """The first row from `at` that may do more than move an open bar, else `stop`; the gates are as after the rows before it.

    Args:
        index, quiet: INDEX and QUIET of `events`. base: the run's index of the first row of `events`.
        world: `holds`, and of `gates` since when and when last a side was thin, move on; of `market` only `last_ts` does.
    """
    run, markets, gates, holds, p = world.run[0], world.market, world.gates, world.holds, params[0]
    ts, symbol, alone = events.ts, events.symbol, len(markets) == 1
    bid, bid_qty, ask, ask_qty = events.bid_px, events.bid_qty, events.ask_px, events.ask_qty
    due = min(run["next_bar_end"], run["next_roll"], run["next_gate"])
    book, window = first_due(events.book_rows, 0, len(events.book_rows), at), at // BLOCK
    bare = first_due(events.one_sided, 0, len(events.one_sided), at)
    told, back, thin = at, 0, False  # the gate's sides are as after the rows before `told`; none is thin from before `back` on
    while at < stop:
        b = at // BLOCK
        end = min(stop, (b + 1) * BLOCK)
        if ts[end - 1] >= due:
            end = first_due(ts, at, end, due)
        if book < len(events.book_rows):
            end = min(end, events.book_rows[book])
        if _has_odd(index, b):
            end = next_odd(events, index, at, end)
        window = _window_block(ts, window, b, ts[at] - p["jump_window_ns"])
        while bare < len(events.one_sided) and events.one_sided[bare] < at:
            bare += 1
        plain = alone and (bare == len(events.one_sided) or events.one_sided[bare] >= end)
        for s in range(len(markets)):
            market, gate = markets[s], gates[s]
            end = _clock_until(events, index, market, gate, p, s, at, end)
            if index[s, b]["low"] > index[s, b]["high"]:
                continue  # the symbol has no row in this block
            if gate["stale"] > 0 or gate["n_strays"] > 0 or is_fresh(gate, p, ts[at]):
                end = _known_until(ts, symbol, gate, holds[s], world.strays[s], p, s, at, end)
            if severity_of_spread(gate, quiet[s, b]["widest"]) > 0:
                end = _spread_until(symbol, bid, ask, gate, s, at, end)
            if _may_jump(events, index, gate, s, window, b):
                end = _move_until(events, index, gate, p, base, s, at, end)
            thin = end > at and _may_be_thin(index[s, b], quiet[s, b], gate, p, instruments[s], ts[at])
            brief = False
            if thin and plain and not is_fresh(gate, p, ts[at]):
                reached = _is_reached(index[0, b], quiet[0, b], p, instruments[0], at, end)
                back = min(gate["thin_bid"], gate["thin_ask"], ts[at]) if told == at else back
                brief = _is_brief(ts, quiet[0, b], reached, back, p, at, end)
                if not brief and told < at:
                    _tell_sides(ts, bid, bid_qty, ask, ask_qty, gate, p, instruments[0], told, at)
                    told, back = at, min(gate["thin_bid"], gate["thin_ask"], ts[at])
                    brief = _is_brief(ts, quiet[0, b], reached, back, p, at, end)
                if brief and reached:
                    back = quiet[0, b]["ended"]
            if told < at and not brief:
                _tell_sides(ts, bid, bid_qty, ask, ask_qty, gate, p, instruments[0], told, at)
                told = at
            if thin and not brief:
                if not plain or not _thin_at_once(ts, bid, bid_qty, ask, ask_qty, gate, p, instruments[s], at, end):
                    end = _thin_until(ts, symbol, bid, bid_qty, ask, ask_qty, gate, p, instruments[s], s, at, end, alone)
        if end == at:
            return at
        for s in range(len(markets)):
            last = end - 1 if alone else _last_of(symbol, s, at, end)
            if last >= at:
                gate = gates[s]
                if gate["n_strays"] > 0 or is_fresh(gate, p, ts[at]):
                    _renew(gate, holds[s], world.strays[s], p, ts[last])
                if not alone:
                    thin = _may_be_thin(index[s, b], quiet[s, b], gate, p, instruments[s], ts[at])
                if brief:
                    pass
                elif thin:
                    if not alone:
                        _thin_until(ts, symbol, bid, bid_qty, ask, ask_qty, gate, p, instruments[s], s, at, end, True)
                else:
                    gate["thin_bid"] = gate["thin_ask"] = gate["severe_bid"] = gate["severe_ask"] = NEVER
                if index[s, b]["ticks"] < BLOCK:
                    last = _last_tick(symbol, events.kind, events.fault, s, at, last)
                if last >= at:
                    markets[s]["last_ts"] = ts[last]
        told, at = told if brief else end, end
    if told < at:
        _tell_sides(ts, bid, bid_qty, ask, ask_qty, gates[0], p, instruments[0], told, at)
    return stop


@kernel
def _has_odd(index, b):
    odd = 0
    for s in range(index.shape[0]):
        odd += index[s, b]["odd"]
    return odd > 0


@kernel
def _window_block(ts, window, b, then):
    """The last block up to `b` that begins at or before `then`, else the first; `window` is it or near it."""
    while window < b and ts[(window + 1) * BLOCK] <= then:
        window += 1
    while window > 0 and ts[window * BLOCK] > then:
        window -= 1
    return window


@kernel
def _last_of(symbol, s, at, end):
    """The symbol's last row in [at, end), else the one before `at`."""
    last = end - 1
    while last >= at and symbol[last] != s:
        last -= 1
    return last


@kernel
def _last_tick(symbol, kind, fault, s, at, last):
    """The symbol's last L1 update in rows [at, last], else the row before `at`."""
    while last >= at and not (symbol[last] == s and is_tick(kind[last], fault[last])):
        last -= 1
    return last


@kernel
def _first_of(symbol, s, at, end):
    for i in range(at, end):
        if symbol[i] == s:
            return i
    return end


# What the clock and earlier events say: staleness, gaps, strays, the last book


@kernel
def _clock_until(events, index, market, gate, p, s, at, end):
    """Up to where the symbol's quote is neither stale nor missing."""
    due = stale_due(gate, market, p)
    if events.ts[end - 1] >= due:
        end = first_due(events.ts, at, end, due)
    if market["bar_end"] == 0 or events.ts[end - 1] - market["last_ts"] > p["max_gap_ns"]:
        end = next_tick(events, index, s, at, end)
    return end


@kernel
def _known_until(ts, symbol, gate, holds, strays, p, s, at, end):
    """Up to where what is known of quarantined rows and of the last book stays as it is, and is held already."""
    news = gate["stale"] > 0
    strayed = severity_of_strays(gate, strays, p, ts[at])
    if strayed > 0:
        news = news or severity_of_strays(gate, strays, p, ts[end - 1]) < strayed
        news = news or not is_held(holds[_QUARANTINED], strayed, p, ts[at])
    if is_fresh(gate, p, ts[at]):
        end = first_due(ts, at, end, gate["impact_ts"] + p["l2_stale_ns"] + 1)
        news = news or not is_held(holds[_IMPACT], severity_of_impact(gate, p), p, ts[at])
    return _first_of(symbol, s, at, end) if news else end


@kernel
def _renew(gate, holds, strays, p, ts):
    """What quarantined rows and the last book say, every row of the symbol up to `ts` has said."""
    renew(holds[_QUARANTINED], severity_of_strays(gate, strays, p, ts), ts)
    if is_fresh(gate, p, ts):
        renew(holds[_IMPACT], severity_of_impact(gate, p), ts)


# Spreads and moves


@kernel
def _spread_until(symbol, bid, ask, gate, s, at, end):
    for i in range(at, end):
        if symbol[i] == s and severity_of_spread(gate, ask[i] - bid[i]) > 0:
            return i
    return end


@kernel
def _may_jump(events, index, gate, s, window, b):
    """Whether a mid in block `b` may be far from the one of a jump window ago, which is in blocks from `window` on or the
    last before them."""
    if gate["jump_mid"] == 0 and gate["jump_high"] == 0 and gate["jump_extreme"] == 0:
        return False
    low, high = index[s, b]["low"], index[s, b]["high"]
    lowest, highest = low, high
    for k in range(window, b):
        lowest, highest = min(lowest, index[s, k]["low"]), max(highest, index[s, k]["high"])
    if window == 0 or index.shape[0] > 1:  # else the block begins with a row of the symbol
        row = index[s, window - 1]["last"] if window > 0 else -1
        before = events.bid_px[row] + events.ask_px[row] if row >= 0 else gate["mid_then"]
        if before > 0:
            lowest, highest = min(lowest, before), max(highest, before)
    return severity_of_move(gate, max(high - lowest, highest - low)) > 0


@kernel
def _move_until(events, index, gate, p, base, s, at, end):
    ts, symbol, bid, ask = events.ts, events.symbol, events.bid_px, events.ask_px
    rows = rows_until(ts, at, ts[at] - p["jump_window_ns"])
    for i in range(at, end):
        while rows <= i and ts[rows] <= ts[i] - p["jump_window_ns"]:
            rows += 1
        if symbol[i] == s:
            row = last_row(events, index, s, rows)
            then = gate["mid_then"] if row < 0 else bid[row] + ask[row] if base + row >= gate["since"] else 0
            if then > 0 and severity_of_move(gate, abs(bid[i] + ask[i] - then)) > 0:
                return i
    return end


# Thin sides


@kernel
def _may_be_thin(entry, extremes, gate, p, instrument, now):
    """Whether a side may be under its limit, or empty, in a row of the block, as far as the least quantities tell."""
    fresh = is_fresh(gate, p, now)
    limit, _ = thin_limits(p, instrument, fresh)
    if limit == 0:
        return False
    if extremes["least_bid"] == 0 or extremes["least_ask"] == 0:
        return True
    if fresh:
        return min(gate["depth_bid"], gate["depth_ask"]) < limit
    low, widest = entry["low"], extremes["widest"]
    bid, ask = max(0, low - widest) // 2, low // 2
    return bid * min(extremes["least_bid"], MANY_LOTS) < limit or ask * min(extremes["least_ask"], MANY_LOTS) < limit


@kernel
def _thin_at_once(ts, bid_px, bid_qty, ask_px, ask_qty, gate, p, instrument, at, end):
    """Whether rows [at, end), all of one symbol and none one-sided, say nothing new, as they are too short a time or a side has
    long been thin in all of them; then the gate is as after them. Where a quantity is large it is not known.
    """
    fresh, last = is_fresh(gate, p, ts[at]), end - 1
    limit, fifth = thin_limits(p, instrument, fresh)
    if fresh:
        thick_bid, thick_ask = last if gate["depth_bid"] >= limit else at - 1, last if gate["depth_ask"] >= limit else at - 1
        mild_bid, mild_ask = last if gate["depth_bid"] >= fifth else at - 1, last if gate["depth_ask"] >= fifth else at - 1
    else:
        thick_bid, mild_bid, bids = _last_over(bid_px, bid_qty, limit, fifth, at, end)
        thick_ask, mild_ask, asks = _last_over(ask_px, ask_qty, limit, fifth, at, end)
        if bids | asks >= MANY_LOTS:
            return False
    thin = _long(ts, gate["thin_bid"], gate["thin_ask"], thick_bid, thick_ask, at, last, gate["thin"], p)
    severe = _long(ts, gate["severe_bid"], gate["severe_ask"], mild_bid, mild_ask, at, last, gate["severe"], p)
    if thin < 0 or severe < 0:
        return False
    gate["thin_bid"] = _run_start(ts, gate["thin_bid"], thick_bid, at, last)
    gate["thin_ask"] = _run_start(ts, gate["thin_ask"], thick_ask, at, last)
    gate["severe_bid"] = _run_start(ts, gate["severe_bid"], mild_bid, at, last)
    gate["severe_ask"] = _run_start(ts, gate["severe_ask"], mild_ask, at, last)
    gate["last_thin"] = ts[last] if thin else gate["last_thin"]
    gate["last_severe"] = ts[last] if severe else gate["last_severe"]
    return True


@kernel
def _last_over(px, qty, limit, fifth, at, end):
    """The last rows of [at, end) at which a side is not thin, and not severely, `at - 1` if there is none; and the bits set in any
    quantity: where they make `MANY_LOTS` or more, the rows mean nothing.

    The loop has no branch, since sides come and go at random, and counts from 0, so that it becomes vector instructions.
    """
    prices, quantities, thick, mild, bits = px[at:end], qty[at:end], -1, -1, 0
    for k in range(len(prices)):
        bits |= quantities[k]
        value = prices[k] * quantities[k]
        thick = k if value >= limit else thick
        mild = k if value >= fifth else mild
    return at + thick, at + mild, bits


@kernel
def _is_reached(entry, extremes, p, instrument, at, end):
    """Whether [at, end) is a whole block in which both sides are thick in one of the first few rows of each quarter."""
    if at % BLOCK != 0 or end - at < BLOCK:
        return False
    limit, _ = thin_limits(p, instrument, False)
    bid, ask = max(0, entry["low"] - extremes["widest"]) // 2, entry["low"] // 2
    return bid * min(extremes["reach_bid"], MANY_LOTS) >= limit and ask * min(extremes["reach_ask"], MANY_LOTS) >= limit


@kernel
def _is_brief(ts, extremes, reached, back, p, at, end):
    """Whether no side can be thin for as long as counts in rows [at, end), whatever their sizes, given that before them none is
    from before `back` on; `reached`: of a block that is, it is known where sides are thick."""
    if ts[end - 1] - back < p["thin_ns"]:
        return True
    return reached and max(ts[at + FEW - 1] - back, extremes["spell"]) < p["thin_ns"]


@kernel
def _tell_sides(ts, bid_px, bid_qty, ask_px, ask_qty, gate, p, instrument, told, stop):
    """Bring since when the gate's sides are thin, and severely, from before row `told` to before row `stop`."""
    limit, fifth = thin_limits(p, instrument, False)
    thick, mild = _last_before(bid_px, bid_qty, limit, fifth, told, stop)
    gate["thin_bid"] = _run_start(ts, gate["thin_bid"], thick, told, stop - 1)
    gate["severe_bid"] = _run_start(ts, gate["severe_bid"], mild, told, stop - 1)
    thick, mild = _last_before(ask_px, ask_qty, limit, fifth, told, stop)
    gate["thin_ask"] = _run_start(ts, gate["thin_ask"], thick, told, stop - 1)
    gate["severe_ask"] = _run_start(ts, gate["severe_ask"], mild, told, stop - 1)


@kernel
def _last_before(px, qty, limit, fifth, told, stop):
    """As `_last_over` of rows [told, stop), from their end, which mostly is near."""
    mild = stop - 1
    while mild >= told and worth(px[mild], qty[mild]) < fifth:
        mild -= 1
    thick = mild
    while thick >= told and worth(px[thick], qty[thick]) < limit:
        thick -= 1
    return thick, mild


@kernel
def _long(ts, since_bid, since_ask, over_bid, over_ask, at, last, known, p):
    """Whether a side has been under a limit for long enough: 0 in no row of [at, last], 1 in all, as is known; else -1."""
    if ts[last] - min(since_bid, since_ask, ts[at]) < p["thin_ns"]:
        return 0
    bid = over_bid < at and ts[at] - since_bid >= p["thin_ns"]
    ask = over_ask < at and ts[at] - since_ask >= p["thin_ns"]
    return 1 if known and (bid or ask) else -1


@kernel
def _run_start(ts, before, over, at, last):
    """Since when a side is under a limit after row `last`, given the last row at which it was not; NEVER: it is not."""
    if over == last:
        return NEVER
    return ts[over + 1] if over >= at else min(before, ts[at])


@kernel
def _thin_until(ts, symbol, bid_px, bid_qty, ask_px, ask_qty, gate, p, instrument, s, at, end, keep):
    """Up to where a side has been thin for long enough and that is new; with `keep` the gate is as after the rows before.

    Row for row what `judge_inputs` does, on numbers of its own.
    """
    fresh = is_fresh(gate, p, ts[at])
    limit, fifth = thin_limits(p, instrument, fresh)
    thin_bid, thin_ask, severe_bid, severe_ask = gate["thin_bid"], gate["thin_ask"], gate["severe_bid"], gate["severe_ask"]
    last_thin, last_severe = gate["last_thin"], gate["last_severe"]
    for i in range(at, end):
        if symbol[i] == s:
            now = ts[i]
            bid = gate["depth_bid"] if fresh else worth(bid_px[i], bid_qty[i])
            ask = gate["depth_ask"] if fresh else worth(ask_px[i], ask_qty[i])
            thin_bid, thin_ask = since(thin_bid, bid, limit, now), since(thin_ask, ask, limit, now)
            severe_bid, severe_ask = since(severe_bid, bid, fifth, now), since(severe_ask, ask, fifth, now)
            empty = bid_qty[i] == 0 or ask_qty[i] == 0
            if empty or now - min(thin_bid, thin_ask) >= p["thin_ns"]:
                severe = empty or now - min(severe_bid, severe_ask) >= p["thin_ns"]
                if gate["thin"] == 0 or (severe and gate["severe"] == 0):
                    end = i  # which says again what it just said
                    break
                last_thin = now
                last_severe = now if severe else last_severe
    if keep and end > at:
        gate["thin_bid"], gate["thin_ask"], gate["severe_bid"], gate["severe_ask"] = thin_bid, thin_ask, severe_bid, severe_ask
        gate["last_thin"], gate["last_severe"] = last_thin, last_severe
    return end
