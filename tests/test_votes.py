"""Votes over a pool equal what counting all draws, simulation and the binomial say."""

from __future__ import annotations

import itertools
from collections import Counter
from math import comb

import numpy as np
import pytest

from edgekit.analyze import votes
from edgekit.schema import NO_ANSWER

POOLS = [["a"], ["a", "b"], ["b", "b"], [NO_ANSWER] * 3, ["a", NO_ANSWER, "b"], ["a", "a", "b", "b", "c"],
         ["a", "b", "b", NO_ANSWER, "c", "c", "a"], ["b", "c", "d", "a", NO_ANSWER, NO_ANSWER, "a", "b"], ["x"] * 5 + ["a"] * 2]


def by_hand(drawn):
    """(share of the win that "a" has, whether the top is shared, whether nobody had an answer) of one draw."""
    counts = Counter(answer for answer in drawn if answer != NO_ANSWER)
    if not counts:
        return 0.0, 0, 1
    tops = [answer for answer, count in counts.items() if count == max(counts.values())]
    return ("a" in tops) / len(tops), len(tops) > 1, 0


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: "".join(answer[:2] for answer in pool))
def test_a_vote_is_the_mean_over_all_draws_from_its_pool(pool):
    numbers = range(1, len(pool) + 1)
    found = votes.votes(pool, "a", numbers)
    for n in numbers:
        every = np.array([by_hand(drawn) for drawn in itertools.combinations(pool, n)], dtype=float)
        assert (found[n].right, found[n].tied, found[n].nothing) == pytest.approx(tuple(every.mean(axis=0)))


@pytest.mark.parametrize("chance", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("n", [1, 2, 4, 7, 8])
def test_two_answers_give_the_binomial_majority_with_half_of_the_ties(chance, n):
    """A pool that is simulated anew many times, and drawn from without replacement, is n independent samples."""
    rng = np.random.default_rng(n)
    right = (rng.random((600, 16)) < chance).sum(axis=1)
    found = {k: votes.vote(["a"] * k + ["b"] * (16 - k), "a", n) for k in set(right)}
    binomial = [comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(n + 1)]
    ties = binomial[n // 2] if n % 2 == 0 else 0.0
    assert np.mean([found[k].right for k in right]) == pytest.approx(sum(binomial[n // 2 + 1:]) + ties / 2, abs=0.045)
    assert np.mean([found[k].tied for k in right]) == pytest.approx(ties, abs=0.045)
    assert all(found[k].nothing == 0 for k in right)


def test_a_vote_of_one_is_the_share_of_right_samples_and_of_all_the_pool_s_majority():
    pool = ["a"] * 5 + ["b"] * 3 + [NO_ANSWER] * 2
    assert votes.vote(pool, "a", 1).right == pytest.approx(0.5) and votes.vote(pool, "a", 10).right == 1.0
    assert votes.vote(pool, "b", 10).right == 0.0 and votes.vote(pool, "z", 4).right == 0.0


def test_no_answer_never_wins_and_nobody_s_answer_is_no_consensus():
    assert votes.vote([NO_ANSWER] * 9 + ["a"], "a", 10).right == 1.0
    assert votes.vote([NO_ANSWER] * 4, NO_ANSWER, 4) == votes.Vote(0.0, 0.0, 1.0)
    assert votes.majority([NO_ANSWER, NO_ANSWER]) is None and votes.majority([]) is None
    assert votes.majority([NO_ANSWER, NO_ANSWER, "b", "a"]) == "b", "of those that tie the first"
    assert votes.majority(["a", "b", "b"]) == "b"


@pytest.mark.parametrize("n", [0, 4])
def test_a_vote_needs_samples_that_the_pool_has(n):
    with pytest.raises(ValueError, match="draws 1 to 3 samples"):
        votes.vote(["a", "b", "c"], "a", n)
    with pytest.raises(ValueError, match="draws 1 to 3 samples"):
        votes.longest([1, 2, 3], n)


def test_the_longest_and_any_right_equal_enumeration():
    lengths, right = [5, 9, 9, 20, 3, 7], 2
    for n in range(1, 7):
        assert votes.longest(lengths, n) == pytest.approx(np.mean([max(drawn) for drawn in itertools.combinations(lengths, n)]))
        hits = [any(drawn) for drawn in itertools.combinations([True] * right + [False] * 4, n)]
        assert votes.any_right(right, 6, n) == pytest.approx(np.mean(hits))
    assert votes.longest(lengths, 1) == pytest.approx(np.mean(lengths)) and votes.longest(lengths, 6) == 20


def test_a_large_pool_of_many_answers_keeps_the_sums_of_chances():
    pool = [str(i % 13) for i in range(64)]
    found = {answer: votes.votes(pool, answer, (8, 32)) for answer in set(pool)}
    for n in (8, 32):
        assert sum(one[n].right for one in found.values()) == pytest.approx(1.0), "one of the answers wins each vote"
