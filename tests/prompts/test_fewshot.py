"""The few-shot prompt, spelt out, and what the embedded tokenizer makes of it."""

from pathlib import Path

import pytest
import torch

from v2l.config.llm import LlmConfig
from v2l.models.llm import Llm, load_llm
from v2l.prompts.fewshot import (
    ANSWER_CUE,
    ANSWER_LEAD,
    BLOCK_START,
    classification_prompt,
    induction_line,
    join_words,
)
from v2l.runtime import Runtime

SUPPORTS = [("wolf, dog", "dog"), ("kitten", "cat")]


@pytest.fixture(scope="module")
def llm(assets: Path) -> Llm:
    runtime = Runtime(torch.device("cpu"), torch.bfloat16, image_batch=1, llm_batch_tokens=256)
    return load_llm(LlmConfig(source=str(assets / "llm")), runtime)


def test_prompt_with_induction():
    assert classification_prompt(["cat", "dog"], SUPPORTS, "puppy", induction=True, repeats=0) == (
        "For each of the following input output pairs, output is one of ['cat' or 'dog']\n"
        "###\nInput: < wolf, dog >\nOutput: dog\n"
        "###\nInput: < kitten >\nOutput: cat\n"
        "###\nInput: < puppy >\nOutput: "
    )


def test_prompt_without_induction_begins_with_the_examples():
    assert classification_prompt(["cat", "dog"], SUPPORTS, "puppy", induction=False, repeats=0) == (
        "###\nInput: < wolf, dog >\nOutput: dog\n###\nInput: < kitten >\nOutput: cat\n###\nInput: < puppy >\nOutput: "
    )


def test_repeats_repeat_the_whole_list_of_examples():
    prompt = classification_prompt(["cat", "dog"], SUPPORTS, "puppy", induction=False, repeats=2)
    outputs = [line.removeprefix("Output: ") for line in prompt.splitlines() if line.startswith("Output: ")]
    assert outputs == ["dog", "cat"] * 3 + [""]


def test_induction_line_lists_every_class():
    assert induction_line(["a", "b", "c"]).endswith("output is one of ['a' or 'b' or 'c']\n")


def test_words_keep_their_own_blanks_without_a_separator():
    assert join_words([" polar", " bear", "ing"], "") == " polar bearing"


def test_words_lose_outer_blanks_with_a_separator():
    assert join_words([" polar bear", "snow\n"], ", ") == "polar bear, snow"


@pytest.mark.parametrize("induction", [True, False])
@pytest.mark.parametrize("name", ["cat", "polar bear", "zebra"])
def test_ids_of_a_prompt_begin_the_ids_of_prompt_and_answer(llm: Llm, induction: bool, name: str):
    prompt = classification_prompt(["cat", name], SUPPORTS, " puppy dog", induction, repeats=1)
    cut = prompt.removesuffix(ANSWER_LEAD)
    (whole,) = llm.tokenize([f"{prompt}{name}\n{BLOCK_START}"])
    (prompt_ids,) = llm.tokenize([cut])
    answer_ids = llm.tokenize_after(ANSWER_CUE, ANSWER_LEAD + name)
    assert whole[: len(prompt_ids) + len(answer_ids)] == prompt_ids + answer_ids


def test_ids_of_fewer_repeats_begin_those_of_more_up_to_the_query(llm: Llm):
    query = "###\nInput: < puppy >\nOutput: "
    few, many = (
        classification_prompt(["cat", "dog"], SUPPORTS, "puppy", induction=True, repeats=repeats) for repeats in (0, 2)
    )
    few_ids, many_ids = llm.tokenize([few.removesuffix(query), many])
    assert many_ids[: len(few_ids)] == few_ids
