"""One unit more somewhere, and stage roots differ: SPEC 14's sensitivities, with the hashes of settings and of input left aside.

Settings one by one are in test_invariants.py, test_gates.py and test_defaults.py, the live state in test_invariants.py.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.digest import Digest, first_difference
from grinder.records import STAGES, WINDOW, Command, Fault, InputKind
from grinder.session import replay
from tests.test_digest import make_records

SECOND, MINUTE = 10**9, 60 * 10**9
START = 1_700_000_040 * SECOND // MINUTE * MINUTE
ROWS, TOUCH, LATE = 240, 65, 200
"""Quotes; the one that reaches the first buy exactly; one at which commands are given and funding is paid."""
COINS = [Instrument(symbol=name, kind="perpetual", tick_size="0.1", lot_size="0.01") for name in ("A", "B")]
CONFIG = Config(step="1%", levels=3, quantity="1", min_notional=0, min_edge="1bp", impact_quote=8, top_n=2)
TRADES = ("px", "qty", "aggressor")
"""Columns of trades that no fill model of today reads."""


def market() -> dict[str, dict[str, np.ndarray]]:
    """Every stream, on thresholds: A's mid is 100.0, at TOUCH 99.0, its first buy, then 99.8, short of the exit; B has 4 quotes."""
    i = np.arange(ROWS)
    mid, ones = np.where(i < TOUCH, 1000, np.where(i == TOUCH, 990, 998)), np.ones(ROWS, np.int64)
    quotes = {"ts": START + i * SECOND, "symbol": i * 0, "bid_px": mid - 1, "ask_px": mid + 1}
    quotes |= {"bid_qty": 5 + i % 3, "ask_qty": ones * 6}
    quotes["symbol"][[0, 30, 90, 150]] = 1
    at = quotes["ts"][TOUCH]
    closing = START + 2 * MINUTE  # the quote of this time closes a bar; a book of 2 s before is as old as one may be
    books = {"ts": np.array([START + 10 * SECOND, closing - 2 * SECOND]), "symbol": np.zeros(2, np.int64)}
    for level in range(3):
        books |= {f"bid_px_{level}": np.array([999, 997]) - 2 * level, f"ask_px_{level}": np.array([1001, 999]) + 2 * level}
        books |= {f"{side}_qty_{level}": np.array([4 + level] * 2) for side in ("bid", "ask")}
    trades = {"ts": np.array([at, at + 1, at + SECOND]), "symbol": np.zeros(3, np.int64), "id": np.array([7, 7, 9])}
    trades |= {"px": np.array([990, 990, 998]), "qty": np.array([1, 1, 2]), "aggressor": np.array([1, 1, -1])}
    late = quotes["ts"][LATE]
    funding = {"ts": np.array([at, late]), "symbol": np.zeros(2, np.int64), "rate": np.array([10_000, 20_000])}
    funding |= {"mark_px": np.array([991, 998])}
    commands = {"ts": np.array([late, late + 5 * SECOND]), "symbol": np.zeros(2, np.int64)}
    commands["command"] = np.array([Command.PAUSE, Command.RESUME])
    return {"quotes": quotes, "books": books, "trades": trades, "funding": funding, "commands": commands}


@cache
def whole():
    return replay(Fixture.from_arrays(COINS, **market()), CONFIG)


def moved(stream: str, column: str, row: int, by: int):
    """The run of the market with one cell changed."""
    streams = market()
    streams[stream][column][row] += by
    return replay(Fixture.from_arrays(COINS, **streams), CONFIG)


def test_the_market_stands_on_thresholds():
    """What the cases below need: a fill at an exact touch, a position that is paid funding on, a fresh book, a trade twice."""
    run = whole()
    e = run.market
    (first, *_) = run.fills.records
    assert (int(e.ts[first["event"]]), int(first["price"])) == (START + TOUCH * SECOND, 990)
    assert 2 * first["price"] == e.bid_px[first["event"]] + e.ask_px[first["event"]]
    kinds = run.input["kind"].tolist()
    assert kinds.count(InputKind.COMMAND) == 2
    assert (run.input["code"][run.input["kind"] == InputKind.QUARANTINED] == Fault.DUPLICATE).sum() == 1
    assert int(run.world.symbols["funding"][0]) < 0
    assert run.features["depth_bid"].max() > 0


CASES = {
    ("quotes", "bid_px", TOUCH, 1): "fills",
    ("quotes", "ask_px", TOUCH, 1): "fills",
    ("quotes", "bid_px", 0, 1): "bars",
    ("quotes", "ask_px", 0, 1): "bars",
    ("quotes", "bid_qty", 59, 1): "features",
    ("quotes", "ask_qty", 59, 1): "features",
    ("quotes", "ts", 60, -1): "bars",
    ("quotes", "symbol", TOUCH, 1): "fills",
    ("books", "ts", 1, -1): "features",
    ("books", "symbol", 1, 1): "features",
    **{("books", f"{side}_{what}_{level}", 1, sign): "features"
       for level in (0, 1) for side, sign in (("bid", -1), ("ask", 1)) for what in ("px", "qty")
       if (what, level) != ("px", 0)},
    ("trades", "id", 1, 1): "input",
    ("trades", "symbol", 1, 1): "input",
    ("trades", "ts", 0, -1): "fills",
    ("funding", "rate", 1, 1): "ledger",
    ("funding", "rate", 1, -1): "ledger",
    ("funding", "mark_px", 1, 1): "ledger",
    ("funding", "ts", 0, 1): "ledger",
    ("funding", "symbol", 1, 1): "ledger",
    ("commands", "command", 0, 1): "input",
    ("commands", "ts", 0, -1): "input",
    ("commands", "symbol", 0, 1): "input",
}  # fmt: skip
"""Stream, column, row and change by one unit: the first stage in causal order whose own record must tell."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}.{case[1]}[{case[2]}]{case[3]:+d}")
def test_one_unit_of_an_input_that_matters(case):
    before, after = whole().digest, moved(*case).digest
    assert before.config == after.config
    assert before.roots[CASES[case]] != after.roots[CASES[case]]


def test_every_column_of_every_stream_is_among_them():
    streams = {(stream, column) for stream, columns in market().items() for column in columns}
    seen = {(stream, column) for stream, column, _, _ in CASES} | {("trades", column) for column in TRADES}
    beyond = {("books", f"{side}_{what}_2") for side in ("bid", "ask") for what in ("px", "qty")}  # deeper than `top_n`
    best = {("books", f"{side}_px_0") for side in ("bid", "ask")}  # a quote of the same time says the same
    assert streams == seen | beyond | best


@pytest.mark.parametrize("column", TRADES)
def test_what_nothing_reads_changes_no_root_but_the_digest(column):
    """The other half: without it the cases above could pass by noise."""
    before, after = whole().digest, moved("trades", column, 2, 2 if column == "aggressor" else 1).digest
    assert (before.roots, before.counts) == (after.roots, after.counts)
    assert before.input != after.input
    assert before.value != after.value


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize("stage", STAGES)
def test_any_field_of_any_record(stage, by):
    """Each column of each stage: its stage's root and no other, named with its window."""
    events, rows = 3 * WINDOW, 40
    base = {name: make_records([97 * k for k in range(rows)], name) for name in STAGES}
    before = Digest.of("c" * 64, "d" * 64, events, base)
    for column in base[stage].dtype.names:
        spoilt = base[stage].copy()
        spoilt[column][rows // 2] += by
        after = Digest.of("c" * 64, "d" * 64, events, base | {stage: spoilt})
        assert [name for name in STAGES if before.roots[name] != after.roots[name]] == [stage], column
        assert before.value != after.value
        found = first_difference(before, after)
        assert (found.stage, found.window) == (stage, 97 * (rows // 2) // WINDOW)


def test_a_record_more_or_fewer_and_two_that_change_places():
    base = {name: make_records([97 * k for k in range(9)], name) for name in STAGES}
    before = Digest.of("c" * 64, "d" * 64, WINDOW, base)
    rows = base["orders"]
    for other in (rows[:-1], rows[1:], np.append(rows, rows[-1:]), rows[[1, 0, *range(2, 9)]]):
        after = Digest.of("c" * 64, "d" * 64, WINDOW, base | {"orders": other})
        assert [name for name in STAGES if before.roots[name] != after.roots[name]] == ["orders"]
