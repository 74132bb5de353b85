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

from v2l.config.base import ItemName, NonNegativeInt, PositiveInt, Section
from v2l.config.caption import CaptionConfig
from v2l.config.claims import ClaimsConfig
from v2l.config.clip import LockedTextConfig, OpenClipConfig
from v2l.config.data import EmojiConfig, EpisodesConfig
from v2l.config.fewshot import FewShotConfig
from v2l.config.figures import FiguresConfig
from v2l.config.frechet import FrechetConfig
from v2l.config.llm import LlmConfig
from v2l.config.masked import MaskedConfig
from v2l.config.reconstruct import ReconstructConfig
from v2l.config.restore import RestoreConfig
from v2l.config.runtime import RuntimeConfig
from v2l.config.semantics import SemanticsConfig
from v2l.config.sources import SourcesConfig
from v2l.config.tokenizer import AnyTokenizerConfig, TokensConfig
from v2l.config.train import TrainConfig
from v2l.config.vocab import VocabConfig
from v2l.config.vqa import VqaConfig
from v2l.errors import ConfigError
from v2l.graph.spec import MAIN_TOKENIZER


class Config(Section):
    """The whole tree, as in config/*.yaml."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="results go to results/<name>/")]
    seed: NonNegativeInt = 0
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of frozen networks; auto: bf16 where the device is faster with it"
    )
    threads: PositiveInt = Field(
        1, description="CPU threads of one job; they share sums, so another number may change the last bits of a result"
    )
    runtime: RuntimeConfig = RuntimeConfig()
    data: Annotated[EmojiConfig | SourcesConfig, Field(discriminator="kind")]
    clip: Annotated[LockedTextConfig | OpenClipConfig, Field(discriminator="kind")]
    llm: LlmConfig
    release: Path | None = Field(
        None, description="folder of the authors' released files, taken over in place of making vocabulary and V2L"
    )
    vocab: VocabConfig
    tokenizers: dict[ItemName, AnyTokenizerConfig]
    train: TrainConfig
    tokens: TokensConfig = TokensConfig()
    episodes: EpisodesConfig
    fewshot: FewShotConfig
    caption: CaptionConfig = CaptionConfig()
    vqa: VqaConfig = VqaConfig()
    reconstruct: ReconstructConfig
    frechet: FrechetConfig = FrechetConfig()
    semantics: SemanticsConfig
    restore: RestoreConfig = RestoreConfig()
    masked: MaskedConfig = MaskedConfig()
    claims: ClaimsConfig = ClaimsConfig()
    figures: FiguresConfig = FiguresConfig()

    @model_validator(mode="after")
    def _combinations(self) -> "Config":
        for check in (_check_tokenizers, _check_fewshot, _check_num_global):
            check(self)
        return self


def _check_tokenizers(config: Config) -> None:
    if getattr(config.tokenizers.get(MAIN_TOKENIZER), "kind", None) != "v2l":
        raise ValueError(f"tokenizers: expected one of kind v2l under the name {MAIN_TOKENIZER}, the paper's own")
    for run, restored in config.restore.runs.items():
        name = restored.tokenizer
        if name not in config.tokenizers:
            raise ValueError(f"restore.runs.{run}.tokenizer: expected the name of a tokenizer, found {name}")
        for task in config.restore.protocol.tasks:
            try:
                config.restore.protocol.region(task, config.tokenizers[name].grid)
            except ValueError as error:
                raise ValueError(f"restore.protocol: {error}") from None


def _check_fewshot(config: Config) -> None:
    ways, limit = max(config.episodes.ways), getattr(config.data, "max_classes", None)
    if limit is not None and ways > limit:
        raise ValueError(f"episodes.ways: {ways}-way needs at least {ways} classes, data.max_classes allows {limit}")
    sources = [*config.vocab.codebooks, *config.tokenizers]
    drawn = config.episodes.release is None  # else the release's files say which ways and shots there are
    for name, run in config.fewshot.runs.items():
        if drawn and run.max_shots > config.episodes.shots:
            raise ValueError(
                f"fewshot.runs.{name}: {run.max_shots} shots are asked for, "
                f"episodes.shots draws {config.episodes.shots}"
            )
        if run.words not in sources:
            raise ValueError(f"fewshot.runs.{name}.words: expected one of {', '.join(sources)}, found {run.words}")
        if drawn and (unknown := set(run.ways or ()) - set(config.episodes.ways)):
            known = list(config.episodes.ways)
            raise ValueError(f"fewshot.runs.{name}.ways: expected some of {known}, found {min(unknown)}")


def _check_num_global(config: Config) -> None:
    """Enough global tokens are stored for whoever reads them."""
    wanted = {
        **{f"tokenizers.{name}.num_global": tokenizer.num_global for name, tokenizer in config.tokenizers.items()},
        **{
            f"fewshot.runs.{name}.num_global": max(run.num_global)
            for name, run in config.fewshot.runs.items()
            if run.words in config.vocab.codebooks
        },
        "caption.num_global": config.caption.num_global,
        "vqa.num_global": config.vqa.num_global,
        "semantics.num_global": max(config.semantics.num_global),
    }
    key, most = max(wanted.items(), key=lambda item: item[1])
    if config.tokens.num_global < most:
        raise ValueError(f"tokens.num_global: {config.tokens.num_global} stored per picture, but {key} asks for {most}")


def _describe(error: dict[str, Any]) -> str:
    # Below a section of several kinds pydantic names the kind as well; users do not.
    kinds = {"clip": {1}, "data": {1, 4}, "tokenizers": {2}}.get(error["loc"][0] if error["loc"] else "", set())
    key = ".".join(str(part) for place, part in enumerate(error["loc"]) if place not in kinds) or "(top level)"
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
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that there is not
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
