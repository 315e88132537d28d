"""What each picture of a run draws is what its records say; nothing is hidden by drawing millions of points as a few."""

from __future__ import annotations

from fractions import Fraction
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import grinder as gr
from grinder.plot import parting
from grinder.plots.cycles import open_cycles
from grinder.plots.decimation import columns_of
from grinder.plots.frame import POINTS, mid_extremes, steps_of
from grinder.records import Cause, Regime, Role
from tests.tapes import case

plt.switch_backend("Agg")
DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def spike():
    return gr.replay("impact_spike_l2")


@pytest.fixture(scope="module")
def real():
    return gr.replay("binance_btcusdt_6m")


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def labelled(ax):
    return {artist.get_label(): artist for artist in [*ax.lines, *ax.collections]}


def same(drawn, told):
    np.testing.assert_allclose(np.asarray(drawn, float), np.asarray(told, float), rtol=1e-12, atol=1e-9)


def last_of_each_time(rows):
    return rows[np.append(rows["ts"][1:] != rows["ts"][:-1], True)]


def at(line, ts):
    """What a line of steps shows at times."""
    time, height = line.get_xydata().T
    return height[np.searchsorted(time, np.asarray(ts) / DAY + 1e-11, "right") - 1]


# Decimation


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(-(2**62), 2**62)), min_size=1, max_size=200),
    st.integers(-20, 2000), st.integers(0, 2000), st.integers(1, 50),
)  # fmt: skip
def test_columns_keep_every_extreme(points, begin, length, count):
    ts = np.cumsum([step for step, _ in points])
    values = np.array([value for _, value in points], np.int64)
    end = begin + length
    columns = columns_of(ts, values, begin, end, count)
    inside = [(int(t), int(v)) for t, v in zip(ts, values, strict=True) if begin <= t <= end]
    held = [int(v) for t, v in zip(ts, values, strict=True) if t < begin]
    if held and (not inside or inside[0][0] > begin):
        inside.insert(0, (begin, held[-1]))
    width = max(1, -(-(end - begin + 1) // count))
    told = {}
    for t, v in inside:
        told.setdefault((t - begin) // width, []).append((t, v))
    assert len(told) <= count
    assert columns.start.tolist() == [column[0][0] for column in told.values()]
    for drawn, pick in (("first", lambda v: v[0]), ("low", min), ("high", max), ("last", lambda v: v[-1])):
        assert getattr(columns, drawn).tolist() == [pick([v for _, v in column]) for column in told.values()], drawn


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(POINTS + 1, 3 * POINTS), st.integers(0, 2**32 - 1))
def test_a_long_line_shows_its_extremes_where_they_are(n, seed):
    rng = np.random.default_rng(seed)
    ts, values = np.cumsum(rng.integers(0, 10**9, n)), rng.integers(-(10**6), 10**6, n)
    time, height = steps_of(ts, values, Fraction(1, 4))
    assert len(time) <= POINTS + 5
    assert (np.diff(time) >= 0).all()
    columns = columns_of(ts, values, int(ts[0]), int(ts[-1]), POINTS // 4)
    for k in range(0, len(columns.start), 97):
        mine = time == time[4 * k]
        assert (height[mine].min(), height[mine].max()) == (columns.low[k] / 4, columns.high[k] / 4)
    assert (height.min(), height.max(), height[-1]) == (values.min() / 4, values.max() / 4, values[-1] / 4)


def test_a_closer_look_is_made_anew_and_hides_nothing(spike):
    market, third = spike.market, (spike.last_ts - spike.first_ts) // 3
    between = (spike.first_ts + third, spike.first_ts + 2 * third)
    rows = mid_extremes(spike, 0, between)
    mids = (market.bid_px + market.ask_px)[(market.ts >= between[0]) & (market.ts <= between[1]) & (market.ask_px > 0)]
    assert (rows[:, 1].min(), rows[:, 2].max()) == (mids.min(), mids.max())
    assert 2 * len(rows) > len(mid_extremes(spike, 0)[:, 0]) / 3
    ax = spike.plot.price(between=between)
    low, high = ax.get_ylim()
    tick = float(spike.instruments[0].tick_size) / 2
    assert low < mids.min() * tick <= mids.max() * tick < high
    left, right = (x * DAY for x in ax.get_xlim())
    assert left <= between[0] <= between[1] <= right
    assert right - left < 1.05 * third
    fills = spike.fills.records
    inside = fills[(fills["ts"] >= between[0]) & (fills["ts"] <= between[1]) & (fills["side"] > 0) & (fills["role"] == Role.ENTRY)]
    drawn = labelled(ax)["buy entry fills"].get_xdata() * DAY
    assert (drawn >= between[0] - 1000).sum() == len(inside)
    for wrong in (("2024-01-07 14:00", "2024-01-07 13:00"), ("2023-01-01", "2023-01-02")):
        with pytest.raises(gr.errors.ConfigError, match="no part of this run"):
            spike.plot.price(between=wrong)


def test_five_million_quotes():
    n = 5_000_000
    i, one = np.arange(n), np.ones(n, np.int64)
    mid = 620_000 + np.round(300 * np.sin(i * (np.pi / 400_000))).astype(np.int64)
    mid[3_333_333] += 900
    quotes = {"ts": 1_700_006_400 * 10**9 + 17_000_000 * i, "symbol": 0 * one, "bid_px": mid, "bid_qty": one}
    quotes |= {"ask_px": mid + 1, "ask_qty": one}
    instrument = gr.Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001")
    run = gr.replay(
        gr.Fixture.from_arrays((instrument,), quotes=quotes, name="many"), gr.Config(step="5bp", levels=3, quantity="0.001")
    )
    begin = perf_counter()
    ax = run.plot()
    ax.figure.canvas.draw()
    took = perf_counter() - begin
    band = labelled(ax)["mid2"].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((2 * mid.max() + 1) / 20), "one quote of five million"
    assert took < 10, "under 1 s on an idle machine"


# Each picture


def test_regimes(spike):
    ax = spike.plot.regimes()
    rows = spike.regimes.records
    starts, codes = [spike.first_ts, *rows["ts"]], [Regime.PAUSED, *rows["to"]]
    ends = [*starts[1:], spike.last_ts]
    drawn = labelled(ax)
    for regime in sorted(set(codes)):
        told = [(a / DAY, b / DAY) for a, b, code in zip(starts, ends, codes, strict=True) if code == regime]
        boxes = [path.get_extents() for path in drawn[Regime(regime).name].get_paths()]
        same([(box.x0, box.x1) for box in boxes], told)
    texts = [label.get_text() for label in ax.get_yticklabels()]
    share = 100 * sum(b - a for a, b, code in zip(starts, ends, codes, strict=True) if code == 0) / (spike.last_ts - spike.first_ts)
    assert texts[0] == f"RANGE  {share:.1f} %"
    assert len(texts) == len(set(codes)), "a lane each, told by its name and place, not by colour alone"
    top = ax.figure.axes[0]
    same([top.get_xlim()], [ax.get_xlim()])
    own = plt.subplots()[1]
    assert spike.plot.regimes(ax=own) is own
    assert len(own.figure.axes) == 1


def test_regimes_of_a_policy_without_gates(real):
    assert [label.get_text() for label in real.plot.regimes().get_yticklabels()] == ["RANGE  100.0 %"]


def test_inventory(spike):
    ax = spike.plot.inventory()
    marks = spike.ledger.records[(spike.ledger["symbol"] == 0) & (spike.ledger["cause"] & int(Cause.FILL) > 0)]
    marks = last_of_each_time(marks)
    same(at(labelled(ax)["position"], marks["ts"]), marks["position"])
    caps = [line.get_ydata()[0] for line in ax.lines if line.get_label() == "cap"]
    row = spike.world.symbols[0]
    cap = int(spike.world.run[0]["max_inventory"]) // (int(row["mid2"]) * spike.instruments[0].tick_value // 2)
    assert sorted(caps) == [-cap, cap]
    far = gr.replay(
        "impact_spike_l2", gr.Config(max_inventory_notional="100000", equity="1000000", dd_budget="50")
    ).plot.inventory()
    assert not [line for line in far.lines if line.get_label() == "cap"]
    assert any("outside this view" in text.get_text() for text in far.texts), "a cap that is far off is told instead"


def test_equity(spike):
    ax = spike.plot.equity()
    marks = spike.ledger.records[spike.ledger["symbol"] == -1]
    drawn, atom = labelled(ax), 10.0**-8
    assert len(marks) < POINTS
    same(drawn["equity"].get_ydata()[1:-1], marks["equity"] * atom)
    same(drawn["equity"].get_ydata()[0], 10_000)
    same(drawn["peak"].get_ydata(), marks["peak"] * atom)
    same(drawn["floor of the budget"].get_ydata(), (marks["peak"] - marks["budget"]) * atom)
    below = ax.figure.axes[1]
    use = labelled(below)["drawdown of budget"].get_ydata()
    same(use, [100_000 * int(a) // int(b) / 1000 for a, b in zip(marks["drawdown"], marks["budget"], strict=True)])
    assert [line.get_ydata()[0] for line in below.lines if line.get_label() in ("warning", "budget")] == [80, 100]
    assert below.get_ylim() == (0, 118), "a budget hardly used looks hardly used"
    big = gr.replay("impact_spike_l2", gr.Config(dd_budget_pct="50%")).plot.equity()
    assert "floor of the budget" not in labelled(big)
    assert any("below this view" in text.get_text() for text in big.texts)


def test_features(spike):
    rows = spike.features.records
    ax = spike.plot.features()
    panels = ax.figure.axes
    assert [one.texts[0].get_text() for one in panels] == [
        "natr", "trend_strength", "efficiency_ratio", "spread_bps", "impact", "depth_imbalance",
    ]  # fmt: skip
    from grinder.records import Feature

    for name, one, unit in (("natr", panels[0], 1e-4), ("trend_strength", panels[1], 1e-8), ("impact", panels[4], 1e-4)):
        there = rows["absent"] & int(Feature[name.upper()]) == 0
        lines = [line for line in one.lines if line.get_label() in (name, "_more")]
        same(np.concatenate([line.get_ydata() for line in lines]), rows[name][there] * unit)
    assert (rows["absent"] & int(Feature.TREND_STRENGTH) > 0).any(), "absent at first, which is a gap and not a 0"
    assert [line.get_ydata()[0] for line in panels[1].lines if line.get_label() == "limit"] == [-2, 2]
    own = plt.subplots()[1]
    assert spike.plot.features(ax=own, names=["atr"]) is own
    same(labelled(own)["atr"].get_ydata(), rows["atr"][rows["absent"] & int(Feature.ATR) == 0] * 1e-8 * 0.001 / 2)
    with pytest.raises(gr.errors.ConfigError, match="one axes holds one feature"):
        spike.plot.features(ax=own, names=["atr", "tr"])
    with pytest.raises(gr.errors.ConfigError, match="no feature 'volume'"):
        spike.plot.features(names=["volume"])
    quotes = gr.replay("range_day_l1", until=30_000).plot.features(names=["impact"])
    assert [text.get_text() for text in quotes.texts if text.get_text() == "absent"]


def test_cycles(real):
    ax = real.plot.cycles()
    drawn, done = labelled(ax), real.cycles.records
    for side, name in ((1, "completed long"), (-1, "completed short")):
        mine = done[done["side"] == side]
        same(drawn[name].get_ydata(), mine["net"] * 1e-8)
        same(drawn[name].get_xdata(), mine["exit_ts"] / DAY)
        same([segment[0][0] for segment in drawn[f"_{name}"].get_segments()], mine["entry_ts"] / DAY)
    same(drawn["open long"].get_xdata(), [real.last_ts / DAY] * 12)
    assert drawn["open long"].get_markerfacecolor() == "white"
    assert "12 completed, 12 with a profit" in " ".join(text.get_text() for text in ax.texts)


def test_open_and_completed_cycles_sum_to_the_net():
    """Without takers, what all cycles stand at is what the account gained."""
    met = 0
    for seed in range(150):
        made = case(seed)
        run = gr.replay(made.fixture, made.config)
        for s in range(len(run.symbols)):
            net = int(open_cycles(run, s)[2].sum()) + int(run.cycles["net"][run.cycles["symbol"] == s].sum())
            partly = run.fills["symbol"] == s
            if (run.fills["cycle"][partly] < 0).any():
                continue
            funding = int(run.world.symbols[s]["funding"])
            metrics = run.metrics().symbols[run.symbols[s]]
            assert net + funding == metrics.pnl.total
            met += net != 0
    assert met > 30


def test_depth(real):
    ax = real.plot.depth("2024-08-08 23:58")
    market, then = real.market, 1_723_161_480 * 10**9
    k = int(np.flatnonzero((market.ts[market.book_rows] <= then) & (market.fault[market.book_rows] == 0))[-1])
    bids, bid_sizes, asks, ask_sizes = market.books[k]
    drawn = labelled(ax)
    for name, prices, sizes in (("bids", bids, bid_sizes), ("asks", asks, ask_sizes)):
        there = prices > 0
        same(drawn[name].get_ydata()[1:], np.cumsum(sizes[there]) * 0.001)
        same(drawn[name].get_xdata()[1:], prices[there] * 0.1)
    assert any("own orders rest outside this book" in text.get_text() for text in ax.texts)
    with pytest.raises(gr.errors.ConfigError, match="no book of BTCUSDT at or before 2024"):
        gr.replay("range_day_l1", until=100).plot.depth()


def test_depth_shows_own_orders(spike):
    when = "2024-01-07 12:00"
    ax = spike.plot.depth(when)
    then = 1_704_628_800 * 10**9
    low, high = ax.get_xlim()
    from grinder.plot import lives

    life = lives(spike)
    resting = (life.start <= then) & (life.end > then)
    prices = np.sort(life.price[resting & (life.side > 0)] * 0.001)
    inside = prices[(prices >= low) & (prices <= high)]
    drawn = labelled(ax).get("own buy orders")
    same(np.sort(drawn.get_xdata()) if drawn else [], inside)


def test_parting(real):
    other = gr.replay("binance_btcusdt_6m", gr.Config(step="3bp"))
    found = gr.diff(real, other, labels=("two", "three"))
    ax = found.plot()
    drawn = labelled(ax)
    first = found.first.ts
    same(drawn["first difference"].get_xdata(), [first / DAY] * 2)
    window = [x * DAY for x in ax.get_xlim()]
    assert window[0] <= first <= window[1]
    for run, name in ((real, "two"), (other, "three")):
        buys = run.fills.records[run.fills["side"] > 0]
        buys = buys[(buys["ts"] <= found.first.ts + 60 * 10**9)]
        same(drawn[f"fills of {name}"].get_ydata(), buys["price"] * 0.1)
        held = labelled(ax.figure.axes[1])[f"position of {name}"]
        marks = run.fills.records[run.fills["ts"] <= first + 60 * 10**9]
        same(at(held, marks["ts"][-1:]), np.cumsum(marks["side"] * marks["qty"])[-1:] * 0.001)
    assert drawn["fills of three"].get_markerfacecolor() == "none", "told apart without colour"
    own = plt.subplots()[1]
    assert parting(found, own) is own
    gr.diff(real, other, labels=("$a_{", "$b^")).plot().figure.canvas.draw()
    with pytest.raises(gr.errors.ConfigError, match="nothing to draw"):
        gr.diff(real, real).plot()
    with pytest.raises(gr.errors.ConfigError, match="nothing to draw"):
        gr.diff(other, gr.Digest.from_dict(real.digest.to_dict())).plot()


def test_every_picture_of_almost_nothing():
    """Runs of no event, of one, without fills, with several symbols: a picture, never an exception."""
    runs = [gr.replay("binance_btcusdt_6m", until=n) for n in (0, 1, 50)]
    runs += [gr.replay(case(seed).fixture, case(seed).config, until=len(case(seed).fixture) // 2) for seed in range(6)]
    for run in runs:
        for name in ("price", "regimes", "inventory", "features", "cycles"):
            ax = getattr(run.plot, name)(run.symbols[-1])
            ax.figure.canvas.draw()
            plt.close(ax.figure)
        run.plot.equity().figure.canvas.draw()
        plt.close("all")


def test_a_loaded_run_has_pictures_too(real, tmp_path):
    real.save(tmp_path / "run")
    loaded = gr.load(tmp_path / "run")
    for name in ("price", "regimes", "inventory", "equity", "features", "cycles"):
        getattr(loaded.plot, name)().figure.canvas.draw()
    ax = loaded.plot.price(between=("2024-08-08 23:57", "2024-08-08 23:58"))
    assert len(labelled(ax)["mid2"].get_paths()) == 1
    with pytest.raises(gr.errors.ConfigError, match="books are not saved"):
        loaded.plot.depth()
    assert "equity" in repr(loaded.plot)
