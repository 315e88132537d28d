"""The ledger's own properties, fill by fill, against Fraction: INVARIANTS 1-9."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.data.instrument import Instrument
from grinder.engine import initial_world
from grinder.ledger import FAULT_OUT_OF_RANGE, FAULT_PATHS_DIFFER, book_fill, book_funding, mark, roll_window
from grinder.tape import empty_tape
from tests.oracles.window import Parts

EQUITY = 10_000 * 10**8
SIDES = st.sampled_from((1, -1))
FILLS = st.lists(st.tuples(SIDES, st.integers(1, 5_000), st.integers(1, 60)), min_size=1, max_size=30)
INSTRUMENT = Instrument(symbol="X", kind="perpetual", tick_size="0.01", lot_size="0.001")
many = settings(derandomize=True, deadline=None, max_examples=300)


class Account:
    """One symbol's ledger, filled by hand."""

    def __init__(self, fee_bp: str = "0", tick_value: int | None = None, **given) -> None:
        self.params, self.rows = Config(maker_fee=f"{fee_bp}bp", quantity="1", **given).params([INSTRUMENT], [(1, 10_000)])
        if tick_value is not None:
            self.rows["tick_value"], self.rows["half_tick_value"] = tick_value, tick_value // 2
        self.world = initial_world(self.params, self.rows, 1_700_000_000_000_000_000)
        self.tape = empty_tape(128)
        self.symbol = self.world.symbols[0]

    def fill(self, side, price, qty):
        return int(book_fill(self.world, self.rows, 0, side, price, qty, self.params[0]["maker_fee"]))

    def mark(self, mid2):
        self.symbol["mid2"] = mid2
        self.tape.used.fill(0)
        mark(self.world, self.params, self.rows, self.tape, 0, 0)
        assert self.world.run[0]["fault"] == 0, "the two paths to equity agree (INVARIANTS 1, 2)"
        return {name: int(self.tape.ledger[0][name]) for name in self.tape.ledger.dtype.names}


@many
@given(FILLS, st.integers(2, 10_000), st.sampled_from(("0", "2", "-1", "0.37", "5")))
def test_identities_after_every_fill(fills, mid2, fee_bp):
    account, position, fees = Account(fee_bp), 0, 0
    rate = Fraction(fee_bp) / 10_000
    value = INSTRUMENT.tick_value
    cash = EQUITY
    for side, price, qty in fills:
        before = {name: int(account.symbol[name]) for name in ("position", "realised", "fees")}
        fee = account.fill(side, price, qty)
        exact = price * qty * value * rate
        assert fee == math.ceil(exact)  # 4
        assert exact <= fee < exact + 1
        position, fees, cash = position + side * qty, fees + fee, cash - side * price * qty * value - fee
        row = account.mark(mid2)
        assert row["position"] == position  # 3
        assert row["fees"] == fees
        assert EQUITY + row["equity"] == cash + Fraction(position * mid2 * value, 2)  # 2, by our own cash
        assert row["equity"] == row["realised"] + row["unrealised"] - row["fees"] + row["funding"]  # 1
        assert row["cost"] >= 0
        if position == 0:
            assert row["unrealised"] == row["cost"] == 0  # 5
        if before["position"] * side >= 0:
            assert row["realised"] == before["realised"]  # 6: only a fill that reduces realises


@many
@given(FILLS)
def test_average_cost_is_exact_up_to_its_split(fills):
    """Cost follows the exact average within one atom for each partial close, so nothing is lost between cost and realised."""
    account = Account()
    cost, position, splits = Fraction(0), 0, 0
    for side, price, qty in fills:
        closing = min(qty, abs(position)) if position * side < 0 else 0
        if closing:
            splits += closing != abs(position)
            cost -= cost * closing / abs(position)
        if closing == abs(position):
            splits = 0 if qty >= abs(position) else splits
        cost += price * (qty - closing) * INSTRUMENT.tick_value
        position += side * qty
        account.fill(side, price, qty)
        assert abs(int(account.symbol["cost"]) - cost) <= max(1, 2 * len(fills))


@many
@given(st.integers(1, 5_000), st.lists(st.tuples(SIDES, st.integers(1, 60)), min_size=1, max_size=20))
def test_constant_price_without_fees_keeps_equity(price, fills):
    account = Account()
    for side, qty in fills:
        account.fill(side, price, qty)
        assert account.mark(2 * price)["equity"] == 0  # 7


def flat(fills):
    """The fills and one more that closes what is open."""
    position = sum(side * qty for side, _, qty in fills)
    return [*fills, (-1 if position > 0 else 1, 2_500, abs(position))] if position else fills


@many
@given(FILLS)
def test_reversed_and_mirrored_fills(fills):
    """Flat at the end and without fees: sides reversed negate PnL; sides reversed and prices mirrored keep it (8)."""
    closed = flat(fills)
    results = []
    for transform in (lambda s, p: (s, p), lambda s, p: (-s, p), lambda s, p: (-s, 5_001 - p)):
        account = Account()
        for side, price, qty in closed:
            account.fill(*transform(side, price), qty)
        results.append(int(account.symbol["realised"]))
    assert results[0] == -results[1]
    assert results[0] == results[2]


@many
@given(FILLS, st.integers(2, 10_000), st.integers(2, 9))
def test_scaling(fills, mid2, factor):
    """Tick value times c, or every quantity times k: equity and cash before fees scale exactly; fees are never dearer (9)."""
    plain, dearer, finer = Account(), Account(tick_value=INSTRUMENT.tick_value * factor), Account()
    with_fees, split = Account("3"), Account("3", tick_value=INSTRUMENT.tick_value)
    for side, price, qty in fills:
        plain.fill(side, price, qty)
        dearer.fill(side, price, qty)
        finer.fill(side, price, qty * factor)
        assert split.fill(side, price, qty * factor) <= with_fees.fill(side, price, qty) * factor
    row = plain.mark(mid2)
    for scaled in (dearer.mark(mid2), finer.mark(mid2)):
        assert scaled["equity"] == row["equity"] * factor
        assert scaled["cash"] == row["cash"] * factor


@many
@given(st.integers(-60, 60), st.integers(1, 5_000), st.integers(-3_000_000, 3_000_000))
def test_funding_rounds_against_the_account(position, mark_px, rate):
    account = Account()
    if position:
        account.fill(1 if position > 0 else -1, 100, abs(position))
    book_funding(account.world, account.rows, 0, rate, mark_px)
    exact = Fraction(-position * mark_px * INSTRUMENT.tick_value * rate, 10**8)
    received = int(account.symbol["funding"])
    assert received <= exact < received + 1
    assert account.mark(200)["funding"] == received


def test_trip_is_the_nearest_mid_that_passes_the_threshold():
    """One half tick before the trip the drawdown is at most the threshold; at the trip it is over it (SPEC 10)."""
    rng = np.random.default_rng(7)
    for _ in range(200):
        account = Account()
        side, price, qty = int(rng.choice((1, -1))), int(rng.integers(500, 4_000)), int(rng.integers(1, 60))
        account.fill(side, price, qty)
        account.world.run[0]["budget"] = budget = int(rng.integers(1, 10**8))
        mid2 = 2 * price + int(rng.integers(-20, 20))
        before = account.mark(mid2)
        drawdown = int(account.world.run[0]["drawdown"])
        warn = budget * 8 // 10
        threshold = warn if drawdown <= warn else budget
        trip = int(account.symbol["trip_low"] if side > 0 else account.symbol["trip_high"])
        if drawdown > budget:
            assert abs(trip) == 2**62
            continue
        peak = int(account.world.run[0]["peak"])
        per = qty * INSTRUMENT.tick_value // 2
        at = EQUITY + before["equity"] - side * (mid2 - trip) * per
        assert peak - at > threshold
        assert peak - (at + per) <= threshold


@many
@given(FILLS)
def test_turnover_and_fills_are_counted(fills):
    account = Account("2")
    for number, (side, price, qty) in enumerate(fills, 1):
        account.fill(side, price, qty)
        assert account.symbol["fills"] == number
        assert account.symbol["turnover"] == sum(p * q for _, p, q in fills[:number]) * INSTRUMENT.tick_value


def test_turnover_and_cash_at_their_share_of_the_range_are_a_fault():
    """At 2**62 atoms, shared by the symbols, and not one atom before."""
    for symbols in (1, 2):
        share = 2**62 // symbols
        for field, start, side, fault in (
            ("turnover", share - 501, 1, 0),
            ("turnover", share - 500, 1, FAULT_OUT_OF_RANGE),
            ("cash", share - 501, -1, 0),
            ("cash", share - 500, -1, FAULT_OUT_OF_RANGE),
            ("cash", 501 - share, 1, 0),
            ("cash", 500 - share, 1, FAULT_OUT_OF_RANGE),
        ):
            account = Account(tick_value=100)
            world = account.world._replace(symbols=np.zeros(symbols, account.world.symbols.dtype))
            world.symbols[0][field] = start
            book_fill(world, account.rows, 0, side, 1, 5, 0)
            assert world.run[0]["fault"] == fault, (symbols, field, start)


@pytest.mark.parametrize("off", [1, -1])
def test_a_mark_whose_two_paths_differ_is_a_fault(off):
    account = Account("2")
    account.fill(1, 100, 3)
    account.symbol["mid2"] = 210
    account.world.run[0]["cash"] += off
    account.tape.used.fill(0)
    mark(account.world, account.params, account.rows, account.tape, 0, 0)
    assert account.world.run[0]["fault"] == FAULT_PATHS_DIFFER


@pytest.mark.parametrize("window", ["daily", "rolling"])
@pytest.mark.parametrize("seed", range(4))
def test_windows_roll_as_parts_do(window, seed):
    """Peak, drawdown and budget at rolls over one part or many, of marks at random: as the oracle of parts has them (SPEC 7.1)."""
    r, length, kept = random.Random(seed), 86_400 * 10**9, 0
    given = {"dd_window": window, "dd_budget_pct": "2%", "max_inventory_notional": "30%"}
    if window == "rolling":
        given, length, kept = given | {"dd_window_ms": 24 * 60_000}, 60 * 10**9, 24
    account = Account(**given)
    account.fill(1, 1_000, 500)
    run, value, part = account.world.run[0], INSTRUMENT.tick_value * 500 // 2, 1_700_000_000_000_000_000 // length
    whole, own = Parts(EQUITY), Parts(0)
    for _ in range(120):
        account.symbol["mid2"] = mid2 = r.randint(1_000, 3_000)
        profit = (mid2 - 2_000) * value
        if r.random() < 0.6:
            account.mark(mid2)
            assert account.symbol["equity"] == profit
            whole.marked(part, EQUITY + profit)
            own.marked(part, profit)
            continue
        later = part + r.choice((1, 1, 1, 2, 5, 23, 24, 25, 26, 60))
        account.tape.used.fill(0)
        account.symbol["settled"] = account.symbol["decide"] = 7
        roll_window(account.world, account.params, account.rows, account.tape, 0, later * length + r.randrange(length))
        peak, opened = whole.roll(part, later, EQUITY + profit, kept)
        assert (run["peak"], run["window_equity"], run["drawdown"]) == (peak, opened, peak - EQUITY - profit)
        assert (run["budget"], run["max_inventory"]) == (opened * 2 // 100, opened * 30 // 100)
        peak, _ = own.roll(part, later, profit, kept)
        assert (account.symbol["peak"], account.symbol["drawdown"]) == (peak, peak - profit)
        assert (account.symbol["decide"], account.symbol["settled"], account.symbol["cause"]) == (1, 0, 0)
        assert account.tape.ledger[0]["cause"] & 32
        part = later


def test_a_window_that_begins_with_a_debt_has_no_budget_and_no_room():
    account = Account(dd_budget_pct="100%", dd_window="daily")
    account.fill(1, 2_000, 10**6)
    account.symbol["mid2"] = 2
    roll_window(account.world, account.params, account.rows, account.tape, 0, 1_700_100_000_000_000_000)
    run = account.world.run[0]
    assert run["window_equity"] < 0
    assert (run["budget"], run["max_inventory"]) == (0, 0)
