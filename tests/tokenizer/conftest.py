from collections.abc import Callable

import pytest
import torch

from v2l.config.tokenizer import V2LConfig
from v2l.tokenizer.model import LocalTokenizer

TINY = {
    "image_size_px": 16,
    "base_channels": 32,
    "channel_multipliers": [1, 2],
    "num_res_blocks": 1,
    "z_channels": 8,
    "code_dim": 6,
    "num_global": 3,
    "cross_attention_heads": 2,
}
NUM_LOCAL, SOURCE_DIM, GLOBAL_DIM = 40, 12, 10


@pytest.fixture
def make_tokenizer() -> Callable[..., LocalTokenizer]:
    """A tiny V2L tokenizer with random weights, those of normalisations and biases too; keywords go to the config."""

    def make(**changes: object) -> LocalTokenizer:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            tokenizer = LocalTokenizer(V2LConfig(**TINY | changes), NUM_LOCAL, SOURCE_DIM, GLOBAL_DIM)
            for parameter in tokenizer.parameters():
                if parameter.dim() == 1:
                    torch.nn.init.normal_(parameter, 1.0, 0.3)
            tokenizer.set_local_embeddings(torch.randn(NUM_LOCAL, SOURCE_DIM))
        return tokenizer.eval()

    return make
