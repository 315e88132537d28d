"""The table of settings: what changing each default changes first, on which fixture (SPEC 14, 15).

`python -m tests.defaults --write` makes docs/DEFAULTS.md; test_defaults.py asserts that every setting is in it and that its lines
are what the code computes. A new setting adds its line to CASES.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from grinder.config import Config
from grinder.data.fixture import Fixture, fixture
from grinder.run import Run
from grinder.session import replay

PAGE = Path(__file__).resolve().parents[1] / "docs" / "DEFAULTS.md"
RANGE, TREND, SHOCK, THIN, IMPACT = "range_day_l1", "trend_day_l1", "vol_shock_l1", "thin_book_l2", "impact_spike_l2"
TOPK, LEAN, BINANCE = "multisymbol_topk_l1", "dydx_btcusd_1d", "binance_btcusdt_6m"
FIXTURES = (RANGE, TREND, SHOCK, THIN, IMPACT, TOPK, LEAN, BINANCE)
"""Every market once: `commands_1d` is that of LEAN, `kill_switch_l2` of IMPACT."""
STEP = ("input", "bars", "features", "fills", "gates", "regimes", "ledger", "plans", "levels", "intents", "orders", "alerts")
"""Stages in the order in which a step makes their records (SPEC 3.2); a gate's mark comes after the gate."""


@dataclass(frozen=True)
class Case:
    """One setting.

    Args:
        name: of the setting. value: another one than the default. stage: where one expects the first change.
        first: the fixture to look at first; the others follow in their order.
        policy: what runs. beside: settings of both runs, without which this one is not looked at.
        note: what a reader should know; of a setting that changes nothing, why.
    """

    name: str
    value: Any
    stage: str
    first: str = RANGE
    policy: str = "smart"
    beside: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def config(self, changed: bool) -> Config:
        """The settings of one of the two runs."""
        own = {self.name: self.value} if changed else {}
        return Config(**({"policy": self.policy} | dict(self.beside) | own))


@dataclass(frozen=True)
class Found:
    """Where a change was seen first: the fixture, the event and the stage; how many stages' roots moved."""

    fixture: str
    event: int
    stage: str
    moved: int


LOSING = {"maker_fee": "1%", "min_edge": "0"}
"""Take-profits cover two fees on the entry, but not the fee on what they add: at 1 % every cycle loses."""

CASES = (
    Case("equity", "12000", "ledger"),
    Case("maker_fee", "3bp", "plans"),
    Case("taker_fee", "6bp", "fills", TREND, note="needs a taker order: the flatten of a latch"),
    Case("slippage", "3bp", "fills", TREND, note="needs a taker order: the flatten of a latch"),
    Case("policy", "smart", "plans", policy="static", note="`static` decides at the first quote, `smart` waits"),
    Case("step", "14bp", "plans", policy="static", note="the fixture's own step is replaced"),
    Case("levels", 8, "plans", policy="static", note="the fixture's own number is replaced"),
    Case("quantity", "0.02", "levels", policy="static", note="the fixture's own quantity is replaced"),
    Case("min_edge", "6bp", "plans"),
    Case("bar_interval_ms", 30_000, "bars"),
    Case("atr_bars", 20, "features"),
    Case("atr_method", "sma", "features"),
    Case("return_bars", 50, "features"),
    Case("range_eps", "2bp", "features"),
    Case("range_cap", 100, "features"),
    Case("ema_fast", 10, "features"),
    Case("ema_slow", 40, "features"),
    Case("top_n", 8, "features", THIN, note="needs books"),
    Case("impact_quote", "5000", "features", THIN, note="needs books"),
    Case("wall_ratio", 4, "features", THIN, note="needs books"),
    Case("l2_stale_ms", 1_000, "features", THIN, note="needs books"),
    Case("l1_stale_ms", 12_000, "gates", TOPK, note="KSM's quotes are up to 22 s apart"),
    Case("l1_pause_ms", 18_000, "gates", TOPK, note="KSM's quotes are up to 22 s apart"),
    Case("thin_quote", "2000", "gates"),
    Case("thin_quote_depth", "20000", "gates", THIN, note="needs books"),
    Case("thin_ms", 2_000, "gates"),
    Case("thin_clear_ms", 20_000, "gates"),
    Case("shock_ratio", "3.5", "gates", SHOCK),
    Case("shock_tr", 5, "gates", SHOCK),
    Case("baseline_bars", 60, "gates", SHOCK),
    Case("baseline_bars_min", 12, "gates", SHOCK),
    Case("spread_bars", 30, "gates"),
    Case("spread_bars_min", 10, "gates"),
    Case("spread_floor", "0.5bp", "gates"),
    Case("spread_limits", (2, 6, 20), "gates"),
    Case("impact_limits", ("8bp", "25bp", "100bp"), "gates", IMPACT, note="needs books"),
    Case("jump_limits", ("0.8", 2, 5), "gates", SHOCK),
    Case("jump_window_ms", 2_000, "gates", SHOCK),
    Case("quarantined_limits", (2, 5, 50), "gates", LEAN, note="needs quarantined rows"),
    Case("quarantine_window_ms", 30_000, "gates", LEAN, note="needs quarantined rows"),
    Case("clear_ms", 30_000, "gates"),
    Case("trend_enter", "2.5", "regimes", SHOCK),
    Case("trend_exit", "0.75", "regimes", TREND),
    Case("er_enter", "0.3", "regimes", TREND),
    Case("horizon_ms", {"range": 2_700_000}, "plans"),
    Case("k_tail", {"range": "2.5"}, "plans"),
    Case("trend_penalty", "1.5", "plans", TREND),
    Case("x_min", "0.6%", "plans", TREND),
    Case("x_cap", "8%", "plans", SHOCK),
    Case("impact_ref", "8bp", "plans", IMPACT, note="needs books"),
    Case("side_mult_against", "1.25", "plans", TREND),
    Case("side_mult_with", "0.9", "plans", TREND),
    Case("alpha", "0.9", "plans"),
    Case("step_min", "10bp", "plans", note="5 bp is under the floor of fees and edge, 8 bp: only a value over that acts"),
    Case("shock_multiplier", {"vol_shock": "2.5"}, "plans", SHOCK),
    Case("min_step_ticks", 15, "plans", TOPK, note="a tick of LINK is 0.7 bp, so 12 ticks are the floor of fees and edge"),
    Case("levels_min", 4, "plans", SHOCK),
    Case("levels_max", 16, "plans"),
    Case("skew_factor", "10bp", "plans"),
    Case("sizing", "tapered", "plans"),
    Case("max_weight_ratio", 2, "plans", beside={"sizing": "tapered"}),
    Case("replan_levels", 2, "plans"),
    Case("replan_center", 1, "plans"),
    Case("top_k", 2, "plans", TOPK),
    Case("select_every_ms", 600_000, "plans", TOPK),
    Case("switch_margin", "0.1", "plans", TOPK),
    Case("liq_ref", "25000", "plans", TOPK),
    Case("select_spread", "2bp", "plans", TOPK),
    Case("select_funding", "1bp", "plans", TOPK, note="no fixture has a funding stream"),
    Case("w_range", "1.5", "plans", TOPK),
    Case("w_liq", "1.5", "plans", TOPK),
    Case("w_tox", 1, "plans", TOPK),
    Case("w_trend", "1.5", "plans", TOPK),
    Case("max_gap_ms", 20_000, "input", TOPK, note="KSM's quotes are up to 22 s apart"),
    Case("max_jump", "2%", "input", LEAN, note="one bar leaps by 2.07 % and back"),
    Case("fill_model", "cross", "fills"),
    Case("penetration", 1, "fills", beside={"fill_model": "cross"}),
    Case("order_latency_ms", 100, "orders"),
    Case("cancel_latency_ms", 100, "orders"),
    Case("max_inventory_notional", "90%", "plans"),
    Case("max_effective_leverage", "1.8", "plans", TOPK, note="three symbols of 100 % each want more: plans are cut"),
    Case("max_open_orders", 30, "plans"),
    Case("max_open_orders_portfolio", 30, "plans"),
    Case("min_notional", "100", "plans", TREND),
    Case("order_rate", 10, "intents", beside={"order_burst": 40}, note="a burst of 100 is never used up, at 1 a second neither"),
    Case("order_burst", 40, "intents"),
    Case("dd_budget_pct", "1.5%", "ledger"),
    Case("dd_budget", "150", "ledger"),
    Case("dd_window_ms", 43_200_000, "ledger", beside={"dd_window": "rolling"}, note="parts of half an hour, not of an hour"),
    Case("dd_window", "session", "ledger", BINANCE, note="needs a midnight"),
    Case("dd_warn", "0.7", "ledger", TREND),
    Case("dd_clear", "0.4", "intents", SHOCK, beside={"dd_warn": "0.5"}, note="its end restores take-profits; at 0.8 none ends so"),
    Case("allocator", "weighted", "plans", TOPK),
    Case("dd_budget_symbol", "150", "ledger"),
    Case("throttle_ms", 5_000, "intents"),
    Case("dc_tp_mult", "0.75", "intents", TREND, note="needs DAMAGE_CONTROL"),
    Case("flatten_on_drawdown", False, "intents", TREND, note="needs a latch"),
    Case("flatten_on_emergency", True, "intents", IMPACT, note="needs toxicity EXTREME with a position"),
    Case("latch_on_extreme", True, "regimes", IMPACT, note="needs toxicity EXTREME"),
    Case("risk_monitor", True, "gates", SHOCK, "static", note="`smart` looks at gates by itself"),
    Case("alert_after_ms", 180_000, "alerts", SHOCK, note="needs toxicity that stays HIGH, or missing books"),
    Case("max_consecutive_losses", 1, "intents", TREND, "static", LOSING, note="at 2 bp no cycle of a fixture loses"),
    Case("cooldown_ms", 60_000, "intents", TREND, "static", LOSING | {"max_consecutive_losses": 1}, note="needs a halt"),
)


@cache
def data(name: str) -> Fixture:
    """A fixture, loaded once."""
    return fixture(name)


@cache
def unchanged(name: str, policy: str, beside: str) -> Run:
    """The run that a case is held against; `beside` is the case's, as text."""
    case = next(case for case in CASES if (case.policy, repr(case.beside)) == (policy, beside))
    return replay(data(name), case.config(changed=False))


def changed(name: str, case: Case) -> Run:
    """The run with the other value; what decides at load which rows are quarantined is loaded anew."""
    config = case.config(changed=True)
    return replay(fixture(name, config) if case.name == "max_jump" else data(name), config)


def first_difference(one: Run, other: Run) -> tuple[int, str] | None:
    """The earliest event at which records of two runs differ and, of its stages, the first in order of a step."""
    found = []
    for rank, stage in enumerate(STEP):
        if one.digest.roots[stage] == other.digest.roots[stage]:
            continue
        a, b = one.tables[stage].records, other.tables[stage].records
        n = min(len(a), len(b))
        unlike = np.flatnonzero(a[:n] != b[:n])
        at = int(unlike[0]) if len(unlike) else n
        found.append((min(int(rows["event"][at]) for rows in (a, b) if at < len(rows)), rank))
    return (min(found)[0], STEP[min(found)[1]]) if found else None


def look(case: Case) -> Found | None:
    """What a setting changes first, on the first fixture on which it changes anything."""
    for name in dict.fromkeys([case.first, *FIXTURES]):
        one, other = unchanged(name, case.policy, repr(case.beside)), changed(name, case)
        difference = first_difference(one, other)
        if difference:
            moved = sum(one.digest.roots[stage] != other.digest.roots[stage] for stage in STEP)
            return Found(name, *difference, moved)
    return None


def shown(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(part)}" for key, part in value.items())
    if isinstance(value, tuple):
        return ", ".join(shown(part) for part in value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def line(case: Case, found: Found | None) -> str:
    """A row of the table."""
    beside = ", ".join(f"{name} = {shown(value)}" for name, value in case.beside.items())
    runs = f"{case.policy}, {beside}" if beside else case.policy
    cells = [f"`{case.name}`", shown(Config.model_fields[case.name].default), shown(case.value), runs]
    if found is None:
        return "| " + " | ".join([*cells, case.note]) + " |\n"
    return (
        "| " + " | ".join([*cells, found.fixture, str(found.event), found.stage, case.stage, str(found.moved), case.note]) + " |\n"
    )


def page(results: Mapping[str, Found | None]) -> str:
    """docs/DEFAULTS.md."""
    moving = "".join(line(case, results[case.name]) for case in CASES if results[case.name])
    still = "".join(line(case, None) for case in CASES if not results[case.name])
    return HEAD + moving + STILL + still


HEAD = """# What each default changes

`python -m tests.defaults --write` makes this page (a minute on an idle core); tests/test_defaults.py holds it to the code.
Each setting is changed alone, on top of a fixture's own settings, and the whole fixture is replayed with both values. The fixture
is the first, from the one where the setting should matter, on which a stage's root moves (the hashes of config and input do not
count). *first* is the stage of the first record that differs: the earliest event, and of its stages the first in the order of a
step (SPEC 3.2); *expected* is the stage in which SPEC puts the setting's first effect, as the script declares it. *roots* says how
many of the twelve stages' roots moved. *runs*: the policy, and settings of both runs without which this one is not looked at.

| setting | default | other | runs | fixture | event | first | expected | roots | note |
|---|---|---|---|---|---|---|---|---|---|
"""
STILL = """
## Settings that change nothing on any fixture

| setting | default | other | runs | why |
|---|---|---|---|---|
"""


def main() -> None:
    """Print the page, or write it."""
    results = {}
    for case in CASES:
        results[case.name] = found = look(case)
        print(case.name, found, "" if found and found.stage == case.stage else f"EXPECTED {case.stage}", file=sys.stderr)
    text = page(results)
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
