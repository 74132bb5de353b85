"""Stage ``classify-metrics``: few-shot accuracy with intervals (paper, Table 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from v2l.artifacts import write_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, grouped, read_measures
from v2l.metrics.intervals import Estimate, mean_interval, proportion_interval

AVERAGE = "average"
COLUMNS = ("episode_id", "run", "ways", "num_global", "setting")


def classify_metrics(predictions: Sequence[Path], metrics: Path) -> None:
    """Few-shot accuracy of every run, setting and their average (paper, Table 1).

    predictions: a file a run. Raises ArtifactError.
    """
    entries: Metrics = {}
    for file in predictions:
        found = few_shot_metrics(read_measures(file, COLUMNS, ["correct"]), file)
        if repeated := entries.keys() & found.keys():
            raise ArtifactError(f"{file}: {min(repeated)!r} is in another file too; expected a file a run")
        entries |= found
    write_json(metrics, entries)


def few_shot_metrics(frame: pd.DataFrame, file: Path) -> Metrics:
    """frame: one row a decision with episode_id, run, ways, num_global, setting and correct.

    A setting's accuracy is a share of independent episodes. The settings of an episode have its classes and query in
    common, so the average's interval is over episodes: mean over the settings of each, then the t-interval.
    Raises ArtifactError unless every episode has every setting exactly once.
    """

    def share(rows: pd.DataFrame) -> Estimate:
        return proportion_interval(rows["correct"].sum(), len(rows))

    def average(rows: pd.DataFrame) -> Estimate:
        return mean_interval(_episode_means(rows, file))

    return {
        **grouped("accuracy", frame, file, ["run", "ways", "num_global", "setting"], share),
        **grouped("accuracy", frame, file, ["run", "ways", "num_global"], average, setting=AVERAGE),
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
