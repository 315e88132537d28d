"""Open and in-flight orders: how they take effect, leave, and what of them a market event can touch (SPEC 3.3, 8)."""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.records import FAR, NEVER, NONE, IntentKind, OrderState, Role

__all__ = [
    "apply_due_changes",
    "coming_px",
    "coming_qty",
    "count_orders",
    "order_state",
    "put_order",
    "remove_order",
    "set_touches",
    "worst_lots",
]

_CANCEL: Final = int(IntentKind.CANCEL)
_AMEND: Final = int(IntentKind.AMEND)
_NO_CHANGE: Final = NONE
_PENDING: Final = int(OrderState.PENDING)
_OPEN: Final = int(OrderState.OPEN)
_PARTIAL: Final = int(OrderState.PARTIAL)
_FLATTEN: Final = int(Role.FLATTEN)
_ENTRY: Final = int(Role.ENTRY)
_TAKE_PROFIT: Final = int(Role.TAKE_PROFIT)
_CANCELLED: Final = int(OrderState.CANCELLED)
FAULT_TOO_MANY_ORDERS: Final = 4


@kernel
def apply_due_changes(world, tape, event, ts):
    """Make everything due at or before `ts` take effect, by (due, symbol, order id); cancels and amends are reflexes."""
    run = world.run[0]
    while ts >= run["next_due"]:
        for s in range(len(world.symbols)):
            _apply_symbol(world, tape, event, ts, s, run["next_due"])
            set_touches(world, s)
        run["next_due"] = _earliest_change(world)


@kernel
def _apply_symbol(world, tape, event, ts, s, due):
    """Changes of one symbol that are due exactly at `due`; orders that stay keep ascending ids."""
    symbol, orders, kept = world.symbols[s], world.orders[s], 0
    for j in range(symbol["n_orders"]):
        order = orders[j]
        if order["live"] == 0 and order["live_ts"] == due:
            order["live"] = 1
        if order["change"] != _NO_CHANGE and order["change_ts"] == due:
            symbol["reflex"] = 1
            state = order_state(order)
            if order["change"] == _CANCEL:
                put_order(tape, event, ts, s, order["id"], state, _CANCELLED, order["px"], order["qty"], order["live_ts"])
                continue
            order["change"] = _NO_CHANGE
            order["px"], order["qty"] = order["change_px"], order["change_qty"]
            order["live_ts"] = due
            put_order(tape, event, ts, s, order["id"], state, state, order["px"], order["qty"], due)
        if kept < j:
            orders[kept] = order
        kept += 1
    symbol["n_orders"] = kept


@kernel
def _earliest_change(world):
    due = NEVER
    for s in range(len(world.symbols)):
        orders = world.orders[s]
        for j in range(world.symbols[s]["n_orders"]):
            order = orders[j]
            if order["live"] == 0:
                due = min(due, order["live_ts"])
            if order["change"] != _NO_CHANGE:
                due = min(due, order["change_ts"])
    return due


@kernel
def remove_order(world, s, j):
    """Take order `j` out; the others keep ascending ids."""
    symbol = world.symbols[s]
    for later in range(j + 1, symbol["n_orders"]):
        world.orders[s, later - 1] = world.orders[s, later]
    symbol["n_orders"] -= 1


@kernel
def order_state(order):
    """Where an order that is still there stands in its life."""
    if order["live"] == 0:
        return _PENDING
    return _PARTIAL if order["partial"] != 0 else _OPEN


@kernel
def count_orders(symbol, orders):
    """Open and in-flight orders of a symbol, and open cycles that wait for their take-profit."""
    others, profits = 0, 0
    for j in range(symbol["n_orders"]):
        if orders[j]["role"] == _TAKE_PROFIT:
            profits += 1
        else:
            others += 1
    return others + max(profits, symbol["n_cycles"])


@kernel
def coming_px(order):
    """The price an order will have once an amend in flight takes effect."""
    return order["change_px"] if order["change"] == _AMEND else order["px"]


@kernel
def coming_qty(order):
    """The quantity an order will have once an amend in flight takes effect."""
    return order["change_qty"] if order["change"] == _AMEND else order["qty"]


@kernel
def worst_lots(world, s):
    """The largest position that a symbol can have if all open and in-flight orders of one side fill, each at its larger quantity.

    Reduce-only orders count up to the opposite position, which is all that they can close.
    """
    position, orders = world.symbols[s]["position"], world.orders[s]
    buys, sells, closing_buys, closing_sells = 0, 0, 0, 0
    for j in range(world.symbols[s]["n_orders"]):
        order = orders[j]
        largest = max(order["qty"], coming_qty(order))
        resting = order["role"] == _ENTRY or order["role"] == _TAKE_PROFIT
        if order["side"] > 0:
            buys += largest if resting else 0
            closing_buys += 0 if resting else largest
        else:
            sells += largest if resting else 0
            closing_sells += 0 if resting else largest
    buys, sells = buys + min(closing_buys, max(0, -position)), sells + min(closing_sells, max(0, position))
    return max(abs(position + buys), abs(position - sells))


@kernel
def set_touches(world, s):
    """Note the best live limits of a symbol, which are all that `next_touch` has to look at.

    A market order is touched by every event; so is a symbol of whose displayed quantity we took some, until it is refreshed.
    """
    symbol, orders = world.symbols[s], world.orders[s]
    symbol["touch_buy"] = FAR if symbol["taken_buy"] + symbol["taken_sell"] > 0 else -FAR
    symbol["touch_sell"] = FAR
    for j in range(symbol["n_orders"]):
        order = orders[j]
        if order["live"] != 0:
            if order["role"] == _FLATTEN:
                symbol["touch_buy"] = FAR
            elif order["side"] > 0:
                symbol["touch_buy"] = max(symbol["touch_buy"], order["px"])
            else:
                symbol["touch_sell"] = min(symbol["touch_sell"], order["px"])


@kernel
def put_order(tape, event, ts, s, order, before, after, px, remaining, live_ts):
    """Record one transition of an order's life."""
    row = tape.orders[tape.used[0]["orders"]]
    tape.used[0]["orders"] += 1
    row["event"], row["ts"], row["symbol"], row["order"] = event, ts, s, order
    row["from"], row["to"] = before, after
    row["price"], row["remaining"], row["live_ts"] = px, remaining, live_ts
