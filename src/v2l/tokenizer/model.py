"""The V2L tokenizer: pictures to local tokens of the LLM's vocabulary, and local plus global tokens to pictures."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from v2l.config.tokenizer import V2LConfig
from v2l.errors import ArtifactError
from v2l.tokenizer.base import GLOBAL_WIDTH_NAME, Codes, ImageTokenizer, Sources, align_with_codes, filled, width_of
from v2l.tokenizer.quantizers import distinct_rows


class LocalTokenizer(ImageTokenizer):
    """Encoder, local quantizer and decoder (paper, section 3.3 and 4.1).

    Trained: encoder, decoder, the two 1x1 convolutions, the projector. Frozen: the local codebook.
    Parameter names are those of the released checkpoints.

    num_local: tokens of the local vocabulary.   source_dim: width of their frozen embeddings.
    global_dim: width of the global vectors; unused without global tokens (config.num_global 0).
    """

    def __init__(self, config: V2LConfig, num_local: int, source_dim: int, global_dim: int) -> None:
        super().__init__(config, config.code_dim if config.project_codes else source_dim, global_dim)
        self.config: V2LConfig = config
        self.codebook_projection = nn.Linear(source_dim, config.code_dim) if config.project_codes else nn.Identity()
        if config.project_codes:
            nn.init.normal_(self.codebook_projection.weight, std=source_dim**-0.5)
        self.tok_embeddings = nn.Embedding(num_local, source_dim).requires_grad_(False)
        self._distinct: Tensor | None = None

    @classmethod
    def make(cls, config: V2LConfig, sources: Sources) -> "LocalTokenizer":
        embeddings = sources["embeddings"]
        tokenizer = cls(config, *embeddings.shape, sources["global_vectors"].shape[1] if config.num_global else 0)
        tokenizer.set_local_embeddings(embeddings)
        return tokenizer

    @classmethod
    def from_tensors(cls, config: V2LConfig, tensors: dict[str, Tensor], origin: Path) -> "LocalTokenizer":
        num_local, source_dim = width_of(tensors, "tok_embeddings.weight", origin)
        global_dim = width_of(tensors, GLOBAL_WIDTH_NAME, origin)[1] if config.num_global else 0
        with torch.device("meta"):
            tokenizer = cls(config, num_local, source_dim, global_dim)
        return filled(tokenizer, tensors, origin)

    @property
    def vocab_size(self) -> int:
        return self.tok_embeddings.num_embeddings

    def set_local_embeddings(self, embeddings: Tensor) -> None:
        """Puts the frozen local embeddings [N, source_dim] in place; row = token id of the LLM."""
        self.tok_embeddings.weight.data.copy_(embeddings)
        self._distinct = None

    def begin(self, pictures: Tensor) -> None:
        if self.config.project_codes:
            self.centre_codes()
        else:
            align_with_codes(self, pictures)

    @torch.no_grad()
    def centre_codes(self) -> None:
        """Starts the projector's bias where the mean code is zero, so that training begins with many codes in use.

        Embeddings of texts all point one way; paper and release say nothing of the bias. Needs the projector.
        """
        mean = self.tok_embeddings.weight[self._search_ids()].mean(dim=0)
        self.codebook_projection.bias.copy_(-self.codebook_projection.weight @ mean)

    def _search_ids(self) -> Tensor:
        """The lowest token id of every distinct row of the frozen codebook, ascending."""
        if self._distinct is None or self._distinct.device != self.tok_embeddings.weight.device:
            self._distinct = distinct_rows(self.tok_embeddings.weight)
        return self._distinct

    def encode(self, pictures: Tensor) -> Tensor:
        """Features [B, code_dim, h, w] of pictures, of unit length at every position unless configured otherwise."""
        features = super().encode(pictures)
        return F.normalize(features, dim=1) if self.config.unit_features else features

    def lookup(self, ids: Tensor) -> Tensor:
        """Codes [..., code_dim] of token ids [...]; gradients reach the projector through these rows alone."""
        codes = self.codebook_projection(self.tok_embeddings(ids))
        return F.normalize(codes, dim=-1) if self.config.unit_codes else codes

    @torch.no_grad()
    def codes(self) -> Codes:
        ids = self._search_ids()
        return Codes(ids, self.lookup(ids))

    @classmethod
    def load(cls, path: Path) -> "LocalTokenizer":
        """Reads a V2L tokenizer, as `v2l.tokenizer.kinds.load_tokenizer`. Raises ArtifactError for another kind."""
        from v2l.tokenizer.kinds import load_tokenizer  # it knows this class

        tokenizer = load_tokenizer(path)
        if not isinstance(tokenizer, cls):
            raise ArtifactError(f"{path}: expected a tokenizer of kind v2l, found {tokenizer.config.kind}")
        return tokenizer
