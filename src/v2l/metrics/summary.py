"""From rows to metrics: every value with n, 95 % interval, unit, direction and the rows it was computed from.

A metrics file is flat: ``{key: entry}`` with keys as `metric_key` writes them. ``entry["rows"]`` names the rows
artifact below the results folder and the column values that select exactly the rows behind the value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v2l.artifacts import read_arrays, read_rows, write_json
from v2l.errors import ArtifactError
from v2l.metrics.frechet import frechet_distance
from v2l.metrics.intervals import Estimate, mean_interval, proportion_interval

Metrics = dict[str, dict[str, Any]]

# Parts of a key in the order in which they are written, each with its form.
KEY_PARTS = {"kind": "{}", "split": "{}", "codebook": "{}", "ways": "{}-way", "num_global": "Kg={}", "setting": "{}"}
AVERAGE = "average"
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


def distinct_values(metrics: Metrics, column: str) -> list[Any]:
    """The values of a column that any entry's rows are selected by, sorted."""
    wheres = [entry["rows"]["where"] for entry in metrics.values() if entry["rows"] is not None]
    return sorted({where[column] for where in wheres if column in where})


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


def _grouped(
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


def _mean_of(column: str) -> Callable[[pd.DataFrame], Estimate]:
    return lambda rows: mean_interval(rows[column])


def _read(file: Path, columns: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Rows of which every measured value is finite. Raises ArtifactError."""
    frame = read_rows(file, [*columns, *measures])
    if frame.empty:
        raise ArtifactError(f"{file}: expected rows to summarise, found none")
    for column in measures:
        if bad := int((~np.isfinite(frame[column].astype(float))).sum()):
            raise ArtifactError(f"{file}: column {column} has {bad} value(s) that are not finite")
    return frame


def classify_metrics(predictions: Path, metrics: Path) -> None:
    """Few-shot accuracy of every setting and their average (paper, Table 1). Raises ArtifactError."""
    frame = _read(predictions, ["episode_id", "ways", "num_global", "setting"], ["correct"])
    write_json(metrics, few_shot_metrics(frame, predictions))


def few_shot_metrics(frame: pd.DataFrame, file: Path) -> Metrics:
    """frame: one row a decision with episode_id, ways, num_global, setting and correct.

    A setting's accuracy is a share of independent episodes. The settings of an episode have its classes and query in
    common, so the average's interval is over episodes: mean over the settings of each, then the t-interval.
    Raises ArtifactError unless every episode has every setting exactly once.
    """

    def share(rows: pd.DataFrame) -> Estimate:
        return proportion_interval(rows["correct"].sum(), len(rows))

    def average(rows: pd.DataFrame) -> Estimate:
        return mean_interval(_episode_means(rows, file))

    return {
        **_grouped("accuracy", frame, file, ["ways", "num_global", "setting"], share),
        **_grouped("accuracy", frame, file, ["ways", "num_global"], average, setting=AVERAGE),
    }


def _episode_means(rows: pd.DataFrame, file: Path) -> np.ndarray:
    """Accuracy of each episode over its settings, [episodes]."""
    counts = pd.crosstab(rows["episode_id"], rows["setting"])
    if (wrong := counts != 1).any(axis=None):
        episode, setting = wrong.stack().idxmax()
        raise ArtifactError(
            f"{file}: expected one row for each setting of each episode, "
            f"found {counts.loc[episode, setting]} for episode {episode}, setting {setting!r}"
        )
    return rows.groupby("episode_id")["correct"].mean().to_numpy(dtype=np.float64)


def semantics_metrics(rows: Path, metrics: Path) -> None:
    """CLIP score and relative CLIP score by n-gram orders and Kg, and codebook sizes (paper, Table 2)."""
    frame = _read(rows, ["codebook", "num_global"], ["clip", "clip_r", "codebook_size"])
    by = ["codebook", "num_global"]
    entries = {
        **_grouped("clip", frame, rows, by, _mean_of("clip")),
        **_grouped("clip_r", frame, rows, by, _mean_of("clip_r")),
        **_grouped("codebook_size", frame, rows, ["codebook"], lambda group: _constant(group["codebook_size"], rows)),
    }
    write_json(metrics, entries)


def _constant(values: pd.Series, file: Path) -> Estimate:
    """A count that every row repeats."""
    found = sorted(values.unique().tolist())
    if len(found) != 1:
        raise ArtifactError(f"{file}: expected one {values.name} per codebook, found {found}")
    return Estimate(float(found[0]), 1, None, None, "none: a count")


def reconstruct_metrics(rows: Path, features: Path, metrics: Path) -> None:
    """Means over pictures and the Fréchet distance of their features (paper, Table 3). Raises ArtifactError."""
    means = ("psnr", "ssim", "lpips_vgg", "lpips_alex")
    frame = _read(rows, [], means)
    entries: Metrics = {}
    for name in means:
        entries |= _grouped(name, frame, rows, [], _mean_of(name))
    arrays = read_arrays(features, ["original", "reconstruction"])
    original, reconstruction = arrays["original"], arrays["reconstruction"]
    if len(original) != len(frame) or len(reconstruction) != len(frame):
        raise ArtifactError(
            f"{features}: expected {len(frame)} rows as in {rows.name}, "
            f"found {len(original)} originals and {len(reconstruction)} reconstructions"
        )
    try:
        distance = frechet_distance(original, reconstruction)
    except ValueError as error:
        raise ArtifactError(f"{features}: {error}") from None
    estimate = Estimate(distance, len(original), None, None, "none: one value of the whole set")
    entries["frechet_vgg16"] = metric_entry(estimate, *MEASURES["frechet_vgg16"], features, {})
    write_json(metrics, entries)
