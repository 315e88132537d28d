"""Small market data files in the documented formats, written by hand or from a counter."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from grinder.errors import InputFault

DATA = Path(os.environ.get("GRINDER_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
T = 1_704_067_200_000  # 2024-01-01 in ms
NS = 1_000_000
BOOK_TICKER = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
QUOTE_ROWS = [f"7,42000.10,1.500,42000.20,2,{T},{T + 1}", f"8,42000.00,0.25,42000.20,0,{T + 5},{T + 6}"]


def real(*names: str) -> list[Path]:
    """Files of the folder of recordings; a test is skipped without it, and fails in CI."""
    paths = [DATA / name for name in names]
    for path in paths:
        if not path.exists():
            message = f"{path.name} is not in {DATA}: set GRINDER_DATA to the folder of recordings"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
    return paths


def csv(path: Path, rows: list[str], header: str = "", end: str = "\n", bom: bool = False) -> Path:
    """A text file of rows."""
    text = end.join([*([header] if header else []), *rows]) + end
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())
    return path


def zipped(path: Path) -> Path:
    """`x.csv` as `x.zip`, which takes its place."""
    packed = path.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    path.unlink()
    return packed


def gzipped(path: Path) -> Path:
    """`x.csv` as `x.csv.gz`, which takes its place."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def where(error: pytest.ExceptionInfo[InputFault]) -> tuple[Any, ...]:
    """(file, line, column, value) of a fault, all of which it must tell with a cure."""
    fault = error.value
    assert fault.cure
    assert fault.exit_code == 3
    return (Path(str(fault.file)).name, fault.row, fault.column, fault.value)


def only(folder: Path, *left: str) -> None:
    """Nothing is in the folder but these."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(left)
