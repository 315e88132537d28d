"""Gates and regimes against their definitions, recomputed from whole histories at every event; each line of SPEC 5 and 6 by a
case in which it triggers and one in which it nearly does."""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest

import grinder as gr
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.gates import next_trend
from grinder.policies.own import policy
from grinder.records import Cause, Command, Feature, GateKind, InputKind, Reason, Regime, Stream, Toxicity, Trend
from grinder.regime import regime_of
from grinder.session import replay
from tests.oracles import reference
from tests.tapes import case
from tests.volumes import PROPERTY, each, volume

SECOND, MINUTE = 10**9, 60 * 10**9
START = 1_700_000_040 * 10**9 // MINUTE * MINUTE
ONE = 10**8
MS = 1_000_000
BARS = {"bar_interval_ms": 1000, "atr_bars": 1, "return_bars": 1, "ema_fast": 1, "ema_slow": 1, "max_gap_ms": 3_600_000}
QUIET = {"thin_quote": 0, "shock_ratio": 0, "shock_tr": 0, "jump_limits": (0, 0, 0), "spread_limits": (0, 0, 0)}
COIN = Instrument(symbol="COIN", kind="perpetual", tick_size="0.1", lot_size="0.01")  # a tick and lot is 0.001 quote
WARM = Feature.ATR | Feature.NATR | Feature.NET_RETURN | Feature.RANGE_SCORE | Feature.EFFICIENCY_RATIO | Feature.TREND_STRENGTH


@policy
def idle(view, params):
    return None


# From scratch


class Symbol:
    """Everything that happened to one symbol, in lists."""

    def __init__(self) -> None:
        self.last = None  # time of the last accepted update
        self.stale = 0
        self.thin_log: list[int] = []
        self.severe_log: list[int] = []
        self.log: dict[int, list[tuple[int, int]]] = {bit: [] for bit in Toxicity}  # (ts, severity)
        self.strays: list[int] = []
        self.under: dict[tuple[str, str], int | None] = {}
        self.book = None  # (ts, depth bid, depth ask, impact or -1)
        self.levels = dict.fromkeys(GateKind, (0, 0))
        self.regime, self.absent = Regime.PAUSED, sum(Feature)
        self.paused = self.latched = False
        self.after_gap()

    def after_gap(self) -> None:
        self.mids: list[tuple[int, int]] = []
        self.spreads: list[int] = []
        self.natrs: list[int] = []
        self.trs: list[int] = []
        self.atr, self.trend = 0, Trend.NONE
        self.spread_limits = self.jump_limits = (0, 0, 0)
        self.floor = 0


def median(values: list[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


def ratio(value: object) -> Fraction:
    return Fraction(str(value))


def reached(value: int | Fraction, limits) -> int:
    return max((level for level, limit in enumerate(limits, 1) if limit > 0 and value >= limit), default=0)


def worth(side: list[tuple[int, int]], quote: int, tick_value: int) -> float | None:
    left, lots = quote, 0.0
    for px, qty in side:
        taken = min(left, px * qty * tick_value)
        lots, left = lots + taken / (px * tick_value), left - taken
    return quote / (lots * tick_value) if left == 0 else None


def book_of(levels: np.ndarray, mid2: int, config: Config, tick_value: int) -> tuple[int, int, int]:
    sides = [
        [(p, q) for p, q in zip(levels[2 * k].tolist(), levels[2 * k + 1].tolist(), strict=True) if p > 0][: config.top_n]
        for k in (0, 1)
    ]
    depths = [sum(p * q for p, q in side) * tick_value for side in sides]
    quote = int(config.impact_quote * 10**8)
    if min(depths) < quote:
        return (*depths, -1)
    away = max(abs(worth(side, quote, tick_value) - side[0][0]) / (mid2 / 2) for side in sides)
    return (*depths, math.floor(away * 1e8 + 0.5))


def at_close(one: Symbol, row: np.void, closed: list[tuple[int, int]], l1: tuple[int, int], config: Config) -> None:
    """A bar of the symbol closed: `closed` are (tr, close) of all its bars since the gap."""
    absent, natr, atr = int(row["absent"]), int(row["natr"]), int(row["atr"])
    if absent & Feature.ATR == 0:
        one.natrs.append(natr)
    shocked = one.atr > 0 and config.shock_tr > 0 and closed[-1][0] * ONE >= math.ceil(one.atr * ratio(config.shock_tr))
    before = one.natrs[:-3][-config.baseline_bars :] if len(closed) >= 3 else []
    if len(one.natrs) - 3 >= config.baseline_bars_min and len(closed) >= 3:
        limit = math.ceil(median(before) * ratio(config.shock_ratio))
        mean = sum(tr for tr, _ in closed[-3:]) / 3 / closed[-1][1]
        shocked |= limit > 0 and math.floor(mean * 1e8 + 0.5) >= limit
    if shocked:
        one.log[Toxicity.SHOCK].append((int(row["ts"]), 1))
    one.atr = atr
    one.spreads.append(l1[1] - l1[0])
    middle, enough = 0, len(one.spreads) >= config.spread_bars_min
    if enough:
        middle = median(one.spreads[-config.spread_bars :])
        base = max(Fraction(max(1, middle)), Fraction(sum(l1), 2) * ratio(config.spread_floor))
        one.spread_limits = tuple(math.ceil(base * ratio(limit)) for limit in config.spread_limits)
    if absent & Feature.ATR == 0:
        one.jump_limits = tuple(
            max(math.ceil(atr * ratio(limit)), 2 * spreads * max(1, middle) * ONE) if limit > 0 else 0
            for limit, spreads in zip(config.jump_limits, (2, 4, 10), strict=True)
        )
    strength, efficiency = int(row["trend_strength"]), int(row["efficiency_ratio"])
    if absent & (Feature.TREND_STRENGTH | Feature.EFFICIENCY_RATIO) == 0:
        leave = ratio(config.trend_exit) * ONE
        if (one.trend == Trend.UP and strength < leave) or (one.trend == Trend.DOWN and strength > -leave):
            one.trend = Trend.NONE
        if one.trend == Trend.NONE and efficiency >= ratio(config.er_enter) * ONE:
            enter = ratio(config.trend_enter) * ONE
            one.trend = Trend.UP if strength >= enter else Trend.DOWN if strength <= -enter else Trend.NONE


def judge(one: Symbol, ts: int, l1: tuple[int, int, int, int], config: Config, tick_value: int) -> None:
    """What an event of the symbol says of its inputs."""
    bid, bid_qty, ask, ask_qty = l1
    ns = 1_000_000
    fresh = one.book is not None and ts - one.book[0] <= config.l2_stale_ms * ns
    if bid:
        one.log[Toxicity.SPREAD].append((ts, reached(ask - bid, one.spread_limits)))
        then = bisect_right(one.mids, ts - config.jump_window_ms * ns, key=lambda pair: pair[0])
        moved = abs(bid + ask - one.mids[then - 1][1]) * ONE if then else 0
        one.log[Toxicity.JUMP].append((ts, reached(moved, one.jump_limits)))
        sides = {"bid": (bid * bid_qty * tick_value), "ask": (ask * ask_qty * tick_value)}
        limit = config.thin_quote
        if fresh:
            sides, limit = {"bid": one.book[1], "ask": one.book[2]}, config.thin_quote_depth
        limit = int(limit * ONE)
        for log, name, under in ((one.thin_log, "thin", Fraction(limit)), (one.severe_log, "severe", Fraction(limit, 5))):
            long_enough = limit > 0 and 0 in (bid_qty, ask_qty)
            for side, value in sides.items():
                since = one.under.get((name, side))
                since = None if value >= under else ts if since is None else since
                one.under[name, side] = since
                long_enough |= since is not None and ts - since >= config.thin_ms * ns
            if long_enough:
                log.append(ts)
    if fresh:
        impact = 2 if one.book[3] < 0 else reached(one.book[3], [ratio(limit) * ONE for limit in config.impact_limits])
        one.log[Toxicity.IMPACT].append((ts, impact))
    recent = sum(at > ts - config.quarantine_window_ms * ns for at in one.strays)
    one.log[Toxicity.QUARANTINED].append((ts, reached(recent, config.quarantined_limits)))


def settle(one: Symbol, ts: int, config: Config) -> list[tuple[int, int, int, int]]:
    """Gate records (gate, from, to, reasons) of thin, severely thin, shock and toxicity."""
    ns = 1_000_000

    def held(log: list[int], clear_ms: int) -> int:
        return int(bool(log) and ts - log[-1] < clear_ms * ns)

    for bit, log in one.log.items():  # what has run out says nothing any more
        one.log[bit] = [(at, severity) for at, severity in log if severity and ts - at < config.clear_ms * ns]
    held_inputs = {
        bit: max((severity for at, severity in log if ts - at < config.clear_ms * ns), default=0) for bit, log in one.log.items()
    } | {Toxicity.STALENESS: one.stale}
    level, reasons = max(held_inputs.values()), sum(1 << bit for bit, severity in held_inputs.items() if severity)
    to = {
        GateKind.THIN: (1 if one.stale else held(one.thin_log, config.thin_clear_ms), 0),
        GateKind.SEVERELY_THIN: (held(one.severe_log, config.thin_clear_ms), 0),
        GateKind.SHOCK: (int(held_inputs[Toxicity.SHOCK] > 0), 0),
        GateKind.TOXICITY: (level, reasons),
    }
    out = [(int(gate), one.levels[gate][0], value, bits) for gate, (value, bits) in to.items() if (value, bits) != one.levels[gate]]
    one.levels |= to
    return out


def ladder(one: Symbol) -> Regime:
    toxicity = one.levels[GateKind.TOXICITY][0]
    for regime, holds in (
        (Regime.EMERGENCY, one.latched or toxicity == 3),
        (Regime.PAUSED, one.paused or one.absent & WARM or one.stale >= 2),
        (Regime.TOXIC, toxicity == 2),
        (Regime.THIN_BOOK, one.levels[GateKind.THIN][0]),
        (Regime.VOL_SHOCK, one.levels[GateKind.SHOCK][0]),
        (Regime.TREND_UP, one.trend == Trend.UP),
        (Regime.TREND_DOWN, one.trend == Trend.DOWN),
    ):
        if holds:
            return regime
    return Regime.RANGE


def obey(symbols: list[Symbol], row: np.void) -> None:
    for c, one in enumerate(symbols):
        if row["command"] in (Command.KILL, Command.RESET):
            one.latched = row["command"] == Command.KILL
        elif row["command"] in (Command.PAUSE, Command.RESUME) and row["symbol"] in (-1, c):
            one.paused = row["command"] == Command.PAUSE


def from_scratch(run, config: Config) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """All `gates` and `regimes` records of a replay, from its events, bars and features."""
    e, ns = run.market, 1_000_000
    symbols = [Symbol() for _ in run.instruments]
    closings: dict[int, list] = {}
    for row in run.features.records:
        closings.setdefault(int(row["event"]), []).append(row)
    bars = {(int(b["event"]), int(b["symbol"])): b for b in run.bars.records}
    closed: list[list[tuple[int, int]]] = [[] for _ in symbols]
    l1: list[tuple[int, ...]] = [()] * len(symbols)
    gates, regimes, book = [], [], 0
    commands = {int(row["row"]): row for row in e.commands}
    deadlines = [limit * ns + 1 for limit in (config.l1_stale_ms, config.l1_pause_ms, 10 * config.l1_pause_ms)]
    for i in range(len(e.ts)):
        ts, s, kind, fault = int(e.ts[i]), int(e.symbol[i]), int(e.kind[i]), int(e.fault[i])
        own, tick_value = symbols[s], run.instruments[s].tick_value
        tick = fault == 0 and kind in (Stream.QUOTES, Stream.BOOKS)
        touched = set() if kind == Stream.COMMANDS else {s}
        if tick and own.last is not None and ts - own.last > config.max_gap_ms * ns:
            own.after_gap()
            own.absent, closed[s] = sum(Feature), []
        for row in closings.get(i, []):
            c = int(row["symbol"])
            closed[c].append((int(row["tr"]) // ONE, int(bars[i, c]["close"])))
            at_close(symbols[c], row, closed[c], (l1[c][0], l1[c][2]), config)
            symbols[c].absent = int(row["absent"])
        due = [
            (one.last + deadlines[level], c, level)
            for c, one in enumerate(symbols)
            for level in range(one.stale, 3)
            if one.last is not None and one.last + deadlines[level] <= ts
        ]
        for _, c, level in sorted(due):
            gates.append((i, ts, c, 0, level, level + 1, 0))
            symbols[c].stale = level + 1
            touched.add(c)  # and thin, if it still is stale after step 2
        l1[s] = tuple(int(column[i]) for column in (e.bid_px, e.bid_qty, e.ask_px, e.ask_qty))
        fresh = []
        if tick:
            if own.stale:
                fresh = [(i, ts, s, 0, own.stale, 0, 0)]
                own.stale = 0
            own.last = ts
            own.mids.append((ts, l1[s][0] + l1[s][2]))
        if kind == Stream.BOOKS:
            if fault == 0:
                own.book = (ts, *book_of(e.books[book], l1[s][0] + l1[s][2], config, tick_value))
            book += 1
        if fault:
            own.strays.append(ts)
        for c in touched:
            if symbols[c].stale:
                symbols[c].thin_log.append(ts)
        if kind != Stream.COMMANDS:  # no market data: time passes, nothing is judged
            judge(own, ts, l1[s], config, tick_value)
        for c, one in enumerate(symbols):
            gates += fresh if c == s else []
            gates += [(i, ts, c, *record) for record in settle(one, ts, config)]
        if kind == Stream.COMMANDS:
            obey(symbols, commands[i])
        for c, one in enumerate(symbols):
            to = ladder(one)
            if to != one.regime:
                warming = to == Regime.PAUSED and one.absent & WARM
                regimes.append((i, ts, c, int(one.regime), int(to), int(Reason.WARMUP) if warming else 0))
                one.regime = to
    return gates, regimes


def lively(seed: int, commands: bool = False):
    """A random tape and settings in whose reach the gates are."""
    c = case(seed, commands=commands)
    rng = random.Random(seed)
    market = c.fixture.events.kind != Stream.COMMANDS
    pace = max(1, int(np.median(np.diff(c.fixture.events.ts[market]))) // 1_000_000)
    some = lambda *values: str(rng.choice(values))  # noqa: E731
    value = float(np.median(c.fixture.events.bid_px[market])) * c.fixture.instruments[0].tick_value / ONE
    settings = {
        **dict(zip(("atr_bars", "return_bars", "ema_fast", "ema_slow"), (rng.randint(1, 5) for _ in range(4)), strict=True)),
        "l1_stale_ms": pace * rng.choice((2, 4)),
        "l1_pause_ms": pace * rng.choice((4, 9)),
        "l2_stale_ms": pace * rng.choice((0, 3, 20)),
        "thin_quote": f"{value * rng.choice((0, 2, 4)):.2f}",
        "thin_quote_depth": f"{value * rng.choice((0, 3, 6)):.2f}",
        "impact_quote": f"{max(0.01, value * rng.choice((1, 3))):.2f}",
        "impact_limits": (some("0", "1bp"), some("0", "2bp"), some("3bp", "80%")),
        "thin_ms": pace * rng.choice((0, 2, 5)),
        "thin_clear_ms": max(1, pace * rng.choice((0, 3, 12))),
        "shock_ratio": some(0, "1.1", 2),
        "shock_tr": some(0, "1.5", 3),
        "baseline_bars": rng.choice((2, 5)),
        "baseline_bars_min": rng.choice((1, 2)),
        "spread_bars": rng.choice((3, 7)),
        "spread_bars_min": rng.choice((1, 3)),
        "spread_floor": some(0, "1bp", "1%"),
        "spread_limits": (some(0, 1), some("1.5", 2), some(0, 3)),
        "jump_limits": (some("0.2", 1), some(0, "1.3"), some(2, 5)),
        "jump_window_ms": pace * rng.choice((0, 1, 4)),
        "quarantined_limits": (rng.choice((0, 1)), 2, rng.choice((0, 4))),
        "quarantine_window_ms": pace * rng.choice((0, 5, 40)),
        "clear_ms": max(1, pace * rng.choice((0, 4, 15))),
        "trend_enter": some("0.5", 1),
        "trend_exit": some("0.1", "0.5"),
        "er_enter": some(0, "0.3"),
    }
    return c.fixture, Config(**settings).over(c.config)


@pytest.mark.parametrize("commands", [False, True])
@pytest.mark.parametrize("seed", range(120))
@volume(PROPERTY)
def test_gates_and_regimes_from_scratch(seed, commands):
    fixture, config = lively(seed, commands)
    run = replay(fixture, config, idle)
    gates, regimes = from_scratch(run, config)
    assert [row.item() for row in run.gates.records] == gates
    assert [row.item() for row in run.regimes.records] == regimes


HIGHEST = 2**35
"""Ticks; no price is higher."""


def enormous(seed: int) -> tuple[Fixture, Config]:
    """Bars of up to the highest price there may be, and spreads as wide: limits pass 63 bits, what is measured does not."""
    rng = random.Random(seed)
    quotes: dict[str, list[int]] = {name: [] for name in ("ts", "bid_px", "ask_px", "bid_qty", "ask_qty")}
    low, wide = rng.choice((10**9, HIGHEST // 3)), rng.choice((0, 0, HIGHEST // 2))
    high = low + HIGHEST * 2 // 3  # a true range over that is recorded as 2**62
    for k in range(120):
        bid = low + rng.randrange(rng.choice((10**4, HIGHEST // 4, HIGHEST * 2 // 3)))
        ask = min(high, bid + rng.choice((0, 5, wide, HIGHEST)))
        for name, value in zip(quotes, (START + k * SECOND // 4, bid, ask, 9, 9), strict=True):
            quotes[name].append(value)
    settings = {
        **BARS | QUIET | {"atr_bars": rng.randint(1, 3), "baseline_bars": 4, "baseline_bars_min": 1, "spread_bars_min": 2},
        "shock_tr": rng.choice((0, "1.1", 6, 500)),
        "shock_ratio": rng.choice((0, "1.01", 4, 500)),
        "jump_limits": rng.choice(((1, 2, 5), ("0.3", "0.5", 500), (0, 6, 500))),
        "spread_limits": rng.choice(((3, 6, 20), ("0.5", "1.1", 500), (0, 0, 0))),
        "spread_floor": rng.choice((0, "1bp", 1)),
        "jump_window_ms": rng.choice((0, 250)),
        "clear_ms": rng.choice((1, 500)),
    }
    return Fixture.from_arrays([COIN], quotes=quotes, config=Config(max_jump=500)), Config(**settings)


@pytest.mark.parametrize("block", range(4))
@volume(PROPERTY, 20)
def test_limits_of_an_enormous_market_from_scratch(block):
    """A limit that is more than an int64 holds is never reached; wrapped, it would be negative, none, or near."""
    reached = set()
    for seed in each(PROPERTY, range(20 * block, 20 * block + 20)):
        fixture, config = enormous(seed)
        run = replay(fixture, config, idle)
        gates, regimes = from_scratch(run, config)
        assert [row.item() for row in run.gates.records] == gates, seed
        assert [row.item() for row in run.regimes.records] == regimes, seed
        reached |= {(int(row["gate"]), int(row["to"])) for row in run.gates.records}
    assert {(GateKind.SHOCK, 1), (GateKind.TOXICITY, 0), (GateKind.TOXICITY, 3)} <= reached


@pytest.mark.parametrize(
    ("name", "events", "shows"),
    [
        ("binance_btcusdt_6m", 8_000, set()),
        ("vol_shock_l1", 31_000, {"THIN_BOOK", "TOXIC", "VOL_SHOCK", "TREND_DOWN", "EMERGENCY"}),
        ("trend_day_l1", 13_000, {"TREND_UP", "THIN_BOOK"}),
        ("impact_spike_l2", 8_000, {"TOXIC"}),
        ("dydx_btcusd_1d", 5_760, {"TOXIC", "THIN_BOOK", "EMERGENCY"}),
    ],
)
def test_gates_and_regimes_of_fixtures_from_scratch(name, events, shows):
    """With the defaults of SPEC 15, on a head of each."""
    fixture = gr.fixture(name)
    head = fixture.head(min(events, len(fixture)))
    run = replay(head, None, idle)
    gates, regimes = from_scratch(run, head.config)
    assert [row.item() for row in run.gates.records] == gates
    assert [row.item() for row in run.regimes.records] == regimes
    assert shows <= {Regime(code).name for code in run.regimes["to"].tolist()}


def test_random_tapes_reach_every_gate_level_input_and_regime():
    levels, reasons, kinds = set(), 0, set()
    for seed in range(120):
        fixture, config = lively(seed)
        run = replay(fixture, config, idle)
        levels |= set(zip(run.gates["gate"].tolist(), run.gates["to"].tolist(), strict=True))
        reasons |= int(np.bitwise_or.reduce(run.gates["reasons"], initial=0))
        kinds |= set(run.regimes["to"].tolist())
    assert levels == {(0, k) for k in range(4)} | {(4, k) for k in range(4)} | {(g, k) for g in (1, 2, 3) for k in (0, 1)}
    assert reasons == sum(1 << bit for bit in Toxicity)
    assert kinds == set(Regime)


def oracle_config(c, fixture, config: Config) -> dict:
    """The settings as the reference engine names them; budgets so large that nothing else moves a regime."""
    (p,), _ = config.params(fixture.instruments, fixture.price_range)
    names = (
        "atr_bars return_bars range_eps range_cap ema_fast ema_slow top_n impact_quote wall_ratio l1_stale_ns l1_pause_ns "
        "l2_stale_ns thin_quote thin_quote_depth thin_ns thin_clear_ns shock_ratio shock_tr baseline_bars spread_bars "
        "spread_bars_min spread_floor jump_window_ns quarantine_window_ns clear_ns trend_enter trend_exit er_enter"
    ).split()
    out = c.reference_config() | {name: int(p[name]) for name in names} | {"policy": "smart", "atr_method": config.atr_method}
    for name in ("spread", "impact", "jump", "quarantined"):
        out[f"tox_{name}"] = [int(p[f"{name}_{severity}"]) for severity in ("mid", "high", "extreme")]
    return out | {"baseline_min": int(p["baseline_bars_min"]), "dd_budget_pct": 10**12, "equity": 10**16}


@pytest.mark.parametrize("block", range(10))
@volume(PROPERTY, 40)
def test_gates_and_regimes_of_the_reference_engine(block):
    """Written from SPEC alone; where that is open, by ADR-0017."""
    seen = 0
    for seed in each(PROPERTY, range(40 * block, 40 * block + 40)):
        c = case(seed)
        fixture, config = lively(seed)
        run = replay(fixture, config, idle)
        events = c.reference_events()
        for row, book in zip(run.market.book_rows.tolist(), run.market.books.tolist(), strict=True):
            events[row] |= {"bids": [*zip(*book[:2], strict=True)], "asks": [*zip(*book[2:], strict=True)]}
        expected = reference.run(c.reference_instruments(), oracle_config(c, fixture, config), events)
        for stage in ("gates", "regimes"):
            assert [row.item() for row in run.tables[stage].records] == expected[stage], f"seed {seed}, {stage}"
        seen += len(run.gates)
    assert seen > 1000


def test_stretches_and_resumes_change_nothing():
    for seed, commands in itertools.product((3, 8, 21, 33), (False, True)):
        fixture, config = lively(seed, commands)
        whole = replay(fixture, config, idle)
        assert len(whole.gates) > 10
        assert (whole.input["kind"] == InputKind.COMMAND).any() == commands
        for chunk in (1, 7, 64):
            assert replay(fixture, config, idle, chunk=chunk).digest == whole.digest
        for cut in (1, len(fixture) // 2, len(fixture) - 1):
            half = replay(fixture, config, idle, until=cut)
            assert replay(fixture, config, idle, resume=half).digest == whole.digest


GATE_SETTINGS = {
    "l1_stale_ms": lambda v: max(1, v // 2),
    "l1_pause_ms": lambda v: 3 * v + 1,
    "thin_quote": lambda v: 0,
    "thin_quote_depth": lambda v: 0,
    "thin_ms": lambda v: 2 * v + 1000,
    "thin_clear_ms": lambda v: 2 * v + 5000,
    "shock_ratio": lambda v: 0,
    "shock_tr": lambda v: 0,
    "baseline_bars": lambda v: v + 3,
    "baseline_bars_min": lambda v: 3 - v,
    "spread_bars": lambda v: v + 5,
    "spread_bars_min": lambda v: 4 - v,
    "spread_floor": lambda v: "5%",
    "spread_limits": lambda v: (0, 0, 0),
    "impact_limits": lambda v: (0, 0, 0),
    "jump_limits": lambda v: (0, 0, 0),
    "jump_window_ms": lambda v: 3 * v + 1,
    "quarantined_limits": lambda v: (0, 0, 0),
    "quarantine_window_ms": lambda v: 0,
    "clear_ms": lambda v: 2 * v + 1000,
    "trend_enter": lambda v: v + 1,
    "trend_exit": lambda v: 0,
    "er_enter": lambda v: "0.9",
}
"""Settings that only gates and regimes look at, and a change of each."""


@pytest.mark.parametrize("field", GATE_SETTINGS)
def test_every_setting_changes_a_gate_or_a_regime(field):
    """39, on stage roots: config and input hash aside."""
    if field == "impact_limits":  # books of random tapes have one level
        book, rows = (0, [(999, 10**6)], [(1001, 10), (1201, 10**6)]), [(0, 999, 1001)]
        assert gates_of(rows, [book], impact_quote=20) != gates_of(rows, [book], impact_quote=20, impact_limits=(0, 0, 0))
        return
    for seed in range(60):
        fixture, config = lively(seed)
        changed = Config(**{field: GATE_SETTINGS[field](getattr(config, field))}).over(config)
        before, after = (replay(fixture, each, idle).digest.roots for each in (config, changed))
        if before["gates"] != after["gates"] or before["regimes"] != after["regimes"]:
            return
    pytest.fail(f"{field} changes nothing")


def test_static_looks_at_no_gate():
    fixture, config = lively(3)
    run = replay(fixture, config)
    assert len(run.gates) == len(run.regimes) == 0


def test_a_level_that_moves_is_a_mark_and_a_decision_and_reasons_alone_are_neither():
    seen = []

    @policy
    def note(view, params):
        seen.append((view.event, view.symbol))

    for seed in range(12):
        fixture, config = lively(seed)
        seen.clear()
        run = replay(fixture, config, note)
        moved = run.gates.records[run.gates["from"] != run.gates["to"]]
        pairs = set(zip(moved["event"].tolist(), moved["symbol"].tolist(), strict=True))
        gated = run.ledger.records[(run.ledger["cause"] & Cause.GATE != 0) & (run.ledger["symbol"] >= 0)]
        assert set(zip(gated["event"].tolist(), gated["symbol"].tolist(), strict=True)) == pairs
        changed = set(zip(run.regimes["event"].tolist(), run.regimes["symbol"].tolist(), strict=True))
        assert pairs | changed <= set(seen)


def test_a_policy_sees_gates_and_regime():
    fixture, config = lively(8)
    seen = {}

    @policy
    def note(view, params):
        seen[view.event, view.symbol] = (view.stale, view.thin, view.severe, view.shock, view.toxicity, view.reasons, view.regime)

    run = replay(fixture, config, note)
    state = {s: [0] * 6 + [int(Regime.PAUSED)] for s in range(len(run.symbols))}
    gates, regimes = run.gates.records, run.regimes.records
    for event in range(len(fixture)):
        for row in gates[gates["event"] == event]:
            state[int(row["symbol"])][int(row["gate"])] = int(row["to"])
            if row["gate"] == GateKind.TOXICITY:
                state[int(row["symbol"])][5] = int(row["reasons"])
        for row in regimes[regimes["event"] == event]:
            state[int(row["symbol"])][6] = int(row["to"])
        for s, levels in state.items():
            assert seen.get((event, s), tuple(levels)) == tuple(levels)


# Line by line: what triggers, and what nearly does


def gates_of(rows, books=(), **settings) -> list[tuple[int, int, int, int]]:
    """Records (event, gate, from, to) for quotes (ts in ns, bid, ask[, bid_qty, ask_qty])."""
    rows = [(*row, 1000, 1000)[:5] if len(row) == 3 else row for row in rows]
    names = ("ts", "bid_px", "ask_px", "bid_qty", "ask_qty")
    quotes = {name: [row[k] + (START if k == 0 else 0) for row in rows] for k, name in enumerate(names)}
    streams = {"quotes": quotes}
    if books:
        streams["books"] = {"ts": [START + ts for ts, _, _ in books]}
        for i in range(max(len(side) for _, *both in books for side in both)):
            for k, side in enumerate(("bid", "ask")):
                levels = [row[1 + k][i] if i < len(row[1 + k]) else (0, 0) for row in books]
                streams["books"] |= {f"{side}_{what}_{i}": [level[j] for level in levels] for j, what in enumerate(("px", "qty"))}
    run = replay(Fixture.from_arrays([COIN], **streams), Config(**(BARS | QUIET | settings)), idle)
    return [(int(r["event"]), int(r["gate"]), int(r["from"]), int(r["to"])) for r in run.gates.records]


@pytest.mark.parametrize(
    ("silence", "levels"),
    [(15 * SECOND, 0), (15 * SECOND + 1, 1), (60 * SECOND, 1), (60 * SECOND + 1, 2), (600 * SECOND, 2), (600 * SECOND + 1, 3)],
)
def test_staleness_is_over_its_limit(silence, levels):
    raised = [(1, 0, k, k + 1) for k in range(levels)]
    assert gates_of([(0, 999, 1001), (silence, 999, 1001)]) == raised + [(1, 0, levels, 0)] * (levels > 0)


def test_a_trade_finds_the_feed_stale_toxic_and_thin():
    quotes = {"ts": [START, START + 40 * SECOND], "bid_px": [999] * 2, "ask_px": [1001] * 2, "bid_qty": [9] * 2, "ask_qty": [9] * 2}
    trades = {"ts": [START + 16 * SECOND], "id": [1], "px": [1000], "qty": [1], "aggressor": [1]}
    fixture = Fixture.from_arrays([COIN], quotes=quotes, trades=trades)
    run = replay(fixture, Config(**(BARS | QUIET)), idle)
    rows = [(int(r["event"]), int(r["gate"]), int(r["from"]), int(r["to"]), int(r["reasons"])) for r in run.gates.records]
    staleness = 1 << Toxicity.STALENESS
    # the quote that ends the outage closes the gate, staleness is not held, thin is until 30 s after the trade
    assert rows == [(1, 0, 0, 1, 0), (1, 1, 0, 1, 0), (1, 4, 0, 1, staleness), (2, 0, 1, 0, 0), (2, 4, 1, 0, 0)]


THIN = {"thin_quote": 10}  # at 1000 ticks a lot is 1 quote: 10 lots


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 1000, 1001, 9, 99), (3 * SECOND, 1000, 1001, 9, 99)], [(1, 1, 0, 1)]),
        ([(0, 1000, 1001, 9, 99), (3 * SECOND - 1, 1000, 1001, 9, 99)], []),
        ([(0, 1000, 1001, 10, 10), (3 * SECOND, 1000, 1001, 10, 10)], []),  # at the limit is not under it
        ([(0, 1000, 1001, 9, 99), (SECOND, 1000, 1001, 10, 99), (3 * SECOND, 1000, 1001, 9, 99)], []),  # not on every event
        ([(0, 1000, 1001, 9, 99), (SECOND, 1000, 1001, 99, 9), (3 * SECOND, 1000, 1001, 9, 99)], []),  # not one side all the time
        ([(0, 1000, 1001, 99, 0)], [(0, 1, 0, 1), (0, 2, 0, 1)]),
        ([(0, 1000, 1001, 1, 99), (3 * SECOND, 1000, 1001, 1, 99)], [(1, 1, 0, 1), (1, 2, 0, 1)]),
        ([(0, 1000, 1001, 2, 99), (3 * SECOND, 1000, 1001, 2, 99)], [(1, 1, 0, 1)]),  # at a fifth is not under it
    ],
)
def test_thin(rows, expected):
    assert gates_of(rows, **THIN) == expected


@pytest.mark.parametrize(("age", "clears"), [(30 * SECOND - 1, False), (30 * SECOND, True)])
def test_thin_clears_after_the_last_thin_event(age, clears):
    quiet = [(9 * SECOND, 1000, 1001), (18 * SECOND, 1000, 1001), (27 * SECOND, 1000, 1001)]
    rows = [(0, 1000, 1001, 99, 0), *quiet, (age, 1000, 1001)]
    assert gates_of(rows, **THIN)[2:] == [(4, 1, 1, 0), (4, 2, 1, 0)] * clears


def test_a_fresh_book_says_who_is_thin():
    deep, thin = [(999, 99)], [(1001, 9)]
    books = [(1, deep, thin), (2 * SECOND, deep, thin)]
    rows = [(0, 999, 1001), (4 * SECOND, 999, 1001), (4 * SECOND + 1, 999, 1001)]
    expected = [(3, 1, 0, 1)]  # at 4 s, over 3 s after the first book, the second is still fresh
    assert [row for row in gates_of(rows, books, thin_quote_depth=10, impact_quote=1) if row[1] == 1] == expected
    later = [*rows[:1], (4 * SECOND + 1, 999, 1001)]  # the book is stale, and the quote is not thin
    assert [row for row in gates_of(later, books, thin_quote_depth=10, impact_quote=1) if row[1] == 1] == []


def bars_then(*mids: int, ranges=()) -> list[tuple[int, int, int]]:
    """Two quotes a bar of one second: the second is `ranges` ticks higher; then quotes of the given mids after the last bar."""
    rows = []
    for k, height in enumerate(ranges):
        rows += [(k * SECOND, 9_999, 10_001), (k * SECOND + SECOND // 2, 9_999 + height, 10_001 + height)]
    start = len(ranges) * SECOND
    return rows + [(start + k, mid - 1, mid + 1) for k, mid in enumerate(mids)]


@pytest.mark.parametrize(("last", "shocked"), [(59, False), (60, True)])
def test_one_bar_is_a_shock_from_so_many_atrs_before_it(last, shocked):
    """Bars of 10 ticks: ATR 20 half ticks, true ranges too; the last bar's range counts from the close before it."""
    rows = bars_then(10_000, ranges=[10] * 5)
    flat = [(ts, bid, ask) for ts, bid, ask in rows[:-1]]
    close = flat[-1][1] - 9_999
    rows = [*flat, (5 * SECOND, 9_999 + close, 10_001 + close), (5 * SECOND + 1, 9_999 + close + last, 10_001 + close + last)]
    rows.append((6 * SECOND, 9_999, 10_001))
    found = [row for row in gates_of(rows, shock_tr=6) if row[1] == 3]
    assert found == [(len(rows) - 1, 3, 0, 1)] * shocked


@pytest.mark.parametrize(("height", "shocked"), [(99, False), (100, True)])
def test_three_bars_are_a_shock_from_so_many_baselines(height, shocked):
    """Baseline 20 half ticks; the mean of two such bars and one of `height` ticks is held against four times as much."""
    calm = [(k * SECOND + half * SECOND // 2, 9_999 + 10 * half, 10_001 + 10 * half) for k in range(30) for half in (0, 1)]
    wild = [(30 * SECOND + k, 9_999 + at, 10_001 + at) for k, at in enumerate((10, 10 + height, 10))]
    rows = [*calm, *wild, (31 * SECOND, 10_009, 10_011)]
    found = [row for row in gates_of(rows, shock_ratio=4) if row[1] == 3]
    assert found == [(len(rows) - 1, 3, 0, 1)] * shocked
    assert not [row for row in gates_of(rows, shock_ratio=4, baseline_bars_min=29) if row[1] == 3], "28 bars are before them"


@pytest.mark.parametrize(("spread", "severity"), [(29, 0), (30, 1), (59, 1), (60, 2), (199, 2), (200, 3)])
def test_spread_over_its_median(spread, severity):
    """A median of 10 ticks, 20 closes."""
    rows = [(k * SECOND, 9_995, 10_005) for k in range(21)] + [(20 * SECOND + 1, 9_995, 9_995 + spread)]
    assert gates_of(rows, spread_limits=(3, 6, 20)) == [(21, 4, 0, severity)] * (severity > 0)
    assert gates_of(rows[1:], spread_limits=(3, 6, 20)) == [], "19 closes are too few"


@pytest.mark.parametrize(("spread", "severity"), [(2, 0), (3, 1)])
def test_the_median_spread_is_at_least_a_tick_and_a_basis_point(spread, severity):
    rows = [(k * SECOND, 1000, 1000) for k in range(21)] + [(20 * SECOND + 1, 1000, 1000 + spread)]
    assert gates_of(rows, spread_limits=(3, 6, 20)) == [(21, 4, 0, severity)] * (severity > 0)
    wide = [(ts, bid * 20, ask * 20 - 19 * (ask - bid)) for ts, bid, ask in rows]  # a basis point of 20,000 is 2 ticks
    assert gates_of(wide, spread_limits=(3, 6, 20)) == []
    assert gates_of([*wide[:-1], (20 * SECOND + 1, 20_000, 20_006)], spread_limits=(3, 6, 20)) == [(21, 4, 0, 1)]


@pytest.mark.parametrize(("move", "severity"), [(9, 0), (10, 1), (19, 1), (20, 2), (49, 2), (50, 3)])
def test_jump_in_atrs(move, severity):
    """ATR of the last bar 10 ticks. The quote of a second ago stands at its close."""
    rows = [(0, 10_000, 10_000), (200 * MS, 10_010, 10_010), (1200 * MS, 10_010, 10_010)]
    limits = {"jump_limits": (1, 2, 5)}
    late = (1500 * MS, 10_010 + move, 10_010 + move)
    assert gates_of([*rows, late], **limits) == [(3, 4, 0, severity)] * (severity > 0)
    soon = (1200 * MS - 1, 10_010, 10_010)  # then the quote of a second ago is the first one, 10 ticks lower
    assert gates_of([*rows[:2], soon], **limits) == [(2, 4, 0, 1)]


def test_a_jump_is_at_least_two_spreads():
    rows = [(0, 9_990, 10_010), (SECOND // 2, 9_991, 10_011), (SECOND, 9_991, 10_011)]
    for move, severity in ((39, 0), (40, 1)):
        many = [(k * SECOND + ts, bid, ask) for k in range(20) for ts, bid, ask in rows[:2]]
        many += [(20 * SECOND, 9_991, 10_011), (20 * SECOND + SECOND // 2, 9_991 + move, 10_011 + move)]
        found = [row for row in gates_of(many, jump_limits=(1, 0, 0)) if row[0] == len(many) - 1]
        assert found == [(len(many) - 1, 4, 0, severity)] * (severity > 0)


@pytest.mark.parametrize(("count", "severity"), [(0, 0), (1, 1), (4, 1), (5, 2), (49, 2), (50, 3)])
def test_quarantined_rows(count, severity):
    rows = [(0, 999, 1001)] + [(k, 999, 1001, 0, 0) for k in range(1, count + 1)]
    levels = [to for _, gate, _, to in gates_of(rows) if gate == 4]
    assert levels == list(range(1, severity + 1))


def test_quarantined_rows_of_more_than_a_minute_ago_do_not_count():
    five = [(k, 999, 1001, 0, 0) for k in range(1, 5)]
    for last, severity in ((60 * SECOND, 2), (60 * SECOND + 1, 1)):
        rows = [(0, 999, 1001), *five, (last, 999, 1001, 0, 0)]
        assert gates_of(rows, l1_stale_ms=10**8, l1_pause_ms=10**8)[-1][3] == severity


@pytest.mark.parametrize(("far", "severity"), [(1_000_999, 0), (1_001_000, 1), (1_002_500, 2), (1_010_000, 3)])
def test_impact(far, severity):
    """Half of Q is at the best ask, the other half so far out that the mean is over it by half as much."""
    book = ([(999_999, 10**6)], [(1_000_000, 10), (far * 2 - 1_000_000, 10**6)])
    mid, quote = Fraction(1_999_999, 2), Fraction(20_000_000, 1000)  # 1000 tick-lots are a quote
    levels = [to for _, gate, _, to in gates_of([(0, 999_999, 1_000_000)], [(0, *book)], impact_quote=str(float(quote)))]
    paid = worth([(1_000_000, 10), (far * 2 - 1_000_000, 10**6)], int(quote * ONE), COIN.tick_value)
    expected = reached(math.floor((paid - 1_000_000) / float(mid) * 1e8 + 0.5), (10**5, 250_000, 10**6))
    assert levels == [expected] * (expected > 0)
    assert abs(expected - severity) <= 1


def test_a_book_too_shallow_for_q_is_high():
    book = (0, [(999, 9)], [(1001, 9)])
    assert gates_of([(0, 999, 1001)], [book], impact_quote="9") == [(0, 4, 0, 2)]
    assert gates_of([(0, 999, 1001)], [book], impact_quote="8.99", impact_limits=(0, 0, 0)) == []


@pytest.mark.parametrize(("age", "clears"), [(60 * SECOND - 1, False), (60 * SECOND, True)])
def test_an_input_is_held(age, clears):
    rows = [(0, 999, 1001), (1, 999, 1001, 0, 0)]
    settings = {"quarantine_window_ms": 0, "l1_stale_ms": 10**8, "l1_pause_ms": 10**8, "quarantined_limits": (1, 0, 0)}
    assert gates_of([*rows, (1 + age, 999, 1001)], **settings) == []  # a window of 0 holds no row
    settings["quarantine_window_ms"] = 1
    assert gates_of([*rows, (1 + age, 999, 1001)], **settings) == [(1, 4, 0, 1)] + [(2, 4, 1, 0)] * clears


PARAMS = {"trend_enter": 200, "trend_exit": 50, "er_enter": 35}


@pytest.mark.parametrize(
    ("before", "strength", "efficiency", "after"),
    [
        (0, 200, 35, 1), (0, 199, 35, 0), (0, 200, 34, 0), (0, -200, 35, 2), (0, -199, 35, 0),
        (1, 50, 0, 1), (1, 49, 99, 0), (2, -50, 0, 2), (2, -49, 99, 0), (1, -200, 35, 2), (2, 200, 35, 1), (1, -200, 34, 0),
    ],
)  # fmt: skip
def test_trend_state(before, strength, efficiency, after):
    assert next_trend(before, strength, efficiency, np.array([tuple(PARAMS.values())], [(n, "<i8") for n in PARAMS])[0]) == after


def test_the_ladder_of_regimes():
    """The first condition that holds, for every combination of them."""
    dtype = [(name, "<i8") for name in ("stale", "thin", "shock", "toxicity", "trend", "paused")]
    ranges = (range(4), range(2), range(2), range(4), range(3), range(2), (0, Feature.TREND_STRENGTH, Feature.IMPACT), range(4))
    for stale, thin, shock, toxicity, trend, paused, absent, latch in itertools.product(*ranges):
        one = Symbol()
        one.stale, one.trend, one.absent, one.paused, one.latched = stale, trend, int(absent), paused, latch
        one.levels |= {GateKind.TOXICITY: (toxicity, 0), GateKind.THIN: (thin, 0), GateKind.SHOCK: (shock, 0)}
        row = np.array([(stale, thin, shock, toxicity, trend, paused)], dtype)[0]
        assert regime_of(latch, row, int(absent)) == ladder(one)


def test_a_gap_ends_the_warm_up_again():
    rows = [(k * SECOND, 999 + k % 3, 1001 + k % 3) for k in range(9)]
    later = [(ts + 9_000 * SECOND, bid, ask) for ts, bid, ask in rows]
    names = ("ts", "bid_px", "ask_px")
    quotes = {name: [row[k] + (START if k == 0 else 0) for row in rows + later] for k, name in enumerate(names)}
    quotes |= {"bid_qty": [9] * 18, "ask_qty": [9] * 18}
    run = replay(Fixture.from_arrays([COIN], quotes=quotes), Config(**(BARS | QUIET)), idle)
    assert run.input["kind"].tolist() == [InputKind.GAP]
    regimes = [(int(r["event"]), int(r["from"]), int(r["to"]), int(r["reasons"])) for r in run.regimes.records]
    quiet, paused = int(Regime.RANGE), int(Regime.PAUSED)
    assert [row for row in regimes if paused in row[1:3]] == [
        (2, paused, quiet, 0),
        (9, quiet, paused, int(Reason.WARMUP)),
        (11, paused, quiet, 0),
    ]


@pytest.mark.parametrize(("second", "found"), [(11_999, [(11_999, 4, 0, 1)]), (12_000, [])])
def test_a_jump_window_holds_any_number_of_updates(second, found):
    """6000 updates a second, two moves of a tick: on the second one the mid of a second ago is the first move's or that before."""
    rows = [(k * SECOND // 6000, 999 + (k >= 6000) + (k >= second), 1001 + (k >= 6000) + (k >= second)) for k in range(12_100)]
    assert gates_of(rows, jump_limits=(2, 0, 0)) == found
