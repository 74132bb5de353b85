"""Forward passes of an LLM over what follows after key/value caches: which reads share one, and what it computes.

Reads of equal history length and equal new length share a pass, so nothing is padded. Short ones of prompts that begin
alike are packed into one sequence, each blind to all but its own beginning (tree attention, Miao et al. 2024,
SpecInfer), as a pass of few tokens reads all weights for little.
"""

import copy
import inspect
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from v2l.models.llm_output import OutputLayer

Ids = tuple[int, ...]
Answer = TypeVar("Answer")

PACKED_TOKENS = 384  # a pass of so many makes use of a processor; more look in vain at more of each other


@dataclass(eq=False)
class Branch(Generic[Answer]):
    """A piece of prompts or of an answer, in a tree of all that begin alike.

    answers: those that begin after its ids.   children: what longer prompts go on with, by their ids.
    num_new_tokens: that may be generated after it, by one answer.   of_prompt: or of an answer in the making.
    """

    ids: Ids
    answers: list[Answer] = field(default_factory=list)
    children: dict[Ids, "Branch[Answer]"] = field(default_factory=dict)
    num_new_tokens: int = 0
    of_prompt: bool = True


@dataclass(frozen=True)
class Read:
    """A branch to be read after row ``row`` of a cache, or in a pack, after the read at place ``after`` of it."""

    row: int
    branch: Branch
    after: int | None = None

    @property
    def ids(self) -> Ids:
        return self.branch.ids

    @property
    def reserve(self) -> int:
        """Tokens that may still be generated after these."""
        return self.branch.num_new_tokens


@dataclass(frozen=True)
class Pass:
    """One forward pass after ``past`` tokens; ``owns_cache`` if no later one needs the cache.

    The reads are of equal length, a row each, or ``packed``: of any length, one after the other behind one row. Of the
    row that a pack has left, which is then the only one, each sees what ``history`` says, [reads, past].
    """

    cache: Cache | None
    past: int
    reads: Sequence[Read]
    packed: bool = False
    history: np.ndarray | None = None
    owns_cache: bool = False

    @cached_property
    def ends(self) -> list[int]:
        """Of a pack: where each read ends among its new tokens."""
        return list(accumulate(len(read.ids) for read in self.reads))

    @cached_property
    def seen(self) -> np.ndarray:
        """Of a pack: what each of its new tokens sees, [tokens, past + tokens]."""
        seen = np.zeros((self.ends[-1], self.past + self.ends[-1]), dtype=bool)
        for place, (read, end) in enumerate(zip(self.reads, self.ends, strict=True)):
            own = slice(end - len(read.ids), end)
            if read.after is not None:
                seen[own] = seen[self.ends[read.after] - 1]
            else:
                seen[own, : self.past] = True if self.history is None else self.history[place]
            seen[own, self.past :][:, own] = np.tri(len(read.ids), dtype=bool)
        return seen

    def seen_by(self, read: Read) -> np.ndarray:
        """Of the row that a pack leaves: what one that follows, whose row is a place in the pack, sees of it."""
        return self.seen[self.ends[read.row] - 1]


def is_told_what_is_seen(model: PreTrainedModel) -> bool:
    """Whether the model takes positions and a mask of ours, for all that came before.

    ALiBi counts positions itself, older code what is seen, and a sliding window forgets.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # of an adapter
    if "position_ids" not in inspect.signature(inner.forward).parameters or not inner._supports_attention_backend:
        return False
    layers = DynamicCache(config=model.config).layers
    return not getattr(model.config, "alibi", False) and all(type(layer) is DynamicLayer for layer in layers)


class Passes:
    """The passes of one model, within which how a prompt is computed depends on those that begin like it alone."""

    def __init__(self, model: PreTrainedModel, output: OutputLayer, batch_tokens: int) -> None:
        """batch_tokens: limit of sequences x their full length in a pass."""
        self._model = model
        self._output = output
        self._batch_tokens = batch_tokens
        self._device = model.get_input_embeddings().weight.device
        self._packs = is_told_what_is_seen(model)

    def begin(self, branches: Sequence[Branch]) -> list[Pass]:
        """Passes for branches that follow nothing, to be run from the end."""
        return self._plan(None, 0, [Read(row, branch) for row, branch in enumerate(branches)])

    def _plan(self, cache: Cache | None, past: int, reads: Sequence[Read]) -> list[Pass]:
        """Passes for the reads, each within the token limit if it has several sequences.

        They are to be run from the end: the packed ones and the longest first, to show early whether memory is enough,
        and the one that may spend the cache last.
        """
        packs = self._packs_of(reads) if self._packs else []
        packed = {read for pack in packs for read in pack}
        by_length: dict[int, list[Read]] = defaultdict(list)
        for read in reads:
            if read not in packed:
                by_length[len(read.ids)].append(read)
        passes = []
        for length in sorted(by_length):
            group = sorted(by_length[length], key=lambda read: read.row)
            size = max(1, self._batch_tokens // (past + length + max(read.reserve for read in group)))
            passes += [Pass(cache, past, group[start : start + size]) for start in range(0, len(group), size)]
        passes += [Pass(cache, past, pack, packed=True) for pack in packs]
        return [replace(each, owns_cache=number == 0) for number, each in enumerate(passes)]

    def _packs_of(self, reads: Sequence[Read]) -> list[list[Read]]:
        """Packs of the reads that are better packed, with what follows them: of two or more, behind one row each.

        They depend on what is to be read behind the row alone, not on the limit of a pass.
        """
        by_row: dict[int, list[Read]] = defaultdict(list)
        for read in reads:
            by_row[read.row].append(read)
        return [pack for group in by_row.values() for pack in _filled(_short(group)) if len(pack) > 1]

    def follow(self, done: Pass, cache: Cache, reads: Sequence[Read]) -> Iterator[Pass]:
        """Passes that go on after one with the cache that it returned; the row of a read is its place in that pass."""
        if not done.packed:
            yield from self._plan(cache, done.past + len(done.reads[0].ids), reads)
            return
        if answers := [read for read in reads if not read.branch.of_prompt]:  # a few tokens each: they stay together
            history = np.stack([done.seen_by(read) for read in answers])
            moved = [replace(read, row=0) for read in answers]
            yield Pass(cache, history.shape[1], moved, packed=True, history=history, owns_cache=True)
        columns = {read.row: np.flatnonzero(done.seen_by(read)) for read in reads if read.branch.of_prompt}
        for past in sorted({len(seen) for seen in columns.values()}):  # what has an equal past gets a cache of rows
            every = [place for place, seen in columns.items() if len(seen) == past]
            group = [read for read in reads if read.branch.of_prompt and read.row in every]
            size = max(1, self._batch_tokens // (past + max(len(read.ids) + read.reserve for read in group)))
            for places in (every[start : start + size] for start in range(0, len(every), size)):
                rows = _rows_of_pack(cache, np.stack([columns[place] for place in places]))
                moved = [replace(read, row=places.index(read.row)) for read in group if read.row in places]
                yield from self._plan(rows, past, moved)

    def run(self, each: Pass) -> tuple[Tensor, Cache]:
        """What the output layer is to be given after each read, [B, d], and the cache that now holds the reads."""
        with self._output.left_out():
            cache = self._run_packed(each) if each.packed else self._run_rows(each)
        states = self._output.states
        return (states[0] if each.packed else states[: len(each.reads), -1]), cache

    def _run_rows(self, each: Pass) -> Cache:
        reads = each.reads
        if len(reads) == len(reads[0].ids) == 1:
            reads = [*reads, *reads]  # one row alone would take matrix-vector kernels, which round otherwise
        output = self._model(
            input_ids=torch.tensor([read.ids for read in reads], device=self._device),
            past_key_values=self._history(each, [read.row for read in reads]),
            use_cache=True,
            logits_to_keep=1,
        )
        return output.past_key_values

    def _run_packed(self, each: Pass) -> Cache:
        seen = torch.from_numpy(each.seen)
        mask = torch.zeros(seen.shape, dtype=self._model.dtype).masked_fill_(~seen, torch.finfo(self._model.dtype).min)
        positions = seen.sum(dim=1) - 1
        output = self._model(
            input_ids=torch.tensor([[token_id for read in each.reads for token_id in read.ids]], device=self._device),
            position_ids=positions[None].to(self._device),
            attention_mask=mask[None, None].to(self._device),
            past_key_values=self._history(each, [each.reads[0].row] if each.history is None else None),
            use_cache=True,
            logits_to_keep=[end - 1 for end in each.ends],  # a tensor would have to be on the last device
        )
        return output.past_key_values

    def _history(self, each: Pass, rows: Sequence[int] | None) -> Cache | None:
        """These rows of the pass's cache, or all, to be added to."""
        if each.cache is None:
            return None
        cache = each.cache if each.owns_cache else apart(each.cache)
        if rows is not None:
            chosen = torch.tensor(rows, device=self._device)
            for layer in cache.layers:  # of a model on several devices; one without states has none
                layer.batch_select_indices(chosen.to(getattr(layer, "device", self._device)))
        return cache


def apart(cache: Cache) -> Cache:
    """A cache to select from and to add to without a change to this one; plain layers take new tensors for both."""
    twin = copy.copy(cache)
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    twin.layers = [copy.copy(layer) if type(layer) in plain else copy.deepcopy(layer) for layer in cache.layers]
    return twin


def _rows_of_pack(cache: Cache, columns: np.ndarray) -> DynamicCache:
    """A row of its own for each of these choices of columns of a pack's cache, [rows, columns]."""
    rows = DynamicCache()
    for index, layer in enumerate(cache.layers):
        chosen = torch.from_numpy(columns).to(layer.keys.device)
        rows.update(*(states[0][:, chosen].transpose(0, 1) for states in (layer.keys, layer.values)), index)
    return rows


def _short(reads: Sequence[Read]) -> list[Read]:
    """Of reads after the same one those that do not make a pass by themselves or with others of their length,
    the longest first."""
    alike = Counter(len(read.ids) for read in reads)
    short = (read for read in reads if len(read.ids) * alike[len(read.ids)] < PACKED_TOKENS)
    return sorted(short, key=lambda read: len(read.ids), reverse=True)


def _filled(reads: Sequence[Read]) -> Iterator[list[Read]]:
    """Packs of at most PACKED_TOKENS, filled from the end with short reads, each followed by what comes after it."""
    waiting, pack, room = list(reads), [], PACKED_TOKENS
    while waiting:
        read = waiting.pop()
        if len(read.ids) <= room:
            waiting += _short([Read(read.row, child, len(pack)) for child in read.branch.children.values()])
            pack.append(read)
            room -= len(read.ids)
        elif read.after is None:  # what comes after a read is left to the passes that follow
            yield pack
            waiting.append(read)
            pack, room = [], PACKED_TOKENS
    if pack:
        yield pack
