"""The card of a sweep: what varied, how the figure spreads, the best few beside their neighbours, and what to be careful about.

One account of it, rendered as HTML for a notebook and as aligned text for a terminal.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from grinder.cards.page import Row, element, escaped, fragment, grouped, table, write_page
from grinder.cards.spark import WIDTH, line
from grinder.cards.text import WIDTH as TEXT_WIDTH, columns
from grinder.cautions import Caution
from grinder.doubts import doubts
from grinder.landscape import Landscape, Measure, Spot, median_of

__all__ = ["BEST", "SweepCard", "SweepFacts", "facts_of"]

BEST: Final = 5
"""Combinations that are listed."""
SETTINGS: Final = 12
"""Settings that are listed."""
FINE: Final = 10**9
"""Parts of the largest value that a curve is drawn in."""
_STYLE: Final = """
.grinder-sweep .line{fill:none;stroke:var(--up);stroke-width:1.5;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.grinder-sweep .level{fill:none;stroke:currentColor;stroke-opacity:.45;stroke-dasharray:3 3;vector-effect:non-scaling-stroke}
.grinder.grinder-sweep .first td,.grinder.grinder-sweep .first th{font-weight:650}
.grinder-sweep .cautions{border-left:3px solid var(--down);padding:.1em 0 .1em .9em;margin:.6em 0}
.grinder.grinder-sweep ul{margin:.2em 0 .4em;padding:0;list-style:none}
.grinder-sweep .cautions li{margin:.15em 0}
.grinder-sweep .wide{overflow-x:auto}
"""


@dataclass(frozen=True)
class SweepFacts:
    """What a card says of a sweep; texts are plain."""

    title: str
    counts: str
    metric: str
    """the figure with its unit, and which way is better"""
    settings: tuple[tuple[str, str, str, str], ...]
    """name, number of values, their extent, how far their medians are apart"""
    spread: tuple[tuple[str, str], ...]
    """from worst to best"""
    note: str
    """what a spread alone does not say"""
    head: tuple[str, ...]
    best: tuple[tuple[str, ...], ...]
    """rank, the value of every setting, the figure, that of the neighbours, and what the cells did"""
    cautions: tuple[Caution, ...]
    curve: tuple[int, ...]
    """the figure of every combination, from worst to best, in parts"""


def facts_of(land: Landscape) -> SweepFacts:
    """What there is to say of a sweep's figure."""
    found, measure = land.found, land.measure
    names = list(dict.fromkeys(cell.name for cell in found.cells))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    failed = sum(1 for result in found.results if result.error)
    counts = f"{_count(len(found), 'cell')}: {found.computed:,} computed, {found.hits:,} from the store, {failed:,} failed"
    if len(land.spots) < len(found):
        counts += f"; {_count(len(land.spots), 'combination')} of settings, each on {len(found.accounts)} fixtures"
    counts += f"; {_count(found.damaged, 'damaged file')} of the store not believed" if found.damaged else ""
    unit = f", {measure.unit}" if measure.unit else ""
    mean = f", mean of {len(found.accounts)} fixtures" if len(found.accounts) > 1 else ""
    heads = tuple(scale.title for scale in land.scales[:SETTINGS])
    return SweepFacts(
        title=f"Sweep on {shown}",
        counts=counts,
        metric=f"{measure.name}{unit}{mean}; {'less' if land.least else 'more'} is better",
        settings=tuple(_setting(land, s) for s in range(min(SETTINGS, len(land.scales)))),
        spread=_spread(land),
        note=_note(land),
        head=("", *heads, f"{measure.name}{unit}", "neighbours", "cycles", "fills", "max drawdown", "digest"),
        best=tuple(_row(land, rank, spot) for rank, spot in enumerate(land.ranked[:BEST], 1)),
        cautions=doubts(land),
        curve=_curve(land),
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _places(land: Landscape) -> int:
    return land.measure.places([spot.value for spot in land.known])


def _setting(land: Landscape, s: int) -> tuple[str, str, str, str]:
    scale = land.scales[s]
    known = [value for value in land.by_value(s) if value is not None]
    apart = ""
    if len(known) > 1:
        apart = f"{land.measure.text(max(known) - min(known), _places(land))} {land.measure.unit}".rstrip()
    extent = scale.extent if len(scale.extent) <= 60 else f"{scale.extent[:57]}..."
    return scale.name, f"{len(scale):,}", extent, apart


def _spread(land: Landscape) -> tuple[tuple[str, str], ...]:
    """Figures at quarters of the combinations, each one that there is."""
    values = [spot.value for spot in reversed(land.ranked)]
    if not values:
        return ()
    at = [("worst", values[0]), ("a quarter is worse", values[(len(values) - 1) // 4]), ("median", median_of(values))]
    at += [("a quarter is better", values[len(values) - 1 - (len(values) - 1) // 4]), ("best", values[-1])]
    unit, places = land.measure.unit, _places(land)
    return tuple((name, f"{land.measure.text(value, places)} {unit}".rstrip()) for name, value in at)


def _note(land: Landscape) -> str:
    over = sum(1 for spot in land.known if spot.value > 0)
    return f"{over:,} of {len(land.known):,} combinations over 0" if land.known else ""


def _row(land: Landscape, rank: int, spot: Spot) -> tuple[str, ...]:
    results = [land.found.results[i] for i in spot.cells]
    beside = [one for one in land.neighbours(spot) if one.value is not None]
    around = land.measure.text(land.around(spot), _places(land)) + (f" ({len(beside)})" if beside else "")
    cycles, fills = (sum(int(result.figures[name] or 0) for result in results) for name in ("cycles_completed_total", "fills"))
    drawdown = _drawdown(land, spot)
    labels = [land.scales[s].labels[k] for s, k in enumerate(spot.places[:SETTINGS])]
    digests = results[0].digest[:12] if len(results) == 1 else f"{len(results)} digests"
    return (
        str(rank), *labels, land.measure.text(spot.value, _places(land)), around, f"{cycles:,}", f"{fills:,}", drawdown, digests,
    )  # fmt: skip


def _drawdown(land: Landscape, spot: Spot) -> str:
    """The largest drawdown of a combination; of several fixtures the worst of them, as a share of the equity."""
    figures = [land.found.results[i].figures for i in spot.cells]
    account = land.found.accounts[land.found.cells[spot.cells[0]].fixture]
    if len(figures) > 1:
        return f"{Measure.of('max_drawdown', account).text(max(float(one['max_drawdown'] or 0) for one in figures), 2)} %"
    return f"{Measure.of('dd_max', account).text(figures[0]['dd_max'], 2)} {account.quote}"


def _curve(land: Landscape) -> tuple[int, ...]:
    values = [land.measure.number(spot.value) for spot in reversed(land.ranked)]
    largest = max((abs(value) for value in values), default=0.0)
    return tuple(round(value / largest * FINE) for value in values) if largest else tuple(0 for _ in values)


class SweepCard:
    """A sweep in one figure: `print(card)` is text, a notebook shows it, `card.to_html(path)` writes a page."""

    def __init__(self, land: Landscape) -> None:
        self.facts = facts_of(land)

    def __str__(self) -> str:
        """Lines of text, the same in a terminal and a pipe."""
        return "\n\n".join("\n".join(part) for part in _text(self.facts) if part)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return fragment(_html(self.facts), _STYLE, "grinder-sweep")

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write it as a page that needs nothing else, whole or not at all."""
        return write_page(path, self.facts.title, self._repr_html_())


# HTML


def _html(facts: SweepFacts) -> Iterable[str]:
    yield element("h3", escaped(facts.title))
    yield element("p", escaped(facts.counts), class_="faint")
    if facts.settings:
        head = ("setting", "values", "from", "medians apart by")
        yield table("What varied", [Row(map(escaped, row)) for row in facts.settings], head, numbers=(1, 3))
    yield element("p", f"<b>{escaped(facts.metric)}</b>")
    if facts.spread:
        yield from _spread_html(facts)
        rows = [Row(map(_cell, row), "first" if k == 0 else "") for k, row in enumerate(facts.best)]
        best = table("The best, beside the median of their neighbours", rows, facts.head, numbers=range(1, len(facts.head) - 1))
        yield element("div", best, class_="wide")
    if facts.cautions:
        items = "\n".join(element("li", escaped(one.text), title=one.code) for one in facts.cautions)
        yield element("div", f"<b>Cautions</b>{element('ul', items)}", class_="cautions")


def _cell(text: str) -> str:
    """A cell of the best, its decimals with thousands apart."""
    head, space, rest = text.partition(" ")
    number = head.removeprefix("-").replace(".", "", 1)
    return escaped(f"{grouped(head)}{space}{rest}" if number.isdecimal() and len(head) > 1 else text)


def _spread_html(facts: SweepFacts) -> Iterable[str]:
    row = [Row(escaped(text.replace("-", "\N{MINUS SIGN}")) for _, text in facts.spread)]
    yield table("", row, [name for name, _ in facts.spread], numbers=range(len(facts.spread)))
    if len(facts.curve) > 1:
        values = np.array(facts.curve, np.int64)
        crosses = values.min() < 0 < values.max()
        label = f"from worst to best; {facts.note}" + ("; dashed: 0" if crosses else "")
        yield element("div", element("span", escaped(label)), class_="faint")
        at = np.arange(len(values)) * WIDTH
        yield line(at, values, (0, int(at[-1])), 60, label, level=0 if crosses else None)


# Text


def _text(facts: SweepFacts) -> Iterable[list[str]]:
    yield [facts.title, f"  {facts.counts}"]
    if facts.settings:
        yield columns([("setting", "values", "from", "medians apart by"), *facts.settings], right=(1, 3))
    yield [f"{facts.metric}{f'; {facts.note}' if facts.note else ''}", *(columns(facts.spread, right=(1,)) if facts.spread else [])]
    if facts.best:
        yield columns([facts.head, *facts.best], right=range(1, len(facts.head) - 1))
    if facts.cautions:
        lines = ["cautions"]
        for one in facts.cautions:
            lines += textwrap.wrap(one.text, TEXT_WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
        yield lines
