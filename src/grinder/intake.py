"""What is let in from files: strict JSON, how much a file may unpack to, names that stay in their folder.

Nothing here opens anything, but for one text of bounded size; the readers of each kind of file ask, and refuse in their own words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = [
    "MAX_TEXT",
    "UNPACKED_COLUMNS",
    "UNPACKED_FREE",
    "UNPACKED_RATIO",
    "bomb",
    "is_device",
    "is_one_name",
    "is_plain_name",
    "leads_out",
    "only",
    "strict_json",
    "text_of",
]

MAX_TEXT: Final = 1 << 28
"""Bytes of a manifest, a golden or settings; the golden of a thousand million events has a fifth of it."""
UNPACKED_FREE: Final = 1 << 26
UNPACKED_RATIO: Final = 100
"""A file may unpack to so many bytes, or to so many times its own size; market data and saved runs come to 13 times theirs."""
UNPACKED_COLUMNS: Final = 1000
"""The same of Parquet, whose columns of hardly any change, such as books that seldom move, come to some hundred times."""
_DEVICES: Final = frozenset(("con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))))
"""Names that Windows keeps for devices, with any ending."""


def strict_json(text: str | bytes) -> Any:
    """JSON as its standard has it, each key once.

    Raises:
        ValueError: a key twice, NaN, Infinity or a number beyond a float, each named; or no JSON.
    """
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} twice")
    return out


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond every float")
    return value


def only(given: Mapping[str, Any], allowed: Collection[str], where: str = "") -> None:
    """Refuse keys that there are not, and keys that are missing.

    Raises:
        ValueError: naming the key, below `where`.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"{where.rstrip('.') or 'it'} is no object of keys and values")
    for key in sorted(given.keys() ^ set(allowed)):
        what = f"unknown key {where}{key}" if key in given else f"no key {where}{key}"
        raise ValueError(f"{what}; there are {', '.join(sorted(allowed))}")


def text_of(file: Path) -> str:
    """The text of a small file, with or without a byte order mark.

    Raises:
        OSError: it cannot be read. ValueError: it is over MAX_TEXT bytes, or not UTF-8.
    """
    size = file.stat().st_size
    if size > MAX_TEXT:
        raise ValueError(f"it has {size:,} bytes, more than {MAX_TEXT:,}")
    return file.read_text("utf-8-sig")


def bomb(packed: int, unpacked: int, ratio: int = UNPACKED_RATIO) -> str:
    """What is wrong with a file of `packed` bytes that unpacks to so many; empty where nothing is."""
    most = max(UNPACKED_FREE, ratio * packed)
    return f"it unpacks to more than {ratio} times its size and {UNPACKED_FREE:,} bytes" if unpacked > most else ""


def is_plain_name(text: str) -> bool:
    """Whether this can be the name of a folder or, with an ending, of a file on every system: 1 to 64 of a-z, 0-9 and _."""
    return re.fullmatch(r"[a-z0-9_]{1,64}", text) is not None and not is_device(text)


def is_device(name: str) -> bool:
    """Whether Windows takes a name for a device, whatever it ends with."""
    return name.partition(".")[0].strip().lower() in _DEVICES


def is_one_name(text: object) -> bool:
    """Whether this is the name of one thing and no path: what bears it is never looked for anywhere else."""
    return isinstance(text, str) and re.fullmatch(r"[^/\\\0.][^/\\\0]*", text) is not None


def leads_out(folder: Path, file: Path) -> bool:
    """Whether a file of a folder is a link, or behind one, that leads out of it."""
    return not file.resolve().is_relative_to(folder.resolve())
