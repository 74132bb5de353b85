"""The networks once more, written slowly from the description and a state dict alone: the oracle of the tests.

Runs in float64, so its own rounding plays no part.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def conv(state: State, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=stride, padding=padding)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    groups = x.reshape(batch, 32, -1)
    mean = groups.mean(dim=2, keepdim=True)
    variance = ((groups - mean) ** 2).mean(dim=2, keepdim=True)
    standard = ((groups - mean) / torch.sqrt(variance + 1e-6)).reshape(batch, channels, height, width)
    return standard * state[f"{name}.weight"][None, :, None, None] + state[f"{name}.bias"][None, :, None, None]


def swish(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def residual(state: State, name: str, x: Tensor) -> Tensor:
    h = conv(state, f"{name}.conv1", swish(norm(state, f"{name}.norm1", x)), padding=1)
    h = conv(state, f"{name}.conv2", swish(norm(state, f"{name}.norm2", h)), padding=1)
    shortcut = conv(state, f"{name}.nin_shortcut", x) if f"{name}.nin_shortcut.weight" in state else x
    return shortcut + h


def self_attention(state: State, name: str, x: Tensor) -> Tensor:
    h = norm(state, f"{name}.norm", x)
    query, key, value = (conv(state, f"{name}.{part}", h) for part in "qkv")
    out = torch.zeros_like(value)
    positions = [(row, column) for row in range(x.shape[2]) for column in range(x.shape[3])]
    for image in range(x.shape[0]):
        for row, column in positions:
            scores = torch.stack([query[image, :, row, column] @ key[image, :, r, c] for r, c in positions])
            weights = torch.exp(scores / math.sqrt(x.shape[1]))
            weights = weights / weights.sum()
            for weight, (r, c) in zip(weights, positions, strict=True):
                out[image, :, row, column] += weight * value[image, :, r, c]
    return x + conv(state, f"{name}.proj_out", out)


def attention_where_there_is_one(state: State, name: str, x: Tensor) -> Tensor:
    return self_attention(state, name, x) if f"{name}.q.weight" in state else x


def cross_attention(state: State, name: str, x: Tensor, context: Tensor, heads: int) -> Tensor:
    channels = x.shape[1]
    out = torch.empty_like(x)
    for image in range(x.shape[0]):
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                query = state[f"{name}.to_q.weight"] @ x[image, :, row, column]
                merged = []
                for head in range(heads):
                    part = slice(head * channels, (head + 1) * channels)
                    keys = [state[f"{name}.to_k.weight"][part] @ token for token in context[image]]
                    values = [state[f"{name}.to_v.weight"][part] @ token for token in context[image]]
                    weights = torch.stack([query[part] @ key for key in keys]) / math.sqrt(channels)
                    weights = weights.softmax(dim=0)
                    merged.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
                projected = state[f"{name}.to_out.0.weight"] @ torch.cat(merged)
                out[image, :, row, column] = projected + state[f"{name}.to_out.0.bias"]
    return out


def encode(state: State, x: Tensor, levels: int, blocks: int) -> Tensor:
    """x in [-1, 1] -> encoder output."""
    x = conv(state, "conv_in", x, padding=1)
    for level in range(levels):
        for block in range(blocks):
            x = residual(state, f"down.{level}.block.{block}", x)
            x = attention_where_there_is_one(state, f"down.{level}.attn.{block}", x)
        if level < levels - 1:
            rows = torch.cat([x, torch.zeros_like(x[:, :, :1])], dim=2)
            both = torch.cat([rows, torch.zeros_like(rows[:, :, :, :1])], dim=3)
            x = conv(state, f"down.{level}.downsample.conv", both, stride=2)
    x = residual(state, "mid.block_1", x)
    x = self_attention(state, "mid.attn_1", x)
    x = residual(state, "mid.block_2", x)
    return conv(state, "conv_out", swish(norm(state, "norm_out", x)), padding=1)


def decode(state: State, x: Tensor, context: Tensor | None, levels: int, blocks: int, heads: int) -> Tensor:
    """Decoder input -> picture around [-1, 1]; ``blocks`` as in the encoder, the decoder has one more."""
    x = conv(state, "conv_in", x, padding=1)
    x = residual(state, "mid.block_1", x)
    x = self_attention(state, "mid.attn_1", x)
    if context is not None:
        x = cross_attention(state, "mid.cross_attn_1", x, context, heads)
    x = residual(state, "mid.block_2", x)
    for level in range(levels - 1, -1, -1):
        for block in range(blocks + 1):
            x = residual(state, f"up.{level}.block.{block}", x)
            x = attention_where_there_is_one(state, f"up.{level}.attn.{block}", x)
        if level > 0:
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            x = conv(state, f"up.{level}.upsample.conv", x, padding=1)
    return conv(state, "conv_out", swish(norm(state, "norm_out", x)), padding=1)


def part(state: State, prefix: str) -> State:
    """The entries under a prefix, without it, in float64."""
    return {name.removeprefix(prefix): tensor.double() for name, tensor in state.items() if name.startswith(prefix)}
