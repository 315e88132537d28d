"""Streams merged, judged and carried forward, against the plain-Python oracle of rows (SPEC 2.1, 2.2)."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from grinder.config import Config
from grinder.data.fixture import Fixture
from grinder.data.instrument import Instrument
from grinder.data.validation import quarantined
from grinder.errors import DataError
from tests.oracles import rows
from tests.volumes import PROPERTY, each, volume

T0 = 1_700_000_000_000_000_000
NAMES = ("A", "B", "C")
L1 = ("bid_px", "bid_qty", "ask_px", "ask_qty")


def tape(seed: int) -> tuple[dict[str, rows.Columns], list[bool], str]:
    """Streams with equal times, several symbols, jumps, repeats, one-sided books; and a `max_jump`."""
    rng = random.Random(seed)
    symbols = rng.choice((1, 2, 3))
    near = rng.choice((0, 0, 1, 4, 30))
    out: dict[str, rows.Columns] = {}
    perpetual = [rng.random() < 0.9 for _ in range(symbols)]
    mid = [rng.randint(50, 150) for _ in range(symbols)]
    for stream in ("funding", "books", "quotes", "trades", "commands"):
        if rng.random() < 0.3 and stream != "quotes":
            continue
        ts, columns = T0, {}
        for i in range(rng.choice((3, 30))):
            ts += rng.choice((0, 0, 1, 5))
            s = i if i < symbols and stream == "quotes" else rng.randrange(symbols)
            middle = mid[s] + rng.randint(-near, near) * rng.choice((1, 1, 1, 5))
            row = {"ts": ts, "symbol": s}
            if stream == "funding":
                row |= {"rate": rng.randint(-2, 2), "mark_px": max(1, middle)}
            elif stream == "commands":
                row |= {"command": rng.randrange(5)}
                row |= {"symbol": -1} if row["command"] in rows.PORTFOLIO_COMMANDS or rng.random() < 0.3 else {}
            elif stream == "trades":
                row |= {"id": rng.randint(0, 60), "px": max(1, middle), "qty": 1, "aggressor": rng.choice((-1, 0, 1))}
            else:
                for level in range(2) if stream == "books" else (None,):
                    for side, sign in (("bid", -1), ("ask", 1)):
                        suffix = "" if level is None else f"_{level}"
                        row[f"{side}_px{suffix}"] = max(2 - (level or 0), middle + sign * (1 + 2 * (level or 0)))
                        row[f"{side}_qty{suffix}"] = rng.randint(0, 2)
                if stream == "books" and rng.random() < 0.2:
                    gone = rng.choice(("bid", "ask", ""))
                    row |= {name: 0 for name in row if name.startswith(("bid", "ask")) and gone in name}
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        out[stream] = columns
    return out, perpetual, rng.choice(("20%", "5%", "1%", "0.5", "500"))


@pytest.mark.parametrize("block", range(16))
@volume(PROPERTY, 100)
def test_against_the_oracle(block):
    outcomes: Counter[str] = Counter()
    for seed in each(PROPERTY, range(block * 100, block * 100 + 100)):
        streams, perpetual, max_jump = tape(seed)
        pairs = zip(NAMES, perpetual, strict=False)
        coins = [Instrument(symbol=name, kind="perpetual" if has else "spot", tick_size="1", lot_size="1") for name, has in pairs]
        config = Config(max_jump=max_jump)
        try:
            expected = rows.judge(streams, perpetual, Fraction(config.max_jump))
        except rows.Rejected as reason:
            with pytest.raises(DataError):
                Fixture.from_arrays(coins, **streams, config=config)
            outcomes[f"rejected: {str(reason)[:6]}"] += 1
            continue
        made = Fixture.from_arrays(coins, **streams, config=config)
        assert list(zip(*(column.tolist() for column in made.events[:8]), strict=True)) == expected, f"seed {seed}"
        assert made.events.book_rows.tolist() == np.flatnonzero(made.events.kind == 1).tolist()
        bare = [row for row, event in enumerate(expected) if event[5] == 0 or event[7] == 0]
        assert made.events.one_sided.tolist() == bare
        assert made.chunk(2, len(made) - 1).one_sided.tolist() == [row - 2 for row in bare if 2 <= row < len(made) - 1]
        outcomes["one-sided"] += len(bare)
        for row, book in zip(made.events.book_rows.tolist(), made.events.books, strict=True):
            if made.events.fault[row] == 0 and book[0, 0] and book[2, 0]:  # an accepted book with both sides is the L1 state
                assert book[:, 0].tolist() == [int(column[row]) for column in made.events[4:8]]
        assert quarantined(made.events) == rows.counts(expected)
        assert list(quarantined(made.events)) == list(rows.counts(expected)), "in the order of streams and reasons"
        assert made.content == rows.content_hash(streams, [coin.model_dump() for coin in coins])
        funding = [event for event in range(len(expected)) if expected[event][2] == 0]
        assert made.events.funding["row"].tolist() == funding
        said = streams.get("commands", {"ts": [], "symbol": [], "command": []})
        said = sorted(zip(*(said[name] for name in ("ts", "symbol")), range(len(said["ts"])), said["command"], strict=True))
        places = [event for event in range(len(expected)) if expected[event][2] == 4]
        wanted = [(place, s, code) for place, (_, s, _, code) in zip(places, said, strict=True)]
        assert made.events.commands.tolist() == wanted
        outcomes["commands"] += len(wanted)
        outcomes.update(rows.counts(expected))
        outcomes["accepted"] += 1
    assert outcomes["accepted"] > 10
    assert outcomes["commands"] > 100
    assert outcomes["one-sided"] > 100
    assert outcomes["rejected: second"] > 0


def test_the_callers_arrays_are_left_alone():
    """One clean stream is not even copied on its way to the events; one with a quarantined row is, before it is carried over."""
    coin = Instrument(symbol="A", kind="spot", tick_size="1", lot_size="1")
    quotes = {
        "ts": T0 + np.arange(3),
        "bid_px": np.array([9, 9, 9]),
        "bid_qty": np.array([1, 0, 2]),
        "ask_px": np.array([11, 10, 11]),
    }
    quotes["ask_qty"] = np.array([1, 0, 1])
    before = {name: values.copy() for name, values in quotes.items()}
    made = Fixture.from_arrays([coin], quotes=quotes)
    assert made.events.ask_px.tolist() == [11, 11, 11]
    with pytest.raises(ValueError, match="read-only"):
        made.events.bid_px[:] = 5  # the digest would go on naming what they were
    assert all((quotes[name] == before[name]).all() for name in before)
