"""The tape: what happened, one buffer of declared records a stage, written by kernels and drained by Python (SPEC 14)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from grinder._bundle import by_address
from grinder._jit import kernel
from grinder.records import STAGES, _record, stage_dtype

__all__ = ["Tape", "empty_tape", "has_room"]

_COUNTS: Final = _record(tuple(STAGES))
_ROWS: Final = tuple(stage_dtype(stage) for stage in STAGES)


@by_address
class Tape(NamedTuple):
    """Buffers of records by stage, and how many rows of each are used.

    A writer takes `next_row` of a buffer; a kernel asks `has_room` before it starts an event and returns to be drained.
    """

    used: np.ndarray
    input: np.ndarray
    bars: np.ndarray
    features: np.ndarray
    gates: np.ndarray
    regimes: np.ndarray
    plans: np.ndarray
    levels: np.ndarray
    intents: np.ndarray
    orders: np.ndarray
    fills: np.ndarray
    ledger: np.ndarray
    alerts: np.ndarray


def empty_tape(rows: int) -> Tape:
    """A tape with `rows` rows a stage, of which nothing is known: a writer fills every column of its row."""
    return Tape(np.zeros(1, _COUNTS), *(np.empty(rows, dtype) for dtype in _ROWS))


@kernel
def has_room(tape: Tape, rows: int) -> bool:
    """Whether every buffer that `act` writes can take `rows` more records."""
    n = tape.used[0]
    used = max(n["regimes"], n["plans"], n["levels"], n["intents"], n["orders"], n["fills"], n["ledger"], n["alerts"])
    return bool(used + rows <= len(tape.fills))
