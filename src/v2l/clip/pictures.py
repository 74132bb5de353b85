"""Running a frozen image network over the pictures of a manifest."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from v2l.data.images import load_pictures, to_tensor
from v2l.models.text_passes import batches, filled
from v2l.progress import Progress

PASS_PICTURES = 32  # always: another number of rows may change the last bits of a feature


def encode_pictures(
    encode: Callable[[Tensor], Tensor], manifest: Path, paths: list[str], size_px: int, title: str
) -> Tensor:
    """Features [N, d] float32 of N >= 1 pictures, centre-cropped to size_px; the next ones are read meanwhile.

    encode: of PASS_PICTURES pictures [B, 3, S, S] in [0, 1], the last ones repeated where they are too few.
    Raises DataError for an unreadable picture.
    """

    def read(batch: list[str]) -> Tensor:
        return to_tensor(load_pictures(manifest, batch, size_px))

    parts, todo = [], list(batches(paths, PASS_PICTURES))
    with Progress(title, len(paths), "pictures") as progress, ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, todo[0])
        for batch, following in zip(todo, [*todo[1:], None], strict=True):
            pictures = coming.result()
            if following is not None:
                coming = reader.submit(read, following)
            parts.append(encode(pictures[filled(range(len(batch)), PASS_PICTURES)])[: len(batch)])
            progress.advance(len(batch))
    return torch.cat(parts)
