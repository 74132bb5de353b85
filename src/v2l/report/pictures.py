"""Pictures with their words (paper, Figure 6), and pictures before and after every tokenizer (Table 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from v2l.artifacts import read_rows
from v2l.data.images import fit_square, read_image
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, metric_key
from v2l.report.cells import ordered
from v2l.report.display import DISPLAYS, METHODS
from v2l.report.grids import WIDTH_IN, GridRow, decode_png, fit_lines, picture_grid, readable, show_picture, stored_name

COLUMNS = 6
PICTURE_PX = 128
ORDER_POINTS = 12  # the box with a word's n-gram order
WORD_POINTS = 72 * WIDTH_IN / COLUMNS - ORDER_POINTS - 4
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
    """A picture, uint8 [H, W, 3], and what tokenizers decode it to, by their names."""

    image_id: str
    class_name: str
    original: np.ndarray
    reconstructions: Mapping[str, np.ndarray]


class PictureWords:
    """The best words of every picture: texts of its global tokens."""

    def __init__(self, tokens: Path, codebook: Path, count: int) -> None:
        """count: words a picture. Raises ArtifactError for an unreadable file."""
        self._tokens = tokens
        self._best = read_rows(tokens, ["image_id", "global_ids"]).set_index("image_id")["global_ids"]
        self._rows = read_rows(codebook, ["order", "text"])
        self._count = count

    def of(self, image_id: str) -> list[tuple[str, int]]:
        """(text, n-gram order), best first. Raises ArtifactError for a picture without tokens."""
        if image_id not in self._best.index:
            raise ArtifactError(f"{self._tokens}: expected a row for picture {image_id}, found none")
        words = self._rows.iloc[list(self._best[image_id][: self._count])]
        return [(readable(text), int(order)) for text, order in zip(words["text"], words["order"], strict=True)]


def choose_pictures(manifest: pd.DataFrame, count: int) -> pd.DataFrame:
    """One held-out picture for each of ``count`` classes, evenly spaced by class_id; all classes if there are fewer."""
    heldout = manifest[manifest["split"] == "heldout"].sort_values(["class_id", "image_id"])
    first = heldout.drop_duplicates("class_id")
    places = np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int)
    return first.iloc[places]


def read_worded_pictures(chosen: pd.DataFrame, words: PictureWords, folder: Path) -> list[WordedPicture]:
    """Reads the chosen rows of a manifest in ``folder``, each with its best words.

    Raises DataError for a picture that cannot be read, ArtifactError for one without tokens.
    """
    return [
        WordedPicture(
            row.image_id,
            row.class_name,
            fit_square(read_image(folder / row.path), PICTURE_PX),
            words.of(row.image_id),
        )
        for row in chosen.itertuples()
    ]


def words_figure(items: Sequence[WordedPicture]) -> Figure:
    """Each picture with its class above and its best words below; the number before a word is its n-gram order."""
    rows = -(-len(items) // COLUMNS)
    lines = max(sum(len(fit_lines(text, WORD_POINTS, WORD_LINES)) for text, _ in item.words) for item in items)
    figure = Figure(figsize=(WIDTH_IN, rows * (1.55 + lines * LINE_POINTS / 72) + 0.2))
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, item in zip(axes, items, strict=False):
        show_picture(axis, item.picture, item.class_name)
        axis.set_anchor("N")
        _write_words(axis, item.words)
    legend = [Patch(facecolor=f"C{order - 1}", label=f"{order}: {name}") for order, name in ORDER_NAMES.items()]
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend))
    return figure


def _write_words(axis: Axes, words: Sequence[tuple[str, int]]) -> None:
    """Below the picture, a line of its own for each word."""
    # Out of the layout, or a long word would shrink its picture: the figure is tall enough for all lines.
    below = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False, "in_layout": False}
    baseline = -LINE_POINTS
    for text, order in words:
        box = {"boxstyle": "square,pad=0.15", "facecolor": f"C{order - 1}", "edgecolor": "none"}
        axis.annotate(str(order), (0, 0), (2, baseline), color="white", weight="bold", bbox=box, **below)
        for line in fit_lines(text, WORD_POINTS, WORD_LINES):
            axis.annotate(line, (0, 0), (ORDER_POINTS, baseline), parse_math=False, **below)
            baseline -= LINE_POINTS


def words_caption(items: Sequence[WordedPicture], seed: int) -> str:
    named = sum(_names_class(item) for item in items)
    orders = [order for item in items for _, order in item.words]
    longer = sum(order > 1 for order in orders)
    ids = ", ".join(item.image_id for item in items)
    return (
        f"Held-out pictures, one of each of {len(items)} evenly spaced classes, the class above and the best words of "
        "the global codebook below; the number is the n-gram order of the word. "
        f"To see: {named} of {len(items)} pictures have a word of their class name among the words shown; {longer} of "
        f"the {len(orders)} words are bigrams or trigrams. "
        f"No error bars: single pictures. Seed {seed}. Pictures: {ids}."
    )


def _names_class(item: WordedPicture) -> bool:
    said = {part for text, _ in item.words for part in text.lower().split()}
    return any(part in said for part in item.class_name.lower().split())


def read_examples(files: Sequence[Path], count: int) -> list[Example]:
    """The first ``count`` pictures that any tokenizer has, with the reconstructions of all that have them.

    files: ``examples_<tokenizer>.parquet``. Raises ArtifactError if there is no picture, or bytes that are none.
    """
    named = {stored_name(file, "examples_"): file for file in files}
    kept: dict[str, Example] = {}
    for name in ordered(named, METHODS):
        file = named[name]
        rows = read_rows(file, ["image_id", "class_name", "original", "reconstruction"])
        if rows.empty:
            raise ArtifactError(f"{file}: expected pictures, found none")
        for row in rows.itertuples():
            if row.image_id not in kept and len(kept) < count:
                original = decode_png(row.original, file, row.image_id)
                kept[row.image_id] = Example(row.image_id, row.class_name, original, {})
            if row.image_id in kept:
                kept[row.image_id].reconstructions[name] = decode_png(row.reconstruction, file, row.image_id)
    return list(kept.values())


def tokenizer_names(examples: Sequence[Example]) -> list[str]:
    return ordered({name for item in examples for name in item.reconstructions}, METHODS)


def reconstruction_figure(examples: Sequence[Example]) -> Figure:
    """Originals on top, below them a line for each tokenizer, at its own size without smoothing."""
    rows = [GridRow("picture", [item.original for item in examples])]
    for name in tokenizer_names(examples):
        rows.append(GridRow(METHODS.get(name, name), [item.reconstructions.get(name) for item in examples]))
    return picture_grid(rows, [item.class_name for item in examples])


def reconstruction_caption(examples: Sequence[Example], metrics: Metrics, seed: int) -> str:
    """metrics: of the stage ``reconstruct-metrics``."""
    height, width = examples[0].original.shape[:2]
    ids = ", ".join(item.image_id for item in examples)
    return (
        f"Held-out pictures ({len(examples)}, {width} x {height} px) on top, below them what each tokenizer decodes "
        f"from its tokens. To see: {_ranking(tokenizer_names(examples), metrics)}. "
        f"No error bars: single pictures; Table 3 has the means with their intervals. Seed {seed}. Pictures: {ids}."
    )


def _ranking(names: Sequence[str], metrics: Metrics) -> str:
    """The tokenizers from best to worst by mean LPIPS."""
    display = DISPLAYS["lpips_vgg"]
    entries = {name: metrics[key] for name in names if (key := metric_key("lpips_vgg", tokenizer=name)) in metrics}
    if not entries:
        return "what each tokenizer loses; it was not measured in this run"
    ranked = sorted(entries, key=lambda name: entries[name]["value"])
    listed = ", ".join(f"{METHODS.get(name, name)} {display.number(entries[name]['value'])}" for name in ranked)
    counts = sorted({entry["n"] for entry in entries.values()})
    return f"mean {display.label} of {' or '.join(f'{n:,}' for n in counts)} held-out pictures, best first: {listed}"
