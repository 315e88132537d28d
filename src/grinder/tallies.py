"""What metrics count and sum up in the tables of a run: exactly, in one pass over each (SPEC 13).

In a kernel, since the cells of a sweep are measured by threads: hundreds of short numpy calls a cell each hand over Python's lock.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from grinder._bundle import by_address
from grinder._jit import kernel
from grinder.records import NONE, STAGES, Adds, Cause, Feature, GateKind, OrderState, Regime, Severity
from grinder.units import NS_PER_DAY

__all__ = ["HORIZONS", "TOLD", "Sum", "Tallies", "Told", "empty_tallies", "tally"]

HORIZONS: Final = (1, 5, 30, 300)
"""Seconds after a fill at which its markouts are taken."""


class Sum(IntEnum):
    """What is summed up of a symbol."""

    ORDERS = 0
    """placed"""
    CHANGED = 1
    """cancels and amends that took effect"""
    FILLED = 2
    """orders that any fill was of"""
    WAITED = 3
    """ns from placing to the last fill, of those"""
    SPREAD = 4
    """what fills were better than the mid, atoms"""
    INVENTORY = 5
    """the mid's moves on what was held, atoms"""
    SPREAD_BPS = 6
    SPREADS = 7
    IMPACT = 8
    IMPACTS = 9
    """features and how many bar closes have them"""
    ADDS_OFF = 10
    """ns"""
    MOVED = 11
    """atoms in the fills' direction until each horizon, one after another; then what was filled, atoms, of the same fills"""
    TRADED = MOVED + len(HORIZONS)


_SUMS: Final = Sum.TRADED + len(HORIZONS)
_HALF: Final = 32


class Told(NamedTuple):
    """What a run tells: some of its tables, and what they are read with. S symbols, F fills."""

    fills: np.ndarray
    orders: np.ndarray
    """ids are those of its rows at most, as each order has a row of its own"""
    ledger: np.ndarray
    plans: np.ndarray
    regimes: np.ndarray
    gates: np.ndarray
    features: np.ndarray
    mids: np.ndarray
    """int64, (F, 1 + horizons): mid2 at each fill and after each of HORIZONS; 0 where there is none"""
    tick_values: np.ndarray
    """int64, (S,): atoms per tick and lot"""
    last_mids: np.ndarray
    """int64, (S,): mid2 after the last event"""
    present: np.ndarray
    """int64, (S,): the Regime after the last event"""


class Tallies(NamedTuple):
    """What it comes to. S symbols, O rows of orders, L rows of the ledger."""

    sums: np.ndarray
    """int64, (S, sums, 2): high and low halves, since products of prices, quantities and atoms may sum past int64"""
    held: np.ndarray
    """int64, (S + 1, 2): notional at the last mark and the largest, atoms; last the portfolio's, each symbol as of its own mark"""
    in_regime: np.ndarray
    """int64, (S, regimes): ns"""
    toxicity: np.ndarray
    """int64, (S,): the worst Severity"""
    points: np.ndarray
    """int64, (3, L + 2): time, equity and UTC day of the account's start, every mark and its end; `tally` says how many"""
    placed: np.ndarray
    """int64, (O,), scratch: when each order was placed; NONE once a fill of it was seen"""
    since: np.ndarray
    """int64, (S, 2), scratch: when what is in force of a symbol began, and what it is"""

    def totals(self) -> list[list[int]]:
        """The sums of each symbol, by `Sum`."""
        return [[(high << _HALF) + low for high, low in row] for row in self.sums.tolist()]


TOLD: Final = tuple(name for name in Told._fields if name in STAGES)
"""The tables."""

by_address(Told)
by_address(Tallies)


def empty_tallies(told: Told) -> Tallies:
    """Nothing yet."""
    symbols = len(told.tick_values)
    return Tallies(
        sums=np.zeros((symbols, _SUMS, 2), np.int64),
        held=np.zeros((symbols + 1, 2), np.int64),
        in_regime=np.zeros((symbols, len(Regime)), np.int64),
        toxicity=np.full(symbols, int(Severity.LOW), np.int64),
        points=np.empty((3, len(told.ledger) + 2), np.int64),
        placed=np.full(len(told.orders), NONE, np.int64),
        since=np.empty((symbols, 2), np.int64),
    )


# Codes as plain integers: numba takes an enum's member for another type than its value

_ORDERS, _CHANGED, _FILLED, _WAITED = int(Sum.ORDERS), int(Sum.CHANGED), int(Sum.FILLED), int(Sum.WAITED)
_SPREAD, _INVENTORY, _ADDS_OFF = int(Sum.SPREAD), int(Sum.INVENTORY), int(Sum.ADDS_OFF)
_SPREAD_BPS, _SPREADS, _IMPACT, _IMPACTS = int(Sum.SPREAD_BPS), int(Sum.SPREADS), int(Sum.IMPACT), int(Sum.IMPACTS)
_MOVED, _TRADED = int(Sum.MOVED), int(Sum.TRADED)
_CANCELLED: Final = int(OrderState.CANCELLED)
_OFF: Final = int(Adds.OFF)
_TOXICITY: Final = int(GateKind.TOXICITY)
_ROLL: Final = int(Cause.ROLL)
_HAS_SPREAD, _HAS_IMPACT = int(Feature.SPREAD_BPS), int(Feature.IMPACT)


@kernel
def tally(told: Told, out: Tallies, first_ts: int, last_ts: int, initial: int, equity: int) -> int:
    """Fill in everything. Returns how many points of the account there are.

    Args:
        first_ts, last_ts: of the run, ns. initial, equity: of the account at its start and its end, atoms.
    """
    _orders(told.orders, out)
    _fills(told, out)
    _features(told.features, out.sums)
    _plans(told.plans, out, first_ts, last_ts)
    _regimes(told, out, first_ts, last_ts)
    for g in range(len(told.gates)):
        gate = told.gates[g]
        if gate["gate"] == _TOXICITY:
            out.toxicity[gate["symbol"]] = max(out.toxicity[gate["symbol"]], gate["to"])
    last = 1 + _marks(told.ledger, out)
    _point(out.points, 0, first_ts, initial, 0)
    _point(out.points, last, last_ts, equity, 0)
    return last + 1


@kernel
def _add(sums: Any, s: int, what: int, value: int) -> None:
    sums[s, what, 0] += value >> _HALF
    sums[s, what, 1] += value & ((1 << _HALF) - 1)


@kernel
def _orders(orders: Any, out: Tallies) -> None:
    """Orders placed and changed, and when each was placed."""
    for o in range(len(orders)):
        order = orders[o]
        if order["from"] == NONE:
            out.placed[order["order"]] = order["ts"]
            out.sums[order["symbol"], _ORDERS, 1] += 1
        if order["to"] == _CANCELLED or order["from"] == order["to"]:
            out.sums[order["symbol"], _CHANGED, 1] += 1


@kernel
def _fills(told: Told, out: Tallies) -> None:
    """Orders filled and how long they waited; what each fill captured of the spread, what it gained with the mid until the end, and
    until each horizon.

    Last fills first, so that the first one seen of an order is its last.
    """
    fills, mids, sums = told.fills, told.mids, out.sums
    for back in range(len(fills)):
        f = len(fills) - 1 - back
        fill, s = fills[f], fills[f]["symbol"]
        placed = out.placed[fill["order"]]
        if placed != NONE:
            out.placed[fill["order"]] = NONE
            sums[s, _FILLED, 1] += 1
            _add(sums, s, _WAITED, fill["ts"] - placed)
        half, price2 = told.tick_values[s] // 2, 2 * fill["price"]
        gain = fill["side"] * fill["qty"] * half
        _add(sums, s, _SPREAD, gain * (mids[f, 0] - price2))
        _add(sums, s, _INVENTORY, gain * (told.last_mids[s] - mids[f, 0]))
        for k in range(mids.shape[1] - 1):
            if mids[f, k + 1] > 0:
                _add(sums, s, _MOVED + k, gain * (mids[f, k + 1] - price2))
                _add(sums, s, _TRADED + k, fill["price"] * fill["qty"] * told.tick_values[s])


@kernel
def _features(features: Any, sums: Any) -> None:
    """The features whose means are told, and how many bar closes have them."""
    for b in range(len(features)):
        bar, s = features[b], features[b]["symbol"]
        if bar["absent"] & _HAS_SPREAD == 0:
            _add(sums, s, _SPREAD_BPS, bar["spread_bps"])
            sums[s, _SPREADS, 1] += 1
        if bar["absent"] & _HAS_IMPACT == 0:
            _add(sums, s, _IMPACT, bar["impact"])
            sums[s, _IMPACTS, 1] += 1


@kernel
def _plans(plans: Any, out: Tallies, first_ts: int, last_ts: int) -> None:
    """Time before a symbol's first plan, and under plans that add on neither side."""
    since = out.since  # and whether there are no adds since then
    for s in range(len(since)):
        since[s, 0], since[s, 1] = first_ts, 1
    for p in range(len(plans)):
        plan, s = plans[p], plans[p]["symbol"]
        _add(out.sums, s, _ADDS_OFF, since[s, 1] * (plan["ts"] - since[s, 0]))
        since[s, 0], since[s, 1] = plan["ts"], 1 if plan["adds_down"] == _OFF and plan["adds_up"] == _OFF else 0
    for s in range(len(since)):
        _add(out.sums, s, _ADDS_OFF, since[s, 1] * (last_ts - since[s, 0]))


@kernel
def _regimes(told: Told, out: Tallies, first_ts: int, last_ts: int) -> None:
    """Time in each regime, from the last one back."""
    until = out.since  # and the regime then
    for s in range(len(until)):
        until[s, 0], until[s, 1] = last_ts, told.present[s]
    for back in range(len(told.regimes)):
        change = told.regimes[len(told.regimes) - 1 - back]
        s = change["symbol"]
        out.in_regime[s, until[s, 1]] += until[s, 0] - change["ts"]
        until[s, 0], until[s, 1] = change["ts"], change["from"]
    for s in range(len(until)):
        out.in_regime[s, until[s, 1]] += until[s, 0] - first_ts


@kernel
def _marks(ledger: Any, out: Tallies) -> int:
    """Notional held at marks, where unrealised PnL and cost have the mid in them, and the account's points. Returns how many."""
    held, portfolio, points = out.held, len(out.held) - 1, 0
    for m in range(len(ledger)):
        mark = ledger[m]
        s = mark["symbol"]
        if s == NONE:
            held[portfolio, 1] = max(held[portfolio, 1], held[portfolio, 0])
            points += 1
            _point(out.points, points, mark["ts"], mark["equity"], 1 if mark["cause"] & _ROLL != 0 else 0)
        else:
            sign = 1 if mark["position"] > 0 else -1 if mark["position"] < 0 else 0
            notional = abs(mark["unrealised"] + sign * mark["cost"])
            held[portfolio, 0] += notional - held[s, 0]
            held[s, 0], held[s, 1] = notional, max(held[s, 1], notional)
    return points


@kernel
def _point(points: Any, place: int, ts: int, equity: int, closes_before: int) -> None:
    """A point of the account. It belongs to the UTC day of its event; a roll of the drawdown window, marked at the mids before
    midnight, to the day before."""
    points[0, place], points[1, place], points[2, place] = ts, equity, ts // NS_PER_DAY - closes_before
