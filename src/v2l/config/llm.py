"""The frozen language model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from v2l.config.base import PositiveFloat, PositiveInt, Section


class LlmConfig(Section):
    """The frozen language model: anything transformers loads as a causal LM (docs/models.md)."""

    source: str = Field(description="hub name, folder, or GGUF file")
    max_context: PositiveInt | None = Field(None, description="longest prompt; default: what the model says")
    device_map: Literal["auto"] | None = Field(
        None, description="auto: layers over all visible GPUs, if runtime.device is auto or cuda; null: one device"
    )
    gpu_memory_gb: Annotated[list[PositiveFloat], Field(min_length=1)] | None = Field(
        None, description="with device_map, for weights on each visible GPU; default: nine tenths of what is free"
    )

    @model_validator(mode="after")
    def _memory_is_used(self) -> "LlmConfig":
        if self.gpu_memory_gb is not None and self.device_map is None:
            raise ValueError("gpu_memory_gb: expected device_map: auto beside it, found null")
        return self
