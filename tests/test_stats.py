"""Intervals against closed forms, an independent construction, and their coverage in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.analyze import stats

positive = st.lists(st.floats(0.01, 1e4), min_size=2, max_size=20)


def test_mean_interval_of_three_runs_is_the_textbook_one():
    found = stats.mean_interval([9.0, 10.0, 11.0])
    # t(0.975, 2 degrees of freedom) = 4.302653, standard error = 1 / sqrt(3)
    assert found.value == 10.0
    assert found.high - found.value == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert found.n == 3


def test_one_run_has_no_interval():
    for found in (stats.mean_interval([3.0]), stats.ratio_interval([3.0], [2.0]), stats.median_iqr([3.0])):
        assert (found.low, found.high, found.n) == (None, None, 1)
        assert "no interval" in str(found)
    assert stats.is_unstable([3.0]) is None


def coverage(interval, truth, draws) -> float:
    return float(np.mean([found.low <= truth <= found.high for found in map(interval, draws)]))


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(7)
    runs = rng.normal(10, 2, (4000, 4))
    assert coverage(stats.mean_interval, 10, runs) == pytest.approx(0.95, abs=0.012)
    pairs = np.exp(rng.normal(math.log(2), 0.3, (4000, 5)))
    assert coverage(lambda a: stats.ratio_interval(a, np.ones(5)), 2, pairs) == pytest.approx(0.95, abs=0.012)
    right = rng.binomial(40, 0.9, 4000)
    assert coverage(lambda k: stats.wilson(k, 40), 0.9, right) == pytest.approx(0.95, abs=0.025)


def test_a_bounded_interval_is_the_t_interval_on_fishers_z_for_correlations():
    samples = [0.7, 0.85, 0.9]
    found = stats.bounded_interval(samples, -1.0, 1.0)
    mean = sum(samples) / 3
    half = 4.302653 * math.sqrt(sum((r - mean) ** 2 for r in samples) / 2 / 3)  # t(0.975, 2) standard errors
    ends = [math.tanh(math.atanh(mean) + side * half / (1 - mean**2)) for side in (-1, 1)]  # dz/dr = 1 / (1 - r^2)
    assert (found.value, found.n) == (pytest.approx(mean), 3)
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-6)
    alike = 0.8 + 0.001 * np.array([-1.0, 0.2, 0.5, 1.1])          # each transformed by itself, where that makes no odds
    apart = stats.mean_interval(np.arctanh(alike))
    near = stats.bounded_interval(alike, -1.0, 1.0)
    assert (near.low, near.high) == pytest.approx((math.tanh(apart.low), math.tanh(apart.high)), abs=1e-5)


def test_a_bounded_interval_of_shares_is_the_logit_one_and_turns_round_with_them():
    shares = [0.9, 1.0, 0.95]
    found, turned = stats.bounded_interval(shares), stats.bounded_interval([1 - share for share in shares])
    half = 4.302653 * 0.05 / math.sqrt(3) / (0.95 * 0.05)
    ends = [1 / (1 + math.exp(-(math.log(0.95 / 0.05) + side * half))) for side in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-6)
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_a_bounded_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(9)
    draws = rng.beta(16, 4, (3000, 4))
    assert coverage(stats.bounded_interval, 0.8, draws) == pytest.approx(0.95, abs=0.02)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_a_bounded_interval_stays_in_its_range_and_holds_its_value(samples):
    found = stats.bounded_interval(samples, -1.0, 1.0)
    assert -1 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1


def test_samples_at_an_edge_that_are_all_alike_have_ends_like_their_mean():
    assert stats.bounded_interval([1.0, 1.0, 1.0]) == stats.Estimate(1.0, 1.0, 1.0, 3)
    assert stats.bounded_interval([0.4]) == stats.Estimate(0.4, None, None, 1)
    for outside in ([0.5, 1.2], [-0.1, 0.3]):
        with pytest.raises(ValueError, match="from 0 to 1"):
            stats.bounded_interval(outside)


def test_paired_difference_covers_the_truth_although_most_pairs_agree():
    rng = np.random.default_rng(8)
    kinds = rng.choice(4, p=(0.7, 0.1, 0.03, 0.17), size=(2000, 60))      # both right, only a, only b, neither
    draws = [(np.isin(row, (0, 1)), np.isin(row, (0, 2))) for row in kinds]
    found = coverage(lambda ab: stats.paired_difference(ab[0].astype(int), ab[1].astype(int)), 0.07, draws)
    assert 0.93 < found < 0.99


def test_pairs_that_all_agree_still_leave_doubt():
    found = stats.paired_difference([1] * 10, [1] * 10)
    assert found.value == 0 and found.low < -0.1 and found.high > 0.1


def test_wilson_solves_its_quadratic():
    # The ends p are where |observed - p| = z * sqrt(p (1 - p) / n).
    found = stats.wilson(37, 50)
    for p in (found.low, found.high):
        assert abs(0.74 - p) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / 50), rel=1e-6)


@given(st.integers(1, 300), st.data())
def test_wilson_holds_its_value_and_mirrors(n, data):
    k = data.draw(st.integers(0, n))
    found, mirrored = stats.wilson(k, n), stats.wilson(n - k, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


@given(positive)
def test_ratio_and_its_inverse_say_the_same(a):
    b = a[::-1]
    there, back = stats.ratio_interval(a, b), stats.ratio_interval(b, a)
    assert there.value == pytest.approx(1 / back.value)
    assert there.low == pytest.approx(1 / back.high, rel=1e-6)


def test_pairing_removes_drift_that_both_share():
    drift = np.array([1.0, 1.5, 2.0, 3.0])
    found = stats.ratio_interval(2 * drift * [1.01, 0.99, 1.01, 0.99], drift)
    assert found.low > 1.9 and found.high < 2.1


def test_median_and_quartiles():
    found = stats.median_iqr([5, 1, 2, 4, 3])
    assert (found.low, found.value, found.high) == (2, 3, 4)


def test_unstable_is_a_spread_above_a_fifth_of_the_mean():
    assert stats.is_unstable([1.0, 1.5]) is True                          # 28 %
    assert stats.is_unstable([1.0, 1.1]) is False                         # 7 %


@pytest.mark.parametrize("call", [
    lambda: stats.mean_interval([]), lambda: stats.mean_interval([1, math.nan]),
    lambda: stats.ratio_interval([1, 2], [1]), lambda: stats.ratio_interval([1, 2], [0, 1]),
    lambda: stats.wilson(3, 2), lambda: stats.wilson(0, 0), lambda: stats.paired_difference([0, 2], [0, 1]),
])
def test_samples_that_cannot_be_judged_are_refused(call):
    with pytest.raises(ValueError, match="expected|needs"):
        call()


@pytest.mark.parametrize("value, text", [
    (0, "0"), (64.0, "64"), (1.5e-6, "1.50 × 10⁻⁶"), (0.012345, "0.0123"), (4.5678, "4.57"), (99.96, "100"), (521.4, "521"),
    (12345, "12,300")])
def test_numbers_are_printed_with_three_digits(value, text):
    assert stats.number(value) == text


def test_a_speed_is_one_over_its_time_with_the_ends_turned_round():
    times = [0.010, 0.012, 0.020, 0.011]
    time, speed = stats.rate_interval(times), stats.rate_interval([1 / t for t in times])
    assert speed.value == pytest.approx(1 / time.value)
    assert (speed.low, speed.high) == (pytest.approx(1 / time.high), pytest.approx(1 / time.low))
    assert time.value == pytest.approx(math.prod(times) ** 0.25)
    assert stats.rate_interval([1.0, 100.0]).low > 0 > stats.mean_interval([1.0, 100.0]).low


def test_an_unpaired_ratio_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(800):
        found = stats.unpaired_ratio_interval(np.exp(rng.normal(1.0, 0.1, 4)), np.exp(rng.normal(0.2, 0.3, 12)))
        hits += found.low < math.exp(0.8) < found.high
    assert hits / 800 == pytest.approx(0.95, abs=0.03)
    a, b = [2.0, 2.2], [1.0, 1.1, 0.9]
    one, other = stats.unpaired_ratio_interval(a, b), stats.unpaired_ratio_interval(b, a)
    assert one.value == pytest.approx(1 / other.value) and one.low == pytest.approx(1 / other.high)
    assert stats.unpaired_ratio_interval([2.0], [1.0, 1.1]).low is None


@pytest.mark.parametrize("value, low, high, words", [
    (0.75512, 0.73718, 0.75781, "0.755 (0.737 to 0.758)"),
    (94.8123, 94.0123, 95.7, "94.8 (94.0 to 95.7)"),
    (3620.4, 2500.2, 6151.0, "3,620 (2,500 to 6,151)"),
    (4.24e-4, 3.7e-4, 4.79e-4, "4.2 (3.7 to 4.8) × 10⁻⁴"),
    (5e-7, -0.0, 0.0131, "0.000 (0.000 to 0.013)"),
    (3.94, 1.47, 10.52, "3.9 (1.5 to 10.5)"),
    (2.42, 0.17, 17.2, "2.4 (0.2 to 17.2)"),
    (12.6, 6.54, 24.0, "13 (7 to 24)"),
    (3.75, -2.9, 7.1, "3.8 (-2.9 to 7.1)"),
    (0.2, -2.9, 7.1, "0 (-3 to 7)"),
    (-0.0004, -1.49, 1.49, "0.0 (-1.5 to 1.5)"),
    (66.41, 66.41, 66.41, "66.4"),
    (12345.6, None, None, "12,300"),
    (64.0, None, None, "64"),
    (0.0000512, None, None, "5.12 × 10⁻⁵"),
])
def test_an_interval_says_how_many_digits_a_value_has(value, low, high, words):
    assert stats.told(value, low, high) == words


def test_a_few_runs_that_span_more_than_a_factor_of_ten_are_told_one_by_one():
    noisy = stats.rate_interval([1.0, 34.0], unit="times")
    assert noisy.high > 10 * noisy.low and str(noisy) == "5.83 times (too noisy: 1, 34, n = 2)"
    assert stats.rate_interval([1.0, 1.1, 1.2]).noisy is False and "too noisy" not in str(stats.rate_interval([1.0, 1.1, 1.2]))
    assert not stats.wilson(1, 80).noisy, "an interval of items is no spread of runs"


@pytest.mark.parametrize("low, high, words", [
    (1, 2.5, "1 to 2.5"), (None, 3, "at most 3"), (0.5, None, "at least 0.5"), (-math.inf, 3, "at most 3"),
    (2e6, 3e6, "2,000,000 to 3,000,000"),
])
def test_a_range_says_which_end_is_open(low, high, words):
    assert stats.span(low, high) == words


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_no_interval_in_a_table_leaves_what_is_possible(shares):
    found = stats.mean_interval(shares)
    line = stats.ends_of("agreement", found)
    assert 0 <= line["agreement_low"] <= line["agreement"] + 1e-12 and line["agreement"] - 1e-12 <= line["agreement_high"] <= 1
    for end in ("low", "high"):  # nothing but what cannot be was cut
        assert line[f"agreement_{end}"] == getattr(found, end) or line[f"agreement_{end}"] in (0.0, 1.0)


def test_what_cannot_be_is_cut_from_an_interval_and_a_value_outside_stays_in_it():
    found = stats.Estimate(0.1, -0.3, 0.5, 3)
    assert (found.within(0, 1).low, found.within(0, 0.4).high) == (0, 0.4)
    noise = stats.Estimate(-0.1, -0.3, 0.1, 3).within(0, 1)
    assert (noise.low, noise.value, noise.high) == (-0.1, -0.1, 0.1)
    assert list(stats.ends_of("overhead_share", found).values()) == [0.1, 0, 0.5]
