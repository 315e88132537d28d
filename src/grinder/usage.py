"""Examples of every command, for its `--help`: what one types, as it stands. tests/test_usage.py runs them."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["EXAMPLES", "commands_of", "teach"]

WIDTH: Final = 100
_HARD: Final = "\u00a0"
"""A space at which no line ends."""
EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "replay": (
        "grinder replay binance_btcusdt_6m --plot first.png",
        "grinder replay range_day_l1 --set policy=smart --set dd_budget_pct=1% --card",
        "grinder replay ./fixtures/mine --save mine.grinder --json",
    ),
    "explain": (
        'grinder explain range_day_l1 --at "2024-01-03 14:02"',
        'grinder explain before.grinder --at "2024-08-08 23:57" --fixture binance_btcusdt_6m',
    ),
    "report": (
        "grinder report range_day_l1 --set policy=smart --set dd_budget_pct=1% --out smart.html",
        "grinder report ./fixtures/mine --policy policy.py:wide --out mine.html",
        "grinder report before.grinder --fixture binance_btcusdt_6m --out before.html",
    ),
    "diff": (
        "grinder diff before.grinder after.grinder",
        "grinder diff binance_btcusdt_6m --set step=3bp --html difference.html",
        "grinder diff v0.1 main --fixture binance_btcusdt_6m",
    ),
    "bisect": (
        "grinder bisect binance_btcusdt_6m --good v0.1",
        "grinder bisect binance_btcusdt_6m --good v0.1 --bad main --html culprit.html",
    ),
    "verify": (
        "grinder verify",
        "grinder verify range_day_l1 ./fixtures/mine --twice",
        "grinder verify --format junit > verdicts.xml",
    ),
    "accept": ('grinder accept mine --reason "fees were rounded twice"',),
    "import binance": ("grinder import binance recording.gz --out fixtures/btc --kind perpetual",),
    "import archive": (
        "grinder import archive BTCUSDT-bookTicker-2024-01-01.csv --out fixtures/btc --kind perpetual",
        "grinder import archive BTCUSDT-1m-2024-01-01.csv --spread-ticks 1 --size 2 --out fixtures/minutes --kind spot",
    ),
    "import lean": ("grinder import lean 20240101_quote.csv --symbol BTCUSD --out fixtures/btc --kind spot",),
    "import tardis": ("grinder import tardis quotes.csv --out fixtures/btc --kind perpetual --clock exchange",),
    "import table": (
        "grinder import table --symbol COIN --quotes mine.csv --column bid_px=bid --out fixtures/coin --kind spot",
        "grinder import table --symbol COIN --quotes plain.csv --commands desk.csv --out fixtures/desk --kind spot",
    ),
    "fixture validate": ("grinder fixture validate range_day_l1", "grinder fixture validate ./fixtures/mine --json"),
    "fixture join": ("grinder fixture join day1 day2 --out fixtures/both",),
    "generate": (
        "grinder generate trend_day --seed 7 --out fixtures/trend",
        "grinder generate vol_shock --set quotes_per_day=20000 --out fixtures/shock",
        "grinder generate --check range_day_l1",
    ),
    "lint lookahead": (
        "grinder lint lookahead dydx_btcusd_1d --policy policy.py:wide",
        "grinder lint lookahead dydx_btcusd_1d --set policy=smart --cuts 8",
    ),
    "new": ("grinder new mine", "grinder new shocks --fixture vol_shock"),
    "warmup": ("grinder warmup",),
    "doctor": ("grinder doctor", "grinder doctor --json"),
}
"""Command -> what one may type; those of `sweep` and `completion` stand in what they say of themselves."""


def teach(parser: argparse.ArgumentParser) -> None:
    """Put the examples of each command before what stands at the end of its help, which is kept."""
    for words, command in commands_of(parser):
        ending = _wrapped(command.epilog or "")
        lines = [f"  {line}" for line in EXAMPLES.get(words, ())]
        if lines:
            ending = "\n".join(["examples:", *lines, "", ending]).rstrip()
        command.epilog = ending
        command.formatter_class = argparse.RawDescriptionHelpFormatter


def _wrapped(text: str) -> str:
    """A list in lines that end at a comma."""
    whole = text.replace(" ", _HARD).replace(f",{_HARD}", ", ")
    return textwrap.fill(whole, WIDTH).replace(_HARD, " ")


def commands_of(parser: argparse.ArgumentParser, above: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that can be run, by its words, and its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                words = f"{above} {name}".strip()
                if any(isinstance(one, argparse._SubParsersAction) for one in below._actions):
                    yield from commands_of(below, words)
                else:
                    yield words, below
