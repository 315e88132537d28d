"""Rows of the table that the suite prints, and how they become text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = (
    *("what", "events", "fills", "first", "further", "M events/s", "of the scan"),
    *("over grinder's first", "over its further", "peak memory"),
)


@dataclass(frozen=True)
class Row:
    """One measurement; what it has not is None.

    Args:
        what: the label. section: the heading it stands under.
        events: market events of one run. fills: how many, or what is to be said of them.
        first, further: seconds of a run on data that were never replayed, and on data that were; medians.
        faster_first, faster: a peer's seconds an event over grinder's, first and further.
        processor: both ratios by seconds of the processor instead of the clock; they stand under the table.
        memory: peak resident bytes of a process that does this alone.
        says: what stands in place of the figures: why there are none.
    """

    what: str
    section: str = ""
    events: int | None = None
    fills: int | str | None = None
    first: float | None = None
    further: float | None = None
    faster_first: float | None = None
    faster: float | None = None
    memory: int | None = None
    processor: tuple[float, float] | None = None
    says: str = ""


def duration(seconds: float | None) -> str:
    """As read: seconds from one second on, else milliseconds."""
    if seconds is None:
        return ""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms"


def times(ratio: float | None) -> str:
    """A ratio with two digits or more."""
    if ratio is None:
        return ""
    return f"{ratio:,.0f}" if ratio >= 20 else f"{ratio:.1f}"


def cells(row: Row, scan: float | None) -> list[str]:
    """One row as text.

    Args:
        scan: events a second of the bare scan.
    """
    rate = row.events / row.further if row.events and row.further else None
    share = rate / scan if rate and scan and row.faster is None else None
    return [
        row.what,
        f"{row.events:,}" if row.events else "",
        row.says or (f"{row.fills:,}" if isinstance(row.fills, int) else row.fills or ""),
        duration(row.first),
        duration(row.further),
        f"{rate / 1e6:,.0f}" if rate and rate >= 20e6 else f"{rate / 1e6:.2f}" if rate else "",
        f"{share:.3f}" if share else "",
        times(row.faster_first),
        times(row.faster),
        f"{row.memory / 1e6:,.0f} MB" if row.memory else "",
    ]


def markdown(rows: Sequence[Row], scan: float | None) -> str:
    """The table, its columns aligned, each section under a row of its own."""
    body: list[list[str]] = []
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            body.append([f"**{section}**"] + [""] * (len(COLUMNS) - 1))
        body.append(cells(row, scan))
    widths = [max(len(line[k]) for line in [list(COLUMNS), *body]) for k in range(len(COLUMNS))]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    lines = [list(COLUMNS), rule, *body]
    return "\n".join(_line(line, widths) for line in lines)


def _line(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


def by_processor(rows: Sequence[Row]) -> str:
    """The peers' ratios by the processor's time, as a sentence."""
    told = [f"{row.what} {times(row.processor[0])} and {times(row.processor[1])}" for row in rows if row.processor]
    return f"Over grinder's first and further by seconds of the processor, not of the clock: {'; '.join(told) or 'none'}."
