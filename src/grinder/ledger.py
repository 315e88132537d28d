"""Money: fills into positions, funding, and marks from two separate paths (SPEC 10; ADR-0004). Exact integers throughout."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.protection import calm_down
from grinder.records import NEVER, NONE, PARTS, Cause
from grinder.selection import allot
from grinder.units import MONEY_LIMIT, ONE, fee_atoms, mul_div_floor, share_of, split_cost

__all__ = ["book_fill", "book_funding", "mark", "open_ledger", "roll_window"]

_FILL: Final = int(Cause.FILL)
_FUNDING: Final = int(Cause.FUNDING)
_ROLL: Final = int(Cause.ROLL)
FAULT_PATHS_DIFFER: Final = 1
FAULT_OUT_OF_RANGE: Final = 2


@kernel
def open_ledger(world, params, instruments, first_ts):
    """Initial equity, the first drawdown window, no position."""
    run, p = world.run[0], params[0]
    run["cash"] = run["equity"] = p["equity"]
    run["part"] = first_ts // p["roll_ns"] - PARTS - 1 if p["roll_ns"] > 0 else 0
    _open_parts(world, run["part"] + PARTS + 1)
    _start_window(world, params, instruments)


@kernel
def book_fill(world, instruments, s, side, price, qty, rate):
    """Book one fill of `qty` lots at `price`: position, average cost, realised PnL, fee at `rate`. Returns the fee in atoms.

    A fill through zero closes the whole position, then opens the rest at the fill price.
    """
    symbol, instrument = world.symbols[s], instruments[s]
    tick_value = instrument["tick_value"]
    notional = price * qty * tick_value
    held = abs(symbol["position"])
    closing = min(qty, held) if symbol["position"] * side < 0 else 0
    if closing > 0:
        share = split_cost(symbol["cost"], closing, held)
        symbol["realised"] += -side * (price * closing * tick_value - share)
        symbol["cost"] -= share
    symbol["cost"] += price * (qty - closing) * tick_value
    symbol["position"] += side * qty
    fee = fee_atoms(notional, rate)
    symbol["fees"] += fee
    symbol["turnover"] += notional
    _pay(world, symbol, -side * notional - fee)
    symbol["fills"] += 1
    symbol["cause"] |= _FILL
    limit = MONEY_LIMIT // len(world.symbols)  # so that the sums over symbols cannot wrap either
    if symbol["turnover"] >= limit or abs(symbol["cash"]) >= limit:
        world.run[0]["fault"] = FAULT_OUT_OF_RANGE
    return fee


@kernel
def book_funding(world, instruments, s, rate, mark_px):
    """Pay funding on the position held before the event's fills: ceil when we pay, floor when we receive."""
    symbol = world.symbols[s]
    notional = symbol["position"] * mark_px * instruments[s]["tick_value"]
    received = mul_div_floor(-notional, rate, ONE)
    symbol["funding"] += received
    _pay(world, symbol, received)
    symbol["cause"] |= _FUNDING


@kernel
def _pay(world, symbol, amount):
    symbol["cash"] += amount
    world.run[0]["cash"] += amount


@kernel
def mark(world, params, instruments, tape, event, ts):
    """Mark every symbol and the portfolio with the last accepted mids, record what had a cause, set the trips."""
    run, symbols = world.run[0], world.symbols
    causes = _revalue(world, params[0], instruments)
    _put_rows(run, symbols, tape.ledger, tape.used[0], event, ts, causes)
    _set_trips(run, symbols, params[0], instruments)


@kernel
def roll_window(world, params, instruments, tape, event, ts):
    """Start a new drawdown window at the mids before the event (SPEC 7.1); a mark of its own."""
    run, symbols = world.run[0], world.symbols
    _revalue(world, params[0], instruments)
    _open_parts(world, ts // params[0]["roll_ns"])
    _start_window(world, params, instruments)
    for s in range(len(symbols)):
        if symbols[s]["mid2"] != 0:
            symbols[s]["cause"] |= _ROLL
            symbols[s]["decide"], symbols[s]["settled"] = 1, 0  # DAMAGE_CONTROL may have ended
    _put_rows(run, symbols, tape.ledger, tape.used[0], event, ts, _ROLL)
    _set_trips(run, symbols, params[0], instruments)


@kernel
def _unrealised(symbol, half_tick_value):
    """At mid: value minus cost of a long, cost minus value of a short."""
    position = symbol["position"]
    value = symbol["mid2"] * half_tick_value * position
    return value - symbol["cost"] if position > 0 else value + symbol["cost"]


@kernel
def _revalue(world, p, instruments):
    """Equity of each symbol and of the portfolio by both paths, peaks and drawdowns; returns all causes at once."""
    run, symbols = world.run[0], world.symbols
    by_profit, position_value, causes = p["equity"], 0, 0
    for s in range(len(symbols)):
        symbol, half = symbols[s], instruments[s]["half_tick_value"]
        profit = symbol["realised"] + _unrealised(symbol, half) - symbol["fees"] + symbol["funding"]
        by_profit += profit
        position_value += symbol["mid2"] * half * symbol["position"]
        symbol["equity"] = profit
        symbol["peak"] = max(symbol["peak"], profit)
        symbol["drawdown"] = symbol["peak"] - profit
        causes |= symbol["cause"]
    if run["cash"] + position_value != by_profit:
        run["fault"] = FAULT_PATHS_DIFFER
    run["equity"] = by_profit
    run["peak"] = max(run["peak"], by_profit)
    run["drawdown"] = run["peak"] - by_profit
    if p["parts"] > 0:
        slot = run["part"] % (PARTS + 1)
        for s in range(len(symbols)):
            world.parts[s, slot]["peak"] = max(world.parts[s, slot]["peak"], symbols[s]["equity"])
        world.parts[len(symbols), slot]["peak"] = max(world.parts[len(symbols), slot]["peak"], by_profit)
    return causes


@kernel
def _open_parts(world, part):
    """Go on to a part of the drawdown window: it and those that passed without an event begin with the present equity."""
    run, symbols = world.run[0], world.symbols
    for k in range(max(run["part"] + 1, part - PARTS), part + 1):
        for s in range(len(symbols) + 1):
            equity = symbols[s]["equity"] if s < len(symbols) else run["equity"]
            row = world.parts[s, k % (PARTS + 1)]
            row["opened"], row["peak"] = equity, equity
    run["part"] = part


@kernel
def _highest(parts, part, back):
    """The highest equity of a part and of as many as `back` before it."""
    peak = parts[part % (PARTS + 1)]["peak"]
    for k in range(part - back, part):
        peak = max(peak, parts[k % (PARTS + 1)]["peak"])
    return peak


@kernel
def _start_window(world, params, instruments):
    """Peak, budgets and the inventory cap of a window that starts now or, rolling, a window's length ago (SPEC 7.1, 15; ADR-0028).

    What DAMAGE_CONTROL there is to end ends here, a latch does not (SPEC 11).
    """
    run, p, whole = world.run[0], params[0], world.parts[len(world.symbols)]
    run["window_equity"] = whole[(run["part"] - p["parts"]) % (PARTS + 1)]["opened"]
    run["peak"] = _highest(whole, run["part"], p["parts"])
    run["drawdown"] = run["peak"] - run["equity"]
    equity = max(0, run["window_equity"])
    run["budget"] = share_of(equity, p["dd_budget_pct"]) if p["dd_budget"] == NONE else p["dd_budget"]
    run["max_inventory"] = p["max_inventory_atoms"]
    if p["max_inventory_atoms"] == NONE:
        run["max_inventory"] = share_of(equity, p["max_inventory_ratio"])
    for s in range(len(world.symbols)):
        symbol = world.symbols[s]
        symbol["peak"] = _highest(world.parts[s], run["part"], p["parts"])
        symbol["drawdown"] = symbol["peak"] - symbol["equity"]
    allot(world, params, instruments)
    calm_down(run, world.symbols, p)


@kernel
def _put_rows(run, symbols, ledger, used, event, ts, causes):
    """One `ledger` row for each symbol with a cause, then one for the portfolio; causes are used up."""
    cost, realised, unrealised, fees, funding = 0, 0, 0, 0, 0
    for s in range(len(symbols)):
        symbol = symbols[s]
        open_profit = symbol["equity"] - symbol["realised"] + symbol["fees"] - symbol["funding"]
        cost += symbol["cost"]
        realised += symbol["realised"]
        unrealised += open_profit
        fees += symbol["fees"]
        funding += symbol["funding"]
        if symbol["cause"] != 0:
            row = _next_row(ledger, used, event, ts, s, symbol["cause"])
            row["position"], row["cost"], row["cash"] = symbol["position"], symbol["cost"], symbol["cash"]
            row["realised"], row["unrealised"] = symbol["realised"], open_profit
            row["fees"], row["funding"], row["equity"] = symbol["fees"], symbol["funding"], symbol["equity"]
            row["peak"], row["drawdown"], row["budget"] = symbol["peak"], symbol["drawdown"], symbol["budget"]
            symbol["cause"] = 0
    row = _next_row(ledger, used, event, ts, NONE, causes)
    row["position"], row["cost"], row["cash"] = 0, cost, run["cash"]
    row["realised"], row["unrealised"], row["fees"], row["funding"] = realised, unrealised, fees, funding
    row["equity"], row["peak"], row["drawdown"], row["budget"] = run["equity"], run["peak"], run["drawdown"], run["budget"]


@kernel
def _next_row(ledger, used, event, ts, s, cause):
    row = ledger[used["ledger"]]
    used["ledger"] += 1
    row["event"], row["ts"], row["symbol"], row["cause"] = event, ts, s, cause
    return row


@kernel
def _set_trips(run, symbols, p, instruments):
    """For each position the nearest mid2 that takes the portfolio, or the symbol, past its next drawdown threshold, others held
    (SPEC 10)."""
    whole = _left_to_threshold(run["drawdown"], run["budget"], p)
    for s in range(len(symbols)):
        symbol, left = symbols[s], whole
        symbol["trip_low"], symbol["trip_high"] = -NEVER, NEVER
        if p["gated"] != 0 and symbol["limit"] > 0:
            left = min(left, _left_to_threshold(symbol["drawdown"], symbol["limit"], p))
        if left < NEVER and symbol["position"] != 0:
            per_half_tick = abs(symbol["position"]) * instruments[s]["half_tick_value"]
            away = left // per_half_tick + 1
            if symbol["position"] > 0:
                symbol["trip_low"] = symbol["mid2"] - away
            else:
                symbol["trip_high"] = symbol["mid2"] + away


@kernel
def _left_to_threshold(drawdown, budget, p):
    """What a drawdown may still grow by until it is at the next threshold that it has not passed; NEVER: it has passed both."""
    warn = share_of(budget, p["dd_warn"])
    if drawdown <= warn:
        return warn - drawdown
    return budget - drawdown if drawdown <= budget else NEVER
