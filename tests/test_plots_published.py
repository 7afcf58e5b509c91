"""The figures of printed numbers show what their tables hold, and the tables what was printed."""

from __future__ import annotations

import xml.etree.ElementTree as xml

import numpy as np
import pandas as pd
import pytest
from drawing import drawable

from edgekit import store
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


def test_every_printed_rate_is_a_cross_and_every_ceiling_a_line(drawn):
    fig, table = drawn["ceilings"]
    assert sorted(y for _, y in crosses(fig)) == [5.8, 8.4, 11.2, 12.6, 52.1, 67.8, 89.4, 104.7]
    lines = [line for ax in fig.axes for line in ax.lines if line.get_gid() == "ceiling"]
    assert sorted(line.get_ydata()[0] for line in lines) == pytest.approx(sorted(table.ceiling_tok_per_s))
    assert len({line.get_linestyle() for line in lines}) == 3             # told apart without colour
    assert fig.axes[0].get_yscale() == "log"
    printed = table.dropna(subset=["printed_tok_per_s"])
    np.testing.assert_allclose(printed.share, printed.printed_tok_per_s / printed.ceiling_tok_per_s)
    texts = " ".join(text.get_text() for text in fig.axes[0].texts)
    assert all(f"({share:.2f})" in texts for share in printed.share)


def test_the_published_saving_of_compute_stands_above_every_architecture(drawn):
    fig, table = drawn["pruning"]
    assert {y for _, y in crosses(fig)} == {30}
    shapes = table[(table.source == "modelled") & table.weights_removed.notna()]
    marks = [y for line in fig.axes[0].lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert marks == pytest.approx(list(shapes.multiplications_removed)) and max(marks) < 20
    assert any("35 % of MLP width" in text.get_text() for text in fig.axes[1].texts)


def test_the_other_figures_draw_their_tables(drawn):
    fig, table = drawn["speculation"]
    drawn_lines = [line for line in fig.axes[0].lines if len(line.get_xdata()) == table.draft_tokens.max()]
    assert [list(line.get_ydata()) for line in drawn_lines] == [list(lines.speedup) for _, lines in
                                                               table.groupby("label", sort=False)]
    fig, table = drawn["efficiency"]
    assert sorted(bar.get_height() for bar in fig.axes[0].patches) == pytest.approx(sorted(table.tok_per_joule))
    assert [label.get_text().split("\n")[0] for label in fig.axes[0].get_xticklabels() if "said to be" in label.get_text()] == [
        "M2 Pro"]
    fig, table = drawn["memory_saved"]
    assert [bar.get_width() for bar in fig.axes[0].patches] == pytest.approx(list(table.saved))
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
