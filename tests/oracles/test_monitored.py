"""`static` under the risk monitor (ADR-0028.7), against numbers worked by hand."""

import pytest

from .monitored import Monitored
from .reference import Reference
from .test_reference import ONE, SECOND, config, quote, run

CANCEL, AMEND, PLACE = 0, 1, 2
ENTRY, TAKE_PROFIT, FLATTEN = 0, 1, 5
QUIET = {"l1_stale_ns": 10**6 * SECOND, "l1_pause_ns": 10**6 * SECOND, "thin_quote": 0, "thin_quote_depth": 0}


def at(seconds, mid, **extra):
    return quote(seconds, mid - 1, mid + 1, **extra)


def monitored(tape, **changes):
    return run(ONE, config(risk_monitor=True, **(QUIET | changes)), tape)


def sent(records):
    """(event, kind, role) of what was sent, and how many."""
    rows = [(r[0], r[3], r[6]) for r in records["intents"] if r[4] >= 0]
    return [(row, rows.count(row)) for row in sorted(set(rows))]


def faulty_tape():
    """The buy at 99,900 fills at 1 s. Five quarantined rows, the last at 14 s: HIGH while they are in the last minute at a quote
    (60 s), and 60 s more. Events 0-1, 2-6 (rows), 7-11 at 30, 60, 90, 120, 150 s."""
    rows = [at(10 + k, 99_890, fault=1) for k in range(5)]
    return [at(0, 100_000), at(1, 99_890), *rows, *[at(t, 99_890) for t in (30, 60, 90, 120, 150)]]


def test_high_toxicity_takes_the_entries_and_leaves_take_profits():
    got = monitored(faulty_tape())
    assert [(r[0], *r[3:6]) for r in got["gates"]] == [(2, 4, 0, 1), (6, 4, 1, 2), (10, 4, 2, 0)]
    assert sent(got) == [
        ((0, PLACE, ENTRY), 6),  # in warm-up
        ((1, PLACE, ENTRY), 1),
        ((1, PLACE, TAKE_PROFIT), 1),
        ((6, CANCEL, ENTRY), 6),
        ((10, PLACE, ENTRY), 6),
    ]
    assert {tuple(r[4:6]) for r in got["regimes"]} <= {(6, 5), (5, 6)} and len(got["plans"]) == 1
    assert got["plans"][0][4:6] == (0, 4)  # RANGE, NORMAL


def test_without_the_monitor_nothing_of_it_shows():
    got = run(ONE, config(), faulty_tape())
    assert {kind for (_event, kind, _role), _n in sent(got)} == {PLACE} and "gates" not in got


def test_extreme_toxicity_leaves_take_profits_too():
    """OPEN 64."""
    got = monitored(faulty_tape(), tox_quarantined=[1, 2, 3])
    assert (4, 7) in [(r[0], r[4]) for r in got["regimes"]]  # EMERGENCY
    assert ((3, CANCEL, ENTRY), 6) in sent(got)
    assert not [row for row, _n in sent(got) if row[1:] == (CANCEL, TAKE_PROFIT)]


def test_what_triggers():
    engine = Monitored(ONE, config())
    sym = engine.symbols[0]
    for gate, level, triggered in ((0, 3, False), (1, 1, False), (2, 1, False), (3, 1, True), (4, 1, False), (4, 2, True)):
        sym.gates.level = [0] * 5
        sym.gates.level[gate] = level
        assert engine.monitor_triggered(sym) is triggered and engine.may_add(sym) is not triggered


def drop_tape(mids):
    return [at(k, mid) for k, mid in enumerate([100_000, 99_890, *mids])]


# 5 lots bought at 99,900: 50,000 atoms a tick. A budget of 10^6 atoms is 20 ticks, its warning 16.
SMALL = {"maker_fee": 0, "levels": 1, "dd_budget_pct": 100}


@pytest.mark.parametrize(("mid", "marked"), [(99_884, False), (99_883, True)])
def test_the_guard_is_on(mid, marked):
    """At 99,890 the drawdown is 10 ticks; 6 more is 12 half ticks, so 13 are the trip: mid2 199,767."""
    got = monitored(drop_tape([mid]), **SMALL)
    assert [r[2:5] for r in got["alerts"]] == ([(-1, 0, 0), (0, 0, 0)] if marked else [])
    assert [r[3] for r in got["ledger"] if r[0] == 2] == ([64, 64] if marked else [])
    if marked:
        assert [r[5:7] for r in got["alerts"]] == [(850_000, 800_000)] * 2
        assert [row for row, _n in sent(got) if row[0] == 2] == [(2, CANCEL, ENTRY), (2, AMEND, TAKE_PROFIT)]
        (tp,) = [r for r in got["intents"] if r[0] == 2 and r[3] == AMEND]
        assert tp[8] == 99_950  # 99,900 * 1.0005, ceiled


def test_over_the_budget_it_flattens():
    got = monitored(drop_tape([99_883, 99_879, 99_879]), **SMALL)
    assert [(r[0], r[2], r[3]) for r in got["alerts"]] == [(2, -1, 0), (2, 0, 0), (3, -1, 1), (3, 0, 1)]
    assert [row for row, _n in sent(got) if row[0] == 3] == [(3, CANCEL, TAKE_PROFIT), (3, PLACE, FLATTEN)]
    assert [(r[0], r[6], r[8]) for r in got["fills"]] == [(1, ENTRY, 5), (4, FLATTEN, 5)]
    assert got["ledger"][-1][4] == 0


def test_commands_bind():
    """0 pause, 1 resume, 2 kill."""
    command = {"ts": 1_700_000_042 * SECOND, "symbol": -1, "kind": "command"}
    for code, expected in ((0, [(2, CANCEL, ENTRY)]), (2, [(2, CANCEL, ENTRY), (2, CANCEL, TAKE_PROFIT)])):
        got = monitored([at(0, 100_000), at(1, 99_890), command | {"code": code}, at(3, 99_890)], levels=1)
        assert [row for row, _n in sent(got) if row[0] == 2] == expected


def test_every_symbol_trades_and_budgets_are_those_of_static():
    two = ONE * 2
    tape = [at(0, 100_000), at(1, 50_000, symbol=1), at(2, 99_890), at(61, 49_950, symbol=1), at(86_400, 99_890)]
    settings = config(quantity=[5, 5], top_k=1, max_gap_ns=10**6 * SECOND, **QUIET)
    bare, watched = (run(two, settings | {"risk_monitor": on}, tape) for on in (False, True))
    assert {r[2] for r in watched["plans"]} == {0, 1}
    for stage in ("plans", "levels", "intents", "orders", "fills", "ledger"):
        assert watched[stage] == bare[stage], stage
    assert issubclass(Monitored, Reference)
