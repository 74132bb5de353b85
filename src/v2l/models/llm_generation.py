"""Batched greedy generation that computes shared prefixes once.

Prompts are tuples of segments. Prompts that begin with the same segments form a tree; each of its branches is read
once, after the one before it in the same pass or on top of that one's key/value cache. How a prompt is computed depends
on the prompts that begin like it alone: the batch changes speed, not results. (On a CPU in bfloat16 the logits are the
same bits in any batch; in float32 they agree to rounding, as the matrix product of few rows takes another order of
summation. On a GPU, where unlike prompts share passes, `v2l.models.llm_trees`, they agree to rounding in either.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress, pairwise

import torch
from torch import Tensor
from transformers import PreTrainedModel

from v2l.models.llm_decoding import Decoding
from v2l.models.llm_output import OutputLayer
from v2l.models.llm_passes import Branch, Ids, Passes, Read, is_told_what_is_seen
from v2l.models.llm_trees import TreePasses


@dataclass(frozen=True)
class Request:
    """One greedy answer: a prompt in segments, the rule of the answer, and what messages call the request."""

    segments: tuple[Ids, ...]
    decoding: Decoding
    name: str = "prompt"

    @property
    def num_prompt_tokens(self) -> int:
        return sum(map(len, self.segments))


def shared_segments(prompts: Sequence[Sequence[int]]) -> list[tuple[Ids, ...]]:
    """Cuts each prompt wherever it parts from another one, so that common beginnings become common segments."""

    def common(first: Sequence[int], second: Sequence[int]) -> int:
        pairs = zip(first, second, strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))

    cut = []
    for prompt in prompts:
        places = sorted({0, len(prompt)} | {common(prompt, other) for other in prompts})
        cut.append(tuple(tuple(prompt[i:j]) for i, j in pairwise(places)))
    return cut


@dataclass
class _Answer:
    """An answer in the making: ``ids`` chosen so far, of which ``num_read`` are in the cache."""

    request: int
    decoding: Decoding
    ids: list[int] = field(default_factory=list)
    num_read: int = 0

    def append_forced(self) -> bool:
        """Appends ids while there is just one choice. Returns whether the answer is complete."""
        while (allowed := self.decoding.allowed(self.ids)) is not None and len(allowed) == 1:
            self.ids.append(allowed[0])
        return allowed is not None and not allowed

    def take_unread(self) -> Ids:
        unread = tuple(self.ids[self.num_read :])
        self.num_read = len(self.ids)
        return unread

    def branch(self) -> Branch["_Answer"]:
        """What is to be read of it before the next id is chosen."""
        return Branch(self.take_unread(), [self], {}, self.decoding.max_new_tokens - len(self.ids), of_prompt=False)


class Generation:
    """One run over a list of requests. ``answers`` holds the chosen ids in the order of the requests."""

    def __init__(
        self,
        model: PreTrainedModel,
        requests: Sequence[Request],
        vocab_size: int,
        batch_tokens: int,
        kind: type[Passes] | type[TreePasses] | None = None,
    ) -> None:
        """vocab_size: only ids below it are chosen. batch_tokens: limit of sequences x their full length in a pass.

        kind: of passes; by default what suits the model's device.
        """
        self._output = OutputLayer(model, vocab_size)
        self._passes = (kind or _kind_for(model))(model, self._output, batch_tokens)
        self.answers: list[list[int]] = [[] for _ in requests]
        self.num_answered = 0
        self.num_tokens = 0
        self._root = self._build_tree(requests)

    def _build_tree(self, requests: Sequence[Request]) -> Branch[_Answer]:
        root: Branch[_Answer] = Branch(())
        for index, request in enumerate(requests):
            if not request.segments or not all(request.segments):
                raise ValueError(f"request {index}: expected one or more segments, each of one or more ids")
            answer = _Answer(index, request.decoding)
            if answer.append_forced():
                self._finish(answer)
                continue
            *segments, last = request.segments
            branch = root
            for segment in (*segments, last + answer.take_unread()):
                if segment not in branch.children:
                    branch.children[segment] = Branch(segment)
                    self.num_tokens += len(segment)
                branch = branch.children[segment]
            branch.answers.append(answer)
            branch.num_new_tokens = max(branch.num_new_tokens, answer.decoding.max_new_tokens)
        return root

    @torch.inference_mode()
    def run(self, advance: Callable[[int], None]) -> None:
        """Computes all answers, depth first, so that few caches are held. ``advance`` hears of prompt tokens read."""
        stack = self._passes.begin(list(self._root.children.values()))
        while stack:
            done = stack.pop()
            states, cache = self._passes.run(done)
            branches = [read.branch for read in done.reads]
            asking = [(row, answer) for row, branch in enumerate(branches) for answer in branch.answers]
            inside = set(branches)
            reads = [
                Read(row, child)
                for row, branch in enumerate(branches)
                for child in branch.children.values()
                if child not in inside
            ]
            reads += [Read(row, answer.branch()) for row, answer in self._choose(states, asking)]
            advance(sum(len(branch.ids) for branch in branches if branch.of_prompt))
            stack.extend(self._passes.follow(done, cache, reads))

    def _choose(self, states: Tensor, asking: Sequence[tuple[int, _Answer]]) -> list[tuple[int, _Answer]]:
        """Takes the best allowed id for each answer after its row, and the ids that it forces. Returns what goes on."""
        rows, answers = [row for row, _ in asking], [answer for _, answer in asking]
        best = self._output.best(states[rows], [answer.decoding.allowed(answer.ids) for answer in answers])
        for answer, token_id in zip(answers, best, strict=True):
            answer.ids.append(token_id)
        complete = [answer.append_forced() for answer in answers]
        for answer in compress(answers, complete):
            self._finish(answer)
        return [pair for pair, done in zip(asking, complete, strict=True) if not done]

    def _finish(self, answer: _Answer) -> None:
        self.answers[answer.request] = answer.ids
        self.num_answered += 1


def _kind_for(model: PreTrainedModel) -> type[Passes] | type[TreePasses]:
    device = model.get_input_embeddings().weight.device
    return TreePasses if device.type == "cuda" and is_told_what_is_seen(model) else Passes
