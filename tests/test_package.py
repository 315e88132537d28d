"""The package as others get it: light to import, whole as a wheel, layered as the design says."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from grinder._jit import JIT

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "grinder"
REPORT = ["report", "binance_btcusdt_6m", "--out", "report.html"]


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment, timeout=600
    )
    return done.stdout


def test_import_is_light():
    """`import grinder` brings no third-party module into `sys.modules`."""
    code = (
        "import sys; before = set(sys.modules); import grinder, json; "
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}; "
        "print(json.dumps(sorted(new - set(sys.stdlib_module_names) - {'grinder'})))"
    )
    assert json.loads(python(code)) == []


def test_replay_imports_neither_pandas_nor_matplotlib_nor_what_numba_compiles_with():
    """The last where all is compiled, as it is the second time."""
    heavy = {"pandas", "matplotlib", *(["numba.np.linalg"] if JIT else [])}
    code = f"import sys, grinder as gr; gr.replay('binance_btcusdt_6m', until=100); print({heavy} & set(sys.modules))"
    assert [python(code).strip() for _ in range(2)][1] == "set()"


def test_public_names():
    import grinder

    for name in grinder.__all__:
        assert getattr(grinder, name) is not None
    assert len(grinder.__all__) <= 30
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = grinder.no_such_name
    # No module may bear the name of a public function: importing it would put the module in the function's place.
    modules = {path.stem for path in SOURCE.glob("*.py")} | {path.name for path in SOURCE.iterdir() if path.is_dir()}
    assert modules & set(grinder.__all__) == {"errors"}


def test_wheel_in_an_empty_folder(tmp_path):
    """The built wheel replays its shipped fixture without the checkout."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)
    for shipped in ROOT.glob("fixtures/*/*"):
        assert f"grinder/fixtures/{shipped.parent.name}/{shipped.name}" in names, "what the checkout has, the wheel has"
    for part in (SOURCE / "reports").iterdir():
        assert f"grinder/reports/{part.name}" in names or part.is_dir(), "script and style of reports"
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    environment = os.environ | {"PYTHONPATH": str(site)}
    for command in (["replay", "binance_btcusdt_6m", "--json"], ["verify"], ["generate", "--check"], REPORT):
        done = subprocess.run(
            [sys.executable, "-m", "grinder", *command],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
    where = subprocess.run(
        [sys.executable, "-c", "import grinder; print(grinder.__file__)"],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))


# Arrows point one way (DESIGN 3)

LAYERS = [
    {"records", "_lowering"},
    {"_compiler"},
    {"_bundle"},
    {"errors", "_jit", "units", "performance", "verdicts", "intake", "outfile"}
    | {"plots", "plots.decimation", "cards", "cards.page"},
    {"config", "hashing", "tape", "_prefetch", "data.instrument", "data.expectations"},
    {"index", "features", "features.book", "features.trend", "features.volatility"},
    {"features.bars", "gates", "regime"},
    {"quiet"},
    {"market", "plan", "orders", "protection", "selection"},
    {"sizing", "ledger"},
    {"cycle", "policies", "policies.static", "policies.smart"},
    {"execution", "fills", "policies.own", "policies.derivation"},
    {"engine", "data.validation", "data", "data.blocks", "data.text", "data.bars"},
    {"data.merging", "data.commands", "observation", "tallies"},
    {"data.binance"},
    {"data.fixture", "digest", "data.table", "metrics", "gathering"},
    {"_ahead"},
    {"run", "data.series", "data.daily", "data.inspection", "data.generator", "data.characters", "space", "identity"},
    {"data.archive", "data.lean", "data.tardis", "data.tabular"},
    {"data.importing"},
    {"session"},
    {"reruns", "cells"},
    {"workers"},
    {"sweeping"},
    {"causality", "golden", "plot", "explain", "study", "warmup", "cli", "pytest_plugin", "__main__", "__init__"}
    | {"completion", "doctor", "usage"}
    | {f"plots.{name}" for name in "frame price regimes inventory equity features cycles depth parting".split()}
    | {"landscape", "doubts", "cards.sweep"}
    | {f"plots.{name}" for name in "png heatmap profile sweep overview".split()}
    | {"cautions", "cards.spark", "cards.facts", "cards.text", "cards.run", "cards.fixture", "cards.plan"}
    | {"reports", *(f"reports.{name}" for name in "encoding quotes series plans tables page".split())}
    | {"wording", "recorded", "circumstances", "divergence", "difference_page", "revisions", "sides", "bisection"},
]
HEAVY = {
    "pydantic": {"config", "data.instrument"},
    "polars": {"run", "data.fixture", "data.tabular", "sweeping"},
    "pandas": {"run"},
    "matplotlib": {"plot", "divergence"}
    | {f"plots.{name}" for name in "frame price regimes inventory equity features cycles depth parting".split()}
    | {f"plots.{name}" for name in "png heatmap profile sweep overview".split()}
    | {"sweeping"},
}


def imports(path: Path, lazy: bool = False) -> set[str]:
    """What a file imports at its top level, or with `lazy` anywhere."""
    out = set()
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            out.add(node.module)
            out |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "grinder"}
        elif isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
    return out


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def test_imports_point_one_way():
    level = {module: i for i, layer in enumerate(LAYERS) for module in layer}
    for path in sorted(SOURCE.rglob("*.py")):
        mine = name_of(path)
        assert mine in level, f"{mine} has no layer: give it one"
        if mine == "__init__":
            continue
        for imported in imports(path):
            other = imported.removeprefix("grinder.")
            if other == imported or other not in level or other == "__init__":
                continue
            assert level[other] <= level[mine], f"{mine} (layer {level[mine]}) imports {other} (layer {level[other]})"


def test_heavy_packages_stay_at_the_edges():
    for path in sorted(SOURCE.rglob("*.py")):
        for imported in imports(path, lazy=True):
            allowed = HEAVY.get(imported.partition(".")[0])
            assert allowed is None or name_of(path) in allowed, f"{name_of(path)} imports {imported}"


def test_the_market_never_sees_an_order():
    """`observe` depends on the market alone, so that it can be shared (SPEC 3, DESIGN 1)."""
    forbidden = {"grinder.orders", "grinder.ledger", "grinder.cycle", "grinder.execution", "grinder.fills", "grinder.policies.own"}
    assert not imports(SOURCE / "market.py") & forbidden


def test_kernels_use_only_exact_operations():
    """No fastmath, no parallel kernels, no float functions, no clock, no randomness in the package (SPEC 1.4, 1.5)."""
    words = (
        "fastmath=True",
        "parallel=True",
        "import random",
        "import time",
        "np.random",
        "datetime.now",
        "np.exp",
        "np.log",
        "math.exp",
        "math.pow",
    )
    for path in sorted(SOURCE.rglob("*.py")):
        source = path.read_text("utf-8")
        assert not [word for word in words if word in source], path.name
