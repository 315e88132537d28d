"""What `observe` found of a stretch of events, kept beside them: a replay with the same settings of the market reads it instead.

It depends on the events and on the settings that `observe` reads, named here; a test finds them in the source. Nothing that an
order does is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from grinder.config import PARAMS
from grinder.records import World

__all__ = [
    "READ_OF_INSTRUMENTS",
    "READ_OF_SETTINGS",
    "STAGES_OF_MARKET",
    "Key",
    "Observation",
    "Observations",
    "Piece",
    "copied",
    "read_of",
]

STAGES_OF_MARKET: Final = ("input", "bars", "features", "gates")
"""Stages that `observe` writes, and nothing else does."""
_STATE: Final = World._fields[World._fields.index("market") : World._fields.index("features")]
_CLOCKS: Final = ("next_bar_end", "next_roll", "next_gate")
READ_OF_SETTINGS: Final = tuple(
    """
    atr_bars atr_sma bar_ns bars_kept baseline_bars baseline_bars_min clear_ns ema_fast ema_slow er_enter gated
    impact_extreme impact_high impact_mid impact_quote jump_extreme jump_high jump_mid jump_window_ns l1_pause_ns
    l1_stale_ns l2_stale_ns levels max_gap_ns max_open_orders natrs_kept parts quarantine_window_ns quarantined_extreme
    quarantined_high quarantined_mid range_cap range_eps return_bars roll_ns shock_ratio shock_tr spread_bars
    spread_bars_min spread_extreme spread_floor spread_high spread_mid strays_kept symbols thin_clear_ns thin_ns thin_quote_depth
    top_n trend_enter trend_exit wall_ratio
    """.split()
)
READ_OF_INSTRUMENTS: Final = ("severe", "thin", "tick_value")
_PLACES_OF_SETTINGS: Final = np.array([(PARAMS.names or ()).index(name) for name in READ_OF_SETTINGS])
T = TypeVar("T")
Key = tuple[bytes, int, int]
"""What was read (`read_of`), and the first event and the one after the last."""
_MOST_BYTES: Final = 1 << 23
"""Kept of one fixture: some observations of a day. Each process of a sweep has its own."""
_MOST_LINKS: Final = 8
"""Runs whose links are kept: a link has 32 bytes a stage and WINDOW events."""


class Piece(NamedTuple):
    """What there is to act on up to a row of the stretch.

    Args:
        stop: the row after it. edges, closes: EDGE (E,) and FEATURES (E,), as `act` takes them.
    """

    stop: int
    edges: NDArray[Any]
    closes: NDArray[Any]


class Observation(NamedTuple):
    """A stretch of events, observed.

    Args:
        pieces: in order. records: by stage of STAGES_OF_MARKET. state, clocks: of the world after it.
    """

    pieces: tuple[Piece, ...]
    records: Mapping[str, NDArray[Any]]
    state: tuple[NDArray[Any], ...]
    clocks: tuple[int, ...]

    @classmethod
    def of(cls, pieces: list[Piece], records: Mapping[str, NDArray[Any]], world: World) -> Observation:
        """What a replay has just observed; of its own, as the replay goes on."""
        state = tuple(copied(getattr(world, name)) for name in _STATE)
        return cls(tuple(pieces), records, state, tuple(int(world.run[0][name]) for name in _CLOCKS))

    def put(self, world: World) -> None:
        """Bring the part of the world that `observe` moves to after the stretch."""
        for name, values in zip(_STATE, self.state, strict=True):
            getattr(world, name).view("<i8")[...] = values.view("<i8")
        for name, value in zip(_CLOCKS, self.clocks, strict=True):
            world.run[0][name] = value

    @property
    def size(self) -> int:
        """Bytes."""
        arrays = [*self.records.values(), *self.state, *(column for piece in self.pieces for column in piece[1:])]
        return sum(array.nbytes for array in arrays)


@dataclass
class Observations:
    """Those of one fixture's events: as many as fit, the latest ones."""

    _kept: dict[Key, Observation] = field(default_factory=dict)
    _links: dict[tuple[Key, ...], Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: Key) -> Observation | None:
        """The one that is kept under a key."""
        with self._lock:
            found = self._kept.pop(key, None)
            if found is not None:
                self._kept[key] = found  # the last one to be dropped
            return found

    def links(self, keys: tuple[Key, ...], make: Callable[[], T]) -> T:
        """What `make` makes of the links of STAGES_OF_MARKET over stretches that were observed under `keys`, one behind another."""
        with self._lock:
            found: T | None = self._links.get(keys)
        if found is None:
            found = make()
            with self._lock:
                self._links[keys] = found
                while len(self._links) > _MOST_LINKS:
                    del self._links[next(iter(self._links))]
        return found

    def keep(self, key: Key, made: Observation) -> None:
        """Keep one, if it fits at all."""
        if made.size > _MOST_BYTES:
            return
        with self._lock:
            self._kept[key] = made
            while sum(one.size for one in self._kept.values()) > _MOST_BYTES:
                del self._kept[next(iter(self._kept))]


def copied(records: NDArray[Any]) -> NDArray[Any]:
    """Records of int64 as bytes: numpy copies records one by one, and numbers with Python's lock let go, which another thread of a
    sweep then keeps for longer than a copy takes."""
    if not records.size:
        return np.empty(records.shape, records.dtype)
    return np.frombuffer(bytearray(records.view("<i8").data), records.dtype).reshape(records.shape)


def read_of(params: NDArray[Any], instruments: NDArray[Any]) -> bytes:
    """What an observation depends on beside the events, in a replay from the first one on."""
    settings: bytes = params.view("<i8")[_PLACES_OF_SETTINGS].tobytes()
    return settings + b"".join(instruments[name].tobytes() for name in READ_OF_INSTRUMENTS)
