"""How kernels pass a named tuple of arrays: as the address of one.

numba passes a tuple by value. A world of twenty arrays is near two hundred machine words, at every call and in all of its code:
that is a quarter of what there is to compile, and a kernel that is not inlined pushes all of it onto the stack.
"""

from __future__ import annotations

from typing import Any, TypeVar

from numba import typeof, types
from numba.core import cgutils
from numba.core.datamodel.registry import register_default
from numba.core.imputils import impl_ret_borrowed, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
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
