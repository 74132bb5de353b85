"""A small checkpoint in the release's key names, with what the slow reference makes of it."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ..tokenizer import reference

CHANNELS, LEVELS, BLOCKS, HEADS, CODE_DIM, TOP_K = 32, 3, 1, 8, 24, 4


def make_spec() -> dict:
    sizes = {"ch": CHANNELS, "ch_mult": [1, 1, 2], "num_res_blocks": BLOCKS, "z_channels": 16, "resolution": 256}
    return {"ddconfig": sizes, "top_k": TOP_K, "image_size": 16}


def make_checkpoint() -> dict[str, torch.Tensor]:
    """Random tensors under the release's key names, which are written out here and nowhere derived from the model."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, before: int, after: int, size: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (after, before, size, size), (after,)

    def norm(name: str, width: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (width,), (width,)

    def resnet(name: str, before: int, after: int) -> None:
        norm(f"{name}.norm1", before)
        conv(f"{name}.conv1", before, after, 3)
        norm(f"{name}.norm2", after)
        conv(f"{name}.conv2", after, after, 3)
        if before != after:
            conv(f"{name}.nin_shortcut", before, after, 1)

    def middle(name: str) -> None:
        for block in ("block_1", "block_2"):
            resnet(f"{name}.{block}", 64, 64)
        norm(f"{name}.attn_1.norm", 64)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.attn_1.{part}", 64, 64, 1)

    conv("encoder.conv_in", 3, 32, 3)
    for level, (before, after) in enumerate([(32, 32), (32, 32), (32, 64)]):
        resnet(f"encoder.down.{level}.block.0", before, after)
    conv("encoder.down.0.downsample.conv", 32, 32, 3)
    conv("encoder.down.1.downsample.conv", 32, 32, 3)
    middle("encoder.mid")
    norm("encoder.norm_out", 64)
    conv("encoder.conv_out", 64, 16, 3)
    conv("decoder.conv_in", 16, 64, 3)
    middle("decoder.mid")
    for level, (before, after) in enumerate([(32, 32), (64, 32), (64, 64)]):
        resnet(f"decoder.up.{level}.block.0", before, after)
        resnet(f"decoder.up.{level}.block.1", after, after)
    conv("decoder.up.1.upsample.conv", 32, 32, 3)
    conv("decoder.up.2.upsample.conv", 64, 64, 3)
    norm("decoder.norm_out", 32)
    conv("decoder.conv_out", 32, 3, 3)
    conv("quant_conv", 16, CODE_DIM, 1)
    conv("post_quant_conv", CODE_DIM, 16, 1)
    cross = "decoder.mid.cross_attn_1"
    shapes |= {f"{cross}.to_q.weight": (HEADS * 64, 64), f"{cross}.to_out.0.weight": (64, HEADS * 64)}
    shapes |= {f"{cross}.to_{part}.weight": (HEADS * 64, 20) for part in "kv"} | {f"{cross}.to_out.0.bias": (64,)}
    shapes |= {"codebook_projection.weight": (CODE_DIM, 20), "codebook_projection.bias": (CODE_DIM,)}
    shapes |= {"tok_embeddings.weight": (50, 20), "tok_embeddings_global.weight": (30, 20)}
    shapes |= {"discriminator.main.0.weight": (8, 3, 4, 4), "discriminator.main.3.num_batches_tracked": ()}
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in shapes.items():
        fan_in = max(1, int(torch.Size(shape[1:]).numel()))
        tensors[name] = torch.randn(shape, generator=generator) / fan_in**0.5
    return tensors


@pytest.fixture
def own_release(tmp_path: Path) -> Path:
    """Spec, checkpoint and expected outputs, by the slow reference in float64."""
    stem = tmp_path / "own"
    state = make_checkpoint()
    stem.with_suffix(".json").write_text(json.dumps(make_spec()))
    save_file(state, stem.with_suffix(".checkpoint.safetensors"))
    double = reference.part(state, "")
    image, clip = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 20)
    features = reference.encode(reference.part(state, "encoder."), image.double(), LEVELS, BLOCKS)
    features = reference.conv(double, "quant_conv", features)
    features = features / features.norm(dim=1, keepdim=True)
    codes = (
        double["tok_embeddings.weight"] @ double["codebook_projection.weight"].T + double["codebook_projection.bias"]
    )
    local_ids = torch.cdist(features.flatten(2).mT, codes[None]).argmin(dim=2)
    quantized = codes[local_ids].mT.reshape(features.shape)
    book = double["tok_embeddings_global.weight"]
    global_ids = torch.cdist(F.normalize(clip.double(), dim=1), book).argsort(dim=1)[:, :TOP_K]
    decoder_input = reference.conv(double, "post_quant_conv", quantized)
    decoder = reference.part(state, "decoder.")
    pictures = reference.decode(decoder, decoder_input, book[global_ids], LEVELS, BLOCKS, HEADS)
    expected = {"image": image, "clip_feature": clip, "encoder_feature": features.float(), "local_ids": local_ids}
    expected |= {"global_ids": global_ids, "reconstruction": pictures.float()}
    expected["quantizer_loss"] = (1.33 * F.mse_loss(quantized, features)).float()[None]
    save_file({k: v.contiguous() for k, v in expected.items()}, stem.with_suffix(".expected.safetensors"))
    return stem
