"""Takers (SPEC 9, ADR-0028): market orders one by one against a book by hand, and on the committed day of a kill switch.

What fills resting orders is shown by test_reference.py, test_invariants.py and the scenarios of execution.
"""

from __future__ import annotations

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture, fixture
from grinder.data.instrument import Instrument
from grinder.engine import initial_world
from grinder.fills import match
from grinder.ledger import book_fill
from grinder.orders import set_touches
from grinder.records import NONE, Command, OrderState, Regime, Role
from grinder.session import replay
from grinder.tape import empty_tape

START = 1_700_000_000_000_000_000
INSTRUMENT = Instrument(symbol="X", kind="perpetual", tick_size="0.01", lot_size="1")
OPEN, PARTIAL, FILLED, CANCELLED = OrderState.OPEN, OrderState.PARTIAL, OrderState.FILLED, OrderState.CANCELLED
SIDES = pytest.mark.parametrize("side", [1, -1])


class Venue:
    """Market orders of one side against a book a second, or against quotes alone; no step of the engine around it.

    Prices are told as ticks from 5000 away from the other side, so that a test reads alike for buys and sells: buys take asks
    at 5000, 5001, ..., sells take bids at 5000, 4999, ...

    Args:
        held: lots of the position that `side` closes.
        orders: quantities of live market orders, #0 first, then orders as (role, ticks, quantity).
        books: levels (ticks, quantity) of the side that is taken, a book a second; by quotes where none is given.
        quote: the best level as the quote of the last second has it.
    """

    def __init__(self, side, held, orders, books=(), quote=None, **given):
        self.side, self.books = side, books
        config = Config(quantity=1, taker_fee=0, maker_fee=0, slippage="0.1%", **given)
        self.params, self.rows = config.params([INSTRUMENT], [(1, 10_000)])
        self.world, self.tape = initial_world(self.params, self.rows, START), empty_tape(64)
        self.events = self.market(quote)
        book_fill(self.world, self.rows, 0, -side, 5_000, held, 0)
        self.symbol = self.world.symbols[0]
        self.symbol["n_orders"], self.symbol["settled"] = len(orders), 1
        for k, one in enumerate(orders):
            role, ticks, qty = one if isinstance(one, tuple) else (Role.FLATTEN, -5_000 * side, one)
            order = self.world.orders[0, k]
            order["id"], order["side"], order["role"], order["px"], order["qty"] = k, side, role, self.price(ticks), qty
            order["live"], order["live_ts"], order["change"] = 1, START, NONE

    def price(self, ticks):
        return 5_000 + self.side * ticks

    def market(self, quote):
        """Rows of books, then one of a quote; the side that is not taken has a thousand lots a level."""
        taken, other = ("ask", "bid") if self.side > 0 else ("bid", "ask")
        depth = max((len(book) for book in self.books), default=0)
        rows = {"ts": [START + 10**9 * k for k in range(len(self.books))]}
        for k in range(depth):
            levels = [book[k] if k < len(book) else None for book in self.books]
            rows[f"{taken}_px_{k}"] = [self.price(one[0]) if one else 0 for one in levels]
            rows[f"{taken}_qty_{k}"] = [one[1] if one else 0 for one in levels]
            rows[f"{other}_px_{k}"], rows[f"{other}_qty_{k}"] = [self.price(-10 - k)] * len(levels), [1_000] * len(levels)
        ticks, qty = quote or self.books[-1][0]
        last = {"ts": [START + 10**9 * len(self.books)], f"{taken}_px": [self.price(ticks)], f"{taken}_qty": [qty]}
        last |= {f"{other}_px": [self.price(-10)], f"{other}_qty": [1_000]}
        return Fixture.from_arrays([INSTRUMENT], quotes=last, **({"books": rows} if self.books else {})).events

    def match(self, i):
        """What market orders do on row `i`, which shows its best prices anew."""
        symbol = self.symbol
        symbol["bid_px"], symbol["bid_qty"] = self.events.bid_px[i], self.events.bid_qty[i]
        symbol["ask_px"], symbol["ask_qty"] = self.events.ask_px[i], self.events.ask_qty[i]
        symbol["taken_buy"], symbol["taken_sell"], symbol["reflex"], symbol["decide"] = 0, 0, 0, 0
        set_touches(self.world, 0)
        self.tape.used.fill(0)
        match(self.world, self.params, self.rows, self.events, self.tape, 100 + i, self.events.ts[i], i, 0)
        return [(int(row["order"]), self.side * (int(row["price"]) - 5_000), int(row["qty"])) for row in self.written("fills")]

    def written(self, stage):
        return getattr(self.tape, stage)[: int(self.tape.used[0][stage])]

    def lives(self):
        """Transitions of the last row: order, from, to, what remains."""
        assert not self.written("orders")["price"].any(), "a market order has no price"
        return [tuple(int(row[name]) for name in ("order", "from", "to", "remaining")) for row in self.written("orders")]

    def asked(self):
        """Whether the last row asks for a reflex and for a decision."""
        assert self.symbol["settled"] == 1 - self.symbol["reflex"]
        return int(self.symbol["reflex"]), int(self.symbol["decide"])


@SIDES
def test_orders_take_a_book_one_after_the_other(side):
    """Of 5, 3, 1 and 20 lots the first has 5 and 1, the second what is left of the 3 and the 1, the third 11 of the 20."""
    levels = [(0, 5), (1, 3), (2, 1), (4, 20)]
    venue = Venue(side, 30, [6, 3, 11, (Role.ENTRY, -50, 7)], [levels])
    assert venue.match(0) == [(0, 0, 5), (0, 1, 1), (1, 1, 2), (1, 2, 1), (2, 4, 11)]
    assert venue.lives() == [
        *[(0, OPEN, PARTIAL, 1), (0, PARTIAL, FILLED, 0), (1, OPEN, PARTIAL, 1), (1, PARTIAL, FILLED, 0), (2, OPEN, FILLED, 0)]
    ]
    assert venue.symbol["position"] == -side * 10
    assert [int(order["qty"]) for order in venue.world.orders[0, : venue.symbol["n_orders"]]] == [7], "what rests is no taker"


@SIDES
def test_what_was_taken_of_a_book_is_gone_until_the_next(side):
    """A quote shows its best anew, of which the book knows nothing; deeper levels are as the last taker left them."""
    levels = [(0, 2), (1, 3), (2, 4)]
    venue = Venue(side, 40, [5 + 1, 30], [levels, levels], quote=(0, 1))
    assert venue.match(0) == [(0, 0, 2), (0, 1, 3), (0, 2, 1), (1, 2, 3)]
    assert venue.match(1) == [(1, 0, 2), (1, 1, 3), (1, 2, 4)], "a new book"
    assert venue.match(2) == [(1, 0, 1)], "of the same book nothing is left"
    assert venue.lives() == [(1, PARTIAL, PARTIAL, 17)]


@SIDES
def test_without_a_book_the_best_price_and_slippage(side):
    """5001 and 0.1 % are 5006.001, ceiled, and 4999 less as much is 4994.001, floored: away from the taker's good."""
    venue = Venue(side, 20, [2, 1, 5], quote=(1, 5))
    paid = 5_007 - 5_000 if side > 0 else 5_000 - 4_994
    assert venue.match(0) == [(0, paid, 2), (1, paid, 1), (2, paid, 2)], "5 are displayed in all"
    assert venue.lives() == [(0, OPEN, FILLED, 0), (1, OPEN, FILLED, 0), (2, OPEN, PARTIAL, 3)]
    assert [int(venue.symbol[name]) for name in ("taken_buy", "taken_sell")] == ([5, 0] if side > 0 else [0, 5])


def test_a_price_is_a_tick_at_least():
    venue = Venue(-1, 3, [3], quote=(4_999, 9))
    assert venue.events.bid_px[0] == 1
    assert venue.match(0) == [(0, 4_999, 3)]


@SIDES
def test_a_market_order_never_flips_the_position(side):
    """What the position does not need is cut off and recorded; an order that it does not need at all goes."""
    venue = Venue(side, 4, [3, 10, 2], quote=(0, 50))
    price = venue.match(0)[0][1]
    assert venue.lives() == [(0, OPEN, FILLED, 0), (1, OPEN, OPEN, 1), (1, OPEN, FILLED, 0), (2, OPEN, CANCELLED, 2)]
    assert [(int(row["order"]), int(row["qty"]), int(row["taker"])) for row in venue.written("fills")] == [(0, 3, 1), (1, 1, 1)]
    assert price == 5
    assert (venue.symbol["position"], venue.symbol["n_orders"]) == (0, 0)


@SIDES
def test_all_buys_come_before_all_sells(side):
    """A market order has the best price of its side: a resting buy comes after one that buys and before one that sells."""
    venue = Venue(side, 3, [3, (Role.ENTRY, 0, 2)], quote=(0, 50))
    venue.world.orders[0, 1]["side"], venue.world.orders[0, 1]["px"] = 1, 5_500
    venue.match(0)
    assert [int(row["order"]) for row in venue.written("fills")] == ([0, 1] if side > 0 else [1, 0])
    assert venue.symbol["position"] == 2


@SIDES
@pytest.mark.parametrize("on_fill", [0, 1])
def test_what_fills_is_a_reflex_and_a_decision_where_asked_for(side, on_fill):
    """SPEC 3.2: an event with a fill is a reflex, and so is one at which an order goes; nothing displayed is neither."""
    nothing, one = (Venue(side, 9, [9], quote=(0, displayed)) for displayed in (0, 1))
    best, most = (Venue(side, 9, [9], [[(0, 2), (1, 6)][:levels]]) for levels in (1, 2))
    gone, second = Venue(side, 0, [9], quote=(0, 1)), Venue(side, 9, [2, 7], quote=(0, 2))
    for venue in (nothing, one, most, best, gone, second):
        venue.params[0]["on_fill"] = on_fill
    assert (nothing.match(0), nothing.lives(), nothing.asked()) == ([], [], (0, 0))
    assert [len(one.match(0)), one.lives(), one.asked()] == [1, [(0, OPEN, PARTIAL, 8)], (1, on_fill)]
    assert [most.match(0), most.asked()] == [[(0, 0, 2), (0, 1, 6)], (1, on_fill)]
    assert [best.match(0), best.asked()] == [[(0, 0, 2)], (1, on_fill)]
    assert [gone.match(0), gone.lives(), gone.asked()] == [[], [(0, OPEN, CANCELLED, 9)], (1, 0)]
    assert [len(second.match(0)), second.lives(), second.asked()] == [1, [(0, OPEN, FILLED, 0)], (1, on_fill)]
    assert [int(nothing.symbol[name]) for name in ("taken_buy", "taken_sell")] == [0, 0]


@SIDES
def test_an_order_in_flight_takes_nothing(side):
    """Takers obey the latency too (SPEC 3.3)."""
    venue = Venue(side, 9, [4, 5], quote=(0, 9))
    venue.world.orders[0, 0]["live"] = 0
    assert [order for order, _, _ in venue.match(0)] == [1]
    assert (venue.symbol["n_orders"], venue.symbol["position"]) == (1, -side * 4)


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
