"""What grinder's own replays cost: beside a scan of the same memory, and against ticks, levels, symbols, fills, sets of settings.

*First* is a replay of a fixture that was never replayed, *further* one of a fixture that was; both end with the digest. A fixture
is made, and its rows are checked, before the clock runs, as every peer's data are.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numba
import numpy as np
import tapes
from table import Row

import grinder as gr
from grinder.data.characters import CHARACTERS
from grinder.data.generator import generate_day

GRID = {"step": "10bp", "levels": tapes.LEVELS, "quantity": "0.01"}
CONTEST = GRID | {"policy": "static", "fill_model": "cross", "equity": 1_000_000}
"""The grid that the peers have: no cap binds, and an order fills when the other side's best price reaches it."""
TICKS = (0.2, 0.4, 1, 2)
LEVELS = (2, 5, 10, 20, 50)
SYMBOLS = (1, 2, 4, 8)
SWINGS = (25, 50, 100, 200, 400)
"""Volatility in percent of the tape's: fills come with the range of the price."""
SETS = (1, 8, 64)


SCAN, STATIC, SMART = "scan of five int64 columns", "`static`", "`smart`"
FOUR, BOOKS = "`smart`, four symbols", "`smart`, quotes and books of ten levels"
REPEATED = "the recording over and over"
REPLAYS = (SCAN, STATIC, SMART, f"{STATIC}, {REPEATED}", f"{SMART}, {REPEATED}", FOUR, BOOKS)


class Effort(NamedTuple):
    """How much is measured: quotes of the tape, rounds with a fixture each, further replays in a round."""

    quotes: int = 5_000_000
    rounds: int = 5
    further: int = 5


class Cost(NamedTuple):
    """Seconds of one run: by the clock, and of the processor, which does not count what else the machine did meanwhile."""

    clock: float
    processor: float


class Timed(NamedTuple):
    """Seconds of each run by the clock and by the processor, and the last run."""

    first: list[Cost]
    further: list[Cost]
    run: gr.Run

    def row(self, what: str, section: str, **more: Any) -> Row:
        """The medians."""
        first, further = (statistics.median(clock for clock, _ in costs) for costs in (self.first, self.further))
        return Row(what, section, self.run.events, len(self.run.fills), first, further, **more)


@numba.njit
def scan(a, b, c, d, e):  # noqa: ANN001, ANN201
    """The least that reading the ticks can cost."""
    s = 0
    for i in range(len(a)):
        s += a[i] ^ b[i] ^ c[i] ^ d[i] ^ e[i]
    return s


def seconds(action: Callable[[], Any]) -> float:
    """How long an action takes once."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def cost(action: Callable[[], Any]) -> Cost:
    """What an action costs once."""
    clock, processor = time.perf_counter(), time.process_time()
    action()
    return Cost(time.perf_counter() - clock, time.process_time() - processor)


def best(action: Callable[[], Any], times: int) -> float:
    """The fastest of several times."""
    return min(seconds(action) for _ in range(times))


def scan_seconds(columns: Mapping[str, np.ndarray], times: int = 15) -> list[float]:
    """Seconds of several scans of five contiguous int64 columns."""
    five = [np.ascontiguousarray(columns[name]) for name in tapes.NAMES]
    scan(*five)
    return [seconds(lambda: scan(*five)) for _ in range(times)]


def warm() -> None:
    """Compile all that is timed, or load it from the cache, on few quotes."""
    for symbols in (1, 2):
        head = tapes.head(tapes.day(4_000) if symbols == 1 else tapes.several(2, 4_000), 2_000)
        for policy in ("static", "smart"):
            fixture = maker(head, GRID | {"policy": policy}, symbols)()
            for _ in range(2):
                gr.replay(fixture)
    gr.replay(books_maker(Effort(quotes=4_000))())
    gr.sweep(fixture, {"step": ["10bp", "11bp"]}, workers=1)


def timed(make: Callable[[], gr.Fixture], effort: Effort) -> Timed:
    """Replays of fixtures that are equal and new in each round."""
    first, further = [], []
    for _ in range(effort.rounds):
        fixture = make()
        gc.collect()
        first.append(cost(lambda fixture=fixture: gr.replay(fixture)))
        further += [cost(lambda fixture=fixture: gr.replay(fixture)) for _ in range(effort.further)]
    return Timed(first, further, gr.replay(fixture))


def maker(columns: Mapping[str, np.ndarray], config: Mapping[str, Any] = GRID, symbols: int = 1) -> Callable[[], gr.Fixture]:
    """A function that makes a fixture of quotes anew."""
    settings = gr.Config(**config)
    return lambda: gr.Fixture.from_arrays(tapes.instruments(symbols), quotes=columns, config=settings)


def replays(columns: Mapping[str, np.ndarray], effort: Effort) -> Iterator[Row]:
    """The scan, and each kind of replay."""
    section = "replay and digest"
    bare = statistics.median(scan_seconds(columns))
    yield Row(SCAN, section, effort.quotes, f"{40 * effort.quotes / bare / 1e9:.1f} GB/s", further=bare)
    yield timed(maker(columns), effort).row(STATIC, section)
    yield timed(maker(columns, GRID | {"policy": "smart"}), effort).row(SMART, section)
    again = tapes.recording(effort.quotes)
    yield timed(maker(again), effort).row(f"{STATIC}, {REPEATED}", section)
    yield timed(maker(again, GRID | {"policy": "smart"}), effort).row(f"{SMART}, {REPEATED}", section)
    many = tapes.several(4, effort.quotes)
    yield timed(maker(many, GRID | {"policy": "smart"}, 4), effort).row(FOUR, section)
    yield timed(books_maker(effort), effort).row(BOOKS, section)


def books_maker(effort: Effort) -> Callable[[], gr.Fixture]:
    """A function that makes a fixture of a day of quotes and books anew, or of its first hours."""
    character = CHARACTERS["thin_book"]
    hours = min(1.0, effort.quotes / 400_000)
    day = generate_day({**character.parameters, "book_interval_ms": 500, "quotes_per_day": 400_000}, 1, seconds=int(86_400 * hours))
    config = gr.Config(**{**character.config, "policy": "smart"})
    return lambda: gr.Fixture.from_arrays([character.instrument], **day, config=config)


def costs(columns: Mapping[str, np.ndarray], effort: Effort) -> Iterator[Row]:
    """`static` against what there is more or less of; all else is as in the first rows."""
    fewer = effort._replace(rounds=max(1, effort.rounds // 2))
    section = "cost against ticks"
    for share in TICKS:
        quotes = int(effort.quotes * share)
        yield timed(maker(columns if share == 1 else tapes.day(quotes)), fewer).row(label_of_ticks(share), section)
    for levels in LEVELS:
        settings = GRID | {"levels": levels, "max_open_orders": 200}
        yield timed(maker(columns, settings), fewer).row(label_of_levels(levels), "cost against levels")
    for symbols in SYMBOLS:
        many = tapes.several(symbols, effort.quotes)
        yield timed(maker(many, GRID, symbols), fewer).row(label_of_symbols(symbols), "cost against symbols")
    for swing in SWINGS:
        tape = columns if swing == 100 else tapes.day(effort.quotes, volatility_pct=swing)
        yield timed(maker(tape), fewer).row(label_of_swing(swing), "cost against fills")
    yield from sweeps(columns, fewer)


def label_of_ticks(share: float) -> str:
    """How many ticks, beside the first rows."""
    return f"{share:g} times the ticks"


def label_of_levels(levels: int) -> str:
    """How many levels."""
    return f"{levels} levels a side"


def label_of_swing(swing: int) -> str:
    """How far the price goes, beside the first rows."""
    return f"{swing} % of the price's range"


def label_of_symbols(symbols: int) -> str:
    """How many symbols share the ticks."""
    return "1 symbol" if symbols == 1 else f"{symbols} symbols, as many ticks in all"


def sweeps(columns: Mapping[str, np.ndarray], effort: Effort) -> Iterator[Row]:
    """Sweeps with metrics and table on one thread; events are those of all sets together."""
    make = maker(columns)
    for sets in SETS:
        grid = {"step": [f"{10 + 20 * i / sets:.4f}bp" for i in range(sets)]}
        first, further = [], []
        for _ in range(effort.rounds):
            data = make()
            gc.collect()
            first.append(seconds(lambda data=data, grid=grid: gr.sweep(data, grid, workers=1)))
            further.append(seconds(lambda data=data, grid=grid: gr.sweep(data, grid, workers=1)))
        found = gr.sweep(data, grid, workers=1)
        fills = int(found.table["fills"].sum())
        medians = statistics.median(first), statistics.median(further)
        yield Row(label_of_sets(sets), "cost against sets of settings", sets * effort.quotes, fills, *medians)


def label_of_sets(sets: int) -> str:
    """How many sets."""
    return "a sweep of 1 set" if sets == 1 else f"a sweep of {sets} sets, events of all"


COSTS = (
    *(label_of_ticks(share) for share in TICKS),
    *(label_of_levels(levels) for levels in LEVELS),
    *(label_of_symbols(symbols) for symbols in SYMBOLS),
    *(label_of_swing(swing) for swing in SWINGS),
    *(label_of_sets(sets) for sets in SETS),
)
"""Rows of `costs`, in order."""
