"""Branches of a tree in one row of the cache, rows of unequal length padded: what a GPU gets, here on the CPU."""

from types import SimpleNamespace

import peft
import pytest
import torch

from v2l.models import llm_generation, llm_trees
from v2l.models.llm_decoding import Free, OneOf
from v2l.models.llm_generation import Generation, Request
from v2l.models.llm_passes import Passes as RowPasses
from v2l.models.llm_passes import is_told_what_is_seen
from v2l.models.llm_trees import TreePasses

from .test_llm_generation import ARCHITECTURES, END, VOCAB, Passes, make_model, make_requests, plain_answer

FORGETFUL = [name for name in ARCHITECTURES if name.endswith("-window")]
LIMITS = {  # SHORT_HISTORY, LINE_TOKENS, SMALL_PASS, KEPT, tokens of a pass
    "as they are": (256, 1024, 1024, 0.8, 4096),
    "a row for each prompt": (256, 1024, 1024, 1.0, 60),
    "everything behind its row": (0, 1024, 1024, 0.8, 4096),
    "short lines, little padding": (4, 16, 8, 1.0, 100),
    "a line a pass": (8, 8, 8, 0.8, 1),
}


@pytest.fixture(params=LIMITS)
def batch_tokens(request, monkeypatch) -> int:
    *limits, tokens = LIMITS[request.param]
    for name, value in zip(("SHORT_HISTORY", "LINE_TOKENS", "SMALL_PASS", "KEPT"), limits, strict=True):
        monkeypatch.setattr(llm_trees, name, value)
    return tokens


def run(model, requests, batch_tokens: int) -> list[list[int]]:
    generation = Generation(model, requests, VOCAB, batch_tokens, TreePasses)
    read = []
    generation.run(read.append)
    assert sum(read) == generation.num_tokens
    return generation.answers


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in FORGETFUL])
def test_answers_equal_a_plain_loop_over_every_request(name, batch_tokens):
    model = make_model(ARCHITECTURES[name])
    requests = make_requests()
    assert run(model, requests, batch_tokens) == [plain_answer(model, request) for request in requests]


def test_answers_equal_a_plain_loop_with_an_adapter(batch_tokens):
    torch.manual_seed(0)
    tuned = peft.LoraConfig(target_modules=["q_proj", "k_proj"], init_lora_weights=False)
    model = peft.get_peft_model(make_model(ARCHITECTURES["llama"]), tuned).eval()
    requests = make_requests()
    assert is_told_what_is_seen(model)
    assert run(model, requests, batch_tokens) == [plain_answer(model, request) for request in requests]


@pytest.mark.parametrize("name", FORGETFUL)
def test_a_model_that_forgets_is_given_no_trees(name):
    assert not is_told_what_is_seen(make_model(ARCHITECTURES[name]))


def test_a_gpu_gets_trees_and_a_cpu_rows():
    llama, mistral = (make_model(ARCHITECTURES[name]) for name in ("llama", "mistral-window"))
    assert llm_generation._kind_for(llama) is RowPasses
    on_gpu = SimpleNamespace(weight=SimpleNamespace(device=torch.device("cuda")))
    for model in (llama, mistral):
        model.get_input_embeddings = lambda: on_gpu
    assert llm_generation._kind_for(llama) is TreePasses
    assert llm_generation._kind_for(mistral) is RowPasses


def test_prompts_of_unequal_length_share_their_passes():
    model = make_model(ARCHITECTURES["llama"])
    requests = [Request((tuple(range(1, length)),), Free(max_new_tokens=3)) for length in (4, 9, 14)]
    with Passes(model) as passes:
        run(model, requests, batch_tokens=1000)
    assert passes.shapes == [(3, 13), (3, 1), (3, 1)]


def test_what_follows_a_long_row_is_read_and_answered_in_it(monkeypatch):
    monkeypatch.setattr(llm_trees, "SHORT_HISTORY", 8)
    model = make_model(ARCHITECTURES["llama"])
    stem, names = tuple(range(20, 30)), [(4, 5, 6), (4, 7, 8), (9, 10), (9, 11)]
    requests = [Request((stem, end), OneOf(names, END)) for end in ((1, 2), (3, 4, 5))]
    requests += [Request((stem, (6, 7, 8, 9), (1, last)), Free(max_new_tokens=1)) for last in (2, 3, 4)]
    with Passes(model) as passes:
        answers = run(model, requests, batch_tokens=1000)
    assert answers == [plain_answer(model, request) for request in requests]
    # The stem; two questions and a longer stem; their answers' next tokens beside the three questions after that stem.
    assert passes.shapes[:2] == [(1, 10), (1, 2 + 3 + 4)]
    assert [batch for batch, _ in passes.shapes] == [1, 1, 1]


def test_passes_keep_within_the_token_limit():
    model = make_model(ARCHITECTURES["llama"])
    requests = [Request(((1, 2, 3, 4), (5, last)), Free(max_new_tokens=4)) for last in range(10)]
    with Passes(model) as passes:
        run(model, requests, batch_tokens=45)
    # 4 shared + 2 own + 4 new tokens: four rows fit into 45.
    assert [batch for batch, width in passes.shapes if width == 2] == [2, 4, 4]


def test_no_row_is_left_over_where_passes_can_be_of_like_size():
    model = make_model(ARCHITECTURES["llama"])
    requests = [Request(((1, 2, 3, 4), (5, last)), Free(max_new_tokens=4)) for last in range(5)]
    with Passes(model) as passes:
        run(model, requests, batch_tokens=45)
    assert [batch for batch, width in passes.shapes if width == 2] == [2, 3]  # not one and four


def test_padding_within_a_row_does_not_add_up():
    model = make_model(ARCHITECTURES["llama"])
    requests = [
        Request(tuple(tuple(range(first, first + length)) for length in lengths), Free(max_new_tokens=1))
        for first, lengths in ((1, (1, 8, 1, 8)), (20, (8, 1, 8, 1)))
    ]
    histories = []

    def record(_module, _args, keywords):
        cache = keywords["past_key_values"]
        histories.append(0 if cache is None else cache.get_seq_length())

    with model.register_forward_pre_hook(record, with_kwargs=True):
        answers = run(model, requests, batch_tokens=1000)
    assert histories == [0, 8, 9, 17]  # with all padding 0, 8, 16, 24
    assert answers == [plain_answer(model, request) for request in requests]
