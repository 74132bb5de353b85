"""Frozen ImageNet networks: VGG16 and AlexNet trunks, and the LPIPS distance on top of them.

The weights come from the fetched ``networks`` folder: torchvision's ``features.<i>`` names for the trunks, ``lin0`` to
``lin4`` for the LPIPS heads.
"""

import warnings
from pathlib import Path
from typing import Literal

import lpips
import torch
import torchvision
from torch import Tensor, nn

from v2l.models.weights import load_strictly, read_tensors

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

TrunkName = Literal["vgg16", "alexnet"]


def load_trunk(networks: Path, name: TrunkName) -> nn.Sequential:
    """The convolutional part of a torchvision network, frozen, in evaluation mode.

    networks: the ``manifest.json`` of the fetched networks; the weights lie beside it.
    The module maps pictures [B, 3, H, W], normalised with IMAGENET_MEAN and IMAGENET_STD, to feature maps
    [B, 512, H/32, W/32] (vgg16) or [B, 256, about H/32, W/32] (alexnet), float32.
    Raises ArtifactError if the weights are missing or do not fit.
    """
    path = networks.with_name(f"{name}.safetensors")
    tensors, _ = read_tensors(path)
    with torch.device("meta"):  # the classifier, most of the weights, is never made
        trunk = getattr(torchvision.models, name)(weights=None).features
    load_strictly(trunk, {key.removeprefix("features."): tensor for key, tensor in tensors.items()}, path)
    return trunk.eval().requires_grad_(False)


class Vgg16Features(nn.Module):
    """VGG16's last feature map, averaged over positions: pictures [B, 3, H, W] in [0, 1] -> [B, 512] float32."""

    def __init__(self, networks: Path) -> None:
        """Raises ArtifactError if the weights are missing or do not fit."""
        super().__init__()
        self.trunk = load_trunk(networks, "vgg16")

    def forward(self, pictures: Tensor) -> Tensor:
        mean, std = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return self.trunk((pictures - mean) / std).mean(dim=(2, 3))


class Lpips(nn.Module):
    """Learned perceptual distance, version 0.1 (Zhang et al. 2018), the paper's perceptual loss and LPIPS metric.

    networks: the ``manifest.json`` of the fetched networks.   net: the trunk, VGG16 or AlexNet.
    Frozen: gradients flow to the pictures only. Raises ArtifactError if the weights are missing or do not fit.
    """

    def __init__(self, networks: Path, net: Literal["vgg", "alex"]) -> None:
        super().__init__()
        trunk_path = networks.with_name({"vgg": "vgg16", "alex": "alexnet"}[net] + ".safetensors")
        heads_path = networks.with_name(f"lpips_{net}.safetensors")
        trunk, _ = read_tensors(trunk_path)
        heads, _ = read_tensors(heads_path)
        with torch.device("meta"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="torchvision")  # lpips uses its old argument names
            self.network = lpips.LPIPS(pretrained=False, net=net, pnet_rand=True, use_dropout=False, verbose=False)
        for slice_index in range(1, self.network.net.N_slices + 1):
            part = getattr(self.network.net, f"slice{slice_index}")
            found = {name: trunk[f"features.{name}"] for name in part.state_dict() if f"features.{name}" in trunk}
            load_strictly(part, found, trunk_path)
        for index, head in enumerate(self.network.lins):
            found = {"model.0.weight": heads[f"lin{index}"]} if f"lin{index}" in heads else {}
            load_strictly(head, found, heads_path)
        self.eval().requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distance of each pair of pictures.

        first, second: [B, 3, H, W] float RGB in [0, 1], H and W at least 32 (the trunks' smallest picture).
        Returns [B], 0 for equal pictures.
        """
        return self.network(first, second, normalize=True).flatten()
