"""The pytest plugin as its users meet it: pytest runs inside pytest, some of them in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.digest import first_difference
from grinder.errors import ConfigError, FixtureNotFound
from grinder.golden import accept, read_digest, read_golden, verify
from grinder.policies.own import policy, static
from grinder.pytest_plugin import Replayer, file_name, mismatch, read_settings
from grinder.run import load
from grinder.session import replay as real_replay
from tests.swings import T0, swing

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
LEVELS = "def test_levels(replay, digest):\n    digest(replay('swings', {'levels': 2}))\n"
PLAIN = "def test_plain(replay, digest):\n    digest(replay('swings'))\n"
UPDATE = ("--update-digests", "first goldens of all")


@pytest.fixture(scope="module", autouse=True)
def _all_is_imported(tmp_path_factory):
    """The inner pytest forgets what it imports, and numba registers its parts but once."""
    real_replay(swing(tmp_path_factory.mktemp("first") / "swings"), None, policy(static))


@pytest.fixture(autouse=True)
def _a_person(monkeypatch):
    """Not in CI, and with this plugin alone, wherever these tests run."""
    for name in ("CI", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def tests(pytester, _a_person) -> pytest.Pytester:
    """A folder of tests with a fixture `swings` of grinder in it."""
    swing(pytester.path / "fixtures" / "swings")
    return pytester


def run(tests: pytest.Pytester, *words: str, code: int = 0) -> pytest.RunResult:
    done = tests.runpytest_inprocess("-p", "grinder.pytest_plugin", "-p", "no:cacheprovider", *words)
    assert done.ret == code, done.stdout.str() + done.stderr.str()
    return done


def goldens(tests: pytest.Pytester) -> dict[str, bytes]:
    """Every file in a `goldens` folder."""
    files = [path for path in tests.path.rglob("*") if path.is_file() and "goldens" in path.parts]
    return {path.relative_to(tests.path).as_posix(): path.read_bytes() for path in sorted(files)}


# Comparing


def test_a_missing_golden_fails_and_says_how_to_write_it(tests):
    tests.makepyfile(test_a=PLAIN)
    done = run(tests, code=1)
    done.stdout.fnmatch_lines(
        ["goldens/test_a/test_plain.json: there is no golden yet", '  to write it: pytest --update-digests "why *", not in CI*']
    )
    assert goldens(tests) == {}, "and writes nothing"
    assert not (tests.path / "goldens").exists()


def test_update_writes_what_is_missing_with_its_reason(tests):
    tests.makepyfile(test_a=PLAIN + LEVELS)
    done = run(tests, *UPDATE)
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(
        ["*goldens written: first goldens of all*", "goldens/test_a/test_levels.json", "goldens/test_a/test_plain.json"]
    )
    written = goldens(tests)
    body = json.loads(written["goldens/test_a/test_levels.json"])
    expected = real_replay(tests.path / "fixtures" / "swings", Config(levels=2))
    assert (body["digest"], body["reason"]) == (expected.digest.value, "first goldens of all")
    assert body["headline"] == expected.summary()
    assert set(written) == {"goldens/test_a/test_levels.json", "goldens/test_a/test_plain.json"}
    done = run(tests)
    done.assert_outcomes(passed=2)
    done.stdout.no_fnmatch_line("*goldens*")
    run(tests, "--update-digests", "another good reason").stdout.no_fnmatch_line("*goldens*")
    assert goldens(tests) == written, "equal goldens are left as they are"


def test_a_mismatch_names_stage_window_events_and_times(tests):
    tests.makepyfile(test_a=LEVELS)
    run(tests, *UPDATE)
    before = goldens(tests)
    tests.makepyfile(test_a=LEVELS.replace("'levels': 2", "'maker_fee': '3bp', 'levels': 2"))
    done = run(tests, code=1)
    old, new = (real_replay("./fixtures/swings", Config(levels=2, **fee)) for fee in ({}, {"maker_fee": "3bp"}))
    first = first_difference(old.digest, new.digest)
    assert (first.stage, first.window) == ("fills", 0)
    last = np.datetime64(T0 + 4095 * 10**8, "ns")
    done.stdout.fnmatch_lines(
        [
            "goldens/test_a/test_levels.json: the digest of swings differs",
            f"  golden {old.digest.value}",
            f"  run    {new.digest.value}",
            f"  stage fills differs first, in window 0 (events 0 to 4095); also in ledger; {np.datetime64(T0, 'ns')} to {last} UTC",
            "  to see it: grinder diff COMMIT --fixture swings --set levels=2 --set maker_fee=0.0003, by a COMMIT that was equal",
            '  if it should differ: pytest --update-digests "why the digest changed"*',
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")
    assert goldens(tests) == before
    run(tests, "--update-digests", "the fee rose")
    assert json.loads(goldens(tests)["goldens/test_a/test_levels.json"])["digest"] == new.digest.value
    run(tests)


def test_what_to_type_is_what_verify_says(tests, monkeypatch):
    """With the fixture's own settings; what no command replays, two saved runs show."""
    monkeypatch.chdir(tests.path)
    monkeypatch.delenv("CI", raising=False)
    folder = tests.path / "fixtures" / "swings"
    accept(folder, "as it was")
    golden = read_golden(Fixture.open(folder))
    manifest = folder / "fixture.toml"
    manifest.write_text(manifest.read_text().replace('step = "30bp"', 'step = "31bp"'))
    made, said = real_replay("./fixtures/swings"), verify("./fixtures/swings")

    def told(run, against=golden):
        text = mismatch(run, against, first_difference(against, run.digest), "a.json")
        (line,) = (line for line in text.splitlines() if "to see it" in line)
        return line

    assert told(made) in str(said).splitlines()
    assert told(made) == (
        "  to see it: grinder diff swings (and its first record, by a COMMIT that was equal: grinder diff COMMIT --fixture swings)"
    )
    other = real_replay("./fixtures/swings", Config(levels=2))
    assert told(made, other.digest) == "  to see it: grinder diff COMMIT --fixture swings, by a COMMIT that was equal"
    assert told(other) == "  to see it: grinder diff COMMIT --fixture swings --set levels=2, by a COMMIT that was equal"
    switched = real_replay("./fixtures/swings", Config(flatten_on_drawdown=False))
    assert " --set flatten_on_drawdown=false, by a COMMIT" in told(switched)
    data = Fixture.open(folder)
    for run in (
        real_replay(data, None, policy(static)),
        real_replay(data, until=8000),
        real_replay(data.head(8000)),
        real_replay(data, Config(k_tail={"trend": 9})),
        load(made.save(tests.path / "made.grinder")),
    ):
        assert told(run).endswith('run.save("now.grinder") here, grinder diff then.grinder now.grinder')


def test_a_later_window_has_its_own_times(tests):
    source = """
import grinder as gr

@gr.policy
def shallow(view, params):
    return gr.static(view, params)._replace(levels_down=3 if view.event < 5000 else LATER)

def test_it(replay, digest):
    digest(replay("swings", policy=shallow))
"""
    tests.makepyfile(test_a=source.replace("LATER", "3"))
    run(tests, *UPDATE)
    tests.makepyfile(test_a=source.replace("LATER", "2"))
    done = run(tests, code=1)
    first, last = (np.datetime64(T0 + event * 10**8, "ns") for event in (4096, 8191))
    done.stdout.fnmatch_lines([f"  stage plans differs first, in window 1 (events 4096 to 8191); *; {first} to {last} UTC"])


@pytest.mark.parametrize("damage", ["{", "[]", '{"digest": 1}'])
def test_a_damaged_golden_is_said_to_be_damaged(tests, damage):
    tests.makepyfile(test_a=PLAIN)
    run(tests, *UPDATE)
    whole = goldens(tests)
    file = tests.path / "goldens" / "test_a" / "test_plain.json"
    file.write_text(damage)
    run(tests, code=1).stdout.fnmatch_lines(["*test_plain.json: no readable golden: *; restore the file", "  to write it: *"])
    assert file.read_text() == damage
    run(tests, *UPDATE)
    assert goldens(tests) == whole


def test_what_is_no_run_is_refused(tests):
    tests.makepyfile(test_a="def test_it(digest):\n    digest('swings')\n")
    run(tests, code=1).stdout.fnmatch_lines(["digest takes a Run, as replay returns it, not a str"])


def test_a_loaded_run_compares_too(tests):
    """It has no market events, so that its window has no times."""
    tests.makepyfile(test_a=PLAIN)
    run(tests, *UPDATE)
    saved = real_replay("./fixtures/swings", Config(levels=2)).save(tests.path / "a.grinder")
    tests.makepyfile(test_a=f"import grinder as gr\ndef test_plain(digest):\n    digest(gr.load({str(saved)!r}))\n")
    run(tests, code=1).stdout.re_match_lines([r"  stage plans differs first, in window 0 \(events 0 to 4095\); also in [a-z, ]+$"])


# Names


def test_each_test_has_a_golden_of_its_own(tests):
    tests.makepyfile(
        test_a="""
        import pytest

        class TestGrid:
            @pytest.mark.parametrize("levels", [2, 3])
            def test_it(self, replay, digest, levels):
                run = replay("swings", {"levels": levels})
                digest(run)
                digest(replay("swings"), name="same-for-all")

        @pytest.mark.parametrize("path", ["a/b", "a b", "ü", "x" * 300], ids=str)
        def test_path(replay, digest, path):
            digest(replay("swings"))
        """
    )
    run(tests, *UPDATE)
    names = [Path(name).name for name in goldens(tests)]
    assert {"TestGrid.test_it[2].json", "TestGrid.test_it[3].json", "same-for-all.json"} < set(names)
    assert len(names) == 7
    assert all(len(name) < 140 and name.isascii() for name in names)
    run(tests)


def test_file_names_are_legal_and_distinct():
    tests = ["a", "A.b[1]", "a/b", "a\\b", "a b", "a:b", "..", "x" * 200, "x" * 201, "ä", "\ud800", "a[é-1]"]
    names = [file_name(test) for test in tests]
    assert len(set(names)) == len(tests)
    assert names[:2] == tests[:2]
    for name in names:
        assert not set(name) & set('/\\:*?"<>| ')
        assert len(name) <= 129


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 121, 3], ids=str)
def test_a_name_that_is_no_file_name(tests, name):
    tests.makepyfile(test_a=f"def test_it(replay, digest):\n    digest(replay('swings'), name={name!r})\n")
    for words in ((), UPDATE):
        run(tests, *words, code=1).stdout.fnmatch_lines(["name=*: the name of a golden is 1 to 120 letters, digits*"])
    assert goldens(tests) == {}


def test_two_runs_that_differ_cannot_share_a_golden(tests):
    source = "    digest(replay('swings'))\n    digest(replay('swings', {'levels': 2}))\n"
    tests.makepyfile(test_a="def test_it(replay, digest):\n" + source)
    done = run(tests, *UPDATE, code=1)
    done.stdout.fnmatch_lines(["goldens/test_a/test_it.json: two runs that differ share this golden; give each a name*"])
    tests.makepyfile(test_a="def test_it(replay, digest):\n" + source.replace("2})", "2}), name='two'"))
    run(tests, *UPDATE)
    run(tests)


# Updating


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_never_in_ci(tests, monkeypatch, value):
    tests.makepyfile(test_a=PLAIN)
    monkeypatch.setenv("CI", value)
    for words in (UPDATE, (*UPDATE, "-p", "xdist.plugin", "-n", "2")):
        done = run(tests, *words, code=pytest.ExitCode.USAGE_ERROR)
        done.stderr.fnmatch_lines(["ERROR: CI is set: goldens are accepted by a person, with a reason, never in CI"])
        assert "test_plain" not in done.stdout.str()
    assert goldens(tests) == {}
    run(tests, code=1)
    monkeypatch.setenv("CI", "false")
    run(tests, *UPDATE)


@pytest.mark.parametrize("reason", ["", "   ", "because", "test_a.py"])
def test_a_reason_has_words(tests, reason):
    """The path of a test is no reason either: whoever forgets the reason is told."""
    tests.makepyfile(test_a=PLAIN)
    done = run(tests, "--update-digests", reason, code=pytest.ExitCode.USAGE_ERROR)
    done.stderr.fnmatch_lines(["ERROR: --update-digests needs a reason with at least two words: why did the digest change[?]"])
    assert goldens(tests) == {}


def test_a_golden_is_written_whole_or_not_at_all(tests, monkeypatch):
    tests.makepyfile(test_a=PLAIN)
    run(tests, *UPDATE)
    before = goldens(tests)
    tests.makepyfile(test_a=PLAIN.replace("'swings'", "'swings', {'levels': 2}"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        done = run(tests, "--update-digests", "fewer levels now", code=1)
    done.stdout.fnmatch_lines(["E * OSError: no space left"])
    done.stdout.no_fnmatch_line("*goldens written*")
    assert goldens(tests) == before


def test_the_option_has_a_help_text(tests):
    run(tests, "--help").stdout.fnmatch_lines(["digests of replays:", "  --update-digests*REASON*"])


# replay


def test_names_and_paths_count_from_the_root_of_the_tests(tests, monkeypatch):
    """So that tests pass from whatever folder pytest is called."""
    tests.makeini("[pytest]\n")
    (tests.path / "config.toml").write_text('levels = 2\nstep = "40bp"\n')
    tests.mkdir("deep")
    (tests.path / "deep" / "test_a.py").write_text(
        "import grinder as gr\n"
        "def test_it(replay):\n"
        "    named, placed = replay('swings'), replay('fixtures/swings')\n"
        "    assert named.digest == placed.digest == replay('./fixtures/swings').digest\n"
        "    assert replay(gr.fixture('SWINGS')).digest == named.digest\n"
        "    configs = ['config.toml', {'levels': 2, 'step': '40bp'}, gr.Config(levels=2, step='40bp')]\n"
        "    assert len({replay('swings', config).digest.value for config in configs} - {named.digest.value}) == 1\n"
        "    assert replay('binance_btcusdt_6m', until=10).events == 10\n"
        "    idle = replay('swings', policy=lambda view, params: None, until=50)\n"
        "    assert (len(idle.orders), idle.events) == (0, 50)\n".replace("SWINGS", str(tests.path / "fixtures" / "swings"))
    )
    run(tests)
    monkeypatch.chdir(tests.path / "deep")
    run(tests).assert_outcomes(passed=1)


def test_replay_is_there_for_fixtures_of_any_scope(tests):
    tests.makepyfile(
        test_a="""
        import pytest

        @pytest.fixture(scope="module")
        def whole(replay):
            return replay("swings")

        def test_it(whole, digest):
            digest(whole)
        """
    )
    run(tests, *UPDATE)
    run(tests)


def test_what_replay_is_given_wrongly(tmp_path):
    replay = Replayer(tmp_path)
    with pytest.raises(FixtureNotFound, match="no fixture 'nothing'; there are"):
        replay("nothing")
    with pytest.raises(FixtureNotFound, match=r"nowhere: there is no fixture\.toml"):
        replay("./nowhere")
    with pytest.raises(ConfigError, match=r"config\.toml: there is no such file; config is a Config, a mapping or a TOML file"):
        replay("binance_btcusdt_6m", "config.toml")
    with pytest.raises(ConfigError, match="config is a int"):
        replay("binance_btcusdt_6m", 3)
    with pytest.raises(ConfigError, match="stepp: there is no such setting"):
        replay("binance_btcusdt_6m", {"stepp": 1})
    for body in (b"levels = ", b"\xff"):
        (tmp_path / "config.toml").write_bytes(body)
        with pytest.raises(ConfigError, match=r"config\.toml: no readable TOML: "):
            read_settings(tmp_path / "config.toml")
    with pytest.raises(ConfigError, match="no readable TOML: IsADirectoryError"):
        read_settings(tmp_path)


# Unused goldens


@pytest.fixture
def used(tests) -> pytest.Pytester:
    """Two modules with goldens in use, and in each folder a golden that no test uses."""
    tests.makepyfile(test_a=PLAIN + LEVELS, test_b=PLAIN)
    run(tests, *UPDATE)
    for name in ("test_a", "test_b", "test_gone"):
        folder = tests.path / "goldens" / name
        folder.mkdir(exist_ok=True)
        shutil.copy(tests.path / "goldens" / "test_a" / "test_plain.json", folder / "stale.json")
        (folder / "other.json").write_text('{"digest": "of another tool"}')
        (folder / "broken.json").write_text("{")
        (folder / "notes.txt").write_text("kept")
    (tests.path / "goldens" / "test_a" / "notes.json").mkdir()
    return tests


def unused(done: pytest.RunResult) -> list[str]:
    lines = done.stdout.lines
    titles = [i for i, line in enumerate(lines) if "unused goldens: no test compares with them, delete them" in line]
    if not titles:
        return []
    (start,) = titles
    return [Path(line).parent.name for line in lines[start + 1 :] if line.endswith("stale.json")]


ALL = ["test_a", "test_b", "test_gone"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ALL),
        (UPDATE, ALL),
        (("-k", "test_plain"), ["test_b", "test_gone"]),
        (("-k", "test"), ALL),
        (("-m", "nothing"), []),
        (("test_a.py",), ["test_a", "test_gone"]),
        (("test_a.py::test_plain",), ["test_gone"]),
        (("test_a.py", "test_b.py::test_plain"), ["test_a", "test_gone"]),
        (("--deselect", "test_b.py::test_plain"), ["test_a", "test_gone"]),
        (("--collect-only",), []),
        (("--setup-only",), ["test_gone"]),
        (("-p", "xdist.plugin", "-n", "2", "--dist", "loadgroup"), ALL),
        (("-p", "xdist.plugin", "-n", "2", "-k", "test_plain"), ["test_b", "test_gone"]),
    ],
    ids=lambda value: " ".join(value) or "all",
)
def test_unused_goldens_are_told_of_modules_that_ran_whole(used, words, found):
    before = goldens(used)
    done = run(used, *words, code=5 if words == ("-m", "nothing") else 0)
    assert unused(done) == found
    assert goldens(used) == before, "nobody deletes them"


WORKERS = ("-p", "xdist.plugin", "-n", "2")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    assert False\n", ()),
        ("    import pytest; pytest.skip('not here')\n", ()),
        ("    import pytest; pytest.xfail('not yet')\n", ()),
        ("    assert False\n", WORKERS),
    ],
)
def test_a_test_that_did_not_pass_may_use_any_golden_of_its_module(used, body, words):
    used.makepyfile(test_a=PLAIN + LEVELS + f"def test_more(digest):\n{body}")
    done = run(used, *words, code=1 if "False" in body else 0)
    assert unused(done) == ["test_b", "test_gone"]
    used.makepyfile(test_a=PLAIN + LEVELS + f"def test_other():\n{body}")
    assert unused(run(used, *words, code=1 if "False" in body else 0)) == ALL, "without digest, it uses none"


def test_a_part_asked_for_through_a_link_is_a_part(used, monkeypatch):
    link = used.path.parent / f"{used.path.name}-link"
    link.symlink_to(used.path, target_is_directory=True)
    assert unused(run(used, f"{link}/test_a.py::test_plain")) == ["test_gone"]
    monkeypatch.chdir(link)
    assert unused(run(used, "test_a.py::test_plain", "test_b.py")) == ["test_b", "test_gone"]


def test_a_session_that_stops_early_tells_nothing_of_what_did_not_run(used):
    used.makepyfile(test_0="def test_it():\n    assert False\n")
    assert unused(run(used, "-x", code=1)) == ["test_gone"]


def test_a_golden_whose_test_was_renamed_is_unused(used):
    used.makepyfile(test_b=PLAIN.replace("test_plain", "test_renamed"))
    done = run(used, *UPDATE)
    done.stdout.fnmatch_lines(["goldens/test_b/stale.json", "goldens/test_b/test_plain.json", "goldens/test_gone/stale.json"])


def test_last_failed_deselects(used):
    used.makepyfile(test_a=PLAIN + "def test_bad(digest):\n    assert False\n", test_b=PLAIN)
    words = ("-p", "grinder.pytest_plugin", "-p", "cacheprovider")
    used.runpytest_inprocess(*words[:2])
    done = used.runpytest_inprocess(*words[:2], "--lf")
    assert "1 failed" in done.stdout.str()
    assert unused(done) == ["test_gone"]


# pytest-xdist


def test_workers_write_and_compare(tests):
    names = [f"test_{i}" for i in range(6)]
    source = "".join(
        f"def {name}(replay, digest):\n    digest(replay('swings', {{'levels': {i + 1}}}))\n" for i, name in enumerate(names)
    )
    tests.makepyfile(test_a=source)
    words = ("-p", "xdist.plugin", "-n", "2")
    run(tests, *words, code=1).assert_outcomes(failed=6)
    assert goldens(tests) == {}
    done = run(tests, *words, *UPDATE)
    done.assert_outcomes(passed=6)
    done.stdout.fnmatch_lines(["*goldens written: first goldens of all*", *(f"goldens/test_a/{name}.json" for name in names)])
    assert list(goldens(tests)) == [f"goldens/test_a/{name}.json" for name in names]
    assert len({json.loads(body)["digest"] for body in goldens(tests).values()}) == 6
    done = run(tests, *words)
    done.assert_outcomes(passed=6)
    done.stdout.no_fnmatch_line("*golden*")
    run(tests)


def test_a_lost_worker_leaves_nothing_to_tell(used):
    used.makepyfile(test_c="def test_it():\n    import os; os._exit(3)\n")
    done = run(used, "-p", "xdist.plugin", "-n", "2", "--max-worker-restart", "0", code=1)
    assert unused(done) == []


# Cost and installation

LISTED = "import sys, pytest; code = pytest.main(sys.argv[1:]); print('modules', *sorted(sys.modules)); sys.exit(code)"


def installed(tests: pytest.Pytester, *words: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """pytest in a process of its own, which finds the plugin by the entry point that pyproject.toml declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder = tests.mkdir("site") / "grinder-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: grinder\nVersion: 0\n")
    (folder / "RECORD").write_text("grinder/__init__.py,,\ngrinder/pytest_plugin.py,,\n")
    lines = [f"{name} = {value}" for name, value in project["entry-points"]["pytest11"].items()]
    (folder / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    path = os.pathsep.join([str(folder.parent), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LISTED, "-p", "no:cacheprovider", *words],
        env=environment | {"PYTHONPATH": path},
        cwd=tests.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done, set(done.stdout.splitlines()[-1].split()[1:])


HEAVY = {"numba", "llvmlite", "polars", "pydantic", "pandas", "matplotlib"}


def test_the_entry_point_brings_the_plugin_and_nothing_heavy(tests):
    tests.makepyfile(test_a="def test_it(replay, digest):\n    assert callable(replay) and callable(digest)\n")
    done, modules = installed(tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "grinder.pytest_plugin" in modules
    assert not modules & HEAVY
    assert {name for name in modules if name.startswith("grinder")} == {"grinder", "grinder.pytest_plugin"}


def test_an_installed_plugin_writes_and_compares(tests):
    """pytest rewrites assertions of packages that bring plugins: kernels compile all the same, and digests are equal."""
    tests.makepyfile(test_a=PLAIN)
    done, modules = installed(tests, *UPDATE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "numba" in modules
    file = tests.path / "goldens" / "test_a" / "test_plain.json"
    assert read_digest(file) == real_replay("./fixtures/swings").digest


def test_workers_output_is_plain():
    """What a worker hands over has to pass execnet: sets as lists, no paths."""
    from grinder.pytest_plugin import Goldens

    config = SimpleNamespace(
        args=["a.py::b"],
        workeroutput={},
        getoption=lambda *_: None,
        invocation_params=SimpleNamespace(dir=Path("/")),
    )
    goldens = Goldens(config)
    goldens.passed |= {"b", "a"}
    goldens.pytest_sessionfinish()
    (part,) = config.workeroutput.values()
    assert json.loads(json.dumps(part)) == part
    assert part["passed"] == ["a", "b"]
    assert part["partial"] == ["/a.py"]
    assert part["whole"] is False, "an argument that names no file tells nothing"
