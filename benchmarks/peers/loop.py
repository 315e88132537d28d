"""The grid as a plain Python loop over lists: what one writes first. No bars, no ledger, no records but the fills."""

from __future__ import annotations

from typing import Any

from common import Fills, Tape, main

FAR = 1 << 62


def load(tape: Tape) -> dict[str, Any]:
    """Everything as Python's own numbers."""
    columns = {name: getattr(tape, name).tolist() for name in ("ts", "bid_px", "ask_px", "entry", "exit")}
    return columns | {"levels": tape.levels, "quantity": tape.quantity}


def replay(tape: dict[str, Any]) -> Fills:
    """Compare the best resting order of each side with every quote; on a fill change the orders."""
    ts, bids, asks, entry, leave = (tape[name] for name in ("ts", "bid_px", "ask_px", "entry", "exit"))
    levels, quantity = tape["levels"], tape["quantity"]
    resting = [{entry[k][i]: (k, i) for i in range(levels)} for k in (0, 1)]  # BUYs and SELLs: price -> ladder, index
    held = [0, 0]
    fills = []
    best_buy, best_sell = max(resting[0]), min(resting[1])
    for n in range(1, len(ts)):
        if asks[n] > best_buy and bids[n] < best_sell:
            continue
        side, price = (0, best_buy) if asks[n] <= best_buy else (1, best_sell)
        k, i = resting[side].pop(price)
        fills.append((ts[n], 1 - 2 * side, price, quantity))
        if side == k:  # an entry: its take-profit, and one level farther out
            resting[1 - k][leave[k][i]] = (k, i)
            resting[k][entry[k][levels + held[k]]] = (k, levels + held[k])
            held[k] += 1
        else:  # a take-profit: its level is back, the farthest goes
            held[k] -= 1
            del resting[k][entry[k][levels + held[k]]]
            resting[k][entry[k][i]] = (k, i)
        best_buy, best_sell = max(resting[0], default=-FAR), min(resting[1], default=FAR)
    return fills


def same(loaded: Any) -> Any:
    """A run needs nothing anew."""
    return loaded


if __name__ == "__main__":
    main(load, same, replay, lambda done, _: done, packages=())
