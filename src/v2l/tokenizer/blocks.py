"""Building blocks of the VQ-GAN encoder and decoder; parameter names are those of the released checkpoints."""

from itertools import zip_longest

import torch.nn.functional as F
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """In its weights' precision under autocast too: the CPU's bfloat16 kernel is far slower backwards."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(groups, channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class ResnetBlock(nn.Module):
    """Two 3x3 convolutions, each after GroupNorm and swish, around a shortcut. [B, in, h, w] -> [B, out, h, w]."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(in_channels, groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = GroupNorm(out_channels, groups)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv1(F.silu(self.norm1(x)))
        residual = self.conv2(F.silu(self.norm2(residual)))
        return self.nin_shortcut(x) + residual


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions, with residual. [B, c, h, w] -> [B, c, h, w]."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        query, key, value = (layer(normed).flatten(2).mT for layer in (self.q, self.k, self.v))  # [B, h*w, c]
        attended = F.scaled_dot_product_attention(query, key, value)
        return x + self.proj_out(attended.mT.unflatten(2, x.shape[2:]))


class CrossAttention(nn.Module):
    """Every position attends to the image's global tokens; head size = channels.

    residual: whether the input is added to the output. In paper and release it is not.
    """

    def __init__(self, channels: int, context_dim: int, heads: int, residual: bool) -> None:
        super().__init__()
        self.heads, self.residual = heads, residual
        self.to_q = nn.Linear(channels, heads * channels, bias=False)
        self.to_k = nn.Linear(context_dim, heads * channels, bias=False)
        self.to_v = nn.Linear(context_dim, heads * channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * channels, channels))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x: [B, c, h, w].   context: [B, Kg, context_dim].   Returns [B, c, h, w]."""
        query = self._split(self.to_q(x.flatten(2).mT))  # [B, heads, h*w, c]
        key, value = self._split(self.to_k(context)), self._split(self.to_v(context))  # [B, heads, Kg, c]
        attended = F.scaled_dot_product_attention(query, key, value)
        merged = self.to_out(attended.transpose(1, 2).flatten(2))  # [B, h*w, c]
        merged = merged.mT.unflatten(2, x.shape[2:])
        return x + merged if self.residual else merged

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Downsample(nn.Module):
    """Halves height and width: one zero row and column at the bottom and right, then a 3x3 convolution, stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles height and width: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Residual blocks at one resolution, with the change of resolution after them, if any.

    attention: one for each block, which follows it; or none.
    """

    def __init__(
        self,
        blocks: list[ResnetBlock],
        attention: list[AttnBlock],
        downsample: Downsample | None = None,
        upsample: Upsample | None = None,
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(blocks)
        self.attn = nn.ModuleList(attention)
        self.downsample = downsample
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        for block, attention in zip_longest(self.block, self.attn):
            x = block(x)
            x = x if attention is None else attention(x)
        for resize in (self.downsample, self.upsample):
            x = x if resize is None else resize(x)
        return x
