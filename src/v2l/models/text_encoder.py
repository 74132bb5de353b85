"""The frozen text encoder of the default: a sentence transformer with mean pooling."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from v2l.errors import ModelError
from v2l.models.text_passes import encode_by_length
from v2l.runtime import Runtime

PASS_TEXTS = 64


class TextEncoder:
    """Unit-length sentence embeddings."""

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

    def encode(self, texts: Sequence[str], advance: Callable[[int], None] | None = None) -> Tensor:
        """[N] texts -> [N, d] float32, unit length. ``advance`` hears how many texts each pass finished."""
        encodings = self._tokenizer(list(texts), add_special_tokens=True, truncation=True)["input_ids"] if texts else []
        return encode_by_length(encodings, self.dim, lambda _length: PASS_TEXTS, self.encode_ids, advance)

    @torch.no_grad()
    def encode_ids(self, ids: Tensor) -> Tensor:
        """[B, L] tokens of texts of one length -> [B, d], unit length."""
        ids = ids.to(self._device)
        hidden = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return torch.nn.functional.normalize(hidden.float().mean(dim=1), dim=-1)
