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
from grinder.engine import _open, act
from grinder.hashing import hash_windows
from grinder.index import make_both, make_index
from grinder.market import observe
from grinder.warmup import warm_up

def kept():
    return len(list(cache_directory().rglob("*.nbi")))

def compiled_here(*kernels):
    return ",".join(str(sum(one.from_python.stats.cache_misses.values())) for one in kernels)

first = warm_up()
two = compiled_here(act, _open), compiled_here(observe, hash_windows, make_both, make_index)
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
    here, rest, room, kernels, compiled, kept, again, told = done.stdout.split(maxsplit=7)
    assert here == "1,1", "`act` and `_open` were compiled here, once"
    assert rest == ("0,0,0,0" if room == "1" else "1,1,1,1"), "and the rest by the other process"
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
