"""Clean and degraded pictures of each restoration task, and their token maps (paper, Table 4)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from v2l.config.restore import RestoreProtocol
from v2l.config.tokenizer import TokenizerConfig
from v2l.data.degradations import blurred, centre_and_corner, covered, larger_side, rotated
from v2l.data.images import load_pictures
from v2l.errors import ConfigError
from v2l.experiments.windows import SEQUENTIAL, Job
from v2l.seeds import numpy_generator
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.local_tokens import encode_pictures


def check_protocol(config: RestoreProtocol, sizes: TokenizerConfig) -> None:
    """Raises ConfigError if a task's mask, n or m do not fit the token map, or a blur's kernel the picture."""
    for task in config.tasks:
        try:
            config.region(task, sizes.grid)
        except ValueError as error:
            raise ConfigError(f"restore.protocol: {error}") from None
    if (largest := max(config.blur_kernels)) // 2 >= sizes.image_size_px:
        raise ConfigError(
            f"restore.protocol.blur_kernels: expected sides below twice the picture's {sizes.image_size_px} px, "
            f"found {largest}"
        )


def degrade(
    task: str, chosen: pd.DataFrame, manifest: Path, sizes: TokenizerConfig, config: RestoreProtocol, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clean and degraded pictures of a task, both uint8 [N, size, size, 3]."""
    size, paths = sizes.image_size_px, chosen["path"].tolist()
    if task == "shift":
        large = load_pictures(manifest, paths, larger_side(size, config.shift_share))
        crops = [centre_and_corner(picture, size) for picture in large]
        return np.stack([centre for centre, _ in crops]), np.stack([corner for _, corner in crops])
    clean = load_pictures(manifest, paths, size)
    if task == "rotation":
        return clean, np.stack([rotated(picture) for picture in clean])
    if task == "deblurring":
        generators = [numpy_generator(seed, "blur", image_id) for image_id in chosen["image_id"]]
        pairs = zip(clean, generators, strict=True)
        return clean, np.stack([blurred(picture, config.blur_kernels, generator) for picture, generator in pairs])
    region, scale = config.region(task, sizes.grid), sizes.downsampling
    sides = [scale * side for side in (region.top, region.left, region.height, region.width)]
    return clean, np.stack([covered(picture, *sides) for picture in clean])


@dataclass(frozen=True)
class TaskSet:
    """What a task works on. pictures: clean, uint8 [N, size, size, 3]; ids: all of theirs [N, num_tokens]; jobs: N."""

    task: str
    pictures: np.ndarray
    ids: np.ndarray
    jobs: list[Job]


def prepare(
    task: str,
    chosen: pd.DataFrame,
    manifest: Path,
    model: ImageTokenizer,
    config: RestoreProtocol,
    seed: int,
    device: torch.device,
) -> TaskSet:
    """Degrades the pictures and encodes both versions; the map is the last grid x grid ids.

    Where a part is to be filled in, the rest of the degraded map has the clean picture's tokens.
    """
    grid = model.config.grid
    clean, degraded = degrade(task, chosen, manifest, model.config, config, seed)
    clean_ids = encode_pictures(model, clean, device)
    clean_maps = clean_ids[:, -(grid**2) :]
    degraded_maps = encode_pictures(model, degraded, device)[:, -(grid**2) :]
    if task in SEQUENTIAL:
        region = config.region(task, grid)
        masked = np.zeros((grid, grid), dtype=bool)
        masked[region.top : region.top + region.height, region.left : region.left + region.width] = True
        degraded_maps = np.where(masked.ravel(), degraded_maps, clean_maps)
    parts = zip(chosen["image_id"], clean_maps, degraded_maps, strict=True)
    return TaskSet(task, clean, clean_ids, [Job(image_id, task, *maps) for image_id, *maps in parts])
