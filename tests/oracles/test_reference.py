"""The reference engine against numbers worked by hand, and its own assertions on random tapes."""

import json
import math
import random
from fractions import Fraction
from pathlib import Path

import pytest

from .reference import BUY, SELL, Ledger, ceil_of, fee_of, floor_of, funding_received, ladder, run, take_profit_price

HAND = json.loads((Path(__file__).parent / "hand_ledger.json").read_text())
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def records():
    return run(HAND["instruments"], HAND["config"], HAND["events"])


def test_plan_and_levels(records):
    expected = HAND["expected"]
    (plan,) = records["plans"]
    first_ts = HAND["events"][0]["ts"]
    assert plan == (0, first_ts, 0, 0, 0, 4, 10**11, 100_000, 300_000, 300_000, 3, 3, 0, 0, expected["tp_step"], 0, 0, 0, 0)
    assert [row[4:] for row in records["levels"]] == (
        [(1, i, p, 5) for i, p in enumerate(expected["ladder_buy"][:3], 1)]
        + [(-1, i, p, 5) for i, p in enumerate(expected["ladder_sell"][:3], 1)]
    )
    for side, name in ((BUY, "ladder_buy"), (SELL, "ladder_sell")):
        assert ladder(10**11, 100_000, side, 3)[0][1:6] == expected[name]


def test_roundings_are_those_of_the_fraction():
    rng = random.Random(7)
    pairs = [(part, whole) for part in range(-30, 31) for whole in range(1, 9)]
    pairs += [(rng.randrange(-(10**40), 10**40), rng.randrange(1, 10**20)) for _ in range(1000)]
    for part, whole in pairs:
        assert floor_of(part, whole) == math.floor(Fraction(part, whole))
        assert ceil_of(part, whole) == math.ceil(Fraction(part, whole))


def test_bars(records):
    t0 = HAND["expected"]["t0_ns"]
    got = [[r[0], (r[3] - t0) // SECOND, *r[4:]] for r in records["bars"]]
    assert got == HAND["expected"]["bars"]


def test_orders(records):
    expected = HAND["expected"]
    intents = records["intents"]
    assert all(r[10] == 0 and r[9] == 5 for r in intents)
    # (event, order, side, role, key, price) of the PLACEs
    assert [[r[0], *r[4:9]] for r in intents if r[3] == 2] == expected["placed"]
    sent = [[r[0], r[4]] for r in intents if r[3] == 0]
    assert sent == [[c[0], c[2]] for c in expected["cancels"]]
    gone = [[r[0], r[3]] for r in records["orders"] if r[5] == 4]
    assert gone == [[c[1], c[2]] for c in expected["cancels"]]
    assert len(intents) == len(expected["placed"]) + len(expected["cancels"])


def test_fills(records):
    assert all(r[10] == 0 for r in records["fills"])
    assert [[r[0], *r[3:10]] for r in records["fills"]] == HAND["expected"]["fills"]


def test_marks_and_final_ledger(records):
    expected = HAND["expected"]
    rows = [r for r in records["ledger"] if r[2] == 0]
    assert [[r[0], r[3]] for r in rows] == expected["marks"]
    by_event = {fill[0]: after for fill, after in zip(expected["fills"], expected["after_fill"], strict=True)}
    for r in rows:
        if r[3] & 1:  # position, cost, realised, cash after the last fill of the event
            assert [r[4], r[5], r[7], r[6]] == by_event[r[0]]
    final = expected["final"]
    portfolio = records["ledger"][-1]
    assert portfolio[2:5] == (-1, 4, 0)
    names = ["cost", "cash", "realised", "unrealised", "fees", "funding", "equity"]
    assert list(portfolio[5:12]) == [final[n] for n in names]
    assert rows[-1][4] == final["position"]
    assert portfolio[11] == final["cash"] + final["position_value"]


def test_every_fill_of_the_hand_ledger():
    ledger = Ledger(10_000)
    for fill, after in zip(HAND["expected"]["fills"], HAND["expected"]["after_fill"], strict=True):
        side, price, qty, fee = fill[3], fill[5], fill[6], fill[7]
        assert fee == fee_of(price, qty, 10_000, 20_001)
        ledger.apply_fill(side, price, qty, fee)
        assert [ledger.position, ledger.cost, ledger.realised, ledger.cash] == after


def test_fill_through_zero():
    case = HAND["ledger_case"]
    ledger = Ledger(case["tick_value"])
    for side, price, qty, fee, *after in case["fills"]:
        assert fee == fee_of(price, qty, case["tick_value"], case["maker_fee"])
        ledger.apply_fill(side, price, qty, fee)
        assert [ledger.position, ledger.cost, ledger.realised, ledger.cash] == after
    final = case["final"]
    assert ledger.value(case["mid2"]) == final["value"]
    assert ledger.unrealised(case["mid2"]) == final["unrealised"]
    assert ledger.fees == final["fees"]
    assert ledger.cash + final["value"] == final["equity"]


def test_levels_example():
    """SPEC 7.5: center 100.00, step 1 %, tick 0.01."""
    buys, n_buys = ladder(10_000 * 10**6, 1_000_000, BUY, 5)
    sells, n_sells = ladder(10_000 * 10**6, 1_000_000, SELL, 5)
    assert buys[:7] == [10_000, 9900, 9801, 9702, 9605, 9509, 9414]
    assert sells[:6] == [10_000, 10_100, 10_201, 10_304, 10_407, 10_511]  # 103.0301 is rounded up
    assert (n_buys, n_sells) == (5, 5)


def test_small_roundings():
    assert fee_of(1, 1, 2, 1) == 1
    assert fee_of(1, 1, 2, -1) == 0  # a rebate is rounded against the account too
    assert funding_received(1, 1, 2, 1) == -1 and funding_received(-1, 1, 2, 1) == 0
    assert take_profit_price(BUY, 10, 1) == 11 and take_profit_price(SELL, 10, 1) == 9


# ---- small tapes ---------------------------------------------------------------------------------


def quote(seconds, bid, ask, symbol=0, **extra):
    return {
        "ts": 1_700_000_040 * SECOND + int(seconds * SECOND),
        "symbol": symbol,
        "kind": "quote",
        "fault": None,
        "bid_px": bid,
        "bid_qty": 10,
        "ask_px": ask,
        "ask_qty": 10,
        **extra,
    }


def config(**changes):
    return {**HAND["config"], **changes}


ONE = HAND["instruments"]


def test_latency_delays_the_first_fill():
    tape = [quote(0, 99_999, 100_001), quote(1, 99_889, 99_891), quote(2, 99_889, 99_891)]

    def fills(latency):
        return [r[0] for r in run(ONE, config(order_latency=latency), tape)["fills"]]

    assert fills(0) == [1]
    assert fills(SECOND) == [1]
    assert fills(SECOND + 1) == [2]


def test_cross_needs_the_other_side():
    tape = [quote(0, 99_999, 100_001), quote(1, 99_899, 99_901), quote(2, 99_898, 99_900), quote(3, 99_897, 99_899)]

    def fills(penetration):
        changed = config(fill_model="cross", penetration=penetration)
        return [r[0] for r in run(ONE, changed, tape)["fills"]]

    assert fills(0) == [2] and fills(1) == [3] and fills(2) == []


def test_gap_closes_the_bar_without_a_decision():
    tape = [quote(0, 99_999, 100_001), quote(601, 99_999, 100_001)]
    got = run(ONE, config(), tape)
    assert [r[3:] for r in got["input"]] == [(2, 0, 601 * SECOND)]
    assert len(got["bars"]) == 1 and [r[3] for r in got["ledger"]] == [4, 4]
    assert {r[0] for r in got["intents"]} == {0}


def test_take_profit_is_moved_and_comes_back():
    """An own BUY in flight above a new take-profit's price pushes that up until the BUY has filled."""
    tape = [
        quote(0, 99_999, 100_001),
        quote(2, 100_249, 100_251),  # sells 100100 (#1) and 100201 (#3) fill: TP BUYs 99999, 100100
        quote(3, 99_889, 99_891),  # buy 99900 (#0) fills: its TP SELL 100000 would cross 100100
        quote(4, 99_889, 99_891),  # both TP BUYs fill: 100000 is passive again
        quote(6, 99_889, 99_891),  # the amend takes effect
        quote(7, 99_999, 100_001),
    ]
    got = run(ONE, config(order_latency=2 * SECOND), tape)
    mine = [r for r in got["intents"] if r[5:8] == (-1, 1, 2)]
    assert [(r[0], r[3], r[8], r[10]) for r in mine] == [(2, 2, 100_101, 1 << 15), (3, 1, 100_000, 0)]
    order = mine[0][4]
    t0 = tape[0]["ts"]
    assert [(r[0], *r[4:7], (r[8] - t0) // SECOND) for r in got["orders"] if r[3] == order] == [
        (2, -1, 0, 100_101, 5),
        (4, 1, 1, 100_000, 6),
        (5, 1, 3, 100_000, 6),
    ]


def test_rate_limit_refuses_entries_only():
    got = run(ONE, config(order_burst=2, order_rate=1), [quote(0, 99_999, 100_001)])
    assert [(r[4], r[10]) for r in got["intents"]] == [(0, 0), (1, 0)] + [(-1, 1 << 14)] * 4


def test_quarantined_event_moves_the_clock_only():
    tape = [quote(0, 99_999, 100_001), quote(1, 90_000, 80_000, fault=1), quote(60, 1, 2, fault=3)]
    got = run(ONE, config(), tape)
    assert [r[3:] for r in got["input"]] == [(1, 1, 2), (1, 3, 2)]
    assert [r[3:] for r in got["bars"]] == [(1_700_000_040 * SECOND, 200_000, 200_000, 200_000, 200_000, 1)]
    assert not got["fills"]


def test_daily_roll_has_rows_and_decisions():
    day = 86_400
    tape = [quote(0, 99_999, 100_001), quote(day, 99_999, 100_001), quote(3 * day, 99_999, 100_001)]
    got = run(ONE, config(max_gap_ns=10 * day * SECOND), tape)
    assert [(r[0], r[2], r[3]) for r in got["ledger"]] == [
        (1, 0, 32),
        (1, -1, 32),
        (1, 0, 4),
        (1, -1, 4),
        (2, 0, 32),
        (2, -1, 32),
        (2, 0, 4),
        (2, -1, 4),
    ]


def random_case(seed):
    rng = random.Random(seed)
    n = rng.choice([1, 1, 2, 3])
    instruments = [
        {"tick_value": 2 * rng.randint(1, 5000), "perpetual": rng.random() < 0.5, "hard_cap_lots": rng.choice([10**9, 40])}
        for _ in range(n)
    ]
    cfg = config(
        equity=rng.choice([10**12, 10**9]),
        maker_fee=rng.choice([-5000, 0, 20_000, 20_001]),
        order_latency=rng.choice([0, 0, 1, SECOND, 7 * SECOND]),
        cancel_latency=rng.choice([0, 0, 1, SECOND, 7 * SECOND]),
        fill_model=rng.choice(["mid_touch", "cross"]),
        penetration=rng.choice([0, 1]),
        max_inventory=rng.choice([["ratio", 10**8], ["atoms", 10**9]]),
        min_notional=0,
        max_open_orders=rng.choice([100, 7]),
        max_open_orders_portfolio=rng.choice([400, 12]),
        order_rate=rng.choice([20, 1]),
        order_burst=rng.choice([100, 5]),
        dd_budget_pct=rng.choice([2_000_000, 2_000]),
        dd_window=rng.choice(["daily", "session"]),
        max_gap_ns=rng.choice([600, 20]) * SECOND,
        bar_ns=rng.choice([60, 5]) * SECOND,
        step=rng.choice([1, 20_000, 100_000, 1_000_000]),
        levels=rng.randint(1, 6),
        quantity=[rng.randint(1, 9) for _ in range(n)],
    )
    mids = [rng.choice([20, 300, 5_000, 100_000]) for _ in range(n)]
    events, seconds = [], rng.choice([0, 5_900])
    for _ in range(400):
        seconds += rng.choice([0, 0, 1, 1, 2, 3, 30])
        s = rng.randrange(n)
        move = max(1, mids[s] // 500)
        mids[s] = max(5, mids[s] + rng.randint(-move, move))
        half = rng.randint(0, 2)
        event = quote(seconds, mids[s] - half, mids[s] + rng.randint(0, 2), s)
        event["kind"] = rng.choice(["quote"] * 6 + ["book", "trade", "funding"])
        event["fault"] = rng.choice([None] * 20 + [1])
        event["rate"], event["mark_px"] = rng.randint(-10_000, 10_000), mids[s]
        events.append(event)
    return instruments, cfg, events


@pytest.mark.parametrize("block", range(10))
def test_random_tapes_keep_the_invariants(block):
    """Each run asserts both paths to equity, positions and own crossing after every event."""
    fills = 0
    for seed in range(block * 20, block * 20 + 20):
        instruments, cfg, events = random_case(seed)
        got = run(instruments, cfg, events)
        fills += len(got["fills"])
        cut = len(events) // 2
        head = run(instruments, cfg, events[:cut])  # causality, SPEC 3.5
        for stage, rows in head.items():
            assert rows == [r for r in got[stage] if r[0] < cut], (seed, stage)
    assert fills > 100
