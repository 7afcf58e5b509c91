"""Figures of the distillation study show what their tables hold."""

from __future__ import annotations

import pandas as pd
import pytest
import rows_05_distillation as made
from drawing import drawable, edges

from edgekit import schema
from edgekit.catalog import published
from edgekit.plots import style
from edgekit.plots.style import PlotError
from edgekit.studies.distillation import drawings as figures
from edgekit.studies.distillation import plan_chains as chains
from edgekit.studies.distillation import tables
from edgekit.studies.distillation.figures import FIGURES

REMOVED = ("20 % of heads, 15 % of MLP", "80 % of heads, 80 % of MLP")
TITLES = [*(f"pocket-3m,\n{words} removed" for words in REMOVED), "pocket-900k,\nfresh weights"]


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
    assert [ax.get_title() for ax in fig.axes] == TITLES
    assert sorted(line.get_xdata()[0] for line in lines(fig, "alone")) == pytest.approx(list(made.PRUNED.values()))
    labels = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert labels == ["pruned alone", "fine-tuning", "logits", "logits and texts", "teacher's texts"]
    assert len(shown) == 2 * len(made.LEFT) + len(made.FRESH)
    seen = [line.get_xdata()[0] for ax in fig.axes for line in ax.lines
            if line.get_gid() != "alone" and line.get_marker() in {look[1] for look in style.LEARNINGS.values()}]
    assert sorted(seen) == pytest.approx(sorted(shown.kl))


def test_held_out_divergence_stands_against_the_last_training_loss(frame):
    fig, shown = figures.distillation_losses(tables.outcome_table(frame))
    assert [ax.get_title() for ax in fig.axes] == TITLES
    rows = frame[(frame.task == "training") & (frame.metric == "train_loss") & (frame.step == frame.step.max())]
    for ax, (pruning, lost) in zip(fig.axes, made.PRUNED.items(), strict=False):
        for learning, left in list(made.LEFT.items())[1:]:
            colour, marker, _ = style.LEARNINGS[learning]
            [seen] = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == marker and line.get_color() == colour]
            here = rows[(rows.learning == learning) & (rows.pruning == pruning)]
            assert list(seen) == pytest.approx([here.value.mean(), left * lost])
    assert len(shown) == 2 * (len(made.LEFT) - 1) + len(made.FRESH)
    repeated = shown[shown.pruning != schema.NONE]
    assert (repeated.train_loss_low < repeated.train_loss).all()
    assert shown[shown.pruning == schema.NONE].train_loss_low.isna().all(), "of one draw"


def test_the_frontier_is_that_of_accuracy_and_chains_of_all_steps_are_filled(frame):
    table = tables.chain_table(frame)
    fig, shown = figures.distillation_frontier(table)
    [ax] = fig.axes
    drawn, = lines(fig, "frontier")
    for x, y in zip(drawn.get_xdata(), drawn.get_ydata(), strict=True):
        assert y == pytest.approx(shown[shown.smaller >= x - 1e-9].retained.max()), "nothing as small keeps more"
    marks = [container[0] for container in ax.containers]
    assert sorted(line.get_ydata()[0] for line in marks) == pytest.approx(sorted(shown.retained)) and len(marks) == len(shown)
    filled = [line.get_ydata()[0] for line in marks if line.get_fillstyle() == "full"]
    assert sorted(filled) == pytest.approx(sorted(tables.all_three(table).retained)) and filled
    assert edges(ax, "x") == {published.accepted("S2.3", "chain_compression")[0]} == {9.5}
    assert edges(ax, "y") == {published.accepted("S2.3", "accuracy_retained_at_a_tenth")[0]} == {95.0}
    assert "pruned 0.8/0.8, logits, Q4_0" in set(shown.stages) and "whole" not in set(shown.stages)


def test_the_order_shows_every_ratio_with_its_interval_and_the_claims_band(frame):
    fig, shown = figures.distillation_order(tables.order_table(frame))
    ax = fig.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"{words} removed, {name}" for words in REMOVED for name in ("Q4_0", "Q8_0")]
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in marks] == pytest.approx(list(shown.ratio))
    assert list(shown.ratio) == pytest.approx([1 / made.ORDER] * 4)
    assert [line.get_fillstyle() for line in marks] == ["full", "none", "none", "none"], "the paper's shares in 4 bits"
    ends = sorted(end for bars in ax.collections for segment in bars.get_segments() for end in segment[:, 0])
    assert ends == pytest.approx(sorted([*shown.ratio_low, *shown.ratio_high]))
    assert edges(ax, "x") == {published.accepted("S1.8", "prune_first_over_quantize_first")[0]} == {1.0}
    assert figures._quantization("gptq(bits=4, group=32)") == "GPTQ 4 bits, groups of 32"


def test_drawable_follows_the_rows(frame):
    assert drawable(FIGURES, frame) == [figure.name for figure in FIGURES]
    assert drawable(FIGURES, frame[frame.task != "training"]) == ["distillation_recovery", "distillation_order",
                                                                            "distillation_frontier"]
    assert "distillation_order" not in drawable(FIGURES, frame[frame.order == "prune first"])
    assert drawable(FIGURES, frame[:0]) == []


@pytest.mark.parametrize("draw", [figures.distillation_recovery, figures.distillation_losses, figures.distillation_order,
                                  figures.distillation_frontier])
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(PlotError, match="no lines to draw"):
        draw(pd.DataFrame())
