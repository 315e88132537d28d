"""Top-K by hand, in exact integers: score, choice, hard gates, split of the budget; then days of several symbols (SPEC 7.1, 12)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings as options, strategies as st

from grinder.config import Config
from grinder.data.instrument import Instrument
from grinder.engine import initial_world
from grinder.records import Feature, Regime, Role
from grinder.regime import IS_WARM
from grinder.selection import allot, is_barred, score_of, select
from grinder.session import replay
from tests.smart_tapes import smart_case

ONE = 100_000_000
QUOTE = 100_000_000
MINUTE = 60 * 10**9
NO_BOOK = int(Feature.DEPTH_BID | Feature.DEPTH_ASK | Feature.IMPACT)
ENTRY, TAKE_PROFIT = int(Role.ENTRY), int(Role.TAKE_PROFIT)


class Desk:
    """A world of so many symbols past warm-up, with a mid and nothing against them; scores are set by efficiency alone."""

    def __init__(self, symbols=5, budget=None, **settings):
        names = "ABCDEFG"[:symbols]
        instruments = [Instrument(symbol=name, kind="spot", tick_size="0.01", lot_size="0.1") for name in names]
        config = Config(policy="smart", **({"w_liq": 0, "select_every_ms": 60_000} | settings))
        self.params, self.instruments = config.params(instruments, [(1, 100_000)] * symbols)
        self.world = initial_world(self.params, self.instruments, 0)
        self.symbols, self.features, self.run = self.world.symbols, self.world.features, self.world.run[0]
        self.symbols["mid2"], self.features["absent"] = 20_000, NO_BOOK
        if budget is not None:
            self.run["budget"] = budget

    def scores(self, *scores):
        """Scores of up to 1e8, of which the range's part is all."""
        self.features["efficiency_ratio"] = ONE - np.array(scores)
        return self

    def at(self, ts):
        """Select; returns who is chosen."""
        self.symbols["decide"] = 0
        select(self.world, self.params, self.instruments, ts)
        return np.flatnonzero(self.symbols["selected"]).tolist()

    def split(self, *chosen):
        """Budgets when these are chosen."""
        self.symbols["selected"] = 0
        self.symbols["selected"][list(chosen)] = 1
        allot(self.world, self.params, self.instruments)
        return self.symbols["budget"].tolist()


# The score


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({}, ONE),
        ({"efficiency_ratio": 30_000_000}, 70_000_000),
        ({"efficiency_ratio": ONE}, 0),
        ({"thin_l1": 50_000 * QUOTE}, ONE + 50_000_000),
        ({"thin_l1": 100_000 * QUOTE}, ONE + 66_666_666),
        ({"thin_l1": 2**62}, ONE + 99_999_566),  # d saturates at 2**60 atoms
        ({"absent": 0, "depth_bid": 50_000 * QUOTE, "depth_ask": 150_000 * QUOTE, "thin_l1": 7}, ONE + 50_000_000),
        ({"absent": 0, "depth_bid": 150_000 * QUOTE, "depth_ask": 25_000 * QUOTE}, ONE + 33_333_333),
        ({"absent": int(Feature.IMPACT), "depth_bid": 10**15, "depth_ask": 10**15}, ONE),  # a book that is short is no liquidity
        ({"toxicity": 1}, ONE - 66_666_666),
        ({"toxicity": 2}, ONE - 133_333_332),
        ({"toxicity": 3}, -ONE),
        ({"trend_strength": ONE}, 75_000_000),
        ({"trend_strength": -ONE}, 75_000_000),
        ({"trend_strength": 4 * ONE - 1}, ONE - 99_999_999),
        ({"trend_strength": 4 * ONE}, 0),
        ({"trend_strength": -(2**62)}, 0),
        ({"efficiency_ratio": 30_000_000, "thin_l1": 50_000 * QUOTE, "toxicity": 1, "trend_strength": ONE}, 28_333_334),
    ],
)
def test_terms_of_the_score(changes, score):
    """`(1 - er) + d / (d + 50,000) - 2 * tox / 3 - |trend| / 4`, with the defaults."""
    desk = Desk(w_liq=1)
    for name, value in changes.items():
        (desk.symbols if name == "toxicity" else desk.features)[name] = value
    if "thin_l1" in changes and changes["thin_l1"] == 2**62:
        score = ONE + 2**60 * ONE // (2**60 + 50_000 * QUOTE)
    assert score_of(desk.symbols[0], desk.features[0], desk.params[0]) == score


def test_every_term_is_floored_by_itself():
    desk = Desk(w_range="0.33333333", w_liq="0.33333333", w_tox="0.33333333", w_trend="0.33333333")
    desk.features["efficiency_ratio"], desk.features["thin_l1"] = ONE - 10, 50_000 * QUOTE
    desk.symbols["toxicity"], desk.features["trend_strength"] = 1, 40
    terms = [33_333_333 * term // ONE for term in (10, 50_000_000, 33_333_333, 10)]
    assert score_of(desk.symbols[0], desk.features[0], desk.params[0]) == terms[0] + terms[1] - terms[2] - terms[3]


def test_a_trend_enter_of_zero_is_a_full_trend():
    desk = Desk(trend_enter=0, trend_exit=0)
    assert score_of(desk.symbols[0], desk.features[0], desk.params[0]) == 0


# The choice


def test_the_best_k_are_chosen_ties_by_symbol():
    assert Desk(top_k=2).scores(1, 5, 3, 5, 4).at(0) == [1, 3]
    assert Desk(top_k=3).scores(7, 7, 7, 7, 7).at(0) == [0, 1, 2]
    assert Desk(top_k=1).scores(1, 2, 2, 1, 0).at(0) == [1]
    assert Desk(top_k=5).scores(1, 2, 3, 4, 5).at(0) == [0, 1, 2, 3, 4]
    assert Desk(symbols=2, top_k=5).scores(1, 2).at(0) == [0, 1]


@pytest.mark.parametrize(("ahead", "chosen"), [(4_999_999, [0]), (5_000_000, [0]), (5_000_001, [2])])
def test_an_incumbent_is_replaced_by_more_than_the_margin(ahead, chosen):
    desk = Desk(symbols=3, top_k=1).scores(1_000, 900, 900)
    assert desk.at(0) == [0]
    assert desk.scores(1_000, 1_000 + ahead, 1_000 + ahead).at(MINUTE) == ([1] if chosen == [2] else [0]), "ties by symbol"
    desk = Desk(symbols=3, top_k=1).scores(1_000, 900, 900)
    desk.at(0)
    assert desk.scores(1_000, 0, 1_000 + ahead).at(MINUTE) == chosen


def test_the_best_challengers_replace_the_worst_incumbents_one_by_one():
    desk = Desk(top_k=3, switch_margin="0.00000005").scores(50, 40, 40, 0, 0)
    assert desk.at(0) == [0, 1, 2]
    assert desk.scores(50, 40, 40, 46, 0).at(MINUTE) == [0, 1, 3], "of equal incumbents the later symbol goes"
    assert desk.scores(50, 40, 40, 46, 52).at(2 * MINUTE) == [0, 3, 4], "52 replaces 40, then nothing is 5 over 46"
    assert desk.scores(50, 90, 95, 46, 52).at(3 * MINUTE) == [1, 2, 4], "95 replaces 46, then 90 replaces 50"
    assert desk.scores(0, 0, 0, 5, 5).at(4 * MINUTE) == [1, 2, 4], "no more than 5 over 0"


def test_selection_is_due_at_multiples_of_its_period():
    """At the first event, then at the first one from each multiple on; between them only drops."""
    desk = Desk(symbols=2, top_k=1).scores(ONE, 0)
    assert desk.at(30 * 10**9) == [0]
    assert int(desk.run["next_select"]) == MINUTE
    desk.scores(0, ONE)
    assert desk.at(MINUTE - 1) == [0]
    assert desk.at(3 * MINUTE + 7) == [1]
    assert int(desk.run["next_select"]) == 4 * MINUTE


def test_without_features_or_a_quote_nobody_is_chosen():
    desk = Desk(symbols=3, top_k=3)
    desk.features["absent"][0] = int(Feature.EFFICIENCY_RATIO)
    assert int(Feature.EFFICIENCY_RATIO) & IS_WARM
    desk.symbols["mid2"][2] = 0
    assert desk.at(0) == [1]


def test_what_changes_for_a_symbol_is_a_decision():
    desk = Desk(symbols=3, top_k=2, budget=11).scores(3, 2, 1)
    desk.at(0)
    assert desk.symbols["decide"].tolist() == [1, 1, 0]
    desk.at(MINUTE)
    assert desk.symbols["decide"].tolist() == [0, 0, 0]
    desk.symbols["stale"][0] = 1
    assert desk.at(2 * MINUTE) == [1, 2]
    assert desk.symbols["budget"].tolist() == [0, 6, 5]
    assert desk.symbols["decide"].tolist() == [1, 1, 1], "6 instead of 5 is another budget"


# Hard gates

GATES = {
    "stale": ("symbols", "stale", 1, 0),
    "toxic": ("symbols", "toxicity", 2, 1),
    "severely thin": ("symbols", "severe", 1, 0),
    "spread": ("features", "spread_bps", 200_001, 200_000),
    "funding": ("symbols", "rate", 10_001, 10_000),
    "funding received": ("symbols", "rate", -10_001, -10_000),
    "no quote": ("symbols", "mid2", 0, 1),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_hard_gate_drops_at_once_and_its_place_stays_empty(gate):
    where, name, barred, allowed = GATES[gate]
    desk = Desk(symbols=4, top_k=2, budget=11, select_funding="1bp").scores(4, 3, 2, 1)
    assert desk.at(0) == [0, 1]
    getattr(desk, where)[name][0] = allowed
    assert desk.at(1) == [0, 1]
    assert not is_barred(desk.symbols[0], desk.features[0], desk.params[0])
    getattr(desk, where)[name][0] = barred
    assert desk.at(2) == [1]
    assert desk.symbols["budget"].tolist() == [0, 5, 0, 0], "what the others may lose stays"
    assert desk.symbols["decide"].tolist() == [1, 0, 0, 0]
    getattr(desk, where)[name][0] = allowed
    assert desk.at(3) == [1], "its place is given at the next selection"
    desk.symbols["toxicity"] = 0
    assert desk.scores(3, 3, 2, 1).at(MINUTE) == [0, 1]


def test_thin_is_no_hard_gate_and_a_funding_limit_of_zero_is_off():
    desk = Desk(symbols=2, top_k=1).scores(2, 1)
    desk.symbols["thin"][0], desk.symbols["rate"][0], desk.symbols["shock"][0] = 1, 10**8, 1
    assert desk.at(0) == [0]


# The split


@pytest.mark.parametrize(
    ("budget", "k", "chosen", "parts"),
    [
        (10, 3, (0, 1, 2), [4, 3, 3, 0]),
        (11, 3, (0, 1, 2), [4, 4, 3, 0]),
        (11, 3, (1, 3), [0, 4, 0, 4]),
        (11, 3, (3,), [0, 0, 0, 4]),
        (11, 3, (), [0, 0, 0, 0]),
        (2, 3, (0, 1, 3), [1, 1, 0, 0]),
        (0, 3, (0, 1, 3), [0, 0, 0, 0]),
        (11, 5, (0, 1, 2, 3), [3, 3, 3, 2]),  # four symbols: K is 4
    ],
)
def test_equal_parts_of_k_whoever_is_chosen(budget, k, chosen, parts):
    assert Desk(symbols=4, top_k=k, budget=budget).split(*chosen) == parts


@pytest.mark.parametrize(
    ("budget", "chosen", "parts"),
    [
        (10, (0, 1), [4, 6, 0]),  # weights 1/2 and 3/4 of 10
        (11, (0, 1), [4, 7, 0]),  # 4.4 and 6.6
        (16, (0, 1), [6, 10, 0]),  # 6.4 and 9.6
        (11, (0, 2), [7, 0, 4]),  # of 1/2 and 1/2 less a third of that: 6.6 and 4.4
        (10, (2,), [0, 0, 5]),  # one of two: half
        (0, (0, 1), [0, 0, 0]),
    ],
)
def test_weighted_parts_by_largest_remainder(budget, chosen, parts):
    desk = Desk(symbols=3, top_k=2, budget=budget, allocator="weighted")
    desk.features["thin_l1"] = np.array([50_000, 150_000, 50_000]) * QUOTE
    desk.symbols["toxicity"][2] = 1
    assert desk.split(*chosen) == parts


def test_equal_remainders_go_to_earlier_symbols_and_no_weight_at_all_is_equal():
    desk = Desk(symbols=3, top_k=3, budget=11, allocator="weighted")
    desk.features["thin_l1"] = 50_000 * QUOTE
    assert desk.split(0, 1, 2) == [4, 4, 3]
    desk.features["thin_l1"] = 0
    assert desk.split(0, 2) == [4, 0, 4]
    desk.features["thin_l1"][2] = 1
    assert desk.split(0, 2) == [4, 0, 4], "a weight that floors to 0"


@pytest.mark.parametrize(
    ("absolute", "chosen", "parts"),
    [
        ({"B": 3}, (0, 1, 2), [4, 3, 3]),
        ({"B": 0}, (0, 1, 2), [4, 0, 3]),
        ({"B": 9}, (0, 1, 2), [4, 3, 3]),  # 4 and 3 are the others'
        ({"A": 9}, (0, 1, 2), [4, 3, 3]),
        ({"A": 6, "B": 6}, (0, 1, 2), [6, 1, 3]),  # C has 3; earlier symbols first
        ({"A": 6, "B": 6, "C": 6}, (0, 1, 2), [6, 4, 0]),
        ({"A": 2, "B": 2, "C": 2}, (0, 1, 2), [2, 2, 2]),
        ({"A": 6, "B": 6}, (1, 2), [0, 6, 3]),  # of two of three B's part and the free one are left
        ({"A": 6}, (1, 2), [0, 4, 3]),
        ({"A": 99}, (0,), [10, 0, 0]),
    ],
)
def test_an_absolute_budget_is_bounded_by_what_is_left(absolute, chosen, parts):
    desk = Desk(symbols=3, top_k=3, budget=10)
    desk.instruments["budget"] = [absolute.get(name, -1) for name in "ABC"]
    assert desk.split(*chosen) == parts


@options(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_parts_are_whole_sum_up_and_are_a_lot_off_at_most(data):
    """INVARIANT 26, for any budget, weights and choice."""
    n, k = data.draw(st.integers(2, 7)), data.draw(st.integers(1, 5))
    budget = data.draw(st.one_of(st.integers(0, 50), st.integers(0, 2**62)))
    desk = Desk(symbols=n, top_k=k, budget=budget, allocator=data.draw(st.sampled_from(["equal", "weighted"])))
    k = min(k, n)
    chosen = sorted(data.draw(st.sets(st.integers(0, n - 1), max_size=k)))
    depths = data.draw(st.lists(st.one_of(st.just(0), st.integers(0, 2**62)), min_size=n, max_size=n))
    desk.features["thin_l1"] = depths
    desk.symbols["toxicity"] = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    given_ = data.draw(st.lists(st.one_of(st.just(-1), st.integers(0, 2**61)), min_size=n, max_size=n))
    plain = desk.split(*chosen)
    assert all(plain[s] == 0 for s in range(n) if s not in chosen)
    liquidity = [Fraction(min(d, 2**60) * ONE, min(d, 2**60) + 50_000 * QUOTE) // 1 for d in depths]
    weights = [liquidity[s] * (ONE - int(desk.symbols["toxicity"][s]) * ONE // 3) // ONE if s in chosen else 0 for s in range(n)]
    if desk.params["weighted"][0] and sum(weights):
        whole = budget * len(chosen) // k
        assert sum(plain) == whole
        assert all(0 <= plain[s] - whole * weights[s] // sum(weights) <= 1 for s in chosen)
    else:
        assert plain == [budget // k + (chosen.index(s) < budget % k) if s in chosen else 0 for s in range(n)]
    desk.instruments["budget"] = given_
    bounded = desk.split(*chosen)
    assert sum(bounded) <= budget
    assert all(bounded[s] >= 0 for s in range(n))
    assert all(bounded[s] == plain[s] for s in chosen if given_[s] < 0)
    assert all(bounded[s] <= given_[s] for s in chosen if given_[s] >= 0)


# Whole runs


def without_place(run):
    """(symbol, from, to): events in which a plan says that a symbol has no budget: it is not chosen."""
    for s in range(len(run.symbols)):
        mine = run.plans.records[run.plans["symbol"] == s]
        begin = 0
        for row in mine:
            if row["budget"] == 0 and begin < 0:
                begin = int(row["event"])
            elif row["budget"] > 0 and begin >= 0:
                yield s, begin, int(row["event"])
                begin = -1
        if begin >= 0:
            yield s, begin, run.events


def check_reduces(run):
    """Not chosen, a symbol sends no entry and keeps its take-profits; returns how many of each it had had."""
    entries = profits = 0
    for s, begin, end in without_place(run):
        sent = run.intents.records
        sent = sent[(sent["symbol"] == s) & (sent["event"] >= begin) & (sent["event"] < end)]
        assert not ((sent["role"] == ENTRY) & (sent["kind"] != 0)).any(), (s, begin, end)
        entries += int((sent["role"] == ENTRY).sum())
        emergencies = {int(r["event"]) for r in run.regimes.records if r["symbol"] == s and r["to"] == Regime.EMERGENCY}
        gone = sent[(sent["role"] == TAKE_PROFIT) & (sent["kind"] == 0)]
        assert set(gone["event"].tolist()) <= emergencies, "take-profits stay"
        filled = run.fills.records
        profits += int(
            ((filled["symbol"] == s) & (filled["role"] == TAKE_PROFIT) & (filled["event"] > begin) & (filled["event"] < end)).sum()
        )
    return entries, profits


@pytest.fixture(scope="module")
def day():
    return replay("multisymbol_topk_l1", Config(policy="smart"))


def chosen_over_time(run):
    """Who had a budget in the last plan, at each change of it."""
    now, out = set(), []
    for row in run.plans.records:
        before = set(now)
        (now.add if row["budget"] > 0 else now.discard)(int(row["symbol"]))
        if now != before:
            out.append((int(row["ts"]), frozenset(now)))
    return out


def test_the_choice_changes_during_the_day(day):
    """Seven symbols, three places: at least five symbols have one at some time, and never are there more than three."""
    seen = chosen_over_time(day)
    last = dict(seen)  # of several plans at one time the last
    assert all(len(chosen) <= 3 for chosen in last.values())
    assert len(set(last.values())) > 5
    assert len(frozenset().union(*last.values())) >= 5


def test_what_is_not_chosen_only_reduces(day):
    entries, profits = check_reduces(day)
    assert entries > 10, "resting entries are cancelled"
    assert profits > 0


def test_budgets_of_the_day_fit_the_portfolio(day):
    run, seen = None, set()
    for k in range(4_000, len(day.market.ts), 6_007):
        run = replay("multisymbol_topk_l1", Config(policy="smart"), until=k, resume=run)
        budgets = run.world.symbols["budget"].tolist()
        assert sum(budgets) <= int(run.world.run[0]["budget"])
        assert sorted(budgets)[:4] == [0, 0, 0, 0]
        seen.add(tuple(budgets))
    assert len(seen) > 3


def test_random_tapes_of_several_symbols():
    """INVARIANT 26 and what is not chosen, on random settings, at every hundredth event."""
    runs = entries = places = 0
    for seed in range(160):
        c = smart_case(seed)
        if len(c.fixture.symbols) == 1 or c.config.policy == "static":
            continue
        run = None
        for k in range(100, len(c.fixture) + 1, 100):
            run = replay(c.fixture, c.config, until=k, resume=run)
            budgets, selected = run.world.symbols["budget"], run.world.symbols["selected"]
            assert int(budgets.sum()) <= int(run.world.run[0]["budget"]), (seed, k)
            assert int(selected.sum()) <= min(c.config.top_k, len(run.symbols))
            assert (budgets[selected == 0] == 0).all()
            places += int(selected.sum())
        entries += check_reduces(run)[0]
        runs += 1
    assert runs > 30
    assert entries > 5
    assert places > 50
