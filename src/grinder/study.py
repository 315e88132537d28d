"""`grinder new`: a study of one's own that passes at once: fixture, golden, policy, settings, test, notebook, CI.

Everything in it is small and meant to be changed. The fixture is a whole generated day with few quotes, so that it can be made
again from its manifest; the golden of the fixture is of the built-in grid, that of the test is of the study's own policy.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import tempfile
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from grinder import __version__
from grinder.config import Config
from grinder.data.characters import CHARACTERS, merge_days
from grinder.data.fixture import Fixture, write_fixture
from grinder.data.generator import VERSION, complete, generate_day
from grinder.errors import ConfigError
from grinder.golden import write_digest
from grinder.intake import is_device
from grinder.session import replay

__all__ = ["KINDS", "new_study", "notebook_of", "requirement"]

KINDS: Final = ("range_day", "trend_day", "vol_shock")
"""Days of quotes that a study can begin with; what is larger is generated or imported into it."""
SEED: Final = 1
SMALL: Final = {"quotes_per_day": 5_000, "gap_max_ms": 14_000}
"""A day of 20,000 quotes, none of them stale when the next one comes."""
EXPECT: Final = {"fills": 100, "buys": 40, "sells": 40, "cycles": 40, "realised": True}
REASON: Final = "The first golden, as grinder new wrote it"


def new_study(folder: str | os.PathLike[str], kind: str = KINDS[0]) -> tuple[Path, ...]:
    """Write a study into a folder that is empty or not there yet; all of it or nothing.

    Args:
        folder: where; folders above it are made. kind: of the day to begin with, one of `KINDS`.

    Returns:
        The files written, in ASCII order.

    Raises:
        ConfigError: there is no such kind, or the folder holds something.
    """
    target = Path(folder)
    if kind not in KINDS:
        raise ConfigError(f"a study cannot begin with {kind!r}; it can with {', '.join(KINDS)}")
    if "\0" in str(target) or is_device(target.name):
        raise ConfigError(f"{str(target)!r} can be no folder everywhere; choose another name")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ConfigError(f"{target} exists already and is no folder; choose another name")
    if target.is_dir() and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty; choose another folder, or empty it")
    above = [path for path in (target, *target.parents) if not path.exists()]
    moved: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".new-") as scratch:
            _write(Path(scratch), kind)
            for path in sorted(Path(scratch).iterdir()):
                os.replace(path, target / path.name)
                moved.append(target / path.name)
    except BaseException:
        for path in moved:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        for path in above:
            with suppress(OSError):  # it was never made, or somebody else put something into it
                path.rmdir()
        raise
    return tuple(sorted(path for path in target.rglob("*") if path.is_file()))


def _write(folder: Path, kind: str) -> None:
    """All files of a study, into a folder that is there."""
    for name, text in files_of(kind).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    data = _small_day(folder / "fixtures" / kind, kind)
    write_digest(folder / "fixtures" / kind / "digest.json", replay(data), REASON)
    golden = folder / "goldens" / "test_policy" / "test_digest.json"  # where the pytest plugin looks for it
    golden.parent.mkdir(parents=True)
    settings = Config(**tomllib.loads(_CONFIG))
    own = runpy.run_path(str(folder / "policy.py"))["wide"]
    write_digest(golden, replay(data, settings, own), REASON)


def _small_day(folder: Path, kind: str) -> Fixture:
    """A generated day of this kind with few quotes, as `grinder generate --check` makes it again."""
    one = CHARACTERS[kind]
    given = complete({**one.parameters, **SMALL})
    return write_fixture(
        folder,
        [one.instrument],
        merge_days([generate_day(given, SEED)]),
        shows=f"A small day to begin with. {one.shows}",
        config=one.config,
        expect=EXPECT,
        generator={"character": kind, "version": VERSION, "seed": SEED, **given},
    )


def files_of(kind: str) -> dict[str, str]:
    """Text files of a study, by name."""
    source, install = requirement()
    texts = {
        ".github/workflows/grinder.yml": _WORKFLOW,
        ".gitignore": "__pycache__/\n.pytest_cache/\n.ipynb_checkpoints/\n*.grinder\n",
        "README.md": _README.replace("INSTALL", install),
        "config.toml": _CONFIG,
        "notebook.py": _NOTEBOOK,
        "policy.py": _POLICY,
        "pytest.ini": "[pytest]\naddopts = -ra\n",
        "requirements.txt": f"pytest>=8\n{source}\n",
        "test_policy.py": _TEST,
    }
    whole = {name: text.replace("FIXTURE", kind) for name, text in texts.items()}
    return whole | {"notebook.ipynb": json.dumps(notebook_of(whole["notebook.py"]), indent=1, ensure_ascii=False) + "\n"}


def requirement() -> tuple[str, str]:
    """The line of requirements.txt that installs the grinder which is installed here, and what a reader has to know of it.

    A package index is never asked by name: grinder is on none, and what bears the name there is somebody else's.
    """
    try:
        found = distribution("grinder")
    except PackageNotFoundError:
        return _from_wheel(__version__)
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    revision = origin.get("vcs_info", {})
    if revision.get("vcs") == "git" and re.match(r"(https|ssh)://[^\s@]+\Z", origin["url"]):
        return (
            f"grinder @ git+{origin['url']}@{revision['commit_id']}",
            "There CI installs the commit of grinder that made this study.",
        )
    return _from_wheel(found.version)


def _from_wheel(version: str) -> tuple[str, str]:
    return f"./wheels/grinder-{version}-py3-none-any.whl", _WHEEL


def notebook_of(script: str) -> dict[str, Any]:
    """A notebook of a script in the percent format: `# %%` begins a cell, `# %% [markdown]` one whose text is a docstring."""
    cells = []
    for i, part in enumerate(re.split(r"^# %%", script, flags=re.MULTILINE)[1:]):
        head, _, body = part.partition("\n")
        markdown = head.strip() == "[markdown]"
        text = re.sub(r'\A"""\n|\n"""\Z', "", body.strip()) if markdown else body.strip()
        cell: dict[str, Any] = {"cell_type": "markdown" if markdown else "code", "id": f"cell-{i}", "metadata": {}}
        cell["source"] = text.splitlines(keepends=True)
        cells.append(cell if markdown else cell | {"execution_count": None, "outputs": []})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


# What the files hold; FIXTURE stands for the name of the day

_POLICY: Final = '''"""The policy of this study."""

import grinder as gr


@gr.policy(damped=True)
def wide(view: gr.View, params: object) -> gr.GridPlan:
    """The static grid, its step at least twice the mean range of a bar: few and large cycles while the market is wild."""
    plan = gr.static(view, params)
    if view.features.absent & gr.Feature.NATR:  # too few bars yet
        return plan
    step = max(plan.step, 2 * view.features.natr)
    return plan._replace(step=step, tp_step=max(plan.tp_step, step))
'''

_CONFIG: Final = """# Settings of the policy's replays, on top of those in fixtures/FIXTURE/fixture.toml.
# Ratios are "5bp", "0.05%" or 0.0005, money is in the quote currency.
dd_budget_pct = "3%"
order_latency_ms = 20
cancel_latency_ms = 20
"""

_TEST: Final = '''"""What the policy does on its fixture."""

import pytest

from policy import wide


@pytest.fixture(scope="module")
def run(replay):
    return replay("FIXTURE", config="config.toml", policy=wide)


def test_digest(run, digest):
    """Every order, fill and amount is what it was when goldens/test_policy/test_digest.json was written."""
    digest(run)


def test_it_trades(run):
    summary = run.summary()
    assert min(summary["buys"], summary["sells"], summary["cycles"]) >= 20
'''

_NOTEBOOK: Final = '''# %% [markdown]
"""
# The policy beside the built-in grid

Every number is exact, and so is every digest: the test of this study compares the first one with its golden.
"""

# %%
import tomllib
from pathlib import Path

import grinder as gr
from policy import wide

config = gr.Config(**tomllib.loads(Path("config.toml").read_text("utf-8")))
run = gr.replay("FIXTURE", config, wide)
run

# %%
static = gr.replay("FIXTURE", config)
static

# %% [markdown]
"""
Completed cycles: prices in ticks, money in atoms; `run.money(...)` makes text of atoms.
"""

# %%
run.cycles.to_polars().select("side", "entry_price", "exit_price", "gross", "fees", "net")

# %%
ax = run.plot()

# %%
print(run.metrics())
'''

_WORKFLOW: Final = """name: grinder

on:
  push:
  pull_request:

permissions:
  contents: read

jobs:
  verify:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
      - name: Install
        run: python -m pip install -r requirements.txt
      - name: Fixtures against their goldens
        run: grinder verify
      - name: Tests, and the policy against its golden
        if: ${{ !cancelled() }}
        run: pytest -q
"""

_WHEEL: Final = """\
There CI installs grinder from `wheels/`: build the wheel once and commit it, or write into `requirements.txt` where else yours
comes from. Do not ask a package index for it by name: what is called grinder there is somebody else's.

```sh
python -m pip wheel --no-deps --wheel-dir wheels CHECKOUT_OF_GRINDER
```"""

_README: Final = """# A study with grinder

Two commands say whether all is as it was:

```sh
grinder verify
pytest -q
```

`grinder verify` replays every fixture in `fixtures/` with its own settings and the built-in policy, and compares with its
`digest.json`. `pytest` replays `FIXTURE` with the policy in `policy.py` and the settings in `config.toml`, and compares with
`goldens/`. A failure names the stage, the window and the time of the first difference.

When a digest is meant to change, say why, and commit the golden; neither works in CI:

```sh
grinder accept FIXTURE --reason "why the digest changed"
pytest --update-digests "why the digest changed"
```

`notebook.py` and `notebook.ipynb` hold the same cells. More fixtures: `grinder generate --help`, `grinder import --help`, each with
`--out fixtures/NAME`, then `grinder accept NAME --reason "..."`.

`.github/workflows/grinder.yml` runs both commands at every push, where this folder is the top of a repository on GitHub.
INSTALL
"""
