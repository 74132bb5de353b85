"""Stage ``reconstruct-metrics``: means with intervals and the Fréchet distance (paper, Table 3)."""

from pathlib import Path

from v2l.artifacts import read_arrays, write_json
from v2l.errors import ArtifactError
from v2l.metrics.entries import MEASURES, Metrics, grouped, mean_of, metric_entry, read_measures
from v2l.metrics.frechet import frechet_distance
from v2l.metrics.intervals import Estimate


def reconstruct_metrics(rows: Path, features: Path, metrics: Path) -> None:
    """Means over pictures and the Fréchet distance of their features (paper, Table 3). Raises ArtifactError."""
    means = ("psnr", "ssim", "lpips_vgg", "lpips_alex")
    frame = read_measures(rows, [], means)
    entries: Metrics = {}
    for name in means:
        entries |= grouped(name, frame, rows, [], mean_of(name))
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
