"""What must hold on every run, checked from its records alone on random tapes: INVARIANTS 1-3, 10-20, 22, 32, 34, 37-39."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.digest import first_difference
from grinder.errors import LedgerError
from grinder.policies.own import TargetState, WantedOrder, policy
from grinder.records import STAGES, InputKind, IntentKind, OrderState, Role, Stream
from grinder.session import replay
from tests.defaults import CASES
from tests.tapes import case, reference_events
from tests.test_gates import GATE_SETTINGS
from tests.volumes import PROPERTY, each, volume

SEEDS = range(600)
ALLOWED = {
    (-1, OrderState.PENDING),
    (OrderState.PENDING, OrderState.CANCELLED),
    (OrderState.PENDING, OrderState.PENDING),
    (OrderState.OPEN, OrderState.OPEN),
    (OrderState.OPEN, OrderState.FILLED),
    (OrderState.OPEN, OrderState.CANCELLED),
}
TERMINAL = (OrderState.FILLED, OrderState.CANCELLED)


@pytest.fixture(scope="module")
def runs():
    cases = [case(seed) for seed in SEEDS]
    return [(c, replay(c.fixture, c.config)) for c in cases]


def each_run(runs):
    """The runs, each of them a case."""
    return (runs[seed] for seed in each(PROPERTY, SEEDS))


class Life(NamedTuple):
    """An order as its records tell: sent at an event, its prices by the event from which they held, its end."""

    symbol: int
    side: int
    role: int
    sent: int
    live_ts: int
    placed: int
    prices: list[tuple[int, int]]
    end: int
    filled: int


def lives(run) -> dict[int, Life]:
    """Every order's life, rebuilt from `intents`, `orders` and `fills`."""
    out: dict[int, Life] = {}
    for row in run.intents.records:
        if row["kind"] == IntentKind.PLACE and row["order"] >= 0:
            head = (int(row["symbol"]), int(row["side"]), int(row["role"]), int(row["event"]))
            out[int(row["order"])] = Life(*head, -1, int(row["qty"]), [], -1, 0)
    filled = defaultdict(int)
    for fill in run.fills.records:
        filled[int(fill["order"])] += int(fill["qty"])
    for row in run.orders.records:
        order = int(row["order"])
        life = out[order]
        if row["from"] == -1:
            out[order] = life._replace(live_ts=int(row["live_ts"]), prices=[(int(row["event"]), int(row["price"]))])
        elif row["to"] in TERMINAL:
            out[order] = life._replace(end=int(row["event"]), filled=filled[order])
        else:
            life.prices.append((int(row["event"]), int(row["price"])))
    return out


@volume(PROPERTY, len(SEEDS))
def test_order_states(runs):
    """11, 12: only declared transitions, terminal states are final, ids count up in the order of sending."""
    for _, run in each_run(runs):
        state: dict[int, int] = {}
        for row in run.orders.records:
            order, before, after = int(row["order"]), int(row["from"]), int(row["to"])
            assert (before, after) in ALLOWED
            known = state.get(order, -1)
            assert known not in TERMINAL
            assert before == known or (known, before) == (OrderState.PENDING, OrderState.OPEN), "OPEN is implied by live_ts"
            state[order] = after
        sent = run.orders["order"][run.orders["from"] == -1]
        assert sent.tolist() == list(range(len(sent)))


@volume(PROPERTY, len(SEEDS))
def test_fills_happen_exactly_when_touched(runs):
    """13, 14: tick by tick, an order fills iff it is live and touched at an accepted event of its symbol; whole, at its limit."""
    filled = 0
    for c, run in each_run(runs):
        events = reference_events(c.fixture)
        columns = c.fixture.events
        crosses, penetration = c.config.fill_model == "cross", c.config.penetration
        fills = {(int(f["order"])): f for f in run.fills.records}
        assert len(fills) == len(run.fills), "an order fills at most once"
        for order, life in lives(run).items():
            price = dict(life.prices)
            current = life.prices[0][1]
            last = life.end if life.end >= 0 else len(events) - 1
            for k in range(life.sent + 1, last + 1):
                current = price.get(k, current)
                event = events[k]
                if event["symbol"] != life.symbol or event["fault"] is not None or event["ts"] < life.live_ts:
                    continue
                bid, ask = int(columns.bid_px[k]), int(columns.ask_px[k])
                if crosses:
                    touched = ask <= current - penetration if life.side > 0 else bid >= current + penetration
                else:
                    touched = bid + ask <= 2 * current if life.side > 0 else bid + ask >= 2 * current
                cancelled_first = k == life.end and not life.filled
                assert (touched and not cancelled_first) == (order in fills and int(fills[order]["event"]) == k), (c.seed, order, k)
            if order in fills:
                assert fills[order]["qty"] == life.placed
                assert fills[order]["price"] == current
                assert fills[order]["event"] > life.sent
                filled += 1
    assert filled > 2000


@volume(PROPERTY, len(SEEDS))
def test_own_orders_never_cross_and_stay_legal(runs):
    """15, 16: at every event the highest own BUY is under the lowest own SELL; prices and quantities are whole and positive."""
    for c, run in each_run(runs):
        assert (run.orders["price"] >= 1).all()
        placed = run.intents.records[run.intents["kind"] == IntentKind.PLACE]
        assert (placed["qty"] >= 1).all()
        changes: dict[int, list[tuple[int, int, int | None]]] = defaultdict(list)
        for order, life in lives(run).items():
            for event, px in life.prices:
                changes[event].append((order, life.symbol, px))
            if life.end >= 0:
                changes[life.end].append((order, life.symbol, None))
        sides = {order: life.side for order, life in lives(run).items()}
        book: dict[int, dict[int, int]] = defaultdict(dict)
        for event in sorted(changes):
            for order, s, px in sorted(changes[event], key=lambda item: item[2] is not None):
                if px is None:
                    book[s].pop(order, None)
            for order, s, px in changes[event]:
                if px is not None and (order, s, None) not in changes[event]:
                    book[s][order] = px
            for own in book.values():
                buys = [px for order, px in own.items() if sides[order] > 0]
                sells = [px for order, px in own.items() if sides[order] < 0]
                assert not buys or not sells or max(buys) < min(sells), (c.seed, event)


@volume(PROPERTY, len(SEEDS))
def test_quantities_are_conserved(runs):
    """3, 17: position is the signed sum of fills; placed = filled + cancelled + open, per side."""
    for _, run in each_run(runs):
        for s in range(len(run.symbols)):
            fills = run.fills.records[run.fills["symbol"] == s]
            assert int((fills["side"] * fills["qty"]).sum()) == int(run.world.symbols[s]["position"])
            for side in (1, -1):
                mine = [life for life in lives(run).values() if life.symbol == s and life.side == side]
                n = int(run.world.symbols[s]["n_orders"])
                still = sum(int(o["qty"]) for o in run.world.orders[s, :n] if o["side"] == side)
                cancelled = sum(life.placed for life in mine if life.end >= 0 and not life.filled)
                assert sum(life.placed for life in mine) == sum(life.filled for life in mine) + cancelled + still


@pytest.mark.parametrize("seed", range(12))
def test_reduce_only_orders_never_add(seed):
    """22: they never raise the net position and never turn its sign, also where several are touched at once or are too large."""
    rng = np.random.default_rng(seed)
    instrument = Instrument(symbol="R", kind="perpetual", tick_size="0.1", lot_size="0.01")
    mid = 1000 + np.cumsum(rng.integers(-6, 7, 400))
    ts = 1_700_000_000_000_000_000 + np.arange(400) * 10**9
    quotes = {"ts": ts, "bid_px": mid - 1, "ask_px": mid + 1, "bid_qty": 1 + np.arange(400) % 2, "ask_qty": mid * 0 + 1}
    keys = iter(range(10**6))

    def some(view, params):
        wanted = []
        for role in rng.choice([Role.ENTRY, Role.REDUCE_ONLY, Role.REDUCE_ONLY], 8):
            side = int(rng.choice((1, -1)))
            price = view.mid2 // 2 - side * int(rng.integers(2, 12))
            wanted.append(WantedOrder(side, next(keys), price, int(rng.integers(1, 9)), int(role)))
        return TargetState(wanted)

    latency = {"order_latency_ms": int(rng.choice((0, 1500))), "cancel_latency_ms": int(rng.choice((0, 2500)))}
    config = Config(bar_interval_ms=5_000, min_notional=0, order_rate=10**6, order_burst=10**6, **latency)
    run = replay(Fixture.from_arrays([instrument], quotes=quotes), config, policy(some, on_fill=bool(seed % 2)))
    position, reduced = 0, 0
    for fill in run.fills.records:
        after = position + int(fill["side"] * fill["qty"])
        if fill["role"] == Role.REDUCE_ONLY:
            assert position * after >= 0
            assert abs(after) < abs(position)
            reduced += 1
        position = after
    assert reduced >= 5


@volume(PROPERTY, len(SEEDS))
def test_cycles(runs):
    """18, 19, 20: each entry fill opens one cycle with one take-profit of its quantity, far enough away."""
    completed = 0
    for c, run in each_run(runs):
        tick_value = [instrument.tick_value for instrument in run.instruments]
        tp_step = {int(p["symbol"]): int(p["tp_step"]) for p in run.plans.records}
        entries = [f for f in run.fills.records if f["role"] == Role.ENTRY]
        exits = {int(f["cycle"]): f for f in run.fills.records if f["role"] == Role.TAKE_PROFIT}
        assert [int(f["cycle"]) for f in entries] == list(range(len(entries)))
        wants = [i for i in run.intents.records if i["kind"] == IntentKind.PLACE and i["role"] == Role.TAKE_PROFIT]
        sent = defaultdict(list)
        for intent in wants:
            sent[int(intent["key"])].append(intent)
        for entry in entries:
            cycle, side, px = int(entry["cycle"]), int(entry["side"]), int(entry["price"])
            offers = sent[cycle]
            assert offers, "a take-profit was sent, or its refusal is recorded"
            assert sum(o["order"] >= 0 for o in offers) <= 1
            assert all(o["side"] == -side and o["qty"] == entry["qty"] for o in offers)
            exact = px * (10**8 + side * tp_step[int(entry["symbol"])])
            least = -(-exact // 10**8) if side > 0 else exact // 10**8
            assert all(side * (int(o["price"]) - px) >= min(1, px - 1 if side < 0 else 1) for o in offers)
            assert all(side * (int(o["price"]) - max(1, least)) >= 0 for o in offers), (c.seed, cycle)
            if cycle in exits:
                out = exits[cycle]
                assert out["qty"] == entry["qty"]
                assert side * (int(out["price"]) - px) * tick_value[int(entry["symbol"])] >= 0
                completed += 1
        assert len(exits) == run.summary()["cycles"]
        assert len(entries) == len(exits) + run.summary()["open_cycles"]
    assert completed > 500


@volume(PROPERTY, len(SEEDS))
def test_bars(runs):
    """32: laid end to end, bars are every accepted L1 state once, in order; each lies in its own interval, which a gap may cut."""
    closed = 0
    for c, run in each_run(runs):
        e, length = c.fixture.events, c.config.bar_interval_ms * 1_000_000
        told = ((e.kind == Stream.QUOTES) | (e.kind == Stream.BOOKS)) & (e.fault == 0)
        gaps = {(int(row["event"]), int(row["symbol"])) for row in run.input.records if row["kind"] == InputKind.GAP}
        for s in range(len(run.symbols)):
            rows = np.flatnonzero(told & (e.symbol == s))
            ts, mids, done = e.ts[rows], (e.bid_px + e.ask_px)[rows], 0
            for bar in run.bars.records[run.bars["symbol"] == s]:
                inside = slice(done, done + int(bar["ticks"]))
                done += int(bar["ticks"])
                assert (ts[inside] // length * length == bar["start"]).all()
                own = mids[inside].tolist()
                assert [int(bar[name]) for name in ("open", "high", "low", "close")] == [own[0], max(own), min(own), own[-1]]
                assert bar["ts"] >= bar["start"] + length or (int(bar["event"]), s) in gaps
                assert done == len(ts) or ts[done] >= bar["start"] + length or (int(rows[done]), s) in gaps
                closed += 1
            assert len(set((ts[done:] // length).tolist())) <= 1, "one bar is still open"
    assert closed > 2000


@pytest.mark.parametrize("seed", [s for s in range(60) if len(case(s).fixture) <= 60][:12])
def test_equity_identity_after_every_event(seed):
    """1, 2, 3: stepping one event at a time, equity from profits is equity from cash, and the position that of the fills."""
    c = case(seed)
    run = None
    for k in range(1, len(c.fixture) + 1):
        run = replay(c.fixture, c.config, until=k, resume=run)
        s = run.summary()
        equity = int(c.config.params(c.fixture.instruments, c.fixture.price_range)[0][0]["equity"])
        assert equity + s["realised"] + s["unrealised"] - s["fees"] + s["funding"] == s["equity"]
        for i in range(len(run.symbols)):
            fills = run.fills.records[run.fills["symbol"] == i]
            assert int((fills["side"] * fills["qty"]).sum()) == int(run.world.symbols[i]["position"])
    assert run is not None
    assert run.digest.value == replay(c.fixture, c.config).digest.value


@pytest.mark.parametrize("commands", [False, True])
@pytest.mark.parametrize("block", range(2))
@volume(PROPERTY, 100)
def test_causality(block, commands):
    """34: cutting the data after event k leaves every record up to k as it was."""
    for seed in each(PROPERTY, range(100 * block, 100 * block + 100)):
        c = case(seed, commands=commands)
        k = 1 + seed * 7 % len(c.fixture)
        whole, cut = replay(c.fixture, c.config), replay(c.fixture.head(k), c.config)
        for stage in STAGES:
            records = whole.tables[stage].records
            assert records[records["event"] < k].tobytes() == cut.tables[stage].records.tobytes(), stage


@pytest.mark.parametrize("commands", [False, True])
@pytest.mark.parametrize("block", range(2))
@volume(PROPERTY, 50)
def test_chunks_and_resume(block, commands):
    """37: cut anywhere, saved and resumed anywhere, the digest is the same."""
    for seed in each(PROPERTY, range(50 * block, 50 * block + 50)):
        c = case(seed, commands=commands)
        whole = replay(c.fixture, c.config)
        for chunk in (1, 7, 4096):
            assert replay(c.fixture, c.config, chunk=chunk).digest == whole.digest
        run = None
        for stop in sorted({1 + (seed * 31 + j * 57) % len(c.fixture) for j in range(4)}):
            run = replay(c.fixture, c.config, until=stop, resume=run, chunk=13)
        assert replay(c.fixture, c.config, resume=run).digest == whole.digest


def test_order_of_symbols_and_keys():
    """38: symbols in any order, settings in any order and spelling."""
    names = ("AAA", "B-2", "a1")
    instruments = [Instrument(symbol=s, kind="spot", tick_size="0.1", lot_size="0.01") for s in names]
    rng = np.random.default_rng(3)
    n = 300
    which = np.concatenate([[0, 1, 2], rng.integers(0, 3, n - 3)])
    mid = 500 + np.cumsum(rng.integers(-3, 4, n))
    quotes = {"ts": 1_700_000_000_000_000_000 + np.arange(n) * 10**9, "bid_px": mid - 1, "bid_qty": mid * 0 + 1, "ask_px": mid + 1}
    quotes["ask_qty"] = quotes["bid_qty"]
    digests = set()
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        place = {old: new for new, old in enumerate(order)}
        symbol = np.array([place[int(s)] for s in which])
        shuffled = dict(reversed(quotes.items())) | {"symbol": symbol}
        fixture = Fixture.from_arrays([instruments[i] for i in order], quotes=shuffled)
        for config in (
            Config(step="0.5%", quantity="0.10", levels=4),
            Config(levels=4, quantity={"a1": "0.1", "B-2": "0.1", "AAA": ".1"}, step="50bp"),
        ):
            digests.add((tuple(replay(fixture, config).digest.roots.items()), fixture.content))
    assert len(digests) == 1


def test_ticks_that_cross_nothing_change_nothing():
    """10: with frozen orders, ticks inserted strictly between the best buy and the best sell leave fills and cash alone."""
    instrument = Instrument(symbol="F", kind="spot", tick_size="0.1", lot_size="0.01")
    rng = np.random.default_rng(11)

    @policy
    def frozen(view, params):
        if view.plan >= 0:
            return None
        return TargetState([WantedOrder(side, key, 1000 - side * 10 * key, 2 + key) for side in (1, -1) for key in range(1, 6)])

    for _ in range(40):
        n = 120
        mids = 1000 + np.cumsum(rng.integers(-4, 5, n))
        mids[0] = 1000
        ts = 1_700_000_000_000_000_000 + np.arange(n) * 10**9
        base = [(int(t), int(m)) for t, m in zip(ts, mids, strict=True)]
        reached_low, reached_high = 1000, 1000
        extended = []
        for t, m in base:
            extended.append((t, m))
            reached_low, reached_high = min(reached_low, m), max(reached_high, m)
            if rng.random() < 0.5:
                # Strictly inside the next orders not yet filled: 10-tick rungs beyond what was reached.
                low, high = (reached_low - 1) // 10 * 10 + 1, (reached_high + 10) // 10 * 10 - 1
                extended.append((t + 1, int(rng.integers(max(low, 951), min(high, 1049) + 1))))
        results = []
        for rows in (base, extended):
            columns = {"ts": [t for t, _ in rows], "bid_px": [m for _, m in rows], "ask_px": [m for _, m in rows]}
            columns |= {"bid_qty": [1 + i for i in range(len(rows))], "ask_qty": [1] * len(rows)}
            run = replay(Fixture.from_arrays([instrument], quotes=columns), Config(bar_interval_ms=86_400_000), frozen)
            names = ("ts", "order", "side", "price", "qty", "fee")
            results.append(([[int(f[name]) for name in names] for f in run.fills.records], int(run.world.run[0]["cash"])))
        assert results[0] == results[1]
        assert len(extended) > n


MATTERS = {
    "equity": 9_000,
    "maker_fee": "3bp",
    "step": "2bp",
    "levels": 3,
    "quantity": "0.02",
    "min_edge": "30bp",
    "bar_interval_ms": 7_000,
    "max_gap_ms": 20,
    "fill_model": "cross",
    "order_latency_ms": 1500,
    "cancel_latency_ms": 1500,
    "max_inventory_notional": "300",
    "max_jump": "40%",
    "max_effective_leverage": "0.03",
    "max_open_orders": 5,
    "max_open_orders_portfolio": 5,
    "min_notional": 601,
    "order_rate": 1,
    "order_burst": 4,
    "dd_budget_pct": "0.1%",
    "dd_window": "session",
    "dd_window_ms": 240_000,
    "dd_budget": "50",
    "dd_warn": "0.01",
    "risk_monitor": True,
    "alert_after_ms": 1_000,
    "atr_bars": 7,
    "atr_method": "sma",
    "return_bars": 30,
    "range_eps": "0.001",
    "range_cap": 2,
    "ema_fast": 5,
    "ema_slow": 30,
    "top_n": 2,
    "impact_quote": 1_000,
    "wall_ratio": 2,
    "l2_stale_ms": 0,
    "policy": "smart",
    "penetration": 300,
    "dd_budget_symbol": "5",
    "taker_fee": "9bp",
    "slippage": "9bp",
    "flatten_on_emergency": False,
    "max_consecutive_losses": 2,
    "cooldown_ms": 30_000,
    "latch_on_extreme": True,
}
"""Settings that a run of `static` depends on, and a change of each."""
FLATTENED = {"flatten_on_emergency": True}
LOSING = {"maker_fee": "10bp", "min_edge": "0", "max_consecutive_losses": 1}
"""A take-profit covers two fees on the entry, but not the fee on what it adds."""
MONITORED = {"risk_monitor": True, "bar_interval_ms": 1000, "quarantined_limits": (1, 1, 1)}
"""A quarantined row is EXTREME, for a minute."""
BESIDE = {
    "penetration": {"fill_model": "cross"},
    "order_rate": {"order_burst": 4},
    **dict.fromkeys(("taker_fee", "slippage", "flatten_on_emergency"), FLATTENED),
    **dict.fromkeys(("max_consecutive_losses", "cooldown_ms"), LOSING),
    **dict.fromkeys(("alert_after_ms", "latch_on_extreme"), MONITORED),
}
"""Settings of both runs without which one does not matter; of FLATTENED ones someone kills."""
ONLY_SMART = set(
    "horizon_ms k_tail trend_penalty x_min x_cap impact_ref side_mult_against side_mult_with alpha step_min shock_multiplier "
    "min_step_ticks levels_min levels_max skew_factor sizing max_weight_ratio replan_levels replan_center "
    "top_k select_every_ms switch_margin liq_ref select_spread select_funding w_range w_liq w_tox w_trend allocator "
    "dd_clear dc_tp_mult flatten_on_drawdown throttle_ms".split()
)
"""Settings that `static` does not look at: its plan is its own, the drawdown guard does not bind it, and gates do by the risk
monitor alone, which only stops it. That each of them changes something is in docs/DEFAULTS.md, which test_defaults.py holds to
the code."""


def walk(n=1500, spikes=(), with_books=False, **settings):
    """A lively walk in prices over a midnight, as a fixture; at `spikes` the price is 30 % higher for one quote."""
    instrument = Instrument(symbol="W", kind="spot", tick_size="0.1", lot_size="0.01")
    rng = np.random.default_rng(5)
    mid = 600_000 + np.cumsum(rng.integers(-150, 151, n))
    ones = np.ones(n, np.int64)
    ts = 1_700_006_400_000_000_000 + (np.arange(n) - n // 2) * 400_000_000
    mid[list(spikes)] += 180_000
    quotes = {"ts": ts, "bid_px": mid - 20, "bid_qty": ones, "ask_px": mid + 20, "ask_qty": ones}
    books = {"ts": ts}
    for level in range(3):
        books |= {f"bid_px_{level}": mid - 20 - 9 * level, f"ask_px_{level}": mid + 20 + 9 * level}
        books |= {f"{side}_qty_{level}": rng.integers(1, 9, n) for side in ("bid", "ask")}
    return Fixture.from_arrays([instrument], quotes=quotes, books=books if with_books else None, config=Config(**settings))


LIVELY = {"step": "5bp", "levels": 6, "quantity": "0.01", "min_edge": "1bp", "maker_fee": "1bp"}


def stage_roots(fixture, **changes):
    return replay(fixture, Config(**(LIVELY | changes))).digest.roots


@pytest.mark.parametrize("field", sorted(MATTERS))
def test_every_setting_that_matters_changes_a_stage(field):
    """39, on stage roots: config and input hash aside."""
    base = {"order_rate": 20, "order_burst": 100} | BESIDE.get(field, {})
    if field.startswith(("atr", "return", "range", "ema", "top_n", "impact", "wall", "l2")):
        base["bar_interval_ms"] = 1000  # enough bars to fill their windows
    if field == "cancel_latency_ms":
        base["order_latency_ms"] = 0
    if field == "dd_window_ms":
        base["dd_window"] = "rolling"
    fixture = changed = walk(with_books=field.startswith(("top_n", "impact", "wall", "l2")))
    if BESIDE.get(field) is MONITORED:
        fixture = changed = walk(spikes=[700])
    if field == "max_jump":  # a fixture is loaded with it
        fixture, changed = walk(spikes=[700]), walk(spikes=[700], max_jump=MATTERS[field])
    if BESIDE.get(field) is FLATTENED:
        fixture = changed = killed(fixture)
    assert stage_roots(fixture, **base) != stage_roots(changed, **(base | {field: MATTERS[field]}))


def killed(fixture):
    """The kill switch is pulled at an event at which `LIVELY` holds a position, and let go 20 s later."""
    at = int(fixture.events.ts[len(fixture) // 2 + 60])
    return fixture.with_commands([(at, "kill", None), (at + 20 * 10**9, "reset", None)])


def test_every_setting_is_covered():
    """By what it does to `static`, by what it does to a gate, or as one that is neither's."""
    covered = [*MATTERS, *GATE_SETTINGS, *ONLY_SMART]
    assert sorted(covered) == sorted(Config.model_fields)


@pytest.mark.parametrize("base", [{}, FLATTENED, LOSING, MONITORED])
def test_settings_of_smart_alone_are_nothing_to_static(base):
    values = {one.name: one.value for one in CASES}
    fixture = killed(walk(spikes=[700]))
    roots = stage_roots(fixture, **base)
    assert [name for name in sorted(ONLY_SMART) if stage_roots(fixture, **(base | {name: values[name]})) != roots] == []


def test_a_tick_that_matters_by_one_unit():
    """39: any tick that is a bar's extreme or close, or fills an order, moved by one tick, changes a stage root."""
    fixture = walk(400)
    run = replay(fixture, Config(**LIVELY))
    closes = [int(e) - 1 for e in run.bars["event"]]
    for event in {*closes, *(int(e) for e in run.fills["event"][:20]), 0}:
        ask = fixture.events.ask_px.copy()
        ask[event] += 1
        moved = Fixture.from_arrays(
            fixture.instruments,
            quotes={name: getattr(fixture.events, name) for name in ("ts", "bid_px", "bid_qty", "ask_qty")} | {"ask_px": ask},
        )
        if event in closes or event == 0:
            assert replay(moved, Config(**LIVELY)).digest.roots != run.digest.roots, event
        assert replay(moved, Config(**LIVELY)).digest.value != run.digest.value


DECLARED_STATE = {
    "run": ["cash", "peak", "budget", "next_order", "next_cycle", "next_bar_end"],
    "symbols": ["position", "cost", "cash", "realised", "fees", "funding", "peak", "budget"],
    "orders": ["side", "px", "qty"],
    "cycles": ["id", "side", "tp_px", "left"],
    "market": ["bar_start", "high", "ticks"],
}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in DECLARED_STATE.items() for name in names])
def test_state_that_records_speak_of(part, name):
    """39: one unit in a state field, planted in mid-run, changes a stage root or is caught by a proof of the engine.

    Fields that only steer (thresholds, clocks, scratch) may take one unit without consequence; those here may not.
    """
    fixture, config = walk(), Config(**LIVELY)
    planted = replay(fixture, config, until=len(fixture) // 2 + 60)
    assert int(planted.world.symbols[0]["n_orders"]) > 4
    assert int(planted.world.symbols[0]["n_cycles"]) > 0
    getattr(planted.world, part).reshape(-1)[0][name] += 1
    try:
        roots = replay(fixture, config, resume=planted).digest.roots
    except LedgerError:
        return
    assert roots != replay(fixture, config).digest.roots


def test_first_difference_names_stage_and_window():
    """40, in small: a planted fault is named at its stage."""
    fixture = walk()
    run = replay(fixture, Config(**LIVELY))
    planted = replay(fixture, Config(**LIVELY), until=800)
    planted.world.symbols[0]["fees"] += 1
    planted.world.symbols[0]["cash"] -= 1
    planted.world.run[0]["cash"] -= 1
    difference = first_difference(run.digest, replay(fixture, Config(**LIVELY), resume=planted).digest)
    assert difference is not None
    assert difference.stage == "ledger"
