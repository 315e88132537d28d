"""The engine against the independent reference engine in `oracles/`: every record of every stage, on 2,000 random cases.

And both against ten fills worked by hand (`oracles/hand_ledger.md`). INVARIANTS 41.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from grinder import units
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.engine import initial_world
from grinder.ledger import book_fill, mark
from grinder.records import Reason, Role, stage_dtype
from grinder.session import replay
from grinder.tape import empty_tape
from tests.oracles import reference, selfcheck
from tests.tapes import Case, case
from tests.volumes import REFERENCE, each, volume

CASES = 2000
BLOCK = 100
HAND = json.loads((Path(__file__).parent / "oracles" / "hand_ledger.json").read_text())


def assert_same(c: Case) -> dict[str, int]:
    """Replay and reference write the same rows; returns how many of each stage."""
    run = replay(c.fixture, c.config)
    expected = reference.run(c.reference_instruments(), c.reference_config(), c.reference_events())
    for stage, rows in expected.items():
        mine = [tuple(row) for row in run.tables[stage].records.tolist()]
        if mine != rows:
            at = next((i for i, (a, b) in enumerate(zip(mine, rows, strict=False)) if a != b), min(len(mine), len(rows)))
            names = stage_dtype(stage).names
            pytest.fail(
                f"seed {c.seed}, {stage} row {at} of {len(mine)} and {len(rows)}\n{names}\n{mine[at:][:1]}\n{rows[at:][:1]}"
            )
    return {stage: len(rows) for stage, rows in expected.items()}


@pytest.mark.parametrize("block", range(CASES // BLOCK))
@volume(REFERENCE, BLOCK)
def test_random_cases(block):
    totals = np.zeros(len(reference.STAGES), int)
    for seed in each(REFERENCE, range(block * BLOCK, (block + 1) * BLOCK)):
        totals += list(assert_same(case(seed)).values())
    assert (totals > 100).all(), "a block of cases has to exercise every stage"


def test_the_reference_engine_of_smart_checks_itself():
    """Hand values of SPEC 7.2, 7.5 and others, and INVARIANTS 21-30 from the records of its own runs."""
    counter: Counter[str] = Counter()
    for check in selfcheck.HAND:
        check()
    for seed in range(20):
        selfcheck.check_seed(seed, counter)
    assert counter["worst cases of open entries"] > 100


def test_cases_reach_every_reason_and_cause():
    reasons, causes, kinds, roles = set(), set(), set(), set()
    for seed in range(300):
        run = replay(case(seed).fixture, case(seed).config)
        reasons |= set(run.intents["reason"].tolist())
        causes |= {bit for bit in (1, 2, 4, 32, 64) if (run.ledger["cause"] & bit).any()}
        kinds |= set(zip(run.intents["kind"].tolist(), run.intents["role"].tolist(), strict=True))
        roles |= set(run.fills["role"].tolist())
    wanted = {
        Reason.MAX_INVENTORY,
        Reason.MAX_LEVERAGE,
        Reason.MIN_NOTIONAL,
        Reason.MAX_OPEN_ORDERS,
        Reason.RATE_LIMIT,
        Reason.POST_ONLY,
    }
    assert {0, *map(int, wanted)} <= reasons
    assert causes == {1, 2, 4, 32, 64}
    assert {(0, Role.ENTRY), (1, Role.TAKE_PROFIT), (2, Role.ENTRY), (2, Role.TAKE_PROFIT)} <= kinds
    assert roles == {Role.ENTRY, Role.TAKE_PROFIT}


@pytest.mark.parametrize("seed", range(40))
@volume(REFERENCE)
def test_hard_cap(seed, monkeypatch):
    """The load proof keeps the hard cap out of reach; lowered by hand, it binds alike in both engines."""
    real = Config.params

    def lowered(self, instruments, price_range):
        params, rows = real(self, instruments, price_range)
        rows["hard_cap"] = rows["quantity"] * (1 + seed % 3)
        return params, rows

    monkeypatch.setattr(Config, "params", lowered)
    c = case(seed)
    assert_same(c)


def test_hard_cap_refuses(monkeypatch):
    real = Config.params

    def lowered(self, instruments, price_range):
        params, rows = real(self, instruments, price_range)
        rows["hard_cap"] = rows["quantity"]
        return params, rows

    monkeypatch.setattr(Config, "params", lowered)
    refused = [(replay(case(seed).fixture, case(seed).config).intents["reason"] == Reason.HARD_CAP).sum() for seed in range(40)]
    assert sum(refused) > 10


# By hand


def hand_fixture() -> tuple[Fixture, Config]:
    """The hand ledger's tape: one tick and lot are 10,000 atoms."""
    instrument = Instrument(symbol="H", kind="perpetual", tick_size="0.01", lot_size="0.01")
    assert instrument.tick_value == HAND["instruments"][0]["tick_value"]
    names = ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")
    quotes = {name: [event[name] for event in HAND["events"]] for name in names}
    config = Config(step="10bp", levels=3, quantity="0.05", maker_fee="0.00020001", min_edge="4bp", equity=10_000)
    return Fixture.from_arrays([instrument], quotes=quotes), config


def test_ten_fills_by_hand():
    fixture, config = hand_fixture()
    run = replay(fixture, config)
    expected = HAND["expected"]
    columns = expected["fills_columns"]
    assert [[int(row[c]) for c in columns] for row in run.fills.records] == expected["fills"]
    assert len(expected["fills"]) == 10
    ledger = run.ledger.records
    of_symbol = ledger[ledger["symbol"] == 0]
    assert [[int(row["event"]), int(row["cause"])] for row in of_symbol] == expected["marks"]
    by_event = {int(row["event"]): row for row in of_symbol if row["cause"] & 1}
    for fill, after in zip(expected["fills"], expected["after_fill"], strict=True):
        if [other[0] for other in expected["fills"]].count(fill[0]) == 1:
            row = by_event[fill[0]]
            assert [int(row[name]) for name in expected["after_fill_columns"]] == after


def test_final_ledger_by_hand():
    run = replay(*hand_fixture())
    final, last = HAND["expected"]["final"], run.ledger.records
    symbol, portfolio = last[last["symbol"] == 0][-1], last[last["symbol"] == -1][-1]
    for name in ("position", "cost", "realised", "unrealised", "fees", "funding"):
        assert symbol[name] == final[name], name
    assert portfolio["cash"] == final["cash"]
    assert portfolio["equity"] == final["equity"] == final["cash"] + final["position_value"]
    summary = run.summary()
    assert summary["equity"] == final["equity"]
    assert summary["unrealised"] == final["unrealised"]


def test_fill_through_zero_by_hand():
    """Five fills straight into the ledger, one of them through zero with a split that leaves a remainder."""
    by_hand = HAND["ledger_case"]
    instrument = Instrument(symbol="H", kind="perpetual", tick_size="0.01", lot_size="0.01")
    params, rows = Config(quantity="0.01", maker_fee="0.00020001").params([instrument], [(1, 1000)])
    world = initial_world(params, rows, 1_700_000_000_000_000_000)
    for side, price, qty, *after in by_hand["fills"]:
        fee = book_fill(world, rows, 0, side, price, qty, params[0]["maker_fee"])
        symbol = world.symbols[0]
        assert [fee, *(int(symbol[name]) for name in ("position", "cost", "realised", "cash"))] == after
    world.symbols[0]["mid2"] = by_hand["mid2"]
    tape = empty_tape(4)
    mark(world, params, rows, tape, 0, 0)
    row, final = tape.ledger[0], by_hand["final"]
    assert (row["unrealised"], row["fees"], row["equity"]) == (final["unrealised"], final["fees"], final["equity"])
    assert row["cash"] + final["value"] == final["equity"]
    assert world.run[0]["fault"] == 0


def test_spec_ladder_example():
    """SPEC 7.5: center 100.00, step 1 %, tick 0.01."""
    instrument = Instrument(symbol="L", kind="spot", tick_size="0.01", lot_size="0.01")
    quotes = {"ts": [1_700_000_000_000_000_000], "bid_px": [9999], "bid_qty": [1], "ask_px": [10001], "ask_qty": [1]}
    run = replay(Fixture.from_arrays([instrument], quotes=quotes), Config(step="1%", levels=6, quantity="1"))
    levels = run.levels.records
    assert levels["price"][levels["side"] > 0].tolist() == [9900, 9801, 9702, 9605, 9509, 9414]
    assert levels["price"][levels["side"] < 0].tolist()[:5] == [10100, 10201, 10304, 10407, 10511]
    assert units.format_units(9605, "0.01") == "96.05"
