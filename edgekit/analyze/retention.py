"""How much of its accuracy a model keeps, item by item."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats as distributions

from edgekit.analyze.stats import Estimate, ratio_of_sums


def retained(right: Sequence[float], whole: Sequence[float], asked: Sequence[int] | int = 1, confidence: float = 0.95, *,
             what: str = "") -> Estimate:
    """Right answers of a model over those of the whole one, to the same items, each `asked` as often. None below zero.

    Asked once, an item is right or wrong in both: the interval is Bonett and Price's (2006, "Confidence intervals for a ratio
    of binomial proportions based on paired data", Statistics in Medicine 25, 3039-3047), Wilson's interval of either share, so
    narrowed that both together have the coverage. Asked under several seeds, items are clusters (`ratio_of_sums`), unless none
    was right ever, where their spread says nothing. Raises ValueError where the whole model has no right answer.
    """
    right, whole = np.asarray(right, dtype=float), np.asarray(whole, dtype=float)
    if right.shape != whole.shape or not whole.sum():
        raise ValueError(f"expected answers to the same items, some right of the whole model, got {right.size} and "
                         f"{whole.size}, {whole.sum():g} of them right")
    if (np.asarray(asked) == 1).all() or not right.sum():
        return _paired_ratio(right > 0, whole > 0, confidence, what)
    return ratio_of_sums(right, whole, confidence, what=what).within(0.0, math.inf)


def _paired_ratio(first: np.ndarray, second: np.ndarray, confidence: float, what: str) -> Estimate:
    either = int((first | second).sum())
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    a, b = int(first.sum()), int(second.sum())
    whole = math.sqrt((only_first + only_second + 2) / ((a + 1) * (b + 1)))
    parts = sum(math.sqrt((1 - (count + 1) / (either + 2)) / (count + 1)) for count in (a, b))
    quantile = distributions.norm.ppf((1 + confidence) / 2) * whole / parts
    (low, high), (least, most) = (_wilson(count, either, quantile) for count in (a, b))
    return Estimate(a / b, min(low / most, a / b), max(high / least, a / b), first.size, "", what)


def _wilson(count: int, of: int, quantile: float) -> tuple[float, float]:
    """Wilson's score interval at a quantile of the normal distribution."""
    centre, square = 2 * count + quantile**2, quantile**2
    half = quantile * math.sqrt(square + 4 * count * (1 - count / of))
    return (centre - half) / (2 * (of + square)), (centre + half) / (2 * (of + square))
