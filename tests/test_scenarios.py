"""Scenarios: what the engine does, line by line, in files that need no Python to be read (tests/scenario.py tells their language)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario import differences, read

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
SCENARIOS = {scenario.name: scenario for path in FILES for scenario in read(path)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    found = list(differences(SCENARIOS[name]))
    assert not found, "\n\n" + "\n".join(found)
