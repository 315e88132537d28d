"""How verdicts are told: annotations and tables keep their shape whatever a message holds, and JUnit is well-formed XML."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from grinder.digest import Difference
from grinder.errors import ConfigError, DataError, InputFault, IntegrityError, Nondeterminism
from grinder.golden import Verdict
from grinder.verdicts import FORMATS, Outcome, Report, annotation, junit, markdown

A, B = "a" * 64, "b" * 64
SPAN = "; 2024-01-03T14:02:00 to 2024-01-03T15:00:00 UTC"
DIFFERENCE = Difference("fills", 3, ("fills", "ledger"))
EQUAL = Outcome("calm", Verdict("calm", A, A, None, "", ()))
DIFFERS = Outcome("wild", Verdict("wild", A, B, DIFFERENCE, SPAN, ("cycles: at least 9, there are 2",)))
WANTING = Outcome("dull", Verdict("dull", A, A, None, "", ("fills: at least 300, there are 0", "regimes RANGE")))
CORRUPT = Outcome("torn", error=IntegrityError("fixtures/torn/quotes.parquet: sha256 is 1, the manifest says 2"))
UNSURE = Outcome("twice", error=Nondeterminism("twice: two runs differ"))
ALL = [EQUAL, DIFFERS, WANTING, CORRUPT, UNSURE]
NASTY = "50% | a\\b `c` *d* <b>&amp; [x](y), 'q' \"r\":\r\n::error::no\x00\x1b\ufffe ü 🎯\ttab\n| - |"


def unescaped(text: str) -> str:
    """What the runner makes of an escaped value."""
    for code, plain in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, plain)
    return text


def nasty(words: str = NASTY) -> Outcome:
    error = InputFault(words, file="a,b:c%.csv", row=3, column="px", value=words, cure=words)
    error.add_note("in fixture.toml")
    return Outcome("torn", error=error)


def test_kinds_and_exit_codes():
    assert [(outcome.kind, outcome.exit_code) for outcome in ALL] == [
        *[("equal", 0), ("DigestMismatch", 1), ("NotShown", 1), ("IntegrityError", 3), ("Nondeterminism", 4)],
    ]
    report = Report("text", {})
    assert report.exit_code == 0
    codes = [report.add(outcome) and report.exit_code for outcome in (EQUAL, DIFFERS, WANTING)]
    assert codes == [0, 1, 1]
    report.add(UNSURE)
    report.add(CORRUPT)
    assert report.exit_code == 4, "the worst"
    assert Outcome("x", error=ConfigError("no")).exit_code == 2


def test_reasons_name_stage_window_events_and_times():
    first, see, second = DIFFERS.reasons
    assert (
        see == "to see it: grinder diff wild (and its first record, by a COMMIT that was equal: grinder diff COMMIT --fixture wild)"
    )
    assert first == f"stage fills differs first, in window 3 (events 12288 to 16383); also in ledger{SPAN}"
    assert second == "expected but not shown: cycles: at least 9, there are 2"
    assert nasty().reasons[1] == "in fixture.toml"
    assert str(CORRUPT).splitlines()[0] == "torn: IntegrityError"


# GitHub Actions


@pytest.mark.parametrize("outcome", [*ALL[1:], nasty()], ids=lambda outcome: outcome.fixture)
def test_annotations_are_one_line_that_reads_back(outcome):
    line = annotation(outcome)
    assert len(line.splitlines()) == 1
    _, command, message = line.split("::", 2)
    assert unescaped(message) == str(outcome)
    word, _, properties = command.partition(" ")
    (pair,) = properties.split(",")
    name, _, value = pair.partition("=")
    assert (word, name) == ("error", "title")
    assert unescaped(value).startswith(f"{outcome.fixture}: ")
    assert ":" not in value


def test_a_mismatch_is_annotated_with_its_place():
    title, message = annotation(DIFFERS).removeprefix("::error title=").split("::", 1)
    assert title == "wild%3A digest differs"
    assert "stage fills differs first, in window 3 (events 12288 to 16383)" in message
    assert "2024-01-03T14:02:00 to 2024-01-03T15:00:00 UTC" in message


# Markdown


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def test_markdown_is_a_table_of_all():
    lines = markdown(ALL).splitlines()
    assert lines[0] == "### grinder verify: 4 of 5 failed"
    table = [cells(line) for line in lines[2:]]
    assert {len(row) for row in table} == {4}
    assert [row[:2] for row in table[2:]] == [
        ["calm", "equal"],
        ["wild", "**digest differs**"],
        ["dull", "**expected but not shown**"],
        ["torn", "**IntegrityError**"],
        ["twice", "**Nondeterminism**"],
    ]
    assert table[3][2:] == [f"`{A[:12]}`, golden `{B[:12]}`", "<br>".join(DIFFERS.reasons)]
    assert table[4][2] == f"`{A[:12]}`"
    assert markdown([EQUAL, EQUAL]).splitlines()[0] == "### grinder verify: 2 equal"


def test_a_message_stays_in_its_cell():
    row = markdown([nasty()]).splitlines()[4:]
    assert len(row) == 1
    _, _, _, said = cells(row[0])
    assert "<br>" in said
    plain = re.sub(r"\\(.)", r"\1", said.replace("<br>", "\n").replace("&lt;", "<").replace("&amp;", "&"))
    told = [line.strip() for reason in nasty().reasons for line in reason.splitlines()]
    assert plain.splitlines() == told
    assert "<b>" not in said


# JUnit


def test_junit_counts_and_names():
    suites = ElementTree.fromstring(junit(ALL))
    (suite,) = suites
    for element in (suites, suite):
        assert [element.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "2", "2", "0"]
    found = [(case.get("classname"), case.get("name"), *[(part.tag, part.get("type")) for part in case]) for case in suite]
    assert found == [
        ("grinder.verify", "calm", ("system-out", None)),
        ("grinder.verify", "wild", ("failure", "DigestMismatch")),
        ("grinder.verify", "dull", ("failure", "NotShown")),
        ("grinder.verify", "torn", ("error", "IntegrityError")),
        ("grinder.verify", "twice", ("error", "Nondeterminism")),
    ]
    failure = suite.find("testcase/failure")
    assert failure.text == str(DIFFERS)
    assert failure.get("message") == "; ".join(DIFFERS.reasons)


def test_junit_of_any_text_is_well_formed():
    text = junit([nasty(), nasty("\ud800 lone")])
    assert text.isascii()
    told = [error.text for error in ElementTree.fromstring(text).iter("error")]
    assert told[0] == re.sub("[\x00\x1b\ufffe]", "\ufffd", str(nasty())).replace("\r\n", "\n")
    assert "\ufffd lone" in told[1]


# Reports


def test_each_format_prints_at_once_or_at_the_end():
    printed = {}
    for form in FORMATS:
        report = Report(form, {})
        printed[form] = ([report.add(outcome) for outcome in (EQUAL, DIFFERS, CORRUPT)], report.end())
    assert printed["text"] == ([str(EQUAL), str(DIFFERS), ""], "")
    assert printed["github"] == (["", annotation(DIFFERS), annotation(CORRUPT)], "")
    assert printed["junit"] == (["", "", ""], junit([EQUAL, DIFFERS, CORRUPT]))
    assert printed["markdown"] == (["", "", ""], markdown([EQUAL, DIFFERS, CORRUPT]))
    equal, differs, corrupt = printed["json"][0]
    assert (corrupt, printed["json"][1]) == ("", "")
    assert '"first_stage": "fills", "first_window": 3' in differs
    assert (json.loads(equal)["next"], json.loads(differs)["next"]) == (None, DIFFERS.verdict.next)
    for text in (str(DIFFERS), annotation(DIFFERS), junit([DIFFERS]), markdown([DIFFERS]), differs):
        assert "grinder diff wild (" in text
        assert "grinder diff COMMIT --fixture wild)" in text
    for text in (str(EQUAL), str(WANTING), junit([EQUAL, WANTING]), markdown([EQUAL, WANTING])):
        assert "grinder diff" not in text
    assert equal.startswith('{"digest": "aaa')


def test_the_summary_is_for_whoever_asks(tmp_path):
    file = tmp_path / "summary.md"
    asked = {"GITHUB_STEP_SUMMARY": str(file)}
    for form, environment, written in (
        *[("github", asked, True), ("github", {}, False), ("github", {"GITHUB_STEP_SUMMARY": ""}, False)],
        *[("text", asked, False), ("text", asked | {"GITHUB_ACTIONS": "true"}, True), ("text", {"GITHUB_ACTIONS": "true"}, False)],
        *[(form, asked | {"GITHUB_ACTIONS": "true"}, False) for form in ("json", "junit", "markdown")],
    ):
        file.write_text("")
        report = Report(form, environment)
        report.add(nasty("\ud800 lone"))
        report.add(Outcome("wrong", error=DataError("no golden")))
        report.write_summary()
        lines = file.read_text("utf-8").splitlines()
        assert len(lines) == (6 if written else 0), (form, environment)
