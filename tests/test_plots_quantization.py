"""The figures of the quantization study show what its tables hold, and leave out what is no comparison of methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rows_03_quantization as made
from drawing import drawable, drawn_from, edges

from edgekit import plots
from edgekit.catalog import published
from edgekit.plots import intervals, style
from edgekit.plots.figure import Missing, named
from edgekit.studies.quantization import drawings as figures
from edgekit.studies.quantization import drawings_speed, tables
from edgekit.studies.quantization.figures import FIGURES

FRAME = made.frame(ablated=True, runtimes=True)


@pytest.fixture(scope="module")
def drawn():
    return drawn_from(FIGURES, FRAME)


def marks(ax, method):
    colour, marker = style.METHODS[method]
    return [point for line in ax.lines if line.get_marker() == marker and line.get_color() == colour
            for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def lines(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_methods_are_told_apart_in_grey():
    assert set(figures.LABELS) == set(style.METHODS)
    assert len({marker for _, marker in style.METHODS.values()}) == len(style.METHODS)


def test_the_frontier_shows_each_method_once_a_size_and_steps_along_the_least_loss(drawn):
    fig, table = drawn["quantization_frontier"]
    assert [ax.get_title() for ax in fig.axes] == list(made.MODELS)
    small = fig.axes[0]
    for method in style.METHODS:
        bits = (4,) if method == "awq" else (8, 4, 3)
        assert sorted(y for _, y in marks(small, method)) == pytest.approx(
            sorted(made.kl("pocket-900k", method, b) for b in bits)), "ablations and runtimes are not in it"
        assert sorted(x for x, _ in marks(small, method)) == pytest.approx(sorted(b + 0.5 for b in bits), abs=0.2)
    [steps] = lines(small, "frontier")
    assert list(steps.get_ydata()) == pytest.approx([made.kl("", "gptq", 3), made.kl("pocket-900k", "awq", 4),
                                                     made.kl("", "gptq", 8)])
    assert small.get_yscale() == "log"
    assert set(table[(table.method == "awq") & (table.model == "pocket-10m")].stored_bits) == {4.5}


def test_the_lead_stands_at_its_table_with_its_seeds_and_the_claims_band(drawn):
    fig, table = drawn["quantization_lead"]
    ax = fig.axes[0]
    leads = tables.lead_table(made.frame())
    assert [x for x, _ in marks(ax, "awq")] == pytest.approx(list(leads.lead))
    assert [y for _, y in marks(ax, "awq")] == list(range(len(leads)))
    assert {line.get_fillstyle() for line in ax.lines if line.get_marker() == "o"} == {"full"}
    for place, model in enumerate(made.MODELS):
        lost = [made.kl(model, "gptq", 4) - made.kl(model, "awq", 4)] * 3
        seeds = [100 * np.expm1(nats * (1 + 0.1 * (seed - 1))) for seed, nats in zip(made.SEEDS, lost, strict=True)]
        [ticks] = [line for line in lines(ax, "seed") if line.get_ydata()[0] == place]
        assert sorted(ticks.get_xdata()) == pytest.approx(sorted(seeds))
    assert edges(ax, "x") == {published.accepted("S1.5", "awq_lead")[0]} == {0.0}
    told = [label.get_text() for label in fig.axes[1].get_yticklabels()]
    assert told == [intervals.words(line, "lead") for line in table.itertuples()] and len(told) == len(made.MODELS)


def test_a_lead_of_one_seed_is_open_and_has_no_ticks():
    fig, table = named(FIGURES, "quantization_lead").drawn(made.frame(seeds=(0,)))
    assert set(table.over) == {"texts"} and not lines(fig.axes[0], "seed")
    assert {line.get_fillstyle() for line in fig.axes[0].lines if line.get_marker() == "o"} == {"none"}


def test_accuracy_kept_stands_at_its_table_under_no_other_mark_with_the_claims_band(drawn):
    fig, table = drawn["quantization_accuracy"]
    answers = FRAME[(FRAME.metric == "correct") & (FRAME.engine == "transformers") & (FRAME.dtype == "float32")]
    panels = dict(zip([ax.get_title() for ax in fig.axes], fig.axes, strict=True))
    assert list(panels) == ["pocket-900k", "pocket-900k, 4 bits", "pocket-10m", "pocket-10m, 4 bits"]
    for model in made.MODELS:
        here = answers[answers.model == model]
        right = {bits: here[(here.method == "rtn") & (here.bits == bits)].value.sum() for bits in (3, 4, 8)}
        whole = here[here.method == "none"].value.sum()
        ax, narrow = panels[model], panels[f"{model}, 4 bits"]
        seen = sorted(marks(ax, "rtn"))
        assert [y for _, y in seen] == pytest.approx([100 * right[bits] / whole for bits in (3, 4, 8)])
        assert [round(x) for x, _ in seen] == [0, 1, 2]
        assert [y for _, y in marks(narrow, "rtn")] == pytest.approx([100 * right[4] / whole])
        places = [x for method in style.METHODS for x, _ in marks(ax, method)]
        assert len(places) == 13 and np.diff(sorted(places)).min() > 0.05, "no mark stands on another"
        for panel in (ax, narrow):
            assert lines(panel, "unquantized")[0].get_ydata()[0] == 100
            assert edges(panel, "y") == {published.accepted("S2.2", "awq_accuracy_retained")[0]} == {95.0}
    assert [label.get_text() for label in fig.axes[2].get_xticklabels()] == ["3", "4", "8"]
    assert set(table.method) == set(style.METHODS) and len(table) == 2 * 13


def test_ablations_stand_beside_the_main_calibration(drawn):
    fig, table = drawn["quantization_calibration"]
    small, large = fig.axes
    names = [label.get_text() for label in small.get_yticklabels()]
    assert names == ["no calibration", "mixture, 32 texts", "prose", "random", "8 texts", "no search", "no search for clips",
                     "no search for scales", "symmetric grid"]
    for ax, model in ((small, "pocket-900k"), (large, "pocket-10m")):
        seen = {names[round(y)]: x for x, y in marks(ax, "awq")}
        factors = {"mixture, 32 texts": 1, "prose": 1.2, "random": 2, "8 texts": 1.1, "no search": 1.7,
                   "no search for clips": 1.3, "no search for scales": 1.5}
        assert seen == pytest.approx({name: factor * made.kl(model, "awq", 4) for name, factor in factors.items()})
        assert {names[round(y)] for _, y in marks(ax, "gptq")} == {"mixture, 32 texts", "prose", "random", "8 texts",
                                                                   "symmetric grid"}
        dotted = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
        assert sorted(dotted) == pytest.approx(sorted(made.kl(model, method, 4) for method in ("awq", "gptq")))
    assert len(table) == 2 * (1 + 7 + 5)


def test_numbers_of_texts_stand_in_order():
    whats = ["64 texts", "", "symmetric grid", "8 texts", "128 texts", "prose", "no calibration"]
    assert sorted(whats, key=figures._order) == ["no calibration", "", "prose", "8 texts", "64 texts", "128 texts",
                                                 "symmetric grid"]


def test_gains_within_a_runtime_stand_beside_the_ratio_of_bytes(drawn):
    fig, table = drawn["quantization_speed"]
    assert [ax.get_title() for ax in fig.axes] == ["a-135m", "b-0.5b"]
    ax = fig.axes[1]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["llama_cpp Q4_0", "vllm awq"], "an engine without 16-bit weights, or with nothing else, gains nothing"
    seen = {}
    for engine in ("llama_cpp", "vllm"):
        colour, marker = style.engine_style(engine, "bfloat16")
        seen |= {names[round(y)]: x for line in ax.lines if line.get_marker() == marker and line.get_color() == colour
                 for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    assert seen == {"llama_cpp Q4_0": pytest.approx(2.5, rel=0.1), "vllm awq": pytest.approx(1.2 * 5 / 3, rel=0.1)}
    bytes_of = {names[round(np.mean(line.get_ydata()))]: line.get_xdata()[0] for line in lines(ax, "bytes")}
    assert bytes_of == {"llama_cpp Q4_0": pytest.approx(16 / 4.5), "vllm awq": pytest.approx(16 / 4.25)}
    assert edges(ax, "x") == {published.accepted("S3.7", "w4a16_speed_up")[0]} == {1.5}
    assert list(table.gain) == pytest.approx([x for panel in fig.axes for _, x in sorted(
        (y, x) for line in panel.lines if line.get_marker() in ("s", "h") for x, y in line.get_xydata())])


def test_rows_decide_which_figures_there_are(tmp_path):
    plain = made.frame(seeds=(0,), repeats=1)
    assert drawable(FIGURES, FRAME) == [figure.name for figure in FIGURES]
    assert drawable(FIGURES, plain) == ["quantization_frontier", "quantization_lead", "quantization_accuracy",
                                        "quantization_speed"]
    assert drawable(FIGURES, plain[plain.task != "speed"])[-1] == "quantization_accuracy"
    assert isinstance(named(FIGURES, "quantization_calibration").show(plain, tmp_path), Missing)
    for name in drawable(FIGURES, plain):
        assert named(FIGURES, name).show(plain, tmp_path).path.stat().st_size > 5000, "one seed and one repeat: no intervals"


def test_only_a_symmetric_grid_is_no_ablation():
    only = FRAME[FRAME.search.isna() | FRAME.search.isin(["all", "symmetric"])]
    only = only[only.samples.isna() | ((only.calibration == "mixture") & (only.samples == 32))]
    assert (only.search == "symmetric").any() and tables.ablation_table(only).empty
    assert "quantization_calibration" not in drawable(FIGURES, only)


def test_the_same_rows_give_the_same_bytes_in_any_order(drawn, tmp_path):
    shuffled = FRAME.sample(frac=1, random_state=3)
    for figure in FIGURES:
        for folder, (fig, table) in (("a", drawn[figure.name]), ("b", figure.drawn(shuffled))):
            plots.save(fig, figure.name, table, tmp_path / folder, figure.caption)
        first, second = ((tmp_path / folder / f"{figure.name}.svg").read_bytes() for folder in "ab")
        assert first == second, figure.name


@pytest.mark.parametrize("draw", [figures.quantization_frontier, lambda empty: figures.quantization_lead(empty, empty),
                                  figures.quantization_accuracy, figures.quantization_calibration,
                                  drawings_speed.quantization_speed])
def test_a_table_without_lines_is_refused(draw):
    with pytest.raises(style.PlotError, match="no lines"):
        draw(pd.DataFrame())
