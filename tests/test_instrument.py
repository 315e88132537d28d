"""Instruments: exact sizes, the half-tick rule, and refusals that name their cure (SPEC 1.1, 10)."""

from __future__ import annotations

import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from grinder.data.instrument import Instrument
from grinder.errors import ConfigError

quick = settings(max_examples=200, derandomize=True, deadline=None)


def make(**changes) -> Instrument:
    return Instrument(**{"symbol": "BTCUSDT", "kind": "perpetual", "tick_size": "0.1", "lot_size": "0.001"} | changes)


@pytest.mark.parametrize(
    ("sizes", "decimals", "atoms"),
    [
        (("0.1", "0.001", "1"), 8, 10_000),  # 0.0001 quote
        (("0.01", "0.00001", "1"), 8, 10),
        (("0.5", "1", "0.001"), 8, 50_000),
        (("0.01", "1", "100"), 2, 100),
        (("2", "1", "1"), 0, 2),
        (("0.00000001", "1", "1"), 9, 10),
        (("25", "0.2", "1"), 6, 5_000_000),
    ],
)
def test_tick_value(sizes, decimals, atoms):
    tick, lot, contract = sizes
    made = make(tick_size=tick, lot_size=lot, contract_size=contract, quote_decimals=decimals)
    assert made.tick_value == atoms
    assert isinstance(made.tick_value, int)


@quick
@given(*[st.tuples(st.integers(1, 5000), st.integers(0, 6))] * 3, st.integers(0, 18))
def test_half_a_tick_is_a_whole_number_of_atoms_or_the_cure_is_named(tick, lot, contract, decimals):
    sizes = [str(Decimal(number).scaleb(-places)) for number, places in (tick, lot, contract)]
    exact = Fraction(sizes[0]) * Fraction(sizes[1]) * Fraction(sizes[2])
    named = dict(zip(("tick_size", "lot_size", "contract_size"), sizes, strict=True))
    if (exact / 2 * 10**decimals).denominator == 1:
        assert make(**named, quote_decimals=decimals).tick_value == exact * 10**decimals
        return
    with pytest.raises(ConfigError, match="not a whole number") as error:
        make(**named, quote_decimals=decimals)
    if "no quote_decimals" in str(error.value):
        assert (exact / 2 * 10**18).denominator != 1
        return
    cure = int(str(error.value).split("quote_decimals = ")[1].split()[0])
    assert make(**named, quote_decimals=cure).tick_value == exact * 10**cure
    assert (exact / 2 * 10 ** (cure - 1)).denominator != 1, "the least that would do"


@pytest.mark.parametrize(
    ("tick", "lot", "decimals"), [("0.0001", "0.00001", 10), ("0.00001", "0.0001", 10), ("0.00001", "0.00001", 11)]
)
def test_the_error_names_the_quote_decimals_that_would_do(tick, lot, decimals):
    with pytest.raises(ConfigError, match=rf"^instrument BTCUSDT .* quote_decimals = {decimals} would do"):
        make(tick_size=tick, lot_size=lot)
    assert make(tick_size=tick, lot_size=lot, quote_decimals=decimals).tick_value % 2 == 0


def test_no_cure_is_promised_that_would_be_refused():
    with pytest.raises(ConfigError, match="no quote_decimals up to 18 would do"):
        make(tick_size="0.0000000001", lot_size="0.000000001")


@pytest.mark.parametrize("kind", ["inverse", "inverse_perpetual"])
def test_inverse_is_refused_by_name(kind):
    with pytest.raises(ConfigError, match=r"BTCUSD: inverse contracts are not supported.*linear contract"):
        make(symbol="BTCUSD", kind=kind)


@pytest.mark.parametrize("symbol", ["", "A B", "BTC\n", "Ä", "A" * 33, "BTC,USD", "a\0"])
def test_bad_symbols(symbol):
    with pytest.raises(ConfigError, match="symbol: 1 to 32 ASCII letters"):
        make(symbol=symbol)


@pytest.mark.parametrize("symbol", ["B", "A" * 32, "BTC-PERP", "btc/usd:usd", "1000PEPE_USDT.P"])
def test_good_symbols(symbol):
    assert make(symbol=symbol).symbol == symbol


BAD = [
    *[(name, value) for name in ("tick_size", "lot_size", "contract_size") for value in ("0", "-0.1", "x", "nan", True, None)],
    *[("kind", "option"), ("quote_decimals", -1), ("quote_decimals", 19), ("quote_decimals", 8.0), ("quote_decimals", "8")],
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_values_are_named(field, value):
    with pytest.raises(ConfigError) as error:
        make(**{field: value})
    assert f"{field}: " in str(error.value)
    assert f"(got {value!r})" in str(error.value)


def test_unknown_and_missing_fields_are_named():
    with pytest.raises(ConfigError, match="ticksize: there is no such setting"):
        make(ticksize="1")
    with pytest.raises(ConfigError, match="lot_size: is missing"):
        Instrument(symbol="A", kind="spot", tick_size="1")


@pytest.mark.parametrize("tick", ["0.10", ".1", "1e-1", Decimal("0.100"), 0.1, np.float64(0.1)])
def test_equal_spellings_are_one_instrument(tick):
    assert make(tick_size=tick) == make(tick_size="0.1")
    assert make(tick_size=tick).model_dump() == make().model_dump()


def test_frozen_and_whole_across_pickle_and_dump():
    made = make(contract_size="10", quote="EUR", quote_decimals=9)
    assert pickle.loads(pickle.dumps(made)) == made == Instrument(**made.model_dump())
    with pytest.raises(ValueError, match="frozen"):
        made.tick_size = "1"


def test_formatting_known_values():
    made = make()
    assert made.price(650_001) == "65000.1"
    assert made.quantity(-2_005) == "-2.005"
    assert made.money(-3_671_960_001) == "-36.71960001"
    assert made.money(123_456_789_012, 2) == "1234.56"
    assert made.money(-199_999_999, 4) == "-1.9999", "cut, not rounded"
    assert made.money(123_456_789_012, 0) == "1234"
    assert make(quote_decimals=5).money(50, 8) == "0.00050"
    assert made.price(np.int64(7)) == "0.7"


@quick
@given(st.integers(-(2**62), 2**62), st.sampled_from(["0.1", "0.25", "5", "0.0005"]), st.integers(9, 14), st.integers(0, 12))
def test_formatting_round_trips(count, size, decimals, places):
    assume(count)
    made = make(tick_size=size, lot_size=size, quote_decimals=decimals)
    assert Fraction(made.price(count)) == Fraction(made.quantity(count)) == count * Fraction(size)
    assert Fraction(made.money(count)) == Fraction(count, 10**decimals)
    shown = Fraction(made.money(count, places))
    assert abs(shown) <= Fraction(abs(count), 10**decimals) < abs(shown) + Fraction(1, 10**places)
