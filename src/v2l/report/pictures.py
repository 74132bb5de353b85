"""Picture grids: pictures with their words (paper, Figure 6), and pictures before and after the tokenizer (Table 3)."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from v2l.data.images import fit_square, read_image
from v2l.errors import ArtifactError

COLUMNS = 6
PICTURE_PX = 128
WORD_LENGTH = 13
WORD_LINES = 3
LINE_POINTS = 12
ORDER_NAMES = {1: "single token", 2: "bigram", 3: "trigram"}


@dataclass(frozen=True)
class WordedPicture:
    """picture: uint8 [H, W, 3]; words: (text, n-gram order), best first."""

    image_id: str
    class_name: str
    picture: np.ndarray
    words: list[tuple[str, int]]


@dataclass(frozen=True)
class Example:
    """A picture before and after the tokenizer, both uint8 [H, W, 3]."""

    image_id: str
    class_name: str
    original: np.ndarray
    reconstruction: np.ndarray


def choose_pictures(manifest: pd.DataFrame, count: int) -> pd.DataFrame:
    """One held-out picture for each of ``count`` classes, evenly spaced by class_id; all classes if there are fewer."""
    heldout = manifest[manifest["split"] == "heldout"].sort_values(["class_id", "image_id"])
    first = heldout.drop_duplicates("class_id")
    places = np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int)
    return first.iloc[places]


def read_worded_pictures(
    chosen: pd.DataFrame, tokens: pd.DataFrame, codebook: pd.DataFrame, folder: Path, num_words: int
) -> list[WordedPicture]:
    """Reads the chosen rows of a manifest in ``folder``, each with its best words.

    Raises DataError for a picture that cannot be read, ArtifactError for one without tokens.
    """
    best = tokens.set_index("image_id")["global_ids"]
    items = []
    for row in chosen.itertuples():
        if row.image_id not in best.index:
            raise ArtifactError(f"tokens: expected a row for picture {row.image_id}, found none")
        words = codebook.iloc[list(best[row.image_id][:num_words])]
        pairs = [(_readable(text), int(order)) for text, order in zip(words["text"], words["order"], strict=True)]
        picture = fit_square(read_image(folder / row.path), PICTURE_PX)
        items.append(WordedPicture(row.image_id, row.class_name, picture, pairs))
    return items


def decode_examples(rows: pd.DataFrame, file: Path) -> list[Example]:
    """Raises ArtifactError naming file and picture if the stored bytes are no picture."""
    items = []
    for row in rows.itertuples():
        try:
            pair = [
                np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in (row.original, row.reconstruction)
            ]
        except OSError as error:
            raise ArtifactError(f"{file}: picture {row.image_id} cannot be decoded ({error})") from None
        items.append(Example(row.image_id, row.class_name, *pair))
    return items


def _readable(text: str) -> str:
    """One line without outer blanks; a text of blanks alone in quotes."""
    return " ".join(text.split()) or repr(text)


def words_figure(items: Sequence[WordedPicture]) -> Figure:
    """Each picture with its class above and its best words below; the number before a word is its n-gram order."""
    rows = -(-len(items) // COLUMNS)
    lines = max(sum(len(_wrap(text)) for text, _ in item.words) for item in items)
    figure = Figure(figsize=(6.875, rows * (1.55 + lines * LINE_POINTS / 72) + 0.2))
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, item in zip(axes, items, strict=False):
        _show(axis, item.picture, item.class_name)
        axis.set_anchor("N")
        _write_words(axis, item.words)
    legend = [Patch(facecolor=f"C{order - 1}", label=f"{order}: {name}") for order, name in ORDER_NAMES.items()]
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend))
    return figure


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WORD_LENGTH, max_lines=WORD_LINES, placeholder="…")


def _write_words(axis: Axes, words: Sequence[tuple[str, int]]) -> None:
    """Below the picture, a line of its own for each word."""
    # Out of the layout, or a long word would shrink its picture: the figure is tall enough for all lines.
    below = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False, "in_layout": False}
    baseline = -LINE_POINTS
    for text, order in words:
        box = {"boxstyle": "square,pad=0.15", "facecolor": f"C{order - 1}", "edgecolor": "none"}
        axis.annotate(str(order), (0, 0), (2, baseline), color="white", weight="bold", bbox=box, **below)
        for line in _wrap(text):
            axis.annotate(line, (0, 0), (12, baseline), parse_math=False, **below)
            baseline -= LINE_POINTS


def words_caption(items: Sequence[WordedPicture], seed: int) -> str:
    named = sum(_names_class(item) for item in items)
    ids = ", ".join(item.image_id for item in items)
    return (
        f"Held-out pictures, one of each of {len(items)} evenly spaced classes, the class above and the best words of "
        "the global codebook below; the number is the n-gram order of the word. "
        f"To see: {named} of {len(items)} pictures have a word of their class name among the words shown. "
        f"No error bars: single pictures. Seed {seed}. Pictures: {ids}."
    )


def _names_class(item: WordedPicture) -> bool:
    said = {part for text, _ in item.words for part in text.lower().split()}
    return any(part in said for part in item.class_name.lower().split())


def reconstruction_figure(examples: Sequence[Example]) -> Figure:
    """Originals above, reconstructions below, at the tokenizer's own size without smoothing."""
    columns = min(len(examples), COLUMNS)
    blocks = -(-len(examples) // COLUMNS)
    figure = Figure(figsize=(6.875, 2.5 * blocks))
    axes = figure.subplots(2 * blocks, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for place, example in enumerate(examples):
        block, column = divmod(place, COLUMNS)
        _show(axes[2 * block, column], example.original, example.class_name)
        _show(axes[2 * block + 1, column], example.reconstruction)
    for block in range(blocks):
        axes[2 * block, 0].set_ylabel("original")
        axes[2 * block + 1, 0].set_ylabel("reconstruction")
    return figure


def reconstruction_caption(examples: Sequence[Example], seed: int) -> str:
    errors = [
        100 * np.abs(item.original.astype(float) - item.reconstruction.astype(float)).mean() / 255 for item in examples
    ]
    best, worst = int(np.argmin(errors)), int(np.argmax(errors))
    height, width = examples[0].original.shape[:2]
    ids = ", ".join(item.image_id for item in examples)
    return (
        f"Held-out pictures ({len(examples)}, {width} x {height} px) above, decoded from their tokens below. "
        f"To see: by mean absolute difference, {examples[best].class_name} is closest ({errors[best]:.1f} % of the "
        f"range) and {examples[worst].class_name} farthest ({errors[worst]:.1f} %). "
        f"No error bars: single pictures; Table 3 has the means. Seed {seed}. Pictures: {ids}."
    )


def _show(axis: Axes, picture: np.ndarray, title: str = "") -> None:
    axis.set_axis_on()
    axis.imshow(picture)
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set(visible=True, color="0.8")
    label = textwrap.fill(title, WORD_LENGTH + 3, max_lines=2, placeholder="…")
    axis.set_title(label, fontsize=8, fontweight="normal", loc="center", parse_math=False)
