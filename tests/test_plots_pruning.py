"""The figures of the pruning study show what its tables hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rows_04_pruning as made
from drawing import drawable, drawn_from, edges

from edgekit import plots
from edgekit.catalog import published
from edgekit.plots import style
from edgekit.plots.figure import Missing, named
from edgekit.studies.pruning import drawings as figures
from edgekit.studies.pruning import tables as pruning
from edgekit.studies.pruning import tables_savings as pruning_savings
from edgekit.studies.pruning.figures import FIGURES

FRAME = made.frame()


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(FIGURES, FRAME)


def marks(ax, score):
    colour, marker = style.SCORES[score]
    return [point for line in ax.lines if line.get_marker() == marker and line.get_color() == colour
            for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def lines(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_scores_are_told_apart_in_grey():
    assert set(figures.LABELS) == set(style.SCORES) == set(pruning.SCORES)
    assert len({marker for _, marker in style.SCORES.values()}) == len(style.SCORES)


def test_every_way_at_the_point_stands_at_what_it_adds(drawn):
    fig, table = drawn["pruning_methods"]
    names = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert names[:3] == ["Taylor", "Taylor, 4 rounds", "Taylor, all layers together"] and names[-1] == "random"
    for ax in (fig.axes[1], fig.axes[3]):
        assert [x for x, _ in marks(ax, "random")] == pytest.approx([0.6])
        assert sorted(x for x, _ in marks(ax, "taylor")) == pytest.approx([0.08, 0.09, 0.10])
    changes = table[table.model == "pocket-10m"].set_index("what")
    assert [x for x, _ in marks(fig.axes[2], "random")] == pytest.approx([-100 * changes.change["random"]])
    assert (table.lost_low <= table.lost).all() and (table.lost <= table.lost_high).all() and len(table) == 2 * 9
    for ax in (fig.axes[0], fig.axes[2]):
        assert edges(ax, "x") == {published.accepted("S1.7", "pruned_accuracy_lost")[1]} == {1.0}


def test_the_sweep_writes_its_numbers_and_frames_the_point(drawn):
    fig, _ = drawn["pruning_sweep"]
    ax = fig.axes[0]
    cells = {(round(text.get_position()[1] - 0.5), round(text.get_position()[0] - 0.5)): text.get_text() for text in ax.texts}
    for y, heads in enumerate(made.SWEEP[0]):
        for x, mlp in enumerate(made.SWEEP[1]):
            assert cells[y, x] == f"{made.swept(heads, mlp):.2g}"
    [frame] = [patch for patch in ax.patches if patch.get_gid() == "point"]
    assert (frame.get_x(), frame.get_y()) == (1, 1)


def test_the_clock_stands_beside_the_arithmetic_and_the_published_share(drawn):
    fig, table = drawn["pruning_saving"]
    saved = pruning_savings.saving_table(FRAME)
    ax = fig.axes[-1]
    here = saved[saved.model == "shape:a-0.5b"]
    assert [bar.get_width() for bar in ax.patches[:len(here)]] == pytest.approx(list(here.clock))
    assert [line.get_xdata()[0] for line in lines(ax, "arithmetic")] == pytest.approx(list(here.arithmetic))
    assert [line.get_xdata()[0] for line in lines(ax, "published")] == [0.3]
    assert edges(ax, "x") == {0.01 * published.accepted("S1.6", "pruned_time_saved")[0]} == {0.295}
    assert set(table.source) == {"measured", "published"} and len(table) == len(saved) + 1


def test_rankings_and_layers_are_those_of_the_rows(drawn):
    ranking, layers = drawn["pruning_ranking"][0].axes[0], drawn["pruning_layers"][0].axes[0]
    assert [y for _, y in marks(ranking, "gate")] == pytest.approx([made.correlation(n, 1) for n in (1, 4, 16)])
    for score, shares in made.KEPT.items():
        assert [y for _, y in marks(layers, score)] == pytest.approx(list(shares))
    assert ranking.get_ylim()[1] < 1.2, "no interval of a correlation passes one"
    [mean] = lines(layers, "uniform")
    assert mean.get_ydata()[0] == pytest.approx(np.mean(list(made.KEPT.values())))


def test_whole_layers_stand_beside_widths_at_the_share_of_weights_that_went(drawn):
    table = drawn["pruning_units"][1]
    for score, more in made.LAYERS_ADDED.items():
        lines_of = table[(table.model == "pocket-10m") & (table.unit == "layers") & (table.score == score)]
        assert list(lines_of.added) == pytest.approx([more * share for share in made.LAYER_SHARES])
        assert list(lines_of.removed) == pytest.approx(
            [1 - made.shortened("pocket-10m", share) / made.parameters("pocket-10m", False) for share in made.LAYER_SHARES])
    widths = table[(table.unit == "widths") & (table.score == "taylor")]
    assert len(widths) and (widths.removed > 0).all() and (widths.removed < 0.5).all()
    assert not set(pruning.loss_table(FRAME).score) & {"influence", "last"}, "other tables are of widths alone"


def test_rows_decide_which_figures_there_are(tmp_path):
    plain = made.frame(seeds=(0,), repeats=1, ablated=False, swept_models=())
    assert drawable(FIGURES, FRAME) == [figure.name for figure in FIGURES]
    assert drawable(FIGURES, plain) == ["pruning_methods", "pruning_saving", "pruning_ranking"]
    assert isinstance(named(FIGURES, "pruning_layers").show(plain, tmp_path), Missing)
    for name in drawable(FIGURES, plain):
        assert named(FIGURES, name).show(plain, tmp_path).path.stat().st_size > 5000, "one seed and one repeat: no intervals"


def test_the_same_rows_give_the_same_bytes_in_any_order(tmp_path):
    shuffled = FRAME.sample(frac=1, random_state=3)
    for figure in FIGURES:
        # a figure is laid out anew at each save
        for folder, (fig, table) in (("a", figure.drawn(FRAME)), ("b", figure.drawn(shuffled))):
            plots.save(fig, figure.name, table, tmp_path / folder, figure.caption)
        first, second = ((tmp_path / folder / f"{figure.name}.svg").read_bytes() for folder in "ab")
        assert first == second, figure.name


@pytest.mark.parametrize("draw", [
    figures.pruning_methods, lambda empty: figures.pruning_sweep(empty, (0.2, 0.15)),
    lambda empty: figures.pruning_saving(empty, empty), figures.pruning_ranking, figures.pruning_layers])
def test_a_table_without_lines_is_refused(draw):
    with pytest.raises(style.PlotError, match="no lines"):
        draw(pd.DataFrame())
