"""One process, one environment: print the digests that must be the same everywhere. Run by test_determinism.py.

`python environments.py EVENTS CASES [THREADS]`: the real fixture's first EVENTS events (0: all), and CASES random tapes, of them a
third with policy `smart` too and one with a policy in Python.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import grinder as gr
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.session import replay
from tests.smart_tapes import smart_case
from tests.tapes import Case, case

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "binance_btcusdt_6m"


def tapes(cases: int) -> list[Case]:
    """Random tapes, each without and with manual commands."""
    return [case(seed, commands=commands) for seed in range(cases) for commands in (False, True)]


def jobs(events: int, cases: int) -> list[tuple[Fixture, Config | None, object]]:
    """What is replayed: fixture, settings, policy."""
    whole = Fixture.open(FIXTURE)
    head = whole.head(events) if events else whole
    random = [(c.fixture, c.config, None) for c in tapes(cases)]
    smart = [(c.fixture, c.config, None) for c in map(smart_case, range(cases // 3))]
    return [(head, None, None), (head, None, None), *random, *smart, (*random[0][:2], gr.static)]


def main(events: int, cases: int, threads: int = 1) -> None:
    with ThreadPoolExecutor(threads) as pool:
        digests = list(pool.map(lambda job: replay(*job).digest.value, jobs(events, cases)))
    print(json.dumps(digests))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
