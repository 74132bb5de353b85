"""Mini-ImageNet: 100 classes of ImageNet with 600 pictures each, by the lists of Ravi and Larochelle (ICLR 2017).

``train.csv``, ``val.csv`` and ``test.csv`` have a picture a line, ``filename,label`` with a WordNet id as label. The
pictures lie in ``images/``, flat or in class folders.
"""

import csv
from collections import Counter
from pathlib import Path

from v2l.config.sources import MiniImageNetConfig
from v2l.data.sources.classes import WORDNET_ID, imagenet_classes
from v2l.data.sources.listing import Listing, Picture, absolute_root, compare_counts, contents, scan_folder, stem
from v2l.errors import DataError

COLUMNS = ("filename", "label")
NUM_CLASSES = {"train": 64, "val": 16, "test": 20}
PICTURES_PER_CLASS = 600
KIND = "mini_imagenet"


def list_mini_imagenet(config: MiniImageNetConfig) -> Listing:
    """All pictures of the configured lists: ``mini_imagenet/<wnid>/<name>``.

    ``group`` is the list (train, val, test), whichever split of the manifest it becomes; ``subgroup`` is the WordNet
    id; class_id is the class's index in ImageNet-1K.
    Raises DataError if a listed picture is missing, a class is in two lists, or a count is not Mini-ImageNet's.
    """
    root = absolute_root(config.root, "Mini-ImageNet")
    lists = [f"{group}.csv" for group in config.splits]
    if not (root / "images").is_dir() or not all((root / name).is_file() for name in lists):
        raise DataError(
            f"{root}: expected Mini-ImageNet, a folder images and {', '.join(lists)}; found {contents(root)}"
        )
    paths, num_other = _scan(root / "images")
    pictures: list[Picture] = []
    group_of: dict[str, str] = {}
    for group, split in config.splits.items():
        listed = _read_list(root / f"{group}.csv", paths)
        if config.check_counts:
            _check_counts(root / f"{group}.csv", group, listed)
        for wnid in {wnid for _, wnid in listed}:
            if (other := group_of.setdefault(wnid, group)) != group:
                raise DataError(f"{root / group}.csv: class {wnid} is in {other}.csv too; lists share no class")
        pictures += [_picture(name, wnid, paths[name], group, split) for name, wnid in listed]
    return Listing(sorted(pictures), num_other + len(paths) - len(pictures))


def _picture(name: str, wnid: str, path: str, group: str, split: str) -> Picture:
    described = imagenet_classes()[wnid]
    return Picture(
        image_id=f"{KIND}/{wnid}/{stem(name)}",
        path=path,
        split=split,
        class_id=described.class_id,
        class_name=described.name,
        captions=[described.name],
        source=KIND,
        family="imagenet",
        group=group,
        subgroup=wnid,
    )


def _scan(folder: Path) -> tuple[dict[str, str], int]:
    """Paths by file name, flat and in class folders, and the number of other files."""
    classes = sorted(entry for entry in folder.iterdir() if WORDNET_ID.fullmatch(entry.name) and entry.is_dir())
    found = [scan_folder(each) for each in (folder, *classes)]
    paths = {name: path for each in found for name, path in each.paths.items()}
    return paths, sum(each.num_ignored + len(each.paths) for each in found) - len(paths)


def _read_list(path: Path, paths: dict[str, str]) -> list[tuple[str, str]]:
    """File name and WordNet id of every line. Raises DataError that names the line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if tuple(header) != COLUMNS:
        raise DataError(f"{path}: expected the header {','.join(COLUMNS)}, found {','.join(header)!r}")
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if len(row) != len(COLUMNS) or row[1] not in imagenet_classes():
            raise DataError(
                f"{path}: line {number}: expected a file name and the WordNet id of an ImageNet-1K class, "
                f"found {','.join(row)!r}"
            )
        if row[0] in seen:
            raise DataError(f"{path}: line {number}: {row[0]} is listed twice")
        seen.add(row[0])
    missing = [(number, row[0]) for number, row in enumerate(rows, start=2) if row[0] not in paths]
    if missing:
        raise DataError(
            f"{path}: line {missing[0][0]}: picture {missing[0][1]} not found in {path.parent / 'images'}; "
            f"{len(missing)} of {len(rows)} are missing"
        )
    return [tuple(row) for row in rows]


def _check_counts(path: Path, group: str, listed: list[tuple[str, str]]) -> None:
    sizes = Counter(wnid for _, wnid in listed)
    whole_classes = f"classes with {PICTURES_PER_CLASS}"
    compare_counts(
        path,
        {"pictures": NUM_CLASSES[group] * PICTURES_PER_CLASS, whole_classes: NUM_CLASSES[group]},
        {"pictures": len(listed), whole_classes: sum(size == PICTURES_PER_CLASS for size in sizes.values())},
    )
