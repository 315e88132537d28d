"""Pictures of a run, one call each: `run.plot()`, `run.plot.equity()`; each takes `ax=` too, and returns the axes that it drew on.

>>> import grinder as gr
>>> run = gr.replay("binance_btcusdt_6m")
>>> axes = run.plot.price(between=("2024-08-08 23:58", "2024-08-08 23:59"))
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from grinder.plots.cycles import cycles
from grinder.plots.depth import depth
from grinder.plots.equity import equity
from grinder.plots.features import features
from grinder.plots.frame import rank
from grinder.plots.inventory import inventory
from grinder.plots.overview import overview
from grinder.plots.parting import parting
from grinder.plots.png import write_png
from grinder.plots.price import Lives, lives, price
from grinder.plots.regimes import regimes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grinder.run import Run

__all__ = [
    "Lives",
    "Plots",
    "cycles",
    "depth",
    "equity",
    "features",
    "inventory",
    "lives",
    "overview",
    "parting",
    "price",
    "regimes",
    "save_png",
]


class Plots:
    """What `run.plot` is: called, it draws price, position and account in one figure; its methods draw one picture each.

    Every method takes the axes to draw on as `ax=`, makes a figure of its own without, and returns the axes it drew on.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, symbol: str | None = None, ax: Axes | None = None) -> Axes:
        """Price, ladder and fills of one symbol (default: the first) before its regimes, its position, and the account, over time;
        `grinder.plots.overview.overview`. On one axes there is room for the price: with `ax` it is `price`.

        Returns:
            The axes of the price.
        """
        return overview(self._run, symbol) if ax is None else price(self._run, symbol, ax)

    def __repr__(self) -> str:
        return f"plots of {self._run.name}: price, regimes, inventory, equity, features, cycles, depth"

    def price(self, symbol: str | None = None, ax: Axes | None = None, between: tuple[int | str, int | str] | None = None) -> Axes:
        """Price with ladder, fills and take-profits; `grinder.plots.price.price`."""
        return price(self._run, symbol, ax, between)

    def regimes(self, symbol: str | None = None, ax: Axes | None = None) -> Axes:
        """When a symbol was in which regime; `grinder.plots.regimes.regimes`."""
        return regimes(self._run, symbol, ax)

    def inventory(self, symbol: str | None = None, ax: Axes | None = None) -> Axes:
        """The position of a symbol; `grinder.plots.inventory.inventory`."""
        return inventory(self._run, symbol, ax)

    def equity(self, ax: Axes | None = None) -> Axes:
        """Equity, drawdown and budget of the account; `grinder.plots.equity.equity`."""
        return equity(self._run, ax)

    def features(self, symbol: str | None = None, ax: Axes | None = None, names: Sequence[str] | None = None) -> Axes:
        """Features at bar closes; `grinder.plots.features.features`."""
        return features(self._run, symbol, ax, names)

    def cycles(self, symbol: str | None = None, ax: Axes | None = None) -> Axes:
        """What each cycle of a symbol earned; `grinder.plots.cycles.cycles`."""
        return cycles(self._run, symbol, ax)

    def depth(self, at: int | str | None = None, symbol: str | None = None, ax: Axes | None = None) -> Axes:
        """The book of a symbol at a time; `grinder.plots.depth.depth`."""
        return depth(self._run, at, symbol, ax)


def save_png(run: Run, path: str | os.PathLike[str], symbol: str | None = None) -> pathlib.Path:
    """Write the overview of one symbol, 1200 by 990 pixels, whole or not at all.

    The same run gives the same bytes with the same matplotlib: neither the user's style nor versions nor the time of day go in.

    Raises:
        ConfigError: the run has no such symbol, or the file cannot be written.
    """
    rank(run, symbol)
    return write_png(path, lambda figure: overview(run, symbol, figure))
