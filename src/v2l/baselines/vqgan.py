"""VQ-GAN baseline (Esser, Rombach, Ommer: Taming Transformers, CVPR 2021, arXiv 2012.09841).

The codebook is learned with encoder and decoder; where an LLM reads the map, code i stands for its token i. Losses are
those of all tokenizers of the suite (the paper's own variant of L_VQ), so that rows of a table differ in the codebook
alone; codes start as random directions and the encoder along them, so that many are in use.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from v2l.config.tokenizer import VqGanConfig
from v2l.tokenizer.base import Codes, ImageTokenizer, Sources, filled


class VqGan(ImageTokenizer):
    """A map of ids over a learned codebook [num_codes, code_dim]."""

    def __init__(self, config: VqGanConfig) -> None:
        super().__init__(config, config.code_dim)
        self.codebook = nn.Embedding(config.num_codes, config.code_dim)
        nn.init.normal_(self.codebook.weight, std=config.code_dim**-0.5)  # about unit length, as codes elsewhere

    @classmethod
    def make(cls, config: VqGanConfig, sources: Sources) -> "VqGan":  # noqa: ARG003
        return cls(config)

    @classmethod
    def from_tensors(cls, config: VqGanConfig, tensors: dict[str, Tensor], origin: Path) -> "VqGan":
        with torch.device("meta"):
            tokenizer = cls(config)
        return filled(tokenizer, tensors, origin)

    @property
    def vocab_size(self) -> int:
        return self.codebook.num_embeddings

    @torch.no_grad()
    def codes(self) -> Codes:
        return Codes(torch.arange(self.vocab_size, device=self.codebook.weight.device), self.codebook.weight.detach())

    def lookup(self, ids: Tensor) -> Tensor:
        return self.codebook(ids)
