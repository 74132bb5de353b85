"""The output layer where it is needed, against the layer computed whole."""

import peft
import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM, PhiConfig, PhiForCausalLM

from v2l.models.llm_decoding import Free, OneOf, Within
from v2l.models.llm_generation import Request
from v2l.models.llm_output import OutputLayer

from .test_llm_generation import ARCHITECTURES, END, SIZES, VOCAB, make_model, plain_answer, run

CHOICES = [None, range(VOCAB), range(20), [3], [5, 9, 40], None, range(7, 12), [0, VOCAB - 1]]


def with_bias() -> PhiForCausalLM:
    model = make_model(PhiConfig(**{**SIZES, "num_key_value_heads": 4}))
    nn.init.normal_(model.get_output_embeddings().bias, generator=torch.Generator().manual_seed(1))
    return model


def with_adapter() -> peft.PeftModel:
    """A LoRA adapter on the output layer itself; B is not zero, so that it counts."""
    config = peft.LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)
    return peft.get_peft_model(make_model(ARCHITECTURES["llama"]), config).eval()


@pytest.mark.parametrize("make", [lambda: make_model(ARCHITECTURES["llama"]), with_bias, with_adapter])
def test_the_best_is_that_of_the_whole_layer(make):
    model = make()
    states = torch.randn(len(CHOICES), 32, generator=torch.Generator().manual_seed(0))
    whole = model.get_output_embeddings()(states).detach()
    expected = [
        max(range(60) if choice is None else choice, key=lambda token_id: float(row[token_id]))
        for choice, row in zip(CHOICES, whole, strict=True)
    ]
    assert OutputLayer(model, vocab_size=60).best(states, CHOICES) == expected
    assert OutputLayer(model, vocab_size=60).best(states[:0], []) == []


@pytest.mark.parametrize("make", [with_bias, with_adapter])
def test_answers_of_such_a_model_are_those_of_a_plain_loop(make):
    model = make()
    rule = OneOf([(20, 21), (20, 22, 23), (30,)], END)
    requests = [Request(((1, 2, 3), (last,)), decoding) for last in (4, 5) for decoding in (rule, Free(3))]
    assert run(model, requests) == [plain_answer(model, request) for request in requests]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of all logits that are computed."""
    shapes, compute = [], OutputLayer._logits

    def record(*args) -> torch.Tensor:
        logits = compute(*args)
        shapes.append(tuple(logits.shape))
        return logits

    monkeypatch.setattr(OutputLayer, "_logits", record)
    return shapes


def test_only_what_may_be_chosen_is_computed(computed: list[tuple[int, ...]]):
    model = make_model(ARCHITECTURES["llama"])
    whole = []
    model.get_output_embeddings().register_forward_hook(lambda *_: whole.append(1))
    # A stem of which nothing is asked, a trie of three and then two ways on, three ids below ten.
    names = [(20, 21), (20, 22), (30, 31), (40, 41)]
    run(model, [Request(((1, 2, 3), (4,)), OneOf(names, END)), Request(((1, 2, 3), (5,)), Within(3, limit=10))])
    assert whole == []
    assert sorted(set(computed)) in ([(1, 3), (2, 10)], [(1, 2), (1, 3), (2, 10)])
    assert computed.count((2, 10)) == 3  # one row, twice


def test_the_layer_is_put_back_when_a_pass_fails():
    model: LlamaForCausalLM = make_model(ARCHITECTURES["llama"])
    layer = model.get_output_embeddings()
    with pytest.raises(IndexError), OutputLayer(model, VOCAB).left_out():
        model(input_ids=torch.tensor([[VOCAB]]))
    assert model.get_output_embeddings() is layer
