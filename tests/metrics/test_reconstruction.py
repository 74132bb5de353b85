import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_arrays, write_rows
from v2l.errors import ArtifactError
from v2l.metrics.frechet import frechet_distance
from v2l.metrics.reconstruction import reconstruct_metrics

from .recompute import recompute, run


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

    metrics = run(reconstruct_metrics, *reconstruct)
    distance = metrics.pop("frechet_vgg16")
    arrays = load_file(tmp_path / distance["rows"]["file"])
    assert distance["value"] == frechet_distance(arrays["original"], arrays["reconstruction"])
    assert (distance["n"], distance["low"], distance["better"]) == (6, None, "lower")
    assert set(metrics) == {"psnr", "ssim", "lpips_vgg", "lpips_alex"}
    for key, entry in metrics.items():
        assert entry["value"] == pytest.approx(recompute(entry, tmp_path, key).mean(), abs=1e-12)


def test_features_of_other_pictures_are_refused(reconstruct):
    write_arrays(reconstruct[1], {"original": np.ones((6, 4)), "reconstruction": np.ones((5, 4))})
    with pytest.raises(ArtifactError, match=r"expected 6 rows as in rows\.parquet, found 6 originals and 5 recon"):
        run(reconstruct_metrics, *reconstruct)


def test_value_that_is_not_finite_is_refused_by_file_and_column(reconstruct):
    frame = pd.read_parquet(reconstruct[0])
    frame.loc[2, "psnr"] = np.inf
    write_rows(reconstruct[0], frame)
    with pytest.raises(ArtifactError, match=r"rows\.parquet: column psnr has 1 value\(s\) that are not finite"):
        run(reconstruct_metrics, *reconstruct)
