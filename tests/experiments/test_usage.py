"""Codebook use against counts made by hand."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import read_json, write_rows
from v2l.errors import ArtifactError
from v2l.experiments.usage import perplexity, usage
from v2l.metrics.entries import select_rows

PICTURES = [
    # image, split, global ids (best first), local ids
    ("a/1", "train", [0, 2], [7, 7, 7, 9]),
    ("a/2", "train", [2, 3], [7, 9, 9, 9]),
    ("b/1", "heldout", [1, 0], [7, 7, 5, 5]),
]
CODEBOOK = [(1, "bear"), (1, "ant"), (2, "polar bear"), (3, "a big bear"), (2, "never used")]


@pytest.fixture
def artifacts(tmp_path):
    folder = tmp_path / "tokens"
    folder.mkdir()
    write_rows(folder / "global.parquet", [{"image_id": i, "global_ids": g} for i, _, g, _ in PICTURES])
    write_rows(folder / "local.parquet", [{"image_id": i, "local_ids": x} for i, _, _, x in PICTURES])
    # The manifest lists pictures in another order than the tokens, and one more.
    splits = [(image_id, split) for image_id, split, *_ in reversed(PICTURES)] + [("z/1", "train")]
    write_rows(folder / "manifest.parquet", [{"image_id": i, "split": s} for i, s in splits])
    write_rows(folder / "global_codebook.parquet", [{"order": order, "text": text} for order, text in CODEBOOK])
    return folder


def _run(folder):
    usage(
        folder / "global.parquet",
        folder / "local.parquet",
        folder / "global_codebook.parquet",
        folder / "manifest.parquet",
        rows=folder / ".partial-usage.parquet",
        metrics=folder / ".partial-metrics.json",
    )
    for name in ("usage.parquet", "metrics.json"):
        (folder / f".partial-{name}").rename(folder / name)
    return pd.read_parquet(folder / "usage.parquet"), read_json(folder / "metrics.json")


def test_counts_are_those_made_by_hand(artifacts):
    rows, _ = _run(artifacts)
    assert list(rows.columns) == ["kind", "split", "code", "order", "text", "count"]
    assert sorted(rows.itertuples(index=False, name=None)) == sorted(
        [
            ("local", "train", 7, 1, "", 4),
            ("local", "train", 9, 1, "", 4),
            ("local", "heldout", 5, 1, "", 2),
            ("local", "heldout", 7, 1, "", 2),
            ("global", "train", 0, 1, "bear", 1),
            ("global", "train", 2, 2, "polar bear", 2),
            ("global", "train", 3, 3, "a big bear", 1),
            ("global", "heldout", 0, 1, "bear", 1),
            ("global", "heldout", 1, 1, "ant", 1),
            ("best global", "train", 0, 1, "bear", 1),
            ("best global", "train", 2, 2, "polar bear", 1),
            ("best global", "heldout", 1, 1, "ant", 1),
        ]
    )


def test_codes_perplexity_and_order_shares_are_those_made_by_hand(artifacts):
    _, metrics = _run(artifacts)
    values = {key: entry["value"] for key, entry in metrics.items()}
    assert values["codes_used | local | all"] == 3
    assert values["codes_used | local | train"] == values["codes_used | local | heldout"] == 2
    # Two codes used equally often: perplexity 2.
    assert values["perplexity | local | train"] == pytest.approx(2, abs=1e-12)
    assert values["codes_used | global | all"] == 4
    assert values["codebook_share_used | global | all"] == 4 / 5
    assert values["order_1_share | global | train"] == 1 / 4
    assert values["order_2_share | best global | train"] == 1 / 2
    assert values["order_1_share | best global | all"] == 2 / 3
    assert metrics["codes_used | local | all"]["n"] == 12


def test_each_value_comes_from_the_rows_it_points_to(artifacts):
    rows, metrics = _run(artifacts)
    for key, entry in metrics.items():
        assert entry["rows"]["file"] == "tokens/usage.parquet"
        selected = select_rows(rows, entry["rows"]["where"])
        assert entry["n"] == selected["count"].sum()
        name = key.split(" | ")[0]
        if name == "codes_used":
            assert entry["value"] == selected["code"].nunique()
        if name.startswith("order_"):
            order = int(name.split("_")[1])
            assert entry["value"] == selected.loc[selected["order"] == order, "count"].sum() / selected["count"].sum()


def test_only_shares_with_one_token_a_picture_have_an_interval(artifacts):
    _, metrics = _run(artifacts)
    with_interval = {key.split(" | ")[1] for key, entry in metrics.items() if entry["low"] is not None}
    assert with_interval == {"best global"}


def test_perplexity_counts_equally_used_codes_and_drops_when_one_dominates():
    assert perplexity(np.full(8, 3)) == pytest.approx(8, rel=1e-12)
    # Entropy of (1/4, 3/4), by hand.
    assert perplexity(np.array([1, 3])) == pytest.approx(4 / 3**0.75, rel=1e-12)


def test_equal_input_gives_equal_bytes(artifacts):
    _run(artifacts)
    first = [(artifacts / name).read_bytes() for name in ("usage.parquet", "metrics.json")]
    _run(artifacts)
    assert first == [(artifacts / name).read_bytes() for name in ("usage.parquet", "metrics.json")]


def test_token_beyond_the_global_codebook_is_refused(artifacts):
    write_rows(artifacts / "global_codebook.parquet", [{"order": 1, "text": "bear"}])
    with pytest.raises(ArtifactError, match=r"expected global ids in 0\.\.0 .* found 0\.\.3"):
        _run(artifacts)


def test_picture_without_a_split_is_refused(artifacts):
    write_rows(artifacts / "manifest.parquet", [{"image_id": "a/1", "split": "train"}])
    with pytest.raises(ArtifactError, match=r"2 picture\(s\) not in manifest\.parquet, first 'a/2'"):
        _run(artifacts)
