"""How fast, on what: changes speed, never results."""

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class ShardsConfig(Section):
    """Jobs that a stage is split into; each handles a part of the items, and the parts are put together."""

    trunk_features: PositiveInt = Field(1, description="by pictures; as is image_features")
    image_features: PositiveInt = 1
    count_nearest: PositiveInt = Field(1, description="by training pictures, for each codebook")
    local_tokens: PositiveInt = Field(1, description="by pictures, for each tokenizer")
    classify: PositiveInt = Field(1, description="by questions, for each run")
    caption: PositiveInt = Field(1, description="by pictures")
    vqa: PositiveInt = Field(1, description="by questions")
    restore: PositiveInt = Field(1, description="by pictures, for each tokenizer")


class RuntimeConfig(Section):
    """How fast, on what: never part of a result's identity."""

    device: str = Field("auto", description="torch device; auto takes cuda where there is one")
    image_batch: PositiveInt = Field(32, description="pictures per forward pass of a frozen network")
    shards: ShardsConfig = ShardsConfig()
    llm_batch_tokens: PositiveInt = Field(4096, description="token budget of one LLM forward pass")
    processes: PositiveInt | None = Field(
        None, description="training processes on a node; null: one a visible GPU, as far as they have equal shares"
    )
    nodes: PositiveInt = Field(1, description="nodes of a training job; above 1 they are reached through srun")
    train_micro_batch: PositiveInt | None = Field(
        None, description="training pictures of a process in memory at a time; null: its whole share of a batch"
    )
