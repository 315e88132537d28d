"""Metrics of a run: by hand on a small tape, and from scratch, event by event in Python's integers, on random ones."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import IntegrityError
from grinder.metrics import HORIZONS, Labelled, Metrics, PortfolioMetrics, SymbolMetrics, _in_bp, completed_cycles, fill_mids
from grinder.performance import performance
from grinder.policies.own import TargetState, WantedOrder, policy, static
from grinder.records import Adds, Cause, Events, Feature, GateKind, Regime, Role, stage_dtype
from grinder.run import Run, Table, load
from grinder.session import replay
from tests.swings import swing
from tests.tapes import MIDNIGHT, case

S = 10**9
U = 10**8
"""Atoms in one unit of the quote currency."""
DAY = 86_400 * S
SEEDS = range(60)
UNIT = Instrument(symbol="UNIT", kind="perpetual", tick_size="1", lot_size="1")
"""One tick times one lot is one quote: money is a price."""

NAMES = (
    "cycles_completed_total realized_pnl_total unrealized_pnl turnover_notional_total fees_estimate_total funding_total "
    "avg_cycle_profit_bps win_rate dd_current dd_budget dd_utilization_pct max_inventory_notional effective_leverage "
    "time_in_regime_seconds adds_off_seconds spread_bps impact_estimate_bps fill_rate time_to_fill cancel_replace_rate tox_severity"
).split()
"""SPEC 13, as far as there is something to measure."""


def tape(times: list[float], mids: list[int], funding: dict[str, list[int]] | None = None, **settings: Any) -> Fixture:
    """Quotes of UNIT around whole mids, two ticks wide."""
    ts = [MIDNIGHT + round(t * S) for t in times]
    quotes = {
        "ts": ts,
        "bid_px": [m - 1 for m in mids],
        "bid_qty": [5] * len(ts),
        "ask_px": [m + 1 for m in mids],
        "ask_qty": [5] * len(ts),
    }
    given = {"step": "1%", "levels": 2, "quantity": 1, "maker_fee": "10bp", "max_jump": 500} | settings
    return Fixture.from_arrays([UNIT], quotes=quotes, funding=funding, config=Config(**given))


# By hand


def hand() -> Run:
    """A grid of 1 % around 1000: buys at 990, 980, sells at 1010, 1021; a take-profit 1 % on, rounded away from the entry.

    ====  =====  ==========================================================  ========  =======
       t    mid  what happens                                                position  fee
    ====  =====  ==========================================================  ========  =======
       0   1000  990, 980, 1010, 1021 are placed                                    0
       2    989  BUY 990 opens cycle 0; 1000 and 970 are placed                     1     0.99
       3    985                                                                     1
      10    979  BUY 980 opens cycle 1; 990 (its take-profit), 960 placed           2     0.98
      12    991  SELL 990 completes cycle 1; 980 placed, 960 cancelled              1     0.99
      40   1002  SELL 1000 completes cycle 0; 990 placed, 970 cancelled             0     1.00
      41   1011  SELL 1010 opens cycle 2; 999 (take-profit), 1031 placed           -1     1.01
     100   1005  the bar of 0 to 60 s closes                                       -1
     200         0.1 % of 1004 is received; the bar of 60 to 120 s closes          -1
     335   1003  the end: no bar closes, so no mark                                -1
    ====  =====  ==========================================================  ========  =======
    """
    funding = {"ts": [MIDNIGHT + 200 * S], "rate": [100_000], "mark_px": [1004]}
    return replay(tape([0, 1, 2, 3, 10, 12, 40, 41, 100, 335], [1000, 1000, 989, 985, 979, 991, 1002, 1011, 1005, 1003], funding))


def test_by_hand():
    run = hand()
    metrics = run.metrics()
    m = metrics.portfolio
    fills = [(0, 1, 990), (1, 1, 980), (1, -1, 990), (0, -1, 1000), (2, -1, 1010)]
    assert run.fills.records[["cycle", "side", "price"]].tolist() == fills
    # 990 and 980 cost 985 each: SELL 990 realises 5, SELL 1000 15; SELL 1010 at a mid of 1003 is 7 up
    assert (m.realized_pnl_total, m.unrealized_pnl) == (20 * U, 7 * U)
    assert m.fees_estimate_total == 497 * U // 100
    assert m.funding_total == 1004 * U // 1000
    assert m.turnover_notional_total == (990 + 980 + 990 + 1000 + 1010) * U
    assert m.equity == 10_000 * U + (27_000 - 4_970 + 1_004) * U // 1000
    # Cycles: 980 -> 990 earns 10 - 0.98 - 0.99 = 8.03; 990 -> 1000 earns 10 - 0.99 - 1.00 = 8.01; the third is open
    assert run.cycles["net"].tolist() == [803 * U // 100, 801 * U // 100]
    assert m.cycles_completed_total == 2
    assert m.avg_cycle_profit_bps == pytest.approx((80_300 / 980 + 80_100 / 990) / 2, rel=1e-15)
    assert m.win_rate == 1.0
    # Spread: bought 990 at a mid of 989, 980 at 979; sold 990 at 991, 1000 at 1002, 1010 at 1011
    # Inventory: 1 lot 989 -> 979, 2 lots 979 -> 991, 1 lot 991 -> 1002, none 1002 -> 1011, -1 lot 1011 -> 1003
    assert m.pnl.spread == (-1 - 1 - 1 - 2 - 1) * U
    assert m.pnl.inventory == (-10 + 24 + 11 + 0 + 8) * U
    assert m.pnl == (m.equity - 10_000 * U, -6 * U, 33 * U, -497 * U // 100, 1004 * U // 1000)
    # Markouts of the five fills, in quote: 300 s after the last two the run is over
    after = {1: -5 - 1 - 1 - 11 - 1, 5: -5 + 11 - 1 - 11 - 1, 30: 1 + 22 - 21 - 11 - 1, 300: 15 + 25 - 15}
    notional = {1: 4970, 5: 4970, 30: 4970, 300: 990 + 980 + 990}
    assert m.markout_bps == {h: 10_000 * after[h] / notional[h] for h in HORIZONS}
    # Drawdown from 10000: -1.99 at 2 s, -13.97 at 10 s, +8.04 at 12 s, +16.04, +14.03 at 41 s, then up to the last mark
    assert (m.dd_current, m.dd_budget, m.dd_utilization_pct, m.dd_max) == (0, 200 * U, 0.0, 1397 * U // 100)
    ratios = m.performance
    assert (ratios.days, ratios.annualised, ratios.total_return) == (1, False, 23_034 / 10_000_000)
    assert (ratios.max_drawdown, ratios.max_drawdown_seconds) == (1397 / 1_000_000, 12.0)
    assert ratios[3:8] == (None,) * 5
    # Held at marks: 989, 2 * 979, 991, 0, 1011, 1005, 1005; at the end 1003
    assert m.max_inventory_notional == 1958 * U
    assert m.effective_leverage == 1_003_000 / 10_023_034
    # 12 orders, of which two were cancelled and five filled after 2, 10, 2, 38 and 41 s
    assert (m.fill_rate, m.cancel_replace_rate, m.time_to_fill) == (5 / 12, 2 / 12, 93 / 5)
    # Two bars, with mids of 1011 and 1005 before their closing events: 2 / 1011 and 2 / 1005 in 1e-8
    assert m.spread_bps == (197_824 + 199_005) / 20_000
    assert m.impact_estimate_bps is None
    assert m.time_in_regime_seconds == {regime.name: 335.0 * (regime == Regime.RANGE) for regime in Regime}
    assert m.adds_off_seconds == 0.0
    assert m.tox_severity is None, "the static grid looks at no gate"
    only = metrics.symbols["UNIT"]
    assert {f.name: getattr(m, f.name) for f in fields(only)} == {f.name: getattr(only, f.name) for f in fields(only)}


def test_cycles_after_fees_and_utilisation_by_hand():
    """Bought at 979, sold at 1000: at a fee of 1 % 21 - 9.79 - 10 = 1.21 is left, at 1.05 % 21 - 10.2795 - 10.5 = 0.2205."""
    times, mids = [0, 1, 2, 3, 4], [1000, 1000, 970, 970, 1003]
    for fee, net in (("1%", 121 * U // 100), ("1.05%", 2205 * U // 10_000)):
        m = replay(tape(times, mids, step="2.1%", levels=1, maker_fee=fee, min_edge="0bp")).metrics().portfolio
        assert m.cycles_completed_total == 1
        assert m.avg_cycle_profit_bps == pytest.approx(10_000 * net / (979 * U))
    falls = replay(tape([0, 1, 2, 61, 62], [1000, 1000, 970, 870, 870], levels=1, maker_fee="0bp", quantity=2, equity=10_000))
    m = falls.metrics().portfolio  # bought 2 at 990; the bar's close at 61 s is a mark: 2 * (990 - 870) = 240 of 200
    assert (m.dd_current, m.dd_budget, m.dd_utilization_pct) == (240 * U, 200 * U, 120.0)
    assert (m.win_rate, m.avg_cycle_profit_bps, m.cycles_completed_total) == (None, None, 0), "no cycle, no share of winners"


def test_fees_of_both_fills_count():
    """A cycle of 3 with fees of 2 earns 1; a short one of 1 with fees of 1 earns nothing."""
    run = cycle_fills([(1, 0, 1, Role.ENTRY, 1000, 1, 2 * U), (2, 0, -1, Role.TAKE_PROFIT, 1003, 1, 0)] + [
        (3, 1, -1, Role.ENTRY, 1000, 1, U), (4, 1, 1, Role.TAKE_PROFIT, 999, 1, 0)
    ])  # fmt: skip
    table, entered = completed_cycles(run, [UNIT])
    assert table["net"].tolist() == [U, 0]
    assert entered.tolist() == [1000 * U, 1000 * U]


def test_a_cycle_that_ends_where_it_began_is_no_win():
    """Bought at 999, sold at 1001: 2 earned, 0.999 and 1.001 paid."""

    @policy(gates=False)
    def even(view, params):
        return static(view, params)._replace(tp_step=150_000)

    run = replay(tape([0, 1, 2, 3, 4], [1000, 1000, 999, 999, 1002], step="0.1%", levels=1), policy=even)
    assert run.cycles["net"].tolist() == [0]
    m = run.metrics().portfolio
    assert (m.win_rate, m.avg_cycle_profit_bps, m.cycles_completed_total) == (0.0, 0.0, 1)


def test_amends_and_cancels_that_took_effect():
    """One order moved twice and filled 4 s after its placing, one cancelled, one moved once, its last move still in flight."""
    buys = ((0, 990), (0, 991), (0, 992), (0, 992), (1, 980), (1, 981), (1, 982))

    @policy(gates=False)
    def moves(view, params):
        key, price = buys[view.event]
        sell = [WantedOrder(-1, 9, 1010, 1, Role.ENTRY)] if view.event < 2 else []
        return TargetState([WantedOrder(1, key, price, 1, Role.ENTRY), *sell])

    run = replay(tape([0, 1, 2, 3, 4, 5, 6], [1000, 1000, 1000, 1000, 992, 995, 995], bar_interval_ms=1000), policy=moves)
    states = run.orders.records[["order", "from", "to", "price"]].tolist()
    assert [row[0] for row in states if row[1] == -1] == [0, 1, 2]
    assert [(row[0], row[3]) for row in states if row[1] == row[2] or row[2] == 4] == [(0, 991), (0, 992), (1, 1010), (2, 981)]
    m = run.metrics().portfolio
    assert (m.cancel_replace_rate, m.fill_rate, m.time_to_fill) == (4 / 3, 1 / 3, 4.0)


# Cycles of several fills


def test_a_fill_in_two_parts_is_the_same_to_every_metric():
    """No fill model fills in parts yet; the records may."""
    for seed in range(20):
        c = case(seed)
        run = replay(c.fixture, c.config)
        parts = copy.copy(run)
        fills = np.repeat(run.fills.records, 2)
        for name in ("qty", "fee"):
            fills[name][::2] //= 2
            fills[name][1::2] -= fills[name][::2]
        parts.tables = run.tables | {"fills": Table("fills", fills)}
        parts.__dict__.pop("fill_mids", None)
        assert parts.metrics() == run.metrics()
        fills["ts"][::2] -= 1
        assert parts.metrics().portfolio.time_to_fill == run.metrics().portfolio.time_to_fill, "its last part fills an order"


def cycle_fills(rows: list[tuple[int, ...]]) -> np.ndarray:
    """FILLS of (event, cycle, side, role, price, qty, fee)."""
    out = np.zeros(len(rows), stage_dtype("fills"))
    for name, column in zip(("event", "cycle", "side", "role", "price", "qty", "fee"), zip(*rows, strict=True), strict=True):
        out[name] = column
    out["ts"] = out["event"] * S
    return out


def test_cycles_of_partial_fills_complete_when_quantities_agree():
    """Cycle 0: 3 and 2 lots in, 4 and 1 out; 1 a short, half out; 2 closed by a stop at a loss; 3 just open; two fills of none."""
    fills = cycle_fills([
        (1, 0, 1, Role.ENTRY, 100, 3, 5), (2, 1, -1, Role.ENTRY, 120, 4, 1), (3, 0, 1, Role.ENTRY, 99, 2, 6),
        (4, 2, 1, Role.ENTRY, 110, 1, 2), (5, 0, -1, Role.TAKE_PROFIT, 103, 4, 7), (6, 2, -1, Role.STOP, 90, 1, 3),
        (7, 1, 1, Role.TAKE_PROFIT, 118, 2, 1), (7, -1, 1, Role.ENTRY, 101, 1, 1), (8, -1, -1, Role.REDUCE_ONLY, 104, 1, 1),
        (9, 0, -1, Role.TAKE_PROFIT, 104, 1, 8), (9, 3, 1, Role.ENTRY, 100, 1, 1),
    ])  # fmt: skip
    table, entered = completed_cycles(fills, [UNIT])
    assert table["cycle"].tolist() == [2, 0], "in order of completion"
    assert table["qty"].tolist() == [1, 5]
    assert table["gross"].tolist() == [-20 * U, (4 * 103 + 104 - 3 * 100 - 2 * 99) * U]
    assert table["fees"].tolist() == [5, 26]
    assert table["net"].tolist() == [-20 * U - 5, 18 * U - 26]
    assert entered.tolist() == [110 * U, 498 * U]
    assert table[["entry_event", "entry_price", "exit_event", "exit_price"]].tolist() == [(4, 110, 6, 90), (1, 100, 9, 104)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(1, 2**62)) | st.tuples(st.integers(-900, 900), st.integers(1, 9)))
)
def test_quotients_are_rounded_once(pairs):
    """As Python's own are, however large the integers."""
    parts, wholes = (np.array(column, np.int64) for column in (zip(*pairs, strict=True) if pairs else ((), ())))
    assert _in_bp(parts, wholes).tolist() == [10_000 * part / whole for part, whole in pairs]


def test_both_views_of_profit_agree_when_nothing_is_open():
    """SPEC 10: per cycle and by average cost. With cycles left open the rest is what their entries paid and received."""
    closed = 0
    for seed in SEEDS:
        c = case(seed)
        for stop in sorted({len(c.fixture) * k // 6 for k in range(1, 7)}):
            run = replay(c.fixture, c.config, until=stop)
            metrics, cycles = run.metrics(), run.cycles.records
            for s, name in enumerate(run.symbols):
                mine = run.fills.records[run.fills["symbol"] == s]
                if not len(mine) or run.world.symbols[s]["position"] != 0:
                    continue
                gross = int(cycles["gross"][cycles["symbol"] == s].sum())
                done = set(cycles["cycle"].tolist())
                value = run.instruments[s].tick_value
                left = sum(-int(f["side"]) * int(f["price"]) * int(f["qty"]) * value for f in mine if int(f["cycle"]) not in done)
                assert metrics.symbols[name].realized_pnl_total == gross + left
                assert metrics.symbols[name].unrealized_pnl == 0
                closed += left == 0
    assert closed > 20


# From scratch


@policy(on_fill=True)
def moody(view, params):
    """The static grid that adds nothing now and then, or on one side, takes small profits that fees eat, and is idle at first."""
    if view.event < 4:
        return None
    mood = view.event % 5
    return static(view, params)._replace(
        adds_down=Adds.OFF if mood < 3 else Adds.FULL,
        adds_up=Adds.OFF if mood < 2 else Adds.FULL,
        levels_up=1 + mood,
        tp_step=10_000 * mood,
    )


QUICK = Config(
    thin_quote=10**6, thin_ms=1, thin_clear_ms=200, clear_ms=500, l1_stale_ms=900, l1_pause_ms=2_000, atr_bars=2, return_bars=2,
    ema_fast=1, ema_slow=2, spread_bars=5, spread_bars_min=2, jump_window_ms=10,
)  # fmt: skip
"""Gates and warm-up that short tapes reach."""


def runs(seeds: range = SEEDS, stops: tuple[float, ...] = (0.4, 1)) -> list[Run]:
    """Random tapes under the static grid and under a policy with gates, in turn, cut in the middle and whole."""
    out = []
    for seed in seeds:
        c = case(seed)
        for share in stops:
            stop = max(1, int(len(c.fixture) * share))
            out += [replay(c.fixture, c.config, until=stop), replay(c.fixture, QUICK.over(c.config), moody, until=stop)]
    return out


class Slow:
    """Every metric of one symbol, or of all, by going through a run event by event."""

    def __init__(self, run: Run, symbols: list[int]) -> None:
        self.run, self.symbols = run, symbols
        market = run.market
        self.ts, self.of, self.fault = market.ts.tolist(), market.symbol.tolist(), market.fault.tolist()
        self.mid2 = (market.bid_px + market.ask_px).tolist()
        self.tables = {stage: [row for row in dicts(run, stage) if row["symbol"] in symbols] for stage in run.tables}
        self.whole = len(symbols) == len(run.instruments)
        self.half = [instrument.tick_value // 2 for instrument in run.instruments]

    def mid_at(self, s: int, event: int) -> int:
        """The symbol's mid2 after an event, 0 before its first quote."""
        return next((self.mid2[i] for i in range(event, -1, -1) if self.of[i] == s), 0)

    def spread_and_inventory(self) -> tuple[int, int]:
        spread = inventory = 0
        for s in self.symbols:
            position = mid = 0
            for i in range(len(self.ts)):
                if self.of[i] != s:
                    continue
                inventory += position * (self.mid2[i] - mid) * self.half[s]
                mid = self.mid2[i]
                for f in self.tables["fills"]:
                    if f["event"] == i and f["symbol"] == s:
                        spread += f["side"] * f["qty"] * (mid - 2 * f["price"]) * self.half[s]
                        position += f["side"] * f["qty"]
        return spread, inventory

    def markouts(self) -> dict[int, float | None]:
        out = {}
        for h in HORIZONS:
            moved = notional = Fraction(0)
            for f in self.tables["fills"]:
                then = f["ts"] + h * S
                if self.ts[-1] >= then:
                    last = max(i for i in range(len(self.ts)) if self.of[i] == f["symbol"] and self.ts[i] <= then)
                    worth = f["price"] * f["qty"] * 2 * self.half[f["symbol"]]
                    moved += worth * f["side"] * (Fraction(self.mid2[last], 2) - f["price"]) / f["price"] * 10_000
                    notional += worth
            out[h] = float(moved / notional) if notional else None
        return out

    def cycles(self) -> list[Fraction]:
        """Profit after fees in bp of each completed cycle."""
        out = []
        for cycle in sorted({f["cycle"] for f in self.tables["fills"]} - {-1}):
            mine = [f for f in self.tables["fills"] if f["cycle"] == cycle]
            entries, exits = ([f for f in mine if (f["role"] == Role.ENTRY) == want] for want in (True, False))
            if sum(f["qty"] for f in entries) == sum(f["qty"] for f in exits):
                value = 2 * self.half[mine[0]["symbol"]]
                net = sum(-f["side"] * f["price"] * f["qty"] * value - f["fee"] for f in mine)
                out.append(Fraction(10_000 * net, sum(f["price"] * f["qty"] * value for f in entries)))
        return out

    def orders(self) -> tuple[float | None, float | None, float | None]:
        placed, filled, changed = {}, {}, 0
        for o in self.tables["orders"]:
            if o["from"] == -1:
                placed[o["order"]] = o["ts"]
            elif o["from"] == o["to"] or o["to"] == 4:
                changed += 1
        for f in self.tables["fills"]:
            filled[f["order"]] = f["ts"] - placed[f["order"]]
        n = len(placed)
        waited = Fraction(sum(filled.values()), len(filled) * S) if filled else None
        return (len(filled) / n if n else None), (changed / n if n else None), (float(waited) if filled else None)

    def in_force(self, stage: str, first: Any, key: Any) -> dict[Any, int]:
        """The ns for which each value of a stage's records was in force, summed over symbols."""
        out: dict[Any, int] = {}
        for s in self.symbols:
            mine, now = [row for row in self.tables[stage] if row["symbol"] == s], first
            for i in range(len(self.ts)):
                now = next((key(row) for row in reversed(mine) if row["event"] == i), now)
                spent = self.ts[i + 1] - self.ts[i] if i + 1 < len(self.ts) else 0
                out[now] = out.get(now, 0) + spent
        return out

    def bps(self, feature: Feature) -> float | None:
        there = [row[feature.name.lower()] for row in self.tables["features"] if not row["absent"] & feature]
        return float(Fraction(sum(there), 10_000 * len(there))) if there else None

    def held(self) -> int:
        """The largest sum of what each symbol held at its own last mark; a roll is a mark before its event."""
        last, most = dict.fromkeys(range(len(self.run.instruments)), 0), 0
        for row in dicts(self.run, "ledger"):
            s = row["symbol"]
            if s >= 0:
                before = row["cause"] & Cause.ROLL
                fills = [f for f in dicts(self.run, "fills") if f["symbol"] == s and f["event"] < row["event"] + (not before)]
                position = sum(f["side"] * f["qty"] for f in fills)
                mid2 = self.mid_at(s, row["event"] - bool(before))
                last[s] = abs(position) * mid2 * self.half[s]
            if s == (-1 if self.whole else self.symbols[0]):
                most = max(most, sum(last[k] for k in self.symbols))
        return most


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 30), st.sampled_from([0, 1, S // 7, S, 40 * S]), st.integers(1, 3))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_mids_after_fills_are_those_of_the_last_row_until_then(seed, rows, many, pace, symbols):
    """Of rows at one time, of fills at one row or time, close to one another or hours apart: as a walk over all rows finds them."""
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.choice([0, 0, pace, 2 * pace, 300 * S], rows))
    which = rng.integers(0, symbols, rows).astype(np.int16)
    bid, ask = rng.integers(1, 1000, rows), rng.integers(1000, 2000, rows)
    fills = np.zeros(many, stage_dtype("fills"))
    fills["event"] = np.sort(rng.integers(0, rows, many))
    fills["ts"], fills["symbol"] = ts[fills["event"]], which[fills["event"]]
    none = np.zeros(0, np.int64)
    market = Events(ts, which, none, none, bid, none, ask, *[none] * (len(Events._fields) - 7))
    expected = []
    for fill in fills:
        mine = [i for i in range(rows) if which[i] == fill["symbol"]]
        own = [int(bid[fill["event"]] + ask[fill["event"]])]
        for after in (fill["ts"] + h * S for h in HORIZONS):
            last = [i for i in mine if ts[i] <= after][-1]
            own.append(int(bid[last] + ask[last]) if after <= ts[-1] else 0)
        expected.append(own)
    assert fill_mids(market, fills, symbols).tolist() == expected


def dicts(run: Run, stage: str) -> list[dict[str, int]]:
    table = run.tables[stage]
    return [dict(zip(table.columns, row, strict=True)) for row in table.records.tolist()]


def check(run: Run, m: SymbolMetrics, symbols: list[int], gated: bool) -> None:
    slow = Slow(run, symbols)
    world = run.world.symbols[symbols]
    for name, column in (("realized_pnl_total", "realised"), ("fees_estimate_total", "fees"), ("funding_total", "funding"),
                         ("turnover_notional_total", "turnover"), ("cycles_completed_total", "cycles_done")):  # fmt: skip
        assert getattr(m, name) == world[column].sum()
    assert m.fees_estimate_total == sum(f["fee"] for f in slow.tables["fills"])
    assert (m.pnl.spread, m.pnl.inventory) == slow.spread_and_inventory()
    assert (m.pnl.fees, m.pnl.funding) == (-m.fees_estimate_total, m.funding_total)
    assert m.pnl.total == sum(m.pnl[1:]), "exactly"
    assert m.pnl.total == m.realized_pnl_total + m.unrealized_pnl - m.fees_estimate_total + m.funding_total
    assert m.markout_bps == slow.markouts()
    profits = slow.cycles()
    assert m.cycles_completed_total == len(profits)
    if profits:
        assert m.avg_cycle_profit_bps == pytest.approx(float(sum(profits) / len(profits)), rel=1e-13, abs=1e-12)
        assert m.win_rate == sum(p > 0 for p in profits) / len(profits)
    else:
        assert (m.avg_cycle_profit_bps, m.win_rate) == (None, None)
    assert (m.fill_rate, m.cancel_replace_rate, m.time_to_fill) == slow.orders()
    spent = slow.in_force("regimes", Regime.PAUSED if gated else Regime.RANGE, lambda row: Regime(row["to"]))
    assert m.time_in_regime_seconds == {regime.name: spent.get(regime, 0) / S for regime in Regime}
    off = slow.in_force("plans", True, lambda row: row["adds_down"] == row["adds_up"] == Adds.OFF)
    assert m.adds_off_seconds == off.get(True, 0) / S
    assert (m.spread_bps, m.impact_estimate_bps) == (slow.bps(Feature.SPREAD_BPS), slow.bps(Feature.IMPACT))
    toxic = [row["to"] for row in slow.tables["gates"] if row["gate"] == GateKind.TOXICITY]
    assert m.tox_severity == (max(toxic, default=0) if gated else None)
    assert m.max_inventory_notional == slow.held()


def test_from_scratch_on_random_tapes():
    seen: dict[str, set[Any]] = {}
    for k, run in enumerate(runs()):
        metrics = run.metrics()
        for s, name in enumerate(run.symbols):
            check(run, metrics.symbols[name], [s], bool(k % 2))
        check(run, metrics.portfolio, list(range(len(run.symbols))), bool(k % 2))
        for name, value in flat(metrics.portfolio).items():
            seen.setdefault(name, set()).add(value)
    dull = {name for name, values in seen.items() if len(values - {None}) < 3}
    never = {"impact_estimate_bps", *(f"performance.{name}" for name in ("annualised", "cagr", "calmar", "days"))}
    assert dull == never, "each other figure takes several values; books of one level have no impact, and no tape is long"


def test_impact_of_deep_books():
    run = replay("impact_spike_l2", until=40_000)
    slow = Slow(run, [0])
    m = run.metrics().portfolio
    assert m.impact_estimate_bps == slow.bps(Feature.IMPACT) > m.spread_bps == slow.bps(Feature.SPREAD_BPS) > 0
    assert any(row["absent"] & Feature.IMPACT for row in slow.tables["features"]), "bars without a fresh book do not count as 0"


def flat(m: SymbolMetrics) -> dict[str, Any]:
    """All figures by name, without those of regimes."""
    out = {}
    for field in fields(m):
        value = getattr(m, field.name)
        parts = value._asdict() if hasattr(value, "_asdict") else value
        if isinstance(parts, dict | Labelled) and field.name != "time_in_regime_seconds":
            out |= {f"{field.name}.{key}": parts[key] for key in parts}
        elif field.name != "time_in_regime_seconds":
            out[field.name] = value
    return out


def test_account_of_random_tapes():
    """Equity, drawdown and ratios of the portfolio, from its ledger rows; what sums over symbols does."""
    rolled = 0
    for run in runs():
        m, metrics = run.metrics().portfolio, run.metrics()
        initial = int(run.config.equity * U)
        each = [metrics.symbols[name] for name in run.symbols]
        for name in NAMES[:6]:  # counts and money
            assert getattr(m, name) == sum(getattr(one, name) for one in each)
        assert m.pnl == tuple(sum(one.pnl[k] for one in each) for k in range(5))
        assert m.equity == initial + m.pnl.total
        for regime in Regime:
            spent = sum(Fraction(one.time_in_regime_seconds[regime.name]) for one in each)
            assert m.time_in_regime_seconds[regime.name] == pytest.approx(float(spent), rel=1e-12)
        assert sum(m.time_in_regime_seconds.values()) == pytest.approx(len(each) * (run.last_ts - run.first_ts) / S)
        assert m.max_inventory_notional <= sum(one.max_inventory_notional for one in each)
        assert m.max_inventory_notional >= max(one.max_inventory_notional for one in each)
        rows = [row for row in dicts(run, "ledger") if row["symbol"] == -1]
        assert m.dd_max == max((row["drawdown"] for row in rows), default=0)
        if rows:
            assert (m.dd_current, m.dd_budget) == (rows[-1]["drawdown"], rows[-1]["budget"])
        assert m.dd_utilization_pct == (100 * m.dd_current / m.dd_budget if m.dd_budget else None)
        gross = sum(abs(int(w["position"])) * int(w["mid2"]) * (i.tick_value // 2)
                    for w, i in zip(run.world.symbols, run.instruments, strict=True))  # fmt: skip
        assert m.effective_leverage == (gross / m.equity if m.equity > 0 else None)
        points = [(run.first_ts, run.first_ts // DAY, initial)]
        points += [(row["ts"], row["ts"] // DAY - (row["cause"] == Cause.ROLL), row["equity"]) for row in rows]
        points.append((run.last_ts, run.last_ts // DAY, m.equity))
        ts, day, equity = (np.array(column, np.int64) for column in zip(*points, strict=True))
        assert m.performance == performance(ts, equity, day)
        rolled += any(row["cause"] == Cause.ROLL for row in rows)
    assert rolled > 10


def test_a_roll_closes_the_day_before():
    """Bought at 990 when the mid is 989, 985 the last one before midnight; then 960, and 980 at the end: -1, -5, -30, -10.

    Nothing marks the -5 but the roll of a daily window; without one the day closes at its last mark.
    """
    times = [-100, -99, -50, -45, 30, 40]
    for window, closes in (("daily", [-5, -10]), ("session", [-1, -10])):
        run = replay(tape(times, [1000, 1000, 989, 985, 960, 980], levels=1, maker_fee="0bp", dd_window=window))
        ratios = run.metrics().portfolio.performance
        day = [10_000 + close for close in closes]
        returns = [day[0] / 10_000 - 1, day[1] / day[0] - 1]
        assert ratios.days == 2
        assert ratios.volatility == pytest.approx(abs(returns[0] - returns[1]) / math.sqrt(2))


def test_a_month_is_annualised():
    """Thirty days of swings, a quote every minute and a half."""
    n = 30 * 960
    times = [90 * i for i in range(n)]
    mids = [950 + abs(i % 2500 - 1250) // 10 + i * i % 7 for i in range(n)]
    run = replay(tape(times, mids, equity=1000, step="1%", levels=5, max_inventory_notional="500%", max_effective_leverage=5))
    m = run.metrics().portfolio
    assert (m.performance.days, m.performance.annualised) == (30, True)
    assert None not in m.performance
    assert m.performance.cagr == pytest.approx((1 + m.performance.total_return) ** (365 / 30) - 1)
    assert m.performance.calmar == m.performance.cagr / m.performance.max_drawdown
    assert m.cycles_completed_total > 50


# Edges


def test_no_event_and_no_quote_of_use():
    c = case(3)
    empty = replay(c.fixture, c.config, until=0).metrics()
    assert empty.events == 0
    assert empty.portfolio.equity == int(c.config.equity * U)
    assert absent(empty.portfolio) >= {"win_rate", "fill_rate", "time_to_fill", "spread_bps", "performance.sharpe", "markout_bps.1"}
    assert empty.portfolio.performance.days == 0
    assert sum(empty.portfolio.time_in_regime_seconds.values()) == empty.portfolio.adds_off_seconds == 0


def absent(m: SymbolMetrics) -> set[str]:
    return {name for name, value in flat(m).items() if value is None}


def test_one_event():
    m = replay(tape([0], [1000])).metrics().portfolio
    assert (m.fill_rate, m.cancel_replace_rate, m.time_to_fill) == (0.0, 0.0, None)
    assert m.performance[:3] == (1, False, 0.0)
    assert m.pnl == (0, 0, 0, 0, 0)
    assert m.markout_bps == dict.fromkeys(HORIZONS)


def test_no_fills_and_zero_variance():
    """A month without a move: nothing is earned, no ratio exists, what is 0 is 0."""
    m = replay(tape([3600 * i for i in range(720)], [1000] * 720, max_gap_ms=10**7)).metrics().portfolio
    ratios = m.performance
    assert ratios == (30, True, 0.0, 0.0, 0.0, None, None, None, 0.0, 0.0)
    assert (m.turnover_notional_total, m.max_inventory_notional, m.effective_leverage, m.fill_rate) == (0, 0, 0.0, 0.0)
    assert absent(m) == {
        "win_rate", "avg_cycle_profit_bps", "time_to_fill", "impact_estimate_bps", "tox_severity", "performance.sharpe",
        "performance.sortino", "performance.calmar", *(f"markout_bps.{h}" for h in HORIZONS),
    }  # fmt: skip


def test_negative_equity():
    """Five lots bought near 990 on an equity of 1000; at 500 more than everything is lost."""
    settings = {"equity": 1000, "levels": 5, "max_inventory_notional": "500%", "max_effective_leverage": 5, "maker_fee": "0bp"}
    mids = [1000, 1000, 940, 500, 500, 500]
    m = replay(tape([0, 1, 2, 3, DAY // S, DAY // S + 61], mids, **settings)).metrics().portfolio
    held = 5 * 500 * U
    assert m.equity == 1000 * U + m.pnl.total < 0
    assert m.max_inventory_notional == 5 * 940 * U > held
    assert m.effective_leverage is None
    assert m.performance.total_return == m.performance.max_drawdown * -1 == m.pnl.total / (1000 * U)
    assert (m.performance.sharpe, m.performance.volatility) == (None, None), "the second day begins below nothing"
    assert m.dd_budget == 0, "a window that starts under water has no budget"
    assert m.dd_utilization_pct is None
    assert sum(m.pnl[1:]) == m.pnl.total


def test_a_target_without_take_profits_has_no_cycles():
    @policy(on_fill=False)
    def once(view, params):
        return TargetState([WantedOrder(1, 0, 990, 3, Role.ENTRY)])

    run = replay(tape([0, 1, 2, 3, 70], [1000, 1000, 985, 970, 960]), policy=once)
    m = run.metrics().portfolio
    assert (len(run.fills), m.cycles_completed_total, m.win_rate) == (1, 0, None)
    assert m.pnl.spread == 3 * -5 * U
    assert m.pnl.inventory == 3 * (960 - 985) * U
    assert m.adds_off_seconds == 0.0


# A pure function of the run


@pytest.fixture(scope="module")
def busy() -> Run:
    """Several symbols, funding, cycles done and open."""
    for seed in range(400):
        c = case(seed)
        run = replay(c.fixture, c.config)
        m = run.metrics().portfolio
        if len(run.symbols) > 2 and m.cycles_completed_total > 3 and m.funding_total and m.markout_bps[1] is not None:
            return run
    raise AssertionError("no such tape")


@pytest.mark.parametrize("seed", [2, 11, 29])
def test_cut_resumed_saved_and_loaded_runs_have_the_same_metrics(tmp_path, seed):
    c = case(seed)
    whole, half = replay(c.fixture, c.config), len(c.fixture) // 2
    part = load(replay(c.fixture, c.config, until=half).save(tmp_path / "part.grinder"))
    assert part.market is None
    assert part.metrics() == replay(c.fixture.head(half), c.config).metrics()
    again = replay(c.fixture, c.config, resume=part)
    assert again.metrics() == whole.metrics() == replay(c.fixture, c.config, chunk=7).metrics()
    saved = load(whole.save(tmp_path / "whole.grinder"))
    assert saved.metrics() == whole.metrics()
    assert json.dumps(saved.metrics().to_dict()) == json.dumps(whole.metrics().to_dict())
    assert repr(saved.metrics()) == repr(whole.metrics())
    assert load(saved.save(tmp_path / "once_more.grinder")).metrics() == whole.metrics()


def test_metrics_leave_the_run_as_it_is(busy):
    before = [busy.digest, *(table.records.tobytes() for table in busy.tables.values()), *(a.tobytes() for a in busy.world)]
    assert busy.metrics() == busy.metrics()
    assert before == [busy.digest, *(table.records.tobytes() for table in busy.tables.values()), *(a.tobytes() for a in busy.world)]


def test_they_cannot_be_changed_and_travel(busy):
    m = busy.metrics()
    with pytest.raises(FrozenInstanceError):
        m.portfolio.win_rate = 1.0
    with pytest.raises(FrozenInstanceError):
        m.events = 1
    for mapping in (m.symbols, m.portfolio.markout_bps, m.portfolio.time_in_regime_seconds):
        with pytest.raises(TypeError):
            mapping["A"] = 1
    for twin in (pickle.loads(pickle.dumps(m)), copy.deepcopy(m)):
        assert twin == m
        assert hash(twin.portfolio) == hash(m.portfolio)
    assert isinstance(m.portfolio, PortfolioMetrics)
    assert list(m.symbols) == list(busy.symbols)


# One definition of a number


def test_the_card_and_the_headline_are_the_metrics():
    for seed in range(20):
        c = case(seed)
        run = replay(c.fixture, c.config)
        s, m = run.summary(), run.metrics().portfolio
        same = {"cycles": m.cycles_completed_total, "realised": m.realized_pnl_total, "unrealised": m.unrealized_pnl,
                "fees": m.fees_estimate_total, "funding": m.funding_total, "turnover": m.turnover_notional_total,
                "equity": m.equity, "max_drawdown": m.dd_max, "dd_budget": m.dd_budget}  # fmt: skip
        assert {name: s[name] for name in same} == same
        assert f"PnL         {run.money(m.pnl.total)}\n" in repr(run)


ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("folder", sorted(file.parent for file in ROOT.glob("fixtures/*/digest.json")), ids=lambda path: path.name)
def test_goldens_hold_the_same_numbers(folder):
    run = replay(folder)
    headline, m = json.loads((folder / "digest.json").read_text())["headline"], run.metrics().portfolio
    assert headline == run.summary()
    assert (headline["equity"], headline["cycles"], headline["max_drawdown"]) == (m.equity, m.cycles_completed_total, m.dd_max)
    assert m.pnl.total == sum(m.pnl[1:]) == m.equity - int(run.config.equity * U)


# Saved mids


def test_mids_at_fills_are_kept_as_they_are(busy, tmp_path):
    """A saved run whose mids are not those of its fills is refused: nothing else in the file could tell."""
    file = busy.save(tmp_path / "run.grinder")
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    mids = arrays["fill_mids"]
    assert mids.tolist() == fill_mids(busy.market, busy.fills.records, len(busy.symbols)).tolist()
    higher = mids.copy()
    higher[0, 0] += 1
    for wrong in (higher, mids[:-1], mids[:, :3], mids.astype("<f8"), mids.T.copy(), None):
        with file.open("wb") as opened:
            np.savez(opened, **{name: value for name, value in (arrays | {"fill_mids": wrong}).items() if value is not None})
        with pytest.raises(IntegrityError, match="no readable saved run"):
            load(file)


# Text, JSON and the command line


def test_names_and_types(busy):
    body = busy.metrics().to_dict()
    assert list(body) == ["fixture", "events", "quote", "quote_decimals", "portfolio", "symbols"]
    assert list(body["symbols"]) == list(busy.symbols)
    for part in (body["portfolio"], *body["symbols"].values()):
        assert [name for name in part if name in NAMES] == NAMES
        assert set(part) - set(NAMES) - {"equity", "dd_max", "performance"} == {"markout_bps", "pnl"}
        assert list(part["markout_bps"]) == ["1", "5", "30", "300"]
        for name, value in part.items():
            whole = (
                name in NAMES[:6]
                or name.startswith("dd_") * (name != "dd_utilization_pct")
                or name in ("max_inventory_notional", "equity")
            )
            assert type(value) in ((int,) if whole else (float, int, dict, type(None))), name
        assert all(type(value) is int for value in part["pnl"].values())
    assert json.loads(json.dumps(body, allow_nan=False)) == body


def test_text_of_one_symbol():
    text = repr(hand().metrics())
    assert text.splitlines()[0] == "Metrics of memory, 11 events, 1 day, not annualised"
    for pattern in (
        "cycles_completed_total +2",
        "realized_pnl_total +20.0000 USDT",
        "win_rate +1",
        "tox_severity +-",
        "time_in_regime_seconds.RANGE +335",
        "markout_bps.300 +84.4595",
        "pnl.spread +-6.0000 USDT",
        "performance.cagr +-",
        "performance.annualised +False",
    ):
        assert re.search(f"^ *{pattern}$", text, re.MULTILINE), pattern
    assert "TOXIC" not in text, "regimes that never were are left out"


def test_text_of_several_symbols(busy):
    lines = repr(busy.metrics()).splitlines()
    assert lines[1].split() == ["portfolio", *busy.symbols]
    account = ("equity", "dd_max", "performance.")
    assert {len(line) for line in lines[1:] if not line.lstrip().startswith(account)} == {len(lines[1])}
    row = next(line for line in lines if line.lstrip().startswith("cycles_completed_total"))
    m = busy.metrics()
    assert row.split()[1:] == [str(part.cycles_completed_total) for part in (m.portfolio, *m.symbols.values())]


def test_text_of_many_symbols_counts_those_left_out(busy):
    m = busy.metrics()
    one = next(iter(m.symbols.values()))
    many = Metrics(m.fixture, m.events, m.account, m.portfolio, Labelled((f"S{k}", one) for k in range(9)))
    lines = repr(many).splitlines()
    assert lines[1].split() == ["portfolio", "S0", "S1", "S2", "S3"]
    assert lines[-1].strip() == "and 5 symbols more: metrics.symbols[...]"


def test_command_line(tmp_path, capsys):
    swing(tmp_path / "swings")
    words = ["replay", str(tmp_path / "swings")]
    run = replay(tmp_path / "swings")
    assert main([*words, "--metrics"]) == 0
    assert capsys.readouterr().out == f"{run!r}\n{run.metrics()!r}\n"
    assert main([*words, "--metrics", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["metrics"] == run.metrics().to_dict()
    assert main([*words, "--json"]) == 0
    del body["metrics"]
    assert json.loads(capsys.readouterr().out) == body
