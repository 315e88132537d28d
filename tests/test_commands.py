"""Manual commands as data: where they stand among the events, what a replay writes of them, and what they leave alone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.commands import columns_of
from grinder.data.fixture import Fixture, fixture, write_fixture
from grinder.data.importing import import_table
from grinder.data.inspection import inspect
from grinder.data.instrument import Instrument
from grinder.errors import ConfigError, DataError, InputFault
from grinder.policies.own import policy
from grinder.records import STAGES, Cause, Command, Events, InputKind, IntentKind, OrderState, Role, Stream
from grinder.session import replay
from tests.files import csv
from tests.tapes import case, commanded
from tests.volumes import PROPERTY, volume

T0 = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20
SECOND = 10**9
PAIR = [Instrument(symbol=name, kind="perpetual", tick_size="0.1", lot_size="0.01") for name in ("A", "B")]
QUOTES = {
    "ts": [T0, T0 + 1, T0 + 1, T0 + 3],
    "symbol": [0, 0, 1, 0],
    "bid_px": [100, 101, 50, 102],
    "bid_qty": [1, 2, 3, 4],
    "ask_px": [102, 103, 52, 104],
    "ask_qty": [5, 6, 7, 8],
}
TRADE = {"ts": [T0 + 1], "symbol": [1], "id": [1], "px": [50], "qty": [1], "aggressor": [1]}
FUNDING = {"ts": [T0 + 1], "symbol": [0], "rate": [9], "mark_px": [101]}
COMMANDS = {
    "ts": [T0 - 1, T0, T0 + 1, T0 + 1, T0 + 1, T0 + 9],
    "symbol": [-1, 1, 1, -1, 0, 0],
    "command": [2, 0, 1, 3, 4, 4],
}
CONFIG = Config(quantity="0.01", step="20bp", levels=2, min_notional=0)


@policy
def idle(view, params):
    return None


def pair(**streams) -> Fixture:
    given = {"quotes": QUOTES, "trades": TRADE, "funding": FUNDING} | streams
    return Fixture.from_arrays(PAIR, **{name: columns for name, columns in given.items() if columns is not None})


def same(a: Events, b: Events) -> bool:
    return all(left.dtype == right.dtype and left.tolist() == right.tolist() for left, right in zip(a, b, strict=True))


# Among the events


def test_places_by_hand():
    """Last at their time, every symbol before symbols; the L1 columns repeat the symbol's state, of every symbol the first's."""
    e = pair(commands=COMMANDS).events
    seen = list(zip(*(column.tolist() for column in e[:8]), strict=True))
    quote, trade, funding, command = (int(Stream[name]) for name in ("QUOTES", "TRADES", "FUNDING", "COMMANDS"))
    first, second, other = (100, 1, 102, 5), (101, 2, 103, 6), (50, 3, 52, 7)
    assert seen == [
        (T0 - 1, 0, command, 0, 0, 0, 0, 0),
        (T0, 0, quote, 0, *first),
        (T0, 1, command, 0, 0, 0, 0, 0),
        (T0 + 1, 0, funding, 0, *first),
        (T0 + 1, 0, quote, 0, *second),
        (T0 + 1, 1, quote, 0, *other),
        (T0 + 1, 1, trade, 0, *other),
        (T0 + 1, 0, command, 0, *second),
        (T0 + 1, 0, command, 0, *second),
        (T0 + 1, 1, command, 0, *other),
        (T0 + 3, 0, quote, 0, 102, 4, 104, 8),
        (T0 + 9, 0, command, 0, 102, 4, 104, 8),
    ]
    assert e.commands.tolist() == [(0, -1, 2), (2, 1, 0), (7, -1, 3), (8, 0, 4), (9, 1, 1), (11, 0, 4)]
    assert e.funding.tolist() == [(3, 9, 101)]
    assert [dtype.dtype.str for dtype in e[:8]] == ["<i8", "<i2", "|i1", "|i1", "<i8", "<i8", "<i8", "<i8"]


def test_a_cut_moves_rows():
    whole = pair(commands=COMMANDS)
    assert whole.chunk(8, 12).commands.tolist() == [(0, 0, 4), (1, 1, 1), (3, 0, 4)]
    assert whole.chunk(3, 7).commands.tolist() == []
    assert [row.tolist() for base in (0, 5, 10) for row in whole.chunk(base, min(base + 5, 12)).commands] == [
        *((0, -1, 2), (2, 1, 0)),
        *((2, -1, 3), (3, 0, 4), (4, 1, 1)),
        (1, 0, 4),
    ]


def test_a_command_comes_between_no_two_jumps():
    """It is no row of its symbol's market: two jumps in a row stay two in a row."""
    rows = {"ts": [T0, T0 + 1, T0 + 3], "symbol": [0] * 3, "bid_px": [100, 200, 201], "ask_px": [102, 202, 203]}
    rows |= {"bid_qty": [1] * 3, "ask_qty": [1] * 3}
    between = {"ts": [T0 + 2, T0 + 2], "symbol": [-1, 0], "command": [0, 0]}
    for commands in (None, between):
        given = {} if commands is None else {"commands": commands}
        with pytest.raises(InputFault, match="quotes, row 2, column bid_px, value 201: second price jump in a row"):
            Fixture.from_arrays(PAIR[:1], quotes=rows, **given)


def test_symbols_and_commands_as_names():
    names = COMMANDS | {
        "symbol": ["*", "B", "B", "*", "A", "A"],
        "command": ["Kill", "pause", "RESUME", "reset", "recover", "RECOVER"],
    }
    codes = COMMANDS | {"command": [Command(code) for code in COMMANDS["command"]]}
    for given in (names, codes, {name: np.array(values) for name, values in names.items()}):
        made = pair(commands=given)
        assert same(made.events, pair(commands=COMMANDS).events)
        assert made.content == pair(commands=COMMANDS).content
    turned = Fixture.from_arrays(
        PAIR[::-1], quotes=QUOTES | {"symbol": [1, 1, 0, 1]}, commands=COMMANDS | {"symbol": [-1, 0, 0, -1, 1, 1]}
    )
    assert turned.content == pair(commands=COMMANDS, trades=None, funding=None).content
    alone = {"ts": [T0], "command": ["kill"]}
    assert pair(commands=alone).events.commands.tolist() == [(1, -1, 2)], "without symbols: every one"
    assert Fixture.from_arrays(PAIR[:1], quotes=QUOTES | {"symbol": [0] * 4}, commands=alone).commands == [(T0, Command.KILL, None)]


@pytest.mark.parametrize(
    ("changes", "reason", "place"),
    [
        ({"command": ["kill", "pause", "stop", "", "reset", "*"]}, "no such command", (2, "command", "stop")),
        ({"command": [0, 0, 0, 0, 0, 5]}, "no such command", (5, "command", 5)),
        ({"command": [0.0] * 6}, "not a column of integers", (None, "command", "1-dimensional float64")),
        ({"symbol": ["*", "B", "", "*", "A", "A"]}, "wrong symbol", (2, "symbol", "")),
        ({"symbol": ["*", "B", "B", "-1", "A", "A"]}, "wrong symbol", (3, "symbol", "-1")),
        ({"symbol": ["*", "B", "B", "all", "A", "A"]}, "wrong symbol", (3, "symbol", "all")),
        ({"symbol": [-1, 1, 1, -1, 0, -2]}, "wrong symbol", (5, "symbol", "-2")),
        ({"symbol": [-1, 1, 1, -1, 0, 2]}, "wrong symbol", (5, "symbol", "2")),
        ({"symbol": [0, 1, 1, -1, 0, 0]}, "kill or reset of one symbol", (0, "symbol", 0)),
        ({"symbol": [-1, 1, 1, 1, 0, 0]}, "kill or reset of one symbol", (3, "symbol", 1)),
        ({"ts": [T0 - 1, T0, T0 - 2, T0, T0, T0]}, "timestamps out of order", (2, "ts", T0 - 2)),
        ({"ts": [1, *COMMANDS["ts"][1:]]}, "time out of range, or not in ns", (0, "ts", 1)),
        ({"ts": COMMANDS["ts"][:5]}, "columns of unequal length", (None, None, {"ts": 5, "symbol": 6, "command": 6})),
        ({"command": None}, "missing column", (None, "command", None)),
        ({"value": [0] * 6}, "extra column", (None, "value", None)),
        ({name: [] for name in COMMANDS}, "no_ticks: it holds not one row", (None, None, None)),
    ],
)
def test_faults(changes, reason, place):
    given = {name: values for name, values in (COMMANDS | changes).items() if values is not None}
    with pytest.raises(InputFault) as caught:
        pair(commands=given)
    fault = caught.value
    assert (fault.reason, fault.file, fault.row, fault.column) == (reason, "commands", *place[:2])
    assert fault.value == place[2]
    assert fault.cure
    assert "np." not in str(fault)
    if reason == "wrong symbol" and isinstance(given["symbol"][0], str):
        assert fault.cure == "known are A, B, *, which is every symbol"


def test_commands_alone_are_no_market():
    for given in ({}, {"symbol": [-1] * 6}):
        with pytest.raises(DataError, match="memory: no_ticks: there are commands, but no market data"):
            Fixture.from_arrays(PAIR, commands=COMMANDS | given)


def test_the_same_command_twice_is_two_events(tmp_path):
    twice = {"ts": [T0 + 1, T0 + 1], "symbol": [-1, -1], "command": [0, 0]}
    fixture = pair(commands=twice)
    assert not fixture.events.fault.any()
    rows = replay(fixture, CONFIG).input.records
    assert [row.item()[3:] for row in rows[rows["kind"] == InputKind.COMMAND]] == [(4, 0, 0)] * 2


# with_commands


def test_with_commands_is_a_fixture_made_with_them():
    made = pair(commands=COMMANDS)
    listed = [
        *((T0 - 1, Command.KILL, None), (T0, Command.PAUSE, "B"), (T0 + 1, Command.RESET, None)),
        *((T0 + 1, Command.RECOVER, "A"), (T0 + 1, Command.RESUME, "B"), (T0 + 9, Command.RECOVER, "A")),
    ]
    assert made.commands == listed
    for orders in (listed, listed[::-1], [(np.int64(ts), int(code), symbol) for ts, code, symbol in listed]):
        asked = pair().with_commands(orders)
        assert same(asked.events, made.events)
        assert (asked.content, asked.streams) == (made.content, made.streams)
        assert asked.price_range == made.price_range
    assert same(made.with_commands([]).events, pair().events)
    assert made.with_commands([]).content == pair().content
    fewer = made.with_commands([listed[1]])
    assert (fewer.commands, fewer.content) == ([listed[1]], pair(commands={n: v[1:2] for n, v in COMMANDS.items()}).content)
    more = made.with_commands([*made.commands, (T0 + 5, "pause", "A")])
    assert len(more) == len(made) + 1


@pytest.mark.parametrize("seed", range(60))
@volume(PROPERTY)
def test_random_tapes_with_commands_and_back(seed):
    plain = case(seed).fixture
    asked = case(seed, commands=True).fixture
    assert len(asked) == len(plain) + len(asked.commands) > len(plain)
    assert same(asked.with_commands([]).events, plain.events)
    assert asked.with_commands([]).content == plain.content != asked.content
    random.Random(seed).shuffle(shuffled := [row for row in asked.commands if row[2] is None])
    assert {row[1] for row in plain.with_commands(shuffled).commands} == {row[1] for row in shuffled}
    assert same(asked.with_commands(asked.commands).events, asked.events)
    assert asked.with_commands(asked.commands).content == asked.content
    for i, kind in enumerate(asked.events.kind.tolist()):  # the state of the symbol's last row before
        if kind == Stream.COMMANDS:
            before = np.flatnonzero(asked.events.symbol[:i] == asked.events.symbol[i])
            for column in asked.events[4:8]:
                assert column[i] == (column[before[-1]] if len(before) else 0)


def test_contents_are_a_function_of_data_and_commands():
    fixture = pair()
    orders = [[], [(T0, "pause", None)], [(T0, "pause", "A")], [(T0 + 1, "pause", None)], [(T0, "resume", None)]]
    orders += [[(T0, "pause", None)] * 2]
    contents = [fixture.with_commands(order).content for order in orders]
    heads = [fixture.head(4).with_commands(order).content for order in orders]
    cuts = [fixture.with_commands(order).head(4).content for order in orders]
    assert len({*contents, *heads, *cuts}) == 3 * len(orders) - 1, "none of them alike, but heads without commands"
    assert heads[0] == cuts[0] == fixture.head(4).content
    assert fixture.head(4).with_commands(orders[1]).with_commands([]).content == fixture.head(4).content
    assert (
        fixture.with_commands(orders[2]).head(4).with_commands(orders[1]).content
        == fixture.head(3).with_commands(orders[1]).content
    )
    assert replay(fixture.with_commands(orders[1]), CONFIG).digest.input == contents[1]


@pytest.mark.parametrize(
    ("time", "ns"),
    [
        ("2023-11-14T22:13:20", T0),
        ("2023-11-14 22:13:20Z", T0),
        ("2023-11-14T22:13:20.000000001+00:00", T0 + 1),
        ("2023-11-14T22:13:20.25", T0 + SECOND // 4),
        ("2023-11-14T22:13", T0 - 20 * SECOND),
        ("2024-02-29", 1_709_164_800 * SECOND),
        ("2099-12-31T23:59:59.999999999", 4_102_444_800 * SECOND - 1),
    ],
)
def test_times(time, ns):
    made = pair().with_commands([(time, "pause", None)])
    assert made.commands == [(ns, Command.PAUSE, None)]
    assert ns == int(np.datetime64(time.removesuffix("Z").removesuffix("+00:00"), "ns").astype(np.int64))


@pytest.mark.parametrize(
    "time", ["", "now", "2023-02-29", "2023-11-14T24:00", "2023-11-14T22", "2023-11-14T22:60", "14.11.2023", 1.5]
)
@pytest.mark.parametrize("suffix", ["", "+01:00"])
def test_wrong_times(time, suffix):
    time = f"{time}{suffix}" if suffix else time
    with pytest.raises(ConfigError, match="is no time: give ns as an integer, or UTC text such as"):
        pair().with_commands([(time, "pause", None)])


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ((T0, "halt", None), ConfigError, "there is no 'halt'; there are pause, resume, kill, reset, recover"),
        ((T0, 5, None), ConfigError, "there is no 5; there are pause"),
        ((T0, True, None), ConfigError, "there is no True; there are pause"),
        ((True, "pause", None), ConfigError, "True is no time"),
        ((2**63, "pause", None), ConfigError, "9223372036854775808 is no time"),
        ((T0, "pause", "C"), ConfigError, "there is no symbol 'C'; there are A, B, None is all of them"),
        ((T0, "pause", "*"), ConfigError, "there is no symbol '*'"),
        ((T0, "pause", 0), ConfigError, "there is no symbol 0"),
        ((T0, "pause"), ConfigError, "give .time, command, symbol or None., such as"),
        ("pause", ConfigError, "give .time, command, symbol or None., such as"),
        ((T0, "kill", "A"), InputFault, "commands, row 0, column symbol, value 0: kill or reset of one symbol"),
        ((T0 // 1000, "pause", None), InputFault, "commands, row 0, column ts, value 1700000000000000: time out of range"),
    ],
)
def test_wrong_commands(order, error, message):
    with pytest.raises(error, match=message.replace("*", "[*]")):
        pair().with_commands([order])


def test_columns_are_ordered_by_time_and_symbol_and_then_as_given():
    orders = [
        (T0 + 1, "pause", "B"),
        (T0, "reset", None),
        (T0 + 1, "resume", "B"),
        (T0 + 1, "recover", None),
        (T0 + 1, "pause", "A"),
    ]
    columns = {name: values.tolist() for name, values in columns_of(orders, ("A", "B")).items()}
    assert columns == {"ts": [T0] + [T0 + 1] * 4, "symbol": [-1, -1, 0, 1, 1], "command": [3, 4, 0, 0, 1]}


# Folders


def test_folders(tmp_path):
    """What is written is what is read; a fixture without commands has no word of them."""
    arrays = {"quotes": QUOTES, "commands": COMMANDS}
    arrays = {stream: {name: np.array(values) for name, values in given.items()} for stream, given in arrays.items()}
    made = write_fixture(tmp_path / "pair", PAIR, arrays, shows="a pair under commands")
    memory = pair(commands=COMMANDS, trades=None, funding=None)
    assert same(made.events, memory.events)
    assert (made.content, made.commands) == (memory.content, memory.commands)
    plain = write_fixture(tmp_path / "plain", PAIR, {"quotes": arrays["quotes"]}, shows="")
    assert "command" not in (tmp_path / "plain" / "fixture.toml").read_text()
    assert plain.content == memory.with_commands([]).content
    asked = plain.with_commands(made.commands)
    assert (asked.content, asked.path, asked.manifest) == (made.content, None, {})
    found = inspect(tmp_path / "pair")
    assert (found.rows, found.accepted) == ({"quotes": 4, "commands": 6}, {"quotes": 4, "commands": 6})
    assert (found.quarantined, found.gaps, found.ts_range) == ({}, {"A": 0, "B": 0}, (T0 - 1, T0 + 9))
    assert "rows         quotes 4, commands 6" in str(found)


def test_an_import_with_commands_is_the_market_with_commands(tmp_path):
    quotes = csv(
        tmp_path / "q.csv", [f"{T0 + i * SECOND},{100 + i},1,{101 + i},2" for i in range(4)], "ts,bid_px,bid_qty,ask_px,ask_qty"
    )
    asked = csv(tmp_path / "c.csv", [f"{T0 + SECOND},*,kill", f"{T0 + SECOND},A,pause"], "ts,symbol,command")
    made, _ = import_table(tmp_path / "made", symbol="A", kind="spot", quotes=quotes, commands=asked)
    plain, _ = import_table(tmp_path / "plain", symbol="A", kind="spot", quotes=quotes)
    orders = [(T0 + SECOND, "kill", None), (T0 + SECOND, "pause", "A")]
    assert plain.with_commands(orders).content == made.content
    assert same(plain.with_commands(orders).events, made.events)


# What a replay makes of them


@pytest.mark.parametrize("seed", range(40))
@volume(PROPERTY)
def test_every_command_is_an_input_record_as_given(seed):
    c = case(seed, commands=True)
    run = replay(c.fixture, c.config)
    rows = run.input.records[run.input["kind"] == InputKind.COMMAND]
    e = c.fixture.events
    assert [row.item() for row in rows] == [
        (row, int(e.ts[row]), symbol, InputKind.COMMAND, code, 0) for row, symbol, code in e.commands.tolist()
    ]


def quiet(seconds: int = 400) -> Fixture:
    """A quote a second of both symbols, which never move; the commands in between are nobody's market data."""
    i = np.arange(2 * seconds)
    quotes = {"ts": T0 + i // 2 * SECOND, "symbol": i % 2, "bid_px": 1000 + 0 * i, "ask_px": 1002 + 0 * i}
    return Fixture.from_arrays(PAIR, quotes=quotes | {"bid_qty": 10**6 + 0 * i, "ask_qty": 10**6 + 0 * i})


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_command_moves_no_bar_no_gate_and_no_limit_where_no_timer_is_due(seed, gated):
    """Between two quotes of a calm market a command has its record, takes an index, and changes nothing else of the market."""
    plain = quiet()
    rng = random.Random(seed)
    seconds = [k for k in range(400) if (T0 // SECOND + k + 1) % 60]  # a bar ends at the first event after it
    times = [T0 + rng.choice(seconds) * SECOND + rng.choice((0, SECOND // 2)) for _ in range(50)]
    orders = [(ts, "recover", rng.choice(("A", "B", None))) for ts in times]  # a pause is a regime
    asked = plain.with_commands(orders)
    who = idle if gated else None
    before, after = replay(plain, CONFIG, who), replay(asked, CONFIG, who)
    assert len(before.bars) > 10
    for stage in ("bars", "features", "gates", "regimes"):
        left, right = before.tables[stage].records, after.tables[stage].records
        names = [name for name in left.dtype.names if name != "event"]
        assert (left[names] == right[names]).all(), stage
    assert len(after.input) == len(before.input) + len(orders)


def test_a_command_moves_the_clock():
    """Bars end, holds end and feeds go stale at it as at any other event (SPEC 3.1)."""
    plain = quiet(90)
    late = int(plain.events.ts[-1]) + 3600 * SECOND
    run = replay(plain.with_commands([(late, "pause", "B")]), CONFIG, idle)
    last = len(plain)
    assert run.bars.records[run.bars["event"] == last]["symbol"].tolist() == [0, 1]
    stale = run.gates.records[(run.gates["event"] == last) & (run.gates["gate"] == 0)]
    assert [(int(row["symbol"]), int(row["from"]), int(row["to"])) for row in stale] == [
        (s, k, k + 1) for k in range(3) for s in (0, 1)
    ]
    assert run.gates.records[run.gates["event"] == last]["gate"].tolist().count(1) == 2, (
        "both feeds are thin, whoever the command is to"
    )


def test_inputs_are_judged_at_market_data_alone():
    """A side is thin after 3 s of thin events; a command 5 s later is none, a quote is."""
    quotes = {"ts": [T0, T0 + SECOND], "symbol": [0, 0], "bid_px": [1000, 1000], "bid_qty": [1, 1], "ask_px": [1002, 1002]}
    fixture = Fixture.from_arrays(PAIR[:1], quotes=quotes | {"ask_qty": [1, 1]})
    config = Config(thin_quote="1000").over(CONFIG)
    asked = fixture.with_commands([(T0 + 6 * SECOND, "pause", "A"), (T0 + 7 * SECOND, "pause", None)])
    assert len(replay(asked, config, idle).gates) == 0
    later = {name: [*values, values[-1]] for name, values in (quotes | {"ask_qty": [1, 1]}).items()}
    later["ts"][2] = T0 + 6 * SECOND
    assert {1} <= set(replay(Fixture.from_arrays(PAIR[:1], quotes=later), config, idle).gates["gate"].tolist())


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(
    "orders",
    [
        [(-1, "kill", None)],
        [(-(10**14), "pause", "B"), (-(10**14), "reset", None)],
        [(0, "pause", "A"), (0, "pause", "B"), (0, "pause", None)],
        [(SECOND, "kill", None), (SECOND, "reset", None), (SECOND + 1, "recover", "B")],
        [(10**15, "resume", None)],
    ],
)
def test_cuts_at_commands(orders, gated):
    """First of all, days before any quote, several at a quote's time, long after the last: however cut, records are the same."""
    fixture = quiet(70).with_commands([(T0 + after, command, symbol) for after, command, symbol in orders])
    who = idle if gated else None
    whole = replay(fixture, CONFIG, who)
    assert (whole.input["kind"] == InputKind.COMMAND).sum() == len(orders)
    for chunk in (1, 7, len(fixture)):
        assert replay(fixture, CONFIG, who, chunk=chunk).digest == whole.digest
    for row in fixture.events.commands["row"].tolist():
        for stop in {max(1, row), row + 1}:
            part = replay(fixture, CONFIG, who, until=stop)
            assert replay(fixture, CONFIG, who, resume=part).digest == whole.digest
            head = replay(fixture.head(stop), CONFIG, who)
            for stage in STAGES:
                records = whole.tables[stage].records
                assert records[records["event"] < stop].tobytes() == head.tables[stage].records.tobytes(), stage


def test_random_commands_have_what_they_are_for():
    fixtures = [commanded(case(seed).fixture, seed) for seed in range(100)]
    first = sum(bool(f.events.kind[0] == Stream.COMMANDS) for f in fixtures)
    ties = sum(bool((np.diff(f.events.ts[f.events.commands["row"]]) == 0).any()) for f in fixtures)
    at_quotes = sum(bool(np.isin(f.events.ts[f.events.commands["row"]], f.with_commands([]).events.ts).any()) for f in fixtures)
    both = sum({-1, 0} <= set(f.events.commands["symbol"].tolist()) for f in fixtures)
    assert min(first, ties, at_quotes, both) > 20
    assert {row[1] for f in fixtures for row in f.commands} == set(Command)


# A real day with commands

DAY = [
    ("2026-01-01 17:22", "pause", "BTCUSD"),
    ("2026-01-01 17:45", "resume", None),
    ("2026-01-01 20:10", "kill", None),
    ("2026-01-01 21:00", "reset", None),
    ("2026-01-01 21:40", "recover", None),
]
"""The commands of commands_1d, on the market of dydx_btcusd_1d."""


@pytest.fixture(scope="module")
def runs():
    """The day without and with its commands, and the times of those."""
    plain, asked = fixture("dydx_btcusd_1d"), fixture("commands_1d")
    return replay(plain), replay(asked), [ts for ts, _, _ in asked.commands]


def within(records, first: int, last: int):
    return records[(records["ts"] > first) & (records["ts"] < last)]


def test_the_committed_day_is_its_market_under_these_commands():
    plain, asked = fixture("dydx_btcusd_1d"), fixture("commands_1d")
    assert asked.content == plain.with_commands(DAY).content
    assert asked.commands == plain.with_commands(DAY).commands
    assert same(asked.with_commands([]).events, plain.events)
    assert (asked.config, asked.instruments) == (plain.config, plain.instruments)
    assert {command for _, command, _ in asked.commands} == set(Command)


def test_nothing_differs_before_the_first_command(runs):
    plain, asked, times = runs
    for stage in STAGES:
        before, after = (run.tables[stage].records for run in (plain, asked))
        assert before[before["ts"] < times[0]].tobytes() == after[after["ts"] < times[0]].tobytes(), stage
    assert (within(asked.fills.records, 0, times[0])["role"] == Role.TAKE_PROFIT).any()


def test_a_pause_keeps_take_profits_and_has_no_entries(runs):
    plain, asked, (pause, resume, *_) = runs
    missed, filled = (within(run.fills.records, pause, resume) for run in (plain, asked))
    assert (missed["role"] == Role.ENTRY).sum() == 4
    assert set(filled["role"].tolist()) == {Role.TAKE_PROFIT}
    sent = within(asked.intents.records, pause, resume)
    assert not (sent["role"] == Role.ENTRY).any()
    at = asked.intents.records[asked.intents["ts"] == pause]
    assert set(zip(at["kind"].tolist(), at["role"].tolist(), strict=True)) == {(IntentKind.CANCEL, Role.ENTRY)}
    back = asked.intents.records[asked.intents["ts"] == resume]
    assert (back["kind"] == IntentKind.PLACE).sum() > 5


def test_a_kill_cancels_all_and_a_reset_lets_trading_go_on(runs):
    plain, asked, (_, _, kill, reset, _) = runs
    at = asked.intents.records[asked.intents["ts"] == kill]
    assert set(at["kind"].tolist()) == {IntentKind.CANCEL}
    assert set(at["role"].tolist()) == {Role.ENTRY, Role.TAKE_PROFIT}, "with cycles open"
    assert len(within(plain.fills.records, kill, reset)) > 0
    ended = within(asked.orders.records, kill, reset)
    assert set(ended["to"].tolist()) == {OrderState.CANCELLED}
    assert len(ended) == len(at)
    for stage in ("fills", "intents"):
        assert len(within(asked.tables[stage].records, kill, reset)) == 0, stage
    back = asked.intents.records[asked.intents["ts"] == reset]
    assert {(IntentKind.PLACE, Role.ENTRY), (IntentKind.PLACE, Role.TAKE_PROFIT)} == set(
        zip(back["kind"].tolist(), back["role"].tolist(), strict=True)
    )
    after = asked.fills.records[asked.fills["ts"] > reset]
    assert set(after["role"].tolist()) == {Role.ENTRY, Role.TAKE_PROFIT}
    assert len(after) > 30


def test_every_command_is_a_mark(runs):
    _, asked, times = runs
    marks = asked.ledger.records[(asked.ledger["cause"] & Cause.COMMAND) != 0]
    assert sorted(set(marks["ts"].tolist())) == times
