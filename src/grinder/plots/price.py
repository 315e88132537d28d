"""Price, resting ladder, fills and completed cycles of one symbol over time.

Nothing is told by colour alone: buys are triangles that point up and lines under the price, sells point down and lie over it;
entries are filled and solid, take-profits hollow and dashed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from grinder.plots.frame import (
    FAINT,
    FILL_COLOR,
    INK,
    LADDER_COLOR,
    SIZE,
    as_days,
    as_price,
    draw_mid,
    draw_time,
    frame,
    legend_style,
    mid_extremes,
    rank,
    thin,
    title,
    width_of,
    window_of,
)
from grinder.plots.inventory import draw_inventory
from grinder.records import BUY, SELL, IntentKind, OrderState, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grinder.run import Run

__all__ = ["Lives", "draw_price", "lives", "panels", "price"]

MARKER: Final = 13.0
"""Twice the height in points of a fill's triangle where there are few."""
LEGEND_FROM: Final = 3.0
"""Inches of a given axes from which a legend is drawn in it."""
NEAREST: Final = 5
"""Order prices shown on either side of the mid however far they are."""
REACH: Final = 0.75
"""How far over and under the mid's range further order prices are shown, in parts of that range."""


class Lives(NamedTuple):
    """Every stretch of time an order rested at one price, columns of equal length, by order and time.

    An amended order has one row for each of its prices; one that was cancelled before it was live has none.
    """

    order: np.ndarray
    """Order id"""
    start: np.ndarray
    """From when it was live at this price, ns"""
    end: np.ndarray
    """When it was filled, cancelled or moved, or the run's last event, ns"""
    price: np.ndarray
    """Ticks"""
    side: np.ndarray
    """+1 buy, -1 sell"""
    role: np.ndarray
    """Role"""


def price(run: Run, symbol: str | None = None, ax: Axes | None = None, between: tuple[int | str, int | str] | None = None) -> Axes:
    """Draw one symbol of a run: mid, resting orders, fills and completed cycles; price in quote units, time in UTC.

    The mid is a band from its lowest to its highest by stretch of events (`run.prices`), so that no extreme is hidden. Orders
    far from the price are left out of view and counted at the edge.

    Args:
        run: what to draw. symbol: default the run's first.
        ax: where to draw; default a new pyplot figure with a second panel of the inventory, which a notebook shows by itself.
        between: two times, in ns or UTC text such as "2024-01-03 14:02"; what is between them is drawn more closely.

    Returns:
        The axes of the price.

    Raises:
        ConfigError: the run has no such symbol.
    """
    s, shown = rank(run, symbol), window_of(run, between)
    if ax is None:
        import matplotlib.pyplot as plt

        return panels(run, s, plt.figure(figsize=SIZE, layout="constrained"), shown)
    handles = draw_price(run, s, ax, shown)
    draw_time(run, ax, shown)
    if width_of(ax) < LEGEND_FROM:
        return ax  # it would cover what it is about
    ax.legend(*handles, loc=_emptiest_corner(run, s, ax, shown), fontsize=6.5, framealpha=0.85, edgecolor="none", **legend_style())
    return ax


def lives(run: Run, symbol: str | None = None) -> Lives:
    """When every order of a symbol rested, and where.

    Raises:
        ConfigError: the run has no such symbol.
    """
    rows = run.orders.records
    rows = rows[rows["symbol"] == rank(run, symbol)]
    rows = rows[np.argsort(rows["order"], kind="stable")]
    first = np.ones(len(rows), bool)
    first[1:] = rows["order"][1:] != rows["order"][:-1]
    changed = first | (rows["to"] >= OrderState.FILLED)
    changed[1:] |= (rows["price"][1:] != rows["price"][:-1]) | (rows["live_ts"][1:] != rows["live_ts"][:-1])
    rows = rows[changed]

    order, start, over = rows["order"], rows["live_ts"], rows["to"] >= OrderState.FILLED
    end, was_live = np.full(len(rows), run.last_ts), np.ones(len(rows), bool)
    followed = np.flatnonzero(order[1:] == order[:-1])
    end[followed] = np.where(over[followed + 1], rows["ts"][followed + 1], start[followed + 1])
    was_live[followed] = rows["from"][followed + 1] != OrderState.PENDING
    drawn = ~over & was_live & (start <= end)

    placed = run.intents.records
    placed = placed[(placed["kind"] == IntentKind.PLACE) & (placed["order"] >= 0)]
    placed = placed[np.argsort(placed["order"], kind="stable")]
    intent = np.searchsorted(placed["order"], order[drawn])
    return Lives(order[drawn], start[drawn], end[drawn], rows["price"][drawn], placed["side"][intent], placed["role"][intent])


def panels(run: Run, s: int, figure: Figure, between: tuple[int, int] | None = None) -> Axes:
    """Price and, below it, inventory."""
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    figure.set_facecolor("white")
    handles = draw_price(run, s, top, between)
    draw_inventory(run, s, bottom)
    draw_time(run, bottom, between)
    top.tick_params(labelbottom=False)
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=7, frameon=False, **legend_style())
    axes: Axes = top
    return axes


def draw_price(run: Run, s: int, ax: Axes, between: tuple[int, int] | None = None) -> tuple[list[Any], list[str]]:
    """Everything on the price axis but its time; what the legend is to show."""
    instrument = run.instruments[s]
    frame(ax)
    fills, life = _seen(run, s, between)
    shown = [*draw_mid(run, s, ax, between), *_draw_fills(run, s, fills, ax), *_draw_ladder(run, s, life, ax)]
    ax.set_ylabel(f"price ({instrument.quote}, tick {instrument.tick_size})", fontsize=7.5, color=INK)
    _set_price_range(run, s, fills, life, ax, between)
    _title(run, s, ax)
    return [handle for handle, _ in shown], [label for _, label in shown]


def _seen(run: Run, s: int, between: tuple[int, int] | None) -> tuple[np.ndarray, Lives]:
    """Fills and resting orders of a symbol between two times, with the entries of cycles that were closed between them."""
    fills, life = run.fills.records, lives(run, run.symbols[s])
    fills = fills[fills["symbol"] == s]
    if between is None:
        return fills, life
    inside = (fills["ts"] >= between[0]) & (fills["ts"] <= between[1])
    inside |= (fills["ts"] < between[0]) & (fills["role"] == Role.ENTRY) & np.isin(fills["cycle"], fills["cycle"][inside])
    there = (life.end >= between[0]) & (life.start <= between[1])
    return fills[inside], Lives(*(column[there] for column in life))


def _draw_ladder(run: Run, s: int, life: Lives, ax: Axes) -> list[tuple[Any, str]]:
    """A line for every stretch in which an order rested at one price: four collections, by side and role."""
    from matplotlib.collections import LineCollection

    height = as_price(life.price, run.instruments[s])
    corners = np.stack([np.stack([as_days(life.start), height], 1), np.stack([as_days(life.end), height], 1)], 1)
    fine = thin(len(corners), 500, 1.0, 0.4)
    shown = []
    for side, name in ((BUY, "buy"), (SELL, "sell")):
        pair = []
        for entry, dashes in ((True, "solid"), (False, (0, (2.5, 1.5)))):
            mine = (life.side == side) & ((life.role == Role.ENTRY) == entry)
            lines = LineCollection(
                list(corners[mine]),
                colors=LADDER_COLOR[side] if entry else FILL_COLOR[side],
                linewidths=fine if entry else 0.8 * fine,
                linestyles=dashes,
                capstyle="projecting" if entry else "butt",
                zorder=2 if entry else 2.1,
                label=f"resting {name} {'entry' if entry else 'exit'}",
            )
            ax.add_collection(lines, autolim=False)
            pair.append(lines)
        shown.append((tuple(pair), f"{name} order: entry, take-profit"))
    return shown


def _draw_fills(run: Run, s: int, fills: np.ndarray, ax: Axes) -> list[tuple[Any, str]]:
    """Fills as triangles that stand on their price, and a faint line from the entry to the exit of every completed cycle.

    A triangle covers where the mid came from, never the low or high that it went on to.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D
    from matplotlib.path import Path

    time, height = as_days(fills["ts"]), as_price(fills["price"], run.instruments[s])
    entry = fills["role"] == Role.ENTRY
    size = thin(len(fills), 200, MARKER, 3.0)

    opened = np.flatnonzero(entry & (fills["cycle"] >= 0))
    opened = opened[np.argsort(fills["cycle"][opened], kind="stable")]
    closed = np.flatnonzero(fills["role"] == Role.TAKE_PROFIT)
    opened = opened[np.searchsorted(fills["cycle"][opened], fills["cycle"][closed])]
    points = np.stack([time, height], 1)
    links = LineCollection(
        list(np.stack([points[opened], points[closed]], 1)),
        colors=FAINT,
        linewidths=thin(len(closed), 500, 0.5, 0.2),
        alpha=0.45,
        zorder=2.5,
        label="cycles",
    )
    ax.add_collection(links, autolim=False)

    shown: list[tuple[Any, str]] = [(links, "completed cycle")]
    for side, name in ((BUY, "buy"), (SELL, "sell")):
        pair = []
        for is_entry in (True, False):
            mine = (fills["side"] == side) & (entry == is_entry)
            look: dict[str, Any] = {
                "linestyle": "none",
                "markerfacecolor": FILL_COLOR[side] if is_entry else "white",
                "markeredgecolor": "white" if is_entry else FILL_COLOR[side],
            }
            ax.plot(
                time[mine],
                height[mine],
                marker=Path([(-0.55, 0), (0.55, 0), (0, side), (-0.55, 0)], closed=True),
                markersize=size if is_entry else 0.9 * size,
                markeredgewidth=(0.05 if is_entry else 0.07) * size,
                zorder=4,
                label=f"{name} {'entry' if is_entry else 'exit'} fills",
                **look,
            )
            edge = 0.4 if is_entry else 0.9
            pair.append(Line2D([], [], marker="^" if side == BUY else "v", markersize=6, markeredgewidth=edge, **look))
        shown.append((tuple(pair), f"{name} fill: entry, take-profit"))
    return shown


def _set_price_range(run: Run, s: int, fills: np.ndarray, life: Lives, ax: Axes, between: tuple[int, int] | None) -> None:
    """Show the whole mid, every fill, and the orders that are not far off; count those that are."""
    rows = mid_extremes(run, s, between)
    fills = fills if between is None else fills[fills["ts"] >= between[0]]
    seen = [rows[:, 1], rows[:, 2], 2 * fills["price"]]
    if not any(map(len, seen)):
        ax.set_yticks([])
        return
    low, high = (int(pick(np.concatenate(seen))) for pick in (np.min, np.max))
    reach = int(REACH * (high - low))
    resting = 2 * life.price[life.price > 0]  # at 0 are takers on their way, which take any price
    prices = np.unique(resting)
    below, above = prices[prices < low], prices[prices > high]
    near = max([high, *above[:NEAREST], *above[above <= high + reach]])
    far = min([low, *below[-NEAREST:], *below[below >= low - reach]])
    over, under = int((resting > near).sum()), int((resting < far).sum())
    pad = max(4, int((0.07 if over or under else 0.03) * (near - far)))
    bottom, top = as_price(np.array([far - pad, near + pad]), run.instruments[s], 2)
    ax.set_ylim(bottom, top)
    for count, height, va, where in ((over, 0.99, "top", "above"), (under, 0.01, "bottom", "below")):
        if count:
            text = f"{count:,} resting orders {where} this view"
            room = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
            ax.text(0.99, height, text, transform=ax.transAxes, ha="right", va=va, fontsize=6.5, color=FAINT, zorder=5, bbox=room)


def _title(run: Run, s: int, ax: Axes) -> None:
    instrument, row = run.instruments[s], run.world.symbols[s]
    net = int(row["cash"]) + int(row["mid2"]) * (instrument.tick_value // 2) * int(row["position"])
    seen = "" if run.complete else f"   first {run.events:,} of {run.total:,} events"
    money = f"{'+' * (net > 0)}{instrument.money(net, 4)} {instrument.quote}"
    text = f"{row['cycles_done']:,} cycles   {row['fills']:,} fills   net PnL {money}   digest {run.digest.value[:12]}{seen}"
    title(ax, f"{run.name}   {instrument.symbol}", text)


def _emptiest_corner(run: Run, s: int, ax: Axes, between: tuple[int, int] | None) -> Any:
    """The corner of the axes that is farthest from the mid."""
    rows = mid_extremes(run, s, between)
    bottom, top = ax.get_ylim()
    best, corner = -np.inf, "upper right"
    half = len(rows) // 2
    for part, side in ((rows[: half + 1], "left"), (rows[half:], "right")):
        if len(part):
            low, high = as_price(np.array([part[:, 1].min(), part[:, 2].max()]), run.instruments[s], 2)
            for room, edge in ((top - high, "upper"), (low - bottom, "lower")):
                if room > best:
                    best, corner = room, f"{edge} {side}"
    return corner
