"""vectorbt: the grid in an order function of `Portfolio.from_order_func`, or as arrays for `Portfolio.from_orders`.

vectorbt has no resting orders: at each row a strategy says what is traded and at which price. So the strategy itself keeps the
grid and compares it with the quote, by the rule of `cross`; prices become floats of quote currency where vectorbt takes them.

`how=callback`: a jitted order function, asked at every row, with what can be switched off switched off. `how=masked`: only at the
rows at which a price moves, which were found before. `how=arrays`: a jitted loop that is no part of vectorbt finds the trades and
`from_orders` books them; `engine` is numba or rust, as vectorbt-rust has it.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from common import Fills, Tape, main

_start = time.perf_counter()
import vectorbt as vbt  # noqa: E402 - timed
from numba import njit  # noqa: E402
from vectorbt.portfolio import nb  # noqa: E402

IMPORTED = time.perf_counter() - _start
RUNGS = 64
FEE = 0.0002
MAX_ORDERS = 1 << 16


@njit
def _first(grid, entry, resting, levels):  # noqa: ANN001, ANN202
    """Lay the grid out: by side of the order and of its ladder, and index, the price of what rests, 0 for nothing."""
    grid[:], resting[:] = 0, 0
    for k in range(2):
        for i in range(levels):
            resting[k, k, i] = entry[k, i]
    _note_best(grid, resting)


@njit
def _note_best(grid, resting):  # noqa: ANN001, ANN202
    """Note the highest BUY and the lowest SELL, and where they are."""
    grid[0], grid[1] = -1 << 40, 1 << 40
    for k in range(2):
        for i in range(RUNGS):
            if resting[0, k, i] > grid[0]:
                grid[0], grid[4], grid[5] = resting[0, k, i], k, i
            if 0 < resting[1, k, i] < grid[1]:
                grid[1], grid[6], grid[7] = resting[1, k, i], k, i


@njit
def _fill(grid, entry, leave, resting, levels, side):  # noqa: ANN001, ANN202
    """Fill the best order of a side, change the orders, return its price."""
    k, i = (grid[4], grid[5]) if side == 0 else (grid[6], grid[7])
    price = resting[side, k, i]
    resting[side, k, i] = 0
    if side == k:  # an entry: its take-profit, and one level farther out
        resting[1 - k, k, i] = leave[k, i]
        resting[k, k, levels + grid[2 + k]] = entry[k, levels + grid[2 + k]]
        grid[2 + k] += 1
    else:  # a take-profit: its level is back, the farthest goes
        grid[2 + k] -= 1
        resting[k, k, levels + grid[2 + k]] = 0
        resting[k, k, i] = entry[k, i]
    _note_best(grid, resting)
    return price


@njit
def _order(c, bids, asks, grid, entry, leave, resting, levels, lots, tick):  # noqa: ANN001, ANN202
    """vectorbt's order function."""
    i = c.i
    if i == 0:
        _first(grid, entry, resting, levels)
        return nb.order_nothing_nb()
    if asks[i] > grid[0] and bids[i] < grid[1]:
        return nb.order_nothing_nb()
    side = 0 if asks[i] <= grid[0] else 1
    price = _fill(grid, entry, leave, resting, levels, side)
    return nb.order_nb(size=lots if side == 0 else -lots, price=price * tick, fees=FEE, raise_reject=True)


@njit
def _find(bids, asks, grid, entry, leave, resting, levels, lots, tick, size, price):  # noqa: ANN001, ANN202
    """All trades as rows of two arrays."""
    _first(grid, entry, resting, levels)
    for i in range(1, len(bids)):
        if asks[i] > grid[0] and bids[i] < grid[1]:
            continue
        side = 0 if asks[i] <= grid[0] else 1
        price[i] = _fill(grid, entry, leave, resting, levels, side) * tick
        size[i] = lots if side == 0 else -lots


def load(tape: Tape, how: str = "callback", engine: str = "numba") -> dict[str, Any]:
    """Arrays of the tape, and its mid as the close that positions are valued with."""
    moves = np.ones((len(tape), 1), np.bool_)
    moves[1:, 0] = (np.diff(tape.bid_px) != 0) | (np.diff(tape.ask_px) != 0)
    close = (tape.bid_px + tape.ask_px) * (tape.tick / 2)
    return {"tape": tape, "how": how, "engine": engine, "close": close, "mask": moves}


def fresh(loaded: dict[str, Any]) -> dict[str, Any]:
    """An empty grid."""
    return loaded | {"grid": np.zeros(8, np.int64), "resting": np.zeros((2, 2, RUNGS), np.int64)}


def replay(ready: dict[str, Any]) -> Any:
    """Simulate the portfolio."""
    tape = ready["tape"]
    grid = (ready["grid"], tape.entry, tape.exit, ready["resting"], tape.levels, tape.quantity * tape.lot, tape.tick)
    if ready["how"] == "arrays":
        size, price = np.full(len(tape), np.nan), np.full(len(tape), np.nan)
        _find(tape.bid_px, tape.ask_px, *grid, size, price)
        return vbt.Portfolio.from_orders(
            ready["close"], size, price=price, fees=FEE, raise_reject=True, init_cash=1e6, max_orders=MAX_ORDERS,
            ffill_val_price=False, update_value=False, attach_call_seq=False, engine=ready["engine"],
        )  # fmt: skip
    masked = {"segment_mask": ready["mask"]} if ready["how"] == "masked" else {}
    return vbt.Portfolio.from_order_func(
        ready["close"], _order, tape.bid_px, tape.ask_px, *grid, init_cash=1e6, max_orders=MAX_ORDERS, ffill_val_price=False,
        update_value=False, fill_pos_record=False, attach_call_seq=False, call_pre_segment=False, call_post_segment=False, **masked,
    )  # fmt: skip


def fills(done: Any, tape: Tape) -> Fills:
    """vectorbt's order records in ticks and lots."""
    rows = done.orders.values
    return [
        (int(tape.ts[row["idx"]]), 1 - 2 * int(row["side"]), round(row["price"] / tape.tick), round(row["size"] / tape.lot))
        for row in rows
    ]


if __name__ == "__main__":
    main(load, fresh, replay, fills, packages=("vectorbt", "numba", "numpy"), imported=IMPORTED)
