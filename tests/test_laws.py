"""Laws against closed forms, other libraries and simulations whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from edgekit.analyze import law_forms, laws
from edgekit.analyze.laws import LawError

LENGTHS = pd.DataFrame(dict(prompt_tokens=[3, 40, 100, 129, 200, 256, 385, 513, 700, 1027, 2049, 4097]))
GRID = pd.DataFrame([dict(prompt_tokens=prompt, output_tokens=output) for prompt in (16, 256, 1024)
                     for output in (8, 32, 128, 512)])
PLANTED = [(law_forms.QUADRATIC, (2e-8, 3e-4, 0.02), LENGTHS), (law_forms.QUADRATIC_PADDED, (2e-8, 3e-4, 0.02), LENGTHS),
           (law_forms.LINE, (4e-4, 0.05), LENGTHS), (law_forms.STEPS_O, (4e-7, 0.03), GRID),
           (law_forms.STEPS_LESS, (4e-7, 0.03), GRID), (law_forms.SAME_STEP, (0.03,), GRID),
           (law_forms.logarithmic("output_tokens"), (2.0, 9.0), GRID),
           (law_forms.SATURATING, (28.0, 20.0, 1.5), pd.DataFrame(dict(seconds=np.geomspace(0.3, 60, 24))))]


@pytest.mark.parametrize("law, truth, points", PLANTED, ids=lambda one: getattr(one, "name", ""))
def test_a_law_finds_the_coefficients_that_were_planted(law, truth, points):
    found = laws.fit(law, points, law.predict(truth, points))
    assert found.values == pytest.approx(truth, rel=1e-5) and found.mape < 1e-4


@pytest.mark.parametrize("law, truth, points", PLANTED, ids=lambda one: getattr(one, "name", ""))
def test_intervals_hold_the_truth_as_often_as_they_say(law, truth, points):
    """Of 200 noisy runs with relative noise of one per cent; 95 % of 200 is 190, with a standard deviation of 3."""
    rng = np.random.default_rng(18)
    clean = law.predict(truth, points)
    held = np.zeros(len(truth))
    for _ in range(200):
        found = laws.fit(law, points, clean * rng.normal(1, 0.01, clean.size))
        ends = [found.coefficient(name) for name in law.coefficients]
        held += [end.low <= value <= end.high for end, value in zip(ends, truth, strict=True)]
    # The saturating law is curved, so its intervals are only nearly right.
    assert (held >= (180 if law.terms else 170)).all() and (held <= 199).all()


def test_equal_weights_are_those_of_polyfit():
    rng = np.random.default_rng(0)
    seen = law_forms.QUADRATIC.predict((2e-8, 3e-4, 0.02), LENGTHS) * rng.normal(1, 0.05, len(LENGTHS))
    found = laws.fit(law_forms.QUADRATIC, LENGTHS, seen, "equal")
    values, covariance = np.polyfit(LENGTHS.prompt_tokens, seen, 2, cov=True)
    assert found.values == pytest.approx(values, rel=1e-9)
    assert found.covariance == pytest.approx(covariance, rel=1e-6)


@pytest.mark.parametrize("weights", laws.WEIGHTS)
def test_a_curved_law_is_fitted_as_curve_fit_does(weights):
    rng = np.random.default_rng(1)
    points = pd.DataFrame(dict(seconds=np.geomspace(0.3, 60, 24)))
    seen = law_forms.SATURATING.predict((28.0, 20.0, 1.5), points) * rng.normal(1, 0.02, 24)
    found = laws.fit(law_forms.SATURATING, points, seen, weights)
    values, covariance = optimize.curve_fit(lambda t, *of: law_forms.SATURATING.predict(of, pd.DataFrame(dict(seconds=t))),
                                            points.seconds.to_numpy(), seen, (25.0, 10.0, 2.0),
                                            sigma=seen if weights == "relative" else None)
    assert found.values == pytest.approx(values, rel=1e-4) and np.diag(found.covariance) == pytest.approx(
        np.diag(covariance), rel=1e-2)


def test_leaving_out_a_length_is_what_the_hat_matrix_says():
    """The prediction sum of squares: a left-out residual is e / (1 - h), whatever is solved again."""
    rng = np.random.default_rng(2)
    seen = law_forms.QUADRATIC.predict((2e-8, 3e-4, 0.02), LENGTHS) * rng.normal(1, 0.05, len(LENGTHS))
    length = LENGTHS.prompt_tokens.to_numpy(float)
    design = np.column_stack([length**2, length, np.ones(length.size)]) / seen[:, None]
    hat = design @ np.linalg.pinv(design)
    left_out = (hat @ np.ones(seen.size) - 1) / (1 - np.diag(hat))
    assert laws.held_out(law_forms.QUADRATIC, LENGTHS, seen, ["prompt_tokens"]) == pytest.approx(left_out, rel=1e-8)


def test_a_pair_of_lengths_is_foretold_from_runs_that_had_neither():
    seen = law_forms.STEPS_LESS.predict((4e-7, 0.03), GRID).copy()
    spoilt = (GRID.prompt_tokens == 256) | (GRID.output_tokens == 32)
    seen[spoilt.to_numpy()] *= 3
    errors = laws.held_out(law_forms.STEPS_LESS, GRID, seen, ["prompt_tokens", "output_tokens"])
    here = (GRID.prompt_tokens == 256) & (GRID.output_tokens == 32)
    assert errors[here.to_numpy()] == pytest.approx(1 / 3 - 1)  # nothing spoilt took part in it


def test_the_decode_law_is_a_sum_over_steps():
    m, n = 4e-7, 0.03
    for steps, law in ((lambda output: output, law_forms.STEPS_O), (lambda output: output - 1, law_forms.STEPS_LESS)):
        sums = [sum(n + m * (at.prompt_tokens + i) for i in range(steps(at.output_tokens))) for at in GRID.itertuples()]
        assert law.predict((m, n), GRID) == pytest.approx(sums)


def test_padding_rounds_up_to_whole_blocks():
    assert list(law_forms.padded(np.array([1, 127, 128, 129, 256, 257]))) == [128, 128, 128, 256, 256, 384]


def test_the_saturating_law_is_the_mean_of_an_exponential_approach():
    time = np.linspace(0, 7, 200_001)
    mean = np.trapezoid(28 - 20 * np.exp(-time / 1.5), time) / 7
    assert law_forms.SATURATING.predict((28, 20, 1.5), pd.DataFrame(dict(seconds=[7.0]))) == pytest.approx([mean])


def test_averaging_is_the_mean_of_a_log_that_begins_idle():
    points = pd.DataFrame(dict(seconds=[0.5, 0.95, 3.4]))
    logs = [[6, 6], [6, 6, 40], [6, 6, 40, 40, 40]]
    assert law_forms.averaged(2).predict((6, 40), points) == pytest.approx([np.mean(log) for log in logs])


def test_a_wild_point_is_marked_and_stays_in_what_is_fitted():
    rng = np.random.default_rng(3)
    seen = law_forms.QUADRATIC.predict((2e-8, 3e-4, 0.02), LENGTHS) * rng.normal(1, 0.02, len(LENGTHS))
    assert not laws.outliers(law_forms.QUADRATIC, LENGTHS, seen).any()
    wild = seen.copy()
    wild[6] *= 9
    mark = laws.outliers(law_forms.QUADRATIC, LENGTHS, wild)
    assert list(np.flatnonzero(mark)) == [6]
    with_it, without = (laws.fit(law_forms.QUADRATIC, LENGTHS[keep], wild[keep]) for keep in (mark | True, ~mark))
    assert with_it.mape > 4 * without.mape and len(with_it.errors) == len(without.errors) + 1


@pytest.mark.parametrize("law, points, seen, says", [
    (law_forms.QUADRATIC, LENGTHS[:3], [1, 2, 3], "quadratic: needs at least 4 different lengths, got 3"),
    (law_forms.QUADRATIC, LENGTHS.iloc[[0, 1, 2, 2]], [1, 2, 3, 3], "needs at least 4 different lengths, got 3"),
    (law_forms.QUADRATIC_PADDED, LENGTHS[:4], [1, 1, 1, 2], "cannot tell a and b and c apart; needs at least 4 different"),
    (law_forms.LINE, LENGTHS[:3], [1, 0, 2], "finite number above 0"),
    (law_forms.LINE, LENGTHS[:3], [1, np.nan, 2], "finite number above 0"),
    (law_forms.LINE, LENGTHS[:3], [1, 2], "for each of 3 points"),
    (law_forms.STEPS_O, LENGTHS, [1.0] * 12, "expected points with prompt_tokens, output_tokens; missing: output_tokens"),
    (law_forms.averaged(), pd.DataFrame(dict(seconds=[0.1, 0.2, 0.3])), [5, 5, 5], "no point says anything of active_w"),
])
def test_what_cannot_be_fitted_is_refused_with_what_it_takes(law, points, seen, says):
    with pytest.raises(LawError, match=says):
        laws.fit(law, points, seen)


def test_unknown_weights_coefficients_and_their_number_are_refused():
    with pytest.raises(LawError, match="unknown weights 'log'; known: relative, equal"):
        laws.fit(law_forms.LINE, LENGTHS, np.ones(12), "log")
    with pytest.raises(LawError, match="line: expected 2 coefficients"):
        law_forms.LINE.predict((1.0,), LENGTHS)
    with pytest.raises(LawError, match="unknown coefficient 'a'; known: b, c"):
        laws.fit(law_forms.LINE, LENGTHS, LENGTHS.prompt_tokens + 1.0).coefficient("a")


def test_every_law_says_what_it_reads_and_needs():
    for law in (*law_forms.PREFILL, *law_forms.DECODE, law_forms.POWER_LINE, law_forms.POWER_THEN_LOG):
        assert law.needs == len(law.coefficients) + 1 and law.reads and law.formula
