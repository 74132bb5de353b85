from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2l.claims.statistics import (
    CONTRADICTED,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    item_means,
    judged,
    paired_difference,
    untested,
    verdict,
)
from v2l.metrics.intervals import Estimate, mean_interval

from .expected import assert_claim, assert_statistic, assert_untested, every_verdict

CLAIM = Claim("id", "A is better than B.", "A minus B", "points", "some items")
FILES = [Path("/results/a/rows.parquet"), Path("/results/b/rows.parquet")]


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(0.0, 5, low, high, "95 % t-interval")


def series(**values: float) -> pd.Series:
    return pd.Series(values, dtype=float)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.3, SUPPORTED),
        (-0.3, -0.1, CONTRADICTED),
        (-0.1, 0.1, UNDECIDED),
        (0.0, 0.2, UNDECIDED),
        (-0.2, 0.0, UNDECIDED),
        (None, None, NOT_TESTED),
    ],
)
@pytest.mark.parametrize("bound", [0.0, -0.5, 0.25])
def test_verdict_is_the_place_of_the_interval_beside_the_bound(low, high, expected, bound) -> None:
    moved = (None, None) if low is None else (low + bound, high + bound)
    # a sum of two floats may miss the bound that it should touch
    moved = tuple(bound if edge is not None and abs(edge - bound) < 1e-12 else edge for edge in moved)
    assert verdict(estimate(*moved), bound) == expected


def test_without_a_bound_the_interval_is_compared_with_zero() -> None:
    assert [verdict(estimate(*edges)) for edges in ((1e-9, 1), (-1, -1e-9), (-1e-9, 1e-9))] == [
        SUPPORTED,
        CONTRADICTED,
        UNDECIDED,
    ]


def test_rows_of_an_item_are_averaged_and_every_item_counts_once() -> None:
    rows = pd.DataFrame({"item": ["b", "a", "a", "a", "a"], "right": [True, True, False, False, False]})
    means = item_means(rows, "item", "right")
    assert means.to_dict() == {"a": 0.25, "b": 1.0}
    assert means.dtype == np.float64


@every_verdict
def test_items_lead_to_the_verdict_that_they_imply(verdict, differences) -> None:
    second = pd.Series(np.linspace(0, 7, len(differences)), index=[f"i{n}" for n in range(len(differences))])
    claim = judged(CLAIM, paired_difference(second + np.array(differences), second), FILES)
    assert_claim(claim, verdict, differences)


def test_swapping_the_sides_mirrors_the_interval() -> None:
    first, second = series(a=3, b=5, c=4), series(a=1, b=2, c=3)
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-12)


def test_items_are_paired_by_name_whatever_their_order() -> None:
    first, second = series(a=1, b=10, c=100), series(c=98, a=0, b=7)
    assert_statistic(judged(CLAIM, paired_difference(first, second), FILES), [1, 3, 2])


def test_items_that_one_side_lacks_are_left_out() -> None:
    first, second = series(a=1, b=2, c=3, only_first=900), series(a=0, only_second=-900, b=0, c=0)
    assert_statistic(judged(CLAIM, paired_difference(first, second), FILES), [1, 2, 3])


def test_items_without_a_value_are_left_out() -> None:
    first, second = series(a=1, b=2, c=float("nan"), d=4), series(a=0, b=0, c=0, d=float("nan"))
    assert_statistic(judged(CLAIM, paired_difference(first, second), FILES), [1, 2])


def test_a_small_steady_difference_between_unlike_items_is_found() -> None:
    """The interval is that of the differences: the items' own spread, ten thousand times larger, does not widen it."""
    second = pd.Series(np.arange(6) * 1000.0)
    differences = np.array([0.1, 0.2, 0.1, 0.2, 0.1, 0.2])
    claim = judged(CLAIM, paired_difference(second + differences, second), FILES)
    assert claim.verdict == SUPPORTED
    assert_statistic(claim, differences)


def test_sides_without_a_shared_item_are_not_tested() -> None:
    assert paired_difference(series(a=1, b=2), series(c=1, d=2)) is None
    assert_untested(judged(CLAIM, None, FILES), "some items: no item that both sides have")


def test_a_single_item_is_not_tested() -> None:
    single = paired_difference(series(a=1, b=2), series(a=0, d=2))
    assert single.n == 1
    assert_untested(judged(CLAIM, single, FILES), "some items: a single item that both sides have")


def test_a_factor_changes_the_unit_and_not_the_verdict() -> None:
    values = np.array([-0.02, -0.01, -0.03, -0.02])
    claim = judged(CLAIM, mean_interval(values), FILES, factor=100, bound=-0.1)
    assert claim.verdict == SUPPORTED
    assert_statistic(claim, values, factor=100)
    assert judged(CLAIM, mean_interval(values), FILES, factor=100, bound=-0.02).verdict == UNDECIDED
    assert judged(CLAIM, mean_interval(values), FILES, factor=100).verdict == CONTRADICTED


def test_a_judged_claim_names_its_files_and_keeps_its_words() -> None:
    claim = judged(CLAIM, mean_interval(np.array([1.0, 2.0])), FILES)
    assert claim.rows == ("a/rows.parquet", "b/rows.parquet")
    words = ("id", "claim", "statistic", "unit", "scale")
    assert [getattr(claim, name) for name in words] == [getattr(CLAIM, name) for name in words]


def test_an_untested_claim_says_why() -> None:
    claim = untested(CLAIM, "no such run")
    assert_untested(claim, "no such run")
    assert (claim.id, claim.claim, claim.statistic) == (CLAIM.id, CLAIM.claim, CLAIM.statistic)
