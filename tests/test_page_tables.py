"""Tables and headings of the report's pages, made anew from what notebooks write."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from edgekit.report import headings, tables
from edgekit.report.notebook import shown


def made(frame: pd.DataFrame, **options) -> str:
    return tables.tidied(shown(frame, {name: name for name in frame}, **options)._repr_html_())


def test_numbers_stand_to_the_right_under_a_header_that_says_what_it_heads():
    table = made(pd.DataFrame({"model": ["a", "b"], "share (%)": [1234.5, None], "mixed": ["3", "three"], "empty": ["", ""]}))
    assert '<th scope="col">model</th><th scope="col" class="n">share (%)</th><th scope="col">mixed</th>' in table
    assert '<td>a</td><td class="n">1,234</td><td>3</td><td></td>' in table and '<td class="n"></td>' in table


def test_a_number_with_its_interval_is_one():
    text = made(pd.DataFrame({"kl": [0.5, 4.24e-4], "kl_low": [0.45, 3.7e-4], "kl_high": [0.55, 4.79e-4], "n": [3, 3]}))
    assert '<td class="n">0.50 (0.45 to 0.55)</td>' in text and '<td class="n">4.2 (3.7 to 4.8) × 10⁻⁴</td>' in text


def test_what_pandas_writes_for_its_own_styles_is_gone():
    frame = pd.DataFrame({"x": [1, 2]}, index=["one", "two"])
    for text in (shown(frame, {"x": "x"})._repr_html_(), frame.to_html(), frame._repr_html_()):
        table = tables.tidied(text)
        assert "<style" not in table and 'id="T_' not in table and "data row0" not in table and "dataframe" not in table
        assert '<td class="n">1</td>' in table
    assert '<th scope="row">one</th>' in table and "<th></th>" not in table


@pytest.mark.parametrize("lines, folded", [(tables.FOLDED_ABOVE, False), (tables.FOLDED_ABOVE + 1, True)])
def test_a_long_table_is_folded_and_holds_every_line(lines, folded):
    table = made(pd.DataFrame({"n": range(lines)}))
    assert len(re.findall(r"<tr><td", table)) == lines
    assert ('<div class="scroll long"' in table, f"Show all {lines} lines" in table) == (folded, folded)


def test_a_table_of_markdown_keeps_its_words():
    table = tables.tidied('<p>before</p><table><thead><tr><th>claim</th><th style="text-align:right">n</th></tr></thead>'
                          "<tbody><tr><td><strong>S1</strong></td><td>3</td></tr></tbody></table><p>after</p>")
    assert table.startswith("<p>before</p><div") and table.endswith("</div><p>after</p>")
    assert '<td><strong>S1</strong></td><td class="n">3</td>' in table


def test_headers_that_span_columns_are_kept():
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    assert re.search(r'<th scope="col" colspan="?2"?>a</th>', tables.tidied(frame.to_html()))


def test_a_heading_has_a_readable_id_and_links_to_itself():
    body, sections = headings.anchored("<h1>A title: what?</h1><h2>What <em>we</em> saw</h2><h3>4-bit &amp; 16-bit</h3>")
    assert '<h2 id="what-we-saw"><a class="self" href="#what-we-saw">What <em>we</em> saw</a></h2>' in body
    assert [(one.level, one.id, one.text) for one in sections] == [
        (2, "what-we-saw", "What we saw"), (3, "4-bit-16-bit", "4-bit & 16-bit")]
    assert '<h1 id="a-title-what">' in body


def test_ids_are_never_given_twice_and_those_that_are_there_are_kept():
    body, sections = headings.anchored('<p id="same">x</p><h2>Same</h2><h2>Same</h2><h2 id="mine">Other</h2><h2>…</h2>'
                                       '<h2>See <a href="b.html">b</a></h2>')
    assert [one.id for one in sections] == ["same-2", "same-3", "mine", "section", "see-b"]
    assert body.count("<a ") == 5 and '<h2 id="see-b">See <a href="b.html">b</a></h2>' in body
