"""What pictures share: colours, axes, time, units, and lines of any number of points that hide no extreme.

Colours are Okabe and Ito's, and nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder.data.commands import parsed_time
from grinder.errors import ConfigError
from grinder.plots.decimation import columns_of
from grinder.records import BUY, SELL, Regime
from grinder.run import mids_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grinder.data.instrument import Instrument
    from grinder.run import Run

__all__ = [
    "FAINT",
    "FILL_COLOR",
    "INK",
    "LADDER_COLOR",
    "REGIME_COLOR",
    "SIZE",
    "as_days",
    "as_price",
    "dates",
    "draw_mid",
    "draw_steps",
    "draw_time",
    "figure_of",
    "frame",
    "legend_style",
    "mid_extremes",
    "money_of",
    "note",
    "rank",
    "scaled",
    "span",
    "steps_of",
    "thin",
    "title",
    "width_of",
    "window_of",
]

SIZE: Final = (8.0, 4.8)
"""Inches of a figure made here."""
INK: Final = "#222222"
FAINT: Final = "#6f6f6f"
FILL_COLOR: Final = {BUY: "#0072b2", SELL: "#d55e00"}
LADDER_COLOR: Final = {BUY: "#56b4e9", SELL: "#e69f00"}
REGIME_COLOR: Final = {
    Regime.RANGE: "#d0d0d0",
    Regime.TREND_UP: "#56b4e9",
    Regime.TREND_DOWN: "#e69f00",
    Regime.VOL_SHOCK: "#d55e00",
    Regime.THIN_BOOK: "#009e73",
    Regime.TOXIC: "#cc79a7",
    Regime.PAUSED: "#f0e442",
    Regime.EMERGENCY: "#000000",
}
NS: Final = 1_000_000_000
POINTS: Final = 4000
"""Points of a line that are drawn one by one; of more, the extremes of so many stretches of time."""


def draw_steps(ax: Axes, ts: np.ndarray, values: np.ndarray, unit: Fraction, **look: Any) -> Any:
    """A line of values that hold until the next, without hiding an extreme; see `steps_of`. `look` is as for `Axes.plot`."""
    (line,) = ax.plot(*steps_of(ts, values, unit), drawstyle="steps-post", **look)
    return line


def steps_of(ts: np.ndarray, values: np.ndarray, unit: Fraction) -> tuple[np.ndarray, np.ndarray]:
    """Points in days and on the axis; of many, the first, lowest, highest and last of each stretch of time, all at its beginning.

    Args:
        ts: int64, ns, ascending. values: int64. unit: what one of them is on the axis.
    """
    if len(ts) > POINTS:
        columns = columns_of(ts, values, int(ts[0]), int(ts[-1]), POINTS // 4)
        values = np.append(np.stack([columns.first, columns.low, columns.high, columns.last], 1).ravel(), values[-1])
        ts = np.append(np.repeat(columns.start, 4), ts[-1])
    return as_days(ts), scaled(values, unit)


def scaled(units: np.ndarray, unit: Fraction) -> np.ndarray:
    """Integers in units of `unit` as floats for drawing."""
    return np.asarray(units, np.float64) * unit.numerator / unit.denominator


def money_of(run: Run) -> tuple[Fraction, str]:
    """One atom, and the currency's name."""
    instrument = run.instruments[0]
    return instrument.atom, instrument.quote


def figure_of(panels: Sequence[float], size: tuple[float, float] = SIZE) -> tuple[Figure, list[Axes]]:
    """A new pyplot figure, which a notebook shows by itself, panels one under the other of these heights."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    figure.set_facecolor("white")
    axes = figure.subplots(len(panels), 1, sharex=True, height_ratios=list(panels), squeeze=False)[:, 0].tolist()
    for one in axes[:-1]:
        one.tick_params(labelbottom=False)
    return figure, axes


def title(ax: Axes, head: str, text: str) -> None:
    """A heading and, under it, a line of facts, of each as many parts, which three spaces divide, as there is room for.

    They take no part in the layout but for their height: long words must not make the axes narrow.
    """
    ax.set_title(" ", fontsize=9.5, pad=17)
    for words, above, size, weight in ((head, 17, 9.5, "bold"), (text, 5, 7.5, "normal")):
        shown = ax.annotate(
            _fitting(ax, words, size), (0, 1), (0, above), xycoords="axes fraction", textcoords="offset points", fontsize=size,
            fontweight=weight, color=INK, annotation_clip=False, parse_math=False,
        )  # fmt: skip
        shown.set_in_layout(False)


def width_of(ax: Axes) -> float:
    """Inches from left to right of an axes, before its layout."""
    return float(ax.get_window_extent().width / ax.figure.dpi)


def _fitting(ax: Axes, words: str, size: float) -> str:
    """The first parts of a text that fit over an axes; at least one."""
    parts, room = words.split("   "), width_of(ax) * 72 / (0.6 * size)
    while len(parts) > 1 and len("   ".join(parts)) > room:
        parts.pop()
    return "   ".join(parts)


def note(ax: Axes, text: str, where: str = "bottom") -> None:
    """A faint remark in a right corner of the axes."""
    y = 0.02 if where == "bottom" else 0.98
    ax.text(0.99, y, text, transform=ax.transAxes, ha="right", va=where, fontsize=6.5, color=FAINT, zorder=6)


def rank(run: Run, symbol: str | None) -> int:
    """A symbol's number; the first one's for None."""
    if symbol is None:
        return 0
    if symbol not in run.symbols:
        raise ConfigError(f"the run has no symbol {symbol!r}; it has {', '.join(run.symbols)}")
    return run.symbols.index(symbol)


def frame(ax: Axes) -> None:
    """Make an axes look like all others: quiet lines, whole numbers on the left."""
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


def draw_time(run: Run, ax: Axes, between: tuple[int, int] | None = None) -> None:
    """The time axis, from the run's first event with a price to its last, or between two times."""
    begin, end = span(run) if between is None else between
    found = dates()
    locator = found.AutoDateLocator(tz="UTC", minticks=2, maxticks=int(np.clip(1.6 * width_of(ax), 5, 9)))
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(found.ConciseDateFormatter(locator, tz="UTC", show_offset=False))
    pad = max((end - begin) // 100, 0 if end > begin else NS)
    low, high = as_days(np.array([begin - pad, end + pad]))
    ax.set_xlim(low, high)
    unit: Any = "s" if end - begin >= 10 * NS or end == begin else "ms" if end - begin >= NS // 100 else "ns"
    first, last = (np.datetime_as_string(np.datetime64(t, "ns"), unit=unit).replace("T", " ") for t in (begin, end))
    last = last.removeprefix(first[:11])
    ax.set_xlabel(f"{first} to {last} UTC", fontsize=7.5, color=INK)


def window_of(run: Run, between: tuple[int | str, int | str] | None) -> tuple[int, int] | None:
    """Two times of a run, in ns or UTC text, as ns.

    Raises:
        ConfigError: they are no times, or not in order, or out of the run.
    """
    if between is None:
        return None
    begin, end = (parsed_time(time, "between") for time in between)
    if not (begin < end and begin <= run.last_ts and end >= run.first_ts):
        times = " to ".join(str(np.datetime64(time, "ns")) for time in (begin, end))
        first, last = (np.datetime64(time, "ns") for time in (run.first_ts, run.last_ts))
        raise ConfigError(f"between {times}: no part of this run of {run.name}, which is from {first} to {last} UTC")
    return begin, end


def mid_extremes(run: Run, s: int, between: tuple[int, int] | None = None) -> np.ndarray:
    """Lowest and highest mid of a symbol by stretches: int64 (n, 3): ts, low and high mid2.

    Of a part of a run that has its events the stretches are made anew, so that a closer look shows more; the stretch that was
    under way at its beginning is in it.
    """
    if between is not None and run.market is not None:
        columns = columns_of(*mids_of(run.market, s, len(run.instruments)), *between, POINTS)
        return np.stack([columns.start, columns.low, columns.high], 1)
    known = run.prices[run.prices[:, 0] == s][:, 1:]
    if between is None:
        return np.asarray(known)
    first, stop = np.searchsorted(known[:, 0], between[0], side="right") - 1, np.searchsorted(known[:, 0], between[1], side="right")
    return np.asarray(known[max(0, int(first)) : int(stop)])


def draw_mid(run: Run, s: int, ax: Axes, between: tuple[int, int] | None = None) -> list[tuple[Any, str]]:
    """The mid as a band of its extremes, each stretch until the next, and a line through the band's middle."""
    rows = mid_extremes(run, s, between)
    if not len(rows):
        ax.text(0.5, 0.5, "no price yet", transform=ax.transAxes, ha="center", va="center", color=FAINT)
        return []
    end = run.last_ts if between is None else min(run.last_ts, between[1])
    rows = np.concatenate([rows, rows[-1:]])
    time = as_days(np.append(rows[:-1, 0], end))
    low, high = (as_price(rows[:, column], run.instruments[s], 2) for column in (1, 2))
    band = ax.fill_between(time, low, high, step="post", color=INK, alpha=0.3, linewidth=0.8, zorder=3, label="mid2")
    middle = (low + high) / 2
    busy = np.abs(np.diff(middle)).sum() / max(float(high.max() - low.min()), 1e-12)
    (line,) = ax.plot(time, middle, color=INK, linewidth=thin(busy, 60, 0.8, 0.2), drawstyle="steps-post", zorder=3.1, label="mid")
    if len(rows) == 2:
        ax.plot(time[:1], low[:1], ".", color=INK, markersize=4, zorder=3.1)
    return [((band, line), "mid, from lowest to highest")]


def thin(count: float, few: float, most: float, least: float) -> float:
    """A width or size for `count` marks, in points: `most` for a few, shrinking with the root of the count to `least`."""
    return float(np.clip(most * np.sqrt(few / max(count, few)), least, most))


def legend_style() -> dict[str, Any]:
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


def span(run: Run) -> tuple[int, int]:
    """First time with a price of any symbol and last time of the run, ns."""
    begin = int(run.prices[:, 1].min()) if len(run.prices) else run.last_ts
    return begin, max(begin, run.last_ts)


def as_days(ts: np.ndarray) -> np.ndarray:
    """Times in ns as matplotlib's days, to about 1 us."""
    return np.asarray(dates().date2num(np.asarray(ts, np.int64).astype("datetime64[ns]")), np.float64)


def dates() -> Any:
    """matplotlib.dates, which has no types."""
    from importlib import import_module

    return import_module("matplotlib.dates")


def as_price(units: np.ndarray, instrument: Instrument, parts: int = 1, size: str | None = None) -> np.ndarray:
    """Ticks (or `parts`-ths of one, or units of `size`) as floats for drawing."""
    unit = Fraction(instrument.tick_size if size is None else size) / parts
    return np.asarray(units, np.float64) * unit.numerator / unit.denominator
