"""What the tokenizer needs of earlier stages: the local codebook, image features and the global tokens they select."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2l.artifacts import read_arrays, read_rows
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


def read_global_vectors(image_ids: Sequence[str], tokens: Path, vectors: Path, count: int) -> Tensor | None:
    """Vectors [N, count, d] of the pictures' best global tokens; None where the decoder attends to none.

    Raises ArtifactError for a picture without tokens, or with fewer.
    """
    if not count:
        return None
    codebook = torch.from_numpy(read_arrays(vectors, ["codebook"])["codebook"])
    stored = read_rows(tokens, ["image_id", "global_ids"]).set_index("image_id")["global_ids"]
    for image_id in image_ids:
        found = len(stored[image_id]) if image_id in stored.index else 0
        if found < count:
            raise ArtifactError(f"{tokens}: expected {count} or more global ids of {image_id}, found {found}")
    ids = np.stack([stored[image_id][:count] for image_id in image_ids]).astype(np.int64)
    return codebook[torch.from_numpy(ids)]
