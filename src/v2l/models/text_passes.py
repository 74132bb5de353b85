"""Forward passes of text towers: texts of one length share a pass, so no token is padded."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, ``size`` at a time; the last batch may be smaller."""
    return (items[start : start + size] for start in range(0, len(items), size))


def filled(batch: Sequence[Item], size: int) -> list[Item]:
    """The batch brought to ``size`` items by repeating its last one."""
    return [*batch, *[batch[-1]] * (size - len(batch))]


def encode_by_length(
    encodings: Sequence[Sequence[int]],
    dim: int,
    pass_size: Callable[[int], int],
    encode_pass: Callable[[Tensor], Tensor],
    advance: Callable[[int], None] | None = None,
) -> Tensor:
    """[N, dim] float32 of N token sequences, in their order. ``advance`` hears how many texts each pass finished.

    A pass holds texts of one length and always as many of them, ``pass_size`` of the length, the last one repeated, as
    products of another shape may round otherwise: an embedding does not depend on its neighbours.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, ids in enumerate(encodings):
        by_length[len(ids)].append(index)
    output = torch.empty(len(encodings), dim)
    for length, indices in sorted(by_length.items()):
        size = pass_size(length)
        for batch in batches(indices, size):
            ids = torch.tensor([encodings[index] for index in filled(batch, size)])
            output[batch] = encode_pass(ids)[: len(batch)].float().cpu()
            if advance is not None:
                advance(len(batch))
    return output
