"""The frozen language model."""

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class LlmConfig(Section):
    """The frozen language model: anything transformers loads as a causal LM (docs/models.md)."""

    source: str = Field(description="hub name, folder, or GGUF file")
    max_context: PositiveInt | None = Field(None, description="longest prompt; default: what the model says")
