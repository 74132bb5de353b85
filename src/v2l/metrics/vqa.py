"""Stage ``vqa_metrics``: accuracy of visual question answering with intervals (paper, Figure 5)."""

from pathlib import Path

import pandas as pd

from v2l.artifacts import write_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import MEASURES, Metrics, grouped, groups, metric_entry, metric_key, read_measures
from v2l.metrics.intervals import Estimate, grouped_share_interval


def vqa_metrics(predictions: Path, metrics: Path) -> None:
    """Mean official accuracy of every condition, over all questions and by type of answer, with Wilson intervals that
    take questions about one picture together. Raises ArtifactError."""
    frame = read_measures(predictions, ["question_id", "image_id", "answer_type", "condition"], ["accuracy"])
    if (repeated := frame.duplicated(["question_id", "condition"])).any():
        row = frame[repeated].iloc[0]
        raise ArtifactError(f"{predictions}: question {row['question_id']}, {row['condition']}: expected one row")
    entries: Metrics = grouped("vqa_accuracy", frame, predictions, ["condition"], _over_pictures)
    for where, rows in groups(frame, ["answer_type", "condition"]):
        key = metric_key("vqa_accuracy", kind=where["answer_type"], condition=where["condition"])
        entries[key] = metric_entry(_over_pictures(rows), *MEASURES["vqa_accuracy"], predictions, where)
    write_json(metrics, entries)


def _over_pictures(rows: pd.DataFrame) -> Estimate:
    return grouped_share_interval(rows["accuracy"].to_numpy(), rows["image_id"].to_numpy())
