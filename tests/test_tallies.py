"""Sums over the tables of a run, against the same in plain Python, which has no largest integer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from grinder.metrics import _told
from grinder.records import Cause, Feature, GateKind, OrderState, Regime, stage_dtype
from grinder.run import Run
from grinder.session import replay
from grinder.tallies import HORIZONS, Sum, Told, empty_tallies, tally
from tests.smart_tapes import smart_case
from tests.tapes import case

DAY = 86_400 * 10**9


def by_hand(told: Told, s: int, start: int, end: int) -> dict[str, Any]:
    """All of one symbol."""

    def mine(table: np.ndarray) -> list[dict[str, int]]:
        names = table.dtype.names
        return [dict(zip(names, row, strict=True)) for row in table.tolist() if row[names.index("symbol")] == s]

    out: dict[int, int] = dict.fromkeys(range(max(Sum) + len(HORIZONS)), 0)
    orders, fills = mine(told.orders), mine(told.fills)
    mids = [row for row, symbol in zip(told.mids.tolist(), told.fills["symbol"].tolist(), strict=True) if symbol == s]
    placed = {order["order"]: order["ts"] for order in orders if order["from"] == -1}
    filled = {fill["order"]: fill["ts"] for fill in fills}
    out[Sum.ORDERS], out[Sum.FILLED] = len(placed), len(filled)
    out[Sum.CHANGED] = sum(order["to"] == OrderState.CANCELLED or order["from"] == order["to"] for order in orders)
    out[Sum.WAITED] = sum(ts - placed[order] for order, ts in filled.items())
    value, held = int(told.tick_values[s]), 0
    for k, (fill, mid) in enumerate(zip(fills, mids, strict=True)):
        signed = fill["side"] * fill["qty"]
        held += signed
        out[Sum.SPREAD] += signed * (mid[0] - 2 * fill["price"]) * value // 2
        out[Sum.INVENTORY] += held * ((mids[k + 1][0] if k + 1 < len(mids) else int(told.last_mids[s])) - mid[0]) * value // 2
        for h in range(len(HORIZONS)):
            if mid[h + 1]:
                out[Sum.MOVED + h] += signed * (mid[h + 1] - 2 * fill["price"]) * value // 2
                out[Sum.TRADED + h] += fill["qty"] * fill["price"] * value
    for what, many, feature in (
        (Sum.SPREAD_BPS, Sum.SPREADS, Feature.SPREAD_BPS),
        (Sum.IMPACT, Sum.IMPACTS, Feature.IMPACT),
    ):
        there = [bar[feature.name.lower()] for bar in mine(told.features) if not bar["absent"] & feature]
        out[what], out[many] = sum(there), len(there)
    adding = ((plan["ts"], plan["adds_down"] == 2 and plan["adds_up"] == 2) for plan in mine(told.plans))
    plans = [(start, True), *adding, (end, False)]
    out[Sum.ADDS_OFF] = sum(b[0] - a[0] for a, b in pairwise(plans) if a[1])
    changes = mine(told.regimes)
    first = changes[0]["from"] if changes else int(told.present[s])
    path = [(start, first), *((change["ts"], change["to"]) for change in changes), (end, 0)]
    regimes = [sum(b[0] - a[0] for a, b in pairwise(path) if a[1] == regime) for regime in Regime]
    toxic = max([0, *(gate["to"] for gate in mine(told.gates) if gate["gate"] == GateKind.TOXICITY)])
    worth = [abs(mark["unrealised"] + int(np.sign(mark["position"])) * mark["cost"]) for mark in mine(told.ledger)]
    return {"sums": list(out.values()), "regimes": regimes, "toxic": toxic, "held": [worth[-1] if worth else 0, max([0, *worth])]}


def compare(run: Run) -> None:
    told = _told(run)
    found = empty_tallies(told)
    points = tally(told, found, run.first_ts, run.last_ts, 1000, 2000)
    totals = found.totals()
    for s in range(len(run.symbols)):
        expected = by_hand(told, s, run.first_ts, run.last_ts)
        assert totals[s] == expected["sums"]
        assert found.in_regime[s].tolist() == expected["regimes"]
        assert found.toxicity[s] == expected["toxic"]
        assert found.held[s].tolist() == expected["held"]
    now, largest, account = dict.fromkeys(range(len(run.symbols)), 0), 0, [(run.first_ts, 1000, run.first_ts // DAY)]
    for mark in (dict(zip(told.ledger.dtype.names, row, strict=True)) for row in told.ledger.tolist()):
        if mark["symbol"] == -1:
            largest = max(largest, sum(now.values()))
            rolled = bool(mark["cause"] & Cause.ROLL)
            account.append((mark["ts"], mark["equity"], mark["ts"] // DAY - rolled))
        else:
            now[mark["symbol"]] = abs(mark["unrealised"] + int(np.sign(mark["position"])) * mark["cost"])
    account.append((run.last_ts, 2000, run.last_ts // DAY))
    assert found.held[-1].tolist() == [sum(now.values()), largest]
    assert found.points[:, :points].T.tolist() == [list(point) for point in account]


def test_the_same_in_plain_python():
    several = filled = 0
    for seed in range(60):
        c = case(seed)
        run = replay(c.fixture, c.config, until=len(c.fixture) * (1 + seed % 3) // 3)
        compare(run)
        several, filled = several + (len(run.symbols) > 1 and len(run.fills) > 5), filled + len(run.fills)
    assert several > 5
    assert filled > 500


def test_with_gates_and_regimes():
    changes = gates = 0
    for seed in range(30):
        c = smart_case(seed)
        run = replay(c.fixture, c.config)
        compare(run)
        changes, gates = changes + len(run.regimes), gates + len(run.gates)
    assert changes > 20
    assert gates > 20


def test_sums_past_int64():
    """Six fills, each of half of what an int64 holds, then as many the other way."""
    fills = np.zeros(6, stage_dtype("fills"))
    orders = np.zeros(6, stage_dtype("orders"))
    orders["from"], orders["order"], fills["order"] = -1, range(6), range(6)
    fills["qty"], fills["price"], fills["side"] = 2**30, 2**31, 1
    fills["ts"], orders["ts"] = 2**62, -(2**60)
    mids = np.full((6, 5), 2**33, np.int64)  # twice what was paid
    empty = {stage: np.zeros(0, stage_dtype(stage)) for stage in ("ledger", "plans", "regimes", "gates", "features")}
    one = np.ones(1, np.int64)
    told = Told(fills=fills, orders=orders, **empty, mids=mids, tick_values=2 * one, last_mids=2**32 * one, present=0 * one)
    found = empty_tallies(told)
    tally(told, found, 0, 10, 1, 1)
    totals = found.totals()[0]
    assert totals[Sum.MOVED] == totals[Sum.SPREAD] == 6 * 2**62 > 2**64
    assert totals[Sum.TRADED] == 6 * 2**62
    assert totals[Sum.INVENTORY] == -6 * 2**62 < -(2**64)
    assert totals[Sum.WAITED] == 6 * (2**62 + 2**60) > 2**64
    fills["side"] = -1
    found = empty_tallies(told)
    tally(told, found, 0, 10, 1, 1)
    assert found.totals()[0][Sum.SPREAD] == -6 * 2**62
