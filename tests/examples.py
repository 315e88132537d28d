"""The examples of the documentation's pages, run as they stand. `python -m tests.examples --write` puts what they print there.

A page is run from top to bottom in a folder of its own. `python` blocks share their names; of `sh` blocks each line ends with 0,
or with what `# exit code N` at its end says; `text` after one is what it printed, where a line `...` stands for any lines. A block
with a title is a file of that name. Lines that install are not run here: .ci/run and tests/test_package.py do.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import matplotlib.pyplot as plt
import yaml

import grinder as gr
from tests.stand_in import StandIn

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("index.md", "tutorial.md", "how-to/*.md", "explanation/*.md")
CHECKOUT = "in a checkout of grinder"
"""The title of `sh` blocks that compare revisions, which run in a small repository that stands in for one."""
FENCE = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
FILES = {"csv", "toml", "yaml", "python", "ini"}


@dataclass(frozen=True)
class Shown:
    """What a page says is printed, where that stands, and what was printed."""

    body: str
    span: tuple[int, int]
    printed: str

    @property
    def holds(self) -> bool:
        """Whether it is so."""
        parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", tidy(self.body), flags=re.MULTILINE)]
        return re.fullmatch("(?:.*\n)*?".join(parts), tidy(self.printed)) is not None


def tidy(text: str) -> str:
    """Text without spaces at the ends of lines, ended once."""
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


def pages() -> list[Path]:
    """The pages that hold examples."""
    return [path for part in PAGES for path in sorted((ROOT / "docs").glob(part))]


def run_page(page: Path, folder: Path) -> list[Shown]:
    """Run a page's examples in an empty folder. AssertionError where one ends as the page does not say."""
    names: dict[str, Any] = {"__name__": page.stem}
    shown: list[Shown] = []
    printed = None
    environment = {name: value for name, value in os.environ.items() if not re.match("CI$|GITHUB_", name)}
    environment |= {"PATH": f"{_programs(folder.parent)}{os.pathsep}{environment['PATH']}", "MPLBACKEND": "Agg", "COLUMNS": "120"}
    for found in FENCE.finditer(page.read_text("utf-8")):
        language, title, body = found.groups()
        if language == "text":
            assert printed is not None, f"{page.name}: nothing was printed before {body[:50]!r}"
            shown.append(Shown(body, found.span(3), printed))
        elif language == "sh":
            place = _checkout(folder.parent) if title == CHECKOUT else folder
            printed = _shell(body, place, environment | ({"GRINDER_CACHE_DIR": str(place)} if title == CHECKOUT else {}))
        elif language == "python" and not title:
            out = io.StringIO()
            with (
                chdir(folder),
                patch.dict(os.environ, environment, clear=True),
                redirect_stdout(out),
                patch("sys.path", ["", *sys.path]),
            ):
                exec(compile(body, page.name, "exec"), names)
            printed = out.getvalue()
        else:
            assert language in FILES, f"{page.name}: what is {language}?"
            _parse(language, body)
            if title:
                (folder / title).parent.mkdir(parents=True, exist_ok=True)
                (folder / title).write_text(body, "utf-8")
    plt.close("all")
    return shown


def _parse(language: str, body: str) -> None:
    """A file is at least one of its kind."""
    if language == "toml":
        tomllib.loads(body)
    elif language == "yaml":
        assert yaml.safe_load(body)


def _shell(body: str, folder: Path, environment: dict[str, str]) -> str:
    """What the lines of a block print on stdout."""
    script = "\n".join(_lines(body))
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{body}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def _lines(body: str) -> Iterator[str]:
    for line in body.replace("\\\n", "").splitlines():
        if line.startswith(("pip install", "python3 -m venv", "#")) or not line.strip():
            continue
        code = re.search(r"# exit code (\d+)", line)
        yield f'{line}\nended=$?; [ $ended = {code[1] if code else 0} ] || {{ echo "ended with $ended" >&2; exit 99; }}'


def _programs(folder: Path) -> Path:
    """A folder of the programs that pages call, each of this interpreter."""
    made = folder / "bin"
    made.mkdir(exist_ok=True)
    for name, words in {"grinder": "-m grinder", "python": "", "pytest": "-m pytest -p no:cacheprovider"}.items():
        (made / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (made / name).chmod(0o755)
    return made


def _checkout(folder: Path) -> Path:
    """A repository of four commits, v0.1 and main among them, of which the third one changed the step."""
    root = folder / "checkout"
    if not root.is_dir():
        made = StandIn(root)
        runs = [gr.replay("binance_btcusdt_6m", gr.Config(**given)).save(folder / f"{i}.grinder") for i, given in enumerate(STEPS)]
        for subject, number in zip(("first", "docs", "plan: wider steps", "tests"), (0, 0, 1, 1), strict=True):
            made.commit(subject, runs[number])
            if subject == "first":
                made.git("tag", "v0.1")
    return root


STEPS = ({}, {"step": "3bp"})


def main() -> None:
    """Run every page, and with --write put what was printed in place of what differs."""
    for page in pages():
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "work").mkdir()
            shown = run_page(page, Path(scratch) / "work")
        text = page.read_text("utf-8")
        for one in reversed(shown):
            if not one.holds:
                print(f"{page.name}:\n{one.printed}", file=sys.stderr)
                text = text[: one.span[0]] + tidy(one.printed) + text[one.span[1] :]
        if sys.argv[1:] == ["--write"]:
            page.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
