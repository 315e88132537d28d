"""`python resident.py read|replay TAPE` prints its own peak memory: what a tape's columns take, and what two replays of it take."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent / "peers"))
from common import COLUMNS, peak


def main(what: str, tape: Path) -> None:
    """Read, perhaps replay, print the peak in bytes."""
    with np.load(tape) as file:
        columns = {name: file[name] for name in COLUMNS}
    if what == "replay":
        from measures import maker

        import grinder as gr

        fixture = maker(columns)()
        for _ in range(2):
            gr.replay(fixture)
    print(peak())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
