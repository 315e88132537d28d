"""What the report of a large run costs: seconds to write, bytes, and how soon a headless Chromium shows it.

    python benchmarks/report.py [--quotes N] [--rounds N]

The run is of the same five million generated quotes as in benchmarks/run.py, with `static` and with `smart`. Every figure is the
median of the rounds, each with a new tab. *First paint* is `first-contentful-paint` and *chart drawn* the mark that the page's
script sets once the chart is on its canvas, both from the start of navigation. *Zoomed* is from a turn of the wheel over the chart
of the whole run to the frame after it. It needs playwright and the system's Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tapes
from measures import GRID, maker
from playwright.sync_api import Browser, sync_playwright

import grinder as gr

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
POLICIES = ("static", "smart")
PAINT = "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0]"
DRAWN = "performance.getEntriesByName('grinder-drawn').map((one) => one.startTime)[0]"
ZOOM = """async () => {
  const canvas = document.getElementById('canvas'), box = canvas.getBoundingClientRect(), start = performance.now();
  const at = { clientX: box.left + 300, clientY: box.top + 100, deltaY: -200, bubbles: true, cancelable: true };
  canvas.dispatchEvent(new WheelEvent('wheel', at));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - start;
}"""


class Cost(NamedTuple):
    """Of one report: bytes, seconds to write, milliseconds in the browser."""

    policy: str
    events: int
    fills: int
    size: int
    write: float
    paint: float
    drawn: float
    zoom: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quotes", type=int, default=5_000_000, metavar="N", help="quotes of the tape (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of which medians are taken (default %(default)s)")
    words = parser.parse_args()
    where = next(filter(None, map(shutil.which, NAMES)), None)
    if where is None:
        sys.exit(f"there is no Chromium: looked for {', '.join(NAMES)}")
    print("| policy | quotes | fills | written in | page | first paint | chart drawn | zoomed |")
    print("|---|---|---|---|---|---|---|---|")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as scratch:
        browser = driver.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for one in costs(browser, Path(scratch), words.quotes, words.rounds):
            print(
                f"| `{one.policy}` | {one.events:,} | {one.fills:,} | {one.write:.2f} s | {one.size / 1e6:.2f} MB "
                f"| {one.paint:.0f} ms | {one.drawn:.0f} ms | {one.zoom:.0f} ms |"
            )
        print(f"\nChromium {browser.version}, {rounds_of(words.rounds)}.")
        browser.close()


def rounds_of(count: int) -> str:
    """How many rounds, in words."""
    return f"medians of {count} rounds" if count > 1 else "one round"


def costs(browser: Browser, scratch: Path, quotes: int, rounds: int) -> Iterator[Cost]:
    """Of each policy."""
    columns = tapes.day(quotes)
    for policy in POLICIES:
        run = gr.replay(maker(columns, GRID | {"policy": policy})())
        page, write = written(run, scratch / f"{policy}.html", rounds)
        seen = [opened(browser, page) for _ in range(rounds)]
        paint, drawn, zoom = (statistics.median(figures) for figures in zip(*seen, strict=True))
        yield Cost(policy, run.events, len(run.fills), page.stat().st_size, write, paint, drawn, zoom)


def written(run: gr.Run, page: Path, rounds: int) -> tuple[Path, float]:
    """The page, and how long it took to write."""
    took = []
    run.metrics()
    for _ in range(rounds):
        start = time.perf_counter()
        run.report(page)
        took.append(time.perf_counter() - start)
    return page, statistics.median(took)


def opened(browser: Browser, page: Path) -> tuple[float, float, float]:
    """Milliseconds to first paint and to the drawn chart, and of a zoom."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    tab, told = context.new_page(), []
    tab.on("console", lambda message: told.append(message.text))
    tab.on("pageerror", lambda error: told.append(str(error)))
    tab.goto(page.as_uri())
    tab.wait_for_function(f"{PAINT} > 0 && {DRAWN} > 0")
    figures: Any = (tab.evaluate(PAINT), tab.evaluate(DRAWN), tab.evaluate(ZOOM))
    context.close()
    if told:
        sys.exit(f"the page of {page.stem} complained: {told[0]}")
    return figures


if __name__ == "__main__":
    main()
