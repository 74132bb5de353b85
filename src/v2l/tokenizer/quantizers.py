"""Nearest codes, the local quantizer's losses and the global quantizer (paper, method section; PROTOCOL: tokenizer).

Searches run in fp32 on blocks of one fixed shape, whatever the batch, so the ids of a picture never depend on what
else is in its batch: a matrix product of another shape may differ in its last bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

POSITION_BLOCK = 256
CODE_BLOCK = 4096  # 256 x 4096 distances are 4 MB: they stay in a core's cache
GPU_BLOCKS = (2048, 16384)  # a GPU wants few large products
CODE_GROUP = 64


def _check(features: Tensor, codebook: Tensor) -> None:
    if features.shape[-1] != codebook.shape[-1]:
        raise ValueError(f"features are {features.shape[-1]}-dimensional, codes {codebook.shape[-1]}-dimensional")
    if len(codebook) == 0:
        raise ValueError("the codebook is empty")


def _position_blocks(features: Tensor, size: int = POSITION_BLOCK) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of exactly ``size`` rows, the last one padded with zeros, and where they come from."""
    for start in range(0, len(features), size):
        block = features[start : start + size]
        yield slice(start, start + len(block)), F.pad(block, (0, 0, 0, size - len(block)))


@torch.no_grad()
def nearest_codes(features: Tensor, codebook: Tensor) -> Tensor:
    """Index of the closest code, by squared distance, for every feature. Paper: method section, local quantizer.

    features: [..., d] float32.   codebook: [N, d] float32.
    Returns [...] int64 in 0..N-1; a tie goes to the lowest index. Distances of one block exist at a time.
    Raises ValueError if the two d differ or the codebook is empty.
    """
    _check(features, codebook)
    rows = features.reshape(-1, features.shape[-1])
    # |f - c|^2 = |f|^2 + 2 (|c|^2 / 2 - f.c); the first term is the same for all codes of a feature
    half_norms = codebook.square().sum(dim=1) / 2
    missing = -len(codebook) % CODE_GROUP
    codebook, half_norms = F.pad(codebook, (0, 0, 0, missing)), F.pad(half_norms, (0, missing), value=torch.inf)
    ids = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    num_positions, num_codes = GPU_BLOCKS if rows.device.type == "cuda" else (POSITION_BLOCK, CODE_BLOCK)
    for where, block in _position_blocks(rows, num_positions):
        best = torch.full((num_positions, 1), torch.inf, device=rows.device)
        best_ids = torch.zeros_like(best, dtype=torch.int64)
        for start in range(0, len(codebook), num_codes):
            part = slice(start, start + num_codes)
            nearest, index = _first_minimum(torch.addmm(half_norms[part], block, codebook[part].mT, alpha=-1))
            closer = nearest < best
            best = torch.where(closer, nearest, best)
            best_ids = torch.where(closer, index + start, best_ids)
        ids[where] = best_ids[: where.stop - where.start, 0]
    return ids.reshape(features.shape[:-1])


def _first_minimum(values: Tensor) -> tuple[Tensor, Tensor]:
    """The minimum of each row and its lowest index, both [P, 1]; values: [P, C], C a multiple of CODE_GROUP.

    Looks for the group of columns first: a minimum without an index is many times faster than one with it on a CPU.
    """
    groups = values.unflatten(1, (-1, CODE_GROUP))
    group = groups.amin(dim=2).argmin(dim=1, keepdim=True)
    members = groups.take_along_dim(group[:, :, None], dim=1)[:, 0]
    member = members.argmin(dim=1, keepdim=True)
    return members.gather(1, member), group * CODE_GROUP + member


@torch.no_grad()
def nearest_rows(features: Tensor, codebook: Tensor, count: int) -> Tensor:
    """The ``count`` closest rows, best first, by squared distance. Paper: method section, global quantizer.

    features: [B, d] float32, any length: they are scaled to unit length.   codebook: [G, d] float32.
    Returns [B, count] int64; among equal distances the lowest index comes first.
    Raises ValueError if the two d differ or the codebook has fewer than ``count`` rows.
    """
    _check(features, codebook)
    if len(codebook) < count:
        raise ValueError(f"{count} nearest rows are asked of a codebook of {len(codebook)}")
    half_norms = codebook.square().sum(dim=1) / 2
    ids = torch.empty(len(features), count, dtype=torch.int64, device=features.device)
    for where, block in _position_blocks(F.normalize(features, dim=1)):
        distances = torch.addmm(half_norms, block, codebook.mT, alpha=-1)
        for rank in range(count):  # repeated argmin, as topk does not say which of two ties comes first
            nearest = distances.argmin(dim=1, keepdim=True)
            distances.scatter_(1, nearest, torch.inf)
            ids[where, rank] = nearest[: where.stop - where.start, 0]
    return ids


def distinct_rows(codebook: Tensor) -> Tensor:
    """Index of the first of every group of identical rows, ascending. codebook: [N, d]; returns [U] int64.

    Tokens that differ only in spelling may share a row; searching the first of each makes the tie rule exact.
    """
    rows = np.ascontiguousarray(codebook.detach().cpu().numpy())
    _, first = np.unique(rows.view(np.dtype((np.void, rows[0].nbytes))).ravel(), return_index=True)
    return torch.from_numpy(np.sort(first)).to(codebook.device)


@dataclass(frozen=True)
class Quantized:
    """What the local quantizer returns: codes with a straight-through gradient, their ids, and its loss."""

    features: Tensor  # [B, d, h, w]
    ids: Tensor  # [B, h*w] int64, raster order
    loss: Tensor  # scalar


def straight_through(features: Tensor, codes: Tensor) -> Tensor:
    """The codes' values with the features' gradient: the quantizer is the identity to the backward pass."""
    return features + (codes - features).detach()


def quantizer_loss(features: Tensor, codes: Tensor, codebook_weight: float) -> Tensor:
    """mean (sg[zq] - z)^2 + codebook_weight * mean (zq - sg[z])^2; sg stops the gradient. Paper: L_VQ.

    The first term pulls the encoder to the codes, the second, which carries the weight, the projector to the features.
    """
    return F.mse_loss(features, codes.detach()) + codebook_weight * F.mse_loss(codes, features.detach())
