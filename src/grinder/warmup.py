"""Compiling ahead: all that a replay, its metrics, an explanation or a policy of one's own enters, once, into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from grinder._jit import JIT, cache_directory
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.policies.own import GridPlan, View, policy, smart
from grinder.session import replay

__all__ = ["Warmth", "warm_up"]

_SECONDS = 1_500
"""Of a market whose bars are of a second: enough for every feature."""


class Warmth(NamedTuple):
    """What is compiled."""

    directory: Path
    """the cache of this source, these versions and this CPU"""
    kernels: int
    """that Python enters, in the cache; 0 without the JIT"""
    compiled: int
    """of them, now"""

    def __str__(self) -> str:
        if not self.kernels:
            return "kernels are plain Python here: NUMBA_DISABLE_JIT is set"
        now = f"{self.compiled} of them compiled now" if self.compiled else "all of them compiled before"
        return f"{self.kernels} kernels in {self.directory}, {now}"


def warm_up() -> Warmth:
    """Compile what the cache does not hold yet: half a minute the first time, a second from then on.

    A cache is of one state of the source, one CPU and one set of versions: after an upgrade there is another.
    """
    before = _kept()
    market = _market()
    run = replay(market, Config(policy="smart", bar_interval_ms=1000))
    run.explain(int(run.last_ts))
    replay(market, Config(policy="static", step="1bp", quantity="0.01")).metrics()  # with fills
    replay(market, Config(bar_interval_ms=1000), policy=policy(_like_smart, damped=True))
    after = _kept()
    return Warmth(cache_directory(), len(after), len(after - before))


def _kept() -> set[Path]:
    """The files of kernels in the cache."""
    return set(cache_directory().rglob("*.nbi")) if JIT else set()


def _market() -> Fixture:
    """Quotes of one symbol, a second apart, that swing by four basis points; funding once, so that there are streams to merge."""
    at = np.arange(_SECONDS)
    bid, many = 100_000 + at * 7919 % 41, np.full(_SECONDS, 10_000)
    columns = {"ts": 1_700_000_000_000_000_000 + at * 10**9, "bid_px": bid, "ask_px": bid + 1, "bid_qty": many, "ask_qty": many}
    funding = {"ts": columns["ts"][-1:], "rate": [0], "mark_px": bid[-1:]}
    instrument = Instrument(symbol="WARM", kind="perpetual", tick_size="0.01", lot_size="0.001")
    return Fixture.from_arrays([instrument], quotes=columns, funding=funding, name="warm")


def _like_smart(view: View, params: object) -> GridPlan | None:
    return smart(view, params)
