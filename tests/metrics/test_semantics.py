import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.metrics.semantics import semantics_metrics

from .recompute import recompute, run


@pytest.fixture
def semantics(tmp_path):
    generator = np.random.default_rng(2)
    path = tmp_path / "semantics" / "rows.parquet"
    path.parent.mkdir()
    sizes = {"order_1": 40, "orders_1_2": 70, "orders_1_3": 90, "unfiltered": 100}
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
    metrics = run(semantics_metrics, semantics)
    assert len(metrics) == 4 * 2 * 2 + 4
    for key, entry in metrics.items():
        values = recompute(entry, tmp_path, key.split(" | ")[0])
        assert entry["value"] == pytest.approx(values.mean(), abs=1e-12)
    assert metrics["codebook_size | orders_1_2"]["value"] == 70
    assert metrics["clip | order_1 | Kg=21"]["n"] == 6


def test_codebook_of_two_sizes_is_refused(semantics):
    frame = pd.read_parquet(semantics)
    frame.loc[0, "codebook_size"] = 41
    write_rows(semantics, frame)
    with pytest.raises(ArtifactError, match=r"expected one codebook_size per codebook, found \[40, 41\]"):
        run(semantics_metrics, semantics)


def test_no_rows_and_missing_columns_are_refused(semantics):
    frame = pd.read_parquet(semantics)
    write_rows(semantics, frame.iloc[:0])
    with pytest.raises(ArtifactError, match="expected rows to summarise, found none"):
        run(semantics_metrics, semantics)
    write_rows(semantics, frame.drop(columns="clip_r"))
    with pytest.raises(ArtifactError, match=r"expected column\(s\) clip_r"):
        run(semantics_metrics, semantics)
