"""VQA v2 (Goyal et al., CVPR 2017): questions about COCO 2014 pictures, each with ten people's answers.

``v2_OpenEnded_mscoco_train2014_questions.json`` and ``v2_mscoco_train2014_annotations.json``, and the same of val.
Counts: those of the files on visualqa.org.
"""

import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.config.sources import VqaV2Config
from v2l.data.questions import ANSWER_TYPES, COLUMNS, NUM_ANSWERS
from v2l.data.sources.coco import coco_picture, require_pictures, scan_coco_pictures
from v2l.data.sources.listing import Listing, absolute_root, compare_counts, contents
from v2l.data.sources.records import read_records
from v2l.errors import DataError

COUNTS = {"train": {"questions": 443_757, "pictures": 82_783}, "val": {"questions": 214_354, "pictures": 40_504}}
KIND = "vqa_v2"


def list_vqa_v2(config: VqaV2Config) -> Listing:
    """The questions of the configured splits, sorted by number, and the pictures that they are about, without captions.

    image_id: ``vqa_v2/train2014/COCO_train2014_000000000009``. Answers are as given, in the order of their answer_id.
    Raises DataError if a file or picture is missing, questions and annotations differ, or a count is not VQA v2's.
    """
    root = absolute_root(config.root, "VQA v2")
    base = root if config.pictures is None else absolute_root(config.pictures, "COCO 2014 pictures")
    pictures, questions, num_ignored = [], [], 0
    for split in config.splits:
        folder = f"{split}2014"
        asked = root / f"v2_OpenEnded_mscoco_{folder}_questions.json"
        answered = root / f"v2_mscoco_{folder}_annotations.json"
        for path in (asked, answered):
            if not path.is_file():
                raise DataError(f"{path}: not found; expected VQA v2 in {root}; found {contents(root)}")
        rows = _read_questions(asked, answered)
        names = {number: f"COCO_{folder}_{number:012d}.jpg" for number in sorted({row["image_id"] for row in rows})}
        if config.check_counts:
            compare_counts(asked, COUNTS[split], {"questions": len(rows), "pictures": len(names)})
        found = scan_coco_pictures(base, folder)
        require_pictures(asked, names.values(), found, base / folder)
        num_ignored += found.num_ignored + len(found.paths) - len(names)
        shown = {n: coco_picture(KIND, name, found.paths[name], split, folder, []) for n, name in names.items()}
        pictures += shown.values()
        questions += [{**row, "image_id": shown[row["image_id"]].image_id} for row in rows]
    return Listing(sorted(pictures), num_ignored, pd.DataFrame(questions, columns=COLUMNS))


def _read_questions(asked: Path, answered: Path) -> list[dict[str, Any]]:
    """Rows of the question table, but with COCO's number of the picture as image_id."""
    keys = {"question_id": int, "image_id": int}
    (questions,) = read_records(asked, {"questions": {**keys, "question": str}})
    (annotations,) = read_records(
        answered, {"annotations": {**keys, "answers": list, "answer_type": str}}, _compact_answer
    )
    by_id = {annotation["question_id"]: annotation for annotation in annotations}
    ids = {question["question_id"] for question in questions}
    if len(ids) != len(questions):
        raise DataError(f"{asked}: {len(questions) - len(ids)} question_id(s) occur twice")
    if by_id.keys() != ids or len(by_id) != len(annotations):
        differing = min(by_id.keys() ^ ids, default="an id twice")
        raise DataError(
            f"{answered}: expected one annotation of every question in {asked.name}, {len(ids)}; found "
            f"{len(annotations)}, differing first in {differing}"
        )
    return [
        _row(question, by_id[question["question_id"]], answered)
        for question in sorted(questions, key=itemgetter("question_id"))
    ]


def _compact_answer(record: dict[str, Any]) -> Any:
    """An answer as (answer_id, text): the four million of the training split would take gigabytes as dictionaries."""
    number, text = record.get("answer_id"), record.get("answer")
    return (number, sys.intern(text)) if isinstance(number, int) and isinstance(text, str) else record


def _row(question: dict[str, Any], annotation: dict[str, Any], path: Path) -> dict[str, Any]:
    answers = sorted(answer for answer in annotation["answers"] if isinstance(answer, tuple))
    where = f"{path}: question {question['question_id']}"
    if len(answers) != NUM_ANSWERS or len(annotation["answers"]) != NUM_ANSWERS:
        raise DataError(f"{where}: expected {NUM_ANSWERS} answers with answer_id and answer, found {len(answers)}")
    if annotation["answer_type"] not in ANSWER_TYPES:
        raise DataError(
            f"{where}: answer_type: expected {', '.join(ANSWER_TYPES)}, found {annotation['answer_type']!r}"
        )
    if annotation["image_id"] != question["image_id"]:
        raise DataError(
            f"{where}: image_id: expected {question['image_id']} as in the questions, found {annotation['image_id']}"
        )
    return {
        "question_id": str(question["question_id"]),
        "image_id": question["image_id"],
        "question": question["question"],
        "answers": [text for _, text in answers],
        "answer_type": annotation["answer_type"],
    }
