"""`grinder new`: what it writes passes at once, is whole or not there, and holds nothing of the machine that wrote it."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import grinder.study as module
from grinder.cli import main
from grinder.errors import ConfigError
from grinder.golden import verify
from grinder.study import KINDS, files_of, new_study, notebook_of, requirement
from tests.plain_yaml import load

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    ".github/workflows/grinder.yml",
    ".gitignore",
    "README.md",
    "config.toml",
    "fixtures/range_day/digest.json",
    "fixtures/range_day/fixture.toml",
    "fixtures/range_day/quotes.parquet",
    "goldens/test_policy/test_digest.json",
    "notebook.ipynb",
    "notebook.py",
    "policy.py",
    "pytest.ini",
    "requirements.txt",
    "test_policy.py",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A study; do not change it."""
    folder = tmp_path_factory.mktemp("studies") / "deep" / "mine"
    new_study(folder)
    return folder


def command(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of a study, with the grinder and the pytest plugin of this checkout."""
    words = shlex.split(line)
    runs = {"grinder": ["-m", "grinder"], "pytest": ["-m", "pytest", "-p", "no:cacheprovider", "-p", "grinder.pytest_plugin"]}
    given = {"PYTHONPATH": str(ROOT / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, *runs.get(words[0], words[:1]), *words[1:]],
        cwd=cwd,
        env=os.environ | given | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


# It passes


def test_a_new_study_passes_at_once_in_ci_too(tmp_path, made):
    done = command("grinder new mine", tmp_path, CI="true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["  cd mine", "  grinder verify", "  pytest -q"]
    folder = tmp_path / "mine"
    for line, environment in (("grinder verify --twice", {}), ("pytest -q", {"CI": "true"})):
        done = command(line, folder, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^2 passed", done.stdout, re.MULTILINE)
    assert "golden" not in done.stdout, "none is unused, none is written"
    above = command("pytest -q mine", tmp_path)
    assert above.returncode == 0, above.stdout
    for name in FILES:
        if name != "requirements.txt":
            assert (folder / name).read_bytes() == (made / name).read_bytes(), f"{name} is the same wherever it is made"


def test_a_changed_policy_fails_its_test_and_not_verify(tmp_path, made, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "mine")
    policy = folder / "policy.py"
    policy.write_text(policy.read_text().replace("2 * view", "3 * view"))
    assert command("grinder verify", folder).returncode == 0
    done = command("pytest -q", folder)
    assert done.returncode == 1
    assert "goldens/test_policy/test_digest.json: the digest of range_day differs" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    monkeypatch.delenv("CI", raising=False)
    assert command('pytest -q --update-digests "a wider step"', folder).returncode == 0
    assert command("pytest -q", folder).returncode == 0


def test_the_notebook_runs(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "mine")
    done = command("notebook.py", folder)
    assert done.returncode == 0, done.stderr
    assert "max_drawdown" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_day_passes(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--fixture", kind, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["folder"], body["fixture"]) == ("mine", kind)
    assert body["files"] == [f"mine/{name}".replace("range_day", kind) for name in FILES]
    monkeypatch.chdir("mine")
    verdict = verify(kind)
    assert verdict.passed
    assert main(["generate", "--check", kind]) == 0
    summary = json.loads(Path("goldens/test_policy/test_digest.json").read_text())["headline"]
    assert min(summary[name] for name in ("buys", "sells", "cycles")) >= 20, "what test_it_trades asks for"
    assert summary["events"] < 25_000


# What the files are


def test_nothing_of_this_machine_is_in_it(made):
    names = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    assert names == FILES
    for name in names:
        text = (made / name).read_text("utf-8", "replace")
        for word in ("FIXTURE", "INSTALL", str(made.parent.parent), str(ROOT), os.environ.get("HOME", "no home")):
            assert word not in text, f"{word} in {name}"


def test_the_workflow_is_plain_yaml_and_runs_both_commands(made, tmp_path):
    job = load((made / ".github/workflows/grinder.yml").read_text())["jobs"]["verify"]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == ["python -m pip install -r requirements.txt", "grinder verify", "pytest -q"]
    (first,) = re.findall(r"^```sh\n(.*?)^```$", (made / "README.md").read_text(), re.MULTILINE | re.DOTALL)[:1]
    assert first.splitlines() == runs[1:], "the README says the same two"
    folder = shutil.copytree(made, tmp_path / "mine")
    for line in runs[1:]:
        assert command(line, folder, CI="true", GITHUB_ACTIONS="true").returncode == 0


def test_notebook_and_script_hold_the_same_cells(made):
    script, notebook = (made / "notebook.py").read_text(), json.loads((made / "notebook.ipynb").read_text())
    assert notebook == notebook_of(script)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    keys = {"markdown": {"cell_type", "id", "metadata", "source"}}
    keys["code"] = keys["markdown"] | {"execution_count", "outputs"}
    text = ""
    for cell in notebook["cells"]:
        assert set(cell) == keys[cell["cell_type"]]
        source = "".join(cell["source"])
        assert source == source.strip()
        mark, body = ("# %%", source) if cell["cell_type"] == "code" else ("# %% [markdown]", f'"""\n{source}\n"""')
        text += f"{mark}\n{body}\n\n"
        if cell["cell_type"] == "code":
            ast.parse(source)
    assert text.rstrip() == script.rstrip()
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"]) == 7
    theirs = json.loads((ROOT / "notebooks" / "01_first_replay.ipynb").read_text())
    assert notebook["metadata"] == theirs["metadata"]


def installed(monkeypatch, origin: dict[str, object] | None) -> None:
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(module, "distribution", lambda _: SimpleNamespace(version="7.8", read_text=lambda _: text))


def test_ci_installs_the_grinder_that_made_the_study(monkeypatch):
    revision = {"vcs": "git", "commit_id": "0" * 40}
    installed(monkeypatch, {"url": "https://git.example/grinder.git", "vcs_info": revision})
    assert requirement()[0] == f"grinder @ git+https://git.example/grinder.git@{'0' * 40}"
    assert "wheels" not in files_of("range_day")["README.md"]
    for origin in (
        None,
        {"url": "file:///here/grinder", "dir_info": {"editable": True}},
        {"url": "file:///here/grinder", "vcs_info": revision},
        {"url": "https://user:secret@git.example/grinder.git", "vcs_info": revision},
        {"url": "https://files.example/grinder.whl", "archive_info": {}},
    ):
        installed(monkeypatch, origin)
        files = files_of("range_day")
        assert files["requirements.txt"] == "pytest>=8\n./wheels/grinder-7.8-py3-none-any.whl\n", "never by name alone"
        assert "pip wheel --no-deps --wheel-dir wheels" in files["README.md"]
        assert not any(word in "".join(files.values()) for word in ("/here", "secret", "git.example"))
    monkeypatch.setattr(module, "distribution", lambda name: (_ for _ in ()).throw(module.PackageNotFoundError(name)))
    assert requirement()[0].startswith("./wheels/grinder-")


# All or nothing


@pytest.mark.parametrize("kind", ["", "thin_book", "no_such", "../range_day"])
def test_an_unknown_kind_of_day(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--fixture", kind]) == 2
    assert "it can with range_day, trend_day, vol_shock" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tmp_path):
    full, file, link = tmp_path / "full", tmp_path / "file", tmp_path / "link"
    full.mkdir()
    (full / ".hidden").write_text("mine")
    file.write_text("mine")
    (tmp_path / "empty").mkdir()
    link.symlink_to(tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    for folder, message in ((full, "is not empty"), (file, "is no folder"), (link, "is no folder")):
        with pytest.raises(ConfigError, match=message):
            new_study(folder)
    assert sorted(tmp_path.rglob("*")) == before
    assert file.read_text() == "mine"


def test_an_empty_folder_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = new_study(".")
    assert [path.as_posix() for path in written] == FILES
    assert verify("range_day").passed


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("calls", [0, 1, 3, 9])
def test_nothing_is_left_of_one_that_failed(tmp_path, monkeypatch, calls, there):
    """Whichever step fails: the writing of a golden (the first two), or the moving of a file into its place."""
    target = tmp_path / "a" / "b"
    if there:
        target.mkdir(parents=True)
    left, real = [calls], os.replace

    def failing(*given: object) -> None:
        if left[0] == 0 and (calls < 2 or Path(str(given[1])).parent == target):
            raise OSError("no space left")
        left[0] = max(0, left[0] - 1)
        real(*given)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="no space left"):
        new_study(target)
    assert sorted(tmp_path.rglob("*")) == ([tmp_path / "a", target] if there else [])
