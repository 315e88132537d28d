"""SHA-256 of many short messages, one after the other, in a kernel: the links of a chain (SPEC 14).

`hashlib` is faster a byte, but a link is mostly a few dozen bytes, of which it spends the time on the call, with Python's lock
held. `tests/test_hashing.py` holds this to `hashlib`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from grinder._jit import kernel

__all__ = ["window_links"]


def window_links(records: np.ndarray, stops: np.ndarray) -> bytes:
    """The links of a chain over records cut into windows, 32 bytes each.

    Args:
        records: of int64 columns alone.
        stops: int64 (windows,), ascending: how many records there are up to the end of each window.

    Returns:
        For each window `SHA-256(link before || count as uint64 LE || record bytes)`; before the first are 32 zero bytes.
    """
    rows = np.ascontiguousarray(records).view("<i8")
    if not rows.flags.writeable:  # else the kernel would be compiled for both kinds
        rows = rows.copy()
    links = np.empty((len(stops), 8), np.uint32)
    initial, constants = _constants()
    hash_windows(rows, records.itemsize // 8, stops, links, np.empty(8, np.uint32), np.empty(64, np.uint32), initial, constants)
    return links.astype(">u4").tobytes()


@cache
def _constants() -> tuple[np.ndarray, np.ndarray]:
    """Initial state and round constants: 32 bits behind the point of square roots of 8 primes and of cube roots of 64."""
    primes = [n for n in range(2, 312) if all(n % k for k in range(2, math.isqrt(n) + 1))]
    squares = [math.isqrt(prime << 64) & 0xFFFFFFFF for prime in primes[:8]]
    return np.array(squares, np.uint32), np.array([_cube_root(prime << 96) & 0xFFFFFFFF for prime in primes], np.uint32)


def _cube_root(number: int) -> int:
    """The largest whole number whose cube is at most `number`."""
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


@kernel
def hash_windows(rows: Any, width: int, stops: Any, links: Any, state: Any, words: Any, initial: Any, constants: Any) -> None:
    """Fill `links`, a link a window as eight numbers; `words` holds a block of the message in its first sixteen."""
    at = 0
    for k in range(len(stops)):
        count = stops[k] - (stops[k - 1] if k > 0 else 0)
        for i in range(8):
            words[i] = links[k - 1, i] if k > 0 else np.uint32(0)
            state[i] = initial[i]
        place, left = 8, count * width
        value = count
        for _ in range(left + 1):
            low, high = value & 0xFFFFFFFF, (value >> 32) & 0xFFFFFFFF
            words[place] = np.uint32(low >> 24 | (low >> 8 & 0xFF00) | (low << 8 & 0xFF0000) | (low << 24 & 0xFF000000))
            words[place + 1] = np.uint32(high >> 24 | (high >> 8 & 0xFF00) | (high << 8 & 0xFF0000) | (high << 24 & 0xFF000000))
            place += 2
            if place == 16:
                absorb(state, words, constants)
                place = 0
            if left > 0:
                value = rows[at]
                at, left = at + 1, left - 1
        words[place] = np.uint32(0x80000000)
        place += 1
        if place > 14:
            words[15] = np.uint32(0)
            absorb(state, words, constants)
            place = 0
        for i in range(place, 14):
            words[i] = np.uint32(0)
        bits = (40 + 8 * count * width) * 8
        words[14], words[15] = np.uint32(bits >> 32), np.uint32(bits & 0xFFFFFFFF)
        absorb(state, words, constants)
        for i in range(8):
            links[k, i] = state[i]


@kernel
def absorb(state: Any, w: Any, k: Any) -> None:
    """One block of FIPS 180-4, 6.2.2; a round has the names that it has there, and eight of them end where they began."""
    for i in range(16, 64):
        x, y = w[i - 15], w[i - 2]
        s0 = (x >> np.uint32(7) | x << np.uint32(25)) ^ (x >> np.uint32(18) | x << np.uint32(14)) ^ x >> np.uint32(3)
        s1 = (y >> np.uint32(17) | y << np.uint32(15)) ^ (y >> np.uint32(19) | y << np.uint32(13)) ^ y >> np.uint32(10)
        w[i] = np.uint32(w[i - 16] + s0 + w[i - 7] + s1)
    a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    for i in range(64):
        s1 = (
            (e >> np.uint32(6) | e << np.uint32(26))
            ^ (e >> np.uint32(11) | e << np.uint32(21))
            ^ (e >> np.uint32(25) | e << np.uint32(7))
        )
        s0 = (
            (a >> np.uint32(2) | a << np.uint32(30))
            ^ (a >> np.uint32(13) | a << np.uint32(19))
            ^ (a >> np.uint32(22) | a << np.uint32(10))
        )
        t = np.uint32(h + s1 + (g ^ (e & (f ^ g))) + k[i] + w[i])
        h, g, f, e, d, c, b, a = g, f, e, np.uint32(d + t), c, b, a, np.uint32(t + s0 + ((a & b) | (c & (a | b))))
    state[0], state[1], state[2], state[3] = (
        np.uint32(state[0] + a),
        np.uint32(state[1] + b),
        np.uint32(state[2] + c),
        np.uint32(state[3] + d),
    )
    state[4], state[5], state[6], state[7] = (
        np.uint32(state[4] + e),
        np.uint32(state[5] + f),
        np.uint32(state[6] + g),
        np.uint32(state[7] + h),
    )
