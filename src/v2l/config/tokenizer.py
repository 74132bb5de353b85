"""Sections of the tokenizer room."""

from pydantic import Field, model_validator

from v2l.config.base import NonNegativeInt, PositiveInt, Section


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


class TokensConfig(Section):
    """Tokens of every picture."""

    num_global: PositiveInt = Field(21, description="global tokens stored per picture, best first")
