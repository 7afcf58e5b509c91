"""The theory of drafting against thrown dice, closed forms and brute force."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edgekit.analyze import speculation
from edgekit.analyze.speculation import Costs


@pytest.mark.parametrize("acceptance, drafted, costs", [
    (0.78, 2, Costs(0.5 / 7)), (0.78, 6, Costs(0.5 / 7)), (0.5, 4, Costs(0.2, 1.3, 0.1)), (0.95, 8, Costs(0.02, 2.0, 0.05))])
def test_the_expected_gain_of_drafting_is_that_of_thrown_dice(acceptance, drafted, costs):
    generator = random.Random(1)
    tokens = time = 0.0
    rounds = 40_000
    for _ in range(rounds):
        accepted = 0
        while accepted < drafted and generator.random() < acceptance:
            accepted += 1
        tokens += accepted + 1
        time += drafted * costs.draft + costs.verify + costs.overhead
    assert speculation.expected_tokens(acceptance, drafted) == pytest.approx(tokens / rounds, rel=0.01)
    assert speculation.expected_speedup(acceptance, drafted, costs) == pytest.approx(tokens / time, rel=0.01)
    assert speculation.expected_tokens_of([acceptance] * drafted) == pytest.approx(
        speculation.expected_tokens(acceptance, drafted))


def test_positions_of_their_own_are_enumerated():
    """Accepted are 0, 1, 2 or 3 with the probabilities of the first refusal at each place."""
    a, b, c = 0.9, 0.5, 0.2
    mean = 1 * (1 - a) + 2 * a * (1 - b) + 3 * a * b * (1 - c) + 4 * a * b * c
    assert speculation.expected_tokens_of([a, b, c]) == pytest.approx(mean)


def test_drafting_at_its_limits():
    assert speculation.expected_tokens(0.0, 5) == 1 and speculation.expected_tokens(1.0, 5) == 6
    assert speculation.expected_tokens(0.999999999, 5) == pytest.approx(6)
    assert speculation.expected_speedup(0.78, 0, Costs(0.1)) == pytest.approx(1)
    assert speculation.expected_speedup(0.0, 4, Costs(0.25)) == 0.5                # four wasted steps a token
    for wrong in (lambda: speculation.expected_tokens(1.2, 3), lambda: speculation.expected_tokens(0.5, -1),
                  lambda: Costs(-0.1), lambda: Costs(0.1, 0.0), lambda: speculation.least_overlap(-1.0)):
        with pytest.raises(ValueError, match="expected|at least 0"):
            wrong()


@pytest.mark.parametrize("gain", [1.0, 1.5, 2.1])
@pytest.mark.parametrize("drafted, costs", [(1, Costs(0.1)), (4, Costs(0.1, 1.4, 0.03)), (8, Costs(0.05, 2.0))])
def test_the_acceptance_for_a_gain_gives_that_gain(gain, drafted, costs):
    found = speculation.acceptance_for(gain, drafted, costs)
    if found is None:
        assert speculation.expected_speedup(1.0, drafted, costs) < gain
        return
    assert 0 < found < 1 and speculation.expected_speedup(found, drafted, costs) == pytest.approx(gain, rel=1e-9)
    assert speculation.expected_speedup(found - 0.01, drafted, costs) < gain
    dearest = speculation.draft_cost_for(gain, found, drafted, costs)
    assert dearest == pytest.approx(costs.draft, rel=1e-6)


def test_one_drafted_token_breaks_even_where_it_saves_what_it_costs():
    """1 + a = c + v: the only draft length with a linear break-even."""
    assert speculation.acceptance_for(1.0, 1, Costs(0.2, 1.1, 0.05)) == pytest.approx(0.35)
    assert speculation.acceptance_for(1.0, 1, Costs(1.2)) is None
    assert speculation.acceptance_for(1.0, 3, Costs(0.0)) == 0.0
    assert speculation.draft_cost_for(1.0, 0.1, 1, Costs(0.0, 1.2)) is None


@pytest.mark.parametrize("acceptance", [0.1, 0.5, 0.8, 0.95])
def test_the_best_length_is_that_of_trying_all(acceptance):
    costs = {drafted: Costs(0.1, 1 + 0.05 * drafted, 0.02) for drafted in range(1, 13)}
    gains = {drafted: speculation.expected_speedup(acceptance, drafted, of) for drafted, of in costs.items()} | {0: 1.0}
    best, gain = speculation.best_length(acceptance, costs)
    assert gain == max(gains.values()) == gains[best]
    if acceptance == 0.1:
        assert best == 0, "nothing is gained, so nothing is drafted"


def test_overlap_is_one_less_the_total_variation_and_bounded_by_the_divergence():
    rng = np.random.default_rng(0)
    sharp = rng.choice([0.05, 0.5, 5.0], (400, 1))
    p, q = (np.stack([rng.dirichlet(np.full(6, s)) for s in sharp[:, 0]]).clip(1e-12) for _ in range(2))
    p, q = (x / x.sum(-1, keepdims=True) for x in (p, p ** 0.3 * q))
    overlap = speculation.overlap(p, q)
    np.testing.assert_allclose(overlap, 1 - np.abs(p - q).sum(-1) / 2, atol=1e-12)
    for a, b in ((p, q), (q, p)):
        divergence = (a * np.log(a / b)).sum(-1)
        least = np.array([speculation.least_overlap(max(0.0, d)) for d in divergence])
        assert (overlap >= least - 1e-12).all() and least.max() > 0.5
    assert speculation.least_overlap(0.0) == 1.0


def test_the_bound_is_reached_by_two_close_coins():
    """For p = 1/2 + e, q = 1/2 - e the divergence is 8 e^2 and the distance 2 e, to leading order: Pinsker is tight."""
    e = 1e-3
    divergence = (0.5 + e) * np.log((0.5 + e) / (0.5 - e)) + (0.5 - e) * np.log((0.5 - e) / (0.5 + e))
    assert speculation.least_overlap(divergence) == pytest.approx(1 - 2 * e, abs=1e-8)
