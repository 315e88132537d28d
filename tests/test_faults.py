"""The page of input faults is what the command line does today; every policy is the one declared; every reason occurs."""

from __future__ import annotations

import re

import pytest

from grinder.records import Fault
from tests.faults import ACCEPT, OPTION, PAGE, REJECT, SOURCES, Case, cases, page, run


@pytest.mark.parametrize(("heading", "case"), cases(), ids=lambda value: value if isinstance(value, str) else value.file)
def test_policy(heading: str, case: Case):
    found = run(case)
    assert found.policy == case.policy, found.text
    assert (found.code != 0) == (found.policy == REJECT)
    if found.policy == REJECT:
        assert "Traceback" not in found.text
        assert (found.code == 2) == (case.fault == OPTION), "2 is a fault of the settings, 3 one of the data"
        assert found.code == 2 or "DIR/" in found.text or "made" in found.text, "it names the file, or the fixture"
        assert not found.left, "nothing is written"
        cure = r"; .+|: .+" if found.code == 2 else r"\(.+\)$|; .+|: .+: .+"
        assert re.search(cure, found.text), "it names the cure, or what a setting may be"
    elif found.policy == ACCEPT:
        assert found.text.split()[0] == case.shows


def test_the_committed_page_is_what_the_script_makes():
    assert PAGE.read_text("utf-8") == page(), "python -m tests.faults --write"


def test_the_page_covers_every_reason_and_every_row_of_the_contract():
    text = PAGE.read_text("utf-8")
    for fault in Fault:
        assert re.search(rf"quarantined [a-z]+\.{fault.name.lower()} \d", text), fault
    rows = {case.fault for _, _, listed in SOURCES for case in listed}
    assert len(rows) == 15
    for heading, _, listed in SOURCES:
        assert len(listed) > 30, heading
    assert not re.search(r"/tmp|/home|\n\n\n", text)
