"""Figures of the search, of the matrix of variants and of what memory allows show what their tables hold."""

from __future__ import annotations

import pytest
import rows_07_search as made

from edgekit import store
from edgekit.plots import style
from edgekit.plots.style import PlotError
from edgekit.studies.pipeline import drawings_projection, drawings_search, tables_matrix, tables_projection, tables_search
from edgekit.studies.pipeline.figures import FIGURES
from edgekit.studies.pipeline.tables_matrix import BOARDS, FIELDS

FRAME = store.to_frame(made.rows())


def marks(ax, *markers):
    return {(float(x), float(y)) for line in ax.lines if line.get_marker() in markers
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}


def test_the_search_draws_every_variant_and_names_the_chosen_ones():
    table = tables_search.search_table(FRAME)
    fig, shown = drawings_search.pipeline_search(table)
    [ax] = fig.axes
    of = {name: {(line.loss, line.speed_up) for line in lines.itertuples()} for name, lines in (
        ("chosen", table[table.chosen != ""]), ("last", table[(table.dropped == "") & (table.chosen == "")]),
        ("lossy", table[table.dropped == tables_search.TOO_LOSSY]), ("slow", table[table.dropped == tables_search.TOO_SLOW]))}
    assert marks(ax, "*") == of["chosen"] and marks(ax, "x") == of["lossy"] and marks(ax, "o") == of["last"] | of["slow"]
    assert all(of.values())
    assert {line.get_xdata()[0] for line in ax.lines if (line.get_gid() or "").startswith("loss ")} == set(tables_search.LOSSES)
    told = " ".join(text.get_text() for text in ax.texts)
    assert all(f"within {line.chosen} %: {line.name}" in told for line in table[table.chosen != ""].itertuples())
    assert len(shown) == len(made.TRUTH) and fig.get_size_inches()[1] < 8
    low, high = ax.get_xlim()
    assert low < 0 and high > table.loss.max()


def test_modelled_rates_are_hatched_and_published_ones_are_not_bars():
    table = tables_projection.projection_table(FRAME)
    fig, shown = drawings_projection.pipeline_projection(table)
    bars = [patch for ax in fig.axes for patch in ax.patches]
    modelled = table[table.source == "modelled"]
    assert sorted(bar.get_width() for bar in bars) == pytest.approx(sorted(modelled.tok_per_s))
    assert all(bar.get_hatch() for bar in bars)
    crosses = {x for ax in fig.axes for x, _ in marks(ax, "X")}
    assert crosses == set(table[table.source == "published"].tok_per_s)
    orange = {line.get_xdata()[0] for ax in fig.axes for line in ax.lines
              if line.get_marker() == "X" and line.get_color() == style.ABOVE["color"]}
    assert orange == set(table[table.above & (table.source == "published")].tok_per_s) and len(orange) == 3


def test_the_matrix_has_a_square_a_variant_platform_and_field_and_a_letter_in_each_empty_one():
    table = tables_matrix.matrix([])
    table.loc[(table.platform == BOARDS[0]) & (table.field == FIELDS[0]), "value"] = 1.0
    fig, _ = drawings_projection.variant_matrix(table)
    [ax] = fig.axes
    squares = ax.images[0].get_array()
    assert squares.shape == (16, 4 * len(BOARDS)) and squares.sum() == table.value.notna().sum() == 16
    letters = [text for text in ax.texts if len(text.get_text()) == 1]
    assert len(letters) == table.value.isna().sum() and {one.get_text() for one in letters} == {"r"}
    assert fig.get_size_inches()[1] < 9


def test_every_reason_has_its_letter():
    reasons = {tables_matrix.NO_ROWS: "r", tables_matrix.NOT_ASKED: "u", tables_matrix.NOT_HERE: "n",
               f"{tables_matrix.OTHER}: 64+48 tokens (02_baseline)": "o", "no energy sensor that zeus can read (…)": "s"}
    assert {why: drawings_projection._letter(why) for why in reasons} == reasons


@pytest.mark.parametrize("draw", [drawings_search.pipeline_search, drawings_projection.pipeline_projection,
                                  drawings_projection.variant_matrix])
def test_nothing_is_drawn_of_nothing(draw):
    with pytest.raises(PlotError):
        draw(tables_search.search_table(store.to_frame([store.Row("r", "s", dict(task="other"), "request_s", 1.0)])))


def test_a_run_without_a_search_has_no_figure_of_one():
    [figure] = [one for one in FIGURES if one.name == "pipeline_search"]
    assert figure.filled(FRAME) is not None
    assert figure.filled(FRAME.assign(task="stages")) is None
