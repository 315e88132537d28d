"""docs/NOTEBOOK.md: its lines run, its pictures are there and small, and the script that makes them names them all."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "NOTEBOOK.md").read_text("utf-8")
SHOWN = re.findall(r"!\[[^\]]+\]\((pictures/\w+\.png)\)", PAGE)


def test_from_install_to_a_plot_in_five_lines(monkeypatch):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    monkeypatch.chdir(ROOT)
    shell, python = (re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1] for language in ("sh", "python"))
    lines = [line for line in (*shell.splitlines(), *python.splitlines()) if line]
    assert lines[0].startswith("pip install")
    assert len(lines) <= 5
    exec(compile(python, "NOTEBOOK.md", "exec"), {})
    assert plt.get_fignums()
    plt.close("all")


@pytest.mark.parametrize("name", SHOWN)
def test_picture(name):
    file = ROOT / "docs" / name
    assert file.stat().st_size < 150_000
    with Image.open(file) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300


def test_every_picture_is_shown_and_made():
    there = {f"pictures/{path.name}" for path in (ROOT / "docs" / "pictures").iterdir()}
    assert there == set(SHOWN)
    script = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"), run_name="pictures")
    made = {
        *script["CARDS"],
        *script["REPORTS"],
        *re.findall(r'^        "(\w+)": lambda', (ROOT / "docs" / "make_pictures.py").read_text(), re.MULTILINE),
    }
    assert {f"pictures/{name}.png" for name in made} == there


def test_every_caution_is_explained():
    from grinder.cautions import Caution

    source = (ROOT / "src" / "grinder" / "cautions.py").read_text("utf-8")
    codes = set(re.findall(r'(?:return|else) "([A-Z_]{4,})"', source)) | {"STOPPED_EARLY"}
    assert Caution.__doc__
    assert codes == set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))
