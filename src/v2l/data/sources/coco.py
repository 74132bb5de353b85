"""COCO captions 2014 and 2017: ``annotations/captions_train2014.json`` beside ``train2014/`` and so on.

Every picture has five captions or a few more. Counts: those of the files on cocodataset.org.
"""

from collections.abc import Collection
from pathlib import Path

from v2l.config.sources import CocoConfig
from v2l.data.manifest import HELDOUT, TRAIN
from v2l.data.sources.listing import (
    NO_CLASS,
    Found,
    Listing,
    Picture,
    absolute_root,
    compare_counts,
    contents,
    scan_folder,
    stem,
)
from v2l.data.sources.records import read_records
from v2l.errors import DataError

COUNTS = {
    "train2014": {"pictures": 82_783, "captions": 414_113},
    "val2014": {"pictures": 40_504, "captions": 202_654},
    "train2017": {"pictures": 118_287, "captions": 591_753},
    "val2017": {"pictures": 5_000, "captions": 25_014},
}
SPLITS = {"train": TRAIN, "val": HELDOUT}
FAMILY = "coco"
KIND = "coco"


def list_coco(config: CocoConfig) -> Listing:
    """All captioned pictures of the configured splits: ``coco/train2014/<name>``, with ``group`` train2014.

    captions: all of the picture's, stripped of white space around them, in the order of the file. There are no classes.
    Raises DataError if the root holds another data set, a picture is missing, or a count is not COCO's.
    """
    root = absolute_root(config.root, "COCO captions")
    pictures, num_ignored = [], 0
    for split in config.splits:
        folder = f"{split}{config.year}"
        file = root / "annotations" / f"captions_{folder}.json"
        found = scan_coco_pictures(root, folder, file)
        captions = _read_captions(file)
        if config.check_counts:
            numbers = {"pictures": len(captions), "captions": sum(len(texts) for texts in captions.values())}
            compare_counts(file, COUNTS[folder], numbers)
        require_pictures(file, captions, found, root / folder)
        num_ignored += found.num_ignored + len(found.paths) - len(captions)
        pictures += [
            coco_picture(KIND, name, found.paths[name], split, folder, texts) for name, texts in captions.items()
        ]
    return Listing(sorted(pictures), num_ignored)


def coco_picture(kind: str, name: str, path: str, split: str, folder: str, captions: list[str]) -> Picture:
    """The row of a COCO picture in the source ``kind``. split: the owners'."""
    return Picture(
        image_id=f"{kind}/{folder}/{stem(name)}",
        path=path,
        split=SPLITS[split],
        class_id=NO_CLASS,
        class_name="",
        captions=captions,
        source=kind,
        family=FAMILY,
        group=folder,
        subgroup="",
    )


def scan_coco_pictures(root: Path, folder: str, *files: Path) -> Found:
    """The pictures of a folder such as train2014. Raises DataError if it, or one of the text files, is not there."""
    absent = [str(path) for path in (root / folder, *files) if not path.exists()]
    if absent:
        raise DataError(f"{absent[0]}: not found; expected COCO pictures in {root / folder}; found {contents(root)}")
    return scan_folder(root / folder)


def require_pictures(file: Path, names: Collection[str], found: Found, folder: Path) -> None:
    """Raises DataError if a picture that a file names is not in the folder."""
    if missing := sorted(name for name in names if name not in found.paths):
        raise DataError(
            f"{file}: picture {missing[0]} not found in {folder}; {len(missing)} of {len(names)} are missing"
        )


def _read_captions(path: Path) -> dict[str, list[str]]:
    """Captions by file name of the picture."""
    keys = {"images": {"id": int, "file_name": str}, "annotations": {"image_id": int, "caption": str}}
    images, annotations = read_records(path, keys)
    captions: dict[int, list[str]] = {image["id"]: [] for image in images}
    for number, annotation in enumerate(annotations):
        if annotation["image_id"] not in captions:
            raise DataError(f"{path}: annotations[{number}]: no image has the id {annotation['image_id']}")
        captions[annotation["image_id"]].append(annotation["caption"].strip())
    if bare := [image["file_name"] for image in images if not captions[image["id"]]]:
        raise DataError(f"{path}: expected a caption of every picture, found none of {bare[0]}; {len(bare)} have none")
    by_name = {image["file_name"]: captions[image["id"]] for image in images}
    if len(by_name) < len(images) or len(captions) < len(images):
        raise DataError(f"{path}: expected an id and a file_name of its own for each of {len(images)} images")
    return by_name
