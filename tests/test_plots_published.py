"""The figures of printed numbers show what their tables hold, and the tables what was printed."""

from __future__ import annotations

import xml.etree.ElementTree as xml

import numpy as np
import pandas as pd
import pytest
from drawing import drawable, edges

from edgekit import store
from edgekit.catalog import published as catalog
from edgekit.plots import named, style
from edgekit.studies.published_claims import drawings as published
from edgekit.studies.published_claims import plan as published_claims
from edgekit.studies.published_claims import tables as printed_tables
from edgekit.studies.published_claims.figures import FIGURES

NOTEBOOK = published_claims.STUDY
TABLES = published_claims.tables()
DRAW = {name: getattr(published, name) for name in [figure.name for figure in FIGURES]}


@pytest.fixture(scope="module")
def drawn():
    return {name: draw(printed_tables.part(TABLES, name)) for name, draw in DRAW.items()}


def crosses(fig):
    return [(x, y) for ax in fig.axes for line in ax.lines if line.get_marker() == style.PUBLISHED["marker"]
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_every_printed_rate_is_a_cross_at_the_share_of_bandwidth_that_it_needs(drawn):
    fig, table = drawn["ceilings"]
    ax = fig.axes[0]
    assert [x for x, _ in crosses(fig)] == pytest.approx(list(table.share)) and len(table) == 8
    np.testing.assert_allclose(table.share, table.printed_tok_per_s / table.ceiling_tok_per_s)
    assert (table.share_low < table.share).all() and (table.share < table.share_high).all()
    assert [line.get_xdata()[0] for line in ax.lines if line.get_gid() == "peak"] == [1]
    accepted = {catalog.accepted(f"S1.{number}", f"{stage}_bandwidth_share")[1]
                for number in range(12, 16) for stage in ("baseline", "optimized")}
    assert edges(ax, "x") == accepted, "one band for all four claims"
    told = [label.get_text() for label in fig.axes[1].get_yticklabels()]
    assert told[0].startswith("11.2 tokens/s: 0.755 (") and told[-1].startswith("104.7 tokens/s: 1.33 (")


def test_the_published_saving_of_compute_stands_above_every_architecture(drawn):
    fig, table = drawn["pruning"]
    assert {y for _, y in crosses(fig)} == {30}
    shapes = table[(table.source == "modelled") & table.weights_removed.notna()]
    marks = [y for line in fig.axes[0].lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert marks == pytest.approx(list(shapes.multiplications_removed)) and max(marks) < 20
    assert any("35 % of MLP width" in text.get_text() for text in fig.axes[1].texts)
    for ax in fig.axes:
        assert edges(ax, "y") == set(catalog.accepted("S1.6", "compute_removed"))


def test_the_other_figures_draw_their_tables(drawn):
    fig, table = drawn["speculation"]
    drawn_lines = [line for line in fig.axes[0].lines if len(line.get_xdata()) == table.draft_tokens.max()]
    assert [list(line.get_ydata()) for line in drawn_lines] == [list(lines.speedup) for _, lines in
                                                               table.groupby("label", sort=False)]
    assert crosses(fig) == [(pytest.approx(fig.axes[0].get_xlim()[1]), 2.1)]
    assert edges(fig.axes[0], "y") == {catalog.accepted("S1.10", "best_speculative_speedup")[0]}
    fig, table = drawn["efficiency"]
    assert [x for x, _ in crosses(fig)] == pytest.approx(list(table.tok_per_joule))
    assert [label.get_text().split(",")[0] for label in fig.axes[0].get_yticklabels() if "said to be" in label.get_text()] == [
        "M2 Pro"]
    others = table[(table.stage == "optimized") & (table.label != "M2 Pro")]
    assert not edges(fig.axes[0], "x") and edges(fig.axes[1], "x") == {others.tok_per_joule.max()}
    fig, table = drawn["memory_saved"]
    assert [bar.get_width() for bar in fig.axes[0].patches[:len(table)]] == pytest.approx(list(table.saved))
    assert edges(fig.axes[0], "x") == set(catalog.accepted("S2.2", "quantized_memory_saved"))
    assert {x for x, _ in crosses(fig)} == {75}


@pytest.mark.parametrize("name", DRAW)
def test_axes_bytes_and_empty_tables(name, drawn, tmp_path):
    units = ("(tokens", "(%)", "(times)")
    axes = [label for ax in drawn[name][0].axes for label in (ax.get_xlabel(), ax.get_ylabel()) if label]
    assert axes and all(any(unit in label for unit in units) for label in axes)
    for folder in "ab":
        named(FIGURES, name).show(published_claims.tables(), tmp_path / folder)
    for suffix in ("svg", "csv"):
        assert (tmp_path / "a" / f"{name}.{suffix}").read_bytes() == (tmp_path / "b" / f"{name}.{suffix}").read_bytes()
    assert xml.parse(tmp_path / "a" / f"{name}.svg").getroot().tag.endswith("svg")
    with pytest.raises(style.PlotError, match="no lines"):
        DRAW[name](pd.DataFrame())


def test_the_audits_figures_need_no_rows_and_rows_do_not_draw_them():
    assert drawable(FIGURES, TABLES) == list(DRAW)
    assert drawable(FIGURES, store.to_frame([])) == []
