"""The two kinds of CLIP."""

from typing import Annotated, Literal

from pydantic import Field

from v2l.config.base import Fraction, PositiveFloat, PositiveInt, Section


class LockedTextConfig(Section):
    """A CLIP for the default: frozen text and image trunks, a small image head trained here (LiT)."""

    kind: Literal["locked_text"] = "locked_text"
    trunk_size_px: PositiveInt = Field(128, description="side of the picture the image trunk sees")
    hidden: PositiveInt = 1024
    dropout: Fraction = 0.5
    input_noise: Annotated[float, Field(ge=0)] = Field(0.3, description="standard deviation on standardised features")
    epochs: PositiveInt = 60
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.1


class OpenClipConfig(Section):
    """Any open_clip model; the paper's is ViT-L-14 with OpenAI weights."""

    kind: Literal["open_clip"] = "open_clip"
    model: str = "ViT-L-14"
    pretrained: str | None = Field("openai", description="open_clip tag or checkpoint path; null for random weights")
