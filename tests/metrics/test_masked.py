from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.metrics.masked import masked_metrics

from .recompute import recompute, run

MEASURES = ("tokens_restored", "psnr", "ssim", "lpips_vgg", "lpips_alex")
CONDITIONS = ("before tuning", "after tuning", "masked tokens", "random tokens", "clean tokens")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        [
            {"image_id": f"noto/{i}", "condition": condition, **{name: generator.random() for name in MEASURES}}
            for condition in CONDITIONS
            for i in range(5)
        ]
    )
    frame.loc[frame["condition"] == "masked tokens", "tokens_restored"] = np.nan
    path = tmp_path / "masked" / "rows.parquet"
    path.parent.mkdir()
    write_rows(path, frame)
    return path


def test_means_of_every_measure_and_condition(rows: Path, tmp_path: Path):
    metrics = run(masked_metrics, rows)
    expected = {f"{measure} | {condition}" for measure in MEASURES for condition in CONDITIONS}
    assert set(metrics) == expected - {"tokens_restored | masked tokens"}
    for key, entry in metrics.items():
        name, condition = key.split(" | ")
        values = recompute(entry, tmp_path, name)
        assert entry["rows"] == {"file": "masked/rows.parquet", "where": {"condition": condition}}
        assert entry["n"] == len(values) == 5
        assert entry["value"] == pytest.approx(values.mean(), abs=1e-12)
        assert entry["low"] < entry["value"] < entry["high"]
        assert entry["interval"].startswith("95 % Wilson interval" if name == "tokens_restored" else "95 % t-interval")
    assert metrics["tokens_restored | after tuning"]["better"] == "higher"
    assert metrics["tokens_restored | after tuning"]["unit"] == "fraction"


def test_a_picture_without_a_share_among_others_is_refused(rows: Path):
    frame = pd.read_parquet(rows)
    frame.loc[1, "tokens_restored"] = np.nan
    write_rows(rows, frame)
    with pytest.raises(ArtifactError, match=r"for all pictures of before tuning or for none, found 1 of 5 without"):
        run(masked_metrics, rows)


def test_a_measure_that_is_not_finite_is_refused_by_file_and_column(rows: Path):
    frame = pd.read_parquet(rows)
    frame.loc[2, "ssim"] = np.nan
    write_rows(rows, frame)
    with pytest.raises(ArtifactError, match=r"rows\.parquet: column ssim has 1 value\(s\) that are not finite"):
        run(masked_metrics, rows)


def test_rows_of_no_picture_are_refused(rows: Path):
    write_rows(rows, pd.read_parquet(rows).iloc[:0])
    with pytest.raises(ArtifactError, match=r"rows\.parquet: expected rows to summarise, found none"):
        run(masked_metrics, rows)
