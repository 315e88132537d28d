"""The kill lane in small; and that it would notice files that are written in place, lost or torn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grinder.data.fixture import Fixture
from grinder.run import Run
from tests import kills
from tests.kills import OPERATIONS, STOPS, Known, Violation, killed, lane, prepare, run_case, survey, table, workshop
from tests.volumes import KILLED, ran, volume

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _a_person(monkeypatch):
    """Goldens are accepted, wherever these tests run."""
    monkeypatch.delenv("CI", raising=False)


@pytest.mark.parametrize("seed", [5, 6])
@volume(KILLED, 20)
def test_every_operation_is_killed_and_ends_in_the_same(seed):
    told = lane(20, seed)
    ran(KILLED, killed(told))
    assert [case["violation"] for case in told if case["violation"]] == [], f"seed {seed}"
    assert [case["operation"] for case in told[:5]] == list(OPERATIONS)
    assert all(kill["found"] for case in told for kill in case["kills"])
    hit = {case["operation"] for case in told if any(kill["killed"] for kill in case["kills"])}
    assert hit == {name for name in OPERATIONS if f"| {name} | " in table(told)}


def write_in_place() -> None:
    """Break `Run.save`: the file is opened under its own name and written in two halves."""
    import tempfile
    import time

    real = Run.save

    def save(self, path):
        with tempfile.TemporaryDirectory() as scratch:
            body = real(self, Path(scratch) / "whole").read_bytes()
        with Path(path).open("wb") as file:
            file.write(body[: len(body) // 2])
            file.flush()
            time.sleep(0.05)
            file.write(body[len(body) // 2 :])
        return Path(path)

    Run.save = save


def test_a_file_written_in_place_is_noticed(tmp_path):
    prepare(tmp_path)
    with workshop("from tests.test_kills import write_in_place; from tests.kills import serve; write_in_place(); serve()") as shop:
        known = survey(shop, tmp_path)
        saves = list(OPERATIONS).index("save")
        told = [run_case(shop, tmp_path, known, 1, number) for number in range(saves, 40, len(OPERATIONS))]
    assert any("no readable saved run" in case["violation"] for case in told)


@pytest.fixture
def work(tmp_path) -> tuple[Path, Known]:
    prepare(tmp_path)
    from grinder.session import replay

    data = Fixture.open(tmp_path / "fixtures" / "swings")
    return tmp_path, Known({stop: replay(data, until=stop).digest.value for stop in STOPS}, "", "", {}, {})


def test_what_must_not_be_found_after_a_kill(work):
    root, known = work
    assert kills.after_checkpoints(root, known) == "nothing yet"
    assert kills.after_command(root, known) == "old kept"
    assert kills.after_import(root, known) == "nothing yet"
    assert kills.after_accept(root, known) == "golden old, first one not yet"
    with pytest.raises(Violation, match="another digest"):
        kills.after_command(root, Known({}, "", "", {}, {}))
    with pytest.raises(Violation, match="another digest"):
        kills.end_command(root, known)
    (root / "fixtures" / "made").mkdir()
    with pytest.raises(Violation, match="a folder without a manifest"):
        kills.after_import(root, known)
    (root / "fixtures" / "made" / "fixture.toml").touch()
    (root / "fixtures" / "odd").mkdir()
    (root / "fixtures" / "odd" / "fixture.toml").touch()
    with pytest.raises(Violation, match="fixtures are"):
        kills.after_import(root, known)
    with pytest.raises(Violation, match="a golden was not accepted"):
        kills.end_accept(root, known)
    golden = root / "fixtures" / "swings" / "digest.json"
    golden.write_text(golden.read_text().replace("an old golden", "half a golden"))
    with pytest.raises(Violation, match="reason"):
        kills.after_accept(root, known)
    (root / "run.grinder").write_bytes((root / "kept.grinder").read_bytes()[:-9])
    with pytest.raises(Exception, match="no readable saved run"):
        kills.after_checkpoints(root, known)


def test_a_lane_goes_on_where_its_log_ends(tmp_path):
    log = tmp_path / "kills.jsonl"
    cases = [{"seed": 3, "number": i, "operation": "save", "violation": "", "kills": []} for i in range(2)]
    for case in cases:
        case["kills"] = [{"at": "9 ms", "ms": 9, "killed": True, "found": "one of them whole"}]
    torn = json.dumps(cases[1])[:20]
    log.write_text("\n".join(json.dumps(case) for case in [*cases, {**cases[0], "seed": 4}]) + "\n" + torn)
    assert lane(2, 3, log) == cases
    assert [json.loads(line)["number"] for line in log.read_text().splitlines()] == [0, 1, 0]
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "2", "--seed", "3", "--log", str(log)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 3: 2 kills in 2 cases, 0 violations")
    assert "| save | 2 | 9, 9, 9 | one of them whole 2 | 2 of 2 |" in done.stdout
