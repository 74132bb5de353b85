"""Stage ``masked-metrics``: masked restoration by condition (paper, Figure 8)."""

from pathlib import Path

from v2l.artifacts import read_rows, write_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, grouped, groups, mean_of, read_measures, share_of
from v2l.metrics.reconstruction import MEANS

BY = ["condition"]


def masked_metrics(rows: Path, metrics: Path) -> None:
    """Means over pictures; tokens restored where a condition predicts tokens. Raises ArtifactError."""
    entries: Metrics = {}
    frame = read_measures(rows, BY, MEANS)
    for measure in MEANS:
        entries |= grouped(measure, frame, rows, BY, mean_of(measure))
    predicted = frame.assign(tokens_restored=read_rows(rows, ["tokens_restored"])["tokens_restored"])
    for where, group in groups(predicted, BY):
        if 0 < (absent := int(group["tokens_restored"].isna().sum())) < len(group):
            raise ArtifactError(
                f"{rows}: tokens_restored: expected a value for all pictures of {where['condition']} or for none, "
                f"found {absent} of {len(group)} without"
            )
    predicted = predicted.dropna(subset=["tokens_restored"])
    entries |= grouped("tokens_restored", predicted, rows, BY, share_of("tokens_restored"))
    write_json(metrics, entries)
