"""Stage ``caption_metrics``: scores of captions with intervals (paper, Figure 5)."""

from pathlib import Path

import numpy as np
import pandas as pd

from v2l.artifacts import write_json
from v2l.errors import ArtifactError
from v2l.metrics.caption_scores import bleu_counts, bleu_of_counts
from v2l.metrics.entries import grouped, mean_of, read_measures
from v2l.metrics.intervals import LEVEL, Estimate
from v2l.seeds import numpy_generator

NUM_RESAMPLES = 1000


def caption_metrics(predictions: Path, metrics: Path, seed: int) -> None:
    """CIDEr-D and ROUGE-L as means over pictures with t-intervals, BLEU-4 of each whole set, by condition.

    A picture's CIDEr-D depends on the references of all pictures (how rare an n-gram is); its interval takes these as
    given. Raises ArtifactError.
    """
    frame = read_measures(
        predictions, ["image_id", "condition", "prediction", "references"], ["cider_d", "bleu_4", "rouge_l"]
    )
    if (repeated := frame.duplicated(["image_id", "condition"])).any():
        row = frame[repeated].iloc[0]
        raise ArtifactError(f"{predictions}: picture {row['image_id']}, {row['condition']}: expected one row")
    entries = {
        **grouped("cider_d", frame, predictions, ["condition"], mean_of("cider_d")),
        **grouped("bleu_4", frame, predictions, ["condition"], lambda rows: bleu_estimate(rows, seed)),
        **grouped("rouge_l", frame, predictions, ["condition"], mean_of("rouge_l")),
    }
    write_json(metrics, entries)


def bleu_estimate(rows: pd.DataFrame, seed: int) -> Estimate:
    """BLEU-4 of a set of captions with the percentile interval of resampled pictures.

    rows: image_id, prediction and references; their order is irrelevant. The value is no mean, so a t-interval has no
    meaning. Conditions over equally many pictures are resampled alike.
    """
    ordered = rows.sort_values("image_id")
    predictions, references = ordered["prediction"].tolist(), ordered["references"].tolist()
    counts, n = bleu_counts(predictions, references), len(ordered)
    value = float(bleu_of_counts(counts.sum(axis=0)))
    if n == 1:
        return Estimate(value, n, None, None, "none: one item")
    times = numpy_generator(seed, "bleu bootstrap").multinomial(n, np.full(n, 1 / n), size=NUM_RESAMPLES)
    low, high = np.quantile(bleu_of_counts(times @ counts), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, n, float(low), float(high), f"95 % bootstrap interval ({NUM_RESAMPLES} resamples of items)")
