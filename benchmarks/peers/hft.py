"""hftbacktest: the grid in its numba API, on events of the best levels.

Its exchange model without partial fills fills a resting order when the other side's best price reaches it, at the order's price:
grinder's `cross`. Latencies are 0; a quote makes one depth event for each size that changes and two for each best price that
moves (the new level, then the old one's removal), so that nothing is sent that did not change. The array-based depth of a range
of prices is the faster of its two. `every=quote` looks at the position after every quote (`wait_next_feed`), as grinder does;
`every=N` only every N ms (`elapse`), as its own examples do: on a tape whose price cannot reach another order sooner the fills
are the same. hftbacktest keeps no list of fills, so the strategy notes them.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from common import Fills, Tape, main

_start = time.perf_counter()
from hftbacktest import (  # noqa: E402 - timed
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    FILLED,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype  # noqa: E402
from numba import njit  # noqa: E402

IMPORTED = time.perf_counter() - _start
NOTED = 1 << 16
"""Room for fills, and orders."""


@njit
def _side(events, n, flag, ts, old, old_qty, new, new_qty):  # noqa: ANN001, ANN202
    if new == old and new_qty == old_qty:
        return n
    row = events[n]
    row["ev"], row["exch_ts"], row["local_ts"], row["px"], row["qty"] = flag, ts, ts, new, new_qty
    n += 1
    if new != old and old > 0:
        row = events[n]
        row["ev"], row["exch_ts"], row["local_ts"], row["px"], row["qty"] = flag, ts, ts, old, 0.0
        n += 1
    return n


@njit
def _events(events, ts, bids, bid_qty, asks, ask_qty, tick, lot, buy, sell):  # noqa: ANN001, ANN202
    """Depth events of a tape; the side that moves away from the other first, so that they never cross."""
    n, bid, ask, bid_lots, ask_lots = 0, 0, 0, 0, 0
    for i in range(len(ts)):
        if bids[i] > bid:
            n = _side(events, n, sell, ts[i], ask * tick, ask_lots * lot, asks[i] * tick, ask_qty[i] * lot)
            n = _side(events, n, buy, ts[i], bid * tick, bid_lots * lot, bids[i] * tick, bid_qty[i] * lot)
        else:
            n = _side(events, n, buy, ts[i], bid * tick, bid_lots * lot, bids[i] * tick, bid_qty[i] * lot)
            n = _side(events, n, sell, ts[i], ask * tick, ask_lots * lot, asks[i] * tick, ask_qty[i] * lot)
        bid, ask, bid_lots, ask_lots = bids[i], asks[i], bid_qty[i], ask_qty[i]
    return n


@njit
def _grid(hbt, entry, leave, levels, quantity, tick, every, fills):  # noqa: ANN001, ANN202
    """The strategy; returns how many fills it noted. `every` ns, or 0: at every quote."""
    what = np.zeros((NOTED, 3), np.int64)  # by order id: is it a take-profit, ladder, index
    ids = np.zeros((2, 64), np.uint64)  # of the open entry of each level
    held = np.zeros(2, np.int64)
    next_id, noted, position, begun = 1, 0, 0.0, False
    while True:
        if every > 0:
            if hbt.elapse(every) != 0:
                break
        elif hbt.wait_next_feed(False, 1_000_000_000_000) == 1:
            break
        if not begun:
            begun = True
            for k in range(2):
                for i in range(levels):
                    ids[k, i] = next_id
                    what[next_id, 0], what[next_id, 1], what[next_id, 2] = 0, k, i
                    _send(hbt, k, next_id, entry[k, i] * tick, quantity)
                    next_id += 1
            continue
        now = hbt.position(0)
        if now == position:
            continue
        position = now
        values = hbt.orders(0).values()
        while values.has_next():
            order = values.get()
            if order.status != FILLED:
                continue
            id_ = order.order_id
            leaving, k, i = what[id_]
            fills[noted, 0], fills[noted, 1] = order.exch_timestamp, order.side
            fills[noted, 2], fills[noted, 3] = order.exec_price_tick, round(order.exec_qty / quantity)
            noted += 1
            far = levels + held[k]
            if leaving == 0:  # an entry: its take-profit, and one level farther out
                what[next_id, 0], what[next_id, 1], what[next_id, 2] = 1, k, i
                _send(hbt, 1 - k, next_id, leave[k, i] * tick, quantity)
                next_id += 1
                i = far
                held[k] += 1
            else:  # a take-profit: its level is back, the farthest goes
                hbt.cancel(0, ids[k, far - 1], False)
                held[k] -= 1
            ids[k, i] = next_id
            what[next_id, 0], what[next_id, 1], what[next_id, 2] = 0, k, i
            _send(hbt, k, next_id, entry[k, i] * tick, quantity)
            next_id += 1
            break
        hbt.clear_inactive_orders(0)
    hbt.close()
    return noted


@njit
def _send(hbt, k, id_, price, quantity):  # noqa: ANN001, ANN202
    if k == 0:
        hbt.submit_buy_order(0, id_, price, quantity, GTC, LIMIT, False)
    else:
        hbt.submit_sell_order(0, id_, price, quantity, GTC, LIMIT, False)


def load(tape: Tape, every: str = "quote") -> dict[str, Any]:
    """The tape as hftbacktest's events."""
    events = np.zeros(4 * len(tape), event_dtype)
    both = EXCH_EVENT | LOCAL_EVENT | DEPTH_EVENT
    columns = (tape.ts, tape.bid_px, tape.bid_qty, tape.ask_px, tape.ask_qty)
    count = _events(events, *columns, tape.tick, tape.lot, np.uint64(both | BUY_EVENT), np.uint64(both | SELL_EVENT))
    return {"events": events[:count].copy(), "tape": tape, "every": 0 if every == "quote" else int(every) * 1_000_000}


def fresh(loaded: dict[str, Any]) -> dict[str, Any]:
    """A backtest of the events."""
    tape = loaded["tape"]
    low, high = tape.bid_px.min() - 1_000, tape.ask_px.max() + 1_000
    asset = (
        BacktestAsset()
        .data(loaded["events"])
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0002, 0.0005)
        .tick_size(tape.tick)
        .lot_size(tape.lot)
        .roi_lb(low * tape.tick)
        .roi_ub(high * tape.tick)
        .last_trades_capacity(0)
    )
    return loaded | {"hbt": ROIVectorMarketDepthBacktest([asset]), "fills": np.zeros((NOTED, 4), np.int64)}


def replay(ready: dict[str, Any]) -> np.ndarray:
    """Run the strategy to the end of the data."""
    tape, noted = ready["tape"], ready["fills"]
    count = _grid(ready["hbt"], tape.entry, tape.exit, tape.levels, tape.quantity * tape.lot, tape.tick, ready["every"], noted)
    return noted[:count]


def fills(done: np.ndarray, tape: Tape) -> Fills:
    """As every peer tells them; a whole order is the grid's quantity."""
    return [(ts, side, price, share * tape.quantity) for ts, side, price, share in done.tolist()]


if __name__ == "__main__":
    main(load, fresh, replay, fills, packages=("hftbacktest", "numba", "numpy"), imported=IMPORTED)
