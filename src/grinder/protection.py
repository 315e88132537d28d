"""Protection: what stands above every policy. Modes, drawdown guard, kill switch, circuit breaker, commands (SPEC 11; ADR-0023).

The drawdown guard looks at marks alone. What it says acts through three numbers: the mode, whether entries are OFF, and the latch.
"""

from __future__ import annotations

from typing import Final

from grinder._jit import kernel
from grinder.records import NEVER, NONE, Alert, AlertLevel, Cause, Command, Feature, Latch, Mode, PolicyKind, Regime, Severity
from grinder.units import ONE, mul_div_ceil, share_of

__all__ = [
    "calm_down",
    "count_result",
    "end_cooldowns",
    "guard",
    "has_adds_off",
    "is_flattening",
    "is_in_emergency",
    "is_triggered",
    "mode_of",
    "note_bar",
    "note_toxicity",
    "obey",
    "put_alert",
    "set_latch",
]

_SMART: Final = int(PolicyKind.SMART)
_EMERGENCY_MODE: Final = int(Mode.EMERGENCY)
_PAUSE: Final = int(Mode.PAUSE)
_DAMAGE_CONTROL: Final = int(Mode.DAMAGE_CONTROL)
_THROTTLE: Final = int(Mode.THROTTLE)
_NORMAL: Final = int(Mode.NORMAL)
_EMERGENCY: Final = int(Regime.EMERGENCY)
_PAUSED: Final = int(Regime.PAUSED)
_THIN_BOOK: Final = int(Regime.THIN_BOOK)
_MID: Final = int(Severity.MID)
_HIGH: Final = int(Severity.HIGH)
_BY_HAND: Final = int(Latch.MANUAL)
_BY_DRAWDOWN: Final = int(Latch.DRAWDOWN)
_BY_EXTREME: Final = int(Latch.EXTREME)
_EXTREME: Final = int(Severity.EXTREME)
_PAUSE_IT: Final = int(Command.PAUSE)
_RESUME: Final = int(Command.RESUME)
_KILL: Final = int(Command.KILL)
_RESET: Final = int(Command.RESET)
_CAUSE_COMMAND: Final = int(Cause.COMMAND)
_TOXICITY: Final = int(Alert.TOXICITY)
_L2_STALE: Final = int(Alert.L2_STALE)
_DEPTH: Final = int(Feature.DEPTH_BID)
_DRAWDOWN_WARNING: Final = int(Alert.DRAWDOWN_WARNING)
_DRAWDOWN: Final = int(Alert.DRAWDOWN)
_LEVERAGE: Final = int(Alert.LEVERAGE)
_BREAKER: Final = int(Alert.BREAKER)
_WARNING: Final = int(AlertLevel.WARNING)
_CRITICAL: Final = int(AlertLevel.EMERGENCY)


# What it says


@kernel
def mode_of(run, symbol):
    """The protection mode of a symbol, the worst that holds."""
    if symbol["regime"] == _EMERGENCY:
        return _EMERGENCY_MODE
    if symbol["regime"] == _PAUSED or symbol["toxicity"] >= _HIGH or symbol["halted"] != 0:
        return _PAUSE
    if run["damage"] != 0 or symbol["damage"] != 0:
        return _DAMAGE_CONTROL
    return _THROTTLE if symbol["toxicity"] == _MID or symbol["regime"] == _THIN_BOOK else _NORMAL


@kernel
def has_adds_off(run, symbol, p):
    """Whether no entry of a symbol may rest, 1 or 0.

    The guard, the breaker and commands bind every policy; what gates say binds `smart`, others decide for themselves.
    """
    if symbol["paused"] or symbol["halted"] or symbol["over_budget"] or run["damage"] or symbol["damage"] or run["latch"]:
        return 1
    if p["risk_monitor"] and is_triggered(symbol):
        return 1
    return 1 if p["policy"] == _SMART and (symbol["selected"] == 0 or mode_of(run, symbol) <= _DAMAGE_CONTROL) else 0


@kernel
def is_triggered(symbol):
    """Whether the risk monitor stops entries (SPEC 11, ADR-0028): a volatility shock, or toxicity that pauses."""
    return symbol["shock"] != 0 or symbol["toxicity"] >= _HIGH


@kernel
def is_in_emergency(run, symbol, p):
    """Whether every order of the symbol is cancelled: the latch binds every policy, toxicity `smart`."""
    return run["latch"] != 0 or (p["policy"] == _SMART and symbol["regime"] == _EMERGENCY)


@kernel
def is_flattening(run, p):
    """Whether a position is closed as taker in an emergency (SPEC 6, 16.16)."""
    return p["flatten_on_emergency"] != 0 or (run["latch"] == _BY_DRAWDOWN and p["flatten_on_drawdown"] != 0)


# The drawdown guard, at marks


@kernel
def guard(world, params, instruments, tape, event, ts):
    """Look at drawdowns and leverage of the mark just made; a threshold that is crossed is an alert and a decision."""
    run, symbols, p = world.run[0], world.symbols, params[0]
    damage = _crossed(run["damage"], run["drawdown"], run["budget"], p, tape, event, ts, NONE)
    if damage != run["damage"]:
        run["damage"] = damage
        for s in range(len(symbols)):
            _ask(symbols[s])
    if run["drawdown"] <= run["budget"]:
        run["armed"] = 1
    elif run["armed"] != 0:
        run["armed"] = 0
        set_latch(world, _BY_DRAWDOWN)
        put_alert(tape, event, ts, NONE, _DRAWDOWN, _CRITICAL, run["drawdown"], run["budget"])
    for s in range(len(symbols)):
        symbol = symbols[s]
        if symbol["limit"] > 0:
            _guard_symbol(symbol, p, tape, event, ts, s)
    _guard_leverage(run, symbols, instruments, p, tape, event, ts)


@kernel
def _guard_symbol(symbol, p, tape, event, ts, s):
    """A symbol that was dropped is held to the last budget that it had (ADR-0028)."""
    damage = _crossed(symbol["damage"], symbol["drawdown"], symbol["limit"], p, tape, event, ts, s)
    if damage != symbol["damage"]:
        symbol["damage"] = damage
        _ask(symbol)
    if symbol["drawdown"] > symbol["limit"] and symbol["over_budget"] == 0:
        symbol["over_budget"] = 1
        _ask(symbol)
        put_alert(tape, event, ts, s, _DRAWDOWN, _CRITICAL, symbol["drawdown"], symbol["limit"])


@kernel
def _crossed(damage, drawdown, budget, p, tape, event, ts, s):
    """Whether DAMAGE_CONTROL holds after a mark: from over `dd_warn` of the budget until under `dd_clear` of it."""
    if damage != 0:
        return 1 if drawdown >= _clear_limit(budget, p) else 0
    limit = share_of(budget, p["dd_warn"])
    if drawdown <= limit:
        return 0
    put_alert(tape, event, ts, s, _DRAWDOWN_WARNING, _WARNING, drawdown, limit)
    return 1


@kernel
def _clear_limit(budget, p):
    """The drawdown under which DAMAGE_CONTROL ends."""
    return mul_div_ceil(budget, p["dd_clear"], ONE)


@kernel
def calm_down(run, symbols, p):
    """At the start of a window: what its drawdowns, 0 unless it looks back, do not hold up any more ends."""
    run["armed"] = 1 if run["drawdown"] <= run["budget"] else run["armed"]
    if run["drawdown"] == 0 or run["drawdown"] < _clear_limit(run["budget"], p):
        run["damage"] = 0
    for s in range(len(symbols)):
        symbol = symbols[s]
        if symbol["drawdown"] == 0 or symbol["drawdown"] < _clear_limit(symbol["limit"], p):
            symbol["damage"] = 0
        if symbol["drawdown"] <= symbol["limit"]:
            symbol["over_budget"] = 0


@kernel
def _guard_leverage(run, symbols, instruments, p, tape, event, ts):
    gross, cap = 0, share_of(max(0, run["equity"]), p["max_leverage"])
    for s in range(len(symbols)):
        gross += abs(symbols[s]["position"]) * symbols[s]["mid2"] * instruments[s]["half_tick_value"]
    over = 1 if gross > cap else 0
    if over > run["over_leverage"]:
        put_alert(tape, event, ts, NONE, _LEVERAGE, _WARNING, gross, cap)
    run["over_leverage"] = over


@kernel
def set_latch(world, why):
    """Latch the kill switch (or, with 0, let it go); every symbol's regime is looked at again."""
    world.run[0]["latch"] = why
    for s in range(len(world.symbols)):
        world.symbols[s]["judge"] = 1
        _ask(world.symbols[s])


# Conditions that last, at bar closes


@kernel
def note_bar(symbol, absent, p, tape, event, ts, s):
    """A bar closed: say so where toxicity has been HIGH, or every bar has closed without a fresh book, for `alert_after` (SPEC 13).

    Args:
        absent: the mask of that bar's features.
    """
    if absent & _DEPTH == 0:
        symbol["books_seen"], symbol["bookless_ts"], symbol["bookless_told"] = 1, NEVER, 0
    elif symbol["books_seen"] != 0:
        symbol["bookless_ts"] = min(symbol["bookless_ts"], ts)
    if symbol["toxic_told"] == 0 and ts - symbol["toxic_ts"] >= p["alert_after_ns"]:
        symbol["toxic_told"] = 1
        put_alert(tape, event, ts, s, _TOXICITY, _WARNING, ts - symbol["toxic_ts"], p["alert_after_ns"])
    if symbol["bookless_told"] == 0 and ts - symbol["bookless_ts"] >= p["alert_after_ns"]:
        symbol["bookless_told"] = 1
        put_alert(tape, event, ts, s, _L2_STALE, _WARNING, ts - symbol["bookless_ts"], p["alert_after_ns"])


@kernel
def note_toxicity(symbol, ts):
    """Toxicity may have moved: since when it is HIGH or worse."""
    if symbol["toxicity"] < _HIGH:
        symbol["toxic_ts"], symbol["toxic_told"] = NEVER, 0
    else:
        symbol["toxic_ts"] = min(symbol["toxic_ts"], ts)


# The circuit breaker


@kernel
def count_result(run, symbol, p, tape, event, ts, s, gain):
    """A cycle is complete: so many losses in a row halt entries until reset or for `cooldown`."""
    symbol["losses"] = symbol["losses"] + 1 if gain < 0 else 0
    limit = p["max_consecutive_losses"]
    if limit == 0 or symbol["losses"] < limit or symbol["halted"] != 0:
        return
    symbol["halted"] = 1
    _ask(symbol)
    if p["cooldown_ns"] > 0:
        symbol["halt_due"] = ts + p["cooldown_ns"]
        run["next_wake"] = min(run["next_wake"], symbol["halt_due"])
    put_alert(tape, event, ts, s, _BREAKER, _WARNING, symbol["losses"], limit)


@kernel
def end_cooldowns(world, ts):
    """Cooldowns that are over, and the next thing to wake up for."""
    run = world.run[0]
    run["next_wake"] = run["next_select"]
    for s in range(len(world.symbols)):
        symbol = world.symbols[s]
        if symbol["halt_due"] <= ts:
            _release(symbol)
            _ask(symbol)
        run["next_wake"] = min(run["next_wake"], symbol["halt_due"])


@kernel
def _release(symbol):
    """End a halt and its count of losses."""
    symbol["halted"], symbol["halt_due"], symbol["losses"] = 0, NEVER, 0


# Commands


@kernel
def obey(world, params, command, s):
    """Do what a command says (SPEC 11): for one symbol, or for all with -1. KILL and RESET are of the whole portfolio.

    RESET lets the latch and halts go, not the drawdown: that latches again only after it was within the budget. RECOVER belongs to
    recovery modes and asks for a decision here.
    """
    run, symbols = world.run[0], world.symbols
    if command == _KILL and run["latch"] == 0:
        set_latch(world, _BY_HAND)
    if command == _RESET:
        set_latch(world, 0)
    for one in range(len(symbols)):
        symbol = symbols[one]
        if s == one or s < 0:
            if command == _PAUSE_IT or command == _RESUME:
                symbol["paused"] = 1 if command == _PAUSE_IT else 0
            if command == _RESET:
                _release(symbol)
                if params[0]["latch_on_extreme"] and symbol["toxicity"] >= _EXTREME:
                    set_latch(world, _BY_EXTREME)
            symbol["judge"] = 1
            symbol["cause"] |= _CAUSE_COMMAND if symbol["mid2"] != 0 else 0
            _ask(symbol)


@kernel
def _ask(symbol):
    """Ask for a decision, and for a reconciliation even where nothing was left to do."""
    symbol["decide"], symbol["settled"] = 1, 0


# Records


@kernel
def put_alert(tape, event, ts, s, code, level, value, limit):
    """Record an alert (SPEC 13, 14)."""
    row = tape.alerts[tape.used[0]["alerts"]]
    tape.used[0]["alerts"] += 1
    row["event"], row["ts"], row["symbol"], row["code"], row["level"] = event, ts, s, code, level
    row["value"], row["limit"] = value, limit
