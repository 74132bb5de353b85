from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from v2l.artifacts import read_arrays, read_rows, write_arrays, write_rows
from v2l.config.vocab import CodebookConfig, FilterConfig
from v2l.errors import ArtifactError, DataError
from v2l.shards import WHOLE
from v2l.vocab import filter as filter_module
from v2l.vocab.filter import (
    count_nearest,
    filter_vocabulary,
    largest,
    load_candidates,
    nearest_candidates,
    nearest_counts,
)

from ..parts import assert_parts_make_the_whole

CPU = torch.device("cpu")


@pytest.fixture
def vocabulary(tmp_path: Path) -> tuple[pd.DataFrame, Path]:
    """60 candidates over 40 distinct texts (so 20 tie with another), 50 of them eligible; rows not of unit length."""
    generator = np.random.default_rng(0)
    text_id = np.concatenate([np.arange(40), generator.integers(0, 40, 20)]).astype(np.int32)
    eligible = np.sort(generator.choice(60, 50, replace=False)).astype(np.int32)
    vectors = generator.normal(size=(40, 6)).astype(np.float32)
    rows = pd.DataFrame(
        {"ngram_id": np.arange(60), "order": np.repeat([1, 2, 3], 20), "text": [f"t{i}" for i in text_id]}
    )
    path = tmp_path / "embeddings.safetensors"
    write_arrays(path, {"embeddings": vectors, "text_id": text_id, "eligible": eligible})
    return rows, path


def unit_features(count: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 6, generator=torch.Generator().manual_seed(1)), dim=-1)


def slow_nearest(feature: np.ndarray, rows: pd.DataFrame, path: Path, orders: tuple[int, ...], top_k: int) -> list[int]:
    """Every candidate scored on its own; ties go to the lower number."""
    arrays = read_arrays(path, [])
    scored = []
    for number in arrays["eligible"]:
        if rows["order"][number] in orders:
            vector = arrays["embeddings"][arrays["text_id"][number]].astype(np.float64)
            scored.append((-round(float(feature @ vector / np.linalg.norm(vector)), 6), int(number)))
    return [number for _, number in sorted(scored)[:top_k]]


@pytest.mark.parametrize("orders", [(1, 2, 3), (1,), (1, 2)])
@pytest.mark.parametrize("top_k", [1, 5, 60])
def test_nearest_equals_a_slow_loop_over_all_candidates(vocabulary, orders, top_k) -> None:
    rows, path = vocabulary
    features = unit_features(9)
    found = torch.cat(
        list(nearest_candidates(features, torch.arange(9), load_candidates(rows, path, orders), top_k, CPU))
    )
    for feature, numbers in zip(features.numpy(), found.tolist(), strict=True):
        assert numbers == slow_nearest(feature, rows, path, orders, top_k)


@pytest.mark.parametrize("count", [1, 5, 64, 200])
def test_largest_columns_are_those_of_topk(count: int) -> None:
    values = torch.randn(7, 1280, generator=torch.Generator().manual_seed(0))
    assert torch.equal(largest(values, count), values.topk(count, dim=1).indices)


def test_counts_do_not_depend_on_the_size_of_blocks(vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, path = vocabulary
    candidates, features, some = load_candidates(rows, path), unit_features(60), torch.arange(0, 60, 6)
    whole = nearest_counts(features, some, candidates, 60, 5, CPU)
    monkeypatch.setattr(filter_module, "PICTURES_AT_ONCE", 7)
    assert torch.equal(nearest_counts(features, some, candidates, 60, 5, CPU), whole)
    assert torch.equal(nearest_counts(features[some], torch.arange(10), candidates, 60, 5, CPU), whole)
    assert whole.sum() == 10 * 5


@pytest.fixture
def inputs(vocabulary, tmp_path: Path) -> dict[str, Path]:
    rows, embeddings = vocabulary
    write_rows(tmp_path / "candidates.parquet", rows)
    write_arrays(tmp_path / "features.safetensors", {"features": unit_features(40).numpy()})
    manifest = pd.DataFrame(
        {
            "image_id": [f"s/{i}" for i in range(40)], "path": [f"{i}.png" for i in range(40)],
            "split": ["train"] * 30 + ["heldout"] * 10, "class_id": 0, "class_name": "c", "captions": [["c"]] * 40,
            "source": "s", "family": "f", "group": "g", "subgroup": "u", "sha256": "0",
        }
    )  # fmt: skip
    write_rows(tmp_path / "manifest.parquet", manifest)
    return {
        "candidates": tmp_path / "candidates.parquet",
        "embeddings": embeddings,
        "features": tmp_path / "features.safetensors",
        "manifest": tmp_path / "manifest.parquet",
    }


def slow_counts(rows: pd.DataFrame, path: Path, orders: tuple[int, ...]) -> dict[int, int]:
    """How often each candidate is among the five nearest of a training picture; the others are not in it."""
    counts: dict[int, int] = {}
    for feature in unit_features(40).numpy()[:30]:
        for number in slow_nearest(feature, rows, path, orders, 5):
            counts[number] = counts.get(number, 0) + 1
    return counts


def build(
    inputs, runtime, folder: Path, codebook_config: CodebookConfig, min_count: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows and vectors of the codebook that the two stages write."""
    sections = {"config": FilterConfig(top_k=5, min_count=min_count), "codebook_config": codebook_config}
    counts = folder / "counts.safetensors"
    count_nearest(**inputs, counts=counts, **sections, codebook="tested", runtime=runtime, shard=WHOLE)
    given = {name: inputs[name] for name in ("candidates", "embeddings")} | {"counts": counts}
    outputs = {"rows": folder / "rows.parquet", "vectors": folder / "vectors.safetensors"}
    filter_vocabulary(**given, **outputs, **sections, codebook="tested")
    kept = read_rows(outputs["rows"], ["ngram_id", "order", "text", "count"])
    return kept, read_arrays(outputs["vectors"], ["codebook"])["codebook"]


def test_parts_make_the_whole(inputs, tmp_path: Path) -> None:
    config = {"vocab.filter.top_k": 5, "vocab.codebooks.order_1": CodebookConfig(orders=[1, 2])}
    whole = assert_parts_make_the_whole("count-nearest", config, inputs, tmp_path, (7, 31), {"codebook": "order_1"})
    stored = read_arrays(whole["counts"], [])
    assert stored["pictures"].tolist() == [30]
    assert stored["counts"].sum() == 30 * 5


@pytest.mark.parametrize(("orders", "min_count"), [((1, 2, 3), 3), ((1, 2), 5), ((1,), 9)])
def test_codebook_holds_candidates_above_the_threshold_counted_on_training_pictures_only(
    inputs, vocabulary, runtime, tmp_path, orders, min_count
) -> None:
    rows, path = vocabulary
    kept, codebook = build(inputs, runtime, tmp_path, CodebookConfig(orders=list(orders)), min_count)
    counts = slow_counts(rows, path, orders)
    expected = {number: count for number, count in sorted(counts.items()) if count > min_count}
    assert 0 < len(expected) < len(counts)
    assert dict(zip(kept["ngram_id"], kept["count"], strict=True)) == expected
    arrays = read_arrays(path, [])
    np.testing.assert_array_equal(codebook, arrays["embeddings"][arrays["text_id"][list(expected)]])


@pytest.mark.parametrize("orders", [(1, 2, 3), (1, 3)])
def test_without_filtering_every_eligible_candidate_of_the_orders_stays(
    inputs, vocabulary, runtime, tmp_path, orders
) -> None:
    rows, path = vocabulary
    kept, codebook = build(inputs, runtime, tmp_path, CodebookConfig(orders=list(orders), filtered=False), 3)
    arrays = read_arrays(path, [])
    expected = [number for number in arrays["eligible"].tolist() if rows["order"][number] in orders]
    counts = slow_counts(rows, path, orders)
    assert kept["ngram_id"].tolist() == expected
    assert kept["text"].tolist() == rows["text"][expected].tolist()
    assert kept["count"].tolist() == [counts.get(number, 0) for number in expected]
    assert (kept["count"] <= 3).any()
    np.testing.assert_array_equal(codebook, arrays["embeddings"][arrays["text_id"][expected]])


def test_threshold_that_nothing_passes_is_refused(inputs, runtime, tmp_path) -> None:
    message = (
        r"min_count: no candidate of codebook tested has more than 30 counts on 30 training pictures; "
        r"the highest count is \d+$"
    )
    with pytest.raises(DataError, match=message):
        build(inputs, runtime, tmp_path, CodebookConfig(orders=[1]), 30)
    assert not (tmp_path / "rows.parquet").exists()


def test_counts_of_another_vocabulary_are_refused(inputs, runtime, tmp_path) -> None:
    short = tmp_path / "short.parquet"
    write_rows(short, pd.read_parquet(inputs["candidates"]).iloc[:57])
    build(inputs, runtime, tmp_path, CodebookConfig(), 3)
    with pytest.raises(ArtifactError, match=r"counts\.safetensors: counts: expected 57, one a candidate, found 60"):
        filter_vocabulary(
            short, inputs["embeddings"], tmp_path / "counts.safetensors", tmp_path / "r", tmp_path / "v",
            FilterConfig(), CodebookConfig(), "tested",
        )  # fmt: skip


def test_embeddings_of_another_vocabulary_are_refused(vocabulary) -> None:
    rows, path = vocabulary
    with pytest.raises(ArtifactError, match=r"expected 59 text ids, one a candidate, found 60"):
        load_candidates(rows.iloc[:59], path)
