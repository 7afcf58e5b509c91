"""Tables and figures of the scale models against loops over the same rows and against the truth that made them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as xml
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import rows_01_scale_models as made
from drawing import drawable

from edgekit import plots, store
from edgekit.analyze import stats
from edgekit.plots import accuracy, domains, named
from edgekit.studies.scale_models import drawings as figures
from edgekit.studies.scale_models import tables as scale
from edgekit.studies.scale_models import tables_behaviours as behaviours
from edgekit.studies.scale_models import tables_told as told
from edgekit.studies.scale_models.figures import FIGURES

ROWS = made.rows()
FRAME = store.to_frame(ROWS)
SMALL = list(made.MODELS)[0]
LARGE = list(made.MODELS)[-1]


@pytest.fixture(autouse=True)
def made_up_curves(monkeypatch):
    monkeypatch.setattr(scale, "training_table", lambda names: made.training()[lambda t: t.model.isin(list(names))])


def picked(task, **condition):
    return [row for row in ROWS if row.condition["task"] == task and condition.items() <= row.condition.items()]


def test_the_ladder_counts_every_item_once_and_smallest_models_first():
    table = scale.accuracy_ladder(FRAME)
    assert list(dict.fromkeys(table.model)) == list(made.MODELS)
    assert len(table) == len(made.MODELS) * (6 * 8 + 4 * 4) and table.n.unique().tolist() == [20]
    for line in table.sample(12, random_state=1).to_dict("records"):
        at = {name: line[name] for name in scale.LINE}
        right = [row.value for row in picked("accuracy", **at) if row.metric == "correct"]
        expected = stats.wilson(int(sum(right)), len(right))
        assert (line["accuracy"], line["accuracy_low"], line["accuracy_high"]) == (expected.value, expected.low, expected.high)


def test_budgets_are_lines_of_reasoning_and_thinking_has_as_many_as_steps():
    table = scale.budget_ladder(FRAME)
    assert set(table.domain) == {"chain"}
    for mode, budget in (("direct", 0), ("budget-3", 3)):
        assert set(table[table["mode"] == mode].budget) == {budget}
    think = table[table["mode"] == "think"]
    assert (think.budget == think.depth).all()


def test_the_gain_of_reasoning_is_paired_by_item():
    table = scale.reasoning_gain(FRAME).set_index(["model", "mode", "depth"])
    answers = defaultdict(dict)
    for row in picked("accuracy", model=LARGE, domain="chain", depth=4):
        if row.metric == "correct":
            answers[row.condition["item"]][row.condition["mode"]] = row.value
    gain = np.mean([modes["think"] - modes["direct"] for modes in answers.values()])
    assert table.loc[(LARGE, "think", 4), "gain"] == pytest.approx(gain) and gain > 0.3
    assert "direct" not in table.index.get_level_values("mode")


def test_excess_a_token_is_a_ratio_of_sums_and_its_interval_holds_the_truth():
    table = scale.prose_table(FRAME).set_index("model")
    for model in made.MODELS:
        rows = picked("prose", model=model)
        assert table.excess[model] == pytest.approx(sum(r.value for r in rows) / sum(r.condition["tokens"] for r in rows))
        assert table.excess_low[model] <= made.excess(model) <= table.excess_high[model]
    fit = stats.power_law(table.parameters, table.excess)
    assert fit.low < made.EXPONENT < fit.high


def test_acceptance_is_pooled_over_tokens_with_prompts_as_clusters():
    table = scale.acceptance_table(FRAME).set_index(["domain", "target", "draft", "temperature"])
    for metric, temperature in (("accepted", 0), ("overlap", 1)):
        rows = [row for row in picked("acceptance", model=LARGE, draft=SMALL, domain="prices") if row.metric == metric]
        drafted = sum(row.condition["drafted"] for row in rows)
        line = table.loc[("prices", LARGE, SMALL, temperature)]
        assert line.rate == pytest.approx(sum(row.value for row in rows) / drafted)
        assert line.drafted == drafted and line.n == 12
        assert 0 <= line.rate_low < line.rate < line.rate_high <= 1
    assert all(target != draft for _, target, draft, _ in table.index)


def test_rounding_is_compared_with_the_unrounded_model_on_the_same_items():
    table = scale.rounded_accuracy(FRAME).set_index(["model", "bits", "group", "domain"])
    whole = {(row.condition["mode"], row.condition["item"]): row.value for row in picked("accuracy", model=LARGE)
             if row.metric == "correct"}
    rows = picked("rounded_accuracy", model=LARGE, bits=2, group=32, domain="chain")
    change = np.mean([row.value - whole[row.condition["mode"], row.condition["item"]] for row in rows])
    line = table.loc[(LARGE, 2, 32, "chain")]
    assert line.change == pytest.approx(change) and line.n == len(rows) == 60 and line.change_high < 0
    unrounded = table.loc[(LARGE, 32, 32, "chain")]
    asked = {row.condition["item"] for row in rows}
    assert unrounded.accuracy == pytest.approx(np.mean([whole["think", item] for item in asked]))
    assert math.isnan(unrounded.change)


def test_rounded_prose_finds_the_loss_that_was_added():
    table = scale.rounded_prose(FRAME).set_index(["model", "bits", "group"])
    for bits in made.BITS:
        added = made.excess(LARGE, bits) - made.excess(LARGE)
        assert table.loc[(LARGE, bits, 64), "added"] == pytest.approx(added, abs=1e-9)
    assert table.loc[(LARGE, 32, 64), "excess"] == pytest.approx(scale.prose_table(FRAME).set_index("model").excess[LARGE])


def test_peaks_are_the_greatest_of_the_layers():
    table = scale.activation_table(FRAME)
    assert (table.peak_over_rms == 6.0).all() and (table.layer == 3).all() and (table.outlier_features == 0).all()


@pytest.mark.parametrize("table", ["accuracy_ladder", "budget_ladder", "reasoning_gain", "prose_table", "acceptance_table",
                                   "rounded_accuracy", "rounded_prose", "activation_table"])
def test_without_rows_a_table_has_no_lines(table):
    assert len(getattr(scale, table)(pd.DataFrame())) == 0
    assert len(getattr(scale, table)(FRAME[FRAME.task == "size"])) == 0


# statistics of their own

def test_a_ratio_of_sums_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        lengths = rng.integers(5, 60, 25)
        found = stats.ratio_of_sums((0.3 + rng.normal(0, 0.1, 25)) * lengths, lengths)
        held += found.low <= 0.3 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_shares_stay_between_0_and_1_and_full_agreement_keeps_a_width():
    full = stats.clustered_share([5, 9, 7], [5, 9, 7])
    assert full.value == full.high == 1 and full.low == stats.wilson(3, 3).low < 0.5
    assert stats.clustered_share([0, 0], [4, 4]).high == stats.wilson(0, 2).high
    near = stats.clustered_share([9, 10, 10], [10, 10, 10])
    assert near.high == 1 and 0.8 < near.low < near.value
    assert stats.clustered_share([3], [4]).low is None
    with pytest.raises(ValueError, match="as many numerators as denominators"):
        stats.ratio_of_sums([1, 2], [1])


def test_a_power_law_gives_back_its_exponent():
    x = np.array([1e5, 1e6, 1e7, 1e8])
    exact = stats.power_law(x, 3 * x**-0.34)
    assert exact.value == pytest.approx(0.34) and exact.high - exact.low < 1e-6
    assert stats.power_law(x[:2], x[:2] ** 0.5).low is None
    with pytest.raises(ValueError, match="at least two different x"):
        stats.power_law([1, 1], [1, 2])


# behaviours

def test_every_behaviour_is_judged_and_says_what_follows():
    judged = behaviours.judge(behaviours.load(), FRAME)
    words = {behaviour.id: seen.word for behaviour, seen in judged}
    assert words == {"acceptance": "alike", "rounding": "alike", "reasoning": words["reasoning"], "outliers": "not present",
                     "depth": "alike", "size_exponent": words["size_exponent"], "tokens_exponent": "unlike",
                     "rare_facts": "alike"}
    text = behaviours.markdown_list(judged)
    assert text.count("\n") == 4 * len(judged) and "arXiv:2211.17192" in text
    assert all(seen.ours and seen.means for _, seen in judged)


def test_a_behaviour_turns_with_the_rows():
    flat = FRAME.copy()
    direct = (flat.task == "accuracy") & (flat["mode"] == "direct") & (flat.metric == "correct") & (flat.domain == "chain")
    flat.loc[direct, "value"] = 1.0
    assert behaviours.fall_with_depth(flat).word == "unlike"
    flat.loc[(flat.task == "accuracy") & (flat["mode"] == "think") & (flat.metric == "correct"), "value"] = 0.0
    assert behaviours.gain_by_size(flat).word == "unlike", "nobody gains where only direct answers are right"
    loud = FRAME.copy()
    loud.loc[loud.metric == "outlier_features", "value"] = 2.0
    assert behaviours.outlier_features(loud).word == "alike"
    same = FRAME.copy()
    same.loc[same.task == "acceptance", "value"] = same.drafted
    assert behaviours.acceptance_by_draft_size(same).word == "undecided"
    turned = FRAME.copy()
    drafts = (turned.task == "acceptance") & (turned.model == LARGE)
    turned.loc[drafts, "value"] *= turned.draft[drafts].map({SMALL: 1.0, "pocket-900k": 0.7, "pocket-3m": 0.4})
    assert behaviours.acceptance_by_draft_size(turned).word == "unlike"


def test_few_items_leave_a_behaviour_undecided():
    few = store.to_frame(made.rows(items=2, stories=2, prompts=2))
    words = {behaviour.id: seen.word for behaviour, seen in behaviours.judge(behaviours.load(), few)}
    assert words["depth"] == words["rare_facts"] == words["reasoning"] == "undecided"


def test_without_rows_nothing_is_claimed():
    empty = FRAME[FRAME.task == "size"]
    words = {behaviour.id: seen.word for behaviour, seen in behaviours.judge(behaviours.load(), empty)}
    assert set(words.values()) - {words["tokens_exponent"]} == {"not measured"}


def test_a_damaged_file_of_behaviours_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROOT", tmp_path)
    file = tmp_path / "data/published/behaviours.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("behaviours:\n  - {id: x, title: y}\n")
    with pytest.raises(behaviours.BehavioursError, match="entry 1: expected the keys beside, id"):
        behaviours.load()
    entry = "{id: x, title: y, statement: s, numbers: [], unit: u, source: s, locator: l, beside: z}"
    file.write_text(f"behaviours:\n  - {entry}\n")
    with pytest.raises(behaviours.BehavioursError, match="unknown quantity 'z'; known: acceptance_by_draft_size"):
        behaviours.load()


def test_the_family_has_its_training_beside_its_loss_on_prose():
    table = told.family_table(FRAME).set_index("model")
    curves, prose = made.training(), scale.prose_table(FRAME).set_index("model")
    assert list(table.index) == list(made.MODELS)
    for model, line in table.iterrows():
        curve = curves[curves.model == model]
        assert line.tokens_seen == curve.tokens.max() and line.validation_loss == curve.validation_loss.iloc[-1]
        assert line.excess == prose.excess[model]


def test_shallowest_and_deepest_of_the_largest_and_what_had_no_answer():
    ends = told.ends_table(FRAME)
    assert set(ends.model) == {LARGE} and ends.depth.nunique() == 2
    assert ends.depth.min() == scale.accuracy_ladder(FRAME).depth.min()
    missed = told.unanswered_table(FRAME).set_index("model").unanswered
    for model in made.MODELS:
        rows = [row.value for row in ROWS if row.metric == "unanswered" and row.condition["model"] == model
                and row.condition["task"] == "accuracy"]
        assert missed[model] == sum(rows)


def test_exponents_are_those_of_the_fits():
    table = told.exponent_table(FRAME)
    prose = scale.prose_table(FRAME)
    of_size = table[table.variable == "weights"].iloc[0]
    assert of_size.exponent == stats.power_law(prose.parameters, prose.excess).value and of_size.exponent_low < of_size.exponent
    assert (table.variable == "tokens seen").sum() == len(made.MODELS)


def test_domains_are_summed_over_their_levels():
    table = told.domain_table(FRAME)
    for line in table.sample(4, random_state=2).itertuples():
        rows = [row.value for row in picked("accuracy", model=line.model, domain=line.domain) if row.metric == "correct"]
        assert (line.n, line.accuracy) == (len(rows), pytest.approx(sum(rows) / len(rows)))


def test_changes_are_counted_once_each():
    table = told.change_table(FRAME)
    rounded = scale.rounded_accuracy(FRAME)
    assert table[["lose", "gain", "no_difference"]].to_numpy().sum() == (rounded.bits < 32).sum()
    least = table[table.bits == table.bits.min()].iloc[0]
    assert least["lose"] == (rounded[rounded.bits == rounded.bits.min()].change_high < 0).sum()


def test_peaks_have_a_column_a_site():
    table = told.peaks_table(FRAME).set_index("model")
    long = scale.activation_table(FRAME)
    for line in long.itertuples():
        assert table.loc[line.model, line.site] == line.peak_over_rms


# figures

@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scale, "training_table", lambda names: made.training()[lambda t: t.model.isin(list(names))])
        folder = tmp_path_factory.mktemp("figures")
        return {figure.name: figure.show(FRAME, folder) for figure in FIGURES}


def test_every_figure_is_drawn_from_the_rows_with_its_table(pictures):
    assert len(pictures) == 6 and drawable(FIGURES, FRAME) == list(pictures)
    for picture in pictures.values():
        assert xml.parse(picture.path).getroot().tag.endswith("svg")
        assert len(pd.read_csv(picture.path.with_suffix(".csv"))) >= len(made.MODELS)


def test_figures_without_rows_say_so(tmp_path):
    assert drawable(FIGURES, FRAME[FRAME.task == "size"]) == []
    with pytest.raises(plots.PlotError, match="no lines to draw"):
        figures.scale_accuracy(scale.accuracy_ladder(pd.DataFrame()))


def marks(ax, colour, marker):
    return [point for line in ax.lines if line.get_marker() == marker and line.get_color() == colour
            for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_acceptance_stands_over_the_drafts_share_of_the_largest_targets_weights():
    table = scale.acceptance_table(FRAME).set_index(["target", "draft", "domain", "temperature"])
    fig, shown = named(FIGURES, "scale_acceptance").drawn(FRAME)
    assert [ax.get_title() for ax in fig.axes] == ["greedy", "sampled at temperature 1"]
    drafts = list(made.MODELS)[:-1]
    for ax, temperature in zip(fig.axes, (0, 1), strict=True):
        for domain, look in domains.looks(["chain think", "prices", "prose"]).items():
            seen = marks(ax, *look)
            assert [y for _, y in seen] == [100 * table.loc[(LARGE, draft, domain, temperature), "rate"] for draft in drafts]
            assert [x for x, _ in seen] == pytest.approx([100 * made.MODELS[draft] / made.MODELS[LARGE] for draft in drafts],
                                                         rel=0.1)
    assert set(shown.target) == {LARGE} and LARGE not in set(shown.draft)


def test_rounding_is_drawn_as_paired_changes():
    fig, shown = named(FIGURES, "scale_rounding").drawn(FRAME)
    assert fig.axes[-1].get_title() == "prose" and len(shown.group.unique()) == 1 and 32 not in set(shown.bits)
    look = accuracy.MODELS[LARGE]
    table = scale.rounded_prose(FRAME)
    table = table[(table.model == LARGE) & (table.group == shown.group.iloc[0]) & (table.bits < 32)]
    assert [y for _, y in marks(fig.axes[-1], *look)] == list(table.added) and len(table) > 1
    for ax in fig.axes:
        assert [list(line.get_ydata()) for line in ax.lines if line.get_gid() == "unrounded"] == [[0, 0]]


def test_queries_that_were_never_taught_are_pooled_over_their_levels():
    table = scale.accuracy_ladder(FRAME)
    fig, shown = figures.scale_queries(table)
    ours = table[(table.model == "pocket-3m") & table.domain.isin(figures.TAUGHT)]
    assert [ax.get_title() for ax in fig.axes] == ["tracking: who has it", "prices: facts", "never taught"]
    *taught, never = fig.axes
    assert sorted(y for ax in taught for _, y in marks(ax, *accuracy.MODELS["pocket-3m"])) == sorted(ours.accuracy)
    others = table[(table.model == "pocket-3m") & ~table.domain.isin(["chain", *figures.TAUGHT])].groupby("domain")
    pooled = (others.correct.sum() / others.n.sum()).to_dict()
    assert [tick.get_text() for tick in never.get_xticklabels()] == list(pooled) == ["large", "letters"]
    assert [y for _, y in marks(never, *accuracy.MODELS["pocket-3m"])] == list(pooled.values())


def test_answers_are_drawn_with_the_steps_and_without_them():
    fig, shown = named(FIGURES, "scale_accuracy").drawn(FRAME)
    assert set(shown["mode"]) == {"think", "direct"}
    for ax, mode in zip(fig.axes, ("think", "direct"), strict=True):
        ours = shown[(shown.model == LARGE) & (shown["mode"] == mode)]
        assert [y for _, y in marks(ax, *accuracy.MODELS[LARGE])] == list(ours.accuracy) and len(ours) == 8


def test_a_model_has_the_same_look_everywhere():
    look = accuracy.looks([*made.MODELS, "some/model", "other/model"])
    assert len(set(look.values())) == len(look) and all(look[name] == accuracy.MODELS[name] for name in made.MODELS)
    assert len({marker for _, marker in accuracy.MODELS.values()}) == len(accuracy.MODELS), "told apart in grey"


def test_one_size_has_points_and_no_fitted_line():
    alone = scale.prose_table(FRAME).head(1)
    fig, _ = figures.scale_prose(alone, made.training(), {"x": 0.3})
    assert not fig.axes[1].get_legend()
