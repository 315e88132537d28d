"""Alerts of what lasts (ADR-0028.6), against times worked by hand."""

from .reference import run
from .sustained import Watch

SECOND = 1_000_000_000
MINUTE_AT = 1_700_000_040 * SECOND  # a multiple of 60 s
QUIET = {"l1_stale_ns": 10**6 * SECOND, "l1_pause_ns": 10**6 * SECOND, "thin_quote": 0, "thin_quote_depth": 0}
ONE = [{"tick_value": 10_000, "perpetual": False, "hard_cap_lots": 10**6}]
TOXICITY, L2_STALE = 2, 3


def replay(events, **changes):
    """Events are (seconds, kind, fault); the alerts are (seconds, code, level, value in s, limit in s)."""
    market = {"symbol": 0, "bid_px": 9_999, "bid_qty": 10, "ask_px": 10_001, "ask_qty": 10}
    market |= {"bids": [(9_999, 10)], "asks": [(10_001, 10)]}
    tape = [market | {"ts": MINUTE_AT + t * SECOND, "kind": kind, "fault": fault} for t, kind, fault in events]
    got = run(ONE, {"policy": "smart", "alert_after_ms": 120_000} | QUIET | changes, tape)
    return [((r[1] - MINUTE_AT) // SECOND, r[3], r[4], r[5] / SECOND, r[6] / SECOND) for r in got["alerts"]]


def quotes(seconds):
    return [(t, "quote", None) for t in seconds]


def test_l2_stale():
    """Fresh at the closes of 60 and 360 (books of 59 and 359); without a book at 121 to 300 and at 420 to 660."""
    events = quotes([0, 60, 121, 180, 240, 300, 360, 420, 480, 539, 540, 600, 660]) + [(59, "book", None), (359, "book", None)]
    # 240 is 119 s after 121, 300 is 179 s; 540 is 120 s after 420.
    found = replay(sorted(events), tox_impact=[0, 0, 0], impact_quote=10**10)
    assert found == [(300, L2_STALE, 0, 179, 120), (540, L2_STALE, 0, 120, 120)]


def test_l2_stale_needs_a_book_before():
    assert replay(quotes(range(0, 1_000, 60))) == []


def test_a_gap_closes_no_bar_that_counts():
    """The book of 59 is fresh at the close of 60. The gap at 700 closes [60, 120) without features; the next close, at 780, is the
    first one without a book; 840 is 60 s later, 960 is 180 s."""
    events = [(0, "quote", None), (59, "book", None), (61, "quote", None), *quotes([700, 780, 840, 960, 1_020])]
    found = replay(events, tox_impact=[0, 0, 0], impact_quote=10**10)
    assert found == [(960, L2_STALE, 0, 180, 120)]


def toxic(clear, until):
    """Five quarantined rows, the last at 14, are HIGH; at 60 they are in the last minute still, so HIGH ends `clear` later."""
    events = [(10 + k, "quote", 1) for k in range(5)] + quotes(range(0, until, 30))
    return replay(sorted(events), clear_ns=clear * SECOND)


def test_toxicity():
    # Closes at 60 (46 s after 14), 120 (106 s), 180 (166 s); said once.
    assert toxic(300, 600) == [(180, TOXICITY, 0, 166, 120)]


def test_toxicity_is_that_of_before_the_event():
    assert toxic(120, 600) == [(180, TOXICITY, 0, 166, 120)]  # it falls at 180 itself
    assert toxic(90, 600) == []  # at 150


def test_watch_starts_anew():
    watch = Watch()
    watch.event_ended(1, 5)
    watch.event_ended(2, 10)
    assert watch.bar_closed(False, 19, 10) == []
    watch.event_ended(3, 19)
    assert watch.bar_closed(False, 20, 10) == [(TOXICITY, 10)]
    watch.event_ended(2, 20)
    assert watch.bar_closed(False, 99, 10) == []
    watch.event_ended(1, 99)
    watch.event_ended(2, 100)
    assert watch.bar_closed(True, 120, 10) == [(TOXICITY, 20)]
    watch.event_ended(2, 120)
    assert watch.bar_closed(False, 130, 10) == []
    assert watch.bar_closed(False, 140, 10) == [(L2_STALE, 10)]
    assert watch.bar_closed(True, 150, 10) == watch.bar_closed(False, 160, 10) == []
