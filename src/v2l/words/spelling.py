"""From ids to words, and reading the words of pictures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from v2l.artifacts import read_rows, write_rows
from v2l.errors import ArtifactError


def write_words(
    path: Path, image_ids: pd.Series, ids: pd.Series, texts: Sequence[str], origin: Path, vocabulary: Path
) -> None:
    """Writes image_id and words. ids: of each picture, places in ``texts``.

    Raises ArtifactError that names ``origin`` and ``vocabulary`` if an id has no text.
    """
    for image_id, found in zip(image_ids, ids, strict=True):
        if len(found) and not 0 <= min(found) <= max(found) < len(texts):
            raise ArtifactError(f"{origin}: ids of {image_id!r} do not fit the {len(texts)} texts of {vocabulary}")
    spelt = [[texts[i] for i in found] for found in ids]
    write_rows(path, pd.DataFrame({"image_id": image_ids, "words": spelt}))


def read_words(path: Path, image_ids: Iterable[str], count: int) -> dict[str, list[str]]:
    """The first ``count`` words of each of these pictures.

    Raises ArtifactError that names the first picture without words, or with fewer.
    """
    table = read_rows(path, ["image_id", "words"])
    known = dict(zip(table["image_id"], table["words"], strict=True))
    words = {}
    for image_id in sorted(set(image_ids)):
        if image_id not in known:
            raise ArtifactError(f"{path}: no words of picture {image_id!r}, which an episode uses")
        if len(known[image_id]) < count:
            raise ArtifactError(f"{path}: expected {count} or more words of {image_id!r}, found {len(known[image_id])}")
        words[image_id] = list(known[image_id][:count])
    return words
