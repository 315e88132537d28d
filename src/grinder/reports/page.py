"""The report of a run: one page that needs nothing else, with an interactive chart, tables, settings, provenance and digest chain.

The page holds its style, its script and its data. A policy in its head lets it run this script alone and fetch nothing. The same
run gives the same bytes: there is no clock in it, no path, and nothing that depends on a version of a compressor.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from grinder.cards.facts import Facts, facts_of
from grinder.cards.page import escaped, fragment
from grinder.cards.run import STYLE, outline
from grinder.errors import ConfigError
from grinder.outfile import write_whole
from grinder.records import WINDOW, Adds, GateKind, Mode, Reason, Regime, Role, Toxicity
from grinder.reports.encoding import column
from grinder.reports.plans import explained, interned, replayed
from grinder.reports.quotes import US, prices, start_of
from grinder.reports.series import PLACES, of_portfolio, of_symbol, plan_columns
from grinder.reports.tables import tables
from grinder.units import parse_decimal

if TYPE_CHECKING:
    from grinder.data.fixture import Fixture
    from grinder.run import Run

__all__ = ["SCRIPTS", "as_page", "check_target", "data_of", "write_report"]

SCRIPTS: Final = ("data.js", "text.js", "view.js", "draw.js", "panels.js", "readout.js", "input.js", "start.js")
"""Parts of the page's script, in order."""
WINDOWS: Final = 8192
"""Windows of the digest's chain up to which their links are in the page."""
_BASE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'"


def write_report(run: Run, path: str | os.PathLike[str], fixture: Fixture | str | os.PathLike[str] | None = None) -> Path:
    """Write the report, whole or not at all; see `Run.report`.

    Raises:
        ConfigError: it cannot be written there, or another fixture than the one that it replayed.
    """
    return write_whole(check_target(path), as_page(run, fixture).encode("utf-8"))


def check_target(path: str | os.PathLike[str]) -> Path:
    """The file to be written.

    Raises:
        ConfigError: it cannot be: there is no such folder, or this is one.
    """
    target = Path(path)
    if "\0" in str(target) or not target.parent.is_dir() or target.is_dir():
        raise ConfigError(f"{target} cannot be written: there is no folder {target.parent}, or this is no name of a file")
    return target


def as_page(run: Run, fixture: Fixture | str | os.PathLike[str] | None = None) -> str:
    """The whole page."""
    if fixture is not None and run.market is None:
        run = replace(run, market=replayed(run, fixture).market(run.events))
    facts = facts_of(run)
    body, style = _body(run, facts)
    script = "(() => {\n" + "\n".join(_part(name) for name in SCRIPTS) + "})();\n"
    data = json.dumps(data_of(run, facts, fixture), separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    policy = f"{_BASE}; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    title = escaped(f"{run.name} {run.digest.value[:12]}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n</head>\n<body>\n{body}\n'
        f'<script type="application/json" id="grinder-data">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _part(name: str) -> str:
    return resources.files("grinder.reports").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _body(run: Run, facts: Facts) -> tuple[str, str]:
    """The page's elements, and the style in them."""
    top, more = outline(run, facts)
    parts = [*top, _part("chart.html"), *more, *tables(run)]
    html = fragment(parts, STYLE + _part("style.css"), "grinder-run grinder-report")
    begin, end = html.index("<style>") + len("<style>"), html.index("</style>")
    return html, html[begin:end]


def data_of(run: Run, facts: Facts, fixture: Fixture | str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """What the page's script reads: columns of integers, and names of codes."""
    quotes = prices(run)
    return {
        "name": run.name,
        "events": run.events,
        "start": str(start_of(run) // US),
        "length": (run.last_ts - start_of(run)) // US,
        "quote": facts.quote,
        "places": min(PLACES, run.instruments[0].quote_decimals),
        "gated": bool(facts.regime_paths),
        "symbols": [
            {"name": run.symbols[s], "tick": _unit(run, s, "tick_size"), "lot": _unit(run, s, "lot_size"), "price": quotes[s]}
            | of_symbol(run, s)
            for s in range(len(run.symbols))
        ],
        "portfolio": of_portfolio(run),
        "plans": plan_columns(run),
        "explained": interned(explained(run, fixture)),
        "notes": _notes(run, fixture is not None),
        "digest": {"links": run.digest.links if run.events <= WINDOW * WINDOWS else {}, "window": WINDOW, "t": _windows(run)},
        "names": {
            "regimes": [one.name for one in Regime],
            "modes": [one.name for one in Mode],
            "adds": [one.name for one in Adds],
            "roles": [one.name.lower().replace("_", "-") for one in Role],
            "gates": [one.name.lower().replace("_", " ") for one in GateKind],
            "toxicity": [one.name.lower() for one in Toxicity],
            "reasons": [one.name for one in Reason],
        },
    }


def _unit(run: Run, s: int, name: str) -> list[int]:
    """A tick or lot as a whole number and how many decimals it has: 0.25 is 25 and 2."""
    exact = parse_decimal(getattr(run.instruments[s], name))
    places = 0
    while exact.denominator > 1 and (exact * 10**places).denominator > 1:
        places += 1
    return [int(exact * 10**places), places]


def _windows(run: Run) -> dict[str, Any]:
    """When each window of the digest's chain begins, where events are known."""
    ts = run.market.ts[::WINDOW][:WINDOWS] if run.market is not None else np.zeros(0, np.int64)
    return column((ts - start_of(run)) // US)


def _notes(run: Run, has_fixture: bool) -> list[str]:
    """What this page cannot show, and what would."""
    if run.market is not None or run.events == 0:
        return []
    if run.source is not None or has_fixture:
        return ["Quotes of more than memory holds: the price is the lowest and highest mid of stretches of events."]
    return [
        "A saved run has no quotes: the price is the lowest and highest mid of stretches of events. With the fixture that it "
        "replayed (grinder report FILE --fixture NAME --out PAGE) quotes are shown, and what decided each number of a plan."
    ]
