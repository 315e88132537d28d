"""Take-profit prices, held levels and the ladder's view of its slots (SPEC 8, ADR-0002)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.cycle import (
    FAULT_TOO_MANY_CYCLES,
    end_cycles,
    entries_fit,
    list_wanted,
    open_cycle,
    take_profit_price,
)
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.engine import initial_world
from grinder.plan import lay_levels
from grinder.policies.own import GridPlan, TargetState, WantedOrder, policy
from grinder.records import MAX_LEVELS, SYMBOL, Adds, PlanKind, Reason, Role, SlotState, Trend
from grinder.session import replay

START = 1_700_000_000_000_000_000
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
    ts = [START + i * step_ms * 1_000_000 for i in range(len(mids))]
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


def test_slots_tell_their_prices():
    """100 less 1 % twice is 98.01, a tick is 0.1 (SPEC 7.5): buys are floored, sells ceiled."""
    table = replay(tape([1_000, 1_000]), CONFIG).slots().records
    shown = [(int(row["side"]), int(row["index"]), int(row["price"])) for row in table]
    assert shown == [(1, 1, 990), (1, 2, 980), (-1, 1, 1_010), (-1, 2, 1_021)]


def test_completed_cycle_in_the_table():
    run = replay(tape([10_000, 10_000, 9_900, 9_901, 9_999, 9_999]), CONFIG)
    (cycle,) = run.cycles.records
    tick_value = run.instruments[0].tick_value
    assert (cycle["side"], cycle["entry_price"], cycle["exit_price"], cycle["qty"]) == (1, 9_900, 9_999, 100)
    assert cycle["gross"] == 99 * 100 * tick_value
    assert cycle["net"] == cycle["gross"]


def test_slots_after_a_late_fill():
    """Paused at 1.5 s, the cancels in flight until 10.5 s: the buy of 9900 fills at 3 s, and its level is held."""
    paused = tape([10_000, 10_000, 10_000, 9_900]).with_commands([(START + 1_500_000_000, "pause", None)])
    run = replay(paused, Config(cancel_latency_ms=9_000).over(CONFIG))
    assert [(int(row["event"]), int(row["price"])) for row in run.fills.records] == [(4, 9_900)]
    assert states(run, 1) == [(1, FILLED), (2, PENDING), (3, FREE)]


def test_there_are_no_slots_without_a_grid():
    run = replay(tape([10_000, 10_000]), CONFIG, scripted(TargetState([WantedOrder(1, 1, 9_900, 1)])))
    assert len(run.slots().records) == 0


def scripted(*decisions):
    left = list(decisions)
    return policy(lambda view, params: left.pop(0) if left else None)


def filled_world(side, **symbol):
    """A world whose plan, of a grid, has ONCE on the side of the fill, with fields of its symbol as given; and the fill's cycle."""
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    params, rows = Config(quantity="1").params([instrument], [(1, 10_000)])
    world = initial_world(params, rows, START)
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
@pytest.mark.parametrize("trend", list(Trend))
@pytest.mark.parametrize("adds", list(Adds))
def test_once_remembers_what_the_plan_or_the_trend_governs_so(side, trend, adds):
    """SPEC 6: an entry under ONCE, and one against the trend, which is ONCE whatever the plan still says; no other."""
    world, _ = filled_world(side, trend=trend)
    against = trend == (Trend.DOWN if side > 0 else Trend.UP)
    name = "once_down" if side > 0 else "once_up"
    assert world.symbols[0][name] == 1, "under ONCE"
    world.plans[0]["adds_down" if side > 0 else "adds_up"] = adds
    open_cycle(world, 0, side, 4_000, 7, 3)
    assert world.symbols[0][name] == (2 if adds == Adds.ONCE or against else 1)


def cycles_of(world, *lots):
    """Open cycles entered at 5000: a positive number of lots is a BUY, a negative one a SELL."""
    world.symbols[0]["n_cycles"] = len(lots)
    for c, qty in enumerate(lots):
        cycle = world.cycles[0, c]
        cycle["id"], cycle["side"], cycle["px"], cycle["left"], cycle["index"] = c, 1 if qty > 0 else -1, 5_000, abs(qty), 0


@pytest.mark.parametrize("side", [1, -1])
def test_lots_of_a_taker_come_off_the_oldest_cycles_of_their_side(side):
    """Of 5 and 3 lots 6 are closed: the older cycle is gone, 2 are left of the younger, the other side's 4 stay."""
    world, _ = filled_world(side)
    for position, left in ((2 * side, [(1, -side, 4), (2, side, 2)]), (-1, [(1, -side, 4), (2, side, 2)]), (0, [])):
        cycles_of(world, 5 * side, -4 * side, 3 * side)
        world.symbols[0]["position"] = position
        end_cycles(world, 0, side, 6)
        cycles = world.cycles[0, : world.symbols[0]["n_cycles"]]
        assert [(int(one["id"]), int(one["side"]), int(one["left"])) for one in cycles] == left, position


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("damaged", "fee", "ticks"), [("", "0", 51), ("run", "0", 25), ("symbols", "0.4%", 40), ("run", "0.2%", 25)]
)
def test_take_profits_are_nearer_in_damage_control(side, damaged, fee, ticks):
    """Half of 1.000001 % is floored to 0.5 %, 25 ticks of 5000, or twice the fee: in DAMAGE_CONTROL of the portfolio or of the
    symbol alone (SPEC 11)."""
    world, _ = filled_world(side)
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    params, rows = Config(quantity="1", maker_fee=fee, dc_tp_mult="0.5").params([instrument], [(1, 10_000)])
    cycles_of(world, 7 * side)
    world.cycles[0, 0]["tp_step"], world.cycles[0, 0]["tp_px"] = 10**6 + 1, 5_000 + 51 * side
    if damaged:
        getattr(world, damaged)[0]["damage"] = 1
    assert list_wanted(world, params, rows, 0) == 1
    want = world.wanted[0]
    assert (want["side"], want["role"], want["qty"]) == (-side, Role.TAKE_PROFIT, 7)
    assert want["px"] == 5_000 + ticks * side


def ladder_world(side):
    """A world whose plan, under ONCE, has three levels of one lot on one side, 1 % apart from 5000, and nine that it may reach."""
    world, _ = filled_world(side)
    instrument = Instrument(symbol="C", kind="spot", tick_size="0.1", lot_size="0.01")
    params, rows = Config(quantity="1", maker_fee=0).params([instrument], [(1, 10_000)])
    plan, ladder = world.plans[0], world.ladder[0, 0 if side > 0 else 1]
    plan["center"], plan["rung_down"], plan["rung_up"], plan["last_index"] = 5_000 * 10**6, 10**6, 10**6, 9
    plan["levels_down"], plan["levels_up"] = (3, 0) if side > 0 else (0, 3)
    ladder["qty"] = 1
    assert lay_levels(plan, ladder, side, 3) == 3
    return world, params, rows


@pytest.mark.parametrize("side", [1, -1])
def test_what_once_remembers_holds_its_own_level(side):
    """The second of three levels (4900.5 floored, 5100.5 ceiled) filled and its cycle is complete: the others are wanted."""
    world, params, rows = ladder_world(side)
    world.symbols[0]["n_cycles"], world.once[0, 0 if side > 0 else 1, 0]["px"] = 0, 4_900 if side > 0 else 5_101
    assert list_wanted(world, params, rows, 0) == 2
    assert world.wanted["key"][:2].tolist() == [1, 3]


@pytest.mark.parametrize("side", [1, -1])
def test_the_last_price_that_a_ladder_can_have_is_held_too(side):
    """Three levels and no farther one (4851.495 floored, 5151.505 ceiled): of an entry at the third two are left."""
    world, params, rows = ladder_world(side)
    world.plans[0]["last_index"], world.plans[0]["adds_down"], world.plans[0]["adds_up"] = 3, Adds.FULL, Adds.FULL
    world.cycles[0, 0]["px"] = 4_851 if side > 0 else 5_152
    assert list_wanted(world, params, rows, 0) == 2 + 1, "and its take-profit"
    assert world.wanted["key"][:2].tolist() == [1, 2]


@pytest.mark.parametrize("side", [1, -1])
def test_what_entries_lose_is_noted_while_they_are_wanted(side):
    """To 4800 from 4950, 4900, 4851, to 5200 from 5050, 5101, 5152 ticks; where an atom less is left the farthest is refused."""
    world, params, rows = ladder_world(side)
    symbol, plan, value = world.symbols[0], world.plans[0], int(rows[0]["tick_value"])
    symbol["n_cycles"], symbol["once_down"], symbol["once_up"], symbol["mid2"] = 0, 0, 0, 10_000
    plan["budgeted"], plan["stress_down"], plan["stress_up"] = 1, 4_800, 5_200
    name, losses = ("down", (150, 100, 51)) if side > 0 else ("up", (150, 99, 48))
    other = "up" if side > 0 else "down"
    symbol["entries_loss_down"] = symbol["entries_loss_up"] = 7
    for short in (0, 1):
        symbol["budget"] = sum(losses) * value - short
        assert list_wanted(world, params, rows, 0) == 3
        assert [int(want["refused"]) for want in world.wanted[:3]] == [0, 0, short * Reason.BUDGET]
        assert symbol[f"entries_loss_{name}"] == sum(losses[: 3 - short]) * value
        assert symbol[f"entries_stress_{name}"] == (4_800 if side > 0 else 5_200)
        assert symbol[f"entries_loss_{other}"] == 0
    plan["adds_down"] = plan["adds_up"] = Adds.OFF
    assert (list_wanted(world, params, rows, 0), symbol["entries_loss_down"], symbol["entries_loss_up"]) == (0, 0, 0)


@pytest.mark.parametrize("side", [1, -1])
def test_a_cycle_beyond_the_ladder_holds_no_level(side):
    """Entered 1000 ticks away, where nine levels do not reach: all three are wanted."""
    world, params, rows = ladder_world(side)
    world.plans[0]["adds_down"], world.plans[0]["adds_up"] = Adds.FULL, Adds.FULL
    world.cycles[0, 0]["px"] = 5_000 - 1_000 * side
    assert list_wanted(world, params, rows, 0) == 3 + 1, "and its take-profit"
    assert world.wanted["key"][:3].tolist() == [1, 2, 3]


def entries(run, event):
    """Prices of the entries sent at an event."""
    sent = run.intents.records
    return sent["price"][(sent["event"] == event) & (sent["role"] == Role.ENTRY) & (sent["kind"] == 2)].tolist()


GRID = GridPlan(0, 10_000 * 10**6, 10**6, 2, 0, (1,), (1,), 10**7)
EACH_SECOND = CONFIG.over(Config(bar_interval_ms=1000))


def test_what_was_filled_under_full_is_not_remembered_by_once():
    """The level of 9900 is held by its cycle; under ONCE two others are wanted all the same, 9801 and 9702 (9702.99 floored)."""
    once = GRID._replace(adds_down=int(Adds.ONCE))
    run = replay(tape([10_000, 10_000, 9_900, 9_950]), EACH_SECOND, scripted(GRID, None, None, once))
    assert entries(run, 2) == [9_702]
    assert run.intents["event"].tolist() == [0, 0, 2, 2]
    assert states(run, 1) == [(1, FILLED), (2, LOCKED), (3, LOCKED)]


def test_slots_of_each_side_are_as_many_as_its_levels():
    run = replay(tape([10_000, 10_000]), EACH_SECOND, scripted(GRID._replace(adds_down=int(Adds.OFF))))
    assert (states(run, 1), states(run, -1)) == ([(1, FREE), (2, FREE)], [])


def test_a_take_profit_is_no_entry_of_the_other_side():
    """Two cycles of buys, of which the second has number 1, have take-profits resting; the one level of sells is free."""
    path = tape([10_000, 10_000, 9_900, 9_801, 9_801, 9_801])
    run = replay(path, EACH_SECOND, scripted(GRID._replace(levels_up=1, adds_up=int(Adds.OFF))))
    assert states(run, 1)[:2] == [(1, FILLED), (2, FILLED)]
    assert states(run, -1) == [(1, FREE)]


def test_targets_end_with_their_plan():
    """A grid follows a target of a reduce-only order; at the pause its entries go, and the target does not come back."""
    out = TargetState([WantedOrder(-1, 0, 10_500, 1, int(Role.REDUCE_ONLY))])
    fixture = tape([10_000] * 6).with_commands([(START + 2_500_000_000, "pause", None)])
    run = replay(fixture, EACH_SECOND, scripted(out, GRID))
    sent = [(int(row["event"]), int(row["kind"]), int(row["price"])) for row in run.intents.records]
    assert sent == [(0, 2, 10_500), (1, 0, 10_500), (1, 2, 9_900), (1, 2, 9_801), (3, 0, 9_900), (3, 0, 9_801)]


@pytest.mark.parametrize("side", [1, -1])
def test_no_room_for_a_cycle_is_a_fault_and_writes_nothing(side):
    room = filled_world(side)[0].cycles.shape[1]
    world, cycle = filled_world(side, n_cycles=room - 1)
    assert (cycle, world.symbols[0]["n_cycles"], world.run[0]["fault"]) == (0, room, 0)
    world, cycle = filled_world(side, n_cycles=room)
    assert (cycle, world.symbols[0]["n_cycles"], world.run[0]["fault"]) == (-1, room, FAULT_TOO_MANY_CYCLES)
    assert (world.run[0]["next_cycle"], world.cycles["px"].any()) == (0, False)


@pytest.mark.parametrize("side", [1, -1])
def test_once_remembers_as_many_entries_as_a_plan_has_levels_at_most(side):
    """A plan of 50 levels wants the last of them after 49 entries, and none after 50, however many more are filled."""
    name = "once_down" if side > 0 else "once_up"
    for filled, remembered in ((MAX_LEVELS - 2, MAX_LEVELS - 1), (MAX_LEVELS - 1, MAX_LEVELS), (MAX_LEVELS, MAX_LEVELS)):
        world, params, rows = ladder_world(side)
        world.symbols[0]["n_cycles"] = 0
        world.plans[0]["levels_down" if side > 0 else "levels_up"] = MAX_LEVELS
        world.symbols[0][name] = filled
        open_cycle(world, 0, side, 4_000, 7, 3)
        assert (world.symbols[0][name], world.run[0]["fault"]) == (remembered, 0)
        world.symbols[0]["n_cycles"] = 0
        assert list_wanted(world, params, rows, 0) == MAX_LEVELS - remembered


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
    symbol["entries_loss_down" if side > 0 else "entries_loss_up"] = 1
    assert not entries_fit(symbol, rows[0]), "nor does an atom"
