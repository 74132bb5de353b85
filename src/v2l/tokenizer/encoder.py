"""The VQ-GAN encoder (paper, section 4.1; PROTOCOL: tokenizer)."""

from collections.abc import Collection, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from v2l.tokenizer.blocks import AttnBlock, Downsample, GroupNorm, Level, ResnetBlock


class Encoder(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1] to features [B, z_channels, H/f, W/f], f = 2^(levels - 1).

    attention_levels: those with self-attention after every residual block; level 0 has the highest resolution.
    """

    def __init__(
        self,
        base_channels: int,
        multipliers: Sequence[int],
        num_res_blocks: int,
        z_channels: int,
        groups: int,
        attention_levels: Collection[int] = (),
    ) -> None:
        super().__init__()
        widths = [base_channels * multiplier for multiplier in multipliers]
        self.conv_in = nn.Conv2d(3, base_channels, 3, padding=1)
        self.down = nn.ModuleList()
        before = base_channels
        for index, width in enumerate(widths):
            blocks = [ResnetBlock(before if block == 0 else width, width, groups) for block in range(num_res_blocks)]
            attention = [AttnBlock(width, groups) for _ in blocks] if index in attention_levels else []
            self.down.append(
                Level(blocks, attention, downsample=Downsample(width) if index < len(widths) - 1 else None)
            )
            before = width
        self.mid = nn.ModuleDict(
            {
                "block_1": ResnetBlock(before, before, groups),
                "attn_1": AttnBlock(before, groups),
                "block_2": ResnetBlock(before, before, groups),
            }
        )
        self.norm_out = GroupNorm(before, groups)
        self.conv_out = nn.Conv2d(before, z_channels, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.conv_in(pictures)
        for level in self.down:
            x = level(x)
        for block in self.mid.values():
            x = block(x)
        return self.conv_out(F.silu(self.norm_out(x)))
