"""The section of captioning."""

from typing import Annotated

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class CaptionConfig(Section):
    """Captioning with in-context samples (Figure 5)."""

    num_context: PositiveInt = Field(10, description="in-context samples a picture, drawn from the training pictures")
    num_global: PositiveInt = Field(21, description="words a picture (Kg)")
    separator: str = Field(", ", description="between a picture's words; empty: joined as they are")
    max_new_tokens: PositiveInt = Field(30, description="longest caption; it ends at its full stop or line end")
    max_images: Annotated[int, Field(ge=2)] | None = Field(
        None, description="caption only so many held-out pictures; CIDEr-D needs two or more"
    )
