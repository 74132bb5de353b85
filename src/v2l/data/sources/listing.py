"""What every source gives: its pictures, not yet opened, and what was passed over on the way."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from v2l.errors import DataError

PICTURE_SUFFIXES = (".jpeg", ".jpg")  # the only ones in these data sets, whatever format the file has
NO_CLASS = -1
NAMES_SHOWN = 6


class Picture(NamedTuple):
    """A row of the picture manifest, but for the hash of the bytes. ``path``: absolute, or a locator."""

    image_id: str
    path: str
    split: str
    class_id: int
    class_name: str
    captions: list[str]
    source: str
    family: str
    group: str
    subgroup: str


@dataclass(frozen=True)
class Listing:
    """The pictures of one source, sorted by image_id.

    num_ignored: files and archive members passed over: no picture, or on no list.
    questions: with the columns of `v2l.data.questions`, where the source has some.
    num_shared: pictures left to another source that lists the same files.
    """

    pictures: list[Picture]
    num_ignored: int
    questions: pd.DataFrame | None = None
    num_shared: int = 0


@dataclass(frozen=True)
class Found:
    """Pictures by file name, with path or locator, and the number of other files beside them."""

    paths: dict[str, str]
    num_ignored: int


def is_picture_name(name: str) -> bool:
    """By suffix; hidden files, such as those that macOS leaves beside real ones, are none."""
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")


def scan_folder(folder: Path) -> Found:
    """The pictures right in a folder, not below it. Raises DataError if it cannot be listed."""
    paths, num_ignored = {}, 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    continue
                if is_picture_name(entry.name):
                    paths[entry.name] = entry.path
                else:
                    num_ignored += 1
    except OSError as error:
        raise DataError(f"{folder}: folder cannot be listed ({error.strerror})") from None
    return Found(paths, num_ignored)


def absolute_root(root: Path, expected: str) -> Path:
    """Raises DataError if there is no such folder. expected: the data set's name."""
    if not root.is_dir():
        raise DataError(f"{root}: folder not found; expected {expected}")
    return root.absolute()


def contents(folder: Path) -> str:
    """The first names in a folder, for a message that says what was found."""
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in os.scandir(folder))
    more = [f"{len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else []
    return ", ".join(names[:NAMES_SHOWN] + more) or "nothing"


def stem(name: str) -> str:
    return name.rpartition(".")[0]


def compare_counts(where: object, expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Raises DataError if a number is not that of the whole data set. Keys are what is counted, in the plural."""
    if expected != found:
        wanted, got = (", ".join(f"{n:,} {what}" for what, n in numbers.items()) for numbers in (expected, found))
        raise DataError(f"{where}: expected {wanted}, found {got}; check_counts: false accepts a part of the data set")
