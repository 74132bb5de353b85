from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from v2l.claims.pictures import masked_claims, reconstruction_claims, restoration_claims
from v2l.claims.statistics import CONTRADICTED, SUPPORTED, UNDECIDED, Claim

from .expected import assert_claim, assert_statistic, assert_untested, by_id, every_verdict

RIVALS = ["v2l_no_global", "v2l_no_projector", "vqgan", "lqae", "spae"]
TASKS = ["inpainting", "outpainting", "deblurring", "rotation", "shift"]
SIGNS = {"psnr": 1, "lpips_vgg": -1}
every_rival = pytest.mark.parametrize("rival", RIVALS)
every_measure = pytest.mark.parametrize(("measure", "sign"), SIGNS.items())
every_task = pytest.mark.parametrize("task", TASKS)


def pictures(values: Sequence[float], measure: str, **columns: str) -> pd.DataFrame:
    """One row a picture, numbered from 0. The other measure is constant."""
    frame = pd.DataFrame({"image_id": [f"s/{i}" for i in range(len(values))], **dict.fromkeys(SIGNS, 0.5), **columns})
    return frame.assign(**{measure: values})


def reconstruct(measure: str, tokenizers: Mapping[str, Sequence[float]]) -> dict[str, Claim]:
    rows = {name: (Path(f"r/rows_{name}"), pictures(values, measure)) for name, values in tokenizers.items()}
    return by_id(reconstruction_claims(rows, "64 px, an epoch"))


def restore(task: str, tokenizers: Mapping[str, Sequence[float]]) -> dict[str, Claim]:
    """Restored pictures of one task; those of other conditions would turn every verdict around."""
    rows = {}
    for name, values in tokenizers.items():
        restored = pictures(values, "lpips_vgg", task=task, condition="restored")
        others = [restored.assign(condition=condition, lpips_vgg=-99 * restored["lpips_vgg"]) for condition in "ab"]
        rows[name] = (Path(f"r/rows_{name}"), pd.concat([restored, *others]))
    return by_id(restoration_claims(rows, "some-llm"))


def shifted(differences: Sequence[float], sign: int = 1) -> tuple[list[float], list[float]]:
    """Two sides whose differences, times the sign, are the given ones."""
    floor = [5.0 + number for number in range(len(differences))]
    return [value + sign * more for value, more in zip(floor, differences, strict=True)], floor


@every_rival
@every_measure
@every_verdict
def test_reconstruction_gets_every_verdict(rival, measure, sign, verdict, differences) -> None:
    own, other = shifted(differences, sign)
    claim = reconstruct(measure, {"v2l": own, rival: other})[f"reconstruction_{rival}_{measure}"]
    assert_claim(claim, verdict, differences)
    assert claim.scale.startswith("64 px, an epoch")


@pytest.mark.parametrize(("measure", "expected"), [("psnr", SUPPORTED), ("lpips_vgg", CONTRADICTED)])
def test_higher_psnr_and_lower_lpips_are_better(measure, expected) -> None:
    high, low = [30.0, 31.0, 35.0], [20.0, 22.0, 24.0]
    flipped = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED}[expected]
    for own, other, verdict in ((high, low, expected), (low, high, flipped)):
        claim = reconstruct(measure, {"v2l": own, "vqgan": other})[f"reconstruction_vqgan_{measure}"]
        assert claim.verdict == verdict
        assert claim.statistic.endswith("V2L minus VQ-GAN" if measure == "psnr" else "VQ-GAN minus V2L")


@every_measure
def test_pictures_of_one_tokenizer_alone_are_left_out(measure, sign) -> None:
    claim = reconstruct(measure, {"v2l": [3.0, 5.0, 90.0, 90.0], "spae": [1.0, 4.0]})
    assert_statistic(claim[f"reconstruction_spae_{measure}"], [sign * 2, sign * 1])


def test_reconstruction_names_the_files_of_both_tokenizers() -> None:
    claim = reconstruct("psnr", {"v2l": [2.0, 3.0], "lqae": [1.0, 1.0]})["reconstruction_lqae_psnr"]
    assert claim.rows == ("r/rows_v2l", "r/rows_lqae")


def test_reconstruction_without_a_tokenizer_is_not_tested() -> None:
    claims = reconstruct("psnr", {"v2l": [1.0, 2.0], "vqgan": [0.5, 0.7]})
    assert claims["reconstruction_vqgan_psnr"].verdict == UNDECIDED
    for rival in RIVALS:
        for measure in SIGNS if rival != "vqgan" else ():
            assert_untested(claims[f"reconstruction_{rival}_{measure}"], f"no tokenizer {rival} in this run")
    for claim in reconstruct("psnr", {rival: [1.0, 2.0] for rival in RIVALS}).values():
        assert_untested(claim, "no tokenizer v2l in this run")


@every_task
@every_verdict
def test_restoration_gets_every_verdict(task, verdict, differences) -> None:
    own, baseline = shifted(differences, -1)
    claim = restore(task, {"v2l": own, "vqgan": baseline})[f"restoration_{task}"]
    assert_claim(claim, verdict, differences)
    assert claim.scale.startswith("some-llm, held-out pictures")


@every_task
def test_swapping_the_tokenizers_flips_the_restoration(task) -> None:
    low, high = [0.1, 0.2, 0.15], [0.5, 0.6, 0.4]
    for own, other, expected in ((low, high, SUPPORTED), (high, low, CONTRADICTED)):
        assert restore(task, {"v2l": own, "lqae": other})[f"restoration_{task}"].verdict == expected


@pytest.mark.parametrize("best", ["vqgan", "lqae", "spae"])
def test_restoration_is_compared_with_the_baseline_that_restores_best(best) -> None:
    """V2L beats two baselines and loses against the third, wherever it stands."""
    worse = {name: [0.8, 0.9, 0.8] for name in ("vqgan", "lqae", "spae") if name != best}
    claim = restore("shift", {"v2l": [0.4, 0.5, 0.6], **worse, best: [0.2, 0.2, 0.2]})["restoration_shift"]
    assert claim.verdict == CONTRADICTED
    assert_statistic(claim, [-0.2, -0.3, -0.4])
    assert f"best baseline ({best}" in claim.statistic
    assert ("clean coarser levels" in claim.statistic) == (best == "spae")
    assert claim.rows == ("r/rows_v2l", f"r/rows_{best}")


def test_variants_of_v2l_are_no_baselines_of_restoration() -> None:
    tokenizers = {"v2l": [0.4, 0.5, 0.6], "v2l_no_global": [0.1, 0.1, 0.1], "spae": [0.8, 0.8, 0.8]}
    assert restore("shift", tokenizers)["restoration_shift"].rows == ("r/rows_v2l", "r/rows_spae")


def test_a_baseline_without_the_task_is_passed_over() -> None:
    rows = {
        name: (Path(f"r/rows_{name}"), pictures(values, "lpips_vgg", task=task, condition="restored"))
        for name, task, values in [
            ("v2l", "shift", [0.4, 0.5]), ("vqgan", "rotation", [0.0, 0.0]), ("lqae", "shift", [0.9, 0.8]),
        ]
    }  # fmt: skip
    claims = by_id(restoration_claims(rows, "some-llm"))
    assert_statistic(claims["restoration_shift"], [0.5, 0.3])
    assert_untested(claims["restoration_rotation"], "no item that both sides have")
    assert_untested(claims["restoration_inpainting"], "V2L or every baseline is missing in this run")


@pytest.mark.parametrize("present", [["v2l"], ["v2l", "v2l_no_global"], ["vqgan", "lqae", "spae"]])
def test_restoration_without_two_sides_is_not_tested(present) -> None:
    for claim in restore("shift", {name: [0.1, 0.2] for name in present}).values():
        assert_untested(claim, "V2L or every baseline is missing in this run")


def masked(conditions: Mapping[str, Sequence[float]]) -> Claim:
    frames = [
        pictures([0.5] * len(values), "psnr", condition=condition).assign(tokens_restored=values)
        for condition, values in conditions.items()
    ]
    (claim,) = masked_claims(Path("masked/rows"), pd.concat(frames), "some-llm")
    return claim


@every_verdict
def test_tuning_gets_every_verdict(verdict, differences) -> None:
    after, before = shifted(differences)
    claim = masked({"after tuning": after, "before tuning": before, "clean tokens": [99.0] * len(after)})
    assert_claim(claim, verdict, differences, factor=100)


def test_swapping_before_and_after_flips_the_verdict_on_tuning() -> None:
    low, high = [0.1, 0.2, 0.1], [0.5, 0.5, 0.6, 0.0]
    assert masked({"before tuning": low, "after tuning": high}).verdict == SUPPORTED
    swapped = masked({"before tuning": high, "after tuning": low})
    assert swapped.verdict == CONTRADICTED
    assert_statistic(swapped, [-0.4, -0.3, -0.5], factor=100)


@pytest.mark.parametrize("present", ["after tuning", "before tuning"])
def test_tuning_needs_both_conditions(present) -> None:
    assert_untested(masked({present: [0.1, 0.2], "clean tokens": [1.0, 1.0]}), "no item that both sides have")
