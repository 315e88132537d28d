"""As many generated cases as INVARIANTS ask of every change; and a declaration that nothing keeps is noticed."""

from __future__ import annotations

from collections import Counter

import pytest

from tests import volumes
from tests.environments import FOLDERS, LANES
from tests.reliability import figures
from tests.volumes import (
    ASKED,
    ENVIRONMENTS,
    KILLED,
    MUTATED,
    PLANTED,
    PROPERTY,
    REFERENCE,
    collected,
    each,
    main,
    ran,
    volume,
)


@pytest.fixture(scope="module")
def found() -> dict[str, Counter[str]]:
    return collected()


def test_there_is_as_much_as_was_asked_for(found):
    assert ASKED == {PROPERTY: 20_000, REFERENCE: 2_000, PLANTED: 200, MUTATED: 20_000, KILLED: 40, ENVIRONMENTS: 100}
    assert {kind: total for kind in ASKED if (total := found[kind].total()) < ASKED[kind]} == {}
    assert found[ENVIRONMENTS].total() == len(FOLDERS) * (1 + len(LANES)), "every fixture that has a golden, in every environment"


def test_the_page_says_no_more_than_there_is(found):
    told = [[cell.strip() for cell in line.split("|")[1:4]] for line in figures("volumes").splitlines()[2:]]
    assert [(kind, int(asked.replace(",", ""))) for kind, asked, _ in told] == list(ASKED.items())
    for kind, asked, shown in told:
        assert int(asked.replace(",", "")) <= int(shown.replace(",", "")) <= found[kind].total(), "python -m tests.volumes --write"


def test_both_ways_of_drawing_are_among_them(found):
    assert found[PROPERTY]["test_units.py::test_mul_div"] >= 400, "of hypothesis"
    assert found[PROPERTY]["test_invariants.py::test_cycles"] >= 240, "of a seed"
    assert found[PROPERTY]["test_quiet.py::test_what_is_passed_over_is_quiet"] >= 200, "of items with blocks of seeds"


def test_a_declaration_that_is_not_kept_fails():
    @volume(KILLED, 3)
    def kept():
        assert list(each(KILLED, range(5, 7))) == [5, 6]
        ran(KILLED)

    @volume(KILLED, 3)
    def broken():
        ran(KILLED, 2)

    @volume(KILLED, 3)
    def ended():
        for seed in each(KILLED, range(3)):
            if seed == 2:
                break

    kept()
    kept()
    for test in (broken, ended):
        with pytest.raises(AssertionError, match="3 kills and resumptions are declared, 2 ran"):
            test()
    with pytest.raises(AssertionError):
        volume("anything", 3)


def test_a_failure_tells_its_seed():
    @volume(PROPERTY, 9)
    def fails():
        for seed in each(PROPERTY, range(40, 49)):
            assert seed != 44

    with pytest.raises(AssertionError) as caught:
        fails()
    assert caught.value.__notes__ == ["at seed 44"]


def test_the_lane_ends_with_1_where_something_falls_short(monkeypatch, capsys):
    least = {kind: Counter({"test_x.py::test_y": asked}) for kind, asked in ASKED.items()}
    monkeypatch.setattr(volumes, "collected", lambda: least)
    assert main(["--tests"]) == 0
    said = capsys.readouterr().out
    assert "| kills and resumptions | 40 | 40 | test_x 40 |" in said
    assert "      40 test_x.py::test_y" in said
    least[KILLED]["test_x.py::test_y"] -= 1
    assert main([]) == 1
