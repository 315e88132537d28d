"""The committed comparison is what the code computes: its fixtures, a sample of its days, and its summary from its days."""

from __future__ import annotations

from fractions import Fraction

import pytest

from grinder.config import Config
from grinder.data.fixture import fixture
from grinder.units import ONE
from tests.compare import (
    ACCOUNT,
    BUDGET,
    FIXTURES,
    KINDS,
    PAGE,
    SEEDS,
    SMART,
    committed_days,
    compared,
    day,
    day_line,
    fixture_lines,
    page,
    quantities,
    quartiles,
    row_of,
    sides,
)

TEXT = PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def runs():
    return {name: compared(fixture(name)) for name in FIXTURES}


def test_the_committed_page_is_that_of_its_fixtures_and_of_the_days_it_lists(runs):
    days = committed_days(TEXT)
    assert list(days) == [(kind, seed) for kind in KINDS for seed in SEEDS]
    assert page(runs, days) == TEXT, "python -m tests.compare --write"


@pytest.mark.parametrize(("kind", "seed"), [("trend_day", 104), ("impact_spike", 111), ("multisymbol_topk", 120)])
def test_days_of_the_page_are_what_the_generator_and_the_policies_make(kind, seed):
    rows = {policy: row_of(run) for policy, run in compared(day(kind, seed)).items()}
    assert day_line(kind, seed, rows) in TEXT


def test_smart_completes_at_least_fifty_cycles_on_the_range_day(runs):
    assert row_of(runs["range_day_l1"][SMART]).cycles >= 50
    assert fixture_lines("range_day_l1", runs["range_day_l1"]) in TEXT


@pytest.mark.parametrize(("account", "parts"), [(False, 3), (True, 7)])
def test_the_worst_case_of_the_quantities_is_the_most_under_the_budget(account, parts):
    """Worked out again in fractions: one lot more a level would lose more, or not fit the caps."""
    data = fixture("multisymbol_topk_l1")
    found = quantities(data, data.config, account)
    for instrument, both in zip(data.instruments, sides(data, data.config), strict=True):
        lots = Fraction(found[instrument.symbol]) / Fraction(instrument.lot_size)
        value = Fraction(instrument.tick_size) * Fraction(instrument.lot_size)

        def fits(lots, both=both, value=value):
            notional = [lots * value * sum(side.prices) for side in both]
            moved = [lots * value * sum(abs(price - side.stress) for price in side.prices) for side in both]
            loss = max(m + n * Fraction(2, 10_000) for m, n in zip(moved, notional, strict=True))
            return loss <= Fraction(200, parts) and (not account or max(notional) <= Fraction(20_000, 7))

        assert lots.denominator == 1
        assert fits(lots)
        assert not fits(lots + 1)


def test_the_stress_price_of_a_static_side():
    """12 levels of 15 bp around the first mid: below it the width reaches farther than the last level, above it the last level."""
    data = fixture("thin_book_l2")
    ((down, up),) = sides(data, data.config)
    center = Fraction(int(data.events.bid_px[0] + data.events.ask_px[0]), 2)
    assert (len(down.prices), len(up.prices)) == (12, 12)
    assert down.stress == (center * (1 - 12 * Fraction(15, 10_000))).__floor__() < min(down.prices)
    assert up.stress == max(up.prices) > center * (1 + 12 * Fraction(15, 10_000))


def test_with_one_symbol_the_budget_is_the_same_and_the_caps_can_only_take_away():
    data = fixture("trend_day_l1")
    assert quantities(data, data.config, False) == quantities(data, data.config, True) == {"BTCUSDT": "0.002"}
    data = fixture("range_day_l1")
    assert (quantities(data, data.config, False), quantities(data, data.config, True)) == (
        {"BTCUSDT": "0.039"},
        {"BTCUSDT": "0.013"},
    )


def test_quartiles_are_values_of_the_sample():
    assert quartiles(range(20, 0, -1), str) == "10 (5 to 15)"


def test_policies_have_one_config_but_for_what_is_compared(runs):
    for name in FIXTURES:
        changed = {policy: runs[name][policy].config.changed() for policy in (SMART, BUDGET, ACCOUNT)}
        assert {policy: sorted(k for k in c if c[k] != changed[SMART].get(k)) for policy, c in changed.items()} == {
            SMART: [],
            BUDGET: ["quantity"],
            ACCOUNT: ["quantity"],
        }
        assert runs[name][SMART].config.maker_fee * ONE == 2 * 10_000
    assert Config().top_k == 3
