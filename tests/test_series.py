"""Files joined to streams: units over all files of a symbol, order, and an import that is whole or not at all."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from grinder.cli import main
from grinder.data import archive, blocks, table, text as t
from grinder.data.importing import import_archive
from grinder.data.series import Part, Rules, join, sizes_of
from grinder.data.table import Table, Times, Unit
from grinder.errors import ConfigError, InputFault
from tests.files import NS, T, csv, gzipped, only, where, zipped

WILD = 50_000_000_000  # the largest max_jump: 500 times


def read(path, **options):
    from grinder.data.archive import Bars, read_archive

    rules = Rules(**options)
    return read_archive(path, rules, data=None, symbol=None, bars=Bars(), unit=None, progress=None), rules


def ticker(folder, rows, day=1):
    return csv(folder / f"BTCUSDT-bookTicker-2024-01-{day:02}.csv", rows)


def decimal(count: int, places: int) -> str:
    """A number of `10**-places` as text, with all its decimals."""
    return f"{count // 10**places}" + (f".{count % 10**places:0{places}d}" if places else "")


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.lists(st.tuples(st.integers(50, 10**4), st.integers(1, 10**4)), min_size=1, max_size=30)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([40, 400, 1 << 20]),
    st.sampled_from([1, 7, 1 << 14]),
)
def test_the_tick_is_the_finest_decimals_of_any_file(tmp_path_factory, days, block, room):
    """Decimals that grow over rows, blocks and files are exact; how the file is cut never matters."""
    folder = tmp_path_factory.mktemp("days")
    at, exact, parts = 0, [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(table, "ROOM", room)
        for day, (places, prices) in enumerate(days, 1):
            rows = []
            for i, (price, spread) in enumerate(prices):
                finer = min(i, places)
                bid, wide = price * 10**finer + i, spread * 10**finer + 7 * i
                rows.append(f"{at},{decimal(bid, finer)},1,{decimal(bid + wide, finer)},2,{T + at},{T + at}")
                exact += [(Fraction(bid, 10**finer), Fraction(bid + wide, 10**finer))]
                at += 1
            parts.append(read(ticker(folder, rows, day))[0])
    made = join(parts[::-1], Rules(max_jump=WILD))
    size = Fraction(made.sizes["BTCUSDT"][0])
    assert size == min(
        Fraction(1, 10**k) for k in range(7) if k == 0 or any((px * 10 ** (k - 1)).denominator != 1 for two in exact for px in two)
    )
    quotes = made.streams["quotes"]
    assert [(a * size, b * size) for a, b in zip(quotes["bid_px"].tolist(), quotes["ask_px"].tolist(), strict=True)] == exact
    assert quotes["ts"].tolist() == [(T + i) * NS for i in range(at)]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 50)), min_size=1, max_size=40))
def test_sorting_is_stable_and_counts_what_moved(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("sort")
    part, _rules = read(ticker(folder, [f"{i},{px},1,{px + 1},1,{T + at},{T}" for i, (at, px) in enumerate(rows)]), sort=True)
    made = join([part], Rules(sort=True, max_jump=WILD))
    order = sorted(range(len(rows)), key=lambda i: rows[i][0])
    assert made.streams["quotes"]["update_id"].tolist() == order
    assert sum(made.report.reordered.values()) == sum(i != j for i, j in enumerate(order))


def test_lines_are_told_through_dropping_sorting_and_joining(tmp_path):
    """A row is followed back to its file and line from any stage."""
    one = Table(tmp_path / "one", {"ts": np.arange(3)}, {}, [0] * 4, [0] * 4, 1, "ms", {}, gone=np.array([0, 3]))
    assert [one.line(row) for row in range(3)] == [2, 3, 5]
    assert one.rows == 3
    days = [ticker(tmp_path, [f"{i},{100 + 3 * i},1,101,1,{T + day * 10 + i},{T}" for i in (1, 0)], day) for day in (1, 2)]
    with pytest.raises(InputFault, match="crossed book") as error:
        import_archive(days, tmp_path / "x", kind="spot", sort=True, tick_size="1")
    assert where(error)[:3] == (days[0].name, 0, "best_bid_price")
    bad = ticker(tmp_path, [f"1,100,1,101,1,{T + 30},{T}", f"2,100,3000000000,101,1,{T + 29},{T}"], 3)
    with pytest.raises(InputFault, match="give a larger lot_size") as error:
        import_archive([bad, ticker(tmp_path, [f"1,100,1,101,1,{T},{T}"])], tmp_path / "x", kind="spot", sort=True)
    assert where(error) == (bad.name, 1, "best_bid_qty", "3000000000")


def test_units_of_time_and_size():
    assert Times.of("us") == ("us", 1_230_768_000_000_000, 4_102_444_800_000_000, 1000)
    assert Unit.of("0.250", "tick_size") == (Fraction(1, 4), 2)
    assert Unit.of("0.250", "tick_size").step == 25
    for text in ("0", "-1", "1e-18", "1e20", "10000000001", "9999999999.123456789"):
        with pytest.raises(ConfigError, match=r"tick_size .*: give a size over 0, at most 10,000,000,000"):
            Unit.of(text, "tick_size")
    assert Unit.of("1e10", "tick_size").step == 10**10
    assert Unit.of("9.99999999999999999", "tick_size").step == 10**18 - 1
    with pytest.raises(ConfigError, match="there is no file to import"):
        join([], Rules())


@pytest.mark.parametrize("size", ["1e10", "9999999999.12345678", "1234567.12345678901", "3e-17", "0.00000000000000001"])
def test_marks_and_any_legal_tick(tmp_path, size):
    """Marks are floored to ticks, or over their limit; no size makes numbers that 64 bits do not hold."""
    table = Table(
        tmp_path / "f", {"mark_px": np.array([1, 10**17, 10**9], np.int64)}, {"mark_px": t.MARK}, [0] * 4, [0] * 4, 0, "", {}
    )
    part, ticks = Part("A", "funding", "", table), [Fraction(mark, 10**8) // Fraction(size) for mark in (1, 10**17, 10**9)]
    if max(ticks) <= 2**35:
        sizes_of("A", [part], Rules(tick_size=size, lot_size="1"))
        assert table.columns["mark_px"].tolist() == [max(1, count) for count in ticks]
    else:
        with pytest.raises(InputFault, match=r"a mark price over 34,359,738,368 times") as error:
            sizes_of("A", [part], Rules(tick_size=size, lot_size="1"))
        assert Fraction(error.value.value) // Fraction(size) > 2**35
        assert error.value.cure == "give a larger tick_size"


def test_the_mark_of_a_book_without_one_side_is_what_a_replay_has(tmp_path):
    """A side that is missing keeps its last price: half of the other one's would be no mid."""
    books = {"bid_px_0": [100, 0, 100, 0], "bid_qty_0": [1, 0, 1, 0], "ask_px_0": [102, 106, 0, 98], "ask_qty_0": [1, 1, 0, 1]}
    funding = {"rate": [0] * 5}
    parts = []
    for stream, columns, times in (("books", books, (0, 10, 20, 30)), ("funding", funding, (0, 10, 15, 25, 30))):
        ints = {"ts": np.array([(T + at) * NS for at in times])} | {name: np.array(values) for name, values in columns.items()}
        parts.append(Part("A", stream, stream, Table(tmp_path / stream, ints, {}, [0] * 4, [0] * 4, 0, "ms", {})))
    made = join(parts, Rules(tick_size="1", lot_size="1"))
    assert made.streams["funding"]["mark_px"].tolist() == [101, 103, 103, 103, 98]


def test_parts_know_nothing_of_each_other(tmp_path):
    """Sizes are each symbol's own, and given ones win over inferred ones for that symbol alone."""
    eth = csv(tmp_path / "ETHUSDT-bookTicker-2024-01-01.csv", [f"1,1.125,1,1.25,1,{T},{T}"])
    parts: list[Part] = [read(path, tick_size={"BTCUSDT": "0.5"})[0] for path in (eth, ticker(tmp_path, [f"1,3,1,4,1,{T},{T}"]))]
    made = join(parts, Rules(tick_size={"BTCUSDT": "0.5"}))
    assert made.sizes == {"BTCUSDT": ("0.5", "1"), "ETHUSDT": ("0.001", "1")}
    assert made.streams["quotes"]["symbol"].tolist() == [0, 1], "equal times stand in the order of symbols"
    assert made.streams["quotes"]["bid_px"].tolist() == [6, 1125]
    with pytest.raises(ConfigError, match="lot_size of BTC: the files are of ETHUSDT"):
        join([read(eth)[0]], Rules(lot_size={"BTC": "1"}))


# Whole or not at all

QUOTES = [f"{i},100,{i % 7 + 1},101,{i % 5 + 1},{T + i * 997},{T}" for i in range(5000)]


def test_progress_counts_the_bytes_of_all_files(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1 << 12)
    one, two = ticker(tmp_path, QUOTES), gzipped(ticker(tmp_path, [f"9,100,1,101,1,{T + 10**8},{T}"], 2))
    seen: list[tuple[int, int]] = []
    import_archive([one, two], tmp_path / "x", kind="spot", progress=lambda done, total: seen.append((done, total)))
    total = one.stat().st_size + two.stat().st_size
    assert seen[-1] == (total, total)
    assert len(seen) > 50
    assert seen == sorted(seen)


@pytest.mark.parametrize("when", ["reading", "writing"])
def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch, capsys, when):
    path = ticker(tmp_path / "in", QUOTES)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((table._Store, "append", stop) if when == "reading" else (pl.DataFrame, "write_parquet", stop)))
    assert main(["import", "archive", str(path), "--out", str(tmp_path / "x"), "--kind", "spot"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    only(tmp_path, "in")


def test_a_full_disk_leaves_nothing(tmp_path):
    """A real limit on the size of files, in a process of its own whose kernels are compiled already."""
    path = ticker(tmp_path / "in", QUOTES)
    words = ["import", "archive", str(path), "--out", str(tmp_path / "x"), "--kind", "spot"]
    assert main(words) == 0
    size = (tmp_path / "x" / "quotes.parquet").stat().st_size
    for file in (tmp_path / "x").iterdir():
        file.unlink()
    (tmp_path / "x").rmdir()
    code = (
        "import resource, sys; from grinder.cli import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size // 2}, {size // 2})); sys.exit(main(sys.argv[1:]))"
    )
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("grinder: ")
    assert done.stdout == ""
    only(tmp_path, "in")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != size // 2


def test_a_wrong_setting_is_told_before_anything_is_read(tmp_path, monkeypatch):
    path = ticker(tmp_path, QUOTES)
    monkeypatch.setattr(archive, "read_table", None)
    for options in ({"config": {"stepp": "1bp"}}, {"kind": ""}):
        with pytest.raises(ConfigError):
            import_archive(path, tmp_path / "x", **({"kind": "spot"} | options))
    with pytest.raises(ConfigError, match="exists already"):
        import_archive(path, tmp_path, kind="spot")
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="inverse contracts"):
        import_archive(path, tmp_path / "x", kind={"BTCUSDT": "inverse"})
    only(tmp_path, path.name)


# Any bytes at all (INVARIANTS 42)

SEEDS = {
    "BTCUSDT-bookTicker-2024-01-01.csv": b"".join(b"%d,100.%d,1.5,100.9,0.25,%d,%d\n" % (i, i % 9, T + i, T + i) for i in range(6)),
    "BTCUSDT-trades-2024-01-01.csv": b"id,price,qty,quote_qty,time,is_buyer_maker\n1,100.1,2,200.2,%d,true\n2,100,1e-3,1,%d,false\n"
    % (T, T),
    "BTCUSDT-1m-2024-01.csv": b"%d,10,12,9,11,5,%d,50,3,2,20,0\n" % (T, T + 59_999),
    "BTCUSDT-fundingRate-2024-01.csv": b"calc_time,funding_interval_hours,last_funding_rate\n%d,8,0.0001\n" % T,
}


@settings(max_examples=400, derandomize=True, deadline=None)
@given(
    name=st.sampled_from(sorted(SEEDS)),
    pack=st.sampled_from(["", "gz", "zip"]),
    edits=st.lists(
        st.tuples(
            st.integers(0, 400), st.sampled_from([b"", b",", b"\n", b"\r", b"-", b".", b"e", b"\xff", b"\x00", b"9", b"nan"])
        ),
        min_size=1,
        max_size=4,
    ),
    cut=st.integers(0, 60),
)
def test_any_bytes_give_a_fault_with_a_place_or_a_table(tmp_path_factory, name, pack, edits, cut):
    folder = tmp_path_factory.mktemp("fuzz")
    body = bytearray(SEEDS[name])
    for at, new in edits:
        body[at % len(body) : at % len(body) + 1] = new
    path = folder / name
    path.write_bytes(bytes(body))
    if pack:
        path = gzipped(path) if pack == "gz" else zipped(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) - cut])
    quotes = csv(folder / "ETHUSDT-bookTicker-2024-01-01.csv", [f"1,100,1,101,1,{T},{T}"])
    made = fault = None
    try:
        made = join([bars_of(path, "BTCUSDT"), bars_of(quotes, None)], Rules())
    except InputFault as error:
        fault = error
    if made is None:
        assert fault is not None
        assert fault.file is not None
        assert fault.cure
        return
    for columns in made.streams.values():
        assert len({len(values) for values in columns.values()}) == 1
        assert all(values.dtype == np.int64 for values in columns.values())
        assert (np.diff(columns["ts"]) >= 0).all()
        assert all((values >= 0).all() for field, values in columns.items() if field not in ("rate", "aggressor"))


def bars_of(path, symbol):
    return archive.read_archive(path, Rules(), data=None, symbol=symbol, bars=archive.Bars(2, "1"), unit=None, progress=None)
