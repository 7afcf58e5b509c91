"""By how much one cell differs between two files, and whether that is more than chance over all cells together.

Numbers that are positive are compared by a ratio on the log scale, B over A; shares of right items, and what may be zero or
negative, by a difference, B less A. Items and blocks are the same on both sides, so they are paired; repeats are not, so
theirs is Welch's interval. Each cell's interval is its own 95 %. Which cells are said to have changed is decided over all of
them: by Benjamini and Hochberg's procedure (1995), at most 5 % of those are expected to be none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy import stats as distributions

from edgekit.analyze import stats
from edgekit.analyze.stats import Estimate
from edgekit.compare.join import Cell, Samples

FALSE_DISCOVERIES = 0.05  # expected share of the changes that are told which are none


@dataclass(frozen=True)
class Effect:
    """One cell in both files.

    kind: "ratio" (B over A) or "difference" (B less A). p: the probability of a difference at least as large by chance; None
    where there is one sample a side, which cannot tell. over: what the samples are, in words. lone: samples that one side has.
    """

    cell: Cell
    a: float
    b: float
    kind: str
    estimate: Estimate
    p: float | None
    over: str
    lone: int = 0


def effect(cell: Cell, a: Samples, b: Samples) -> Effect | None:
    """The effect of a cell; None where no item of one side is on the other."""
    if a.over_items:
        return _over_items(cell, a, b)
    ours, theirs = (np.array(list(side.values.values()), dtype=float) for side in (a, b))
    kind, left, right = _scaled(ours, theirs)
    return _effect(cell, kind, left, right, *_welch(left, right), min(ours.size, theirs.size), "repeats")


def _over_items(cell: Cell, a: Samples, b: Samples) -> Effect | None:
    ours, theirs = (_by_item(side) for side in (a, b))
    common = sorted(ours.keys() & theirs.keys(), key=str)
    if not common:
        return None
    left, right = (np.array([side[item] for item in common]) for side in (ours, theirs))
    over, lone = "the same items" if "item" in a.condition else "the same texts", len(ours) + len(theirs) - 2 * len(common)
    if np.isin(np.concatenate([left, right]), (0, 1)).all():
        better, worse = int((right > left).sum()), int((right < left).sum())
        p = float(distributions.binomtest(better, better + worse).pvalue) if better + worse else 1.0  # McNemar's, exact
        found = stats.paired_difference(right, left)
        return Effect(cell, float(left.mean()), float(right.mean()), "difference", found, p, over, lone)
    kind, left, right = _scaled(left, right)
    steps = right - left
    error = float(steps.std(ddof=1)) / math.sqrt(steps.size) if steps.size > 1 else 0.0
    return _effect(cell, kind, left, right, error, steps.size - 1, steps.size, over, lone)


def _scaled(a: np.ndarray, b: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
    """ratio and the logarithms where all numbers are positive, else difference and the numbers."""
    if (a > 0).all() and (b > 0).all():
        return "ratio", np.log(a), np.log(b)
    return "difference", a, b


def _effect(cell: Cell, kind: str, a: np.ndarray, b: np.ndarray, error: float, freedom: float, n: int, over: str,
            lone: int = 0) -> Effect:
    """From samples on their scale, the standard error of the difference of their means and its degrees of freedom."""
    back = math.exp if kind == "ratio" else float
    step = float(b.mean() - a.mean())
    ends, p = (None, None), None
    if n > 1:
        half = error * float(special.stdtrit(freedom, 0.975)) if error else 0.0
        ends = back(step - half), back(step + half)
        p = 2 * float(special.stdtr(freedom, -abs(step) / error)) if error else float(step == 0)
    return Effect(cell, back(a.mean()), back(b.mean()), kind, Estimate(back(step), *ends, n), p, over, lone)


def _by_item(side: Samples) -> dict[tuple, float]:
    """The mean over repeats of each item."""
    found: dict[tuple, list[float]] = {}
    for (_, item), value in side.values.items():
        found.setdefault(item, []).append(value)
    return {item: sum(values) / len(values) for item, values in found.items()}


def _welch(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Standard error and degrees of freedom of a difference of two means (Welch 1947; Satterthwaite's degrees); 0 and infinity
    without spread. In closed form: scipy's own takes a millisecond, and there are thousands."""
    if min(a.size, b.size) < 2 or np.ptp(a) == np.ptp(b) == 0:
        return 0.0, math.inf
    parts = np.array([side.var(ddof=1) / side.size for side in (a, b)])
    return math.sqrt(parts.sum()), float(parts.sum() ** 2 / (parts**2 / np.array([a.size - 1, b.size - 1])).sum())


def changed(effects: Sequence[Effect]) -> list[bool]:
    """Which effects are more than chance, all of them looked at together; one without a p cannot be."""
    tested = [one.p for one in effects if one.p is not None]
    adjusted = iter(distributions.false_discovery_control(tested) if tested else ())
    return [one.p is not None and bool(next(adjusted) <= FALSE_DISCOVERIES) for one in effects]
