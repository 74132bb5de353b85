"""Few-shot episodes as the release lists them: files ``{N}_way_{K}_shot.csv``, an episode a line.

A line is N x K support pictures and the query, comma-separated paths below the folder of the pictures, with a comma
after the last one too. A picture's class is the first folder of its path, a WordNet id.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from v2l.data.episodes import COLUMNS
from v2l.errors import DataError

FILE_NAME = re.compile(r"([1-9]\d*)_way_([1-9]\d*)_shot\.csv")


def read_release_episodes(path: Path, pictures: Collection[str], class_names: Mapping[str, str]) -> pd.DataFrame:
    """Episodes with the columns that `v2l.data.episodes` stores. Paths are the image_ids.

    pictures: paths of the pictures that there are, written as in the file.   class_names: name of each WordNet id.
    As in the release, prompts show the support in the order of the line and name the classes in alphabetical order.
    Raises DataError that names file and line.
    """
    named = FILE_NAME.fullmatch(path.name)
    if named is None:
        raise DataError(f"{path}: expected a file name like 5_way_1_shot.csv")
    ways, shots = (int(number) for number in named.groups())
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if not lines:
        raise DataError(f"{path}: expected one episode a line, found none")
    rows = []
    for number, line in enumerate(lines):
        try:
            row = _episode(_paths(line, ways, shots, pictures), ways, shots, class_names)
        except ValueError as error:
            raise DataError(f"{path}: line {number + 1}: {error}") from None
        rows.append({"episode_id": f"{ways}-way-{shots}-shot/{number:04d}", "ways": ways, **row})
    return pd.DataFrame(rows, columns=COLUMNS)


def _paths(line: str, ways: int, shots: int, pictures: Collection[str]) -> list[str]:
    """The pictures of a line, the query last. Raises ValueError."""
    *paths, rest = line.split(",")
    if rest.strip():  # the release drops what follows the last comma
        raise ValueError(f"expected a comma after the last path, found {rest!r}")
    if len(paths) != ways * shots + 1:
        raise ValueError(f"expected {ways} x {shots} support paths and a query, {ways * shots + 1}, found {len(paths)}")
    if absent := [path for path in paths if path not in pictures]:
        raise ValueError(f"picture {absent[0]!r} not found")
    if repeated := [path for path in paths if paths.count(path) > 1]:
        raise ValueError(f"picture {repeated[0]!r} occurs twice")
    return paths


def _episode(paths: Sequence[str], ways: int, shots: int, class_names: Mapping[str, str]) -> dict[str, Any]:
    """Classes, support and query of an episode. Raises ValueError."""
    *folders, query = (path.split("/", 1)[0] for path in paths)
    if unknown := [folder for folder in (*folders, query) if folder not in class_names]:
        raise ValueError(f"no class has the WordNet id {unknown[0]!r}")
    support = {folder: [place for place, other in enumerate(folders) if other == folder] for folder in folders}
    if len(support) != ways:
        raise ValueError(f"expected support of {ways} classes, found {len(support)}: {', '.join(sorted(support))}")
    for folder, places in support.items():
        if len(places) != shots:
            raise ValueError(f"expected {shots} support picture(s) of each class, found {len(places)} of {folder}")
    if query not in support:
        raise ValueError(f"the query's class {query} is not among those of the support: {', '.join(sorted(support))}")
    names = sorted(class_names[folder] for folder in support)
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two of the classes {', '.join(sorted(support))} are called {repeated[0]!r}")
    by_class = [place for folder in sorted(support, key=class_names.__getitem__) for place in support[folder]]
    return {
        "class_names": names,
        "support_ids": [paths[place] for place in by_class],
        "support_order": np.argsort(by_class).tolist(),
        "query_id": paths[-1],
        "query_class": class_names[query],
    }
