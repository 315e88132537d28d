"""Windows that roll, trips and limits of symbols (ADR-0028.1-3), against numbers worked by hand."""

import pytest

from .reference import BUY, Reference
from .smart import Smart
from .test_reference import ONE, SECOND, config, quote, run
from .window import Parts, part_length, remembered

ROLL, BAR = 32, 4
WINDOW_MS = 24 * 60_000  # parts of a minute


def at(seconds, mid):
    return quote(seconds, mid - 1, mid + 1)


def test_parts_of_the_three_windows():
    assert part_length({"dd_window": "session"}) is None
    assert part_length({"dd_window": "daily", "dd_window_ms": 24}) == 86_400 * SECOND
    assert part_length({"dd_window": "rolling"}) == 3_600 * SECOND
    assert part_length({"dd_window": "rolling", "dd_window_ms": WINDOW_MS}) == 60 * SECOND
    assert [remembered({"dd_window": name}) for name in ("daily", "rolling")] == [0, 24]


def test_parts_by_hand():
    parts = Parts(100)
    for equity in (130, 90):
        parts.marked(10, equity)
    # To part 12: parts -12 to 11 peaked at 100, but 10 at 130 and 11, which saw nothing, at 95. Part -12 began with 100.
    assert parts.roll(10, 12, 95, 24) == (130, 100)
    parts.marked(12, 97)
    # To part 34: part 10 is the oldest, and began with the initial 100.
    assert parts.roll(12, 34, 96, 24) == (130, 100)
    # To part 35: 11 (95), 12 (97), 13 to 34 (96).
    assert parts.roll(34, 35, 96, 24) == (97, 95)
    # To part 36: 12 began with 95 and peaked at 97; to 37: 13 to 36 began with 96.
    assert parts.roll(35, 36, 90, 24) == (97, 95)
    assert parts.roll(36, 37, 90, 24) == (96, 96)
    # Far away everything began and peaked with what the roll marks.
    assert parts.roll(37, 1000, 80, 24) == (80, 80)
    assert Parts(100).roll(0, 1, 80, 0) == (80, 80)  # a day remembers nothing


def rolling_run(**changes):
    """One buy of 5 lots at 99,900 without fees: 50,000 atoms a tick. A sell stands at 100,000 and a buy at 99,800.

    The first quote is at the start of a minute. seconds, mid -> symbol equity at that mid, millions:
    """
    tape = [
        at(0, 100_000),
        at(1, 99_890),  # the buy fills: -0.5
        at(30, 99_990),  # 4.5, no mark
        at(61, 99_950),  # roll to part 1 at 4.5; the bar's mark at 2.5
        at(121, 99_940),  # roll to part 2 at 2.5; the bar's mark at 2.0
        at(25 * 60 + 1, 99_930),  # roll to part 25 at 2.0; the bar's mark at 1.5
        at(26 * 60 + 1, 99_920),  # roll to part 26 at 1.5; 1.0
    ]
    cfg = {"maker_fee": 0, "levels": 1, "max_gap_ns": 10**6 * SECOND, "dd_window": "rolling", "dd_window_ms": WINDOW_MS}
    return run(ONE, config(**(cfg | changes)), tape)


def test_a_rolling_window_remembers_24_parts():
    got = rolling_run()
    million = 10**6
    symbol = [(r[0], r[3], *(x / million for x in r[11:14])) for r in got["ledger"] if r[2] == 0 and r[3] & (ROLL | BAR)]
    assert symbol == [  # event, cause, equity, peak, drawdown
        (3, ROLL, 4.5, 4.5, 0),
        (3, BAR, 2.5, 4.5, 2.0),
        (4, ROLL, 2.5, 4.5, 2.0),
        (4, BAR, 2.0, 4.5, 2.5),
        (5, ROLL, 2.0, 4.5, 2.5),  # parts 1 to 24: part 1 began with 4.5
        (5, BAR, 1.5, 4.5, 3.0),
        (6, ROLL, 1.5, 2.5, 1.0),  # parts 2 to 25: part 2 began with 2.5, the others with 2.0
        (6, BAR, 1.0, 2.5, 1.5),
    ]
    # The portfolio: 2 % of what part n - 24 began with, in part 25 of initial + 4.5, in part 26 of initial + 2.5.
    equity, pct = config()["equity"], config()["dd_budget_pct"]
    budgets = [r[14] for r in got["ledger"] if r[2] == -1 and r[3] == ROLL]
    assert budgets == [(equity + x) * pct // 10**8 for x in (0, 0, 4_500_000, 2_500_000)]
    assert [r[14] for r in got["ledger"] if r[2] == 0 and r[3] == ROLL] == budgets
    assert [r[12:14] for r in got["ledger"] if r[2] == -1][-1] == (equity + 2_500_000, 1_500_000)


def test_a_daily_window_forgets():
    day = 86_400
    tape = [at(0, 100_000), at(1, 99_890), at(30, 99_990), at(61, 99_950), at(day, 99_940)]
    got = run(ONE, config(maker_fee=0, levels=1, max_gap_ns=10**6 * SECOND), tape)
    (row,) = [r for r in got["ledger"] if r[2] == 0 and r[3] == ROLL]
    assert row[11:14] == (2_500_000, 2_500_000, 0)


def test_a_roll_comes_after_the_bars_that_its_event_closes():
    """Parts of 50 s end inside bars of 60 s: at 130 the bar [60, 120) closes before the roll that was due at 110."""
    tape = [at(0, 100_000), at(70, 100_000), at(130, 100_000)]
    engine = Reference(ONE, config(dd_window="rolling", dd_window_ms=24 * 50_000, maker_fee=0))
    seen = []
    engine.bar_closed = lambda sym, bar: seen.append("bar")
    real = engine.roll_window
    engine.roll_window = lambda new: (seen.append("roll"), real(new))
    for k, event in enumerate(tape):
        engine.step(k, event)
    # 1_700_000_040 is 40 s after a part's beginning: rolls are due at 10, 60, 110.
    assert seen == ["bar", "roll", "bar", "roll"]


# ---- the guard at rolls: 10^13 atoms, 1 % of it is 10^11; 100,000 lots lose 10^9 a tick --------------


@pytest.fixture
def guarded():
    cfg = {"policy": "smart", "equity": 10**13, "dd_budget_pct": 10**6, "dd_window": "rolling", "dd_window_ms": 24}
    engine = Smart([{"tick_value": 10_000, "perpetual": False, "hard_cap_lots": 10**6}], cfg)
    sym = engine.symbols[0]
    sym.has_l1, sym.bid, sym.ask, sym.mid2 = True, 9_999, 10_001, 20_000
    sym.ledger.apply_fill(BUY, 10_000, 100_000, 0)
    engine.symbols[0].mark.update(0, 0)
    return engine


def lose(engine, ticks):
    engine.symbols[0].mid2 = 20_000 - 2 * ticks
    engine.update_marks()
    engine.guard()


def roll(engine, part, ticks):
    engine.symbols[0].mid2 = 20_000 - 2 * ticks
    engine.roll_window(part)


def alerts(engine):
    """(symbol, code, drawdown in ticks, limit in ticks), and forget them."""
    rows = [(r[2], r[3], r[5] // 10**9, r[6] // 10**9) for r in engine.records["alerts"]]
    engine.records["alerts"].clear()
    return rows


def test_damage_control_ends_at_a_roll_only_under_its_threshold(guarded):
    sym = guarded.symbols[0]
    lose(guarded, 85)  # over 80
    assert alerts(guarded) == [(-1, 0, 85, 80), (0, 0, 85, 80)]
    roll(guarded, 1, 65)  # neither 0 nor under 60
    assert guarded.damage_control and sym.damage_control and sym.mark.drawdown == 65 * 10**9
    roll(guarded, 2, 59)
    assert not guarded.damage_control and not sym.damage_control and alerts(guarded) == []
    roll(guarded, 3, 81)  # the guard looks at the roll's mark: over the warning again
    assert guarded.damage_control and sym.damage_control
    assert alerts(guarded) == [(-1, 0, 81, 80), (0, 0, 81, 80)]
    roll(guarded, 40, 81)  # the window has forgotten: drawdown 0, and budgets of 10^13 - 81 * 10^9
    assert not guarded.damage_control and sym.mark.drawdown == 0
    assert guarded.portfolio.budget == sym.mark.budget == 99_190_000_000


def test_over_budget_lasts_while_the_drawdown_does(guarded):
    sym = guarded.symbols[0]
    lose(guarded, 101)
    assert sym.over_budget and guarded.latch == "drawdown"
    assert alerts(guarded) == [(-1, 0, 101, 80), (-1, 1, 101, 100), (0, 0, 101, 80), (0, 1, 101, 100)]
    roll(guarded, 1, 101)
    assert sym.over_budget
    assert alerts(guarded) == []  # OPEN 62: the latch is not armed anew, and the symbol's is no crossing
    roll(guarded, 2, 100)  # within its limit
    assert not sym.over_budget and sym.damage_control and guarded.latch == "drawdown"


# ---- trips and limits of symbols -------------------------------------------------------------------


def trip(sym, drawdown, portfolio_drawdown, engine):
    sym.mark.drawdown, engine.portfolio.drawdown = drawdown * 10**9, portfolio_drawdown * 10**9
    engine.set_trips()
    return None if sym.trip is None else sym.mid2 - sym.trip[1]


def test_the_nearer_trip_counts(guarded):
    """Portfolio 100 ticks (warning 80), the symbol's limit 50 (warning 40): half ticks to go."""
    sym = guarded.symbols[0]
    sym.mark.give(50 * 10**9)
    assert trip(sym, 0, 0, guarded) == 81  # 40 ticks and half a tick
    assert trip(sym, 40, 40, guarded) == 1  # exactly at the warning: not passed
    assert trip(sym, 45, 45, guarded) == 11  # 50 is next; the portfolio's 80 is 71 away
    assert trip(sym, 60, 60, guarded) == 41  # past both of its own
    assert trip(sym, 60, 110, guarded) is None
    assert trip(sym, 45, 110, guarded) == 11  # past both of the portfolio's
    guarded.guarded = False
    assert trip(sym, 45, 45, guarded) == 71
    guarded.guarded = True
    sym.ledger.apply_fill(-BUY, 10_000, 200_000, 0)  # now short as much: the trip is above
    assert trip(sym, 45, 45, guarded) == -11


def test_a_dropped_symbol_keeps_its_limit(guarded):
    sym = guarded.symbols[0]
    for budget in (70, 50, 0):
        sym.mark.give(budget * 10**9)
    assert (sym.mark.budget, sym.mark.limit) == (0, 50 * 10**9)
    lose(guarded, 41)
    assert sym.damage_control and alerts(guarded) == [(0, 0, 41, 40)]
    lose(guarded, 51)
    assert sym.over_budget and alerts(guarded) == [(0, 1, 51, 50)]
    lose(guarded, 29)  # under 60 % of the limit
    assert not sym.damage_control and sym.over_budget


def test_a_symbol_that_never_had_a_budget_is_not_guarded(guarded):
    sym = guarded.symbols[0]
    sym.mark.budget = sym.mark.limit = 0
    lose(guarded, 70)
    assert not sym.damage_control and not sym.over_budget and alerts(guarded) == []
    assert trip(sym, 70, 70, guarded) == 21
