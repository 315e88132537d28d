"""Integers as short text: differences, zigzag, seven bits a byte, base64. The same bytes from every machine and every version.

No general compressor is used: what zlib makes of the same bytes depends on its version. A column of a page is a mapping of `n`, how
many values, `d`, how many times differences were taken, and `b`, the bytes.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import numpy as np

__all__ = ["Column", "column", "packed", "varints"]

Column = dict[str, Any]
SEVEN: Final = 7
LONGEST: Final = 10
"""Bytes of a number of 64 bits."""


def column(values: np.ndarray, differences: int = 1) -> Column:
    """A column of a page.

    Args:
        values: int64, (n,); the page reads them as numbers of 53 bits. differences: 1 for what changes little from row to row, 0
            for what does not follow from the row before.
    """
    return {"n": len(values), "d": differences, "b": base64.b64encode(packed(values, differences)).decode("ascii")}


def packed(values: np.ndarray, differences: int = 1) -> bytes:
    """Values as bytes.

    >>> packed(np.array([3, 2, 130]), 1).hex()
    '06018002'
    """
    values = np.ascontiguousarray(values, np.int64)
    for _ in range(differences):
        values = np.diff(values, prepend=np.int64(0))
    return varints((values << 1) ^ (values >> 63))


def varints(values: np.ndarray) -> bytes:
    """Numbers of seven bits a byte, lowest first; the highest bit of a byte says that more follow.

    Args:
        values: int64, (n,), whose bits are read as numbers without a sign.
    """
    left = np.ascontiguousarray(values, np.int64).view(np.uint64)
    sizes = np.ones(len(left), np.int64)
    for k in range(1, LONGEST):
        sizes += (left >> np.uint64(SEVEN * k)) != 0
    ends = np.cumsum(sizes)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts = ends - sizes
    for k in range(int(sizes.max(initial=0))):
        there = sizes > k
        part = (left[there] >> np.uint64(SEVEN * k)) & np.uint64(0x7F)
        out[starts[there] + k] = (part | np.where(sizes[there] > k + 1, np.uint64(0x80), np.uint64(0))).astype(np.uint8)
    return out.tobytes()
