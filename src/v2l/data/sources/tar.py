"""Pictures in uncompressed tar archives, listed by their byte ranges. Nothing is extracted.

ImageNet's training pictures are a tar of 1000 tars; the ranges are those in the outer file.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from v2l.data.sources.listing import Found, is_picture_name
from v2l.data.sources.locator import member_locator
from v2l.errors import DataError

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}


def scan_tar(path: Path) -> Found:
    """The pictures at the top of an archive, by name. Of two of one name the later counts, as for tar itself.

    Raises DataError if the archive is compressed, truncated or none.
    """
    with _open(path) as file:
        return _scan(file, path, 0, str(path))


def scan_tar_of_tars(path: Path) -> Iterator[tuple[str, Found]]:
    """Each inner archive's name without .tar, and its pictures; last "" with the number of other members.

    Raises DataError as `scan_tar` does.
    """
    num_ignored = 0
    with _open(path) as file:
        for archive, member in _members(file, str(path)):
            name = _top_name(member)
            if name.endswith(".tar"):
                inner = archive.extractfile(member)
                yield name.removesuffix(".tar"), _scan(inner, path, member.offset_data, f"{path}: member {name}")
            else:
                num_ignored += not member.isdir()
    yield "", Found({}, num_ignored)


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    start = file.read(8)
    file.seek(0)
    for magic, kind in COMPRESSED.items():
        if start.startswith(magic):
            file.close()
            raise DataError(f"{path}: expected an uncompressed tar archive, found {kind} data; decompress it first")
    return file


def _scan(file: BinaryIO, path: Path, start: int, title: str) -> Found:
    """start: of this archive in the file at ``path``."""
    paths, num_ignored = {}, 0
    for _, member in _members(file, title):
        name = _top_name(member)
        if is_picture_name(name):
            paths[name] = member_locator(path, start + member.offset_data, member.size)
        else:
            num_ignored += not member.isdir()
    return Found(paths, num_ignored)


def _top_name(member: tarfile.TarInfo) -> str:
    """The name of a plain file at the top of the archive; "" for anything else, such as ``../a.JPEG`` and links."""
    path = PurePosixPath(member.name)
    return path.name if member.isreg() and not member.issparse() and len(path.parts) == 1 else ""


def _members(file: BinaryIO, title: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """All members. Raises DataError if the file does not begin, go on and end as a tar archive does."""
    place, ended = 0, False
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                place = archive.offset  # of what follows the member
                yield archive, member
            # tarfile takes a missing or damaged header for the end; the real end is a block of zeros.
            file.seek(place)
            ended = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except (tarfile.TarError, OSError):
        ended = False
    if not ended:
        raise DataError(
            f"{title}: expected a whole, uncompressed tar archive, found neither a member nor the end at byte {place}; "
            "it is truncated, damaged or none"
        )
