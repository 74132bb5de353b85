"""Estimates with 95 % confidence intervals: one definition for every mean and every share."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value, the number of items behind it and its interval; bounds are None where n = 1 gives none."""

    value: float
    n: int
    low: float | None
    high: float | None
    interval: str


def mean_interval(values: np.ndarray) -> Estimate:
    """Mean with the t-interval over independent items.

    values: [n] finite floats. Raises ValueError if empty or not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"expected [n >= 1] finite values, found shape {values.shape}")
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return Estimate(mean, n, None, None, "none: one item")
    half_width = float(stats.t.ppf((1 + LEVEL) / 2, df=n - 1) * stats.sem(values))
    return Estimate(mean, n, mean - half_width, mean + half_width, "95 % t-interval")


def share_interval(shares: np.ndarray, trials: float = np.inf) -> Estimate:
    """Mean of shares of independent items, each over as many trials, e.g. the queries of an episode.

    shares: [n] in 0 to 1.   trials: of each item, where they are few.
    Where every item is all or nothing, Wilson's interval of the items; else Wilson's with the effective number of
    trials p (1 - p) / SE^2, at most all there are, made smaller for the degrees of freedom of SE as by Korn and
    Graubard (1998); the bounds never leave 0 to 1. Raises ValueError if empty or out of range.
    """
    estimate = mean_interval(shares)
    if min(shares) < 0 or max(shares) > 1:
        raise ValueError(f"expected shares in 0 to 1, found {min(shares)} to {max(shares)}")
    if set(shares) <= {0.0, 1.0}:
        return proportion_interval(int(sum(shares)), estimate.n)
    if estimate.n == 1:
        return estimate
    # Where all are equal, SE is 0 or rounding noise.
    error = float(stats.sem(shares)) if min(shares) < max(shares) else 0.0
    return _effective_wilson(estimate.value, estimate.n, error, estimate.n, estimate.n * trials)


def grouped_share_interval(shares: np.ndarray, groups: np.ndarray) -> Estimate:
    """Mean of shares of which those of one group are not independent, e.g. of the questions about one picture.

    shares: [n] in 0 to 1.   groups: [n] labels. As `share_interval` where no group has two; else with the SE of the
    ratio of the groups' sums to their sizes, linearised (Cochran, Sampling Techniques, 3rd ed., section 6.3).
    """
    labels, place = np.unique(groups, return_inverse=True)
    if len(labels) == len(shares):
        return share_interval(shares)
    mean, n = float(np.mean(shares)), len(shares)
    if len(labels) == 1:
        return Estimate(mean, n, None, None, "none: one group")
    residuals = np.bincount(place, weights=shares - mean)
    error = float(np.sqrt(np.square(residuals).sum() * len(labels) / (len(labels) - 1)) / n)
    return _effective_wilson(mean, n, error if min(shares) < max(shares) else 0.0, len(labels), n)


def _effective_wilson(p: float, n: int, error: float, groups: int, most: float) -> Estimate:
    """Wilson's interval of a share with this SE, which has ``groups`` - 1 degrees of freedom; without SE of as many
    trials as there are groups. most: trials there are."""
    z, t = stats.norm.ppf((1 + LEVEL) / 2), stats.t.ppf((1 + LEVEL) / 2, df=groups - 1)
    effective = min(p * (1 - p) / error**2, most) * (z / t) ** 2 if error else float(groups)
    centre = (p + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half_width = z / (1 + z**2 / effective) * np.sqrt(p * (1 - p) / effective + (z / (2 * effective)) ** 2)
    low, high = float(centre - half_width), float(centre + half_width)
    return Estimate(p, n, low, high, "95 % Wilson interval, effective trials")


def proportion_interval(successes: int, n: int) -> Estimate:
    """Share of independent trials with the Wilson score interval. Raises ValueError if n < 1 or successes > n."""
    if n < 1:
        raise ValueError("expected at least one trial, found none")
    test = stats.binomtest(int(successes), int(n))
    if n == 1:
        return Estimate(float(successes), 1, None, None, "none: one item")
    bounds = test.proportion_ci(confidence_level=LEVEL, method="wilson")
    return Estimate(float(test.statistic), int(n), float(bounds.low), float(bounds.high), "95 % Wilson interval")
