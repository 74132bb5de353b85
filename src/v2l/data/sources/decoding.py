"""One look at a picture, in a worker process: does it decode, what is it, and the hash of its bytes."""

import hashlib
import io
import warnings
from typing import NamedTuple

from PIL import Image

from v2l.data.images import UNREADABLE, to_rgb, upright
from v2l.data.sources.locator import open_picture
from v2l.data.workers import end_with_parent


class Seen(NamedTuple):
    """What a readable picture is. mode, format: as stored, in Pillow's words.   rotated: EXIF turns or mirrors it."""

    sha256: str
    mode: str
    format: str
    rotated: bool


def start_worker() -> None:
    """Makes a worker end with its parent, and keeps it from warning of every harmless fault in EXIF data."""
    end_with_parent()
    warnings.simplefilter("ignore")


def look(path: str) -> Seen | str:
    """Decodes a whole picture. Returns in one line why it cannot be read, if so. path: a file or a locator."""
    try:
        with open_picture(path) as file:
            content = file.read()
        with Image.open(io.BytesIO(content)) as image:
            mode, name = image.mode, image.format
            shown = upright(image)
            rotated = shown is not image
            to_rgb(shown)
    except UNREADABLE as error:
        return " ".join(str(error).split())
    return Seen(hashlib.sha256(content).hexdigest(), mode, name, rotated)
