"""Sections of the tokenizers: V2L's and the baselines', one class a kind, with sizes in common."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from v2l.config.base import NonNegativeInt, PositiveFloat, PositiveInt, Section


class TokenizerConfig(Section):
    """Sizes of encoder and decoder (paper, section 4.1; names as in VQ-GAN)."""

    kind: str
    image_size_px: PositiveInt = 128
    base_channels: PositiveInt = 128
    channel_multipliers: list[PositiveInt] = Field([1, 2, 2, 4], description="down-sampling is 2^(levels - 1)")
    num_res_blocks: PositiveInt = Field(2, description="per encoder level; the decoder has one more")
    z_channels: PositiveInt = 256
    norm_groups: PositiveInt = Field(32, description="groups of every GroupNorm; must divide every width")
    attention_levels: list[NonNegativeInt] = Field(
        [],
        description="levels with self-attention after every residual block, 0 at full resolution; the release: none",
        exclude_if=lambda levels: not levels,  # the key is younger than stored weights, whose bytes must not change
    )
    num_global: NonNegativeInt = Field(0, description="global tokens the decoder attends to; 0: plain VQ-GAN decoder")
    cross_attention_heads: PositiveInt = 8
    cross_attention_residual: bool = Field(
        False, description="add the cross-attention's input to its output; paper and release do not"
    )

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
        last = len(self.channel_multipliers) - 1
        rising = self.attention_levels == sorted(set(self.attention_levels))
        if not rising or max(self.attention_levels, default=0) > last:
            raise ValueError(f"attention_levels must rise and lie in 0..{last}, found {self.attention_levels}")
        return self


class V2LConfig(TokenizerConfig):
    """The V2L tokenizer."""

    kind: Literal["v2l"] = "v2l"
    num_global: NonNegativeInt = Field(
        21, description="global tokens the decoder attends to; 0: a plain VQ-GAN decoder"
    )
    code_dim: PositiveInt = Field(768, description="width of projected local codes")
    project_codes: bool = Field(True, description="train a linear projector on the frozen codes")
    unit_codes: bool = Field(False, description="scale projected codes to unit length; the release does not")
    unit_features: bool = Field(
        True,
        description="scale the encoder's features to unit length; the release does where code_dim is 768",
        exclude_if=bool,  # as attention_levels
    )


class VqGanConfig(TokenizerConfig):
    """VQ-GAN: a learned codebook; code i stands for token i of the LLM."""

    kind: Literal["vqgan"] = "vqgan"
    num_global: Literal[0] = 0
    num_codes: PositiveInt = Field(16_384, description="codes that are learned; at most as many as the LLM has tokens")
    code_dim: PositiveInt = Field(256, description="width of the codes")


class FrozenCodebookConfig(TokenizerConfig):
    """What kinds with a frozen, unprojected codebook share."""

    num_global: Literal[0] = 0
    code_dim: PositiveInt | None = Field(
        None, description="keep so many principal axes of the codebook, which is searched the faster; default: all"
    )


class LqaeConfig(FrozenCodebookConfig):
    """LQAE-like: the LLM's frozen input embeddings as codebook."""

    kind: Literal["lqae"] = "lqae"


class SpaeConfig(FrozenCodebookConfig):
    """SPAE-like: a residual pyramid over a frozen codebook of CLIP's text embeddings."""

    kind: Literal["spae"] = "spae"
    levels: list[PositiveInt] = Field(
        [1, 2, 4, 8, 16], description="side of every level, the last one's that of the map"
    )
    guided_levels: PositiveInt = Field(2, description="coarsest levels that are drawn to words of the picture")
    guidance_words: PositiveInt = Field(5, description="words nearest to the picture that guide")
    guidance_weight: Annotated[float, Field(ge=0)] = 0.1
    guidance_temperature: PositiveFloat = 0.1

    @model_validator(mode="after")
    def _pyramid(self) -> "SpaeConfig":
        rise = self.levels == sorted(self.levels) and self.levels[-1:] == [self.grid]
        if not rise or any(self.grid % side for side in self.levels):
            raise ValueError(
                f"levels must rise to {self.grid}, the side of the token map, and each divide it; found {self.levels}"
            )
        if self.guided_levels >= len(self.levels):
            raise ValueError(
                f"guided_levels must be fewer than the {len(self.levels)} levels, found {self.guided_levels}"
            )
        return self


AnyTokenizerConfig = Annotated[V2LConfig | VqGanConfig | LqaeConfig | SpaeConfig, Field(discriminator="kind")]

# What a kind learns from besides pictures: inputs of the stage ``train``.
READS = {
    "v2l": ("features", "embeddings", "global_vectors"),
    "vqgan": (),
    "lqae": ("llm_embeddings",),
    "spae": ("features", "embeddings"),
}


class TokensConfig(Section):
    """Tokens of every picture."""

    num_global: PositiveInt = Field(21, description="global tokens stored per picture, best first")
