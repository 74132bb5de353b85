"""What the tokenizer needs of earlier stages: the local codebook, image features and the global tokens they select."""

from pathlib import Path

import torch
from torch import Tensor

from v2l.artifacts import read_arrays
from v2l.errors import ArtifactError
from v2l.tokenizer.quantizers import nearest_rows


def read_local_embeddings(path: Path) -> Tensor:
    """The frozen local codebook [V, d]: the embedding of every order-1 candidate, row = token id of the LLM.

    Raises ArtifactError if the file does not hold one row for each of the three orders of every token.
    """
    arrays = read_arrays(path, ["embeddings", "text_id"])
    num_candidates = len(arrays["text_id"])
    if num_candidates == 0 or num_candidates % 3:
        raise ArtifactError(f"{path}: text_id: expected three candidates per token, found {num_candidates} in all")
    return torch.from_numpy(arrays["embeddings"][arrays["text_id"][: num_candidates // 3]])


def select_global_tokens(features: Tensor, codebook: Tensor, count: int, origin: Path) -> Tensor:
    """The ``count`` nearest rows [N, count] of the global codebook [G, d] for image features [N, d], best first.

    Raises ArtifactError naming ``origin`` if the codebook is too small or of another width.
    """
    if count == 0:
        return torch.empty(len(features), 0, dtype=torch.int64)
    if len(codebook) < count or codebook.shape[1] != features.shape[1]:
        raise ArtifactError(
            f"{origin}: codebook: expected at least {count} rows of width {features.shape[1]}, "
            f"found {len(codebook)} of width {codebook.shape[1]}"
        )
    return nearest_rows(features, codebook, count)


def read_image_features(path: Path, num_pictures: int) -> Tensor:
    """Unit CLIP features [N, d] in manifest order. Raises ArtifactError if there is not one row per picture."""
    features = torch.from_numpy(read_arrays(path, ["features"])["features"])
    if len(features) != num_pictures:
        raise ArtifactError(f"{path}: features: expected {num_pictures} rows, one per picture, found {len(features)}")
    return features
