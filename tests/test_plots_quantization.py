"""The figures of the quantization study show what its tables hold, and leave out what is no comparison of methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rows_03_quantization as made
from drawing import drawable, drawn_from

from edgekit import plots
from edgekit.plots import style
from edgekit.plots.figure import Missing, named
from edgekit.studies.quantization import drawings as figures
from edgekit.studies.quantization import tables
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
    assert [ax.get_title() for ax in fig.axes] == [f"{model}, {domain}" for model in made.MODELS
                                                   for domain in ("problems", "prose")]
    small = fig.axes[0]
    for method in style.METHODS:
        bits = (4,) if method == "awq" else (8, 4, 3)
        assert sorted(y for _, y in marks(small, method)) == pytest.approx(
            sorted(made.kl("pocket-900k", method, b) for b in bits)), "ablations and runtimes are not in it"
        assert sorted(x for x, _ in marks(small, method)) == pytest.approx(sorted(b + 0.5 for b in bits), abs=0.2)
    [steps] = lines(small, "frontier")
    assert list(steps.get_ydata()) == pytest.approx([made.kl("", "gptq", 3), made.kl("pocket-900k", "awq", 4),
                                                     made.kl("", "gptq", 8)])
    assert small.get_yscale() == "log" and set(table.domain) == {"problems", "prose"}
    assert set(table[(table.method == "awq") & (table.model == "pocket-10m")].stored_bits) == {4.5}


def test_accuracy_is_drawn_against_that_of_the_unquantized_model(drawn):
    fig, table = drawn["quantization_accuracy"]
    answers = FRAME[(FRAME.metric == "correct") & (FRAME.engine == "transformers") & (FRAME.dtype == "float32")]
    for ax, model in zip(fig.axes, made.MODELS, strict=True):
        here = answers[answers.model == model]
        [whole] = lines(ax, "unquantized")
        assert whole.get_ydata()[0] == here[here.method == "none"].value.mean()
        assert [y for _, y in marks(ax, "rtn")] == pytest.approx(
            [here[(here.method == "rtn") & (here.bits == bits)].value.mean() for bits in (3, 4, 8)])
    assert set(table.method) == {"none", *style.METHODS} and len(table) == 2 * 14


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


def test_speed_ups_stand_under_their_ceilings(drawn):
    fig, table = drawn["quantization_speed"]
    assert [ax.get_title() for ax in fig.axes] == ["a-135m", "b-0.5b"]
    ax = fig.axes[1]
    names = [label.get_text() for label in ax.get_yticklabels()]
    widths = {name: bar.get_width() for name, bar in zip(names, ax.patches, strict=True)}
    assert widths["transformers bfloat16"] == 1 and widths["llama_cpp Q4_0"] == pytest.approx(8, rel=0.1)
    ceilings = {names[round(np.mean(line.get_ydata()))]: line.get_xdata()[0] for line in lines(ax, "ceiling")}
    step = 4.9e8 * 4.5 / 8 + 1e4 * (64 + 16)
    assert ceilings["llama_cpp Q4_0"] == pytest.approx(0.080 / (step / 4e10), rel=0.1)
    assert set(ceilings) == set(names) and (table.speed_up < table.ceiling).all()


def test_rows_decide_which_figures_there_are(tmp_path):
    plain = made.frame(seeds=(0,), repeats=1)
    assert drawable(FIGURES, FRAME) == [figure.name for figure in FIGURES]
    assert drawable(FIGURES, plain) == ["quantization_frontier", "quantization_accuracy", "quantization_speed"]
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


@pytest.mark.parametrize("draw", [lambda empty: figures.quantization_frontier({"prose": empty}), figures.quantization_accuracy,
                                  figures.quantization_calibration, figures.quantization_speed])
def test_a_table_without_lines_is_refused(draw):
    with pytest.raises(style.PlotError, match="no lines"):
        draw(pd.DataFrame())
