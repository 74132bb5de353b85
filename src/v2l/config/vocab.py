"""Sections of the vocabulary room."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from v2l.config.base import ItemName, NonNegativeInt, PositiveInt, Section


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


class CodebookConfig(Section):
    """A global codebook; the paper's is filtered, of all three orders."""

    orders: Annotated[list[Annotated[int, Field(ge=1, le=3)]], Field(min_length=1)] = [1, 2, 3]
    filtered: bool = Field(True, description="keep what training pictures are near to; false: every candidate")


# The paper's, and what its ablations compare it with.
CODEBOOKS = {
    "orders_1_3": CodebookConfig(),
    "orders_1_2": CodebookConfig(orders=[1, 2]),
    "order_1": CodebookConfig(orders=[1]),
    "unfiltered": CodebookConfig(filtered=False),
}


class VocabConfig(Section):
    expand: ExpandConfig
    embed: EmbedConfig
    filter: FilterConfig
    main: ItemName = Field("orders_1_3", description="the codebook that tokenizers, captions and answers use")
    codebooks: Annotated[dict[ItemName, CodebookConfig], Field(min_length=1)] = Field(
        CODEBOOKS, description="the main one, and those that it is compared with"
    )

    @model_validator(mode="after")
    def _has_main(self) -> "VocabConfig":
        if self.main not in self.codebooks:
            raise ValueError(f"main must be one of codebooks ({', '.join(self.codebooks)}), found {self.main}")
        return self
