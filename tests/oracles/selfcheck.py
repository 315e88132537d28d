"""Checks of the reference engine's `smart` from its records: INVARIANTS 21-31, 34 on random tapes, and SPEC's examples.

    python -m tests.oracles.selfcheck [first seed] [how many]

Prints a table of what the tapes showed: a check of what never happens proves nothing.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction

from . import features as ft, gates as gt, smart_plan as sp, topk
from .reference import BUY, SELL, Cycle, Order, ladder, run
from .smart import DEFAULTS, Smart, SmartSymbol

UNIT = 100_000_000
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
MIDNIGHT = 1_700_006_400 * SECOND
ENTRY, TAKE_PROFIT, FLATTEN = 0, 1, 5
CANCEL, AMEND, PLACE = 0, 1, 2
OFF = 2
ROLL = 32
CAPPED = sp.MAX_INVENTORY | sp.MAX_LEVERAGE | sp.MIN_NOTIONAL | sp.MAX_OPEN_ORDERS


# --------------------------------------------------------------------------------------------------
# Tapes


def random_config(r: random.Random, symbols: int) -> dict:
    """Short windows, so that a short tape passes warm-up; features are off at random."""
    bar = r.choice([5, 10]) * SECOND
    cfg = {
        "policy": "smart",
        "bar_ns": bar,
        "atr_bars": 3,
        "return_bars": 5,
        "ema_fast": 2,
        "ema_slow": 6,
        "atr_method": r.choice(["wilder", "sma"]),
        "baseline_min": 4,
        "baseline_bars": 12,
        "horizon_ns": {k: n * 60 * bar for k, n in (("range", 1), ("trend", 2), ("vol_shock", 1), ("thin_book", 1))},
        "equity": 10_000 * UNIT,
        "dd_budget_pct": r.choice([5, 50, 200, 1000]) * 10_000,
        "dd_window": r.choice(["daily", "session"]),
        "maker_fee": r.choice([20_000, 20_000, 0, -5_000]),
        "min_edge": r.choice([40_000, 40_000, -30_000]),
        "step_min": r.choice([50_000, 10_000]),
        "alpha": r.choice([80, 80, 2]) * 1_000_000,
        "max_inventory": ("atoms", r.choice([200, 2_000, 10_000]) * UNIT),
        "max_effective_leverage": r.choice([UNIT // 10, 2 * UNIT]),
        "max_open_orders": r.choice([6, 15, 100]),
        "max_open_orders_portfolio": r.choice([20, 400]),
        "min_notional": r.choice([0, 5, 40]) * UNIT,
        "order_rate": r.choice([1, 20]),
        "order_burst": r.choice([10, 100, 1000]),
        "sizing": r.choice("AB"),
        "levels_min": r.choice([1, 2, 4]),
        "levels_max": r.choice([5, 20]),
        "x_min": r.choice([100_000, 500_000]),
        "top_k": r.choice([1, 2, 3]),
        "select_every_ns": r.choice([1, 5]) * 6 * bar,
        "allocator": r.choice(["equal", "weighted"]),
        "fill_model": r.choice(["mid_touch", "mid_touch", "cross"]),
        "max_consecutive_losses": r.choice([0, 0, 1]),
        "cooldown_ns": 20 * bar,
        "flatten_on_emergency": r.random() < 0.3,
        "latch_on_extreme": r.random() < 0.2,
        "trend_enter": r.choice([30, 100, 200]) * 1_000_000,
        "trend_exit": 25_000_000,
        "er_enter": r.choice([10, 35]) * 1_000_000,
        "thin_quote": r.choice([0, 1000]) * UNIT,
        "impact_quote": r.choice([1000, 10_000]) * UNIT,
        "tox_jump": [k * r.choice([1, 10, 10]) * UNIT for k in (1, 2, 5)],
        "l1_stale_ns": 15 * SECOND,
        "clear_ns": r.choice([5, 60]) * SECOND,
        "thin_clear_ns": 5 * SECOND,
    }
    if r.random() < 0.3:
        cfg |= {"order_latency": r.choice([0, SECOND]), "cancel_latency": r.choice([0, SECOND // 2])}
    if r.random() < 0.2:
        cfg["dd_budget_symbol"] = [r.choice([None, 20 * UNIT]) for _ in range(symbols)]
    return cfg


def new_settings(r: random.Random, cfg: dict) -> dict:
    """Those of ADR-0028, drawn after the others, so that a seed's other draws stay."""
    cfg = cfg | {"alert_after_ms": r.choice([5_000, 20_000, 60_000])}
    if r.random() < 0.4:
        cfg |= {"dd_window": "rolling", "dd_window_ms": 24_000 * r.choice([1, 7, 60])}
    return cfg


def static_config(r: random.Random, cfg: dict, tick_values: list[int]) -> dict:
    """`static` under the risk monitor, with lots of some 100 quote."""
    quantity = [max(1, 100 * UNIT // (r.choice([3_000, 100_000]) * tv)) for tv in tick_values]
    grid = {"step": r.choice([50_000, 200_000]), "levels": r.choice([1, 3, 6]), "quantity": quantity}
    return cfg | {"policy": "static", "risk_monitor": True} | grid


class Market:
    """A walk with calm, trending, wild and thin stretches, in ticks."""

    def __init__(self, r: random.Random, tick_value: int):
        self.r, self.mid, self.drift, self.vol, self.thin, self.half = r, r.choice([3_000, 100_000]), 0.0, 1.0, False, 1
        self.lots = 20_000 * UNIT // (self.mid * tick_value)  # of 20,000 quote

    def shift(self) -> None:
        r = self.r
        self.drift = r.choice([0, 0, 0, 0, 0.5, -0.5, 1, -1])
        self.vol = r.choice([0, 0.5, 1, 1, 1, 2, 2, 5])
        self.thin = r.random() < 0.07
        self.half = r.choice([1, 1, 1, 1, 1, 1, 2, 12])

    def quote(self) -> dict:
        r = self.r
        unit = self.mid / 5_000
        self.mid = max(500, self.mid + round(unit * (self.drift + r.gauss(0, 1) * self.vol)))
        size = (lambda: r.choice([0, 1, 3])) if self.thin else (lambda: r.randint(self.lots // 10 + 1, self.lots + 2))
        bid, ask = self.mid - self.half, self.mid + r.choice([self.half - 1, self.half])
        sizes = [size(), size()]
        if sizes == [0, 0]:
            sizes[r.randrange(2)] = 1
        return {"bid_px": bid, "ask_px": ask, "bid_qty": sizes[0], "ask_qty": sizes[1]}

    def book(self) -> dict:
        out = self.quote()
        n = self.r.randint(1, 12)
        for name, px, step in (("bids", out["bid_px"], -1), ("asks", out["ask_px"], 1)):
            first = out[name[:3] + "_qty"]
            out[name] = [(px, first)] + [(px + step * k * self.half, self.r.randint(1, self.lots + 2)) for k in range(1, n)]
        return out


def random_tape(r: random.Random, tick_values: list[int], length: int) -> list[dict]:
    markets = [Market(r, tv) for tv in tick_values]
    with_books, with_commands, faulty = r.random() < 0.3, r.random() < 0.3, r.random() < 0.3
    ts = MIDNIGHT - 400 * SECOND if r.random() < 0.3 else START
    events = []
    for _ in range(length):
        if r.random() < 0.01:
            ts += r.choice([20, 70, 700]) * SECOND
        ts += r.choice([0, SECOND // 2, SECOND, 2 * SECOND, 3 * SECOND])
        s = r.randrange(len(markets))
        if r.random() < 0.02:
            markets[s].shift()
        event = {"ts": ts, "symbol": s, "kind": "quote", "fault": None}
        x = r.random()
        if with_commands and x < 0.01:
            code = r.choice([0, 1, 1, 2, 3, 3, 3, 4])
            events.append(event | {"kind": "command", "code": code, "symbol": r.choice([-1, s])})
        elif faulty and x < 0.03:
            events.append(event | markets[s].quote() | {"fault": 1})
        elif x < 0.05:
            events.append(event | {"kind": "trade"})
        elif x < 0.06:
            events.append(event | {"kind": "funding", "rate": r.randint(-30_000, 30_000), "mark_px": markets[s].mid})
        elif with_books and x < 0.5:
            events.append(event | {"kind": "book"} | markets[s].book())
        else:
            events.append(event | markets[s].quote())
    return events


def crumbs(r: random.Random, events: list[dict]) -> list[dict]:
    """The same walk in small sizes and with more books, so that takers go through levels and come back for the rest."""
    out = []
    for old in events:
        event = dict(old)
        if event["kind"] in ("quote", "book"):
            event |= {"bid_qty": r.randint(0, 3), "ask_qty": r.randint(1, 3)}
            if event["kind"] == "book" or r.random() < 0.3:
                event |= {"kind": "book"}
                for name, px, step in (("bids", event["bid_px"], -1), ("asks", event["ask_px"], 1)):
                    deeper = [(px + step * k, r.randint(0, 2)) for k in range(1, r.randint(1, 6))]
                    event[name] = [(px, event[name[:3] + "_qty"]), *deeper]
        out.append(event)
    return out


CRUMBS = {"thin_quote": 0, "thin_quote_depth": 0, "impact_quote": 1, "flatten_on_emergency": True, "dd_budget_pct": 30_000}


# --------------------------------------------------------------------------------------------------
# What the records say


@dataclass
class Seen:
    side: int
    role: int
    price: int
    qty: int
    leaving: bool = False


class Reader:
    """Rebuilds orders, positions and plans from records, event by event, and checks as it goes."""

    def __init__(self, cfg: dict, instruments: list[dict], events: list[dict], records: dict, counter: Counter):
        self.cfg = DEFAULTS | cfg
        self.tv = [d["tick_value"] for d in instruments]
        self.events, self.records, self.count = events, records, counter
        n = len(instruments)
        self.position = [0] * n
        self.orders: list[dict[int, Seen]] = [{} for _ in range(n)]
        self.mid2 = [0] * n
        self.plan: list[tuple | None] = [None] * n
        self.levels: dict[int, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: {BUY: [], SELL: []})
        self.book = [(0, 0, 0)] * n  # position, cash, peak
        self.budget, self.drawdown = [0] * n, [0] * n
        self.killed = self.damaged = False
        self.tokens, self.tokens_ts = Fraction(self.cfg["order_burst"]), None
        self.best: list[dict[int, list[int]]] = [{}] * n  # price and what is left of it, by the taker's side
        self.books: list[dict | None] = [None] * n
        self.found: list[dict[int, Counter]] = [{BUY: Counter(), SELL: Counter()} for _ in range(n)]  # of the last book, quote
        self.instant = self.cfg["order_latency"] == 0 and self.cfg["cancel_latency"] == 0
        self.by_event = {stage: defaultdict(list) for stage in records}
        for stage, rows in records.items():
            assert [x[0] for x in rows] == sorted(x[0] for x in rows), stage
            for x in rows:
                self.by_event[stage][x[0]].append(x[2:])
        for row in records["levels"]:
            self.levels[row[3]][row[4]].append((row[6], row[7]))

    def read(self) -> None:
        self.chains()
        self.peaks()
        if self.cfg["dd_window"] == "rolling":
            self.rolling_peaks()
        for k, event in enumerate(self.events):
            self.take_market(event)
            self.take_marks(k)
            self.take_damage(k)
            self.take_amends(k)
            self.take_fills(k)
            self.take_order_ends(k)
            self.take_commands(k)
            for row in self.by_event["plans"][k]:
                self.budget[row[0]] = row[13]
                self.take_plan(row)
            self.take_intents(k, event["ts"])
            self.after(k)

    def take_market(self, event: dict) -> None:
        if event["kind"] in ("quote", "book") and event["fault"] is None:
            s = event["symbol"]
            self.mid2[s] = event["bid_px"] + event["ask_px"]
            best = {BUY: (event["ask_px"], event["ask_qty"]), SELL: (event["bid_px"], event["bid_qty"])}
            if event["kind"] == "book":
                self.books[s] = event
                self.found[s] = {BUY: Counter(dict(event["asks"])), SELL: Counter(dict(event["bids"]))}
            self.best[s] = {side: [px, qty] for side, (px, qty) in best.items()}

    def take_marks(self, k: int) -> None:
        """A mark moves every symbol's drawdown, also where it writes no row (ADR-4.1): those are worked out from the last one."""
        rows = self.by_event["ledger"][k]
        for row in rows:
            if row[0] >= 0:
                s, self.budget[row[0]], self.drawdown[row[0]] = row[0], row[12], row[11]
                self.book[s] = (row[2], row[4], row[10])
        if not rows or rows[-1][1] == ROLL:  # a roll marks with the mids before the event, and writes every row
            return
        for s in set(range(len(self.tv))) - {row[0] for row in rows if not row[1] & ROLL}:
            position, cash, peak = self.book[s]
            equity = cash + position * self.mid2[s] * self.tv[s] // 2
            peak = max(peak, equity)
            self.book[s], self.drawdown[s] = (position, cash, peak), peak - equity

    def take_damage(self, k: int) -> None:
        """DAMAGE_CONTROL of the portfolio, from its alert to its clearing (SPEC 11): the alert of a roll's mark may be cleared by
        the event's own."""
        rows = [row for row in self.by_event["ledger"][k] if row[0] == -1]
        clear = [row[11] * UNIT < row[12] * self.cfg["dd_clear"] or (row[1] & ROLL and row[11] == 0) for row in rows]
        if any(clear):
            self.damaged = False
        if any(row[:2] == (-1, 0) for row in self.by_event["alerts"][k]):
            self.damaged = not clear[-1]

    def take_fills(self, k: int) -> None:
        for s, order, _cycle, side, role, price, qty, _fee, taker in self.by_event["fills"][k]:
            before = self.position[s]
            self.position[s] += side * qty
            self.count[f"fills of role {role}"] += 1
            if role == FLATTEN:  # INVARIANT 22
                assert taker == 1
                self.check_taker(s, self.events[k]["ts"], side, price, qty)
                assert abs(self.position[s]) < abs(before) and self.position[s] * before >= 0
            seen = self.orders[s].get(order)
            if role != FLATTEN:
                assert seen.qty == qty and seen.side == side
            else:
                assert qty <= seen.qty
                seen.qty -= qty

    def check_taker(self, s: int, ts: int, side: int, price: int, qty: int) -> None:
        """ADR-0028.8: what is displayed is found once, at the best price or beyond it in a fresh book."""
        best, book = self.best[s][side], self.books[s]
        if book is None or ts - book["ts"] > self.cfg["l2_stale_ns"]:
            assert side * price >= side * best[0] or price == 1  # slipped
            best[1] -= qty
        elif price == best[0]:
            best[1] -= qty
            self.count["taken at the best price"] += 1
        else:
            assert side * price > side * best[0] and best[1] <= 0
            self.found[s][side][price] -= qty
            assert self.found[s][side][price] >= 0
            self.count["taken beyond the best price"] += 1
        assert best[1] >= 0

    def take_amends(self, k: int) -> None:
        """They took effect in step 1, before the fills."""
        for s, order, before, after, price, remaining, _live in self.by_event["orders"][k]:
            if (before, after) == (1, 1) and self.orders[s][order].role != FLATTEN:
                self.orders[s][order].price, self.orders[s][order].qty = price, remaining

    def take_order_ends(self, k: int) -> None:
        for s, order, before, after, price, remaining, _live in self.by_event["orders"][k]:
            if before == -1:
                continue
            if after in (3, 4):
                del self.orders[s][order]
            else:
                self.orders[s][order].price, self.orders[s][order].qty = price, remaining

    def take_commands(self, k: int) -> None:
        for _s, kind, code, _value in self.by_event["input"][k]:
            if kind == 4:
                self.count[f"command {code}"] += 1
                self.killed = (self.killed or code == 2) and code != 3

    # ---- plans: 27, 28, 29

    def take_plan(self, row: tuple) -> None:
        s, plan, regime, _mode, center, step, w_down, w_up, n_down, n_up, a_down, a_up, tp_step, budget, down, up, reasons = row
        self.plan[s] = row
        self.count[f"plans in regime {regime}"] += 1
        for bit in range(17):
            if reasons >> bit & 1:
                self.count[f"plans with reason {bit}"] += 1
        cfg = self.cfg
        tick_floor = -(-UNIT // max(1, self.mid2[s] // 2))
        assert step >= max(cfg["step_min"], 2 * max(0, cfg["maker_fee"]) + cfg["min_edge"], tick_floor)
        assert tp_step >= step
        for side, width, n, worst, adds in ((BUY, w_down, n_down, down, a_down), (SELL, w_up, n_up, up, a_up)):
            assert cfg["x_min"] <= width <= cfg["x_cap"]
            levels = self.levels[plan][side]
            assert len(levels) == n <= cfg["levels_max"]
            self.check_sizes(s, levels)
            self.check_count(width, step, n, levels, reasons, center)
            loss, held, exact = self.worst_case(s, side, levels, center, width)
            assert worst == loss + held, (plan, side, worst, loss, held)
            # 7.6's sizes know no rounding of fees; where that breaks the budget, a level is not wanted (BUDGET).
            assert exact <= max(0, budget - self.drawdown[s] - held), (plan, side)
            self.count["sides with levels" if n else "sides without levels"] += 1
            assert adds in (0, 1, 2)
        if regime >= 3:
            assert (a_down, a_up) == (OFF, OFF)

    def check_sizes(self, s: int, levels: list[tuple[int, int]]) -> None:
        """Never martingale: no level's notional is over the nearest's by more than the rounding to lots."""
        for p, q in levels:
            assert q >= 1 and p * q * self.tv[s] >= self.cfg["min_notional"]
            first_p, first_q = levels[0]
            assert p * q <= first_p * (first_q + 2), levels  # floored twice: by size, by cap

    def check_count(self, width: int, step: int, n: int, levels: list, reasons: int, center: int) -> None:
        wanted = min(max(-(-width // step), self.cfg["levels_min"]), self.cfg["levels_max"])
        assert n <= wanted
        if not reasons & (CAPPED | sp.BUDGET_TOO_SMALL | sp.STEP_WIDENED) and center > 10**10 and n < wanted:
            self.count["sides that the budget cut"] += 1

    def worst_case(self, s: int, side: int, levels: list[tuple[int, int]], center: int, width: int, floor: int | None = None):
        """The entries' loss and the open position's at the stress price, written apart from the engine's: each fee ceiled on its
        own (ADR-0028.4); and the entries' exactly."""
        end = Fraction(center, 10**6) * (1 - side * Fraction(width, UNIT))
        stress = [math.floor(end) if side == BUY else math.ceil(end)] + [p for p, _q in levels]
        p = min(stress) if side == BUY else max(stress)
        if floor is not None:
            p = min(p, floor) if side == BUY else max(p, floor)
        loss = sum(q * abs(e - p) * self.tv[s] for e, q in levels)
        fees = [Fraction(q * e * self.tv[s] * max(0, self.cfg["maker_fee"]), UNIT) for e, q in levels]
        held = self.position[s] * (Fraction(self.mid2[s], 2) - p) * self.tv[s]
        return loss + sum(math.ceil(x) for x in fees), max(0, math.ceil(held)), loss + sum(fees)

    # ---- intents: 23, 24, 25

    def take_intents(self, k: int, ts: int) -> None:
        sent_entries = Counter()
        for s, kind, order, side, role, _key, price, qty, reason in self.by_event["intents"][k]:
            self.count[f"intents of kind {kind}, role {role}"] += 1
            if reason:
                self.count[f"intents with reason {reason.bit_length() - 1}"] += 1
            sent = kind == CANCEL or (order >= 0 and not (kind == AMEND and reason))
            if not sent:
                continue
            if role == ENTRY and kind != CANCEL:
                self.check_entry(s, kind, order, side, price, qty)
                self.take_entry_token(ts)
                sent_entries[s] += 1
                assert not self.killed
            elif kind == PLACE:
                assert not self.killed or role == FLATTEN
            if kind == CANCEL:
                self.orders[s][order].leaving = True
            elif kind == PLACE:
                self.orders[s][order] = Seen(side, role, price, qty)

    def check_entry(self, s: int, kind: int, order: int, side: int, price: int, qty: int) -> None:
        others = [o for i, o in self.orders[s].items() if i != order]
        old = self.orders[s][order].qty if kind == AMEND else 0
        total = side * self.position[s] + sum(o.qty for o in others if o.side == side and o.role != FLATTEN) + max(qty, old)
        cap = self.cfg["max_inventory"][1]
        assert total * self.mid2[s] * self.tv[s] <= 2 * cap, (s, total)
        assert price * qty * self.tv[s] >= self.cfg["min_notional"]
        if kind == PLACE:
            assert len(others) < self.cfg["max_open_orders"]
            assert sum(len(x) for x in self.orders) < self.cfg["max_open_orders_portfolio"]

    def take_entry_token(self, ts: int) -> None:
        """Entries alone must fit the bucket: what else takes tokens only leaves fewer."""
        if self.tokens_ts is not None:
            grown = self.tokens + Fraction(self.cfg["order_rate"] * (ts - self.tokens_ts), SECOND)
            self.tokens = min(Fraction(self.cfg["order_burst"]), grown)
        self.tokens_ts = ts
        self.tokens -= 1
        assert self.tokens >= 0

    # ---- after an event: 21, 27

    def after(self, k: int) -> None:
        rows = self.by_event["intents"][k]
        filled = {row[0] for row in self.by_event["fills"][k]}
        planned = {row[0] for row in self.by_event["plans"][k]}
        for s, plan in enumerate(self.plan):
            if plan is None:
                continue
            open_entries = [(i, o) for i, o in self.orders[s].items() if o.role == ENTRY and not o.leaving]
            for side, adds in ((BUY, plan[10]), (SELL, plan[11])):
                if self.instant and (adds == OFF or self.damaged):
                    assert not [o for _i, o in open_entries if o.side == side], (k, s, side)
            if self.instant and s in filled | planned:
                amended = {row[2]: (row[6], row[7]) for row in rows if row[0] == s and row[1] == AMEND and not row[8]}
                # A `weighted` split by a selection is in no record until the next plan or mark.
                hidden = self.cfg["allocator"] == "weighted" and len(self.tv) > 1 and s not in planned
                if not hidden and not any(row[0] == s and row[1] == AMEND and row[8] and row[4] == ENTRY for row in rows):
                    self.check_open(k, s, plan, open_entries, amended)

    def check_open(self, k: int, s: int, plan: tuple, entries: list, amended: dict) -> None:
        """INVARIANT 27 after a plan or a reflex: what is really open, at the prices and quantities that it will have."""
        for side, width in ((BUY, plan[6]), (SELL, plan[7])):
            levels = [amended.get(i, (o.price, o.qty)) for i, o in entries if o.side == side]
            loss, held, _exact = self.worst_case(s, side, levels, plan[4], width)
            if levels:
                # The remainder of an equal split may have moved by an atom.
                assert loss + held <= self.budget[s] - self.drawdown[s] + 1, (
                    k,
                    s,
                    side,
                    loss,
                    held,
                    self.budget[s],
                    self.drawdown[s],
                )
                self.count["worst cases of open entries"] += 1

    # ---- over the whole run: 26, 30, 31

    def chains(self) -> None:
        """Exactly one regime, and one level of each gate, at any time."""
        regime, gates = defaultdict(lambda: 6), defaultdict(int)
        for _k, _ts, s, before, after, _reasons in self.records["regimes"]:
            assert regime[s] == before != after
            regime[s] = after
            self.count[f"regime {after}"] += 1
        for _k, _ts, s, gate, before, after, _reasons in self.records["gates"]:
            assert gates[s, gate] == before and (before != after or gate == 4)
            gates[s, gate] = after
            self.count[f"gate {gate} to {after}"] += 1
        for row in self.records["alerts"]:
            self.count[f"alert {row[3]}"] += 1

    def peaks(self) -> None:
        peak: dict[int, int] = {}
        for k in sorted({row[0] for row in self.records["ledger"]}):
            rows = self.by_event["ledger"][k]
            for row in rows:
                if row[1] & ROLL:
                    peak.pop(row[0], None)
                    self.count["rolls"] += 1
                assert row[10] >= peak.get(row[0], row[10])
                assert row[11] == row[10] - row[9] >= 0
                peak[row[0]] = row[10]
            for portfolio in [row for row in rows if row[0] == -1]:
                budgets = {row[0]: row[12] for row in rows if row[0] >= 0}  # the last of an event stands
                assert sum(budgets.values()) <= portfolio[12] or any(row[1] & ROLL for row in rows)

    def rolling_peaks(self) -> None:
        """ADR-0028.1 for the portfolio, from its rows alone: what a window of 24 parts before the new one holds of all marks, and
        the equity that its first part began with."""
        length = self.cfg["dd_window_ms"] * 10**6 // 24
        begins = [(self.events[0]["ts"] // length, self.cfg["equity"])]  # (last part that began so, equity)
        marks = list(begins)
        for row in self.records["ledger"]:
            part, equity, peak, budget = row[1] // length, row[11], row[12], row[14]
            if row[2] != -1:
                continue
            marks.append((part, equity))
            if row[3] == ROLL:
                begins.append((part, equity))
                assert peak == max(e for k, e in marks if k >= part - 24), row
                start = next(e for k, e in begins if k >= part - 24)
                assert budget == max(0, start * self.cfg["dd_budget_pct"] // UNIT), row
                self.count["rolls with a memory"] += peak > equity


class StaticReader(Reader):
    """`static` under the risk monitor: ADR-0028.7 instead of what binds a plan of `smart`."""

    def __init__(self, *args):
        super().__init__(*args)
        self.level: dict[tuple[int, int], int] = defaultdict(int)

    def take_plan(self, row: tuple) -> None:
        assert self.plan[row[0]] is None  # decides once
        self.plan[row[0]] = row

    def after(self, k: int) -> None:
        for s, gate, _before, after, _reasons in self.by_event["gates"][k]:
            self.level[s, gate] = after
        for s in range(len(self.tv)):
            triggered = self.level[s, gt.SHOCK] > 0 or self.level[s, gt.TOXICITY] >= gt.HIGH
            if self.instant and (triggered or self.damaged or self.killed):
                assert not [o for o in self.orders[s].values() if o.role == ENTRY and not o.leaving], (k, s)
                self.count["static without entries"] += 1
            elif self.orders[s]:
                self.count["static with orders"] += 1


# --------------------------------------------------------------------------------------------------
# Hand values, monotony, causality


def examples() -> None:
    """SPEC 7.2 and 7.5, and the weights of 16.14."""
    assert sp.root_of(3600 * SECOND, 60 * SECOND) == 774_596_669
    assert 100_000 * 774_596_669 // UNIT == 774_596
    cfg = dict(DEFAULTS)
    assert sp.stress(cfg, sp.RANGE, 100_000, UNIT) == 1_549_192
    buys, n = ladder(10_000 * 10**6, 1_000_000, BUY, 5)
    assert buys[1:7] == [9900, 9801, 9702, 9605, 9509, 9414] and n == 5
    sells, n = ladder(10_000 * 10**6, 1_000_000, SELL, 5)
    assert sells[1:6] == [10100, 10201, 10304, 10407, 10511] and n == 5
    assert sp.weights(3, "B", 3 * UNIT) == [UNIT, 66_666_667, 33_333_333]
    assert sp.level_count(cfg, 5_000_000, 1_000_000) == (5, 0)
    assert sp.l2_penalty(cfg, None, False) == UNIT and sp.l2_penalty(cfg, None, True) == 3 * UNIT
    assert sp.l2_penalty(cfg, 50_000, False) == 150_000_000 and sp.l2_penalty(cfg, 10**7, False) == 3 * UNIT


def features_by_hand() -> None:
    """Three bars and one book, worked with a pencil."""
    cfg = DEFAULTS | {"atr_bars": 2, "return_bars": 2, "ema_fast": 1, "ema_slow": 3}
    series = ft.Series()
    for high, low, close in ((10, 8, 9), (12, 9, 11), (11, 7, 8)):
        ft.add_bar(series, high, low, close, cfg)
    assert series.tr == [2, 3, 4] and series.atr == [None, 2.5, 3.25]
    out = ft.bar_features(series, cfg)
    assert out["natr"] == 40_625_000 and out["efficiency_ratio"] == 20_000_000
    assert out["sum_abs_returns"] == 49_494_949  # 2/9 + 3/11
    assert out["net_return"] == 11_111_111 and out["range_score"] == 445_053_997  # 0.494949 / (0.111111 + 0.0001)
    assert out["trend_strength"] == -30_769_231  # EMA(1) 8, EMA(3) 9, 10, 9: -1/3.25
    assert ft.l1_features(99, 10, 101, 30, 7) == {"spread_bps": 2_000_000, "imbalance_l1": -50_000_000, "thin_l1": 6_930}
    view = ft.book_features([(99, 10), (98, 20)], [(101, 10), (102, 30)], 200, 1, cfg | {"impact_quote": 1_520})
    values = view.values
    assert not view.depth_short and values["impact"] == 350_993  # bids: 1520 / (10 + 530/98) = 98.6490...
    assert (values["depth_bid"], values["depth_ask"]) == (2_950, 4_070)
    assert values["spread_at_depth"] == 2_684_327  # 101.3333... - 98.6490...
    assert (values["slope_bid"], values["slope_ask"]) == (20_000_000, 30_000_000)  # 20 and 30 lots over 100 bp
    assert (values["walls_bid"], values["wall_dist_bid"]) == (0, 0)
    assert ft.book_features([(99, 10)], [], 200, 1, cfg | {"impact_quote": 900}).depth_short
    assert ft.walls([(99, 1), (98, 5), (97, 1)], 10, 5 * UNIT, 100.0) == (1, 2_000_000)


def once_by_hand() -> None:
    """SPEC 6: L = 3 sells at ONCE; a filled one neither comes back nor adds another, held or not."""
    engine, sym = bare_engine()
    sym.plan = hand_plan(adds=1)
    sym.regime, sym.trend = sp.TREND_UP, 1
    wanted = lambda: [w.key for w in engine.wanted_entries(sym, SELL)]  # noqa: E731
    assert wanted() == [1, 2, 3]
    order = Order(0, 0, SELL, ENTRY, 1, 10100, 1, 0)
    engine.entry_filled(sym, order)
    sym.cycles[0] = Cycle(0, SELL, 10100, 1, 10000, 10**6, 0)
    assert wanted() == [2, 3]
    sym.cycles.clear()
    assert wanted() == [2, 3]
    sym.cycles[1] = Cycle(1, SELL, 10204, 1, 10000, 10**6, 0)  # of before the trend: FULL's rule adds one
    assert wanted() == [3, 4]
    engine.entry_filled(sym, Order(1, 0, BUY, ENTRY, 1, 9900, 1, 0))
    assert wanted() == [3, 4] and sym.once[BUY] == []
    engine.set_trend(sym, 0)
    assert wanted() == [1, 3, 4]


def taker_by_hand() -> None:
    """SPEC 9 at L1: visible quantity once per update, the rest carried, clipped to the position."""
    engine, sym = bare_engine()
    sym.ledger.apply_fill(BUY, 10_000, 100, 0)
    sym.orders[7] = order = Order(7, 0, SELL, FLATTEN, 0, 0, 100, 0, state=1)
    quote = {"ts": 1, "symbol": 0, "kind": "quote", "fault": None, "bid_px": 9_999, "ask_px": 10_001, "bid_qty": 30, "ask_qty": 9}
    engine.step2_book(sym, quote)
    for _ in range(2):  # the second time is a trade: nothing more is displayed
        engine.step3_fills(sym)
        assert sym.ledger.position == order.qty == 70
    sym.ledger.apply_fill(SELL, 10_000, 50, 0)  # another order reduced it
    engine.step2_book(sym, quote)
    engine.step3_fills(sym)
    assert sym.ledger.position == 0 and not sym.orders
    fills = [row[7:] for row in engine.records["fills"]]
    price = 9_997  # floor(9999 * 0.9998)
    assert [(x[-4], x[-3], x[-1]) for x in fills] == [(price, 30, 1), (price, 20, 1)]
    assert fills[0][-2] == math.ceil(Fraction(price * 30 * 10_000 * 50_000, UNIT))


def gates_by_hand() -> None:
    hold = gt.Hold()
    hold.seen(gt.HIGH, 100)
    hold.seen(gt.MID, 130)
    assert [hold.held(t, 60) for t in (130, 159, 160, 189, 190)] == [2, 2, 1, 1, 0]
    run_ = gt.ThinRun()
    assert [run_.thin(5, 1, Fraction(10), t, 3) for t in (0, 2, 3)] == [False, False, True]
    assert run_.thin(0, 0, Fraction(10), 99, 3) and not gt.ThinRun().thin(0, 0, Fraction(0), 0, 3)
    assert gt.severity(3, [3, 6, 20]) == 1 and gt.severity(6, [3, 6, 0]) == 2 and gt.severity(0, [0, 0, 0]) == 0


def selection_by_hand() -> None:
    cfg = DEFAULTS | {"top_k": 2, "liq_ref": 0}
    stand = lambda s, er: topk.Standing(s, er * 1_000_000, 0, 1, 0)  # noqa: E731
    assert topk.score(cfg, stand(0, 30)) == 170_000_000
    assert topk.select(cfg, [stand(0, 30), stand(1, 30), stand(2, 30)], set()) == {0, 1}
    assert topk.select(cfg, [stand(0, 26), stand(1, 30), stand(2, 30)], {1, 2}) == {1, 2}
    assert topk.select(cfg, [stand(0, 24), stand(1, 30), stand(2, 30)], {1, 2}) == {0, 1}
    assert topk.split(cfg, 101, 3, {0: None, 2: None}) == {0: 51, 2: 50}
    assert topk.split(cfg, 101, 3, {2: None}) == {2: 51}
    assert topk.split(cfg | {"dd_budget_symbol": [80, None, None]}, 101, 3, {0: None, 2: None}) == {0: 51, 2: 50}
    assert topk.largest_remainder(10, [1, 1, 1]) == [4, 3, 3]


def bare_engine() -> tuple[Smart, SmartSymbol]:
    cfg = {"policy": "smart", "equity": 10**13}
    engine = Smart([{"tick_value": 10_000, "perpetual": False, "hard_cap_lots": 10**6}], cfg)
    sym = engine.symbols[0]
    sym.has_l1, sym.bid, sym.ask, sym.mid2 = True, 9_999, 10_001, 20_000
    return engine, sym


def hand_plan(adds: int) -> sp.SmartPlan:
    """Three sells of one lot, 1 % apart from 100.00."""
    prices, _n = ladder(10_000 * 10**6, 1_000_000, SELL, 3)
    side = sp.Side(3_000_000, prices[:41], [1, 1, 1], adds, prices[3], 10**12, 0, 0, 0)
    return sp.SmartPlan(0, sp.TREND_UP, 4, 10**10, 10**6, 10**6, {SELL: side, BUY: side}, False, 10**12, 0)


def monotone(r: random.Random) -> None:
    """INVARIANT 29: a higher NATR never narrows step, stress or width."""
    cfg = DEFAULTS
    for _ in range(200):
        regime, a = r.randrange(8), r.randrange(3_000_000)
        b = a + r.randrange(1_000_000)
        penalty = r.randint(UNIT, 3 * UNIT)
        xs = [sp.stress(cfg, regime, natr, penalty) for natr in (a, b)]
        assert xs[0] <= xs[1]
        assert all(cfg["x_min"] <= x <= cfg["x_cap"] for x in xs)
        assert all(sp.width_of(cfg, regime, side, xs[0]) <= sp.width_of(cfg, regime, side, xs[1]) for side in (BUY, SELL))
        assert sp.step_of(cfg, regime, a, 200_000)[0] <= sp.step_of(cfg, regime, b, 200_000)[0]


def check_seed(seed: int, counter: Counter) -> None:
    r = random.Random(seed)
    monotone(r)
    symbols = r.choice([1, 1, 2, 4])
    cfg = random_config(r, symbols)
    instruments = [
        {"tick_value": r.choice([2_000, 20_000, 200_000]), "perpetual": True, "hard_cap_lots": 10**8} for _ in range(symbols)
    ]
    tick_values = [x["tick_value"] for x in instruments]
    events = random_tape(r, tick_values, r.randint(300, 500) * min(symbols, 3))
    cfg = new_settings(r, cfg)
    if seed % 3 == 0:
        cfg, events = cfg | CRUMBS, crumbs(r, events)
    check_run(r, cfg, instruments, events, counter, Reader)
    if seed % 2:
        check_run(r, static_config(r, cfg, tick_values), instruments, events, counter, StaticReader)


def check_run(r: random.Random, cfg: dict, instruments: list[dict], events: list[dict], counter: Counter, reader: type) -> None:
    records = run(instruments, cfg, events)
    reader(cfg, instruments, events, records, counter).read()
    cut = r.randrange(len(events))
    head = run(instruments, cfg, events[:cut])
    for stage, rows in head.items():  # INVARIANT 34
        assert rows == [row for row in records[stage] if row[0] < cut], stage


HAND = (examples, features_by_hand, once_by_hand, taker_by_hand, gates_by_hand, selection_by_hand)


def main() -> None:
    first, count = (int(x) for x in (sys.argv[1:] + ["0", "300"][len(sys.argv) - 1 :]))
    for check in HAND:
        check()
    counter: Counter = Counter()
    for seed in range(first, first + count):
        try:
            check_seed(seed, counter)
        except Exception:
            print("seed", seed)
            raise
    for name in sorted(counter):
        print(f"{counter[name]:8d}  {name}")


if __name__ == "__main__":
    main()
