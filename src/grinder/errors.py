"""Every error that grinder raises on purpose.

The tree, with the exit code that the command line gives each::

    GrinderError                     1
    |-- ConfigError                  2   a setting is wrong, unknown or missing
    |   |-- NumberError              2   text that is no exact number in its unit
    |   `-- PolicyError              2   a policy returned something that cannot be traded
    |-- DataError                    3   market data or a fixture is missing, damaged or against SPEC 2
    |   |-- FixtureNotFound          3
    |   |-- IntegrityError           3   bytes, rows or content are not what the manifest says
    |   |-- InputFault               3   a row that SPEC 2.2 rejects: file, row, column, value and cure
    |   `-- RangeError               3   numbers too large for exact arithmetic (SPEC 1.2)
    |-- DigestMismatch               1   a run is not what its golden says
    |-- Nondeterminism               4   two runs of the same thing differ
    |-- NothingSelected              5   a command found nothing to work on
    |-- WorkerError                  1   an executor lost a worker of a sweep; cells that were finished are kept
    |-- RevisionError              125   a revision does not build or cannot replay, so that it cannot be compared
    `-- LedgerError                  1   a proof inside the engine failed: a defect of grinder, never of the data
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "DigestMismatch",
    "FixtureNotFound",
    "GrinderError",
    "InputFault",
    "IntegrityError",
    "LedgerError",
    "Nondeterminism",
    "NothingSelected",
    "NumberError",
    "PolicyError",
    "RangeError",
    "RevisionError",
    "WorkerError",
]


class GrinderError(Exception):
    """Base of every error of this package; `exit_code` is what the command line ends with."""

    exit_code = 1


class ConfigError(GrinderError):
    """A setting is wrong, unknown or missing; the message names it and the cure."""

    exit_code = 2


class NumberError(ConfigError):
    """Text that is not an exact number in its unit."""


class PolicyError(ConfigError):
    """A policy returned something that cannot be traded."""


class DataError(GrinderError):
    """Market data or a fixture is missing, damaged or against SPEC 2."""

    exit_code = 3


class FixtureNotFound(DataError):
    """No fixture of this name; the message lists where it was looked for."""


class IntegrityError(DataError):
    """Bytes, rows or content are not what the manifest says."""


class InputFault(DataError):
    """A row that SPEC 2.2 rejects.

    Args:
        reason: what is wrong, in a few words.
        file: where, as all of the next; None where it has no place.
        row: counted from 0.
        column: its name.
        value: what stands there.
        cure: what the user can do about it.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: object = None,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
        cure: str = "",
    ) -> None:
        self.reason, self.file, self.row, self.column, self.value, self.cure = (
            reason,
            file,
            row,
            column,
            value,
            cure,
        )
        super().__init__(str(self))

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default; errors cross process borders whole.
        return (_rebuild_fault, (self.reason, self.file, self.row, self.column, self.value, self.cure))

    def __str__(self) -> str:
        parts = [str(self.file)] if self.file is not None else []
        parts += [f"row {self.row}"] if self.row is not None else []
        parts += [f"column {self.column}"] if self.column is not None else []
        parts += [f"value {self.value!r}"] if self.value is not None else []
        where = ", ".join(parts)
        text = f"{where}: {self.reason}" if where else self.reason
        return f"{text} ({self.cure})" if self.cure else text


def cause(error: BaseException, most: int = 200) -> str:
    """Another library's error as a short piece of a message: its kind and what it says, never the whole of a file."""
    text = " ".join(str(error).split())
    shown = text if len(text) <= most else text[:most] + "..."
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__


def _rebuild_fault(reason: str, file: object, row: int | None, column: str | None, value: object, cure: str) -> InputFault:
    return InputFault(reason, file=file, row=row, column=column, value=value, cure=cure)


class RangeError(DataError):
    """Numbers too large for exact 64-bit arithmetic (SPEC 1.2)."""


class DigestMismatch(GrinderError):
    """A run is not what its golden says; the message names stage, window and time."""


class Nondeterminism(GrinderError):
    """Two runs of the same thing differ."""

    exit_code = 4


class NothingSelected(GrinderError):
    """A command found nothing to work on."""

    exit_code = 5


class WorkerError(GrinderError):
    """An executor lost a worker of a sweep; cells that were finished are kept."""


class RevisionError(GrinderError):
    """A revision does not build or cannot replay; the message shows what it said."""

    exit_code = 125  # which `git bisect run` takes for "skip this one"


class LedgerError(GrinderError):
    """A proof inside the engine failed: a defect of grinder, never of the data."""
