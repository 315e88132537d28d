"""Execute the scripts in notebooks/ cell by cell and hold the notebooks beside them to what came out, or write them anew.

    python -m tests.notebooks            # compare; says what differs
    python -m tests.notebooks --write    # make the notebooks anew

Each runs in a process and a folder of its own. Texts, tables and cards are compared as they are, less what is of one machine (what
a card says it was made with); pictures by their size and by how they look from afar, since a library's version moves a pixel.
"""

from __future__ import annotations

import argparse
import ast
import base64
import io
import json
import linecache
import os
import re
import subprocess
import sys
import tempfile
import time
import types
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

from grinder.study import notebook_of

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "notebooks"
DPI: Final = 80
COLORS: Final = 256
AFAR: Final = (48, 32)
"""Fields across and down in which pictures are compared."""
UNLIKE: Final = 12
"""Of 255, by how much a field may differ."""


def scripts() -> list[Path]:
    """The scripts in the order they are read in."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


# One notebook, in a process of its own


def executed(script: Path) -> dict[str, Any]:
    """The notebook of a script with what its cells gave, run in this process and folder."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcdefaults()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    notebook = notebook_of(script.read_text("utf-8"))
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        cell["execution_count"] = count
        cell["outputs"] = _outputs("".join(cell["source"]), f"<cell {count} of {script.stem}>", module.__dict__, count)
    return notebook


def _outputs(source: str, name: str, space: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """What a cell prints, is worth and draws, in this order."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    body = ast.parse(source, name)
    last = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
    said, value = io.StringIO(), None
    with redirect_stdout(said):
        exec(compile(body, name, "exec"), space)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), space)
    out: list[dict[str, Any]] = []
    if said.getvalue():
        out.append({"name": "stdout", "output_type": "stream", "text": said.getvalue().splitlines(keepends=True)})
    if value is not None:
        out.append({"data": _shown(value), "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    for picture in _drawn():
        data: dict[str, Any] = {"image/png": picture, "text/plain": ["<Figure>"]}
        out.append({"data": data, "metadata": {}, "output_type": "display_data"})
    return out


def _shown(value: Any) -> dict[str, list[str]]:
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = everywhere(value._repr_html_()).splitlines(keepends=True)
    return data


def everywhere(html: str) -> str:
    """A card without what is of the machine that it was made on."""
    return re.sub(r"<details><summary>Made with</summary>.*?</details>", "", html, flags=re.DOTALL)


def _drawn() -> list[str]:
    """Open figures as PNG of few colours, in base64; they are closed."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    import matplotlib.pyplot as plt
    from PIL import Image

    out = []
    for number in plt.get_fignums():
        large, small = io.BytesIO(), io.BytesIO()
        plt.figure(number).savefig(large, format="png", dpi=DPI, metadata={"Software": None})
        few = Image.open(large).convert("RGB").quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(small, "PNG", optimize=True)
        out.append(base64.b64encode(small.getvalue()).decode())
    plt.close("all")
    return out


# All of them


def run_apart(script: Path) -> tuple[dict[str, Any], float]:
    """A script executed in a process and an empty folder of its own, and how long it took, seconds.

    Raises:
        RuntimeError: a cell failed; the message has its traceback.
    """
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.ipynb"
        work = Path(folder) / "work"
        work.mkdir()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "MPLBACKEND": "Agg"}
        words = [sys.executable, "-W", "error", "-m", "tests.notebooks", "--one", str(script), "--into", str(made)]
        done = subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{script.name}: {done.stderr[-3000:]}")
        return json.loads(made.read_text("utf-8")), time.perf_counter() - begin


def text_of(notebook: dict[str, Any]) -> str:
    """A notebook as it is kept."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def differences(kept: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """What of a notebook is not what its script gives, in words; empty where all is."""
    if len(kept["cells"]) != len(made["cells"]):
        return [f"{len(kept['cells'])} cells are kept and the script has {len(made['cells'])}"]
    out = []
    for number, (old, new) in enumerate(zip(kept["cells"], made["cells"], strict=True)):
        if (old["cell_type"], old["source"]) != (new["cell_type"], new["source"]):
            out.append(f"cell {number}: its source is not the script's")
        elif len(old.get("outputs", [])) != len(new.get("outputs", [])):
            out.append(f"cell {number}: {len(old['outputs'])} outputs are kept, {len(new['outputs'])} came out")
        else:
            for one, other in zip(old.get("outputs", []), new.get("outputs", []), strict=True):
                out += [f"cell {number}: {what}" for what in _unlike(one, other)]
    if kept["metadata"] != made["metadata"]:
        out.append("its metadata differ")
    return out


def _unlike(kept: dict[str, Any], made: dict[str, Any]) -> list[str]:
    if kept["output_type"] != made["output_type"]:
        return [f"{kept['output_type']} is kept, {made['output_type']} came out"]
    if made["output_type"] == "stream":
        return _texts("stdout", kept["text"], made["text"])
    if set(kept["data"]) != set(made["data"]):
        return [f"{sorted(kept['data'])} are kept, {sorted(made['data'])} came out"]
    out = []
    for kind, body in made["data"].items():
        out += _pictures(kept["data"][kind], body) if kind == "image/png" else _texts(kind, kept["data"][kind], body)
    return out


def _texts(kind: str, kept: list[str], made: list[str]) -> list[str]:
    for old, new in zip(kept, made, strict=False):
        if old != new:
            return [f"{kind} differs: kept {old.strip()[:160]!r}, came out {new.strip()[:160]!r}"]
    return [f"{kind} has {len(made)} lines, {len(kept)} are kept"] if len(kept) != len(made) else []


def _pictures(kept: str, made: str) -> list[str]:
    import numpy as np
    from PIL import Image

    old, new = (Image.open(io.BytesIO(base64.b64decode(one))).convert("L") for one in (kept, made))
    if old.size != new.size:
        return [f"the picture is {new.size[0]} x {new.size[1]}, kept is one of {old.size[0]} x {old.size[1]}"]
    far = [np.asarray(one.resize(AFAR, Image.Resampling.BOX), np.int64) for one in (old, new)]
    most = int(np.abs(far[0] - far[1]).max())
    return [f"the picture differs by {most} of 255 somewhere"] if most > UNLIKE else []


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names of scripts; default: all")
    parser.add_argument("--write", action="store_true", help="make the notebooks anew")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.one:
        args.into.write_text(text_of(executed(args.one)), "utf-8")
        return 0
    failed, whole = False, 0.0
    for script in scripts():
        if args.names and not script.name.startswith(tuple(args.names)):
            continue
        try:
            made, seconds = run_apart(script)
        except RuntimeError as error:
            failed = True
            print(error)
            continue
        whole += seconds
        kept = script.with_suffix(".ipynb")
        if args.write:
            kept.write_text(text_of(made), "utf-8")
        found = differences(json.loads(kept.read_text("utf-8")), made)
        failed |= bool(found)
        print(f"{script.stem:<30} {seconds:6.1f} s  {len(text_of(made)) // 1000:5,} kB  {'; '.join(found) or 'as kept'}")
    print(f"{'all':<30} {whole:6.1f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
