"""Every value is recomputed from the rows that its entry points to."""

import numpy as np
import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.errors import ArtifactError
from v2l.metrics.intervals import grouped_share_interval, share_interval
from v2l.metrics.vqa import vqa_metrics

from .recompute import recompute, run


@pytest.fixture
def predictions(tmp_path):
    """12 questions, 8 of them yes/no, in three conditions."""
    generator = np.random.default_rng(0)
    path = tmp_path / "vqa" / "predictions.parquet"
    path.parent.mkdir()
    rows = [
        {
            "question_id": f"q{number}",
            "image_id": f"p{number // 2}",
            "answer_type": "yes/no" if number < 8 else "other",
            "condition": condition,
            "accuracy": generator.choice([0.0, 0.3, 0.6, 0.9, 1.0]),
        }
        for condition in ("picture words", "random words", "majority answer")
        for number in range(12)
    ]
    write_rows(path, rows)
    return path


def test_accuracies_are_means_over_all_and_by_answer_type(predictions, tmp_path):
    metrics = run(vqa_metrics, predictions)
    sizes = {"vqa_accuracy | ": 12, "vqa_accuracy | yes/no | ": 8, "vqa_accuracy | other | ": 4}
    conditions = ("picture words", "random words", "majority answer")
    assert set(metrics) == {prefix + condition for prefix in sizes for condition in conditions}
    for prefix, size in sizes.items():
        for condition in conditions:
            entry = metrics[prefix + condition]
            values = recompute(entry, tmp_path, "accuracy")
            assert entry["n"] == len(values) == size
            assert entry["value"] == pytest.approx(values.mean(), abs=1e-12)
            assert (entry["unit"], entry["better"]) == ("fraction", "higher")
            assert entry["interval"].startswith("95 % Wilson interval")
            assert 0 <= entry["low"] < entry["value"] < entry["high"] <= 1


def test_interval_takes_the_questions_about_a_picture_together(predictions, tmp_path):
    entry = run(vqa_metrics, predictions)["vqa_accuracy | picture words"]
    values, pictures = (recompute(entry, tmp_path, column) for column in ("accuracy", "image_id"))
    expected = grouped_share_interval(values, pictures)
    assert (entry["low"], entry["high"]) == (expected.low, expected.high)
    assert entry["low"] != share_interval(values).low


def test_a_repeated_row_is_refused(predictions):
    frame = pd.read_parquet(predictions)
    write_rows(predictions, pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(ArtifactError, match="question q0, picture words: expected one row"):
        run(vqa_metrics, predictions)


def test_rows_without_accuracy_are_refused(predictions):
    write_rows(predictions, pd.read_parquet(predictions).assign(accuracy=float("nan")))
    with pytest.raises(ArtifactError, match="column accuracy has 36 value"):
        run(vqa_metrics, predictions)
