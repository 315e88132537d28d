"""The worst case's fees and leverage room (ADR-0028.4-5), against numbers worked by hand."""

from dataclasses import replace

from . import smart_plan as sp
from .reference import AMEND, BUY, ENTRY, FLATTEN, SELL, TAKE_PROFIT, UNIT, Change, Order
from .smart import DEFAULTS, Smart


def test_each_fee_of_the_worst_case_is_ceiled():
    # 3 * 10 + 3 * 9 = 57 atoms of price; 2 bp of 300 and of 297 atoms are 0.06 and 0.0594: one atom each.
    levels = [(100, 3), (99, 3)]
    assert sp.entries_loss(levels, 90, 1, 20_000) == 59
    assert sp.entries_loss(levels, 90, 1, -20_000) == 57
    assert sp.entries_loss(levels, 110, 1, 0) == 63
    assert sp.entries_loss([], 90, 1, 20_000) == 0


def two_symbols():
    """A lot is worth 10^8 atoms at both mids."""
    instrument = {"tick_value": 10_000, "perpetual": True, "hard_cap_lots": 10**6}
    engine = Smart([instrument, instrument], {"policy": "smart", "equity": 10**13})
    for sym in engine.symbols:
        sym.has_l1, sym.bid, sym.ask, sym.mid2 = True, 9_999, 10_001, 20_000
    return engine, *engine.symbols


def add(sym, order, side, role, qty):
    sym.orders[order] = Order(order, sym.index, side, role, 0, 10_000, qty, 0, state=1)


def test_room_counts_what_other_symbols_have_open():
    engine, own, other = two_symbols()
    lot = 10**8
    own.ledger.apply_fill(SELL, 10_000, 10, 0)
    other.ledger.apply_fill(BUY, 10_000, 5, 0)
    assert engine.gross_for_room(own) == 15 * lot
    add(own, 0, BUY, ENTRY, 99)  # its own orders are what the room is for
    add(other, 1, BUY, ENTRY, 20)
    add(other, 2, SELL, ENTRY, 28)
    assert engine.gross_for_room(own) == (10 + 25) * lot  # |5 + 20| over |5 - 28|
    add(other, 3, SELL, TAKE_PROFIT, 4)
    assert engine.gross_for_room(own) == (10 + 27) * lot  # |5 - 32|
    add(other, 4, SELL, FLATTEN, 50)  # closes 5 at the most
    assert engine.gross_for_room(own) == (10 + 32) * lot
    other.orders[1].change = Change(AMEND, 0, 10_000, 90)  # an amend in flight: the larger
    assert engine.gross_for_room(own) == (10 + 95) * lot
    assert engine.gross_for_room(other) == (95 - 90 + abs(-10 + 99)) * lot
    assert engine.gross() == 15 * lot  # the alert looks at positions


def test_room_scales_the_levels():
    """Cap 2 * 1,000; gross 1,500, take-profits 100: 400 are left for 800."""
    inputs = sp.Inputs(0, 4, 0, None, False, 20_000, 2, 0, 0, 0, 10**9, 1_500, 1_000, {BUY: 100, SELL: 0}, 9, False, False)
    cfg = DEFAULTS | {"max_effective_leverage": 2 * UNIT}
    assert sp.scale(inputs, cfg, BUY, [100, 100], [2, 2]) == ([1, 1], sp.MAX_LEVERAGE)
    assert sp.scale(replace(inputs, gross=1_100), cfg, BUY, [100, 100], [2, 2]) == ([2, 2], 0)
