import json
from pathlib import Path

import pytest

from v2l.artifacts import write_rows
from v2l.config.sources import VqaV2Config
from v2l.data.questions import COLUMNS, read_questions
from v2l.data.sources.listing import Listing
from v2l.data.sources.vqa_v2 import list_vqa_v2
from v2l.errors import DataError

from . import replicas


def listing(root: Path, **changes) -> Listing:
    return list_vqa_v2(VqaV2Config(**{"kind": "vqa_v2", "root": root, "check_counts": False, **changes}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return replicas.vqa_v2(replicas.coco(tmp_path / "vqa"))


def annotations(root: Path) -> Path:
    return root / "v2_mscoco_val2014_annotations.json"


def test_pictures_are_those_of_the_questions(root: Path):
    found = listing(root)
    assert [(picture.image_id, picture.split, picture.group) for picture in found.pictures] == [
        ("vqa_v2/train2014/COCO_train2014_000000000009", "train", "train2014"),
        ("vqa_v2/train2014/COCO_train2014_000000000025", "train", "train2014"),
        ("vqa_v2/val2014/COCO_val2014_000000000042", "heldout", "val2014"),
    ]
    assert all(
        (picture.captions, picture.source, picture.family) == ([], "vqa_v2", "coco") for picture in found.pictures
    )


def test_questions_have_ten_answers_as_given_in_the_order_of_answer_id(root: Path):
    table = listing(root).questions
    assert tuple(table.columns) == COLUMNS
    assert table["question_id"].tolist() == [str(n * 1000 + place) for n in (9, 25, 42) for place in range(3)]
    assert table.iloc[-1].to_dict() == {
        "question_id": "42002",
        "image_id": "vqa_v2/val2014/COCO_val2014_000000000042",
        "question": "Is this 42?",
        "answers": replicas.ANSWERS,
        "answer_type": "other",
    }


def test_questions_are_what_the_experiments_read(root: Path, tmp_path: Path):
    write_rows(tmp_path / "q.parquet", listing(root).questions)
    assert list(read_questions(tmp_path / "q.parquet")["answers"][0]) == replicas.ANSWERS


def test_pictures_may_lie_elsewhere(tmp_path: Path):
    pictures = replicas.coco(tmp_path / "coco")
    found = listing(replicas.vqa_v2(tmp_path / "vqa"), pictures=pictures)
    assert found.pictures[0].path == str(pictures / "train2014" / "COCO_train2014_000000000009.jpg")


def test_a_missing_file_or_picture_is_named(root: Path):
    (root / "val2014" / "COCO_val2014_000000000042.jpg").unlink()
    with pytest.raises(DataError, match=r"val2014_questions\.json: picture COCO_val2014_000000000042\.jpg not found"):
        listing(root)
    annotations(root).unlink()
    with pytest.raises(
        DataError, match=r"v2_mscoco_val2014_annotations\.json: not found; expected VQA v2 in .* found ann"
    ):
        listing(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": []}, r"question 42002: expected 10 answers with answer_id and answer, found 0"),
        ({"answers": [{"answer": "yes"}] * 10}, r"question 42002: expected 10 answers .* found 0"),
        ({"answer_type": "maybe"}, r"question 42002: answer_type: expected yes/no, number, other, found 'maybe'"),
        ({"image_id": 9}, r"question 42002: image_id: expected 42 as in the questions, found 9"),
        ({"question_id": 1}, r"expected one annotation of every question .*, 3; found 3, differing first in 1"),
        ({"question_id": 42001}, r"expected one annotation of every question .* differing first in 42002"),
        ({"question_id": "42"}, r"annotations\[0\]: expected question_id of type int, found str"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(root: Path, change: dict, message: str):
    tree = json.loads(annotations(root).read_text())
    (place,) = [n for n, entry in enumerate(tree["annotations"]) if entry["question_id"] == 42002]
    changed = {**tree["annotations"].pop(place), **change}
    replicas.write_json(annotations(root), {"annotations": [changed, *tree["annotations"]]})
    with pytest.raises(DataError, match=rf"v2_mscoco_val2014_annotations\.json: {message}"):
        listing(root)


def test_a_repeated_question_is_refused(root: Path):
    path = root / "v2_OpenEnded_mscoco_val2014_questions.json"
    tree = json.loads(path.read_text())
    replicas.write_json(path, {"questions": tree["questions"] + tree["questions"][:1]})
    with pytest.raises(DataError, match=r"val2014_questions\.json: 1 question_id\(s\) occur twice"):
        listing(root)


def test_counts_are_those_of_vqa_v2_unless_a_part_is_asked_for(root: Path):
    message = r"train2014_questions\.json: expected 443,757 questions, 82,783 pictures, found 6 questions, 2 pictures"
    with pytest.raises(DataError, match=message):
        listing(root, check_counts=True)
