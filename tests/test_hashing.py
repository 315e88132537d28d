"""Links made in a kernel against `hashlib`."""

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
from grinder.digest import chain
from grinder.hashing import _constants, _swapped, absorb, has_instructions, links_of
from grinder.records import WINDOW, stage_dtype

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


def drawn(width: int, counts: list[int], seed: int) -> np.ndarray:
    """Records of which so many fall into each window; their other columns are of any number."""
    rng = np.random.default_rng(seed)
    out = np.zeros(sum(counts), kind(width))
    for name in out.dtype.names:
        out[name] = rng.choice([0, -1, 1, 2**63 - 1, -(2**63), *rng.integers(-(2**63), 2**63 - 1, 5)], len(out))
    window = np.repeat(np.arange(len(counts)), counts)
    out["f0"] = window * WINDOW + np.sort(rng.choice([0, 1, WINDOW - 1], len(out)))
    out["f0"].sort()
    return out


@compiled
@pytest.mark.parametrize("width", [1, 2, 3, 7, 26])
def test_every_length_around_a_block(width):
    """One window of 0 to 20 records: the end of the message falls on every place of a block."""
    for rows in range(21):
        records = drawn(width, [rows], rows)
        assert links_of([records], 1) == [told(records, [rows])], rows


@compiled
@given(
    st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(0, 12), min_size=7, max_size=7)), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_chains_of_every_length_side_by_side(stages, seed):
    tables = [drawn(width, counts, seed + i) for i, (width, counts) in enumerate(stages)]
    expected = [told(table, np.cumsum(counts).tolist()) for table, (_, counts) in zip(tables, stages, strict=True)]
    assert links_of(tables, 7) == expected


@compiled
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_two_lanes_take_any_number_of_chains(count):
    counts = [[k % 3, 40 * (k == 1), k] for k in range(count)]
    tables = [drawn(4, each, k) for k, each in enumerate(counts)]
    assert links_of(tables, 3) == [told(table, np.cumsum(each).tolist()) for table, each in zip(tables, counts, strict=True)]
    assert links_of(tables, 0) == [b""] * count


@compiled
def test_records_of_every_layout():
    records = drawn(4, [20, 0, 40], 1)
    every_other = [10, 10, 30]
    expected = told(records[::2], every_other)
    assert links_of([records[::2]], 3) == [expected]
    frozen = records[::2].copy()
    frozen.setflags(write=False)
    assert links_of([frozen, frozen[:0]], 3) == [expected, told(frozen[:0], [0, 0, 0])]


@compiled
def test_records_behind_the_last_window_are_in_none():
    records = drawn(2, [3, 4], 5)
    assert links_of([records], 1) == [told(records[:3], [3])]


@compiled
@given(st.binary(max_size=55))
@settings(max_examples=200, derandomize=True, deadline=None)
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


@compiled
def test_of_no_bytes_none_are_read():
    """However many records there are said to be."""
    none = np.zeros((1_000_000, 0), kind(3))
    assert links_of([none], 1) == [told(np.zeros(0, kind(3)), [0])]
    square = drawn(2, [6], 3)
    assert links_of([square.reshape(2, 3)], 1) == [told(square, [6])]
