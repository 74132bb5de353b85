"""Tiny tokenizers of the baseline kinds with random weights; a map of 4 x 4 on pictures of 8 x 8."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from v2l.baselines.lqae import LqaeTokenizer
from v2l.baselines.spae import SpaeTokenizer
from v2l.baselines.vqgan import VqGan
from v2l.config.tokenizer import LqaeConfig, SpaeConfig, VqGanConfig
from v2l.tokenizer.base import ImageTokenizer, Sources

SIDE, GRID, NUM_CODES, DIM = 8, 4, 40, 6
SIZES = {
    "image_size_px": SIDE,
    "base_channels": 8,
    "channel_multipliers": [1, 1],
    "num_res_blocks": 1,
    "z_channels": 8,
    "norm_groups": 4,
}
CONFIGS = {
    "vqgan": (VqGan, VqGanConfig, {"num_codes": NUM_CODES, "code_dim": DIM}),
    "lqae": (LqaeTokenizer, LqaeConfig, {}),
    "spae": (SpaeTokenizer, SpaeConfig, {"levels": [1, 2, 4], "guidance_words": 2}),
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def take_step(tokenizer: ImageTokenizer, image_features: Tensor | None = None) -> Tensor:
    """One step of Adam on what is trained, by reconstruction and quantizer; returns the ids that the step saw."""
    pictures = random_pictures(2)
    trained = [parameter for parameter in tokenizer.parameters() if parameter.requires_grad]
    quantized = tokenizer.quantize(tokenizer.encode(pictures), image_features=image_features)
    (F.mse_loss(tokenizer.decode(quantized.features, None), pictures) + quantized.loss).backward()
    torch.optim.Adam(trained, lr=1e-2).step()
    return quantized.ids


@pytest.fixture
def make() -> Callable[..., ImageTokenizer]:
    """A tokenizer of a kind over codes [N, d], the same weights every time; keywords go to its configuration."""

    def make_one(kind: str, codes: Tensor | None = None, **changes: object) -> ImageTokenizer:
        codes = random(NUM_CODES, DIM) if codes is None else codes
        tokenizer_class, config_class, own = CONFIGS[kind]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            sources = Sources({"embeddings": codes, "llm_embeddings": codes})
            return tokenizer_class.make(config_class(**SIZES | own | changes), sources).eval()

    return make_one
