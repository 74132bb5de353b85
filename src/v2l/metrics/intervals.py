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


def proportion_interval(successes: int, n: int) -> Estimate:
    """Share of independent trials with the Wilson score interval. Raises ValueError if n < 1 or successes > n."""
    if n < 1:
        raise ValueError("expected at least one trial, found none")
    test = stats.binomtest(int(successes), int(n))
    if n == 1:
        return Estimate(float(successes), 1, None, None, "none: one item")
    bounds = test.proportion_ci(confidence_level=LEVEL, method="wilson")
    return Estimate(float(test.statistic), int(n), float(bounds.low), float(bounds.high), "95 % Wilson interval")
