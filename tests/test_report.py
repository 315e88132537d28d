"""The report of a run: its bytes, what its data say decoded by other code than wrote them, and the page in a headless Chromium."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

import grinder as gr
from grinder.cli import main
from grinder.data import daily
from grinder.plots.price import lives
from grinder.records import NONE, Role
from grinder.reports import plans, quotes, series
from grinder.reports.encoding import packed, varints
from grinder.reports.page import as_page
from grinder.run import Table
from grinder.session import worlds_after
from tests.browsers import browser
from tests.tapes import case

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=y>&amp;\x00\ud800<!--"
US = 1000


@pytest.fixture(scope="module")
def day():
    return gr.replay("range_day_l1")


@pytest.fixture(scope="module")
def many():
    return gr.replay("multisymbol_topk_l1")


@pytest.fixture(scope="module")
def real():
    return gr.replay("binance_btcusdt_6m")


# An independent reader of the page


class Reader(HTMLParser):
    """Elements of a page with their attributes, and the text of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inside, self.texts, self.words = [], "", {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = f"{tag} {dict(attrs).get('type', '')}".strip() if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside] = self.texts.get(self.inside, "") + data
        else:
            self.words.append(data)


def data_in(page):
    return json.loads(Reader(page).texts["script application/json"])


def decoded(column):
    """A column by the plainest code there is."""
    out, value, place = [], 0, 0
    for byte in base64.b64decode(column["b"]):
        value |= (byte & 127) << place
        place += 7
        if byte < 128:
            out.append(value // 2 if value % 2 == 0 else -(value + 1) // 2)
            value, place = 0, 0
    for _ in range(column["d"]):
        for i in range(1, len(out)):
            out[i] += out[i - 1]
    assert len(out) == column["n"]
    return out


def table(mapping):
    return {name: decoded(column) for name, column in mapping.items()}


def test_numbers_are_packed_and_unpacked():
    rng = np.random.default_rng(7)
    for differences in (0, 1, 2):
        for most in (1, 60, 70, 10_000, 2**40, 2**61):
            values = rng.integers(-most, most, 500)
            column = {"n": 500, "d": differences, "b": base64.b64encode(packed(values, differences))}
            if most < 2**61 or differences == 0:
                assert decoded(column) == values.tolist()
    assert varints(np.zeros(0, np.int64)) == b""
    assert packed(np.array([2**63 - 1, -(2**63)]), 0).hex() == "feffffffffffffffff01ffffffffffffffffff01"


def test_the_same_run_gives_the_same_bytes(real, tmp_path):
    one, other = real.report(tmp_path / "a.html"), gr.replay("binance_btcusdt_6m").report(tmp_path / "b.html")
    assert one == tmp_path / "a.html"
    assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_it_needs_nothing_else(day):
    page = as_page(day)
    reader = Reader(page)
    words = re.sub(r'"b":"[^"]*"', "", page)
    assert len(words) < len(page) / 2
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|\beval\(|new Function|innerHTML|/tmp|/home", words)
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "object", "img", "base", "form")
        assert not [name for name in attributes if name in ("src", "href", "style") or name.startswith("on")], tag
    (policy,) = [a["content"] for t, a in reader.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert [t for t, _ in reader.tags].count("style") == 1


def test_what_the_data_say_is_what_the_run_recorded(many):
    data = data_in(as_page(many))
    start = many.first_ts // US * US
    assert int(data["start"]) * US == start
    assert data["length"] == (many.last_ts - start) // US

    def us(ts):
        return ((np.asarray(ts) - start) // US).tolist()

    assert [one["name"] for one in data["symbols"]] == list(many.symbols)
    for s, one in enumerate(data["symbols"]):
        fills = many.fills.records[many.fills["symbol"] == s]
        shown = table(one["fills"])
        assert shown.pop("t") == us(fills["ts"])
        assert shown.pop("fee") == [int(fee) // 10_000 for fee in fills["fee"]]
        assert shown == {name: fills[name].tolist() for name in shown}
        marks = many.ledger.records[many.ledger["symbol"] == s]
        assert table(one["position"]) == {"t": us(marks["ts"]), "lots": marks["position"].tolist()}
        life = lives(many, many.symbols[s])
        order, begin, length, price, kind = table(one["ladder"]).values()
        mine = sorted(zip(life.order.tolist(), us(life.start), us(life.end), life.price.tolist(), strict=True))
        ends = [a + b for a, b in zip(begin, length, strict=True)]
        assert sorted(zip(order, begin, ends, price, strict=True)) == mine
        assert {abs(k) - 1 for k in kind} <= set(Role)
        rows = many.regimes.records[many.regimes["symbol"] == s]
        assert decoded(one["regimes"]["code"])[1:] == rows["to"].tolist()
        assert decoded(one["regimes"]["t"])[1:] == us(rows["ts"])
    marks = many.ledger.records[many.ledger["symbol"] == NONE]
    drawdown = table(data["portfolio"]["drawdown"])
    assert drawdown["t"] == us(marks["ts"])
    assert drawdown["peak"] == [int(peak) // 10_000 for peak in marks["peak"]]
    equity = decoded(data["portfolio"]["equity"]["value"])
    assert equity[0] == 10_000 * 10_000
    assert equity[1:-1] == [int(value) // 10_000 for value in marks["equity"]]
    assert equity[-1] == many.summary()["equity"] // 10_000
    told = {name: decoded(column) for name, column in data["plans"].items() if name not in ("levels", "left")}
    for name in ("event", "symbol", "plan", "regime", "mode", "center", "step", "levels_up", "reasons"):
        assert told[name] == many.plans[name].tolist()
    levels = table(data["plans"]["levels"])
    assert sum(levels["count"]) == len(many.levels)
    assert levels["price"] == many.levels["price"].tolist()


def test_no_extreme_is_hidden(real):
    """At every level: each stretch has the lowest and highest mid that there was in it, and what held at its beginning."""
    ts, bid, ask = quotes.changes(real.market, 0)
    start, end = real.first_ts // US * US, real.last_ts
    for count in (1, 3, 100, 5_000, 400_000):
        made = quotes.buckets_of(ts, bid + ask, bid + ask, start, end, count)
        assert made.width % US == 0
        assert made.first + len(made.low) == (end - start) // made.width + 1
        for k in np.linspace(0, len(made.low) - 1, 60).astype(int):
            begin, stop = start + (made.first + k) * made.width, start + (made.first + k + 1) * made.width
            inside = (bid + ask)[max(0, np.searchsorted(ts, begin, "left") - 1) : np.searchsorted(ts, stop, "left")]
            assert (made.low[k], made.high[k]) == (inside.min(), inside.max())
    assert (made.low.min(), made.high.max()) == ((bid + ask).min(), (bid + ask).max())


@pytest.mark.parametrize("seed", range(40))
def test_quotes_around_moments_fit_the_room_and_lack_none(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 2000))
    ts = np.sort(rng.integers(0, 50_000, n))
    moments = np.unique(rng.integers(ts[0], ts[-1] + 1, int(rng.integers(1, 30))))
    room = int(rng.integers(1, 1500))
    spans = quotes.spans_around(ts, moments, room, int(ts[0]), int(ts[-1]))
    rows = quotes._rows_in(ts, spans)
    assert len(rows) <= max(room, 0)
    for (_, last), (first, _) in pairwise(spans.tolist()):
        assert last < first
    kept = set(rows.tolist())
    for first, last in spans.tolist():
        assert set(np.flatnonzero((ts >= first) & (ts <= last)).tolist()) <= kept
    if len(spans):
        assert all(((spans[:, 0] <= t) & (t <= spans[:, 1])).any() for t in moments.tolist())


def test_quotes_that_are_kept_are_the_markets(real, monkeypatch):
    monkeypatch.setattr(quotes, "ROWS", 2_000)
    given = quotes.prices(real)[0]
    assert given["kept"] <= 2_000 < given["changes"]
    t, bid, spread = (decoded(given["quotes"][name]) for name in ("t", "bid", "spread"))
    ts, bids, asks = quotes.changes(real.market, 0)
    known = set(zip((ts - real.first_ts // US * US) // US, bids, asks - bids, strict=True))
    assert set(zip(t, bid, spread, strict=True)) <= known
    spans = decoded(given["spans"])
    for fill in real.fills["ts"]:
        at = (int(fill) - real.first_ts // US * US) // US
        assert any(a <= at <= b for a, b in zip(spans[::2], spans[1::2], strict=True)), "quotes around every fill"


def lines_of(told):
    """Row of a plan -> its lines, by the plainest code there is."""
    word, sizes = iter(decoded(told["line_word"])), decoded(told["line_words"])
    lines = [tuple(" ".join(told["words"][next(word)] for _ in range(size)).split(" \t ")) for size in sizes]
    place = iter(decoded(told["line"]))
    return {
        row: [lines[next(place)] for _ in range(n)] for row, n in zip(decoded(told["row"]), decoded(told["lines"]), strict=True)
    }


def test_plans_are_explained_as_explain_does(day):
    told = lines_of(data_in(as_page(day))["explained"])
    assert sorted(told) == list(range(len(day.plans)))
    seen = set()
    for row in (0, 17, 140, len(day.plans) - 1):
        one = day.explain(int(day.plans["ts"][row]))
        sections = dict(one.sections)
        for section, name, text, why in told[row]:
            line = next(line for line in sections[section] if line.name == name)
            assert (text, why) == (" ".join(line.text.split(" ")), line.why)
            seen.add(section)
    assert {"plan", "stress", "step", "center", "buys", "sells"} <= seen


def test_only_plans_in_force_longest_are_explained(day, monkeypatch):
    monkeypatch.setattr(plans, "EXPLAINED", 7)
    held = np.diff(np.append(day.plans["ts"], day.last_ts))
    rows = sorted(row for row, _ in plans.explained(day))
    assert len(rows) == 7
    assert held[rows].min() >= np.sort(held)[-7]


def test_what_has_no_room_is_left_out_and_counted(day, monkeypatch):
    monkeypatch.setattr(series, "LIVES", 100)
    monkeypatch.setattr(series, "FILLS", 50)
    monkeypatch.setattr(series, "MARKS", 60)
    one = series.of_symbol(day, 0)
    assert one["left"]["fills"] == len(day.fills) - one["fills"]["t"]["n"] > 0
    assert one["fills"]["t"]["n"] <= 50
    marks = day.ledger.records[day.ledger["symbol"] == 0]
    lots = decoded(one["position"]["lots"])
    assert one["left"]["marks"] == len(marks) - len(lots) > 0
    assert len(lots) <= 65
    assert (min(lots), max(lots), lots[-1]) == (marks["position"].min(), marks["position"].max(), marks["position"][-1])
    whole = series.of_portfolio(day)
    marks = day.ledger.records[day.ledger["symbol"] == NONE]
    assert len(decoded(whole["drawdown"]["t"])) <= 65
    assert max(decoded(whole["drawdown"]["drawdown"])) == marks["drawdown"].max() // 10_000
    equity = decoded(whole["equity"]["value"])
    assert (min(equity), max(equity)) == (marks["equity"].min() // 10_000, marks["equity"].max() // 10_000)
    assert one["ladder"]["order"]["n"] == 100
    assert one["left"]["ladder"] == len(lives(day).order) - 100
    assert decoded(one["fills"]["order"])[-1] == day.fills["order"][-1], "the last is among them"
    life = lives(day)
    longest = np.sort((life.end - life.start) // US)[-100:]
    assert abs(min(decoded(one["ladder"]["length"])) - int(longest[0])) <= 1
    monkeypatch.setattr(series, "LEVELS", 1_000)
    told = series.plan_columns(day)
    count = np.array(decoded(told["levels"]["count"]))
    assert 960 < count.sum() <= 1_000
    held = np.diff(np.append(day.plans["ts"], day.last_ts))
    whole = np.bincount(day.levels["plan"], minlength=len(day.plans))
    assert held[count > 0].min() >= np.sort(held[whole > 0])[-(count > 0).sum() - 1]
    assert set(count[count > 0] - whole[count > 0]) == {0}, "all levels of a plan, or none"
    assert decoded(told["levels"]["price"]) == day.levels["price"][np.isin(day.levels["plan"], np.flatnonzero(count))].tolist()
    monkeypatch.setattr(series, "PLANS", 10)
    told = series.plan_columns(day)
    assert told["left"] == len(day.plans) - told["t"]["n"] > 0
    first = decoded(told["plan"])[0]
    count = decoded(told["levels"]["count"])[0]
    expected = day.levels["price"][day.levels["plan"] == first].tolist()
    assert decoded(told["levels"]["price"])[:count] == expected


def test_a_saved_run(day, tmp_path):
    day.save(tmp_path / "day.grinder")
    loaded = gr.load(tmp_path / "day.grinder")
    data, whole = data_in(as_page(loaded)), data_in(as_page(day))
    assert "--fixture NAME" in data["notes"][0]
    assert whole["notes"] == []
    price = data["symbols"][0]["price"]
    assert (price["source"], price["kept"]) == ("extremes", 0)
    prices = loaded.prices
    low, height = decoded(price["low"]), decoded(price["height"])
    assert (min(low), max(a + b for a, b in zip(low, height, strict=True))) == (prices[:, 2].min(), prices[:, 3].max())
    assert all("a loaded run has records only" in lines[-1][3] for lines in lines_of(data["explained"]).values())
    given = data_in(as_page(loaded, "range_day_l1"))
    assert given | {"notes": []} == whole
    records = loaded.plans.records.copy()
    records["step"][7] += 1
    other = replace(loaded, tables=loaded.tables | {"plans": Table("plans", records)})
    told = lines_of(data_in(as_page(other, "range_day_l1"))["explained"])
    assert "another version of grinder made this run" in told[7][-1][3]
    assert len(told[6]) > 50, "those that a replay does come to are explained"
    with pytest.raises(gr.errors.ConfigError, match="is not what this run of range_day_l1 replayed"):
        loaded.report(tmp_path / "x.html", fixture="vol_shock_l1")
    assert not (tmp_path / "x.html").exists()


def test_a_run_of_more_than_memory_is_to_hold(monkeypatch):
    """It has no quotes at hand, and what it replayed: extremes of stretches of events, and plans explained in one pass."""
    whole = gr.replay("three_days_l1")
    monkeypatch.setattr("grinder.data.daily.HELD", 30_000)
    one = gr.replay("three_days_l1")
    assert one.market is None
    ways, slabs = [], daily._Reading.slabs
    monkeypatch.setattr(daily._Reading, "slabs", lambda reading: (ways.append(1), slabs(reading))[1])
    told = plans.interned(plans.explained(one))
    assert len(ways) == 1
    data = data_in(as_page(one))
    assert data["explained"] == told == plans.interned(plans.explained(whole))
    assert data["notes"] == ["Quotes of more than memory holds: the price is the lowest and highest mid of stretches of events."]
    low, height = (decoded(data["symbols"][0]["price"][name]) for name in ("low", "height"))
    assert len(low) > 50_000
    _, bid, ask = quotes.changes(whole.market, 0)
    assert (min(low), max(a + b for a, b in zip(low, height, strict=True))) == ((bid + ask).min(), (bid + ask).max())


def test_states_after_events_are_those_of_a_replay_until_then(many):
    events = [0, 1, 5_000, 5_001, 77_777, many.events - 1]
    states = worlds_after(many.source[0], many.config, events)
    for event in events:
        world, head = next(states), gr.replay(many.name, until=event + 1).world
        for name in ("run", "symbols", "plans", "inputs", "orders"):
            assert np.array_equal(getattr(world, name), getattr(head, name)), (event, name)
    assert next(states, None) is None
    assert list(worlds_after(many.source[0], many.config, [])) == []


def test_runs_of_any_kind_have_a_report(tmp_path):
    for seed in range(30):
        made = case(seed)
        one = gr.replay(made.fixture, made.config, until=len(made.fixture) // (1 + seed % 3))
        data = data_in(as_page(one))
        assert data["events"] == one.events
    empty = gr.replay("binance_btcusdt_6m", until=0)
    assert data_in(as_page(empty))["length"] == 0
    assert data_in(as_page(gr.replay("binance_btcusdt_6m", until=1)))["events"] == 1
    idle = gr.replay("range_day_l1", None, gr.policy(lambda view, params: None))
    page = as_page(idle)
    assert "Fills: 0" in page
    assert data_in(page)["plans"]["t"]["n"] == 0
    killed = as_page(gr.replay("kill_switch_l2"))
    assert "EMERGENCY" in killed


def test_nothing_is_injected(real):
    hostile = replace(real, name=HOSTILE, provenance={"policy": HOSTILE, HOSTILE: HOSTILE, "commit": HOSTILE})
    hostile.instruments = (real.instruments[0].model_copy(update={"quote": HOSTILE, "symbol": HOSTILE}),)
    page = as_page(hostile)
    page.encode("utf-8")
    tags = [tag for tag, _ in Reader(page).tags]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert data_in(page)["name"] == HOSTILE
    assert "alert(1)" in " ".join(Reader(page).words), "shown as what it is"


def test_errors_and_words(real, tmp_path, capsys):
    with pytest.raises(gr.errors.ConfigError, match="there is no folder"):
        real.report(tmp_path / "no" / "a.html")
    with pytest.raises(gr.errors.ConfigError, match="cannot be written"):
        real.report(tmp_path)
    real.save(tmp_path / "r.grinder")
    out, saved = str(tmp_path / "a.html"), str(tmp_path / "r.grinder")
    assert main(["report", "binance_btcusdt_6m", "--out", out]) == 0
    text = capsys.readouterr().out
    assert re.fullmatch(rf"{re.escape(out)}: binance_btcusdt_6m, 93,949 events, 0\.\d MB\n", text)
    assert (tmp_path / "a.html").read_bytes() == real.report(tmp_path / "b.html").read_bytes()
    assert main(["report", saved, "--fixture", "binance_btcusdt_6m", "--out", str(tmp_path / "c.html")]) == 0
    (tmp_path / "mine.py").write_text("import grinder as gr\n\n\ndef mine(view, params):\n    return gr.static(view, params)\n")
    words = ["report", "binance_btcusdt_6m", "--policy", f"{tmp_path / 'mine.py'}:mine", "--set", "levels=2"]
    assert main([*words, "--out", str(tmp_path / "d.html")]) == 0
    assert "policy mine (own)" not in (tmp_path / "d.html").read_text("utf-8")
    assert ">mine<" in (tmp_path / "d.html").read_text("utf-8")
    capsys.readouterr()
    for words, told in (
        ([saved, "--set", "levels=2"], "--set and --policy are for a fixture"),
        (["binance_btcusdt_6m", "--fixture", "x"], "--fixture is for a saved run"),
        (["nowhere"], "nowhere"),
    ):
        assert main(["report", *words, "--out", str(tmp_path / "e.html")]) > 1
        assert told in capsys.readouterr().err
    assert main(["report", "nowhere", "--out", str(tmp_path / "no" / "e.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err, "known before a replay that may be long"
    assert not (tmp_path / "e.html").exists()
    before = (tmp_path / "r.grinder").read_bytes()
    assert main(["report", saved, "--out", saved]) == 2
    assert "is the saved run itself" in capsys.readouterr().err
    assert (tmp_path / "r.grinder").read_bytes() == before


# In a browser


@pytest.fixture(scope="module")
def chrome():
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def pages(day, many, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return {"day": day.report(folder / "day.html"), "many": many.report(folder / "many.html")}


class Opened:
    """A page in a tab; `told` is all that its console said."""

    def __init__(self, chrome, path, **options):
        self.context = chrome.new_context(viewport={"width": 1300, "height": 900}, **options)
        self.tab, self.told, self.asked = self.context.new_page(), [], []
        self.tab.on("console", lambda message: self.told.append(message.text))
        self.tab.on("pageerror", lambda error: self.told.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.told.append(dialog.message))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_function("performance.getEntriesByName('grinder-drawn').length === 1")
        self.box = self.tab.locator("#canvas").bounding_box()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()
        if not any(error):
            assert self.told == []
            assert len(self.asked) == 1, "it fetched nothing"

    def settle(self):
        """Wait until what was asked for is drawn."""
        self.tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def shown(self):
        self.settle()
        return self.tab.evaluate("[grinderReport.view.from, grinderReport.view.to]")

    def move(self, share, down=0.25):
        self.tab.mouse.move(round(self.box["x"] + share * self.box["width"]), round(self.box["y"] + down * self.box["height"]))
        self.settle()

    def wheel(self, by, times=1):
        for _ in range(times):
            self.tab.mouse.wheel(0, by)
        self.settle()

    def key(self, *names):
        for name in names:
            self.tab.keyboard.press(name)
        self.settle()

    def readout(self):
        return self.tab.locator("#readout").inner_text()

    def colors(self):
        """How many colours the chart has, and how light it is on the whole."""
        from PIL import Image

        image = Image.open(io.BytesIO(self.tab.locator("#stage").screenshot())).convert("RGB")
        return len(image.getcolors(1 << 24)), float(np.asarray(image).mean())


def test_it_opens_and_zooms_to_a_quote(chrome, pages, day):
    with Opened(chrome, pages["day"]) as page:
        length = page.tab.evaluate("grinderReport.view.to")
        assert page.shown() == [0, (day.last_ts - day.first_ts) // US]
        assert page.colors()[0] > 50, "not blank"
        page.move(0.5)
        at = page.tab.evaluate("grinderReport.view.hover.t")
        page.wheel(-300, 12)
        begin, end = page.shown()
        assert end - begin < length / 1000
        assert begin < at < end, "what is under the pointer stays there"
        assert "every change of bid and ask" in page.tab.locator("#range").inner_text()
        page.wheel(300, 40)
        assert page.shown() == [0, length]
        page.wheel(-300, 4)
        begin, end = page.shown()
        page.tab.mouse.down()
        page.move(0.3)
        page.tab.mouse.up()
        after = page.shown()
        assert after[0] > begin
        assert after[1] - after[0] == pytest.approx(end - begin)
        page.tab.mouse.dblclick(page.box["x"] + 300, page.box["y"] + 100)
        assert page.shown() == [0, length]


def test_the_page_hides_no_extreme_at_any_zoom(chrome, pages, day):
    _, bid, ask = quotes.changes(day.market, 0)
    base = data_in(pages["day"].read_text("utf-8"))["symbols"][0]["price"]
    low = decoded(base["low"])
    high = [a + b for a, b in zip(low, decoded(base["height"]), strict=True)]
    assert (min(low), max(high)) == ((bid + ask).min(), (bid + ask).max())
    with Opened(chrome, pages["day"]) as page:
        levels = page.tab.evaluate(
            "grinderReport.symbolOf(0).price.levels.map((one) => ({...one, low: [...one.low], high: [...one.high]}))"
        )
        assert (levels[0]["first"], levels[0]["low"], levels[0]["high"]) == (base["first"], low, high)
        for below, level in pairwise(levels):
            assert level["width"] == 4 * below["width"]
            for name, extreme in (("low", min), ("high", max)):
                found = {}
                for i, value in enumerate(below[name]):
                    k = (below["first"] + i) // 4 - level["first"]
                    found[k] = extreme(found.get(k, value), value)
                assert level[name] == [found[k] for k in range(len(level[name]))]
        assert len(levels[-1]["low"]) <= 64
        for begin, end in ((0, 86_400e6), (30_000e6, 40_000e6), (50_000e6, 50_001e6)):
            told = page.tab.evaluate(f"grinderReport.extremesIn(grinderReport.symbolOf(0).price, {begin}, {end})")
            ts = day.market.ts - day.first_ts // US * US
            mids = (day.market.bid_px + day.market.ask_px)[(ts >= begin * US) & (ts <= end * US)]
            assert told[0] <= mids.min()
            assert told[1] >= mids.max()


def test_it_shows_what_was_so_and_why(chrome, pages, day):
    with Opened(chrome, pages["day"]) as page:
        page.move(0.6)
        at = page.tab.evaluate("grinderReport.view.hover.t")
        told = day.explain(int(day.first_ts // US * US + int(at) * US))
        text = page.readout()
        for name in ("plan.center", "plan.step", "plan.width_down", "plan.budget", "step.fee_floor", "stress.X", "buys.p_stress"):
            line = told[name]
            assert line.text in text, name
            assert line.why in text, name
        assert told["regime.regime"].text in text
        assert told["protection.position"].text in text
        assert f"{told['market.bid'].text.removesuffix(' USDT')}, {told['market.ask'].text}" in text
        assert told["market.mid"].text in text
        page.tab.mouse.down()
        page.tab.mouse.up()
        page.move(0.2)
        assert "pinned" in page.readout()
        assert told["plan.center"].text in page.readout()
        page.tab.locator("#canvas").focus()
        page.key("Escape")
        page.move(0.25)
        assert "pinned" not in page.readout()
        assert told["plan.center"].text not in page.readout()


def test_keys(chrome, pages, day):
    with Opened(chrome, pages["day"]) as page:
        page.tab.locator("#canvas").focus()
        length = page.shown()[1]
        page.key("+", "+", "+")
        begin, end = page.shown()
        assert end - begin == pytest.approx(0.7**3 * length)
        page.key("ArrowLeft")
        assert page.shown()[0] == pytest.approx(begin - 0.1 * (end - begin))
        page.key("ArrowRight", "-")
        assert page.shown()[1] - page.shown()[0] == pytest.approx(0.7**2 * length)
        page.key("0")
        assert page.shown() == [0, length]
        page.key("Home", "n")
        pinned = page.tab.evaluate("grinderReport.view.pinned")
        fills = (day.fills["ts"] - day.first_ts // US * US) // US
        assert pinned in fills
        page.key("n")
        assert page.tab.evaluate("grinderReport.view.pinned") == fills[fills > pinned][0]
        page.key("p")
        assert page.tab.evaluate("grinderReport.view.pinned") == pinned
        assert re.search(r"fill\s+(BUY|SELL) (entry|take-profit), maker", page.readout())


def test_symbols_tables_and_windows(chrome, pages, many):
    with Opened(chrome, pages["many"]) as page:
        for symbol in many.symbols:
            page.tab.select_option("#symbol", label=symbol)
            page.move(0.7)
            assert page.readout().startswith(f"{symbol} at ")
            assert page.colors()[0] > 50
        page.tab.locator("summary", has_text="Fills:").click()
        page.tab.locator("tr.at", has_text="SELL").last.click()
        page.settle()
        fill = many.fills.records[:200][many.fills["side"][:200] < 0][-1]
        assert page.tab.evaluate("grinderReport.view.s") == fill["symbol"]
        assert page.tab.evaluate("grinderReport.view.pinned") == (fill["ts"] - many.first_ts // US * US) // US
        page.tab.locator("summary", has_text="Digest by stage").click()
        page.tab.locator("#windows input").fill("3")
        shown = page.tab.locator("#windows").inner_text()
        assert "events 12,288 to 16,383" in shown
        for stage, links in many.digest.links.items():
            assert re.search(rf"{stage}\s+{links[48:64]}", shown)


def test_dark_narrow_and_touched(chrome, pages):
    with Opened(chrome, pages["day"]) as light, Opened(chrome, pages["day"], color_scheme="dark") as dark:
        assert light.colors()[1] > 200
        assert dark.colors()[1] < 90
        dark.tab.emulate_media(color_scheme="light")
        dark.settle()
        assert dark.colors()[1] > 200, "it follows a change"
    with Opened(chrome, pages["day"], has_touch=True) as page:
        page.tab.set_viewport_size({"width": 420, "height": 800})
        page.settle()
        assert page.colors()[0] > 50
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= 420
        page.box = page.tab.locator("#canvas").bounding_box()
        page.tab.touchscreen.tap(page.box["x"] + 200, page.box["y"] + 100)
        assert "pinned" in page.readout()
        begin, end = page.shown()
        fingers = page.context.new_cdp_session(page.tab)
        for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 90), ("touchEnd", None)):
            points = [page.box["x"] + 170 + side * apart for side in (-1, 1)] if apart else []
            touches = [{"x": x, "y": page.box["y"] + 100, "id": k} for k, x in enumerate(points)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        closer = page.shown()
        assert closer[1] - closer[0] == pytest.approx((end - begin) / 3, rel=0.02), "pinched"


def test_odd_runs_open_too(chrome, real, tmp_path):
    hostile = replace(real, name=HOSTILE, provenance={"policy": HOSTILE, HOSTILE: HOSTILE})
    hostile.instruments = (real.instruments[0].model_copy(update={"quote": HOSTILE, "symbol": HOSTILE}),)
    real.save(tmp_path / "r.grinder")
    odd = {
        "hostile": hostile,
        "empty": gr.replay("binance_btcusdt_6m", until=0),
        "one": gr.replay("binance_btcusdt_6m", until=1),
        "early": gr.replay("multisymbol_topk_l1", until=20_000),
        "idle": gr.replay("range_day_l1", None, gr.policy(lambda view, params: None), until=10_000),
        "killed": gr.replay("kill_switch_l2"),
        "saved": gr.load(tmp_path / "r.grinder"),
    }
    for name, one in odd.items():
        with Opened(chrome, one.report(tmp_path / f"{name}.html")) as page:
            page.move(0.5)
            page.wheel(-300, 8)
            page.tab.locator("#canvas").focus()
            page.key("n", "p", "Enter", "0")
            page.move(0.4)
            if one.events:
                assert " UTC" in page.readout(), name


def test_a_missing_browser_is_told_in_ci(monkeypatch):
    monkeypatch.setattr("tests.browsers.chromium", lambda: None)
    pytest.importorskip("playwright")
    for ci, outcome in (("true", pytest.fail.Exception), ("", pytest.skip.Exception)):
        monkeypatch.setenv("CI", ci)
        with pytest.raises(outcome, match="there is no chromium"), browser():
            pass
