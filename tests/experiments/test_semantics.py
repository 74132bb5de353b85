from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from v2l.artifacts import read_rows, write_arrays, write_rows
from v2l.config.semantics import SemanticsConfig
from v2l.config.tokenizer import TokensConfig
from v2l.config.vocab import CodebookConfig, FilterConfig
from v2l.errors import ArtifactError
from v2l.experiments.semantics import score_tokens, semantics, similarity_range
from v2l.shards import WHOLE
from v2l.tokenizer.global_tokens import global_tokens
from v2l.vocab.filter import count_nearest, filter_vocabulary, load_candidates

PICTURES, TRAINING, TEXTS, DIM = 30, 20, 45, 6
CODEBOOKS = {
    "order_1": CodebookConfig(orders=[1]),
    "orders_1_2": CodebookConfig(orders=[1, 2]),
    "orders_1_3": CodebookConfig(),
    "unfiltered": CodebookConfig(filtered=False),
}
COLUMNS = ["image_id", "codebook", "num_global", "clip", "clip_r", "codebook_size"]


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


@pytest.fixture
def stored(inputs, runtime, tmp_path: Path) -> dict[str, list[Path]]:
    """Codebooks and tokens as their stages write them, the two lists in opposite orders."""
    files = {name: inputs[name] for name in ("manifest", "features")}
    vectors, tokens = [], []
    for name, codebook in CODEBOOKS.items():
        vectors.append(tmp_path / f"codebook_{name}.safetensors")
        tokens.append(tmp_path / f"global_{name}.parquet")
        counted = {
            "candidates": inputs["candidates"], "embeddings": inputs["embeddings"], "counts": tmp_path / "counts",
            "config": FilterConfig(min_count=2), "codebook_config": codebook, "codebook": name,
        }  # fmt: skip
        count_nearest(**files, **counted, runtime=runtime, shard=WHOLE)
        filter_vocabulary(**counted, rows=tmp_path / "kept", vectors=vectors[-1])
        config = TokensConfig(num_global=5)
        global_tokens(**files, global_vectors=vectors[-1], tokens=tokens[-1], config=config, runtime=runtime)
    return {"global_vectors": vectors, "global_tokens": tokens[::-1]}


def score(inputs, stored, runtime, folder: Path, **config) -> pd.DataFrame:
    files = {name: inputs[name] for name in ("manifest", "features", "candidates", "embeddings")}
    semantics(**files, **stored, rows=folder / "rows", config=SemanticsConfig(**config), runtime=runtime)
    return read_rows(folder / "rows", COLUMNS)


def slow_rows(
    inputs, codebook: CodebookConfig, min_count: int, num_global: int
) -> tuple[int, dict[str, tuple[float, float]]]:
    """The definition, image by image and candidate by candidate, in float64; and how many candidates are kept."""
    vectors, features = inputs["vectors"].astype(np.float64), inputs["unit"].astype(np.float64)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    allowed = [n for n in range(TEXTS) if n // 15 + 1 in codebook.orders]
    counts = dict.fromkeys(allowed, 0)
    for feature in features[:TRAINING]:
        for number in sorted(allowed, key=lambda n: -(feature @ directions[n]))[:5]:
            counts[number] += 1
    kept = [n for n in allowed if counts[n] > min_count or not codebook.filtered]
    result = {}
    for index in range(TRAINING, PICTURES):
        nearest = sorted(kept, key=lambda n: ((features[index] - vectors[n]) ** 2).sum())[:num_global]
        everything = directions @ features[index]
        cosines = np.array([everything[n] for n in nearest])
        relative = (cosines - everything.min()) / (everything.max() - everything.min())
        result[f"s/{index}"] = (cosines.mean(), relative.mean())
    return len(kept), result


def test_rows_equal_the_definition_for_every_codebook_and_kg(inputs, stored, runtime, tmp_path: Path) -> None:
    frame = score(inputs, stored, runtime, tmp_path, num_global=[1, 3])
    assert pd.read_parquet(tmp_path / "rows").columns.tolist() == COLUMNS
    assert len(frame) == len(CODEBOOKS) * 2 * (PICTURES - TRAINING)
    for (name, num_global), rows in frame.groupby(["codebook", "num_global"]):
        size, expected = slow_rows(inputs, CODEBOOKS[name], 2, num_global)
        assert (rows["codebook_size"] == size).all()
        assert rows["image_id"].tolist() == list(expected)
        # float32 sums of six products
        np.testing.assert_allclose(rows[["clip", "clip_r"]].to_numpy(), list(expected.values()), atol=1e-5, rtol=0)
    assert frame.groupby("codebook")["codebook_size"].first().nunique() == len(CODEBOOKS)


def test_order_of_the_files_does_not_matter(inputs, stored, runtime, tmp_path: Path) -> None:
    written = []
    for files in (stored, {name: paths[::-1] for name, paths in stored.items()}):
        score(inputs, files, runtime, tmp_path, num_global=[1, 5])
        written.append((tmp_path / "rows").read_bytes())
    assert written[0] == written[1]


def test_fewer_pictures_are_a_part_of_all(inputs, stored, runtime, tmp_path: Path) -> None:
    whole = score(inputs, stored, runtime, tmp_path, num_global=[2])
    part = score(inputs, stored, runtime, tmp_path, num_global=[2], max_images=4)
    assert part["image_id"].unique().tolist() == ["s/20", "s/23", "s/26", "s/29"]
    merged = part.merge(whole, on=["image_id", "codebook", "num_global"])
    assert len(merged) == len(part) == 4 * len(CODEBOOKS)
    # the shape of a matrix product may change its last bits
    np.testing.assert_allclose(merged["clip_x"], merged["clip_y"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(merged["clip_r_x"], merged["clip_r_y"], atol=1e-6, rtol=0)


def test_best_and_worst_candidate_are_one_and_zero_on_the_relative_scale(inputs) -> None:
    candidates = load_candidates(read_rows(inputs["candidates"], ["order"]), inputs["embeddings"])
    features = torch.from_numpy(inputs["unit"][:4])
    low, high = similarity_range(features, candidates, block=3)
    scores = features @ torch.nn.functional.normalize(candidates.vectors, dim=-1).T
    for chosen, expected in ((scores.argmax(dim=1), 1.0), (scores.argmin(dim=1), 0.0)):
        _, relative = score_tokens(features, candidates.vectors, chosen[:, None], low, high)
        torch.testing.assert_close(relative, torch.full((4,), expected), atol=1e-5, rtol=0)


def test_more_tokens_than_are_stored_are_refused(inputs, stored, runtime, tmp_path: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"global_.*\.parquet: global_ids: semantics\.num_global asks for 21 a picture, found 5"
    ):
        score(inputs, stored, runtime, tmp_path)


def test_tokens_of_other_codebooks_are_refused(inputs, stored, runtime, tmp_path: Path) -> None:
    fewer = {**stored, "global_tokens": stored["global_tokens"][1:]}
    with pytest.raises(
        ArtifactError, match=r"semantics: expected tokens of order_1, orders_1_2, .*, unfiltered, found"
    ):
        score(inputs, fewer, runtime, tmp_path, num_global=[1])
    tokens = next(path for path in stored["global_tokens"] if path.stem == "global_order_1")
    tokens.write_bytes((tmp_path / "global_unfiltered.parquet").read_bytes())
    with pytest.raises(ArtifactError, match=r"global_order_1\.parquet: global_ids: expected rows of a codebook of \d+"):
        score(inputs, stored, runtime, tmp_path, num_global=[1])


def test_a_picture_without_tokens_is_refused(inputs, stored, runtime, tmp_path: Path) -> None:
    tokens = tmp_path / "global_order_1.parquet"
    write_rows(tokens, pd.read_parquet(tokens).query("image_id != 's/25'"))
    with pytest.raises(ArtifactError, match=r"global_order_1\.parquet: expected tokens of s/25, found none"):
        score(inputs, stored, runtime, tmp_path, num_global=[1])
