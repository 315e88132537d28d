"""Regimes of one symbol over time: bands behind the price, and a lane for each, which tells them apart without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grinder.metrics import regime_path
from grinder.plots.frame import INK, REGIME_COLOR, as_days, draw_mid, draw_time, figure_of, frame, rank, title
from grinder.records import Regime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grinder.run import Run

__all__ = ["draw_bands", "regimes", "spans_of"]


def regimes(run: Run, symbol: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw when a symbol was in which regime: a lane each, with its share of the time.

    A policy that looks at no gate is in RANGE all the time.

    Args:
        run: what to draw. symbol: default the run's first.
        ax: where to draw the lanes; default a new pyplot figure with the mid over them, before bands of the same colours.

    Returns:
        The axes of the lanes.

    Raises:
        ConfigError: the run has no such symbol.
    """
    s = rank(run, symbol)
    if ax is None:
        _, (top, ax) = figure_of([3, 2])
        frame(top)
        draw_bands(run, s, top)
        draw_mid(run, s, top)
        instrument = run.instruments[s]
        top.set_ylabel(f"mid, {instrument.quote}", fontsize=7.5, color=INK)
        top.margins(y=0.06)
        title(top, f"{run.name}   {instrument.symbol}   regimes", _facts(run, s))
    else:
        title(ax, f"{run.name}   {run.symbols[s]}   regimes", _facts(run, s))
    _draw_lanes(run, s, ax)
    draw_time(run, ax)
    return ax


def spans_of(run: Run, s: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Begin, end and code of every stay in a regime."""
    starts, codes = regime_path(run, s)
    begin = np.array(starts, np.int64)
    return begin, np.append(begin[1:], run.last_ts), np.array(codes, np.int64)


def _facts(run: Run, s: int) -> str:
    changes = len(spans_of(run, s)[2]) - 1
    return f"{changes:,} change{'s' * (changes != 1)} of regime   digest {run.digest.value[:12]}"


def draw_bands(run: Run, s: int, ax: Axes, alpha: float = 0.3) -> None:
    """A band behind everything for every stay in a regime other than RANGE."""
    begin, end, codes = spans_of(run, s)
    for regime in Regime:
        mine = codes == regime
        if regime != Regime.RANGE and mine.any():
            ranges = list(zip(as_days(begin[mine]).tolist(), (as_days(end[mine]) - as_days(begin[mine])).tolist(), strict=True))
            ax.broken_barh(
                ranges, (0, 1), transform=ax.get_xaxis_transform(), color=REGIME_COLOR[regime], alpha=alpha, linewidth=0, zorder=1
            )


def _draw_lanes(run: Run, s: int, ax: Axes) -> None:
    begin, end, codes = spans_of(run, s)
    whole = max(1, run.last_ts - run.first_ts)
    frame(ax)
    ax.grid(visible=False)
    present = [regime for regime in Regime if (codes == regime).any()]
    for lane, regime in enumerate(present):
        mine = codes == regime
        ranges = list(zip(as_days(begin[mine]).tolist(), (as_days(end[mine]) - as_days(begin[mine])).tolist(), strict=True))
        color = REGIME_COLOR[regime]
        ax.broken_barh(ranges, (lane - 0.36, 0.72), facecolor=color, edgecolor=color, linewidth=0.6, label=regime.name)
        ax.axhline(lane, color="#e0e0e0", linewidth=0.5, zorder=0)
    shares = [100 * int((end - begin)[codes == regime].sum()) / whole for regime in present]
    names = [f"{regime.name}  {share:.1f} %" for regime, share in zip(present, shares, strict=True)]
    ax.set_yticks(range(len(present)), names)
    ax.set_ylim(len(present) - 0.4, -0.6)
