"""What a market order finds (SPEC 9, ADR-0028.8): the best price, then the levels of a fresh book beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from .features import Levels, real
from .reference import BUY


@dataclass
class Eaten:
    """What our takers took of one side of one book, the prices taken as the L1 best left out."""

    farthest: int | None = None
    qty: int = 0  # of the farthest price

    def left(self, side: int, px: int, displayed: int) -> int:
        """Better than the farthest price: used up."""
        if self.farthest is None or side * px > side * self.farthest:
            return displayed
        return max(0, displayed - self.qty) if px == self.farthest else 0

    def take(self, px: int, qty: int) -> None:
        self.qty = qty + (self.qty if px == self.farthest else 0)
        self.farthest = px


def beyond(side: int, best: int, levels: Levels, eaten: Eaten) -> Levels:
    """The (price, quantity) that a taker of `side` still finds strictly beyond `best`, nearest first."""
    farther = sorted((side * px, qty) for px, qty in real(levels) if side * px > side * best)
    found = [(side * key, eaten.left(side, side * key, qty)) for key, qty in farther]
    return [(px, qty) for px, qty in found if qty > 0]


def displayed_side(side: int, book: tuple[Levels, Levels]) -> Levels:
    bids, asks = book
    return asks if side == BUY else bids
