"""How large the networks of a benchmark are, and how much of each work it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Touvron et al. 2023 (LLaMA 2) and the configurations of the hub's models; docs/models.md has the same numbers.
LLAMA2_7B = {
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
}
LLAMA2_PARAMETERS = {"7b": 6_738_415_616, "13b": 13_015_864_320, "70b": 68_976_648_192}


@dataclass(frozen=True)
class Size:
    """vocabulary: tokens of the LLM and of the local codebook.   codebook: rows of the global codebook.

    tokenizer: what differs from the configured one.   clip: an open_clip model by its sizes; None: the configured one.
    batch, image_batch, batch_tokens: None takes the configured, for pictures CLIP's own.   matrix_side: of the product
    that sets the peak.
    Work of each measurement: steps (training, LoRA), passes (CLIP, encoder, decoder), tokens (expansion), episodes,
    windowed (pictures whose windows are filled one after the other), items (captions, questions), masked (pictures).
    """

    llm: Mapping[str, int] = field(default_factory=lambda: LLAMA2_7B)
    vocabulary: int = 32_000
    codebook: int = 11_908
    tokenizer: Mapping[str, object] = field(default_factory=dict)
    clip: Mapping[str, object] | None = None
    batch: int | None = None
    image_batch: int | None = None
    batch_tokens: int | None = None
    matrix_side: int = 8192
    steps: int = 30
    passes: int = 10
    tokens: int = 4096
    episodes: int = 32
    windowed: int = 40
    items: int = 32
    masked: int = 4
    lora_steps: int = 5


SIZES = {
    "paper": Size(),
    "tiny": Size(
        llm={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 4096,
        },
        vocabulary=500,
        codebook=60,
        tokenizer={
            "image_size_px": 32,
            "base_channels": 32,
            "channel_multipliers": [1, 1, 1],
            "num_res_blocks": 1,
            "z_channels": 8,
            "code_dim": 8,
        },
        clip={
            "embed_dim": 16,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
            "text_cfg": {"context_length": 77, "vocab_size": 49_408, "width": 16, "heads": 1, "layers": 1},
        },
        batch=2,
        image_batch=4,
        batch_tokens=4096,
        matrix_side=256,
        steps=1,
        passes=1,
        tokens=24,
        episodes=1,
        windowed=1,
        items=1,
        masked=1,
        lora_steps=1,
    ),
}

# Whose settings the networks of a size are run with.
CONFIGS = {"default": Path("config/demo.yaml"), "paper": Path("config/paper.yaml"), "tiny": Path("config/paper.yaml")}
