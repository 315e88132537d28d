"""Where cells run: fixtures that threads share and processes map, what travels, what is refused, what a cell's error becomes."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import grinder as gr
from grinder import _jit, workers
from grinder.data import fixture as fixtures
from grinder.errors import ConfigError, DataError
from grinder.identity import files_of
from grinder.policies.own import policy
from grinder.workers import Crew, Shipped, Task, check_travels, run_cell
from tests.swings import CONFIG, INSTRUMENT, quotes


def market(name: str = "memory") -> gr.Fixture:
    return gr.Fixture.from_arrays([INSTRUMENT], quotes=quotes(), config=gr.Config(**CONFIG), name=name)


def task(given=None, **settings) -> Task:
    return Task(gr.Config(**CONFIG | settings), given, _jit.source_hash())


def test_a_cell_is_the_replay():
    data = market()
    result = run_cell(data, task(levels=2))
    assert result.digest == gr.replay(data, gr.Config(levels=2)).digest.value
    assert result.error == ""


def test_an_error_of_the_cell_is_its_result():
    def bad(view, params):
        raise KeyError("no such key")

    result = run_cell(market(), task(bad))
    assert result.digest == ""
    assert result.error.startswith("KeyError: 'no such key'; policy bad, symbol SWING, event 0, 2023-11-14")
    assert run_cell(market(), task(quantity="0.001")).error.startswith(
        "NumberError: quantity of SWING 0.001 is no multiple of 0.01"
    )


def test_memory_and_interrupts_are_not_the_cells():
    for kind in (MemoryError, KeyboardInterrupt, SystemExit):

        def bad(view, params, kind=kind):
            raise kind

        with pytest.raises(kind):
            run_cell(market(), task(bad))


def test_a_worker_with_other_code_is_refused():
    with pytest.raises(ConfigError, match="another source of grinder"):
        run_cell(market(), task()._replace(code="0" * 64))


def test_a_policy_file_is_the_one_that_the_sweep_began_with(tmp_path):
    file = tmp_path / "idle.py"
    file.write_text("def idle(view, params):\n    return None\n")
    given = f"{file}:idle"
    began = task(given)._replace(files=files_of(file))
    digest = run_cell(market(), began).digest
    assert digest == run_cell(market(), began).digest != ""
    file.write_text("def idle(view, params):\n    return  None\n")
    changed = run_cell(market(), began)
    assert changed.digest == ""
    assert changed.error.startswith(f"PolicyError: policy {given!r}: {file}, or what it imports, has changed since the sweep began")
    assert changed.error.endswith("start the sweep again, with the same files on every worker; cells of two are not mixed")
    assert run_cell(market(), began._replace(files=())).digest == digest, "of one that was not read from a file nothing is asked"


# Fixtures on their way


def test_a_pickled_fixture_is_the_same_and_cannot_be_changed():
    data = market()
    gr.replay(data)
    copy = pickle.loads(pickle.dumps(data))
    assert gr.replay(copy).digest.value == gr.replay(data).digest.value
    assert not copy.events.bid_px.flags.writeable
    assert copy._indices == {}, "what is kept beside it is made anew"
    assert (copy.name, copy.content, copy.config, copy.price_range) == (data.name, data.content, data.config, data.price_range)


@pytest.mark.parametrize("name", ["impact_spike_l2", "commands_1d", "multisymbol_topk_l1"])
def test_a_mapped_fixture_is_the_same(name, tmp_path):
    whole = gr.fixture(name)
    data = whole.head(min(30_000, len(whole)))
    workers._ship(data, tmp_path / "one")
    mapped = workers._mapped(tmp_path / "one")
    for column, same in zip(data.events, mapped.events, strict=True):
        assert (column.dtype, column.shape) == (same.dtype, same.shape)
        assert np.array_equal(column, same)
        assert type(same) is np.ndarray
        assert not same.flags.writeable
    assert gr.replay(mapped).digest.value == gr.replay(data).digest.value


def test_a_shipped_fixture_is_opened_once_a_process(tmp_path):
    (tmp_path / "s").mkdir()
    shipped = workers._ship(market(), tmp_path / "s" / "0")
    assert shipped.open() is shipped.open()
    others = [workers._ship(market(), tmp_path / "s" / str(i)) for i in range(1, workers.KEPT + 2)]
    first = shipped.open()
    for other in others:
        other.open()
    assert shipped.open() is not first, "only so many are kept"
    assert len(workers._OPEN) <= workers.KEPT
    workers._OPEN.clear()


def test_a_folder_that_a_worker_cannot_see(tmp_path):
    with pytest.raises(DataError, match=r"a worker finds no .*set TMPDIR"):
        Shipped(str(tmp_path / "gone"), "gone").open()


def test_threads_make_an_index_once(monkeypatch):
    """Threads that ask at once for what is kept: one makes it, the others wait."""
    monkeypatch.setattr(fixtures, "KEPT_INDEX", 1)
    made = []
    for name in ("make_index", "make_both"):
        real = getattr(fixtures, name)
        monkeypatch.setattr(fixtures, name, lambda *words, real=real, name=name: (made.append(name), real(*words)))
    data, gate, results = market(), threading.Barrier(6), []

    def work(gates: bool):
        gate.wait()
        results.append(gr.replay(data, gr.Config(risk_monitor=gates)).digest.value)

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(made)) == sorted(made), made
    assert len(set(results)) == 2


# Executors


class AtOnce(Executor):
    """An executor of somebody's own, without the names that those of Python have."""

    def submit(self, function, /, *args, **named):
        future = Future()
        future.set_result(function(*pickle.loads(pickle.dumps(args)), **named))
        return future


def test_threads_of_somebody_else_are_left_running():
    with ThreadPoolExecutor(3) as pool:
        crew = Crew(pool, None)
        assert (crew.slots, crew.shares, crew.own) == (3, True, False)
        data = market()
        assert crew.submit(0, data, task()).result().digest == gr.replay(data).digest.value
        crew.close()
        assert pool.submit(int, 3).result() == 3


def test_an_executor_of_ones_own_gets_files_and_they_are_cleared_away():
    crew, data = Crew(AtOnce(), 2), market()
    assert (crew.slots, crew.shares) == (2, False)
    assert crew.submit(0, data, task()).result().digest == gr.replay(data).digest.value
    folder = crew._folder
    assert folder.is_dir()
    assert next(iter(crew._given.values())).open() is data, "this process has it already"
    crew.close()
    assert not folder.exists()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_map_the_fixture(method):
    data = market()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        crew = Crew(pool, None)
        assert crew.slots == 2
        futures = [crew.submit(0, data, task(levels=level)) for level in (1, 2, 3)]
        assert [future.result().digest for future in futures] == [
            gr.replay(data, gr.Config(levels=level)).digest.value for level in (1, 2, 3)
        ]
        crew.close()


def test_what_is_no_executor():
    with pytest.raises(ConfigError, match=r"executor is a int: pass a concurrent.futures.Executor or a distributed.Client"):
        Crew(3, None)


def test_what_cannot_travel():
    @policy
    def local(view, params):
        return None

    check_travels(None)
    check_travels("grids.py:narrow")
    with pytest.raises(ConfigError, match=r"policy local cannot be sent to another process .*'FILE.py:FUNCTION', or use threads"):
        check_travels(local)
