"""Pictures in grids with labelled rows and columns, as several figures have them."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from v2l.errors import ArtifactError

WIDTH_IN = 6.875
LINE_IN = 0.155  # a line of 8 pt
LETTER_IN = 0.068  # a letter of 8 pt, on average
GAP_IN = 0.06
TITLE_LENGTH = 16


@dataclass(frozen=True)
class GridRow:
    """A label and a picture, uint8 [H, W, 3], for each column; None leaves the place empty."""

    label: str
    pictures: Sequence[np.ndarray | None]


def decode_png(png: bytes, file: Path, image_id: str) -> np.ndarray:
    """uint8 [H, W, 3]. Raises ArtifactError naming file and picture if the stored bytes are no picture."""
    try:
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    except OSError as error:
        raise ArtifactError(f"{file}: picture {image_id} cannot be decoded ({error})") from None


def stored_name(file: Path, prefix: str) -> str:
    """The item that a file is named after: ``curves_vqgan.csv`` is that of vqgan. Raises ArtifactError."""
    if not file.stem.startswith(prefix) or file.stem == prefix:
        raise ArtifactError(f"{file}: expected a name as {prefix}<tokenizer>{file.suffix}")
    return file.stem.removeprefix(prefix)


def readable(text: str) -> str:
    """One line without outer blanks; a text of blanks alone in quotes."""
    return " ".join(text.split()) or repr(text)


def fit_lines(text: str, width_points: float, max_lines: int, weight: str = "normal") -> list[str]:
    """The text in lines that are no wider than that in the style's font; what is left over is an ellipsis.

    Empty if not even a letter is that narrow.
    """
    font = FontProperties(weight=weight)
    for length in range(len(text), 0, -1):
        lines = textwrap.wrap(text, length, max_lines=max_lines, placeholder="…")
        if all(text_to_path.get_text_width_height_descent(line, font, False)[0] <= width_points for line in lines):
            return lines
    return []


def show_picture(axis: Axes, picture: np.ndarray, title: str = "") -> None:
    """The picture in a thin frame, a short title above it."""
    axis.set_axis_on()
    axis.imshow(picture)
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set(visible=True, color="0.8")
    label = textwrap.fill(title, TITLE_LENGTH, max_lines=2, placeholder="…")
    axis.set_title(label, fontsize=8, fontweight="normal", loc="center", parse_math=False)


def picture_grid(rows: Sequence[GridRow], headings: Sequence[str], max_side_in: float = 1.2) -> Figure:
    """A line of pictures for each row, its label on the left; headings stand above the first line.

    Every row has as many pictures as there are headings.
    """
    labels = [textwrap.fill(row.label, TITLE_LENGTH) for row in rows]
    label_in = LETTER_IN * max((len(line) for label in labels for line in label.splitlines()), default=0)
    side_in = min(max_side_in, (WIDTH_IN - label_in) / len(headings) - GAP_IN)
    titles = [textwrap.fill(heading, max(6, int(side_in / LETTER_IN))) for heading in headings]
    title_lines = max(title.count("\n") + 1 for title in titles)
    figure = Figure(figsize=(WIDTH_IN, len(rows) * (side_in + GAP_IN) + title_lines * LINE_IN + GAP_IN))
    figure.set_layout_engine("compressed")
    axes = figure.subplots(len(rows), len(headings), squeeze=False)
    for line, row, label in zip(axes, rows, labels, strict=True):
        for axis, picture in zip(line, row.pictures, strict=True):
            if picture is not None:
                show_picture(axis, picture)
            else:
                _leave_empty(axis)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", parse_math=False)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8, fontweight="normal", loc="center", parse_math=False)
    return figure


def _leave_empty(axis: Axes) -> None:
    """A place without picture keeps its row's label and its column's heading."""
    axis.set(xticks=[], yticks=[], box_aspect=1)
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)
