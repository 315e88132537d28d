"""Proof of a run: a hash chain a stage, cut into windows of market events, and the digest over all of it (SPEC 14).

Only declared records are hashed, never the engine's private layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Any

import numpy as np

from grinder.config import canonical_json
from grinder.records import FORMAT_VERSION, STAGE_VERSIONS, STAGES, WINDOW, stage_dtype

__all__ = ["Chain", "Difference", "Digest", "first_difference"]

LINK_BYTES = 8
"""Bytes of each link that a golden keeps: enough to locate a difference."""
_DIGITS = 2 * LINK_BYTES


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
            self._open = np.concatenate([self._open, records]) if len(self._open) else records
            self.count += len(records)

    def close_windows(self, events: int) -> None:
        """Make the links of all windows that lie whole below event index `events`."""
        self._link(events // WINDOW, events // WINDOW * WINDOW)

    def finish(self, events: int) -> None:
        """Close the last, partial window of a run of `events` events."""
        self._link(-(-events // WINDOW), events)

    def _link(self, windows: int, events: int) -> None:
        """Make links until there are `windows`, the last of which ends before event index `events`."""
        first = len(self.links)
        if self.count == 0:  # a stage without a record has the same links in every run
            self.links += _empty_links(windows)[first:]
            return
        ends = np.minimum(np.arange(first + 1, windows + 1) * WINDOW, events)
        cuts = np.searchsorted(self._open["event"], ends)
        row, body, link, start, add = self._open.itemsize, self._open.tobytes(), self.root, 0, self.links.append
        for stop in (cuts * row).tolist():
            if start == stop:
                link = sha256(link + _NO_RECORDS).digest()
            else:
                link = sha256(link + ((stop - start) // row).to_bytes(8, "little") + body[start:stop]).digest()
                start = stop
            add(link)
        if start:
            self._open = self._open[start // row :]

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
        chain = Chain(self.stage)
        chain.links, chain.count, chain._open = self.links.copy(), self.count, self._open
        return chain


_NO_RECORDS = bytes(8)
_EMPTY: list[bytes] = []
_LOCK = Lock()


def _empty_links(windows: int) -> list[bytes]:
    """The first links of a chain without records, kept from run to run."""
    with _LOCK:
        while len(_EMPTY) < windows:
            _EMPTY.append(sha256((_EMPTY[-1] if _EMPTY else bytes(32)) + _NO_RECORDS).digest())
    return _EMPTY[:windows]


def _prefixes(links: Sequence[bytes]) -> str:
    """The first LINK_BYTES of every link, hexadecimal."""
    return np.frombuffer(b"".join(links), np.uint8).reshape(-1, 32)[:, :LINK_BYTES].tobytes().hex()


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
    links: dict[str, str]
    """by stage, the first LINK_BYTES of every link, hexadecimal"""

    @classmethod
    def of(cls, config: str, data: str, events: int, chains: Mapping[str, Chain]) -> Digest:
        """The digest of a finished run of `events` events."""
        return cls(
            config,
            data,
            events,
            {stage: chain.count for stage, chain in chains.items()},
            {stage: chain.root.hex() for stage, chain in chains.items()},
            {stage: _prefixes(chain.links) for stage, chain in chains.items()},
        )

    @property
    def value(self) -> str:
        """The digest, 64 hexadecimal digits."""
        stages = [
            {"name": stage, "version": STAGE_VERSIONS[stage], "count": self.counts[stage], "root": self.roots[stage]}
            for stage in STAGES
        ]
        body = {"format": FORMAT_VERSION, "config": self.config, "input": self.input, "stages": stages}
        return sha256(canonical_json(body)).hexdigest()

    def __str__(self) -> str:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """As stored in a golden."""
        stages = {
            stage: {
                "version": STAGE_VERSIONS[stage],
                "count": self.counts[stage],
                "root": self.roots[stage],
                "links": self.links[stage],
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
        digest = cls(
            body["config"],
            body["input"],
            int(body["events"]),
            {stage: int(stages[stage]["count"]) for stage in STAGES},
            {stage: str(stages[stage]["root"]) for stage in STAGES},
            {stage: str(stages[stage]["links"]) for stage in STAGES},
        )
        if digest.value != body["digest"]:
            raise ValueError("its digest is not that of its stages: the file was edited or is of another format version")
        digits = -(-digest.events // WINDOW) * _DIGITS
        for stage, links in digest.links.items():
            if len(links) != digits or (links and links[-_DIGITS:] != digest.roots[stage][:_DIGITS]):
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
    same = next((i for i, (x, y) in enumerate(zip(left, right, strict=False)) if x != y), min(len(left), len(right)))
    return Difference(stages[0], same // _DIGITS, stages)
