"""Each doubt by a sweep that deserves it, and by one that nearly does."""

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import NormalDist

import pytest

from grinder.doubts import expected_best, height
from tests.landscapes import DONE, UNIT, line, square, swept

ROOT = Path(__file__).resolve().parents[1]
HILL = [[1, 2, 3, 2, 1], [2, 5, 6, 5, 2], [3, 6, 9, 6, 3], [2, 5, 6, 5, 2], [1, 2, 3, 2, 1]]
TWO = [("ABC", "DEF")]


def said(found, *where):
    return {doubt.code: doubt.text for doubt in found.doubts(*where)}


def test_a_hill_of_many_days_and_symbols_is_not_doubted():
    found = square(HILL, symbols=TWO)
    assert set(said(found)) == {"MANY_TRIES"}, "that there is luck is always so"


def test_failed_cells():
    assert said(line([1, "NumberError: no", 3, "DataError: b"]))["FAILED_CELLS"] == (
        "2 of 4 cells failed, and nothing is known of them. The first: NumberError: no"
    )
    assert "FAILED_CELLS" not in said(line([1, 2]))


def test_no_figure():
    assert said(line([None, None], metric="sharpe"))["NO_FIGURE"].startswith("No cell has sharpe")
    assert said(line([None, 0.5], metric="sharpe"))["NO_FIGURE"].startswith("1 of 2 combinations have no sharpe")
    assert "NO_FIGURE" not in said(line([0.1, 0.5], metric="sharpe"))


def test_all_lose():
    assert "ALL_LOSE" in said(line([-3, 0, -1]))
    assert "ALL_LOSE" not in said(line([-3, 1, -1]))
    assert "ALL_LOSE" not in said(line([-3, -2], metric="markout_bps.30")), "no figure of gain"


def test_cells_without_fills():
    idle = {"pnl.total": 0, "fills": 0}
    text = said(line([idle, -5, -7]))["NO_FILLS_CELLS"]
    assert text == "1 of 3 cells filled nothing: they earn 0 without any risk. The best is one of them."
    assert said(line([idle, 5, -7]))["NO_FILLS_CELLS"].endswith("without any risk.")
    assert "NO_FILLS_CELLS" not in said(line([{"pnl.total": 0, "fills": 1}, 5]))


@pytest.mark.parametrize("figures", [{"dd_max": 200 * UNIT + 1}, {"time_in_regime_seconds.EMERGENCY": 0.5}])
def test_cells_over_their_budget(figures):
    text = said(line([{"pnl.total": 9, **figures}, 5]))["OVER_BUDGET_CELLS"]
    assert text.startswith("1 of 2 cells went over their drawdown budget")
    assert text.endswith("The best is one of them.")
    assert not said(line([{"pnl.total": 1, **figures}, 5]))["OVER_BUDGET_CELLS"].endswith("one of them.")
    assert "OVER_BUDGET_CELLS" not in said(line([{"pnl.total": 9, "dd_max": DONE["dd_budget"]}, 5]))
    assert "OVER_BUDGET_CELLS" not in said(line([{"pnl.total": 9, "dd_max": 5, "dd_budget": 0}, 5])), "no budget"


def test_at_the_border():
    assert said(line([1, 2, 3, 4, 5]))["AT_BORDER"].startswith(
        "The best is at the border of what was tried (levels at its highest, 5)"
    )
    assert "levels at its lowest, 1" in said(line([9, 2, 3, 4, 5]))["AT_BORDER"]
    assert "AT_BORDER" not in said(line([1, 2, 9, 4, 5]))
    assert "AT_BORDER" not in said(line([1, 2, 3, 5, 5])), "a plateau that reaches inside"
    assert "AT_BORDER" not in said(line([1, 2, 3, 4])), "too few"
    slope = said(square([[1, 2, 3], [2, 8, 9], [1, 2, 3]]))["AT_BORDER"]
    assert "step at its highest, 3 bp" in slope
    assert "levels" not in slope
    pair = [
        ({"policy": name, "levels": k}, k * (name == "smart") - (k - 3) ** 2)
        for name in ("static", "smart")
        for k in (1, 2, 3, 4, 5)
    ]
    assert "AT_BORDER" not in said(swept(pair)), "a choice of words has no border"


def test_an_isolated_peak():
    lone = [[0, 1, 0, 1, 0], [1, 0, 1, 0, 1], [0, 1, 9, 1, 0], [1, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    text = said(square([[UNIT * value for value in row] for row in lone]))["ISOLATED_PEAK"]
    assert "9.000 USDT, the median of its 4 neighbours 1.000 USDT, of the rest 0.000 USDT" in text
    assert "ISOLATED_PEAK" not in said(square(HILL))
    assert "ISOLATED_PEAK" not in said(line([-4, -1, 0, -1, -4])), "a parabola keeps three quarters"
    half = [0, 0, 5, 10, 5, 0, 0]
    assert "ISOLATED_PEAK" not in said(line(half)), "just half is kept"
    assert "ISOLATED_PEAK" in said(line([0, 0, 4, 10, 5, 0, 0]))
    assert "ISOLATED_PEAK" in said(line([-x for x in (0, 0, 4, 10, 5, 0, 0)], metric="dd_max", least=True))


def test_many_tries():
    text = said(line([1, 2, 3, 4, 9]))["MANY_TRIES"]
    values = [1, 2, 3, 4, 9]
    mean = sum(values) / 5
    over = (9 - mean) / math.sqrt(sum((v - mean) ** 2 for v in values) / 4)
    assert f"expected {expected_best(5):.1f} standard deviations over their mean; this one is {over:.1f} over." in text
    assert "5 different results on 25 UTC days" in text
    assert said(line([1, 2, 3, 4, 5]))["MANY_TRIES"].endswith("no more than luck.") == (
        height(line([1, 2, 3, 4, 5]).landscape()) <= expected_best(5)
    )
    assert not said(line([*[1 + k / 100 for k in range(20)], 9.0], metric="sharpe"))["MANY_TRIES"].endswith("luck.")
    assert "MANY_TRIES" not in said(line([1, 1, 2, 2, 3, 3, 4])), "equal results are one try"
    assert "MANY_TRIES" not in said(line([5] * 9))


def test_the_best_of_many_draws():
    """Blom's formula against the integral that it stands for."""
    normal = NormalDist()
    for tries in (2, 5, 24, 100, 1000):
        steps = 20_000
        exact = sum(normal.inv_cdf(((k + 0.5) / steps) ** (1 / tries)) for k in range(steps)) / steps
        assert expected_best(tries) == pytest.approx(exact, abs=0.03)
    assert expected_best(1) == 0


def test_one_market():
    assert said(line([{"pnl.total": 1, "days": 1}, 2]))["ONE_MARKET"].startswith(
        "1 symbol, 25 UTC days, and every cell saw all of it"
    )
    assert said(line([{"pnl.total": 1, "days": 19}] * 2, symbols=TWO))["ONE_MARKET"].startswith("2 symbols, 19 UTC days")
    assert "ONE_MARKET" not in said(line([1, 2], symbols=TWO))
    both = swept([({"levels": 1}, {"days": 1}), ({"levels": 1}, {"days": 2})], fixtures=("a", "b"), symbols=(("A",), ("B",)))
    assert said(both)["ONE_MARKET"].startswith("2 symbols, 3 UTC days")


def test_few_cycles():
    assert said(line([{"pnl.total": 9, "cycles_completed_total": 29}, 2]))["FEW_CYCLES_BEST"].startswith(
        "The best completed 29 cycles"
    )
    assert "FEW_CYCLES_BEST" not in said(line([{"pnl.total": 9, "cycles_completed_total": 30}, 2]))
    assert "FEW_CYCLES_BEST" not in said(line([{"pnl.total": 1, "cycles_completed_total": 2}, 2])), "of the best"


def test_a_setting_that_changes_nothing():
    assert said(square([[1, 2, 3], [1, 2, 3]]))["NO_EFFECT"].startswith("levels changed nothing")
    assert "NO_EFFECT" not in said(square([[1, 2, 3], [1, 2, 4]]))
    assert "NO_EFFECT" not in said(line([1])), "one value is no comparison"


def test_nothing_is_said_of_cells_that_all_failed():
    assert set(said(line(["A: b"] * 6))) == {"FAILED_CELLS", "ONE_MARKET"}


def test_every_doubt_is_explained():
    source = (ROOT / "src" / "grinder" / "doubts.py").read_text("utf-8")
    page = (ROOT / "docs" / "NOTEBOOK.md").read_text("utf-8")
    codes = set(re.findall(r'^        \("([A-Z_]+)", _', source, re.MULTILINE))
    assert len(codes) == 11
    assert codes == set(re.findall(r"^\| sweep: `([A-Z_]+)` \|", page, re.MULTILINE))
