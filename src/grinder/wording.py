"""A record's values in words: prices with their currency, ratios in bp, times in UTC, codes and reasons by name.

One table says what each column of each stage is. Nothing here refuses a value: a code without a name is shown as its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum, IntFlag
from typing import Final

from grinder.data.instrument import Instrument
from grinder.explain import _clock, _plain, _Show, _span
from grinder.records import (
    NONE,
    Adds,
    Alert,
    AlertLevel,
    Cause,
    Command,
    Fault,
    Feature,
    GateKind,
    InputKind,
    IntentKind,
    Mode,
    OrderState,
    Reason,
    Regime,
    Role,
    Severity,
    Stream,
    Toxicity,
)
from grinder.units import NS_PER_DAY, NS_PER_MS, ONE, format_units

__all__ = ["Words", "clock", "money", "named", "stretch", "unit_of"]

ATR_UNIT: Final = "1e-8 half ticks"
_UNITS: Final[dict[str, dict[str, str]]] = {
    "input": {"value": "by kind"},
    "bars": {"start": "ns", **dict.fromkeys(("open", "high", "low", "close"), "half ticks")},
    "features": {
        "absent": "bits",
        "tr": ATR_UNIT,
        "atr": ATR_UNIT,
        **dict.fromkeys(("thin_l1", "depth_bid", "depth_ask"), "atoms"),
        **dict.fromkeys(("walls_bid", "walls_ask"), "count"),
    },
    "gates": {"reasons": "bits"},
    "regimes": {"reasons": "bits"},
    "plans": {
        "center": "1e-6 ticks",
        **dict.fromkeys(("step", "width_down", "width_up", "tp_step"), "1e-8"),
        **dict.fromkeys(("levels_down", "levels_up"), "count"),
        **dict.fromkeys(("budget", "worst_down", "worst_up"), "atoms"),
        "reasons": "bits",
    },
    "levels": {"price": "ticks", "qty": "lots"},
    "intents": {"price": "ticks", "qty": "lots", "reason": "bits"},
    "orders": {"price": "ticks", "remaining": "lots", "live_ts": "ns"},
    "fills": {"price": "ticks", "qty": "lots", "fee": "atoms"},
    "ledger": {
        "cause": "bits",
        "position": "lots",
        **dict.fromkeys(
            "cost cash realised unrealised fees funding equity peak drawdown budget".split(),
            "atoms",
        ),
    },
    "alerts": {"value": "by code", "limit": "by code"},
}
"""Units of the columns that hold an amount; the features not named here are ratios, what is left are codes, ids and counts."""

_CODES: Final[dict[tuple[str, str], type[IntEnum]]] = {
    ("input", "kind"): InputKind,
    ("gates", "gate"): GateKind,
    ("regimes", "from"): Regime,
    ("regimes", "to"): Regime,
    ("plans", "regime"): Regime,
    ("plans", "mode"): Mode,
    ("plans", "adds_down"): Adds,
    ("plans", "adds_up"): Adds,
    ("intents", "kind"): IntentKind,
    ("intents", "role"): Role,
    ("orders", "from"): OrderState,
    ("orders", "to"): OrderState,
    ("fills", "role"): Role,
    ("alerts", "code"): Alert,
    ("alerts", "level"): AlertLevel,
}
_MASKS: Final[dict[tuple[str, str], type[IntFlag]]] = {
    ("features", "absent"): Feature,
    ("regimes", "reasons"): Reason,
    ("plans", "reasons"): Reason,
    ("intents", "reason"): Reason,
    ("ledger", "cause"): Cause,
}
_IDS: Final = {"order", "cycle", "plan"}
_COUNTS: Final = {"ticks", "i", "key", "event"}
_ALERT_UNITS: Final[dict[int, str]] = {Alert.BREAKER: "count", Alert.TOXICITY: "ns", Alert.L2_STALE: "ns"}
_PLAIN: Final = {"range_score", "efficiency_ratio", "imbalance_l1", "depth_imbalance"}
_STALE: Final = ("fresh", "stale", "paused", "paused ten times over")
_INPUT_CODES: Final[dict[int, type[IntEnum]]] = {
    InputKind.FAULT: Fault,
    InputKind.QUARANTINED: Fault,
    InputKind.COMMAND: Command,
}


def unit_of(stage: str, column: str, record: Mapping[str, int] | None = None) -> str:
    """The unit of a column's integers: ns, event, ticks, half ticks, 1e-6 ticks, lots, atoms, 1e-8, count, bits, id or code.

    Args:
        record: of which it is a column, where the unit depends on what the record is about.
    """
    if column in ("event", "ts", "symbol"):
        return {"event": "event", "ts": "ns", "symbol": "code"}[column]
    unit = _UNITS.get(stage, {}).get(column)
    if unit in ("by kind", "by code"):
        return _unit_by_record(stage, record or {})
    if unit is not None:
        return unit
    if column in _IDS:
        return "id"
    if column in _COUNTS:
        return "count"
    return "1e-8" if stage == "features" else "code"


def _unit_by_record(stage: str, record: Mapping[str, int]) -> str:
    if stage == "input":
        return {InputKind.GAP: "ns", InputKind.FUNDING: "1e-8"}.get(record.get("kind"), "code")  # type: ignore[call-overload, no-any-return]
    return _ALERT_UNITS.get(record.get("code", NONE), "atoms")


class Words:
    """Values of records as text, for the instruments of one run."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.symbols = [instrument.symbol for instrument in instruments]
        self.shows = [_Show(instrument) for instrument in instruments]

    def symbol(self, s: int) -> str:
        """A symbol's name; -1 is the portfolio."""
        if s == NONE:
            return "portfolio"
        return self.symbols[s] if 0 <= s < len(self.symbols) else f"symbol {s}"

    def value(self, stage: str, column: str, record: Mapping[str, int]) -> str:
        """One value of a record, for reading."""
        value, s = int(record[column]), int(record.get("symbol", 0))
        if column == "symbol":
            return self.symbol(value)
        named = self._named(stage, column, value, record)
        if named is not None:
            return named
        show = self.shows[s if 0 <= s < len(self.shows) else 0]
        return amount(show, unit_of(stage, column, record), column, value)

    def record(self, stage: str, record: Mapping[str, int]) -> str:
        """A whole record on one line: symbol, then its columns."""
        cells = [f"{column} {self.value(stage, column, record)}" for column in record if column not in ("event", "ts", "symbol")]
        return f"{self.symbol(int(record.get('symbol', NONE)))}: {', '.join(cells)}"

    def _named(self, stage: str, column: str, value: int, record: Mapping[str, int]) -> str | None:
        """The name of a code or of the bits of a mask; None for amounts."""
        if (stage, column) in _MASKS:
            return _bits(value, [(str(one.name), int(one)) for one in _MASKS[stage, column]])
        if (stage, column) == ("gates", "reasons"):
            return _bits(value, [(one.name, 1 << one) for one in Toxicity])
        if stage == "gates" and column in ("from", "to"):
            return _level(record.get("gate", -1), value)
        if column == "side":
            return {1: "BUY", -1: "SELL"}.get(value, str(value))
        if column == "taker":
            return {0: "maker", 1: "taker"}.get(value, str(value))
        kind: type[IntEnum] | None = _CODES.get((stage, column))
        if stage == "input" and column == "code":
            kind = _INPUT_CODES.get(record.get("kind", -1))
        if stage == "input" and column == "value" and record.get("kind") == InputKind.QUARANTINED:
            kind = Stream
        if value == NONE and (column in _IDS or (kind is not None and column == "from")):
            return "none"
        return None if kind is None else named(kind, value)


def amount(show: _Show, unit: str, column: str, value: int) -> str:
    """An amount in its unit, as text with the currency, the % or the time."""
    texts: dict[str, Callable[[], str]] = {
        "ns": lambda: clock(value) if column in ("ts", "start", "live_ts") else _span(value),
        "ticks": lambda: f"{show.price(value)} {show.quote}",
        "half ticks": lambda: f"{show.mid(value)} {show.quote}",
        ATR_UNIT: lambda: f"{_trimmed(format_units(value, show.tick / 2 / ONE))} {show.quote}",
        "1e-6 ticks": lambda: show.of("1e-6 ticks", value),
        "lots": lambda: show.quantity(value),
        "atoms": lambda: money(show.instrument, value),
        "1e-8": lambda: _ratio(show, column, value),
    }
    return texts[unit]() if unit in texts else str(value)


def money(instrument: Instrument, atoms: int) -> str:
    """Atoms as text with the quote currency, to the last atom: a difference of one has to be seen."""
    text = format_units(int(atoms), instrument.atom)
    return f"{_trimmed(text)} {instrument.quote}"


def clock(ns: int) -> str:
    """A time in UTC, as exact as it is."""
    return _clock(int(ns))


def stretch(ns: int) -> str:
    """A length of time as h:mm:ss, days before it.

    >>> stretch(90_061 * 10**9)
    '1 d 1:01:01'
    """
    days, rest = divmod(int(ns), NS_PER_DAY)
    seconds = rest // (NS_PER_MS * 1000)
    text = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{days:,} d {text}" if days else text


def _ratio(show: _Show, column: str, value: int) -> str:
    if column in _PLAIN:
        return _plain(value)
    if column == "trend_strength":
        return f"{_plain(value)} ATRs"
    return f"{_plain(value)} lots per bp" if column.startswith("slope_") else show.ratio(value)


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def named(kind: type[IntEnum], value: int) -> str:
    """The name of a code, or its number where it has none."""
    return kind(value).name if value in kind._value2member_map_ else str(value)


def _level(gate: int, level: int) -> str:
    """What a level of a gate is called."""
    if gate == GateKind.TOXICITY:
        return named(Severity, level)
    names = _STALE if gate == GateKind.STALE else ("closed", "open")
    return names[level] if 0 <= level < len(names) else str(level)


def _bits(value: int, names: Sequence[tuple[str, int]]) -> str:
    """The names of the bits that are set, and what of the value has no name."""
    found = [name for name, bit in names if value & bit]
    rest = value & ~sum(bit for _, bit in names)
    return ", ".join(found + ([str(rest)] if rest else [])) or "none"
