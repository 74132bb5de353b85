"""Stage ``image-features``: the unit CLIP feature of every picture, once, never again per epoch or experiment."""

from pathlib import Path

import torch
from torch import Tensor

from v2l.artifacts import read_arrays, write_arrays
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import read_manifest
from v2l.models.clip import Clip, load_clip, load_head
from v2l.progress import Progress
from v2l.runtime import Runtime


def encode_pictures(model: Clip, manifest: Path, paths: list[str], batch_size: int) -> Tensor:
    """Runs the image tower over pictures -> [N, d] float32, unit length."""
    parts = []
    with Progress("image features", len(paths), "pictures") as progress:
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            parts.append(model.encode_image(to_tensor(load_pictures(manifest, batch, model.size_px))))
            progress.advance(len(batch))
    return torch.cat(parts)


def image_features(
    manifest: Path,
    features: Path,
    clip: LockedTextConfig | OpenClipConfig,
    runtime: Runtime,
    trunk: Path | None = None,
    head: Path | None = None,
) -> None:
    """Writes ``features`` [N, d] float32 in manifest order.

    The locked-text model applies its head to the stored trunk features; an open_clip model reads the pictures.
    """
    if trunk is not None and head is not None:
        vectors = load_head(head)(torch.from_numpy(read_arrays(trunk, ["features"])["features"]))
    else:
        paths = read_manifest(manifest)["path"].tolist()
        vectors = encode_pictures(load_clip(clip, runtime), manifest, paths, runtime.image_batch)
    write_arrays(features, {"features": vectors.numpy()})
