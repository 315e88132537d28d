"""The card of a fixture: what market data it holds, from when to when, with what is wrong in them, and what a replay is to show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from grinder.cards.facts import span_of
from grinder.cards.page import Row, element, escaped, fragment, grouped, table
from grinder.cards.spark import line
from grinder.data.validation import quarantined
from grinder.records import Stream
from grinder.run import mids_of

if TYPE_CHECKING:
    from grinder.data.fixture import Fixture

__all__ = ["as_html"]

SYMBOLS: Final = 20
"""Symbols that have a row of their own."""
LINES: Final = 500
"""Columns of the lines of all symbols together."""
_STYLE: Final = """
.grinder-fixture .line{fill:none;stroke:var(--up);stroke-width:1.2;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.grinder.grinder-fixture td.bar{width:20em;padding-right:0;vertical-align:middle}
"""


def as_html(data: Fixture) -> str:
    """The card as a fragment with its own style; the same bytes for the same fixture."""
    parts = [element("h3", escaped(data.name)), *_what(data), _instruments(data), *_streams(data), *_manifest(data)]
    return fragment(parts, _STYLE, "grinder-fixture")


def _what(data: Fixture) -> Iterable[str]:
    shows = data.manifest.get("shows")
    if shows:
        yield element("p", escaped(shows))
    if len(data):
        span = span_of(int(data.events.ts[0]), int(data.events.ts[-1]))
        yield element("p", escaped(f"{span} \N{MIDDLE DOT} {len(data):,} events"), class_="faint")
    yield element("p", f"content {element('code', escaped(data.content))}")


def _instruments(data: Fixture) -> str:
    head = ("symbol", "kind", "tick", "lot", "quote", "L1 updates", "lowest price", "highest price", "mid over time")
    rows = []
    span = (int(data.events.ts[0]), int(data.events.ts[-1])) if len(data) else (0, 0)
    shown = data.instruments[:SYMBOLS]
    for s, one in enumerate(shown):
        ts, mid2, updates = _mids(data, s)
        label = f"mid of {one.symbol} over time"
        ends = [grouped(one.price(ticks)) for ticks in data.price_range[s]] if len(mid2) else ["", ""]
        texts = (one.symbol, one.kind, one.tick_size, one.lot_size, one.quote, f"{updates:,}", *ends)
        rows.append(Row([*map(escaped, texts), line(ts, mid2, span, 26, label, columns=LINES // len(shown))]))
    more = len(data.instruments) - SYMBOLS
    rows += [Row((f"and {more} more", *[""] * (len(head) - 1)))] if more > 0 else []
    return table("", rows, head, numbers=range(2, 8)).replace("<td><svg", '<td class="bar"><svg')


def _mids(data: Fixture, s: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Times and mid2 of a symbol's rows that have a price, and how many accepted L1 updates it has."""
    events = data.events
    updates = (events.fault == 0) & ((events.kind == Stream.QUOTES) | (events.kind == Stream.BOOKS)) & (events.symbol == s)
    return *mids_of(events, s, len(data.instruments)), int(updates.sum())


def _streams(data: Fixture) -> Iterable[str]:
    counts = np.bincount(data.events.kind, minlength=len(Stream)).tolist()
    held = ", ".join(f"{stream.name.lower()} {counts[stream]:,}" for stream in Stream if counts[stream])
    yield element("p", escaped(f"rows: {held or 'none'}"))
    bad = quarantined(data.events)
    if bad:
        yield element("p", escaped("quarantined: " + ", ".join(f"{name} {count:,}" for name, count in sorted(bad.items()))))


def _manifest(data: Fixture) -> Iterable[str]:
    changed = sorted(data.config.changed().items())
    if changed:
        rows = [Row((escaped(name), escaped(str(value)[:400]))) for name, value in changed]
        yield element("details", element("summary", f"Settings that are not defaults: {len(rows)}") + table("", rows))
    for name, title in (
        ("expect", "What a replay is to show"),
        ("source", "Where it is from"),
        ("generator", "What makes it again"),
    ):
        entries = data.manifest.get(name) or {}
        rows = [Row((escaped(key), escaped(str(value)[:400]))) for key, value in entries.items()]
        if rows:
            yield element("details", element("summary", title) + table("", rows))
