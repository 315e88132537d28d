"""Which settings a sweep tries: a grid, counted draws from ranges, or what a sampler asks for.

Each point is a function of what was asked alone: a draw is a hash of (seed, number of the draw, name of the setting), and values
are steps of decimal text, so that no generator of random numbers and no float stands between a seed and a setting.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, get_args

import numpy as np

from grinder.config import RATIOS, SEVERITIES, Config, check_setting, plain_value
from grinder.errors import ConfigError, NumberError
from grinder.units import ONE, format_units, parse_decimal, parse_ratio

__all__ = ["Axis", "Point", "axes_of", "draw", "grid_points", "random_points", "settings_at", "shown_value"]

Point = tuple[tuple[str, Any], ...]
"""Settings that vary, by name, with their values as `Config` takes them; a name may have a part: `k_tail.range`."""

MOST: Final = 10_000_000
"""Points of one sweep; more are a mistake."""
_RATIO: Final = Fraction(1, ONE)


@dataclass(frozen=True)
class Axis:
    """One setting that varies, and its values by number.

    Args:
        name: of the setting. count: how many values there are.
        values: all of them, or none where they are a range.
        low, step: of a range, value `i` is `low + i * step`. whole: whether the setting is a whole number.
    """

    name: str
    count: int
    values: tuple[Any, ...] = ()
    low: Fraction = Fraction(0)
    step: Fraction = Fraction(1)
    whole: bool = False

    def value(self, i: int) -> Any:
        """The value of this number, counted from 0: a whole number, decimal text, or what was listed."""
        if self.values:
            return self.values[i]
        number = self.low + i * self.step
        return int(number) if self.whole else format_units(number.numerator, Fraction(1, number.denominator))


def axes_of(given: Mapping[str, Any], *, ranges: bool) -> list[Axis]:
    """The settings that vary, each value of them one that `Config` takes.

    Args:
        given: by name a list of values or, where `ranges`, text "LOW:HIGH" or "LOW:HIGH:STEP".

    Raises:
        ConfigError: no such setting, or a value that it does not take; the message names both.
    """
    out = []
    for name, values in given.items():
        axis = _range(name, values) if ranges and isinstance(values, str) else _listed(name, values)
        for i in range(axis.count) if axis.values else (0, axis.count - 1):
            check_setting(*_whole_setting(name, axis.value(i)))
        out.append(axis)
    return out


def _listed(name: str, values: Any) -> Axis:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence | np.ndarray):
        raise ConfigError(f"{name} is {values!r}: give a list of values, such as {{{name!r}: [...]}}")
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if not items:
        raise ConfigError(f"{name}: an empty list gives no cell; name values or leave {name} out")
    return Axis(name, len(items), tuple(items))


def _range(name: str, text: str) -> Axis:
    """The axis of "LOW:HIGH" or "LOW:HIGH:STEP"."""
    words = [word.strip() for word in text.split(":")]
    kind = _kind(name)
    if len(words) not in (2, 3) or not all(words) or kind == "other":
        what = "give a list of values" if kind == "other" else f"write LOW:HIGH or LOW:HIGH:STEP, such as {_EXAMPLE[kind]}"
        raise ConfigError(f"range of {name} is {text!r}: {what}")
    try:
        low, high, *steps = (Fraction(parse_ratio(word, name)) / ONE if kind == "ratio" else parse_decimal(word) for word in words)
    except NumberError as error:
        raise ConfigError(f"range of {name} is {text!r}: {error}") from None
    step = steps[0] if steps else {"whole": Fraction(1), "ratio": _RATIO, "amount": _finest(low, high)}[kind]
    if kind == "whole" and any(number.denominator != 1 for number in (low, step)):
        raise ConfigError(f"range of {name} is {text!r}: {name} is a whole number")
    if step <= 0 or high < low:
        raise ConfigError(f"range of {name} is {text!r}: LOW is at most HIGH, and STEP is over 0")
    return Axis(name, math.floor((high - low) / step) + 1, (), low, step, kind == "whole")


_EXAMPLE: Final = {"whole": "3:12", "ratio": "5bp:50bp", "amount": "0.01:0.1:0.005"}


def _kind(name: str) -> str:
    """Whether a setting is a ratio, a whole number, an amount of money or of a quantity, or something else."""
    field, _, part = name.partition(".")
    check_name(field)
    annotation = Config.model_fields[field].annotation
    inner = get_args(annotation) or (annotation,)
    if field in RATIOS or (part and field in _RATIO_PARTS):
        return "ratio"
    if annotation is int or (part and field in _WHOLE_PARTS):
        return "whole"
    return "amount" if Decimal in inner and (not part or field in _AMOUNT_PARTS) else "other"


_RATIO_PARTS: Final = ("k_tail", "shock_multiplier", "spread_limits", "impact_limits", "jump_limits")
_WHOLE_PARTS: Final = ("horizon_ms", "quarantined_limits")
_AMOUNT_PARTS: Final = ("quantity", "dd_budget_symbol")


def check_name(field: str) -> None:
    """Whether there is such a setting. Raises ConfigError."""
    if field not in Config.model_fields:
        raise ConfigError(f"{field}: there is no such setting")


def _finest(*numbers: Fraction) -> Fraction:
    """The decimal place that the finest of these numbers needs."""
    place = Fraction(1)
    while any((number / place).denominator != 1 for number in numbers):
        place /= 10
    return place


def _whole_setting(name: str, value: Any) -> tuple[str, Any]:
    """A setting to be checked by itself; a part of one is put into its defaults."""
    field, _, part = name.partition(".")
    check_name(field)
    return (field, _put(field, Config.model_fields[field].default, part, value)) if part else (field, value)


def _put(field: str, whole: Any, part: str, value: Any) -> Any:
    """A setting of several parts with one of them changed."""
    if isinstance(whole, tuple) and part in SEVERITIES:
        return tuple(value if severity == part else old for severity, old in zip(SEVERITIES, whole, strict=True))
    if isinstance(whole, Mapping) or (whole is None and field in _AMOUNT_PARTS):
        return {**(whole or {}), part: value}
    parts = f"parts are {', '.join(SEVERITIES)}" if isinstance(whole, tuple) else "it has no parts here"
    raise ConfigError(f"{field}.{part}: {parts}; name the whole setting, or one of its parts")


def settings_at(base: Config, point: Point) -> Config:
    """The settings of a point: `base` with what varies on top.

    Raises:
        ConfigError: values that do not go together.
    """
    values = {name: getattr(base, name) for name in base.model_fields_set}
    for name, value in point:
        field, _, part = name.partition(".")
        values[field] = _put(field, values.get(field, getattr(base, field)), part, value) if part else value
    return Config(**values)


def shown_value(config: Config | None, name: str, value: Any) -> Any:
    """What a table shows of a setting: the config's own spelling, or the value as given where there is no config."""
    if config is None:
        return value
    field, _, part = name.partition(".")
    whole = getattr(config, field)
    if part:
        whole = whole[SEVERITIES.index(part)] if isinstance(whole, tuple) else whole[part]
    return plain_value(whole)


# Points


def grid_points(axes: Sequence[Axis]) -> Iterator[Point]:
    """Every combination, the last setting varying fastest."""
    if math.prod(axis.count for axis in axes) > MOST:
        raise ConfigError(f"the grid has {math.prod(axis.count for axis in axes):,} points, more than {MOST:,}: draw some of them")
    for numbers in itertools.product(*(range(axis.count) for axis in axes)):
        yield tuple((axis.name, axis.value(i)) for axis, i in zip(axes, numbers, strict=True))


def random_points(axes: Sequence[Axis], count: int, seed: int) -> Iterator[Point]:
    """`count` draws, each setting of each a number of its own: more draws, or another setting, change none of them."""
    for number in range(count):
        yield tuple((axis.name, axis.value(draw(seed, number, axis.name, axis.count))) for axis in axes)


def draw(seed: int, number: int, name: str, count: int) -> int:
    """A number of [0, count) that seed, number of the draw and name of the setting alone decide.

    SHA-256 as a number of 256 bits, scaled: each outcome has the same share of them to within one part in 2**200.

    >>> [draw(1, number, "step", 6) for number in range(10)]
    [4, 5, 0, 5, 4, 1, 3, 0, 1, 0]
    """
    word = hashlib.sha256(f"grinder sweep\0{seed}\0{number}\0{name}".encode()).digest()
    return int.from_bytes(word, "big") * count >> 256
