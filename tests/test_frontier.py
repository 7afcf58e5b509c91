"""Pareto sets, choices, crossings, power and the selection rule, against brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions

from edgekit.analyze import frontier, request_time, selection
from edgekit.analyze.selection import Candidate


def dominated(i, times, accuracies):
    own = times[i], accuracies[i]
    return any(times[j] <= own[0] and accuracies[j] >= own[1] and (times[j], accuracies[j]) != own
               for j in range(len(times)))


@pytest.mark.parametrize("seed", range(20))
def test_the_pareto_set_equals_brute_force_with_ties(seed):
    rng = np.random.default_rng(seed)
    times, accuracies = rng.integers(1, 8, 30).astype(float), rng.integers(0, 8, 30) / 8
    assert list(frontier.pareto(times, accuracies)) == [not dominated(i, times, accuracies) for i in range(30)]
    for limit in range(9):
        fits = [i for i in range(30) if times[i] <= limit]
        best = frontier.best_within(times, accuracies, limit)
        assert (best is None) == (not fits)
        if fits:
            assert (accuracies[best], -times[best]) == max((accuracies[i], -times[i]) for i in fits)
            assert frontier.pareto(times, accuracies)[best]


@pytest.mark.parametrize("times, accuracies", [([], []), ([1.0], [0.5, 0.6]), ([np.nan], [0.5]), ([1.0, 2.0], [0.5, np.inf])])
def test_what_is_no_time_and_accuracy_is_refused(times, accuracies):
    with pytest.raises(ValueError, match="finite time and accuracy"):
        frontier.pareto(times, accuracies)


def test_a_planted_frontier_is_found_and_its_stability_grows_with_the_questions():
    # The third is dominated by the second by little; the fourth by much.
    truth, times = np.array([0.3, 0.7, 0.66, 0.2]), np.array([1.0, 2.0, 2.5, 4.0])
    shares = []
    for questions in (30, 3000):
        u = np.random.default_rng(1).random(questions)
        correct = (u < truth[:, None]).astype(float)
        draws = frontier.bootstrap(correct, np.repeat(times[:, None], questions, axis=1)[None], draws=200)
        shares.append(draws.pareto_share())
        assert draws.best_shares(1.5)[0] == 1.0 and draws.best_shares(0.5).sum() == 0
    assert list(shares[1][:2]) == [1.0, 1.0] and shares[1][2] == shares[1][3] == 0
    assert shares[0][2] <= 0.5


def test_the_bootstrap_has_the_standard_error_of_a_mean_and_pairs():
    rng = np.random.default_rng(3)
    right = (rng.random(400) < 0.6).astype(float)
    draws = frontier.bootstrap(np.stack([right, right]), np.ones((1, 2, 400)), draws=2000)
    assert draws.accuracy[:, 0].std() == pytest.approx(right.std() / 20, rel=0.1)
    assert (draws.accuracy[:, 0] == draws.accuracy[:, 1]).all(), "the same draw for all configurations"
    low, high = draws.interval(draws.accuracy[:, 0])
    assert low < right.mean() < high
    two = frontier.bootstrap(np.stack([right]), np.stack([np.ones((1, 400)), 2 * np.ones((1, 400))]), draws=200)
    assert set(np.round(two.time[:, 0], 9)) == {1.0, 2.0}, "the speeds of one process or of the other"
    with pytest.raises(ValueError, match="at least"):
        frontier.bootstrap(np.ones((2, 1)), np.ones((1, 2, 1)))


def test_a_crossing_lies_between_sizes_on_a_log_scale():
    assert frontier.crossing([1e6, 1e8], [0.1, -0.1]) == pytest.approx(1e7)
    assert frontier.crossing([1e8, 1e6, 1e4], [-0.1, 0.3, 0.5]) == pytest.approx(1e6 * 100**0.75), "in any order"
    assert frontier.crossing([1e6, 1e8], [0.1, 0.2]) is None and frontier.crossing([1e6, 1e8], [-0.1, -0.2]) is None
    assert frontier.crossing([1.0], [0.5]) is None


def test_the_number_of_questions_gives_mcnemar_s_test_its_power():
    difference, discordant = 0.15, 0.3
    items = frontier.items_needed(difference, discordant)
    rng = np.random.default_rng(5)
    a, b = (discordant + difference) / 2, (discordant - difference) / 2
    found = rng.multinomial(items, [a, b, 1 - a - b], size=1500)
    z = np.abs(found[:, 0] - found[:, 1]) / np.sqrt(found[:, 0] + found[:, 1])
    assert np.mean(z > distributions.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.05)
    assert frontier.detectable(items, discordant) == pytest.approx(difference, rel=0.02)
    assert frontier.items_needed(0.05, 0.2) > 3 * frontier.items_needed(0.10, 0.2)
    assert frontier.detectable(5, 0.1) is None, "so few questions find nothing"
    for wrong in ((0.0, 0.3), (0.4, 0.3), (0.1, 1.1)):
        with pytest.raises(ValueError, match="discordant"):
            frontier.items_needed(*wrong)


CANDIDATES = [Candidate("s4", 1, 0.5, 0.40, 1.0), Candidate("s16", 1, 2.0, 0.45, 2.0), Candidate("m4", 3, 1.5, 0.60, 3.0),
              Candidate("m16", 3, 6.0, 0.65, 6.0), Candidate("l4", 9, 4.5, 0.90, 9.0), Candidate("l16", 9, 18.0, 0.92, 18.0)]


@pytest.mark.parametrize("wanted, chosen, measured", [
    (0.3, "s4", ["s4"]), (0.5, "m4", ["s4", "m4"]), (0.8, "l4", ["s4", "m4", "l4"]),
    (0.91, "l16", ["s4", "m4", "l4", "s16", "m16", "l16"]), (0.95, None, ["s4", "m4", "l4", "s16", "m16", "l16"])])
def test_the_tip_goes_up_in_size_at_the_fewest_bits_and_then_looks_at_the_rest(wanted, chosen, measured):
    found = selection.smallest_first(selection.in_order(CANDIDATES[::-1]), wanted)
    assert (found.chosen.name if found.chosen else None) == chosen
    assert [one.name for one in found.measured] == measured


def test_the_exhaustive_search_is_the_fastest_that_is_accurate_enough():
    fast = Candidate("q", 20, 1.0, 0.70, 0.5)
    assert selection.exhaustive([*CANDIDATES, fast], 0.5).chosen is fast
    assert len(selection.exhaustive(CANDIDATES, 0).measured) == 6
    assert selection.smallest_first(selection.in_order([*CANDIDATES, fast]), 0.5).chosen.name == "m4", "which the tip misses"


def test_a_request_s_time_recovers_planted_lines_and_sums_its_steps():
    planted = request_time.RequestTime(0.02, 0.001, 0.005, 2e-6)
    prompts, contexts = np.array([32.0, 256.0]), np.array([40.0, 88.0, 264.0])
    found = request_time.fit(prompts, planted.first_s + planted.prompt_s * prompts, contexts,
                             planted.step_s + planted.context_s * contexts)
    for name in ("first_s", "prompt_s", "step_s", "context_s"):
        assert getattr(found, name) == pytest.approx(getattr(planted, name), rel=1e-6)
    by_step = 0.02 + 0.001 * 100 + sum(0.005 + 2e-6 * (100 + j) for j in range(1, 60))
    assert found.seconds(100, 60) == pytest.approx(by_step) and found.seconds(100, 1) == pytest.approx(0.12)


def test_noise_makes_no_longer_request_shorter_and_one_length_has_no_slope():
    found = request_time.fit([32, 256], [0.05, 0.04], [40, 264], [0.006, 0.005])
    assert found.prompt_s == found.context_s == 0 and 0.005 < found.step_s < 0.006
    assert request_time.fit([32], [0.05], [40], [0.006]) == request_time.RequestTime(0.05, 0.0, 0.006, 0.0)
    with pytest.raises(ValueError, match="at least one length each"):
        request_time.fit([], [], [40], [0.006])
