"""Manual commands beside the market data: pause, resume, kill, reset, recover at a time (SPEC 11; ADR-0020).

A stream of their own, so that what someone did is data, enters the content hash and can be asked about: `Fixture.with_commands`
replays the same market under other commands. A command concerns one symbol or, as symbol -1 (`*` in text, None in Python), all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from grinder.data.validation import Columns, one_sided
from grinder.errors import ConfigError, InputFault
from grinder.records import COMMAND, NONE, Command, Events, Stream
from grinder.units import NS_PER_DAY

__all__ = [
    "EVERY",
    "Instruction",
    "codes_of",
    "columns_of",
    "in_order",
    "insert_commands",
    "listed_commands",
    "parsed_time",
    "split_commands",
]

Instruction = tuple[int | str, Command | int | str, str | None]
"""(time, command, symbol or None for all) as `Fixture.with_commands` takes it."""
EVERY: Final = "*"
"""Every symbol, in text."""
_NAMES: Final = ", ".join(command.name.lower() for command in Command)
_SECOND: Final = 10**9
_LIMIT: Final = 2**63
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(?:Z|\+00:00)?", re.ASCII)
_EPOCH: Final = date(1970, 1, 1).toordinal()


# What a user writes


def columns_of(commands: Iterable[Instruction], symbols: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Canonical columns, in order, of commands as `Fixture.with_commands` takes them.

    Raises:
        ConfigError: a command, time or symbol that there is not.
    """
    rows = []
    for given in commands:
        if not isinstance(given, tuple | list) or len(given) != 3:
            raise ConfigError(
                f'command {given!r}: give (time, command, symbol or None), such as ("2024-01-03 14:02", "pause", None)'
            )
        time, command, symbol = given
        if symbol is not None and symbol not in symbols:
            raise ConfigError(
                f"command {given!r}: there is no symbol {symbol!r}; there are {', '.join(symbols)}, None is all of them"
            )
        rows.append(
            (parsed_time(time, f"command {given!r}"), NONE if symbol is None else symbols.index(symbol), _code(command, given))
        )
    columns = np.array(rows, np.int64).reshape(-1, 3).T.copy()
    return in_order(dict(zip(("ts", "symbol", "command"), columns, strict=True)))


def _code(command: object, given: object) -> int:
    """The code of a command given as such, by its number or by its name in any case."""
    if isinstance(command, str) and command.upper() in Command.__members__:
        return int(Command[command.upper()])
    if isinstance(command, int | np.integer) and not isinstance(command, bool) and 0 <= command < len(Command):
        return int(command)
    raise ConfigError(f"command {given!r}: there is no {command!r}; there are {_NAMES}")


def parsed_time(time: object, what: str) -> int:
    """A time in ns: an integer as it is, or ISO text in UTC, to the ns exactly; `what` it is of is for the error.

    >>> parsed_time("2024-01-03 14:02", "start")
    1704290520000000000
    """
    if isinstance(time, int | np.integer) and not isinstance(time, bool) and -_LIMIT < time < _LIMIT:
        return int(time)
    found = _ISO.fullmatch(time) if isinstance(time, str) else None
    if found:
        day, *clock, fraction = found.groups(default="0")
        hour, minute, second = map(int, clock)
        try:
            days = date.fromisoformat(day).toordinal() - _EPOCH
        except ValueError:
            days = -1
        if days >= 0 and hour < 24 and minute < 60 and second < 60:
            return days * NS_PER_DAY + (hour * 3600 + minute * 60 + second) * _SECOND + int(fraction.ljust(9, "0"))
    raise ConfigError(f"{what}: {time!r} is no time: give ns as an integer, or UTC text such as 2024-01-03T14:02:05.25")


def codes_of(commands: Any, file: object) -> Any:
    """A column of commands: names, in any case, as codes; anything but text as it is.

    Raises:
        InputFault: a name of no command.
    """
    given = np.asarray(commands)
    if given.dtype.kind not in "UOT" or given.ndim != 1:
        return commands
    names = [str(name).upper() for name in given.tolist()]
    for row, name in enumerate(names):
        if name not in Command.__members__:
            raise InputFault(
                "no such command", file=file, row=row, column="command", value=str(given[row]), cure=f"there are {_NAMES}"
            )
    return np.array([Command[name] for name in names], np.int64)


# Among the events


def insert_commands(events: Events, columns: Columns) -> Events:
    """Merged market events with commands among them, each after all that the market did up to its time; those of `events` are lost.

    Args:
        events: market data, L1 carried forward. columns: `ts, symbol, command`, ordered by `ts`.
    """
    market, _ = split_commands(events)
    ts, symbol, command = (in_order(columns)[name] for name in ("ts", "symbol", "command"))
    after = np.searchsorted(market.ts, ts, side="right")
    said = np.zeros(len(ts), COMMAND)
    said["row"] = after + np.arange(len(ts))
    said["symbol"], said["command"] = symbol, command
    own = np.maximum(symbol, 0)
    made: dict[str, NDArray[Any]] = {
        "ts": ts,
        "symbol": own,
        "kind": np.full(len(ts), int(Stream.COMMANDS)),
        "fault": np.zeros_like(ts),
    }
    last = _last_rows(market.symbol, own, after)
    for name in ("bid_px", "bid_qty", "ask_px", "ask_qty"):
        made[name] = np.where(last >= 0, getattr(market, name)[last], 0)
    whole = {name: np.insert(getattr(market, name), after, values) for name, values in made.items()}
    whole |= _moved(market, lambda rows: rows + np.searchsorted(after, rows, side="right"))
    whole["one_sided"] = one_sided(whole["bid_qty"], whole["ask_qty"])  # commands repeat a state too
    return market._replace(**whole, commands=said)


def in_order(columns: Columns) -> dict[str, NDArray[np.int64]]:
    """Commands in the order in which they act: by time, then those to every symbol, then by symbol, then as given."""
    order = np.lexsort((columns["symbol"], columns["ts"]))  # which is stable
    return {name: values[order] for name, values in columns.items()}


def _last_rows(symbols: NDArray[Any], own: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last of each symbol's rows before such a row; -1 where there is none."""
    out = np.full(len(own), -1)
    for s in np.unique(own):
        rows, mine = np.flatnonzero(symbols == s), own == s
        found = np.searchsorted(rows, before[mine]) - 1
        out[mine] = np.where(found >= 0, rows[found] if len(rows) else -1, -1)
    return out


def split_commands(events: Events) -> tuple[Events, dict[str, NDArray[np.int64]]]:
    """Market events without the commands among them, and those as canonical columns."""
    said = events.commands
    columns = {"ts": events.ts[said["row"]], "symbol": said["symbol"].copy(), "command": said["command"].copy()}
    if not len(said):
        return events, columns
    rest = np.ones(len(events.ts), bool)
    rest[said["row"]] = False
    kept = {name: getattr(events, name)[rest] for name in Events._fields[:8]}
    kept |= _moved(events, lambda rows: rows - np.searchsorted(said["row"], rows))
    kept["one_sided"] = one_sided(kept["bid_qty"], kept["ask_qty"])
    return events._replace(**kept, commands=np.zeros(0, COMMAND)), columns


def _moved(events: Events, to: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
    """What names rows of the events, with the rows elsewhere."""
    funding = events.funding.copy()
    funding["row"] = to(events.funding["row"])
    return {"funding": funding, "book_rows": to(events.book_rows)}


def listed_commands(events: Events, symbols: Sequence[str]) -> list[Instruction]:
    """The commands among events, as `Fixture.with_commands` takes them."""
    rows = zip(events.ts[events.commands["row"]].tolist(), events.commands.tolist(), strict=True)
    return [(ts, Command(code), None if s == NONE else symbols[s]) for ts, (_, s, code) in rows]
