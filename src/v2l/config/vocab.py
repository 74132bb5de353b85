"""Sections of the vocabulary room."""

from typing import Literal

from pydantic import Field

from v2l.config.base import NonNegativeInt, PositiveInt, Section


class ExpandConfig(Section):
    """Vocabulary expansion (paper, method section: vocabulary expansion)."""

    prompt: str = Field("a photo of ", description="text before each token")
    num_tokens: PositiveInt | None = Field(None, description="expand only the first so many ids; default: all")


class EmbedConfig(Section):
    """Text embedding of the candidates."""

    templates: Literal["single", "simple", "openai"] = Field(
        "openai", description="prompts per text: single (1), simple (7) or openai (80, the paper's), from open_clip"
    )
    merge_spellings: bool = Field(
        False, description="one candidate per text up to case and outer blanks; the paper keeps all 3|T|"
    )


class FilterConfig(Section):
    """Vocabulary filtering on the training pictures."""

    top_k: PositiveInt = Field(5, description="nearest candidates that get a count per picture")
    min_count: NonNegativeInt = Field(100, description="kept are candidates with more than so many counts")


class VocabConfig(Section):
    expand: ExpandConfig
    embed: EmbedConfig
    filter: FilterConfig
