"""The estimator learns what is planted in texts, says so in calibrated probabilities, and refuses what it cannot learn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.linear_model import LogisticRegression

from edgekit.analyze import calibration
from edgekit.route import estimator, features
from edgekit.route.estimator import EstimatorError, Examples
from edgekit.route.features import Known, QueryError

NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivan", "Jo"]


@pytest.fixture(autouse=True)
def _one_core():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planted(n: int, seed: int, confidence: bool = False) -> Examples:
    """Problems of 1 to 8 steps; the device has one right with a probability that falls with them, the cloud with 0.9."""
    rng = np.random.default_rng(seed)
    depth = rng.integers(1, 9, n)
    texts = [f"{rng.choice(NAMES)} has {rng.integers(90)} stones. "
             + " ".join(f"{rng.choice(NAMES)} gives {rng.integers(90)} more." for _ in range(steps)) for steps in depth]
    chance = special.expit(4 - depth)
    edge = (rng.random(n) < chance).astype(int)
    sure = (edge + 0.3 * rng.normal(size=n))[:, None] if confidence else np.zeros((n, 0))
    return Examples(texts, edge, (rng.random(n) < 0.9).astype(int), depth.astype(float), sure)


@pytest.fixture(scope="module")
def learnt():
    return estimator.train(planted(500, 1), planted(200, 2), seed=0, steps=120)


def test_it_has_about_two_million_weights():
    assert 1.5e6 < estimator.untrained(0).parameters < 2.5e6


def test_it_learns_what_is_planted_and_says_so_in_probabilities(learnt):
    asked = planted(600, 3)
    found = learnt.judge_all(asked.texts, asked.confidence)
    said = np.array([one.edge for one in found])
    assert calibration.discrimination(said, asked.edge) > 0.8
    assert calibration.expected_error(said, asked.edge) < 0.1
    assert calibration.brier(said, asked.edge) < 0.7 * asked.edge.mean() * (1 - asked.edge.mean())
    assert np.mean([one.cloud for one in found]) == pytest.approx(0.9, abs=0.06)


def test_its_depth_head_counts_steps(learnt):
    asked = planted(300, 4)
    depth = np.array([one.depth for one in learnt.judge_all(asked.texts, asked.confidence)])
    assert np.corrcoef(np.log2(depth), np.log2(asked.depth))[0, 1] > 0.85


def test_confidence_of_the_answer_is_one_input_more():
    model = estimator.train(planted(400, 5, confidence=True), planted(150, 6, confidence=True), seed=0, steps=150)
    text = "Ada has 4 stones. " + "Ben gives 3 more. " * 4
    assert model.judge(text, [1.0]).edge > model.judge(text, [0.0]).edge + 0.1
    asked = planted(400, 7, confidence=True)
    said = [one.edge for one in model.judge_all(asked.texts, asked.confidence)]
    assert calibration.discrimination(np.array(said), asked.edge) > 0.9


def test_the_same_seed_learns_the_same_and_the_callers_own_draws_stay_theirs():
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    one, other = (estimator.train(planted(100, 1), planted(60, 2), seed=3, steps=5) for _ in range(2))
    assert torch.rand(1) == expected
    assert one.judge("Ada has 4 stones.") == other.judge("Ada has 4 stones.")
    different = estimator.train(planted(100, 1), planted(60, 2), seed=4, steps=5)
    assert different.judge("Ada has 4 stones.") != one.judge("Ada has 4 stones.")


def test_one_query_at_a_time_is_judged_as_among_others(learnt):
    texts = planted(20, 8).texts
    together = learnt.judge_all(texts, np.zeros((20, 0)))
    assert [learnt.judge(text).edge for text in texts] == pytest.approx([one.edge for one in together], abs=1e-5)


def test_unknown_ground_is_told_by_its_coverage(learnt):
    known, unknown = (learnt.judge(text) for text in ("Ada has 41 stones. Ben gives 12 more.",
                                                      "Quelle heure est-il maintenant dehors ?"))
    assert known.coverage > 0.5 > 0.15 > unknown.coverage


def test_a_training_query_does_not_cover_itself():
    queries = [features.read(text) for text in ("red apples", "red stones")]
    known = Known.of(queries)
    # Of the words red, apples and the pair of both only red stands in another query.
    assert known.coverage(queries[0], own=True) == pytest.approx(1 / 3)
    assert known.coverage(queries[0]) == 1 and known.coverage(features.read("blue sky")) == 0


@pytest.mark.parametrize("text", ["", "   \n\t", "\x00\x07"])
def test_a_query_without_text_is_refused(text, learnt):
    with pytest.raises(QueryError, match="something to read"):
        learnt.judge(text)


@pytest.mark.parametrize("value", [None, 7, b"bytes", ["list"]])
def test_what_is_no_text_is_refused_by_its_kind(value):
    with pytest.raises(QueryError, match=type(value).__name__):
        features.read(value)


def test_huge_queries_and_control_characters_are_read(learnt):
    huge = "Ada has 4 stones. " * 200_000
    query = features.read(huge)
    assert query.characters == len(huge) and len(query.grams) < 3 * features.MOST_CHARACTERS
    assert 0 <= learnt.judge(huge).edge <= 1
    plain, broken = features.read("Ada has\x00 4\x1b stones"), features.read("Ada has  4  stones")
    assert plain.grams.tolist() == broken.grams.tolist()
    assert 0 <= learnt.judge("\ud800 lone surrogate 🦜 ﷽").edge <= 1


def test_numerals_and_words_are_counted():
    query = features.read("Ben, 12 and 7 make 19.")
    assert (query.numerals, query.length, query.characters) == (3, 8, 22)


def test_labels_of_one_kind_are_refused():
    one = planted(50, 1)
    same = Examples(one.texts, np.ones(50, dtype=int), one.cloud, one.depth, one.confidence)
    with pytest.raises(EstimatorError, match="50 of one kind"):
        estimator.train(same, one, seed=0)
    with pytest.raises(EstimatorError, match="right and wrong"):
        estimator.train(one, same, seed=0)


def test_calibration_is_the_logistic_regression_of_another_library_and_never_turns_an_order_around():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=4000) * 2
    right = (rng.random(4000) < special.expit(0.4 * logits - 1)).astype(int)
    slope, offset = estimator.platt(logits, right)
    other = LogisticRegression(C=np.inf).fit(logits[:, None], right)
    assert (slope, offset) == pytest.approx((other.coef_[0, 0], other.intercept_[0]), abs=0.02)
    slope, _ = estimator.platt(-logits, right)
    assert 0 < slope < 0.01
