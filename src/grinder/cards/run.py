"""The card of a run: what it did, against what, and what to be careful about, on one screen of a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from grinder.cards.facts import Facts, Figure, facts_of, percent
from grinder.cards.page import Row, element, escaped, fragment, grouped, signed, table
from grinder.cards.spark import bar, diverging, line, strip
from grinder.records import Regime
from grinder.wording import stretch

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = ["STYLE", "as_html", "outline"]

SYMBOLS: Final = 12
"""Symbols that have a row of their own."""
STRIPS: Final = 600
"""Columns of the strips of all symbols together."""
SETTINGS: Final = 40
"""Settings that are listed."""
_COLORS: Final = {
    Regime.RANGE: "var(--calm)",
    Regime.TREND_UP: "var(--t-up)",
    Regime.TREND_DOWN: "var(--t-down)",
    Regime.VOL_SHOCK: "var(--down)",
    Regime.THIN_BOOK: "var(--thin)",
    Regime.TOXIC: "var(--toxic)",
    Regime.PAUSED: "var(--pause)",
    Regime.EMERGENCY: "currentColor",
}
STYLE: Final = """
.grinder-run .top{display:flex;flex-wrap:wrap;gap:.2em 1em;align-items:baseline}
.grinder-run .badge{border:1px solid var(--rule);border-radius:.8em;padding:0 .7em;font-weight:600;white-space:nowrap}
.grinder-run .badge.equal{border-color:var(--up)}
.grinder-run .badge.differs{border-color:var(--down);border-width:2px}
.grinder-run .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5em,1fr));gap:.5em 1.6em;margin:.7em 0}
.grinder-run .tile{border-top:2px solid var(--rule);padding-top:.25em}
.grinder-run .tile b{display:block;font-size:1.3em;font-weight:650;line-height:1.35}
.grinder-run .tile b small{font-size:.7em;font-weight:400}
.grinder-run .line{fill:none;stroke:var(--up);stroke-width:1.5;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.grinder-run .level{fill:none;stroke:currentColor;stroke-opacity:.45;stroke-dasharray:3 3;vector-effect:non-scaling-stroke}
.grinder-run .track{fill:var(--wash)}
.grinder-run .used{fill:var(--up)}.grinder-run .over .used{fill:var(--down)}
.grinder-run .mark,.grinder-run .zero{stroke:currentColor;stroke-opacity:.5;vector-effect:non-scaling-stroke}
.grinder-run .gain{fill:var(--up)}.grinder-run .loss{fill:var(--down)}
.grinder-run .pair{display:flex;flex-wrap:wrap;gap:0 3em}
.grinder.grinder-run td.bar{width:9em;padding-right:0;vertical-align:middle}
.grinder.grinder-run thead+tbody td.bar{width:18em}
@media (max-width:600px){.grinder.grinder-run thead+tbody td.bar{width:6em}}
.grinder.grinder-run ul{margin:.2em 0 .4em;padding:0;list-style:none}
.grinder.grinder-run .key{display:flex;flex-wrap:wrap;gap:0 1.6em;margin:.35em 0 .6em}
.grinder-run .key i{display:inline-block;width:.8em;height:.8em;margin-right:.45em;border:1px solid var(--rule)}
.grinder-run .cautions{border-left:3px solid var(--down);padding:.1em 0 .1em .9em;margin:.6em 0}
.grinder-run .cautions li{margin:.15em 0}
.grinder-run .ends{display:flex;justify-content:space-between}
""" + "".join(f".grinder-run .c{regime}{{fill:{color};background:{color}}}" for regime, color in _COLORS.items())


def as_html(run: Run) -> str:
    """The card as a fragment with its own style: light and dark, no script, the same bytes for the same run."""
    facts = facts_of(run)
    parts = [*_head(run, facts), *_tiles(facts), *_picture(run, facts), *_regimes(facts), *_split(facts)]
    parts += [*_symbols(run, facts), *_cautions(facts), *_settings(facts)]
    return fragment(parts, STYLE, "grinder-run")


def outline(run: Run, facts: Facts) -> tuple[list[str], list[str]]:
    """What a longer page begins with, and what it goes on with after its own picture: the card but for picture and settings."""
    top = [*_head(run, facts), *_tiles(facts), *_cautions(facts)]
    return top, [*_regimes(facts), *_split(facts), *_symbols(run, facts)]


def _head(run: Run, facts: Facts) -> Iterable[str]:
    badge = element("span", escaped(facts.standing.headline), class_=f"badge {facts.standing.kind}")
    yield element("div", element("h3", escaped(facts.title)) + badge, class_="top")
    shown = ", ".join(run.symbols[:SYMBOLS]) + (f" and {len(run.symbols) - SYMBOLS} more" if len(run.symbols) > SYMBOLS else "")
    yield element("p", escaped(f"{shown} \N{MIDDLE DOT} {facts.span} \N{MIDDLE DOT} {facts.events}"), class_="faint")
    yield element("p", f"digest {element('code', facts.digest)}")
    if facts.standing.text:
        yield element("p", escaped(facts.standing.text))


def _tiles(facts: Facts) -> Iterable[str]:
    def tile(figure: Figure, text: str, unit: str, more: str = "") -> str:
        head = element("span", escaped(figure.name), class_="faint")
        value = element("b", escaped(text) + (f" {element('small', escaped(unit))}" if unit else ""))
        note = element("div", escaped(figure.note), class_="faint") if figure.note else ""
        return element("div", head + value + more + note, class_="tile")

    drawdown, *counts = facts.headline
    label = f"drawdown {percent(facts.drawdown, facts.budget)} of its budget; a line where DAMAGE_CONTROL begins"
    used = bar(facts.drawdown, facts.budget, 6, label, (facts.warn,)) if facts.budget else ""
    used = element("div", used, class_="over" if facts.drawdown * 1000 > facts.budget * facts.warn else "within")
    net = facts.net._replace(note=grouped_note(facts.net.note))
    drawdown = drawdown._replace(note=grouped_note(drawdown.note))
    tiles = [tile(net, signed(net.text), facts.quote), tile(drawdown, grouped(drawdown.text), facts.quote, used)]
    tiles += [tile(count, grouped(count.text), "") for count in counts]
    yield element("div", "\n".join(tiles), class_="tiles")


def grouped_note(text: str) -> str:
    """A note with the thousands of its amounts apart."""
    return " ".join(grouped(word) if word.replace(".", "", 1).removeprefix("-").isdecimal() else word for word in text.split(" "))


def _picture(run: Run, facts: Facts) -> Iterable[str]:
    ts, equity = facts.equity
    if run.events == 0 or run.first_ts == run.last_ts:
        return
    money = run.instruments[0].money
    low, high = (grouped(money(int(value), 4)) for value in (equity.min(), equity.max()))
    label = f"equity from {low} to {high} {facts.quote}; dashed: where it began"
    yield element("div", element("span", escaped(label)), class_="faint")
    yield line(ts, equity, (run.first_ts, run.last_ts), 90, label, level=facts.initial)
    if len(facts.regime_paths) == 1:
        yield strip(*facts.regime_paths[0], (run.first_ts, run.last_ts), 10, "regimes over time")


def _regimes(facts: Facts) -> Iterable[str]:
    whole = sum(ns for _, ns in facts.regimes)
    if not whole:
        return
    items = [
        element("li", f'<i class="c{regime}"></i>' + escaped(f"{regime.name} {percent(ns, whole)}, {stretch(ns)}"))
        for regime, ns in facts.regimes
    ]
    what = "time in regimes, of all symbols together" if len(facts.regime_paths) > 1 else "time in regimes"
    yield element("ul", element("li", what, class_="faint") + "\n".join(items), {"class": "key", "aria-label": what})


def _split(facts: Facts) -> Iterable[str]:
    largest = max(abs(figure.value) for figure in (*facts.ledger, *facts.sources, facts.net))

    def rows(figures: Iterable[Figure]) -> list[Row]:
        def cells(figure: Figure, name: str) -> tuple[str, str, str]:
            amount = f"{signed(figure.text)} {facts.quote}"
            return escaped(name), escaped(amount), diverging(figure.value, largest, 12, f"{name} {amount}")

        out = [Row(cells(figure, figure.name)) for figure in figures]
        return [*out, Row(cells(facts.net, "net"), "sum")]

    yield element(
        "div",
        _with_bars(table("PnL in the ledger", rows(facts.ledger), numbers=[1]))
        + _with_bars(table("PnL by where it came from", rows(facts.sources), numbers=[1])),
        class_="pair",
    )


def _with_bars(text: str) -> str:
    return text.replace("<td><svg", '<td class="bar"><svg')


def _symbols(run: Run, facts: Facts) -> Iterable[str]:
    if not facts.symbols:
        return
    head = ["symbol", f"net PnL, {facts.quote}", "fills", "cycles", "won", "position"]
    rows = [
        [escaped(name), signed(net), grouped(fills), grouped(cycles), won, grouped(held)]
        for name, net, fills, cycles, won, held in facts.symbols[:SYMBOLS]
    ]
    if facts.regime_paths:
        head.append("regimes over time")
        span, columns = (run.first_ts, run.last_ts), STRIPS // len(rows)
        for row, path, symbol in zip(rows, facts.regime_paths, run.symbols, strict=False):
            row.append(strip(*path, span, 12, f"regimes of {symbol} over time", columns))
    more = len(facts.symbols) - SYMBOLS
    yield _with_bars(table("By symbol", [Row(row) for row in rows], head, numbers=range(1, 6)))
    if more > 0:
        yield element("p", f"and {more} more: run.metrics().symbols", class_="faint")


def _cautions(facts: Facts) -> Iterable[str]:
    if facts.cautions:
        items = "\n".join(element("li", escaped(grouped_note(caution.text)), title=caution.code) for caution in facts.cautions)
        yield element("div", f"<b>Cautions</b>{element('ul', items)}", class_="cautions")


def _settings(facts: Facts) -> Iterable[str]:
    rows = [Row((escaped(name), escaped(value[:400]))) for name, value in facts.settings[:SETTINGS]]
    left = len(facts.settings) - SETTINGS
    rows += [Row((f"and {left} more", ""))] if left > 0 else []
    first = ", ".join(f"{name} {value}" for name, value in facts.settings[:3])
    yield element("details", element("summary", escaped(f"Settings: {first[:200]} ...")) + table("", rows))
    made = [Row((escaped(name), escaped(value[:200]))) for name, value in facts.provenance]
    if made:
        yield element("details", element("summary", "Made with") + table("", made))
