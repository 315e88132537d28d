"""The lane of planted faults: one unit changed somewhere, and `gr.diff` has to name the very record and field that differ first.

`python -m tests.planted 200 --seed 1` plants until 200 faults have left a trace and prints how many were named exactly, by kind and
by stage. Kinds: `state`, a field of the live state in mid-run, which the replay then goes on from; `input`, a field of the events
that kernels read after a point in mid-run; `record`, a field of a record of a saved run. What is true is found by comparing every
record of every stage in plain Python, which shares no code with the diff. Faults that change no record are counted as "no trace".
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grinder.config import Config
from grinder.data.fixture import Fixture, fixture
from grinder.data.validation import one_sided
from grinder.digest import Digest
from grinder.divergence import diff
from grinder.errors import GrinderError
from grinder.recorded import Divergence
from grinder.records import STAGES, World
from grinder.run import Run, Table, _check_world, load
from grinder.session import replay
from tests.reliability import put
from tests.smart_tapes import smart_case
from tests.tapes import case

DAYS = (
    *("range_day_l1", "trend_day_l1", "vol_shock_l1", "thin_book_l2", "impact_spike_l2", "multisymbol_topk_l1"),
    *("dydx_btcusd_1d", "binance_btcusdt_6m"),
)
SCRATCH = {"wanted", "intents"}
"""Parts of the world that every step writes anew."""
KINDS = ("state", "input", "record")
SHARES = {"state": 8, "input": 5, "record": 7}
"""Of twenty faults."""


class Fault(NamedTuple):
    """What was planted."""

    kind: str
    tape: str
    where: str


class Planted(NamedTuple):
    """A fault, the run without it and the run with it."""

    fault: Fault
    a: Run
    b: Run


# What is true, the slow way


def truth(a: Run, b: Run) -> tuple[Any, ...] | None:
    """(event, stage, place in the event, kind, field) of the first record that differs, or None; record by record."""
    mine, theirs = (
        [{name: table.records[name].tolist() for name in table.columns} for table in run.tables.values()] for run in (a, b)
    )
    found = []
    for number, (stage, x, y) in enumerate(zip(STAGES, mine, theirs, strict=True)):
        rows, others = (list(map(tuple, zip(*columns.values(), strict=True))) for columns in (x, y))
        names, i = list(x), 0
        while i < len(rows) and i < len(others) and rows[i] == others[i]:
            i += 1
        if i == len(rows) == len(others):
            continue
        event = min(one[i][0] for one in (rows, others) if i < len(one))
        here, there = ([row for row in one if row[0] == event] for one in (rows, others))
        place = next(k for k in range(max(len(here), len(there)) + 1) if here[k : k + 1] != there[k : k + 1])
        found.append((event, number, stage, place, *unlike(here[place:], there[place:], names)))
    if not found:
        return None
    event, _, stage, place, kind, field = min(found)
    return event, stage, place, kind, field


def unlike(here: list[tuple[int, ...]], there: list[tuple[int, ...]], names: list[str]) -> tuple[str, str]:
    """What two lists of records of one event, unlike from their first on, differ in: (kind, field)."""
    if not there or not here:
        return ("only_a", "") if here else ("only_b", "")
    put_before_here, put_before_there = here.count(there[0]), there.count(here[0])
    if put_before_here and not put_before_there:
        return "only_a", ""
    if put_before_there and not put_before_here:
        return "only_b", ""
    return "value", next(name for name, one, other in zip(names, here[0], there[0], strict=True) if one != other)


def told(first: Divergence | None) -> tuple[Any, ...] | None:
    """What the diff says, as `truth` does."""
    return None if first is None else (first.event, first.stage, first.record, first.kind, first.field)


# Tapes


@cache
def tape(name: str) -> tuple[Fixture, Config, Run]:
    """A day or a random tape by name, with its run."""
    if name in DAYS:
        data, config = fixture(name), Config()
    else:
        word, seed = name.split(":")
        made = {"static": case, "smart": smart_case}[word](int(seed))
        data, config = made.fixture, made.config
    return data, config, replay(data, config)


def some_tape(rng: random.Random, days: bool) -> str:
    """A day half of the time, where days are wanted; else a short random tape, of one of twenty seeds a policy."""
    if days and rng.random() < 0.5:
        return rng.choice(DAYS)
    return f"{rng.choice(('static', 'smart', 'smart'))}:{rng.randrange(20)}"


# Planting


def plant(rng: random.Random, kind: str, days: bool) -> Planted | None:
    """One fault; None where what was drawn cannot be changed by one unit, or the engine refuses to go on."""
    name = some_tape(rng, days)
    data, config, whole = tape(name)
    if kind == "record":
        return plant_record(rng, name, whole)
    stop = rng.randrange(len(data) // 8, len(data) - 1)
    if kind == "input":
        return plant_input(rng, name, data, config, whole, stop)
    return plant_state(rng, name, data, config, whole, stop)


def plant_state(rng: random.Random, name: str, data: Fixture, config: Config, whole: Run, stop: int) -> Planted | None:
    head = replay(data, config, until=stop)
    world = World(*(array.copy() for array in head.world))
    part = rng.choice([part for part in World._fields if part not in SCRATCH])
    place = some_row(rng, world, part)
    array = getattr(world, part)
    field = rng.choice(array.dtype.names) if array.dtype.names else ""
    cell = (array[field] if field else array)[place[: array.ndim]]
    by = rng.choice((-1, 1))
    (array[field] if field else array)[place[: array.ndim]] = cell + by
    fault = Fault("state", name, f"before event {stop}: {part}{list(map(int, place))}{'.' + field if field else ''} {cell} {by:+d}")
    try:
        _check_world(world, len(data.instruments), head.config)
        return Planted(fault, whole, replay(data, config, resume=dataclasses.replace(head, world=world)))
    except (GrinderError, ValueError):
        return None


def some_row(rng: random.Random, world: World, part: str) -> tuple[int, ...]:
    """A place in a part of the world, among the rows in use where a count says how many are."""
    array = getattr(world, part)
    place = [rng.randrange(size) for size in array.shape]
    counts = {"orders": "n_orders", "cycles": "n_cycles", "targets": "n_targets"}
    if part in counts:
        place[1] = rng.randrange(max(1, int(world.symbols[counts[part]][place[0]])))
    if part in ("plans", "ladder"):
        place[0] = rng.randrange(len(world.symbols))
    if part == "ladder":
        place[2] = rng.randrange(12)
    if part == "history":
        place[1] = int(world.filters["bars"][place[0]] - 1 - rng.randrange(3)) % array.shape[1]
    return tuple(place)


def plant_input(rng: random.Random, name: str, data: Fixture, config: Config, whole: Run, stop: int) -> Planted | None:
    e = data.events
    row = rng.randrange(stop, len(data))
    choices = ["bid_px", "ask_px", "bid_qty", "ask_qty", "ts", "fault"]
    choices += [word for word, rows in (("funding", e.funding["row"]), ("commands", e.commands["row"])) if (rows >= stop).any()]
    choices += ["books", "books"] if (e.book_rows >= stop).any() else []
    column, by = rng.choice(choices), rng.choice((-1, 1))
    changed = getattr(e, column).copy()
    if column in ("funding", "commands"):
        at = rng.choice(np.flatnonzero(changed["row"] >= stop).tolist())
        field = rng.choice(("rate", "mark_px") if column == "funding" else ("command",))
        changed[field][at] += by
        where = f"{column}[{at}].{field}"
    elif column == "books":
        at = rng.choice(np.flatnonzero(e.book_rows >= stop).tolist())
        spot = (at, rng.randrange(4), rng.randrange(changed.shape[2]))
        changed[spot] += by
        where = f"books{list(spot)}"
    else:
        if column == "ts" and not changed[row - 1] <= changed[row] + by <= changed[min(row + 1, len(changed) - 1)]:
            return None
        if column == "fault" and not 0 <= changed[row] + by <= 4:
            return None
        changed[row] += by
        where = f"{column}[{row}]"
    events = e._replace(**{column: changed})
    events = events._replace(one_sided=one_sided(events.bid_qty, events.ask_qty))
    try:
        head = replay(data, config, until=stop)
        found = replay(dataclasses.replace(data, events=events), config, resume=head)
    except GrinderError:
        return None
    return Planted(Fault("input", name, f"from event {stop} on: {where} {by:+d}"), whole, found)


def plant_record(rng: random.Random, name: str, whole: Run) -> Planted | None:
    """A run as saved and loaded again, with one field of one record changed and the digest made anew."""
    stage = rng.choice([stage for stage in STAGES if len(whole.tables[stage])])
    row, by = rng.randrange(len(whole.tables[stage])), rng.choice((-1, 1))
    with tempfile.TemporaryDirectory() as folder:
        saved = load(whole.save(Path(folder) / "a.grinder"))
    records = saved.tables[stage].records.copy()
    field = rng.choice(records.dtype.names)
    records[field][row] += by
    if field == "event" and (not 0 <= records["event"][row] < whole.events or (np.diff(records["event"]) < 0).any()):
        return None
    tables = {one: table.records for one, table in saved.tables.items()} | {stage: records}
    digest = Digest.of(saved.digest.config, saved.digest.input, saved.events, tables)
    changed = dataclasses.replace(saved, tables={one: Table(one, rows) for one, rows in tables.items()}, digest=digest)
    return Planted(Fault("record", name, f"{stage}[{row}].{field} {by:+d}"), whole, changed)


# The lane


class Result(NamedTuple):
    """What came of a lane."""

    exact: Counter[tuple[str, str]]
    """by kind of fault and stage"""
    wrong: list[str]
    no_trace: Counter[str]
    refused: Counter[str]


def lane(faults: int, seed: int, days: bool = True, say: Callable[[str], object] = lambda _: None) -> Result:
    """Plant until so many faults have left a trace, in turns of the kinds."""
    rng, out = random.Random(seed), Result(Counter(), [], Counter(), Counter())
    turns = [kind for kind in KINDS for _ in range(SHARES[kind])]
    rng.shuffle(turns)
    done = 0
    while done < faults:
        kind = turns[done % len(turns)]
        planted = plant(rng, kind, days)
        if planted is None:
            out.refused[kind] += 1
            continue
        true = truth(planted.a, planted.b)
        found = diff(planted.a, planted.b)
        if true is None:
            out.no_trace[kind] += 1
            if found.first is not None:
                out.wrong.append(f"{planted.fault}: there is no trace, the diff says {found.first}")
            continue
        done += 1
        if told(found.first) == true:
            out.exact[kind, true[1]] += 1
        else:
            out.wrong.append(f"{planted.fault}: true is {true}, the diff says {told(found.first)}")
        say(f"{done}/{faults} {planted.fault.kind} {planted.fault.tape} {planted.fault.where} -> {true}")
    return out


def table(out: Result) -> str:
    """Stages by kinds: faults named exactly."""
    lines = [f"{'stage':<10}" + "".join(f"{kind:>8}" for kind in KINDS) + f"{'all':>8}"]
    for stage in STAGES:
        counts = [out.exact[kind, stage] for kind in KINDS]
        lines.append(f"{stage:<10}" + "".join(f"{count:>8}" for count in (*counts, sum(counts))))
    totals = [sum(count for (kind, _), count in out.exact.items() if kind == one) for one in KINDS]
    lines.append(f"{'exact':<10}" + "".join(f"{count:>8}" for count in (*totals, sum(totals))))
    for name, counted in (("no trace", out.no_trace), ("refused", out.refused)):
        lines.append(f"{name:<10}" + "".join(f"{counted[kind]:>8}" for kind in KINDS) + f"{counted.total():>8}")
    return "\n".join([*lines, f"{sum(totals)} of {sum(totals) + len(out.wrong)} named exactly"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="a line a fault")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/RELIABILITY.md")
    args = parser.parse_args()
    begin = time.monotonic()
    out = lane(args.faults, args.seed, say=print if args.verbose else lambda _: None)
    head = f"seed {args.seed}, {args.faults:,} faults, {(time.monotonic() - begin) / 60:.1f} minutes"
    print(head, table(out), sep="\n")
    if args.write:
        put("planted", f"{head}:\n\n```text\n{table(out)}\n```")
    for line in out.wrong:
        print(line)
    return 1 if out.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
