"""Features of a manifest's pictures, by every network that makes some."""

from pathlib import Path

import numpy as np
import pytest
import torch

from v2l.artifacts import read_arrays, write_arrays
from v2l.clip import pictures
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.data.images import load_pictures
from v2l.errors import DataError
from v2l.models.clip import ImageHead, ImageTrunk

from ..parts import assert_parts_make_the_whole
from ..pictures import blotches, write_manifest

NUM_PICTURES = 11


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    write_manifest(tmp_path, blotches(np.random.default_rng(0), NUM_PICTURES))
    return tmp_path / "manifest.parquet"


@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
def test_every_picture_is_encoded_in_order_and_always_so_many_at_once(
    manifest: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "PASS_PICTURES", 4)
    paths = [f"{index}.png" for index in range(count)]
    sizes = []

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(pixels.shape))
        return pixels.flatten(1)

    features = pictures.encode_pictures(encode, manifest, paths, 8, "test")
    assert sizes == [(4, 3, 8, 8)] * -(-count // 4)
    expected = load_pictures(manifest, paths, 8).transpose(0, 3, 1, 2).reshape(count, -1) / np.float32(255)
    np.testing.assert_array_equal(features.numpy(), expected.astype(np.float32))


def test_an_unreadable_picture_is_named(manifest: Path) -> None:
    manifest.with_name("6.png").write_bytes(b"short")
    with pytest.raises(DataError, match=r"6\.png: not a readable picture"):
        pictures.encode_pictures(lambda pixels: pixels, manifest, [f"{i}.png" for i in range(11)], 8, "test")


def test_parts_of_trunk_features_make_the_whole(manifest: Path, assets: Path, tmp_path: Path) -> None:
    inputs = {"manifest": manifest, "networks": assets / "networks" / "manifest.json"}
    sections = {"clip": LockedTextConfig(trunk_size_px=32)}
    whole = assert_parts_make_the_whole("trunk-features", sections, inputs, tmp_path, (7, 12))
    assert read_arrays(whole["trunk"], [])["features"].shape == (NUM_PICTURES, ImageTrunk.dim)


def test_parts_of_the_features_of_an_open_clip_model_make_the_whole(
    manifest: Path, tiny_open_clip: OpenClipConfig, tmp_path: Path
) -> None:
    sections = {"clip": tiny_open_clip}
    whole = assert_parts_make_the_whole("image-features", sections, {"manifest": manifest}, tmp_path, (7, 12))
    features = read_arrays(whole["features"], [])["features"]
    assert features.shape == (NUM_PICTURES, 32)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)  # float32 rounding


def test_parts_of_the_features_of_a_head_make_the_whole(manifest: Path, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = ImageHead(ImageTrunk.dim, 16, 24)
        trunk = torch.randn(NUM_PICTURES, ImageTrunk.dim)
    write_arrays(tmp_path / "head.safetensors", {name: value.numpy() for name, value in head.state_dict().items()})
    write_arrays(tmp_path / "trunk.safetensors", {"features": trunk.numpy()})
    inputs = {"manifest": manifest, **{name: tmp_path / f"{name}.safetensors" for name in ("trunk", "head")}}
    sections = {"clip": LockedTextConfig()}
    whole = assert_parts_make_the_whole("image-features", sections, inputs, tmp_path, (7, 12))
    assert read_arrays(whole["features"], [])["features"].shape == (NUM_PICTURES, 24)
