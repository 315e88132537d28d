"""What a careful colleague would say about a run before its profit is believed: each caution is computed, none is guessed.

What a run does not have any more (a loaded one has no quotes) leads to no caution, neither to an all-clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from grinder.metrics import Metrics, accounts, total_of
from grinder.performance import ANNUAL_FROM
from grinder.records import BUY, NONE, SELL, Fault, InputKind, IntentKind, Latch, Reason, Regime
from grinder.units import format_units
from grinder.wording import stretch

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = ["Caution", "cautions", "warm_up"]

FEW_CYCLES: Final = 30
"""Completed cycles under which a win rate says little."""
SHARE: Final = 10
"""Per cent of the run's time, or of its fills, from which a caution is due."""
SCANNED: Final = 50_000_000
"""Quotes looked at, at most, for how near the market came to orders that never filled."""
_LATCHES: Final = {Latch.MANUAL: "a KILL", Latch.DRAWDOWN: "the portfolio's drawdown", Latch.EXTREME: "toxicity EXTREME"}


class Caution(NamedTuple):
    """One thing to know."""

    code: str
    """stable: STOPPED_EARLY, NO_FILLS, WARM_UP, KILLED, OVER_BUDGET, FILL_MODEL, DISPLAYED_SIZE, OPEN_LOSS, SHORT_SAMPLE,
    FEW_CYCLES, DATA"""
    text: str
    """a sentence"""


def cautions(run: Run, metrics: Metrics | None = None) -> tuple[Caution, ...]:
    """The cautions of a run, the gravest first; see `Caution`.

    Args:
        metrics: of the run, where they are at hand.
    """
    measured = run.metrics() if metrics is None else metrics
    each = (
        _stopped_early(run), _no_fills(run), _warm_up(run), _killed(run), _over_budget(run), _fill_model(run),
        _displayed_size(run), _open_loss(run), _short_sample(run, measured), _few_cycles(run), _data(run),
    )  # fmt: skip
    return tuple(Caution(code, text) for code, text in each if text)


def _stopped_early(run: Run) -> tuple[str, str]:
    text = f"It stopped after {run.events:,} of {run.total:,} events." if not run.complete else ""
    return "STOPPED_EARLY", text


def _killed(run: Run) -> tuple[str, str]:
    latch = Latch(int(run.world.run[0]["latch"]))
    return "KILLED", f"The kill switch is latched at the end, by {_LATCHES[latch]}: nothing is traded." if latch else ""


def _over_budget(run: Run) -> tuple[str, str]:
    rows = run.ledger.records
    rows = rows[(rows["symbol"] == NONE) & (rows["drawdown"] > rows["budget"])]
    if not len(rows):
        return "OVER_BUDGET", ""
    worst = rows[np.argmax(rows["drawdown"] - rows["budget"])]
    over, budget = (run.money(int(worst[name])) for name in ("drawdown", "budget"))
    return "OVER_BUDGET", f"The drawdown was over its budget: {over} of {budget}."


def _open_loss(run: Run) -> tuple[str, str]:
    account = total_of(accounts(run.world, run.instruments))
    if not account.open_cycles or not account.cycles or account.unrealised >= 0 or -account.unrealised < account.realised:
        return "OPEN_LOSS", ""
    cycles = "1 cycle is" if account.open_cycles == 1 else f"{account.open_cycles:,} cycles are"
    return "OPEN_LOSS", (
        f"{cycles} open at the end, at an unrealised {run.money(account.unrealised)} against {run.money(account.realised)} "
        "realised: win rate and profit per cycle are of completed cycles only."
    )


def _short_sample(run: Run, metrics: Metrics) -> tuple[str, str]:
    ratios = metrics.portfolio.performance
    if ratios.annualised or run.events == 0:
        return "SHORT_SAMPLE", ""
    days = "1 UTC day" if ratios.days == 1 else f"{ratios.days} UTC days"
    long = stretch(run.last_ts - run.first_ts)
    return "SHORT_SAMPLE", (
        f"{long} of data, in {days}: too short to annualise, which takes {ANNUAL_FROM} days; Sharpe and the like mean little."
    )


def _few_cycles(run: Run) -> tuple[str, str]:
    done = len(run.cycles)
    if not 0 < done < FEW_CYCLES:
        return "FEW_CYCLES", ""
    cycles = "1 completed cycle says" if done == 1 else f"{done} completed cycles say"
    return "FEW_CYCLES", f"{cycles} little about win rate and profit per cycle."


def _data(run: Run) -> tuple[str, str]:
    rows = run.input.records
    parts = []
    bad = rows[rows["kind"] == InputKind.QUARANTINED]
    if len(bad):
        counts = [(fault, int((bad["code"] == fault).sum())) for fault in Fault]
        reasons = ", ".join(f"{fault.name} {count:,}" for fault, count in counts if count)
        parts.append(f"{len(bad):,} row{'s' * (len(bad) > 1)} quarantined ({reasons})")
    gaps = int((rows["kind"] == InputKind.GAP).sum())
    if gaps:
        parts.append(f"{gaps:,} gap{'s' * (gaps > 1)} longer than {run.config.max_gap_ms:,} ms, after which features warm up anew")
    return "DATA", f"Of the data: {'; '.join(parts)}." if parts else ""


# Warm-up


def warm_up(run: Run) -> list[int]:
    """How long each symbol was in PAUSED for WARMUP, from the run's first event to its last, ns; 0 where no gate is looked at."""
    rows, out = run.regimes.records, []
    for s, present in enumerate(run.world.symbols["regime"].tolist()):
        mine = rows[rows["symbol"] == s]
        times = np.concatenate([[run.first_ts], mine["ts"], [run.last_ts]])
        paused_first = mine["from"][0] == Regime.PAUSED if len(mine) else present == Regime.PAUSED
        waits = (mine["to"] == Regime.PAUSED) & (mine["reasons"] & int(Reason.WARMUP) != 0)
        out.append(int(np.diff(times)[np.append(paused_first, waits)].sum()))
    return out


def _warm_up(run: Run) -> tuple[str, str]:
    whole = (run.last_ts - run.first_ts) * len(run.instruments)
    waited = sum(warm_up(run))
    if waited == 0 or waited * 100 < SHARE * whole:
        return "WARM_UP", ""
    of = "" if len(run.instruments) == 1 else " of all symbols together"
    return "WARM_UP", f"{_percent(waited, whole)} of its time{of} is warm-up, in which no grid is quoted."


# Fills


def _no_fills(run: Run) -> tuple[str, str]:
    return "NO_FILLS", f"No fill: {'; '.join(_why_no_fill(run))}." if not len(run.fills) else ""


def _why_no_fill(run: Run) -> Iterator[str]:
    """What kept orders from being placed, or the market from reaching them."""
    if run.events == 0:
        yield "no event was seen"
        return
    placed = int((run.orders["from"] == NONE).sum())
    if placed == 0:
        yield from _why_no_order(run)
        return
    yield "1 order rested and never filled" if placed == 1 else f"{placed:,} orders rested and none filled"
    nearest = _nearest(run)
    if nearest is not None:
        yield nearest


def _why_no_order(run: Run) -> Iterator[str]:
    plans, intents = run.plans.records, run.intents.records
    yield "no order was placed"
    whole = (run.last_ts - run.first_ts) * len(run.instruments)
    if whole == 0 and (run.world.symbols["regime"] == Regime.PAUSED).all():
        yield "it never left PAUSED"
    elif whole and sum(warm_up(run)) == whole:
        yield "features were warming up all the time"
    elif not len(plans) and not len(intents):
        yield "no plan was made"
    reasons = 0
    for masks in (plans["reasons"], intents["reason"][intents["kind"] == IntentKind.PLACE]):
        reasons |= int(np.bitwise_or.reduce(masks)) if len(masks) else 0
    if reasons:
        yield f"reasons recorded: {', '.join(reason.name or '' for reason in Reason if reasons & reason)}"
    if len(plans) and not ((plans["levels_down"] > 0) | (plans["levels_up"] > 0)).any():
        yield "no plan had a level"


def _nearest(run: Run) -> str | None:
    """How near the market came to the orders that rested, while they did; None where the quotes are gone, or are too many."""
    from grinder.plot import lives

    if run.market is None:
        return None
    best: tuple[int, int, int] | None = None
    crosses, scanned = run.config.fill_model == "cross", 0
    for s, symbol in enumerate(run.symbols):
        rows = np.flatnonzero((run.market.symbol == s) & (run.market.ask_px > 0))
        ts, life = run.market.ts[rows], lives(run, symbol)
        first, last = np.searchsorted(ts, life.start), np.searchsorted(ts, life.end, side="right")
        scanned += int((last - first).sum())
        if scanned > SCANNED:
            return None
        for side in (BUY, SELL):
            far = _distance(run.market, rows, side, crosses)
            for i in np.flatnonzero((life.side == side) & (last > first)).tolist():
                gap = int(far[first[i] : last[i]].min()) - 2 * side * int(life.price[i]) + 2 * crosses * run.config.penetration
                if best is None or gap < best[0]:
                    best = gap, s, int(life.price[i])
    if best is None or best[0] <= 0:
        return None
    gap, s, price = best
    instrument = run.instruments[s]
    away = format_units(gap, Fraction(instrument.tick_size) / 2)
    who = "the other side" if crosses else "the mid"
    return f"{who} came within {_trimmed(away)} {instrument.quote} of one, at {instrument.price(price)} ({_bp(gap, 2 * price)})"


def _distance(market: Any, rows: np.ndarray, side: int, crosses: bool) -> np.ndarray:
    """What has to come down to twice a limit for a BUY of it to fill, half ticks; negated for a SELL."""
    if crosses:
        near = market.ask_px if side > 0 else market.bid_px
        return np.asarray(2 * side * near[rows])
    return np.asarray(side * (market.bid_px[rows] + market.ask_px[rows]))


def _fill_model(run: Run) -> tuple[str, str]:
    fills = _maker_fills(run)
    if run.market is None or run.config.fill_model != "mid_touch" or not len(fills):
        return "FILL_MODEL", ""
    bid, ask = run.market.bid_px[fills["event"]], run.market.ask_px[fills["event"]]
    only = int(np.where(fills["side"] > 0, ask > fills["price"], bid < fills["price"]).sum())
    if only * 100 < SHARE * len(fills):
        return "FILL_MODEL", ""
    return "FILL_MODEL", (
        f"{only:,} of {len(fills):,} fills depend on the fill model: where mid_touch filled them, the other side had not come to "
        "the limit, and cross would not have filled them then. Replay with fill_model='cross' to see what is left."
    )


def _displayed_size(run: Run) -> tuple[str, str]:
    fills = _maker_fills(run)
    if run.market is None or not len(fills):
        return "DISPLAYED_SIZE", ""
    bid, ask = run.market.bid_qty[fills["event"]], run.market.ask_qty[fills["event"]]
    larger = int((fills["qty"] > np.where(fills["side"] > 0, ask, bid)).sum())
    if larger * 100 < SHARE * len(fills):
        return "DISPLAYED_SIZE", ""
    return "DISPLAYED_SIZE", (
        f"{larger:,} of {len(fills):,} fills are larger than what the other side displayed at its best price: "
        f"{run.config.fill_model} fills whole orders."
    )


def _maker_fills(run: Run) -> np.ndarray:
    fills = run.fills.records
    made: np.ndarray = fills[fills["taker"] == 0]
    return made


def _percent(part: int, whole: int) -> str:
    """A share in per cent to one digit, rounded half up."""
    tenths = (2000 * part + whole) // (2 * whole)
    return f"{tenths // 10}.{tenths % 10} %"


def _bp(part: int, whole: int) -> str:
    tenths = (2 * 100_000 * part + whole) // (2 * whole)
    return f"{tenths // 10:,}.{tenths % 10} bp"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
