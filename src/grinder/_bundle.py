"""How kernels pass a named tuple of arrays: as the address of one.

numba passes a tuple by value. A world of twenty arrays is near two hundred machine words, at every call and in all of its code:
that is a quarter of what there is to compile, and a kernel that is not inlined pushes all of it onto the stack.
"""

from __future__ import annotations

import operator
from typing import Any, TypeVar

from numba import typeof, types
from numba.core import cgutils, errors
from numba.core.datamodel.registry import register_default
from numba.core.imputils import impl_ret_borrowed, lower_builtin, lower_getattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer, infer_getattr, infer_global, signature
from numba.extending import NativeValue, models, typeof_impl, unbox

from grinder.records import Events, World

__all__ = ["by_address"]

T = TypeVar("T", bound=type)


def by_address(kind: T) -> T:
    """Have kernels pass a `NamedTuple` of arrays by its address. They may read its fields, and write into the arrays."""

    @typeof_impl.register(kind)  # type: ignore[untyped-decorator]
    def bundle(value: Any, _: Any) -> Bundle:
        return Bundle(kind, tuple(typeof(member) for member in value))

    return kind


class Bundle(types.Type):  # type: ignore[misc]
    """The type of such a tuple."""

    def __init__(self, kind: type, members: tuple[types.Array, ...]) -> None:
        self.kind, self.members = kind, members
        self.plain = types.NamedTuple(members, kind)
        super().__init__(f"&{self.plain.name}")

    def place(self, field: str) -> int:
        """Where a field stands."""
        fields: tuple[str, ...] = self.plain.fields
        return fields.index(field)


@register_default(Bundle)
class _Address(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, bundle: Bundle) -> None:
        super().__init__(manager, bundle, manager.lookup(bundle.plain).get_value_type().as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = Bundle

    def generic_resolve(self, bundle: Bundle, field: str) -> types.Type | None:
        return bundle.members[bundle.place(field)] if field in bundle.plain.fields else None


@lower_getattr_generic(Bundle)  # type: ignore[untyped-decorator]
def _load_field(context: Any, builder: Any, bundle: Bundle, address: Any, field: str) -> Any:
    """The array, which a user's function, compiled with numba's runtime, counts as one more reference."""
    place = bundle.place(field)
    array = builder.load(cgutils.gep_inbounds(builder, address, 0, place))
    return impl_ret_borrowed(context, builder, bundle.members[place], array)


# What a user's own function may do besides: kernels name fields


@infer_global(len)
class _Length(AbstractTemplate):  # type: ignore[misc]
    def generic(self, given: tuple[types.Type, ...], named: Any) -> Any:
        return signature(types.intp, *given) if not named and len(given) == 1 and isinstance(given[0], Bundle) else None


@lower_builtin(len, Bundle)  # type: ignore[untyped-decorator]
def _length(context: Any, _builder: Any, sig: Any, _values: Any) -> Any:
    return context.get_constant(types.intp, len(sig.args[0].members))


@infer
class _ByPlace(AbstractTemplate):  # type: ignore[misc]
    key = "static_getitem"

    def generic(self, given: tuple[Any, ...], _named: Any) -> Any:
        bundle, place = given
        if not isinstance(bundle, Bundle) or not isinstance(place, int):
            return None
        if not -len(bundle.members) <= place < len(bundle.members):
            raise errors.NumbaIndexError(f"{bundle.kind.__name__} has {len(bundle.members)} fields, and no [{place}]")
        return signature(bundle.members[place], *given)


@lower_builtin("static_getitem", Bundle, types.IntegerLiteral)  # type: ignore[untyped-decorator]
def _load_place(context: Any, builder: Any, sig: Any, values: Any) -> Any:
    bundle, (address, place) = sig.args[0], values
    return _load_field(context, builder, bundle, address, bundle.plain.fields[place])


class _Named(AbstractTemplate):  # type: ignore[misc]
    """What cannot be done, and the cure."""

    def generic(self, given: tuple[types.Type, ...], _named: Any) -> None:
        if given and isinstance(given[0], Bundle):
            bundle = given[0]
            fields = ", ".join(bundle.plain.fields)
            raise errors.NumbaTypeError(
                f"{bundle.kind.__name__} cannot be gone through in compiled code, nor indexed by a variable: name a field, such as "
                f".{bundle.plain.fields[0]} (of {fields}), or index it by a number that is written out"
            )


@infer_global(operator.getitem)
class _Item(_Named):
    key = operator.getitem


@infer
class _Iteration(_Named):
    key = "getiter"


@unbox(Bundle)  # type: ignore[untyped-decorator]
def _unbox(bundle: Bundle, value: Any, c: Any) -> NativeValue:
    native = c.unbox(bundle.plain, value)

    def cleanup() -> None:
        if native.cleanup is not None:
            native.cleanup()
        if c.context.enable_nrt:
            c.context.nrt.decref(c.builder, bundle.plain, native.value)

    return NativeValue(cgutils.alloca_once_value(c.builder, native.value), cleanup=cleanup, is_error=native.is_error)


for _kind in (Events, World):
    by_address(_kind)
