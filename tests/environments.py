"""The environments in which every digest must be the same, and one process of one of them, for test_determinism.py and matrix.py.

`python environments.py EVENTS CASES [THREADS]`: every fixture's first EVENTS events (0: all), and CASES random tapes, of them a
third with policy `smart` too and one with a policy in Python. `python environments.py fixtures EVENTS THREADS FOLDER...`: each of
these fixtures, with its own settings, a line each as soon as it is done.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import grinder as gr
from grinder import _jit
from grinder.config import Config
from grinder.data.fixture import Fixture, fixtures_below
from grinder.session import replay
from tests.smart_tapes import smart_case
from tests.tapes import Case, case

FOLDERS = [
    folder for folder in fixtures_below(Path(__file__).resolve().parents[1] / "fixtures") if (folder / "digest.json").is_file()
]
"""Every fixture that has a golden."""
HEAD = 5000
"""Events of a replay without the JIT."""
LANES: dict[str, dict[str, str]] = {
    "jit_off": {"NUMBA_DISABLE_JIT": "1"},
    "opt_0": {"NUMBA_OPT": "0"},
    "generic_cpu": {"NUMBA_CPU_NAME": "generic"},
    "bounds_check": {"NUMBA_BOUNDSCHECK": "1"},
    "two_threads": {},
    "tokyo": {"TZ": "Asia/Tokyo", "LANG": "ja_JP.UTF-8", "LC_ALL": "C"},
    "turkish": {"TZ": "Europe/Istanbul", "LANG": "tr_TR.UTF-8"},
    "hash_seed_1": {"PYTHONHASHSEED": "1"},
    "hash_seed_2": {"PYTHONHASHSEED": "424242"},
    "cold_cache": {},
    "other_folder": {},
}


def command(lane: str, folder: Path, *words: str, python: str = sys.executable) -> tuple[list[str], dict[str, str], Path | None]:
    """How a process of a lane is started: command, environment, working folder. `folder` is an empty one that it may use."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")} | LANES.get(lane, {})
    if lane == "cold_cache":  # by one process, so that it can tell what was compiled
        environment |= {"GRINDER_COMPILES_REST": "1"}
        environment |= {"GRINDER_CACHE_DIR": str(folder / "cache"), "SIGNATURES": str(folder / "signatures.json")}
    # At -O0 numba warns that one kernel cannot be cached; everywhere else a warning is an error.
    warnings = "default" if lane == "opt_0" else "error"
    return [python, "-W", warnings, __file__, *words], environment, folder if lane == "other_folder" else None


def tapes(cases: int) -> list[Case]:
    """Random tapes, each without and with manual commands."""
    return [case(seed, commands=commands) for seed in range(cases) for commands in (False, True)]


def jobs(events: int, cases: int) -> list[tuple[Fixture, Config | None, object]]:
    """What is replayed: fixture, settings, policy. Fixtures come first, in the order of FOLDERS, the last one twice."""
    whole = [Fixture.open(folder) for folder in FOLDERS]
    heads = [one.head(min(events, len(one))) if events else one for one in whole]
    random = [(c.fixture, c.config, None) for c in tapes(cases)]
    smart = [(c.fixture, c.config, None) for c in map(smart_case, range(cases // 3))]
    return [*((head, None, None) for head in heads), (heads[-1], None, None), *random, *smart, (*random[0][:2], gr.static)]


def signatures() -> dict[str, int]:
    """How many signatures of each kernel of the package this process compiled or loaded, by module and name.

    What kernels call is in no cache of its own, so that only a process that began with an empty one has compiled all that it uses.
    """
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("grinder.")]
    kernels = {k for module in modules for k in vars(module).values() if isinstance(k, _jit._Kernel)}
    twins = {vars(k)["_twin"] for k in kernels if "_twin" in vars(k)}
    used = ((f"{k.__module__}.{k.py_func.__qualname__}", len(k.overloads)) for k in kernels | twins)
    return dict(sorted((name.removeprefix("grinder."), count) for name, count in used if count))


def main(events: int, cases: int, threads: int = 1) -> None:
    with ThreadPoolExecutor(threads) as pool:
        digests = list(pool.map(lambda job: replay(*job).digest.value, jobs(events, cases)))
    print(json.dumps(digests))
    if "SIGNATURES" in os.environ:
        Path(os.environ["SIGNATURES"]).write_text(json.dumps(signatures()))


def digest_of(seed: int) -> str:
    """Of a random tape of `smart`, for processes that run side by side."""
    c = smart_case(seed)
    return replay(c.fixture, c.config).digest.value


def fixtures(events: int, threads: int, folders: list[str]) -> None:
    """Print a line with digest and seconds of the replay of each fixture, of its first `events` events (0: all)."""

    def one(folder: str) -> tuple[str, float]:
        whole = Fixture.open(folder)
        begin = time.monotonic()
        digest = replay(whole.head(min(events, len(whole))) if events else whole).digest.value
        return digest, time.monotonic() - begin

    with ThreadPoolExecutor(threads) as pool:
        for told in pool.map(one, folders):
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "fixtures":
        fixtures(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        main(*map(int, sys.argv[1:]))
