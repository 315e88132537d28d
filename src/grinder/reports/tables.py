"""Tables of a report: metrics, cycles, fills, settings, what made the run, and its digest by stage."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from grinder.cards.page import Row, element, escaped, grouped, signed, table
from grinder.config import Config, plain_value
from grinder.metrics import labelled_texts
from grinder.records import STAGE_VERSIONS, STAGES, Role
from grinder.wording import clock, named, stretch

if TYPE_CHECKING:
    from grinder.run import Run

__all__ = ["SHOWN", "tables"]

SHOWN: Final = 200
"""Fills and cycles that are listed."""
SYMBOLS: Final = 12
"""Symbols whose metrics have a column."""
LONGEST: Final = 400
"""Characters of a setting or of a name that are shown."""


def tables(run: Run) -> Iterable[str]:
    """All of them as HTML, each under a line that opens and closes it."""
    yield _folded("Metrics", _metrics(run), is_open=False)
    yield _folded(f"Cycles: {len(run.cycles):,} completed", _cycles(run))
    yield _folded(f"Fills: {len(run.fills):,}", _fills(run))
    changed = len(run.config.changed())
    yield _folded(f"Settings: {changed} of {len(Config.model_fields)} differ from their defaults", _settings(run))
    yield _folded("Made with", _provenance(run))
    yield _folded("Digest by stage and window", _digest(run), kind="chain")


def _folded(title: str, inside: str, *, is_open: bool = False, kind: str = "") -> str:
    attributes = {"open": "open"} if is_open else {}
    return element("details", element("summary", escaped(title)) + inside, attributes, class_=kind)


def _scrolled(inside: str) -> str:
    return element("div", inside, {"tabindex": "0"}, class_="wide")


def _metrics(run: Run) -> str:
    metrics = run.metrics()
    columns = [("portfolio", labelled_texts(metrics.portfolio, metrics.account))]
    if len(run.symbols) > 1:
        columns += [(name, labelled_texts(metrics.symbols[name], metrics.account)) for name in run.symbols[:SYMBOLS]]
    labels = list(dict.fromkeys(label for _, texts in columns for label in texts))
    rows = [Row((escaped(label), *(escaped(texts.get(label, "")) for _, texts in columns))) for label in labels]
    more = len(run.symbols) - SYMBOLS
    note = element("p", f"and {more} symbols more: run.metrics().symbols", class_="faint") if more > 0 else ""
    return _scrolled(table("", rows, ("", *(name for name, _ in columns)), range(1, 1 + len(columns)))) + note


def _cycles(run: Run) -> str:
    records, rows = run.cycles.records, []
    for one in records[:SHOWN]:
        instrument = run.instruments[int(one["symbol"])]
        price, cells = instrument.price, [str(int(one["cycle"])), instrument.symbol, "long" if one["side"] > 0 else "short"]
        cells += [instrument.quantity(one["qty"]), clock(one["entry_ts"]), price(one["entry_price"]), clock(one["exit_ts"])]
        cells += [price(one["exit_price"]), stretch(int(one["exit_ts"] - one["entry_ts"])), signed(instrument.money(one["net"], 4))]
        rows.append(Row(map(escaped, cells), f"at {one['symbol']} {one['exit_ts']}"))
    head = ("cycle", "symbol", "side", "quantity", "entry, UTC", "price", "exit, UTC", "price", "held", "net, after fees")
    return _listed(rows, head, (3, 5, 7, 8, 9), len(records), "run.cycles")


def _fills(run: Run) -> str:
    records, rows = run.fills.records, []
    for one in records[:SHOWN]:
        instrument = run.instruments[int(one["symbol"])]
        cells = [clock(one["ts"]), instrument.symbol, "BUY" if one["side"] > 0 else "SELL", named(Role, int(one["role"]))]
        cells += [instrument.price(one["price"]), instrument.quantity(one["qty"]), signed(instrument.money(-one["fee"], 4))]
        cells += ["taker" if one["taker"] else "maker", str(int(one["order"])), str(int(one["cycle"])) if one["cycle"] >= 0 else ""]
        rows.append(Row(map(escaped, cells), f"at {one['symbol']} {one['ts']}"))
    head = ("time, UTC", "symbol", "side", "role", "price", "quantity", "fee", "", "order", "cycle")
    return _listed(rows, head, (4, 5, 6, 8, 9), len(records), "run.fills")


def _listed(rows: list[Row], head: tuple[str, ...], numbers: Iterable[int], count: int, where: str) -> str:
    if not rows:
        return element("p", "none", class_="faint")
    more = f"The first {SHOWN}; {count - SHOWN:,} more are in the chart, and in {where}. " if count > SHOWN else ""
    note = element("p", escaped(f"{more}A click on a row shows it in the chart."), class_="faint hint")
    return note + _scrolled(table("", rows, head, numbers))


def _settings(run: Run) -> str:
    changed, rows = run.config.changed(), []
    for name, field in Config.model_fields.items():
        value, default = (_text(plain_value(one)) for one in (getattr(run.config, name), field.default))
        mark = "*" if name in changed else ""
        cells = (name, f"{mark} {value}".strip(), default if mark else "", field.description or "")
        rows.append(Row(map(escaped, cells), "changed" if mark else ""))
    note = element("p", "A star marks what differs from its default.", class_="faint")
    return note + _scrolled(table("", rows, ("setting", "value", "default, where it differs", "")))


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _provenance(run: Run) -> str:
    known = {"config hash": run.digest.config, "input hash": run.digest.input, **run.provenance}
    rows = [Row((escaped(str(name)[:LONGEST]), escaped(_text(value)))) for name, value in known.items()]
    return _scrolled(table("", rows))


def _digest(run: Run) -> str:
    digest = run.digest
    rows = [
        Row((escaped(stage), str(STAGE_VERSIONS[stage]), grouped(str(digest.counts[stage])), element("code", digest.roots[stage])))
        for stage in STAGES
    ]
    whole = element("p", f"digest {element('code', digest.value)}")
    return whole + _scrolled(table("", rows, ("stage", "version", "records", "root"), (1, 2))) + element("div", "", id="windows")
