"""The peers: their environments, their runs on the tape that grinder replays too, and whether they were filled alike.

Each peer has an environment of its own, made once and kept, and runs as a process of its own on a file that holds tape and grid.
Its fills are compared with grinder's by time, side, price and quantity; without equal fills there is no ratio.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tapes
from measures import CONTEST, Effort, Timed, maker, timed
from table import Row

import grinder as gr

SECTION = "the same static grid, order for order"
OWN = "grinder, `cross`"
IMPORTS = "import of a peer"
PEERS_FOLDER = Path(__file__).parent / "peers"
LIMIT_S = 600
"""A peer that takes longer is given up."""


class Peer(NamedTuple):
    """One way to run a peer.

    Args:
        name: what `--peers` calls it, and its environment. what: its label. script: in `peers/`.
        needs: what pip installs; nothing: the suite's own Python.
        settings: of the script. share: of the tape's quotes that it is given, where all would take minutes.
    """

    name: str
    what: str
    script: str
    needs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    share: float = 1.0


HFT, VBT = ("hftbacktest==2.4.4",), ("vectorbt[rust]==1.2.0",)
PEERS = (
    Peer("hftbacktest", "hftbacktest, looking after every quote", "hft.py", HFT, ("every=quote",)),
    Peer("hftbacktest", "hftbacktest, looking every 100 ms", "hft.py", HFT, ("every=100",)),
    Peer("vectorbt", "vectorbt, order function", "vbt.py", VBT, ("how=masked",)),
    Peer("vectorbt", "vectorbt, orders found elsewhere, Rust", "vbt.py", VBT, ("how=arrays", "engine=rust")),
    Peer("nautilus", "nautilus_trader, a twentieth of the ticks", "nautilus.py", ("nautilus_trader",), share=0.05),
    Peer("loop", "plain Python loop", "loop.py"),
)
OTHERS: dict[str, tuple[Peer, Callable[[int], Mapping[str, np.ndarray]]]] = {
    f"{OWN}, a price that moves {how}": (
        Peer("hftbacktest", f"hftbacktest, a price that moves {how}", "hft.py", HFT, ("every=quote",)),
        make,
    )
    for how, make in (
        # A short tape is of days that are not pressed into one: as wild as that, a quote would fill two orders.
        ("in 2 % of the quotes", lambda quotes: tapes.day(quotes, volatility_pct=50 if quotes > tapes.PER_DAY else 25, rare=True)),
        ("at every quote", tapes.walk),
    )
}
"""Other tapes, since what hftbacktest has to do depends on how many quotes move a price: grinder's row, the peer's, the tape."""
NAMES = tuple(dict.fromkeys(peer.name for peer in PEERS))


class Refused(Exception):
    """A peer that could not be installed or run; the text says why."""


def contest(
    columns: Mapping[str, np.ndarray],
    tape: Path,
    effort: Effort,
    names: tuple[str, ...],
    environments: Path,
    versions: dict[str, str],
) -> Iterator[Row]:
    """grinder's row and each peer's, on the tape and on others; then what the peers' imports take.

    Args:
        tape: the file of `columns`. names: of the peers that run. versions: what they report is added.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    yield from _bout(OWN, PEERS, columns, tape, effort, names, environments, found)
    for own, (peer, make) in OTHERS.items():
        other = make(effort.quotes)
        file = tapes.write(tape.with_name("other.npz"), other)
        yield from _bout(own, (peer,), other, file, effort, names, environments, found)
    yield from _imports(found, versions)


def _bout(
    own: str,
    peers: tuple[Peer, ...],
    columns: Mapping[str, np.ndarray],
    tape: Path,
    effort: Effort,
    names: tuple[str, ...],
    environments: Path,
    found: list[tuple[str, dict[str, Any]]],
) -> Iterator[Row]:
    """grinder's row and its peers' on one tape; grinder is timed before, between and after them."""
    make = maker(columns, CONTEST)
    parts = [timed(make, effort._replace(rounds=1))]
    assert tapes.most_fills_of_a_quote(parts[0].run.fills["ts"].tolist()) <= 1, (
        "a quote fills two orders: peers book them otherwise"
    )
    results: list[dict[str, Any] | str] = []
    for peer in peers:
        results.append(_try(peer, tape, effort, environments) if peer.name in names else "left out")
        parts.append(timed(make, effort._replace(rounds=max(1, effort.rounds - 3))))
    whole = Timed([one for part in parts for one in part.first], [one for part in parts for one in part.further], parts[0].run)
    mine = whole.row(own, SECTION)
    yield mine
    for peer, result in zip(peers, results, strict=True):
        yield _row(peer, result, whole, columns)
    found += [(peer.name, result) for peer, result in zip(peers, results, strict=True) if isinstance(result, dict)]


def _try(peer: Peer, tape: Path, effort: Effort, environments: Path) -> dict[str, Any] | str:
    try:
        return _run(peer, _python(peer, environments), tape, effort)
    except Refused as refusal:
        return str(refusal)


def _python(peer: Peer, environments: Path) -> Path:
    """The interpreter of a peer's environment, which is made where there is none with what the peer needs.

    Raises:
        Refused: with pip's last error.
    """
    if not peer.needs:
        return Path(sys.executable)
    folder = environments / peer.name
    interpreter, note = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join((sys.version, *peer.needs))
    if interpreter.is_file() and note.is_file() and note.read_text("utf-8") == wanted:
        return interpreter
    shutil.rmtree(folder, ignore_errors=True)
    print(f"making an environment for {peer.name}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    _call([str(interpreter), "-m", "pip", "install", "--quiet", "--prefer-binary", *peer.needs], "install")
    note.write_text(wanted, "utf-8")
    return interpreter


def _call(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=_clean(), timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Refused(f"does not {what} in {LIMIT_S} s") from None
    if done.returncode:
        raise Refused(f"does not {what}: {_last_words(done.stderr)}")


def _clean() -> dict[str, str]:
    """This process's environment without what points into its own Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GRINDER", "VIRTUAL_ENV"))}


def _last_words(text: str) -> str:
    """The last error of a program's output, without paths and addresses."""
    lines = [line.strip() for line in text.splitlines() if re.search(r"error", line, re.IGNORECASE)] or text.splitlines()[-1:]
    return re.sub(r"\S*[/\\]\S*", "...", lines[-1] if lines else "it says nothing")[:160].replace("|", "/")


def _run(peer: Peer, interpreter: Path, tape: Path, effort: Effort) -> dict[str, Any]:
    """What a peer's script reports."""
    quotes = int(effort.quotes * peer.share)
    out = tape.with_name(f"{peer.name}.json")
    settings = [word for setting in peer.settings for word in ("--set", setting)]
    runs = ["--quotes", str(quotes), "--runs", str(effort.rounds), "--warm", str(min(2_000, quotes))]
    command = [str(interpreter), str(PEERS_FOLDER / peer.script), str(tape), str(out), *runs, *settings]
    print(f"running {peer.what}", file=sys.stderr, flush=True)
    _call(command, "run")
    result: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return result


def _row(peer: Peer, result: dict[str, Any] | str, mine: Timed, columns: Mapping[str, np.ndarray]) -> Row:
    """A peer's row: times an event over grinder's, if the fills are grinder's."""
    if isinstance(result, str):
        return Row(peer.what, SECTION, says=result)
    quotes, run = result["quotes"], mine.run
    scale = run.events / quotes
    if quotes != run.events:
        run = gr.replay(maker(tapes.head(columns, quotes), CONTEST)())
    verdict, alike = compare(told(run), [tuple(fill) for fill in result["fills"]])
    row = Row(peer.what, SECTION, quotes, verdict, further=statistics.median(result["seconds"]), memory=result["peak_bytes"])
    if not alike:
        return row
    ratios = [
        [
            scale * statistics.median(result[name]) / statistics.median(one[k] for one in costs)
            for costs in (mine.first, mine.further)
        ]
        for k, name in enumerate(("seconds", "processor_seconds"))
    ]
    (first, further), processor = ratios
    return dataclasses.replace(row, faster_first=first, faster=further, processor=(processor[0], processor[1]))


def told(run: gr.Run) -> list[tuple[int, ...]]:
    """A run's fills as peers tell theirs: time, side, price, quantity."""
    columns = (run.fills[name].tolist() for name in ("ts", "side", "price", "qty"))
    return list(zip(*columns, strict=True))


def compare(mine: list[tuple[int, ...]], theirs: list[tuple[int, ...]]) -> tuple[str, bool]:
    """Whether two lists of fills are the same, in words and as such."""
    if mine == theirs:
        return f"the same {len(mine):,}", True
    i = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    sides = [f"{fills[i]}" if i < len(fills) else "none" for fills in (mine, theirs)]
    return f"differ from fill {i:,}: grinder {sides[0]}, the peer {sides[1]}", False


def _imports(found: list[tuple[str, dict[str, Any]]], versions: dict[str, str]) -> Iterator[Row]:
    """How long each peer's import takes, the shortest of its runs; and note the versions."""
    for name in filter(_package, NAMES):
        results = [result for ran, result in found if ran == name]
        for result in results:
            versions[_package(name)] = result["versions"][_package(name)]
        least = min((result["import_seconds"] for result in results), default=None)
        yield Row(label_of_import(name), IMPORTS, first=least, says="" if results else "left out")


def _package(name: str) -> str:
    return {"hftbacktest": "hftbacktest", "vectorbt": "vectorbt", "nautilus": "nautilus_trader"}.get(name, "")


def label_of_import(name: str) -> str:
    """The row of a peer's import."""
    return f"import {_package(name)}, what a strategy needs of it"


def labels() -> list[str]:
    """What this module measures, in order."""
    bouts = [OWN, *(peer.what for peer in PEERS), *(what for own, (peer, _) in OTHERS.items() for what in (own, peer.what))]
    return [*bouts, *(label_of_import(name) for name in NAMES if _package(name))]
