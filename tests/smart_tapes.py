"""Random tapes and settings for policy `smart`, by seed: as a fixture and settings, and as the reference engine's plain rows."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import numpy as np

from grinder.config import ROWS, Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.records import Command
from tests.oracles import selfcheck
from tests.tapes import Case, reference_events

UNIT = 100_000_000
BOOK_LEVELS = 12


def decimal(value: int) -> str:
    return f"{Decimal(value) / UNIT:f}"


def settings(given: dict[str, Any], symbols: tuple[str, ...], sizes: list[Decimal]) -> Config:
    """Settings as the reference engine names them, as a Config; `sizes` are of the lots."""
    out: dict[str, Any] = {"policy": given["policy"], "dd_window": given["dd_window"], "atr_method": given["atr_method"]}
    for name in "atr_bars return_bars ema_fast ema_slow max_open_orders max_open_orders_portfolio order_rate order_burst".split():
        out[name] = given[name]
    for name in "levels_min levels_max top_k allocator fill_model max_consecutive_losses alert_after_ms".split():
        out[name] = given[name]
    for name in "flatten_on_emergency latch_on_extreme dd_window_ms risk_monitor top_n".split():
        if name in given:
            out[name] = given[name]
    for name in "equity dd_budget_pct maker_fee min_edge step_min alpha min_notional x_min trend_enter trend_exit er_enter".split():
        out[name] = decimal(max(0, given[name]) if name == "min_edge" else given[name])
    for name in "thin_quote impact_quote".split():
        out[name] = decimal(given[name])
    for name in "select_every l1_stale clear thin_clear cooldown".split():
        out[f"{name}_ms"] = given[f"{name}_ns"] // 1_000_000
    for name in "order_latency cancel_latency".split():
        out[f"{name}_ms"] = given.get(name, 0) // 1_000_000
    out |= {"bar_interval_ms": given["bar_ns"] // 1_000_000, "max_effective_leverage": decimal(given["max_effective_leverage"])}
    out |= {"baseline_bars": given["baseline_bars"], "baseline_bars_min": given["baseline_min"]}
    out["horizon_ms"] = {row: given["horizon_ns"][row] // 1_000_000 for row in ROWS}
    out["max_inventory_notional"] = decimal(given["max_inventory"][1])
    out["sizing"] = {"A": "equal", "B": "tapered"}[given["sizing"]]
    out["jump_limits"] = tuple(decimal(limit) for limit in given["tox_jump"])
    budgets = dict(zip(symbols, given.get("dd_budget_symbol", [None] * len(symbols)), strict=True))
    out["dd_budget_symbol"] = {symbol: decimal(atoms) for symbol, atoms in budgets.items() if atoms is not None} or None
    if given["policy"] == "static":
        out |= {"step": decimal(given["step"]), "levels": given["levels"]}
        out["quantity"] = {s: Decimal(lots) * size for s, lots, size in zip(symbols, given["quantity"], sizes, strict=True)}
    return Config(**out)


def oracle_settings(c: Case) -> dict[str, Any]:
    """The settings as the reference engine takes them, from the integers that kernels read."""
    params, rows = c.config.params(c.fixture.instruments, c.fixture.price_range)
    p = {name: int(params[0][name]) for name in params.dtype.names}
    names = (
        "atr_bars return_bars range_eps range_cap ema_fast ema_slow top_n impact_quote wall_ratio l1_stale_ns "
        "l1_pause_ns l2_stale_ns thin_quote thin_quote_depth thin_ns thin_clear_ns shock_ratio shock_tr baseline_bars "
        "spread_bars spread_bars_min spread_floor jump_window_ns quarantine_window_ns clear_ns trend_enter trend_exit "
        "er_enter x_min x_cap side_mult_against side_mult_with impact_ref alpha step_min min_step_ticks levels_min "
        "levels_max max_weight_ratio skew_factor replan_levels replan_center throttle_ns taker_fee slippage dd_clear "
        "dc_tp_mult max_consecutive_losses cooldown_ns select_every_ns switch_margin liq_ref w_range w_liq w_tox "
        "w_trend "
    ).split()
    out = c.reference_config() | {name: p[name] for name in names} | {"policy": c.config.policy, "atr_method": c.config.atr_method}
    for name in ("spread", "impact", "jump", "quarantined"):
        out[f"tox_{name}"] = [p[f"{name}_{severity}"] for severity in ("mid", "high", "extreme")]
    for name in ("k_tail", "shock_multiplier"):
        out[name] = {row: p[f"{name}_{row}"] for row in ROWS}
    out["horizon_ns"] = {row: c.config.horizon_ms[row] * 1_000_000 for row in ROWS}
    out["trend_penalty"] = {row: p["trend_penalty"] if row == "trend" else UNIT for row in ROWS}
    for name in ("flatten_on_drawdown", "flatten_on_emergency", "latch_on_extreme", "risk_monitor"):
        out[name] = bool(p[name])
    out |= {"dd_window_ms": c.config.dd_window_ms, "alert_after_ms": c.config.alert_after_ms}
    budgets = [int(row["budget"]) for row in rows]
    return out | {
        "baseline_min": p["baseline_bars_min"],
        "sizing": "B" if p["tapered"] else "A",
        "allocator": c.config.allocator,
        "top_k": c.config.top_k,
        "topk_spread_limit": p["select_spread"],
        "funding_limit": p["select_funding"],
        "dd_budget_symbol": [None if atoms < 0 else atoms for atoms in budgets],
    }


def smart_case(seed: int, length: int = 0) -> Case:
    """The case of a seed: calm, trending, wild and thin stretches, short windows, now and then a gap, a midnight, books.

    Of some the books are small, so that takers walk them; in some `static` trades under the risk monitor.
    """
    r = random.Random(seed)
    symbols = ("A", "B", "C")[: r.choice((1, 1, 1, 2, 3))]
    lots = [r.choice(("0.001", "0.1", "10")) for _ in symbols]
    instruments = [
        Instrument(symbol=name, kind=r.choice(("perpetual", "perpetual", "spot")), tick_size="0.01", lot_size=lot)
        for name, lot in zip(symbols, lots, strict=True)
    ]
    given = selfcheck.random_config(r, len(symbols))
    events = selfcheck.random_tape(r, [one.tick_value for one in instruments], length or r.choice((200, 500, 900)))
    given = selfcheck.new_settings(r, given)
    values = [one.tick_value for one in instruments]
    if r.random() < 0.2:
        events, given = selfcheck.crumbs(r, events), given | selfcheck.CRUMBS | {"top_n": BOOK_LEVELS}
    if r.random() < 0.15:
        given = selfcheck.static_config(r, given, values)
    config = settings(given, symbols, [Decimal(lot) for lot in lots])
    fixture = Fixture.from_arrays(instruments, **streams(events, instruments), name=f"smart_{seed}", config=Config(max_jump=500))
    return Case(seed, fixture, config, config.order_latency_ms * 1_000_000)


def streams(events: list[dict[str, Any]], instruments: list[Instrument]) -> dict[str, dict[str, Any]]:
    """Columns by stream. A faulty event repeats the row before it, which makes it a duplicate."""
    rows: dict[str, list[tuple[int, ...]]] = {"quotes": [], "books": [], "trades": [], "funding": [], "commands": []}
    for number, event in enumerate(events):
        at = (event["ts"], event["symbol"])
        if event["fault"]:
            last = next((row for row in reversed(rows["quotes"]) if row[1] == at[1]), None)
            rows["quotes"].append((*at, *last[2:-2], 0, 0) if last else (*at, 9, 11, 0, 0))
        elif event["kind"] == "quote":
            rows["quotes"].append((*at, event["bid_px"], event["ask_px"], event["bid_qty"], event["ask_qty"]))
        elif event["kind"] == "book":
            rows["books"].append((*at, *levels(event)))
        elif event["kind"] == "command":
            whole = event["code"] in (Command.KILL, Command.RESET)
            rows["commands"].append((at[0], -1 if whole else at[1], event["code"]))
        elif event["kind"] == "trade":
            rows["trades"].append((*at, number, 5_000, 1, 1))
        elif event["kind"] == "funding" and instruments[at[1]].kind == "perpetual":
            rows["funding"].append((*at, event["rate"], event["mark_px"]))
    level = [f"{side}_{what}_{i}" for i in range(BOOK_LEVELS) for side in ("bid", "ask") for what in ("px", "qty")]
    names = {
        "quotes": ("ts", "symbol", "bid_px", "ask_px", "bid_qty", "ask_qty"),
        "books": ("ts", "symbol", *level),
        "trades": ("ts", "symbol", "id", "px", "qty", "aggressor"),
        "funding": ("ts", "symbol", "rate", "mark_px"),
        "commands": ("ts", "symbol", "command"),
    }
    return {
        stream: dict(zip(names[stream], np.array(found, np.int64).T.copy(), strict=True)) for stream, found in rows.items() if found
    }


def levels(event: dict[str, Any]) -> list[int]:
    """Bid and ask of each level in turn, 0 where there is none."""
    sides = [list(event[side]) + [(0, 0)] * (BOOK_LEVELS - len(event[side])) for side in ("bids", "asks")]
    return [number for pair in zip(*sides, strict=True) for level in pair for number in level]


def oracle_events(c: Case) -> list[dict[str, Any]]:
    """The merged events with their books."""
    out, columns = reference_events(c.fixture), c.fixture.events
    for row, book in zip(columns.book_rows.tolist(), columns.books.tolist(), strict=True):
        out[row] |= {"bids": [*zip(*book[:2], strict=True)], "asks": [*zip(*book[2:], strict=True)]}
        for side in ("bids", "asks"):
            out[row][side] = [level for level in out[row][side][: c.config.top_n] if level[0]]  # ADR-0015.1
    return out
