"""Sections of few-shot classification."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from v2l.config.base import ItemName, NonNegativeInt, PositiveInt, Section
from v2l.config.llm import LlmConfig


class InductionSetting(Section):
    """One of the seven columns of Table 1."""

    induction: bool = True
    shots: PositiveInt = 1
    repeats: NonNegativeInt = 0

    @property
    def name(self) -> str:
        return f"{'induction' if self.induction else 'no induction'}, K={self.shots}, repeats={self.repeats}"


TABLE_1 = [
    InductionSetting(induction=False),
    *(InductionSetting(shots=shots) for shots in (1, 3, 5)),
    *(InductionSetting(repeats=repeats) for repeats in (1, 3, 5)),
]


class AnswerConfig(Section):
    """Prompt and answer, alike in all runs."""

    separator: str = Field(", ", description="between an image's words; the release joins with nothing")
    constraint: Literal["exact", "positionwise"] = Field(
        "exact", description="exact: one of the names; positionwise: the release's, which admits mixtures"
    )
    max_new_tokens: PositiveInt = Field(10, description="length of the free answer without induction")


class RunConfig(Section):
    """One run over the episodes: whose words, how many of them, in which settings."""

    words: ItemName = Field(description="a global codebook, or a tokenizer whose local tokens are the words")
    num_global: Annotated[list[PositiveInt], Field(min_length=1)] = Field([5, 21], description="words a picture (Kg)")
    settings: Annotated[list[InductionSetting], Field(min_length=1)] = TABLE_1
    per_way: PositiveInt | None = Field(None, description="only the first so many episodes of each number of ways")
    ways: Annotated[list[PositiveInt], Field(min_length=1)] | None = Field(
        None, description="only these numbers of ways; default: all"
    )
    separator: str | None = Field(None, description="between an image's words; default: that of all runs")
    llm: LlmConfig | None = Field(None, description="who answers; default: the LLM of the vocabulary")

    @property
    def max_shots(self) -> int:
        return max(setting.shots for setting in self.settings)

    @model_validator(mode="after")
    def _differ(self) -> "RunConfig":
        names = [setting.name for setting in self.settings]
        for key, values in (("num_global", self.num_global), ("settings", names), ("ways", self.ways or [])):
            if repeated := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{key} must differ from each other, found {repeated[0]} twice")
        return self


class FewShotConfig(Section):
    """Few-shot classification (Table 1)."""

    answer: AnswerConfig = AnswerConfig()
    runs: dict[ItemName, RunConfig]
