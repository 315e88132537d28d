"""How the statements of a kernel become LLVM code: numba's way, without what no kernel has a use for.

Kernels count no references, carry no debug information and are no generators; what numba prepares at each statement for those that
do, and LLVM takes out again, is a fifth of what there is to compile. And what numba looks up anew for each statement is looked
up once a compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from hashlib import sha256
from typing import Any

from numba.core import base, cgutils, errors, ir, types
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import CPUContext
from numba.core.ir_utils import build_definitions
from numba.core.itanium_mangler import mangle
from numba.core.lowering import Lower
from numba.core.ssa import reconstruct_ssa
from numba.core.typed_passes import PreLowerStripPhis
from numba.core.typing.context import Context as CPUTypingContext
from numba.core.untyped_passes import ReconstructSSA

__all__ = ["KernelLower", "PhisStripped", "SingleAssignment", "named_and_indexed", "remembering"]

_OURS = "_ZN7grinder"
"""How names of functions of this package begin, as they are mangled."""


@contextmanager
def _instead(owner: Any, name: str, made: Any) -> Iterator[None]:
    """`owner.name` is another for a while."""
    has_one, kept = name in vars(owner), vars(owner).get(name)
    setattr(owner, name, made)
    try:
        yield
    finally:
        if has_one:
            setattr(owner, name, kept)
        else:
            delattr(owner, name)


class KernelLower(Lower):  # type: ignore[misc]
    """numba's, without references to count, debug information, and a text of every statement for a trace of them.

    Where debug information is asked for, numba's own does it: with it variables are kept elsewhere.
    """

    def lower_block(self, block: Any) -> None:
        self.pre_block(block)
        for statement in block.body:
            self.loc = statement.loc
            try:
                self.lower_inst(statement)
            except errors.NumbaError as error:
                error.add_context(f'lowering "{statement}" at {statement.loc}')
                raise
        self.post_block(block)

    def lower_inst(self, statement: Any) -> None:
        if isinstance(statement, ir.Assign):
            name = statement.target.name
            self.storevar(self.lower_assign(self.typeof(name), statement), name)
        else:
            super().lower_inst(statement)

    def storevar(self, value: Any, name: str, argidx: int | None = None) -> None:  # noqa: ARG002
        self._alloca_var(name, self.typeof(name))
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.getvar(name))

    def alloca_lltype(self, name: str, lltype: Any, datamodel: Any = None) -> Any:  # noqa: ARG002
        return cgutils.alloca_once(self.builder, lltype, name=name)


@register_pass(mutates_CFG=False, analysis_only=False)
class SingleAssignment(ReconstructSSA):  # type: ignore[misc]
    """numba's, without the lifetimes of variables that nothing asks for."""

    _name = "single_assignment"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = reconstruct_ssa(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class PhisStripped(PreLowerStripPhis):  # type: ignore[misc]
    """The same of what undoes it."""

    _name = "phis_stripped"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@contextmanager
def named_and_indexed(context: Any) -> Iterator[None]:
    """While a kernel of ours is lowered: names of functions are short, and an index in our code is a place.

    The name of a function has a hash of its types: those of a world of records spelt out are 20 kB, at every call. Of an index
    numba asks whether it is negative, and would count it from the end.
    """
    from numba.np import arrayobj  # of what numba compiles with, which is not imported before something is compiled

    fixed = arrayobj.fix_integer_index

    def mangler(name: str, types: tuple[Any, ...], *, abi_tags: tuple[str, ...] = (), uid: int | None = None) -> Any:
        kinds = sha256("\0".join(map(str, types)).encode()).hexdigest()[:16]
        return mangle(f"{name}_{kinds}", (), abi_tags=abi_tags, uid=uid)

    def place(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
        if not builder.function.name.startswith(_OURS):  # numba's own, which may well count from the end
            return fixed(context, builder, kind, index, size)
        return context.cast(builder, index, kind, types.intp)

    with _instead(context, "mangler", mangler), _instead(arrayobj, "fix_integer_index", place):
        yield


@contextmanager
def remembering() -> Iterator[None]:
    """During a compilation: what numba looks up anew for each statement, it looks up once."""
    swaps = [
        (types.BaseFunction, "get_call_type", _remembered_calls()),
        (base.OverloadSelector, "_find", _remembered_failures()),
        (base, "_has_loc", cache(base._has_loc)),
        (CPUContext, "load_additional_registries", _install_new),
        (CPUTypingContext, "load_additional_registries", _install_new),
        (type(errors.termcolor()), "_markup", _uncoloured),
    ]
    with ExitStack() as stack:
        for owner, name, made in swaps:
            stack.enter_context(_instead(owner, name, made))
        yield


def _install_new(context: Any) -> None:
    """What intrinsics have registered since: numba also imports all that it can compile once more."""
    for registry in list(context._registries):
        context.install_registry(registry)


def _remembered_calls() -> Callable[..., Any]:
    """What an operation on some types comes to: numba goes through all it could be, and words why it is not."""
    look_up, known = types.BaseFunction.get_call_type, {}

    def get_call_type(operation: Any, context: Any, given: Any, named: Any) -> Any:
        if named:
            return look_up(operation, context, given, named)
        key = (id(operation), tuple(given))
        if key not in known:
            known[key] = operation, look_up(operation, context, given, named)
        return known[key][1]

    return get_call_type


def _remembered_failures() -> Callable[..., Any]:
    """That there is no code of its own for some types, as for a record's field: it is worded with all fields that there are."""
    look_up = base.OverloadSelector._find
    failed: dict[tuple[Any, ...], tuple[Any, Exception]] = {}

    def find(selector: Any, given: Any) -> Any:
        key = (id(selector), len(selector.versions), given)
        if key in failed:
            raise failed[key][1].with_traceback(None)
        try:
            return look_up(selector, given)
        except errors.NumbaNotImplementedError as error:
            failed[key] = selector, error
            raise

    return find


def _uncoloured(_scheme: Any, message: str, *_colour: Any) -> str:
    """A message as it is: few of numba's are ever shown, and where colorama is installed each would be put in colour."""
    return message
