"""A figure over the settings of a sweep: units, order, neighbours, medians, several fixtures."""

from __future__ import annotations

import math

import pytest

import grinder as gr
from grinder.errors import ConfigError
from grinder.landscape import MOST, STRETCHES, Measure, scale_of
from tests.landscapes import SPOT, UNIT, line, square, swept


@pytest.mark.parametrize(
    ("name", "values", "labels", "unit"),
    [
        ("step", ["0.001", "0.0005", "0.0012"], ("5", "10", "12"), "bp"),
        ("x_cap", ["0.1", "0.05"], ("5", "10"), "%"),
        ("dd_budget_pct", ["0.005", "0.02"], ("0.5", "2"), "%"),
        ("levels", [12, 3, 5, 12], ("3", "5", "12"), ""),
        ("k_tail.range", ["2.5", "2"], ("2", "2.5"), ""),
        ("order_latency_ms", [0, 250], ("0", "250"), "ms"),
        ("clear_ms", [60_000, 5_000], ("5", "60"), "s"),
        ("select_every_ms", [3_600_000, 7_200_000], ("1", "2"), "h"),
        ("policy", ["static", "smart"], ("static", "smart"), ""),
        ("flatten_on_drawdown", [True, False], ("True", "False"), ""),
        ("quantity", ["0.01", None], ("0.01", "not set"), ""),
        ("jump_limits", [["1", "2", "5"], ["2", "4", "9"]], ("1, 2, 5", "2, 4, 9"), ""),
        ("maker_fee", ["-0.0001", "0.0002"], ("-1", "2"), "bp"),
    ],
)
def test_scales(name, values, labels, unit):
    scale = scale_of(name, values)
    assert (scale.labels, scale.unit) == (labels, unit)
    assert scale.ordered == (name not in ("policy", "flatten_on_drawdown", "quantity", "jump_limits"))
    assert scale.title == (f"{name}, {unit}" if unit else name)


def test_many_numbers_are_put_together_in_stretches():
    few = scale_of("levels", range(1, MOST + 1))
    assert few.stretches == tuple(range(MOST))
    many = scale_of("levels", [*range(1, 21), 200])
    assert many.stretches == (0,) * 19 + (0, 1), "equal stretches of the scale; those without a value are left out"
    even = scale_of("levels", range(101))
    assert [even.stretches.count(k) for k in range(STRETCHES)] == [10] * 9 + [11]


@pytest.mark.parametrize(
    ("name", "value", "number", "text", "unit"),
    [
        ("pnl.total", -12_345_678_901, -123.45678901, "-123.45", "USDT"),
        ("total_return", -0.0123456, -1.23456, "-1.23", "%"),
        ("dd_utilization_pct", 12.345, 12.345, "12.35", "%"),
        ("markout_bps.30", 1.5, 1.5, "1.50", "bp"),
        ("time_in_regime_seconds.RANGE", 60.0, 60.0, "60.00", "s"),
        ("fills", 12, 12.0, "12", ""),
        ("sharpe", 0.5, 0.5, "0.50", ""),
        ("pnl.total", -1, -1e-8, "0.00", "USDT"),
    ],
)
def test_figures_have_units(name, value, number, text, unit):
    measure = Measure.of(name, SPOT)
    assert measure.number(value) == pytest.approx(number, rel=1e-15)
    assert (measure.text(value, 2), measure.unit) == (text, unit)
    assert measure.text(None) == "-"


def test_digits_that_are_shown():
    money = Measure.of("pnl.total", SPOT)
    assert money.places([347 * UNIT, UNIT, None]) == 1
    assert money.places([UNIT // 100]) == 5
    assert money.places([0]) == 3
    assert Measure.of("fills", SPOT).places([1000]) == 0
    assert Measure.of("total_return", SPOT).places([0.022, -0.5]) == 2
    with pytest.raises(ConfigError, match="there is no such figure; there are events"):
        Measure.of("luck", SPOT)


def test_neighbours_are_a_step_away_in_one_setting():
    land = square([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).landscape()
    at = {spot.places: spot for spot in land.spots}
    assert {spot.value for spot in land.neighbours(at[1, 1])} == {2, 4, 6, 8}
    assert {spot.value for spot in land.neighbours(at[0, 0])} == {2, 4}
    assert land.around(at[1, 1]) == 5
    assert [spot.value for spot in land.ranked] == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert land.by_value(0) == [4, 5, 6], "of step, over levels"
    assert land.by_value(1) == [2, 5, 8]


def test_values_that_are_no_numbers_are_not_next_to_each_other():
    cells = [({"policy": name, "levels": k}, 10 * k) for name in ("static", "smart") for k in (1, 2, 3)]
    land = swept(cells).landscape()
    middle = next(spot for spot in land.spots if spot.places == (0, 1))
    assert sorted(spot.places for spot in land.neighbours(middle)) == [(0, 0), (0, 2)]


def test_draws_have_the_nearest_for_neighbours():
    cells = [({"step": f"{a}bp", "levels": b}, k) for k, (a, b) in enumerate([(1, 1), (2, 9), (3, 4), (7, 6), (9, 2), (4, 5)])]
    land = swept(cells).landscape()
    middle = next(spot for spot in land.spots if spot.value == 5)

    def way(spot):
        return sum(abs(a - b) / (len(scale) - 1) for a, b, scale in zip(spot.places, middle.places, land.scales, strict=True))

    others = sorted((spot for spot in land.spots if spot is not middle), key=way)
    assert list(land.neighbours(middle)) == others[:4], "two for each setting"


def test_several_fixtures_are_one_spot_with_their_mean():
    cells = [({"levels": 1}, 10), ({"levels": 1}, 21), ({"levels": 2}, 7), ({"levels": 2}, "DataError: no"), ({"levels": 3}, -3),
             ({"levels": 3}, -4)]  # fmt: skip
    land = swept(cells, fixtures=("a", "b")).landscape()
    assert [(spot.value, spot.failed) for spot in land.spots] == [(15, 0), (None, 1), (-4, 0)], "floored, as money is"
    shares = swept([({"levels": 1}, 0.1), ({"levels": 1}, 0.2)], metric="total_return", fixtures=("a", "b")).landscape()
    assert shares.spots[0].value == math.fsum([0.1, 0.2]) / 2


def test_money_in_several_currencies_is_never_added():
    other = SPOT.model_copy(update={"quote": "EUR"})
    found = swept([({"levels": 1}, 1), ({"levels": 1}, 2)], fixtures=("a", "b"), accounts=(SPOT, other))
    with pytest.raises(ConfigError, match="money in USDT, EUR"):
        found.landscape()
    assert found.landscape("total_return").known
    assert "total_return" in found._repr_html_(), "a notebook shows it without"


def test_less_may_be_better():
    found = line([3, 1, 2], metric="dd_max", least=True)
    assert [spot.value for spot in found.landscape().ranked] == [1, 2, 3]
    assert not found.landscape("pnl.total").least, "only of the objective is it known"
    assert [spot.value for spot in found.landscape(least=False).ranked] == [3, 2, 1]


def test_the_same_figures_as_the_table():
    found = gr.sweep(gr.fixture("range_day_l1").head(20_000), {"step": ["5bp", "10bp"], "levels": [2, 4]}, objective="pnl.total")
    land = found.landscape()
    assert [spot.value for spot in land.spots] == found.table["pnl.total"].to_list()
    assert land.ranked[0].value == found.best("pnl.total").figures["pnl.total"]
    assert found.symbols == (("BTCUSDT",),)
