"""Forward passes for a device that wants large ones: prompts that begin alike are branches of one row of the cache.

What is read after a row is put behind all that the row holds already, blind to all but its own beginning (tree
attention, Miao et al. 2024, SpecInfer), and rows of unequal length are padded. Attention is computed over
places that are masked out; in return one pass does the work of many. On a GPU a pass of a token takes about as long as
one of some hundred. Answers equal those of `v2l.models.llm_passes` to rounding.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import ceil

import numpy as np
import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from v2l.models.llm_output import OutputLayer
from v2l.models.llm_passes import Branch, Read, apart

SHORT_HISTORY = 256  # tokens of a row that are rather copied for each of its reads than looked at in vain
LINE_TOKENS = 1024  # that one pass puts behind a row, with those still to be generated
SMALL_PASS = 1024  # a pass of fewer tokens takes a GPU no less time: padding up to it costs nothing
PADDING = 1.25  # of a larger pass: places for each token
KEPT = 0.8  # of a row's columns, where leaving out the others is not worth a copy


@dataclass(frozen=True)
class Line:
    """Reads that stand one after the other behind a row of a cache. seen: what each sees of it, [reads, columns]."""

    row: int
    reads: Sequence[Read]
    seen: np.ndarray

    @cached_property
    def width(self) -> int:
        return sum(len(read.ids) for read in self.reads)

    @cached_property
    def reserve(self) -> int:
        """Tokens that may still be put behind these."""
        return sum(read.reserve for read in self.reads)

    @cached_property
    def columns(self) -> np.ndarray:
        """Those of the row that are seen by any of the reads."""
        return np.flatnonzero(self.seen.any(axis=0))


@dataclass(frozen=True)
class TreePass:
    """One forward pass over lines; ``owns_cache`` if no later one needs the cache.

    whole: the lines are all rows of the cache with all columns; else each is given the columns that it sees alone.
    """

    cache: Cache | None
    lines: Sequence[Line]
    whole: bool
    owns_cache: bool = False

    @cached_property
    def reads(self) -> list[Read]:
        return [read for line in self.lines for read in line.reads]

    @cached_property
    def width(self) -> int:
        return max(line.width for line in self.lines)

    @cached_property
    def places(self) -> list[tuple[int, int, int]]:
        """Of each read: its line, and from where to where it stands among the line's new tokens."""
        found = []
        for number, line in enumerate(self.lines):
            ends = [0, *accumulate(len(read.ids) for read in line.reads)]
            found += [(number, *span) for span in pairwise(ends)]
        return found

    @cached_property
    def history(self) -> int:
        """Columns of a row when the pass begins."""
        return self.lines[0].seen.shape[1] if self.whole else max(len(line.columns) for line in self.lines)

    @cached_property
    def seen(self) -> np.ndarray:
        """What each read sees of these columns, [reads, history]."""
        parts = [line.seen if self.whole else line.seen[:, line.columns] for line in self.lines]
        return np.concatenate([np.pad(part, [(0, 0), (0, self.history - part.shape[1])]) for part in parts])


class _Group:
    """Lines of one pass, taken from the shortest on."""

    def __init__(self, line: Line) -> None:
        self.lines = [line]
        self._tokens, self._reserve, self._history = line.width, line.reserve, len(line.columns)

    def take(self, line: Line, most: int, batch_tokens: int) -> bool:
        """Adds a line that is as long as the last or longer, unless the pass would be too large or too much padding."""
        history, reserve = max(self._history, len(line.columns)), max(self._reserve, line.reserve)
        count, tokens = len(self.lines) + 1, self._tokens + line.width
        large = count > most or count * (history + line.width + reserve) > batch_tokens
        if large or count * line.width > max(SMALL_PASS, PADDING * tokens):
            return False
        self.lines.append(line)
        self._tokens, self._reserve, self._history = tokens, reserve, history
        return True

    def is_whole(self, num_rows: int) -> bool:
        """Whether the cache is taken as it is: a line of every row, in order, with little to be left out."""
        in_order = [line.row for line in self.lines] == list(range(num_rows))
        return in_order and self._history >= KEPT * self.lines[0].seen.shape[1]


def _grouped(lines: Sequence[Line], most: int, batch_tokens: int) -> list[_Group]:
    groups: list[_Group] = []
    for line in sorted(lines, key=lambda line: (line.width, len(line.columns))):
        if not groups or not groups[-1].take(line, most, batch_tokens):
            groups.append(_Group(line))
    return groups


class TreePasses:
    """The passes of one model that `is_told_what_is_seen`."""

    def __init__(self, model: PreTrainedModel, output: OutputLayer, batch_tokens: int) -> None:
        """batch_tokens: limit of rows x their full length in a pass, without what some of them are not shown."""
        self._model = model
        self._output = output
        self._batch_tokens = batch_tokens
        self._device = model.get_input_embeddings().weight.device

    def begin(self, branches: Sequence[Branch]) -> list[TreePass]:
        """Passes for branches that follow nothing, to be run from the end."""
        nothing = np.zeros((1, 0), dtype=bool)
        return self._plan(None, 0, [Line(0, [Read(0, branch)], nothing) for branch in branches])

    def follow(self, done: TreePass, cache: Cache, reads: Sequence[Read]) -> list[TreePass]:
        """Passes that go on after one with the cache that it returned; the row of a read is its place in that pass."""
        places, seen = done.places, done.seen
        by_row: dict[int, list[tuple[Read, np.ndarray]]] = defaultdict(list)
        for read in reads:
            line, start, end = places[read.row]
            own = np.zeros(done.width, dtype=bool)
            own[start:end] = True
            by_row[line].append((read, np.concatenate([seen[read.row], own])))
        lines = [line for row, group in by_row.items() for line in _lines(row, group, self._batch_tokens)]
        return self._plan(cache, len(done.lines), lines)

    def _plan(self, cache: Cache | None, num_rows: int, lines: Sequence[Line]) -> list[TreePass]:
        """Passes of lines that are alike in length, each within the token limit if it has several."""
        groups = _grouped(lines, len(lines), self._batch_tokens)
        if len(groups) > 1:  # a few lines left over would go their own way to the end, a pass for each token
            even = _grouped(lines, ceil(len(lines) / len(groups)), self._batch_tokens)
            groups = even if len(even) == len(groups) else groups
        for group in groups:
            group.lines.sort(key=lambda line: line.row)
        passes = [TreePass(cache, group.lines, group.is_whole(num_rows)) for group in groups]
        return [replace(each, owns_cache=number == 0) for number, each in enumerate(passes)]

    def run(self, each: TreePass) -> tuple[Tensor, Cache]:
        """What the output layer is to be given after each read, [reads, d], and the cache that now holds the lines."""
        places, seen = each.places, each.seen
        ids = np.zeros((len(each.lines), each.width), dtype=np.int64)
        for (line, start, end), read in zip(places, each.reads, strict=True):
            ids[line, start:end] = read.ids
        alike = len(places) == len(each.lines) and all(end == each.width for _, _, end in places) and seen.all()
        with self._output.left_out():
            output = self._model(
                input_ids=torch.from_numpy(ids).to(self._device),
                past_key_values=self._history(each),
                use_cache=True,
                **({"logits_to_keep": 1} if alike else self._what_is_seen(each)),
            )
        states = self._output.states
        if alike:
            return states[:, -1], output.past_key_values
        lines, ends = zip(*((line, end - 1) for line, _, end in places), strict=True)
        return states[list(lines), list(ends)], output.past_key_values

    def _what_is_seen(self, each: TreePass) -> dict[str, Tensor]:
        """Positions [B, S] and the additive mask [B, 1, S, columns + S]. Padding sees padding, so that it sees some."""
        places, seen = each.places, each.seen
        whose = np.full((len(each.lines), each.width), len(places))
        positions = np.zeros_like(whose)
        for number, (line, start, end) in enumerate(places):
            whose[line, start:end] = number
            positions[line, start:end] = seen[number].sum() + np.arange(end - start)
        seen = np.concatenate([seen, np.zeros_like(seen[:1])])
        owner = torch.from_numpy(whose).to(self._device)
        own = (owner[:, :, None] == owner[:, None, :]).tril()
        visible = torch.cat([torch.from_numpy(seen).to(self._device)[owner], own], dim=2)
        mask = torch.zeros(visible.shape, dtype=self._model.dtype, device=self._device)
        mask.masked_fill_(~visible, torch.finfo(mask.dtype).min)
        return {"position_ids": torch.from_numpy(positions).to(self._device), "attention_mask": mask[:, None]}

    def _history(self, each: TreePass) -> Cache | None:
        """The rows and columns that the pass needs, to be added to."""
        if each.cache is None:
            return None
        cache = each.cache if each.owns_cache else apart(each.cache)
        if each.whole:
            return cache
        rows = torch.tensor([[line.row] for line in each.lines])
        padded = [np.pad(line.columns, (0, each.history - len(line.columns))) for line in each.lines]
        columns = torch.from_numpy(np.stack(padded))
        for layer in cache.layers:
            if layer.is_initialized:  # one that shares another's states has none
                chosen = rows.to(layer.keys.device), columns.to(layer.keys.device)
                layer.keys, layer.values = (
                    states.transpose(1, 2)[chosen].transpose(1, 2) for states in (layer.keys, layer.values)
                )
        return cache


def _lines(row: int, group: Sequence[tuple[Read, np.ndarray]], batch_tokens: int) -> Iterator[Line]:
    """Reads after one row: behind a long history several in a line, else each in one of its own."""
    history = max(np.count_nonzero(seen) for _, seen in group)
    most = 0 if history < SHORT_HISTORY else min(LINE_TOKENS, batch_tokens - history)
    line: list[tuple[Read, np.ndarray]] = []
    length = 0
    for read, seen in group:
        own = len(read.ids) + read.reserve
        if line and length + own > most:
            yield _line(row, line)
            line, length = [], 0
        line.append((read, seen))
        length += own
    yield _line(row, line)


def _line(row: int, members: Sequence[tuple[Read, np.ndarray]]) -> Line:
    return Line(row, [read for read, _ in members], np.stack([seen for _, seen in members]))
