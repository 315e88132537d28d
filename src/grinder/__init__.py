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
    from grinder.causality import lookahead
    from grinder.config import Config
    from grinder.data.fixture import Fixture, fixture, write_fixture
    from grinder.data.instrument import Instrument
    from grinder.digest import Digest
    from grinder.divergence import diff
    from grinder.golden import verify
    from grinder.policies.own import Features, GridPlan, TargetState, View, WantedOrder, policy, smart, static
    from grinder.records import Adds, Feature, Mode, Reason, Regime, Role
    from grinder.run import Run, Table, load
    from grinder.session import replay
    from grinder.sweeping import sweep

_HOME = {
    "Adds": "records",
    "Config": "config",
    "Digest": "digest",
    "Feature": "records",
    "Features": "policies.own",
    "Fixture": "data.fixture",
    "GridPlan": "policies.own",
    "Instrument": "data.instrument",
    "Mode": "records",
    "Reason": "records",
    "Regime": "records",
    "Role": "records",
    "Run": "run",
    "Table": "run",
    "TargetState": "policies.own",
    "View": "policies.own",
    "WantedOrder": "policies.own",
    "diff": "divergence",
    "fixture": "data.fixture",
    "load": "run",
    "lookahead": "causality",
    "policy": "policies.own",
    "replay": "session",
    "smart": "policies.own",
    "static": "policies.own",
    "sweep": "sweeping",
    "verify": "golden",
    "write_fixture": "data.fixture",
}

__all__ = [
    "Adds",
    "Config",
    "Digest",
    "Feature",
    "Features",
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
    "diff",
    "errors",
    "fixture",
    "load",
    "lookahead",
    "policy",
    "replay",
    "smart",
    "static",
    "sweep",
    "verify",
    "write_fixture",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("grinder.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'grinder' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"grinder.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
