"""Stage ``semantics-metrics``: mean CLIP scores with intervals (paper, Table 2)."""

from pathlib import Path

import pandas as pd

from v2l.artifacts import write_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import grouped, mean_of, read_measures
from v2l.metrics.intervals import Estimate


def semantics_metrics(rows: Path, metrics: Path) -> None:
    """CLIP score and relative CLIP score by n-gram orders and Kg, and codebook sizes (paper, Table 2)."""
    frame = read_measures(rows, ["codebook", "num_global"], ["clip", "clip_r", "codebook_size"])
    by = ["codebook", "num_global"]
    entries = {
        **grouped("clip", frame, rows, by, mean_of("clip")),
        **grouped("clip_r", frame, rows, by, mean_of("clip_r")),
        **grouped("codebook_size", frame, rows, ["codebook"], lambda group: _constant(group["codebook_size"], rows)),
    }
    write_json(metrics, entries)


def _constant(values: pd.Series, file: Path) -> Estimate:
    """A count that every row repeats."""
    found = sorted(values.unique().tolist())
    if len(found) != 1:
        raise ArtifactError(f"{file}: expected one {values.name} per codebook, found {found}")
    return Estimate(float(found[0]), 1, None, None, "none: a count")
