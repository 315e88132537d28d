"""Policies of one's own: what they see, what they may return, and how that becomes the plan in force (SPEC 7.8, 8, 12).

A policy is called at decisions only: at a symbol's first L1 update, when a bar closes, when the drawdown window rolls, and, if it
asks, when one of its orders fills.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from grinder._jit import kernel
from grinder.config import PARAMS
from grinder.errors import PolicyError
from grinder.plan import adopt, lay_levels, tick_floor
from grinder.policies.smart import gather_inputs, plan_grid, replaces
from grinder.policies.static import plan_static
from grinder.records import (
    BUY,
    INPUTS,
    LADDER_SLOTS,
    LEVEL,
    MAX_LEVELS,
    PLAN,
    SELL,
    SYMBOL,
    Adds,
    Feature,
    Mode,
    PlanKind,
    Reason,
    Regime,
    Role,
    World,
)
from grinder.regime import IS_WARM
from grinder.sizing import set_losses, set_room
from grinder.tape import Tape
from grinder.units import MAX_PRICE_TICKS, MAX_QTY_LOTS, MICRO, MONEY_LIMIT, ONE

__all__ = [
    "Features",
    "GridPlan",
    "Policy",
    "TargetState",
    "View",
    "WantedOrder",
    "commit",
    "params_of",
    "policy",
    "smart",
    "static",
    "view_of",
]


class Features(NamedTuple):
    """The features of SPEC 4 as integers in 1e-8 of their unit, money in atoms; 0 where absent.

    `absent` is a mask of `Feature`: windows that are not full yet, and what needs a book.
    """

    absent: int
    tr: int
    atr: int
    natr: int
    sum_abs_returns: int
    net_return: int
    range_score: int
    efficiency_ratio: int
    trend_strength: int
    spread_bps: int
    imbalance_l1: int
    thin_l1: int
    depth_bid: int
    depth_ask: int
    depth_imbalance: int
    impact: int
    spread_at_depth: int
    slope_bid: int
    slope_ask: int
    walls_bid: int
    walls_ask: int
    wall_dist_bid: int
    wall_dist_ask: int


class View(NamedTuple):
    """What a policy sees of one symbol at a decision; integers in the units of SPEC 1, arrays are copies."""

    event: int
    """index of the event in hand"""
    ts: int
    """ns"""
    symbol: int
    """ASCII rank; `fixture.symbols[view.symbol]` is its name"""
    bid_px: int
    bid_qty: int
    ask_px: int
    ask_qty: int
    mid2: int
    """half ticks"""
    anchor2: int
    """the symbol's first mid, half ticks"""
    position: int
    """lots, signed"""
    cost: int
    """atoms"""
    realised: int
    fees: int
    funding: int
    portfolio_equity: int
    """atoms, at the last mark"""
    portfolio_drawdown: int
    """atoms, at the last mark"""
    budget: int
    """the symbol's drawdown budget, atoms"""
    drawdown: int
    """the symbol's, atoms, at the last mark"""
    max_inventory: int
    """largest notional of the symbol's position, atoms"""
    gross: int
    """notional of all positions, atoms"""
    tp_buy: int
    """notional of the symbol's open take-profits that buy, atoms"""
    tp_sell: int
    places: int
    """orders that the limits leave for entries"""
    tick_value: int
    """atoms per tick and lot"""
    quantity: int
    """the configured quantity, lots; 0 if there is none"""
    plan: int
    """id of the plan in force, -1 if there is none"""
    stale: int
    """staleness, a `Severity`: 0 fresh, 1 stale, 2 paused, 3 ten times paused"""
    thin: int
    """1 while a side is thin"""
    severe: int
    """1 while a side is severely thin"""
    shock: int
    """1 in a volatility shock"""
    toxicity: int
    """a `Severity`, the worst of the inputs"""
    reasons: int
    """mask of the inputs that are at least MID, by bits of `Toxicity`"""
    trend: int
    """`Trend`: 0 none, 1 up, 2 down"""
    regime: int
    """`Regime`"""
    mode: int
    """protection `Mode`"""
    adds_off: int
    """1 while protection keeps every entry of the symbol out, whatever the plan says"""
    reduce_only: int
    """1 while the kill switch is latched"""
    features: Features
    """as of the symbol's last bar close"""
    orders: np.ndarray
    """ORDER records, open and in flight"""
    cycles: np.ndarray
    """CYCLE records, open"""


_SETTINGS: Final[tuple[str, ...]] = PARAMS.names or ()
Params: Any = namedtuple("Params", _SETTINGS)  # type: ignore[misc]
"""The settings as plain integers, for Python and for jitted policies; see `grinder.config.PARAMS`."""


class GridPlan(NamedTuple):
    """A grid: where, how wide, how much. Print it, change it with `_replace`, return it (SPEC 7.8).

    Size schedules hold lots per level, nearest first; a level past the schedule takes the last quantity.
    """

    symbol: int
    center: int
    """1e-6 ticks"""
    step: int
    """ratio in 1e-8, at least a tick"""
    levels_down: int
    """buys, each at a price of its own: where rungs round together the ladder goes on farther"""
    levels_up: int
    """sells, likewise"""
    size_schedule_down: Sequence[int]
    size_schedule_up: Sequence[int]
    tp_step: int
    """ratio in 1e-8 from entry to take-profit"""
    regime: int = int(Regime.RANGE)
    """a `Regime`; recorded, and a reason to replace the plan in force under `damped`"""
    mode: int = int(Mode.NORMAL)
    """a `Mode`; recorded"""
    width_down: int = 0
    """ratio in 1e-8: how far stress is looked for below the center, where there is a budget"""
    width_up: int = 0
    adds_down: int = int(Adds.FULL)
    """an `Adds`: FULL, ONCE or OFF"""
    adds_up: int = int(Adds.FULL)
    reduce_only: int = 0
    """1: no entries"""
    budget: int = 0
    """atoms; over 0 entries whose worst case would break the symbol's budget are not sent"""
    worst_down: int = 0
    """atoms; worked out where there is a budget, else recorded as given"""
    worst_up: int = 0
    reasons: int = 0
    """a mask of `Reason`; recorded"""

    def _repr_html_(self) -> str:
        from grinder.cards.plan import as_html

        return as_html(self)


class WantedOrder(NamedTuple):
    """One order that a policy wants to rest. `key` is the policy's own name for it, unique by side and role."""

    side: int
    """+1 BUY, -1 SELL"""
    key: int
    price: int
    """ticks"""
    qty: int
    """lots"""
    role: int = int(Role.ENTRY)
    """ENTRY or REDUCE_ONLY"""


class TargetState(NamedTuple):
    """The orders that a policy wants, whole: what is open and not here is cancelled (SPEC 8).

    Each order is filled at most once for each time that the policy returns it, and a reduce-only one that was clipped is done;
    return None to keep what is left of the state in force.
    With `tp_step` over 0 every filled entry opens a cycle with a take-profit so far away; with 0 the policy closes by itself.
    """

    orders: Sequence[WantedOrder]
    tp_step: int = 0


Decision = GridPlan | TargetState | None
"""None keeps what is in force."""


@dataclass(frozen=True)
class Policy:
    """A function `(view, params) -> GridPlan | TargetState | None` and how it wants to be called."""

    function: Callable[..., Decision]
    name: str
    source: str
    """SHA-256 of its source: provenance, not part of the digest, which is of what the policy did."""
    on_fill: bool = False
    gates: bool = True
    damped: bool = False

    def __call__(self, view: View, params: Any) -> Decision:
        """Decide."""
        return self.function(view, params)


def policy(
    function: Callable[..., Any] | None = None,
    *,
    on_fill: bool = False,
    gates: bool = True,
    damped: bool = False,
    jit: bool = False,
) -> Any:
    """Make a function a policy.

    Args:
        on_fill: call it at fills of its symbol too.
        gates: look at gates and regimes (SPEC 5, 6), record them and call it when they change. Without them, as for the built-in
            `static`, the view's gates are 0, its regime is RANGE, and quiet quotes cost nothing.
        damped: put a GridPlan in force only where it differs enough from the one in force, as `smart` does (SPEC 7.9); otherwise
            every one that differs at all replaces it, and all resting entries with it.
        jit: compile it by numba on its own (never into the engine's loop).

    >>> @policy(on_fill=True)
    ... def idle(view, params):
    ...     return None
    >>> idle.name
    'idle'
    """

    def wrap(inner: Callable[..., Any]) -> Policy:
        called = inner
        if jit:
            import numba

            called = numba.njit(inner)
        name = getattr(inner, "__name__", type(inner).__name__)
        return Policy(called, name, _source_hash(inner, on_fill, gates, damped), on_fill, gates, damped)

    return wrap if function is None else wrap(function)


def _source_hash(function: Callable[..., Any], *flags: bool) -> str:
    plain = getattr(function, "py_func", function)
    plain = plain if inspect.isroutine(plain) else type(plain)
    try:
        body = inspect.getsource(plain)
    except (OSError, TypeError):  # typed into a console
        code = getattr(plain, "__code__", None) or getattr(plain.__call__, "__code__", None)
        constants = [c for c in code.co_consts if not inspect.iscode(c)] if code else []
        body = repr((code.co_code, constants, code.co_names) if code else plain)
    return hashlib.sha256(f"{flags} {body}".encode()).hexdigest()


def params_of(params: Any) -> Any:
    """The settings record as a `Params` tuple of plain integers."""
    return Params(*(int(params[0][name]) for name in _SETTINGS))


def view_of(world: World, params: Any, instruments: Any, event: int, ts: int, s: int) -> View:
    """What the policy sees of symbol `s` at the event in hand."""
    gather_inputs(world, params, instruments, s)
    symbol, inputs, run = world.symbols[s].item(), world.inputs[s].item(), world.run[0]
    n_orders, n_cycles = int(world.symbols[s]["n_orders"]), int(world.symbols[s]["n_cycles"])
    return View(
        **{name: symbol[place] for name, place in _SEEN_OF_SYMBOL},
        **{name: inputs[place] for name, place in _SEEN_OF_INPUTS},
        portfolio_equity=int(run["equity"]),
        portfolio_drawdown=int(run["drawdown"]),
        event=int(event),  # a numpy integer without the JIT
        ts=ts,
        symbol=s,
        quantity=int(instruments[s]["quantity"]),
        plan=int(world.plans[s]["id"]) if world.plans[s]["kind"] else -1,
        features=Features(*world.features[s].item()[3:]),  # without event, ts and symbol
        orders=world.orders[s, :n_orders].copy(),
        cycles=world.cycles[s, :n_cycles].copy(),
    )


def _places(kind: np.dtype, names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Those names that a record has, and where: its fields are read all at once, which is sooner than one by one."""
    fields = kind.names or ()
    return tuple((name, fields.index(name)) for name in names if name in fields)


_SEEN_OF_INPUTS: Final = _places(INPUTS, View._fields)
_SEEN_OF_SYMBOL: Final = tuple((name, at) for name, at in _places(SYMBOL, View._fields) if name not in (INPUTS.names or ()))
_OF_PLAN: Final = _places(PLAN, GridPlan._fields)


def static(view: View, params: Any) -> GridPlan:
    """The built-in `static` plan of a symbol, to start from (SPEC 12)."""
    plan, ladder = np.zeros(1, PLAN), np.zeros((2, LADDER_SLOTS), LEVEL)
    plan_static(_record_of(params), view.anchor2, view.quantity, plan[0], ladder)
    return GridPlan(symbol=view.symbol, **_fields_of(plan), size_schedule_down=(view.quantity,), size_schedule_up=(view.quantity,))


def smart(view: View, params: Any) -> GridPlan | None:
    """The built-in `smart` plan of a symbol, to start from (SPEC 7); None before there are features for one.

    `@gr.policy(damped=True)` keeps the plan in force while it differs little. With this plan unchanged, such a policy trades as
    the built-in one, but for what that does by itself: it throttles entries, chooses symbols and ends its orders in an EMERGENCY.
    """
    if view.features.absent & IS_WARM:
        return None
    inputs, plan, ladder = np.zeros(1, INPUTS), np.zeros(1, PLAN), np.zeros((2, LADDER_SLOTS), LEVEL)
    row, absent = inputs[0], view.features.absent
    for name in ("regime", "mode", "mid2", "tick_value", "position", "budget", "drawdown", "max_inventory", "gross"):
        row[name] = getattr(view, name)
    for name in ("tp_buy", "tp_sell", "places", "adds_off", "reduce_only"):
        row[name] = getattr(view, name)
    row["natr"], row["equity"] = view.features.natr, view.portfolio_equity
    row["impact"] = -1 if absent & Feature.IMPACT else view.features.impact
    row["depth_short"] = bool(absent & Feature.IMPACT) and not absent & Feature.DEPTH_BID
    plan_grid(row, _record_of(params), plan[0], ladder)
    sizes = [tuple(ladder[i]["qty"][1 : int(plan[0][name]) + 1].tolist()) for i, name in enumerate(("levels_down", "levels_up"))]
    return GridPlan(symbol=view.symbol, **_fields_of(plan), size_schedule_down=sizes[0], size_schedule_up=sizes[1])


def _record_of(params: Any) -> Any:
    return _record_of_all(tuple(params))


@lru_cache(8)
def _record_of_all(settings: tuple[int, ...]) -> Any:
    """The settings as kernels read them; nothing writes there."""
    return np.array([settings], PARAMS)[0]


def _fields_of(plan: Any) -> dict[str, Any]:
    """What a PLAN record and a `GridPlan` both have, as plain integers."""
    fields = plan[0].item()
    return {name: fields[place] for name, place in _OF_PLAN}


# From decision to plan in force

MAX_TP_STEP: Final = 2 * ONE
_PLAN_FIELDS: Final = {
    "regime": (0, int(max(Regime))),
    "mode": (0, int(Mode.NORMAL)),
    "center": (1, MAX_PRICE_TICKS * MICRO),
    "step": (1, ONE),
    "width_down": (0, MONEY_LIMIT),
    "width_up": (0, MONEY_LIMIT),
    "adds_down": (0, 2),
    "adds_up": (0, 2),
    "reduce_only": (0, 1),
    "tp_step": (0, MAX_TP_STEP),
    "budget": (0, MONEY_LIMIT),
    "worst_down": (-MONEY_LIMIT, MONEY_LIMIT),
    "worst_up": (-MONEY_LIMIT, MONEY_LIMIT),
    "reasons": (0, MONEY_LIMIT),
}
"""What a GridPlan hands to the plan in force, and from where to where."""


def commit(
    world: World, decision: Decision, tape: Tape, event: int, ts: int, s: int, params: Any, instruments: Any, damped: bool = False
) -> None:
    """Make a decision the plan in force of symbol `s`; one that changes nothing is dropped without a record (ADR-0002).

    Raises:
        PolicyError: the decision cannot be traded; the message names the field.
    """
    if decision is None:
        return
    if isinstance(decision, GridPlan):
        _commit_grid(world, decision, tape, event, ts, s, params, instruments, damped)
    elif isinstance(decision, TargetState):
        _commit_target(world, decision, tape, event, ts, s, int(instruments[s]["tick_value"]))
    else:
        raise PolicyError(f"a policy returns GridPlan, TargetState or None, not {type(decision).__name__}")


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise PolicyError(f"{name} is {value!r}: an integer is needed; prices are ticks, sizes lots, ratios 1e-8")
    if not low <= value <= high:
        raise PolicyError(f"{name} is {value}: allowed are {low} to {high}")
    return int(value)


def _commit_grid(
    world: World, grid: GridPlan, tape: Tape, event: int, ts: int, s: int, params: Any, instruments: Any, damped: bool
) -> None:
    _whole(grid.symbol, "symbol", s, s)
    grid = grid._replace(reduce_only=int(grid.reduce_only)) if isinstance(grid.reduce_only, bool) else grid
    values = {name: _whole(getattr(grid, name), name, low, high) for name, (low, high) in _PLAN_FIELDS.items()}
    if values["budget"] > 0:  # then they are worked out
        del values["worst_down"], values["worst_up"]
    # at the mid, before any skew of the center (SPEC 16.13), or at a center that is kept while the mid moves
    least = min(tick_floor(int(world.symbols[s]["mid2"]), 1), tick_floor(2 * values["center"] // MICRO, 1))
    if values["step"] < least:
        values["step"] = least
        values["reasons"] |= int(Reason.STEP_TICK_FLOOR)
    levels = [_whole(getattr(grid, name), name, 0, MAX_LEVELS) for name in ("levels_down", "levels_up")]
    sizes = [_sizes(grid.size_schedule_down, levels[0], "down"), _sizes(grid.size_schedule_up, levels[1], "up")]
    old, ladder = world.plans[s], world.ladder[s]
    was = dict(zip(PLAN.names or (), old.item(), strict=True))
    if (
        was["kind"] == PlanKind.GRID
        and all(was[name] == value for name, value in values.items())
        and [was["wanted_down"], was["wanted_up"]] == levels
        and all((ladder[side]["qty"][1:] == sizes[side]).all() for side in (0, 1))
    ):
        return
    plan = world.plans[-1]
    plan["kind"], plan["budgeted"] = PlanKind.GRID, values["budget"] > 0
    for name, value in values.items():
        plan[name] = value
    plan["wanted_down"], plan["wanted_up"] = levels
    for side in (0, 1):
        world.ladder[-1][side]["qty"][1:] = sizes[side]
    _lay_out(world, params, instruments, s)
    if not damped or replaces(plan, old, params[0]):
        adopt(world, tape, event, ts, s)


@kernel
def _lay_out(world, params, instruments, s):
    """Begin the ladders of the plan in the last place, and weigh its sides as `smart` does if it has a budget."""
    last, symbol, tick_value = len(world.plans) - 1, world.symbols[s], instruments[s]["tick_value"]
    plan = world.plans[last]
    plan["rung_down"] = plan["rung_up"] = plan["step"]
    plan["last_index"] = LADDER_SLOTS - 1
    plan["levels_down"] = lay_levels(plan, world.ladder[last, 0], 1, plan["wanted_down"])
    plan["levels_up"] = lay_levels(plan, world.ladder[last, 1], -1, plan["wanted_up"])
    if plan["budgeted"] != 0:
        left, position, mid2 = symbol["budget"] - symbol["drawdown"], symbol["position"], symbol["mid2"]
        set_room(plan, world.ladder[last, 0], 1, position, mid2, left, tick_value)
        set_room(plan, world.ladder[last, 1], -1, position, mid2, left, tick_value)
        set_losses(plan, world.ladder[last], position, mid2, tick_value, params[0]["maker_fee"])


def _items(values: Any, name: str) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise PolicyError(f"{name} is {values!r}: a sequence is needed") from None


def _sizes(schedule: Any, levels: int, name: str) -> np.ndarray:
    """A quantity for every ladder slot: the schedule, then its last quantity."""
    sizes = [_whole(size, f"size_schedule_{name}", 1, MAX_QTY_LOTS) for size in _items(schedule, f"size_schedule_{name}")]
    if levels and not sizes:
        raise PolicyError(f"size_schedule_{name} is empty, levels_{name} is {levels}")
    sizes = (sizes or [0])[: LADDER_SLOTS - 1]
    slots = np.full(LADDER_SLOTS - 1, sizes[-1], np.int64)
    slots[: len(sizes)] = sizes
    return slots


def _commit_target(world: World, target: TargetState, tape: Tape, event: int, ts: int, s: int, tick_value: int) -> None:
    rows = []
    room = world.targets.shape[1]
    for order in _items(target.orders, "orders"):
        if not isinstance(order, WantedOrder):
            raise PolicyError(f"orders holds {order!r}: each is a WantedOrder")
        side = _whole(order.side, "side", SELL, BUY)
        role = _whole(order.role, "role", Role.ENTRY, Role.REDUCE_ONLY)
        if side == 0 or role == Role.TAKE_PROFIT:
            raise PolicyError(f"side {side}, role {role}: side is +1 BUY or -1 SELL, role ENTRY or REDUCE_ONLY; cycles take profit")
        price, qty = _whole(order.price, "price", 1, MAX_PRICE_TICKS), _whole(order.qty, "qty", 1, MAX_QTY_LOTS)
        if price * qty * tick_value >= MONEY_LIMIT:
            raise PolicyError(f"price {price}, qty {qty}: such an order is worth more than 2**62 atoms")
        rows.append((side, role, _whole(order.key, "key", -(2**31), 2**31), price, qty, 0))
    if len({row[:3] for row in rows}) != len(rows):
        raise PolicyError("orders: two have the same side, role and key")
    if len(rows) > room:
        raise PolicyError(f"orders: {len(rows)} are wanted, at most {room} are possible with this max_open_orders")
    rows.sort(key=lambda row: (-row[0], row[1], row[2]))
    tp_step = _whole(target.tp_step, "tp_step", 0, MAX_TP_STEP)
    for j, row in enumerate(rows):
        world.targets[s, j] = row
    world.symbols[s]["n_targets"] = len(rows)
    if world.plans[s]["kind"] == PlanKind.TARGET and world.plans[s]["tp_step"] == tp_step:
        return
    world.plans[-1] = np.zeros(1, PLAN)[0]
    plan = world.plans[-1]
    plan["kind"], plan["tp_step"] = PlanKind.TARGET, tp_step
    plan["regime"], plan["mode"] = Regime.RANGE, Mode.NORMAL
    plan["adds_down"] = plan["adds_up"] = Adds.FULL
    adopt(world, tape, event, ts, s)
