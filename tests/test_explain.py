"""`run.explain`: by hand, against the records of random tapes, at the edges of time, of saved runs, at the command line."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

import grinder as gr
from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, DataError
from grinder.explain import Explanation
from grinder.policies.derivation import SIDE, TERMS, derive
from grinder.records import INPUTS, LADDER_SLOTS, LEVEL, PLAN, STAGES, Adds, Command, Mode, Reason, Regime, Severity
from grinder.run import Run, load
from grinder.session import replay
from tests.smart_tapes import smart_case
from tests.tapes import MIDNIGHT

S = 10**9
U = 10**8
BTC = Instrument(symbol="BTC", kind="perpetual", tick_size="0.01", lot_size="0.001")
SHORT = {"policy": "smart", "atr_bars": 2, "return_bars": 2, "ema_fast": 1, "ema_slow": 2, "bar_interval_ms": 1_000}
SHORT |= {"jump_limits": (0, 0, 0), "horizon_ms": {"range": 100_000, "trend": 100_000}}


def tape(mids: list[int], step_ms: int = 500, commands: Any = None, instruments: Any = (BTC,), **settings: Any) -> Fixture:
    """A quote of every instrument every `step_ms` around whole mids, two ticks wide."""
    rows = [(MIDNIGHT + k * step_ms * 10**6, s, mid) for k, mid in enumerate(mids) for s in range(len(instruments))]
    ts, symbol, mid = (np.array(column) for column in zip(*rows, strict=True))
    lots = np.full(len(rows), 100_000)
    quotes = {"ts": ts, "symbol": symbol, "bid_px": mid - 1, "bid_qty": lots, "ask_px": mid + 1, "ask_qty": lots}
    data = Fixture.from_arrays(instruments, quotes=quotes, name="tape", config=Config(**SHORT | settings))
    return data if commands is None else data.with_commands(commands)


def wave(n: int, mid: int = 100_000, size: int = 50) -> list[int]:
    """Up and down around a mid: no trend, and bars that move."""
    return [mid + (size if k % 4 in (1, 2) else -size) for k in range(n)]


def lines(found: Explanation, *sections: str) -> list[Any]:
    return [line for name, part in found.sections if not sections or name in sections for line in part]


def whys(found: Explanation, *sections: str) -> str:
    return "\n".join(line.why for line in lines(found, *sections))


# By hand


def test_a_plan_by_hand():
    """Around 1000.00, 100 ticks up and down; stress looks 100 bars ahead, whose root is 10."""
    run = replay(tape(wave(24)))
    found = run.explain(run.last_ts)
    row = run.tables["plans"].records[-1]
    natr = int(run.tables["features"].records["natr"][run.tables["features"].records["event"] == row["event"]][0])
    root = 10 * U
    assert found["stress.root"].value == root
    assert found["stress.natr"].value == natr
    sigma = natr * root // U
    assert found["stress.sigma_H"].value == sigma
    assert found["stress.unclamped"].value == 2 * sigma
    assert found["stress.X"].value == 2 * sigma
    assert found["step.wanted"].value == natr * 80_000_000 // U
    assert found["step.fee_floor"].value == 80_000
    assert found["step.step"].value == max(80_000, natr * 80_000_000 // U) == row["step"]
    assert found["buys.levels_asked"].value == -(-found["buys.width"].value // found["step.step"].value)
    assert found["buys.side_budget"].text == "200.0000 USDT"
    for name in STAGES["plans"][3:15]:
        if f"plan.{name}" in found:
            assert found[f"plan.{name}"].value == row[name], name
    assert found["plan.plan"].value == row["plan"]
    assert (found["market.bid"].text, found["market.ask"].text) == ("999.49 USDT", "999.51 USDT")
    assert found["regime.regime"].text == "RANGE"
    assert found["plan.budget"].why == "its equal part of the portfolio's 200.0000 USDT, split over 1"
    assert found["plan.kind"].text == "GRID"
    assert found.event == run.events - 1
    assert found.ts == run.last_ts


def test_sizes_by_hand():
    """F, a, room and needed from their definitions, in Fractions' stead by whole numbers."""
    run = replay(tape(wave(24), max_inventory_notional="400", flatten_on_drawdown=True))
    found = run.explain(run.last_ts)
    row = run.tables["plans"].records[-1]
    levels = run.tables["levels"].records
    for section, side in (("buys", 1), ("sells", -1)):
        mine = levels[(levels["plan"] == row["plan"]) & (levels["side"] == side)]
        n = int(found[f"{section}.levels"].value)
        assert n == len(mine) > 1
        prices = [found[f"{section}.level_{k}"].value for k in range(1, n + 1)]
        assert prices == mine["price"].tolist()
        stress = found[f"{section}.p_stress"].value
        loss = sum(-(-abs(price - stress) * U // price) + 20_000 for price in prices)
        assert found[f"{section}.F"].value == loss
        budget = found[f"{section}.side_budget"].value
        budget -= n  # an atom a level, for fees that are rounded up
        assert found[f"{section}.a"].value == budget * U // loss
        qty = [budget * U // loss // (price * BTC.tick_value) for price in prices]
        needed = sum(q * price * BTC.tick_value for q, price in zip(qty, prices, strict=True))
        room = found[f"{section}.inventory_room"].value
        assert needed > room
        assert [q * room // needed for q in qty] == mine["qty"].tolist()
        assert f"needed {BTC.money(needed, 4)} USDT" in found[f"{section}.inventory_room"].why
        assert "(MAX_INVENTORY)" in found[f"{section}.inventory_room"].why
        assert "does not bind" in found[f"{section}.leverage_room"].why
        assert "before the caps" in found[f"{section}.level_1"].why


# Against records


def assert_is_the_record(run: Run, found: Explanation, s: int) -> bool:
    """Every final number of an explanation is the record's; returns whether there was a plan."""
    records = run.tables["plans"].records
    records = records[(records["symbol"] == s) & (records["event"] <= found.event)]
    if not len(records):
        assert found["plan.plan"].text == "none yet"
        assert "WARMUP" in found["plan.plan"].why
        return False
    row = records[-1]
    for name in STAGES["plans"]:
        assert found[f"plan.{name}"].value == row[name], name
    assert found["step.step"].value == row["step"]
    assert found["step.tp_step"].value == row["tp_step"]
    assert found["center.center"].value == row["center"]
    levels = run.tables["levels"].records
    for section, side, name in (("buys", 1, "down"), ("sells", -1, "up")):
        assert found[f"{section}.width"].value == row[f"width_{name}"]
        assert found[f"{section}.levels"].value == row[f"levels_{name}"]
        assert found[f"{section}.adds"].value == row[f"adds_{name}"]
        assert found[f"{section}.worst_case"].value == row[f"worst_{name}"]
        mine = levels[(levels["plan"] == row["plan"]) & (levels["symbol"] == s) & (levels["side"] == side)]
        shown = [(line.value, line.why) for line in lines(found, section) if line.name.startswith("level_")]
        assert [price for price, _ in shown] == mine["price"].tolist()
        for (_, why), qty in zip(shown, mine["qty"].tolist(), strict=True):
            assert why.startswith(f"{run.instruments[s].quantity(qty)}, worth ")
    for reason in Reason:
        assert (f"reasons.{reason.name}" in found) == bool(int(row["reasons"]) & reason), reason
    return True


@pytest.mark.parametrize("block", range(4))
def test_random_moments_are_what_the_records_say(block):
    plans = empty = 0
    for seed in range(block * 10, block * 10 + 10):
        c = smart_case(seed)
        if c.config.policy == "static":
            continue  # which has one plan, and no derivation
        run, r = replay(c.fixture, c.config), random.Random(seed)
        for s, symbol in enumerate(run.symbols):
            moments = [run.first_ts, run.last_ts, *(r.randint(run.first_ts, run.last_ts) for _ in range(3))]
            for ns in moments:
                found = run.explain(ns, symbol)
                assert found.ts <= ns
                assert found.event == np.searchsorted(c.fixture.events.ts, ns, side="right") - 1
                assert_regime_and_gates(run, found, s)
                done = assert_is_the_record(run, found, s)
                plans, empty = plans + done, empty + (not done)
    assert plans > 20
    assert empty > 3


def assert_regime_and_gates(run: Run, found: Explanation, s: int) -> None:
    def last(stage: str, **where: int) -> Any:
        rows = run.tables[stage].records
        keep = (rows["symbol"] == s) & (rows["event"] <= found.event)
        for name, value in where.items():
            keep &= rows[name] == value
        return rows[keep][-1:]

    regime = last("regimes")
    assert found["regime.regime"].value == (int(regime["to"][0]) if len(regime) else Regime.PAUSED)
    for code, name in enumerate(("stale", "thin", "severely_thin", "shock", "toxicity")):
        gate = last("gates", gate=code)
        assert found[f"gates.{name}"].value == (int(gate["to"][0]) if len(gate) else 0)
    inputs = [line.value for line in lines(found, "gates") if line.name.startswith("by_")]
    assert max(inputs) == found["gates.toxicity"].value
    toxicity = last("gates", gate=4)
    held = sum(1 << bit for bit, severity in enumerate(inputs) if severity)
    assert held == (int(toxicity["reasons"][0]) if len(toxicity) else 0)


def test_every_plan_of_random_tapes_is_derived():
    """Each plan of some cases, made again from its inputs with every cut noted."""
    seen = dict.fromkeys((Reason.STEP_FEE_FLOOR, Reason.STEP_TICK_FLOOR, Reason.LEVELS_CLAMPED, Reason.BUDGET_TOO_SMALL), 0)
    seen |= dict.fromkeys((Reason.MAX_INVENTORY, Reason.MIN_NOTIONAL), 0)
    for seed in range(40, 46):
        c = smart_case(seed)
        run, head = replay(c.fixture, c.config), None
        for row in run.tables["plans"].records:
            if head is None or head.events != row["event"] + 1:
                head = replay(c.fixture, c.config, until=int(row["event"]) + 1, resume=head)
            s = int(row["symbol"])
            found = run.explain(int(row["ts"]), run.symbols[s])
            later = run.tables["plans"].records
            later = later[(later["ts"] == row["ts"]) & (later["symbol"] == s)]
            if later["plan"][-1] == row["plan"]:
                assert_is_the_record(run, found, s)
                for reason in seen:
                    seen[reason] += bool(int(row["reasons"]) & reason)
    assert min(seen.values()) > 0, seen


# What decided, named when it did and not when it did not


def a_plan(**given: Any) -> tuple[Any, Any, Any]:
    """TERMS, SIDE and PLAN of inputs around a calm moment, with settings."""
    inputs = np.zeros(1, INPUTS)
    values = {
        "regime": Regime.RANGE,
        "mode": Mode.NORMAL,
        "natr": 100_000,
        "impact": -1,
        "mid2": 200_000,
        "tick_value": BTC.tick_value,
    }
    values |= {"budget": 200 * U, "max_inventory": 10_000 * U, "equity": 10_000 * U, "places": 100}
    settings = {"policy": "smart"} | {name: value for name, value in given.items() if name not in (INPUTS.names or ())}
    for name, value in (values | {name: value for name, value in given.items() if name in (INPUTS.names or ())}).items():
        inputs[0][name] = value
    params, _ = Config(**settings).params([BTC], [(50_000, 200_000)])
    plan, terms, sides = np.zeros(1, PLAN), np.zeros(1, TERMS), np.zeros(2, SIDE)
    ladder, work, before = (np.zeros((2, LADDER_SLOTS), LEVEL) for _ in range(3))
    derive(inputs[0], params[0], plan[0], ladder, work, before, terms[0], sides)
    assert terms[0]["agrees"]
    return terms[0], sides, plan[0]


def test_derivation_of_each_cut():
    terms, sides, plan = a_plan()
    assert (terms["root"], terms["sigma"], terms["product"], terms["x"]) == (774596669, 774596, 1549192, 1549192)
    assert (sides["asked"] == 20).all()
    assert (sides["levels"] == plan["levels_down"]).all()
    terms, sides, plan = a_plan(max_open_orders=7, places=7)
    assert sides["scaled"].tolist() == [20, 10]
    assert sides["levels"].tolist() == [7, 0]
    assert sides["places"].tolist() == [7, 0]
    assert sides["short"].tolist() == [0, 1]
    assert sides["first"].tolist() == [-1, 0]
    assert plan["adds_up"] == Adds.OFF
    terms, sides, plan = a_plan(max_inventory=60 * U)
    assert (sides["levels"] < sides["sized"]).all()
    assert (sides["levels"] == sides["scaled"]).all()
    assert (sides["inventory_needed"] > sides["inventory_room"]).all()
    terms, sides, plan = a_plan(budget=7 * U // 10)
    assert (sides["sized"] < sides["kept"]).all()
    terms, sides, plan = a_plan(budget=1)
    assert (sides["sized"] == 0).all()
    assert (sides["tried"] == 2).all()


CALM = {"min_edge": "0", "maker_fee": "0", "step_min": "1bp", "min_step_ticks": 1}


@pytest.mark.parametrize(
    ("settings", "path", "word"),
    [
        ({}, "step.step", "alpha * natr * multiplier decided"),
        ({"step_min": "1%"}, "step.step", "step_min decided"),
        ({"min_edge": "1%"}, "step.step", "fee_floor decided (STEP_FEE_FLOOR)"),
        ({"min_step_ticks": 900}, "step.step", "tick_floor decided (STEP_TICK_FLOOR)"),
        ({"x_min": "8%"}, "stress.X", "X_min 8 % decided"),
        ({"x_min": "10bp", "x_cap": "20bp"}, "stress.X", "X_cap 20 bp decided"),
        ({}, "stress.X", "between X_min and X_cap"),
        ({"levels_max": 3}, "buys.levels_kept", "levels_max 3 decided (LEVELS_CLAMPED)"),
        ({"levels_min": 45, "levels_max": 50, "step_min": "2%"}, "buys.levels_kept", "levels_min 45 decided"),
        ({"levels_max": 50, "step_min": "10bp"}, "buys.levels_kept", "as asked"),
        ({"dd_budget_pct": "0.00001%"}, "buys.levels_sized", "BUDGET_TOO_SMALL"),
        ({"dd_budget_pct": "0.003%"}, "buys.levels_sized", "dropped"),
        ({}, "buys.levels_sized", "every level is at least a lot"),
        ({"max_inventory_notional": "100"}, "sells.inventory_room", "(MAX_INVENTORY)"),
        ({"max_inventory_notional": "50000%", "max_effective_leverage": "0.05"}, "sells.leverage_room", "(MAX_LEVERAGE)"),
        ({"max_inventory_notional": "100"}, "sells.leverage_room", "does not bind"),
        ({"max_inventory_notional": "30"}, "buys.levels", "(MIN_NOTIONAL)"),
        ({"max_open_orders": 5}, "buys.levels", "(MAX_OPEN_ORDERS)"),
        ({"max_open_orders": 5}, "sells.adds", "CAP_PAUSE"),
        ({"max_open_orders": 5}, "sells.ladder_step", "(STEP_WIDENED)"),
        ({}, "sells.adds", "of regime RANGE"),
        ({"skew_factor": "5"}, "center.skew", "no inventory to lean against"),
    ],
    ids=lambda value: ",".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_what_decided(settings, path, word):
    run = replay(tape(wave(24, size=20), **CALM | {"maker_fee": "0"} | settings))
    first = run.tables["plans"].records[0]
    found = run.explain(int(first["ts"]))
    assert word in found[path].why
    row = {"step": "step", "buys": "levels_down", "sells": "levels_up"}.get(path.partition(".")[0])
    if row and path.endswith((".step", ".levels")):
        assert found[path].value == first[row]


def test_only_what_decided_is_named():
    found = replay(tape(wave(24, size=20), **CALM)).explain(MIDNIGHT + 8 * S)
    said = whys(found, "stress", "step", "center", "buys", "sells")
    for word in (
        "X_min 50",
        "X_cap 10",
        "step_min decided",
        "fee_floor decided",
        "tick_floor decided",
        "BUDGET_TOO",
        "CAP_PAUSE",
        "WIDENED",
    ):
        assert word not in said, word
    assert ("LEVELS_CLAMPED" in said) == ("reasons.LEVELS_CLAMPED" in found)


def test_trend_and_penalties():
    run = replay(tape([100_000 + 30 * k for k in range(60)], trend_enter="0.1", trend_exit="0", er_enter="0"))
    found = run.explain(run.last_ts)
    assert found["regime.regime"].text == "TREND_UP"
    assert found["regime.regime"].why == "no gate is open and the trend state is UP"
    assert found["regime.trend"].text == "UP"
    assert found["stress.trend_penalty"].text == "1.25"
    assert found["buys.side_mult"].text == "0.75"
    assert found["sells.side_mult"].text == "1.5"
    assert (found["buys.adds"].text, found["sells.adds"].text) == ("FULL", "ONCE")
    x = found["stress.X"].value
    assert found["sells.width"].value == min(10_000_000, x * 3 // 2)


def test_skew_is_named_and_signed():
    falling = [100_000 - 40 * k for k in range(12)]
    run = replay(tape(wave(12) + falling, skew_factor="5", step_min="20bp"))
    plans = run.tables["plans"].records
    for row in plans[::-1]:
        found = run.explain(int(row["ts"]))
        if found["center.position"].value > 0:
            break
    assert found["center.skew"].why == "half a step decided"
    assert found["center.skew"].value == found["step.step"].value // 2
    assert found["center.center"].why == "mid * (1 - skew)"
    assert found["center.center"].value < found["center.mid"].value * 500_000
    assert found["center.position"].text == BTC.quantity(found["center.position"].value)


def test_a_candidate_that_was_dropped():
    run = replay(tape(wave(60), replan_center="50", replan_levels=50))
    rows = run.tables["plans"].records
    at = next(row for row in rows[::-1] if row["event"] < run.events - 4)
    found = [run.explain(int(ns)) for ns in run.market.ts[int(at["event"]) :]]
    assert "plan.candidate" not in found[0]
    later = [one for one in found if "plan.candidate" in one]
    assert later
    assert all(one["plan.plan"].value == found[0]["plan.plan"].value for one in later)
    assert "center" in later[0]["plan.candidate"].text


# Before a plan, under protection, without one


def test_warm_up_says_what_is_missing_and_for_how_long():
    run = replay(tape(wave(60), atr_bars=3, return_bars=10, ema_slow=7))
    found = run.explain(MIDNIGHT + 4 * S)
    assert found["regime.regime"].text == "PAUSED"
    expected = "4 bars closed since the start or the last gap; efficiency_ratio in 7 bars, trend_strength in 3 bars"
    assert found["plan.plan"].why == f"WARMUP: {expected}"
    assert found["regime.regime"].why == f"WARMUP: {expected}"
    assert found["plan.plan"].text == "none yet"
    assert "natr" in [line.name for line in lines(found, "features")]
    assert "efficiency_ratio" in found["features.absent"].why
    bars = run.tables["features"].records
    ready = int(bars["ts"][10])
    assert run.explain(ready - 1)["plan.plan"].text == "none yet"
    assert run.explain(ready)["plan.plan"].text == "number 0"
    start = run.explain(run.first_ts)
    assert start["features.absent"].text == "all"
    assert start["market.bid"].value == 100_000 - 50 - 1


def test_a_gap_empties_features():
    data = tape([*wave(24)], max_gap_ms=600)
    quotes = {name: getattr(data.events, name).copy() for name in ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")}
    quotes["ts"][20:] += 30 * S
    run = replay(Fixture.from_arrays([BTC], quotes=quotes, name="gap", config=data.config))
    found = run.explain(int(quotes["ts"][20]))
    assert found["features.absent"].why.startswith("a gap emptied every window; 0 bars closed")
    assert found["regime.regime"].text == "PAUSED"
    assert found["plan.plan"].text == "number 0" or found["plan.plan"].value >= 0


def test_protection_is_told():
    at = MIDNIGHT + 9 * S
    commands = [(at, Command.PAUSE, None), (at + 5 * S, Command.RESUME, None), (at + 7 * S, Command.KILL, None)]
    run = replay(tape(wave(60), commands=commands))
    assert "protection.paused" not in run.explain(at - 1)
    paused = run.explain(at)
    assert paused["protection.paused"].why == "by a command"
    assert paused["regime.regime"].why == "paused by a command"
    assert paused["buys.adds"].text == "OFF"
    assert paused["buys.adds"].why == "protection allows no entry: paused by a command (mode PAUSE)"
    assert "protection.paused" not in run.explain(at + 5 * S)
    killed = run.explain(at + 7 * S)
    assert (killed["protection.latch"].text, killed["protection.latch"].why) == ("MANUAL", "by a KILL")
    assert killed["protection.mode"].text == "EMERGENCY"
    assert killed["regime.regime"].why == "the kill switch is latched by a KILL"
    assert killed["plan.reduce_only"].text == "yes"


def test_static_and_own_plans_are_shown_as_recorded():
    settings = {"policy": "static", "quantity": "0.01", "levels": 3, "step": "20bp"}
    run = replay(tape(wave(24), **settings))
    found = run.explain(run.last_ts)
    assert (
        found["derivation.inputs"].why
        == "the plan of policy static is shown as it was recorded: only smart's is derived from inputs"
    )
    assert [line.text for line in lines(found, "levels")] == ["997.50", "995.50", "993.51", "1001.50", "1003.51", "1005.51"]
    assert found["levels.buy_1"].why == "0.010"
    assert found["regime.regime"].why == "this policy looks at no gate: it is always RANGE"
    assert "gates.stale" not in found

    @gr.policy
    def mine(view, params):
        return gr.static(view, params)

    own = replay(tape(wave(24), **settings), policy=mine)
    found = own.explain(own.last_ts - 1)
    assert "policy mine" in found["derivation.inputs"].why
    assert found["market.bid"].value is not None


def test_a_policy_that_is_no_function_of_its_view_is_found_out():
    calls = []

    @gr.policy
    def fickle(view, params):
        calls.append(view.event)
        return gr.static(view, params)._replace(levels_up=2 if len(calls) > 1 else 3)

    run = replay(tape(wave(24), policy="static", quantity="0.01", levels=3), policy=fickle)
    found = run.explain(MIDNIGHT + 2 * S)
    assert "decided otherwise" in found["market.quote"].why
    assert found["plan.levels_up"].value == 2


def test_several_symbols():
    symbols = tuple(Instrument(symbol=name, kind="perpetual", tick_size="0.01", lot_size="0.001") for name in ("A", "B", "C"))
    run = replay(tape(wave(40), instruments=symbols, top_k=2, select_every_ms=5_000))
    found = {name: run.explain(run.last_ts, name) for name in "ABC"}
    assert [found[name]["selection.selected"].text for name in "ABC"] == ["yes", "yes", "no"]  # equal scores: by symbol
    scores = [found["C"][f"selection.score_{name}"] for name in "ABC"]
    assert len({line.value for line in scores}) == 1
    assert [re.findall(r"rank \d, .*", line.why) for line in scores] == [
        ["rank 1, chosen"],
        ["rank 2, chosen"],
        ["rank 3, not chosen"],
    ]
    assert scores[0].value == run.world.symbols["score"][0]
    assert found["A"]["selection.chosen_at"].value == MIDNIGHT + 15 * S
    assert found["C"]["plan.reduce_only"].text == "yes"
    assert found["C"]["buys.adds"].why == "protection allows no entry: not selected (mode NORMAL)"
    assert run.explain(run.first_ts, "B")["selection.score_A"].why.endswith("barred, still warming up")


# Times


def test_times_in_every_form():
    run = replay(tape(wave(24)))
    ns = MIDNIGHT + 3 * S
    expected = run.explain(ns)
    zone = timezone(timedelta(hours=2))
    for time in (
        np.int64(ns),
        "2023-11-15 00:00:03",
        "2023-11-15T00:00:03.000000000Z",
        np.datetime64(ns, "ns"),
        np.datetime64("2023-11-15T00:00:03"),
        datetime(2023, 11, 15, 0, 0, 3),
        datetime(2023, 11, 15, 0, 0, 3, tzinfo=UTC),
        datetime(2023, 11, 15, 2, 0, 3, tzinfo=zone),
        pd.Timestamp(ns),
        pd.Timestamp(ns, tz="Europe/Berlin"),
    ):
        assert run.explain(time) == expected, time
    assert run.explain(pd.Timestamp(ns - 1)).event == expected.event - 1
    assert run.explain(ns - 1).event == expected.event - 1
    assert run.explain(ns + S // 2 - 1).event == expected.event


def test_edges_and_errors():
    run = replay(tape(wave(24)))
    assert run.explain(run.first_ts).event == 0
    assert run.explain(run.last_ts).event == run.events - 1
    with pytest.raises(ConfigError, match=r"is before its first event: .* from 2023-11-15 00:00:00 to 2023-11-15 00:00:11.5 UTC"):
        run.explain(run.first_ts - 1)
    with pytest.raises(ConfigError, match="is after its last event"):
        run.explain("2023-11-15 00:00:12")
    with pytest.raises(ConfigError, match="there is no symbol 'ETH' in tape; there are BTC"):
        run.explain(run.last_ts, "ETH")
    for wrong in ("yesterday", 1.5, None, True, np.datetime64("NaT"), np.datetime64(10**9, "Y"), "2023-11-31"):
        with pytest.raises(ConfigError, match="is no time"):
            run.explain(wrong)
    part = replay(tape(wave(24)), until=5)
    with pytest.raises(ConfigError, match="is after its last event"):
        part.explain(run.last_ts)
    with pytest.raises(ConfigError, match="has seen no event"):
        replay(tape(wave(24)), until=0).explain(run.first_ts)


def test_equal_times_show_the_last_event():
    data = tape(wave(24))
    quotes = {name: getattr(data.events, name).copy() for name in ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")}
    quotes["ts"][7] = quotes["ts"][6]
    run = replay(Fixture.from_arrays([BTC], quotes=quotes, config=data.config))
    found = run.explain(int(quotes["ts"][6]))
    assert found.event == 7
    assert found["market.bid"].value == quotes["bid_px"][7]


# Of resumed and loaded runs


def test_a_resumed_run_explains_as_a_whole_one():
    data = tape(wave(40))
    whole, part = replay(data), replay(data, until=17)
    resumed = replay(data, resume=part)
    for ns in (MIDNIGHT + 3 * S, MIDNIGHT + 12 * S, whole.last_ts):
        assert resumed.explain(ns) == whole.explain(ns)


def test_a_loaded_run_says_what_it_cannot_show_and_how_to_get_it(tmp_path):
    data = tape(wave(40))
    run = replay(data)
    run.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    ns = MIDNIGHT + 9 * S
    found, whole = loaded.explain(ns), run.explain(ns)
    assert found.event == -1
    for section in ("market", "derivation"):
        assert any("fixture=" in line.why for line in lines(found, section))
    for path in ("plan.step", "plan.levels_up", "regime.regime", "regime.since", "gates.toxicity", "features.natr"):
        assert found[path] == whole[path]
    assert found["protection.symbol_drawdown"].value is not None
    assert [line.value for line in lines(found, "levels") if line.name.startswith("buy")] == [
        line.value for line in lines(whole, "buys") if line.name.startswith("level_")
    ]
    assert loaded.explain(ns, fixture=data) == whole
    end = loaded.explain(run.last_ts)
    assert end.event == run.events - 1
    assert end["market.bid"] == run.explain(run.last_ts)["market.bid"]
    with pytest.raises(ConfigError, match="is not what this run replayed"):
        loaded.explain(ns, fixture=tape(wave(41)))


def test_a_loaded_run_of_ones_own_policy(tmp_path):
    @gr.policy
    def mine(view, params):
        return gr.smart(view, params)

    data = tape(wave(40))
    run = replay(data, policy=mine)
    run.save(tmp_path / "run")
    found = load(tmp_path / "run").explain(MIDNIGHT + 9 * S, fixture=data)
    assert "policy mine is not saved with a run" in found["market.quote"].why
    assert "policy mine" in found["derivation.inputs"].why


# Text, JSON, command line


def test_text_html_and_json():
    run = replay(tape(wave(24)))
    found = run.explain(run.last_ts)
    text = repr(found)
    assert text.splitlines()[0] == "tape BTC at 2023-11-15 00:00:11.5 UTC: event 23 of 2023-11-15 00:00:11.5"
    for line in lines(found):
        assert line.name in text
        assert line.text in text
        assert isinstance(line.value, int | None)
        assert type(line.value) in (int, type(None)), line
        assert line.unit or line.value is None
    assert not any(line != line.rstrip() for line in text.splitlines())
    shown = found._repr_html_()
    assert shown.count("<table>") == len(found.sections)
    body = found.to_dict()
    assert body == json.loads(json.dumps(body))
    assert json.dumps(body, sort_keys=True) == json.dumps(run.explain(run.last_ts).to_dict(), sort_keys=True)
    assert body["sections"]["step"]["step"] == {
        "value": found["step.step"].value,
        "unit": "1e-8",
        "text": found["step.step"].text,
        "why": found["step.step"].why,
    }
    names = [line.name for _, part in found.sections for line in part]
    assert all(len({line.name for line in part}) == len(part) for _, part in found.sections)
    assert "levels" in names
    with pytest.raises(KeyError):
        found["plan.nothing"]
    assert Severity.LOW.name == found["gates.toxicity"].text


def test_html_is_escaped():
    found = Explanation("<b>", "A&B", 0, 0, 0, ())
    assert "<b>&lt;b&gt;" in found._repr_html_()


WORDS = ("explain", "range_day_l1", "--at", "2024-01-03 14:02", "--set", "policy=smart")


def test_command_line(capsys, tmp_path):
    assert main(WORDS) == 0
    out, err = capsys.readouterr()
    run = replay("range_day_l1", Config(policy="smart"))
    found = run.explain("2024-01-03 14:02")
    assert (out, err) == (f"{found!r}\n", "")
    assert main([*WORDS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.to_dict()
    file = str(run.save(tmp_path / "run.grinder"))
    assert main(["explain", file, "--at", str(found.time), "--symbol", "BTCUSDT", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == load(file).explain(found.time).to_dict()
    assert main(["explain", file, "--at", "2024-01-03 14:02", "--fixture", "range_day_l1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.to_dict()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("range_day_l1", "--at", "2024-01-02 23:59"), 2, "is before its first event"),
        (("range_day_l1", "--at", "2025-01-01"), 2, "is after its last event"),
        (("range_day_l1", "--at", "noon"), 2, "is no time"),
        (("range_day_l1", "--at", "2024-01-03 14:02", "--symbol", "X"), 2, "there is no symbol 'X'"),
        (("range_day_l1", "--at", "2024-01-03 14:02", "--fixture", "range_day_l1"), 2, "--fixture is for a saved run"),
        (("nothing_here", "--at", "2024-01-03 14:02"), DataError.exit_code, "no fixture 'nothing_here'"),
    ],
)
def test_command_line_errors(capsys, words, code, message):
    assert main(["explain", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_a_saved_run_takes_no_settings(capsys, tmp_path):
    file = str(replay(tape(wave(24))).save(tmp_path / "run.grinder"))
    assert main(["explain", file, "--at", "2023-11-15 00:00:03", "--set", "levels=3"]) == 2
    assert "--set is for a fixture" in capsys.readouterr().err
