"""The Inception network of FID (Heusel et al. 2017), with the weights of its TensorFlow original."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import NoTrainInceptionV3

from v2l.errors import ArtifactError

FEATURES = "2048"  # the last pooling layer


class Inception(nn.Module):
    """Pictures [B, 3, H, W] in [0, 1] -> features [B, 2048] float32; rounded to 8 bits and resized, as FID wants."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network((pictures * 255).round().to(torch.uint8)).float()


def load_inception(weights: Path | None) -> Inception:
    """weights: a file as torch-fidelity publishes it; None: its download, or its cache.

    Raises ArtifactError if they cannot be read, fetched or do not fit.
    """
    if weights is not None and not weights.is_file():
        raise ArtifactError(f"{weights}: file not found; frechet.weights names Inception's weights")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Inception(
                NoTrainInceptionV3("inception-v3-compat", [FEATURES], None if weights is None else str(weights))
            )
    except Exception as error:  # a damaged file, other weights and a missing network each fail in their own way
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArtifactError(
            f"{weights or 'frechet.weights'}: no Inception weights that can be loaded ({line})"
        ) from None
