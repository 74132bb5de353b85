"""The VQ-GAN decoder with cross-attention to the global tokens (paper, section 3.3; PROTOCOL: tokenizer)."""

from collections.abc import Collection, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from v2l.tokenizer.blocks import AttnBlock, CrossAttention, GroupNorm, Level, ResnetBlock, Upsample


class MiddleBlock(nn.Module):
    """Residual block, self-attention, cross-attention where there are global tokens, residual block."""

    def __init__(self, channels: int, groups: int, cross_attention: CrossAttention | None) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, groups)
        self.attn_1 = AttnBlock(channels, groups)
        self.cross_attn_1 = cross_attention
        self.block_2 = ResnetBlock(channels, channels, groups)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        x = self.attn_1(self.block_1(x))
        if self.cross_attn_1 is not None:
            x = self.cross_attn_1(x, context)
        return self.block_2(x)


class Decoder(nn.Module):
    """Features [B, z_channels, h, w] and global vectors [B, Kg, context_dim] to pictures [B, 3, h*f, w*f], ~[-1, 1].

    context_dim: width of the global vectors; None makes a plain VQ-GAN decoder.   heads, residual: of the
    cross-attention.   attention_levels: as in the encoder.
    """

    def __init__(
        self,
        base_channels: int,
        multipliers: Sequence[int],
        num_res_blocks: int,
        z_channels: int,
        groups: int,
        context_dim: int | None,
        heads: int = 8,
        residual: bool = False,
        attention_levels: Collection[int] = (),
    ) -> None:
        super().__init__()
        widths = [base_channels * multiplier for multiplier in multipliers]
        before = widths[-1]
        self.conv_in = nn.Conv2d(z_channels, before, 3, padding=1)
        cross_attention = None if context_dim is None else CrossAttention(before, context_dim, heads, residual)
        self.mid = MiddleBlock(before, groups, cross_attention)
        levels = []
        for index, width in reversed(list(enumerate(widths))):
            blocks = [
                ResnetBlock(before if block == 0 else width, width, groups) for block in range(num_res_blocks + 1)
            ]
            attention = [AttnBlock(width, groups) for _ in blocks] if index in attention_levels else []
            levels.append(Level(blocks, attention, upsample=Upsample(width) if index > 0 else None))
            before = width
        self.up = nn.ModuleList(reversed(levels))  # level 0 has the highest resolution, as in the encoder
        self.norm_out = GroupNorm(before, groups)
        self.conv_out = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, features: Tensor, context: Tensor | None) -> Tensor:
        x = self.mid(self.conv_in(features), context)
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))
