"""A tokenizer whose codebook is frozen and not projected: what the LQAE-like and the SPAE-like one share."""

from abc import abstractmethod
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from v2l.config.tokenizer import FrozenCodebookConfig
from v2l.errors import ConfigError
from v2l.tokenizer.base import Codes, ImageTokenizer, Sources, filled, principal_axes, width_of
from v2l.tokenizer.quantizers import distinct_rows


class FrozenCodebookTokenizer(ImageTokenizer):
    """Codes [num_codes, code_dim] of unit length that no training moves; row = token id of the LLM.

    axes: while training, the principal axes [d, code_dim] that are kept of the source's d dimensions; None: all are.
    """

    def __init__(self, config: FrozenCodebookConfig, num_codes: int, code_dim: int) -> None:
        super().__init__(config, code_dim)
        self.codebook = nn.Embedding(num_codes, code_dim).requires_grad_(False)
        self.register_buffer("axes", None, persistent=False)
        self._distinct: Tensor | None = None

    @classmethod
    @abstractmethod
    def frozen_codes(cls, sources: Sources) -> Tensor:
        """Where the codebook of this kind comes from, [num_codes, d] float32 of any length."""

    @classmethod
    def make(cls, config: FrozenCodebookConfig, sources: Sources) -> Self:
        """As for every kind. Raises ConfigError if more axes are to be kept than there are."""
        codes = F.normalize(cls.frozen_codes(sources), dim=1)
        width = config.code_dim or codes.shape[1]
        if width > codes.shape[1]:
            raise ConfigError(
                f"tokenizers: code_dim: expected at most {codes.shape[1]} for this codebook, found {width}"
            )
        tokenizer = cls(config, len(codes), width)
        if width < codes.shape[1]:
            # about zero, not about the mean: inner products with codes are to be kept
            _, axes = principal_axes(codes.double().T @ codes.double(), width)
            tokenizer.axes = axes.float()
            codes = F.normalize(codes @ tokenizer.axes, dim=1)
        tokenizer.codebook.weight.data.copy_(codes)
        return tokenizer

    @classmethod
    def from_tensors(cls, config: FrozenCodebookConfig, tensors: dict[str, Tensor], origin: Path) -> Self:
        shape = width_of(tensors, "codebook.weight", origin)
        with torch.device("meta"):
            tokenizer = cls(config, *shape)
        return filled(tokenizer, tensors, origin)

    @property
    def vocab_size(self) -> int:
        return self.codebook.num_embeddings

    @torch.no_grad()
    def codes(self) -> Codes:
        if self._distinct is None or self._distinct.device != self.codebook.weight.device:
            self._distinct = distinct_rows(self.codebook.weight)
        return Codes(self._distinct, self.codebook.weight[self._distinct])

    def lookup(self, ids: Tensor) -> Tensor:
        return self.codebook(ids)
