"""A slow reference engine, written from the contract alone: the shared step and the `static` policy (`smart.py` has the other).

It is an oracle: it shares no code with the engine it checks, uses only plain integers and
`fractions.Fraction`, and prefers the obvious formulation everywhere. Roundings are written as floor or
ceil of a `Fraction`, the frequent ones as `floor_of` and `ceil_of`, the same of two integers, so that the
mathematics stands in the text. "SPEC n" and "ADR-n" name sections of the contract and of docs/DECISIONS.md.

Covered here: SPEC 1, 3, bars of 4, 7.5 ladders, 8, 9 (`mid_touch`, `cross`), 10 without margin, 12 `static`;
stages input, bars, plans, levels, intents, orders, fills, ledger of SPEC 14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from . import window

UNIT = 100_000_000  # SPEC 1.1: a ratio of 1.0
TOKEN = 1_000_000_000  # SPEC 8: one token of the bucket
MICRO = 1_000_000  # SPEC 7.5: a ladder is carried in 1e-6 ticks
MAX_PRICE = 2**35
MAX_INDEX = 256  # ADR-2.3

BUY, SELL = 1, -1
ENTRY, TAKE_PROFIT, FLATTEN = 0, 1, 5
PENDING, OPEN, PARTIAL, FILLED, CANCELLED = 0, 1, 2, 3, 4
CANCEL, AMEND, PLACE = 0, 1, 2
RANKS = {"funding": 0, "book": 1, "quote": 2, "trade": 3}
INPUT_QUARANTINED, INPUT_GAP, INPUT_FUNDING = 1, 2, 3
CAUSE_FILL, CAUSE_FUNDING, CAUSE_BAR, CAUSE_ROLL, CAUSE_TRIP = 1, 2, 4, 32, 64

# Reason bits, ADR-5.
STEP_TICK_FLOOR = 1 << 3
MAX_INVENTORY = 1 << 7
MAX_LEVERAGE = 1 << 8
MIN_NOTIONAL = 1 << 9
MAX_OPEN_ORDERS = 1 << 10
HARD_CAP = 1 << 13
RATE_LIMIT = 1 << 14
POST_ONLY = 1 << 15

# Timer kinds in the order of SPEC 3.1 (those this engine has).
TIMER_BAR, TIMER_ORDER = 0, 3

STAGES = ("input", "bars", "plans", "levels", "intents", "orders", "fills", "ledger")


# --------------------------------------------------------------------------------------------------
# Formulas


def floor_of(part: int, whole: int) -> int:
    """floor(part / whole); whole > 0."""
    return part // whole


def ceil_of(part: int, whole: int) -> int:
    """ceil(part / whole); whole > 0."""
    return -(-part // whole)


def ratio_floor(x: int, ratio: int) -> int:
    """x * ratio, rounded down (SPEC 1.3)."""
    return floor_of(x * ratio, UNIT)


def fee_of(price: int, qty: int, tick_value: int, rate: int) -> int:
    """SPEC 1.3: ceil of the exact fee, also for a rebate."""
    return ceil_of(price * qty * tick_value * rate, UNIT)


def funding_received(position: int, mark: int, tick_value: int, rate: int) -> int:
    """ADR-1.7: floor of what the account receives (so a payment is rounded up)."""
    return math.floor(Fraction(-position * mark * tick_value * rate, UNIT))


def take_profit_price(side: int, entry: int, tp_step: int) -> int:
    """SPEC 8, CycleEngine: away from the entry, at least one tick; a price is at least 1 (SPEC 1.3)."""
    if side == BUY:
        return max(entry + 1, math.ceil(Fraction(entry * (UNIT + tp_step), UNIT)))
    return max(1, min(entry - 1, math.floor(Fraction(entry * (UNIT - tp_step), UNIT))))


def ladder(center: int, step: int, side: int, levels: int) -> tuple[list[int], int]:
    """ADR-2.3: prices [p_0, p_1, ...] of a side and how many come from j = 1..levels.

    `center` is in 1e-6 ticks. p_0 is the rounded center. Dropped levels take no index.
    """
    to_ticks = floor_of if side == BUY else ceil_of
    prices = [to_ticks(center, MICRO)]
    counted = 0
    x, j = center, 0
    while len(prices) <= MAX_INDEX:
        j += 1
        x = floor_of(x * (UNIT - side * step), UNIT)
        price = to_ticks(x, MICRO)
        if price < 1 or price > MAX_PRICE:
            break  # the sequence is monotone: everything farther out is dropped too
        if price == prices[-1]:
            continue
        prices.append(price)
        if j <= levels:
            counted += 1
    return prices, counted


def held_indices(prices: list[int], entries: list[int]) -> set[int]:
    """ADR-2.4: each entry price holds the index nearest to the center that it is close enough to."""
    held = set()
    for e in entries:
        for i in range(1, len(prices)):
            if 2 * abs(e - prices[i]) < abs(prices[i] - prices[i - 1]):
                held.add(i)
                break
    return held


# --------------------------------------------------------------------------------------------------
# State


@dataclass
class Ledger:
    """SPEC 10, one symbol: average cost with exact splits. `cash` is a separate path to equity."""

    tick_value: int
    position: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0
    funding: int = 0
    cash: int = 0

    def apply_fill(self, side: int, price: int, qty: int, fee: int) -> None:
        """A fill through zero closes all, then opens the rest at the fill price."""
        value = price * self.tick_value  # of one lot
        self.cash -= side * qty * value + fee
        self.fees += fee
        held = abs(self.position)
        closing = min(qty, held) if self.position * side < 0 else 0
        if closing:
            released = math.floor(Fraction(self.cost * closing, held))
            gain = closing * value - released  # of a long that is sold
            self.realised += gain if side == SELL else -gain
            self.cost -= released
        self.cost += (qty - closing) * value
        self.position += side * qty

    def apply_funding(self, received: int) -> None:
        self.cash += received
        self.funding += received

    def value(self, mid2: int) -> int:
        return self.position * mid2 * (self.tick_value // 2)

    def unrealised(self, mid2: int) -> int:
        if self.position == 0:
            return 0
        worth = abs(self.value(mid2))
        return worth - self.cost if self.position > 0 else self.cost - worth


@dataclass
class Mark:
    """What a mark leaves behind (SPEC 10): functions of marks alone."""

    equity: int
    peak: int
    drawdown: int = 0
    budget: int = 0
    limit: int = 0  # ADR-0028.3: the last budget over 0, which a symbol's guard compares with
    parts: window.Parts = field(init=False)

    def __post_init__(self) -> None:
        self.parts = window.Parts(self.equity)

    def give(self, budget: int) -> None:
        self.budget = budget
        self.limit = budget or self.limit

    def update(self, equity: int, part: int) -> None:
        self.equity = equity
        self.peak = max(self.peak, equity)
        self.drawdown = self.peak - equity
        self.parts.marked(part, equity)

    def roll(self, last: int, new: int, kept: int) -> int:
        """ADR-0028.1. The equity that the window started with."""
        self.peak, start = self.parts.roll(last, new, self.equity, kept)
        self.drawdown = self.peak - self.equity
        return start


@dataclass
class Bar:
    start: int
    open: int
    high: int
    low: int
    close: int
    ticks: int


@dataclass
class Plan:
    id: int
    center: int
    step: int
    tp_step: int
    prices: dict[int, list[int]]  # side -> [p_0, p_1, ...]
    counts: dict[int, int]  # side -> levels_down, levels_up


@dataclass
class Cycle:
    id: int
    side: int  # of the entry
    entry: int
    qty: int
    tp_price: int
    tp_step: int
    fee: int  # of the entry


@dataclass
class Change:
    """An amend or a cancel in flight."""

    kind: int
    due: int
    price: int
    qty: int


@dataclass
class Order:
    id: int
    symbol: int
    side: int
    role: int
    key: int
    price: int
    qty: int
    live_ts: int
    state: int = PENDING
    change: Change | None = None

    def coming_price(self) -> int:
        return self.change.price if self.change and self.change.kind == AMEND else self.price

    def counted_qty(self) -> int:
        """ADR-3.5: the larger of remaining and coming quantity."""
        return max(self.qty, self.change.qty) if self.change and self.change.kind == AMEND else self.qty


@dataclass
class Wanted:
    side: int
    role: int
    key: int
    price: int
    qty: int
    refused: int = 0  # a reason for which it is recorded and not sent


@dataclass
class Symbol:
    index: int
    tick_value: int
    perpetual: bool
    hard_cap: int
    qty: int
    ledger: Ledger
    mark: Mark
    has_l1: bool = False
    bid: int = 0
    ask: int = 0
    mid2: int = 0
    l1_ts: int = 0
    bar: Bar | None = None
    plan: Plan | None = None
    orders: dict[int, Order] = field(default_factory=dict)  # open and in flight, by id
    cycles: dict[int, Cycle] = field(default_factory=dict)  # open ones, by id
    trip: tuple[int, int] | None = None  # (sign of the position, mid2)


# --------------------------------------------------------------------------------------------------
# Engine


class Reference:
    """The shared step, with the `static` policy; `smart.Smart` overrides what that policy does not have."""

    stages = STAGES
    symbol_type = Symbol
    guarded = False  # the drawdown guard is on (ADR-0023.1)

    def __init__(self, instruments: list[dict], config: dict):
        self.cfg = config
        self.records: dict[str, list[tuple[int, ...]]] = {stage: [] for stage in self.stages}
        self.symbols = [
            self.symbol_type(
                i, d["tick_value"], d["perpetual"], d["hard_cap_lots"], config["quantity"][i], Ledger(d["tick_value"]), Mark(0, 0)
            )
            for i, d in enumerate(instruments)
        ]
        self.portfolio = Mark(config["equity"], config["equity"])
        self.max_inventory = 0  # atoms, set with the window
        self.part_ns = window.part_length(config)
        self.part = 0  # that the event in progress is in; a session is one part
        self.start_window(config["equity"])
        self.tokens = config["order_burst"] * TOKEN
        self.tokens_ts: int | None = None
        self.next_plan = self.next_order = self.next_cycle = 0
        # of the event in progress
        self.event = self.ts = 0
        self.causes: dict[int, int] = {}  # symbol -> mask
        self.decisions: set[int] = set()
        self.reflexes: set[int] = set()
        # of the invariants: what the fill records add up to
        self.fills_seen = 0
        self.fill_position = [0] * len(instruments)
        self.fill_fees = [0] * len(instruments)

    def record(self, stage: str, symbol: int, *columns: int) -> None:
        self.records[stage].append((self.event, self.ts, symbol, *columns))

    def cause(self, symbol: int, bit: int) -> None:
        self.causes[symbol] = self.causes.get(symbol, 0) | bit

    # ---- the step, SPEC 3.2 --------------------------------------------------------------------

    def step(self, index: int, event: dict) -> None:
        self.event, self.ts = index, event["ts"]
        self.causes, self.decisions, self.reflexes = {}, set(), set()
        sym = self.symbols[event["symbol"]]
        accepted = event["fault"] is None

        self.step1_clock(sym, event, accepted)
        if accepted:
            self.step2_book(sym, event)
            self.pay_funding(sym, event)
            self.step3_fills(sym)
        else:
            self.record("input", sym.index, INPUT_QUARANTINED, event["fault"], RANKS[event["kind"]])
        self.step4_ledger(sym, accepted)
        # Steps 5 and 6 (gates, price stops, regime): `static` has none.
        for s in sorted(self.decisions | self.reflexes):
            if s in self.decisions:
                self.step7_decide(self.symbols[s])
            self.step8_reconcile(self.symbols[s])
        self.check()

    # ---- step 1: clock -------------------------------------------------------------------------

    def step1_clock(self, sym: Symbol, event: dict, accepted: bool) -> None:
        """SPEC 3.1, ADR-1.4, ADR-1.5."""
        if accepted and event["kind"] in ("book", "quote"):
            self.note_gap(sym)
        part = self.ts // self.part_ns if self.part_ns else 0
        if self.event == 0:
            self.part = part
        for _due, kind, s, order_id, is_change in self.due_timers():
            if kind == TIMER_BAR:
                bar = self.close_bar(self.symbols[s])
                self.bar_closed(self.symbols[s], bar)
                self.decisions.add(s)
            elif kind == TIMER_ORDER:
                order = self.symbols[s].orders.get(order_id)
                if order is not None:  # a cancel may have ended it a moment ago
                    self.change_takes_effect(order) if is_change else self.goes_live(order)
            else:
                self.other_timer(kind, s, order_id)
        if part > self.part:  # ADR-0028.1: after the bars that the event closes
            self.roll_window(part)

    def bar_closed(self, sym: Symbol, bar: Bar) -> None:
        """For policies with features; not called for a bar that a gap closed (SPEC 16.10)."""

    def other_timers(self) -> list[tuple[int, int, int, int, int]]:
        return []

    def other_timer(self, kind: int, s: int, what: int) -> None:
        raise NotImplementedError

    def note_gap(self, sym: Symbol) -> None:
        """ADR-1.4: before the timers; closes the open bar, marks it, decides nothing."""
        if sym.has_l1 and self.ts - sym.l1_ts > self.cfg["max_gap_ns"]:
            self.record("input", sym.index, INPUT_GAP, 0, self.ts - sym.l1_ts)
            if sym.bar is not None:
                self.close_bar(sym)
            self.gap_noted(sym)

    def gap_noted(self, sym: Symbol) -> None:
        """For policies with features."""

    def due_timers(self) -> list[tuple[int, int, int, int, int]]:
        """All timers due now as (due, kind, symbol, order, change); handling one makes no other due."""
        due = []
        for sym in self.symbols:
            if sym.bar is not None and sym.bar.start + self.cfg["bar_ns"] <= self.ts:
                due.append((sym.bar.start + self.cfg["bar_ns"], TIMER_BAR, sym.index, -1, 0))
            for order in sym.orders.values():
                if order.state == PENDING and order.live_ts <= self.ts:
                    due.append((order.live_ts, TIMER_ORDER, sym.index, order.id, 0))
                if order.change is not None and order.change.due <= self.ts:
                    due.append((order.change.due, TIMER_ORDER, sym.index, order.id, 1))
        return sorted(due + self.other_timers())

    def close_bar(self, sym: Symbol) -> Bar:
        bar = sym.bar
        self.record("bars", sym.index, bar.start, bar.open, bar.high, bar.low, bar.close, bar.ticks)
        sym.bar = None
        self.cause(sym.index, CAUSE_BAR)
        return bar

    def goes_live(self, order: Order) -> None:
        """PENDING -> OPEN; no record (SPEC 14) and no reflex."""
        order.state = OPEN

    def change_takes_effect(self, order: Order) -> None:
        """SPEC 3.3, ADR-5; a reflex (SPEC 3.2 step 7)."""
        change, order.change = order.change, None
        if change.kind == AMEND:
            assert order.state == OPEN
            order.price, order.qty, order.live_ts = change.price, change.qty, change.due
            self.order_row(order, OPEN, OPEN)
        else:
            self.order_row(order, order.state, CANCELLED)
            order.state = CANCELLED
            del self.symbols[order.symbol].orders[order.id]
        self.reflexes.add(order.symbol)

    def order_row(self, order: Order, before: int, after: int, remaining: int | None = None) -> None:
        left = order.qty if remaining is None else remaining
        self.record("orders", order.symbol, order.id, before, after, order.price, left, order.live_ts)

    def roll_window(self, new: int) -> None:
        """ADR-4.4, ADR-0028.1: mark with the mids before the event, then start the window, then the rows."""
        self.update_marks()
        kept = window.remembered(self.cfg)
        for sym in self.symbols:
            sym.mark.roll(self.part, new, kept)
        start = self.portfolio.roll(self.part, new, kept)
        self.part = new
        self.start_window(start)
        self.set_trips()
        for sym in self.symbols:
            if sym.has_l1:
                self.ledger_row(sym, CAUSE_ROLL)
                self.decisions.add(sym.index)
        self.portfolio_row(CAUSE_ROLL)

    def start_window(self, start: int) -> None:
        """ADR-4.3: budgets and the inventory cap come from window-start equity."""
        budget = max(0, ratio_floor(start, self.cfg["dd_budget_pct"]))
        self.portfolio.give(budget)
        self.allot(budget)
        how, amount = self.cfg["max_inventory"]
        self.max_inventory = amount if how == "atoms" else max(0, ratio_floor(start, amount))

    def allot(self, budget: int) -> None:
        n = len(self.symbols)
        for sym in self.symbols:
            sym.mark.give(budget // n + (1 if sym.index < budget % n else 0))

    # ---- step 2: book, and the funding between steps 2 and 3 -----------------------------------

    def step2_book(self, sym: Symbol, event: dict) -> None:
        """ADR-1.2: an accepted quote or book sets L1 and is a tick of its bar."""
        if event["kind"] not in ("book", "quote"):
            return
        if not sym.has_l1:
            self.decisions.add(sym.index)  # ADR-2.1
        sym.has_l1 = True
        sym.bid, sym.ask = event["bid_px"], event["ask_px"]
        sym.mid2 = sym.bid + sym.ask
        sym.l1_ts = self.ts
        m = sym.mid2
        if sym.bar is None:
            sym.bar = Bar(self.ts - self.ts % self.cfg["bar_ns"], m, m, m, m, 1)
        else:
            bar = sym.bar
            bar.high, bar.low, bar.close = max(bar.high, m), min(bar.low, m), m
            bar.ticks += 1

    def pay_funding(self, sym: Symbol, event: dict) -> None:
        """ADR-1.6, ADR-1.7: on the position before this event's fills; spot pays nothing."""
        if event["kind"] != "funding":
            return
        self.record("input", sym.index, INPUT_FUNDING, 0, event["rate"])
        if sym.perpetual:
            position = sym.ledger.position
            sym.ledger.apply_funding(funding_received(position, event["mark_px"], sym.tick_value, event["rate"]))
            self.cause(sym.index, CAUSE_FUNDING)

    # ---- step 3: fills -------------------------------------------------------------------------

    def step3_fills(self, sym: Symbol) -> None:
        """SPEC 3.2.3: BUYs from the highest limit, then SELLs from the lowest, ties by order id."""
        if not sym.has_l1:
            return
        live = [o for o in sym.orders.values() if o.state == OPEN]
        live.sort(key=lambda o: (-o.side, -o.side * o.price, o.id))
        for order in live:
            if self.is_touched(sym, order):
                self.fill(sym, order)

    def is_touched(self, sym: Symbol, order: Order) -> bool:
        """SPEC 9."""
        if self.cfg["fill_model"] == "mid_touch":
            return order.side * sym.mid2 <= order.side * 2 * order.price
        if order.side == BUY:
            return sym.ask <= order.price - self.cfg["penetration"]
        return sym.bid >= order.price + self.cfg["penetration"]

    def fill(self, sym: Symbol, order: Order) -> None:
        """The whole order at its limit, as maker; ledger and cycle at once (SPEC 8, 9, 10)."""
        fee = fee_of(order.price, order.qty, sym.tick_value, self.cfg["maker_fee"])
        sym.ledger.apply_fill(order.side, order.price, order.qty, fee)
        if order.role == ENTRY:
            cycle_id = self.next_cycle
            self.next_cycle += 1
            tp_price = take_profit_price(order.side, order.price, sym.plan.tp_step)
            sym.cycles[cycle_id] = Cycle(cycle_id, order.side, order.price, order.qty, tp_price, sym.plan.tp_step, fee)
            self.entry_filled(sym, order)
        else:
            cycle_id = order.key
            self.cycle_ended(sym, sym.cycles.pop(cycle_id, None), order, fee)
        self.record("fills", sym.index, order.id, cycle_id, order.side, order.role, order.price, order.qty, fee, 0)
        self.order_row(order, OPEN, FILLED, 0)
        order.state = FILLED
        del sym.orders[order.id]
        self.cause(sym.index, CAUSE_FILL)
        self.reflexes.add(sym.index)

    def entry_filled(self, sym: Symbol, order: Order) -> None:
        """For ONCE (SPEC 6)."""

    def cycle_ended(self, sym: Symbol, cycle: Cycle | None, order: Order, fee: int) -> None:
        """For the circuit breaker (SPEC 11). Without a flatten every take-profit has its cycle."""
        assert cycle is not None

    # ---- step 4: ledger and marks --------------------------------------------------------------

    def step4_ledger(self, sym: Symbol, accepted: bool) -> None:
        """ADR-4.1, ADR-4.5: one mark if anything of this event causes one."""
        if accepted and sym.has_l1 and sym.trip is not None:
            sign, trip = sym.trip
            if sign * sym.mid2 <= sign * trip:
                self.cause(sym.index, CAUSE_TRIP)
        if not self.causes:
            return
        self.update_marks()
        self.set_trips()
        every = 0
        for s in sorted(self.causes):
            every |= self.causes[s]
            self.ledger_row(self.symbols[s], self.causes[s])
        self.portfolio_row(every)

    def update_marks(self) -> None:
        total = self.cfg["equity"]
        for sym in self.symbols:
            equity = sym.ledger.cash + sym.ledger.value(sym.mid2)
            sym.mark.update(equity, self.part)
            total += equity
        self.portfolio.update(total, self.part)

    def set_trips(self) -> None:
        """ADR-4.5, ADR-0028.2: the nearest mid at which the next threshold of the portfolio, or of a guarded symbol, is passed."""
        for sym in self.symbols:
            sym.trip = None
            position = sym.ledger.position
            to_go = [self.to_threshold(self.portfolio.budget, self.portfolio.drawdown)]
            if self.guarded and sym.mark.limit > 0:
                to_go.append(self.to_threshold(sym.mark.limit, sym.mark.drawdown))
            losses = [loss for loss in to_go if loss is not None]
            if position != 0 and losses:
                sign = 1 if position > 0 else -1
                u = abs(position) * (sym.tick_value // 2)
                away = min(math.floor(Fraction(loss, u)) + 1 for loss in losses)
                sym.trip = (sign, sym.mid2 - sign * away)

    def to_threshold(self, limit: int, drawdown: int) -> int | None:
        """What may still be lost before the next threshold is passed; None past both."""
        thresholds = (ratio_floor(limit, self.cfg["dd_warn"]), limit)
        ahead = [d for d in thresholds if drawdown <= d]
        return min(ahead) - drawdown if ahead else None

    def ledger_row(self, sym: Symbol, cause: int) -> None:
        led, mark = sym.ledger, sym.mark
        self.record(
            "ledger",
            sym.index,
            cause,
            led.position,
            led.cost,
            led.cash,
            led.realised,
            led.unrealised(sym.mid2),
            led.fees,
            led.funding,
            mark.equity,
            mark.peak,
            mark.drawdown,
            mark.budget,
        )

    def portfolio_row(self, cause: int) -> None:
        leds = [sym.ledger for sym in self.symbols]
        mark = self.portfolio
        self.record(
            "ledger",
            -1,
            cause,
            0,
            sum(x.cost for x in leds),
            self.cfg["equity"] + sum(x.cash for x in leds),
            sum(x.realised for x in leds),
            sum(sym.ledger.unrealised(sym.mid2) for sym in self.symbols),
            sum(x.fees for x in leds),
            sum(x.funding for x in leds),
            mark.equity,
            mark.peak,
            mark.drawdown,
            mark.budget,
        )

    # ---- step 7: decision ----------------------------------------------------------------------

    def step7_decide(self, sym: Symbol) -> None:
        """ADR-2: the plan is made at the first L1 update; every later decision gives an equal one."""
        if sym.plan is not None:
            return
        center = sym.mid2 * (MICRO // 2)
        levels = self.cfg["levels"]
        tick_floor = math.ceil(Fraction(UNIT, max(1, sym.mid2 // 2)))
        step = max(self.cfg["step"], tick_floor)
        reasons = STEP_TICK_FLOOR if step > self.cfg["step"] else 0
        tp_step = max(step, 2 * self.cfg["maker_fee"] + self.cfg["min_edge"])
        prices, counts = {}, {}
        for side in (BUY, SELL):
            prices[side], counts[side] = ladder(center, step, side, levels)
        plan = sym.plan = Plan(self.next_plan, center, step, tp_step, prices, counts)
        self.next_plan += 1
        range_regime, normal_mode, full = 0, 4, 0
        self.record(
            "plans",
            sym.index,
            plan.id,
            range_regime,
            normal_mode,
            center,
            step,
            levels * step,
            levels * step,
            counts[BUY],
            counts[SELL],
            full,
            full,
            tp_step,
            0,
            0,
            0,
            reasons,
        )
        for side in (BUY, SELL):
            for i in range(1, counts[side] + 1):
                self.record("levels", sym.index, plan.id, side, i, prices[side][i], sym.qty)

    # ---- step 8: reconcile ---------------------------------------------------------------------

    def wanted_orders(self, sym: Symbol) -> list[Wanted]:
        """SPEC 8, ADR-2.4: a take-profit per open cycle; the nearest entries that no cycle holds."""
        wanted = [Wanted(-c.side, TAKE_PROFIT, c.id, c.tp_price, c.qty) for c in sym.cycles.values()]
        for side in (BUY, SELL):
            prices = sym.plan.prices[side]
            held = held_indices(prices, [c.entry for c in sym.cycles.values() if c.side == side])
            free = [i for i in range(1, len(prices)) if i not in held]
            for i in free[: sym.plan.counts[side]]:
                wanted.append(Wanted(side, ENTRY, i, prices[i], sym.qty))
        return wanted

    def step8_reconcile(self, sym: Symbol) -> None:
        """SPEC 8, ADR-3."""

        def rank(w: Wanted | Order) -> tuple[int, ...]:  # ADR-3.4
            return (0 if w.role != ENTRY else 1, abs(2 * w.price - sym.mid2), -w.side, w.role, w.key)

        wanted = self.wanted_orders(sym)
        cancels, amends, places = self.match(sym, [w for w in wanted if not w.refused])
        places += [w for w in wanted if w.refused]

        for order in sorted(cancels, key=rank):
            self.send_cancel(order)
        for order, w in sorted(amends, key=lambda pair: rank(pair[1])):
            self.send_amend(sym, order, w)
        for w in sorted(places, key=rank):
            self.send_place(sym, w)

    def match(self, sym: Symbol, wanted: list[Wanted]):
        """ADR-3.2: take-profits by key; entries by (side, price), then by (side, key)."""
        orders = list(sym.orders.values())  # in id order
        pairs: list[tuple[Order, Wanted]] = []
        unmatched: list[Wanted] = []

        def take(w: Wanted, test) -> bool:
            for order in orders:
                if order.side == w.side and order.role == w.role and test(order):
                    orders.remove(order)
                    pairs.append((order, w))
                    return True
            return False

        for w in wanted:
            if w.role != ENTRY and not take(w, lambda o: o.key == w.key):
                unmatched.append(w)
        entries = sorted((w for w in wanted if w.role == ENTRY), key=lambda w: (-w.side, w.key))
        rest = [w for w in entries if not take(w, lambda o: o.coming_price() == w.price)]
        for order, w in pairs:
            order.key = w.key
        unmatched += [w for w in rest if not take(w, lambda o: o.key == w.key)]

        cancels = [o for o in orders if o.change is None]
        amends = [(o, w) for o, w in pairs if o.change is None and w.role != FLATTEN and (o.price, o.qty) != (w.price, w.qty)]
        return cancels, amends, unmatched

    def send_cancel(self, order: Order) -> None:
        self.take_token()
        order.change = Change(CANCEL, self.ts + self.cfg["cancel_latency"], order.price, order.qty)
        self.intent(self.symbols[order.symbol], CANCEL, order.id, order, order.price, 0)

    def send_amend(self, sym: Symbol, order: Order, w: Wanted) -> None:
        if w.role == TAKE_PROFIT:
            # ADR-3.3: it rests away from its wanted price and stays there while that is not passive. OPEN 65: also where only
            # its quantity differs, as a flatten whose cancel was in flight took lots off its cycle.
            if not self.is_passive(sym, w.side, w.price):
                return
            reason = HARD_CAP if self.over_hard_cap(sym, w, order) else 0
        else:
            reason = self.refusal(sym, w, order)
        self.intent(sym, AMEND, order.id, w, w.price, reason)
        if reason == 0:
            self.take_token()
            order.change = Change(AMEND, self.ts + self.cfg["order_latency"], w.price, w.qty)

    def send_place(self, sym: Symbol, w: Wanted) -> None:
        price, reason, refused = w.price, 0, False
        if w.refused:
            reason, refused = w.refused, True
        elif w.role == TAKE_PROFIT:
            if self.over_hard_cap(sym, w, None):
                reason, refused = HARD_CAP, True
            elif not self.is_passive(sym, w.side, w.price):
                limit = self.passive_limit(sym, w.side)
                reason, refused = POST_ONLY, limit < 1
                price = w.price if refused else limit
        elif w.role == ENTRY:
            reason = self.refusal(sym, w, None)
            refused = reason != 0
        if refused:
            self.intent(sym, PLACE, -1, w, price, reason)
            return
        self.take_token()
        order = Order(self.next_order, sym.index, w.side, w.role, w.key, price, w.qty, self.ts + self.cfg["order_latency"])
        self.next_order += 1
        sym.orders[order.id] = order
        self.intent(sym, PLACE, order.id, w, price, reason)
        self.order_row(order, -1, PENDING)

    def intent(self, sym: Symbol, kind: int, order_id: int, w: Wanted | Order, price: int, reason: int) -> None:
        self.record("intents", sym.index, kind, order_id, w.side, w.role, w.key, price, w.qty, reason)

    # ---- guards, ADR-3.5 -----------------------------------------------------------------------

    def side_quantity(self, sym: Symbol, side: int, skip: Order | None = None) -> int:
        return sum(o.counted_qty() for o in sym.orders.values() if o.side == side and o is not skip)

    def inventory_sum(self, sym: Symbol, w: Wanted, amended: Order | None) -> int:
        """Position towards the side, if every order of that side and this one filled."""
        qty = w.qty if amended is None else max(w.qty, amended.qty)
        return w.side * sym.ledger.position + self.side_quantity(sym, w.side, amended) + qty

    def over_hard_cap(self, sym: Symbol, w: Wanted, amended: Order | None) -> bool:
        return self.inventory_sum(sym, w, amended) > sym.hard_cap

    def gross_if_filled(self, sym: Symbol, w: Wanted, amended: Order | None) -> int:
        """The portfolio's notional, each symbol on its worse side, with this order included."""
        total = 0
        for other in self.symbols:
            quantity = {side: self.side_quantity(other, side, amended) for side in (BUY, SELL)}
            if other is sym:
                quantity[w.side] += w.qty if amended is None else max(w.qty, amended.qty)
            position = other.ledger.position
            worst = max(abs(position + quantity[BUY]), abs(position - quantity[SELL]))
            total += other.mid2 * (other.tick_value // 2) * worst
        return total

    def at_order_limit(self, sym: Symbol) -> bool:
        return (
            self.order_count(sym) >= self.cfg["max_open_orders"]
            or sum(self.order_count(x) for x in self.symbols) >= self.cfg["max_open_orders_portfolio"]
        )

    def order_count(self, x: Symbol) -> int:
        covered = {o.key for o in x.orders.values() if o.role == TAKE_PROFIT}
        return len(x.orders) + sum(1 for c in x.cycles if c not in covered)

    def refusal(self, sym: Symbol, w: Wanted, amended: Order | None) -> int:
        """Why an entry may not be sent; 0 if it may. The first reason in ADR-3.5's order."""
        inventory = self.inventory_sum(sym, w, amended)
        cap_lots = math.floor(Fraction(self.max_inventory * 2, sym.mid2 * sym.tick_value))
        leverage_cap = ratio_floor(max(0, self.portfolio.equity), self.cfg["max_effective_leverage"])
        if inventory > cap_lots:
            return MAX_INVENTORY
        if self.gross_if_filled(sym, w, amended) > leverage_cap:
            return MAX_LEVERAGE
        if w.price * w.qty * sym.tick_value < self.cfg["min_notional"]:
            return MIN_NOTIONAL
        if amended is None and self.at_order_limit(sym):
            return MAX_OPEN_ORDERS
        if inventory > sym.hard_cap:
            return HARD_CAP
        self.refill_tokens()
        if self.tokens < TOKEN:
            return RATE_LIMIT
        if not self.is_passive(sym, w.side, w.price):
            return POST_ONLY
        return 0

    def passive_limit(self, sym: Symbol, side: int) -> int:
        """SPEC 8, Post-only: own orders of the other side count at the price in force and the coming one."""
        others = [o for o in sym.orders.values() if o.side == -side and o.role != FLATTEN]
        if side == BUY:
            own = [min(o.price, o.coming_price()) - 1 for o in others]
            return min([sym.ask - 1, (sym.mid2 - 1) // 2] + own)
        own = [max(o.price, o.coming_price()) + 1 for o in others]
        return max([sym.bid + 1, sym.mid2 // 2 + 1] + own)

    def is_passive(self, sym: Symbol, side: int, price: int) -> bool:
        return side * price <= side * self.passive_limit(sym, side)

    def refill_tokens(self) -> None:
        """SPEC 8, Limits: `order_rate` a second is that many 1e-9 tokens a nanosecond."""
        if self.tokens_ts is not None:
            grown = self.tokens + self.cfg["order_rate"] * (self.ts - self.tokens_ts)
            self.tokens = min(self.cfg["order_burst"] * TOKEN, grown)
        self.tokens_ts = self.ts

    def take_token(self) -> None:
        self.refill_tokens()
        self.tokens -= TOKEN

    # ---- invariants ----------------------------------------------------------------------------

    def check(self) -> None:
        """After every event: INVARIANTS 1-5 and 15, symbol by symbol and so for their sum."""
        fills = self.records["fills"]
        for row in fills[self.fills_seen :]:
            _event, _ts, s, _order, _cycle, side, _role, _price, qty, fee, _taker = row
            self.fill_position[s] += side * qty
            self.fill_fees[s] += fee
        self.fills_seen = len(fills)
        for sym in self.symbols:
            led = sym.ledger
            assert led.position == self.fill_position[sym.index]
            assert led.fees == self.fill_fees[sym.index]
            by_pnl = led.realised + led.unrealised(sym.mid2) - led.fees + led.funding
            by_cash = led.cash + led.position * sym.mid2 * sym.tick_value // 2
            assert by_pnl == by_cash, (self.event, sym.index, by_pnl, by_cash)
            assert led.cost >= 0 and (led.position != 0 or led.cost == 0)
            best_buy, best_sell = 0, MAX_PRICE * 2
            for o in sym.orders.values():
                if o.role == FLATTEN:  # has no price
                    continue
                for price in (o.price, o.coming_price()):
                    if o.side == BUY:
                        best_buy = max(best_buy, price)
                    else:
                        best_sell = min(best_sell, price)
            assert best_buy < best_sell, (self.event, sym.index, best_buy, best_sell)


def run(instruments: list[dict], config: dict, events: list[dict]) -> dict[str, list[tuple[int, ...]]]:
    """Replay merged `events`; every stage's rows, each starting (event, ts, symbol) (SPEC 14).

    instruments: in symbol order, `tick_value` (atoms, even), `perpetual`, `hard_cap_lots`.
    config: `bar_ns, equity, maker_fee, min_edge, order_latency, cancel_latency, max_gap_ns, fill_model,
    penetration, max_inventory` ("ratio", r) or ("atoms", a), `max_effective_leverage, max_open_orders,
    max_open_orders_portfolio, min_notional, order_rate, order_burst, dd_budget_pct, dd_window, dd_warn,
    step, levels, quantity` (a list, one per symbol); `dd_window_ms` with dd_window "rolling". Ratios are 1e-8, money
    atoms, times nanoseconds (`_ms`: milliseconds).
    events: `ts, symbol, kind, fault` (None or a code); for book and quote `bid_px, ask_px`; for
    funding `rate, mark_px`.

    With `policy` "smart", and with `risk_monitor` ("static" too), the config's defaults are `smart.DEFAULTS`; quotes and books
    have `bid_qty, ask_qty`, books may have `bids, asks` as lists of (px, qty), best first; kind "command" has `code` and a
    symbol or -1.
    """
    engine_type = Reference
    if config.get("policy", "static") == "smart":
        from .smart import Smart

        engine_type = Smart
    elif config.get("risk_monitor"):
        from .monitored import Monitored

        engine_type = Monitored
    engine = engine_type(instruments, config)
    for index, event in enumerate(events):
        engine.step(index, event)
    return engine.records
