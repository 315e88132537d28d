"""The position of one symbol over time, and how much of it is allowed."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from grinder.plots.frame import (
    FAINT,
    INK,
    LADDER_COLOR,
    draw_steps,
    draw_time,
    figure_of,
    frame,
    note,
    rank,
    span,
    steps_of,
    thin,
    title,
)
from grinder.records import BUY, SELL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grinder.run import Run

__all__ = ["draw_inventory", "inventory"]

NEAR: Final = 3
"""A cap is drawn when it is at most so many times the largest position; else it is told, and the position keeps its scale."""


def inventory(run: Run, symbol: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the position of one symbol: above 0 long, below short, with what `max_inventory_notional` allows at the last mid.

    Args:
        run: what to draw. symbol: default the run's first. ax: where to draw; default a new pyplot figure.

    Raises:
        ConfigError: the run has no such symbol.
    """
    s = rank(run, symbol)
    if ax is None:
        ax = figure_of([1], (8.0, 3.2))[1][0]
    most = draw_inventory(run, s, ax)
    draw_time(run, ax)
    instrument, row = run.instruments[s], run.world.symbols[s]
    each = int(row["mid2"]) * (instrument.tick_value // 2)
    cap = int(run.world.run[0]["max_inventory"]) // each if each else 0
    text = f"{instrument.quantity(cap)} at the last mid"
    if cap and cap <= NEAR * most:
        for side in (BUY, SELL):
            ax.axhline(
                float(side * cap * Fraction(instrument.lot_size)), color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="cap"
            )
        note(ax, f"dashed: the cap, {text}")
    elif cap:
        note(ax, f"the cap, {text}, is outside this view")
    ax.set_ylabel(f"position, lot {instrument.lot_size}", fontsize=7.5, color=INK)
    money = f"{instrument.money(each * int(row['position']), 2)} {instrument.quote}"
    title(
        ax,
        f"{run.name}   {instrument.symbol}   inventory",
        f"{instrument.quantity(int(row['position']))} at the end, worth {money}",
    )
    return ax


def draw_inventory(run: Run, s: int, ax: Axes) -> int:
    """The position after every fill, in steps. Returns the largest one, without its sign, lots."""
    fills, instrument = run.fills.records, run.instruments[s]
    fills = fills[fills["symbol"] == s]
    begin, end = span(run)
    lots = np.concatenate([[0], np.cumsum(fills["side"] * fills["qty"])])
    lots = np.append(lots, lots[-1])
    ts = np.concatenate([[begin], fills["ts"], [end]])
    unit = Fraction(instrument.lot_size)
    frame(ax)
    time, position = steps_of(ts, lots, unit)
    for side in (BUY, SELL):
        part = np.maximum(side * position, 0) * side
        ax.fill_between(time, part, step="post", color=LADDER_COLOR[side], alpha=0.45, linewidth=0)
    draw_steps(ax, ts, lots, unit, color=INK, linewidth=thin(len(fills), 500, 0.9, 0.25), label="position")
    ax.axhline(0, color=FAINT, linewidth=0.5)
    ax.margins(y=0.15)
    ax.locator_params(axis="y", nbins=3)
    if not lots.any():
        ax.set_ylim(-1, 1)
        ax.set_yticks([0])
    ax.set_ylabel("position", fontsize=7.5, color=INK)
    return int(np.abs(lots).max())
