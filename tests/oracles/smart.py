"""Policy `smart` on the reference engine's step: features, gates, regimes, plan, protection, Top-K.

What the contract leaves open is marked `OPEN n`; OPEN.md lists all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from . import features as ft, gates as gt, smart_plan as sp, takers, topk
from .reference import (
    BUY,
    CANCELLED,
    CAUSE_FILL,
    ENTRY,
    FILLED,
    FLATTEN,
    INPUT_QUARANTINED,
    OPEN,
    PARTIAL,
    POST_ONLY,
    RANKS,
    RATE_LIMIT,
    SELL,
    STAGES,
    TAKE_PROFIT,
    UNIT,
    Bar,
    Cycle,
    Order,
    Reference,
    Symbol,
    Wanted,
    fee_of,
    held_indices,
    ratio_floor,
    take_profit_price,
)
from .smart_plan import EMERGENCY, OFF, ONCE, PAUSED, RANGE, THIN_BOOK, TOXIC, TREND_DOWN, TREND_UP, VOL_SHOCK, SmartPlan
from .sustained import Watch

MODE_EMERGENCY, MODE_PAUSE, MODE_DAMAGE_CONTROL, MODE_THROTTLE, MODE_NORMAL = range(5)
TREND_NONE, UP, DOWN = range(3)
TIMER_STALE, TIMER_COOLDOWN = 1, 4
CAUSE_GATE, CAUSE_COMMAND = 8, 16
INPUT_COMMAND = 4
PAUSE, RESUME, KILL, RESET, RECOVER = range(5)
# OPEN 38: alert codes follow SPEC 13's list (stuck, mismatch are not raised here; 2 and 3 are in sustained.py), then two more.
ALERT_DRAWDOWN_WARNING, ALERT_DRAWDOWN, ALERT_LEVERAGE, ALERT_BUDGET_TOO_SMALL, ALERT_BREAKER = 0, 1, 4, 7, 8
WARNING, CRITICAL = 0, 1

MILLISECOND = 1_000_000
SECOND = 1000 * MILLISECOND
MINUTE = 60 * SECOND
BP = 10_000
PERCENT = 1_000_000
COIN = 100_000_000  # atoms of one quote unit at 8 decimals


def by_row(default: int, **rows: int) -> dict[str, int]:
    return {"range": default, "trend": default, "vol_shock": default, "thin_book": default} | rows


DEFAULTS = {
    # SPEC 4 and 5; SPEC 15 "Further" wins
    "bar_ns": MINUTE,
    "atr_bars": 14,
    "atr_method": "wilder",
    "return_bars": 60,
    "range_eps": BP,
    "range_cap": 1000 * UNIT,
    "ema_fast": 12,
    "ema_slow": 48,
    "top_n": 10,
    "impact_quote": 10_000 * COIN,
    "wall_ratio": 5 * UNIT,
    "l1_stale_ns": 15 * SECOND,
    "l1_pause_ns": 60 * SECOND,
    "l2_stale_ns": 2 * SECOND,
    "thin_quote": 1_000 * COIN,
    "thin_quote_depth": 10_000 * COIN,
    "thin_ns": 3 * SECOND,
    "thin_clear_ns": 30 * SECOND,
    "shock_ratio": 4 * UNIT,
    "shock_tr": 6 * UNIT,
    "baseline_bars": 96,
    "baseline_min": 24,
    "spread_bars": 60,
    "spread_bars_min": 20,
    "quarantine_window_ns": 60 * SECOND,
    "spread_floor": BP,
    "tox_spread": [3 * UNIT, 6 * UNIT, 20 * UNIT],
    "tox_impact": [10 * BP, 25 * BP, 100 * BP],
    "tox_jump": [1 * UNIT, 2 * UNIT, 5 * UNIT],
    "tox_quarantined": [1, 5, 50],
    "jump_window_ns": SECOND,
    "clear_ns": 60 * SECOND,
    "throttle_ns": 10 * SECOND,
    # SPEC 6
    "trend_enter": 2 * UNIT,
    "trend_exit": UNIT // 2,
    "er_enter": 35 * PERCENT,
    # SPEC 7
    "horizon_ns": by_row(60 * MINUTE, trend=120 * MINUTE, vol_shock=30 * MINUTE),
    "k_tail": by_row(2 * UNIT, trend=250 * PERCENT, vol_shock=3 * UNIT, thin_book=250 * PERCENT),
    "trend_penalty": by_row(UNIT, trend=125 * PERCENT),
    "shock_multiplier": by_row(UNIT, trend=125 * PERCENT, vol_shock=2 * UNIT, thin_book=250 * PERCENT),
    "x_min": 50 * BP,
    "x_cap": 10 * PERCENT,
    "side_mult_against": 150 * PERCENT,
    "side_mult_with": 75 * PERCENT,
    "impact_ref": 10 * BP,
    "alpha": 80 * PERCENT,
    "step_min": 5 * BP,
    "min_step_ticks": 1,
    "levels_min": 2,
    "levels_max": 20,
    "sizing": "A",
    "max_weight_ratio": 3 * UNIT,
    "skew_factor": 5 * BP,
    "replan_levels": 4,
    "replan_center": 2 * UNIT,
    "allocator": "equal",
    "dd_budget_symbol": None,  # or a list: atoms or None per symbol
    # SPEC 8-11
    "equity": 10_000 * COIN,
    "maker_fee": 2 * BP,
    "taker_fee": 5 * BP,
    "min_edge": 4 * BP,
    "slippage": 2 * BP,
    "order_latency": 0,
    "cancel_latency": 0,
    "max_gap_ns": 600 * SECOND,
    "fill_model": "mid_touch",
    "penetration": 0,
    "max_inventory": ("ratio", UNIT),
    "max_effective_leverage": 2 * UNIT,
    "max_open_orders": 100,
    "max_open_orders_portfolio": 400,
    "min_notional": 5 * COIN,
    "order_rate": 20,
    "order_burst": 100,
    "dd_budget_pct": 2 * PERCENT,
    "dd_window": "daily",
    "dd_window_ms": 86_400_000,  # of "rolling"
    "dd_warn": 80 * PERCENT,
    "dd_clear": 60 * PERCENT,
    "dc_tp_mult": UNIT // 2,
    "flatten_on_drawdown": True,
    "flatten_on_emergency": False,
    "latch_on_extreme": False,
    "max_consecutive_losses": 0,
    "cooldown_ns": 0,
    "risk_monitor": False,  # changes nothing for smart (ADR-0028.7)
    # SPEC 13
    "alert_after_ms": 300_000,
    # SPEC 12
    "top_k": 3,
    "select_every_ns": 15 * MINUTE,
    "switch_margin": 5 * PERCENT,
    "liq_ref": 50_000 * COIN,
    "topk_spread_limit": 20 * BP,
    "funding_limit": 0,
    "w_range": UNIT,
    "w_liq": UNIT,
    "w_tox": 2 * UNIT,
    "w_trend": UNIT,
}


@dataclass
class SmartSymbol(Symbol):
    bid_qty: int = 0
    ask_qty: int = 0
    taken: dict[int, int] = field(default_factory=lambda: {BUY: 0, SELL: 0})  # of the displayed quantity, by our takers
    eaten: dict[int, takers.Eaten] = field(default_factory=lambda: {BUY: takers.Eaten(), SELL: takers.Eaten()})  # of the book
    book: tuple[ft.Levels, ft.Levels] | None = None
    book_ts: int = 0
    funding_rate: int = 0
    series: ft.Series = field(default_factory=ft.Series)
    features: dict[str, int | None] | None = None  # as of the last bar close since the last gap
    depth_short: bool = False  # likewise
    gates: gt.GateState = field(default_factory=gt.GateState)
    trend: int = TREND_NONE
    once: dict[int, list[int]] = field(default_factory=lambda: {BUY: [], SELL: []})  # prices of filled ONCE entries
    regime: int = PAUSED  # SPEC 6: before the first event
    paused: bool = False
    halted: bool = False
    halt_due: int | None = None
    losses: int = 0
    damage_control: bool = False
    over_budget: bool = False  # until the window rolls
    entries_ts: int | None = None  # of the last reconciliation that sent an entry
    throttled: bool = False  # in the reconciliation in progress
    watch: Watch = field(default_factory=Watch)

    def warm(self) -> bool:
        f = self.features
        return f is not None and None not in (f["atr"], f["trend_strength"], f["range_score"])


class Smart(Reference):
    stages = (*STAGES, "features", "gates", "regimes", "alerts")
    symbol_type = SmartSymbol
    guarded = True

    def __init__(self, instruments: list[dict], config: dict):
        cfg = DEFAULTS | {"quantity": [0] * len(instruments)} | config
        # OPEN 30: a fixture of one symbol needs no selection: it is always selected.
        self.selected: set[int] = {0} if len(instruments) == 1 else set()
        self.next_select: int | None = None
        self.latch: str | None = None
        self.latch_armed = True
        self.damage_control = False
        self.over_leverage = False
        self.raised: set[int] = set()
        self.closed: set[int] = set()  # symbols of which this event closed a bar with features
        super().__init__(instruments, cfg)

    # ---- the step ------------------------------------------------------------------------------

    def step(self, index: int, event: dict) -> None:
        self.event, self.ts = index, event["ts"]
        self.causes, self.decisions, self.reflexes = {}, set(), set()
        self.raised, self.closed = set(), set()
        sym = self.symbols[event["symbol"]] if event["symbol"] >= 0 else None
        market = event["kind"] != "command"
        accepted = market and event.get("fault") is None
        self.step1_clock(sym, event, accepted)
        if not market:
            self.command(event)
        elif accepted:
            self.step2_book(sym, event)
            self.pay_funding(sym, event)
            self.step3_fills(sym)
        else:
            self.record("input", sym.index, INPUT_QUARANTINED, event["fault"], RANKS[event["kind"]])
            sym.gates.quarantined.append(self.ts)
        # OPEN 57: smart does not ask for decisions at fills; damage control, breaker and selection decide when they change.
        # Gates come before the mark because a moved gate is one (OPEN 23); neither reads the other.
        for x in self.symbols:
            self.step5_gates(x, own=market and x is sym)
        self.step4_ledger(sym, accepted)
        self.guard_leverage()
        self.sustained_alerts()
        for x in self.symbols:
            self.step6_regime(x)
        self.step7_select()
        for s in sorted(self.decisions | self.reflexes):
            if s in self.decisions:
                self.step7_decide(self.symbols[s])
            self.step8_reconcile(self.symbols[s])
        self.check()

    # ---- step 1: timers, bars, gaps, commands --------------------------------------------------

    def other_timers(self) -> list[tuple[int, int, int, int, int]]:
        due = []
        for sym in self.symbols:
            if sym.has_l1:
                for level, deadline in enumerate(self.stale_deadlines(sym), 1):
                    if sym.gates.level[gt.STALE] < level and deadline <= self.ts:
                        due.append((deadline, TIMER_STALE, sym.index, level, 0))
            if sym.halted and sym.halt_due is not None and sym.halt_due <= self.ts:
                due.append((sym.halt_due, TIMER_COOLDOWN, sym.index, 0, 0))
        return due

    def stale_deadlines(self, sym: SmartSymbol) -> list[int]:
        """SPEC 3.2.1. OPEN 24: the stale gate has a level for each staleness severity: stale, paused, 10x paused."""
        pause = self.cfg["l1_pause_ns"]
        ages = (self.cfg["l1_stale_ns"], pause, 10 * pause)
        return [sym.l1_ts + age + 1 if age else self.ts + 1 for age in ages]  # 16.3: 0 never triggers

    def other_timer(self, kind: int, s: int, what: int) -> None:
        sym = self.symbols[s]
        if kind == TIMER_STALE:
            self.set_gate(sym, gt.STALE, what)
            self.raised.add(s)
        else:
            sym.halted, sym.halt_due, sym.losses = False, None, 0
            self.decisions.add(s)

    def gap_noted(self, sym: SmartSymbol) -> None:
        """SPEC 3.4. OPEN 25: the plan in force, holds and thin runs stay."""
        sym.series, sym.features, sym.depth_short = ft.Series(), None, False
        sym.gates.limits, sym.gates.quotes = gt.Limits(), []
        self.set_trend(sym, TREND_NONE)

    def bar_closed(self, sym: SmartSymbol, bar: Bar) -> None:
        ft.add_bar(sym.series, bar.high, bar.low, bar.close, self.cfg)
        values = ft.bar_features(sym.series, self.cfg)
        values |= ft.l1_features(sym.bid, sym.bid_qty, sym.ask, sym.ask_qty, sym.tick_value)
        view = self.book_view(sym)
        if view is not None:
            values |= view.values
        sym.features, sym.depth_short = values, view is not None and view.depth_short
        self.record("features", sym.index, *ft.row(values))
        self.closed.add(sym.index)
        sym.series.spread.append(sym.ask - sym.bid)
        sym.gates.limits = gt.limits_at_close(sym.series, sym.mid2, self.cfg)
        sym.gates.shocked_now = gt.is_shock(sym.series, self.cfg)
        self.step_trend(sym)

    def book_view(self, sym: SmartSymbol) -> ft.BookView | None:
        """OPEN 26: fresh at the event's time, not at the bar's end."""
        if not self.has_fresh_book(sym):
            return None
        return ft.book_features(*sym.book, sym.mid2, sym.tick_value, self.cfg)

    def has_fresh_book(self, sym: SmartSymbol) -> bool:
        return sym.book is not None and self.ts - sym.book_ts <= self.cfg["l2_stale_ns"]

    def step_trend(self, sym: SmartSymbol) -> None:
        """SPEC 6: once per bar close, whatever the regime."""
        strength, er = sym.features["trend_strength"], sym.features["efficiency_ratio"]
        if strength is None or er is None:
            return
        state, cfg = sym.trend, self.cfg
        if (state == UP and strength < cfg["trend_exit"]) or (state == DOWN and strength > -cfg["trend_exit"]):
            state = TREND_NONE
        if state == TREND_NONE and er >= cfg["er_enter"]:
            if strength >= cfg["trend_enter"]:
                state = UP
            elif strength <= -cfg["trend_enter"]:
                state = DOWN
        self.set_trend(sym, state)

    def set_trend(self, sym: SmartSymbol, state: int) -> None:
        if state != sym.trend:
            sym.trend = state
            sym.once = {BUY: [], SELL: []}  # 16.5

    def command(self, event: dict) -> None:
        """SPEC 11. OPEN 27: symbol -1 is every symbol; kill and reset are always the portfolio's; a command does not match.
        OPEN 28: reset ends latch and breaker and keeps peak and drawdown; a drawdown latch needs a new crossing.
        OPEN 29: recover belongs to the recovery modes, which are not here; it only decides."""
        code, s = event["code"], event["symbol"]
        self.record("input", s, INPUT_COMMAND, code, 0)
        targets = self.symbols if s < 0 or code in (KILL, RESET) else [self.symbols[s]]
        if code == KILL:
            self.latch = self.latch or "manual"
        elif code == RESET:
            self.latch = None
        for sym in targets:
            if code in (PAUSE, RESUME):
                sym.paused = code == PAUSE
            elif code == RESET:
                sym.halted, sym.halt_due, sym.losses = False, None, 0
            self.decisions.add(sym.index)
            if sym.has_l1:
                self.cause(sym.index, CAUSE_COMMAND)

    def roll_window(self, new: int) -> None:
        """SPEC 11, ADR-0028.1: what a roll ends, with drawdowns and budgets of the new window; then the guard looks at this mark.
        OPEN 62: a latch survives a roll; one at which the drawdown is still over the budget does not arm it again."""
        super().roll_window(new)
        self.damage_control &= not self.released(self.portfolio.drawdown, self.portfolio.budget)
        for sym in self.symbols:
            sym.damage_control &= not self.released(sym.mark.drawdown, sym.mark.limit)
            sym.over_budget &= sym.mark.drawdown > sym.mark.limit
        self.guard()

    def released(self, drawdown: int, limit: int) -> bool:
        return drawdown == 0 or drawdown < math.ceil(Fraction(limit * self.cfg["dd_clear"], UNIT))

    # ---- step 2 --------------------------------------------------------------------------------

    def step2_book(self, sym: SmartSymbol, event: dict) -> None:
        super().step2_book(sym, event)
        if event["kind"] == "book":
            levels = (event.get("bids"), event.get("asks"))
            sym.book = None if None in levels else ([tuple(x) for x in levels[0]], [tuple(x) for x in levels[1]])
            sym.book_ts = self.ts
            sym.eaten = {BUY: takers.Eaten(), SELL: takers.Eaten()}
        if event["kind"] in ("book", "quote"):
            sym.bid_qty, sym.ask_qty = (self.best_qty(event, side) for side in ("bid", "ask"))
            sym.taken = {BUY: 0, SELL: 0}
            sym.gates.quotes.append((self.ts, sym.mid2))
        elif event["kind"] == "funding":
            sym.funding_rate = event["rate"]

    @staticmethod
    def best_qty(event: dict, side: str) -> int:
        if side + "_qty" in event:
            return event[side + "_qty"]
        levels = event.get(side + "s") or [(0, 0)]
        return levels[0][1]

    # ---- step 3: fills, takers -----------------------------------------------------------------

    def step3_fills(self, sym: SmartSymbol) -> None:
        """OPEN 35: a market order is the best-priced one of its side."""
        if not sym.has_l1:
            return
        live = [o for o in sym.orders.values() if o.state in (OPEN, PARTIAL)]
        live.sort(key=lambda o: (-o.side, o.role != FLATTEN, -o.side * o.price, o.id))
        for order in live:
            if order.role == FLATTEN:
                self.fill_taker(sym, order)
            elif self.is_touched(sym, order):
                self.fill(sym, order)

    def fill_taker(self, sym: SmartSymbol, order: Order) -> None:
        """SPEC 9, ADR-0028.8: what a fresh book shows, else best price plus slippage up to the visible quantity; the rest is
        carried; clipped as reduce-only.

        OPEN 36: the slipped price is rounded against the account; what one update displays is consumed once; price and cycle of
        the order and fill are 0 and -1; when the position is flat every open cycle ends without a record.
        """
        position = sym.ledger.position
        closing = min(order.qty, abs(position)) if position * order.side < 0 else 0
        if closing < order.qty:  # another order reduced the position meanwhile
            self.clip(sym, order, closing)
            if closing == 0:
                return
        side = order.side
        best = sym.ask if side == BUY else sym.bid
        visible = (sym.ask_qty if side == BUY else sym.bid_qty) - sym.taken[side]
        fresh = self.has_fresh_book(sym)
        price = best if fresh else self.slipped(side, best)
        qty = min(order.qty, max(0, visible))
        if qty:
            sym.taken[side] += qty
            self.taker_fill(sym, order, price, qty)
        if not fresh:
            return
        for px, left in takers.beyond(side, best, takers.displayed_side(side, sym.book), sym.eaten[side]):
            qty = min(order.qty, left)
            if qty == 0:
                break
            sym.eaten[side].take(px, qty)
            self.taker_fill(sym, order, px, qty)

    def slipped(self, side: int, best: int) -> int:
        worse = best * Fraction(UNIT + side * self.cfg["slippage"], UNIT)
        return math.ceil(worse) if side == BUY else max(1, math.floor(worse))

    def taker_fill(self, sym: SmartSymbol, order: Order, price: int, qty: int) -> None:
        fee = fee_of(price, qty, sym.tick_value, self.cfg["taker_fee"])
        sym.ledger.apply_fill(order.side, price, qty, fee)
        self.record("fills", sym.index, order.id, -1, order.side, order.role, price, qty, fee, 1)
        before, order.qty = order.state, order.qty - qty
        order.state = PARTIAL if order.qty else FILLED
        self.order_row(order, before, order.state)
        if not order.qty:
            del sym.orders[order.id]
        self.take_off_cycles(sym, -order.side, qty)
        if sym.ledger.position == 0:
            sym.cycles.clear()
        self.cause(sym.index, CAUSE_FILL)
        self.reflexes.add(sym.index)

    @staticmethod
    def take_off_cycles(sym: SmartSymbol, side: int, qty: int) -> None:
        """ADR-0023.4: lots that a taker closed come off the cycles of that side, oldest first."""
        for cycle in list(sym.cycles.values()):
            if cycle.side == side:
                off = min(qty, cycle.qty)
                cycle.qty, qty = cycle.qty - off, qty - off
                if cycle.qty == 0:
                    del sym.cycles[cycle.id]

    def clip(self, sym: SmartSymbol, order: Order, qty: int) -> None:
        if qty == 0:
            self.order_row(order, order.state, CANCELLED)
            order.state = CANCELLED
            del sym.orders[order.id]
            self.reflexes.add(sym.index)
        else:
            order.qty = qty
            self.order_row(order, order.state, order.state)

    def entry_filled(self, sym: SmartSymbol, order: Order) -> None:
        """OPEN 37: ONCE counts every entry fill of the side since the trend state changed, late ones too."""
        once_side = {UP: SELL, DOWN: BUY}.get(sym.trend)
        if order.side == once_side:
            sym.once[order.side].append(order.price)

    def cycle_ended(self, sym: SmartSymbol, cycle: Cycle | None, order: Order, fee: int) -> None:
        """SPEC 11, circuit breaker. OPEN 39: per symbol; a loss is after both fees; a cooldown of 0 never ends."""
        if cycle is None:  # a late take-profit after a flatten
            return
        gain = cycle.side * (order.price - cycle.entry) * cycle.qty * sym.tick_value - cycle.fee - fee
        sym.losses = sym.losses + 1 if gain < 0 else 0
        limit = self.cfg["max_consecutive_losses"]
        if limit and sym.losses >= limit and not sym.halted:
            sym.halted = True
            sym.halt_due = self.ts + self.cfg["cooldown_ns"] if self.cfg["cooldown_ns"] else None
            self.record("alerts", sym.index, ALERT_BREAKER, WARNING, sym.losses, limit)
            self.decisions.add(sym.index)

    # ---- step 4: marks and the drawdown guard --------------------------------------------------

    def step4_ledger(self, sym: SmartSymbol | None, accepted: bool) -> None:
        super().step4_ledger(sym, accepted)
        if self.causes:
            self.guard()

    def guard(self) -> None:
        """SPEC 11, at marks. OPEN 40: alerts and changes of damage control at crossings only; each change decides.
        OPEN 41: per symbol the same two thresholds, the upper one sets adds OFF until the roll; the symbol's limit (ADR-0028.3)
        is what its drawdown compares with, and a limit of 0 is unguarded."""
        mark = self.portfolio
        was = self.damage_control
        self.damage_control = self.crossed(-1, mark.drawdown, mark.budget, was)
        if self.damage_control != was:
            self.decisions |= {x.index for x in self.symbols}
        if mark.drawdown <= mark.budget:
            self.latch_armed = True
        elif self.latch_armed:
            self.latch_armed = False
            self.latch = "drawdown"
            self.decisions |= {x.index for x in self.symbols}  # also where a kill had them in EMERGENCY already (ADR-0023.4)
            self.record("alerts", -1, ALERT_DRAWDOWN, CRITICAL, mark.drawdown, mark.budget)
        for sym in self.symbols:
            drawdown, limit = sym.mark.drawdown, sym.mark.limit
            if limit == 0:
                continue
            was, over = sym.damage_control, sym.over_budget
            sym.damage_control = self.crossed(sym.index, drawdown, limit, was)
            if drawdown > limit and not over:
                sym.over_budget = True
                self.record("alerts", sym.index, ALERT_DRAWDOWN, CRITICAL, drawdown, limit)
            if (was, over) != (sym.damage_control, sym.over_budget):
                self.decisions.add(sym.index)

    def crossed(self, index: int, drawdown: int, limit: int, was: bool) -> bool:
        warn = ratio_floor(limit, self.cfg["dd_warn"])
        if was:
            return drawdown * UNIT >= limit * self.cfg["dd_clear"]
        if drawdown > warn:
            self.record("alerts", index, ALERT_DRAWDOWN_WARNING, WARNING, drawdown, warn)
            return True
        return False

    def gross(self) -> int:
        return sum(abs(x.ledger.value(x.mid2)) for x in self.symbols)

    def guard_leverage(self) -> None:
        """OPEN 42: looked at on marks, an alert when it goes over."""
        if not self.causes:
            return
        cap = ratio_floor(max(0, self.portfolio.equity), self.cfg["max_effective_leverage"])
        over = self.gross() > cap
        if over and not self.over_leverage:
            self.record("alerts", -1, ALERT_LEVERAGE, WARNING, self.gross(), cap)
        self.over_leverage = over

    def sustained_alerts(self) -> None:
        """ADR-0028.6. OPEN 63: after the leverage alert too; a symbol's toxicity stands before its book."""
        after = self.cfg["alert_after_ms"] * MILLISECOND
        for sym in self.symbols:
            if sym.index in self.closed:
                fresh = sym.features["depth_bid"] is not None
                for code, value in sym.watch.bar_closed(fresh, self.ts, after):
                    self.record("alerts", sym.index, code, WARNING, value, after)
            sym.watch.event_ended(sym.gates.level[gt.TOXICITY], self.ts)

    # ---- step 5: gates -------------------------------------------------------------------------

    def step5_gates(self, sym: SmartSymbol, own: bool) -> None:
        """OPEN 43, decided by ADR-0017.1: inputs are judged at events of their symbol (also trades, funding and quarantined
        rows), a shock at the event that closes the bar; holds end at the first event of any symbol."""
        state, cfg, now = sym.gates, self.cfg, self.ts
        view = self.book_view(sym) if sym.has_l1 else None
        stale = self.stale_level(sym)
        if stale < state.level[gt.STALE]:
            self.set_gate(sym, gt.STALE, stale)
        inputs = self.toxic_inputs(sym, view, stale)
        if not own:
            inputs |= dict.fromkeys((gt.SPREAD, gt.IMPACT, gt.JUMP, gt.QUARANTINED), gt.LOW)
        level, reasons = gt.toxicity(state, inputs, now, cfg["clear_ns"])
        state.shocked_now = False
        if sym.has_l1:
            sides, limit = self.thin_inputs(sym, view)
            raised = sym.index in self.raised
            thin = gt.held_thin(state, stale > 0, raised, now, cfg)
            if own:
                thin = gt.thin_levels(state, sides, limit, stale > 0, now, cfg)
            for gate, on in thin.items():
                self.set_gate(sym, gate, on)
        self.set_gate(sym, gt.SHOCK, 1 if state.holds[gt.SHOCKED].held(now, cfg["clear_ns"]) else 0)
        self.set_gate(sym, gt.TOXICITY, level, reasons)
        if level == gt.EXTREME and cfg["latch_on_extreme"]:
            self.latch = self.latch or "extreme"

    def stale_level(self, sym: SmartSymbol) -> int:
        return sum(1 for deadline in self.stale_deadlines(sym) if deadline <= self.ts) if sym.has_l1 else 0

    def toxic_inputs(self, sym: SmartSymbol, view: ft.BookView | None, stale: int) -> dict[int, int]:
        state, cfg = sym.gates, self.cfg
        rows = gt.quarantined_rows(state, self.ts, cfg["quarantine_window_ns"])
        inputs = dict.fromkeys(range(6), 0) | {gt.QUARANTINED: gt.severity(rows, cfg["tox_quarantined"])}
        if not sym.has_l1:
            return inputs
        inputs[gt.SPREAD] = gt.severity(sym.ask - sym.bid, state.limits.spread)
        if view is not None:
            inputs[gt.IMPACT] = gt.HIGH if view.depth_short else gt.severity(view.values["impact"], cfg["tox_impact"])
        inputs[gt.JUMP] = gt.severity(gt.jump(state, sym.mid2, self.ts, cfg["jump_window_ns"]), state.limits.jump)
        inputs[gt.STALENESS] = stale
        inputs[gt.SHOCKED] = gt.MID if state.shocked_now else gt.LOW
        return inputs

    def thin_inputs(self, sym: SmartSymbol, view: ft.BookView | None) -> tuple[list[tuple[int, int]], int]:
        if view is not None:
            notionals, limit = (view.values["depth_bid"], view.values["depth_ask"]), self.cfg["thin_quote_depth"]
        else:
            notionals = (sym.bid_qty * sym.bid * sym.tick_value, sym.ask_qty * sym.ask * sym.tick_value)
            limit = self.cfg["thin_quote"]
        return list(zip(notionals, (sym.bid_qty, sym.ask_qty), strict=True)), limit

    def set_gate(self, sym: SmartSymbol, gate: int, level: int, reasons: int = 0) -> None:
        """OPEN 44: a change of reasons alone is a record, and neither a mark nor a decision."""
        state, before = sym.gates, sym.gates.level[gate]
        same_reasons = gate != gt.TOXICITY or reasons == state.tox_reasons
        if level == before and same_reasons:
            return
        state.level[gate] = level
        if gate == gt.TOXICITY:
            state.tox_reasons = reasons
        self.record("gates", sym.index, gate, before, level, reasons)
        if level != before:
            self.cause(sym.index, CAUSE_GATE)
            self.decisions.add(sym.index)

    # ---- step 6: regime and mode ---------------------------------------------------------------

    def step6_regime(self, sym: SmartSymbol) -> None:
        """OPEN 45: for every symbol on every event; a latch reaches symbols without events too."""
        regime = self.regime_of(sym)
        if regime == sym.regime:
            return
        # OPEN 46: the only reason there is a bit for is WARMUP.
        reasons = sp.WARMUP if regime == PAUSED and not sym.warm() else 0
        self.record("regimes", sym.index, sym.regime, regime, reasons)
        sym.regime = regime
        self.decisions.add(sym.index)

    def regime_of(self, sym: SmartSymbol) -> int:
        level = sym.gates.level
        rules = (
            (EMERGENCY, self.latch is not None or level[gt.TOXICITY] == gt.EXTREME),
            (PAUSED, sym.paused or not sym.warm() or level[gt.STALE] >= 2),
            (TOXIC, level[gt.TOXICITY] == gt.HIGH),
            (THIN_BOOK, level[gt.THIN] > 0),
            (VOL_SHOCK, level[gt.SHOCK] > 0),
            (TREND_UP, sym.trend == UP),
            (TREND_DOWN, sym.trend == DOWN),
        )
        return next((regime for regime, holds in rules if holds), RANGE)

    def mode_of(self, sym: SmartSymbol) -> int:
        """OPEN 47: warm-up and the circuit breaker are PAUSE; THIN_BOOK is THROTTLE."""
        toxic = sym.gates.level[gt.TOXICITY]
        if sym.regime == EMERGENCY:
            return MODE_EMERGENCY
        if sym.regime == PAUSED or toxic >= gt.HIGH or sym.halted:
            return MODE_PAUSE
        if self.damage_control or sym.damage_control:
            return MODE_DAMAGE_CONTROL
        return MODE_THROTTLE if toxic == gt.MID or sym.regime == THIN_BOOK else MODE_NORMAL

    def adds_off(self, sym: SmartSymbol) -> bool:
        return self.mode_of(sym) <= MODE_DAMAGE_CONTROL or sym.over_budget or sym.index not in self.selected

    # ---- step 7: selection and plan ------------------------------------------------------------

    def step7_select(self) -> None:
        """SPEC 12. OPEN 48: due at the first event, then at multiples of select_every from the epoch."""
        if len(self.symbols) == 1:
            return
        selected, budgets = set(self.selected), [x.mark.budget for x in self.symbols]
        for s in selected:
            if self.hard_gated(self.symbols[s]):
                self.selected.remove(s)
                self.symbols[s].mark.give(0)
        if self.next_select is None or self.ts >= self.next_select:
            every = self.cfg["select_every_ns"]
            self.next_select = (self.ts // every + 1) * every
            passing = [self.standing(x) for x in self.symbols if x.warm() and not self.hard_gated(x)]
            self.selected = topk.select(self.cfg, passing, self.selected)
            self.allot(self.portfolio.budget)
        self.decisions |= self.selected ^ selected
        self.decisions |= {x.index for x in self.symbols if x.mark.budget != budgets[x.index]}

    def hard_gated(self, sym: SmartSymbol) -> bool:
        """OPEN 49, decided by ADR-0024.2: the last bar close's spread; a funding rate is extreme over `funding_limit` (0: off)."""
        level, cfg = sym.gates.level, self.cfg
        spread = (sym.features or {}).get("spread_bps") or 0
        return (
            not sym.has_l1
            or level[gt.STALE] > 0
            or level[gt.TOXICITY] >= gt.HIGH
            or level[gt.SEVERELY_THIN] > 0
            or spread > cfg["topk_spread_limit"]
            or 0 < cfg["funding_limit"] < abs(sym.funding_rate)
        )

    def standing(self, sym: SmartSymbol) -> topk.Standing:
        f = sym.features
        depths = [f["depth_bid"], f["depth_ask"]]
        liquidity = f["thin_l1"] if None in depths else min(depths)
        if sym.depth_short:
            liquidity = 0
        return topk.Standing(sym.index, f["efficiency_ratio"], f["trend_strength"], liquidity, sym.gates.level[gt.TOXICITY])

    def allot(self, budget: int) -> None:
        """OPEN 50: at window starts and selections; a symbol that is not selected has a budget of 0, from its drop on; a
        changed budget decides."""
        standings = {s: self.standing(self.symbols[s]) if self.symbols[s].warm() else None for s in self.selected}
        parts = topk.split(self.cfg, budget, len(self.symbols), standings)
        for sym in self.symbols:
            sym.mark.give(parts.get(sym.index, 0))

    def step7_decide(self, sym: SmartSymbol) -> None:
        """A candidate in every regime with features (SPEC 6), in force only by 7.9."""
        if not sym.warm():
            return
        plan = sp.candidate(self.cfg, self.inputs(sym))
        if not sp.replaces(self.cfg, plan, sym.plan):
            return
        plan.id = self.next_plan
        self.next_plan += 1
        before, sym.plan = sym.plan, plan
        self.record_plan(sym, plan)
        # OPEN 52, decided by ADR-0022.6: an alert where the reason begins, of selected symbols; value and limit are the symbol's
        # drawdown and budget.
        begins = plan.reasons & sp.BUDGET_TOO_SMALL and not (before is not None and before.reasons & sp.BUDGET_TOO_SMALL)
        if begins and sym.index in self.selected:
            self.record("alerts", sym.index, ALERT_BUDGET_TOO_SMALL, WARNING, sym.mark.drawdown, plan.budget)

    def inputs(self, sym: SmartSymbol) -> sp.Inputs:
        """OPEN 51: open take-profits are orders, at the price in force; `places` counts a take-profit for every cycle."""
        f = sym.features
        tps = {side: self.tp_notional(sym, side) for side in (BUY, SELL)}
        return sp.Inputs(
            regime=sym.regime,
            mode=self.mode_of(sym),
            natr=f["natr"],
            impact=f["impact"],
            depth_short=sym.depth_short,
            mid2=sym.mid2,
            tick_value=sym.tick_value,
            position=sym.ledger.position,
            budget=sym.mark.budget,
            drawdown=sym.mark.drawdown,
            max_inventory=self.max_inventory,
            gross=self.gross_for_room(sym),
            equity=self.portfolio.equity,
            tp_notional=tps,
            places=self.places(sym),
            adds_off=self.adds_off(sym),
            reduce_only=sym.index not in self.selected or self.latch is not None,
        )

    def gross_for_room(self, sym: SmartSymbol) -> int:
        """ADR-0028.5: the other symbols with their open orders, on their worse side, as the guard of ADR-3.5 counts them."""
        total = abs(sym.ledger.value(sym.mid2))
        for x in self.symbols:
            if x is not sym:
                position = x.ledger.position
                worst = max(abs(position + self.side_quantity(x, BUY)), abs(position - self.side_quantity(x, SELL)))
                total += worst * x.mid2 * (x.tick_value // 2)
        return total

    def tp_notional(self, sym: SmartSymbol, side: int) -> int:
        return sum(o.price * o.qty * sym.tick_value for o in sym.orders.values() if o.side == side and o.role == TAKE_PROFIT)

    def places(self, sym: SmartSymbol) -> int:
        own = len(sym.cycles) + sum(1 for o in sym.orders.values() if o.role not in (ENTRY, TAKE_PROFIT))
        others = sum(self.order_count(x) for x in self.symbols if x is not sym)
        return min(self.cfg["max_open_orders"] - own, self.cfg["max_open_orders_portfolio"] - own - others)

    def record_plan(self, sym: SmartSymbol, plan: SmartPlan) -> None:
        down, up = plan.sides[BUY], plan.sides[SELL]
        self.record(
            "plans",
            sym.index,
            plan.id,
            plan.regime,
            plan.mode,
            plan.center,
            plan.step,
            down.width,
            up.width,
            down.count,
            up.count,
            down.adds,
            up.adds,
            plan.tp_step,
            plan.budget,
            down.worst,
            up.worst,
            plan.reasons,
        )
        for side in (BUY, SELL):
            for i, qty in enumerate(plan.sides[side].qtys, 1):
                self.record("levels", sym.index, plan.id, side, i, plan.sides[side].prices[i], qty)

    # ---- step 8 --------------------------------------------------------------------------------

    def wanted_orders(self, sym: SmartSymbol) -> list[Wanted]:
        if sym.regime == EMERGENCY:
            return self.wanted_flatten(sym)
        wanted = [Wanted(-c.side, TAKE_PROFIT, c.id, self.tp_price(sym, c), c.qty) for c in sym.cycles.values()]
        if sym.plan is None:
            return wanted
        for side, regime_adds in zip((BUY, SELL), sp.ADDS[sym.regime], strict=True):
            # Without features no decision can turn the plan's adds OFF, so the regime itself is asked too.
            if OFF not in (regime_adds, sym.plan.sides[side].adds) and not self.adds_off(sym):
                wanted += self.wanted_entries(sym, side)
        return wanted

    def wanted_flatten(self, sym: SmartSymbol) -> list[Wanted]:
        """SPEC 6, 16.16. OPEN 53: a drawdown latch without `flatten_on_drawdown` keeps no order either."""
        position = sym.ledger.position
        by_latch = self.latch == "drawdown" and self.cfg["flatten_on_drawdown"]
        if position == 0 or not (by_latch or self.cfg["flatten_on_emergency"]):
            return []
        return [Wanted(SELL if position > 0 else BUY, FLATTEN, 0, 0, abs(position))]

    def tp_price(self, sym: SmartSymbol, cycle: Cycle) -> int:
        """SPEC 11, DAMAGE_CONTROL. OPEN 54: unloading is just these nearer take-profits; cycles opened meanwhile have them
        too; one that is not passive is not amended (ADR-3.3)."""
        if not (self.damage_control or sym.damage_control):
            return cycle.tp_price
        step = max(ratio_floor(cycle.tp_step, self.cfg["dc_tp_mult"]), 2 * self.cfg["maker_fee"])
        return take_profit_price(cycle.side, cycle.entry, step)

    def wanted_entries(self, sym: SmartSymbol, side: int) -> list[Wanted]:
        """SPEC 8's L nearest indices that are not held, within the side's budget.

        ONCE (OPEN 37): an index near a filled entry stays held after its cycle, and each fill takes one off L.
        """
        plan = sym.plan.sides[side]
        entries = [c.entry for c in sym.cycles.values() if c.side == side]
        count = plan.count
        if plan.adds == ONCE:
            entries += sym.once[side]
            count = max(0, count - len(sym.once[side]))
        held = held_indices(plan.prices, entries)
        free = [i for i in range(1, len(plan.prices)) if i not in held]
        wanted = [Wanted(side, ENTRY, i, plan.prices[i], plan.qty(i)) for i in free[:count]] if count else []
        self.refuse_over_budget(sym, plan, side, wanted)
        return wanted

    def refuse_over_budget(self, sym: SmartSymbol, plan: sp.Side, side: int, wanted: list[Wanted]) -> None:
        """SPEC 7.6, 16.14, at every reconciliation. OPEN 55: the farthest goes first; each is recorded as an unsent PLACE.
        OPEN 61: also at a decision that keeps the plan."""
        kept = list(wanted)
        while kept:
            p_stress = sp.farther(side, [plan.p_stress] + [w.price for w in kept])
            held = sp.held_loss(sym.ledger.position, sym.mid2, p_stress, sym.tick_value)
            budget = max(0, sym.mark.budget - sym.mark.drawdown - held)
            levels = [(w.price, w.qty) for w in kept]
            if sp.entries_loss(levels, p_stress, sym.tick_value, self.cfg["maker_fee"]) <= budget:
                return
            kept.pop().refused = sp.BUDGET

    def step8_reconcile(self, sym: SmartSymbol) -> None:
        last = sym.entries_ts
        waits = last is not None and self.ts < last + self.cfg["throttle_ns"]
        sym.throttled = waits and self.mode_of(sym) == MODE_THROTTLE
        super().step8_reconcile(sym)

    def refusal(self, sym: SmartSymbol, w: Wanted, amended: Order | None) -> int:
        """16.9. OPEN 56: a throttled entry is refused as RATE_LIMIT, at that guard's place; the last reconciliation that sent
        an entry counts in any mode."""
        reason = super().refusal(sym, w, amended)
        if sym.throttled and reason in (0, RATE_LIMIT, POST_ONLY):
            return RATE_LIMIT
        if reason == 0:
            sym.entries_ts = self.ts
        return reason

    def side_quantity(self, sym: SmartSymbol, side: int, skip: Order | None = None) -> int:
        """ADR-3.5: reduce-only orders count together, at most with the opposite position."""
        mine = [o for o in sym.orders.values() if o.side == side and o is not skip]
        reducing = sum(o.counted_qty() for o in mine if o.role == FLATTEN)
        opposite = max(0, -side * sym.ledger.position)
        return sum(o.counted_qty() for o in mine if o.role != FLATTEN) + min(reducing, opposite)
