"""The documentation site: builds strictly, without a network; its pages fetch nothing from elsewhere, its links lead somewhere."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from grinder import fixture, revisions
from grinder.cli import main
from grinder.config import Config
from grinder.data.binance import ImportReport
from grinder.errors import ConfigError
from grinder.golden import accept
from tests.examples import _checkout
from tests.files import BOOK_TICKER, QUOTE_ROWS, csv
from tests.swings import swing

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = runpy.run_path(str(ROOT / "docs" / "make_reference.py"), run_name="reference")
BUILD = """
import socket, sys
def nowhere(*_, **__):
    raise OSError("the site is built without a network")
socket.socket.connect = socket.socket.connect_ex = nowhere
socket.create_connection = socket.getaddrinfo = nowhere
from mkdocs.__main__ import cli
cli(["build", "--strict", "--config-file", sys.argv[1], "--site-dir", sys.argv[2]])
"""
FETCHED = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed"), "src")
FETCHED |= {"object": "data", "link": "href", "use": "href", "image": "href"}
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


# What the reference says of the code


def paths(value: object, path: str = "") -> set[str]:
    """Where each value of an object stands: keys with dots between them, items of lists as []."""
    if isinstance(value, dict) and value:
        return {place for key, part in value.items() for place in paths(part, f"{path}.{key}".lstrip("."))}
    if isinstance(value, list) and value:
        return {place for part in value for place in paths(part, f"{path}[]")}
    return {f"{path}[]"} if value == [] else {f"{path}.*"} if value == {} else {path}


def pattern(path: str) -> re.Pattern[str]:
    """What a path of the page stands for; below `**` there may be nothing."""
    text = re.escape(path).replace(r"\.\*\*", r"(\W.*)?").replace(r"\*", "[^.]+")
    return re.compile(text)


SHAPES = {
    "grinder replay": "replay swings --json --metrics",
    "grinder explain": "explain swings --at {at} --json",
    "grinder diff": "diff swings --set levels=2 --json",
    "grinder sweep": "sweep swings --grid levels=2,3 --json",
    "grinder verify": "verify --json",
    "grinder fixture validate": "fixture validate swings --json",
    "grinder lint lookahead": "lint lookahead swings --cuts 2 --json",
    "grinder new": "new mine --json",
    "grinder generate": "generate range_day --out fixtures/day --set quotes_per_day=5000 --json",
    "grinder accept": "accept swings --reason 'once more' --json",
    "grinder fixture join": "fixture join swings --out fixtures/joined --json",
    "grinder import archive": "import archive BTCUSDT-bookTicker-2024-01-01.csv --kind spot --out fixtures/btc --json",
    "grinder doctor": "doctor --json",
    "grinder warmup": "warmup --json",
}


@pytest.mark.parametrize("words", SHAPES)
def test_the_keys_of_json_are_those_of_the_page(words, tmp_path, monkeypatch, capsys):
    for name in ("CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    accept(swing(tmp_path / "fixtures" / "swings"), "first golden")
    csv(tmp_path / "BTCUSDT-bookTicker-2024-01-01.csv", QUOTE_ROWS, header=BOOK_TICKER)
    monkeypatch.chdir(tmp_path)
    given = shlex.split(SHAPES[words].format(at=fixture("swings").last_ts))
    assert main(given) in (0, 1)
    holds(words, capsys.readouterr().out)


def holds(words: str, printed: str) -> None:
    """What was printed has the keys of the page, all of them and no other."""
    declared = {path: pattern(path) for path in REFERENCE["JSON"][words]}
    for line in printed.splitlines():
        found = paths(json.loads(line))
        unknown = {path for path in found if not any(one.fullmatch(path) for one in declared.values())}
        assert not unknown, "say in docs/make_reference.py what they are"
        lost = {path for path, one in declared.items() if not any(one.fullmatch(place) for place in found)}
        assert not lost, "a key of the page is not there"


def test_the_keys_of_a_bisection(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(_checkout(tmp_path))
    monkeypatch.setattr(revisions, "_home", lambda: tmp_path / "home")
    assert main("bisect binance_btcusdt_6m --good v0.1 --json".split()) == 0
    holds("grinder bisect", capsys.readouterr().out)


def test_the_keys_of_an_import_of_a_recording():
    declared = {re.match(r"\w+", path)[0] for path in REFERENCE["JSON"]["grinder import binance"]}
    assert declared == {field.name for field in dataclasses.fields(ImportReport)}


def test_every_command_with_json_has_its_keys_on_the_page():
    with_json = {words for words, parser, _ in REFERENCE["commands"]() if "--json" in parser._option_string_actions}
    assert with_json == {*REFERENCE["JSON"], *(other for others in REFERENCE["SAME"].values() for other in others)}
    assert set(SHAPES) | {"grinder bisect", "grinder import binance"} == set(REFERENCE["JSON"])


@pytest.mark.parametrize("name", REFERENCE["PAGES"])
def test_a_generated_page_is_what_the_code_makes_today(name):
    committed = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert committed == REFERENCE["PAGES"][name](), "python docs/make_reference.py"


@pytest.mark.parametrize("name", Config.model_fields)
def test_the_range_of_a_setting_is_what_the_settings_take(name):
    """Each end is taken where it belongs to the range, and what is past it is refused."""
    rules = dict(REFERENCE["bounds"](Config.model_fields[name]))
    assert set(rules) <= {"ge", "gt", "le", "lt", "multiple_of"}
    row = next(line for line in REFERENCE["settings_page"]().splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert all(cells[1:3]), "says what it is, and in which unit"
    assert all(cells[4:]), "has a range and a source"
    assert re.search(r"SPEC \d", cells[5])
    for kind, end in rules.items():
        least = Decimal(rules.get("multiple_of", 1) if isinstance(shaped(name, 0, alone=True), int) else "1e-8")
        if kind == "multiple_of":
            refused(name, int(rules["ge"]) + 1)
            continue
        assert REFERENCE["plain"](end) in cells[4].replace(",", " ").split()
        past = end - least if kind in ("ge", "gt") else end + least
        inside, outside = (end, past) if kind in ("ge", "le") else (2 * end - past, end)
        taken(name, inside)
        refused(name, outside)


def shaped(name: str, value: Decimal | int, *, alone: bool = False) -> object:
    """A number as the setting has it: three of it, a mapping of it, or it alone."""
    default = Config.model_fields[name].default
    part = next(iter(default.values())) if isinstance(default, dict) else default[0] if isinstance(default, tuple) else default
    number = int(value) if isinstance(part, int) else Decimal(value)
    if alone:
        return number
    return dict.fromkeys(default, number) if isinstance(default, dict) else (number,) * 3 if isinstance(default, tuple) else number


def taken(name: str, value: Decimal | int) -> None:
    got = getattr(Config(**{name: shaped(name, value)} | ({"fill_model": "cross"} if name == "penetration" else {})), name)
    assert got == shaped(name, value)


def refused(name: str, value: Decimal | int) -> None:
    with pytest.raises(ConfigError, match=name):
        Config(**{name: shaped(name, value)})
