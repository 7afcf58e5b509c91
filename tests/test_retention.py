"""How much of its accuracy a model keeps, against a published table, exhaustive coverage and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.analyze.retention import retained


def test_the_interval_of_a_published_table():
    """Bentur et al. 2009, 21 children before and after a transplantation, as in Fagerland, Lydersen and Laake 2017
    (Statistical Analysis of Contingency Tables), table 8.1: 1, 1, 7 and 12 pairs."""
    before = [1] * 1 + [1] * 1 + [0] * 7 + [0] * 12
    after = [1] * 1 + [0] * 1 + [1] * 7 + [0] * 12
    found = retained(before, after)
    assert (found.value, found.n) == (0.25, 21)
    assert (found.low, found.high) == pytest.approx((0.068, 0.92), abs=0.005)


@pytest.mark.parametrize("both, kept_only, whole_only", [(0.02, 0.01, 0.8), (0.45, 0.05, 0.3), (0.72, 0.05, 0.06)])
def test_the_interval_holds_the_truth_as_often_as_it_says(both, kept_only, whole_only):
    draws, held, items = np.random.default_rng(0), 0, 120
    for _ in range(400):
        place = draws.random(items)
        kept = place < both + kept_only
        whole = (place < both) | ((place >= both + kept_only) & (place < both + kept_only + whole_only))
        found = retained(kept, whole)
        assert found.low >= 0
        held += found.low <= (both + kept_only) / (both + whole_only) <= found.high
    assert held / 400 >= 0.93


def test_nothing_right_is_no_certainty():
    found = retained([0] * 50, [1] * 50)
    assert found.value == found.low == 0 and 0.02 < found.high < 0.2
    several = retained(np.zeros(50), np.full(50, 3), np.full(50, 3))
    assert several.value == 0 and several.high == pytest.approx(found.high)


def test_answers_of_several_seeds_are_clusters_and_none_falls_below_zero():
    found = retained([1, 0, 0, 0, 0, 0], [3, 3, 2, 3, 3, 3], [3] * 6)
    assert found.value == pytest.approx(1 / 17) and found.low == 0.0 and found.high > found.value
    with pytest.raises(ValueError, match="some right of the whole model"):
        retained([1, 0], [0, 0])
