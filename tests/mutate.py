"""The mutation lane: whatever bytes come in, a typed error with its place goes out, or data that obey every row rule.

`python -m tests.mutate 20000 --seed 1` prints the seed, how often each outcome came, and every case that had no allowed one. A case
is a function of (seed, number) alone: `python -m tests.mutate --case 4711 --seed 1` runs it again and says what it did.

Cases run in a process of their own, with a limit on memory and on time. A target is an entry of TARGETS: files that are good, ways
to change them, and what must hold afterwards. An importer adds its own there.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

from grinder import cli
from grinder.config import Config
from grinder.data.binance import read_recording
from grinder.data.fixture import Fixture, to_toml, write_fixture
from grinder.data.instrument import Instrument
from grinder.errors import GrinderError, InputFault
from grinder.golden import accept, read_golden
from grinder.records import FORMAT_VERSION
from grinder.run import load
from grinder.session import replay
from tests.oracles import rows
from tests.test_binance import MS, SAMPLE, quote

MEMORY = 4 << 30
"""Bytes of address space of a worker."""
MEMORY_FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where files of cases are written: in memory, where there is such a folder."""
SECONDS = 20
"""What one case may take; each takes some milliseconds."""
ONE_THREAD = {"POLARS_MAX_THREADS": "1"}
"""For files of forty rows a pool of threads only costs."""
T0 = 1_700_000_000 * 10**9
Rng = random.Random
Files = dict[str, bytes]


class Violation(Exception):
    """What came out is none of what may."""


class Hung(BaseException):
    """A case ran on for too long; nothing that is checked may take it for an error of its own, as it would a TimeoutError."""


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise Violation(what)


# Changes of bytes and text

EXTREMES = (0, 1, -1, 2, 255, 2**31, 2**31 + 1, 2**35, 2**35 + 1, 2**53, 2**62, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30)
ODD = (
    '""',
    "nan",
    "inf",
    "-inf",
    "1e400",
    "-0",
    "0.1",
    "1e-9",
    "00",
    "1_0",
    "true",
    "[]",
    "{}",
    "null",
    '"é"',
    '"\\u0000"',
    "9" * 400,
)


def mutate_bytes(rng: Rng, body: bytes) -> bytes:
    """One blind change."""
    if not body:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(40)))
    at, to = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    near = min(len(body), at + rng.choice((1, 2, 8, 64)))
    kind = rng.randrange(9)
    if kind == 0:
        i = rng.randrange(len(body))
        return body[:i] + bytes([body[i] ^ (1 << rng.randrange(8))]) + body[i + 1 :]
    if kind == 1:
        return body[:at]
    if kind == 2:
        return body[:at] + body[near:]
    if kind == 3:
        return body[:at] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 30)))) + body[at:]
    if kind == 4:
        return body[:at] + body[at:near] * rng.choice((2, 3, 50)) + body[near:]
    if kind == 5:
        return body[to:] + body[:at] + body[at:to]
    if kind == 6:
        return body[:at] + bytes(near - at) + body[near:]
    if kind == 7:
        return body + body[at:to]
    i = rng.randrange(len(body))
    return body[:i] + rng.choice((b"\xff", b"\n", b"\0", b'"', b"-", b"9")) + body[i + 1 :]


def mutate_text(rng: Rng, body: bytes) -> bytes:
    """One change that knows what text is: a number, a word, a line."""
    kind = rng.randrange(6)
    if kind <= 2:
        found = list(re.finditer(rb"-?\d+(\.\d+)?" if kind < 2 else rb'"[^"\n]*"', body))
        if found:
            token = rng.choice(found)
            new = str(rng.choice(EXTREMES)) if rng.random() < 0.6 else rng.choice(ODD)
            if token.group().startswith(b'"') and rng.random() < 0.5:
                new = f'"{new}"'
            return body[: token.start()] + new.encode() + body[token.end() :]
    lines = body.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    if kind == 3:
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == 4:
        del lines[i]
    else:
        lines.insert(j, lines[i])
    return b"\n".join(lines)


# Fixture folders

PAIR = [
    Instrument(symbol="A", kind="perpetual", tick_size="0.1", lot_size="0.001"),
    Instrument(symbol="B", kind="spot", tick_size="0.1", lot_size="0.001"),
]
SETTINGS = {"quantity": "0.002", "step": "20bp", "min_edge": "1bp"}
Streams = dict[str, dict[str, list[int]]]


@cache
def streams(large: bool) -> Streams:
    """Five good streams of two symbols, equal times among them; large enough, or not, for one crossed row to be quarantined."""
    n = 1100 if large else 40
    mid = [10_000 + 20 * (i % 37) - 15 * (i % 11) for i in range(n)]
    times = [T0 + i // 3 * 10**9 for i in range(n)]
    quotes = {"ts": times, "symbol": [i % 5 == 4 for i in range(n)], "bid_px": [m - 2 for m in mid], "ask_px": [m + 2 for m in mid]}
    quotes |= {"bid_qty": [i % 9 for i in range(n)], "ask_qty": [1 + i % 7 for i in range(n)]}
    few = range(0, n, 2 if not large else 50)
    books = {"ts": [times[i] for i in few], "symbol": [int(quotes["symbol"][i]) for i in few]}
    for level in range(3):
        for side, sign in (("bid", -1), ("ask", 1)):
            books[f"{side}_px_{level}"] = [mid[i] + sign * (2 + 3 * level) for i in few]
            books[f"{side}_qty_{level}"] = [1 + (i + level) % 5 for i in few]
    trades = {"ts": [times[i] for i in few], "symbol": books["symbol"], "id": list(few), "px": [mid[i] for i in few]}
    trades |= {"qty": [1 + i % 4 for i in few], "aggressor": [i % 3 - 1 for i in few]}
    funding = {
        "ts": [T0 + i * 10**9 for i in range(6)],
        "symbol": [0] * 6,
        "rate": [i - 3 for i in range(6)],
        "mark_px": [10_000 + i for i in range(6)],
    }
    commands = {
        "ts": [T0 - 10**9, T0, T0, T0 + 10**9, T0 + 4 * 10**9],
        "symbol": [-1, -1, 0, 1, -1],
        "command": [0, 2, 1, 4, 3],
    }
    made = {"quotes": quotes, "books": books, "trades": trades, "funding": funding, "commands": commands}
    return {name: {column: [int(value) for value in values] for column, values in given.items()} for name, given in made.items()}


@cache
def good_frames(large: bool) -> dict[str, pl.DataFrame]:
    """Those streams as tables."""
    return {name: pl.DataFrame([_series(*one, None) for one in columns.items()]) for name, columns in streams(large).items()}


@cache
def folder_files(large: bool) -> Files:
    """A good fixture folder with its golden."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "pair"
        arrays = {name: {column: np.array(values) for column, values in given.items()} for name, given in streams(large).items()}
        made = write_fixture(root, PAIR, arrays, shows="a pair", config=SETTINGS)
        with mock.patch.dict(os.environ, {"CI": ""}):  # where no golden of the repository may be accepted
            accept(made, "base of mutations")
        return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


def mutate_columns(rng: Rng, given: Streams) -> dict[str, pl.DataFrame]:
    """One to three changes of rows and values, as wrong tools and bad feeds make them."""
    out = {name: {column: list(values) for column, values in columns.items()} for name, columns in given.items()}
    types: dict[tuple[str, str], Any] = {}
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(sorted(out))
        columns = out[name]
        size = len(columns["ts"])
        column, row, other = rng.choice(sorted(columns)), rng.randrange(size), rng.randrange(size)
        kind = rng.randrange(16)
        if kind <= 2:
            columns[column][row] = rng.choice([value for value in EXTREMES if -(2**63) <= value < 2**63])
        elif kind <= 5:
            columns[column][row] += rng.choice((-1, 1, -3, 3, 2100, -2100, 10**9, -(10**9)))
        elif kind == 6:
            for values in columns.values():
                values.insert(other, values[row])
        elif kind == 7:
            for values in columns.values():
                values.insert(row + 1, values[row])
        elif kind == 8:
            for values in columns.values():
                values[row], values[other] = values[other], values[row]
        elif kind == 9:
            keep = rng.choice((0, 1, row))
            for values in columns.values():
                del values[keep:]
            if rng.random() < 0.2:
                del out[name]
        elif kind == 10:
            for values in columns.values():
                values.extend(values[row : row + 5])
        elif kind == 11:
            pairs = [(c, c.replace("bid", "ask")) for c in columns if c.startswith("bid") and c.replace("bid", "ask") in columns]
            for bid, ask in pairs:
                columns[bid][row], columns[ask][row] = columns[ask][row], columns[bid][row]
        elif kind == 12:
            side = rng.choice(("bid", "ask", ""))
            for c in columns:
                if c.startswith(("bid", "ask")) and side in c and (name == "books" or "qty" in c):
                    columns[c][row] = 0
        elif kind == 13:
            types[name, column] = rng.choice(
                (pl.Float64, pl.String, pl.UInt64, pl.Int32, pl.Int16, pl.Boolean, pl.Int128, pl.Decimal(30, 2), "null")
            )
        elif kind == 14:
            columns[rng.choice(("mid", "ts_local", "bid_px_9", "BID_PX", "update_id"))] = list(columns[column])
        else:
            del columns[column]
            if not columns:
                del out[name]
        if not out or any(not columns or not len(columns.get("ts", "")) for columns in out.values()):
            break
    return {
        name: pl.DataFrame([_series(column, values, types.get((name, column))) for column, values in columns.items()])
        for name, columns in out.items()
    }


def _series(column: str, values: list[int], dtype: Any) -> pl.Series:
    if dtype == "null":
        return pl.Series(column, [None, *values[1:]][: len(values)], pl.Int64)
    whole = pl.Series(column, [(value + 2**63) % 2**64 - 2**63 for value in values], pl.Int64)
    return whole if dtype is None else whole.cast(dtype, strict=False)


def integers(frames: dict[str, pl.DataFrame]) -> Streams | None:
    """The canonical columns as Python integers; None where one is no integer, is missing, or there is one too many."""
    out: Streams = {}
    for name, frame in frames.items():
        plain = [c for c in frame.columns if c not in ("ts_exchange", "ts_local", "update_id")]
        depth = sum(c.startswith("bid_px_") for c in plain)
        wanted = (
            set(streams(False)[name])
            if name != "books"
            else {"ts", "symbol"}
            | {f"{side}_{what}_{i}" for side in ("bid", "ask") for what in ("px", "qty") for i in range(max(1, depth))}
        )
        if set(plain) != wanted:
            return None
        out[name] = {}
        for column in plain:
            if not frame[column].dtype.is_integer() or frame[column].null_count():
                return None
            out[name][column] = frame[column].to_list()
            if any(not -(2**63) <= value < 2**63 for value in out[name][column]):
                return None
    return out


def rehash(files: Files, frames: dict[str, pl.DataFrame] | None = None) -> Files:
    """The manifest made to fit the files, so that a change gets past the hashes; with `frames` to their rows and content too."""
    manifest = tomllib.loads(files["fixture.toml"].decode())
    kept = {
        name: entry for name, entry in manifest["streams"].items() if entry["file"] in files and (frames is None or name in frames)
    }
    for name, entry in kept.items():
        entry["bytes_sha256"] = hashlib.sha256(files[entry["file"]]).hexdigest()
        if frames is not None:
            entry["rows"] = frames[name].height
    manifest["streams"] = kept
    plain = integers(frames) if frames is not None else None
    if plain is not None:
        manifest["content_sha256"] = rows.content_hash(plain, manifest["instruments"])
    return files | {"fixture.toml": to_toml(manifest).encode()}


def mutate_folder(rng: Rng) -> Files:
    """A folder with something wrong: in its rows, its manifest, or its bytes, with the hashes made right or not."""
    large = rng.random() < 0.06
    files = dict(folder_files(large))
    kind = rng.randrange(10)
    if kind < 6:
        frames = mutate_columns(rng, streams(large))
        for name in set(streams(large)) - set(frames):
            files.pop(f"{name}.parquet")
        for name, frame in frames.items():
            packing: dict[str, Any] = {"compression": rng.choice(("zstd", "snappy", "uncompressed"))}
            packing["row_group_size"] = rng.choice((7, 1 << 18))
            good = good_frames(large)[name]
            if (
                rng.random() < 0.1 or frame.schema != good.schema or not frame.equals(good)
            ):  # to write one takes as long as to judge it
                buffer = io.BytesIO()
                frame.write_parquet(buffer, **packing)
                files[f"{name}.parquet"] = buffer.getvalue()
        return rehash(files, frames)
    name = rng.choice(sorted(files)) if kind < 8 else "fixture.toml"
    change = mutate_text if name.endswith(("toml", "json")) and rng.random() < 0.8 else mutate_bytes
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        files[name] = change(rng, files[name])
    return files


def damage_folder(rng: Rng) -> Files:
    """A damaged Parquet file that the manifest's hash vouches for."""
    files = dict(folder_files(False))
    name = rng.choice([name for name in sorted(files) if name.endswith("parquet")])
    for _ in range(rng.choice((1, 1, 2))):
        files[name] = mutate_bytes(rng, files[name])
    return rehash(files)


_parser = cache(cli._parser)
"""Made once: to make it takes longer than most commands."""


def command(words: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(cli, "_parser", _parser), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    return code, out.getvalue(), err.getvalue()


def check_validate(root: Path, files: Files) -> str:
    """`grinder fixture validate`: exit code 0 and the very data, or 3 and an error that names the file."""
    folder = root / "pair"
    folder.mkdir()
    for name, body in files.items():
        (folder / name).write_bytes(body)
    code, out, err = command(["fixture", "validate", str(folder), "--json"])
    found = json.loads(out)
    if code == 0:
        expect(
            found["valid"] and found["content"] == rows.content_hash(streams(False), [one.model_dump() for one in PAIR]),
            "other data",
        )
        return "accepted"
    expect(code == 3 and not found["valid"] and "pair/" in err, f"exit code {code}: {err}")
    return "error: the reader's process ended" if "ends the reader" in err else str(found["error"])


def check_folder(root: Path, files: Files) -> str:
    """Open it, and compare what a replay would see with the oracle; replay it where it is small."""
    folder = root / "pair"
    folder.mkdir()
    for name, body in files.items():
        (folder / name).write_bytes(body)
    try:
        made = Fixture.open(folder)
    except GrinderError as error:
        located(error, "pair")
        if isinstance(error, InputFault) and error.row is not None and "missing" not in error.reason:
            expect(_judged(folder, files) is None, f"rejected, though no rule is broken: {error}")
        return type(error).__name__
    events = _judged(folder, files)
    expect(events is not None, "accepted, though a rule is broken")
    mine = list(zip(*(column.tolist() for column in made.events[:8]), strict=True))
    expect(mine == events, f"events differ: {[pair for pair in zip(mine, events or [], strict=False) if pair[0] != pair[1]][:2]}")
    try:
        read_golden(made)
        run = replay(made, until=min(len(made), 200))
    except GrinderError as error:
        located(error, "")
        return f"opened, then {type(error).__name__}"
    expect(run.events == min(len(made), 200), "the replay stopped early")
    return "accepted, rows quarantined" if rows.counts(events or []) else "accepted"


def _judged(folder: Path, files: Files) -> list[tuple[int, ...]] | None:
    """What the oracle says of the files' rows; None: reject."""
    manifest = tomllib.loads(files["fixture.toml"].decode("utf-8-sig"))
    frames = {name: pl.read_parquet((folder / entry["file"]).read_bytes()) for name, entry in manifest["streams"].items()}
    plain = integers(frames)
    instruments = sorted(manifest["instruments"], key=lambda one: one["symbol"])
    max_jump = Fraction(Config(**manifest.get("config", {})).max_jump)
    try:
        return None if plain is None else rows.judge(plain, [one["kind"] == "perpetual" for one in instruments], max_jump)
    except rows.Rejected:
        return None


def located(error: GrinderError, name: str) -> None:
    """A typed error that names its place and has an exit code of its own."""
    text = " ".join([str(error), *getattr(error, "__notes__", ())])
    expect(name in text and len(text) > 15, f"no place in {text!r}")
    expect(error.exit_code in (2, 3), f"exit code {error.exit_code}: {text!r}")
    expect(len(text) < 3000, f"{len(text)} characters of error")


# Raw recordings


@cache
def recording_text(large: bool) -> bytes:
    """The sample of the importer's tests; with so many calm quotes after it that one crossed row is quarantined."""
    calm = [quote(200 + i, MS + 100 + i, B=f"{1 + i % 9}.5") for i in range(1100)] if large else []
    return ("\n".join([*SAMPLE, *calm]) + "\n").encode()


def mutate_recording(rng: Rng) -> Files:
    """Lines changed as text, as bytes, and inside or outside of gzip."""
    large = rng.random() < 0.04
    body = recording_text(large)
    if large:  # the sample is where something happens
        head, tail = body[:2600], body[2600:]
        return {"raw": mutate_text(rng, head) + tail}
    for _ in range(rng.choice((1, 1, 2, 3))):
        body = (mutate_text if rng.random() < 0.7 else mutate_bytes)(rng, body)
    if rng.random() < 0.3:
        body = gzip.compress(body, mtime=0)
        if rng.random() < 0.5:
            body = mutate_bytes(rng, body)
    return {"raw": body}


def check_recording(root: Path, files: Files) -> str:
    """Import it by the command line: an exit code and nothing on disk, or a fixture that holds what the lines say."""
    (root / "raw").write_bytes(files["raw"])
    words = ["binance", str(root / "raw"), "--out", str(root / "made"), "--kind", "perpetual", "--top", "3", "--json"]
    code, out, text = command(["import", *words])
    if code:
        expect(code in (2, 3) and text.startswith("grinder: "), f"exit code {code}: {text!r}")
        expect("raw" in text or "made" in text or "instrument" in text, f"no place in {text!r}")
        expect(len(text) < 3000, f"{len(text)} characters of error")
        expect([path.name for path in root.iterdir()] == ["raw"], "something was left on disk")
        return "error"
    report = json.loads(out)
    made = Fixture.open(root / "made")
    frames = {name: pl.read_parquet((root / "made" / f"{name}.parquet").read_bytes()) for name in made.manifest["streams"]}
    plain = integers(frames)
    expect(plain is not None, "columns that are no integers")
    events = rows.judge(plain or {}, [True], Fraction(1, 5))
    expect(list(zip(*(column.tolist() for column in made.events[:8]), strict=True)) == events, "events differ")
    expect(report["quarantined"] == rows.counts(events), f"report {report['quarantined']}, oracle {rows.counts(events)}")
    _check_quotes(files["raw"], frames, report)
    return "accepted, rows quarantined" if report["quarantined"] else "accepted"


def _check_quotes(raw: bytes, frames: dict[str, pl.DataFrame], report: dict[str, Any]) -> None:
    """Quotes and trades read from the text again, by another parser: the same numbers, none lost."""
    text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    seen: dict[str, list[tuple[Any, ...]]] = {"quotes": [], "trades": []}
    tick, lot = Fraction(report["tick_size"]), Fraction(report["lot_size"])
    for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not line.strip():
            continue
        local, _, body = line.partition(b" ")
        event = json.loads(body)
        data = event.get("data", {})
        ts = (data.get("T", data.get("E")) or 0) * 10**6 if report["clock"] == "exchange" else int(local)
        stream = event.get("stream", "").partition("@")[2]
        if stream == "bookTicker":
            seen["quotes"].append(
                (ts, Fraction(data["b"]) / tick, Fraction(data["B"]) / lot, Fraction(data["a"]) / tick, Fraction(data["A"]) / lot)
            )
        elif stream == "trade" and data.get("X", "MARKET") == "MARKET":
            seen["trades"].append((ts, data["t"], Fraction(data["p"]) / tick, Fraction(data["q"]) / lot, -1 if data["m"] else 1))
    names = {"quotes": ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty"), "trades": ("ts", "id", "px", "qty", "aggressor")}
    for name, columns in names.items():
        mine = sorted(frames[name].select(columns).rows()) if name in frames else []
        expect(mine == sorted(seen[name]), f"{name} are not what the lines say")


def check_library(root: Path, files: Files) -> str:
    """The same through the library, where the path is the only thing that names the file."""
    (root / "raw").write_bytes(files["raw"])
    try:
        found = read_recording(root / "raw")
    except GrinderError as error:
        located(error, "raw")
        return type(error).__name__
    expect(
        found.report.lines == sum(found.report.rows.values()) + found.report.snapshots + sum(found.report.dropped.values()),
        "lines lost",
    )
    return "accepted"


# Files of importers: archive, LEAN, Tardis, tables

DAY = 1_704_067_200  # 2024-01-01 in s
CELLS = (
    *("", " ", "nan", "inf", "-inf", "NaN", "Infinity", "-0", "0", "-1", "+1", "1e3", "1.5e-3", "1E2", "1e-400", "1e400", "0x10"),
    *(
        "*",
        "KILL",
        "recover",
        "1_0",
        "1,5",
        '"100.1"',
        "'1'",
        ".5",
        "5.",
        "1.2.3",
        "--1",
        "true",
        "False",
        "TRUE",
        "buy",
        "SELL",
        "unknown",
        "BTCUSDT",
    ),
    *("9" * 18, "9" * 19, "9" * 400, "0" * 30 + "1", "0." + "0" * 20 + "1", "1." + "0" * 40, "100.12345678901234567890", "1e"),
    *("\u0661\u0662", "\u00e9", "\ufeff1", "1\t", "1;2", "1\r", "\0", "1704067200", "1704067200000000", "1704067200000000000"),
)
"""What a cell becomes besides `EXTREMES`."""


def _prices(i: int) -> tuple[str, str, str, str]:
    """Bid, its quantity, ask, its quantity of row `i`, as text."""
    mid = 10_000 + 7 * (i % 37) - 5 * (i % 11)
    return f"{(mid - 2) / 10:.1f}", f"0.{i % 9:03d}", f"{(mid + 2) / 10:.1f}", f"{1 + i % 7}.5"


Scene = tuple[list[str], dict[str, str]]
"""The words of the command, with the files' names among them, and the files' text."""


@cache
def scenes(large: bool) -> dict[str, list[Scene]]:
    """For each importer, commands that succeed on their files."""
    n = 1100 if large else 30
    top = [(i, *_prices(i)) for i in range(n)]
    deals = range(0, n, 50 if large else 3)
    ms, us = DAY * 1000, DAY * 10**6

    def text(header: str, rows: list[str]) -> str:
        return "\n".join([header] * bool(header) + rows) + "\n"

    ticker = [f"{9 + i},{b},{bq},{a},{aq},{ms + 100 * i},{ms + 100 * i + 1}" for i, b, bq, a, aq in top]
    names = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
    trades = [f"{i},{top[i][1]},1.5,150.0,{ms + 100 * i},{'true' if i % 2 else 'false'}" for i in deals]
    agg = [f"{i},{top[i][1]},1.5,{i},{i},{ms + 100 * i},{'True' if i % 2 else 'False'},True" for i in deals]
    bars = [f"{ms + 60_000 * i},1000.1,1010.5,990.2,1000.3,5,{ms + 60_000 * i + 59_999},5000,10,2,2000,0" for i in range(n)]
    rates = text("calc_time,funding_interval_hours,last_funding_rate", [f"{ms + 1000 * i},8,0.0001{i}" for i in range(2)])
    book, deal, fund = ("BTCUSDT-bookTicker-2024-01-01.csv", "BTCUSDT-trades-2024-01-01.csv", "BTCUSDT-fundingRate-2024-01.csv")
    aggs, kline = "BTCUSDT-aggTrades-2024-01-01.csv", "BTCUSDT-1m-2024-01.csv"
    archive: list[Scene] = [
        (["archive", book], {book: text("", ticker)}),
        (["archive", book, deal], {book: text(names, ticker), deal: text("", trades)}),
        (["archive", book, aggs, fund], {book: text(names, ticker), aggs: text("", agg), fund: rates}),
        (["archive", kline, "--spread-ticks", "2", "--size", "0.5"], {kline: text("", bars)}),
    ]
    day, pays = "20240101_btcusd_minute_quote_perp.csv", "funding_btcusd.csv"
    quote_bars = [f"{60_000 * i},100.1,104,99,102,1.5,101,105,100,103,2" for i in range(n)]
    lean: list[Scene] = [
        (["lean", day], {day: text("", quote_bars)}),
        (["lean", day, pays], {day: text("", quote_bars), pays: "20240101 00:00:00,0.0001\n20240101 00:08:00,-0.0002\n"}),
    ]
    head = "exchange,symbol,timestamp,local_timestamp"
    at = [f"venue,BTC-PERP,{us + 10**5 * i},{us + 10**5 * i + 300}" for i in range(n)]
    tops = [f"{at[i]},{aq},{a},{b},{bq}" for i, b, bq, a, aq in top]
    sides = [f"{side}[{i}].{what}" for i in range(2) for side in ("asks", "bids") for what in ("price", "amount")]
    levels = [f"{at[i]},{a},{aq},{b},{bq},{a[:-2]}9.9,1,1.5,2" for i, b, bq, a, aq in top]
    due = (
        "funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price",
        [f"{at[i]},{us + 10**6},0.0001,,1,1000.1,1000.1,1000.123" for i in deals],
    )
    sold = [f"{at[i]},{i},{'buy' if i % 2 else 'sell'},{top[i][1]},1.5" for i in deals]
    tardis: list[Scene] = [
        (["tardis", "q.csv"], {"q.csv": text(f"{head},ask_amount,ask_price,bid_price,bid_amount", tops)}),
        (
            ["tardis", "q.csv", "t.csv", "f.csv", "--clip"],
            {
                "q.csv": text(f"{head},ask_amount,ask_price,bid_price,bid_amount", tops),
                "t.csv": text(f"{head},id,side,price,amount", sold),
                "f.csv": text(f"{head},{due[0]}", due[1]),
            },
        ),
        (["tardis", "b.csv"], {"b.csv": text(",".join([head, *sides]), levels)}),
    ]
    mine = text("ts,bid_px,bid_qty,ask_px,ask_qty", [f"{ms + 100 * i},{b},{bq},{a},{aq}" for i, b, bq, a, aq in top])
    own = text("ts,id,px,qty,aggressor", [f"{ms + 100 * i},{i},{top[i][1]},1.5,{'buy' if i % 2 else '-1'}" for i in deals])
    pay = text("ts,rate,mark_px", [f"{DAY + i},-0.0001,1000.123" for i in range(2)])
    asked = text("ts,command,symbol", [f"{DAY + i // 2},{name},*" for i, name in enumerate(("pause", "RESUME", "kill", "reset"))])
    table: list[Scene] = [
        (["table", "--symbol", "BTC", "--quotes", "q.csv"], {"q.csv": mine}),
        (["table", "--symbol", "BTC", "--quotes", "q.csv", "--commands", "c.csv"], {"q.csv": mine, "c.csv": asked}),
        (
            ["table", "--symbol", "BTC", "--quotes", "q.csv", "--trades", "t.csv", "--funding", "f.csv"],
            {"q.csv": mine, "t.csv": own, "f.csv": pay},
        ),
    ]
    return {"archive": archive, "lean": lean, "tardis": tardis, "table": table}


def mutate_cells(rng: Rng, body: bytes) -> bytes:
    """One change that knows what a table is: a cell, a digit, a column, a row, a separator, a line end, the header."""
    lines = body.split(b"\n")
    place = rng.randrange(max(1, len(lines) - 1)) if rng.random() < 0.9 else 0
    cells = lines[place].split(b",")
    i = rng.randrange(len(cells))
    kind = rng.randrange(21)
    if kind >= 15:  # one more or less in a digit: mostly still good data
        spots = [at for at, byte in enumerate(cells[i]) if 48 <= byte <= 57]
        if spots:
            at = rng.choice(spots[-3:])
            cells[i] = cells[i][:at] + bytes([48 + (cells[i][at] - 48 + rng.choice((1, 9))) % 10]) + cells[i][at + 1 :]
    elif kind <= 2:
        cells[i] = rng.choice(CELLS).encode()
    elif kind == 3:
        cells[i] = str(rng.choice(EXTREMES)).encode()
    elif kind <= 5:  # a digit is another, one is doubled, or the point moves
        digits = bytearray(cells[i])
        if digits:
            at = rng.randrange(len(digits))
            digits[at : at + 1] = rng.choice((b"", b"7", b"0", b".", bytes(digits[at : at + 1]) * 2))
        cells[i] = bytes(digits)
    elif kind == 6:
        cells[i] = rng.choice((b"-", b"1", b"0", b"0.")) + cells[i]
    elif kind == 7:
        cells[i] += rng.choice((b"e1", b"e-1", b"E+2", b"e-9", b"1", b"000", b".0", b" ", b"0" * 30))
    elif kind == 8:
        del cells[i]
    elif kind == 9:
        cells.insert(i, cells[i])
    elif kind == 10:
        j = rng.randrange(len(cells))
        cells[i], cells[j] = cells[j], cells[i]
    elif kind == 11:  # a whole column
        j = rng.randrange(len(cells))
        table = [line.split(b",") for line in lines]
        for row in table:
            if len(row) > max(i, j):
                row[i], row[j] = row[j], row[i]
        return b"\n".join(b",".join(row) for row in table)
    elif kind == 12:
        return rng.choice(
            (
                body.replace(b",", rng.choice((b";", b"\t", b", "))),
                body.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\n\r"))),
                b"\xef\xbb\xbf" * rng.choice((1, 2)) + body,
                body.rstrip(b"\n"),
                body.replace(b",", b'","'),
                body.decode("utf-8", "replace").encode("utf-16"),
                b"\n" + body,
                lines[0] + b"\n",
                b"",
            )
        )
    elif kind == 13:
        lines.insert(rng.randrange(len(lines)), lines[place])
        return b"\n".join(lines)
    else:
        j = rng.randrange(len(lines))
        lines[place], lines[j] = lines[j], lines[place]
        return b"\n".join(lines)
    lines[place] = b",".join(cells)
    return b"\n".join(lines)


def _zip(name: str, body: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def mutate_files(source: str) -> Callable[[Rng], Files]:
    """A command of this importer with one of its files changed, plain or packed; `command` holds the words and what is plain."""

    def mutate(rng: Rng) -> Files:
        large = rng.random() < 0.03
        words, texts = rng.choice(scenes(large)[source])
        files = {name: text.encode() for name, text in texts.items()}
        name = rng.choice(sorted(files))
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            files[name] = rng.choice((mutate_cells, mutate_cells, mutate_cells, mutate_text, mutate_bytes))(rng, files[name])
        words = list(words) + rng.choice(([], [], [], ["--sort"], ["--tick", "0.1"], ["--lot", "0.001", "--floor"], ["--clip"]))
        whole = True
        packed = rng.random()
        if packed < 0.25:
            files[name] = gzip.compress(files[name], mtime=0) if packed < 0.12 else _zip(name, files[name])
            if rng.random() < 0.5:
                whole = False
                for _ in range(rng.choice((1, 1, 3))):
                    files[name] = mutate_bytes(rng, files[name])
        return files | {"command": json.dumps([words, whole]).encode()}

    return mutate


def mutate_parquet(rng: Rng) -> Files:
    """A table as Parquet with other types, odd floats, nulls and texts."""
    text = scenes(False)["table"][0][1]["q.csv"]
    frame = pl.read_csv(text.encode())
    for _ in range(rng.choice((1, 1, 2))):
        with contextlib.suppress(pl.exceptions.PolarsError):  # after another change there may be no such column, type or name
            frame = _changed(rng, frame)
        if not frame.height:
            break
    out = io.BytesIO()
    frame.write_parquet(out, row_group_size=7)
    words = ["table", "--symbol", "BTC", "--quotes", "q.csv", *rng.choice(([], ["--sort"], ["--lot", "0.001", "--floor"]))]
    return {"q.csv": out.getvalue(), "command": json.dumps([words, False]).encode()}


def _changed(rng: Rng, frame: pl.DataFrame) -> pl.DataFrame:
    """One change of a value, a type, a column or the rows; the first change of a table always succeeds."""
    column, row = rng.choice(frame.columns), rng.randrange(frame.height)
    values = frame[column].to_list()
    kind = rng.randrange(7)
    if kind == 0:
        values[row] = rng.choice((float("nan"), float("inf"), -0.0, 1e300, 5e-324, 0.1 + 0.2, 1e16, 1.5e-7, -1.0, None))
        return frame.with_columns(pl.Series(column, values, strict=False))
    if kind == 1:
        values = [None if value is None else str(value) for value in values]
        values[row] = rng.choice((*CELLS, "1\n2", "1,2", f"1\n{DAY}000,1,1,2,1", None))
        return frame.with_columns(pl.Series(column, values, pl.String))
    if kind == 2:
        return frame.with_columns(pl.col(column).cast(rng.choice((pl.Float32, pl.Int64, pl.String, pl.Boolean)), strict=False))
    if kind == 3:
        return frame.with_columns(pl.col(column).cast(pl.Decimal(38, rng.choice((0, 3, 18))), strict=False))
    if kind == 4:
        return frame.with_columns(pl.col("ts").cast(pl.Int64, strict=False).cast(pl.Datetime(rng.choice(("ms", "us", "ns")))))
    if kind == 5:
        return frame.drop(column) if frame.width > 2 else frame.clear()
    return rng.choice(
        (
            frame.clear,
            lambda: pl.concat([frame, frame[row : row + 2]]),
            lambda: frame.rename({column: "BID,PX"}),
        )
    )()


def damage_parquet(rng: Rng) -> Files:
    """A Parquet table with damaged bytes."""
    out = io.BytesIO()
    pl.read_csv(scenes(False)["table"][0][1]["q.csv"].encode()).write_parquet(out, row_group_size=7)
    body = out.getvalue()
    for _ in range(rng.choice((1, 1, 2))):
        body = mutate_bytes(rng, body)
    return {"q.csv": body, "command": json.dumps([["table", "--symbol", "BTC", "--quotes", "q.csv"], False]).encode()}


def check_files(root: Path, files: Files) -> str:
    """Import by the command line: an error with its place and nothing on disk, or a fixture that obeys every rule of rows."""
    words, whole = json.loads(files["command"])
    given = {name: body for name, body in files.items() if name != "command"}
    (root / "in").mkdir()
    for name, body in given.items():
        (root / "in" / name).write_bytes(body)
    words = [str(root / "in" / word) if word in given else word for word in words]
    code, out, text = command(["import", *words, "--out", str(root / "made"), "--kind", "perpetual", "--json"])
    if code:
        expect(code in (2, 3) and text.startswith("grinder: "), f"exit code {code}: {text!r}")
        expect("made" in text or any(name in text for name in given) or "BTC" in text, f"no place in {text!r}")
        expect(code == 2 or "(" in text, f"no cure in {text!r}")
        expect(len(text) < 3000, f"{len(text)} characters of error")
        expect([path.name for path in root.iterdir()] == ["in"], "something was left on disk")
        expect(sorted(path.name for path in (root / "in").iterdir()) == sorted(given), "something was left beside the files")
        return f"error, exit code {code}"
    report = json.loads(out)
    made = Fixture.open(root / "made")
    frames = {name: pl.read_parquet((root / "made" / f"{name}.parquet").read_bytes()) for name in made.manifest["streams"]}
    plain = integers(frames)
    expect(plain is not None, "columns that are no integers")
    events = rows.judge(plain or {}, [True] * len(made.symbols), Fraction(1, 5))
    expect(list(zip(*(column.tolist() for column in made.events[:8]), strict=True)) == events, "events differ")
    expect(report["quarantined"] == rows.counts(events), f"report {report['quarantined']}, oracle {rows.counts(events)}")
    expect(report["rows"] == {name: frame.height for name, frame in frames.items()}, "another number of rows is told")
    if whole and len(made.symbols) == 1:
        _check_cells(given, frames, report, words)
    return "accepted, rows quarantined" if report["quarantined"] else "accepted"


_CELLS_OF: dict[str, tuple[str, tuple[str, ...], tuple[tuple[str, int], ...]]] = {
    "bookTicker": (
        "quotes",
        ("transaction_time", "best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty"),
        (("transaction_time", 5), ("best_bid_price", 1), ("best_bid_qty", 2), ("best_ask_price", 3), ("best_ask_qty", 4)),
    ),
    "trades": ("trades", ("time", "price", "qty"), (("time", 4), ("price", 1), ("qty", 2))),
    "aggTrades": ("trades", ("transact_time", "price", "quantity"), (("transact_time", 5), ("price", 1), ("quantity", 2))),
    "q.csv": ("quotes", ("local_timestamp", "bid_price", "bid_amount", "ask_price", "ask_amount"), ()),
    "t.csv": ("trades", ("local_timestamp", "price", "amount"), ()),
    "table q.csv": ("quotes", ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty"), ()),
    "table t.csv": ("trades", ("ts", "px", "qty"), ()),
}
"""Kind of file -> its stream, its names of time, prices and quantities in order, and their places where there is no header."""


def _check_cells(given: Files, frames: dict[str, pl.DataFrame], report: dict[str, Any], words: list[str]) -> None:
    """Quotes and trades read from the text again, by another parser: the same numbers, none lost."""
    (units,) = report["units"].values()
    tick, lot = Fraction(units["tick_size"]), Fraction(units["lot_size"])
    for name, body in given.items():
        kind = name.split("-")[1] if name.count("-") > 1 else f"table {name}" if words[0] == "table" else name
        if kind not in _CELLS_OF:
            continue
        stream, names, places = _CELLS_OF[kind]
        raw = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        if body[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                raw = archive.read(archive.infolist()[0])
        lines = [line.split(",") for line in raw.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n").split("\n") if line]
        if places and lines[0][0][:1].isdigit():
            at = [dict(places)[wanted] for wanted in names]
        else:
            header = [cell.strip() for cell in lines.pop(0)]
            header = [cell.lower() for cell in header] if places else header
            at = [header.index(wanted) for wanted in names]
        told = [[line[i] for i in at] for line in lines if all(line[i] for i in at)]
        factor = next(f for f in (10**9, 10**6, 10**3, 1) if rows.FROM <= int(told[0][0]) * f < rows.TO)
        seen = sorted(
            (int(ts) * factor, *(int(Fraction(cell) // (lot if i % 2 else tick)) for i, cell in enumerate(cells)))
            for ts, *cells in told
        )
        columns = ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty") if stream == "quotes" else ("ts", "px", "qty")
        expect(sorted(frames[stream].select(columns).rows()) == seen, f"{stream} are not what the lines say")


# Saved runs


@cache
def saved_run() -> tuple[bytes, str]:
    """A run of the pair, as saved, and its digest."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, body in folder_files(False).items():
            (root / name).write_bytes(body)
        run = replay(Fixture.open(root))
        return run.save(root / "a.grinder").read_bytes(), run.digest.value


def mutate_run(rng: Rng) -> Files:
    """The archive's bytes, or one of its arrays with the archive made anew."""
    body, _ = saved_run()
    if rng.random() < 0.4:
        for _ in range(rng.choice((1, 1, 3))):
            body = mutate_bytes(rng, body)
        return {"a.grinder": body}
    with np.load(io.BytesIO(body)) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    name = rng.choice([*sorted(arrays), "meta", "meta"])
    array = arrays[name]
    kind = rng.randrange(6)
    if name == "meta" and kind < 5:
        text = (mutate_text if rng.random() < 0.9 else mutate_bytes)(rng, array.tobytes().replace(b", ", b",\n"))
        arrays[name] = np.frombuffer(text, np.uint8)
    elif kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = array[: len(array) // 2]
    elif kind == 2:
        arrays[name] = np.concatenate([array, array])
    elif kind == 3:
        arrays[name] = array.astype(object) if rng.random() < 0.2 else np.zeros(3)
    elif array.size:
        view = array.reshape(-1).view(np.uint8)
        at = rng.randrange(len(view) // 8) * 8 if len(view) >= 8 else 0
        view[at : at + 8] = np.frombuffer(rng.choice((0, 1, -1, 2**62, -(2**63))).to_bytes(8, "little", signed=True), np.uint8)[
            : len(view) - at
        ]
    out = io.BytesIO()
    np.savez(out, allow_pickle=True, **arrays)
    return {"a.grinder": out.getvalue()}


def check_run(root: Path, files: Files) -> str:
    """Load it: an error, or the run that was saved, whole enough to be shown and to go on."""
    (root / "a.grinder").write_bytes(files["a.grinder"])
    try:
        run = load(root / "a.grinder")
    except GrinderError as error:
        located(error, "a.grinder")
        return type(error).__name__
    body = run.digest.to_dict()
    expect(body["format"] == FORMAT_VERSION, "another format")
    expect(run.digest.value == saved_run()[1], "another digest")
    for stage, table in run.tables.items():
        expect(len(table) == run.digest.counts[stage], f"{stage} has another length")
    expect(run.digest.value in repr(run), "it cannot be shown")
    json.dumps(run.to_dict())
    return "accepted"


# The lane


@dataclass(frozen=True)
class Target:
    """Files that are good, changed by `mutate`, and what must hold of what comes out."""

    name: str
    mutate: Callable[[Rng], Files]
    check: Callable[[Path, Files], str]
    share: int


TARGETS = [
    Target("fixture folder", mutate_folder, check_folder, 80),
    Target("fixture folder, vouched damage", damage_folder, check_validate, 1),
    Target("binance recording, imported", mutate_recording, check_recording, 40),
    Target("binance recording, read", mutate_recording, check_library, 24),
    Target("saved run", mutate_run, check_run, 24),
    Target("archive files", mutate_files("archive"), check_files, 32),
    Target("lean files", mutate_files("lean"), check_files, 20),
    Target("tardis files", mutate_files("tardis"), check_files, 32),
    Target("tables", mutate_files("table"), check_files, 24),
    Target("tables of Parquet", mutate_parquet, check_files, 16),
    Target("tables of Parquet, damaged", damage_parquet, check_files, 4),
]
"""An importer adds its entry; `share` is how often it is chosen."""


def run_case(seed: int, number: int) -> tuple[str, str]:
    """(target, outcome) of a case; an outcome that is not allowed begins with `VIOLATION`."""
    told = _run_once(seed, number)
    if told[1].endswith(f"over {SECONDS} s"):  # what hangs does so again; a machine that stood still for a while does not
        told = _run_once(seed, number)
    return told


def _run_once(seed: int, number: int) -> tuple[str, str]:
    rng = random.Random(f"{seed}/{number}")
    target = rng.choices(TARGETS, [target.share for target in TARGETS])[0]
    root = Path(tempfile.mkdtemp(prefix="mutate-", dir=MEMORY_FOLDER))
    try:
        files = target.mutate(rng)
        with limited(SECONDS):
            return target.name, target.check(root, files)
    except (Exception, Hung) as error:
        return target.name, f"VIOLATION {type(error).__name__}: {str(error)[:300]}"
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """`Hung` where Python runs on for too long; what hangs below Python is the parent's to notice."""

    def stop(*_: object) -> None:
        raise Hung(f"over {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def work(seed: int, first: int, last: int) -> None:
    """Run cases and print a line for each; the parent reads along."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in range(first, last):
        print(json.dumps([number, *run_case(seed, number)]), flush=True)


def lane(seed: int, count: int, first: int = 0) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Run cases in processes of their own: outcomes by target, and the violations."""
    outcomes: Counter[tuple[str, str]] = Counter()
    bad: list[str] = []
    at, stop = first, first + count
    while at < stop:
        command = [sys.executable, "-m", "tests.mutate", "--work", str(at), str(stop), "--seed", str(seed)]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
            env=os.environ | ONE_THREAD,
        ) as child:
            at, died = _read(child, at, stop, outcomes, bad)
        if died:
            outcomes["any", "VIOLATION"] += 1
            bad.append(f"case {at}: the process ended: {died}")
            at += 1
    return outcomes, bad


def _read(child: subprocess.Popen[str], at: int, stop: int, outcomes: Counter[tuple[str, str]], bad: list[str]) -> tuple[int, str]:
    assert child.stdout is not None
    assert child.stderr is not None
    timer = _Watch(child)
    for line in child.stdout:
        timer.rest()
        if not line.startswith("["):
            continue
        number, target, outcome = json.loads(line)
        at = number + 1
        outcomes[target, outcome.split(" ")[0] if outcome.startswith("VIOLATION") else outcome] += 1
        if outcome.startswith("VIOLATION"):
            bad.append(f"case {number}, {target}: {outcome}")
    timer.end()
    code = child.wait()
    return at, "" if at == stop and code == 0 else f"exit {code} {child.stderr.read()[-300:]}"


class _Watch:
    """Kills a child that says nothing for too long."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        import threading

        self.child, self.last, self.over = child, time.monotonic(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self.over.wait(5):
            if time.monotonic() - self.last > 120:
                self.child.kill()
                return

    def rest(self) -> None:
        self.last = time.monotonic()

    def end(self) -> None:
        self.over.set()


def table(outcomes: Counter[tuple[str, str]]) -> str:
    """Outcomes by target, as text."""
    return "\n".join(f"{target:30} {outcome:30} {count:7,}" for (target, outcome), count in sorted(outcomes.items()))


def main(words: list[str] | None = None) -> int:
    """Run the lane; 1 if any case had an outcome that is not allowed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--case", type=int)
    parser.add_argument("--work", type=int, nargs=2)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/RELIABILITY.md")
    args = parser.parse_args(words)
    if args.work:
        work(args.seed, *args.work)
        return 0
    if args.case is not None:
        print(*run_case(args.seed, args.case), sep=": ")
        return 0
    begin = time.monotonic()
    outcomes, bad = lane(args.seed, args.count, args.first)
    minutes = (time.monotonic() - begin) / 60
    head = f"seed {args.seed}: {sum(outcomes.values()):,} cases in {minutes:.1f} minutes, {len(bad)} violations"
    print(head, table(outcomes), *bad[:50], sep="\n")
    if args.write:
        from tests.reliability import put

        put("mutate", f"{head}.\n\n```text\n{table(outcomes)}\n```")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
