"""Sections of masked image restoration (Figure 8)."""

from typing import Annotated, Literal

from pydantic import Field

from v2l.config.base import NonNegativeInt, PositiveFloat, PositiveInt, Section


class MaskConfig(Section):
    """What is masked, in tuning as in the experiment."""

    share: Annotated[float, Field(gt=0, lt=1)] = Field(0.3, description="share of local tokens masked at random")
    text: str = Field(
        " _", description="text of the one token that stands for a masked one; best one that maps hardly use"
    )


class LoraConfig(Section):
    """LoRA tuning of the LLM on maps of training pictures; the release's rank, alpha and targets."""

    rank: PositiveInt = 4
    alpha: PositiveFloat = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Annotated[list[str], Field(min_length=1)] = Field(
        ["q_proj", "k_proj"], description="names of the projections that are adapted"
    )
    steps: PositiveInt = Field(1_000, description="the paper does not say how many")
    batch_size: PositiveInt = Field(4, description="maps a step")
    learning_rate: PositiveFloat = Field(1e-3, description="peak; linear warm-up, then half-cycle cosine")
    warmup_steps: NonNegativeInt = 10
    checkpoint_steps: PositiveInt = 20


class MaskedConfig(Section):
    """Masked image restoration with the tuned LLM."""

    mask: MaskConfig = MaskConfig()
    lora: LoraConfig = LoraConfig()
    max_images: PositiveInt | None = Field(None, description="held-out pictures, evenly spaced")
    psnr_channel: Literal["rgb", "luma"] = "rgb"
    num_examples: NonNegativeInt = Field(4, description="pictures kept for the figure")
