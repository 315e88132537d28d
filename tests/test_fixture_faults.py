"""A damaged fixture: every fault of the manifest and of the files has its named error, its place and exit code 3."""

from __future__ import annotations

import hashlib
import random
import shutil
import tomllib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from grinder.cli import main
from grinder.data.fixture import Fixture, to_toml, write_fixture
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, DataError, FixtureNotFound, GrinderError, InputFault, IntegrityError
from tests.test_fixture import ALFA, BETA, four_streams

REAL = Path(__file__).resolve().parents[1] / "fixtures" / "binance_btcusdt_6m"


@pytest.fixture
def folder(tmp_path) -> Path:
    write_fixture(tmp_path / "four", [ALFA, BETA], four_streams(), shows="four streams", config={"step": "5bp"})
    return tmp_path / "four"


def refused(folder: Path, error: type[GrinderError], message: str, code: int = 3) -> GrinderError:
    """Opening fails with exactly this error, and the command line ends with its exit code."""
    with pytest.raises(error, match=message) as caught:
        Fixture.open(folder)
    assert type(caught.value) is error
    assert main(["replay", f"{folder}", "--set", "quantity=1"]) == code
    return caught.value


def test_no_folder_and_no_manifest(tmp_path):
    refused(tmp_path / "nothing", FixtureNotFound, r"nothing: there is no fixture\.toml")
    refused(tmp_path, FixtureNotFound, r"there is no fixture\.toml")


MANIFEST_FAULTS = [
    ("schema = 1", "schema = 1\nbogus = 2", "unknown key 'bogus'"),
    ("schema = 1", "schema = 2", "schema 2; this version of grinder reads 1"),
    ("schema = 1", "schema = true", "schema is missing or no int"),
    ("schema = 1", "", "schema is missing or no int"),
    ('name = "four"', "name = 4", "name is missing or no str"),
    ('name = "four"', 'name = "../../etc"', "name = '../../etc' is not 1 to 64"),
    ("schema = 1", "schema = = 1", "no valid TOML"),
    ('shows = "four', 'shows = "\x00', "no valid TOML"),
    ("content_sha256", "content_sha257", "unknown key 'content_sha257'"),
    ('content_sha256 = "', 'content_sha256 = "0', "content_sha256 is 0.*the data hash to"),
    ("[[instruments]]", "[instruments]", "instruments is missing or no list|no valid TOML"),
    ("\n[config]", "\n[configs]", "unknown key 'configs'"),
    ("[streams.quotes]", "[streams.ticks]", r"streams\.ticks.*there is no such stream"),
    ("[streams.quotes]", "[streams.QUOTES]", r"streams\.QUOTES.*there is no such stream"),
    ('file = "quotes.parquet"', 'file = "../four/quotes.parquet"', r"streams\.quotes\.file = .* is no plain name"),
    ('file = "quotes.parquet"', 'file = "/etc/passwd"', "is no plain name"),
    ('file = "quotes.parquet"', 'file = "q.parquet"', r"q\.parquet: is missing, the manifest lists it"),
    ('file = "quotes.parquet"', 'file = "quotes.parquet"\nextra = 1', r"unknown key streams\.quotes\.extra"),
    ('file = "quotes.parquet"\n', "", r"streams\.quotes\.file is missing or no str"),
    ('file = "quotes.parquet"\nrows = 40', 'file = "quotes.parquet"\nrows = "40"', r"streams\.quotes\.rows is missing or no int"),
    (
        'file = "quotes.parquet"\nrows = 40',
        'file = "quotes.parquet"\nrows = 39',
        r"quotes\.parquet: holds 40 rows, the manifest says 39",
    ),
    (
        'file = "quotes.parquet"\nrows = 40',
        'file = "quotes.parquet"\nrows = 41',
        r"quotes\.parquet: holds 40 rows, the manifest says 41",
    ),
    ('file = "quotes.parquet"\nrows = 40', 'file = "quotes.parquet"\nrows = -1', "the manifest says -1"),
    ('file = "quotes.parquet"\nrows = 40', f'file = "quotes.parquet"\nrows = {10**18}', f"the manifest says {10**18}"),
    ('bytes_sha256 = "', 'bytes_sha256 = "0', "sha256 is .*, the manifest says 0.*restore the file"),
]


@pytest.mark.parametrize(("old", "new", "message"), MANIFEST_FAULTS)
def test_manifest_faults(folder, old, new, message):
    manifest = folder / "fixture.toml"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    refused(folder, IntegrityError, message)


def test_manifests_of_other_shapes(folder):
    manifest = folder / "fixture.toml"
    text = manifest.read_text()
    for key in ("config", "source", "expect"):
        manifest.write_text(
            f"{key} = 5\n" + text.replace(f"[{key}]", f"[{key}.inner]").replace(f"\n[{key}.inner]\n", "\n").replace("step =", "#")
        )
        refused(folder, IntegrityError, f"{key} is no table")
    manifest.write_text("instruments = [1, 2]\n" + text[: text.index("[[instr")] + text[text.index("[config]") :])
    refused(folder, IntegrityError, "instruments are tables")
    manifest.write_bytes(b"\xff" + text.encode())
    refused(folder, IntegrityError, "no valid TOML: .*utf-8")
    manifest.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert Fixture.open(folder).name == "four", "a byte order mark and CRLF are accepted (SPEC 2.2)"


SETTING_FAULTS = [
    ('step = "5bp"', 'stepp = "5bp"', "stepp: there is no such setting"),
    ('step = "5bp"', 'step = "-5bp"', "step: .*-5bp"),
    ('symbol = "BETA"', 'symbol = "ALFA"', "two instruments have the same symbol"),
    ('quote = "USDT"', 'quote = "EUR"', "one quote currency"),
    ("quote_decimals = 8", "quote_decimals = 9", "one quote currency and one quote_decimals"),
    ('tick_size = "0.1"', 'tick_size = "0"', "BETA.*tick_size"),
    ('kind = "perpetual"', 'kind = "inverse_perpetual"', "inverse contracts are not supported"),
    ('kind = "perpetual"', "", "kind: is missing"),
]


@pytest.mark.parametrize(("old", "new", "message"), SETTING_FAULTS)
def test_settings_faults(folder, capsys, old, new, message):
    manifest = folder / "fixture.toml"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    error = refused(folder, ConfigError, message, code=2)
    assert error.__notes__ == [f"in {manifest}"]
    assert f"in {manifest}" in capsys.readouterr().err


def test_funding_of_a_spot(folder):
    manifest = folder / "fixture.toml"
    manifest.write_text(manifest.read_text().replace('kind = "perpetual"', 'kind = "spot"'))
    fault = refused(folder, InputFault, "funding of a spot instrument")
    assert (fault.file, fault.row, fault.column, fault.value) == (folder / "funding.parquet", 0, "symbol", "BETA")


# Files


def rewrite(folder: Path, change, stream: str = "quotes") -> Path:
    """Change a stream's file and set its byte hash and row count right, as a wrong tool would."""
    file = folder / f"{stream}.parquet"
    before, rows = hashlib.sha256(file.read_bytes()).hexdigest(), len(pl.read_parquet(file.read_bytes()))
    changed = change(pl.read_parquet(file.read_bytes()))
    if isinstance(changed, bytes):
        file.write_bytes(changed)
    else:
        changed.write_parquet(file)
        text = (folder / "fixture.toml").read_text()
        entry = f'file = "{file.name}"\nrows = '
        (folder / "fixture.toml").write_text(text.replace(f"{entry}{rows}", f"{entry}{len(changed)}"))
    after = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "fixture.toml").write_text((folder / "fixture.toml").read_text().replace(before, after))
    return file


def test_a_missing_file_and_any_flipped_byte(folder):
    file = folder / "trades.parquet"
    good = file.read_bytes()
    for at in (0, 4, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        refused(folder, IntegrityError, r"trades\.parquet: sha256 is .*, the manifest says")
    file.write_bytes(good[:-1])
    refused(folder, IntegrityError, r"trades\.parquet: sha256 is")
    file.unlink()
    refused(folder, IntegrityError, r"trades\.parquet: is missing, the manifest lists it")


COLUMN_FAULTS = [
    (lambda frame: frame.drop("ask_px"), "missing column", (None, "ask_px", None)),
    (lambda frame: frame.with_columns(mid=pl.lit(1)), "extra column", (None, "mid", None)),
    (lambda frame: frame.with_columns(pl.col("bid_px").cast(pl.Float64)), "not an integer column", (None, "bid_px", pl.Float64)),
    (lambda frame: frame.with_columns(pl.col("bid_qty").cast(pl.String)), "not an integer column", (None, "bid_qty", pl.String)),
    (
        lambda frame: frame.with_columns(pl.col("ts").cast(pl.Datetime("ns"))),
        "not an integer column",
        (None, "ts", pl.Datetime("ns")),
    ),
    (lambda frame: frame.with_columns(pl.when(pl.int_range(40) != 17).then("bid_px")), "a value is missing", (17, "bid_px", None)),
    (lambda frame: frame.with_columns(pl.col("symbol") + 5 * (pl.int_range(40) == 9)), "value out of range", (9, "symbol", None)),
    (lambda frame: frame.reverse(), "timestamps out of order", (None, "ts", None)),
]


@pytest.mark.parametrize(("change", "reason", "place"), COLUMN_FAULTS)
def test_wrong_columns(folder, change, reason, place):
    file = rewrite(folder, change)
    fault = refused(folder, InputFault, reason)
    assert (fault.file, fault.column) == (file, place[1])
    if reason not in ("timestamps out of order", "value out of range"):
        assert (fault.row, fault.value) == (place[0], place[2])
    elif place[0] is not None:
        assert fault.row == place[0]


def test_values_past_63_bits_and_changed_values(folder):
    shutil.copytree(folder, folder.with_name("copy"))
    rewrite(folder, lambda frame: frame.with_columns(pl.col("bid_qty").cast(pl.UInt64) + pl.lit(2**63, pl.UInt64)))
    refused(folder, IntegrityError, r"quotes\.parquet: no readable Parquet: .*conversion from `u64` to `i64` failed")
    rewrite(folder.with_name("copy"), lambda frame: frame.with_columns(pl.col("bid_qty") + 1))
    refused(folder.with_name("copy"), IntegrityError, "content_sha256 is .*, the data hash to")


def test_rows_that_are_gone_or_more(folder):
    rewrite(folder, lambda frame: frame.head(39))
    refused(folder, IntegrityError, "content_sha256 is")
    rewrite(folder, lambda frame: pl.concat([frame, frame.tail(1)]))
    refused(folder, IntegrityError, "content_sha256 is")


def test_a_reader_that_loses_rows_is_noticed(folder, monkeypatch):
    whole = pl.LazyFrame.collect_batches
    for lost in (1, -1):
        monkeypatch.setattr(
            pl.LazyFrame,
            "collect_batches",
            lambda *a, lost=lost, **kw: (f[: 40 - lost] if lost > 0 else pl.concat([f, f]) for f in whole(*a, **kw)),
        )
        refused(folder, IntegrityError, rf"books\.parquet: gave {39 if lost > 0 else 80} of its 40 rows")


def test_empty_fixtures_and_symbols_without_quotes(folder, tmp_path):
    for stream in ("books", "quotes"):
        rewrite(folder, lambda frame: frame.filter(pl.col("symbol") == 0), stream)
    refused(folder, DataError, "BETA has no accepted quote or book")
    # One empty file is enough: a fill model would see no trade, and that would look like a market without any.
    for stream in ("trades", "quotes", "funding", "books"):
        rewrite(folder, lambda frame: frame.clear(), stream)
        refused(
            folder, InputFault, r"(trades|quotes|funding|books)\.parquet: no_ticks: it holds not one row \(leave the stream out"
        )
    text = (folder / "fixture.toml").read_text()
    (folder / "fixture.toml").write_text(text[: text.index("[streams.")])
    refused(folder, DataError, "no_ticks")


def test_garbage_with_a_right_hash_is_a_named_error(folder, capfd):
    """A reader may notice damage or may not: the outcome is a named error or the very same data, never a crash."""
    file = folder / "quotes.parquet"
    good, content = file.read_bytes(), Fixture.open(folder).content
    rng, outcomes = random.Random(5), set()
    for n in range(150):
        bad = bytearray(good)
        for _ in range(rng.choice((1, 1, 3, 20))):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        bad = bad[: rng.randrange(len(bad))] if n % 3 == 0 else bad
        rewrite(folder, lambda _, bad=bytes(bad): bad) if n == 0 else file.write_bytes(bad)
        text = (folder / "fixture.toml").read_text()
        head, _, tail = text.partition('file = "quotes.parquet"\nrows = 40\nbytes_sha256 = "')
        (folder / "fixture.toml").write_text(
            f'{head}file = "quotes.parquet"\nrows = 40\nbytes_sha256 = "{hashlib.sha256(bad).hexdigest()}{tail[64:]}'
        )
        try:
            assert Fixture.open(folder).content == content
            outcomes.add("equal")
        except (DataError, InputFault) as error:
            outcomes.add(type(error).__name__)
    assert {"IntegrityError", "equal"} <= outcomes
    capfd.readouterr()


def test_the_real_fixture_damaged(tmp_path):
    copy = shutil.copytree(REAL, tmp_path / REAL.name)
    assert Fixture.open(copy).content == Fixture.open(REAL).content
    file = copy / "quotes.parquet"
    body = bytearray(file.read_bytes())
    body[100_000] ^= 0x10
    file.write_bytes(body)
    refused(copy, IntegrityError, r"quotes\.parquet: sha256 is")


def test_numbers_too_large_for_exact_money(tmp_path):
    dear = Instrument(symbol="X", kind="spot", tick_size="1", lot_size="1000000", quote_decimals=8)
    quotes = {"ts": [10**18 * 17 // 10], "symbol": [0], "bid_px": [2**34], "bid_qty": [1], "ask_px": [2**34], "ask_qty": [1]}
    with pytest.raises(GrinderError, match="2\\*\\*62"):
        write_fixture(tmp_path / "dear", [dear], {"quotes": quotes}, shows="")
    assert list(tmp_path.iterdir()) == []


# TOML

NAMES = st.text(max_size=6)
SCALARS = st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=12))
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=12
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_toml_reads_back_equal(value):
    assert tomllib.loads(to_toml(value)) == value


def test_toml_refuses_what_it_has_no_word_for():
    with pytest.raises(GrinderError, match="no place in a manifest"):
        to_toml({"a": [{"b": object()}]})
