"""The card of a sweep: true, well-formed, harmless, and the same facts in a terminal and a notebook."""

from __future__ import annotations

import pytest

import grinder as gr
from tests.landscapes import UNIT, line, square, swept
from tests.test_cards import HOSTILE, parsed, words


@pytest.fixture(scope="module")
def found():
    data = gr.fixture("range_day_l1").head(40_000)
    config = gr.Config(policy="static", levels=5)
    return gr.sweep(
        data, {"step": ["5bp", "8bp", "12bp"], "quantity": ["0.01", "0.02", "0.0001"]}, config=config, objective="pnl.total"
    )


def test_card_of_a_sweep(found):
    html = found._repr_html_()
    text = words(parsed(html))
    best = found.best("pnl.total")
    money = found.accounts[0].money
    for part in (
        "Sweep on range_day_l1", "9 cells: 9 computed, 0 from the store, 3 failed", "step 3 5 to 12 bp",
        "quantity 3 0.0001 to 0.02",
        "pnl.total, USDT; more is better", best.digest[:12], f"{money(best.figures['dd_max'], 2)} USDT",
        "3 of 9 cells failed, and nothing is known of them. The first: NumberError",
    ):  # fmt: skip
        assert part in text, part
    assert found._repr_html_() == html, "the same sweep, the same bytes"


def test_text_and_html_say_the_same(found):
    card = found.card()
    text, shown = str(card), words(parsed(card._repr_html_()))
    for line_ in text.splitlines():
        for word in line_.strip(" -").replace("; 6 of 6", "  6 of 6").split("  "):
            assert word.strip().replace("-", "").lower() in shown.replace("-", "").lower(), word
    assert text.isascii()
    rows = [one for one in text.splitlines() if found.best("pnl.total").digest[:12] in one]
    assert rows[0].split()[0] == "1"


def test_best_few_stand_beside_their_neighbours():
    card = square([[UNIT * v for v in row] for row in ([1, 2, 3], [4, 90, 6], [7, 8, 9])]).card()
    first = card.facts.best[0]
    assert first[:5] == ("1", "2", "2", "90.00", "5.00 (4)")
    assert first[5:] == ("40", "90", "10.00 USDT", f"{4:064x}"[:12])
    assert len(card.facts.best) == 5
    assert dict(card.facts.spread) == {
        "worst": "1.00 USDT", "a quarter is worse": "3.00 USDT", "median": "6.00 USDT", "a quarter is better": "8.00 USDT",
        "best": "90.00 USDT",
    }  # fmt: skip
    assert card.facts.curve[-1] == 10**9
    assert list(card.facts.curve) == sorted(card.facts.curve)


def test_a_setting_is_told_by_how_far_it_moves_the_median():
    settings = {name: apart for name, _, _, apart in square([[1, 2, 3], [11, 12, 13]], metric="fills").card().facts.settings}
    assert settings == {"step": "2", "levels": "10"}


def test_other_figures(found):
    assert "fills; less is better" in str(found.card("fills", least=True))
    assert str(found.card("fills")) != str(found.card())
    with pytest.raises(gr.errors.ConfigError, match="no such figure"):
        found.card("luck")


def test_several_fixtures_are_averaged_and_their_worst_drawdown_is_told():
    cells = [({"levels": k}, {"total_return": 0.01 * k, "max_drawdown": 0.001 * k + 0.01 * f}) for k in (1, 2) for f in (0, 1)]
    card = swept(cells, metric="total_return", fixtures=("a", "b")).card()
    assert "Sweep on a, b" in str(card)
    assert "2 combinations of settings, each on 2 fixtures" in str(card)
    assert card.facts.best[0][-2:] == ("1.20 %", "2 digests")
    assert "total_return, %, mean of 2 fixtures" in str(card)


def test_what_came_from_the_store_is_told(tmp_path):
    data, grid = gr.fixture("range_day_l1").head(5_000), {"step": ["5bp", "8bp", "12bp"]}
    first = gr.sweep(data, {"step": grid["step"][:2]}, store=tmp_path)
    second = gr.sweep(data, grid, store=tmp_path)
    assert "2 cells: 2 computed, 0 from the store, 0 failed" in str(first.card())
    assert "3 cells: 1 computed, 2 from the store, 0 failed" in str(second.card())


def test_nothing_is_injected():
    hostile = swept([({"levels": 1}, HOSTILE), ({"levels": 2}, 3)], fixtures=(HOSTILE, HOSTILE))
    assert "<script>alert(1)</script>" in words(parsed(hostile._repr_html_()))


def test_cards_of_almost_nothing():
    for one in (line(["A: b"]), line([None, None]), line([0]), swept([({}, 5)]), line([5, 5, 5]), line(list(range(50)))):
        assert words(parsed(one._repr_html_()))
        assert str(one.card())


def test_page(tmp_path, found):
    page = found.to_html(tmp_path / "a.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert found._repr_html_() in page
