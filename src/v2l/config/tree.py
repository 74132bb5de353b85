"""The one configuration tree: typed, validated once at the edge, then frozen.

Every section lies in the file of its room, so that a stage depends on its own sections alone, in code as in values; a
changed key re-runs only what depends on it. ``runtime`` changes speed, never results, and is part of no stage's
parameters.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from v2l.config.base import NonNegativeInt, PositiveInt, Section
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.config.data import DataConfig, EpisodesConfig
from v2l.config.fewshot import FewShotConfig
from v2l.config.figures import FiguresConfig
from v2l.config.llm import LlmConfig
from v2l.config.reconstruct import ReconstructConfig
from v2l.config.runtime import RuntimeConfig
from v2l.config.semantics import SemanticsConfig
from v2l.config.tokenizer import TokenizerConfig, TokensConfig
from v2l.config.train import TrainConfig
from v2l.config.vocab import VocabConfig
from v2l.errors import ConfigError


class Config(Section):
    """The whole tree, as in config/*.yaml."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="results go to results/<name>/")]
    seed: NonNegativeInt = 0
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of frozen networks; auto: bf16 where the device is faster with it"
    )
    threads: PositiveInt = Field(
        2, description="CPU threads of one job; they share sums, so another number may change the last bits of a result"
    )
    runtime: RuntimeConfig = RuntimeConfig()
    data: DataConfig
    clip: Annotated[LockedTextConfig | OpenClipConfig, Field(discriminator="kind")]
    llm: LlmConfig
    vocab: VocabConfig
    tokenizer: TokenizerConfig
    train: TrainConfig
    tokens: TokensConfig = TokensConfig()
    episodes: EpisodesConfig
    fewshot: FewShotConfig
    reconstruct: ReconstructConfig
    semantics: SemanticsConfig
    figures: FiguresConfig = FiguresConfig()

    @model_validator(mode="after")
    def _combinations(self) -> "Config":
        ways, shots = max(self.episodes.ways), max(setting.shots for setting in self.fewshot.settings)
        if self.data.max_classes is not None and ways > self.data.max_classes:
            raise ValueError(
                f"episodes.ways: {ways}-way needs at least {ways} classes, "
                f"data.max_classes allows {self.data.max_classes}"
            )
        if shots > self.episodes.shots:
            raise ValueError(
                f"fewshot.settings: {shots} shots are asked for, episodes.shots draws {self.episodes.shots}"
            )
        wanted = max(self.tokenizer.num_global, *self.fewshot.num_global, *self.semantics.num_global)
        if self.tokens.num_global < wanted:
            raise ValueError(
                f"tokens.num_global: {self.tokens.num_global} stored per picture, but {wanted} are used "
                "(tokenizer.num_global, fewshot.num_global, semantics.num_global)"
            )
        return self


def _describe(error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in ("locked_text", "open_clip")) or "(top level)"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "value_error":
        return (
            error["msg"].removeprefix("Value error, ")
            if error["loc"] == ()
            else f"{key}: {error['msg'].removeprefix('Value error, ')}"
        )
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}, found {error['input']!r}"


def parse_config(tree: Any, origin: str) -> Config:
    """Validates a configuration tree; ``origin`` names the file in messages.

    Raises ConfigError with one line that lists every offending key.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{origin}: " + "; ".join(_describe(item) for item in error.errors())) from None


def load_config(path: Path) -> Config:
    """Reads and validates one YAML file. Raises ConfigError."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    return parse_config(tree, str(path))


def get_section(config: Config, key: str) -> Any:
    """The value at a dotted key, e.g. ``vocab.filter``, ``tokenizers.v2l``. Raises ConfigError for an unknown item."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping):
            value = getattr(value, part)
        elif part in value:
            value = value[part]
        else:
            raise ConfigError(f"{key}: expected one of {', '.join(value)}, found {part}")
    return value
