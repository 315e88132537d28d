"""`sweep`: many settings replayed on one copy of the data, and the table of what each came to.

The table is a function of what was asked: it is the same for any number of workers, on threads, processes or a cluster, and whether
its cells were computed now or were kept from before. What differs (cells computed, cells found, time) stands beside it.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from grinder import _jit, errors
from grinder.cells import COLUMNS, Cell, Result, Store, key_of
from grinder.config import Config, checked
from grinder.data.fixture import Fixture, fixture as named_fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, DataError, GrinderError, WorkerError, cause
from grinder.identity import files_of, identity_of
from grinder.metrics import MONEY
from grinder.outfile import write_whole
from grinder.policies.own import Policy, policy as as_policy
from grinder.reruns import Source
from grinder.space import Axis, Point, axes_of, grid_points, random_points, settings_at, shown_value
from grinder.workers import TRIES, Crew, Task, check_travels

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

    from grinder.cards.sweep import SweepCard
    from grinder.cautions import Caution
    from grinder.landscape import Landscape
    from grinder.plots.sweep import SweepPlots

__all__ = ["Progress", "Row", "Sweep", "check_table_name", "sweep"]

Fixtures = Fixture | str | os.PathLike[str] | Sequence[Fixture | str | os.PathLike[str]]


class Progress(NamedTuple):
    """How far a sweep is."""

    done: int
    """cells with a result, found ones among them"""
    total: int
    hits: int
    """cells found in the store"""
    failed: int
    seconds_left: float | None
    """None until a cell was computed"""


def sweep(
    fixture: Fixtures,
    grid: Mapping[str, Sequence[Any]] | None = None,
    policy: Policy | Callable[..., Any] | str | None = None,
    *,
    config: Config | None = None,
    ranges: Mapping[str, Any] | None = None,
    random: int = 0,
    trials: int = 0,
    objective: str = "total_return",
    minimise: bool = False,
    sampler: Any = None,
    batch: int = 8,
    seed: int = 0,
    workers: int | None = None,
    executor: Any = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[Progress], None] | None = None,
    strict: bool = False,
) -> Sweep:
    """Replay a fixture, or several, with many settings, and return a table of digests and metrics.

    Cells are the product of `grid`, then `random` draws of `ranges`, then `trials` that Optuna asks for in `ranges`. Two that are
    the same settings of the same data are one cell. One that fails has its error in the table, and the others go on.

    Args:
        fixture: a `Fixture`, name or folder, or a list of them, each replayed with every setting.
        grid: lists of values by setting, as `Config` takes them: `{"step": ["8bp", "10bp"], "levels": [3, 5]}`. A part of a
            setting has a dot: `{"k_tail.range": ["1.5", 2]}`.
        policy: as in `replay`, or "FILE.py:FUNCTION", which other processes can be told of.

    Other Args:
        config: settings that all cells have, on top of the fixture's.
        ranges: what draws and trials choose from, by setting: "LOW:HIGH" or "LOW:HIGH:STEP", both ends included, or a list.
            STEP is 1 of whole numbers, 1e-8 of ratios, else the finest decimal place that LOW or HIGH is written with.
        random: number of draws. Draw k depends on `seed`, k and the names in `ranges` alone, on every machine.
        trials: settings that Optuna asks for (the extra `optuna`), in batches of `batch`, told in order: the number of workers
            changes nothing. Its samplers compute with floats of their own.
        objective: the figure that trials are told, a column of the table; of several fixtures the mean.
        minimise: less of it is better.
        sampler: of Optuna, with a seed of its own; default: `TPESampler(seed=seed)`.
        workers: threads; default: one a processor. They hold no lock of Python while kernels run.
        executor: any `concurrent.futures.Executor` instead of threads, or a `distributed.Client` (the extra `distributed`).
        store: a folder that keeps finished cells: a sweep that was interrupted goes on where it was, and the same cell is not
            computed again by any sweep. Default: nothing is kept.
        progress: True for a bar on stderr, or a function called with a `Progress`; default: a bar where stderr is a terminal.
        strict: raise the first cell's error instead of going on.

    Raises:
        ConfigError: a setting that does not exist or a value that it does not take, before anything runs.
        DataError: a fixture cannot be read.
        WorkerError: an executor lost its workers; what was finished is in the store.

    >>> import grinder as gr
    >>> found = gr.sweep(gr.fixture("range_day_l1").head(20_000), {"step": ["5bp", "10bp"], "policy": ["static"]})
    >>> found.table["step", "fills"].rows()
    [('0.0005', 234), ('0.001', 96)]
    >>> found.best("pnl.total").settings["step"]
    '0.0005'
    """
    _check_types(config, random, trials, batch, seed, workers, objective)
    plan = _Plan(_listed(fixture), config, policy, store is not None)
    axes = axes_of(grid or {}, ranges=False)
    drawn = axes_of(ranges or {}, ranges=True)
    if bool(drawn) != bool(random or trials):
        cure = "say how many: random=100 or trials=100" if drawn else "ranges={'step': '5bp:50bp'} says what is drawn from"
        raise ConfigError(f"{'ranges are given' if drawn else 'random or trials is given'}, and nothing else of them: {cure}")
    points = list(grid_points(axes)) if axes or not drawn else []
    points += random_points(drawn, random, seed)
    kept = Store(store) if store is not None else None
    with _crew(executor, workers, policy) as crew, _bar(progress) as bar:
        work = _Work(plan, crew, kept, bar, strict)
        bar.total = len(plan.fixtures) * (len(points) + trials)
        work.run(points)
        if trials:
            _Trials(work, drawn, trials, batch, objective, minimise, sampler, seed).run()
    names = list(dict.fromkeys(axis.name for axis in (*axes, *drawn)))
    return Sweep(
        cells=tuple(work.cells),
        results=tuple(work.results[number] for number in range(len(work.cells))),
        varied=tuple(names),
        accounts=tuple(data.instruments[0] for data in plan.fixtures),
        computed=work.computed,
        hits=work.hits,
        damaged=kept.damaged if kept else 0,
        symbols=tuple(tuple(one.symbol for one in data.instruments) for data in plan.fixtures),
        objective=objective,
        least=minimise,
    )


def _check_types(config: Any, random: Any, trials: Any, batch: Any, seed: Any, workers: Any, objective: Any) -> None:
    checked(config, Config())  # once; what goes not with a fixture's own is a fault of its cells
    for name, number, least in (("random", random, 0), ("trials", trials, 0), ("batch", batch, 1), ("workers", workers, 1)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < least):
            raise ConfigError(f"{name} is {number!r}: a whole number of at least {least} is needed")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed is {seed!r}: a whole number is needed")
    if objective not in COLUMNS:
        raise ConfigError(f"objective {objective!r}: there is no such figure; there are {', '.join(COLUMNS)}")


def _listed(fixture: Fixtures) -> list[Fixture | str | os.PathLike[str]]:
    several = isinstance(fixture, Sequence) and not isinstance(fixture, str | Fixture)
    out: list[Any] = list(fixture) if several else [fixture]  # type: ignore[arg-type]
    if not out:
        raise ConfigError("fixture is an empty list: name at least one")
    return out


# What is to be replayed


class _Plan:
    """Fixtures, settings and policy, and the cells that points make of them."""

    def __init__(self, given: list[Any], config: Config | None, policy: Any, kept: bool) -> None:
        self.fixtures = [one if isinstance(one, Fixture) else named_fixture(one, config) for one in given]
        self.config = config
        self.policy = policy
        loaded = Source(policy).load() if isinstance(policy, str) else policy
        if loaded is not None and not callable(loaded):
            raise ConfigError(f"policy is a {type(policy).__name__}: pass a function (view, params) or 'FILE.py:FUNCTION'")
        self.loaded = loaded if loaded is None or isinstance(loaded, Policy) else as_policy(loaded)
        self.code = _jit.source_hash()
        self.identity = identity_of(self.loaded) if kept else ""
        self.files = files_of(Path(policy.rpartition(":")[0])) if isinstance(policy, str) else ()
        self._variants: dict[tuple[int, Any], Fixture | GrinderError] = {}

    def cells(self, point: Point) -> list[Cell]:
        """A cell of every fixture."""
        return [self._cell(number, point) for number in range(len(self.fixtures))]

    def _cell(self, number: int, point: Point) -> Cell:
        data = self.fixtures[number]
        try:
            base = checked(self.config, data.config)
            settings = settings_at(base, point)
        except ConfigError as error:
            return Cell(number, data.name, point, None, "", cause(error, 2000))
        return Cell(number, data.name, point, settings, key_of(self.code, data.content, settings.hash(), self.identity))

    def fixture(self, cell: Cell) -> tuple[int, Fixture]:
        """The data of a cell, and a number for them: `max_jump` decides which rows are quarantined, so each has data of its own."""
        data = self.fixtures[cell.fixture]
        assert cell.config is not None
        if cell.config.max_jump == data.config.max_jump or data.path is None:
            return cell.fixture, data
        variant = (cell.fixture, cell.config.max_jump)
        if variant not in self._variants:
            try:
                self._variants[variant] = _opened_as(data, cell.config)
            except GrinderError as error:
                self._variants[variant] = error
        found = self._variants[variant]
        if isinstance(found, GrinderError):
            raise found
        return len(self.fixtures) + list(self._variants).index(variant), found


def _opened_as(data: Fixture, config: Config) -> Fixture:
    """The same data loaded with another `max_jump`."""
    assert data.path is not None
    whole = Fixture.open(data.path, Config(max_jump=config.max_jump))
    found = whole if len(whole) == len(data) else whole.head(len(data))
    if found.content != data.content:
        raise DataError(
            f"{data.path} is not what {data.name} was made of, so that it cannot be loaded with max_jump {config.max_jump:f}: "
            "load it so yourself, and sweep each"
        )
    return found


# The work


@dataclass
class _Bar:
    """Progress as it is told."""

    tell: Callable[[Progress], None] | None
    bar: Any
    total: int = 0
    told: tuple[int, int, int, int] | None = None

    def show(self, done: int, hits: int, failed: int) -> None:
        """Say how far the sweep is."""
        if self.bar is None or self.told == (done, self.total, hits, failed):
            return
        self.told = (done, self.total, hits, failed)
        self.bar.total = max(self.total, done)
        self.bar.initial = hits
        self.bar.set_postfix_str(f"{hits} found, {failed} failed", refresh=False)
        self.bar.update(done - self.bar.n)
        if self.tell is not None:
            computed = done - hits
            left = self.bar.format_dict["elapsed"] / computed * (self.bar.total - done) if computed else None
            self.tell(Progress(done, self.bar.total, hits, failed, left))


@contextmanager
def _bar(progress: bool | Callable[[Progress], None] | None) -> Iterator[_Bar]:
    tell = progress if callable(progress) else None
    if not (tell or (sys.stderr.isatty() if progress is None else progress)):
        yield _Bar(None, None)
        return
    from tqdm import tqdm

    with tqdm(desc="sweep", unit="cells", leave=False, file=io.StringIO() if tell else sys.stderr) as bar:
        yield _Bar(tell, bar)


@contextmanager
def _crew(executor: Any, workers: int | None, policy: Any) -> Iterator[Crew]:
    crew = Crew(executor, workers)
    try:
        if not crew.shares:
            check_travels(policy)
        yield crew
    finally:
        crew.close()


@dataclass
class _Work:
    """Cells as they are handed out, and what came back."""

    plan: _Plan
    crew: Crew
    store: Store | None
    bar: _Bar
    strict: bool
    cells: list[Cell] = field(default_factory=list)
    results: dict[int, Result] = field(default_factory=dict)
    known: dict[object, int] = field(default_factory=dict)
    """Number of the cell of each key."""
    computed: int = 0
    hits: int = 0

    def run(self, points: Sequence[Point]) -> list[list[int]]:
        """Results for all points. Returns the numbers of each point's cells."""
        numbers: list[list[int]] = []
        waiting = self._waiting(points, numbers)
        if self.store is not None or self.strict:  # what it has is told, and what goes not together, before anything is computed
            waiting = iter(list(waiting))
        self._show()
        try:
            self._hand_out(waiting)
        except (KeyboardInterrupt, GrinderError) as error:
            if self.store is not None:
                error.add_note(f"{len(self.results)} of {len(self.cells)} cells are finished and kept in {self.store.folder}")
            raise
        return numbers

    def _waiting(self, points: Sequence[Point], numbers: list[list[int]]) -> Iterator[int]:
        """Number the cells of all points into `numbers`, and name those that are to be computed."""
        for point in points:
            numbers.append([])
            for cell in self.plan.cells(point):
                same: object = cell.key or (cell.fixture, cell.point)
                number = self.known.setdefault(same, len(self.cells))
                numbers[-1].append(number)
                if number < len(self.cells):
                    self.bar.total -= 1  # a repeated one
                    continue
                self.cells.append(cell)
                if not self._is_known(number):
                    yield number

    def _is_known(self, number: int) -> bool:
        """Whether a cell has a result without being computed."""
        cell = self.cells[number]
        found = Result(error=cell.refused) if cell.config is None else self.store.get(cell.key) if self.store else None
        if found is None:
            try:
                self.plan.fixture(cell)
                return False
            except GrinderError as error:  # data that these settings refuse
                found = Result(error=cause(error, 2000))
        self.hits += not found.error
        self._take(number, found)
        return True

    def _hand_out(self, waiting: Iterator[int]) -> None:
        """One cell at a time to whoever is free, with a few in hand so that nobody waits; the first begin before all are named."""
        done: SimpleQueue[tuple[int, Future[Result]]] = SimpleQueue()
        under_way: dict[int, Future[Result]] = {}
        tries: dict[int, int] = {}
        given: dict[int, int] = {}
        rest: deque[int] = deque()
        more = True
        try:
            while more or rest or under_way:
                if more:
                    named = next(waiting, None)
                    more = named is not None
                    if named is not None:
                        rest.append(named)
                    else:
                        self._show()  # repeated and refused ones behind the last that is computed
                while rest and len(under_way) < 2 * self.crew.slots:
                    number = rest.popleft()
                    future = under_way[number] = self._submit(number)
                    given[number] = self.crew.generation
                    future.add_done_callback(lambda future, number=number: done.put((number, future)))  # type: ignore[misc]
                if not under_way or (more and done.empty()):
                    continue  # to name the next one, instead of waiting
                number, future = done.get()
                del under_way[number]
                tries[number] = tries.get(number, 0) + 1
                result = self._outcome(number, future, tries[number], given[number])
                if result is None:
                    rest.appendleft(number)
                else:
                    self._finish(number, result)
        finally:
            for future in under_way.values():
                future.cancel()

    def _submit(self, number: int) -> Future[Result]:
        cell = self.cells[number]
        place, data = self.plan.fixture(cell)
        assert cell.config is not None
        policy = self.plan.loaded if self.crew.shares else self.plan.policy
        try:
            return self.crew.submit(place, data, Task(cell.config, policy, self.plan.code, self.plan.files))
        except (GrinderError, OSError):
            raise
        except Exception as error:
            raise self._lost(cell, error) from error

    def _outcome(self, number: int, future: Future[Result], tries: int, given: int) -> Result | None:
        """What came of a cell; None where a cluster lost it, and workers that are left may try again."""
        try:
            return future.result()
        except (GrinderError, MemoryError):
            raise
        except (Exception, CancelledError) as error:
            if tries < TRIES and self.crew.recovers(given):
                return None
            raise self._lost(self.cells[number], error) from error

    def _lost(self, cell: Cell, error: BaseException) -> WorkerError:
        cure = "run the sweep again, and it goes on" if self.store else "give the sweep a store, and it can go on"
        return WorkerError(f"{cell}: its worker was lost ({cause(error)}); {cure}")

    def _finish(self, number: int, result: Result) -> None:
        self.computed += 1
        if self.store is not None:
            self.store.put(self.cells[number].key, result)
        self._take(number, result)
        self._show()

    def _take(self, number: int, result: Result) -> None:
        if self.strict and result.error:
            name, _, said = result.error.partition(": ")
            known = {kind: getattr(errors, kind) for kind in errors.__all__ if kind != "InputFault"}
            raise known.get(name, GrinderError)(f"{self.cells[number]}: {said if name in known else result.error}")
        self.results[number] = result

    def _show(self) -> None:
        failed = sum(1 for result in self.results.values() if result.error) if self.bar.bar is not None else 0
        self.bar.show(len(self.results), self.hits, failed)


class _Trials:
    """Points that Optuna asks for: batches of one size, asked and told in order, so that workers change nothing."""

    def __init__(
        self, work: _Work, axes: list[Axis], trials: int, batch: int, objective: str, minimise: bool, sampler: Any, seed: int
    ) -> None:
        try:
            import optuna
        except ImportError:
            raise ConfigError("trials needs Optuna, the extra `optuna`: pip install optuna") from None
        if any(axis.count > 2**53 for axis in axes):
            raise ConfigError("a range of trials has over 2**53 values: give it a STEP")
        self.work, self.axes, self.trials, self.batch, self.objective = work, axes, trials, batch, objective
        self.failed = optuna.trial.TrialState.FAIL
        self.distributions: dict[str, Any] = {
            axis.name: optuna.distributions.CategoricalDistribution(range(axis.count))
            if axis.values
            else optuna.distributions.IntDistribution(0, axis.count - 1)
            for axis in axes
        }
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.study = optuna.create_study(
                sampler=sampler or optuna.samplers.TPESampler(seed=seed % 2**32), direction="minimize" if minimise else "maximize"
            )
        finally:
            optuna.logging.set_verbosity(before)

    def run(self) -> None:
        """Ask, replay, tell."""
        for first in range(0, self.trials, self.batch):
            asked = [self.study.ask(self.distributions) for _ in range(min(self.batch, self.trials - first))]
            numbers = self.work.run([self._point(trial.params) for trial in asked])
            for trial, cells in zip(asked, numbers, strict=True):
                value = self._value([self.work.results[number] for number in cells])
                self.study.tell(trial, value, state=self.failed if value is None else None)

    def _point(self, numbers: Mapping[str, int]) -> Point:
        return tuple((axis.name, axis.value(numbers[axis.name])) for axis in self.axes)

    def _value(self, results: Sequence[Result]) -> float | None:
        values = [result.figures.get(self.objective) for result in results]
        known = [float(value) for value in values if value is not None]
        return math.fsum(known) / len(known) if len(known) == len(values) else None


# The result


class Row(NamedTuple):
    """One cell of a finished sweep."""

    fixture: str
    settings: dict[str, Any]
    """what varied, in the config's own spelling"""
    config: Config | None
    """all settings; None where they do not go together. `gr.replay(data, row.config, policy)` is this cell again, with the policy
    and the data that the sweep was given: as a `Fixture`, since the name finds neither a head of one nor what was made in memory,
    and loaded with this `max_jump`."""
    digest: str
    figures: Mapping[str, Any]
    """by the names of the table"""
    error: str


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """What a sweep found: a row a cell, in the order of the grid, then of the draws, then of the trials.

    Args:
        cells, results: what was replayed and what came of it, in the table's order.
        varied: names of the settings that vary.
        accounts: of each fixture an instrument in whose quote currency its account is kept.
        computed, hits, damaged: cells computed now, cells found in the store, files of it that were not believed; of this call, and
            not part of the table.
        symbols: of each fixture. objective, least: the figure that cards and pictures look at, and whether less is better.
    """

    cells: tuple[Cell, ...]
    results: tuple[Result, ...]
    varied: tuple[str, ...]
    accounts: tuple[Instrument, ...]
    computed: int = 0
    hits: int = 0
    damaged: int = 0
    symbols: tuple[tuple[str, ...], ...] = ()
    objective: str = "total_return"
    least: bool = False

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, i: int) -> Row:
        """One cell, by its place in the table."""
        cell, result = self.cells[i], self.results[i]
        return Row(cell.name, self._settings(cell), cell.config, result.digest, result.figures, result.error)

    def _settings(self, cell: Cell) -> dict[str, Any]:
        """Of a cell that does not vary a setting that others do, what it has."""
        given = dict(cell.point)
        if cell.config is None:
            return {name: given.get(name) for name in self.varied}
        return {name: shown_value(cell.config, name, given.get(name)) for name in self.varied}

    @property
    def table(self) -> pl.DataFrame:
        """The table: fixture, what varied, digest, error, the figures of `grinder.cells.COLUMNS`, hash of the config.

        Money is in atoms, as metrics are (SPEC 13). A setting of whole numbers is a column of integers, others are text as the
        config spells it, parts as JSON.
        """
        import polars as pl

        settings = [self._settings(cell) for cell in self.cells]
        columns = {"fixture": pl.Series("fixture", [cell.name for cell in self.cells], pl.String)}
        for name in self.varied:
            columns[name] = _column_of(pl, name, [row[name] for row in settings])
        columns["digest"] = pl.Series("digest", [result.digest or None for result in self.results], pl.String)
        columns["error"] = pl.Series("error", [result.error or None for result in self.results], pl.String)
        kinds: dict[type, Any] = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
        for name, kind in COLUMNS.items():
            columns[name] = pl.Series(name, [result.figures.get(name) for result in self.results], kinds[kind])
        hashes = [cell.config.hash() if cell.config is not None else None for cell in self.cells]
        columns["config_hash"] = pl.Series("config_hash", hashes, pl.String)
        return pl.DataFrame(list(columns.values()))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule protocol: `polars.DataFrame(found)`, `pyarrow.table(found)`."""
        return self.table.__arrow_c_stream__(requested_schema)

    def best(self, figure: str = "total_return", *, least: bool = False) -> Row:
        """The cell with the largest (or least) value of a figure; the first of equal ones.

        Raises:
            ConfigError: there is no such figure, or no cell has it.
        """
        if figure not in COLUMNS:
            raise ConfigError(f"best of {figure!r}: there is no such figure; there are {', '.join(COLUMNS)}")
        found = [(result.figures.get(figure), i) for i, result in enumerate(self.results)]
        known = [(value, i) for value, i in found if value is not None]
        if not known:
            raise ConfigError(f"best of {figure}: none of {len(self)} cells has it: ratios need some days, failed cells have none")
        extreme = (min if least else max)(value for value, _ in known)
        return self[next(i for value, i in known if value == extreme)]

    def landscape(self, metric: str | None = None, *, least: bool | None = None) -> Landscape:
        """A figure over the settings: what cards and pictures are made of; see `grinder.landscape`.

        Args:
            metric: a figure of the table; default: the objective. least: less is better; default: as the sweep was told of its
                objective, else no.

        Raises:
            ConfigError: there is no such figure, or it is money in several currencies.
        """
        from grinder.landscape import Landscape

        name = self.objective if metric is None else metric
        return Landscape(self, name, least=(self.least and name == self.objective) if least is None else least)

    def doubts(self, metric: str | None = None, *, least: bool | None = None) -> tuple[Caution, ...]:
        """What a careful colleague would say before the best cell is believed: a lone peak, the border of the grid, luck among many
        tries, and so on; arguments as of `landscape`.
        """
        from grinder.doubts import doubts

        return doubts(self.landscape(metric, least=least))

    def card(self, metric: str | None = None, *, least: bool | None = None) -> SweepCard:
        """What the sweep found in a figure, as text, in a notebook, or by `to_html` as a page; arguments as of `landscape`."""
        from grinder.cards.sweep import SweepCard

        return SweepCard(self.landscape(metric, least=least))

    def _repr_html_(self) -> str:
        mixed = self.objective in MONEY and len({one.quote for one in self.accounts}) > 1
        return self.card("total_return" if mixed else None)._repr_html_()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the card as a page that needs nothing else, whole or not at all."""
        return self.card().to_html(path)

    @property
    def plot(self) -> SweepPlots:
        """Pictures: `found.plot()` is the heat map of the two settings that matter most, or of one setting its profile;
        `found.plot.heatmap("step", "levels")` and `found.plot.profile("step")` are told which. Each takes `ax=`.
        """
        from grinder.plots.sweep import SweepPlots

        return SweepPlots(self)

    def heatmap(self, x: str, y: str, metric: str | None = None, **options: Any) -> Axes:
        """A figure over two settings; the same as `found.plot.heatmap`."""
        return self.plot.heatmap(x, y, metric, **options)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as an Arrow IPC file, by its ending also `.parquet` or `.csv`; whole or not at all."""
        target = check_table_name(path)
        body = io.BytesIO()
        getattr(self.table, _WRITERS[target.suffix])(body)
        return write_whole(target, body.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the rows; all but `cells` is of this call."""
        rows = []
        for i in range(len(self)):
            row = self[i]
            rows.append({"fixture": row.fixture, "settings": row.settings, "digest": row.digest or None, "error": row.error or None,
                         "figures": dict(row.figures)})  # fmt: skip
        return {"cells": rows, "varied": list(self.varied), "computed": self.computed, "found": self.hits, "damaged": self.damaged}

    def best_line(self, figure: str, *, least: bool = False) -> str:
        """The best cell in a line, for reading; empty where no cell has the figure."""
        if all(result.figures.get(figure) is None for result in self.results):
            return f"  no cell has {figure}"
        row = self.best(figure, least=least)
        settings = ", ".join(f"{name}={_cell_text(value)}" for name, value in row.settings.items())
        value, account = row.figures[figure], self.accounts[0]
        shown = f"{account.money(value, 4)} {account.quote}" if figure in MONEY else str(value)
        return f"  {'least' if least else 'most'} {figure}: {shown} with {settings or 'the settings given'}"

    def __repr__(self) -> str:
        failed = sum(1 for result in self.results if result.error)
        head = f"Sweep of {len(self)} cell{'' if len(self) == 1 else 's'}: {self.computed} computed, {self.hits} found in the store"
        head += f", {failed} failed" if failed else ""
        head += f"; {self.damaged} damaged files of the store were not believed" if self.damaged else ""
        rest = [f"  and {len(self) - SHOWN} more: .table has all"] if len(self) > SHOWN else []
        return "\n".join([head, *self._lines(), *rest])

    def _lines(self) -> Iterator[str]:
        """Rows for reading, under their heads."""
        several = len({cell.name for cell in self.cells}) > 1
        heads = [*(["fixture"] if several else []), *self.varied, "digest", *_TEXT.values()]
        lines, left = [heads], len(heads) - len(_TEXT)
        for i in range(min(len(self), SHOWN)):
            row, account = self[i], self.accounts[self.cells[i].fixture]
            words = [*([row.fixture] if several else []), *(_cell_text(row.settings[name]) for name in self.varied)]
            shown = [_figure_text(name, row.figures[name], account) for name in _TEXT] if row.digest else []
            lines.append([*words, row.digest[:12] or row.error, *shown])
        widths = [max(len(line[k]) for line in lines if len(line) == len(heads) or k < left - 1) for k in range(len(heads))]
        for line in lines:
            words = [text.ljust(w) if k < left else text.rjust(w) for k, (text, w) in enumerate(zip(line, widths, strict=False))]
            yield ("  " + "  ".join(words)).rstrip()


_WRITERS: Final = {".arrow": "write_ipc", ".feather": "write_ipc", ".parquet": "write_parquet", ".csv": "write_csv"}


def check_table_name(path: str | os.PathLike[str]) -> Path:
    """Whether a table can be written there, to be known before hours of work. Raises ConfigError."""
    target = Path(path)
    if target.suffix not in _WRITERS:
        raise ConfigError(f"{target}: a table is written to a file that ends with {', '.join(_WRITERS)}")
    if not target.parent.is_dir():
        raise ConfigError(f"{target} cannot be written: there is no folder {target.parent}")
    return target


SHOWN: Final = 20
"""Rows of the text of a sweep."""
_TEXT: Final = {
    "fills": "fills",
    "cycles_completed_total": "cycles",
    "pnl.total": "PnL",
    "total_return": "return",
    "dd_max": "max drawdown",
}
"""Figures of the text, and their heads."""


def _cell_text(value: Any) -> str:
    if value is None:
        return "-"
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else str(value)


def _figure_text(name: str, value: Any, account: Instrument) -> str:
    if value is None:
        return "-"
    if name in ("pnl.total", "dd_max"):
        return f"{account.money(value, 4)} {account.quote}"
    return f"{value:.4%}" if name == "total_return" else str(value)


def _column_of(pl: Any, name: str, values: Sequence[Any]) -> Any:
    """A column of a setting: integers, booleans, or text."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool) for value in known):
        return pl.Series(name, values, pl.Boolean)
    if known and all(isinstance(value, int) and not isinstance(value, bool) for value in known):
        return pl.Series(name, values, pl.Int64)
    return pl.Series(name, [None if value is None else _cell_text(value) for value in values], pl.String)
