"""Replays that pass over quiet rows against replays of one event at a time, which cannot: every record and all state are equal."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from bisect import bisect_right

import numpy as np
import pytest

import grinder as gr
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.gates import lower_median
from grinder.index import BLOCK, FEW, QUARTER, empty_index, empty_quiet, make_both, make_index, rows_until
from grinder.policies.own import policy
from grinder.records import NEVER, STAGES, GateKind, Toxicity, World
from grinder.session import replay
from tests.volumes import PROPERTY, each, volume

MS = 1_000_000
START = 1_700_000_040 * 1000 * MS
PACE = 10 * MS


@policy
def idle(view, params):
    return None


def state(run):
    """Every record and everything that goes on from here, as bytes."""
    return {s: run.tables[s].records.tobytes() for s in STAGES} | {n: getattr(run.world, n).tobytes() for n in World._fields}


def near_limits(seed: int, rows: int = 700) -> tuple[Fixture, Config]:
    """Quiet rows by the hundred, and now and then one just under, at, or over a limit of one gate or another.

    A size of 10 is at the limit of thin and 2 at that of severely thin, a spread of 2 is the median, of 6 at its limit; silences
    are around those that end in staleness, a gap, a stale book; there are strays, trades, funding and equal times.
    """
    rng = random.Random(seed)
    symbols = rng.choice((1, 1, 1, 2, 3))
    coins = [Instrument(symbol="ABC"[s], kind="perpetual", tick_size="1", lot_size="1") for s in range(symbols)]
    noise = rng.choice((0.0, 0.01, 0.05, 0.3))
    thin_ms, stale_ms, gap_ms, window_ms = (rng.choice(of) for of in ((0, 50, 200), (100, 400), (900, 3000), (0, 30, 100, 1000)))
    silences = [ms + k for ms in (thin_ms, stale_ms, 2 * stale_ms, gap_ms, window_ms, 150) for k in (-1, 0, 1)]
    quotes, books, trades, funding = [], [], [], []
    ts, mids, low = START, [10_000] * symbols, [0] * symbols
    for i in range(rows):
        ts += rng.choice((0, 1, 1, 1, 2)) * PACE
        if rng.random() < noise / 4:
            ts += max(0, rng.choice(silences) * MS + rng.choice((-1, 0, 1)))
        s = rng.randrange(symbols) if rng.random() < 0.9 else 0
        mids[s] = max(500, mids[s] + rng.choice((-1, 0, 0, 1)) + (rng.random() < noise / 3) * rng.choice((-9, -3, 3, 5, 40)))
        low[s] = max(0, low[s] - 1) if rng.random() > noise / 5 else rng.choice((3, 30, 150))
        spread = rng.choice((0, 5, 6, 7, 12, 40)) if rng.random() < noise / 3 else 2
        sizes = [rng.choice((1, 2, 9)) if low[s] and k == seed % 2 else rng.choice((10, 11, 50)) for k in (0, 1)]
        if rng.random() < noise / 10:
            sizes[rng.randrange(2)] = rng.choice((0, 9, 2**27, 2**28))
        row = [ts, s, mids[s], sizes[0], mids[s] + spread, sizes[1]]
        kind = rng.random()
        if kind < 0.9 or not quotes:
            quotes.append(row)
            if rng.random() < noise / 10:
                quotes.append(row)  # quarantined
        elif kind < 0.9 + seed % 3 * 0.03:
            books.append([ts, s, mids[s], rng.choice((10, 19, 20, 300)), mids[s] + 1, rng.choice((20, 21, 300))])
        elif kind < 0.999:
            trades.append([ts, s, i, mids[s], 1, 1])
        else:
            funding.append([ts, s, 100, mids[s]])

    def columns(rows, names):
        return {name: [row[k] for row in rows] for k, name in enumerate(names.split())} if rows else None

    worth = f"{sum(coins[0].tick_value * 10 * px for px in (10_000,)) / 10**8:f}"
    some = lambda *values: rng.choice(values)  # noqa: E731
    settings = Config(
        quantity=1, min_notional=0, equity=10**6, bar_interval_ms=some(300, 1000, 5000), max_gap_ms=gap_ms, atr_bars=2,
        return_bars=2, ema_fast=1, ema_slow=2, spread_bars=4, spread_bars_min=1, baseline_bars=4, baseline_bars_min=1,
        l1_stale_ms=stale_ms, l1_pause_ms=2 * stale_ms, l2_stale_ms=some(0, 30, 150), thin_quote=some("0", worth),
        thin_quote_depth=some("0", f"{float(worth) * 2:f}"), impact_quote=some(f"{float(worth) * 3:f}", "1"), thin_ms=thin_ms,
        thin_clear_ms=some(20, 300, 2000), clear_ms=some(20, 300, 2000), jump_window_ms=window_ms, shock_tr=some(0, 3),
        spread_limits=some((3, 6, 20), (0, 0, 0), (0, 3, 0)), jump_limits=some((1, 2, 5), (0, 0, 0), ("0.3", 2, 0)),
        quarantined_limits=some((1, 2, 5), (0, 2, 3), (2, 0, 0)), quarantine_window_ms=some(0, 100, 1000),
    )  # fmt: skip
    fixture = Fixture.from_arrays(
        coins,
        quotes=columns(quotes, "ts symbol bid_px bid_qty ask_px ask_qty"),
        books=columns(books, "ts symbol bid_px_0 bid_qty_0 ask_px_0 ask_qty_0"),
        trades=columns(trades, "ts symbol id px qty aggressor"),
        funding=columns(funding, "ts symbol rate mark_px"),
    )
    return fixture, settings


@pytest.mark.parametrize("block", range(10))
@volume(PROPERTY, 20)
def test_what_is_passed_over_is_quiet(block):
    for seed in each(PROPERTY, range(20 * block, 20 * block + 20)):
        fixture, config = near_limits(seed)
        by_row = state(replay(fixture, config, idle, chunk=1))
        for chunk in (10**6, BLOCK, 3 * BLOCK + 5):
            assert state(replay(fixture, config, idle, chunk=chunk)) == by_row, (seed, chunk)


def test_tapes_near_limits_reach_them_all():
    levels, reasons = set(), 0
    for seed in range(0, 400, 4):
        run = replay(*near_limits(seed), idle)
        levels |= set(zip(run.gates["gate"].tolist(), run.gates["to"].tolist(), strict=True))
        reasons |= int(np.bitwise_or.reduce(run.gates["reasons"], initial=0))
    assert reasons == sum(1 << bit for bit in Toxicity)
    assert levels >= {(int(gate), level) for gate in GateKind for level in (0, 1)} | {(0, 2), (0, 3), (4, 2), (4, 3)}


@pytest.mark.parametrize(
    ("name", "first", "rows"),
    [
        ("binance_btcusdt_6m", 0, 9_000),
        ("range_day_l1", 0, 12_000),
        ("vol_shock_l1", 40_000, 12_000),
        ("trend_day_l1", 0, 9_000),
        ("thin_book_l2", 0, 9_000),
        ("impact_spike_l2", 0, 9_000),
        ("dydx_btcusd_1d", 0, 5_760),
    ],
)
def test_what_is_passed_over_in_fixtures_is_quiet(name, first, rows):
    fixture = gr.fixture(name)
    before = replay(fixture, None, idle, until=first)
    by_row = state(replay(fixture, None, idle, resume=before, until=first + rows, chunk=1))
    for chunk in (BLOCK - 1, 4096, 10**9):
        assert state(replay(fixture, None, idle, resume=before, until=first + rows, chunk=chunk)) == by_row, chunk
    assert state(replay(fixture, None, idle, until=first + rows)) == by_row


COUNT = """
import json, numpy as np, grinder as gr, grinder.market as market
n, looked, pieces = 6400, 0, market._observe_row

def counted(*args):
    global looked
    looked += 1
    return pieces(*args)

market._observe_row = counted
ts = 1_700_000_040_000_000_000 + np.arange(n) * 20_000_000
mid = 60_000 + np.arange(n) // 7 % 5
sizes = {"bid_qty": SIZE + np.arange(n) % 3, "ask_qty": SIZE + np.arange(n) % 5}
coin = gr.Instrument(symbol="COIN", kind="perpetual", tick_size="1", lot_size="0.001")
fx = gr.Fixture.from_arrays([coin], quotes={"ts": ts, "bid_px": mid, "ask_px": mid + 2, **sizes})
run = gr.replay(fx, gr.Config(bar_interval_ms=4000), gr.policy(lambda view, params: None))
print(json.dumps([looked, len(run.bars), run.gates["gate"].tolist()]))
"""


@pytest.mark.parametrize(
    ("size", "gates", "beside"),
    [
        (100, [], 0),
        (15, [], 0),  # sizes under the limit now and then, never for 3 s
        (1, [GateKind.THIN, GateKind.SEVERELY_THIN], 5),  # thin all day: the row that says so, those at which it may end
    ],
)
def test_a_quiet_day_is_passed_over(size, gates, beside):
    """The rows that are looked at, counted in plain Python: the first, those that end a bar and open the next, hardly another."""
    code, environment = COUNT.replace("SIZE", str(size)), os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [32 + beside, 31, gates]


@pytest.mark.parametrize("seed", range(12))
def test_extremes_against_plain_loops(seed):
    fixture, _ = near_limits(seed, random.Random(seed).choice((1, BLOCK - 1, BLOCK, BLOCK + 1, 400)))
    e, n, symbols = fixture.events, len(fixture), len(fixture.instruments)
    index, plain, quiet = empty_index(symbols, n), empty_index(symbols, n), empty_quiet(symbols, n)
    make_both(e, index, quiet)
    make_index(e, plain)
    assert index.tolist() == plain.tolist()
    for s in range(symbols):
        for b in range(quiet.shape[1]):
            rows = [i for i in range(b * BLOCK, min(n, (b + 1) * BLOCK)) if e.symbol[i] == s]
            bids, asks = (column[rows].tolist() for column in (e.bid_qty, e.ask_qty))
            widest = max((e.ask_px[rows] - e.bid_px[rows]).tolist(), default=0)
            least, reach, times = [min(bids, default=NEVER), min(asks, default=NEVER)], [0, 0], [0, 0]
            if symbols == 1 and len(rows) == BLOCK:
                quarters, ts = range(0, BLOCK, QUARTER), e.ts[rows].tolist()
                least, reach = reach, [min(max(qty[q : q + FEW]) for q in quarters) for qty in (bids, asks)]
                spells = [ts[q : q + QUARTER + FEW][-1] - ts[q] for q in quarters]
                times = [max(spells), ts[-QUARTER]]
            assert quiet[s, b].item() == (widest, *least, *reach, *times)
    for k in range(60):
        stop = random.Random(seed * 100 + k).randrange(n + 1)
        then = int(e.ts[random.Random(k).randrange(n)]) + random.Random(k).randrange(-2, 3)
        assert rows_until(e.ts, stop, then) == bisect_right(e.ts[:stop].tolist(), then)


def test_the_median_of_a_ring():
    rng = random.Random(1)
    for _ in range(200):
        size = rng.randrange(1, 9)
        ring = [rng.choice((0, 1, 2, 3, 10**9, 2**61)) for _ in range(size)]
        first, n = rng.randrange(30), rng.randrange(1, size + 1)
        expected = sorted(ring[(first + k) % size] for k in range(n))[(n - 1) // 2]
        assert lower_median(np.array(ring), first, n) == expected


@pytest.mark.parametrize("chunk", [10**6, 300, BLOCK])
def test_a_symbol_that_is_silent_for_blocks_and_then_jumps(chunk):
    """Its mid of a second ago stands before all blocks of the window, and before the stretch where that is short."""
    coins = [Instrument(symbol=name, kind="perpetual", tick_size="1", lot_size="1") for name in "AB"]
    rows = [(START + k * 10 * MS, int(k % 250 == 249), 10_000 + 50 * (k % 250 == 249 and k // 250 % 2)) for k in range(2000)]
    quotes = {"ts": [ts for ts, _, _ in rows], "symbol": [s for _, s, _ in rows]}
    quotes |= {"bid_px": [px for *_, px in rows], "ask_px": [px + 2 for *_, px in rows]}
    quotes |= {"bid_qty": [9] * len(rows), "ask_qty": [9] * len(rows)}
    config = Config(
        quantity=1, bar_interval_ms=4000, atr_bars=1, thin_quote=0, shock_tr=0, shock_ratio=0, jump_limits=("0.5", 0, 0)
    )
    fixture = Fixture.from_arrays(coins, quotes=quotes)
    run = replay(fixture, config, idle, chunk=chunk)
    assert run.gates["symbol"].tolist()[:1] == [1]
    assert state(run) == state(replay(fixture, config, idle, chunk=1))
