"""SHA-256 of many short messages, one after the other, in a kernel: the links of a chain (SPEC 14).

`hashlib` spends its time on the calls, with Python's lock held: a link is mostly a few dozen bytes. Where the CPU has instructions
for SHA-256 the kernel uses them as `hashlib` does; elsewhere `hashlib` is faster a byte. `tests/test_hashing.py` holds both ways
to `hashlib`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from grinder._jit import kernel

__all__ = ["has_instructions", "window_links"]


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
    links = np.empty((len(stops), 4), "<i8")
    initial, constants = _constants()
    scratch = np.empty(8, "<i8"), np.empty(8, np.uint32), np.empty(64, np.uint32)
    hash_windows(rows, records.itemsize // 8, stops, links, *scratch, initial, constants)
    return links.tobytes()


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
def hash_windows(
    rows: Any, width: int, stops: Any, links: Any, block: Any, state: Any, words: Any, initial: Any, constants: Any
) -> None:
    """Fill `links`, a link a window as four numbers that hold its bytes; every message is a whole number of int64."""
    at = 0
    for k in range(len(stops)):
        count = stops[k] - (stops[k - 1] if k > 0 else 0)
        for i in range(8):
            state[i] = initial[i]
        for i in range(4):
            block[i] = links[k - 1, i] if k > 0 else 0
        block[4] = count
        place, left = 5, count * width
        while left > 0:
            if place == 0 and left >= 8:
                _absorb(state, rows, at, words, constants)
                at, left = at + 8, left - 8
                continue
            block[place] = rows[at]
            at, left, place = at + 1, left - 1, place + 1
            if place == 8:
                _absorb(state, block, 0, words, constants)
                place = 0
        block[place] = 0x80
        for i in range(place + 1, 8):
            block[i] = 0
        if place == 7:  # no room for the length
            _absorb(state, block, 0, words, constants)
            for i in range(7):
                block[i] = 0
        bits = (40 + 8 * count * width) * 8
        block[7] = _swapped(bits >> 32) | _swapped(bits & 0xFFFFFFFF) << 32
        _absorb(state, block, 0, words, constants)
        for i in range(4):
            links[k, i] = _swapped(int(state[2 * i])) | _swapped(int(state[2 * i + 1])) << 32


@kernel
def _swapped(word: int) -> int:
    """32 bits with their bytes the other way round."""
    return word >> 24 | (word >> 8 & 0xFF00) | (word << 8 & 0xFF0000) | (word << 24 & 0xFF000000)


@kernel
def _absorb(state: Any, numbers: Any, at: int, words: Any, constants: Any) -> None:
    """One block: eight numbers from `at` on."""
    if not absorb_by_instructions(state, numbers, at, constants):
        for i in range(8):
            words[2 * i] = np.uint32(_swapped(numbers[at + i] & 0xFFFFFFFF))
            words[2 * i + 1] = np.uint32(_swapped(numbers[at + i] >> 32 & 0xFFFFFFFF))
        absorb(state, words, constants)


@cache
def has_instructions() -> bool:
    """Whether code is compiled for a CPU with the SHA extensions."""
    return "+sha" in cpu_target.target_context.codegen()._tm_features.split(",")


_FOUR = ir.VectorType(ir.IntType(32), 4)


@intrinsic  # type: ignore[untyped-decorator]
def absorb_by_instructions(_: Any, state: Any, numbers: Any, at: Any, constants: Any) -> Any:
    """One block, by the SHA extensions of x86: True, or False where there are none and nothing is done."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not has_instructions():
            return cgutils.false_bit
        held, message, added = (context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 1, 3))
        first = builder.gep(message, [arguments[2]])
        _emit_block(builder, *(builder.bitcast(pointer, _FOUR.as_pointer()) for pointer in (held, first, added)))
        return cgutils.true_bit

    return types.boolean(state, numbers, at, constants), generate


def _emit_block(builder: Any, state: Any, message: Any, constants: Any) -> None:
    """One block, four rounds at a time. The instructions want the state as F, E, B, A and H, G, D, C, lowest lane first."""

    def instruction(name: str, *operands: Any) -> Any:
        kind = ir.FunctionType(_FOUR, [_FOUR] * len(operands))
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), operands)

    def lanes(a: Any, b: Any, *order: int) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), 4), list(order)))

    def four(array: Any, i: int) -> Any:
        return builder.gep(array, [ir.IntType(64)(i)])

    a_to_d, e_to_h = builder.load(four(state, 0), align=4), builder.load(four(state, 1), align=4)
    feba, hgdc = lanes(a_to_d, e_to_h, 5, 4, 1, 0), lanes(a_to_d, e_to_h, 7, 6, 3, 2)
    before, w = (feba, hgdc), [instruction("bswap.v4i32", builder.load(four(message, i), align=8)) for i in range(4)]
    for i in range(16):
        if i >= 4:
            mixed = builder.add(instruction("x86.sha256msg1", w[-4], w[-3]), lanes(w[-2], w[-1], 1, 2, 3, 4))
            w.append(instruction("x86.sha256msg2", mixed, w[-1]))
        both = builder.add(w[i], builder.load(four(constants, i), align=4))
        hgdc = instruction("x86.sha256rnds2", hgdc, feba, both)
        feba = instruction("x86.sha256rnds2", feba, hgdc, lanes(both, both, 2, 3, 2, 3))
    feba, hgdc = builder.add(feba, before[0]), builder.add(hgdc, before[1])
    builder.store(lanes(feba, hgdc, 3, 2, 7, 6), four(state, 0), align=4)
    builder.store(lanes(feba, hgdc, 1, 0, 5, 4), four(state, 1), align=4)


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
