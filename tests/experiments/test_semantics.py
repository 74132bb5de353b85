from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from v2l.artifacts import read_rows, write_arrays, write_rows
from v2l.config.semantics import SemanticsConfig
from v2l.config.vocab import FilterConfig
from v2l.errors import DataError
from v2l.experiments.semantics import CODEBOOKS, score_tokens, semantics, similarity_range
from v2l.vocab.filter import load_candidates

PICTURES, TRAINING, TEXTS, DIM = 30, 20, 45, 6


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(PICTURES, DIM)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    numbers = np.arange(TEXTS, dtype=np.int32)
    files = {name: tmp_path / name for name in ("manifest", "features", "candidates", "embeddings")}
    write_arrays(files["features"], {"features": features})
    write_rows(
        files["candidates"],
        pd.DataFrame({"ngram_id": numbers, "order": np.repeat([1, 2, 3], 15), "text": [f"t{n}" for n in numbers]}),
    )
    vectors = generator.normal(size=(TEXTS, DIM)).astype(np.float32)  # not of unit length, as a mean over templates
    write_arrays(files["embeddings"], {"embeddings": vectors, "text_id": numbers, "eligible": numbers})
    write_rows(
        files["manifest"],
        pd.DataFrame(
            {
                "image_id": [f"s/{i}" for i in range(PICTURES)], "path": "p", "class_id": 0, "class_name": "c",
                "split": ["train"] * TRAINING + ["heldout"] * (PICTURES - TRAINING), "captions": [["c"]] * PICTURES,
                "source": "s", "family": "f", "group": "g", "subgroup": "u", "sha256": "0",
            }
        ),
    )  # fmt: skip
    return {**files, "vectors": vectors, "unit": features}


def slow_rows(inputs, orders: tuple[int, ...], min_count: int, num_global: int) -> dict[str, tuple[float, float]]:
    """The definition, image by image and candidate by candidate, in float64."""
    vectors, features = inputs["vectors"].astype(np.float64), inputs["unit"].astype(np.float64)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    allowed = [n for n in range(TEXTS) if n // 15 + 1 in orders]
    counts = dict.fromkeys(allowed, 0)
    for feature in features[:TRAINING]:
        for number in sorted(allowed, key=lambda n: -(feature @ directions[n]))[:5]:
            counts[number] += 1
    kept = [n for n in allowed if counts[n] > min_count]
    result = {}
    for index in range(TRAINING, PICTURES):
        nearest = sorted(kept, key=lambda n: ((features[index] - vectors[n]) ** 2).sum())[:num_global]
        everything = directions @ features[index]
        cosines = np.array([everything[n] for n in nearest])
        relative = (cosines - everything.min()) / (everything.max() - everything.min())
        result[f"s/{index}"] = (cosines.mean(), relative.mean())
    return result


def test_rows_equal_the_definition_for_every_codebook_and_kg(inputs, runtime, tmp_path: Path) -> None:
    files = {name: inputs[name] for name in ("manifest", "features", "candidates", "embeddings")}
    config = SemanticsConfig(num_global=[1, 3])
    semantics(**files, rows=tmp_path / "rows", config=config, filter_config=FilterConfig(min_count=2), runtime=runtime)
    frame = read_rows(tmp_path / "rows", ["image_id", "codebook", "num_global", "clip", "clip_r", "codebook_size"])
    assert len(frame) == 3 * 2 * (PICTURES - TRAINING)
    for row in frame.itertuples():
        clip, clip_r = slow_rows(inputs, CODEBOOKS[row.codebook], 2, row.num_global)[row.image_id]
        assert row.clip == pytest.approx(clip, abs=1e-5)  # float32 sums of six products
        assert row.clip_r == pytest.approx(clip_r, abs=1e-5)


def test_best_and_worst_candidate_are_one_and_zero_on_the_relative_scale(inputs) -> None:
    candidates = load_candidates(read_rows(inputs["candidates"], ["order"]), inputs["embeddings"])
    features = torch.from_numpy(inputs["unit"][:4])
    low, high = similarity_range(features, candidates, block=3)
    scores = features @ torch.nn.functional.normalize(candidates.vectors, dim=-1).T
    for chosen, expected in ((scores.argmax(dim=1), 1.0), (scores.argmin(dim=1), 0.0)):
        _, relative = score_tokens(features, candidates.vectors, chosen[:, None], low, high)
        torch.testing.assert_close(relative, torch.full((4,), expected), atol=1e-5, rtol=0)


def test_codebook_smaller_than_kg_is_refused(inputs, runtime, tmp_path: Path) -> None:
    files = {name: inputs[name] for name in ("manifest", "features", "candidates", "embeddings")}
    with pytest.raises(DataError, match=r"semantics\.num_global: 21 tokens a picture .* codebook of order 1"):
        semantics(
            **files, rows=tmp_path / "rows", config=SemanticsConfig(), filter_config=FilterConfig(min_count=2),
            runtime=runtime,
        )  # fmt: skip
