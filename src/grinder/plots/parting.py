"""Two runs where they part: the same market, the orders and fills of either, and what they then hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder.errors import ConfigError
from grinder.plots.frame import INK, as_days, as_price, draw_mid, draw_time, figure_of, frame, mid_extremes, title, width_of
from grinder.plots.price import LEGEND_FROM, lives
from grinder.records import BUY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grinder.divergence import Diff
    from grinder.run import Run

__all__ = ["parting"]

A_LOOK: Final = {"color": "#0072b2", "linestyle": "solid"}
B_LOOK: Final = {"color": "#d55e00", "linestyle": (0, (3, 1.5))}
AROUND: Final = 100
"""The time shown before and after: so many parts of the run's whole."""
LEAST: Final = 60 * 1_000_000_000


def parting(found: Diff, ax: Axes | None = None) -> Axes:
    """Draw two runs around the first event at which they differ: the mid, orders and fills of a (solid) and of b (dashed, hollow).

    Args:
        found: what `gr.diff` found of two runs.
        ax: where to draw; default a new pyplot figure with a second panel, the positions of both.

    Returns:
        The axes of the price.

    Raises:
        ConfigError: nothing differs, or a side is a golden or an older version's file, which has nothing to draw.
    """
    if found.first is None or found.first.kind == "window":
        raise ConfigError("there is no first record that differs, so nothing to draw: compare two runs that are not equal")
    a, b = found.a.run, found.b.run
    if a is None or b is None:
        raise ConfigError("a side was saved by another version of grinder, which this one cannot draw: replay both")
    s = a.symbols.index(found.first.symbol) if found.first.symbol in a.symbols else 0
    pad = max(LEAST, (a.last_ts - a.first_ts) // AROUND)
    window = (max(a.first_ts, found.first.ts - pad), max(min(max(a.last_ts, b.last_ts), found.first.ts + pad), a.first_ts + 1))
    below: Axes | None = None
    figure: Figure | None = None
    if ax is None:
        figure, (ax, below) = figure_of([3, 1.2])
    _draw_price(found, a, b, s, window, ax)
    if below is not None:
        _draw_positions(found, a, b, s, window, below)
    for one in (ax,) if below is None else (ax, below):
        at = float(as_days(np.array([found.first.ts]))[0])
        one.axvline(at, color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)), label="first difference")
    draw_time(a, below or ax, window)
    handles, labels = ax.get_legend_handles_labels()
    shown = [(handle, label) for handle, label in zip(handles, labels, strict=True) if label != "mid2"]
    look: dict[str, Any] = {"fontsize": 7, "labelcolor": INK, "frameon": False, "ncols": 6, "handlelength": 2.6}
    if figure is None and width_of(ax) < LEGEND_FROM:
        return ax  # it would cover what it is about
    if figure is None:
        made = ax.legend(*zip(*shown, strict=True), **look | {"loc": "best", "frameon": True, "ncols": 2, "framealpha": 0.85})
    else:
        made = figure.legend(*zip(*shown, strict=True), loc="outside lower center", **look)
    for text in made.get_texts():
        text.set_parse_math(False)  # labels are the user's: a dollar is a dollar
    return ax


def _draw_price(found: Diff, a: Run, b: Run, s: int, window: tuple[int, int], ax: Axes) -> None:
    assert found.first is not None
    from matplotlib.collections import LineCollection

    instrument = a.instruments[s]
    frame(ax)
    draw_mid(a, s, ax, window)
    rows = mid_extremes(a, s, window)
    low, high = (int(rows[:, 1].min()), int(rows[:, 2].max())) if len(rows) else (0, 0)
    for run, label, look, hollow in ((a, found.a.label, A_LOOK, False), (b, found.b.label, B_LOOK, True)):
        life = lives(run, instrument.symbol)
        shown = (life.end >= window[0]) & (life.start <= window[1])
        height = as_price(life.price[shown], instrument)
        ends = [np.stack([as_days(np.clip(x[shown], *window)), height], 1) for x in (life.start, life.end)]
        lines = LineCollection(
            list(np.stack(ends, 1)),
            colors=look["color"],
            linestyles=look["linestyle"],
            linewidths=0.8,
            alpha=0.75,
            zorder=2.2 if hollow else 2,
            label=f"orders of {label}",
        )
        ax.add_collection(lines, autolim=False)
        fills = run.fills.records
        fills = fills[(fills["symbol"] == s) & (fills["ts"] >= window[0]) & (fills["ts"] <= window[1])]
        face: Any = "none" if hollow else look["color"]
        for side, marker in ((BUY, "^"), (-BUY, "v")):
            mine = fills[fills["side"] == side]
            ax.plot(
                as_days(mine["ts"]),
                as_price(mine["price"], instrument),
                linestyle="none",
                marker=marker,
                markersize=9 if hollow else 6,
                markerfacecolor=face,
                markeredgecolor=look["color"],
                zorder=4.1 if hollow else 4,
                label=f"fills of {label}" if side == BUY else f"_sells of {label}",
            )
        near = fills["price"]
        low, high = (min([low, *(2 * near).tolist()]), max([high, *(2 * near).tolist()])) if len(near) else (low, high)
    room = max(8, (high - low) * 6 // 10)
    ax.set_ylim(*as_price(np.array([low - room, high + room]), instrument, 2).tolist())
    ax.set_ylabel(f"price, {instrument.quote}", fontsize=7.5, color=INK)
    first = found.first
    values = f"{first.a_text} in {found.a.label}, {first.b_text} in {found.b.label}" if first.kind == "value" else "one side alone"
    text = f"{first.stage}{'.' + first.field if first.field else ''}: {values}"
    title(
        ax, f"{found.a.name}   {instrument.symbol}   {found.a.label} and {found.b.label} part at event {first.event:,}", text[:130]
    )


def _draw_positions(found: Diff, a: Run, b: Run, s: int, window: tuple[int, int], ax: Axes) -> None:
    frame(ax)
    for run, label, look in ((a, found.a.label, A_LOOK), (b, found.b.label, B_LOOK)):
        fills, instrument = run.fills.records, run.instruments[s]
        fills = fills[fills["symbol"] == s]
        lots = np.concatenate([[0], np.cumsum(fills["side"] * fills["qty"])])
        ts = np.concatenate([[run.first_ts], fills["ts"]])
        first, stop = int(np.searchsorted(ts, window[0], side="right")) - 1, int(np.searchsorted(ts, window[1], side="right"))
        time = np.append(np.maximum(ts[max(0, first) : stop], window[0]), window[1])
        held = np.append(lots[max(0, first) : stop], lots[stop - 1])
        ax.plot(as_days(time), as_price(held, instrument, size=instrument.lot_size), drawstyle="steps-post", linewidth=1.2,
                label=f"position of {label}", **look)  # fmt: skip
    ax.axhline(0, color=INK, linewidth=0.5)
    ax.margins(y=0.18)
    ax.locator_params(axis="y", nbins=3)
    ax.set_ylabel("position", fontsize=7.5, color=INK)
