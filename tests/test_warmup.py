"""Compiling ahead: after it nothing that a replay enters is left to be compiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from grinder._jit import JIT
from grinder.warmup import Warmth

EVERYTHING = """
import grinder as gr
from grinder._ahead import _has_room
from grinder._jit import cache_directory
from grinder.engine import act
from grinder.market import observe
from grinder.warmup import warm_up

def kept():
    return len(list(cache_directory().rglob("*.nbi")))

first = warm_up()
two = sum(act.from_python.stats.cache_misses.values()), sum(observe.from_python.stats.cache_misses.values())
for name, policy in (("range_day_l1", None), ("kill_switch_l2", None), ("multisymbol_topk_l1", "smart")):
    data = gr.fixture(name)
    gr.replay(data.head(min(len(data), 20_000)), gr.Config(policy=policy) if policy else None)
run = gr.replay(gr.fixture("range_day_l1").head(60_000), gr.Config(policy="smart"))
run.explain(int(run.last_ts))
run.metrics()
again = warm_up()
print(*two, int(_has_room()), first.kernels, first.compiled, kept(), again.compiled, str(again))
"""


@pytest.mark.skipif(not JIT, reason="without the JIT nothing is compiled")
def test_nothing_is_left_to_be_compiled(tmp_path):
    """In an empty cache; half a minute, since that is what it is for."""
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING],
        env=os.environ | {"GRINDER_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    acts, observes, room, kernels, compiled, kept, again, told = done.stdout.split(maxsplit=7)
    assert (acts, observes) == ("1", "0" if room == "1" else "1"), "`act` was compiled here, once; the other process did the rest"
    assert kernels == compiled == kept, "whatever was entered later had been compiled"
    assert int(kernels) > 10
    assert again == "0"
    assert told.startswith(f"{kernels} kernels in {tmp_path}")
    assert told.strip().endswith("all of them compiled before")


def test_the_command_without_the_jit():
    """Says so, and goes through all of it all the same."""
    code = [sys.executable, "-m", "grinder", "warmup", "--json"]
    done = subprocess.run(code, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["kernels"] == told["compiled"] == 0
    assert "plain Python" in str(Warmth(**told))
