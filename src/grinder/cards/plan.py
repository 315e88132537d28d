"""The card of a grid plan: its prices and quantities, level by level, in the ticks and lots that it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder import plan as ladders
from grinder.cards.page import Row, element, escaped, fragment, signed, table
from grinder.records import BUY, LADDER_SLOTS, LEVEL, MAX_LEVELS, PLAN, SELL, Adds, Mode, Reason, Regime
from grinder.units import BP, MAX_PRICE_TICKS, MICRO, ONE, format_units
from grinder.wording import named

if TYPE_CHECKING:
    from grinder.policies.own import GridPlan

__all__ = ["as_html", "prices"]

TENTH: Final = BP // 10
SHOWN: Final = 16
"""Levels of a side that are listed."""


def as_html(plan: GridPlan) -> str:
    """The card as a fragment with its own style; the same bytes for the same plan."""
    return fragment([*_head(plan), _levels(plan), *_reasons(plan)], "", "grinder-plan")


def _head(plan: GridPlan) -> Iterable[str]:
    yield element("h3", f"Grid plan of symbol {escaped(plan.symbol)}")
    adds = [named(Adds, int(value)) for value in (plan.adds_down, plan.adds_up)]
    facts = (
        ("regime, mode", f"{named(Regime, int(plan.regime))}, {named(Mode, int(plan.mode))}"),
        ("center", f"{_decimal(plan.center, MICRO)} ticks"),
        ("step, take-profit", f"{_decimal(plan.step, BP)} bp, {_decimal(plan.tp_step, BP)} bp"),
        ("width down, up", f"{_decimal(plan.width_down, BP)} bp, {_decimal(plan.width_up, BP)} bp"),
        ("adds down, up", ", ".join([*adds, *["reduce only"] * bool(plan.reduce_only)])),
        ("budget", f"{plan.budget:,} atoms; at worst {plan.worst_down:,} down, {plan.worst_up:,} up" if plan.budget else "none"),
    )
    yield table("", [Row((escaped(name), escaped(text))) for name, text in facts])


def prices(plan: GridPlan) -> tuple[list[int], list[int]]:
    """Prices of the levels down and up in ticks, nearest first, by the engine's own formula; none of a plan it refuses."""
    levels = (plan.levels_down, plan.levels_up)
    if not (1 <= plan.center <= MAX_PRICE_TICKS * MICRO and 1 <= plan.step <= ONE and all(0 <= n <= MAX_LEVELS for n in levels)):
        return [], []
    made, ladder = np.zeros(1, PLAN), np.zeros((2, LADDER_SLOTS), LEVEL)
    row = made[0]
    row["center"], row["rung_down"], row["rung_up"], row["last_index"] = plan.center, plan.step, plan.step, LADDER_SLOTS - 1
    lay_levels: Any = ladders.lay_levels  # a kernel, which numba types
    kept = [lay_levels(row, ladder[i], side, levels[i]) for i, side in enumerate((BUY, SELL))]
    down, up = (ladder[i]["px"][1 : kept[i] + 1].tolist() for i in (0, 1))
    return down, up


def _levels(plan: GridPlan) -> str:
    sides = list(zip(prices(plan), (plan.size_schedule_down, plan.size_schedule_up), strict=True))
    most = max(len(ladder) for ladder, _ in sides)
    head = ("level", "buy at, ticks", "from center", "lots", "sell at, ticks", "from center", "lots")
    rows = []
    for i in range(min(most, SHOWN)):
        cells = [str(i + 1)]
        for ladder, sizes in sides:
            cells += _cells(plan.center, ladder, sizes, i)
        rows.append(Row(map(escaped, cells)))
    rows += [Row((f"and {most - SHOWN} more", *[""] * 6))] if most > SHOWN else []
    return table("", rows, head, numbers=range(1, 7)) if rows else element("p", "no level on either side")


def _cells(center: int, ladder: Sequence[int], sizes: Sequence[int], i: int) -> list[str]:
    """Price, distance and quantity of a level; empty where a side has none. A level past the schedule takes the last quantity."""
    if i >= len(ladder):
        return [""] * 3
    away = (ladder[i] * MICRO - center) * ONE // center
    sign = "-" * (away < 0)
    lots = f"{int(sizes[min(i, len(sizes) - 1)]):,}" if len(sizes) else ""
    return [f"{ladder[i]:,}", f"{signed(f'{sign}{abs(away) // BP}.{abs(away) % BP // TENTH}')} bp", lots]


def _reasons(plan: GridPlan) -> Iterable[str]:
    names = [reason.name or "" for reason in Reason if plan.reasons & reason]
    if names:
        yield element("p", escaped(f"reasons: {', '.join(names)}"))


def _decimal(units: int, parts: int) -> str:
    """Units of which `parts` make one, as decimal text with thousands apart and no spare zeros."""
    whole, _, rest = format_units(int(units), Fraction(1, parts)).partition(".")
    rest = rest.rstrip("0")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.removeprefix('-')):,}" + (f".{rest}" if rest else "")
