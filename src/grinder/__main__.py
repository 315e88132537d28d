"""`python -m grinder`, and the command `grinder`."""

import gc

from grinder.cli import main

__all__ = ["run"]


def run() -> int:
    """Run the command of the process, and leave what it made to the process's end.

    Python would first go through all of it for what holds itself, for a third of a second after a replay.
    """
    try:
        return main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    raise SystemExit(run())
