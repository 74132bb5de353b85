"""The section of semantic quality."""

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class SemanticsConfig(Section):
    """Semantic quality of global tokens (Table 2)."""

    num_global: list[PositiveInt] = [5, 21]
    max_images: PositiveInt | None = Field(None, description="evaluate only so many held-out pictures")
