"""Figures show what the rows say: tables against loops over rows, marks against meaning, bytes against a rerun."""

from __future__ import annotations

import io
import statistics
import xml.etree.ElementTree as xml

import numpy as np
import pandas as pd
import pytest
import rows_02_baseline as made
from drawing import drawn_from, edges

from edgekit import plots
from edgekit.catalog import published
from edgekit.plots import named, style
from edgekit.studies.baseline.figures import FIGURES

ROWS = made.rows(models=("pocket-3m", "shape:qwen2.5-0.5b", "shape:llama-2-7b"), energy=True, repeats=3)
FRAME = made.store.to_frame(ROWS)
NAMES = [figure.name for figure in FIGURES]


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(FIGURES, FRAME)


def values(metric, **condition):
    found = [row for row in ROWS if row.metric == metric and condition.items() <= row.condition.items()]
    return [row.value for row in sorted(found, key=lambda row: row.repeat)]


def marks(fig, marker):
    """(x, y, fill style) of every drawn point with a marker."""
    return [(x, y, line.get_fillstyle()) for ax in fig.axes for line in ax.lines if line.get_marker() == marker
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


CASES = {
    "ttft_vs_prompt": ("ttft_s", lambda at: statistics.geometric_mean(values("ttft_s", **at))),
    "tpot_vs_context": ("tpot_ms", lambda at: 1000 * statistics.geometric_mean(values("tpot_s", **at))),
    "shares": ("decode_over_prefill", lambda at: statistics.geometric_mean(
        decode / ttft for decode, ttft in zip(values("decode_s", **at), values("ttft_s", **at | {"output_tokens": 1}),
                                              strict=True))),
    "utilisation": ("decode_tok_per_s", lambda at: statistics.geometric_mean(1 / tpot for tpot in values("tpot_s", **at))),
    "baseline_7b": ("decode_tok_per_s", lambda at: statistics.geometric_mean(1 / tpot for tpot in values("tpot_s", **at))),
    "energy": ("joule_per_token", lambda at: statistics.mean(values("energy_j", **at)) / (at["output_tokens"] - 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_stored_table_holds_what_a_loop_over_the_rows_gives(name, drawn, tmp_path):
    column, expected = CASES[name]
    plots.save(*drawn[name][:1], name, drawn[name][1], tmp_path, "caption")
    stored = pd.read_csv(tmp_path / f"{name}.csv")
    ours = stored[stored.source == "measured"]
    assert len(ours) >= 2
    for line in ours.to_dict("records"):
        at = {key: line[key] for key in ("model", "engine", "dtype", "prompt_tokens", "output_tokens")}
        assert line[column] == pytest.approx(expected(at), rel=1e-6)
        assert line[f"{column}_low" if f"{column}_low" in line else "n"] < max(line[column], line["n"] + 1)


def test_memory_and_accuracy_tables_hold_the_rows(drawn):
    memory = drawn["memory"][1].set_index(["model", "engine"])
    for (model, engine), line in memory.iterrows():
        assert line.peak_memory_gb == pytest.approx(statistics.mean(
            values("peak_memory_bytes", model=model, engine=engine)) / 1e9)
        assert line.weight_gb == values("weight_bytes", model=model, engine=engine)[0] / 1e9
    answers = drawn["accuracy_by_depth"][1]
    assert len(answers)
    for line in answers[answers.panel == "depth"].to_dict("records"):
        right = values("correct", model=line["model"], mode=line["mode"], depth=line["depth"])
        assert line["accuracy"] == sum(right) / len(right)


@pytest.mark.parametrize("name", NAMES)
def test_every_axis_says_its_quantity_and_unit(name, drawn):
    fig = drawn[name][0]
    labels = [text for text in (fig.get_supxlabel(), fig.get_supylabel()) if text]
    labels += [label for ax in fig.axes for label in (ax.get_xlabel(), ax.get_ylabel()) if label]
    units = ("(s)", "(ms)", "(tokens", "(%)", "(GB)", "(J", "(billions)", "(steps)", "share of", "decode / prefill",
             "(% points)", "(million weights)")
    assert labels and all(any(unit in label for unit in units) for label in labels), labels


@pytest.mark.parametrize("name", ["shares", "accuracy_by_depth", "baseline_7b"])
def test_the_same_rows_give_the_same_bytes(name, drawn, tmp_path):
    for folder, (fig, table) in (("a", drawn[name]), ("b", named(FIGURES, name).drawn(FRAME))):
        plots.save(fig, name, table, tmp_path / folder, "caption")
    for suffix in ("svg", "csv"):
        first, second = ((tmp_path / folder / f"{name}.{suffix}").read_bytes() for folder in "ab")
        assert first == second
    text = first.decode()
    assert "\r" not in text
    svg = (tmp_path / "a" / f"{name}.svg").read_text()
    assert "<dc:date>" not in svg and "Matplotlib v" not in svg
    assert xml.parse(io.StringIO(svg)).getroot().tag.endswith("svg")


def test_the_order_of_rows_does_not_change_a_figure(tmp_path):
    shuffled = FRAME.sample(frac=1, random_state=3)
    for folder, frame in (("a", FRAME), ("b", shuffled)):
        fig, table = named(FIGURES, "tpot_vs_context").drawn(frame)
        plots.save(fig, "tpot", table, tmp_path / folder, "caption")
    first, second = (pd.read_csv(tmp_path / folder / "tpot.csv") for folder in "ab")
    pd.testing.assert_frame_equal(first, second)


def test_published_ratios_are_crosses_beside_the_largest_model_and_what_the_claim_accepts(drawn):
    fig, table = drawn["shares"]
    left, right = fig.axes
    assert [(x, y) for x, y, _ in marks(fig, style.PUBLISHED["marker"])] == [(740, 521), (811, 192), (1318, 569)]
    assert list(table[table.source == "published"].decode_over_prefill) == [521, 192, 569]
    [band] = [patch for patch in left.patches if patch.get_alpha() == 0.13]
    low = band.get_extents().transformed(left.transData.inverted()).y0
    assert low == pytest.approx(published.accepted("S3.1", "decode_over_prefill")[0]) == pytest.approx(100)
    assert "llama-2-7b" in left.get_title() and not right.patches
    ours = table[table.source == "measured"]
    assert set(ours[ours.panel == "output"].model) == {"shape:llama-2-7b"}
    for ax, panel in ((left, "output"), (right, "size")):
        drawn_there = [y for line in ax.lines if line.get_marker() in ("o", "s") for y in line.get_ydata()]
        assert sorted(drawn_there) == pytest.approx(sorted(ours[ours.panel == panel].decode_over_prefill)) and drawn_there
    assert set(ours[ours.panel == "size"].model) == set(FRAME[FRAME.task == "speed"].model)


def test_other_cells_are_drawn_as_what_they_differ_by():
    cell = FRAME[FRAME.task == "accuracy"]
    other = cell.assign(engine="transformers", dtype="float32")
    other.loc[other.index[(other.metric == "correct").to_numpy()][:5], "value"] = 0
    fig, table = named(FIGURES, "accuracy_by_depth").drawn(pd.concat([FRAME, other]))
    last = fig.axes[-1]
    shown = table[table.panel == "difference"]
    assert set(table[table.panel == "depth"]["dtype"]) == {"float32"} and set(shown.less) == {"transformers float32"}
    assert [line.get_xdata()[0] for line in last.lines if line.get_gid() == "same"] == [0]
    points = [x for line in last.lines if line.get_marker() == "s" for x in line.get_xdata()]
    answered = (cell.metric == "correct").sum()
    lost = cell[cell.metric == "correct"].value[:5].sum()
    assert points == list(shown.difference_percent) == pytest.approx([100 * lost / answered]) and lost > 0


def test_the_ceiling_is_bandwidth_over_bytes(drawn):
    fig, table = drawn["utilisation"]
    bandwidth = statistics.median(values("memory_bandwidth_byte_per_s", task="speed"))
    lines = [line for ax in fig.axes for line in ax.lines if line.get_gid() == "ceiling"]
    assert len(lines) == 2                                       # pocket models, and models of real size
    for line in lines:
        np.testing.assert_allclose(line.get_ydata() * line.get_xdata() * 1e9, bandwidth)
    ours = table[table.source == "measured"]
    assert (ours.decode_tok_per_s < ours.ceiling_tok_per_s).all()
    assert sorted(y for _, y, _ in marks(fig, style.PUBLISHED["marker"])) == [0.73, 0.77, 0.78]
    for ax in fig.axes[2:]:
        assert edges(ax, "y") == {published.accepted("S3.9", "bandwidth_utilisation")[0]} == {0.5}


def test_boards_show_what_was_printed_beside_what_bandwidth_allows(drawn):
    fig, table = drawn["baseline_7b"]
    crosses = {y for _, y, _ in marks(fig, style.PUBLISHED["marker"])}
    assert crosses == {5, 12, 11.2, 5.8, 8.4, 12.6}
    modelled = table[table.source == "modelled"].set_index("platform").decode_tok_per_s
    assert modelled["jetson-orin-nx"] == pytest.approx(102.4e9 / 13.48e9)
    open_marks = [y for _, y, fill in marks(fig, "o") if fill == "none"]
    assert sorted(open_marks) == pytest.approx(sorted(modelled))
    assert {fill for _, y, fill in marks(fig, "o") if y not in open_marks} == {"full"}
    assert set(table[table.source == "measured"].model) == {"shape:qwen2.5-0.5b", "shape:llama-2-7b"}
    for ax in fig.axes:
        assert edges(ax, "y") == set(published.accepted("S1.3", "decode_tok_per_s")) == {4.5, 12.5}
    ticks = [tick for tick in fig.axes[0].yaxis.get_major_locator()() if tick]
    assert sum(fig.axes[0].get_ylim()[0] < tick < fig.axes[0].get_ylim()[1] for tick in ticks) >= 3


def test_latency_stands_at_its_table_with_the_line_of_proportion(drawn):
    fig, table = drawn["ttft_vs_prompt"]
    for ax, model in zip(fig.axes, dict.fromkeys(table.model), strict=True):
        here = table[table.model == model]
        seen = [y for line in ax.lines if line.get_marker() in ("o", "s", "D") for y in line.get_ydata()]
        assert sorted(seen) == pytest.approx(sorted(here.ttft_s))
        [guide] = [line for line in ax.lines if line.get_gid() == "proportion"]
        x, y = guide.get_xdata(), guide.get_ydata()
        assert y[1] / y[0] == pytest.approx(x[1] / x[0]) and list(x) == [here.prompt_tokens.min(), here.prompt_tokens.max()]
    assert "place" not in table


def test_the_dotted_part_of_memory_is_what_the_bars_leave(drawn):
    fig, table = drawn["memory"]
    left = [abs(segment[1, 0] - segment[0, 0]) for ax in fig.axes for bars in ax.collections if bars.get_gid() == "unexplained"
            for segment in bars.get_segments()]
    parts = table.base_memory_gb + table.weight_gb + table.kv_gb
    assert sorted(left) == pytest.approx(sorted((table.peak_memory_gb - parts).abs()))


def test_modelled_rows_are_drawn_open():
    both = pd.concat([FRAME, made.frame(models=("pocket-900k",), source="modelled", repeats=2)])
    fig, _ = named(FIGURES, "ttft_vs_prompt").drawn(both)
    assert {fill for _, _, fill in marks(fig, "o")} == {"full", "none"}


def test_an_engine_looks_the_same_in_all_figures(drawn):
    for name in ("ttft_vs_prompt", "shares", "utilisation", "energy"):
        squares = {line.get_color() for ax in drawn[name][0].axes for line in ax.lines if line.get_marker() == "s"}
        assert squares == {style.ENGINES["llama_cpp"].colour}


def test_one_run_of_a_pocket_model_still_gives_every_figure(tmp_path):
    frame = made.frame(models=("pocket-200k",), energy=True, repeats=1)
    for name, (fig, table) in drawn_from(FIGURES, frame).items():
        assert len(table[table.source == "measured"]) or name == "baseline_7b"
        assert fig.axes
    assert plots.save(fig, name, table, tmp_path, "one run").path.stat().st_size > 5000


def test_a_picture_is_an_element_that_can_be_linked_to(drawn, tmp_path):
    picture = plots.save(*drawn["energy"][:1], "energy", drawn["energy"][1], tmp_path, 'Energy < 1 J "gross" & net.')
    element = xml.fromstring(picture._repr_html_())
    assert element.tag == "figure" and element.get("id") == "fig-energy"
    image, caption = element
    assert image.get("src").startswith("data:image/svg+xml,%3C") and "max-width: 100%" in image.get("style")
    assert image.get("alt") == caption.text == 'Energy < 1 J "gross" & net.'
    assert "energy.svg" in repr(picture) and "Energy" in repr(picture)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_without_lines_is_missing_and_says_what_it_needs(name, tmp_path):
    figure = named(FIGURES, name)
    for frame in (pd.DataFrame(), FRAME[FRAME.task == "device"]):
        missing = figure.show(frame, tmp_path)
        assert figure.needs and figure.needs in missing._repr_html_() and f'id="fig-{name}"' in missing._repr_html_()
    if name != "baseline_7b":  # which shows the published numbers in any case
        with pytest.raises(style.PlotError, match="no lines"):
            figure.draw(*figure.tables(pd.DataFrame()))


def test_an_unknown_figure_is_refused_with_the_known_ones():
    with pytest.raises(style.PlotError, match="no figure 'shares of'; known: ttft_vs_prompt"):
        named(FIGURES, "shares of")


def test_an_engine_without_a_look_is_named():
    strange = FRAME.assign(engine=FRAME.engine.replace("llama_cpp", "abacus"))
    with pytest.raises(style.PlotError, match="'abacus'; known: transformers"):
        named(FIGURES, "ttft_vs_prompt").drawn(strange)


def test_labels_move_apart_and_keep_their_order():
    wanted = [5.0, 0.0, 0.1, 0.15, 9.0]
    placed = style.apart(wanted, 1.0)
    assert np.argsort(placed).tolist() == np.argsort(wanted).tolist()
    assert np.diff(sorted(placed)).min() >= 1 - 1e-9
    assert (placed[0], placed[4]) == (5.0, 9.0)                  # those with room stay
    assert np.mean(placed[1:4]) == pytest.approx(np.mean(wanted[1:4]))


def test_drawing_leaves_the_notebooks_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    named(FIGURES, "energy").drawn(FRAME)
    assert dict(matplotlib.rcParams) == before
