"""What `[expect]` of a manifest may ask a replay to show (SPEC 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from grinder.records import Alert, GateKind, Regime

__all__ = ["EXPECTED", "NAMES", "wrong_expectation"]

EXPECTED: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("fills", "buys", "sells", "cycles", "commands"), (int,)),
    "realised": (int, bool),
    **dict.fromkeys(("regimes", "gates", "alerts"), (list,)),
}
"""Names and the types of their values: least counts, that realised PnL is other than 0, names that must occur."""

NAMES: Final = {"regimes": Regime, "gates": GateKind, "alerts": Alert}
"""The enumerations that lists take their names from."""


def wrong_expectation(expect: Mapping[str, Any]) -> str | None:
    """What is wrong with the first expectation that cannot be checked; None when all can."""
    for key, least in expect.items():
        if key not in EXPECTED:
            return f"[expect] {key}: there is no such expectation; known are {', '.join(EXPECTED)}"
        if type(least) not in EXPECTED[key]:
            return f"[expect] {key} = {least!r}: counts are numbers, {', '.join(NAMES)} lists"
        if not isinstance(least, list) and (least < 1 or (key == "realised" and least != 1)):
            return f"[expect] {key} = {least!r}: it would prove nothing; counts are at least 1, realised is true"
        for name in least if isinstance(least, list) else ():
            if not isinstance(name, str) or name not in NAMES[key].__members__:
                return f"[expect] {key}: there is no {key[:-1]} {name!r}; there are {', '.join(NAMES[key].__members__)}"
    return None
