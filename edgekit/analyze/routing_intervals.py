"""How sure the numbers of a routing policy are: resampled queries, chosen thresholds, and how many queries it takes.

The same draws of queries serve every score, so that differences of two policies are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats as distributions

from edgekit.analyze.routing import Curve, Outcomes, RoutingError, curve
from edgekit.analyze.stats import Estimate

DRAWS = 1000
CHUNK = 200_000  # numbers of a table of draws and queries that are in memory at a time: few enough for a cache
Measure = Callable[[Curve], np.ndarray]


def resampled(score: np.ndarray, outcomes: Outcomes, measures: dict[str, Measure], draws: int = DRAWS,
              seed: int = 0) -> dict[str, np.ndarray]:
    """Each measure over `draws` resamplings of the queries with replacement: (draws,) each. The same seed and number of queries
    draw the same ones for every score."""
    rng, n = np.random.default_rng([seed, outcomes.n]), outcomes.n
    parts: dict[str, list] = {name: [] for name in measures}
    step = max(1, CHUNK // n)
    for begin in range(0, draws, step):
        drawn = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(min(step, draws - begin))]
        found = curve(score, outcomes, np.stack(drawn))
        for name, measure in measures.items():
            parts[name].append(measure(found))
    return {name: np.concatenate(values) for name, values in parts.items()}


def estimates(score: np.ndarray, outcomes: Outcomes, measures: dict[str, Measure], draws: int = DRAWS,
              seed: int = 0) -> dict[str, Estimate]:
    """Each measure of a score with the 2.5 and 97.5 % quantiles over resampled queries as its interval; draws in which the
    measure is not defined (the cloud is no better there) are left out."""
    point, spread = curve(score, outcomes), resampled(score, outcomes, measures, draws, seed)
    return {name: interval(float(measure(point)[0]), spread[name], outcomes.n) for name, measure in measures.items()}


def difference(a: np.ndarray, b: np.ndarray, outcomes: Outcomes, measure: Measure, draws: int = DRAWS,
               seed: int = 0) -> Estimate:
    """A measure of score `a` less that of score `b`, on the same resampled queries."""
    values = [measure(curve(score, outcomes))[0] for score in (a, b)]
    spreads = [resampled(score, outcomes, {"": measure}, draws, seed)[""] for score in (a, b)]
    return interval(float(values[0] - values[1]), spreads[0] - spreads[1], outcomes.n)


def interval(value: float, spread: np.ndarray, n: int) -> Estimate:
    """A value with the middle 95 % of its draws; without ends where fewer than half of the draws have a value."""
    finite = spread[np.isfinite(spread)]
    if not math.isfinite(value) or len(finite) < len(spread) / 2:
        return Estimate(value, None, None, n)
    low, high = np.quantile(finite, (0.025, 0.975))
    return Estimate(value, float(min(low, value)), float(max(high, value)), n)


@dataclass(frozen=True)
class Chosen:
    """A policy whose thresholds were chosen on other queries than those that it is judged on: for each query whether it was
    sent, and the threshold that decided, by fold."""

    sent: np.ndarray
    thresholds: dict[int, float]


def chosen(score: np.ndarray, outcomes: Outcomes, folds: np.ndarray, threshold_of: Callable[[Curve], float]) -> Chosen:
    """Send the queries of each fold by the threshold that `threshold_of` finds on the curve of all other folds.

    Raises RoutingError for a single fold, or folds that are not one a query.
    """
    names = np.unique(folds)
    if len(folds) != outcomes.n or len(names) < 2:
        raise RoutingError(f"folds: expected one of at least two for each of {outcomes.n} queries, got {len(folds)} of "
                           f"{len(names)}")
    sent, thresholds = np.zeros(outcomes.n, dtype=bool), {}
    for fold in names:
        others = folds != fold
        part = Outcomes(outcomes.edge[others], outcomes.cloud[others], outcomes.edge_cost[others],
                        outcomes.cloud_cost[others], outcomes.always_edge)
        thresholds[int(fold)] = threshold_of(curve(score[others], part))
        sent[~others] = score[~others] < thresholds[int(fold)]
    return Chosen(sent, thresholds)


def keeping(share: float) -> Callable[[Curve], float]:
    """The threshold that keeps so large a share of the queries on the device, as nearly as ties allow."""
    def threshold(found: Curve) -> float:
        return float(found.below[np.argmin(np.abs(found.sent[0] - (1 - share)))])
    return threshold


def gaining(share: float) -> Callable[[Curve], float]:
    """The threshold that sends least among those with at least so large a share of the cloud's gain; all are sent where the
    cloud is no better."""
    def threshold(found: Curve) -> float:
        reached = np.flatnonzero(found.pgr[0] >= share)
        return float(found.below[reached[0]]) if len(reached) else math.inf
    return threshold


def items_needed(helps: float, harms: float, apgr: float, power: float = 0.8, confidence: float = 0.95) -> int:
    """Queries that it takes to tell a router of this APGR from one that draws lots, with this power (two-sided).

    With ranks u from 0 to 1, APGR - 1/2 is the covariance of the gain with 1/2 - u over the mean gain. For a useless score they
    are independent, so a query's part in its variance is that of the gain over 12 and the squared mean gain. `helps`, `harms`:
    shares of the queries that sending turns right and wrong. Raises RoutingError without a gain or for an APGR of 1/2.
    """
    if not helps > harms >= 0 or apgr == 0.5:
        raise RoutingError(f"power: expected more queries helped than harmed and an APGR other than 0.5, got {helps}, {harms} "
                           f"and {apgr}")
    quantiles = distributions.norm.ppf((1 + confidence) / 2) + distributions.norm.ppf(power)
    mean = helps - harms
    return math.ceil(quantiles**2 * (helps + harms - mean**2) / 12 / (mean * (apgr - 0.5))**2)
