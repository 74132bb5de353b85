"""How fast, on what: changes speed, never results."""

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class RuntimeConfig(Section):
    """How fast, on what: never part of a result's identity."""

    device: str = Field("auto", description="torch device; auto takes cuda where there is one")
    image_batch: PositiveInt = Field(32, description="pictures per forward pass of a frozen network")
    llm_batch_tokens: PositiveInt = Field(4096, description="token budget of one LLM forward pass")
