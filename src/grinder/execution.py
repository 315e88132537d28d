"""The reconciler: wanted orders against open ones, into intents, past the guards, to the paper venue (SPEC 8, 3.3; ADR-0003).

In order: `list_wanted` (cycle.py), `_match_wanted`, `_collect`, `_sort`, `_send`. The guards are one ladder, `_refusal`.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.cycle import list_wanted
from grinder.orders import FAULT_TOO_MANY_ORDERS, coming_px, coming_qty, count_orders, put_order, worst_lots
from grinder.protection import mode_of
from grinder.records import BUY, FAR, NONE, SELL, IntentKind, Mode, OrderState, PlanKind, PolicyKind, Reason, Role
from grinder.units import share_of

__all__ = ["reconcile"]

_ENTRY: Final = int(Role.ENTRY)
_TAKE_PROFIT: Final = int(Role.TAKE_PROFIT)
_FLATTEN: Final = int(Role.FLATTEN)
_THROTTLE: Final = int(Mode.THROTTLE)
_SMART: Final = int(PolicyKind.SMART)
_GRID: Final = int(PlanKind.GRID)
_CANCEL: Final = int(IntentKind.CANCEL)
_AMEND: Final = int(IntentKind.AMEND)
_PLACE: Final = int(IntentKind.PLACE)
_NO_CHANGE: Final = NONE
_PENDING: Final = int(OrderState.PENDING)
_MAX_INVENTORY: Final = int(Reason.MAX_INVENTORY)
_MAX_LEVERAGE: Final = int(Reason.MAX_LEVERAGE)
_MIN_NOTIONAL: Final = int(Reason.MIN_NOTIONAL)
_MAX_OPEN_ORDERS: Final = int(Reason.MAX_OPEN_ORDERS)
_HARD_CAP: Final = int(Reason.HARD_CAP)
_RATE_LIMIT: Final = int(Reason.RATE_LIMIT)
_POST_ONLY: Final = int(Reason.POST_ONLY)
_TOKEN: Final = 1_000_000_000


# Reconcile (step 8)


@kernel
def reconcile(world, params, instruments, tape, event, ts, s):
    """Send what turns the symbol's open orders into its wanted ones: CANCEL, AMEND, PLACE, each in the order of SPEC 8."""
    symbol = world.symbols[s]
    waits = params[0]["policy"] == _SMART and ts - symbol["entries_ts"] < params[0]["throttle_ns"]
    symbol["throttled"] = 1 if waits and mode_of(world.run[0], symbol) == _THROTTLE else 0
    wanted, is_ladder = list_wanted(world, params, instruments, s), world.plans[s]["kind"] == _GRID
    _match_wanted(world.orders[s], symbol["n_orders"], world.wanted, wanted, is_ladder)
    _sum_up(world, params, instruments, s)
    intents = _collect(world, s, wanted)
    _sort(world.intents, intents)
    before, as_wanted = symbol["n_orders"], True
    for k in range(intents):
        as_wanted = _send(world, params, instruments, tape, event, ts, s, world.intents[k]) and as_wanted
    known = is_ladder or intents == 0
    symbol["settled"] = 1 if known and as_wanted and _comes_to_rest(world.orders[s], before, world.wanted, is_ladder) else 0


@kernel
def _comes_to_rest(orders, n_orders, wants, is_ladder):
    """Whether each order, once what is in flight has taken effect, rests where it is wanted or is gone: then nothing is to be
    done until a fill or a plan.

    Targets may have one price in common: they are paired anew when a change has taken effect.
    """
    for j in range(n_orders):
        order = orders[j]
        if not is_ladder and order["change"] != _NO_CHANGE:
            return False
        leaves, wanted = order["change"] == _CANCEL, order["wanted"] != NONE
        if leaves == wanted or (wanted and not _comes_to(order, wants[order["wanted"]])):
            return False
    return True


@kernel
def _comes_to(order, want):
    """A market order has no price, and its quantity is cut when it fills."""
    return coming_px(order) == want["px"] and (order["role"] == _FLATTEN or coming_qty(order) == want["qty"])


@kernel
def _match_wanted(orders, n_orders, wants, wanted, is_ladder):
    """Pair wanted and open orders: entries by price, take-profits by cycle; then what is left by key."""
    for j in range(n_orders):
        orders[j]["wanted"] = NONE
    left = n_orders - _match_profits(orders, n_orders, wants, wanted)
    if is_ladder:
        left -= _match_ladder(orders, n_orders, wants, wanted)
    else:
        left -= _match_each(orders, n_orders, wants, wanted, True)
    if left > 0:
        _match_each(orders, n_orders, wants, wanted, False)


@kernel
def _match_profits(orders, n_orders, wants, wanted):
    """Take-profits: of a cycle there is one order at most, and most stand in the order of their cycles. Returns how many pairs."""
    pairs, hint, w = 0, n_orders - 1, wanted - 1
    while w >= 0 and wants[w]["role"] == _TAKE_PROFIT:
        for k in range(n_orders):
            j = hint - k if k <= hint else hint - k + n_orders
            if orders[j]["role"] == _TAKE_PROFIT and orders[j]["key"] == wants[w]["key"] and orders[j]["side"] == wants[w]["side"]:
                _pair(orders, j, wants, w)
                pairs, hint = pairs + 1, j
                break
        w -= 1
    return pairs


@kernel
def _match_ladder(orders, n_orders, wants, wanted):
    """Entries of a ladder by price: no two are wanted at one, and they stand sorted, so that each order looks for its own.

    Returns how many pairs.
    """
    buys = _end_of_side(wants, 0, wanted, BUY)
    sells, pairs = _end_of_side(wants, buys, wanted, SELL), 0
    for j in range(n_orders):  # oldest first
        order = orders[j]
        low, high = (0, buys) if order["side"] > 0 else (buys, sells)
        if order["role"] == _ENTRY and low < high:
            px = coming_px(order)
            w = low + order["key"] - wants[low]["key"]  # its place under the plan it was sent for, if nothing between is held
            if w < low or w >= high or wants[w]["px"] != px:
                w = _find_price(wants, low, high, order["side"], px)
            if w != NONE and wants[w]["side"] == order["side"] and wants[w]["order"] == NONE and wants[w]["refused"] == 0:
                _pair(orders, j, wants, w)
                pairs += 1
    return pairs


@kernel
def _end_of_side(wants, first, wanted, side):
    """Past the last of the entries of one side that begin at `first`."""
    end = first
    while end < wanted and wants[end]["role"] == _ENTRY and wants[end]["side"] == side:
        end += 1
    return end


@kernel
def _find_price(wants, low, high, side, px):
    """The entry in [low, high) with this price, or -1; nearest first, so that prices fall on the side of buys."""
    while low < high:
        middle = (low + high) // 2
        if wants[middle]["px"] == px:
            return middle
        if (wants[middle]["px"] > px) == (side > 0):
            low = middle + 1
        else:
            high = middle
    return NONE


@kernel
def _match_each(orders, n_orders, wants, wanted, by_price):
    """Each want without an order with the oldest order left that it matches: entries by price, or all by key. Returns how many."""
    pairs = 0
    for w in range(wanted):
        want = wants[w]
        if want["order"] == NONE and want["refused"] == 0 and (want["role"] == _ENTRY or not by_price):
            j = _find_order(orders, n_orders, want, by_price)
            if j != NONE:
                _pair(orders, j, wants, w)
                pairs += 1
    return pairs


@kernel
def _pair(orders, j, wants, w):
    orders[j]["wanted"], wants[w]["order"] = w, j
    orders[j]["key"] = wants[w]["key"]


@kernel
def _find_order(orders, n_orders, want, by_price):
    """The oldest order not yet paired that `want` matches, or -1."""
    for j in range(n_orders):
        order = orders[j]
        if order["wanted"] == NONE and order["side"] == want["side"] and order["role"] == want["role"]:
            if (coming_px(order) == want["px"]) if by_price else (order["key"] == want["key"]):
                return j
    return NONE


@kernel
def _collect(world, s, wanted):
    """Intents of the symbol, unsorted: cancels of unmatched orders, amends of unequal pairs, places of unmatched wants."""
    n = 0
    symbol = world.symbols[s]
    mid2 = symbol["mid2"]
    orders, wants, intents = world.orders[s], world.wanted, world.intents
    for j in range(symbol["n_orders"]):
        order = orders[j]
        if order["change"] != _NO_CHANGE:
            continue  # one change in flight at a time: its taking effect is a reflex, which looks again
        if order["wanted"] == NONE:
            n = _intend(intents, n, mid2, _CANCEL, j, order["side"], order["role"], order["key"], order["px"], order["qty"], 0)
        elif order["role"] != _FLATTEN:  # a market order has no price, and its quantity is cut when it fills
            want = wants[order["wanted"]]
            if order["qty"] != want["qty"] or (order["px"] != want["px"] and _is_movable(world.exposure[0], symbol, want)):
                n = _intend(intents, n, mid2, _AMEND, j, want["side"], want["role"], want["key"], want["px"], want["qty"], 0)
    for w in range(wanted):
        if wants[w]["order"] == NONE:
            want = wants[w]
            refused = want["refused"]
            n = _intend(intents, n, mid2, _PLACE, NONE, want["side"], want["role"], want["key"], want["px"], want["qty"], refused)
    return n


@kernel
def _is_movable(exposure, symbol, want):
    """Whether an order goes to its wanted price. A take-profit moved by post-only stays until that price is passive."""
    return want["role"] == _ENTRY or _is_passive(want["side"], want["px"], _post_only_limit(exposure, symbol, want["side"]))


@kernel
def _intend(intents, n, mid2, kind, slot, side, role, key, px, qty, refused):
    row = intents[n]
    row["refused"] = refused
    row["kind"], row["slot"], row["side"], row["role"], row["key"] = kind, slot, side, role, key
    row["px"], row["qty"] = px, qty
    row["group"] = 1 if role == _ENTRY else 0
    row["distance"] = abs(2 * px - mid2)
    return n + 1


@kernel
def _before(a, b):
    """The sending order: kind, take-profits before entries, nearest first, BUY first, role, key."""
    if a["kind"] != b["kind"]:
        return a["kind"] < b["kind"]
    if a["group"] != b["group"]:
        return a["group"] < b["group"]
    if a["distance"] != b["distance"]:
        return a["distance"] < b["distance"]
    if a["side"] != b["side"]:
        return a["side"] > b["side"]
    if a["role"] != b["role"]:
        return a["role"] < b["role"]
    return a["key"] < b["key"]


@kernel
def _sort(intents, n):
    """Insertion sort: stable, and there are few. The row past the last is the spare hand."""
    for k in range(1, n):
        j = k
        if not _before(intents[k], intents[k - 1]):
            continue
        intents[n] = intents[k]
        while j > 0 and _before(intents[n], intents[j - 1]):
            intents[j] = intents[j - 1]
            j -= 1
        intents[j] = intents[n]


# Send


@kernel
def _send(world, params, instruments, tape, event, ts, s, intent):
    """Past the guards to the venue; whether it goes as it was wanted."""
    if intent["kind"] == _CANCEL:
        _send_cancel(world, params, tape, event, ts, s, intent)
        return True
    px, reason = intent["px"], intent["refused"]
    sent = reason == 0
    if not sent or intent["role"] == _FLATTEN:
        pass
    elif intent["role"] == _ENTRY:
        reason = _refusal(world, params, instruments, ts, s, intent)
        sent = reason == 0
    else:
        reason = _reduce_refusal(world, params, instruments, s, intent)
        sent = reason == 0
        if sent:
            limit = _post_only_limit(world.exposure[0], world.symbols[s], intent["side"])
            if not _is_passive(intent["side"], px, limit):
                reason = _POST_ONLY
                sent = limit >= 1
                px = limit if sent else px
    if intent["kind"] == _AMEND:
        order = world.orders[s, intent["slot"]]
        if order["px"] == px and order["qty"] == intent["qty"]:
            return False
        _put_intent(tape, event, ts, s, intent, order["id"], px, reason)
        if sent:
            _add_to(world.exposure[0], intent["side"], intent["role"], px, max(0, intent["qty"] - order["qty"]))
            order["change"], order["change_px"], order["change_qty"] = _AMEND, px, intent["qty"]
            order["change_ts"] = ts + params[0]["order_latency"]
            if intent["role"] == _ENTRY:
                world.symbols[s]["entries_ts"] = ts
            _sent(world, params, ts, order["change_ts"])
    elif sent:
        _place(world, params, tape, event, ts, s, intent, px, reason)
    else:
        _put_intent(tape, event, ts, s, intent, NONE, px, reason)
    return sent and px == intent["px"]


@kernel
def _send_cancel(world, params, tape, event, ts, s, intent):
    order = world.orders[s, intent["slot"]]
    order["change"] = _CANCEL
    order["change_ts"] = ts + params[0]["cancel_latency"]
    _put_intent(tape, event, ts, s, intent, order["id"], order["px"], 0)
    _sent(world, params, ts, order["change_ts"])


@kernel
def _place(world, params, tape, event, ts, s, intent, px, reason):
    symbol, run = world.symbols[s], world.run[0]
    if symbol["n_orders"] == world.orders.shape[1]:
        run["fault"] = FAULT_TOO_MANY_ORDERS
        return
    order = world.orders[s, symbol["n_orders"]]
    symbol["n_orders"] += 1
    order["id"] = run["next_order"]
    run["next_order"] += 1
    order["side"], order["role"], order["key"] = intent["side"], intent["role"], intent["key"]
    order["px"], order["qty"] = px, intent["qty"]
    _add_to(world.exposure[0], order["side"], order["role"], px, order["qty"])
    _count_in(world.exposure[0], order["role"])
    order["live"], order["live_ts"] = 0, ts + params[0]["order_latency"]
    order["change"], order["wanted"], order["partial"] = _NO_CHANGE, NONE, 0
    if intent["role"] == _ENTRY:
        symbol["entries_ts"] = ts
    _put_intent(tape, event, ts, s, intent, order["id"], px, reason)
    put_order(tape, event, ts, s, order["id"], NONE, _PENDING, px, order["qty"], order["live_ts"])
    _sent(world, params, ts, order["live_ts"])


@kernel
def _sent(world, params, ts, due):
    """Whatever is sent costs a token and is due to take effect."""
    run = world.run[0]
    run["tokens"] = _tokens(run, params[0], ts) - _TOKEN
    run["tokens_ts"] = ts
    run["next_due"] = min(run["next_due"], due)


@kernel
def _tokens(run, p, ts):
    """Tokens in 1e-9 at `ts`: refilled by event time, up to the burst."""
    missing = p["order_burst"] * _TOKEN - run["tokens"]
    elapsed = ts - run["tokens_ts"]
    if elapsed == 0:
        return run["tokens"]
    if elapsed > missing // p["order_rate"]:
        return p["order_burst"] * _TOKEN
    return run["tokens"] + elapsed * p["order_rate"]


# What is open, summed up once a reconciliation and kept up with what is sent


@kernel
def _sum_up(world, params, instruments, s):
    """Fill `world.exposure`: each order counts at its larger quantity and at both its prices while an amend is in flight."""
    exposure, orders = world.exposure[0], world.orders[s]
    exposure["buys"], exposure["sells"], exposure["closing_buys"], exposure["closing_sells"] = 0, 0, 0, 0
    exposure["lowest_sell"], exposure["highest_buy"], exposure["profits"], exposure["rest"] = FAR, -FAR, 0, 0
    for j in range(world.symbols[s]["n_orders"]):
        order = orders[j]
        _add_to(exposure, order["side"], order["role"], order["px"], max(order["qty"], coming_qty(order)))
        if order["change"] == _AMEND:
            _add_to(exposure, order["side"], order["role"], order["change_px"], 0)
        _count_in(exposure, order["role"])
    exposure["others"] = 0
    for other in range(len(world.symbols)):
        if other != s:
            lots = worst_lots(world, other)
            exposure["others"] += world.symbols[other]["mid2"] * instruments[other]["half_tick_value"] * lots
    exposure["most_lots"] = world.run[0]["max_inventory"] // max(1, world.symbols[s]["mid2"] * instruments[s]["half_tick_value"])
    exposure["most_gross"] = share_of(max(0, world.run[0]["equity"]), params[0]["max_leverage"])


@kernel
def _add_to(exposure, side, role, px, qty):
    resting = role == _ENTRY or role == _TAKE_PROFIT
    if side > 0:
        exposure["buys"] += qty if resting else 0
        exposure["closing_buys"] += 0 if resting else qty
        exposure["highest_buy"] = max(exposure["highest_buy"], px) if role != _FLATTEN else exposure["highest_buy"]
    else:
        exposure["sells"] += qty if resting else 0
        exposure["closing_sells"] += 0 if resting else qty
        exposure["lowest_sell"] = min(exposure["lowest_sell"], px) if role != _FLATTEN else exposure["lowest_sell"]


@kernel
def _count_in(exposure, role):
    if role == _TAKE_PROFIT:
        exposure["profits"] += 1
    else:
        exposure["rest"] += 1


@kernel
def _side_lots(exposure, position, side):
    """What a side can still add: entries and take-profits, and of reduce-only orders what closes the opposite position."""
    if side > 0:
        return exposure["buys"] + min(exposure["closing_buys"], max(0, -position))
    return exposure["sells"] + min(exposure["closing_sells"], max(0, position))


# Guards


@kernel
def _refusal(world, params, instruments, ts, s, intent):
    """Why an entry may not be sent, as a reason bit; 0 if it may. The first refusal of the ladder wins."""
    p, run, symbol, instrument, exposure = params[0], world.run[0], world.symbols[s], instruments[s], world.exposure[0]
    side, px, qty = intent["side"], intent["px"], intent["qty"]
    exposed = side * symbol["position"] + _side_lots(exposure, symbol["position"], side) + _more(world, s, intent)
    if exposed > exposure["most_lots"]:
        return _MAX_INVENTORY
    worst = max(abs(exposed), abs(side * symbol["position"] - _side_lots(exposure, symbol["position"], -side)))
    gross = exposure["others"] + symbol["mid2"] * instrument["half_tick_value"] * worst
    if gross > exposure["most_gross"]:
        return _MAX_LEVERAGE
    if px <= p["min_notional"] // (qty * instrument["tick_value"]) and px * qty * instrument["tick_value"] < p["min_notional"]:
        return _MIN_NOTIONAL
    if intent["kind"] == _PLACE and _too_many_orders(world, p, s):
        return _MAX_OPEN_ORDERS
    if exposed > instrument["hard_cap"]:
        return _HARD_CAP
    if symbol["throttled"] != 0 or _tokens(run, p, ts) < _TOKEN:
        return _RATE_LIMIT
    if not _is_passive(side, px, _post_only_limit(exposure, symbol, side)):
        return _POST_ONLY
    return 0


@kernel
def _more(world, s, intent):
    """By how many lots a placement or an amend adds to its side."""
    return intent["qty"] if intent["kind"] == _PLACE else max(0, intent["qty"] - world.orders[s, intent["slot"]]["qty"])


@kernel
def _reduce_refusal(world, params, instruments, s, intent):
    """A take-profit is refused only where the position could pass the hard cap, a reduce-only order where there are too many."""
    if intent["role"] != _TAKE_PROFIT:
        crowded = intent["kind"] == _PLACE and _reduce_only_orders(world, s) >= params[0]["max_open_orders"]
        return _MAX_OPEN_ORDERS if crowded else 0
    side, position = intent["side"], world.symbols[s]["position"]
    exposed = side * position + _side_lots(world.exposure[0], position, side) + _more(world, s, intent)
    return _HARD_CAP if exposed > instruments[s]["hard_cap"] else 0


@kernel
def _too_many_orders(world, p, s):
    """Open and in-flight orders, and open cycles that wait for their take-profit, against both limits."""
    own = world.exposure[0]["rest"] + max(world.exposure[0]["profits"], world.symbols[s]["n_cycles"])
    total = own
    for other in range(len(world.symbols)):
        if other != s:
            total += count_orders(world.symbols[other], world.orders[other])
    return own >= p["max_open_orders"] or total >= p["max_open_orders_portfolio"]


@kernel
def _reduce_only_orders(world, s):
    """Open and in-flight reduce-only orders: entries never stand in the way of an exit."""
    count, orders = 0, world.orders[s]
    for j in range(world.symbols[s]["n_orders"]):
        if orders[j]["role"] != _ENTRY and orders[j]["role"] != _TAKE_PROFIT:
            count += 1
    return count


@kernel
def _post_only_limit(exposure, symbol, side):
    """The most aggressive price at which an order of `side` may rest: own orders never cross (SPEC 8)."""
    if side > 0:
        return min(symbol["ask_px"] - 1, (symbol["mid2"] - 1) // 2, exposure["lowest_sell"] - 1)
    return max(symbol["bid_px"] + 1, symbol["mid2"] // 2 + 1, exposure["highest_buy"] + 1)


@kernel
def _is_passive(side, px, limit):
    return px <= limit if side > 0 else px >= limit


# Records


@kernel
def _put_intent(tape, event, ts, s, intent, order, px, reason):
    row = tape.intents[tape.used[0]["intents"]]
    tape.used[0]["intents"] += 1
    row["event"], row["ts"], row["symbol"], row["kind"], row["order"] = event, ts, s, intent["kind"], order
    row["side"], row["role"], row["key"] = intent["side"], intent["role"], intent["key"]
    row["price"], row["qty"], row["reason"] = px, intent["qty"], reason
