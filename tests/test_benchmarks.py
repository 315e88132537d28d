"""The benchmark suite: its rows, the fills that it compares, and docs/PERFORMANCE.md, which it writes. No time is judged."""

from __future__ import annotations

import dataclasses
import importlib
import platform
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import contest  # noqa: E402 - in another folder
import measures  # noqa: E402
import run as suite  # noqa: E402
import table  # noqa: E402
import tapes  # noqa: E402

import grinder as gr  # noqa: E402

SMALL = measures.Effort(quotes=20_000, rounds=1, further=1)
ALL_PEERS = (*contest.PEERS, *(peer for peer, _ in contest.OTHERS.values()))
TEXT = suite.PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    rows, versions, scans = suite.measure(SMALL, ("loop",), tmp_path_factory.mktemp("environments"), cold=False)
    return {row.what: row for row in rows}, versions, scans


@pytest.mark.parametrize("script", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_script_finds_what_it_imports(script):
    """Those outside the suite too, which are run by hand."""
    assert importlib.import_module(script).__doc__


def test_the_suite_has_the_rows_that_it_says_and_figures_in_them(measured):
    rows, _, scans = measured
    assert list(rows) == suite.labels()
    for what in (*measures.REPLAYS, *measures.COSTS, contest.OWN):
        row = rows[what]
        assert row.events > 0
        assert row.further > 0, what
        assert what == measures.SCAN or row.first > 0, what
    assert rows["1 times the ticks"].events == SMALL.quotes
    assert rows["a sweep of 64 sets, events of all"].events == 64 * SMALL.quotes
    assert sum(row.fills for row in rows.values() if isinstance(row.fills, int)) > 1_000
    assert len(scans) == 2


def test_the_plain_loop_has_grinders_fills_and_a_ratio_and_what_did_not_run_has_none(measured):
    rows, versions, _ = measured
    mine, loop = rows[contest.OWN], rows["plain Python loop"]
    assert mine.fills > 20
    assert loop.fills == f"the same {mine.fills}"
    assert loop.faster > 0
    assert loop.faster_first > 0
    for peer in ALL_PEERS:
        if peer.name != "loop":
            assert (rows[peer.what].says, rows[peer.what].faster) == ("left out", None)
    assert versions == {}


def test_the_printed_table_has_every_row_once(measured):
    rows, versions, scans = measured
    text = suite.page_part(list(rows.values()), versions, scans, 1.0)
    assert [line[0] for line in lines(text) if not line[0].startswith("**")] == suite.labels()


@pytest.mark.parametrize("seed", [2, 3])
def test_the_loop_is_filled_as_grinder_is_on_days_of_other_seeds(seed, tmp_path):
    columns = tapes.day(60_000, seed=seed)
    run = gr.replay(measures.maker(columns, measures.CONTEST)())
    tape = tapes.write(tmp_path / "tape.npz", columns)
    result = contest._run(contest.PEERS[-1], Path(sys.executable), tape, SMALL._replace(quotes=60_000, rounds=2))
    assert tapes.most_fills_of_a_quote(run.fills["ts"].tolist()) == 1
    assert len(run.fills) > 30
    assert {tuple(fill) for fill in result["fills"]} == set(contest.told(run))
    assert contest.compare(contest.told(run), [tuple(fill) for fill in result["fills"]]) == (f"the same {len(run.fills)}", True)
    assert len(result["seconds"]) == 2
    assert result["peak_bytes"] > 10_000_000


@pytest.mark.parametrize("which", sorted(contest.OTHERS))
def test_no_quote_of_another_tape_fills_two_orders(which):
    """As `--quick` takes them: the suite refuses a tape whose quotes do."""
    _, make = contest.OTHERS[which]
    run = gr.replay(measures.maker(make(suite.QUICK.quotes), measures.CONTEST)())
    assert tapes.most_fills_of_a_quote(run.fills["ts"].tolist()) == 1


def test_the_peers_grid_is_the_plan_that_grinder_records():
    columns = tapes.day(1_000)
    levels = gr.replay(measures.maker(columns, measures.CONTEST)()).levels.records
    entry = tapes.grid(int(columns["bid_px"][0]), int(columns["ask_px"][0]))["entry"]
    for k, side in enumerate((1, -1)):
        assert levels["price"][levels["side"] == side].tolist() == entry[k, : tapes.LEVELS].tolist()


@pytest.mark.parametrize("field", range(4))
def test_a_fill_that_differs_by_one_is_found_and_has_no_ratio(field):
    mine = [(10, 1, 100, 5), (20, -1, 101, 5), (30, 1, 100, 5)]
    theirs = [tuple(value + (k == field and i == 1) for k, value in enumerate(fill)) for i, fill in enumerate(mine)]
    verdict, alike = contest.compare(mine, theirs)
    assert not alike
    assert verdict == f"differ from fill 1: grinder (20, -1, 101, 5), the peer {theirs[1]}"
    assert contest.compare(mine, mine[:2]) == ("differ from fill 2: grinder (30, 1, 100, 5), the peer none", False)
    columns = tapes.day(1_000)
    timed = measures.timed(measures.maker(columns, measures.CONTEST), SMALL)
    result = {"quotes": 1_000, "seconds": [1.0], "processor_seconds": [1.0], "fills": [[1, 1, 1, 1]], "peak_bytes": 1}
    row = contest._row(contest.PEERS[-1], result, timed, columns)
    assert row.faster is None
    assert row.faster_first is None
    assert row.fills.startswith("differ")


def test_what_a_peer_fails_with_is_told_without_paths_and_addresses():
    script = "import sys; print('ERROR: no match for x in /a/b and https://c.d/e', file=sys.stderr); sys.exit(1)"
    with pytest.raises(contest.Refused, match=r"^does not install: ERROR: no match for x in \.\.\. and \.\.\.$"):
        contest._call([sys.executable, "-c", script], "install")


def test_tapes_rise_in_time_and_keep_their_quotes_apart():
    whole = tapes.day(500_000)
    assert (np.diff(whole["ts"]) > 0).all()
    assert (whole["bid_px"] < whole["ask_px"]).all()
    assert min(whole["bid_qty"].min(), whole["ask_qty"].min()) > 0
    assert (np.diff(whole["bid_px"]) != 0).mean() > 0.3 > 0.03 > (np.diff(tapes.day(100_000, rare=True)["bid_px"]) != 0).mean()
    assert all((tapes.day(500_000)[name] == column).all() for name, column in whole.items())
    assert (np.diff(tapes.walk(10_000)["bid_px"]) != 0).mean() > 0.9
    again = tapes.recording(150_000)
    assert all(len(column) == 150_000 for column in again.values())
    assert (np.diff(again["ts"]) >= 0).all()
    assert np.flatnonzero(np.diff(again["ts"]) == 1_000_000_000).tolist() == [66_088, 132_177]
    assert all((again[name][:1000] == again[name][66_089:67_089]).all() for name in tapes.NAMES if name != "ts")
    assert (np.diff(again["bid_px"]) != 0).mean() < 0.03
    many = tapes.several(3, 30_000)
    assert (np.diff(many["ts"]) >= 0).all()
    assert np.bincount(many["symbol"]).tolist() == [10_000] * 3


def lines(text: str) -> list[list[str]]:
    """Cells of the table's rows, without its head."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert tuple(rows[0]) == table.COLUMNS
    return rows[2:]


def test_the_page_has_the_suites_table_machine_and_command():
    assert "python benchmarks/run.py --write" in TEXT
    part = TEXT.partition(suite.BEGIN)[2].partition(suite.END)[0]
    assert re.search(r"^Machine: .+, \d+ cores, \d+ GiB, \w+ \w+\.$", part, re.MULTILINE)
    versions = re.search(r"^Versions: (.+)\.$", part, re.MULTILINE).group(1)
    assert "hftbacktest 2.4." in versions
    assert "vectorbt 1.2." in versions
    rows = lines(part)
    assert all(len(row) == len(table.COLUMNS) for row in rows)
    assert [row[0] for row in rows if not row[0].startswith("**")] == suite.labels()
    number = re.compile(r"[\d,]+(\.\d+)?( (s|ms|MB|GB/s))?|the same [\d,]+|(does not|left out|differ).*|")
    assert [cell for row in rows for cell in row[1:] if not number.fullmatch(cell)] == []
    by_name = {row[0]: dict(zip(table.COLUMNS, row, strict=True)) for row in rows}
    assert by_name[measures.SCAN]["events"] == f"{suite.FULL.quotes:,}"
    assert by_name[measures.SCAN]["fills"].endswith("GB/s")
    for peer in ALL_PEERS:
        alike = by_name[peer.what]["fills"].startswith("the same")
        assert alike == bool(by_name[peer.what]["over its further"]), peer.what


def test_the_page_names_no_machine_and_no_place():
    assert platform.node() not in TEXT or len(platform.node()) < 4
    assert not re.search(r"(?<![\w.`/])/(home|tmp|root|work|usr|opt|Users)/", TEXT)


def test_writing_replaces_what_stands_between_the_marks(tmp_path, monkeypatch):
    page = tmp_path / "PAGE.md"
    monkeypatch.setattr(suite, "PAGE", page)
    page.write_text(f"before\n{suite.BEGIN}\nold\n{suite.END}\nafter\n", "utf-8")
    suite.write("new")
    assert page.read_text("utf-8") == f"before\n{suite.BEGIN}\nnew\n{suite.END}\nafter\n"
    page.write_text("nothing\n", "utf-8")
    with pytest.raises(SystemExit, match="has no lines"):
        suite.write("new")
    assert page.read_text("utf-8") == "nothing\n"


@pytest.mark.parametrize(
    ("words", "said"), [(["--write", "--quick"], "for the whole suite"), (["--peers", "x"], "there is no peer x")]
)
def test_the_command_refuses_what_would_mislead(words, said, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    with pytest.raises(SystemExit, match=said):
        suite.main()


def test_figures_read_as_they_are():
    row = table.Row("x", "s", 5_000_000, 400, 0.0199, 0.0089, 12.34, 123.4, 250_000_000, (11.0, 100.0))
    assert table.cells(row, None)[1:] == ["5,000,000", "400", "19.90 ms", "8.90 ms", "562", "", "12.3", "123", "250 MB"]
    assert (
        table.by_processor([row])
        == "Over grinder's first and further by seconds of the processor, not of the clock: x 11.0 and 100."
    )
    assert table.cells(dataclasses.replace(row, faster=None), 1e9)[6] == "0.562"
