"""Sweeps made of figures that a test chose: no replay, the same objects that `gr.sweep` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grinder as gr
from grinder.cells import COLUMNS, Cell, Result
from grinder.space import settings_at
from grinder.sweeping import Sweep

SPOT = gr.Instrument(symbol="ABC", kind="spot", tick_size="0.01", lot_size="1", quote="USDT")
UNIT = 10**8
DONE = {"days": 25, "fills": 90, "cycles_completed_total": 40, "dd_budget": 200 * UNIT, "dd_max": 10 * UNIT, "max_drawdown": 0.001}


def swept(
    cells: Sequence[tuple[Mapping[str, Any], Any]],
    *,
    metric: str = "pnl.total",
    fixtures: Sequence[str] = ("tape",),
    symbols: Sequence[tuple[str, ...]] | None = None,
    accounts: Sequence[gr.Instrument] | None = None,
    **others: Any,
) -> Sweep:
    """A finished sweep.

    Args:
        cells: settings and what came of them: a figure (of `metric`), a mapping of figures, None, or an error's text. Of several
            fixtures they go round.
    """
    made, results = [], []
    for k, (settings, outcome) in enumerate(cells):
        point = tuple(settings.items())
        place = k % len(fixtures)
        config = settings_at(gr.Config(), point)
        made.append(Cell(place, fixtures[place], point, config, f"{k:064x}"))
        if isinstance(outcome, str):
            results.append(Result(error=outcome))
            continue
        given = outcome if isinstance(outcome, Mapping) else {metric: outcome}
        results.append(Result(f"{k:064x}", {name: {**DONE, **given}.get(name, 0) for name in COLUMNS}))
    return Sweep(
        cells=tuple(made),
        results=tuple(results),
        varied=tuple(dict.fromkeys(name for settings, _ in cells for name in settings)),
        accounts=tuple(accounts or [SPOT] * len(fixtures)),
        computed=len(made),
        symbols=tuple(symbols or [("ABC",)] * len(fixtures)),
        objective=metric,
        **others,
    )


def line(values: Sequence[Any], **others: Any) -> Sweep:
    """A sweep of one setting, `levels`, from 1 on."""
    return swept([({"levels": k}, value) for k, value in enumerate(values, 1)], **others)


def square(rows: Sequence[Sequence[Any]], **others: Any) -> Sweep:
    """A sweep of two settings: `levels` from 1 on by row, `step` from 1 bp on by column."""
    cells = [({"step": f"{k}bp", "levels": r}, value) for r, row in enumerate(rows, 1) for k, value in enumerate(row, 1)]
    return swept(cells, **others)
