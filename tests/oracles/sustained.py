"""Alerts of what lasts (SPEC 13, ADR-0028.6), one symbol. They are looked at when a bar of the symbol closes with features."""

from __future__ import annotations

from dataclasses import dataclass

from .gates import HIGH

ALERT_TOXICITY, ALERT_L2_STALE = 2, 3


@dataclass
class Lasting:
    """A condition: since which event it holds, and whether that has been said."""

    since: int | None = None
    said: bool = False

    def set(self, holds: bool, now: int) -> None:
        if not holds:
            self.since, self.said = None, False
        elif self.since is None:
            self.since = now

    def due(self, now: int, after: int) -> int | None:
        """How long it has lasted, once that is `after` or more."""
        if self.since is None or self.said or now - self.since < after:
            return None
        self.said = True
        return now - self.since


class Watch:
    def __init__(self) -> None:
        self.toxic = Lasting()
        self.bookless = Lasting()
        self.had_book = False

    def bar_closed(self, fresh_book: bool, now: int, after: int) -> list[tuple[int, int]]:
        """(code, value) of the alerts to raise. The toxicity level is still the one before this event."""
        self.had_book = self.had_book or fresh_book
        self.bookless.set(self.had_book and not fresh_book, now)
        found = ((ALERT_TOXICITY, self.toxic.due(now, after)), (ALERT_L2_STALE, self.bookless.due(now, after)))
        return [(code, value) for code, value in found if value is not None]

    def event_ended(self, toxicity: int, now: int) -> None:
        self.toxic.set(toxicity >= HIGH, now)
