"""A figure of a sweep over two settings: a field for each pair of values, with its number, and what is missing said.

Colour is lightness first (cividis), so that order survives colour blindness and a printer without colour; the number stands in the
field, the best field has a frame, gain and loss are parted by a line, and fields without a number have hatches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from grinder.errors import ConfigError
from grinder.landscape import Landscape, Scale, Spot, median_of
from grinder.plots.frame import FAINT, INK, frame, title, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RULES", "Field", "heatmap"]

RULES: Final[dict[str, Callable[[Sequence[Any]], Any]]] = {
    "median": median_of,
    "mean": lambda values: math.fsum(values) / len(values),
    "max": max,
    "min": min,
}
"""How several spots of a field become one value."""
COLORS: Final = "cividis"
NO_COLOR: Final = "#f4f4f4"
FAILED: Final = "xxxx"
UNDEFINED: Final = "...."


class Field(NamedTuple):
    """One field of the picture."""

    value: Any
    """None where there is none"""
    spots: int
    """combinations in it"""
    failed: int
    """of them, with a cell that failed"""


class _Columns(NamedTuple):
    """A scale as columns of the picture."""

    title: str
    labels: tuple[str, ...]
    of: tuple[int, ...]
    """of each value of the scale, its column"""


def heatmap(land: Landscape, x: str, y: str, ax: Axes | None = None, combine: str = "median", figure: Figure | None = None) -> Axes:
    """Draw a figure over two settings.

    Where other settings vary too, or there are many values, several combinations share a field, which shows their median (or what
    `combine` says; the heading tells).

    Args:
        land: the figure. x, y: settings that vary. ax: where to draw; default the whole of `figure`, or of a new pyplot figure.
        combine: one of `RULES`.

    Raises:
        ConfigError: a setting does not vary, both are the same, or there is no such rule.
    """
    if x == y:
        raise ConfigError(f"a heat map needs two settings, and {x!r} was named twice")
    if combine not in RULES:
        raise ConfigError(f"combine {combine!r}: there is no such rule; there are {', '.join(RULES)}")
    across, up = (_columns_of(land.scales[land.scale(name)]) for name in (x, y))
    fields = _fields(land, (x, y), (across, up), RULES[combine])
    own = ax is None
    if ax is None:
        ax = _whole(figure, len(across.labels), len(up.labels))
    _draw(land, ax, fields, (across, up))
    _head(land, ax, (x, y), fields, combine)
    _say_what_is_hatched(ax, fields, len(across.labels) * len(up.labels), own)
    return ax


def _whole(figure: Figure | None, columns: int, rows: int) -> Axes:
    """The axes of a figure whose size leaves room for so many fields."""
    size = (min(9.0, 3.0 + 0.62 * max(columns, 4)), min(7.0, 1.9 + 0.4 * max(rows, 3)))
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(layout="constrained")
    figure.set_size_inches(size)
    figure.set_facecolor("white")
    ax: Axes = figure.add_subplot()
    return ax


def _columns_of(scale: Scale) -> _Columns:
    """A column for each value; of many numbers for each stretch, with its first and last one."""
    of = scale.stretches
    labels = []
    for column in range(max(of) + 1):
        mine = [label for label, where in zip(scale.labels, of, strict=True) if where == column]
        alone = len(of) == max(of) + 1
        ends = mine[:1] if alone else [_short(label) for label in dict.fromkeys((mine[0], mine[-1]))]
        labels.append("\N{EN DASH}".join(ends))
    return _Columns(scale.title, tuple(labels), of)


def _short(label: str) -> str:
    """A number with at most three digits."""
    return f"{Decimal(label):.3g}"


def _fields(
    land: Landscape, names: tuple[str, str], columns: tuple[_Columns, _Columns], rule: Callable[[Sequence[Any]], Any]
) -> dict[tuple[int, int], Field]:
    """What is in each field that has a combination, by column and row."""
    at = [land.scale(name) for name in names]
    together: dict[tuple[int, int], list[Spot]] = {}
    for spot in land.spots:
        column, row = (part.of[spot.places[s]] for part, s in zip(columns, at, strict=True))
        together.setdefault((column, row), []).append(spot)
    out = {}
    for where, spots in together.items():
        known = [spot.value for spot in spots if spot.value is not None]
        out[where] = Field(rule(known) if known else None, len(spots), sum(1 for spot in spots if spot.failed))
    return out


def _draw(land: Landscape, ax: Axes, fields: dict[tuple[int, int], Field], columns: tuple[_Columns, _Columns]) -> None:
    across, up = columns
    frame(ax)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_facecolor(NO_COLOR)
    grid = np.full((len(up.labels), len(across.labels)), np.nan)
    for (column, row), field in fields.items():
        if field.value is not None:
            grid[row, column] = land.measure.number(field.value)
    mesh = ax.pcolormesh(
        np.arange(len(across.labels) + 1) - 0.5, np.arange(len(up.labels) + 1) - 0.5, np.ma.masked_invalid(grid),
        cmap=f"{COLORS}_r" if land.least else COLORS, edgecolors="white", linewidth=0.8, label="field",
    )  # fmt: skip
    _draw_hatches(ax, fields)
    _draw_numbers(land, ax, fields, mesh, len(across.labels))
    _draw_zero(ax, grid)
    _draw_best(land, ax, fields)
    _draw_bar(land, ax, mesh, grid)
    for axis, part in ((ax.xaxis, across), (ax.yaxis, up)):
        axis.set_ticks(range(len(part.labels)), part.labels)
        axis.set_label_text(part.title, fontsize=8, color=INK)
    room = width_of(ax) / max(1, len(across.labels))
    if room < 0.075 * max(map(len, across.labels)):
        ax.tick_params(axis="x", labelrotation=45)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)


def _draw_hatches(ax: Axes, fields: dict[tuple[int, int], Field]) -> None:
    """Fields without a number whole, those of which a part failed in a corner."""
    from matplotlib.patches import Polygon

    for (column, row), field in fields.items():
        if field.value is not None and not field.failed:
            continue
        left, right, bottom, top = column - 0.5, column + 0.5, row - 0.5, row + 0.5
        whole, corner = (
            ((left, bottom), (left, top), (right, top), (right, bottom)),
            ((right - 0.22, top), (right, top), (right, top - 0.34)),
        )
        ax.add_patch(Polygon(
            whole if field.value is None else corner, facecolor=NO_COLOR, hatch=FAILED if field.failed else UNDEFINED,
            edgecolor=FAINT, linewidth=0, zorder=2, label="failed" if field.failed else "undefined",
        ))  # fmt: skip


def _draw_numbers(land: Landscape, ax: Axes, fields: dict[tuple[int, int], Field], mesh: Any, columns: int) -> None:
    """The value in each field where it can be read."""
    known = [field.value for field in fields.values() if field.value is not None]
    places = land.measure.places(known, 3)
    texts = {where: land.measure.text(field.value, places) for where, field in fields.items() if field.value is not None}
    if not texts:
        return
    room = 72 * 0.8 * width_of(ax) / max(1, columns)
    size = min(8.0, room / (0.62 * max(map(len, texts.values()))))
    if size < 4.5:
        return
    colors = mesh.cmap(mesh.norm(np.array([land.measure.number(fields[where].value) for where in texts])))
    for (where, text), (red, green, blue, _) in zip(texts.items(), colors, strict=True):
        light = 0.299 * red + 0.587 * green + 0.114 * blue
        ax.text(*where, text, ha="center", va="center", fontsize=size, color=INK if light > 0.5 else "white", zorder=4)


def _draw_zero(ax: Axes, grid: np.ndarray) -> None:
    """A line between fields over 0 and fields that are not."""
    known, over = ~np.isnan(grid), grid > 0
    if not (over[known].any() and (~over[known]).any()):
        return
    look: dict[str, Any] = {"color": "#d55e00", "linewidth": 2.2, "solid_capstyle": "round", "zorder": 3, "label": "zero"}
    rows, columns = grid.shape
    for row in range(rows):
        for column in range(columns):
            here = (row, column)
            if column + 1 < columns and known[here] and known[row, column + 1] and over[here] != over[row, column + 1]:
                ax.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], **look)
            if row + 1 < rows and known[here] and known[row + 1, column] and over[here] != over[row + 1, column]:
                ax.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, **look)


def _draw_best(land: Landscape, ax: Axes, fields: dict[tuple[int, int], Field]) -> None:
    from matplotlib.patches import Rectangle

    known = {where: field.value for where, field in fields.items() if field.value is not None}
    if len(set(known.values())) < 2:
        return
    best = (min if land.least else max)(known.values())
    for (column, row), value in known.items():
        if value == best:
            for color, width in (("white", 3.6), (INK, 1.8)):
                ax.add_patch(Rectangle(
                    (column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=color, linewidth=width, zorder=5, label="best"
                ))  # fmt: skip


def _draw_bar(land: Landscape, ax: Axes, mesh: Any, grid: np.ndarray) -> None:
    known = grid[~np.isnan(grid)]
    if not len(known) or known.min() == known.max() or width_of(ax) < 2:
        return
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, fraction=0.06, aspect=24)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, color="#b0b0b0", labelcolor=INK, length=2)
    unit = land.measure.unit
    bar.set_label(f"{land.measure.name}, {unit}" if unit else land.measure.name, fontsize=8, color=INK)
    low, high = mesh.get_clim()
    if low < 0 < high:
        bar.ax.axhline(0, color="#d55e00", linewidth=2.2)


def _say_what_is_hatched(ax: Axes, fields: dict[tuple[int, int], Field], whole: int, own: bool) -> None:
    """A legend of fields without a number, where there are any."""
    from matplotlib.patches import Patch

    failed = sum(1 for field in fields.values() if field.failed and field.value is None)
    partly = sum(1 for field in fields.values() if field.failed) - failed
    undefined = sum(1 for field in fields.values() if field.value is None) - failed
    shown = []
    for count, hatch, name in (
        (failed, FAILED, "failed"), (partly, FAILED, "failed in part (corner)"), (undefined, UNDEFINED, "undefined"),
        (whole - len(fields), "", "not tried"),
    ):  # fmt: skip
        if count:
            shown.append(Patch(facecolor=NO_COLOR, edgecolor=FAINT, hatch=hatch, linewidth=0.5, label=f"{name}: {count:,}"))
    look: dict[str, Any] = {
        "ncols": 3,
        "fontsize": 7,
        "frameon": False,
        "labelcolor": INK,
        "handlelength": 1.8,
        "handleheight": 1.2,
    }
    if shown and own:
        ax.figure.legend(handles=shown, loc="outside lower center", **look)
    elif shown and width_of(ax) >= 2:
        ax.legend(handles=shown, loc="upper right", bbox_to_anchor=(1, -0.13), borderaxespad=0, **look)


def _head(land: Landscape, ax: Axes, names: tuple[str, str], fields: dict[tuple[int, int], Field], combine: str) -> None:
    """What is drawn, of what, and how several combinations became one number."""
    found = land.found
    data = list(dict.fromkeys(cell.name for cell in found.cells))
    of = ", ".join(data[:2]) + (f" and {len(data) - 2} more" if len(data) > 2 else "")
    most = max((field.spots for field in fields.values()), default=0)
    others = [scale.name for scale in land.scales if scale.name not in names]
    facts = []
    if most > 1:
        over = f" over {', '.join(others)}" if others else ""
        facts.append(f"{combine} of up to {most} combinations a field{over}")
    if len(found.accounts) > 1:
        facts.append(f"mean of {len(found.accounts)} fixtures")
    facts.append(f"{len(found):,} cells, frame: {'least' if land.least else 'most'}")
    title(ax, f"{of}   {land.measure.name}", "   ".join(facts))
