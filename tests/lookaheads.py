"""The look-ahead lane: `grinder lint lookahead` of every fixture, with its own settings and with a policy of one's own in Python.

`python -m tests.lookaheads` prints a table and fails where anything is found; `--cuts 200` cuts the data off at more points.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from grinder.causality import Causality, lookahead
from grinder.data.fixture import fixtures_below

ROOT = Path(__file__).resolve().parents[1]
OWN = """import grinder as gr


@gr.policy(on_fill=True, damped=True)
def mine(view, params):
    plan = gr.smart(view, params)
    return plan and plan._replace(levels_down=min(plan.levels_down, 5), levels_up=min(plan.levels_up, 5))
"""
OF_ONE_S_OWN = ("binance_btcusdt_6m", "dydx_btcusd_1d", "vol_shock_l1")
"""Fixtures that the policy in Python is checked on: a recording, minute bars, a whole generated day."""


def check(cuts: int) -> list[tuple[Causality, str, float]]:
    """(report, policy, seconds) of every fixture, then of those with the policy in Python."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "mine.py"
        file.write_text(OWN)
        folders = fixtures_below(ROOT / "fixtures")
        jobs = [(folder, None) for folder in folders]
        jobs += [(folder, f"{file}:mine") for folder in folders if folder.name in OF_ONE_S_OWN]
        made = []
        for folder, policy in jobs:
            begin = time.monotonic()
            report = lookahead(folder, policy=policy, cuts=cuts)
            made.append((report, "in Python" if policy else "built-in", time.monotonic() - begin))
    return made


def table(made: list[tuple[Causality, str, float]]) -> str:
    """As Markdown."""
    lines = ["| fixture | policy | events | records | cuts | found | s |", "|---|---|---|---|---|---|---|"]
    for report, policy, seconds in made:
        found = ", ".join(finding.kind for finding in report.findings) or "nothing"
        cells = (report.fixture, policy, f"{report.events:,}", f"{report.records:,}", len(report.cuts))
        lines.append("| " + " | ".join(map(str, cells)) + f" | {found} | {seconds:.1f} |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Run the lane; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=24, help="at how many points the data are cut off")
    parser.add_argument("--write", action="store_true", help="put the table into docs/RELIABILITY.md")
    args = parser.parse_args(words)
    made = check(args.cuts)
    found = [report for report, _, _ in made if not report.passed]
    head = f"{len(made)} checks, {sum(len(report.cuts) for report, _, _ in made)} cuts, {len(found)} with findings"
    print(f"{head}\n\n{table(made)}", *found, sep="\n")
    if args.write:
        from tests.reliability import put

        put("lookaheads", f"{head}.\n\n{table(made)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
