"""Checkpoints in the release's key names show their own sizes; what fits no tokenizer is refused in one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from v2l.errors import ArtifactError
from v2l.release.checkpoint import read_checkpoint, tensor_sizes

from .conftest import BESIDE, Model, make_checkpoint

MODEL = Model(ch_mult=(1, 2, 2), num_res_blocks=2, attention=(1, 2), heads=4)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_tensors_are_read_from_either_format_without_what_lies_beside_them(tmp_path: Path, suffix: str) -> None:
    path, stored = tmp_path / f"checkpoint.{suffix}", make_checkpoint(MODEL)
    if suffix == "pth":
        torch.save({"model": {f"module.{name}": tensor.half() for name, tensor in stored.items()}, "epoch": 3}, path)
        stored = {name: tensor.half().float() for name, tensor in stored.items()}
    else:
        save_file(stored, path)
    tensors, codebook = read_checkpoint(path)
    assert tensors.keys() == stored.keys() - BESIDE.keys() - {"tok_embeddings_global.weight"}
    assert all(torch.equal(tensor, stored[name]) for name, tensor in tensors.items())
    assert torch.equal(codebook, stored["tok_embeddings_global.weight"])
    assert {tensor.dtype for tensor in [*tensors.values(), codebook]} == {torch.float32}


def test_sizes_are_read_off_the_tensors() -> None:
    assert tensor_sizes(make_checkpoint(MODEL), Path("c")) == {
        "base_channels": 32,
        "channel_multipliers": [1, 2, 2],
        "num_res_blocks": 2,
        "z_channels": 16,
        "attention_levels": [1, 2],
        "code_dim": 24,
        "project_codes": True,
        "cross_attention_heads": 4,
    }
    plain = tensor_sizes(make_checkpoint(Model(cross_attention=False, project=False, code_dim=20)), Path("c"))
    assert plain["num_global"] == 0
    assert not plain["project_codes"]
    assert "cross_attention_heads" not in plain


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("tok_embeddings_global.weight", None, r"expected tensor tok_embeddings_global\.weight, not found"),
        ("tok_embeddings.weight", (50,), r"tok_embeddings\.weight: expected 2 dimensions, found shape \[50\]"),
        ("tok_embeddings_global.weight", (30, 21), r"\S+: expected width 20 as in the decoder, found 21"),
        ("encoder.conv_in.weight", None, r"expected tensor encoder\.conv_in\.weight, not found"),
        ("encoder.down.1.block.0.conv2.weight", None, r"expected tensor encoder\.down\.1\.block\.0\.conv2\.weight"),
        ("encoder.down.1.block.0.conv2.weight", (40, 40, 3, 3), r"\S+: expected a multiple of 32 channels, found 40"),
        ("encoder.conv_in.weight", (0, 3, 3, 3), r"\S+: expected a multiple of 0 channels, found 32"),
        ("quant_conv.weight", (24, 16), r"quant_conv\.weight: expected 4 dimensions, found shape \[24, 16\]"),
        ("decoder.mid.cross_attn_1.to_q.weight", (100, 64), r"\S+: expected heads of 64 rows, found 100 rows"),
        (
            "encoder.down.2.attn.0.q.weight",
            (64, 64, 1, 1),
            r"expected attention at the same levels of both networks, found \[2\] of the encoder and none of the dec",
        ),
    ],
)
def test_tensors_that_fit_no_tokenizer_are_named(tmp_path: Path, name: str, shape, message: str) -> None:
    path, tensors = tmp_path / "own.safetensors", make_checkpoint(Model())
    tensors.pop(name, None)
    save_file(tensors | ({} if shape is None else {name: torch.zeros(shape)}), path)
    with pytest.raises(ArtifactError, match=rf"/own\.safetensors: {message}") as raised:
        tensor_sizes(read_checkpoint(path)[0], path)
    assert "\n" not in str(raised.value)
