"""Released checkpoints load under their own key names; what does not fit is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from v2l.errors import ArtifactError
from v2l.release.checkpoint import load_release

from .conftest import CODE_DIM, HEADS, TOP_K, make_spec


def test_sizes_come_from_the_files(own_release: Path) -> None:
    tokenizer, codebook = load_release(
        own_release.with_suffix(".json"), own_release.with_suffix(".checkpoint.safetensors")
    )
    config = tokenizer.config
    assert (config.base_channels, config.channel_multipliers, config.z_channels) == (32, [1, 1, 2], 16)
    assert (config.code_dim, config.num_global, config.cross_attention_heads) == (CODE_DIM, TOP_K, HEADS)
    assert tokenizer.tok_embeddings.weight.shape == (50, 20)
    assert codebook.shape == (30, 20)


def test_tensors_that_the_specification_does_not_want_are_refused(own_release: Path) -> None:
    checkpoint = own_release.with_suffix(".checkpoint.safetensors")
    tensors = load_file(checkpoint)
    save_file(tensors | {"encoder.extra": torch.zeros(1)}, checkpoint)
    with pytest.raises(ArtifactError, match=r"own\.checkpoint\.safetensors: .*unexpected encoder\.extra"):
        load_release(own_release.with_suffix(".json"), checkpoint)
    del tensors["tok_embeddings_global.weight"]
    save_file(tensors, checkpoint)
    with pytest.raises(ArtifactError, match=r"expected tensor tok_embeddings_global\.weight, not found"):
        load_release(own_release.with_suffix(".json"), checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: spec.pop("top_k"), "expected key 'top_k', not found"),
        (lambda spec: spec["ddconfig"].pop("ch_mult"), "expected key 'ch_mult', not found"),
        (lambda spec: spec["ddconfig"].update(ch=0), r"own\.json: not a usable model specification"),
    ],
)
def test_specification_that_is_not_usable_is_named(own_release: Path, change, message: str) -> None:
    spec = make_spec()
    change(spec)
    own_release.with_suffix(".json").write_text(json.dumps(spec))
    with pytest.raises(ArtifactError, match=message):
        load_release(own_release.with_suffix(".json"), own_release.with_suffix(".checkpoint.safetensors"))
