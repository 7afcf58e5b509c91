"""Laws of time and power as values: what they say, how they are fitted, how far off they are on lengths that they never saw.

A point is a line of a table whose columns a law reads: prompt_tokens, output_tokens, seconds, and for the physical laws what
was counted (steps, step_bytes summed over them, flop). A law that is linear in its coefficients gives one column a
coefficient (`terms`) and is solved exactly; another one gives a `curve` and a `start`.

Weights. "relative" makes the sum of squared relative errors least, which is right where noise grows with the time, as that of a
clock around work does; "equal" makes that of plain errors least, as `numpy.polyfit` does, with which the published coefficients
were made. Intervals are t-intervals from the scatter about the law, for points that err independently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, optimize
from scipy import stats as distributions

from edgekit.analyze.stats import Estimate
from edgekit.errors import RunFailed

WEIGHTS = ("relative", "equal")
FAR = 6.0  # robust standard deviations at which a point is marked as an outlier
LEAST_FAR = 0.25  # and at least so far from the law, as a share of it: scatter of a good clock is no outlier
SOFT = 0.03  # relative error from which on the soft loss grows like the error and not like its square
ENOUGH = 1e-9  # of the largest singular value: a smaller one is none


Points = pd.DataFrame | np.recarray  # of which laws read columns as attributes


class LawError(RunFailed):
    """A law cannot be fitted to these points; the message says how many it needs."""


@dataclass(frozen=True)
class Law:
    """name: as tables and figures say it. formula: in words of its coefficients. reads: the columns of its points."""

    name: str
    formula: str
    coefficients: tuple[str, ...]
    reads: tuple[str, ...]
    terms: Callable[[np.recarray], Sequence[np.ndarray]] | None = None
    curve: Callable[[np.ndarray, np.recarray], np.ndarray] | None = None
    start: Callable[[np.recarray, np.ndarray], np.ndarray] | None = None

    @property
    def needs(self) -> int:
        """Different points that it takes at least: one more than coefficients, or nothing would be left to err."""
        return len(self.coefficients) + 1

    def predict(self, values: Sequence[float], points: Points) -> np.ndarray:
        """What the law says at `points` with these coefficients."""
        values = np.asarray(values, dtype=float)
        points = _records(self, points)
        if values.size != len(self.coefficients):
            raise LawError(f"{self.name}: expected {len(self.coefficients)} coefficients "
                           f"({', '.join(self.coefficients)}), got {values.size}")
        if self.terms is None:
            return self.curve(values, points)
        return _matrix(self.terms, points) @ values


@dataclass(frozen=True)
class Fit:
    """A law with its coefficients; `errors` are relative residuals, (law - seen) / seen, in the order of the points."""

    law: Law
    values: np.ndarray
    covariance: np.ndarray
    freedom: int
    errors: np.ndarray

    def predict(self, points: Points) -> np.ndarray:
        return self.law.predict(self.values, points)

    @property
    def mape(self) -> float:
        """Mean absolute relative error over its own points, in per cent."""
        return mape(self.errors)

    def coefficient(self, name: str, confidence: float = 0.95) -> Estimate:
        """A coefficient with its t-interval. Raises LawError for an unknown name."""
        if name not in self.law.coefficients:
            raise LawError(f"{self.law.name}: unknown coefficient {name!r}; known: {', '.join(self.law.coefficients)}")
        place = self.law.coefficients.index(name)
        half = distributions.t.ppf((1 + confidence) / 2, self.freedom) * float(np.sqrt(self.covariance[place, place]))
        value = float(self.values[place])
        return Estimate(value, value - half, value + half, self.freedom + self.values.size, "", name)


def mape(errors: np.ndarray) -> float:
    """Mean absolute relative error, in per cent."""
    return float(100 * np.mean(np.abs(errors)))


def relative(predicted: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(predicted - seen) / seen."""
    return (np.asarray(predicted) - seen) / seen


def fit(law: Law, points: Points, seen: Sequence[float], weights: str = "relative") -> Fit:
    """The law that lies nearest to what was seen at the points, by least squares.

    Raises LawError: too few different points, values that are not positive (times and powers are), or points that cannot tell
    its coefficients apart.
    """
    seen, points = np.asarray(seen, dtype=float), _records(law, points)
    values, slopes, scale = _solved(law, points, seen, weights)
    predicted = law.predict(values, points)
    freedom = seen.size - values.size
    spread = float(np.square((predicted - seen) * scale).sum()) / freedom
    # The columns differ by many powers of ten (squares of lengths beside ones), so each is scaled before it is inverted.
    size = np.sqrt(np.square(slopes).sum(axis=0))
    inverse = np.linalg.pinv((slopes / size).T @ (slopes / size)) / np.outer(size, size)
    return Fit(law, values, spread * inverse, freedom, relative(predicted, seen))


def held_out(law: Law, points: Points, seen: Sequence[float], by: Sequence[str], weights: str = "relative") -> np.ndarray:
    """Relative errors at lengths that the law never saw: each distinct combination of the columns `by` is predicted from the
    points that share none of these lengths with it. Raises LawError where too few are left."""
    seen = np.asarray(seen, dtype=float)
    lengths, points = points[list(by)].to_numpy(), _records(law, points)
    errors = np.full(seen.size, np.nan)
    for one in np.unique(lengths, axis=0):
        inside, apart = (lengths == one).all(axis=1), (lengths != one).all(axis=1)
        values, _, _ = _solved(law, points[apart], seen[apart], weights)  # as `fit`, without how sure it is
        errors[inside] = relative(law.predict(values, points[inside]), seen[inside])
    return errors


def outliers(law: Law, points: Points, seen: Sequence[float]) -> np.ndarray:
    """Which points lie far from the law that most of them follow: more than FAR robust standard deviations, and more than
    LEAST_FAR of it, away from the fit that a soft loss gives, to which a wild point adds little. They are marked and never
    dropped: who fits shows both."""
    seen, points = np.asarray(seen, dtype=float), _records(law, points)
    first = fit(law, points, seen).values
    size = np.where(first == 0, 1.0, np.abs(first))
    if law.terms is None:
        def ratios(values: np.ndarray) -> np.ndarray:
            return law.predict(values * size, points) / seen - 1
    else:
        slopes = _matrix(law.terms, points) * size / seen[:, None]

        def ratios(values: np.ndarray) -> np.ndarray:
            return slopes @ values - 1

    found = optimize.least_squares(ratios, first / size, loss="soft_l1", f_scale=SOFT, max_nfev=400)
    errors = ratios(found.x)
    spread = 1.4826 * np.median(np.abs(errors - np.median(errors)))
    return np.abs(errors) > max(FAR * spread, LEAST_FAR)


def _records(law: Law, points: Points) -> np.recarray:
    """The columns that a law reads, as records: a table's own are a hundred times slower to take parts of."""
    if isinstance(points, np.recarray):
        return points
    if missing := [name for name in law.reads if name not in points]:
        raise LawError(f"{law.name}: expected points with {', '.join(law.reads)}; missing: {', '.join(missing)}")
    columns = [points[name].to_numpy(dtype=float) for name in law.reads] or [np.zeros(len(points))]
    return np.rec.fromarrays(columns, names=list(law.reads) or ["none"])


def _require_points(law: Law, points: Points, seen: np.ndarray) -> None:
    different = len(np.unique(points)) if law.reads else len(points)
    if different < law.needs:
        raise LawError(f"{law.name}: needs at least {law.needs} different lengths, got {different}; measure more of them")
    if seen.size != len(points) or not np.isfinite(seen).all() or (seen <= 0).any():
        raise LawError(f"{law.name}: expected a finite number above 0 for each of {len(points)} points, got {seen}")


def _solved(law: Law, points: np.recarray, seen: np.ndarray, weights: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, slopes of the weighted law at the points, and the weights. Raises LawError."""
    if weights not in WEIGHTS:
        raise LawError(f"unknown weights {weights!r}; known: {', '.join(WEIGHTS)}")
    _require_points(law, points, seen)
    scale = 1 / seen if weights == "relative" else np.ones(seen.size)
    values, slopes = _linear(law, points, seen, scale) if law.terms else _curved(law, points, seen, scale)
    return values, slopes, scale


def _matrix(terms: Callable, points: Points) -> np.ndarray:
    return np.column_stack([np.broadcast_to(np.asarray(column, dtype=float), len(points)) for column in terms(points)])


def _linear(law: Law, points: Points, seen: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slopes = _matrix(law.terms, points) * scale[:, None]
    size = np.sqrt(np.square(slopes).sum(axis=0))
    if not size.all():
        raise LawError(f"{law.name}: no point says anything of {law.coefficients[int(np.argmin(size))]}")
    values, _, _, singular = linalg.lstsq(slopes / size, seen * scale)
    if singular[-1] < ENOUGH * singular[0]:
        raise LawError(f"{law.name}: these points cannot tell {' and '.join(law.coefficients)} apart; needs at least "
                       f"{law.needs} different lengths that it does not treat alike")
    return values / size, slopes


def _curved(law: Law, points: Points, seen: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start = law.start(points, seen)
    size = np.where(start == 0, 1.0, np.abs(start))
    found = optimize.least_squares(lambda values: (law.predict(values * size, points) - seen) * scale, start / size,
                                   method="lm", max_nfev=2000)
    if not found.success:
        raise LawError(f"{law.name}: no fit was found ({found.message})")
    return found.x * size, found.jac / size
