"""The same digest everywhere: one process per environment, compared with this one (SPEC 14, INVARIANTS 37).

Each lane compiles for itself where its environment asks for it, so they run side by side under pytest-xdist.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from grinder.data.fixture import Fixture
from grinder.data.importing import import_table
from grinder.golden import read_golden
from grinder.run import load
from grinder.session import replay
from tests.environments import FOLDERS, HEAD, LANES, command, digest_of, jobs, tapes
from tests.smart_tapes import smart_case
from tests.swings import CONFIG, quotes, swing
from tests.tapes import case
from tests.volumes import ENVIRONMENTS, ran, volume

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "binance_btcusdt_6m"
CASES = 12


@cache
def expected(events: int) -> list[str]:
    """Digests of the jobs, those of whole fixtures by their goldens, so that this process is no measure of itself."""
    assert any(len(c.fixture.commands) for c in tapes(CASES))
    asked = jobs(events, CASES)
    goldens = [] if events else [read_golden(Fixture.open(folder)).value for folder in FOLDERS]
    return goldens + [replay(*job).digest.value for job in asked[len(goldens) :]]


@pytest.mark.parametrize("lane", ["one_thread", *LANES])
@volume(ENVIRONMENTS, 11)
def test_environment(lane, tmp_path):
    events = HEAD if lane == "jit_off" else 0
    words, environment, cwd = command(lane, tmp_path, str(events), str(CASES), "2" if lane == "two_threads" else "1")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found, right = json.loads(done.stdout), expected(events)
    names = [folder.name for folder in FOLDERS]
    assert [name for name, mine, other in zip(names, found, right, strict=False) if mine != other] == []
    assert found == right
    ran(ENVIRONMENTS, len(names))
    if lane == "cold_cache":  # a second signature is a second compilation: minutes of a first hour, and two chances to differ
        found = json.loads((tmp_path / "signatures.json").read_text())
        assert len(found) > 200
        assert {"engine.act.from_python", "policies.smart._propose", "gates.close_gates"} <= set(found)
        assert {name: count for name, count in found.items() if count != 1} == {}


@pytest.mark.parametrize("chunk", [1, 7, 4096, 10**9])
def test_chunk_size_on_the_real_recording(chunk):
    whole = Fixture.open(FIXTURE)
    head = whole.head(9000) if chunk < 100 else whole
    assert replay(head, chunk=chunk).digest == replay(head).digest


@pytest.mark.parametrize("stop", [1, 4095, 4096, 4097, 31_337, 66_088, 93_948])
def test_save_and_resume_on_the_real_recording(stop, tmp_path):
    whole = Fixture.open(FIXTURE)
    saved = replay(whole, until=stop).save(tmp_path / "half.grinder")
    assert replay(whole, resume=load(saved)).digest.value == replay(whole).digest.value


@pytest.mark.parametrize("policy", ["static", "smart"])
def test_save_and_resume_at_every_event(policy, tmp_path):
    """One run goes through a file after each event; another is resumed once, from each event, to the end."""
    c = case(12, 60, commands=True) if policy == "static" else smart_case(51, 90)
    whole, run = replay(c.fixture, c.config), None
    assert whole.config.policy == policy
    assert len(whole.fills) > 5
    for stop in range(len(c.fixture)):
        run = load(replay(c.fixture, c.config, until=stop, resume=run).save(tmp_path / "a.grinder"))
        assert replay(c.fixture, c.config, resume=run).digest == whole.digest, stop
    assert replay(c.fixture, c.config, resume=run).digest == whole.digest


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_side_by_side(processes):
    """However many there are, and whichever of them comes to a tape."""
    seeds = list(range(9))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        assert list(pool.map(digest_of, seeds)) == [digest_of(seed) for seed in seeds]


def test_an_ascii_locale(tmp_path):
    """Neither what is read nor what is told depends on the encoding of the terminal; the fixture's texts are not ASCII."""
    made = swing(tmp_path / "swings", shows="Schwünge — 揺れ")
    environment = os.environ | {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = (
        "import json, locale, sys, grinder as gr; assert not sys.flags.utf8_mode;"
        "fx = gr.Fixture.open(sys.argv[1]); run = gr.replay(fx); run.save(sys.argv[2]);"
        "print(json.dumps([locale.getpreferredencoding(), gr.load(sys.argv[2]).digest.value, ascii(fx.manifest['shows'])]))"
    )
    words = [sys.executable, "-c", code, str(made.path), str(tmp_path / "run.grinder")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    encoding, digest, shows = json.loads(done.stdout)
    assert encoding.lower() in ("ansi_x3.4-1968", "us-ascii", "ascii")
    assert (digest, shows) == (replay(made).digest.value, ascii("Schwünge — 揺れ"))


# The same numbers in other files

GUISES: dict[str, tuple[str, Callable[[bytes], bytes] | int]] = {
    "gzip level 1": ("q.csv", lambda text: gzip.compress(text, 1)),
    "gzip level 9": ("q.csv", lambda text: gzip.compress(text, 9, mtime=0)),
    "gzip in two members": ("q.csv.gz", lambda text: gzip.compress(text[:5000]) + gzip.compress(text[5000:])),
    "CRLF": ("q.csv", lambda text: text.replace(b"\n", b"\r\n")),
    "a byte order mark": ("q.csv", lambda text: b"\xef\xbb\xbf" + text),
    "no last line end": ("q.csv", lambda text: text.removesuffix(b"\n")),
    "another file name": ("Börse 2024-01-01 (1).TXT", lambda text: text),
    "deflated zip": ("q.zip", zipfile.ZIP_DEFLATED),
    "stored zip": ("q.zip", zipfile.ZIP_STORED),
}
"""Name of the file, and what is done to the plain text, or how a zip packs it."""


def table() -> bytes:
    """The quotes of a swing as CSV, in ms and in units of price and quantity."""
    q = quotes()
    columns = [q["ts"] // 10**6, *(q[name] for name in ("bid_px", "bid_qty", "ask_px", "ask_qty"))]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines = [f"{ts},{bid // 10}.{bid % 10},0.0{bs},{ask // 10}.{ask % 10},0.{a:02}" for ts, bid, bs, ask, a in rows]
    return "\n".join(["ts,bid_px,bid_qty,ask_px,ask_qty", *lines, ""]).encode()


def taken(file: Path, to: Path) -> Fixture:
    made, _ = import_table(to, symbol="SWING", kind="perpetual", quotes=file, config=CONFIG)
    return made


@cache
def plain(folder: Path) -> tuple[str, str]:
    """Content and digest of the plain file."""
    folder.mkdir(exist_ok=True)
    (folder / "q.csv").write_bytes(table())
    made = taken(folder / "q.csv", folder / "made")
    run = replay(made)
    assert len(run.fills) > 10
    return made.content, run.digest.value


@pytest.mark.parametrize("guise", GUISES)
def test_the_same_rows_in_another_file(guise, tmp_path, tmp_path_factory):
    """File name, folder, time of change, gzip level, CRLF: nothing of it reaches the content hash or the digest."""
    name, pack = GUISES[guise]
    file = tmp_path / name
    if callable(pack):
        file.write_bytes(pack(table()))
    else:
        with zipfile.ZipFile(file, "w", pack) as archive:
            archive.writestr("inner name.csv", table())
    os.utime(file, (1, 2_000_000_000))
    made = taken(file, tmp_path / "another_name")
    assert (made.content, replay(made).digest.value) == plain(tmp_path_factory.getbasetemp() / "plain")


def test_a_fixture_in_another_folder_at_another_time_and_packed_otherwise(tmp_path):
    made = swing(tmp_path / "swings")
    digest = replay(made).digest.value
    again = swing(tmp_path / "elsewhere" / "other_name", compression_level=1)
    assert (again.path / "quotes.parquet").read_bytes() != (made.path / "quotes.parquet").read_bytes()
    for file in made.path.iterdir():
        os.utime(file, (1, 1))
    moved = made.path.rename(tmp_path / "moved")
    assert replay(Fixture.open(moved)).digest.value == replay(again).digest.value == digest
