"""The figures of the frontier study show what its tables hold."""

from __future__ import annotations

import numpy as np
import pytest
import rows_09_frontier as made
from drawing import drawable, drawn_from, edges

from edgekit import store
from edgekit.catalog import published
from edgekit.plots import accuracy, style
from edgekit.studies.frontier import drawings, tables, tables_choices, tables_votes
from edgekit.studies.frontier.figures import FIGURES

FRAME = store.to_frame(made.rows())


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(FIGURES, FRAME)


def marks(ax, gid=None, marker=None):
    """The points of the lines with that mark, in a panel."""
    lines = [line for line in ax.lines if gid in (None, line.get_gid()) and marker in (None, line.get_marker())]
    return {(float(x), float(y)) for line in lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}


def test_every_figure_is_drawn_and_none_of_nothing(drawn):
    assert set(drawn) == {figure.name for figure in FIGURES}
    assert drawable(FIGURES, store.to_frame([])) == []
    for fig, table in drawn.values():
        assert len(table) and fig.get_size_inches()[1] < 8


def test_the_frontier_marks_every_configuration_and_says_how_surely_one_is_on_it(drawn):
    fig, table = drawn["frontier"]
    assert [ax.get_title() for ax in fig.axes] == ["pocket_chain, Q4_0", "pocket_chain, float16"]
    for ax, dtype in zip(fig.axes, ("Q4_0", "float16"), strict=True):
        part = table[table["dtype"] == dtype]
        assert {(one.time_s, 100 * one.accuracy) for one in part.itertuples()} <= marks(ax)
        said = [text.get_text() for text in ax.texts]
        assert said == [f"{one.pareto_share:.0%}" for one in part[part.pareto].itertuples()]
    steps = next(line for line in fig.axes[1].lines if line.get_drawstyle() == "steps-post")
    best = table[table.pareto].sort_values("time_s")
    assert list(steps.get_xdata()) == list(best.time_s), "the frontier over all types of weights"


def test_budgets_are_drawn_with_what_the_claim_accepts_and_the_published_ratios(drawn):
    fig, table = drawn["frontier_budgets"]
    left, right = fig.axes
    full = tables.frontier_table(FRAME)
    full = full[(full["dtype"] == "Q4_0") & ~full["mode"].str.startswith("vote")]
    assert {(one.tokens, 100 * one.accuracy) for one in full.itertuples()} <= marks(left)
    theirs = tables_votes.published("budgets")
    ratio = theirs.tokens / theirs.label.map(theirs[theirs["mode"] == "think"].set_index("label").tokens)
    assert {x for x, _ in marks(right, gid="published")} == set(ratio[theirs["mode"] != "think"])
    assert edges(right, "x") == {published.accepted("S3.5", "prompt_budget_tokens")[1]}
    assert {30 / 80, 20 / 80} <= {x for x, _ in marks(right)} and set(table.source) == {"modelled", "measured", "published"}


def test_sizes_are_drawn_against_zero(drawn):
    fig, table = drawn["frontier_sizes"]
    [ax] = fig.axes
    assert {round(y) for _, y in marks(ax, marker="o")} == {5, -20, -35} and edges(ax, "y") == {0.0}
    assert len(table) == 6


def test_choices_show_size_and_way_to_reason_of_each_limit(drawn):
    fig, table = drawn["frontier_choices"]
    [ax] = fig.axes
    expected = tables_choices.choices_table(FRAME)
    assert {(one.limit_s, one.parameters / 1e6) for one in expected.itertuples()} <= marks(ax)
    assert [text.get_text().partition("\n")[0] for text in ax.texts] == list(expected["mode"]) and len(table) == len(expected)


def test_votes_are_drawn_beside_what_was_published(drawn):
    fig, _ = drawn["frontier_votes"]
    left, right = fig.axes
    expected = tables_votes.votes_table(FRAME)
    colour, marker = accuracy.looks(["pocket-900k"])["pocket-900k"]
    assert {(one.samples, 100 * one.accuracy) for one in expected.itertuples()} == marks(left, marker=marker)
    assert {(float(one.samples), 100 * one.any) for one in expected.itertuples()} == marks(left, gid="any")
    assert sorted(y for _, y in marks(left, gid="published")) == pytest.approx([40.6, 42.2, 48.0, 52.0])
    assert edges(right, "y") == {published.accepted("S3.6", "vote_time_ratio")[1]}
    timed = expected.dropna(subset=["time_ratio"])
    assert {(one.samples, one.time_ratio) for one in timed.itertuples()} == marks(right, marker=marker)
    assert len(marks(right, gid="published")) == 16, "18 ratios, of which three are one"
    assert any(text.get_text() == style.model_label("pocket-900k") for text in fig.legends[0].get_texts()) and colour


def test_parallel_samples_are_drawn_with_both_shares(drawn):
    fig, _ = drawn["frontier_parallel"]
    left, right = fig.axes
    expected = tables_votes.parallel_table(FRAME)
    for model in made.SIZES:
        part = expected[expected.model == model]
        assert {(one.batch, one.speed_up) for one in part.itertuples()} <= marks(left)
        for share in ("bandwidth_utilisation", "compute_utilisation"):
            assert {(one.batch, 100 * getattr(one, share)) for one in part.itertuples()} <= marks(right)
    assert max(y for _, y in marks(right, gid="published")) == pytest.approx(94.9)


def test_the_tip_is_drawn_for_every_accuracy_that_can_be_wanted(drawn):
    fig, table = drawn["frontier_tip"]
    left, right = fig.axes
    assert sorted(x for x, _ in marks(left, marker="o")) == pytest.approx([45, 75, 95]) and len(table) == 3
    assert {round(y) for _, y in marks(right, marker="o")} == {83, 67, 50}
    assert edges(left, "y") == {1.25} and edges(right, "y") == {33.0}


def test_ways_to_reason_have_marks_of_their_own():
    shapes = [marker for marker, _ in drawings.KINDS.values()]
    assert len(set(shapes)) == len(shapes) and set(drawings.KINDS) == {"direct", "hard", "soft", "budget", "think", "vote"}
    assert np.isfinite([tables.amount_of(mode) for mode in ("think", "hard-12", "vote-8")]).all()
