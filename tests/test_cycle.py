"""Take-profit prices, held levels and the ladder's view of its slots (SPEC 8, ADR-0002)."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.cycle import take_profit_price
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.records import SlotState
from grinder.session import replay

FREE, PENDING, LOCKED, FILLED = (int(state) for state in SlotState)


@settings(derandomize=True, deadline=None)
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
