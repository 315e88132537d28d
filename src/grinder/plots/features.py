"""Features at bar closes, one panel each; where one is absent there is a gap, never a 0."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from grinder.errors import ConfigError
from grinder.plots.frame import FAINT, FILL_COLOR, INK, SIZE, draw_steps, draw_time, figure_of, frame, rank, title
from grinder.records import BUY, Feature
from grinder.units import BP, ONE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grinder.data.instrument import Instrument
    from grinder.run import Run

__all__ = ["NAMES", "features"]

NAMES: Final = tuple(str(feature.name).lower() for feature in Feature)
L1: Final = ("natr", "trend_strength", "efficiency_ratio", "spread_bps")
L2: Final = ("impact", "depth_imbalance")
PLAIN: Final = {
    "range_score": "", "efficiency_ratio": "", "imbalance_l1": "", "depth_imbalance": "", "trend_strength": "ATRs",
    "slope_bid": "lots per bp", "slope_ask": "lots per bp",
}  # fmt: skip
MONEY: Final = ("thin_l1", "depth_bid", "depth_ask")
COUNTS: Final = ("walls_bid", "walls_ask")


def features(run: Run, symbol: str | None = None, ax: Axes | None = None, names: Sequence[str] | None = None) -> Axes:
    """Draw features of one symbol at its bar closes, each held until the next.

    Args:
        run: what to draw. symbol: default the run's first.
        ax: where to draw, which holds one feature; default a new pyplot figure with a panel each.
        names: columns of `run.features`; default natr, trend_strength, efficiency_ratio and spread_bps, with books impact and
            depth_imbalance too; with `ax` natr.

    Returns:
        The axes of the first.

    Raises:
        ConfigError: the run has no such symbol or feature, or `ax` was to hold several.
    """
    s = rank(run, symbol)
    rows = run.features.records
    rows = rows[rows["symbol"] == s]
    if names is None:
        books = len(rows) and int((rows["absent"] & int(Feature.IMPACT) == 0).sum())
        names = L1[:1] if ax is not None else (*L1, *L2) if books else L1
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise ConfigError(f"there is no feature {', '.join(map(repr, unknown)) or 'named'}; there are {', '.join(NAMES)}")
    if ax is not None and len(names) > 1:
        raise ConfigError(f"one axes holds one feature: names=({names[0]!r},)")
    axes = [ax] if ax is not None else figure_of([1] * len(names), (SIZE[0], 1.1 + 1.15 * len(names)))[1]
    for name, one in zip(names, axes, strict=True):
        _draw(run, rows, name, run.instruments[s], one)
    draw_time(run, axes[-1])
    title(axes[0], f"{run.name}   {run.symbols[s]}   {names[0] if len(names) == 1 else 'features'}", f"{len(rows):,} bar closes")
    return axes[0]


def _draw(run: Run, rows: np.ndarray, name: str, instrument: Instrument, ax: Axes) -> None:
    there = rows["absent"] & int(Feature[name.upper()]) == 0
    unit, words = _unit(name, instrument)
    frame(ax)
    for k, part in enumerate(_stretches(there)):
        draw_steps(
            ax, rows["ts"][part], rows[name][part], unit, color=FILL_COLOR[BUY], linewidth=0.9, label=name if k == 0 else "_more"
        )
    if not there.any():
        ax.text(0.5, 0.5, "absent", transform=ax.transAxes, ha="center", va="center", color=FAINT, fontsize=8)
        ax.set_yticks([])
    for level in _limits(run, name):
        ax.axhline(level, color=INK, linewidth=0.7, linestyle=(0, (4, 2)), label="limit")
    ax.margins(y=0.12)
    ax.locator_params(axis="y", nbins=4)
    ax.set_ylabel(words, fontsize=7, color=INK)
    ax.annotate(
        name, (1, 1), (0, 2), xycoords="axes fraction", textcoords="offset points", ha="right", va="bottom", fontsize=7, color=INK
    )


def _stretches(there: np.ndarray) -> list[slice]:
    """Runs of rows that have the feature; the row after one ends the last value's step."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _unit(name: str, instrument: Instrument) -> tuple[Fraction, str]:
    """What one of the column's integers is on the axis, and the axis' unit."""
    if name in PLAIN:
        return Fraction(1, ONE), PLAIN[name]
    if name in MONEY:
        return instrument.atom, instrument.quote
    if name in COUNTS:
        return Fraction(1), "count"
    if name in ("tr", "atr"):
        return Fraction(instrument.tick_size) / 2 / ONE, instrument.quote
    return Fraction(1, BP), "bp"


def _limits(run: Run, name: str) -> tuple[float, ...]:
    """What the trend state compares a feature with when it begins."""
    config = run.config
    if name == "trend_strength":
        return (-float(config.trend_enter), float(config.trend_enter))
    return (float(config.er_enter),) if name == "efficiency_ratio" else ()
