import json
from pathlib import Path

import pytest

from v2l.config.sources import CocoConfig
from v2l.data.sources.coco import list_coco
from v2l.data.sources.listing import Listing, Picture
from v2l.errors import DataError

from . import replicas


def listing(root: Path, year: int = 2014, **changes) -> Listing:
    return list_coco(CocoConfig(**{"kind": "coco", "root": root, "year": year, "check_counts": False, **changes}))


def test_a_picture_has_all_its_captions_stripped_and_in_unicode(tmp_path: Path):
    found = listing(replicas.coco(tmp_path))
    assert found.pictures[0] == Picture(
        image_id="coco/train2014/COCO_train2014_000000000009",
        path=str(tmp_path / "train2014" / "COCO_train2014_000000000009.jpg"),
        split="train",
        class_id=-1,
        class_name="",
        captions=["A café: “déjeuner” on a tray.", "Bread and fruit"],
        source="coco",
        family="coco",
        group="train2014",
        subgroup="",
    )
    assert [picture.split for picture in found.pictures] == ["train", "train", "heldout"]
    assert found.pictures[2].captions == replicas.CAPTIONS[42]


def test_2017_has_other_file_names(tmp_path: Path):
    found = listing(replicas.coco(tmp_path, 2017), 2017, splits=["val"])
    assert [picture.image_id for picture in found.pictures] == ["coco/val2017/000000000042"]


def test_pictures_without_an_entry_are_passed_over_and_counted(tmp_path: Path):
    root = replicas.coco(tmp_path)
    replicas.write_files(root / "train2014", {"COCO_train2014_000000000077.jpg": b"", "notes.txt": b""})
    assert listing(root).num_ignored == 2


def test_a_missing_picture_is_refused(tmp_path: Path):
    root = replicas.coco(tmp_path)
    (root / "train2014" / "COCO_train2014_000000000025.jpg").unlink()
    message = (
        r"captions_train2014\.json: picture COCO_train2014_000000000025\.jpg not found in .*train2014; 1 of 2 are mis"
    )
    with pytest.raises(DataError, match=message):
        listing(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [{"image_id": 7, "caption": "x"}]}, r"annotations\[0\]: no image has the id 7"),
        (
            {"annotations": [{"image_id": 42, "bbox": []}]},
            r"annotations\[0\]: expected caption of type str, found none",
        ),
        (
            {"annotations": [{"image_id": "42", "caption": "x"}]},
            r"annotations\[0\]: expected image_id of type int, found str",
        ),
        ({"annotations": []}, r"expected a caption of every picture, found none of COCO_val2014_000000000042\.jpg"),
        ({"images": None}, r"expected an object with the list\(s\) images, annotations, found an object with info, im"),
        (
            {"images": [{"id": 42, "file_name": name} for name in ("a.jpg", "b.jpg")]},
            r"expected an id and a file_name of its own for each of 2 images",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: dict, message: str):
    root = replicas.coco(tmp_path)
    path = root / "annotations" / "captions_val2014.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=rf"captions_val2014\.json: {message}"):
        listing(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", r"not valid JSON"), ("[]", r"expected an object .*, found list"), ("\ufffe", "not valid")],
)
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: str, message: str):
    root = replicas.coco(tmp_path)
    (root / "annotations" / "captions_val2014.json").write_text(text)
    with pytest.raises(DataError, match=rf"captions_val2014\.json: {message}"):
        listing(root)


def test_counts_are_those_of_coco_unless_a_part_is_asked_for(tmp_path: Path):
    message = (
        r"captions_train2014\.json: expected 82,783 pictures, 414,113 captions, found 2 pictures, 4 captions; check_c"
    )
    with pytest.raises(DataError, match=message):
        listing(replicas.coco(tmp_path), check_counts=True)


def test_another_data_set_or_year_is_refused_with_what_was_found(tmp_path: Path):
    root = replicas.coco(tmp_path / "coco")
    with pytest.raises(
        DataError, match=r"train2017: not found; expected COCO pictures .* found annotations/, train2014/"
    ):
        listing(root, 2017)
    root = replicas.imagenet_folders(tmp_path / "imagenet")
    with pytest.raises(DataError, match=r"train2014: not found; .* found ILSVRC2012_devkit_t12/, train/, val/"):
        listing(root)
