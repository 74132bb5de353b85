import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import read_arrays, read_json, write_arrays, write_rows
from v2l.config.frechet import FrechetConfig
from v2l.errors import ArtifactError
from v2l.metrics.frechet import frechet_distance
from v2l.metrics.reconstruction import reconstruct_metrics

from .recompute import recompute

MEASURES = ("psnr", "ssim", "lpips_vgg", "lpips_alex")
COUNTS = {"v2l": 6, "vqgan": 5}  # pictures of each tokenizer


@pytest.fixture
def files(tmp_path):
    """Rows and features, a file a tokenizer."""
    generator = np.random.default_rng(3)
    rows, features = [], []
    for name, count in COUNTS.items():
        rows.append(tmp_path / "reconstruct" / f"rows_{name}.parquet")
        features.append(rows[-1].with_name(f"features_{name}.safetensors"))
        rows[-1].parent.mkdir(exist_ok=True)
        values = [{measure: generator.random() for measure in MEASURES} for _ in range(count)]
        write_rows(rows[-1], [{"image_id": f"noto/{i}", "tokenizer": name, **row} for i, row in enumerate(values)])
        arrays = {key: generator.random((count, 4), dtype=np.float32) for key in ("original", "reconstruction")}
        write_arrays(features[-1], arrays)
    return rows, features


def run(files):
    metrics = files[0][0].with_name("metrics.json")
    reconstruct_metrics(*files, metrics, FrechetConfig())
    return read_json(metrics)


def test_means_and_distance_of_each_tokenizer_come_from_its_rows_and_features(files, tmp_path):
    metrics = run(files)
    assert set(metrics) == {f"{measure} | {name}" for measure in (*MEASURES, "frechet_vgg16") for name in COUNTS}
    for key, entry in metrics.items():
        measure, name = key.split(" | ")
        assert entry["n"] == COUNTS[name]
        if measure == "frechet_vgg16":
            assert entry["rows"]["file"] == f"reconstruct/features_{name}.safetensors"
            arrays = read_arrays(tmp_path / entry["rows"]["file"], ["original", "reconstruction"])
            assert entry["value"] == frechet_distance(arrays["original"], arrays["reconstruction"])
            assert (entry["low"], entry["better"]) == (None, "lower")
        else:
            assert entry["rows"]["file"] == f"reconstruct/rows_{name}.parquet"
            values = recompute(entry, tmp_path, measure)
            assert len(values) == COUNTS[name]
            assert entry["value"] == pytest.approx(values.mean(), abs=1e-12)


def test_features_of_other_pictures_are_refused(files):
    write_arrays(files[1][1], {"original": np.ones((5, 4)), "reconstruction": np.ones((6, 4))})
    message = r"features_vqgan\.safetensors: expected 5 rows as in rows_vqgan\.parquet, found 5 originals and 6 recon"
    with pytest.raises(ArtifactError, match=message):
        run(files)


def test_value_that_is_not_finite_is_refused_by_file_and_column(files):
    frame = pd.read_parquet(files[0][1])
    frame.loc[2, "psnr"] = np.inf
    write_rows(files[0][1], frame)
    with pytest.raises(ArtifactError, match=r"rows_vqgan\.parquet: column psnr has 1 value\(s\) that are not finite"):
        run(files)


def test_rows_of_several_tokenizers_in_one_file_are_refused(files):
    write_rows(files[0][0], pd.concat([pd.read_parquet(file) for file in files[0]]))
    with pytest.raises(
        ArtifactError, match=r"rows_v2l\.parquet: column tokenizer: expected one name, found v2l, vqgan"
    ):
        run(files)
