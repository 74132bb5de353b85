"""FLOPs of a language model's work, and answering one prompt at a time, as a script with transformers would."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from v2l.models.llm import Llm
from v2l.models.llm_generation import Request

Read = tuple[int, int]  # of how many tokens, after how many


def prompt_reads(requests: Sequence[Request]) -> list[Read]:
    """What the engine reads of prompts: what they begin with in common, once."""
    beginnings = {request.segments[:k] for request in requests for k in range(1, len(request.segments) + 1)}
    return [(len(last), sum(map(len, before))) for *before, last in beginnings]


def answer_reads(requests: Sequence[Request], answers: Sequence[Sequence[int]]) -> list[Read]:
    """What is read of answers: all ids but the last."""
    pairs = zip(requests, answers, strict=True)
    return [(len(answer) - 1, request.num_prompt_tokens) for request, answer in pairs]


def forward_flops(llm: Llm, reads: Iterable[Read], logits: float) -> float:
    """Of the linear layers and of attention, in which a token sees those before it and itself, for so many rows of
    logits, each of the whole vocabulary."""
    config, head = llm.model.config, llm.model.get_output_embeddings()
    inner = sum(each.weight.numel() for each in llm.model.modules() if isinstance(each, nn.Linear) and each is not head)
    tokens = seen = 0
    for count, past in reads:
        tokens += count
        seen += count * past + count * (count + 1) // 2
    attention = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim  # weigh, then add values
    return 2.0 * (inner * tokens + attention * seen + head.weight.numel() * logits)


def engine_flops(llm: Llm, requests: Sequence[Request], answers: Sequence[Sequence[int]]) -> float:
    """Of the engine's work for these answers: ids without a choice are not computed, and not read at the end."""
    reads, scored = prompt_reads(requests), 0
    for request, answer in zip(requests, answers, strict=True):
        choices = {place: request.decoding.allowed(answer[:place]) for place in range(len(answer))}
        open_ = {place: choice for place, choice in choices.items() if choice is None or len(choice) > 1}
        reads.append((max(open_, default=0), request.num_prompt_tokens))
        scored += sum(llm.vocab_size if choice is None else len(choice) for choice in open_.values())
    return forward_flops(llm, reads, scored / llm.vocab_size)


class _Complete(StoppingCriteria):
    """An answer ends where its rule allows nothing more."""

    def __init__(self, request: Request, prompt_length: int) -> None:
        self._decoding, self._prompt_length = request.decoding, prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:  # noqa: ARG002
        allowed = self._decoding.allowed(input_ids[0, self._prompt_length :].tolist())
        return torch.tensor([allowed is not None and not allowed], device=input_ids.device)


def answer_one_by_one(llm: Llm, requests: Sequence[Request]) -> list[list[int]]:
    """The plain way: transformers' ``generate`` for one whole prompt after the other, in the model's precision."""
    return [_generate(llm, request) for request in requests]


def _generate(llm: Llm, request: Request) -> list[int]:
    prompt = torch.tensor([[i for segment in request.segments for i in segment]], device=llm.model.device)
    length = prompt.shape[1]
    constraint = {}
    if request.decoding.allowed(()) is not None:
        constraint["prefix_allowed_tokens_fn"] = lambda _, ids: list(request.decoding.allowed(ids[length:].tolist()))
    output = llm.model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        generation_config=GenerationConfig(max_new_tokens=request.decoding.max_new_tokens, do_sample=False),
        stopping_criteria=StoppingCriteriaList([_Complete(request, length)]),
        **constraint,
    )
    return output[0, length:].tolist()
