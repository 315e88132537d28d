"""What notebooks show of runs, fixtures, plans and differences: true, whole, well-formed, harmless and the same every time."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import grinder as gr
from grinder.cards import spark
from grinder.cards.facts import facts_of
from grinder.cards.page import escaped, grouped, signed, write_page
from grinder.cards.plan import prices
from grinder.cards.text import as_text
from grinder.cli import main
from grinder.golden import write_digest
from tests.tapes import MIDNIGHT, case

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>&amp;\x00\ud800"

TAGS = set(
    "div style h3 p b small span code svg path polyline table caption thead tbody tr th td ul li i details summary br".split()
)


@pytest.fixture(scope="module")
def run():
    return gr.replay("binance_btcusdt_6m")


@pytest.fixture(scope="module")
def many():
    return gr.replay("multisymbol_topk_l1")


def parsed(html: str) -> ElementTree.Element:
    """A card as a tree: well-formed, all by itself, of elements that need nothing from elsewhere and do nothing."""
    tree = ElementTree.fromstring(html)
    assert tree.tag == "div"
    tags = {one.tag for one in tree.iter()}
    assert tags <= set(
        "div style h3 p b small span code svg path polyline table caption thead tbody tr th td ul li i details summary br".split()
    )
    for one in tree.iter():
        assert not [name for name in one.attrib if name.startswith("on") or name in ("href", "src", "style")]
    (style,) = tree.iter("style")
    assert not re.search(r"url\(|@import|expression|</", style.text)
    assert "prefers-color-scheme: dark" in style.text
    assert len(html.encode("utf-8")) < 40_000
    return tree


def words(tree: ElementTree.Element) -> str:
    """What a reader sees."""
    tree.remove(tree.find("style"))
    parts = [text for text in tree.itertext() if text]
    return re.sub(r"\s+", " ", " ".join(parts)).replace("\N{MINUS SIGN}", "-")


def test_card_of_a_run(run):
    html = run._repr_html_()
    text = words(parsed(html))
    for part in (
        *("binance_btcusdt_6m", "equal to its golden", run.digest.value, "93,949 events", "numba", "fill_model mid_touch"),
        *("2024-08-08 23:54:16 to 2024-08-09 00:00:01 UTC", "net PnL -1.1468 USDT -0.0114 % of equity", "maker_fee 2 bp"),
        *("max drawdown 3.6314 USDT of 199.9770 budget, 1.8 %", "cycles 12 12 open, 100.0 % won", "fills 36 24 buys, 12 sells"),
        *(
            "orders 80 45.0 % filled",
            "realised +0.0993 USDT",
            "unrealised -0.3577 USDT",
            "fees -0.8884 USDT",
            "funding 0.0000 USDT",
        ),
        *("spread captured -0.5420 USDT", "inventory +0.2836 USDT", "equity from 9,996.4714 to 10,000.1028 USDT"),
        "Cautions 7 of 36 fills depend on the fill model",
    ):
        assert part in text, part
    assert run._repr_html_() == html
    assert gr.replay("binance_btcusdt_6m")._repr_html_() == html, "the same run, the same bytes"


def test_both_splits_sum_to_the_net(many):
    facts = facts_of(many)
    assert sum(one.value for one in facts.ledger) == sum(one.value for one in facts.sources) == facts.net.value
    assert sum(ns for _, ns in facts.regimes) == 7 * (many.last_ts - many.first_ts)
    assert facts.equity[1][-1] - facts.initial == facts.net.value
    text = words(parsed(many._repr_html_()))
    assert "ETHUSDT +47.3195 519 257 100.0 % 0.425" in text
    assert "DOGEUSDT -1.5740 2 0 -124" in text
    assert "RANGE 68.1 %, 4 d 18:24:11" in text


def test_standing_to_the_golden(run, tmp_path):
    def says(one):
        return words(parsed(one._repr_html_()))

    text = says(gr.replay(run.name, gr.Config(step="3bp")))
    assert "not what its golden is of" in text
    assert "This run is of other settings (step)." in text
    assert "This run is of 1,000 of 93,949 events." in says(gr.replay(run.name, until=1000))

    @gr.policy(gates=False)
    def same(view, params):
        return gr.static(view, params)

    assert "equal to its golden" in says(gr.replay(run.name, None, same)), "what it did counts, not who decided"
    other = gr.replay(run.name, None, gr.policy(lambda view, params: None))
    assert "This run is of policy <lambda> of one's own." in says(other)
    assert "Golden" not in says(other)
    data = run.source[0]
    memory = gr.replay(data._replace(path=None))
    assert "The fixture was made in memory." in says(memory)
    run.save(tmp_path / "run")
    loaded = gr.load(tmp_path / "run")
    assert "equal to its golden" in says(loaded), "found by its name"
    loaded.name = "nowhere"
    assert "no golden" in says(loaded)
    folder = tmp_path / data.name
    folder.mkdir()
    few = gr.policy(lambda view, params: gr.static(view, params)._replace(levels_up=3), gates=False)
    golden = gr.replay(run.name, None, few)
    write_digest(folder / "digest.json", golden, "for a test")
    changed = gr.replay(data._replace(path=folder))
    text = says(changed)
    assert "NOT equal to its golden" in text
    assert f"Golden is {golden.digest.value}." in text
    assert "stage plans" in text
    (folder / "digest.json").write_text("{")
    assert "no readable golden" in says(changed)


def test_nothing_is_injected(run):
    hostile = replace(run, name=HOSTILE, provenance={"policy": HOSTILE, "commit": HOSTILE, HOSTILE: HOSTILE, "dirty": True})
    hostile.instruments = (run.instruments[0].model_copy(update={"quote": HOSTILE, "symbol": HOSTILE}),)
    text = words(parsed(hostile._repr_html_()))
    assert "<script>alert(1)</script>" in text, "shown as what it is"
    data = run.source[0]
    manifest = {"shows": HOSTILE, "source": {HOSTILE: HOSTILE}, "expect": {HOSTILE: [HOSTILE]}, "generator": {"a": HOSTILE}}
    bad = data._replace(name=HOSTILE, manifest=manifest, instruments=hostile.instruments, content=HOSTILE)
    assert "<script>alert(1)</script>" in words(parsed(bad._repr_html_()))
    found = gr.diff(run, run, labels=(HOSTILE, "b"))
    assert "<script>alert(1)</script>" in words(parsed(found._repr_html_()))
    assert escaped('\x00\ud800<"') == "��&lt;&quot;"


def test_runs_of_any_kind_have_a_card():
    for seed in range(60):
        made = case(seed)
        one = gr.replay(made.fixture, made.config, until=len(made.fixture) // (1 + seed % 3))
        parsed(one._repr_html_())
        parsed(made.fixture._repr_html_())
    empty = gr.replay("binance_btcusdt_6m", until=0)
    assert "No fill: no event was seen." in words(parsed(empty._repr_html_()))


def test_a_card_is_no_larger_however_long_the_run():
    assert len(gr.replay("range_day_l1")._repr_html_()) < 30_000
    names = [f"S{i:02d}" for i in range(30)]
    instruments = [gr.Instrument(symbol=name, kind="spot", tick_size="0.01", lot_size="0.01") for name in names]
    n = np.arange(30 * 400)
    mid = 10_000 + np.round(200 * np.sin(n / 37)).astype(np.int64)
    quotes = {
        "ts": MIDNIGHT + 10**9 * n,
        "symbol": n % 30,
        "bid_px": mid,
        "bid_qty": 1000 + 0 * n,
        "ask_px": mid + 2,
        "ask_qty": 900 + 0 * n,
    }
    data = gr.Fixture.from_arrays(instruments, quotes=quotes, name="thirty")
    text = words(parsed(data._repr_html_()))
    assert "S19" in text
    assert "and 10 more" in text
    one = gr.replay(data, gr.Config(quantity="1", step="20bp", levels=3))
    text = words(parsed(one._repr_html_()))
    assert "S11" in text
    assert "and 18 more: run.metrics().symbols" in text


def test_card_of_a_fixture(many):
    text = words(parsed(many.source[0]._repr_html_()))
    for part in (
        "multisymbol_topk_l1", "Seven perpetuals", "2024-01-08 00:00:00 to 2024-01-08 23:59:59 UTC", "166,667 events",
        "BTCUSDT perpetual 0.1 0.001 USDT 27,574 61,611.0 61,957.7", "rows: quotes 166,667", "Settings that are not defaults: 4",
        many.source[0].content,
    ):  # fmt: skip
        assert part in text, part
    real = words(parsed(gr.fixture("binance_btcusdt_6m")._repr_html_()))
    assert "quarantined: books.book_unlike_quotes 3" in real


def test_card_of_a_plan():
    seen = []

    @gr.policy
    def keep(view, params):
        seen.append(gr.static(view, params))
        return seen[-1]

    done = gr.replay("binance_btcusdt_6m", None, keep, until=10)
    plan, text = seen[0], words(parsed(seen[0]._repr_html_()))
    levels = done.levels.records
    down, up = prices(plan)
    assert (down, up) == tuple(levels["price"][levels["side"] == side].tolist() for side in (1, -1)), "the engine's own ladder"
    assert f"1 {down[0]:,} -2.0 bp 2 {up[0]:,} +2.0 bp 2" in text
    assert "RANGE, NORMAL" in text
    lopsided = plan._replace(levels_up=0, size_schedule_down=(5, 4), reasons=1 << 7, reduce_only=1, budget=7, adds_down=2)
    text = words(parsed(lopsided._repr_html_()))
    assert f"3 {down[2]:,} -6.0 bp 4" in text, "past the schedule the last quantity"
    assert "reasons: MAX_INVENTORY" in text
    assert "OFF, FULL, reduce only" in text
    assert "no level on either side" in words(parsed(plan._replace(center=0)._repr_html_())), "the engine would refuse it"


def test_card_of_a_difference(run):
    found = gr.diff(run, gr.replay(run.name, gr.Config(step="3bp")))
    text = words(parsed(found._repr_html_()))
    assert "a and b are NOT equal" in text
    assert f"first difference : event {found.first.event}, " in text
    assert f"{found.first.a_text} ({found.first.a:,} {found.first.unit})" in text


def test_numbers():
    texts = {
        "-9998.8531": "\N{MINUS SIGN}9,998.8531",
        "0": "0",
        "-0.0000": "0.0000",
        "1234567": "1,234,567",
        "-0.5": "\N{MINUS SIGN}0.5",
        "999.9": "999.9",
    }
    assert {text: grouped(text) for text in texts} == texts
    assert [signed(text) for text in ("0.00", "0.01", "-3", "1000")] == ["0.00", "+0.01", "\N{MINUS SIGN}3", "+1,000"]


@pytest.mark.parametrize("seed", range(50))
def test_a_line_shows_both_extremes(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 3000))
    ts = np.sort(rng.integers(0, 10_000, n))
    values = rng.integers(-(2**61), 2**61, n) if seed % 2 else rng.integers(0, 3, n)
    svg = ElementTree.fromstring(spark.line(ts, values, (int(ts[0]), int(ts[-1])), 90, "x"))
    points = [tuple(map(int, pair.split(","))) for pair in svg.find("polyline").attrib["points"].split(" ")]
    heights = [y for _, y in points]
    varies = values.min() < values.max()
    assert (min(heights), max(heights)) == ((0, 90) if varies else (45, 45))
    across = [x for x, _ in points]
    assert across == sorted(across)
    assert 0 <= across[0] <= across[-1] == 1000


def test_a_strip_shows_the_worst_of_a_column():
    svg = spark.strip([0, 500, 501, 600], [0, 7, 0, 5], (0, 1_000_000), 10, "x")
    assert 'class="c7"' in svg, "one instant of an emergency, in a column with other regimes"
    svg = spark.strip([0, 50], [0, 3], (0, 100), 10, "x")
    assert 'class="c0" d="M0 0H500V10H0z"' in svg
    assert 'class="c3" d="M500 0H1000V10H500z"' in svg


def test_bars():
    assert 'd="M0 0H500V6H0z"' in spark.bar(1, 2, 6, "x")
    assert 'd="M0 0H1000V6H0z"' in spark.bar(5, 2, 6, "x"), "over the budget it is full"
    assert 'class="used"' not in spark.bar(0, 2, 6, "x")
    assert 'class="loss" d="M250 1H500V11H250z"' in spark.diverging(-1, 2, 12, "x")
    assert 'class="gain" d="M500 1H1000V11H500z"' in spark.diverging(2, 2, 12, "x")


def test_card_in_a_terminal(run, many, capsys, tmp_path):
    text = as_text(many)
    for line in (
        "multisymbol_topk_l1: equal to its golden",
        "  net PnL       +0.2207 USDT  0.0022 % of equity",
        "  max drawdown  81.8929 USDT  of 200.0000 budget, 40.9 %",
        "  [############..................] 40.9 % of the drawdown budget",
        "  unrealised         -115.2948  inventory              +136.0388",
        "  net PnL              +0.2207  net PnL                  +0.2207",
        "  RANGE            68.1 %  4 d 18:24:11",
        "  LINKUSDT      -112.5747     49      23  100.0 %     81.73",
    ):
        assert line in text.splitlines(), line
    assert text.isascii()
    assert main(["replay", run.name, "--card", "--html", str(tmp_path / "card.html")]) == 0
    assert capsys.readouterr().out == as_text(run) + "\n"
    assert "  - 7 of 36 fills depend on the fill model" in as_text(run)
    assert max(map(len, as_text(run).splitlines())) <= 120
    assert run.digest.value in (tmp_path / "card.html").read_text("utf-8")
    assert run.to_html(tmp_path / "b.html").read_bytes() == (tmp_path / "card.html").read_bytes()


def test_page(tmp_path, run):
    page = write_page(tmp_path / "a.html", HOSTILE, run._repr_html_()).read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    with pytest.raises(gr.errors.ConfigError, match="there is no folder"):
        write_page(tmp_path / "no" / "a.html", "t", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
