"""Every kind is made, saved and read the same way."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from v2l.artifacts import sha256_file
from v2l.config.tokenizer import READS, LqaeConfig, SpaeConfig, V2LConfig, VqGanConfig
from v2l.errors import ArtifactError
from v2l.tokenizer.base import ImageTokenizer, Sources
from v2l.tokenizer.kinds import KINDS, load_tokenizer
from v2l.tokenizer.local_tokens import PASS_PICTURES, encode_pictures
from v2l.tokenizer.model import LocalTokenizer

NUM_CODES, DIM, LLM_DIM = 40, 5, 6
SIZES = {
    "image_size_px": 8,
    "base_channels": 8,
    "channel_multipliers": [1, 1],
    "num_res_blocks": 1,
    "z_channels": 8,
    "norm_groups": 4,
}
CONFIGS = {
    "v2l": V2LConfig(**SIZES, code_dim=6, num_global=2, cross_attention_heads=2),
    "vqgan": VqGanConfig(**SIZES, num_codes=NUM_CODES, code_dim=6),
    "lqae": LqaeConfig(**SIZES),
    "spae": SpaeConfig(**SIZES, levels=[1, 2, 4]),
}
CODEBOOKS = dict.fromkeys(KINDS, "codebook.weight") | {"v2l": "tok_embeddings.weight"}
CPU = torch.device("cpu")

every_kind = pytest.mark.parametrize("kind", list(KINDS))


def make(kind: str) -> ImageTokenizer:
    """A tokenizer from the sources that its kind reads and no others, as it is when training begins."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"embeddings": (NUM_CODES, DIM), "global_vectors": (7, DIM), "llm_embeddings": (NUM_CODES, LLM_DIM)}
    tensors = {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        given = {name: tensor for name, tensor in tensors.items() if name in READS[kind]}
        tokenizer = KINDS[kind].make(CONFIGS[kind], Sources(given))
    tokenizer.begin(torch.rand(8, 3, 8, 8, generator=generator))
    return tokenizer.eval()


def random_pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def vectors_for(kind: str, count: int) -> torch.Tensor | None:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 2, DIM, generator=generator) if kind == "v2l" else None


@pytest.fixture
def refused(tmp_path: Path):
    """Saves tensors with a configuration and expects one line that ends in what the pattern says."""

    def refuse(tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None, message: str) -> None:
        save_file(tensors, tmp_path / "t.safetensors", metadata=metadata)
        with pytest.raises(ArtifactError, match=rf"/t\.safetensors: {message}") as caught:
            load_tokenizer(tmp_path / "t.safetensors")
        assert "\n" not in str(caught.value)

    return refuse


@every_kind
def test_a_tokenizer_that_was_read_gives_the_same_ids_and_pictures(kind: str, tmp_path: Path) -> None:
    tokenizer = make(kind)
    assert type(tokenizer) is KINDS[kind]
    tokenizer.save(tmp_path / "t.safetensors")
    loaded = load_tokenizer(tmp_path / "t.safetensors")
    assert type(loaded) is KINDS[kind]
    assert loaded.config == CONFIGS[kind]
    assert not loaded.training
    assert loaded.vocab_size == NUM_CODES
    ids = encode_pictures(loaded, random_pictures(3), CPU)
    assert ids.shape == (3, tokenizer.num_tokens)
    assert len(np.unique(ids)) > 1
    assert np.array_equal(ids, encode_pictures(tokenizer, random_pictures(3), CPU))
    with torch.no_grad():
        decoded = loaded.decode_ids(torch.from_numpy(ids), vectors_for(kind, 3))
        assert decoded.shape == (3, 3, 8, 8)
        assert torch.equal(decoded, tokenizer.decode_ids(torch.from_numpy(ids), vectors_for(kind, 3)))


@every_kind
def test_saving_again_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    make(kind).to(memory_format=torch.channels_last).save(tmp_path / "a.safetensors")
    load_tokenizer(tmp_path / "a.safetensors").save(tmp_path / "b.safetensors")
    assert sha256_file(tmp_path / "a.safetensors") == sha256_file(tmp_path / "b.safetensors")


@every_kind
def test_ids_of_a_picture_do_not_depend_on_the_others(kind: str) -> None:
    tokenizer, pictures = make(kind), random_pictures(PASS_PICTURES + 3)
    passes: list[int] = []
    tokenizer.encoder.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    together = encode_pictures(tokenizer, pictures, CPU)
    for row in (0, PASS_PICTURES - 1, PASS_PICTURES, len(pictures) - 1):
        assert np.array_equal(encode_pictures(tokenizer, pictures[row : row + 1], CPU)[0], together[row])
    assert passes == [PASS_PICTURES] * 6  # as another number may change the last bits of a feature
    features = torch.randn(8, tokenizer.quant_conv.out_channels, 4, 4, generator=torch.Generator().manual_seed(2))
    ids = tokenizer.nearest(features)
    assert torch.equal(torch.cat([tokenizer.nearest(feature[None]) for feature in features]), ids)


@every_kind
def test_tensors_that_do_not_fit_are_named(kind: str, tmp_path: Path, refused) -> None:
    tokenizer, codebook = make(kind), CODEBOOKS[kind]
    tokenizer.save(tmp_path / "whole.safetensors")
    metadata, whole = {"config": tokenizer.config.model_dump_json()}, load_file(tmp_path / "whole.safetensors")

    def without(name: str) -> dict[str, torch.Tensor]:
        return {key: tensor for key, tensor in whole.items() if key != name}

    name = KINDS[kind].__name__
    refused(without(codebook), metadata, rf"weights do not fit( {name})?: missing {codebook}$")
    refused(without("encoder.conv_in.bias"), metadata, rf"weights do not fit {name}: missing encoder\.conv_in\.bias$")
    refused(whole | {"surplus": torch.zeros(1)}, metadata, f"weights do not fit {name}: unexpected surplus$")
    wide = {"post_quant_conv.bias": torch.zeros(9)}
    refused(whole | wide, metadata, rf"weights do not fit {name}: post_quant_conv\.bias: expected shape \[8\], found")
    flat = {codebook: torch.zeros(NUM_CODES)}
    refused(whole | flat, metadata, rf"weights do not fit.*{codebook}: expected .*, found .*\[40\]$")


@pytest.mark.parametrize(("kind", "other"), [("lqae", "v2l"), ("v2l", "vqgan"), ("v2l", "spae")])
def test_the_weights_of_another_kind_are_refused(kind: str, other: str, tmp_path: Path, refused) -> None:
    make(kind).save(tmp_path / "whole.safetensors")
    tensors = {name: tensor.clone() for name, tensor in load_file(tmp_path / "whole.safetensors").items()}
    refused(tensors, {"config": CONFIGS[other].model_dump_json()}, "weights do not fit")


@pytest.mark.parametrize(
    "metadata",
    [None, {"config": "{"}, {"config": "3"}, {"config": "{}"}, {"config": json.dumps({"kind": "vqvae"})},
     {"config": json.dumps({"kind": "lqae", "num_codes": 3})}],
)  # fmt: skip
def test_a_configuration_of_no_kind_is_refused(metadata: dict[str, str] | None, refused) -> None:
    refused({"x": torch.zeros(1)}, metadata, "expected a tokenizer configuration in the metadata")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.safetensors: file not found"):
        load_tokenizer(tmp_path / "none.safetensors")


def test_reading_another_kind_as_v2l_is_refused(tmp_path: Path) -> None:
    make("lqae").save(tmp_path / "t.safetensors")
    with pytest.raises(ArtifactError, match=r"t\.safetensors: expected a tokenizer of kind v2l, found lqae$"):
        LocalTokenizer.load(tmp_path / "t.safetensors")
