"""A difference as text for a terminal and as HTML for a notebook or a page of its own; no script, the same bytes every time."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grinder.errors import ConfigError
from grinder.wording import clock

if TYPE_CHECKING:
    from grinder.divergence import Diff
    from grinder.recorded import Divergence, Pair, Section

__all__ = ["as_html", "as_text", "write_page"]

EQUAL_SHOWN, UNLIKE_SHOWN = 6, 12
"""Lines of a section that a terminal shows, of those on which both sides are equal and of the others; a page shows them all."""
_STYLE: Final = """
.grinder-diff { color-scheme: light dark; color: #1b1b1b; background: #ffffff; font: 14px/1.45 system-ui, sans-serif;
  padding: 0.5em 1em; }
.grinder-diff .first { border-left: 4px solid #d55e00; padding: 0.2em 1em; margin: 1em 0; }
.grinder-diff table { border-collapse: collapse; margin: 0.2em 0 1em; background: none; }
.grinder-diff caption { text-align: left; font-weight: 600; padding: 0.4em 0; color: inherit; }
.grinder-diff th, .grinder-diff td { text-align: left; padding: 0.1em 1.2em 0.1em 0; vertical-align: top; color: inherit;
  background: none; }
.grinder-diff .unlike td { font-weight: 600; }
.grinder-diff .same td { color: #6f6f6f; }
.grinder-diff code { font: 13px/1.4 ui-monospace, monospace; color: inherit; background: none; }
.grinder-diff .note { color: #555555; }
@media (prefers-color-scheme: dark) {
  .grinder-diff { color: #e6e6e6; background: #161616; }
  .grinder-diff .same td { color: #9a9a9a; }
  .grinder-diff .note { color: #b0b0b0; }
}
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
    e = html.escape
    out = [f"<style>{_STYLE}</style>", '<div class="grinder-diff">', f"<p><b>{e(_title(found))}</b></p>", "<table>"]
    out += [f"<tr><th>{e(label)}</th><td><code>{e(text)}</code></td></tr>" for label, text in _sides(found)]
    out.append("</table>")
    out += [f"<p>{e(text)}</p>" for text in (found.story, found.note) if text]
    for section in _given(found):
        out += _table(found, section)
    if found.first is not None:
        lines = "<br>".join(f"<code>{e(line)}</code>" for line in _values(found, found.first))
        out.append(f'<div class="first"><b>first difference</b>: {e(_place(found.first))}<br>{lines}</div>')
    for section in found.sections[len(_given(found)) :]:
        out += _table(found, section)
    return "\n".join([*out, "</div>"])


def _table(found: Diff, section: Section) -> list[str]:
    e = html.escape
    caption = f"<caption>{e(section.title)}</caption>"
    note = [f'<p class="note">{e(section.note)}</p>'] if section.note else []
    if not section.pairs:
        return [f"<p><b>{e(section.title)}</b></p>", *note]
    head = f"<tr><th></th><th>{e(found.a.label)}</th><th>{e(found.b.label)}</th></tr>"
    rows = [
        f'<tr class="{"unlike" if pair.differs else "same"}"><td>{e(pair.name)}</td><td>{e(pair.a_text)}</td>'
        f"<td>{e(pair.b_text)}</td></tr>"
        for pair in section.pairs
    ]
    return ["<table>", caption, head, *rows, "</table>", *note]


def write_page(found: Diff, path: str | os.PathLike[str]) -> Path:
    """A page that needs nothing else, whole or not at all.

    Raises:
        ConfigError: it cannot be written there.
    """
    target = Path(path)
    body = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(_title(found))}</title>\n'
        "<style>body { margin: 0; } @media (prefers-color-scheme: dark) { body { background: #161616; } }</style>\n"
        f"</head>\n<body>\n{as_html(found)}\n</body>\n</html>\n"
    )
    if not target.parent.is_dir():
        raise ConfigError(f"{target} cannot be written: there is no folder {target.parent}")
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(body)
        Path(scratch).chmod(0o644)
        os.replace(scratch, target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return target
