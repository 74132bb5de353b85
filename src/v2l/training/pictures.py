"""The training pictures, and which of them make up a batch.

Few are decoded once and kept. Of many each is decoded whenever it is drawn, ahead of its step: ImageNet's 1.28 million
would take 84 GB at 128 pixels, in every training process.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from v2l.data.images import random_crop, read_image
from v2l.progress import track
from v2l.seeds import numpy_generator
from v2l.training.ahead import work_ahead

logger = logging.getLogger(__name__)

Batch = tuple[np.ndarray, np.ndarray]  # pictures, uint8 [B, size_px, size_px, 3], and their rows [B]
LONG_SIDE = 4 / 3  # of a photograph whose short side is 1


class Draw(NamedTuple):
    """A picture of a batch: its row, decoded or as the path of its file, and what its crop depends on."""

    row: int
    picture: np.ndarray | str
    image_id: str
    epoch: int


@dataclass(frozen=True)
class TrainingPictures:
    """pictures: one uint8 [height, width, 3] each, its short side at the training size, or all as paths of files.

    image_ids: their names, for the random crop.
    """

    pictures: Sequence[np.ndarray] | Sequence[str]
    image_ids: Sequence[str]
    size_px: int
    seed: int

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def kept(self) -> bool:
        """Whether all are decoded and in memory."""
        return not isinstance(self.pictures[0], str)

    def batch(self, step: int, batch_size: int, share: slice = slice(None)) -> Batch:
        """The pictures of a step; share: which of them to read.

        Epochs follow each other without a gap, each in an order of its own; the crop depends on seed, epoch and image.
        Raises DataError naming a picture that cannot be read.
        """
        return read_batch(self._draws(step, batch_size, share), self.size_px, self.seed)

    def batches(self, steps: range, batch_size: int, share: slice = slice(None), workers: int = 0) -> Iterator[Batch]:
        """``batch`` of one step after the other; pictures that are not kept are decoded by ``workers`` processes.

        Raises as ``batch`` does, in that step's turn. Closing the iterator ends the workers.
        """
        if self.kept or not workers:
            yield from (self.batch(step, batch_size, share) for step in steps)
        else:
            read = partial(read_batch, size_px=self.size_px, seed=self.seed)
            yield from work_ahead(read, (self._draws(step, batch_size, share) for step in steps), workers)

    def _draws(self, step: int, batch_size: int, share: slice) -> list[Draw]:
        draws = []
        for position in range(step * batch_size, (step + 1) * batch_size)[share]:
            epoch, offset = divmod(position, len(self))
            row = int(epoch_order(len(self), self.seed, epoch)[offset])
            draws.append(Draw(row, self.pictures[row], self.image_ids[row], epoch))
        return draws


def read_batch(draws: Sequence[Draw], size_px: int, seed: int) -> Batch:
    """Decodes what is not decoded yet, and crops. Raises DataError naming a picture that cannot be read."""
    crops = []
    for draw in draws:
        decoded = decode(draw.picture, size_px) if isinstance(draw.picture, str) else Image.fromarray(draw.picture)
        crops.append(random_crop(decoded, size_px, numpy_generator(seed, "crop", draw.epoch, draw.image_id)))
    return np.stack(crops), np.array([draw.row for draw in draws])


def decode(path: str, size_px: int) -> Image.Image:
    """A picture with its short side at ``size_px``. Raises DataError naming it if it cannot be read."""
    return ImageOps.cover(read_image(Path(path)), (size_px, size_px), Image.Resampling.BICUBIC)


@lru_cache(maxsize=2)
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch goes through ``count`` pictures: a permutation of 0..count-1."""
    return numpy_generator(seed, "order", epoch).permutation(count)


def read_training_pictures(
    manifest: Path, paths: Sequence[str], image_ids: Sequence[str], size_px: int, seed: int, memory_gb: float
) -> TrainingPictures:
    """The pictures at ``paths`` (relative to the manifest's folder), decoded if they fit in ``memory_gb``.

    How much they take is estimated by their number, at 4:3. Raises DataError naming the first one that cannot be read.
    Of pictures that do not fit none is read here: the stage that made the manifest has decoded each of them once.
    """
    files = [str(manifest.parent / path) for path in paths]
    needed_gb = len(files) * 3 * size_px**2 * LONG_SIDE / 1e9
    if needed_gb > memory_gb:
        logger.info(
            "%d pictures would take about %.1f GB, more than runtime.picture_memory_gb (%g): decoded as they are drawn",
            len(files), needed_gb, memory_gb,
        )  # fmt: skip
        return TrainingPictures(files, list(image_ids), size_px, seed)
    pictures = [np.asarray(decode(file, size_px)) for file in track(files, "read pictures", len(files), "pictures")]
    return TrainingPictures(pictures, list(image_ids), size_px, seed)
