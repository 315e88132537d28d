"""The table of input faults: each with a minimal file that has it, and what the command line really says of it (SPEC 2.2).

`python -m tests.faults --write` makes docs/FAULTS.md; test_faults.py asserts that the committed page is what this script makes.
A source of data is a heading and a list of cases in SOURCES; a new importer adds its own list there.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from grinder.cli import main
from grinder.data.fixture import to_toml, write_fixture
from grinder.data.instrument import Instrument

PAGE = Path(__file__).resolve().parents[1] / "docs" / "FAULTS.md"
SECOND = 10**9
T0 = 1_700_000_000 * SECOND
MS = 1_700_000_000_000
REJECT, QUARANTINE, ACCEPT = "reject", "quarantine", "accept"


@dataclass(frozen=True)
class Case:
    """One fault, or one oddity that is none.

    Args:
        fault: the row of SPEC 2.2 it belongs to. file: what the minimal file holds.
        policy: what must come of it. make: writes the file into a folder and returns the words of the command.
        shows: the line of a report that tells what became of an accepted or quarantined row.
    """

    fault: str
    file: str
    policy: str
    make: Callable[[Path], Sequence[str]]
    shows: str = "quarantined"


@dataclass(frozen=True)
class Outcome:
    """What the command line did: its policy, exit code, the text that says so with the folder's path replaced by `DIR`, and whether
    an import that failed has left a fixture.
    """

    policy: str
    code: int
    text: str
    left: bool = False


@cache
def run(case: Case) -> Outcome:
    """Make the file and run the command on it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        words = [str(word) for word in case.make(folder)]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        left = bool(code) and (folder / "made" / "fixture.toml").exists()
        text = (err if code else out).getvalue().replace(str(folder), "DIR")
    text = re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", text)
    if code:
        return Outcome(REJECT, code, " ".join(text.split()).removeprefix("grinder: "), left)
    lines = {line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line.startswith("  ")}
    return Outcome(ACCEPT if lines["quarantined"] == "quarantined none" else QUARANTINE, code, lines[case.shows])


# Fixture folders

COIN = Instrument(symbol="COIN", kind="perpetual", tick_size="0.1", lot_size="0.001")
Rows = dict[str, list[int]]


def quotes(*rows: tuple[int, ...], ts: Sequence[int] | None = None, symbol: int = 0) -> Rows:
    """Quotes of (bid price, bid quantity, ask price, ask quantity), one a second."""
    times = [T0 + i * SECOND for i in range(len(rows))] if ts is None else list(ts)
    names = ("bid_px", "bid_qty", "ask_px", "ask_qty")
    return {"ts": times, "symbol": [symbol] * len(rows)} | {name: [row[i] for row in rows] for i, name in enumerate(names)}


def books(*rows: tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]], levels: int = 2) -> Rows:
    """Books of (bids, asks), each a list of (price, quantity), half a second after the quotes."""
    out: Rows = {"ts": [T0 + i * SECOND + SECOND // 2 for i in range(len(rows))], "symbol": [0] * len(rows)}
    for level in range(levels):
        for side, name in enumerate(("bid", "ask")):
            padded = [[*row[side], *[(0, 0)] * levels][level] for row in rows]
            out |= {f"{name}_px_{level}": [px for px, _ in padded], f"{name}_qty_{level}": [qty for _, qty in padded]}
    return out


def trades(*rows: tuple[int, ...]) -> Rows:
    """Trades of (id, price, quantity, aggressor), one a second."""
    names = ("id", "px", "qty", "aggressor")
    times = {"ts": [T0 + i * SECOND for i in range(len(rows))], "symbol": [0] * len(rows)}
    return times | {name: [row[i] for row in rows] for i, name in enumerate(names)}


def funding(*rows: tuple[int, int]) -> Rows:
    """Funding of (rate, mark price), one a second."""
    times = {"ts": [T0 + i * SECOND for i in range(len(rows))], "symbol": [0] * len(rows)}
    return times | {"rate": [rate for rate, _ in rows], "mark_px": [mark for _, mark in rows]}


def commands(*rows: tuple[int, int]) -> Rows:
    """Commands of (symbol, code), one a second."""
    times = {"ts": [T0 + i * SECOND for i in range(len(rows))]}
    return times | {"symbol": [symbol for symbol, _ in rows], "command": [code for _, code in rows]}


GOOD = (1000, 5, 1002, 5)
TWO = quotes(GOOD, (1000, 6, 1002, 5))
TRADE = (1, 1001, 1, 1)


def wrong(
    streams: dict[str, Any], change: Callable[[Path], None] | None = None, coin: Instrument = COIN
) -> Callable[[Path], Sequence[str]]:
    """A folder whose files are what its manifest says, rows aside; then `change` works on it."""

    def make(folder: Path) -> Sequence[str]:
        root = folder / "bad"
        root.mkdir()
        entries = {}
        for stream, columns in streams.items():
            frame = columns if isinstance(columns, pl.DataFrame) else pl.DataFrame(columns)
            frame.write_parquet(root / f"{stream}.parquet")
            digest = hashlib.sha256((root / f"{stream}.parquet").read_bytes()).hexdigest()
            entries[stream] = {"file": f"{stream}.parquet", "rows": frame.height, "bytes_sha256": digest}
        head = {"schema": 1, "name": "bad", "content_sha256": "0" * 64, "instruments": [coin.model_dump()]}
        (root / "fixture.toml").write_text(to_toml(head | {"streams": entries}))
        if change:
            change(root)
        return ["fixture", "validate", root]

    return make


def right(
    streams: dict[str, Rows], change: Callable[[Path], None] | None = None, **settings: Any
) -> Callable[[Path], Sequence[str]]:
    """A folder as `write_fixture` makes it; then `change` works on it."""

    def make(folder: Path) -> Sequence[str]:
        arrays = {stream: {name: np.array(values) for name, values in columns.items()} for stream, columns in streams.items()}
        write_fixture(folder / "data", [COIN], arrays, shows="", **settings)
        if change:
            change(folder / "data")
        return ["fixture", "validate", folder / "data"]

    return make


def edited(old: str, new: str) -> Callable[[Path], None]:
    """A manifest with a piece of text replaced."""

    def change(root: Path) -> None:
        manifest = root / "fixture.toml"
        assert old in manifest.read_text()
        manifest.write_text(manifest.read_text().replace(old, new, 1))

    return change


def rewritten(change: Callable[[bytes], bytes], file: str = "quotes.parquet", rehash: bool = False) -> Callable[[Path], None]:
    """A file with other bytes; with `rehash` the manifest knows them."""

    def work(root: Path) -> None:
        before = (root / file).read_bytes()
        after = change(before)
        (root / file).write_bytes(after)
        if rehash:
            edited(hashlib.sha256(before).hexdigest(), hashlib.sha256(after).hexdigest())(root)

    return work


def with_crossed(crossed: int, of: int) -> Rows:
    """Quotes some of which, from the second on, have bid and ask swapped."""
    return quotes(
        GOOD, *[(1002, 5 + i, 1000, 5) for i in range(crossed)], *[(1000, 5 + i, 1002, 5) for i in range(of - crossed - 1)]
    )


def rates(rate: Any) -> pl.DataFrame:
    """Quotes as a wrong tool writes them: prices as floating point numbers."""
    return pl.DataFrame(TWO).with_columns(bid_px=pl.Series([1000.0, rate]))


def pressed(columns: Any, make: Callable[..., Any] = right) -> Callable[[Path], Sequence[str]]:
    """Two quotes and these commands."""
    folder: Callable[[Path], Sequence[str]] = make({"quotes": TWO, "commands": columns})
    return folder


TIME, DUPLICATE, CROSSED = "timestamps", "exact duplicate", "crossed or locked book"
SIZE, NUMBER, JUMP, GAP = "quantity 0", "number out of range", "price jump", "gap"
SHAPE, EMPTY, FEW, DEPTH, PROOF = "wrong file", "empty file", "few or equal prices", "L2", "proof at load"
FUND, PRESS, OPTION = "funding", "command", "setting"

FIXTURES = [
    Case(TIME, "a time before the one above", REJECT, wrong({"quotes": quotes(GOOD, GOOD, ts=[T0, T0 - 1])})),
    Case(TIME, "times in ms", REJECT, wrong({"quotes": quotes(GOOD, ts=[T0 // 10**6])})),
    Case(TIME, "a time in 2100", REJECT, wrong({"quotes": quotes(GOOD, ts=[4_102_444_800 * SECOND])})),
    Case(TIME, "two quotes at one time", ACCEPT, right({"quotes": TWO | {"ts": [T0, T0]}}), "accepted"),
    Case(DUPLICATE, "a quote twice", QUARANTINE, right({"quotes": quotes(GOOD, GOOD, ts=[T0, T0])})),
    Case(DUPLICATE, "equal quotes at two times", ACCEPT, right({"quotes": quotes(GOOD, GOOD)}), "accepted"),
    Case(
        DUPLICATE,
        "a book twice",
        QUARANTINE,
        right({"quotes": TWO, "books": books(([(1000, 5)], [(1002, 5)]), ([(1000, 5)], [(1002, 5)])) | {"ts": [T0 + 1] * 2}}),
    ),
    Case(DUPLICATE, "a trade id twice", QUARANTINE, right({"quotes": TWO, "trades": trades(TRADE, (2, *TRADE[1:]), TRADE)})),
    Case(
        DUPLICATE,
        "a funding row twice",
        QUARANTINE,
        right({"quotes": TWO, "funding": funding((9, 1001), (9, 1001)) | {"ts": [T0] * 2}}),
    ),
    Case(CROSSED, "bid over ask in 1 of 1000 quotes", QUARANTINE, right({"quotes": with_crossed(1, 1000)})),
    Case(CROSSED, "bid over ask in 2 of 1999 quotes", REJECT, wrong({"quotes": with_crossed(2, 1999)})),
    Case(CROSSED, "bid equal to ask", ACCEPT, right({"quotes": quotes((1001, 5, 1001, 5))}), "accepted"),
    Case(SIZE, "a bid without quantity", ACCEPT, right({"quotes": quotes(GOOD, (1000, 0, 1002, 5))}), "accepted"),
    Case(SIZE, "bid and ask without quantity", QUARANTINE, right({"quotes": quotes(GOOD, (1000, 0, 1002, 0))})),
    Case(SIZE, "a book without bids", ACCEPT, right({"quotes": TWO, "books": books(([], [(1002, 5)]))}), "accepted"),
    Case(SIZE, "a book without bids and asks", QUARANTINE, right({"quotes": TWO, "books": books(([], []))})),
    Case(NUMBER, "a quantity of -1", REJECT, wrong({"quotes": quotes(GOOD, (1000, -1, 1002, 5))})),
    Case(NUMBER, "a price of 0", REJECT, wrong({"quotes": quotes(GOOD, (0, 5, 1002, 5))})),
    Case(NUMBER, "a price of -5", REJECT, wrong({"quotes": TWO, "trades": trades((1, -5, 1, 1))})),
    Case(NUMBER, "a price over 2**35 ticks", REJECT, wrong({"quotes": quotes(GOOD, (1000, 5, 2**35 + 1, 5))})),
    Case(NUMBER, "a quantity over 2**31 lots", REJECT, wrong({"quotes": quotes((1000, 2**31 + 1, 1002, 5))})),
    Case(NUMBER, "a price that is NaN", REJECT, wrong({"quotes": rates(float("nan"))})),
    Case(NUMBER, "a price that is infinite", REJECT, wrong({"quotes": rates(float("inf"))})),
    Case(
        NUMBER, "a price that is missing", REJECT, wrong({"quotes": pl.DataFrame(TWO).with_columns(bid_px=pl.Series([1000, None]))})
    ),
    Case(NUMBER, "a trade of quantity 0", REJECT, wrong({"quotes": TWO, "trades": trades((1, 1001, 0, 1))})),
    Case(NUMBER, "an aggressor of 2", REJECT, wrong({"quotes": TWO, "trades": trades((1, 1001, 1, 2))})),
    Case(NUMBER, "an aggressor of 0: unknown", ACCEPT, right({"quotes": TWO, "trades": trades((1, 1001, 1, 0))}), "accepted"),
    Case(NUMBER, "a funding rate over 1.0", REJECT, wrong({"quotes": TWO, "funding": funding((10**8 + 1, 1001))})),
    Case(JUMP, "an ask 20.1 % over the last mid", QUARANTINE, right({"quotes": quotes(GOOD, (1000, 5, 1202, 5), GOOD)})),
    Case(
        JUMP, "an ask 20 % over the last mid", ACCEPT, right({"quotes": quotes((999, 5, 1001, 5), (1000, 5, 1200, 5))}), "accepted"
    ),
    Case(JUMP, "a trade 20.1 % under the last mid", QUARANTINE, right({"quotes": TWO, "trades": trades((1, 799, 1, -1))})),
    Case(
        JUMP,
        "two quotes in a row 30 % over the last mid",
        REJECT,
        wrong({"quotes": quotes(GOOD, (1300, 5, 1302, 5), (1300, 6, 1302, 5))}),
    ),
    Case(
        JUMP,
        "the same with max_jump = 40%",
        ACCEPT,
        right({"quotes": quotes(GOOD, (1300, 5, 1302, 5), (1300, 6, 1302, 5))}, config={"max_jump": "40%"}),
        "accepted",
    ),
    Case(GAP, "quotes 600.000000001 s apart", ACCEPT, right({"quotes": TWO | {"ts": [T0, T0 + 600 * SECOND + 1]}}), "gaps"),
    Case(GAP, "quotes 600 s apart", ACCEPT, right({"quotes": TWO | {"ts": [T0, T0 + 600 * SECOND]}}), "gaps"),
    Case(SHAPE, "a symbol that is no instrument", REJECT, wrong({"quotes": TWO | {"symbol": [0, 1]}})),
    Case(SHAPE, "a column too few", REJECT, wrong({"quotes": {name: TWO[name] for name in TWO if name != "ask_px"}})),
    Case(SHAPE, "a column too many", REJECT, wrong({"quotes": TWO | {"mid": [1001, 1001]}})),
    Case(
        SHAPE,
        "a byte order mark and CRLF in the manifest",
        ACCEPT,
        right({"quotes": TWO}, rewritten(lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), "fixture.toml")),
        "accepted",
    ),
    Case(
        SHAPE,
        "a manifest that is not UTF-8",
        REJECT,
        wrong({"quotes": TWO}, rewritten(lambda text: b"\xff" + text, "fixture.toml")),
    ),
    Case(SHAPE, "a manifest that is no TOML", REJECT, wrong({"quotes": TWO}, edited("schema = 1", "schema = = 1"))),
    Case(SHAPE, "an unknown key in the manifest", REJECT, wrong({"quotes": TWO}, edited("schema = 1", "schema = 1\nbogus = 2"))),
    Case(SHAPE, "another schema", REJECT, wrong({"quotes": TWO}, edited("schema = 1", "schema = 2"))),
    Case(SHAPE, "an unknown stream", REJECT, wrong({"quotes": TWO}, edited("[streams.quotes]", "[streams.ticks]"))),
    Case(SHAPE, "an expectation that does not exist", REJECT, right({"quotes": TWO}, edited("[expect]", "[expect]\nfils = 3"))),
    Case(SHAPE, "no manifest", REJECT, wrong({"quotes": TWO}, lambda root: (root / "fixture.toml").unlink())),
    Case(SHAPE, "no file", REJECT, wrong({"quotes": TWO}, lambda root: (root / "quotes.parquet").unlink())),
    Case(SHAPE, "a truncated file", REJECT, wrong({"quotes": TWO}, rewritten(lambda body: body[:-9]))),
    Case(
        SHAPE, "a flipped bit", REJECT, wrong({"quotes": TWO}, rewritten(lambda body: body[:9] + bytes([body[9] ^ 1]) + body[10:]))
    ),
    Case(SHAPE, "no Parquet, with the right sha256", REJECT, wrong({"quotes": TWO}, rewritten(lambda _: b"PAR1", rehash=True))),
    Case(SHAPE, "another row count", REJECT, wrong({"quotes": TWO}, edited("rows = 2", "rows = 3"))),
    Case(SHAPE, "another content hash", REJECT, wrong({"quotes": TWO})),
    Case(
        SHAPE,
        "funding of a spot instrument",
        REJECT,
        wrong({"quotes": TWO, "funding": funding((9, 1001))}, edited("perpetual", "spot")),
    ),
    Case(EMPTY, "a stream without a row", REJECT, wrong({"quotes": TWO, "trades": pl.DataFrame(trades(TRADE)).clear()})),
    Case(EMPTY, "no stream", REJECT, wrong({})),
    Case(EMPTY, "no quote or book that is accepted", REJECT, wrong({"quotes": quotes((1000, 0, 1002, 0))})),
    Case(FEW, "one quote", ACCEPT, right({"quotes": quotes(GOOD)}), "accepted"),
    Case(FEW, "a constant price", ACCEPT, right({"quotes": quotes(*[GOOD] * 9)}), "accepted"),
    Case(DEPTH, "levels out of order", REJECT, wrong({"quotes": TWO, "books": books(([(1000, 5), (1001, 5)], [(1002, 5)]))})),
    Case(DEPTH, "a level twice", REJECT, wrong({"quotes": TWO, "books": books(([(1000, 5)], [(1002, 5), (1002, 5)]))})),
    Case(DEPTH, "a level after a missing one", REJECT, wrong({"quotes": TWO, "books": books(([(0, 0), (999, 5)], [(1002, 5)]))})),
    Case(DEPTH, "a quantity without a price", REJECT, wrong({"quotes": TWO, "books": books(([(1000, 5), (0, 5)], [(1002, 5)]))})),
    Case(
        DEPTH,
        "best prices of no quote at that time",
        QUARANTINE,
        right({"quotes": TWO, "books": books(([(999, 5)], [(1002, 5)])) | {"ts": [T0 + SECOND]}}),
    ),
    Case(
        PRESS,
        "a pause of every symbol, twice at one time",
        ACCEPT,
        pressed(commands((-1, 0), (-1, 0)) | {"ts": [T0] * 2}),
        "accepted",
    ),
    Case(PRESS, "a time before the one above", REJECT, pressed(commands((-1, 0), (-1, 1)) | {"ts": [T0, T0 - 1]}, wrong)),
    Case(PRESS, "times in ms", REJECT, pressed(commands((-1, 0)) | {"ts": [MS]}, wrong)),
    Case(PRESS, "a command that there is not", REJECT, pressed(commands((-1, 5)), wrong)),
    Case(PRESS, "a symbol that is no instrument", REJECT, pressed(commands((1, 0)), wrong)),
    Case(PRESS, "a symbol of -2", REJECT, pressed(commands((-2, 0)), wrong)),
    Case(PRESS, "a kill of one symbol", REJECT, pressed(commands((0, 2)), wrong)),
    Case(PRESS, "a reset of one symbol", REJECT, pressed(commands((0, 3)), wrong)),
    Case(PRESS, "a command as text", REJECT, pressed(pl.DataFrame({"ts": [T0], "symbol": [-1], "command": ["kill"]}), wrong)),
    Case(PRESS, "a column too few", REJECT, pressed({"ts": [T0], "command": [0]}, wrong)),
    Case(PRESS, "a column too many", REJECT, pressed(commands((-1, 0)) | {"value": [1]}, wrong)),
    Case(PRESS, "no row", REJECT, pressed(pl.DataFrame(commands((-1, 0))).clear(), wrong)),
    Case(PRESS, "no market data beside them", REJECT, wrong({"commands": commands((-1, 0))})),
    Case(
        PROOF,
        "money that 64 bits cannot hold (SPEC 1.2)",
        REJECT,
        right({"quotes": TWO}, edited("[config]", '[config]\nequity = "46000000000"')),
    ),
]

# Raw Binance recordings


def line(stream: str, data: dict[str, Any], ms: int) -> str:
    event = {"stream": f"coinusdt@{stream}", "data": {"s": "COINUSDT", "E": ms, "T": ms} | data} if stream else data
    return f"{ms * 10**6} {json.dumps(event, separators=(',', ':'))}"


def ticker(u: int, ms: int = MS, b: Any = "100.0", B: Any = "0.5", a: Any = "100.2", A: Any = "0.5", **more: Any) -> str:
    return line("bookTicker", {"u": u, "b": b, "B": B, "a": a, "A": A} | more, ms)


def deal(t: int, ms: int = MS, p: Any = "100.1", q: Any = "0.1", m: Any = True, **more: Any) -> str:
    return line("trade", {"t": t, "p": p, "q": q, "X": "MARKET", "m": m} | more, ms)


def depth(first: int, last: int, before: int, bids: Any = (), asks: Any = (), ms: int = MS) -> str:
    return line("depth", {"U": first, "u": last, "pu": before, "b": bids, "a": asks}, ms)


def shot(last: int, bids: Any = (("100.0", "0.5"), ("99.9", "1")), asks: Any = (("100.2", "0.5"),)) -> str:
    return line("", {"lastUpdateId": last, "bids": bids, "asks": asks}, MS)


def recording(*lines: str | bytes, options: Sequence[str] = (), end: bytes = b"\n", pack: Callable[[bytes], bytes] = bytes) -> Any:
    """A recording of these lines and the command that imports it."""

    def make(folder: Path) -> Sequence[str]:
        body = b"".join((text if isinstance(text, bytes) else text.encode()) + end for text in lines)
        (folder / "raw").write_bytes(pack(body))
        return ["import", "binance", folder / "raw", "--out", folder / "made", "--kind", "perpetual", *options]

    return make


CALM = [ticker(10 + i, MS + 10 + i) for i in range(1000)]
SNAP = [shot(100), depth(99, 105, 98)]

RECORDINGS = [
    Case(
        TIME,
        "a line later than the next one: sorted by the exchange's time, and counted",
        ACCEPT,
        recording(ticker(1, MS + 1), ticker(2)),
        "reordered",
    ),
    Case(TIME, "a line without a local time", REJECT, recording(ticker(1), ticker(2).split(" ", 1)[1])),
    Case(TIME, "a local time in ms", REJECT, recording(ticker(1), f"{MS} " + ticker(2).split(" ", 1)[1])),
    Case(TIME, "an exchange time in us", REJECT, recording(ticker(1), ticker(2, T=MS * 1000))),
    Case(TIME, "two quotes at one time", ACCEPT, recording(ticker(1), ticker(2, B="0.6")), "rows"),
    Case(DUPLICATE, "a quote twice", QUARANTINE, recording(ticker(1), ticker(2))),
    Case(DUPLICATE, "a trade id twice", QUARANTINE, recording(ticker(1), deal(1), deal(1))),
    Case(DUPLICATE, "a depth event twice", ACCEPT, recording(*SNAP, SNAP[1]), "dropped"),
    Case(CROSSED, "bid over ask in 1 of 1001 quotes", QUARANTINE, recording(ticker(1, b="100.3"), *CALM)),
    Case(CROSSED, "bid over ask in 1 of 2 quotes", REJECT, recording(ticker(1), ticker(2, MS + 1, b="100.3"))),
    Case(CROSSED, "bid equal to ask", ACCEPT, recording(ticker(1, b="100.2"))),
    Case(SIZE, "a bid without quantity", ACCEPT, recording(ticker(1, B="0.0"))),
    Case(SIZE, "bid and ask without quantity", QUARANTINE, recording(ticker(1), ticker(2, MS + 1, B="0", A="0"))),
    Case(
        SIZE,
        "a book that loses its bids",
        ACCEPT,
        recording(*SNAP, depth(106, 107, 105, [["100.0", "0"], ["99.9", "0"]], ms=MS + 1)),
    ),
    Case(
        SIZE,
        "a book that loses its bids and asks",
        QUARANTINE,
        recording(*SNAP, depth(106, 107, 105, [["100.0", "0"], ["99.9", "0"]], [["100.2", "0"]], ms=MS + 1)),
    ),
    Case(NUMBER, "a quantity of -1", REJECT, recording(ticker(1), ticker(2, B="-1"))),
    Case(NUMBER, "a price of 0", REJECT, recording(ticker(1), ticker(2, b="0.0"))),
    Case(NUMBER, "a price that is NaN", REJECT, recording(ticker(1), ticker(2, b="NaN"))),
    Case(NUMBER, "a quantity that is infinite", REJECT, recording(ticker(1), ticker(2, A="Infinity"))),
    Case(NUMBER, "a price that is a JSON number", REJECT, recording(ticker(1), ticker(2, b=100.0))),
    Case(NUMBER, "a price off the tick", REJECT, recording(ticker(1), ticker(2, b="100.05"), options=["--tick", "0.1"])),
    Case(NUMBER, "a quantity off the lot", REJECT, recording(ticker(1), ticker(2, A="0.0005"), options=["--lot", "0.001"])),
    Case(NUMBER, "a price over 2**35 ticks", REJECT, recording(ticker(1), ticker(2, a="99999999999.1"))),
    Case(NUMBER, "a trade of quantity 0", REJECT, recording(ticker(1), deal(1, q="0.0"))),
    Case(JUMP, "an ask 30 % over the last mid", QUARANTINE, recording(ticker(1), ticker(2, MS + 1, a="130.2"), ticker(3, MS + 2))),
    Case(JUMP, "two in a row", REJECT, recording(ticker(1), ticker(2, MS + 1, a="130.2"), deal(1, MS + 2, p="130.2"))),
    Case(
        JUMP,
        "two in a row with max_jump = 40%",
        ACCEPT,
        recording(ticker(1), ticker(2, MS + 1, a="130.2"), deal(1, MS + 2, p="130.2"), options=["--set", "max_jump=40%"]),
    ),
    Case(
        GAP,
        "a depth event that does not continue the one before: listed, and the book goes on",
        ACCEPT,
        recording(*SNAP, depth(120, 130, 119, ms=MS + 1)),
        "id",
    ),
    Case(SHAPE, "a symbol unlike the stream's", REJECT, recording(ticker(1), ticker(2, s="OTHERUSDT"))),
    Case(SHAPE, "two symbols", REJECT, recording(ticker(1), ticker(2).replace("coinusdt", "otherusdt"))),
    Case(SHAPE, "a field too few", REJECT, recording(ticker(1), ticker(2).replace('"B":"0.5",', ""))),
    Case(SHAPE, "an unknown stream", REJECT, recording(ticker(1), ticker(2).replace("bookTicker", "aggTrade"))),
    Case(SHAPE, "broken JSON", REJECT, recording(ticker(1), ticker(2)[:-3])),
    Case(
        SHAPE, "a byte order mark and CRLF", ACCEPT, recording(b"\xef\xbb\xbf" + ticker(1).encode(), ticker(2, B="1"), end=b"\r\n")
    ),
    Case(SHAPE, "not UTF-8", REJECT, recording(ticker(1), ticker(2).encode().replace(b"USDT", b"\xff"))),
    Case(SHAPE, "gzip cut off", REJECT, recording(ticker(1), pack=lambda body: gzip.compress(body, mtime=0)[:-1])),
    Case(
        SHAPE,
        "gzip with a wrong checksum",
        REJECT,
        recording(ticker(1), pack=lambda body: gzip.compress(body, mtime=0)[:-8] + bytes(8)),
    ),
    Case(EMPTY, "nothing", REJECT, recording()),
    Case(EMPTY, "a snapshot only", REJECT, recording(shot(1))),
    Case(EMPTY, "trades only", REJECT, recording(deal(1))),
    Case(FEW, "one quote", ACCEPT, recording(ticker(1)), "rows"),
    Case(DEPTH, "a snapshot out of order", REJECT, recording(shot(100, [["99.9", "1"], ["100.0", "1"]]), SNAP[1])),
    Case(DEPTH, "a snapshot with a level twice", REJECT, recording(shot(100, [], [["100.2", "1"], ["100.2", "1"]]), SNAP[1])),
    Case(DEPTH, "best prices of no quote at that time", QUARANTINE, recording(*SNAP, ticker(104, a="100.3"))),
]

# Files of importers: archive, LEAN, Tardis, tables

Body = Sequence[str] | bytes
BOM = b"\xef\xbb\xbf"


def given(source: str, bodies: dict[str, Body], *options: str, kind: str = "perpetual") -> Callable[[Path], Sequence[str]]:
    """These files, and the command that imports them; an option equal to a file's name becomes its path."""

    def make(folder: Path) -> Sequence[str]:
        for name, body in bodies.items():
            (folder / name).write_bytes(body if isinstance(body, bytes) else "".join(f"{line}\n" for line in body).encode())
        listed = [] if source == "table" else [str(folder / name) for name in bodies]
        words = [str(folder / word) if word in bodies else word for word in options]
        return ["import", source, *listed, "--out", str(folder / "made"), "--kind", kind, *words]

    return make


def packed(lines: Body, name: str = "x.csv", copies: int = 1) -> bytes:
    """A zip of this file, or of several."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for i in range(copies):
            archive.writestr(zipfile.ZipInfo(f"{i or ''}{name}"), lines if isinstance(lines, bytes) else "\n".join(lines))
    return out.getvalue()


def absent(make: Callable[[Path], Sequence[str]], file: str) -> Callable[[Path], Sequence[str]]:
    """The same command without that file."""

    def remove(folder: Path) -> Sequence[str]:
        words = make(folder)
        (folder / file).unlink()
        return words

    return remove


def there(make: Callable[[Path], Sequence[str]]) -> Callable[[Path], Sequence[str]]:
    """The same command with a folder where the fixture is to be."""

    def add(folder: Path) -> Sequence[str]:
        (folder / "made").mkdir()
        return make(folder)

    return add


@dataclass(frozen=True)
class Quoted:
    """How one importer takes quotes as text.

    Args:
        source, file, header, options: of the command.
        row: a line of (ms after MS, bid, its quantity, ask, its quantity, what follows the digits of the time).
    """

    source: str
    file: str
    header: str
    row: Callable[..., str]
    options: tuple[str, ...] = ()

    def make(
        self, *rows: str, options: Sequence[str] = (), pack: Callable[[bytes], bytes] = bytes, header: str | None = None
    ) -> Any:
        head = self.header if header is None else header
        body = "".join(f"{line}\n" for line in [*([head] if head else []), *rows]).encode()
        return given(self.source, {self.file: pack(body)}, *self.options, *options)


def common(form: Quoted) -> list[Case]:
    """What every importer of quotes as text can meet."""
    make, row = form.make, form.row
    first, second = row(), row(1, B="0.6")
    wide = [row(i, B=f"0.{5 + i % 2}") for i in range(1, 1001)]
    far, further = row(1, a="130.2"), row(2, a="130.3")
    names = form.header.split(",") if form.header else []
    cases = [
        Case(TIME, "a time before the one above", REJECT, make(row(1), row(0))),
        Case(TIME, "the same with --sort", ACCEPT, make(row(1), row(0, B="0.6"), options=["--sort"]), "reordered"),
        Case(TIME, "a time in another unit than the first", REJECT, make(first, row(1, more="000"))),
        Case(TIME, "a first time in 2100", REJECT, make(row(4_102_444_800_000 - MS))),
        Case(TIME, "a time with decimals", REJECT, make(first, row(1, more=".5"))),
        Case(TIME, "two quotes at one time", ACCEPT, make(first, row(B="0.6")), "rows"),
        Case(DUPLICATE, "a quote twice", QUARANTINE, make(first, first)),
        Case(DUPLICATE, "equal quotes at two times", ACCEPT, make(first, row(1)), "rows"),
        Case(CROSSED, "bid over ask in 1 of 1001 quotes", QUARANTINE, make(row(b="100.3"), *wide)),
        Case(CROSSED, "bid over ask in 1 of 2 quotes", REJECT, make(first, row(1, b="100.3"))),
        Case(CROSSED, "bid equal to ask", ACCEPT, make(row(b="100.2")), "rows"),
        Case(SIZE, "a bid without quantity", ACCEPT, make(first, row(1, B="0")), "rows"),
        Case(SIZE, "bid and ask without quantity", QUARANTINE, make(first, row(1, B="0", A="0"))),
        Case(NUMBER, "a quantity of -1", REJECT, make(first, row(1, B="-1"))),
        Case(NUMBER, "a price of 0", REJECT, make(first, row(1, b="0.0"))),
        Case(NUMBER, "a price of -5", REJECT, make(first, row(1, b="-5"))),
        Case(NUMBER, "a price that is NaN", REJECT, make(first, row(1, b="NaN"))),
        Case(NUMBER, "a quantity that is infinite", REJECT, make(first, row(1, A="inf"))),
        Case(NUMBER, "a price with an exponent", ACCEPT, make(first, row(1, b="1.000e2")), "units"),
        Case(NUMBER, "a price in quotation marks", REJECT, make(first, row(1, b='"100.0"'))),
        Case(NUMBER, "a price with a blank before it", REJECT, make(first, row(1, b=" 100.0"))),
        Case(NUMBER, "a price off the tick", REJECT, make(first, row(1, b="100.05"), options=["--tick", "0.1"])),
        Case(NUMBER, "a quantity off the lot", REJECT, make(first, row(1, A="0.0005"), options=["--lot", "0.001"])),
        Case(
            NUMBER,
            "the same with --floor",
            ACCEPT,
            make(first, row(1, A="0.5005"), options=["--lot", "0.001", "--floor"]),
            "floored",
        ),
        Case(NUMBER, "a price over 2**35 ticks", REJECT, make(first, row(1, a="99999999999.1"))),
        Case(NUMBER, "a quantity over 2**31 lots", REJECT, make(first, row(1, A="214748365"))),
        Case(NUMBER, "a price of more digits than 64 bits hold", REJECT, make(first, row(1, a="9" * 20))),
        Case(JUMP, "an ask 30 % over the last mid", QUARANTINE, make(first, far, row(2))),
        Case(JUMP, "two in a row", REJECT, make(first, far, further)),
        Case(
            JUMP, "two in a row with max_jump = 40%", ACCEPT, make(first, far, further, options=["--set", "max_jump=40%"]), "rows"
        ),
        Case(GAP, "quotes 601 s apart", ACCEPT, make(first, row(601_000)), "rows"),
        Case(SHAPE, "a row with a column too few", REJECT, make(first, second.rpartition(",")[0])),
        Case(SHAPE, "a row with a column too many", REJECT, make(first, f"{second},7")),
        Case(SHAPE, "an empty line", REJECT, make(first, "", second)),
        Case(
            SHAPE,
            "a byte order mark and CRLF",
            ACCEPT,
            make(first, second, pack=lambda text: BOM + text.replace(b"\n", b"\r\n")),
            "rows",
        ),
        Case(SHAPE, "not UTF-8", REJECT, make(first, row(1, b="\xff"), pack=lambda text: text.decode().encode("latin-1"))),
        Case(SHAPE, "gzip", ACCEPT, make(first, pack=lambda text: gzip.compress(text, mtime=0)), "rows"),
        Case(SHAPE, "gzip cut off", REJECT, make(first, pack=lambda text: gzip.compress(text, mtime=0)[:-1])),
        Case(
            SHAPE, "gzip with a wrong checksum", REJECT, make(first, pack=lambda text: gzip.compress(text, mtime=0)[:-8] + bytes(8))
        ),
        Case(SHAPE, "zip cut off", REJECT, make(first, pack=lambda text: packed(text)[:-9])),
        Case(SHAPE, "zip with a flipped bit", REJECT, make(first, pack=lambda text: packed(text).replace(b"100.2", b"100.3", 1))),
        Case(SHAPE, "a zip of two files", REJECT, make(first, pack=lambda text: packed(text, copies=2))),
        Case(SHAPE, "no file", REJECT, absent(make(first), form.file)),
        Case(SHAPE, "an unknown header", REJECT, make(first, header="a,b,c,d,e")),
        Case(EMPTY, "nothing", REJECT, make(header="")),
        Case(FEW, "one quote", ACCEPT, make(first), "rows"),
        Case(FEW, "a constant price", ACCEPT, make(*[row(i) for i in range(9)]), "rows"),
        Case(OPTION, "a tick size of 0", REJECT, make(first, options=["--tick", "0"])),
        Case(OPTION, "tick times lot finer than --quote-decimals", REJECT, make(row(b="99.99999", B="0.50001"))),
        Case(OPTION, "--floor without a lot size", REJECT, make(first, options=["--floor"])),
        Case(OPTION, "a tick size of a symbol that is not there", REJECT, make(first, options=["--tick", "OTHER=0.1"])),
        Case(OPTION, "a folder that exists", REJECT, there(make(first))),
    ]
    if names:
        cases += [
            Case(EMPTY, "a header only", REJECT, make()),
            Case(SHAPE, "a header with a column twice", REJECT, make(first, header=",".join([*names[:-1], names[-2]]))),
            Case(SHAPE, "a header without its last column", REJECT, make(first, header=",".join(names[:-1]))),
        ]
    return cases


def archived(ms: int = 0, b: str = "100.0", B: str = "0.5", a: str = "100.2", A: str = "0.5", more: str = "") -> str:
    return f"7,{b},{B},{a},{A},{MS + ms}{more},{MS + ms}"


def tardis(ms: int = 0, b: str = "100.0", B: str = "0.5", a: str = "100.2", A: str = "0.5", more: str = "") -> str:
    return f"venue,COIN,{MS + ms}000,{MS + ms}000{more},{A},{a},{b},{B}"


def own(ms: int = 0, b: str = "100.0", B: str = "0.5", a: str = "100.2", A: str = "0.5", more: str = "") -> str:
    return f"{MS + ms}{more},{b},{B},{a},{A}"


TICKER = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
BOOK, DEAL, PAY, BAR = (
    f"COINUSDT-{kind}-2023-11{day}.csv"
    for kind, day in zip(("bookTicker", "trades", "fundingRate", "1h"), ("-14", "-14", "", ""), strict=True)
)
HEAD_OF = "exchange,symbol,timestamp,local_timestamp"
OWN = "ts,bid_px,bid_qty,ask_px,ask_qty"

ARCHIVE_QUOTES = Quoted("archive", BOOK, TICKER, archived)
COINS = {BOOK: [archived(), archived(9_000)]}
DEALS = "id,price,qty,quote_qty,time,is_buyer_maker"


def dealt(*rows: str) -> Any:
    """Quotes and these trades: `id,price,quantity,aggressor`'s place in the file."""
    return given("archive", COINS | {DEAL: [DEALS, *rows]})


def paid(*rows: str, options: Sequence[str] = (), kind: str = "perpetual") -> Any:
    """Quotes and this funding, of the archive."""
    return given("archive", COINS | {PAY: ["calc_time,funding_interval_hours,last_funding_rate", *rows]}, *options, kind=kind)


def candle(*prices: str, options: Sequence[str] = ("--spread-ticks", "2", "--size", "0.5"), end: int = 3_599_999) -> Any:
    """One kline of these prices."""
    return given("archive", {BAR: [f"{MS},{','.join(prices)},5,{MS + end},500,9,2,200,0"]}, *options)


ARCHIVE = [
    *common(ARCHIVE_QUOTES),
    Case(DUPLICATE, "a trade id twice", QUARANTINE, dealt(f"1,100.1,1,100,{MS},true", f"1,100.1,1,100,{MS},true")),
    Case(DUPLICATE, "a funding row twice", QUARANTINE, paid(f"{MS},8,0.0001", f"{MS},8,0.0001")),
    Case(NUMBER, "a trade of quantity 0", REJECT, dealt(f"1,100.1,0,0,{MS},true")),
    Case(NUMBER, "a maker that is neither true nor false", REJECT, dealt(f"1,100.1,1,100,{MS},yes")),
    Case(NUMBER, "an id with decimals", REJECT, dealt(f"1.5,100.1,1,100,{MS},true")),
    Case(JUMP, "a trade 30 % over the last mid", QUARANTINE, dealt(f"1,130.2,1,100,{MS},true")),
    Case(NUMBER, "a funding rate over 1.0", REJECT, paid(f"{MS},8,1.1")),
    Case(NUMBER, "a funding rate finer than 1e-8", REJECT, paid(f"{MS},8,0.000000015")),
    Case(NUMBER, "the same with --floor", ACCEPT, paid(f"{MS},8,0.000000015", options=["--floor", "--lot", "0.1"]), "floored"),
    Case(FUND, "funding before the first quote", REJECT, paid(f"{MS - 1},8,0.0001")),
    Case(FUND, "the same with --clip", ACCEPT, paid(f"{MS - 1},8,0.0001", f"{MS},8,0.0001", options=["--clip"]), "dropped"),
    Case(FUND, "funding of a spot instrument", REJECT, paid(f"{MS},8,0.0001", kind="spot")),
    Case(FUND, "funding without quotes", REJECT, given("archive", {PAY: [f"{MS},8,0.0001"]})),
    Case(NUMBER, "a kline whose close is over its high", REJECT, candle("100", "101", "99", "102")),
    Case(NUMBER, "a kline that ends before it begins", REJECT, candle("100", "101", "99", "100", end=-2)),
    Case(NUMBER, "a kline whose spread leaves no bid", REJECT, candle("3", "4", "1", "3")),
    Case(OPTION, "klines without --spread-ticks and --size", REJECT, candle("100", "101", "99", "100", options=[])),
    Case(SHAPE, "a name that says another symbol", REJECT, given("archive", COINS, "--symbol", "OTHERUSDT")),
    Case(SHAPE, "a name that says another kind", REJECT, given("archive", COINS, "--data", "trades")),
    Case(SHAPE, "neither name nor header tells its kind", REJECT, given("archive", {"x.csv": [archived()]}, "--symbol", "COIN")),
    Case(OPTION, "a name that tells no symbol", REJECT, given("archive", {"x.csv": [archived()]})),
    Case(
        OPTION,
        "an inverse contract",
        REJECT,
        given("archive", {BOOK.replace("USDT", "USD_PERP"): [archived()]}),
    ),
    Case(
        OPTION,
        "two kinds of file for one stream",
        REJECT,
        given("archive", COINS | {BAR: [f"{MS},1,1,1,1,5,{MS},5,9,2,2,0"]}, "--spread-ticks", "0", "--size", "1"),
    ),
    Case(OPTION, "a time unit that does not exist", REJECT, given("archive", COINS, "--time-unit", "h")),
]

LEAN_FILE, LEAN_PAY = "20231114_coinusd_minute_quote.csv", "funding_coinusd.csv"


def bar(
    minute: Any = 0, open_: str = "100", high: str = "101", low: str = "99", close: str = "100", size: str = "1.5", ask: str = ""
) -> str:
    """A bid bar, and the same as ask bar 1 higher, or `ask`."""
    time = 60_000 * minute if isinstance(minute, int) else minute
    return f"{time},{open_},{high},{low},{close},{size},{ask or '101,102,100,101,2'}"


def lean(
    *rows: str, options: Sequence[str] = (), name: str = LEAN_FILE, pack: Callable[[bytes], bytes] = bytes, funding: Body = ()
) -> Any:
    """A day of these bars, and funding."""
    body = pack("".join(f"{line}\n" for line in rows).encode())
    return given("lean", {name: body} | ({LEAN_PAY: funding} if funding else {}), *options)


LEAN_JUMP = bar(1, "130", "131", "129", "130", ask="131,132,130,131,2")
LEAN = [
    Case(TIME, "a bar before the one above", REJECT, lean(bar(1), bar(0))),
    Case(TIME, "the same with --sort", ACCEPT, lean(bar(1), bar(0), options=["--sort"]), "reordered"),
    Case(TIME, "a time past the day", REJECT, lean(bar(), bar(1440))),
    Case(TIME, "a time in ms since 1970", REJECT, lean(bar(), bar(str(MS)))),
    Case(TIME, "a bar twice", REJECT, lean(bar(), bar())),
    Case(TIME, "a funding time that is no date", REJECT, lean(bar(), funding=["20231332 00:00:00,0.0001"])),
    Case(
        TIME,
        "funding before the one above",
        REJECT,
        lean(bar(), bar(5), funding=["20231114 00:02:00,0.0001", "20231114 00:01:00,0.1"]),
    ),
    Case(DUPLICATE, "a funding row twice", QUARANTINE, lean(bar(), bar(5), funding=["20231114 00:02:00,0.0001"] * 2)),
    Case(CROSSED, "bid bar over ask bar", REJECT, lean(bar(ask="90,91,89,90,2"))),
    Case(CROSSED, "bid bar equal to ask bar", ACCEPT, lean(bar(ask="100,101,99,100,2")), "rows"),
    Case(SIZE, "a bid without quantity", ACCEPT, lean(bar(size="0")), "rows"),
    Case(SIZE, "bid and ask without quantity", QUARANTINE, lean(bar(), bar(1, size="0", ask="101,102,100,101,0"))),
    Case(SIZE, "a bar without an ask: left out, and counted", ACCEPT, lean(bar(), bar(1, ask=",,,,")), "dropped"),
    Case(NUMBER, "a quantity of -1", REJECT, lean(bar(), bar(1, size="-1"))),
    Case(NUMBER, "a price of 0", REJECT, lean(bar(), bar(1, low="0"))),
    Case(NUMBER, "a price of -5", REJECT, lean(bar(), bar(1, low="-5"))),
    Case(NUMBER, "a price that is NaN", REJECT, lean(bar(), bar(1, low="NaN"))),
    Case(NUMBER, "a price that is infinite", REJECT, lean(bar(), bar(1, high="Infinity"))),
    Case(NUMBER, "a price with an exponent", ACCEPT, lean(bar(low="9.9e1")), "units"),
    Case(NUMBER, "a close outside low and high", REJECT, lean(bar(), bar(1, close="103"))),
    Case(NUMBER, "a price off the tick", REJECT, lean(bar(), bar(1, low="99.5"), options=["--tick", "1"])),
    Case(
        NUMBER,
        "a quantity that went through a float, off the lot",
        REJECT,
        lean(bar(size="6.1153319800000006"), options=["--lot", "0.0001"]),
    ),
    Case(
        NUMBER,
        "the same with --floor",
        ACCEPT,
        lean(bar(size="6.1153319800000006"), options=["--lot", "0.0001", "--floor"]),
        "floored",
    ),
    Case(NUMBER, "a price over 2**35 ticks", REJECT, lean(bar(high="99999999999.1"))),
    Case(NUMBER, "a quantity over 2**31 lots", REJECT, lean(bar(size="214748364.9"), options=["--lot", "0.01"])),
    Case(NUMBER, "a price of more digits than 64 bits hold", REJECT, lean(bar(high="9" * 20))),
    Case(NUMBER, "a funding rate over 1.0", REJECT, lean(bar(), bar(5), funding=["20231114 00:02:00,1.1"])),
    Case(NUMBER, "a funding rate that is no number", REJECT, lean(bar(), bar(5), funding=["20231114 00:02:00,x"])),
    Case(JUMP, "a bar 30 % over the last mid", REJECT, lean(bar(), LEAN_JUMP)),
    Case(JUMP, "the same with max_jump = 40%", ACCEPT, lean(bar(), LEAN_JUMP, options=["--set", "max_jump=40%"]), "rows"),
    Case(GAP, "an hour without a bar", ACCEPT, lean(bar(), bar(61)), "rows"),
    Case(FUND, "funding before the first bar", REJECT, lean(bar(1), funding=["20231114 00:00:00,0.0001"])),
    Case(FUND, "the same with --clip", ACCEPT, lean(bar(1), funding=["20231114 00:00:00,0.0001"], options=["--clip"]), "dropped"),
    Case(SHAPE, "a row with a column too few", REJECT, lean(bar(), bar(1).rpartition(",")[0])),
    Case(SHAPE, "a row with a column too many", REJECT, lean(bar(), f"{bar(1)},7")),
    Case(SHAPE, "a header", REJECT, lean("time,open", bar())),
    Case(SHAPE, "trade bars", REJECT, lean(bar(), name=LEAN_FILE.replace("quote", "trade"))),
    Case(SHAPE, "hour bars", REJECT, lean(bar(), name=LEAN_FILE.replace("minute", "hour"), options=["--symbol", "COINUSD"])),
    Case(SHAPE, "a byte order mark and CRLF", ACCEPT, lean(bar(), pack=lambda text: BOM + text.replace(b"\n", b"\r\n")), "rows"),
    Case(SHAPE, "not UTF-8", REJECT, lean(bar(), bar(1), pack=lambda text: text.replace(b"60000", b"\xff"))),
    Case(SHAPE, "zip cut off", REJECT, lean(bar(), pack=lambda text: packed(text, LEAN_FILE)[:-9])),
    Case(SHAPE, "zip with a flipped bit", REJECT, lean(bar(), pack=lambda text: packed(text, LEAN_FILE).replace(b"1.5", b"1.7"))),
    Case(SHAPE, "a zip of two files", REJECT, lean(bar(), pack=lambda text: packed(text, copies=2))),
    Case(SHAPE, "no file", REJECT, absent(lean(bar()), LEAN_FILE)),
    Case(EMPTY, "nothing", REJECT, lean()),
    Case(EMPTY, "every bar without an ask", REJECT, lean(bar(ask=",,,,"))),
    Case(FEW, "one bar of one price", ACCEPT, lean(bar(high="100", low="100", ask="101,101,101,101,2")), "rows"),
    Case(OPTION, "a name that tells no symbol", REJECT, lean(bar(), name="20231114_quote.csv")),
    Case(OPTION, "a name that tells no date", REJECT, lean(bar(), name="quote.csv", options=["--symbol", "COINUSD"])),
    Case(OPTION, "a date that does not exist", REJECT, lean(bar(), options=["--date", "20231332"])),
    Case(OPTION, "--floor without a lot size", REJECT, lean(bar(), options=["--floor"])),
]

TARDIS_QUOTES = Quoted("tardis", "q.csv", f"{HEAD_OF},ask_amount,ask_price,bid_price,bid_amount", tardis)


def exchange(rest: str, *rows: str, options: Sequence[str] = (), at: int = 0) -> Any:
    """Quotes and a file of this header; its rows one a ms from `at` on."""
    lines = [f"{HEAD_OF},{rest}", *(f"venue,COIN,{MS + at + i}000,{MS + at + i}000,{row}" for i, row in enumerate(rows))]
    return given("tardis", {"q.csv": [TARDIS_QUOTES.header, tardis(), tardis(9_000)], "x.csv": lines}, *options)


SOLD = "id,side,price,amount"
SNAPS = ",".join(f"{side}s[{i}].{what}" for i in range(2) for side in ("ask", "bid") for what in ("price", "amount"))
DUE = "funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price"

TARDIS = [
    *common(TARDIS_QUOTES),
    Case(
        SIZE,
        "a quote without an ask: left out, and counted",
        ACCEPT,
        TARDIS_QUOTES.make(tardis(), tardis(1, a="", A="")),
        "dropped",
    ),
    Case(EMPTY, "every quote without an ask", REJECT, TARDIS_QUOTES.make(tardis(a="", A=""))),
    Case(TIME, "a missing time", REJECT, TARDIS_QUOTES.make(tardis(), tardis(1).replace(f"{MS + 1}000", ""))),
    Case(SHAPE, "two symbols", REJECT, TARDIS_QUOTES.make(tardis(), tardis(1).replace("COIN", "OTHER"))),
    Case(
        SHAPE,
        "the same with --symbol",
        ACCEPT,
        TARDIS_QUOTES.make(tardis(), tardis(1).replace("COIN", "OTHER"), options=["--symbol", "COIN"]),
        "dropped",
    ),
    Case(SHAPE, "a symbol that no row has", REJECT, TARDIS_QUOTES.make(tardis(), options=["--symbol", "OTHER"])),
    Case(DUPLICATE, "a trade id twice", QUARANTINE, exchange(SOLD, "1,buy,100.1,1", "1,buy,100.1,1")),
    Case(NUMBER, "a trade of quantity 0", REJECT, exchange(SOLD, "1,buy,100.1,0")),
    Case(NUMBER, "a side that is none", REJECT, exchange(SOLD, "1,bid,100.1,1")),
    Case(NUMBER, "trade ids that are text: rows are numbered", ACCEPT, exchange(SOLD, "a1,buy,100.1,1"), "note"),
    Case(DEPTH, "levels out of order", REJECT, exchange(SNAPS, "100.2,1,99,1,100.3,1,99.1,1")),
    Case(DEPTH, "a level twice", REJECT, exchange(SNAPS, "100.2,1,100,1,100.2,1,99,1")),
    Case(
        SHAPE,
        "a header that leaves out a level",
        REJECT,
        given("tardis", {"b.csv": [f"{HEAD_OF},{SNAPS.replace('[1]', '[2]')}", f"venue,COIN,{MS}000,{MS}000,1,1,1,1,1,1,1,1"]}),
    ),
    Case(DEPTH, "a quantity without a price", REJECT, exchange(SNAPS, "100.2,1,100,1,,1,99,1")),
    Case(DEPTH, "a level that is missing", ACCEPT, exchange(SNAPS, "100.2,1,100,1,,,99,1"), "rows"),
    Case(DEPTH, "best prices of no quote at that time", QUARANTINE, exchange(SNAPS, "100.3,1,100,1,100.4,1,99,1")),
    Case(
        FUND,
        "a payment that is due after the last row: not made",
        ACCEPT,
        exchange(DUE, f"{MS + 9_999_999}000,0.0001,,,,,100.123", f"{MS}000,0.1,,,,,", at=0),
        "dropped",
    ),
    Case(
        FUND,
        "a payment before the first quote, without a mark price",
        REJECT,
        exchange(DUE, f"{MS - 1}000,0.0001,,,,,", f"{MS - 1}000,0.0001,,,,,", at=-2),
    ),
    Case(
        FUND,
        "a payment after the last quote, with --clip",
        ACCEPT,
        exchange(DUE, f"{MS + 9_001}000,0.0001,,,,,100.1", f"{MS + 9_001}000,0.0001,,,,,100.1", at=9_001, options=["--clip"]),
        "dropped",
    ),
    Case(NUMBER, "a funding rate over 1.0", REJECT, exchange(DUE, f"{MS}000,1.1,,,,,100.1")),
    Case(NUMBER, "a mark price of 0", REJECT, exchange(DUE, f"{MS}000,0.1,,,,,0")),
    Case(OPTION, "a clock that does not exist", REJECT, TARDIS_QUOTES.make(tardis(), options=["--clock", "server"])),
    Case(OPTION, "no level a side", REJECT, TARDIS_QUOTES.make(tardis(), options=["--top", "0"])),
]

TABLE_QUOTES = Quoted("table", "q.csv", OWN, own, ("--symbol", "COIN", "--quotes", "q.csv"))
FRAME = {"ts": [MS, MS + 1], "bid_px": [100.0, 100.0], "bid_qty": [0.5, 0.6], "ask_px": [100.2, 100.2], "ask_qty": [0.5, 0.5]}


def parquet(change: dict[str, Any], options: Sequence[str] = (), pack: Callable[[bytes], bytes] = bytes) -> Any:
    """Two quotes as Parquet, with other columns; None takes one away."""
    columns = {name: values for name, values in (FRAME | change).items() if values is not None}
    out = io.BytesIO()
    pl.DataFrame(columns, strict=False).write_parquet(out)
    return given("table", {"q.parquet": pack(out.getvalue())}, "--symbol", "COIN", "--quotes", "q.parquet", *options)


def beside(stream: str, header: str, *rows: str, options: Sequence[str] = ()) -> Any:
    """Quotes and a file of another stream."""
    words = ("--symbol", "COIN", "--quotes", "q.csv", f"--{stream}", "x.csv", *options)
    return given("table", {"q.csv": [OWN, own(), own(9_000)], "x.csv": [header, *rows]}, *words)


ASK = "ts,symbol,command"

TABLE = [
    *common(TABLE_QUOTES),
    Case(TIME, "Parquet: a time that is missing", REJECT, parquet({"ts": [MS, None]})),
    Case(TIME, "Parquet: times as floats", REJECT, parquet({"ts": [MS + 0.0, MS + 1.0]})),
    Case(TIME, "Parquet: a date of 1970", REJECT, parquet({"ts": pl.Series([0, 1], dtype=pl.Datetime("ms"))})),
    Case(TIME, "Parquet: dates", ACCEPT, parquet({"ts": pl.Series(FRAME["ts"], dtype=pl.Datetime("ms"))}), "range"),
    Case(NUMBER, "Parquet: a price that is NaN", REJECT, parquet({"bid_px": [100.0, float("nan")]})),
    Case(NUMBER, "Parquet: a price that is infinite", REJECT, parquet({"bid_px": [100.0, float("inf")]})),
    Case(NUMBER, "Parquet: a price that is missing", REJECT, parquet({"bid_px": [100.0, None]})),
    Case(
        NUMBER, "Parquet: a price that was computed: 0.1 + 0.2", REJECT, parquet({"bid_px": [100.0, 0.1 + 0.2]}, ["--tick", "0.1"])
    ),
    Case(NUMBER, "Parquet: a quantity of -1", REJECT, parquet({"bid_qty": [0.5, -1.0]})),
    Case(SHAPE, "Parquet: a column of lists", REJECT, parquet({"bid_px": [[100.0], [100.0]]})),
    Case(SHAPE, "Parquet: text with a line end and a comma in it", REJECT, parquet({"bid_px": ["100.0", "100.0,1\n2"]})),
    Case(SHAPE, "Parquet: a column too few", REJECT, parquet({"ask_qty": None})),
    Case(SHAPE, "Parquet: a column that nobody asked for", ACCEPT, parquet({"note": ["a,b", "\n"]}), "rows"),
    Case(SHAPE, "Parquet: cut off", REJECT, parquet({}, pack=lambda body: body[:-20])),
    Case(
        SHAPE,
        "Parquet: a wrong length of its footer",
        REJECT,
        parquet({}, pack=lambda body: body[:-8] + b"\xff\xff\xff\x7f" + body[-4:]),
    ),
    Case(EMPTY, "Parquet: no row", REJECT, parquet({name: pl.Series([], dtype=pl.Int64) for name in FRAME})),
    Case(SHAPE, "semicolons for commas", REJECT, TABLE_QUOTES.make(own(), pack=lambda text: text.replace(b",", b";"))),
    Case(
        SHAPE,
        "rows of another symbol: left out, and counted",
        ACCEPT,
        TABLE_QUOTES.make(f"{own()},COIN", f"{own(1)},OTHER", header=f"{OWN},symbol"),
        "dropped",
    ),
    Case(SHAPE, "only rows of another symbol", REJECT, TABLE_QUOTES.make(f"{own()},OTHER", header=f"{OWN},symbol")),
    Case(
        DUPLICATE,
        "a trade id twice",
        QUARANTINE,
        beside("trades", "ts,id,px,qty,aggressor", f"{MS},1,100.1,1,buy", f"{MS},1,100.1,1,buy"),
    ),
    Case(NUMBER, "a trade of quantity 0", REJECT, beside("trades", "ts,px,qty,aggressor", f"{MS},100.1,0,buy")),
    Case(NUMBER, "an aggressor of 2", REJECT, beside("trades", "ts,px,qty,aggressor", f"{MS},100.1,1,2")),
    Case(SHAPE, "trades without an aggressor", REJECT, beside("trades", "ts,px,qty", f"{MS},100.1,1")),
    Case(NUMBER, "a funding rate over 1.0", REJECT, beside("funding", "ts,rate", f"{MS},1.1")),
    Case(FUND, "funding before the first quote", REJECT, beside("funding", "ts,rate", f"{MS - 1},0.1")),
    Case(
        FUND,
        "the same with --clip",
        ACCEPT,
        beside("funding", "ts,rate", f"{MS - 1},0.1", f"{MS},0.1", options=["--clip"]),
        "dropped",
    ),
    Case(
        PRESS,
        "a pause of the symbol, a kill of every one",
        ACCEPT,
        beside("commands", ASK, f"{MS},COIN,pause", f"{MS},*,KILL"),
        "rows",
    ),
    Case(PRESS, "without a symbol column: every symbol", ACCEPT, beside("commands", "ts,command", f"{MS},kill"), "rows"),
    Case(
        PRESS, "a pause of another symbol: left out", ACCEPT, beside("commands", ASK, f"{MS},X,pause", f"{MS},*,pause"), "dropped"
    ),
    Case(PRESS, "a kill of the symbol alone", REJECT, beside("commands", ASK, f"{MS},COIN,kill")),
    Case(PRESS, "-1 for every symbol", REJECT, beside("commands", ASK, f"{MS},-1,kill")),
    Case(PRESS, "no symbol where there is a column of them", REJECT, beside("commands", ASK, f"{MS},,kill")),
    Case(PRESS, "a command that there is not", REJECT, beside("commands", ASK, f"{MS},*,stop")),
    Case(PRESS, "a code for a command", REJECT, beside("commands", ASK, f"{MS},*,2")),
    Case(PRESS, "a command that is missing", REJECT, beside("commands", ASK, f"{MS},*,")),
    Case(PRESS, "a time before the one above", REJECT, beside("commands", ASK, f"{MS},*,kill", f"{MS - 1},*,reset")),
    Case(
        PRESS,
        "the same with --sort",
        ACCEPT,
        beside("commands", ASK, f"{MS},*,kill", f"{MS - 1},*,reset", options=["--sort"]),
        "reordered",
    ),
    Case(PRESS, "a column too few", REJECT, beside("commands", "ts,symbol", f"{MS},*")),
    Case(OPTION, "a mapping of a column that does not exist", REJECT, TABLE_QUOTES.make(own(), options=["--column", "price=x"])),
    Case(OPTION, "two columns mapped to one", REJECT, TABLE_QUOTES.make(own(), options=["--column", "bid_px=ask_px"])),
    Case(OPTION, "--in-ticks without a tick size", REJECT, TABLE_QUOTES.make(own(), options=["--in-ticks"])),
    Case(
        NUMBER,
        "--in-ticks, but a price of 100.5",
        REJECT,
        TABLE_QUOTES.make(own(b="100.5"), options=["--in-ticks", "--tick", "0.1"]),
    ),
]

SOURCES: list[tuple[str, str, list[Case]]] = [
    ("Fixture folders", "`grinder fixture validate DIR/...`", FIXTURES),
    ("Raw Binance recordings", "`grinder import binance DIR/raw --out DIR/made --kind perpetual`", RECORDINGS),
    ("Binance's archive", "`grinder import archive DIR/... --out DIR/made --kind perpetual ...`", ARCHIVE),
    ("LEAN's bars", "`grinder import lean DIR/... --out DIR/made --kind perpetual ...`", LEAN),
    ("Tardis files", "`grinder import tardis DIR/... --out DIR/made --kind perpetual ...`", TARDIS),
    ("Tables of one's own", "`grinder import table --symbol COIN --quotes DIR/... --out DIR/made --kind perpetual ...`", TABLE),
]
"""Heading, command, cases. An importer adds its entry."""

HEAD = """# Input faults

What becomes of each fault of SPEC 2.2: *reject* the file with an error that names file, row, column, value and cure;
*quarantine* the row, which stays an event, is counted by reason and changes no price; or *accept* it. Rows count from 0; of a
text file they are its lines. Exit code 3 is a fault of the data, 2 one of the settings.

`python -m tests.faults --write` makes this page: each line is a file that the script made, and what the command really said of it.
"""


def page() -> str:
    """docs/FAULTS.md."""
    out = HEAD
    for heading, command, cases in SOURCES:
        out += f"\n## {heading}\n\n{command}\n\n"
        out += "| fault | the file has | policy | exit | what the command says |\n|---|---|---|---|---|\n"
        for case in cases:
            found = run(case)
            text = found.text.replace("|", "\\|")
            out += f"| {case.fault} | {case.file} | {found.policy} | {found.code} | `{text}` |\n"
    return out


def cases() -> list[tuple[str, Case]]:
    """Every case with its source's heading."""
    return [(heading, case) for heading, _, listed in SOURCES for case in listed]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), "utf-8")
    else:
        sys.stdout.write(page())
