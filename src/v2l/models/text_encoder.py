"""The frozen text encoder of the default: a sentence transformer with mean pooling."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from v2l.errors import ModelError
from v2l.runtime import Runtime

PASS_TEXTS = 64

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, ``size`` at a time; the last batch may be smaller."""
    return (items[start : start + size] for start in range(0, len(items), size))


def filled(batch: Sequence[Item], size: int) -> list[Item]:
    """The batch brought to ``size`` items by repeating its last one."""
    return [*batch, *[batch[-1]] * (size - len(batch))]


class TextEncoder:
    """Unit-length sentence embeddings.

    A forward pass holds texts of the same number of tokens, so no token is padded, and always as many of them, the last
    one repeated, as products of another shape may round otherwise: an embedding does not depend on its neighbours.
    """

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        """Raises ModelError if the folder does not hold a model and its tokenizer."""
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=runtime.dtype)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{folder}: expected a text encoder and its tokenizer ({str(error).splitlines()[0]})"
            ) from None
        self._model = self._model.eval().requires_grad_(False).to(runtime.device)
        self._device = runtime.device
        self.dim: int = self._model.config.hidden_size

    @torch.no_grad()
    def encode(self, texts: Sequence[str], advance: Callable[[int], None] | None = None) -> Tensor:
        """[N] texts -> [N, d] float32, unit length. ``advance`` hears how many texts each pass finished."""
        encodings = self._tokenizer(list(texts), add_special_tokens=True, truncation=True)["input_ids"] if texts else []
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, ids in enumerate(encodings):
            by_length[len(ids)].append(index)
        output = torch.empty(len(texts), self.dim)
        for _, indices in sorted(by_length.items()):
            for batch in batches(indices, PASS_TEXTS):
                ids = torch.tensor([encodings[index] for index in filled(batch, PASS_TEXTS)], device=self._device)
                hidden = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
                pooled = hidden.float().mean(dim=1)
                output[batch] = torch.nn.functional.normalize(pooled, dim=-1)[: len(batch)].cpu()
                if advance is not None:
                    advance(len(batch))
        return output
