"""Pictures of sweeps: each field shows its number, how it came about and what is missing; the profile shows every combination."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import grinder as gr
from grinder.cli import main
from grinder.errors import ConfigError
from grinder.plots.sweep import choose, save_png
from tests.landscapes import UNIT, line, square, swept
from tests.swings import swing

plt.switch_backend("Agg")


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def numbers(ax):
    """Numbers in fields, by column and row."""
    return {tuple(map(round, text.get_position())): text.get_text() for text in ax.texts if text.get_zorder() == 4}


def labelled(ax, name):
    return [patch for patch in ax.patches if patch.get_label() == name]


def words(ax):
    return " ".join([text.get_text() for text in ax.texts])


def legend(ax):
    found = [one for one in [*ax.figure.legends, ax.get_legend()] if one is not None]
    return [text.get_text() for one in found for text in one.get_texts()]


def test_a_field_for_each_pair():
    ax = square([[1 * UNIT, 2 * UNIT, 3 * UNIT], [4 * UNIT, 50 * UNIT, 6 * UNIT]]).plot.heatmap("step", "levels")
    assert numbers(ax) == {(0, 0): "1.0", (1, 0): "2.0", (2, 0): "3.0", (0, 1): "4.0", (1, 1): "50.0", (2, 1): "6.0"}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step, bp", "levels")
    mesh = ax.collections[0]
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).ravel(), [1, 2, 3, 4, 50, 6])
    assert {(round(box.get_x() + 0.46), round(box.get_y() + 0.46)) for box in labelled(ax, "best")} == {(1, 1)}
    assert legend(ax) == [], "nothing is missing"
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "pnl.total, USDT"


def test_lightness_alone_tells_the_order():
    """For eyes that see no colour, and for a printer without it."""
    ax = square([list(range(10))] * 2).plot.heatmap("step", "levels")
    red, green, blue, _ = ax.collections[0].cmap(np.linspace(0, 1, 64)).T
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert (np.diff(light) > 0).all()
    for text in (text for text in ax.texts if text.get_zorder() == 4):
        shade = ax.collections[0].to_rgba(float(text.get_text()))
        ground = 0.2126 * shade[0] + 0.7152 * shade[1] + 0.0722 * shade[2]
        assert (text.get_color() == "white") == (ground < 0.5) or 0.4 < ground < 0.6


def test_missing_failed_and_undefined_are_told_apart():
    cells = [({"step": f"{a}bp", "levels": b}, 10 * a + b) for a in (1, 2, 3) for b in (1, 2) if (a, b) != (3, 2)]
    cells[0] = (cells[0][0], "NumberError: no")
    cells[1] = (cells[1][0], None)
    ax = swept(cells, metric="sharpe").plot.heatmap("step", "levels")
    (failed,), (undefined,) = labelled(ax, "failed"), labelled(ax, "undefined")
    assert failed.get_hatch() != undefined.get_hatch()
    assert (failed.get_extents(), undefined.get_extents()) != (None, None)
    assert legend(ax) == ["failed: 1", "undefined: 1", "not tried: 1"]
    assert set(numbers(ax)) == {(1, 0), (1, 1), (2, 0)}
    assert np.ma.getmaskarray(ax.collections[0].get_array()).sum() == 3


def test_other_settings_are_combined_by_a_rule_that_the_heading_tells():
    cells = [({"step": f"{a}bp", "levels": b, "quantity": f"0.0{q}"}, UNIT * value)
             for a in (1, 2) for b in (1, 2) for q, value in ((1, 1), (2, 2), (3, 9))]  # fmt: skip
    found = swept([*cells[:-1], (cells[-1][0], "NumberError: no")])
    for rule, shown, less in (
        ("median", "2.00", "1.50"),
        ("mean", "4.00", "1.50"),
        ("max", "9.00", "2.00"),
        ("min", "1.00", "1.00"),
    ):
        ax = found.plot.heatmap("step", "levels", combine=rule)
        assert numbers(ax) == {(0, 0): shown, (1, 0): shown, (0, 1): shown, (1, 1): less}
        assert f"{rule} of up to 3 combinations a field over quantity" in words(ax)
        assert legend(ax) == ["failed in part (corner): 1"], "two of three are no median of three"
    with pytest.raises(ConfigError, match="there is no such rule; there are median, mean"):
        found.plot.heatmap("step", "levels", combine="luck")


def test_a_line_parts_gain_and_loss():
    ax = square([[-1, -1, 2], [-1, 3, 4]]).plot.heatmap("step", "levels")
    drawn = {tuple(map(tuple, stroke.get_xydata().tolist())) for stroke in ax.lines if stroke.get_label() == "zero"}
    assert drawn == {((1.5, -0.5), (1.5, 0.5)), ((0.5, 0.5), (0.5, 1.5)), ((0.5, 0.5), (1.5, 0.5))}
    assert not [stroke for stroke in square([[1, 2], [3, 4]]).plot.heatmap("step", "levels").lines if stroke.get_label() == "zero"]


def test_draws_are_put_together_in_stretches():
    cells = [({"step": f"{a}bp", "levels": 1 + a % 2}, a) for a in range(1, 51)]
    ax = swept(cells).plot.heatmap("step", "levels")
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[0] == "1\N{EN DASH}5"
    assert len(labels) == 10
    assert "median of up to" in words(ax)


def test_what_is_drawn_unless_told():
    steep = square([[1, 2, 3], [11, 12, 13]])
    assert choose(steep.landscape()) == ("step", "levels")
    three = swept([({"step": f"{a}bp", "levels": b, "quantity": f"0.0{q}"}, 100 * q + 10 * b + a)
                   for a in (1, 2) for b in (1, 2) for q in (1, 2)])  # fmt: skip
    assert choose(three.landscape()) == ("levels", "quantity"), "those that move the figure farthest, in the table's order"
    assert three.plot().get_xlabel() == "levels"
    assert line([1, 3, 2]).plot().get_xlabel() == "levels"
    with pytest.raises(ConfigError, match="nothing to draw it over"):
        line([1]).plot()


def test_given_axes_are_drawn_on():
    found = square([[1, 2], [3, "NumberError: no"]])
    own = plt.subplots()[1]
    assert found.heatmap("step", "levels", ax=own) is own
    assert legend(own) == ["failed: 1"]
    assert found.plot.profile("step", ax=plt.subplots()[1]).get_xlabel() == "step, bp"
    tiny = plt.figure(figsize=(9, 1)).subplots(1, 9)[3]
    assert found.heatmap("step", "levels", ax=tiny) is tiny
    tiny.figure.canvas.draw()


def test_mistakes_are_told():
    found = square([[1, 2], [3, 4]])
    for call, said in (
        (lambda: found.heatmap("step", "step"), "needs two settings"),
        (lambda: found.heatmap("step", "alpha"), "'alpha' does not vary in this sweep; step, levels does"),
        (lambda: found.heatmap("step", "levels", "luck"), "there is no such figure"),
        (lambda: found.plot.profile("alpha"), "'alpha' does not vary"),
    ):
        with pytest.raises(ConfigError, match=said):
            call()
    assert plt.get_fignums() == []


def test_a_profile_shows_every_combination():
    found = square([[1 * UNIT, 2 * UNIT, -3 * UNIT], [5 * UNIT, None, 9 * UNIT]])
    ax = found.plot.profile("step")
    drawn = {shape.get_label(): shape.get_xydata() for shape in ax.lines}
    assert sorted(map(tuple, drawn["combination"].tolist())) == [(0, 1), (0, 5), (1, 2), (2, -3), (2, 9)]
    np.testing.assert_array_equal(drawn["median"], [[0, 3], [1, 2], [2, 3]])
    np.testing.assert_array_equal(drawn["best"], [[2, 9]])
    assert "zero" in drawn
    assert "1 combinations failed or have no pnl.total" in words(ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3"]
    many = line([UNIT * (k % 5) for k in range(40)]).plot.profile("levels")
    middle = {shape.get_label(): shape for shape in many.lines}["median"]
    assert middle.get_xdata().tolist() == [2.5 + 4 * k for k in range(10)], "in the middle of ten stretches"


def test_pictures_of_almost_nothing():
    square([["A: b", None], [None, None]]).plot.heatmap("step", "levels").figure.canvas.draw()
    line(["A: b"] * 3).plot.profile("levels").figure.canvas.draw()
    square([[7]]).plot.heatmap("step", "levels").figure.canvas.draw()
    line([0, 0]).plot().figure.canvas.draw()


def test_png_is_a_function_of_the_sweep(tmp_path):
    found = square([[1, 2], [3, "NumberError: no"]])
    first = save_png(found, tmp_path / "a.png").read_bytes()
    with plt.rc_context({"figure.facecolor": "black", "font.size": 30}):
        assert save_png(found, tmp_path / "b.png").read_bytes() == first
    assert plt.get_fignums() == []
    with pytest.raises(ConfigError, match="cannot be written"):
        save_png(found, tmp_path / "no" / "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_command(tmp_path, monkeypatch, capsys):
    swing(tmp_path / "fixtures" / "swings")
    monkeypatch.chdir(tmp_path)
    words = ("sweep", "swings", "--grid", "step=20bp,30bp,40bp", "--grid", "levels=2,3", "--objective", "pnl.total")
    assert main((*words, "--plot", "a.png", "--html", "a.html", "--card")) == 0
    found = gr.sweep("swings", {"step": ["20bp", "30bp", "40bp"], "levels": [2, 3]}, objective="pnl.total")
    assert capsys.readouterr().out == f"{found.card()}\n"
    assert (tmp_path / "a.png").read_bytes() == save_png(found, tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.html").read_bytes() == found.to_html(tmp_path / "b.html").read_bytes()
    assert main((*words, "--plot", "no/a.png")) == 2
    out, err = capsys.readouterr()
    assert (out, "there is no folder no" in err) == ("", True), "told before the work"
    assert main((*words, "--html", "fixtures")) == 2
    out, err = capsys.readouterr()
    assert (out, "or this is one" in err) == ("", True), "told before the work"
    assert main(("sweep", "swings", "--plot", "c.png")) == 2
    out, err = capsys.readouterr()
    assert "Sweep of 1 cell" in out, "the table is not lost"
    assert "nothing to draw it over" in err
    assert not (tmp_path / "c.png").exists()
