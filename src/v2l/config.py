"""The one configuration tree: typed, validated once at the edge, then frozen.

A section belongs to one stage, or is shared and says so; a stage sees only the sections it names, so a changed key
re-runs only what depends on it. ``runtime`` changes speed, never results, and is part of no stage's parameters.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from v2l.errors import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RuntimeConfig(Section):
    """How fast, on what: never part of a result's identity."""

    device: str = Field("auto", description="torch device; auto takes cuda where there is one")
    threads: PositiveInt = Field(2, description="CPU threads of one job, but for training (train.threads)")
    image_batch: PositiveInt = Field(32, description="pictures per forward pass of a frozen network")
    text_batch: PositiveInt = Field(256, description="texts per forward pass of the text encoder")
    llm_batch_tokens: PositiveInt = Field(4096, description="token budget of one LLM forward pass")


class DataConfig(Section):
    """The emoji set: one concept drawn by several artists, split by artist family (docs/data.md)."""

    sets: list[str] = Field(description="icon sets to draw from; names as in the assets file")
    categories: list[str] = Field(description="categories of the reference set that are kept")
    min_sets: PositiveInt = Field(5, description="a concept is kept if at least so many sets draw it")
    heldout_family: str = Field(description="artist family whose pictures are never trained on")
    max_classes: PositiveInt | None = Field(None, description="keep only so many concepts (evenly spaced by name)")
    image_size_px: PositiveInt = Field(128, description="side of a rendered picture")
    max_unreadable: NonNegativeInt = Field(0, description="unreadable pictures allowed before the stage fails")


class LockedTextConfig(Section):
    """A CLIP for the default: frozen text and image trunks, a small image head trained here (LiT)."""

    kind: Literal["locked_text"] = "locked_text"
    trunk_size_px: PositiveInt = Field(128, description="side of the picture the image trunk sees")
    hidden: PositiveInt = 1024
    dropout: Fraction = 0.5
    input_noise: Annotated[float, Field(ge=0)] = Field(0.3, description="standard deviation on standardised features")
    epochs: PositiveInt = 60
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.1


class OpenClipConfig(Section):
    """Any open_clip model; the paper's is ViT-L-14 with OpenAI weights."""

    kind: Literal["open_clip"] = "open_clip"
    model: str = "ViT-L-14"
    pretrained: str | None = Field("openai", description="open_clip tag or checkpoint path; null for random weights")


class LlmConfig(Section):
    """The frozen language model: anything transformers loads as a causal LM."""

    source: str = Field(description="hub name, folder, or GGUF file")
    max_context: PositiveInt | None = Field(None, description="longest prompt; default: what the model says")


class ExpandConfig(Section):
    """Vocabulary expansion (paper, method section: vocabulary expansion)."""

    prompt: str = Field("a photo of ", description="text before each token")
    num_tokens: PositiveInt | None = Field(None, description="expand only the first so many ids; default: all")


class EmbedConfig(Section):
    """Text embedding of the candidates."""

    templates: Literal["single", "simple", "openai"] = Field(
        "openai", description="prompts per text: single (1), simple (7) or openai (80, the paper's), from open_clip"
    )
    merge_spellings: bool = Field(
        False, description="one candidate per text up to case and outer blanks; the paper keeps all 3|T|"
    )


class FilterConfig(Section):
    """Vocabulary filtering on the training pictures."""

    top_k: PositiveInt = Field(5, description="nearest candidates that get a count per picture")
    min_count: NonNegativeInt = Field(100, description="kept are candidates with more than so many counts")


class TokenizerConfig(Section):
    """Sizes of the V2L tokenizer (paper, section 4.1; names as in VQ-GAN)."""

    image_size_px: PositiveInt = 128
    base_channels: PositiveInt = 128
    channel_multipliers: list[PositiveInt] = Field([1, 2, 2, 4], description="down-sampling is 2^(levels - 1)")
    num_res_blocks: PositiveInt = Field(2, description="per encoder level; the decoder has one more")
    z_channels: PositiveInt = 256
    code_dim: PositiveInt = Field(768, description="width of projected local codes")
    num_global: NonNegativeInt = Field(
        21, description="global tokens the decoder attends to; 0: a plain VQ-GAN decoder"
    )
    norm_groups: PositiveInt = Field(32, description="groups of every GroupNorm; must divide every width")
    cross_attention_heads: PositiveInt = 8
    cross_attention_residual: bool = Field(
        False, description="add the cross-attention's input to its output; paper and release do not"
    )
    project_codes: bool = Field(True, description="train a linear projector on the frozen codes")
    unit_codes: bool = Field(False, description="scale projected codes to unit length; the release does not")

    @property
    def downsampling(self) -> int:
        return 2 ** (len(self.channel_multipliers) - 1)

    @property
    def grid(self) -> int:
        """Side of the local token map."""
        return self.image_size_px // self.downsampling

    @model_validator(mode="after")
    def _fits(self) -> "TokenizerConfig":
        if self.image_size_px % self.downsampling:
            raise ValueError(
                f"image_size_px must be a multiple of {self.downsampling} (2^(levels - 1)), found {self.image_size_px}"
            )
        if self.base_channels % self.norm_groups:
            raise ValueError(f"norm_groups must divide base_channels {self.base_channels}, found {self.norm_groups}")
        return self


class TrainConfig(Section):
    """Training of the tokenizer."""

    threads: PositiveInt = Field(
        2, description="CPU threads; they share a gradient's sum, so another number rounds otherwise"
    )
    batch_size: PositiveInt = 8
    epochs: PositiveFloat = Field(100, description="passes over the training pictures; may be a fraction")
    learning_rate: PositiveFloat = Field(5e-4, description="peak; paper 5e-4, release 4.5e-4")
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(5, description="linear warm-up, then half-cycle cosine")
    commitment_weight: Annotated[float, Field(ge=0)] = 0.33
    perceptual_net: Literal["vgg", "alex"] = Field("vgg", description="LPIPS backbone")
    perceptual_weight: Annotated[float, Field(ge=0)] = Field(1.0, description="paper 1.0, release 0.1")
    gan_weight: Annotated[float, Field(ge=0)] = Field(0.1, description="paper 0.1; release 0.75")
    gan_adaptive: bool = Field(True, description="scale by the gradient-norm ratio at the decoder's last layer")
    gan_start_step: NonNegativeInt = Field(10_000, description="generator step at which the discriminator joins")
    discriminator_channels: PositiveInt = 64
    discriminator_layers: PositiveInt = 2
    checkpoint_steps: PositiveInt = Field(500, description="steps between checkpoints")
    log_steps: PositiveInt = 10


class TokensConfig(Section):
    """Tokens of every picture."""

    num_global: PositiveInt = Field(21, description="global tokens stored per picture, best first")


class InductionSetting(Section):
    """One of the seven columns of Table 1."""

    induction: bool = True
    shots: PositiveInt = 1
    repeats: NonNegativeInt = 0

    @property
    def name(self) -> str:
        return f"{'induction' if self.induction else 'no induction'}, K={self.shots}, repeats={self.repeats}"


class EpisodesConfig(Section):
    """Few-shot episodes, shared by all settings and all Kg."""

    ways: list[Annotated[int, Field(ge=2)]] = [2, 5]
    per_way: PositiveInt = Field(50, description="episodes for each number of ways")
    shots: PositiveInt = Field(5, description="support pictures a class; a setting uses the first K of them")
    order: Literal["shuffled", "rounds"] = Field(
        "shuffled",
        description="of the support in a prompt; rounds: one shuffled picture of every class, then the next of every "
        "class, so that the prompt of fewer shots begins that of more shots and is read once",
    )
    single_word_names: bool = Field(True, description="draw classes only among those whose name has no blank")


class FewShotConfig(Section):
    """Few-shot classification (Table 1)."""

    num_global: list[PositiveInt] = [5, 21]
    settings: list[InductionSetting]
    separator: str = Field(", ", description="between an image's words; the release joins with nothing")
    constraint: Literal["exact", "positionwise"] = Field(
        "exact", description="exact: one of the names; positionwise: the release's, which admits mixtures"
    )
    max_new_tokens: PositiveInt = Field(10, description="length of the free answer without induction")


class ReconstructConfig(Section):
    """Reconstruction of held-out pictures (Table 3)."""

    max_images: PositiveInt | None = Field(None, description="evaluate only so many held-out pictures")
    psnr_channel: Literal["rgb", "luma"] = Field("rgb", description="release measures luma")


class SemanticsConfig(Section):
    """Semantic quality of global tokens (Table 2)."""

    num_global: list[PositiveInt] = [5, 21]
    max_images: PositiveInt | None = Field(None, description="evaluate only so many held-out pictures")


class FiguresConfig(Section):
    """What the figures show."""

    num_pictures: PositiveInt = Field(6, description="pictures in the picture grids")
    num_words: PositiveInt = Field(4, description="best words written under a picture")


class VocabConfig(Section):
    expand: ExpandConfig
    embed: EmbedConfig
    filter: FilterConfig


class Config(Section):
    """The whole tree, as in config/*.yaml."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="results go to results/<name>/")]
    seed: NonNegativeInt = 0
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of frozen networks; auto: bf16 where the device is faster with it"
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
    """The value at a dotted key, e.g. ``vocab.filter``."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
