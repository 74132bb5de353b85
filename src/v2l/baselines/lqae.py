"""LQAE-like baseline (Liu, Yan, Abbeel: Language Quantized AutoEncoders, NeurIPS 2023, arXiv 2302.00902).

The codebook is the frozen LLM's own input embeddings; features and codes are compared at unit length. Simplified: the
original takes RoBERTa's embeddings and, while training, lets RoBERTa fill in masked tokens of the map; here the LLM of
the suite gives the embeddings, of which a configuration may keep the principal axes alone; encoder, decoder, losses and
budget are those of all tokenizers of the suite.
"""

import torch.nn.functional as F
from torch import Tensor

from v2l.baselines.frozen import FrozenCodebookTokenizer
from v2l.tokenizer.base import Sources


class LqaeTokenizer(FrozenCodebookTokenizer):
    """A map of ids over the LLM's input embeddings, scaled to unit length."""

    @classmethod
    def frozen_codes(cls, sources: Sources) -> Tensor:
        return sources["llm_embeddings"]

    def encode(self, pictures: Tensor) -> Tensor:
        """Features [B, code_dim, h, w] of unit length at every position."""
        return F.normalize(super().encode(pictures), dim=1)
