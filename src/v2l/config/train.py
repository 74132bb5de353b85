"""The section of training."""

from typing import Annotated, Literal

from pydantic import Field

from v2l.config.base import NonNegativeInt, PositiveFloat, PositiveInt, Section


class TrainConfig(Section):
    """Training of the tokenizer."""

    batch_size: PositiveInt = Field(8, description="pictures of a step, of all processes together")
    epochs: PositiveFloat = Field(100, description="passes over the training pictures; may be a fraction")
    learning_rate: PositiveFloat = Field(5e-4, description="peak; paper 5e-4, release 4.5e-4")
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(5, description="linear warm-up, then half-cycle cosine")
    commitment_weight: Annotated[float, Field(ge=0)] = Field(
        0.33, description="of the term that moves codes towards features; the one that moves features weighs 1"
    )
    perceptual_net: Literal["vgg", "alex"] = Field("vgg", description="LPIPS backbone")
    perceptual_weight: Annotated[float, Field(ge=0)] = Field(1.0, description="paper 1.0, release 0.1")
    gan_weight: Annotated[float, Field(ge=0)] = Field(0.1, description="paper 0.1; release 0.75")
    gan_adaptive: bool = Field(True, description="scale by the gradient-norm ratio at the decoder's last layer")
    gan_start_step: NonNegativeInt = Field(10_000, description="generator step at which the discriminator joins")
    discriminator_channels: PositiveInt = 64
    discriminator_layers: PositiveInt = 2
    checkpoint_steps: PositiveInt = Field(500, description="steps between checkpoints")
    log_steps: PositiveInt = 10
