"""The training pictures, decoded once, and which of them make up a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from v2l.data.images import random_crop, read_image
from v2l.progress import track
from v2l.seeds import numpy_generator


@dataclass(frozen=True)
class TrainingPictures:
    """Pictures with their short side at the training size.

    pixels: one uint8 [height, width, 3] a picture.   image_ids: their names, for the random crop.
    """

    pixels: Sequence[np.ndarray]
    image_ids: Sequence[str]
    size_px: int
    seed: int

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, step: int, batch_size: int, share: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """The pictures of a step, uint8 [B, size_px, size_px, 3], and their rows [B]; share: which of them to read.

        Epochs follow each other without a gap, each in an order of its own; the crop depends on seed, epoch and image.
        """
        rows, crops = [], []
        for position in range(step * batch_size, (step + 1) * batch_size)[share]:
            epoch, offset = divmod(position, len(self))
            row = epoch_order(len(self), self.seed, epoch)[offset]
            generator = numpy_generator(self.seed, "crop", epoch, self.image_ids[row])
            crops.append(random_crop(Image.fromarray(self.pixels[row]), self.size_px, generator))
            rows.append(row)
        return np.stack(crops), np.array(rows)


@lru_cache(maxsize=2)
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch goes through ``count`` pictures: a permutation of 0..count-1."""
    return numpy_generator(seed, "order", epoch).permutation(count)


def read_training_pictures(
    manifest: Path, paths: Sequence[str], image_ids: Sequence[str], size_px: int, seed: int
) -> TrainingPictures:
    """Decodes pictures (paths relative to the manifest's folder) and brings their short side to ``size_px``.

    Raises DataError naming the first picture that cannot be read.
    """
    pixels = [
        np.asarray(ImageOps.cover(read_image(manifest.parent / path), (size_px, size_px), Image.Resampling.BICUBIC))
        for path in track(paths, "read pictures", len(paths), "pictures")
    ]
    return TrainingPictures(pixels, list(image_ids), size_px, seed)
