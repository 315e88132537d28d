"""The documentation site: it builds strictly and without a network, its pages fetch nothing from elsewhere, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = """
import socket, sys
def nowhere(*_, **__):
    raise OSError("the site is built without a network")
socket.socket.connect = socket.socket.connect_ex = nowhere
socket.create_connection = socket.getaddrinfo = nowhere
from mkdocs.__main__ import cli
cli(["build", "--strict", "--config-file", sys.argv[1], "--site-dir", sys.argv[2]])
"""
FETCHED = {
    **{"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src"},
    **{"object": "data", "link": "href", "use": "href", "image": "href"},
}
"""Elements that a browser fetches something for, and the attribute that says what; `link` is told by what it is."""
NOT_FETCHED = {"canonical", "next", "prev", "alternate"}
ELSEWHERE = re.compile(r"^\s*([a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page fetches, where its links lead, and what can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetches: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.classes: set[str] = set()
        self.styles: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        self._within = tag
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.classes |= set(given.get("class", "").split())
        self.styles.append(given.get("style", ""))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in FETCHED and given.get(FETCHED[tag]) and not set(given.get("rel", "").split()) & NOT_FETCHED:
            self.fetches.append(given[FETCHED[tag]])
        self.fetches += [part.split()[0] for part in given.get("srcset", "").split(",") if part.split()]

    def handle_data(self, data):
        if self._within == "style":
            self.styles.append(data)


def built(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "default", "-c", BUILD, str(config), str(folder)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> tuple[Path, str]:
    """The folder of the site, and what building it said."""
    folder = tmp_path_factory.mktemp("site")
    done = built(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    """Every page by its path in the site."""
    folder = site[0]
    return {path.relative_to(folder).as_posix(): Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}


def test_it_builds_strictly_and_without_a_warning(site):
    told = [line for line in site[1].splitlines() if line.strip()]
    assert [line for line in told if not line.startswith("INFO ")] == []
    assert told[-1].startswith("INFO    -  Documentation built")


def test_a_page_that_leads_nowhere_does_not_build(tmp_path):
    """The test above can fail: the same settings, and a link to a page that is not there."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n[leads nowhere](nowhere.md)\n")
    settings = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:\n  -")[0]
    (tmp_path / "mkdocs.yml").write_text(settings)
    done = built(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr
    assert "Aborted with 1 warning" in done.stdout + done.stderr


def test_pages_fetch_nothing_from_elsewhere(site, pages):
    assert "index.html" in pages
    for name, page in pages.items():
        assert page.fetches, f"{name}: at least the theme's style"
        assert not [url for url in page.fetches if ELSEWHERE.match(url)], name
        assert not [text for text in page.styles if re.search(r"(url\(|@import)\s*['\"]?\s*(https?:)?//", text)], name
        assert "mermaid" not in page.classes, f"{name}: the theme would fetch what draws diagrams"
    styles = list(site[0].rglob("*.css"))
    assert styles
    for style in styles:
        assert not re.search(r"(url\(|@import)\s*['\"]?\s*(https?:)?//", style.read_text("utf-8")), style.name


def test_what_pages_fetch_and_link_to_is_there(site, pages):
    folder = site[0]
    for name, page in pages.items():
        for url in (*page.fetches, *page.links):
            if ELSEWHERE.match(url) or re.match(r"(mailto|data|javascript):", url):
                continue
            path, anchor = urldefrag(url)
            target = Path(os.path.normpath(folder / Path(name).parent / unquote(path))) if path else folder / name
            if path.startswith("/"):
                target = folder / path.lstrip("/")  # the page for what was not found is shown at any depth
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{name}: {url}"
            if anchor and target.suffix == ".html":
                assert unquote(anchor) in pages[target.relative_to(folder).as_posix()].anchors | {"__top"}, f"{name}: {url}"


def test_scripts_and_their_caches_are_no_pages(site):
    assert not list(site[0].rglob("*.py"))
