"""A reader of the little YAML that this repository's files for other tools are written in, and nothing else.

Mappings, lists, text in one line (plain or in double quotes) and literal blocks (`|`), indented by two spaces. Anything else is a
ValueError: anchors, tags, flow collections, other quotes, tabs, duplicate keys. So what is read here is read alike everywhere.
"""

from __future__ import annotations

import json
import re
from typing import Any

Line = tuple[int, str, str]
"""Indentation, text without it, and the whole line."""


def load(text: str) -> Any:
    """The value of a document."""
    lines: list[Line] = []
    for line in text.splitlines():
        if "\t" in line or line != line.rstrip():
            raise ValueError(f"a tab, or spaces at the end: {line!r}")
        lines.append((len(line) - len(line.lstrip()), line.strip(), line))
    value, rest = _block(lines, 0)
    if _skip(rest):
        raise ValueError(f"not understood: {rest[0][2]!r}")
    return value


def _skip(lines: list[Line]) -> list[Line]:
    while lines and (not lines[0][1] or lines[0][1].startswith("#")):
        lines = lines[1:]
    return lines


def _block(lines: list[Line], indent: int) -> tuple[Any, list[Line]]:
    lines = _skip(lines)
    if not lines or lines[0][0] != indent:
        raise ValueError(f"a value is needed at indentation {indent}, there is {lines[0][2] if lines else 'nothing'!r}")
    return _list(lines, indent) if lines[0][1].startswith("- ") else _mapping(lines, indent)


def _list(lines: list[Line], indent: int) -> tuple[list[Any], list[Line]]:
    out = []
    while (lines := _skip(lines)) and lines[0][0] == indent and lines[0][1].startswith("- "):
        first = lines[0][1][2:]
        if re.match(r"[A-Za-z_.-]+:( |$)", first):
            value, lines = _mapping([(indent + 2, first, " " * (indent + 2) + first), *lines[1:]], indent + 2)
        else:
            value, lines = _scalar(first), lines[1:]
        out.append(value)
    return out, lines


def _mapping(lines: list[Line], indent: int) -> tuple[dict[str, Any], list[Line]]:
    out: dict[str, Any] = {}
    while (lines := _skip(lines)) and lines[0][0] == indent and not lines[0][1].startswith("- "):
        found = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_.-]*):(?: (.+))?", lines[0][1])
        if not found or found[1] in out:
            raise ValueError(f"no key, or one that was there: {lines[0][2]!r}")
        key, text = found[1], found[2]
        lines = lines[1:]
        if text == "|":
            out[key], lines = _literal(lines, indent + 2)
        elif text:
            out[key] = _scalar(text)
        elif (after := _skip(lines)) and (after[0][0] > indent or (after[0][0] == indent and after[0][1].startswith("- "))):
            out[key], lines = _block(lines, after[0][0])
        else:
            out[key] = None
    return out, lines


def _literal(lines: list[Line], indent: int) -> tuple[str, list[Line]]:
    body = []
    while lines and (not lines[0][1] or lines[0][0] >= indent):
        body.append(lines[0][2][indent:])
        lines = lines[1:]
    return "\n".join(body).rstrip("\n") + "\n", lines


def _scalar(text: str) -> str:
    """Text as it is; what YAML could take for something else has to stand in quotes."""
    if text.startswith('"'):
        value = json.loads(text)
        if not isinstance(value, str):
            raise ValueError(text)
        return value
    if re.match(r"[\[{}\]&*!|>%@`'#,?]", text) or re.search(r": |:$| #", text):
        raise ValueError(f"to be put in double quotes: {text}")
    if re.fullmatch(r"[-+.0-9_eExo]+|~|null|yes|no|on|off", text, re.IGNORECASE):
        raise ValueError(f"a number, or what some take for a truth: put it in double quotes: {text}")
    return text
