"""What `[expect]` of a manifest may ask a replay to show (SPEC 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from grinder.records import Regime

__all__ = ["EXPECTED", "wrong_expectation"]

EXPECTED: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("fills", "buys", "sells", "cycles"), (int,)),
    "realised": (int, bool),
    "regimes": (list,),
}
"""Names and the types of their values: least counts, that realised PnL is other than 0, names of regimes."""


def wrong_expectation(expect: Mapping[str, Any]) -> str | None:
    """What is wrong with the first expectation that cannot be checked; None when all can."""
    for key, least in expect.items():
        if key not in EXPECTED:
            return f"[expect] {key}: there is no such expectation; known are {', '.join(EXPECTED)}"
        if type(least) not in EXPECTED[key]:
            return f"[expect] {key} = {least!r}: counts are numbers, regimes a list"
        if not isinstance(least, list) and (least < 1 or (key == "realised" and least != 1)):
            return f"[expect] {key} = {least!r}: it would prove nothing; counts are at least 1, realised is true"
        for regime in least if isinstance(least, list) else ():
            if not isinstance(regime, str) or regime not in Regime.__members__:
                return f"[expect] regimes: there is no regime {regime!r}; there are {', '.join(Regime.__members__)}"
    return None
