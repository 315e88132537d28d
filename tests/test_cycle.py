"""Take-profit prices, held levels and the ladder's view of its slots (SPEC 8, ADR-0002)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.cycle import FAULT_TOO_MANY_CYCLES, FAULT_TOO_MANY_ONCE, entries_fit, open_cycle, take_profit_price
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.engine import initial_world
from grinder.records import SYMBOL, Adds, PlanKind, SlotState
from grinder.session import replay

FREE, PENDING, LOCKED, FILLED = (int(state) for state in SlotState)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(1, 2**35), st.integers(0, 10**8))
def test_take_profit_price(entry, tp_step):
    exact = Fraction(entry * (10**8 + tp_step), 10**8)
    assert take_profit_price(1, entry, tp_step) == max(entry + 1, math.ceil(exact))
    exact = Fraction(entry * (10**8 - tp_step), 10**8)
    assert take_profit_price(-1, entry, tp_step) == max(1, min(entry - 1, math.floor(exact)))


def tape(mids, step_ms=1000):
    """One symbol whose mid walks through `mids` (ticks)."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    ones = [1] * len(mids)
    ts = [1_700_000_000_000_000_000 + i * step_ms * 1_000_000 for i in range(len(mids))]
    return Fixture.from_arrays([instrument], quotes={"ts": ts, "bid_px": mids, "bid_qty": ones, "ask_px": mids, "ask_qty": ones})


def states(run, side):
    table = run.slots().records
    return [(int(row["index"]), int(row["state"])) for row in table if row["side"] == side]


CONFIG = Config(step="1%", levels=2, quantity="1", min_edge=0, maker_fee=0)


def test_slots_through_a_cycle():
    """Buys at 9900 and 9801: sent, resting, filled, farther level added, cycle completed, level back."""
    path = [10_000, 10_000, 9_900, 9_901, 9_999, 9_999, 9_999]
    fixture = tape(path)
    seen = [states(replay(fixture, CONFIG, until=k), 1) for k in range(1, len(path) + 1)]
    assert seen[0] == [(1, PENDING), (2, PENDING)]
    assert seen[1] == [(1, LOCKED), (2, LOCKED)]
    assert seen[2] == [(1, FILLED), (2, LOCKED), (3, PENDING)]
    assert seen[3] == [(1, FILLED), (2, LOCKED), (3, LOCKED)]
    # The take-profit of 9900 is 9999: the level comes back and the third is cancelled, at the next event it is gone.
    assert seen[4] == [(1, PENDING), (2, LOCKED), (3, PENDING)]
    assert seen[5] == [(1, LOCKED), (2, LOCKED)]
    assert seen[6] == seen[5]


def test_slots_keep_the_other_side():
    run = replay(tape([10_000, 10_000, 10_100, 10_100]), CONFIG)
    assert states(run, -1) == [(1, FILLED), (2, LOCKED), (3, LOCKED)]
    assert states(run, 1) == [(1, LOCKED), (2, LOCKED)]


def test_completed_cycle_in_the_table():
    run = replay(tape([10_000, 10_000, 9_900, 9_901, 9_999, 9_999]), CONFIG)
    (cycle,) = run.cycles.records
    tick_value = run.instruments[0].tick_value
    assert (cycle["side"], cycle["entry_price"], cycle["exit_price"], cycle["qty"]) == (1, 9_900, 9_999, 100)
    assert cycle["gross"] == 99 * 100 * tick_value
    assert cycle["net"] == cycle["gross"]


def filled_world(side, **symbol):
    """A world whose plan, of a grid, has ONCE on the side of the fill, with fields of its symbol as given; and the fill's cycle."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    params, rows = Config(quantity="1").params([instrument], [(1, 10_000)])
    world = initial_world(params, rows, 1_700_000_000_000_000_000)
    plan = world.plans[0]
    plan["kind"], plan["tp_step"] = PlanKind.GRID, 10**6
    plan["adds_down"], plan["adds_up"] = (Adds.ONCE, Adds.FULL) if side > 0 else (Adds.FULL, Adds.ONCE)
    for name, value in symbol.items():
        world.symbols[0][name] = value
    return world, open_cycle(world, 0, side, 5_000, 7, 3)


@pytest.mark.parametrize("side", [1, -1])
def test_an_entry_opens_a_cycle_and_is_remembered_under_once(side):
    world, cycle = filled_world(side)
    symbol = world.symbols[0]
    assert (cycle, symbol["n_cycles"], world.run[0]["next_cycle"], world.run[0]["fault"]) == (0, 1, 1, 0)
    names = ("id", "side", "px", "qty", "left", "tp_step", "gain", "tp_px")
    assert [world.cycles[0, 0][name] for name in names] == [0, side, 5_000, 7, 7, 10**6, -3, 5_050 if side > 0 else 4_950]
    assert (symbol["once_down"], symbol["once_up"]) == ((1, 0) if side > 0 else (0, 1))
    assert world.once[0, 0 if side > 0 else 1, 0]["px"] == 5_000


@pytest.mark.parametrize("side", [1, -1])
def test_no_room_for_a_cycle_is_a_fault_and_writes_nothing(side):
    room = filled_world(side)[0].cycles.shape[1]
    world, cycle = filled_world(side, n_cycles=room - 1)
    assert (cycle, world.symbols[0]["n_cycles"], world.run[0]["fault"]) == (0, room, 0)
    world, cycle = filled_world(side, n_cycles=room)
    assert (cycle, world.symbols[0]["n_cycles"], world.run[0]["fault"]) == (-1, room, FAULT_TOO_MANY_CYCLES)
    assert (world.run[0]["next_cycle"], world.cycles["px"].any()) == (0, False)


@pytest.mark.parametrize("side", [1, -1])
def test_no_room_for_what_was_entered_under_once_is_a_fault(side):
    name = "once_down" if side > 0 else "once_up"
    room = filled_world(side)[0].once.shape[2]
    world, _ = filled_world(side, **{name: room - 1})
    assert (world.symbols[0][name], world.run[0]["fault"]) == (room, 0)
    world, _ = filled_world(side, **{name: room})
    assert (world.symbols[0][name], world.run[0]["fault"]) == (room, FAULT_TOO_MANY_ONCE)
    assert not world.once["px"].any()


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("loss", [0, 1])
def test_entries_fit_up_to_the_budget(side, loss):
    """Each side by itself: what is left is the budget less the drawdown, less what is held loses at `p_stress`."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    _, rows = Config(quantity="1", maker_fee=0).params([instrument], [(1, 10_000)])
    symbol, value = np.zeros(1, SYMBOL)[0], instrument.tick_value
    symbol["mid2"], symbol["position"], symbol["drawdown"] = 10_000, 3 * side, 11
    symbol["entries_stress_down"], symbol["entries_stress_up"] = 4_900, 5_100
    symbol["budget"] = 11 + 3 * 100 * value + 5 * 60 * value - loss
    assert entries_fit(symbol, rows[0]), "nothing is open"
    symbol["entries_loss_down" if side > 0 else "entries_loss_up"] = 5 * 60 * value
    assert bool(entries_fit(symbol, rows[0])) is (loss == 0)
    symbol["position"] = -3 * side
    assert entries_fit(symbol, rows[0]), "what is held gains there"
    symbol["budget"], symbol["entries_loss_down"], symbol["entries_loss_up"] = 0, 0, 0
    assert entries_fit(symbol, rows[0]), "entries that lose nothing fit where nothing is left"
