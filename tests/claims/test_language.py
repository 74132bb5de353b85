from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from v2l.claims.language import answer_claims, caption_claims
from v2l.claims.statistics import CONTRADICTED, SUPPORTED, Claim

from .expected import assert_claim, assert_statistic, assert_untested, every_verdict

FILE = Path("/results/family/rows.parquet")
OWN, RANDOM, OTHER = "picture words", "random words", "majority answer"
FAMILIES = [(caption_claims, "cider_d", 1), (answer_claims, "accuracy", 100)]
every_family = pytest.mark.parametrize(("judge", "column", "factor"), FAMILIES)


def rows(column: str, **conditions: list[float]) -> pd.DataFrame:
    """One row a picture and condition; the pictures of a condition are numbered from 0."""
    names = {"own": OWN, "random": RANDOM, "other": OTHER}
    return pd.DataFrame(
        [
            {"image_id": f"s/{number}", "condition": names[name], column: value}
            for name, values in conditions.items()
            for number, value in enumerate(values)
        ]
    )


def single(judge: Callable[..., list[Claim]], frame: pd.DataFrame) -> Claim:
    (claim,) = judge(FILE, frame, "some-llm")
    return claim


@every_family
@every_verdict
def test_own_words_against_random_ones_give_every_verdict(judge, column, factor, verdict, differences) -> None:
    random = [0.1 * number for number in range(len(differences))]
    own = [floor + more for floor, more in zip(random, differences, strict=True)]
    claim = single(judge, rows(column, own=own, random=random))
    assert_claim(claim, verdict, differences, factor)
    assert "some-llm" in claim.scale


@every_family
def test_swapping_the_conditions_flips_the_verdict(judge, column, factor) -> None:
    good, bad = [0.9, 0.7, 0.8], [0.1, 0.2, 0.1]
    assert single(judge, rows(column, own=good, random=bad)).verdict == SUPPORTED
    swapped = single(judge, rows(column, own=bad, random=good))
    assert swapped.verdict == CONTRADICTED
    assert_statistic(swapped, [-0.8, -0.5, -0.7], factor)


@every_family
def test_other_conditions_and_unpaired_pictures_are_left_out(judge, column, factor) -> None:
    frame = rows(column, own=[0.5, 0.7, 0.9], random=[0.1, 0.4, 0.2, 1.0, 1.0], other=[9, 9, 9, 9, 9])
    assert_statistic(single(judge, frame), [0.4, 0.3, 0.7], factor)


@pytest.mark.parametrize(("judge", "column"), [family[:2] for family in FAMILIES])
@pytest.mark.parametrize("present", ["own", "random"])
def test_a_condition_that_is_missing_leaves_the_claim_untested(judge, column, present) -> None:
    claim = single(judge, rows(column, **{present: [0.1, 0.2, 0.3]}))
    assert_untested(claim, "no item that both sides have")


def test_questions_of_a_picture_are_averaged_before_pictures_are() -> None:
    """Five questions about one picture and one about each of two others weigh as three pictures."""
    pictures = {"s/0": ([1, 1, 1, 1, 0], [0, 0, 0, 0, 0]), "s/1": ([0], [0]), "s/2": ([1], [0])}
    frame = pd.DataFrame(
        [
            {"image_id": image_id, "condition": condition, "accuracy": float(value)}
            for image_id, sides in pictures.items()
            for condition, values in zip((OWN, RANDOM), sides, strict=True)
            for value in values
        ]
    )
    claim = single(answer_claims, frame)
    assert_statistic(claim, [0.8, 0.0, 1.0], factor=100)
    assert (claim.id, claim.unit, claim.rows) == ("answers", "points", ("family/rows.parquet",))
