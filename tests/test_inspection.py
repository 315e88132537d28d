"""What `grinder fixture validate` says of a fixture, against counts made by hand; and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from grinder.data import inspection
from grinder.data.fixture import write_fixture
from grinder.data.inspection import inspect
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, GrinderError, IntegrityError, RangeError

T0 = 1_700_000_000_000_000_000
MINUTE = 60 * 10**9
PAIR = [Instrument(symbol=name, kind="perpetual", tick_size="0.5", lot_size="0.01") for name in ("A", "B")]
QUOTES = {
    "ts": [0, 0, 1, 1, 12, 13, 24, 36],  # minutes
    "symbol": [0, 1, 0, 0, 0, 1, 1, 0],
    "bid_px": [100, 10, 101, 101, 100, 50, 11, 90],
    "bid_qty": [1, 1, 0, 0, 1, 1, 2, 1],
    "ask_px": [102, 11, 102, 102, 103, 60, 11, 110],
    "ask_qty": [1, 1, 1, 1, 1, 1, 2, 0],
}
TRADES = {"ts": [2, 3, 40], "symbol": [0, 0, 1], "id": [5, 5, 5], "px": [101, 101, 11], "qty": [1, 1, 1], "aggressor": [0, -1, 1]}
FUNDING = {"ts": [30], "symbol": [0], "rate": [10_000], "mark_px": [120]}


@pytest.fixture
def folder(tmp_path):
    streams = {"quotes": QUOTES, "trades": TRADES, "funding": FUNDING}
    columns = {
        stream: {
            name: np.array(values) * (MINUTE if name == "ts" else 1) + (T0 if name == "ts" else 0) for name, values in given.items()
        }
        for stream, given in streams.items()
    }
    made = write_fixture(tmp_path / "pair", PAIR, columns, shows="a pair", config={"max_gap_ms": 660_000}, expect={"fills": 3})
    return made.path


def spoil(folder, old, new):
    manifest = folder / "fixture.toml"
    assert old in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(old, new, 1))


def test_counts_by_hand(folder):
    found = inspect(folder)
    assert found.to_dict() == {
        "fixture": "pair",
        "folder": str(folder),
        "valid": True,
        "rows": {"funding": 1, "quotes": 8, "trades": 3},
        "accepted": {"funding": 1, "quotes": 6, "trades": 2},
        "quarantined": {"quotes.duplicate": 1, "quotes.jump": 1, "trades.duplicate": 1},
        "gaps": {"A": 1, "B": 1},  # A from minute 12 to 36; 1 to 12 is not over 11 minutes; B from 0 to 24, for 13 is a jump
        "prices": {"A": ("45.0", "60.0"), "B": ("5.0", "5.5")},  # the mark counts
        "ts_range": (T0, T0 + 40 * MINUTE),
        "content": inspect(str(folder)).content,
        "expect": {"fills": 3},
    }
    text = str(found)
    for line in (
        "pair: valid",
        "  span         2023-11-14T22:13:20.000000000 to 2023-11-14T22:53:20.000000000 UTC",
        "  rows         funding 1, quotes 8, trades 3",
        "  quarantined  quotes.duplicate 1, quotes.jump 1, trades.duplicate 1",
        "  prices       A 45.0 to 60.0, B 5.0 to 5.5",
        f"  content      {found.content}, as the manifest says",
    ):
        assert line in text.splitlines()
    assert f'content_sha256 = "{found.content}"' in (folder / "fixture.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("fills = 3", "fils = 3", IntegrityError, r"pair: \[expect\] fils: there is no such expectation; known are fills"),
        (
            "fills = 3",
            'regimes = ["CALM"]',
            IntegrityError,
            r"pair: \[expect\] regimes: there is no regime 'CALM'; there are RANGE",
        ),
        ('content_sha256 = "', 'content_sha256 = "0', IntegrityError, "the data hash to"),
        ("max_gap_ms = 660000", "max_gap_ms = 0", ConfigError, "max_gap_ms"),
        ("max_gap_ms = 660000", 'equity = "46000000000"', RangeError, "under 2[*][*]62"),
    ],
)
def test_refusals(folder, old, new, error, message):
    spoil(folder, old, new)
    with pytest.raises(GrinderError, match=message) as caught:
        inspect(folder)
    assert type(caught.value) is error


@pytest.mark.parametrize("end", ["os.abort()", "import time; time.sleep(60)"])
def test_files_that_end_or_hang_the_reader(folder, monkeypatch, end):
    """Such files exist (an allocation of 2**61 bytes); here the reader is made to do as it does on them."""
    code = f"import os, sys\nfor file in sys.argv[1:]:\n    print(file, flush=True)\n    if 'trades' in file:\n        {end}\n"
    monkeypatch.setattr(inspection, "_READ", code)
    monkeypatch.setattr(inspection, "READ_SECONDS", 2)
    place = (
        r"pair/trades\.parquet: .*ends the reader's process \(code -6\)" if "abort" in end else "pair: reading it takes over 2 s"
    )
    with pytest.raises(IntegrityError, match=place):
        inspect(folder)
