"""Every setting is in the committed table, moves what it should on stage roots, and each line is what the code computes today."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grinder.config import Config
from grinder.records import STAGES
from tests.defaults import (
    CASES,
    HEAD,
    PAGE,
    STEP,
    STILL,
    THIN,
    TREND,
    Found,
    changed,
    first_difference,
    line,
    look,
    shown,
    unchanged,
)

TEXT = PAGE.read_text("utf-8")
MOVING, STILL_ROWS = (
    {
        row.split("`")[1]: [cell.strip() for cell in row.strip().strip("|").split("|")]
        for row in part.splitlines()
        if row[:3] == "| `"
    }
    for part in TEXT.split("## Settings that change nothing")
)


def test_every_setting_is_in_the_table_once_and_its_other_value_is_another():
    assert sorted(case.name for case in CASES) == sorted(Config.model_fields) == sorted([*MOVING, *STILL_ROWS])
    for case in CASES:
        assert case.config(True) != case.config(False), case.name
        default, other = (MOVING.get(case.name) or STILL_ROWS[case.name])[1:3]
        assert (default, other) == (shown(Config.model_fields[case.name].default), shown(case.value))


def test_every_setting_that_moves_moves_its_stage_first_and_the_others_say_why_not():
    declared = {case.name: case.stage for case in CASES}
    for name, (_, _, _, _, _, _, first, expected, roots, _) in MOVING.items():
        assert first == expected == declared[name], name
        assert 1 <= int(roots) <= len(STAGES)
    assert all(row[4] for row in STILL_ROWS.values())
    assert len(STILL_ROWS) <= 1


def test_the_page_is_made_of_the_script_s_words():
    assert TEXT.startswith(HEAD)
    assert STILL in TEXT


@pytest.mark.parametrize("case", [case for case in CASES if case.name in MOVING], ids=lambda case: case.name)
def test_lines_are_what_the_code_computes(case):
    """On the fixture that the page names: that those before it do not move is left to the whole regeneration."""
    name = MOVING[case.name][4]
    one, other = unchanged(name, case.policy, repr(case.beside)), changed(name, case)
    difference = first_difference(one, other)
    assert difference is not None
    moved = sum(one.digest.roots[stage] != other.digest.roots[stage] for stage in STAGES)
    assert line(case, Found(name, *difference, moved)) in TEXT, "python -m tests.defaults --write"


def test_a_setting_that_changes_nothing_changes_nothing():
    case = next(case for case in CASES if case.name in STILL_ROWS)
    assert line(case, None) in TEXT
    one, other = unchanged(case.first, case.policy, repr(case.beside)), changed(case.first, case)
    assert first_difference(one, other) is None
    assert one.digest.roots == other.digest.roots
    assert one.digest.config != other.digest.config


def test_the_first_difference_is_the_earliest_event_and_there_the_first_stage_of_a_step():
    assert sorted(STEP) == sorted(STAGES)
    case = next(case for case in CASES if case.name == "taker_fee")
    one, other = unchanged(TREND, "smart", repr({})), changed(TREND, case)
    event, stage = first_difference(one, other)
    assert stage == "fills"
    for name in STAGES:
        before = [run.tables[name].records for run in (one, other)]
        assert np.array_equal(*(rows[rows["event"] < event] for rows in before)), name
    fills = one.fills.records
    assert event == int(fills["event"][fills["taker"] == 1][0])


def test_looking_goes_on_until_a_fixture_moves():
    """The first of them may have nothing for the setting, as a fixture without a latch for what a flatten costs."""
    case = next(case for case in CASES if case.name == "taker_fee")
    found = look(replace(case, first=THIN))
    assert found is not None
    assert found.fixture == TREND
