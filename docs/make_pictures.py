"""Make the pictures of docs/NOTEBOOK.md and of the README anew, of the fixtures in this checkout: `python docs/make_pictures.py`.

Those of cards and reports are photographs by Chromium; where there is none they are left as they are, and the script says so.
Reports take playwright too. The same versions of grinder, matplotlib and Chromium give the same pictures.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image, ImageChops

import grinder as gr
from grinder.cards.page import write_page
from grinder.divergence import Diff
from grinder.plot import save_png
from grinder.sweeping import Sweep

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "pictures"
MAX_BYTES = 150_000
COLORS = 256
DPI = 120
REAL = "binance_btcusdt_6m"
SHOCK = 0.7057
"""Where in its day a shock of `vol_shock_l1` is."""
HEIGHT = 2600
"""Of the window that a card is photographed in: more than any of them has."""
CARDS = {
    "card_light": ("real", 900, ""),
    "card_dark": ("run", 900, "dark"),
    "card_narrow": ("real", 480, ""),
    "card_fixture": ("fixture", 900, ""),
    "card_plan": ("plan", 900, "dark"),
    "card_difference": ("first_difference", 900, ""),
    "card_sweep": ("sweep", 900, ""),
}
"""Picture -> card, width in pixels, colour scheme."""


REPORTS = {
    "report_day": ("day", (1300, 960), "light", "screen", "glance"),
    "report_ticks": ("shock", (1300, 960), "light", "screen", "look_closely"),
    "report_dark": ("many", (1300, 1000), "dark", "screen", "glance"),
    "report_tables": ("many", (1300, 1000), "light", "screen", "open_tables"),
    "report_narrow": ("real", (480, 1150), "light", "screen", "glance"),
    "report_print": ("real", (800, 1100), "light", "print", "print_out"),
}
"""Picture -> report, size of the window, colour scheme, medium, what is done before."""


def plots() -> dict[str, Callable[[], Axes]]:
    """Picture -> what draws it."""
    spike, day = gr.replay("impact_spike_l2"), gr.replay("range_day_l1")
    many, real = gr.replay("multisymbol_topk_l1"), gr.replay("binance_btcusdt_6m")
    finer = gr.replay("binance_btcusdt_6m", gr.Config(step="3bp"))
    return {
        "price": lambda: day.plot.price(),
        "price_closer": lambda: day.plot.price(between=("2024-01-03 13:00", "2024-01-03 13:40")),
        "regimes": lambda: many.plot.regimes("AVAXUSDT"),
        "inventory": lambda: spike.plot.inventory(),
        "equity": lambda: many.plot.equity(),
        "features": lambda: spike.plot.features(),
        "cycles": lambda: real.plot.cycles(),
        "depth": lambda: spike.plot.depth("2024-01-07 12:00"),
        "difference": lambda: gr.diff(real, finer, labels=("2 bp", "3 bp")).plot(),
    }


def cards() -> dict[str, str]:
    """Card -> its HTML."""
    day, seen = gr.replay("range_day_l1"), []

    @gr.policy
    def watched(view, params):  # noqa: ANN001, ANN202
        plan = gr.smart(view, params)
        if plan:
            seen.append(plan)
        return plan

    gr.replay("range_day_l1", None, watched, until=20_000)
    return {
        "real": gr.replay("binance_btcusdt_6m")._repr_html_(),
        "run": gr.replay("multisymbol_topk_l1")._repr_html_(),
        "fixture": gr.fixture("multisymbol_topk_l1")._repr_html_(),
        "plan": seen[-1]._replace(levels_down=8, levels_up=8)._repr_html_(),
        "sweep": swept()._repr_html_(),
        "first_difference": beginning(gr.diff(day, gr.replay("range_day_l1", gr.Config(alpha="0.9"))))._repr_html_(),
    }


def beginning(found: Diff) -> Diff:
    """A difference with its first sections alone, whose card fits on a screen."""
    return replace(found, sections=found.sections[:3])


def keep(name: str, image: Image.Image) -> None:
    """Write a picture with few colours."""
    few = image.convert("RGB").quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    body = io.BytesIO()
    few.save(body, "PNG", optimize=True)
    if len(body.getvalue()) > MAX_BYTES:
        raise SystemExit(f"{name}.png has {len(body.getvalue()):,} bytes, more than {MAX_BYTES:,}")
    (FOLDER / f"{name}.png").write_bytes(body.getvalue())
    print(f"{name}.png  {image.width} x {image.height}, {len(body.getvalue()):,} bytes")


def draw(name: str, plot: Callable[[], Axes]) -> None:
    """Draw one plot."""
    body = io.BytesIO()
    with plt.style.context("default"):
        figure = plot().figure
        figure.savefig(body, format="png", dpi=DPI, metadata={"Software": None})
    plt.close("all")
    keep(name, Image.open(body))


def photograph(chromium: str, name: str, html: str, width: int, scheme: str) -> None:
    """Photograph one card."""
    with tempfile.TemporaryDirectory() as scratch:
        page, shot = write_page(Path(scratch) / "card.html", name, html), Path(scratch) / "shot.png"
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--screenshot={shot}",
            f"--window-size={width},{HEIGHT}",
        ]
        flags += ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
        subprocess.run([chromium, *flags, page.as_uri()], check=True, capture_output=True, timeout=300)
        image = Image.open(shot).convert("RGB")
    ground = Image.new("RGB", image.size, image.getpixel((0, 0)))
    left, top, right, bottom = ImageChops.difference(image, ground).getbbox()
    keep(name, image.crop((0, max(0, top - left), min(image.width, right + left), min(image.height, bottom + left))))


def swept() -> Sweep:
    """A small sweep whose best is to be doubted, some of whose cells cannot be."""
    grid = {"step": ["5bp", "8bp", "10bp", "15bp", "20bp", "30bp"], "quantity": ["0.005", "0.01", "0.02", "0.05", "0.0005"]}
    config = gr.Config(policy="static", maker_fee="4bp")
    return gr.sweep("vol_shock_l1", grid | {"levels": [4, 8]}, config=config, objective="pnl.total")


def overviews() -> dict[str, Callable[[], Axes]]:
    """Picture -> what draws it: a run in one figure, and sweeps."""
    shock, found = gr.replay("vol_shock_l1"), swept()
    return {
        "overview": lambda: shock.plot(),
        "heatmap": lambda: found.heatmap("step", "quantity"),
        "profile": lambda: found.plot.profile("step"),
    }


def reports() -> dict[str, gr.Run]:
    """Report -> its run."""
    fixtures = {"day": "range_day_l1", "shock": "vol_shock_l1", "many": "multisymbol_topk_l1", "real": REAL}
    return {name: gr.replay(fixture) for name, fixture in fixtures.items()}


def glance(tab: Page) -> None:
    """Point at the chart."""
    if tab.locator("#symbol").is_visible():
        tab.select_option("#symbol", label="AVAXUSDT")
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.2 * box["height"])


def look_closely(tab: Page) -> None:
    """Zoom in at the shock until single quotes are seen, and pin a fill."""
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + 8 + SHOCK * (box["width"] - 82), box["y"] + 0.2 * box["height"])
    for _ in range(14):
        tab.mouse.wheel(0, -200)
    tab.locator("#canvas").focus()
    for key in ("Escape", "n", "+", "+"):
        tab.keyboard.press(key)


def open_tables(tab: Page) -> None:
    """Open what is folded, and go there."""
    for what in ("Fills:", "Settings:", "Digest by"):
        tab.locator("summary", has_text=what).click()
    tab.evaluate("for (const one of document.querySelectorAll('.wide')) one.style.maxHeight = '19em'")
    tab.evaluate("document.querySelector('details').scrollIntoView()")


def print_out(tab: Page) -> None:
    """Nothing: it is as it is printed."""
    tab.evaluate("scrollTo(0, 0)")


def photograph_reports(chromium: str) -> None:
    """Photograph the reports, each in its window."""
    from playwright.sync_api import sync_playwright

    made = reports()
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as scratch:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for name, (which, (width, height), scheme, medium, action) in REPORTS.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            tab.emulate_media(media=medium)
            tab.goto(made[which].report(Path(scratch) / f"{which}.html").as_uri())
            tab.wait_for_function("performance.getEntriesByName('grinder-drawn').length === 1")
            globals()[action](tab)
            tab.wait_for_timeout(200)
            keep(name, Image.open(io.BytesIO(tab.screenshot())))
            tab.close()
        browser.close()


def main() -> None:
    """Make them all."""
    mpl.use("Agg")
    FOLDER.mkdir(exist_ok=True)
    save_png(gr.replay("binance_btcusdt_6m"), HERE / "first_replay.png")
    for name, plot in (plots() | overviews()).items():
        draw(name, plot)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("there is no chromium here: pictures of cards are left as they are", file=sys.stderr)
        return
    made = cards()
    for name, (card, width, scheme) in CARDS.items():
        photograph(chromium, name, made[card], width, scheme)
    photograph_reports(chromium)


if __name__ == "__main__":
    main()
