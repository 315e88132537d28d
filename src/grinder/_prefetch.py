"""Memory that is asked for before it is needed: a replay jumps to rows that nothing has read lately, and would wait for each."""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from grinder._jit import JIT, kernel
from grinder.records import Events

__all__ = ["fetch", "fetch_row"]

_READ: Final = 0
_KEPT: Final = 3
_DATA: Final = 1
"""What LLVM's `prefetch` is told: of a read, to be kept in all caches, of data."""


def _prefetch(_: Any, column: Any, _row: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(ask, [place, word(_READ), word(_KEPT), word(_DATA)])
        return context.get_dummy_value()

    return types.void(column, types.int64), generate


def _nothing(_column: Any, _row: int) -> None:
    """The same in plain Python."""


fetch: Any = intrinsic(_prefetch) if JIT else _nothing
"""`fetch(column, row)`: have the line of memory with this row brought near. It changes nothing, and a row may be past the end."""


@kernel
def fetch_row(events: Events, row: int) -> None:
    """Have time, prices and quantities of a row of events brought near, all at once."""
    fetch(events.ts, row)
    fetch(events.bid_px, row)
    fetch(events.bid_qty, row)
    fetch(events.ask_px, row)
    fetch(events.ask_qty, row)
