"""FLOPs of a language model's work, and answering one prompt at a time, as a script with transformers would."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from v2l.models.llm import Llm
from v2l.models.llm_generation import Request


def tokens_read(requests: Sequence[Request]) -> int:
    """Prompt tokens that the engine reads: what prompts begin with in common, once."""
    beginnings = {request.segments[:k] for request in requests for k in range(1, len(request.segments) + 1)}
    return sum(len(beginning[-1]) for beginning in beginnings)


def forward_flops(llm: Llm, tokens: int, logits: int) -> float:
    """Of the linear layers, for so many tokens read and rows of logits; attention is left out."""
    head = llm.model.get_output_embeddings()
    inner = sum(each.weight.numel() for each in llm.model.modules() if isinstance(each, nn.Linear) and each is not head)
    return 2.0 * (inner * tokens + head.weight.numel() * logits)


def engine_flops(llm: Llm, requests: Sequence[Request], answers: Sequence[Sequence[int]]) -> float:
    """Of the engine's work for these answers: shared beginnings are read once, an answer's last id never."""
    generated = sum(map(len, answers))
    return forward_flops(llm, tokens_read(requests) + generated - len(requests), generated)


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
