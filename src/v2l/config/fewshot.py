"""The section of few-shot classification."""

from typing import Literal

from pydantic import Field

from v2l.config.base import NonNegativeInt, PositiveInt, Section


class InductionSetting(Section):
    """One of the seven columns of Table 1."""

    induction: bool = True
    shots: PositiveInt = 1
    repeats: NonNegativeInt = 0

    @property
    def name(self) -> str:
        return f"{'induction' if self.induction else 'no induction'}, K={self.shots}, repeats={self.repeats}"


class FewShotConfig(Section):
    """Few-shot classification (Table 1)."""

    num_global: list[PositiveInt] = [5, 21]
    settings: list[InductionSetting]
    separator: str = Field(", ", description="between an image's words; the release joins with nothing")
    constraint: Literal["exact", "positionwise"] = Field(
        "exact", description="exact: one of the names; positionwise: the release's, which admits mixtures"
    )
    max_new_tokens: PositiveInt = Field(10, description="length of the free answer without induction")
