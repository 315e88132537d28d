"""The book at a moment: what is displayed up to each price, and where the run's own orders stand in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grinder.data.commands import parsed_time
from grinder.errors import ConfigError
from grinder.plots.frame import FILL_COLOR, INK, as_price, figure_of, frame, note, rank, title, width_of
from grinder.plots.price import LEGEND_FROM, lives
from grinder.records import BUY, SELL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grinder.run import Run

__all__ = ["depth"]


def depth(run: Run, at: int | str | None = None, symbol: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the last accepted book of one symbol at or before a time: cumulative quantity by price, with the orders resting then.

    Args:
        run: what to draw; one that was loaded has no books any more. at: ns, or UTC text such as "2024-01-03 14:02"; default the
            run's last event. symbol: default the run's first. ax: where to draw; default a new pyplot figure.

    Raises:
        ConfigError: no such symbol, or no book at that time.
    """
    s = rank(run, symbol)
    then = run.last_ts if at is None else parsed_time(at, "at")
    if run.market is None:
        raise ConfigError(f"this run of {run.name} was loaded, and books are not saved with a run: replay {run.name} to draw one")
    events = run.market
    rows = events.book_rows
    good = (events.symbol[rows] == s) & (events.fault[rows] == 0) & (events.ts[rows] <= then)
    if not good.any():
        when = np.datetime64(then, "ns")
        raise ConfigError(f"{run.name} has no book of {run.symbols[s]} at or before {when} UTC: its quotes alone have no depth")
    k = int(np.flatnonzero(good)[-1])
    if ax is None:
        ax = figure_of([1], (8.0, 4.2))[1][0]
    _draw(run, s, k, then, ax)
    return ax


def _draw(run: Run, s: int, k: int, then: int, ax: Axes) -> None:
    assert run.market is not None
    instrument, book = run.instruments[s], run.market.books[k]
    frame(ax)
    sides = ((BUY, "bids", book[0], book[1]), (SELL, "asks", book[2], book[3]))
    deepest = 0
    for side, name, prices, sizes in sides:
        there = prices > 0
        total = np.cumsum(sizes[there])
        deepest = max(deepest, int(total.max(initial=0)))
        x = as_price(np.append(prices[there][:1], prices[there]), instrument)
        y = as_price(np.append(0, total), instrument, size=instrument.lot_size)
        dashes = "solid" if side == BUY else (0, (5, 1.5))
        ax.step(x, y, where="post", color=FILL_COLOR[side], linewidth=1.3, linestyle=dashes, label=name)
        ax.fill_between(x, y, step="post", color=FILL_COLOR[side], alpha=0.18, linewidth=0)
    left, right = ax.get_xlim()
    life = lives(run, instrument.symbol)
    resting = (life.start <= then) & ((life.end > then) | (life.end == run.last_ts))
    prices = as_price(life.price[resting], instrument)
    inside = (prices >= left) & (prices <= right)
    for side, marker, name in ((BUY, "^", "own buy orders"), (SELL, "v", "own sell orders")):
        mine = inside & (life.side[resting] == side)
        if not mine.any():
            continue
        ax.plot(prices[mine], np.zeros(int(mine.sum())), marker=marker, markersize=7, linestyle="none", color=FILL_COLOR[side],
                markeredgecolor="white", clip_on=False, zorder=5, label=name)  # fmt: skip
    outside = int((~inside).sum())
    if outside and width_of(ax) >= LEGEND_FROM:
        note(ax, f"{outside:,} own orders rest outside this book", "top")
    ax.set_xlim(left, right)
    ax.set_ylim(0, 1.18 * max(1e-12, float(as_price(np.array([deepest]), instrument, size=instrument.lot_size)[0])))
    ax.set_xlabel(f"price, {instrument.quote}", fontsize=7.5, color=INK)
    ax.set_ylabel("displayed up to there", fontsize=7.5, color=INK)
    columns = 4 if width_of(ax) >= LEGEND_FROM else 1
    ax.legend(loc="upper left", ncols=columns, fontsize=6.5, framealpha=0.85, edgecolor="none", labelcolor=INK)
    ax.locator_params(axis="x", nbins=int(np.clip(1.3 * width_of(ax), 3, 9)))
    stamp = np.datetime_as_string(np.datetime64(int(run.market.ts[run.market.book_rows[k]]), "ns"), unit="ms").replace("T", " ")
    best = f"{instrument.price(int(book[0][0]))} / {instrument.price(int(book[2][0]))} {instrument.quote}"
    title(ax, f"{run.name}   {instrument.symbol}   book", f"{stamp} UTC   best {best}")
