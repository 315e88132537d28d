"""Mutants of source: what one small slip would have made of a function. Which there are is a function of the source alone.

A mutant is found in the syntax tree and compiled with its whole module; its code takes the place of the function's code
(`planted`), so that every name under which the function was imported runs the mutant, whatever decorates it.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import random
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from grinder import records

MODULES = ("engine", "ledger", "cycle", "fills", "sizing", "digest")
SHOWN = 100
"""The most characters of source that tell a mutant."""

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""The border moved, and the opposite."""
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLS = {"min": "max", "mul_div_floor": "mul_div_ceil"}
CALLS |= {b: a for a, b in CALLS.items()}
NAMES = {"BUY": "SELL", "SELL": "BUY"}
MIRRORED = {"bid": "ask", "down": "up", "low": "high", "buy": "sell", "maker": "taker"}
MIRRORED |= {b: a for a, b in MIRRORED.items()}
"""Words of field names that have an opposite."""


class Mutant(NamedTuple):
    """One slip in one function."""

    module: str
    function: str
    operator: str
    place: int
    """of the node, in the order of the source"""
    variant: int
    first: int
    last: int
    """lines of its statement, of which one runs before it can matter"""
    before: str
    after: str
    number: int
    """of those of the function that read alike"""

    @property
    def name(self) -> str:
        """What tells it from every other, and outlives changes elsewhere in the module."""
        more = f" ({self.number})" if self.number > 1 else ""
        return f"{self.module}.{self.function}: {self.before} -> {self.after}{more}"


class Site(NamedTuple):
    """A node that may be another one."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    above: tuple[ast.AST, ...]
    """the nodes that hold it, from its statement inwards"""
    last: bool
    """whether nothing follows in the function: a statement that ends it"""

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


class Words(NamedTuple):
    """What names mean in a module."""

    known: frozenset[str]
    constants: dict[str, str]
    """another of the module's own integers, for each"""
    fields: frozenset[str]
    """of records and of events"""


# The source


@cache
def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"grinder.{name}")


def path_of(name: str) -> Path:
    return Path(str(module_of(name).__file__))


@cache
def words_of(name: str) -> Words:
    module = module_of(name)
    own = [key for key, value in vars(module).items() if re.fullmatch("_[A-Z_]+", key) and isinstance(value, int)]
    names = {field for value in vars(records).values() if isinstance(value, np.dtype) for field in value.names or ()}
    names |= set(records.Events._fields) | {field for kind in records.WORLD_DTYPES.values() for field in np.dtype(kind).names or ()}
    following = zip(own, own[1:] + own[:1], strict=True)
    return Words(frozenset(vars(module)), {a: b for a, b in following if a != b}, frozenset(names))


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods of a module with their names, in the order of the source."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{one.name}", one) for one in node.body if isinstance(one, ast.FunctionDef))


def is_kernel(function: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id in ("kernel", "branching_kernel") for one in function.decorator_list)


@cache
def functions_of(module: str) -> tuple[str, ...]:
    return tuple(name for name, _ in functions(ast.parse(path_of(module).read_text("utf-8"))))


def kernels(module: str) -> list[str]:
    """The jitted functions of a module."""
    return [name for name, node in functions(ast.parse(path_of(module).read_text("utf-8"))) if is_kernel(node)]


def sites(function: ast.FunctionDef) -> list[Site]:
    """Every node of a function's body, in the order of the source; neither docstrings nor annotations."""
    out: list[Site] = []

    def visit(parent: ast.AST, above: tuple[ast.AST, ...], ends: bool) -> None:
        for field, value in ast.iter_fields(parent):
            if field in ("decorator_list", "args", "returns", "annotation") and isinstance(parent, ast.FunctionDef | ast.AnnAssign):
                continue
            several = isinstance(value, list)
            for index, node in enumerate(value if several else [value]):
                if not isinstance(node, ast.AST) or isinstance(node, ast.expr_context | ast.operator | ast.cmpop | ast.boolop):
                    continue
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    continue
                last = ends and several and index == len(value) - 1
                inside = () if isinstance(node, ast.stmt) else above
                out.append(Site(parent, field, index if several else None, node, inside, last))
                visit(node, (*inside, node), last and isinstance(node, ast.If))

    visit(function, (), True)
    return out


# The slips


def slips(site: Site, function: ast.FunctionDef, words: Words) -> Iterator[tuple[str, ast.AST]]:
    """What may stand in a node's place, each with the word for it."""
    node = site.node
    if isinstance(node, ast.stmt):
        yield from of_statement(site, function)
    if isinstance(site.parent, ast.If) and site.field == "test":
        yield from (("condition", ast.Constant(value)) for value in (True, False))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARISONS.get(type(node.ops[0]), ())[-1 if is_of_a_side(node) else 0 :]:
            yield "comparison", ast.Compare(node.left, [other()], node.comparators)
    elif isinstance(node, ast.Constant):
        yield from of_constant(node, site, function, words)
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield "arithmetic", ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub) and not isinstance(node.operand, ast.Constant):
        yield "sign or not", node.operand
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and or", ast.BoolOp(other, node.values)
        for k in range(len(node.values)):
            left = node.values[:k] + node.values[k + 1 :]
            yield "part of and or", left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
    elif isinstance(node, ast.IfExp):
        yield "choice", ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from of_call(node, node.func.id, words)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        other_name = NAMES.get(node.id) or words.constants.get(node.id)
        if other_name in words.known and node.id in words.known:
            yield "name", ast.Name(str(other_name), ast.Load())
    elif isinstance(node, ast.Subscript):
        yield from of_subscript(node, words)
    elif isinstance(node, ast.Attribute) and mirrored(node.attr) in words.fields:
        yield "field", ast.Attribute(node.value, mirrored(node.attr), node.ctx)
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and isinstance(site.parent, ast.Assign | ast.Return):
        for k in range(1, len(node.elts)):
            if not all(is_field_or_number(one) for one in node.elts[k - 1 : k + 1]):
                continue
            swapped = [*node.elts[: k - 1], node.elts[k], node.elts[k - 1], *node.elts[k + 1 :]]
            yield "order of values", ast.Tuple(swapped, ast.Load())


def of_statement(site: Site, function: ast.FunctionDef) -> Iterator[tuple[str, ast.AST]]:
    """Statements left out, unless a name would have no value then, which no compiler lets pass."""
    node = site.node
    if isinstance(node, ast.Continue | ast.Break):
        yield "jump", ast.Break() if isinstance(node, ast.Continue) else ast.Continue()
        yield "left out", ast.Pass()
    elif isinstance(node, ast.AugAssign):
        yield "left out", ast.Pass()
        if type(node.op) in ARITHMETIC:
            yield "arithmetic", ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
        target = ast.parse(ast.unparse(node.target), mode="eval").body
        target.ctx = ast.Store()  # type: ignore[attr-defined]
        yield "assignment", ast.Assign([target], node.value)
    elif may_go(site, function):
        yield "left out", ast.Pass()
    if isinstance(node, ast.Return) and node.value is not None and is_number(node.value, function):
        yield "result", ast.Return(ast.BinOp(node.value, ast.Add(), ast.Constant(1)))
    if isinstance(node, ast.Return) and node.value is not None and not is_kernel(function):
        yield "result", ast.Return(ast.Constant(None))


def may_go(site: Site, function: ast.FunctionDef) -> bool:
    if isinstance(site.node, ast.Assign):
        return not names_bound_once(site.node, function)
    return isinstance(site.node, ast.Expr) or (isinstance(site.node, ast.Return) and not site.last)


def names_bound_once(node: ast.Assign, function: ast.FunctionDef) -> bool:
    """Whether an assignment gives a name its first value."""
    stored = [one for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    given = {one.arg for one in function.args.args}
    mine = {one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name) and one in stored}
    return any(name not in given and min(one.lineno for one in stored if one.id == name) >= node.lineno for name in mine)


def is_number(value: ast.expr, function: ast.FunctionDef) -> bool:
    """Whether a result is a number for sure, and neither a record nor a truth value."""
    if not is_kernel(function):
        return False
    if isinstance(value, ast.Name):
        counted = [one.target for one in ast.walk(function) if isinstance(one, ast.AugAssign)]
        return any(isinstance(one, ast.Name) and one.id == value.id for one in counted)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in {"min", "max", "abs", "mul_div", "mul_div_floor", "mul_div_ceil", "capped_product"}
    return isinstance(value, ast.BinOp) or (isinstance(value, ast.Subscript) and is_word(value.slice))


def is_field_or_number(node: ast.AST) -> bool:
    """A value that another may be taken for: neither an array nor a record."""
    if isinstance(node, ast.Subscript):
        return is_word(node.slice)
    return isinstance(node, ast.Name | ast.BinOp | ast.UnaryOp) or (isinstance(node, ast.Constant) and isinstance(node.value, int))


def is_word(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def of_constant(node: ast.Constant, site: Site, function: ast.FunctionDef, words: Words) -> Iterator[tuple[str, ast.AST]]:
    """Off by one; the other truth value; outside of kernels another text. Not in what picks the only row of an array."""
    index = isinstance(site.parent, ast.Subscript)
    if isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node.value, int):
        if not (index and ast.unparse(site.parent).endswith(("params[0]", "run[0]", "used[0]"))):
            yield from (("constant", ast.Constant(node.value + by)) for by in ((1,) if is_of_a_side(site.parent) else (1, -1)))
    elif isinstance(node.value, str) and not is_kernel(function) and not (index and node.value in words.fields):
        yield "text", ast.Constant(f"~{node.value}")


def is_of_a_side(node: ast.AST) -> bool:
    """Whether something is `side > 0`: a side is 1 or -1, so a border moved by one parts them alike."""
    return isinstance(node, ast.Compare) and ast.unparse(node) == "side > 0"


def of_call(node: ast.Call, name: str, words: Words) -> Iterator[tuple[str, ast.AST]]:
    other = CALLS.get(name)
    if other and (name in ("min", "max") or {name, other} <= words.known):
        yield "function", ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords)
    if name == "abs":
        yield "function", node.args[0]
    if name == "range":
        last = len(node.args) - 1
        fewer = [*node.args[:last], ast.BinOp(node.args[last], ast.Sub(), ast.Constant(1))]
        yield "range", ast.Call(node.func, fewer, [])
        later = ast.Constant(1) if last == 0 else ast.BinOp(node.args[0], ast.Add(), ast.Constant(1))
        yield "range", ast.Call(node.func, [later, node.args[last]], [])


def of_subscript(node: ast.Subscript, words: Words) -> Iterator[tuple[str, ast.AST]]:
    """The mirrored field; one end of a slice left open."""
    if is_word(node.slice):
        other = mirrored(node.slice.value)  # type: ignore[attr-defined]
        if other in words.fields:
            yield "field", ast.Subscript(node.value, ast.Constant(other), node.ctx)
    elif isinstance(node.slice, ast.Slice):
        ends = node.slice
        lower, upper, step = ends.lower, ends.upper, ends.step
        for kept in (ast.Slice(None, upper, step), ast.Slice(lower, None, step), ast.Slice(lower, upper)):
            if ast.dump(kept) != ast.dump(ends):
                yield "slice", ast.Subscript(node.value, kept, node.ctx)


def mirrored(field: str) -> str:
    """The name of the opposite field, or none."""
    parts = field.split("_")
    if not any(part in MIRRORED for part in parts):
        return ""
    return "_".join(MIRRORED.get(part, part) for part in parts)


# The mutants


@contextlib.contextmanager
def slipped(site: Site, node: ast.AST) -> Iterator[None]:
    """The tree with another node at a site."""
    ast.fix_missing_locations(ast.copy_location(node, site.node))
    site.put(node)
    try:
        yield
    finally:
        site.put(site.node)


def shown_part(site: Site) -> ast.AST:
    """The largest part around a site, up to its statement, that is short enough to be told."""
    headers = (ast.If, ast.While, ast.For, ast.With, ast.FunctionDef)
    for node in (*site.above, site.node):
        if not isinstance(node, headers) and hasattr(node, "lineno") and len(ast.unparse(node)) <= SHOWN:
            return node
    return site.node


def told(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


@cache
def candidates(module: str) -> tuple[Mutant, ...]:
    """Every mutant of a module, function by function in the order of the source."""
    tree, words = ast.parse(path_of(module).read_text("utf-8")), words_of(module)
    out: list[Mutant] = []
    for name, function in functions(tree):
        alike: Counter[tuple[str, str]] = Counter()
        seen = {ast.dump(function)}
        for place, site in enumerate(sites(function)):
            statement = site.above[0] if site.above else site.node
            for variant, (operator, node) in enumerate(slips(site, function, words)):
                part = shown_part(site)
                before = told(part)
                with slipped(site, node):
                    after = told(node if part is site.node else part)
                    made = ast.dump(function)
                if made in seen:
                    continue
                seen.add(made)
                alike[before, after] += 1
                first, last = lines_of(statement, site.node)
                out.append(Mutant(module, name, operator, place, variant, first, last, before, after, alike[before, after]))
    return tuple(out)


def lines_of(statement: ast.AST, node: ast.AST) -> tuple[int, int]:
    """Lines of a statement, of one with a body those of the node alone."""
    whole = node if hasattr(statement, "body") and hasattr(node, "lineno") else statement
    return whole.lineno, whole.end_lineno or whole.lineno  # type: ignore[attr-defined]


def draw(module: str, count: int, seed: int) -> list[Mutant]:
    """`count` mutants of a module by seed: one of each function, then from all alike."""
    shuffled = random.Random(f"{seed} {module}").sample(candidates(module), len(candidates(module)))
    one_each: dict[str, Mutant] = {}
    for mutant in shuffled:
        one_each.setdefault(mutant.function, mutant)
    return list(dict.fromkeys([*one_each.values(), *shuffled]))[: max(count, len(one_each))]


def sample(module: str, count: int, seed: int) -> list[Mutant]:
    """What is drawn, in the order of the source."""
    return sorted(draw(module, count, seed), key=candidates(module).index)


# Planting


def code_of(mutant: Mutant) -> CodeType:
    """A mutant's code, compiled within its module."""
    path = path_of(mutant.module)
    tree, words = ast.parse(path.read_text("utf-8")), words_of(mutant.module)
    function = dict(functions(tree))[mutant.function]
    site = sites(function)[mutant.place]
    _, node = list(slips(site, function, words))[mutant.variant]
    with slipped(site, node):
        code = compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True)
    for part in mutant.function.split("."):
        code = next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == part)
    return code


def function_of(mutant: Mutant) -> FunctionType:
    """The live function that a mutant is of."""
    found: Any = module_of(mutant.module)
    for part in mutant.function.split("."):
        found = vars(found)[part]
    found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
    assert isinstance(found, FunctionType), f"{mutant.function} is compiled: run with NUMBA_DISABLE_JIT=1"
    return found


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The mutant in its function's place, under all of its names."""
    function = function_of(mutant)
    before = function.__code__
    function.__code__ = code_of(mutant)
    try:
        yield
    finally:
        function.__code__ = before
