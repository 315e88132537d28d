"""The GitHub action and the pre-commit hooks: read as plain YAML, and the commands they hold are run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grinder.golden import accept
from tests.plain_yaml import load
from tests.swings import swing

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github" / "actions" / "verify"
ACTION = load((FOLDER / "action.yml").read_text())
INSTALL, VERIFY = ACTION["runs"]["steps"]
HOOKS = load((ROOT / ".pre-commit-hooks.yaml").read_text())


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A repository with two fixtures, of which `odd` is not what its golden says."""
    monkeypatch.delenv("CI", raising=False)
    for name in ("odd", "swings"):
        accept(swing(tmp_path / "work" / "fixtures" / name), "first golden")
    manifest = tmp_path / "work" / "fixtures" / "odd" / "fixture.toml"
    manifest.write_text(manifest.read_text().replace("levels = 3", "levels = 2"))
    return tmp_path / "work"


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return path


def step(here: Path, body: dict[str, object], **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step as the runner does: its script in a file, inputs in its variables, and GITHUB_STEP_SUMMARY."""
    defaults = {name: given["default"] for name, given in ACTION["inputs"].items()}
    values = defaults | {name.replace("_", "-"): value for name, value in inputs.items()}
    assert set(values) == set(defaults)

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: values[found[1]], text)

    temporary = here.parent / "runner"
    executable(temporary / "grinder" / "bin" / "grinder", f'exec {shlex.quote(sys.executable)} -m grinder "$@"')
    script = here.parent / "script.sh"
    script.write_text(body["run"])
    given = {name: filled(value) for name, value in body["env"].items()}
    given |= {"PYTHONPATH": str(ROOT / "src"), "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(here.parent / "summary.md")}
    given |= {"RUNNER_TEMP": str(temporary), "GITHUB_ACTION_PATH": str(FOLDER)}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=here / filled(body.get("working-directory", ".")),
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


# The action


def test_the_action_is_composite_and_its_scripts_hold_no_inputs():
    assert ACTION["runs"]["using"] == "composite"
    used = set()
    for body in (INSTALL, VERIFY):
        assert body["shell"] == "bash"
        assert "${{" not in body["run"], "an input in a script would be run"
        used |= set(re.findall(r"inputs\.([a-z-]+)", json.dumps(body)))
    assert used == set(ACTION["inputs"])
    assert all(set(given) == {"description", "default"} for given in ACTION["inputs"].values())


def test_the_action_verifies_annotates_and_summarises(here):
    done = step(here, VERIFY)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("swings: equal")]
    (annotated,) = [line for line in lines if line.startswith("::")]
    assert annotated.startswith("::error title=odd%3A digest differs::odd: NOT equal")
    assert "stage plans differs first, in window 0" in annotated
    assert (here.parent / "summary.md").read_text().startswith("### grinder verify: 1 of 2 failed\n\n| fixture |")


@pytest.mark.parametrize(
    ("inputs", "code", "said"),
    [
        ({"fixtures": "swings"}, 0, ["swings"]),
        ({"fixtures": "swings\n./fixtures/odd\n", "twice": "true"}, 1, ["swings", "odd"]),
        ({"fixtures": "swings", "working_directory": ".."}, 3, []),
        ({"working_directory": "fixtures", "fixtures": "./swings"}, 0, ["swings"]),
        ({"twice": "yes"}, 2, []),
        ({"fixtures": "*"}, 3, []),
        ({"fixtures": "--json"}, 3, []),
        ({"fixtures": "$(touch made) `touch made` ; touch made"}, 3, []),
    ],
    ids=str,
)
def test_inputs_of_the_action(here, inputs, code, said):
    done = step(here, VERIFY, **inputs)
    assert done.returncode == code, done.stdout + done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if re.match(r"[a-z]+: ", line)] == said
    assert done.stderr if code > 1 else not done.stderr
    assert not list(here.parent.rglob("made"))


def test_the_action_installs_its_own_revision_as_the_readme_does(here):
    """The interpreter is a stand-in that writes down what it is asked for."""
    told = here.parent / "told"
    python = executable(
        here.parent / "python", f'printf "%s\\n" "$*" >> {told}\nmkdir -p "$3/bin" && cp "$0.inner" "$3/bin/python"'
    )
    executable(here.parent / "python.inner", f'printf "%s\\n" "$*" >> {told}')
    done = step(here, INSTALL, python=str(python))
    assert done.returncode == 0, done.stderr
    source, temporary = f"{FOLDER}/../../..", here.parent / "runner" / "grinder"
    assert told.read_text().splitlines() == [
        f"-m venv {temporary}",
        f"-m pip install --quiet --require-hashes -r {source}/requirements.lock",
        f"-m pip install --quiet --no-deps --no-build-isolation {source}",
    ]
    assert Path(source).resolve() == ROOT
    readme = re.findall(r"^\.venv/bin/python (-m pip .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    mine = [line.replace(f"{source}/", "").replace(source, "--editable .") for line in told.read_text().splitlines()[1:]]
    assert mine == readme[:2]


# The hooks


def changed(hook: dict[str, object], here: Path) -> list[str]:
    """What pre-commit would pass: files of the repository that the hook's pattern finds."""
    files = sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file())
    return [file for file in files if re.search(hook["files"], file)]


def run_hook(hook: dict[str, object], here: Path, files: list[str]) -> subprocess.CompletedProcess[str]:
    words = shlex.split(hook["entry"])
    assert words[0] == "grinder"
    return subprocess.run(
        [sys.executable, "-m", *words, *files],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_hooks_have_what_pre_commit_needs():
    assert [hook["id"] for hook in HOOKS] == ["grinder-validate", "grinder-verify"]
    for hook in HOOKS:
        assert set(hook) == {"id", "name", "description", "entry", "language", "files", "require_serial"}
        assert (hook["language"], hook["require_serial"]) == ("python", "true"), "installed from here; a fixture is looked at once"


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hooks_look_at_every_file_of_a_fixture_and_at_nothing_else(hook):
    for file in ROOT.glob("fixtures/*/*"):
        assert re.search(hook["files"], file.relative_to(ROOT).as_posix())
        assert re.search(hook["files"], f"deep/{file.relative_to(ROOT).as_posix()}")
    for other in ("README.md", "fixtures/README.md", "fixtures/a/notes.md", "fixtures/A/fixture.toml", "myfixtures/a/fixture.toml"):
        assert not re.search(hook["files"], other)


def test_the_hooks_find_what_changed(here):
    validate, verify = HOOKS
    for hook, equal, odd in ((validate, 0, 0), (verify, 0, 1)):
        files = changed(hook, here)
        assert len(files) == 6
        assert run_hook(hook, here, [file for file in files if "swings" in file]).returncode == equal
        done = run_hook(hook, here, files)
        assert done.returncode == odd, done.stderr
        told = [line.split(":")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
        assert told == ["odd", "swings"], "each fixture once"
    shutil.copy(here / "fixtures/odd/fixture.toml", here / "fixtures/odd/quotes.parquet")
    for hook in HOOKS:
        assert run_hook(hook, here, ["fixtures/odd/quotes.parquet"]).returncode == 3


# What reads the YAML here


@pytest.mark.parametrize(
    "text",
    [
        *["a: b: c", "a: [1]", "a: {}", "a: 'b'", "a: &x b", "a: *x", "a: >\n  b", "a: 3", "a: yes", "a: b # c", "a: b "],
        *["a:\tb", "a: b\na: c", "- a\nb: c", "a:\n   b: c\n  d: e", "a: !t b", "just text", ""],
    ],
)
def test_yaml_that_is_not_plain_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  # that it is refused at all
        load(text)


def test_plain_yaml():
    text = 'a:\n  - b: c d\n    e: |\n      f: {}\n\n      g\n\n  # said\n  - "x: y"\n  - plain\nh:\ni: true\nj:\n- k: "\\u00e9"\n'
    assert load(text) == {"a": [{"b": "c d", "e": "f: {}\n\ng\n"}, "x: y", "plain"], "h": None, "i": "true", "j": [{"k": "é"}]}
