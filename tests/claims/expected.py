"""What a claim should say, computed apart from the code under test."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from scipy import stats

from v2l.claims.statistics import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED, Claim

# Differences of items in the direction of a claim, by the verdict that they imply.
DIFFERENCES = {
    SUPPORTED: (0.3, 0.1, 0.2, 0.25),
    CONTRADICTED: (-0.3, -0.1, -0.2, -0.25),
    UNDECIDED: (0.3, -0.2, 0.1, -0.1),
    NOT_TESTED: (0.3,),
}
every_verdict = pytest.mark.parametrize(("verdict", "differences"), DIFFERENCES.items())


def by_id(claims: Iterable[Claim]) -> dict[str, Claim]:
    claims = list(claims)
    found = {claim.id: claim for claim in claims}
    assert len(found) == len(claims)
    return found


def assert_statistic(claim: Claim, differences: Sequence[float], factor: float = 1.0) -> None:
    """Value, t-interval and n are those of the differences. Tolerance: float64 sums of a few numbers."""
    scaled = factor * np.asarray(differences, dtype=float)
    error = scaled.std(ddof=1) / np.sqrt(len(scaled))
    low, high = stats.t.interval(0.95, df=len(scaled) - 1, loc=scaled.mean(), scale=error)
    assert (claim.value, claim.low, claim.high) == pytest.approx((scaled.mean(), low, high), abs=1e-9)
    assert (claim.n, claim.interval) == (len(scaled), "95 % t-interval, paired")


def assert_untested(claim: Claim, reason: str) -> None:
    """Nothing but a reason, and the reason is in the scale."""
    assert (claim.verdict, claim.value, claim.low, claim.high) == (NOT_TESTED, None, None, None)
    assert (claim.n, claim.interval, claim.rows) == (0, "none", ())
    assert reason in claim.scale


def assert_claim(claim: Claim, verdict: str, differences: Sequence[float], factor: float = 1.0) -> None:
    if verdict == NOT_TESTED:
        assert_untested(claim, "a single item that both sides have")
    else:
        assert claim.verdict == verdict
        assert_statistic(claim, differences, factor)
