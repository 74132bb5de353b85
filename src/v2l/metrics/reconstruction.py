"""Stage ``reconstruct-metrics``: means with intervals and the Fréchet distance (paper, Table 3)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2l.artifacts import read_arrays, write_json
from v2l.config.frechet import FrechetConfig
from v2l.errors import ArtifactError
from v2l.metrics.entries import MEASURES, Metrics, grouped, mean_of, metric_entry, metric_key, read_measures
from v2l.metrics.frechet import frechet_distance
from v2l.metrics.intervals import Estimate

MEANS = ("psnr", "ssim", "lpips_vgg", "lpips_alex")
BY = ["tokenizer"]


def reconstruct_metrics(rows: Sequence[Path], features: Sequence[Path], metrics: Path, frechet: FrechetConfig) -> None:
    """Means over pictures and the Fréchet distance of their features, of each tokenizer (paper, Table 3).

    rows, features: a file a tokenizer, in the same order. Raises ArtifactError.
    """
    entries: Metrics = {}
    for file, arrays in zip(rows, features, strict=True):
        entries |= _of_tokenizer(file, arrays, frechet.measure)
    write_json(metrics, entries)


def _of_tokenizer(rows: Path, features: Path, distance: str) -> Metrics:
    frame = read_measures(rows, BY, MEANS)
    names = frame["tokenizer"].unique().tolist()
    if len(names) != 1:
        raise ArtifactError(f"{rows}: column tokenizer: expected one name, found {', '.join(names)}")
    entries: Metrics = {}
    for measure in MEANS:
        entries |= grouped(measure, frame, rows, BY, mean_of(measure))
    arrays = read_arrays(features, ["original", "reconstruction"])
    original, reconstruction = arrays["original"], arrays["reconstruction"]
    if len(original) != len(frame) or len(reconstruction) != len(frame):
        raise ArtifactError(
            f"{features}: expected {len(frame)} rows as in {rows.name}, "
            f"found {len(original)} originals and {len(reconstruction)} reconstructions"
        )
    estimate = frechet_estimate(original, reconstruction, features)
    entries[metric_key(distance, tokenizer=names[0])] = metric_entry(estimate, *MEASURES[distance], features, {})
    return entries


def frechet_estimate(original: np.ndarray, decoded: np.ndarray, origin: Path) -> Estimate:
    """The Fréchet distance between features [N, d] of two sets of pictures. Raises ArtifactError naming ``origin``."""
    try:
        distance = frechet_distance(original, decoded)
    except ValueError as error:
        raise ArtifactError(f"{origin}: {error}") from None
    return Estimate(distance, len(original), None, None, "none: one value of the whole set")
