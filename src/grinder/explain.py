"""`run.explain(time)`: what was so at a moment of a replay, and what decided each number of the plan in force (SPEC 7.8).

Records say what a plan is; why it is so follows from the inputs that it was made of. A run keeps the fixture that it replayed, so
the state at any event is got exactly: by replaying the events up to it. Derivations use the engine's own formulas.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np

from grinder.data.commands import parsed_time
from grinder.data.fixture import Fixture, fixture as named_fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, LedgerError
from grinder.gates import strays_since
from grinder.policies.derivation import SIDE, TERMS, derive
from grinder.protection import is_triggered, mode_of
from grinder.records import (
    INPUTS,
    LADDER_SLOTS,
    LEVEL,
    NEVER,
    NONE,
    PLAN,
    STAGES,
    Adds,
    Feature,
    GateKind,
    Latch,
    Mode,
    PlanKind,
    Reason,
    Regime,
    Severity,
    Stream,
    Toxicity,
    Trend,
    World,
)
from grinder.regime import IS_WARM
from grinder.run import Run
from grinder.selection import is_barred, score_terms
from grinder.session import replay
from grinder.units import BP, MICRO, ONE, format_units, parse_decimal

__all__ = ["Explanation", "Line", "Moment", "explain_run"]

Moment = int | str | datetime | np.datetime64
"""A time: ns, UTC text, or what Python and numpy have for it; a datetime without a zone is UTC."""

_STALE: Final = ("fresh", "stale", "paused", "paused ten times over")
_OPEN: Final = ("closed", "open")
_WORDS: Final = {
    Reason.WARMUP: "features are still warming up",
    Reason.DEPTH_SHORT: "the book shows less than Q: l2_penalty is 3",
    Reason.STEP_FEE_FLOOR: "the fee floor is over alpha * NATR and step_min",
    Reason.STEP_TICK_FLOOR: "a level has to be min_step_ticks from the center",
    Reason.LEVELS_CLAMPED: "width / step asks for more than levels_max: the nearest are kept",
    Reason.BUDGET: "an entry would lose more than the symbol's budget",
    Reason.BUDGET_TOO_SMALL: "even levels_min levels would be under a lot or min_notional: a side has none",
    Reason.MAX_INVENTORY: "max_inventory_notional leaves less room than the levels need: quantities are cut",
    Reason.MAX_LEVERAGE: "max_effective_leverage leaves less room than the levels need: quantities are cut",
    Reason.MIN_NOTIONAL: "what the caps left was under a lot or min_notional: the farthest levels are dropped",
    Reason.MAX_OPEN_ORDERS: "max_open_orders leaves fewer places than levels: the farthest are dropped",
    Reason.STEP_WIDENED: "the caps left under levels_min levels: a side's ladder has twice the step",
    Reason.CAP_PAUSE: "the caps leave under levels_min levels at twice the step too: a side's adds are OFF",
    Reason.HARD_CAP: "the position would pass what 62 bits of money hold",
    Reason.RATE_LIMIT: "no token for an order was left",
    Reason.POST_ONLY: "the price would not have rested",
    Reason.NO_VOLATILITY: "NATR is 0: both sides' adds are OFF",
}
_LATCHED: Final = {Latch.MANUAL: "a KILL", Latch.DRAWDOWN: "the portfolio's drawdown", Latch.EXTREME: "toxicity EXTREME"}
_PLAN_UNITS: Final[dict[str, str]] = {
    "center": "1e-6 ticks",
    "step": "1e-8",
    "width_down": "1e-8",
    "width_up": "1e-8",
    "levels_down": "count",
    "levels_up": "count",
    "tp_step": "1e-8",
    "budget": "atoms",
    "worst_down": "atoms",
    "worst_up": "atoms",
}


class Line(NamedTuple):
    """One thing shown."""

    name: str
    value: int | None
    """the raw integer; None where there is none"""
    unit: str
    """of `value`: ns, event, ticks, half ticks, 1e-6 ticks, lots, atoms, 1e-8, count, code, bits; or empty"""
    text: str
    """for reading"""
    why: str = ""
    """what it came from, and what decided it"""


@dataclass(frozen=True)
class Explanation:
    """What was so at a moment, in named sections of lines. `explanation["plan.step"]` is one line; it prints as a table.

    Args:
        run: name of the fixture. symbol: whose state it is.
        time: what was asked for, ns. event, ts: index and time of the last event at or before it; event -1: not known, the run was
            loaded without its fixture.
        sections: (name, lines).
    """

    run: str
    symbol: str
    time: int
    event: int
    ts: int
    sections: tuple[tuple[str, tuple[Line, ...]], ...]

    def __getitem__(self, path: str) -> Line:
        section, _, name = path.partition(".")
        for line in dict(self.sections).get(section, ()):
            if line.name == name:
                return line
        raise KeyError(path)

    def __contains__(self, path: object) -> bool:
        return any(path == f"{section}.{line.name}" for section, lines in self.sections for line in lines)

    def __repr__(self) -> str:
        out = [self._title()]
        for section, lines in self.sections:
            out += ["", section.replace("_", " ")]
            names = max(len(line.name) for line in lines)
            texts = max((len(line.text) for line in lines if line.why), default=0)
            out += [f"  {line.name:<{names}}  {line.text:<{texts}}  {line.why}".rstrip() for line in lines]
        return "\n".join(out)

    def _repr_html_(self) -> str:
        from grinder.cards.page import Row, element, escaped, fragment, table

        out = [element("p", element("b", escaped(self._title())))]
        for section, lines in self.sections:
            rows = [Row(map(escaped, (line.name, line.text, line.why))) for line in lines]
            out.append(table(section.replace("_", " "), rows))
        return fragment(out)

    def to_dict(self) -> dict[str, Any]:
        """Integers and strings only; each line by section and name."""
        sections = {section: {line.name: dict(zip(Line._fields[1:], line[1:], strict=True)) for line in lines}
                    for section, lines in self.sections}  # fmt: skip
        return {"fixture": self.run, "symbol": self.symbol, "time": self.time, "event": self.event, "ts": self.ts} | {
            "sections": sections
        }

    def _title(self) -> str:
        at = f"event {self.event:,} of {_clock(self.ts)}" if self.event >= 0 else f"records up to {_clock(self.ts)}"
        return f"{self.run} {self.symbol} at {_clock(self.time)} UTC: {at}"


def explain_run(
    run: Run, time: Moment, symbol: str | None = None, fixture: Fixture | str | os.PathLike[str] | None = None
) -> Explanation:
    """What was so in a run at `time`, and why; see `Run.explain`.

    Raises:
        ConfigError: no such time or symbol in this run, or another fixture than the one that it replayed.
    """
    ns = _nanoseconds(time)
    if symbol is not None and symbol not in run.symbols:
        raise ConfigError(f"there is no symbol {symbol!r} in {run.name}; there are {', '.join(run.symbols)}")
    if run.events == 0:
        raise ConfigError(f"this run of {run.name} has seen no event: replay further")
    if not run.first_ts <= ns <= run.last_ts:
        what = "before its first event" if ns < run.first_ts else "after its last event"
        raise ConfigError(
            f"{_clock(ns)} is {what}: this run of {run.name} has events from {_clock(run.first_ts)} to {_clock(run.last_ts)} UTC"
        )
    return _Case(run, ns, 0 if symbol is None else run.symbols.index(symbol), _Heads(run, fixture)).explanation()


def _nanoseconds(time: Moment) -> int:
    """A moment in ns, exactly."""
    if hasattr(time, "to_datetime64"):  # pandas' own, finer than the datetime that it also is
        time = time.to_datetime64()
    if isinstance(time, np.datetime64):
        whole = time.astype("datetime64[ns]")
        if np.isnat(time) or whole.astype(time.dtype) != time:
            raise ConfigError(f"time {time!r} is no time in ns from 1678 to 2262")
        return int(whole.astype(np.int64))
    if isinstance(time, datetime):
        aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
        return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    return parsed_time(time, "time")


# The state at an event


class _Heads:
    """The world after any event of a run, by replaying what came before; None where it cannot be had, and `lacks` says why."""

    def __init__(self, run: Run, fixture: Fixture | str | os.PathLike[str] | None) -> None:
        self.run, self.made, self.lacks = run, dict[int, Run](), ""
        self.source = run.source
        if self.source is None and fixture is not None:
            data = fixture if isinstance(fixture, Fixture) else named_fixture(fixture, run.config)
            if data.content != run.digest.input:
                raise ConfigError(f"{data.name} is not what this run replayed: its content is {data.content[:12]}, "
                                  f"the run's {run.digest.input[:12]}")  # fmt: skip
            if "policy" in run.provenance:
                self.lacks = f"policy {run.provenance['policy']} is not saved with a run; replay with it and explain that run"
            else:
                self.source = (data, None)
        elif self.source is None:
            self.lacks = "a loaded run has records only; give its fixture, as in explain(time, fixture=...) or --fixture"

    def event_at(self, ns: int) -> int:
        """Index of the last event at or before a time; -1 where events are not known."""
        if self.source is None:
            return self.run.events - 1 if ns == self.run.last_ts else -1
        return int(np.searchsorted(self.source[0].events.ts[: self.run.events], ns, side="right")) - 1

    def time_of(self, event: int) -> int | None:
        """Time of an event, where events are known."""
        return None if self.source is None else int(self.source[0].events.ts[event])

    def first_from(self, ns: int) -> int:
        """Index of the first event at or after a time."""
        assert self.source is not None
        return int(np.searchsorted(self.source[0].events.ts, ns, side="left"))

    def params(self) -> Any:
        """PARAMS, (1,), as the run had them."""
        data, policy = self.source if self.source is not None else (None, None)
        ranges = data.price_range if data else [(price, price) for price in self._prices()]
        params = self.run.config.params(self.run.instruments, ranges)[0]
        if policy is not None:
            params[0]["top_k"] = len(self.run.instruments)
        return params

    def _prices(self) -> list[int]:
        """A price of each symbol that the settings are proven for: its last, else that of one lot worth the inventory cap."""
        most = int(self.run.world.run[0]["max_inventory"])
        pairs = zip(self.run.world.symbols["mid2"].tolist(), self.run.instruments, strict=True)
        return [mid2 // 2 or max(1, most // instrument.tick_value) for mid2, instrument in pairs]

    def world(self, event: int) -> World | None:
        """The world after an event."""
        if event == self.run.events - 1:
            return self.run.world
        if self.source is None or event < 0:
            return None
        if event not in self.made:
            data, policy = self.source
            before = max((done for done in self.made if done < event), default=None)
            resume = None if before is None else self.made[before]
            head = replay(data, self.run.config, policy, until=event + 1, resume=resume)
            if not self._is_ours(head, event):
                self.source = None
                self.lacks = "the policy decided otherwise when it was called again, so what it knew is not known"
                return None
            self.made[event] = head
        return self.made[event].world

    def moved(self, s: int, event: int, then: int, since: int) -> int | None:
        """Half ticks from a symbol's mid at a time to that after an event; 0 if it had none from event `since` on."""
        if self.source is None:
            return None
        e = self.source[0].events
        ticks = (e.symbol[: event + 1] == s) & (e.fault[: event + 1] == 0)
        ticks &= (e.kind[: event + 1] == Stream.QUOTES) | (e.kind[: event + 1] == Stream.BOOKS)
        rows = np.flatnonzero(ticks)
        before = rows[(e.ts[rows] <= then) & (rows >= since)]
        if not len(before):
            return 0
        last, first = rows[-1], before[-1]
        return abs(int(e.bid_px[last] + e.ask_px[last] - e.bid_px[first] - e.ask_px[first]))

    def _is_ours(self, head: Run, event: int) -> bool:
        for stage in STAGES:
            mine = self.run.tables[stage].records
            if not np.array_equal(head.tables[stage].records, mine[: np.searchsorted(mine["event"], event, side="right")]):
                return False
        return True


# The explanation


class _Case:
    """One moment of one symbol."""

    def __init__(self, run: Run, ns: int, s: int, heads: _Heads) -> None:
        self.run, self.ns, self.s, self.heads = run, ns, s, heads
        plans = self.rows("plans")
        self.plan = plans[-1] if len(plans) else None
        if self.plan is not None:
            heads.world(int(self.plan["event"]))  # the state after it goes on from here
        self.event = heads.event_at(ns)
        self.world = heads.world(self.event)
        self.event = heads.event_at(ns)  # not known any more where the replay went another way
        self.show = _Show(run.instruments[s])
        self.params = heads.params()
        self.p = self.params[0]
        self.is_own = "policy" in run.provenance
        self.is_smart = run.config.policy == "smart" and not self.is_own
        self.is_gated = len(run.tables["regimes"]) > 0 or bool((run.world.symbols["regime"] != Regime.RANGE).any())
        time = heads.time_of(self.event) if self.event >= 0 else None
        self.ts = time if time is not None else self._last_record()

    def rows(self, stage: str) -> np.ndarray:
        """Records of the symbol up to the moment."""
        records = self.run.tables[stage].records
        records = records[: np.searchsorted(records["ts"], self.ns, side="right")]
        mine: np.ndarray = records[records["symbol"] == self.s]
        return mine

    def _last_record(self) -> int:
        if self.ns == self.run.last_ts:
            return self.ns
        times = [int(table["ts"][i - 1]) for table in self.run.tables.values()
                 if (i := int(np.searchsorted(table["ts"], self.ns, side="right")))]  # fmt: skip
        return max(times, default=self.run.first_ts)

    def since(self, ts: int) -> str:
        """A time and how long ago it was."""
        return f"since {_clock(ts)}, {_span(self.ts - ts)}"

    def explanation(self) -> Explanation:
        """All of it."""
        sections: list[tuple[str, tuple[Line, ...]]] = []
        parts: tuple[tuple[str, Callable[[], list[Line]]], ...] = (
            ("market", self._market),
            ("regime", self._regime),
            ("gates", self._gates),
            ("protection", self._protection),
            ("features", self._features),
            ("selection", self._selection),
            ("plan", self._plan),
        )
        for name, part in parts:
            lines = part()
            if lines:
                sections.append((name, tuple(lines)))
        sections += [(name, tuple(lines)) for name, lines in self._derivation() if lines]
        return Explanation(self.run.name, self.run.symbols[self.s], self.ns, self.event, self.ts, tuple(sections))

    # Market, regime, gates

    def _market(self) -> list[Line]:
        if self.world is None:
            return [Line("quote", None, "", "not recorded", self.heads.lacks)]
        one, show = self.world.symbols[self.s], self.show
        if one["mid2"] == 0:
            return [Line("quote", None, "", "none yet", "the symbol's first quote is still to come")]
        lines = [
            Line(side, int(one[f"{side}_px"]), "ticks", f"{show.price(one[f'{side}_px'])} {show.quote}",
                 f"for {show.quantity(one[f'{side}_qty'])}") for side in ("bid", "ask")
        ]  # fmt: skip
        lines.append(Line("mid", int(one["mid2"]), "half ticks", f"{show.mid(one['mid2'])} {show.quote}"))
        quoted = int(self.world.market[self.s]["last_ts"])
        return [*lines, Line("quoted", quoted, "ns", _clock(quoted), f"{_span(self.ts - quoted)} old")]

    def _regime(self) -> list[Line]:
        if not self.is_gated:
            return [Line("regime", int(Regime.RANGE), "code", "RANGE", "this policy looks at no gate: it is always RANGE")]
        rows = self.rows("regimes")
        now, came_from, ts, reasons = Regime.PAUSED, ", from the first event on", self.run.first_ts, int(Reason.WARMUP)
        if len(rows):
            now, came_from = Regime(rows[-1]["to"]), f", before it {Regime(rows[-1]['from']).name}"
            ts, reasons = int(rows[-1]["ts"]), int(rows[-1]["reasons"])
        lines = [
            Line("regime", int(now), "code", now.name, self._why_regime(now, reasons)),
            Line(
                "since",
                ts,
                "ns",
                _clock(ts),
                f"for {_span(self.ts - ts)}{came_from}",
            ),
        ]
        return lines + self._trend()

    def _why_regime(self, now: Regime, reasons: int) -> str:
        """The condition of SPEC 6 that holds."""
        toxicity = self._level(GateKind.TOXICITY)
        latch = int(self.world.run[0]["latch"]) if self.world is not None else 0
        if now is Regime.EMERGENCY:
            if latch:
                return f"the kill switch is latched by {_LATCHED[Latch(latch)]}"
            return "toxicity is EXTREME" if toxicity >= Severity.EXTREME else "the kill switch is latched"
        if now is Regime.PAUSED:
            if self.world is not None and self.world.symbols[self.s]["paused"]:
                return "paused by a command"
            if reasons & Reason.WARMUP or (self.world is not None and int(self.world.features[self.s]["absent"]) & IS_WARM):
                return "WARMUP: " + self._warmup()
            return "the quote is older than l1_pause_ms" if self._level(GateKind.STALE) >= Severity.HIGH else "paused by a command"
        return {
            Regime.TOXIC: "toxicity is HIGH",
            Regime.THIN_BOOK: "a side of the book is thin",
            Regime.VOL_SHOCK: "the volatility shock is still held",
            Regime.TREND_UP: "no gate is open and the trend state is UP",
            Regime.TREND_DOWN: "no gate is open and the trend state is DOWN",
            Regime.RANGE: "no gate is open and there is no trend",
        }[now]

    def _warmup(self) -> str:
        """Which features a plan still waits for, and for how many bars."""
        p, bars = self.p, self._bars()
        needs = {
            Feature.NATR: int(p["atr_bars"]),
            Feature.EFFICIENCY_RATIO: int(p["return_bars"]) + 1,
            Feature.TREND_STRENGTH: max(int(p[name]) for name in ("ema_fast", "ema_slow", "atr_bars")),
        }
        to_go = {str(feature.name).lower(): need - bars for feature, need in needs.items() if need > bars}
        if not to_go:
            return "no bar has closed since the features are there"
        missing = ", ".join(f"{name} in {_bars(count)}" for name, count in to_go.items())
        return f"{_bars(bars)} closed since the start or the last gap; {missing}"

    def _bars(self) -> int:
        """Bars closed since the last gap."""
        if self.world is not None:
            return int(self.world.filters[self.s]["bars"])
        inputs, features = self.rows("input"), self.rows("features")
        gaps = inputs["ts"][inputs["kind"] == 2]
        return int((features["ts"] > gaps[-1]).sum()) if len(gaps) else len(features)

    def _trend(self) -> list[Line]:
        if self.world is None:
            return []
        trend = Trend(self.world.symbols[self.s]["trend"])
        strength, ratio = (int(self.world.features[self.s][name]) for name in ("trend_strength", "efficiency_ratio"))
        p = self.p
        enter, leave, ratio_needed = (_plain(p[name]) for name in ("trend_enter", "trend_exit", "er_enter"))
        rule = f"enters at {enter} ATRs with efficiency_ratio {ratio_needed}, leaves under {leave}"
        seen = f"trend_strength {_plain(strength)}, efficiency_ratio {_plain(ratio)} at the last bar close; "
        return [Line("trend", int(trend), "code", trend.name, seen + rule)]

    def _gate(self, kind: GateKind) -> Any:
        rows = self.rows("gates")
        rows = rows[rows["gate"] == int(kind)]
        return rows[-1] if len(rows) else None

    def _level(self, kind: GateKind) -> int:
        row = self._gate(kind)
        return 0 if row is None else int(row["to"])

    def _gates(self) -> list[Line]:
        if not self.is_gated:
            return []
        lines = []
        for kind in GateKind:
            row, level = self._gate(kind), self._level(kind)
            names = _STALE if kind is GateKind.STALE else tuple(severity.name for severity in Severity)
            text = names[level] if kind in (GateKind.STALE, GateKind.TOXICITY) else _OPEN[level]
            why = "so from the start" if row is None else self.since(int(row["ts"]))
            if row is not None and kind is GateKind.TOXICITY and row["reasons"]:
                why += ", by " + ", ".join(one.name.lower() for one in Toxicity if int(row["reasons"]) >> one & 1)
            lines.append(Line(kind.name.lower(), level, "code", text, why))
        return lines + self._inputs_of_toxicity()

    def _inputs_of_toxicity(self) -> list[Line]:
        """Each input: the severity that is held, what it is now, its limits."""
        if self.world is None:
            return [Line("inputs", None, "", "not recorded", self.heads.lacks)]
        gate, p = self.world.gates[self.s], self.p
        lines = []
        for one, (value, limits) in zip(Toxicity, self._toxicity_values(), strict=True):
            if one is Toxicity.STALENESS:
                severity, held = int(gate["stale"]), ""
            else:
                times = self.world.holds[self.s, int(one) if one < Toxicity.STALENESS else int(one) - 1]
                severity = sum(self.ts - int(last) < int(p["clear_ns"]) for last in times)
                held = f", {Severity(severity).name} last at {_clock(int(times[severity - 1]))}" if severity else ""
            lines.append(Line(f"by_{one.name.lower()}", severity, "code", Severity(severity).name, f"{value}; {limits}{held}"))
        return lines

    def _toxicity_values(self) -> list[tuple[str, str]]:
        """What each input is now, and its limits; a limit of 0 is none."""
        assert self.world is not None
        show, p, one = self.show, self.p, self.world.symbols[self.s]
        gate, window = self.world.gates[self.s], int(p["jump_window_ns"])
        moved = self.heads.moved(self.s, self.event, self.ts - window, int(gate["since"]))
        strays = _plainly(strays_since, gate, self.world.strays[self.s], self.ts - int(p["quarantine_window_ns"]))
        fresh = self.ts - int(gate["impact_ts"]) <= int(p["l2_stale_ns"])
        impact = "no fresh book" if not fresh else "depth under Q" if gate["impact"] < 0 else f"impact {show.ratio(gate['impact'])}"
        last = int(self.world.market[self.s]["last_ts"])
        stale = [int(p["l1_stale_ns"]), int(p["l1_pause_ns"]), 10 * int(p["l1_pause_ns"])]
        shock = [f"a bar of {_plain(p['shock_tr'])} ATRs", f"3 bars of {_plain(p['shock_ratio'])} times the median NATR"]
        return [
            (f"spread {show.price(one['ask_px'] - one['bid_px'])} {show.quote}", _limits(gate, "spread", show.price)),
            (impact, _limits(p, "impact", show.ratio)),
            (
                "move not recorded" if moved is None else f"moved {show.mid(moved)} {show.quote} in {_span(window)}",
                _limits(gate, "jump", lambda limit: show.mid(-(-int(limit) // ONE))),
            ),
            (f"{strays} rows quarantined in {_span(int(p['quarantine_window_ns']))}", _limits(p, "quarantined", str)),
            (f"quote {_span(self.ts - last)} old" if last else "no quote yet", "limits " + ", ".join(map(_span, stale))),
            ("judged at bar closes", "MID by " + " or ".join(shock)),
        ]

    # Protection

    def _protection(self) -> list[Line]:
        ledger = self.run.tables["ledger"].records
        ledger = ledger[: np.searchsorted(ledger["ts"], self.ns, side="right")]
        lines = []
        for name, s in (("symbol", self.s), ("portfolio", NONE)):
            marks = ledger[ledger["symbol"] == s]
            if self.world is not None:
                state = self.world.run[0] if s == NONE else self.world.symbols[s]
            elif len(marks):
                state = marks[-1]
            else:
                lines.append(Line(f"{name}_drawdown", None, "", "not marked yet"))
                continue
            drawdown, budget, what = int(state["drawdown"]), int(state["budget"]), "a budget of"
            if budget == 0 and s != NONE and self.world is not None and state["limit"] > 0:
                budget, what = int(state["limit"]), "the last budget that it had,"
            share = f", {self.show.ratio(drawdown * ONE // budget)} of it" if budget > 0 else ""
            marked = f"at the last mark, {_clock(int(marks[-1]['ts']))}" if len(marks) else "not marked yet"
            why = f"of {what} {self.show.money(budget)}{share}; {marked}"
            lines.append(Line(f"{name}_drawdown", drawdown, "atoms", self.show.money(drawdown), why))
        return lines if self.world is None else self._modes(self.world) + lines

    def _modes(self, world: World) -> list[Line]:
        run, one = world.run[0], world.symbols[self.s]
        mode, latch = Mode(_plainly(mode_of, run, one)), Latch(run["latch"])
        held = [("the portfolio", run), (f"symbol {self.run.symbols[self.s]}", one)]
        damaged = [name for name, state in held if state["damage"]]
        until = f"until {_clock(int(one['halt_due']))}" if one["halt_due"] < NEVER else "until a RESET"
        stops = [
            ("paused", "by a command"),
            ("halted", f"by the circuit breaker {until}"),
            ("over_budget", "the symbol's drawdown was over its budget: no entries until the window rolls"),
        ]
        monitored = self.p["risk_monitor"] and _plainly(is_triggered, one)
        monitor = [Line("risk_monitor", 1, "code", "triggered", "a shock, or toxicity is HIGH: no entries")] if monitored else []
        held_now = self.show.quantity(one["position"])
        return [
            Line("mode", int(mode), "code", mode.name, self._why_mode(mode, damaged)),
            Line("latch", int(latch), "code", latch.name, f"by {_LATCHED[latch]}" if latch else "the kill switch is not latched"),
            Line("damage_control", len(damaged), "count", "on" if damaged else "off", ", ".join(damaged)),
            *(Line(name, 1, "code", "yes", why) for name, why in stops if one[name]),
            *monitor,
            Line("position", int(one["position"]), "lots", held_now, f"{int(one['n_cycles'])} open cycles"),
        ]

    def _why_mode(self, mode: Mode, damaged: Sequence[str]) -> str:
        if mode is Mode.DAMAGE_CONTROL:
            return f"drawdown was over {self.show.ratio(self.p['dd_warn'])} of the budget of {' and '.join(damaged)}"
        return {
            Mode.EMERGENCY: "the regime is EMERGENCY",
            Mode.PAUSE: "the regime is PAUSED, toxicity is HIGH, or the breaker halts",
            Mode.THROTTLE: "toxicity is MID or the book is thin",
            Mode.NORMAL: "nothing holds it back",
        }[mode]

    # Features

    def _features(self) -> list[Line]:
        rows = self.rows("features")
        if not len(rows):
            return [Line("absent", None, "", "all", f"no bar has closed yet; {self._warmup()}")]
        row = rows[-1]
        if self.world is not None and int(self.world.features[self.s]["absent"]) == sum(Feature):
            return [Line("absent", sum(Feature), "bits", "all", f"a gap emptied every window; {self._warmup()}")]
        lines = [Line("bar_close", int(row["ts"]), "ns", _clock(int(row["ts"])), f"{_span(self.ts - int(row['ts']))} old")]
        absent = [str(one.name).lower() for one in Feature if int(row["absent"]) & one]
        for one in Feature:
            name = str(one.name).lower()
            if not int(row["absent"]) & one:
                value = int(row[name])
                unit, text = self._feature(one, value)
                lines.append(Line(name, value, unit, text))
        missing = ", ".join(absent)
        return [*lines, Line("absent", int(row["absent"]), "bits", f"{len(absent)} of {len(Feature)}", missing)]

    def _feature(self, one: Feature, value: int) -> tuple[str, str]:
        show = self.show
        if one in (Feature.TR, Feature.ATR):
            return "1e-8 half ticks", f"{format_units(value, show.tick / 2 / ONE).rstrip('0').rstrip('.')} {show.quote}"
        if one in (Feature.THIN_L1, Feature.DEPTH_BID, Feature.DEPTH_ASK):
            return "atoms", show.money(value)
        if one in (Feature.WALLS_BID, Feature.WALLS_ASK):
            return "count", str(value)
        if one in (Feature.RANGE_SCORE, Feature.EFFICIENCY_RATIO, Feature.IMBALANCE_L1, Feature.DEPTH_IMBALANCE):
            return "1e-8", _plain(value)
        if one is Feature.TREND_STRENGTH:
            return "1e-8", f"{_plain(value)} ATRs"
        if one in (Feature.SLOPE_BID, Feature.SLOPE_ASK):
            return "1e-8", f"{_plain(value)} lots per bp"
        return "1e-8", show.ratio(value)

    # Selection

    def _selection(self) -> list[Line]:
        symbols = len(self.run.instruments)
        if symbols == 1 or not self.is_smart:
            return []
        if self.world is None:
            return [Line("selected", None, "", "not recorded", self.heads.lacks)]
        one, every = self.world.symbols[self.s], int(self.p["select_every_ns"])
        lines = [Line("selected", int(one["selected"]), "code", "yes" if one["selected"] else "no", self._why_selected(one))]
        if self.heads.source is None:
            return [*lines, Line("scores", None, "", "not recorded", self.heads.lacks)]
        due = int(self.world.run[0]["next_select"]) - every
        event = self.heads.first_from(due)
        then = self.heads.world(event)
        if then is None:
            return [*lines, Line("scores", None, "", "not recorded", self.heads.lacks)]
        ts = self.heads.time_of(event)
        lines.append(Line("chosen_at", ts, "ns", _clock(ts or 0), f"the next choice is due at {_clock(due + every)}"))
        return lines + self._scores(then)

    def _why_selected(self, one: Any) -> str:
        if one["selected"]:
            return f"a place of {int(self.p['top_k'])}, a budget of {self.show.money(one['budget'])}"
        return "it only reduces, with a budget of 0"

    def _scores(self, then: World) -> list[Line]:
        """Every symbol's terms at the last choice, best first."""
        rows = []
        for s, name in enumerate(self.run.symbols):
            one, features = then.symbols[s : s + 1].copy()[0], then.features[s : s + 1].copy()[0]
            passes = int(features["absent"]) & IS_WARM == 0 and not _call(is_barred, one, features, self.p)
            why_not = "still warming up" if int(features["absent"]) & IS_WARM else "a hard gate was open"
            terms = tuple(int(term) for term in _call(score_terms, one, features, self.p))
            rows.append((not passes, -(terms[0] + terms[1] - terms[2] - terms[3]), name, terms, bool(one["selected"]), why_not))
        lines = []
        for rank, (barred, score, name, terms, chosen, why_not) in enumerate(sorted(rows), 1):
            sums = " ".join(f"{sign} {what} {_plain(term)}" for sign, what, term in
                            zip("=+--", ("range", "liquidity", "toxicity", "trend"), terms, strict=True))  # fmt: skip
            place = f"barred, {why_not}" if barred else f"rank {rank}, {'chosen' if chosen else 'not chosen'}"
            lines.append(Line(f"score_{name}", -score, "1e-8", _plain(-score), f"{sums}; {place}"))
        return lines

    # The plan

    def _plan(self) -> list[Line]:
        row = self.plan
        if row is None:
            return [Line("plan", None, "", "none yet", self._why_no_plan())]
        lines = [
            Line("plan", int(row["plan"]), "count", f"number {int(row['plan'])}", f"made at event {int(row['event']):,}"),
            Line("made", int(row["ts"]), "ns", _clock(int(row["ts"])), f"{_span(self.ts - int(row['ts']))} old"),
            Line("regime", int(row["regime"]), "code", Regime(row["regime"]).name),
            Line("mode", int(row["mode"]), "code", Mode(row["mode"]).name),
        ]
        made = self.heads.world(int(row["event"]))
        for name, unit in _PLAN_UNITS.items():
            why = self._why_budget(made) if name == "budget" and made is not None else ""
            lines.append(Line(name, int(row[name]), unit, self.show.of(unit, int(row[name])), why))
        lines += [Line(name, int(row[name]), "code", Adds(row[name]).name) for name in ("adds_down", "adds_up")]
        if made is not None:
            kind, reduce_only = PlanKind(made.plans[self.s]["kind"]), int(made.plans[self.s]["reduce_only"])
            why = "not selected, or the kill switch is latched" if reduce_only and self.is_smart else ""
            lines.append(Line("reduce_only", reduce_only, "code", "yes" if reduce_only else "no", why))
            lines.append(Line("kind", int(kind), "code", kind.name, "" if kind is PlanKind.GRID else "orders of the policy's own"))
            lines += self._candidate(made)
        reasons = int(row["reasons"])
        names = ", ".join(str(one.name) for one in Reason if reasons & one)
        return [*lines, Line("reasons", reasons, "bits", names or "none")]

    def _why_budget(self, made: World) -> str:
        """Where a symbol's budget is from (SPEC 7.1)."""
        if not self.is_smart:
            return ""
        if not made.symbols[self.s]["selected"]:
            return "not selected"
        whole = self.show.money(made.run[0]["budget"])
        given = self.run.config.dd_budget_symbol
        if given is not None and (not isinstance(given, dict) or self.run.symbols[self.s] in given):
            return f"dd_budget_symbol, at most what the other parts leave of the portfolio's {whole}"
        how = "weighted" if self.p["weighted"] else "equal"
        return f"its {how} part of the portfolio's {whole}, split over {int(self.p['top_k'])}"

    def _candidate(self, made: World) -> list[Line]:
        """What the last decision came to, where it left the plan in force (SPEC 7.9)."""
        if self.world is None or not self.is_smart or self.world.inputs[self.s] == made.inputs[self.s]:
            return []
        plan = _derived(self.world.inputs[self.s : self.s + 1].copy(), self.p).plan[0]
        sides = f"{int(plan['levels_down'])} and {int(plan['levels_up'])} levels"
        text = f"step {self.show.ratio(plan['step'])}, center {self.show.of('1e-6 ticks', int(plan['center']))}, {sides}"
        return [
            Line("candidate", int(plan["step"]), "1e-8", text, "of the last decision: it differs too little to replace the plan")
        ]

    def _why_no_plan(self) -> str:
        if self.is_smart:
            return "WARMUP: " + self._warmup()
        return "the policy has decided on none" if self.is_own else "the first quote is still to come"

    def _derivation(self) -> Iterable[tuple[str, list[Line]]]:
        row = self.plan
        if row is None:
            return
        reasons = int(row["reasons"])
        words = [Line(str(one.name), int(one), "bits", "yes", _WORDS[one]) for one in Reason if reasons & one]
        yield "reasons", words
        made = self.heads.world(int(row["event"])) if self.is_smart else None
        if made is None:
            yield "levels", self._levels(row)
            yield "derivation", [Line("inputs", None, "", "none", self._why_underived())]
            return
        yield from _Derivation(self, made, row).sections()

    def _why_underived(self) -> str:
        if self.is_smart:
            return f"not shown: {self.heads.lacks}"
        whose = f"policy {self.run.provenance['policy']}" if self.is_own else "policy static"
        return f"the plan of {whose} is shown as it was recorded: only smart's is derived from inputs"

    def _levels(self, row: Any) -> list[Line]:
        """The levels as recorded."""
        rows = self.rows("levels")
        rows = rows[rows["plan"] == row["plan"]]
        show = self.show
        return [
            Line(f"{'buy' if one['side'] > 0 else 'sell'}_{int(one['i'])}", int(one["price"]), "ticks", show.price(one["price"]),
                 f"{show.quantity(one['qty'])}") for one in rows
        ]  # fmt: skip


# The derivation of a plan of `smart`


class _Derived(NamedTuple):
    """What `derive` writes."""

    plan: np.ndarray
    ladder: np.ndarray
    before: np.ndarray
    terms: np.ndarray
    sides: np.ndarray


def _derived(inputs: np.ndarray, p: Any) -> _Derived:
    assert inputs.dtype == INPUTS
    ladder, work, before = (np.zeros((2, LADDER_SLOTS), LEVEL) for _ in range(3))
    out = _Derived(np.zeros(1, PLAN), ladder, before, np.zeros(1, TERMS), np.zeros(2, SIDE))
    _call(derive, inputs[0], p, out.plan[0], ladder, work, before, out.terms[0], out.sides)
    return out


class _Derivation:
    """Every number of a plan, from the inputs that it was made of."""

    def __init__(self, case: _Case, made: World, row: Any) -> None:
        self.case, self.show, self.p, self.row = case, case.show, case.p, row
        self.inputs = made.inputs[case.s : case.s + 1].copy()
        self.off = _why_off(made.run[0], made.symbols[case.s])
        self.plan, self.ladder, self.before, self.terms, self.sides = _derived(self.inputs, self.p)
        if not self.terms[0]["agrees"] or any(self.plan[0][name] != row[name] for name in STAGES["plans"][1:]):
            raise LedgerError(
                f"plan {int(row['plan'])} of event {int(row['event'])} is not what its inputs give: a defect of grinder"
            )

    def sections(self) -> Iterable[tuple[str, list[Line]]]:
        """In SPEC 7's order."""
        yield "stress", self._stress()
        yield "step", self._step()
        yield "center", self._center()
        yield "buys", self._side(0)
        yield "sells", self._side(1)

    def _ratio(self, name: str, value: Any, why: str = "") -> Line:
        return Line(name, int(value), "1e-8", self.show.ratio(value), why)

    def _number(self, name: str, value: Any, why: str = "") -> Line:
        return Line(name, int(value), "1e-8", _plain(value), why)

    def _money(self, name: str, value: Any, why: str = "") -> Line:
        return Line(name, int(value), "atoms", self.show.money(value), why)

    def _stress(self) -> list[Line]:
        t, p, given = self.terms[0], self.p, self.inputs[0]
        row = _row_name(int(given["regime"]))
        if given["depth_short"]:
            penalty = "the book shows less than Q (DEPTH_SHORT)"
        elif given["impact"] < 0:
            penalty = "without a fresh book"
        else:
            penalty = f"1 + min(2, impact {self.show.ratio(given['impact'])} / impact_ref {self.show.ratio(p['impact_ref'])})"
        trend = ONE if row != "trend" else int(p["trend_penalty"])
        early = ", k_tail * sigma_H cut to X_cap" if t["tail"] > p["x_cap"] else ""
        decided = "k_tail * sigma_H * l2_penalty * trend_penalty, between X_min and X_cap"
        if t["x"] > t["product"]:
            decided = f"X_min {self.show.ratio(p['x_min'])} decided: what is before the clamp is under it"
        elif t["x"] < t["product"] or early:
            decided = f"X_cap {self.show.ratio(p['x_cap'])} decided"
        limited = ", taken as its limit" if t["natr"] != given["natr"] else ""
        return [
            self._ratio("natr", given["natr"], f"NATR at the last bar close{limited}"),
            self._number("root", t["root"], f"sqrt(horizon / bar) of {row}"),
            self._ratio("sigma_H", t["sigma"], "natr * root"),
            self._number("k_tail", t["k_tail"], f"of {row}"),
            self._number("l2_penalty", t["penalty"], penalty),
            self._number("trend_penalty", trend, "in a trend" if row == "trend" else "outside a trend"),
            self._ratio("unclamped", t["product"], "k_tail * sigma_H * l2_penalty * trend_penalty" + early),
            self._ratio("X", t["x"], decided),
        ]  # fmt: skip

    def _step(self) -> list[Line]:
        t, p, show = self.terms[0], self.p, self.show
        if t["step"] == ONE and max(t["wanted"], t["tick_floor"]) > ONE:
            decided = "100 %, the most that a step may be"
        elif t["step_reasons"] & Reason.STEP_TICK_FLOOR:
            decided = "tick_floor decided (STEP_TICK_FLOOR)"
        elif t["step_reasons"] & Reason.STEP_FEE_FLOOR:
            decided = "fee_floor decided (STEP_FEE_FLOOR)"
        else:
            decided = "step_min decided" if t["wanted"] < p["step_min"] else "alpha * natr * multiplier decided"
        fees = 2 * int(p["maker_fee"]) + int(p["min_edge"])
        profit = "2 * maker_fee + min_edge decided" if fees > t["step"] else "the step decided"
        paid = f"2 * maker_fee {show.ratio(max(0, int(p['maker_fee'])))} + min_edge {show.ratio(p['min_edge'])}"
        return [
            self._ratio("wanted", t["wanted"], f"alpha {_plain(p['alpha'])} * natr * multiplier {_plain(t['multiplier'])}"),
            self._ratio("step_min", p["step_min"], "setting"),
            self._ratio("fee_floor", t["fee_floor"], paid),
            self._ratio("tick_floor", t["tick_floor"], "min_step_ticks over the center"),
            self._ratio("step", self.plan[0]["step"], decided),
            self._ratio("tp_step", self.plan[0]["tp_step"], f"{profit}; fees and edge ask for {show.ratio(fees)}"),
        ]  # fmt: skip

    def _center(self) -> list[Line]:
        t, given, show = self.terms[0], self.inputs[0], self.show
        half = int(self.plan[0]["step"]) // 2
        decided = "half a step decided" if 0 < t["shift"] == half else "skew_factor * inventory_ratio decided"
        if not t["shift"]:
            decided = "no inventory to lean against" if not t["held"] else "skew_factor * inventory_ratio is nothing"
        moved = "" if not t["shift"] else " * (1 - skew)" if given["position"] > 0 else " * (1 + skew)"
        most, center = show.money(given["max_inventory"]), int(self.plan[0]["center"])
        return [
            Line("mid", int(given["mid2"]), "half ticks", f"{show.mid(given['mid2'])} {show.quote}", "when the plan was made"),
            Line("position", int(given["position"]), "lots", show.quantity(given["position"])),
            self._ratio("inventory_ratio", t["held"], f"its notional over max_inventory_notional {most}"),
            self._ratio("skew", t["shift"], decided),
            Line("center", center, "1e-6 ticks", show.of("1e-6 ticks", center), f"mid{moved}"),
        ]  # fmt: skip

    def _side(self, i: int) -> list[Line]:
        side, name = self.sides[i], ("down", "up")[i]
        adds = Adds(self.plan[0][f"adds_{name}"])
        return [
            *self._reach(side),
            *self._sizes(side, i),
            *self._caps(side, name),
            Line("adds", int(adds), "code", adds.name, self._why_adds(side, adds)),
            *self._level_lines(side, i),
        ]

    def _reach(self, side: Any) -> list[Line]:
        """Width and levels before sizes."""
        p, show, least, most = self.p, self.show, int(self.p["levels_min"]), int(self.p["levels_max"])
        decided = "X * side_mult"
        if side["width"] > side["stretched"]:
            decided = f"X_min {show.ratio(p['x_min'])} decided: X * side_mult is under it"
        elif side["width"] < side["stretched"]:
            decided = f"X_cap {show.ratio(p['x_cap'])} decided: X * side_mult is over it"
        clamped, kept = min(max(int(side["asked"]), least), most), "as asked"
        if clamped != side["asked"]:
            kept = f"levels_min {least} decided" if clamped == least else f"levels_max {most} decided (LEVELS_CLAMPED)"
        if side["kept"] < clamped:
            kept += f"; {clamped - int(side['kept'])} dropped, which round onto another or leave the prices there are"
        lines = [
            self._number("side_mult", side["mult"], "1 outside a trend; in one wider against it, narrower with it"),
            self._ratio("width", side["width"], decided),
        ]  # fmt: skip
        if side["first"] >= 0:
            lines.append(
                self._ratio(
                    "ladder_step", side["step"], f"twice the step: the caps left {int(side['first'])} levels at it (STEP_WIDENED)"
                )
            )
        return [
            *lines,
            Line("levels_asked", int(side["asked"]), "count", str(int(side["asked"])), "width / step, rounded up"),
            Line("levels_kept", int(side["kept"]), "count", str(int(side["kept"])), kept),
        ]

    def _sizes(self, side: Any, i: int) -> list[Line]:
        """7.6: from p_stress to quantities."""
        given, show = self.inputs[0], self.show
        sized, tried, kept = int(side["sized"]), int(side["tried"]), int(side["kept"])
        stress = "center * (1 -+ width), rounded outwards"
        if tried and int(self.before[i, tried]["px"]) == side["stress"]:
            stress = f"level {tried}, which is at least as far as center * (1 -+ width)"
        left = int(given["budget"]) - int(given["drawdown"]) - int(side["held"])
        names = ("symbol's budget", "drawdown", "held loss")
        terms = (given["budget"], given["drawdown"], side["held"])
        parts = " - ".join(f"{name} {show.money(term)}" for name, term in zip(names, terms, strict=True))
        small = f"under a lot or min_notional {show.money(self.p['min_notional'])}"
        cut = "every level is at least a lot and min_notional"
        if kept == 0:
            cut = "the ladder has none"
        elif sized == 0:
            cut = f"BUDGET_TOO_SMALL: with {tried} levels, of levels_min {int(self.p['levels_min'])}, one is {small}"
        elif sized < kept:
            cut = f"the farthest {kept - sized} dropped: with more a level is {small}"
        how = "tapered" if self.p["tapered"] else "equal"
        return [
            Line("p_stress", int(side["stress"]), "ticks", f"{show.price(side['stress'])} {show.quote}", stress),
            self._money("held_loss", side["held"], "what the open position loses from the mid to p_stress"),
            self._money("side_budget", side["budget"], parts + (", at least 0" if left < 0 else "")),
            self._ratio("F", side["unit_loss"], f"what {tried} levels of 1 lose at p_stress with their fees, {how}"),
            self._money("a", side["notional"], "side_budget, less an atom a level, / F: a level's notional"),
            Line("levels_sized", sized, "count", str(sized), cut),
        ]  # fmt: skip

    def _caps(self, side: Any, name: str) -> list[Line]:
        """7.7, and what comes out."""
        show, plan = self.show, self.plan[0]
        lines = []
        for cap, reason in (("inventory", "MAX_INVENTORY"), ("leverage", "MAX_LEVERAGE")):
            room, needed = int(side[f"{cap}_room"]), int(side[f"{cap}_needed"])
            why = f"needed {show.money(needed)}: does not bind"
            if needed > max(0, room):
                why = f"needed {show.money(needed)}: quantities times {_plain(max(0, room) * ONE // needed)} ({reason})"
            lines.append(self._money(f"{cap}_room", room, why))
        levels, scaled, sized = int(side["levels"]), int(side["scaled"]), int(side["sized"])
        cuts = []
        if scaled < sized:
            cuts.append(f"{sized - scaled} dropped under a lot or min_notional after the caps (MIN_NOTIONAL)")
        if levels < scaled:
            cuts.append(f"{scaled - levels} dropped: {int(side['places'])} places are left for orders (MAX_OPEN_ORDERS)")
        held = int(plan[f"worst_{name}"]) - int(plan[f"loss_{name}"])
        where = f"at {show.price(plan[f'stress_{name}'])}"
        worst = f"entries lose {show.money(plan[f'loss_{name}'])}, the position {show.money(held)} {where}"
        return [
            *lines,
            Line("levels", levels, "count", str(levels), "; ".join(cuts) or "as sized"),
            self._money("worst_case", plan[f"worst_{name}"], worst),
        ]

    def _why_adds(self, side: Any, adds: Adds) -> str:
        given = self.inputs[0]
        if adds is Adds.OFF:
            if side["short"]:
                return "CAP_PAUSE: the caps leave under levels_min levels at twice the step too"
            if given["natr"] == 0:
                return "NO_VOLATILITY: NATR is 0"
            if given["adds_off"]:
                return f"{self.off} (mode {Mode(given['mode']).name})"
        return f"of regime {Regime(given['regime']).name}"

    def _level_lines(self, side: Any, i: int) -> list[Line]:
        show, tick_value, lines = self.show, int(self.inputs[0]["tick_value"]), []
        for k in range(1, int(side["levels"]) + 1):
            price, qty, sized = int(self.ladder[i, k]["px"]), int(self.ladder[i, k]["qty"]), int(self.before[i, k]["qty"])
            why = f"{show.quantity(qty)}, worth {show.money(price * qty * tick_value)}"
            lines.append(Line(f"level_{k}", price, "ticks", f"{show.price(price)} {show.quote}",
                              why + (f"; {show.quantity(sized)} before the caps" if sized != qty else "")))  # fmt: skip
        return lines


def _why_off(run: Any, one: Any) -> str:
    """What of protection allows no entry."""
    held = {
        "the kill switch is latched": run["latch"],
        "paused by a command": one["paused"],
        "halted by the circuit breaker": one["halted"],
        "the symbol is over its budget": one["over_budget"],
        "DAMAGE_CONTROL": run["damage"] or one["damage"],
        "not selected": not one["selected"],
    }
    return "protection allows no entry: " + (", ".join(words for words, holds in held.items() if holds) or "its mode")


# Words and numbers


class _Show:
    """Numbers of an instrument as text."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument, self.quote = instrument, instrument.quote
        self.tick: Fraction = parse_decimal(instrument.tick_size)

    def price(self, ticks: Any) -> str:
        return self.instrument.price(int(ticks))

    def mid(self, mid2: Any) -> str:
        return _short(format_units(int(mid2), self.tick / 2), self.instrument.price(0))

    def quantity(self, lots: Any) -> str:
        return self.instrument.quantity(int(lots))

    def money(self, atoms: Any) -> str:
        return f"{self.instrument.money(int(atoms), 4)} {self.quote}"

    def ratio(self, value: Any) -> str:
        """A ratio, in % from 1 % on, else in bp; exact."""
        unit, name = (Fraction(1, 100 * BP), "%") if abs(int(value)) >= 100 * BP else (Fraction(1, BP), "bp")
        return f"{_trim(format_units(int(value), unit))} {name}"

    def of(self, unit: str, value: int) -> str:
        """A value in one of a plan's units."""
        if unit == "1e-6 ticks":
            return f"{_short(format_units(value, self.tick / MICRO), self.instrument.price(0))} {self.quote}"
        if unit == "atoms":
            return self.money(value)
        return self.ratio(value) if unit == "1e-8" else str(value)


def _trim(text: str) -> str:
    """Decimal text without spare zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short(text: str, like: str) -> str:
    """Decimal text without zeros beyond the decimals of another."""
    least = len(like.partition(".")[2])
    whole, _, rest = text.partition(".")
    rest = rest.rstrip("0").ljust(least, "0")
    return f"{whole}.{rest}" if rest else whole


def _plain(value: Any) -> str:
    """A ratio as a plain number."""
    return _trim(format_units(int(value), Fraction(1, ONE)))


def _limits(row: Any, name: str, show: Callable[[Any], str]) -> str:
    values = [int(row[f"{name}_{severity}"]) for severity in ("mid", "high", "extreme")]
    return "limits " + ", ".join(show(value) if value else "none" for value in values)


def _row_name(regime: int) -> str:
    """The row of settings that a regime uses."""
    if regime in (Regime.TREND_UP, Regime.TREND_DOWN):
        return "trend"
    return {Regime.VOL_SHOCK: "vol_shock", Regime.THIN_BOOK: "thin_book"}.get(Regime(regime), "range")


def _bars(count: int) -> str:
    return "1 bar" if count == 1 else f"{count} bars"


def _clock(ns: int) -> str:
    """A time in UTC, as exact as it is."""
    text = str(np.datetime64(int(ns), "ns")).replace("T", " ")
    return _trim(text)


def _span(ns: int) -> str:
    """A duration: exact under a minute, else in whole seconds."""
    if ns < 60 * 10**9:
        return f"{_trim(format_units(ns, Fraction(1, 10**9)))} s"
    hours, rest = divmod(ns // 10**9, 3600)
    return (f"{hours} h " if hours else "") + f"{rest // 60} min {rest % 60} s"


def _call(kernel: Any, *args: Any) -> Any:
    """Call a kernel, whose records have no static type."""
    return kernel(*args)


def _plainly(kernel: Any, *args: Any) -> Any:
    """Run a kernel as the Python that it is: for one call, compiling it would take longer."""
    return getattr(kernel, "py_func", kernel)(*args)
