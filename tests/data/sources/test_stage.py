import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from pydantic import TypeAdapter

from v2l.artifacts import read_json, read_rows
from v2l.config.sources import AnySourceConfig, SourcesConfig
from v2l.data.manifest import read_manifest
from v2l.data.questions import COLUMNS, read_questions
from v2l.data.sources.decoding import Seen, look
from v2l.data.sources.locator import open_picture
from v2l.data.sources.stage import pictures
from v2l.errors import ArtifactError, DataError

from . import replicas
from .replicas import CRANE, TENCH


def source(kind: str, root: Path, **changes) -> dict:
    return {"kind": kind, "root": root, "check_counts": False, **changes}


def use_processors(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs the stage into a new folder and returns it."""
    use_processors(monkeypatch, 1)

    def run(*sources: dict, name: str = "out", **changes) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        parsed = [TypeAdapter(AnySourceConfig).validate_python(each) for each in sources]
        # a run needs questions, a test of another data set does not
        config = SourcesConfig.model_construct(kind="sources", sources=parsed, **{"max_unreadable": 0, **changes})
        pictures(folder / "m.parquet", folder / "report.json", folder / "questions.parquet", config)
        return folder

    return run


@pytest.fixture
def all_sources(tmp_path: Path) -> list[dict]:
    coco = replicas.vqa_v2(replicas.coco(tmp_path / "coco"))
    return [
        source("imagenet", replicas.imagenet_tars(tmp_path / "imagenet")),
        source("mini_imagenet", replicas.mini_imagenet(tmp_path / "mini")),
        source("coco", coco, year=2014),
        source("vqa_v2", coco),
    ]


def test_every_source_is_in_the_manifest_with_the_hash_of_its_bytes(run: Callable[..., Path], all_sources: list[dict]):
    folder = run(*all_sources)
    manifest = read_manifest(folder / "m.parquet")
    assert manifest.groupby("source", sort=False).size().to_dict() == {
        "imagenet": 9, "mini_imagenet": 6, "coco": 3,
    }  # fmt: skip
    for row in manifest.itertuples():
        assert hashlib.sha256(open_picture(row.path).read()).hexdigest() == row.sha256
    assert asked(folder) == set(manifest["image_id"][manifest["source"] == "coco"])


def asked(folder: Path) -> set[str]:
    return set(read_questions(folder / "questions.parquet")["image_id"])


@pytest.mark.parametrize("order", [1, -1])
def test_a_picture_of_two_sources_has_one_row_with_its_captions(run: Callable[..., Path], tmp_path: Path, order: int):
    coco = replicas.coco(tmp_path / "coco")
    vqa = source("vqa_v2", replicas.vqa_v2(tmp_path / "vqa"), pictures=coco)
    folder = run(*[source("coco", coco, year=2014, splits=["val"]), vqa][::order])
    manifest = read_manifest(folder / "m.parquet")
    names = [f"vqa_v2/train2014/COCO_train2014_{number:012d}" for number in (9, 25)]
    shared = "coco/val2014/COCO_val2014_000000000042"
    assert set(manifest["image_id"]) == asked(folder) == {*names, shared}
    assert list(manifest.set_index("image_id").loc[shared, "captions"]) == replicas.CAPTIONS[42]
    counted = {entry["kind"]: entry for entry in read_json(folder / "report.json")["sources"]}
    assert (counted["coco"]["num_shared"], counted["vqa_v2"]["num_shared"]) == (0, 1)
    assert (counted["coco"]["num_pictures"], counted["vqa_v2"]["num_pictures"]) == (1, 2)


def test_a_copy_in_another_folder_is_another_picture(run: Callable[..., Path], tmp_path: Path):
    vqa = replicas.vqa_v2(replicas.coco(tmp_path / "vqa"))
    folder = run(source("coco", replicas.coco(tmp_path / "coco"), year=2014), source("vqa_v2", vqa))
    assert {name.partition("/")[0] for name in asked(folder)} == {"vqa_v2"}
    assert len(read_manifest(folder / "m.parquet")) == 6


def test_report_counts_by_source_split_and_class(run: Callable[..., Path], tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path / "imagenet")
    assert read_json(run(source("imagenet", root)) / "report.json") == {
        "sources": [
            {
                "kind": "imagenet",
                "root": str(root),
                "num_ignored": 2,
                "num_shared": 0,
                "num_pictures": 9,
                "num_captions": 9,
                "num_exif_rotated": 1,
                "modes": {"RGB": 7, "L": 1, "CMYK": 1},
                "formats": {"JPEG": 8, "PNG": 1},
                "splits": {
                    "train": {"split": "train", "num_pictures": 5, "classes": {"tench": 3, "crane bird": 2}},
                    "val": {
                        "split": "heldout",
                        "num_pictures": 4,
                        "classes": {"tench": 2, "goldfish": 1, "crane bird": 1},
                    },
                },
            }
        ],
        "num_pictures": 9,
        "num_classes": 3,
        "num_questions": 0,
        "unreadable": [],
    }


def test_pictures_without_class_are_counted_without(run: Callable[..., Path], all_sources: list[dict]):
    report = read_json(run(*all_sources[2:]) / "report.json")
    coco, vqa = report["sources"]
    assert coco["splits"]["val2014"] == {"split": "heldout", "num_pictures": 1, "classes": {}}
    assert (report["num_pictures"], report["num_classes"]) == (3, 0)
    assert (coco["num_captions"], coco["num_shared"]) == (6, 0)
    assert (vqa["num_captions"], vqa["num_shared"], vqa["splits"]) == (0, 3, {})
    assert report["num_questions"] == 9


def test_folders_and_archives_have_the_same_hashes(run: Callable[..., Path], tmp_path: Path):
    folders = run(source("imagenet", replicas.imagenet_folders(tmp_path / "a")), name="one")
    tars = run(source("imagenet", replicas.imagenet_tars(tmp_path / "b")), name="two")
    one, two = (read_manifest(folder / "m.parquet").drop(columns="path") for folder in (folders, tars))
    assert one.astype(str).equals(two.astype(str))


def test_results_do_not_depend_on_the_number_of_workers(
    run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = replicas.imagenet_folders(tmp_path / "imagenet")
    for number in range(150):  # several pieces of work for each of the workers
        (root / "train" / TENCH / f"{TENCH}_{number + 20000}.JPEG").write_bytes(replicas.jpeg(number))
    folders = []
    for workers in (1, 3):
        use_processors(monkeypatch, workers)
        folders.append(run(source("imagenet", root), name=str(workers)))
    for name in ("m.parquet", "report.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_unreadable_picture_is_reported_and_left_out_within_the_limit(run: Callable[..., Path], tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path / "imagenet")
    path = root / "train" / CRANE / f"{CRANE}_5.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    folder = run(source("imagenet", root), max_unreadable=1)
    (unreadable,) = read_json(folder / "report.json")["unreadable"]
    assert (unreadable["image_id"], unreadable["path"]) == (f"imagenet/train/{CRANE}/{CRANE}_5", str(path))
    assert unreadable["reason"]
    assert unreadable["image_id"] not in read_manifest(folder / "m.parquet")["image_id"].tolist()


def test_more_unreadable_pictures_than_allowed_stop_the_stage(run: Callable[..., Path], tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path / "imagenet")
    for name in (f"{TENCH}_9.JPEG", f"{TENCH}_18.JPEG"):
        (root / "train" / TENCH / name).write_bytes(b"")
    message = (
        rf"{TENCH}_18\.JPEG: not a readable picture \(.+\); 2 of 9 pictures are unreadable, "
        r"data\.max_unreadable allows 1$"
    )
    with pytest.raises(DataError, match=message):
        run(source("imagenet", root), max_unreadable=1)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("shared", [False, True])
def test_questions_about_an_unreadable_picture_are_left_out(run: Callable[..., Path], tmp_path: Path, shared: bool):
    root = replicas.vqa_v2(replicas.coco(tmp_path / "coco"))
    (root / "train2014" / "COCO_train2014_000000000009.jpg").write_bytes(b"<html>")
    folder = run(*[source("coco", root, year=2014)] * shared, source("vqa_v2", root), max_unreadable=1)
    assert read_questions(folder / "questions.parquet")["question_id"].tolist() == [
        "25000", "25001", "25002", "42000", "42001", "42002",
    ]  # fmt: skip
    assert read_json(folder / "report.json")["num_questions"] == 6


def test_a_folder_that_may_not_be_entered_is_refused_by_name(
    run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = replicas.mini_imagenet(tmp_path / "mini")
    may_be_asked = Path.is_dir

    def is_dir(path: Path) -> bool:
        if path == root / "images":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return may_be_asked(path)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    message = (
        r"mini/images: cannot be read \(Permission denied\); expected the files of the source mini_imagenet in .*mini$"
    )
    with pytest.raises(DataError, match=message):
        run(source("mini_imagenet", root))


def test_one_source_twice_is_refused(run: Callable[..., Path], tmp_path: Path):
    mini = source("mini_imagenet", replicas.mini_imagenet(tmp_path / "mini"))
    with pytest.raises(DataError, match=rf"its image_id mini_imagenet/{TENCH}/{TENCH}00000005 is that of .* too"):
        run(mini, mini)


def test_two_files_that_differ_in_suffix_only_are_refused(run: Callable[..., Path], tmp_path: Path):
    root = replicas.imagenet_folders(tmp_path / "imagenet")
    (root / "train" / TENCH / f"{TENCH}_9.jpg").write_bytes(replicas.jpeg())
    with pytest.raises(DataError, match=rf"{TENCH}_9\.jpg: its image_id imagenet/train/{TENCH}/{TENCH}_9 is that of"):
        run(source("imagenet", root))


def test_without_questions_their_table_is_empty(run: Callable[..., Path], tmp_path: Path):
    folder = run(source("mini_imagenet", replicas.mini_imagenet(tmp_path / "mini")))
    assert read_rows(folder / "questions.parquet", COLUMNS).empty
    with pytest.raises(ArtifactError, match=r"questions\.parquet: expected questions, found none"):
        read_questions(folder / "questions.parquet")


class TestLook:
    def test_says_what_the_picture_is_as_stored(self, tmp_path: Path):
        content = replicas.jpeg(mode="CMYK", orientation=6)
        (tmp_path / "a.jpg").write_bytes(content)
        assert look(str(tmp_path / "a.jpg")) == Seen(hashlib.sha256(content).hexdigest(), "CMYK", "JPEG", True)

    @pytest.mark.parametrize("orientation", [0, 1, 9])
    def test_upright_pictures_are_not_rotated(self, tmp_path: Path, orientation: int):
        (tmp_path / "a.jpg").write_bytes(replicas.jpeg(orientation=orientation))
        assert not look(str(tmp_path / "a.jpg")).rotated

    @pytest.mark.parametrize(("exif", "rotated"), [(replicas.ODD_EXIF, True), (replicas.NO_EXIF, False)])
    def test_malformed_exif_data_cost_no_picture(self, tmp_path: Path, exif: bytes, rotated: bool):
        Image.new("RGB", (16, 8)).save(tmp_path / "a.jpg", exif=exif, dpi=(72, 72))
        assert look(str(tmp_path / "a.jpg")).rotated == rotated

    def test_a_picture_cut_short_is_unreadable_in_one_line(self, tmp_path: Path):
        (tmp_path / "a.jpg").write_bytes(replicas.jpeg(size=(64, 64))[:-500])
        reason = look(str(tmp_path / "a.jpg"))
        assert isinstance(reason, str)
        assert "truncated" in reason
        assert "\n" not in reason

    def test_a_picture_gone_since_it_was_listed_is_unreadable(self, tmp_path: Path):
        assert "No such file" in look(str(tmp_path / "a.jpg"))
        (tmp_path / "a.tar").write_bytes(b"short")
        assert look(f"{tmp_path}/a.tar#2+9") == "archive ends 6 bytes before the picture does"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "imagenet21k"}, "does not match any of the expected tags"),
        ({"kind": "coco"}, "year\n  Field required"),
        ({"kind": "coco", "year": 2015}, "Input should be 2014 or 2017"),
        ({"kind": "imagenet", "splits": ["train", "train"]}, "expected each split once, found train, train"),
        ({"kind": "imagenet", "splits": []}, "at least 1 item"),
        ({"kind": "imagenet", "year": 2014}, "Extra inputs are not permitted"),
        ({"kind": "mini_imagenet", "splits": {"test": "val"}}, "Input should be 'train' or 'heldout'"),
    ],
)
def test_impossible_configurations_are_refused(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        TypeAdapter(SourcesConfig).validate_python({"kind": "sources", "sources": [{"root": "data", **change}]})
