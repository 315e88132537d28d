"""Records of a run as lines of a scenario (tests/scenario.py): human units, exact decimals, names for codes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

from grinder import records as r
from grinder.data.instrument import Instrument

WORDS = {"input": "input", "bar": "bars", "features": "features", "gate": "gates", "regime": "regimes", "plan": "plans"}
WORDS |= {"level": "levels", "order": "orders", "fill": "fills", "mark": "ledger", "alert": "alerts"}
WORDS |= dict.fromkeys(("place", "amend", "cancel", "refuse"), "intents")
"""The first word of a record and its stage."""


class Record(NamedTuple):
    """A record as text: words that have to be equal, values of which any may be named."""

    words: str
    values: dict[str, str]
    line: int = 0

    def fits(self, got: Record) -> bool:
        return self.words == got.words and self.values.items() <= got.values.items()

    def text(self, names: set[str] | None = None) -> str:
        shown = [f"{name}={value}" for name, value in self.values.items() if names is None or name in names]
        return " ".join([self.words, *shown])


# Numbers


def plain(token: str) -> str:
    """One spelling for one number: no spare zeros, basis points as %."""
    if match := re.fullmatch(r"(.*[=/])?(-?[\d.]+)bps?", token):
        token = f"{match[1] or ''}{Decimal(match[2]) / 100:f}%"
    return re.sub(r"\d+\.\d+", lambda m: m[0].rstrip("0").rstrip("."), token)


def decimal(value: int, unit: Decimal | str) -> str:
    return plain(f"{Decimal(int(value)) * Decimal(unit):f}")


def _seconds(value: int) -> str:
    return decimal(value, "0.000000001")


def percent(value: int) -> str:
    return decimal(value, "0.000001") + "%"


# Records as text


class Printer:
    """Turns records into the words of a scenario."""

    def __init__(self, instruments: tuple[Instrument, ...], start: int) -> None:
        self.instruments, self.start = instruments, start

    def record(self, stage: str, row: Any) -> Record:
        s = int(row["symbol"])
        words, values = getattr(self, stage)(row, self.instruments[max(0, s)])
        first, _, rest = words.partition(" ")
        name = "*" if s < 0 else self.instruments[s].symbol if len(self.instruments) > 1 else ""
        return Record(" ".join(word for word in (first, name, rest) if word), values)

    def input(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        kind, code = r.InputKind(row["kind"]), int(row["code"])
        name = {r.InputKind.QUARANTINED: r.Fault, r.InputKind.COMMAND: r.Command}.get(kind)
        values = {"rate": percent(row["value"]), "length": decimal(row["value"], "0.000000001") + "s"}
        return f"input {kind.name} {name(code).name if name else ''}".rstrip(), values

    def bars(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        half = Decimal(instrument.tick_size) / 2
        return "bar", {name: decimal(row[name], half) for name in ("open", "high", "low", "close")} | {"ticks": str(row["ticks"])}

    def features(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        half, out = Decimal(instrument.tick_size) / 2, {}
        for feature in r.Feature:
            name = str(feature.name).lower()
            if row["absent"] & feature:
                out[name] = "absent"
            elif name in ("tr", "atr"):
                out[name] = decimal(row[name], half / 10**8)
            elif name in ("thin_l1", "depth_bid", "depth_ask"):
                out[name] = self.money(row[name])
            elif name in ("natr", "net_return", "sum_abs_returns", "spread_bps", "impact", "spread_at_depth"):
                out[name] = percent(row[name])
            else:
                out[name] = decimal(row[name], "0.00000001")
        return "features", out

    def gates(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        reasons = "|".join(str(one.name) for one in r.Toxicity if row["reasons"] >> one & 1)
        return f"gate {r.GateKind(row['gate']).name} {row['from']} -> {row['to']} {reasons}".rstrip(), {}

    def regimes(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        return f"regime {r.Regime(row['from']).name} -> {r.Regime(row['to']).name} {mask(r.Reason, row['reasons'])}".rstrip(), {}

    def plans(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        out = {
            "id": str(row["plan"]),
            "mode": r.Mode(row["mode"]).name,
            "center": decimal(row["center"], Decimal(instrument.tick_size) / 10**6),
        }
        out |= {name: percent(row[name]) for name in ("step", "tp_step")}
        out["width"] = f"{percent(row['width_down'])}/{percent(row['width_up'])}"
        out["levels"] = f"{row['levels_down']}/{row['levels_up']}"
        out["adds"] = f"{r.Adds(row['adds_down']).name}/{r.Adds(row['adds_up']).name}"
        out["budget"], out["worst"] = self.money(row["budget"]), f"{self.money(row['worst_down'])}/{self.money(row['worst_up'])}"
        return f"plan {r.Regime(row['regime']).name} {mask(r.Reason, row['reasons'])}".rstrip(), out

    def levels(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        return f"level {self.order(row, instrument)}", {"i": str(row["i"]), "plan": str(row["plan"])}

    def intents(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        kind, order, why = r.IntentKind(row["kind"]), f"#{row['order']}", mask(r.Reason, row["reason"])
        values = {"key": str(row["key"]), "price": decimal(row["price"], instrument.tick_size)}
        if kind == r.IntentKind.CANCEL:
            return f"cancel {order}", values
        what = f"{self.order(row, instrument)} {role(row)}".rstrip()
        if kind == r.IntentKind.AMEND:
            moved = row["role"] != r.Role.ENTRY and why == "POST_ONLY"
            return (
                f"amend {order} {what} {why}" if moved else f"{'refuse amend' if why else 'amend'} {order} {what} {why}".rstrip(),
                values,
            )
        return (f"refuse {what} {why}" if row["order"] < 0 else f"place {what} {order} {why}".rstrip()), values

    def orders(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        before = "NEW" if row["from"] < 0 else r.OrderState(row["from"]).name
        values = {"price": decimal(row["price"], instrument.tick_size), "left": decimal(row["remaining"], instrument.lot_size)}
        values["live"] = decimal(row["live_ts"] - self.start, "0.000000001") + "s"
        return f"order #{row['order']} {before} -> {r.OrderState(row['to']).name}", values

    def fills(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        cycle = f"{'opens' if row['role'] == r.Role.ENTRY else 'closes'} c{row['cycle']}" if row["cycle"] >= 0 else ""
        words = f"fill #{row['order']} {self.order(row, instrument)} {role(row)} {cycle} {'taker' if row['taker'] else ''}"
        return " ".join(words.split()), {"fee": self.money(row["fee"])}

    def ledger(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        names = "cost cash realised unrealised fees funding equity peak drawdown budget".split()
        values = {"position": decimal(row["position"], instrument.lot_size)} | {name: self.money(row[name]) for name in names}
        return f"mark {mask(r.Cause, row['cause'])}", values

    def alerts(self, row: Any, instrument: Instrument) -> tuple[str, dict[str, str]]:
        show = {r.Alert.BREAKER: str, r.Alert.TOXICITY: _seconds, r.Alert.L2_STALE: _seconds}.get(row["code"], self.money)
        values = {"value": show(row["value"]), "limit": show(row["limit"])}
        return f"alert {r.Alert(row['code']).name} {r.AlertLevel(row['level']).name}", values

    def order(self, row: Any, instrument: Instrument) -> str:
        side, price = "B" if row["side"] > 0 else "S", decimal(row["price"], instrument.tick_size)
        return f"{side} {price} x{decimal(row['qty'], instrument.lot_size)}"

    def money(self, atoms: int) -> str:
        return decimal(atoms, Decimal(1) / 10 ** self.instruments[0].quote_decimals)


def role(row: Any) -> str:
    return "" if row["role"] == r.Role.ENTRY else {1: "tp"}.get(int(row["role"]), r.Role(row["role"]).name.lower())


def mask(names: Any, value: int) -> str:
    return "|".join(str(one.name) for one in names if int(value) & one)
