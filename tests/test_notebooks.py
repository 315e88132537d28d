"""notebooks/: each runs by itself, gives what is kept of it, all take less than two minutes; the comparison sees what changed."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from grinder.study import notebook_of
from tests.notebooks import FOLDER, ROOT, differences, everywhere, executed, run_apart, scripts

NAMES = [script.stem for script in scripts()]
SECONDS = 120
"""Of a processor, for all of them."""
MOST = 150_000
"""Bytes of a notebook."""
_spent: dict[str, float] = {}


def kept(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_what_is_kept(name):
    """Really executed: every text, table and card the same, every picture alike."""
    before = os.times()
    made, _ = run_apart(FOLDER / f"{name}.py")
    after = os.times()
    _spent[name] = after.children_user + after.children_system - before.children_user - before.children_system
    assert differences(kept(name), made) == [], "python -m tests.notebooks --write makes it anew"
    assert sum(_spent.values()) < SECONDS, _spent


def test_pairs():
    assert [name[:2] for name in NAMES] == [f"{k:02d}" for k in range(1, len(NAMES) + 1)]
    assert len(NAMES) == 6
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_a_notebook_holds(name):
    notebook, script = kept(name), (FOLDER / f"{name}.py").read_text("utf-8")
    empty = notebook_of(script)
    assert (notebook["nbformat"], notebook["nbformat_minor"], notebook["metadata"]) == (4, 5, empty["metadata"])
    assert [cell["source"] for cell in notebook["cells"]] == [cell["source"] for cell in empty["cells"]]
    body = json.dumps(notebook)
    assert len(body) < MOST
    assert "image/png" in body, "a picture is shown"
    for word in (str(ROOT), os.environ.get("HOME", "no home"), "/tmp/", "Made with", " object at 0x"):
        assert word not in body, word
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in codes] == list(range(1, len(codes) + 1))
    assert any(cell["outputs"] for cell in codes)


def test_the_first_shows_the_golden():
    golden = json.loads((ROOT / "fixtures" / "binance_btcusdt_6m" / "digest.json").read_text())["digest"]
    assert golden in (FOLDER / "01_first_replay.ipynb").read_text("utf-8")
    assert golden in (ROOT / "README.md").read_text("utf-8")


def test_a_script_runs_without_a_notebook(tmp_path):
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-W", "error", str(FOLDER / "01_first_replay.py")]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == json.loads((ROOT / "fixtures/binance_btcusdt_6m/digest.json").read_text())["digest"]
    assert list(tmp_path.iterdir()) == []


# What the comparison sees


SCRIPT = '''# %% [markdown]
"""
# Words
"""

# %%
import matplotlib.pyplot as plt

print("said")
plt.subplots()[1].plot([1, 2, 3])
figure = plt.figure()

# %%
{"a": 1}
'''


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict:
    script: Path = tmp_path_factory.mktemp("small") / "small.py"
    script.write_text(SCRIPT, "utf-8")
    main = sys.modules["__main__"]
    try:
        return json.loads(json.dumps(executed(script)))
    finally:
        sys.modules["__main__"] = main


def test_outputs_in_the_order_of_a_notebook(small):
    words, first, second = small["cells"]
    assert "outputs" not in words
    assert [one["output_type"] for one in first["outputs"]] == ["stream", "display_data", "display_data"], (
        "what is drawn comes last"
    )
    assert first["outputs"][0]["text"] == ["said\n"]
    assert second["outputs"][0]["data"] == {"text/plain": ["{'a': 1}"]}
    assert (first["execution_count"], second["execution_count"]) == (1, 2)


def changed(notebook: dict, change) -> dict:
    other = copy.deepcopy(notebook)
    change(other["cells"])
    return other


def test_every_change_is_seen(small):
    assert differences(small, copy.deepcopy(small)) == []
    for change, said in (
        (lambda cells: cells.pop(), "3 cells are kept and the script has 2"),
        (lambda cells: cells[0].update(source=["# Other"]), "cell 0: its source"),
        (lambda cells: cells[1]["outputs"].pop(), "cell 1: 3 outputs are kept, 2 came out"),
        (lambda cells: cells[1]["outputs"][0].update(text=["told\n"]), "cell 1: stdout differs: kept 'said', came out 'told'"),
        (lambda cells: cells[1]["outputs"][0].update(text=["said\n", "more\n"]), "cell 1: stdout has 2 lines, 1 are kept"),
        (lambda cells: cells[2]["outputs"][0]["data"].update({"text/plain": ["{'a': 2}"]}), "cell 2: text/plain differs"),
        (lambda cells: cells[2]["outputs"][0]["data"].update({"text/html": ["x"]}), "cell 2: ['text/plain'] are kept"),
        (lambda cells: cells[1]["outputs"].reverse(), "cell 1: stream is kept, display_data came out"),
        (
            lambda cells: cells[1]["outputs"][1:].clear() or cells[1]["outputs"].insert(1, cells[1]["outputs"].pop()),
            "cell 1: the picture",
        ),
    ):
        (first, *_) = differences(small, changed(small, change))
        assert first.startswith(said), first


def test_pictures_are_compared_from_afar(small):
    """A moved pixel is a library's, a missing line is ours."""
    data = next(one["data"] for one in small["cells"][1]["outputs"] if "data" in one)
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")

    def told(one: Image.Image) -> list[str]:
        body = io.BytesIO()
        one.save(body, "PNG")
        text = base64.b64encode(body.getvalue()).decode()
        return differences(small, changed(small, lambda cells: cells[1]["outputs"][1]["data"].update({"image/png": text})))

    dot = picture.copy()
    dot.putpixel((100, 100), (0, 0, 0))
    assert told(dot) == []
    middle = picture.copy()
    middle.paste((255, 255, 255), (100, 80, 400, 300))
    assert "the picture differs" in told(middle)[0]
    assert "kept is one of" in told(picture.resize((200, 100)))[0]


def test_what_is_of_a_machine_is_left_out():
    import grinder as gr

    html = gr.replay("binance_btcusdt_6m", until=1000)._repr_html_()
    assert "numba" in html
    assert "numba" not in everywhere(html)
    assert everywhere(html).count("<details>") == html.count("<details>") - 1
    assert "1,000 of 93,949 events" in everywhere(html)


def test_a_cell_that_fails_is_told_by_its_place(tmp_path):
    script = tmp_path / "bad.py"
    script.write_text("# %%\nx = 1\n\n# %%\ny = 2\nx / 0\n", "utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)bad.py.*<cell 2 of bad>.*line 2.*ZeroDivisionError"):
        run_apart(script)
