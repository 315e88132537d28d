"""What the documents say is so: examples run, the state table is true, decisions are well formed."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import pytest

import grinder
from grinder.session import replay
from tests import examples

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(grinder.__path__, "grinder.") if not module.name.endswith("__main__")
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["grinder", *MODULES])
def test_docstring_examples(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(name)
    found = doctest.testmod(module, extraglobs={"__name__": name})
    assert found.failed == 0
    assert module.__doc__, "every module says what it is for"


def test_readme_notebook_lines(monkeypatch):
    monkeypatch.chdir(ROOT)
    import matplotlib as mpl

    mpl.use("Agg")
    exec(compile("\n".join(blocks("python")), "README.md", "exec"), {})
    import matplotlib.pyplot as plt

    plt.close("all")


def test_readme_output_is_what_the_first_block_prints(monkeypatch):
    monkeypatch.chdir(ROOT)
    (shown,) = blocks("text")
    assert shown.rstrip() == repr(replay("binance_btcusdt_6m"))


def test_readme_begins_with_two_sh_blocks():
    kinds = re.findall(r"^```(\w+)$", README, re.MULTILINE)
    assert kinds[:2] == ["sh", "sh"]
    assert blocks("sh")[0].rstrip().splitlines()[-1].startswith(".venv/bin/grinder replay binance_btcusdt_6m")
    assert "pytest" in blocks("sh")[1]


def test_readme_names_every_command_and_option():
    from grinder.cli import _parser

    (commands,) = (a.choices for a in _parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    for command in commands:
        assert f"`grinder {command}" in README, command


def rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "STATE.md").read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_state_table(row):
    _, _, state, test, fixture = row
    assert state in ("implemented", "planned")
    if state == "planned":
        assert (test, fixture) == ("", "")
        return
    source = (ROOT / test).read_text("utf-8")
    assert re.search(r"^def test_", source, re.MULTILINE), f"{test} holds no test"
    if fixture == "samples":
        assert "import_" in source, f"{test} imports nothing"
        return
    assert (ROOT / "fixtures" / fixture / "digest.json").is_file()


def test_every_test_module_but_the_general_ones_is_in_the_table():
    named = {row[3] for row in rows()}
    general = {"docs", "package", "errors", "instrument", "importing", "session", "fixture_faults", "invariants", "extremes"}
    general |= {"text", "blocks"}  # parts of every importer of files
    general |= {"volumes"}  # sums up the others
    missing = [p.name for p in (ROOT / "tests").glob("test_*.py") if f"tests/{p.name}" not in named and p.stem[5:] not in general]
    assert not missing


def test_decisions_are_numbered_and_complete():
    text = (ROOT / "docs" / "DECISIONS.md").read_text("utf-8")
    entries = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [entry[:8] for entry in entries] == [f"ADR-{n:04d}" for n in range(1, len(entries) + 1)]
    for entry in entries:
        for part in ("*Context.*", "*Decision.*", "*Consequences.*", "*Digest impact.*"):
            assert part in entry, f"{entry[:8]} lacks {part}"


def test_no_environment_leaks_into_the_examples():
    assert os.sep + "home" not in README


# The pages of the site


@pytest.mark.parametrize("page", examples.pages(), ids=lambda page: page.stem)
def test_examples_of_a_page(page, tmp_path):
    """Every block runs, and prints what the page says."""
    (tmp_path / "work").mkdir()
    for shown in examples.run_page(page, tmp_path / "work"):
        assert shown.holds, f"python -m tests.examples --write; printed was:\n{shown.printed}"


def test_every_page_with_examples_is_run():
    generated = {f"reference/{name}" for name in ("api.md", "cli.md", "errors.md", "json.md", "records.md", "settings.md")}
    general = {path.name for path in (ROOT / "docs").glob("*.md") if path.stem.isupper()}  # tested elsewhere, by name
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert there - generated - general == {path.relative_to(ROOT / "docs").as_posix() for path in examples.pages()}
    for path in examples.pages():
        assert re.search(r"^```(python|sh)\n", path.read_text("utf-8"), re.MULTILINE), f"{path.name} shows nothing"


FALSE = {
    "prints another thing": "```python\nprint(1)\n```\n\n```text\n2\n```\n",
    "prints more": "```python\nprint(1)\nprint(2)\n```\n\n```text\n1\n```\n",
    "does not run": "```python\nnothing\n```\n",
    "ends with another code": "```sh\ngrinder verify no_such_fixture\n```\n",
    "ends well where it should not": "```sh\ntrue  # exit code 1\n```\n",
    "is no TOML": '```toml title="a.toml"\nno\n```\n',
    "is in no language": "```fortran\n```\n",
}


@pytest.mark.parametrize("what", FALSE)
def test_an_example_that_is_not_so_is_found(what, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(FALSE[what])
    (tmp_path / "work").mkdir()
    try:
        shown = examples.run_page(page, tmp_path / "work")
    except (AssertionError, NameError, ValueError):
        return
    assert not all(one.holds for one in shown)


def test_lines_left_out_are_any_lines(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nprintf 'a\\nb\\nc\\n'\n```\n\n```text\na\n...\nc\n```\n\n```text\n...\nb\n```\n")
    (tmp_path / "work").mkdir()
    first, second = examples.run_page(page, tmp_path / "work")
    assert first.holds
    assert not second.holds
