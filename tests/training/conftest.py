"""A small run of everything that training reads: pictures, features, codebooks and an LPIPS with random weights."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
import yaml
from PIL import Image
from safetensors.torch import save_file

from v2l.artifacts import write_arrays, write_json, write_rows

NUM_PICTURES, NUM_TRAINING, NUM_TOKENS, DIM, LLM_DIM = 12, 9, 50, 8, 7

SIZES = {
    "image_size_px": 32,
    "base_channels": 32,
    "channel_multipliers": [1, 1],
    "num_res_blocks": 1,
    "z_channels": 8,
}
TOKENIZERS = {
    "v2l": SIZES | {"kind": "v2l", "code_dim": 6, "num_global": 2, "unit_codes": True},
    "vqgan": SIZES | {"kind": "vqgan", "num_codes": NUM_TOKENS, "code_dim": 6},
    "lqae": SIZES | {"kind": "lqae"},
    "spae": SIZES | {"kind": "spae", "levels": [1, 4, 16], "guided_levels": 1},
}
TRAIN = {
    "batch_size": 4,
    "epochs": 8 / 9 * 4,  # 8 steps
    "warmup_epochs": 0.5,
    "learning_rate": 1e-3,
    "perceptual_net": "alex",
    "perceptual_weight": 0.1,
    "gan_start_step": 3,
    "discriminator_channels": 8,
    "checkpoint_steps": 2,
    "log_steps": 3,
}


def draw_picture(index: int, size: int = 32) -> np.ndarray:
    """A coloured disc on white; where and how large depends on the index."""
    generator = np.random.default_rng(index)
    rows, columns = np.mgrid[:size, :size]
    centre, radius = generator.uniform(0.3, 0.7, 2) * size, generator.uniform(0.2, 0.4) * size
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
    return np.where(inside[:, :, None], generator.integers(0, 255, 3), 255).astype(np.uint8)


def write_networks(folder: Path) -> Path:
    """AlexNet and LPIPS heads with random weights; returns the manifest's path."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        trunk = torchvision.models.alexnet(weights=None).features
    weights = {}
    for name, tensor in trunk.state_dict().items():
        fan_in = tensor[0].numel()
        weights[f"features.{name}"] = torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5
    save_file(weights, folder / "alexnet.safetensors")
    heads = {
        f"lin{i}": torch.rand(1, width, 1, 1, generator=generator) for i, width in enumerate((64, 192, 384, 256, 256))
    }
    save_file(heads, folder / "lpips_alex.safetensors")
    write_json(folder / "manifest.json", {"asset": "networks"})
    return folder / "manifest.json"


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The inputs of stage train by name; the last three pictures are held out."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "pictures").mkdir()
    rows = []
    for index in range(NUM_PICTURES):
        Image.fromarray(draw_picture(index, 40)).save(folder / "pictures" / f"{index}.png")
        split = "train" if index < NUM_TRAINING else "heldout"
        rows.append({"image_id": f"set/{index}", "path": f"pictures/{index}.png", "split": split, "class_id": index})
    common = {"class_name": "disc", "captions": [["disc"]] * NUM_PICTURES, "sha256": ""}
    common |= dict.fromkeys(("source", "family", "group", "subgroup"), "set")
    write_rows(folder / "manifest.parquet", pd.DataFrame(rows).assign(**common))
    generator = np.random.default_rng(0)
    write_arrays(
        folder / "features.safetensors", {"features": generator.standard_normal((NUM_PICTURES, DIM), np.float32)}
    )
    embeddings = {
        "embeddings": generator.standard_normal((NUM_TOKENS, DIM), np.float32),
        "text_id": np.tile(np.arange(NUM_TOKENS, dtype=np.int32), 3),
    }
    write_arrays(folder / "embeddings.safetensors", embeddings)
    llm_embeddings = generator.standard_normal((NUM_TOKENS, LLM_DIM), np.float32)
    write_arrays(folder / "llm.safetensors", {"embeddings": llm_embeddings})
    write_arrays(folder / "global.safetensors", {"codebook": generator.standard_normal((7, DIM), np.float32)})
    return {
        "manifest": folder / "manifest.parquet",
        "features": folder / "features.safetensors",
        "embeddings": folder / "embeddings.safetensors",
        "global_vectors": folder / "global.safetensors",
        "llm_embeddings": folder / "llm.safetensors",
        "networks": write_networks(folder / "networks"),
    }


@pytest.fixture
def config_path(repository: Path, tmp_path: Path) -> Path:
    """The smoke configuration with the sizes of this file, and a tokenizer of every kind under the kind's name."""
    tree = yaml.safe_load((repository / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    tree["tokenizers"] |= TOKENIZERS
    tree |= {"train": TRAIN, "precision": "fp32", "threads": 1, "runtime": {"device": "cpu"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return tmp_path / "config.yaml"


@pytest.fixture
def decoding_ahead(config_path: Path, tmp_path: Path) -> Path:
    """That configuration, where no picture is kept and two workers decode them."""
    return with_runtime(config_path, tmp_path / "decoding_ahead.yaml", picture_memory_gb=0, loader_workers=2)


def with_runtime(config: Path, path: Path, **runtime: float) -> Path:
    """Writes that configuration to the path, with these keys of ``runtime``."""
    tree = yaml.safe_load(config.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**tree, "runtime": tree["runtime"] | runtime}), encoding="utf-8")
    return path
