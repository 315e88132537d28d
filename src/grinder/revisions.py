"""Runs of other revisions of this checkout: each in a worktree, environment and compile cache of its own (SPEC 14).

A worktree stands at the same place for the same commit, with the same times on its files, so that what was compiled for it once is
found again; it is removed afterwards. The compile cache is keyed by the source, so no revision meets another's kernels.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from grinder import _jit
from grinder.data.fixture import find_fixture, fixture as named_fixture
from grinder.divergence import Diff, compare
from grinder.errors import ConfigError, DataError, FixtureNotFound, GrinderError, RevisionError
from grinder.recorded import Recorded

__all__ = ["ask_git", "checkout", "commit_of", "diff_revisions", "recorded_at"]

FIRST_TIME: Final = 1_000_000_000
"""The time, in s, that source files of a worktree bear: numba takes a file with another time for another source."""
_WHERE: Final = "import grinder; print(grinder.__file__)"
LINES: Final = 12
"""Lines of a failed command that an error shows."""


def checkout() -> Path:
    """The checkout of grinder that the working folder is in, else the one that this code runs from.

    Raises:
        ConfigError: neither is a checkout.
    """
    for folder in (Path.cwd(), Path(__file__).parent):
        with suppress(GrinderError):
            root = Path(ask_git(folder, "rev-parse", "--show-toplevel"))
            if (root / "src" / "grinder").is_dir():
                return root
    raise ConfigError("neither the working folder nor grinder itself is in a checkout: revisions are those of a git repository")


def commit_of(root: Path, revision: str) -> str:
    """The commit that a revision is, in full.

    Raises:
        ConfigError: there is no such revision.
    """
    try:
        return ask_git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GrinderError:
        raise ConfigError(f"{revision!r} is no file, no fixture and no revision of {root.name}") from None


def diff_revisions(
    a: str,
    b: str,
    fixture: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Diff:
    """Where the runs of one fixture by two revisions part first.

    Each revision replays its own copy of the fixture, and the present one where it has none.

    Args:
        a, b: anything that git takes for a commit.
        settings: on top of the fixture's own, by name. say: told what is being done.

    Raises:
        ConfigError: no such revision or setting. RevisionError: a revision does not build or cannot replay.
        FixtureNotFound: neither the revision nor the present has this fixture.
    """
    left, right = recorded_at(checkout(), (a, b), fixture, settings or {}, say)
    return compare(left, right)


def recorded_at(
    root: Path,
    revisions: Sequence[str],
    fixture: str | os.PathLike[str],
    settings: Mapping[str, Any],
    say: Callable[[str], object] = lambda _: None,
) -> list[Recorded]:
    """The run of a fixture by each revision, replayed side by side."""
    commits = [commit_of(root, revision) for revision in revisions]
    names: dict[str, str] = {}
    for commit, revision in zip(commits, revisions, strict=True):
        names.setdefault(commit, revision)  # one that is named twice is replayed once
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grinder-")))
        trees = {commit: stack.enter_context(_worktree(root, commit)) for commit in names}

        def produce(commit: str) -> Path:
            say(f"replay {fixture} at {commit[:12]}" + (f", {names[commit]}" if names[commit] != commit else ""))
            target = folder / f"{commit}.grinder"
            _replay(root, trees[commit], names[commit], fixture, settings, target)
            return target

        with ThreadPoolExecutor(2) as pool:
            files = dict(zip(names, pool.map(produce, names), strict=True))
        try:
            data = named_fixture(fixture)
        except GrinderError:
            data = None  # the market is shown only where the present has the fixture
        return [Recorded.read(files[commit], revision, data) for commit, revision in zip(commits, revisions, strict=True)]


def _replay(
    root: Path, tree: Path, revision: str, fixture: str | os.PathLike[str], settings: Mapping[str, Any], target: Path
) -> None:
    """Replay a fixture with a revision's own code, in a process of its own."""
    words = ["replay", _fixture_for(tree, fixture), "--save", str(target)]
    words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    python = _interpreter(root, tree, revision)
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    where = subprocess.run([python, "-c", _WHERE], cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if not Path(where.stdout.strip() or os.devnull).resolve().is_relative_to(tree.resolve()):
        raise RevisionError(f"{revision}: not its own code would run, but {where.stdout.strip() or _end(where.stderr)}")
    done = subprocess.run([python, "-m", "grinder", *words], cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0 and target.is_file():
        return
    message = f"{revision}: `grinder {' '.join(words[:2])}` ended with {done.returncode} there:\n{_end(done.stderr)}"
    kinds: dict[int, type[GrinderError]] = {ConfigError.exit_code: ConfigError, DataError.exit_code: DataError}
    is_known = "usage:" not in done.stderr and "Traceback" not in done.stderr
    raise (kinds.get(done.returncode, RevisionError) if is_known else RevisionError)(message)


def _fixture_for(tree: Path, fixture: str | os.PathLike[str]) -> str:
    """The fixture as the revision is told of it: by name where it has one of this name, else the present one's folder."""
    text = os.fspath(fixture)
    if os.sep not in text and (tree / "fixtures" / text / "fixture.toml").is_file():
        return text
    folder = find_fixture(text).resolve()
    if not (folder / "fixture.toml").is_file():
        raise FixtureNotFound(f"{folder}: there is no fixture.toml, so this is no fixture")
    return str(folder)


# Environments


def _interpreter(root: Path, tree: Path, revision: str) -> str:
    """Python for a revision: the one that runs now, or one with what its lock names where that is another than the present."""
    locks = [_bytes(folder / "requirements.lock") for folder in (root, tree)]
    if not locks[1] or locks[0] == locks[1]:
        return sys.executable
    home = _home() / "environments" / hashlib.sha256(locks[1] + sys.version.encode()).hexdigest()[:24]
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    with _locked(home):
        if not (home / "complete").is_file():
            shutil.rmtree(home, ignore_errors=True)
            try:
                _run([sys.executable, "-m", "venv", str(home)], revision)
                lock = str(tree / "requirements.lock")
                _run([str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock], revision)
                (home / "complete").touch()
            except BaseException:
                shutil.rmtree(home, ignore_errors=True)
                raise
    return str(python)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _run(words: list[str], revision: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = f"`{' '.join(words[1:4])}` ended with {done.returncode}:\n{_end(done.stderr or done.stdout)}"
        raise RevisionError(f"{revision}: its environment cannot be made: {said}")


def _end(text: str) -> str:
    """The last lines of what a command said."""
    return "\n".join(text.strip().splitlines()[-LINES:])


# Worktrees


def _home() -> Path:
    """Where worktrees and environments stand: beside the kernels."""
    kernels = _jit.cache_directory()
    return kernels.parent if kernels.name.startswith("kernels-") else kernels


@contextmanager
def _worktree(root: Path, commit: str) -> Iterator[Path]:
    """A worktree of a commit, at a place that depends on the repository and the commit alone; removed afterwards."""
    place = hashlib.sha256(f"{root}\0{commit}".encode()).hexdigest()[:24]
    tree = _home() / "revisions" / place
    with _locked(tree):
        _remove(root, tree)  # what a process that was killed left
        try:
            ask_git(root, "-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--quiet", "--detach", str(tree), commit)
            for path in (tree / "src").rglob("*.py"):
                os.utime(path, (FIRST_TIME, FIRST_TIME))
            yield tree
        finally:
            _remove(root, tree)


def _remove(root: Path, tree: Path) -> None:
    """Take a worktree away, wherever it was left: none of the user's own is touched, as pruning might."""
    with suppress(RevisionError):  # git knows none there
        ask_git(root, "worktree", "remove", "--force", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time at a place; the system lets go when a process ends, however it does."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w", encoding="utf-8") as file:
        try:
            import fcntl
        except ImportError:  # where there are no such locks two processes must not compare one revision at once
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ask_git(folder: Path, *words: str) -> str:
    """What git answers in a folder.

    Raises:
        RevisionError: it refuses. ConfigError: there is no git.
    """
    # A hook or an alias runs git with its own repository in the environment, which would be taken for that of the folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, env=environment)
    except FileNotFoundError:
        raise ConfigError("git is not installed, and revisions are compared with its help") from None
    except subprocess.CalledProcessError as error:
        raise RevisionError(f"git {' '.join(words[:2])}: {(error.stdout + error.stderr).strip()}") from None
    return done.stdout.strip()
