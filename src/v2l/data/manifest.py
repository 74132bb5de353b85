"""The picture manifest: one row a picture, the same columns for every data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from v2l.artifacts import read_rows
from v2l.errors import ArtifactError, DataError

COLUMNS = (
    "image_id",
    "path",
    "split",
    "class_id",
    "class_name",
    "captions",
    "source",
    "family",
    "group",
    "subgroup",
    "sha256",
)
TRAIN = "train"
HELDOUT = "heldout"

PICTURES, FEWSHOT, CAPTION, VQA = "pictures", "fewshot", "caption", "vqa"
# What the paper uses a data set's pictures for; pictures of any other source are for everything. Questions may be about
# pictures of any source.
USES = {"imagenet": PICTURES, "mini_imagenet": FEWSHOT, "coco": CAPTION, "vqa_v2": VQA}


def check_unreadable(unreadable: Sequence[Mapping[str, str]], num_pictures: int, max_unreadable: int) -> None:
    """Raises DataError if more pictures than allowed are unreadable. It names the first by its path, if it has one.

    unreadable: of each image_id, reason and perhaps path.   num_pictures: with these.
    """
    if len(unreadable) > max_unreadable:
        first = unreadable[0]
        raise DataError(
            f"{first.get('path', first['image_id'])}: not a readable picture ({first['reason']}); {len(unreadable)} of "
            f"{num_pictures} pictures are unreadable, data.max_unreadable allows {max_unreadable}"
        )


def read_manifest(path: Path) -> pd.DataFrame:
    """Reads a manifest; its index 0..N-1 is the row number that feature files are aligned with.

    Raises ArtifactError if a column is missing, a split has another name than train or heldout, or an image_id occurs
    twice.
    """
    manifest = read_rows(path, COLUMNS)
    if others := sorted(set(manifest["split"]) - {TRAIN, HELDOUT}):
        raise ArtifactError(f"{path}: column split: expected {TRAIN} or {HELDOUT}, found {', '.join(map(str, others))}")
    if (repeated := manifest["image_id"].duplicated()).any():
        raise ArtifactError(f"{path}: column image_id: {manifest['image_id'][repeated].iloc[0]} occurs twice")
    return manifest


def training_rows(manifest: pd.DataFrame, use: str = PICTURES) -> pd.DataFrame:
    """The training pictures for a use, with their row numbers in the whole manifest as index."""
    return manifest[(manifest["split"] == TRAIN) & _serves(manifest, use)]


def heldout_rows(manifest: pd.DataFrame, use: str = PICTURES) -> pd.DataFrame:
    """The held-out pictures for a use, with their row numbers in the whole manifest as index."""
    return manifest[(manifest["split"] == HELDOUT) & _serves(manifest, use)]


def _serves(manifest: pd.DataFrame, use: str) -> pd.Series:
    """Pictures of the paper's data set for this use; where the run has none of it, those that serve other uses too."""
    uses = manifest["source"].map(USES)
    own = uses == use
    return own if own.any() else uses.isna() | (uses == PICTURES)


def evenly_spaced(count: int, limit: int | None) -> np.ndarray:
    """``limit`` of the positions 0..count-1, evenly spaced, ends included; all where there is no limit or too few."""
    return np.arange(count) if limit is None or limit >= count else np.linspace(0, count - 1, limit).round().astype(int)
