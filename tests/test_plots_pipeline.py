"""Figures of the pipeline's stages show what their tables hold."""

from __future__ import annotations

import numpy as np
import pytest
import rows_07_pipeline as made
from drawing import drawable, edges

from edgekit.analyze.once import remembering
from edgekit.catalog import published
from edgekit.plots import style
from edgekit.plots.style import PlotError
from edgekit.schema import TECHNIQUES
from edgekit.studies.pipeline import drawings, drawings_shares, tables, tables_first
from edgekit.studies.pipeline import tables_shares as shares
from edgekit.studies.pipeline.figures import FIGURES

OWN = ("pipeline_stages", "pipeline_shares", "pipeline_tradeoff", "pipeline_steps", "pipeline_costs", "pipeline_first_token")


@pytest.fixture(scope="module")
def frame():
    with remembering():
        yield made.frame(energy=True)


def draw(frame, name):
    [figure] = [one for one in FIGURES if one.name == name]
    return figure.drawn(frame)


def bars(ax) -> dict:
    return {patch.get_gid(): patch for patch in ax.patches if patch.get_gid()}


def test_each_technique_and_stage_has_its_look():
    assert set(style.TECHNIQUES) == {"none", *TECHNIQUES, shares.JOINED}
    for looks in zip(*style.TECHNIQUES.values(), strict=True):
        assert len(set(looks)) >= len(style.TECHNIQUES) - 1, "bars without a hatch are told apart by their greys"
    assert set(drawings.ADDS) == {tables.STATED, tables.FASTEST, *tables.STEPS.values()}


def test_bars_are_as_high_as_stages_are_fast_and_published_ones_are_crosses(frame):
    fig, shown = draw(frame, "pipeline_stages")
    [ax] = fig.axes
    assert {stage: patch.get_height() for stage, patch in bars(ax).items()} == pytest.approx(
        dict(zip(shown.stage, shown.tok_per_s, strict=True)))
    crosses = [line for line in ax.lines if line.get_gid() == "published"]
    assert len(crosses) == 4 and list(crosses[0].get_ydata()) == [11.2, 89.4]
    low, high = ax.get_ylim()
    assert low < 5.8 and shown.tok_per_s.max() < high


def test_shares_stand_one_behind_the_other_and_end_at_the_whole(frame):
    fig, shown = draw(frame, "pipeline_shares")
    for ax, of in zip(fig.axes[:2], (shares.SPEED, shares.LOSS), strict=True):
        here = shown[shown.of == of].set_index("technique")
        found = bars(ax)
        start = 1.0 if of == shares.SPEED else 0.0
        at = start
        for name in TECHNIQUES:
            assert found[name].get_x() == pytest.approx(at)
            at += found[name].get_width()
            if of == shares.SPEED:
                assert at / found[name].get_x() == pytest.approx(here.times[name])
        assert at == pytest.approx(start + found[shares.ALL].get_width())
    assert at == pytest.approx(here.share[shares.ALL])
    assert fig.axes[0].get_xscale() == "log" and "all 24 orders" in fig.axes[0].get_title(loc="left")
    assert "6 of 24 orders were measured" in fig.axes[1].get_title(loc="left")


def test_the_tradeoff_shows_each_stage_and_what_both_claims_accept(frame):
    fig, shown = draw(frame, "pipeline_tradeoff")
    ax = fig.axes[0]
    [path] = [line for line in ax.lines if line.get_gid() == "path"]
    assert np.transpose(path.get_data()) == pytest.approx(shown[["speed_up", "loss"]].to_numpy())
    assert edges(ax, "x") == {published.accepted("S1.1", "pipeline_gain")[0]} and edges(ax, "y") == {3.0}


def test_steps_and_products_stand_beside_what_their_claims_accept(frame):
    fig, _ = draw(frame, "pipeline_steps")
    left, right = fig.axes[:2]
    assert [label.get_text() for label in left.get_yticklabels()] == list(tables.STEPS.values())
    assert edges(left, "x") == {1.0} and edges(right, "x") == {0.9, 1.1}
    ratios = shares.product_table(frame).ratio
    seen = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o"]
    assert sorted(seen) == pytest.approx(sorted(ratios))
    assert sum(line.get_fillstyle() == "none" for line in right.lines if line.get_marker() == "o") == 1


def test_costs_have_a_panel_for_energy_only_where_it_was_measured(frame):
    fig, shown = draw(frame, "pipeline_costs")
    assert [ax.get_xlabel() for ax in fig.axes][-1] == "energy (J a token)"
    widths = {stage: patch.get_width() for stage, patch in bars(fig.axes[1]).items()}
    assert widths == pytest.approx(dict(zip(shown.stage, 1e3 * shown.tpot_s, strict=True)))
    fig, _ = drawings.pipeline_costs(tables.stage_table(frame[frame.task != "energy"]))
    assert [ax.get_xlabel() for ax in fig.axes] == ["first token (ms)", "each later token (ms)", "peak memory (GB)"]


def test_first_tokens_stand_in_milliseconds_below_the_bound(frame):
    fig, shown = draw(frame, "pipeline_first_token")
    [ax] = fig.axes
    seen = [line.get_xdata()[0] for line in ax.lines if line.get_marker() in "^P"]
    assert sorted(seen) == pytest.approx(sorted(1e3 * shown.ttft_s)) and edges(ax, "x") == {100.0}


def test_figures_need_their_rows_and_one_repeat_has_no_intervals(frame):
    one = made.frame(repeats=1, items=20, packed=False)
    assert set(OWN) <= set(drawable(FIGURES, one))
    for name in OWN:
        assert draw(one, name) is not None
    assert not set(OWN) & set(drawable(FIGURES, frame[frame.task == "divergence"]))
    with pytest.raises(PlotError, match="no lines to draw"):
        drawings_shares.pipeline_shares(shares.share_table(frame).iloc[:0])
    with pytest.raises(PlotError, match="no lines to draw"):
        drawings.pipeline_first_token(tables_first.first_token_table(frame).iloc[:0])
