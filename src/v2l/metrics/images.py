"""Distances between pictures, per picture: PSNR and SSIM with this suite's conventions (paper, Tables 3 and 4).

Pictures are float32 RGB [B, 3, H, W] in [0, 1]; clamp reconstructions first. LPIPS is `v2l.models.perceptual.Lpips`,
the Fréchet distance `v2l.metrics.frechet`.
"""

from typing import Literal

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601


def psnr(pictures: Tensor, references: Tensor, channel: Literal["rgb", "luma"]) -> Tensor:
    """Peak signal-to-noise ratio [B] in dB, infinite for equal pictures; over all three channels or the luma alone.

    The release measures luma; each picture has its own ratio, and a table's number is the mean of ratios.
    """
    if channel == "luma":
        pictures, references = _luma(pictures), _luma(references)
    return peak_signal_noise_ratio(pictures, references, data_range=1.0, reduction="none", dim=(1, 2, 3))


def _luma(pictures: Tensor) -> Tensor:
    return (pictures * pictures.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def ssim(pictures: Tensor, references: Tensor) -> Tensor:
    """Structural similarity [B] at most 1: RGB, 11 x 11 Gaussian window (sigma 1.5), mirrored border (Wang 2004)."""
    return structural_similarity_index_measure(pictures, references, data_range=1.0, reduction="none")
