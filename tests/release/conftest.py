"""Small checkpoints in the release's key names, with what the slow reference makes of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ..tokenizer import reference

BESIDE = {
    "discriminator.main.0.weight": (8, 3, 4, 4),
    "discriminator.main.3.num_batches_tracked": (),
    "perceptual_loss.net.slice1.0.weight": (4, 3, 3, 3),
    "global_encoder.class_embedding": (20,),
}


@dataclass(frozen=True)
class Model:
    """What a specification can describe. attention: the levels that have it, as the release places it."""

    ch: int = 32
    ch_mult: tuple[int, ...] = (1, 1, 2)
    num_res_blocks: int = 1
    z_channels: int = 16
    code_dim: int = 24
    source_dim: int = 20
    global_dim: int = 20
    heads: int = 8
    local_vocab: int = 50
    global_vocab: int = 30
    top_k: int = 4
    image_size: int = 16
    resolution: int = 256
    attn_resolutions: tuple[int, ...] = (16,)
    attention: tuple[int, ...] = ()
    cross_attention: bool = True
    project: bool = True
    unit_features: bool = True

    def spec(self) -> dict:
        names = ("ch", "ch_mult", "num_res_blocks", "z_channels", "resolution", "attn_resolutions")
        fixed = {"double_z": False, "in_channels": 3, "out_ch": 3, "dropout": 0.0}
        ddconfig = {name: getattr(self, name) for name in names} | fixed
        return {"ddconfig": ddconfig, "top_k": self.top_k, "image_size": self.image_size}


def make_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """The release's key names, written out here and nowhere derived from the model under test."""
    shapes: dict[str, tuple[int, ...]] = {}
    widths = [model.ch * multiplier for multiplier in model.ch_mult]
    top, last = widths[-1], len(widths) - 1

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

    def attention(name: str, width: int) -> None:
        norm(f"{name}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.{part}", width, width, 1)

    def level(name: str, index: int, before: int, num_blocks: int) -> None:
        for block in range(num_blocks):
            resnet(f"{name}.{index}.block.{block}", before if block == 0 else widths[index], widths[index])
            if index in model.attention:
                attention(f"{name}.{index}.attn.{block}", widths[index])

    conv("encoder.conv_in", 3, model.ch, 3)
    for index, width in enumerate(widths):
        level("encoder.down", index, widths[index - 1] if index else model.ch, model.num_res_blocks)
        if index < last:
            conv(f"encoder.down.{index}.downsample.conv", width, width, 3)
        level("decoder.up", index, widths[min(index + 1, last)], model.num_res_blocks + 1)
        if index > 0:
            conv(f"decoder.up.{index}.upsample.conv", width, width, 3)
    for side in ("encoder", "decoder"):
        resnet(f"{side}.mid.block_1", top, top)
        attention(f"{side}.mid.attn_1", top)
        resnet(f"{side}.mid.block_2", top, top)
    norm("encoder.norm_out", top)
    conv("encoder.conv_out", top, model.z_channels, 3)
    conv("decoder.conv_in", model.z_channels, top, 3)
    norm("decoder.norm_out", widths[0])
    conv("decoder.conv_out", widths[0], 3, 3)
    conv("quant_conv", model.z_channels, model.code_dim, 1)
    conv("post_quant_conv", model.code_dim, model.z_channels, 1)
    if model.cross_attention:
        cross, inner = "decoder.mid.cross_attn_1", model.heads * top
        shapes |= {f"{cross}.to_q.weight": (inner, top), f"{cross}.to_out.0.weight": (top, inner)}
        shapes |= {f"{cross}.to_{part}.weight": (inner, model.global_dim) for part in "kv"}
        shapes |= {f"{cross}.to_out.0.bias": (top,)}
    if model.project:
        shapes |= {"codebook_projection.weight": (model.code_dim, model.source_dim)}
        shapes |= {"codebook_projection.bias": (model.code_dim,)}
    shapes |= {"tok_embeddings.weight": (model.local_vocab, model.source_dim)}
    shapes |= {"tok_embeddings_global.weight": (model.global_vocab, model.global_dim)}
    return shapes | BESIDE


def make_checkpoint(model: Model) -> dict[str, torch.Tensor]:
    """Random tensors, of a size that keeps activations near 1."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in make_shapes(model).items():
        fan_in = max(1, int(torch.Size(shape[1:]).numel()))
        tensors[name] = torch.randn(shape, generator=generator) / fan_in**0.5
    return tensors


def run_reference(model: Model, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inputs and, by the slow reference in float64, outputs."""
    double, levels = reference.part(state, ""), len(model.ch_mult)
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, model.image_size, model.image_size, generator=generator) * 2 - 1
    clip = torch.randn(2, model.global_dim, generator=generator)
    features = reference.encode(reference.part(state, "encoder."), image.double(), levels, model.num_res_blocks)
    features = reference.conv(double, "quant_conv", features)
    if model.unit_features:
        features = features / features.norm(dim=1, keepdim=True)
    codes = double["tok_embeddings.weight"]
    if model.project:
        codes = codes @ double["codebook_projection.weight"].T + double["codebook_projection.bias"]
    local_ids = torch.cdist(features.flatten(2).mT, codes[None]).argmin(dim=2)
    quantized = codes[local_ids].mT.reshape(features.shape)
    book = double["tok_embeddings_global.weight"]
    global_ids = torch.cdist(F.normalize(clip.double(), dim=1), book).argsort(dim=1)[:, : model.top_k]
    decoder_input = reference.conv(double, "post_quant_conv", quantized)
    context = book[global_ids] if model.cross_attention else None
    decoder = reference.part(state, "decoder.")
    pictures = reference.decode(decoder, decoder_input, context, levels, model.num_res_blocks, model.heads)
    expected = {"image": image, "clip_feature": clip, "encoder_feature": features.float(), "local_ids": local_ids}
    expected |= {"global_ids": global_ids, "reconstruction": pictures.float()}
    expected["quantizer_loss"] = (1.33 * F.mse_loss(quantized, features)).float()[None]
    return expected


@pytest.fixture
def write_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Writes specification and checkpoint of a model and returns the stem of their names."""

    def write(**changes) -> Path:
        stem, model = tmp_path / "own", replace(Model(), **changes)
        stem.with_suffix(".json").write_text(json.dumps(model.spec()))
        save_file(make_checkpoint(model), stem.with_suffix(".checkpoint.safetensors"))
        return stem

    return write


@pytest.fixture
def write_release(write_checkpoint) -> Callable[..., Path]:
    """As ``write_checkpoint``, with inputs and expected outputs."""

    def write(**changes) -> Path:
        stem, model = write_checkpoint(**changes), replace(Model(), **changes)
        expected = run_reference(model, make_checkpoint(model))
        save_file({k: v.contiguous() for k, v in expected.items()}, stem.with_suffix(".expected.safetensors"))
        return stem

    return write


@pytest.fixture
def own_release(write_release) -> Path:
    return write_release()
