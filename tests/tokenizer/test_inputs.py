from pathlib import Path

import numpy as np
import pytest
import torch

from v2l.artifacts import write_arrays
from v2l.errors import ArtifactError
from v2l.tokenizer.inputs import read_image_features, read_local_embeddings, select_global_tokens


def test_local_codebook_is_the_order_1_part_in_token_order(tmp_path: Path) -> None:
    embeddings = np.arange(8, dtype=np.float32).reshape(4, 2)
    text_id = np.array([2, 0, 2, 1, 3, 3], dtype=np.int32)  # two tokens, then their bigrams, then their trigrams
    write_arrays(tmp_path / "e.safetensors", {"embeddings": embeddings, "text_id": text_id})
    assert read_local_embeddings(tmp_path / "e.safetensors").tolist() == [[4.0, 5.0], [0.0, 1.0]]


@pytest.mark.parametrize("count", [0, 4])
def test_candidates_that_are_not_three_a_token_are_refused(tmp_path: Path, count: int) -> None:
    arrays = {"embeddings": np.zeros((4, 2), np.float32), "text_id": np.zeros(count, np.int32)}
    write_arrays(tmp_path / "e.safetensors", arrays)
    with pytest.raises(ArtifactError, match=rf"e\.safetensors: text_id: expected three .* found {count} in all"):
        read_local_embeddings(tmp_path / "e.safetensors")


def test_features_must_match_the_manifest(tmp_path: Path) -> None:
    write_arrays(tmp_path / "f.safetensors", {"features": np.zeros((3, 2), np.float32)})
    assert read_image_features(tmp_path / "f.safetensors", 3).shape == (3, 2)
    with pytest.raises(ArtifactError, match=r"f\.safetensors: features: expected 4 rows, one per picture, found 3"):
        read_image_features(tmp_path / "f.safetensors", 4)


def test_global_tokens_are_the_nearest_rows_best_first() -> None:
    codebook = torch.eye(3)
    features = torch.tensor([[0.9, 0.1, 0.5], [0.0, 0.8, 0.1]])
    assert select_global_tokens(features, codebook, 2, Path("c")).tolist() == [[0, 2], [1, 2]]
    assert select_global_tokens(features, codebook, 0, Path("c")).shape == (2, 0)


@pytest.mark.parametrize("shape", [(4, 3), (9, 2)])
def test_global_codebook_that_does_not_fit_is_refused(shape: tuple[int, int]) -> None:
    message = rf"c\.safetensors: codebook: expected at least 5 rows of width 3, found {shape[0]} of width {shape[1]}"
    with pytest.raises(ArtifactError, match=message):
        select_global_tokens(torch.zeros(2, 3), torch.zeros(shape), 5, Path("c.safetensors"))
