"""ImageNet-1K (ILSVRC 2012), as class folders or as the official archives; nothing is extracted.

Training: ``train/n01440764/*.JPEG`` or ``ILSVRC2012_img_train.tar``. Validation: ``val/`` with class folders, ``val/``
flat, or ``ILSVRC2012_img_val.tar``; the latter two need the devkit's labels. Where there is both, folders are read
unless they are empty. Counts: Russakovsky et al., 2015, Table 2.
"""

from collections.abc import Iterator
from pathlib import Path

from v2l.config.sources import ImageNetConfig
from v2l.data.manifest import HELDOUT, TRAIN
from v2l.data.sources.classes import WORDNET_ID, imagenet_classes
from v2l.data.sources.imagenet_labels import read_val_labels
from v2l.data.sources.listing import (
    Found,
    Listing,
    Picture,
    absolute_root,
    compare_counts,
    contents,
    scan_folder,
    stem,
)
from v2l.data.sources.tar import scan_tar, scan_tar_of_tars
from v2l.errors import DataError

ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
NUM_PICTURES = {"train": 1_281_167, "val": 50_000}
SPLITS = {"train": TRAIN, "val": HELDOUT}
KIND = "imagenet"


def list_imagenet(config: ImageNetConfig) -> Listing:
    """All pictures of the configured splits: ``imagenet/train/<wnid>/<name>`` and ``imagenet/val/<name>``.

    Rows are the same for every layout but for their paths. ``group`` is the split, ``subgroup`` the WordNet id.
    Raises DataError if the root holds another data set, a picture has no class, or a count is not ImageNet's.
    """
    root = absolute_root(config.root, "ImageNet-1K")
    pictures, num_ignored = [], 0
    for split in config.splits:
        num_classes, before = 0, len(pictures)
        for wnid, found in _by_class(root, split, config.val_labels):
            num_ignored += found.num_ignored
            num_classes += bool(found.paths)
            pictures += [_picture(split, wnid, name, path) for name, path in found.paths.items()]
        if config.check_counts:
            counts = {"pictures": len(pictures) - before, "classes": num_classes}
            expected = {"pictures": NUM_PICTURES[split], "classes": len(imagenet_classes())}
            compare_counts(f"{root}: ImageNet-1K, split {split}", expected, counts)
    return Listing(sorted(pictures), num_ignored)


def _picture(split: str, wnid: str, name: str, path: str) -> Picture:
    described = imagenet_classes()[wnid]
    return Picture(
        image_id="/".join((KIND, split, *([wnid] if split == "train" else []), stem(name))),
        path=path,
        split=SPLITS[split],
        class_id=described.class_id,
        class_name=described.name,
        captions=[described.name],
        source=KIND,
        family=KIND,
        group=split,
        subgroup=wnid,
    )


def _by_class(root: Path, split: str, val_labels: Path | None) -> Iterator[tuple[str, Found]]:
    """WordNet ids with their pictures, each once; last "" for files that belong to none."""
    folder, archive = root / split, root / ARCHIVES[split]
    wnids = _class_folders(folder) if folder.is_dir() else []
    if wnids:
        for wnid in wnids:
            yield wnid, scan_folder(folder / wnid)
        loose = scan_folder(folder)
        yield "", Found({}, loose.num_ignored + len(loose.paths))
    elif split == "train" and archive.is_file():
        for wnid, found in scan_tar_of_tars(archive):
            if wnid and wnid not in imagenet_classes():
                raise DataError(f"{archive}: expected archives of the 1000 classes, n01440764.tar, found {wnid}.tar")
            yield wnid, found
    elif split == "val" and (folder.is_dir() or archive.is_file()):
        where, found = folder, scan_folder(folder) if folder.is_dir() else Found({}, 0)
        if not found.paths and archive.is_file():
            where, found = archive, scan_tar(archive)
        if not found.paths:
            raise DataError(f"{where}: expected pictures{' or class folders' if where == folder else ''}, found none")
        yield from _sort_into_classes(found, read_val_labels(root, val_labels), where)
    else:
        inside = f"; in {split}/: {contents(folder)}" if folder.is_dir() else ""
        pictures = "" if split == "train" else " or pictures"
        raise DataError(
            f"{root}: expected ImageNet-1K, {ARCHIVES[split]} or a folder {split} of class folders "
            f"(n01440764, ...){pictures}; found {contents(root)}{inside}"
        )


def _class_folders(folder: Path) -> list[str]:
    """Sorted names. Raises DataError for a WordNet id that is no class of ImageNet-1K."""
    names = sorted(entry.name for entry in folder.iterdir() if WORDNET_ID.fullmatch(entry.name))
    if unknown := [name for name in names if name not in imagenet_classes()]:
        raise DataError(
            f"{folder}: expected the classes of ImageNet-1K, found {len(unknown)} other folder(s), first {unknown[0]}"
        )
    return names


def _sort_into_classes(found: Found, labels: dict[str, str], where: Path) -> Iterator[tuple[str, Found]]:
    by_class: dict[str, dict[str, str]] = {}
    for name, path in sorted(found.paths.items()):
        if stem(name) not in labels:
            raise DataError(
                f"{where}: no label for {name}; expected names ILSVRC2012_val_00000001.JPEG to "
                f"{max(labels)}.JPEG, as many as labels"
            )
        by_class.setdefault(labels[stem(name)], {})[name] = path
    for wnid, paths in sorted(by_class.items()):
        yield wnid, Found(paths, 0)
    yield "", Found({}, found.num_ignored)
