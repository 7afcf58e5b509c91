"""Majority votes over samples of one question, computed exactly from a pool of them.

A vote of n is a draw of n of the pool's N samples without replacement; what is told is its expectation over all draws, by
counting them (multivariate hypergeometric), so that no seed is in it and a curve over n is of one pool. Rules: an answer that
could not be read has no vote; the answer with most votes wins; answers that tie share the win equally; where no sample of the
draw could be read there is no consensus, which is not right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from edgekit.schema import NO_ANSWER


@dataclass(frozen=True)
class Vote:
    """Of a vote of n, over all draws: the chance that it is right, that its top is shared, and that nobody has an answer."""

    right: float
    tied: float
    nothing: float


def majority(answers: Sequence[Hashable]) -> Hashable | None:
    """The answer of one vote: most votes, of those that tie the one that came first; None without a consensus, where no answer
    could be read."""
    counts = Counter(answer for answer in answers if answer != NO_ANSWER)
    return max(counts, key=counts.__getitem__) if counts else None


def vote(answers: Sequence[Hashable], right: Hashable, n: int) -> Vote:
    """The expectation of a vote of `n` drawn from a pool. Raises ValueError for more than the pool holds, or fewer than 1."""
    return votes(answers, right, (n,))[n]


def votes(answers: Sequence[Hashable], right: Hashable, numbers: Sequence[int]) -> dict[int, Vote]:
    """`vote` for several n at once: {n: Vote}. The counting is shared, so a curve costs what its largest n does."""
    size = len(answers)
    if not numbers or any(not 1 <= n <= size for n in numbers):
        raise ValueError(f"a vote draws 1 to {size} samples (the pool has so many), got {list(numbers)}")
    counts = Counter(answers)
    unread, own = counts.pop(NO_ANSWER, 0), counts.pop(right, 0) if right != NO_ANSWER else 0
    most = max(numbers)
    of_own, of_unread = ([float(comb(count, votes)) for votes in range(most + 1)] for count in (own, unread))
    won, tied = np.zeros(most + 1), np.zeros(most + 1)  # ways, by n
    for k in range(1, min(most, max(own, *counts.values(), 0)) + 1):
        # others[m, t]: ways in which the wrong answers get m votes, none more than k, and t of them k
        others = _ways(list(counts.values()), k, most)
        shares = others / (np.arange(others.shape[1]) + 1)
        won[k:] += of_own[k] * np.convolve(shares.sum(axis=1), of_unread)[:most + 1 - k]
        tied[k:] += of_own[k] * np.convolve(others[:, 1:].sum(axis=1), of_unread)[:most + 1 - k]
        # the top is wrong: at least two of the others share it, and the right one has fewer
        below = np.convolve(others[:, 2:].sum(axis=1), of_own[:k])
        tied += np.convolve(below, of_unread)[:most + 1]
    return {n: Vote(min(won[n] / comb(size, n), 1.0), min(tied[n] / comb(size, n), 1.0), comb(unread, n) / comb(size, n))
            for n in numbers}


def _ways(counts: Sequence[int], k: int, most: int) -> np.ndarray:
    """(votes 0..most, answers with exactly k): in how many ways answers of these counts get so many votes, at most k each."""
    able = sum(count >= k for count in counts)
    ways = np.zeros((most + 1, min(able, most // k) + 1))
    ways[0, 0] = 1.0
    for count in counts:
        more = np.zeros_like(ways)
        for votes_of_it in range(min(count, k) + 1):
            moved = ways[:most + 1 - votes_of_it] * comb(count, votes_of_it)
            if votes_of_it == k:
                more[k:, 1:] += moved[:, :-1]
            else:
                more[votes_of_it:] += moved
        ways = more
    return ways


def any_right(right: int, size: int, n: int) -> float:
    """Chance that a draw of `n` from a pool of `size`, of which `right` are right, holds one of them."""
    return 1 - comb(size - right, n) / comb(size, n)


def longest(lengths: Sequence[float], n: int) -> float:
    """Expected length of the longest of `n` samples drawn from a pool without replacement: what n texts that are written at the
    same time wait for. Raises ValueError as `vote`."""
    size = len(lengths)
    if not 1 <= n <= size:
        raise ValueError(f"a vote draws 1 to {size} samples (the pool has so many), got {n}")
    return sum(length * comb(i, n - 1) for i, length in enumerate(sorted(lengths))) / comb(size, n)
