"""Intervals against textbook formulas."""

import math

import numpy as np
import pytest

from v2l.metrics.intervals import mean_interval, proportion_interval


def test_mean_interval_follows_the_table_of_students_t():
    estimate = mean_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    # t(0.975, 3 degrees of freedom) = 3.18245 from printed tables; standard error = sqrt(5/3) / 2.
    half_width = 3.18245 * math.sqrt(5 / 3) / 2
    assert (estimate.value, estimate.n) == (2.5, 4)
    # The table gives six digits.
    assert estimate.low == pytest.approx(2.5 - half_width, abs=1e-5)
    assert estimate.high == pytest.approx(2.5 + half_width, abs=1e-5)


def test_wilson_interval_follows_its_closed_form():
    successes, n, z = 7, 50, 1.959964
    centre = (successes + z**2 / 2) / (n + z**2)
    half_width = z / (n + z**2) * math.sqrt(successes * (n - successes) / n + z**2 / 4)
    estimate = proportion_interval(successes, n)
    assert (estimate.value, estimate.n) == (0.14, 50)
    # z is given to seven digits.
    assert estimate.low == pytest.approx(centre - half_width, abs=1e-6)
    assert estimate.high == pytest.approx(centre + half_width, abs=1e-6)


def test_all_correct_still_has_a_lower_bound_below_one():
    estimate = proportion_interval(20, 20)
    assert estimate.value == estimate.high == 1
    assert 0.8 < estimate.low < 1


def test_equal_values_give_an_interval_of_no_width():
    estimate = mean_interval(np.full(5, 0.25))
    assert (estimate.value, estimate.low, estimate.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("estimate", [mean_interval(np.array([0.7])), proportion_interval(1, 1)])
def test_one_item_has_a_value_but_no_bounds(estimate):
    assert estimate.n == 1
    assert estimate.low is None
    assert estimate.high is None


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf], [[1.0], [2.0]]])
def test_mean_of_nothing_or_of_no_number_is_refused(values):
    with pytest.raises(ValueError, match=r"\[n >= 1\] finite values"):
        mean_interval(np.array(values))


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2)])
def test_impossible_proportion_is_refused(successes, n):
    with pytest.raises(ValueError, match=r"at least one trial|k .* must"):
        proportion_interval(successes, n)


def test_wilson_interval_covers_the_true_share_about_95_times_in_100():
    draws = np.random.default_rng(0).binomial(40, 0.3, size=2000)
    intervals = {k: proportion_interval(k, 40) for k in np.unique(draws)}
    covered = np.mean([intervals[k].low <= 0.3 <= intervals[k].high for k in draws])
    # Coverage of the discrete interval swings around 0.95; 0.02 is its known swing at n = 40 plus sampling error.
    assert covered == pytest.approx(0.95, abs=0.02)
