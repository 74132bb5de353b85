"""The V2L tokenizer: pictures to local tokens of the LLM's vocabulary, and local plus global tokens to pictures."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from v2l.config.tokenizer import TokenizerConfig
from v2l.errors import ArtifactError
from v2l.models.weights import load_strictly, read_tensors
from v2l.tokenizer.decoder import Decoder
from v2l.tokenizer.encoder import Encoder
from v2l.tokenizer.quantizers import Quantized, distinct_rows, nearest_codes, quantizer_loss, straight_through


@dataclass(frozen=True)
class Codes:
    """The codebook as it is searched: one vector for each distinct frozen row."""

    ids: Tensor  # [U] int64, the lowest token id of each row
    vectors: Tensor  # [U, d] float32


class LocalTokenizer(nn.Module):
    """Encoder, local quantizer and decoder (paper, section 3.3 and 4.1).

    Trained: encoder, decoder, the two 1x1 convolutions, the projector. Frozen: the local codebook.
    Parameter names are those of the released checkpoints. Pictures are float32 RGB [B, 3, H, W] in [0, 1], H and W
    multiples of the down-sampling; inside, the networks work on [-1, 1].

    num_local: tokens of the local vocabulary.   source_dim: width of their frozen embeddings.
    global_dim: width of the global vectors; unused without global tokens (config.num_global 0).
    """

    def __init__(self, config: TokenizerConfig, num_local: int, source_dim: int, global_dim: int) -> None:
        super().__init__()
        if not config.project_codes and source_dim != config.code_dim:
            raise ArtifactError(
                f"tokenizer.code_dim: expected {source_dim}, the width of the local embeddings, as "
                f"tokenizer.project_codes is off; found {config.code_dim}"
            )
        self.config = config
        sizes = {
            "base_channels": config.base_channels,
            "multipliers": config.channel_multipliers,
            "num_res_blocks": config.num_res_blocks,
            "z_channels": config.z_channels,
            "groups": config.norm_groups,
        }
        self.encoder = Encoder(**sizes)
        self.decoder = Decoder(
            **sizes,
            context_dim=global_dim if config.num_global else None,
            heads=config.cross_attention_heads,
            residual=config.cross_attention_residual,
        )
        self.quant_conv = nn.Conv2d(config.z_channels, config.code_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.code_dim, config.z_channels, 1)
        self.codebook_projection = nn.Linear(source_dim, config.code_dim) if config.project_codes else nn.Identity()
        if config.project_codes:
            nn.init.normal_(self.codebook_projection.weight, std=source_dim**-0.5)
        self.tok_embeddings = nn.Embedding(num_local, source_dim).requires_grad_(False)
        self._distinct: Tensor | None = None

    def set_local_embeddings(self, embeddings: Tensor) -> None:
        """Puts the frozen local embeddings [N, source_dim] in place; row = token id of the LLM."""
        self.tok_embeddings.weight.data.copy_(embeddings)
        self._distinct = None

    @torch.no_grad()
    def centre_codes(self) -> None:
        """Starts the projector's bias where the mean code is zero, so that training begins with many codes in use.

        Embeddings of texts all point one way; paper and release say nothing of the bias. No effect without projector.
        """
        if self.config.project_codes:
            mean = self.tok_embeddings.weight[self._search_ids()].mean(dim=0)
            self.codebook_projection.bias.copy_(-self.codebook_projection.weight @ mean)

    def _search_ids(self) -> Tensor:
        """The lowest token id of every distinct row of the frozen codebook, ascending."""
        if self._distinct is None or self._distinct.device != self.tok_embeddings.weight.device:
            self._distinct = distinct_rows(self.tok_embeddings.weight)
        return self._distinct

    def encode(self, pictures: Tensor) -> Tensor:
        """Features [B, code_dim, h, w] of pictures, of unit length at every position."""
        features = self.quant_conv(self.encoder(2 * pictures - 1))
        return F.normalize(features.to(self.tok_embeddings.weight.dtype), dim=1)  # fp32 under autocast too

    def lookup(self, ids: Tensor) -> Tensor:
        """Codes [..., code_dim] of token ids [...]; gradients reach the projector through these rows alone."""
        codes = self.codebook_projection(self.tok_embeddings(ids))
        return F.normalize(codes, dim=-1) if self.config.unit_codes else codes

    @torch.no_grad()
    def codes(self) -> Codes:
        """The projected codebook; make it once for many calls of ``quantize`` with the same weights."""
        ids = self._search_ids()
        return Codes(ids, self.lookup(ids))

    def nearest(self, features: Tensor, codes: Codes | None = None) -> Tensor:
        """Token ids [B, h*w] of features [B, code_dim, h, w], raster order; a tie goes to the lowest id."""
        codes = codes or self.codes()
        return codes.ids[nearest_codes(features.flatten(2).mT, codes.vectors)]

    def quantize(self, features: Tensor, codebook_weight: float = 0.33) -> Quantized:
        """Replaces features [B, code_dim, h, w] by their nearest codes (fp32). Paper: local quantizer."""
        ids = self.nearest(features)
        codes = self.lookup(ids).mT.unflatten(2, features.shape[2:])
        return Quantized(straight_through(features, codes), ids, quantizer_loss(features, codes, codebook_weight))

    def decode(self, features: Tensor, global_vectors: Tensor | None) -> Tensor:
        """Pictures from quantized features [B, code_dim, h, w] and global vectors [B, num_global, global_dim].

        Returns [B, 3, H, W] around [0, 1], not clamped. Raises ValueError if the number of global vectors is another.
        """
        found = 0 if global_vectors is None else global_vectors.shape[1]
        if self.config.num_global and found != self.config.num_global:
            raise ValueError(f"the decoder takes {self.config.num_global} global vectors per picture, found {found}")
        pictures = self.decoder(self.post_quant_conv(features), global_vectors)
        return (pictures.to(self.tok_embeddings.weight.dtype) + 1) / 2

    def decode_ids(self, ids: Tensor, global_vectors: Tensor | None) -> Tensor:
        """As ``decode``, from token ids [B, h*w] of a square map in raster order."""
        side = math.isqrt(ids.shape[1])
        if side * side != ids.shape[1]:
            raise ValueError(f"expected a square map of local tokens, found {ids.shape[1]} tokens")
        return self.decode(self.lookup(ids).mT.unflatten(2, (side, side)), global_vectors)

    def save(self, path: Path) -> None:
        """Writes weights as safetensors, the configuration as JSON in the metadata."""
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, path, metadata={"config": self.config.model_dump_json()})

    @classmethod
    def load(cls, path: Path) -> "LocalTokenizer":
        """Reads what ``save`` wrote, strictly, on the CPU, in evaluation mode.

        Raises ArtifactError if the file is missing, has no readable configuration, or tensors that do not fit it.
        """
        tensors, metadata = read_tensors(path)
        try:
            config = TokenizerConfig.model_validate(json.loads(metadata["config"]))
        except (KeyError, json.JSONDecodeError, ValidationError) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(f"{path}: expected a tokenizer configuration in the metadata ({reason})") from None
        return cls.from_tensors(config, tensors, path)

    @classmethod
    def from_tensors(cls, config: TokenizerConfig, tensors: dict[str, Tensor], origin: Path) -> "LocalTokenizer":
        """A tokenizer with these weights; vocabulary size and widths are read off them. Raises ArtifactError."""
        if absent := [name for name in ("tok_embeddings.weight", *_width_names(config)) if name not in tensors]:
            raise ArtifactError(f"{origin}: weights do not fit LocalTokenizer: missing {', '.join(absent)}")
        num_local, source_dim = tensors["tok_embeddings.weight"].shape
        global_dim = tensors[GLOBAL_WIDTH_NAME].shape[1] if config.num_global else 0
        with torch.device("meta"):
            tokenizer = cls(config, num_local, source_dim, global_dim)
        load_strictly(tokenizer, tensors, origin)
        return tokenizer.eval()


GLOBAL_WIDTH_NAME = "decoder.mid.cross_attn_1.to_k.weight"


def _width_names(config: TokenizerConfig) -> tuple[str, ...]:
    return (GLOBAL_WIDTH_NAME,) if config.num_global else ()
