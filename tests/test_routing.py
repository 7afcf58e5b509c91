"""Curves of routing scores against closed forms and brute force, intervals and powers against planted truth."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn import metrics

from edgekit.analyze import calibration, routing
from edgekit.analyze import routing_intervals as intervals
from edgekit.analyze.routing import Curve, Outcomes, RoutingError

RNG = np.random.default_rng(11)


def pair(n: int = 400, edge: float = 0.5, cloud: float = 0.75, seed: int = 0, **named) -> Outcomes:
    rng = np.random.default_rng(seed)
    return Outcomes((rng.random(n) < edge).astype(int), (rng.random(n) < cloud).astype(int), rng.uniform(1, 2, n),
                    rng.uniform(5, 9, n), **named)


def brute(score, outcomes, threshold):
    """Quality, cost over all to the cloud, and the two errors, query by query."""
    right = spent = missed = wasted = 0.0
    for i in range(outcomes.n):
        sent = score[i] < threshold
        right += outcomes.cloud[i] if sent else outcomes.edge[i]
        spent += outcomes.cloud_cost[i] * sent + outcomes.edge_cost[i] * (outcomes.always_edge or not sent)
        missed += not sent and outcomes.cloud[i] > outcomes.edge[i]
        wasted += sent and outcomes.cloud[i] <= outcomes.edge[i]
    return right / outcomes.n, spent / outcomes.cloud_cost.sum(), missed / outcomes.n, wasted / outcomes.n


@pytest.mark.parametrize("always_edge", [False, True])
def test_one_pass_gives_what_every_threshold_gives_by_itself(always_edge):
    outcomes = pair(60, always_edge=always_edge)
    score = RNG.integers(0, 12, 60).astype(float)  # ties
    found = routing.curve(score, outcomes)
    assert found.sent.shape == (1, len(set(score)) + 1)
    for i, threshold in enumerate(found.below):
        seen = [getattr(found, name)[0, i] for name in ("quality", "cost", "missed", "wasted")]
        assert seen == pytest.approx(brute(score, outcomes, threshold))
        assert found.sent[0, i] == pytest.approx((score < threshold).mean())


def test_a_score_that_says_nothing_is_the_straight_line_of_a_draw_by_lot():
    outcomes = pair()
    flat = routing.curve(np.zeros(outcomes.n), outcomes)
    sent = np.linspace(0, 1, 11)
    assert [flat.at_sent(flat.quality, share)[0] for share in sent] == pytest.approx(routing.random_quality(outcomes, sent))
    assert flat.apgr()[0] == pytest.approx(0.5) and flat.sent_for(0.8)[0] == pytest.approx(0.8)
    drawn = [routing.curve(RNG.random(outcomes.n), outcomes) for _ in range(300)]
    assert np.mean([one.apgr()[0] for one in drawn]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([one.at_sent(one.quality, 0.3)[0] for one in drawn]) == pytest.approx(
        routing.random_quality(outcomes, 0.3), abs=0.01)


def test_the_oracle_is_its_closed_form_and_nothing_lies_above_it():
    outcomes = pair()
    best = routing.curve(routing.oracle(outcomes), outcomes)
    sent = np.linspace(0, 1, 21)
    assert [best.at_sent(best.quality, share)[0] for share in sent] == pytest.approx(routing.oracle_quality(outcomes, sent))
    assert best.apgr()[0] == pytest.approx(routing.oracle_apgr(outcomes))
    assert best.apgr()[0] > 1  # it leaves out what sending harms, so that it is above the cloud for a while
    for _ in range(50):
        found = routing.curve(RNG.random(outcomes.n), outcomes)
        assert (found.quality[0] <= routing.oracle_quality(outcomes, found.sent[0]) + 1e-12).all()


def test_the_ends_are_always_the_device_and_always_the_cloud():
    outcomes = pair()
    for score in (RNG.random(outcomes.n), routing.oracle(outcomes)):
        found = routing.curve(score, outcomes)
        assert found.quality[0, [0, -1]] == pytest.approx([outcomes.edge.mean(), outcomes.cloud.mean()])
        assert found.cloud_cost[0, [0, -1]].tolist() == [0, 1] and found.pgr[0, [0, -1]].tolist() == [0, 1]
        assert found.cost[0, 0] == pytest.approx(outcomes.edge_cost.sum() / outcomes.cloud_cost.sum())
        assert found.cost[0, -1] == pytest.approx(1) and found.missed[0, -1] == found.wasted[0, 0] == 0


@pytest.mark.parametrize("change", [lambda x: 3 * x - 7, np.exp, lambda x: x**3, lambda x: 1 / (1 + np.exp(-x))])
def test_a_monotone_change_of_the_score_changes_nothing(change):
    outcomes, score = pair(), RNG.normal(size=400).round(1)
    one, other = routing.curve(score, outcomes), routing.curve(change(score), outcomes)
    for name in ("sent", "quality", "cost", "missed", "wasted"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))
    seen = [intervals.estimates(x, outcomes, {"apgr": Curve.apgr})["apgr"] for x in (score, change(score))]
    assert (seen[0].low, seen[0].high) == pytest.approx((seen[1].low, seen[1].high))


def test_thresholds_for_a_gain_are_where_the_curve_first_has_it():
    outcomes = pair()
    found = routing.curve(routing.oracle(outcomes) + 0.1 * RNG.normal(size=outcomes.n), outcomes)
    for share in (0.5, 0.8, 0.95):
        sent = found.sent_for(share)[0]
        assert found.at_sent(found.pgr, sent)[0] == pytest.approx(share)
        assert (found.pgr[0][found.sent[0] < sent - 1e-9] < share).all()
    assert found.cost_for(0.5)[0] < found.cost_for(0.95)[0]


def test_a_planted_useless_router_is_not_significant_and_a_planted_good_one_is():
    covered = significant = 0
    for seed in range(40):
        outcomes, rng = pair(300, seed=seed), np.random.default_rng([7, seed])
        useless = intervals.estimates(rng.random(300), outcomes, {"apgr": Curve.apgr}, draws=300)["apgr"]
        covered += useless.low <= 0.5 <= useless.high
        good = intervals.estimates(outcomes.edge + rng.normal(size=300), outcomes, {"apgr": Curve.apgr}, draws=300)["apgr"]
        significant += good.low > 0.5
    assert covered >= 35 and significant >= 38


def test_differences_are_paired_so_a_score_does_not_differ_from_itself():
    outcomes, score = pair(), RNG.random(400)
    same = intervals.difference(score, 2 * score, outcomes, Curve.apgr)
    assert same.value == same.low == same.high == 0
    better = intervals.difference(routing.oracle(outcomes) + 0.5 * score, score, outcomes, Curve.apgr)
    assert better.low > 0


def test_resampling_gives_the_spread_that_the_formula_gives():
    """A useless score's APGR has the variance that the power calculation rests on."""
    outcomes = pair(500, 0.4, 0.8)
    helps, harms = (outcomes.gain > 0).mean(), (outcomes.gain < 0).mean()
    told = np.sqrt((helps + harms - (helps - harms)**2) / 12 / 500) / (helps - harms)
    drawn = [routing.curve(RNG.random(500), outcomes).apgr()[0] for _ in range(400)]
    assert np.std(drawn) == pytest.approx(told, rel=0.1)
    spreads = [intervals.resampled(RNG.random(500), outcomes, {"": Curve.apgr}, draws=200)[""].std() for _ in range(20)]
    assert np.mean(spreads) == pytest.approx(told, rel=0.1)


def test_so_many_items_as_are_needed_find_a_planted_effect_four_times_of_five():
    def noisy(outcomes: Outcomes, rng: np.random.Generator) -> float:
        return routing.curve(-outcomes.gain + 2.6 * rng.normal(size=outcomes.n), outcomes).apgr()[0]

    large = pair(200_000)
    planted = noisy(large, np.random.default_rng(1))
    helps, harms = (large.gain > 0).mean(), (large.gain < 0).mean()
    n = intervals.items_needed(helps, harms, planted)
    told = 1.96 * np.sqrt((helps + harms - (helps - harms)**2) / 12 / n) / (helps - harms)
    found = [noisy(pair(n, seed=seed), np.random.default_rng([3, seed])) - 0.5 > told for seed in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)
    assert intervals.items_needed(helps, harms, 0.54) == pytest.approx(4 * intervals.items_needed(helps, harms, 0.58), rel=0.01)
    with pytest.raises(RoutingError, match="more queries helped than harmed"):
        intervals.items_needed(0.1, 0.2, 0.6)


def test_thresholds_are_chosen_on_other_folds_than_they_decide():
    outcomes, folds = pair(), np.arange(400) % 4
    score = RNG.random(400)
    kept = intervals.chosen(score, outcomes, folds, intervals.keeping(0.75))
    assert (~kept.sent).mean() == pytest.approx(0.75, abs=0.06)
    other = score.copy()
    other[folds == 2] = RNG.permutation(other[folds == 2]) + 5  # what a fold's own scores are does not move its threshold
    assert intervals.chosen(other, outcomes, folds, intervals.keeping(0.75)).thresholds[2] == kept.thresholds[2]
    gained = intervals.chosen(routing.oracle(outcomes), outcomes, folds, intervals.gaining(0.95))
    right = np.where(gained.sent, outcomes.cloud, outcomes.edge)
    assert right.mean() >= outcomes.edge.mean() + 0.95 * outcomes.gain.mean()
    with pytest.raises(RoutingError, match="at least two"):
        intervals.chosen(score, outcomes, np.zeros(400), intervals.keeping(0.5))


def test_what_cannot_be_judged_is_refused():
    outcomes = pair()
    with pytest.raises(RoutingError, match="expected 400 finite numbers"):
        routing.curve(np.full(400, np.nan), outcomes)
    with pytest.raises(RoutingError, match="0 or 1"):
        Outcomes(np.array([0.5]), np.array([1]), np.ones(1), np.ones(1))
    with pytest.raises(RoutingError, match="as many of each"):
        Outcomes(np.zeros(2), np.ones(1), np.ones(1), np.ones(1))
    with pytest.raises(RoutingError, match="no gain to have a share of"):
        routing.oracle_apgr(Outcomes(np.ones(4), np.ones(4), np.ones(4), np.ones(4)))
    with pytest.raises(RoutingError, match="no negative ones"):
        Outcomes(np.ones(2), np.ones(2), -np.ones(2), np.ones(2))


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_of_0_to_1_is_refused(threshold):
    with pytest.raises(RoutingError, match="0 to 1"):
        routing.keeps(np.array([0.2, 0.9]), threshold)


def test_a_probability_on_the_threshold_is_kept_and_what_is_none_is_refused():
    assert routing.keeps(np.array([0.2, 0.5, 0.9]), 0.5).tolist() == [False, True, True]
    with pytest.raises(RoutingError, match="0 to 1"):
        routing.keeps(np.array([0.2, 1.4]), 0.5)


def test_calibration_finds_planted_probabilities_and_their_errors():
    said = RNG.uniform(0.05, 0.95, 20_000)
    right = (RNG.random(20_000) < said).astype(int)
    assert calibration.expected_error(said, right) < 0.015
    table = calibration.reliability(said, right)
    assert len(table) == 10 and table.n.sum() == 20_000 and ((table.share_low < table.said) & (table.said < table.share_high)
                                                             ).sum() >= 8
    bold = np.clip(0.5 + 2 * (said - 0.5), 0, 1)
    assert calibration.expected_error(bold, right) > 0.1
    assert calibration.brier(said, right) == pytest.approx(metrics.brier_score_loss(right, said))
    assert calibration.brier(said, right) < calibration.brier(bold, right)
    assert calibration.discrimination(said, right) == pytest.approx(metrics.roc_auc_score(right, said))
    assert calibration.discrimination(said.round(1), right) == pytest.approx(metrics.roc_auc_score(right, said.round(1)))


def test_calibration_refuses_what_is_no_probability_or_outcome():
    with pytest.raises(RoutingError, match="probabilities 0 to 1"):
        calibration.brier(np.array([1.2]), np.array([1]))
    with pytest.raises(RoutingError, match="as many"):
        calibration.reliability(np.array([0.2]), np.array([1, 0]))
    with pytest.raises(RoutingError, match="one kind"):
        calibration.discrimination(np.array([0.2, 0.4]), np.array([1, 1]))


def test_ten_thousand_queries_pass_through_all_policies_with_their_intervals_in_seconds():
    outcomes = pair(10_000)
    measures = {"apgr": Curve.apgr, "cpt50": lambda found: found.sent_for(0.5), "cost95": lambda found: found.cost_for(0.95)}
    began = time.process_time()
    for _ in range(5):
        seen = intervals.estimates(RNG.random(10_000), outcomes, measures)
    assert seen["apgr"].high - seen["apgr"].low < 0.1
    assert time.process_time() - began < 20
