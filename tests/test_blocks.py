"""Blocks of whole lines: any packing gives the same bytes; damage is an InputFault; memory is one buffer."""

from __future__ import annotations

import gzip
import zipfile

import pytest

from grinder.data import blocks
from grinder.data.blocks import blocks_of, member_name
from grinder.errors import InputFault
from tests.files import csv, gzipped, zipped

LINES = [f"{i},{i * i}" for i in range(5000)]
TEXT = ("\n".join(LINES) + "\n").encode()


def read(path):
    return b"".join(block.text[block.start : block.stop].tobytes() for block in blocks_of(path))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1000)


@pytest.mark.parametrize("pack", [lambda path: path, gzipped, zipped])
def test_every_packing_gives_the_same_lines(tmp_path, small, pack):
    path = pack(csv(tmp_path / "x.csv", LINES, bom=True))
    seen = []
    for block in blocks_of(path):
        body = block.text[block.start : block.stop].tobytes()
        assert body.endswith(b"\n")
        assert len(block.text) == 1000 + blocks.MAX_LINE_BYTES + 1, "one buffer, however long the file"
        assert 0 < block.done <= block.total == path.stat().st_size
        seen.append(body)
    assert b"".join(seen) == TEXT
    assert len(seen) > 10
    assert member_name(path) == "x.csv"


def test_ends_and_beginnings(tmp_path, small):
    for body, expected in ((b"", b""), (b"a", b"a\n"), (b"a\nb", b"a\nb\n"), (b"\xef\xbb\xbfa\n", b"a\n"), (b"\xef\xbb\xbf", b"")):
        (tmp_path / "x").write_bytes(body)
        assert read(tmp_path / "x") == expected
    for size in (999, 1000, 1001, 2500):
        (tmp_path / "x").write_bytes(b"1" * size + b"\n2\n")
        assert read(tmp_path / "x") == b"1" * size + b"\n2\n"


def test_a_line_that_is_too_long(tmp_path, small):
    (tmp_path / "x").write_bytes(b"1" * (blocks.MAX_LINE_BYTES + 2000))
    with pytest.raises(InputFault, match="a line over 65,536 bytes"):
        read(tmp_path / "x")


def test_a_cut_at_any_place_is_noticed(tmp_path):
    for name, pack in (("g.csv", gzipped), ("z.csv", zipped)):
        path = pack(csv(tmp_path / name, LINES))
        whole = path.read_bytes()
        for cut in (5, 40, len(whole) // 2, len(whole) - 30, len(whole) - 5, len(whole) - 1):
            path.write_bytes(whole[:cut])
            with pytest.raises(InputFault, match=r"truncated|corrupt"):
                read(path)


def test_a_flipped_byte_is_noticed(tmp_path):
    for name, pack in (("g.csv", gzipped), ("z.csv", zipped)):
        path = pack(csv(tmp_path / name, LINES))
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 0xFF
        path.write_bytes(whole)
        with pytest.raises(InputFault, match=r"truncated|corrupt"):
            read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_flipped_byte_is_noticed_whatever_packed_it(tmp_path, method):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.csv", TEXT)
    assert read(path) == TEXT
    whole = path.read_bytes()
    noticed = 0
    for place in range(35, 300):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            body = read(path)
        except InputFault:
            noticed += 1
        else:
            assert body == TEXT, "a byte without a meaning, such as that of a version"
    assert noticed >= 255


def test_a_zip_holds_one_file(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._a.csv", "junk")
        archive.writestr("folder/", "")
        archive.writestr("folder/a.csv", "1\n")
    assert (member_name(path), read(path)) == ("a.csv", b"1\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.csv", "2\n")
    for use in (member_name, read):
        with pytest.raises(InputFault, match="a zip of 2 files, not one"):
            use(path)
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(InputFault, match="a zip of 0 files"):
        read(path)


def test_several_gzip_members_are_one_file(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    assert read(tmp_path / "x.gz") == b"1\n2\n"


def test_what_cannot_be_read(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        for use in (read, member_name):
            with pytest.raises(InputFault, match="cannot be read"):
                use(path)
