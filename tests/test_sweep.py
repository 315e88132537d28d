"""`gr.sweep` and `grinder sweep`: one table for any number of workers, any executor, any kill; cells counted once; errors told."""

from __future__ import annotations

import gc
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

import grinder as gr
from grinder import sweeping, workers
from grinder.cells import COLUMNS
from grinder.cli import main
from grinder.errors import ConfigError, GrinderError, PolicyError, WorkerError
from grinder.sweeping import Progress, Sweep
from tests import sweeps
from tests.swings import CONFIG, INSTRUMENT, quotes, swing

ROOT = Path(__file__).resolve().parents[1]
GRID = {"step": ["20bp", "30bp", "40bp"], "levels": [2, 3]}


def market(name: str = "swings", until: int = 9000, **settings) -> gr.Fixture:
    columns = {column: values[:until] for column, values in quotes().items()}
    return gr.Fixture.from_arrays([INSTRUMENT], quotes=columns, config=gr.Config(**CONFIG | settings), name=name)


def bytes_of(found: Sweep) -> bytes:
    body = io.BytesIO()
    found.table.write_ipc(body)
    return body.getvalue()


@pytest.fixture(scope="module")
def data() -> gr.Fixture:
    return market()


@pytest.fixture(scope="module")
def whole(data) -> Sweep:
    return gr.sweep(data, GRID, workers=1)


# The table


def test_rows_are_the_replays(data, whole):
    assert whole.table.columns[:5] == ["fixture", "step", "levels", "digest", "error"]
    assert whole.table.columns[5:] == [*COLUMNS, "config_hash"]
    assert whole.table["step", "levels"].rows() == [(step, levels) for step in ("0.002", "0.003", "0.004") for levels in (2, 3)]
    for row, (step, levels) in zip(whole.table.iter_rows(named=True), whole.table["step", "levels"].rows(), strict=True):
        run = gr.replay(data, gr.Config(step=step, levels=levels))
        assert row["digest"] == run.digest.value
        assert row["config_hash"] == run.config.hash()
        assert row["realized_pnl_total"] == run.summary()["realised"]
        assert row["fills"] == len(run.fills)
        assert row["error"] is None
    assert whole.table["digest"].n_unique() == 6
    assert (whole.computed, whole.hits, whole.damaged) == (6, 0, 0)


def test_columns_have_one_type_each(whole):
    kinds = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean}
    for name, kind in COLUMNS.items():
        assert whole.table.schema[name] == kinds[kind.__name__], name
    assert whole.table.schema["step"] == pl.String
    assert whole.table.schema["levels"] == pl.Int64
    assert pl.DataFrame(whole).equals(whole.table), "Arrow reads the sweep itself"


def test_the_same_for_any_number_of_workers(data, whole):
    for count in (2, 3, 7):
        assert bytes_of(gr.sweep(data, GRID, workers=count)) == bytes_of(whole)


def test_the_same_for_any_order_of_execution(data, whole):
    """Cells that come back in another order than they were handed out."""

    class Backwards(ThreadPoolExecutor):
        def __init__(self):
            super().__init__(1)
            self.held = []

        def submit(self, function, /, *words):
            future = super().submit(threading.Event().wait, 0)  # a future of its own kind
            future = type(future)()
            self.held.append((future, function, words))
            if len(self.held) == 2:
                for later, work, given in reversed(self.held):
                    later.set_result(work(*given))
                self.held = []
            return future

    with Backwards() as pool:
        assert bytes_of(gr.sweep(data, GRID, executor=pool)) == bytes_of(whole)


def test_the_same_set_for_any_order_of_the_grid(data, whole):
    turned = {name: list(reversed(values)) for name, values in reversed(GRID.items())}
    other = gr.sweep(data, turned)
    assert sorted(other.table["digest"]) == sorted(whole.table["digest"])
    assert (
        other.table.select(sorted(other.table.columns))
        .sort("digest")
        .equals(whole.table.select(sorted(whole.table.columns)).sort("digest"))
    )


def test_equal_settings_are_one_cell(data, whole):
    again = gr.sweep(data, {"step": ["20bp", "0.002", 0.002, "0.2%", "30bp", "40bp"], "levels": [2, 3, 2]})
    assert bytes_of(again) == bytes_of(whole)
    assert again.computed == 6
    beside = gr.sweep(data, GRID, ranges={"step": ["20bp", "40bp"], "levels": [2, 3]}, random=40)
    assert bytes_of(beside) == bytes_of(whole), "a draw that the grid has is the grid's cell"
    twice = gr.sweep([data, data], GRID)
    assert bytes_of(twice) == bytes_of(whole)


def test_one_cell_without_a_grid(data):
    found = gr.sweep(data)
    assert len(found) == 1
    assert found[0].digest == gr.replay(data).digest.value
    assert repr(found).startswith("Sweep of 1 cell: 1 computed, 0 found in the store\n  digest ")


def test_several_fixtures(data, whole):
    short = market("short", 5000)
    found = gr.sweep([data, short], GRID, config=gr.Config(min_edge="2bp"))
    assert found.table["fixture"].to_list() == ["swings", "short"] * 6
    for row in (found[0], found[1]):
        source = {"swings": data, "short": short}[row.fixture]
        assert row.digest == gr.replay(source, row.config).digest.value
        assert row.config.min_edge == gr.Config(min_edge="2bp").min_edge
    assert "fixture" in repr(found).splitlines()[1]


def test_draws_are_cells(data):
    found = gr.sweep(data, ranges={"step": "20bp:60bp", "levels": "1:4"}, random=12, seed=5)
    more = gr.sweep(data, ranges={"step": "20bp:60bp", "levels": "1:4"}, random=15, seed=5)
    assert more.table.head(12).equals(found.table)
    assert len(found) == 12
    assert all(0.002 <= float(step) <= 0.006 for step in found.table["step"])
    assert (
        gr.sweep(data, ranges={"step": "20bp:60bp", "levels": "1:4"}, random=12, seed=6).table["step"].to_list()
        != found.table["step"].to_list()
    )


def test_best_and_rows(data, whole):
    best = whole.best("pnl.total")
    assert best.figures["pnl.total"] == whole.table["pnl.total"].max()
    assert best.digest == gr.replay(data, best.config).digest.value
    least = whole.best("pnl.total", least=True)
    assert least.figures["pnl.total"] == whole.table["pnl.total"].min()
    assert set(best.settings) == {"step", "levels"}
    equal = whole.best("events")
    assert equal.settings == whole[0].settings, "the first of equal ones"
    with pytest.raises(ConfigError, match="no such figure"):
        whole.best("luck")
    with pytest.raises(ConfigError, match="none of 6 cells has it"):
        whole.best("cagr")


def test_text(whole):
    lines = repr(whole).splitlines()
    assert lines[0] == "Sweep of 6 cells: 6 computed, 0 found in the store"
    assert lines[1].split() == ["step", "levels", "digest", "fills", "cycles", "PnL", "return", "max", "drawdown"]
    assert lines[2].split()[:3] == ["0.002", "2", whole[0].digest[:12]]
    assert len(lines) == 8
    assert len({line.find("USDT") for line in lines[2:]}) == 1, "columns stand under their heads"


def test_many_cells_are_not_all_shown(data):
    found = gr.sweep(market(until=50), {"levels": list(range(1, 31))})
    assert repr(found).splitlines()[-1] == "  and 10 more: .table has all"
    assert len(repr(found).splitlines()) == 23


@pytest.mark.parametrize("name", ["t.arrow", "t.parquet", "t.csv"])
def test_written_whole(whole, tmp_path, name):
    file = whole.write(tmp_path / name)
    read = {".arrow": pl.read_ipc, ".parquet": pl.read_parquet, ".csv": pl.read_csv}[file.suffix](io.BytesIO(file.read_bytes()))
    assert read["digest"].to_list() == whole.table["digest"].to_list()
    if file.suffix != ".csv":
        assert read.equals(whole.table)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(ConfigError, match=r"ends with .arrow"):
        whole.write(tmp_path / "t.txt")
    with pytest.raises(ConfigError, match="there is no folder"):
        whole.write(tmp_path / "no" / "t.arrow")


# Parts and settings of every kind


def test_settings_of_every_kind(data):
    grid = {"policy": ["smart"], "k_tail.range": ["1", 2], "jump_limits.mid": [1, 2], "flatten_on_drawdown": [True, False],
            "quantity.SWING": ["0.05", "0.1"], "max_inventory_notional": ["50%"]}  # fmt: skip
    found = gr.sweep(market(until=600, quantity={"SWING": "0.05"}), grid)
    assert len(found) == 16
    assert found.table.schema["flatten_on_drawdown"] == pl.Boolean
    assert set(found.table["k_tail.range"]) == {"1", "2"}
    assert set(found.table["quantity.SWING"]) == {"0.05", "0.1"}
    assert found.table["config_hash"].n_unique() == 16
    assert found[0].config.k_tail["trend"] == gr.Config().k_tail["trend"]


def test_every_setting_can_vary(data):
    """What `Config` has, a sweep takes: each default of each field is a cell."""
    for name, field in gr.Config.model_fields.items():
        found = gr.sweep(market(until=20), {name: [field.default]})
        assert len(found) == 1, name
        assert found.results[0].error == "" or name == "quantity", (name, found.results[0].error)


def test_max_jump_is_applied_to_the_data(tmp_path):
    swing(tmp_path / "jumps")
    found = gr.sweep(tmp_path / "jumps", {"max_jump": ["20%", "0.001%"]})
    one, other = found[0], found[1]
    assert one.digest == gr.replay(tmp_path / "jumps", one.config).digest.value
    assert other.error.startswith("InputFault: ")
    assert "row 2, column bid_px, value 10397: second price jump in a row" in other.error
    assert gr.sweep(tmp_path / "jumps", {"max_jump": ["20%", "10%"]})[1].digest != one.digest, "the config is part of a digest"
    in_memory = gr.sweep(market(until=50), {"max_jump": ["20%", "10%"]})
    assert in_memory[1].error.startswith("ConfigError: max_jump is 0.1, but swings was loaded with 0.2")


# Errors


def test_max_jump_of_a_head_is_of_the_head():
    head = gr.fixture("range_day_l1").head(3000)
    found = gr.sweep(head, {"max_jump": ["0.2", "0.3"]})
    assert found.table["events"].to_list() == [3000, 3000]
    wide = gr.fixture("range_day_l1", gr.Config(max_jump="0.3")).head(3000)
    assert found.table["digest"].to_list()[1] == gr.replay(wide).digest.value


def test_wrong_settings_are_told_before_anything_runs(data, monkeypatch):
    monkeypatch.setattr(workers, "run_cell", None)
    monkeypatch.setattr(sweeping.Crew, "submit", None)
    for words, said in (
        ({"grid": {"stepp": ["8bp"]}}, "stepp: there is no such setting"),
        ({"grid": {"step": ["8bp", "200%"]}}, r"step: .*\(got '200%'\)"),
        ({"ranges": {"step": "5bp:50bp"}}, "ranges are given.*random=100 or trials=100"),
        ({"random": 5}, "random or trials is given.*ranges="),
        ({"random": -1, "ranges": {"step": "5bp:50bp"}}, "random is -1: a whole number of at least 0"),
        ({"workers": 0}, "workers is 0: a whole number of at least 1"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"config": {"step": 1}}, r"config is a dict: write gr.Config"),
        ({"config": gr.Config().model_copy(update={"levels": 5000})}, r"levels: .*\(got 5000\)"),
        ({"objective": "luck"}, "objective 'luck': there is no such figure; there are events"),
        ({"policy": 3}, "policy is a int"),
        ({"policy": "nowhere.py:f"}, "there is no file nowhere.py"),
        ({"executor": 3}, "executor is a int"),
    ):
        with pytest.raises(ConfigError, match=said):
            gr.sweep(data, **words)
    with pytest.raises(ConfigError, match="fixture is an empty list"):
        gr.sweep([])


def test_a_cell_that_fails_is_a_row_and_the_others_go_on(data, whole, tmp_path):
    grid = {"step": ["20bp", "30bp", "40bp"], "levels": [2, 3], "quantity": ["0.05", "0.001"], "penetration": [0, 2]}
    found = gr.sweep(data, grid, store=tmp_path / "store")
    good = found.table.filter(pl.col("error").is_null())
    assert good["digest"].to_list() == whole.table["digest"].to_list()
    bad = found.table.filter(pl.col("error").is_not_null())
    assert len(bad) == 18
    assert bad["digest"].null_count() == 18
    assert set(bad["error"]) == {
        "NumberError: quantity of SWING 0.001 is no multiple of 0.01: the nearest legal values are 0.00 or 0.01",
        "ConfigError: config is wrong: penetration 2 needs fill_model = 'cross'",
    }
    assert "18 failed" in repr(found)
    again = gr.sweep(data, grid, store=tmp_path / "store", workers=1)
    assert bytes_of(again) == bytes_of(found)
    assert (again.hits, again.computed) == (6, 6), "what failed is tried again; what does not go together never was"


def test_strict_raises_the_cells_own_error(data, tmp_path):
    with pytest.raises(gr.errors.NumberError, match=r"swings with quantity=0.001: quantity of SWING"):
        gr.sweep(data, {"quantity": ["0.05", "0.001"]}, strict=True, store=tmp_path)
    with pytest.raises(ConfigError, match="needs fill_model") as told:
        gr.sweep(data, {"penetration": [0, 2]}, strict=True, store=tmp_path)
    assert type(told.value) is ConfigError

    def bad(view, params):
        raise ZeroDivisionError("by zero")

    with pytest.raises(GrinderError, match="swings: ZeroDivisionError: by zero; policy bad"):
        gr.sweep(data, policy=bad, strict=True)


# The store


def test_a_finished_cell_is_found_and_never_computed_again(data, whole, tmp_path, monkeypatch):
    first = gr.sweep(data, GRID, store=tmp_path / "s")
    assert bytes_of(first) == bytes_of(whole)
    before = sweeps.finished(tmp_path / "s")
    assert len(before) == 6
    wider = gr.sweep(data, GRID | {"step": ["20bp", "30bp", "40bp", "50bp"]}, store=tmp_path / "s")
    assert (wider.computed, wider.hits) == (2, 6)
    after = sweeps.finished(tmp_path / "s")
    assert {name: after[name] for name in before} == before
    monkeypatch.setattr(sweeping.Crew, "submit", None)
    again = gr.sweep(data, GRID, store=tmp_path / "s")
    assert bytes_of(again) == bytes_of(whole)
    assert (again.computed, again.hits) == (0, 6)


def test_other_data_code_or_policy_is_no_hit(data, tmp_path, monkeypatch):
    gr.sweep(data, GRID, store=tmp_path)
    assert gr.sweep(market("renamed"), GRID, store=tmp_path).hits == 6, "a name is no content"
    assert gr.sweep(market(until=8999), GRID, store=tmp_path).hits == 0
    assert gr.sweep(data.head(8000), GRID, store=tmp_path).hits == 0
    assert gr.sweep(data.with_commands([(int(data.events.ts[5]), "pause", None)]), GRID, store=tmp_path).hits == 0

    def quiet(view, params):
        return None

    assert gr.sweep(data, GRID, quiet, store=tmp_path).hits == 0
    assert gr.sweep(data, GRID, quiet, store=tmp_path).hits == 6
    monkeypatch.setattr("grinder._jit.source_hash", lambda: "another")
    assert gr.sweep(data, GRID, store=tmp_path).hits == 0


def test_damaged_files_are_computed_again(data, whole, tmp_path):
    gr.sweep(data, GRID, store=tmp_path)
    files = sorted(tmp_path.glob("*/*.json"))
    files[0].write_bytes(files[0].read_bytes()[:-9])
    files[1].write_bytes(files[2].read_bytes())
    files[3].write_bytes(files[3].read_bytes().replace(b'"fills":', b'"fills":1', 1))
    found = gr.sweep(data, GRID, store=tmp_path)
    assert (found.hits, found.computed, found.damaged) == (3, 3, 3)
    assert bytes_of(found) == bytes_of(whole)
    assert "3 damaged files of the store were not believed" in repr(found)
    assert gr.sweep(data, GRID, store=tmp_path).hits == 6


def test_an_interrupted_sweep_goes_on(data, whole, tmp_path):
    def stop(progress: Progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as told:
        gr.sweep(data, GRID, store=tmp_path, workers=1, progress=stop)
    assert told.value.__notes__ == [f"2 of 6 cells are finished and kept in {tmp_path}"]
    found = gr.sweep(data, GRID, store=tmp_path, workers=2)
    assert found.hits == 2
    assert bytes_of(found) == bytes_of(whole)


def test_progress(data, tmp_path, capsys):
    gr.sweep(data, {"step": ["20bp"], "levels": [2, 3]}, store=tmp_path)
    told: list[Progress] = []
    gr.sweep(data, GRID, store=tmp_path, progress=told.append)
    assert [(one.done, one.total, one.hits, one.failed) for one in told] == [(n, 6, 2, 0) for n in range(2, 7)]
    assert told[0].seconds_left is None
    assert told[1].seconds_left > 0
    assert told[-1].seconds_left == 0
    assert capsys.readouterr() == ("", ""), "none where nobody looks"
    gr.sweep(data, GRID, progress=True)
    assert "sweep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("grid", "cells", "failed"),
    [
        ({"penetration": [2, 3, 4]}, 3, 3),
        ({"step": ["8bp", "20bp", "8bp", "0.0008", "20bp"]}, 2, 0),
        ({"penetration": [0, 2]}, 2, 1),
    ],
)
def test_progress_ends_with_what_there_is(data, grid, cells, failed):
    """However many are repeated or refused, and wherever they stand."""
    told: list[Progress] = []
    found = gr.sweep(data, grid, workers=1, progress=told.append)
    assert len(found) == cells
    assert (told[-1].done, told[-1].total, told[-1].failed) == (cells, cells, failed)
    assert len(set(told)) == len(told), "nothing is told twice"


def test_strict_refuses_before_anything_runs(data):
    told: list[Progress] = []
    with pytest.raises(ConfigError, match="penetration"):
        gr.sweep(data, {"penetration": [0, 2]}, strict=True, progress=told.append)
    assert told == []


# Policies of one's own


POLICY = """import grinder as gr
LEVELS = {}


@gr.policy
def narrow(view, params):
    return gr.static(view, params)._replace(levels_down=LEVELS)
"""


def test_a_policy_from_a_file_on_threads_and_processes(data, tmp_path):
    (tmp_path / "grids.py").write_text(POLICY.format(1))
    given = f"{tmp_path / 'grids.py'}:narrow"
    found = gr.sweep(data, GRID, given, store=tmp_path / "s")
    assert found.table["error"].null_count() == 6
    with ProcessPoolExecutor(2) as pool:
        assert bytes_of(gr.sweep(data, GRID, given, executor=pool)) == bytes_of(found)
    assert gr.sweep(data, GRID, given, store=tmp_path / "s").hits == 6
    (tmp_path / "grids.py").write_text(POLICY.format(2))
    changed = gr.sweep(data, GRID, given, store=tmp_path / "s")
    assert changed.hits == 0
    assert changed.table["digest"].to_list() != found.table["digest"].to_list()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("edited", ["grids.py", "depths.py"])
def test_a_policy_file_that_changes_while_processes_sweep(data, tmp_path, method, edited):
    """Workers read the file for every cell: cells of the new one are no cells of this sweep."""
    files = {"grids.py": "from depths import LEVELS\n" + POLICY.format("LEVELS"), "depths.py": "LEVELS = 1\n"}
    for name, body in files.items():
        (tmp_path / name).write_text(body)
    given, store = f"{tmp_path / 'grids.py'}:narrow", tmp_path / "store"
    grid = GRID | {"levels": [1, 2, 3, 4, 5]}
    whole = gr.sweep(data, grid, given)

    def edit(progress: Progress):
        if progress.done == 1:
            (tmp_path / "new").write_text(files[edited].replace("LEVELS = 1", "LEVELS = 2").replace("=LEVELS)", "=2)"))
            os.replace(tmp_path / "new", tmp_path / edited)

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        found = gr.sweep(data, grid, given, executor=pool, store=store, progress=edit)
        digests, wanted = found.table["digest"].to_list(), whole.table["digest"].to_list()
        assert digests[0] == wanted[0]
        assert all(digest in (None, want) for digest, want in zip(digests, wanted, strict=True)), "none of the file as it is now"
        assert digests.count(None) >= 15 - 3, "one cell was finished, and at most two were in hand"
        errors = {row.error for row in (found[i] for i in range(15)) if row.error}
        assert len(errors) == 1
        said = f"PolicyError: policy {given!r}: {tmp_path / 'grids.py'}, or what it imports, has changed since the sweep began"
        assert errors.pop().startswith(said)
        kept = {json.loads(path.read_bytes())["digest"] for path in store.glob("*/*.json")}
        assert kept == set(digests) - {None}, "nothing of the changed file is kept"
    other = gr.sweep(data, grid, given, store=store)
    assert (other.hits, other.computed) == (0, 15), "the file is another now"
    assert other.table["error"].null_count() == 15
    (tmp_path / edited).write_text(files[edited])
    again = gr.sweep(data, grid, given, store=store)
    assert (again.hits, again.computed) == (len(kept), 15 - len(kept)), "the file is what it was"
    assert bytes_of(again) == bytes_of(whole)


def test_a_policy_that_cannot_be_told_sweeps_on_processes_without_a_store(data, tmp_path):
    body = "RANGES = [iter([])]\n" + POLICY.format(1).replace("_down=LEVELS", "_down=LEVELS + len(RANGES)")
    (tmp_path / "grids.py").write_text(body)
    given = f"{tmp_path / 'grids.py'}:narrow"
    with ProcessPoolExecutor(1) as pool:
        assert bytes_of(gr.sweep(data, GRID, given, executor=pool)) == bytes_of(gr.sweep(data, GRID, given))
        with pytest.raises(ConfigError, match=r"RANGES, a .*_iterator"):
            gr.sweep(data, GRID, given, executor=pool, store=tmp_path / "store")


def test_a_policy_that_returns_nonsense_fails_in_its_row(data):
    found = gr.sweep(data, policy=lambda view, params: 3)
    assert found[0].error.startswith("PolicyError: a policy returns GridPlan, TargetState or None, not int; policy <lambda>")
    with pytest.raises(PolicyError):
        gr.sweep(data, policy=lambda view, params: 3, strict=True)


# Executors


def test_processes(data, whole):
    with ProcessPoolExecutor(2) as pool:
        assert bytes_of(gr.sweep(data, GRID, executor=pool)) == bytes_of(whole)
        assert bytes_of(gr.sweep([data, market("short", 5000)], GRID, executor=pool)) == bytes_of(
            gr.sweep([data, market("short", 5000)], GRID)
        )


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_pool_that_dies_is_told_and_nothing_is_lost(data, whole, tmp_path, monkeypatch):
    gr.sweep(data, {"step": ["20bp"], "levels": [2, 3]}, store=tmp_path)
    with ProcessPoolExecutor(1) as pool:
        monkeypatch.setattr(workers, "run_cell", die)
        with pytest.raises(WorkerError, match=r"its worker was lost .*run the sweep again, and it goes on") as told:
            gr.sweep(data, GRID, executor=pool, store=tmp_path)
    assert told.value.__notes__ == [f"2 of 6 cells are finished and kept in {tmp_path}"]
    monkeypatch.undo()
    assert bytes_of(gr.sweep(data, GRID, store=tmp_path)) == bytes_of(whole)


# A cluster


def needs(module: str):
    """The module; without it there is no test, but in CI there is one."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        return pytest.importorskip(module)
    return __import__(module)


@pytest.fixture(scope="module")
def cluster():
    distributed = needs("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local,
            distributed.Client(local) as client,
        ):
            yield client


def count_fixtures() -> None:
    """In a worker: note every fixture that arrives from now on."""
    from grinder.data.fixture import Fixture

    if not hasattr(Fixture, "arrived"):
        real = Fixture.__setstate__

        def counted(self, state):
            Fixture.arrived += 1
            real(self, state)

        Fixture.__setstate__ = counted
    Fixture.arrived = 0


def arrived() -> int:
    from grinder.data.fixture import Fixture

    return getattr(Fixture, "arrived", -1)


def held() -> int:
    """In a worker: fixtures that it was sent and has still."""
    gc.collect()
    return len(workers._SENT)


def in_time(ask: Callable[[], object], wanted: object) -> object:
    """What is told in the end, by those that let go of things when they come to it."""
    limit = time.monotonic() + 30
    while (told := ask()) != wanted and time.monotonic() < limit:
        time.sleep(0.05)
    return told


def test_a_cluster_of_processes(cluster, data, whole):
    """Each worker is sent the fixture once, however often the cluster puts away what it takes for one too many."""
    cluster.run(count_fixtures)
    fresh = market(until=8000)
    grid = GRID | {"levels": [1, 2, 3, 4, 5]}
    found = gr.sweep(fresh, grid, executor=cluster, progress=lambda _: cluster.amm.run_once())
    assert bytes_of(found) == bytes_of(gr.sweep(fresh, grid))
    assert list(cluster.run(arrived).values()) == [1, 1]
    assert in_time(lambda: list(cluster.run(held).values()), [0, 0]) == [0, 0]
    assert bytes_of(gr.sweep(data, GRID, executor=cluster.get_executor())) == bytes_of(whole)


def test_each_of_several_fixtures_is_sent_once(cluster, data):
    cluster.run(count_fixtures)
    several = [data, market("short", 5000), market("shorter", 4000)]
    found = gr.sweep(several, GRID, executor=cluster, progress=lambda _: cluster.amm.run_once())
    assert bytes_of(found) == bytes_of(gr.sweep(several, GRID))
    assert list(cluster.run(arrived).values()) == [3, 3]


def test_a_cluster_that_loses_a_worker(cluster, data, whole, tmp_path):
    victims = []

    def kill(progress: Progress):
        if not victims:
            victims.append(next(iter(cluster.run(os.getpid).values())))
            os.kill(victims[0], signal.SIGKILL)

    found = gr.sweep(data, GRID | {"levels": [1, 2, 3, 4, 5]}, executor=cluster, store=tmp_path, progress=kill)
    assert victims
    assert bytes_of(found) == bytes_of(gr.sweep(data, GRID | {"levels": [1, 2, 3, 4, 5]}))
    assert len(sweeps.finished(tmp_path)) == 15


def test_a_cluster_sees_failures(cluster, data):
    grid = {"quantity": ["0.05", "0.001"]}
    assert bytes_of(gr.sweep(data, grid, executor=cluster)) == bytes_of(gr.sweep(data, grid))


def test_a_worker_that_joins_is_sent_what_the_others_have(cluster, data):
    """Its first cells find nothing there and are done again."""
    before = set(cluster.nthreads())

    def grow(progress: Progress):
        if progress.done == 1:
            cluster.run(count_fixtures)
            cluster.cluster.scale(3)
            cluster.wait_for_workers(3, timeout=60)
            cluster.run(count_fixtures, workers=[worker for worker in cluster.nthreads() if worker not in before])

    grid = GRID | {"levels": [1, 2, 3, 4, 5]}
    found = gr.sweep(data, grid, executor=cluster, progress=grow)
    assert bytes_of(found) == bytes_of(gr.sweep(data, grid))
    assert {worker: n for worker, n in cluster.run(arrived).items() if n} == {
        worker: 1 for worker in cluster.nthreads() if worker not in before
    }


# Optuna


def tried(data, **words) -> Sweep:
    needs("optuna")
    ranges = {"step": "20bp:60bp:1bp", "levels": "1:4", "policy": ["static"]}
    return gr.sweep(data, ranges=ranges, trials=10, objective="pnl.total", batch=4, **words)


def test_trials_do_not_depend_on_workers_or_interruptions(data, tmp_path):
    one = tried(data, workers=1, seed=3)
    assert bytes_of(tried(data, workers=3, seed=3)) == bytes_of(one)
    assert 4 < len(one) <= 10
    assert bytes_of(tried(data, workers=1, seed=4)) != bytes_of(one)

    def stop(progress: Progress):
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tried(data, seed=3, store=tmp_path, progress=stop, workers=1)
    again = tried(data, seed=3, store=tmp_path, workers=2)
    assert bytes_of(again) == bytes_of(one)
    assert again.hits == 5


def test_trials_seek_what_they_are_told_to(data):
    optuna = needs("optuna")
    seen = []

    class Watched(optuna.samplers.RandomSampler):
        def after_trial(self, study, trial, state, values):
            seen.append((study.direction.name, trial.params, state.name, values))

    ranges = {"step": ["20bp", "30bp"], "quantity": ["0.05", "0.001"]}
    found = gr.sweep(
        [data, market("short", 5000)], ranges=ranges, trials=12, objective="fills", minimise=True, sampler=Watched(seed=1), batch=2
    )
    assert len(seen) == 12
    assert {direction for direction, *_ in seen} == {"MINIMIZE"}
    fills = {(row["step"], row["quantity"], row["fixture"]): row["fills"] for row in found.table.iter_rows(named=True)}
    states = set()
    for _, params, state, values in seen:
        step, quantity = ("0.002", "0.003")[params["step"]], ("0.05", "0.001")[params["quantity"]]
        states.add(state)
        if quantity == "0.001":
            assert state == "FAIL"
        else:
            assert values == [(fills[step, quantity, "swings"] + fills[step, quantity, "short"]) / 2]
    assert states == {"FAIL", "COMPLETE"}


def test_without_optuna_the_cure_is_named(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="extra `optuna`: pip install optuna"):
        gr.sweep(data, ranges={"step": "20bp:60bp"}, trials=2)


# Kills


@pytest.mark.parametrize("mode", sweeps.MODES)
def test_a_sweep_killed_again_and_again_ends_in_the_same_table(mode):
    if mode == "cluster":
        needs("distributed")
    told = sweeps.lane(60, {"threads": 10, "cluster": 3}[mode], 2, mode)
    assert told.violations == []
    assert len(told.kills) == {"threads": 10, "cluster": 3}[mode]


def test_the_lane_notices_a_store_that_keeps_nothing(tmp_path):
    """A table that is another one, files that are missing: the comparison at the end says so."""
    store = tmp_path / "store"
    found = sweeps.swept(10, store, "threads")
    found.write(tmp_path / "table.arrow")
    assert sweeps.compare(10, store) == []
    victim = min(store.glob("*/*.json"))
    kept = victim.read_bytes()
    victim.unlink()
    assert "1 cells were computed again" in sweeps.compare(10, store)[0]
    victim.write_bytes(kept)
    found.table.with_columns(fills=pl.lit(3)).write_ipc(tmp_path / "table.arrow")
    assert sweeps.compare(10, store)[0] == "the table is another than that of an undisturbed sweep"
    (victim.parent / ".left").touch()
    assert sweeps.compare(10, store)[-1] == "1 scratch files are left"


# The command line


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    swing(tmp_path / "fixtures" / "swings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words: str, code: int = 0) -> tuple[str, str]:
    assert main(words) == code
    return capsys.readouterr()


def test_command(here, capsys):
    words = ("sweep", "swings", "--grid", "step=20bp,0.3%,40bp", "--grid", "levels=2,3", "--store", "kept", "--workers", "2")
    out, err = run(capsys, *words, "--out", "table.arrow", "--objective", "pnl.total")
    assert err == ""
    found = gr.sweep("swings", GRID)
    assert out.splitlines()[:-1] == repr(found).splitlines()
    best = found.best("pnl.total").settings
    assert out.splitlines()[-1].endswith(f"USDT with step={best['step']}, levels={best['levels']}")
    assert pl.read_ipc((here / "table.arrow").read_bytes()).equals(found.table)
    body = json.loads(run(capsys, *words, "--json")[0])
    assert [cell["digest"] for cell in body["cells"]] == found.table["digest"].to_list()
    assert (body["computed"], body["found"], body["varied"]) == (0, 6, ["step", "levels"])
    assert body["cells"][0]["figures"]["fills"] == found.table["fills"][0]
    assert body["cells"][0]["settings"] == {"step": "0.002", "levels": 2}


def test_command_draws_and_trials(here, capsys):
    out, _ = run(
        capsys, "sweep", "swings", "--range", "step=20bp:60bp", "--range", "levels=2,3", "--random", "5", "--seed", "7", "--json"
    )
    found = gr.sweep("swings", ranges={"step": "20bp:60bp", "levels": [2, 3]}, random=5, seed=7)
    assert [cell["digest"] for cell in json.loads(out)["cells"]] == found.table["digest"].to_list()
    needs("optuna")
    words = ("--range", "step=20bp:60bp:1bp", "--optuna", "4", "--batch", "2", "--objective", "fills", "--minimise")
    out, _ = run(capsys, "sweep", "swings", *words, "--set", "levels=2")
    assert out.splitlines()[-1].startswith("  least fills: ")


def test_command_switches_and_policies(here, capsys):
    (here / "grids.py").write_text(POLICY.format(1))
    words = ("--policy", "grids.py:narrow", "--grid", "flatten_on_drawdown=true,false")
    body = json.loads(run(capsys, "sweep", "swings", *words, "--json")[0])
    assert [cell["settings"]["flatten_on_drawdown"] for cell in body["cells"]] == [True, False]
    assert all(cell["digest"] for cell in body["cells"])


def test_command_errors(here, capsys, monkeypatch):
    for words, said in (
        (("--grid", "step"), "write settings as NAME=VALUE"),
        (("--grid", "stepp=1"), "stepp: there is no such setting"),
        (("--grid", "step=1bp", "--grid", "step=2bp"), "step is set twice"),
        (("--grid", "step="), "step: an empty list"),
        (("--range", "step=5bp:50bp"), "random=100 or trials=100"),
        (("--out", "table.txt"), "ends with .arrow"),
        (("--out", "no/table.arrow"), "there is no folder no"),
    ):
        out, err = run(capsys, "sweep", "swings", *words, code=2)
        assert out == ""
        assert said in err
    assert "no fixture 'nothing'" in run(capsys, "sweep", "nothing", code=3)[1]
    out, err = run(capsys, "sweep", "swings", "--grid", "quantity=0.001", code=2)
    assert "every cell failed; the first: NumberError" in err
    assert "1 failed" in out
    out, err = run(capsys, "sweep", "swings", "--grid", "quantity=0.05,0.001")
    assert "1 failed" in out
    _, err = run(capsys, "sweep", "swings", "--grid", "quantity=0.05,0.001", "--strict", code=2)
    assert "swings with quantity=0.001" in err


def test_command_interrupted(here, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeping._Work, "_finish", stop)
    _, err = run(capsys, "sweep", "swings", "--store", "kept", code=130)
    assert err == "interrupted\n"


def test_command_shows_a_bar_where_asked(here):
    done = subprocess.run(
        [sys.executable, "-m", "grinder", "sweep", "swings", "--grid", "levels=2,3", "--progress"],
        capture_output=True,
        text=True,
        check=True,
        cwd=here,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))))},
    )
    assert "sweep" in done.stderr
    assert done.stdout.startswith("Sweep of 2 cells")
