"""Classes of ImageNet's validation pictures: the devkit's ground truth, or the table that Kaggle distributes.

The devkit numbers classes in an order of its own; its ``meta.mat`` maps these ILSVRC ids to WordNet ids. Formats:
readme.txt of ILSVRC2012_devkit_t12, section 2.
"""

import re
import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from v2l.data.sources.classes import imagenet_classes
from v2l.data.sources.listing import contents
from v2l.errors import DataError

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
TABLE = "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_devkit_t12"
TABLE_HEADER = "ImageId,PredictionString"
TABLE_LINE = re.compile(r"(ILSVRC2012_val_\d{8})(?:\.JPEG)?[,\s]+(n\d{8})\b.*")


def read_val_labels(root: Path, given: Path | None) -> dict[str, str]:
    """WordNet id of every validation picture, by its name without extension.

    given: the devkit's folder or a table; None: looked for in root. A table has lines that begin with the picture's
    name and the WordNet id, as in Kaggle's ``LOC_val_solution.csv``; the devkit comes before a table.
    Raises DataError if there is neither, or one contradicts ImageNet-1K.
    """
    if given is not None and given.is_file():
        return _read_table(given)
    base = root if given is None else given
    for folder in (base, base / "data", base / DEVKIT / "data", base / DEVKIT):
        if (folder / GROUND_TRUTH).is_file() and (folder / META).is_file():
            return _read_devkit(folder)
    if (base / TABLE).is_file():
        return _read_table(base / TABLE)
    raise DataError(
        f"{base}: expected the classes of the val pictures, {GROUND_TRUTH} beside {META} (also in {DEVKIT}/data) or "
        f"{TABLE}; found {contents(base) if base.is_dir() else 'no such folder'}; val_labels names another place"
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _read_devkit(folder: Path) -> dict[str, str]:
    wnids = _read_meta(folder / META)
    labels = {}
    for number, line in enumerate(_lines(folder / GROUND_TRUTH), start=1):
        if not line.strip().isdecimal() or int(line) not in wnids:
            raise DataError(
                f"{folder / GROUND_TRUTH}: line {number}: expected an ILSVRC id of a class in {META}, found {line!r}"
            )
        labels[f"ILSVRC2012_val_{number:08d}"] = wnids[int(line)]
    if not labels:
        raise DataError(f"{folder / GROUND_TRUTH}: expected an ILSVRC id a line, found none")
    return labels


def _read_meta(path: Path) -> dict[int, str]:
    """WordNet id by ILSVRC id. The table also has the synsets above the classes; they are left out."""
    try:
        synsets = np.atleast_1d(loadmat(path, squeeze_me=True)["synsets"])
        wnids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}
    except (
        OSError,
        KeyError,
        ValueError,
        IndexError,
        TypeError,
        NotImplementedError,
        MatReadError,
        zlib.error,
    ) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: expected a table synsets with ILSVRC2012_ID and WNID ({reason})") from None
    return {number: wnid for number, wnid in wnids.items() if wnid in imagenet_classes()}


def _read_table(path: Path) -> dict[str, str]:
    labels = {}
    for number, line in enumerate(_lines(path), start=1):
        if line == TABLE_HEADER:
            continue
        parsed = TABLE_LINE.fullmatch(line)
        if parsed is None or parsed[2] not in imagenet_classes():
            raise DataError(
                f"{path}: line {number}: expected ILSVRC2012_val_00000001 and the WordNet id of a class, found {line!r}"
            )
        labels[parsed[1]] = parsed[2]
    if not labels:
        raise DataError(f"{path}: expected a picture's name and WordNet id a line, found none")
    return labels
