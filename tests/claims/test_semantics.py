from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from v2l.claims.semantics import semantics_claims
from v2l.claims.statistics import CONTRADICTED, SUPPORTED, UNDECIDED, Claim

from .expected import assert_claim, assert_statistic, assert_untested, by_id, every_verdict

FILE = Path("/results/semantics/rows.parquet")
SIZES = {"order_1": 20, "orders_1_2": 25, "orders_1_3": 30, "unfiltered": 90}
MEASURES = ["clip", "clip_r"]
every_measure = pytest.mark.parametrize("measure", MEASURES)
MARGIN = 0.1


def scores(
    measure: str, codebooks: Mapping[str, Sequence[float]], num_global: int = 5, sizes: Mapping[str, int] = SIZES
) -> pd.DataFrame:
    """One row a picture and codebook. The other measure is constant, so that no claim about it is ever supported."""
    rows = [
        {"image_id": f"s/{i}", "codebook": name, "num_global": num_global, measure: value, "codebook_size": sizes[name]}
        for name, values in codebooks.items()
        for i, value in enumerate(values)
    ]
    other = next(name for name in MEASURES if name != measure)
    return pd.DataFrame(rows).assign(**{other: 0.5})


def judge(frame: pd.DataFrame, name: str, margin: float = MARGIN) -> Claim:
    return by_id(semantics_claims(FILE, frame, margin))[name]


@every_measure
@every_verdict
def test_expansion_gets_every_verdict(measure, verdict, differences) -> None:
    single = [1.0 + 0.5 * number for number in range(len(differences))]
    expanded = [floor + more for floor, more in zip(single, differences, strict=True)]
    frame = scores(measure, {"order_1": single, "orders_1_2": [9.0] * len(single), "orders_1_3": expanded})
    assert_claim(judge(frame, f"expansion_{measure}"), verdict, differences)


@every_measure
def test_swapping_the_codebooks_flips_the_expansion(measure) -> None:
    low, high = [0.2, 0.3, 0.25], [0.4, 0.5, 0.5]
    verdicts = [
        judge(scores(measure, {"order_1": first, "orders_1_3": second}), f"expansion_{measure}").verdict
        for first, second in ((low, high), (high, low))
    ]
    assert verdicts == [SUPPORTED, CONTRADICTED]


def test_a_measure_is_judged_by_its_own_column() -> None:
    frame = scores("clip", {"order_1": [0.2, 0.3, 0.25], "orders_1_3": [0.4, 0.5, 0.5]})
    assert judge(frame, "expansion_clip").verdict == SUPPORTED
    assert judge(frame, "expansion_clip_r").verdict == UNDECIDED


@every_measure
def test_numbers_of_words_are_averaged_within_a_picture(measure) -> None:
    few = scores(measure, {"order_1": [0.1, 0.2, 0.3], "orders_1_3": [0.3, 0.2, 0.4]}, num_global=5)
    many = scores(measure, {"order_1": [0.5, 0.4, 0.3], "orders_1_3": [0.9, 0.6, 0.4]}, num_global=21)
    claim = judge(pd.concat([many, few]), f"expansion_{measure}")
    assert_statistic(claim, [0.3, 0.1, 0.1])
    assert claim.scale == "3 held-out pictures, mean over Kg = 5, 21"


@pytest.mark.parametrize("name", ["expansion_clip", "filtering_clip"])
def test_pictures_that_one_codebook_lacks_are_left_out(name) -> None:
    frame = scores("clip", {"order_1": [0.1, 0.2], "unfiltered": [0.1, 0.2], "orders_1_3": [0.4, 0.3, 9.0, 9.0]})
    assert_statistic(judge(frame, name), [0.3, 0.1])


@every_measure
@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((0.02, 0.04, 0.06, 0.04), SUPPORTED),
        ((0.190, 0.191, 0.189, 0.190), SUPPORTED),
        ((0.210, 0.211, 0.209, 0.210), CONTRADICTED),
        ((0.16, 0.24, 0.18, 0.22), UNDECIDED),
        ((-0.1, -0.2, -0.1, -0.2), SUPPORTED),
    ],
)
def test_filtering_is_judged_by_a_loss_of_the_margin(measure, losses, expected) -> None:
    """Unfiltered scores of 2 on average and a margin of 0.1: a loss of 0.2 is the bound."""
    whole = [1.4, 1.8, 2.2, 2.6]
    filtered = [score - loss for score, loss in zip(whole, losses, strict=True)]
    claim = judge(scores(measure, {"orders_1_3": filtered, "unfiltered": whole}), f"filtering_{measure}")
    assert claim.verdict == expected
    assert_statistic(claim, [-loss for loss in losses])
    assert "no more than 10% of it is lost" in claim.statistic
    assert claim.scale.endswith("; 30 of 90 entries kept")


@pytest.mark.parametrize(("margin", "expected"), [(0.0, CONTRADICTED), (0.04, UNDECIDED), (0.2, SUPPORTED)])
def test_one_loss_is_judged_by_the_margin_of_the_configuration(margin, expected) -> None:
    frame = scores("clip", {"orders_1_3": [0.94, 0.97, 0.96, 0.97], "unfiltered": [1.0] * 4})
    assert judge(frame, "filtering_clip", margin).verdict == expected


@pytest.mark.parametrize(("size", "expected"), [(89, SUPPORTED), (90, CONTRADICTED), (91, CONTRADICTED)])
def test_a_codebook_that_is_not_smaller_contradicts_filtering(size, expected) -> None:
    codebooks = {"orders_1_3": [0.9, 0.8, 0.95], "unfiltered": [0.5, 0.6, 0.5]}
    claim = judge(scores("clip", codebooks, sizes={**SIZES, "orders_1_3": size}), "filtering_clip")
    assert claim.verdict == expected
    assert_statistic(claim, [0.4, 0.2, 0.45])


@pytest.mark.parametrize("absent", ["orders_1_3", "unfiltered"])
def test_filtering_needs_both_codebooks(absent) -> None:
    codebooks = {"order_1": [0.1, 0.2], "orders_1_3": [0.3, 0.3], "unfiltered": [0.3, 0.3]}
    frame = scores("clip", {name: values for name, values in codebooks.items() if name != absent})
    for measure in MEASURES:
        assert_untested(judge(frame, f"filtering_{measure}"), "no unfiltered codebook to compare with")


def test_filtering_of_a_single_picture_says_why_it_is_not_tested() -> None:
    claim = judge(scores("clip", {"orders_1_3": [0.3], "unfiltered": [0.3]}), "filtering_clip")
    assert_untested(claim, "a single item that both sides have; 30 of 90 entries kept")


def test_expansion_needs_single_tokens() -> None:
    frame = scores("clip", {"orders_1_3": [0.3, 0.3], "unfiltered": [0.3, 0.3]})
    assert_untested(judge(frame, "expansion_clip"), "no item that both sides have")
