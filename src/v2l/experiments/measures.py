"""How pictures decoded from tokens are measured, in every experiment alike (paper, Tables 3 and 4)."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from v2l.config.frechet import FrechetConfig
from v2l.metrics.images import psnr, ssim
from v2l.models.inception import load_inception
from v2l.models.perceptual import Lpips, Vgg16Features

PASS_PICTURES = 16  # always so many, the last ones repeated: another number may change the last bits of a measure
VGG16 = FrechetConfig()
MEASURED = ("psnr", "ssim", "lpips_vgg", "lpips_alex")


@dataclass(frozen=True)
class Measures:
    """The networks that pictures are measured with, all fp32."""

    lpips_vgg: Lpips
    lpips_alex: Lpips
    frechet: torch.nn.Module

    @classmethod
    def load(cls, networks: Path, device: torch.device, frechet: FrechetConfig = VGG16) -> "Measures":
        """Raises ArtifactError if weights are missing or do not fit."""
        net = load_inception(frechet.weights) if frechet.net == "inception" else Vgg16Features(networks)
        modules = Lpips(networks, "vgg"), Lpips(networks, "alex"), net
        return cls(*(module.to(device) for module in modules))

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> Tensor:
        """What the Fréchet distance compares, [B, d] float32, of pictures [B, 3, H, W] in [0, 1]."""
        return self.frechet(pictures)


@torch.inference_mode()
def measure(
    pictures: Tensor, reconstructions: Tensor, measures: Measures, psnr_channel: Literal["rgb", "luma"]
) -> pd.DataFrame:
    """One row a picture; both [B, 3, H, W] in [0, 1]. Columns psnr (dB), ssim, lpips_vgg, lpips_alex."""
    columns = {
        "psnr": psnr(reconstructions, pictures, psnr_channel),
        "ssim": ssim(reconstructions, pictures),
        "lpips_vgg": measures.lpips_vgg(reconstructions, pictures),
        "lpips_alex": measures.lpips_alex(reconstructions, pictures),
    }
    return pd.DataFrame({name: values.double().cpu().numpy() for name, values in columns.items()})


def filled_pass(indices: np.ndarray) -> np.ndarray:
    """At most PASS_PICTURES row numbers brought to that number by repeating the last."""
    return indices[np.minimum(np.arange(PASS_PICTURES), len(indices) - 1)]


def in_passes(function: Callable[..., Tensor], *stacks: Tensor) -> Tensor:
    """Applies a function of pictures to stacks [N, ...], always PASS_PICTURES at a time; returns [N, ...]."""
    parts = []
    for start in range(0, len(stacks[0]), PASS_PICTURES):
        rows = np.arange(start, min(start + PASS_PICTURES, len(stacks[0])))
        full = torch.from_numpy(filled_pass(rows)).to(stacks[0].device)
        parts.append(function(*(stack[full] for stack in stacks))[: len(rows)])
    return torch.cat(parts)


def measured_rows(
    clean: Tensor, decoded: Tensor, measures: Measures, psnr_channel: Literal["rgb", "luma"]
) -> pd.DataFrame:
    """As ``measure``, for any number of pictures [N, 3, H, W], in passes."""

    def columns(*pair: Tensor) -> Tensor:
        return torch.from_numpy(measure(*pair, measures, psnr_channel)[list(MEASURED)].to_numpy(copy=True))

    return pd.DataFrame(in_passes(columns, clean, decoded).numpy(), columns=list(MEASURED))


def picture_png(picture: Tensor) -> bytes:
    """A picture [3, H, W] in [0, 1] as PNG."""
    buffer = io.BytesIO()
    pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
