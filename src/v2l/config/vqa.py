"""The section of visual question answering."""

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class VqaConfig(Section):
    """Visual question answering with in-context samples (Figure 5)."""

    num_context: PositiveInt = Field(10, description="in-context samples a question, drawn from the training pictures'")
    num_global: PositiveInt = Field(21, description="words a picture (Kg)")
    separator: str = Field(", ", description="between a picture's words; empty: joined as they are")
    max_new_tokens: PositiveInt = Field(10, description="longest answer; it ends at its full stop or line end")
    max_questions: PositiveInt | None = Field(
        None, description="ask only so many questions about held-out pictures, every answer type by its share"
    )
