"""What led to the first difference of two runs, and what else changed: the sections of a `gr.diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from grinder._jit import source_hash
from grinder.config import Config
from grinder.errors import GrinderError
from grinder.metrics import Account, accounts, total_of
from grinder.recorded import Divergence, Pair, Recorded, Section, record_of
from grinder.records import NONE, STAGES, Command, Events, Fault, Feature, IntentKind, OrderState, Stream
from grinder.wording import Words, clock, money, named, unit_of

__all__ = ["sections_of", "time_of"]

BEFORE: Final = 3
AFTER: Final = 2
"""Market events shown before and after the one at which runs part."""
SHOWN: Final = 5
"""Fills of one side alone, and records of a window, that are shown."""
BLOCK: Final = 1 << 16
"""Events compared at a time."""
COMPONENTS: Final = ("realised", "unrealised", "fees", "funding")
_EVENT_UNITS: Final = {"time": "ns", "rate": "1e-8", **dict.fromkeys(("bid", "ask", "mark"), "ticks"),
                       **dict.fromkeys(("bid_qty", "ask_qty"), "lots"),
                       **dict.fromkeys(("symbol", "stream", "quarantined", "command", "to"), "code")}  # fmt: skip
_TOLD: Final = {"market", "features", "plan", "levels", "reasons"}
"""Sections of an explanation that a difference shows in its own way."""
_Cells = Mapping[str, tuple[int | None, str]]


def sections_of(a: Recorded, b: Recorded, first: Divergence | None, found: tuple[Divergence, ...]) -> list[Section]:
    """All that has something to tell."""
    if a.digest == b.digest:
        return []
    golden = a.tables is None or b.tables is None
    sections = [] if golden else [_settings(a, b), _input(a, b)]
    if first is not None and golden:
        sections += _of_window(a if a.tables is not None else b, found)
    elif first is not None:
        s = _whose(a, b, first)
        sections += [_market(a, b, first.event), _features(a, b, first.event, s), _plan(a, b, first.event, s)]
        sections += [_derivation(a, b, first, s), _orders(a, b, first.event, s)]
    sections += _stages(a, b, found)
    if not golden:
        sections += [_fills(a, b), *_pnl(a, b), _origin(a, b)]
    return [section for section in sections if section.pairs or section.note]


def _settings(a: Recorded, b: Recorded) -> Section:
    """Settings that differ."""
    pairs = []
    for name in sorted({*a.settings, *b.settings}):
        x, y = (side.settings.get(name, _default(name)) for side in (a, b))
        if x != y:
            numbers = [value if isinstance(value, int) and not isinstance(value, bool) else None for value in (x, y)]
            pairs.append(Pair(name, numbers[0], numbers[1], "setting", _flat(x), _flat(y)))
    return Section("settings", "settings that differ", tuple(pairs))


def _default(name: str) -> Any:
    """A setting's default; one that this version does not know has none that it could tell."""
    known = Config.model_fields.get(name)
    return "its default" if known is None else known.default


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value))
    return "none" if value is None else str(value)


def _input(a: Recorded, b: Recorded) -> Section:
    """The first market event that differs, where both sides' are known."""
    title = "the market differs"
    if a.market is None or b.market is None:
        unlike = a.input != b.input
        return Section("input", title, (), "the two runs replayed other data; give them to see where" if unlike else "")
    row = _first_event(a.market, b.market)
    is_head = row == min(len(a.market.ts), len(b.market.ts)) and a.input == b.input
    if row is None or is_head:  # of the same data one saw less, which the note says
        return Section("input", title, ())
    x, y = (_event_cells(side, row) for side in (a, b))
    pairs = [_pair(name, _EVENT_UNITS.get(name, ""), x, y) for name in dict.fromkeys((*x, *y))]
    return Section("input", f"{title} first at event {row:,}", tuple(pairs), "" if x and y else "one of them ends before it")


def _first_event(x: Events, y: Events) -> int | None:
    """The first market event that differs; the first of the longer one's own if all that both have are equal."""
    stop = min(len(x.ts), len(y.ts))
    found = [stop] if len(x.ts) != len(y.ts) else []
    for name in ("ts", "symbol", "kind", "fault", "bid_px", "bid_qty", "ask_px", "ask_qty"):
        found += _first_unlike(getattr(x, name)[:stop], getattr(y, name)[:stop])
    for one, other, at in (
        (x.funding, y.funding, (x.funding["row"], y.funding["row"])),
        (x.commands, y.commands, (x.commands["row"], y.commands["row"])),
        (x.books, y.books, (x.book_rows, y.book_rows)),
        (x.book_rows, y.book_rows, (x.book_rows, y.book_rows)),
    ):
        both = min(len(one), len(other))
        alike = one.shape[1:] == other.shape[1:]
        rows = _first_unlike(one[:both], other[:both]) if alike else [0][:both]
        found += [int(min(places[row] for places in at)) for row in rows]
    return min(found, default=None)


def _first_unlike(x: np.ndarray, y: np.ndarray) -> list[int]:
    """The first place at which two columns differ, if there is one; what is the same memory is not read."""
    if x.__array_interface__["data"] == y.__array_interface__["data"]:
        return []
    for start in range(0, len(x), BLOCK):
        unlike = x[start : start + BLOCK] != y[start : start + BLOCK]
        if unlike.any():
            return [start + int(np.argmax(unlike.reshape(len(unlike), -1).any(axis=1)))]
    return []


def _event_cells(side: Recorded, row: int) -> dict[str, tuple[int | None, str]]:
    """One market event: integer and text by column; nothing where the side does not have it."""
    e, out = side.market, dict[str, tuple[int | None, str]]()
    if e is None or row >= len(e.ts):
        return out
    words, s = Words(side.instruments), int(e.symbol[row])
    show = words.shows[s if 0 <= s < len(words.shows) else 0]
    kind, fault = int(e.kind[row]), int(e.fault[row])
    out["time"] = (int(e.ts[row]), clock(int(e.ts[row])))
    out["symbol"] = (s, words.symbol(s))
    out["stream"] = (kind, named(Stream, kind))
    if fault:
        out["quarantined"] = (fault - 1, named(Fault, fault - 1))
    for what in ("bid", "ask"):
        px, qty = int(getattr(e, f"{what}_px")[row]), int(getattr(e, f"{what}_qty")[row])
        out[what] = (px, f"{show.price(px)} {show.quote}")
        out[f"{what}_qty"] = (qty, show.quantity(qty))
    for paid in e.funding[e.funding["row"] == row]:
        out["rate"] = (int(paid["rate"]), show.ratio(paid["rate"]))
        out["mark"] = (int(paid["mark_px"]), f"{show.price(paid['mark_px'])} {show.quote}")
    for said in e.commands[e.commands["row"] == row]:
        out["command"] = (int(said["command"]), named(Command, int(said["command"])))
        out["to"] = (int(said["symbol"]), "every symbol" if said["symbol"] == NONE else words.symbol(int(said["symbol"])))
    at = int(np.searchsorted(e.book_rows, row))
    if at < len(e.book_rows) and e.book_rows[at] == row:
        for level, (bid, bids, ask, asks) in enumerate(e.books[at].T.tolist(), 1):
            text = f"{show.quantity(bids)} at {show.price(bid)} / {show.quantity(asks)} at {show.price(ask)}"
            out[f"level {level}"] = (None, text)
    return out


def _whose(a: Recorded, b: Recorded, first: Divergence) -> int:
    """The symbol that the context is of: the record's, or that of the market event where the record is the portfolio's."""
    record = first.record_a or first.record_b
    if record is not None and 0 <= record["symbol"] < len(a.instruments):
        return int(record["symbol"])
    for side in (a, b):
        if side.market is not None and first.event < len(side.market.ts):
            return int(side.market.symbol[first.event])
    for side in (a, b):
        rows = side.rows("ledger", first.event)
        rows = rows[rows["symbol"] != NONE]
        if len(rows):
            return min(int(rows["symbol"][-1]), len(a.instruments) - 1)
    return 0


def _market(a: Recorded, b: Recorded, event: int) -> Section:
    """Market events around the first difference."""
    title = "the market around it"
    if a.market is None and b.market is None:
        return Section("market", title, (), "not recorded: give the fixture to see it")
    pairs = []
    for row in range(max(0, event - BEFORE), event + AFTER + 1):
        texts = [_event_text(side, row) for side in (a, b)]
        if any(texts):
            pairs.append(Pair(f"event {row:,}" + (" *" if row == event else ""), None, None, "", *texts))
    return Section("market", title, tuple(pairs))


def _event_text(side: Recorded, row: int) -> str:
    if side.market is None:
        return "not known"
    cells = {name: text for name, (_, text) in _event_cells(side, row).items()}
    if not cells:
        return ""
    text = f"{cells['time']} {cells['symbol']} {cells['stream'].lower().removesuffix('s')} "
    text += f"{cells['bid_qty']} at {cells['bid'].split()[0]} / {cells['ask_qty']} at {cells['ask']}"
    return ", ".join(
        [text, *(f"{name} {cells[name]}" for name in ("quarantined", "rate", "mark", "command", "to") if name in cells)]
    )


def _last(side: Recorded, stage: str, event: int, s: int) -> dict[str, int] | None:
    rows = side.rows(stage, event, s)
    return record_of(rows, -1) if len(rows) else None


def _features(a: Recorded, b: Recorded, event: int, s: int) -> Section:
    """Features at the last bar close; one that is absent on both sides is left out."""
    x, y = (_feature_cells(side, event, s) for side in (a, b))
    pairs = [_pair(name, "ns" if name == "bar_close" else unit_of("features", name), x, y) for name in dict.fromkeys((*x, *y))]
    pairs = [pair for pair in pairs if (pair.a_text, pair.b_text) != ("absent", "absent")]
    title = f"features of {Words(a.instruments).symbol(s)} at the last bar close"
    return Section("features", title, tuple(pairs), "" if pairs else "no bar has closed yet")


def _feature_cells(side: Recorded, event: int, s: int) -> _Cells:
    row, words = _last(side, "features", event, s), Words(side.instruments)
    if row is None:
        return {}
    cells: dict[str, tuple[int | None, str]] = {"bar_close": (row["ts"], clock(row["ts"]))}
    for name in list(row)[4:]:
        bit = Feature.__members__.get(name.upper())
        absent = bit is not None and row["absent"] & bit
        cells[name] = (None, "absent") if absent else (row[name], words.value("features", name, row))
    return cells


def _pair(name: str, unit: str, x: _Cells, y: _Cells) -> Pair:
    (one, text), (other, other_text) = x.get(name, (None, "")), y.get(name, (None, ""))
    return Pair(name, one, other, unit, text, other_text)


def _plan(a: Recorded, b: Recorded, event: int, s: int) -> Section:
    """The plan in force after the event."""
    x, y = (_plan_cells(side, event, s) for side in (a, b))
    pairs = [_pair(name, "ns" if name == "made" else unit_of("plans", name), x, y) for name in dict.fromkeys((*x, *y))]
    title = f"plan of {Words(a.instruments).symbol(s)} in force after the event"
    return Section("plan", title, tuple(pairs), "" if pairs else "there is none yet")


def _plan_cells(side: Recorded, event: int, s: int) -> _Cells:
    row, words = _last(side, "plans", event, s), Words(side.instruments)
    if row is None:
        return {}
    return {"made": (row["ts"], clock(row["ts"])), **{name: (row[name], words.value("plans", name, row)) for name in list(row)[3:]}}


def _derivation(a: Recorded, b: Recorded, first: Divergence, s: int) -> Section:
    """What `explain` says of both runs at this time, where it differs: the inputs that a plan was made of, and what decided."""
    title, lines = "what `explain` says of that moment, where it differs", []
    for side in (a, b):
        run = side.run
        if run is None or not _explains(side) or not run.first_ts <= first.ts <= run.last_ts:
            return Section("derivation", title, ())
        try:
            parts = run.explain(first.ts, run.symbols[s], fixture=side.data).sections
        except GrinderError as error:  # whatever became of a run, how it differs is told
            return Section("derivation", title, (), f"{side.label} cannot be explained: {error}")
        lines.append({f"{part}.{line.name}": line for part, found in parts if part not in _TOLD for line in found})
    pairs = []
    for name, x in lines[0].items():
        y = lines[1].get(name)
        if y is not None and (x.value, x.text, x.why) != (y.value, y.text, y.why):
            texts = [f"{line.text} ({line.why})" if line.why else line.text for line in (x, y)]
            pairs.append(Pair(name.replace("_", " "), x.value, y.value, x.unit, *texts))
    return Section("derivation", title, tuple(pairs))


def _explains(side: Recorded) -> bool:
    """Whether a run can be replayed by the code that made it, without calling a policy of the user's own again."""
    run = side.run
    if run is None or side.data is None or "policy" in run.provenance or run.config.policy != "smart":
        return False
    return run.source is not None or run.provenance.get("source_sha256") == source_hash()


def _orders(a: Recorded, b: Recorded, event: int, s: int) -> Section:
    """Open and in-flight orders after the event."""
    x, y = (_open_orders(side, event, s) for side in (a, b))
    pairs = tuple(_pair(f"order {number}", "", *({f"order {number}": one[number]} if number in one else {} for one in (x, y)))
                  for number in sorted({*x, *y}))  # fmt: skip
    title = f"orders of {Words(a.instruments).symbol(s)} after the event"
    return Section("orders", title, pairs, f"{len(x)} open or in flight in {a.label}, {len(y)} in {b.label}")


def _open_orders(side: Recorded, event: int, s: int) -> dict[int, tuple[None, str]]:
    """Orders that are open or in flight after an event by id, of records alone."""
    rows, asked = side.rows("orders", event, s), side.rows("intents", event, s)
    if not len(rows):
        return {}
    _, last = np.unique(rows["order"][::-1], return_index=True)
    latest = rows[len(rows) - 1 - last]
    latest = latest[(latest["to"] >= OrderState.PENDING) & (latest["to"] <= OrderState.PARTIAL)]
    asked = asked[(asked["kind"] == IntentKind.PLACE) & np.isin(asked["order"], latest["order"])] if len(asked) else asked
    placed = {int(row["order"]): record_of(asked, i) for i, row in enumerate(asked)}
    words, out = Words(side.instruments), {}
    for i in range(len(latest)):
        row = record_of(latest, i)
        state, qty, price = (words.value("orders", name, row) for name in ("to", "remaining", "price"))
        intent = placed.get(row["order"])
        whose = f"{words.value('intents', 'side', intent)} {words.value('intents', 'role', intent)} " if intent else ""
        out[row["order"]] = (None, f"{whose}{qty} at {price}, {state}, live {clock(row['live_ts'])}")
    return out


def _stages(a: Recorded, b: Recorded, found: tuple[Divergence, ...]) -> list[Section]:
    """Where each stage parts first, what became of it there, and the counts."""
    parts = []
    for one in sorted(found, key=lambda one: one.event):  # stable: causal order inside an event
        if one.kind != "window":
            what = f"{one.stage}.{one.field}" if one.field else f"{one.stage} record"
            short = [text if one.field or not text else "one more" for text in (one.a_text, one.b_text)]
            parts.append(Pair(f"{what} at event {one.event:,}, {clock(one.ts)}", one.a, one.b, one.unit, *short))
    counts = []
    for stage in dict.fromkeys((*STAGES, *a.counts, *b.counts)):
        x, y = (side.counts.get(stage) for side in (a, b))
        more = _laid_out(a, b, stage)
        if x != y or more or any(one.stage == stage for one in found):
            texts = ["no such stage" if count is None else f"{count:,}" for count in (x, y)]
            counts.append(Pair(f"{stage}{more}", x, y, "count", *texts))
    return [
        Section("stages", "where each stage parts first", tuple(parts)),
        Section("counts", "records of the stages that differ", tuple(counts)),
    ]


def _laid_out(a: Recorded, b: Recorded, stage: str) -> str:
    """Columns that a stage of one side alone has."""
    if a.tables is None or b.tables is None or stage not in a.tables or stage not in b.tables:
        return ""
    x, y = (side.tables[stage].dtype.names or () for side in (a, b) if side.tables is not None)
    parts = [f"{side.label} alone has {', '.join(more)}" for side, more in
             ((a, [name for name in x if name not in y]), (b, [name for name in y if name not in x])) if more]  # fmt: skip
    return f" ({'; '.join(parts)})" if parts else ""


def _of_window(side: Recorded, found: tuple[Divergence, ...]) -> list[Section]:
    """What a run has in the first window that differs from a golden, in each stage that differs there."""
    start = min(one.events[0] for one in found)
    sections = []
    for one in found:
        assert side.tables is not None
        if one.events[0] == start:
            rows = side.tables[one.stage]
            rows = rows[slice(*np.searchsorted(rows["event"], [start, one.events[1] + 1]))]
            words = Words(side.instruments)
            pairs = [
                Pair(f"event {row['event']:,}", None, None, "", *[f"{clock(row['ts'])} {words.record(one.stage, row)}"] * 2)
                for row in (record_of(rows, i) for i in range(min(SHOWN, len(rows))))
            ]
            title = f"{one.stage} in events {start:,} to {one.events[1]:,}"
            first, last = time_of(side, start), time_of(side, one.events[1])
            note = f"{len(rows):,} records from {clock(first)} to {clock(last)} UTC; a golden keeps only their hash"
            sections.append(Section(f"window.{one.stage}", title, tuple(pairs), note))
    return sections


def _fills(a: Recorded, b: Recorded) -> Section:
    """Fills of one side alone. Ids of orders and cycles are left out: after a difference they are counted otherwise."""
    keys = ("ts", "symbol", "side", "role", "price", "qty", "fee", "taker")
    if not (_has(a, "fills", keys) and _has(b, "fills", keys)):
        return Section("fills", "fills", ())
    counted = []
    for side in (a, b):
        assert side.tables is not None
        rows = side.tables["fills"]
        counted.append(Counter(zip(*(rows[name].tolist() for name in keys), strict=True)))
    alone = [sorted((counted[i] - counted[1 - i]).elements()) for i in (0, 1)]
    if not any(alone):
        return Section("fills", "fills", ())
    pairs = [Pair("fills of one side alone", len(alone[0]), len(alone[1]), "count", *(f"{len(one):,}" for one in alone))]
    for i in range(min(SHOWN, max(map(len, alone)))):
        texts = [_fill_text(side, dict(zip(keys, one[i], strict=True))) if i < len(one) else "" for side, one in
                 zip((a, b), alone, strict=True)]  # fmt: skip
        pairs.append(Pair(f"alone {i + 1}", None, None, "", *texts))
    return Section("fills", "fills of one side alone", tuple(pairs))


def _has(side: Recorded, stage: str, names: Sequence[str]) -> bool:
    """Whether a side, which another version may have made, has these columns."""
    return side.tables is not None and stage in side.tables and set(names) <= set(side.tables[stage].dtype.names or ())


def _fill_text(side: Recorded, row: Mapping[str, int]) -> str:
    words = Words(side.instruments)
    cells = {name: words.value("fills", name, row) for name in row}
    what = f"{cells['side']} {cells['role']} {cells['qty']} at {cells['price']}, fee {cells['fee']}"
    return f"{cells['ts']} {cells['symbol']} {what}"


def _pnl(a: Recorded, b: Recorded) -> list[Section]:
    """Equity of both sides and its difference by component; the components sum to it exactly (SPEC 10)."""
    moment = "after the last event" if a.run is not None and b.run is not None else "at the last mark"
    if moment == "at the last mark" and not (
        _has(a, "ledger", (*COMPONENTS, "equity")) and _has(b, "ledger", (*COMPONENTS, "equity"))
    ):
        return []
    books = [_accounts(side, moment == "at the last mark") for side in (a, b)]
    sections = []
    for s in (NONE, *range(len(a.instruments))):
        x, y = (book[s] for book in books)
        name = Words(a.instruments).symbol(s)
        if x != y:
            instrument = a.instruments[max(0, s)]
            names = (*COMPONENTS, "equity") if x["start"] == y["start"] else ("start", *COMPONENTS, "equity")
            pairs = tuple(Pair(one, x[one], y[one], "atoms", money(instrument, x[one]), money(instrument, y[one])) for one in names)
            note = f"{b.label} - {a.label}: {money(instrument, y['equity'] - x['equity'])} = "
            note += " + ".join(f"{one} {money(instrument, sign * (y[one] - x[one]))}" for one, sign in _signs(names))
            sections.append(Section(f"pnl.{name}", f"{name} {moment}", pairs, note))
    return sections


def _signs(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(name, -1 if name == "fees" else 1) for name in names if name != "equity"]


def _accounts(side: Recorded, of_marks: bool) -> dict[int, dict[str, int]]:
    """Components and equity by symbol, -1 the portfolio; `start` is the equity before any profit."""
    if side.run is not None and not of_marks:
        each = accounts(side.run.world, side.run.instruments)
        start = int(side.run.world.run[0]["cash"]) + sum(one.value for one in each) - total_of(each).profit
        out = {s: _components(one) | {"start": 0, "equity": one.profit} for s, one in enumerate(each)}
        whole = total_of(each)
        return out | {NONE: _components(whole) | {"start": start, "equity": start + whole.profit}}
    assert side.tables is not None
    marks, out = side.tables["ledger"], {}
    for s in (NONE, *range(len(side.instruments))):
        rows = marks[marks["symbol"] == s]
        row = record_of(rows, -1) if len(rows) else dict.fromkeys((*COMPONENTS, "equity"), 0)
        profit = sum(sign * row[name] for name, sign in _signs(COMPONENTS))
        out[s] = {name: row[name] for name in (*COMPONENTS, "equity")} | {"start": row["equity"] - profit}
    return out


def _components(account: Account) -> dict[str, int]:
    return {name: getattr(account, name) for name in COMPONENTS}


def _origin(a: Recorded, b: Recorded) -> Section:
    """What made the two runs, where it differs: versions, commit, source; never part of a digest."""
    names = sorted({*a.provenance, *b.provenance})
    pairs = [Pair(name, None, None, "", *(str(side.provenance.get(name, "")) for side in (a, b))) for name in names]
    return Section("origin", "made by", tuple(pair for pair in pairs if pair.differs))


def time_of(side: Recorded, event: int) -> int:
    """Time of an event, or of the last record before it where events are not known."""
    if side.market is not None and event < len(side.market.ts):
        return int(side.market.ts[event])
    found = [int(rows["ts"][-1]) for stage in STAGES if len(rows := side.rows(stage, event))]
    return max(found, default=side.first_ts)
