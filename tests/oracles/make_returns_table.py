"""Make `returns_table.json`: what `empyrical-reloaded` says of daily equity curves, for `test_performance.py` to agree with.

`pip install empyrical-reloaded==0.7.1 && python -m tests.oracles.make_returns_table`. The package is no dependency of the tests: it
brings scipy and more, for six numbers a curve.
"""

from __future__ import annotations

import json
from pathlib import Path

TABLE = Path(__file__).with_name("returns_table.json")
START = 10_000 * 10**8


def curves() -> dict[str, list[int]]:
    """Initial equity and daily closes in atoms: walks of many lengths and drifts, and curves at which ratios break down."""
    walks = {
        f"{name}_{days}": walk(days, seed, drift)
        for seed, (name, drift) in enumerate((("rising", 9), ("level", 0), ("falling", -14)))
        for days in (2, 3, 19, 20, 21, 365, 800)
    }
    return walks | {
        "one_day": [START, START + 10**10],
        "flat": [START] * 26,
        "never_lost": [START + 10**9 * day * day for day in range(30)],
        "never_won": [START - 10**9 * day * day for day in range(30)],
        "to_nothing": [START - START * day // 40 for day in range(39)] + [1],
    }


def walk(days: int, seed: int, drift: int) -> list[int]:
    """Steps of up to 2 % of the start, whole atoms."""
    state, out = seed + 1, [START]
    for _ in range(days):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        out.append(out[-1] + out[-1] // 10_000 * ((state >> 33) % 401 - 200 + drift))
    return out


def main() -> None:
    """Ask the package and write the table."""
    import empyrical
    import pandas as pd

    table: dict[str, object] = {"empyrical-reloaded": "0.7.1", "curves": {}}
    for name, equity in curves().items():
        returns = pd.Series(equity, dtype=float).pct_change().dropna()
        scale = 365 if len(returns) >= 20 else 1
        said = {
            "total_return": empyrical.cum_returns_final(returns),
            "cagr": empyrical.cagr(returns, annualization=365),
            "volatility": empyrical.annual_volatility(returns, annualization=scale),
            "sharpe": empyrical.sharpe_ratio(returns, annualization=scale),
            "sortino": empyrical.sortino_ratio(returns, annualization=scale),
            "calmar": empyrical.calmar_ratio(returns, annualization=365),
            "max_drawdown": -empyrical.max_drawdown(returns),
        }
        table["curves"][name] = {"equity": equity} | {key: float(value).hex() for key, value in said.items()}  # type: ignore[index]
    TABLE.write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    main()
