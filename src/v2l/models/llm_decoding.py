"""What a greedy answer may be: anything up to a stop id, or one of a list of names."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, Protocol


class Decoding(Protocol):
    """The rule of one answer. ``max_new_tokens``: the longest answer, in ids."""

    max_new_tokens: int

    def allowed(self, answer: Sequence[int]) -> Sequence[int] | None:
        """Ids that may follow the answer so far, ascending; None: any id; empty: the answer is complete."""
        ...


class Free:
    """Any id, until a stop id (kept as the answer's last) or the length limit."""

    def __init__(self, max_new_tokens: int, stop_ids: frozenset[int] = frozenset()) -> None:
        self.max_new_tokens = max_new_tokens
        self._stop_ids = stop_ids

    def allowed(self, answer: Sequence[int]) -> Sequence[int] | None:
        complete = len(answer) == self.max_new_tokens or (len(answer) > 0 and answer[-1] in self._stop_ids)
        return () if complete else None


class Within:
    """Exactly ``count`` ids, each below ``limit``: tokens of a vocabulary that is a beginning of the LLM's."""

    def __init__(self, count: int, limit: int) -> None:
        self.max_new_tokens = count
        self._ids = range(limit)

    def allowed(self, answer: Sequence[int]) -> Sequence[int]:
        return () if len(answer) == self.max_new_tokens else self._ids


class FillIn:
    """A whole sequence of which some ids are given: only the others are chosen.

    ids: the sequence.   missing: whether the id at a place is to be chosen, below ``limit`` if there is one.
    """

    def __init__(self, ids: Sequence[int], missing: Sequence[bool], limit: int | None = None) -> None:
        """Raises ValueError if the two differ in length."""
        self._choices = [
            (None if limit is None else range(limit)) if open_ else (given,)
            for given, open_ in zip(ids, missing, strict=True)
        ]
        self.max_new_tokens = len(self._choices)

    def allowed(self, answer: Sequence[int]) -> Sequence[int] | None:
        return () if len(answer) == self.max_new_tokens else self._choices[len(answer)]


class OneOf:
    """One of the given id sequences ("names"), or a mixture of them.

    exact: the answer so far and the next id begin some name (a trie). positionwise: the next id stands at this
    position in some name, whatever came before; this is the release's rule, and it admits mixtures of names.

    ``end_id`` is the id that follows a whole name in the prompt (a newline, say). It counts as a name's last id, so
    that the model itself decides between a name and a longer one that begins with it. An answer that could only end
    is complete without it.
    """

    def __init__(
        self, names: Sequence[Sequence[int]], end_id: int, constraint: Literal["exact", "positionwise"] = "exact"
    ) -> None:
        """Raises ValueError if there is no name, or one without ids."""
        if not names or not all(names):
            raise ValueError(f"expected one or more names, each of one or more ids, found {list(names)}")
        self.max_new_tokens = 1 + max(len(name) for name in names)
        self._end_id = end_id
        self._exact = constraint == "exact"
        following: dict[tuple[int, ...] | int, set[int]] = defaultdict(set)
        for name in names:
            ended = (*name, end_id)
            for position, token_id in enumerate(ended):
                following[self._place(ended[:position])].add(token_id)
        self._following = {place: sorted(ids) for place, ids in following.items()}

    def _place(self, answer: Sequence[int]) -> tuple[int, ...] | int:
        return tuple(answer) if self._exact else len(answer)

    def allowed(self, answer: Sequence[int]) -> Sequence[int]:
        if answer and answer[-1] == self._end_id:
            return ()
        following = self._following[self._place(answer)]
        return () if following == [self._end_id] else following
