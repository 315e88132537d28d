"""Make the generated pages of the reference anew, of the code as it stands: `python docs/make_reference.py`.

tests/test_site.py holds the committed pages to what this script makes. What code does not tell of itself stands here:
where a setting is from, and what each column of a record means; a new setting or column without it fails.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import grinder
from grinder import errors, records
from grinder.cli import _EPILOG, _parser
from grinder.config import MAX_MS, ORDERED, Config
from grinder.wording import _CODES, _MASKS, unit_of

FOLDER = Path(__file__).resolve().parent / "reference"
MADE = "<!-- python docs/make_reference.py makes this page; edit the script or the code, not the page -->\n"

# Settings

WILDER = "J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978"
KAUFMAN = "P. J. Kaufman, *Smarter Trading*, 1995"
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Account and fees": {
        "equity": ("quote", "SPEC 15"),
        "maker_fee": ("ratio of notional", "SPEC 9, 15"),
        "taker_fee": ("ratio of notional", "SPEC 9, 15"),
        "slippage": ("ratio of price", "SPEC 9, 15"),
    },
    "Policy": {
        "policy": ("name", "SPEC 12"),
        "min_edge": ("ratio of price", "SPEC 7.4, 7.8, 15"),
    },
    "Policy `static`": {
        "step": ("ratio of price", "SPEC 12, 16.18"),
        "levels": ("levels", "SPEC 12, 16.18"),
        "quantity": ("base", "SPEC 12"),
    },
    "Bars and features": {
        "bar_interval_ms": ("ms", "SPEC 4, 15"),
        "atr_bars": ("bars", f"SPEC 4; {WILDER}"),
        "atr_method": ("name", f"SPEC 4; {WILDER}"),
        "return_bars": ("bars", f"SPEC 4; efficiency ratio: {KAUFMAN}"),
        "range_eps": ("ratio", "SPEC 4"),
        "range_cap": ("ratio", "SPEC 4"),
        "ema_fast": ("bars", "SPEC 4"),
        "ema_slow": ("bars", "SPEC 4"),
        "top_n": ("levels", "SPEC 4, 15"),
        "impact_quote": ("quote", "SPEC 4, 15"),
        "wall_ratio": ("ratio of quantities", "SPEC 4"),
    },
    "Gates": {
        "l1_stale_ms": ("ms", "SPEC 3.2, 5"),
        "l1_pause_ms": ("ms", "SPEC 5"),
        "l2_stale_ms": ("ms", "SPEC 5"),
        "thin_quote": ("quote", "SPEC 5, 15"),
        "thin_quote_depth": ("quote", "SPEC 5, 15"),
        "thin_ms": ("ms", "SPEC 5, 15"),
        "thin_clear_ms": ("ms", "SPEC 15, 16.5"),
        "shock_ratio": ("ratio of ranges", "SPEC 5, 15"),
        "shock_tr": ("ratio of ranges", "SPEC 5, 15"),
        "baseline_bars": ("bars", "SPEC 5"),
        "baseline_bars_min": ("bars", "SPEC 5"),
        "spread_bars": ("bars", "SPEC 5, 16.8"),
        "spread_bars_min": ("bars", "SPEC 5, 16.8"),
        "spread_floor": ("ratio of price", "SPEC 5, 16.8"),
        "spread_limits": ("median spreads", "SPEC 5"),
        "impact_limits": ("ratio of price", "SPEC 5"),
        "jump_limits": ("ATRs", "SPEC 5, 16.4"),
        "jump_window_ms": ("ms", "SPEC 5"),
        "quarantined_limits": ("rows", "SPEC 5"),
        "quarantine_window_ms": ("ms", "SPEC 5"),
        "clear_ms": ("ms", "SPEC 5, 16.7"),
        "risk_monitor": ("true or false", "SPEC 11, ADR-0028"),
    },
    "Trend state": {
        "trend_enter": ("ATRs", "SPEC 6, 15"),
        "trend_exit": ("ATRs", "SPEC 6, 15"),
        "er_enter": ("ratio", f"SPEC 6, 15; {KAUFMAN}"),
    },
    "Policy `smart`: stress and widths": {
        "horizon_ms": ("ms, by regime", "SPEC 7.2"),
        "k_tail": ("standard deviations, by regime", "SPEC 7.2"),
        "trend_penalty": ("ratio of stresses", "SPEC 7.2"),
        "x_min": ("ratio of price", "SPEC 7.2, 7.3"),
        "x_cap": ("ratio of price", "SPEC 7.2, 7.3"),
        "impact_ref": ("ratio of price", "SPEC 7.2, 15"),
        "side_mult_against": ("ratio of widths", "SPEC 7.3"),
        "side_mult_with": ("ratio of widths", "SPEC 7.3"),
    },
    "Policy `smart`: step and levels": {
        "alpha": ("NATRs", "SPEC 7.4"),
        "step_min": ("ratio of price", "SPEC 7.4"),
        "shock_multiplier": ("ratio of steps, by regime", "SPEC 7.4"),
        "min_step_ticks": ("ticks", "SPEC 7.4"),
        "levels_min": ("levels", "SPEC 7.5"),
        "levels_max": ("levels", "SPEC 7.5"),
        "skew_factor": ("ratio of price", "SPEC 7.5, 15"),
    },
    "Policy `smart`: sizes and churn": {
        "sizing": ("name", "SPEC 7.6, 15"),
        "max_weight_ratio": ("ratio of notionals", "SPEC 7.6"),
        "replan_levels": ("levels", "SPEC 7.9"),
        "replan_center": ("steps", "SPEC 7.9"),
    },
    "Which symbols are traded": {
        "top_k": ("symbols", "SPEC 12, 15"),
        "select_every_ms": ("ms", "SPEC 12, 15"),
        "switch_margin": ("score", "SPEC 12, 15"),
        "liq_ref": ("quote", "SPEC 12, 15"),
        "select_spread": ("ratio of price", "SPEC 12, 15"),
        "select_funding": ("ratio of notional", "SPEC 12"),
        "w_range": ("weight", "SPEC 12, 15"),
        "w_liq": ("weight", "SPEC 12, 15"),
        "w_tox": ("weight", "SPEC 12, 15"),
        "w_trend": ("weight", "SPEC 12, 15"),
    },
    "Market data and venue": {
        "max_gap_ms": ("ms", "SPEC 3.4, 15"),
        "max_jump": ("ratio of price", "SPEC 2.2, ADR-0010"),
        "fill_model": ("name", "SPEC 9"),
        "penetration": ("ticks", "SPEC 9"),
        "order_latency_ms": ("ms", "SPEC 3.3, 15"),
        "cancel_latency_ms": ("ms", "SPEC 3.3, 15"),
    },
    "Limits": {
        "max_inventory_notional": ("quote, or % of equity", "SPEC 7.7, 15"),
        "max_effective_leverage": ("ratio of equity", "SPEC 7.7, 15"),
        "max_open_orders": ("orders", "SPEC 7.7, 15"),
        "max_open_orders_portfolio": ("orders", "SPEC 7.7, 15"),
        "min_notional": ("quote", "SPEC 7.6, 7.7, 15"),
        "order_rate": ("orders a second", "SPEC 8, 15"),
        "order_burst": ("orders", "SPEC 8, 15"),
    },
    "Drawdown": {
        "dd_budget_pct": ("ratio of equity", "SPEC 7.1, 15"),
        "dd_budget": ("quote", "SPEC 7.1"),
        "dd_window": ("name", "SPEC 7.1, 15"),
        "dd_window_ms": ("ms", "SPEC 7.1, ADR-0028"),
        "dd_warn": ("share of the budget", "SPEC 10, 11"),
        "dd_clear": ("share of the budget", "SPEC 11"),
        "allocator": ("name", "SPEC 7.1, 15"),
        "dd_budget_symbol": ("quote", "SPEC 7.1, 11"),
    },
    "Protection": {
        "throttle_ms": ("ms", "SPEC 5, 15, 16.9"),
        "dc_tp_mult": ("ratio of distances", "SPEC 11, 15"),
        "flatten_on_drawdown": ("true or false", "SPEC 16.16"),
        "flatten_on_emergency": ("true or false", "SPEC 6, 15"),
        "latch_on_extreme": ("true or false", "SPEC 6, 15"),
        "max_consecutive_losses": ("cycles", "SPEC 11, 15"),
        "cooldown_ms": ("ms", "SPEC 11"),
        "alert_after_ms": ("ms", "SPEC 13, ADR-0028"),
    },
}
"""Heading -> setting -> its unit, and where it is from."""
SPECIAL = {
    "quantity": "over 0, a multiple of the lot; none: `static` is refused",
    "max_inventory_notional": "0 or more; 0 % to 50000 %",
    "dd_budget_symbol": "0 or more; none: the allocator's",
}
"""Ranges that a rule in words decides."""


def bounds(field: Any) -> list[tuple[str, Decimal]]:
    """What is asked of a setting's number, or of each of its numbers: `ge`, `gt`, `le`, `lt`, `multiple_of` and their values."""
    kinds = ("ge", "gt", "le", "lt", "multiple_of")
    metadata = [*field.metadata, *_inner(field.annotation)]
    return [(kind, getattr(rule, kind)) for rule in metadata for kind in kinds if getattr(rule, kind, None) is not None]


def _inner(annotation: Any) -> Iterator[Any]:
    """Rules of the parts of an annotation: one for all of a tuple's, as of a mapping's values."""
    parts = [part for part in get_args(annotation) if part not in (type(None), str)]
    if get_origin(annotation) in (tuple, dict) and parts:
        yield from getattr(parts[0], "__metadata__", ())
        for rule in getattr(parts[0], "__metadata__", ()):
            yield from getattr(rule, "metadata", ())
        yield from _inner(getattr(parts[0], "__origin__", None))


def span(name: str) -> str:
    """The range of a setting, in words."""
    field = Config.model_fields[name]
    if name in SPECIAL:
        return SPECIAL[name]
    if get_origin(field.annotation) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(field.annotation))
    if field.annotation is bool:
        return "`true` or `false`"
    rules = dict(bounds(field))
    words = [f"{text} {plain(rules[kind])}" for kind, text in (("ge", "from"), ("gt", "over")) if kind in rules]
    words += [f"{text} {plain(rules[kind])}" for kind, text in (("le", "to"), ("lt", "under")) if kind in rules]
    words += ["(366 days)"] if rules.get("le") == MAX_MS else []
    words += [f"in steps of {plain(rules['multiple_of'])}"] if "multiple_of" in rules else []
    order = [f"at most `{high}`" for low, high in ORDERED if low == name]
    order += [f"at least `{low}`" for low, high in ORDERED if high == name]
    return ", ".join([" ".join(words), *order])


def plain(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(part)}" for key, part in value.items())
    if isinstance(value, tuple):
        return ", ".join(plain(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return "none" if value is None else f"{Decimal(str(value)):f}" if not isinstance(value, str) else value


def settings_page() -> str:
    """reference/settings.md."""
    missing = set(Config.model_fields) ^ {name for group in GROUPS.values() for name in group}
    assert not missing, f"say in GROUPS where these are from: {sorted(missing)}"
    lines = [MADE, SETTINGS_HEAD]
    for title, group in GROUPS.items():
        rows = [_setting(name, unit, source) for name, (unit, source) in group.items()]
        lines += [f"## {title}\n", table(("setting", "what it is", "unit", "default", "range", "source"), rows)]
    return "\n".join(lines)


def _setting(name: str, unit: str, source: str) -> tuple[str, ...]:
    field = Config.model_fields[name]
    what = re.sub(r" \(SPEC [\d., ]+\)", "", field.description or "").removeprefix("ms; ").removeprefix("quote; ")
    what = re.sub(r"^(ticks|base)[;,] ", "", what)
    return (f"`{name}`", what, unit, plain(field.default), span(name), source)


SETTINGS_HEAD = """# Settings

Every field of `grinder.Config`. In Python `gr.Config(step="5bp")`, on the command line `--set step=5bp`, in a fixture's
`fixture.toml` a line `step = "5bp"` under `[config]`. What a fixture sets is the default of its replays; what you set comes on top.

- A **ratio** is `"5bp"`, `"0.05%"`, `"0.0005"` or `0.0005`: the same setting and the same digest. It is kept in 1e-8.
- **quote** and **base** are amounts of the quote or base currency, as decimal text or a number.
- A setting **by regime** is a mapping with some of `range`, `trend`, `vol_shock`, `thin_book`; those left out keep their defaults.
- **Three limits** are of the severities MID, HIGH and EXTREME; the range is that of each. A limit of 0 never triggers.
- A name that does not exist and a value out of range are refused with exit code 2, and told what is allowed.

The digest depends on the values that differ from their defaults, so that a setting added later changes no digest.
*source* is the section of the specification that a rule is from, the decision record (ADR, see [Decisions](../DECISIONS.md)), and
the publication where there is one. What each default changes first, and where, is measured in [Defaults](../DEFAULTS.md).
"""

# Records

STAGE_TEXT = {
    "input": "Faults, quarantined rows, gaps, funding and commands; never plain quotes.",
    "bars": "A bar that closed, of the mid.",
    "features": "At each bar close. A value that is absent is 0 and has its bit in `absent`.",
    "gates": "A gate's level or its reasons changed.",
    "regimes": "The regime changed.",
    "plans": "A new plan of a grid.",
    "levels": "The prices and quantities of a plan, as it was made.",
    "intents": "What the reconciler sent, or did not send and why.",
    "orders": "A change in an order's life.",
    "fills": "A fill, or a part of one.",
    "ledger": "The money at each mark; `symbol` -1 is the portfolio.",
    "alerts": "What someone should look at.",
}
FIRST = {
    "event": "index of the event that caused the record, in the merged order, from 0",
    "ts": "time of that event",
    "symbol": "rank of the symbol in ASCII order; -1: the portfolio",
}
MEANING: dict[str, dict[str, str]] = {
    "input": {
        "kind": "what happened",
        "code": "of a fault or a quarantined row the Fault, of a command the Command",
        "value": "of a gap its length in ns, of funding the rate in 1e-8, of a quarantined row its Stream",
    },
    "bars": {
        "start": "first time that belongs to the bar",
        "open": "first mid",
        "high": "highest mid",
        "low": "lowest mid",
        "close": "last mid",
        "ticks": "accepted quotes in it",
    },
    "features": {
        "absent": "features that have no value yet, or none without a book",
        "tr": "true range",
        "atr": "average true range",
        "natr": "`atr` over the close",
        "sum_abs_returns": "sum of absolute returns over the window",
        "net_return": "absolute return over the window",
        "range_score": "the former over the latter: higher is more chop",
        "efficiency_ratio": "net move over the sum of moves, 0 to 1",
        "trend_strength": "fast less slow average, in ATRs, signed",
        "spread_bps": "spread over mid",
        "imbalance_l1": "best bid's quantity against best ask's, -1 to 1",
        "thin_l1": "worth of the smaller best level",
        "depth_bid": "worth of the best levels of bids",
        "depth_ask": "worth of the best levels of asks",
        "depth_imbalance": "the one against the other, -1 to 1",
        "impact": "how far from the best price `impact_quote` trades on average, over mid; the worse side",
        "spread_at_depth": "spread between the average prices of that amount, over mid",
        "slope_bid": "lots that each basis point from the mid adds, of bids",
        "slope_ask": "the same of asks",
        "walls_bid": "levels of bids with far more than the side's median",
        "walls_ask": "the same of asks",
        "wall_dist_bid": "distance of the nearest wall over mid; 0: there is none",
        "wall_dist_ask": "the same of asks",
    },
    "gates": {
        "gate": "which",
        "from": "level before",
        "to": "level now; of toxicity a Severity, of staleness 0 fresh, 1 stale, 2 paused, 3 ten times paused, else 0 or 1",
        "reasons": "inputs of toxicity that are that bad; of other gates 0",
    },
    "regimes": {"from": "before; the first is PAUSED", "to": "now", "reasons": "why, where a reason has a bit"},
    "plans": {
        "plan": "number of the plan in the run",
        "regime": "for which it was made",
        "mode": "of protection at that time",
        "center": "middle of the grid",
        "step": "from level to level",
        "width_down": "how far down it reaches",
        "width_up": "how far up",
        "levels_down": "levels below",
        "levels_up": "levels above",
        "adds_down": "how buys are placed",
        "adds_up": "how sells are placed",
        "tp_step": "distance of take-profits",
        "budget": "what the symbol may lose",
        "worst_down": "what position and entries lose in the worst case downwards",
        "worst_up": "the same upwards",
        "reasons": "what decided a number",
    },
    "levels": {
        "plan": "whose",
        "side": "1 BUY, -1 SELL",
        "i": "from the center outwards, from 1",
        "price": "limit",
        "qty": "quantity",
    },
    "intents": {
        "kind": "what was asked for",
        "order": "id; -1: a placement that was not sent",
        "side": "1 BUY, -1 SELL",
        "role": "what the order is for",
        "key": "level of an entry, cycle of a take-profit: what matches wanted and open orders",
        "price": "limit",
        "qty": "quantity",
        "reason": "0: sent; else why it was not, or why at another price",
    },
    "orders": {
        "order": "id, counted from 0",
        "from": "state before; -1: it was sent now",
        "to": "state now",
        "price": "limit",
        "remaining": "quantity not filled",
        "live_ts": "from when it, or what was changed of it, holds",
    },
    "fills": {
        "order": "id",
        "cycle": "the cycle that it opened or closes; -1: none",
        "side": "1 BUY, -1 SELL",
        "role": "what the order was for",
        "price": "at which it filled",
        "qty": "quantity",
        "fee": "paid; negative: a rebate",
        "taker": "1 taker, 0 maker",
    },
    "ledger": {
        "cause": "what made the mark",
        "position": "signed",
        "cost": "what the position cost, a magnitude",
        "cash": "after fees and funding; a symbol's begins at 0, the portfolio's at the initial equity",
        "realised": "profit of what was closed, by average cost, before fees",
        "unrealised": "profit of what is open, at mid",
        "fees": "paid so far",
        "funding": "received so far, signed",
        "equity": "initial + realised + unrealised - fees + funding = cash + worth of the position",
        "peak": "highest equity since the drawdown window began",
        "drawdown": "peak less equity",
        "budget": "what the drawdown may come to",
    },
    "alerts": {"code": "about what", "level": "how bad", "value": "what was seen", "limit": "what it was held against"},
}
CODES: tuple[type[IntEnum] | type[IntFlag], ...] = (
    *(records.InputKind, records.Fault, records.Command, records.Stream, records.GateKind, records.Severity, records.Toxicity),
    *(records.Regime, records.Mode, records.Adds, records.Reason, records.IntentKind, records.Role, records.OrderState),
    *(records.Cause, records.Alert, records.AlertLevel, records.Feature),
)


def records_page() -> str:
    """reference/records.md."""
    lines = [
        MADE,
        RECORDS_HEAD,
        table(("column", "unit", "meaning"), [(f"`{c}`", unit_of("", c), text) for c, text in FIRST.items()]),
    ]
    for number, (stage, columns) in enumerate(records.STAGES.items()):
        assert list(MEANING[stage]) == list(columns), f"say in MEANING what the columns of {stage} mean"
        rows = [(f"`{column}`", _unit(stage, column), MEANING[stage][column]) for column in columns]
        lines += [f"## {stage}\n", f"{STAGE_TEXT[stage]} Stage {number}, format version {records.STAGE_VERSIONS[stage]}.\n"]
        lines += [table(("column", "unit", "meaning"), rows)]
    lines += ["## Codes\n", "Codes count from 0; of masks each name is a bit.\n"]
    for kind in CODES:
        mask = issubclass(kind, IntFlag)
        lines += [f"### {kind.__name__}\n", f"{summary(kind)}\n"]
        lines += [table(("bit" if mask else "code", "name"), [(str(int(one)), f"`{one.name}`") for one in kind])]
    return "\n".join(lines)


def _unit(stage: str, column: str) -> str:
    """The unit of a column, with the code or mask that it holds."""
    kind = _CODES.get((stage, column)) or _MASKS.get((stage, column))
    kind = records.Toxicity if (stage, column) == ("gates", "reasons") else kind
    by_record = {("input", "value"): "by `kind`", ("input", "code"): "by `kind`", ("alerts", "value"): "by `code`"}
    by_record |= {("alerts", "limit"): "by `code`"}
    unit = by_record.get((stage, column)) or unit_of(stage, column)
    return f"{unit}: [{kind.__name__}](#{kind.__name__.lower()})" if kind else unit


RECORDS_HEAD = """# Records

What a run declares, stage by stage, in the causal order in which a difference is searched for. `run.fills`, `run.ledger` and so on
are tables of these rows; every value is an int64. Only these rows are hashed, never the engine's private state.

| unit | is |
|---|---|
| ns | nanoseconds since 1970 in UTC; of a length of time, nanoseconds |
| ticks, half ticks | of the instrument's `tick_size`; a mid is `bid + ask`, in half ticks |
| lots | of the instrument's `lot_size` |
| atoms | `10**-quote_decimals` of the quote currency, 1e-8 by default |
| 1e-8 | ratios: 1.0 is 100,000,000 and a basis point 10,000 |
| code, bits | of an enumeration below |
| id, count | plain numbers |

Every row of every stage starts with three columns:
"""

# Errors


def errors_page() -> str:
    """reference/errors.md."""
    kinds = [getattr(errors, name) for name in errors.__all__]
    rows = [(f"`{kind.__name__}`", f"`{kind.__mro__[1].__name__}`", str(kind.exit_code), summary(kind)) for kind in kinds]
    codes = _EPILOG.removeprefix("exit codes: ").split(", ")
    told = table(("code", "what it says"), [tuple(code.split(" ", 1)) for code in codes])
    return "\n".join((MADE, ERRORS_HEAD, told, ERRORS_TREE, table(("error", "is a", "exit code", "when"), rows)))


ERRORS_HEAD = """# Errors and exit codes

Every error that grinder raises on purpose is a `grinder.errors.GrinderError`. An error of a row names file, row, column, value and
the cure; what was written before it stays whole. What each faulty file is answered with is listed in [Faults](../FAULTS.md).

The command line ends with:
"""
ERRORS_TREE = """
## In Python
"""

# The command line


def commands() -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Every command and each of its sorts: its words, its parser and what it is for."""
    yield from _commands_of(_parser(), "grinder")


def _commands_of(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._choices_actions}
            for name, below in action.choices.items():
                if not any(isinstance(one, argparse._SubParsersAction) for one in below._actions):
                    yield f"{words} {name}", below, helps[name]
                yield from _commands_of(below, f"{words} {name}")


def cli_page() -> str:
    """reference/cli.md."""
    lines = [MADE, CLI_HEAD]
    for words, parser, what in commands():
        lines += [f"## {words}\n", f"{escaped(what[:1].upper() + what[1:])}.\n", f"```text\n{usage(words, parser)}\n```\n"]
        lines += [table(("argument", "what it is"), [_argument(action) for action in _arguments(parser)])]
        lines += ["```text", *re.findall(r"^  (grinder .*)$", f"{parser.description}\n{parser.epilog}", re.MULTILINE), "```\n"]
    return "\n".join(lines)


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.dest != "help"]


def _argument(action: argparse.Action) -> tuple[str, str]:
    """A row: how it is written, and what is said of it."""
    value = _value(action)
    written = ", ".join(f"`{name} {value}`" if value else f"`{name}`" for name in action.option_strings) or f"`{value}`"
    said = (action.help or "") % {"default": action.default}
    told = [said] + (["required"] if action.required and action.option_strings else [])
    told += ["may be repeated"] if isinstance(action, argparse._AppendAction) and "repeated" not in said else []
    return written, escaped("; ".join(filter(None, told)))


def _value(action: argparse.Action) -> str:
    """What stands for an argument's value; nothing for a switch."""
    if action.nargs == 0:
        return ""
    if action.choices is not None and not action.metavar:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or (action.dest.upper() if action.option_strings else action.dest))


def usage(words: str, parser: argparse.ArgumentParser) -> str:
    """How a command is written: what it needs, then `...` for what it may have."""
    shown = [words]
    for action in _arguments(parser):
        value = _value(action)
        if action.option_strings and action.required:
            shown.append(f"{action.option_strings[0]} {value}")
        elif not action.option_strings:
            many = f"{value} [{value} ...]"
            shown.append({"*": f"[{many}]", "+": many, "?": f"[{value}]"}.get(str(action.nargs), value))
    optional = any(action.option_strings and not action.required for action in _arguments(parser))
    return " ".join(shown + (["[options]"] if optional else []))


CLI_HEAD = """# The command line

stdout is data, stderr is progress and errors; `--json` prints one JSON object ([its keys](json.md)), the same bytes for the same
input. The [exit codes](errors.md) are those of every command. `grinder COMMAND --help` shows the same as this page.
"""

# What --json prints

JSON: dict[str, dict[str, str]] = {
    "grinder replay": {
        "fixture": "text; its name",
        "symbols[]": "text; in ASCII order",
        "digest": "text; 64 hexadecimal digits",
        "complete": "true or false; whether every event was seen",
        "config.**": "settings that differ from their defaults",
        "stages.*.count": "integer; records of the stage",
        "stages.*.root": "text; the last link of its chain",
        "summary.*": "integer; headline numbers of the portfolio, money in atoms",
        "provenance.*": "versions, commit and machine; beside the digest, never in it",
        "metrics.**": "with `--metrics`: as `run.metrics().to_dict()`, null where undefined",
    },
    "grinder explain": {
        "fixture": "text",
        "symbol": "text; whose state it is",
        "event": "integer; index of the last event until then",
        "ts": "integer; its time in ns",
        "time": "integer; the time asked for, ns",
        "sections.*.*.**": "a number by section and name, with its unit, its text and why it is so",
    },
    "grinder diff": {
        "equal": "true or false",
        "a.**": "the one side: label, name, digest, events, hashes of config and input",
        "b.**": "the other side",
        "first.**": "the first difference: stage, event, time, record, field, both values with their unit; null when equal",
        "by_stage[].**": "the first difference of each stage that differs",
        "story": "text; what led there",
        "note": "text; what could not be looked at",
        "sections.*.**": "what else was so and what else changed",
    },
    "grinder sweep": {
        "cells[].fixture": "text",
        "cells[].settings.**": "settings of the cell",
        "cells[].digest": "text; null of a cell that failed",
        "cells[].error": "text; null of one that did not",
        "cells[].figures.**": "figures by name, null where undefined",
        "varied[]": "text; settings that differ between cells",
        "computed": "integer; cells replayed now",
        "found": "integer; cells that the store had",
        "damaged": "integer; cells of the store that were damaged, and replayed again",
    },
    "grinder verify": {
        "fixture": "text; one object a line, one for each fixture",
        "passed": "true or false",
        "digest": "text; of the run",
        "golden": "text; what it should be",
        "first_stage": "text; the first stage that differs, or null",
        "first_window": "integer; its first window that differs, or null",
        "shortfalls[]": "text; what of `[expect]` was not shown",
        "next": "text; a command to type next, or null",
    },
    "grinder fixture validate": {
        "fixture": "text; one object a line, one for each fixture",
        "folder": "text",
        "valid": "true or false; of one that is not, `error` and `message` follow",
        "content": "text; SHA-256 of the decoded content",
        "rows.*": "integer; rows by stream",
        "accepted.*": "integer; accepted rows by stream",
        "quarantined.*": "integer; quarantined rows by stream and reason",
        "gaps.*": "integer; gaps by symbol",
        "prices.*[]": "text; lowest and highest price by symbol",
        "ts_range[]": "integer; first and last time, ns",
        "expect.**": "what a replay must show",
    },
    "grinder lint lookahead": {
        "fixture": "text",
        "policy": "text",
        "passed": "true or false",
        "findings[].**": "what was found: a kind, where and what to do",
        "notes[]": "text; what could not be looked at",
        "cuts[]": "integer; events at which the data were cut off",
        "reruns[]": "text; what was changed in reruns",
        "events": "integer; replayed",
        "records": "integer; compared",
    },
    "grinder bisect": {
        "fixture": "text",
        "good": "text; the commit it began with",
        "bad": "text; the commit it ended with",
        "culprit": "text; the commit that changed the digest, or null where several may have",
        "subject": "text; the first line of its message, or null",
        "suspects[]": "text; commits that may have",
        "steps[].commit": "text",
        "steps[].subject": "text",
        "steps[].verdict": "text; good, bad or skip",
        "steps[].why": "text; its digest, or why it could not be tried",
        "diff.**": "as of `grinder diff`, between the culprit and the commit before; or null",
    },
    "grinder accept": {
        "fixture": "text",
        "before": "text; the digest that the golden had, or null",
        "after": "text; the digest that it has now",
    },
    "grinder import binance": {
        "file": "text",
        "lines": "integer; of the file",
        "rows.*": "integer; rows by stream",
        "snapshots": "integer; of the book, which are not rows",
        "dropped.*": "integer; lines left out, by reason",
        "quarantined.*": "integer; rows that replays quarantine, by stream and reason",
        "gaps[].**": "pairs of a row of the books and a line: updates that are missing",
        "crossed": "integer; crossed rows",
        "disagreeing[].**": "likewise: books unlike the quotes",
        "ts_range[]": "integer; first and last time, ns",
        "reordered.*": "integer; rows that stand elsewhere than in the file, by stream",
        "tick_size": "text",
        "lot_size": "text",
        "inferred[]": "text; which of the two were not given",
        "clock": "text; exchange or local",
        "lag_ms": "integer; median of local minus exchange time, or null",
    },
    "grinder import archive": {
        "files[].**": "what each file is: symbol, kind, rows, header, unit of time",
        "rows.*": "integer; rows by stream",
        "dropped.*": "integer; rows left out, by reason",
        "quarantined.*": "integer; rows that replays quarantine, by stream and reason",
        "floored.*": "integer; numbers rounded down",
        "reordered.*": "integer; rows that a sort moved",
        "ts_range[]": "integer; first and last time, ns",
        "units.*.*": "text; tick and lot size by symbol",
        "inferred[]": "text; which of them were not given",
        "notes[]": "text; what else one should know",
    },
    "grinder fixture join": {
        "fixture": "text",
        "content": "text; SHA-256 of the decoded content",
        "events": "integer",
        "files": "integer; how many days",
    },
    "grinder generate": {
        "fixture": "text",
        "content": "text; SHA-256 of the decoded content",
        "events": "integer; with `--check` there is `equal`, true, in its place",
    },
    "grinder new": {"folder": "text", "fixture": "text; the kind of day", "files[]": "text; what was written"},
    "grinder warmup": {
        "directory": "text; the cache",
        "kernels": "integer; compiled kernels in it, 0 without the JIT",
        "compiled": "integer; of them, now",
    },
    "grinder doctor": {
        "well": "true or false; whether nothing is wrong",
        "version": "text; of grinder",
        "findings[].check": "text; which check",
        "findings[].level": "text; ok, note or wrong",
        "findings[].text": "text; what is so",
        "findings[].cure": "text; what to do, empty where nothing need be done",
    },
}
"""Command -> path in its object -> what it is; `*` is any key, `[]` the items of a list, `**` whatever is there."""
SAME: dict[str, tuple[str, ...]] = {
    "grinder import archive": ("grinder import lean", "grinder import tardis", "grinder import table")
}
"""Commands that print the same keys as another."""


def json_page() -> str:
    """reference/json.md."""
    lines = [MADE, JSON_HEAD]
    for words, paths in JSON.items():
        lines += [f"## {', '.join((words, *SAME.get(words, ())))}\n"]
        lines += [table(("key", "what it is"), [(f"`{path}`", escaped(text)) for path, text in paths.items()])]
    return "\n".join(lines)


JSON_HEAD = """# What `--json` prints

One JSON object with sorted keys on one line of stdout, the same bytes for the same input; commands that look at several fixtures
print a line for each. Keys are only ever added. A dot leads into an object, `*` stands for any key, `[]` for the items of a list
and `**` for whatever is there, which may grow. Errors go to stderr, and their [exit code](errors.md) says of which kind they are.
"""

# The API

API: dict[str, tuple[str, ...]] = {
    "Replaying": ("replay", "Run", "Table", "load", "Digest"),
    "Market data": ("fixture", "Fixture", "Instrument", "write_fixture"),
    "Settings": ("Config",),
    "Policies": ("policy", "View", "Features", "GridPlan", "TargetState", "WantedOrder", "static", "smart"),
    "Comparing and checking": ("diff", "verify", "lookahead", "sweep"),
    "Codes": ("Adds", "Feature", "Mode", "Reason", "Regime", "Role"),
    "Errors": ("errors",),
}


def api_page() -> str:
    """reference/api.md."""
    names = [name for group in API.values() for name in group]
    missing = set(names) ^ set(grinder.__all__) - {"__version__"}
    assert not missing, f"give each public name one place in API: {sorted(missing)}"
    lines = [MADE, API_HEAD]
    for title, group in API.items():
        lines += [f"## {title}\n", *(f"::: grinder.{name}\n" for name in group)]
    return "\n".join(lines)


API_HEAD = """# The API

Every public name of `import grinder as gr`, from its docstring. Names are loaded when they are first used. `grinder.__version__` is
the version. Codes have their members listed in [Records](records.md#codes).
"""

# Help for all


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def escaped(text: str) -> str:
    """Text of a help, whose words in capitals or with marks are code; a bar would end a cell."""
    text = re.sub(r"(?<![`\w-])(--[a-z][\w-]*(?: [A-Z]{2,})?)", r"`\1`", text)
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((thing.__doc__ or "").split("\n\n", maxsplit=1)[0].split())


PAGES: dict[str, Callable[[], str]] = {
    "api.md": api_page,
    "cli.md": cli_page,
    "json.md": json_page,
    "settings.md": settings_page,
    "records.md": records_page,
    "errors.md": errors_page,
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
