"""Bars to quotes: the path by hand, and what holds for every bar."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from grinder.data.bars import around, bar_quotes, first_overlap, unlike_bar

MINUTE = 60 * 10**9


def bar(open_: int, high: int, low: int, close: int) -> dict[str, np.ndarray]:
    return {name: np.array([px]) for name, px in zip(("open", "high", "low", "close"), (open_, high, low, close), strict=True)}


def quotes(bid: dict, ask: dict) -> list[tuple[int, ...]]:
    made = bar_quotes(np.array([7 * MINUTE]), MINUTE, bid, ask, np.array([3]), np.array([4]))
    return list(zip(*(made[name].tolist() for name in ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")), strict=True))


def test_the_low_comes_first_when_it_is_nearer():
    at = [7 * MINUTE + k * MINUTE // 4 for k in range(4)]
    made = quotes(bar(100, 110, 98, 105), bar(102, 111, 99, 106))
    assert made == [(at[0], 100, 3, 102, 4), (at[1], 98, 3, 99, 4), (at[2], 110, 3, 111, 4), (at[3], 105, 3, 106, 4)]


def test_the_high_comes_first_when_it_is_nearer_and_the_low_on_a_tie():
    assert [row[1] for row in quotes(bar(100, 101, 90, 95), bar(101, 102, 91, 96))] == [100, 101, 90, 95]
    assert [row[1] for row in quotes(bar(100, 105, 95, 95), bar(101, 106, 96, 96))] == [100, 95, 105, 95]


def test_one_order_for_both_sides():
    """The bid alone would go up first, the ask alone down: the mid decides, 2 up against 3 down."""
    made = quotes(bar(100, 101, 98, 100), bar(104, 105, 103, 104))
    assert [(row[1], row[3]) for row in made] == [(100, 104), (101, 105), (98, 103), (100, 104)]


def test_a_constant_bar_is_four_equal_quotes():
    assert {row[1:] for row in quotes(bar(5, 5, 5, 5), bar(6, 6, 6, 6))} == {(5, 3, 6, 4)}


def test_around_rounds_passively():
    prices = {"open": np.array([100])}
    shown = [tuple(int(side["open"][0]) for side in around(prices, spread)) for spread in (0, 1, 2, 3)]
    assert shown == [(100, 100), (99, 101), (99, 101), (98, 102)]


def test_what_is_no_bar():
    assert unlike_bar(bar(5, 6, 4, 5)) is None
    assert unlike_bar(bar(7, 6, 4, 5)) == (0, "open")
    assert unlike_bar(bar(5, 6, 4, 3)) == (0, "close")
    assert unlike_bar({name: np.repeat(px, 2) for name, px in bar(5, 4, 5, 5).items()} | {"open": np.array([5, 5])}) is not None


@st.composite
def days(draw):
    """Bars of a walk of uncrossed quotes, bid and ask made of different moments."""
    bids, asks = [], []
    for _ in range(draw(st.integers(1, 8))):
        seen = draw(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 50)), min_size=1, max_size=12))
        one, two = [low for low, _ in seen], [low + wide for low, wide in seen]
        for out, path in ((bids, one), (asks, two)):
            out.append((path[0], max(path), min(path), path[-1]))
    shape = ("open", "high", "low", "close")
    bid, ask = (
        {name: np.array(values) for name, values in zip(shape, zip(*out, strict=True), strict=True)} for out in (bids, asks)
    )
    return bid, ask, draw(st.sampled_from([1, 7, 10**9, MINUTE]))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(days())
def test_every_quote_is_inside_its_bar_and_none_is_crossed(day):
    bid, ask, interval = day
    n = len(bid["open"])
    start = 1_700_000_000 * 10**9 + np.arange(n) * interval
    made = bar_quotes(start, interval, bid, ask, 1, 1)
    ts = made["ts"].reshape(n, 4)
    assert (np.diff(made["ts"]) >= 0).all()
    assert (ts[:, 0] == start).all()
    assert (ts < start[:, None] + interval).all(), "no quote at or past the bar's end"
    for side, given_bar in (("bid", bid), ("ask", ask)):
        px = made[f"{side}_px"].reshape(n, 4)
        assert (px[:, 0] == given_bar["open"]).all()
        assert (px[:, 3] == given_bar["close"]).all()
        assert (px.min(axis=1) == given_bar["low"]).all()
        assert (px.max(axis=1) == given_bar["high"]).all()
    assert (made["bid_px"] <= made["ask_px"]).all()
    mid = (made["bid_px"] + made["ask_px"]).reshape(n, 4)
    first, second = np.abs(mid[:, 1] - mid[:, 0]), np.abs(mid[:, 2] - mid[:, 0])
    assert (first <= second).all(), "the nearer extreme first"
    assert (mid[:, 1] <= mid[:, 2])[first == second].all(), "the low first on a tie"


def test_the_first_bar_that_overlaps_the_one_before():
    ts = np.array([0, 60, 120, 170, 240])
    assert first_overlap(ts, 60) == 3
    assert first_overlap(ts, 50) is None
    assert first_overlap(ts, np.array([60, 61, 1, 1, 500])) == 2
    assert first_overlap(ts, np.array([60, 60, 50, 70, 500])) is None, "a bar may begin where another ends"
    assert first_overlap(np.array([5, 5]), 1) == 1
    assert first_overlap(ts[:1], 60) is None
