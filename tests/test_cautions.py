"""Each caution by a run that deserves it, and by one that nearly does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import grinder as gr
from grinder.cautions import cautions, warm_up
from grinder.metrics import accounts, total_of
from grinder.records import NONE
from grinder.run import Table
from tests.tapes import MIDNIGHT

SECOND = 10**9
GRID = {"step": "1%", "levels": 1, "quantity": "1", "min_notional": 0}


def tape(mids, every=SECOND, times=None, shown=1000, half_spread=1):
    """Quotes around mids in ticks of 0.01, so many ns apart or at times."""
    mid = np.asarray(mids, np.int64)
    ts = MIDNIGHT + (every * np.arange(len(mid)) if times is None else np.asarray(times, np.int64))
    sizes = np.full(len(mid), shown)
    quotes = {"ts": ts, "bid_px": mid - half_spread, "bid_qty": sizes, "ask_px": mid + half_spread, "ask_qty": sizes}
    instrument = gr.Instrument(symbol="ABC", kind="spot", tick_size="0.01", lot_size="1")
    return gr.Fixture.from_arrays((instrument,), quotes=quotes | {"symbol": 0 * mid}, name="tape")


def said(run):
    return {caution.code: caution.text for caution in run.cautions()}


@pytest.fixture(scope="module")
def real():
    return gr.replay("binance_btcusdt_6m")


@pytest.fixture(scope="module")
def day():
    return gr.replay("range_day_l1")


def changed(run, **tables):
    return replace(run, tables=run.tables | {name: Table(name, rows) for name, rows in tables.items()})


def test_an_unremarkable_run_has_none_but_its_length(day):
    assert list(said(day)) == ["SHORT_SAMPLE"]
    assert said(day)["SHORT_SAMPLE"].startswith("23:59:59 of data, in 1 UTC day: too short to annualise")


def test_stopped_early(real):
    assert said(gr.replay(real.name, until=real.total - 1))["STOPPED_EARLY"] == "It stopped after 93,948 of 93,949 events."
    assert "STOPPED_EARLY" not in said(real)


def test_no_fills_says_how_near_the_market_came():
    config = gr.Config(**GRID)
    near = said(gr.replay(tape([10_000] * 3 + [9_901] * 3 + [10_000] * 3), config))["NO_FILLS"]
    assert near == "No fill: 2 orders rested and none filled; the mid came within 0.01 USDT of one, at 99.00 (1.0 bp)."
    assert "NO_FILLS" not in said(gr.replay(tape([10_000] * 3 + [9_900] * 3 + [10_000] * 3), config))
    crossing = gr.Config(**GRID, fill_model="cross", penetration=2)
    near = said(gr.replay(tape([10_000] * 3 + [9_900] * 3), crossing))["NO_FILLS"]
    assert "the other side came within 0.03 USDT of one, at 99.00 (3.0 bp)" in near
    assert "NO_FILLS" not in said(gr.replay(tape([10_000] * 3 + [9_897] * 3), crossing))
    high = said(gr.replay(tape([10_000] * 3 + [10_098] * 3), config))["NO_FILLS"]
    assert "the mid came within 0.02 USDT of one, at 101.00" in high
    late = tape([10_000, 10_000, 9_000, 10_000])
    late = said(gr.replay(late, gr.Config(**GRID, order_latency_ms=2_500)))["NO_FILLS"]
    assert "came within 1 USDT of one" in late, "what the market did before the order was live does not count"


def test_no_fills_says_why_no_order_was_placed(day):
    none = gr.policy(lambda view, params: None, gates=False)
    assert said(gr.replay(tape([10_000] * 5), None, none))["NO_FILLS"] == "No fill: no order was placed; no plan was made."
    waiting = gr.replay(day.name, until=int(np.searchsorted(day.market.ts, day.first_ts + 3000 * SECOND)))
    assert "features were warming up all the time" in said(waiting)["NO_FILLS"]
    poor = said(gr.replay(day.name, gr.Config(equity="10", dd_budget="0.01", min_notional=5)))["NO_FILLS"]
    assert "no order was placed" in poor
    assert "BUDGET_TOO_SMALL" in poor
    assert said(gr.replay("binance_btcusdt_6m", until=0))["NO_FILLS"] == "No fill: no event was seen."


def test_warm_up(day):
    def until(seconds):
        return gr.replay(day.name, until=int(np.searchsorted(day.market.ts, day.first_ts + seconds * SECOND)))

    assert warm_up(day) == [int(day.regimes["ts"][0]) - day.first_ts]
    waited = warm_up(day)[0] // SECOND
    just = until(10 * waited - 30)
    assert said(just)["WARM_UP"] == "10.0 % of its time is warm-up, in which no grid is quoted."
    assert "WARM_UP" not in said(until(10 * waited + 30))
    assert said(gr.replay("kill_switch_l2"))["WARM_UP"].startswith("25.4 %")
    assert warm_up(gr.replay("binance_btcusdt_6m")) == [0], "a policy that looks at no gate does not wait"


def test_killed():
    data = tape([10_000] * 20)
    kill = ("2023-11-15 00:00:05", "kill", None)
    text = said(gr.replay(data.with_commands([kill]), gr.Config(**GRID)))["KILLED"]
    assert text == "The kill switch is latched at the end, by a KILL: nothing is traded."
    after = data.with_commands([kill, ("2023-11-15 00:00:09", "reset", None)])
    assert "KILLED" not in said(gr.replay(after, gr.Config(**GRID)))


def test_over_budget(real):
    rows = real.ledger.records.copy()
    last = np.flatnonzero(rows["symbol"] == NONE)[-1]
    rows["drawdown"][last] = rows["budget"][last]
    assert "OVER_BUDGET" not in said(changed(real, ledger=rows)), "all of it is not over it"
    rows["drawdown"][last] += 10**4
    assert said(changed(real, ledger=rows))["OVER_BUDGET"] == "The drawdown was over its budget: 199.9771 USDT of 199.9770 USDT."


def crossed_but(run, count):
    """The run with quotes at which `cross` would have filled all its fills but so many."""
    fills, bid, ask = run.fills.records, run.market.bid_px.copy(), run.market.ask_px.copy()
    events, times = np.unique(fills["event"], return_counts=True)
    alone = set(events[times == 1][:count].tolist())
    for event in events.tolist():
        mine = fills[fills["event"] == event]
        away = int(event in alone)
        if (mine["side"] > 0).all():
            ask[event] = mine["price"].min() + away
            bid[event] = ask[event] - 1
        else:
            bid[event] = mine["price"].max() - away
            ask[event] = bid[event] + 1
    return replace(run, market=run.market._replace(bid_px=bid, ask_px=ask))


def test_fill_model(real, day):
    assert said(real)["FILL_MODEL"].startswith("7 of 36 fills depend on the fill model")
    assert "FILL_MODEL" not in said(day), "45 of 1,097"
    assert said(crossed_but(real, 4))["FILL_MODEL"].startswith("4 of 36 fills")
    assert "FILL_MODEL" not in said(crossed_but(real, 3)), "8 %"
    strict = gr.replay(real.name, gr.Config(fill_model="cross"))
    assert len(strict.fills)
    assert "FILL_MODEL" not in said(strict)
    as_if = replace(strict, config=real.config)
    assert "FILL_MODEL" not in said(as_if), "what cross filled, cross fills: by the engine's own rule none is counted"


def test_fill_model_of_a_loaded_run_is_not_guessed(real, tmp_path):
    real.save(tmp_path / "run")
    assert set(said(real)) - set(said(gr.load(tmp_path / "run"))) == {"FILL_MODEL"}


def test_displayed_size():
    swing = [10_000, 10_000, 9_900, 9_900, 10_000, 10_000] * 3
    config = gr.Config(step="1%", levels=1, quantity="7", min_notional=0)
    text = said(gr.replay(tape(swing, shown=6), config))["DISPLAYED_SIZE"]
    run = gr.replay(tape(swing, shown=6), config)
    assert text.startswith(f"{len(run.fills)} of {len(run.fills)} fills are larger than what the other side displayed")
    assert "DISPLAYED_SIZE" not in said(gr.replay(tape(swing, shown=7), config))


def test_open_loss(real):
    account = total_of(accounts(real.world, real.instruments))
    assert account.unrealised < 0
    told = "12 cycles are open at the end, at an unrealised -0.3577 USDT against 0.0993 USDT realised"
    assert said(real)["OPEN_LOSS"].startswith(told)

    def realising(atoms):
        symbols = real.world.symbols.copy()
        symbols["realised"][0] = atoms
        return replace(real, world=real.world._replace(symbols=symbols))

    assert "OPEN_LOSS" in said(realising(-account.unrealised))
    assert "OPEN_LOSS" not in said(realising(-account.unrealised + 1))


def test_short_sample():
    def of(days):
        hours = np.arange(24 * days)
        return gr.replay(tape(10_000 + 60 * (hours % 2), every=3600 * SECOND), gr.Config(**GRID, max_gap_ms=10_000_000))

    assert said(of(19))["SHORT_SAMPLE"].startswith("18 d 23:00:00 of data, in 19 UTC days: too short")
    assert "SHORT_SAMPLE" not in said(of(20))


def test_few_cycles(day):
    exits = day.cycles["exit_event"]
    assert exits[28] < exits[29]
    assert said(gr.replay(day.name, until=int(exits[28]) + 1))["FEW_CYCLES"].startswith("29 completed cycles say little")
    assert "FEW_CYCLES" not in said(gr.replay(day.name, until=int(exits[29]) + 1))
    assert "FEW_CYCLES" not in said(gr.replay(day.name, until=100)), "of none there is nothing to say"


def test_data(real, day):
    assert said(real)["DATA"] == "Of the data: 3 rows quarantined (BOOK_UNLIKE_QUOTES 3)."
    gap = 600 * SECOND
    config = gr.Config(**GRID)
    whole = said(gr.replay(tape([10_000] * 3, times=[0, gap, 2 * gap]), config))
    assert "DATA" not in whole
    broken = said(gr.replay(tape([10_000] * 3, times=[0, gap + 1, 2 * gap + 2]), config))
    assert broken["DATA"] == "Of the data: 2 gaps longer than 600,000 ms, after which features warm up anew."


def test_cautions_are_a_function_of_the_run(real):
    assert cautions(real) == real.cautions() == cautions(real, real.metrics())
