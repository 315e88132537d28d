"""The chain and the digest against a naive reading of SPEC 14, and what a damaged or different golden does."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import struct
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder import digest
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.digest import Chained, Difference, Digest, chain, first_difference
from grinder.records import STAGES, stage_dtype
from grinder.session import replay
from tests.tapes import case

quick = settings(max_examples=120, derandomize=True, deadline=None)
WINDOW = 4096
STAGE = "fills"


def make_records(events: list[int], stage: str = STAGE) -> np.ndarray:
    """Records of the given causing events, all other fields telling them apart."""
    out = np.zeros(len(events), stage_dtype(stage))
    for k, name in enumerate(out.dtype.names):
        out[name] = np.arange(len(events)) * 1_000_003 * (k + 1) - 7
    out["event"] = events
    return out


def naive_links(records: np.ndarray, events: int) -> list[bytes]:
    """SPEC 14: windows of 4096 events from the start, the last one partial; SHA-256(h || count as uint64 LE || record bytes)."""
    h, links = bytes(32), []
    for start in range(0, events, WINDOW):
        rows = [row for row in records.tolist() if start <= row[0] < start + WINDOW]
        body = b"".join(struct.pack(f"<{len(row)}q", *row) for row in rows)
        h = hashlib.sha256(h + struct.pack("<Q", len(rows)) + body).digest()
        links.append(h)
    return links


@st.composite
def runs(draw):
    """(records, events): windows empty, full and partial; records anywhere, on and beside window borders."""
    events = draw(st.one_of(st.integers(0, 5 * WINDOW), st.sampled_from((0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW))))
    border = st.sampled_from([e for e in (0, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, events - 1) if 0 <= e < events] or [0])
    causes = sorted(draw(st.lists(st.one_of(border, st.integers(0, max(0, events - 1))), max_size=60))) if events else []
    if causes and draw(st.booleans()):
        causes = sorted(causes + causes[:3] * 500)  # windows with many records
    return make_records(causes), events


@quick
@given(runs())
def test_the_chain_is_the_naive_one(run):
    records, events = run
    assert chain(records, events) == b"".join(naive_links(records, events))


@pytest.mark.parametrize(
    ("compiled", "instructions", "in_a_kernel"), [(True, False, [1, 5]), (True, True, [1, 5, 6, 50]), (False, True, [])]
)
def test_short_windows_are_hashed_in_a_kernel(compiled, instructions, in_a_kernel):
    """Up to 80 bytes a window, and all where the CPU has instructions for it (ADR-0038, 0040). A record of `input` has 48 bytes:
    five of them are 240 of three windows."""
    with (
        patch.object(digest, "JIT", compiled),
        patch.object(digest, "has_instructions", lambda: instructions),
        patch.object(digest, "links_of", lambda stages, _: [bytes([len(records)]) for records in stages]),
    ):
        made = [chain(make_records([0] * n, "input"), 3 * WINDOW) for n in (1, 5, 6, 50)]
    assert [n[0] for n in made if len(n) == 1] == in_a_kernel


@quick
@given(runs(), st.data())
def test_any_field_of_any_record_moves_its_window_and_all_later_ones(run, data):
    records, events = run
    if not len(records):
        return
    changed = records.copy()
    row, name = data.draw(st.integers(0, len(records) - 1)), data.draw(st.sampled_from(records.dtype.names[1:]))
    changed[name][row] ^= 1 << data.draw(st.integers(0, 63)) if data.draw(st.booleans()) else 1
    before, links = naive_links(records, events), chain(changed, events)
    after = [links[i : i + 32] for i in range(0, len(links), 32)]
    first = int(records["event"][row]) // WINDOW
    assert [a == b for a, b in zip(before, after, strict=True)] == [w < first for w in range(len(before))]


# The digest


def digest_of(records: dict[str, np.ndarray], events: int, config: str = "c" * 64, data: str = "d" * 64) -> Digest:
    return Digest.of(config, data, events, {stage: records.get(stage, make_records([], stage)) for stage in STAGES})


def some_records() -> dict[str, np.ndarray]:
    return {stage: make_records(list(range(k, 12_000, 997 + k)), stage) for k, stage in enumerate(STAGES)}


def test_the_value_is_the_hash_of_canonical_json():
    digest = digest_of(some_records(), 12_000)
    entries = []
    for stage in "input bars features gates regimes plans levels intents orders fills ledger alerts".split():
        rows = some_records()[stage]
        root = naive_links(rows, 12_000)[-1].hex()
        entries.append(f'{{"count":{len(rows)},"name":"{stage}","root":"{root}","version":1}}')
    text = f'{{"config":"{"c" * 64}","format":1,"input":"{"d" * 64}","stages":[{",".join(entries)}]}}'
    assert digest.value == str(digest) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("seed", [3, 8, 21])
def test_a_real_run_has_the_digest_of_its_tables(seed):
    c = case(seed)
    run = replay(c.fixture, c.config, chunk=17)
    for stage in STAGES:
        links = naive_links(run.tables[stage].records, run.events)
        assert run.digest.roots[stage] == links[-1].hex()
        assert run.digest.links[stage] == "".join(link[:8].hex() for link in links)
    assert (run.digest.config, run.digest.input) == (c.config.over(c.fixture.config).hash(), c.fixture.content)


def test_many_windows_of_a_real_run():
    """A tape laid end to end: windows with and without records, and a partial one last."""
    c = case(0, 300)
    quotes = np.flatnonzero(c.fixture.events.fault == 0)
    columns = {name: np.tile(getattr(c.fixture.events, name)[quotes], 40) for name in ("bid_px", "bid_qty", "ask_px", "ask_qty")}
    keep = columns["ask_px"] > 0
    columns = {name: values[keep] for name, values in columns.items()} | {
        "ts": 1_700_000_000 * 10**9 + 10**7 * np.arange(keep.sum())
    }
    columns["symbol"] = np.zeros(keep.sum(), np.int64)
    fixture = Fixture.from_arrays(c.fixture.instruments[:1], quotes=columns)
    first = fixture.symbols[0]
    run = replay(fixture, Config(quantity=c.config.quantity[first]).over(c.config))
    assert len(set(run.ledger["event"] // WINDOW)) > 2
    for stage in STAGES:
        assert run.digest.roots[stage] == naive_links(run.tables[stage].records, run.events)[-1].hex()


def test_to_dict_round_trip():
    for events in (0, 1, WINDOW, 12_000):
        digest = digest_of({k: v[v["event"] < events] for k, v in some_records().items()}, events)
        stored = json.loads(json.dumps(digest.to_dict()))
        assert Digest.from_dict(stored) == digest
        assert stored["digest"] == digest.value


def flipped(text: str, at: int) -> str:
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


TAMPERINGS = {
    "digest": lambda b: b.update(digest=flipped(b["digest"], 0)),
    "config": lambda b: b.update(config=flipped(b["config"], 5)),
    "input": lambda b: b.update(input=flipped(b["input"], 63)),
    "count": lambda b: b["stages"]["fills"].update(count=b["stages"]["fills"]["count"] + 1),
    "root": lambda b: b["stages"]["alerts"].update(root=flipped(b["stages"]["alerts"]["root"], 9)),
    "roots swapped": lambda b: b["stages"].update(bars=b["stages"]["gates"], gates=b["stages"]["bars"]),
    "last link": lambda b: b["stages"]["bars"].update(
        links=flipped(b["stages"]["bars"]["links"], -1 + len(b["stages"]["bars"]["links"]))
    ),
    "links in capitals": lambda b: b["stages"]["bars"].update(links=b["stages"]["bars"]["links"].upper()),
    "links of half a byte": lambda b: b["stages"]["bars"].update(links=b["stages"]["bars"]["links"][:-1]),
    "links short": lambda b: b["stages"]["bars"].update(links=b["stages"]["bars"]["links"][16:]),
    "events": lambda b: b.update(events=b["events"] + WINDOW),
    "stage gone": lambda b: b["stages"].pop("orders"),
    "no stages": lambda b: b.update(stages=None),
    "no events": lambda b: b.pop("events"),
    "links of another kind": lambda b: b["stages"]["bars"].update(links=3),
    "count of another kind": lambda b: b["stages"]["bars"].update(count="many"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_refused(name):
    body = copy.deepcopy(digest_of(some_records(), 12_000).to_dict())
    TAMPERINGS[name](body)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Digest.from_dict(body)


@quick
@given(st.sampled_from(list(STAGES)), st.data())
def test_the_first_difference_is_the_planted_one(stage, data):
    records = some_records()
    row = data.draw(st.integers(0, len(records[stage]) - 1))
    event = int(records[stage]["event"][row])
    later = [other for other in list(STAGES)[list(STAGES).index(stage) :] if data.draw(st.booleans())]
    for other in {stage, *later}:
        spoilt = records[other].copy()
        spoilt[spoilt.dtype.names[-1]][row if other == stage else -1] += 1
        records[other] = spoilt
    found = first_difference(digest_of(some_records(), 12_000), digest_of(records, 12_000))
    assert (found.stage, found.window) == (stage, event // WINDOW)
    assert found.stages == tuple(other for other in STAGES if other in {stage, *later})
    assert f"stage {stage} differs first, in window {event // WINDOW} (events {event // WINDOW * WINDOW} to " in str(found)


def test_differences_of_length_of_settings_and_none():
    records = some_records()
    whole = digest_of(records, 12_000)
    assert first_difference(whole, digest_of(some_records(), 12_000)) is None
    short = {stage: rows[rows["event"] < WINDOW] for stage, rows in records.items()}
    assert first_difference(whole, digest_of(short, WINDOW)).window == 1
    fewer = records | {"fills": records["fills"][:-1]}
    assert first_difference(whole, digest_of(fewer, 12_000)) == Difference("fills", 2, ("fills",))
    assert first_difference(whole, digest_of(records, 12_000, config="e" * 64)).stage == "config"
    assert first_difference(whole, digest_of(records, 12_000, data="e" * 64)).stage == "input"
    assert str(first_difference(whole, digest_of(records, 12_000, data="e" * 64))) == "input differs, no record does"


def test_a_difference_says_where():
    assert str(Difference("fills", 2, ("fills",))) == "stage fills differs first, in window 2 (events 8192 to 12287)"
    told = "stage orders differs first, in window 0 (events 0 to 4095); also in ledger, alerts"
    assert str(Difference("orders", 0, ("orders", "ledger", "alerts"))) == told


def test_a_difference_without_records_has_no_window_and_one_of_counts_alone_has_its_stage():
    whole = digest_of(some_records(), 12_000)
    assert first_difference(whole, digest_of(some_records(), 12_000, config="e" * 64)) == Difference("config", -1, ())
    assert first_difference(whole, digest_of(some_records(), 12_000, data="e" * 64)) == Difference("input", -1, ())
    more = dataclasses.replace(whole, counts=whole.counts | {"orders": whole.counts["orders"] + 1})
    found = first_difference(whole, more)
    assert (found.stage, found.stages) == ("orders", ("orders",))


def test_a_run_without_events_has_roots_of_zeros():
    digest = digest_of({}, 0)
    assert set(digest.roots.values()) == {"00" * 32}
    assert set(digest.links.values()) == {""}


def test_what_a_golden_holds():
    body = digest_of(some_records(), 12_000).to_dict()
    assert list(body) == ["format", "digest", "config", "input", "events", "stages"]
    assert (body["format"], body["config"], body["input"], body["events"]) == (1, "c" * 64, "d" * 64, 12_000)
    for stage, entry in body["stages"].items():
        links = naive_links(some_records()[stage], 12_000)
        assert entry == {
            "version": 1,
            "count": len(some_records()[stage]),
            "root": links[-1].hex(),
            "links": "".join(link[:8].hex() for link in links),
        }


def test_a_refused_golden_says_why():
    body = digest_of(some_records(), 12_000).to_dict()
    with pytest.raises(ValueError, match=r"^its digest is not that of its stages: the file was edited or is of another format"):
        Digest.from_dict(body | {"config": "e" * 64})
    body["stages"]["bars"]["links"] = body["stages"]["bars"]["links"][16:]
    with pytest.raises(ValueError, match=r"^the links of stage bars are not those of 12000 events, the last one its root$"):
        Digest.from_dict(body)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("events",), True, "^events is True, no int$"),
        (("digest",), 5, "^digest is 5, no str$"),
        (("stages", "bars", "count"), "5", "^stages.bars.count is '5', no int$"),
        (("stages", "bars", "root"), None, "^stages.bars.root is None, no str$"),
        (("more",), 1, "^unknown key more; there are "),
        (("stages", "candles"), {}, r"^unknown key stages\.candles; there are "),
        (("stages", "bars", "more"), 1, r"^unknown key stages\.bars\.more; there are "),
    ],
)
def test_a_stored_digest_has_its_keys_and_no_others(place, value, said):
    body = digest_of(some_records(), 9000).to_dict()
    inner = body
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises((TypeError, ValueError), match=said):
        Digest.from_dict(body)
    del inner[place[-1]]
    if place[-1] not in ("more", "candles"):
        with pytest.raises(ValueError, match=rf"^no key {'.'.join(place).replace('.', '[.]')}; there are "):
            Digest.from_dict(body)


def test_known_links_are_not_made_again():
    """Replays of a sweep have those of the market in common."""
    tables = {stage: np.zeros(0, stage_dtype(stage)) for stage in STAGES}
    tables |= {"bars": np.zeros(3, stage_dtype("bars")), "orders": np.zeros(5, stage_dtype("orders"))}
    first = Digest.of("c", "d", 9000, tables)
    of_market = digest.chains({stage: tables[stage] for stage in ("input", "bars", "features", "gates")}, 9000)
    known = {stage: Chained.of(links) for stage, links in of_market.items()}
    with patch.object(digest, "chains", wraps=digest.chains) as made:
        assert Digest.of("c", "d", 9000, tables, known) == first
    assert set(made.call_args.args[0]) == {"orders"}, "what has no record has the same links in every run"
    assert Digest.of("c", "d", 9000, tables, {"bars": Chained.of(bytes(96))}).roots["bars"] == bytes(32).hex()
    assert Chained.of(b"") == ("0" * 64, b""), "no window, so 32 zero bytes"


def test_a_stage_without_a_record_has_a_link_for_every_window():
    """However many were kept from runs before."""
    with patch.object(digest, "_EMPTY", bytearray()):
        for windows in (1, 33, 40, 5, 100):
            none = np.zeros(0, stage_dtype("alerts"))
            assert chain(none, windows * WINDOW) == b"".join(naive_links(none, windows * WINDOW)), windows
