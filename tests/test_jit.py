"""The kernel cache: never stale, never read by force, never wrong after damage; and one signature a kernel (SPEC 14)."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import resource
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import config as numba_config

import grinder
import grinder as gr
from grinder import _jit
from grinder._compiler import BranchCompiler, KernelCompiler, _with_room
from grinder._jit import kernel, source_hash
from grinder._prefetch import fetch
from grinder.engine import act
from grinder.market import observe
from tests.environments import signatures

PACKAGE = Path(grinder.__file__).parent
ROOT = Path(__file__).parents[1]
needs_jit = pytest.mark.skipif(not _jit.JIT, reason="the JIT is off")

PROBE = """
import json
from grinder import _jit, units
from grinder.cycle import take_profit_price
values = [int(units.fee_atoms(1, 1)), int(take_profit_price(1, 1_000_000, 123)), int(take_profit_price(-1, 1_000_000, 123))]
hits = [sum(k.from_python.stats.cache_hits.values()) for k in (units.fee_atoms, take_profit_price)]
print(json.dumps({"values": values, "hits": hits, "dir": str(_jit.cache_directory())}))
"""
RIGHT = [1, 1_000_002, 999_998]


def probe(path: Path, cache: Path, code: str = PROBE, **more: str) -> Any:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "GRINDER_"))}
    env |= {"PYTHONPATH": str(path), "GRINDER_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"} | more
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def copy_package(to: Path) -> Path:
    return shutil.copytree(PACKAGE, to / "grinder", ignore=shutil.ignore_patterns("__pycache__", "fixtures")).parent


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> tuple[Path, Path]:
    """A copy of the package and a cache that its kernels were just compiled into."""
    copy, cache = copy_package(tmp_path_factory.mktemp("copy")), tmp_path_factory.mktemp("cache")
    cold = probe(copy, cache)
    assert (cold["values"], cold["hits"]) == (RIGHT, [0, 0])
    assert Path(cold["dir"]).parent == cache
    return copy, cache


def test_the_source_hash_sees_every_file(tmp_path):
    package = copy_package(tmp_path) / "grinder"
    fresh = source_hash.__wrapped__
    seen = {fresh(package)}
    assert seen == {fresh(PACKAGE)}
    files = sorted(package.rglob("*.py"))
    assert len(files) > 20
    for file in files:
        body = file.read_bytes()
        file.write_bytes(body + b"#")
        seen.add(fresh(package))
        file.write_bytes(body)
    assert len(seen) == 1 + len(files)
    (package / "new.py").write_text("")
    seen.add(fresh(package))
    (package / "new.py").rename(package / "data" / "new.py")
    seen.add(fresh(package))
    assert len(seen) == 3 + len(files)
    (package / "data" / "new.py").rename(package / "notes.txt")
    assert fresh(package) == fresh(PACKAGE)


def test_the_source_hash_keeps_files_apart(tmp_path):
    hashes = set()
    for contents in (("x", "yz"), ("xy", "z"), ("", "xyz")):
        for name, text in zip(("a.py", "b.py"), contents, strict=True):
            (tmp_path / name).write_text(text)
        hashes.add(source_hash.__wrapped__(tmp_path))
    assert len(hashes) == 3


@pytest.mark.parametrize(
    "flag",
    ["OPT", "CPU_NAME", "CPU_FEATURES", "BOUNDSCHECK", "DEBUGINFO", "ENABLE_AVX", "LOOP_VECTORIZE", "SLP_VECTORIZE"],
)
def test_compile_flags_have_their_own_cache(flag, monkeypatch):
    """As variables, and as numba has them, from whatever file."""
    monkeypatch.delenv(f"NUMBA_{flag}", raising=False)
    keys = {_jit._environment_key()}
    monkeypatch.setenv(f"NUMBA_{flag}", "1")
    keys.add(_jit._environment_key())
    monkeypatch.delenv(f"NUMBA_{flag}")
    known = f"{flag}_DEFAULT" if flag == "DEBUGINFO" else flag
    assert hasattr(numba_config, known)
    monkeypatch.setattr(numba_config, known, "another")
    keys.add(_jit._environment_key())
    assert len(keys) == 3


@needs_jit
def test_a_flag_in_numbas_own_file_has_its_own_cache(tmp_path):
    """numba reads `.numba_config.yaml` of the working folder, where PyYAML is installed: here something else stands for that."""
    (tmp_path / "yaml.py").write_text("def safe_load(file): return {'boundscheck': 1}\n")
    words = [sys.executable, "-c", "from grinder import _jit; print(_jit._environment_key())"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    keys = []
    for _ in range(2):
        keys.append(subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout)
        (tmp_path / ".numba_config.yaml").write_text("boundscheck: 1\n")
    assert keys[0] != keys[1]


@needs_jit
def test_an_edited_helper_in_another_module_leaves_no_stale_kernel(warm, tmp_path):
    copy, cache = warm[0], shutil.copytree(warm[1], tmp_path / "cache")
    again = probe(copy, cache)
    assert (again["values"], again["hits"]) == (RIGHT, [1, 1]), "unchanged source comes from the cache"
    units = copy / "grinder" / "units.py"
    body = units.read_bytes()
    try:
        units.write_bytes(body.replace(b"return -mul_div_floor(-x, ratio, unit)", b"return mul_div_floor(x, ratio, unit)"))
        edited = probe(copy, cache)
    finally:
        units.write_bytes(body)
    assert edited["values"] == [0, 1_000_001, 999_998], "cycle.py did not change, what it calls did"
    assert edited["dir"] != again["dir"]
    restored = probe(copy, cache)
    assert (restored["values"], restored["dir"]) == (RIGHT, again["dir"])


@needs_jit
def test_the_same_source_elsewhere_and_of_another_date_finds_what_is_kept(warm, tmp_path):
    """Another checkout, another environment, a container with a restored cache."""
    cache = shutil.copytree(warm[1], tmp_path / "cache")
    other = copy_package(tmp_path / "other")
    for file in other.rglob("*.py"):
        os.utime(file, (1, 1))
    found = probe(other, cache)
    assert (found["values"], found["hits"]) == (RIGHT, [1, 1])


EDITED = """
import json
from pathlib import Path
from grinder import _jit
{early}
file = Path(_jit.__file__).with_name("units.py")
body = file.read_bytes()
file.write_bytes(body.replace(b"return -mul_div_floor(-x, ratio, unit)", b"return mul_div_floor(x, ratio, unit)"))
try:
    {late}
    value = take_profit_price(1, 1_000_000, 123)
finally:
    file.write_bytes(body)
print(json.dumps({{"value": value, "dir": str(_jit.cache_directory())}}))
"""


@needs_jit
@pytest.mark.parametrize("late", [False, True])
def test_nothing_is_kept_of_a_source_that_was_edited_after_its_import(late, tmp_path):
    """Whichever was compiled: not under the hash of the other, and, where a module came after the edit, not at all."""
    copy, cache = copy_package(tmp_path), tmp_path / "cache"
    imports = "from grinder.cycle import take_profit_price"
    done = probe(copy, cache, EDITED.format(early="pass" if late else imports, late=imports if late else "pass"))
    assert done["value"] == (1_000_001 if late else RIGHT[1]), "what was imported is what runs"
    assert not list(cache.rglob("*.nbi"))
    fresh = probe(copy, cache)
    assert (fresh["values"], fresh["hits"]) == (RIGHT, [0, 0])
    assert done["dir"] == fresh["dir"], "the hash is that of the source when it was first imported"


@needs_jit
def test_a_cache_that_cannot_be_written_any_more_stops_nothing(warm, tmp_path):
    """Its directory is gone, or a file stands where a folder has to be."""
    gone = "import shutil\nfrom grinder import _jit\nshutil.rmtree(_jit.cache_directory())\n"
    assert probe(warm[0], tmp_path / "a", gone + PROBE)["values"] == RIGHT
    blocked = "from grinder import _jit\n(_jit.cache_directory() / 'grinder.units').write_text('')\n"
    assert probe(warm[0], tmp_path / "b", blocked + PROBE)["values"] == RIGHT
    replaced = "import grinder.cycle, shutil\nfrom grinder import units\nshutil.rmtree(grinder.__path__[0])\n"
    assert probe(copy_package(tmp_path), tmp_path / "c", replaced + PROBE)["values"] == RIGHT


@needs_jit
def test_numbas_own_ways_to_place_a_cache_have_no_say(warm, tmp_path):
    """By them a kernel would be kept by the file of its function alone."""
    own = {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "NUMBA_CACHE_LOCATOR_CLASSES": "InTreeCacheLocator"}
    seen = "from numba.core import config\nassert config.CACHE_DIR and config.CACHE_LOCATOR_CLASSES\n"
    code = f"import os\nos.environ |= {own}\n{PROBE}\n{seen}"
    found = probe(warm[0], shutil.copytree(warm[1], tmp_path / "cache"), code)
    assert (found["values"], found["hits"]) == (RIGHT, [1, 1])
    empty = probe(warm[0], tmp_path / "empty", code)
    assert (empty["values"], empty["hits"]) == (RIGHT, [0, 0])
    assert len(list((tmp_path / "empty").rglob("*.nbi"))) == 2
    assert not (tmp_path / "numba").exists()


DAMAGE = {
    "truncated": lambda body: body[: len(body) // 2],
    "flipped": lambda body: body[:-40] + bytes([body[-40] ^ 1]) + body[-39:],
    "empty": lambda _: b"",
    "garbage": lambda body: b"\x80\x05cos\nsystem\n" + bytes(len(body)),
}


@needs_jit
def test_damaged_cache_files_are_compiled_anew(warm, tmp_path):
    copy, cache = warm

    def spoil(kind: str, how: str) -> tuple[list[int], bool]:
        mine = shutil.copytree(cache, tmp_path / f"{kind}_{how}")
        files = {file: DAMAGE[how](file.read_bytes()) for file in mine.rglob(f"*.{kind}")}
        assert len(files) == 2, "one for each that Python called"
        for file, body in files.items():
            file.write_bytes(body)
        found = probe(copy, mine)
        used = [file for file in files if "fee_atoms" in file.name or "take_profit_price" in file.name]
        return found["values"], found["hits"] == [0, 0] and all(file.read_bytes() != files[file] for file in used)

    jobs = [(kind, how) for kind in ("nbi", "nbc") for how in DAMAGE]
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(jobs, pool.map(lambda job: spoil(*job), jobs), strict=True))
    assert results == dict.fromkeys(jobs, (RIGHT, True))


BACKWARDS = """
import json
import numpy as np
from grinder._jit import kernel

found = []
for module in ("elsewhere", "grinder.made_up"):
    names = {"__name__": module, "kernel": kernel}
    exec("@kernel\\ndef one_before(numbers, place):\\n    return numbers[place - 1]", names)
    try:
        found.append(int(names["one_before"](np.array([7, 8, 9]), 0)))
    except IndexError:
        found.append("refused")
print(json.dumps(found))
"""


@needs_jit
def test_no_kernel_of_ours_counts_from_the_end(warm, tmp_path):
    """Where bounds are checked, as the matrix does with every fixture, a place before the first is refused."""
    assert probe(warm[0], tmp_path, BACKWARDS, NUMBA_BOUNDSCHECK="1") == [9, "refused"]


LOADED = """
import json, sys
import numba
from grinder.units import fee_atoms, mul_div_floor

def ready():
    return "numba.np.linalg" in sys.modules  # one of a hundred modules of what numba can compile

steps = [fee_atoms(1, 1), ready()]
try:
    mul_div_floor(1, 1, 0)
except ZeroDivisionError:
    steps += ["refused", ready()]
own = numba.njit(lambda amount: fee_atoms(amount, 1) + int(sum([0.5, 1.5])))
steps += [own(1), ready()]
hits = [sum(k.from_python.stats.cache_hits.values()) for k in (fee_atoms, mul_div_floor)]
print(json.dumps({"steps": steps, "hits": hits}))
"""


@needs_jit
def test_what_is_kept_is_loaded_without_what_numba_compiles_with(warm, tmp_path):
    """To get that ready takes numba as long as its import. What is loaded works, raises, and goes into what is compiled later."""
    cold, again = (probe(warm[0], tmp_path, LOADED) for _ in range(2))
    assert cold == {"steps": [1, True, "refused", True, 3, True], "hits": [0, 0]}
    assert again == {"steps": [1, False, "refused", False, 3, True], "hits": [1, 1]}


def test_no_flipped_byte_gets_through(tmp_path):
    file = _jit._SealedCacheFile(str(tmp_path), "f", ("stamp", 1))
    file.save("int64", {"code": b"\x90" * 40})
    assert file.load("int64") == {"code": b"\x90" * 40}
    for path in sorted(tmp_path.iterdir()):
        good = path.read_bytes()
        for at in range(len(good)):
            path.write_bytes(good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1 :])
            assert file.load("int64") is None
            assert not path.exists(), "deleted, so that it is written anew"
        path.write_bytes(good)
    assert file.load("int64") == {"code": b"\x90" * 40}
    assert _jit._SealedCacheFile(str(tmp_path), "f", ("stamp", 2)).load("int64") is None


def test_only_a_directory_of_our_own_is_private(tmp_path, monkeypatch):
    for mode in (0o777, 0o770, 0o702):
        tmp_path.chmod(mode)
        with pytest.raises(PermissionError, match="can be written by others"):
            _jit._private(tmp_path)
    tmp_path.chmod(0o700)
    assert _jit._private(tmp_path) == tmp_path
    assert (_jit._private(tmp_path / "a" / "b").stat().st_mode & 0o777) == 0o700
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError):
        _jit._private(tmp_path)


@pytest.mark.parametrize("spoil", ["open to all", "kernels open to all", "a file", "read-only"])
def test_without_a_private_directory_kernels_go_to_a_passing_one(spoil, tmp_path, monkeypatch):
    monkeypatch.setenv("GRINDER_CACHE_DIR", str(tmp_path / "cache"))
    wanted = _jit.cache_directory.__wrapped__()
    assert wanted.parent == tmp_path / "cache"
    if spoil.endswith("open to all"):
        (wanted if "kernels" in spoil else wanted.parent).chmod(0o777)
    elif spoil == "a file":
        shutil.rmtree(wanted.parent)
        wanted.parent.write_text("")
    else:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/null/x", "rb"))  # noqa: SIM115
    found = _jit.cache_directory.__wrapped__()
    assert tmp_path not in found.parents
    assert (found.parent, found.stat().st_mode & 0o777) == (Path(tempfile.gettempdir()), 0o700)
    found.rmdir()


@needs_jit
def test_a_passing_directory_goes_with_its_process(warm, tmp_path):
    tmp_path.chmod(0o777)
    found = probe(warm[0], tmp_path)
    assert found["values"] == RIGHT
    assert not any(tmp_path.iterdir()) and not Path(found["dir"]).exists()


@needs_jit
def test_a_users_own_kernels_keep_their_own_cache(tmp_path):
    source = "import numba\n@numba.njit(cache=True)\ndef twice(x):\n    return 2 * x\n"
    (tmp_path / "own_kernels.py").write_text(source)
    spec = importlib.util.spec_from_file_location("own_kernels", tmp_path / "own_kernels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.twice(21) == 42
    assert Path(module.twice.stats.cache_path) == tmp_path / "__pycache__"
    assert kernel(lambda x: x).from_python.stats.cache_path is None, "the key of the directory tells nothing of other sources"


@kernel
def twice(x):
    return 2 * x


@kernel
def call_with_everything(tiny, small, wide):
    return twice(tiny[0]) + twice(small[0]) + twice(wide[0]) + twice(3) + twice(tiny[0] > 0) + twice(x=small[1])


@needs_jit
def test_a_kernel_is_compiled_for_int64_alone():
    call_with_everything.from_python._cache.flush()  # from the cache, it would not compile what it calls
    total = call_with_everything(np.array([127], np.int8), np.array([32_767, 5], np.int16), np.array([2**40]))
    assert total == 2 * (127 + 32_767 + 2**40 + 3 + 1 + 5), "and small integers do not wrap"
    assert twice.signatures == [(numba.int64,)]


@needs_jit
def test_a_second_signature_of_a_kernel_is_found(monkeypatch):
    """As `cold_cache` of test_determinism.py looks for them: in a process that began with an empty cache."""

    @kernel
    def half(x):
        return x / 2

    @kernel
    def both(x):
        return half(x) + half(0.5)

    monkeypatch.setattr(_jit, "planted", half, raising=False)
    name = "test_a_second_signature_of_a_kernel_is_found.<locals>.half"
    planted = [count for found, count in signatures().items() if found.endswith(name)]
    assert planted == [], "not compiled yet"
    assert both(1) == 0.75
    planted = [count for found, count in signatures().items() if found.endswith(name)]
    assert planted == [2]


@needs_jit
def test_what_python_calls_keeps_its_code_in_the_keyed_cache():
    names = [found.name for found in pkgutil.walk_packages(grinder.__path__, "grinder.") if "__" not in found.name]
    modules = [importlib.import_module(name) for name in names]
    kernels = {k for module in modules for k in vars(module).values() if isinstance(k, _jit._Kernel)}
    assert len(kernels) > 200
    assert {k.stats.cache_path for k in kernels} == {None}, "what kernels call is compiled into what is entered"
    assert {k.from_python.stats.cache_path.startswith(str(_jit.cache_directory())) for k in kernels} == {True}


@numba.njit
def read_by_users(events, field_only):
    total = 0 if field_only else events.ask_px[0]
    for i in range(len(events.bid_px)):
        total += events.bid_px[i]
    return total


@needs_jit
def test_a_users_own_function_may_read_events_and_counts_them_right():
    """It is compiled with numba's runtime, which gives back each reference that it takes: no more, and no fewer."""
    events = gr.fixture("range_day_l1").head(1000).events
    before = [sys.getrefcount(column) for column in events]
    expected = int(events.bid_px.sum())
    for _ in range(200):
        assert read_by_users(events, True) == expected
        assert read_by_users(events, False) == expected + int(events.ask_px[0])
    assert [sys.getrefcount(column) for column in events] == before


@numba.njit
def read_by_place(events):
    ts, bid = events[0], events[3]
    last = events[-1]
    return len(events), ts[0] + len(last), bid.sum(), bid


@numba.njit
def read_by_a_variable(events, i):
    return events[i]


@numba.njit
def read_all(events):
    total = 0
    for column in events:
        total += len(column)
    return total


@numba.njit
def read_beyond(events):
    return events[99]


@needs_jit
def test_users_read_events_by_place_and_count_them():
    data = gr.fixture("range_day_l1").head(1000)
    events = data.events
    before = [sys.getrefcount(column) for column in events]
    for _ in range(200):
        length, number, total, column = read_by_place(events)
        assert (length, number, total) == (len(events), int(events[0][0]) + len(events[-1]), int(events[3].sum()))
        assert np.array_equal(column, events[3])
        assert not column.flags.writeable
    kept = read_by_place(events)[3]
    del column
    gc.collect()
    assert np.array_equal(kept, events[3]), "an array that outlives the call"
    del kept
    assert [sys.getrefcount(column) for column in events] == before


@needs_jit
@pytest.mark.parametrize("function", [lambda events: read_by_a_variable(events, 1), read_all, read_beyond])
def test_what_users_cannot_do_with_events_says_what_they_can(function):
    events = gr.fixture("range_day_l1").head(1000).events
    wanted = r"Events has \d+ fields, and no \[99\]" if function is read_beyond else r"name a field, such as \.ts \(of ts, "
    with pytest.raises(numba.TypingError, match=wanted):
        function(events)


@needs_jit
def test_a_kernel_that_users_called_still_goes_into_other_kernels():
    @kernel
    def leaf(x):
        return x + 1

    @kernel
    def middle(x):
        return leaf(x) * 2

    @kernel
    def outer(x):
        return middle(x) + leaf(x)

    calls = numba.njit(lambda x: middle(x) + 0)
    again = numba.njit(lambda x: middle(x) + leaf(x))
    assert (calls(3), again(3), outer(3), again(4)) == (8, 12, 12, 15)


@numba.njit
def half_of_users(x):
    return twice(x) + call_with_everything(np.array([1], np.int8), np.array([1, 1], np.int16), np.array([x]))


@needs_jit
def test_a_users_own_function_may_call_a_kernel():
    """numba links what a function calls, and no more: the kernel brings along what it calls itself."""
    assert half_of_users(4) == 8 + 2 * (1 + 1 + 4 + 3 + 1 + 1)
    assert half_of_users(5) == 10 + 2 * (1 + 1 + 5 + 3 + 1 + 1)


@needs_jit
def test_python_and_kernels_each_have_their_own_entry():
    """What kernels call has no wrapper for Python, which would crash if it were called without one."""
    assert twice(21) == 42
    assert twice.from_python.signatures == [(numba.int64,)]
    assert "_twin" not in vars(_jit.kernel(lambda x: x)), "it is made when Python asks"


@pytest.mark.skipif(not _jit.JIT, reason="nothing is compiled")
@pytest.mark.parametrize("collects", [True, False])
def test_a_compilation_leaves_collector_and_numba_as_they_were(collects):
    """Whether it ends well or not; while it lasts, one table holds what operations come to."""
    seen: list[tuple[bool, tuple]] = []

    @kernel
    def inner(a):
        return a + 1

    @kernel
    def outer(a):
        return inner(a) + inner(a) + a

    @kernel
    def wrong(a):
        return a + "text"

    before = numba.types.BaseFunction.get_call_type

    def watched(operation, context, given, named):
        seen.append((gc.isenabled(), (operation, *given)))
        return before(operation, context, given, named)

    was = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    numba.types.BaseFunction.get_call_type = watched
    try:
        assert outer(1) == 5
        looked_up = [question for _, question in seen]
        with pytest.raises(numba.core.errors.TypingError, match="unicode"):
            wrong(1)
        assert gc.isenabled() is collects
        assert numba.types.BaseFunction.get_call_type is watched
    finally:
        numba.types.BaseFunction.get_call_type = before
        (gc.enable if was else gc.disable)()
    assert looked_up
    assert len(looked_up) == len(set(looked_up)), "once each"
    assert not any(collected for collected, _ in seen)


@needs_jit
def test_a_branching_kernel_is_optimised_less_and_does_the_same():
    def light(numbers):
        total = 0
        for i in range(len(numbers)):
            total += numbers[i] * i if numbers[i] > 0 else -1
        return total

    def full(numbers):
        total = 0
        for i in range(len(numbers)):
            total += numbers[i] * i if numbers[i] > 0 else -1
        return total

    numbers, size = np.arange(-50, 50), {}
    for decorate, function in ((_jit.branching_kernel, light), (kernel, full)):
        compiled = decorate(function)
        compiled.from_python._cache.flush()  # code from the cache cannot be looked at
        assert compiled(numbers) == function(numbers)
        size[decorate] = len(next(iter(compiled.from_python.overloads.values())).library.get_asm_str())
    assert size[_jit.branching_kernel] < size[kernel], "no loop is unrolled there, nor vectorised"
    assert (act._compiler_of_twin, observe._compiler_of_twin) == (BranchCompiler, KernelCompiler)


def test_memory_is_asked_for_ahead_and_nothing_else_changes():
    """Rows before, within and past a column, of none at all too: it is only asked for."""

    @kernel
    def total(column: Any, far: int) -> int:
        found = 0
        for i in range(len(column)):
            fetch(column, i + far)
            found += column[i]
        fetch(column, len(column))
        return found

    column = np.arange(100)
    column.setflags(write=False)
    assert [int(total(column, far)) for far in (0, 8, -(10**9), 10**12)] == [4950] * 4
    assert int(total(column[:0], 0)) == 0
    if _jit.JIT:
        (signature,) = total.from_python.signatures
        assert "llvm.prefetch" in total.from_python.inspect_llvm(signature)


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_with_room_no_call_maps_memory_anew():
    """At any depth: without it there is one where each call does, in CPython 3.11 to 3.13."""

    def nothing():
        pass

    def pages(depth):
        if depth:
            return pages(depth - 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(500):
            nothing()
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    without = max(pages(depth) for depth in range(300))
    with_room = [_with_room(pages, depth) for depth in range(300)]
    assert max(with_room) < 100, f"without: {without}"
    assert _with_room(max, 3, 4) == 4
    with pytest.raises(ZeroDivisionError):
        _with_room(lambda: 1 // 0)
