"""What the best bid and ask say: spread, imbalance, thinness (SPEC 4)."""

from __future__ import annotations

from grinder._jit import kernel
from grinder.units import MONEY_LIMIT

__all__ = ["imbalance_l1", "spread_bps", "thin_l1"]


@kernel
def spread_bps(bid, ask):
    """Spread over mid, a ratio."""
    return 2 * (ask - bid) / (bid + ask)


@kernel
def imbalance_l1(bid_qty, ask_qty):
    """(bid - ask) / (bid + ask) of the best quantities, in [-1, 1]; 0 when both are 0."""
    return (bid_qty - ask_qty) / (bid_qty + ask_qty) if bid_qty + ask_qty > 0 else 0.0


@kernel
def thin_l1(bid_px, bid_qty, ask_px, ask_qty, tick_value):
    """The smaller side's notional in atoms, at most 2**62; that of one lot is under 2**61 (SPEC 1.2)."""
    return min(_notional(bid_px, bid_qty, tick_value), _notional(ask_px, ask_qty, tick_value))


@kernel
def _notional(px, qty, tick_value):
    return px * qty * tick_value if qty <= MONEY_LIMIT // (px * tick_value) else MONEY_LIMIT
