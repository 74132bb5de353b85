from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import read_arrays, read_json, write_arrays, write_rows
from v2l.config.frechet import FrechetConfig
from v2l.errors import ArtifactError
from v2l.metrics.frechet import frechet_distance
from v2l.metrics.restoration import restore_metrics

from .recompute import recompute

MEASURES = ("tokens_restored", "psnr", "ssim", "lpips_vgg", "lpips_alex")
TOKENIZERS, TASKS, CONDITIONS = ("v2l", "vqgan"), ("inpainting", "shift"), ("restored", "clean tokens")


def write_tokenizer(folder: Path, tokenizer: str, count: int) -> tuple[Path, Path]:
    generator = np.random.default_rng(len(tokenizer))
    folder.mkdir(exist_ok=True)
    rows = folder / f"rows_{tokenizer}.parquet"
    write_rows(
        rows,
        [
            {
                "image_id": f"noto/{i}",
                "tokenizer": tokenizer,
                "task": task,
                "condition": condition,
                **{name: generator.random() for name in MEASURES},
            }
            for task in TASKS
            for condition in CONDITIONS
            for i in range(count)
        ],
    )
    features = folder / f"features_{tokenizer}.safetensors"
    names = [f"{task}/{name}" for task in TASKS for name in ("original", *CONDITIONS)]
    write_arrays(features, {name: generator.random((count, 4), dtype=np.float32) for name in names})
    return rows, features


def run(folder: Path, count: int = 6) -> dict:
    rows, features = zip(*(write_tokenizer(folder, name, count) for name in TOKENIZERS), strict=True)
    restore_metrics(rows, features, folder / "metrics.json", FrechetConfig())
    return read_json(folder / "metrics.json")


def test_means_and_distances_of_every_tokenizer_task_and_condition(tmp_path: Path):
    metrics = run(tmp_path / "restore")
    groups = [(tokenizer, task, c) for tokenizer in TOKENIZERS for task in TASKS for c in CONDITIONS]
    assert set(metrics) == {" | ".join((name, *g)) for name in (*MEASURES, "frechet_vgg16") for g in groups}
    for key, entry in metrics.items():
        name, tokenizer, task, condition = key.split(" | ")
        assert entry["n"] == 6
        if name == "frechet_vgg16":
            arrays = read_arrays(tmp_path / entry["rows"]["file"], [])
            assert entry["rows"]["file"] == f"restore/features_{tokenizer}.safetensors"
            assert entry["value"] == frechet_distance(arrays[f"{task}/original"], arrays[f"{task}/{condition}"])
            assert entry["low"] is None
        else:
            values = recompute(entry, tmp_path, name)
            assert len(values) == 6
            assert entry["value"] == pytest.approx(values.mean(), abs=1e-12)
            assert entry["low"] < entry["value"] < entry["high"]
            kind = "95 % Wilson interval" if name == "tokens_restored" else "95 % t-interval"
            assert entry["interval"].startswith(kind)
    assert metrics["tokens_restored | v2l | shift | restored"]["better"] == "higher"


def test_a_single_picture_has_means_without_intervals_and_no_distance(tmp_path: Path):
    metrics = run(tmp_path / "restore", count=1)
    assert {key.split(" | ")[0] for key in metrics} == set(MEASURES)
    assert all(entry["low"] is None and entry["n"] == 1 for entry in metrics.values())


def test_features_of_other_pictures_are_refused(tmp_path: Path):
    rows, features = write_tokenizer(tmp_path / "restore", "v2l", 6)
    arrays = read_arrays(features, [])
    write_arrays(features, {**arrays, "shift/restored": np.ones((5, 4))})
    message = r"features_v2l\.safetensors: shift: expected 6 rows as in rows_v2l\.parquet, found 6 .* and 5 of restored"
    with pytest.raises(ArtifactError, match=message):
        restore_metrics([rows], [features], tmp_path / "metrics.json", FrechetConfig())
    write_arrays(features, {name: array for name, array in arrays.items() if name != "shift/restored"})
    with pytest.raises(ArtifactError, match=r"features_v2l\.safetensors: expected array\(s\) shift/restored, found"):
        restore_metrics([rows], [features], tmp_path / "metrics.json", FrechetConfig())


def test_value_that_is_not_finite_is_refused_by_file_and_column(tmp_path: Path):
    rows, features = write_tokenizer(tmp_path / "restore", "v2l", 6)
    frame = pd.read_parquet(rows)
    frame.loc[2, "psnr"] = np.inf
    write_rows(rows, frame)
    with pytest.raises(ArtifactError, match=r"rows_v2l\.parquet: column psnr has 1 value\(s\) that are not finite"):
        restore_metrics([rows], [features], tmp_path / "metrics.json", FrechetConfig())
