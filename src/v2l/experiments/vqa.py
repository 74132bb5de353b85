"""Stage ``vqa``: answers of the frozen LLM to questions about held-out pictures, beside two floors (paper, Figure 5).

Conditions: the picture's words after in-context samples; random words after the same samples; and, without the LLM,
the answer that most training questions of the same answer type have.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.artifacts import write_rows
from v2l.conditions import MAJORITY_ANSWER, PICTURE_WORDS, RANDOM_WORDS
from v2l.config.llm import LlmConfig
from v2l.config.vqa import VqaConfig
from v2l.data.manifest import HELDOUT, TRAIN, evenly_spaced, read_manifest
from v2l.data.questions import read_questions
from v2l.errors import ArtifactError, DataError
from v2l.experiments.in_context import (
    NO_PROMPT,
    Query,
    Words,
    answer_queries,
    draw_context,
    most_frequent,
)
from v2l.metrics.vqa_answers import vqa_accuracy
from v2l.models.llm import load_llm
from v2l.prompts.vqa import vqa_prompt
from v2l.runtime import Runtime
from v2l.shards import WHOLE, Shard

CONDITIONS = (PICTURE_WORDS, RANDOM_WORDS, MAJORITY_ANSWER)

logger = logging.getLogger(__name__)


def vqa(
    manifest: Path,
    questions: Path,
    words: Path,
    predictions: Path,
    config: VqaConfig,
    llm: LlmConfig,
    seed: int,
    runtime: Runtime,
    shard: Shard = WHOLE,
) -> None:
    """Writes a row a condition and question about a held-out picture, with the official accuracy of its answer.

    Raises DataError if no question is about a held-out picture or too few about training pictures, ArtifactError if a
    question has no ten answers or a picture too few words, and ModelError if a prompt exceeds the LLM's context.
    """
    pictures = read_manifest(manifest)
    table = read_questions(questions)
    table["answer"] = [most_frequent(answers) for answers in table["answers"]]
    if strange := sorted(set(table["image_id"]) - set(pictures["image_id"])):
        raise ArtifactError(f"{questions}: a question is about {strange[0]!r}, which {manifest} does not have")
    split = table["image_id"].map(pictures.set_index("image_id")["split"])  # whichever data set has the picture
    training, heldout = table[split == TRAIN], table[split == HELDOUT]
    asked = shard.of(choose_questions(heldout, config.max_questions))
    if asked.empty:
        raise DataError(f"{questions}: expected questions about held-out pictures, found none")
    queries = make_queries(asked, training, Words(words, config.num_global, config.separator, seed), config, seed)
    floor = majority_answers(training, asked, questions)
    rows = [
        (answer.query.item_id, answer.query.condition, answer.text, answer.prompt_columns)
        for answer in answer_queries(queries, load_llm(llm, runtime), config.max_new_tokens, "question answering")
    ]
    rows += [(question_id, MAJORITY_ANSWER, floor[question_id], NO_PROMPT) for question_id in asked["question_id"]]
    answered = prediction_rows(rows, asked)
    write_rows(predictions, answered)
    logger.info("%d questions, accuracy %s", len(asked), answered.groupby("condition")["accuracy"].mean().to_dict())


def choose_questions(table: pd.DataFrame, max_questions: int | None) -> pd.DataFrame:
    """Evenly spaced questions, sorted by answer type so that each type has its share; within a type in table order."""
    ordered = table.sort_values("answer_type", kind="stable")
    return ordered.iloc[evenly_spaced(len(ordered), max_questions)]


def make_queries(
    asked: pd.DataFrame, training: pd.DataFrame, words: Words, config: VqaConfig, seed: int
) -> list[Query]:
    """The prompts of every question: with its picture's words and with random ones, after the same samples.

    asked, training: question_id, image_id, question; training also answer, the one that most people gave.
    """
    samples_by_id = {row.question_id: (row.image_id, row.question, row.answer) for row in training.itertuples()}
    queries, candidates = [], sorted(samples_by_id)
    for row in asked.itertuples():
        context_ids = draw_context(candidates, config.num_context, seed, "vqa", row.question_id)
        samples = [
            (words.of(image_id), question, answer) for image_id, question, answer in map(samples_by_id.get, context_ids)
        ]
        for condition, shown in (
            (PICTURE_WORDS, words.of(row.image_id)),
            (RANDOM_WORDS, words.random(row.question_id)),
        ):
            prompt = vqa_prompt(samples, (shown, row.question))
            name = f"vqa: question {row.question_id}, {condition}"
            queries.append(Query(row.question_id, condition, prompt, context_ids, name))
    return queries


def majority_answers(training: pd.DataFrame, asked: pd.DataFrame, questions: Path) -> dict[str, str]:
    """For every asked question the answer that most training questions of its answer type have.

    training: answer and answer_type. Raises DataError if there is none of the type.
    """
    answers = {kind: most_frequent(rows["answer"]) for kind, rows in training.groupby("answer_type")}
    if absent := sorted(set(asked["answer_type"]) - answers.keys()):
        raise DataError(f"{questions}: expected questions of the type {absent[0]} about training pictures, found none")
    return dict(zip(asked["question_id"], asked["answer_type"].map(answers), strict=True))


def prediction_rows(outputs: Sequence[tuple[str, str, str, Mapping[str, Any]]], asked: pd.DataFrame) -> pd.DataFrame:
    """One row a question and condition, questions as in ``asked``.

    outputs: question_id, condition, prediction, and the columns about the prompt.
    """
    known = {row.question_id: row for row in asked.itertuples()}
    places = {question_id: place for place, question_id in enumerate(known)}
    ordered = sorted(outputs, key=lambda row: (places[row[0]], CONDITIONS.index(row[1])))
    rows = []
    for question_id, condition, prediction, prompt_columns in ordered:
        question = known[question_id]
        rows.append(
            {
                "question_id": question_id,
                "image_id": question.image_id,
                "question": question.question,
                "answer_type": question.answer_type,
                "condition": condition,
                "prediction": prediction,
                "answers": list(question.answers),
                "accuracy": vqa_accuracy(prediction, question.answers),
                **prompt_columns,
            }
        )
    return pd.DataFrame(rows)
