"""The figures of the speculative study show what its tables hold."""

from __future__ import annotations

import pandas as pd
import pytest
import rows_06_speculative as made
from drawing import drawable, drawn_from

from edgekit import plots, store
from edgekit.analyze.speculation import least_overlap
from edgekit.plots import style
from edgekit.plots.figure import Missing, named
from edgekit.studies.speculative import drawings as figures
from edgekit.studies.speculative.figures import FIGURES
from edgekit.studies.speculative.tables_speed import speed_table

FRAME = store.to_frame([*made.rows(), *made.replayed_rows(), *made.batched_rows()])


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(FIGURES, FRAME)


def marks(ax, colour, marker):
    return [point for line in ax.lines if line.get_marker() == marker and line.get_color() == colour
            for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def lines(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_acceptance_stands_at_its_place_for_each_draft(drawn):
    fig, table = drawn["speculative_acceptance"]
    assert [ax.get_title() for ax in fig.axes] == ["chain think", "prose", "", ""]
    assert [ax.get_ylabel().split("\n")[-1] for ax in fig.axes] == ["greedy", "", "temperature 1", ""]
    for ax, domain in zip(fig.axes[:2], ("chain think", "prose"), strict=True):
        seen = marks(ax, *figures.DRAFTS[1])
        assert [round(x) for x, _ in seen] == list(range(1, 9))
        assert [y for _, y in seen] == pytest.approx([made.ACCEPTED["pocket-900k", domain]] * 8, abs=0.02)
    assert set(table[table.draft != made.ITSELF].engine) == {"transformers"} and made.ITSELF in set(table.draft)


def test_counted_acceptance_lies_on_the_line_of_theory_and_above_the_least(drawn):
    fig, table = drawn["speculative_divergence"]
    left, right = fig.axes
    [line] = lines(left, "theory")
    assert list(line.get_xdata()) == list(line.get_ydata())
    for domain, look in zip(("chain think", "prose"), figures.DOMAINS, strict=False):
        seen = marks(left, *look)
        assert len(seen) == len(table[table.domain == domain]) and all(abs(x - y) < 0.02 for x, y in seen)
        assert all(y > least_overlap(x) for x, y in marks(right, *look))
    assert "lookup" not in set(table.draft)


def test_measured_speed_ups_lie_near_the_expected_ones(drawn):
    fig, table = drawn["speculative_speed"]
    [ax] = fig.axes
    seen = marks(ax, *style.engine_style("llama_cpp", "float16"))
    assert len(seen) == len(made.ACCEPTED) * len(made.LENGTHS) and all(abs(x - y) < 0.1 * x for x, y in seen)
    assert {line.get_ydata()[0] for line in lines(ax, "even")} >= {1} and set(table.engine) == {"llama_cpp", "transformers"}


def test_speed_up_is_drawn_against_length_for_ours_and_the_runtimes_own(drawn):
    fig, table = drawn["speculative_lengths"]
    titles = [ax.get_title() for ax in fig.axes]
    assert titles[:2] == ["pocket-200k, chain think", "pocket-200k, prose"] and len(titles) == 8
    ax = fig.axes[titles.index("pocket-900k, prose")]
    ours, theirs = (dict(marks(ax, *style.engine_style(engine, "float16"))) for engine in ("llama_cpp", "llama-cpp-python"))
    assert list(ours) == list(theirs) == list(made.LENGTHS)
    for length in made.LENGTHS:
        truth = 330 / (300 / made.gain("pocket-900k", "prose", "llama_cpp", length) + 30)
        assert ours[length] == pytest.approx(truth, rel=0.03) and ours[length] == pytest.approx(1.2 * theirs[length])
    assert [line.get_linestyle() for line in ax.lines if line.get_marker() == "p"] == ["--"] and "at" not in table


def test_speed_up_is_drawn_against_the_number_of_texts(drawn):
    fig, table = drawn["speculative_batches"]
    assert [ax.get_title().split(",\n")[0] for ax in fig.axes] == ["chain think, 2 drafted", "chain think, 4 drafted"]
    seen = dict(marks(fig.axes[1], *figures.DRAFTS[1]))
    assert seen == pytest.approx({batch: made.batch_gain("pocket-900k", batch, 4) for batch in made.BATCHES})
    assert set(table.batch) == set(made.BATCHES)


def test_an_adaptive_length_stands_beyond_the_fixed_ones():
    adaptive = FRAME[FRAME.length == 8].assign(length="adaptive")
    fig, _ = figures.speculative_lengths(speed_table(
        pd.concat([FRAME.astype({"length": object}), adaptive[adaptive.task == "speed"]])))
    assert [tick.get_text() for tick in fig.axes[-1].get_xticklabels()] == ["1", "2", "4", "8", "ad."]


def test_rows_decide_which_figures_there_are(tmp_path):
    assert drawable(FIGURES, FRAME) == [figure.name for figure in FIGURES]
    assert drawable(FIGURES, FRAME[FRAME.task == "acceptance"]) == ["speculative_acceptance"]
    timed = FRAME[(FRAME.task == "speed") | FRAME.metric.isin(["target_parameters", "draft_parameters"])]
    assert drawable(FIGURES, timed) == ["speculative_lengths"]
    assert isinstance(named(FIGURES, "speculative_speed").show(timed, tmp_path), Missing)


def test_the_same_rows_give_the_same_bytes_in_any_order(drawn, tmp_path):
    shuffled = FRAME.sample(frac=1, random_state=3)
    for figure in FIGURES:
        for folder, (fig, table) in (("a", drawn[figure.name]), ("b", figure.drawn(shuffled))):
            plots.save(fig, figure.name, table, tmp_path / folder, figure.caption)
        first, second = ((tmp_path / folder / f"{figure.name}.svg").read_bytes() for folder in "ab")
        assert first == second, figure.name


@pytest.mark.parametrize("draw", [figures.speculative_acceptance, figures.speculative_divergence, figures.speculative_speed,
                                  figures.speculative_lengths, figures.speculative_batches])
def test_a_table_without_lines_is_refused(draw):
    with pytest.raises(style.PlotError, match="no lines"):
        draw(pd.DataFrame())
