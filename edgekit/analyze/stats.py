"""Values with their intervals. One run has a value and no interval: a width is never invented.

Times and rates are summarised over runs by a t-interval, ratios on the log scale, shares of items by Wilson's
interval.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from scipy import stats as distributions

if TYPE_CHECKING:
    import pandas as pd

UNSTABLE_CV = 0.20
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FEW = 5  # runs that are told one by one


@dataclass(frozen=True)
class Estimate:
    """A value, the ends of its interval (None where the samples cannot give one), and the number of samples.

    runs: the samples themselves, where they are a few positive runs.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    unit: str = ""
    what: str = ""
    runs: tuple[float, ...] = ()

    def __str__(self) -> str:
        if self.low is None:
            return f"{_with(self.unit, number(self.value))} (n = {self.n}, no interval)"
        if self.low == self.high:
            return f"{_with(self.unit, number(self.value))} ({'counted' if self.n == 1 else f'n = {self.n}, all the same'})"
        return self._told(f", n = {self.n}", ": " + ", ".join(map(number, self.runs)))

    @property
    def short(self) -> str:
        """Value and interval alone, as for a table's cell with its unit."""
        return self._told()

    def _told(self, more: str = "", runs: str = "") -> str:
        return told(self.value, self.low, self.high, self.unit, more, too_noisy=f"too noisy{runs}" if self.noisy else "")

    @property
    def noisy(self) -> bool:
        """Whether the interval of a few runs spans more than a factor of ten: then the runs say more than its ends do."""
        return bool(self.runs) and is_noisy(self.low, self.high)

    def within(self, least: float, most: float) -> Estimate:
        """Without what cannot be: cut from an interval, that takes nothing from how often it holds the truth. A value that lies
        outside itself, by noise, stays where it is and in its interval."""
        if self.low is None:
            return self
        return replace(self, low=min(max(self.low, least), most, self.value), high=max(min(self.high, most), least, self.value))


# What can be at all, by the name of a table's column: the ends of an interval stay in it.
POSSIBLE = dict.fromkeys(("accuracy", "agreement", "kept", "overlap", "rate", "acceptance",
                          "overhead_share"), (0.0, 1.0)) | dict.fromkeys(
    ("kl", "kl_prune_first", "kl_quantize_first", "retained", "peak_memory_bytes", "joule_per_token"), (0.0, math.inf)) | {
    "change": (-1.0, 1.0), "residual": (-100.0, math.inf), "correlation": (-1.0, 1.0), "brought_back": (-math.inf, 1.0)}


def with_ends(*names: str) -> list[str]:
    """The columns that an estimate fills in a table: its name, and the ends of its interval as `_low` and `_high`."""
    return [name + end for name in names for end in ("", "_low", "_high")]


def ends_of(name: str, found: Estimate | None) -> dict:
    """An estimate under the names of `with_ends`, its ends within what is POSSIBLE; nothing for none."""
    if found is None:
        return {}
    found = found.within(*POSSIBLE.get(name, (-math.inf, math.inf)))
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def number(value: float, digits: int = 3) -> str:
    """So many significant digits, thousands written out: 0.0123, 4.56, 1,230; powers of ten below a thousandth; a whole number
    as it is."""
    if not math.isfinite(value) or (math.isclose(value, round(value), rel_tol=1e-12) and abs(value) < 10**digits):
        return f"{value + 0:.{digits}g}"
    value = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -3:
        return f"{value / 10.0**exponent:.{digits - 1}f} × 10{str(exponent).translate(RAISED)}"
    return f"{value:,.{max(digits - 1 - exponent, 0)}f}"


def told(value: float, low: float | None = None, high: float | None = None, unit: str = "", more: str = "", *,
         too_noisy: str = "", digits: int = 3) -> str:
    """A value with its interval, in as many digits as the interval's half width has to say: "0.755 (0.737 to 0.758)".

    Two digits of the half width count where it begins with less than 355, else one (Particle Data Group 2024, section 5.3); but
    a value above a tenth of it keeps two of its own, so that a wide interval says where it begins: "3.9 (1.5 to 10.5)".
    Small numbers share one power of ten. Without an interval, or with one of no width, `digits` significant digits of the
    value; so too where its ends are not worth a digit, and `too_noisy` stands for them. `more` comes after the ends.
    """
    if low is None or math.isnan(low) or low == high:
        return _with(unit, number(value, digits))
    if too_noisy:
        return f"{_with(unit, number(value, digits))} ({too_noisy}{more})"
    largest = math.floor(math.log10(max(abs(value), abs(low), abs(high))))
    power, factor = ("", 1.0) if largest >= -3 else (f" × 10{str(largest).translate(RAISED)}", 10.0**largest)
    half, size = (high - low) / factor / 2, abs(value) / factor
    place = math.floor(math.log10(half))
    digits = (1 if half / 10.0**place < 3.55 else 0) - place
    if size > half / 10:
        digits = max(digits, 1 - math.floor(math.log10(size)))
    digits = min(digits, 3 - (0 if power else largest))
    value, low, high = (f"{round(one / factor, max(digits, 0)) + 0:,.{max(digits, 0)}f}" for one in (value, low, high))
    return f"{_with(unit, value)} ({low} to {high}{more}){power}"


def span(low: float | None, high: float | None) -> str:
    """A range in words, open at an end that is infinite or None."""
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    least, most = (f"{end:,.0f}" if 1e5 <= abs(end) < math.inf else f"{end:g}" for end in (low, high))
    if math.isinf(high):
        return f"at least {least}"
    return f"at most {most}" if math.isinf(low) else f"{least} to {most}"


def is_noisy(low: float | None, high: float | None) -> bool:
    """Whether an interval of a positive quantity spans more than a factor of ten."""
    return low is not None and low > 0 and high > 10 * low


def _with(unit: str, text: str) -> str:
    return f"{text} {unit}" if unit else text


@functools.lru_cache(maxsize=4096)
def _t_quantile(confidence: float, freedom: int) -> float:
    """How many standard errors a two-sided t-interval reaches to each side."""
    return float(distributions.t.ppf((1 + confidence) / 2, freedom))


def mapped(column: pd.Series, function: Callable) -> list:
    """`function` of each value, called once for each distinct one: coordinates of rows are few, and rows are many."""
    import pandas as pd

    codes, values = pd.factorize(column, use_na_sentinel=False)
    results = [function(value) for value in values]
    return [results[code] for code in codes]


def grouped(rows: pd.DataFrame, cell: list[str]) -> Iterator[np.ndarray]:
    """The places of the rows of each cell, in order: for functions of arrays, since a table for each takes a hundred times as
    long."""
    codes = rows.groupby(cell).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]  # a coordinate that is missing belongs to no cell
    yield from np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else ()


def clusters(rows: pd.DataFrame, cell: list[str], cluster: str, columns: list[str]) -> Iterator[tuple[tuple, dict]]:
    """(coordinates, {column: sums of its clusters}) of each cell of a table, in order: what intervals over texts or items are
    taken of. One grouping for all cells, since one for each takes a hundred times as long."""
    sums = rows.groupby([*cell, cluster])[columns].sum()
    values = {name: sums[name].to_numpy() for name in columns}
    keys = [key[:-1] for key in sums.index]
    for key, places in itertools.groupby(range(len(keys)), keys.__getitem__):
        where = list(places)
        yield key, {name: found[where[0]:where[-1] + 1] for name, found in values.items()}


def _samples(samples: Sequence[float], positive: bool = False) -> np.ndarray:
    values = np.asarray(samples, dtype=float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"expected a list of at least one finite number, got {samples!r}")
    if positive and (values <= 0).any():
        raise ValueError(f"a rate or ratio needs positive numbers, got {values.min()}")
    return values


def _t_half_width(values: np.ndarray, confidence: float) -> float | None:
    if values.size < 2:
        return None
    quantile = _t_quantile(confidence, values.size - 1)
    return float(quantile * values.std(ddof=1) / math.sqrt(values.size))


def mean_interval(samples: Sequence[float], confidence: float = 0.95, *, unit: str = "", what: str = "") -> Estimate:
    """Mean over runs with its t-interval; None ends for one run. Raises ValueError without finite samples."""
    values = _samples(samples)
    mean, half = float(values.mean()), _t_half_width(values, confidence)
    ends = (None, None) if half is None else (mean - half, mean + half)
    return Estimate(mean, *ends, values.size, unit, what)


def bounded_interval(samples: Sequence[float], least: float = 0.0, most: float = 1.0, confidence: float = 0.95, *,
                     what: str = "") -> Estimate:
    """Mean over runs of a quantity that lies between `least` and `most`, with a t-interval that does so too.

    The t-interval of the mean is carried to the logit scale by its slope there (the delta method), and its ends are carried
    back; for correlations, -1 to 1, the logit of (1 + r) / 2 is twice Fisher's z, so these are intervals on the z scale. The
    mean is what is transformed and not each sample, because single samples may lie on an edge (few ranked units soon agree
    wholly), where a logit is infinite. Samples that are all alike have ends like their mean; one sample has none. Raises
    ValueError for samples outside of the range.
    """
    values = _samples(samples)
    if values.min() < least or values.max() > most:
        raise ValueError(f"expected samples from {least:g} to {most:g}, got {values.min():g} to {values.max():g}")
    mean, half = float(values.mean()), _t_half_width(values, confidence)
    if half is None or np.ptp(values) == 0:
        return Estimate(mean, *((None, None) if half is None else (mean, mean)), values.size, "", what)
    share = (mean - least) / (most - least)
    slope = 1 / (share * (1 - share) * (most - least))
    ends = special.expit(special.logit(share) + np.array([-1.0, 1.0]) * half * slope)
    return Estimate(mean, *(least + (most - least) * float(end) for end in ends), values.size, "", what)


def rate_interval(samples: Sequence[float], confidence: float = 0.95, *, unit: str = "", what: str = "") -> Estimate:
    """Geometric mean over runs with a t-interval taken on the log scale, for times and speeds.

    They are positive and vary by factors; a time and its inverse, a speed, then say the same thing, and no end falls below
    zero. Raises ValueError for numbers that are not positive.
    """
    logs = np.log(_samples(samples, positive=True))
    centre, half = float(logs.mean()), _t_half_width(logs, confidence)
    ends = (None, None) if half is None else (math.exp(centre - half), math.exp(centre + half))
    runs = tuple(np.exp(logs).tolist()) if logs.size <= FEW else ()
    return Estimate(math.exp(centre), *ends, logs.size, unit, what, runs)


def ratio_interval(a: Sequence[float], b: Sequence[float], confidence: float = 0.95, *, unit: str = "",
                   what: str = "") -> Estimate:
    """Geometric mean of a[i] / b[i] over paired runs, with a t-interval taken on the log scale.

    A ratio and its inverse then say the same thing, which the mean of ratios would not. Raises ValueError for unequal
    lengths or numbers that are not positive.
    """
    a, b = _samples(a, positive=True), _samples(b, positive=True)
    if a.size != b.size:
        raise ValueError(f"a paired ratio needs as many numerators as denominators, got {a.size} and {b.size}")
    return rate_interval(a / b, confidence, unit=unit, what=what)


def unpaired_ratio_interval(a: Sequence[float], b: Sequence[float], confidence: float = 0.95, *, unit: str = "",
                            what: str = "") -> Estimate:
    """Geometric mean of `a` over that of `b`, measured apart, with Welch's interval on the log scale.

    `n` is the smaller number of samples; fewer than two on a side leave no interval. Raises ValueError for numbers that are not
    positive.
    """
    a, b = np.log(_samples(a, positive=True)), np.log(_samples(b, positive=True))
    value, n = math.exp(a.mean() - b.mean()), min(a.size, b.size)
    if n < 2:
        return Estimate(value, None, None, n, unit, what)
    ends = distributions.ttest_ind(a, b, equal_var=False).confidence_interval(confidence)
    low, high = (value, value) if math.isnan(ends.low) else (math.exp(ends.low), math.exp(ends.high))  # no spread at all
    return Estimate(value, low, high, n, unit, what)


@functools.lru_cache(maxsize=4096)
def wilson(correct: int, n: int, confidence: float = 0.95, *, what: str = "") -> Estimate:
    """Share of right items with Wilson's score interval. Raises ValueError for no items or more right than items."""
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"expected 0 <= correct <= n and n >= 1, got {correct} of {n}")
    ends = distributions.binomtest(int(correct), int(n)).proportion_ci(confidence, method="wilson")
    # At 0 and n the closed form gives the end exactly; rounding would leave the value outside of its own interval.
    share = correct / n
    return Estimate(share, min(float(ends.low), share), max(float(ends.high), share), int(n), "", what)


def median_iqr(samples: Sequence[float], *, unit: str = "", what: str = "") -> Estimate:
    """Median with the quartiles as ends: the spread of the samples, not the uncertainty of their centre."""
    values = _samples(samples)
    ends = (None, None) if values.size < 2 else (float(q) for q in np.quantile(values, (0.25, 0.75)))
    return Estimate(float(np.median(values)), *ends, values.size, unit, what)


def paired_difference(a: Sequence[int], b: Sequence[int], confidence: float = 0.95, *, what: str = "") -> Estimate:
    """Share of right items of a less that of b, on the same items (0 or 1 each), with the adjusted Wald interval.

    Bonett and Price 2012: one is added to either kind of discordant pair. The plain interval has no width when all
    pairs agree, which would call any two systems equal after a handful of easy items. Raises ValueError.
    """
    a, b = _samples(a), _samples(b)
    if a.size != b.size or not np.isin(np.concatenate([a, b]), (0, 1)).all():
        raise ValueError(f"expected 0 or 1 for the same items, got {a.size} and {b.size} values")
    n, better, worse = a.size, int((a > b).sum()), int((a < b).sum())
    p, q = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    half = distributions.norm.ppf((1 + confidence) / 2) * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return Estimate((better - worse) / n, max(-1.0, p - q - half), min(1.0, p - q + half), n, "", what)


def ratio_of_sums(numerators: Sequence[float], denominators: Sequence[float], confidence: float = 0.95, *, unit: str = "",
                  what: str = "") -> Estimate:
    """Sum of the numerators over that of the denominators, clusters (texts, prompts) as the samples, with a t-interval.

    For a value a token where tokens come in texts: those of one text are alike, so texts are what is counted (`n`). The
    standard error is the linearised one of the ratio estimator (Cochran 1977, Sampling Techniques, section 6.4), none for one
    cluster. Raises ValueError for unequal lengths, or denominators that are negative or all zero.
    """
    a, b = _samples(numerators), _samples(denominators)
    if (b < 0).any() or not b.sum():
        raise ValueError(f"a ratio of sums needs denominators of at least 0, not all 0, got {denominators!r}")
    if a.size != b.size:
        raise ValueError(f"a ratio of sums needs as many numerators as denominators, got {a.size} and {b.size}")
    value, n = float(a.sum() / b.sum()), a.size
    if n < 2:
        return Estimate(value, None, None, n, unit, what)
    error = math.sqrt(n / (n - 1) * float(np.square(a - value * b).sum())) / float(b.sum())
    half = _t_quantile(confidence, n - 1) * error
    return Estimate(value, value - half, value + half, n, unit, what)


def clustered_share(counts: Sequence[float], totals: Sequence[float], confidence: float = 0.95, *, what: str = "") -> Estimate:
    """`ratio_of_sums` of a share, ends kept in 0..1. Where all clusters agree wholly (all 0 or all 1) their spread says
    nothing, and the ends are Wilson's for as many items as there are clusters."""
    found = ratio_of_sums(counts, totals, confidence, what=what)
    if found.low is None:
        return found
    if found.value in (0.0, 1.0):
        ends = wilson(int(found.value) * found.n, found.n, confidence)
        return Estimate(found.value, ends.low, ends.high, found.n, "", what)
    return found.within(0.0, 1.0)


def clustered_difference(a: Sequence[float], b: Sequence[float], totals: Sequence[float], confidence: float = 0.95, *,
                         what: str = "") -> Estimate:
    """Mean over clusters (items asked `totals` times) of the share that is right in `a` less that in `b`, with its t-interval.
    Where no cluster differs their spread says nothing, and the ends are those of `paired_difference` for as many items."""
    differences = (_samples(a) - _samples(b)) / _samples(totals, positive=True)
    if not differences.any():
        same = np.zeros(differences.size)
        return paired_difference(same, same, confidence, what=what)
    return mean_interval(differences, confidence, what=what)


def per_token(seeds: Sequence, column: str) -> Estimate:
    """A value a token from tables of blocks (one a seed, with `column` and `tokens`): over seeds with their t-interval, or of
    one seed with that over its blocks."""
    if len(seeds) == 1:
        return ratio_of_sums(seeds[0][column], seeds[0].tokens)
    return mean_interval([part[column].sum() / part.tokens.sum() for part in seeds])


def percent(found: Estimate, unit: str = "%") -> Estimate:
    """A share as per cent; a difference of shares has the unit "% points"."""
    ends = [None if end is None else 100 * end for end in (found.value, found.low, found.high)]
    return Estimate(*ends, found.n, unit, found.what, tuple(100 * run for run in found.runs))


def power_law(x: Sequence[float], y: Sequence[float], confidence: float = 0.95, *, what: str = "") -> Estimate:
    """The exponent a of y proportional to x^-a, by least squares on logarithms, with its t-interval (n - 2 degrees).

    Two points leave no interval. Raises ValueError for fewer, or for numbers that are not positive.
    """
    x, y = np.log(_samples(x, positive=True)), np.log(_samples(y, positive=True))
    if x.size != y.size or x.size < 2 or np.ptp(x) == 0:
        raise ValueError(f"a power law needs at least two different x and as many y, got {x.size} and {y.size}")
    fit = distributions.linregress(x, y)
    if x.size < 3:
        return Estimate(-float(fit.slope), None, None, x.size, "", what)
    half = _t_quantile(confidence, x.size - 2) * float(fit.stderr)
    return Estimate(-float(fit.slope), -float(fit.slope) - half, -float(fit.slope) + half, x.size, "", what)


def is_unstable(samples: Sequence[float]) -> bool | None:
    """Whether the coefficient of variation over runs is above 20 %; None for one run, which cannot tell."""
    values = _samples(samples)
    if values.size < 2:
        return None
    return bool(values.std(ddof=1) > UNSTABLE_CV * abs(values.mean()))
