"""`grinder lint lookahead`: a planted policy of each kind is found and named with its first event; clean ones are not."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time

import numpy as np
import polars as pl
import pytest

import grinder as gr
from grinder import causality, reruns
from grinder.causality import cut_points, lookahead
from grinder.cli import main
from grinder.data.fixture import write_fixture
from grinder.errors import ConfigError, PolicyError
from grinder.reruns import USUAL, Outcome, controlled
from tests.tapes import case

WHOLE = gr.fixture("dydx_btcusd_1d")
FOLDER = tempfile.TemporaryDirectory(prefix="grinder-")  # of four hours of it, which replay in no time
QUOTES = {name: column[:960] for name, column in pl.read_parquet(WHOLE.path / "quotes.parquet").to_dict(as_series=False).items()}
DAY = write_fixture(
    f"{FOLDER.name}/short", WHOLE.instruments, {"quotes": QUOTES}, shows="four hours", config=WHOLE.manifest["config"]
)
NAME = str(DAY.path)
MIDS = DAY.events.bid_px + DAY.events.ask_px
BARS = gr.replay(DAY).bars["close"]
FRAME = gr.replay(DAY).bars.to_polars()
NEXT = {int(event): int(MIDS[min(event + 1, len(MIDS) - 1)]) for event in range(len(MIDS))}
BLOB = np.arange(777)
LAST = len(DAY) - 1

HEAD = f"""
import datetime, random, time
import numba
import numpy as np
import grinder as gr

NAME = {NAME!r}


def grid(view, params, more):
    return gr.static(view, params)._replace(center=view.mid2 * 500_000, levels_down=2 + more, levels_up=2)


"""
POLICY = "\n\ndef mine(view, params):\n    return grid(view, params, {})\n"


@pytest.fixture
def alone(monkeypatch):
    """Without processes of their own, where hash order is not what the test is about."""
    monkeypatch.setattr(causality, "_other_processes", lambda *_: ([], "", True))


def written(tmp_path, body: str) -> str:
    file = tmp_path / "mine.py"
    file.write_text(HEAD + body)
    return f"{file}:mine"


def grid(view, params, more):
    return gr.static(view, params)._replace(center=view.mid2 * 500_000, levels_down=2 + bool(more), levels_up=2)


def closing_over(values):
    def peeking(view, params):
        return grid(view, params, values[min(view.event + 1, len(values) - 1)] > view.mid2)

    return peeking


def by_defaults(view, params, values=MIDS):
    return grid(view, params, values[min(view.event + 40, len(values) - 1)] > view.mid2)


def beyond_the_end(view, params):
    return grid(view, params, view.event + 4 < LAST and MIDS[view.event + 4] > view.mid2)


def a_row_a_bar(view, params):
    bar = int(np.searchsorted(DAY.events.ts, view.ts)) // 4  # the bar that begins now
    return grid(view, params, BARS[min(bar, len(BARS) - 1)] > view.mid2)


def a_frame(view, params):
    known = FRAME.filter(FRAME["ts"] <= view.ts + 120 * 10**9)["close"]
    return grid(view, params, len(known) and known[-1] > view.mid2)


def a_dictionary(view, params):
    return grid(view, params, NEXT.get(view.event + 3, 0) > view.mid2)


def a_fixture(view, params):
    later = DAY.events.bid_px[view.event : view.event + 20]
    return grid(view, params, later.max() > view.bid_px)


def through_a_helper(view, params):
    return beyond_the_end(view, params)


class Holder:
    def __init__(self):
        self.mids = {"mids": [*MIDS.tolist()]}

    def __call__(self, view, params):
        return grid(view, params, self.mids["mids"][-1] > view.mid2)


PEEKS = [closing_over(MIDS), by_defaults, beyond_the_end, a_row_a_bar, a_frame, a_dictionary, a_fixture, through_a_helper]
PEEKS += [Holder(), Holder().__call__, gr.policy(on_fill=True)(a_fixture)]


@pytest.mark.parametrize("policy", PEEKS, ids=lambda p: getattr(p, "__name__", type(p).__name__))
def test_what_a_function_holds_is_cut(policy):
    found = lookahead(DAY, None, policy, cuts=12)
    (finding,) = found.findings
    assert finding.kind == "look-ahead"
    assert finding.event < finding.cut
    assert finding.ts == DAY.events.ts[finding.event]
    assert found.exit_code == 1
    assert any("hash order was not checked" in note for note in found.notes)
    # Nothing of it stays cut.
    assert len(MIDS) == len(DAY) == len(NEXT) and len(BARS) == len(FRAME) == len(gr.replay(DAY).bars)
    assert len(gr.Fixture.open(DAY.path)) == len(DAY)


def test_the_first_event_is_the_first_that_used_the_future():
    def once(view, params):
        return grid(view, params, view.event >= 500 and MIDS[min(view.event + 2, len(MIDS) - 1)] != MIDS[view.event])

    found = lookahead(DAY, None, once, cuts=60)
    (finding,) = found.findings
    assert 500 <= finding.event < 600
    assert (finding.stage, finding.field, finding.cut) == ("plans", "levels_down", finding.event + 1)
    assert finding.values == (3, 2)


def test_a_compiled_function_is_compiled_anew_with_bounds_checked():
    mids = np.ascontiguousarray(MIDS)

    def inner(view, params):
        if mids[view.event + 4] > view.mid2:
            return (1,)
        return (0,)

    import numba

    compiled = numba.njit(inner)

    def outer(view, params):
        return grid(view, params, view.event + 4 <= LAST and compiled(view, params)[0])

    (finding,) = lookahead(DAY, None, outer, cuts=12).findings
    assert finding.kind == "look-ahead"
    assert finding.stage == "policy"
    assert finding.field == "raises"
    assert "IndexError" in finding.values[1]
    assert finding.values[0] is None


def remembering():
    seen: list[int] = []

    def remember(view, params):
        if view.plan == -1:
            seen.clear()
        seen.append(view.mid2)
        return grid(view, params, sum(seen) > len(seen) * view.mid2)

    return remember


def at_the_event(view, params):
    rng = random.Random(view.event)
    return grid(view, params, (MIDS[view.event] > MIDS[0]) ^ (rng.random() > 0.5))


CLEAN = [at_the_event, remembering(), gr.static, gr.policy(on_fill=True, gates=False)(gr.static), gr.policy(damped=True)(gr.static)]


@pytest.mark.parametrize("policy", CLEAN, ids=["at_the_event", "remembering", "static", "on_fill", "damped"])
def test_clean_functions_are_clean(policy):
    found = lookahead(DAY, None, policy, cuts=12)
    assert found.passed, str(found)
    assert found.exit_code == 0
    assert 10 <= len(found.cuts) <= 12
    assert ": clean\n" in str(found)


def test_what_no_cut_shortens_is_told():
    def holding(view, params):
        return grid(view, params, BLOB[view.event % 777] % 2)

    found = lookahead(DAY, None, holding, cuts=2)
    assert found.passed
    assert any("BLOB, 777 values, which no cut shortens" in note for note in found.notes)


def test_a_function_with_state_is_not_judged_for_look_ahead():
    seen = []

    def counting(view, params):
        seen.append(view.mid2)
        return grid(view, params, len(seen) % calls == 0)

    calls = len(reruns.attempt(DAY, None, lambda: gr.policy(gr.static)).called)  # so that a second replay begins like the first

    found = lookahead(DAY, None, counting, cuts=3)
    assert [finding.kind for finding in found.findings] == ["global state"]
    assert found.cuts == ()
    assert any("look-ahead was not judged" in note for note in found.notes)
    assert found.exit_code == 4


AHEAD = {
    "future": "MIDS = gr.fixture(NAME).events.bid_px"
    + POLICY.format("int(MIDS[min(view.event + 4, len(MIDS) - 1)] > view.bid_px)"),
    "mean of the day": "MEAN = gr.fixture(NAME).events.bid_px.mean()" + POLICY.format("int(view.bid_px > MEAN)"),
    "compiled": "MIDS = gr.fixture(NAME).events.bid_px.copy()\n\n\n@numba.njit\ndef later(event, now):\n"
    "    return 1 if event + 4 < len(MIDS) and MIDS[event + 4] > now else 0" + POLICY.format("later(view.event, view.bid_px)"),
    "replayed first": "CLOSES = gr.replay(NAME).bars['close']" + POLICY.format("int(CLOSES[-1] > 2 * view.bid_px)"),
    "fails on load": "LAST = gr.fixture(NAME).events.bid_px[900]" + POLICY.format("int(LAST > view.bid_px)"),
}


def test_draws_from_shared_generators_are_judged_for_look_ahead_too(tmp_path, alone):
    body = AHEAD["future"].replace("view.bid_px)", "view.bid_px) ^ (random.random() > 0.9)")
    found = lookahead(NAME, None, written(tmp_path, body), cuts=8)
    assert [finding.kind for finding in found.findings] == ["look-ahead", "randomness"]
    assert found.notes == ()


@pytest.mark.parametrize("kind", AHEAD)
def test_a_file_is_executed_anew_for_each_cut(kind, tmp_path, alone):
    found = lookahead(NAME, None, written(tmp_path, AHEAD[kind]), cuts=8)
    (finding,) = found.findings
    assert finding.kind == "look-ahead"
    if kind == "fails on load":
        assert "cannot be executed: IndexError" in finding.values[1]


OTHERS = {
    "randomness": [
        POLICY.format("int(random.random() > 0.5)"),
        POLICY.format("int(np.random.random() > 0.5)"),
        POLICY.format("int(np.random.default_rng().random() > 0.5)"),
        "RNG = random.Random()" + POLICY.format("int(RNG.random() > 0.5)"),
        "\n\n@numba.njit\ndef draw():\n    return int(np.random.random() > 0.5)" + POLICY.format("draw()"),
    ],
    "time": [
        POLICY.format("int(time.time()) // 7 % 2"),
        POLICY.format("datetime.datetime.now().second % 2"),
        "from datetime import date" + POLICY.format("date.today().year % 2"),
        POLICY.format("int(time.strftime('%S')) % 2"),
    ],
    "time zone": [POLICY.format("time.localtime(view.ts // 10**9).tm_hour % 2")],
    "global state": [
        "SEEN = []" + POLICY.format("len(SEEN) % 7 == 0 if SEEN.append(0) is None else 0"),
        "RNG = random.Random(7)" + POLICY.format("int(RNG.random() > 0.5)"),
    ],
}


@pytest.mark.parametrize(("kind", "number"), [(kind, i) for kind, bodies in OTHERS.items() for i in range(len(bodies))])
def test_what_differs_from_run_to_run_is_named(kind, number, tmp_path, alone):
    found = lookahead(NAME, None, written(tmp_path, OTHERS[kind][number]), cuts=3)
    assert [finding.kind for finding in found.findings] == [kind], str(found)
    assert found.exit_code == 4
    assert found.findings[0].cut is None
    first = gr.replay(NAME).bars["event"][0] if kind != "randomness" else None
    assert first is None or found.findings[0].event <= first + 400


def test_hash_order_is_found_in_processes_of_their_own(tmp_path):
    body = POLICY.format("[*{'BTC', 'ETH', 'SOL', 'AVAX'}].index('ETH') % 2")
    found = lookahead(NAME, None, written(tmp_path, body), cuts=2)
    assert [finding.kind for finding in found.findings] == ["hash order"]
    assert (found.findings[0].stage, found.findings[0].field) == ("plans", "levels_down")
    assert found.exit_code == 4


def test_addresses_are_no_hash_order(tmp_path):
    found = lookahead(NAME, None, written(tmp_path, POLICY.format("id(grid) // 4096 % 7")), cuts=2)
    assert "hash order" not in [finding.kind for finding in found.findings]
    assert not found.passed


def test_a_clean_file_is_clean_and_two_faults_are_both_named(tmp_path, capsys):
    clean = "from datetime import datetime\n\nTICK = gr.fixture(NAME).instruments[0].tick_size" + POLICY.format(
        "int(isinstance(datetime(2024, 1, 1), datetime)) + view.event % 2"
    )
    assert main(["lint", "lookahead", NAME, "--policy", written(tmp_path, clean), "--cuts", "5", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["passed"], shown["findings"], len(shown["cuts"])) == (True, [], 5)
    assert "hash seeds 0 to 7" in shown["reruns"] and shown["notes"] == []
    both = AHEAD["future"].replace("view.bid_px)", "view.bid_px) ^ (hash('x') % 2) ^ (time.time_ns() // 10**9 % 2)")
    assert main(["lint", "lookahead", NAME, "--policy", written(tmp_path, both), "--cuts", "5"]) == 4
    out = capsys.readouterr().out
    assert out.startswith(f"short, policy {tmp_path}/mine.py:mine: look-ahead, time, hash order\n")
    assert "with the data cut off after event" in out


def test_helpers_beside_the_file_are_executed_anew_too(tmp_path, alone):
    (tmp_path / "beside.py").write_text(f"import grinder as gr\n\nMEAN = gr.fixture({NAME!r}).events.bid_px.mean()\n")
    spec = written(tmp_path, "import beside" + POLICY.format("int(view.bid_px > beside.MEAN)"))
    (finding,) = lookahead(NAME, None, spec, cuts=4).findings
    assert finding.kind == "look-ahead"
    assert "beside" not in sys.modules


# Cuts


def test_cuts_are_where_look_ahead_shows():
    usual = reruns.attempt(DAY, None, lambda: None)
    points = cut_points(DAY, usual, 24)
    assert points == cut_points(DAY, usual, 24)
    assert 20 <= len(points) == len(set(points)) <= 24
    assert int(usual.tables["fills"]["event"][0]) in points
    assert len({int(event) + 1 for event in usual.tables["bars"]["event"]} & set(points)) >= 5
    assert len({int(event) + 1 for event in usual.tables["intents"]["event"]} & set(points)) >= 11
    assert points[0] < len(DAY) // 8 and points[-1] > len(DAY) * 4 // 5


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_cuts_of_any_number_and_short_data(count):
    usual = reruns.attempt(DAY, None, lambda: None)
    assert 1 <= len(cut_points(DAY, usual, count)) <= count
    short = DAY.head(3)
    assert len(cut_points(short, reruns.attempt(short, None, lambda: None), count)) <= 2
    one = DAY.head(1)
    assert lookahead(one, cuts=count).passed


def test_a_head_holds_nothing_of_what_comes_after():
    head = causality._headed(DAY, 100)
    for mine, whole in zip(head.events, DAY.events, strict=True):
        assert not np.shares_memory(mine, whole)
    assert len(head) == 100


def test_an_engine_that_looks_ahead_is_found(monkeypatch):
    """A built-in policy whose first fill depends on how much data there are."""
    real = causality.attempt

    def peeking(data, config, load, around=None):
        done = real(data, config, load, around)
        fills = done.tables["fills"].copy()
        fills["price"][fills["event"] > 200] += len(data) == len(DAY)
        return Outcome({**done.tables, "fills": fills}, done.called)

    monkeypatch.setattr(causality, "attempt", peeking)
    (finding,) = lookahead(DAY, cuts=12).findings
    assert (finding.kind, finding.stage, finding.field) == ("look-ahead", "fills", "price")
    assert finding.event > 200


@pytest.mark.parametrize("seed", range(12))
def test_random_tapes_are_causal(seed):
    c = case(seed, commands=bool(seed % 2))
    assert lookahead(c.fixture, c.config, cuts=6).passed
    assert lookahead(c.fixture, c.config, gr.static, cuts=6).passed


# Conditions


def drawn() -> tuple[float, float]:
    return random.random(), float(np.random.random())  # noqa: NPY002 what a user may still call


def test_conditions_are_set_and_given_back():
    import datetime

    before, zone, state = time.time, time.tzname, random.getstate()
    with controlled(USUAL):
        assert (time.time(), time.time_ns()) == (1_700_000_000.001, 1_700_000_000_002_000_000)
        assert datetime.datetime.now().year == datetime.date.today().year == 2023
        assert time.gmtime(0).tm_year == 1970 and time.gmtime().tm_year == 2023
        assert time.strftime("%Y %S") == "2023 20" and time.localtime().tm_sec == 20
        first = drawn()
        assert isinstance(datetime.date(2020, 1, 1), datetime.date)
    assert time.time is before and time.tzname == zone and random.getstate() == state
    assert datetime.datetime.now().year > 2023
    with controlled(USUAL):
        assert drawn() == first
    with controlled(USUAL._replace(seed=2)):
        assert drawn() != first


def test_everything_is_given_back_where_a_policy_fails():
    def failing(view, params):
        raise KeyError("no such thing")

    before, opened = time.time, gr.Fixture.__dict__["open"]
    with pytest.raises(PolicyError, match=r"fails on the whole of short, event 0: KeyError: 'no such thing'"):
        lookahead(DAY, None, failing)
    assert time.time is before and gr.Fixture.__dict__["open"] is opened


# Errors


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("mine", "write FILE.py:FUNCTION"),
        ("mine.txt:a", "write FILE.py:FUNCTION"),
        ("mine.py:", "write FILE.py:FUNCTION"),
        ("nowhere.py:mine", "there is no file nowhere.py"),
        (7, "policy is a int"),
    ],
)
def test_policies_that_are_none(policy, message):
    with pytest.raises(ConfigError, match=message):
        lookahead(DAY, None, policy)


@pytest.mark.parametrize("cuts", [0, -1, True, 2.0, 100_001, "many"])
def test_cuts_that_are_no_count(cuts):
    with pytest.raises(ConfigError, match="a whole number of points"):
        lookahead(DAY, cuts=cuts)


def test_exit_codes_of_the_command(tmp_path, capsys):
    spec = written(tmp_path, "x = 1" + POLICY.format("0"))
    for words, code, said in (
        (["no_such_fixture"], 3, "no fixture 'no_such_fixture'"),
        ([NAME, "--policy", spec.replace(":mine", ":yours")], 2, "has no function 'yours'"),
        ([NAME, "--policy", spec.replace(":mine", ":NAME")], 2, "has no function 'NAME'"),
        ([NAME, "--set", "steps=1"], 2, "steps"),
        ([NAME, "--cuts", "0"], 2, "cuts is 0"),
    ):
        assert main(["lint", "lookahead", *words]) == code
        assert said in capsys.readouterr().err
    (tmp_path / "mine.py").write_text("def mine(:\n")
    assert main(["lint", "lookahead", NAME, "--policy", spec]) == 2
    assert "SyntaxError" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["lint"])
    assert ended.value.code == 2
