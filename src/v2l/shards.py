"""Shards: a stage's items in contiguous parts, each made by a job of its own, and the parts put together again.

Parts are whole items in their order, so that joining them in order gives the bytes of the unsharded stage.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from v2l.errors import ConfigError

Items = TypeVar("Items", bound=Any)

JOINED, ADDED = "joined", "added"  # how parts of an output become one
BETWEEN = "; "  # of what the parts were made with and on, where that differs, in the provenance of the whole


class EmptyPart(Exception):
    """There are more parts than items, and this one has none: its stage has nothing to do."""


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (from 1) of ``count``."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From Snakemake's form, ``3-of-7``. Raises ConfigError."""
        found = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", text)
        if found is None or int(found[1]) > int(found[2]):
            raise ConfigError(f"--shard: expected a part like 3-of-7, found {text!r}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def bounds(self, num_items: int) -> slice:
        """Where the part lies; parts differ by at most one item."""
        return slice(num_items * (self.number - 1) // self.count, num_items * self.number // self.count)

    def of(self, items: Items) -> Items:
        """The part of a list, array or, by ``iloc``, table. Raises EmptyPart where there are items, but none in it."""
        where = self.bounds(len(items))
        if len(items) and where.start == where.stop:
            raise EmptyPart
        return (items.iloc if hasattr(items, "iloc") else items)[where]

    def of_weighted(self, items: Sequence[Any], weights: Sequence[float]) -> Sequence[Any]:
        """As ``of``, with parts of about equal weight: an item belongs to the one in which its middle lies."""
        ends = np.cumsum(weights)
        middles = ends - np.asarray(weights) / 2
        shares = [ends[-1] * number / self.count if len(ends) else 0 for number in (self.number - 1, self.number)]
        start, stop = np.searchsorted(middles, shares)
        if len(items) and start == stop:
            raise EmptyPart
        return items[start:stop]


WHOLE = Shard(1, 1)
