"""Every value is recomputed from the rows that its entry points to."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import read_json, read_rows, write_arrays, write_rows
from v2l.errors import ArtifactError
from v2l.metrics.frechet import frechet_distance
from v2l.metrics.summary import (
    classify_metrics,
    metric_key,
    reconstruct_metrics,
    relative_name,
    select_rows,
    semantics_metrics,
)

SETTINGS = ["no induction, K=1, repeats=0", "induction, K=1, repeats=0", "induction, K=3, repeats=0"]
FIELDS = {"value", "n", "low", "high", "unit", "better", "interval", "rows"}


@pytest.fixture
def predictions(tmp_path):
    """24 decisions for each of 2 ways x 2 Kg: 8 episodes, 3 settings."""
    generator = np.random.default_rng(1)
    path = tmp_path / "classify" / "predictions.parquet"
    path.parent.mkdir()
    write_rows(
        path,
        [
            {
                "episode_id": f"{ways}-way/{episode}",
                "ways": ways,
                "num_global": num_global,
                "setting": setting,
                "correct": bool(generator.random() < 0.7),
            }
            for ways in (2, 5)
            for num_global in (5, 21)
            for episode in range(8)
            for setting in SETTINGS
        ],
    )
    return path


def _metrics(stage, *files):
    output = files[0].with_name("metrics.json")
    stage(*files, metrics=output)
    return read_json(output)


def _recompute(entry, root, column):
    rows = select_rows(
        read_rows(root / entry["rows"]["file"], [column, *entry["rows"]["where"]]), entry["rows"]["where"]
    )
    return rows[column]


def test_metric_key_has_one_grammar():
    expected = "accuracy | 5-way | Kg=5 | induction, K=1, repeats=0"
    assert metric_key("accuracy", num_global=5, setting="induction, K=1, repeats=0", ways=5) == expected
    assert metric_key("clip", codebook="orders 1-3", num_global=21) == "clip | orders 1-3 | Kg=21"
    assert metric_key("psnr") == "psnr"


def test_each_accuracy_is_the_mean_of_its_rows(predictions, tmp_path):
    metrics = _metrics(classify_metrics, predictions)
    assert len(metrics) == 2 * 2 * (len(SETTINGS) + 1)
    for key, entry in metrics.items():
        correct = _recompute(entry, tmp_path, "correct")
        is_average = key.endswith("| average")
        assert set(entry) == FIELDS
        assert entry["n"] == 8
        assert len(correct) == (24 if is_average else 8)
        assert entry["value"] == pytest.approx(correct.mean(), abs=1e-12)
        assert entry["low"] < entry["value"] < entry["high"]
        assert entry["interval"] == ("95 % t-interval" if is_average else "95 % Wilson interval")


def test_average_takes_its_interval_over_episodes_not_decisions(tmp_path):
    # Two episodes, one all right, one all wrong: t(0.975, 1) = 12.7062, standard error 0.5.
    path = tmp_path / "predictions.parquet"
    rows = [
        {"episode_id": e, "ways": 2, "num_global": 5, "setting": s, "correct": e == 0} for e in (0, 1) for s in SETTINGS
    ]
    write_rows(path, rows)
    entry = _metrics(classify_metrics, path)["accuracy | 2-way | Kg=5 | average"]
    assert (entry["value"], entry["n"]) == (0.5, 2)
    assert entry["high"] == pytest.approx(0.5 + 12.7062 * 0.5, abs=1e-4)


@pytest.mark.parametrize(("edit", "found"), [("drop", 0), ("repeat", 2)])
def test_incomplete_or_repeated_episode_is_refused(predictions, edit, found):
    frame = pd.read_parquet(predictions)
    frame = frame.iloc[1:] if edit == "drop" else pd.concat([frame, frame.iloc[:1]])
    write_rows(predictions, frame)
    with pytest.raises(
        ArtifactError, match=rf"found {found} for episode 2-way/0, setting 'no induction, K=1, repeats=0'"
    ):
        _metrics(classify_metrics, predictions)


@pytest.fixture
def semantics(tmp_path):
    generator = np.random.default_rng(2)
    path = tmp_path / "semantics" / "rows.parquet"
    path.parent.mkdir()
    sizes = {"order 1": 40, "orders 1-2": 70, "orders 1-3": 90}
    write_rows(
        path,
        [
            {
                "image_id": f"noto/{i}",
                "codebook": codebook,
                "num_global": num_global,
                "clip": generator.random(),
                "clip_r": generator.random(),
                "codebook_size": size,
            }
            for codebook, size in sizes.items()
            for num_global in (5, 21)
            for i in range(6)
        ],
    )
    return path


def test_each_clip_score_is_the_mean_of_its_rows(semantics, tmp_path):
    metrics = _metrics(semantics_metrics, semantics)
    assert len(metrics) == 3 * 2 * 2 + 3
    for key, entry in metrics.items():
        values = _recompute(entry, tmp_path, key.split(" | ")[0])
        assert entry["value"] == pytest.approx(values.mean(), abs=1e-12)
    assert metrics["codebook_size | orders 1-2"]["value"] == 70
    assert metrics["clip | order 1 | Kg=21"]["n"] == 6


def test_codebook_of_two_sizes_is_refused(semantics):
    frame = pd.read_parquet(semantics)
    frame.loc[0, "codebook_size"] = 41
    write_rows(semantics, frame)
    with pytest.raises(ArtifactError, match=r"expected one codebook_size per codebook, found \[40, 41\]"):
        _metrics(semantics_metrics, semantics)


@pytest.fixture
def reconstruct(tmp_path):
    generator = np.random.default_rng(3)
    folder = tmp_path / "reconstruct"
    folder.mkdir()
    names = ("psnr", "ssim", "lpips_vgg", "lpips_alex")
    write_rows(
        folder / "rows.parquet", [{"image_id": f"noto/{i}", **{n: generator.random() for n in names}} for i in range(6)]
    )
    write_arrays(
        folder / "features.safetensors",
        {name: generator.random((6, 4), dtype=np.float32) for name in ("original", "reconstruction")},
    )
    return folder / "rows.parquet", folder / "features.safetensors"


def test_reconstruction_means_and_distance_come_from_rows_and_features(reconstruct, tmp_path):
    from safetensors.numpy import load_file

    metrics = _metrics(reconstruct_metrics, *reconstruct)
    distance = metrics.pop("frechet_vgg16")
    arrays = load_file(tmp_path / distance["rows"]["file"])
    assert distance["value"] == frechet_distance(arrays["original"], arrays["reconstruction"])
    assert (distance["n"], distance["low"], distance["better"]) == (6, None, "lower")
    assert set(metrics) == {"psnr", "ssim", "lpips_vgg", "lpips_alex"}
    for key, entry in metrics.items():
        assert entry["value"] == pytest.approx(_recompute(entry, tmp_path, key).mean(), abs=1e-12)


def test_features_of_other_pictures_are_refused(reconstruct):
    write_arrays(reconstruct[1], {"original": np.ones((6, 4)), "reconstruction": np.ones((5, 4))})
    with pytest.raises(ArtifactError, match=r"expected 6 rows as in rows\.parquet, found 6 originals and 5 recon"):
        _metrics(reconstruct_metrics, *reconstruct)


def test_value_that_is_not_finite_is_refused_by_file_and_column(reconstruct):
    frame = pd.read_parquet(reconstruct[0])
    frame.loc[2, "psnr"] = np.inf
    write_rows(reconstruct[0], frame)
    with pytest.raises(ArtifactError, match=r"rows\.parquet: column psnr has 1 value\(s\) that are not finite"):
        _metrics(reconstruct_metrics, *reconstruct)


def test_no_rows_and_missing_columns_are_refused(semantics):
    frame = pd.read_parquet(semantics)
    write_rows(semantics, frame.iloc[:0])
    with pytest.raises(ArtifactError, match="expected rows to summarise, found none"):
        _metrics(semantics_metrics, semantics)
    write_rows(semantics, frame.drop(columns="clip_r"))
    with pytest.raises(ArtifactError, match=r"expected column\(s\) clip_r"):
        _metrics(semantics_metrics, semantics)


def test_equal_rows_give_equal_bytes_in_any_order(predictions):
    output = predictions.with_name("metrics.json")
    classify_metrics(predictions, output)
    first = output.read_bytes()
    write_rows(predictions, pd.read_parquet(predictions).sample(frac=1, random_state=0))
    classify_metrics(predictions, output)
    assert output.read_bytes() == first


def test_rows_are_named_below_the_results_folder(tmp_path):
    assert relative_name(tmp_path / "results" / "demo" / "classify" / "rows.parquet") == "classify/rows.parquet"
