"""Proof of a run: a hash chain a stage, cut into windows of market events, and the digest over all of it (SPEC 14).

Only declared records are hashed, never the engine's private layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np

from grinder._jit import JIT
from grinder.config import canonical_json
from grinder.hashing import has_instructions, links_of
from grinder.intake import only
from grinder.records import FORMAT_VERSION, STAGE_VERSIONS, STAGES, WINDOW

__all__ = ["Chained", "Difference", "Digest", "chain", "chains", "first_difference"]

Links = bytes | memoryview
"""Links of a stage, one behind another."""
LINK_BYTES = 8
"""Bytes of each link that a golden keeps: enough to locate a difference."""
_DIGITS = 2 * LINK_BYTES
SHORT: Final = 80
"""Bytes a window up to which a kernel without instructions for it is sooner done than `hashlib`: two blocks of the hash, where a
call costs three."""
DIGEST_KEYS: Final = {"format": int, "digest": str, "config": str, "input": str, "events": int, "stages": dict}
_ENTRY: Final = {"version": int, "count": int, "root": str, "links": str}
"""Keys of a stored digest, and of each of its stages."""


def chains(tables: Mapping[str, np.ndarray], events: int) -> dict[str, Links]:
    """The links of some stages of a run of `events` events, 32 bytes each.

    A link is `SHA-256(previous || count as uint64 LE || record bytes)` of one window of 4096 market events, counted from the
    start of the run and the last one partial; before the first it is 32 zero bytes.
    """
    windows = -(-events // WINDOW)
    links: dict[str, Links] = {}
    in_a_kernel = []
    for stage, records in tables.items():
        if len(records) == 0:  # a stage without a record has the same links in every run
            links[stage] = _empty_links(windows)
        elif JIT and (has_instructions() or records.nbytes <= SHORT * windows):
            in_a_kernel.append(stage)
        else:
            links[stage] = _by_hashlib(records, windows)
    if in_a_kernel:
        links |= zip(in_a_kernel, links_of([tables[stage] for stage in in_a_kernel], windows), strict=True)
    return links


def chain(records: np.ndarray, events: int) -> bytes:
    """The links of one stage, as in `chains`."""
    return bytes(chains({"": records}, events)[""])


def _by_hashlib(records: np.ndarray, windows: int) -> bytes:
    stops = np.searchsorted(records["event"], np.arange(1, windows + 1) * WINDOW)
    body, edges = _counted(records, stops)
    link, links = bytes(32), []
    for start, stop in pairwise(edges):
        link = sha256(link + body[start:stop]).digest()
        links.append(link)
    return b"".join(links)


def _counted(records: np.ndarray, stops: np.ndarray) -> tuple[bytes, list[int]]:
    """Bytes of the records with each window's count before its own, and where windows begin and end.

    So what a link hashes is one slice: a replay makes ten thousand links.
    """
    windows = len(stops)
    counts, width = np.diff(stops, prepend=0), records.itemsize // 8
    ends = stops * width + np.arange(1, windows + 1)
    at = ends - counts * width - 1
    whole = np.empty(len(records) * width + windows, "<i8")
    rows = np.ones(len(whole), np.bool_)
    rows[at] = False
    whole[at], whole[rows] = counts, records.view("<i8")
    return whole.tobytes(), [0, *(8 * ends).tolist()]


_EMPTY = bytearray()
_LOCK = Lock()


def _empty_links(windows: int) -> bytes:
    """The first links of a chain without records."""
    with _LOCK:
        while len(_EMPTY) < 32 * windows:
            _EMPTY.extend(sha256((_EMPTY[-32:] or bytes(32)) + bytes(8)).digest())
        return bytes(_EMPTY[: 32 * windows])


class Chained(NamedTuple):
    """What a digest has of the links of a stage."""

    root: str
    """the last one, or 32 zero bytes, hexadecimal"""
    heads: bytes
    """the first LINK_BYTES of each"""

    @classmethod
    def of(cls, links: Links) -> Chained:
        """Of whole links, as `chains` has them."""
        heads = np.frombuffer(links, "<i8")[:: 32 // LINK_BYTES].tobytes()
        return cls(bytes((links or bytes(32))[-32:]).hex(), heads)


@lru_cache(16)
def _chained_nothing(windows: int) -> Chained:
    """Of a stage without records: the same in every run of so many windows."""
    return Chained.of(_empty_links(windows))


_NONE: Final[Mapping[str, Chained]] = {}


def _check(given: Mapping[str, Any], kinds: Mapping[str, type], where: str) -> None:
    """Refuse keys that there are not, that are missing, and values of another kind: `true` is no count."""
    only(given, kinds, where)
    for key, kind in kinds.items():
        if type(given[key]) is not kind:
            raise TypeError(f"{where}{key} is {given[key]!r:.40}, no {kind.__name__}")


def _unhexed(text: str) -> bytes:
    """The bytes of hexadecimal text; none where it is not. There are more spellings than the one of `hex`."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


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
    heads: dict[str, bytes]
    """by stage, the first LINK_BYTES of every link"""

    @classmethod
    def of(
        cls, config: str, data: str, events: int, tables: Mapping[str, np.ndarray], known: Mapping[str, Chained] = _NONE
    ) -> Digest:
        """The digest of a run of `events` events, of the records of every stage; `known` is of links made before, by stage."""
        made = dict(known)
        made |= {stage: _chained_nothing(-(-events // WINDOW)) for stage in STAGES if stage not in made and not len(tables[stage])}
        rest = chains({stage: tables[stage] for stage in STAGES if stage not in made}, events)
        made |= {stage: Chained.of(links) for stage, links in rest.items()}
        return cls(
            config,
            data,
            events,
            {stage: len(tables[stage]) for stage in STAGES},
            {stage: made[stage].root for stage in STAGES},
            {stage: made[stage].heads for stage in STAGES},
        )

    @property
    def links(self) -> dict[str, str]:
        """By stage, the first LINK_BYTES of every link, hexadecimal."""
        return {stage: heads.hex() for stage, heads in self.heads.items()}

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
                "links": self.heads[stage].hex(),
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
        """The digest that `to_dict` wrote. Raises TypeError or ValueError where it is damaged, with the key."""
        _check(body, DIGEST_KEYS, "")
        stages = body["stages"]
        only(stages, STAGES, "stages.")
        for stage in STAGES:
            _check(stages[stage], _ENTRY, f"stages.{stage}.")
        digest = cls(
            body["config"],
            body["input"],
            body["events"],
            {stage: stages[stage]["count"] for stage in STAGES},
            {stage: stages[stage]["root"] for stage in STAGES},
            {stage: _unhexed(stages[stage]["links"]) for stage in STAGES},
        )
        if digest.value != body["digest"]:
            raise ValueError("its digest is not that of its stages: the file was edited or is of another format version")
        digits = -(-digest.events // WINDOW) * _DIGITS
        for stage, links in digest.links.items():
            told = stages[stage]["links"]
            if links != told or len(links) != digits or (links and links[-_DIGITS:] != digest.roots[stage][:_DIGITS]):
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
    left, right = a.heads[stages[0]], b.heads[stages[0]]
    same = next((i for i, (x, y) in enumerate(zip(left, right, strict=False)) if x != y), min(len(left), len(right)))
    return Difference(stages[0], same // LINK_BYTES, stages)
