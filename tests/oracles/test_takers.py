"""Market orders that walk books (ADR-0028.8), against numbers worked by hand."""

import math
from fractions import Fraction

from .reference import BUY, FLATTEN, SELL, Cycle, Order
from .selfcheck import bare_engine
from .takers import Eaten, beyond

MS = 1_000_000
BIDS = [(9_999, 25), (9_998, 20), (9_995, 40), (9_990, 100)]
ASKS = [(10_001, 7), (10_003, 8), (0, 0)]


def setting(lots, qty=None, l2_stale_ms=2_000):
    """Long `lots`, all to be sold by order 7, before any market data."""
    engine, sym = bare_engine()
    engine.cfg["l2_stale_ns"] = l2_stale_ms * MS
    side = SELL if lots > 0 else BUY
    sym.ledger.apply_fill(-side, 10_000, abs(lots), 0)
    flatten(sym, side, qty or abs(lots))
    return engine, sym


def flatten(sym, side, qty, order=7):
    sym.orders[order] = Order(order, 0, side, FLATTEN, 0, 0, qty, 0, state=1)


def market(engine, sym, ms, bids=None, asks=None, **l1):
    """A book, a quote or (without either) a trade; then the fills of the event as (price, quantity)."""
    engine.ts = ms * MS
    event = {"ts": engine.ts, "symbol": 0, "kind": "trade", "fault": None}
    if bids or asks:
        event |= {"kind": "book", "bids": bids, "asks": asks}
        event |= {"bid_px": bids[0][0], "bid_qty": bids[0][1], "ask_px": asks[0][0], "ask_qty": asks[0][1]}
    elif l1:
        event |= {"kind": "quote", "bid_px": 9_999, "bid_qty": 0, "ask_px": 10_001, "ask_qty": 0} | l1
    before = len(engine.records["fills"])
    engine.step2_book(sym, event)
    engine.step3_fills(sym)
    return [(row[7], row[8]) for row in engine.records["fills"][before:]]


def test_best_price_then_levels_beyond():
    """120 lots: a newer quote shows 30 at 9,999, where the book has 25; then 20, 40 and 30 of 100 lots of the book."""
    engine, sym = setting(120)
    sym.orders[7].state = 0  # not yet live
    assert market(engine, sym, 0, BIDS, ASKS) == []
    sym.orders[7].state = 1
    assert market(engine, sym, 1, bid_qty=30) == [(9_999, 30), (9_998, 20), (9_995, 40), (9_990, 30)]
    assert sym.ledger.position == 0 and not sym.orders
    # fees of 5 bp, each ceiled: 9,999 * 30 * 10,000 * 0.0005 = 1,499,850, ...
    assert [row[9] for row in engine.records["fills"]] == [1_499_850, 999_800, 1_999_000, 1_498_500]
    assert [row[3:] for row in engine.records["orders"]] == [  # order, from, to, price, remaining, live_ts
        (7, 1, 2, 0, 90, 0),
        (7, 2, 2, 0, 70, 0),
        (7, 2, 2, 0, 30, 0),
        (7, 2, 3, 0, 0, 0),
    ]


def test_a_buy_walks_the_asks():
    engine, sym = setting(-20)
    assert market(engine, sym, 0, BIDS, ASKS) == [(10_001, 7), (10_003, 8)]  # a level of price 0 is none
    assert sym.orders[7].qty == 5 and sym.orders[7].state == 2
    assert market(engine, sym, 1) == []  # a trade: nothing new is displayed
    assert market(engine, sym, 2, BIDS, [(10_002, 1), (10_004, 9)]) == [(10_002, 1), (10_004, 4)]
    assert sym.ledger.position == 0


def test_what_was_taken_of_a_book_is_gone():
    engine, sym = setting(60)
    assert market(engine, sym, 0, BIDS, ASKS) == [(9_999, 25), (9_998, 20), (9_995, 15)]
    sym.ledger.apply_fill(BUY, 10_000, 50, 0)
    flatten(sym, SELL, 50, order=8)
    assert market(engine, sym, 1) == [(9_995, 25), (9_990, 25)]
    sym.ledger.apply_fill(BUY, 10_000, 90, 0)
    flatten(sym, SELL, 90, order=9)
    # A higher quote: 5 of it; 9,999 to 9,995 are better than the farthest price taken; 75 are left at 9,990.
    assert market(engine, sym, 2, bid_px=10_000, bid_qty=5) == [(10_000, 5), (9_990, 75)]
    # A quote at a level of the book: its own quantity counts, the book's only strictly beyond.
    assert market(engine, sym, 3, bid_px=9_990, bid_qty=3) == [(9_990, 3)]
    assert market(engine, sym, 4, BIDS, ASKS) == [(9_999, 7)]  # another book


def test_prices_taken_as_the_best_do_not_use_the_book_up():
    """10 lots at a quote of 9,996 take nothing of the book, whose 9,998 and 9,995 a later, higher quote shows again."""
    engine, sym = setting(10)
    sym.orders[7].state = 0
    market(engine, sym, 0, BIDS, ASKS)
    sym.orders[7].state = 1
    assert market(engine, sym, 1, bid_px=9_996, bid_qty=10) == [(9_996, 10)]
    sym.ledger.apply_fill(BUY, 10_000, 30, 0)
    flatten(sym, SELL, 30, order=8)
    assert market(engine, sym, 2, bid_px=10_000, bid_qty=0, ask_qty=1) == [(9_999, 25), (9_998, 5)]


def test_a_stale_book_is_not_walked():
    engine, sym = setting(100)
    sym.orders[7].state = 0
    market(engine, sym, 0, BIDS, ASKS)
    sym.orders[7].state = 1
    slipped = math.floor(9_999 * Fraction(9_998, 10_000))
    assert slipped == 9_997
    assert market(engine, sym, 2_001, bid_qty=30) == [(slipped, 30)]
    engine, sym = setting(100)
    sym.orders[7].state = 0
    market(engine, sym, 0, BIDS, ASKS)
    sym.orders[7].state = 1
    assert market(engine, sym, 2_000, bid_qty=30)[0] == (9_999, 30)  # 2 s old: still fresh


def test_cycles_lose_lots_fill_by_fill():
    engine, sym = setting(30, qty=28)
    for i, qty in enumerate((10, 20)):
        sym.cycles[i] = Cycle(i, BUY, 10_000, qty, 10_100, 10**6, 0)
    assert market(engine, sym, 0, [(9_999, 9), (9_998, 2), (9_997, 99)], ASKS) == [(9_999, 9), (9_998, 2), (9_997, 17)]
    assert [(c.id, c.qty) for c in sym.cycles.values()] == [(1, 2)] and sym.ledger.position == 2


def test_eaten():
    eaten = Eaten()
    eaten.take(101, 3)
    eaten.take(103, 2)
    eaten.take(103, 1)
    levels = [(100, 9), (101, 9), (102, 9), (103, 9), (104, 9), (105, 0)]
    assert beyond(BUY, 99, levels, eaten) == [(103, 6), (104, 9)]
    assert beyond(BUY, 103, levels, eaten) == [(104, 9)]
    eaten.take(103, 6)
    assert beyond(BUY, 100, levels, eaten) == [(104, 9)]
    assert beyond(SELL, 102, [(101, 5), (100, 4), (0, 0)], Eaten()) == [(101, 5), (100, 4)]
