"""`gr.diff`: each kind of difference, both ways round, what is shown of it, and planted faults named exactly (SPEC 14)."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import grinder as gr
from grinder.config import Config
from grinder.data.fixture import Fixture, fixture
from grinder.data.instrument import Instrument
from grinder.digest import Digest
from grinder.divergence import compare, diff
from grinder.errors import ConfigError, DataError, LedgerError
from grinder.golden import accept, read_golden
from grinder.metrics import accounts, total_of
from grinder.recorded import Recorded
from grinder.records import STAGES, WINDOW, Reason, stage_dtype
from grinder.run import Run, Table
from grinder.session import replay
from grinder.wording import Words, unit_of
from tests.planted import lane, table, told, truth
from tests.smart_tapes import smart_case
from tests.swings import INSTRUMENT, T0, swing
from tests.tapes import case
from tests.volumes import PLANTED, PROPERTY, ran, volume

MIRROR = {"value": "value", "only_a": "only_b", "only_b": "only_a"}


@cache
def day() -> tuple[Fixture, Run]:
    data = fixture("range_day_l1")
    return data, replay(data)


def changed(run: Run, **tables: np.ndarray) -> Run:
    """A run with other records in some stages, and their digest."""
    whole = {stage: table.records for stage, table in run.tables.items()} | tables
    digest = Digest.of(run.digest.config, run.digest.input, run.events, whole)
    return dataclasses.replace(run, tables={stage: Table(stage, rows) for stage, rows in whole.items()}, digest=digest)


def plus(run: Run, stage: str, row: int, field: str, by: int = 1) -> Run:
    records = run.tables[stage].records.copy()
    records[field][row] += by
    return changed(run, **{stage: records})


def without(run: Run, stage: str, row: int) -> Run:
    return changed(run, **{stage: np.delete(run.tables[stage].records, row)})


def pairs(found: gr.divergence.Diff, section: str) -> dict[str, tuple[str, str]]:
    return {pair.name: (pair.a_text, pair.b_text) for pair in found[section].pairs}


# Each kind


def test_equal_runs_are_equal():
    data, run = day()
    found = diff(run, replay(data, chunk=777))
    assert found.equal
    assert (found.first, found.by_stage, found.sections) == (None, (), ())
    assert "a and b are equal" in str(found)
    assert found.to_dict()["equal"] is True


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("input", "alerts")])
def test_a_value(stage):
    _, run = day()
    records = run.tables[stage].records
    row = 2 * len(records) // 3
    field = records.dtype.names[-1]
    found = diff(run, plus(run, stage, row, field)).first
    event = int(records["event"][row])
    assert (found.stage, found.event, found.ts, found.kind, found.field) == (stage, event, records["ts"][row], "value", field)
    assert found.record == row - int(np.argmax(records["event"] == event))
    assert (found.b, found.a) == (found.a + 1, records[field][row])
    assert found.a_text != found.b_text
    assert found.window == event // WINDOW
    assert (found.record_a[field], found.record_b[field]) == (found.a, found.b)


def test_a_record_that_is_missing_and_one_more():
    _, run = day()
    row = 700
    fewer = without(run, "fills", row)
    found = diff(run, fewer).first
    event = int(run.fills["event"][row])
    assert (found.stage, found.event, found.kind, found.field, found.record_b) == ("fills", event, "only_a", "", None)
    assert found.record_a == dict(zip(run.fills.columns, run.fills.records[row].tolist(), strict=True))
    assert "qty" in found.a_text
    assert found.b_text == ""
    other = diff(fewer, run).first
    assert (other.kind, other.event, other.record_b, other.record_a) == ("only_b", event, found.record_a, None)
    assert "has a record only in b" in str(other)


def test_a_record_put_between_others_of_one_event():
    """Levels of one plan: one left out in the middle is told as missing, not as a change of all after it."""
    _, run = day()
    event = int(run.levels["event"][5000])
    rows = np.flatnonzero(run.levels["event"] == event)
    found = diff(run, without(run, "levels", rows[3])).first
    assert (found.kind, found.event, found.record, found.record_a["i"]) == ("only_a", event, 3, 4)
    twice = changed(run, levels=np.insert(run.levels.records, rows[3], run.levels.records[rows[3]]))
    found = diff(run, twice).first
    assert (found.kind, found.event, found.record_b["i"]) == ("only_b", event, 4)


def test_the_earliest_event_comes_before_the_first_stage():
    _, run = day()
    late, early = 1000, 100
    both = plus(plus(run, "bars", late, "close"), "ledger", early, "cash")
    found = diff(run, both)
    assert (found.first.stage, found.first.event) == ("ledger", run.ledger["event"][early])
    assert [one.stage for one in found.by_stage] == ["bars", "ledger"]
    assert found.first.event < found.by_stage[0].event


def test_at_one_event_the_first_stage_is_the_cause():
    _, run = day()
    plan = int(np.flatnonzero(np.isin(run.plans["event"], run.features["event"]))[100])
    event = int(run.plans["event"][plan])
    spoilt = plus(run, "plans", plan, "step")
    spoilt = plus(spoilt, "levels", int(np.argmax(run.levels["event"] == event)), "price")
    spoilt = plus(spoilt, "features", int(np.argmax(run.features["event"] == event)), "natr")
    found = diff(run, spoilt)
    assert (found.first.stage, found.first.field, found.first.event) == ("features", "natr", event)
    assert [name.split(" ")[0] for name in pairs(found, "stages")] == ["features.natr", "plans.step", "levels.price"]
    step, words = run.plans.records[plan]["step"], Words(run.instruments).shows[0]
    assert f"; with it plans.step {words.ratio(step)} and {words.ratio(step + 1)}, levels.price " in found.story
    assert f"features.natr is {found.first.a_text} in a, {found.first.b_text} in b" in found.story
    assert found.story.endswith("; settings, market and code are the same")
    assert pairs(found, "features")["natr"][0] != pairs(found, "features")["natr"][1]


def test_a_longer_run():
    data, run = day()
    head = replay(data, until=50_000)
    for a, b, kind in ((run, head, "only_a"), (head, run, "only_b")):
        found = diff(a, b)
        assert not found.equal
        assert found.first.kind == kind
        assert found.first.event >= 50_000
        assert found.first.event == min(rows[rows >= 50_000].min() for s in STAGES if len(rows := run.tables[s]["event"]))
        assert "equal as far as both go" in found.note
        assert "ends after 50,000 events" in found.note
    short = replay(data, until=50_001)
    found = diff(head, short)
    assert (found.equal, found.first) == (True, None), "a digest is of records: one more event without any changes none"
    assert "a ends after 50,000 events, b goes on to 50,001" in found.note


def test_a_change_of_settings_that_changes_no_record():
    data, run = day()
    other = replay(data, Config(max_consecutive_losses=200))
    found = diff(run, other)
    assert (found.equal, found.first) == (False, None)
    assert found.note == "no record differs; what does: settings"
    assert pairs(found, "settings") == {"max_consecutive_losses": ("0", "200")}


def test_two_configs_on_one_fixture():
    found = diff("range_day_l1", Config(), Config(alpha="1.4"))
    assert (found.first.stage, found.first.field, found.first.a_text, found.first.b_text) == ("plans", "step", "8 bp", "12.2493 bp")
    assert pairs(found, "settings") == {"alpha": ("0.8", "1.4")}
    assert found.story == (
        "at 2024-01-03 01:01:00.436 UTC, BTCUSDT: plans.step is 8 bp in a, 12.2493 bp in b; with it levels.price 61899.1 USDT and "
        "61872.8 USDT, intents.price 61899.1 USDT and 61872.8 USDT, orders.price 61899.1 USDT and 61872.8 USDT; "
        "the settings differ (alpha)"
    )
    told_by = pairs(found, "derivation")
    assert told_by["step.wanted"] == (
        "6.9996 bp (alpha 0.8 * natr * multiplier 1)",
        "12.2493 bp (alpha 1.4 * natr * multiplier 1)",
    )
    assert "step.step min" not in told_by
    assert diff(day()[0], Config(), None).equal


# Other data, other instruments


def shifted(data: Fixture, row: int, **by: int) -> Fixture:
    columns = {name: getattr(data.events, name).copy() for name in by}
    for name, step in by.items():
        columns[name][row] += step
    return dataclasses.replace(data, events=data.events._replace(**columns), content="f" * 64)


def test_different_data_are_told_with_the_first_event_that_differs():
    data, run = day()
    other = replay(shifted(data, 60_000, bid_px=-3, bid_qty=1))
    found = diff(run, other)
    assert found["input"].title == "the market differs first at event 60,000"
    cells = found["input"].pairs
    assert [pair.name for pair in cells if pair.differs] == ["bid", "bid_qty"]
    assert cells[3].a - cells[3].b == 3
    assert cells[3].unit == "ticks"
    assert found.first is None or found.first.event >= 60_000
    opening = int(run.bars["event"][500])
    found = diff(run, replay(shifted(data, opening, bid_px=-3)))
    assert found.first.event >= opening
    assert found.story.endswith(f"; the market differs first at event {opening:,}")
    more = diff(replay(data, until=60_000), replay(data.head(60_001)))
    assert more["input"].title.endswith("event 60,000")
    assert "ends before it" in more["input"].note


def test_different_data_of_which_nothing_is_known(tmp_path):
    data, run = day()
    other = replay(shifted(data, int(run.bars["event"][500]), bid_px=-3))
    files = [one.save(tmp_path / f"{i}.grinder") for i, one in enumerate((run, other))]
    found = diff(*files)
    assert "give them to see where" in found["input"].note
    assert "give the fixture to see it" in found["market"].note
    assert found.first == diff(run, other).first


@pytest.mark.parametrize("column", ["funding", "commands", "books"])
def test_streams_beside_the_quotes(column):
    """The first event that differs may be a funding, a command or a level of a book."""
    for seed in range(60):
        data = smart_case(seed).fixture
        rows = {"funding": data.events.funding["row"], "commands": data.events.commands["row"], "books": data.events.book_rows}
        if len(rows[column]) > 2 and len(data.events.books) * (column != "books") == 0:
            break
    else:
        pytest.fail("no such tape")
    values = getattr(data.events, column).copy()
    if column == "books":
        values[2, 1, 3] += 1
    else:
        values["rate" if column == "funding" else "command"][2] += 1
    other = dataclasses.replace(data, events=data.events._replace(**{column: values}))
    sides = [
        Recorded.of(dataclasses.replace(replay(data, Config(policy="smart"), until=0), market=one.events), name)
        for one, name in ((data, "a"), (other, "b"))
    ]
    sides[1] = dataclasses.replace(sides[1], digest="0" * 64)
    found = compare(*sides)["input"]
    assert found.title.endswith(f"event {rows[column][2]:,}")
    (pair,) = (pair for pair in found.pairs if pair.differs)
    assert pair.name == {"funding": "rate", "commands": "command", "books": "level 4"}[column]


def test_other_instruments_are_refused():
    _, run = day()
    with pytest.raises(ConfigError, match=r"with BTCUSDT, b of dydx_btcusd_1d with .*no record in common"):
        diff(run, replay("dydx_btcusd_1d", until=100))
    finer = run.instruments[0].model_copy(update={"lot_size": "0.0001"})
    with pytest.raises(ConfigError, match=r"another instrument in a and b \(lot_size 0.001 and 0.0001\)"):
        diff(run, dataclasses.replace(run, instruments=(finer,)))


@pytest.mark.parametrize("words", [(3,), ("run", 5), (Config(), Config()), ("range_day_l1", Config(), 7)])
def test_what_cannot_be_compared(words):
    words = tuple(day()[1] if word == "run" else word for word in words)
    with pytest.raises(ConfigError, match=r"cannot be compared|compared on one fixture"):
        diff(*words)
    with pytest.raises(DataError, match="no such file"):
        diff("nothing.grinder")


# Saved runs and goldens


def test_saved_runs_with_their_fixture(tmp_path):
    data, run = day()
    other = replay(data, Config(alpha="1.4"))
    files = [one.save(tmp_path / f"{i}.grinder") for i, one in enumerate((run, other))]
    found, live = diff(*files, fixture="range_day_l1", labels=("old", "new")), diff(run, other)
    assert found.first == live.first
    assert found["market"].pairs == live["market"].pairs
    assert found["derivation"].pairs == live["derivation"].pairs
    assert "old and new are NOT equal" in str(found)


def test_a_fixture_that_is_not_what_was_replayed_shows_no_market(tmp_path):
    data, run = day()
    files = [one.save(tmp_path / f"{i}.grinder") for i, one in enumerate((run, replay(data, Config(alpha="1.4"))))]
    assert diff(*files, fixture=data)["market"].pairs
    jumpy = fixture("range_day_l1", Config(max_jump="0.3"))
    assert jumpy.content == data.content
    for other in (jumpy, data.head(100_000), "trend_day_l1"):
        found = diff(*files, fixture=other)
        assert found["market"].note == "not recorded: give the fixture to see it"
        assert found.first.field == "step"


def test_nobody_is_explained_by_other_code_or_asked_again(tmp_path):
    """A plan is derived only where the code that made it runs; and a policy of one's own is not called again by a comparison."""
    data, run = day()
    other = replay(data, Config(alpha="1.4"))
    other.provenance["source_sha256"] = "0" * 64
    file = other.save(tmp_path / "other.grinder")
    assert "derivation" not in diff(run, file, fixture=data)
    asked = []

    @gr.policy
    def counting(view, params):
        asked.append(view.event)
        return gr.smart(view, params)

    own = replay(data, None, counting, until=20_000)
    calls = len(asked)
    assert calls > 100
    found = diff(own, replay(data, Config(alpha="1.4"), until=20_000))
    assert found.first.stage == "plans"
    assert "derivation" not in found
    assert len(asked) == calls


def test_a_run_that_cannot_be_explained_is_compared_all_the_same(monkeypatch):
    data, run = day()

    def refuse(*_, **__):
        raise LedgerError("plan 7 is not what its inputs give")

    other = replay(data, Config(alpha="1.4"))
    monkeypatch.setattr(Run, "explain", refuse)
    found = diff(run, other)
    assert found.first.field == "step"
    assert found["derivation"].note == "a cannot be explained: plan 7 is not what its inputs give"


def test_a_run_that_has_seen_nothing():
    data, run = day()
    none, one = replay(data, until=0), replay(data, until=1)
    assert diff(none, none).equal
    assert "a ends after 0 events" in diff(none, one).note
    assert diff(none, run).first == diff(one, run).first
    assert "input" not in diff(none, run)
    assert diff(run, none).first.kind == "only_a"


def test_a_run_against_its_golden(tmp_path, monkeypatch):
    data = swing(tmp_path / "swings")
    monkeypatch.delenv("CI", raising=False)
    accept(data, "first golden")
    run = replay(data)
    found = diff(run)
    assert found.equal
    assert "a and golden are equal" in str(found)
    row = int(np.argmax(run.fills["event"] >= WINDOW))
    other = plus(run, "fills", row, "fee")
    found = diff(other)
    first = found.first
    assert (first.stage, first.kind, first.window, first.events) == ("fills", "window", 1, (WINDOW, 2 * WINDOW - 1))
    assert first.ts == T0 + WINDOW * 10**8
    rows = other.fills.records
    rows = rows[(rows["event"] >= WINDOW) & (rows["event"] < 2 * WINDOW)]
    assert found["window.fills"].note.startswith(f"{len(rows)} records from ")
    assert (
        found["window.fills"]
        .pairs[0]
        .a_text.endswith(Words(run.instruments).record("fills", dict(zip(rows.dtype.names, rows[0].tolist(), strict=True))))
    )
    assert f"stage fills, in events {WINDOW:,} to {2 * WINDOW - 1:,}" in str(found)
    late = plus(other, "bars", -1, "close")
    assert diff(late, read_golden(data)).first.stage == "fills", "the earliest window comes first, then the causal order"


def test_a_golden_of_other_settings(tmp_path, monkeypatch):
    data = swing(tmp_path / "swings")
    monkeypatch.delenv("CI", raising=False)
    accept(data, "first golden")
    found = diff(replay(data, Config(maker_fee="3bp")))
    assert found.first.window == 0
    assert "the hashes of their settings differ" in found.note
    assert "PnL" not in str(found)


# Mirrors and the truth


@pytest.mark.parametrize("seed", range(24))
@volume(PROPERTY)
def test_a_difference_is_the_same_the_other_way_round(seed):
    """And it is what a comparison of every record says; a run differs from itself in nothing."""
    c = (smart_case if seed % 2 else case)(seed)
    run = replay(c.fixture, c.config)
    others = [
        replay(c.fixture, Config(maker_fee="7bp", min_edge="1bp").over(c.config)),
        replay(c.fixture, c.config, until=len(c.fixture) // 2),
    ]
    assert diff(run, run).equal
    for other in others:
        there, back = diff(run, other), diff(other, run)
        assert told(there.first) == truth(run, other)
        assert told(back.first) == truth(other, run)
        assert (there.first is None) == (back.first is None)
        if there.first is not None:
            x, y = there.first, back.first
            assert (x.stage, x.event, x.record, x.field, x.kind) == (y.stage, y.event, y.record, y.field, MIRROR[y.kind])
            assert (x.a, x.b, x.a_text, x.b_text) == (y.b, y.a, y.b_text, y.a_text)
        assert [one.stage for one in there.by_stage] == [one.stage for one in back.by_stage]


def edited(rng: random.Random, run: Run) -> Run:
    """A run with up to four records left out, put in twice, put in with another value, or changed, over its windows."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        stage = rng.choice([stage for stage in STAGES if len(run.tables[stage])])
        records = run.tables[stage].records
        window = np.flatnonzero(records["event"] // WINDOW == rng.randrange(3)).tolist()
        row, field = rng.choice(window or [0]), rng.choice(records.dtype.names[1:])
        other = records[row].copy()
        other[field] += rng.choice((-1, 1))
        how = rng.choice(("leave out", "twice", "put in", "change", "swap"))
        if how == "leave out":
            records = np.delete(records, row)
        elif how in ("twice", "put in"):
            records = np.insert(records, row + rng.randint(0, 1), records[row] if how == "twice" else other)
        elif how == "change":
            records = records.copy()
            records[row] = other
        elif row and records["event"][row] == records["event"][row - 1]:
            records = records.copy()
            records[[row - 1, row]] = records[[row, row - 1]]
        run = changed(run, **{stage: records})
    return run


def test_any_edits_in_any_windows(tmp_path):
    """Records left out, put in, changed and swapped in several stages and windows at once, both ways round."""
    run = replay(swing(tmp_path / "swings"))
    rng, kinds = random.Random(5), set()
    for _ in range(250):
        other = edited(rng, run)
        there, back = diff(run, other).first, diff(other, run).first
        assert told(there) == truth(run, other)
        assert told(back) == truth(other, run)
        if there is not None:
            kinds.add((there.kind, there.window))
            assert (back.event, back.stage, back.record, back.kind) == (there.event, there.stage, there.record, MIRROR[there.kind])
    assert kinds == {(kind, window) for kind in MIRROR for window in range(3)}


@pytest.mark.parametrize("seed", [3, 4, 5, 6, 7])
@volume(PLANTED, 40)
def test_planted_faults_are_named_exactly(seed):
    out = lane(40, seed, days=False)
    assert out.wrong == [], f"seed {seed}"
    ran(PLANTED, out.exact.total())
    assert sum(count for (kind, _), count in out.exact.items() if kind != "record") >= 20
    assert "40 of 40 named exactly" in table(out)


def test_the_truth_of_the_lane_is_no_tautology():
    """A fault that the diff is not told of is found by the oracle, and by it alone."""
    _, run = day()
    hidden = plus(run, "fills", 300, "fee")
    lying = dataclasses.replace(hidden, digest=run.digest)
    assert truth(run, hidden)[:3] == (run.fills["event"][300], "fills", 0)
    assert diff(run, lying).first is None


# Context


def test_money_is_explained_to_the_atom():
    data = fixture("multisymbol_topk_l1")
    a, b = replay(data), replay(data, Config(maker_fee="3bp", equity=12_000))
    found = diff(a, b)
    wholes = [total_of(accounts(run.world, run.instruments)) for run in (a, b)]
    section = found["pnl.portfolio"]
    values = {pair.name: (pair.a, pair.b) for pair in section.pairs}
    assert values["start"] == (10_000 * 10**8, 12_000 * 10**8)
    assert values["equity"] == tuple(run.summary()["equity"] for run in (a, b))
    for name in ("realised", "unrealised", "fees", "funding"):
        assert values[name] == tuple(getattr(whole, name) for whole in wholes)
    change = {name: y - x for name, (x, y) in values.items()}
    assert change["equity"] == change["start"] + change["realised"] + change["unrealised"] - change["fees"] + change["funding"]
    symbols = [s.name[4:] for s in found.sections if s.name.startswith("pnl.")]
    assert symbols[0] == "portfolio"
    parts = {s: {pair.name: pair.b - pair.a for pair in found[f"pnl.{s}"].pairs} for s in symbols[1:]}
    assert sum(part["equity"] for part in parts.values()) == change["equity"] - change["start"]
    shown = [float(number) for number in re.findall(r"(-?[\d.]+) USDT", section.note)]
    assert abs(shown[0] - sum(shown[1:])) < 1e-6


def test_fills_of_one_side_are_counted_whatever_their_ids():
    _, run = day()
    fills = run.fills.records.copy()
    fills["order"] += 5
    fills["cycle"] += 7
    renumbered = changed(run, fills=fills)
    assert "fills" not in diff(run, renumbered)
    other = without(without(renumbered, "fills", 50), "fills", 60)
    found = diff(run, other)["fills"]
    assert (found.pairs[0].a, found.pairs[0].b) == (2, 0)
    times = [str(np.datetime64(int(run.fills["ts"][row]), "ns")).replace("T", " ").rstrip("0") for row in (50, 61)]
    assert [pair.a_text[: len(at)] for pair, at in zip(found.pairs[1:], times, strict=True)] == times


def test_the_orders_shown_are_those_of_the_engine():
    """What records say was open after an event is what the state then held."""
    data, _ = day()
    for stop in (7_000, 40_000, 90_000):
        head = replay(data, until=stop)
        found = diff(head, plus(head, "ledger", -1, "cash"))
        world, event = head.world, found.first.event
        assert event < stop
        at = replay(data, until=event + 1).world
        n = int(at.symbols["n_orders"][0])
        shown = pairs(found, "orders")
        assert set(shown) == {f"order {number}" for number in at.orders["id"][0, :n].tolist()}
        for row in at.orders[0, :n]:
            text = shown[f"order {row['id']}"][0]
            words = Words(head.instruments)
            assert words.shows[0].price(row["px"]) in text
            assert words.shows[0].quantity(row["qty"]) in text
            assert text.startswith("BUY" if row["side"] > 0 else "SELL")
        assert world is head.world


def test_the_market_shown_is_that_of_the_event():
    data, run = day()
    found = diff(run, plus(run, "bars", 500, "close"))
    event = int(run.bars["event"][500])
    rows = pairs(found, "market")
    assert list(rows) == [f"event {event + k:,}" + " *" * (k == 0) for k in range(-3, 3)]
    e = data.events
    text = rows[f"event {event:,} *"][0]
    assert text.startswith(str(np.datetime64(int(e.ts[event]), "ns")).replace("T", " ").rstrip("0"))
    assert INSTRUMENT.tick_size == run.instruments[0].tick_size
    assert INSTRUMENT.price(int(e.bid_px[event])) in text
    assert INSTRUMENT.price(int(e.ask_px[event])) in text


# How it is shown


def test_text():
    data, run = day()
    found = diff(run, replay(data, Config(alpha="1.4")), labels=("main", "HEAD"))
    text = str(found)
    assert repr(found) == text
    lines = text.splitlines()
    assert lines[0] == "range_day_l1: main and HEAD are NOT equal"
    assert lines[1] == f"  main  {run.digest.value}, 157,076 events"
    assert "first difference: event 6,471, 2024-01-03 01:01:00.436 UTC, BTCUSDT, stage plans, record 1 of this event, step" in lines
    assert "  main  8 bp   (80,000 1e-8)" in lines
    assert "  HEAD  12.2493 bp   (122,493 1e-8)" in lines
    order = [line for line in lines if line and not line.startswith((" ", "*"))]
    assert [line.split(":")[0] for line in order[2:7]] == [
        "settings that differ",
        "first difference",
        "the market around it",
        "features of BTCUSDT at the last bar close",
        "plan of BTCUSDT in force after the event",
    ]
    assert "* step         8 bp                           12.2493 bp" in lines
    assert "  mode         NORMAL                         =" in lines
    assert "  and 22 more that differ" in lines
    assert max(map(len, lines)) < 400


def leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in [key, *leaves(one)]]
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, list) else [value]


def test_json():
    data, run = day()
    found = diff(run, replay(data, Config(alpha="1.4")))
    body = json.loads(json.dumps(found.to_dict()))
    assert body == found.to_dict()
    assert {type(leaf) for leaf in leaves(body)} <= {str, int, bool, type(None)}
    assert body["first"] | {"record_a": 0, "record_b": 0} == {
        "stage": "plans", "event": 6471, "ts": 1704243660436000000, "symbol": "BTCUSDT", "record": 0, "kind": "value",
        "field": "step", "unit": "1e-8", "a": 80_000, "b": 122_493, "a_text": "8 bp", "b_text": "12.2493 bp", "window": 1,
        "record_a": 0, "record_b": 0, "events": [6471, 6471],
    }  # fmt: skip
    assert body["first"]["record_a"]["step"] == 80_000
    assert body["sections"]["settings"] == {
        "title": "settings that differ",
        "note": "",
        "pairs": [{"name": "alpha", "a": None, "b": None, "unit": "setting", "a_text": "0.8", "b_text": "1.4"}],
    }
    assert body["sections"]["pnl.portfolio"]["note"].startswith("b - a: 22.41299786 USDT = realised -9.00766719 USDT + ")
    assert [one["stage"] for one in body["by_stage"]] == "plans levels intents orders fills ledger alerts".split()


def test_html(tmp_path):
    data, run = day()
    found = diff(run, replay(data, Config(alpha="1.4")), labels=("<main>", "b&b"))
    fragment = found._repr_html_()
    assert "<script" not in fragment
    assert "http" not in fragment
    assert "&lt;main&gt;" in fragment
    assert "b&amp;b" in fragment
    assert "<main>" not in fragment
    assert "prefers-color-scheme: dark" in fragment
    assert '<tr class="unlike"><th scope="row">step</th><td>8 bp</td><td>12.2493 bp</td></tr>' in fragment
    assert fragment.count('<tr class="unlike"><th scope="row">order ') == 34, "a page leaves nothing out"
    opened, closed = ([*re.findall(pattern, fragment)] for pattern in (r"<(\w+)[ >]", r"</(\w+)>"))
    for tag in ("table", "tr", "td", "th", "caption", "div", "p", "b", "code", "style"):
        assert opened.count(tag) == closed.count(tag)
    page = found.to_html(tmp_path / "page.html")
    body = page.read_text()
    assert body.startswith("<!doctype html>")
    assert fragment in body
    again = diff(replay(data), replay(data, Config(alpha="1.4")), labels=("<main>", "b&b")).to_html(tmp_path / "again.html")
    assert again.read_bytes() == page.read_bytes()
    with pytest.raises(ConfigError, match="there is no folder"):
        found.to_html(tmp_path / "nowhere" / "page.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.html", "page.html"]


# Words


def test_every_column_has_a_unit_and_any_value_a_text():
    """Codes that do not exist and symbols out of range are shown as numbers: a fault may have made them."""
    words = Words([Instrument(symbol="BTC", kind="perpetual", tick_size="0.1", lot_size="0.001")])
    units = {
        "ns",
        "event",
        "ticks",
        "half ticks",
        "1e-6 ticks",
        "1e-8 half ticks",
        "lots",
        "atoms",
        "1e-8",
        "count",
        "bits",
        "id",
        "code",
    }
    for stage in STAGES:
        names = stage_dtype(stage).names
        for value in (-(2**62), -2, -1, 0, 1, 5, 99, 2**62):
            record = dict.fromkeys(names, value)
            for name in names:
                assert unit_of(stage, name, record) in units
                assert words.value(stage, name, record)
        assert words.record(stage, dict.fromkeys(names, 0)).startswith("BTC: ")


@pytest.mark.parametrize(
    ("stage", "column", "record", "unit", "text"),
    [
        ("bars", "close", {"close": 1_235_987}, "half ticks", "61799.35 USDT"),
        ("plans", "step", {"step": 121_000}, "1e-8", "12.1 bp"),
        ("plans", "width_up", {"width_up": 1_355_466}, "1e-8", "1.355466 %"),
        ("plans", "center", {"center": 619_487_500_001}, "1e-6 ticks", "61948.7500001 USDT"),
        ("plans", "budget", {"budget": 20_000_000_001}, "atoms", "200.00000001 USDT"),
        ("plans", "reasons", {"reasons": Reason.BUDGET | Reason.POST_ONLY | 1 << 40}, "bits", f"BUDGET, POST_ONLY, {1 << 40}"),
        ("plans", "adds_up", {"adds_up": 1}, "code", "ONCE"),
        ("features", "atr", {"atr": 1}, "1e-8 half ticks", "0.0000000005 USDT"),
        ("features", "natr", {"natr": 87_495}, "1e-8", "8.7495 bp"),
        ("features", "trend_strength", {"trend_strength": -250_000_000}, "1e-8", "-2.5 ATRs"),
        ("gates", "to", {"gate": 4, "to": 2}, "code", "HIGH"),
        ("gates", "to", {"gate": 0, "to": 1}, "code", "stale"),
        ("gates", "reasons", {"gate": 4, "reasons": 6}, "bits", "IMPACT, JUMP"),
        ("regimes", "from", {"from": 4}, "code", "THIN_BOOK"),
        ("orders", "from", {"from": -1}, "code", "none"),
        ("orders", "live_ts", {"live_ts": 1_704_243_660_436_000_001}, "ns", "2024-01-03 01:01:00.436000001"),
        ("intents", "order", {"order": -1}, "id", "none"),
        ("fills", "taker", {"taker": 1}, "code", "taker"),
        ("fills", "side", {"side": -1}, "code", "SELL"),
        ("ledger", "cause", {"cause": 5}, "bits", "FILL, BAR"),
        ("ledger", "symbol", {"symbol": -1}, "code", "portfolio"),
        ("ledger", "position", {"position": -12}, "lots", "-0.012"),
        ("input", "value", {"kind": 2, "value": 90 * 10**9}, "ns", "1 min 30 s"),
        ("input", "value", {"kind": 3, "value": 10_000}, "1e-8", "1 bp"),
        ("input", "value", {"kind": 1, "value": 2}, "code", "QUOTES"),
        ("input", "code", {"kind": 4, "code": 2}, "code", "KILL"),
        ("alerts", "value", {"code": 8, "value": 3}, "count", "3"),
        ("alerts", "limit", {"code": 4, "limit": 10**8}, "atoms", "1 USDT"),
    ],
)  # fmt: skip
def test_words(stage, column, record, unit, text):
    words = Words([Instrument(symbol="BTC", kind="perpetual", tick_size="0.1", lot_size="0.001")])
    assert unit_of(stage, column, record) == unit
    assert words.value(stage, column, record) == text


def test_the_page_of_a_fixture_in_memory_has_no_path():
    c = case(3)
    found = diff(replay(c.fixture, c.config), replay(c.fixture, Config(maker_fee="9bp", min_edge="1bp").over(c.config)))
    assert str(Path.home()) not in found._repr_html_()
    assert str(Path.cwd()) not in str(found)
