"""Make `ta_table.json`: what the `ta` package says of a series of bars, for `test_features.py` to agree with.

`pip install ta==0.11.0 && python -m tests.oracles.make_ta_table`. The package is no dependency of the tests: it comes as source
only, which would have to be built wherever they run.
"""

from __future__ import annotations

import json
from pathlib import Path

TABLE = Path(__file__).with_name("ta_table.json")


def bars(count: int, seed: int = 1) -> list[tuple[int, int, int, int]]:
    """Open, high, low and close in half ticks of a walk that is quiet, wild, flat and gapping by turns; whole numbers only."""
    state, price, out = seed, 130_000, []

    def draw(limit: int) -> int:
        nonlocal state
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return (state >> 33) % limit

    for i in range(count):
        reach = (1, 40, 400, 9)[i // 25 % 4]
        first = price + 2 * (draw(2 * reach + 1) - reach)
        path = [first + 2 * (draw(2 * reach + 1) - reach) for _ in range(3)]
        price = path[-1]
        out.append((first, max(first, *path), min(first, *path), price))
    return out


def main() -> None:
    """Ask the package and write the table."""
    import pandas as pd
    import ta

    rows = bars(400)
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"]).astype(float)
    table = {"ta": "0.11.0", "bars": rows}
    for n in (1, 2, 14, 48):
        atr = ta.volatility.AverageTrueRange(frame.high, frame.low, frame.close, window=n).average_true_range()
        table[f"atr_{n}"] = [float(value).hex() for value in atr]
    for n in (12, 48):
        average = ta.trend.EMAIndicator(frame.close, window=n, fillna=True).ema_indicator()
        table[f"ema_{n}"] = [float(value).hex() for value in average]
    TABLE.write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    main()
