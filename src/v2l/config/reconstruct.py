"""The section of reconstruction."""

from typing import Literal

from pydantic import Field

from v2l.config.base import PositiveInt, Section


class ReconstructConfig(Section):
    """Reconstruction of held-out pictures (Table 3)."""

    max_images: PositiveInt | None = Field(None, description="evaluate only so many held-out pictures")
    psnr_channel: Literal["rgb", "luma"] = Field("rgb", description="release measures luma")
