"""Stage ``image-features``: the unit CLIP feature of every picture, once, never again per epoch or experiment."""

from pathlib import Path

import torch

from v2l.artifacts import read_arrays, write_arrays
from v2l.clip.pictures import encode_pictures
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.data.manifest import read_manifest
from v2l.models.clip import load_clip, load_head
from v2l.runtime import Runtime
from v2l.shards import WHOLE, Shard


def image_features(
    manifest: Path,
    features: Path,
    clip: LockedTextConfig | OpenClipConfig,
    runtime: Runtime,
    trunk: Path | None = None,
    head: Path | None = None,
    shard: Shard = WHOLE,
) -> None:
    """Writes ``features`` [N, d] float32 in manifest order.

    The locked-text model applies its head to the stored trunk features; an open_clip model reads the pictures.
    """
    if trunk is not None and head is not None:
        # all at once, then the part: a product of another shape may differ in its last bits
        vectors = shard.of(load_head(head)(torch.from_numpy(read_arrays(trunk, ["features"])["features"])))
    else:
        paths = shard.of(read_manifest(manifest)["path"].tolist())
        model = load_clip(clip, runtime)
        vectors = encode_pictures(model.encode_image, manifest, paths, model.size_px, "image features")
    write_arrays(features, {"features": vectors.numpy()})
