"""A run in one picture: price with its ladder and fills before bands of regimes, the position, the account and its drawdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grinder.plots.equity import draw_account
from grinder.plots.frame import INK, REGIME_COLOR, as_days, draw_time, legend_style, rank
from grinder.plots.inventory import draw_inventory
from grinder.plots.price import draw_price
from grinder.plots.regimes import draw_bands, spans_of
from grinder.records import Regime

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grinder.run import Run

__all__ = ["SIZE", "overview"]

SIZE: Final = (8.0, 6.6)
"""Inches."""
HEIGHTS: Final = (5, 1.1, 2)
BAND: Final = 0.22
"""Opacity of bands, under which the ladder is still seen."""
NAMED: Final = 0.09
"""A band that is at least this share of the picture's width has the name of its regime in it."""


def overview(run: Run, symbol: str | None = None, figure: Figure | None = None) -> Axes:
    """Draw price, position and account, one under the other over the same time.

    Bands behind the price are regimes other than RANGE; wide ones are named. The account is of all symbols together.

    Args:
        run: what to draw. symbol: whose price and position; default the run's first. figure: default a new one of pyplot, which a
            notebook shows by itself.

    Returns:
        The axes of the price; those of the position and of the account are the figure's next.

    Raises:
        ConfigError: the run has no such symbol.
    """
    s = rank(run, symbol)
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(layout="constrained")
    figure.set_size_inches(SIZE)
    figure.set_facecolor("white")
    price, position, account = figure.subplots(len(HEIGHTS), 1, sharex=True, height_ratios=HEIGHTS)
    handles, labels = draw_price(run, s, price)
    draw_bands(run, s, price, BAND)
    draw_inventory(run, s, position)
    draw_account(run, account)
    draw_time(run, account)
    account.locator_params(axis="y", nbins=5)
    account.legend(loc="best", fontsize=6.5, framealpha=0.85, edgecolor="none", labelcolor=INK, ncols=4)
    _name_bands(run, s, price)
    for ax in (price, position):
        ax.tick_params(labelbottom=False)
    patches = _patches(run, s)
    figure.legend(
        [*handles, *patches],
        [*labels, *(one.get_label() for one in patches)],
        loc="outside lower center",
        ncols=3 if len(patches) < 3 else 4,
        fontsize=7,
        frameon=False,
        **legend_style(),
    )
    figure.align_ylabels([price, position, account])
    first: Axes = price
    return first


def _patches(run: Run, s: int) -> list[Any]:
    """What the legend shows of regimes."""
    from matplotlib.patches import Patch

    codes = spans_of(run, s)[2]
    there = [regime for regime in Regime if regime != Regime.RANGE and (codes == regime).any()]
    return [Patch(facecolor=REGIME_COLOR[regime], alpha=BAND, edgecolor="none", label=regime.name) for regime in there]


def _name_bands(run: Run, s: int, ax: Axes) -> None:
    """Names of regimes in bands that are wide enough."""
    begin, end, codes = spans_of(run, s)
    whole = max(1, run.last_ts - run.first_ts)
    wide = (codes != Regime.RANGE) & ((end - begin) >= NAMED * whole)
    for at, code in zip(as_days(begin[wide] + (end - begin)[wide] // 2).tolist(), codes[wide].tolist(), strict=True):
        ax.text(
            at, 0.985, Regime(code).name, transform=ax.get_xaxis_transform(), ha="center", va="top", fontsize=6, color=INK, zorder=6
        )
