"""Pictures of a run: the mid, the resting ladder, the fills and the inventory of one symbol over time.

Colours are Okabe and Ito's, and nothing is told by colour alone: buys are triangles that point up and lines under the price,
sells point down and lie over it; entries are filled and solid, take-profits hollow and dashed.
"""

from __future__ import annotations

import io
import os
import pathlib
import secrets
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from grinder.errors import ConfigError
from grinder.records import BUY, SELL, IntentKind, OrderState, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grinder.data.instrument import Instrument
    from grinder.run import Run

__all__ = ["Lives", "lives", "price", "save_png"]

SIZE: Final = (8.0, 4.8)
"""Inches of a figure made here."""
DPI: Final = 150
"""Pixels an inch of a saved figure."""
INK: Final = "#222222"
FAINT: Final = "#6f6f6f"
FILL_COLOR: Final = {BUY: "#0072b2", SELL: "#d55e00"}
LADDER_COLOR: Final = {BUY: "#56b4e9", SELL: "#e69f00"}
MARKER: Final = 13.0
"""Twice the height in points of a fill's triangle where there are few."""
NEAREST: Final = 5
"""Order prices shown on either side of the mid however far they are."""
REACH: Final = 0.75
"""How far over and under the mid's range further order prices are shown, in parts of that range."""
NS: Final = 1_000_000_000


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


def price(run: Run, symbol: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw one symbol of a run: mid, resting orders, fills and completed cycles; price in quote units, time in UTC.

    The mid is a band from its lowest to its highest by stretch of events (`run.prices`), so that no extreme is hidden. Orders
    far from the price are left out of view and counted at the edge.

    Args:
        run: what to draw. symbol: default the run's first.
        ax: where to draw; default a new pyplot figure with a second panel of the inventory, which a notebook shows by itself.

    Returns:
        The axes of the price.

    Raises:
        ConfigError: the run has no such symbol.
    """
    s = _rank(run, symbol)
    if ax is None:
        import matplotlib.pyplot as plt

        return _panels(run, s, plt.figure(figsize=SIZE, layout="constrained"))
    handles = _draw_price(run, s, ax)
    _draw_time(run, ax)
    ax.legend(*handles, loc=_emptiest_corner(run, s, ax), fontsize=6.5, framealpha=0.85, edgecolor="none", **_legend_style())
    return ax


def save_png(run: Run, path: str | os.PathLike[str], symbol: str | None = None) -> pathlib.Path:
    """Write the picture of one symbol, 1200 by 720 pixels, whole or not at all.

    The same run gives the same bytes with the same matplotlib: neither the user's style nor versions nor the time of day go in.

    Raises:
        ConfigError: the run has no such symbol, or the file cannot be written.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    s = _rank(run, symbol)
    image = io.BytesIO()
    with style.context("default"):
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        _panels(run, s, figure)
        figure.savefig(image, format="png", dpi=DPI, metadata={"Software": None})
    target = pathlib.Path(path)
    scratch = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        with scratch.open("xb") as file:
            file.write(image.getbuffer())
        scratch.replace(target)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise ConfigError(f"the plot cannot be written to {target}: {error.strerror}") from None
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return target


def lives(run: Run, symbol: str | None = None) -> Lives:
    """When every order of a symbol rested, and where.

    Raises:
        ConfigError: the run has no such symbol.
    """
    rows = run.orders.records
    rows = rows[rows["symbol"] == _rank(run, symbol)]
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


# Panels


def _rank(run: Run, symbol: str | None) -> int:
    """A symbol's number; the first one's for None."""
    if symbol is None:
        return 0
    if symbol not in run.symbols:
        raise ConfigError(f"the run has no symbol {symbol!r}; it has {', '.join(run.symbols)}")
    return run.symbols.index(symbol)


def _panels(run: Run, s: int, figure: Figure) -> Axes:
    """Price and, below it, inventory."""
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    figure.set_facecolor("white")
    handles = _draw_price(run, s, top)
    _draw_inventory(run, s, bottom)
    _draw_time(run, bottom)
    top.tick_params(labelbottom=False)
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=7, frameon=False, **_legend_style())
    axes: Axes = top
    return axes


def _draw_price(run: Run, s: int, ax: Axes) -> tuple[list[Any], list[str]]:
    """Everything on the price axis but its time; what the legend is to show."""
    instrument = run.instruments[s]
    _frame(ax)
    life = lives(run, instrument.symbol)
    shown = [*_draw_mid(run, s, ax), *_draw_fills(run, s, ax), *_draw_ladder(run, s, life, ax)]
    ax.set_ylabel(f"price ({instrument.quote}, tick {instrument.tick_size})", fontsize=7.5, color=INK)
    _set_price_range(run, s, life, ax)
    _title(run, s, ax)
    return [handle for handle, _ in shown], [label for _, label in shown]


def _draw_mid(run: Run, s: int, ax: Axes) -> list[tuple[Any, str]]:
    """The mid as a band of its extremes, each stretch until the next, and a line through the band's middle."""
    rows = run.prices[run.prices[:, 0] == s]
    if not len(rows):
        ax.text(0.5, 0.5, "no price yet", transform=ax.transAxes, ha="center", va="center", color=FAINT)
        return []
    rows = np.concatenate([rows, rows[-1:]])
    time = _days(np.append(rows[:-1, 1], run.last_ts))
    low, high = (_price(rows[:, column], run.instruments[s], 2) for column in (2, 3))
    band = ax.fill_between(time, low, high, step="post", color=INK, alpha=0.3, linewidth=0.8, zorder=3, label="mid2")
    middle = (low + high) / 2
    busy = np.abs(np.diff(middle)).sum() / max(float(high.max() - low.min()), 1e-12)
    (line,) = ax.plot(time, middle, color=INK, linewidth=_thin(busy, 60, 0.8, 0.2), drawstyle="steps-post", zorder=3.1, label="mid")
    if len(rows) == 2:
        ax.plot(time[:1], low[:1], ".", color=INK, markersize=4, zorder=3.1)
    return [((band, line), "mid, from lowest to highest")]


def _draw_ladder(run: Run, s: int, life: Lives, ax: Axes) -> list[tuple[Any, str]]:
    """A line for every stretch in which an order rested at one price: four collections, by side and role."""
    from matplotlib.collections import LineCollection

    height = _price(life.price, run.instruments[s])
    corners = np.stack([np.stack([_days(life.start), height], 1), np.stack([_days(life.end), height], 1)], 1)
    thin = _thin(len(corners), 500, 1.0, 0.4)
    shown = []
    for side, name in ((BUY, "buy"), (SELL, "sell")):
        pair = []
        for entry, dashes in ((True, "solid"), (False, (0, (2.5, 1.5)))):
            mine = (life.side == side) & ((life.role == Role.ENTRY) == entry)
            lines = LineCollection(
                list(corners[mine]),
                colors=LADDER_COLOR[side] if entry else FILL_COLOR[side],
                linewidths=thin if entry else 0.8 * thin,
                linestyles=dashes,
                capstyle="projecting" if entry else "butt",
                zorder=2 if entry else 2.1,
                label=f"resting {name} {'entry' if entry else 'exit'}",
            )
            ax.add_collection(lines, autolim=False)
            pair.append(lines)
        shown.append((tuple(pair), f"{name} order: entry, take-profit"))
    return shown


def _draw_fills(run: Run, s: int, ax: Axes) -> list[tuple[Any, str]]:
    """Fills as triangles that stand on their price, and a faint line from the entry to the exit of every completed cycle.

    A triangle covers where the mid came from, never the low or high that it went on to.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D
    from matplotlib.path import Path

    fills = run.fills.records
    fills = fills[fills["symbol"] == s]
    time, height = _days(fills["ts"]), _price(fills["price"], run.instruments[s])
    entry = fills["role"] == Role.ENTRY
    size = _thin(len(fills), 200, MARKER, 3.0)

    opened = np.flatnonzero(entry & (fills["cycle"] >= 0))
    opened = opened[np.argsort(fills["cycle"][opened], kind="stable")]
    closed = np.flatnonzero(fills["role"] == Role.TAKE_PROFIT)
    opened = opened[np.searchsorted(fills["cycle"][opened], fills["cycle"][closed])]
    points = np.stack([time, height], 1)
    links = LineCollection(
        list(np.stack([points[opened], points[closed]], 1)),
        colors=FAINT,
        linewidths=_thin(len(closed), 500, 0.5, 0.2),
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


def _draw_inventory(run: Run, s: int, ax: Axes) -> None:
    """The position after every fill, in steps."""
    fills, instrument = run.fills.records, run.instruments[s]
    fills = fills[fills["symbol"] == s]
    begin = _span(run)[0]
    lots = np.concatenate([[0], np.cumsum(fills["side"] * fills["qty"])])
    lots = np.append(lots, lots[-1])
    time = _days(np.concatenate([[begin], fills["ts"], [max(begin, run.last_ts)]]))
    position = _price(lots, instrument, size=instrument.lot_size)
    _frame(ax)
    for side in (BUY, SELL):
        part = np.maximum(side * position, 0) * side
        ax.fill_between(time, part, step="post", color=LADDER_COLOR[side], alpha=0.45, linewidth=0)
    ax.plot(time, position, color=INK, linewidth=_thin(len(fills), 500, 0.9, 0.25), drawstyle="steps-post", label="position")
    ax.axhline(0, color=FAINT, linewidth=0.5)
    ax.margins(y=0.15)
    ax.locator_params(axis="y", nbins=3)
    if not lots.any():
        ax.set_ylim(-1, 1)
        ax.set_yticks([0])
    ax.set_ylabel("position", fontsize=7.5, color=INK)


# Frame


def _frame(ax: Axes) -> None:
    from matplotlib.ticker import ScalarFormatter

    ax.set_facecolor("white")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#b0b0b0")
    ax.tick_params(labelsize=7, color="#b0b0b0", labelcolor=INK, length=3)
    ax.grid(axis="y", color="#e8e8e8", linewidth=0.5)
    ax.set_axisbelow(True)
    plain = ScalarFormatter(useOffset=False)
    plain.set_scientific(False)
    ax.yaxis.set_major_formatter(plain)


def _draw_time(run: Run, ax: Axes) -> None:
    """The time axis, from the run's first event with a price to its last."""
    begin, end = _span(run)
    dates = _dates()
    locator = dates.AutoDateLocator(tz="UTC", minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz="UTC", show_offset=False))
    pad = max((end - begin) // 100, 0 if end > begin else NS)
    low, high = _days(np.array([begin - pad, end + pad]))
    ax.set_xlim(low, high)
    unit: Any = "s" if end - begin >= 10 * NS or end == begin else "ms" if end - begin >= NS // 100 else "ns"
    first, last = (np.datetime_as_string(np.datetime64(t, "ns"), unit=unit).replace("T", " ") for t in (begin, end))
    last = last.removeprefix(first[:11])
    ax.set_xlabel(f"{first} to {last} UTC", fontsize=7.5, color=INK)


def _set_price_range(run: Run, s: int, life: Lives, ax: Axes) -> None:
    """Show the whole mid, every fill, and the orders that are not far off; count those that are."""
    rows, fills = run.prices[run.prices[:, 0] == s], run.fills.records
    seen = [rows[:, 2], rows[:, 3], 2 * fills["price"][fills["symbol"] == s]]
    if not any(map(len, seen)):
        ax.set_yticks([])
        return
    low, high = (int(pick(np.concatenate(seen))) for pick in (np.min, np.max))
    reach = int(REACH * (high - low))
    prices = np.unique(2 * life.price)
    below, above = prices[prices < low], prices[prices > high]
    near = max([high, *above[:NEAREST], *above[above <= high + reach]])
    far = min([low, *below[-NEAREST:], *below[below >= low - reach]])
    over, under = int((2 * life.price > near).sum()), int((2 * life.price < far).sum())
    pad = max(4, int((0.07 if over or under else 0.03) * (near - far)))
    bottom, top = _price(np.array([far - pad, near + pad]), run.instruments[s], 2)
    ax.set_ylim(bottom, top)
    for count, height, va, where in ((over, 0.99, "top", "above"), (under, 0.01, "bottom", "below")):
        if count:
            text = f"{count:,} resting orders {where} this view"
            ax.text(0.99, height, text, transform=ax.transAxes, ha="right", va=va, fontsize=6.5, color=FAINT, zorder=5)


def _title(run: Run, s: int, ax: Axes) -> None:
    instrument, row = run.instruments[s], run.world.symbols[s]
    net = int(row["cash"]) + int(row["mid2"]) * (instrument.tick_value // 2) * int(row["position"])
    seen = "" if run.complete else f"   first {run.events:,} of {run.total:,} events"
    ax.set_title(f"{run.name}   {instrument.symbol}", loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=17)
    money = f"{'+' * (net > 0)}{instrument.money(net, 4)} {instrument.quote}"
    text = f"{row['cycles_done']:,} cycles   {row['fills']:,} fills   net PnL {money}   digest {run.digest.value[:12]}{seen}"
    ax.annotate(text, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=7.5, color=INK)


def _thin(count: float, few: float, most: float, least: float) -> float:
    """A width or size for `count` marks, in points: `most` for a few, shrinking with the root of the count to `least`."""
    return float(np.clip(most * np.sqrt(few / max(count, few)), least, most))


def _legend_style() -> dict[str, Any]:
    """Legend settings: the two marks of a pair side by side, a band and its line on top of each other."""
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.legend_handler import HandlerTuple

    class Pair(HandlerTuple):
        def create_artists(self, legend: Any, orig_handle: Any, *rest: Any) -> Any:
            self._ndivide = 1 if isinstance(orig_handle[0], PolyCollection) else None
            self._pad = 0.6 if isinstance(orig_handle[0], LineCollection) else 0.3
            return super().create_artists(legend, orig_handle, *rest)

    return {
        "handler_map": {tuple: Pair()},
        "handlelength": 3.6,
        "labelcolor": INK,
        "columnspacing": 2.0,
    }


def _emptiest_corner(run: Run, s: int, ax: Axes) -> Any:
    """The corner of the axes that is farthest from the mid."""
    rows = run.prices[run.prices[:, 0] == s]
    bottom, top = ax.get_ylim()
    best, corner = -np.inf, "upper right"
    half = len(rows) // 2
    for part, side in ((rows[: half + 1], "left"), (rows[half:], "right")):
        if len(part):
            low, high = _price(np.array([part[:, 2].min(), part[:, 3].max()]), run.instruments[s], 2)
            for room, edge in ((top - high, "upper"), (low - bottom, "lower")):
                if room > best:
                    best, corner = room, f"{edge} {side}"
    return corner


# Units


def _span(run: Run) -> tuple[int, int]:
    """First time with a price of any symbol and last time of the run, ns."""
    begin = int(run.prices[:, 1].min()) if len(run.prices) else run.last_ts
    return begin, max(begin, run.last_ts)


def _days(ts: np.ndarray) -> np.ndarray:
    """Times in ns as matplotlib's days, to about 1 us."""
    return np.asarray(_dates().date2num(np.asarray(ts, np.int64).astype("datetime64[ns]")), np.float64)


def _dates() -> Any:
    """matplotlib.dates, which has no types."""
    from importlib import import_module

    return import_module("matplotlib.dates")


def _price(units: np.ndarray, instrument: Instrument, parts: int = 1, size: str | None = None) -> np.ndarray:
    """Ticks (or `parts`-ths of one, or units of `size`) as floats for drawing."""
    unit = Fraction(instrument.tick_size if size is None else size) / parts
    return np.asarray(units, np.float64) * unit.numerator / unit.denominator
