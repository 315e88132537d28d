"""The exception tree: what a caller can catch, what the command line ends with, and errors that cross process borders."""

from __future__ import annotations

import copy
import pickle

import pytest

from grinder import errors
from grinder.errors import GrinderError, InputFault

TREE = {  # error: (base, exit code)
    "ConfigError": ("GrinderError", 2),
    "NumberError": ("ConfigError", 2),
    "PolicyError": ("ConfigError", 2),
    "DataError": ("GrinderError", 3),
    "FixtureNotFound": ("DataError", 3),
    "IntegrityError": ("DataError", 3),
    "InputFault": ("DataError", 3),
    "RangeError": ("DataError", 3),
    "DigestMismatch": ("GrinderError", 1),
    "Nondeterminism": ("GrinderError", 4),
    "NothingSelected": ("GrinderError", 5),
    "WorkerError": ("GrinderError", 1),
    "RevisionError": ("GrinderError", 125),
    "LedgerError": ("GrinderError", 1),
}


def test_the_tree_is_whole():
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined == {"GrinderError", *TREE} == set(errors.__all__)
    assert GrinderError.exit_code == 1
    assert GrinderError.__bases__ == (Exception,)


@pytest.mark.parametrize(("name", "base", "code"), [(name, *entry) for name, entry in TREE.items()])
def test_base_and_exit_code(name, base, code):
    error = getattr(errors, name)
    assert [parent.__name__ for parent in error.__bases__] == [base]
    assert error.exit_code == code
    drawn = next(line for line in errors.__doc__.splitlines() if f"- {name} " in line)
    assert int(drawn.split(name)[1].split()[0]) == code, "the drawing tells the same"


def fault() -> InputFault:
    return InputFault("off tick", file="quotes.csv", row=7, column="bid_px", value="1.005", cure="nearest are 1.00 or 1.01")


def test_a_fault_tells_where_what_and_the_cure():
    assert str(fault()) == "quotes.csv, row 7, column bid_px, value '1.005': off tick (nearest are 1.00 or 1.01)"
    assert str(InputFault("no_ticks")) == "no_ticks"
    assert str(InputFault("bad", row=0, value=0)) == "row 0, value 0: bad", "row 0 is a place, 0 a value"
    assert str(InputFault("bad", cure="fix it")) == "bad (fix it)"
    assert str(InputFault("bad", column="ts")) == "column ts: bad"


@pytest.mark.parametrize("name", [name for name in TREE if name != "InputFault"])
def test_errors_survive_pickling(name):
    error = pickle.loads(pickle.dumps(getattr(errors, name)("price 1.5 is wrong")))
    assert type(error).__name__ == name
    assert str(error) == "price 1.5 is wrong"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_fault_survives_whole(again):
    error = again(fault())
    assert isinstance(error, InputFault)
    assert str(error) == str(fault())
    fields = ("reason", "file", "row", "column", "value", "cure")
    assert [getattr(error, name) for name in fields] == [getattr(fault(), name) for name in fields]
    assert error.args == fault().args
