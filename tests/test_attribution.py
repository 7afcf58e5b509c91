"""Shares of a joint gain against sums over all orders by hand, and the axioms that define them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from edgekit.analyze import attribution
from edgekit.analyze.attribution import Unattributable, attribute

PLAYERS = ("runtime", "bits", "pruning", "draft")
EVERY = [frozenset(some) for n in range(5) for some in itertools.combinations(PLAYERS, n)]


def game(seed: int, samples: int = 3) -> dict:
    rng = np.random.default_rng(seed)
    return {subset: rng.normal(len(subset), 1.0, samples) for subset in EVERY}


def by_weights(values, player):
    """Shapley's own formula: a sum over sets without the player, weighted by how many orders pass through them."""
    n, total = len(PLAYERS), 0.0
    for subset in EVERY:
        if player not in subset:
            weight = math.factorial(len(subset)) * math.factorial(n - len(subset) - 1) / math.factorial(n)
            total = total + weight * (values[subset | {player}] - values[subset])
    return total


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_shapleys_and_sum_to_the_total_in_each_sample(seed):
    values = game(seed)
    found = attribute(PLAYERS, values)
    assert found.whole and len(found.orders) == 24 and not found.missing
    for player in PLAYERS:
        assert found.shares[player] == pytest.approx(by_weights(values, player))
        assert np.abs(found.shares[player]).min() > 1e-3
    assert sum(found.shares.values()) == pytest.approx(values[frozenset(PLAYERS)] - values[frozenset()], abs=1e-12)


def test_a_player_that_adds_nothing_has_nothing_and_two_that_add_alike_have_the_same():
    values = {subset: [len(subset & {"runtime", "bits"}) ** 2.0 + 3 * ("draft" in subset)] for subset in EVERY}
    shares = attribute(PLAYERS, values).shares
    assert shares["pruning"] == pytest.approx(0) and shares["draft"] == pytest.approx(3)
    assert shares["runtime"] == pytest.approx(2) and shares["bits"] == pytest.approx(2)


def test_orders_with_a_missing_set_are_left_out_and_named_and_the_rest_still_sums():
    values = game(7)
    gone = frozenset({"bits", "draft"})
    some = {subset: samples for subset, samples in values.items() if subset != gone}
    found = attribute(PLAYERS, some)
    assert found.missing == (("bits", "draft"),) and not found.whole
    expected = [order for order in itertools.permutations(PLAYERS) if set(order[:2]) != gone]
    assert set(found.orders) == set(expected) and len(expected) == 20 and found.possible == 24
    by_hand = np.mean([values[frozenset(order[:order.index("draft") + 1])] - values[frozenset(order[:order.index("draft")])]
                       for order in expected], axis=0)
    assert found.shares["draft"] == pytest.approx(by_hand)
    assert sum(found.shares.values()) == pytest.approx(values[frozenset(PLAYERS)] - values[frozenset()], abs=1e-12)


def test_without_an_order_there_is_no_attribution():
    values = {subset: [1.0] for subset in EVERY if len(subset) != 2}
    with pytest.raises(Unattributable, match="missing: runtime and bits; runtime and pruning"):
        attribute(PLAYERS, values)


def test_two_players_as_one_have_what_both_have_together():
    values = game(5)
    joined = attribution.together(values, "runtime", "bits", "runtime and bits")
    assert set(map(len, joined)) == {0, 1, 2, 3} and len(joined) == 8
    assert joined[frozenset({"runtime and bits", "draft"})] is values[frozenset({"runtime", "bits", "draft"})]
    found = attribute(("runtime and bits", "pruning", "draft"), joined)
    assert found.whole and len(found.orders) == 6
    assert sum(found.shares.values()) == pytest.approx(values[frozenset(PLAYERS)] - values[frozenset()])


def test_gains_that_multiply_have_no_interaction_and_others_have_what_they_lack():
    gains = dict(bits=math.log(2.0), pruning=math.log(1.3), draft=math.log(1.5))
    values = {subset: [sum(gains.get(name, 0.0) for name in subset)] for subset in EVERY}
    base = frozenset({"runtime"})
    assert attribution.interaction(values, base, tuple(gains)) == pytest.approx(0, abs=1e-12)
    joint = frozenset(PLAYERS)
    less = values | {joint: [values[joint][0] - math.log(1.25)]}
    assert attribution.interaction(less, base, tuple(gains)) == pytest.approx(-math.log(1.25))
    del less[base | {"draft"}]
    with pytest.raises(Unattributable, match="not measured: draft and runtime"):
        attribution.interaction(less, base, tuple(gains))
