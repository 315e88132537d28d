"""What a careful colleague would say about a sweep before its best cell is believed: each doubt is computed, none is guessed.

They are of the table alone. What it does not tell (another day, how fills depend on the fill model) a replay of the best cell does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist, median
from typing import Final

from grinder.cautions import FEW_CYCLES, Caution
from grinder.landscape import Landscape, Spot
from grinder.performance import ANNUAL_FROM

__all__ = ["doubts", "expected_best", "height"]

FEW: Final = 5
"""Combinations under which nothing is said of how the best one stands among them."""
GAINS: Final = frozenset(("total_return", "pnl.total"))
"""Figures of which less than 0 is a loss."""


def doubts(land: Landscape) -> tuple[Caution, ...]:
    """What to be careful about, the gravest first.

    Codes are stable: FAILED_CELLS, NO_FIGURE, ALL_LOSE, NO_FILLS_CELLS, OVER_BUDGET_CELLS, AT_BORDER, ISOLATED_PEAK, MANY_TRIES,
    ONE_MARKET, FEW_CYCLES_BEST, NO_EFFECT.
    """
    each = (
        ("FAILED_CELLS", _failed(land)),
        ("NO_FIGURE", _no_figure(land)),
        ("ALL_LOSE", _all_lose(land)),
        ("NO_FILLS_CELLS", _no_fills(land)),
        ("OVER_BUDGET_CELLS", _over_budget(land)),
        ("AT_BORDER", _at_border(land)),
        ("ISOLATED_PEAK", _isolated(land)),
        ("MANY_TRIES", _many_tries(land)),
        ("ONE_MARKET", _one_market(land)),
        ("FEW_CYCLES_BEST", _few_cycles(land)),
        ("NO_EFFECT", _no_effect(land)),
    )
    return tuple(Caution(code, text) for code, text in each if text)


def _failed(land: Landscape) -> str:
    errors = [result.error for result in land.found.results if result.error]
    if not errors:
        return ""
    return f"{len(errors):,} of {len(land.found):,} cells failed, and nothing is known of them. The first: {errors[0][:200]}"


def _no_figure(land: Landscape) -> str:
    done = [spot for spot in land.spots if not spot.failed]
    without = sum(1 for spot in done if spot.value is None)
    if not without:
        return ""
    name = land.measure.name
    if without == len(done):
        return f"No cell has {name}: ratios need some days, markouts what comes after a fill."
    return f"{without:,} of {len(done):,} combinations have no {name}, and are in no figure here."


def _all_lose(land: Landscape) -> str:
    if land.measure.name not in GAINS or land.least or not land.known or land.ranked[0].value > 0:
        return ""
    return f"None of {len(land.known):,} combinations made money: the best is the one that lost least."


def _no_fills(land: Landscape) -> str:
    none = [result for result in land.found.results if result.digest and result.figures["fills"] == 0]
    if not none:
        return ""
    best = land.ranked and all(land.found.results[i].figures["fills"] == 0 for i in land.ranked[0].cells)
    text = f"{len(none):,} of {len(land.found):,} cells filled nothing: they earn 0 without any risk."
    return text + (" The best is one of them." if best else "")


def _over_budget(land: Landscape) -> str:
    """Cells that used up their drawdown budget, or were in EMERGENCY."""
    hit = [i for i, result in enumerate(land.found.results) if result.digest and _went_over(result.figures)]
    if not hit:
        return ""
    best = bool(land.ranked) and any(i in hit for i in land.ranked[0].cells)
    text = f"{len(hit):,} of {len(land.found):,} cells went over their drawdown budget, or into EMERGENCY."
    return text + (" The best is one of them." if best else "")


def _went_over(figures: object) -> bool:
    known: dict[str, float] = figures  # type: ignore[assignment]
    over = known["dd_budget"] > 0 and known["dd_max"] > known["dd_budget"]
    return over or known["time_in_regime_seconds.EMERGENCY"] > 0


# Where the best one stands


def _at_border(land: Landscape) -> str:
    """Settings at whose first or last value all of the best combinations are."""
    if len(land.known) < FEW or _flat(land):
        return ""
    best = [spot for spot in land.known if spot.value == land.ranked[0].value]
    ends = []
    for s, scale in enumerate(land.scales):
        if not scale.ordered or len(scale) < 3:
            continue
        for end, which in ((0, "lowest"), (len(scale) - 1, "highest")):
            if all(spot.places[s] == end for spot in best):
                ends.append(f"{scale.name} at its {which}, {scale.text(end)}")
    if not ends:
        return ""
    return f"The best is at the border of what was tried ({'; '.join(ends)}): better ones may lie outside it."


def _isolated(land: Landscape) -> str:
    """A peak whose neighbours keep less than half of what it has over the rest."""
    if len(land.known) < FEW or _flat(land):
        return ""
    best = land.ranked[0]
    beside = [spot for spot in land.neighbours(best) if spot.value is not None]
    rest = [spot for spot in land.known if spot is not best and spot not in beside]
    if len(beside) < 2 or len(rest) < 2:
        return ""
    around, far = (median(land.score(spot) for spot in part) for part in (beside, rest))
    top = land.score(best)
    if top <= far or 2 * (top - around) <= top - far:
        return ""
    text = [_shown(land, value) for value in (best.value, -around if land.least else around, -far if land.least else far)]
    return (
        f"The best stands alone: {text[0]}, the median of its {len(beside)} neighbours {text[1]}, of the rest {text[2]}. "
        "A small change of settings loses most of it."
    )


def _shown(land: Landscape, value: float) -> str:
    whole = math.floor(value) if all(isinstance(spot.value, int) for spot in land.known) else value
    places = land.measure.places([spot.value for spot in land.known])
    return f"{land.measure.text(whole, places)} {land.measure.unit}".rstrip()


def _many_tries(land: Landscape) -> str:
    tried = len(_distinct(land))
    over = height(land)
    if tried < FEW or over is None:
        return ""
    luck = expected_best(tried)
    text = (
        f"{tried:,} different results on {_days(land)}: of as many draws of chance alone the best is expected {luck:.1f} standard "
        f"deviations over their mean; this one is {over:.1f} over."
    )
    return text + (" That is no more than luck." if over <= luck else "")


def _one_market(land: Landscape) -> str:
    days, symbols = _length(land)
    if days >= ANNUAL_FROM and symbols > 1:
        return ""
    one = "1 symbol" if symbols == 1 else f"{symbols} symbols"
    return (
        f"{one}, {_days(land)}, and every cell saw all of it: before the best is believed, replay it on data that no cell saw, "
        "with fill_model='cross', and with higher fees."
    )


def _few_cycles(land: Landscape) -> str:
    if not land.ranked:
        return ""
    done = sum(land.found.results[i].figures["cycles_completed_total"] or 0 for i in land.ranked[0].cells)
    if done >= FEW_CYCLES:
        return ""
    return f"The best completed {done:,.0f} cycle{'' if done == 1 else 's'}: too few to tell skill from luck."


def _no_effect(land: Landscape) -> str:
    """Settings of which every value gives the same digests, whatever the others are."""
    idle = []
    for s, scale in enumerate(land.scales):
        groups: dict[tuple[int, ...], set[object]] = {}
        for spot in land.spots:
            groups.setdefault((*spot.places[:s], *spot.places[s + 1 :]), set()).add(spot.value)
        compared = [group for group in groups.values() if group != {None}]
        if len(scale) > 1 and len(land.spots) > len(groups) and all(len(group) == 1 for group in compared):
            idle.append(scale.name)
    if not idle or not land.known:
        return ""
    return f"{' and '.join(idle)} changed nothing: every value gives the same {land.measure.name}."


# How much luck there is


def expected_best(tries: int) -> float:
    """How many standard deviations over the mean the best of so many independent draws is expected, by Blom's formula.

    >>> [round(expected_best(n), 2) for n in (2, 10, 100)]
    [0.59, 1.55, 2.5]
    """
    return NormalDist().inv_cdf((tries - 0.375) / (tries + 0.25)) if tries > 1 else 0.0


def height(land: Landscape) -> float | None:
    """How many standard deviations of all different results the best is over their mean; None where they are all equal."""
    values = [float(land.score(spot)) for spot in _distinct(land)]
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) * (value - mean) for value in values) / (len(values) - 1))
    return (max(values) - mean) / deviation if deviation > 0 else None


def _distinct(land: Landscape) -> list[Spot]:
    """Spots that differ in the figure: a setting that changes nothing is no further try."""
    return list({spot.value: spot for spot in land.known}.values())


def _flat(land: Landscape) -> bool:
    return len({spot.value for spot in land.known}) < 2


def _length(land: Landscape) -> tuple[int, int]:
    """UTC days of the data of all fixtures together, and symbols."""
    days: dict[int, int] = {}
    for cell, result in zip(land.found.cells, land.found.results, strict=True):
        days[cell.fixture] = max(days.get(cell.fixture, 0), int(result.figures.get("days") or 0))
    names: Iterable[str] = {symbol for symbols in land.found.symbols for symbol in symbols}
    return sum(days.values()), len(list(names))


def _days(land: Landscape) -> str:
    days = _length(land)[0]
    return "1 UTC day" if days == 1 else f"{days:,} UTC days"
