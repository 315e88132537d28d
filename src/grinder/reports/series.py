"""What a page draws beside the price: ladder, fills, regimes and gates, inventory, equity and its budget, and plans, as columns.

Times are microseconds from the run's start, prices ticks, quantities lots, money as many decimals of the quote currency as a reader
is shown. Where a run has more of something than a page has room for, what is left out is counted, and said in the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder.metrics import equity_path, regime_path
from grinder.plots.price import Lives, lives
from grinder.records import NONE, Regime
from grinder.reports.encoding import Column, column
from grinder.reports.quotes import US, start_of

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = [
    "FILLS",
    "LEVELS",
    "LIVES",
    "MARKS",
    "PLACES",
    "PLANS",
    "held",
    "money_unit",
    "of_portfolio",
    "of_symbol",
    "plan_columns",
]

PLACES: Final = 4
"""Decimals of money that are shown, those after them cut off."""
LIVES: Final = 100_000
"""Resting orders drawn, of all symbols together: those that rested longest."""
FILLS: Final = 100_000
"""Fills drawn, of all symbols together: every second, third ... where there are more."""
MARKS: Final = 100_000
"""Marks drawn, of all symbols together: where there are more, the lowest and highest of every few."""
PLANS: Final = 50_000
"""Plans with their numbers, of all symbols together: every second, third ... where there are more."""
LEVELS: Final = 150_000
"""Levels of plans, of all symbols together: those of the plans in force longest."""
PLAN_NUMBERS: Final = "center step width_down width_up levels_down levels_up tp_step budget worst_down worst_up".split()
PLAN_CODES: Final = "plan regime mode adds_down adds_up reasons".split()


def money_unit(run: Run) -> int:
    """How many atoms one unit of money in a page is."""
    return int(10 ** max(0, run.instruments[0].quote_decimals - PLACES))


def of_symbol(run: Run, s: int) -> dict[str, Any]:
    """What is drawn of a symbol, by name, each a mapping of columns; `left` counts what is not."""
    left: dict[str, int] = {}
    return {
        "ladder": _ladder(run, s, left),
        "fills": _fills(run, s, left),
        "regimes": _regimes(run, s),
        "gates": _gates(run, s),
        "position": _position(run, s, left),
        "left": left,
    }


def of_portfolio(run: Run) -> dict[str, Any]:
    """Equity at every mark, and at each its peak, drawdown and budget."""
    ts, equity = equity_path(run)
    marks = run.ledger.records[run.ledger["symbol"] == NONE]
    unit, few = money_unit(run), _extremes(MARKS, marks["equity"], marks["drawdown"])
    ends = np.concatenate([[0], 1 + few, [len(ts) - 1]])
    return {
        "equity": {"t": _times(run, ts[ends]), "value": column(_cut(equity[ends], unit))},
        "drawdown": {
            "t": _times(run, marks["ts"][few]),
            **{name: column(_cut(marks[name][few], unit)) for name in ("peak", "drawdown", "budget")},
        },
        "left": {"marks": len(marks) - len(few)},
    }


def _ladder(run: Run, s: int, left: dict[str, int]) -> dict[str, Column]:
    life, room = lives(run, run.symbols[s]), LIVES // len(run.symbols)
    order = np.arange(len(life.order))
    if len(order) > room:
        order = np.sort(np.argsort(life.start - life.end, kind="stable")[:room])
        left["ladder"] = len(life.order) - room
    order = order[np.argsort(life.start[order], kind="stable")]
    kept = Lives(*(part[order] for part in life))
    start = start_of(run)
    begin = (kept.start - start) // US
    return {
        "order": column(kept.order),
        "from": column(begin),
        "length": column((kept.end - start) // US - begin, 0),
        "price": column(kept.price),
        "kind": column(kept.side * (kept.role + 1), 0),
    }


def _fills(run: Run, s: int, left: dict[str, int]) -> dict[str, Column]:
    rows = run.fills.records
    rows = rows[rows["symbol"] == s]
    few = _few(len(rows), FILLS // len(run.symbols))
    if len(few) < len(rows):
        left["fills"] = len(rows) - len(few)
    rows = rows[few]
    names = ("order", "cycle", "price", "qty")
    codes = {name: column(rows[name], 0) for name in ("side", "role", "taker")}
    fee = column(_cut(rows["fee"], money_unit(run)), 0)
    return {"t": _times(run, rows["ts"]), **{name: column(rows[name]) for name in names}, **codes, "fee": fee}


def _regimes(run: Run, s: int) -> dict[str, Column]:
    if not (len(run.regimes) or (run.world.symbols["regime"] != Regime.RANGE).any()):
        return {"t": column(np.zeros(0, np.int64)), "code": column(np.zeros(0, np.int64)), "why": column(np.zeros(0, np.int64))}
    ts, codes = (np.array(part, np.int64) for part in regime_path(run, s))
    why = run.regimes["reasons"][run.regimes["symbol"] == s]
    return {
        "t": _times(run, np.maximum(ts, start_of(run))),
        "code": column(codes, 0),
        "why": column(np.concatenate([[0], why]).astype(np.int64), 0),
    }


def _gates(run: Run, s: int) -> dict[str, Column]:
    rows = run.gates.records
    rows = rows[rows["symbol"] == s]
    return {"t": _times(run, rows["ts"]), **{name: column(rows[name], 0) for name in ("gate", "to", "reasons")}}


def _position(run: Run, s: int, left: dict[str, int]) -> dict[str, Column]:
    marks = run.ledger.records
    marks = marks[marks["symbol"] == s]
    few = _extremes(MARKS // len(run.symbols), marks["position"])
    if len(few) < len(marks):
        left["marks"] = len(marks) - len(few)
    marks = marks[few]
    return {"t": _times(run, marks["ts"]), "lots": column(marks["position"])}


def plan_columns(run: Run) -> dict[str, Any]:
    """Plans as they were recorded, with their levels: `count` of each plan, prices and quantities one plan behind another."""
    few = _few(len(run.plans), PLANS)
    rows = run.plans.records[few]
    unit = money_unit(run)
    out: dict[str, Any] = {"t": _times(run, rows["ts"]), "event": column(rows["event"]), "symbol": column(rows["symbol"], 0)}
    out |= {name: column(rows[name], 0) for name in PLAN_CODES}
    for name in PLAN_NUMBERS:
        values = _cut(rows[name], unit) if name in ("budget", "worst_down", "worst_up") else rows[name]
        out[name] = column(values)
    return out | {"levels": _levels(run, few), "left": len(run.plans) - len(rows)}


def held(run: Run) -> np.ndarray:
    """How long each plan was in force, ns."""
    rows = run.plans.records
    out = np.zeros(len(rows), np.int64)
    for s in range(len(run.symbols)):
        mine = np.flatnonzero(rows["symbol"] == s)
        out[mine] = np.diff(np.append(rows["ts"][mine], run.last_ts))
    return out


def _levels(run: Run, few: np.ndarray) -> Mapping[str, Column]:
    """Levels of some plans, in the order of the plans, as recorded: of those in force longest where there is no room for all."""
    plans, levels = run.plans["plan"], run.levels.records
    of = np.searchsorted(plans, levels["plan"])
    count = np.bincount(of, minlength=len(plans)).astype(np.int64)
    order = few[np.argsort(-held(run)[few], kind="stable")]
    kept = np.zeros(len(plans), bool)
    kept[order[np.cumsum(count[order]) <= LEVELS]] = True
    levels = levels[kept[of]]
    return {
        "count": column(np.where(kept, count, 0)[few], 0),
        "price": column(levels["price"]),
        "qty": column(levels["qty"]),
        "side": column(levels["side"], 0),
    }


def _times(run: Run, ts: np.ndarray) -> Column:
    return column((ts - start_of(run)) // US)


def _cut(atoms: np.ndarray, unit: int) -> np.ndarray:
    """Money in units of a page, towards zero as everywhere that it is shown."""
    return np.where(atoms < 0, -(-atoms // unit), atoms // unit)


def _extremes(most: int, *columns: np.ndarray) -> np.ndarray:
    """Places of about so many rows: all, or the last and, of every few, the lowest and highest of each column: none is hidden."""
    count = len(columns[0])
    if count <= most:
        return np.arange(count)
    rows = np.arange(count)
    group = rows // -(-2 * len(columns) * count // max(1, most))
    ends = np.flatnonzero(np.diff(group, append=-1))
    kept = [np.array([count - 1])]
    for values in columns:
        order = np.lexsort((rows, values, group))
        kept += [order[ends], order[np.concatenate([[0], ends[:-1] + 1])]]
    return np.unique(np.concatenate(kept)).astype(np.int64)


def _few(count: int, most: int) -> np.ndarray:
    """Places of at most so many of `count` rows, the last among them, evenly."""
    step = max(1, -(-count // most)) if most > 0 else max(1, count)
    return np.arange(count - 1, -1, -step)[::-1].astype(np.int64)
