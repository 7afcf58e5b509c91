"""Which configuration is best for a time: Pareto sets, choices within a limit, their stability over questions, and how many
questions it takes to tell two configurations apart.

Arrays have a place a configuration. Accuracy is better when larger, time when smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats as distributions


def pareto(times: Sequence[float], accuracies: Sequence[float]) -> np.ndarray:
    """Which configurations are on the frontier: no other is at least as fast and at least as accurate, and better in one."""
    times, accuracies = np.asarray(times, dtype=float), np.asarray(accuracies, dtype=float)
    _require_alike(times, accuracies)
    as_good = (times[:, None] <= times) & (accuracies[:, None] >= accuracies)
    better = (times[:, None] < times) | (accuracies[:, None] > accuracies)
    return ~(as_good & better).any(axis=0)


def best_within(times: Sequence[float], accuracies: Sequence[float], limit: float) -> int | None:
    """The place of the most accurate configuration that takes no longer than `limit`, of equals the fastest; None where each
    takes longer."""
    times, accuracies = np.asarray(times, dtype=float), np.asarray(accuracies, dtype=float)
    _require_alike(times, accuracies)
    fits = np.flatnonzero(times <= limit)
    return int(min(fits, key=lambda i: (-accuracies[i], times[i]))) if fits.size else None


def _require_alike(times: np.ndarray, accuracies: np.ndarray) -> None:
    if times.shape != accuracies.shape or times.ndim != 1 or not times.size or not np.isfinite([times, accuracies]).all():
        raise ValueError(f"expected a finite time and accuracy for each of at least one configuration, got {times} and "
                         f"{accuracies}")


@dataclass(frozen=True)
class Draws:
    """Bootstrap over questions: `accuracy` and `time`, (draws, configurations). A question drawn is drawn for all of them."""

    accuracy: np.ndarray
    time: np.ndarray

    def interval(self, values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
        """The middle part of a value a draw (percentile interval)."""
        low, high = np.quantile(values, ((1 - confidence) / 2, (1 + confidence) / 2))
        return float(low), float(high)

    def pareto_share(self) -> np.ndarray:
        """The share of draws in which each configuration is on the frontier."""
        return np.mean([pareto(time, accuracy) for time, accuracy in zip(self.time, self.accuracy, strict=True)], axis=0)

    def best_shares(self, limit: float) -> np.ndarray:
        """The share of draws in which each configuration is the best within `limit`."""
        found = np.zeros(self.time.shape[1])
        for time, accuracy in zip(self.time, self.accuracy, strict=True):
            if (best := best_within(time, accuracy, limit)) is not None:
                found[best] += 1
        return found / len(self.time)


def bootstrap(correct: np.ndarray, times: np.ndarray, draws: int = 400, seed: int = 0) -> Draws:
    """Means of resampled questions.

    correct: (configurations, questions), shares of right answers. times: (runs, configurations, questions) in seconds, with the
    speeds of each run of the clock; a draw takes one of the runs. Raises ValueError for fewer than two questions.
    """
    correct, times = np.asarray(correct, dtype=float), np.asarray(times, dtype=float)
    if correct.ndim != 2 or times.shape[1:] != correct.shape or correct.shape[1] < 2:
        raise ValueError("a bootstrap over questions needs (configurations, questions), two questions at least, and times of "
                         f"the same for each run, got {correct.shape} and {times.shape}")
    rng = np.random.default_rng(seed)
    questions = correct.shape[1]
    weights = rng.multinomial(questions, np.full(questions, 1 / questions), size=draws) / questions
    runs = rng.integers(len(times), size=draws)
    return Draws(weights @ correct.T, np.stack([times[run] @ weight for run, weight in zip(runs, weights, strict=True)]))


def crossing(sizes: Sequence[float], gains: Sequence[float]) -> float | None:
    """The size at which a gain that falls with size goes through zero, straight between measured sizes on a log scale; the last
    such size, None where it does not fall through it."""
    order = np.argsort(sizes)
    sizes, gains = np.log(np.asarray(sizes, dtype=float)[order]), np.asarray(gains, dtype=float)[order]
    found = [i for i in range(len(gains) - 1) if gains[i] > 0 >= gains[i + 1]]
    if not found:
        return None
    i = found[-1]
    share = gains[i] / (gains[i] - gains[i + 1])
    return float(np.exp(sizes[i] + share * (sizes[i + 1] - sizes[i])))


def items_needed(difference: float, discordant: float, power: float = 0.8, confidence: float = 0.95) -> int:
    """Questions that two configurations must both be asked so that a difference of accuracy is found with this chance.

    McNemar's test of paired answers (Connor 1987, doi:10.2307/2531961): `discordant` is the share of questions that exactly one
    of the two gets right, no less than the difference. Raises ValueError.
    """
    if not 0 < difference <= discordant <= 1:
        raise ValueError(f"expected 0 < difference <= discordant <= 1, got {difference} and {discordant}")
    a, b = distributions.norm.ppf((1 + confidence) / 2), distributions.norm.ppf(power)
    return math.ceil(((a * math.sqrt(discordant) + b * math.sqrt(discordant - difference**2)) / difference) ** 2)


def detectable(items: int, discordant: float, power: float = 0.8, confidence: float = 0.95) -> float | None:
    """The smallest difference of accuracy that so many questions find with this chance; None where none is."""
    if items < 1 or not 0 < discordant <= 1:
        raise ValueError(f"expected at least 1 question and 0 < discordant <= 1, got {items} and {discordant}")
    if items_needed(discordant, discordant, power, confidence) > items:
        return None
    low, high = 0.0, discordant
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if items_needed(middle, discordant, power, confidence) <= items else (middle, high)
    return high
