"""Cells and their store: keys, whole files, files that are not believed, and folders that several processes share."""

from __future__ import annotations

import hashlib
import json
import math
import random
import threading
from dataclasses import fields
from pathlib import Path

import pytest

from grinder.cells import COLUMNS, Result, Store, key_of, result_of
from grinder.errors import ConfigError
from grinder.metrics import PortfolioMetrics
from grinder.session import replay

KEY = key_of("code", "content", "config", "policy")
FIGURES = {name: (None if i % 5 == 0 else kind(i % 2) if kind is bool else kind(10**12 * i) / 7 if kind is float else i * 10**15)
           for i, (name, kind) in enumerate(COLUMNS.items())}  # fmt: skip
RESULT = Result("ab" * 32, FIGURES)


def file_of(folder: Path, key: str = KEY) -> Path:
    return folder / key[:2] / f"{key}.json"


def test_key_depends_on_every_part():
    parts = ["code", "content", "config", "policy"]
    keys = {key_of(*parts)} | {key_of(*[part + "x" if i == k else part for i, part in enumerate(parts)]) for k in range(4)}
    keys.add(key_of("codecontent", "", "config", "policy"))
    assert len(keys) == 6
    said = b'{"code":"code","config":"config","fixture":"content","format":1,"policy":"policy"}'
    assert hashlib.sha256(said).hexdigest() == KEY


def test_figures_are_the_metrics_of_the_portfolio():
    run = replay("binance_btcusdt_6m", until=20_000)
    result = result_of(run)
    portfolio = run.metrics().portfolio
    assert result.digest == run.digest.value
    assert list(result.figures) == list(COLUMNS)
    assert result.figures["pnl.total"] == portfolio.pnl.total
    assert result.figures["realized_pnl_total"] == portfolio.realized_pnl_total
    assert result.figures["markout_bps.30"] == portfolio.markout_bps[30]
    assert result.figures["time_in_regime_seconds.RANGE"] == portfolio.time_in_regime_seconds["RANGE"]
    assert result.figures["total_return"] == portfolio.performance.total_return
    assert result.figures["events"] == 20_000
    assert result.figures["fills"] == len(run.fills)
    for name, value in result.figures.items():
        assert value is None or type(value) is COLUMNS[name], name
    named = {name.partition(".")[0] for name in COLUMNS}
    assert {field.name for field in fields(PortfolioMetrics)} - {"performance"} <= named, "no metric is left out"


def test_what_is_kept_is_found_again(tmp_path):
    store = Store(tmp_path / "a" / "b")
    assert store.get(KEY) is None
    store.put(KEY, RESULT)
    found = Store(tmp_path / "a" / "b").get(KEY)
    assert found == RESULT
    assert list(found.figures) == list(COLUMNS)
    assert [type(value) for value in found.figures.values()] == [type(value) for value in FIGURES.values()]
    assert store.get(key_of("other", "content", "config", "policy")) is None
    assert [path.name for path in (tmp_path / "a" / "b").rglob("*") if path.is_file()] == [f"{KEY}.json"]


def test_failures_are_not_kept(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, Result(error="PolicyError: no"))
    assert store.get(KEY) is None
    assert list(tmp_path.iterdir()) == []


def test_every_torn_length_and_every_changed_byte_is_not_believed(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, RESULT)
    whole = file_of(tmp_path).read_bytes()
    rng = random.Random(1)
    spoilt = [whole[:length] for length in (0, 1, len(whole) // 2, len(whole) - 2)]
    for _ in range(300):
        at = rng.randrange(len(whole) - 1)
        spoilt.append(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
    for number, body in enumerate(spoilt, 1):
        file_of(tmp_path).write_bytes(body)
        found = store.get(KEY)
        # A bit of white space or of an escape may be lost on JSON's way; what is believed is what was kept.
        assert found is None or found == RESULT
        assert store.damaged <= number
    assert store.damaged > 290
    store.put(KEY, RESULT)
    assert store.get(KEY) == RESULT


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"{}", b'{"check":1}', b"[" * 100_000, b"\xff\xfe", b" " * (1 << 20) + b" {}", b"1" * 5000, b'"text"'],
    ids=lambda body: repr(body[:12]),
)
def test_hostile_files_are_not_believed(tmp_path, body):
    store = Store(tmp_path)
    file_of(tmp_path).parent.mkdir()
    file_of(tmp_path).write_bytes(body)
    assert store.get(KEY) is None
    assert store.damaged == 1


def sealed(said: dict) -> bytes:
    """A file that is sound in itself."""
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps(said | {"check": hashlib.sha256(text).hexdigest()}).encode()


def test_a_sound_file_of_something_else_is_not_believed(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, RESULT)
    said = json.loads(file_of(tmp_path).read_bytes())
    del said["check"]
    file_of(tmp_path).write_bytes(sealed(said))
    assert store.get(KEY) == RESULT, "so the seal is what the test makes it"
    fewer = {name: value for name, value in said["figures"].items() if name != "fills"}
    for changed in ({"key": "0" * 64}, {"format": 2}, {"figures": fewer}, {"figures": said["figures"] | {"luck": 1}}):
        file_of(tmp_path).write_bytes(sealed(said | changed))
        assert store.get(KEY) is None, changed


def test_a_killed_process_leaves_nothing_behind_for_long(tmp_path):
    store = Store(tmp_path)
    file_of(tmp_path).parent.mkdir()
    (file_of(tmp_path).parent / f".{KEY}-torn").write_bytes(b"{")
    assert store.get(KEY) is None
    assert store.damaged == 0
    store.put(KEY, RESULT)
    assert [path.name for path in file_of(tmp_path).parent.iterdir()] == [f"{KEY}.json"]


def test_nothing_is_left_where_it_cannot_be_written(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        store.put(KEY, RESULT)
    assert list(file_of(tmp_path).parent.iterdir()) == []


def test_many_threads_write_one_cell(tmp_path):
    store, errors = Store(tmp_path), []

    def work():
        try:
            for _ in range(50):
                store.put(KEY, RESULT)
                assert store.get(KEY) == RESULT
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.damaged == 0
    assert store.get(KEY) == RESULT


def test_a_store_is_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file: name a folder"):
        Store(tmp_path / "file")


def test_floats_come_back_to_the_bit(tmp_path):
    store = Store(tmp_path)
    odd = dict(FIGURES, total_return=5e-324, cagr=-0.0, calmar=math.pi, win_rate=0.1 + 0.2)
    store.put(KEY, Result("d", odd))
    found = store.get(KEY).figures
    for name in ("total_return", "cagr", "calmar", "win_rate"):
        assert found[name].hex() == odd[name].hex()
