"""Batched greedy generation that computes shared prefixes once.

Prompts are tuples of segments. Prompts that begin with the same segments form a tree; each of its nodes is read once,
on top of its parent's key/value cache. Only sequences of equal history length and equal new length share a forward
pass, so nothing is padded or masked away, and how a prompt is computed depends on its own segments alone: the batch
changes speed, not results. (On a CPU in bfloat16 the logits are the same bits in any batch; in float32 they agree to
rounding, as the matrix product of few rows takes another order of summation.)
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from v2l.models.llm_decoding import Decoding

Ids = tuple[int, ...]


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


@dataclass
class _Node:
    """What follows after some segments: longer prompts, and answers that begin here."""

    children: dict[Ids, "_Node"] = field(default_factory=dict)
    answers: list[_Answer] = field(default_factory=list)
    num_new_tokens: int = 0


@dataclass(frozen=True)
class _Read:
    """Ids to be read after row ``row`` of a cache, and what to do with the logits."""

    row: int
    ids: Ids
    target: _Node | _Answer

    @property
    def reserve(self) -> int:
        """Tokens that may still be generated after this."""
        if isinstance(self.target, _Node):
            return self.target.num_new_tokens
        return self.target.decoding.max_new_tokens - len(self.target.ids)


@dataclass(frozen=True)
class _Job:
    """One forward pass: reads of equal length after ``past`` tokens; ``owns_cache`` if no later one needs the cache."""

    cache: Cache | None
    past: int
    reads: list[_Read]
    owns_cache: bool


class Generation:
    """One run over a list of requests. ``answers`` holds the chosen ids in the order of the requests."""

    def __init__(self, model: PreTrainedModel, requests: Sequence[Request], vocab_size: int, batch_tokens: int) -> None:
        """vocab_size: only ids below it are chosen. batch_tokens: limit of sequences x their full length in a pass."""
        self._model = model
        self._vocab_size = vocab_size
        self._batch_tokens = batch_tokens
        self.answers: list[list[int]] = [[] for _ in requests]
        self.num_answered = 0
        self.num_tokens = 0
        self._root = self._build_tree(requests)

    def _build_tree(self, requests: Sequence[Request]) -> _Node:
        root = _Node()
        for index, request in enumerate(requests):
            if not request.segments or not all(request.segments):
                raise ValueError(f"request {index}: expected one or more segments, each of one or more ids")
            answer = _Answer(index, request.decoding)
            if answer.append_forced():
                self._finish(answer)
                continue
            *segments, last = request.segments
            node = root
            for segment in (*segments, last + answer.take_unread()):
                if segment not in node.children:
                    node.children[segment] = _Node()
                    self.num_tokens += len(segment)
                node = node.children[segment]
            node.answers.append(answer)
            node.num_new_tokens = max(node.num_new_tokens, answer.decoding.max_new_tokens)
        return root

    @torch.inference_mode()
    def run(self, advance: Callable[[int], None]) -> None:
        """Computes all answers, depth first, so that few caches are held. ``advance`` hears of prompt tokens read."""
        stack = self._batch(None, 0, [_Read(0, ids, node) for ids, node in self._root.children.items()])
        while stack:
            job = stack.pop()
            logits, cache = self._forward(job)
            best = logits.max(dim=-1).indices.tolist()  # the first of equals; several times faster than argmax
            reads: list[_Read] = []
            for row, read in enumerate(job.reads):
                answers = [read.target]
                if isinstance(read.target, _Node):
                    reads.extend(_Read(row, ids, child) for ids, child in read.target.children.items())
                    answers = read.target.answers
                reads.extend(
                    _Read(row, answer.take_unread(), answer)
                    for answer in answers
                    if not self._choose(answer, logits[row], best[row])
                )
            advance(sum(len(read.ids) for read in job.reads if isinstance(read.target, _Node)))
            stack.extend(self._batch(cache, job.past + len(job.reads[0].ids), reads))

    def _choose(self, answer: _Answer, logits: Tensor, best: int) -> bool:
        """Takes the best allowed id (of equals the lowest), and those it forces. Returns whether that was the end."""
        allowed = answer.decoding.allowed(answer.ids)
        answer.ids.append(best if allowed is None else allowed[int(logits[list(allowed)].argmax())])
        complete = answer.append_forced()
        if complete:
            self._finish(answer)
        return complete

    def _finish(self, answer: _Answer) -> None:
        self.answers[answer.request] = answer.ids
        self.num_answered += 1

    def _batch(self, cache: Cache | None, past: int, reads: Iterable[_Read]) -> list[_Job]:
        """Forward passes for the reads, each within the token limit if it has several sequences.

        They are popped from the end: the longest first, to show early whether memory is enough, and the one that may
        spend the cache last.
        """
        by_length: dict[int, list[_Read]] = defaultdict(list)
        for read in reads:
            by_length[len(read.ids)].append(read)
        batches = []
        for length in sorted(by_length):
            group = sorted(by_length[length], key=lambda read: read.row)
            full_length = past + length + max(read.reserve for read in group)
            size = max(1, self._batch_tokens // full_length)
            batches += [group[start : start + size] for start in range(0, len(group), size)]
        return [_Job(cache, past, batch, owns_cache=number == 0) for number, batch in enumerate(batches)]

    def _forward(self, job: _Job) -> tuple[Tensor, Cache]:
        """Logits after each read, [B, V], and the cache that now holds the reads."""
        reads = job.reads
        if len(reads) == len(reads[0].ids) == 1:
            reads = reads * 2  # one row alone would take matrix-vector kernels, which round otherwise
        device = self._model.get_input_embeddings().weight.device
        cache = job.cache
        if cache is not None:
            cache = cache if job.owns_cache else copy.deepcopy(cache)
            rows = torch.tensor([read.row for read in reads], device=device)
            for layer in cache.layers:  # of a model on several devices; one without states has none
                layer.batch_select_indices(rows.to(getattr(layer, "device", device)))
        output = self._model(
            input_ids=torch.tensor([read.ids for read in reads], device=device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1 if len(reads) > 1 else 2,  # two rows for the output layer too
        )
        return output.logits[: len(job.reads), -1, : self._vocab_size], output.past_key_values
