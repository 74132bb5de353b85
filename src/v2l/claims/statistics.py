"""From paired items to a verdict.

A claim says that one side is better than the other on the same items. Its statistic is the mean of the items'
differences, signed so that a positive one is what the claim says, with the t-interval over items; what belongs to one
item (settings of an episode, questions about a picture) is averaged first. The verdict follows from the interval alone.
There are many claims and no correction for their number: about one in twenty intervals misses by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from v2l.metrics.entries import relative_name
from v2l.metrics.intervals import Estimate, mean_interval

SUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTED = "supported", "contradicted", "undecided", "not tested here"
VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_TESTED)


@dataclass(frozen=True)
class Claim:
    """One row of the claims table.

    claim: what is said.   statistic: what the value is, in words.   value, low, high: in ``unit``, positive as claimed.
    n: paired items.   scale: on what it was tested, or why it was not.   rows: the files below the results folder.
    """

    id: str
    claim: str
    statistic: str
    unit: str
    scale: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    interval: str = "none"
    verdict: str = NOT_TESTED
    rows: tuple[str, ...] = ()


def verdict(estimate: Estimate, bound: float = 0.0) -> str:
    """Supported where the whole interval lies above ``bound``, contradicted where it lies below, else undecided."""
    if estimate.low is None or estimate.high is None:
        return NOT_TESTED
    if estimate.low > bound:
        return SUPPORTED
    return CONTRADICTED if estimate.high < bound else UNDECIDED


def item_means(rows: pd.DataFrame, item: str, column: str) -> pd.Series:
    """The mean of a column for every item, by item."""
    return rows.groupby(item)[column].mean().astype(float)


def paired_difference(first: pd.Series, second: pd.Series) -> Estimate | None:
    """Mean of first - second over the items that both have, with its interval; None where they share no item."""
    differences = (first - second).dropna()
    return mean_interval(differences.to_numpy()) if len(differences) else None


def judged(
    claim: Claim, estimate: Estimate | None, files: Sequence[Path], factor: float = 1.0, bound: float = 0.0
) -> Claim:
    """The claim with its statistic and verdict. factor: from the rows' unit to the claim's; bound: see ``verdict``."""
    if estimate is None or estimate.low is None:
        few = "no item" if estimate is None else "a single item"
        return replace(claim, scale=f"{claim.scale}: {few} that both sides have")
    numbers = {name: factor * getattr(estimate, name) for name in ("value", "low", "high")}
    return replace(
        claim, **numbers, n=estimate.n, interval=f"{estimate.interval}, paired", verdict=verdict(estimate, bound),
        rows=tuple(relative_name(path) for path in files),
    )  # fmt: skip


def untested(claim: Claim, reason: str) -> Claim:
    """The claim, with why it was not tested."""
    return replace(claim, scale=reason)
