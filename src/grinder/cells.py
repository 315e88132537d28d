"""A cell of a sweep: one replay, its key, what is kept of it, and the folder that keeps it.

The key is a hash of what a replay depends on: the source of this package, the fixture's content, the config and the policy, of
which ADR-0039 says what its hash does not tell. So a kept cell is not stale, and the same one of another sweep is found again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from grinder.config import Config, canonical_json
from grinder.errors import ConfigError
from grinder.intake import strict_json
from grinder.metrics import HORIZONS, Pnl, measure_portfolio
from grinder.outfile import write_whole
from grinder.performance import Performance
from grinder.records import Regime
from grinder.run import Run
from grinder.space import Point

__all__ = ["COLUMNS", "Cell", "Result", "Store", "key_of", "result_of"]

FORMAT: Final = 1
MAX_BYTES: Final = 1 << 20
"""Of a file of the store; a longer one was never written by it."""


class Result(NamedTuple):
    """What a cell came to: the digest and the figures of `COLUMNS`, or the error that kept it from them."""

    digest: str = ""
    figures: Mapping[str, int | float | bool | None] = {}
    error: str = ""
    """name of the error and its message; empty where there is a digest"""


@dataclass(frozen=True)
class Cell:
    """One replay of a sweep.

    Args:
        fixture: number of the fixture. name: its name.
        point: the settings that vary, as given.
        config: all settings, on top of the fixture's; None where those of the point do not go together.
        key: of the store; empty without a config.
        refused: why there is no config.
    """

    fixture: int
    name: str
    point: Point
    config: Config | None
    key: str
    refused: str = ""

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.point)
        return f"{self.name} with {settings}" if settings else self.name


def key_of(code: str, content: str, config: str, policy: str) -> str:
    """SHA-256 of what a replay depends on: hashes of source, fixture content, config and policy."""
    parts = {"format": FORMAT, "code": code, "fixture": content, "config": config, "policy": policy}
    return hashlib.sha256(canonical_json(parts)).hexdigest()


# Figures


def _columns() -> dict[str, type]:
    whole = ("cycles_completed_total realized_pnl_total unrealized_pnl turnover_notional_total fees_estimate_total funding_total "
             "dd_current dd_budget max_inventory_notional tox_severity equity dd_max").split()  # fmt: skip
    ratios = ("avg_cycle_profit_bps win_rate dd_utilization_pct effective_leverage adds_off_seconds spread_bps "
              "impact_estimate_bps fill_rate time_to_fill cancel_replace_rate").split()  # fmt: skip
    out: dict[str, type] = dict.fromkeys(("events", "orders", "fills", *whole), int)
    out |= {f"pnl.{name}": int for name in Pnl._fields}
    out |= dict.fromkeys(ratios, float)
    out |= {f"time_in_regime_seconds.{regime.name}": float for regime in Regime}
    out |= {f"markout_bps.{seconds}": float for seconds in HORIZONS}
    out |= dict.fromkeys(Performance._fields, float)
    return out | {"days": int, "annualised": bool}


COLUMNS: Final = _columns()
"""Figures of the portfolio by name (SPEC 13), and their type: counts and atoms are int, ratios, seconds and basis points float."""


def result_of(run: Run) -> Result:
    """Digest and figures of a finished run."""
    figures: dict[str, Any] = {
        "events": run.events,
        "fills": len(run.tables["fills"]),
        "orders": int(run.world.run[0]["next_order"]),
    }
    for name, value in measure_portfolio(run).to_dict().items():
        if name == "performance":
            figures |= value
        elif isinstance(value, dict):
            figures |= {f"{name}.{part}": number for part, number in value.items()}
        else:
            figures[name] = value
    return Result(run.digest.value, {name: figures[name] for name in COLUMNS})


# The store


class Store:
    """A folder of finished cells: one small file each, under the cell's key.

    A file appears whole under its name or not at all, and carries a hash of what it says: a process killed at any moment loses at
    most the cells that it had not finished, and a file that is torn, edited or of another key is never believed. Any number of
    processes may share a folder. Cells that failed are not kept.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.damaged = 0
        """Files found damaged, and not believed."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(f"store {self.folder} is a file: name a folder, which is made where there is none")
        self.folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> Result | None:
        """What is known of a cell; None where it has to be computed."""
        try:
            with self._file(key).open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        try:
            return _read(body, key)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.damaged += 1
            return None

    def put(self, key: str, result: Result) -> None:
        """Keep a finished cell; whole or not at all."""
        if result.error:
            return
        target = self._file(key)
        target.parent.mkdir(exist_ok=True)
        try:
            write_whole(target, _written(key, result))
        except FileNotFoundError:  # another process has finished the same cell, and cleared away what it took for left behind
            if not target.exists():
                raise
        for left in target.parent.glob(f".{key}*"):  # by a process that was killed
            left.unlink(missing_ok=True)


def _written(key: str, result: Result) -> bytes:
    said = {"format": FORMAT, "key": key, "digest": result.digest, "figures": dict(result.figures)}
    return canonical_json(said | {"check": _check(said)}) + b"\n"


def _check(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(said)).hexdigest()


def _read(body: bytes, key: str) -> Result:
    """The result in a file of the store. Raises ValueError, KeyError or TypeError where it is not what was written for this key."""
    if len(body) > MAX_BYTES:
        raise ValueError("too long")
    said = strict_json(body)
    check = said.pop("check")
    if check != _check(said) or said["key"] != key or said["format"] != FORMAT:
        raise ValueError("not what was written")
    if list(said["figures"]) != sorted(COLUMNS):
        raise ValueError("other figures")
    return Result(said["digest"], {name: said["figures"][name] for name in COLUMNS})
