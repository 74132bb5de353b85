"""The V2L tokenizer of a size, with random codebooks and pictures, and the plain search for its nearest codes."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from v2l.config.tokenizer import TokenizerConfig
from v2l.config.tree import Config, load_config
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.tokenizer.base import ImageTokenizer, Sources
from v2l.tokenizer.kinds import KINDS

from .sizes import CONFIGS, SIZES

VOCABULARY, CODEBOOK = 49_152, 5_000  # of SmolLM2; n-grams, some more than the default keeps
DIMS = {"default": 384, "paper": 768, "tiny": 16}  # of the text embeddings: MiniLM, ViT-L/14
BEGIN_PICTURES = 64


def sized_config(size: str) -> tuple[Config, TokenizerConfig]:
    """The configuration that has these sizes, and its V2L tokenizer's section."""
    config = load_config(CONFIGS[size])
    changes: Mapping[str, object] = {} if size == "default" else SIZES[size].tokenizer
    return config, config.tokenizers[MAIN_TOKENIZER].model_copy(update=dict(changes))


def random_sources(size: str) -> Sources:
    """A local and a global codebook of random vectors."""
    vocabulary, codebook = VOCABULARY, CODEBOOK
    if size != "default":
        vocabulary, codebook = SIZES[size].vocabulary, SIZES[size].codebook
    rows = {"embeddings": vocabulary, "global_vectors": codebook}
    return Sources({name: torch.randn(count, DIMS[size]) for name, count in rows.items()})


def random_tokenizer(section: TokenizerConfig, sources: Sources, pictures: Tensor) -> ImageTokenizer:
    """A V2L tokenizer with fresh weights, ready to be trained on these pictures [B, 3, H, W]."""
    tokenizer = KINDS[section.kind].make(section, sources)
    with torch.no_grad():
        tokenizer.begin(pictures)
    return tokenizer


def random_pictures(count: int, side: int) -> Tensor:
    """Smooth noise [count, 3, side, side] in [0, 1]."""
    coarse = torch.rand(count, 3, side // 8, side // 8)
    return F.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)


@torch.no_grad()
def dense_nearest(tokenizer: ImageTokenizer, features: Tensor) -> Tensor:
    """The plain search: all distances of positions x codes at once. [B, d, h, w] -> ids [B, h*w]."""
    positions = features.flatten(2).mT.flatten(0, 1)
    codes = tokenizer.lookup(torch.arange(tokenizer.vocab_size, device=features.device))
    distances = positions.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * positions @ codes.T
    return distances.argmin(dim=1).unflatten(0, (len(features), -1))
