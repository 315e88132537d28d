"""Features against values worked by hand, the `ta` package, and a recomputation from scratch at every bar (SPEC 4, 16)."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.features.book import imbalance_l1, spread_bps, thin_l1
from grinder.features.trend import ema, range_score, trend_strength
from grinder.features.volatility import true_range, wilder
from grinder.policies.own import Features, TargetState, WantedOrder, policy
from grinder.records import STAGES, Feature
from grinder.session import replay
from grinder.units import MONEY_LIMIT
from tests.oracles.make_ta_table import TABLE, bars
from tests.tapes import case
from tests.volumes import PROPERTY, volume

MINUTE = 60_000_000_000
START = 1_700_000_040 * 10**9 // MINUTE * MINUTE
COIN = Instrument(symbol="COIN", kind="perpetual", tick_size="0.5", lot_size="0.01")
NAMES = STAGES["features"]
L2 = sum(feature for feature in Feature if feature >= Feature.DEPTH_BID)


def tape(rows, times=None, config=None) -> Fixture:
    """Four quotes a bar along open, high, low, close in half ticks (even numbers), and one more that closes the last bar."""
    mids = [price for first, high, low, close in rows for price in (first, high, low, close)] + [rows[-1][3]]
    ts = times or [START + MINUTE * i + 10**9 * k for i in range(len(rows)) for k in range(4)] + [START + MINUTE * len(rows)]
    quotes = {"ts": ts, "bid_px": [m // 2 - 1 for m in mids], "ask_px": [m // 2 + 1 for m in mids]}
    quotes |= {"bid_qty": [3 + i % 2 for i in range(len(mids))], "ask_qty": [5] * len(mids)}
    return Fixture.from_arrays([COIN], quotes=quotes, config=config)


def features(fixture: Fixture, **changes) -> np.ndarray:
    return replay(fixture, Config(quantity="0.01", **changes)).features.records


def quantised(value: float) -> int:
    return math.floor(value * 1e8 + 0.5)


# By hand


HAND = [(200, 210, 196, 204), (204, 208, 200, 206), (206, 220, 206, 216), (216, 216, 202, 202), (202, 206, 200, 204)]


def test_a_small_series_worked_by_hand():
    """Windows of 2 bars: ATR 2, returns over 2, averages over 1 and 3.

    | bar | close | TR           | ATR(2)              | EMA(3) = e + (c - e)/2 | path over 2     | over 2  |
    |-----|-------|--------------|---------------------|------------------------|-----------------|---------|
    | 0   | 204   | 210-196 = 14 |                     | 204                    |                 |         |
    | 1   | 206   | 208-200 = 8  | (14+8)/2 = 11       | 205                    |                 |         |
    | 2   | 216   | 220-206 = 14 | (11+14)/2 = 12.5    | 210.5                  | 2/204 + 10/206  | 12/204  |
    | 3   | 202   | 216-202 = 14 | (12.5+14)/2 = 13.25 | 206.25                 | 10/206 + 14/216 | -4/206  |
    | 4   | 204   | 206-200 = 6  | (13.25+6)/2 = 9.625 | 205.125                | 14/216 + 2/202  | -12/216 |
    """
    rows = features(tape(HAND), atr_bars=2, return_bars=2, ema_fast=1, ema_slow=3)
    assert rows["tr"].tolist() == [14 * 10**8, 8 * 10**8, 14 * 10**8, 14 * 10**8, 6 * 10**8]
    assert rows["atr"].tolist() == [0, 1_100_000_000, 1_250_000_000, 1_325_000_000, 962_500_000]
    assert rows["natr"].tolist() == [0, 5_339_806, 5_787_037, 6_559_406, 4_718_137]  # 11/206, 12.5/216, 13.25/202, 9.625/204
    assert rows["sum_abs_returns"].tolist() == [0, 0, 5_834_761, 11_335_850, 7_471_580]
    assert rows["net_return"].tolist() == [0, 0, 5_882_353, 1_941_748, 5_555_556]
    # path over (net + 0.0001)
    assert rows["range_score"].tolist() == [0, 0, 99_022_600, 580_805_150, 134_246_805]
    # |216-204| / 12, |202-206| / 24, |204-216| / 16
    assert rows["efficiency_ratio"].tolist() == [0, 0, 100_000_000, 16_666_667, 75_000_000]
    # (216-210.5)/12.5, (202-206.25)/13.25, (204-205.125)/9.625
    assert rows["trend_strength"].tolist() == [0, 0, 44_000_000, -32_075_472, -11_688_312]
    absent = [Feature(mask) & ~L2 for mask in rows["absent"].tolist()]
    slow = Feature.TREND_STRENGTH
    returns = Feature.SUM_ABS_RETURNS | Feature.NET_RETURN | Feature.RANGE_SCORE | Feature.EFFICIENCY_RATIO
    assert absent == [Feature.ATR | Feature.NATR | returns | slow, returns | slow, 0, 0, 0]


def test_l1_features_are_those_of_the_last_quote_before_the_closing_event():
    rows = features(tape(HAND))
    last = [(3 + (4 * i + 3) % 2, HAND[i][3] // 2) for i in range(5)]  # bid quantity, mid in ticks
    assert rows["spread_bps"].tolist() == [quantised(2 / mid) for _, mid in last]
    assert rows["imbalance_l1"].tolist() == [quantised((qty - 5) / (qty + 5)) for qty, _ in last]
    # 4 lots of 0.01 at mid - 1 ticks of 0.5 against 5 at mid + 1; a tick and lot is 0.005 quote, 500,000 atoms
    assert rows["thin_l1"].tolist() == [4 * (mid - 1) * 500_000 for _, mid in last]


# Against the package


@pytest.fixture(scope="module")
def table():
    read = json.loads(TABLE.read_text())
    return {key: np.array([float.fromhex(value) for value in values]) for key, values in read.items() if "_" in key} | {
        "bars": [tuple(row) for row in read["bars"]]
    }


def test_the_table_is_of_these_bars(table):
    assert table["bars"] == bars(400)
    assert len({row[1] - row[2] for row in table["bars"]}) > 100


@pytest.mark.parametrize("n", [1, 2, 14, 48])
def test_atr_and_natr_are_those_of_ta_from_the_first_value(table, n):
    rows = features(tape(table["bars"]), atr_bars=n)
    known = rows["absent"] & Feature.ATR == 0
    assert known.tolist() == [i >= n - 1 for i in range(400)]
    theirs, closes = table[f"atr_{n}"], np.array([row[3] for row in table["bars"]])
    np.testing.assert_array_equal(rows["atr"][known], [quantised(value) for value in theirs[known]])
    np.testing.assert_array_equal(rows["natr"][known], [quantised(value) for value in theirs[known] / closes[known]])
    average = 0.0
    for i, (high, low, before) in enumerate(zip(*ranges(table["bars"]), strict=True)):
        tr = high - low if i == 0 else true_range(high, low, before)
        average = wilder(average, tr, i + 1, n)
        if i >= n - 1:
            assert average == pytest.approx(theirs[i], rel=1e-9, abs=0)


@pytest.mark.parametrize("n", [12, 48])
def test_averages_are_those_of_ta_from_the_first_value(table, n):
    average = float(table["bars"][0][3])
    for i, row in enumerate(table["bars"]):
        average = ema(average, row[3], n) if i else average
        assert average == pytest.approx(table[f"ema_{n}"][i], rel=1e-9, abs=0)


def test_trend_strength_is_that_of_ta(table):
    rows = features(tape(table["bars"]))
    known = rows["absent"] & Feature.TREND_STRENGTH == 0
    assert known.tolist() == [i >= 47 for i in range(400)]
    theirs = (table["ema_12"] - table["ema_48"])[known] / table["atr_14"][known]
    assert np.abs(rows["trend_strength"][known] - theirs * 1e8).max() <= 1


def ranges(rows):
    return [r[1] for r in rows], [r[2] for r in rows], [0, *(r[3] for r in rows[:-1])]


# From scratch at every bar (35)


def from_scratch(closed, l1, config: Config) -> dict[str, int]:
    """The features after the last of `closed` (open, high, low, close), by SPEC 4 and 16.1, in plain Python."""
    n, h, closes = config.atr_bars, config.return_bars, [bar[3] for bar in closed]
    trs = [bar[1] - bar[2] for bar in closed[:1]]
    trs += [max(b[1] - b[2], abs(b[1] - a[3]), abs(b[2] - a[3])) for a, b in pairwise(closed)]
    out = {"tr": trs[-1] * 10**8}
    atr = None
    if len(trs) >= n:
        if config.atr_method == "sma":
            atr = float(sum(trs[-n:])) / n
        else:
            atr = float(sum(trs[:n])) / n
            for tr in trs[n:]:
                atr = (atr * (n - 1) + tr) / n
        out |= {"atr": quantised(atr), "natr": quantised(atr / closes[-1])}
    if len(closes) > h:
        window = closes[-h - 1 :]
        path = 0.0
        for a, b in pairwise(window):
            path += abs(b / a - 1)
        net = abs(window[-1] / window[0] - 1)
        moved = sum(abs(b - a) for a, b in pairwise(window))
        out |= {"sum_abs_returns": quantised(path), "net_return": quantised(net)}
        score = min(path / (net + float(config.range_eps)), float(config.range_cap))
        ratio = abs(window[-1] - window[0]) / moved if moved else 0.0
        out |= {"range_score": quantised(score), "efficiency_ratio": quantised(ratio)}
    if atr is not None and len(closes) >= max(config.ema_fast, config.ema_slow):
        fast = slow = float(closes[0])
        for close in closes[1:]:
            fast += 2.0 / (config.ema_fast + 1) * (close - fast)
            slow += 2.0 / (config.ema_slow + 1) * (close - slow)
        out["trend_strength"] = quantised((fast - slow) / atr) if atr else 0
    bid, bid_qty, ask, ask_qty = l1
    both = bid_qty + ask_qty
    out |= {"spread_bps": quantised(2 * (ask - bid) / (bid + ask)), "imbalance_l1": quantised((bid_qty - ask_qty) / both)}
    return out


def from_book(book: np.ndarray, mid2: int, config: Config, tick_value: int) -> dict[str, int]:
    """The features of a fresh book (4, N), as SPEC 4 and ADR-0015 write them."""
    sides, mid = {}, mid2 / 2
    for side, (prices, quantities) in {"bid": book[:2].tolist(), "ask": book[2:].tolist()}.items():
        sides[side] = [(p, size) for p, size in zip(prices, quantities, strict=True) if p > 0][: config.top_n]
    worth = {side: sum(p * size for p, size in levels) * tick_value for side, levels in sides.items()}
    both, quote = sum(worth.values()), int(config.impact_quote * 10**8)
    out = {f"depth_{side}": value for side, value in worth.items()}
    out["depth_imbalance"] = quantised((worth["bid"] - worth["ask"]) / both) if both else 0
    paid = {}
    for side, levels in sides.items():
        if levels:
            limit = math.ceil(config.wall_ratio * sorted(size for _, size in levels)[(len(levels) - 1) // 2])
            tall = [abs(2 * p - mid2) for p, size in levels if size >= limit > 0]
            out |= {f"walls_{side}": len(tall), f"wall_dist_{side}": quantised(min(tall, default=0) / mid2)}
        xs = [abs(2 * p - mid2) / mid2 * 10_000 for p, _ in levels]
        ys = [sum(size for _, size in levels[: i + 1]) for i in range(len(levels))]
        if len(set(xs)) > 1:
            mean_x, mean_y = sum(xs, 0.0) / len(xs), sum(ys, 0.0) / len(ys)
            above = below = 0.0
            for x, y in zip(xs, ys, strict=True):
                above, below = above + (x - mean_x) * (y - mean_y), below + (x - mean_x) * (x - mean_x)
            out[f"slope_{side}"] = quantised(above / below)
        left, lots = quote, 0.0
        for p, size in levels:
            taken = min(left, p * size * tick_value)
            lots, left = lots + taken / (p * tick_value), left - taken
        if left == 0:
            paid[side] = quote / (lots * tick_value)
    if len(paid) == 2:
        out["impact"] = quantised(max(abs(paid[side] - sides[side][0][0]) / mid for side in paid))
        out["spread_at_depth"] = quantised((paid["ask"] - paid["bid"]) / mid)
    return out


def check_from_scratch(fixture: Fixture, config: Config) -> int:
    """Compare every row of the features of a replay; returns how many there were."""
    run, e = replay(fixture, config), fixture.events
    tick = (e.fault == 0) & ((e.kind == 1) | (e.kind == 2))
    for s, instrument in enumerate(fixture.instruments):
        mine = np.flatnonzero(tick & (e.symbol == s))
        gaps = run.input["event"][(run.input["kind"] == 2) & (run.input["symbol"] == s)].tolist()
        closed, before, rows = [], -1, iter(run.features.records[run.features["symbol"] == s])
        for bar in run.bars.records[run.bars["symbol"] == s]:
            event = int(bar["event"])
            if any(before <= gap <= event for gap in gaps):
                closed = []
            before = event
            if event in gaps:  # the bar that a gap closes
                continue
            closed.append(tuple(int(bar[name]) for name in ("open", "high", "low", "close")))
            row, last = next(rows), mine[mine < event][-1]
            assert (row["event"], row["ts"]) == (event, e.ts[event])
            l1 = [int(getattr(e, name)[last]) for name in ("bid_px", "bid_qty", "ask_px", "ask_qty")]
            expected = from_scratch(closed, l1, config)
            expected["thin_l1"] = min(l1[0] * l1[1], l1[2] * l1[3]) * instrument.tick_value
            books = [k for k, i in enumerate(e.book_rows) if i < event and e.symbol[i] == s and e.fault[i] == 0]
            if books and e.ts[event] - e.ts[e.book_rows[books[-1]]] <= config.l2_stale_ms * 1_000_000:
                expected |= from_book(e.books[books[-1]], l1[0] + l1[2], config, instrument.tick_value)
            mask = sum(feature for feature in Feature if feature.name.lower() not in expected)
            assert {name: int(row[name]) for name in NAMES} == {"absent": mask} | {n: expected.get(n, 0) for n in NAMES[1:]}
        assert next(rows, None) is None
    return len(run.features)


@pytest.mark.parametrize("seed", range(150))
@volume(PROPERTY)
def test_incremental_is_from_scratch_on_random_tapes(seed):
    """35, with gaps, several symbols, quarantined rows, trades and books between the quotes, and windows of any length."""
    c = case(seed)
    draw = np.random.default_rng(seed).integers(1, 9, 4).tolist()
    windows = dict(zip(("atr_bars", "return_bars", "ema_fast", "ema_slow"), draw, strict=True))
    books = {"impact_quote": str(draw[0] / 100), "l2_stale_ms": 700 * draw[1], "wall_ratio": 1 + draw[2] / 8}
    check_from_scratch(c.fixture, Config(atr_method=("wilder", "sma")[seed % 2], **windows, **books).over(c.config))


def test_random_tapes_fill_the_windows():
    """What the test above compares is there to be compared."""
    absent = [
        replay(c.fixture, Config(atr_bars=3, return_bars=3, ema_slow=4).over(c.config)).features["absent"]
        for c in map(case, range(40))
    ]
    assert sum(int((masks & ~L2 == 0).sum()) for masks in absent) > 200
    assert sum(int((masks & Feature.DEPTH_BID == 0).sum()) for masks in absent) > 50


@pytest.mark.parametrize("changes", [{}, {"atr_method": "sma"}, {"return_bars": 7, "range_cap": 3}])
def test_incremental_is_from_scratch_on_the_long_series(changes):
    fixture = tape(bars(400))
    assert check_from_scratch(fixture, Config(quantity="0.01", **changes)) == 400


# Gaps, flat prices, extremes


def test_a_gap_empties_every_window():
    """The bar that the gap closes has its record but no features; afterwards all is as at the start."""
    first, later = bars(70), bars(70, seed=9)
    times = [START + MINUTE * (i + (100 if i >= 70 else 0)) + 10**9 * k for i in range(140) for k in range(4)] + [
        START + MINUTE * 240
    ]
    both = features(tape(first + later, times))
    alone = features(tape(later, [ts - MINUTE * 170 for ts in times[280:]]))
    assert len(both) == 69 + 70
    for name in NAMES[1:]:
        if name not in ("imbalance_l1", "thin_l1"):  # sizes alternate along the tape
            assert both[name][69:].tolist() == alone[name].tolist(), name
    assert both["absent"][69:].tolist() == alone["absent"].tolist()


def test_missing_bars_are_left_out_not_made_up():
    """Shorter holes: windows count the bars there are."""
    rows = bars(80)
    times = [START + MINUTE * (i + i // 7) + 10**9 * k for i in range(80) for k in range(4)] + [START + MINUTE * 91]
    holes, whole = features(tape(rows, times)), features(tape(rows))
    assert [holes[name].tolist() for name in NAMES] == [whole[name].tolist() for name in NAMES]


def test_flat_prices_divide_nothing_by_zero():
    rows = features(tape([(200, 200, 200, 200)] * 70))
    assert int(rows["absent"][-1]) == L2
    assert [int(rows[name][-1]) for name in NAMES[1:9]] == [0] * 8


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(1, 2**35), st.integers(0, 2**31), st.integers(0, 2**35), st.integers(0, 2**31), st.integers(1, 2**40))
def test_l1_features_stay_in_their_ranges(bid, bid_qty, above, ask_qty, tick_value):
    ask = min(2**35, bid + above)
    tick_value = min(tick_value, (2**61 - 1) // ask)  # SPEC 1.2: one lot at the largest price has room
    assert 0 <= spread_bps(bid, ask) < 2
    assert -1 <= imbalance_l1(bid_qty, ask_qty) <= 1
    exact = min(bid * bid_qty, ask * ask_qty) * tick_value
    thin = thin_l1(bid, bid_qty, ask, ask_qty, tick_value)
    assert thin == exact or (thin == MONEY_LIMIT and exact > MONEY_LIMIT - ask * tick_value)


@pytest.mark.parametrize("seed", range(20))
@volume(PROPERTY)
def test_features_of_any_prices_are_in_their_ranges(seed):
    """33: no NaN, no sign that cannot be, from one tick to the largest price."""
    rng = np.random.default_rng(seed)
    scale = 2 ** int(rng.integers(1, 29))
    prices = 2 * rng.integers(scale, 30 * scale, (30, 4))
    fixture = tape([(int(p[0]), int(p.max()), int(p.min()), int(p[3])) for p in prices + 4], config=Config(max_jump=500))
    rows = features(fixture, atr_bars=3, return_bars=4, ema_fast=2, ema_slow=3, max_inventory_notional="0.01", min_notional=0)
    for name in ("tr", "atr", "natr", "sum_abs_returns", "net_return", "range_score", "efficiency_ratio", "spread_bps"):
        assert rows[name].min() >= 0, name
    assert rows["efficiency_ratio"].max() <= 10**8
    assert np.abs(rows["imbalance_l1"]).max() <= 10**8
    assert rows["range_score"].max() <= 1000 * 10**8


@pytest.mark.parametrize(("path", "net"), [(0.0, 0.0), (0.2, 0.21), (3.0, 0.0)])
def test_range_score(path, net):
    """33: it is under 1 where returns compound, and path over eps, capped, where nothing moved."""
    assert range_score(path, net, 1e-4, 1000.0) == min(path / (net + 1e-4), 1000.0)
    assert trend_strength(2.0, 1.0, 0.0) == 0.0


# What a policy sees


def test_a_policy_sees_the_features_of_the_last_bar_close():
    """At each decision those of the last closed bar, also when events come in pieces; after a gap none."""
    assert Features._fields == NAMES
    rows = bars(90)
    times = [START + MINUTE * (i + (100 if i >= 70 else 0)) + 10**9 * k for i in range(90) for k in range(4)] + [
        START + MINUTE * 190
    ]
    fixture, seen = tape(rows, times), []

    def watch(view, params):
        seen.append((view.event, view.features))

    for chunk in (10**6, 3):
        seen.clear()
        run = replay(fixture, Config(quantity="0.01", dd_window="session"), watch, chunk=chunk)
        recorded = {int(row["event"]): row.item()[3:] for row in run.features.records}
        moved = run.gates["event"][run.gates["from"] != run.gates["to"]]
        gated = {*moved.tolist(), *run.regimes["event"].tolist()} - {0, *recorded}
        assert {event for event, _ in seen} == {0, *recorded, *gated}
        assert seen[0][1].absent == sum(Feature)
        assert [tuple(view) for event, view in seen[1:] if event not in gated] == list(recorded.values())


def test_after_a_gap_a_policy_sees_no_features():
    """Asked by a fill right after the gap, it does not see those of before."""
    rows, seen = bars(20), []
    times = [START + MINUTE * (i + (100 if i >= 10 else 0)) + 10**9 * k for i in range(20) for k in range(4)] + [
        START + MINUTE * 120
    ]
    fixture = tape(rows, times)

    def watch(view, params):
        seen.append((view.event, view.features.absent))
        side = 1 if len(seen) % 2 else -1
        return TargetState([WantedOrder(side, len(seen), view.mid2 // 2 - side, 1)])

    replay(
        fixture,
        Config(quantity="0.01", min_notional=0, max_inventory_notional="10000%", max_effective_leverage=100),
        policy(watch, on_fill=True),
    )
    between = [absent for event, absent in seen if 40 <= event < 44]
    assert between
    assert set(between) == {sum(Feature)}
