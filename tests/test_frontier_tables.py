"""The tables and quantities of the frontier study recover what was planted in made-up rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rows_09_frontier as made

from edgekit import store
from edgekit.analyze import frontier, votes
from edgekit.analyze.observed import NotMeasured, Setting
from edgekit.analyze.once import remembering
from edgekit.claims import judgement
from edgekit.schema import NO_ANSWER
from edgekit.studies.frontier import quantities, tables, tables_answers, tables_choices, tables_votes

FRAME = store.to_frame(made.rows())
SETTING = Setting(models=("pocket",))
ANY = (-np.inf, np.inf)


@pytest.fixture(scope="module", autouse=True)
def once():
    with remembering():
        yield


def line(table, **at):
    found = table[np.logical_and.reduce([table[name] == value for name, value in at.items()])]
    assert len(found) == 1, found
    return found.iloc[0]


def test_each_configuration_has_its_planted_accuracy_and_time():
    table = tables.frontier_table(FRAME)
    for (model, mode), accuracy in made.ACCURACY.items():
        for dtype in made.SLOWER:
            one = line(table, model=model, mode=mode, dtype=dtype)
            assert one.accuracy == pytest.approx(accuracy, abs=0.0126) and one.tokens == made.TOKENS[mode]
            assert one.time_s == pytest.approx(made.seconds(model, dtype, made.TOKENS[mode]), rel=1e-3)
            assert one.time_s_low <= one.time_s <= one.time_s_high and one.accuracy_low < one.accuracy < one.accuracy_high
            assert one.cut == mode.startswith("hard") and one.unread == pytest.approx(1 / 40)
    assert list(table.pareto) == list(frontier.pareto(table.time_s, table.accuracy))
    assert not table[(table["dtype"] == "float16") & table.pareto].size, "each is as accurate and slower"
    assert table.energy_j.isna().all(), "no sensor was read"


def test_questions_that_one_configuration_lacks_are_left_out_of_all():
    lacking = FRAME[~((FRAME.task == "reasoning") & (FRAME["mode"] == "direct") & (FRAME["item"] == "q03"))]
    assert set(tables.frontier_table(lacking).n) == {39}
    alone = FRAME[(FRAME.task != "reasoning") | (FRAME["item"] == "q00")]
    assert tables.grids(alone[alone.task != "pool"]) == {}, "one question gives no frontier"
    assert tables.frontier_table(FRAME[FRAME.task != "speed"]).empty, "nor do answers without times"


def test_budgets_stand_beside_full_reasoning_on_the_same_questions():
    table = tables_answers.budgets_table(FRAME)
    one = line(table, model="pocket-10m", mode="budget-2", dtype="Q4_0")
    assert one.token_ratio == pytest.approx(30 / 80) and one.gained == pytest.approx(0.80 - 0.95)
    assert one.gained_low < one.gained < one.gained_high < 0 and one.kept == pytest.approx(39 / 40)
    assert pd.isna(line(table, model="pocket-10m", mode="hard-12", dtype="Q4_0").kept)
    assert "think" not in set(table["mode"])


def test_votes_come_from_the_pool_of_each_question():
    table = tables_votes.votes_table(FRAME)
    assert list(table.samples) == [1, 2, 4, 8, 16, 32] and set(table.model) == {"pocket-900k"}
    pools = FRAME[(FRAME.task == "pool")]
    expected = []
    for _, pool in pools.groupby("item"):
        answers = ["right" if value else answer for value, answer in zip(pool.value, pool.answer, strict=True)]
        expected.append(votes.vote(answers, "right", 8).right)
    eight, one = line(table, samples=8), line(table, samples=1)
    assert eight.accuracy == pytest.approx(np.mean(expected)) and one.accuracy == pytest.approx(pools.value.mean())
    assert eight.gained == pytest.approx(eight.accuracy - one.accuracy) and eight.gained_low > 0
    assert line(table, samples=32)["any"] >= eight["any"] > eight.accuracy and 0 < eight.tied < 0.2
    assert one.unread == pytest.approx((pools.answer == NO_ANSWER).mean())
    step, stretch = made.STEP["pocket-900k"], made.STRETCH[8]
    first = step * (1 + made.PROMPT_SHARE * made.PROMPT)
    together, alone = first + stretch * step * (eight.longest - 1), first + step * (one.longest - 1)
    assert eight.time_ratio == pytest.approx(together / alone, rel=1e-3)
    assert pd.isna(line(table, samples=4).time_ratio), "so many were not timed at once"


def test_samples_in_parallel_have_their_planted_shares_of_the_roofs():
    table = tables_votes.parallel_table(FRAME)
    for batch, stretch in made.STRETCH.items():
        one = line(table, model="pocket-10m", batch=batch)
        assert one.step_ratio == pytest.approx(stretch) and one.speed_up == pytest.approx(batch / stretch)
        # Of quantized weights the roof is what the same kernels reach in prefill: 192 tokens in 1 + 192 / 50 steps.
        prefill = 192 / (1 + 192 * made.PROMPT_SHARE)
        assert one.compute_utilisation == pytest.approx(batch / stretch / prefill, rel=0.02), "one prompt was read"
        assert one.of_roof == max(one.bandwidth_utilisation, one.compute_utilisation)
        assert one.peak_memory_bytes == 1e8 + 1e6 * batch


def test_the_best_within_a_limit_is_that_of_brute_force():
    table, grid = tables_choices.choices_table(FRAME), tables.grids(FRAME)["pocket_chain"]
    assert list(table.limit_s) == tables_choices.limits_of(grid.time_s) and table.limit_s.is_monotonic_increasing
    assert table.limit_s.iloc[0] >= grid.time_s.min() and table.limit_s.iloc[-1] >= grid.time_s.max()
    for one in table.itertuples():
        fits = [(accuracy, -time) for accuracy, time in zip(grid.accuracy, grid.time_s, strict=True) if time <= one.limit_s]
        assert (one.accuracy, -one.time_s) == max(fits)
        assert 0 <= one.stable <= 1
    assert table.accuracy.is_monotonic_increasing and list(table.model)[0] == "pocket-200k"
    assert table.iloc[-1].model == "pocket-10m" and table.iloc[-1]["mode"] == "think"


@pytest.mark.parametrize("times, limits", [([0.0031], [0.005]), ([2.0, 2.0], [2.0]),
                                           ([0.9, 14.0], [1.0, 2.0, 5.0, 10.0, 20.0])])
def test_limits_go_from_the_first_that_is_met_to_the_first_that_all_meet(times, limits):
    assert tables_choices.limits_of(times) == pytest.approx(limits)


def test_no_reasoning_is_better_up_to_a_size_between_the_two_smallest():
    gains = tables_choices.sizes_table(FRAME)
    assert line(gains, model="pocket-200k", dtype="Q4_0").gained == pytest.approx(0.05)
    assert line(gains, model="pocket-10m", dtype="Q4_0").gained == pytest.approx(-0.35)
    [one, other] = tables_choices.crossing_table(FRAME).itertuples()
    assert one.size == pytest.approx(frontier.crossing([2e5, 9e5], [0.05, -0.20])) and 2e5 < one.size < 9e5
    assert 0.5 < one.crosses <= 1 and one.size_low <= one.size <= one.size_high and other.size == one.size


def test_the_tip_finds_what_the_exhaustive_search_finds_where_bits_cost_nothing():
    table = tables_choices.tip_table(FRAME)
    think = table[table["mode"] == "think"]
    assert list(think.wanted) == pytest.approx([0.45, 0.75, 0.95]) and list(think.measured) == [1, 2, 3]
    assert (think.slower == 1).all() and list(think.saved) == pytest.approx([5 / 6, 4 / 6, 3 / 6])
    assert (think.chosen == think.best).all() and think.chosen.str.endswith("Q4_0").all()


def test_real_requests_are_compared_with_what_is_foretold():
    table = tables_answers.requests_table(FRAME)
    assert table.measured_over_foretold.to_numpy() == pytest.approx(1.1, rel=1e-3) and (table.n == 6).all()


def test_the_power_of_so_many_questions_is_told_beforehand():
    table = tables_choices.power_table(200)
    assert list(table.detectable) == sorted(table.detectable) and table.for_5.gt(3 * table.for_10).all()
    assert tables_choices.power_table(6).detectable.isna().all(), "so few find nothing"


def test_quantities_are_those_of_the_tables():
    [growth] = quantities.best_size_growth(FRAME, SETTING, ANY)
    assert growth.estimate.value == 50 and growth.scale == "pocket"
    [gain] = quantities.no_reasoning_gain(FRAME, SETTING, ANY)
    assert gain.estimate.value == pytest.approx(-5) and "direct" in gain.note
    assert quantities.prompt_budget_tokens(FRAME, SETTING, (0, 1))[0].estimate.value == pytest.approx(0.375)
    assert quantities.prompt_budget_cost(FRAME, SETTING, (0, np.inf))[0].estimate.value > 0
    assert quantities.budget_kept(FRAME, SETTING, (90, np.inf))[0].estimate.value == pytest.approx(97.5)
    assert quantities.no_reasoning_gain_smallest(FRAME, SETTING, (0, np.inf))[0].estimate.value == pytest.approx(5)
    assert quantities.vote_gain(FRAME, SETTING, (0, np.inf))[0].estimate.low > 0
    assert 1 < quantities.vote_time_ratio(FRAME, SETTING, (0, 1.5))[0].estimate.value < 1.5
    assert quantities.scaling_time_ratio(FRAME, SETTING, (0, 2.5))[0].estimate.value == pytest.approx(2.3)
    assert quantities.tip_slower(FRAME, SETTING, (0, 1.25))[0].estimate.value == 1
    assert quantities.tip_saved(FRAME, SETTING, (33, np.inf))[0].estimate.value == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize("name", quantities.QUANTITIES)
def test_a_quantity_without_its_rows_says_what_it_lacks(name):
    for frame in (store.to_frame([]), FRAME[FRAME.task == "device"]):
        with pytest.raises(NotMeasured, match="."):
            quantities.QUANTITIES[name].function(frame, SETTING, ANY)
    with pytest.raises(NotMeasured, match="."):
        quantities.QUANTITIES[name].function(FRAME, Setting(models=("real",)), ANY)


def test_the_verdicts_follow_from_the_planted_truth():
    verdicts = {one.claim.id: one for one in judgement.judge(judgement.load("09_frontier"), FRAME, "a machine")}
    assert set(verdicts) == {"S2.5", "S3.4", "S3.5", "S3.6", "ER.4"}
    assert verdicts["S3.6"].verdict == verdicts["ER.4"].verdict == verdicts["S2.5"].verdict == "holds at scale model"
    assert verdicts["S3.4"].verdict == verdicts["S3.5"].verdict == "undecided", "forty questions do not decide"


def test_what_others_measured_is_read_by_part():
    table = tables_votes.published("parallel")
    ratios = table.groupby("label").total_s.last() / table.groupby("label").total_s.first()
    assert ratios.between(2.27, 2.40).all() and set(table.source) == {"published"}
    with pytest.raises(tables_votes.PublishedReasoningError, match="unknown part 'nothing'; known: parallel, budgets, votes"):
        tables_votes.published("nothing")
