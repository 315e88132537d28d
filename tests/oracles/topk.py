"""Top-K selection and the split of the drawdown budget (SPEC 7.1, 12, 16.11). Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .reference import UNIT, ratio_floor


@dataclass
class Standing:
    """What selection sees of a symbol past warm-up."""

    symbol: int
    efficiency_ratio: int
    trend_strength: int
    liquidity: int  # atoms: the smaller side's depth, else thin_l1; 0 when the depth is short
    severity: int


def liq_n(cfg: dict, liquidity: int) -> int:
    both = liquidity + cfg["liq_ref"]
    return math.floor(Fraction(liquidity * UNIT, both)) if both else 0


def tox_n(severity: int) -> int:
    return math.floor(Fraction(severity * UNIT, 3))


def score(cfg: dict, x: Standing) -> int:
    """OPEN 31: integers, every term floored to 1e-8 (toxicity's and trend's too, before their sign)."""
    range_n = UNIT - x.efficiency_ratio
    trend_n = min(UNIT, math.floor(Fraction(abs(x.trend_strength) * UNIT, 2 * cfg["trend_enter"])))
    return (
        ratio_floor(cfg["w_range"], range_n)
        + ratio_floor(cfg["w_liq"], liq_n(cfg, x.liquidity))
        - ratio_floor(cfg["w_tox"], tox_n(x.severity))
        - ratio_floor(cfg["w_trend"], trend_n)
    )


def select(cfg: dict, passing: list[Standing], incumbents: set[int]) -> set[int]:
    """OPEN 32: free places go to the best; then the best challenger replaces the worst incumbent while it is more than the
    margin higher (worst: lowest score, then the larger symbol)."""
    ranked = sorted((-score(cfg, x), x.symbol) for x in passing)
    k = min(cfg["top_k"], len(ranked))
    chosen = [x for x in ranked if x[1] in incumbents]
    others = [x for x in ranked if x[1] not in incumbents]
    while len(chosen) < k:
        chosen.append(others.pop(0))
    while chosen and others:
        worst = max(chosen)
        if -others[0][0] <= -worst[0] + cfg["switch_margin"]:
            break
        chosen.remove(worst)
        chosen.append(others.pop(0))
    return {s for _minus, s in chosen}


def split(cfg: dict, budget: int, symbols: int, standings: dict[int, Standing | None]) -> dict[int, int]:
    """The parts of the selected symbols (the keys of `standings`); the others have none.

    OPEN 33: `weighted` allocates `budget * selected // K` and falls back to `equal` when all weights are 0. OPEN 34: an
    absolute budget is bounded by what the others' parts, by their rule, leave; earlier symbols first.
    """
    k = min(cfg["top_k"], symbols)
    order = sorted(standings)
    ws = [weight(cfg, standings[s]) for s in order]
    if cfg["allocator"] == "weighted" and sum(ws) > 0:
        parts = largest_remainder(budget * len(order) // k, ws)
    else:
        parts = [budget // k + (1 if i < budget % k else 0) for i in range(len(order))]
    out = dict(zip(order, parts, strict=True))
    absolute = cfg["dd_budget_symbol"]
    given = [s for s in order if absolute and absolute[s] is not None]
    left = budget - sum(out[s] for s in order if s not in given)
    for s in given:
        out[s] = min(absolute[s], left)
        left -= out[s]
    return out


def weight(cfg: dict, x: Standing | None) -> int:
    return 0 if x is None else ratio_floor(liq_n(cfg, x.liquidity), UNIT - tox_n(x.severity))


def largest_remainder(total: int, ws: list[int]) -> list[int]:
    whole = sum(ws)
    parts = [total * w // whole for w in ws]
    by_rest = sorted(range(len(ws)), key=lambda i: (-(total * ws[i] % whole), i))
    for i in by_rest[: total - sum(parts)]:
        parts[i] += 1
    return parts
