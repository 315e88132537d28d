"""One process, one environment: print the digests that must be the same everywhere. Run by test_determinism.py.

`python environments.py EVENTS CASES [THREADS]`: the real fixture's first EVENTS events (0: all), and CASES random tapes.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grinder.data.fixture import Fixture
from grinder.session import replay
from tests.tapes import Case, case

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "binance_btcusdt_6m"


def tapes(cases: int) -> list[Case]:
    """Random tapes, each without and with manual commands."""
    return [case(seed, commands=commands) for seed in range(cases) for commands in (False, True)]


def main(events: int, cases: int, threads: int = 1) -> None:
    whole = Fixture.open(FIXTURE)
    head = whole.head(events) if events else whole
    jobs = [(head, None), (head, None), *((c.fixture, c.config) for c in tapes(cases))]
    with ThreadPoolExecutor(threads) as pool:
        digests = list(pool.map(lambda job: replay(job[0], job[1]).digest.value, jobs))
    print(json.dumps(digests))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
