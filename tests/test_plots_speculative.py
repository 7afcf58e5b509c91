"""The figures of the speculative study show what its tables hold."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
import pytest
import rows_06_speculative as made
from drawing import drawable, drawn_from, edges

from edgekit import plots, store
from edgekit.analyze.observed import Setting
from edgekit.analyze.speculation import least_overlap
from edgekit.catalog import published
from edgekit.plots import accuracy, domains, style
from edgekit.plots.figure import Missing, named
from edgekit.studies.speculative import drawings_acceptance, quantities, tables
from edgekit.studies.speculative.figures import FIGURES

FRAME = store.to_frame([*made.rows(), *made.replayed_rows(), *made.batched_rows()])
SETTING = Setting(models=("pocket",))
LLAMA = style.engine_style("llama_cpp", "float16")


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(FIGURES, FRAME)


def marks(ax, colour, marker):
    return [point for line in ax.lines if line.get_marker() == marker and line.get_color() == colour
            for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def lines(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def band(ax):
    """The ends of what a claim accepts: the one patch of its colour."""
    [patch] = [patch for patch in ax.patches if patch.get_alpha() == 0.13]
    return patch.get_extents().transformed(ax.transData.inverted())


def test_acceptance_has_a_row_a_domain_and_the_judged_average_first(drawn):
    fig, table = drawn["speculative_acceptance"]
    [ax] = fig.axes
    rows = [tick.get_text() for tick in ax.get_yticklabels()]
    assert rows == [tables.ALL, "prose", "chain think"], "the most accepted domain first"
    greedy = {rows[round(y)]: x for x, y in marks(ax, *drawings_acceptance.TEMPERATURES[0])}
    for domain in rows[1:]:
        assert greedy[domain] == pytest.approx(100 * made.ACCEPTED["pocket-900k", domain], abs=2)
    [judged] = quantities.draft_acceptance(FRAME, SETTING, (0, 100))
    assert greedy[tables.ALL] == judged.estimate.value and judged.artifact.startswith("pocket-900k for pocket-10m")
    assert set(table.draft) == {"pocket-900k"} and table.engine.nunique() == 1
    assert len(marks(ax, *drawings_acceptance.TEMPERATURES[1])) == len(rows)


def test_acceptance_stands_beside_what_the_claim_accepts_and_what_was_published(drawn):
    [ax] = drawn["speculative_acceptance"][0].axes
    assert edges(ax, "x") == {published.accepted("S1.9", "draft_acceptance")[0]} == {77.5}
    assert (band(ax).x0, band(ax).x1) == pytest.approx((77.5, ax.get_xlim()[1]))
    [cross] = lines(ax, "published")
    assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([78], [0])


def test_acceptance_by_place_is_that_of_the_same_pair(drawn):
    fig, table = drawn["speculative_places"]
    [ax] = fig.axes
    for domain, look in domains.looks(["chain think", "prose"]).items():
        seen = marks(ax, *look)
        assert [round(x) for x, _ in seen] == list(range(1, 9))
        assert [y for _, y in seen] == pytest.approx([100 * made.ACCEPTED["pocket-900k", domain]] * 8, abs=2)
    assert set(table.temperature) == {0} and set(table.draft) == set(drawn["speculative_acceptance"][1].draft)


def test_counted_acceptance_lies_on_the_line_of_theory_and_above_the_least(drawn):
    fig, table = drawn["speculative_divergence"]
    left, right = fig.axes
    [line] = lines(left, "theory")
    assert list(line.get_xdata()) == list(line.get_ydata())
    for domain, look in domains.looks(["chain think", "prose"]).items():
        seen = marks(left, *look)
        assert len(seen) == len(table[table.domain == domain]) and all(abs(x - y) < 2 for x, y in seen)
        assert len(marks(right, *look)) == len(table[(table.domain == domain) & (table.temperature > 0)])
        assert all(y > 100 * least_overlap(x) for x, y in marks(right, *look))
    assert "lookup" not in set(table.draft) and table.groupby(["model", "draft"]).engine.nunique().max() == 1


def test_measured_speed_ups_lie_near_the_expected_ones(drawn):
    fig, table = drawn["speculative_speed"]
    models, lookup = fig.axes
    for ax, drafts in ((models, len(made.ACCEPTED) - 2), (lookup, 2)):
        seen = marks(ax, *LLAMA)
        assert len(seen) == drafts * len(made.LENGTHS) and all(abs(x - y) < 0.1 * x for x, y in seen)
        assert [line.get_ydata()[0] for line in lines(ax, "even")] == [1]
        ours = table[(table.draft == "lookup") == (ax is lookup)]
        near = ((ours.decode / ours.expected - 1).abs() <= 0.1).sum()
        assert f"{near} of {len(ours)}\n" in ax.get_title()
    assert set(table.engine) == {"llama_cpp", "transformers"}


def test_lengths_show_the_means_that_the_claim_is_judged_by(drawn):
    fig, table = drawn["speculative_lengths"]
    assert [ax.get_title() for ax in fig.axes] == ["pocket-200k", "pocket-900k"]
    for ax in fig.axes:
        ours, theirs = (dict(marks(ax, *style.engine_style(engine, "float16"))) for engine in ("llama_cpp", "llama-cpp-python"))
        assert [round(x) for x in ours] == [round(x) for x in theirs] == list(made.LENGTHS)
        for length, ours_there, theirs_there in zip(made.LENGTHS, ours.values(), theirs.values(), strict=True):
            truth = math.prod(330 / (300 / made.gain(ax.get_title(), domain, "llama_cpp", length) + 30)
                              for domain in ("chain think", "prose")) ** 0.5
            assert ours_there == pytest.approx(truth, rel=0.03) and ours_there == pytest.approx(1.2 * theirs_there)
        assert [line.get_linestyle() for line in ax.lines if line.get_marker() == "p"] == ["--"]
    [judged] = quantities.speculative_speed_up(FRAME, SETTING, (0, 100))
    [(title, ring)] = [(ax.get_title(), line) for ax in fig.axes for line in lines(ax, "judged")]
    assert ring.get_ydata()[0] == judged.estimate.value == table.speed_up.max() and judged.where.startswith(f"{title} for")
    assert "at" not in table


def test_lengths_stand_beside_what_the_claim_accepts_and_the_published_gain_at_no_length(drawn):
    for ax in drawn["speculative_lengths"][0].axes:
        assert edges(ax, "y") == {published.accepted("S1.10", "speculative_speed_up")[0]} and band(ax).y0 == pytest.approx(2.05)
        [cross] = lines(ax, "published")
        assert list(cross.get_ydata()) == [2.1]
        assert cross.get_transform() == ax.get_yaxis_transform() and cross.get_xdata()[0] > 1, "in the margin"


def test_each_kind_of_draft_has_its_row_for_ours_and_the_runtimes_own(drawn):
    fig, table = drawn["speculative_drafts"]
    assert [ax.get_title() for ax in fig.axes] == ["chain think, 8 drafted tokens", "prose, 8 drafted tokens"]
    rows = [tick.get_text() for tick in fig.axes[0].get_yticklabels()]
    assert rows == ["pocket-200k", "pocket-900k", "itself, Q4_0", "n-gram lookup"]
    for ax, domain in zip(fig.axes, ("chain think", "prose"), strict=True):
        ours = {rows[round(y)]: x for x, y in marks(ax, *LLAMA)}
        for draft, name in zip(("pocket-200k", "pocket-900k", made.ITSELF, "lookup"), rows, strict=True):
            truth = 330 / (300 / made.gain(draft, domain, "llama_cpp", 8) + 30)
            assert ours[name] == pytest.approx(truth, rel=0.03)
        assert len(marks(ax, *style.engine_style("llama-cpp-python", "float16"))) == 3
    assert set(table.length) == {"8"}


def test_speed_up_is_drawn_against_the_number_of_texts(drawn):
    fig, table = drawn["speculative_batches"]
    assert [ax.get_title().split("\n")[0] for ax in fig.axes] == [f"chain think, {length} drafted tokens" for length in (2, 4)]
    seen = {round(x): y for x, y in marks(fig.axes[1], *accuracy.MODELS["pocket-900k"])}
    assert seen == pytest.approx({batch: made.batch_gain("pocket-900k", batch, 4) for batch in made.BATCHES})
    assert set(table.batch) == set(made.BATCHES)


def test_an_adaptive_length_stands_beyond_the_fixed_ones():
    adaptive = FRAME[FRAME.length == 8].assign(length="adaptive")
    frame = pd.concat([FRAME.astype({"length": object}), adaptive[adaptive.task == "speed"]])
    fig, _ = named(FIGURES, "speculative_lengths").drawn(frame)
    assert [tick.get_text() for tick in fig.axes[-1].get_xticklabels()] == ["1", "2", "4", "8", "ad."]


def test_a_pair_that_was_replayed_and_timed_shows_both():
    timed = made.rows(engines=("llama_cpp",))
    replayed = [dataclasses.replace(row, condition=row.condition | {"model": "pocket-10m", "draft": "pocket-900k"})
                for row in made.replayed_rows()]
    fig, table = named(FIGURES, "speculative_replay").drawn(store.to_frame([*timed, *replayed]))
    [ax] = fig.axes
    fills = [line.get_fillstyle() for line in ax.lines if line.get_marker() == LLAMA[1]]
    assert sorted(fills) == ["full", "none"] and set(table.source) == {"measured", "modelled"}
    assert set(table.draft) == {"pocket-900k"} and set(table.domain) == {"prose"}


def test_rows_decide_which_figures_there_are(tmp_path):
    assert drawable(FIGURES, FRAME) == [figure.name for figure in FIGURES]
    assert drawable(FIGURES, FRAME[FRAME.task == "acceptance"]) == ["speculative_acceptance", "speculative_places"]
    alone = FRAME[(FRAME.task == "acceptance") & (FRAME.draft == made.ITSELF)]
    assert drawable(FIGURES, alone) == [], "no smaller model drafts"
    timed = FRAME[(FRAME.task == "speed") | FRAME.metric.isin(["target_parameters", "draft_parameters"])]
    assert drawable(FIGURES, timed) == ["speculative_lengths", "speculative_drafts"]
    assert isinstance(named(FIGURES, "speculative_speed").show(timed, tmp_path), Missing)


def test_the_same_rows_give_the_same_bytes_in_any_order(drawn, tmp_path):
    shuffled = FRAME.sample(frac=1, random_state=3)
    for figure in FIGURES:
        for folder, (fig, table) in (("a", drawn[figure.name]), ("b", figure.drawn(shuffled))):
            plots.save(fig, figure.name, table, tmp_path / folder, figure.caption)
        first, second = ((tmp_path / folder / f"{figure.name}.svg").read_bytes() for folder in "ab")
        assert first == second, figure.name


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_table_without_lines_is_refused(figure):
    tables_of = [pd.DataFrame() if i == 0 else table for i, table in enumerate(figure.tables(FRAME))]
    with pytest.raises(style.PlotError, match="no lines"):
        figure.draw(*tables_of)
