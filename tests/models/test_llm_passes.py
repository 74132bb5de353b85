"""Short reads behind a long history share a sequence; that it changes no answer: test_llm_generation."""

import pytest

from v2l.models import llm_passes
from v2l.models.llm_decoding import Free, OneOf
from v2l.models.llm_generation import Request

from .test_llm_generation import ARCHITECTURES, Passes, make_model, plain_answer, run


@pytest.fixture
def packed_early(monkeypatch):
    """Packs behind histories of eight tokens on, as many tokens as that in each."""
    monkeypatch.setattr(llm_passes, "PACKED_TOKENS", 8)


@pytest.mark.usefixtures("packed_early")
def test_short_ends_of_several_lengths_are_one_pass_and_go_on_by_length():
    model = make_model(ARCHITECTURES["llama"])
    stem = tuple(range(20, 30))
    ends = [(1, 2), (3, 4, 5), (6, 7, 8), (9,) * 9]
    requests = [Request((stem, end), Free(max_new_tokens=3)) for end in ends]
    with Passes(model) as passes:
        answers = run(model, requests, batch_tokens=1000)
    assert answers == [plain_answer(model, request) for request in requests]
    # The stem, three ends of 2 + 3 + 3 tokens, the one that is long enough by itself.
    prompts = [shape for shape in passes.shapes if shape[1] > 1]
    assert sorted(prompts) == [(1, 8), (1, 9), (1, 10)]


@pytest.mark.usefixtures("packed_early")
def test_a_model_that_forgets_is_given_no_mask():
    model = make_model(ARCHITECTURES["mistral-window"])
    requests = [Request((tuple(range(20, 30)), end), Free(max_new_tokens=1)) for end in ((1, 2), (3, 4, 5))]
    with Passes(model) as passes:
        run(model, requests, batch_tokens=1000)
    assert sorted(passes.shapes) == [(1, 2), (1, 3), (1, 10)]


@pytest.mark.usefixtures("packed_early")
def test_many_alike_are_a_batch():
    model = make_model(ARCHITECTURES["llama"])
    stem = tuple(range(20, 30))
    requests = [Request((stem, (1, last)), Free(max_new_tokens=1)) for last in range(6)]
    with Passes(model) as passes:
        run(model, requests, batch_tokens=1000)
    assert passes.shapes == [(1, 10), (6, 2)]


def test_nothing_is_packed_behind_a_short_history():
    model = make_model(ARCHITECTURES["llama"])
    requests = [Request(((1, 2, 3), end), OneOf([(4,), (5,)], 6)) for end in ((7,), (8, 9))]
    with Passes(model) as passes:
        run(model, requests, batch_tokens=1000)
    assert sorted(passes.shapes) == [(1, 2), (1, 3), (2, 1)]
