"""Runs of other revisions: worktrees that go away, environments, errors with a name; runs of other versions; `grinder diff`."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from grinder import revisions
from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.digest import chain
from grinder.divergence import compare, diff
from grinder.errors import ConfigError, DataError, FixtureNotFound, IntegrityError, RevisionError
from grinder.golden import accept
from grinder.recorded import Recorded
from grinder.revisions import _worktree, checkout, commit_of, diff_revisions
from grinder.run import Run, load
from grinder.session import replay
from tests.stand_in import StandIn
from tests.swings import swing


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Fixture, Run, Run, Path, Path]:
    """A fixture, its run, a run of other settings, and both saved."""
    folder = tmp_path_factory.mktemp("runs")
    data = swing(folder / "swings")
    one, other = replay(data), replay(data, Config(step="35bp"))
    return data, one, other, one.save(folder / "one.grinder"), other.save(folder / "other.grinder")


@pytest.fixture
def repository(tmp_path, runs, monkeypatch) -> StandIn:
    """Commits that give one run, then the other; the working folder is its checkout, with the fixture beside it."""
    made = StandIn(tmp_path / "repository")
    made.commit("first", runs[3])
    made.git("tag", "before")
    made.commit("second", runs[4])
    swing(made.root / "fixtures" / "swings")
    monkeypatch.chdir(made.root)
    monkeypatch.setattr(revisions, "_home", lambda: tmp_path / "home")
    monkeypatch.delenv("CI", raising=False)
    return made


def left_over(repository: StandIn) -> list[str]:
    """Worktrees beside the checkout, and folders where they stood."""
    trees = repository.git("worktree", "list").splitlines()[1:]
    return trees + [path.name for path in (revisions._home() / "revisions").iterdir() if path.is_dir()]


def command(capsys, *words: str, code: int) -> tuple[str, str]:
    assert main(["diff", *words]) == code
    return capsys.readouterr()


# Two revisions


def test_two_revisions(repository, runs):
    said = []
    found = diff_revisions("before", "main", "swings", say=said.append)
    data, one, other, *_ = runs
    assert found.first == diff(one, other).first
    assert (found.a.label, found.b.label) == ("before", "main")
    assert found["market"].pairs[0].a_text, "the present has the fixture"
    assert [text.split(", ")[1] for text in said] == ["before", "main"]
    assert left_over(repository) == []
    assert data.content == found.a.input


def test_one_revision_under_two_names_is_replayed_once(repository):
    said = []
    found = diff_revisions("main", "HEAD", "swings", say=said.append)
    assert found.equal
    assert (found.a.label, found.b.label) == ("main", "HEAD")
    assert len(said) == 1


def test_what_a_killed_process_left_is_cleared(repository, tmp_path):
    commit = commit_of(repository.root, "before")
    with _worktree(repository.root, commit) as tree:
        place = tree
    place.mkdir()
    (place / "junk").touch()
    with _worktree(repository.root, commit) as tree:
        assert tree == place
        assert not (tree / "junk").exists()
        times = {path.stat().st_mtime for path in (tree / "src").rglob("*.py")}
        assert times == {revisions.FIRST_TIME}, "the same for every worktree, so that compiled code is found again"
        assert subprocess.run(["git", "-C", str(tree), "status", "--porcelain"], capture_output=True, check=True).stdout == b""
    repository.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "own"))
    shutil.move(tmp_path / "own", tmp_path / "elsewhere")  # as a drive that is not there today
    with _worktree(repository.root, commit) as tree:
        shutil.rmtree(tree)  # or all of the cache's folder
    assert left_over(repository) == [
        line for line in repository.git("worktree", "list").splitlines() if str(tmp_path / "own") in line
    ]
    assert len(left_over(repository)) == 1, "a worktree of the user's own is left alone, even one that cannot be seen"


@pytest.mark.parametrize(
    ("says", "error", "code"),
    [
        ("1 Traceback (most recent call last):\nImportError: no such module", RevisionError, 125),
        ("2 usage: grinder\ngrinder: error: unrecognized arguments: --save", RevisionError, 125),
        ("-9 out of memory", RevisionError, 125),
        ("2 grinder: stepp: there is no such setting", ConfigError, 2),
        ("3 grinder: quotes.parquet: sha256 is 0", DataError, 3),
    ],
)
def test_a_revision_that_cannot_replay(repository, capsys, says, error, code):
    repository.commit("broken", says=says)
    with pytest.raises(error) as caught:
        diff_revisions("before", "HEAD", "swings")
    assert caught.value.exit_code == code
    assert type(caught.value) is error
    assert "HEAD: `grinder replay" in str(caught.value)
    assert says.splitlines()[-1].split(" ", 1)[-1] in str(caught.value)
    assert left_over(repository) == []
    out, err = command(capsys, "before", "HEAD", "--fixture", "swings", code=code)
    assert out == ""
    assert err.startswith("grinder: HEAD: ")


def test_a_revision_without_the_package_never_runs_other_code(repository):
    repository.git("rm", "-r", "--quiet", "src")
    repository.git("commit", "--quiet", "--message", "nothing left")
    repository.git("checkout", "--quiet", "before")
    with pytest.raises(RevisionError, match=r"main: not its own code would run, but .*"):
        diff_revisions("before", "main", "swings")


def test_no_such_revision_or_fixture(repository, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="'nothing' is no file, no fixture and no revision"):
        diff_revisions("nothing", "main", "swings")
    for name in ("--all", "-h"):
        with pytest.raises(ConfigError, match="no revision"):
            commit_of(repository.root, name)
    with pytest.raises(FixtureNotFound, match="no fixture 'waves'"):
        diff_revisions("before", "main", "waves")
    assert left_over(repository) == []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(revisions, "__file__", str(tmp_path / "grinder" / "revisions.py"))
    with pytest.raises(ConfigError, match="is in a checkout"):
        checkout()


def test_each_revision_replays_its_own_fixture_or_the_present_one(repository, monkeypatch):
    told = []
    monkeypatch.setattr(revisions, "_replay", lambda root, tree, *_: told.append(revisions._fixture_for(tree, "swings")) or _stop())
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "with the fixture")
    for revision, own in (("before", False), ("HEAD", True)):
        with pytest.raises(RevisionError, match="stop"):
            revisions.recorded_at(repository.root, [revision], "swings", {})
        assert (told.pop() == "swings") is own
    with _worktree(repository.root, commit_of(repository.root, "HEAD")) as tree:
        assert revisions._fixture_for(tree, "./fixtures/swings") == str(repository.root / "fixtures" / "swings")
        with pytest.raises(FixtureNotFound):
            revisions._fixture_for(tree, "./nothing")


def _stop():
    raise RevisionError("stop")


def test_settings_reach_the_revision(repository, monkeypatch):
    seen = []
    real = subprocess.run

    def spy(words, **options):
        if words[1:3] == ["-m", "grinder"]:
            seen.append((words[3:], options["env"]["PYTHONPATH"], options["cwd"]))
        return real(words, **options)

    monkeypatch.setattr(revisions.subprocess, "run", spy)
    diff_revisions("before", "main", "swings", {"alpha": "1.4", "levels": 2})
    assert all(words[-4:] == ["--set", "alpha=1.4", "--set", "levels=2"] for words, _, _ in seen)
    assert {path for _, path, _ in seen} == {str(cwd / "src") for _, _, cwd in seen}
    assert len({cwd for _, _, cwd in seen}) == 2


# Environments


def test_another_lock_has_an_environment_of_its_own(repository, runs, monkeypatch, tmp_path):
    """Made once, kept, and never half made."""
    pythons = []
    real = revisions._interpreter
    monkeypatch.setattr(revisions, "_interpreter", lambda *words: pythons.append(real(*words)) or pythons[-1])
    repository.commit("locked", runs[3], requirements_lock="# nothing is needed\n")
    repository.commit("locked otherwise", runs[4], requirements_lock="# nothing is needed here either\n")
    assert diff_revisions("HEAD", "HEAD", "swings").equal
    assert pythons.pop() == sys.executable, "the lock is that of the present"
    assert diff_revisions("HEAD~1", "HEAD~1", "swings").equal
    made = Path(pythons.pop())
    assert (tmp_path / "home" / "environments") in made.parents
    assert made.exists()
    stamp = made.parents[1] / "complete"
    before = stamp.stat().st_mtime_ns
    assert diff_revisions("HEAD~1", "HEAD~1", "swings").equal
    assert stamp.stat().st_mtime_ns == before
    repository.commit("no such thing", runs[3], requirements_lock="no such thing at all\n")
    repository.commit("as before", runs[3], requirements_lock="# nothing is needed\n")
    with pytest.raises(RevisionError, match="HEAD~1: its environment cannot be made: `-m pip install`"):
        diff_revisions("HEAD~1", "HEAD~1", "swings")
    assert [path for path in (tmp_path / "home" / "environments").iterdir() if path.is_dir()] == [made.parents[1]]


# Runs of other versions


def rewritten(path: Path, target: Path, change) -> Path:
    """A saved run whose arrays and head were changed, its digest made anew as a version with such stages would."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(arrays["meta"].tobytes())
    change(arrays, meta)
    for name, rows in arrays.items():
        stage = name.removeprefix("table.")
        if stage != name:
            links = chain(rows, meta["digest"]["events"])
            entry = meta["digest"]["stages"].setdefault(stage, {"version": 2})
            prefixes = "".join(links[i : i + 8].hex() for i in range(0, len(links), 32))
            entry |= {"count": len(rows), "root": links[-32:].hex(), "links": prefixes}
    meta["digest"]["digest"] = "e" * 64
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez_compressed(target.with_suffix(".npz"), **arrays)
    return target.with_suffix(".npz").rename(target)


def widened(rows: np.ndarray, name: str) -> np.ndarray:
    out = np.zeros(len(rows), [*rows.dtype.descr, (name, "<i8")])
    for column in rows.dtype.names:
        out[column] = rows[column]
    return out


def test_a_stage_with_another_column_is_compared_in_the_others(runs, tmp_path):
    _, one, _, file, other_file = runs

    def widen(arrays, meta):
        arrays["table.plans"] = widened(arrays["table.plans"], "tilt")
        meta["format"] = 99

    found = diff(one, rewritten(file, tmp_path / "later.grinder", widen))
    assert (found.equal, found.first, found.by_stage) == (False, None, ())
    assert found.note == "no record differs, only how stages are laid out"
    assert found["counts"].pairs[0].name == "plans (b alone has tilt)"
    with pytest.raises(IntegrityError, match="format 99"):
        load(tmp_path / "later.grinder")
    again = diff(one, rewritten(other_file, tmp_path / "both.grinder", widen))
    assert again.first.stage == "plans"
    assert (again.first.field, again.first.a, again.first.b) == ("step", 300_000, 350_000)
    assert again.first.record_b["tilt"] == 0
    assert "tilt" not in again.first.record_a
    assert again["pnl.portfolio"].title == "portfolio at the last mark"


def test_a_stage_that_one_side_alone_has(runs, tmp_path):
    _, one, _, file, _ = runs

    def grow(arrays, meta):
        arrays["table.weather"] = arrays["table.alerts"]
        del arrays["table.levels"], meta["digest"]["stages"]["levels"]
        del meta["first_ts"], meta["last_ts"]
        meta["config"]["clouds"] = "7"

    found = compare(Recorded.of(one, "now"), Recorded.read(rewritten(file, tmp_path / "x.grinder", grow), "then"))
    assert (found.first, found.b.run) == (None, None)
    counts = {pair.name: (pair.a_text, pair.b_text) for pair in found["counts"].pairs}
    assert counts == {"levels": (f"{len(one.levels):,}", "no such stage"), "weather": ("no such stage", "0")}
    assert {pair.name: (pair.a_text, pair.b_text) for pair in found["settings"].pairs if pair.name == "clouds"} == {
        "clouds": ("its default", "7")
    }
    assert min(table["ts"].min() for table in one.tables.values() if len(table)) == found.b.first_ts


def test_stages_that_this_version_does_not_know_or_need(runs, tmp_path):
    """Two runs of another version are compared in what both have: a stage of their own, no fills, a ledger without equity."""

    def age(by: int):
        def change(arrays, meta):
            arrays["table.weather"] = arrays["table.bars"].copy()
            arrays["table.weather"]["open"][7] += by
            ledger = arrays["table.ledger"]
            names = [name for name in ledger.dtype.names if name != "equity"]
            shorter = np.zeros(len(ledger), [(name, "<i8") for name in names])
            for name in names:
                shorter[name] = ledger[name]
            arrays["table.ledger"] = shorter
            del arrays["table.fills"], meta["digest"]["stages"]["fills"]
            meta["digest"]["config"] = str(by)

        return change

    a, b = (Recorded.read(rewritten(runs[3], tmp_path / f"{by}.grinder", age(by)), name) for by, name in ((0, "a"), (1, "b")))
    b = dataclasses.replace(b, digest="f" * 64)
    found = compare(a, b)
    assert (found.first.stage, found.first.field, found.first.event) == ("weather", "open", runs[1].bars["event"][7])
    assert "fills" not in found
    assert "pnl.portfolio" not in found
    assert "weather.open" in str(found)


def test_a_damaged_file_is_no_other_version(runs, tmp_path):
    file, broken = runs[3], tmp_path / "broken.grinder"

    def spoil(arrays, meta):
        meta["format"] = 99

    rewritten(file, broken, spoil)
    with np.load(broken) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["table.fills"]["price"][3] += 1
    np.savez_compressed(tmp_path / "spoilt.npz", **arrays)
    for body in ((tmp_path / "spoilt.npz").read_bytes(), file.read_bytes()[:-200], b"", b"PK"):
        broken.write_bytes(body)
        with pytest.raises(IntegrityError, match="no readable saved run"):
            Recorded.read(broken, "a")
    with pytest.raises(DataError, match="no such file"):
        Recorded.read(tmp_path / "nothing", "a")
    assert zipfile.is_zipfile(io.BytesIO((tmp_path / "spoilt.npz").read_bytes()))


# The command


def test_saved_runs_on_the_command_line(runs, repository, capsys, tmp_path):
    _, one, other, file, other_file = runs
    out, err = command(capsys, str(file), str(file), code=0)
    assert (err, out.splitlines()[0]) == ("", "swings: one.grinder and one.grinder are equal")
    out, _ = command(capsys, str(file), str(other_file), "--json", "--html", "page.html", code=1)
    assert out.count("\n") == 1
    assert json.loads(out)["first"] == json.loads(json.dumps(diff(one, other).first.to_dict()))
    assert Path("page.html").read_text().startswith("<!doctype html>")
    out, _ = command(capsys, str(file), str(other_file), "--fixture", "swings", code=1)
    assert "quote" in out
    assert "--set is for what is replayed" in command(capsys, str(file), str(file), "--set", "levels=2", code=2)[1]
    assert "no folder nowhere" in command(capsys, str(file), str(other_file), "--html", "nowhere/a.html", code=2)[1]


def test_fixtures_and_goldens_on_the_command_line(runs, repository, capsys):
    file, other_file = str(runs[3]), str(runs[4])
    assert "there is no golden yet" in command(capsys, "swings", code=3)[1]
    accept("swings", "first golden")
    assert command(capsys, "swings", code=0)[0].startswith("swings: here and golden are equal")
    assert command(capsys, file, code=0)[0].startswith("swings: one.grinder and golden are equal")
    assert "first difference: stage plans, in events 0 to 4,095" in command(capsys, other_file, code=1)[0]
    out, _ = command(capsys, "swings", "--set", "step=35bp", code=1)
    assert "stage plans, record 1 of this event, step\n  its settings  30 bp   (300,000 1e-8)\n  with --set    35 bp " in out
    assert command(capsys, other_file, "swings", "--set", "step=35bp", code=0)[0].startswith(
        "swings: other.grinder and swings are equal"
    )
    assert command(capsys, "./fixtures/swings", file, code=0)[0]


def test_revisions_on_the_command_line(runs, repository, capsys):
    out, err = command(capsys, "before", "HEAD", "--fixture", "swings", code=1)
    assert err == ""
    assert "  before  30 bp   (300,000 1e-8)" in out.splitlines()
    assert command(capsys, "before", "--fixture", "swings", code=0)[0].startswith("swings: before and here are equal")
    assert command(capsys, "HEAD", "--fixture", "swings", code=1)[0].startswith("swings: HEAD and here are NOT equal")
    assert command(capsys, str(runs[3]), "before", "--fixture", "swings", code=0)[0]
    assert "say with --fixture NAME" in command(capsys, "before", "HEAD", code=2)[1]
    assert "no fixture 'nothing'" in command(capsys, "nothing", code=3)[1]
    assert "no fixture and no revision" in command(capsys, "nothing", "--fixture", "swings", code=2)[1]
    assert "no fixture 'waves'" in command(capsys, "before", "HEAD", "--fixture", "waves", code=3)[1]
    assert left_over(repository) == []


@pytest.mark.parametrize("table", [
    np.zeros(3, [("event", "<f8"), ("ts", "<i8"), ("symbol", "S4")]),
    np.zeros((1_000_000, 0), [("event", "<i8"), ("ts", "<i8"), ("symbol", "<i8")]),
    np.zeros(3, [("event", "<i8"), ("ts", "<i8")]),
])  # fmt: skip
def test_a_table_that_is_no_table_of_records_has_no_root(table, tmp_path):
    """Not an empty one either."""
    file = replay(swing(tmp_path / "swings")).save(tmp_path / "a.run")
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(arrays["meta"].tobytes())
    meta["format"] = -1
    meta["digest"]["stages"]["bars"] |= {"root": "", "count": len(table)}
    arrays |= {"table.bars": table, "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    with pytest.raises(IntegrityError, match="no readable saved run"):
        Recorded.read(tmp_path / "b.npz", "a")
