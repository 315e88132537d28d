"""Proof of a run: a hash chain a stage, cut into windows of market events, and the digest over all of it (SPEC 14).

Only declared records are hashed, never the engine's private layout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grinder.config import canonical_json
from grinder.records import FORMAT_VERSION, STAGE_VERSIONS, STAGES, WINDOW, stage_dtype

__all__ = ["Chain", "Difference", "Digest", "first_difference"]

LINK_BYTES = 8
"""Bytes of each link that a golden keeps: enough to locate a difference."""


class Chain:
    """The hash chain of one stage, fed in pieces of any size.

    A link is `SHA-256(previous || count as uint64 LE || record bytes)` of one window of 4096 market events, counted from the
    start of the run; before the first it is 32 zero bytes.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.links: list[bytes] = []
        self.count = 0
        self._open = np.zeros(0, stage_dtype(stage))

    def feed(self, records: np.ndarray) -> None:
        """Add records, in order, all of windows not yet closed."""
        if len(records):
            self._open = np.concatenate([self._open, records])
            self.count += len(records)

    def close_windows(self, events: int) -> None:
        """Make the links of all windows that lie whole below event index `events`."""
        while (len(self.links) + 1) * WINDOW <= events:
            self._link((len(self.links) + 1) * WINDOW)

    def finish(self, events: int) -> None:
        """Close the last, partial window of a run of `events` events."""
        self.close_windows(events)
        if len(self.links) * WINDOW < events:
            self._link(events)

    def _link(self, end: int) -> None:
        body = self.root + bytes(8)
        if len(self._open):
            inside = int(np.searchsorted(self._open["event"], end))
            window, self._open = self._open[:inside], self._open[inside:]
            body = self.root + inside.to_bytes(8, "little") + window.tobytes()
        self.links.append(hashlib.sha256(body).digest())

    @property
    def root(self) -> bytes:
        """The last link."""
        return self.links[-1] if self.links else bytes(32)

    def state(self) -> dict[str, np.ndarray]:
        """What a saved run needs to go on: the links, and the open window's records."""
        links = np.frombuffer(b"".join(self.links), np.uint8).reshape(-1, 32)
        return {f"{self.stage}.links": links, f"{self.stage}.open": self._open}

    @classmethod
    def restore(cls, stage: str, count: int, state: Mapping[str, np.ndarray]) -> Chain:
        """The chain that `state` was taken of, after `count` records."""
        chain = cls(stage)
        chain.count = count
        chain.links = [bytes(link) for link in state[f"{stage}.links"]]
        chain._open = np.ascontiguousarray(state[f"{stage}.open"], stage_dtype(stage))
        return chain

    def copy(self) -> Chain:
        """An independent chain in the same state."""
        return Chain.restore(self.stage, self.count, self.state())


@dataclass(frozen=True)
class Digest:
    """What a run is: hashes of config and input, and count, root and links of every stage.

    `value` is the SHA-256 of the canonical JSON of all but the links.
    """

    config: str
    input: str
    events: int
    counts: dict[str, int]
    roots: dict[str, str]
    links: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, config: str, data: str, events: int, chains: Mapping[str, Chain]) -> Digest:
        """The digest of a finished run of `events` events."""
        return cls(
            config,
            data,
            events,
            {stage: chain.count for stage, chain in chains.items()},
            {stage: chain.root.hex() for stage, chain in chains.items()},
            {stage: tuple(link[:LINK_BYTES].hex() for link in chain.links) for stage, chain in chains.items()},
        )

    @property
    def value(self) -> str:
        """The digest, 64 hexadecimal digits."""
        stages = [
            {"name": stage, "version": STAGE_VERSIONS[stage], "count": self.counts[stage], "root": self.roots[stage]}
            for stage in STAGES
        ]
        body = {"format": FORMAT_VERSION, "config": self.config, "input": self.input, "stages": stages}
        return hashlib.sha256(canonical_json(body)).hexdigest()

    def __str__(self) -> str:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """As stored in a golden."""
        stages = {
            stage: {
                "version": STAGE_VERSIONS[stage],
                "count": self.counts[stage],
                "root": self.roots[stage],
                "links": "".join(self.links[stage]),
            }
            for stage in STAGES
        }
        return {
            "format": FORMAT_VERSION,
            "digest": self.value,
            "config": self.config,
            "input": self.input,
            "events": self.events,
            "stages": stages,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Digest:
        """The digest that `to_dict` wrote. Raises KeyError, TypeError or ValueError where it is damaged."""
        stages = body["stages"]
        width = 2 * LINK_BYTES
        digest = cls(
            body["config"],
            body["input"],
            int(body["events"]),
            {stage: int(stages[stage]["count"]) for stage in STAGES},
            {stage: str(stages[stage]["root"]) for stage in STAGES},
            {
                stage: tuple(stages[stage]["links"][i : i + width] for i in range(0, len(stages[stage]["links"]), width))
                for stage in STAGES
            },
        )
        if digest.value != body["digest"]:
            raise ValueError("its digest is not that of its stages: the file was edited or is of another format version")
        windows = -(-digest.events // WINDOW)
        for stage, links in digest.links.items():
            if len(links) != windows or (links and links[-1] != digest.roots[stage][:width]):
                raise ValueError(f"the links of stage {stage} are not those of {digest.events} events, the last one its root")
        return digest


@dataclass(frozen=True)
class Difference:
    """Where two digests part: the first stage in causal order, and its first window that differs (-1: no window does)."""

    stage: str
    window: int
    stages: tuple[str, ...]

    def __str__(self) -> str:
        if self.window < 0:
            return f"{self.stage} differs, no record does"
        span = f"events {self.window * WINDOW} to {(self.window + 1) * WINDOW - 1}"
        others = [stage for stage in self.stages if stage != self.stage]
        also = f"; also in {', '.join(others)}" if others else ""
        return f"stage {self.stage} differs first, in window {self.window} ({span}){also}"


def first_difference(a: Digest, b: Digest) -> Difference | None:
    """Where two digests differ first, or None if they are equal."""
    if a.value == b.value:
        return None
    stages = tuple(stage for stage in STAGES if a.roots[stage] != b.roots[stage] or a.counts[stage] != b.counts[stage])
    if not stages:
        return Difference("config" if a.config != b.config else "input", -1, ())
    left, right = a.links[stages[0]], b.links[stages[0]]
    window = next((w for w, (x, y) in enumerate(zip(left, right, strict=False)) if x != y), min(len(left), len(right)))
    return Difference(stages[0], window, stages)
