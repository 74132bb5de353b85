"""A tokenizer whose codebook is frozen and searched as it is: what the LQAE-like and the SPAE-like one share."""

from abc import abstractmethod
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from v2l.config.tokenizer import TokenizerConfig
from v2l.tokenizer.base import Codes, ImageTokenizer, Sources, filled, width_of
from v2l.tokenizer.quantizers import distinct_rows


class FrozenCodebookTokenizer(ImageTokenizer):
    """Codes [num_codes, code_dim] that no training moves; row = token id of the LLM."""

    def __init__(self, config: TokenizerConfig, num_codes: int, code_dim: int) -> None:
        super().__init__(config, code_dim)
        self.codebook = nn.Embedding(num_codes, code_dim).requires_grad_(False)
        self._codes: Codes | None = None

    @classmethod
    @abstractmethod
    def frozen_codes(cls, sources: Sources) -> Tensor:
        """The codebook of this kind, [num_codes, code_dim] float32."""

    @classmethod
    def make(cls, config: TokenizerConfig, sources: Sources) -> Self:
        codes = cls.frozen_codes(sources)
        tokenizer = cls(config, *codes.shape)
        tokenizer.codebook.weight.data.copy_(codes)
        return tokenizer

    @classmethod
    def from_tensors(cls, config: TokenizerConfig, tensors: dict[str, Tensor], origin: Path) -> Self:
        shape = width_of(tensors, "codebook.weight", origin)
        with torch.device("meta"):
            tokenizer = cls(config, *shape)
        return filled(tokenizer, tensors, origin)

    @property
    def vocab_size(self) -> int:
        return self.codebook.num_embeddings

    @torch.no_grad()
    def codes(self) -> Codes:
        if self._codes is None or self._codes.vectors.device != self.codebook.weight.device:
            ids = distinct_rows(self.codebook.weight)
            self._codes = Codes(ids, self.codebook.weight[ids])
        return self._codes

    def lookup(self, ids: Tensor) -> Tensor:
        return self.codebook(ids)
