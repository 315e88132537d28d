"""The index against plain loops, and replays that use it against replays of one event at a time, which cannot."""

from __future__ import annotations

import random

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.index import BLOCK, empty_index, first_due, last_row, make_index, next_odd, next_tick
from grinder.records import FAR, InputKind, Stream
from grinder.session import replay
from tests.tapes import commanded
from tests.volumes import PROPERTY, volume

START = 1_700_000_000_000_000_000
MS = 1_000_000


def dense(seed: int, events: int = 1500) -> tuple[Fixture, Config]:
    """Hundreds of rows a bar of one to three symbols, all streams, with quarantined rows, gaps, silence and late starters.

    A third of the tapes has commands too.
    """
    rng = random.Random(seed)
    symbols = rng.choice((1, 1, 2, 3))
    coins = [Instrument(symbol="ABC"[s], kind="perpetual", tick_size="1", lot_size="1") for s in range(symbols)]
    late = [0, rng.choice((0, 400, events - 5)), rng.choice((0, 700))]
    ts, mids = START, [rng.randrange(2000, 4000) for _ in coins]
    quotes, trades, funding, books = ([] for _ in range(4))
    for i in range(events):
        ts += rng.choice((0, 0, 1, 5, 20)) * MS + (rng.random() < 0.002) * rng.choice((3000, 20_000)) * MS
        s = rng.choice([s for s in range(symbols) if i >= late[s]])
        kind = rng.random()
        mids[s] = max(100, mids[s] + rng.choice((-2, -1, 0, 0, 0, 1, 2)))
        row = [ts, s, mids[s] - 1, rng.randrange(1, 9), mids[s] + 1, rng.randrange(1, 9)]
        if kind < 0.75 or not quotes:
            quotes.append(row)
            if rng.random() < 0.01:
                quotes.append(row)  # quarantined
        elif kind < 0.9:
            trades.append([ts, s, i, mids[s], 1, 1])
        elif kind < 0.99:
            books.append(row)
        else:
            funding.append([ts, s, rng.randrange(-5000, 5000), mids[s]])
    quotes += [[ts, s, mids[s] - 1, 1, mids[s] + 1, 1] for s in range(symbols)]

    def columns(rows, names):
        return {name: [row[k] for row in rows] for k, name in enumerate(names.split())} if rows else None

    fixture = Fixture.from_arrays(
        coins,
        quotes=columns(quotes, "ts symbol bid_px bid_qty ask_px ask_qty"),
        trades=columns(trades, "ts symbol id px qty aggressor"),
        books=columns(books, "ts symbol bid_px_0 bid_qty_0 ask_px_0 ask_qty_0"),
        funding=columns(funding, "ts symbol rate mark_px"),
    )
    config = Config(
        quantity=1, min_notional=0, equity=100_000, step=rng.choice(("5bp", "20bp", "2%")), levels=rng.choice((2, 10)),
        bar_interval_ms=rng.choice((50, 1000, 5000, 3_600_000)), max_gap_ms=rng.choice((2000, 10_000, 600_000)),
        fill_model=rng.choice(("mid_touch", "cross")), order_latency_ms=rng.choice((0, 30)), cancel_latency_ms=rng.choice((0, 30)),
        dd_budget_pct=rng.choice(("2%", "0.1%")), atr_bars=3, return_bars=4, ema_fast=2, ema_slow=3,
    )  # fmt: skip
    return commanded(fixture, seed) if seed % 3 == 0 else fixture, config


@pytest.mark.parametrize("seed", range(60))
@volume(PROPERTY)
def test_a_replay_that_skips_is_one_that_looks_at_every_row(seed):
    fixture, config = dense(seed)
    whole = replay(fixture, config)
    for chunk in (1, BLOCK - 1, 3 * BLOCK + 5):
        pieces = replay(fixture, config, chunk=chunk)
        for stage, table in whole.tables.items():
            assert pieces.tables[stage].records.tolist() == table.records.tolist(), (stage, chunk)
        assert pieces.digest == whole.digest


def test_dense_tapes_have_what_the_index_is_for():
    runs = [replay(*dense(seed)) for seed in range(60)]
    assert sum(int(run.bars["ticks"].max()) > 4 * BLOCK for run in runs if len(run.bars)) >= 10
    assert sum(len(run.fills) for run in runs) > 1000
    kinds = {int(kind) for run in runs for kind in run.input["kind"]}
    assert kinds == {InputKind.QUARANTINED, InputKind.GAP, InputKind.FUNDING, InputKind.COMMAND}


@pytest.mark.parametrize("seed", range(20))
@volume(PROPERTY)
def test_the_index_against_plain_loops(seed):
    fixture, _ = dense(seed, events=random.Random(seed).choice((1, BLOCK - 1, BLOCK, BLOCK + 1, 500)))
    e, n, symbols = fixture.events, len(fixture), len(fixture.instruments)
    index = empty_index(symbols, n)
    make_index(e, index)
    tick = [int(f) == 0 and int(k) in (Stream.QUOTES, Stream.BOOKS) for f, k in zip(e.fault, e.kind, strict=True)]
    odd = [int(f) != 0 or int(k) in (Stream.FUNDING, Stream.COMMANDS) for f, k in zip(e.fault, e.kind, strict=True)]
    for s in range(symbols):
        for b in range(index.shape[1]):
            rows = [i for i in range(b * BLOCK, min(n, (b + 1) * BLOCK)) if e.symbol[i] == s]
            mids = [int(e.bid_px[i] + e.ask_px[i]) for i in rows]
            before = [i for i in range(min(n, (b + 1) * BLOCK)) if e.symbol[i] == s]
            expected = (
                min(mids, default=2 * FAR),
                max(mids, default=-2 * FAR),
                sum(tick[i] for i in rows),
                sum(odd[i] for i in rows),
            )
            assert index[s, b].item() == (*expected, before[-1] if before else -1)
        for _ in range(40):
            at = random.Random(seed * 100 + _).randrange(n)
            stop = random.Random(seed * 100 + _ + 50).randrange(at, n + 1)
            mine = [i for i in range(at, stop) if e.symbol[i] == s and tick[i]]
            assert next_tick(e, index, s, at, stop) == (mine[0] if mine else stop)
            assert next_odd(e, index, at, stop) == next((i for i in range(at, stop) if odd[i]), stop)
            earlier = [i for i in range(at + 1) if e.symbol[i] == s]
            assert last_row(e, index, s, at + 1) == (earlier[-1] if earlier else -1)
            due = int(e.ts[at]) + random.Random(_).randrange(-2, 3)
            assert first_due(e.ts, at, stop, due) == next((i for i in range(at, stop) if e.ts[i] >= due), stop)


def test_an_index_of_one_symbol_is_that_of_its_rows_among_others():
    """The vector loop and the general one agree."""
    fixture, _ = dense(3)
    e = fixture.events
    rows = np.flatnonzero(e.symbol == 0)
    alone = e._replace(**{name: getattr(e, name)[rows] for name in e._fields[:8]})
    single, general = empty_index(1, len(rows)), empty_index(2, len(rows))
    make_index(alone, single)
    make_index(alone, general)
    assert single[0].tolist() == general[0].tolist()
