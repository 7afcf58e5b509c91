"""Which queries stay on the device: the whole cost and quality curve of a score, from recorded outcomes of both models.

A policy is a threshold on a score, "how sure are we that the device's answer will do": what lies below is sent to the cloud.
Sorting the queries by score once gives every threshold's share sent, quality, cost and errors as sums from the left. Queries of
equal score move together, and between two thresholds the curve is straight, which is what drawing among them would give.

PGR is the share of the cloud's gain that is had, (q - q_edge) / (q_cloud - q_edge); APGR its mean over all shares sent; CPT(x)
the smallest share sent at which PGR reaches x (Ong et al. 2024, RouteLLM, arXiv:2406.18665, equations 3 to 5; APGR is the exact
area here and no sum over ten thresholds).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.errors import InvalidRequest


class RoutingError(InvalidRequest):
    """Outcomes or scores that no policy can be judged by; the message says what was expected."""


@dataclass(frozen=True)
class Outcomes:
    """Recorded answers of two models to the same n queries: right or not (0 or 1), and what each answer costs, in one unit.

    always_edge: whether the device answers first in any case (a cascade), so that its cost is never saved. Raises RoutingError.
    """

    edge: np.ndarray
    cloud: np.ndarray
    edge_cost: np.ndarray
    cloud_cost: np.ndarray
    always_edge: bool = False

    def __post_init__(self):
        sizes = {len(one) for one in (self.edge, self.cloud, self.edge_cost, self.cloud_cost)}
        if len(sizes) != 1 or not self.n:
            raise RoutingError(f"outcomes: expected as many of each, at least one, got {sorted(sizes)}")
        if not np.isin(np.concatenate([self.edge, self.cloud]), (0, 1)).all():
            raise RoutingError("outcomes: expected 0 or 1 for each answer")
        if min(self.edge_cost.min(), self.cloud_cost.min()) < 0 or not self.cloud_cost.sum() > 0:
            raise RoutingError("costs: expected no negative ones, and some of the cloud's above 0")

    @property
    def n(self) -> int:
        return len(self.edge)

    @property
    def gain(self) -> np.ndarray:
        """What sending each query wins: -1, 0 or 1."""
        return self.cloud.astype(float) - self.edge

    def require_gain(self) -> None:
        """Raise RoutingError where the cloud is no better, so that there is nothing to route for."""
        if not self.gain.sum() > 0:
            raise RoutingError(f"the cloud is right in {self.cloud.mean():.1%} of the queries and the device in "
                               f"{self.edge.mean():.1%}: there is no gain to have a share of; name a better cloud model")


@dataclass(frozen=True)
class Curve:
    """Every threshold of a score, from nothing sent to all sent: arrays of (draws, thresholds), one draw unless resampled.

    sent: share of queries sent. quality: share of right answers. cost: of both models, over that of sending all. cloud_cost: of
    the cloud alone, over the same. missed: share of queries kept whose answer is wrong and the cloud's right. wasted: share of
    queries sent whose answer the device had right too, or the cloud has wrong. below: queries with a score below are sent.
    """

    below: np.ndarray
    sent: np.ndarray
    quality: np.ndarray
    cost: np.ndarray
    cloud_cost: np.ndarray
    missed: np.ndarray
    wasted: np.ndarray

    @property
    def pgr(self) -> np.ndarray:
        """Share of the cloud's gain at each threshold; NaN in a draw in which the cloud is no better."""
        edge, gain = self.quality[:, :1], self.quality[:, -1:] - self.quality[:, :1]
        return (self.quality - edge) / np.where(gain > 0, gain, np.nan)

    def apgr(self) -> np.ndarray:
        """Mean share of the cloud's gain over all shares sent: (draws,)."""
        return np.trapezoid(self.pgr, self.sent, axis=1)

    def area(self) -> np.ndarray:
        """Mean quality over all shares sent: (draws,)."""
        return np.trapezoid(self.quality, self.sent, axis=1)

    def sent_for(self, share: float) -> np.ndarray:
        """CPT: the smallest share sent with this share of the cloud's gain: (draws,)."""
        return self._where_gain(share, self.sent)

    def cost_for(self, share: float) -> np.ndarray:
        """The cost of both models there, over that of sending all: (draws,)."""
        return self._where_gain(share, self.cost)

    def at_sent(self, values: np.ndarray, share: float) -> np.ndarray:
        """A quantity of the curve where this share of the queries is sent: (draws,)."""
        return np.array([np.interp(share, *line) for line in zip(self.sent, values, strict=True)])

    def _where_gain(self, share: float, along: np.ndarray) -> np.ndarray:
        pgr = self.pgr
        reached = pgr >= share - 1e-12
        at = np.argmax(reached, axis=1)
        rows, before = np.arange(len(pgr)), np.maximum(at - 1, 0)
        low, high = pgr[rows, before], pgr[rows, at]
        part = (share - low) / np.where(high > low, high - low, np.inf)
        found = along[rows, before] + np.clip(part, 0, 1) * (along[rows, at] - along[rows, before])
        return np.where(reached.any(axis=1), found, np.nan)


def curve(score: np.ndarray, outcomes: Outcomes, weights: np.ndarray | None = None) -> Curve:
    """The curve of a score (n,), higher where the device's answer is trusted more; `weights` (draws, n): how often each query
    counts, once by default. Raises RoutingError for scores that are not n finite numbers."""
    score = np.asarray(score, dtype=float)
    if score.shape != (outcomes.n,) or not np.isfinite(score).all():
        raise RoutingError(f"score: expected {outcomes.n} finite numbers, one a query, got {score.shape} of which "
                           f"{int(np.isfinite(score).sum())} are finite")
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1])
    w = (np.ones((1, outcomes.n)) if weights is None else np.asarray(weights, dtype=float))[:, order]
    total = w.sum(axis=1, keepdims=True)

    def sums(values: np.ndarray) -> np.ndarray:
        """Sums over the queries sent, for each threshold: (draws, thresholds)."""
        found, each = np.zeros((len(w), len(starts) + 1)), w * values[order]
        (each if len(starts) == outcomes.n else np.add.reduceat(each, starts, axis=1)).cumsum(axis=1, out=found[:, 1:])
        return found

    gain, of_cloud, of_edge = sums(outcomes.gain), sums(outcomes.cloud_cost), sums(outcomes.edge_cost)
    helped, every = sums((outcomes.gain > 0).astype(float)), sums(np.ones(outcomes.n))
    all_edge = of_edge[:, -1:]
    spent = of_cloud + (all_edge if outcomes.always_edge else all_edge - of_edge)
    return Curve(np.concatenate([ranked[starts], [np.inf]]), every / total,
                 ((w * outcomes.edge[order]).sum(axis=1, keepdims=True) + gain) / total, spent / of_cloud[:, -1:],
                 of_cloud / of_cloud[:, -1:], (helped[:, -1:] - helped) / total, (every - helped) / total)


def oracle(outcomes: Outcomes) -> np.ndarray:
    """The best score that there can be: what sending loses, so that what it wins comes first."""
    return -outcomes.gain


def random_quality(outcomes: Outcomes, sent: np.ndarray) -> np.ndarray:
    """Expected quality where queries are sent by lot, in closed form: on the straight line between the two models."""
    return outcomes.edge.mean() + np.asarray(sent) * outcomes.gain.mean()


def oracle_quality(outcomes: Outcomes, sent: np.ndarray) -> np.ndarray:
    """The best quality at each share sent, in closed form: those that it helps first, those that it harms last."""
    helps, harms = (outcomes.gain > 0).mean(), (outcomes.gain < 0).mean()
    sent = np.asarray(sent)
    return outcomes.edge.mean() + np.minimum(sent, helps) - np.maximum(sent - (1 - harms), 0)


def oracle_apgr(outcomes: Outcomes) -> float:
    """APGR of the oracle in closed form, for shares a that sending helps and b that it harms: (a - a²/2 - b²/2) / (a - b)."""
    outcomes.require_gain()
    a, b = (outcomes.gain > 0).mean(), (outcomes.gain < 0).mean()
    return float((a - a * a / 2 - b * b / 2) / (a - b))


def require_threshold(threshold: float) -> float:
    """A threshold on a probability. Raises RoutingError outside of 0 to 1."""
    if not 0 <= threshold <= 1:
        raise RoutingError(f"threshold: expected a probability, 0 to 1, got {threshold}")
    return threshold


def keeps(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Which queries the device answers: those whose answer it has right with at least this probability. Raises RoutingError for
    anything that is no probability."""
    require_threshold(threshold)
    probability = np.asarray(probability, dtype=float)
    if not ((probability >= 0) & (probability <= 1)).all():  # a NaN is in neither
        raise RoutingError("probabilities: expected 0 to 1 for each query")
    return probability >= threshold
