"""A file that is written whole or not at all.

It is written beside its place under a hidden name, and then takes the place. Nothing waits for the disk: a process that is killed
leaves what was there, or all that is new, and perhaps the hidden file; after a power cut the new one may be short.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["SCRATCH", "write_whole"]

SCRATCH: Final = ".{name}-{process}-{number}"
"""What it is called until it is whole."""
_NUMBERS = count()


def write_whole(target: Path, body: bytes | Callable[[BinaryIO], object]) -> Path:
    """Write a file, in the place of one that is there. A link is replaced, and what it leads to stays.

    Args:
        body: bytes, or what writes them into an open file.

    Raises:
        OSError: it cannot be written, or what is there is a folder or a device; like any error of `body`, this leaves what was
            there, and nothing else.
    """
    if target.exists() and not target.is_file() and not target.is_symlink():
        raise OSError(errno.EINVAL, "this is there already and no ordinary file: give another name", str(target))
    scratch, file = _beside(target)
    try:
        with file:
            if isinstance(body, bytes):
                file.write(body)
            else:
                body(file)
        os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return target


def _beside(target: Path) -> tuple[Path, BinaryIO]:
    """A new file in the same folder, open, with the permissions that every new file gets."""
    while True:
        scratch = target.parent / SCRATCH.format(name=target.name, process=os.getpid(), number=next(_NUMBERS))
        try:
            return scratch, scratch.open("xb")
        except FileExistsError:
            continue  # left behind by a process of this number that was killed
