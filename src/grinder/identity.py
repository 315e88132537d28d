"""What a policy of one's own is, as a hash: its source, and all that its source names.

Two functions with the same lines need not do the same: a closure, a default or a global of the module may differ. A store of
finished cells that looked at the lines alone would answer with another policy's results.

Told: closures, defaults, globals that a function names, modules that it imports wherever in it, classes with their bases, metaclass
and members, and the values of the user's own kinds, of built-in ones too. Of an installed package its version is told. Not told,
because it is found out only when it runs: what is imported by a computed name, attributes looked up by one, what `exec` executes,
files, the environment, settings of a library; and the file of a module says what it does, though the module was imported before an
edit: only `FILE.py:FUNCTION` and the modules beside it are looked at anew for every cell. What functions import is imported when a
policy is told, and runs what it runs.
"""

from __future__ import annotations

import ast
import dis
import enum
import hashlib
import inspect
import sys
import sysconfig
import types
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from grinder.errors import ConfigError
from grinder.policies.own import Policy

__all__ = ["files_of", "identity_of"]


def identity_of(policy: Policy | None) -> str:
    """SHA-256 over the policy's source and what it refers to; "built-in" without one.

    Raises:
        ConfigError: it holds something that cannot be told from another by what it is, such as an open file.
    """
    if policy is None:
        return "built-in"
    while True:
        known = len(sys.modules)
        walk = _Walk(policy.name)
        walk.tell(policy.source, policy.function, policy.on_fill, policy.gates, policy.damped)
        if len(sys.modules) == known:
            return walk.hash.hexdigest()  # else a module that functions import has come, and stands in its package from now on


def files_of(file: Path) -> tuple[tuple[str, str], ...]:
    """A policy's file and those of the modules beside it that it imports, and they, each with the SHA-256 of its bytes.

    Other than the identity it is the same in every process: it looks at files alone, never at what is imported or counted by now.
    """
    found: dict[str, str] = {}
    waiting = [file.name]
    while waiting:
        name = waiting.pop()
        path = file.parent / name
        if name not in found and path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            for parts in _named(ast.parse(path.read_bytes()), Path(name).parent.parts):
                stems = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
                waiting += [f"{stem}{end}" for stem in stems for end in (".py", "/__init__.py")]
    return tuple(sorted(found.items()))


def _named(code: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Modules that code names in its imports, and names that it takes from one, which may be modules too."""
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


_PLAIN: Final = bool | int | float | str | bytes | Decimal | Fraction | np.generic


class _Walk:
    """Over a value and what it refers to, each thing once."""

    def __init__(self, name: str) -> None:
        self.hash, self.name, self.seen = hashlib.sha256(), name, dict[int, tuple[int, object]]()

    def tell(self, *values: Any, where: str = "") -> None:
        for value in values:
            self._tell(value, where)

    def _say(self, *words: object) -> None:
        for word in words:
            body = word if isinstance(word, bytes) else str(word).encode(errors="surrogatepass")
            self.hash.update(f"{len(body)}:".encode() + body)

    def _tell(self, value: Any, where: str) -> None:
        value = getattr(value, "py_func", value)  # of a compiled function
        own = _is_written(type(value))
        if value is None or (isinstance(value, _PLAIN) and not (own or isinstance(value, enum.Enum))):
            self._say(type(value).__name__, repr(value))
            return
        if id(value) in self.seen:
            self._say("again", self.seen[id(value)][0])
            return
        self.seen[id(value)] = (len(self.seen), value)  # kept, so that no other gets its id
        if not own or isinstance(value, type | types.FunctionType):
            self._tell_value(value, where)
        else:
            self._tell_own(value, where)

    def _tell_own(self, value: Any, where: str) -> None:
        """Of a kind that the user wrote: what it is, and what it can do."""
        if isinstance(value, enum.Enum):
            self._say("enum", type(value).__qualname__, value.name)
            self.tell(value.value, where=where)
            self._tell_members(type(value), where, functions=True)
            return
        whole = isinstance(value, _PLAIN | tuple | list | set | frozenset | Mapping | np.ndarray)
        if whole:
            self._tell_value(value, where)
        slots = {
            name: getattr(value, name)
            for kind in type(value).__mro__
            for name, member in vars(kind).items()
            if isinstance(member, types.MemberDescriptorType) and hasattr(value, name)
        }
        if not (whole or slots or hasattr(value, "__dict__")):
            self._refuse(value, where)
        self.tell(type(value), slots, getattr(value, "__dict__", None), where=where)

    def _tell_value(self, value: Any, where: str) -> None:
        if isinstance(value, enum.Enum):
            self._say("enum", type(value).__qualname__, value.name, repr(value.value))
        elif isinstance(value, _PLAIN):
            plain: Any = next(kind for kind in type(value).__mro__ if not _is_written(kind))
            self._say(type(value).__qualname__, plain.__repr__(value))
        elif isinstance(value, types.ModuleType):
            self._tell_module(value)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._say("array", value.dtype.descr, value.shape, value.tobytes())
        elif isinstance(value, tuple | list):
            self._say(type(value).__qualname__, len(value))
            self.tell(*value, where=where)
        elif isinstance(value, set | frozenset):
            self._say("set", *sorted(self._alone(one, where) for one in value))
        elif isinstance(value, Mapping):
            self._say("mapping", len(value))
            if isinstance(value, defaultdict):
                self._tell(value.default_factory, f"the default of {where}")
            for key in value:
                self.tell(key, value[key], where=f"{where}[{key!r}]")
        else:
            self._tell_code(value, where)

    def _alone(self, value: Any, where: str) -> bytes:
        """Of one thing among others that have no order."""
        walk = _Walk(self.name)
        walk.seen = dict(self.seen)
        walk.tell(value, where=where)
        return walk.hash.digest()

    def _tell_code(self, value: Any, where: str) -> None:
        if isinstance(value, types.MethodType):
            self.tell(value.__func__, value.__self__, where=where)
        elif isinstance(value, types.FunctionType):
            self._say("function", value.__qualname__)
            if _is_own(value.__code__.co_filename):
                self._tell_function(value)
            else:
                self._say(value.__module__, _version(value.__module__))
        elif isinstance(value, type):
            self._say("class", value.__qualname__)
            if _is_written(value):
                self._tell_members(value, where)
                if _is_written(type(value)):
                    self._tell(type(value), where)
            else:
                self._say(value.__module__, _version(value.__module__))
        elif isinstance(value, types.BuiltinFunctionType | np.ufunc):
            self._say("builtin", value.__name__)
            self._tell(getattr(value, "__self__", None), where)
        elif isinstance(value, Policy):
            self.tell(value.source, value.function, where=where)
        else:
            self._refuse(value, where)

    def _refuse(self, value: Any, where: str) -> None:
        raise ConfigError(
            f"policy {self.name} refers to {where or 'itself'}, a {type(value).__name__}, of which it cannot be told whether "
            "it is the same next time, so its cells cannot be kept: sweep without a store, or have it made of plain values"
        )

    def _tell_module(self, module: types.ModuleType) -> None:
        file = getattr(module, "__file__", None)
        self._say("module", module.__name__)
        if not file or not _is_own(file):
            self._say(_version(module.__name__))
            return
        self._say(Path(file).read_bytes())
        for name, value in sorted(vars(module).items()):
            if isinstance(value, types.ModuleType | types.FunctionType) or (
                not name.startswith("__") and isinstance(value, _PLAIN)
            ):
                self._say(name)
                self._tell(value, name)

    def _tell_function(self, function: types.FunctionType) -> None:
        self._say(*_source(function))
        self.tell(function.__defaults__, function.__kwdefaults__, where=f"a default of {function.__name__}")
        names = function.__code__.co_freevars
        for name, cell in zip(names, function.__closure__ or (), strict=True):
            self._say(name)
            try:
                self._tell(cell.cell_contents, name)
            except ValueError:  # not assigned yet
                self._say("empty")
        for name in sorted(_global_names(function.__code__)):
            if name in function.__globals__:
                self._say(name)
                self._tell(function.__globals__[name], name)
        for name, parts in sorted(_imported(function.__code__)):
            self._say("import", name, *parts)
            self._tell_import(name, parts, function.__globals__.get("__package__"))

    def _tell_import(self, name: str, parts: tuple[str, ...], package: str | None) -> None:
        """A module that a function imports when it runs, and those of its parts that are modules."""
        module = _module(name, package)
        self._tell(module, name)
        for part in parts:
            if module is not None and hasattr(module, "__path__") and not hasattr(module, part):
                self._tell(_module(f"{module.__name__}.{part}", None), part)
            elif isinstance(found := getattr(module, part, None), types.ModuleType | types.FunctionType | type):
                self._tell(found, part)

    def _tell_members(self, kind: type, where: str, functions: bool = False) -> None:
        for base in kind.__mro__:
            if _is_written(base):
                self._say(base.__qualname__)
                for name, member in sorted(vars(base).items()):
                    for inner in _inside(member):
                        if isinstance(inner, types.FunctionType) or not (
                            functions or name.startswith("__") or inspect.isdatadescriptor(inner)
                        ):
                            self._say(name)
                            self._tell(inner, f"{where}.{name}")


def _inside(member: Any) -> Iterator[Any]:
    """What a member of a class holds; of what wraps functions in ways of its own it is the member itself, which may be refused."""
    if isinstance(member, property):
        yield from filter(None, (member.fget, member.fset, member.fdel))
    elif isinstance(member, cached_property):
        yield member.func
    elif isinstance(member, staticmethod | classmethod):
        yield member.__func__
    else:
        yield member


def _is_written(kind: type) -> bool:
    """Whether a class is one that the user writes."""
    return kind.__module__ != "builtins" and _is_own(_file_of(kind))


def _module(name: str, package: str | None) -> types.ModuleType | None:
    """What an import would give; it is imported, so that it is told alike before and after the first that runs."""
    try:
        return import_module(name, package)
    except (Exception, SystemExit):  # the policy says it when it runs, or minds nothing
        return None


def _imported(code: types.CodeType) -> set[tuple[str, tuple[str, ...]]]:
    """Modules that a function, and functions inside it, import: their names, with a dot a level, and what is taken from each."""
    out: set[tuple[str, tuple[str, ...]]] = set()
    before: list[Any] = [0, None]  # level and names, which are pushed first
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            out.add(("." * before[-2] + step.argval, tuple(before[-1] or ())))
        elif step.opname != "EXTENDED_ARG":
            before = [before[-1], step.argval]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            out |= _imported(constant)
    return out


def _is_own(file: str) -> bool:
    """Whether a file is one that the user writes: not of Python, not of an installed package. Of grinder the sweep's key tells."""
    return bool(file) and not any(Path(file).resolve().is_relative_to(place) for place in _LIBRARIES)


_LIBRARIES: Final = tuple(
    {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {Path(__file__).parent}
)


def _file_of(kind: type) -> str:
    """The file that a class stands in; of one that stands in none that can be found, a name that no library has."""
    module = sys.modules.get(kind.__module__)
    if kind.__module__ in sys.builtin_module_names or kind.__module__ == "builtins":
        return ""
    return getattr(module, "__file__", None) or f"<{kind.__module__}>"


def _version(module: str) -> str:
    """Of the package that a module is part of, where it says one."""
    return str(getattr(sys.modules.get(module.partition(".")[0]), "__version__", ""))


def _source(function: Callable[..., Any]) -> list[object]:
    """Lines of a function where there are any, and its code: lines are those of the file as it is now, and of what it wraps."""
    code = ["code", sys.version, *_codes(function.__code__)]
    try:
        return ["source", inspect.getsource(function), *code]
    except (OSError, TypeError):  # typed into a console
        return code


def _codes(code: types.CodeType) -> list[object]:
    out: list[object] = [code.co_code, code.co_names, code.co_varnames]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            out += _codes(constant)
        else:  # `x in {"a", "b"}` has a frozenset, whose order is the process's
            out.append(sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant))
    return out


def _global_names(code: types.CodeType) -> set[str]:
    """Names that a function, and functions inside it, may look up in its module."""
    out = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            out |= _global_names(constant)
    return out
