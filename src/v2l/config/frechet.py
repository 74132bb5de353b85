"""The network whose features the Fréchet distance compares."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from v2l.config.base import Section


class FrechetConfig(Section):
    """FID where the network is Inception; a number of its own kind with the embedded VGG16."""

    net: Literal["vgg16", "inception"] = "vgg16"
    weights: Path | None = Field(
        None, description="Inception's weights as torch-fidelity publishes them; null: its download, then its cache"
    )

    @property
    def measure(self) -> str:
        """The name of the distance among measures."""
        return "fid" if self.net == "inception" else "frechet_vgg16"
