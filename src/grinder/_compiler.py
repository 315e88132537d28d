"""How kernels become machine code: each is worked out once, and optimised where Python enters, with all that it calls.

numba by itself makes machine code of every function and, for each of its callers, links, optimises and makes it again. In a
tree of calls nine deep that is most of the time of a first run, spent on code that nobody enters.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import llvmlite.binding as llvm
from numba.core import config
from numba.core.codegen import CodeLibrary, JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering, PreLowerStripPhis
from numba.core.untyped_passes import ReconstructSSA

from grinder._lowering import KernelLower, PhisStripped, SingleAssignment, named_and_indexed, remembering

__all__ = ["BranchCompiler", "KernelCompiler"]

T = TypeVar("T")
_NEEDLESS = (
    "ir_processing",
    "with_lifting",
    "inline_closure_likes",
    "rewrite_semantic_constants",
    "dead_branch_prune",
    "make_function_op_code_to_jit_function",
    "inline_inlinables",
    "find_literally",
    "literal_unroll",
    "LiteralPropagation",
    "inline_overloads",
    "nopython_rewrites",
    "annotate_types",
    "dump_parfor_diagnostics",
    "ir_legalization",
)
"""Passes for closures, context managers, whole arrays, literals and lifetimes, of which no kernel has any."""


class _Called(JITCodeLibrary):  # type: ignore[misc]
    """What only kernels call: code to be linked into what is entered, and never machine code of its own."""

    _whole: Any = None

    def add_linking_library(self, library: CodeLibrary) -> None:
        self._linking_libraries.append(library)

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout  # and no more: it is optimised with its callers

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """For a caller that is not ours and links no more than what it calls: all that this reaches."""
        if self._whole is None:
            whole = self._final_module.clone()
            for library in _reached(self):
                if not isinstance(library, _Called):
                    whole.link_in(library._get_module_for_linking(), preserve=True)
                elif library is not self:
                    whole.link_in(library._final_module, preserve=True)
            for function in whole.functions:
                if not function.is_declaration:
                    function.linkage = "linkonce_odr"
            self._whole = whole
        return self._whole


class _Entered(JITCodeLibrary):  # type: ignore[misc]
    """What Python calls: all that it reaches is linked in once, and optimised together."""

    def finalize(self) -> None:
        own = {function.name for function in self._final_module.functions if not function.is_declaration}
        reached = list(_reached(self))
        for library in reached:
            if isinstance(library, _Called):
                self._final_module.link_in(library._final_module, preserve=True)
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in own:
                function.linkage = "internal"
        self._linking_libraries = [library for library in reached if not isinstance(library, _Called)]
        super().finalize()


class _Branching(_Entered):
    """What decides more than it goes through: vectorised and unrolled loops are none of it, and most of the optimiser's passes
    find nothing to do there."""

    def _optimize_final_module(self) -> None:
        if config.OPT == 0:  # as asked for
            super()._optimize_final_module()
            return
        options = llvm.create_pipeline_tuning_options(speed_level=1)
        options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
        builder = llvm.create_pass_builder(self._codegen._tm, options)
        builder.getModulePassManager().run(self._final_module, builder)


def _reached(library: CodeLibrary) -> Iterator[CodeLibrary]:
    """Every library that one links, and those that kernels among them link, each once."""
    seen, waiting = set(), list(library._linking_libraries)
    while waiting:
        linked = waiting.pop()
        if linked not in seen:
            seen.add(linked)
            yield linked
            if isinstance(linked, _Called):
                waiting += linked._linking_libraries


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(NativeLowering):  # type: ignore[misc]
    """numba's lowering into one of these libraries."""

    _name = "kernel_lowering"
    lowering_class: type[Lower] = KernelLower

    def run_pass(self, state: Any) -> bool:
        if state.flags.debuginfo:
            self.lowering_class = Lower
        entered = not state.flags.no_cpython_wrapper
        library = state.pipeline.entered if entered else _Called
        state.library = library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags.no_compile = not entered
        with named_and_indexed(state.targetctx):
            super().run_pass(state)
        if not entered:
            key = object()  # by which numba finds what to call
            state.targetctx.insert_user_function(key, state["cr"].fndesc, [state.library])
            state["cr"] = state["cr"]._replace(cfunc=key)
        return True


_INSTEAD: Final = {NativeLowering: _KernelLowering, ReconstructSSA: SingleAssignment, PreLowerStripPhis: PhisStripped}
"""Of numba's passes."""


class _Flags(Flags):  # type: ignore[misc]
    """numba's flags, compared by what is set: they are a part of every key by which it remembers a type."""

    __slots__ = ()

    def __hash__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Flags) and self._values == other._values


_under_way: list[None] = []
"""One while anything is compiled; numba has one thread compile at a time."""


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A compilation with all those that it begins: Python looks for no cycles in what they make, nearly all of which stays."""
    collected = gc.isenabled()
    gc.disable()
    _under_way.append(None)
    try:
        with remembering():
            yield
    finally:
        _under_way.pop()
        if collected:
            _let_grow_old()
            gc.enable()


def _let_grow_old() -> None:
    """Python would go through all that was made at its very next object, for half a second, while somebody waits for a digest."""
    if gc.get_freeze_count() == 0:  # else what somebody has frozen would be thawed
        gc.freeze()
        gc.unfreeze()  # into the oldest generation, whose turn comes later


def _with_room(action: Callable[..., T], *arguments: Any) -> T:
    """Call it where there is room for the frames of all that it calls.

    CPython keeps frames in chunks of 16 kB, and gives one back with the first frame in it. Where a chunk ends under a loop, each
    call from there maps memory anew: two to six times the page faults of compiling, by how deep it happens to stand. The frame of
    this function claims a megabyte, for which CPython makes a chunk of two; what is called goes behind it.
    """
    return action(*arguments)


_with_room.__code__ = _with_room.__code__.replace(co_stacksize=(1 << 17) + 1)


class _Passes(PassManager):  # type: ignore[misc]
    """Passes one after another, and no more: numba times each, tells listeners of it, and checks all of the code after it."""

    def _runPass(self, index: int, step: Any, state: Any) -> None:  # noqa: ARG002, N802
        step.analysis = self._analysis
        step.run_initialization(state)
        step.run_pass(state)
        step.run_finalizer(state)


class KernelCompiler(CompilerBase):  # type: ignore[misc]
    """numba's compiler with that lowering, and without the passes that kernels have no need of."""

    entered: type[_Entered] = _Entered

    def __init__(self, *state: Any) -> None:
        super().__init__(*state)
        self.state.flags.__class__ = _Flags

    def compile_extra(self, function: Any) -> Any:
        with global_compiler_lock:
            if _under_way:
                return super().compile_extra(function)
            with _undisturbed():
                return _with_room(super().compile_extra, function)

    def define_pipelines(self) -> list[Any]:
        manager = _Passes("kernel")
        for step, why in DefaultPassBuilder.define_nopython_pipeline(self.state, "kernel").passes:
            if step.name() not in _NEEDLESS:
                manager.add_pass(_INSTEAD.get(step, step), why)
        manager.finalize()
        return [manager]


class BranchCompiler(KernelCompiler):
    """The same for what decides more than it goes through."""

    entered = _Branching
