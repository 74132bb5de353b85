"""Entries of a metrics file: every value with n, 95 % interval, unit, direction and the rows behind it.

A metrics file is flat: ``{key: entry}`` with keys as `metric_key` writes them. ``entry["rows"]`` names the rows
artifact below the results folder and the column values that select exactly the rows behind the value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v2l.artifacts import read_rows
from v2l.errors import ArtifactError
from v2l.metrics.intervals import Estimate, mean_interval, share_interval

Metrics = dict[str, dict[str, Any]]

# Parts of a key in the order in which they are written, each with its form.
KEY_PARTS = {
    **dict.fromkeys(("kind", "split", "codebook", "run", "tokenizer", "task", "condition"), "{}"),
    "ways": "{}-way",
    "num_global": "Kg={}",
    "setting": "{}",
}
# Unit and better direction of each measure.
MEASURES = {
    "accuracy": ("fraction", "higher"),
    "clip": ("", "higher"),
    "clip_r": ("", "higher"),
    "codebook_size": ("entries", None),
    "psnr": ("dB", "higher"),
    "ssim": ("", "higher"),
    "lpips_vgg": ("", "lower"),
    "lpips_alex": ("", "lower"),
    "frechet_vgg16": ("", "lower"),
    "fid": ("", "lower"),
    "tokens_restored": ("fraction", "higher"),
    "cider_d": ("", "higher"),
    "bleu_4": ("", "higher"),
    "rouge_l": ("", "higher"),
    "vqa_accuracy": ("fraction", "higher"),
}


def metric_key(name: str, **parts: Any) -> str:
    """The flat key of a value, e.g. ``accuracy | 5-way | Kg=5 | induction, K=1, repeats=0``."""
    return " | ".join([name, *(KEY_PARTS[part].format(parts[part]) for part in KEY_PARTS if part in parts)])


def relative_name(artifact: Path) -> str:
    """An artifact's name below its results folder, e.g. ``classify/predictions.parquet``."""
    return f"{artifact.parent.name}/{artifact.name}"


def select_rows(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows in which every named column has the given value; no column named: all rows."""
    selected = np.ones(len(frame), dtype=bool)
    for column, value in where.items():
        selected &= (frame[column] == value).to_numpy()
    return frame[selected]


def groups(frame: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each combination of values of ``by`` that occurs, sorted, as plain Python values with its rows."""
    keys = frame[list(by)].drop_duplicates().sort_values(list(by)).to_dict("records") if by else [{}]
    for where in keys:
        yield where, select_rows(frame, where)


def metric_entry(
    estimate: Estimate, unit: str, better: str | None, file: Path, where: Mapping[str, Any]
) -> dict[str, Any]:
    """One value of a metrics file; ``file`` and ``where`` lead back to its rows."""
    return {
        **asdict(estimate),
        "unit": unit,
        "better": better,
        "rows": {"file": relative_name(file), "where": dict(where)},
    }


def grouped(
    name: str,
    frame: pd.DataFrame,
    file: Path,
    by: Sequence[str],
    estimate: Callable[[pd.DataFrame], Estimate],
    **parts: str,
) -> Metrics:
    """One entry of a measure for every group of rows."""
    return {
        metric_key(name, **where, **parts): metric_entry(estimate(rows), *MEASURES[name], file, where)
        for where, rows in groups(frame, by)
    }


def mean_of(column: str) -> Callable[[pd.DataFrame], Estimate]:
    return lambda rows: mean_interval(rows[column])


def share_of(column: str) -> Callable[[pd.DataFrame], Estimate]:
    return lambda rows: share_interval(rows[column].to_numpy())


def read_measures(file: Path, columns: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Rows of which every measured value is finite. Raises ArtifactError."""
    frame = read_rows(file, [*columns, *measures])
    if frame.empty:
        raise ArtifactError(f"{file}: expected rows to summarise, found none")
    for column in measures:
        if bad := int((~np.isfinite(frame[column].astype(float))).sum()):
            raise ArtifactError(f"{file}: column {column} has {bad} value(s) that are not finite")
    return frame
