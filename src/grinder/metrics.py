"""Metrics of a finished run (SPEC 13; ADR-0019): beside the digest, never in it.

Money is in integer atoms and counts are integers, exact; ratios, seconds and basis points are floats, each one correctly
rounded division or root, so that equal runs have equal metrics on every machine. What is undefined is None, never 0: a ratio over
nothing, gates of a policy that looks at none, annual figures of a few days. `stuck_positions`, `recovery_success_rate`,
`position_mismatch_incidents` and `margin_utilization` are left out: recovery, reconciliation and margin are not there yet.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from grinder._jit import kernel
from grinder.data.instrument import Instrument
from grinder.index import first_due
from grinder.performance import Performance, performance
from grinder.records import NONE, Adds, Cause, Events, Feature, GateKind, OrderState, Regime, Role, Severity, World
from grinder.units import BP, NS_PER_DAY, exact_units

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = [
    "HORIZONS",
    "Account",
    "Labelled",
    "Metrics",
    "Pnl",
    "PortfolioMetrics",
    "SymbolMetrics",
    "accounts",
    "completed_cycles",
    "equity_after",
    "equity_path",
    "fill_mids",
    "labelled_texts",
    "largest_drawdown",
    "measure",
    "regime_path",
    "total_of",
]

HORIZONS: Final = (1, 5, 30, 300)
"""Seconds after a fill at which its markouts are taken."""
NS: Final = 1_000_000_000
SHOWN: Final = 4
"""Symbols that the text of metrics has columns for."""

_CYCLE: Final = np.dtype(
    [
        (name, "<i8")
        for name in ("cycle symbol side qty entry_event entry_ts entry_price exit_event exit_ts exit_price gross fees net").split()
    ]
)

K = TypeVar("K", bound=Hashable)
V_co = TypeVar("V_co", covariant=True)


class Labelled(Mapping[K, V_co]):
    """Values by label, in a fixed order; cannot be changed."""

    __slots__ = ("_values",)

    def __init__(self, items: Iterable[tuple[K, V_co]]) -> None:
        self._values = dict(items)

    def __getitem__(self, label: K) -> V_co:
        return self._values[label]

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


class Pnl(NamedTuple):
    """Where the equity gained since the start comes from, atoms: `total == spread + inventory + fees + funding`, exactly.

    The total is the ledger's; spread and inventory are of fills and mids.
    """

    total: int
    """realised and unrealised, less fees, plus funding: of the portfolio, equity less initial equity"""
    spread: int
    """captured: what each fill was better than its symbol's mid at the fill"""
    inventory: int
    """the mid's moves from fill to fill on the position then held, up to the run's last mid"""
    fees: int
    """negative where they cost"""
    funding: int
    """positive where received"""


@dataclass(frozen=True)
class SymbolMetrics:
    """Metrics of one symbol, or of the portfolio; money in atoms.

    Without another word a figure is of the whole run and a portfolio's is of all its symbols' fills, cycles, orders or bars
    together. *At the end* is after the last event, at each symbol's last accepted mid.
    """

    cycles_completed_total: int
    """cycles whose closing fills sum to what their entry fills opened"""
    realized_pnl_total: int
    """by average cost, before fees and funding"""
    unrealized_pnl: int
    """at the end"""
    turnover_notional_total: int
    fees_estimate_total: int
    """positive where they cost"""
    funding_total: int
    """positive where received"""
    avg_cycle_profit_bps: float | None
    """mean over completed cycles of profit after fees, in bp of what was entered"""
    win_rate: float | None
    """share of completed cycles with a profit after fees"""
    dd_current: int
    """drawdown from the peak of its budget window, at the last mark"""
    dd_budget: int
    """of that window"""
    dd_utilization_pct: float | None
    """100 * dd_current / dd_budget"""
    max_inventory_notional: int
    """largest position held at a mark, at mid; portfolio: largest sum, each symbol as of its own last mark"""
    effective_leverage: float | None
    """notional held at the end over the account's equity; None when that is not positive"""
    time_in_regime_seconds: Labelled[str, float]
    """by name of `Regime`, first to last event; a policy without gates is in RANGE; portfolio: the symbols' sum"""
    adds_off_seconds: float
    """without a plan, or under one with adds OFF on both sides; portfolio: the symbols' sum"""
    spread_bps: float | None
    """mean of the feature over bar closes that have it"""
    impact_estimate_bps: float | None
    """mean of the feature `impact`, the worse side's for `impact_quote`, over bar closes that have it"""
    fill_rate: float | None
    """orders that any fill was of, over orders placed"""
    time_to_fill: float | None
    """mean seconds from an order's placing to its last fill, over orders that filled"""
    cancel_replace_rate: float | None
    """cancels and amends that took effect, over orders placed"""
    tox_severity: int | None
    """worst `Severity` of the toxicity gate; None where the policy looks at no gate; portfolio: the worst of all"""
    markout_bps: Labelled[int, float | None]
    """by seconds after the fill: move of the mid from the fill price in the fill's direction, bp, weighted by notional.

    The mid is that of the symbol's last accepted L1 update at or before the fill's time plus the horizon. A fill counts when the
    run has an event, of any symbol, at that time or later.
    """
    pnl: Pnl


@dataclass(frozen=True)
class PortfolioMetrics(SymbolMetrics):
    """Metrics of the account."""

    equity: int
    """at the end"""
    dd_max: int
    """largest drawdown at a mark inside one budget window, atoms: the card's and the golden's `max_drawdown`"""
    performance: Performance


@dataclass(frozen=True, repr=False)
class Metrics:
    """All metrics of a run. `portfolio` is the account's, `symbols["BTCUSDT"]` one symbol's."""

    fixture: str
    events: int
    account: Instrument
    """An instrument in whose quote currency the account is kept."""
    portfolio: PortfolioMetrics
    symbols: Labelled[str, SymbolMetrics]

    def __repr__(self) -> str:
        ratios = self.portfolio.performance
        days = f"{ratios.days} day{'' if ratios.days == 1 else 's'}"
        head = f"Metrics of {self.fixture}, {self.events:,} events, {days}, {'' if ratios.annualised else 'not '}annualised"
        columns = [("portfolio", labelled_texts(self.portfolio, self.account))]
        if len(self.symbols) > 1:
            columns += [(name, labelled_texts(self.symbols[name], self.account)) for name in list(self.symbols)[:SHOWN]]
        widths = [max(len(name), *map(len, column.values())) for name, column in columns]
        labels = list(columns[0][1])
        lines = [head, " " * 34 + "  ".join(name.rjust(w) for (name, _), w in zip(columns, widths, strict=True))]
        for label in labels:
            cells = [column.get(label, "").rjust(w) for (_, column), w in zip(columns, widths, strict=True)]
            lines.append(f"  {label:<32}" + "  ".join(cells).rstrip())
        if len(self.symbols) > SHOWN:
            lines.append(f"  and {len(self.symbols) - SHOWN} symbols more: metrics.symbols[...]")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every name is always there, null where undefined; money in atoms of `10**-quote_decimals` `quote`."""
        return {
            "fixture": self.fixture,
            "events": self.events,
            "quote": self.account.quote,
            "quote_decimals": self.account.quote_decimals,
            "portfolio": _plain(self.portfolio),
            "symbols": {name: _plain(self.symbols[name]) for name in self.symbols},
        }


# Money: one definition for the card, the golden's headline and the metrics


class Account(NamedTuple):
    """Money of a symbol, or of all, after the last event at its last accepted mid, atoms."""

    cycles: int
    open_cycles: int
    realised: int
    unrealised: int
    fees: int
    funding: int
    turnover: int
    value: int
    """of the position, signed"""
    gross: int
    """of the position, without its sign"""

    @property
    def profit(self) -> int:
        """What was gained since the start."""
        return self.realised + self.unrealised - self.fees + self.funding


def accounts(world: World, instruments: Sequence[Instrument]) -> list[Account]:
    """The account of each symbol."""
    out = []
    for row, instrument in zip(world.symbols, instruments, strict=True):
        value = int(row["mid2"]) * (instrument.tick_value // 2) * int(row["position"])
        cost = int(row["cost"]) * (1 if row["position"] > 0 else -1)
        out.append(
            Account(
                cycles=int(row["cycles_done"]),
                open_cycles=int(row["n_cycles"]),
                realised=int(row["realised"]),
                unrealised=value - cost,
                fees=int(row["fees"]),
                funding=int(row["funding"]),
                turnover=int(row["turnover"]),
                value=value,
                gross=abs(value),
            )
        )
    return out


def total_of(each: Sequence[Account]) -> Account:
    """The portfolio's account: sums."""
    return Account(*(sum(column) for column in zip(*each, strict=True)))


def equity_after(world: World, value: int) -> int:
    """Equity after the last event by the second path: cash and the value of all positions (SPEC 10)."""
    return int(world.run[0]["cash"]) + value


def largest_drawdown(ledger: np.ndarray) -> int:
    """Largest drawdown of the portfolio at a mark, inside one budget window, atoms."""
    drawdowns = ledger["drawdown"][ledger["symbol"] == NONE]
    return int(drawdowns.max()) if len(drawdowns) else 0


# Over time


def regime_path(run: Run, s: int) -> tuple[list[int], list[int]]:
    """When each regime of a symbol began, ns, and which it was; the first begins with the run."""
    rows = run.regimes.records
    rows = rows[rows["symbol"] == s]
    began = int(rows["from"][0]) if len(rows) else int(run.world.symbols[s]["regime"])
    return [run.first_ts, *rows["ts"].tolist()], [began, *rows["to"].tolist()]


def equity_path(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Times and equity of the account in atoms: the start, every mark, the end."""
    marks = run.ledger.records[run.ledger["symbol"] == NONE]
    initial = exact_units(run.config.equity, run.instruments[0].atom)
    end = equity_after(run.world, total_of(accounts(run.world, run.instruments)).value)
    ts = np.concatenate([[run.first_ts], marks["ts"], [run.last_ts]]).astype(np.int64)
    return ts, np.concatenate([[initial], marks["equity"], [end]]).astype(np.int64)


# Cycles


def completed_cycles(fills: np.ndarray, instruments: Sequence[Instrument]) -> tuple[np.ndarray, np.ndarray]:
    """Cycles whose closing fills, of any role, sum to what their entry fills opened, in order of completion.

    Returns:
        Records of entry, exit and profit, exact in atoms, and the notional entered. `entry_*` is of the first entry fill, `exit_*`
        of the last closing one; `fees` are those of all its fills.
    """
    mine = fills[fills["cycle"] >= 0]
    ids, place = np.unique(mine["cycle"], return_inverse=True)
    is_entry = mine["role"] == int(Role.ENTRY)
    notional = mine["price"] * mine["qty"] * _per_symbol(instruments, mine["symbol"])

    def sums(values: np.ndarray, of: np.ndarray | slice = slice(None)) -> np.ndarray:
        out = np.zeros(len(ids), np.int64)
        np.add.at(out, place[of], values[of])
        return out

    entered = sums(notional, is_entry)
    done = np.flatnonzero(sums(mine["qty"], is_entry) == sums(mine["qty"], ~is_entry))
    first, last = np.full(len(ids), len(mine)), np.zeros(len(ids), np.int64)
    np.minimum.at(first, place[is_entry], np.flatnonzero(is_entry))
    np.maximum.at(last, place, np.arange(len(mine)))
    done = done[np.argsort(last[done])]
    entries, exits = mine[first[done]], mine[last[done]]
    out = np.zeros(len(done), _CYCLE)
    for name in ("cycle", "symbol", "side"):
        out[name] = entries[name]
    for name in ("event", "ts", "price"):
        out[f"entry_{name}"], out[f"exit_{name}"] = entries[name], exits[name]
    out["qty"] = sums(mine["qty"], is_entry)[done]
    out["gross"] = sums(-mine["side"] * notional)[done]
    out["fees"] = sums(mine["fee"])[done]
    out["net"] = out["gross"] - out["fees"]
    return out, entered[done]


def _per_symbol(instruments: Sequence[Instrument], symbol: np.ndarray) -> np.ndarray:
    """Atoms per tick and lot of each row."""
    values: np.ndarray = np.array([instrument.tick_value for instrument in instruments], np.int64)[symbol]
    return values


# Mids around fills


def fill_mids(market: Events, fills: np.ndarray, symbols: int) -> np.ndarray:
    """What fills are compared with: int64 (fills, 5), mid2 at the fill and at each of `HORIZONS`; 0 where there is none."""
    out = np.zeros((len(fills), 1 + len(HORIZONS)), np.int64)
    for s in range(symbols):
        mine = np.flatnonzero(fills["symbol"] == s)
        if len(mine):
            rows = np.flatnonzero(market.symbol == s) if symbols > 1 else np.zeros(0, np.int64)
            times = market.ts[rows] if symbols > 1 else market.ts
            times.setflags(write=False)  # as those of the market are: the kernel would be compiled for both kinds
            at = np.ascontiguousarray(fills["event"][mine])
            then = fills["ts"][mine, None] + NS * np.array([0, *HORIZONS])
            mids = np.zeros_like(then)
            start = np.searchsorted(rows, at) if symbols > 1 else at
            _look_ahead(times, rows, market.bid_px, market.ask_px, start, then, int(market.ts[-1]), mids)
            out[mine] = mids
    return out


@kernel
def _look_ahead(times: Any, rows: Any, bid: Any, ask: Any, start: Any, then: Any, last: int, mids: Any) -> None:
    """The mid of a symbol's last row at or before each time, which has the state of its last update; 0 after `last`.

    Args:
        times: of its rows. rows: which they are of `bid` and `ask`; none: all. start: places of the fills among them.
        then: of each fill ascending, the first its own time. mids: as many, filled.
    """
    for f in range(len(start)):
        place = start[f]
        for k in range(then.shape[1]):
            if then[f, k] <= last:
                place = first_due(times, place, len(times), then[f, k] + 1) - 1 if k > 0 else place  # type: ignore[no-untyped-call]
                i = rows[place] if len(rows) > 0 else place
                mids[f, k] = bid[i] + ask[i]


# The whole


class _Part(NamedTuple):
    """What one column of metrics is computed from: the records of a symbol, or of all."""

    fills: np.ndarray
    mids: np.ndarray
    tick_value: np.ndarray
    cycles: np.ndarray
    entered: np.ndarray
    orders: np.ndarray
    features: np.ndarray


def measure(run: Run) -> Metrics:
    """The metrics of a run: a pure function of its records, its state and the mids at and after its fills."""
    tables = {stage: table.records for stage, table in run.tables.items()}
    n, world, fills = len(run.instruments), run.world, tables["fills"]
    each = accounts(world, run.instruments)
    whole = total_of(each)
    equity = equity_after(world, whole.value)
    cycles, entered = completed_cycles(fills, run.instruments)
    everything = _Part(
        fills, run.fill_mids, _per_symbol(run.instruments, fills["symbol"]), cycles, entered, tables["orders"], tables["features"]
    )
    parts = _split(everything, n) if n > 1 else [everything]
    said = [_of_part(part) for part in parts]
    ledgers, plans, gates, regimes = (_rows_of(tables[stage], n) for stage in ("ledger", "plans", "gates", "regimes"))
    held = [_held(rows) for rows in ledgers]
    present = world.symbols["regime"].tolist()
    gated = len(tables["regimes"]) > 0 or any(regime != Regime.RANGE for regime in present)
    in_regime = [_time_in_regime(regimes[s], present[s], run.first_ts, run.last_ts) for s in range(n)]
    adds_off = [_adds_off(plans[s], run.first_ts, run.last_ts) for s in range(n)]
    toxic = [_worst_toxicity(gates[s]) if gated else None for s in range(n)]
    split = [_split_pnl(parts[s], each[s], int(world.symbols[s]["mid2"])) for s in range(n)]
    symbols = [
        SymbolMetrics(
            **_of_account(each[s], equity, world.symbols[s]),
            **said[s],
            max_inventory_notional=int(held[s].max(initial=0)),
            time_in_regime_seconds=_by_regime(in_regime[s]),
            adds_off_seconds=adds_off[s] / NS,
            tox_severity=toxic[s],
            pnl=split[s],
        )
        for s in range(n)
    ]
    initial = exact_units(run.config.equity, run.instruments[0].atom)
    portfolio = PortfolioMetrics(
        **_of_account(whole, equity, world.run[0]),
        **(_of_part(everything) if n > 1 else said[0]),
        max_inventory_notional=_largest_gross(tables["ledger"], held),
        time_in_regime_seconds=_by_regime([sum(column) for column in zip(*in_regime, strict=True)]),
        adds_off_seconds=sum(adds_off) / NS,
        tox_severity=max(level for level in toxic if level is not None) if gated else None,
        pnl=Pnl(*(sum(column) for column in zip(*split, strict=True))),
        equity=equity,
        dd_max=largest_drawdown(tables["ledger"]),
        performance=_of_ledger(tables["ledger"], initial, equity, run),
    )
    return Metrics(run.name, run.events, run.instruments[0], portfolio, Labelled(zip(run.symbols, symbols, strict=True)))


def _rows_of(records: np.ndarray, symbols: int) -> list[np.ndarray]:
    """The rows of each symbol, in their order."""
    if symbols == 1 and (len(records) == 0 or records["symbol"].min() == 0):
        return [records]
    return [records[rows] for rows in _places_of(records["symbol"], symbols)]


def _places_of(symbol: np.ndarray, symbols: int) -> list[np.ndarray]:
    if symbols == 1:
        return [np.flatnonzero(symbol == 0)]
    order = np.argsort(symbol, kind="stable")
    return [order[a:b] for a, b in pairwise(np.searchsorted(symbol[order], np.arange(symbols + 1)).tolist())]


def _split(whole: _Part, symbols: int) -> list[_Part]:
    """Each symbol's part of everything."""
    of_fills, of_cycles = (_places_of(rows["symbol"], symbols) for rows in (whole.fills, whole.cycles))
    orders, features = _rows_of(whole.orders, symbols), _rows_of(whole.features, symbols)
    return [
        _Part(
            fills=whole.fills[of_fills[s]],
            mids=whole.mids[of_fills[s]],
            tick_value=whole.tick_value[of_fills[s]],
            cycles=whole.cycles[of_cycles[s]],
            entered=whole.entered[of_cycles[s]],
            orders=orders[s],
            features=features[s],
        )
        for s in range(symbols)
    ]


def _of_account(account: Account, equity: int, state: Any) -> dict[str, Any]:
    """What the ledger says; `state` has drawdown and budget as of the last mark."""
    drawdown, budget = int(state["drawdown"]), int(state["budget"])
    return {
        "cycles_completed_total": account.cycles,
        "realized_pnl_total": account.realised,
        "unrealized_pnl": account.unrealised,
        "turnover_notional_total": account.turnover,
        "fees_estimate_total": account.fees,
        "funding_total": account.funding,
        "dd_current": drawdown,
        "dd_budget": budget,
        "dd_utilization_pct": _ratio(100 * drawdown, budget),
        "effective_leverage": _ratio(account.gross, max(0, equity)),
    }


def _of_part(part: _Part) -> dict[str, Any]:
    """What fills, cycles, orders and bars say."""
    wins = int((part.cycles["net"] > 0).sum())
    profits = [10_000 * net / notional for net, notional in zip(part.cycles["net"].tolist(), part.entered.tolist(), strict=True)]
    placed = part.orders[part.orders["from"] == NONE]
    changed = (part.orders["to"] == int(OrderState.CANCELLED)) | (part.orders["from"] == part.orders["to"])
    filled, backwards = np.unique(part.fills["order"][::-1], return_index=True)
    last_fill = part.fills["ts"][::-1][backwards]
    waited = _total(last_fill - placed["ts"][np.searchsorted(placed["order"], filled)])  # ids ascend as they are given
    return {
        "avg_cycle_profit_bps": math.fsum(profits) / len(profits) if profits else None,
        "win_rate": _ratio(wins, len(part.cycles)),
        "spread_bps": _mean_bps(part.features, Feature.SPREAD_BPS),
        "impact_estimate_bps": _mean_bps(part.features, Feature.IMPACT),
        "fill_rate": _ratio(len(filled), len(placed)),
        "time_to_fill": _ratio(waited, len(filled) * NS),
        "cancel_replace_rate": _ratio(int(changed.sum()), len(placed)),
        "markout_bps": Labelled((horizon, _markout(part, k)) for k, horizon in enumerate(HORIZONS, 1)),
    }


def _ratio(part: int, whole: int) -> float | None:
    """Two integers' quotient, rounded once; None over nothing."""
    return part / whole if whole else None


def _total(values: np.ndarray) -> int:
    """The sum of int64 values as a Python integer, which cannot wrap: high and low halves are summed apart."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _mean_bps(features: np.ndarray, feature: Feature) -> float | None:
    there = features[str(feature.name).lower()][features["absent"] & int(feature) == 0]
    return _ratio(_total(there), len(there) * BP)


def _markout(part: _Part, k: int) -> float | None:
    there = part.mids[:, k] > 0
    fills, tick_value = part.fills[there], part.tick_value[there]
    moved = fills["side"] * fills["qty"] * (part.mids[there, k] - 2 * fills["price"]) * (tick_value // 2)
    return _ratio(10_000 * _total(moved), _total(fills["price"] * fills["qty"] * tick_value))


def _split_pnl(part: _Part, account: Account, last_mid2: int) -> Pnl:
    """Spread captured at each fill, and from each fill to the next the mid's move on what is held."""
    signed, half, mids = part.fills["side"] * part.fills["qty"], part.tick_value // 2, part.mids[:, 0]
    spread = _total(signed * (mids - 2 * part.fills["price"]) * half)
    inventory = _total(np.cumsum(signed) * np.diff(mids, append=last_mid2) * half)
    return Pnl(account.profit, spread, inventory, -account.fees, account.funding)


def _held(ledger: np.ndarray) -> np.ndarray:
    """Notional held at each mark of a symbol: unrealised PnL and cost have the mid in them."""
    values: np.ndarray = np.abs(ledger["unrealised"] + np.sign(ledger["position"]) * ledger["cost"])
    return values


def _largest_gross(ledger: np.ndarray, held: Sequence[np.ndarray]) -> int:
    """The largest sum over symbols at a mark, each as of its own last mark."""
    change = np.zeros(len(ledger), np.int64)
    for rows, values in zip(_places_of(ledger["symbol"], len(held)), held, strict=True):
        change[rows] = np.diff(values, prepend=0)
    return int(np.cumsum(change)[ledger["symbol"] == NONE].max(initial=0))


def _time_in_regime(rows: np.ndarray, regime: int, start: int, end: int) -> list[int]:
    """How many ns in each regime from the first event to the last; without a change all of it in the present one."""
    codes = np.append(rows["from"][:1], rows["to"]) if len(rows) else np.array([regime])
    spans = np.diff(np.concatenate([[start], rows["ts"], [end]]))
    return [int(spans[codes == one].sum()) for one in Regime]


def _by_regime(spans: Sequence[int]) -> Labelled[str, float]:
    return Labelled((regime.name, span / NS) for regime, span in zip(Regime, spans, strict=True))


def _adds_off(plans: np.ndarray, start: int, end: int) -> int:
    """How many ns before the first plan and under plans that add on neither side."""
    off = (plans["adds_down"] == int(Adds.OFF)) & (plans["adds_up"] == int(Adds.OFF))
    spans = np.diff(np.concatenate([[start], plans["ts"], [end]]))
    return int(spans[np.append(True, off)].sum())


def _worst_toxicity(gates: np.ndarray) -> int:
    return int(gates["to"][gates["gate"] == int(GateKind.TOXICITY)].max(initial=int(Severity.LOW)))


def _of_ledger(ledger: np.ndarray, initial: int, equity: int, run: Run) -> Performance:
    """Performance of the account. Its points are the initial equity, every mark of the portfolio and the end.

    A mark belongs to the UTC day of its event; a roll of the drawdown window, marked at the mids before midnight, to the day
    before.
    """
    marks = ledger[ledger["symbol"] == NONE]
    ts = np.concatenate([[run.first_ts], marks["ts"], [run.last_ts]])
    closes_before = np.concatenate([[False], marks["cause"] & int(Cause.ROLL) != 0, [False]])
    return performance(ts, np.concatenate([[initial], marks["equity"], [equity]]), ts // NS_PER_DAY - closes_before, run.events > 0)


# Text and JSON


def _plain(value: Any) -> Any:
    """Metrics as dicts, names as keys, None as null."""
    if isinstance(value, SymbolMetrics):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Pnl | Performance):
        return dict(value._asdict())
    if isinstance(value, Labelled):
        return {str(label): value[label] for label in value}
    return value


MONEY: Final = frozenset(
    ("realized_pnl_total unrealized_pnl turnover_notional_total fees_estimate_total funding_total dd_current dd_budget dd_max "
     "max_inventory_notional equity pnl.total pnl.spread pnl.inventory pnl.fees pnl.funding").split()
)  # fmt: skip


def labelled_texts(metrics: SymbolMetrics, account: Instrument) -> dict[str, str]:
    """Every metric as text by its name; parts of one have a dot, and regimes that never were are left out."""
    out = {}
    for name, value in _plain(metrics).items():
        parts = {f"{name}.{label}": part for label, part in value.items()} if isinstance(value, dict) else {name: value}
        for label, part in parts.items():
            if name == "time_in_regime_seconds" and not part:
                continue
            if part is None:
                out[label] = "-"
            elif label in MONEY:
                out[label] = f"{account.money(part, 4)} {account.quote}"
            elif isinstance(part, float):
                out[label] = f"{part:,.6g}"
            else:
                out[label] = str(part)
    return out
