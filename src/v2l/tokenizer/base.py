"""What tokenizers of every kind share: encoder, decoder, and the way from pictures to ids and back.

A kind adds its codebook and its quantizer. Pictures are float32 RGB [B, 3, H, W] in [0, 1], H and W multiples of the
down-sampling; inside, the networks work on [-1, 1].
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from v2l.config.tokenizer import TokenizerConfig
from v2l.errors import ArtifactError
from v2l.models.weights import load_strictly
from v2l.tokenizer.decoder import Decoder
from v2l.tokenizer.encoder import Encoder
from v2l.tokenizer.quantizers import Quantized, nearest_codes, quantizer_loss, straight_through


@dataclass(frozen=True)
class Codes:
    """The codebook as it is searched: one vector for each distinct row."""

    ids: Tensor  # [U] int64, the lowest id of each row
    vectors: Tensor  # [U, d] float32


@dataclass(frozen=True)
class Sources:
    """What a tokenizer may be made from besides pictures; a kind asks for what it needs.

    tensors: by input name: ``embeddings`` [N, d], ``global_vectors`` [G, d], ``llm_embeddings`` [N, d'], all float32.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise ArtifactError(f"train: this kind of tokenizer needs the input --{name.replace('_', '-')}, found none")
        return self.tensors[name]


Tokenizer = TypeVar("Tokenizer", bound="ImageTokenizer")

GLOBAL_WIDTH_NAME = "decoder.mid.cross_attn_1.to_k.weight"


class ImageTokenizer(nn.Module, ABC):
    """A picture as ids of a vocabulary, and back.

    code_dim: width of a code.   global_dim: width of the global vectors; unused without global tokens.
    """

    def __init__(self, config: TokenizerConfig, code_dim: int, global_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        sizes = {
            "base_channels": config.base_channels,
            "multipliers": config.channel_multipliers,
            "num_res_blocks": config.num_res_blocks,
            "z_channels": config.z_channels,
            "groups": config.norm_groups,
            "attention_levels": config.attention_levels,
        }
        self.encoder = Encoder(**sizes)
        self.decoder = Decoder(
            **sizes,
            context_dim=global_dim if config.num_global else None,
            heads=config.cross_attention_heads,
            residual=config.cross_attention_residual,
        )
        self.quant_conv = nn.Conv2d(config.z_channels, code_dim, 1)
        self.post_quant_conv = nn.Conv2d(code_dim, config.z_channels, 1)

    @classmethod
    @abstractmethod
    def make(cls, config: TokenizerConfig, sources: Sources) -> Self:
        """A tokenizer with fresh weights and its frozen codebook in place. Raises ArtifactError if a source is missing
        or does not fit."""

    @classmethod
    @abstractmethod
    def from_tensors(cls, config: TokenizerConfig, tensors: dict[str, Tensor], origin: Path) -> Self:
        """A tokenizer with these weights, in evaluation mode; sizes that the configuration does not give are read off
        them. Raises ArtifactError."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Ids are 0 to vocab_size - 1."""

    @property
    def num_tokens(self) -> int:
        """Ids of a picture; the last grid x grid of them are the map in raster order."""
        return self.config.grid**2

    @abstractmethod
    def codes(self) -> Codes:
        """The codebook to search; make it once for many calls with the same weights."""

    @abstractmethod
    def lookup(self, ids: Tensor) -> Tensor:
        """Codes [..., code_dim] of ids [...]."""

    def quantize(
        self,
        features: Tensor,
        codebook_weight: float = 0.33,
        image_features: Tensor | None = None,  # noqa: ARG002
    ) -> Quantized:
        """Replaces features [B, code_dim, h, w] by their nearest codes (fp32). Paper: local quantizer.

        image_features: unit CLIP features [B, d] of the pictures, for kinds that are guided by them.
        """
        ids = self.nearest(features)
        codes = self.features_of(ids)
        return Quantized(straight_through(features, codes), ids, quantizer_loss(features, codes, codebook_weight))

    def begin(self, pictures: Tensor) -> None:
        """Called once before training with some training pictures: starts where many codes are in use."""
        align_with_codes(self, pictures)

    def encode(self, pictures: Tensor) -> Tensor:
        """Features [B, code_dim, h, w] of pictures, as the codebook is searched for them."""
        features = self.quant_conv(self.encoder(2 * pictures - 1))
        return features.to(self.quant_conv.weight.dtype)  # distances need fp32, under autocast too

    def nearest(self, features: Tensor, codes: Codes | None = None) -> Tensor:
        """Ids [B, num_tokens] of features [B, code_dim, h, w]; a tie goes to the lowest id."""
        codes = codes or self.codes()
        return codes.ids[nearest_codes(features.flatten(2).mT, codes.vectors)]

    def features_of(self, ids: Tensor) -> Tensor:
        """What the decoder sees, [B, code_dim, h, w], of ids [B, num_tokens]. Raises ValueError for another number."""
        self._check_number(ids)
        return self.lookup(ids).mT.unflatten(2, (self.config.grid, self.config.grid))

    def _check_number(self, ids: Tensor) -> None:
        if ids.shape[1] != self.num_tokens:
            raise ValueError(f"expected {self.num_tokens} ids a picture, found {ids.shape[1]}")

    def decode(self, features: Tensor, global_vectors: Tensor | None) -> Tensor:
        """Pictures from quantized features [B, code_dim, h, w] and global vectors [B, num_global, global_dim].

        Returns [B, 3, H, W] around [0, 1], not clamped. Raises ValueError if the number of global vectors is another.
        """
        found = 0 if global_vectors is None else global_vectors.shape[1]
        if self.config.num_global and found != self.config.num_global:
            raise ValueError(f"the decoder takes {self.config.num_global} global vectors per picture, found {found}")
        pictures = self.decoder(self.post_quant_conv(features), global_vectors)
        return (pictures.to(self.quant_conv.weight.dtype) + 1) / 2

    def decode_ids(self, ids: Tensor, global_vectors: Tensor | None) -> Tensor:
        """As ``decode``, from ids [B, num_tokens]."""
        return self.decode(self.features_of(ids), global_vectors)

    def save(self, path: Path) -> None:
        """Writes weights as safetensors, the configuration as JSON in the metadata."""
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, path, metadata={"config": self.config.model_dump_json()})


def filled(tokenizer: Tokenizer, tensors: dict[str, Tensor], origin: Path) -> Tokenizer:
    """A tokenizer made on the meta device, with its weights, in evaluation mode. Raises ArtifactError."""
    load_strictly(tokenizer, tensors, origin)
    return tokenizer.eval()


def width_of(tensors: Mapping[str, Tensor], name: str, origin: Path) -> tuple[int, ...]:
    """The shape of a matrix that sizes are read off. Raises ArtifactError if it is not there or is no matrix."""
    if name not in tensors:
        raise ArtifactError(f"{origin}: weights do not fit: missing {name}")
    shape = tuple(tensors[name].shape)
    if len(shape) != 2:
        raise ArtifactError(f"{origin}: weights do not fit: {name}: expected a matrix, found shape {list(shape)}")
    return shape


@torch.no_grad()
def align_with_codes(tokenizer: ImageTokenizer, pictures: Tensor) -> None:
    """Starts the last encoder layer so that features of pictures have the codebook's mean and main directions.

    A frozen codebook cannot come to the features, and those of a fresh encoder all lie close together: nearly all
    positions would share a code, and never part. The encoder's output is whitened and laid along the codebook's
    principal axes, scaled as the codes are. pictures: [B, 3, H, W] in [0, 1].
    """
    outputs = tokenizer.encoder(2 * pictures - 1).double().permute(0, 2, 3, 1).flatten(0, 2)
    codes = tokenizer.codes().vectors.double()
    rank = min(outputs.shape[1], codes.shape[1])
    output_scales, output_axes = principal_axes(torch.cov(outputs.T), rank)
    code_scales, code_axes = principal_axes(torch.cov(codes.T), rank)
    weight = (code_axes * code_scales) @ (output_axes / output_scales.clamp_min(1e-6)).T  # [code_dim, z]
    bias = codes.mean(dim=0) - weight @ outputs.mean(dim=0)
    tokenizer.quant_conv.weight.copy_(weight[:, :, None, None])
    tokenizer.quant_conv.bias.copy_(bias)


def principal_axes(moments: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Root mean squares [count] along the first principal axes [d, count], largest first.

    moments: [d, d], second moments of some rows, about their mean or about zero. The sign of an axis is fixed by its
    largest component, so that the result does not depend on the solver.
    """
    squares, axes = torch.linalg.eigh(moments)
    squares, axes = squares.flip(0)[:count], axes.flip(1)[:, :count]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    return squares.clamp_min(0).sqrt(), axes * largest.sign()
