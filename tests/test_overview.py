"""What the overview of a run shows: price, position and account over one time, and every regime behind the price."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import grinder as gr
from grinder.plot import save_png
from grinder.plots.overview import NAMED
from grinder.plots.regimes import spans_of
from grinder.records import Regime
from tests.tapes import case

plt.switch_backend("Agg")
DAY = 86_400 * 10**9


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def shock():
    return gr.replay("vol_shock_l1")


def labelled(ax):
    return {artist.get_label(): artist for artist in [*ax.lines, *ax.collections]}


def test_three_panels_over_one_time(shock):
    price, position, account = shock.plot().figure.axes
    assert price.get_xlim() == position.get_xlim() == account.get_xlim()
    assert {"mid", "buy entry fills", "resting sell entry"} <= set(labelled(price))
    marks = shock.ledger.records[shock.ledger["symbol"] == -1]
    drawn = labelled(account)
    assert {"equity", "peak", "drawdown", "floor of the budget"} <= set(drawn)
    assert drawn["equity"].get_ydata().min() == pytest.approx(marks["equity"].min() * 1e-8, rel=1e-12)
    assert drawn["equity"].get_ydata()[-1] == pytest.approx(shock.summary()["equity"] * 1e-8, rel=1e-12)
    last = shock.world.symbols[0]["position"] * float(shock.instruments[0].lot_size)
    assert labelled(position)["position"].get_ydata()[-1] == pytest.approx(last)


def test_every_regime_but_range_is_a_band(shock):
    ax = shock.plot()
    begin, end, codes = spans_of(shock, 0)
    bands = [one for one in ax.collections if one.get_zorder() == 1 and len(one.get_paths()) and one.get_alpha() == 0.22]
    drawn = sorted((box.x0, box.x1) for one in bands for box in (path.get_extents() for path in one.get_paths()))
    told = sorted((a / DAY, b / DAY) for a, b, code in zip(begin, end, codes, strict=True) if code != Regime.RANGE)
    np.testing.assert_allclose(drawn, told, rtol=1e-12)
    (legend,) = ax.figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert [regime.name for regime in Regime if regime.name in names] == [
        regime.name for regime in Regime if regime != Regime.RANGE and (codes == regime).any()
    ]


def test_wide_bands_are_named():
    run = gr.replay("trend_day_l1")
    ax = run.plot()
    begin, end, codes = spans_of(run, 0)
    wide = [code for a, b, code in zip(begin, end, codes, strict=True) if b - a >= NAMED * (run.last_ts - run.first_ts)]
    assert [text.get_text() for text in ax.texts if text.get_text() in Regime.__members__] == [
        Regime(code).name for code in wide if code != Regime.RANGE
    ]
    low, high = ax.get_ylim()
    assert low > 55_000, "a taker on its way rests at no price"
    assert high < 75_000


def test_a_policy_without_gates_has_no_bands():
    run = gr.replay("binance_btcusdt_6m")
    assert not [one for one in run.plot().collections if one.get_alpha() == 0.22]


def test_a_symbol_of_several():
    run = gr.replay("multisymbol_topk_l1")
    price = run.plot("AVAXUSDT")
    assert "35" in " ".join(label.get_text() for label in price.get_yticklabels())
    fills = run.fills.records[run.fills["symbol"] == run.symbols.index("AVAXUSDT")]
    drawn = labelled(price)
    names = [name for name in drawn if name.endswith("fills")]
    assert sum(len(drawn[name].get_xdata()) for name in names) == len(fills)
    with pytest.raises(gr.errors.ConfigError, match="no symbol 'X'"):
        run.plot("X")


def test_almost_nothing(tmp_path):
    runs = [gr.replay("binance_btcusdt_6m", until=n) for n in (0, 1, 50)]
    runs += [gr.replay(case(seed).fixture, case(seed).config) for seed in range(6)]
    for run in runs:
        run.plot(run.symbols[-1]).figure.canvas.draw()
        assert save_png(run, tmp_path / "a.png", run.symbols[-1]).stat().st_size > 10_000
