"""Equity over time with its drawdown, and how much of the budget the drawdown uses."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from grinder.metrics import equity_path
from grinder.plots.frame import FILL_COLOR, INK, draw_steps, draw_time, figure_of, frame, money_of, note, steps_of, title
from grinder.records import BUY, NONE, SELL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grinder.run import Run

__all__ = ["draw_account", "equity"]

NEAR: Final = 2
"""The floor is drawn when it is at most so many ranges of the equity below it; else it is told, and the equity keeps its scale."""


def equity(run: Run, ax: Axes | None = None) -> Axes:
    """Draw the account: equity at every mark, its peak inside the budget window, the drawdown between, and the floor of the budget.

    Args:
        run: what to draw.
        ax: where to draw; default a new pyplot figure with a second panel, the drawdown in per cent of its budget.

    Returns:
        The axes of the equity.
    """
    if ax is None:
        _, (top, bottom) = figure_of([3, 1.6])
        _draw_equity(run, top)
        _draw_use(run, bottom)
        draw_time(run, bottom)
        return top
    _draw_equity(run, ax)
    draw_time(run, ax)
    return ax


def _draw_equity(run: Run, ax: Axes) -> None:
    draw_account(run, ax)
    values, marks = equity_path(run)[1], _marks(run)
    if len(marks):
        ax.legend(loc="best", fontsize=6.5, framealpha=0.85, edgecolor="none", labelcolor=INK)
    worst, gained = int(marks["drawdown"].max()) if len(marks) else 0, int(values[-1] - values[0])
    text = f"net PnL {'+' * (gained > 0)}{run.money(gained)}   max drawdown {run.money(worst)}"
    title(ax, f"{run.name}   equity", f"{text}   digest {run.digest.value[:12]}")


def draw_account(run: Run, ax: Axes) -> None:
    """Equity, its peak in the budget window, the drawdown between, and where the budget ends."""
    atom, quote = money_of(run)
    ts, values = equity_path(run)
    marks = _marks(run)
    frame(ax)
    draw_steps(ax, ts, values, atom, color=FILL_COLOR[BUY], linewidth=1.1, label="equity", zorder=3)
    if len(marks):
        draw_steps(ax, marks["ts"], marks["peak"], atom, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="peak", zorder=2)
        time, low = steps_of(marks["ts"], marks["peak"] - marks["drawdown"], atom)
        high = steps_of(marks["ts"], marks["peak"], atom)[1]
        ax.fill_between(time, low, high, step="post", color=FILL_COLOR[SELL], alpha=0.18, linewidth=0, label="drawdown")
        _draw_floor(ax, run, marks, values, atom)
    ax.margins(y=0.08)
    ax.set_ylabel(f"equity, {quote}", fontsize=7.5, color=INK)


def _draw_floor(ax: Axes, run: Run, marks: np.ndarray, values: np.ndarray, atom: Fraction) -> None:
    """Where the budget would be used up."""
    floor = marks["peak"] - marks["budget"]
    low, high = int(values.min()), int(values.max())
    if low - int(floor.max()) <= NEAR * (high - low):
        draw_steps(
            ax,
            marks["ts"],
            floor,
            atom,
            color=FILL_COLOR[SELL],
            linewidth=1.0,
            linestyle=(0, (1, 1.5)),
            label="floor of the budget",
        )
    else:
        note(ax, f"the budget of {run.money(int(marks['budget'][-1]))} ends at {run.money(int(floor[-1]))}, below this view")


def _draw_use(run: Run, ax: Axes) -> None:
    """The drawdown in thousandths of a per cent of its budget."""
    marks = _marks(run)
    frame(ax)
    budget = np.maximum(marks["budget"], 1)
    use = np.array([100_000 * int(a) // int(b) for a, b in zip(marks["drawdown"], budget, strict=True)], np.int64)
    unit = Fraction(1, 1000)
    if len(marks):
        time, percent = steps_of(marks["ts"], use, unit)
        ax.fill_between(time, percent, step="post", color=FILL_COLOR[SELL], alpha=0.35, linewidth=0)
        draw_steps(ax, marks["ts"], use, unit, color=FILL_COLOR[SELL], linewidth=0.9, label="drawdown of budget")
    warn = float(100 * run.config.dd_warn)
    for level, dashes, name in ((warn, (0, (4, 2)), "warning"), (100.0, "solid", "budget")):
        ax.axhline(level, color=INK, linewidth=0.8, linestyle=dashes, label=name)
        ax.annotate(f"{name} {level:g} %", (1, level), (-2, 1.5), xycoords=("axes fraction", "data"), textcoords="offset points",
                    ha="right", va="bottom", fontsize=6.5, color=INK)  # fmt: skip
    ax.set_ylim(0, max(118.0, 1.08 * float(use.max(initial=0)) / 1000))
    ax.set_ylabel("drawdown, % of budget", fontsize=7.5, color=INK)


def _marks(run: Run) -> np.ndarray:
    rows = run.ledger.records
    marks: np.ndarray = rows[rows["symbol"] == NONE]
    return marks
