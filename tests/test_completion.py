"""Completion in real shells: the script is read by bash, and what it offers is what the parser takes."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from grinder.cli import main
from grinder.completion import SHELLS
from grinder.config import Config
from tests.test_cli import SUBCOMMANDS

ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(( $# - 1 ))
_grinder
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    """The script of bash, as the command prints it."""
    path = tmp_path_factory.mktemp("completion") / "grinder.bash"
    words = [sys.executable, "-m", "grinder", "completion", "bash"]
    path.write_text(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return path


def offered(script: Path, *words: str, cwd: Path | None = None) -> set[str]:
    """What bash offers for the last of these words."""
    command = ["bash", "--norc", "-c", ASK, "bash", str(script), "grinder", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_commands_and_options(script):
    assert offered(script, "") >= SUBCOMMANDS
    assert offered(script, "re") == {"replay", "report"}
    assert offered(script, "replay", "--m") == {"--metrics"}
    assert offered(script, "fixture", "v") == {"validate"}
    assert offered(script, "import", "table", "--quo") >= {"--quotes", "--quote", "--quote-decimals"}
    assert offered(script, "verify", "--format", "j") == {"json", "junit"}


def test_fixtures_that_came_with_it_and_those_here(script, tmp_path):
    assert offered(script, "replay", "range") == {"range_day_l1"}
    here = tmp_path / "fixtures" / "range_of_mine"
    here.mkdir(parents=True)
    assert offered(script, "replay", "range", cwd=tmp_path) == {"range_day_l1"}, "a folder alone is no fixture"
    (here / "fixture.toml").touch()
    for hostile in ("range$(touch done)", "range`touch done`", "range;touch done", "range day"):
        (tmp_path / "fixtures" / hostile).mkdir()
        (tmp_path / "fixtures" / hostile / "fixture.toml").touch()
    for words in (["replay"], ["diff", "x"], ["verify", "x"], ["explain", "x", "--fixture"], ["fixture", "validate"]):
        assert offered(script, *words, "range", cwd=tmp_path) == {"range_day_l1", "range_of_mine"}, words
    assert not (tmp_path / "done").exists(), "a name is never run"


def test_settings_and_their_values(script):
    assert offered(script, "replay", "x", "--set", "") == {f"{name}=" for name in Config.model_fields}
    assert offered(script, "sweep", "x", "--grid", "dd_win") == {"dd_window=", "dd_window_ms="}
    assert offered(script, "replay", "--set", "policy", "=") == {"static", "smart"}
    assert offered(script, "replay", "--set", "policy", "=", "sm") == {"smart"}
    assert offered(script, "replay", "--set", "risk_monitor", "=", "t") == {"true"}
    assert offered(script, "replay", "--set", "step", "=", "5") == set()
    assert offered(script, "replay", "--set", "step", "=", "5bp", "range") == {"range_day_l1"}, "step=5bp is one word"
    assert offered(script, "sweep", "--range", "step", "=", "5bp", ":", "50bp", "--rand") == {"--random"}


def test_keys_in_an_interactive_bash(script, tmp_path):
    """A person types, and the tabulator completes; a setting is left without a space, to be gone on with."""
    typed = b"grinder repl\trange\t--set poli\tsm\t"
    assert "grinder replay range_day_l1 --set policy=smart" in _terminal(script, tmp_path, typed, "policy=smart")


def _terminal(script: Path, folder: Path, typed: bytes, until: str, seconds: float = 30) -> str:
    """What a terminal shows when this is typed."""
    terminal, side = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "PS1": "> ", "HISTFILE": "/dev/null"}
    command = ["bash", "--norc", "--noprofile", "-i"]
    child = subprocess.Popen(command, cwd=folder, env=environment, stdin=side, stdout=side, stderr=side, start_new_session=True)
    os.close(side)
    shown, end = "", monotonic() + seconds
    try:
        os.write(terminal, f"bind 'set enable-bracketed-paste off'; source {script}; echo re''ady\n".encode())
        for wanted, then in (("ready", typed), (until, b"")):
            while wanted not in re.sub(r"\r|\x1b\[\S", "", shown) and monotonic() < end:
                if select.select([terminal], [], [], 0.1)[0]:
                    shown += os.read(terminal, 4096).decode("utf-8", "replace")
            os.write(terminal, then)
    finally:
        child.kill()
        child.wait()
        os.close(terminal)
    return re.sub(r"\r|\x07|\x1b\[\S", "", shown)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_every_command(shell, capsys):
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    for command in SUBCOMMANDS:
        assert re.search(rf"\b{command}\b", out), command
    assert "--metrics" in out or "metrics" in out


def test_without_shtab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install shtab" in capsys.readouterr().err


def test_the_command_line_starts_without_it():
    code = "import sys, grinder.cli; print({'shtab', 'numba', 'pydantic', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_script_names_no_place_of_this_machine(script):
    text = script.read_text()
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert str(Path(__file__).resolve().parents[1]) not in text
