"""Pictures of a sweep, one call each: `found.plot()`, `found.plot.heatmap("step", "levels")`, `found.plot.profile("step")`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from grinder.errors import ConfigError
from grinder.landscape import Landscape
from grinder.plots.heatmap import heatmap
from grinder.plots.png import write_png
from grinder.plots.profile import profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grinder.sweeping import Sweep

__all__ = ["SweepPlots", "choose", "save_png"]


class SweepPlots:
    """What `found.plot` is. Every method takes the axes to draw on as `ax=`, makes a figure of its own without, and returns it."""

    def __init__(self, found: Sweep) -> None:
        self._found = found

    def __call__(self, metric: str | None = None, ax: Axes | None = None, *, least: bool | None = None) -> Axes:
        """The heat map of the two settings that move the figure most; of one setting its profile."""
        land = self._found.landscape(metric, least=least)
        return _draw(land, ax)

    def __repr__(self) -> str:
        return f"plots of a sweep of {len(self._found)} cells over {', '.join(self._found.varied) or 'nothing'}: heatmap, profile"

    def heatmap(
        self,
        x: str,
        y: str,
        metric: str | None = None,
        *,
        combine: str = "median",
        least: bool | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """A figure over two settings; `grinder.plots.heatmap.heatmap`."""
        return heatmap(self._found.landscape(metric, least=least), x, y, ax, combine)

    def profile(self, x: str, metric: str | None = None, *, least: bool | None = None, ax: Axes | None = None) -> Axes:
        """A figure over one setting; `grinder.plots.profile.profile`."""
        return profile(self._found.landscape(metric, least=least), x, ax)


def choose(land: Landscape) -> tuple[str, ...]:
    """The two settings whose values move the median of the figure farthest, in the order of the table; fewer where fewer vary.

    Raises:
        ConfigError: nothing varies.
    """
    moving = [s for s, scale in enumerate(land.scales) if len(scale) > 1]
    if not moving:
        raise ConfigError("no setting takes two values in this sweep, so that there is nothing to draw it over")

    def reach(s: int) -> float:
        known = [value for value in land.by_value(s) if value is not None]
        return float(max(known) - min(known)) if known else 0.0

    first = sorted(moving, key=reach, reverse=True)[:2]
    return tuple(land.scales[s].name for s in sorted(first))


def _draw(land: Landscape, ax: Axes | None, figure: Figure | None = None) -> Axes:
    names = choose(land)
    if len(names) == 1:
        return profile(land, names[0], ax, figure)
    return heatmap(land, names[0], names[1], ax, figure=figure)


def save_png(found: Sweep, path: str | os.PathLike[str], metric: str | None = None, *, least: bool | None = None) -> Path:
    """Write the picture of `found.plot()`, whole or not at all: the same sweep gives the same bytes with the same matplotlib.

    Raises:
        ConfigError: nothing varies, there is no such figure, or the file cannot be written.
    """
    land = found.landscape(metric, least=least)
    choose(land)
    return write_png(path, lambda figure: _draw(land, None, figure))
