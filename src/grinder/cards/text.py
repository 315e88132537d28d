"""The card of a run for a terminal: the same facts in aligned text, which is the same bytes whether a person or a program reads."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from grinder.cards.facts import Facts, facts_of, percent
from grinder.cards.page import grouped, signed
from grinder.wording import stretch

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = ["as_text", "columns"]

WIDTH: Final = 100
BAR: Final = 30
"""Characters of the whole budget."""


def as_text(run: Run) -> str:
    """The card as lines of ASCII but for what names hold; no line of it depends on the terminal."""
    facts = facts_of(run)
    parts = [_head(run, facts), _numbers(facts), _split(facts), _regimes(facts), _symbols(facts), _cautions(facts)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _head(run: Run, facts: Facts) -> list[str]:
    lines = [f"{facts.title}: {facts.standing.headline}", f"  {', '.join(run.symbols)}; {facts.span}; {facts.events}"]
    lines.append(f"  digest {facts.digest}")
    return lines + ([f"  {facts.standing.text}"] if facts.standing.text else [])


def _numbers(facts: Facts) -> list[str]:
    figures = (facts.net, *facts.headline)
    net, drawdown, *counts = figures
    rows = [(net.name, f"{_signed(net.text)} {facts.quote}", net.note)]
    rows.append((drawdown.name, f"{_grouped(drawdown.text)} {facts.quote}", drawdown.note))
    rows += [(one.name, _grouped(one.text), one.note) for one in counts]
    used = min(BAR, facts.drawdown * BAR // facts.budget) if facts.budget else 0
    lines = columns(rows, right=(1,))
    bar = f"  [{'#' * used}{'.' * (BAR - used)}] {percent(facts.drawdown, facts.budget)} of the drawdown budget"
    return [*lines, bar] if facts.budget else lines


def _split(facts: Facts) -> list[str]:
    rows = [("PnL in the ledger", "", "by where it came from", "")]
    for one, other in zip((*facts.ledger, facts.net), (*facts.sources, facts.net), strict=True):
        rows.append((one.name, _signed(one.text), other.name, _signed(other.text)))
    return columns(rows, right=(1, 3))


def _regimes(facts: Facts) -> list[str]:
    whole = sum(ns for _, ns in facts.regimes)
    rows = [("time in regimes", "", "")] + [(regime.name, percent(ns, whole), stretch(ns)) for regime, ns in facts.regimes]
    return columns(rows, right=(1, 2)) if whole else []


def _symbols(facts: Facts) -> list[str]:
    if not facts.symbols:
        return []
    rows = [("symbol", f"net PnL, {facts.quote}", "fills", "cycles", "won", "position")]
    rows += [
        (name, _signed(net), _grouped(fills), _grouped(cycles), won, held) for name, net, fills, cycles, won, held in facts.symbols
    ]
    return columns(rows, right=(1, 2, 3, 4, 5))


def _cautions(facts: Facts) -> list[str]:
    out = ["cautions"] if facts.cautions else []
    for caution in facts.cautions:
        out += textwrap.wrap(caution.text, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
    return out


def columns(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Rows of text as aligned lines.

    >>> columns([("a", "1"), ("bc", "20")], right=(1,))
    ['  a    1', '  bc  20']
    """
    flush = set(right)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(w) if i in flush else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def _grouped(text: str) -> str:
    return grouped(text).replace("\N{MINUS SIGN}", "-")


def _signed(text: str) -> str:
    return signed(text).replace("\N{MINUS SIGN}", "-")
