"""Metrics of a finished run (SPEC 13; ADR-0019): beside the digest, never in it.

Money is in integer atoms and counts are integers, exact; ratios, seconds and basis points are floats, each one correctly
rounded division or root, so that equal runs have equal metrics on every machine. What is undefined is None, never 0: a ratio over
nothing, gates of a policy that looks at none, annual figures of a few days. `stuck_positions`, `recovery_success_rate`,
`position_mismatch_incidents` and `margin_utilization` are left out: recovery, reconciliation and margin are not there yet.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from grinder._jit import kernel
from grinder.data.instrument import Instrument
from grinder.performance import Performance, performance
from grinder.records import NONE, Events, Regime, Role, World
from grinder.tallies import HORIZONS, TOLD, Sum, Tallies, Told, empty_tallies, tally
from grinder.units import BP, exact_units

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
    "measure_portfolio",
    "regime_path",
    "total_of",
]

NS: Final = 1_000_000_000
EXACT: Final = 2**53
"""Integers up to this are floats exactly."""
_ENTRY: Final = int(Role.ENTRY)
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

    def to_dict(self) -> dict[str, Any]:
        """By name, null where undefined; what has parts is a dict of them."""
        return {name: _plain(value) for name, value in vars(self).items()}


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
            "portfolio": self.portfolio.to_dict(),
            "symbols": {name: self.symbols[name].to_dict() for name in self.symbols},
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
    many = int(fills["cycle"].max(initial=NONE)) + 1
    begun, beside = np.zeros(many, _CYCLE), np.zeros((many, 3), np.int64)
    done, entered = np.empty(many, _CYCLE), np.empty(many, np.int64)
    found = _complete(fills, _tick_values(instruments), begun, beside, done, entered)
    return done[:found], entered[:found]


@kernel
def _complete(fills: Any, tick_values: Any, begun: Any, beside: Any, done: Any, entered: Any) -> int:
    """Fill in the completed ones. Returns how many.

    Args:
        begun: by number of the cycle, zeros. beside: as many: quantity closed, notional entered, place of the last fill; zeros.
    """
    for f in range(len(fills)):
        fill, c = fills[f], fills[f]["cycle"]
        if c < 0:
            continue
        cycle, notional = begun[c], fill["price"] * fill["qty"] * tick_values[fill["symbol"]]
        if fill["role"] == _ENTRY:
            if cycle["qty"] == 0:
                cycle["cycle"], cycle["symbol"], cycle["side"] = c, fill["symbol"], fill["side"]
                cycle["entry_event"], cycle["entry_ts"], cycle["entry_price"] = fill["event"], fill["ts"], fill["price"]
            cycle["qty"] += fill["qty"]
            beside[c, 1] += notional
        else:
            beside[c, 0] += fill["qty"]
        cycle["gross"] -= fill["side"] * notional
        cycle["fees"] += fill["fee"]
        cycle["exit_event"], cycle["exit_ts"], cycle["exit_price"] = fill["event"], fill["ts"], fill["price"]
        beside[c, 2] = f
    found = 0
    for f in range(len(fills)):
        c = fills[f]["cycle"]
        if c >= 0 and beside[c, 2] == f and begun[c]["qty"] > 0 and begun[c]["qty"] == beside[c, 0]:
            begun[c]["net"] = begun[c]["gross"] - begun[c]["fees"]
            done[found], entered[found] = begun[c], beside[c, 1]
            found += 1
    return found


def _tick_values(instruments: Sequence[Instrument]) -> np.ndarray:
    """Atoms per tick and lot of each symbol."""
    return np.array([instrument.tick_value for instrument in instruments], np.int64)


# Mids around fills


def fill_mids(market: Events, fills: np.ndarray, symbols: int) -> np.ndarray:
    """What fills are compared with: int64 (fills, 5), mid2 at the fill and at each of `HORIZONS`; 0 where there is none."""
    out, at, ts = np.zeros((len(fills), 1 + len(HORIZONS)), np.int64), np.ascontiguousarray(fills["event"]), fills["ts"]
    if symbols == 1:
        _mids_at(market, market.ts, np.zeros(0, np.int64), at, ts, out)
        return out
    for s in range(symbols):
        mine = np.flatnonzero(fills["symbol"] == s)
        if len(mine):
            rows = np.flatnonzero(market.symbol == s)
            mids = np.zeros((len(mine), out.shape[1]), np.int64)
            _mids_at(market, market.ts[rows], rows, np.searchsorted(rows, at[mine]), ts[mine], mids)
            out[mine] = mids
    return out


_AFTER: Final = NS * np.array([0, *HORIZONS])


def _mids_at(market: Events, times: np.ndarray, rows: np.ndarray, start: np.ndarray, ts: np.ndarray, mids: np.ndarray) -> None:
    """Fill in `mids` of some fills, as `_look_ahead` does."""
    if not len(mids):
        return
    times.setflags(write=False)  # as those of the market are: the kernel would be compiled for both kinds
    then, (low, high) = ts[:, None] + _AFTER, np.empty((2, *mids.shape), np.int64)
    _look_ahead(times, rows, market.bid_px, market.ask_px, start, then, int(market.ts[-1]), low, high, mids)


@kernel
def _look_ahead(
    times: Any, rows: Any, bid: Any, ask: Any, start: Any, then: Any, last: int, low: Any, high: Any, mids: Any
) -> None:
    """The mid of a symbol's last row at or before each time, which has the state of its last update; 0 after `last`.

    All are bisected together, step by step: one after another, each would wait for memory in turn.

    Args:
        times: of its rows. rows: which they are of `bid` and `ask`; none: all. start: places of the fills among them.
        then: of each fill ascending, the first its own time. low, high: as many, scratch. mids: as many, filled.
    """
    _bracket(len(times), start, then, low, high)
    closing = True
    while closing:
        closing = False
        for f in range(len(then)):
            for k in range(1, then.shape[1]):
                middle = (low[f, k] + high[f, k]) // 2
                if times[middle] <= then[f, k]:
                    low[f, k] = middle
                else:
                    high[f, k] = middle
                closing = closing or high[f, k] - low[f, k] > 1
    for f in range(len(then)):
        for k in range(then.shape[1]):
            if then[f, k] <= last:
                i = rows[low[f, k]] if len(rows) > 0 else low[f, k]
                mids[f, k] = bid[i] + ask[i]


@kernel
def _bracket(end: int, start: Any, then: Any, low: Any, high: Any) -> None:
    """What each time is between: the place of the last fill at or before it, and of the next fill, or `end`.

    The fill's own time, the first, is taken at the fill's place, whatever follows at that time.
    """
    for k in range(then.shape[1]):
        j = 0
        for f in range(len(start)):
            while j + 1 < len(start) and then[j + 1, 0] <= then[f, k]:
                j += 1
            low[f, k], high[f, k] = start[j if k > 0 else f], start[j + 1] if j + 1 < len(start) else end


# The whole


def measure(run: Run) -> Metrics:
    """The metrics of a run: a pure function of its records, its state and the mids at and after its fills."""
    sums = _Sums.of(run)
    said = [sums.symbol(s) for s in range(len(run.instruments))]
    return Metrics(run.name, run.events, run.instruments[0], sums.portfolio(), Labelled(zip(run.symbols, said, strict=True)))


def measure_portfolio(run: Run) -> PortfolioMetrics:
    """The portfolio's metrics alone, of which a sweep makes thousands."""
    return _Sums.of(run).portfolio()


class _Sums(NamedTuple):
    """What metrics are made of."""

    run: Run
    each: list[Account]
    whole: Account
    equity: int
    """at the end"""
    told: Told
    tallies: Tallies
    totals: list[list[int]]
    """by symbol and `Sum`"""
    points: np.ndarray
    """of the account: ts, equity, day"""
    cycles: _Cycles
    gated: bool
    """whether the policy looks at gates"""

    @classmethod
    def of(cls, run: Run) -> _Sums:
        """Of a run."""
        each, told = accounts(run.world, run.instruments), _told(run)
        whole, tallies = total_of(each), empty_tallies(told)
        equity, initial = equity_after(run.world, whole.value), exact_units(run.config.equity, run.instruments[0].atom)
        points = tallies.points[:, : tally(told, tallies, run.first_ts, run.last_ts, initial, equity)]
        cycles = _Cycles.of(*completed_cycles(told.fills, run.instruments))
        gated = len(told.regimes) > 0 or bool((told.present != int(Regime.RANGE)).any())
        return cls(run, each, whole, equity, told, tallies, tallies.totals(), points, cycles, gated)

    def pnl(self, s: int) -> Pnl:
        """Where a symbol's profit comes from."""
        account, totals = self.each[s], self.totals[s]
        return Pnl(account.profit, totals[Sum.SPREAD], totals[Sum.INVENTORY], -account.fees, account.funding)

    def symbol(self, s: int) -> SymbolMetrics:
        """The metrics of a symbol."""
        return SymbolMetrics(
            **_of_account(self.each[s], self.equity, self.run.world.symbols[s]),
            **_of_cycles(self.cycles.of_symbol(s) if len(self.each) > 1 else self.cycles),
            **_of_totals(self.totals[s]),
            max_inventory_notional=int(self.tallies.held[s, 1]),
            time_in_regime_seconds=_by_regime(self.tallies.in_regime[s]),
            tox_severity=int(self.tallies.toxicity[s]) if self.gated else None,
            pnl=self.pnl(s),
        )

    def portfolio(self) -> PortfolioMetrics:
        """The metrics of the account."""
        return PortfolioMetrics(
            **_of_account(self.whole, self.equity, self.run.world.run[0]),
            **_of_cycles(self.cycles),
            **_of_totals([sum(column) for column in zip(*self.totals, strict=True)]),
            max_inventory_notional=int(self.tallies.held[-1, 1]),
            time_in_regime_seconds=_by_regime(self.tallies.in_regime.sum(axis=0)),
            tox_severity=int(self.tallies.toxicity.max()) if self.gated else None,
            pnl=Pnl(*(sum(column) for column in zip(*map(self.pnl, range(len(self.each))), strict=True))),
            equity=self.equity,
            dd_max=largest_drawdown(self.told.ledger),
            performance=performance(self.points[0], self.points[1], self.points[2], self.run.events > 0),
        )


def _told(run: Run) -> Told:
    tables = {stage: _of_one_kind(run.tables[stage].records) for stage in TOLD}
    return Told(
        **tables,
        mids=run.fill_mids,
        tick_values=_tick_values(run.instruments),
        last_mids=np.ascontiguousarray(run.world.symbols["mid2"]),
        present=np.ascontiguousarray(run.world.symbols["regime"]),
    )


def _of_one_kind(records: np.ndarray) -> np.ndarray:
    """Records as a replay makes them: a kernel would be compiled for each kind."""
    flags = records.flags
    return records if flags.c_contiguous and flags.writeable else np.require(records, requirements=("C", "W"))


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


class _Cycles(NamedTuple):
    """Completed cycles: whose they are, what they earned, and that as a share of what was entered, bp."""

    symbol: np.ndarray
    net: np.ndarray
    profit: np.ndarray

    @classmethod
    def of(cls, cycles: np.ndarray, entered: np.ndarray) -> _Cycles:
        """As `completed_cycles` has them."""
        return cls(cycles["symbol"], cycles["net"], _in_bp(cycles["net"], entered))

    def of_symbol(self, s: int) -> _Cycles:
        """Those of one symbol."""
        return _Cycles(*(column[self.symbol == s] for column in self))


def _of_cycles(cycles: _Cycles) -> dict[str, Any]:
    many = len(cycles.net)
    return {
        "avg_cycle_profit_bps": math.fsum(cycles.profit.tolist()) / many if many else None,
        "win_rate": _ratio(int((cycles.net > 0).sum()), many),
    }


def _of_totals(total: Sequence[int]) -> dict[str, Any]:
    """What fills, orders, plans and bars say: sums by `Sum`."""
    markouts = (_ratio(10_000 * total[Sum.MOVED + k], total[Sum.TRADED + k]) for k in range(len(HORIZONS)))
    return {
        "adds_off_seconds": total[Sum.ADDS_OFF] / NS,
        "spread_bps": _ratio(total[Sum.SPREAD_BPS], total[Sum.SPREADS] * BP),
        "impact_estimate_bps": _ratio(total[Sum.IMPACT], total[Sum.IMPACTS] * BP),
        "fill_rate": _ratio(total[Sum.FILLED], total[Sum.ORDERS]),
        "time_to_fill": _ratio(total[Sum.WAITED], total[Sum.FILLED] * NS),
        "cancel_replace_rate": _ratio(total[Sum.CHANGED], total[Sum.ORDERS]),
        "markout_bps": Labelled(zip(HORIZONS, markouts, strict=True)),
    }


def _ratio(part: int, whole: int) -> float | None:
    """Two integers' quotient, rounded once; None over nothing."""
    return part / whole if whole else None


def _in_bp(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Quotients of integers, each rounded once: those up to 2**53 are floats exactly, of others Python knows better."""
    largest = 10_000 * max(-int(parts.min(initial=0)), int(parts.max(initial=0)))
    if max(largest, int(wholes.max(initial=0))) <= EXACT:
        exact: np.ndarray = 10_000 * parts / wholes
        return exact
    return np.array([10_000 * part / whole for part, whole in zip(parts.tolist(), wholes.tolist(), strict=True)])


def _by_regime(spans: np.ndarray) -> Labelled[str, float]:
    return Labelled((regime.name, span / NS) for regime, span in zip(Regime, spans.tolist(), strict=True))


# Text and JSON


def _plain(value: Any) -> Any:
    """Parts of a metric as a dict, names as keys."""
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
    for name, value in metrics.to_dict().items():
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
