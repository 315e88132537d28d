"""Policy `smart` at the ends of what a load allows: prices, lots, budgets, caps near the overflow proof, fifty levels.

`python -W error extreme_tapes.py FIRST COUNT` replays them; without the JIT, an int64 that wraps is an exception. Prints digests.
"""

from __future__ import annotations

import json
import random
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.errors import LedgerError, RangeError
from grinder.session import replay

START = 1_700_000_000 * 10**9
HIGHEST = 2**35
MONTHS = 366 * 86_400_000
SETTINGS = {
    "sizing": ["equal", "tapered"],
    "max_weight_ratio": ["1", "3", "500"],
    "maker_fee": ["-1%", "0", "2bp", "10%"],
    "taker_fee": ["0", "10%"],
    "slippage": ["0", "0.99"],
    "alpha": ["0", "0.8", "500"],
    "step_min": ["1bp", "0.5%", "0.99"],
    "min_step_ticks": [1, 1_000],
    "skew_factor": ["5bp", "500"],
    "side_mult_against": ["0", "500"],
    "trend_penalty": ["1", "100"],
    "replan_center": ["0", "2", "500"],
    "dd_warn": ["0.00000001", "0.8", "1"],
    "dd_clear": ["0", "1"],
    "dc_tp_mult": ["0", "1"],
    "max_effective_leverage": ["1", "500"],
    "dd_budget_pct": ["2%", "50%", "1"],
    "flatten_on_drawdown": [True, False],
    "allocator": ["equal", "weighted"],
    "liq_ref": [1, 1_000_000],
    "select_every_ms": [1, 5_000],
    "order_latency_ms": [0, 0, 1_000],
    "shock_ratio": [0, 4],
    "levels_max": [6, 50],
    "x_min": ["0.5%", "0.9"],
}


def extreme(seed: int) -> tuple[Fixture, Config]:
    """A tape and settings whose caps are as near to the proof as it lets them."""
    r = random.Random(seed)
    symbols, decimals, tick_value = r.choice((1, 1, 2, 3)), r.choice((0, 2, 8, 12)), 2 * r.choice((1, 5, 10**4, 10**8))
    tick = f"{Decimal(tick_value) / 10**decimals:f}"
    instruments = [
        Instrument(symbol=name, kind="perpetual", tick_size=tick, lot_size="1", quote_decimals=decimals) for name in "ABC"[:symbols]
    ]
    fixture = Fixture.from_arrays(instruments, quotes=_quotes(r, symbols), config=Config(max_jump=500))
    given = {name: r.choice(values) for name, values in SETTINGS.items()}
    given |= {"policy": "smart", "bar_interval_ms": r.choice((1_000, 5_000)), "x_cap": "0.9", "levels_min": r.choice((1, 2, 6))}
    given |= {"atr_bars": 2, "return_bars": 3, "ema_fast": 2, "ema_slow": 4, "baseline_bars": 6, "baseline_bars_min": 2}
    given |= {"horizon_ms": {"range": r.choice((3_600_000, MONTHS)), "trend": MONTHS}, "min_notional": 0, "thin_quote": 0}
    given |= {"clear_ms": 1_000, "l1_stale_ms": 10**6, "l1_pause_ms": 10**6, "max_gap_ms": 10**6}
    given |= {"shock_tr": 0, "jump_limits": (0, 0, 0), "spread_limits": (0, 0, 0)}  # gates have their own ends
    for equity in (r.choice((2**61, 2**60, 10**15)), 2**56, 10**12):
        for cap in (2**61, 2**60, 2**58, 2**54, 2**48, 2**40, 2**33):
            caps = {"equity": Decimal(equity) / 10**decimals, "max_inventory_notional": f"{Decimal(cap) / 10**decimals:f}"}
            config = Config(**caps, **given)
            try:
                config.params(fixture.instruments, fixture.price_range)
            except RangeError:
                continue
            return fixture, config
    return extreme(seed + 1_000_000)  # one lot at such a price is over the proof


def _quotes(r: random.Random, symbols: int) -> dict[str, list[int]]:
    mids = [r.choice((60, 10**4, 10**7, 2**33, HIGHEST - 2**30)) for _ in range(symbols)]
    rows: dict[str, list[int]] = {name: [] for name in ("ts", "symbol", "bid_px", "ask_px", "bid_qty", "ask_qty")}
    now, vol = START, 0.01
    for k in range(r.choice((60, 100))):
        s = k if k < symbols else r.randrange(symbols)
        now += r.choice((1, 1, 1, 5)) * 10**9
        vol = r.choice((0, 0.0005, 0.01, 0.2, 0.9)) if r.random() < 0.1 else vol
        mids[s] = min(HIGHEST - 1, max(30, round(mids[s] * (1 + r.uniform(-vol, vol)))))
        half = min(r.choice((0, 1, 1, max(1, mids[s] // 1_000))), HIGHEST - mids[s])
        row = (now, s, mids[s] - half, mids[s] + half, r.choice((0, 1, 10**3, 2**31)), r.choice((1, 2**31)))
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
    return rows


def outcome(seed: int) -> list[object]:
    """Digest, plans and fills of a seed; a proof that ends the run is an outcome too."""
    try:
        run = replay(*extreme(seed))
    except LedgerError as error:
        return [str(error), 0, 0]
    return [run.digest.value, len(run.plans), len(run.fills)]


if __name__ == "__main__":
    first, count = map(int, sys.argv[1:])
    print(json.dumps([outcome(seed) for seed in range(first, first + count)]))
