"""The same digest everywhere: one process per environment, compared with this one (SPEC 14, INVARIANTS 37).

Each lane compiles for itself where its environment asks for it, so they run side by side under pytest-xdist.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest

from grinder.data.fixture import Fixture
from grinder.session import replay
from tests.environments import HEAD, LANES, command, jobs, tapes

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "binance_btcusdt_6m"
CASES = 12


@cache
def expected(events: int) -> list[str]:
    assert any(len(c.fixture.commands) for c in tapes(CASES))
    return [replay(*job).digest.value for job in jobs(events, CASES)]


@pytest.mark.parametrize("lane", LANES)
def test_environment(lane, tmp_path):
    events = HEAD if lane == "jit_off" else 0
    words, environment, cwd = command(lane, tmp_path, str(events), str(CASES), "2" if lane == "two_threads" else "1")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == expected(events)
    if lane == "cold_cache":  # a second signature is a second compilation: minutes of a first hour, and two chances to differ
        found = json.loads((tmp_path / "signatures.json").read_text())
        assert len(found) > 200
        assert {"engine.act.from_python", "policies.smart.plan_grid", "gates.close_gates"} <= set(found)
        assert {name: count for name, count in found.items() if count != 1} == {}


@pytest.mark.parametrize("chunk", [1, 7, 4096, 10**9])
def test_chunk_size_on_the_real_recording(chunk):
    whole = Fixture.open(FIXTURE)
    head = whole.head(9000) if chunk < 100 else whole
    assert replay(head, chunk=chunk).digest == replay(head).digest


@pytest.mark.parametrize("stop", [1, 4095, 4096, 4097, 31_337, 66_088, 93_948])
def test_save_and_resume_on_the_real_recording(stop, tmp_path):
    from grinder.run import load

    whole = Fixture.open(FIXTURE)
    saved = replay(whole, until=stop).save(tmp_path / "half.grinder")
    assert replay(whole, resume=load(saved)).digest.value == replay(whole).digest.value
