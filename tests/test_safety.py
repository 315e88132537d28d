"""What files and names from elsewhere cannot do: run code, be read two ways, eat memory, lead out of a folder, reach the kernels.

One part a rule; each goes through every door by which a file of that kind comes in.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import grinder as gr
from grinder import _jit, intake
from grinder.cli import main
from grinder.data.fixture import Fixture, find_fixture, write_fixture
from grinder.data.importing import import_archive, import_binance, import_lean, import_table, import_tardis
from grinder.data.instrument import Instrument
from grinder.divergence import diff
from grinder.errors import ConfigError, FixtureNotFound, GrinderError, InputFault, IntegrityError
from grinder.golden import accept, read_digest, verify
from grinder.intake import MAX_TEXT, UNPACKED_COLUMNS, UNPACKED_FREE, UNPACKED_RATIO, bomb, is_one_name, is_plain_name, strict_json
from grinder.pytest_plugin import read_settings
from grinder.recorded import Recorded
from grinder.run import load
from grinder.session import replay
from grinder.study import new_study
from tests.files import BOOK_TICKER, QUOTE_ROWS, T
from tests.swings import INSTRUMENT, quotes, swing

SOURCE = Path(gr.__file__).parent
KIND = {"kind": "perpetual"}


class Touch:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with one good file of each kind: a fixture with its golden, a saved run, settings."""
    folder = tmp_path_factory.mktemp("whole")
    made = swing(folder / "swings")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        accept(made, "the golden of a test")
    replay(made, until=5000).save(folder / "run.grinder")
    (folder / "settings.toml").write_text('step = "30bp"\nlevels = 3\n')
    return folder


@pytest.fixture
def place(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "place")


# No pickle


def calls() -> list[tuple[str, str, ast.Call]]:
    """Every call in the package: (module, what is called, the call)."""
    out = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        out += [(name, ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return out


def test_the_package_has_no_pickle_of_anybody_elses():
    """numba's cache files are pickles; `_jit` reads its own alone, from a private folder, after their hash.

    A sweep in processes sends them what it does as any executor does, and the fixture through a folder of its own for this run.
    """
    forbidden = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "dbm", "yaml", "xmlrpc"}
    users = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            users |= {(path.name, name) for name in names if name.partition(".")[0] in forbidden}
    assert users == {("_jit.py", "pickle"), ("workers.py", "pickle")}
    assert [(module, called) for module, called, _ in calls() if called == "pickle.loads"] == [
        ("_jit", "pickle.loads"),
        ("workers", "pickle.loads"),
    ]
    made = {called for module, called, _ in calls() if module == "workers" and "mk" in called}
    assert made == {"tempfile.mkdtemp", "folder.mkdir"}, "a private folder, and folders in it"
    (unseal,) = (node for node in ast.walk(ast.parse((SOURCE / "_jit.py").read_text())) if getattr(node, "name", "") == "_unseal")
    told = ast.unparse(unseal)
    assert told.index("is_sealed") < told.index("raise OSError") < told.index("pickle.loads")


def test_the_package_evaluates_nothing_that_it_reads():
    """Python runs where a user names a file of Python: a policy to lint, the policy of a new study, which is our own text."""
    found = {(module, called) for module, called, _ in calls() if called in {"eval", "exec", "compile", "__import__"}}
    assert found == set()
    runners = ("runpy.", "os.system", "os.popen", "subprocess.getoutput")
    assert {(module, called) for module, called, _ in calls() if called.startswith(runners)} == {("study", "runpy.run_path")}
    assert {module for module, called, _ in calls() if called.endswith("exec_module")} == {"reruns"}
    shells = [
        module for module, called, node in calls() for word in node.keywords if word.arg == "shell" if called != "shtab.complete"
    ]
    assert shells == []


def test_arrays_are_read_and_written_without_objects():
    for module, called, node in calls():
        if called in {"np.load", "np.save", "np.savez", "np.savez_compressed"}:
            allowed = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert allowed.get("allow_pickle") == "False", f"{module}: {called}"
        assert called not in {"np.fromfile", "np.memmap", "np.lib.format.open_memmap"}, module


def pickled(at: Path, ran: Path) -> Path:
    at.write_bytes(pickle.dumps(Touch(ran)))
    return at


def npz(at: Path, ran: Path) -> Path:
    """An array of objects, which numpy keeps as a pickle, in a file like a saved run's."""
    with at.open("wb") as file:
        np.savez(file, meta=np.array([Touch(ran)], object))
    return at


def npy(at: Path, ran: Path) -> Path:
    with at.open("wb") as file:
        np.save(file, np.array([Touch(ran)], object), allow_pickle=True)
    return at


DOORS: dict[str, Callable[[Path, Path], object]] = {
    "a saved run": lambda _, file: load(file),
    "a side of a diff": lambda place, file: diff(place / "run.grinder", file),
    "a run of another version": lambda _, file: Recorded.read(file, "a"),
    "a golden": lambda _, file: read_digest(file),
    "a manifest": lambda place, file: (shutil.copy(file, place / "swings" / "fixture.toml"), Fixture.open(place / "swings")),
    "a stream": lambda place, file: (shutil.copy(file, place / "swings" / "quotes.parquet"), Fixture.open(place / "swings")),
    "a recording": lambda place, file: import_binance(file, place / "made", kind="perpetual"),
    "an archive": lambda place, file: import_archive(
        [shutil.copy(file, place / "BTCUSDT-bookTicker-2024-01-01.csv")], place / "made", **KIND
    ),
    "lean": lambda place, file: import_lean([shutil.copy(file, place / "20240101_quote.zip")], place / "made", symbol="X", **KIND),
    "tardis": lambda place, file: import_tardis([file], place / "made", **KIND),
    "a table": lambda place, file: import_table(place / "made", symbol="X", quotes=file, **KIND),
    "commands": lambda place, file: import_table(place / "made", symbol="X", quotes=good_table(place), commands=file, **KIND),
    "settings": lambda _, file: read_settings(file),
}


def good_table(folder: Path) -> Path:
    file = folder / "good.csv"
    file.write_text(f"ts,bid_px,bid_qty,ask_px,ask_qty\n{T},1,1,2,1\n")
    return file


@pytest.mark.parametrize("make", [pickled, npz, npy])
@pytest.mark.parametrize("door", DOORS)
def test_a_pickle_is_refused_and_never_run(door, make, place, tmp_path):
    file = make(tmp_path / "evil.grinder", tmp_path / "ran")
    with pytest.raises(GrinderError) as refused:
        DOORS[door](place, file)
    assert refused.value.exit_code in (2, 3)
    assert not (tmp_path / "ran").exists()
    assert not (place / "made").exists()


def test_the_pickle_of_these_tests_would_run(tmp_path):
    pickle.loads(pickled(tmp_path / "a", tmp_path / "ran").read_bytes())
    assert (tmp_path / "ran").exists()


# Strict JSON


WRONG_JSON = {
    "a key twice": ('"events":', '"events": 1, "events":', "key 'events' twice"),
    "a key twice inside": ('"count":', '"count": 0, "count":', "key 'count' twice"),
    "an unknown key": ('"events":', '"event": 1, "events":', "unknown key .*event"),
    "an unknown stage": ('"bars":', '"candles": {}, "bars":', r"unknown key stages\.candles"),
    "an unknown key of a stage": ('"count":', '"counts": 1, "count":', r"unknown key stages\.\w+\.counts"),
    "a missing key": ('"events":', '"event":', "key .*event"),
    "NaN": ('"events":', '"x": NaN, "events":', "NaN is no number"),
    "Infinity": ('"events":', '"x": [-Infinity], "events":', "-Infinity is no number"),
    "a number beyond floats": ('"events":', '"x": 1e999, "events":', "1e999 is beyond every float"),
    "true for a count": (r'"events": *\d+', '"events": true', "events is True, no int"),
    "a float for a count": (r'"events": *(\d+)', r'"events": \1.0', r"events is \d+\.0, no int"),
    "text for a count": (r'"events": *(\d+)', r'"events": "\1"', r"events is '\d+', no int"),
    "a list": (r"(?s)^.*$", "[]", "no object|indices"),
    "nested beyond end": (r"(?s)^.*$", "[" * 200_000, "RecursionError"),
}


def wrong(text: str, case: str) -> str:
    pattern, by, _ = WRONG_JSON[case]
    out, n = re.subn(pattern, by, text, count=1)
    assert n == 1
    return out


@pytest.mark.parametrize("case", WRONG_JSON)
def test_a_golden_is_strict_json(case, place):
    file = place / "swings" / "digest.json"
    file.write_text(wrong(file.read_text(), case))
    with pytest.raises(IntegrityError, match=f"digest\\.json: .*({WRONG_JSON[case][2]})"):
        read_digest(file)
    with pytest.raises(IntegrityError, match="digest"):
        verify(place / "swings")


def with_meta(file: Path, change: Callable[[str], str], **more: np.ndarray) -> Path:
    """A saved run with other text, and other arrays beside its own."""
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    kept["meta"] = np.frombuffer(change(kept["meta"].tobytes().decode()).encode(), np.uint8)
    with file.open("wb") as out:
        np.savez_compressed(out, **(kept | more))
    return file


@pytest.mark.parametrize("case", WRONG_JSON)
def test_a_saved_run_is_strict_json(case, place):
    file = with_meta(place / "run.grinder", lambda text: wrong(text, case))
    with pytest.raises(IntegrityError, match=f"run\\.grinder: .*({WRONG_JSON[case][2]})"):
        load(file)


@pytest.mark.parametrize("case", ["a key twice", "a key twice inside", "NaN", "Infinity", "a number beyond floats"])
def test_a_run_of_another_version_is_strict_json_too(case, place):
    """Its keys may be unlike ours, its JSON may not."""
    file = with_meta(place / "run.grinder", lambda text: wrong(text.replace('"format": 3', '"format": 2', 1), case))
    with pytest.raises(IntegrityError):
        Recorded.read(file, "a")


def test_a_saved_run_holds_its_arrays_each_once_and_no_others(place):
    good = (place / "run.grinder").read_bytes()
    with pytest.raises(IntegrityError, match="unknown key more"):
        load(with_meta(place / "run.grinder", str, more=np.zeros(3)))
    (place / "run.grinder").write_bytes(good)
    with zipfile.ZipFile(place / "run.grinder", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("meta.npy", archive.read("meta.npy"))
    with pytest.raises(IntegrityError, match=r"'meta\.npy' is in it twice"):
        load(place / "run.grinder")


@pytest.mark.parametrize("name", ["../evil.npy", "/evil.npy", "a\\b.npy", "evil", "world.../x.npy"])
def test_a_saved_run_has_no_member_that_leads_out(name, place):
    with zipfile.ZipFile(place / "run.grinder", "a") as archive:
        archive.writestr(name, b"")
    with pytest.raises(IntegrityError, match="is no array of a run"):
        load(place / "run.grinder")


def test_json_is_read_by_the_strict_reader_alone():
    """What else reads JSON reads what this package wrote a moment ago, pip's record of an installation, or an exchange's lines."""
    others = {"reruns": "json.load", "study": "json.loads", "data.binance": "orjson.loads", "intake": "json.loads"}
    found = {(module, called) for module, called, _ in calls() if called in {"json.load", "json.loads", "orjson.loads"}}
    assert found == set(others.items())


def test_a_line_of_a_recording_is_json_of_numbers_that_there_are(tmp_path):
    """NaN and Infinity are no JSON there either, and a price is text; keys that an exchange adds are its own."""
    for word in ("NaN", "Infinity", "1e999"):
        file = tmp_path / "a.txt"
        file.write_text(f'{T}000000 {{"stream":"x@bookTicker","data":{{"u":{word},"s":"X","b":"1","B":"1","a":"2","A":"1"}}}}\n')
        with pytest.raises(InputFault) as refused:
            import_binance(file, tmp_path / "made", kind="perpetual")
        assert (Path(str(refused.value.file)), refused.value.row) == (file, 0)


# Strict TOML

WRONG_TOML = {
    "an unknown key": ("schema = 1", "schema = 1\nsize = 2", "unknown key 'size'"),
    "a key twice": ("schema = 1", "schema = 1\nschema = 1", "Cannot overwrite a value"),
    "a table twice": ("[config]", "[config]\n[config]", "Cannot declare"),
    "an unknown key of a stream": ("rows = ", "size = 1\nrows = ", r"unknown key streams\.quotes\.size"),
    "a float for a count": ("rows = 9000", "rows = 9000.0", r"streams\.quotes\.rows is missing or no int"),
    "nan for a count": ("rows = 9000", "rows = nan", r"streams\.quotes\.rows is missing or no int"),
    "true for a count": ("rows = 9000", "rows = true", r"streams\.quotes\.rows is missing or no int"),
    "no UTF-8": ("a swing", "\udcff", "UnicodeDecodeError"),
}
WRONG_SETTINGS = {
    "an unknown setting": ('step = "30bp"', 'step = "30bp"\nstride = 3', "stride"),
    "nan": ('step = "30bp"', "step = nan", "step"),
    "inf": ('step = "30bp"', "step = inf", "step"),
    "a setting twice": ('step = "30bp"', 'step = "30bp"\nstep = "30bp"', "Cannot overwrite a value"),
}


@pytest.mark.parametrize("case", WRONG_TOML)
def test_a_manifest_is_strict_toml(case, place):
    file = place / "swings" / "fixture.toml"
    old, new, said = WRONG_TOML[case]
    text = file.read_text()
    assert old in text
    file.write_bytes(text.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    with pytest.raises(IntegrityError, match=f"fixture\\.toml: .*{said}"):
        Fixture.open(place / "swings")


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_settings_in_a_manifest_and_in_a_file_are_strict(case, place):
    old, new, said = WRONG_SETTINGS[case]
    manifest, settings = place / "swings" / "fixture.toml", place / "settings.toml"
    for file, door in (
        (manifest, lambda: Fixture.open(place / "swings")),
        (settings, lambda: gr.pytest_plugin.Replayer(place)._settings("settings.toml")),
    ):
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        with pytest.raises(GrinderError, match=said) as refused:
            door()
        assert file.name in "\n".join([str(refused.value), *getattr(refused.value, "__notes__", ())])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('symbol = "SWING"', 'symbol = "SWING"\nmargin = 3', "margin"),
        ('tick_size = "0.1"', "tick_size = nan", "tick_size"),
        ('tick_size = "0.1"', "tick_size = inf", "tick_size"),
        ("fills = 10", "filled = 10", "filled"),
        ("fills = 10", "fills = inf", "fills"),
    ],
)
def test_instruments_and_expectations_are_strict(old, new, said, place):
    file = place / "swings" / "fixture.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(GrinderError, match=said):
        verify(place / "swings")


@pytest.mark.parametrize("words", [["--set", "step=5bp", "--set", "step=5bp"], ["--set", "stride=1"], ["--set", "step=nan"]])
def test_settings_on_the_command_line_are_strict(words, place, capsys):
    assert main(["replay", str(place / "swings"), *words]) == 2
    assert words[-1].partition("=")[0] in capsys.readouterr().err


def test_texts_have_a_largest_size(place):
    """Sparse files, of which nothing is read."""
    for file, door in (
        (place / "swings" / "digest.json", lambda: read_digest(place / "swings" / "digest.json")),
        (place / "swings" / "fixture.toml", lambda: Fixture.open(place / "swings")),
        (place / "settings.toml", lambda: read_settings(place / "settings.toml")),
    ):
        os.truncate(file, MAX_TEXT + 1)
        with pytest.raises(GrinderError, match=f"{MAX_TEXT + 1:,} bytes, more than {MAX_TEXT:,}") as refused:
            door()
        assert file.name in str(refused.value)


def test_the_strict_reader():
    assert strict_json('{"a": {"a": [1, -2.5, null, true]}, "b": {}}') == {"a": {"a": [1, -2.5, None, True]}, "b": {}}
    for text, said in (
        ('{"a": 1, "b": {"c": 1, "d": 2, "c": 1}}', "'c' twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("1e400", "1e400"),
        ("", "Expecting"),
        ("{} {}", "Extra"),
    ):
        with pytest.raises(ValueError, match=said):
            strict_json(text)


# Bombs


ROW = f"{T},42000.1,1.5,42000.2,2\n".encode()
HEADER = b"ts,bid_px,bid_qty,ask_px,ask_qty\n"


def gzip_bomb(at: Path, row: bytes, header: bytes, gigabytes: int) -> Path:
    """One member over and over, so that it is made at once."""
    member = gzip.compress(row * (2**24 // len(row)), 9)
    at.write_bytes(gzip.compress(header) + member * (64 * gigabytes))
    return at


def zip_bomb(at: Path, row: bytes, header: bytes, megabytes: int) -> Path:
    with zipfile.ZipFile(at, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("q.csv", "w") as member:
        member.write(header)
        for _ in range(megabytes):
            member.write(row * (2**20 // len(row)))
    return at


def parquet_bomb(at: Path) -> Path:
    """Ten million rows of nothing in some kilobytes."""
    zeros = np.zeros(10_000_000, np.uint8)
    frame = pl.DataFrame(dict.fromkeys(("ts", "symbol", "bid_px", "bid_qty", "ask_px", "ask_qty"), zeros))
    frame.write_parquet(at, compression="zstd", row_group_size=10_000_000)
    return at


def run_bomb(at: Path) -> Path:
    """A saved run's zip that declares, and holds, 256 MB of zeros."""
    with zipfile.ZipFile(at, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("meta.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (2**28,)})
        for _ in range(256):
            member.write(bytes(2**20))
    return at


LINE = f'{T}000000 {{"stream":"x@bookTicker","data":{{"u":1,"s":"X","b":"1","B":"1","a":"2","A":"1"}}}}\n'.encode()
BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "table.csv.gz": (lambda at: gzip_bomb(at, ROW, HEADER, 8), "import_table(out, symbol='X', quotes=file, kind='spot')"),
    "table.zip": (lambda at: zip_bomb(at, ROW, HEADER, 192), "import_table(out, symbol='X', quotes=file, kind='spot')"),
    "table.parquet": (parquet_bomb, "import_table(out, symbol='X', quotes=file, kind='spot')"),
    "commands.csv.gz": (
        lambda at: gzip_bomb(at, f"{T},pause\n".encode(), b"ts,command\n", 8),
        "import_table(out, symbol='X', quotes=good, commands=file, kind='spot')",
    ),
    "BTCUSDT-bookTicker-2024-01-01.csv.gz": (
        lambda at: gzip_bomb(at, QUOTE_ROWS[0].encode() + b"\n", BOOK_TICKER.encode() + b"\n", 8),
        "import_archive([file], out, kind='perpetual')",
    ),
    "BTCUSDT-trades-2024-01-01.zip": (
        lambda at: zip_bomb(at, f"1,42000.1,1,42000.1,{T},true\n".encode(), b"", 192),
        "import_archive([file], out, kind='perpetual')",
    ),
    "20240101_quote.zip": (
        lambda at: zip_bomb(at, b"0,1,1,1,1,1,2,2,2,2,1\n", b"", 192),
        "import_lean([file], out, symbol='X', kind='spot')",
    ),
    "binance_quotes_2024-01-01_X.csv.gz": (
        lambda at: gzip_bomb(
            at, f"binance,X,{T}000,{T}000,1,2,1,1\n".encode(),
            b"exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n", 8,
        ),
        "import_tardis([file], out, kind='spot')",
    ),
    "recording.gz": (lambda at: gzip_bomb(at, LINE, b"", 8), "import_binance(file, out, kind='spot')"),
    "run.grinder": (run_bomb, "load(file)"),
    "other.grinder": (run_bomb, "Recorded.read(file, 'a')"),
}  # fmt: skip
"""A file that unpacks to gigabytes of rows that are right, and the door that it comes to."""
DOOR = """
import resource, sys
from pathlib import Path
import polars, numba
from grinder.data.importing import import_archive, import_binance, import_lean, import_table, import_tardis
from grinder.errors import GrinderError
from grinder.recorded import Recorded
from grinder.run import load
file, out, good = map(Path, sys.argv[1:4])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
try:
    DOOR
except GrinderError as error:
    print(type(error).__name__, peak() - before)
    print(error)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_eats_no_memory(name, tmp_path):
    make, door = BOMBS[name]
    file = make(tmp_path / name)
    words = [sys.executable, "-c", DOOR.replace("DOOR", door), str(file), str(tmp_path / "out"), str(good_table(tmp_path))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kind, grown = done.stdout.split()[:2]
    assert kind in ("InputFault", "IntegrityError"), done.stdout
    assert file.name in done.stdout
    ratio = UNPACKED_COLUMNS if name.endswith(".parquet") else UNPACKED_RATIO
    assert f"unpacks to more than {ratio} times its size and {UNPACKED_FREE:,} bytes" in done.stdout
    assert int(grown) < 9 * UNPACKED_FREE, f"{int(grown):,} bytes"
    assert not (tmp_path / "out").exists()


def test_a_stream_of_a_fixture_is_no_bomb(place):
    """Though its manifest vouches for it."""
    import hashlib

    file = place / "swings" / "quotes.parquet"
    text = (place / "swings" / "fixture.toml").read_text()
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    parquet_bomb(file)
    text = text.replace(before, hashlib.sha256(file.read_bytes()).hexdigest()).replace("rows = 9000", "rows = 10_000_000")
    (place / "swings" / "fixture.toml").write_text(text)
    with pytest.raises(IntegrityError, match=r"quotes\.parquet: it unpacks to more than 1000 times its size"):
        Fixture.open(place / "swings")


def test_a_member_that_holds_more_than_it_declares_gives_no_more(place):
    """A saved run whose zip lies about what is in it: reading stops at what was declared, and the checksum tells."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.npy", bytes(2**24))
    raw = body.getvalue().replace((2**24).to_bytes(4, "little"), (128).to_bytes(4, "little"))
    (place / "run.grinder").write_bytes(raw)
    with pytest.raises(IntegrityError, match=r"run\.grinder: no readable saved run"):
        load(place / "run.grinder")
    assert len(zlib.compress(bytes(2**24))) * UNPACKED_RATIO < 2**24


def test_what_is_real_is_no_bomb():
    """The fixtures that come with grinder unpack to a tenth of what is allowed at most."""
    ratios = []
    for file in (Path(__file__).resolve().parents[1] / "fixtures").glob("*/*.parquet"):
        whole = pl.scan_parquet(file)
        unpacked = 8 * whole.select(pl.len()).collect().item() * len(whole.collect_schema())
        ratios.append(unpacked / file.stat().st_size)
    assert 5 < max(ratios) < UNPACKED_RATIO / 5
    assert bomb(1, UNPACKED_FREE) == ""
    assert bomb(1, UNPACKED_FREE + 1)
    assert bomb(UNPACKED_FREE, UNPACKED_RATIO * UNPACKED_FREE) == ""
    assert bomb(UNPACKED_FREE, UNPACKED_RATIO * UNPACKED_FREE + 1)


# Names that cannot leave their folder

PATHS = ("..", "../x", "/x", "a/b", "a\\b", "..\\x", "", ".", ".x", "a\0b")
BAD = (*PATHS, "a/../b", "C:x", "x\n", "X", "é", "con", "nul", "com1", "lpt9")
FOLDERS = ("..", "../x", "/x", "a/b", "a/../b", "", ".")
"""As a folder to write to these are other folders, each with a name of its own."""


@pytest.mark.parametrize("name", BAD)
def test_names_of_fixtures(name, place, tmp_path):
    assert not is_plain_name(name)
    if name not in FOLDERS:
        with pytest.raises(ConfigError, match="fixture name"):
            write_fixture(f"{tmp_path}/{name}", [INSTRUMENT], {"quotes": quotes()}, shows="")
    manifest = place / "swings" / "fixture.toml"
    text = manifest.read_text()
    quoted = json.dumps(name)
    for old, new, said in (
        ('name = "swings"', f"name = {quoted}", "name = "),
        ('file = "quotes.parquet"', f"file = {json.dumps(name + '.parquet')}", "no plain name"),
        ('file = "quotes.parquet"', f"file = {quoted}", "no plain name"),
    ):
        manifest.write_text(text.replace(old, new, 1))
        with pytest.raises(IntegrityError, match=said):
            Fixture.open(place / "swings")


@pytest.mark.parametrize("name", ["con", "nul", "a\0b", "X", "é", "x\\y", "C:x", "x\n", ""])
def test_a_name_is_looked_for_among_fixtures_alone(name, tmp_path, monkeypatch):
    """Text with a separator or a dot before it is a folder that the user means; any other is a plain name or none."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FixtureNotFound):
        find_fixture(name)


@pytest.mark.parametrize("name", PATHS)
def test_names_of_runs(name, place):
    """A run that was loaded looks for the fixture of its name: that has to be a name."""
    assert not is_one_name(name)
    with pytest.raises(ConfigError, match="fixture name"):
        Fixture.from_arrays([INSTRUMENT], quotes=quotes(), name=name)
    with pytest.raises(IntegrityError, match="could be a path"):
        load(with_meta(place / "run.grinder", lambda text: text.replace('"name": "swings"', f'"name": {json.dumps(name)}', 1)))


@pytest.mark.parametrize("symbol", ["..", "../x", "/x", "x/", "a//b", ".", "a/../b", "a\\b", "a\0b", "x\n", "", "é", "x" * 33])
def test_names_of_symbols(symbol):
    with pytest.raises(ConfigError, match="symbol"):
        Instrument(symbol=symbol, kind="spot", tick_size="0.1", lot_size="0.1")
    assert Instrument(symbol="BTC/USDT:USDT", kind="spot", tick_size="0.1", lot_size="0.1").symbol == "BTC/USDT:USDT"


@pytest.mark.parametrize("name", ["con", "NUL", "com1.x", "a\0b"])
def test_names_of_studies(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="can be no folder everywhere"):
        new_study(name)
    with pytest.raises(ConfigError, match="cannot begin with"):
        new_study("fine", "../../evil")
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_nul_is_a_named_error_at_every_door(place):
    for door in DOORS.values():
        with pytest.raises((GrinderError, ValueError)) as refused:
            door(place, Path(f"{place}/a\0b"))
        if not isinstance(refused.value, GrinderError):  # `shutil.copy` of the test itself
            assert any("shutil" in str(entry.path) for entry in refused.traceback)
    with pytest.raises(ConfigError, match="cannot be written"):
        load(place / "run.grinder").save(f"{place}/a\0b")


@pytest.mark.parametrize("name", ["../q.csv", "/q.csv", "a/../../q.csv", "..\\q.csv", "C:\\q.csv", "a/b/../q.csv"])
def test_members_of_a_zip_that_lead_out(name, tmp_path):
    file = tmp_path / "q.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, HEADER + ROW)
    for door in (
        lambda: import_table(tmp_path / "made", symbol="X", quotes=file, **KIND),
        lambda: import_archive([file], tmp_path / "made", **KIND),
        lambda: import_lean([file], tmp_path / "made", **KIND),
    ):
        with pytest.raises(InputFault, match=r"q\.zip.*named as if it were elsewhere"):
            door()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.zip"]


@pytest.mark.parametrize("name", ["fixture.toml", "quotes.parquet", "digest.json"])
def test_files_of_a_fixture_are_its_own(name, place):
    """A link that leads out of the folder is refused; one inside it is not."""
    folder = place / "swings"
    (folder / name).rename(place / name)
    (folder / name).symlink_to(place / name)
    with pytest.raises(IntegrityError, match=f"{name}: is a link that leads out"):
        verify(folder)
    (folder / name).unlink()
    (place / name).rename(folder / "own")
    (folder / name).symlink_to("own")
    assert verify(folder).passed


def test_a_link_is_never_written_through(place, monkeypatch):
    """`accept` and `save` put a new file in the place of a link; what it led to stays."""
    monkeypatch.delenv("CI", raising=False)
    run = load(place / "run.grinder")
    for link, write in (
        (place / "swings" / "digest.json", lambda: accept(place / "swings", "a link was here")),
        (place / "linked.grinder", lambda: run.save(place / "linked.grinder")),
    ):
        link.unlink(missing_ok=True)
        (place / "kept").write_text("kept")
        link.symlink_to(place / "kept")
        write()
        assert not link.is_symlink()
        assert (place / "kept").read_text() == "kept"


# The cache of kernels


def test_the_cache_directory_is_private_whatever_the_umask(tmp_path):
    code = (
        "import os; os.umask(0); from grinder import _jit; d = _jit.cache_directory(); "
        "from grinder.units import fee_atoms; fee_atoms(1, 1); print(d)"
    )
    environment = os.environ | {"GRINDER_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=600)
    directory = Path(done.stdout.strip())
    assert directory.parent == tmp_path / "cache"
    for path in (directory, directory.parent):
        assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o700, os.getuid())


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o722])
def test_a_cache_that_others_can_write_to_is_left_alone(mode, tmp_path, monkeypatch):
    """What is in it is neither read nor written; kernels go to a passing folder of this process alone."""
    monkeypatch.setenv("GRINDER_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    found = _jit.cache_directory.__wrapped__()
    try:
        assert tmp_path not in found.parents
        assert (found.stat().st_mode & 0o777, found.stat().st_uid) == (0o700, os.getuid())
        assert list((tmp_path / "cache").iterdir()) == []
    finally:
        found.rmdir()


def test_a_cache_of_somebody_else_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GRINDER_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o700)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    found = _jit.cache_directory.__wrapped__()
    assert tmp_path not in found.parents
    assert list((tmp_path / "cache").iterdir()) == []
    found.rmdir()


def test_a_link_to_a_cache_of_somebody_else_is_no_way_in(tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs").chmod(0o777)
    (tmp_path / "cache").symlink_to(tmp_path / "theirs")
    monkeypatch.setenv("GRINDER_CACHE_DIR", str(tmp_path / "cache"))
    found = _jit.cache_directory.__wrapped__()
    assert tmp_path not in found.parents
    assert list((tmp_path / "theirs").iterdir()) == []
    found.rmdir()


def test_a_pickle_in_the_cache_that_is_not_sealed_is_never_run(tmp_path):
    file = _jit._SealedCacheFile(str(tmp_path), "f", ("stamp", 1))
    file.save("int64", {"code": 1})
    for path in tmp_path.iterdir():
        pickled(path, tmp_path / "ran")
    assert file.load("int64") is None
    assert not (tmp_path / "ran").exists()


def test_every_name_of_the_intake_is_used():
    """What guards a door stands in a door."""
    texts = "".join(path.read_text() for path in SOURCE.rglob("*.py") if path.name != "intake.py")
    assert [name for name in intake.__all__ if name.islower() and not re.search(rf"\b{name}\(", texts)] == []
