"""Scenarios: what the engine does, line by line, in files that need no Python to be read; tests/scenario.py tells their language.

Each line of SPEC 5, 6, 7, 8 and 11 has a scenario in which it triggers and one, of the same name with `_nearly`, in which it
nearly does.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scenario import Wrong, differences, read

FOLDER = Path(__file__).parent / "scenarios"
SCENARIOS = [scenario for path in sorted(FOLDER.glob("*.txt")) for scenario in read(path.read_text())]
NAMES = {scenario.name: scenario for scenario in SCENARIOS}

LINES = """
5 an L1 older than l1_stale_ms is stale, and thin, and toxic: stale
5 older than l1_pause_ms: paused
5 older than ten times that is EXTREME: ten_times_paused
3.2 the quote that ends an outage opens the stale gate first: outage_ended_by_its_quote
3.1 a timer is due at commands too: stale_at_a_command
3.2 a quarantined row is no quote: quarantined_row_refreshes_nothing
5 an L2 older than l2_stale_ms is absent, nothing else: book_fresh
5 a side's L1 notional under thin_quote: thin_by_l1
5 on every event for thin_ms: thin_by_l1_on_every_event
5 either side, one of them for the whole time: thin_sides_apart
5 a fresh book's depth under thin_quote_depth: thin_by_depth
5 at once without quantity: thin_without_quantity
5 severely under a fifth: severely_thin
16.5 thin ends thin_clear_ms after the last thin event: thin_clears
5 a bar of shock_tr ATRs: shock_by_one_bar
5 three bars of shock_ratio median NATRs: shock_by_three_bars
5 at least the limit: shock_at_its_limit
5 from baseline_bars_min on: shock_from_enough_bars
5 a shock is held for clear_ms: shock_clears
5 spread MID: spread_mid
5 spread HIGH: spread_high
5 spread EXTREME: spread_extreme
5 limits in ticks, rounded up: spread_limit_is_rounded_up
5 the spread's median is at least spread_floor: spread_median_is_at_least_1bp
5 impact MID: impact_mid
5 impact HIGH: impact_high
5 impact EXTREME: impact_extreme
4 DEPTH_SHORT is HIGH: depth_short
5 jump MID: jump_mid
5 jump HIGH: jump_high
5 jump EXTREME: jump_extreme
5 then is the last quote of jump_window_ms ago: jump_within_its_window
16.4 at least so many spread medians: jump_of_spread_medians
5 quarantined rows MID: quarantined_mid
5 quarantined rows HIGH: quarantined_high
5 quarantined rows EXTREME: quarantined_extreme
5 a shock is MID: shock_is_mid
5 each severity of each input is held for clear_ms: severities_clear_one_by_one
6 EMERGENCY by the kill switch: killed
6 EMERGENCY by toxicity EXTREME: toxicity_extreme
6 EXTREME latches if latch_on_extreme: latch_on_extreme
6 PAUSED before there are features: warmup
3.4 and again after a gap: warmup_after_a_gap
3.4 entries are cancelled then: gap_cancels_entries
6 PAUSED by an old L1: l1_paused
6 TOXIC: toxicity_high
6 THIN_BOOK: thin_book
6 VOL_SHOCK: volatility_shock
6 TREND_UP from trend_enter on: trend_up
6 TREND_DOWN: trend_down
6 with an efficiency_ratio of er_enter: trend_needs_efficiency
6 until under trend_exit: trend_ends
6 UP ends under it: trend_up_ends_under_its_exit
6 DOWN ends over it: trend_down_ends_over_its_exit
6 and the other side on the same close: trend_turns_on_one_close
6 the trend steps whatever the regime: trend_steps_in_any_regime
6 a shock comes before a trend: shock_comes_before_trend
6 ONCE: entries_once
16.5 ONCE ends with the trend state: once_ends_with_the_trend_state
16.5 of sells: once_of_sells_ends_with_the_trend_state
6 OFF: entries_off
6 take-profits rest in every regime but EMERGENCY: toxic_keeps_profits
7 a plan once there are features: plan
7.1 a symbol's budget given, bounded by what is left: budget_given
7.1 the window rolls at midnight: window_rolls
7.1 the budget over K symbols, equal: both_are_chosen
7.1 weighted by liquidity, largest remainder: weighted_budgets
7.2 X at least x_min: x_min
7.2 X at most x_cap: x_cap
7.2 l2_penalty of impact: plan_with_impact
4 l2_penalty of short depth: plan_with_short_depth
7.2 7.3 7.4 in a trend: plan_of_a_trend
7.2 7.4 in a thin book: plan_of_a_thin_book
7.2 7.4 in a shock: plan_of_a_shock
7.4 step_min: step_min
7.4 STEP_FEE_FLOOR: step_fee_floor
7.4 STEP_TICK_FLOOR: step_tick_floor
7.4 STEP_TICK_FLOOR of static (16.18): static_step_is_a_tick
16.3 NO_VOLATILITY: no_volatility
7.5 LEVELS_CLAMPED to levels_max: levels_clamped
7.5 at least levels_min: levels_min
7.5 a level that rounds onto the previous one is dropped: levels_that_round_together
7.5 a level under a tick is dropped: levels_under_a_tick
7.5 the center's skew, at most half a step: skew_at_most_half_a_step
7.6 the farthest level is dropped for min_notional: farthest_dropped_for_the_budget
7.6 BUDGET_TOO_SMALL: budget_too_small
7.6 tapered sizes: tapered
7.6 BUDGET: over_the_budget
7.7 (1) max_inventory_notional: scaled_to_inventory
7.7 (1) max_effective_leverage: scaled_to_leverage
7.7 (2) min_notional: farthest_dropped_for_min_notional
7.7 (3) max_open_orders: max_open_orders_of_a_plan
7.7 (4) STEP_WIDENED (5) CAP_PAUSE: cap_pause
7.7 hard_cap_lots of a take-profit: hard_cap
7.9 the regime or adds differ, not the mode alone: regime_changes
7.9 a level count differs: levels_change
7.9 the step differs by over a quarter: step_changes
7.9 the center is over replan_center steps away: center_moves
7.9 a level count differs by more than four, on both sides: levels_fewer_by_five
7.9 on the upper side alone: levels_up_more_by_five
7.9 on the lower side alone: levels_down_more_by_five
7.9 or becomes 0: levels_become_none
7.9 the step differs by more than a quarter of that in force, up: step_a_quarter_up
7.9 down: step_a_quarter_down
7.9 the center is more than two steps of the plan in force away, up: center_two_steps_up
7.9 down: center_two_steps_down
7.9 a side's budget fell under its worst case: budget_falls
7.9 that of the lower side alone: room_below_falls
7.9 that of the upper side alone: room_above_falls
7.9 or rose by over a quarter, of the lower side: room_below_rises
7.9 of the upper side: room_above_rises
8 the order of sending: sending_order
8 MAX_INVENTORY: max_inventory
8 the guards in their order: first_guard_wins
3.3 an amend in flight counts with the larger quantity: amend_in_flight_counts
8 MAX_LEVERAGE: max_leverage
8 of all symbols: max_leverage_of_all_symbols
8 MIN_NOTIONAL: min_notional
8 MAX_OPEN_ORDERS: max_open_orders
8 take-profits keep their places: max_open_orders_keep_a_profits_place
8 of the portfolio: max_open_orders_of_the_portfolio
8 RATE_LIMIT: rate_limit
8 the bucket refills by event time: rate_limit_refills
8 cancels cost a token: cancels_cost_a_token
8 POST_ONLY of entries: post_only
8 in a locked book: post_only_in_a_locked_book
8 own orders never cross: post_only_against_own_order
8 POST_ONLY moves a take-profit, and back: post_only_moves_a_profit
3.3 live after order_latency: order_latency
3.3 a cancel takes effect after cancel_latency: cancel_latency
3.3 an amend too, the old price stays in force: amend_latency
8 a fill opens a cycle: cycle_opens
8 a take-profit closes it, its level comes back: cycle_closes
8 every fill has a cycle of its own: several_fills_at_once
7.8 tp_step pays both fees: take_profit_pays_both_fees
8 a cycle holds the nearest level: level_is_held
8 reduce-only is clipped: reduce_only_is_clipped
6 take-profits of late fills: late_fill_has_its_profit
9 mid_touch: fills_by_touch
9 cross: fills_by_cross
3.2 a quarantined row fills nothing: quarantined_rows_fill_nothing
10 a fill is a mark: marked_at_a_fill
10 a bar is a mark: marked_at_a_bar
10 a trip is a mark: marked_at_a_trip
10 funding, on the position before the event's fills: funding_is_paid
3.4 a gap: gap
11 DAMAGE_CONTROL over dd_warn: dd_warn
11 until under dd_clear: dd_clear
11 a nearer take-profit is a tick away at least: nearer_profit_is_a_tick_away
11 or a roll: damage_control_ends_at_a_roll
11 over 1.0 latches and flattens: over_budget
9 a flatten takes what is displayed, the rest is carried: flatten_takes_what_is_displayed
11 a budget of 0: budget_of_nothing
11 a latch survives a roll: latch_survives_a_roll
11 a symbol over 1.0 has no entries until the roll: symbol_over_budget
11 circuit breaker, with a cooldown: breaker
11 until reset: breaker_until_reset
13 leverage over its cap is an alert: leverage_over_its_cap
11 pause and resume, of one symbol or all: pause
11 kill and reset: kill
6 flatten_on_emergency: kill_and_flatten
6 a late take-profit in an emergency: late_profit_is_flattened_too
16.9 THROTTLE: throttled
12 static decides at the first quote: static_plan
12 the best score is chosen: best_is_chosen
12 an incumbent is replaced by switch_margin: challenger_replaces
12 toxicity HIGH drops at once: toxic_symbol_is_dropped
12 the spread limit: wide_spread_is_barred
12 a funding rate over its limit: funding_is_barred
7.1 a portfolio's budget given absolutely: budget_is_an_amount
7.1 a rolling window forgets what was before it: rolling_window_forgets
7.1 its budget is of the equity a window ago: budget_of_a_rolling_window
11 a roll ends DAMAGE_CONTROL that nothing holds up: roll_ends_damage_control
7.1 parts without an event roll too: silent_parts_roll_too
10 a symbol's own threshold is a trip: own_budget_is_a_trip
9 a taker walks a book: taker_walks_a_book
9 a fresh one: taker_needs_a_fresh_book
9 no displayed quantity is taken twice: levels_are_taken_once
9 the best price is the last quote's: quote_is_newer_than_its_book
11 the risk monitor stops every policy's entries: monitor_stops_entries
11 at a shock too: monitor_looks_at_shocks
13 toxicity HIGH sustained: toxicity_lasts
13 L2 stale sustained: books_are_missing
"""
"""Lines of SPEC and the pair of scenarios that shows each: NAME where it triggers, NAME_nearly where it nearly does."""

ALONE = """
toxic_only_while_stale stale_by_another_symbol thin_by_depth_of_a_fresh_book_nearly thin_without_limit_nearly
shock_after_a_quiet_bar_nearly spread_from_enough_closes_nearly impact_of_the_worse_side reasons_change
depth_short_without_a_fresh_book_nearly killed_comes_before_paused toxicity_extreme_comes_before_paused
paused_comes_before_toxic toxic_comes_before_thin thin_comes_before_shock once_ends_after_a_settled_bar
budget_too_small_on_one_side over_the_budget_after_a_fill throttle_lets_profits_pass max_inventory_never_bars_a_profit
min_notional_never_bars_a_profit rate_limit_never_stops_a_profit post_only_in_a_wide_spread arrives_marketable
no_latency_at_one_time cycle_opens_with_a_sell take_profit_outlives_plans reduce_only_two_on_one_event flatten_without_switch
reset_before_the_flatten_filled order_life_of_a_flatten breaker_counts_losses_in_a_row window_rolls_to_a_new_peak
rest_of_a_level_is_taken_later monitor_keeps_profits monitor_is_off toxicity_lasts_again books_never_were
levels_before_the_last_are_gone
"""
"""What shows a corner of a line above: an order of precedence, another way in which it nearly holds."""


@pytest.mark.parametrize("name", NAMES)
def test_scenario(name):
    found = list(differences(NAMES[name]))
    assert not found, "\n\n" + "\n".join(found)


def test_names_are_of_one_scenario_each():
    assert len(NAMES) == len(SCENARIOS)


def test_every_line_has_its_pair_and_every_scenario_its_line():
    pairs = [line.rsplit(": ", 1)[1] for line in LINES.strip().splitlines()]
    wanted = sorted([*pairs, *(f"{name}_nearly" for name in pairs), *ALONE.split()])
    assert sorted(NAMES) == wanted


def expected(name: str) -> list[tuple[int, str]]:
    return [(at or cause.events[0][0], record.text()) for cause in NAMES[name].causes for at, _, record in cause.expected]


def test_what_triggers_and_what_nearly_does_are_told_apart():
    pairs = [line.rsplit(": ", 1)[1] for line in LINES.strip().splitlines()]
    assert [name for name in pairs if expected(name) == expected(f"{name}_nearly")] == []


# The runner itself: what is not so has to be seen

THIN = """scenario thin
instrument COIN perpetual tick 0.1 lot 1
policy idle
check gates
0s quote 99.9 x0 100.1 x50
  gate THIN 0 -> 1
  gate SEVERELY_THIN 0 -> 1
1s quote 99.9 x50 100.1 x50
"""


def shown(text: str) -> str:
    (scenario,) = read(text)
    return "\n".join(differences(scenario))


def test_what_is_so_passes():
    assert shown(THIN) == ""


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("  gate SEVERELY_THIN 0 -> 1\n", ""),
        ("  gate SEVERELY_THIN 0 -> 1\n", "  gate SEVERELY_THIN 0 -> 2\n"),
        ("  gate SEVERELY_THIN 0 -> 1\n", "  gate SEVERELY_THIN 0 -> 1 JUMP\n"),
        ("  gate SEVERELY_THIN 0 -> 1\n", "  gate SEVERELY_THIN 0 -> 1\n  gate SHOCK 0 -> 1\n"),
        ("1s quote 99.9 x50 100.1 x50\n", "1s quote 99.9 x50 100.1 x50\n  gate THIN 1 -> 0\n"),
        ("  gate THIN 0 -> 1\n  gate SEVERELY_THIN 0 -> 1\n", "  gate SEVERELY_THIN 0 -> 1\n  gate THIN 0 -> 1\n"),
    ],
)
def test_what_is_not_so_is_seen(line, instead):
    assert line in THIN
    assert "got" in shown(THIN.replace(line, instead))


def test_a_difference_is_shown_side_by_side():
    text = shown(THIN.replace("SEVERELY_THIN 0 -> 1", "SEVERELY_THIN 0 -> 2"))
    assert text.splitlines() == [
        "line 5: 0s quote 99.9 x0 100.1 x50    [gates at 0s]",
        "    line  expected                   got",
        "       6  gate THIN 0 -> 1           gate THIN 0 -> 1",
        "!      7  gate SEVERELY_THIN 0 -> 2  gate SEVERELY_THIN 0 -> 1",
    ]


def test_a_value_that_is_named_counts_and_one_that_is_not_does_not():
    text = "scenario one\ninstrument COIN perpetual tick 0.1 lot 1\nset quantity 1\nset levels 1\ncheck plans\n"
    text += "0s quote 99.9 x1 100.1 x1\n  plan RANGE step=10bp"
    assert shown(text) == shown(text.replace("10bp", "0.10%")) == shown(text.replace(" step=10bp", "")) == ""
    assert "step=0.11%" in shown(text.replace("10bp", "11bp"))
    assert shown(text.replace("step", "steps"))


@pytest.mark.parametrize(
    ("line", "instead", "why"),
    [
        ("check gates\n", "", "nothing is checked in gates"),
        ("check gates", "check gate", "there is no stage"),
        ("1s quote", "1x quote", "no time"),
        ("  gate THIN 0", "  gait THIN 0", "gait"),
        ("99.9 x0", "99.95 x0", "no multiple of 0.1"),
        ("0s quote", "0s..2s every 1s quote", "tell their time"),
        ("policy idle", "police idle", "neither a header"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(line, instead, why):
    assert line in THIN
    with pytest.raises(Wrong, match=rf"thin, line \d+: .*{re.escape(why)}"):
        shown(THIN.replace(line, instead, 1))


def test_a_time_without_an_event_is_seen():
    text = (
        THIN.replace("0s quote", "0s..2s every 1s quote")
        .replace("1s quote 99.9 x50", "3s quote 99.9 x50")
        .replace("  gate", "  @0s gate")
    )
    assert shown(text) == ""
    assert "there is no event at this time" in shown(text.replace("@0s gate SEV", "@500ms gate SEV"))
