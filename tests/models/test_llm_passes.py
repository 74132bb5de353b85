"""Short reads of prompts that begin alike share a sequence; that it changes no answer: test_llm_generation."""

import pytest

from v2l.models import llm_passes
from v2l.models.llm_decoding import Free
from v2l.models.llm_generation import Request

from .test_llm_generation import ARCHITECTURES, Passes, make_model, plain_answer, run

STEM = tuple(range(20, 30))


@pytest.fixture(scope="module")
def llama():
    return make_model(ARCHITECTURES["llama"])


@pytest.fixture(autouse=True)
def small_packs(monkeypatch):
    monkeypatch.setattr(llm_passes, "PACKED_TOKENS", 8)


def shapes_of(model, requests: list[Request], batch_tokens: int = 1000) -> list[tuple[int, int]]:
    """Of all passes; answers are compared with the plain loop's."""
    with Passes(model) as passes:
        answers = run(model, requests, batch_tokens)
    assert answers == [plain_answer(model, request) for request in requests]
    return passes.shapes


def test_short_ends_of_several_lengths_are_one_pass_and_their_answers_too(llama):
    ends = [(1, 2), (3, 4, 5), (6, 7, 8), (9,) * 9]
    shapes = shapes_of(llama, [Request((STEM, end), Free(max_new_tokens=3)) for end in ends])
    # The stem; three ends of 2 + 3 + 3 tokens, and their answers; the one that is long enough by itself, whose answer
    # is read twice at once, as one row alone would be rounded otherwise.
    assert shapes == [(1, 10), (1, 8), (1, 3), (1, 3), (1, 9), (2, 1), (2, 1)]


def test_an_answer_that_ends_leaves_the_others(llama):
    ends = [(1, 2), (3, 4, 5), (6, 7)]
    requests = [Request((STEM, end), Free(max_new_tokens=count)) for count, end in zip((2, 4, 3), ends, strict=True)]
    assert shapes_of(llama, requests) == [(1, 10), (1, 7), (1, 3), (1, 2), (1, 1)]


def test_what_follows_what_is_in_a_pack_is_in_it_as_far_as_it_fits(llama):
    free = Free(max_new_tokens=1)
    first, second, third = (1, 2), (3, 4, 5), (6,) * 5
    questions = [(30,), (31, 32)]
    prompts = [(first,), (first, second), (first, second, third)]
    requests = [Request((*prompt, question), free) for prompt in prompts for question in questions]
    # The first piece with both questions and the second; the questions after that and the third; those after all.
    assert shapes_of(llama, requests) == [(1, 2 + 1 + 2 + 3), (1, 1 + 2 + 5), (1, 1 + 2)]


def test_longer_prompts_after_reads_of_unequal_length_go_on_in_rows_of_their_own(llama):
    stems, free = [(1, 2), (3, 4), (5, 6, 7)], Free(max_new_tokens=2)
    requests = [Request((STEM, stem, (10 + i,) * 9), free) for i, stem in enumerate(stems)]
    # Behind the stem the three of 2 + 2 + 3; nine tokens each after the first two, and after the third.
    assert sorted(shapes_of(llama, requests)) == [(1, 7), (1, 9), (1, 10), (2, 1), (2, 1), (2, 9)]
    assert max(batch for batch, _ in shapes_of(llama, requests, batch_tokens=30)[2:]) == 2  # nothing but doubled rows


def test_many_alike_are_a_batch(llama):
    requests = [Request((STEM, (1, last)), Free(max_new_tokens=1)) for last in range(6)]
    assert shapes_of(llama, requests) == [(1, 10), (6, 2)]


def test_prompts_that_begin_otherwise_change_no_pass(llama):
    ends, free = [(7,), (8, 9)], Free(max_new_tokens=2)
    first = [Request(((1, 2, 3), end), free) for end in ends]
    second = [Request(((4, 5), (6,) * 6, end), free) for end in ends]
    alone, others = shapes_of(llama, first), shapes_of(llama, second)
    assert sorted(shapes_of(llama, first + second)) == sorted(alone + others)


def test_a_model_that_forgets_is_given_no_mask():
    model = make_model(ARCHITECTURES["mistral-window"])
    requests = [Request((STEM, end), Free(max_new_tokens=1)) for end in ((1, 2), (3, 4, 5))]
    assert sorted(shapes_of(model, requests)) == [(1, 2), (1, 3), (1, 10)]
