"""Rows per second of each importer on one core: from file to integer columns, and on to a fixture's folder.

`python benchmarks/importers.py [MILLIONS]`: files are made in a temporary folder from a counter. The raw Binance recording is
measured too where GRINDER_DATA has it. `--memory` prints the peak of memory per row instead, each size in its own process (Linux).
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from grinder.data.archive import Bars, read_archive
from grinder.data.binance import read_recording
from grinder.data.importing import import_archive
from grinder.data.lean import read_lean
from grinder.data.series import Part, Rules, join
from grinder.data.tabular import read_tabular
from grinder.data.tardis import read_tardis

RULES = Rules()
START_MS = 1_704_067_200_000


def decimals(whole: pl.Expr, places: int) -> pl.Expr:
    """An integer column as decimal text."""
    return pl.format("{}.{}", whole // 10**places, (whole % 10**places).cast(pl.String).str.zfill(places))


def counters(rows: int, start: int = 0) -> pl.DataFrame:
    """Numbers that depend on the row's number only: a time in ms, a mid in 0.1, quantities in 0.001."""
    i = pl.int_range(start, start + rows, dtype=pl.Int64, eager=True).alias("i")
    noise = (i * 2_654_435_761 % 4_294_967_296) // 65_536
    return pl.DataFrame(
        {"i": i, "ms": START_MS + i * 17, "mid": 420_000 + (i // 50) % 977 + noise % 5, "noise": noise}
    ).with_columns(
        bid=decimals(pl.col("mid") - 1, 1), ask=decimals(pl.col("mid") + 1, 1), size=decimals(pl.col("noise") % 9_000 + 1, 3)
    )


def write(path: Path, rows: int, columns: Callable[[pl.DataFrame], pl.DataFrame], header: bool = True) -> Path:
    """A CSV file, a million rows at a time."""
    with path.open("wb") as file:
        for start in range(0, rows, 1_000_000):
            table = columns(counters(min(1_000_000, rows - start), start))
            table.write_csv(file, include_header=header and start == 0)
    return path


def quotes(c: pl.DataFrame) -> pl.DataFrame:
    return c.select(
        update_id=pl.col("i") + 4_000_000_000_000,
        best_bid_price="bid",
        best_bid_qty="size",
        best_ask_price="ask",
        best_ask_qty="size",
        transaction_time="ms",
        event_time=pl.col("ms") + 3,
    )


def trades(c: pl.DataFrame) -> pl.DataFrame:
    return c.select(id="i", price="ask", qty="size", quote_qty="bid", time="ms", is_buyer_maker=pl.col("noise") % 2 == 0)


def klines(c: pl.DataFrame) -> pl.DataFrame:
    at = START_MS + pl.col("i") * 60_000
    high, low = decimals(pl.col("mid") + 9, 1), decimals(pl.col("mid") - 9, 1)
    return c.select(
        open_time=at, open="bid", high=high, low=low, close="ask", volume="size", close_time=at + 59_999, quote_volume="bid",
        count="noise", taker_buy_volume="size", taker_buy_quote_volume="bid", ignore=pl.lit(0),
    )  # fmt: skip


def lean(c: pl.DataFrame) -> pl.DataFrame:
    bar = {"o": "bid", "h": decimals(pl.col("mid") + 5, 1), "l": decimals(pl.col("mid") - 5, 1), "c": "bid"}
    other = {"O": "ask", "H": decimals(pl.col("mid") + 7, 1), "L": decimals(pl.col("mid") - 3, 1), "C": "ask"}
    return c.select(pl.col("i") * 1000, **bar, s="size", **other, S=pl.col("size"))


def tardis(c: pl.DataFrame) -> pl.DataFrame:
    return c.select(
        exchange=pl.lit("binance-futures"), symbol=pl.lit("BTCUSDT"),
        timestamp=pl.col("ms") * 1000, local_timestamp=pl.col("ms") * 1000 + 9,
        ask_amount="size", ask_price="ask", bid_price="bid", bid_amount="size",
    )  # fmt: skip


def books(c: pl.DataFrame) -> pl.DataFrame:
    levels = {}
    for i in range(5):
        for side, sign in (("asks", 1), ("bids", -1)):
            levels[f"{side}[{i}].price"] = decimals(pl.col("mid") + sign * (i + 1), 1)
            levels[f"{side}[{i}].amount"] = pl.col("size")
    head = {"exchange": pl.lit("binance-futures"), "symbol": pl.lit("BTCUSDT"), "timestamp": pl.col("ms") * 1000}
    return c.select(**head, local_timestamp=pl.col("ms") * 1000 + 9, **levels)


def table(c: pl.DataFrame) -> pl.DataFrame:
    return c.select(ts="ms", bid_px="bid", bid_qty="size", ask_px="ask", ask_qty="size")


def best(action: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of several runs, the first (which compiles) aside."""
    action()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def archive(path: Path, bars: Bars = Bars()) -> Part:  # noqa: B008 - a tuple
    return read_archive(path, RULES, data=None, symbol=None, bars=bars, unit=None, progress=None)


def own(path: Path) -> Part:
    return read_tabular(path, "quotes", RULES, symbol="X", columns={}, unit=None, in_ticks=False, in_lots=False, progress=None)


def ticker(path: Path) -> Part:
    return read_tardis(path, RULES, symbol=None, clock="local", top_n=5, progress=None)


def show(name: str, rows: int, path: Path, read: Callable[[Path], Part]) -> None:
    bare = best(lambda: read(path))
    joined = best(lambda: join([read(path)], RULES), 1)
    size = path.stat().st_size / rows
    print(f"{name:<34} {rows:>10,} {size:>8.1f} {rows / bare / 1e6:>10.2f} {rows / joined / 1e6:>12.2f}", flush=True)


def main(rows: int) -> None:
    """Make the files, read each, print one table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fewer = min(rows, 1_000_000)
        print(f"{'':<34} {'rows':>10} {'bytes/row':>9} {'M rows/s':>9} {'with checks':>12}")
        ticks = write(folder / "BTCUSDT-bookTicker-2024-01-01.csv", rows, quotes)
        show("archive bookTicker", rows, ticks, archive)
        show("archive trades", rows, write(folder / "BTCUSDT-trades-2024-01-01.csv", rows, trades), archive)
        small = write(folder / "ETHUSDT-bookTicker-2024-01-01.csv", fewer, quotes)
        with zipfile.ZipFile(folder / "ETHUSDT-bookTicker-2024-01-01.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(small, small.name)
        show("archive bookTicker, zip", fewer, folder / "ETHUSDT-bookTicker-2024-01-01.zip", archive)
        (folder / "ETHUSDT-bookTicker-2024-01-01.csv.gz").write_bytes(gzip.compress(small.read_bytes(), 6))
        show("archive bookTicker, gz", fewer, folder / "ETHUSDT-bookTicker-2024-01-01.csv.gz", archive)
        bars = write(folder / "BTCUSDT-1m-2024-01.csv", fewer, klines)
        show("archive klines (bars)", fewer, bars, lambda path: archive(path, Bars(2, "0.5")))
        day = write(folder / "20240101_btcusd_second_quote.csv", 86_400, lean, header=False)
        show("LEAN second quote bars", 86_400, day, lambda path: read_lean(path, RULES, symbol=None, date=None, progress=None))
        show("Tardis quotes", fewer, write(folder / "tardis_quotes.csv", fewer, tardis), ticker)
        show("Tardis book_snapshot_5", fewer // 2, write(folder / "tardis_books.csv", fewer // 2, books), ticker)
        own_file = write(folder / "own.csv", fewer, table)
        show("table, CSV", fewer, own_file, own)
        pl.read_csv(own_file, schema_overrides=dict.fromkeys(("bid_px", "bid_qty", "ask_px", "ask_qty"), pl.Float64)).write_parquet(
            folder / "own.parquet"
        )
        show("table, Parquet of floats", fewer, folder / "own.parquet", own)
        start = time.perf_counter()
        import_archive(ticks, folder / "made", kind="perpetual")
        print(f"archive bookTicker to a fixture: {rows / (time.perf_counter() - start) / 1e6:.2f} M rows/s")
        recording = Path(os.environ.get("GRINDER_DATA", "")) / "binance_usdm_btcusdt_20240808.gz"
        if recording.is_file():
            seconds = best(lambda: read_recording(recording), 1)
            lines = read_recording(recording).report.lines
            print(f"raw Binance recording: {lines:,} lines, {lines / seconds / 1e6:.2f} M lines/s")


def peak() -> int:
    """Peak resident memory of this process in bytes; getrusage would count what its parent held."""
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def memory(sizes: tuple[int, ...] = (1_000_000, 5_000_000)) -> None:
    """Peak memory of a bookTicker import over that of one row: to columns (48 bytes a row are their own), and to a fixture."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {
            rows: write(Path(scratch) / f"BTCUSDT-bookTicker-2024-01-{1 + rows // 1_000_000:02}.csv", rows, quotes)
            for rows in (1, *sizes)
        }
        for how in ("columns", "fixture"):
            peaks = {}
            for rows, path in files.items():
                words = [sys.executable, __file__, "--peak", how, str(path)]
                peaks[rows] = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
                extra = (peaks[rows] - peaks[1]) / rows
                print(f"to {how}: {rows:>10,} rows, peak {peaks[rows] / 2**20:8.1f} MiB, {extra:6.1f} bytes a row over one row")


def spend(how: str, path: Path) -> None:
    """Import one file and print the peak."""
    if how == "columns":
        archive(path)
    else:
        import_archive(path, path.parent / f"made_{path.stem[-2:]}", kind="perpetual")
    print(peak())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        spend(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["--memory"]:
        memory()
    else:
        main(int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 5_000_000)
