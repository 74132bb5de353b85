"""Reading pictures of any common kind as RGB, and the two crops of the paper.

Greyscale, CMYK, palette, transparent and EXIF-rotated files are normal input; the file's content, not its name, says
which format it has.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from v2l.data.sources.locator import open_picture
from v2l.errors import DataError

if TYPE_CHECKING:
    import torch


# Pillow's decoders signal a broken file with any of these, by format.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
# By EXIF's orientation; any other value stands for upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTED_BY = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where Pillow keeps the orientation


def read_image(path: Path) -> Image.Image:
    """Reads a picture as upright 8-bit RGB; transparent parts lie over white.

    Raises DataError naming the file if it is missing, truncated or no picture.
    """
    try:
        with open_picture(path) as file, Image.open(file) as image:
            return to_rgb(upright(image))
    except FileNotFoundError:
        raise DataError(f"{path}: picture not found") from None
    except UNREADABLE as error:
        raise DataError(f"{path}: not a readable picture ({' '.join(str(error).split())})") from None


def upright(image: Image.Image) -> Image.Image:
    """The picture, turned or mirrored as EXIF says; the very same if nothing is to be done or EXIF data are malformed.

    Raises one of UNREADABLE if its pixels cannot be read.
    """
    image.load()
    # Pillow's own exif_transpose writes the data anew, and fails where it can read but not write one of its other tags.
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # malformed data can raise anything; the pixels are whole
        return image
    if turn is None:
        return image
    turned = image.transpose(turn)
    for key in ORIENTED_BY:  # else whoever looks at the orientation next turns it again
        turned.info.pop(key, None)
    return turned


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as 8-bit RGB; transparent parts lie over white."""
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit greyscale to 255 on conversion; the high byte is the 8-bit picture.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _resize_short_side(image: Image.Image, size_px: int) -> Image.Image:
    width, height = image.size
    short = min(width, height)
    target = (size_px * width // short, size_px * height // short)  # the long side is cut, not rounded, as in CLIP
    return image if target == image.size else image.resize(target, Image.Resampling.BICUBIC)


def _crop(image: Image.Image, left: int, top: int, size_px: int) -> np.ndarray:
    return np.array(image.crop((left, top, left + size_px, top + size_px)))


def fit_square(image: Image.Image, size_px: int) -> np.ndarray:
    """The centre crop after the short side is resized (bicubic, antialiased). Returns uint8 [size_px, size_px, 3]."""
    resized = _resize_short_side(image, size_px)
    left, top = (round((side - size_px) / 2) for side in resized.size)
    return _crop(resized, left, top, size_px)


def random_crop(image: Image.Image, size_px: int, generator: np.random.Generator) -> np.ndarray:
    """A random crop after the short side is resized: the paper's training crop. Returns uint8 [size_px, size_px, 3]."""
    resized = _resize_short_side(image, size_px)
    left, top = (int(generator.integers(side - size_px + 1)) for side in resized.size)
    return _crop(resized, left, top, size_px)


def load_pictures(manifest: Path, paths: Sequence[str], size_px: int) -> np.ndarray:
    """Reads pictures of a manifest, centre-cropped. Returns uint8 [B, size_px, size_px, 3].

    paths: as in the manifest's ``path`` column, relative to the manifest's folder or absolute.
    Raises DataError naming the first file that cannot be read.
    """
    pictures = np.empty((len(paths), size_px, size_px, 3), dtype=np.uint8)
    for row, path in enumerate(paths):
        pictures[row] = fit_square(read_image(manifest.parent / path), size_px)
    return pictures


def to_tensor(pictures: np.ndarray) -> "torch.Tensor":
    """uint8 [B, H, W, 3] to float32 [B, 3, H, W] in [0, 1]."""
    import torch  # reading pictures, as the report does, does without

    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).to(torch.float32) / 255
