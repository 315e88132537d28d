"""A difference as text for a terminal and as HTML for a notebook or a page of its own; no script, the same bytes every time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grinder.cards import page
from grinder.cards.page import Row, element, escaped, fragment, table
from grinder.wording import clock

if TYPE_CHECKING:
    from grinder.divergence import Diff
    from grinder.recorded import Divergence, Pair, Section

__all__ = ["as_html", "as_text", "write_page"]

EQUAL_SHOWN, UNLIKE_SHOWN = 6, 12
"""Lines of a section that a terminal shows, of those on which both sides are equal and of the others; a page shows them all."""
_STYLE: Final = """
.grinder-diff .first{border-left:4px solid var(--down);padding:.2em 1em;margin:1em 0}
.grinder.grinder-diff .unlike th,.grinder.grinder-diff .unlike td{font-weight:650}
.grinder.grinder-diff .same th,.grinder.grinder-diff .same td{opacity:.72}
"""


def as_text(found: Diff) -> str:
    """For a terminal: what was given otherwise, what parted first, what led there, what else changed."""
    out = [_title(found)]
    out += [f"  {label:<{_width(found)}}  {text}" for label, text in _sides(found)]
    out += [line for text in (found.story, found.note) if text for line in ("", text)]
    for section in _given(found):
        out += _paragraph(found, section)
    if found.first is not None:
        out += ["", f"first difference: {_place(found.first)}", *(f"  {line}" for line in _values(found, found.first))]
    for section in found.sections[len(_given(found)) :]:
        out += _paragraph(found, section)
    return "\n".join(out)


def _given(found: Diff) -> tuple[Section, ...]:
    """What the two runs were given otherwise: it stands first, and the difference follows from it."""
    return tuple(section for section in found.sections if section.name in ("settings", "input"))


def _paragraph(found: Diff, section: Section) -> list[str]:
    return ["", f"{section.title}{':' if section.pairs else ''}", *_lines(found, section)]


def _title(found: Diff) -> str:
    a, b = found.a, found.b
    name = a.name if a.name == b.name else f"{a.name}, {b.name}"
    return f"{name}: {a.label} and {b.label} are {'equal' if found.equal else 'NOT equal'}"


def _width(found: Diff) -> int:
    return max(len(found.a.label), len(found.b.label))


def _sides(found: Diff) -> list[tuple[str, str]]:
    return [(side.label, f"{side.digest}, {side.events:,} events") for side in (found.a, found.b)]


def _place(first: Divergence) -> str:
    if first.kind == "window":
        return str(first)
    at = f"event {first.event:,}, {clock(first.ts)} UTC, {first.symbol}"
    record = f"record {first.record + 1} of this event"
    return f"{at}, stage {first.stage}, {record}" + (f", {first.field}" if first.field else "")


def _values(found: Diff, first: Divergence) -> list[str]:
    """One line a side."""
    width, out = _width(found), []
    if first.kind == "window":
        return []
    for side, text, value in ((found.a, first.a_text, first.a), (found.b, first.b_text, first.b)):
        raw = f"   ({value:,} {first.unit})" if value is not None and first.unit not in ("", "code", "bits", "id", "count") else ""
        out.append(f"{side.label:<{width}}  {text or 'has no such record'}{raw}")
    return out


def _lines(found: Diff, section: Section) -> list[str]:
    shown, hidden = _shown(section.pairs)
    out = [f"  {section.note}"] if section.note else []
    if not shown:
        return out
    a, b = found.a.label, found.b.label
    rows = [("", a, b), *((pair.name, *_texts(pair)) for pair in shown)]
    if not any(pair.differs for pair in shown):
        rows = [(name, text, "") for name, text, _ in rows[1:]]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    marks = [" ", *("*" if pair.differs else " " for pair in shown)][-len(rows) :]
    for mark, (name, one, other) in zip(marks, rows, strict=True):
        out.append(f"{mark} {name:<{widths[0]}}  {one:<{widths[1]}}  {other}".rstrip())
    return [*out, f"  and {hidden}"] if hidden else out


def _texts(pair: Pair) -> tuple[str, str]:
    return pair.a_text or "-", (pair.b_text or "-") if pair.differs else "="


def _shown(pairs: Iterable[Pair]) -> tuple[list[Pair], str]:
    """The first of those that differ and of those that do not, in their order; and how many are left out."""
    shown, left = [], {True: UNLIKE_SHOWN, False: EQUAL_SHOWN}
    for pair in pairs:
        left[pair.differs] -= 1
        if left[pair.differs] >= 0:
            shown.append(pair)
    hidden = [f"{-left[which]} more that {what}" for which, what in ((True, "differ"), (False, "are equal")) if left[which] < 0]
    return shown, " and ".join(hidden)


# HTML


def as_html(found: Diff) -> str:
    """A fragment with its own style, light and dark."""
    out = [element("h3", escaped(_title(found)))]
    out.append(table("", [Row((escaped(label), element("code", escaped(text)))) for label, text in _sides(found)]))
    out += [element("p", escaped(text)) for text in (found.story, found.note) if text]
    for section in _given(found):
        out += _table(found, section)
    if found.first is not None:
        lines = "<br/>".join(element("code", escaped(line)) for line in _values(found, found.first))
        text = f"<b>first difference</b>: {escaped(_place(found.first))}<br/>{lines}"
        out.append(element("div", text, class_="first"))
    for section in found.sections[len(_given(found)) :]:
        out += _table(found, section)
    return fragment(out, _STYLE, "grinder-diff")


def _table(found: Diff, section: Section) -> list[str]:
    note = [element("p", escaped(section.note), class_="faint")] if section.note else []
    if not section.pairs:
        return [element("p", element("b", escaped(section.title))), *note]
    rows = [
        Row(map(escaped, (pair.name, pair.a_text, pair.b_text)), "unlike" if pair.differs else "same") for pair in section.pairs
    ]
    return [table(section.title, rows, ("", found.a.label, found.b.label)), *note]


def write_page(found: Diff, path: str | os.PathLike[str]) -> Path:
    """A page that needs nothing else, whole or not at all.

    Raises:
        ConfigError: it cannot be written there.
    """
    return page.write_page(path, _title(found), as_html(found))
