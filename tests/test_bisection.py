"""`grinder bisect`: the commit that was planted, past commits that do not build, and the checkout left as it was (SPEC 14)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grinder import revisions
from grinder.bisection import bisect
from grinder.cli import main
from grinder.config import Config
from grinder.divergence import diff
from grinder.errors import ConfigError, NothingSelected, RevisionError
from grinder.run import load
from grinder.session import replay
from tests.stand_in import StandIn
from tests.swings import swing


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    """Runs of three settings of one fixture, saved."""
    folder = tmp_path_factory.mktemp("runs")
    data = swing(folder / "swings")
    settings = {"old": Config(), "new": Config(step="35bp"), "newer": Config(levels=2)}
    return {name: replay(data, config).save(folder / name) for name, config in settings.items()}


@pytest.fixture
def repository(tmp_path, monkeypatch) -> StandIn:
    made = StandIn(tmp_path / "repository")
    swing(made.root / "fixtures" / "swings")
    monkeypatch.chdir(made.root)
    monkeypatch.setattr(revisions, "_home", lambda: tmp_path / "home")
    return made


def history(repository: StandIn, saved: dict[str, Path], plan: str) -> list[str]:
    """A commit a letter: o old, n new, x one that does not build."""
    gives = {"o": saved["old"], "n": saved["new"], "m": saved["newer"]}
    return [
        repository.commit(f"{i}{letter}", gives.get(letter), "1 broken" if letter == "x" else "") for i, letter in enumerate(plan)
    ]


def state(repository: StandIn) -> tuple[str, ...]:
    words = (("rev-parse", "HEAD"), ("status", "--porcelain"), ("worktree", "list"), ("for-each-ref",), ("symbolic-ref", "HEAD"))
    return tuple(repository.git(*one) for one in words)


@pytest.mark.parametrize("culprit", range(1, 12))
def test_the_planted_commit_is_found(repository, saved, culprit):
    commits = history(repository, saved, "o" * culprit + "n" * (12 - culprit))
    before = state(repository)
    said = []
    found = bisect("swings", commits[0], "HEAD", say=said.append)
    assert found.culprit == commits[culprit]
    assert found.subject == f"{culprit}n"
    assert found.diff.first == diff(saved["old"], saved["new"]).first
    assert (found.diff.a.label, found.diff.b.label) == (commits[culprit - 1][:12], commits[culprit][:12])
    assert len(found.steps) <= 4
    assert len(said) <= 6, "each commit is replayed once"
    assert state(repository) == before


@pytest.mark.parametrize(("plan", "suspects"), [("ooxonxnn", [4]), ("oxxonnn", [4]), ("oooxnnn", [3, 4]), ("oxxxn", [1, 2, 3, 4])])
def test_commits_that_do_not_build_are_skipped(repository, saved, plan, suspects):
    commits = history(repository, saved, plan)
    found = bisect("swings", commits[0], "main")
    assert set(found.suspects) == {commits[i] for i in suspects}
    assert (found.culprit is not None) is (len(suspects) == 1)
    assert {step.verdict for step in found.steps if step.commit in {commits[i] for i, c in enumerate(plan) if c == "x"}} <= {"skip"}
    text = str(found)
    if found.culprit is None:
        assert found.diff is None
        assert "changed by one of these" in text
        assert all(commits[i] in text for i in suspects)
    else:
        assert "35 bp" in text


def test_what_came_before_cannot_be_replayed(repository, saved):
    """A merge of two lines: the first parent of the culprit is what it is compared with."""
    commits = history(repository, saved, "oo")
    repository.git("checkout", "--quiet", "-b", "side", commits[0])
    repository.commit("side", saved["old"])
    repository.git("checkout", "--quiet", "main")
    merged = repository.git("merge", "--quiet", "--no-ff", "--strategy", "ours", "--message", "merge", "side")
    assert merged == ""
    history(repository, saved, "n")
    found = bisect("swings", commits[0], "main")
    assert found.subject == "0n"
    assert found.diff.first.field == "step"


def test_the_digest_of_the_good_end_is_what_counts(repository, saved):
    """A later change of another kind is no concern: the first commit that is unlike the good end is the culprit."""
    commits = history(repository, saved, "oonnnmmm")
    assert bisect("swings", commits[0], "main").culprit == commits[2]
    assert bisect("swings", commits[3], "main").culprit == commits[5]


def test_nothing_to_find(repository, saved):
    commits = history(repository, saved, "ooo")
    with pytest.raises(NothingSelected, match="the same digest"):
        bisect("swings", commits[0], "HEAD")
    with pytest.raises(ConfigError, match="no revision"):
        bisect("swings", "nothing", "HEAD")
    repository.commit("broken", says="1 broken")
    with pytest.raises(RevisionError, match="ended with 1 there"):
        bisect("swings", commits[0], "HEAD")
    assert len(repository.git("worktree", "list").splitlines()) == 1


def test_the_command(repository, saved, capsys):
    commits = history(repository, saved, "oonxn")
    assert main(["bisect", "swings", "--good", commits[0], "--json", "--html", "page.html"]) == 0
    out, err = capsys.readouterr()
    body = json.loads(out)
    assert err == ""
    assert (body["culprit"], body["subject"], body["suspects"]) == (commits[2], "2n", [commits[2]])
    assert body["diff"]["first"]["field"] == "step"
    assert {step["verdict"] for step in body["steps"]} <= {"good", "bad", "skip"}
    assert Path("page.html").is_file()
    assert load(saved["old"]).digest.value in {step["why"] for step in body["steps"]} | {body["diff"]["a"]["digest"]}
    assert main(["bisect", "swings", "--good", commits[0]]) == 0
    assert f"{commits[2]} changed the digest: 2n" in capsys.readouterr().out
    assert main(["bisect", "swings", "--good", commits[0], "--bad", commits[1]]) == 5
    assert main(["bisect", "swings", "--good", commits[0], "--bad", commits[3]]) == 125
    assert main(["bisect", "swings", "--good", "nothing"]) == 2
