"""A figure of a sweep over its settings: scales in order and with units, a spot for each combination, and who is next to whom.

Nothing of it enters a digest: it is what cards, pictures and doubts of a sweep are made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from grinder.cells import COLUMNS
from grinder.errors import ConfigError
from grinder.metrics import MONEY

if TYPE_CHECKING:
    from grinder.data.instrument import Instrument
    from grinder.sweeping import Sweep

__all__ = ["Landscape", "Measure", "Scale", "Spot", "median_of", "scale_of", "setting_text"]

OF_PRICE: Final = frozenset(
    "step min_edge maker_fee taker_fee slippage spread_floor x_min x_cap impact_ref step_min skew_factor select_spread max_jump "
    "select_funding impact_limits".split()
)
"""Settings that are shares of a price: shown in bp while all of them are small, else in per cent."""
SHARES: Final = frozenset("dd_budget_pct dd_warn dd_clear".split())
SMALL: Final = Decimal("0.02")
MOST: Final = 20
"""Numbers of a setting of which each is looked at by itself; more are put together in stretches."""
STRETCHES: Final = 10
DIGITS: Final = 4
"""Digits of the largest of several values that are shown."""
_PERCENT: Final = frozenset("win_rate fill_rate cancel_replace_rate total_return cagr volatility max_drawdown".split())
_SECONDS: Final = frozenset("adds_off_seconds time_to_fill max_drawdown_seconds".split())


# Figures


class Measure(NamedTuple):
    """What a figure of the table is: how it is written, in which unit, and how it is drawn."""

    name: str
    unit: str
    """currency, %, bp, s, or nothing"""
    account: Instrument

    @classmethod
    def of(cls, name: str, account: Instrument) -> Measure:
        """The measure of a figure. Raises ConfigError where there is none of that name."""
        if name not in COLUMNS:
            raise ConfigError(f"metric {name!r}: there is no such figure; there are {', '.join(COLUMNS)}")
        stem = name.partition(".")[0]
        if name in MONEY:
            unit = account.quote
        elif name in _PERCENT or name == "dd_utilization_pct":
            unit = "%"
        elif stem.endswith("_bps"):
            unit = "bp"
        else:
            unit = "s" if stem in _SECONDS or stem.endswith("_seconds") else ""
        return cls(name, unit, account)

    def number(self, value: float) -> float:
        """The value in the measure's unit, for drawing."""
        if self.name in MONEY:
            return float(value * self.account.atom)
        return 100.0 * value if self.name in _PERCENT else float(value)

    def text(self, value: float | None, places: int = DIGITS, *, sign: bool = False) -> str:
        """The value without its unit, cut (money) or rounded to so many decimals; a dash for None."""
        if value is None:
            return "-"
        if self.name in MONEY:
            shown = self.account.money(int(value), places)
        elif isinstance(value, int):
            shown = str(value)
        else:
            shown = f"{self.number(value):.{places}f}"
        if not shown.strip("-0."):
            return shown.removeprefix("-")
        return f"+{shown}" if sign and value > 0 else shown

    def places(self, values: Iterable[float | None], digits: int = DIGITS) -> int:
        """Decimals that show so many digits of the largest of these values; 0 of whole numbers."""
        known = [value for value in values if value is not None]
        if not known or (self.name not in MONEY and all(isinstance(value, int) for value in known)):
            return 0
        largest = max(abs(self.number(value)) for value in known)
        return min(8, max(0, digits - 1 - math.floor(math.log10(largest)))) if largest > 0 else digits - 1


# Scales


@dataclass(frozen=True)
class Scale:
    """The values that a setting took, each once: numbers ascending, other values in the order of the table.

    Args:
        name: of the setting. values: as the table shows them. labels: of each, in `unit`.
        numbers: of each; empty where they are no numbers, so that none is next to another.
    """

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    unit: str
    numbers: tuple[Decimal, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers, of which one is next to another."""
        return bool(self.numbers)

    def text(self, place: int) -> str:
        """A value with its unit."""
        return f"{self.labels[place]} {self.unit}".rstrip()

    @property
    def stretches(self) -> tuple[int, ...]:
        """Of each value the number of its column in a picture: of many numbers equal stretches from the lowest to the highest."""
        if not self.ordered or len(self) <= MOST:
            return tuple(range(len(self)))
        low, width = self.numbers[0], (self.numbers[-1] - self.numbers[0]) / STRETCHES
        of = [min(STRETCHES - 1, int((number - low) / width)) for number in self.numbers]
        present = sorted(set(of))
        return tuple(present.index(where) for where in of)

    @property
    def extent(self) -> str:
        """The range of numbers, or the values."""
        if self.ordered and len(self) > 1:
            return f"{self.labels[0]} to {self.text(len(self) - 1)}"
        return f"{', '.join(self.labels)} {self.unit}".rstrip()


def scale_of(name: str, values: Iterable[Any]) -> Scale:
    """The scale of a setting.

    >>> scale_of("step", ["0.001", "0.0008", "0.001"]).labels
    ('8', '10')
    """
    distinct = list({setting_text(value): value for value in values}.values())
    numbers = [_number(value) for value in distinct]
    known = [number for number in numbers if number is not None]
    if len(known) < len(distinct) or not known:
        return Scale(name, tuple(distinct), tuple(map(setting_text, distinct)), "")
    order = sorted(range(len(distinct)), key=lambda i: known[i])
    numbers_up = tuple(known[i] for i in order)
    factor, unit = _unit(name, numbers_up)
    return Scale(name, tuple(distinct[i] for i in order), tuple(_plain(number * factor) for number in numbers_up), unit, numbers_up)


def setting_text(value: Any) -> str:
    """A setting's value as it is told apart and labelled; of one with parts each part with its name.

    >>> setting_text({"range": "2", "trend": "2.5"})
    'range 2, trend 2.5'
    """
    if isinstance(value, dict):
        return ", ".join(f"{part} {inner}" for part, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value)


def _number(value: Any) -> Decimal | None:
    """A whole number or decimal text as a number; None of anything else, switches among it."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _unit(name: str, numbers: Sequence[Decimal]) -> tuple[Decimal, str]:
    """What numbers of a setting are multiplied with to be read, and their unit then."""
    field = name.partition(".")[0]
    if field in OF_PRICE or field in SHARES:
        small = field in OF_PRICE and max(map(abs, numbers)) <= SMALL
        return (Decimal(10_000), "bp") if small else (Decimal(100), "%")
    if field.endswith("_ms"):
        for length, unit in ((3_600_000, "h"), (60_000, "min"), (1000, "s")):
            if all(number % length == 0 for number in numbers) and any(numbers):
                return 1 / Decimal(length), unit
        return Decimal(1), "ms"
    return Decimal(1), ""


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


# Spots


class Spot(NamedTuple):
    """One combination of settings, on all fixtures together."""

    places: tuple[int, ...]
    """its value on every scale, by number"""
    cells: tuple[int, ...]
    """its cells in the table, one a fixture"""
    value: Any
    """the figure: of several fixtures the mean (of money floored), None where a cell has none or failed"""
    failed: int
    """how many of its cells failed"""


class Landscape:
    """A figure of a sweep at every combination of the settings that vary.

    Args:
        found: the sweep. metric: a figure of its table. least: less is better.

    Raises:
        ConfigError: there is no such figure, or it is money in several currencies.
    """

    def __init__(self, found: Sweep, metric: str, *, least: bool = False) -> None:
        if metric in MONEY and len({one.quote for one in found.accounts}) > 1:
            quotes = ", ".join(dict.fromkeys(one.quote for one in found.accounts))
            raise ConfigError(f"metric {metric!r} is money in {quotes}, which cannot be put together: take a ratio or one fixture")
        self.found = found
        self.measure = Measure.of(metric, found.accounts[0])
        self.least = least
        rows = [found[i] for i in range(len(found))]
        self.scales = tuple(scale_of(name, (row.settings[name] for row in rows)) for name in found.varied)
        places = [{setting_text(value): k for k, value in enumerate(scale.values)} for scale in self.scales]
        together: dict[tuple[int, ...], list[int]] = {}
        for i, row in enumerate(rows):
            at = tuple(known[setting_text(row.settings[scale.name])] for known, scale in zip(places, self.scales, strict=True))
            together.setdefault(at, []).append(i)
        self.spots = tuple(self._spot(at, cells) for at, cells in together.items())

    def _spot(self, places: tuple[int, ...], cells: Sequence[int]) -> Spot:
        results = [self.found.results[i] for i in cells]
        values = [result.figures.get(self.measure.name) for result in results]
        failed = sum(1 for result in results if result.error)
        return Spot(places, tuple(cells), _mean([value for value in values if value is not None], len(cells)), failed)

    def score(self, spot: Spot) -> Any:
        """The figure with more being better."""
        return -spot.value if self.least else spot.value

    @cached_property
    def known(self) -> tuple[Spot, ...]:
        """Spots that have the figure, in the order of the table."""
        return tuple(spot for spot in self.spots if spot.value is not None)

    @cached_property
    def ranked(self) -> tuple[Spot, ...]:
        """The same, the best first; of equal ones the first of the table."""
        return tuple(sorted(self.known, key=self.score, reverse=True))

    def text(self, spot: Spot) -> str:
        """A spot's settings with their units."""
        return ", ".join(f"{scale.name} {scale.text(k)}" for scale, k in zip(self.scales, spot.places, strict=True)) or "as given"

    @cached_property
    def _by_places(self) -> dict[tuple[int, ...], Spot]:
        return {spot.places: spot for spot in self.spots}

    def neighbours(self, spot: Spot) -> tuple[Spot, ...]:
        """The spots next to one: a step away in one setting alone; where values are so many that there are none, as of draws, the
        nearest, two for each setting that varies. Values that are no numbers have none next to them.
        """
        beside = []
        for s, scale in enumerate(self.scales):
            for step in (-1, 1) if scale.ordered else ():
                at = (*spot.places[:s], spot.places[s] + step, *spot.places[s + 1 :])
                if at in self._by_places:
                    beside.append(self._by_places[at])
        return tuple(beside) or self._nearest(spot)

    def _nearest(self, spot: Spot) -> tuple[Spot, ...]:
        """The nearest by the sum over the settings of the way between them, in parts of the whole scale."""
        ordered = [s for s, scale in enumerate(self.scales) if scale.ordered and len(scale) > 1]
        if not ordered:
            return ()

        def way(other: Spot) -> float:
            return math.fsum(abs(other.places[s] - spot.places[s]) / (len(self.scales[s]) - 1) for s in ordered)

        kept = [s for s in range(len(self.scales)) if s not in ordered]
        others = [one for one in self.spots if one is not spot and all(one.places[s] == spot.places[s] for s in kept)]
        return tuple(sorted(others, key=way)[: 2 * len(ordered)])

    def around(self, spot: Spot) -> Any:
        """The median of the figure at a spot's neighbours; None where none has it."""
        values = [one.value for one in self.neighbours(spot) if one.value is not None]
        return median_of(values) if values else None

    def by_value(self, s: int) -> list[Any]:
        """The median of the figure at every value of a setting, of many in each stretch, over whatever else varies; None where no
        spot has it.
        """
        of = self.scales[s].stretches
        values: list[list[Any]] = [[] for _ in range(max(of) + 1)]
        for spot in self.known:
            values[of[spot.places[s]]].append(spot.value)
        return [median_of(part) if part else None for part in values]

    def scale(self, name: str) -> int:
        """The number of a setting that varies. Raises ConfigError."""
        names = [scale.name for scale in self.scales]
        if name not in names:
            raise ConfigError(f"{name!r} does not vary in this sweep; {', '.join(names) or 'nothing'} does")
        return names.index(name)


def median_of(values: Sequence[Any]) -> Any:
    """The median; of whole numbers a whole number, floored."""
    middle = median(values)
    return math.floor(middle) if all(isinstance(value, int) for value in values) else middle


def _mean(known: Sequence[Any], count: int) -> Any:
    """The mean of a figure over the cells of a spot; None where one of them has none."""
    if len(known) < count:
        return None
    if len(known) == 1:
        return known[0]
    if all(isinstance(value, int) for value in known):
        return sum(known) // count
    return math.fsum(known) / count
