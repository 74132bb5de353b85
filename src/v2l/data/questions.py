"""Stage ``questions``: templated questions about pictures, in the form of VQA v2 (paper, Figure 5).

The questions are made from the manifest's metadata, not asked by people: a subgroup of the emoji list stands for a kind
of thing (kinds.yaml), and the questions are about kinds. So their answers are only as right as the list's grouping, and
the ten answers of a question agree. There are none of the type "number": the metadata counts nothing.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from v2l.artifacts import read_rows, write_rows
from v2l.data.manifest import read_manifest
from v2l.errors import ArtifactError, DataError
from v2l.seeds import numpy_generator

COLUMNS = ("question_id", "image_id", "question", "answers", "answer_type")
NUM_ANSWERS = 10
YES_NO = "yes/no"
NUMBER = "number"
OTHER = "other"
ANSWER_TYPES = (YES_NO, NUMBER, OTHER)
WHAT = "What kind of thing is this?"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A kind of thing: its question that "yes" answers, and by subgroup the answer to its finer question, if it has
    one. ``near``: kinds of which one cannot say that this is surely none of them."""

    name: str
    is_question: str
    which_question: str | None
    subgroups: Mapping[str, str | None]
    near: frozenset[str]


@lru_cache
def load_kinds() -> dict[str, Kind]:
    """Every kind by name, from ``kinds.yaml``."""
    text = resources.files("v2l.data").joinpath("kinds.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    near = {name: {other for pair in tree["near"] if name in pair for other in pair} for name in tree["kinds"]}
    return {
        name: Kind(name, entry["is"], entry.get("which"), entry["subgroups"], frozenset(near[name] - {name}))
        for name, entry in tree["kinds"].items()
    }


def questions(manifest: Path, questions: Path, seed: int) -> None:
    """Writes the questions about every picture of a known kind, training and held-out: question_id, image_id, question,
    answers (ten), answer_type. Raises DataError if no picture is of a known kind."""
    drawn = make_questions(read_manifest(manifest), seed)
    if drawn.empty:
        raise DataError(f"{manifest}: column subgroup: expected some of the emoji list's, as in kinds.yaml, found none")
    write_rows(questions, drawn)
    logger.info("%d questions about %d pictures", len(drawn), drawn["image_id"].nunique())


def make_questions(pictures: pd.DataFrame, seed: int) -> pd.DataFrame:
    """All questions, template by template, each in the order of the pictures.

    pictures: rows of a manifest. Of each picture it is asked what kind of thing it is, its kind's finer question, and
    two questions whether it is of some kind: of its own (yes), and of another one (no), so that yes and no are equally
    frequent. The other kind is drawn by seed and picture, as likely as its pictures are frequent, so that a question's
    wording says little about its answer.
    """
    kinds = load_kinds()
    by_subgroup = {subgroup: kind for kind in kinds.values() for subgroup in kind.subgroups}
    known = pictures[pictures["subgroup"].isin(by_subgroup.keys())]
    things = [(row.image_id, row.subgroup, by_subgroup[row.subgroup]) for row in known.itertuples()]
    frequencies = Counter(kind.name for _, _, kind in things)
    rows = [_row("what", image_id, WHAT, kind.name, OTHER) for image_id, _, kind in things]
    rows += [
        _row("which", image_id, kind.which_question, kind.subgroups[subgroup], OTHER)
        for image_id, subgroup, kind in things
        if kind.which_question
    ]
    rows += [_row("yes", image_id, kind.is_question, "yes", YES_NO) for image_id, _, kind in things]
    rows += [
        _row("no", image_id, kinds[other].is_question, "no", YES_NO)
        for image_id, _, kind in things
        if (other := _draw_other(kind, frequencies, seed, image_id))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _draw_other(kind: Kind, frequencies: Mapping[str, int], seed: int, image_id: str) -> str | None:
    """A kind that a picture is surely not of; None if the pictures have no such kind."""
    others = [name for name in sorted(frequencies) if name != kind.name and name not in kind.near]
    if not others:
        return None
    counts = np.array([frequencies[name] for name in others], dtype=np.float64)
    return others[numpy_generator(seed, "no question", image_id).choice(len(others), p=counts / counts.sum())]


def _row(template: str, image_id: str, question: str, answer: str, answer_type: str) -> dict[str, object]:
    return {
        "question_id": f"{template}/{image_id}",
        "image_id": image_id,
        "question": question,
        "answers": [answer] * NUM_ANSWERS,
        "answer_type": answer_type,
    }


def read_questions(path: Path) -> pd.DataFrame:
    """Reads a table of questions, of this stage or converted from VQA v2.

    Raises ArtifactError if it has no rows, a question_id occurs twice, a question has no ten answers, or an answer
    type has another name than VQA's.
    """
    table = read_rows(path, COLUMNS)
    if table.empty:
        raise ArtifactError(f"{path}: expected questions, found none")
    if (repeated := table["question_id"].duplicated()).any():
        raise ArtifactError(f"{path}: column question_id: {table['question_id'][repeated].iloc[0]} occurs twice")
    for question_id, answers in zip(table["question_id"], table["answers"], strict=True):
        if (count := 0 if answers is None else len(answers)) != NUM_ANSWERS:
            raise ArtifactError(f"{path}: question {question_id!r}: expected {NUM_ANSWERS} answers, found {count}")
    if others := sorted(set(table["answer_type"]) - set(ANSWER_TYPES)):
        raise ArtifactError(f"{path}: column answer_type: expected {', '.join(ANSWER_TYPES)}, found {others[0]}")
    return table
