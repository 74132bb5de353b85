"""Templated questions on a small manifest."""

from pathlib import Path

import pandas as pd
import pytest

from v2l.artifacts import write_rows
from v2l.data.manifest import COLUMNS as MANIFEST_COLUMNS
from v2l.data.questions import COLUMNS, load_kinds, make_questions, questions, read_questions
from v2l.errors import ArtifactError, DataError

SUBGROUPS = {
    "wolf": "mammals",
    "owl": "birds",
    "banana": "fruit",
    "rose": "flowers",
    "bus": "ground transportation",
    "hammer": "tools",
    "folder": "office supplies",
}


def make_manifest(subgroups: dict[str, str] = SUBGROUPS) -> pd.DataFrame:
    columns = dict.fromkeys(MANIFEST_COLUMNS, "")
    return pd.DataFrame(
        [
            {**columns, "image_id": f"{split}/{name}", "split": split, "captions": [name], "subgroup": subgroup}
            for split in ("train", "heldout")
            for name, subgroup in subgroups.items()
        ]
    )


def answers_of(table: pd.DataFrame, image_id: str) -> dict[str, str]:
    rows = table[table["image_id"] == image_id]
    return {question: answers[0] for question, answers in zip(rows["question"], rows["answers"], strict=True)}


def test_a_picture_is_asked_its_kind_its_finer_kind_and_one_yes_and_one_no():
    table = make_questions(make_manifest(), seed=0)
    found = answers_of(table, "train/wolf")
    (no,) = [question for question, answer in found.items() if answer == "no"]
    assert {question: answer for question, answer in found.items() if answer != "no"} == {
        "What kind of thing is this?": "animal",
        "What kind of animal is this?": "mammal",
        "Is this an animal?": "yes",
    }
    assert no in {"Is this a plant?", "Is this about traffic?", "Is this a tool?"}


def test_yes_and_no_are_equally_frequent_and_all_answers_agree():
    table = make_questions(make_manifest(), seed=0)
    firsts = table["answers"].str[0]
    yes_no = table["answer_type"] == "yes/no"
    assert firsts[yes_no].value_counts().to_dict() == {"yes": 12, "no": 12}
    assert set(table["answer_type"]) == {"yes/no", "other"}
    assert table["answers"].map(len).eq(10).all()
    assert table["answers"].map(lambda answers: len(set(answers))).eq(1).all()
    assert table["question_id"].is_unique


def test_nothing_is_asked_about_a_subgroup_without_a_plain_word():
    assert not make_questions(make_manifest(), seed=0)["image_id"].str.contains("folder").any()


def test_no_is_never_the_answer_about_a_near_kind():
    fruit = make_manifest({**{f"banana {i}": "fruit" for i in range(40)}, "rose": "flowers", "hammer": "tools"})
    table = make_questions(fruit, seed=0)
    denied = table[table["question_id"].str.startswith("no/") & table["image_id"].str.contains("banana")]
    assert set(denied["question"]) == {"Is this a tool?"}


def test_pictures_of_one_kind_are_denied_different_kinds():
    table = make_questions(make_manifest({**SUBGROUPS, **{f"wolf {i}": "mammals" for i in range(40)}}), seed=0)
    denied = table[table["question_id"].str.startswith("no/") & table["image_id"].str.contains("wolf")]
    assert set(denied["question"]) == {"Is this a plant?", "Is this about traffic?", "Is this a tool?"}


def test_draws_depend_on_seed_and_picture_not_on_order():
    manifest = make_manifest()
    table = make_questions(manifest, seed=0)
    turned = make_questions(manifest.iloc[::-1], seed=0)
    key = ["question_id", "question"]
    assert sorted(map(tuple, table[key].to_numpy())) == sorted(map(tuple, turned[key].to_numpy()))
    assert not table["question"].equals(make_questions(manifest, seed=1)["question"])


def test_every_kind_is_whole():
    kinds = load_kinds()
    subgroups = [subgroup for kind in kinds.values() for subgroup in kind.subgroups]
    assert len(subgroups) == len(set(subgroups))
    for kind in kinds.values():
        assert kind.is_question.endswith("?")
        assert all((answer is not None) == (kind.which_question is not None) for answer in kind.subgroups.values())
        assert kind.near <= kinds.keys() - {kind.name}
        assert all(kind.name in kinds[other].near for other in kind.near)


def test_stage_writes_what_can_be_read_back(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", make_manifest())
    questions(tmp_path / "manifest.parquet", tmp_path / "questions.parquet", seed=0)
    table = read_questions(tmp_path / "questions.parquet")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(make_questions(make_manifest(), seed=0))


def test_a_manifest_of_other_subgroups_is_refused(tmp_path: Path):
    write_rows(tmp_path / "manifest.parquet", make_manifest({"a": "none", "b": "of these"}))
    with pytest.raises(DataError, match=r"manifest\.parquet: column subgroup: expected some of the emoji list's"):
        questions(tmp_path / "manifest.parquet", tmp_path / "questions.parquet", seed=0)
    assert not (tmp_path / "questions.parquet").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": [[]]}, r"question 'q': expected 10 answers, found 0"),
        ({"answers": [["yes"] * 9]}, r"question 'q': expected 10 answers, found 9"),
        ({"answers": [None]}, r"question 'q': expected 10 answers, found 0"),
        ({"answer_type": ["maybe"]}, r"column answer_type: expected yes/no, number, other, found maybe"),
        ({"question_id": []}, "expected questions, found none"),
        ({"question_id": ["q", "q"]}, "column question_id: q occurs twice"),
    ],
)
def test_questions_that_cannot_be_scored_are_refused(tmp_path: Path, change: dict, message: str):
    path = tmp_path / "questions.parquet"
    row = {"question_id": "q", "image_id": "i", "question": "?", "answers": ["yes"] * 10, "answer_type": "yes/no"}
    count = len(next(iter(change.values())))
    write_rows(path, pd.DataFrame({key: [value] * count for key, value in row.items()}).assign(**change))
    with pytest.raises(ArtifactError, match=message):
        read_questions(path)
