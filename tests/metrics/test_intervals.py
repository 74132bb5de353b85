"""Intervals against textbook formulas."""

import math

import numpy as np
import pytest
from scipy import stats

from v2l.metrics.intervals import Estimate, grouped_share_interval, mean_interval, proportion_interval, share_interval


def wilson_bounds(share: float, trials: float) -> list[float]:
    """The x with (share - x)^2 = z^2 x (1 - x) / trials, as roots of the quadratic."""
    ratio = stats.norm.isf(0.025) ** 2 / trials
    return sorted(np.roots([1 + ratio, -2 * share - ratio, share**2]))


def width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


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


ONE_ITEM = [
    mean_interval(np.array([0.7])), proportion_interval(1, 1), share_interval(np.array([0.7])),
    share_interval(np.array([1.0])),
]  # fmt: skip


@pytest.mark.parametrize("estimate", ONE_ITEM)
def test_one_item_has_a_value_but_no_bounds(estimate):
    assert estimate.n == 1
    assert estimate.low is None
    assert estimate.high is None


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf], [[1.0], [2.0]]])
@pytest.mark.parametrize("interval", [mean_interval, share_interval])
def test_mean_of_nothing_or_of_no_number_is_refused(interval, values):
    with pytest.raises(ValueError, match=r"\[n >= 1\] finite values"):
        interval(np.array(values))


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


@pytest.mark.parametrize("shares", [[1.0, 0, 0, 1, 1], [0.0] * 4, [1.0] * 4])
def test_items_that_are_all_or_nothing_are_trials(shares):
    assert share_interval(np.array(shares)) == proportion_interval(int(sum(shares)), len(shares))


@pytest.mark.parametrize("shares", [[0, 0.5, 0.5, 1], [0.2, 0.4, 0.4, 0.8, 1, 1], [0, 0.01], [0.9] * 9 + [1]])
def test_share_interval_follows_korn_and_graubard(shares):
    n, share = len(shares), sum(shares) / len(shares)
    squared_error = sum((x - share) ** 2 for x in shares) / (n - 1) / n
    trials = share * (1 - share) / squared_error * (stats.norm.isf(0.025) / stats.t.isf(0.025, n - 1)) ** 2
    estimate = share_interval(np.array(shares))
    # float64 sums of a few numbers, and roots whose cancellation costs few digits.
    assert estimate.value == pytest.approx(share, abs=1e-12)
    assert (estimate.low, estimate.high) == pytest.approx(wilson_bounds(share, trials), abs=1e-12)
    assert (estimate.n, estimate.interval) == (n, "95 % Wilson interval, effective trials")


def test_effective_trials_are_at_most_all_there_are():
    shares = np.array([0.5] * 11 + [1.0])
    factor = (stats.norm.isf(0.025) / stats.t.isf(0.025, 11)) ** 2
    estimate = share_interval(shares, 2)
    assert (estimate.low, estimate.high) == pytest.approx(wilson_bounds(shares.mean(), 24 * factor), abs=1e-12)
    assert width(share_interval(shares)) < 0.6 * width(estimate)


@pytest.mark.parametrize("share", [0.25, 0.1, 2 / 3])
@pytest.mark.parametrize("n", [2, 12, 20])
def test_equal_shares_count_one_trial_an_item(share, n):
    estimate = share_interval(np.full(n, share))
    assert (estimate.low, estimate.high) == pytest.approx(wilson_bounds(share, n), abs=1e-12)


@pytest.mark.parametrize("other", [0.0, 1e-9, 0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("most", [0.0, 1e-12, 0.5, 1.0])
@pytest.mark.parametrize("n", [2, 3, 50])
def test_share_interval_stays_in_0_to_1_around_its_value(most, other, n):
    estimate = share_interval(np.array([*[most] * (n - 1), other]))
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@pytest.mark.parametrize("shares", [[0, 0.5, 0.5, 1], [0.2, 0.4, 0.4, 0.8, 1, 1]])
def test_asking_everything_twice_tells_nothing_new(shares):
    once = share_interval(np.array(shares))
    twice = grouped_share_interval(np.repeat(shares, 2), np.repeat(np.arange(len(shares)), 2))
    assert (twice.low, twice.value, twice.high) == pytest.approx((once.low, once.value, once.high), abs=1e-12)
    assert twice.n == 2 * once.n


def test_groups_of_several_sizes_follow_the_ratio_estimator():
    groups = {"a": [1.0, 0.3], "b": [0.0], "c": [0.6, 0.6, 1.0], "d": [0.0, 0.0]}
    values = [value for shares in groups.values() for value in shares]
    labels = [name for name, shares in groups.items() for _ in shares]
    share = sum(values) / 8
    squares = sum((sum(shares) - share * len(shares)) ** 2 for shares in groups.values())
    trials = min(share * (1 - share) / (squares * 4 / 3 / 8**2), 8)
    found = grouped_share_interval(np.array(values), np.array(labels))
    bounds = wilson_bounds(share, trials * (stats.norm.isf(0.025) / stats.t.isf(0.025, 3)) ** 2)
    assert (found.low, found.high) == pytest.approx(bounds, abs=1e-12)


def test_groups_of_one_are_independent_and_a_single_group_has_no_interval():
    shares = np.array([0.0, 1.0, 1.0, 0.3])
    assert grouped_share_interval(shares, np.arange(4)) == share_interval(shares)
    assert grouped_share_interval(shares, np.zeros(4)).low is None


def test_queries_that_stand_or_fall_together_tell_less_than_independent_ones():
    together = share_interval(np.array([1.0] * 6 + [0.0] * 4))
    alike = share_interval(np.array([1.0] * 5 + [0.75, 0.25] + [0.0] * 3))
    independent = proportion_interval(24, 40)
    assert width(together) > 1.5 * width(independent)
    assert width(alike) > 1.5 * width(independent)


def test_independent_queries_count_as_trials():
    # Two fair queries an episode: none, one or both right in 1 : 2 : 1 of 400 episodes.
    estimate, trials = share_interval(np.repeat([0, 0.5, 1], [100, 200, 100])), proportion_interval(400, 800)
    # t(0.975, 399) / z and the degree of freedom lost make it 0.4 % wider.
    assert width(estimate) == pytest.approx(width(trials), rel=0.01)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(ValueError, match="expected shares in 0 to 1, found"):
        share_interval(np.array([0.5, share]))
