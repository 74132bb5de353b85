"""The frozen text encoder of the default: a sentence transformer with mean pooling."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from v2l.errors import ModelError
from v2l.runtime import Runtime


class TextEncoder:
    """Unit-length sentence embeddings.

    Only texts of the same number of tokens share a forward pass, so nothing is padded and a text's embedding does not
    depend on its neighbours.
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
        self._runtime = runtime
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
            for start in range(0, len(indices), self._runtime.text_batch):
                batch = indices[start : start + self._runtime.text_batch]
                ids = torch.tensor([encodings[index] for index in batch], device=self._runtime.device)
                hidden = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
                pooled = hidden.float().mean(dim=1)
                output[batch] = torch.nn.functional.normalize(pooled, dim=-1).cpu()
                if advance is not None:
                    advance(len(batch))
        return output
