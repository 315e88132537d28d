"""Takers that walk books (SPEC 9, ADR-0028): on the committed day of a kill switch each fill is held against its book by hand.

What fills resting orders is shown by test_reference.py, test_invariants.py and the scenarios of execution.
"""

from __future__ import annotations

import numpy as np
import pytest

from grinder.data.fixture import fixture
from grinder.records import Command, Regime, Role
from grinder.session import replay


@pytest.fixture(scope="module")
def day():
    return fixture("kill_switch_l2")


@pytest.fixture(scope="module")
def run(day):
    return replay(day)


def test_the_market_is_the_head_of_another_fixture(day):
    whole = fixture("impact_spike_l2").events
    bare = day.with_commands([]).events
    n = len(bare.ts)
    for name in ("ts", "symbol", "kind", "fault", "bid_px", "bid_qty", "ask_px", "ask_qty"):
        assert np.array_equal(getattr(bare, name), getattr(whole, name)[:n]), name
    assert np.array_equal(bare.books, whole.books[: len(bare.books)])
    assert [command for _, command, _ in day.commands] == [Command.KILL, Command.RESET, Command.KILL]


def test_each_kill_closes_the_position_level_by_level(day, run):
    """Every level nearer than the last is taken whole, the best as the quote has it; nothing is left of the position."""
    fills, events = run.fills.records, day.events
    taken = fills[fills["taker"] == 1]
    assert set(taken["role"].tolist()) == {Role.FLATTEN}
    flattens = [taken[taken["event"] == event] for event in np.unique(taken["event"])]
    assert [len(rows) for rows in flattens] == [10, 6]
    for rows in flattens:
        event, side = int(rows["event"][0]), int(rows["side"][0])
        before = fills[fills["event"] < event]
        assert side * int(rows["qty"].sum()) == -int((before["side"] * before["qty"]).sum())
        best = (events.ask_px, events.ask_qty) if side > 0 else (events.bid_px, events.bid_qty)
        place = int(np.searchsorted(events.book_rows, event, side="right")) - 1
        assert events.ts[event] - events.ts[events.book_rows[place]] <= 2_000_000_000
        prices, sizes = events.books[place, 1 + side], events.books[place, 2 + side]
        levels = [(int(best[0][event]), int(best[1][event]))]
        levels += [(p, q) for p, q in zip(prices.tolist(), sizes.tolist(), strict=True) if p and side * (p - levels[0][0]) > 0]
        got = list(zip(rows["price"].tolist(), rows["qty"].tolist(), strict=True))
        assert got[:-1] == levels[: len(got) - 1]
        last, displayed = levels[len(got) - 1]
        assert got[-1][0] == last
        assert 0 < got[-1][1] <= displayed


def test_between_a_kill_and_its_reset_nothing_trades(day, run):
    (kill, _, _), (reset, _, _), (again, _, _) = day.commands
    sent = run.intents.records
    flatten = sent[(sent["ts"] >= kill) & (sent["ts"] < reset) & (sent["kind"] == 2)]
    assert flatten["role"].tolist() == [Role.FLATTEN]
    assert Regime.EMERGENCY in run.regimes["to"][(run.regimes["ts"] >= kill) & (run.regimes["ts"] < reset)]
    between = run.fills["ts"][run.fills["ts"] > reset]
    assert (between < again).sum() > 20, "trading goes on"


def test_the_window_rolls_every_five_minutes_and_looks_back_two_hours(run):
    """The portfolio's peak at each roll is the highest of its marks of the last 24 whole parts, from the ledger alone."""
    marks = run.ledger.records[run.ledger["symbol"] == -1]
    part = 5 * 60 * 10**9
    rolls = marks[(marks["cause"] & 32) != 0]
    assert len(rolls) == 47
    for row in rolls:
        oldest = (int(row["ts"]) // part - 24) * part
        # the part that holds the first mark in reach began with the equity marked before it
        seen = marks[(marks["event"] <= row["event"]) & (marks["ts"] >= oldest)]
        earlier = marks[marks["ts"] < oldest]
        opened = int(earlier["equity"][-1]) if len(earlier) else 200_000 * 10**8
        up_to = seen["equity"][: 1 + np.flatnonzero((seen["event"] == row["event"]) & ((seen["cause"] & 32) != 0))[0]]
        assert int(row["peak"]) == max(opened, int(up_to.max()))
