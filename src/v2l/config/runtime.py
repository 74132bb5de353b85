"""How fast, on what: changes speed, never results."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from v2l.config.base import NonNegativeInt, PositiveFloat, PositiveInt, Section


class ShardsConfig(Section):
    """Jobs that a stage is split into; each handles a part of the items, and the parts are put together."""

    trunk_features: PositiveInt = Field(1, description="by pictures; as is image_features")
    image_features: PositiveInt = 1
    count_nearest: PositiveInt = Field(1, description="by training pictures, for each codebook")
    local_tokens: PositiveInt = Field(1, description="by pictures, for each tokenizer")
    classify: PositiveInt = Field(1, description="by episodes, for each run")
    caption: PositiveInt = Field(1, description="by pictures")
    vqa: PositiveInt = Field(1, description="by questions")
    restore: PositiveInt = Field(1, description="by pictures, for each tokenizer")


class RuntimeConfig(Section):
    """How fast, on what: never part of a result's identity."""

    device: str = Field("auto", description="torch device; auto takes cuda where there is one")
    image_batch: PositiveInt = Field(32, description="pictures read at a time for a tokenizer")
    shards: ShardsConfig = ShardsConfig()
    llm_batch_tokens: PositiveInt = Field(4096, description="token budget of one LLM forward pass")
    device_map: Literal["auto"] | None = Field(
        None, description="auto: an LLM's layers over all visible GPUs, if device is auto or cuda; null: one device"
    )
    gpu_memory_gb: Annotated[list[PositiveFloat], Field(min_length=1)] | None = Field(
        None, description="with device_map, for weights on each visible GPU; default: nine tenths of what is free"
    )
    processes: PositiveInt | None = Field(
        None, description="training processes on a node; null: one a visible GPU, as far as they have equal shares"
    )
    nodes: PositiveInt = Field(1, description="nodes of a training job; above 1 they are reached through srun")
    train_micro_batch: PositiveInt | None = Field(
        None, description="training pictures of a process in memory at a time; null: its whole share of a batch"
    )
    picture_memory_gb: float = Field(
        2, ge=0, description="of decoded pictures that a training process keeps; more are decoded as they are drawn"
    )
    loader_workers: NonNegativeInt = Field(
        0, description="processes beside each training process that decode pictures as they are drawn; 0: it does so"
    )

    @model_validator(mode="after")
    def _memory_is_used(self) -> "RuntimeConfig":
        if self.gpu_memory_gb is not None and self.device_map is None:
            raise ValueError("gpu_memory_gb: expected device_map: auto beside it, found null")
        return self
