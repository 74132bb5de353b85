"""Stage ``trunk-features``: the frozen image-trunk features of every picture, once."""

from pathlib import Path

import torch

from v2l.artifacts import write_arrays
from v2l.config.clip import LockedTextConfig
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import read_manifest
from v2l.models.clip import ImageTrunk
from v2l.progress import Progress
from v2l.runtime import Runtime


def trunk_features(
    manifest: Path, networks: Path, trunk: Path, clip: LockedTextConfig, runtime: Runtime
) -> None:  # fmt: skip
    """Writes ``features`` [N, 1024] float32 in manifest order. Raises DataError for an unreadable picture."""
    paths = read_manifest(manifest)["path"].tolist()
    model = ImageTrunk(networks, runtime)
    parts = []
    with Progress("image trunk", len(paths), "pictures") as progress:
        for start in range(0, len(paths), runtime.image_batch):
            batch = paths[start : start + runtime.image_batch]
            parts.append(model.encode(to_tensor(load_pictures(manifest, batch, clip.trunk_size_px))))
            progress.advance(len(batch))
    write_arrays(trunk, {"features": torch.cat(parts).numpy()})
