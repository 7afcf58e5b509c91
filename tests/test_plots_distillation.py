"""Figures of the distillation study show what their tables hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rows_05_distillation as made
from drawing import drawable

from edgekit import schema
from edgekit.plots import style
from edgekit.plots.style import PlotError
from edgekit.studies.distillation import drawings as figures
from edgekit.studies.distillation import plan_chains as chains
from edgekit.studies.distillation import tables
from edgekit.studies.distillation.figures import FIGURES


@pytest.fixture(scope="module")
def frame():
    return made.frame()


def lines(fig, gid):
    return [line for ax in fig.axes for line in ax.get_lines() if line.get_gid() == gid]


def test_each_way_to_learn_has_its_look():
    assert set(style.LEARNINGS) == {schema.NONE, *chains.LEARNINGS}
    assert len({look[:1] for look in style.LEARNINGS.values()}) == len(style.LEARNINGS)


def test_recovery_shows_every_student_and_what_it_lost_alone(frame):
    fig, shown = figures.distillation_recovery(tables.learning_table(frame))
    assert [ax.get_title() for ax in fig.axes] == ["pocket-3m, 0.2/0.15 removed", "pocket-3m, 0.8/0.8 removed",
                                                   "pocket-900k, fresh weights"]
    assert sorted(line.get_xdata()[0] for line in lines(fig, "alone")) == pytest.approx(list(made.PRUNED.values()))
    labels = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert labels == ["pruned alone", "fine-tuning", "logits", "logits and texts", "teacher's texts"]
    assert len(shown) == 2 * len(made.LEFT) + len(made.FRESH)


def test_a_curve_a_learner_and_seed(frame):
    fig, shown = figures.distillation_curves(tables.training_table(frame))
    assert len(lines(fig, "curve")) == len(shown) / 3 == 2 * 4 * 3 + 2
    assert all(len(line.get_xdata()) == 3 and line.get_ydata()[0] > line.get_ydata()[-1] for line in lines(fig, "curve"))


def test_the_frontier_is_that_of_the_table_and_the_tenth_stands_at_ten(frame):
    table = tables.chain_table(frame)
    fig, shown = figures.distillation_frontier(table)
    drawn, = lines(fig, "frontier")
    best = tables.frontier(table[table.kl > 0])
    assert sorted(drawn.get_xdata()) == pytest.approx(sorted(best.smaller)) and lines(fig, "tenth")[0].get_xdata()[0] == 10
    assert "pruned 0.8/0.8, logits, Q4_0" in set(shown.stages) and np.isfinite(shown.smaller).all()


def test_the_order_shows_every_pair_with_its_ratio_and_the_line_at_one(frame):
    fig, shown = figures.distillation_order(tables.order_table(frame))
    left, right = fig.axes
    joined = [line.get_xdata() for line in lines(fig, "pair")]
    assert sorted(second / first for first, second in joined) == pytest.approx([made.ORDER] * 4)
    assert [label.get_text() for label in left.get_yticklabels()] == ["0.2/0.15, Q4_0", "0.2/0.15, Q8_0", "0.8/0.8, Q4_0",
                                                                      "0.8/0.8, Q8_0"]
    assert lines(fig, "equal")[0].get_xdata()[0] == 1 and left.get_xscale() == "log"
    drawn = {float(line.get_xdata()[0]) for line in left.get_lines() if line.get_marker() in ("s", "D")}
    assert sorted(drawn) == pytest.approx(sorted([*shown.kl_prune_first, *shown.kl_quantize_first]))
    ends = sorted(end for bars in right.collections for segment in bars.get_segments() for end in segment[:, 0])
    assert ends == pytest.approx(sorted([*shown.ratio_low, *shown.ratio_high]))
    assert (shown.kl_prune_first_low < shown.kl_prune_first).all() and (
        shown.kl_quantize_first < shown.kl_quantize_first_high).all()


def test_drawable_follows_the_rows(frame):
    assert drawable(FIGURES, frame) == [figure.name for figure in FIGURES]
    assert drawable(FIGURES, frame[frame.task != "training"]) == ["distillation_recovery", "distillation_order",
                                                                            "distillation_frontier"]
    assert "distillation_order" not in drawable(FIGURES, frame[frame.order == "prune first"])
    assert drawable(FIGURES, frame[:0]) == []


@pytest.mark.parametrize("draw", [figures.distillation_recovery, figures.distillation_curves, figures.distillation_order,
                                  figures.distillation_frontier])
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(PlotError, match="no lines to draw"):
        draw(pd.DataFrame())
