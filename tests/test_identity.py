"""What a policy is, as a hash: the same for the same, another for what may change what it does, a refusal where nobody knows."""

from __future__ import annotations

import collections
import enum
import functools
import importlib
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import grinder as gr
from grinder.errors import ConfigError
from grinder.identity import files_of, identity_of
from grinder.reruns import Source

FACTOR = 3


def plain(view, params):
    return None


def made(depth, table=(1, 2)):
    @gr.policy
    def inner(view, params, width=2):
        return depth, table, width

    return inner


def uses_global(view, params):
    return helper(view)


def helper(view):
    return FACTOR


class Held:
    def __init__(self, depth):
        self.depth = depth

    def __call__(self, view, params):
        return self.depth


def of(function, **flags) -> str:
    return identity_of(gr.policy(function, **flags))


def test_the_same_is_the_same():
    assert identity_of(None) == "built-in"
    assert of(plain) == of(plain)
    assert identity_of(made(3)) == identity_of(made(3))
    assert of(Held(3)) == of(Held(3))
    assert of(uses_global) == of(uses_global)


def test_flags_closures_defaults_globals_and_attributes_count(monkeypatch):
    seen = {of(plain), of(plain, on_fill=True), of(plain, gates=False), of(plain, damped=True), of(helper), of(uses_global)}
    assert len(seen) == 6
    assert len({identity_of(made(d, t)) for d in (3, 3.0, "3", True, None) for t in ((1, 2), (1, 3), [1, 2], {1: 2}, {1, 2})}) == 25
    assert len({identity_of(made(np.arange(n, dtype=d))) for n in (3, 4) for d in (np.int64, np.int32)}) == 4
    assert of(Held(3)) != of(Held(4))
    before = of(uses_global)
    monkeypatch.setitem(uses_global.__globals__, "FACTOR", 4)
    assert of(uses_global) != before, "a number that a helper reads"
    monkeypatch.undo()
    assert of(uses_global) == before
    monkeypatch.setattr(plain, "__defaults__", (5,))
    assert of(plain) not in seen


def test_a_jitted_policy_is_its_source():
    @gr.policy(jit=True)
    def idle(view, params):
        return None

    assert identity_of(idle) == identity_of(idle)


def test_what_refers_to_itself_ends():
    loop = []
    loop.append(loop)
    assert identity_of(made(loop)) != identity_of(made([]))

    def again(view, params):
        return again

    assert of(again) == of(again)


def test_what_cannot_be_told_is_refused(tmp_path):
    with (tmp_path / "log").open("w") as log, pytest.raises(ConfigError, match="policy inner refers to depth, a TextIOWrapper"):
        identity_of(made(log))
    with pytest.raises(ConfigError, match=r"depth\['key'\], a generator.*without a store"):
        identity_of(made({"key": (i for i in range(3))}))


def loaded(folder: Path) -> str:
    return identity_of(Source(f"{folder / 'grids.py'}:narrow").load())


def test_files_and_the_modules_that_they_import_count(tmp_path):
    (tmp_path / "shapes.py").write_text("import more\nDEPTH = 3\n\n\ndef depth():\n    return DEPTH\n")
    (tmp_path / "more.py").write_text("")
    body = "import shapes\nfrom shapes import depth\n\n\ndef narrow(view, params):\n    return shapes.depth(), depth()\n"
    (tmp_path / "grids.py").write_text(body)
    first = loaded(tmp_path)
    assert loaded(tmp_path) == first
    told = {first}
    for name, text in (
        ("shapes.py", "import more\nDEPTH = 4\n\n\ndef depth():\n    return DEPTH\n"),
        ("more.py", "# another module of theirs\n"),
        ("grids.py", body + "    # and more\n"),
    ):
        (tmp_path / name).write_text(text)
        told.add(loaded(tmp_path))
    assert len(told) == 4


@pytest.mark.parametrize("name", ["shapes.py", "pack/__init__.py", "pack/deep.py"])
def test_the_modules_beside_a_file_are_read_and_not_what_python_kept_of_them(tmp_path, name):
    """Python takes what it compiled for a file's that has the same size within the same second."""
    files = {"shapes.py": "DEPTH = 1\n", "pack/__init__.py": "DEPTH = 1\n", "pack/deep.py": "DEPTH = 1\n"}
    (tmp_path / "pack").mkdir()
    for each, body in files.items():
        (tmp_path / each).write_text(body)
        os.utime(tmp_path / each, (10**9, 10**9))
        py_compile.compile(str(tmp_path / each), doraise=True)
    head = "import pack\nimport pack.deep\nimport shapes\n"
    (tmp_path / "grids.py").write_text(
        f"{head}\n\ndef narrow(view, params):\n    return shapes.DEPTH + pack.DEPTH + pack.deep.DEPTH\n"
    )
    policy, told = Source(f"{tmp_path / 'grids.py'}:narrow").load(), loaded(tmp_path)
    assert policy.function(None, None) == 3
    (tmp_path / name).write_text("DEPTH = 5\n")
    os.utime(tmp_path / name, (10**9, 10**9))
    finders = list(sys.meta_path)
    assert Source(f"{tmp_path / 'grids.py'}:narrow").load().function(None, None) == 7
    assert sys.meta_path == finders
    assert loaded(tmp_path) != told
    assert not {"pack", "pack.deep", "shapes"} & set(sys.modules)


def test_the_same_in_processes_of_other_hash_seeds(tmp_path):
    (tmp_path / "grids.py").write_text(
        "import numpy as np\nimport grinder as gr\n\n\ndef helper(word):\n    return word in {'x', 'y', 'z', 'w'}\n\n\n"
        "NAMES = {'a', 'b', 'c', 'd'}\nHELPERS = {helper, len, print, gr.smart}\nSIZES = {'x': 1, 'y': np.int64(2)}\n\n\n"
        "@gr.policy(on_fill=True)\ndef narrow(view, params):\n"
        "    return NAMES, HELPERS, SIZES, gr.smart(view, params), gr.Regime.RANGE\n"
    )
    code = f"from pathlib import Path; from tests.test_identity import loaded; print(loaded(Path({str(tmp_path)!r})))"
    root = Path(__file__).parents[1]
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(told) == 1


def test_what_a_decorator_hides_is_told():
    """`inspect` looks through `functools.wraps`, to the lines of what is wrapped."""

    def sized(qty):
        def decorate(inner):
            if qty == 1:

                @functools.wraps(inner)
                def outer(view, params):
                    return inner(view, params)._replace(levels_up=1)
            else:

                @functools.wraps(inner)
                def outer(view, params):
                    return inner(view, params)._replace(levels_up=2)

            return outer

        return decorate

    def plain(view, params):
        return gr.static(view, params)

    one, two = (gr.policy(sized(qty)(plain)) for qty in (1, 2))
    assert identity_of(one) != identity_of(two)


def test_what_a_bound_builtin_holds_is_told():
    def given(table):
        get = table.get

        @gr.policy
        def sized(view, params):
            return gr.static(view, params)._replace(levels_up=get("n"))

        return sized

    assert identity_of(given({"n": 1})) != identity_of(given({"n": 2}))
    assert identity_of(given({"n": 1})) == identity_of(given({"n": 1}))


def test_what_a_function_imports_inside_itself_is_told(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "inner_pack").mkdir()
    files = {
        "inner_depths.py": "DEPTH = {}\n",
        "inner_pack/__init__.py": "",
        "inner_pack/shape.py": "def shape():\n    import inner_late\n    return {}\n",
        "inner_late.py": "LATE = {}\n",
    }
    (tmp_path / "inner_grids.py").write_text(
        "def narrow(view, params):\n    import inner_depths\n    def deeper():\n        from inner_pack import shape\n"
        "        import no_such_module\n        return shape.shape()\n    return inner_depths.DEPTH, deeper()\n"
    )

    def put(edited: str) -> str:
        for name, body in files.items():
            (tmp_path / name).write_text(body.format(2 if name == edited else 1))
        for name in [name for name in sys.modules if name.startswith("inner_")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        told = [identity_of(Source(f"{tmp_path / 'inner_grids.py'}:narrow").load()) for _ in range(2)]
        assert told[0] == told[1], "before and after the first import"
        return told[0]

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    told = [put(edited) for edited in ("", "inner_depths.py", "inner_pack/shape.py", "inner_late.py", "")]
    assert len(set(told)) == 4
    assert told[0] == told[-1]
    for name in [name for name in sys.modules if name.startswith("inner_")]:
        del sys.modules[name]


def kinds(factor):
    """Values of the user's own kinds of built-in ones, alike but for what they do."""

    class Table(dict):
        def half(self):
            return self["n"] // factor

    class Ticks(int):
        @property
        def half(self):
            return self // factor

    class Row(tuple):
        def half(self):
            return self[0] // factor

    class Names(frozenset):
        def half(self):
            return len(self) // factor

    class Depth(enum.Enum):
        DEEP = 4

        def half(self):
            return self.value // factor

    class Column(np.ndarray):
        def half(self):
            return self // factor

    class Cached:
        @functools.cached_property
        def half(self):
            return 1 // factor

    class Kind(type):
        @property
        def half(cls):
            return 1 // factor

    class Made(metaclass=Kind):
        pass

    class Slotted:
        __slots__ = ("half",)

        def __init__(self):
            self.half = factor

    class Below(Slotted):
        pass

    return [
        Table(n=1),
        Ticks(3),
        Row((1, 2)),
        Names({1, 2}),
        Depth.DEEP,
        np.arange(3).view(Column),
        Cached(),
        Made,
        Made(),
        Slotted(),
        Below(),
    ]


@pytest.mark.parametrize("which", range(11))
def test_what_ones_own_kinds_of_built_in_values_can_do_is_told(which):
    told = [identity_of(made(kinds(factor)[which])) for factor in (2, 3, 2)]
    assert told[0] == told[2] != told[1]


def test_values_of_ones_own_kinds_are_told_too():
    class Table(dict):
        pass

    class Ticks(int):
        pass

    class Noted(list):
        pass

    noted = Noted([1])
    noted.depth = 3
    told = [identity_of(made(value)) for value in (Table(n=1), Table(n=2), {"n": 1}, Ticks(1), Ticks(2), 1, Noted([1]), noted)]
    assert len(set(told)) == 8


def test_sets_of_what_has_no_order_are_told_alike():
    told = [identity_of(made({helper, plain, gr.smart})), identity_of(made({gr.smart, plain, helper}))]
    assert told[0] == told[1] != identity_of(made({helper, gr.smart}))


def levels(number):
    return number


class Setter:
    def __init__(self, func, depth):
        self.func, self.depth = func, depth

    def __get__(self, kind, owner):
        return self.depth


def with_member(member):
    class Shape:
        depth = member

    return identity_of(made(Shape()))


def test_what_wraps_a_function_in_ways_of_its_own_is_told_or_refused():
    """Each holds a function under a name by which others are looked through, and more than that function."""
    for member in (functools.partial(levels, 3), functools.partialmethod(levels, 3), functools.singledispatchmethod(levels)):
        with pytest.raises(ConfigError, match="of which it cannot be told"):
            with_member(member)
    assert with_member(Setter(levels, 3)) != with_member(Setter(levels, 4))
    assert with_member(Setter(levels, 3)) == with_member(Setter(levels, 3))


def test_every_function_of_a_property_is_told():
    def get(self):
        return 1

    def put(self, value):
        self.value = value

    def put_twice(self, value):
        self.value = 2 * value

    told = [with_member(property(get, *rest)) for rest in ((), (put,), (put_twice,), (put, put_twice))]
    assert len(set(told)) == 4


def test_what_a_mapping_makes_of_missing_keys_is_told():
    assert identity_of(made(collections.defaultdict(list))) != identity_of(made(collections.defaultdict(dict)))


def test_a_module_that_ends_the_process_does_not_end_the_sweep(tmp_path):
    (tmp_path / "tool.py").write_text("raise SystemExit('usage: tool FILE')\n")
    body = "def narrow(view, params):\n    if view is None:\n        import tool\n        return tool\n    return None\n"
    (tmp_path / "grids.py").write_text(body)
    assert loaded(tmp_path) == loaded(tmp_path)


def test_files_that_a_policy_is_made_of(tmp_path):
    """Those beside it that it imports, wherever in it, and they; the same whatever a process has imported."""
    (tmp_path / "pack" / "inner").mkdir(parents=True)
    files = {
        "grids.py": "import shapes\n\n\ndef narrow(view, params):\n    from pack.inner import deep\n    return deep, shapes\n",
        "shapes.py": "from numpy import array\nfrom depths import DEPTH\n",
        "depths.py": "DEPTH = 3\n",
        "pack/__init__.py": "",
        "pack/inner/__init__.py": "from . import near\nfrom ..far import FAR\n",
        "pack/inner/deep.py": "",
        "pack/inner/near.py": "",
        "pack/far.py": "FAR = 1\n",
        "other.py": "import grids\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    first = files_of(tmp_path / "grids.py")
    assert [name for name, _ in first] == sorted(files.keys() - {"other.py"})
    for name in files.keys() - {"other.py"}:
        (tmp_path / name).write_text(files[name] + "# more\n")
        changed = files_of(tmp_path / "grids.py")
        assert [a for a, b in zip(first, changed, strict=True) if a != b] == [(name, dict(first)[name])]
        (tmp_path / name).write_text(files[name])
    (tmp_path / "other.py").write_text("")
    assert files_of(tmp_path / "grids.py") == first
