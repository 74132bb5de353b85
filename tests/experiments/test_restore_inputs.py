"""Degraded pictures and maps of every task; config/test_restore.py has the regions, test_restore.py the stage."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from v2l.config.restore import Region, RestoreProtocol
from v2l.config.tokenizer import SpaeConfig, TokenizerConfig, VqGanConfig
from v2l.data.degradations import blurred
from v2l.errors import ConfigError
from v2l.experiments.restore_inputs import TaskSet, check_protocol, degrade, prepare
from v2l.tokenizer.base import ImageTokenizer, Sources
from v2l.tokenizer.kinds import KINDS
from v2l.tokenizer.local_tokens import encode_pictures

NUM_PICTURES, SIZE, GRID = 3, 16, 4
SIZES = {
    "image_size_px": SIZE,
    "base_channels": 8,
    "channel_multipliers": [1, 1, 1],
    "num_res_blocks": 1,
    "z_channels": 8,
    "norm_groups": 4,
}
VQGAN = VqGanConfig(**SIZES, num_codes=40, code_dim=6)
SPAE = SpaeConfig(**SIZES, levels=[1, 2, 4])
MASK = Region(top=1, left=0, height=2, width=2)
CPU = torch.device("cpu")


def protocol(**changes: object) -> RestoreProtocol:
    return RestoreProtocol(**{"num_before": 4, "num_predicted": 2, "blur_kernels": [5, 7, 9], **changes})


@pytest.fixture
def chosen(tmp_path: Path) -> pd.DataFrame:
    """Pictures beside a manifest, as the stage chooses them."""
    generator = np.random.default_rng(0)
    for index in range(NUM_PICTURES):
        pixels = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(tmp_path / f"{index}.png")
    names = range(NUM_PICTURES)
    return pd.DataFrame({"image_id": [f"set/{i}" for i in names], "path": [f"{i}.png" for i in names]})


@pytest.fixture
def prepared(chosen: pd.DataFrame, tmp_path: Path) -> Callable[..., tuple[TaskSet, ImageTokenizer]]:
    """What a task works on and the tokenizer; keywords go to the protocol."""

    def run(task: str, sizes: TokenizerConfig = VQGAN, **changes: object) -> tuple[TaskSet, ImageTokenizer]:
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            sources = Sources({"embeddings": torch.randn(40, 6, generator=generator)})
            model = KINDS[sizes.kind].make(sizes, sources).eval()
        model.begin(torch.rand(8, 3, SIZE, SIZE, generator=generator))
        manifest = tmp_path / "manifest.parquet"
        return prepare(task, chosen, manifest, model, protocol(**changes), 0, CPU), model

    return run


def degraded_pair(chosen: pd.DataFrame, folder: Path, task: str, **changes: object) -> tuple[np.ndarray, np.ndarray]:
    return degrade(task, chosen, folder / "manifest.parquet", VQGAN, protocol(**changes), seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_before": 15}, "num_before and num_predicted must fit the token map of 4 x 4, found 15 and 2"),
        ({"num_predicted": 3}, "num_predicted must divide the 2 tokens that inpainting predicts in a row, found 3"),
        ({"inpainting": Region(top=3, left=0, height=2, width=2)}, "inpainting: expected a mask within the token map"),
        ({"outpainting": Region(top=0, left=3, height=1, width=2)}, "outpainting: expected a mask within the token"),
        ({"blur_kernels": [5, 33]}, r"blur_kernels: expected sides below twice the picture's 16 px, found 33"),
    ],
)  # fmt: skip
def test_a_protocol_that_does_not_fit_the_map_or_picture_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^restore\.protocol[:.] ?{message}") as caught:
        check_protocol(protocol(**changes), VQGAN)
    assert "\n" not in str(caught.value)


def test_what_just_fits_is_let_pass_and_works(chosen: pd.DataFrame, tmp_path: Path) -> None:
    edge = Region(top=2, left=2, height=2, width=2)
    changes = {"num_before": 14, "inpainting": edge, "outpainting": edge, "blur_kernels": [31]}
    check_protocol(protocol(**changes), VQGAN)
    _, blurry = degraded_pair(chosen, tmp_path, "deblurring", **changes)
    assert blurry.shape == (NUM_PICTURES, SIZE, SIZE, 3)
    _, masked = degraded_pair(chosen, tmp_path, "inpainting", **changes)
    assert (masked[:, 8:, 8:] == 128).all()


def test_only_the_tasks_that_are_asked_for_must_fit() -> None:
    mask = Region(top=3, left=0, height=2, width=2)
    check_protocol(protocol(tasks=["rotation", "inpainting"], outpainting=mask), VQGAN)
    with pytest.raises(ConfigError, match="outpainting"):
        check_protocol(protocol(tasks=["rotation", "outpainting"], outpainting=mask), VQGAN)


@pytest.mark.parametrize(
    ("task", "changes", "rows", "columns"),
    [
        ("inpainting", {}, slice(4, 12), slice(4, 12)),
        ("outpainting", {}, slice(8, 16), slice(0, 16)),
        ("inpainting", {"inpainting": MASK}, slice(4, 12), slice(0, 8)),
        ("outpainting", {"outpainting": MASK}, slice(4, 12), slice(0, 8)),
    ],
)
def test_a_region_of_the_map_is_grey_in_the_picture_and_nothing_else(
    task: str, changes: dict[str, Region], rows: slice, columns: slice, chosen: pd.DataFrame, tmp_path: Path
) -> None:
    clean, degraded = degraded_pair(chosen, tmp_path, task, **changes)
    expected = clean.copy()
    expected[:, rows, columns] = 128
    assert np.array_equal(degraded, expected)
    assert not np.array_equal(clean, expected)


def test_each_picture_draws_its_kernel_whatever_stands_beside_it(chosen: pd.DataFrame, tmp_path: Path) -> None:
    clean, degraded = degraded_pair(chosen, tmp_path, "deblurring")
    turned, turned_degraded = degraded_pair(chosen.iloc[::-1], tmp_path, "deblurring")
    assert np.array_equal(turned[::-1], clean)
    assert np.array_equal(turned_degraded[::-1], degraded)
    for picture, result in zip(clean, degraded, strict=True):
        candidates = [blurred(picture, [side], np.random.default_rng(0)) for side in (5, 7, 9)]
        assert sum(np.array_equal(result, candidate) for candidate in candidates) == 1
    _, others = degrade("deblurring", chosen, tmp_path / "manifest.parquet", VQGAN, protocol(), seed=1)
    assert not np.array_equal(others, degraded)


def test_a_shifted_picture_is_the_clean_one_moved_up_and_left(chosen: pd.DataFrame, tmp_path: Path) -> None:
    clean, degraded = degraded_pair(chosen, tmp_path, "shift", shift_share=0.25)
    assert clean.shape == degraded.shape == (NUM_PICTURES, SIZE, SIZE, 3)
    assert np.array_equal(degraded[:, :-2, :-2], clean[:, 2:, 2:])
    assert not np.array_equal(degraded, clean)


@pytest.mark.parametrize(("task", "mask"), [("inpainting", None), ("outpainting", None), ("outpainting", MASK)])
def test_outside_the_mask_a_degraded_map_has_the_clean_tokens(
    task: str, mask: Region | None, prepared, chosen: pd.DataFrame, tmp_path: Path
) -> None:
    changes = {task: mask} if mask else {}
    task_set, model = prepared(task, **changes)
    clean, degraded = degraded_pair(chosen, tmp_path, task, **changes)
    clean_ids, degraded_ids = (encode_pictures(model, pictures, CPU) for pictures in (clean, degraded))
    region = protocol(**changes).region(task, GRID)
    inside = [
        region.top <= position // GRID < region.top + region.height
        and region.left <= position % GRID < region.left + region.width
        for position in range(GRID**2)
    ]
    assert (clean_ids != degraded_ids)[:, ~np.array(inside)].any()  # the encoder sees beyond a token's own pixels
    for index, job in enumerate(task_set.jobs):
        expected = [
            int((degraded_ids if within else clean_ids)[index, position]) for position, within in enumerate(inside)
        ]
        assert job.degraded.tolist() == expected
        assert job.clean.tolist() == clean_ids[index].tolist()


@pytest.mark.parametrize("task", ["deblurring", "rotation", "shift"])
def test_where_nothing_is_masked_a_degraded_map_is_the_degraded_pictures(
    task: str, prepared, chosen: pd.DataFrame, tmp_path: Path
) -> None:
    task_set, model = prepared(task)
    clean, degraded = degraded_pair(chosen, tmp_path, task)
    assert np.array_equal(task_set.pictures, clean)
    assert [(job.image_id, job.task) for job in task_set.jobs] == [(f"set/{i}", task) for i in range(NUM_PICTURES)]
    assert np.array_equal([job.degraded for job in task_set.jobs], encode_pictures(model, degraded, CPU))
    assert np.array_equal([job.clean for job in task_set.jobs], encode_pictures(model, clean, CPU))


def test_a_pyramids_jobs_are_its_finest_level_alone(prepared) -> None:
    task_set, model = prepared("inpainting", SPAE)
    assert np.array_equal(task_set.ids, encode_pictures(model, task_set.pictures, CPU))
    assert task_set.ids.shape == (NUM_PICTURES, 21)
    assert np.array_equal([job.clean for job in task_set.jobs], task_set.ids[:, 5:])
    assert all(job.degraded.shape == (GRID**2,) for job in task_set.jobs)
