"""pytest plugin: replays in tests, and their digests held against goldens that lie beside the tests.

`replay` replays a fixture, `digest` compares a run with `goldens/<test module>/<test>.json`. A golden is written by
`--update-digests "why"` alone, and never in CI. Goldens that no test used are reported at the end, where that can be told.

Nothing heavy is imported before a test asks for it: whoever has grinder installed and does not use it here pays nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from grinder.config import Config
    from grinder.data.fixture import Fixture
    from grinder.digest import Difference, Digest
    from grinder.policies.own import Policy
    from grinder.run import Run

__all__ = ["DigestCheck", "Replayer", "digest", "replay"]

FOLDER: Final = "goldens"
OPTION: Final = "--update-digests"
_LONGEST: Final = 120
_NAME: Final = rf"[A-Za-z0-9_][A-Za-z0-9_.,=+\-\[\]]{{0,{_LONGEST - 1}}}"
"""Of a golden's file, without `.json`: what every file system takes."""
_SAVED: Final = (
    'run.save("then.grinder") at a COMMIT that was equal, run.save("now.grinder") here, grinder diff then.grinder now.grinder'
)
"""What to do where no command replays what a test did: a policy of its own, data that are no fixture's, a part of it."""
_CURE: Final = f'pytest {OPTION} "why the digest changed", not in CI, and commit the file'
_OUTPUT: Final = "grinder"
"""Under which a worker of pytest-xdist hands over what it knows to the controller."""
_SETS: Final = ("written", "modules", "partial", "passed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    parser.getgroup("grinder", "digests of replays").addoption(
        OPTION,
        metavar="REASON",
        default=None,
        help="write the goldens of `digest` that are missing or differ, with the reason (two words at least); refused in CI",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an update that may not be, before any test runs."""
    reason = config.getoption("update_digests")
    if reason is not None:
        from grinder.errors import ConfigError
        from grinder.golden import check_change

        try:
            check_change(reason, f"{OPTION} needs a reason")
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from None
    config.stash[_GOLDENS] = goldens = Goldens(config)
    config.pluginmanager.register(goldens, "grinder-goldens")


# Fixtures


class Replayer:
    """What the fixture `replay` is: a function that replays a fixture of grinder.

    Names are looked for in the `fixtures` folder beside pytest's configuration (its rootdir) and then where `gr.fixture` looks;
    relative paths count from there too, so that tests do not depend on the working folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(
        self,
        fixture: Fixture | str | os.PathLike[str],
        config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
        policy: Policy | Callable[..., Any] | None = None,
        **options: Any,
    ) -> Run:
        """Replay and return the `Run`.

        Args:
            fixture: a `Fixture`, the name of one, or its folder.
            config: settings on top of the fixture's own: a `Config`, a mapping, or a TOML file of settings.
            policy: a function `(view, params)` or `gr.policy`; default: the built-in one that the config names.
            options: what `gr.replay` takes besides.

        Raises:
            FixtureNotFound, ConfigError: as `gr.replay` does.
        """
        from grinder.session import replay

        return replay(self._place(fixture), self._settings(config), policy, **options)

    def _place(self, fixture: Fixture | str | os.PathLike[str]) -> Any:
        if not isinstance(fixture, str | os.PathLike):
            return fixture
        text = os.fspath(fixture)
        if os.sep in text or "/" in text or text.startswith("."):
            return self.root / text
        here = self.root / "fixtures" / text
        return here if (here / "fixture.toml").is_file() else text

    def _settings(self, config: Any) -> Config | None:
        from grinder.config import Config
        from grinder.errors import ConfigError

        if isinstance(config, Mapping):
            return Config(**config)
        if isinstance(config, str | os.PathLike):
            file = self.root / config
            try:
                return Config(**read_settings(file))
            except ConfigError as error:
                error.add_note(f"in {file}")
                raise
        return config  # type: ignore[no-any-return]  # a Config or None; `replay` says what else is wrong with it


def read_settings(file: Path) -> dict[str, Any]:
    """Settings of a TOML file, by name. Raises ConfigError, naming the file."""
    import tomllib

    from grinder.errors import ConfigError, cause
    from grinder.intake import text_of

    try:
        return tomllib.loads(text_of(file))
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file; config is a Config, a mapping or a TOML file of settings") from None
    except (OSError, ValueError, RecursionError) as error:  # of which TOML and UTF-8 errors are kinds
        raise ConfigError(f"{file}: no readable TOML: {cause(error)}") from None


class DigestCheck:
    """What the fixture `digest` is: a function that holds a run against its golden and fails the test where they differ."""

    def __init__(self, goldens: Goldens, node: pytest.Item) -> None:
        self.goldens, self.node = goldens, node

    def __call__(self, run: Run, name: str | None = None) -> None:
        """Compare.

        Args:
            run: what `replay` returned.
            name: of the golden, without `.json`; default: the test's. A test that compares several runs names all but one.
        """
        __tracebackhide__ = True
        if name is not None and not (isinstance(name, str) and re.fullmatch(_NAME, name)):
            allowed = f"1 to {_LONGEST} letters, digits and any of _ . , = + - [ ]"
            pytest.fail(f"name={name!r}: the name of a golden is {allowed}", pytrace=False)
        self.goldens.compare(run, golden_file(self.node, name))


@pytest.fixture(scope="session")
def replay(request: pytest.FixtureRequest) -> Replayer:
    """Replay a fixture of grinder: `replay("range_day_l1", config=..., policy=...)` returns the Run."""
    return Replayer(request.config.rootpath)


@pytest.fixture
def digest(request: pytest.FixtureRequest) -> DigestCheck:
    """Hold a run against its golden: `digest(run)`, or `digest(run, name="...")`; see --update-digests."""
    return DigestCheck(request.config.stash[_GOLDENS], request.node)


def golden_file(node: pytest.Item, name: str | None = None) -> Path:
    """`goldens/<test module>/<test>.json` beside the module; a test's classes and parameters are part of its name."""
    if name is None:
        nodes = [one.name for one in node.listchain() if isinstance(one, pytest.Class | pytest.Item)]
        name = file_name(".".join(nodes))
    return node.path.parent / FOLDER / node.path.stem / f"{name}.json"


def file_name(test: str) -> str:
    """A test's name as that of a file. One that had to be changed ends with a hash of it: no two tests share a file.

    >>> file_name("TestGrid.test_step[5bp]")
    'TestGrid.test_step[5bp]'
    >>> file_name("test_step[a/b]")
    'test_step[a_b]-8f34a2f5'
    """
    import hashlib

    plain = re.sub(r"[^A-Za-z0-9_.,=+\-\[\]]", "_", test)[:_LONGEST]
    return plain if plain == test else f"{plain}-{hashlib.sha256(test.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"


# Goldens of a session


class Goldens:
    """The goldens that this session compares, writes and can tell to be unused; of a worker or of the whole session."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reason: str | None = config.getoption("update_digests", None)
        self.seen: dict[str, str] = {}
        """Golden to the digest of the run that was held against it."""
        self.written: set[str] = set()
        self.modules: set[str] = set()
        """Test modules of which tests were collected."""
        self.partial: set[str] = set()
        """Those of which a test was left out."""
        self.awaited: dict[str, str] = {}
        """Test to module: tests that use `digest`."""
        self.passed: set[str] = set()
        self.whole = True
        """False where it cannot be told what was used: a worker was lost, or an argument not understood."""

    # Comparing and writing

    def compare(self, run: Run, file: Path) -> None:
        """Compare a run with a golden, or write it where that was asked for."""
        __tracebackhide__ = True
        from grinder.digest import first_difference
        from grinder.errors import IntegrityError
        from grinder.golden import read_digest
        from grinder.run import Run

        if not isinstance(run, Run):
            pytest.fail(f"digest takes a Run, as replay returns it, not a {type(run).__name__}", pytrace=False)
        shown, before = self._shown(file), self.seen.setdefault(str(file), run.digest.value)
        if self.reason is not None and before != run.digest.value:
            pytest.fail(f"{shown}: two runs that differ share this golden; give each a name: digest(run, name=...)", pytrace=False)
        golden, damage = None, f"{shown}: there is no golden yet"
        if file.is_file():
            try:
                golden = read_digest(file)
            except IntegrityError as error:
                damage = f"{error}; restore the file"
        difference = first_difference(golden, run.digest) if golden else None
        if golden is not None and difference is None:
            return
        if self.reason is not None:
            self._write(run, file, self.reason)
        elif golden is None or difference is None:
            pytest.fail(f"{damage}\n  to write it: {_CURE}", pytrace=False)
        else:
            pytest.fail(mismatch(run, golden, difference, shown), pytrace=False)

    def _write(self, run: Run, file: Path, reason: str) -> None:
        from grinder.golden import write_digest

        file.parent.mkdir(parents=True, exist_ok=True)
        write_digest(file, run, reason)
        self.written.add(str(file))

    def _shown(self, file: Path | str) -> str:
        """A path as seen from where pytest was called."""
        try:
            return Path(file).relative_to(self.config.invocation_params.dir).as_posix()
        except ValueError:
            return str(file)

    # What was collected, and what became of it

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Tests that are left out, by -k, -m, --lf or a plugin."""
        self.partial |= {str(item.path) for item in items}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tests that will run, as far as nothing stops the session."""
        self.modules |= {str(item.path) for item in session.items}
        self.awaited |= {item.nodeid: str(item.path) for item in session.items if "digest" in getattr(item, "fixturenames", ())}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that passed has used all the goldens it ever uses. The controller of pytest-xdist gets all reports too."""
        if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self.passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Note what was asked for in part; a worker hands over what it knows."""
        for argument in self.config.args:
            path, selected, _ = argument.partition("::")
            if selected:
                module = os.path.normpath(self.config.invocation_params.dir / path)  # links as they are, as pytest leaves them
                self.partial.add(module)
                self.whole &= Path(module).is_file()
        output = getattr(self.config, "workeroutput", None)  # which a worker has
        if output is not None:
            parts = {name: sorted(getattr(self, name)) for name in _SETS}
            output[_OUTPUT] = parts | {"seen": self.seen, "awaited": self.awaited, "whole": self.whole}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker knows. Every worker collects all tests and runs its share."""
        part = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if part is None:
            self.whole = False
            return
        for name in _SETS:
            getattr(self, name).update(part[name])
        self.seen |= part["seen"]
        self.awaited |= part["awaited"]
        self.whole &= part["whole"]

    def unused(self) -> list[Path]:
        """Goldens that no test uses: of modules that ran whole and whose users of `digest` passed, and of modules that are gone."""
        if not self.whole or self.config.option.collectonly:
            return []
        told = self.modules - self.partial - {module for test, module in self.awaited.items() if test not in self.passed}
        found = []
        for folder in sorted({Path(module).parent / FOLDER for module in self.modules}):
            for file in sorted(folder.glob("*/*.json")):
                module = folder.parent / f"{file.parent.name}.py"
                if (str(module) in told or not module.exists()) and str(file) not in self.seen and is_golden(file):
                    found.append(file)
        return found

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was written, and which goldens are unused."""
        for title, files in self._told():
            terminalreporter.section(title, sep="-")
            for file in files:
                terminalreporter.write_line(self._shown(file))

    def _told(self) -> Iterator[tuple[str, Sequence[Path | str]]]:
        if self.written:
            yield f"goldens written: {self.reason}", sorted(self.written)
        unused = self.unused()
        if unused:
            yield "unused goldens: no test compares with them, delete them", unused


_GOLDENS: Final = pytest.StashKey[Goldens]()


def is_golden(file: Path) -> bool:
    """Whether a JSON file is one of ours: others may keep goldens of theirs in such folders."""
    from grinder.intake import strict_json, text_of

    try:
        body = strict_json(text_of(file))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(body, dict) and {"digest", "stages", "input", "config"} <= body.keys()


def mismatch(run: Run, golden: Digest, difference: Difference, file: str) -> str:
    """What a failed comparison says: both digests, then the first stage, its window, events and times, what to type."""
    from grinder.golden import span

    when = span(run.market, difference) if run.market is not None else ""
    lines = [f"{file}: the digest of {run.name} differs", f"  golden {golden.value}", f"  run    {run.digest.value}"]
    lines += [f"  {difference}{when}", f"  to see it: {_to_see(run, golden)}", f"  if it should differ: {_CURE}"]
    return "\n".join(lines)


def _spelt(value: str | int | bool) -> str:
    """As `--set` reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _to_see(run: Run, golden: Digest) -> str:
    """As `grinder verify` says it, where the command line can replay what the test did; else by two saved runs."""
    from grinder.config import Config, plain_value
    from grinder.errors import GrinderError
    from grinder.golden import read_golden, to_see, word_for

    data, policy = run.source or (None, None)
    if data is None or data.path is None or policy is not None or not run.complete:
        return _SAVED
    if data.content != data.manifest.get("content_sha256"):  # a head of it
        return _SAVED
    given = {name: plain_value(getattr(run.config, name)) for name in type(run.config).model_fields}
    bare = Config(**data.manifest.get("config", {}))  # the fixture's own: by name it is loaded with those of the replay
    own = {name: plain_value(getattr(bare, name)) for name in given}
    changed = {name: value for name, value in given.items() if value != own[name]}
    if not all(isinstance(value, str | int) for value in changed.values()):
        return _SAVED
    try:
        same = read_golden(data).value == golden.value
    except GrinderError:
        same = False
    return to_see(word_for(data), settings=[f"{name}={_spelt(value)}" for name, value in sorted(changed.items())], golden=same)
