"""Links made in a kernel against `hashlib`, and the keeping of links that runs have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder import digest
from grinder._jit import JIT
from grinder.digest import Digest, chain
from grinder.hashing import _constants, _swapped, absorb, has_instructions, window_links
from grinder.records import STAGES, WINDOW, stage_dtype

compiled = pytest.mark.skipif(not JIT, reason="without the JIT links are made by hashlib")


def kind(width: int) -> np.dtype:
    return np.dtype([(f"f{i}", "<i8") for i in range(width)])


def told(records: np.ndarray, stops: list[int]) -> bytes:
    """The definition, by `hashlib`."""
    link, links, at = bytes(32), [], 0
    for stop in stops:
        link = sha256(link + (stop - at).to_bytes(8, "little") + records[at:stop].tobytes()).digest()
        links.append(link)
        at = stop
    return b"".join(links)


def drawn(width: int, rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = np.zeros(rows, kind(width))
    for name in out.dtype.names:
        out[name] = rng.choice([0, -1, 1, 2**63 - 1, -(2**63), *rng.integers(-(2**63), 2**63 - 1, 5)], rows)
    return out


@compiled
@pytest.mark.parametrize("width", [1, 2, 3, 7, 26])
def test_every_length_around_a_block(width):
    """One window of 0 to 20 records: the end of the message falls on every place of a block."""
    for rows in range(21):
        records = drawn(width, rows, rows)
        assert window_links(records, np.array([rows])) == told(records, [rows]), rows


@compiled
@given(st.integers(1, 9), st.lists(st.integers(0, 12), min_size=1, max_size=30), st.integers(0, 2**32))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_windows(width, counts, seed):
    stops = np.cumsum(counts)
    records = drawn(width, int(stops[-1]), seed)
    assert window_links(records, stops) == told(records, stops.tolist())


@compiled
def test_records_of_every_layout():
    records = drawn(4, 60, 1)
    stops = np.array([10, 10, 30])
    expected = told(records[::2], stops.tolist())
    assert window_links(records[::2], stops) == expected
    frozen = records[::2].copy()
    frozen.setflags(write=False)
    assert window_links(frozen, stops) == expected
    assert window_links(records[::2], np.zeros(0, np.int64)) == b""


@compiled
@given(st.binary(max_size=55))
@settings(max_examples=200, derandomize=True)
def test_a_block_without_instructions(message):
    """What CPUs without them compute, whichever CPU this is."""
    block = message + b"\x80" + bytes(55 - len(message)) + (8 * len(message)).to_bytes(8, "big")
    state, constants = (table.copy() for table in _constants())
    words = np.zeros(64, np.uint32)
    words[:16] = np.frombuffer(block, ">u4")
    absorb(state, words, constants)
    assert state.astype(">u4").tobytes() == sha256(message).digest()


@compiled
def test_instructions_are_those_that_code_is_compiled_for():
    told = subprocess.run(
        [sys.executable, "-c", "from grinder.hashing import has_instructions; print(has_instructions())"],
        env=os.environ | {"NUMBA_CPU_FEATURES": "+sse4.2"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told.strip() == "False"
    assert type(has_instructions()) is bool


@given(st.integers(0, 2**32 - 1))
def test_bytes_of_a_word_the_other_way_round(word):
    assert _swapped(word) == int.from_bytes(word.to_bytes(4, "little"), "big")


def test_constants_are_those_of_the_standard():
    initial, rounds = _constants()
    assert [hex(int(x)) for x in (initial[0], initial[7], rounds[0], rounds[63])] == [
        "0x6a09e667",
        "0x5be0cd19",
        "0x428a2f98",
        "0xc67178f2",
    ]
    assert (len(initial), len(rounds)) == (8, 64)


def test_the_chain_of_a_stage_is_the_definition(monkeypatch):
    """By a kernel for any length, by one for short links or none, and without a kernel."""
    records = np.zeros(500, stage_dtype("fills"))
    records["event"] = np.sort(np.random.default_rng(1).integers(0, 10 * WINDOW, 500))
    records["price"] = np.arange(500)
    events = 9 * WINDOW + 5
    stops = np.searchsorted(records["event"], np.arange(1, 11) * WINDOW).tolist()
    for instructions, short in ((True, 80), (False, 10_000), (False, 0)):
        monkeypatch.setattr(digest, "has_instructions", lambda instructions=instructions: instructions)
        monkeypatch.setattr(digest, "SHORT", short)
        assert chain(records, events) == told(records, stops)
    monkeypatch.setattr(digest, "JIT", False)
    assert chain(records, events) == told(records, stops)


def test_kept_links_are_of_the_same_bytes_alone(monkeypatch):
    monkeypatch.setattr(digest, "_KNOWN", {})
    tables = {stage: np.zeros(0, stage_dtype(stage)) for stage in STAGES}
    tables["bars"] = np.zeros(40, stage_dtype("bars"))
    tables["bars"]["event"] = np.arange(40) * 500
    one = Digest.of("c", "d", 20_000, tables)
    assert len(digest._KNOWN) == 1
    assert Digest.of("c", "d", 20_000, tables) == one
    assert len(digest._KNOWN) == 1
    seen = {one.roots["bars"], Digest.of("c", "d", 24_000, tables).roots["bars"]}
    for field in tables["bars"].dtype.names:
        changed = tables["bars"].copy()
        changed[field][-1] += 1
        seen.add(Digest.of("c", "d", 20_000, tables | {"bars": changed}).roots["bars"])
    assert len(seen) == 2 + len(tables["bars"].dtype.names)
    assert len(digest._KNOWN) <= digest.KEPT
    assert Digest.of("c", "d", 20_000, tables).roots["bars"] == one.roots["bars"], "made again after it was let go"
