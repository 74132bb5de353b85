"""Checkpoints in the release's key names, and the sizes that their tensors show."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from v2l.errors import ArtifactError
from v2l.models.weights import read_tensors
from v2l.release.readers import read_state_dict
from v2l.tokenizer.base import GLOBAL_WIDTH_NAME

LOCAL_CODEBOOK = "tok_embeddings.weight"
GLOBAL_CODEBOOK = "tok_embeddings_global.weight"
CROSS_ATTENTION_QUERY = "decoder.mid.cross_attn_1.to_q.weight"
# Losses and CLIP's image tower lie in training checkpoints too; they are no part of the tokenizer.
BESIDE = ("discriminator.", "perceptual_loss.", "global_encoder.")

Tensors = Mapping[str, Tensor]


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], Tensor]:
    """The tokenizer's tensors and the global codebook [G, d], all float32.

    path: safetensors, or a training checkpoint of the release (any other name), read without running code in it.
    Raises ArtifactError if it is unreadable, lacks a codebook, or the decoder attends to vectors of another width.
    """
    stored = read_tensors(path)[0] if path.suffix == ".safetensors" else read_state_dict(path)
    tensors = {name: tensor.float() for name, tensor in stored.items() if not name.startswith(BESIDE)}
    _shape(tensors, LOCAL_CODEBOOK, 2, path)
    width = _shape(tensors, GLOBAL_CODEBOOK, 2, path)[1]
    if GLOBAL_WIDTH_NAME in tensors and (attended := _shape(tensors, GLOBAL_WIDTH_NAME, 2, path)[1]) != width:
        raise ArtifactError(f"{path}: {GLOBAL_CODEBOOK}: expected width {attended} as in the decoder, found {width}")
    codebook = tensors.pop(GLOBAL_CODEBOOK)
    return tensors, codebook


def tensor_sizes(tensors: Tensors, origin: Path) -> dict[str, Any]:
    """What the tensors show of the tokenizer that they are the weights of, by the keys of ``V2LConfig``: all but the
    size of the pictures and the number of global tokens, 0 where the decoder attends to none.

    Raises ArtifactError for tensors that fit no tokenizer.
    """
    base, multipliers = _widths(tensors, origin)
    heads = _heads(tensors, origin)
    return {
        "base_channels": base,
        "channel_multipliers": multipliers,
        "num_res_blocks": len(_numbers(tensors, r"encoder\.down\.0\.block\.(\d+)\.")),
        "z_channels": _shape(tensors, "encoder.conv_out.weight", 4, origin)[0],
        "attention_levels": _attention_levels(tensors, origin),
        "code_dim": _shape(tensors, "quant_conv.weight", 4, origin)[0],
        "project_codes": "codebook_projection.weight" in tensors,
        **({"cross_attention_heads": heads} if heads else {"num_global": 0}),
    }


def _widths(tensors: Tensors, origin: Path) -> tuple[int, list[int]]:
    """Base width and the multiplier of every level."""
    base = _shape(tensors, "encoder.conv_in.weight", 4, origin)[0]
    multipliers = []
    for level in range(len(_numbers(tensors, r"encoder\.down\.(\d+)\."))):
        name = f"encoder.down.{level}.block.0.conv2.weight"
        width = _shape(tensors, name, 4, origin)[0]
        if base == 0 or width % base:
            raise ArtifactError(f"{origin}: {name}: expected a multiple of {base} channels, found {width}")
        multipliers.append(width // base)
    return base, multipliers


def _heads(tensors: Tensors, origin: Path) -> int:
    """Heads of the cross-attention, each as wide as the middle block; 0 where there is none."""
    if CROSS_ATTENTION_QUERY not in tensors:
        return 0
    rows, width = _shape(tensors, CROSS_ATTENTION_QUERY, 2, origin)
    if width == 0 or rows == 0 or rows % width:
        raise ArtifactError(f"{origin}: {CROSS_ATTENTION_QUERY}: expected heads of {width} rows, found {rows} rows")
    return rows // width


def _attention_levels(tensors: Tensors, origin: Path) -> list[int]:
    encoder = _numbers(tensors, r"encoder\.down\.(\d+)\.attn\.")
    decoder = _numbers(tensors, r"decoder\.up\.(\d+)\.attn\.")
    if encoder != decoder:
        raise ArtifactError(
            f"{origin}: expected attention at the same levels of both networks, "
            f"found {encoder or 'none'} of the encoder and {decoder or 'none'} of the decoder"
        )
    return encoder


def _numbers(tensors: Tensors, pattern: str) -> list[int]:
    """The distinct numbers in names that begin so, ascending."""
    return sorted({int(found[1]) for name in tensors if (found := re.match(pattern, name))})


def _shape(tensors: Tensors, name: str, num_dims: int, origin: Path) -> list[int]:
    """The shape of a tensor that sizes are read off. Raises ArtifactError."""
    if name not in tensors:
        raise ArtifactError(f"{origin}: expected tensor {name}, not found")
    if tensors[name].ndim != num_dims:
        raise ArtifactError(
            f"{origin}: {name}: expected {num_dims} dimensions, found shape {list(tensors[name].shape)}"
        )
    return list(tensors[name].shape)
