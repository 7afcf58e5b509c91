"""Whether probabilities mean what they say: reliability, expected calibration error, Brier score.

Bins hold as many queries each, since a trained classifier's probabilities crowd in places (Nguyen and O'Connor 2015,
arXiv:1508.05154); the Brier score needs no bins.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.routing import RoutingError

BINS = 10


def brier(probability: np.ndarray, right: np.ndarray) -> float:
    """Mean squared distance of probabilities from outcomes: 0 is perfect, p(1 - p) is the base rate alone."""
    _require(probability, right)
    return float(np.square(np.asarray(probability, dtype=float) - right).mean())


def reliability(probability: np.ndarray, right: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """A line a bin of equally many queries in order of probability: `said` (mean probability), `share` of right answers with
    Wilson's interval, and `n`. Equal probabilities share a bin. Raises RoutingError as `brier`."""
    _require(probability, right)
    probability, right = np.asarray(probability, dtype=float), np.asarray(right)
    order = np.argsort(probability, kind="stable")
    ranks = np.searchsorted(probability[order], probability)  # that of the first of those alike
    codes = ranks * bins // len(probability)
    lines = []
    for code in np.unique(codes):
        here = codes == code
        share = stats.wilson(int(right[here].sum()), int(here.sum()))
        lines.append(dict(said=float(probability[here].mean()), n=int(here.sum())) | stats.ends_of("share", share))
    return pd.DataFrame(lines, columns=["said", *stats.with_ends("share"), "n"])


def expected_error(probability: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """ECE: mean distance of what was said from what was right, over bins, weighted by their queries (Naeini et al. 2015)."""
    table = reliability(probability, right, bins)
    return float(np.average((table.said - table.share).abs(), weights=table.n))


def discrimination(score: np.ndarray, right: np.ndarray) -> float:
    """AUC: how often a right answer's score is above a wrong one's, ties counted half (Mann and Whitney). Raises RoutingError
    for outcomes of one kind."""
    from scipy import stats as distributions

    right = np.asarray(right).astype(bool)
    if right.all() or not right.any():
        raise RoutingError("AUC: expected right and wrong answers, got one kind")
    ranks = distributions.rankdata(score)
    hits, misses = int(right.sum()), int((~right).sum())
    return float((ranks[right].sum() - hits * (hits + 1) / 2) / (hits * misses))


def _require(probability: np.ndarray, right: np.ndarray) -> None:
    probability, right = np.asarray(probability, dtype=float), np.asarray(right)
    if probability.shape != right.shape or not probability.size:
        raise RoutingError(f"calibration: expected as many probabilities as outcomes, got {probability.shape} and "
                           f"{right.shape}")
    if not ((probability >= 0) & (probability <= 1)).all() or not np.isin(right, (0, 1)).all():
        raise RoutingError("calibration: expected probabilities 0 to 1 and outcomes 0 or 1")
