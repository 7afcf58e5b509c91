"""How many items it takes to tell that little accuracy is lost, before anything is asked."""

from __future__ import annotations

import math

from scipy import stats as distributions


def items_for_bound(bound: float, accuracy: float, changed: float, lost: float = 0.0, power: float = 0.8,
                    confidence: float = 0.95) -> int:
    """Items, asked of both models, after which the interval of the loss lies below `bound` with a chance of `power`.

    bound, lost: shares of the baseline's right answers, at most and in truth; accuracy: its share of right answers; changed:
    share of items whose outcome differs, in either direction. Outcomes are paired, so an item's difference has the variance
    `changed` less the square of its mean (Connor 1987, "Sample size for testing differences in proportions for the
    paired-sample design", Biometrics 43, 207-211); the interval has two sides. Raises ValueError for shares that cannot be.
    """
    margin, mean = bound * accuracy, lost * accuracy
    if not (0 < accuracy <= 1 and 0 <= mean < margin and mean <= changed <= 1):
        raise ValueError(f"expected 0 <= lost < bound, 0 < accuracy <= 1 and changed from the loss to 1, got lost {lost}, "
                         f"bound {bound}, accuracy {accuracy}, changed {changed}")
    normal = distributions.norm.ppf
    return math.ceil((normal((1 + confidence) / 2) + normal(power)) ** 2 * (changed - mean**2) / (margin - mean) ** 2)
