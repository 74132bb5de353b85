import shutil
from pathlib import Path

import pytest

from v2l.config.sources import ImageNetConfig
from v2l.data.manifest import COLUMNS
from v2l.data.sources.imagenet import list_imagenet
from v2l.data.sources.listing import Listing, Picture
from v2l.data.sources.locator import open_picture
from v2l.errors import DataError

from . import replicas
from .replicas import CRANE, DEVKIT, TENCH


def listing(root: Path, **changes) -> Listing:
    return list_imagenet(ImageNetConfig(**{"kind": "imagenet", "root": root, "check_counts": False, **changes}))


def val_wnids(root: Path, **changes) -> list[str]:
    return [picture.subgroup for picture in listing(root, splits=["val"], **changes).pictures]


def test_a_picture_is_a_row_of_the_manifest_but_for_the_hash():
    assert (*Picture._fields, "sha256") == COLUMNS


def test_class_folders_give_class_and_split(tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path)
    found = listing(root, splits=["train"])
    assert [picture.image_id for picture in found.pictures] == [
        f"imagenet/train/{TENCH}/{TENCH}_10026",
        f"imagenet/train/{TENCH}/{TENCH}_18",
        f"imagenet/train/{TENCH}/{TENCH}_9",
        f"imagenet/train/{CRANE}/{CRANE}_2933",
        f"imagenet/train/{CRANE}/{CRANE}_5",
    ]
    assert found.pictures[3] == Picture(
        image_id=f"imagenet/train/{CRANE}/{CRANE}_2933",
        path=str(root / "train" / CRANE / f"{CRANE}_2933.JPEG"),
        split="train",
        class_id=134,
        class_name="crane bird",
        captions=["crane bird"],
        source="imagenet",
        family="imagenet",
        group="train",
        subgroup=CRANE,
    )
    assert found.num_ignored == 2


def test_val_classes_come_from_the_ilsvrc_ids_and_not_from_the_sorted_order(tmp_path: Path):
    found = listing(replicas.imagenet_folders(tmp_path), splits=["val"])
    assert [(picture.image_id, picture.subgroup) for picture in found.pictures] == [
        (f"imagenet/val/ILSVRC2012_val_{number:08d}", wnid) for number, wnid in enumerate(replicas.VAL_WNIDS, start=1)
    ]
    assert {picture.split for picture in found.pictures} == {"heldout"}
    assert [picture.class_id for picture in found.pictures] == [134, 0, 1, 0]


def test_archives_give_the_same_rows_and_bytes_as_folders(tmp_path: Path):
    folders, tars = listing(replicas.imagenet_folders(tmp_path / "a")), listing(replicas.imagenet_tars(tmp_path / "b"))
    assert [picture._replace(path="") for picture in folders.pictures] == [
        picture._replace(path="") for picture in tars.pictures
    ]
    for one, other in zip(folders.pictures, tars.pictures, strict=True):
        assert open_picture(one.path).read() == open_picture(other.path).read()
    assert all(".tar#" in picture.path for picture in tars.pictures)
    assert tars.num_ignored == folders.num_ignored + 1  # notes.txt


def test_empty_folders_beside_the_archives_are_passed_over(tmp_path: Path):
    root = replicas.imagenet_tars(tmp_path)
    expected = listing(root)
    for split in ("train", "val"):
        (root / split).mkdir()
    assert listing(root) == expected


def test_val_in_class_folders_needs_no_labels_and_gives_the_same_rows(tmp_path: Path):
    flat = listing(replicas.imagenet_folders(tmp_path / "a"), splits=["val"]).pictures
    for (name, content), wnid in zip(replicas.VAL.items(), replicas.VAL_WNIDS, strict=True):
        replicas.write_files(tmp_path / "b" / "val" / wnid, {name: content})
    (tmp_path / "b" / "val" / "loose.JPEG").write_bytes(b"")
    sorted_ = listing(tmp_path / "b", splits=["val"])
    assert [picture._replace(path="") for picture in sorted_.pictures] == [p._replace(path="") for p in flat]
    assert sorted_.num_ignored == 1


def test_kaggles_table_serves_where_there_is_no_devkit(tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path)
    shutil.rmtree(root / "ILSVRC2012_devkit_t12")
    lines = [
        f"{Path(name).stem},{wnid} 85 1 499 272 " for name, wnid in zip(replicas.VAL, replicas.VAL_WNIDS, strict=True)
    ]
    table = "\n".join(["ImageId,PredictionString", *reversed(lines)])
    (root / "LOC_val_solution.csv").write_text(table)
    assert val_wnids(root) == list(replicas.VAL_WNIDS)
    (root / "LOC_val_solution.csv").rename(tmp_path / "elsewhere.csv")
    assert val_wnids(root, val_labels=tmp_path / "elsewhere.csv") == list(replicas.VAL_WNIDS)


def test_a_table_may_name_files_and_words(tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path)
    lines = [f"{name} {wnid} words of it" for name, wnid in zip(replicas.VAL, replicas.VAL_WNIDS, strict=True)]
    (tmp_path / "synset_words.txt").write_text("\n".join(lines))
    assert val_wnids(root, val_labels=tmp_path / "synset_words.txt") == list(replicas.VAL_WNIDS)


def test_the_devkit_may_lie_elsewhere(tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path / "set")
    shutil.move(root / DEVKIT, tmp_path / "kit")
    assert val_wnids(root, val_labels=tmp_path / "kit") == list(replicas.VAL_WNIDS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"meta.mat": None}, r"expected the classes of the val pictures, .*ground_truth\.txt beside meta\.mat"),
        ({"meta.mat": b"MATLAB no more"}, r"meta\.mat: expected a table synsets with ILSVRC2012_ID and WNID"),
        ({"ILSVRC2012_validation_ground_truth.txt": b"7\n1001\n"}, r"line 2: expected an ILSVRC id .* found '1001'"),
        ({"ILSVRC2012_validation_ground_truth.txt": b"7\ncrane\n"}, r"line 2: expected an ILSVRC id .* found 'crane'"),
        (
            {"ILSVRC2012_validation_ground_truth.txt": b""},
            r"ground_truth\.txt: expected an ILSVRC id a line, found none",
        ),
        ({"ILSVRC2012_validation_ground_truth.txt": b"7\n449\n"}, r"no label for ILSVRC2012_val_00000003\.JPEG"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, bytes | None], message: str):
    root = replicas.imagenet_folders(tmp_path)
    for name, content in change.items():
        if content is None:
            (root / DEVKIT / name).unlink()
        else:
            (root / DEVKIT / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        listing(root)
    assert "\n" not in str(error.value)


def test_a_table_that_is_none_is_refused_by_line(tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path)
    for content, message in {
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n00001740 1": r"t\.csv: line 2: expected ILSVRC2012_val_0",
        "ImageId,PredictionString\n": r"t\.csv: expected a picture's name and WordNet id a line, found none",
    }.items():
        (tmp_path / "t.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            listing(root, val_labels=tmp_path / "t.csv")


def test_another_data_set_is_refused_with_what_was_found(tmp_path: Path):
    root = replicas.coco(tmp_path / "coco")
    with pytest.raises(
        DataError, match=r"coco: expected ImageNet-1K, ILSVRC2012_img_train\.tar or .* found annotations/, t"
    ):
        listing(root)
    replicas.write_files(root / "val", {"COCO_val2014_000000000042.jpg": b""})
    replicas.write_devkit(root)
    with pytest.raises(DataError, match=r"no label for COCO_val2014_000000000042\.jpg; expected names ILSVRC2012_val_"):
        listing(root, splits=["val"])
    replicas.write_files(root / "train", {"000000000009.jpg": b""})
    with pytest.raises(DataError, match=r"; in train/: 000000000009\.jpg"):
        listing(root)


def test_a_missing_root_and_an_empty_folder_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"none: folder not found; expected ImageNet-1K"):
        listing(tmp_path / "none")
    with pytest.raises(DataError, match="found nothing"):
        listing(tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="val: expected pictures or class folders, found none"):
        listing(tmp_path, splits=["val"])


def test_classes_of_a_larger_imagenet_are_refused(tmp_path: Path):
    replicas.write_files(tmp_path / "a" / "train" / "n00001740", {"n00001740_1.JPEG": b""})
    with pytest.raises(DataError, match=r"found 1 other folder\(s\), first n00001740"):
        listing(tmp_path / "a")
    replicas.write_files(
        tmp_path / "b", {"ILSVRC2012_img_train.tar": replicas.tar_bytes({"n00001740.tar": replicas.tar_bytes({})})}
    )
    with pytest.raises(DataError, match=r"expected archives of the 1000 classes, n01440764\.tar, found n00001740\.tar"):
        listing(tmp_path / "b")


def test_counts_are_those_of_imagenet_unless_a_part_is_asked_for(tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path)
    message = (
        r"ImageNet-1K, split train: expected 1,281,167 pictures, 1,000 classes, found 5 pictures, 2 classes; "
        r"check_counts: false accepts a part"
    )
    with pytest.raises(DataError, match=message):
        listing(root, check_counts=True)
    with pytest.raises(DataError, match=r"split val: expected 50,000 pictures, 1,000 classes, found 4 pictures, 3 cl"):
        listing(root, check_counts=True, splits=["val"])


def test_a_truncated_archive_is_named(tmp_path: Path):
    path = replicas.imagenet_tars(tmp_path) / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[:-11000])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar: .*whole, uncompressed tar archive"):
        listing(tmp_path)
