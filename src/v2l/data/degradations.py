"""Degraded pictures of the restoration tasks (paper, Table 4; docs/protocol.md)."""

from collections.abc import Sequence

import numpy as np
import torch
from torchvision.transforms.functional import gaussian_blur

GREY = 128  # what covers the part of a picture that is to be filled in


def covered(picture: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """A picture uint8 [H, W, 3] with a rectangle, in pixels, painted grey."""
    result = picture.copy()
    result[top : top + height, left : left + width] = GREY
    return result


def blurred(picture: np.ndarray, kernels: Sequence[int], generator: np.random.Generator) -> np.ndarray:
    """Gaussian blur with a kernel of one of these sides in pixels; its sigma is OpenCV's for that side."""
    side = int(generator.choice(kernels))
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)
    return gaussian_blur(pixels, [side, side]).permute(1, 2, 0).numpy()


def rotated(picture: np.ndarray) -> np.ndarray:
    """Turned by 90 degrees, counter-clockwise."""
    return np.ascontiguousarray(np.rot90(picture))


def larger_side(size_px: int, share: float) -> int:
    """Side of the picture that a shifted one is cut from; even distances from the centre crop to both borders."""
    return size_px + 2 * max(1, round(size_px * share / 2))


def centre_and_corner(large: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """The centre crop of a larger square picture and its bottom right crop, both uint8 [size_px, size_px, 3].

    The release displaces within the short side of a photograph. Pictures that are square leave no room for that, so
    both crops come from a larger rendering.
    """
    border = (len(large) - size_px) // 2
    centre = large[border : border + size_px, border : border + size_px]
    return np.ascontiguousarray(centre), np.ascontiguousarray(large[-size_px:, -size_px:])
