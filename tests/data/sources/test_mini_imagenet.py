from pathlib import Path

import pytest

from v2l.config.sources import MiniImageNetConfig
from v2l.data.sources.listing import Listing
from v2l.data.sources.mini_imagenet import list_mini_imagenet
from v2l.errors import DataError

from . import replicas
from .replicas import CRANE, GOLDFISH, TENCH


def listing(root: Path, **changes) -> Listing:
    config = {"kind": "mini_imagenet", "root": root, "check_counts": False, **changes}
    return list_mini_imagenet(MiniImageNetConfig(**config))


def test_lists_give_class_split_and_group(tmp_path: Path):
    found = listing(replicas.mini_imagenet(tmp_path))
    rows = [(p.image_id, p.split, p.group, p.subgroup, p.class_id, p.class_name) for p in found.pictures]
    assert rows[::2] == [
        (f"mini_imagenet/{TENCH}/{TENCH}00000005", "train", "train", TENCH, 0, "tench"),
        (f"mini_imagenet/{GOLDFISH}/{GOLDFISH}00000005", "train", "val", GOLDFISH, 1, "goldfish"),
        (f"mini_imagenet/{CRANE}/{CRANE}00000005", "heldout", "test", CRANE, 134, "crane bird"),
    ]
    assert found.pictures[0].path == str(tmp_path / "images" / f"{TENCH}00000005.jpg")
    assert found.num_ignored == 0


def test_class_folders_give_the_same_rows_but_for_paths(tmp_path: Path):
    flat = listing(replicas.mini_imagenet(tmp_path / "a")).pictures
    sorted_ = listing(replicas.mini_imagenet(tmp_path / "b", class_folders=True)).pictures
    assert [p._replace(path="") for p in flat] == [p._replace(path="") for p in sorted_]
    assert sorted_[0].path == str(tmp_path / "b" / "images" / TENCH / f"{TENCH}00000005.jpg")


def test_configuration_says_which_lists_are_read_and_what_they_become(tmp_path: Path):
    found = listing(replicas.mini_imagenet(tmp_path), splits={"test": "train"})
    assert {(picture.group, picture.split) for picture in found.pictures} == {("test", "train")}
    assert found.num_ignored == 4


def test_a_missing_picture_is_refused_by_line(tmp_path: Path):
    root = replicas.mini_imagenet(tmp_path)
    (root / "images" / f"{GOLDFISH}00000012.jpg").unlink()
    message = rf"val\.csv: line 3: picture {GOLDFISH}00000012\.jpg not found in .*images; 1 of 2 are missing"
    with pytest.raises(DataError, match=message):
        listing(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,class\n", r"test\.csv: expected the header filename,label, found 'image,class'"),
        ("", r"test\.csv: expected the header filename,label, found ''"),
        ("filename,label\na.jpg\n", r"test\.csv: line 2: expected a file name and the WordNet id .* found 'a\.jpg'"),
        ("filename,label\na.jpg,n00001740\n", r"test\.csv: line 2: expected .* found 'a\.jpg,n00001740'"),
        (f"filename,label\n../test.csv,{CRANE}\n", r"test\.csv: line 2: picture \.\./test\.csv not found"),
        (f"filename,label\n{CRANE}00000005.jpg,{CRANE}\n" * 2, r"test\.csv: line 3: expected a file name"),
        (f"filename,label\n{TENCH}00000005.jpg,{TENCH}\n", rf"test\.csv: class {TENCH} is in train\.csv too"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, text: str, message: str):
    root = replicas.mini_imagenet(tmp_path)
    (root / "test.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        listing(root)
    assert "\n" not in str(error.value)


def test_a_picture_listed_twice_is_refused(tmp_path: Path):
    root = replicas.mini_imagenet(tmp_path)
    with (root / "test.csv").open("a") as file:
        file.write(f"{CRANE}00000005.jpg,{CRANE}\n")
    with pytest.raises(DataError, match=rf"test\.csv: line 4: {CRANE}00000005\.jpg is listed twice"):
        listing(root)


def test_counts_are_those_of_mini_imagenet_unless_a_part_is_asked_for(tmp_path: Path):
    root = replicas.mini_imagenet(tmp_path)
    message = (
        r"train\.csv: expected 38,400 pictures, 64 classes with 600, found 2 pictures, 0 classes with 600; check_c"
    )
    with pytest.raises(DataError, match=message):
        listing(root, check_counts=True)


def test_another_data_set_is_refused_with_what_was_found(tmp_path: Path):
    root = replicas.coco(tmp_path)
    message = (
        r"expected Mini-ImageNet, a folder images and train\.csv, val\.csv, test\.csv; found annotations/, train2014/"
    )
    with pytest.raises(DataError, match=message):
        listing(root)
