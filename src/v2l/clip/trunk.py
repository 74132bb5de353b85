"""Stage ``trunk-features``: the frozen image-trunk features of every picture, once."""

from pathlib import Path

from v2l.artifacts import write_arrays
from v2l.clip.pictures import encode_pictures
from v2l.config.clip import LockedTextConfig
from v2l.data.manifest import read_manifest
from v2l.models.clip import ImageTrunk
from v2l.runtime import Runtime
from v2l.shards import Shard


def trunk_features(
    manifest: Path, networks: Path, trunk: Path, clip: LockedTextConfig, runtime: Runtime, shard: Shard
) -> None:  # fmt: skip
    """Writes ``features`` [N, 1024] float32 in manifest order. Raises DataError for an unreadable picture."""
    paths = shard.of(read_manifest(manifest)["path"].tolist())
    model = ImageTrunk(networks, runtime)
    vectors = encode_pictures(model.encode, manifest, paths, clip.trunk_size_px, "image trunk")
    write_arrays(trunk, {"features": vectors.numpy()})
