"""What a process waits for before its first digest, and the memory it takes: each in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measures import seconds
from table import Row

BARE, IMPORT, NUMBA = "python, nothing imported", "import grinder", "import numba"
COLD, WARM = "grinder replay of a fixture, nothing compiled", "grinder replay of a fixture, compiled"
SECTION = "start of a process"
MEMORY_SECTION = "memory of a process"
TAPE_ALONE, REPLAYED = "the tape's five columns, numpy", "the tape made a fixture and replayed twice"
FIXTURE = "binance_btcusdt_6m"


def starts(runs: int, *, cold: bool) -> Iterator[Row]:
    """The interpreter alone, imports, the first command ever and one after it.

    Args:
        cold: whether to compile everything, which takes half a minute.
    """
    yield Row(BARE, SECTION, first=_median(runs, "-c", "pass"))
    yield Row(IMPORT, SECTION, first=_median(runs, "-c", "import grinder"))
    yield Row(NUMBA, SECTION, first=_median(runs, "-c", "import numba"))
    command = ("-m", "grinder", "replay", FIXTURE)
    with tempfile.TemporaryDirectory() as cache:
        if cold:
            yield Row(COLD, SECTION, first=_in_new_process(*command, cache=cache))
        else:
            yield Row(COLD, SECTION, says="left out")
        _in_new_process(*command)
        yield Row(WARM, SECTION, first=_median(runs, *command, cache=cache if cold else None))


def memory(tape: Path) -> Iterator[Row]:
    """Peak memory of a process that reads a tape, and of one that replays it."""
    yield Row(TAPE_ALONE, MEMORY_SECTION, memory=_peak("read", tape))
    yield Row(REPLAYED, MEMORY_SECTION, memory=_peak("replay", tape))


def labels() -> list[str]:
    """What this module measures, in order."""
    return [BARE, IMPORT, NUMBA, COLD, WARM, TAPE_ALONE, REPLAYED]


def _median(runs: int, *words: str, cache: str | None = None) -> float:
    return statistics.median(_in_new_process(*words, cache=cache) for _ in range(runs))


def _in_new_process(*words: str, cache: str | None = None) -> float:
    """Seconds of a Python process."""
    environment = dict(os.environ) | ({"GRINDER_CACHE_DIR": cache} if cache else {})
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # Python would compile all modules at every start
    run = [sys.executable, *words]
    return seconds(lambda: subprocess.run(run, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


def _peak(what: str, tape: Path) -> int:
    script = Path(__file__).with_name("resident.py")
    done = subprocess.run([sys.executable, str(script), what, str(tape)], capture_output=True, text=True, check=True)
    return int(done.stdout)
