"""The command line: each command in this process, two in one of their own; exit codes, stdout and stderr."""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

import grinder.golden
import grinder.session
from grinder import Config, __main__, __version__, fixture, load
from grinder.cli import _parser, _settings, main
from grinder.data.inspection import inspect
from grinder.errors import ConfigError
from grinder.golden import accept
from tests.swings import swing

NAME = "binance_btcusdt_6m"
SUBCOMMANDS = set("replay sweep explain report diff bisect verify accept import fixture generate lint new".split())
SUBCOMMANDS |= {"warmup", "doctor", "completion"}


@pytest.fixture(autouse=True)
def _a_person(monkeypatch):
    """Not in CI, wherever these tests run."""
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder with one fixture in ./fixtures and its golden."""
    accept(swing(tmp_path / "fixtures" / "swings"), "first golden")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words: str, code: int = 0) -> tuple[str, str]:
    assert main(words) == code
    return capsys.readouterr()


def spoil(folder: Path, old: str, new: str) -> None:
    text = folder.read_text()
    assert old in text
    folder.write_text(text.replace(old, new))


# The process


@pytest.mark.parametrize("status", [0, 3])
def test_the_command_leaves_what_it_made_to_the_end_of_the_process(monkeypatch, status):
    """However it ends, Python has nothing to go through at its own end."""

    def ended():
        assert gc.get_freeze_count() == 0
        if status:
            raise SystemExit(status)  # as argparse does
        return status

    [command] = entry_points(group="console_scripts", name="grinder")
    assert command.load() is __main__.run
    monkeypatch.setattr(__main__, "main", ended)
    try:
        with pytest.raises(SystemExit) as left:
            raise SystemExit(__main__.run())
        assert left.value.code == status
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


# replay


def test_replay(here, capsys):
    out, err = run(capsys, "replay", "swings", "--save", "a.grinder", "--plot", "a.png")
    assert err == ""
    assert out == f"{load('a.grinder')!r}\n"
    assert (here / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in here.iterdir()) == ["a.grinder", "a.png", "fixtures"]


def test_replay_json_is_stable(here, capsys):
    words = ("replay", "swings", "--json", "--set", "levels=2", "--set", "step=0.4%")
    out, err = run(capsys, *words)
    assert (out, err) == run(capsys, *words)
    body = json.loads(out)
    assert out == json.dumps(body, sort_keys=True) + "\n"
    expected = grinder.session.replay("swings", Config(levels=2, step="40bp"))
    assert body == json.loads(json.dumps(expected.to_dict()))
    assert body["digest"] == expected.digest.value
    assert body["config"] == {"levels": 2, "min_edge": "0.0001", "quantity": "0.05", "step": "0.004"}
    assert run(capsys, "replay", "./fixtures/swings", *words[2:])[0] == out


def test_set_words():
    given = [
        "step=5bp",
        "levels=3",
        "equity= 7 ",
        "quantity=0.10",
        "fill_model=cross",
        "max_inventory_notional=20%",
        "maker_fee=-1bp",
    ]
    values = ["5bp", 3, 7, "0.10", "cross", "20%", "-1bp"]
    assert list(_settings(given).items()) == list(zip([word.partition("=")[0] for word in given], values, strict=True))
    assert _settings(["a=b=c", "b="]) == {"a": "b=c", "b": ""}
    assert _settings(["a=true", "b=false", "c=True"]) == {"a": True, "b": False, "c": "True"}
    assert Config(**_settings(["flatten_on_drawdown=false"])).flatten_on_drawdown is False
    with pytest.raises(ConfigError, match="step is set twice"):
        _settings(["step=1bp", "step=1bp"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("stepp=5bp", "stepp: there is no such setting"),
        ("step", "'step': write settings as NAME=VALUE, such as step=5bp"),
        ("levels=0", "levels: .*got 0"),
        ("levels=" + "9" * 5000, "levels: "),
        ("levels=2.5", "levels: .*got '2.5'"),
        ("step=wide", "step: .*wide"),
        ("step=", "step: "),
        ("quantity=0.015", "quantity of SWING 0.015 is no multiple of 0.01"),
        ("policy=clever", "policy: "),
    ],
)
def test_wrong_settings(here, capsys, word, message):
    out, err = run(capsys, "replay", "swings", "--set", word, code=2)
    assert out == ""
    assert re.match(f"grinder: .*{message}", err)
    assert "Traceback" not in err


def test_files_that_cannot_be_written(here, capsys):
    for option in ("--save", "--plot"):
        out, err = run(capsys, "replay", "swings", option, "nowhere/a.png", code=2)
        assert out == ""
        assert "nowhere" in err
        assert err.count("\n") == 1


# verify, accept


def test_verify_every_fixture_here(here, capsys):
    accept(swing(here / "fixtures" / "another"), "first golden")
    value = fixture("swings").content
    assert value == fixture("another").content
    out, err = run(capsys, "verify", "--twice", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["fixture"] for line in lines] == ["another", "swings"]
    assert all(line["passed"] and line["digest"] == line["golden"] for line in lines)
    assert out == "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    assert err == ""
    out, _ = run(capsys, "verify")
    assert out.splitlines() == [f"{line['fixture']}: equal, {line['digest']}" for line in lines]
    out, _ = run(capsys, "verify", "./fixtures/swings", NAME)
    assert [line.split(":")[0] for line in out.splitlines()] == ["swings", NAME]


def test_a_file_stands_for_its_fixture(here, capsys, monkeypatch):
    """As pre-commit passes what changed: every fixture once, in the order of its first file."""
    accept(swing(here / "fixtures" / "another"), "first golden")
    files = sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
    assert len(files) == 6
    out, _ = run(capsys, "verify", files[-1], *files)
    assert [line.split(":")[0] for line in out.splitlines()] == ["swings", "another"]
    out, _ = run(capsys, "fixture", "validate", "--json", *files)
    assert [json.loads(line)["fixture"] for line in out.splitlines()] == ["another", "swings"]
    assert run(capsys, "verify", str(here / files[0]))[0].startswith("another: equal")
    for folder, words in ((here / "fixtures", "swings/digest.json"), (here / "fixtures" / "swings", "fixture.toml")):
        monkeypatch.chdir(folder)
        assert run(capsys, "verify", words)[0].startswith("swings: equal")
    (here / "notes.txt").write_text("no part of a fixture")
    monkeypatch.chdir(here)
    assert "there is no fixture.toml" in run(capsys, "verify", "notes.txt", code=3)[1]


def test_verify_from_an_empty_folder_takes_what_came_with_grinder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert f"{NAME}: equal" in run(capsys, "verify")[0]


def test_fixture_validate(here, capsys):
    other = swing(here / "other", expect={"cycles": 1})
    spoil(here / "fixtures" / "swings" / "fixture.toml", "levels = 3", 'levels = "three"')
    broken = here / "fixtures" / "swings"
    out, err = run(capsys, "fixture", "validate", NAME, "nothing", "swings", str(broken), "./other", code=3)
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [f"{NAME}: valid", "other: valid"]
    assert "quarantined  books.book_unlike_quotes 3\n" in out
    assert re.findall("^grinder: .{12}", err, re.MULTILINE) == ["grinder: no fixture '", *["grinder: config is wr"] * 2]
    assert err.count("in fixtures/swings/fixture.toml") == 1
    out, err = run(capsys, "fixture", "validate", "--json", "swings", "./other", code=3)
    bad, good = (json.loads(line) for line in out.splitlines())
    assert (bad["fixture"], bad["valid"], bad["error"]) == ("swings", False, "ConfigError")
    assert f"grinder: {bad['message']}\n" in err
    assert good == json.loads(json.dumps(inspect(other.path).to_dict() | {"folder": "other"}))
    assert run(capsys, "fixture", "validate", "./other")[1] == ""


def test_nothing_selected(monkeypatch, capsys):
    monkeypatch.setattr("grinder.data.fixture.fixture_roots", list)
    assert run(capsys, "verify", code=5).err.startswith("grinder: there are no fixtures")


def test_a_mismatch_ends_with_1_and_the_rest_is_verified_too(here, capsys):
    swing(here / "fixtures" / "greedy", expect={"fills": 10**6})
    spoil(here / "fixtures" / "swings" / "fixture.toml", "levels = 3", "levels = 2")
    (here / "fixtures" / "greedy" / "digest.json").write_bytes((here / "fixtures" / "swings" / "digest.json").read_bytes())
    out, err = run(capsys, "verify", code=1)
    assert err == ""
    assert "greedy: NOT equal" in out
    assert "expected but not shown: fills: at least 1000000" in out
    assert "swings: NOT equal" in out
    assert "stage plans differs first, in window 0 (events 0 to 4095)" in out
    bodies = [json.loads(line) for line in run(capsys, "verify", "--json", code=1)[0].splitlines()]
    assert [(body["passed"], body["first_stage"], len(body["shortfalls"])) for body in bodies] == [
        (False, None, 1),
        (False, "plans", 0),
    ]

    assert main(["verify", "swings", NAME]) == 1


def test_verify_goes_on_past_what_cannot_be_verified(here, capsys, monkeypatch):
    """The worst exit code counts, and every fixture has its verdict or its error."""
    for name in ("corrupt", "wanting"):
        swing(here / "fixtures" / name, expect={"fills": 10**6})
        (here / "fixtures" / name / "digest.json").write_bytes((here / "fixtures" / "swings" / "digest.json").read_bytes())
    (here / "fixtures" / "corrupt" / "quotes.parquet").write_bytes(b"PAR1")
    out, err = run(capsys, "verify", code=3)
    assert [line.split(":")[0] for line in out.splitlines() if not line.startswith(" ")] == ["swings", "wanting"]
    assert err.count("\n") == 1
    assert "corrupt/quotes.parquet: sha256 is" in err
    out, err = run(capsys, "verify", "nothing", "wanting", "./fixtures/corrupt", "swings", "--json", code=3)
    assert [json.loads(line)["fixture"] for line in out.splitlines()] == ["wanting", "swings"]
    assert err.count("grinder: ") == 2
    assert run(capsys, "verify", "swings", "wanting", code=1)[0].startswith("swings: equal")
    real = grinder.session.replay
    monkeypatch.setattr(grinder.golden, "replay", lambda data, chunk=0, **_: real(data, Config(levels=1) if chunk else None))
    _, err = run(capsys, "verify", "swings", "corrupt", "wanting", "--twice", code=4)
    assert [line[:16] for line in err.splitlines()] == ["grinder: swings:", "grinder: fixture", "grinder: wanting"]


@pytest.fixture
def mixed(here) -> Path:
    """One equal fixture, one that differs, one that is corrupt."""
    for name in ("corrupt", "differs"):
        accept(swing(here / "fixtures" / name), "first golden")
    spoil(here / "fixtures" / "differs" / "fixture.toml", "levels = 3", "levels = 2")
    (here / "fixtures" / "corrupt" / "quotes.parquet").write_bytes(b"PAR1")
    return here


def test_verify_format_json_is_verify_json(mixed, capsys):
    assert run(capsys, "verify", "--format", "json", code=3) == run(capsys, "verify", "--json", code=3)
    with pytest.raises(SystemExit) as caught:
        main(["verify", "--json", "--format", "junit"])
    assert caught.value.code == 2


def test_verify_format_junit(mixed, capsys):
    out, err = run(capsys, "verify", "--format", "junit", code=3)
    suites = ElementTree.fromstring(out)
    cases = {case.get("name"): [part.tag for part in case] for case in suites.iter("testcase")}
    assert cases == {"corrupt": ["error"], "differs": ["failure"], "swings": ["system-out"]}
    (failure,) = suites.iter("failure")
    text = "stage plans differs first, in window 0 \\(events 0 to 4095\\).*; 2023-11-14T22:13:20.0+ to 2023-11-14T22:20:09.50+ UTC"
    assert re.search(text, failure.text)
    assert err.count("grinder: ") == 1
    for name in ("corrupt", "differs"):
        shutil.rmtree(mixed / "fixtures" / name)
    assert ElementTree.fromstring(run(capsys, "verify", "--format", "junit")[0]).get("failures") == "0"


def test_verify_format_markdown(mixed, capsys):
    out, _ = run(capsys, "verify", "--format", "markdown", code=3)
    assert out.startswith("### grinder verify: 2 of 3 failed\n\n| fixture |")
    assert len(out.splitlines()) == 7


def test_verify_under_github_actions(mixed, capsys, monkeypatch):
    """Text goes on as ever, with an annotation after each failure; the table is appended to the job's summary."""
    plain, stderr = run(capsys, "verify", code=3)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(mixed / "summary.md"))
    (mixed / "summary.md").write_text("what an earlier step said\n")
    out, err = run(capsys, "verify", code=3)
    assert err == stderr
    assert "".join(line + "\n" for line in out.splitlines() if not line.startswith("::")) == plain
    annotated = [line for line in out.splitlines() if line.startswith("::")]
    assert [line.split("::")[1] for line in annotated] == [
        "error title=corrupt%3A IntegrityError",
        "error title=differs%3A digest differs",
    ]
    summary = (mixed / "summary.md").read_text()
    assert summary == "what an earlier step said\n" + run(capsys, "verify", "--format", "markdown", code=3)[0]
    assert run(capsys, "verify", "--format", "github", code=3)[0].splitlines() == annotated
    assert len((mixed / "summary.md").read_text()) == 2 * len(summary) - len("what an earlier step said\n")
    for form in ("json", "junit", "markdown"):
        assert "::" not in run(capsys, "verify", "--format", form, code=3)[0]


def test_a_summary_that_cannot_be_written_changes_no_verdict(here, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "nowhere" / "summary.md"))
    assert run(capsys, "verify", "swings").err == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    out, err = run(capsys, "verify", "swings")
    assert out.startswith("swings: equal")
    assert "summary.md" in err


def test_missing_and_damaged_fixtures_end_with_3(here, capsys):
    for words in (
        ("replay", "nothing"),
        ("verify", "nothing"),
        ("verify", "./nothing"),
        ("accept", "nothing", "--reason", "two words"),
    ):
        out, err = run(capsys, *words, code=3)
        assert out == ""
        assert err.startswith("grinder: ")
    assert "there are: " in run(capsys, "replay", "nothing", code=3)[1]
    (here / "fixtures" / "swings" / "digest.json").write_text("{}")
    assert "no readable golden" in run(capsys, "verify", "swings", code=3)[1]
    (here / "fixtures" / "swings" / "digest.json").unlink()
    assert "there is no golden yet" in run(capsys, "verify", "swings", code=3)[1]
    (here / "fixtures" / "swings" / "quotes.parquet").write_bytes(b"PAR1")
    assert "restore the file" in run(capsys, "replay", "swings", code=3)[1]


def test_nondeterminism_ends_with_4(here, capsys, monkeypatch):
    real = grinder.session.replay
    monkeypatch.setattr(grinder.golden, "replay", lambda data, chunk=0, **_: real(data, Config(levels=1) if chunk else None))
    run(capsys, "verify", "swings")
    out, err = run(capsys, "verify", "swings", "--twice", code=4)
    assert (out, err[:52]) == ("", "grinder: swings: two runs of the same fixture differ")


def test_interruption_ends_with_130(here, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(grinder.session, "replay", interrupt)
    assert run(capsys, "replay", "swings", code=130) == ("", "interrupted\n")


def test_accept(here, capsys, monkeypatch):
    file = here / "fixtures" / "swings" / "digest.json"
    old = json.loads(file.read_text())["digest"]
    spoil(here / "fixtures" / "swings" / "fixture.toml", "levels = 3", "levels = 2")
    out, _ = run(capsys, "accept", "swings", "--reason", "fewer levels")
    new = json.loads(file.read_text())["digest"]
    assert out == f"{old} -> {new}\n"
    assert json.loads(file.read_text())["reason"] == "fewer levels"
    assert run(capsys, "verify", "swings")[0] == f"swings: equal, {new}\n"
    body = json.loads(run(capsys, "accept", "swings", "--reason", "once more", "--json")[0])
    assert body == {"fixture": "swings", "before": new, "after": new}
    assert "two words" in run(capsys, "accept", "swings", "--reason", "why", code=2)[1]
    monkeypatch.setenv("CI", "true")
    assert "CI is set" in run(capsys, "accept", "swings", "--reason", "fewer levels", code=2)[1]


# Usage


def leaves(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [leaf for action in inner for name, sub in action.choices.items() for leaf in leaves(sub, (*path, name))] or [
        (path, parser)
    ]


@pytest.mark.parametrize(
    ("path", "parser"), leaves(_parser()), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_help_of_each_command(path, parser, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as caught:
        main([*path, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for action in parser._actions:
        assert all(option in text for option in action.option_strings)
        assert action.help, action
        assert action.help.replace("%(default)s", str(action.default)).split(";")[0] in " ".join(text.split())
    for code in (
        "0 equal",
        "1 digest mismatch",
        "2 usage",
        "3 fixture",
        "4 nondeterminism",
        "5 nothing",
        "125 a revision",
        "130 interrupted",
    ):
        assert code in text
    assert path[0] in SUBCOMMANDS


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["replay"], ["replay", NAME, "--fast"], ["accept", NAME], ["import", "binance", "a"], ["import"]]
)
def test_wrong_usage_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: grinder" in err


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"grinder {__version__}\n"


def test_progress_goes_to_stderr_only(here, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    out, err = run(capsys, "replay", "swings", "--json")
    assert json.loads(out)["complete"]
    assert "replay swings" in err
    assert len(out.splitlines()) == 1


# Processes of their own


def test_a_broken_pipe_leaves_the_caller_its_stderr(here, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("grinder.cli._print", lambda *_: (_ for _ in ()).throw(BrokenPipeError))
        assert run(capsys, "verify", "swings") == ("", "")
    assert run(capsys, "verify", "nothing", code=3)[1]


def test_a_process(here):
    command = [sys.executable, "-W", "error", "-m", "grinder", "replay", "swings", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["digest"] == json.loads((here / "fixtures/swings/digest.json").read_text())["digest"]


def test_a_reader_that_has_gone_is_no_error(here):
    command = [sys.executable, "-W", "error", "-m", "grinder", "verify", "swings", "swings"]
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
