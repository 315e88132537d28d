"""nautilus_trader: the grid as a strategy in its low-level `BacktestEngine`, on its quote ticks.

Its matching engine fills a resting limit order when the other side's best price reaches it: grinder's `cross`, the default fill
model, no latency. The strategy asks for quotes until the first has come, then only for its fills. Logging and the analysis after
the run are off.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pandas as pd
from common import Fills, Tape, main

_start = time.perf_counter()
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig  # noqa: E402 - timed
from nautilus_trader.config import LoggingConfig, StrategyConfig  # noqa: E402
from nautilus_trader.model.currencies import BTC, USDT  # noqa: E402
from nautilus_trader.model.data import QuoteTick  # noqa: E402
from nautilus_trader.model.enums import AccountType, BookType, OmsType, OrderSide  # noqa: E402
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue  # noqa: E402
from nautilus_trader.model.instruments import CryptoPerpetual  # noqa: E402
from nautilus_trader.model.objects import Money, Price, Quantity  # noqa: E402
from nautilus_trader.persistence.wranglers import QuoteTickDataWrangler  # noqa: E402
from nautilus_trader.trading.strategy import Strategy  # noqa: E402

IMPORTED = time.perf_counter() - _start
VENUE = Venue("SIM")
PRICE_DIGITS, SIZE_DIGITS = 1, 3
SIDES = (OrderSide.BUY, OrderSide.SELL)


def instrument() -> CryptoPerpetual:
    """A linear perpetual with the tape's tick and lot."""
    symbol = Symbol("BTCUSDT-PERP")
    return CryptoPerpetual(
        instrument_id=InstrumentId(symbol, VENUE),
        raw_symbol=symbol,
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=PRICE_DIGITS,
        size_precision=SIZE_DIGITS,
        price_increment=Price.from_str("0.1"),
        size_increment=Quantity.from_str("0.001"),
        ts_event=0,
        ts_init=0,
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
    )


class Grid(Strategy):
    """The static grid; what it was filled is in `noted`."""

    def __init__(self, tape: Tape, perpetual: CryptoPerpetual) -> None:
        super().__init__(StrategyConfig(strategy_id="GRID-000"))
        self.perpetual = perpetual
        self.levels = tape.levels
        self.lots = Quantity(tape.quantity * tape.lot, SIZE_DIGITS)
        self.entry = [[Price(price * tape.tick, PRICE_DIGITS) for price in side] for side in tape.entry.tolist()]
        self.leave = [[Price(price * tape.tick, PRICE_DIGITS) for price in side] for side in tape.exit.tolist()]
        self.resting: dict[Any, tuple[bool, int, int]] = {}
        self.open: dict[tuple[int, int], Any] = {}
        self.held = [0, 0]
        self.noted: list[tuple[int, Any, Price, Quantity]] = []

    def on_start(self) -> None:
        """Wait for the first quote."""
        self.subscribe_quote_ticks(self.perpetual.id)

    def on_quote_tick(self, _: QuoteTick) -> None:
        """Lay the grid out."""
        self.unsubscribe_quote_ticks(self.perpetual.id)
        for k in (0, 1):
            for i in range(self.levels):
                self.enter(k, i)

    def send(self, side: int, price: Price, what: tuple[bool, int, int]) -> Any:
        """A limit order that rests until it is filled or cancelled."""
        order = self.order_factory.limit(self.perpetual.id, SIDES[side], self.lots, price)
        self.resting[order.client_order_id] = what
        self.submit_order(order)
        return order

    def enter(self, k: int, i: int) -> None:
        """The entry of a level."""
        self.open[k, i] = self.send(k, self.entry[k][i], (False, k, i))

    def on_order_filled(self, event: Any) -> None:
        """Take-profit and next level after an entry, the level again after a take-profit."""
        self.noted.append((event.ts_event, event.order_side, event.last_px, event.last_qty))
        leaving, k, i = self.resting.pop(event.client_order_id)
        far = self.levels + self.held[k]
        if leaving:
            self.cancel_order(self.open.pop((k, far - 1)))
            self.held[k] -= 1
            self.enter(k, i)
        else:
            self.held[k] += 1
            self.send(1 - k, self.leave[k][i], (True, k, i))
            self.enter(k, far)


def load(tape: Tape) -> dict[str, Any]:
    """The tape as nautilus_trader's quotes."""
    perpetual = instrument()
    table = pd.DataFrame(
        {
            "bid_price": tape.bid_px * tape.tick,
            "ask_price": tape.ask_px * tape.tick,
            "bid_size": tape.bid_qty * tape.lot,
            "ask_size": tape.ask_qty * tape.lot,
        },
        index=pd.to_datetime(tape.ts, utc=True),
    )
    return {"tape": tape, "perpetual": perpetual, "quotes": QuoteTickDataWrangler(perpetual).process(table)}


def fresh(loaded: dict[str, Any]) -> dict[str, Any]:
    """An engine with venue, instrument, quotes and strategy."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(
        VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000, USDT)], base_currency=USDT, book_type=BookType.L1_MBP
    )
    engine.add_instrument(loaded["perpetual"])
    engine.add_data(loaded["quotes"], validate=False, sort=False)
    grid = Grid(loaded["tape"], loaded["perpetual"])
    engine.add_strategy(grid)
    return {"engine": engine, "grid": grid}


def replay(ready: dict[str, Any]) -> list[tuple[int, Any, Price, Quantity]]:
    """Run the engine over all quotes."""
    ready["engine"].run()
    noted = ready["grid"].noted
    ready["engine"].dispose()
    return noted


def fills(done: list[tuple[int, Any, Price, Quantity]], tape: Tape) -> Fills:
    """In ticks and lots."""
    return [
        (ts, 1 if side == OrderSide.BUY else -1, round(float(price) / tape.tick), round(float(lots) / tape.lot))
        for ts, side, price, lots in done
    ]


if __name__ == "__main__":
    main(load, fresh, replay, fills, packages=("nautilus_trader",), imported=IMPORTED)
