"""The figures of the routing study show what its tables hold."""

from __future__ import annotations

import numpy as np
import pytest
import rows_11_routing as made
from drawing import drawable, drawn_from, edges

from edgekit import plots, store
from edgekit.analyze import routing
from edgekit.catalog import published, routers
from edgekit.plots.figure import Missing
from edgekit.schema import TEXT
from edgekit.studies.routing import drawings, drawings_curves, tables, tables_points
from edgekit.studies.routing.figures import FIGURES

FRAME = made.frame()
OURS = [figure.name for figure in FIGURES if figure.draw.__module__ == drawings_curves.__name__]


@pytest.fixture(scope="module")
def drawn():
    return drawn_from([figure for figure in FIGURES if figure.name in OURS], FRAME)


def lines(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_every_figure_can_be_filled_and_without_rows_none():
    assert set(OURS) <= set(drawable(FIGURES, FRAME))
    assert drawable(FIGURES, store.to_frame([])) == []


def test_curves_run_from_always_the_device_to_always_the_cloud_between_lots_and_the_oracle(drawn):
    fig, table = drawn["routing_curve"]
    own, theirs = fig.axes
    assert "recorded" in own.get_title() and "GSM8K, published" in theirs.get_title()
    items = next(items for at, items in tables.sets(FRAME) if at["set"] == tables.RECORDED)
    for policy in (TEXT, tables.ORACLE, tables.RANDOM):
        [line] = lines(own, policy)
        assert line.get_ydata()[[0, -1]] == pytest.approx([items.edge.mean(), items.cloud.mean()])
    [best], [text] = lines(own, tables.ORACLE), lines(own, TEXT)
    at = np.linspace(0.1, 0.9, 9)
    assert (np.interp(at, *best.get_data()) >= np.interp(at, *text.get_data()) - 1e-9).all()
    [mark] = list(own.containers)
    assert mark.lines[0].get_ydata()[0] == pytest.approx(made.FIXED, abs=0.06)
    assert len(table[table.fixed.notna()]) == 1 and not list(theirs.containers)


def test_gains_have_their_intervals_beside_lots_and_the_routers_of_others(drawn):
    fig, table = drawn["routing_gain"]
    words = [tick.get_text() for tick in fig.axes[0].get_yticklabels()]
    assert words == [drawings.WORDS[name] for name in (tables.RANDOM, *tables.SCORED)]
    ours = tables.policy_table(FRAME)
    for ax, name in zip(fig.axes, (tables.RECORDED, made.REPLAYED), strict=True):
        shown = [mark.lines[0].get_xdata()[0] for mark in ax.containers]
        here = ours[(ours["set"] == name) & (ours.policy != tables.ORACLE)]
        assert shown == pytest.approx(here.apgr.tolist())
        theirs = routers.published()
        crosses = [x for line in lines(ax, "published") for x in line.get_xdata()]
        assert sorted(crosses) == sorted(theirs[(theirs["set"] == name) & theirs.features.isin(here.policy)].apgr)
    assert table.source.isin(["measured", "published"]).all()


def test_errors_cross_where_a_threshold_trades_one_for_the_other(drawn):
    fig, table = drawn["routing_errors"]
    ax = fig.axes[0]
    [missed], [wasted] = lines(ax, "missed"), lines(ax, "wasted")
    assert (np.diff(missed.get_ydata()) <= 0).all() and (np.diff(wasted.get_ydata()) >= 0).all()
    assert len(ax.collections) == 2, "a band of each"
    own = tables_points.error_table(FRAME)
    assert table.missed.tolist() == own[own.policy == TEXT].missed.tolist()


def test_probabilities_that_mean_what_they_say_lie_on_the_diagonal(drawn):
    fig, _ = drawn["routing_calibration"]
    [text, *_] = fig.axes[0].containers
    x, y = text.lines[0].get_data()
    assert np.asarray(y) == pytest.approx(np.asarray(x), abs=0.17) and len(x) == 10


def test_the_mix_shows_what_the_claim_accepts(drawn):
    fig, _ = drawn["routing_mix"]
    left, right = fig.axes
    assert edges(left, "y") == {published.accepted("S1.22", "cost_saved")[0] / 100}
    assert len(left.containers) == len(right.containers) == len(tables.SCORED)


def test_the_longest_answers_stand_at_their_models_sizes(drawn):
    fig, table = drawn["routing_within"]
    [ax] = fig.axes
    for model, size in made.SIZES.items():
        [mark] = lines(ax, model)
        assert mark.get_xdata()[0] == size and mark.get_ydata()[0] == table.set_index("model").tokens[model]


def test_a_model_that_cannot_answer_in_time_is_told_so():
    slow = FRAME.copy()
    slow.loc[slow.metric == "ttft_s", "value"] = 5.0
    fig, table = plots.named(FIGURES, "routing_within").drawn(slow)
    assert (table.tokens == 0).all()
    assert all("none" in text.get_text() for text in fig.axes[0].texts)


def test_a_run_without_a_pair_says_what_is_missing(tmp_path):
    figure = plots.named(FIGURES, "routing_curve")
    found = figure.show(store.to_frame(made.timed_rows()), tmp_path)
    assert isinstance(found, Missing) and "answers of both models" in found._repr_html_()


def test_routers_of_others_are_better_than_lots_and_have_their_source():
    table = routers.published()
    assert len(table) > 5 and table.apgr.between(0.5, 0.7).all() and table.locator.str.len().gt(20).all()
    assert set(table.features) <= {*tables.SCORED} and routing.require_threshold(0.5) == 0.5
