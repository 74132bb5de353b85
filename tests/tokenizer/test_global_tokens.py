"""Global tokens of any codebook against a sort of all distances."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_arrays, write_rows
from v2l.config.tokenizer import TokensConfig
from v2l.data.manifest import COLUMNS
from v2l.errors import ArtifactError
from v2l.tokenizer.global_tokens import global_tokens

NUM_PICTURES, DIM = 300, 6  # more than one block of pictures


@pytest.fixture
def select(tmp_path: Path, runtime):
    """Global ids [N, Kg] of unit features for a codebook [G, d]."""

    def select(features: np.ndarray, codebook: np.ndarray, num_global: int) -> np.ndarray:
        files = {name: tmp_path / name for name in ("manifest", "features", "global_vectors", "tokens")}
        images = [{**dict.fromkeys(COLUMNS, "x"), "image_id": f"s/{i}", "split": "train"} for i in range(NUM_PICTURES)]
        write_rows(files["manifest"], images)
        write_arrays(files["features"], {"features": features})
        write_arrays(files["global_vectors"], {"codebook": codebook})
        global_tokens(**files, config=TokensConfig(num_global=num_global), runtime=runtime)
        frame = pd.read_parquet(files["tokens"])
        assert frame.columns.tolist() == ["image_id", "global_ids"]
        assert frame["image_id"].tolist() == [f"s/{i}" for i in range(NUM_PICTURES)]
        return np.stack(frame["global_ids"])

    return select


def draw(num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit features of the pictures, and a codebook whose rows are not of unit length."""
    generator = np.random.default_rng(0)
    features, codebook = (generator.standard_normal((n, DIM), np.float32) for n in (NUM_PICTURES, num_rows))
    return features / np.linalg.norm(features, axis=1, keepdims=True), codebook


@pytest.mark.parametrize(("num_rows", "num_global"), [(40, 5), (40, 40), (21, 21), (5000, 21)])
def test_tokens_are_the_nearest_rows_best_first(select, num_rows: int, num_global: int) -> None:
    features, codebook = draw(num_rows)
    ids = select(features, codebook, num_global)
    distances = np.linalg.norm(features[:, None].astype(np.float64) - codebook[None], axis=2)
    assert np.array_equal(ids, distances.argsort(axis=1)[:, :num_global])


def test_of_equal_rows_the_lower_is_first(select) -> None:
    features, codebook = draw(16)
    once = select(features, codebook, 3)
    twice = select(features, np.concatenate([codebook, codebook]), 6)
    assert np.array_equal(twice, np.stack([once, once + 16], axis=2).reshape(NUM_PICTURES, 6))


def test_a_codebook_with_fewer_rows_than_tokens_is_refused(select, tmp_path: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"global_vectors: codebook: expected at least 21 rows of width 6, found 20"
    ):
        select(*draw(20), 21)
    assert not (tmp_path / "tokens").exists()
