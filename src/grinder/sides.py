"""What the words of `grinder diff` stand for: saved runs, fixtures, revisions, goldens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grinder.config import Config
from grinder.data.fixture import find_fixture, fixture as named_fixture
from grinder.divergence import Diff, compare, diff
from grinder.errors import ConfigError, FixtureNotFound, GrinderError
from grinder.recorded import Recorded
from grinder.revisions import checkout, commit_of, recorded_at
from grinder.session import replay

__all__ = ["diff_of_words"]

HERE = "here"
"""What the code that runs now is called beside a revision."""


def diff_of_words(
    a: str, b: str | None, fixture: str | None, settings: Mapping[str, Any], say: Callable[[str], object] = lambda _: None
) -> Diff:
    """Compare what two words stand for.

    A word is the file of a saved run; else, with `fixture`, a revision that replays it; else the name of a fixture that is replayed
    here and now. Without a second word a saved run is compared with its golden; a fixture with its golden, or where settings are
    given its run without them with its run with them; a revision with the code that runs now.

    Args:
        settings: of what is replayed, by name. say: told what is being done.

    Raises:
        ConfigError: words that stand for nothing, or settings for runs that are saved. FixtureNotFound, RevisionError.
    """
    words = [a] if b is None else [a, b]
    kinds = [_kind(word, fixture) for word in words]
    if settings and kinds[0] == kinds[-1] == "file":
        raise ConfigError("--set is for what is replayed: a saved run has the settings that it ran with")
    if b is None and kinds == ["file"]:
        return diff(a, fixture=fixture, labels=(Path(a).name, "golden"))
    if b is None and kinds == ["fixture"]:
        if settings:
            return diff(a, None, Config(**settings), labels=("its settings", "with --set"))
        return diff(replay(a), labels=(HERE, "golden"))
    if b is None:
        words, kinds = [a, HERE], ["revision", "here"]
    revisions = [word for word, kind in zip(words, kinds, strict=True) if kind == "revision"]
    made = iter(recorded_at(checkout(), revisions, str(fixture), settings, say) if revisions else [])
    sides = []
    for word, kind in zip(words, kinds, strict=True):
        if kind == "revision":
            sides.append(next(made))
        elif kind == "file":
            sides.append(Recorded.read(word, Path(word).name, named_fixture(fixture) if fixture else None))
        else:
            name = str(fixture) if kind == "here" else word
            sides.append(Recorded.of(replay(named_fixture(name, Config(**settings))), word))
    return compare(sides[0], sides[1])


def _kind(word: str, fixture: str | None) -> str:
    """What a word is: "file", "fixture" or "revision"."""
    if Path(word).is_file():
        return "file"
    if fixture is not None:
        commit_of(checkout(), word)
        return "revision"
    try:
        if (find_fixture(word) / "fixture.toml").is_file():
            return "fixture"
        raise FixtureNotFound(f"{word} is no file and no folder of a fixture")
    except FixtureNotFound as error:
        if _is_revision(word):
            raise ConfigError(f"{word} is a revision: say with --fixture NAME what it shall replay") from None
        raise error from None


def _is_revision(word: str) -> bool:
    try:
        return bool(commit_of(checkout(), word))
    except GrinderError:
        return False
