"""What `gr.diff` costs: two runs of the same day of quotes, in memory and from files, beside the replays that made them.

`python benchmarks/diff.py [MILLIONS]`: one core. The second run has another value in one field of the state in mid-run, or other
settings, or one quote that differs; or nothing at all.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from measures import best, seconds
from tapes import day, instruments

import grinder as gr


def touched(run: gr.Run) -> gr.Run:
    """A run whose open bar reached a thousand ticks higher."""
    world = run.world._replace(market=run.world.market.copy())
    world.market["high"] += 2_000
    return dataclasses.replace(run, world=world)


def moved(data: gr.Fixture, row: int) -> gr.Fixture:
    """The same data with one bid a tick lower."""
    bid = data.events.bid_px.copy()
    bid[row] -= 1
    return dataclasses.replace(data, events=data.events._replace(bid_px=bid), content="0" * 64)


def show(what: str, a: gr.Run, b: gr.Run, folder: Path) -> None:
    """One line: the comparison in memory, its text, and from files."""
    found = gr.diff(a, b)
    in_memory = best(lambda: gr.diff(a, b), 5)
    files = [run.save(folder / f"{i}.grinder") for i, run in enumerate((a, b))]
    from_files = best(lambda: gr.diff(*files), 3)
    text, page = best(lambda: str(found), 3), best(found._repr_html_, 3)
    where = str(found.first)[:60] if found.first else found.note
    print(f"{what:<26}{in_memory * 1e3:9.1f} ms {from_files * 1e3:9.1f} ms {1e3 * text:7.1f} ms {1e3 * page:7.1f} ms   {where}")


def main() -> None:
    """Print the table."""
    quotes = int(float(sys.argv[1]) * 1e6) if len(sys.argv) > 1 else 5_000_000
    columns = day(quotes)
    for policy in ("static", "smart"):
        config = gr.Config(policy=policy, step="10bp", quantity="0.01")
        data = gr.Fixture.from_arrays(instruments(), quotes=columns, config=config)
        took = seconds(lambda data=data: gr.replay(data))
        run = gr.replay(data)
        records = sum(len(table) for table in run.tables.values())
        head = touched(gr.replay(data, until=quotes // 2))
        print(f"{policy}: {quotes:,} quotes, {records:,} records, a replay took {took:.2f} s")
        print(f"{'':<26}{'in memory':>12} {'from files':>12} {'text':>10} {'HTML':>10}")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            show("equal", run, gr.replay(data), folder)
            show("a high in mid-run", run, gr.replay(data, resume=head), folder)
            show("another setting", run, gr.replay(data, gr.Config(min_notional=6, maker_fee="2.1bp")), folder)
            show("one quote", run, gr.replay(moved(data, int(run.bars["event"][len(run.bars) * 5 // 8]))), folder)


if __name__ == "__main__":
    main()
