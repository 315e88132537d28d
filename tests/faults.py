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
    """What the command line did: its policy, exit code, and the text that says so, with the folder's path replaced by `DIR`."""

    policy: str
    code: int
    text: str


@cache
def run(case: Case) -> Outcome:
    """Make the file and run the command on it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        words = [str(word) for word in case.make(folder)]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        text = (err if code else out).getvalue().replace(str(folder), "DIR")
    text = re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", text)
    if code:
        return Outcome(REJECT, code, " ".join(text.split()).removeprefix("grinder: "))
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


TIME, DUPLICATE, CROSSED = "timestamps", "exact duplicate", "crossed or locked book"
SIZE, NUMBER, JUMP, GAP = "quantity 0", "number out of range", "price jump", "gap"
SHAPE, EMPTY, FEW, DEPTH, PROOF = "wrong file", "empty file", "few or equal prices", "L2", "proof at load"

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
        PROOF,
        "money that 64 bits cannot hold (SPEC 1.2)",
        REJECT,
        right({"quotes": TWO}, edited("[config]", '[config]\nequity = "46000000000"')),
    ),
]

# Raw Binance recordings

MS = 1_700_000_000_000


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

SOURCES: list[tuple[str, str, list[Case]]] = [
    ("Fixture folders", "`grinder fixture validate DIR/...`", FIXTURES),
    ("Raw Binance recordings", "`grinder import binance DIR/raw --out DIR/made --kind perpetual`", RECORDINGS),
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
