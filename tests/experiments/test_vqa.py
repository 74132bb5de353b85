"""Visual question answering end to end with the embedded LLM, and what it refuses."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from v2l.artifacts import sha256_file, write_rows
from v2l.config.llm import LlmConfig
from v2l.config.vqa import VqaConfig
from v2l.data.manifest import COLUMNS as MANIFEST_COLUMNS
from v2l.errors import ArtifactError, DataError, ModelError
from v2l.experiments.vqa import CONDITIONS, choose_questions, majority_answers, vqa
from v2l.metrics.vqa_answers import vqa_accuracy
from v2l.runtime import Runtime

from ..parts import assert_parts_make_the_whole

WORDS = {
    "train/wolf": [" wolf", " dog", " husky"],
    "train/bus": [" bus", " van", " traffic"],
    "train/cat": [" cat", " kitten", " fur"],
    "heldout/dog": [" dog", " puppy", " hound"],
    "heldout/bus": [" coach", " school bus", " road"],
}
QUESTIONS = [
    ("q1", "train/wolf", "Is this an animal?", ["yes"] * 10, "yes/no"),
    ("q2", "train/bus", "Is this an animal?", ["no"] * 10, "yes/no"),
    ("q3", "train/cat", "What is this?", ["cat"] * 7 + ["kitten"] * 3, "other"),
    ("q4", "train/bus", "What is this?", ["bus"] * 10, "other"),
    ("q5", "train/cat", "Is this an animal?", ["yes"] * 10, "yes/no"),
    ("q6", "heldout/dog", "Is this an animal?", ["yes"] * 10, "yes/no"),
    ("q7", "heldout/bus", "What is this?", ["bus"] * 6 + ["coach"] * 2 + ["a coach", "van"], "other"),
]
COLUMNS = [
    "question_id",
    "image_id",
    "question",
    "answer_type",
    "condition",
    "prediction",
    "answers",
    "accuracy",
    "prompt",
    "prompt_sha256",
    "num_prompt_tokens",
    "context_ids",
]


@pytest.fixture
def source(assets: Path) -> LlmConfig:
    return LlmConfig(source=str(assets / "llm"))


def question_table(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["question_id", "image_id", "question", "answers", "answer_type"])


def write_inputs(folder: Path, rows: list[tuple] = QUESTIONS, words: dict = WORDS) -> dict[str, Path]:
    paths = {name: folder / f"{name}.parquet" for name in ("manifest", "questions", "words")}
    columns = dict.fromkeys(MANIFEST_COLUMNS, "")
    write_rows(
        paths["manifest"],
        [{**columns, "image_id": key, "split": key.split("/")[0], "captions": ["x"]} for key in WORDS],
    )
    write_rows(paths["questions"], question_table(rows))
    write_rows(paths["words"], [{"image_id": key, "words": texts} for key, texts in words.items()])
    return paths


def run(folder: Path, source: LlmConfig, inputs: dict[str, Path], budget: int = 2048, **changes) -> Path:
    path = folder / f"predictions-{budget}.parquet"
    vqa(
        **inputs,
        predictions=path,
        config=VqaConfig(**{"num_context": 4, "num_global": 2, "max_new_tokens": 4, **changes}),
        llm=source,
        seed=0,
        runtime=Runtime(torch.device("cpu"), torch.float32, image_batch=1, llm_batch_tokens=budget),
    )
    return path


def test_stage_writes_one_row_a_question_and_condition(tmp_path: Path, source: LlmConfig):
    table = pd.read_parquet(run(tmp_path, source, write_inputs(tmp_path)))
    assert table.columns.tolist() == COLUMNS
    assert list(zip(table["condition"], table["question_id"], strict=True)) == [
        (condition, question_id) for question_id in ("q7", "q6") for condition in CONDITIONS
    ]
    assert table.loc[table["condition"] == "majority answer", "prediction"].tolist() == ["bus", "yes"]
    scored = [vqa_accuracy(row.prediction, list(row.answers)) for row in table.itertuples()]
    assert table["accuracy"].tolist() == scored
    assert scored[2::3] == [1.0, 1.0]
    ours, floor = table.iloc[3], table.iloc[4]
    lines = ours["prompt"].split("\n")
    samples = {row[0]: row for row in QUESTIONS}
    for line, question_id in zip(lines, ours["context_ids"], strict=False):
        _, image_id, question, answers, _ = samples[question_id]
        shown = ", ".join(word.strip() for word in WORDS[image_id][:2])
        assert line == f"Condition: < {shown} >. Question: {question}. Answer: {answers[0]}"
    assert lines[4:] == ["Condition: < dog, puppy >. Question: Is this an animal?. Answer: "]
    assert floor["prompt"].split("\n")[:4] == lines[:4]
    assert set(ours["context_ids"]) < {"q1", "q2", "q3", "q4", "q5"}


def test_token_budget_changes_no_byte_of_the_predictions(tmp_path: Path, source: LlmConfig):
    inputs = write_inputs(tmp_path)
    hashes = {sha256_file(run(tmp_path, source, inputs, budget)) for budget in (1, 4096)}
    assert len(hashes) == 1


def test_parts_make_the_whole(tmp_path: Path, random_llm: LlmConfig):
    config = VqaConfig(num_context=4, num_global=2, max_new_tokens=4)
    sections = {"vqa": config, "llm": random_llm, "precision": "bf16"}
    asked = [(f"q{n}", *QUESTIONS[n % 2 + 5][1:]) for n in range(6, 15)]
    inputs = write_inputs(tmp_path, [*QUESTIONS[:5], *asked])
    whole = assert_parts_make_the_whole("vqa", sections, inputs, tmp_path, (7, 10))
    assert len(pd.read_parquet(whole["predictions"])) == 3 * 9


def test_every_answer_type_has_its_share_of_fewer_questions():
    rows = [(f"{i}", "p", "?", ["x"] * 10, "other" if i % 3 else "yes/no") for i in range(90)]
    chosen = choose_questions(question_table(rows), 9)
    assert chosen["answer_type"].value_counts().to_dict() == {"other": 6, "yes/no": 3}
    assert len(choose_questions(question_table(rows), None)) == 90


def test_majority_is_of_the_answer_type_and_a_tie_goes_to_the_alphabet(tmp_path: Path):
    training = pd.DataFrame(
        {"answer_type": ["yes/no", "yes/no", "other", "other", "other"], "answer": ["yes", "no", "cat", "bus", "bus"]}
    )
    asked = pd.DataFrame({"question_id": ["a", "b"], "answer_type": ["yes/no", "other"]})
    assert majority_answers(training, asked, tmp_path) == {"a": "no", "b": "bus"}


def test_an_answer_type_without_training_questions_is_refused(tmp_path: Path):
    rows = [*QUESTIONS[:-1], ("q7", "heldout/bus", "How many?", ["1"] * 10, "number")]
    with pytest.raises(DataError, match="expected questions of the type number about training pictures, found none"):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path, rows))


def test_a_question_without_ten_answers_is_refused(tmp_path: Path):
    rows = [*QUESTIONS[:-1], ("q7", "heldout/bus", "What is this?", [], "other")]
    with pytest.raises(ArtifactError, match=r"questions\.parquet: question 'q7': expected 10 answers, found 0"):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path, rows))


def test_questions_about_training_pictures_alone_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="expected questions about held-out pictures, found none"):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path, QUESTIONS[:5]))


def test_a_question_about_another_set_is_refused(tmp_path: Path):
    rows = [*QUESTIONS, ("q8", "coco/1", "What is this?", ["bus"] * 10, "other")]
    with pytest.raises(
        ArtifactError, match=r"questions\.parquet: a question is about 'coco/1', which .* does not have"
    ):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path, rows))


def test_too_few_samples_and_missing_words_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"vqa\.num_context: 6 samples .* which have 5"):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path), num_context=6)
    words = {key: texts for key, texts in WORDS.items() if key != "heldout/dog"}
    with pytest.raises(ArtifactError, match=r"words\.parquet: no words of picture 'heldout/dog'"):
        run(tmp_path, LlmConfig(source="unused"), write_inputs(tmp_path, words=words))


def test_a_prompt_beyond_the_context_is_refused_by_name(tmp_path: Path, source: LlmConfig):
    short = LlmConfig(source=source.source, max_context=40)
    with pytest.raises(ModelError, match=r"vqa: question q7, picture words: \d+ tokens .* context of 40"):
        run(tmp_path, short, write_inputs(tmp_path))
    assert not list(tmp_path.glob("predictions*"))
