"""The model specification (JSON) beside a checkpoint, which must describe what the tensors are.

``ddconfig``: the arguments of the release's Encoder and Decoder.   ``image_size``.   ``top_k``: global tokens of a
picture, where the decoder attends to them.   It may also have ``local_vocab``, ``global_vocab`` and ``embed_dim``,
which must be those of the tensors, and ``unit_features``: whether features are scaled to unit length before they are
quantized. The release does that where ``embed_dim`` is 768, as wide as its CLIP.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from v2l.artifacts import read_json
from v2l.config.tokenizer import V2LConfig
from v2l.errors import ArtifactError
from v2l.release.checkpoint import LOCAL_CODEBOOK, read_checkpoint, tensor_sizes
from v2l.tokenizer.model import LocalTokenizer

CLIP_WIDTH = 768
# Arguments of the release's networks that have one value here.
FIXED = {"double_z": False, "in_channels": 3, "out_ch": 3, "resamp_with_conv": True, "give_pre_end": False}
SIZES = {"ch": "base_channels", "ch_mult": "channel_multipliers"}  # by the names here
SIZES |= {name: name for name in ("num_res_blocks", "z_channels")}


def load_release(spec: Path, checkpoint: Path, unit_features: bool = True) -> tuple[LocalTokenizer, Tensor]:
    """The tokenizer and the global codebook [G, d] of a released checkpoint.

    unit_features: decides where the specification does not and the embedding width is not 768.
    Raises ArtifactError if a file is unreadable or lacks a key, or if the two do not describe one model.
    """
    content = read_json(spec)
    ddconfig = content.get("ddconfig") if isinstance(content, dict) else None
    if not isinstance(ddconfig, dict):
        raise ArtifactError(f"{spec}: expected key ddconfig with the networks' arguments, not found")
    for key, only in FIXED.items():
        if ddconfig.get(key, only) != only:
            raise _fault(spec, f"ddconfig.{key}", f"{json.dumps(only)}, no other is supported", ddconfig[key])
    tensors, codebook = read_checkpoint(checkpoint)
    sizes = tensor_sizes(tensors, checkpoint)
    _compare(spec, checkpoint, ddconfig, {key: sizes[name] for key, name in SIZES.items()}, "ddconfig.")
    _compare_attention(spec, checkpoint, ddconfig, sizes["attention_levels"], len(sizes["channel_multipliers"]))
    vocabularies = {"local_vocab": len(tensors[LOCAL_CODEBOOK]), "global_vocab": len(codebook)}
    optional = {"embed_dim": sizes["code_dim"], **vocabularies}
    _compare(spec, checkpoint, content, {key: size for key, size in optional.items() if key in content})
    given = {"image_size_px": _number(spec, content, "image_size", 2 ** (len(sizes["channel_multipliers"]) - 1))}
    if "num_global" not in sizes:
        given["num_global"] = _number(spec, content, "top_k")
    given["unit_features"] = _unit_features(spec, content, unit_features or sizes["code_dim"] == CLIP_WIDTH)
    try:
        config = V2LConfig(**sizes, **given)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ArtifactError(f"{spec} with {checkpoint}: {reason}") from None
    return LocalTokenizer.from_tensors(config, tensors, checkpoint), codebook


def _fault(spec: Path, key: str, expected: str, found: Any) -> ArtifactError:
    return ArtifactError(f"{spec}: {key}: expected {expected}, found {json.dumps(found)}")


def _compare(spec: Path, checkpoint: Path, content: dict, wanted: dict[str, Any], prefix: str = "") -> None:
    for key, value in wanted.items():
        if key not in content:
            raise ArtifactError(f"{spec}: expected key {prefix}{key}, not found")
        if content[key] != value:
            raise _fault(spec, f"{prefix}{key}", f"{json.dumps(value)} as in {checkpoint}", content[key])


def _compare_attention(spec: Path, checkpoint: Path, ddconfig: dict, levels: list[int], num_levels: int) -> None:
    """The release puts attention where a level's nominal resolution, whatever the pictures' size, is among some."""
    if "attn_resolutions" not in ddconfig:
        return
    wanted = ddconfig["attn_resolutions"]
    if not isinstance(wanted, list):
        raise _fault(spec, "ddconfig.attn_resolutions", "a list", wanted)
    resolution = _number(spec, ddconfig, "resolution", 1, "ddconfig.") if wanted else 0
    last = num_levels - 1
    encoder = [level for level in range(num_levels) if resolution // 2**level in wanted]
    # counted from the lowest up, so another list where the resolution cannot be halved that often
    decoder = [level for level in range(num_levels) if (resolution >> last) << (last - level) in wanted]
    if encoder != decoder:
        raise _fault(spec, "ddconfig.resolution", f"a multiple of {2**last}, 2^(levels - 1)", resolution)
    if encoder != levels:
        raise ArtifactError(
            f"{spec}: ddconfig.attn_resolutions {json.dumps(wanted)} of resolution {resolution}: expected attention at "
            f"levels {levels} as in {checkpoint}, found {encoder}"
        )


def _number(spec: Path, content: dict, key: str, factor: int = 1, prefix: str = "") -> int:
    """A whole number above 0. Raises ArtifactError, also where it is no multiple of ``factor``, 2^(levels - 1)."""
    if key not in content:
        raise ArtifactError(f"{spec}: expected key {prefix}{key}, not found")
    value = content[key]
    if type(value) is not int or value < 1 or value % factor:
        expected = "a whole number above 0" if factor == 1 else f"a multiple of {factor}, 2^(levels - 1)"
        raise _fault(spec, f"{prefix}{key}", expected, value)
    return value


def _unit_features(spec: Path, content: dict, default: bool) -> bool:
    value = content.get("unit_features", default)
    if not isinstance(value, bool):
        raise _fault(spec, "unit_features", "true or false", value)
    return value
