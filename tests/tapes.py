"""Random market tapes and settings by seed, as a fixture and as the reference engine's plain rows.

Everything varies: symbols, price level, pace, latencies, fees, caps, fill model, gaps, books, trades, funding, quarantined rows, a
midnight inside the tape; and each of them is switched off in some cases. `random.Random` only feeds tests. Any tape can have manual
commands among its events, as an ingredient of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from grinder.config import Config
from grinder.data.commands import Instruction
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import RangeError
from grinder.records import Command, Stream

MIDNIGHT = 1_700_006_400_000_000_000
"""2023-11-15 00:00 UTC in ns."""


@dataclass(frozen=True)
class Case:
    """One tape with its settings."""

    seed: int
    fixture: Fixture
    config: Config
    latency_ns: int

    def reference_instruments(self) -> list[dict[str, Any]]:
        _, rows = self.config.params(self.fixture.instruments, self.fixture.price_range)
        return [
            {"tick_value": int(row["tick_value"]), "perpetual": bool(row["perpetual"]), "hard_cap_lots": int(row["hard_cap"])}
            for row in rows
        ]

    def reference_config(self) -> dict[str, Any]:
        params, rows = self.config.params(self.fixture.instruments, self.fixture.price_range)
        row = params[0]
        names = (
            "bar_ns equity maker_fee min_edge order_latency cancel_latency max_gap_ns penetration max_open_orders "
            "max_open_orders_portfolio min_notional order_rate order_burst dd_budget_pct dd_warn step levels"
        ).split()
        inventory = ("ratio", int(row["max_inventory_ratio"]))
        if row["max_inventory_atoms"] >= 0:
            inventory = ("atoms", int(row["max_inventory_atoms"]))
        return {name: int(row[name]) for name in names} | {
            "fill_model": self.config.fill_model,
            "dd_window": self.config.dd_window,
            "max_inventory": inventory,
            "max_effective_leverage": int(row["max_leverage"]),
            "quantity": [int(instrument["quantity"]) for instrument in rows],
        }

    def reference_events(self) -> list[dict[str, Any]]:
        return reference_events(self.fixture)


KINDS = {Stream.FUNDING: "funding", Stream.BOOKS: "book", Stream.QUOTES: "quote", Stream.TRADES: "trade"}
KINDS |= {Stream.COMMANDS: "command"}


def reference_events(fixture: Fixture) -> list[dict[str, Any]]:
    """The merged events of a fixture as the reference engine takes them."""
    columns = fixture.events
    funding = {int(row["row"]): row for row in columns.funding}
    commands = {int(row["row"]): row for row in columns.commands}
    out = []
    for i, kind in enumerate(columns.kind.tolist()):
        fault = int(columns.fault[i])
        event: dict[str, Any] = {"ts": int(columns.ts[i]), "symbol": int(columns.symbol[i]), "kind": KINDS[Stream(kind)]}
        event["fault"] = fault - 1 if fault else None
        if kind in (Stream.BOOKS, Stream.QUOTES):
            event |= {name: int(getattr(columns, name)[i]) for name in ("bid_px", "bid_qty", "ask_px", "ask_qty")}
        elif kind == Stream.FUNDING:
            event |= {name: int(funding[i][name]) for name in ("rate", "mark_px")}
        elif kind == Stream.COMMANDS:
            event |= {"symbol": int(commands[i]["symbol"]), "code": int(commands[i]["command"])}
        out.append(event)
    return out


def case(seed: int, events: int | None = None, commands: bool = False) -> Case:
    """The case of a seed; with `commands` the same tape with manual commands among its events."""
    rng = random.Random(seed)
    symbols = rng.choice((1, 1, 1, 2, 3))
    n = events or rng.choice((5, 40, 150, 300))
    ticks = rng.choice((8, 60, 500, 10_000, 620_000))
    instruments = tuple(
        Instrument(
            symbol="ABC"[s],
            kind=rng.choice(("perpetual", "perpetual", "spot")),
            tick_size=rng.choice(("0.01", "0.1", "1")),
            lot_size=rng.choice(("0.001", "0.1", "1")),
        )
        for s in range(symbols)
    )
    pace_ms = rng.choice((1, 20, 400, 5_000))
    start = MIDNIGHT - rng.choice((0, n * pace_ms // 2, 10**7)) * 1_000_000
    streams = _streams(rng, instruments, n, ticks, pace_ms, start)
    quantity = {instrument.symbol: _lots(instrument, rng.randint(1, 40)) for instrument in instruments}
    value = max(float(instrument.tick_value) for instrument in instruments) * ticks * 20 / 1e8
    config = _config(rng, n, pace_ms, value, quantity)
    wild = Config(max_jump=500)  # a few ticks of price make most moves a jump
    fixture = Fixture.from_arrays(instruments, **streams, name=f"tape_{seed}", config=wild)
    try:
        config.params(fixture.instruments, fixture.price_range)
    except RangeError:  # a cheap lot beside a dear one: the account's cap is too many lots of it
        config = Config(max_inventory_notional="0.1%").over(config)
    fixture = commanded(fixture, seed) if commands else fixture
    return Case(seed, fixture, config, config.order_latency_ms * 1_000_000)


def commanded(fixture: Fixture, seed: int) -> Fixture:
    """A fixture with random commands: before the first quote, at the times of quotes, several at one time, long after the last."""
    rng = random.Random(f"{seed} commands")
    times = fixture.events.ts.tolist()
    moments = [rng.choice((times[0] - rng.choice((1, 10**9, 10**14)), times[0]))] if rng.random() < 0.7 else []
    moments += [rng.choice(times) + rng.choice((0, 0, -1, 1, 10**8)) for _ in range(rng.choice((1, 3, 12)))]
    moments += [times[-1] + rng.choice((0, 10**9, 10**13))] if rng.random() < 0.5 else []
    given: list[Instruction] = []
    for ts in moments:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            command = rng.choice(list(Command))
            whole = command in (Command.KILL, Command.RESET) or rng.random() < 0.4
            given.append((ts, command, None if whole else rng.choice(fixture.symbols)))
    return fixture.with_commands(given)


def _lots(instrument: Instrument, lots: int) -> Decimal:
    return Decimal(instrument.lot_size) * lots


def _streams(
    rng: random.Random, instruments: tuple[Instrument, ...], n: int, ticks: int, pace_ms: int, start: int
) -> dict[str, dict[str, list[int]]]:
    quotes: list[tuple[int, ...]] = []
    books: list[tuple[int, ...]] = []
    trades: list[tuple[int, ...]] = []
    funding: list[tuple[int, ...]] = []
    mids = [ticks] * len(instruments)
    now = start
    step = max(1, ticks * rng.choice((2, 10, 60)) // 10_000)
    use_books, use_trades, use_funding, use_faults = (rng.random() < 0.5 for _ in range(4))
    for i in range(n):
        s = i if i < len(instruments) else rng.randrange(len(instruments))
        now += rng.choice((0, 1, 1, 1, 1, 4)) * pace_ms * 1_000_000
        if rng.random() < 0.01:
            now += rng.choice((30, 700)) * 1_000_000_000
        kick = rng.choice((1, 1, 1, 8))
        mids[s] = max(2, mids[s] + rng.randint(-step, step) * kick + (ticks - mids[s]) // 50)
        bid = max(1, mids[s] - rng.choice((0, 0, 1, 2)))
        ask = max(bid, mids[s] + rng.choice((0, 0, 1, 3)))
        row = (now, s, bid, rng.randint(0, 9) + 1, ask, rng.randint(0, 9))
        kind = "quote" if i < len(instruments) else rng.choices(("quote", "book", "trade", "funding"), (20, 4, 4, 1))[0]
        if kind == "book" and use_books:
            books.append(row)
        elif kind == "trade" and use_trades:
            trades.append((now, s, len(trades), mids[s], 1, rng.choice((1, -1))))
        elif kind == "funding" and use_funding and instruments[s].kind == "perpetual":
            funding.append((now, s, rng.randint(-300_000, 300_000), mids[s]))
        else:
            quotes.append(row)
            if use_faults and rng.random() < 0.05:
                quotes.append(row if rng.random() < 0.5 else (now, s, bid, 0, ask, 0))
    l1 = ("ts", "symbol", "bid_px", "bid_qty", "ask_px", "ask_qty")
    out = {"quotes": _columns(l1, quotes)}
    if books:
        renamed = {name if name in l1[:2] else f"{name}_0": values for name, values in _columns(l1, books).items()}
        out["books"] = renamed
    if trades:
        out["trades"] = _columns(("ts", "symbol", "id", "px", "qty", "aggressor"), trades)
    if funding:
        out["funding"] = _columns(("ts", "symbol", "rate", "mark_px"), funding)
    return out


def _columns(names: tuple[str, ...], rows: list[tuple[int, ...]]) -> dict[str, Any]:
    return dict(zip(names, np.array(rows, np.int64).T.copy(), strict=True))


def _config(rng: random.Random, n: int, pace_ms: int, value: float, quantity: dict[str, Decimal]) -> Config:
    """Settings around what the tape can reach; `value` is about what 20 lots are worth."""
    settings: dict[str, Any] = {
        "step": f"{rng.choice((1, 3, 10, 60, 400))}bp",
        "levels": rng.randint(1, 12),
        "quantity": quantity,
        "equity": max(1, round(value * rng.choice((1, 5, 100)))),
        "maker_fee": f"{rng.choice((0, 2, 5, -1, '0.37'))}bp",
        "min_edge": f"{rng.choice((0, 4, 30))}bp",
        "bar_interval_ms": max(1, rng.choice((3, 20, 1000)) * pace_ms),
        "min_notional": rng.choice((0, 0, 0, 5, round(value / 50, 2))),
        "dd_budget_pct": rng.choice(("2%", "0.1%", "0.01%", "0%", "40%")),
        "dd_window": rng.choice(("daily", "session")),
    }
    if rng.random() < 0.6:
        settings["order_latency_ms"] = rng.choice((0, 1, pace_ms, 5 * pace_ms))
        settings["cancel_latency_ms"] = rng.choice((0, 1, pace_ms, 7 * pace_ms))
    if rng.random() < 0.4:
        settings |= {"fill_model": "cross", "penetration": rng.choice((0, 1, 3))}
    if rng.random() < 0.4:
        settings["max_inventory_notional"] = rng.choice(("20%", "300%", str(max(1, round(value)))))
        settings["max_effective_leverage"] = rng.choice(("0.3", "1", "5"))
    if rng.random() < 0.4:
        settings |= {"max_open_orders": rng.randint(1, 20), "max_open_orders_portfolio": rng.randint(1, 30)}
    if rng.random() < 0.4:
        settings |= {"order_rate": rng.choice((1, 3, 20)), "order_burst": rng.choice((1, 6, 30))}
    if rng.random() < 0.3:
        settings["max_gap_ms"] = rng.choice((2, 50)) * pace_ms
    if rng.random() < 0.3:
        settings["dd_warn"] = rng.choice(("0.1", "0.5", "1"))
    return Config(**settings)
