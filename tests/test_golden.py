"""Goldens: equal, different, damaged, accepted, and what `[expect]` asks for (SPEC 14, 2.3)."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import grinder.golden as module
from grinder.cli import main
from grinder.config import Config
from grinder.data.fixture import Fixture, to_toml
from grinder.digest import Digest
from grinder.errors import ConfigError, DataError, DigestMismatch, IntegrityError, Nondeterminism
from grinder.golden import accept, read_golden, verify
from grinder.records import STAGES, WINDOW
from grinder.session import replay
from tests.swings import T0, swing

REAL = Path(__file__).resolve().parents[1] / "fixtures" / "binance_btcusdt_6m"


@pytest.fixture(autouse=True)
def _a_person(monkeypatch):
    """Not in CI, wherever these tests run."""
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def swings(tmp_path) -> Fixture:
    made = swing(tmp_path / "swings")
    accept(made, "first golden")
    return made


def spoil(digest: Digest, *places: tuple[str, int]) -> Digest:
    """The digest of a run that differs in these stages, each from a window on."""
    for stage, window in places:
        given = digest.links[stage]
        links = given[: 16 * window] + given[: 16 * window - 1 if window else None : -1]
        root = links[-16:] + digest.roots[stage][16:]
        digest = replace(digest, heads=digest.heads | {stage: bytes.fromhex(links)}, roots=digest.roots | {stage: root})
    return digest


def put(fixture: Fixture, digest: Digest) -> None:
    (fixture.path / "digest.json").write_text(json.dumps(digest.to_dict()))


# Verify


def test_the_committed_fixture_is_equal_twice():
    seen = []
    verdict = verify(REAL, twice=True, progress=lambda done, total: seen.append((done, total)))
    assert verdict.passed
    assert (verdict.difference, verdict.shortfalls, verdict.span) == (None, (), "")
    assert verdict.digest == verdict.golden == json.loads((REAL / "digest.json").read_text())["digest"]
    assert str(verdict) == f"binance_btcusdt_6m: equal, {verdict.digest}"
    assert seen.count((93_949, 93_949)) == 2


def test_the_second_run_is_cut_otherwise(swings, monkeypatch):
    chunks = []
    monkeypatch.setattr(module, "replay", lambda *args, **kw: chunks.append(kw.get("chunk")) or replay(*args, **kw))
    assert verify(swings, twice=True).passed
    assert chunks == [None, len(swings) // 3 | 1]
    assert verify(swings).passed
    assert len(chunks) == 3


@pytest.mark.parametrize(
    ("places", "stage", "window"),
    [
        ([("fills", 1)], "fills", 1),
        ([("alerts", 0), ("ledger", 2)], "ledger", 2),
        ([("ledger", 0), ("orders", 1), ("bars", 2)], "bars", 2),
    ],
)
def test_a_changed_golden_names_stage_window_and_time(swings, places, stage, window):
    golden = spoil(read_golden(swings), *places)
    put(swings, golden)
    verdict = verify(swings)
    assert not verdict.passed
    assert (verdict.difference.stage, verdict.difference.window) == (stage, window)
    assert set(verdict.difference.stages) == {name for name, _ in places}
    assert (verdict.golden, verdict.digest) == (golden.value, replay(swings).digest.value)
    first, last = window * WINDOW, min(window * WINDOW + WINDOW, len(swings)) - 1
    times = [str(np.datetime64(T0 + row * 10**8, "ns")) for row in (first, last)]
    text = str(verdict)
    assert f"stage {stage} differs first, in window {window} (events {first} to" in text
    assert f"; {times[0]} to {times[1]} UTC" in text
    assert golden.value in text
    assert verdict.to_dict()["first_stage"] == stage
    assert verdict.to_dict()["first_window"] == window


@pytest.mark.parametrize("where", ["a name", "a folder", "a folder with a space", "renamed"])
def test_what_a_mismatch_says_to_type_shows_the_difference(where, swings, tmp_path, monkeypatch, capsys):
    """The command is run as it stands, from where the verdict came."""
    put(swings, spoil(read_golden(swings), ("ledger", 2)))
    folder = {
        "a name": "fixtures/swings",
        "a folder": "mine",
        "a folder with a space": "my own/swings",
        "renamed": "fixtures/other",
    }
    (tmp_path / folder[where]).parent.mkdir(exist_ok=True)
    swings.path.rename(tmp_path / folder[where])
    monkeypatch.chdir(tmp_path)
    assert main(["verify", f"./{folder[where]}"]) == 1
    said = capsys.readouterr().out
    (line,) = (line for line in said.splitlines() if "to see it: " in line)
    command = line.partition("to see it: ")[2].partition(" (")[0]
    words = {"a name": "swings", "a folder": "./mine", "a folder with a space": "'my own/swings'", "renamed": "other"}
    assert command == f"grinder diff {words[where]}"
    assert line.endswith(f": grinder diff COMMIT --fixture {words[where]})")
    assert main(shlex.split(command)[1:]) == 1
    shown = capsys.readouterr().out
    assert "NOT equal" in shown
    assert "window 2" in shown or f"{2 * WINDOW:,}" in shown
    assert "ledger" in shown


def test_an_equal_verdict_says_nothing_to_type(swings):
    verdict = verify(swings)
    assert (verdict.next, verdict.to_dict()["next"]) == ("", None)
    assert "grinder diff" not in str(verdict)


def test_another_config_or_other_data_without_other_records(swings):
    """The digest holds config and input too: a golden of other settings differs even where no record does."""
    run = replay(swings).digest
    for name in ("config", "input"):
        put(swings, replace(run, **{name: "0" * 64}))
        verdict = verify(swings)
        assert (verdict.difference.stage, verdict.difference.window, verdict.span) == (name, -1, "")


def test_a_real_change_of_behaviour_is_located(swings):
    """A golden of a run whose fee differs: the first stage that shows a fee is `fills`, from the first fill's window on."""
    other = replay(swings, Config(maker_fee="3bp")).digest
    put(swings, replace(other, config=replay(swings).digest.config))
    verdict = verify(swings)
    fills, fees = replay(swings).fills, replay(swings, Config(maker_fee="3bp")).fills
    differs = [i for i in range(len(fills)) if fills.records[i] != fees.records[i]]
    assert (verdict.difference.stage, verdict.difference.window) == ("fills", fills["event"][differs[0]] // WINDOW)


DAMAGES = {
    "empty": b"",
    "not json": b"{",
    "list": b"[]",
    "number": b"3",
    "not utf-8": b'{"a": "\xff"}',
    "deep": b"[" * 100_000,
    "infinite": None,
    "edited": None,
    "cut": None,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_golden_is_corrupt_not_different(swings, damage):
    file = swings.path / "digest.json"
    body, text = DAMAGES[damage], file.read_text()
    edits = {
        "infinite": text.replace('"events": 9000', '"events": 1e999'),
        "edited": text.replace('"count": ', '"count": 1'),
        "cut": text[:-30],
    }
    file.write_bytes(body if body is not None else edits[damage].encode())
    assert file.read_text(errors="replace") != text
    with pytest.raises(IntegrityError, match=r"digest\.json: no readable golden") as caught:
        verify(swings)
    assert caught.value.exit_code == 3


def test_no_golden_yet(tmp_path):
    made = swing(tmp_path / "swings")
    with pytest.raises(DataError, match="there is no golden yet: `grinder accept swings --reason"):
        verify(made)
    memory = replace(made, path=None)
    with pytest.raises(DataError, match="made in memory and has no golden"):
        verify(memory)
    with pytest.raises(ConfigError, match="made in memory"):
        accept(memory, "two words")


def test_two_runs_that_differ_are_their_own_error(swings, monkeypatch):
    """Whether or not the golden agrees with one of them."""

    def drifting(data, *args, chunk=None, **kw):
        return replay(data, Config(quantity="0.06") if chunk else None, *args, **kw)

    monkeypatch.setattr(module, "replay", drifting)
    assert verify(swings).passed
    with pytest.raises(
        Nondeterminism, match=r"swings: two runs of the same fixture differ: stage \w+ differs first, in window 0 .*UTC"
    ) as caught:
        verify(swings, twice=True)
    assert caught.value.exit_code == 4


# What a fixture must show


@pytest.mark.parametrize(
    ("expect", "missing"),
    [
        ({"fills": 10**6}, ["fills: at least 1000000, there are {fills}"]),
        (
            {"buys": 10**6, "sells": 1, "cycles": 10**6},
            ["buys: at least 1000000, there are {buys}", "cycles: at least 1000000, there are {cycles}"],
        ),
        ({"commands": 1}, ["commands: at least 1, there are 0"]),
        ({"regimes": ["TOXIC", "EMERGENCY"]}, ["regime TOXIC", "regime EMERGENCY"]),
        ({"gates": ["THIN"], "alerts": ["BREAKER", "DRAWDOWN"]}, ["gate THIN", "alert BREAKER", "alert DRAWDOWN"]),
        ({"regimes": [], "realised": 1}, []),
        ({}, []),
    ],
)
def test_shortfalls(tmp_path, expect, missing):
    made = swing(tmp_path / "swings", expect=expect)
    run = replay(made)
    put(made, run.digest)
    verdict = verify(made)
    assert verdict.difference is None
    assert list(verdict.shortfalls) == [text.format(**run.summary()) for text in missing]
    assert verdict.passed == (not missing)
    for text in verdict.shortfalls:
        assert f"expected but not shown: {text}" in str(verdict)
    if missing:
        with pytest.raises(DigestMismatch, match="does not show what") as caught:
            accept(made, "let it pass")
        assert caught.value.exit_code == 1


def test_exactly_as_many_as_expected_is_enough(tmp_path):
    summary = replay(swing(tmp_path / "a")).summary()
    least = {name: summary[name] for name in ("fills", "buys", "sells", "cycles")}
    assert min(least.values()) > 0
    exact = swing(tmp_path / "b", expect=least)
    assert module.shortfalls(exact, replay(exact)) == ()
    more = swing(tmp_path / "c", expect={name: count + 1 for name, count in least.items()})
    assert len(module.shortfalls(more, replay(more))) == 4


def test_commands_are_counted(tmp_path):
    made = swing(tmp_path / "a", expect={"commands": 2})
    first, last = made.events.ts[[0, -1]].tolist()
    two = replay(made.with_commands([(first, "pause", None), (last, "resume", None)]))
    assert module.shortfalls(made, two) == ()
    one = replay(made.with_commands([(first, "pause", None)]))
    assert module.shortfalls(made, one) == ("commands: at least 2, there are 1",)


def test_realised_pnl_other_than_zero(tmp_path):
    made = swing(tmp_path / "a", config={"step": "90%", "quantity": "0.05"}, expect={"realised": True})
    assert module.shortfalls(made, replay(made)) == ("realised PnL other than 0",)


@pytest.mark.parametrize(
    "expect",
    [
        *[{"nonsense": 1}, {"fills": "many"}, {"fills": True}, {"regimes": "RANGE"}, {"regimes": ["CALM"]}, {"realised": "yes"}],
        *[{"fills": 0}, {"cycles": -5}, {"realised": 3}, {"realised": False}, {"regimes": [["RANGE"]]}],
    ],
)
def test_unknown_expectations_are_refused(tmp_path, expect):
    place = rf"\[expect\] {next(iter(expect))}"
    with pytest.raises(ConfigError, match=place):
        swing(tmp_path / "swings", expect=expect)
    assert list(tmp_path.iterdir()) == [], "not even written"
    folder = swing(tmp_path / "swings", expect={}).path
    manifest = folder / "fixture.toml"
    manifest.write_text(manifest.read_text().replace("[expect]\n", f"[expect]\n{to_toml(expect)}"))
    made = Fixture.open(folder)
    put(made, replay(made).digest)
    with pytest.raises(IntegrityError, match=place):
        verify(made)


# Accept


def test_accept_writes_reason_and_headline(swings):
    file = swings.path / "digest.json"
    before = read_golden(swings)
    put(swings, spoil(before, ("fills", 0)))
    old, new = accept(swings.path, "the fee is ceiled")
    body = json.loads(file.read_text())
    assert (old.value, new.value) == (spoil(before, ("fills", 0)).value, before.value)
    assert (body["reason"], body["digest"]) == ("the fee is ceiled", before.value)
    assert body["headline"] == replay(swings).summary()
    assert set(body["stages"]) == set(STAGES)
    assert verify(swings).passed
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.read_text().endswith("}\n")


def test_accept_replaces_a_golden_it_cannot_read(swings):
    (swings.path / "digest.json").write_text('{"format": 0}')
    old, new = accept(swings, "a new format")
    assert old is None
    assert verify(swings).golden == new.value


@pytest.mark.parametrize("value", ["true", "1", "yes", "TRUE"])
def test_never_in_ci(swings, monkeypatch, value):
    before = (swings.path / "digest.json").read_bytes()
    monkeypatch.setenv("CI", value)
    with pytest.raises(ConfigError, match="CI is set"):
        accept(swings, "a good reason")
    assert (swings.path / "digest.json").read_bytes() == before
    monkeypatch.setenv("CI", "false")
    accept(swings, "a good reason")


@pytest.mark.parametrize("reason", ["", "   ", "because", " fixed\n"])
def test_a_reason_has_words(swings, reason):
    with pytest.raises(ConfigError, match="at least two words"):
        accept(swings, reason)


def test_accept_writes_whole_or_not_at_all(swings, monkeypatch):
    before = {path.name: path.read_bytes() for path in swings.path.iterdir()}
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        accept(swings, "a good reason")
    assert {path.name: path.read_bytes() for path in swings.path.iterdir()} == before


def test_the_real_fixture_with_another_golden(tmp_path):
    copy = Fixture.open(shutil.copytree(REAL, tmp_path / REAL.name))
    put(copy, spoil(read_golden(copy), ("intents", 7), ("orders", 7)))
    difference = verify(copy).difference
    assert (difference.stage, difference.window, difference.stages) == ("intents", 7, ("intents", "orders"))
