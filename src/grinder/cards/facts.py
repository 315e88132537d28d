"""What the card of a run says, in words and integers: one account of it for a notebook and for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from grinder.cautions import Caution, cautions
from grinder.metrics import Metrics, accounts, equity_path, regime_path, total_of
from grinder.records import Regime
from grinder.units import exact_units

if TYPE_CHECKING:
    from grinder.golden import Standing
    from grinder.run import Run

__all__ = ["Facts", "Figure", "facts_of", "percent", "span_of"]

PLACES: Final = 4
"""Decimals of money that are shown, those after them cut off."""
NS: Final = 1_000_000_000


class Figure(NamedTuple):
    """A number with what it is."""

    name: str
    text: str
    """with its unit, ungrouped, ASCII"""
    value: int = 0
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """What a card says of a run; texts are plain, money is decimal text in `quote`."""

    title: str
    span: str
    events: str
    digest: str
    standing: Standing
    quote: str
    net: Figure
    headline: tuple[Figure, ...]
    """drawdown, cycles, fills, inventory"""
    ledger: tuple[Figure, ...]
    """realised, unrealised, fees, funding: they sum to the net"""
    sources: tuple[Figure, ...]
    """spread, inventory, fees, funding: they sum to the net"""
    drawdown: int
    budget: int
    warn: int
    """thousandths of the budget at which DAMAGE_CONTROL begins"""
    regimes: tuple[tuple[Regime, int], ...]
    """ns in each that there was, of all symbols together; empty where no gate is looked at"""
    regime_paths: tuple[tuple[list[int], list[int]], ...]
    """of each symbol, when its regimes began, and which; empty likewise"""
    symbols: tuple[tuple[str, ...], ...]
    """of several symbols: name, net, fills, cycles, win rate, position"""
    cautions: tuple[Caution, ...]
    settings: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    equity: tuple[np.ndarray, np.ndarray]
    """times and values, from the initial equity over every mark to the end"""
    initial: int


def facts_of(run: Run) -> Facts:
    """What there is to say of a run."""
    from grinder.golden import standing

    metrics = run.metrics()
    account = total_of(accounts(run.world, run.instruments))
    pnl, whole = metrics.portfolio.pnl, metrics.portfolio
    instrument = run.instruments[0]

    def figure(name: str, atoms: int, note: str = "") -> Figure:
        return Figure(name, instrument.money(atoms, PLACES), atoms, note)

    gated = len(run.regimes) > 0 or bool((run.world.symbols["regime"] != Regime.RANGE).any())
    spans = {name: round(seconds * NS) for name, seconds in whole.time_in_regime_seconds.items()}
    return Facts(
        title=run.name,
        span=span_of(run.first_ts, run.last_ts),
        events=f"{run.events:,} events" + ("" if run.complete else f" of {run.total:,}"),
        digest=run.digest.value,
        standing=standing(run),
        quote=instrument.quote,
        net=figure("net PnL", account.profit, _of_equity(account.profit, exact_units(run.config.equity, instrument.atom))),
        headline=_headline(run, metrics),
        ledger=(
            figure("realised", account.realised),
            figure("unrealised", account.unrealised),
            figure("fees", -account.fees),
            figure("funding", account.funding),
        ),
        sources=(
            figure("spread captured", pnl.spread),
            figure("inventory", pnl.inventory),
            figure("fees", pnl.fees),
            figure("funding", pnl.funding),
        ),
        drawdown=whole.dd_max,
        budget=whole.dd_budget,
        warn=int(1000 * run.config.dd_warn),
        regimes=tuple((regime, spans[regime.name]) for regime in Regime if spans[regime.name]) if gated else (),
        regime_paths=tuple(regime_path(run, s) for s in range(len(run.symbols))) if gated else (),
        symbols=_by_symbol(run, metrics) if len(run.symbols) > 1 else (),
        cautions=cautions(run, metrics),
        settings=_settings(run),
        provenance=_provenance(run.provenance),
        equity=equity_path(run),
        initial=exact_units(run.config.equity, instrument.atom),
    )


def _headline(run: Run, metrics: Metrics) -> tuple[Figure, ...]:
    whole, summary = metrics.portfolio, run.summary()
    money = run.instruments[0].money
    drawdown = (
        f"of {money(whole.dd_budget, PLACES)} budget, {percent(whole.dd_max, whole.dd_budget)}" if whole.dd_budget else "no budget"
    )
    won = "" if whole.win_rate is None else f", {percent_of(whole.win_rate)} won"
    return (
        Figure("max drawdown", money(whole.dd_max, PLACES), whole.dd_max, drawdown),
        Figure("cycles", str(summary["cycles"]), summary["cycles"], f"{summary['open_cycles']:,} open{won}"),
        Figure("fills", str(summary["fills"]), summary["fills"], f"{summary['buys']:,} buys, {summary['sells']:,} sells"),
        Figure(
            "orders", str(summary["orders"]), summary["orders"], f"{percent_of(whole.fill_rate)} filled" if whole.fill_rate else ""
        ),
    )


def _of_equity(profit: int, initial: int) -> str:
    """A profit in per cent of the initial equity, to four digits, cut."""
    units = abs(profit) * 1_000_000 // initial
    return f"{'-' if profit < 0 and units else ''}{units // 10_000}.{units % 10_000:04d} % of equity"


def _by_symbol(run: Run, metrics: Metrics) -> tuple[tuple[str, ...], ...]:
    out = []
    fills = run.fills.records
    for s, (symbol, instrument) in enumerate(zip(run.symbols, run.instruments, strict=True)):
        mine = metrics.symbols[symbol]
        won = "" if mine.win_rate is None else percent_of(mine.win_rate)
        held = int(run.world.symbols[s]["position"])
        out.append(
            (
                symbol,
                instrument.money(mine.pnl.total, PLACES),
                str(int((fills["symbol"] == s).sum())),
                str(mine.cycles_completed_total),
                won,
                instrument.quantity(held),
            )
        )
    return tuple(out)


def _settings(run: Run) -> tuple[tuple[str, str], ...]:
    """What a reader asks first, then everything that is unlike its default."""
    config, policy = run.config, run.provenance.get("policy")
    first = (
        ("policy", f"{policy} (own)" if policy is not None else config.policy),
        ("fill_model", config.fill_model),
        ("order_latency_ms", f"{config.order_latency_ms:,}"),
        ("maker_fee", bp(config.maker_fee)),
        ("taker_fee", bp(config.taker_fee)),
        ("equity", f"{config.equity:,f} {run.instruments[0].quote}"),
    )
    known = {name for name, _ in first}
    return first + tuple((name, _plain(value)) for name, value in sorted(config.changed().items()) if name not in known)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)


def bp(ratio: Any) -> str:
    """A ratio as basis points, exact."""
    text = format(ratio * 10_000, "f")
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} bp"


def _provenance(known: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    out = []
    for name, value in known.items():
        if name == "dirty":
            continue
        text = str(value)
        if name == "commit":
            text = text[:12] + (", and changes that are not committed" if known.get("dirty") else "")
        out.append((name, text[:12] if name.endswith("sha256") else text))
    return tuple(out)


def span_of(first: int, last: int) -> str:
    """A span of time in UTC, as exact as its length asks for.

    >>> span_of(1_700_006_400_000_000_000, 1_700_092_799_500_000_000)
    '2023-11-15 00:00:00 to 2023-11-15 23:59:59 UTC'
    """
    unit: Any = "s" if last - first >= 10 * NS or last == first else "ms" if last - first >= NS // 100 else "ns"
    start, end = (str(np.datetime64(ts, "ns").astype(f"datetime64[{unit}]")).replace("T", " ") for ts in (first, last))
    return f"{start} to {end} UTC"


def percent(part: int, whole: int) -> str:
    """A share in per cent to one digit, rounded half up."""
    tenths = (2000 * part + whole) // (2 * whole) if whole else 0
    return f"{tenths // 10:,}.{tenths % 10} %"


def percent_of(ratio: float) -> str:
    """A ratio in per cent to one digit."""
    return f"{100 * ratio:.1f} %"
