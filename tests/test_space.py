"""Points of a sweep: the grid, ranges in exact steps, counted draws, parts of settings; what is refused, and how it is said."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from grinder.config import Config
from grinder.errors import ConfigError
from grinder.space import axes_of, draw, grid_points, random_points, settings_at, shown_value


def values(ranges: dict) -> dict[str, list]:
    return {axis.name: [axis.value(i) for i in range(axis.count)] for axis in axes_of(ranges, ranges=True)}


def test_grid_is_the_product_in_its_own_order():
    axes = axes_of({"levels": [3, 5], "step": ["8bp", 0.001]}, ranges=False)
    assert list(grid_points(axes)) == [
        (("levels", 3), ("step", "8bp")),
        (("levels", 3), ("step", 0.001)),
        (("levels", 5), ("step", "8bp")),
        (("levels", 5), ("step", 0.001)),
    ]
    assert list(grid_points([])) == [()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"levels": "3:6"}, [3, 4, 5, 6]),
        ({"levels": "3:10:3"}, [3, 6, 9]),
        ({"step": "5bp:8bp:1.5bp"}, ["0.0005", "0.00065", "0.0008"]),
        ({"step": "5bp:0.05%:1bp"}, ["0.0005"]),
        ({"quantity": "0.1:0.13"}, ["0.10", "0.11", "0.12", "0.13"]),
        ({"equity": "900:1000:50"}, ["900", "950", "1000"]),
        ({"quantity.BTC": "1:2:0.5"}, ["1.0", "1.5", "2.0"]),
        ({"horizon_ms.trend": "60000:60002"}, [60000, 60001, 60002]),
        ({"k_tail.range": "1:2:0.5"}, ["1", "1.5", "2"]),
        ({"policy": ["static", "smart"]}, ["static", "smart"]),
        ({"levels": np.array([3, 4])}, [3, 4]),
    ],
)
def test_ranges(text, expected):
    ((name, found),) = values(text).items()
    assert [str(Fraction(v)) if isinstance(v, str) and v[0].isdigit() else v for v in found] == [
        str(Fraction(v)) if isinstance(v, str) and v[0].isdigit() else v for v in expected
    ]
    assert name == next(iter(text))


def test_a_ratio_without_a_step_has_every_ratio_there_is():
    (axis,) = axes_of({"step": "5bp:50bp"}, ranges=True)
    assert axis.count == 450_001
    assert (axis.value(0), axis.value(1), axis.value(450_000)) == ("0.0005", "0.00050001", "0.005")


@pytest.mark.parametrize(
    ("given", "ranges", "said"),
    [
        ({"stepp": ["8bp"]}, False, "stepp: there is no such setting"),
        ({"step": ["8bp", "200%"]}, False, r"step: .*less than 1 \(got '200%'\)"),
        ({"step": "8bp"}, False, "step is '8bp': give a list of values"),
        ({"step": []}, False, "step: an empty list"),
        ({"levels": ["three"]}, False, "levels: .*'three'"),
        ({"levels": "3"}, True, "range of levels is '3': write LOW:HIGH .*3:12"),
        ({"levels": "9:3"}, True, "LOW is at most HIGH"),
        ({"levels": "3:9:0"}, True, "STEP is over 0"),
        ({"levels": "3:4:0.5"}, True, "levels is a whole number"),
        ({"levels": "3:4000"}, True, r"levels: .*\(got 4000\)"),
        ({"step": "5bp:20000bp"}, True, "step"),
        ({"step": "a:b"}, True, "range of step is 'a:b'.*no decimal number"),
        ({"policy": "static:smart"}, True, "range of policy.*give a list"),
        ({"max_inventory_notional": "10%:20%"}, True, "give a list"),
        ({"nothing.x": "1:2"}, True, "nothing: there is no such setting"),
        ({"k_tail.sideways": ["1"]}, False, "k_tail: .*range, trend, vol_shock, thin_book"),
        ({"spread_limits.worst": ["1"]}, False, "spread_limits.worst: parts are mid, high, extreme"),
        ({"step.x": ["1"]}, False, "step.x: it has no parts here"),
        ({"atr_method": ["wilder", "median"]}, False, "atr_method"),
    ],
)
def test_refused_by_name(given, ranges, said):
    with pytest.raises(ConfigError, match=said):
        axes_of(given, ranges=ranges)


def test_a_rule_between_settings_waits_for_the_whole_config():
    (axis,) = axes_of({"penetration": [0, 2]}, ranges=False)
    with pytest.raises(ConfigError, match="needs fill_model"):
        settings_at(Config(), (("penetration", axis.value(1)),))
    assert settings_at(Config(fill_model="cross"), (("penetration", axis.value(1)),)).penetration == 2


def test_too_many_points_are_refused():
    axes = axes_of({"step": "5bp:50bp", "alpha": "0:1"}, ranges=True)
    with pytest.raises(ConfigError, match="more than 10,000,000"):
        next(grid_points(axes))


def test_parts_change_one_part():
    base = Config(k_tail={"range": "1.9"}, quantity={"BTC": 1, "ETH": 2})
    made = settings_at(base, (("k_tail.trend", "9"), ("spread_limits.high", 7), ("quantity.ETH", "5"), ("levels", 4)))
    assert {name: str(value) for name, value in made.k_tail.items()} == {
        "range": "1.9",
        "trend": "9",
        "vol_shock": "3",
        "thin_book": "2.5",
    }
    assert made.spread_limits == (Decimal(3), Decimal(7), Decimal(20))
    assert made.quantity == {"BTC": Decimal(1), "ETH": Decimal(5)}
    assert (made.levels, base.levels) == (4, 10)
    assert shown_value(made, "k_tail.trend", "9") == "9"
    assert shown_value(made, "spread_limits.high", 7) == "7"
    assert shown_value(Config(step="10bp"), "step", "10bp") == shown_value(Config(step="0.1%"), "step", "0.1%") == "0.001"
    assert shown_value(None, "step", "10bp") == "10bp"


# Draws


def test_draws_are_the_hash_of_seed_number_and_name():
    """Told again from its definition, with nothing of the package."""
    for seed, number, name, count in ((0, 0, "step", 10), (7, 123, "levels", 1000), (-1, 5, "alpha", 450_001)):
        word = hashlib.sha256(b"grinder sweep\0%d\0%d\0%s" % (seed, number, name.encode())).digest()
        assert draw(seed, number, name, count) == int.from_bytes(word, "big") * count // 2**256


def test_draws_do_not_depend_on_each_other():
    few, more = ({"levels": "2:12"}, {"levels": "2:12", "step": "5bp:50bp"})
    alone = [dict(point) for point in random_points(axes_of(few, ranges=True), 20, 3)]
    beside = [dict(point) for point in random_points(axes_of(more, ranges=True), 50, 3)]
    assert [point["levels"] for point in alone] == [point["levels"] for point in beside[:20]]
    assert len({point["step"] for point in beside}) == 50
    other = [dict(point)["levels"] for point in random_points(axes_of(few, ranges=True), 20, 4)]
    assert other != [point["levels"] for point in alone]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(-(2**70), 2**70), st.integers(0, 10**9), st.text(max_size=20), st.integers(1, 2**60))
def test_draws_are_in_range(seed, number, name, count):
    assert 0 <= draw(seed, number, name.encode("utf-8", "replace").decode(), count) < count


def test_draws_reach_everything_evenly():
    counts = np.bincount([draw(1, number, "step", 8) for number in range(8000)], minlength=8)
    assert counts.min() > 850
    assert counts.max() < 1150


def test_draws_are_the_same_in_another_process():
    code = "from grinder.space import *; print([p for p in random_points(axes_of({'step': '5bp:50bp'}, ranges=True), 5, 9)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(list(random_points(axes_of({"step": "5bp:50bp"}, ranges=True), 5, 9)))
