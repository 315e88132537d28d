"""Fill models and matching: which resting orders an event fills, in which order (SPEC 3.2, 9)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder._prefetch import fetch
from grinder.cycle import close_cycle, end_cycles, open_cycle
from grinder.index import BLOCK, last_book
from grinder.ledger import book_fill
from grinder.orders import order_state, put_order, remove_order, set_touches
from grinder.records import BUY, FAR, NONE, SELL, IntentKind, OrderState, Role
from grinder.units import ONE, mul_div_ceil, mul_div_floor

__all__ = ["match", "next_touch", "touches", "touches_symbol"]

_CANCEL: Final = int(IntentKind.CANCEL)
_ENTRY: Final = int(Role.ENTRY)
_TAKE_PROFIT: Final = int(Role.TAKE_PROFIT)
_FLATTEN: Final = int(Role.FLATTEN)
_PARTIAL: Final = int(OrderState.PARTIAL)
_FILLED: Final = int(OrderState.FILLED)
_CANCELLED: Final = int(OrderState.CANCELLED)
_LINE: Final = 8
"""Numbers in a line of memory, 64 bytes."""


@kernel
def touches(crosses, penetration, side, limit, bid, ask):
    """Whether an order resting at `limit` fills on this L1 state: the one definition of each fill model."""
    if crosses != 0:
        return ask <= limit - penetration if side > 0 else bid >= limit + penetration
    return bid + ask <= 2 * limit if side > 0 else bid + ask >= 2 * limit


@kernel
def next_touch(world, params, events, index, at, stop):
    """First row in [at, stop) whose L1 state touches a live order's limit or a trip of its symbol, else `stop`.

    Blocks whose extremes touch nothing are skipped; the others are scanned, which says what is right.
    """
    i = at
    while i < stop:
        b = i // BLOCK
        end = min(stop, (b + 1) * BLOCK)
        if _touches_block(world, index, b):
            i = _touch_row(world, params, events, i, end)
            if i < end:
                return i
        i = end
    return stop


@kernel
def _touches_block(world, index, b):
    """Whether a row of the block may touch an order or trip: as bid <= ask, `cross` needs the mid to touch the limit too."""
    symbols = world.symbols
    for s in range(len(symbols)):
        symbol, entry = symbols[s], index[s, b]
        if entry["low"] <= max(2 * symbol["touch_buy"], symbol["trip_low"]):
            return True
        if entry["high"] >= min(2 * symbol["touch_sell"], symbol["trip_high"]):
            return True
    return False


@kernel
def _touch_row(world, params, events, at, stop):
    if len(world.symbols) == 1:
        return _touch_row_of_one(world.symbols[0], params[0], events.bid_px, events.ask_px, at, stop)
    p = params[0]
    symbols, which, bids, asks = world.symbols, events.symbol, events.bid_px, events.ask_px
    for i in range(at, stop):
        symbol = symbols[which[i]]
        bid, ask = bids[i], asks[i]
        mid2 = bid + ask
        if mid2 <= symbol["trip_low"] or mid2 >= symbol["trip_high"]:
            return i
        if touches_symbol(symbol, p, bid, ask):
            return i
    return stop


@kernel
def _touch_row_of_one(symbol, p, bids, asks, at, stop):
    """The same of a single symbol: two columns are read, and limits once."""
    trip_low, trip_high, crosses, away = symbol["trip_low"], symbol["trip_high"], p["crosses"], p["penetration"]
    buy, sell = symbol["touch_buy"], symbol["touch_sell"]
    for i in range(at, stop, _LINE):  # most of the block at once: row by row each line would be waited for
        fetch(bids, i)
        fetch(asks, i)
    for i in range(at, stop):
        bid, ask = bids[i], asks[i]
        if bid + ask <= trip_low or bid + ask >= trip_high:
            return i
        if touches(crosses, away, BUY, buy, bid, ask) or touches(crosses, away, SELL, sell, bid, ask):
            return i
    return stop


@kernel
def touches_symbol(symbol, p, bid, ask):
    """Whether an L1 state touches the best live order of either side."""
    if touches(p["crosses"], p["penetration"], BUY, symbol["touch_buy"], bid, ask):
        return True
    return touches(p["crosses"], p["penetration"], SELL, symbol["touch_sell"], bid, ask)


@kernel
def match(world, params, instruments, events, tape, event, ts, i, s):
    """Fill what the symbol's L1 state touches: all BUYs, highest limit first, then all SELLs, lowest first, ties by order id.

    A market order has the best price of its side.

    Args:
        events, i: the stretch of events, of which row `i` is in hand. What can be touched at all is as `set_touches` noted it.
    """
    touched, filled = False, 0
    p, symbol = params[0], world.symbols[s]
    has_market = symbol["touch_buy"] == FAR  # or some of what is displayed was taken
    for side in (BUY, SELL):
        j = _next_market_order(world, s, side, 0) if has_market else NONE
        while j >= 0:
            before = symbol["n_orders"]
            took = _fill_market(world, params, instruments, events, tape, event, ts, i, s, j)
            touched, filled = touched or took > 0 or symbol["n_orders"] < before, filled + took
            j = _next_market_order(world, s, side, j + 1 - before + symbol["n_orders"])
        best = symbol["touch_buy"] if side > 0 else symbol["touch_sell"]
        is_touched = touches(p["crosses"], p["penetration"], side, best, symbol["bid_px"], symbol["ask_px"])
        j = _best_touched(world, params, s, side) if is_touched else NONE
        while j >= 0:
            filled += _fill(world, params, instruments, tape, event, ts, s, j)
            touched = True
            j = _best_touched(world, params, s, side)
    if touched:
        symbol["reflex"], symbol["settled"] = 1, 0
        if filled > 0 and p["on_fill"] != 0:
            symbol["decide"] = 1
        set_touches(world, s)


@kernel
def _best_touched(world, params, s, side):
    p, symbol = params[0], world.symbols[s]
    best = -1
    for j in range(symbol["n_orders"]):
        order = world.orders[s, j]
        if order["live"] != 0 and order["side"] == side and order["role"] != _FLATTEN:
            better = best < 0 or side * (order["px"] - world.orders[s, best]["px"]) > 0
            if better and touches(p["crosses"], p["penetration"], side, order["px"], symbol["bid_px"], symbol["ask_px"]):
                best = j
    return best


@kernel
def _next_market_order(world, s, side, at):
    for j in range(at, world.symbols[s]["n_orders"]):
        order = world.orders[s, j]
        if order["live"] != 0 and order["side"] == side and order["role"] == _FLATTEN:
            return j
    return NONE


@kernel
def _fill(world, params, instruments, tape, event, ts, s, j):
    """Fill one order whole at its limit, as maker; a reduce-only one is clipped to the position and its rest cancelled.

    Returns the quantity that was filled.
    """
    order, symbol = world.orders[s, j], world.symbols[s]
    side, role, price, qty, key = order["side"], order["role"], order["px"], order["qty"], order["key"]
    order_id, live_ts, leaving, state = order["id"], order["live_ts"], order["change"] == _CANCEL, order_state(order)
    take = qty
    if role != _ENTRY and role != _TAKE_PROFIT:
        take = min(qty, max(0, -side * symbol["position"]))
    remove_order(world, s, j)
    _finish_target(world, s, side, role, key, price, leaving)
    if take > 0:
        fee = book_fill(world, instruments, s, side, price, take, params[0]["maker_fee"])
        cycle = _cycle_of_fill(world, params, instruments, tape, event, ts, s, side, role, key, price, take, fee)
        _put_fill(tape, event, ts, s, order_id, cycle, side, role, price, take, fee, 0)
    if take < qty:
        put_order(tape, event, ts, s, order_id, state, _CANCELLED, price, qty - take, live_ts)
    else:
        put_order(tape, event, ts, s, order_id, state, _FILLED, price, 0, live_ts)
    return take


@kernel
def _fill_market(world, params, instruments, events, tape, event, ts, i, s, j):
    """A market order, which only ever closes a position, walks the symbol's fresh book, or takes what is displayed at the best
    price plus slippage (SPEC 9).

    What the position does not need any more is cut off, what is not displayed is carried. Returns the quantity that was filled.
    """
    order, symbol, p = world.orders[s, j], world.symbols[s], params[0]
    side, needed = order["side"], max(0, -order["side"] * symbol["position"])
    if needed < order["qty"]:
        state = order_state(order)
        if needed == 0:
            put_order(tape, event, ts, s, order["id"], state, _CANCELLED, 0, order["qty"], order["live_ts"])
            remove_order(world, s, j)
            return 0
        order["qty"] = needed
        put_order(tape, event, ts, s, order["id"], state, state, 0, needed, order["live_ts"])
    wanted = order["qty"]
    k = last_book(events, s, i + 1, ts - p["l2_stale_ns"])
    if side > 0:
        price = symbol["ask_px"] if k >= 0 else mul_div_ceil(symbol["ask_px"], ONE + p["slippage"], ONE)
        took = _take(world, params, instruments, tape, event, ts, s, j, price, symbol["ask_qty"] - symbol["taken_buy"])
        symbol["taken_buy"] += took
    else:
        price = symbol["bid_px"] if k >= 0 else max(1, mul_div_floor(symbol["bid_px"], ONE - p["slippage"], ONE))
        took = _take(world, params, instruments, tape, event, ts, s, j, price, symbol["bid_qty"] - symbol["taken_sell"])
        symbol["taken_sell"] += took
    if k >= 0 and took < wanted:
        took += _walk(world, params, instruments, events, tape, event, ts, i, s, j, side, k, wanted - took)
    return took


@kernel
def _walk(world, params, instruments, events, tape, event, ts, i, s, j, side, k, wanted):
    """Take the levels of book `k` beyond the best price, nearest first, but what was taken of that book already."""
    symbol, prices, sizes = world.symbols[s], events.books[k, 1 + side], events.books[k, 2 + side]
    book = event - i + events.book_rows[k] + 1
    if symbol["walked"] != book:
        symbol["walked"], symbol["walked_ask"], symbol["walked_bid"] = book, 0, 0
    best = symbol["ask_px"] if side > 0 else symbol["bid_px"]
    last = symbol["walked_ask"] if side > 0 else symbol["walked_bid"]
    of_last = symbol["walked_ask_qty"] if side > 0 else symbol["walked_bid_qty"]
    took = 0
    for n in range(len(prices)):
        px = prices[n]
        if px == 0 or took == wanted:
            break
        if side * (px - best) <= 0 or (last > 0 and side * (px - last) < 0):
            continue
        gone = of_last if px == last else 0
        taken = _take(world, params, instruments, tape, event, ts, s, j, px, sizes[n] - gone)
        if taken > 0:
            last, of_last, took = px, gone + taken, took + taken
    if side > 0:
        symbol["walked_ask"], symbol["walked_ask_qty"] = last, of_last
    else:
        symbol["walked_bid"], symbol["walked_bid_qty"] = last, of_last
    return took


@kernel
def _take(world, params, instruments, tape, event, ts, s, j, price, displayed):
    """Fill market order `j` with up to what is displayed at a price; its lots come off open cycles. Returns how much."""
    order = world.orders[s, j]
    side, take, order_id, live_ts = order["side"], min(order["qty"], displayed), order["id"], order["live_ts"]
    if take <= 0:
        return 0
    fee = book_fill(world, instruments, s, side, price, take, params[0]["taker_fee"])
    _put_fill(tape, event, ts, s, order_id, NONE, side, _FLATTEN, price, take, fee, 1)
    state = order_state(order)
    order["qty"] -= take
    order["partial"] = 1
    left = order["qty"]
    put_order(tape, event, ts, s, order_id, state, _PARTIAL if left > 0 else _FILLED, 0, left, live_ts)
    if left == 0:
        remove_order(world, s, j)
    end_cycles(world, s, -side, take)
    return take


@kernel
def _cycle_of_fill(world, params, instruments, tape, event, ts, s, side, role, key, price, qty, fee):
    """The cycle that a fill opens or closes, or -1."""
    if role == _TAKE_PROFIT:
        close_cycle(world, params, tape, event, ts, s, key, price, qty, instruments[s]["tick_value"], fee)
        return key
    if role == _ENTRY:
        return open_cycle(world, s, side, price, qty, fee)
    return NONE


@kernel
def _finish_target(world, s, side, role, key, price, leaving):
    """A target order that was filled, or clipped, is not wanted again until the policy decides anew.

    An order that was `leaving`, its cancel in flight, may belong to an earlier decision: then only the same price counts.
    """
    for t in range(world.symbols[s]["n_targets"]):
        target = world.targets[s, t]
        if target["side"] == side and target["role"] == role and target["key"] == key:
            if not leaving or target["px"] == price:
                target["done"] = 1


@kernel
def _put_fill(tape, event, ts, s, order, cycle, side, role, price, qty, fee, taker):
    row = tape.fills[tape.used[0]["fills"]]
    tape.used[0]["fills"] += 1
    row["event"], row["ts"], row["symbol"], row["order"] = event, ts, s, order
    row["cycle"], row["side"], row["role"] = cycle, side, role
    row["price"], row["qty"], row["fee"], row["taker"] = price, qty, fee, taker
