"""The output layer of an LLM, computed where an id is to be chosen, and for the ids that may be chosen, alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

Choice = Sequence[int] | None  # ids, ascending; None: any


class _Keep(nn.Module):
    """Stands where the output layer was, and keeps what it would have been given."""

    states: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.weight = getattr(layer, "weight", None)  # some models look at its dtype

    def forward(self, states: Tensor) -> Tensor:
        self.states = states
        return states


class OutputLayer:
    """The output layer of one model.

    What some models do with logits (capping, scaling) keeps their order, but for ties in bf16, and is left out.
    """

    def __init__(self, model: PreTrainedModel, vocab_size: int) -> None:
        """vocab_size: ids from there on are never chosen."""
        self._model = model
        self._any = range(vocab_size)
        self._layer = model.get_output_embeddings()
        self._keep = _Keep(self._layer)

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """While it is active, forward passes of the model end before the layer; see ``states``."""
        self._model.set_output_embeddings(self._keep)
        try:
            yield
        finally:
            self._model.set_output_embeddings(self._layer)

    @property
    def states(self) -> Tensor:
        """What the last pass would have given to the layer, [B, S, d]."""
        return self._keep.states

    def best(self, states: Tensor, choices: Sequence[Choice]) -> list[int]:
        """For each of the states [B, d] the id of the highest logit among its choice, of equals the lowest."""
        wholes = [self._any if choice is None else choice for choice in choices]
        ranges: dict[range, list[int]] = defaultdict(list)
        found: dict[int, Tensor] = {}
        for place, choice in enumerate(wholes):
            if isinstance(choice, range):
                ranges[choice].append(place)
            else:
                found[place] = self._logits(states[place : place + 1], list(choice))[0].argmax()
        for choice, places in ranges.items():
            # One row alone would take matrix-vector kernels, which round otherwise.
            rows = states[places if len(places) > 1 else places * 2]
            # The first of equals; several times faster than argmax.
            best = self._logits(rows, slice(choice.start, choice.stop)).max(dim=-1).indices
            found.update(zip(places, best, strict=False))
        if not found:
            return []
        places = torch.stack([found[place] for place in range(len(wholes))]).tolist()  # waits for a GPU once
        return [choice[place] for choice, place in zip(wholes, places, strict=True)]

    def _logits(self, states: Tensor, ids: list[int] | slice) -> Tensor:
        """Logits of these ids alone, [B, number of ids]."""
        layer = self._layer
        if type(layer) is not nn.Linear:  # an adapted one, say
            return layer(states)[:, ids]
        bias = None if layer.bias is None else layer.bias[ids]
        return nn.functional.linear(states.to(layer.weight), layer.weight[ids], bias)
