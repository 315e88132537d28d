"""The bytes of a market data file, plain, gzipped or zipped, in blocks of whole lines: memory does not grow with the file."""

from __future__ import annotations

import gzip
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grinder.errors import InputFault
from grinder.intake import bomb

__all__ = ["BLOCK", "MAX_LINE_BYTES", "Block", "Progress", "blocks_of", "member_name"]

Progress = Callable[[int, int], None]

BLOCK: Final = 1 << 22
MAX_LINE_BYTES: Final = 1 << 16
_BOM: Final = b"\xef\xbb\xbf"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")  # with and without a file in it
_READABLE: Final = "give a readable file"
_AGAIN: Final = "the file was cut or altered: fetch it again"


class Block(NamedTuple):
    """Some whole lines; the next block overwrites them.

    Args:
        text: uint8, writable, of which only `[start:stop]` is the block; `text[stop - 1]` is a line feed.
        done, total: bytes of the file as stored.
    """

    text: NDArray[np.uint8]
    start: int
    stop: int
    done: int
    total: int


def member_name(path: Path) -> str:
    """The name of the one file inside a zip; of any other file its own, without `.gz`.

    Raises:
        InputFault: the zip is damaged, or holds not exactly one file.
    """
    with _readable(path), path.open("rb") as raw:
        if raw.read(4) not in _ZIP:
            return path.name.removesuffix(".gz")
        with zipfile.ZipFile(raw) as archive:
            return _only_member(path, archive).filename.rpartition("/")[2]


def blocks_of(path: Path) -> Iterator[Block]:
    """The lines of a file, block by block; what compresses it is told by its first bytes, a BOM at its start is left out.

    Raises:
        InputFault: the file cannot be read or is damaged, or a line is over MAX_LINE_BYTES.
    """
    with _readable(path), path.open("rb") as raw:
        total = os.fstat(raw.fileno()).st_size
        with _unpacked(path, raw) as source:
            yield from _cut(path, source, raw.tell, total)


def _cut(path: Path, source: IO[bytes], tell: Callable[[], int], total: int) -> Iterator[Block]:
    """Blocks that end with a line; the rest of each is moved to the front of the buffer and read on."""
    buffer = bytearray(BLOCK + MAX_LINE_BYTES + 1)
    view, text = memoryview(buffer), np.frombuffer(buffer, np.uint8)
    held, first, unpacked = 0, True, 0
    while got := source.readinto(view[held : held + BLOCK]):  # type: ignore[attr-defined]
        end = held + got
        unpacked += got
        if wrong := bomb(tell(), unpacked):
            raise InputFault(wrong, file=path, cure="no market data do: fetch it again, or unpack it yourself")
        stop = buffer.rfind(b"\n", held, end) + 1
        if stop:
            start = len(_BOM) if first and buffer.startswith(_BOM) else 0
            yield Block(text, start, stop, tell(), total)
            first = False
            buffer[: end - stop] = buffer[stop:end]
        held = end - stop
        if held > MAX_LINE_BYTES:
            raise InputFault(f"a line over {MAX_LINE_BYTES:,} bytes", file=path, cure="this is no table: a line is one row")
    start = len(_BOM) if first and buffer.startswith(_BOM) else 0
    if held > start:
        buffer[held] = ord("\n")
        yield Block(text, start, held + 1, total, total)


@contextmanager
def _unpacked(path: Path, raw: IO[bytes]) -> Iterator[Any]:
    head = raw.read(4)
    raw.seek(0)
    if head[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=raw) as source:
            yield source
    elif head in _ZIP:
        with zipfile.ZipFile(raw) as archive, archive.open(_only_member(path, archive)) as member:
            yield member
    else:
        yield raw


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [item for item in archive.infolist() if not item.is_dir() and not item.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        cure = "unpack it and import the files you mean"
        raise InputFault(f"a zip of {len(members)} files, not one", file=path, cure=cure)
    name = members[0].filename
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        cure = "pack it again, by its name alone"
        raise InputFault("a file in the zip is named as if it were elsewhere", file=path, value=name, cure=cure)
    return members[0]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what goes wrong inside a damaged or missing file into an InputFault."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise InputFault(f"truncated or corrupt compression: {error}", file=path, cure=_AGAIN) from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InputFault(f"truncated, corrupt or encrypted zip: {error}", file=path, cure=_AGAIN) from None
    except (OSError, ValueError) as error:  # a name with a NUL is no OSError
        raise InputFault(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path, cure=_READABLE) from None
