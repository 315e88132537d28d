"""Features of books: by hand, against an obvious walk of the levels; which book counts, and for how long (SPEC 4, 5)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.features.book import book_slope, depth, vwap, walls
from grinder.records import STAGES, Feature
from grinder.session import replay
from grinder.units import MONEY_LIMIT

MINUTE, SECOND = 60 * 10**9, 10**9
START = 1_700_000_040 * 10**9 // MINUTE * MINUTE
COIN = Instrument(symbol="COIN", kind="perpetual", tick_size="0.5", lot_size="0.01")  # a tick and lot is 500,000 atoms
TICK_VALUE = 500_000
L2 = [name for name in STAGES["features"][1:] if Feature[name.upper()] >= Feature.DEPTH_BID]
ALL_L2 = sum(Feature[name.upper()] for name in L2)
Levels = list[tuple[int, int]]


def books(rows: list[tuple[int, Levels, Levels]], symbol: int | None = None, top: int = 10) -> dict[str, list[int]]:
    """A stream of books from (ts, bids, asks)."""
    out: dict[str, list[int]] = {"ts": [row[0] for row in rows]}
    if symbol is not None:
        out["symbol"] = [symbol] * len(rows)
    for i in range(top):
        for place, side in ((1, "bid"), (2, "ask")):
            levels = [row[place][i] if i < len(row[place]) else (0, 0) for row in rows]
            out[f"{side}_px_{i}"], out[f"{side}_qty_{i}"] = ([level[k] for level in levels] for k in (0, 1))
    return out


def after(bids: Levels, asks: Levels, ages: tuple[int, ...] = (0,), top: int = 10, **changes):
    """Features of a bar whose last event is this book, `age` ns before the event that closes it."""
    close = START + MINUTE
    rows = [(close - age, bids, asks) for age in ages]
    quotes = {"ts": [START, close + 1], "bid_px": [999, 999], "ask_px": [1001, 1001], "bid_qty": [1, 1], "ask_qty": [1, 1]}
    fixture = Fixture.from_arrays([COIN], quotes=quotes, books=books(rows, top=top))
    (row,) = replay(fixture, Config(quantity="0.01", **changes)).features.records
    return row


def q(value: float) -> int:
    return math.floor(value * 1e8 + 0.5)


BIDS = [(999, 4), (998, 6), (996, 40), (990, 8)]
ASKS = [(1001, 5), (1003, 5), (1004, 30)]


def test_a_book_worked_by_hand():
    """Mid 1000 ticks of 0.5; Q of 50 quote is 5e9 atoms, 10,000 tick-lots.

    | side | walk for 10,000 tick-lots         | lots                      |
    |------|-----------------------------------|---------------------------|
    | bid  | 3996 + 5988 = 9984, then 16 at 996 | 4 + 6 + 16/996            |
    | ask  | 5005, then 4995 at 1003            | 5 + 4995/1003             |
    """
    row = after(BIDS, ASKS, ages=(1,), impact_quote=50)
    assert row["absent"] & ALL_L2 == 0
    assert row["depth_bid"] == (999 * 4 + 998 * 6 + 996 * 40 + 990 * 8) * TICK_VALUE
    assert row["depth_ask"] == (1001 * 5 + 1003 * 5 + 1004 * 30) * TICK_VALUE
    bid, ask = 57_744, 40_140
    assert row["depth_imbalance"] == q((bid - ask) / (bid + ask))
    bid_vwap, ask_vwap = 10_000 / (10 + 16 / 996), 10_000 / (5 + 4995 / 1003)
    assert row["impact"] == q((ask_vwap - 1001) / 1000) == 99_800  # the worse side: the bid's 0.6 ticks less
    assert row["spread_at_depth"] == q((ask_vwap - bid_vwap) / 1000)
    # distances 10, 30, 40 bp, cumulative 5, 10, 40: slope = (-16.67*-13.33 + 3.33*-8.33 + 13.33*21.67) / (277.8 + 11.1 + 177.8)
    assert row["slope_ask"] == q(483.3333333333333 / 466.6666666666667)
    assert (row["walls_bid"], row["walls_ask"]) == (1, 1)  # medians 6 and 5: walls from 30 and 25
    assert (row["wall_dist_bid"], row["wall_dist_ask"]) == (q(0.004), q(0.004))


def test_a_book_that_is_too_shallow_has_no_impact_but_depth():
    row = after(BIDS, ASKS, ages=(1,), impact_quote="200.71")
    short = Feature.IMPACT | Feature.SPREAD_AT_DEPTH
    assert row["absent"] & ALL_L2 == short  # the ask side is worth 200.70
    assert row["impact"] == row["spread_at_depth"] == 0
    assert after(BIDS, ASKS, ages=(1,), impact_quote="200.70")["absent"] & ALL_L2 == 0


def test_one_side_alone():
    row = after(BIDS, [], ages=(1,), impact_quote=50)
    missing = Feature.IMPACT | Feature.SPREAD_AT_DEPTH | Feature.SLOPE_ASK | Feature.WALLS_ASK | Feature.WALL_DIST_ASK
    assert row["absent"] & ALL_L2 == missing
    assert (row["depth_ask"], row["depth_imbalance"], row["walls_bid"]) == (0, 10**8, 1)


def test_one_level_has_no_slope():
    row = after(BIDS[:1], ASKS, ages=(1,))
    assert row["absent"] & Feature.SLOPE_BID and not row["absent"] & (Feature.SLOPE_ASK | Feature.WALLS_BID)


@pytest.mark.parametrize(("age", "fresh"), [(1, True), (2 * SECOND - 1, True), (2 * SECOND, False)])
def test_a_book_is_stale_once_it_is_older_than_the_limit(age, fresh):
    row = after(BIDS, ASKS, ages=(age,))  # the closing event comes 1 ns after the end of the bar
    assert bool(row["absent"] & Feature.DEPTH_BID == 0) is fresh
    if not fresh:
        assert row["absent"] & ALL_L2 == ALL_L2
        assert all(row[name] == 0 for name in L2)


def test_a_book_of_the_closing_event_belongs_to_the_next_bar():
    close = START + MINUTE
    quotes = {"ts": [START], "bid_px": [999], "ask_px": [1001], "bid_qty": [1], "ask_qty": [1]}
    fixture = Fixture.from_arrays([COIN], quotes=quotes, books=books([(close - 5, BIDS, ASKS), (close, BIDS[:1], ASKS[:1])]))
    (row,) = replay(fixture, Config(quantity="0.01")).features.records
    assert row["depth_bid"] == 57_744 * TICK_VALUE


def test_a_quarantined_book_says_nothing():
    crossed = (START + MINUTE - 5, [(1002, 1)], [(1001, 1)])
    rows = [(START + i, BIDS, ASKS) for i in range(2000)] + [(START + MINUTE - 9, BIDS[1:], ASKS), crossed]
    quotes = {"ts": [START, START + MINUTE], "bid_px": [999, 999], "ask_px": [1001, 1001], "bid_qty": [1, 1], "ask_qty": [1, 1]}
    fixture = Fixture.from_arrays([COIN], quotes=quotes, books=books(rows))
    run = replay(fixture, Config(quantity="0.01"))
    assert run.input["code"].tolist().count(1) == 1
    assert run.features["depth_bid"].tolist() == [(57_744 - 999 * 4) * TICK_VALUE]


def test_each_symbol_has_its_own_book():
    other = Instrument(symbol="OTHER", kind="perpetual", tick_size="0.5", lot_size="0.01")
    close = START + MINUTE
    quotes = {"ts": [START, START, close], "symbol": [0, 1, 0]}
    quotes |= {"bid_px": [999] * 3, "ask_px": [1001] * 3, "bid_qty": [1] * 3, "ask_qty": [1] * 3}
    first, second = books([(close - 9, BIDS, ASKS)], symbol=0), books([(close - 8, BIDS[:1], ASKS)], symbol=1)
    both = {name: first[name] + second[name] for name in first}
    run = replay(Fixture.from_arrays([COIN, other], quotes=quotes, books=both), Config(quantity="0.01"))
    assert run.features["depth_bid"].tolist() == [57_744 * TICK_VALUE, 3_996 * TICK_VALUE]


def test_only_the_top_levels_count():
    row = after(BIDS, ASKS, ages=(1,), top_n=2)
    assert row["depth_bid"] == (999 * 4 + 998 * 6) * TICK_VALUE
    assert row == after(BIDS[:2], ASKS[:2], ages=(1,), top_n=2) == after(BIDS[:2], ASKS[:2], ages=(1,), top=2)


def test_depth_saturates():
    prices, quantities = np.array([2**35, 2**35]), np.array([2**31, 2**31])
    assert depth(prices, quantities, 2, 2**20) == MONEY_LIMIT - 1
    assert depth(prices, quantities, 1, 2**60) == MONEY_LIMIT - 1


# Against the obvious


@st.composite
def sides(draw):
    """Levels of a side of asks, best first, and a mid below them."""
    prices = sorted(draw(st.sets(st.integers(2, 10**6), min_size=1, max_size=12)))
    quantities = draw(st.lists(st.integers(0, 10**6), min_size=len(prices), max_size=len(prices)))
    mid2 = draw(st.integers(2, 2 * prices[0]))
    return prices, quantities, mid2


@settings(max_examples=300, derandomize=True, deadline=None)
@given(sides(), st.integers(1, 12), st.integers(1, 10**13), st.sampled_from((1, 7, TICK_VALUE)))
def test_walks_against_fractions(side, n, quote, tick_value):
    prices, quantities, mid2 = side
    n = min(n, len(prices))
    arrays = np.array(prices), np.array(quantities)
    worth = [p * size * tick_value for p, size in zip(prices, quantities, strict=True)][:n]
    assert depth(*arrays, n, tick_value) == sum(worth)
    if sum(worth) >= quote:
        lots, left = Fraction(0), quote
        for p, value in zip(prices, worth, strict=False):
            lots, left = lots + Fraction(min(left, value), p * tick_value), left - min(left, value)
        assert vwap(*arrays, n, quote, tick_value) == pytest.approx(float(quote / lots / tick_value), rel=1e-12)
    xs = [Fraction(abs(2 * p - mid2) * 10_000, mid2) for p in prices[:n]]
    ys = [sum(quantities[: i + 1]) for i in range(n)]
    mean_x, mean_y = sum(xs) / n, Fraction(sum(ys), n)
    below = sum((x - mean_x) ** 2 for x in xs)
    known, slope = book_slope(*arrays, n, mid2)
    assert known == (n > 1)
    if known:
        exact = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / below
        assert slope == pytest.approx(float(exact), rel=1e-6, abs=1e-6)
    median = sorted(quantities[:n])[(n - 1) // 2]
    tall = [p for p, size in zip(prices[:n], quantities, strict=False) if size >= 5 * median > 0]
    assert walls(*arrays, n, mid2, 5 * 10**8) == (len(tall), min((abs(2 * p - mid2) for p in tall), default=0))


@pytest.mark.parametrize("chunk", [1, 7, 64, 4096])
def test_stretches_of_any_size_see_the_same_books(chunk):
    rng = np.random.default_rng(5)
    n = 900
    mids = 1000 + np.cumsum(rng.integers(-1, 2, n))
    ts = START + np.cumsum(rng.integers(0, 1_500, n)) * 1_000_000
    rows = [
        (int(t), [(int(m) - 1 - i, int(rng.integers(1, 9))) for i in range(3)], [(int(m) + 1 + i, 2) for i in range(3)])
        for t, m in zip(ts[::3], mids[::3], strict=True)
    ]
    quotes = {"ts": ts, "bid_px": mids - 1, "ask_px": mids + 1, "bid_qty": [1] * n, "ask_qty": [1] * n}
    fixture = Fixture.from_arrays([COIN], quotes=quotes, books=books(rows))
    config = Config(quantity="0.01", bar_interval_ms=5_000, impact_quote=10)
    whole = replay(fixture, config)
    seen = whole.features["absent"] & Feature.DEPTH_BID == 0
    assert 10 < seen.sum() < len(seen)
    assert replay(fixture, config, chunk=chunk).digest == whole.digest
    for cut in (1, 333, 700):
        assert replay(fixture, config, resume=replay(fixture, config, until=cut)).digest == whole.digest


def test_stale_books_are_as_good_as_none():
    """INVARIANTS 36: books that are never fresh change no feature; what they say of L1 stands in the quotes too."""
    ts = [START + i * 10 * SECOND for i in range(60)]
    quotes = {"ts": ts, "bid_px": [999] * 60, "ask_px": [1001] * 60, "bid_qty": [4] * 60, "ask_qty": [5] * 60}
    with_books = Fixture.from_arrays([COIN], quotes=quotes, books=books([(t, BIDS, ASKS) for t in ts]))
    stale = replay(with_books, Config(quantity="0.01", l2_stale_ms=1)).features.to_polars().drop("event")
    none = replay(Fixture.from_arrays([COIN], quotes=quotes), Config(quantity="0.01")).features.to_polars().drop("event")
    assert len(stale) == 9 and stale.equals(none)
