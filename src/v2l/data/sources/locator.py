"""Where a picture lies: the path of a file, or a byte range of an uncompressed tar archive.

A locator is ``/data/images.tar#1536+2048``: 2048 bytes from byte 1536 on. With it a picture in an archive is read by
one seek, without extracting or scanning anything.
"""

import io
import re
from pathlib import Path
from typing import BinaryIO

MEMBER = re.compile(r"(.+\.tar)#(\d+)\+(\d+)", re.DOTALL)


def member_locator(archive: Path, offset: int, length: int) -> str:
    """The locator of ``length`` bytes from byte ``offset`` on of an archive whose name ends in .tar."""
    return f"{archive}#{offset}+{length}"


def open_picture(path: str | Path) -> BinaryIO:
    """Opens a picture for reading, seekable: a file, or the bytes that a locator names.

    Raises OSError as open does, and EOFError if the archive ends before the range does.
    """
    member = MEMBER.fullmatch(str(path))
    if member is None:
        return Path(path).open("rb")
    archive, offset, length = member[1], int(member[2]), int(member[3])
    with open(archive, "rb") as file:
        file.seek(offset)
        content = file.read(length)
    if len(content) < length:
        raise EOFError(f"archive ends {length - len(content)} bytes before the picture does")
    return io.BytesIO(content)
