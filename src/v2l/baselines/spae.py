"""SPAE-like baseline (Yu et al.: SPAE, Semantic Pyramid AutoEncoder, NeurIPS 2023, arXiv 2306.17842).

A picture is a pyramid of tokens, 1 + 4 + 16 + ..., over a frozen codebook of CLIP text embeddings of the LLM's tokens.
Streaming average quantization: what a level is to say is the feature plus all that the levels above left unsaid, and
what the decoder sees is the mean of all levels. Semantic guidance: the coarsest levels, which few-shot prompts read,
are drawn to the words that CLIP finds nearest to the picture.

Simplified: a level sees the mean over its cells, where the original samples positions; guidance is a cross-entropy over
the codebook with the nearest words of the whole picture as targets, where the original scores crops with a threshold;
a configuration may keep the codebook's principal axes alone; encoder, decoder, losses and budget are those of all
tokenizers of the suite.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from v2l.baselines.frozen import FrozenCodebookTokenizer
from v2l.config.tokenizer import SpaeConfig
from v2l.errors import ArtifactError
from v2l.tokenizer.base import Codes, Sources
from v2l.tokenizer.quantizers import Quantized, nearest_codes, quantizer_loss, straight_through


class SpaeTokenizer(FrozenCodebookTokenizer):
    """Ids of all levels, coarse to fine, each level in raster order."""

    config: SpaeConfig

    @classmethod
    def frozen_codes(cls, sources: Sources) -> Tensor:
        return sources["embeddings"]

    @property
    def num_tokens(self) -> int:
        return sum(side**2 for side in self.config.levels)

    def nearest(self, features: Tensor, codes: Codes | None = None) -> Tensor:
        ids, _ = self._pyramid(features, codes or self.codes())
        return ids

    def _pyramid(self, features: Tensor, codes: Codes) -> tuple[Tensor, list[Tensor]]:
        """Ids [B, num_tokens], and of each level what it is to say, [B, code_dim, side, side]."""
        ids, targets = [], []
        unsaid = torch.zeros_like(features)
        for side in self.config.levels:
            target = _pooled(features + unsaid, side)
            index = nearest_codes(target.detach().flatten(2).mT, codes.vectors)
            code = codes.vectors[index].mT.unflatten(2, (side, side))
            unsaid = unsaid + features - self._spread(code)
            ids.append(codes.ids[index])
            targets.append(target)
        return torch.cat(ids, dim=1), targets

    def _spread(self, level: Tensor) -> Tensor:
        """A level [B, d, side, side] at the resolution of the map."""
        return F.interpolate(level, size=(self.config.grid, self.config.grid), mode="nearest")

    def features_of(self, ids: Tensor) -> Tensor:
        self._check_number(ids)
        levels = ids.split([side**2 for side in self.config.levels], dim=1)
        maps = [
            self._spread(self.lookup(level).mT.unflatten(2, (side, side)))
            for level, side in zip(levels, self.config.levels, strict=True)
        ]
        return torch.stack(maps).mean(dim=0)

    def quantize(
        self, features: Tensor, codebook_weight: float = 0.33, image_features: Tensor | None = None
    ) -> Quantized:
        """As in every kind, with the guidance of the coarsest levels in the loss.

        Raises ArtifactError without ``image_features``, unless guidance has no weight.
        """
        codes = self.codes()
        ids, targets = self._pyramid(features, codes)
        quantized = self.features_of(ids)
        loss = quantizer_loss(features, quantized, codebook_weight)
        if self.config.guidance_weight:
            if image_features is None:
                raise ArtifactError("train: a tokenizer of kind spae needs the input --features, found none")
            loss = loss + self.config.guidance_weight * self._guidance(targets, codes, image_features)
        return Quantized(straight_through(features, quantized), ids, loss)

    def _guidance(self, targets: list[Tensor], codes: Codes, image_features: Tensor) -> Tensor:
        """Cross-entropy of the coarsest levels over the codebook; the words nearest to a picture are the answers."""
        features = image_features if self.axes is None else image_features @ self.axes
        words = (features @ codes.vectors.mT).topk(self.config.guidance_words, dim=1).indices  # [B, k]
        coarse = torch.cat([level.flatten(2).mT for level in targets[: self.config.guided_levels]], dim=1)  # [B, p, d]
        logits = F.normalize(coarse, dim=-1) @ codes.vectors.mT / self.config.guidance_temperature
        answers = words[:, None, :].expand(-1, coarse.shape[1], -1)
        return -F.log_softmax(logits, dim=-1).gather(2, answers).mean()


def _pooled(features: Tensor, side: int) -> Tensor:
    """The mean over each of side x side cells; on a GPU adaptive_avg_pool2d's gradient is not deterministic."""
    if side == 1:
        return features.mean(dim=(2, 3), keepdim=True)
    return F.avg_pool2d(features, features.shape[-1] // side)
