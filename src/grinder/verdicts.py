"""What `verify` found, as its readers want it: text, JSON lines, JUnit XML, annotations of GitHub Actions, a Markdown table.

Nothing here replays or compares, and nothing depends on the time, the machine or the order in which a set is walked: equal
verdicts are told in equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grinder.errors import DigestMismatch, GrinderError

if TYPE_CHECKING:
    from grinder.golden import Verdict

__all__ = ["FORMATS", "Outcome", "Report", "annotation", "junit", "markdown"]

FORMATS: Final = ("text", "json", "junit", "github", "markdown")
SHOWN_DIGITS: Final = 12
"""Of a digest in a table: enough to tell two apart."""


@dataclass(frozen=True)
class Outcome:
    """What became of one fixture: a verdict, or the error that kept it from one."""

    fixture: str
    verdict: Verdict | None = None
    error: GrinderError | None = None

    @property
    def exit_code(self) -> int:
        """0 equal, 1 not equal, else the error's."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.verdict is not None and self.verdict.passed else DigestMismatch.exit_code

    @property
    def kind(self) -> str:
        """`equal`, `DigestMismatch`, `NotShown` (what `[expect]` asks for), or the name of the error."""
        if self.verdict is None:
            return type(self.error).__name__
        if self.verdict.difference is not None:
            return DigestMismatch.__name__
        return "NotShown" if self.verdict.shortfalls else "equal"

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is wrong, a sentence each: stage, window, events and times of the first difference, what to type to see it, and what
        is not shown.
        """
        if self.verdict is None:
            return (str(self.error), *getattr(self.error, "__notes__", ()))
        first: tuple[str, ...] = ()
        if self.verdict.difference is not None:
            first = (f"{self.verdict.difference}{self.verdict.span}", f"to see it: {self.verdict.next}")
        return (*first, *(f"expected but not shown: {shortfall}" for shortfall in self.verdict.shortfalls))

    def __str__(self) -> str:
        if self.verdict is not None:
            return str(self.verdict)
        return "\n  ".join((f"{self.fixture}: {self.kind}", *self.reasons))


@dataclass
class Report:
    """Verdicts as they come, told in one format.

    Args:
        format: one of `FORMATS`. environment: of the process; GITHUB_ACTIONS and GITHUB_STEP_SUMMARY are looked at.
    """

    format: str
    environment: Mapping[str, str]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The worst of all."""
        return max((outcome.exit_code for outcome in self.outcomes), default=0)

    @property
    def _annotates(self) -> bool:
        actions = self.environment.get("GITHUB_ACTIONS") == "true"
        return self.format == "github" or (self.format == "text" and actions)

    def add(self, outcome: Outcome) -> str:
        """What there is to print of an outcome at once; empty where that comes at the end, or is an error's, which stderr has."""
        self.outcomes.append(outcome)
        if self.format == "json":
            return json.dumps(outcome.verdict.to_dict(), sort_keys=True) if outcome.verdict else ""
        lines = [str(outcome)] if self.format == "text" and outcome.verdict else []
        lines += [annotation(outcome)] if self._annotates and outcome.exit_code else []
        return "\n".join(lines)

    def end(self) -> str:
        """What there is to print of them all, at the end."""
        if self.format == "junit":
            return junit(self.outcomes)
        return markdown(self.outcomes) if self.format == "markdown" else ""

    def write_summary(self) -> None:
        """Append the table to the job's summary, where GitHub Actions asks for one. Raises OSError where it cannot be written."""
        file = self.environment.get("GITHUB_STEP_SUMMARY")
        if file and self._annotates:
            with Path(file).open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as opened:
                opened.write(markdown(self.outcomes) + "\n")


# GitHub Actions


def annotation(outcome: Outcome) -> str:
    """An error as a workflow command: one line, whatever the message holds."""
    title = f"{outcome.fixture}: {_WORDS.get(outcome.kind, outcome.kind)}"
    return f"::error title={_property(title)}::{_escaped(str(outcome))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


# Markdown

_WORDS: Final = {"DigestMismatch": "digest differs", "NotShown": "expected but not shown"}


def markdown(outcomes: Sequence[Outcome]) -> str:
    """A heading and a table, one row a fixture."""
    failed = sum(1 for outcome in outcomes if outcome.exit_code)
    said = f"{failed} of {len(outcomes)} failed" if failed else f"{len(outcomes)} equal"
    rows = [f"### grinder verify: {said}", "", "| fixture | verdict | digest | what is wrong |", "|---|---|---|---|"]
    return "\n".join([*rows, *(_row(outcome) for outcome in outcomes)])


def _row(outcome: Outcome) -> str:
    word = _cell(_WORDS.get(outcome.kind, outcome.kind))
    digest = ""
    if outcome.verdict is not None:
        digest = f"`{outcome.verdict.digest[:SHOWN_DIGITS]}`"
        if outcome.verdict.difference is not None:
            digest += f", golden `{outcome.verdict.golden[:SHOWN_DIGITS]}`"
    wrong = "<br>".join(_cell(reason) for reason in outcome.reasons)
    verdict = f"**{word}**" if outcome.exit_code else word
    return f"| {_cell(outcome.fixture)} | {verdict} | {digest} | {wrong} |"


def _cell(text: str) -> str:
    """Text that stays in its cell and means nothing else there."""
    plain = re.sub(r"([\\`*~|\[\]])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))
    return "<br>".join(line.strip() for line in plain.splitlines())


# JUnit


def junit(outcomes: Sequence[Outcome]) -> str:
    """A test suite with one case a fixture: a failure where it differs, an error where it cannot be verified.

    ASCII, so that it is well-formed in whatever encoding stdout has. It holds no time and no host.
    """
    from xml.etree import ElementTree as Tree

    bad = [outcome for outcome in outcomes if outcome.exit_code]
    errors = sum(1 for outcome in bad if outcome.error)
    counts = {"tests": len(outcomes), "failures": len(bad) - errors, "errors": errors, "skipped": 0}
    attributes = {name: str(count) for name, count in counts.items()}
    suites = Tree.Element("testsuites", attributes)
    suite = Tree.SubElement(suites, "testsuite", {"name": "grinder verify", **attributes})
    for outcome in outcomes:
        case = Tree.SubElement(suite, "testcase", {"classname": "grinder.verify", "name": _legal(outcome.fixture)})
        _tell(Tree, case, outcome)
    Tree.indent(suites)
    body: bytes = Tree.tostring(suites, encoding="us-ascii", xml_declaration=True)
    return body.decode("ascii")


def _tell(tree: Any, case: Any, outcome: Outcome) -> None:
    if not outcome.exit_code:
        tree.SubElement(case, "system-out").text = _legal(str(outcome))
        return
    message = _legal("; ".join(outcome.reasons))
    told = tree.SubElement(case, "error" if outcome.error else "failure", {"type": outcome.kind, "message": message})
    told.text = _legal(str(outcome))


def _legal(text: str) -> str:
    """What XML 1.0 has no character for, as U+FFFD."""
    return re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text)
