"""What a picture of a run shows: every fill, every order's life and every extreme, where the records say."""

import subprocess
import sys
from time import perf_counter

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import grinder as gr
from grinder.plot import lives, price, save_png
from grinder.records import IntentKind, OrderState, Role
from tests.tapes import MIDNIGHT, case

plt.switch_backend("Agg")


@pytest.fixture(scope="module")
def run():
    return gr.replay("binance_btcusdt_6m")


def wave(events):
    """A mid that swings by 60 ticks every 500 events."""
    i, one = np.arange(events), np.ones(events, np.int64)
    mid = 620_000 + np.round(60 * np.sin(i * (np.pi / 250))).astype(np.int64)
    quotes = {"ts": MIDNIGHT + 10**8 * i, "symbol": 0 * one, "bid_px": mid, "bid_qty": one, "ask_px": mid + 1, "ask_qty": one}
    instrument = gr.Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001")
    return gr.Fixture.from_arrays((instrument,), quotes=quotes, name="wave")


def expected_lives(run, s):
    """Each stretch at one price as [order, start, end, ticks, side, role], told row by row from the records."""
    placed = {r["order"]: (r["side"], r["role"]) for r in run.intents.records if r["kind"] == IntentKind.PLACE}
    standing, out = {}, []
    for row in run.orders.records[run.orders["symbol"] == s]:
        order, over = row["order"], row["to"] >= OrderState.FILLED
        before = standing.pop(order, None)
        if row["from"] >= OrderState.OPEN:
            out.append((order, before[0], row["ts" if over else "live_ts"], before[1], *placed[order]))
        if not over:
            standing[order] = (row["live_ts"], row["price"])
    out += [(k, start, run.last_ts, ticks, *placed[k]) for k, (start, ticks) in standing.items() if start <= run.last_ts]
    return np.array(sorted(out), np.int64).reshape(-1, 6)


def points(ts, prices):
    return np.stack([np.asarray(ts) / 86_400e9, prices], 1)


def same(drawn, told):
    np.testing.assert_allclose(np.ravel(drawn), np.ravel(told), rtol=1e-13, atol=1e-12)


def check(run, s, ax):
    """Fills, orders, cycles and mid of a symbol, in price units and days."""
    instrument, shown = run.instruments[s], {artist.get_label(): artist for artist in [*ax.lines, *ax.collections]}
    tick, told = float(instrument.tick_size), expected_lives(run, s)
    fills, cycles = (table.records[table["symbol"] == s] for table in (run.fills, run.cycles))
    for side, entry, name in ((1, True, "buy entry"), (1, False, "buy exit"), (-1, True, "sell entry"), (-1, False, "sell exit")):
        mine = fills[(fills["side"] == side) & ((fills["role"] == Role.ENTRY) == entry)]
        marks, tip = shown[f"{name} fills"], shown[f"{name} fills"].get_marker().vertices[2, 1]
        same(marks.get_xydata(), points(mine["ts"], [float(instrument.price(ticks)) for ticks in mine["price"]]))
        assert (marks.get_markerfacecolor() == "white", np.sign(tip)) == (not entry, side), "hollow exits, buys point up"
        life = told[(told[:, 4] == side) & ((told[:, 5] == Role.ENTRY) == entry)]
        same(shown[f"resting {name}"].get_segments(), np.stack([points(life[:, end], life[:, 3] * tick) for end in (1, 2)], 1))
    ends = [points(cycles[f"{end}_ts"], cycles[f"{end}_price"] * tick) for end in ("entry", "exit")]
    same(shown["cycles"].get_segments(), np.stack(ends, 1))
    if len(rows := run.prices[run.prices[:, 0] == s]):
        band = shown["mid2"].get_paths()[0].vertices
        for column in (2, 3):
            for extreme in points(rows[:, 1], rows[:, column] * tick / 2)[:: len(rows) // 200 + 1]:
                assert np.abs(band - extreme).max(axis=1).min() < 1e-7
        low, high = band[:, 1].min(), band[:, 1].max()
        same([low, high], [rows[:, 2].min() * tick / 2, rows[:, 3].max() * tick / 2])
        assert ax.get_ylim()[0] < low <= high < ax.get_ylim()[1]
    plt.close(ax.figure)


def test_own_figure_and_given_axes(run):
    ax, (left, right) = run.plot(), plt.subplots(1, 2)[1]
    assert run.plot(ax=right) is right
    assert (right.figure.axes, left.has_data()) == ([left, right], False)
    assert plt.get_fignums() == [ax.figure.number, right.figure.number], "a notebook shows pyplot's figures"
    check(run, 0, right)
    check(run, 0, ax)
    marks = run.ledger.records[(run.ledger["symbol"] == 0) & (run.ledger["cause"] & 1 > 0)]
    time, held = next(line for line in ax.figure.axes[1].lines if line.get_label() == "position").get_xydata().T
    last = np.searchsorted(time, marks["ts"] / 86_400e9 + 1e-10, "right") - 1
    same(held[last], marks["position"] * 0.001)
    words, s = " ".join([ax.get_title(loc="left"), *(text.get_text() for text in ax.texts)]), run.summary()
    net = run.money(s["realised"] + s["unrealised"] - s["fees"] + s["funding"])
    assert all(part in words for part in (run.name, "BTCUSDT", f"{s['cycles']} cycles", net, run.digest.value[:12]))


def test_random_tapes():
    """Several symbols, amends, cancels in flight, latency, fills or none; half of them stopped midway."""
    met = set()
    for seed in range(300):
        made = case(seed)
        run = gr.replay(made.fixture, made.config, until=len(made.fixture) // (1 + seed % 2))
        met |= set(zip(run.orders["from"].tolist(), run.orders["to"].tolist(), strict=True))
        for s, symbol in enumerate(run.symbols):
            assert np.array_equal(np.stack(lives(run, symbol), 1), expected_lives(run, s))
            if seed < 20:
                check(run, s, run.plot(symbol))
    assert met >= {(OrderState.OPEN, OrderState.OPEN), (OrderState.PENDING, OrderState.CANCELLED)}


@pytest.mark.parametrize("events", [0, 1, 2, 40])
def test_almost_nothing(events, tmp_path):
    run = gr.replay(wave(40), gr.Config(step="2bp", levels=3, quantity="0.001"), until=events)
    assert save_png(run, tmp_path / "a.png").is_file()
    assert not len(run.fills)
    check(run, 0, run.plot())


def test_png_is_a_function_of_the_run_and_mistakes_leave_nothing(run, tmp_path):
    first = save_png(run, tmp_path / "a.png").read_bytes()
    with mpl.rc_context({"figure.facecolor": "black", "lines.linewidth": 9, "timezone": "Asia/Tokyo", "font.size": 30}):
        assert save_png(run, str(tmp_path / "a.png"), "BTCUSDT").read_bytes() == first
    assert int.from_bytes(first[16:20]) == 1200
    assert not any(word in first for word in (b"tEXt", b"iTXt", b"zTXt", b"tIME"))
    for draw in (price, lives, lambda run, symbol: save_png(run, tmp_path / "b.png", symbol)):
        with pytest.raises(gr.errors.ConfigError, match="'ETHUSDT'; it has BTCUSDT"):
            draw(run, "ETHUSDT")
    with pytest.raises(gr.errors.ConfigError, match="cannot be written"):
        save_png(run, tmp_path / "no" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"], "no scratch file is left"
    assert plt.get_fignums() == []
    run.save(tmp_path / "run")  # and without pyplot
    code = (
        "import sys, grinder as g, grinder.plot as p; p.save_png(g.load('run'), 'b'); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "b").read_bytes() == first


def test_twenty_thousand_orders(tmp_path):
    run = gr.replay(wave(900_000), gr.Config(step="0.4bp", levels=8, quantity="0.001", maker_fee="0bp", min_edge="0.4bp"))
    assert len(lives(run).order) > 20_000
    begin = perf_counter()
    save_png(run, tmp_path / "a.png")
    assert perf_counter() - begin < 5, "about 0.4 s on an idle machine"
    assert len(price(run, ax=Figure().add_subplot()).collections) == 6, "collections, not an artist an order"
