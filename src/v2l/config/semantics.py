"""The section of semantic quality."""

from typing import Annotated

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class SemanticsConfig(Section):
    """Semantic quality of global tokens (Table 2)."""

    num_global: Annotated[list[PositiveInt], Field(min_length=1)] = [5, 21]
    max_images: PositiveInt | None = Field(None, description="evaluate only so many held-out pictures")
