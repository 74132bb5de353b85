"""Stage ``local-tokens``: every picture as a map of tokens (paper, Figure 2).

They are always computed in fp32 and in passes of a fixed number of pictures: another number may change the last
bits of a feature, and with them, once in a while, an id.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from v2l.artifacts import read_rows, write_rows
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import read_manifest
from v2l.errors import ArtifactError
from v2l.progress import Progress
from v2l.runtime import Runtime
from v2l.shards import WHOLE, Shard
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.kinds import load_tokenizer

PASS_PICTURES = 8


@torch.inference_mode()
def encode_pictures(
    tokenizer: ImageTokenizer,
    pictures: np.ndarray,
    device: torch.device,
    advance: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Token ids [N, num_tokens] int64 of pictures uint8 [N, H, W, 3]; the map comes last, in raster order.

    ``tokenizer`` lies on ``device``. ``advance`` hears how many pictures each pass finished.
    """
    codes = tokenizer.codes()
    ids = []
    for start in range(0, len(pictures), PASS_PICTURES):
        part = to_tensor(pictures[start : start + PASS_PICTURES])
        padded = F.pad(part, (0, 0, 0, 0, 0, 0, 0, PASS_PICTURES - len(part)))
        ids.append(tokenizer.nearest(tokenizer.encode(padded.to(device)), codes)[: len(part)].cpu().numpy())
        if advance is not None:
            advance(len(part))
    return np.concatenate(ids)


def local_tokens(
    manifest: Path,
    tokenizer: Path,
    tokens: Path,
    runtime: Runtime,
    selection: Path | None = None,
    shard: Shard = WHOLE,
) -> None:
    """Writes image_id and local_ids, in manifest order: the map's token ids in raster order, after what ids a kind has
    besides them.

    selection: a table with image_id, the pictures to encode; without it all. Raises ArtifactError or DataError.
    """
    frame = read_manifest(manifest)
    if selection is not None:
        frame = select_pictures(frame, read_rows(selection, ["image_id"])["image_id"], selection)
    frame = shard.of(frame)
    model = load_tokenizer(tokenizer).to(runtime.device)
    ids = []
    with Progress("local tokens", len(frame), "pictures") as progress:
        for start in range(0, len(frame), runtime.image_batch):
            paths = frame["path"].iloc[start : start + runtime.image_batch].tolist()
            pictures = load_pictures(manifest, paths, model.config.image_size_px)
            ids.append(encode_pictures(model, pictures, runtime.device, progress.advance))
    write_rows(
        tokens, pd.DataFrame({"image_id": frame["image_id"].tolist(), "local_ids": np.concatenate(ids).tolist()})
    )


def select_pictures(frame: pd.DataFrame, image_ids: pd.Series, origin: Path) -> pd.DataFrame:
    """The rows of a manifest with these ids. Raises ArtifactError if one is not in it, or if there is none."""
    if not len(image_ids) or not (known := image_ids.isin(frame["image_id"])).all():
        found = "no picture" if not len(image_ids) else f"{image_ids[~known].iloc[0]!r}, which is not in the manifest"
        raise ArtifactError(f"{origin}: image_id: expected pictures of the manifest, found {found}")
    return frame[frame["image_id"].isin(image_ids)]
