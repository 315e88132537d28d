"""HTML that needs nothing else: one style for every card, escaped text, elements written in one place, the same bytes every time.

A card has no background and inherits its text's colour, so that it is legible on whatever the notebook has; colours of its own are
for marks alone and follow `prefers-color-scheme`, or the theme that JupyterLab and VS Code name on their page.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from grinder.errors import ConfigError
from grinder.outfile import write_whole

__all__ = ["Row", "element", "escaped", "fragment", "grouped", "signed", "table", "write_page"]

_LIGHT: Final = (
    "--up:#0072b2;--down:#d55e00;--calm:#b8b8b8;--t-up:#56b4e9;--t-down:#e69f00;--thin:#009e73;--toxic:#cc79a7;--pause:#f0e442"
)
_DARK: Final = (
    "--up:#56b4e9;--down:#f0803c;--calm:#7c7c7c;--t-up:#2f8fc9;--t-down:#e69f00;--thin:#1db48a;--toxic:#d98bb6;--pause:#d9ce3f"
)
_THEMED: Final = "[data-jp-theme-light='{}'] .grinder,body.vscode-{} .grinder"
# Selectors are doubled to be stronger than a notebook's own for tables.
_STYLE: Final = f"""
.grinder{{{_LIGHT};--rule:rgba(128,128,128,.35);--wash:rgba(128,128,128,.13);color:inherit;background:none;max-width:62em;
font:13px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums lining-nums;overflow-wrap:anywhere;overflow-x:auto;padding:.3em 0}}
@media (prefers-color-scheme: dark){{.grinder{{{_DARK}}}}}
{_THEMED.format("false", "dark")}{{{_DARK}}}
{_THEMED.format("true", "light")}{{{_LIGHT}}}
.grinder *{{box-sizing:border-box}}
.grinder .faint,.grinder.grinder caption,.grinder.grinder thead th,.grinder summary{{opacity:.72}}
.grinder h3{{font-size:1.25em;font-weight:650;margin:0;color:inherit}}
.grinder p{{margin:.25em 0}}
.grinder code{{font:12px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:inherit;background:none;padding:0;
white-space:pre-wrap}}
.grinder svg{{display:block;width:100%;overflow:visible}}
.grinder.grinder table{{border-collapse:collapse;border:0;margin:.4em 0;width:auto;table-layout:auto;font-size:inherit;
color:inherit;overflow-wrap:break-word}}
.grinder.grinder caption{{caption-side:top;text-align:left;font-weight:600;padding:0 0 .2em;color:inherit}}
.grinder.grinder tr,.grinder.grinder tr:nth-child(n),.grinder.grinder tr:nth-child(n):hover{{background:none}}
.grinder.grinder th,.grinder.grinder td{{text-align:left;vertical-align:baseline;border:0;border-top:1px solid var(--rule);
padding:.16em 1.4em .16em 0;color:inherit;background:none;white-space:normal;font-weight:400;max-width:none}}
.grinder.grinder thead th{{border-top:0;font-size:.92em}}
.grinder.grinder .n{{text-align:right;white-space:nowrap}}
.grinder.grinder .sum th,.grinder.grinder .sum td{{font-weight:650;border-top:2px solid var(--rule)}}
@media (max-width:600px){{.grinder.grinder th,.grinder.grinder td{{padding-right:.7em}}}}
.grinder details{{margin:.35em 0}}
.grinder summary{{cursor:pointer}}
"""


def escaped(text: object) -> str:
    """Text as it stands, whatever it holds, between tags and in attributes; what has no place in HTML or XML is U+FFFD."""
    return html.escape(re.sub("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(text)))


def element(tag: str, inside: str = "", attributes: Mapping[str, object] | None = None, **others: object) -> str:
    """An element around HTML; attributes are escaped, `class_` is `class`."""
    named = {**(attributes or {}), **{name.rstrip("_"): value for name, value in others.items()}}
    written = "".join(f' {name}="{escaped(value)}"' for name, value in named.items() if value not in (None, ""))
    return f"<{tag}{written}>{inside}</{tag}>"


def fragment(body: Iterable[str], style: str = "", kind: str = "") -> str:
    """A card with its style, to be put into a page of whatever making."""
    return element("div", f"<style>{_STYLE}{style}</style>\n" + "\n".join(body), class_=f"grinder {kind}".strip())


class Row(tuple[str, ...]):
    """Cells of a table, of which the first names the row; `kind` is its class."""

    kind: str

    def __new__(cls, cells: Iterable[str], kind: str = "") -> Row:
        """Cells as HTML."""
        made = super().__new__(cls, cells)
        made.kind = kind
        return made


def table(caption: str, rows: Sequence[Row], head: Sequence[str] = (), numbers: Iterable[int] = ()) -> str:
    """A table of HTML cells.

    Args:
        caption: text. head: text of the columns. numbers: columns that are set flush right.
    """
    right = set(numbers)

    def cell(i: int, inside: str, in_head: bool) -> str:
        scope = ("col" if in_head else "row") if i == 0 or in_head else None
        return element("th" if scope else "td", inside, class_="n" if i in right else None, scope=scope)

    top = [element("caption", escaped(caption))] if caption else []
    if head:
        top.append(element("thead", element("tr", "".join(cell(i, escaped(name), True) for i, name in enumerate(head)))))
    body = [element("tr", "".join(cell(i, inside, False) for i, inside in enumerate(row)), class_=row.kind) for row in rows]
    return element("table", "".join(top) + element("tbody", "\n".join(body)))


def grouped(text: str) -> str:
    """Decimal text with its thousands apart, and a minus sign as wide as a digit.

    >>> grouped("-9998.8531")
    '\N{MINUS SIGN}9,998.8531'
    """
    whole, point, rest = text.removeprefix("-").partition(".")
    sign = "\N{MINUS SIGN}" if text.startswith("-") and text.strip("-0.") else ""
    return f"{sign}{int(whole):,}{point}{rest}"


def signed(text: str) -> str:
    """Decimal text likewise, with a plus sign where it is over 0."""
    return ("" if text.startswith("-") or not text.strip("0.") else "+") + grouped(text)


def write_page(path: str | os.PathLike[str], title: str, body: str) -> Path:
    """A page that needs nothing else, light and dark, whole or not at all.

    Args:
        title: text. body: HTML.

    Raises:
        ConfigError: it cannot be written there.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ConfigError(f"{target} cannot be written: there is no folder {target.parent}")
    whole = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escaped(title)}</title>\n'
        "<style>:root{color-scheme:light dark}body{margin:1em;color:#1b1b1b;background:#fff}"
        "@media (prefers-color-scheme: dark){body{color:#e6e6e6;background:#161616}}</style>\n"
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
    return write_whole(target, whole.encode())
