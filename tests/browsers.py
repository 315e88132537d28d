"""A headless Chromium for tests of pages: the system's own, driven by playwright, which downloads none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """Where it is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def lacking(what: str) -> None:
    """Skip, but in CI fail: there a page that nobody opened is no page that works."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: in CI the pages have to be opened (.ci/run installs Debian's chromium)", pytrace=False)
    pytest.skip(what)


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium, or no test."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("playwright is not installed")
    where = chromium()
    if where is None:
        lacking("there is no chromium")
    with sync_playwright() as driver:
        # as root Chromium has no sandbox, and a container's small /dev/shm would stop it
        running = driver.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield running
        running.close()
