"""SHA-256 of many short messages in a kernel, two chains of them at a time: the links of the stages (SPEC 14).

`hashlib` spends its time on the calls, with Python's lock held: a link is mostly a few dozen bytes. Where the CPU has instructions
for SHA-256 the kernel uses them as `hashlib` does; elsewhere `hashlib` is faster a byte. `tests/test_hashing.py` holds both ways
to `hashlib`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from grinder._jit import kernel
from grinder.records import NONE, WINDOW

__all__ = ["has_instructions", "links_of"]

_JOB: Final = 0
_WINDOW: Final = 1
_START: Final = 2
_LENGTH: Final = 3
_BLOCK: Final = 4
_BLOCKS: Final = 5
"""Of a lane: the chain that it makes (NONE: no more), the window, where the rows of its message begin and how many numbers they
are, and which of how many blocks is next."""
_HEAD: Final = 5
"""Numbers of a message before its rows: the link before, and how many records there are."""


def links_of(stages: Sequence[np.ndarray], windows: int) -> list[memoryview]:
    """The links of several chains over records cut into windows of WINDOW events, 32 bytes each.

    Args:
        stages: records of int64 columns alone, the event first, by which they ascend.

    Returns:
        For each window of each `SHA-256(link before || count as uint64 LE || record bytes)`; before the first are 32 zero bytes.
    """
    rows = [np.ascontiguousarray(records).view("<i8").reshape(-1) for records in stages]  # as long as the kernel is told
    jobs = np.array([(_address(own), len(own), records.itemsize // 8) for own, records in zip(rows, stages, strict=True)], "<i8")
    links = np.empty((len(stages), windows, 4), "<i8")
    if links.size:
        lanes, blocks, states, words = (
            np.zeros((2, 6), "<i8"),
            np.zeros((2, 8), "<i8"),
            np.zeros((2, 8), np.uint32),
            np.zeros(64, np.uint32),
        )
        longest_first = np.argsort(-jobs[:, 1], kind="stable")  # so that no lane is left with a long one alone
        hash_windows(jobs, longest_first, links, lanes, blocks, _address(blocks), states, words, *_constants())
    return [own.data.cast("B") if own.size else memoryview(b"") for own in links]


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


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
    jobs: Any, order: Any, links: Any, lanes: Any, blocks: Any, own: int, states: Any, words: Any, initial: Any, constants: Any
) -> None:
    """Fill `links`, a link a window as four numbers that hold its bytes.

    Two chains at a time, as each round of a hash waits for the one before it. A lane that is done takes the next chain.

    Args:
        jobs: address, numbers and numbers a record of each chain's records. order: in which they are taken.
        own: the address of `blocks`.
    """
    lanes[:, _JOB], taken = NONE, 0
    while True:
        for lane in range(2):
            if lanes[lane, _JOB] == NONE and taken < len(jobs):
                lanes[lane, _JOB], lanes[lane, _WINDOW], lanes[lane, _START], lanes[lane, _LENGTH] = order[taken], 0, 0, 0
                taken += 1
                _start_message(jobs, lanes[lane], states[lane], initial)
        if lanes[0, _JOB] == NONE and lanes[1, _JOB] == NONE:
            return
        first = _next_block(jobs, links, lanes[0], blocks[0], own)
        second = _next_block(jobs, links, lanes[1], blocks[1], own + 64)
        _absorb_both(lanes, states, first, second, words, constants)
        for lane in range(2):
            if lanes[lane, _JOB] != NONE and lanes[lane, _BLOCK] == lanes[lane, _BLOCKS]:
                _end_message(links, lanes[lane], states[lane])
                if lanes[lane, _JOB] != NONE:
                    _start_message(jobs, lanes[lane], states[lane], initial)


@kernel
def _start_message(jobs: Any, lane: Any, state: Any, initial: Any) -> None:
    """Find the rows of the lane's window, behind those of the one before."""
    address, numbers, width = jobs[lane[_JOB], 0], jobs[lane[_JOB], 1], jobs[lane[_JOB], 2]
    start = lane[_START] + lane[_LENGTH]
    end = start
    while end < numbers and number_at(address, end) < (lane[_WINDOW] + 1) * WINDOW:
        end += width
    lane[_START], lane[_LENGTH] = start, end - start
    lane[_BLOCK], lane[_BLOCKS] = 0, (_HEAD + end - start + 9) // 8  # and the bit behind them, and the length in bits
    for i in range(8):
        state[i] = initial[i]


@kernel
def _next_block(jobs: Any, links: Any, lane: Any, block: Any, own: int) -> int:
    """Where the next eight numbers of the lane's message are: among the records, or, put together, in its own block."""
    if lane[_JOB] == NONE:
        return own
    job, length = lane[_JOB], lane[_LENGTH]
    at: int = 8 * lane[_BLOCK] - _HEAD
    lane[_BLOCK] += 1
    rows: int = jobs[job, 0] + 8 * lane[_START]
    if at >= 0 and at + 8 <= length:
        return rows + 8 * at
    for i in range(8):
        if at + i < -1:
            block[i] = links[job, lane[_WINDOW] - 1, at + i + _HEAD] if lane[_WINDOW] > 0 else 0
        elif at + i == -1:
            block[i] = length // jobs[job, 2]
        elif at + i < length:
            block[i] = number_at(rows, at + i)
        else:
            block[i] = 0x80 if at + i == length else 0
    if lane[_BLOCK] == lane[_BLOCKS]:
        bits = 64 * (_HEAD + length)
        block[7] = _swapped(bits >> 32) | _swapped(bits & 0xFFFFFFFF) << 32
    return own


@kernel
def _end_message(links: Any, lane: Any, state: Any) -> None:
    """The lane's message is hashed: a link, and on to the next window, if there is one."""
    for i in range(4):
        links[lane[_JOB], lane[_WINDOW], i] = _swapped(int(state[2 * i])) | _swapped(int(state[2 * i + 1])) << 32
    lane[_WINDOW] += 1
    if lane[_WINDOW] == links.shape[1]:
        lane[_JOB] = NONE


@kernel
def _swapped(word: int) -> int:
    """32 bits with their bytes the other way round."""
    return word >> 24 | (word >> 8 & 0xFF00) | (word << 8 & 0xFF0000) | (word << 24 & 0xFF000000)


@kernel
def _absorb_both(lanes: Any, states: Any, first: int, second: int, words: Any, constants: Any) -> None:
    """A block of each lane, of eight numbers at an address. By instructions a lane without a chain costs nothing and goes along."""
    if not absorb_by_instructions(states, first, second, constants):
        for lane in range(2):
            if lanes[lane, _JOB] == NONE:
                continue
            for i in range(8):
                number = number_at(second if lane else first, i)
                words[2 * i] = np.uint32(_swapped(number & 0xFFFFFFFF))
                words[2 * i + 1] = np.uint32(_swapped(number >> 32 & 0xFFFFFFFF))
            absorb(states[lane], words, constants)


@intrinsic  # type: ignore[untyped-decorator]
def number_at(_: Any, _address: Any, _place: Any) -> Any:
    """The int64 that is so many behind the one at an address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(first, [arguments[1]]), align=8)

    return types.int64(types.int64, types.int64), generate


@cache
def has_instructions() -> bool:
    """Whether code is compiled for a CPU with the SHA extensions."""
    return "+sha" in cpu_target.target_context.codegen()._tm_features.split(",")


_FOUR = ir.VectorType(ir.IntType(32), 4)


@intrinsic  # type: ignore[untyped-decorator]
def absorb_by_instructions(_: Any, states: Any, _first: Any, _second: Any, constants: Any) -> Any:
    """A block of each lane, by the SHA extensions of x86: True, or False where there are none and nothing is done."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not has_instructions():
            return cgutils.false_bit
        held, added = (context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 3))
        held, added = builder.bitcast(held, _FOUR.as_pointer()), builder.bitcast(added, _FOUR.as_pointer())
        lanes = [
            _emit_block(builder, builder.gep(held, [ir.IntType(64)(2 * lane)]), builder.inttoptr(place, _FOUR.as_pointer()), added)
            for lane, place in enumerate(arguments[1:3])
        ]
        for _both in zip(*lanes, strict=True):  # by turns, so that one goes on where the other waits
            pass
        return cgutils.true_bit

    return types.boolean(states, types.int64, types.int64, constants), generate


def _emit_block(builder: Any, state: Any, message: Any, constants: Any) -> Iterator[None]:
    """One block, four rounds at a turn. The instructions want the state as F, E, B, A and H, G, D, C, lowest lane first."""

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
        yield
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
