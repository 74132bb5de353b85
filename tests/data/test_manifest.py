from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.data.manifest import (
    CAPTION,
    COLUMNS,
    FEWSHOT,
    PICTURES,
    VQA,
    check_unreadable,
    evenly_spaced,
    heldout_rows,
    read_manifest,
    training_rows,
)
from v2l.errors import ArtifactError, DataError


def manifest_frame(splits: list[str]) -> pd.DataFrame:
    columns = {name: [f"{name} {i}" for i in range(len(splits))] for name in COLUMNS}
    columns |= {"split": splits, "class_id": range(len(splits)), "captions": [["ant", "bug"]] * len(splits)}
    return pd.DataFrame(columns)


def test_more_unreadable_pictures_than_allowed_are_refused_by_the_path_or_id_of_the_first():
    unreadable = [{"image_id": "noto/ant", "reason": "cut"}, {"image_id": "noto/bee", "path": "b.png", "reason": "no"}]
    check_unreadable(unreadable, 7, max_unreadable=2)
    message = (
        r"noto/ant: not a readable picture \(cut\); 2 of 7 pictures are unreadable, data\.max_unreadable allows 1$"
    )
    with pytest.raises(DataError, match=message):
        check_unreadable(unreadable, 7, max_unreadable=1)
    with pytest.raises(DataError, match=r"^b\.png: not a readable picture \(no\); 1 of 7"):
        check_unreadable(unreadable[1:], 7, max_unreadable=0)


def test_written_manifest_reads_back(tmp_path: Path):
    write_rows(tmp_path / "m.parquet", manifest_frame(["train", "heldout"]))
    manifest = read_manifest(tmp_path / "m.parquet")
    assert list(manifest.columns) == list(COLUMNS)
    assert list(manifest["captions"][1]) == ["ant", "bug"]


def test_split_rows_keep_their_row_numbers(tmp_path: Path):
    write_rows(tmp_path / "m.parquet", manifest_frame(["train", "heldout", "train", "heldout"]))
    manifest = read_manifest(tmp_path / "m.parquet")
    assert training_rows(manifest).index.tolist() == [0, 2]
    assert heldout_rows(manifest).index.tolist() == [1, 3]


OF_EACH_USE = {PICTURES: "imagenet", FEWSHOT: "mini_imagenet", CAPTION: "coco", VQA: "vqa_v2"}


def rows_by_use(*sources: str) -> dict[str, list[int]]:
    """Training and held-out rows for every use, of a manifest with one of each from every source."""
    splits = ["train", "heldout"] * len(sources)
    manifest = manifest_frame(splits).assign(source=[source for source in sources for _ in range(2)])
    return {use: [*training_rows(manifest, use).index, *heldout_rows(manifest, use).index] for use in OF_EACH_USE}


def test_every_use_has_the_pictures_of_its_data_set() -> None:
    assert rows_by_use(*OF_EACH_USE.values()) == {
        use: [2 * place, 2 * place + 1] for place, use in enumerate(OF_EACH_USE)
    }
    manifest = manifest_frame(["train"] * 4).assign(source=list(OF_EACH_USE.values()))
    assert training_rows(manifest).index.tolist() == [0]


def test_pictures_of_no_data_set_of_the_paper_are_for_every_use() -> None:
    assert rows_by_use("noto", "twemoji") == {use: [0, 2, 1, 3] for use in OF_EACH_USE}


def test_a_use_without_its_data_set_has_the_pictures_that_serve_others_too() -> None:
    """ImageNet's; never those of another use's own data set."""
    assert rows_by_use("imagenet", "coco") == {PICTURES: [0, 1], FEWSHOT: [0, 1], CAPTION: [2, 3], VQA: [0, 1]}
    assert rows_by_use("noto", "coco") == {PICTURES: [0, 1], FEWSHOT: [0, 1], CAPTION: [2, 3], VQA: [0, 1]}


def test_missing_column_is_named(tmp_path: Path):
    write_rows(tmp_path / "m.parquet", manifest_frame(["train"]).drop(columns="family"))
    with pytest.raises(ArtifactError, match=r"m\.parquet: expected column\(s\) family"):
        read_manifest(tmp_path / "m.parquet")


def test_unknown_split_is_refused(tmp_path: Path):
    write_rows(tmp_path / "m.parquet", manifest_frame(["train", "val"]))
    with pytest.raises(ArtifactError, match="expected train or heldout, found val"):
        read_manifest(tmp_path / "m.parquet")


def test_repeated_image_id_is_refused(tmp_path: Path):
    frame = manifest_frame(["train", "heldout"]).assign(image_id="noto/ant")
    write_rows(tmp_path / "m.parquet", frame)
    with pytest.raises(ArtifactError, match="image_id: noto/ant occurs twice"):
        read_manifest(tmp_path / "m.parquet")


def test_evenly_spaced_keeps_ends_and_order() -> None:
    assert evenly_spaced(10, 3).tolist() == [0, 4, 9]
    assert evenly_spaced(3, 5).tolist() == evenly_spaced(3, None).tolist() == [0, 1, 2]
