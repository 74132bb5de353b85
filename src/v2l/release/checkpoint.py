"""The authors' released checkpoints: a model specification (JSON) and tensors (safetensors) in their key names."""

from pathlib import Path

from torch import Tensor

from v2l.artifacts import read_json
from v2l.config.tokenizer import V2LConfig
from v2l.errors import ArtifactError
from v2l.models.weights import read_tensors
from v2l.tokenizer.model import LocalTokenizer

GLOBAL_CODEBOOK = "tok_embeddings_global.weight"
DISCRIMINATOR = "discriminator."  # in full training checkpoints; no part of the tokenizer
CROSS_ATTENTION_QUERY = "decoder.mid.cross_attn_1.to_q.weight"


def load_release(spec: Path, checkpoint: Path) -> tuple[LocalTokenizer, Tensor]:
    """The tokenizer and the global codebook [G, d] of a released checkpoint; sizes come from the two files.

    spec: JSON with ``ddconfig`` (ch, ch_mult, num_res_blocks, z_channels), ``top_k`` and ``image_size``.
    checkpoint: safetensors in the release's key names.
    Raises ArtifactError if either is unreadable, lacks a key, or the tensors do not fit.
    """
    tensors, _ = read_tensors(checkpoint)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(DISCRIMINATOR)}
    if GLOBAL_CODEBOOK not in tensors:
        raise ArtifactError(f"{checkpoint}: expected tensor {GLOBAL_CODEBOOK}, not found")
    global_codebook = tensors.pop(GLOBAL_CODEBOOK)
    return LocalTokenizer.from_tensors(_config(spec, checkpoint, tensors), tensors, checkpoint), global_codebook


def _config(spec: Path, checkpoint: Path, tensors: dict[str, Tensor]) -> V2LConfig:
    content = read_json(spec)
    try:
        sizes = content["ddconfig"]
        query = tensors.get(CROSS_ATTENTION_QUERY)
        return V2LConfig(
            image_size_px=content["image_size"],
            base_channels=sizes["ch"],
            channel_multipliers=sizes["ch_mult"],
            num_res_blocks=sizes["num_res_blocks"],
            z_channels=sizes["z_channels"],
            code_dim=tensors["quant_conv.weight"].shape[0],
            num_global=content["top_k"] if query is not None else 0,
            cross_attention_heads=query.shape[0] // query.shape[1] if query is not None else 1,
            project_codes="codebook_projection.weight" in tensors,
            unit_codes=False,
        )
    except KeyError as error:
        raise ArtifactError(f"{spec} with {checkpoint}: expected key {error}, not found") from None
    except ValueError as error:
        raise ArtifactError(f"{spec}: not a usable model specification ({' '.join(str(error).split())})") from None
