"""Stage ``classify-metrics``: few-shot accuracy with intervals (paper, Table 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from v2l.artifacts import write_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, grouped, read_measures
from v2l.metrics.intervals import Estimate, share_interval

AVERAGE = "average"
COLUMNS = ("episode_id", "query_id", "run", "ways", "num_global", "setting")


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
    """frame: one row a decision with the columns of ``COLUMNS`` and correct.

    Only episodes are independent of each other: the queries of one share its support, its settings share its queries.
    So intervals are over episodes, of the share that is correct in each.
    Raises ArtifactError unless every query has every setting exactly once, and all episodes as many queries.
    """

    def share(rows: pd.DataFrame) -> Estimate:
        means = _episode_means(rows, file)
        return share_interval(means, len(rows) / len(means))

    def average(rows: pd.DataFrame) -> Estimate:
        settings = [group for _, group in rows.groupby("setting")]
        episodes = {frozenset(group["episode_id"]) for group in settings}
        num_episodes = rows["episode_id"].nunique()
        if len(episodes) == 1 or sum(map(len, episodes)) > num_episodes:  # a setting may not lack some of another's
            return share(rows)
        value = np.mean([share(group).value for group in settings])
        return Estimate(float(value), num_episodes, None, None, "none: settings have episodes of their own")

    return {
        **grouped("accuracy", frame, file, ["run", "ways", "num_global", "setting"], share),
        **grouped("accuracy", frame, file, ["run", "ways", "num_global"], average, setting=AVERAGE),
    }


def _episode_means(rows: pd.DataFrame, file: Path) -> np.ndarray:
    """Accuracy of each episode over its queries and settings, [episodes]."""
    counts = pd.crosstab([rows["episode_id"], rows["query_id"]], rows["setting"])
    if (wrong := counts != 1).any(axis=None):
        episode, query, setting = wrong.stack([0]).idxmax()
        raise ArtifactError(
            f"{file}: expected one row for each setting of each query, "
            f"found {counts.loc[(episode, query), setting]} for episode {episode}, query {query}, setting {setting!r}"
        )
    queries = counts.groupby("episode_id").size()
    if queries.min() != queries.max():
        raise ArtifactError(
            f"{file}: expected as many queries in every episode, found {queries.min()} in {queries.idxmin()} and "
            f"{queries.max()} in {queries.idxmax()}"
        )
    return rows.groupby("episode_id")["correct"].mean().to_numpy(dtype=np.float64)
