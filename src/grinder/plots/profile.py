"""A figure of a sweep over one setting: every combination a point, their median a line, so that spread is seen beside the trend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from grinder.landscape import Landscape, Scale
from grinder.plots.frame import FAINT, FILL_COLOR, INK, frame, note, thin, title, width_of
from grinder.records import BUY, SELL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["profile"]

TICKS: Final = 14
"""Values up to which each stands at the same distance from the next and has a tick; more stand where they are as numbers."""


def profile(land: Landscape, x: str, ax: Axes | None = None, figure: Figure | None = None) -> Axes:
    """Draw a figure over one setting: points for combinations, a line for their median at each value, a ring around the best.

    Args:
        land: the figure. x: a setting that varies. ax: where to draw; default the whole of `figure`, or of a new pyplot figure.

    Raises:
        ConfigError: the setting does not vary.
    """
    s = land.scale(x)
    scale = land.scales[s]
    if ax is None:
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(layout="constrained")
        figure.set_size_inches(7.0, 3.6)
        figure.set_facecolor("white")
        ax = figure.add_subplot()
    assert ax is not None
    frame(ax)
    even = len(scale) <= TICKS or not scale.ordered
    at = [float(k) for k in range(len(scale))] if even else [float(label) for label in scale.labels]
    points = [(at[spot.places[s]], land.measure.number(spot.value)) for spot in land.known]
    if points:
        size = thin(len(points), 60, 5.0, 1.8)
        ax.plot(*zip(*points, strict=True), "o", color=FILL_COLOR[BUY], markersize=size, alpha=0.55, markeredgewidth=0,
                label="combination", zorder=3)  # fmt: skip
        middle = [
            (x_, land.measure.number(value))
            for x_, value in zip(_centers(at, scale), land.by_value(s), strict=True)
            if value is not None
        ]
        if len(points) > len(middle) or len(middle) > 1:
            ax.plot(*zip(*middle, strict=True), color=INK, linewidth=1.2, label="median", zorder=2)
        best = land.ranked[0]
        ax.plot([at[best.places[s]]], [land.measure.number(best.value)], "o", markersize=size + 6, markerfacecolor="none",
                markeredgecolor=FILL_COLOR[SELL], markeredgewidth=1.6, linestyle="none", label="best", zorder=4)  # fmt: skip
        low, high = ax.get_ylim()
        if low < 0 < high:
            ax.axhline(0, color=FAINT, linewidth=0.8, linestyle=(0, (4, 2)), label="zero", zorder=1)
        if width_of(ax) >= 3:
            ax.legend(loc="best", fontsize=6.5, framealpha=0.85, edgecolor="none", labelcolor=INK, ncols=2)
    else:
        ax.text(0.5, 0.5, "no cell has it", transform=ax.transAxes, ha="center", va="center", color=FAINT, fontsize=8)
    if even:
        ax.set_xticks(at, scale.labels)
        ax.set_xlim(-0.6, len(at) - 0.4)
    without = len(land.spots) - len(land.known)
    if without:
        note(ax, f"{without:,} combinations failed or have no {land.measure.name}")
    ax.set_xlabel(scale.title, fontsize=8, color=INK)
    unit = land.measure.unit
    ax.set_ylabel(f"{land.measure.name}, {unit}" if unit else land.measure.name, fontsize=8, color=INK)
    names = list(dict.fromkeys(cell.name for cell in land.found.cells))
    facts = [f"{len(land.found):,} cells", *([f"mean of {len(names)} fixtures"] if len(names) > 1 else [])]
    title(ax, f"{', '.join(names[:2])}   {land.measure.name}", "   ".join(facts))
    return ax


def _centers(at: Sequence[float], scale: Scale) -> list[float]:
    """Where the medians stand: at their value, of a stretch in the middle of its values."""
    of = scale.stretches
    parts = [[x for x, where in zip(at, of, strict=True) if where == column] for column in range(max(of) + 1)]
    return [(part[0] + part[-1]) / 2 for part in parts]
