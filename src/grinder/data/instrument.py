"""What is traded: tick, lot and contract sizes as exact decimals (SPEC 1.1)."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from grinder import units
from grinder.config import explain
from grinder.errors import ConfigError, NumberError

__all__ = ["Instrument"]

MAX_DECIMALS: Final = 18


def _positive(value: object) -> str:
    text = repr(float(value)) if isinstance(value, float) else value
    try:
        number = units.parse_decimal(text)  # type: ignore[arg-type]
    except NumberError as error:
        raise ValueError(str(error)) from None
    if number <= 0:
        raise ValueError("must be over 0")
    return units.format_units(1, number)


Size = Annotated[str, BeforeValidator(_positive)]


class Instrument(BaseModel):
    """One linear contract: a spot pair or a linear perpetual.

    Attributes:
        symbol: its name in the data, 1 to 32 ASCII letters, digits and `._-/:`.
        kind: "spot" or "perpetual". An inverse contract is refused.
        tick_size: decimal text; one tick times one lot is `tick_size * lot_size * contract_size` quote.
        lot_size: decimal text.
        contract_size: decimal text, what one unit of quantity stands for.
        quote: the quote currency's name.
        quote_decimals: money is counted in `10**-quote_decimals` quote.

    Raises:
        ConfigError: with the field, its value and the cure.

    >>> Instrument(symbol="BTCUSDT", kind="perpetual", tick_size="0.1", lot_size="0.001").tick_value
    10000
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    kind: Literal["spot", "perpetual"]
    tick_size: Size
    lot_size: Size
    contract_size: Size = "1"
    quote: str = "USDT"
    quote_decimals: int = Field(8, strict=True, ge=0, le=MAX_DECIMALS)

    def __init__(self, /, **values: Any) -> None:
        if str(values.get("kind", "")).startswith("inverse"):
            raise ConfigError(
                f"instrument {values.get('symbol')}: inverse contracts are not supported, their value is not linear in price; "
                "use the linear contract of the same pair"
            )
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(explain(error, f"instrument {values.get('symbol', '?')}", values)) from None

    @model_validator(mode="after")
    def _whole_half_ticks(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9._:/-]{1,32}", self.symbol, re.ASCII):
            raise ValueError("symbol: 1 to 32 ASCII letters, digits or . _ - : /")
        if {"", ".", ".."} & set(self.symbol.split("/")):
            raise ValueError("symbol: a pair is written as BTC/USDT; it is no path")
        half = self._tick_value_exact() / 2 / self.atom
        if half.denominator != 1:
            enough = [d for d in range(MAX_DECIMALS + 1) if (self._tick_value_exact() / 2 * 10**d).denominator == 1]
            cure = f"quote_decimals = {enough[0]} would do" if enough else f"no quote_decimals up to {MAX_DECIMALS} would do"
            raise ValueError(
                f"half of tick_size * lot_size * contract_size is {half} atoms of 1e-{self.quote_decimals}, not a whole number: "
                + cure
            )
        return self

    def _tick_value_exact(self) -> Fraction:
        return _product(self.tick_size, self.lot_size, self.contract_size)

    @property
    def atom(self) -> Fraction:
        """One atom in quote currency."""
        return Fraction(1, 10**self.quote_decimals)

    @property
    def tick_value(self) -> int:
        """Atoms per tick and lot; even."""
        return _in_atoms(self.quote_decimals, self.tick_size, self.lot_size, self.contract_size)

    def price(self, ticks: int) -> str:
        """A price in ticks as decimal text."""
        return units.format_units(int(ticks), self.tick_size)

    def quantity(self, lots: int) -> str:
        """A quantity in lots as decimal text."""
        return units.format_units(int(lots), self.lot_size)

    def money(self, atoms: int, places: int | None = None) -> str:
        """Atoms as decimal text; with `places`, cut (towards zero) to that many decimals for display."""
        text = units.format_units(int(atoms), self.atom)
        if places is None or self.quote_decimals <= places:
            return text
        return text[: len(text) - (self.quote_decimals - places)].removesuffix(".")


@cache
def _product(*sizes: str) -> Fraction:
    """Of decimal texts; kept, since each replay asks for it again and again."""
    product = Fraction(1)
    for size in sizes:
        product *= units.parse_decimal(size)
    return product


@cache
def _in_atoms(decimals: int, *sizes: str) -> int:
    """The whole atoms of such a product."""
    return int(_product(*sizes) * 10**decimals)
