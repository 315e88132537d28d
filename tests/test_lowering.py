"""What is left out of numba's lowering is left out of kernels alone, and everything of numba's is as it was afterwards."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import base, errors, types
from numba.core.cpu import CPUContext
from numba.core.runtime import _nrt_python, rtsys
from numba.core.typing.context import Context
from numba.extending import intrinsic
from numba.np import arrayobj

from grinder import _jit
from grinder._compiler import _let_grow_old
from grinder._jit import kernel

pytestmark = pytest.mark.skipif(not _jit.JIT, reason="without the JIT nothing is lowered")

TOUCHED = [
    (types.BaseFunction, "get_call_type"),
    (base.OverloadSelector, "_find"),
    (base, "_has_loc"),
    (CPUContext, "load_additional_registries"),
    (Context, "load_additional_registries"),
    (type(errors.termcolor()), "_markup"),
    (arrayobj, "fix_integer_index"),
]
"""Of numba's, while a kernel is compiled."""


def touched() -> list[Any]:
    return [getattr(owner, name, None) for owner, name in TOUCHED]


def watched(during: list[list[Any]], *, fails: bool = False) -> Any:
    """A kernel that notes what numba is like while it is lowered."""

    @intrinsic
    def note(_context, number):
        def generate(_context, _builder, _signature, values):
            during.append(touched())
            if fails:
                raise errors.LoweringError("there is no such instruction")
            return values[0]

        return number(number), generate

    def noting(a):
        return note(a) + 1

    return kernel(noting)


def test_numba_is_as_it_was_after_a_compilation():
    before, during = touched(), []
    assert watched(during)(4) == 5
    assert len(during) == 1
    same = [owner for (owner, _), was, now in zip(TOUCHED, before, during[0], strict=True) if was is now]
    assert same == [], "all of it is another meanwhile"
    assert touched() == before


def test_numba_is_as_it_was_after_one_that_failed_which_names_the_statement():
    before, during = touched(), []
    with pytest.raises(errors.LoweringError, match=r"(?s)there is no such instruction.*lowering \".* = call ") as caught:
        watched(during, fails=True)(4)
    assert "test_lowering.py" in str(caught.value), "and the file"
    assert len(during) == 1
    assert touched() == before


def test_what_a_compilation_registers_is_found_by_it():
    """A second intrinsic is registered after a first lookup of it has failed, within the same compilation."""
    during: list[list[Any]] = []
    first, second = watched(during), watched(during)

    @kernel
    def both(a):
        return first(a) * second(a)

    assert both(4) == 25
    assert len(during) == 2


def test_variables_that_are_set_anew_in_branches_and_loops():
    """What numba keeps in memory between blocks, ends the life of, and would count references of."""

    def walk(numbers, flag):
        best, rows = numbers, 0
        for i in range(len(numbers)):
            other = best if flag else numbers
            while other[i] > rows:
                rows += 1
                if rows % 7 == 3:
                    other = numbers
                elif rows % 11 == 5:
                    continue
                best = other
            if rows > 40:
                break
        return best[0] + rows

    numbers = np.arange(3, 60, 5)
    for flag in (0, 1):
        assert kernel(walk)(numbers, flag) == walk(numbers, flag)


WITH_DEBUG_INFORMATION = """
import numpy as np
from grinder._jit import kernel

@kernel
def inner(numbers, i):
    near = numbers[i] + 1
    return near * 2

@kernel
def outer(numbers):
    total = 0
    for i in range(1, len(numbers), 2):
        kept = inner(numbers, i)
        total += kept if kept % 3 else -kept
    return total

numbers = np.arange(20)
print(int(outer(numbers)), sum(k if (k := 2 * (n + 1)) % 3 else -k for n in range(1, 20, 2)))
"""


def test_with_debug_information_kernels_do_the_same(tmp_path):
    """Then numba keeps every variable in memory, to be looked at."""
    env = os.environ | {"NUMBA_DEBUGINFO": "1", "GRINDER_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", WITH_DEBUG_INFORMATION]
    ours, plain = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()
    assert ours == plain


def test_what_numba_compiles_itself_is_not_touched():
    """A user's own function counts its references, whether or not it calls kernels: none is lost and none is kept."""

    @kernel
    def total(numbers):
        out = 0
        for i in range(len(numbers)):
            out += numbers[i]
        return out

    @numba.njit
    def own(many):
        out = 0
        for i in range(many):
            made = np.arange(i)
            kept = made if i % 2 else made + 1
            out += total(kept)
        return out

    own(3)
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        assert own(20) == sum(sum(range(i)) + (0 if i % 2 else i) for i in range(20))
        after = rtsys.get_allocation_stats()
    finally:
        _nrt_python.memsys_disable_stats()
    assert after.alloc - before.alloc == after.free - before.free > 0


def test_what_was_made_is_not_gone_through_at_once():
    gc.collect()
    made: list[Any] = [[i] for i in range(300)]
    _let_grow_old()
    assert gc.get_freeze_count() == 0
    old = {id(one) for one in gc.get_objects(generation=2)}
    assert all(id(one) in old for one in made)


def test_what_somebody_froze_stays_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        _let_grow_old()
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()
