"""Cycles of one symbol: what each earned after fees, and how long it took; those still open at what they stand at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grinder.plots.frame import (
    FAINT,
    FILL_COLOR,
    INK,
    as_days,
    draw_time,
    figure_of,
    frame,
    money_of,
    rank,
    scaled,
    thin,
    title,
    width_of,
)
from grinder.records import BUY, SELL, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grinder.run import Run

__all__ = ["cycles", "open_cycles"]


def cycles(run: Run, symbol: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw every cycle as a line from its entry to its exit, at the height of its profit after fees, with a mark at the exit.

    Marks of completed cycles are filled, up for those that bought first and down for those that sold first. Open ones end at the
    run's last event, at what they stand at there after the fees so far, dashed and hollow: a win rate does not know them.

    Args:
        run: what to draw. symbol: default the run's first. ax: where to draw; default a new pyplot figure.

    Raises:
        ConfigError: the run has no such symbol.
    """
    s = rank(run, symbol)
    if ax is None:
        ax = figure_of([1], (8.0, 3.8))[1][0]
    atom, quote = money_of(run)
    frame(ax)
    done = run.cycles.records
    done = done[done["symbol"] == s]
    entry, side, net = open_cycles(run, s)
    _draw(ax, done["side"], done["entry_ts"], done["exit_ts"], scaled(done["net"], atom), False)
    _draw(ax, side, entry, np.full(len(entry), run.last_ts), scaled(net, atom), True)
    ax.axhline(0, color=INK, linewidth=0.7)
    ax.margins(y=0.12)
    ax.set_ylabel(f"net of a cycle, {quote}", fontsize=7.5, color=INK)
    draw_time(run, ax)
    wins = int((done["net"] > 0).sum())
    text = f"{len(done):,} completed, {wins:,} with a profit, {run.money(int(done['net'].sum()))}"
    text += f"   {len(net):,} open, {run.money(int(net.sum()))}"
    title(ax, f"{run.name}   {run.symbols[s]}   cycles after fees", text)
    if (len(done) or len(net)) and width_of(ax) >= 2:
        ax.legend(loc="best", fontsize=6.5, framealpha=0.85, edgecolor="none", labelcolor=INK)
    return ax


def open_cycles(run: Run, s: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entry time, side and present net of every open cycle of a symbol: its fills so far and its rest at the last mid, atoms.

    A cycle whose lots a taker has closed is not open any more.
    """
    row, instrument = run.world.symbols[s], run.instruments[s]
    fills = run.fills.records
    entry, side, net = [], [], []
    for cycle in run.world.cycles[s, : int(row["n_cycles"])]:
        mine = fills[(fills["cycle"] == cycle["id"]) & (fills["symbol"] == s)]
        entries = mine[mine["role"] == int(Role.ENTRY)]
        value = int((-mine["side"] * mine["price"] * mine["qty"]).sum()) * instrument.tick_value - int(mine["fee"].sum())
        held = int((mine["side"] * mine["qty"]).sum())
        entry.append(int(entries["ts"][0]))
        side.append(int(cycle["side"]))
        net.append(value + held * int(row["mid2"]) * (instrument.tick_value // 2))
    return np.array(entry, np.int64), np.array(side, np.int64), np.array(net, np.int64)


def _draw(ax: Axes, side: np.ndarray, start: np.ndarray, end: np.ndarray, net: np.ndarray, is_open: bool) -> None:
    """Lines and marks of completed cycles, or of open ones."""
    from matplotlib.collections import LineCollection

    begin, until = as_days(start), as_days(end)
    size = thin(len(net), 150, 5.0, 1.6)
    for which, name, marker in ((BUY, "long", "^"), (SELL, "short", "v")):
        mine = side == which
        if not mine.any():
            continue
        words = f"{'open' if is_open else 'completed'} {name}"
        ends = [np.stack([x[mine], net[mine]], 1) for x in (begin, until)]
        lines = LineCollection(
            list(np.stack(ends, 1)),
            colors=FILL_COLOR[which] if is_open else FAINT,
            linestyles=(0, (3, 2)) if is_open else "solid",
            linewidths=thin(len(net), 150, 0.8, 0.25),
            alpha=0.7 if is_open else 0.5,
            zorder=2,
            label=f"_{words}",
        )
        ax.add_collection(lines)
        look: dict[str, Any] = {"markerfacecolor": "white" if is_open else FILL_COLOR[which], "markeredgecolor": FILL_COLOR[which]}
        ax.plot(
            until[mine],
            net[mine],
            linestyle="none",
            marker=marker,
            markersize=size,
            markeredgewidth=0.8,
            zorder=3,
            label=words,
            **look,
        )
    ax.autoscale_view()
