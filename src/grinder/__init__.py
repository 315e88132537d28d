"""grinder: deterministic backtest and replay of grid trading strategies.

>>> import grinder as gr
>>> run = gr.replay("binance_btcusdt_6m")
>>> run.digest.value == gr.replay("binance_btcusdt_6m").digest.value
True

Names are loaded when they are first used, so that `import grinder` costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from grinder import errors
    from grinder.config import Config
    from grinder.data.fixture import Fixture, fixture, write_fixture
    from grinder.data.instrument import Instrument
    from grinder.digest import Digest
    from grinder.golden import verify
    from grinder.policy import GridPlan, TargetState, View, WantedOrder, policy, static
    from grinder.records import Adds, Mode, Reason, Regime, Role
    from grinder.replay import replay
    from grinder.run import Run, Table, load

_HOME = {
    "Adds": "records",
    "Config": "config",
    "Digest": "digest",
    "Fixture": "data.fixture",
    "GridPlan": "policy",
    "Instrument": "data.instrument",
    "Mode": "records",
    "Reason": "records",
    "Regime": "records",
    "Role": "records",
    "Run": "run",
    "Table": "run",
    "TargetState": "policy",
    "View": "policy",
    "WantedOrder": "policy",
    "fixture": "data.fixture",
    "load": "run",
    "policy": "policy",
    "replay": "replay",
    "static": "policy",
    "verify": "golden",
    "write_fixture": "data.fixture",
}

__all__ = [
    "Adds",
    "Config",
    "Digest",
    "Fixture",
    "GridPlan",
    "Instrument",
    "Mode",
    "Reason",
    "Regime",
    "Role",
    "Run",
    "Table",
    "TargetState",
    "View",
    "WantedOrder",
    "__version__",
    "errors",
    "fixture",
    "load",
    "policy",
    "replay",
    "static",
    "verify",
    "write_fixture",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("grinder.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'grinder' has no attribute {name!r}")
    # Set here so that `replay` and `policy` are the functions even after their modules of that name were imported.
    for public, home in _HOME.items():
        if home == _HOME[name]:
            globals()[public] = getattr(import_module(f"grinder.{home}"), public)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
