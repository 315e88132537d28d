"""The drawdown window (SPEC 7.1, ADR-0028.1): the run is counted in parts from the epoch; a later part is a roll.

`daily` has parts of a day and remembers none of them, `rolling` has 24 parts to the window and remembers those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DAY = 86_400 * 1_000_000_000
MILLISECOND = 1_000_000
PARTS = 24
DEFAULT_MS = 86_400_000


def part_length(cfg: dict) -> int | None:
    """ns of a part; None: the window never rolls."""
    if cfg["dd_window"] == "session":
        return None
    if cfg["dd_window"] == "daily":
        return DAY
    assert cfg["dd_window"] == "rolling"
    ms = cfg.get("dd_window_ms", DEFAULT_MS)
    assert ms > 0 and ms % PARTS == 0, ms
    return ms * MILLISECOND // PARTS


def remembered(cfg: dict) -> int:
    """How many parts before the one that begins the window still holds."""
    return PARTS if cfg["dd_window"] == "rolling" else 0


@dataclass
class Parts:
    """One account, the portfolio or a symbol: how each part of the run began, and the highest equity marked in it.

    Parts before the run's first, which are never written, began and peaked at the initial equity.
    """

    initial: int
    begins: dict[int, int] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)

    def begin(self, part: int) -> int:
        return self.begins.get(part, self.initial)

    def peak(self, part: int) -> int:
        return self.peaks.get(part, self.initial)

    def marked(self, part: int, equity: int) -> None:
        self.peaks[part] = max(self.peak(part), equity)

    def roll(self, last: int, new: int, equity: int, kept: int) -> tuple[int, int]:
        """`new` begins with `equity`. The window's peak and the equity that it started with.

        Parts between the two passed without an event; of these only what a window can still hold is written.
        """
        for part in range(max(last + 1, new - PARTS), new + 1):
            self.begins[part] = self.peaks[part] = equity
        peak = max([equity] + [self.peak(part) for part in range(new - kept, new)])
        return peak, self.begin(new - kept)
