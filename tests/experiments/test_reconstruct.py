import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from v2l.artifacts import read_arrays, write_arrays, write_rows
from v2l.baselines.spae import SpaeTokenizer
from v2l.config.frechet import FrechetConfig
from v2l.config.reconstruct import ReconstructConfig
from v2l.config.tokenizer import SpaeConfig, V2LConfig
from v2l.data.images import to_tensor
from v2l.errors import ArtifactError, DataError
from v2l.experiments.measures import PASS_PICTURES
from v2l.experiments.reconstruct import reconstruct
from v2l.models.perceptual import IMAGENET_MEAN, IMAGENET_STD, Lpips, load_trunk
from v2l.tokenizer.base import Sources
from v2l.tokenizer.model import LocalTokenizer

from ..pictures import write_manifest

NUM_PICTURES, SIZE, DIM = 10, 32, 5
SIZES = {
    "image_size_px": SIZE,
    "base_channels": 32,
    "channel_multipliers": [1, 1],
    "num_res_blocks": 1,
    "z_channels": 8,
    "cross_attention_residual": True,  # without it untrained weights pass on little but magnified rounding
}


@pytest.fixture
def stage(assets: Path, tmp_path: Path, runtime):
    """Runs the stage on ten pictures, every second one held out, with a random tokenizer; keywords replace files."""
    generator = np.random.default_rng(0)
    size = (SIZE, SIZE, 3)
    pictures = [Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)) for _ in range(NUM_PICTURES)]
    manifest = write_manifest(tmp_path, pictures)
    tokens = {
        "image_id": manifest["image_id"],
        "global_ids": generator.permuted(np.tile(np.arange(7), (NUM_PICTURES, 1)), axis=1)[:, :3].tolist(),
        "local_ids": generator.integers(0, 20, (NUM_PICTURES, 256)).tolist(),
    }
    write_rows(tmp_path / "tokens.parquet", pd.DataFrame(tokens).iloc[::-1])  # another order than the manifest's
    write_arrays(tmp_path / "global.safetensors", {"codebook": generator.standard_normal((7, DIM), np.float32)})
    torch.manual_seed(0)
    LocalTokenizer(V2LConfig(**SIZES, code_dim=6, num_global=2), 20, 4, DIM).save(tmp_path / "tokenizer.safetensors")

    def run(**changes: object) -> None:
        names = {"manifest": "manifest.parquet", "tokenizer": "tokenizer.safetensors"}
        names |= {"global_tokens": "tokens.parquet", "local_tokens": "tokens.parquet"}
        names |= {"global_vectors": "global.safetensors", "rows": "rows.parquet", "features": "features.safetensors"}
        arguments = {key: tmp_path / name for key, name in (names | {"examples": "examples.parquet"}).items()}
        arguments |= {"networks": assets / "networks/manifest.json", "runtime": runtime, "config": ReconstructConfig()}
        arguments |= {"frechet": FrechetConfig()}
        reconstruct(**{**arguments, "num_examples": 2, "name": "mine", **changes})

    return run


def decoded(folder: Path, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture and its reconstruction [3, H, W], straight from the files."""
    original = to_tensor(np.asarray(Image.open(folder / f"{index}.png"))[None])[0]
    tokens = pd.read_parquet(folder / "tokens.parquet").set_index("image_id").loc[f"set/{index}"]
    codebook = torch.from_numpy(read_arrays(folder / "global.safetensors", ["codebook"])["codebook"])
    model = LocalTokenizer.load(folder / "tokenizer.safetensors")
    with torch.inference_mode():
        ids = torch.from_numpy(tokens["local_ids"].copy())[None]
        return original, model.decode_ids(ids, codebook[tokens["global_ids"][:2].copy()][None])[0].clamp(0, 1)


def test_rows_measure_the_decoded_tokens_of_held_out_pictures(stage, assets: Path, tmp_path: Path) -> None:
    stage()
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(rows.columns) == ["image_id", "tokenizer", "psnr", "ssim", "lpips_vgg", "lpips_alex"]
    assert rows["image_id"].tolist() == [f"set/{index}" for index in (1, 3, 5, 7, 9)]
    assert (rows["tokenizer"] == "mine").all()
    features = read_arrays(tmp_path / "features.safetensors", ["original", "reconstruction"])
    networks = assets / "networks/manifest.json"
    lpips, trunk = Lpips(networks, "alex"), load_trunk(networks, "vgg16")
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    for place, index in enumerate((1, 3, 5, 7, 9)):
        original, reconstruction = (picture[None] for picture in decoded(tmp_path, index))
        # float32 in another batch: the last bits differ
        error = float(((original - reconstruction) ** 2).mean())
        assert rows["psnr"][place] == pytest.approx(-10 * np.log10(error), abs=1e-3)
        assert rows["lpips_alex"][place] == pytest.approx(float(lpips(original, reconstruction)), abs=1e-4)
        for name, picture in (("original", original), ("reconstruction", reconstruction)):
            expected = trunk((picture - mean) / std).mean(dim=(2, 3))[0].numpy()
            np.testing.assert_allclose(features[name][place], expected, atol=1e-3)


def test_examples_are_pictures_before_and_after(stage, tmp_path: Path) -> None:
    stage()
    examples = pd.read_parquet(tmp_path / "examples.parquet")
    assert list(examples.columns) == ["image_id", "class_name", "original", "reconstruction"]
    assert examples["image_id"].tolist() == ["set/1", "set/9"]
    assert examples["class_name"].tolist() == ["name 1", "name 9"]
    original, reconstruction = decoded(tmp_path, 9)
    for name, picture in (("original", original), ("reconstruction", reconstruction)):
        stored = np.asarray(Image.open(io.BytesIO(examples[name][1])), dtype=np.float32)
        np.testing.assert_allclose(stored, picture.permute(1, 2, 0).numpy() * 255, atol=0.6)  # rounded to 8 bits


def test_a_picture_measures_the_same_alone_and_among_others(stage, tmp_path: Path) -> None:
    stage(config=ReconstructConfig(psnr_channel="luma"))
    together = pd.read_parquet(tmp_path / "rows.parquet").set_index("image_id")
    assert len(together) < PASS_PICTURES
    stage(config=ReconstructConfig(max_images=3, psnr_channel="luma"))
    few = pd.read_parquet(tmp_path / "rows.parquet").set_index("image_id")
    assert few.index.tolist() == ["set/1", "set/5", "set/9"]
    pd.testing.assert_frame_equal(few, together.loc[few.index], check_exact=True)


def test_a_pyramid_without_global_tokens_is_decoded_from_all_its_ids(stage, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    files = {"tokenizer": tmp_path / "spae.safetensors", "local_tokens": tmp_path / "pyramids.parquet"}
    sources = Sources({"embeddings": torch.from_numpy(generator.standard_normal((20, DIM), np.float32))})
    model = SpaeTokenizer.make(SpaeConfig(**SIZES, levels=[1, 16], guided_levels=1), sources)
    model.save(files["tokenizer"])
    ids = generator.integers(0, 20, (NUM_PICTURES, 257))
    image_ids = [f"set/{index}" for index in range(NUM_PICTURES)]
    write_rows(files["local_tokens"], pd.DataFrame({"image_id": image_ids, "local_ids": ids.tolist()}))
    stage(**files)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    with torch.inference_mode():
        decoded = model.decode_ids(torch.from_numpy(ids), None).clamp(0, 1)
    for place, index in enumerate((1, 3, 5, 7, 9)):
        original = to_tensor(np.asarray(Image.open(tmp_path / f"{index}.png"))[None])[0]
        # float32 in another batch: the last bits differ
        error = float(((original - decoded[index]) ** 2).mean())
        assert rows["psnr"][place] == pytest.approx(-10 * np.log10(error), abs=1e-3)


def test_inputs_that_do_not_fit_are_named(stage, tmp_path: Path) -> None:
    tokens = pd.read_parquet(tmp_path / "tokens.parquet")
    write_rows(tmp_path / "other.parquet", tokens[tokens["image_id"] != "set/5"])
    with pytest.raises(ArtifactError, match=r"other\.parquet: expected tokens of set/5, found none"):
        stage(local_tokens=tmp_path / "other.parquet")
    write_rows(tmp_path / "other.parquet", tokens.assign(global_ids=[[1]] * len(tokens)))
    with pytest.raises(ArtifactError, match=r"other\.parquet: global_ids: expected at least 2 per picture, found 1"):
        stage(global_tokens=tmp_path / "other.parquet")
    write_rows(tmp_path / "other.parquet", pd.read_parquet(tmp_path / "manifest.parquet").assign(split="train"))
    with pytest.raises(DataError, match=r"other\.parquet: column split: expected some rows with heldout, found none"):
        stage(manifest=tmp_path / "other.parquet")
