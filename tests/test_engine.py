"""The engine by itself: where `act` makes a step, what room an event needs, whom guards and cooldowns concern (SPEC 3, 11)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.engine import DONE, FULL, act, initial_world, rows_per_event
from grinder.features.bars import ALL_ABSENT
from grinder.orders import set_touches
from grinder.policies.own import TargetState, WantedOrder, policy
from grinder.records import (
    EDGE,
    FAR,
    FEATURES,
    NEVER,
    NONE,
    WORLD_DTYPES,
    Alert,
    EdgeKind,
    Latch,
    OrderState,
    Regime,
    Role,
)
from grinder.session import replay
from grinder.tape import Tape, empty_tape
from tests.scenario import play, read

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def coins(names: str) -> list[Instrument]:
    return [Instrument(symbol=name, kind="perpetual", tick_size="0.01", lot_size="1") for name in names]


def tape(mids: list[int], symbols: list[int] | None = None, names: str = "A", start: int = START) -> Fixture:
    """One quote a second, a tick wide to both sides of the mid, of 100 lots a side."""
    prices, lots = np.array(mids), [100] * len(mids)
    quotes = {"ts": start + SECOND * np.arange(len(mids)), "bid_px": prices - 1, "bid_qty": lots, "ask_px": prices + 1}
    quotes |= {"ask_qty": lots, "symbol": np.array(symbols or [0] * len(mids))}
    return Fixture.from_arrays(coins(names), quotes=quotes, config=Config(max_jump=500))


# Steps


class Engine:
    """`act` on 200 quotes at 100.00, but 99.00 at rows 70 and 150, by itself: no edges but those given, and a tape without room."""

    def __init__(self, names: str = "A", edges: int = NONE, **settings) -> None:
        mids = np.full(200, 10_000)
        mids[[70, 150]] = 9_900
        self.data = tape(mids.tolist(), [k % len(names) for k in range(200)], names)
        config = Config(quantity=1, **settings).over(self.data.config)
        self.params, self.rows = config.params(self.data.instruments, self.data.price_range)
        self.world = initial_world(self.params, self.rows, START)
        self.edges = np.zeros(1, EDGE)
        self.edges["event"], self.edges["kind"], self.n_edges = edges, EdgeKind.BAR, int(edges >= 0)

    def rest(self, role: Role, px: int) -> None:
        """One live BUY."""
        order = self.world.orders[0, 0]
        order["side"], order["role"], order["px"], order["qty"], order["live"], order["change"] = 1, role, px, 1, 1, NONE
        self.world.symbols[0]["n_orders"] = 1
        set_touches(self.world, 0)

    def stops(self, at: int = 0) -> tuple[int, int]:
        """The row of the first step from `at` on, for which there is no room, and why."""
        index, events, closes = self.data.index(0, 200), self.data.chunk(0, 200), np.zeros(1, FEATURES)
        row, _, why = act(
            self.world, events, index, 0, at, 200, self.params, self.rows, self.edges, closes, 0, self.n_edges, empty_tape(0), 1
        )
        return int(row), int(why)


@pytest.mark.parametrize(
    ("names", "settings", "regime", "selected", "due"),
    [
        ("A", {}, Regime.RANGE, 1, NEVER),
        ("AB", {}, Regime.RANGE, 1, NEVER),
        ("A", {"risk_monitor": True}, Regime.PAUSED, 1, NEVER),
        ("A", {"policy": "smart"}, Regime.PAUSED, 1, NEVER),
        ("AB", {"policy": "smart"}, Regime.PAUSED, 0, START),
    ],
)
def test_the_state_before_the_first_event(names, settings, regime, selected, due):
    """A policy without gates is in RANGE; several symbols of `smart` are chosen among at the first event; nothing else is due, and
    whatever has not been was long ago."""
    world = Engine(names, order_burst=7, **settings).world
    run, symbols = world.run[0], world.symbols
    assert (run["next_due"], run["next_wake"], run["next_select"], run["tokens"]) == (NEVER, due, due, 7 * 10**9)
    assert len(symbols) == len(names)
    for name, value in {"regime": regime, "selected": selected, "halt_due": NEVER, "entries_ts": -NEVER, "toxic_ts": NEVER,
                        "bookless_ts": NEVER, "trip_low": -NEVER, "trip_high": NEVER, "touch_sell": FAR}.items():  # fmt: skip
        assert (symbols[name] == value).all(), name
    assert (world.features["absent"] == ALL_ABSENT).all()
    assert world.orders.shape[0] == len(names) and not world.orders["id"].any(), "the rest is zeros"
    assert [part.dtype for part in world] == [np.dtype(kind) for kind in WORLD_DTYPES.values()]
    bounds = sorted((part.ctypes.data, part.ctypes.data + part.nbytes) for part in world)
    assert all(end <= start for (_, end), (start, _) in pairwise(bounds)), "no two parts share memory"


def test_where_nothing_is_due_and_nothing_rests_there_is_no_step():
    for names, settings in (("A", {}), ("AB", {}), ("A", {"policy": "smart"})):
        engine = Engine(names, **settings)
        assert engine.stops() == (200, DONE), (names, settings)
        assert [int(px) for px in engine.world.symbols["bid_px"]] == [9_999] * len(names), "prices are those of the last row"


def test_a_choice_among_symbols_is_due_at_the_first_event():
    assert Engine("AB", policy="smart").stops() == (0, FULL)


def test_a_step_is_where_an_order_is_touched():
    """An order at 99.50 waits for row 70; after it for row 150, past the end of the block of rows that holds row 70."""
    engine = Engine()
    engine.rest(Role.ENTRY, 9_950)
    assert [engine.stops(at) for at in (0, 70, 71, 150)] == [(70, FULL), (70, FULL), (150, FULL), (150, FULL)]
    assert engine.stops(151) == (200, DONE)


def test_every_event_touches_a_market_order():
    engine = Engine()
    engine.rest(Role.FLATTEN, 0)
    assert engine.stops(33) == (33, FULL)


def test_a_step_is_where_an_edge_or_a_change_is_due():
    """The bar at row 60; before it what is due at 41.5 s; before that what wakes at 20 s."""
    engine = Engine(edges=60)
    assert engine.stops() == (60, FULL)
    engine.world.run[0]["next_due"] = START + 41 * SECOND + SECOND // 2
    assert engine.stops() == (42, FULL)
    engine.world.run[0]["next_wake"] = START + 20 * SECOND
    assert engine.stops() == (20, FULL)


def acted(engine: Engine, *edges: tuple[int, EdgeKind]) -> Tape:
    """All of it, with these edges and no other."""
    tape, known, closes = empty_tape(1 << 13), np.zeros(len(edges), EDGE), np.zeros(1, FEATURES)
    known["event"], known["kind"] = zip(*edges, strict=True)
    closes["absent"] = -1
    room = rows_per_event(engine.world, 0)
    index, events = engine.data.index(0, 200), engine.data.chunk(0, 200)
    done = act(engine.world, events, index, 0, 0, 200, engine.params, engine.rows, known, closes, 0, len(known), tape, room)
    assert (int(done[0]), int(done[2])) == (200, DONE)
    return tape


def test_the_anchor_is_the_first_mid():
    """Whatever the mid is when a bar closes: 99.00 at row 70."""
    engine = Engine()
    acted(engine, (0, EdgeKind.FIRST), (70, EdgeKind.BAR))
    assert engine.world.symbols["anchor2"].tolist() == [20_000]


def test_a_gap_asks_for_the_regime():
    """Nothing is known after one; by itself, with no bar to close and no gate that moves."""
    engine = Engine(policy="smart")
    engine.world.symbols["regime"] = Regime.RANGE
    tape = acted(engine, (60, EdgeKind.GAP))
    assert engine.world.symbols["regime"].tolist() == [Regime.PAUSED]
    assert tape.regimes[: tape.used[0]["regimes"]][["event", "from", "to"]].tolist() == [(60, Regime.RANGE, Regime.PAUSED)]


def test_room_for_the_most_that_one_event_writes():
    """Ten orders, as many reduce-only and two to spare are 22; a hundred levels and three for each order are 166 intents, and
    one to sort with. To those come four transitions an order, both ladders of 257 and five levels of a book; of each symbol."""
    for names, rows in (("A", 167 + 88 + 514 + 5 + 8), ("AB", 2 * (167 + 88 + 514 + 5) + 8)):
        assert rows_per_event(Engine(names, max_open_orders=10).world, 5) == rows


# Whom what concerns

BUY_99 = WantedOrder(side=1, key=7, price=9_900, qty=5)
SETTINGS = Config(equity=100_000, quantity=1, min_notional=0, bar_interval_ms=60_000, min_edge=0, maker_fee=0)


def test_the_end_of_a_cooldown_asks_for_its_own_symbol():
    """A buys at 99 and sells at 99.99 for two fees of 1 %, a loss: it halts at 3 s for two seconds, and B is not asked then."""
    seen = []

    @policy
    def watch(view, params):
        seen.append((view.event, view.symbol))
        return TargetState([BUY_99], tp_step=10**6) if view.plan < 0 and view.symbol == 0 else None

    mids, symbols = [10_000, 10_000, 9_890, 10_010, 10_000, 10_000], [0, 1, 0, 0, 1, 1]
    settings = Config(maker_fee="1%", max_consecutive_losses=1, cooldown_ms=2000, max_jump=500).over(SETTINGS)
    run = replay(tape(mids, symbols, "AB"), settings, watch)
    assert run.fills["event"].tolist() == [2, 3]
    assert run.alerts["code"].tolist() == [Alert.BREAKER]
    assert seen == [(0, 0), (1, 1), (3, 0), (5, 0)]


@pytest.mark.parametrize("gates", [True, False])
def test_the_guard_binds_where_gates_are(gates):
    """Bought at 99, down to 95: 20 lost of a budget of 1, which a rolling window of four minutes still holds at its next part."""
    decide = policy(lambda view, params: TargetState([BUY_99]) if view.plan < 0 else None, gates=gates)
    settings = Config(dd_window="rolling", dd_window_ms=240_000, dd_budget=1, bar_interval_ms=1000, max_jump=500).over(SETTINGS)
    run = replay(tape([10_000, 10_000, 9_890, *[9_500] * 20]), settings, decide)
    assert (run.ledger["cause"] & 32).any(), "parts of ten seconds have rolled"
    drawdown = [Alert.DRAWDOWN_WARNING, Alert.DRAWDOWN]
    assert sorted(set(run.alerts["code"].tolist())) == (drawdown if gates else [])
    assert run.world.run[0]["latch"] == (Latch.DRAWDOWN if gates else Latch.NONE)


def test_a_roll_is_guarded_at_the_mids_before_it():
    """Five lots bought at 99 with 250: at 95, which no mark saw, they are 475 against twice 230; at the roll's own 98.90, 494.5
    against twice 249.5 (SPEC 7.1, 10)."""
    midnight = START + 6_400 * SECOND
    data = tape([10_000, 10_000, 9_890, 9_500, 9_890], start=midnight - 4 * SECOND)
    settings = Config(equity=250, dd_budget=200, max_inventory_notional=500, max_jump=500).over(SETTINGS)
    run = replay(data, settings, policy(lambda view, params: TargetState([BUY_99]) if view.plan < 0 else None))
    assert midnight % (86_400 * SECOND) == 0
    assert run.fills["event"].tolist() == [2]
    told = [tuple(int(row[name]) for name in ("event", "code", "value", "limit")) for row in run.alerts.records]
    assert told == [(4, Alert.LEVERAGE, 475 * 10**8, 460 * 10**8)]


@pytest.mark.parametrize(("shown", "filled"), [(100, [2]), (0, [])])
def test_a_quarantined_row_fills_nothing(shown, filled):
    """A buy at 99 is live from 1.5 s on; at 2 s the last accepted mid is 98.90, and a row that shows no quantity at all is
    quarantined (SPEC 2.2)."""
    mids = np.array([10_000, 9_890, 9_890, 10_000])
    quotes = {"ts": START + SECOND * np.arange(4), "bid_px": mids - 1, "ask_px": mids + 1}
    quotes |= {"bid_qty": [100, 100, shown, 100], "ask_qty": [100, 100, shown, 100]}
    settings = Config(order_latency_ms=1500).over(SETTINGS)
    decide = policy(lambda view, params: TargetState([BUY_99]) if view.plan < 0 else None)
    run = replay(Fixture.from_arrays(coins("A"), quotes=quotes), settings, decide)
    assert run.orders["event"][run.orders["to"] == OrderState.PENDING].tolist() == [0]
    assert run.fills["event"].tolist() == filled


MISSING = """scenario missing
instrument COIN perpetual tick 0.1 lot 1
policy idle
set bar_interval_ms 1000
set alert_after_ms 3000
set l2_stale_ms 500
set impact_quote 1
set impact_limits 0 0 0
0s..2s every 500ms book 99.9 x50 / 100.1 x50
3s..9s every 1s tick 100
"""


def test_a_policy_that_looks_at_no_gate_is_told_of_none():
    """Books are missing from 2.5 s on: an alert of those who look at gates (ADR-0017)."""
    (scenario,) = read(MISSING)
    watched = play(scenario)
    assert watched.alerts["code"].tolist() == [Alert.L2_STALE]
    blind = policy(lambda view, params: None, gates=False)
    assert len(replay(watched.source[0], watched.config, blind).alerts) == 0


def test_a_policy_sees_each_gate():
    """A side without quantity is thin and severely thin at once, one quarantined row in a minute is MID (SPEC 5)."""
    seen = {}

    @policy
    def watch(view, params):
        seen[view.event] = (view.stale, view.thin, view.severe, view.shock, view.toxicity)

    quotes = {"ts": START + SECOND * np.arange(4), "bid_px": [9_999] * 4, "bid_qty": [100, 101, 0, 0]}
    quotes |= {"ask_px": [10_001] * 4, "ask_qty": [100, 100, 100, 0]}
    replay(Fixture.from_arrays(coins("A"), quotes=quotes), SETTINGS, watch)
    assert seen == {0: (0, 0, 0, 0, 0), 2: (0, 1, 1, 0, 0), 3: (0, 1, 1, 0, 1)}


def test_a_policy_sees_a_shock():
    """A bar of 1.0 after one of 0.2, at least five times as much: a shock, which makes toxicity MID (SPEC 5)."""
    seen = {}

    @policy
    def watch(view, params):
        seen[view.event] = (view.stale, view.thin, view.severe, view.shock, view.toxicity)

    settings = Config(bar_interval_ms=1000, atr_bars=1, jump_limits=(0, 0, 0), shock_tr=5, shock_ratio=0, max_jump=500)
    replay(tape([10_000, 10_020, 10_120, 10_120]), settings.over(SETTINGS), watch)
    assert [seen[event] for event in (2, 3)] == [(0, 0, 0, 0, 0), (0, 0, 0, 1, 1)]


LATCHED = """scenario latched
instrument COIN perpetual tick 0.1 lot 1
policy idle
set latch_on_extreme on
set quarantined_limits 0 0 1
0s..3s every 1s quote 99.9 x50 100.1 x50
3500ms command kill
4s quote 99.9 x0 100.1 x0
5s quote 99.9 x50 100.1 x50
"""


@pytest.mark.parametrize(("text", "by"), [(LATCHED, Latch.MANUAL), (LATCHED.replace("3500ms command kill\n", ""), Latch.EXTREME)])
def test_a_latch_says_what_it_is_by(text, by):
    """The first that latched it, until a reset."""
    (scenario,) = read(text)
    assert play(scenario).world.run[0]["latch"] == by
