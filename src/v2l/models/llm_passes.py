"""Forward passes of an LLM over what follows after key/value caches: which reads share one, and what it computes.

Reads of equal history length and equal new length share a pass, so nothing is padded. Short ones behind one long
history are packed into one sequence, each blind to the others, as a pass of few tokens reads all weights for little.
"""

import copy
import inspect
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Generic, TypeVar

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from v2l.models.llm_output import OutputLayer

Ids = tuple[int, ...]
Target = TypeVar("Target")

# A pass of so many tokens makes use of the processor; of so long a history few rows are in one batch.
PACKED_TOKENS = 256


@dataclass(frozen=True)
class Read(Generic[Target]):
    """Ids to be read after row ``row`` of a cache; ``target`` is what they lead to.

    reserve: tokens that may still be generated after these.
    """

    row: int
    ids: Ids
    target: Target
    reserve: int


@dataclass(frozen=True)
class Pass(Generic[Target]):
    """One forward pass after ``past`` tokens; ``owns_cache`` if no later one needs the cache.

    The reads are of equal length, a row each, or ``packed``: of any length, one after the other behind one row.
    """

    cache: Cache | None
    past: int
    reads: Sequence[Read[Target]]
    packed: bool = False
    owns_cache: bool = False


def is_told_what_is_seen(model: PreTrainedModel) -> bool:
    """Whether the model takes positions and a mask of ours. ALiBi counts positions itself, older code what is seen."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # of an adapter
    told = "position_ids" in inspect.signature(inner.forward).parameters and inner._supports_attention_backend
    return told and not getattr(model.config, "alibi", False)


class Passes:
    """The passes of one model, within which how a prompt is computed depends on those that begin like it alone."""

    def __init__(self, model: PreTrainedModel, output: OutputLayer, batch_tokens: int) -> None:
        """batch_tokens: limit of sequences x their full length in a pass."""
        self._model = model
        self._output = output
        self._batch_tokens = batch_tokens
        self._device = model.get_input_embeddings().weight.device
        self._packs = is_told_what_is_seen(model)

    def begin(self, reads: Sequence[Read]) -> list[Pass]:
        """Passes for reads that follow nothing, to be run from the end."""
        return self._plan(None, 0, reads)

    def _plan(self, cache: Cache | None, past: int, reads: Sequence[Read]) -> list[Pass]:
        """Passes for the reads, each within the token limit if it has several sequences.

        They are to be run from the end: the packed ones and the longest first, to show early whether memory is enough,
        and the one that may spend the cache last.
        """
        packs = self._packs_of(cache, past, reads)
        packed = {id(read) for pack in packs for read in pack}
        by_length: dict[int, list[Read]] = defaultdict(list)
        for read in reads:
            if id(read) not in packed:
                by_length[len(read.ids)].append(read)
        passes = []
        for length in sorted(by_length):
            group = sorted(by_length[length], key=lambda read: read.row)
            size = max(1, self._batch_tokens // (past + length + max(read.reserve for read in group)))
            passes += [Pass(cache, past, group[start : start + size]) for start in range(0, len(group), size)]
        passes += [Pass(cache, past, pack, packed=True) for pack in packs]
        return [replace(each, owns_cache=number == 0) for number, each in enumerate(passes)]

    def _packs_of(self, cache: Cache | None, past: int, reads: Sequence[Read]) -> list[list[Read]]:
        """Of the reads those that are better packed: short ones behind one row, unless enough of them are alike.

        That depends on what is to be read behind the row alone, not on the limit of a pass.
        """
        # Layers of other kinds, as those of sliding windows, do not take a mask of ours.
        if not self._packs or past < PACKED_TOKENS or any(type(layer) is not DynamicLayer for layer in cache.layers):
            return []
        alike = Counter((read.row, len(read.ids)) for read in reads)
        by_row: dict[int, list[Read]] = defaultdict(list)
        for read in reads:
            if len(read.ids) * alike[read.row, len(read.ids)] < PACKED_TOKENS:
                by_row[read.row].append(read)
        return [pack for group in by_row.values() for pack in _filled(sorted(group, key=lambda read: len(read.ids)))]

    def follow(self, done: Pass, cache: Cache, reads: Sequence[Read]) -> Iterator[Pass]:
        """Passes that go on after one with the cache that it returned; the row of a read is its place in that pass."""
        if not done.packed:
            yield from self._plan(cache, done.past + len(done.reads[0].ids), reads)
            return
        starts = [0, *accumulate(len(read.ids) for read in done.reads)]
        by_length: dict[int, list[Read]] = defaultdict(list)
        for read in reads:
            by_length[len(done.reads[read.row].ids)].append(read)
        for length, group in by_length.items():  # those of equal length get caches with a row for each
            past = done.past + length
            size = max(1, self._batch_tokens // (past + max(len(read.ids) + read.reserve for read in group)))
            every = sorted({read.row for read in group})
            for places in (every[start : start + size] for start in range(0, len(every), size)):
                rows = _rows_of_pack(cache, done.past, length, [starts[place] for place in places])
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
        lengths = [len(read.ids) for read in each.reads]
        own = torch.block_diag(*(torch.ones(length, length).tril() for length in lengths)) == 1
        seen = torch.cat([torch.ones(len(own), each.past, dtype=torch.bool), own], dim=1)
        dtype = self._model.dtype
        mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
        positions = each.past + torch.cat([torch.arange(length) for length in lengths])
        output = self._model(
            input_ids=torch.tensor([[token_id for read in each.reads for token_id in read.ids]], device=self._device),
            position_ids=positions[None].to(self._device),
            attention_mask=mask[None, None].to(self._device),
            past_key_values=self._history(each, [each.reads[0].row]),
            use_cache=True,
            logits_to_keep=[end - 1 for end in accumulate(lengths)],  # a tensor would have to be on the last device
        )
        return output.past_key_values

    def _history(self, each: Pass, rows: Sequence[int]) -> Cache | None:
        """These rows of the pass's cache, to be added to."""
        if each.cache is None:
            return None
        cache = each.cache if each.owns_cache else apart(each.cache)
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


def _rows_of_pack(cache: Cache, past: int, length: int, starts: Sequence[int]) -> DynamicCache:
    """Of a pack's cache, a row for each read of this length: the history, then the read's own place."""
    own = past + torch.tensor(starts)[:, None] + torch.arange(length)
    columns = torch.cat([torch.arange(past).expand(len(starts), -1), own], dim=1)
    rows = DynamicCache()
    for index, layer in enumerate(cache.layers):
        chosen = columns.to(layer.keys.device)
        rows.update(*(states[0][:, chosen].transpose(0, 1) for states in (layer.keys, layer.values)), index)
    return rows


def _filled(reads: Sequence[Read]) -> Iterator[list[Read]]:
    """Packs of two or more reads in their order, each of at most PACKED_TOKENS."""
    pack: list[Read] = []
    for read in reads:
        if sum(len(each.ids) for each in pack) + len(read.ids) > PACKED_TOKENS:
            if len(pack) > 1:
                yield pack
            pack = []
        pack.append(read)
    if len(pack) > 1:
        yield pack
