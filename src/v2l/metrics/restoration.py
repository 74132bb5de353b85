"""Stage ``restore-metrics``: restoration by tokenizer, task and condition (paper, Table 4)."""

from collections.abc import Sequence
from pathlib import Path

from v2l.artifacts import read_arrays, write_json
from v2l.config.frechet import FrechetConfig
from v2l.errors import ArtifactError
from v2l.metrics.entries import (
    MEASURES,
    Metrics,
    grouped,
    groups,
    mean_of,
    metric_entry,
    metric_key,
    read_measures,
    share_of,
)
from v2l.metrics.reconstruction import MEANS, frechet_estimate

BY = ["tokenizer", "task", "condition"]


def restore_metrics(rows: Sequence[Path], features: Sequence[Path], metrics: Path, frechet: FrechetConfig) -> None:
    """Means over pictures, and Fréchet distances to the clean pictures where there are two or more pictures.

    rows, features: a file a tokenizer, in the same order. Raises ArtifactError.
    """
    entries: Metrics = {}
    for file, arrays in zip(rows, features, strict=True):
        frame = read_measures(file, BY, ("tokens_restored", *MEANS))
        entries |= grouped("tokens_restored", frame, file, BY, share_of("tokens_restored"))
        for measure in MEANS:
            entries |= grouped(measure, frame, file, BY, mean_of(measure))
        names = {
            f"{where['task']}/{part}" for where, _ in groups(frame, BY) for part in ("original", where["condition"])
        }
        stored = read_arrays(arrays, sorted(names))
        for where, group in groups(frame, BY):
            original = stored[f"{where['task']}/original"]
            decoded = stored[f"{where['task']}/{where['condition']}"]
            if not len(group) == len(original) == len(decoded):
                raise ArtifactError(
                    f"{arrays}: {where['task']}: expected {len(group)} rows as in {file.name}, "
                    f"found {len(original)} originals and {len(decoded)} of {where['condition']}"
                )
            if len(group) > 1:
                estimate = frechet_estimate(original, decoded, arrays)
                key = metric_key(frechet.measure, **where)
                entries[key] = metric_entry(estimate, *MEASURES[frechet.measure], arrays, {})
    write_json(metrics, entries)
