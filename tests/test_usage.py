"""Help that teaches: every command shows examples, and each of them runs as it stands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grinder import Config, replay, revisions
from grinder.cli import _parser, main
from grinder.data.characters import generate_fixture
from grinder.golden import accept
from grinder.usage import EXAMPLES, commands_of
from tests import test_binance, test_lean, test_tardis
from tests.examples import _checkout
from tests.files import BOOK_TICKER, QUOTE_ROWS, T, csv
from tests.swings import swing

SHOWN = re.compile(r"^  (grinder .*)$", re.MULTILINE)
COMMANDS = dict(commands_of(_parser()))
LINES = [(words, line) for words, parser in COMMANDS.items() for line in SHOWN.findall(parser.format_help())]
CI = ("CI", "GITHUB_ACTIONS")
DIFFERS = {"diff"}
"""Commands whose examples find a difference, and so end with 1."""
POLICY = "import grinder as gr\n\n\ndef wide(view, params):\n    return gr.static(view, params)\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the files that examples name, in a repository that stands in for a checkout of grinder."""
    folder = _checkout(tmp_path_factory.mktemp("usage"))
    with pytest.MonkeyPatch.context() as patch:
        for name in CI:
            patch.delenv(name, raising=False)
        accept(swing(folder / "fixtures" / "mine"), "first golden")
        for name, seed, day in (("day1", 7, 19_726), ("day2", 8, 19_727)):
            made = generate_fixture(
                "range_day", seed, folder / "fixtures" / name, parameters={"quotes_per_day": 5000, "start_day": day}
            )
            accept(made, "first golden")
    for name, step in (("before", "2bp"), ("after", "3bp")):
        replay("binance_btcusdt_6m", Config(step=step)).save(folder / f"{name}.grinder")
    (folder / "policy.py").write_text(POLICY)
    (folder / "recording.gz").write_text("\n".join(test_binance.SAMPLE) + "\n")
    csv(folder / "BTCUSDT-bookTicker-2024-01-01.csv", QUOTE_ROWS, header=BOOK_TICKER)
    csv(folder / "BTCUSDT-1m-2024-01-01.csv", [f"{T},100,102,99,101,5,{T + 59_999},500,7,2,200,0"])
    csv(folder / "20240101_quote.csv", test_lean.ROWS)
    test_tardis.quotes(folder)
    csv(folder / "mine.csv", [f"{T},100,5,101,4", f"{T + 1},100,5,102,4"], header="ts,bid,bid_qty,ask_px,ask_qty")
    csv(folder / "plain.csv", [f"{T},100,5,101,4", f"{T + 1},100,5,102,4"], header="ts,bid_px,bid_qty,ask_px,ask_qty")
    csv(folder / "desk.csv", [f"{T + 1},pause"], header="ts,command")
    return folder


@pytest.mark.parametrize(("words", "line"), LINES, ids=lambda text: text)
def test_an_example_runs(words, line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr(revisions, "_home", lambda: place.parent / "home")
    for name in CI:
        monkeypatch.delenv(name, raising=False)
    for path in (place / "fixtures").iterdir():
        if path.name not in ("mine", "day1", "day2"):
            shutil.rmtree(path)  # what another example made
    given = shlex.split(line.partition(" > ")[0])
    assert given[0] == "grinder"
    assert " ".join(given[1:]).startswith(words)
    assert main(given[1:]) == (1 if words in DIFFERS else 0), capsys.readouterr()
    assert capsys.readouterr().out


def test_every_command_has_examples():
    assert set(EXAMPLES) == set(COMMANDS) - {"sweep", "completion"}, "those have theirs in what they say of themselves"
    assert {words for words, _ in LINES} == set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS)
def test_help_names_its_exit_codes_and_fits_a_terminal(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = COMMANDS[words].format_help()
    assert "exit codes: 0 equal" in text
    assert not [line for line in text.splitlines() if len(line) > 140]


def test_nothing_is_coloured_when_piped(tmp_path):
    """Neither help nor errors nor results, in whatever terminal the pipe was typed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for words in (
        ["--help"],
        ["replay", "--help"],
        ["replay"],
        ["replay", "binance_btcusdt_6m"],
        ["doctor"],
        ["verify", "nothing"],
    ):
        command = [sys.executable, "-m", "grinder", *words]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.stdout + done.stderr
        assert b"\x1b" not in done.stdout + done.stderr, words
