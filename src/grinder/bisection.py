"""`grinder bisect`: the commit that changed a fixture's digest, and the first difference that it made (SPEC 14).

git chooses what to try next; a commit is good while its digest is that of the good revision. What does not build or cannot replay
is skipped. The checkout is left as it is: git bisects in a worktree without files, and each commit replays in one of its own.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from grinder.divergence import Diff, compare
from grinder.errors import ConfigError, DataError, GrinderError, NothingSelected, RevisionError
from grinder.recorded import Recorded
from grinder.revisions import ask_git, checkout, commit_of, recorded_at

__all__ = ["Bisection", "Step", "bisect"]

CULPRIT = re.compile(r"^([0-9a-f]{40,64}) is the first bad commit$", re.MULTILINE)
ANY_OF = re.compile(r"^([0-9a-f]{40,64})$", re.MULTILINE)


class Step(NamedTuple):
    """One commit that was tried."""

    commit: str
    subject: str
    verdict: str
    """good, bad or skip"""
    why: str
    """its digest, or why it cannot be tried"""


@dataclass(frozen=True, eq=False)
class Bisection:
    """What a bisection came to.

    Args:
        fixture: what was replayed. good, bad: the two ends, as given.
        steps: commits in the order in which they were tried.
        suspects: the commit that changed the digest; several where those between cannot be tried.
        subject: the first line of its message; empty where there are several.
        diff: between the commit before and it; None where there are several, or where the one before cannot be tried.
    """

    fixture: str
    good: str
    bad: str
    steps: tuple[Step, ...]
    suspects: tuple[str, ...]
    subject: str
    diff: Diff | None

    @property
    def culprit(self) -> str | None:
        """The commit, if it is one."""
        return self.suspects[0] if len(self.suspects) == 1 else None

    def __str__(self) -> str:
        out = [f"{self.fixture}: from {self.good} to {self.bad}, {len(self.steps)} commits tried"]
        out += [f"  {step.commit[:12]}  {step.verdict:<4}  {step.why.splitlines()[0][:64]}  {step.subject}" for step in self.steps]
        if self.culprit is None:
            out += ["", "the digest was changed by one of these, some of which cannot be replayed:"]
            return "\n".join([*out, *(f"  {commit}" for commit in self.suspects)])
        out += ["", f"{self.culprit} changed the digest: {self.subject}"]
        return "\n".join(out + (["", str(self.diff)] if self.diff else ["", "what came before it cannot be replayed"]))

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "fixture": self.fixture,
            "good": self.good,
            "bad": self.bad,
            "culprit": self.culprit,
            "subject": self.subject,
            "suspects": list(self.suspects),
            "steps": [step._asdict() for step in self.steps],
            "diff": self.diff.to_dict() if self.diff else None,
        }


def bisect(
    fixture: str | os.PathLike[str],
    good: str,
    bad: str,
    settings: Mapping[str, Any] | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Bisection:
    """Find the commit between two revisions that changed a fixture's digest.

    Args:
        fixture: each commit replays its own copy, or the present one where it has none.
        good, bad: revisions before and after the change. settings: on top of the fixture's own, by name.
        say: told what is being done.

    Raises:
        NothingSelected: both ends have the same digest. RevisionError: one of the ends cannot replay, or git cannot bisect.
        ConfigError: there is no such revision or setting.
    """
    trial = _Trial(checkout(), fixture, settings or {}, say)
    ends = [commit_of(trial.root, revision) for revision in (good, bad)]
    before, after = (trial.run(commit) for commit in ends)
    if before.digest == after.digest:
        raise NothingSelected(
            f"{good} and {bad} give {os.fspath(fixture)} the same digest, {before.digest}: there is nothing to find"
        )
    steps, suspects = trial.search(ends[0], ends[1], before.digest)
    found = None
    if len(suspects) == 1:
        parents = ask_git(trial.root, "rev-list", "--parents", "-n", "1", suspects[0]).split()[1:]
        found = trial.diff(parents[0], suspects[0]) if parents else None
    subject = trial.subject(suspects[0]) if len(suspects) == 1 else ""
    return Bisection(os.fspath(fixture), good, bad, tuple(steps), tuple(suspects), subject, found)


class _Trial:
    """Runs of one fixture by commits, each made once."""

    def __init__(
        self, root: Path, fixture: str | os.PathLike[str], settings: Mapping[str, Any], say: Callable[[str], object]
    ) -> None:
        self.root, self.fixture, self.settings, self.say = root, fixture, settings, say
        self.runs: dict[str, Recorded] = {}

    def run(self, commit: str) -> Recorded:
        if commit not in self.runs:
            (made,) = recorded_at(self.root, (commit,), self.fixture, self.settings, self.say)
            self.runs[commit] = replace(made, label=commit[:12])
        return self.runs[commit]

    def subject(self, commit: str) -> str:
        return ask_git(self.root, "log", "-1", "--format=%s", commit)

    def search(self, good: str, bad: str, digest: str) -> tuple[list[Step], list[str]]:
        """What was tried, and the commits that may have changed the digest."""
        steps: list[Step] = []
        with _bisecting(self.root) as tree:
            said = _step(tree, "start", "--no-checkout", bad, good)
            while True:
                found = CULPRIT.findall(said) or ANY_OF.findall(said)
                if found:
                    return steps, found
                commit = ask_git(tree, "rev-parse", "--verify", "BISECT_HEAD")
                steps.append(self._try(commit, digest))
                said = _step(tree, steps[-1].verdict)

    def _try(self, commit: str, digest: str) -> Step:
        try:
            found = self.run(commit).digest
        except (RevisionError, ConfigError, DataError) as error:
            return Step(commit, self.subject(commit), "skip", str(error))
        return Step(commit, self.subject(commit), "good" if found == digest else "bad", found)

    def diff(self, before: str, after: str) -> Diff | None:
        try:
            x, y = self.run(before), self.run(after)
        except GrinderError:
            return None
        return compare(x, y)


def _step(tree: Path, *words: str) -> str:
    """One step of git's bisection, and what it says; that only skipped commits are left is no error."""
    try:
        return ask_git(tree, "bisect", *words)
    except RevisionError as error:
        said = str(error)
        if words[0] != "start" and "only 'skip'ped commits left" in said:
            return said
        raise


@contextmanager
def _bisecting(root: Path) -> Iterator[Path]:
    """A worktree without files, in which git keeps the state of one bisection."""
    with tempfile.TemporaryDirectory(prefix="grinder-") as folder:
        tree = Path(folder) / "bisect"
        try:
            ask_git(
                root,
                "-c",
                f"core.hooksPath={os.devnull}",
                "worktree",
                "add",
                "--quiet",
                "--no-checkout",
                "--detach",
                str(tree),
                "HEAD",
            )
            yield tree
        finally:
            ask_git(root, "worktree", "remove", "--force", str(tree))
