"""The days of quotes that are replayed, and the static grid that grinder's peers put on them: equal on every machine.

A tape is a mapping of int64 columns: `ts` (ns, rising), `bid_px`, `ask_px` (ticks), `bid_qty`, `ask_qty` (lots). It is made by
grinder's own generator, whose days follow a real recording: about 40 % of the quotes move a price, the others one size. Several
such days are laid one behind another, each from the price at which the one before ended, and pressed into one day, calmer by the
root of their number. Times are made to rise by at least 1 ns a quote, since hftbacktest takes equal times for one moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

import grinder as gr
from grinder.data.generator import PARAMETERS, generate_day
from grinder.records import Stream

Columns = dict[str, np.ndarray]
NAMES = ("ts", "bid_px", "bid_qty", "ask_px", "ask_qty")
DAY_NS = 86_400_000_000_000
START_NS = 19_725 * DAY_NS
HALF_RANGE = 1_500
PER_DAY = 400_000
"""Quotes of a generated day at its quickest; it has some more."""
TICK, LOT = "0.1", "0.001"
ONE, MICRO = 100_000_000, 1_000_000
"""Of a ratio, and of a tick."""
STEP, LEVELS, QUANTITY = 100_000, 10, 10
"""The grid: 10 bp, levels a side, lots a level."""


def day(quotes: int, *, seed: int = 1, volatility_pct: int = 100, rare: bool = False) -> Columns:
    """A day of so many quotes, or the first hours of one where they are fewer than a generated day has.

    Args:
        rare: the price moves in 2 % of the quotes, as in the recording, and farther at once.
    """
    days = -(-quotes // PER_DAY)
    calm = {
        name: max(1, PARAMETERS[name].default * volatility_pct * 10 // math.isqrt(days * 1_000_000))
        for name in ("volatility_minute_bp100", "level_minute_bp100")
    }
    calm |= {"move_pct": 3} if rare else {}
    seconds = min(86_400, 600 + 2 * 86_400 * quotes // PER_DAY)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    shift, behind = 0, 0
    for k in range(days):
        columns = generate_day(calm | {"quotes_per_day": PER_DAY}, 1_000 * seed + k, seconds=seconds)["quotes"]
        if k:
            shift = int(parts["bid_px"][-1][-1] - columns["bid_px"][0])
        for name in NAMES:
            parts[name].append(columns[name] + (shift if name.endswith("px") else 0))
        parts["ts"][-1] = (columns["ts"] - START_NS + k * DAY_NS) // days
        behind += len(columns["ts"])
    assert behind >= quotes, f"{days} generated days have {behind:,} quotes"
    tape = {name: np.concatenate(columns)[:quotes] for name, columns in parts.items()}
    rows = np.arange(quotes)
    tape["ts"] = START_NS + np.maximum.accumulate(tape["ts"] - rows) + rows
    return tape


def recording(quotes: int) -> Columns:
    """The real recording's six minutes over and over, each a second behind the one before."""
    data = gr.fixture(Path(__file__).parents[1] / "fixtures" / "binance_btcusdt_6m").events
    rows = np.flatnonzero((data.kind == int(Stream.QUOTES)) & (data.fault == 0))
    times = -(-quotes // len(rows))
    shift = np.repeat(np.arange(times) * int(data.ts[rows[-1]] - data.ts[rows[0]] + 1_000_000_000), len(rows))
    tape = {name: np.tile(getattr(data, name)[rows], times)[:quotes] for name in NAMES}
    return tape | {"ts": tape["ts"] + shift[:quotes]}


def walk(quotes: int) -> Columns:
    """A day whose price moves at every quote, by up to ten ticks, two ticks wide and reflected 0.25 % from its middle."""
    steps = np.cumsum(noise(quotes, 1) % 21 - 10)
    mid = reflected(steps)
    ts = START_NS + np.arange(quotes) * (DAY_NS // quotes)
    sizes = [(noise(quotes, salt) % 9 + 1) * 50 for salt in (2, 3)]
    return {"ts": ts, "bid_px": mid - 1, "bid_qty": sizes[0], "ask_px": mid + 1, "ask_qty": sizes[1]}


def reflected(steps: np.ndarray) -> np.ndarray:
    """Prices that turn back HALF_RANGE ticks to either side of the middle: a day that a grid has work in."""
    return 600_000 + np.abs(steps % (4 * HALF_RANGE) - 2 * HALF_RANGE) - HALF_RANGE


def noise(count: int, salt: int) -> np.ndarray:
    """Numbers without a pattern, the same in every run."""
    x = np.arange(count, dtype=np.uint64) + np.uint64(salt << 32)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x >> np.uint64(33)).astype(np.int64)


def several(symbols: int, quotes: int) -> Columns:
    """Quotes of several symbols, as many in all, merged by time; `symbol` is their rank."""
    tapes = [day(quotes // symbols, seed=1 + s) | {"symbol": np.full(quotes // symbols, s)} for s in range(symbols)]
    whole = {name: np.concatenate([tape[name] for tape in tapes]) for name in (*NAMES, "symbol")}
    order = np.lexsort((whole["symbol"], whole["ts"]))
    return {name: column[order] for name, column in whole.items()}


def instruments(symbols: int = 1) -> list[gr.Instrument]:
    """Linear perpetuals of one tick and lot, in ASCII order."""
    return [
        gr.Instrument(symbol=f"COIN{s:02}USDT" if s else "BTCUSDT", kind="perpetual", tick_size=TICK, lot_size=LOT)
        for s in range(symbols)
    ]


def head(tape: Mapping[str, np.ndarray], quotes: int) -> Columns:
    """The first quotes of a tape."""
    return {name: column[:quotes] for name, column in tape.items()}


def grid(bid: int, ask: int, *, step: int = STEP, exit_step: int = STEP, rungs: int = 64) -> Columns:
    """Prices of the static grid around a first quote, BUY side first: int64 (2, rungs), nearest first.

    Args:
        step: between levels, 1e-8. exit_step: from an entry to its take-profit.

    Returns:
        `entry` and `exit`, ticks: of a BUY of `entry[0, i]` the take-profit is a SELL of `exit[0, i]`.
    """
    entry, leave = np.zeros((2, rungs), np.int64), np.zeros((2, rungs), np.int64)
    for k, side in enumerate((1, -1)):
        micro = (bid + ask) * MICRO // 2
        for i in range(rungs):
            micro = micro * (ONE - side * step) // ONE
            price = micro // MICRO if side > 0 else -(-micro // MICRO)
            entry[k, i] = price
            away = price * (ONE + side * exit_step)
            leave[k, i] = max(-(-away // ONE), price + 1) if side > 0 else min(away // ONE, price - 1)
    return {"entry": entry, "exit": leave}


def write(path: Path, tape: Mapping[str, np.ndarray]) -> Path:
    """A tape, its grid and its units in one file, from which `peers/` read."""
    prices = grid(int(tape["bid_px"][0]), int(tape["ask_px"][0]))
    np.savez(path, **tape, **prices, levels=LEVELS, quantity=QUANTITY, tick=float(TICK), lot=float(LOT))
    return path


def most_fills_of_a_quote(times: Iterable[int]) -> int:
    """How many fills the quote with the most of them has."""
    return int(np.unique(np.fromiter(times, np.int64), return_counts=True)[1].max(initial=0))
